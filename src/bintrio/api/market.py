"""Market data requests.

Prices and trade ids of tickers may be None, where there were no trades or the book is empty: so the SBE schema says.

Source: "Market data requests" of the WebSocket API document, and the SBE schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Generic, Protocol

from ._base import R_co, Request, Shapes, api
from ._rules import at_most, at_most_one, exactly_one, not_with, time_zone_in_range
from ._values import KeepsUnknownFields, Record, Row, Timestamp
from .enums import KlineInterval, ReferencePriceCalculationType, SymbolStatusFilter, TickerType, TickerWindowSize

__all__ = [
    "AggregateTrade",
    "ArithmeticMean",
    "AveragePrice",
    "BlockTrade",
    "CurrentReferencePrice",
    "DayStatistics",
    "ExternalCalculation",
    "Kline",
    "MiniStatistics",
    "NoReferencePrice",
    "OrderBook",
    "OtherCalculation",
    "PriceLevel",
    "Statistics",
    "SymbolBook",
    "SymbolPrice",
    "Trade",
]


class PriceLevel(Row, frozen=True):
    """One price of an order book: ``[price, quantity]`` on the wire."""

    price: Decimal
    quantity: Decimal


class OrderBook(Record, frozen=True, kw_only=True):
    """Bids and asks, best first."""

    last_update_id: int
    bids: tuple[PriceLevel, ...]
    asks: tuple[PriceLevel, ...]


def _depth_weight(request: Depth) -> int:
    """5, 25, 50 or 250, by limit."""
    # The table of weights under "Order book".
    limit = request.limit or 100
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


@api(
    "depth",
    security="NONE",
    weight=_depth_weight,
    section="order-book",
    notes={
        "limit": "How many price levels a side: up to 5000, 100 if left out.",
        "symbol_status": "The symbol is refused with -1220 if it is in another status.",
    },
)
class Depth(Request[OrderBook], frozen=True, kw_only=True):
    """The order book."""

    symbol: str
    limit: int | None = None
    symbol_status: SymbolStatusFilter | None = None


class BlockTrade(Record, frozen=True, kw_only=True):
    """A trade that was agreed on outside the order book."""

    id: int
    price: Decimal
    qty: Decimal
    quote_qty: Decimal
    time: Timestamp
    is_buyer_maker: bool


class Trade(BlockTrade, frozen=True, kw_only=True):
    """A public trade."""

    is_best_match: bool


@api("trades.recent", security="NONE", weight=25, section="recent-trades")
class TradesRecent(Request[tuple[Trade, ...]], frozen=True, kw_only=True):
    """The newest trades, oldest first."""

    symbol: str
    limit: int | None = None


@api("trades.historical", security="NONE", weight=25, section="historical-trades")
class TradesHistorical(Request[tuple[Trade, ...]], frozen=True, kw_only=True):
    """Trades from ``from_id`` on, or the newest."""

    symbol: str
    from_id: int | None = None
    limit: int | None = None


@api("blockTrades.historical", security="NONE", weight=25, section="historical-block-trades")
class BlockTradesHistorical(Request[tuple[BlockTrade, ...]], frozen=True, kw_only=True):
    """Block trades from ``from_id`` on."""

    symbol: str
    from_id: int
    limit: int | None = None


class AggregateTrade(
    KeepsUnknownFields,
    frozen=True,
    kw_only=True,
    rename={
        "id": "a",
        "price": "p",
        "quantity": "q",
        "first_trade_id": "f",
        "last_trade_id": "l",
        "time": "T",
        "is_buyer_maker": "m",
        "is_best_match": "M",
    },
):
    """Trades of one taker order at one price and time. Its names are ours: the exchange sends single letters."""

    id: int
    price: Decimal
    quantity: Decimal
    first_trade_id: int
    last_trade_id: int
    time: Timestamp
    is_buyer_maker: bool
    is_best_match: bool


@api(
    "trades.aggregate",
    security="NONE",
    weight=4,
    section="aggregate-trades",
    # "fromId cannot be used together with startTime and endTime" ("Aggregate trades").
    rules=(not_with("from_id", "start_time", "end_time"),),
)
class TradesAggregate(Request[tuple[AggregateTrade, ...]], frozen=True, kw_only=True):
    """Aggregate trades from an id, or in a span of time, or the newest."""

    symbol: str
    from_id: int | None = None
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    limit: int | None = None


class Kline(Row, frozen=True):
    """One candlestick; an array on the wire. Volumes are in the base asset unless they are called quote volumes."""

    open_time: Timestamp
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    close_time: Timestamp
    quote_volume: Decimal
    number_of_trades: int
    taker_buy_base_volume: Decimal
    taker_buy_quote_volume: Decimal
    # The document says to ignore it. It is kept, so that a candle is what was sent, position by position.
    unused: str


class KlineRequest(Request[tuple[Kline, ...]], frozen=True, kw_only=True):
    """What klines and uiKlines take. Times are UTC, whatever ``time_zone`` says."""

    symbol: str
    interval: KlineInterval
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    time_zone: str | None = None
    limit: int | None = None


@api("klines", security="NONE", weight=2, section="klines", rules=(time_zone_in_range("time_zone"),))
class Klines(KlineRequest, frozen=True, kw_only=True):
    """Candlesticks; their days begin at midnight in ``time_zone``."""


@api("uiKlines", security="NONE", weight=2, section="ui-klines", rules=(time_zone_in_range("time_zone"),))
class UiKlines(KlineRequest, frozen=True, kw_only=True):
    """Candlesticks as charts show them."""


class AveragePrice(Record, frozen=True, kw_only=True):
    """The average price over the last ``mins`` minutes."""

    mins: int
    price: Decimal | None = None
    close_time: Timestamp | None = None


@api("avgPrice", security="NONE", weight=2, section="current-average-price")
class AvgPrice(Request[AveragePrice], frozen=True, kw_only=True):
    """The average price that the filters of the symbol go by."""

    symbol: str


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
    price_change_percent: Decimal | None
    weighted_avg_price: Decimal | None


class DayStatistics(Statistics, frozen=True, kw_only=True):
    """Statistics of the last 24 hours, with the last trade and the best bid and ask."""

    prev_close_price: Decimal | None
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

    time_zone: str | None = None


@api(
    "ticker.tradingDay",
    security="NONE",
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
    weight=_window_weight,
    section="rolling-window-price-change-statistics",
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
    weight=_price_weight,
    section="symbol-order-book-ticker",
    rules=(at_most_one("symbol", "symbols"),),
    shapes=Shapes(_is_of_one, {True: SymbolBook, False: tuple[SymbolBook, ...]}),
)
class TickerBook(TickerRequest[SymbolBook | tuple[SymbolBook, ...]], frozen=True, kw_only=True):
    """The best bid and ask of one, several or all symbols."""

    symbol: str | None = None
    symbols: Sequence[str] | None = None


class CurrentReferencePrice(Record, frozen=True, kw_only=True):
    """The reference price of a symbol; None while none is set."""

    symbol: str
    reference_price: Decimal | None
    timestamp: Timestamp


class NoReferencePrice(Record, frozen=True, kw_only=True):
    """The symbol never had a reference price: an error in words that is a success by its status."""

    code: int
    msg: str


@api("referencePrice", security="NONE", weight=2, section="query-reference-price")
class ReferencePrice(Request[CurrentReferencePrice | NoReferencePrice], frozen=True, kw_only=True):
    """The reference price of a symbol, by which its execution rules and filters go."""

    symbol: str


class OtherCalculation(Record, frozen=True, kw_only=True):
    """A reference price that is made in a way this release does not know."""

    symbol: str
    calculation_type: ReferencePriceCalculationType


class ArithmeticMean(Record, frozen=True, kw_only=True, tag_field="calculationType", tag="ARITHMETIC_MEAN"):
    """A reference price that is the mean of ``bucket_count`` prices, ``bucket_width_ms`` milliseconds apart."""

    symbol: str
    bucket_count: int
    bucket_width_ms: int

    @property
    def calculation_type(self) -> str:
        """``"ARITHMETIC_MEAN"``."""
        return "ARITHMETIC_MEAN"


class ExternalCalculation(Record, frozen=True, kw_only=True, tag_field="calculationType", tag="EXTERNAL"):
    """A reference price that is made outside the exchange."""

    symbol: str
    external_calculation_id: int

    @property
    def calculation_type(self) -> str:
        """``"EXTERNAL"``."""
        return "EXTERNAL"


@api("referencePrice.calculation", security="NONE", weight=2, section="query-reference-price-calculation")
class ReferencePriceCalculation(
    Request[ArithmeticMean | ExternalCalculation | OtherCalculation], frozen=True, kw_only=True
):
    """How the reference price of a symbol is made."""

    symbol: str
    symbol_status: SymbolStatusFilter | None = None
