"""What `confirm` may leave open at rest, and what it must know: each lie is found, and no truth is taken for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bintrio
from bintrio.errors import NotSent, OutcomeUnknown, Rejected
from bintrio.sandbox import Told
from bintrio.sandbox.weather import Jump
from bintrio.storm import Plan, Step, Terms
from bintrio.storm.plan import Amend, Ask, AskOrder, Cancel, CancelAll, Place, PlaceList, Replace
from bintrio.storm.program import Confirmed, Deed
from bintrio.storm.truth import of_confirmations
from tests.storm.given import GIVEN, NOW, answer, came, deed, evidence
from tests.storm.test_truth import order

AGAIN = Place(client_order_id="again")
REPLACE = Replace(mode="ALLOW_FAILURE")


def left_open(
    *deeds: Deed, calls: Any = (), error: Any = None, asked: int = 1, at: Mapping[int, int] | None = None, **known: Any
) -> bool:
    """Whether it is true that nobody can know what became of the first of these calls, which left 100 ms ago.

    Args:
        deeds: the calls; those without a result or an error are of unknown outcome.
        calls: what came to the exchange.
        error: what `confirm` came to.
        asked: which session was.
        at: when calls left of unknown outcome, if not then.
        known: of the evidence.
    """
    held = evidence(*deeds, calls=calls, **known)
    unit = 1000 if held.plan.terms.time_unit == "us" else 1
    for each in deeds:
        left = (at or {}).get(each.number, NOW - 100)
        each.timeout = 1000.0
        if each.result is None and each.error is None and not each.by_account:
            held.program.unknown[each.number] = OutcomeUnknown(
                each.request.api.name,
                "no answer",
                request=each.request,
                sent_at=left * unit,
                final_at=(left + 5000) * unit,
            )
    error = error or held.program.unknown[deeds[0].number]
    held.program.confirmed.append(Confirmed(number=deeds[0].number, error=error, at_rest=True, session=asked))
    return not any("at rest" in said for said in of_confirmations(held))


def placed(number: int, late: int = 0) -> Any:
    """A call that placed an order so many milliseconds after the first one left."""
    call = came(number, outcome=answer(result=GIVEN(order_id=number)))
    call.time += (late - 100) * 1000
    return call


# Orders that were placed


def test_g1_what_became_of_an_id_of_the_sessions_must_be_known() -> None:
    assert not left_open(deed(Place()), deed(Place(), 2), calls=[placed(1), placed(2)])
    assert not left_open(deed(PlaceList()), deed(PlaceList(), 2), calls=[placed(1), placed(2)])


def test_g1_of_one_call_under_an_id_it_must_be_known_unless_its_order_is_dated_before_it_left() -> None:
    assert not left_open(deed(AGAIN))
    assert not left_open(deed(AGAIN), calls=[placed(1)])
    assert not left_open(deed(AGAIN), calls=[placed(1, -1001)])
    for unit in ("ms", "us"):
        assert left_open(deed(AGAIN), calls=[placed(1, -1)], plan=Plan(terms=Terms(time_unit=unit)))
    assert not left_open(deed(AGAIN), calls=[placed(1, -1)], error=NotSent("order.place", "closed"))
    assert not left_open(deed(AGAIN), calls=[came(1, outcome=answer(400)), came(1)])


def test_g1_of_two_calls_under_an_id_it_may_be_open_whose_an_order_is() -> None:
    for calls in ([placed(1)], [placed(2)], [placed(1), placed(2)]):
        assert left_open(deed(AGAIN), deed(AGAIN, 2), calls=calls)
    assert not left_open(deed(AGAIN), deed(AGAIN, 2)), "there is none"


def test_g1_another_call_must_be_like_it_and_of_its_time() -> None:
    for other in (Place(client_order_id="and-again"), Place(client_order_id="again", price=91), Ask(), CancelAll()):
        assert not left_open(deed(AGAIN), deed(other, 2), calls=[placed(1)])
    other_symbol = Place(client_order_id="again", symbol="ETHUSDT")
    assert not left_open(deed(AGAIN), deed(other_symbol, 2), calls=[placed(1)])
    assert not left_open(deed(AGAIN), deed(AGAIN, 2), calls=[placed(1)], at={2: NOW + 2000})
    assert left_open(deed(AGAIN), deed(AGAIN, 2), calls=[placed(1, 1500)], at={2: NOW + 2000})
    assert not left_open(deed(AGAIN), deed(AGAIN, 2), calls=[placed(1), placed(2, 8000)], at={2: NOW + 8000})


def test_g1_another_call_whose_answer_the_session_was_told_is_none() -> None:
    given = {"orderId": 2}
    for told in ({"result": given}, {"error": Rejected("order.place", status=400, code=-2010, message="no")}):
        other = deed(AGAIN, 2, **told)
        assert not left_open(deed(AGAIN), other, calls=[placed(1)])
        assert not left_open(deed(AGAIN, session=3), deed(AGAIN, 2, session=2, **told), calls=[placed(1)], asked=2)
    third = deed(AGAIN, 2, session=2, result=given)
    assert left_open(deed(AGAIN), third, calls=[placed(1), placed(2)]), "neither session knows"
    assert not left_open(deed(AGAIN), third, calls=[placed(1)])


def test_g1_a_late_answer_tells_it_too() -> None:
    held = evidence(deed(AGAIN), deed(AGAIN, 2), calls=[placed(1)])
    for number in (1, 2):
        held.program.unknown[number] = OutcomeUnknown(
            "order.place", "no", request=deed(AGAIN).request, sent_at=NOW - 100, final_at=NOW + 5000
        )
    held.program.unknown[2].answer = GIVEN(order_id=2)
    held.program.confirmed.append(Confirmed(number=1, error=held.program.unknown[1], at_rest=True))
    assert any("at rest" in said for said in of_confirmations(held))


def test_g1_what_an_account_placed_is_told_to_the_account_alone() -> None:
    by_account = deed(AGAIN, 2, by_account=True)
    assert left_open(deed(AGAIN), by_account, calls=[placed(1)])
    assert not left_open(deed(AGAIN), by_account)


def told_of(number: int, other: Deed, *, late: int = 0, done: bool = True) -> bool:
    """Whether it is a lie that the first of two calls placed the order of that number, which the other one placed."""
    held = evidence(deed(AGAIN), other, calls=[placed(2, late)] if done else ())
    held.program.unknown[1] = OutcomeUnknown(
        "order.place", "no", request=deed(AGAIN).request, sent_at=NOW - 100, final_at=NOW + 5000
    )
    held.program.confirmed.append(Confirmed(number=1, result=order(order_id=number), session=2))
    return any("and its order is None" in said for said in of_confirmations(held))


def test_g7_an_order_of_a_third_session_may_be_taken_for_that_of_a_call_like_it() -> None:
    assert not told_of(2, deed(AGAIN, 2, session=3))
    assert told_of(3, deed(AGAIN, 2, session=3))
    assert told_of(2, deed(AGAIN, 2, session=3), late=8000)
    assert told_of(2, deed(AGAIN, 2, session=3), done=False)
    assert told_of(2, deed(Place(client_order_id="again", price=91), 2, session=3))
    assert told_of(2, deed(Cancel(), 2, session=3))
    assert told_of(2, deed(Place(), 2, session=3))
    for session in (1, 2):
        assert told_of(2, deed(AGAIN, 2, session=session))


# Orders that were to be changed


def changed(late: int, number: int = 7, name: str = "mine", status: str = "CANCELED") -> Told:
    """An order was changed so many milliseconds after the first call left."""
    event = {"e": "executionReport", "s": "BTCUSDT", "i": number, "c": "cancel", "C": name, "X": status}
    return Told(NOW - 100 + late, event)


JUMP = Plan(steps=(Step(0.0, Jump(seconds=-0.4)),))


def test_g1_a_cancel_that_is_dated_before_the_call_left_may_be_another_ones_for_a_later_session() -> None:
    assert left_open(deed(REPLACE), events=[changed(-1)], asked=2)
    assert left_open(deed(REPLACE), events=[changed(-1)], plan=JUMP)
    assert not left_open(deed(REPLACE), events=[changed(-1)])
    for late in (0, -1001):
        assert not left_open(deed(REPLACE), events=[changed(late)], asked=2)
    assert not left_open(deed(REPLACE), events=[changed(-1, 8)], asked=2)
    other = Told(NOW - 101, {"e": "outboundAccountPosition", "s": "BTCUSDT", "i": 7})
    assert not left_open(deed(REPLACE), events=[other], asked=2)
    elsewhere = Told(NOW - 101, {**changed(-1).event, "s": "ETHUSDT"})
    assert not left_open(deed(REPLACE), events=[elsewhere], asked=2)


def test_g1_by_its_number_it_is_known_how_an_order_stands_and_by_its_name_not_which_it_was() -> None:
    for act in (Cancel, Amend):
        assert not left_open(deed(act()), events=[changed(-1)], asked=2)
        assert left_open(deed(act(by_name=True)), events=[changed(-1, 8)], asked=2)
        assert not left_open(deed(act(by_name=True)), events=[changed(-1, 8, "other")], asked=2)
    assert not left_open(deed(CancelAll()), events=[changed(-1)], asked=2)


CANCELED = {"symbol": "BTCUSDT", "orderId": 7, "status": "CANCELED"}


def canceled(number: int, outcome: Any) -> Any:
    return came(number, outcome=outcome)


def test_g7_what_an_answer_says_another_call_canceled_is_not_open() -> None:
    for outcome in (
        answer(result=CANCELED),
        answer(result=[{"orderReports": [CANCELED]}]),
        answer(409, error={"data": {"cancelResponse": CANCELED}}),
    ):
        other = deed(Cancel(), 2, result=outcome.result or outcome.error)
        assert not left_open(deed(REPLACE), other, calls=[canceled(2, outcome)], events=[changed(-1)], asked=2)
        nobody = deed(Cancel(), 2)
        assert left_open(deed(REPLACE), nobody, calls=[canceled(2, outcome)], events=[changed(-1)], asked=2)
    late = came(2, told=answer(400))
    other = deed(Cancel(), 2, error=Rejected("order.cancel", status=400, code=-2011, message="no"))
    assert left_open(deed(REPLACE), other, calls=[late], events=[changed(-1)], asked=2)


def said(result: Any, *others: Deed, calls: Any = (), at_rest: bool = True, act: Any = REPLACE) -> bool:
    """Whether a call is said to have canceled what an answer says that another one did."""
    held = evidence(deed(act), *others, calls=calls)
    held.program.confirmed.append(Confirmed(number=1, result=result, at_rest=at_rest))
    return any("had said who did" in each for each in of_confirmations(held))


def test_g7_the_cancel_of_another_call_is_not_taken_for_the_calls_own() -> None:
    other, calls = deed(Cancel(), 2, result=CANCELED), [canceled(2, answer(result=CANCELED))]
    half = bintrio.HalfReplaced(old_order=order(status="CANCELED"), new_order=None)
    whole = bintrio.HalfReplaced(old_order=order(status="CANCELED"), new_order=order())
    for result, is_lie in ((half, True), (order(), True), (whole, False), (None, False)):
        assert said(result, other, calls=calls) is is_lie
    assert not said(half)
    assert not said(half, other, calls=calls, at_rest=False)
    assert not said(half, deed(AskOrder(), 2, result=CANCELED), calls=calls), "it only shows it"
    assert not said(order(), other, calls=calls, act=Cancel())
