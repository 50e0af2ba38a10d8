"""What a running sandbox is asked by programs that do not run in this process, and by its page.

A view is a record of what is asked for, and a function that gives what is answered, in values that JSON has; `Decimal`
is one of them. An API key is shown by its beginning only: a view may be on a screen that others see.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec.structs import asdict

from bintrio.api._values import plain
from bintrio.api.enums import KlineInterval
from bintrio.api.market import Kline, PriceLevel

from .exchange.arguments import Positive
from .exchange.orders import Execution, SandboxOrder
from .exchange.units import MILLISECOND
from .running import Sandbox
from .seen import SandboxBudget, SandboxConnection
from .server.connection import CALLS_KEPT
from .server.faults import Fault, Together
from .world import WorldPart

_KEY_SHOWN: Final = 8  # characters of an API key


# What is asked for


class Nothing(WorldPart, frozen=True, kw_only=True):
    """Without fields."""


class Orders(WorldPart, frozen=True, kw_only=True):
    """Which orders.

    Attributes:
        open: whether only those that can still trade.
        limit: the newest, so many; all, if it is not given.
    """

    open: bool = False
    limit: Positive | None = None


class Calls(WorldPart, frozen=True, kw_only=True):
    """Which calls.

    Attributes:
        limit: the latest, so many.
    """

    limit: Positive = CALLS_KEPT


class OfSymbol(WorldPart, frozen=True, kw_only=True):
    """What belongs to a symbol.

    Attributes:
        limit: how many at most.
    """

    symbol: str
    limit: Positive = 100


class Candles(OfSymbol, frozen=True, kw_only=True):
    """Which candles.

    Attributes:
        interval: as the exchange names it.
        limit: the latest, so many.
    """

    interval: KlineInterval = "1m"


class View(NamedTuple):
    """What can be asked.

    Attributes:
        takes: the record of what is asked for.
        shows: gives what is answered.
        words: for the list of views.
    """

    takes: Any
    shows: Callable[[Sandbox, Any], object]
    words: str


# What is answered


def _state(sandbox: Sandbox, _asked: Nothing) -> object:
    return {
        "endpoint": sandbox.endpoint.urls[0],
        "time": sandbox.now(),
        "connections": sandbox.connections,
        "received": sandbox.received,
        "query_lag": sandbox.query_lag,
        "open_orders": len(sandbox.open_orders),
        "accounts": [{"uid": account.uid, "balances": balances(sandbox, account.uid)} for account in sandbox.accounts],
    }


def balances(sandbox: Sandbox, uid: int | None) -> object:
    """What an account has, by asset."""
    return {each.asset: {"free": each.free, "locked": each.locked} for each in sandbox.balances(uid)}


def _orders(sandbox: Sandbox, asked: Orders) -> object:
    # The open ones are found by account, without a walk over all that ever were.
    orders = sandbox.open_orders if asked.open else sandbox.orders
    return [of_order(order) for order in orders[-(asked.limit or len(orders)) :]]


def of_order(order: SandboxOrder) -> object:
    """An order, as it stands."""
    return {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "uid": order.owner,
        "symbol": order.symbol,
        "side": order.side,
        "type": order.type,
        "status": order.status,
        "price": order.price,
        "stop_price": order.stop_price,
        "quantity": order.quantity,
        "executed": order.executed,
        "order_list_id": order.list_id,
        "time": order.created_at // MILLISECOND,
        "update_time": order.updated_at // MILLISECOND,
    }


def _calls(sandbox: Sandbox, asked: Calls) -> object:
    return [asdict(call) for call in sandbox.calls[-asked.limit :]]


def _connections(sandbox: Sandbox, _asked: Nothing) -> object:
    return [_of_connection(connection) for connection in sandbox.open_connections]


def _of_connection(connection: SandboxConnection) -> object:
    # Before a logon there is no key, and none is no text with an ellipsis.
    return asdict(connection) | {"api_key": connection.api_key and f"{connection.api_key[:_KEY_SHOWN]}…"}


def _budgets(sandbox: Sandbox, _asked: Nothing) -> object:
    return [_of_budget(budget) for budget in sandbox.budgets]


def _of_budget(budget: SandboxBudget) -> object:
    limit = budget.limit
    return {
        "address": budget.address,
        "uid": budget.uid,
        "type": limit.rate_limit_type,
        "interval": f"{limit.interval_num} {limit.interval}",
        "limit": limit.limit,
        "used": limit.count,
        "ends_at": budget.ends_at,
        "banned_until": budget.banned_until,
    }


def _faults(sandbox: Sandbox, _asked: Nothing) -> object:
    return [_of_fault(fault) for fault in sandbox.faults]


def _of_fault(fault: Fault) -> object:
    # What will strike tells more than that several are put together.
    parts = fault.faults if isinstance(fault, Together) else (fault,)
    names = " and ".join(type(part).__name__ for part in parts)
    return {"type": names, "method": fault.method, "times": fault.times, "skip": fault.skip}


def _book(sandbox: Sandbox, asked: OfSymbol) -> object:
    book = sandbox.book(asked.symbol, asked.limit)
    return {"bids": _levels(book.bids), "asks": _levels(book.asks)}


def _levels(levels: tuple[PriceLevel, ...]) -> object:
    return [(level.price, level.quantity) for level in levels]


def _candles(sandbox: Sandbox, asked: Candles) -> object:
    return [_of_candle(candle) for candle in sandbox.candles(asked.symbol, asked.interval, asked.limit)]


def _of_candle(candle: Kline) -> object:
    return {
        "time": candle.open_time,
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "volume": candle.volume,
    }


def _fills(sandbox: Sandbox, asked: OfSymbol) -> object:
    return [_of_fill(execution) for execution in sandbox.fills(asked.symbol, asked.limit)]


def _of_fill(execution: Execution) -> object:
    order = execution.order
    return {
        "trade_id": execution.trade_id,
        "order_id": order.order_id,
        "uid": order.owner,
        "side": order.side,
        "price": execution.price,
        "quantity": execution.quantity,
        "commission": execution.commission,
        "commission_asset": execution.commission_asset,
        "is_maker": execution.is_maker,
        "time": execution.time // MILLISECOND,
    }


VIEWS: Final[Mapping[str, View]] = {
    "state": View(Nothing, _state, "endpoint, time, connections, what was received, accounts with their balances"),
    "orders": View(Orders, _orders, "the orders that clients placed"),
    "fills": View(OfSymbol, _fills, "the clients' sides of the latest trades of a symbol"),
    "calls": View(Calls, _calls, "the latest messages that came, up to 1,000, and how each was answered"),
    "connections": View(Nothing, _connections, "the open connections: whose they are, since when, their pings"),
    "budgets": View(Nothing, _budgets, "what is used of the limits of each address and account"),
    "faults": View(Nothing, _faults, "the faults that are still to strike"),
    "book": View(OfSymbol, _book, "what is bid and asked of a symbol: price and quantity, the best first"),
    "candles": View(Candles, _candles, "the latest candles of a symbol"),
}


def as_json(answer: object) -> str:
    """What was answered, as JSON; a number is text that has every digit."""
    # By the standard library: a client's parameters may have ints of any size.
    return json.dumps(answer, default=_plain)


def _plain(value: Any) -> object:
    # What is no Decimal here is a mapping that is no dict.
    return plain(value) if isinstance(value, Decimal) else dict(value)
