"""The wire: opening, receiving, control frames; over real TCP and TLS too."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h11
import pytest
import trio
import trio.testing
import trio_websocket
import trustme

from bintrio._net import wire as wire_module
from bintrio._net.control_lane import ControlLane
from bintrio._net.streams import connect_tcp
from bintrio._net.wire import WireClosed, open_wire
from bintrio._protocol.frames import Message, Opcode, close_payload, encode_frame
from bintrio.endpoints import Address
from bintrio.errors import HandshakeRejected, ProtocolViolation
from tests.net.raw import Server, closed_with, frames, opened, receive_for_ever, text
from tests.streams import PartialStream, partial_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

# Opening


async def test_the_handshake_names_host_resource_and_headers() -> None:
    async with opened(headers=[("X-Client", "bintrio")]) as (_, server):
        lines = server.request.split(b"\r\n")
    assert lines[0] == b"GET /ws-api/v3 HTTP/1.1"
    assert b"Host: exchange" in lines
    assert b"X-Client: bintrio" in lines


async def test_messages_may_come_with_the_handshake() -> None:
    ping = encode_frame(Opcode.PING, b"early")
    async with opened(followed_by=frames(b"1") + ping + frames(b"2")) as (wire, server):
        wire.send_nowait(b"late")
        assert await wire.receive() == [text(b"1"), text(b"2")]
        # The pong is queued before the caller can answer anything that came after the ping.
        assert await server.next() == Message(Opcode.PONG, b"early")
        assert await server.next() == text(b"late")


async def test_a_peer_that_nobody_here_wrote() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    heard: list[str | bytes] = []

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            websocket = await (await trio_websocket.wrap_server_stream(nursery, theirs)).accept()
            await websocket.ping(b"are you there")
            with suppress(trio_websocket.ConnectionClosed):
                while True:
                    heard.append(await websocket.get_message())
                    await websocket.send_message(heard[-1])
            assert websocket.closed is not None
            heard.append(websocket.closed.name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_wire(ours, host="exchange", resource="/") as wire:
            for payload, opcode in ((b"one", Opcode.TEXT), (b"\xff", Opcode.BINARY), (b"x" * 70_000, Opcode.TEXT)):
                wire.send_nowait(payload, opcode)
                assert await wire.receive() == [Message(opcode, payload)]
    assert heard == ["one", b"\xff", "x" * 70_000, "NORMAL_CLOSURE"]


async def reject(server: Server, answer: bytes, *, then_end: bool = False) -> None:
    await server.read_request()
    await server.stream.send_all(answer)
    if then_end:
        await server.stream.aclose()


async def rejection(answer: bytes, *, then_end: bool = False, **options: Any) -> HandshakeRejected:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await reject(Server(theirs), answer, then_end=then_end)

        nursery.start_soon(serve)
        with pytest.raises(HandshakeRejected) as caught:
            async with open_wire(ours, host="exchange", resource="/", **options):
                pytest.fail("the wire opened")
    return caught.value


async def test_a_rejected_handshake_tells_why() -> None:
    error = await rejection(b"HTTP/1.1 403 Forbidden\r\nServer: waf\r\nContent-Length: 4\r\n\r\nno!!and more")
    assert (error.status, error.body, error.retry_after) == (403, b"no!!", None)
    assert error.headers == (("server", "waf"), ("content-length", "4"))
    assert str(error) == "the opening handshake was answered with HTTP 403 Forbidden: no!!"


async def test_a_rejected_handshake_tells_how_long_to_wait() -> None:
    error = await rejection(b"HTTP/1.1 429 \r\nRetry-After: 17\r\n\r\nslow down", then_end=True)
    assert (error.status, error.body, error.retry_after) == (429, b"slow down", 17)


@pytest.mark.parametrize("value", [b"Wed, 21 Oct 2026 07:28:00 GMT", b"", b"-1", b"\xb2", b"9" * 5000])
async def test_another_retry_after_than_seconds_is_not_understood(value: bytes) -> None:
    answer = b"HTTP/1.0 503 Busy\r\nRetry-After: " + value + b"\r\nContent-Length: 0\r\n\r\n"
    assert (await rejection(answer)).retry_after is None


async def test_the_body_of_a_rejection_may_come_in_pieces() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    server = Server(theirs)

    async def serve() -> None:
        await server.read_request()
        for piece in (b"HTTP/1.1 403 No\r\nContent-Length: 6\r\n", b"\r\nab", b"cd", b"ef"):
            await server.stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(HandshakeRejected) as caught:
            async with open_wire(ours, host="exchange", resource="/"):
                pytest.fail("the wire opened")
    assert caught.value.body == b"abcdef"


async def test_a_handshake_that_cannot_be_sent() -> None:
    ours, _ = trio.testing.memory_stream_pair()
    with pytest.raises(WireClosed, match="trio-websocket failed") as caught:
        async with open_wire(ours, host="exchange", resource="/", headers=[("X", "a\r\nb")]):
            pytest.fail("the wire opened")
    assert isinstance(caught.value.__cause__, h11.LocalProtocolError)


async def test_g8_a_rejection_is_told_before_its_body_comes(autojump_clock: MockClock) -> None:
    told: list[tuple[HandshakeRejected, bytes, float]] = []

    def rejected(error: HandshakeRejected) -> None:
        told.append((error, error.body, trio.current_time()))

    error = await rejection(b"HTTP/1.1 429 Slow\r\nContent-Length: 9\r\n\r\nsome", rejected=rejected)
    assert told == [(error, b"", 0)]
    assert error.body == b"some"


async def test_a_rejection_waits_only_so_long_for_its_body(autojump_clock: MockClock) -> None:
    error = await rejection(b"HTTP/1.1 418 Teapot\r\n\r\nsome of it")
    assert (error.status, error.body) == (418, b"some of it")
    assert trio.current_time() == pytest.approx(2.0, abs=0.01)


async def failed_handshake(answer: bytes, *, then_end: bool = False) -> WireClosed:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await reject(Server(theirs), answer, then_end=then_end)

        nursery.start_soon(serve)
        with pytest.raises(WireClosed) as caught:
            async with open_wire(ours, host="exchange", resource="/"):
                pytest.fail("the wire opened")
    return caught.value


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 1o1 \r\n", id="no status"),
        pytest.param(b"HTTP/1.1 101 Sure\r\n\r\n", id="no upgrade"),
        pytest.param(
            b"HTTP/1.1 101 Sure\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            id="wrong key",
        ),
        pytest.param(b"HTTP/1.1 101 Sure\r\n:\r\n\r\n", id="bad header"),
        pytest.param(b"HTTP/1.1 101 Sure\r\n" + b"X: y\r\n" * 5000, id="endless headers"),
    ],
)
async def test_a_handshake_answered_with_garbage(answer: bytes) -> None:
    error = await failed_handshake(answer)
    assert error.code is None
    assert isinstance(error.__cause__, ProtocolViolation)
    assert error.__cause__.raw == answer[:1024]


async def test_a_handshake_that_is_cut_off() -> None:
    error = await failed_handshake(b"HTTP/1.1 101 Swi", then_end=True)
    assert error.reason == "the server ended the stream during the opening handshake"


# Receiving


async def test_all_messages_of_one_read_come_together() -> None:
    async with opened() as (wire, server):
        await server.stream.send_all(frames(b"1", b"2") + encode_frame(Opcode.BINARY, b"\xff") + b"\x81\x05be")
        assert await wire.receive() == [text(b"1"), text(b"2"), Message(Opcode.BINARY, b"\xff")]
        await server.stream.send_all(b"gin")
        assert await wire.receive() == [text(b"begin")]


async def test_fragments_with_a_ping_between() -> None:
    async with opened() as (wire, server):
        await server.stream.send_all(
            encode_frame(Opcode.TEXT, b"\xe2\x82", fin=False)
            + encode_frame(Opcode.PING, b"now")
            + encode_frame(Opcode.CONTINUATION, b"\xac")
        )
        assert await wire.receive() == [text("€".encode())]
        assert await server.next() == Message(Opcode.PONG, b"now")


async def test_a_huge_message() -> None:
    payload = b"x" * 16_900_000  # as large as exchangeInfo has been
    async with opened() as (wire, server):
        await server.stream.send_all(frames(payload))
        assert await wire.receive() == [text(payload)]


async def test_byte_by_byte() -> None:
    async with opened() as (wire, server), trio.open_nursery() as nursery:
        stream = frames(b"1", b"x" * 200) + encode_frame(Opcode.PING, b"p") + frames(b"3")

        async def trickle() -> None:
            for octet in stream:
                await server.stream.send_all(bytes([octet]))
                await trio.testing.wait_all_tasks_blocked()

        nursery.start_soon(trickle)
        received = [await wire.receive() for _ in range(3)]
        assert received == [[text(b"1")], [text(b"x" * 200)], [text(b"3")]]
        assert await server.next() == Message(Opcode.PONG, b"p")


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        pytest.param(b"\xc1\x00", 1002, id="reserved bit"),
        pytest.param(b"\x83\x00", 1002, id="unknown opcode"),
        pytest.param(encode_frame(Opcode.TEXT, b"a", b"mask"), 1002, id="masked"),
        pytest.param(b"\x09\x00", 1002, id="fragmented ping"),
        pytest.param(b"\x88\x02\x03\xed", 1002, id="invalid close code"),
        pytest.param(b"\x81\x01\xff", 1007, id="not UTF-8"),
        pytest.param(b"\x81\x7e\x10\x00", 1009, id="too long"),
    ],
)
async def test_a_broken_rule_ends_the_wire_with_its_code(stream: bytes, code: int) -> None:
    async with opened(max_message_size=4095) as (wire, server):
        await server.stream.send_all(frames(b"before") + stream)
        assert await wire.receive() == [text(b"before")]
        error = await closed_with(wire)
        assert error.code == code
        assert isinstance(error.__cause__, ProtocolViolation)
        assert error.__cause__.raw.startswith(stream)
        with pytest.raises(WireClosed):
            wire.send_nowait(b"too late")
    assert server.close == (code, error.reason)


async def test_the_server_closes() -> None:
    async with opened() as (wire, server):
        await server.stream.send_all(
            frames(b"last") + encode_frame(Opcode.CLOSE, close_payload(1001, "restart")) + frames(b"ignored")
        )
        assert await wire.receive() == [text(b"last")]
        error = await closed_with(wire)
        assert (error.code, error.reason, str(error), error.__cause__) == (1001, "restart", "1001 restart", None)
        with pytest.raises(WireClosed, match="1001 restart"):
            await wire.room()
        assert repr(wire).startswith("<Wire closed (restart), ")
    assert server.close == (1001, "restart")


async def test_the_server_closes_without_a_code() -> None:
    async with opened() as (wire, server):
        await server.stream.send_all(encode_frame(Opcode.CLOSE, b""))
        error = await closed_with(wire)
        assert (error.code, str(error)) == (None, "closed by the server")
    assert server.close == (None, "")


@pytest.mark.parametrize(
    ("stream", "place"),
    [
        (b"", "without a close frame"),
        (b"\x81", "in the middle of a message"),
        (b"\x81\x05begi", "in the middle of a message"),
        (b"\x01\x05begin", "in the middle of a message"),
    ],
)
async def test_the_stream_ends(stream: bytes, place: str) -> None:
    async with opened() as (wire, server):
        await server.stream.send_all(frames(b"1") + stream)
        await server.stream.aclose()
        assert await wire.receive() == [text(b"1")]
        error = await closed_with(wire)
        assert (error.code, error.reason) == (None, f"the server ended the stream {place}")


async def test_a_failed_write_lets_answers_in_flight_arrive(autojump_clock: MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with opened((ours, theirs)) as (wire, server):
        theirs.receive_stream.close()
        outgoing = wire.send_nowait(b"lost")
        await trio.testing.wait_all_tasks_blocked()
        assert outgoing.taken
        with pytest.raises(WireClosed, match="writing failed"):
            wire.send_nowait(b"refused")
        await server.stream.send_all(frames(b"an answer"))
        assert await wire.receive() == [text(b"an answer")]
        error = await closed_with(wire)
        assert trio.current_time() == pytest.approx(2.0, abs=0.01)
        assert (error.code, error.reason) == (None, "writing failed: MemoryReceiveStream was closed")
        assert isinstance(error.__cause__, trio.BrokenResourceError)


class Failing(trio.abc.ReceiveStream):
    """A stream that fails on demand."""

    fails = False

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self.fails:
            raise OSError("no route")
        return bytes(await self._stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self._stream.aclose()


async def test_a_failed_read_ends_the_wire() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    failing = Failing(ours.receive_stream)
    async with opened((trio.StapledStream(ours.send_stream, failing), theirs)) as (wire, _):
        failing.fails = True
        error = await closed_with(wire)
        assert error.reason == "reading failed: no route"
        assert isinstance(error.__cause__, OSError)


# Control frames


async def test_g3_pings_are_answered_while_nobody_sends() -> None:
    async with opened() as (wire, server), trio.open_nursery() as nursery:
        nursery.start_soon(receive_for_ever, wire)
        for payload in (b"", b"1700000000000", b"x" * 125):
            await server.stream.send_all(encode_frame(Opcode.PING, payload))
            assert await server.next() == Message(Opcode.PONG, payload)
        nursery.cancel_scope.cancel()


async def test_g3_a_pong_goes_ahead_of_queued_data_and_is_reported_once_written() -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    written: list[float] = []
    async with (
        opened((ours, theirs), pong_written=written.append) as (wire, server),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(receive_for_ever, wire)
        wire.send_nowait(b"in writing")  # the writer now waits for the server to read
        await trio.testing.wait_all_tasks_blocked()
        wire.send_nowait(b"queued")
        await server.stream.send_all(encode_frame(Opcode.PING, b"1") + encode_frame(Opcode.PONG, b"unasked"))
        await trio.testing.wait_all_tasks_blocked()
        assert written == []
        assert await server.next() == text(b"in writing")
        assert await server.next() == Message(Opcode.PONG, b"1")
        assert await server.next() == text(b"queued")
        await trio.testing.wait_all_tasks_blocked()
        assert len(written) == 1
        nursery.cancel_scope.cancel()


async def test_g3_a_pong_goes_ahead_of_queued_data_on_a_stream_that_takes_writes_at_once() -> None:
    ours, theirs = partial_pairs(trio.testing.memory_stream_pair)()
    assert isinstance(ours, PartialStream)
    async with opened((ours, theirs)) as (wire, server), trio.open_nursery() as nursery:
        nursery.start_soon(receive_for_ever, wire)
        ours.may_leave = trio.Event()
        assert wire.send_nowait(b"taken", at_once=True).taken
        queued = wire.send_nowait(b"queued", at_once=True)
        await server.stream.send_all(encode_frame(Opcode.PING, b"1"))
        await trio.testing.wait_all_tasks_blocked()
        assert not queued.taken
        ours.may_leave.set()
        assert await server.next() == text(b"taken")
        assert await server.next() == Message(Opcode.PONG, b"1")
        assert await server.next() == text(b"queued")
        nursery.cancel_scope.cancel()


async def test_more_pings_than_can_be_answered_end_the_wire(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_module, "_MAX_UNANSWERED_PINGS", 10)
    pair = trio.testing.lockstep_stream_pair()
    # No answer to the close frame, since a lockstep stream is unfit for use once a send has been cancelled.
    async with opened(pair, answers_close=False) as (wire, server), trio.open_nursery() as nursery:

        async def flood() -> None:
            with suppress(trio.BrokenResourceError):
                while True:
                    await server.stream.send_all(encode_frame(Opcode.PING, b"") * 3)

        nursery.start_soon(flood)
        assert (await closed_with(wire)).code == 1008
        nursery.cancel_scope.cancel()
    assert server.close == (1008, "more pings than pongs can be written")


async def test_a_failure_of_trio_websocket_ends_the_wire(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = trio.Event()
    wrap = trio_websocket.wrap_client_stream

    async def wrap_and_fail(nursery: trio.Nursery, *arguments: Any, **options: Any) -> Any:
        async def fail() -> None:
            await fails.wait()
            raise ValueError("a bug")

        nursery.start_soon(fail)
        return await wrap(nursery, *arguments, **options)

    monkeypatch.setattr(trio_websocket, "wrap_client_stream", wrap_and_fail)
    async with opened() as (wire, _):
        fails.set()
        error = await closed_with(wire)
        assert error.reason == "trio-websocket failed: a bug"
        assert isinstance(error.__cause__, ValueError)


async def test_the_control_lane_is_a_stream() -> None:
    sent: list[bytes] = []
    lane = ControlLane(sent.append)
    await lane.wait_send_all_might_not_block()
    await lane.send_all(bytearray(b"frame"))
    lane.feed(b"abc")
    assert [await lane.receive_some(2), await lane.receive_some(2)] == [b"ab", b"c"]
    assert sent == [b"frame"]


# Cut at every byte

CUT_STREAM = (
    frames(b"1", b"x" * 130)
    + encode_frame(Opcode.PING, b"p")
    + encode_frame(Opcode.TEXT, b"\xe2", fin=False)
    + encode_frame(Opcode.CONTINUATION, b"\x82\xac")
    + encode_frame(Opcode.CLOSE, close_payload(1001, "bye"))
)
CUT_MESSAGES = [text(b"1"), text(b"x" * 130), text("€".encode())]
HEAD_SIZE = 129


async def test_a_connection_cut_at_any_byte_ends_in_wire_closed(autojump_clock: MockClock) -> None:
    for size in range(HEAD_SIZE + len(CUT_STREAM)):
        received, error = await cut_connection(size)
        assert received == CUT_MESSAGES[: len(received)]
        assert error.code is None
        assert error.reason.startswith(("the server ended the stream", "writing failed"))
    received, error = await cut_connection(HEAD_SIZE + len(CUT_STREAM))
    assert received == CUT_MESSAGES
    assert (error.code, error.reason) == (1001, "bye")


async def cut_connection(size: int) -> tuple[Sequence[Message], WireClosed]:
    """What is received from a server that sends only so many bytes."""
    ours, theirs = trio.testing.memory_stream_pair()
    server = Server(theirs)
    received: list[Message] = []

    async def serve() -> None:
        await server.read_request()
        assert len(server.acceptance()) == HEAD_SIZE
        await server.stream.send_all((server.acceptance() + CUT_STREAM)[:size])
        await server.stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(WireClosed) as caught:
            await receive_into(received, ours)
    return received, caught.value


async def receive_into(received: list[Message], stream: trio.abc.Stream) -> None:
    async with open_wire(stream, host="exchange", resource="/") as wire:
        while True:
            received += await wire.receive()


# Real sockets


async def serve_echo(nursery: trio.Nursery, *, authority: trustme.CA | None = None, name: str = "localhost") -> Address:
    """A WebSocket server by trio-websocket on loopback, with TLS if there is an authority to vouch for it."""
    context = None
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with authority.issue_cert(name).private_key_and_cert_chain_pem.tempfile() as path:
            context.load_cert_chain(path)

    async def echo(request: trio_websocket.WebSocketRequest) -> None:
        websocket = await request.accept()
        with suppress(trio_websocket.ConnectionClosed):
            while True:
                await websocket.send_message(await websocket.get_message())

    server = await nursery.start(trio_websocket.serve_websocket, echo, "127.0.0.1", 0, context)
    return Address(host="localhost", port=server.port, secure=context is not None, resource="/")


@pytest.mark.parametrize("secure", [False, True])
async def test_over_real_sockets(secure: bool) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    async with trio.open_nursery() as nursery:
        address = await serve_echo(nursery, authority=authority if secure else None)
        stream = await connect_tcp(address, ssl_context=context)
        async with open_wire(stream, host=address.authority, resource=address.resource) as wire:
            for payload in (b"hello", b"x" * 300_000):
                wire.send_nowait(payload)
                assert await wire.receive() == [text(payload)]
        nursery.cancel_scope.cancel()
