"""General requests: ping, time, exchangeInfo.

Source: "General requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ._base import Request, api
from ._rules import at_most_one, not_with
from ._values import RateLimit, Record, Timestamp
from .enums import ExecutionRuleType, OrderType, Permission, SelfTradePreventionMode, SymbolStatus, SymbolStatusFilter
from .filters import Filter

__all__ = [
    "ExchangeInformation",
    "ExecutionRule",
    "ExecutionRuleBook",
    "Nothing",
    "ServerTime",
    "SmartOrderRouting",
    "SymbolExecutionRules",
    "SymbolInfo",
]


class Nothing(Record, frozen=True, kw_only=True):
    """An empty answer."""


class ServerTime(Record, frozen=True, kw_only=True):
    """The exchange's clock."""

    server_time: Timestamp


class SymbolInfo(Record, frozen=True, kw_only=True):
    """The trading rules of one symbol.

    An account may trade it with at least one permission out of every inner tuple of ``permission_sets``; the older
    ``permissions`` is always empty, and about to go.
    """

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
    filters: tuple[Filter, ...]
    # Its removal is announced, so that it may be absent is no fault of the server.
    permissions: tuple[Permission, ...] | None = None
    permission_sets: tuple[tuple[Permission, ...], ...]
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
    exchange_filters: tuple[Filter, ...]
    symbols: tuple[SymbolInfo, ...]
    sors: tuple[SmartOrderRouting, ...] | None = None  # only where routing is available


class ExecutionRule(Record, frozen=True, kw_only=True):
    """How far from the reference price an order may trade; a multiplier that is None sets no bound."""

    rule_type: ExecutionRuleType
    bid_limit_mult_up: Decimal | None = None
    bid_limit_mult_down: Decimal | None = None
    ask_limit_mult_up: Decimal | None = None
    ask_limit_mult_down: Decimal | None = None


class SymbolExecutionRules(Record, frozen=True, kw_only=True):
    """The execution rules of one symbol."""

    symbol: str
    rules: tuple[ExecutionRule, ...]


class ExecutionRuleBook(Record, frozen=True, kw_only=True):
    """The execution rules of the symbols asked for."""

    symbol_rules: tuple[SymbolExecutionRules, ...]


@api("ping", security="NONE", source="Memory", weight=1, section="test-connectivity")
class Ping(Request[Nothing], frozen=True, kw_only=True):
    """Test connectivity."""


@api("time", security="NONE", source="Memory", weight=1, section="check-server-time")
class Time(Request[ServerTime], frozen=True, kw_only=True):
    """The exchange's clock."""


@api(
    "exchangeInfo",
    security="NONE",
    source="Memory",
    weight=20,
    section="exchange-information",
    # Only one of the three may be given, and the status not with a symbol ("Exchange information").
    rules=(at_most_one("symbol", "symbols", "permissions"), not_with("symbol_status", "symbol", "symbols")),
    notes={"symbol_status": "Only symbols in this status."},
)
class ExchangeInfo(Request[ExchangeInformation], frozen=True, kw_only=True):
    """Limits of the exchange, and the trading rules of one, several or all symbols."""

    symbol: str | None = None
    symbols: Sequence[str] | None = None
    permissions: Sequence[Permission] | None = None
    show_permission_sets: bool | None = None
    symbol_status: SymbolStatusFilter | None = None


def _execution_rules_weight(request: ExecutionRules) -> int:
    """2 a symbol, at most 40."""
    # 2 for each symbol, as in the table of "Query Execution Rules"; a status may match any number of symbols.
    if request.symbol:
        return 2
    return min(2 * len(request.symbols), 40) if request.symbols else 40


@api(
    "executionRules",
    security="NONE",
    source="Memory",
    weight=_execution_rules_weight,
    section="query-execution-rules",
    rules=(at_most_one("symbol", "symbols", "symbol_status"),),
    notes={"symbol_status": "All symbols in this status."},
)
class ExecutionRules(Request[ExecutionRuleBook], frozen=True, kw_only=True):
    """The rules that bound the price of executions, of one, several or all symbols."""

    symbol: str | None = None
    symbols: Sequence[str] | None = None
    symbol_status: SymbolStatusFilter | None = None
