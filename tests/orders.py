"""Orders that tests of outcomes place, and the exchange that they place them on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

import bintrio
from bintrio import OutcomeUnknown
from bintrio.api.enums import CancelReplaceMode
from bintrio.requests import OrderCancelReplace, OrderListPlaceOto, OrderPlace
from bintrio.sandbox import Sandbox, open_sandbox

PAIR = OrderListPlaceOto(
    symbol="BTCUSDT",
    working_type="LIMIT",
    working_side="BUY",
    working_price=1,
    working_quantity=1,
    working_time_in_force="GTC",
    pending_type="MARKET",
    pending_side="SELL",
    pending_quantity=1,
    list_client_order_id="list",
    working_client_order_id="w",
    pending_client_order_id="p",
)
NO_ORDER: dict[str, Any] = {"status": 400, "error": {"code": -2013, "msg": "Order does not exist."}}


@asynccontextmanager
async def open_market(**options: Any) -> AsyncGenerator[tuple[bintrio.Session, Sandbox]]:
    async with open_sandbox(listen=False) as sandbox:
        sandbox.quote("BTCUSDT", Decimal(50_000), Decimal(50_001), Decimal(10))
        async with bintrio.open_session(
            sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key, **options
        ) as session:
            yield session, sandbox


def limit(price: int = 40_000, **fields: Any) -> OrderPlace:
    return OrderPlace(
        symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity="0.001", **fields
    )


def replacing(order_id: int, mode: CancelReplaceMode = "STOP_ON_FAILURE", **fields: Any) -> OrderCancelReplace:
    """Cancels an order, and places a limit order to buy."""
    given: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
    given |= {"price": 1, "quantity": 1, "cancel_replace_mode": mode, "cancel_order_id": order_id}
    return OrderCancelReplace(**given | fields)


# Late answers


async def late(session: bintrio.Session, exchange: Any, request: Any, reply: Any) -> OutcomeUnknown[Any]:
    """A call whose answer comes when its caller has gone."""
    with trio.move_on_after(1):
        await session.send(request)
    await exchange.peers[0].answer(await exchange.peers[0].next(), **reply)
    await wait_all_tasks_blocked()
    return session.unresolved[-1]
