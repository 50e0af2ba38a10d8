"""What some trades come to: prices, volumes and counts. It grows by a trade, or by what later trades come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from bintrio.api.market import Trade as PublicTrade

from .orders import NOTHING, eight_decimals


@dataclass(slots=True)  # it changes with each trade, which a Struct does more slowly
class Summary:
    """What trades come to: prices, volumes of the base asset, and of the quote asset.

    Attributes:
        trades: how many there were.
        start: when the first one was, in microseconds.
        end: when the last one was.
    """

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = NOTHING
    quote_volume: Decimal = NOTHING
    taker_buy_volume: Decimal = NOTHING
    taker_buy_quote_volume: Decimal = NOTHING
    trades: int = 0
    first_id: int = -1
    last_id: int = -1
    start: int = 0
    end: int = 0

    @property
    def average(self) -> Decimal:
        """The price, weighted by volume."""
        return eight_decimals(self.quote_volume / self.volume) if self.volume else eight_decimals(NOTHING)

    def add(self, trade: PublicTrade) -> None:
        """Let it come to one trade more, the latest."""
        price = self.close = trade.price
        # Both began with the same price, so one trade moves at most one of them.
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.volume += trade.qty
        self.quote_volume += trade.quote_qty
        # Where the maker sells, the taker buys.
        if not trade.is_buyer_maker:
            self.taker_buy_volume += trade.qty
            self.taker_buy_quote_volume += trade.quote_qty
        self.trades += 1
        self.last_id, self.end = trade.id, trade.time

    def merge(self, later: Summary) -> None:
        """Let it come to the trades of another one too, which followed on its own."""
        # Where it began stays as it is: the other one is later.
        self.high, self.low, self.close = max(self.high, later.high), min(self.low, later.low), later.close
        self.volume += later.volume
        self.quote_volume += later.quote_volume
        self.taker_buy_volume += later.taker_buy_volume
        self.taker_buy_quote_volume += later.taker_buy_quote_volume
        self.trades += later.trades
        self.last_id, self.end = later.last_id, later.end


def begun(trade: PublicTrade) -> Summary:
    """What one trade comes to."""
    price = trade.price
    summary = Summary(price, price, price, price, first_id=trade.id, start=trade.time)
    summary.add(trade)
    return summary


def summarize(trades: Iterable[PublicTrade]) -> Summary | None:
    """What trades come to; None if there are none."""
    summary: Summary | None = None
    for trade in trades:
        # There is nothing neutral to begin with, since without a trade there are no prices.
        if summary is None:
            summary = begun(trade)
        else:
            summary.add(trade)
    return summary


def together(parts: Iterable[Summary]) -> Summary | None:
    """What parts come to that follow one another; None if there are none."""
    whole: Summary | None = None
    for part in parts:
        if whole is None:
            # A copy, since the parts are summed up again for the next window.
            whole = replace(part)
        else:
            whole.merge(part)
    return whole
