"""What a client promises beside its calls: each misdeed is found, and nothing right is taken for one."""

from __future__ import annotations

import pytest

from bintrio._protocol.holds import Scope
from bintrio.endpoints import TimeUnit
from bintrio.errors import NotSent, OutcomeUnknown, Rejected
from bintrio.observing import (
    ClockMeasured,
    ConnectionLost,
    EventsMissed,
    Fact,
    HoldBegan,
    MessageReceived,
    MessageSent,
    PingAnswered,
    SessionStarted,
    Subscribed,
    Unsubscribed,
)
from bintrio.sandbox import DropReply, ErrorReply, HalfOpen, HandshakeStatus, Link, MutePings, Way
from bintrio.sandbox.exchange.messages import Incoming
from bintrio.sandbox.server.calls import Attempt, Call
from bintrio.sandbox.weather import Fail, Jump, Relink
from bintrio.storm import Plan, Step, Terms
from bintrio.storm.plan import Place
from bintrio.storm.program import Confirmed, Heard
from bintrio.storm.promises import of_remains
from bintrio.storm.truth import untruths
from tests.storm.given import JOURNAL, NOW, answer, call_ended, came, deed, event, evidence, found, gap, unknown

# Limits


def test_g8_the_exchange_has_to_refuse_nothing() -> None:
    refused = came(1, told=answer(429))
    assert "the exchange had to refuse" in found(deed(Place()), calls=[refused])[0]
    assert found(deed(Place()), calls=[came(1, told=answer(429), fault=DropReply())]) == []
    assert found(deed(Place()), calls=[refused], plan=Plan(steps=(Step(0.0, Jump(seconds=60.0)),))) == []
    assert found(deed(Place()), calls=[came(1)]) == []


def met(*attempts: Attempt, jumps: bool = False) -> list[str]:
    known = evidence(plan=Plan(steps=(Step(0.0, Jump(seconds=60.0)),) if jumps else ()))
    known.witness.attempts.extend(attempts)
    return untruths(known)


def test_g8_the_exchange_has_to_turn_nobody_away() -> None:
    refused = Attempt(NOW * 1000, 429)
    assert met(refused) == [f"the exchange had to refuse a handshake at {NOW * 1000} (G8)"]
    assert met(refused, jumps=True) == []
    assert met(Attempt(NOW * 1000, 429, HandshakeStatus(status=429)), Attempt(NOW * 1000, 101)) == []


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


def begun(scope: Scope, *, before: int = 500, seconds: float = 1.0, method: str = "order.place") -> list[str]:
    """A hold has begun, by a handshake perhaps; then there came a handshake and a message."""
    known = evidence(calls=[Call(1, 1, NOW * 1000, Incoming(1, method, {}))])
    known.witness.attempts.append(Attempt(NOW * 1000, 101))
    hold = HoldBegan(connection=1, status=429, code=0, reason="", scope=scope, account=None, seconds=seconds, until=0.0)
    known.holds.append((NOW - before, hold))
    return untruths(known)


def test_g8_nothing_comes_in_a_hold_that_a_handshake_began_and_no_handshake() -> None:
    handshake, message = begun("everything")
    assert handshake == f"a handshake came to the exchange at {NOW} during a hold (G8)"
    assert message == f"order.place came to the exchange at {NOW} during a hold (G8)"
    assert begun("everything", before=1000) == begun("everything", before=0) == []
    assert begun("everything", before=5000, seconds=6.0, method="no.such.method")


def test_g8_where_orders_are_held_back_only_orders_do_not_come() -> None:
    assert begun("orders") == [f"order.place came to the exchange at {NOW} during a hold (G8)"]
    assert begun("orders", method="order.cancel") == []


# Connections


SILENT = Plan(steps=(Step(0.0, Relink(link=Link(up=Way(silent_at=0)))),))


