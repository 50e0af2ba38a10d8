"""websockets (its trio client) as its documentation shows it, with msgspec."""

from __future__ import annotations

import importlib
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ._by_hand import ROWS
from ._plainly import running

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from . import Client

__all__ = ["LOOP", "ROWS", "open_client"]

# By name, since type checkers run where it is not installed.
websockets: Any = importlib.import_module("websockets.trio.client")

LOOP: Final = "trio"


@asynccontextmanager
async def open_client(url: str) -> AsyncGenerator[Client]:
    async with (
        websockets.connect(url) as websocket,
        running(partial(websocket.send, text=True), partial(websocket.recv, decode=False)) as client,
    ):
        yield client
