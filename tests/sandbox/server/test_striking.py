"""What faults do to requests, connections and those that connect, alone and together."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._protocol.frames import Opcode
from bintrio.sandbox import (
    CutReplyAt,
    Delay,
    Disconnect,
    DropReply,
    DuplicateReply,
    ErrorReply,
    EventsFirst,
    Farewell,
    Fault,
    Garbage,
    HalfOpen,
    HandshakeStatus,
    IpBan,
    LateEvents,
    LateReply,
    MutePings,
    NullIdReply,
    OddEvents,
    Pings,
    RefuseConnection,
    Reorder,
    Sandbox,
    ServerError,
    SlowHandshake,
    Together,
    TooManyRequests,
    WrongReply,
    open_sandbox,
)
from bintrio.sandbox.server import outbox

from .peer import HANDSHAKE, Peer, peer_of
from .test_hostile import ADDRESS, PING, closed_with, messages, read, text


async def follow(peer: Peer) -> None:
    """Log on and subscribe."""
    await peer.call("session.logon", **peer.signed())
    assert (await peer.call("userDataStream.subscribe"))["status"] == 200


async def kinds(peer: Peer, count: int) -> list[Any]:
    """The next messages: the id of an answer, the type of an event."""
    return [_kind(await peer.receive()) for _ in range(count)]


def _kind(message: dict[str, Any]) -> Any:
    return message["event"]["e"] if "event" in message else message["id"]


# Requests


async def test_an_error_instead_of_an_execution(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(ErrorReply("order.place", code=-2035, message="Already subscribed."))
    await peer.buy()
    reply = await peer.receive()
    assert (reply["id"], reply["status"], reply["error"]) == (9, 400, {"code": -2035, "msg": "Already subscribed."})
    assert sandbox.orders == []


async def test_pings_come_in_one_piece_with_the_answer(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    stream = await asking(sandbox, Pings("ping", count=2))
    await wait_all_tasks_blocked()
    assert opcodes(bytes(await stream.receive_some())) == [Opcode.TEXT, Opcode.PING, Opcode.PING]
    # It goes on.
    await stream.send_all(text(PING))
    await wait_all_tasks_blocked()
    assert opcodes(bytes(await stream.receive_some())) == [Opcode.TEXT]


async def test_no_ping_comes_into_the_middle_of_an_answer(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    stream = await asking(sandbox, Together("ping", faults=(CutReplyAt(position=3), Pings(count=2))))
    assert len(await read(stream)) == 3


async def test_a_connection_is_closed_once_it_was_answered(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    stream = await asking(sandbox, Farewell("ping", pings=1, code=1012))
    await wait_all_tasks_blocked()
    # What comes then is executed no more.
    await stream.send_all(text(PING))
    received = await read(stream)
    assert opcodes(received) == [Opcode.TEXT, Opcode.PING, Opcode.CLOSE]
    assert closed_with(received) == 1012
    assert sandbox.connections == 0
    with pytest.raises(bintrio.InvalidRequest, match="one that a close frame may have"):
        Farewell(code=1006)


async def asking(sandbox: Sandbox, fault: Fault) -> Any:
    """A connection that has asked for a sign of life, and that a fault strikes for it."""
    sandbox.inject(fault)
    stream = await sandbox.connect(ADDRESS)
    await stream.send_all(HANDSHAKE)
    await wait_all_tasks_blocked()
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 101")
    await stream.send_all(text(PING))
    return stream


def opcodes(received: bytes) -> list[Opcode]:
    return [message.opcode for message in messages(received)]


async def test_a_logon_may_be_refused_only_after_a_reconnect(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    sandbox.inject(ErrorReply("session.logon", skip=1, code=-2015))
    answers: list[int] = []
    for _ in range(2):
        async with peer_of(sandbox) as peer:
            answers.append((await peer.call("session.logon", **peer.signed()))["status"])
    assert answers == [200, 400]


async def test_a_wrong_result(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(WrongReply(result='{"orderId": "none", "price": 1.50}', times=2))
    await peer.buy()
    assert (await peer.receive())["result"] == {"orderId": "none", "price": 1.5}
    assert len(sandbox.orders) == 1
    assert (await peer.call("depth"))["error"]["code"] == -1102  # an error stays what it is


async def test_garbage_after_an_execution(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(Garbage("order.place", data="{", executed=True))
    await peer.buy()
    assert await peer.websocket.get_message() == "{"
    assert len(sandbox.orders) == 1


@pytest.mark.parametrize("executed", [True, False])
async def test_half_open_before_or_after_an_execution(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer, executed: bool
) -> None:
    sandbox.inject(HalfOpen("order.place", executed=executed))
    await peer.buy()
    with trio.move_on_after(1_000) as waiting:
        await peer.receive()
    assert waiting.cancelled_caught
    assert len(sandbox.orders) == executed


@pytest.mark.parametrize("retry_after", [None, 0, -1.8e9, 1e9])
@pytest.mark.parametrize("kind", [TooManyRequests, IpBan])
async def test_odd_times_to_wait(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer, kind: type[Any], retry_after: float | None
) -> None:
    sandbox.inject(kind(retry_after=retry_after))
    reply = await peer.call("ping")
    data: dict[str, Any] = {"serverTime": sandbox.now()}
    if retry_after is not None:
        data["retryAfter"] = sandbox.now() + retry_after * 1_000
    assert reply["error"]["data"] == data


async def test_a_ban_may_last_as_long_as_it_does_not_say(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    sandbox.inject(IpBan(retry_after=-5, lasts=60))
    async with peer_of(sandbox) as peer:
        assert (await peer.call("ping"))["status"] == 418
        assert await peer.is_dead()
    assert sandbox.budgets[0].banned_until == sandbox.now() + 60_000


async def test_what_is_kept_back_holds_no_other_answer_up(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    sandbox.inject(Reorder("time"))
    for number, method in enumerate(("time", "ping", "time")):
        await peer.send(number, method)
    assert await kinds(peer, 3) == [1, 2, 0]


# Together


async def test_faults_strike_together_each_as_it_does_alone(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    await follow(peer)
    late = Together("order.place", faults=(Delay(seconds=1), EventsFirst(), LateReply(seconds=2), DuplicateReply()))
    sandbox.inject(late)
    begin = trio.current_time()
    await peer.buy()
    assert await kinds(peer, 2) == ["executionReport", "outboundAccountPosition"]
    assert trio.current_time() - begin == pytest.approx(1)
    assert await kinds(peer, 2) == [9, 9]
    assert trio.current_time() - begin == pytest.approx(3)


async def test_reordered_answers_are_cut_together_with_the_connection(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    sandbox.inject(Together(faults=(Reorder(count=2), NullIdReply(), CutReplyAt(position=10**6))))
    for number in range(2):
        await peer.send(number, "ping")
    assert await peer.is_dead()
    assert sandbox.received["ping"] == 1


@pytest.mark.parametrize(
    ("faults", "executed"),
    [
        ((ServerError(executed=True), Disconnect(executed=True)), True),
        ((ServerError(executed=False), Disconnect(executed=True)), False),
        ((Garbage(data=b"", executed=True), DropReply(), Disconnect()), False),
    ],
)
async def test_what_one_fault_keeps_from_being_executed_is_not(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer, faults: tuple[Any, ...], executed: bool
) -> None:
    sandbox.inject(Together("order.place", faults=faults))
    await peer.buy()
    assert await peer.is_dead()
    assert len(sandbox.orders) == executed


@pytest.mark.parametrize("fault", [DropReply("ping"), DropReply(times=2), DropReply(skip=1)])
def test_faults_that_strike_together_wait_for_nothing_of_their_own(fault: Any) -> None:
    with pytest.raises(bintrio.InvalidRequest, match=r"^faults must be several that have no method"):
        Together("ping", faults=(fault,))


async def test_nothing_together_is_no_fault(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(Together(faults=()))
    assert (await peer.call("ping"))["status"] == 200


# Connections


async def test_late_events_keep_their_order(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    await follow(peer)
    sandbox.inject(LateEvents(seconds=5))
    begin = trio.current_time()
    await peer.buy()
    assert await kinds(peer, 1) == [9]
    sandbox.inject(LateEvents(seconds=1))
    sandbox.end_events()
    assert await kinds(peer, 3) == ["executionReport", "outboundAccountPosition", "eventStreamTerminated"]
    assert trio.current_time() - begin == pytest.approx(5)


async def test_the_answer_to_unsubscribing_does_not_overtake_late_events(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    await follow(peer)
    sandbox.inject(LateEvents(seconds=5))
    begin = trio.current_time()
    await peer.buy()
    await peer.send(10, "userDataStream.unsubscribe")
    told = ["executionReport", "outboundAccountPosition", "eventStreamTerminated"]
    assert await kinds(peer, 5) == [9, *told, 10]
    assert trio.current_time() - begin == pytest.approx(5, abs=0.01)
    await peer.call("userDataStream.subscribe")
    begin = trio.current_time()
    await peer.call("userDataStream.unsubscribe")
    assert trio.current_time() == begin


async def test_nor_those_that_a_shorter_delay_would_let_leave_before_them(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    await follow(peer)
    sandbox.inject(LateEvents(seconds=5))
    begin = trio.current_time()
    await peer.buy()
    assert await kinds(peer, 1) == [9]
    sandbox.inject(LateEvents(seconds=1))
    sandbox.deposit("BTC", Decimal(1))
    await peer.send(10, "userDataStream.unsubscribe")
    told = ["executionReport", "outboundAccountPosition", "balanceUpdate", "outboundAccountPosition"]
    assert await kinds(peer, 6) == [*told, "eventStreamTerminated", 10]
    assert trio.current_time() - begin == pytest.approx(5, abs=0.01)


async def test_an_odd_event_is_the_same_on_all_connections_and_counts_once(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    witness = sandbox.witness()
    await follow(peer)
    async with peer_of(sandbox) as other:
        await follow(other)
        sandbox.inject(OddEvents(event="balanceUpdate", field="d", value="[]"))
        for _ in range(2):
            sandbox.deposit("BTC", Decimal(1))
        told = [[await each.receive() for _ in range(4)] for each in (peer, other)]
    for events in told:
        amounts = [each["event"]["d"] for each in events if each["event"]["e"] == "balanceUpdate"]
        assert amounts == [[], "1.00000000"]
    odd = [each.odd for each in witness.events]
    assert odd == [told[0][0]["event"], None, None, None]
    assert [each.shown for each in witness.events] == [each["event"] for each in told[0]]
    assert witness.events[0].event["d"] == "1.00000000"


async def test_events_may_be_late_on_either_connection(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    await follow(peer)
    sandbox.inject(LateEvents(seconds=5, is_for_next=True))
    async with peer_of(sandbox) as other:
        await follow(other)
        begin = trio.current_time()
        await peer.buy()
        assert await kinds(peer, 2) == [9, "executionReport"]
        assert trio.current_time() - begin < 1
        assert await kinds(other, 1) == ["executionReport"]
        assert trio.current_time() - begin == pytest.approx(5)


async def test_who_is_owed_too_many_late_events_is_cut(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_POSTPONED", 1)
    await follow(peer)
    sandbox.inject(LateEvents(seconds=5))
    await peer.buy()
    assert await peer.is_dead()


@pytest.mark.parametrize("fault", [MutePings(is_for_next=True), HalfOpen(is_for_next=True)])
async def test_a_fault_may_wait_for_the_next_connection_though_others_are_open(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer, fault: Fault
) -> None:
    sandbox.inject(fault)
    assert [*sandbox.faults] == [fault]
    async with peer_of(sandbox):
        assert [*sandbox.faults] == []
        assert (await peer.call("ping"))["status"] == 200


# Those that connect


async def test_a_slow_handshake_may_take_longer_than_the_sandbox_would_wait(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    sandbox.inject(SlowHandshake(seconds=100))
    sandbox.inject(HandshakeStatus(status=503))
    with pytest.RaisesGroup(pytest.RaisesExc(Exception, check=lambda error: getattr(error, "status_code", 0) == 503)):
        async with peer_of(sandbox):
            raise AssertionError
    assert trio.current_time() == pytest.approx(100)


async def test_a_connection_is_refused(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    sandbox.inject(RefuseConnection(skip=1))
    async with peer_of(sandbox):
        with pytest.raises(ConnectionRefusedError, match="refused"):
            await sandbox.connect(ADDRESS)
    await (await sandbox.connect(ADDRESS)).aclose()


async def test_over_tcp_a_refused_connection_ends_at_once() -> None:
    async with open_sandbox() as sandbox:
        sandbox.inject(RefuseConnection())
        host, port = "127.0.0.1", int(sandbox.endpoint.urls[0].split(":")[2].split("/")[0])
        async with await trio.open_tcp_stream(host, port) as stream:
            with trio.fail_after(10):
                assert await stream.receive_some() == b""


# The sandbox itself


async def test_every_connection_is_closed_with_a_frame_and_without_warning(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    sandbox.disconnect(1001, "gone")
    assert await peer.is_dead()
    reason = peer.websocket.closed
    assert reason is not None
    assert (reason.code, reason.reason) == (1001, "gone")


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 5000, "1001"])
async def test_a_code_that_no_close_frame_has_is_refused(sandbox: Sandbox, code: Any) -> None:
    with pytest.raises(bintrio.InvalidRequest, match=r"^code must be one that a close frame may have, not "):
        sandbox.disconnect(code)


@pytest.mark.parametrize("reason", [7, "x" * 124])
async def test_a_reason_that_no_close_frame_has_is_refused(sandbox: Sandbox, reason: Any) -> None:
    with pytest.raises(bintrio.InvalidRequest, match=r"^reason must be "):
        sandbox.disconnect(1001, reason)


async def test_events_end_and_may_be_subscribed_to_again(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    await follow(peer)
    sandbox.end_events()
    assert await kinds(peer, 1) == ["eventStreamTerminated"]
    assert (await peer.call("userDataStream.subscribe"))["status"] == 200
    with pytest.raises(bintrio.InvalidRequest, match=r"^uid must be "):
        sandbox.end_events(99)


async def test_a_clock_that_is_set_back_stands_still_and_then_is_behind(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    await trio.sleep(10)
    begin = sandbox.now()
    sandbox.set_back(2)
    await trio.sleep(1)
    assert (await peer.call("time"))["result"]["serverTime"] == begin
    await trio.sleep(2)
    assert sandbox.now() - begin == pytest.approx(1_000, abs=1)
    for wrong in (-1, float("inf"), "1"):
        with pytest.raises(bintrio.InvalidRequest, match=r"^seconds must be "):
            sandbox.set_back(wrong)  # type: ignore[arg-type]