def lost(cause: str, plan: Plan | None = None) -> list[str]:
    known = evidence(plan=plan)
    known.facts.append(ConnectionLost(seconds=1.0, in_flight=0, cause=cause, error="WireClosed"))
    return untruths(known)


def test_g3_no_pong_is_late() -> None:
    assert "a connection was lost" in lost("1008 pong timeout")[0]
    assert lost("the server ended the stream") == []
    assert lost("1008 pong timeout", SILENT) == []


def answered(seconds: float, plan: Plan | None = None) -> list[str]:
    known = evidence(plan=plan)
    known.facts.append(PingAnswered(connection=3, seconds=seconds))
    return untruths(known)


def test_g3_a_ping_is_answered_at_once() -> None:
    assert answered(0.5) == ["a ping on connection 3 was answered after 0.5 s (G3)"]
    assert answered(0.0) == answered(0.5, SILENT) == []


CALM = Plan(is_calm=True)


def test_g5_where_nothing_goes_wrong_nothing_is_lost() -> None:
    assert "although nothing went wrong" in lost("cut", CALM)[0]
    closed = OutcomeUnknown("order.place", "the connection ended: the session was closed")
    assert "although nothing went wrong" in found(deed(Place(), error=unknown(Place())), plan=CALM)[0]
    assert found(deed(Place(), error=closed), deed(Place(within=1.0), 2, error=unknown(Place())), plan=CALM) == []
    calm = evidence(deed(Place()), events=JOURNAL[:1], plan=CALM)
    calm.program.heard.append(Heard(asked=0, since=0, events=[event(0), gap(1, 2)]))
    assert "Gap" in untruths(calm)[0]


@pytest.mark.parametrize(
    ("left_at", "waited", "untrue"),
    [(14.7, True, 0), (14.5, True, 1), (14.7, False, 1), (None, True, 1)],
    ids=["too late for the new link", "in time", "without a wait", "never"],
)
def test_g5_a_call_that_waited_may_leave_too_late_for_a_link_that_became_slower(
    left_at: float | None, waited: bool, untrue: int
) -> None:
    slower = Relink(link=Link(up=Way(latency=0.2), down=Way(latency=0.2)))
    began = 0.0 if waited else 14.7
    placed = deed(Place(), error=unknown(Place()), began=began, timeout=15.0 - began, ended=15.0)
    known = evidence(placed, plan=Plan(is_calm=True, steps=(Step(0.0, slower),)))
    known.facts.append(call_ended("order.place", started_at=began, queued_at=left_at, error="OutcomeUnknown"))
    assert len(untruths(known)) == untrue


# Gaps. Times are seconds of trio's clock; the exchange's clock shows NOW when that shows 0.


def subscribed(at: float, connection: int = 1) -> Fact:
    return Subscribed(connection=connection, at=at, account="mine", subscription=0)


def asked(at: float, connection: int = 1) -> Fact:
    text = '{"id":1,"method":"userDataStream.unsubscribe","params":{"subscriptionId":0}}'
    return MessageSent(connection=connection, at=at, text=text)


def ended(at: float, connection: int = 1, cause: str | None = None) -> Fact:
    return Unsubscribed(connection=connection, at=at, account="mine", subscription=0, cause=cause)


