"""The wire: against a server written here in raw bytes, against trio-websocket's server, and over real TCP and TLS."""

from __future__ import annotations

import base64
import hashlib
import signal
import socket
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import h11
import pytest
import trio
import trio.testing
import trio_websocket
import trustme
from hypothesis import given
from hypothesis import strategies as st

from bintrio._net import wire as wire_module
from bintrio._net import writer
from bintrio._net.control_lane import ControlLane
from bintrio._net.streams import PromptStream, connect_tcp
from bintrio._net.wire import Wire, WireClosed, open_wire
from bintrio._net.writer import Outgoing
from bintrio._protocol.frames import FrameDecoder, Message, Opcode, close_payload, encode_frame, parse_close
from bintrio.endpoints import Address
from bintrio.errors import HandshakeRejected, ProtocolViolation
from tests.streams import PartialStream, partial_pairs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from trio.testing import MockClock

CLOSE_1000 = encode_frame(Opcode.CLOSE, close_payload(1000, ""))
CLOSE_1001 = encode_frame(Opcode.CLOSE, close_payload(1001, ""))


def text(payload: bytes) -> Message:
    return Message(Opcode.TEXT, payload)


def frames(*payloads: bytes) -> bytes:
    return b"".join(encode_frame(Opcode.TEXT, payload) for payload in payloads)


class Server:
    """The other end of a stream, in raw bytes.

    Args:
        stream: its end.
        answers_close: whether it answers a close frame with its own, and ends the stream.

    Attributes:
        close: code and reason of the client's close frame.
    """

    def __init__(self, stream: trio.abc.Stream, *, answers_close: bool = True) -> None:
        self.stream = stream
        self.request = b""
        self.close: tuple[int | None, str] | None = None
        self._answers_close = answers_close
        self._decoder = FrameDecoder(masked=True, max_message_size=2**26)
        self._received: list[Message] = []

    async def read_request(self) -> None:
        while b"\r\n\r\n" not in self.request:
            self.request += bytes(await self.stream.receive_some())

    def acceptance(self) -> bytes:
        (key,) = [line[19:] for line in self.request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: ")]
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )

    async def shake_hands(self, *, followed_by: bytes = b"") -> None:
        await self.read_request()
        await self.stream.send_all(self.acceptance() + followed_by)

    async def next(self) -> Message:
        """The next message or control frame from the client."""
        while not self._received:
            data = bytes(await self.stream.receive_some())
            if not data:
                raise EOFError
            self._received += self._decoder.feed(data)
            assert self._decoder.violation is None
        return self._received.pop(0)

    async def next_close(self) -> tuple[int | None, str]:
        """Code and reason of the client's close frame, everything before it skipped."""
        while (message := await self.next()).opcode is not Opcode.CLOSE:
            pass
        return parse_close(message.payload)

    async def answer_close(self) -> None:
        """Read until the client closes, then close too."""
        with suppress(EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
            self.close = await self.next_close()
            if self._answers_close:
                await self.stream.send_all(CLOSE_1000)
                await self.stream.aclose()


StreamPair = tuple[trio.abc.Stream, trio.abc.Stream]


@asynccontextmanager
async def opened(
    pair: StreamPair | None = None, *, followed_by: bytes = b"", answers_close: bool = True, **options: Any
) -> AsyncGenerator[tuple[Wire, Server]]:
    """An open wire and its server, which answers the close frame when the body is over."""
    ours, theirs = pair or trio.testing.memory_stream_pair()
    server = Server(theirs, answers_close=answers_close)
    async with trio.open_nursery() as nursery:

        async def shake_hands() -> None:
            await server.shake_hands(followed_by=followed_by)

        nursery.start_soon(shake_hands)
        async with open_wire(ours, host="exchange", resource="/ws-api/v3", **options) as wire:
            yield wire, server
            nursery.start_soon(server.answer_close)


async def closed_with(wire: Wire) -> WireClosed:
    """Receive nothing but the end."""
    with pytest.raises(WireClosed) as caught:
        await wire.receive()
    return caught.value


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


async def receive_for_ever(wire: Wire) -> None:
    while True:
        await wire.receive()


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


# Sending


async def test_frames_queued_together_leave_in_order() -> None:
    async with opened() as (wire, server):
        queued = [wire.send_nowait(b"%d" % number) for number in range(3)]
        assert [outgoing.taken for outgoing in queued] == [False, False, False]
        assert repr(wire) == "<Wire open, 21 bytes waiting>"
        assert [await server.next() for _ in queued] == [text(b"0"), text(b"1"), text(b"2")]
        assert [outgoing.taken for outgoing in queued] == [True, True, True]
        assert wire.backlog == 0


async def test_g6_a_withdrawn_frame_never_leaves() -> None:
    async with opened() as (wire, server):
        kept, withdrawn, last = (wire.send_nowait(payload) for payload in (b"kept", b"withdrawn", b"last"))
        assert wire.withdraw(withdrawn)
        assert wire.withdraw(withdrawn)
        assert wire.backlog == kept.size + last.size
        assert [await server.next(), await server.next()] == [text(b"kept"), text(b"last")]
        assert not wire.withdraw(kept)
        assert not withdrawn.taken


async def test_g6_a_server_that_stops_reading_makes_senders_wait_where_they_can_be_cancelled() -> None:
    async with opened(trio.testing.lockstep_stream_pair(), max_backlog=1000) as (wire, server):
        taken = wire.send_nowait(b"t" * 400)
        await trio.testing.wait_all_tasks_blocked()
        queued = wire.send_nowait(b"q" * 600)
        assert wire.backlog > 1000
        assert wire.is_full
        with trio.CancelScope() as impatient:
            impatient.cancel()
            await wire.room()
        assert impatient.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.room)
            await trio.testing.wait_all_tasks_blocked()
            assert wire.withdraw(queued)  # which makes room
        assert not wire.withdraw(taken)
        wire.send_nowait(b"after")
        assert [await server.next(), await server.next()] == [text(b"t" * 400), text(b"after")]


