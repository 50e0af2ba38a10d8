"""What is held against what: each lie is found, and no truth is taken for one."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import bintrio
from bintrio.api.account import Order
from bintrio.api.events import BalanceUpdate
from bintrio.errors import NotSent, OutcomeUnknown, Rejected
from bintrio.requests import Ping
from bintrio.sandbox import DropReply, Link, SandboxOrder, Told, Way, Witness
from bintrio.sandbox.exchange.exchange import Answer
from bintrio.sandbox.exchange.messages import Incoming
from bintrio.sandbox.server.calls import Call
from bintrio.sandbox.weather import Fail, Jump, Relink
from bintrio.storm import Plan, Step, Terms
from bintrio.storm.books import Books
from bintrio.storm.plan import Amend, Ask, AskOrder, Cancel, CancelAll, Place, PlaceList, Replace
from bintrio.storm.program import Confirmed, Deed, Heard, Program
from bintrio.storm.truth import Evidence, of_confirmed, untruths

GIVEN: Any = SimpleNamespace
ORDER: Any = SimpleNamespace(symbol="BTCUSDT", order_id=7, client_order_id="mine")
NOW = 1_767_225_600_000


def answer(status: int = 200, result: Any = None, error: Mapping[str, Any] | None = None) -> Answer:
    return Answer(request_id=1, status=status, result=result, error=error)


def came(number: int, *, outcome: Answer | None = None, told: Answer | None = None, **options: Any) -> Call:
    params = {"recvWindow": f"{5000 + Decimal(number) / 1000}", **options.pop("params", {})}
    return Call(number, 1, NOW * 1000, Incoming(1, "order.place", params), told or outcome, outcome=outcome, **options)


def deed(act: Any, number: int = 1, **options: Any) -> Deed:
    options = {"began": 0.0, "timeout": 15.0, "ended": 1.0, **options}
    request = act.request([ORDER], f"{5000 + Decimal(number) / 1000}")
    return Deed(number=number, act=act, request=request, **options)


def evidence(*deeds: Deed, calls: Any = (), plan: Plan | None = None, events: Any = ()) -> Evidence:
    nobody: Any = None
    witness = Witness()
    witness.calls.extend(calls)
    witness.events.extend(events)
    program = Program(nobody, nobody, witness, 5000, 15.0, Books(witness, None))
    program.deeds.update({one.number: one for one in deeds})
    return Evidence(plan or Plan(), program, witness)


def found(*deeds: Deed, **options: Any) -> list[str]:
    return untruths(evidence(*deeds, **options))


def unknown(act: Any) -> OutcomeUnknown[Any]:
    return OutcomeUnknown("order.place", "no answer came", request=deed(act).request)


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


def confirmed(act: Any, outcome: Answer | None, result: Any = None, error: Any = None) -> list[str]:
    calls = [] if outcome is None else [came(1, outcome=outcome)]
    return list(of_confirmed(Confirmed(number=1, result=result, error=error), deed(act), calls))


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


def test_g1_what_cannot_be_told_is_only_whose_order_it_was() -> None:
    assert confirmed(Place(client_order_id="again"), None, error=unknown(Place())) == []
    assert "confirm came to" in confirmed(Place(), None, error=unknown(Place()))[0]
    assert "confirm came to" in confirmed(Cancel(), None, error=unknown(Place()))[0]
    assert "confirm came to" in confirmed(Place(client_order_id="again"), None, error=NotSent("x", "y"))[0]


def test_all_that_was_confirmed_is_looked_at() -> None:
    known = evidence(deed(Place(), error=unknown(Place())))
    known.program.confirmed.append(Confirmed(number=1, result=order()))
    assert len(untruths(known)) == 1


# Events


def event(number: int) -> BalanceUpdate:
    return BalanceUpdate(event_time=NOW + number, asset="BTC", delta=Decimal(number), clear_time=NOW + number)


JOURNAL = [Told(NOW + number, bintrio.to_builtins(event(number))) for number in range(5)]


def gap(start: int, end: int) -> bintrio.Gap:
    return bintrio.Gap(start=NOW + start, end=NOW + end, reason="lost")


def heard(*told: Any, until: int | None = None, since: int = 0) -> list[str]:
    held = evidence(events=JOURNAL)
    held.program.heard.append(Heard(since=since, until=until, events=[*told]))
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


def test_g5_who_stops_listening_may_lack_what_was_on_its_way() -> None:
    assert heard(event(0), event(1), until=5) == []
    assert heard(until=5) == []
    assert len(heard(event(0), event(2), until=5)) == 1


# Limits, connections, secrets


def test_g8_the_exchange_has_to_refuse_nothing() -> None:
    refused = came(1, told=answer(429))
    assert "the exchange had to refuse" in found(deed(Place()), calls=[refused])[0]
    assert found(deed(Place()), calls=[came(1, told=answer(429), fault=DropReply())]) == []
    assert found(deed(Place()), calls=[refused], plan=Plan(steps=(Step(0.0, Jump(seconds=60.0)),))) == []
    assert found(deed(Place()), calls=[came(1)]) == []


def held(text: str, plan: Plan | None = None) -> list[str]:
    known = evidence(deed(Place()), calls=[came(1)], plan=plan)
    known.refusals.append((NOW - 1000, text))
    return untruths(known)


def refusal(until: int, status: int = 418, code: int = -1003) -> str:
    return f'{{"status":{status},"error":{{"code":{code},"msg":"","data":{{"retryAfter":{until}}}}}}}'


def test_g8_nothing_comes_in_a_hold() -> None:
    assert "during a hold (G8)" in held(refusal(NOW + 1000))[0]
    assert "during a hold (G8)" in held(refusal((NOW + 1000) * 1000, 429))[0]
    assert held(refusal(NOW - 1)) == []
    assert held(refusal(NOW + 1000, 429, -1015)) == []
    assert held(refusal(NOW + 1000, 400)) == []
    assert held('{"status":418}') == []
    slow = Plan(terms=Terms(link=Link(up=Way(latency=0.5, jitter=0.6))))
    assert held(refusal(NOW + 1000), slow) == []
    assert held(refusal(NOW + 1000), Plan(steps=(Step(0.0, Jump(seconds=-1.0)),))) == []
    narrow = Plan(steps=(Step(0.0, Relink(link=Link(up=Way(bandwidth=5.0)))),))
    assert held(refusal(NOW + 1000), narrow) == []


def lost(cause: str, plan: Plan | None = None) -> list[str]:
    known = evidence(plan=plan)
    known.losses.append(cause)
    return untruths(known)


def test_g3_no_pong_is_late() -> None:
    assert "a connection was lost" in lost("1008 pong timeout")[0]
    assert lost("the server ended the stream") == []
    assert lost("1008 pong timeout", Plan(steps=(Step(0.0, Relink(link=Link(up=Way(silent_at=0)))),))) == []


CALM = Plan(is_calm=True)


def test_g5_where_nothing_goes_wrong_nothing_is_lost() -> None:
    assert "although nothing went wrong" in lost("cut", CALM)[0]
    closed = OutcomeUnknown("order.place", "the connection ended: the session was closed")
    assert "although nothing went wrong" in found(deed(Place(), error=unknown(Place())), plan=CALM)[0]
    assert found(deed(Place(), error=closed), deed(Place(within=1.0), 2, error=unknown(Place())), plan=CALM) == []
    calm = evidence(deed(Place()), events=JOURNAL[:1], plan=CALM)
    calm.program.heard.append(Heard(since=0, events=[event(0), gap(1, 2)]))
    assert "Gap" in untruths(calm)[0]


def test_g9_no_signature_is_shown() -> None:
    known = evidence(deed(Place()), calls=[came(1, params={"signature": "abc"})])
    assert untruths(known) == []
    known.said.append("it was abc=")
    assert "was shown (G9)" in untruths(known)[0]


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
