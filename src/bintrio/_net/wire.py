"""One WebSocket, client side, over any stream: the only client file that names trio_websocket.

**Two lanes share one byte stream.** The data lane is ours: messages are cut straight out of the receive buffer, and
outgoing ones are framed by the caller and queued. The control lane is trio-websocket's: it is given a stream of its own
(`ControlLane`), on which it finds the answer to the opening handshake, pings, pongs and close frames, and nothing else.
What it sends there joins the same queue (`Writer`). It never sees a message, so its message queue cannot fill, and it
can never stop answering pings.

**One reader,** and it is whoever calls `Wire.receive`: a task between the two would cost each message a hop. Pings
are seen only while somebody receives, so the caller must do nothing else.

**How a wire ends.** By the first of: a close frame from the server, a broken rule, the end of the stream, a failed
read or write, or the `async with` being left. What was queued and not yet taken then never leaves, except in the last
case: leaving in good order writes what is queued, then the close frame.

**Left out:** waiting for the server to close TCP first (a *should* of RFC 6455, 7.1.1), compression and subprotocols.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, suppress
from operator import attrgetter
from typing import TYPE_CHECKING, Final, cast

import trio
import trio_websocket

from .._protocol.frames import RAW_LIMIT, CloseCode, FrameDecoder, Message, Opcode, encode_frame, mask_keys, parse_close
from .._protocol.handshake import MAX_HEAD, hide, is_echo, is_http, odd_answer, read_body, rejection, secrets_of
from .._text import said
from ..errors import ProtocolViolation
from .arrival import Arrival
from .control_lane import ControlLane
from .streams import close_at_once
from .tasks import bare_nursery, protected, protecting
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from ..errors import HandshakeRejected
    from .writer import Outgoing

_RECEIVE_SIZE: Final = 64 * 1024  # bytes; trio-websocket's own 4 KiB costs a system call for every few replies
_MAX_UNANSWERED_PINGS: Final = 2**17  # some four full receives of the shortest pings
_FIRST_CONTROL: Final = Opcode.CLOSE  # of the opcodes
_OPCODE: Final[Callable[[Message], Opcode]] = attrgetter("opcode")
_PONG: Final = 0x80 | Opcode.PONG
_CLOSE: Final = 0x80 | Opcode.CLOSE


class WireClosed(Exception):
    """The wire is over. The error that ended it is the cause.

    Attributes:
        code: the code of the server's close frame, or of ours; None if it had none, or there was no close frame.
        reason: how it ended, in words.
        violation: the rule that the server broke, if that ended it.
    """

    violation: ProtocolViolation | None = None

    def __init__(self, code: int | None, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason if code is None else f"{code} {reason}".rstrip())


def open_wire(
    stream: trio.abc.Stream,
    *,
    host: str,
    resource: str,
    headers: Sequence[tuple[str, str]] = (),
    octets: Callable[[int], bytes] = os.urandom,
    max_message_size: int = 64 * 2**20,
    max_backlog: int = 2**20,
    close_timeout: float = 2.0,
    pong_written: Callable[[float], object] | None = None,
    arriving: Callable[[], object] | None = None,
    rejected: Callable[[HandshakeRejected], object] | None = None,
    late: Callable[[list[Message]], object] | None = None,
) -> AbstractAsyncContextManager[Wire]:
    """Open a WebSocket on a connected stream, which it then owns.

    Entering returns once the opening handshake is done; how long that may take is the caller's affair. Leaving
    closes the WebSocket within `close_timeout` seconds, whatever the server does; if cancelled, at once and without
    a closing handshake. The stream is closed in every case. An exception of the body comes out as it is.

    Args:
        stream: connected, TLS included.
        host: for the Host header, with the port unless it is the default one.
        resource: path and query.
        headers: further headers of the handshake request.
        octets: gives so many bytes that nobody can foresee, for the masks of messages.
        max_message_size: bytes of payload that a message may have; a longer one ends the wire with 1009.
        max_backlog: bytes waiting to be written from which on `Wire.room` waits.
        close_timeout: seconds that closing may take.
        pong_written: called each time that a pong has been written, with the seconds since its ping came. Must not
            raise.
        arriving: called each time that bytes came of a message that took more than one read. Must not raise.
        rejected: called with what will be raised, once the head of a refusal is there and before its body is read,
            which may take as long as `close_timeout`: a 429 counts at once. Must not raise.
        late: called with the messages that come while the WebSocket is being closed, when nobody receives any more.
            Must not raise.

    Raises:
        HandshakeRejected: the server answered with another status than 101.
        WireClosed: the handshake failed in another way.
    """
    wire = Wire(
        stream,
        octets=octets,
        max_message_size=max_message_size,
        max_backlog=max_backlog,
        close_timeout=close_timeout,
        arriving=arriving,
        late=late,
    )
    return wire.run(host, resource, headers, pong_written, rejected)


class Wire:
    """One WebSocket. Made by `open_wire`."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        octets: Callable[[int], bytes],
        max_message_size: int,
        max_backlog: int,
        close_timeout: float,
        arriving: Callable[[], object] | None,
        late: Callable[[list[Message]], object] | None = None,
    ) -> None:
        self._stream = stream
        self._max_backlog = max_backlog
        self._close_timeout = close_timeout
        self._late = late
        self._decoder = FrameDecoder(masked=False, max_message_size=max_message_size)
        self._mask_keys = mask_keys(octets)
        self._ready: list[Message] = []  # came along with the answer to the handshake
        self._arriving = arriving
        self.arrival: Final = Arrival()
        self._writer = Writer(stream, self._writing_failed)
        self._control = ControlLane(self._writer.put_control)
        self._unanswered_pings = 0
        self._pinged_at = 0.0  # when the first of them came
        # The end
        self._end: tuple[int | None, str, BaseException | None] | None = None  # code, reason, cause
        self._is_reading = True  # False once nothing more will be received
        self._owes_close = False  # our close frame can and must still leave
        self._close_frame: tuple[int, str] = (CloseCode.NORMAL, "")
        self._server_closed = False  # it has sent a close frame, which trio-websocket answers
        self._handshake_over = trio.Event()
        self._closing = trio.Event()
        self._close_written = trio.Event()

    def __repr__(self) -> str:
        state = "open" if self._end is None else f"closed ({self._end[1]})"
        return f"<Wire {state}, {self.backlog} bytes waiting>"

    @asynccontextmanager
    async def run(
        self,
        host: str,
        resource: str,
        headers: Sequence[tuple[str, str]],
        pong_written: Callable[[float], object] | None,
        rejected: Callable[[HandshakeRejected], object] | None,
    ) -> AsyncGenerator[Wire]:
        """The wire's life: see `open_wire`."""
        try:
            async with bare_nursery(self._close) as nursery:
                nursery.start_soon(protected, self._write, pong_written)
                nursery.start_soon(protected, self._run_control_lane, host, resource, headers)
                await self._shake_hands(secrets_of(resource, headers), rejected)
                yield self
        finally:
            await close_at_once(self._stream)

    # Sending

    @trio.lowlevel.enable_ki_protection
    def send_nowait(
        self,
        payload: bytes,
        opcode: Opcode = Opcode.TEXT,
        *,
        at_once: bool = False,
        written: Callable[[], object] | None = None,
    ) -> Outgoing:
        """Queue one message as one frame. Never waits: call `room` first.

        Args:
            payload: the message.
            opcode: TEXT or BINARY.
            at_once: write it here and now if nothing else waits and the stream can: the frame is then taken on
                return. Sooner by a turn of the scheduler, but what others send in the same turn needs a system call of
                its own.
            written: called once the whole message has been handed to the stream. Must not raise.

        Raises:
            WireClosed: nothing was queued. A write that fails here does not raise; it ends the wire as one that fails
                in the writer, since bytes of the frame may have left.
        """
        if self._end is not None:
            raise self._closed()
        frame = encode_frame(opcode, payload, next(self._mask_keys))
        return self._writer.put(frame, at_once=at_once, written=written)

    def withdraw(self, outgoing: Outgoing) -> bool:
        """Take a frame back. True: no byte of it leaves. False: the writer has it already."""
        return self._writer.withdraw(outgoing)

    @property
    def backlog(self) -> int:
        """Bytes waiting to be written: queued, or taken and not yet written."""
        return self._writer.backlog

    @property
    def is_full(self) -> bool:
        """Whether `room` would wait."""
        return self._writer.backlog >= self._max_backlog

    async def room(self) -> None:
        """Wait while `max_backlog` bytes or more are waiting to be written, until some leave or `release` is called.

        Not a checkpoint when there is room: it then returns at once, and the `send_nowait` that follows cannot be
        overtaken.

        Raises:
            WireClosed: there will be none.
        """
        if self.is_full and self._end is None:
            await self._writer.progress()
        # Also after waiting: the wire may have ended meanwhile.
        if self._end is not None:
            raise self._closed()

    def release(self) -> None:
        """Let whoever waits for room go on, although there may be none."""
        self._writer.release()

    async def _write(self, pong_written: Callable[[float], object] | None) -> None:
        await self._writer.run(lambda control: self._note_written(control, pong_written))
        # Writing has failed. Answers to what was sent before may still come, so reading goes on for a little.
        await trio.sleep(self._close_timeout)
        await close_at_once(self._stream)

    def _writing_failed(self, error: Exception) -> None:
        # Nothing can be written any more, a close frame included.
        self._owes_close = False
        self._finish(None, f"writing failed: {said(error)}", error)

    def _note_written(self, control: list[bytes], pong_written: Callable[[float], object] | None) -> None:
        # A pong counts when it has been written, not when it was queued: only then the exchange can hear it.
        for frame in control:
            if frame[0] == _PONG:
                self._unanswered_pings -= 1
                if pong_written is not None:
                    pong_written(trio.current_time() - self._pinged_at)
            elif frame[0] == _CLOSE:
                self._close_written.set()

    # Receiving

    async def receive(self) -> list[Message]:
        """At least one message: all that one read of the stream brought. For one task, which does nothing else.

        Raises:
            WireClosed: the wire is over, and everything before its end has been returned.
        """
        while True:
            if self._ready:
                ready, self._ready = self._ready, []
                return ready
            if not self._is_reading:
                raise self._closed()
            data = await self._read()
            self._ready = self._cut(data)
            # Most messages come within one read. Only of others it is noted how long they take.
            if data and (self.arrival.since is not None or not self._decoder.is_between_messages):
                self._follow_arrival()
            if self._unanswered_pings:
                await self._answer_pings()  # before the caller can answer what came after them

    def _follow_arrival(self) -> None:
        self.arrival.go_on(is_whole=self._decoder.is_between_messages, is_another=bool(self._ready))
        if self._arriving is not None:
            self._arriving()

    async def _answer_pings(self) -> None:
        """Let trio-websocket queue its pongs, which takes it a few ticks."""
        # Once trio-websocket has ended, it would never become idle.
        while self._owes_close and not self._control.is_idle:
            await trio.lowlevel.checkpoint()

    async def _read(self) -> bytes:
        """Bytes from the stream; none once it has ended."""
        try:
            data = bytes(await self._stream.receive_some(_RECEIVE_SIZE))
        except Exception as error:  # a stream may be anybody's, a proxy's for instance, and raise what it likes
            self._lose(f"reading failed: {said(error)}", error)
            return b""
        if not data:
            self._lose(f"the server ended the stream {self._place()}", None)
        return data

    def _place(self) -> str:
        if not self._handshake_over.is_set():
            return "during the opening handshake"
        if self._decoder.is_between_messages:
            return "without a close frame"
        since = self.arrival.since
        age = 0 if since is None else round(trio.current_time() - since)
        return "in the middle of a message" + (f", {age} s after it began" if age else "")

    def _cut(self, data: bytes) -> list[Message]:
        """Data messages out of received bytes; what else is there goes to the control lane."""
        messages = self._decoder.feed(data)
        # Nearly every read brings data messages alone: one look in C instead of a loop.
        if max(map(_OPCODE, messages), default=Opcode.TEXT) >= _FIRST_CONTROL:
            for message in messages:
                if message.opcode >= _FIRST_CONTROL:
                    self._pass_on(message)
            messages = [message for message in messages if message.opcode < _FIRST_CONTROL]
        if self._decoder.violation is not None:
            self._break_off(*self._decoder.violation)
        return messages

    def _pass_on(self, frame: Message) -> None:
        if frame.opcode is Opcode.CLOSE:
            code, reason = parse_close(frame.payload)
            # Nothing follows a close frame (RFC 6455, 5.5.1).
            self._is_reading = False
            self._server_closed = True
            self._finish(code, reason or "closed by the server", None)
        elif self._closing.is_set():
            return  # nothing may follow our close frame
        elif frame.opcode is Opcode.PING:
            # The oldest ping that waits: its pong is the one that may be too late.
            self._pinged_at = self._pinged_at if self._unanswered_pings else trio.current_time()
            self._unanswered_pings += 1
            # Pongs that the server does not read wait in our memory, so their number has a limit.
            if self._unanswered_pings > _MAX_UNANSWERED_PINGS:
                self._break_off(CloseCode.POLICY_VIOLATION, "more pings than pongs can be written", b"")
                return
        self._control.feed(encode_frame(frame.opcode, frame.payload))

    # Opening

    async def _run_control_lane(self, host: str, resource: str, headers: Sequence[tuple[str, str]]) -> None:
        """Everything that trio-websocket does, and whatever it raises."""
        try:
            async with trio.open_nursery() as nursery:
                websocket = await trio_websocket.wrap_client_stream(
                    protecting(nursery),
                    cast("trio.SocketStream", self._control),  # any stream will do, says its documentation
                    host,
                    resource,
                    extra_headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in headers],
                )
                # The handshake succeeded, so from now on the server expects a close frame.
                self._owes_close = True
                self._handshake_over.set()
                await self._closing.wait()
                await self._say_goodbye(websocket)
        except ExceptionGroup as failed:  # by the nursery, whatever it was
            error = failed.exceptions[0]
            self._lose(f"trio-websocket failed: {said(error)}", error)
            self._handshake_over.set()
            await close_at_once(self._stream)  # wakes whoever reads

    async def _shake_hands(
        self, secrets: Sequence[bytes], rejected: Callable[[HandshakeRejected], object] | None
    ) -> None:
        head, rest = await self._read_head()
        # A refusal is read here, so that a 429 counts before its body has come, and no body is read without end.
        if head[9:12] != b"101":
            refusal = rejection(head, secrets)
            # Before its body has come: a 429 holds back everything from this moment on (G8).
            if rejected is not None:
                rejected(refusal)
            refusal.body = hide(secrets, await self._read_body(refusal, rest))
            raise refusal
        self._control.feed(head)
        await self._handshake_over.wait()
        # trio-websocket may have refused what the head says, such as a wrong accept key.
        if self._end is not None:
            raise self._handshake_failure(head)
        self._ready = self._cut(rest)
        await self._answer_pings()

    async def _read_head(self) -> tuple[bytes, bytes]:
        """The answer to the handshake up to its blank line, and what came after it."""
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            # What speaks no HTTP need not send a blank line at all, so there is no waiting for one.
            if len(received) > MAX_HEAD or not is_http(received):
                raise self._handshake_failure(received)
            data = await self._read()
            if not data:
                # `_read` has noted why.
                raise self._closed()
            received += data
        return received[: end + 4], received[end + 4 :]

    def _handshake_failure(self, received: bytes) -> WireClosed:
        # An echo is our own request, with the secrets of the URL in it (G9).
        violation = ProtocolViolation(odd_answer(received), raw=b"" if is_echo(received) else received[:RAW_LIMIT])
        if self._end is not None:
            violation.__cause__ = self._end[2]
        self._end = None, str(violation), violation
        self._is_reading = False
        return self._closed()

    async def _read_body(self, refusal: HandshakeRejected, received: bytes) -> bytes:
        """The body of a refusal, of which some came with its head; as much of it as comes in time."""
        body, is_whole = read_body(refusal, received)
        with trio.move_on_after(self._close_timeout):
            while not is_whole and (data := await self._read()):
                received += data
                body, is_whole = read_body(refusal, received)
        return body

    # Closing

    def _closed(self) -> WireClosed:
        assert self._end is not None
        code, reason, cause = self._end
        closed = WireClosed(code, reason)
        closed.__cause__ = cause
        if isinstance(cause, ProtocolViolation):
            closed.violation = cause
        return closed

    def _finish(self, code: int | None, reason: str, cause: BaseException | None) -> None:
        """From here on everything raises, for the first reason given; what is queued never leaves."""
        if self._end is None:
            self._end = code, reason, cause
        self._writer.withdraw_all()

    def _lose(self, reason: str, error: Exception | None) -> None:
        self._is_reading = False
        self._owes_close = False
        self._finish(None, reason, error)

    def _break_off(self, code: CloseCode, reason: str, raw: bytes) -> None:
        """The server broke a rule: tell it which by the code of our close frame."""
        self._is_reading = False
        self._close_frame = code, reason
        self._finish(code, reason, ProtocolViolation(reason, raw=raw))

    async def _say_goodbye(self, websocket: trio_websocket.WebSocketConnection) -> None:
        # What follows a close frame would not be read, so everything else leaves first.
        while self._writer.backlog:
            await self._writer.progress()
        await self._answer_pings()  # trio-websocket fails if it finds a ping once it has sent its close frame
        await websocket.aclose(*self._close_frame)

    async def _close(self) -> None:
        """The closing handshake, as far as there is still one to be had, and the end of the stream."""
        # These came with the last read, and nobody has asked for them.
        self._hand_out_late(self._ready)
        with trio.move_on_after(self._close_timeout):
            if self._owes_close:
                await self._close_politely()
            with suppress(Exception):
                await self._stream.aclose()

    async def _close_politely(self) -> None:
        self.release()
        # From here on nothing more can be sent.
        self._end = self._end or (CloseCode.NORMAL, "closed by this side", None)
        # Else trio-websocket has answered the server's close frame already.
        if not self._server_closed:
            self._closing.set()
        while self._is_reading:
            # Answers may come until the server's close frame does.
            self._hand_out_late(self._cut(await self._read()))
        if self._owes_close:
            await self._close_written.wait()
        if self._close_frame[0] != CloseCode.NORMAL:
            # Closing a socket with unread bytes resets it, and the server might never see our close frame.
            while await self._read():
                pass

    def _hand_out_late(self, messages: list[Message]) -> None:
        if self._late is not None and messages:
            self._late(messages)
