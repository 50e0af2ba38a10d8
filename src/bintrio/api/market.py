"""Market data requests.

Source: "Market data requests" of the WebSocket API document.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ._base import Request, api
from ._values import Record, SymbolStatusFilter


class PriceLevel(msgspec.Struct, frozen=True, array_like=True):
    """One price of an order book: ``[price, quantity]`` on the wire."""

    price: Decimal
    quantity: Decimal


class OrderBook(Record, frozen=True, kw_only=True):
    """Bids and asks, best first."""

    last_update_id: int
    bids: tuple[PriceLevel, ...]
    asks: tuple[PriceLevel, ...]


def _depth_weight(request: Depth) -> int:
    limit = request.limit or 100
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


@api("depth", security="NONE", weight=_depth_weight, section="order-book")
class Depth(Request[OrderBook], frozen=True, kw_only=True):
    """Order book: up to ``limit`` levels a side (default 100, at most 5000)."""

    symbol: str
    limit: int | None = None
    symbol_status: SymbolStatusFilter | None = None
