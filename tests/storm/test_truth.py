"""What is held against what: each lie is found, and no truth is taken for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

import bintrio
from bintrio._protocol.events import decode_event
from bintrio.api.account import Order
from bintrio.errors import NotSent, Rejected
from bintrio.requests import Ping
from bintrio.sandbox import DropReply, Link, SandboxOrder, Told, Way
from bintrio.sandbox.exchange.exchange import Answer
from bintrio.sandbox.weather import Fail, Relink
from bintrio.storm import Plan, Step
from bintrio.storm.plan import Amend, Ask, AskOrder, Cancel, CancelAll, Place, PlaceList, Replace
from bintrio.storm.program import Confirmed, Heard
from bintrio.storm.truth import of_confirmed, untruths
from tests.storm.given import GIVEN, JOURNAL, NOW, answer, came, deed, event, evidence, found, gap, unknown

# Calls


def test_g1_a_result_is_the_exchanges_own() -> None:
    told = deed(Place(), result={"orderId": 1})
    assert found(told, calls=[came(1, outcome=answer(result={"orderId": 1}))]) == []
    (said,) = found(told, calls=[came(1, outcome=answer(result={"orderId": 2}))])
    assert "gave {'orderId': 1}, and the exchange [{'orderId': 2}]" in said
    assert len(found(told)) == 1
    assert found(deed(Ask(), result={})) == []  # what is not signed, cannot be told apart


def test_g7_nothing_that_trades_comes_twice_and_what_reads_may() -> None:
    done = came(1, outcome=answer(result=3))
    (said,) = found(deed(Place(), result=3), calls=[done, done])
    assert said.endswith("came to the exchange 2 times (G7)")
    assert found(deed(AskOrder(), result=3), calls=[done, done]) == []


def test_g1_what_was_not_sent_has_not_come() -> None:
    not_sent = deed(Place(), error=NotSent("order.place", "no room"))
    assert found(not_sent) == []
    assert "and came to the exchange (G1)" in found(not_sent, calls=[came(1)])[0]


def rejected(status: int = 400) -> Rejected:
    return Rejected("order.place", status=status, code=-2010, message="no")


def test_g1_a_refusal_is_the_exchanges_own_and_nothing_was_done() -> None:
    refused = deed(Place(), error=rejected())
    assert found(refused, calls=[came(1, told=answer(400))]) == []
    assert "which the exchange never said" in found(refused)[0]
    done = [came(1, told=answer(400), outcome=answer())]
    assert found(refused, calls=done)[0].endswith("and was done (G1)")
    assert found(deed(AskOrder(), error=rejected()), calls=done) == []
    assert found(deed(Replace(), error=rejected(409)), calls=[came(1, outcome=answer(409))]) == []
    assert found(deed(Ask(), error=rejected())) == []


def test_g1_a_call_ends_in_time() -> None:
    assert found(deed(Place(), ended=15.0)) == []
    assert "took 16 s, and had 15 s" in found(deed(Place(), ended=16.0))[0]
    assert "had 2 s" in found(deed(Place(patience=2.0), ended=3.0))[0]
    assert "had 15 s" in found(deed(AskOrder(), ended=16.0))[0]
    in_part = Plan(steps=(Step(0.0, Relink(link=Link(down=Way(bandwidth=1.0)))),))
    assert found(deed(AskOrder(), ended=16.0), plan=in_part) == []
    assert len(found(deed(AskOrder(within=15.0), ended=16.0), plan=in_part)) == 1
    assert len(found(deed(AskOrder(), ended=700.0), plan=in_part)) == 1


def test_g1_what_was_done_behind_its_callers_back_can_be_asked_about() -> None:
    canceled = evidence(deed(Place(), is_canceled=True), calls=[came(1, outcome=answer())])
    assert "is not among those that can be asked about" in untruths(canceled)[0]
    canceled.program.unknown[1] = unknown(Place())
    assert untruths(canceled) == []
    assert found(deed(Place(), is_canceled=True), calls=[came(1, outcome=answer(400))]) == []
    assert found(deed(AskOrder(), is_canceled=True), calls=[came(1, outcome=answer())]) == []


# What became of them


def confirmed(act: Any, outcome: Answer | None, result: Any = None) -> list[str]:
    calls = [] if outcome is None else [came(1, outcome=outcome)]
    return list(of_confirmed(Confirmed(number=1, result=result), deed(act), calls))


def order(**known: Any) -> Any:
    values: Any = {name: None for name in Order.__struct_fields__ if name != "unknown_fields"}
    values |= {"status": "NEW", "order_id": 7, **known}
    return Order(**values)


def test_g7_an_order_is_said_to_be_what_the_call_placed() -> None:
    placed = answer(result=GIVEN(order_id=7))
    assert confirmed(Place(), placed, order()) == []
    assert confirmed(Place(), None) == []
    assert confirmed(Place(), answer(400)) == []
    assert "and its order is 7" in confirmed(Place(), placed)[0]
    assert "and its order is None" in confirmed(Place(), None, order())[0]
    assert confirmed(PlaceList(), answer(result=GIVEN(order_list_id=3)), GIVEN(order_list_id=3)) == []
    assert "its list is 3" in confirmed(PlaceList(), answer(result=GIVEN(order_list_id=3)))[0]


def test_g1_a_cancel_or_amend_is_told_by_the_order() -> None:
    assert confirmed(Cancel(), answer(), order(status="CANCELED")) == []
    assert confirmed(Cancel(), None, order()) == []
    done = answer(result=GIVEN())
    assert "and it was canceled" in confirmed(Cancel(), done, order())[0]
    amended = answer(result=GIVEN(amended_order=GIVEN(qty=2)))
    assert confirmed(Amend(), amended, order(orig_qty=Decimal(2))) == []
    assert confirmed(Amend(), None, order(orig_qty=Decimal(3))) == []
    assert "and 2 were left of it" in confirmed(Amend(), amended, order(orig_qty=Decimal(3)))[0]
    assert "and 2 were left of it" in confirmed(Amend(), amended)[0]
    assert confirmed(CancelAll(), done, ()) == []


def test_g1_a_replacement_is_told_by_both_halves() -> None:
    whole = answer(result=GIVEN(new_order_response=GIVEN(order_id=7)))
    half = answer(409, error={"data": {"newOrderResponse": {"orderId": 7}}})
    other = answer(409, error={"data": {"newOrderResponse": None}})
    both = bintrio.HalfReplaced(old_order=None, new_order=order())
    assert confirmed(Replace(), whole, order()) == []
    assert confirmed(Replace(), half, both) == []
    assert confirmed(Replace(), other, bintrio.HalfReplaced(old_order=order(), new_order=None)) == []
    assert confirmed(Replace(), None) == []
    assert "the new order is 7" in confirmed(Replace(), half)[0]
    assert "the new order is None" in confirmed(Replace(), None, both)[0]


def test_all_that_was_confirmed_is_looked_at() -> None:
    known = evidence(deed(Place(), error=unknown(Place())))
    known.program.confirmed.append(Confirmed(number=1, result=order()))
    assert len(untruths(known)) == 1


# Events


def heard(*told: Any, until: int | None = None, since: int = 0, journal: Sequence[Told] = JOURNAL) -> list[str]:
    held = evidence(events=journal)
    held.program.heard.append(Heard(asked=since, since=since, until=until, events=[*told]))
    return untruths(held)


def test_g5_each_event_comes_once_and_in_order() -> None:
    whole = [event(number) for number in range(5)]
    assert heard(*whole) == []
    assert heard(*whole[:1], bintrio.Interrupted(at=NOW, reason="lost"), *whole[1:]) == []
    assert len(heard(*whole, event(4))) == 1
    assert "came twice, late, or never was" in heard(*whole, event(9))[0]
    assert len(heard(*whole[1:3], whole[0], *whole[3:])) == 2


def test_g5_what_is_missing_lies_in_a_gap_and_what_lies_in_one_may_come_late() -> None:
    assert "an event is missing, and in no gap" in heard(event(0), event(1), event(3), event(4))[0]
    assert heard(event(0), event(1), gap(2, 2), event(3), event(4)) == []
    assert heard(event(0), gap(1, 2), event(3), event(1), event(4)) == []
    assert len(heard(event(0), gap(1, 2), event(3), event(1), event(1), event(4))) == 1
    assert heard(event(3), event(4), since=3) == []


def read(odd: Mapping[str, Any]) -> Any:
    return decode_event(msgspec.json.encode({"subscriptionId": 0, "event": odd})).event


@pytest.mark.parametrize(
    ("field", "value"), [("d", None), ("d", [[7]]), ("T", None), ("a", {"odd": True})], ids=["gone", "list", "T", "a"]
)
def test_g5_g10_an_odd_event_comes_once_as_it_was_told(field: str, value: Any) -> None:
    odd = {name: each for name, each in JOURNAL[1].event.items() if name != field}
    odd |= {} if value is None else {field: value}
    journal = [JOURNAL[0], Told(NOW + 1, JOURNAL[1].event, odd)]
    assert heard(event(0), read(odd), journal=journal) == []
    # What was told of it is not what was sent, was sent twice, or not at all.
    for told in ([event(1)], [read(odd), read(odd)], []):
        assert "(G5)" in heard(event(0), *told, journal=journal)[0]


def test_g10_null_may_say_that_a_field_is_not_there() -> None:
    odd = {**JOURNAL[0].event, "T": None}
    journal = [Told(NOW, JOURNAL[0].event, odd)]
    assert heard(read(odd), journal=journal) == []
    assert len(heard(event(0), journal=journal)) == 2


def test_g5_who_stops_listening_may_lack_what_was_on_its_way() -> None:
    assert heard(event(0), event(1), until=5) == []
    assert heard(until=5) == []
    assert len(heard(event(0), event(2), until=5)) == 1


def test_what_failed_and_what_was_logged_is_told() -> None:
    known = evidence()
    known.program.failed.append("a ping came to nothing")
    known.logged.append("the reader failed")
    assert untruths(known) == ["a ping came to nothing", "an error was logged: the reader failed"]


def test_there_may_be_no_order_that_a_call_could_be_about() -> None:
    nothing: list[SandboxOrder] = []
    assert Cancel().request(nothing, "5000") is None
    assert Ask().request(nothing, "5000") == Ping()
    assert Fail(fault=DropReply()).fault == DropReply()
