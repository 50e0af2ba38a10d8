"""bintrio with everything on: typed Decimals, client order ids, budgets, deadlines, heartbeat. HMAC signs each call."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import trio

import bintrio

from . import API_KEY, API_SECRET, PRICE, QUANTITY, SYMBOL, Client, Events, Tell

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

LOOP: Final = "trio"


class BintrioClient(Client):
    def __init__(self, session: bintrio.Session, stack: AsyncExitStack | None = None) -> None:
        self._session = session
        self._stack = stack or AsyncExitStack()

    async def order(self, client_order_id: str | None = None) -> object:
        return await self._session.order_place(
            symbol=SYMBOL,
            side="SELL",
            type="LIMIT",
            time_in_force="GTC",
            price=Decimal(PRICE),
            quantity=Decimal(QUANTITY),
            new_client_order_id=client_order_id,
        )

    def id_in(self, answer: Any) -> object:
        return answer.client_order_id

    async def follow(self, tell: Tell) -> None:
        async with self._session.user_data() as events:
            tell("following", "")
            async for event in events:
                if isinstance(event, bintrio.ExecutionReport):
                    tell("filled", event.cumulative_filled_quantity)
                elif isinstance(event, bintrio.Gap | bintrio.Interrupted):
                    tell("sign", event.reason)

    async def depth(self) -> object:
        return await self._session.depth(symbol=SYMBOL, limit=5000)

    async def exchange_info(self) -> object:
        return await self._session.exchange_info()

    async def subscribe(self, subscribers: int) -> Events:
        return BintrioEvents(
            [await self._stack.enter_async_context(self._session.user_data()) for _ in range(subscribers)]
        )

    async def rotate(self) -> None:
        await self._session.rotate()


class BintrioEvents(Events):
    def __init__(self, subscribers: list[bintrio.Subscriber]) -> None:
        self._subscribers = subscribers

    async def receive(self, count: int) -> None:
        async with trio.open_nursery() as nursery:
            for subscriber in self._subscribers:
                nursery.start_soon(read, subscriber, count)


async def read(subscriber: bintrio.Subscriber, count: int) -> None:
    async for event in subscriber:
        assert isinstance(event, bintrio.ExecutionReport)
        count -= 1
        if not count:
            return


def open_client(url: str) -> AbstractAsyncContextManager[Client]:
    return open_with(url, bintrio.HmacKey(API_KEY, API_SECRET))


def open_wary_client(url: str) -> AbstractAsyncContextManager[Client]:
    return open_with(url, bintrio.HmacKey(API_KEY, API_SECRET), pong_window=2)


@asynccontextmanager
async def open_with(url: str, key: bintrio.Key, pong_window: float = 60) -> AsyncGenerator[Client]:
    async with bintrio.open_session(url, key=key, pong_window=pong_window) as session, AsyncExitStack() as stack:
        yield BintrioClient(session, stack)
