"""unicorn-binance-websocket-api: websockets in a thread of its own; answers are dicts, given to a callback."""

from __future__ import annotations

import asyncio
import importlib
import itertools
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from . import API_KEY, API_SECRET, PRICE, QUANTITY, SYMBOL, Client, Events

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

LOOP: Final = "asyncio"
unicorn: Any = importlib.import_module("unicorn_binance_websocket_api")


class UnicornClient(Client):
    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._spot = manager.api.spot
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[object]] = {}

    async def order(self) -> object:
        return await self._call(
            partial(
                self._spot.create_order,
                symbol=SYMBOL,
                side="SELL",
                order_type="LIMIT",
                time_in_force="GTC",
                price=float(PRICE),
                quantity=float(QUANTITY),
            )
        )

    async def depth(self) -> object:
        return await self._call(partial(self._spot.get_order_book, symbol=SYMBOL, limit=5000))

    async def subscribe(self, subscribers: int) -> Events:
        if subscribers > 1:
            raise NotImplementedError
        events = UnicornEvents()
        stream = self._manager.create_stream(
            "arr", "!userData", api_key=API_KEY, api_secret=API_SECRET, process_stream_data=events.take
        )
        await ready(self._manager, stream)
        return events

    def take(self, message: dict[str, Any]) -> None:
        """Called in the library's thread."""
        self._loop.call_soon_threadsafe(self._waiting.pop(message["id"]).set_result, message)

    def _call(self, request: Callable[..., object]) -> asyncio.Future[object]:
        number = f"call-{next(self._numbers)}"
        answer = self._waiting[number] = self._loop.create_future()
        request(request_id=number)
        return answer


class UnicornEvents(Events):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_complete = asyncio.Event()
        self._expected = 0
        self._received = 0

    async def receive(self, count: int) -> None:
        self._is_complete.clear()
        self._expected += count
        if self._received < self._expected:
            await self._is_complete.wait()

    def take(self, message: dict[str, Any]) -> None:
        """Called in the library's thread."""
        self._received += 1
        if self._received >= self._expected:
            self._loop.call_soon_threadsafe(self._is_complete.set)


async def ready(manager: Any, stream: str) -> None:
    while not manager.socket_is_ready[stream]:  # noqa: ASYNC110  # it is set in another thread
        await asyncio.sleep(0.001)


@asynccontextmanager
async def open_client(url: str) -> AsyncGenerator[Client]:
    # It would ask GitHub for a newer version of itself. Its own waiting for an answer (`return_response`,
    # `process_response`) begins after the request was sent, and so misses answers that are quick.
    with unicorn.BinanceWebSocketApiManager(
        exchange="binance.com", output_default="dict", websocket_api_base_uri=url, warn_on_update=False
    ) as manager:
        client = UnicornClient(manager)
        stream = manager.create_stream(
            api=True, api_key=API_KEY, api_secret=API_SECRET, process_stream_data=client.take
        )
        await ready(manager, stream)
        yield client
