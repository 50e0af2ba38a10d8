"""A byte stream as the sandbox's connections need it.

The library that speaks WebSocket sees it as a stream that begins with the head of its handshake and that it may close.
The stream itself stays open then: the library ends without a word where a peer breaks the protocol, or where an error
comes out of it, and the peer is still to be told by a close frame.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import trio

from bintrio._protocol.frames import Opcode, encode_frame

MAX_HEAD: Final = 16_384
"""Bytes of a handshake; ours, and the library's."""

_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_CLOSE_FRAME: Final = 0x80 | Opcode.CLOSE
_RECEIVE_SIZE: Final = 2**16
_LONGEST_REASON: Final = 123

MAX_UNFINISHED: Final = 2**24
"""Bytes that may come without a whole request among them; ours. Empty fragments make a message that never ends."""


class HeadTooLarge(Exception):
    """A handshake that is larger than `MAX_HEAD`."""


class _Turn:
    """Lets one task write at a time, strictly in turn.

    Mostly nobody else writes: then it takes no turn of the scheduler, as the write does.
    """

    def __init__(self) -> None:
        self._lock = trio.StrictFIFOLock()

    async def __aenter__(self) -> None:
        # Who is cancelled already has written nothing, so the stream is not torn.
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            await self._lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


class Wire(trio.abc.Stream):
    """A stream that several tasks may write to, one at a time.

    Args:
        stream: what carries the bytes.
        address: of the peer, if the stream does not lead to it.

    Attributes:
        address: what the limits go by: the IP address of the peer.
        at_close: called when the library closes the stream.
        is_half_open: whether the stream is to be kept open and left alone.
        has_closed: whether a close frame was written; nothing follows it.
        received: bytes since the last whole request; for the connection to set back.
    """

    def __init__(self, stream: trio.abc.Stream, address: str | None = None) -> None:
        self.address: Final = address_of(stream) if address is None else address
        self.at_close: Callable[[], object] | None = None
        self.is_half_open = False
        self.has_closed = False
        self.received = 0
        self._stream = stream
        # A close frame that waits must not be overtaken for ever.
        self._turn = _Turn()
        self._head = b""
        self._ahead = b""
        self._upgraded = trio.Event()
        self._is_closed = False  # by the library
        self._is_torn = False  # the last write was not finished
        self._lingers = False

    @property
    def is_flooded(self) -> bool:
        """Whether more than `MAX_UNFINISHED` bytes came without a whole request among them."""
        return self.received > MAX_UNFINISHED

    @property
    def is_upgraded(self) -> bool:
        """Whether frames have taken the place of HTTP."""
        return self._upgraded.is_set()

    async def receive_head(self) -> bool:
        """Wait for the head of a handshake, for the library to read. False if the peer ends the stream before.

        Raises:
            HeadTooLarge: it is larger than `MAX_HEAD`.
        """
        data = b""
        while (end := _END_OF_HEAD.search(data)) is None:
            # A peer that never ends its head would fill the memory.
            if len(data) > MAX_HEAD:
                raise HeadTooLarge
            more = await self._receive(_RECEIVE_SIZE)
            if not more:
                return False
            data += more
        self._head, self._ahead = data[: end.end()], data[end.end() :]
        return True

    def upgrade(self) -> None:
        """The handshake was accepted: let the library read what comes after its head."""
        self._upgraded.set()

    # For the library

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, after all that others are sending."""
        async with self._turn:
            await self._write(bytes(data), is_close=self.is_upgraded and data[:1] == bytes([_CLOSE_FRAME]))

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for the peer to read."""
        async with self._turn:
            await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Bytes as they come; none at the end, however it came about, and once the peer has sent too many."""
        if self._is_closed:
            raise trio.ClosedResourceError
        data, self._head = self._head, b""
        if not data:
            # What came behind the head is of the connection, which is not there before it was accepted. Once it is,
            # waiting for that would still take a turn of the scheduler.
            if not self.is_upgraded:
                await self._upgraded.wait()
            data, self._ahead = self._ahead, b""
        if not data:
            data = await self._receive(max_bytes)
        self.received += len(data)
        if self.is_flooded:
            # An error would be lost in the library whenever the connection ends before its reader does.
            return b""
        return data

    async def aclose(self) -> None:
        """The library is through with the stream."""
        self._is_closed = True
        if self.at_close is not None:
            self.at_close()
        await trio.lowlevel.checkpoint()

    # For the connection

    async def send_frames(self, data: bytes, last_words: bytes | None = None) -> None:
        """Send bytes, after all that others are sending; then last words, if any, with nothing between.

        Args:
            data: whole frames.
            last_words: such, too, the last of which closes the connection.
        """
        async with self._turn:
            await self._write(data, is_close=False)
            if last_words is not None:
                self._lingers = True
                await self._write(last_words, is_close=True)

    async def send_last(self, data: bytes, *, is_close: bool) -> None:
        """Send an HTTP answer or a close frame, for the peer to read in peace; not into the middle of a frame."""
        async with self._turn:
            # Into the middle of a frame nothing can be written that the peer would understand.
            if not self._is_torn:
                self._lingers = not self.has_closed
                await self._write(data, is_close=is_close)

    async def send_close(self, code: int, reason: str) -> None:
        """Send a close frame, unless there was one."""
        # A control frame has 125 bytes at most (RFC 6455, 5.5).
        payload = code.to_bytes(2) + reason.encode()[:_LONGEST_REASON]
        await self.send_last(encode_frame(Opcode.CLOSE, payload), is_close=True)

    async def linger(self) -> None:
        """Read on until the peer has ended, if it has yet to read our last words: closed at once, TCP may drop them."""
        # Nothing was said that the peer has yet to read.
        if not (self._lingers or (self.has_closed and not self._is_closed)):
            return
        # Over TCP the peer sees that nothing more comes, and ends its own side.
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            with suppress(trio.BrokenResourceError):
                await self._stream.send_eof()
        while await self._receive(_RECEIVE_SIZE):
            pass

    async def _write(self, data: bytes, *, is_close: bool) -> None:
        # Nothing may follow a close frame (RFC 6455, 5.5.1).
        if self.has_closed:
            return
        # Before the write: if it is cancelled, part of it may have left.
        self._is_torn, self.has_closed = True, is_close
        await self._stream.send_all(data)
        self._is_torn = False

    async def _receive(self, max_bytes: int | None) -> bytes:
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except trio.BrokenResourceError:
            # After a reset nothing more can be read, as after an end.
            return b""


def address_of(stream: trio.abc.Stream) -> str:
    """The IP address of the peer; ``memory`` of one that is none, ``gone`` of one that was faster."""
    inner = cast("Any", stream).transport_stream if isinstance(stream, trio.SSLStream) else stream
    if not isinstance(inner, trio.SocketStream):
        return "memory"
    try:
        return str(inner.socket.getpeername()[0])
    except OSError:  # it was reset before anybody looked
        return "gone"
