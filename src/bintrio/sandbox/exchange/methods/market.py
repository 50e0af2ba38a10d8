"""Market data requests.

Source: "Market data requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar

from bintrio.api.market import (
    AggregateTrade,
    ArithmeticMean,
    AveragePrice,
    AvgPrice,
    BlockTrade,
    BlockTradesHistorical,
    CurrentReferencePrice,
    Depth,
    ExternalCalculation,
    Kline,
    Klines,
    NoReferencePrice,
    OrderBook,
    PriceLevel,
    ReferencePrice,
    ReferencePriceCalculation,
    Trade,
    TradesAggregate,
    TradesHistorical,
    TradesRecent,
    UiKlines,
)
from bintrio.api.tickers import (
    DayStatistics,
    MiniStatistics,
    Statistics,
    SymbolBook,
    SymbolPrice,
    Ticker,
    Ticker24hr,
    TickerBook,
    TickerPrice,
    TickerTradingDay,
)

from .. import refusals
from ..candles import DAY, candles, interval, window
from ..orders import NOTHING, eight_decimals
from ..reference import MeanOfTrades, price_of
from ..summary import Summary
from ..symbols import Symbol
from ..tape import MINUTE, from_id, in_span, newest
from .calls import RequestContext, answers

MAX_DEPTH: Final = 5_000
"""Levels a side; "Order book"."""

_DEFAULT_DEPTH: Final = 100
_AVERAGE_MINUTES: Final = 5
_THREE_DECIMALS: Final = Decimal("0.001")
_ZERO: Final = eight_decimals(NOTHING)

T = TypeVar("T")

_id: Final[Callable[[Any], int]] = attrgetter("id")


# The book


@answers(Depth)
def depth(call: RequestContext) -> OrderBook:
    """The order book."""
    _check_status(call, call.symbol)
    # Not refused: the changelog of 2022-02-24 cuts the answer.
    asked: int | None = call.request.limit
    limit = MAX_DEPTH if asked is not None and asked > MAX_DEPTH else call.limit(_DEFAULT_DEPTH, MAX_DEPTH)
    book = call.board.book
    return OrderBook(last_update_id=book.update_id, bids=_levels(book.bids(limit)), asks=_levels(book.asks(limit)))


def _levels(levels: Sequence[tuple[Decimal, Decimal]]) -> tuple[PriceLevel, ...]:
    return tuple(PriceLevel(eight_decimals(price), eight_decimals(quantity)) for price, quantity in levels)


def _check_status(call: RequestContext, symbol: Symbol) -> None:
    # Of one symbol another status is an error, -1220; among several, `_tickers` leaves such a symbol out.
    if call.request.symbol_status not in {None, symbol.status}:
        raise refusals.symbol_status_differs()


# Trades


@answers(TradesRecent)
def trades_recent(call: RequestContext) -> Sequence[Trade]:
    """The newest trades."""
    return newest(call.tape.trades, call.limit())


@answers(TradesHistorical)
def trades_historical(call: RequestContext) -> Sequence[Trade]:
    """Trades from an id on, or the newest."""
    first: int | None = call.request.from_id
    trades, limit = call.tape.trades, call.limit()
    return newest(trades, limit) if first is None else from_id(trades, first, limit, _id)


@answers(TradesAggregate)
def trades_aggregate(call: RequestContext) -> Sequence[AggregateTrade]:
    """Aggregate trades from an id on, in a span of time, or the newest."""
    first: int | None = call.request.from_id
    aggregates, limit = call.tape.aggregates, call.limit()
    # An id goes before a span of time.
    if first is not None:
        return from_id(aggregates, first, limit, _id)
    return in_span(aggregates, call.start, call.end, limit)


@answers(BlockTradesHistorical)
def block_trades_historical(call: RequestContext) -> Sequence[BlockTrade]:
    """Block trades from an id on."""
    return from_id(call.tape.block_trades, call.request.from_id, call.limit(), _id)


# Candles


@answers(UiKlines)
@answers(Klines)
def klines(call: RequestContext) -> tuple[Kline, ...]:
    """Candles; those for charts are the same."""
    request: Klines = call.request
    parts = interval(request.interval, request.time_zone)
    return candles(call.tape, parts, call.now, start=call.start, end=call.end, limit=call.limit())


@answers(AvgPrice)
def avg_price(call: RequestContext) -> AveragePrice:
    """The average price of the last minutes; without a trade in them, the last price."""
    tape = call.tape
    # A trade of this very moment is in it.
    summary = tape.summary(call.now - _AVERAGE_MINUTES * MINUTE, call.now + 1)
    if summary is not None:
        return AveragePrice(mins=_AVERAGE_MINUTES, price=summary.average, close_time=summary.end)
    last = tape.trades[-1] if tape.trades else None
    return AveragePrice(mins=_AVERAGE_MINUTES, price=last.price if last else _ZERO, close_time=last.time if last else 0)


# Tickers


def _tickers(call: RequestContext, of_symbol: Callable[[Symbol], T]) -> T | tuple[T, ...]:
    """The ticker of the one symbol that is asked for, or of several, or of all that are trading."""
    request, engine = call.request, call.engine
    # A single symbol is answered by an object; several, or all, by a list, even if that has one item.
    if request.symbol is not None:
        _check_status(call, call.symbol)
        return of_symbol(call.symbol)
    named: Sequence[str] | None = request.symbols
    # Of all symbols only those that are trading; who names some gets these.
    status: str | None = request.symbol_status or ("TRADING" if named is None else None)
    symbols = engine.symbols.values() if named is None else map(engine.symbol, named)
    return tuple(of_symbol(symbol) for symbol in symbols if status in {None, symbol.status})


@answers(TickerPrice)
def ticker_price(call: RequestContext) -> SymbolPrice | tuple[SymbolPrice, ...]:
    """The last price; 0 before the first trade."""
    return _tickers(call, partial(_price, call))


def _price(call: RequestContext, symbol: Symbol) -> SymbolPrice:
    return SymbolPrice(symbol=symbol.name, price=_last_price(call, symbol))


@answers(TickerBook)
def ticker_book(call: RequestContext) -> SymbolBook | tuple[SymbolBook, ...]:
    """The best bid and ask; 0 where there is none."""
    return _tickers(call, partial(_best, call))


def _best(call: RequestContext, symbol: Symbol) -> SymbolBook:
    bid, ask = _top(call, symbol)
    return SymbolBook(
        symbol=symbol.name,
        bid_price=bid.price,
        bid_qty=bid.quantity,
        ask_price=ask.price,
        ask_qty=ask.quantity,
    )


def _top(call: RequestContext, symbol: Symbol) -> tuple[PriceLevel, PriceLevel]:
    book, nothing = call.board_of(symbol).book, PriceLevel(_ZERO, _ZERO)
    bid, ask = (next(iter(_levels(levels)), nothing) for levels in (book.bids(1), book.asks(1)))
    return bid, ask


class _Window(NamedTuple):
    """A span of time: from the first moment to the last one shown. Trades that are still to come are in none."""

    opening: int
    closing: int


@answers(Ticker24hr)
def ticker_24hr(call: RequestContext) -> Any:
    """The last 24 hours."""
    return _tickers(call, partial(_day_statistics, call, _Window(call.now - DAY, call.now)))


@answers(Ticker)
def ticker(call: RequestContext) -> Any:
    """A window that ends now. It opens with a minute, so it is up to a minute longer than was asked for."""
    opening = (call.now - window(call.request.window_size or "1d")) // MINUTE * MINUTE
    return _tickers(call, partial(_statistics, call, _Window(opening, call.now)))


@answers(TickerTradingDay)
def ticker_trading_day(call: RequestContext) -> Any:
    """The day so far; it closes with the last moment of the day."""
    opening = interval("1d", call.request.time_zone).opening(call.now)
    return _tickers(call, partial(_statistics, call, _Window(opening, opening + DAY - 1)))


def _mini(call: RequestContext, span: _Window, symbol: Symbol) -> dict[str, Any]:
    """The fields of a MINI ticker. Without a trade, all prices but the last one are 0."""
    tape = call.board_of(symbol).tape
    # The end of a summary is exclusive, and the closing time still belongs to the window.
    summary = tape.summary(span.opening, span.closing + 1) or Summary(_ZERO, _ZERO, _ZERO, _last_price(call, symbol))
    return {
        "symbol": symbol.name,
        "open_price": summary.open,
        "high_price": summary.high,
        "low_price": summary.low,
        "last_price": summary.close,
        "volume": eight_decimals(summary.volume),
        "quote_volume": eight_decimals(summary.quote_volume),
        "open_time": span.opening,
        "close_time": span.closing,
        "first_id": summary.first_id,
        "last_id": summary.last_id,
        "count": summary.trades,
    }


def _last_price(call: RequestContext, symbol: Symbol) -> Decimal:
    return eight_decimals(call.board_of(symbol).book.last_price or NOTHING)


def _full(mini: dict[str, Any]) -> dict[str, Any]:
    """The fields of a FULL ticker, from those of the MINI one."""
    opened, volume = mini["open_price"], mini["volume"]
    # Without a trade the opening price is 0, by which nothing can be divided.
    change = mini["last_price"] - opened if opened else _ZERO
    percent = 100 * change / opened if opened else NOTHING
    return mini | {
        "price_change": change,
        "price_change_percent": percent.quantize(_THREE_DECIMALS, ROUND_HALF_UP),
        "weighted_avg_price": eight_decimals(mini["quote_volume"] / volume) if volume else _ZERO,
    }


def _statistics(call: RequestContext, span: _Window, symbol: Symbol) -> Statistics | MiniStatistics:
    mini = _mini(call, span, symbol)
    return MiniStatistics(**mini) if call.request.type == "MINI" else Statistics(**_full(mini))


def _day_statistics(call: RequestContext, span: _Window, symbol: Symbol) -> DayStatistics | MiniStatistics:
    mini = _mini(call, span, symbol)
    # MINI has neither the book nor what was before the day.
    if call.request.type == "MINI":
        return MiniStatistics(**mini)
    bid, ask = _top(call, symbol)
    tape = call.board_of(symbol).tape
    before = tape.price_before(span.opening)
    return DayStatistics(
        **_full(mini),
        # Before the first trade of all there was no closing price; the first price stands for it.
        prev_close_price=mini["open_price"] if before is None else before,
        # If there is a trade in the day, the newest of all is one of them.
        last_qty=tape.trades[-1].qty if mini["count"] else _ZERO,
        bid_price=bid.price,
        bid_qty=bid.quantity,
        ask_price=ask.price,
        ask_qty=ask.quantity,
    )


# Reference prices


@answers(ReferencePrice)
def reference_price(call: RequestContext) -> CurrentReferencePrice | NoReferencePrice:
    """The reference price. That there never was one is a refusal, but a success by its status."""
    _, tape, source = call.board
    # The document answers with status 200 and an error in the result.
    if source is None:
        refusal = refusals.no_reference_price()
        return NoReferencePrice(code=refusal.code, msg=refusal.message)
    price = price_of(source, tape, call.now)
    return CurrentReferencePrice(symbol=call.symbol.name, reference_price=price, timestamp=call.now)


@answers(ReferencePriceCalculation)
def reference_price_calculation(call: RequestContext) -> ArithmeticMean | ExternalCalculation:
    """How it is made; that there is none is a refusal like others."""
    _check_status(call, call.symbol)
    source = call.board.reference
    if source is None:
        raise refusals.no_reference_price()
    if isinstance(source, MeanOfTrades):
        return ArithmeticMean(
            symbol=call.symbol.name, bucket_count=source.bucket_count, bucket_width_ms=source.bucket_width_ms
        )
    return ExternalCalculation(symbol=call.symbol.name, external_calculation_id=source.calculation_id)
