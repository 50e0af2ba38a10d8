"""Market data requests that sum up: the tickers. What they give is exported by `market`, with the rest of its section.

Prices and trade ids may be None, where there were no trades or the book is empty: so the SBE schema says.

Source: "Market data requests" of the WebSocket API document, and the SBE schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Generic, Protocol

from ._base import R_co, Request, Shapes, api
from ._rules import at_most, at_most_one, exactly_one
from ._values import Record, Timestamp
from .enums import SymbolStatusFilter, TickerType, TickerWindowSize


class MiniStatistics(Record, frozen=True, kw_only=True):
    """Prices and volumes of a window of time (``type="MINI"``)."""

    symbol: str
    open_price: Decimal | None
    high_price: Decimal | None
    low_price: Decimal | None
    last_price: Decimal | None
    volume: Decimal
    quote_volume: Decimal
    open_time: Timestamp
    close_time: Timestamp
    first_id: int | None
    last_id: int | None
    count: int


class Statistics(MiniStatistics, frozen=True, kw_only=True):
    """Prices and volumes of a window of time, and how the price changed (``type="FULL"``)."""

    price_change: Decimal | None
    price_change_percent: Decimal | None  # 1.5 is 1.5 %
    weighted_avg_price: Decimal | None  # quote volume by volume


class DayStatistics(Statistics, frozen=True, kw_only=True):
    """Statistics of the last 24 hours, with the last trade and the best bid and ask."""

    prev_close_price: Decimal | None  # of the last trade before the window
    last_qty: Decimal
    bid_price: Decimal | None
    bid_qty: Decimal
    ask_price: Decimal | None
    ask_qty: Decimal


class _OfSymbols(Protocol):
    @property
    def symbol(self) -> str | None: ...
    @property
    def symbols(self) -> Sequence[str] | None: ...


def _count(request: _OfSymbols) -> int | None:
    """How many symbols are asked for; None for all."""
    return 1 if request.symbol else len(request.symbols) if request.symbols else None


def _day_weight(request: _OfSymbols) -> int:
    """2 for up to 20 symbols, 40 for up to 100, else 80."""
    count = _count(request)
    # The table of weights under "24hr ticker price change statistics"; all symbols weigh as much as the most.
    return 80 if count is None or count > 100 else 40 if count > 20 else 2


def _window_weight(request: _OfSymbols) -> int:
    """4 a symbol, at most 200."""
    # From 50 symbols on it weighs no more.
    return min(4 * (_count(request) or 50), 200)


def _price_weight(request: _OfSymbols) -> int:
    """2 for one symbol, else 4."""
    # "symbols" with a single one weighs as much as all of them ("Symbol price ticker").
    return 2 if request.symbol else 4


def _is_of_one(request: _OfSymbols) -> bool:
    """About one symbol it is an object, about several or all an array."""
    return request.symbol is not None


def _type_and_number(request: Any) -> tuple[str, bool]:
    """``type`` decides how much comes of a symbol. About one symbol it is an object, about several or all an array."""
    return request.type or "FULL", _is_of_one(request)


def _statistics(one: Any, several: Any) -> Shapes:
    # A MINI answer is the same for every ticker, so only the FULL ones differ.
    mini = {("MINI", True): MiniStatistics, ("MINI", False): tuple[MiniStatistics, ...]}
    return Shapes(_type_and_number, {("FULL", True): one, ("FULL", False): several, **mini})


_TYPE = {"type": "How much comes of each symbol: FULL, as if left out, or MINI."}


class TickerRequest(Request[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What all tickers take. Of several symbols, those in another status are left out; a single one is refused."""

    symbol_status: SymbolStatusFilter | None = None


@api(
    "ticker.24hr",
    security="NONE",
    source="Memory",
    weight=_day_weight,
    section="24hr-ticker-price-change-statistics",
    rules=(at_most_one("symbol", "symbols"),),
    shapes=_statistics(DayStatistics, tuple[DayStatistics, ...]),
    notes=_TYPE,
)
class Ticker24hr(
    TickerRequest[DayStatistics | MiniStatistics | tuple[DayStatistics, ...] | tuple[MiniStatistics, ...]],
    frozen=True,
    kw_only=True,
):
    """Statistics of the last 24 hours, of one, several or all symbols."""

    symbol: str | None = None
    symbols: Sequence[str] | None = None
    type: TickerType | None = None


class TradingDayRequest(TickerRequest[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What ticker.tradingDay adds."""

    time_zone: str | None = None  # where the day begins; its range is not documented (inconsistency 32)


@api(
    "ticker.tradingDay",
    security="NONE",
    source="Database",
    weight=_window_weight,
    section="trading-day-ticker",
    rules=(exactly_one("symbol", "symbols"),),
    shapes=_statistics(Statistics, tuple[Statistics, ...]),
    notes=_TYPE,
)
class TickerTradingDay(
    TradingDayRequest[Statistics | MiniStatistics | tuple[Statistics, ...] | tuple[MiniStatistics, ...]],
    frozen=True,
    kw_only=True,
):
    """Statistics of the trading day so far, of one or several symbols."""

    symbol: str | None = None
    symbols: Sequence[str] | None = None
    type: TickerType | None = None


class RollingWindowRequest(TickerRequest[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What ticker adds."""

    window_size: TickerWindowSize | None = None


@api(
    "ticker",
    security="NONE",
    source="Database",
    weight=_window_weight,
    section="rolling-window-price-change-statistics",
    # "Maximum number of symbols in one request: 200" ("Rolling window price change statistics").
    rules=(exactly_one("symbol", "symbols"), at_most(200, "symbols")),
    shapes=_statistics(Statistics, tuple[Statistics, ...]),
    notes=_TYPE,
)
class Ticker(
    RollingWindowRequest[Statistics | MiniStatistics | tuple[Statistics, ...] | tuple[MiniStatistics, ...]],
    frozen=True,
    kw_only=True,
):
    """Statistics of a window that ends now, of one or several symbols."""

    symbol: str | None = None
    symbols: Sequence[str] | None = None
    type: TickerType | None = None


class SymbolPrice(Record, frozen=True, kw_only=True):
    """The last price of a symbol."""

    symbol: str
    price: Decimal | None


@api(
    "ticker.price",
    security="NONE",
    source="Memory",
    weight=_price_weight,
    section="symbol-price-ticker",
    rules=(at_most_one("symbol", "symbols"),),
    shapes=Shapes(_is_of_one, {True: SymbolPrice, False: tuple[SymbolPrice, ...]}),
)
class TickerPrice(TickerRequest[SymbolPrice | tuple[SymbolPrice, ...]], frozen=True, kw_only=True):
    """The last price of one, several or all symbols."""

    symbol: str | None = None
    symbols: Sequence[str] | None = None


class SymbolBook(Record, frozen=True, kw_only=True):
    """The best bid and ask of a symbol."""

    symbol: str
    bid_price: Decimal | None
    bid_qty: Decimal
    ask_price: Decimal | None
    ask_qty: Decimal


@api(
    "ticker.book",
    security="NONE",
    source="Memory",
    weight=_price_weight,
    section="symbol-order-book-ticker",
    rules=(at_most_one("symbol", "symbols"),),
    shapes=Shapes(_is_of_one, {True: SymbolBook, False: tuple[SymbolBook, ...]}),
)
class TickerBook(TickerRequest[SymbolBook | tuple[SymbolBook, ...]], frozen=True, kw_only=True):
    """The best bid and ask of one, several or all symbols."""

    symbol: str | None = None
    symbols: Sequence[str] | None = None