async def test_room_is_no_checkpoint_while_there_is_some() -> None:
    async with opened() as (wire, _):
        assert not wire.is_full
        with trio.testing.assert_no_checkpoints():
            await wire.room()


async def test_those_who_wait_for_room_learn_of_the_end() -> None:
    async with opened(trio.testing.lockstep_stream_pair(), max_backlog=1) as (wire, server):
        queued = [wire.send_nowait(b"x") for _ in range(2)]
        async with trio.open_nursery() as nursery:

            async def wait_for_room() -> None:
                with pytest.raises(WireClosed, match="1001"):
                    await wire.room()

            nursery.start_soon(wait_for_room)
            await trio.testing.wait_all_tasks_blocked()
            late = wire.send_nowait(b"y")
            nursery.start_soon(server.stream.send_all, encode_frame(Opcode.CLOSE, close_payload(1001, "")))
            await closed_with(wire)
        assert [outgoing.taken for outgoing in (*queued, late)] == [True, True, False]
        assert wire.withdraw(late)


async def test_a_long_backlog_is_written_in_several_batches() -> None:
    async with opened(trio.testing.lockstep_stream_pair()) as (wire, server):
        queued = [wire.send_nowait(b"x" * 40_000) for _ in range(4)]
        await trio.testing.wait_all_tasks_blocked()
        assert [outgoing.taken for outgoing in queued] == [True, True, False, False]
        for _ in queued:
            assert await server.next() == text(b"x" * 40_000)


# Sending at once


class Prompt(PromptStream):
    """A stream in memory whose kernel takes only so many bytes, and fails on demand.

    Attributes:
        takes: bytes that are taken before it is full.
        fails: with what the next write fails.
        writes: how many there were.
    """

    def __init__(self, stream: trio.abc.Stream, peer: trio.testing.MemoryReceiveStream) -> None:
        self.takes = 2**30
        self.fails: Exception | None = None
        self.writes = 0
        self._stream = stream
        self._peer = peer
        self._unsent = b""
        self._has_room = trio.Event()

    def send_nowait(self, data: bytes) -> bool:
        if self.fails is not None:
            raise self.fails
        self.writes += 1
        self._unsent += data
        sent, self._unsent = self._unsent[: self.takes], self._unsent[self.takes :]
        self.takes -= len(sent)
        if sent:
            self._peer.put_data(sent)
        return not self._unsent

    def make_room(self, size: int = 2**30) -> None:
        self.takes = size
        self._has_room.set()
        self._has_room = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        is_sent = self.send_nowait(bytes(data))
        while not is_sent:
            await self._has_room.wait()
            is_sent = self.send_nowait(b"")

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self._stream.aclose()


def prompt_pair() -> tuple[Prompt, trio.abc.Stream]:
    ours, theirs = trio.testing.memory_stream_pair()
    return Prompt(ours, theirs.receive_stream), theirs


