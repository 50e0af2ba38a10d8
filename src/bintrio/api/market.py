"""Market data requests.

The tickers are in `tickers`.

Source: "Market data requests" of the WebSocket API document, and the SBE schema.
"""

from __future__ import annotations

from decimal import Decimal

from ._base import Request, api
from ._rules import not_with, time_zone_in_range
from ._values import KeepsUnknownFields, Record, Row, Timestamp
from .enums import KlineInterval, ReferencePriceCalculationType, SymbolStatusFilter
from .tickers import DayStatistics as DayStatistics
from .tickers import MiniStatistics as MiniStatistics
from .tickers import Statistics as Statistics
from .tickers import SymbolBook as SymbolBook
from .tickers import SymbolPrice as SymbolPrice

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
    source="Memory",
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
    is_buyer_maker: bool  # whether the seller was the taker


class Trade(BlockTrade, frozen=True, kw_only=True):
    """A public trade."""

    is_best_match: bool


@api("trades.recent", security="NONE", source="Memory", weight=25, section="recent-trades")
class TradesRecent(Request[tuple[Trade, ...]], frozen=True, kw_only=True):
    """The newest trades, oldest first."""

    symbol: str
    limit: int | None = None


@api("trades.historical", security="NONE", source="Database", weight=25, section="historical-trades")
class TradesHistorical(Request[tuple[Trade, ...]], frozen=True, kw_only=True):
    """Trades from ``from_id`` on, or the newest."""

    symbol: str
    from_id: int | None = None
    limit: int | None = None


@api("blockTrades.historical", security="NONE", source="Database", weight=25, section="historical-block-trades")
class BlockTradesHistorical(Request[tuple[BlockTrade, ...]], frozen=True, kw_only=True):
    """Block trades from ``from_id`` on."""

    symbol: str
    from_id: int  # mandatory here, unlike in trades.historical
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
    source="Database",
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
    close_time: Timestamp  # the last moment of the candle, not the first of the next
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
    time_zone: str | None = None  # where days begin
    limit: int | None = None


@api("klines", security="NONE", source="Database", weight=2, section="klines", rules=(time_zone_in_range("time_zone"),))
class Klines(KlineRequest, frozen=True, kw_only=True):
    """Candlesticks; their days begin at midnight in ``time_zone``."""


@api(
    "uiKlines",
    security="NONE",
    source="Database",
    weight=2,
    section="ui-klines",
    rules=(time_zone_in_range("time_zone"),),
)
class UiKlines(KlineRequest, frozen=True, kw_only=True):
    """Candlesticks as charts show them."""


class AveragePrice(Record, frozen=True, kw_only=True):
    """The average price over the last ``mins`` minutes."""

    mins: int
    price: Decimal | None = None
    close_time: Timestamp | None = None  # of the last trade


@api("avgPrice", security="NONE", source="Memory", weight=2, section="current-average-price")
class AvgPrice(Request[AveragePrice], frozen=True, kw_only=True):
    """The average price that the filters of the symbol go by."""

    symbol: str


class CurrentReferencePrice(Record, frozen=True, kw_only=True):
    """The reference price of a symbol; None while none is set."""

    symbol: str
    reference_price: Decimal | None
    timestamp: Timestamp  # when the price was valid


class NoReferencePrice(Record, frozen=True, kw_only=True):
    """The symbol never had a reference price: an error in words that is a success by its status."""

    code: int
    msg: str


@api("referencePrice", security="NONE", source="Memory", weight=2, section="query-reference-price")
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


@api(
    "referencePrice.calculation",
    security="NONE",
    source="Memory",
    weight=2,
    section="query-reference-price-calculation",
)
class ReferencePriceCalculation(
    Request[ArithmeticMean | ExternalCalculation | OtherCalculation], frozen=True, kw_only=True
):
    """How the reference price of a symbol is made."""

    symbol: str
    symbol_status: SymbolStatusFilter | None = None
