"""The stream that trio-websocket is given: pings, pongs and close frames pass through it, and no message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable


class ControlLane(trio.abc.Stream):
    """The stream that trio-websocket sees. Neither direction waits for the other end.

    Args:
        send: takes what trio-websocket sends: the handshake request, then one frame at a time.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._inbox = bytearray()
        self._receiver = trio.lowlevel.ParkingLot()

    @property
    def is_idle(self) -> bool:
        """Whether everything fed has been dealt with, so that more is waited for."""
        return not self._inbox and bool(self._receiver)

    def feed(self, data: bytes) -> None:
        self._inbox += data
        self._receiver.unpark()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        # It reads again once it has dealt with what it was given, which is what `is_idle` tells.
        while not self._inbox:
            await self._receiver.park()
        received = bytes(self._inbox[:max_bytes])
        del self._inbox[:max_bytes]
        return received

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """The stream underneath is not trio-websocket's to close."""
        await trio.lowlevel.checkpoint()
