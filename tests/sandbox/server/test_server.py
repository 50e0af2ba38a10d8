"""The sandbox's wire, with plain trio-websocket as the client, in memory and in virtual time."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked
from trio_websocket import ConnectionRejected

from bintrio._protocol.frames import FrameDecoder, Opcode, encode_frame
from bintrio.api.events import ServerShutdown
from bintrio.endpoints import Address
from bintrio.sandbox import (
    CutReplyAt,
    Delay,
    Disconnect,
    DropReply,
    DuplicateReply,
    EventsFirst,
    Fault,
    Garbage,
    HalfOpen,
    HandshakeStatus,
    IpBan,
    LateReply,
    Limits,
    MutePings,
    NullIdReply,
    Reorder,
    Sandbox,
    ServerError,
    Timeout,
    TooManyRequests,
    UnknownIdReply,
    open_sandbox,
)
from bintrio.sandbox.exchange.exchange import Exchange
from bintrio.sandbox.exchange.sessions import Session
from bintrio.sandbox.exchange.symbols import SYMBOLS
from bintrio.sandbox.server.connection import Connections, Timings
from bintrio.sandbox.server.script import Script
from bintrio.sandbox.server.server import Server

from .peer import HANDSHAKE, PATH, Peer, peer_of


async def test_requests_are_answered_in_their_order(autojump_clock: MockClock, peer: Peer) -> None:
    for number in range(50):
        await peer.send(number, "ping")
    assert [(await peer.receive())["id"] for _ in range(50)] == list(range(50))
    assert peer.sandbox.received == {"ping": 50}


async def test_malformed_messages_are_answered_with_id_null(autojump_clock: MockClock, peer: Peer) -> None:
    await peer.websocket.send_message("{")
    reply = await peer.receive()
    assert (reply["id"], reply["status"], reply["error"]) == (None, 400, {"code": -1135, "msg": "Invalid JSON Request"})
    assert (await peer.call("ping"))["status"] == 200


async def test_an_orders_reply_precedes_its_events_on_every_connection(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    async with peer_of(sandbox) as other:
        for each in (peer, other):
            await each.call("session.logon", **each.signed())
            await each.call("userDataStream.subscribe")
        await peer.buy()
        kinds = [list(await peer.receive()), (await peer.receive())["event"]["e"], (await peer.receive())["event"]["e"]]
        assert kinds == [["id", "status", "result", "rateLimits"], "executionReport", "outboundAccountPosition"]
        assert (await other.receive())["event"]["e"] == "executionReport"
    assert [order.status for order in sandbox.orders] == ["NEW"]


# The rules of a connection


async def test_pings_come_every_20_seconds_and_pongs_keep_the_connection(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    await trio.sleep(3_600)
    assert sandbox.connections == 1
    assert (await peer.call("time"))["result"]["serverTime"] == sandbox.now()


async def test_a_peer_that_does_not_answer_pings_is_cut_off_after_the_pong_window(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    stream = await _raw_connection(sandbox)
    frames = FrameDecoder(masked=False, max_message_size=1_000)
    times: list[tuple[Opcode, Any]] = []
    start = trio.current_time()
    while data := bytes(await stream.receive_some()):
        times += [(message.opcode, trio.current_time() - start) for message in frames.feed(data)]
    pings = [time for opcode, time in times if opcode is Opcode.PING]
    assert pings == pytest.approx([20, 40, 60])
    assert times[-1] == (Opcode.CLOSE, pytest.approx(80))
    await wait_all_tasks_blocked()
    assert sandbox.connections == 0


async def test_an_unsolicited_pong_keeps_nothing_alive(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    stream = await _raw_connection(sandbox)
    with trio.move_on_after(100):
        while await stream.receive_some():
            await stream.send_all(encode_frame(Opcode.PONG, b"me", b"mask"))
    await wait_all_tasks_blocked()
    assert sandbox.connections == 0


@pytest.mark.untraced
async def test_a_connection_lives_for_24_hours(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    await trio.sleep(86_399)
    assert (await peer.call("ping"))["status"] == 200
    start = trio.current_time()
    assert await peer.is_dead()
    assert trio.current_time() - start == pytest.approx(1)
    assert peer.websocket.closed is not None
    assert peer.websocket.closed.code == 1001


async def test_a_shutdown_is_announced_and_then_happens(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    sandbox.announce_shutdown(after=30)
    assert await peer.receive() == {"event": {"e": "serverShutdown", "E": sandbox.now()}}
    async with peer_of(sandbox) as newcomer:
        await trio.sleep(29)
        assert (await peer.call("ping"))["status"] == 200
        assert await peer.is_dead()
        assert (await newcomer.call("ping"))["status"] == 200
    assert sandbox.now() % 86_400_000 == 30_000


async def test_who_leaves_before_a_shutdown_is_not_waited_for(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    async with peer_of(sandbox) as leaver:
        sandbox.announce_shutdown(after=30)
        await leaver.websocket.aclose()
    await peer.receive()
    assert await peer.is_dead()
    assert trio.current_time() == pytest.approx(30)


def test_events_for_a_connection_that_is_gone_are_dropped() -> None:
    connections = Connections(Exchange(SYMBOLS, Limits()), Script(), Timings(), lambda: 1)
    session = Session(connected_since=1)
    connections.exchange.sessions[session] = None
    connections.exchange.announce(ServerShutdown(event_time=1))
    connections.forget(session)
    connections.deliver()
    assert connections.exchange.take_deliveries() == []


async def test_url_options(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with peer_of(sandbox, f"{PATH}?timeUnit=MICROSECOND&returnRateLimits=false") as peer:
        reply = await peer.call("time")
        assert reply == {"id": 1, "status": 200, "result": {"serverTime": sandbox.now() * 1_000}}


async def _rejection(sandbox: Sandbox, resource: str = PATH) -> ConnectionRejected:
    with pytest.RaisesGroup(ConnectionRejected) as caught:
        async with peer_of(sandbox, resource):
            pytest.fail("the handshake was accepted")
    rejection = caught.value.exceptions[0]
    assert isinstance(rejection, ConnectionRejected)
    return rejection


@pytest.mark.parametrize(
    ("resource", "status", "code"),
    [
        ("/elsewhere", 404, -1000),
        (f"{PATH}?timeUnit=second", 400, -1194),
        (f"{PATH}?timeUnit=", 400, -1194),
        (f"{PATH}?responseFormat=sbe", 400, -1155),
        (f"{PATH}?returnRateLimits=maybe", 400, -1130),
    ],
)
async def test_handshakes_that_are_turned_away(
    autojump_clock: MockClock, sandbox: Sandbox, resource: str, status: int, code: int
) -> None:
    rejection = await _rejection(sandbox, resource)
    assert rejection.status_code == status
    assert json.loads(rejection.body or b"")["code"] == code
    assert sandbox.connections == 0


async def test_too_many_connections(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False, limits=Limits(connections=1)) as sandbox, peer_of(sandbox):
        rejection = await _rejection(sandbox)
        assert rejection.status_code == 429
        assert (b"retry-after", b"300") in rejection.headers
        await trio.sleep(300)
        async with peer_of(sandbox) as peer:
            assert (await peer.call("ping"))["status"] == 200


async def test_a_ban_cuts_the_connection_and_lets_nobody_in(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False, limits=Limits(weight=25, patience=1)) as sandbox, peer_of(sandbox) as peer:
        replies = [await peer.call("exchangeInfo") for _ in range(3)]
        assert [reply["status"] for reply in replies] == [200, 429, 418]
        assert await peer.is_dead()
        retry_after = replies[2]["error"]["data"]["retryAfter"]
        rejection = await _rejection(sandbox)
        assert rejection.status_code == 418
        await trio.sleep((retry_after - sandbox.now()) / 1_000 + 0.001)
        async with peer_of(sandbox) as newcomer:
            assert (await newcomer.call("ping"))["status"] == 200


async def test_a_peer_that_goes_away_before_its_handshake(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    stream = await sandbox.connect(Address("localhost", 80, False, PATH))
    await stream.aclose()
    await wait_all_tasks_blocked()
    assert trio.current_time() == pytest.approx(0, abs=1e-6)
    silent = await sandbox.connect(Address("localhost", 80, False, PATH))
    assert await silent.receive_some() == b""
    assert trio.current_time() == pytest.approx(10)


async def test_g11_a_peer_that_breaks_the_protocol_hurts_only_itself(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    for nonsense in (encode_frame(Opcode.TEXT, b"unmasked"), b"\xff" * 50, encode_frame(Opcode.TEXT, b"\xff", b"mask")):
        stream = await _raw_connection(sandbox)
        await stream.send_all(nonsense)
        await stream.aclose()
    await wait_all_tasks_blocked()
    assert sandbox.connections == 1
    assert (await peer.call("ping"))["status"] == 200


async def test_a_peer_that_vanishes_is_forgotten(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    stream = await _raw_connection(sandbox)
    assert sandbox.connections == 1
    await trio.aclose_forcefully(stream)
    await wait_all_tasks_blocked()
    assert sandbox.connections == 0


async def test_a_reply_to_a_peer_that_is_gone(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    stream = await _raw_connection(sandbox)
    await stream.send_all(encode_frame(Opcode.TEXT, b'{"id":1,"method":"ping"}', b"mask"))
    await stream.aclose()
    await wait_all_tasks_blocked()
    assert sandbox.received["ping"] == 1
    assert (await peer.call("ping"))["status"] == 200


async def test_g11_a_stream_that_breaks_ends_its_connection_and_nothing_else(autojump_clock: MockClock) -> None:
    exchange = Exchange(SYMBOLS, Limits())
    connections = Connections(exchange, Script(), Timings(), lambda: 1)
    server = Server(connections)
    ours, theirs = memory_stream_pair()

    pump = theirs.send_stream.send_all_hook
    assert pump is not None

    async def break_at_the_reply() -> None:
        if connections.received:
            raise trio.BrokenResourceError
        await pump()

    theirs.send_stream.send_all_hook = break_at_the_reply
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, theirs)
        await ours.send_all(HANDSHAKE)
        assert b"101" in bytes(await ours.receive_some())
        await ours.send_all(encode_frame(Opcode.TEXT, b'{"id":1,"method":"ping"}', b"mask"))
    assert exchange.sessions == {}


async def test_nothing_follows_a_close_frame(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False, lifetime=10) as sandbox:
        stream = await _raw_connection(sandbox)
        await trio.sleep(11)
        sandbox.announce_shutdown(after=0)
        received = b""
        while data := bytes(await stream.receive_some()):
            received += data
        decoder = FrameDecoder(masked=False, max_message_size=1_000)
        assert [message.opcode for message in decoder.feed(received)] == [Opcode.CLOSE]
        assert len(received) == 2 + 2 + len("lifetime over")
        assert trio.current_time() == pytest.approx(12)


async def _raw_connection(sandbox: Sandbox) -> trio.abc.Stream:
    """After the handshake, the bare stream."""
    stream = await sandbox.connect(Address("localhost", 80, False, PATH))
    await stream.send_all(HANDSHAKE)
    assert b"101" in bytes(await stream.receive_some())
    return stream


# Faults


async def test_g11_delayed_requests_do_not_hold_up_others(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    sandbox.inject(Delay("order.place", seconds=3))
    await peer.buy()
    assert (await peer.call("ping"))["result"] == {}
    assert sandbox.orders == []
    assert (await peer.receive())["id"] == 9
    assert trio.current_time() == pytest.approx(3)
    assert len(sandbox.orders) == 1


async def test_a_late_reply_is_executed_at_once(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(LateReply("order.place", seconds=3))
    await peer.buy()
    await peer.call("ping")
    assert len(sandbox.orders) == 1
    assert (await peer.receive())["id"] == 9
    assert trio.current_time() == pytest.approx(3)


async def test_a_dropped_reply(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(DropReply("order.place"))
    await peer.buy()
    assert (await peer.call("ping"))["id"] == 1
    assert len(sandbox.orders) == 1


async def test_a_repeated_reply(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(DuplicateReply())
    assert await peer.call("time") == await peer.receive()


async def test_events_come_after_the_reply_unless_a_fault_says_otherwise(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer
) -> None:
    for fault, expected in (
        (None, ["reply", "event"]),
        (EventsFirst("userDataStream.unsubscribe"), ["event", "reply"]),
    ):
        if fault is not None:
            sandbox.inject(fault)
        await peer.call("userDataStream.subscribe.signature", **peer.signed())
        await peer.send(2, "userDataStream.unsubscribe")
        assert ["event" if "event" in await peer.receive() else "reply" for _ in range(2)] == expected


async def test_replies_in_reverse(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(Reorder(count=3))
    for number in range(4):
        await peer.send(number, "ping")
    assert [(await peer.receive())["id"] for _ in range(4)] == [2, 1, 0, 3]


@pytest.mark.parametrize(("fault", "request_id"), [(NullIdReply(), None), (UnknownIdReply(), "nobody-asked")])
async def test_replies_to_nobody(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer, fault: Fault, request_id: Any
) -> None:
    sandbox.inject(fault)
    assert (await peer.call("ping"))["id"] == request_id


async def test_garbage(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(Garbage(data="not JSON"))
    sandbox.inject(Garbage(data=b"\x00\x01"))
    sandbox.inject(Garbage(data=b"\xff\xff\xff", is_raw=True))
    await peer.send(1, "ping")
    assert await peer.websocket.get_message() == "not JSON"
    await peer.send(2, "ping")
    assert await peer.websocket.get_message() == b"\x00\x01"
    await peer.send(3, "ping")
    assert await peer.is_dead()


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (ServerError(executed=True), 500, -1000),
        (ServerError(executed=True, status=503, code=-1008, message="busy"), 503, -1008),
        (Timeout(executed=True), 504, -1007),
    ],
)
async def test_errors_of_the_server(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer, fault: Fault, status: int, code: int, executed: bool
) -> None:
    sandbox.inject(replace(fault, executed=executed))
    await peer.buy()
    reply = await peer.receive()
    assert (reply["id"], reply["status"], reply["error"]["code"]) == (9, status, code)
    assert len(sandbox.orders) == executed


@pytest.mark.parametrize("executed", [True, False])
async def test_a_disconnect_instead_of_a_reply(
    autojump_clock: MockClock, sandbox: Sandbox, peer: Peer, executed: bool
) -> None:
    sandbox.inject(Disconnect("order.place", executed=executed))
    await peer.buy()
    await peer.send(10, "ping")
    assert await peer.is_dead()
    assert len(sandbox.orders) == executed
    assert sandbox.received["ping"] == 0


async def test_what_comes_after_a_cut_is_not_executed(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    stream = await _raw_connection(sandbox)
    sandbox.inject(Disconnect("ping"))
    await stream.send_all(encode_frame(Opcode.TEXT, b'{"id":1,"method":"ping"}', b"mask") * 3)
    assert bytes(await stream.receive_some()) == b""
    assert sandbox.received["ping"] == 1


async def test_a_reply_is_cut_at_any_byte(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    whole = len(encode_frame(Opcode.TEXT, b'{"id":1,"status":200,"result":{}}'))
    for position in range(whole + 2):
        sandbox.inject(CutReplyAt(position=position))
        stream = await _raw_connection(sandbox)
        message = b'{"id":1,"method":"ping","params":{"returnRateLimits":false}}'
        await stream.send_all(encode_frame(Opcode.TEXT, message, b"mask"))
        received = b""
        while data := bytes(await stream.receive_some()):
            received += data
        assert len(received) == min(position, whole)


async def test_scripted_limits(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(TooManyRequests(retry_after=10))
    sandbox.inject(IpBan("time", retry_after=60))
    reply = await peer.call("ping")
    assert (reply["status"], reply["error"]["code"]) == (429, -1003)
    assert reply["error"]["data"] == {"serverTime": sandbox.now(), "retryAfter": sandbox.now() + 10_000}
    reply = await peer.call("time")
    assert (reply["status"], reply["error"]["data"]["retryAfter"]) == (418, sandbox.now() + 60_000)
    assert await peer.is_dead()
    assert (await _rejection(sandbox)).status_code == 418


async def test_half_open_at_once(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(HalfOpen())
    await peer.send(1, "ping")
    with trio.move_on_after(1_000) as waiting:
        await peer.receive()
    assert waiting.cancelled_caught
    assert sandbox.connections == 0
    assert peer.websocket.closed is None


async def test_half_open_at_a_request(autojump_clock: MockClock, sandbox: Sandbox, peer: Peer) -> None:
    sandbox.inject(HalfOpen("order.place"))
    assert (await peer.call("ping"))["status"] == 200
    await peer.buy()
    with trio.move_on_after(1_000) as waiting:
        await peer.receive()
    assert waiting.cancelled_caught
    assert sandbox.orders == []


async def test_muted_pings(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    stream = await _raw_connection(sandbox)
    sandbox.inject(MutePings())
    with trio.move_on_after(1_000) as waiting:
        await stream.receive_some()
    assert waiting.cancelled_caught
    assert sandbox.connections == 1


async def test_a_fault_of_a_connection_waits_for_the_next_one_if_there_is_none(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False, faults=[MutePings()]) as sandbox:
        stream = await _raw_connection(sandbox)
        with trio.move_on_after(1_000) as waiting:
            await stream.receive_some()
        assert waiting.cancelled_caught


async def test_a_handshake_status(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    sandbox.inject(HandshakeStatus(status=503, retry_after=7, body=b"busy"))
    rejection = await _rejection(sandbox)
    assert (rejection.status_code, rejection.body) == (503, b"busy")
    assert (b"retry-after", b"7") in rejection.headers
    sandbox.inject(HandshakeStatus(status=502))
    assert (await _rejection(sandbox)).status_code == 502
    async with peer_of(sandbox) as peer:
        assert (await peer.call("ping"))["status"] == 200