def missed(begin: float, end: float, *facts: Fact, unit: TimeUnit = "ms", jumps: bool = False) -> list[str]:
    """What is said of a gap that was told at its end."""
    scale = 1_000_000 if unit == "us" else 1_000
    steps = (Step(0.0, Jump(seconds=60.0)),) if jumps else ()
    known = evidence(plan=Plan(terms=Terms(time_unit=unit), steps=steps), began=NOW)
    start, stop = (NOW * scale // 1000 + int(at * scale) for at in (begin, end))
    gap = EventsMissed(at=end, account="mine", cause="lost", begin=start, end=stop)
    known.facts.extend([SessionStarted(endpoint="sandbox"), *facts, gap])
    return untruths(known)


LOST = subscribed(0.0), ended(1000.0, cause="cut"), subscribed(1010.0, 2)


def test_g5_a_gap_is_told_where_a_connection_was_lost() -> None:
    assert missed(950.0, 1010.0, *LOST) == []
    assert missed(950.0, 1010.0, *LOST, unit="us") == []
    # Nobody has brought anything since.
    assert missed(950.0, 1010.0, *LOST[:2]) == []
    # The second ended later.
    assert missed(950.0, 1010.0, *LOST, ended(2000.0, 2, cause="cut")) == []


def test_g5_no_gap_is_told_where_all_was_brought() -> None:
    swapped = subscribed(0.0), subscribed(900.0, 2), asked(900.0), ended(901.0)
    assert missed(890.0, 910.0, *swapped)[0].endswith("all of that was brought (G5)")
    assert missed(890.0, 910.0, *swapped, jumps=True) == []
    # Nobody asked the second to carry before the first had left.
    assert missed(900.0, 910.0, subscribed(0.0), asked(900.0), ended(901.0), subscribed(910.0, 2)) == []
    # By the dates no time may have passed between them.
    assert missed(899.995, 900.004, *swapped) == []
    assert len(missed(950.0, 1010.0, *LOST[:2], subscribed(500.0, 2))) == 1


def test_g5_a_gap_is_no_wider_than_what_may_be_missing() -> None:
    left = subscribed(0.0), asked(900.0), ended(901.0), subscribed(910.0, 2)
    assert "only what happened from 900.000 s to 910.000 s may be missing" in missed(890.0, 910.0, *left)[0]
    assert "only what happened from 900.000 s to 910.000 s may be missing" in missed(900.0, 915.0, *left)[0]
    # Nobody listened before the session began.
    assert "only what happened from 0.000 s" in missed(-10.0, 910.0, subscribed(1.0, 2))[0]
    another = SessionStarted(endpoint="sandbox", at=2000.0)
    assert "only what happened from 2000.000 s" in missed(1990.0, 2010.0, another, subscribed(2010.0))[0]
    # A clock that is asked slowly may have been adjusted, unseen, by as much as it takes.
    # The session before is no excuse.
    slow = ClockMeasured(connection=1, at=5.0, offset=0.0, round_trip=6.0)
    assert missed(900.0, 915.0, *left, slow) == []
    assert len(missed(900.0, 915.0, slow, SessionStarted(endpoint="sandbox"), *left)) == 1
    # The same number may be given again.
    again = subscribed(0.0), asked(100.0), ended(101.0), subscribed(101.0), asked(900.0), ended(901.0)
    assert missed(900.0, 910.0, *again, subscribed(910.0, 2)) == []


def test_g5_a_gap_is_as_wide_as_dates_are_doubtful_once_a_timestamp_was_refused() -> None:
    left = subscribed(0.0), asked(900.0), ended(901.0), subscribed(910.0, 2)
    refusal = call_ended("order.cancelReplace", at=905.0, error="InvalidTimestamp")
    assert missed(840.0, 970.0, refusal, *left) == []
    assert len(missed(830.0, 970.0, refusal, *left)) == len(missed(840.0, 980.0, refusal, *left)) == 1
    # The next measurement ends that, but for one that was here as the refusal was.
    for at, round_trip, untrue in ((906.0, 2.0, 1), (905.0, 0.0, 1), (905.0, 0.2, 0)):
        asked_for = ClockMeasured(connection=1, at=at, offset=0.0, round_trip=round_trip)
        assert len(missed(840.0, 970.0, refusal, asked_for, *left)) == untrue
    for other in (
        call_ended("session.logon", at=905.0, error="InvalidTimestamp", is_own=True),
        call_ended("ping", error="Lost"),
    ):
        assert len(missed(840.0, 970.0, other, *left)) == 1


def test_g5_no_gap_ends_before_it_begins() -> None:
    assert missed(1010.0, 950.0, *LOST)[0].endswith("it ends before it begins (G5)")
    assert len(missed(1010.0, 950.0, *LOST, jumps=True)) == 1
    assert missed(1010.0, 1010.0, *LOST) == []


# Those who listen


def refused(code: int, *calls: Call) -> list[str]:
    known = evidence(calls=calls)
    known.program.refused.append(Rejected("userDataStream.subscribe", status=400, code=code, message=""))
    return untruths(known)


def test_g5_nobody_is_told_that_the_events_are_brought_already() -> None:
    said = answer(400, error={"code": -2035, "msg": ""})
    assert "somebody who listens was told Rejected" in refused(-2035, came(1, told=said), came(2), Call(3, 1, 0))[0]
    assert refused(-2035, came(1, told=said, fault=ErrorReply(code=-2035))) == []
    assert refused(-2015) == []
    assert len(refused(-2035, came(1, told=answer(400, error={"code": -9}), fault=ErrorReply(code=-9)))) == 1


# Secrets


def test_g9_no_signature_is_shown() -> None:
    signature = "s1G+/n" * 14
    known = evidence(deed(Place()), calls=[came(1, params={"signature": signature}), came(2)])
    assert untruths(known) == []
    known.facts.append(MessageSent(text=f'{{"signature":"{signature}"}}'))
    assert "the signature of order.place" in untruths(known)[0]


@pytest.mark.parametrize("where", ["a line", "an error", "its cause", "a fact"])
def test_g9_no_key_is_shown(where: str) -> None:
    known = evidence(secrets={"private key": "hidden"})
    error = unknown(Place())
    error.__cause__ = ValueError("of hidden" if where == "its cause" else "of a key")
    known.program.deeds[1] = deed(Place(), error=NotSent("order.place", "hidden") if where == "an error" else error)
    known.lines.extend(["begins with hidden"] if where == "a line" else [])
    known.facts.extend([MessageReceived(text="hidden")] if where == "a fact" else [])
    assert untruths(known) == ["the private key was shown (G9)"]


# What is left over


@pytest.mark.parametrize("what", ["in_flight", "backlog", "connections", "tasks"])
def test_g6_nothing_is_left_over(what: str) -> None:
    known = evidence()
    assert untruths(known) == []
    setattr(known.remains, what, 3)
    (said,) = untruths(known)
    assert said.startswith("3 ")
    assert said.endswith(" were left over (G6)")


def test_g6_who_is_not_pinged_may_be_taken_for_connected_by_the_exchange() -> None:
    for fault, untrue in ((MutePings(), 0), (HalfOpen(), 1)):
        known = evidence(plan=Plan(steps=(Step(0.0, Fail(fault=fault)),)))
        known.remains.connections = 1
        assert len(untruths(known)) == untrue


def test_g1_no_call_is_kept_of_which_it_is_known_what_became() -> None:
    known = evidence(deed(Place(client_order_id="again"), error=unknown(Place())))
    known.remains.unresolved = [1]
    assert "was kept although it is known what became of it (G1)" in untruths(known)[0]
    known.program.confirmed.append(Confirmed(number=1, error=unknown(Place())))
    assert list(of_remains(known)) == []


def used(limit: str, ours: int, theirs: int) -> list[str]:
    known = evidence()
    known.remains.used = {limit: (ours, theirs)}
    return untruths(known)


def test_g8_as_much_is_counted_as_the_exchange_counts() -> None:
    assert used("REQUEST_WEIGHT of 1 MINUTE", 2, 2) == used("ORDERS of 1 DAY", 3, 2) == []
    assert "3 of REQUEST_WEIGHT of 1 MINUTE were used up" in used("REQUEST_WEIGHT of 1 MINUTE", 3, 2)[0]
    assert "by the client's count, and 3 by the exchange's (G8)" in used("ORDERS of 1 DAY", 2, 3)[0]