async def test_a_frame_sent_at_once_has_left_on_return() -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        await trio.testing.wait_all_tasks_blocked()
        writes = ours.writes
        with trio.testing.assert_no_checkpoints():
            outgoing = wire.send_nowait(b"now", at_once=True)
        assert (outgoing.taken, wire.backlog, ours.writes) == (True, 0, writes + 1)
        assert not wire.withdraw(outgoing)
        assert await server.next() == text(b"now")


async def test_other_streams_are_written_to_by_the_writer_only() -> None:
    async with opened() as (wire, server):
        assert not wire.send_nowait(b"in its turn", at_once=True).taken
        assert await server.next() == text(b"in its turn")


async def test_what_is_sent_at_once_does_not_overtake_what_is_queued() -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        await trio.testing.wait_all_tasks_blocked()
        writes = ours.writes
        queued = [wire.send_nowait(b"1"), wire.send_nowait(b"2", at_once=True), wire.send_nowait(b"3")]
        assert [outgoing.taken for outgoing in queued] == [False, False, False]
        assert [await server.next() for _ in queued] == [text(b"1"), text(b"2"), text(b"3")]
        assert ours.writes == writes + 1  # all in one


async def test_a_withdrawn_frame_does_not_keep_the_next_one_waiting() -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        assert wire.withdraw(wire.send_nowait(b"withdrawn"))
        assert wire.send_nowait(b"now", at_once=True).taken
        wire.send_nowait(b"next")
        assert [await server.next(), await server.next()] == [text(b"now"), text(b"next")]


async def test_g13_a_message_is_said_to_be_written_once_all_of_it_is() -> None:
    ours, theirs = prompt_pair()
    written: list[str] = []
    async with opened((ours, theirs)) as (wire, server):
        await trio.testing.wait_all_tasks_blocked()
        wire.send_nowait(b"at once", at_once=True, written=lambda: written.append("at once"))
        assert written == ["at once"]
        ours.takes = 3
        wire.send_nowait(b"in two parts", at_once=True, written=lambda: written.append("in two parts"))
        wire.send_nowait(b"queued", written=lambda: written.append("queued"))
        withdrawn = wire.send_nowait(b"withdrawn", written=lambda: written.append("withdrawn"))
        wire.send_nowait(b"of no interest")
        assert wire.withdraw(withdrawn)
        await trio.testing.wait_all_tasks_blocked()
        assert written == ["at once"]
        ours.make_room(1000)
        for payload in (b"at once", b"in two parts", b"queued", b"of no interest"):
            assert await server.next() == text(payload)
        await trio.testing.wait_all_tasks_blocked()
        assert written == ["at once", "in two parts", "queued"]


async def test_g6_what_did_not_leave_at_once_leaves_before_anything_else() -> None:
    ours, theirs = prompt_pair()
    written: list[float] = []
    async with (
        opened((ours, theirs), pong_written=written.append) as (wire, server),
        trio.open_nursery() as nursery,
    ):
        await trio.testing.wait_all_tasks_blocked()
        ours.takes = 3
        outgoing = wire.send_nowait(b"in two parts", at_once=True)
        assert (outgoing.taken, wire.backlog) == (True, outgoing.size)
        assert not wire.withdraw(outgoing)
        later = wire.send_nowait(b"later", at_once=True)
        assert not later.taken
        nursery.start_soon(receive_for_ever, wire)
        await server.stream.send_all(encode_frame(Opcode.PING, b"p"))
        await trio.testing.wait_all_tasks_blocked()
        ours.make_room(10)
        await trio.testing.wait_all_tasks_blocked()
        assert (written, later.taken) == ([], False)
        ours.make_room()
        assert await server.next() == text(b"in two parts")
        assert [await server.next(), await server.next()] == [Message(Opcode.PONG, b"p"), text(b"later")]
        await trio.testing.wait_all_tasks_blocked()
        assert (len(written), wire.backlog) == (1, 0)
        assert wire.send_nowait(b"at once again", at_once=True).taken
        nursery.cancel_scope.cancel()


async def test_g6_what_did_not_leave_at_once_leaves_before_the_close_frame() -> None:
    ours, theirs = prompt_pair()
    server = Server(theirs)

    async def serve() -> None:
        await server.shake_hands()
        await trio.testing.wait_all_tasks_blocked()
        ours.make_room()
        assert await server.next() == text(b"in two parts")
        await server.answer_close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_wire(ours, host="exchange", resource="/") as wire:
            ours.takes = 3
            wire.send_nowait(b"in two parts", at_once=True)
    assert server.close == (1000, "")


