"""unicorn-binance-websocket-api: websockets in a thread of its own; answers are dicts, given to a callback."""

from __future__ import annotations

import asyncio
import importlib
import itertools
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from . import API_KEY, API_SECRET, PRICE, QUANTITY, SYMBOL, Client, Events, Refused, Tell

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

LOOP: Final = "asyncio"
unicorn: Any = importlib.import_module("unicorn_binance_websocket_api")


class UnicornClient(Client):
    def __init__(self, manager: Any, signs: list[Callable[[str], None]]) -> None:
        self._manager = manager
        self._spot = manager.api.spot
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.signs = signs

    async def order(self, client_order_id: str | None = None) -> object:
        answer = await self._call(
            partial(
                self._spot.create_order,
                symbol=SYMBOL,
                side="SELL",
                order_type="LIMIT",
                time_in_force="GTC",
                price=float(PRICE),
                quantity=float(QUANTITY),
                new_client_order_id=client_order_id,
            )
        )
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def id_in(self, answer: Any) -> object:
        return answer["result"]["clientOrderId"]

    async def follow(self, tell: Tell) -> None:
        def tell_event(event: dict[str, Any]) -> None:
            event = event.get("event", event)
            if event.get("e") == "executionReport":
                tell("filled", event["z"])
            elif event.get("e") == "eventStreamTerminated":
                tell("sign", "eventStreamTerminated")

        self.signs.append(lambda signal: tell("sign", signal))
        stream = self._manager.create_stream(
            "arr", "!userData", api_key=API_KEY, api_secret=API_SECRET, process_stream_data=tell_event
        )
        await ready(self._manager, stream)
        tell("following", "")
        await asyncio.Event().wait()

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
        waiting = self._waiting.pop(message.get("id", ""), None)
        if waiting is not None:
            self._loop.call_soon_threadsafe(waiting.set_result, message)

    def _call(self, request: Callable[..., object]) -> asyncio.Future[dict[str, Any]]:
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
    signs: list[Callable[[str], None]] = []

    def take_signal(signal_type: str = "", **_details: object) -> None:
        if signal_type in {"DISCONNECT", "STREAM_UNREPAIRABLE"}:
            for tell in signs:
                tell(signal_type)

    with unicorn.BinanceWebSocketApiManager(
        exchange="binance.com",
        output_default="dict",
        websocket_api_base_uri=url,
        warn_on_update=False,
        process_stream_signals=take_signal,
    ) as manager:
        client = UnicornClient(manager, signs)
        stream = manager.create_stream(
            api=True, api_key=API_KEY, api_secret=API_SECRET, process_stream_data=client.take
        )
        await ready(manager, stream)
        yield client
