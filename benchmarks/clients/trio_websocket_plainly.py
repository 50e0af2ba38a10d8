"""trio-websocket as its documentation shows it, with msgspec."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio_websocket

from ._by_hand import ROWS
from ._plainly import running

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable

    from . import Client

__all__ = ["LOOP", "ROWS", "open_client"]

LOOP: Final = "trio"


@asynccontextmanager
async def open_client(url: str) -> AsyncGenerator[Client]:
    async with trio_websocket.open_websocket_url(url) as websocket:

        def send(request: bytes) -> Awaitable[None]:
            return websocket.send_message(request.decode())

        async with running(send, websocket.get_message) as client:
            yield client
