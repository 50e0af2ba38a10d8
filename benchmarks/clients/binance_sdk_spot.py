"""The official client: aiohttp and pydantic."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from . import API_KEY, API_SECRET, PRICE, QUANTITY, SYMBOL, Client, Events, Refused, Tell

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

LOOP: Final = "asyncio"
spot: Any = importlib.import_module("binance_sdk_spot.spot")
enums: Any = importlib.import_module("binance_sdk_spot.websocket_api.models")


class OfficialClient(Client):
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def order(self, client_order_id: str | None = None) -> object:
        response = await self._connection.order_place(
            symbol=SYMBOL,
            side=enums.OrderPlaceSideEnum["SELL"].value,
            type=enums.OrderPlaceTypeEnum["LIMIT"].value,
            time_in_force=enums.OrderPlaceTimeInForceEnum["GTC"].value,
            price=float(PRICE),
            quantity=float(QUANTITY),
            new_client_order_id=client_order_id,
        )
        return result_of(response.data())

    def id_in(self, answer: Any) -> object:
        return answer.client_order_id

    async def follow(self, tell: Tell) -> None:
        response = await self._connection.user_data_stream_subscribe_signature()
        response.stream.on("message", partial(tell_event, tell))
        for event in ("close", "reconnect", "error"):
            self._connection.on_connection(event, partial(tell_of_connection, tell, event))
        tell("following", "")
        await asyncio.Event().wait()

    async def depth(self) -> object:
        result: object = (await self._connection.depth(symbol=SYMBOL, limit=5000)).data().result
        return result

    async def subscribe(self, subscribers: int) -> Events:
        response = await self._connection.user_data_stream_subscribe_signature()
        return OfficialEvents(response.stream, subscribers)


def result_of(data: Any) -> object:
    """The result of an answer; errors come as values, also that there was no answer."""
    if not hasattr(data, "result"):
        error: object = data if isinstance(data, str) else data.get("error")
        raise (Refused if isinstance(error, dict) else RuntimeError)(f"{error}")
    result: object = data.result
    return result


def tell_event(tell: Tell, event: Any) -> None:
    report = getattr(event, "actual_instance", event)
    kind = getattr(report, "e", None) or type(report).__name__
    if kind in {"executionReport", "ExecutionReport"}:
        tell("filled", report.z)
    elif kind in {"eventStreamTerminated", "EventStreamTerminated"}:
        tell("sign", kind)


def tell_of_connection(tell: Tell, event: str, *_details: object) -> None:
    tell("sign", event)


class OfficialEvents(Events):
    def __init__(self, stream: Any, subscribers: int) -> None:
        self._subscribers = subscribers
        self._counts = [0] * subscribers
        self._expected = 0
        self._complete = asyncio.Event()
        for number in range(subscribers):
            stream.on("message", self._counter(number))

    async def receive(self, count: int) -> None:
        self._expected += count
        self._complete.clear()
        await self._complete.wait()

    def _counter(self, number: int) -> Any:
        def count(event: object) -> None:
            self._counts[number] += 1
            if min(self._counts) == self._expected:
                self._complete.set()

        return count


@asynccontextmanager
async def open_client(url: str) -> AsyncGenerator[Client]:
    configuration = spot.ConfigurationWebSocketAPI(api_key=API_KEY, api_secret=API_SECRET, stream_url=url)
    connection = await spot.Spot(config_ws_api=configuration).websocket_api.create_connection()
    yield OfficialClient(connection)
    await connection.close_connection(close_session=True)