async def test_g6_what_did_not_leave_at_once_is_finished_though_the_server_closes() -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        ours.takes = 3
        wire.send_nowait(b"in two parts", at_once=True)
        withdrawn = wire.send_nowait(b"too late")
        await server.stream.send_all(encode_frame(Opcode.CLOSE, close_payload(1001, "")))
        assert (await closed_with(wire)).code == 1001
        assert not withdrawn.taken
        ours.make_room()
        assert await server.next() == text(b"in two parts")
    assert server.close == (1001, "")


async def test_leaving_after_a_failed_write_waits_for_nobody(autojump_clock: MockClock) -> None:
    """No close frame can leave any more, and so none is waited for."""
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, _server):
        await trio.testing.wait_all_tasks_blocked()
        ours.fails = trio.BrokenResourceError("reset")
        wire.send_nowait(b"lost", at_once=True)
    assert trio.current_time() == 0


@pytest.mark.parametrize("error", [trio.BrokenResourceError("reset"), BrokenPipeError("pipe")])
async def test_a_write_at_once_that_fails_lets_answers_in_flight_arrive(
    error: Exception, autojump_clock: MockClock
) -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        await trio.testing.wait_all_tasks_blocked()
        ours.fails = error
        outgoing = wire.send_nowait(b"lost", at_once=True)
        assert outgoing.taken
        with pytest.raises(WireClosed, match="writing failed"):
            wire.send_nowait(b"refused", at_once=True)
        with pytest.raises(WireClosed, match="writing failed"):
            await wire.room()
        await server.stream.send_all(frames(b"an answer"))
        assert await wire.receive() == [text(b"an answer")]
        closed = await closed_with(wire)
        assert trio.current_time() == pytest.approx(2.0, abs=0.01)
        assert (closed.code, closed.reason, closed.__cause__) == (None, f"writing failed: {error}", error)


async def test_a_write_at_once_to_a_socket_that_was_reset() -> None:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        address = Address(host="127.0.0.1", port=listener.socket.getsockname()[1], secure=False, resource="/")
        stream = await connect_tcp(address)
        peer = await listener.accept()
        nursery.start_soon(Server(peer).shake_hands)
        async with open_wire(stream, host="exchange", resource="/", close_timeout=0) as wire:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset it by closing
            await peer.aclose()
            assert wire.send_nowait(b"lost", at_once=True).taken
            error = await closed_with(wire)
        assert error.reason == "writing failed: the connection is broken: connection reset by peer"
        assert isinstance(error.__cause__, trio.BrokenResourceError)
        assert isinstance(error.__cause__.__cause__, ConnectionResetError)
        await listener.aclose()


def test_g6_ctrl_c_waits_until_a_frame_sent_at_once_is_whole() -> None:
    written: list[tuple[bool, int]] = []

    class Interrupted(Prompt):
        def send_nowait(self, data: bytes) -> bool:
            if b"GET" not in data:
                signal.raise_signal(signal.SIGINT)
            return super().send_nowait(data)

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        async with opened((Interrupted(ours, theirs.receive_stream), theirs)) as (wire, server):
            written.append((wire.send_nowait(b"whole", at_once=True).taken, wire.backlog))
            await server.next()

    with pytest.raises(BaseException) as caught:  # noqa: PT011  # a group of one: the nursery is the test's own
        trio.run(main)
    assert caught.group_contains(KeyboardInterrupt)
    assert written == [(True, 0)]


async def test_the_writer_s_own_failure_with_a_prompt_stream(autojump_clock: MockClock) -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, _):
        ours.fails = trio.BrokenResourceError()
        assert not wire.send_nowait(b"queued").taken
        assert (await closed_with(wire)).reason == "writing failed: BrokenResourceError"


async def test_a_stream_that_takes_everything_does_not_starve_other_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_BATCH", 1)
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        for _ in range(10):
            wire.send_nowait(b"x")
        for turn in range(1, 10):  # a batch for each turn of ours
            await trio.lowlevel.checkpoint()
            assert wire.backlog >= 7 * (10 - turn)
        assert [await server.next() for _ in range(10)] == [text(b"x")] * 10


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 200)),
        st.tuples(st.just("send at once"), st.integers(0, 200)),
        st.tuples(st.just("withdraw"), st.integers(0, 20)),
        st.tuples(st.just("limit"), st.integers(0, 100)),
        st.tuples(st.just("make room"), st.integers(0, 100)),
        st.tuples(st.just("wait"), st.just(0)),
    ),
    max_size=30,
)


