"""General requests: ping, time, exchangeInfo.

Source: "General requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ._base import Request, api, at_most_one
from ._values import (
    OrderType,
    RateLimit,
    Record,
    SelfTradePreventionMode,
    SymbolStatus,
    SymbolStatusFilter,
    Timestamp,
)


class Nothing(Record, frozen=True, kw_only=True):
    """An empty answer."""


class ServerTime(Record, frozen=True, kw_only=True):
    """The exchange's clock."""

    server_time: Timestamp


class SymbolInfo(Record, frozen=True, kw_only=True):
    """The trading rules of one symbol."""

    symbol: str
    status: SymbolStatus
    base_asset: str
    base_asset_precision: int
    quote_asset: str
    quote_precision: int
    quote_asset_precision: int
    base_commission_precision: int
    quote_commission_precision: int
    order_types: tuple[OrderType, ...]
    iceberg_allowed: bool
    oco_allowed: bool
    oto_allowed: bool
    opo_allowed: bool
    quote_order_qty_market_allowed: bool
    allow_trailing_stop: bool
    cancel_replace_allowed: bool
    amend_allowed: bool
    peg_instructions_allowed: bool
    is_spot_trading_allowed: bool
    is_margin_trading_allowed: bool
    filters: tuple[msgspec.Raw, ...]
    permissions: tuple[str, ...]
    permission_sets: tuple[tuple[str, ...], ...]
    default_self_trade_prevention_mode: SelfTradePreventionMode
    allowed_self_trade_prevention_modes: tuple[SelfTradePreventionMode, ...]


class SmartOrderRouting(Record, frozen=True, kw_only=True):
    """The symbols among which orders for one base asset may be routed."""

    base_asset: str
    symbols: tuple[str, ...]


class ExchangeInformation(Record, frozen=True, kw_only=True):
    """Limits of the exchange and trading rules of its symbols."""

    timezone: str
    server_time: Timestamp
    rate_limits: tuple[RateLimit, ...]
    exchange_filters: tuple[msgspec.Raw, ...]
    symbols: tuple[SymbolInfo, ...]
    sors: tuple[SmartOrderRouting, ...] | None = None


@api("ping", security="NONE", weight=1, section="test-connectivity")
class Ping(Request[Nothing], frozen=True, kw_only=True):
    """Test connectivity."""


@api("time", security="NONE", weight=1, section="check-server-time")
class Time(Request[ServerTime], frozen=True, kw_only=True):
    """The exchange's clock."""


@api(
    "exchangeInfo",
    security="NONE",
    weight=20,
    section="exchange-information",
    rules=(
        at_most_one("symbol", "symbols", "permissions"),
        at_most_one("symbol_status", "symbol"),
        at_most_one("symbol_status", "symbols"),
    ),
)
class ExchangeInfo(Request[ExchangeInformation], frozen=True, kw_only=True):
    """Limits of the exchange, and the trading rules of one, several or all symbols."""

    symbol: str | None = None
    symbols: Sequence[str] | None = None
    permissions: Sequence[str] | None = None
    show_permission_sets: bool | None = None
    symbol_status: SymbolStatusFilter | None = None
