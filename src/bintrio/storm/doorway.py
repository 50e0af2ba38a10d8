"""The client's end of each connection of a world: what passes there tells how a client takes its leave.

No caller is told of that, and no observer: what leaves behind a close frame, and for how long this side waits.
"""

from __future__ import annotations

from typing import Any, Final

import trio

from .._protocol.frames import FrameDecoder, Opcode
from ..endpoints import Address
from ..sandbox import Sandbox

PATIENCE: Final = 1.0
"""Seconds for which a client waits at least, after its close frame, for that of the exchange. It is half of what it
has for taking its leave: a part of that may have gone by before its close frame could leave."""

_CLOSE: Final = 0x80 | Opcode.CLOSE  # the first of the control frames
_PONG: Final = 0x80 | Opcode.PONG
_SECOND: Final = 2
_FIRST_CONTROL: Final = bytes([_CLOSE])
_MASKED_HEAD: Final = 6  # bytes before what a short frame of a client carries
_SIZE: Final = 0x7F


class Doorway:
    """Connects to an exchange, and notes what passes.

    Args:
        sandbox: the exchange.

    Attributes:
        untrue: what is not as it is promised to be, in sentences.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.untrue: Final[list[str]] = []
        self._sandbox = sandbox

    async def connect(self, address: Address) -> trio.abc.Stream:
        """See `Sandbox.connect`."""
        stream = await self._sandbox.connect(address)
        _Door(stream, self.untrue)
        return stream


class _Door:
    """The client's end of one connection: what passes is looked at first.

    Args:
        stream: through which it passes.
        untrue: takes what is not as it is promised to be.
    """

    def __init__(self, stream: Any, untrue: list[str]) -> None:
        self._send_all, self._receive_some, self._aclose = stream.send_all, stream.receive_some, stream.aclose
        # In their place, and in no stream around it: trio's streams in memory, which others take for private, cannot be
        # derived from.
        stream.send_all, stream.receive_some, stream.aclose = self.send_all, self.receive_some, self.aclose
        self._untrue = untrue
        self._head = b""
        self._decoder = FrameDecoder(masked=False, max_message_size=2**26)
        self._is_open = False
        # When this side's close frame left; whether there is nothing more that it could wait for.
        self._closed_at: float | None = None
        self._is_over = False
        self._has_heard_close = False
        # How many of each have passed, and how many pings had come with the first answer, once that was there.
        self._sent = self._pings = self._pongs = 0
        self._pings_before: int | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        self._look_at_sent(bytes(data))
        try:
            await self._send_all(data)
        except trio.BrokenResourceError:
            # Nothing more can come, so there is nothing to wait for.
            self._is_over = True
            raise

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        try:
            data: bytes = await self._receive_some(max_bytes)
        except trio.BrokenResourceError:
            self._is_over = True
            raise
        self._look_at_received(data)
        return data

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        self._look_at_end()
        await self._aclose()

    def _look_at_sent(self, data: bytes) -> None:
        if self._closed_at is not None and data:
            self._untrue.append(f"{len(data)} bytes left behind a close frame (RFC 6455, 5.5.1)")
        # Nearly all that leaves is a message, or the handshake.
        if data[:1] >= _FIRST_CONTROL:
            data = self._after_control(data)
        # Before that, the handshake leaves.
        if self._is_open and data:
            self._look_at_messages(data)

    def _look_at_messages(self, data: bytes) -> None:
        if self._has_heard_close:
            self._untrue.append(f"a message of {len(data)} bytes left after the exchange's close frame had come (G7)")
        self._sent += 1
        # On a new connection a client asks one thing after the other, so its second message follows the first answer.
        if self._sent == _SECOND and self._pongs < (self._pings_before or 0):
            self._untrue.append("a message left before the pong to a ping that had come with what it follows (G3)")

    def _after_control(self, data: bytes) -> bytes:
        """What follows the control frames at the beginning of what leaves: messages."""
        while data[:1] >= _FIRST_CONTROL:
            self._pongs += data[0] == _PONG
            if data[0] == _CLOSE:
                self._closed_at = trio.current_time()
            data = data[_MASKED_HEAD + (data[1] & _SIZE) :]
            # In one piece with the close frame.
            if self._closed_at is not None and data:
                self._untrue.append(f"{len(data)} bytes left behind a close frame (RFC 6455, 5.5.1)")
                return b""
        return data

    def _look_at_received(self, data: bytes) -> None:
        if not data:
            self._is_over = True
        if not self._is_open:
            # Up to the blank line it is the answer to the handshake.
            self._head += data
            _, blank, data = self._head.partition(b"\r\n\r\n")
            self._is_open = bool(blank)
        if self._is_open and data:
            self._count([message.opcode for message in self._decoder.feed(data)])

    def _count(self, came: list[Opcode]) -> None:
        self._pings += came.count(Opcode.PING)
        self._has_heard_close |= Opcode.CLOSE in came
        if self._pings_before is None and Opcode.TEXT in came:
            self._pings_before = self._pings

    def _look_at_end(self) -> None:
        # Whoever breaks a rule is waited for as well, but frames cannot be told apart after that.
        is_excused = self._is_over or self._has_heard_close or self._decoder.violation is not None
        if self._closed_at is None or is_excused:
            return
        self._is_over = True
        waited = trio.current_time() - self._closed_at
        if waited < PATIENCE:
            self._untrue.append(f"a connection was left {waited:g} s after a close frame that had no answer yet (G5)")