@given(STEPS)
def test_g6_frames_leave_whole_and_in_order_however_they_are_sent(steps: list[tuple[str, int]]) -> None:
    sent: list[tuple[Outgoing, bytes]] = []

    async def take(step: str, number: int, wire: Wire, stream: Prompt) -> None:
        if step.startswith("send"):
            payload = b"%d" % len(sent) + b"." * number
            sent.append((wire.send_nowait(payload, at_once=step == "send at once"), payload))
        elif step == "withdraw" and number < len(sent) and wire.withdraw(sent[number][0]):
            del sent[number]
        elif step == "limit":
            stream.takes = number
        elif step == "make room":
            stream.make_room(number)
        elif step == "wait":
            await trio.testing.wait_all_tasks_blocked()

    async def main() -> None:
        ours, theirs = prompt_pair()
        async with opened((ours, theirs)) as (wire, server):
            for step, number in steps:
                await take(step, number, wire, ours)
            ours.make_room()
            assert [await server.next() for _ in sent] == [text(payload) for _, payload in sent]
            await trio.testing.wait_all_tasks_blocked()
            assert wire.backlog == 0
        assert server.close == (1000, "")

    trio.run(main)


# Cancellation


async def test_g6_a_cancelled_receive_loses_nothing() -> None:
    async with opened() as (wire, server):
        for number in range(5):
            with trio.CancelScope() as scope:
                scope.cancel()
                await wire.receive()
            assert scope.cancelled_caught
            await server.stream.send_all(frames(b"%d" % number))
            assert await wire.receive() == [text(b"%d" % number)]


async def test_g6_receive_cancelled_while_a_pong_is_queued_loses_nothing() -> None:
    async with opened() as (wire, server):
        await server.stream.send_all(encode_frame(Opcode.PING, b"p") + frames(b"kept"))
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wire.receive)
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
                scope.cancel()
        assert scope.cancelled_caught
        assert await wire.receive() == [text(b"kept")]
        assert await server.next() == Message(Opcode.PONG, b"p")


@pytest.mark.parametrize("ticks", range(40))
async def test_g6_cancelled_at_any_checkpoint_the_stream_is_closed(ticks: int) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    server = Server(theirs)
    ended = False
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            with suppress(EOFError, trio.BrokenResourceError):
                await server.shake_hands()
                await server.next()
                await server.stream.send_all(frames(b"answer"))
                await server.answer_close()

        async def use() -> None:
            async with open_wire(ours, host="exchange", resource="/") as wire:
                wire.send_nowait(b"question")
                assert await wire.receive() == [text(b"answer")]

        async def cancel(scope: trio.CancelScope) -> None:
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            scope.cancel()

        server_scope = trio.CancelScope()
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel, scope)
            nursery.start_soon(in_scope, server_scope, serve)
            await use()
            ended = True
        server_scope.cancel()
    assert ended is not scope.cancelled_caught
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")


async def in_scope(scope: trio.CancelScope, run: Callable[[], Any]) -> None:
    with scope:
        await run()


# Leaving


async def test_what_is_queued_leaves_before_the_close_frame() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    server = Server(theirs)
    heard: list[Message] = []

    async def serve() -> None:
        await server.shake_hands()
        heard.extend([await server.next(), await server.next()])
        await server.stream.send_all(CLOSE_1000)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_wire(ours, host="exchange", resource="/") as wire:
            wire.send_nowait(b"a parting word")
    assert heard == [text(b"a parting word"), Message(Opcode.CLOSE, close_payload(1000, ""))]
    with pytest.raises(WireClosed, match="1000 closed by this side"):
        wire.send_nowait(b"too late")


async def test_what_comes_while_closing_is_dropped() -> None:
    async with opened() as (_, server):
        await server.stream.send_all(frames(b"dropped") + encode_frame(Opcode.PING, b"dropped"))
    assert server.close == (1000, "")


async def test_pings_just_before_leaving_do_not_spoil_the_close() -> None:
    async with opened() as (wire, server), trio.open_nursery() as nursery:
        nursery.start_soon(receive_for_ever, wire)
        await server.stream.send_all(encode_frame(Opcode.PING, b"p") * 50)
        for _ in range(10):  # long enough to read the pings, too short to answer them all
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert server.close == (1000, "")


