"""A byte stream as the sandbox's connections need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import trio


class Wire(trio.abc.Stream):
    """A stream that several tasks may write to, one at a time.

    Args:
        stream: what carries the bytes.

    Attributes:
        address: what the limits go by: the IP address of the peer.
        at_end: called when the peer has ended the stream; for the time before the handshake, when nobody else looks.
        is_half_open: whether the stream is to be kept open and left alone.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.address: Final = _peer(stream)
        self.at_end: Callable[[], None] | None = None
        self.is_half_open = False
        self._stream = stream
        self._turn = trio.StrictFIFOLock()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, after all that others are sending."""
        async with self._turn:
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for the peer to read."""
        async with self._turn:
            await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Bytes as they come; none at the end, however it came about."""
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError:
            data = b""
        if not data and self.at_end is not None:
            self.at_end()
        return data

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


def _peer(stream: trio.abc.Stream) -> str:
    inner = cast("Any", stream).transport_stream if isinstance(stream, trio.SSLStream) else stream
    if isinstance(inner, trio.SocketStream):
        return str(inner.socket.getpeername()[0])
    return "memory"
