"""python-binance: websockets, and orjson where it is installed; answers are dicts."""

from __future__ import annotations

import importlib
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from . import API_KEY, API_SECRET, PRICE, QUANTITY, SYMBOL, Client, Events, Tell

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

LOOP: Final = "asyncio"
binance: Any = importlib.import_module("binance")


class PythonBinanceClient(Client):
    def __init__(self, client: Any, stack: AsyncExitStack) -> None:
        self._client = client
        self._stack = stack

    async def order(self, client_order_id: str | None = None) -> object:
        given = {} if client_order_id is None else {"newClientOrderId": client_order_id}
        answer: object = await self._client.ws_create_order(
            symbol=SYMBOL, side="SELL", type="LIMIT", timeInForce="GTC", price=PRICE, quantity=QUANTITY, **given
        )
        return answer

    def id_in(self, answer: Any) -> object:
        return answer["clientOrderId"]

    async def follow(self, tell: Tell) -> None:
        async with binance.BinanceSocketManager(self._client).user_socket() as socket:
            tell("following", "")
            while True:
                event = await socket.recv()
                if event is None:  # nothing has come for ten seconds
                    continue
                if event["e"] == "executionReport":
                    tell("filled", event["z"])
                elif event["e"] in {"error", "eventStreamTerminated"}:
                    tell("sign", event.get("m") or event["e"])

    async def depth(self) -> object:
        answer: object = await self._client.ws_get_order_book(symbol=SYMBOL, limit=5000)
        return answer

    async def subscribe(self, subscribers: int) -> Events:
        if subscribers > 1:
            raise NotImplementedError
        return PythonBinanceEvents(
            await self._stack.enter_async_context(binance.BinanceSocketManager(self._client).user_socket())
        )


class PythonBinanceEvents(Events):
    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def receive(self, count: int) -> None:
        for _ in range(count):
            await self._socket.recv()


@asynccontextmanager
async def open_client(url: str) -> AsyncGenerator[Client]:
    # Not `AsyncClient.create`, which asks the exchange over REST first.
    client = binance.AsyncClient(API_KEY, API_SECRET)
    client.ws_api._url = url
    client.ws_api._path = ""
    async with AsyncExitStack() as stack:
        yield PythonBinanceClient(client, stack)
        # Left to itself, closing waits for a read that nothing will end.
        await client.session.close()