async def test_the_server_ends_the_stream_instead_of_closing() -> None:
    async with opened() as (wire, server):
        await server.stream.aclose()
    assert repr(wire).startswith("<Wire closed (closed by this side), ")


async def test_closing_is_bounded_if_the_server_never_answers(autojump_clock: MockClock) -> None:
    async with opened(answers_close=False, close_timeout=3.0) as (_, server):
        pass
    assert trio.current_time() == pytest.approx(3.0, abs=0.01)
    assert server.close == (1000, "")


async def test_closing_is_bounded_if_the_server_stops_reading(autojump_clock: MockClock) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Server(theirs).shake_hands)
        async with open_wire(ours, host="exchange", resource="/") as wire:
            wire.send_nowait(b"never read")
            await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == pytest.approx(2.0, abs=0.01)


class Complaint(Exception):
    pass


async def test_an_exception_of_the_body_comes_out_bare() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    server = Server(theirs)
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await server.shake_hands()
            await server.answer_close()

        for complaint in (Complaint(), ExceptionGroup("two", [Complaint(), Complaint()])):
            ours, theirs = trio.testing.memory_stream_pair()
            server = Server(theirs)
            nursery.start_soon(serve)
            with pytest.raises(type(complaint)) as caught:
                async with open_wire(ours, host="exchange", resource="/"):
                    raise complaint
            assert caught.value is complaint
            assert server.close == (1000, "")


async def test_an_exception_of_a_cancelled_body_comes_out_bare() -> None:
    complaint = Complaint()

    async def complain(scope: trio.CancelScope) -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(Server(theirs).shake_hands)
        async with open_wire(ours, host="exchange", resource="/"):
            scope.cancel()
            raise complaint

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope, pytest.raises(Complaint) as caught:
            await complain(scope)
    assert caught.value is complaint


async def test_a_cancellation_while_closing_passes_through() -> None:
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(Server(theirs).shake_hands)
        with trio.CancelScope() as scope:
            async with open_wire(ours, host="exchange", resource="/"):
                scope.cancel()
        assert scope.cancelled_caught


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


# The end, step by step


@pytest.mark.parametrize("last", [CLOSE_1001, b"\xc1\x00"], ids=["closed by the server", "a broken rule"])
async def test_g7_what_is_queued_when_the_wire_ends_never_leaves(last: bytes) -> None:
    """The writer is busy with an earlier frame, and goes on once the network takes it."""
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        ours.takes = 3
        wire.send_nowait(b"in two parts", at_once=True)
        queued = wire.send_nowait(b"queued")
        await server.stream.send_all(last)
        await closed_with(wire)
        assert not queued.taken
        ours.make_room()
        assert await server.next() == text(b"in two parts")
        await trio.testing.wait_all_tasks_blocked()
        assert not queued.taken
    assert server.close is not None


async def test_a_ping_that_comes_after_our_close_frame_is_not_answered() -> None:
    """Nothing may follow a close frame (RFC 6455, 5.5.1), and the server can still take its leave in good order."""
    ours, theirs = trio.testing.memory_stream_pair()
    server = Server(theirs)
    after: list[Message] = []

    async def serve() -> None:
        await server.shake_hands()
        assert await server.next_close() == (1000, "")
        await server.stream.send_all(encode_frame(Opcode.PING, b"late"))
        await trio.testing.wait_all_tasks_blocked()
        await server.stream.send_all(CLOSE_1000)
        with pytest.raises(EOFError):
            after.append(await server.next())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_wire(ours, host="exchange", resource="/"):
            pass
    assert not after


async def test_g3_a_pong_goes_before_the_answer_to_what_came_after_its_ping() -> None:
    """Even if that answer is written at once: the caller gets the message once the pong is queued."""
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        await server.stream.send_all(encode_frame(Opcode.PING, b"p") + frames(b"asked"))
        assert await wire.receive() == [text(b"asked")]
        wire.send_nowait(b"answered", at_once=True)
        assert await server.next() == Message(Opcode.PONG, b"p")
        assert await server.next() == text(b"answered")


@pytest.mark.parametrize("ticks", range(12))
async def test_g3_pings_read_before_leaving_are_answered_before_the_close_frame(ticks: int) -> None:
    async with opened() as (wire, server), trio.open_nursery() as nursery:
        nursery.start_soon(receive_for_ever, wire)
        await server.stream.send_all(encode_frame(Opcode.PING, b"p") * 3)
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert server.close == (1000, "")
