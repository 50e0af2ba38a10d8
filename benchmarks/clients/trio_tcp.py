"""The floor: as many bytes out and in as an order has, over a TCP stream of trio, with nothing done to them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import trio

from . import Client
from ._by_hand import order_request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

LOOP: Final = "trio"
PORT: Final = "raw"
ROWS: Final = ("start", "order, 1 in flight")
REQUEST: Final = order_request(1)


class TcpClient(Client):
    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def order(self, client_order_id: str | None = None) -> object:
        await self._stream.send_all(REQUEST)
        return await self._stream.receive_some()


@asynccontextmanager
async def open_client(url: str) -> AsyncGenerator[Client]:
    async with await trio.open_tcp_stream("127.0.0.1", urlsplit(url).port or 0) as stream:
        yield TcpClient(stream)
