"""General requests.

Source: "General requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bintrio.api.filters import MaxAssetFilter
from bintrio.api.general import (
    ExchangeInfo,
    ExecutionRuleBook,
    ExecutionRules,
    Nothing,
    Ping,
    ServerTime,
    SymbolExecutionRules,
    Time,
)

from ..matching import MatchingEngine
from ..symbols import Symbol
from ..units import MILLISECOND
from .calls import RequestContext, answers


@answers(Ping)
def ping(call: RequestContext) -> Nothing:
    """Nothing."""
    return Nothing()


@answers(Time)
def time(call: RequestContext) -> ServerTime:
    """The clock."""
    return ServerTime(server_time=call.now)


@answers(ExchangeInfo)
def exchange_info(call: RequestContext) -> dict[str, Any]:
    """Limits and symbols. Given as JSON, which has fields that only some symbols have."""
    shows_sets = call.request.show_permission_sets is not False
    return {
        # This answer is no record, so its time is brought to the unit here.
        "timezone": "UTC",
        "serverTime": call.now if call.session.unit == "us" else call.now // MILLISECOND,
        "rateLimits": [_without_count(rule) for rule in call.limits.rules()],
        # Those of assets are told by myFilters (filters.md).
        "exchangeFilters": [one for one in call.engine.exchange_filters if not isinstance(one, MaxAssetFilter)],
        "symbols": [symbol.as_json(show_permission_sets=shows_sets) for symbol in _symbols(call)],
        **_routes(call),
    }


def _routes(call: RequestContext) -> dict[str, Any]:
    """``sors``, where there are any."""
    engine = call.engine
    # "Present only when SOR is available" ("Exchange information").
    groups = dict.fromkeys(listing.routes for listing in engine.listings.values() if listing.routes)
    sors = [{"baseAsset": group[0].base, "symbols": [one.symbol.name for one in group]} for group in groups]
    return {"sors": sors} if sors else {}


def _without_count(rule: Any) -> dict[str, Any]:
    return {
        "rateLimitType": rule.rate_limit_type,
        "interval": rule.interval,
        "intervalNum": rule.interval_num,
        "limit": rule.limit,
    }


def _symbols(call: RequestContext) -> Sequence[Symbol]:
    request: ExchangeInfo = call.request
    if request.symbol is not None or request.symbols is not None:
        # Whatever their status: `symbolStatus` does not go together with names.
        return _named(call.engine, request)
    # Every symbol of a sandbox has the permission SPOT, and no other.
    if request.permissions is not None and "SPOT" not in request.permissions:
        return []
    return _of_status(call.engine.symbols.values(), request.symbol_status)


def _named(engine: MatchingEngine, request: ExchangeInfo | ExecutionRules) -> list[Symbol]:
    names = request.symbols or (request.symbol,)
    return [engine.symbol(name) for name in names if name is not None]


def _of_status(symbols: Iterable[Symbol], wanted: str | None) -> list[Symbol]:
    return [symbol for symbol in symbols if wanted in {None, symbol.status}]


@answers(ExecutionRules)
def execution_rules(call: RequestContext) -> ExecutionRuleBook:
    """The rules of the symbols asked for."""
    request: ExecutionRules = call.request
    is_named = request.symbol is not None or request.symbols is not None
    symbols = _named(call.engine, request) if is_named else call.engine.symbols.values()
    shown = _of_status(symbols, request.symbol_status)
    return ExecutionRuleBook(
        symbol_rules=tuple(SymbolExecutionRules(symbol=one.name, rules=one.execution_rules) for one in shown)
    )
