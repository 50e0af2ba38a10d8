"""The neutral server in the same process: no socket and no waiting, so that nothing but the client is left."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import trio

from .server import Connection, Exchange

if TYPE_CHECKING:
    from bintrio.endpoints import Address


class MemoryServer:
    """What a session connects to."""

    def __init__(self) -> None:
        self.exchange = Exchange()

    async def connect(self, _address: Address) -> trio.abc.Stream:
        return MemoryStream(self.exchange)


class MemoryStream(trio.abc.Stream, asyncio.Transport):
    """The client's end for trio, the server's for its protocol."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._written: deque[bytes] = deque()
        self._reader: trio.lowlevel.Task | None = None
        self._is_closed = False
        self._connection = Connection(exchange)
        self._connection.connection_made(self)

    # For the client

    async def send_all(self, data: Any) -> None:
        await trio.lowlevel.checkpoint()
        self._connection.data_received(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._written and not self._is_closed:
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._give_up)
        data = b"".join(self._written)
        self._written.clear()
        return data

    async def aclose(self) -> None:
        self._is_closed = True
        self._connection.connection_lost(None)
        self._wake()
        await trio.lowlevel.checkpoint()

    # For the server

    def write(self, data: Any) -> None:
        self._written.append(data)
        self._wake()

    def is_closing(self) -> bool:
        return self._is_closed

    def _wake(self) -> None:
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None

    def _give_up(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED
