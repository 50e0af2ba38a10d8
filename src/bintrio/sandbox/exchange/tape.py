"""The tape: the public trades of one symbol, in their order, as aggregates, and summed up by minutes.

Trade ids count up from 1 without a gap, for each symbol on its own, and so do aggregate ids: an id says where in the
list its trade is. Times are microseconds and never go back, so a span of time is found by bisection.

Source: "Recent trades", "Historical trades", "Aggregate trades" and "Historical Block Trades" of the WebSocket API
document.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from copy import copy
from decimal import Decimal
from itertools import count
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar

from msgspec.structs import replace

from bintrio._protocol.exact import EXACT
from bintrio.api.market import AggregateTrade, BlockTrade
from bintrio.api.market import Trade as PublicTrade

from .journal import Journal
from .orders import Order, Trade, eight_decimals
from .summary import Summary, begun, summarize, together
from .units import SECOND

MINUTE: Final = 60 * SECOND

T = TypeVar("T")

_start_of: Final[Callable[[Summary], int]] = attrgetter("start")
_end_of: Final[Callable[[Summary], int]] = attrgetter("end")
time_of: Final[Callable[[Any], int]] = attrgetter("time")


class Lengths(NamedTuple):
    """How many there have been so far of what a tape notes."""

    trades: int
    aggregates: int
    block_trades: int


class Noted(NamedTuple):
    """What a tape has noted since some moment."""

    trades: Sequence[PublicTrade]
    aggregates: Sequence[AggregateTrade]
    block_trades: Sequence[BlockTrade]


class Tape:
    """What was traded of one symbol.

    Args:
        keep: how many trades, aggregates and minutes are kept at least, the newest; None keeps all.

    Attributes:
        trades: all that are kept.
        aggregates: trades of one taker order at one price, as one.
        minutes: what the trades of each minute come to that had any.
        block_trades: those that were agreed on outside the book.
    """

    def __init__(self, keep: int | None = None) -> None:
        self.trades: Final[Journal[PublicTrade]] = Journal()
        self.aggregates: Final[Journal[AggregateTrade]] = Journal()
        self.minutes: Final[Journal[Summary]] = Journal()
        self.block_trades: Final[list[BlockTrade]] = []
        self._keep = keep
        self._trade_ids = count(1)
        self._aggregate_ids = count(1)
        self._taker: Order | None = None
        self._minute = -1

    def record(self, taker: Order, trade: Trade, now: int) -> int:
        """Note a trade. Returns its id."""
        public = PublicTrade(
            id=next(self._trade_ids),
            price=trade.price,
            qty=trade.quantity,
            quote_qty=eight_decimals(trade.amount),
            time=now,
            is_buyer_maker=trade.maker.is_buy,
            is_best_match=True,
        )
        self.trades.append(public)
        self._aggregate(taker, public)
        self._sum_up(public)
        if self._keep is not None:
            for journal in (self.trades, self.aggregates, self.minutes):
                journal.bound(self._keep)
        return public.id

    def _sum_up(self, trade: PublicTrade) -> None:
        minute = trade.time // MINUTE
        # Summed up as they come, so a day is 1,440 sums and not all of its trades.
        if minute == self._minute:
            self.minutes[-1].add(trade)
        else:
            self._minute = minute
            self.minutes.append(begun(trade))

    def _aggregate(self, taker: Order, trade: PublicTrade) -> None:
        # A taker order trades at one time only, all at once.
        if taker is self._taker and self.aggregates[-1].price == trade.price:
            last = self.aggregates[-1]
            self.aggregates[-1] = replace(last, quantity=last.quantity + trade.qty, last_trade_id=trade.id)
            return
        self._taker = taker
        self.aggregates.append(
            AggregateTrade(
                id=next(self._aggregate_ids),
                price=trade.price,
                quantity=trade.qty,
                first_trade_id=trade.id,
                last_trade_id=trade.id,
                time=trade.time,
                is_buyer_maker=trade.is_buyer_maker,
                is_best_match=True,
            )
        )

    def record_block(self, price: Decimal, quantity: Decimal, now: int, *, is_buyer_maker: bool) -> BlockTrade:
        """Note a block trade, which moves no price of the book."""
        block = BlockTrade(
            id=len(self.block_trades) + 1,
            price=eight_decimals(price),
            qty=eight_decimals(quantity),
            quote_qty=eight_decimals(EXACT.multiply(price, quantity)),
            time=now,
            is_buyer_maker=is_buyer_maker,
        )
        self.block_trades.append(block)
        return block

    # Copies

    @property
    def lengths(self) -> Lengths:
        """How much there is of it."""
        return Lengths(self.trades.length, self.aggregates.length, len(self.block_trades))

    def copy(self) -> Tape:
        """One of its own that says the same, to `follow` what this one notes from then on."""
        twin = Tape(self._keep)
        twin.minutes.extend(map(copy, self.minutes))
        twin.minutes.forgotten, twin._minute = self.minutes.forgotten, self._minute
        twin.trades.extend(self.trades)
        twin.aggregates.extend(self.aggregates)
        twin.trades.forgotten, twin.aggregates.forgotten = self.trades.forgotten, self.aggregates.forgotten
        twin.block_trades.extend(self.block_trades)
        return twin

    def since(self, lengths: Lengths) -> Noted:
        """What came after there was so much of it."""
        now = self.lengths
        return Noted(
            self.trades.between(lengths.trades, now.trades),
            # Each is whole at the end of a command: a taker order trades at one time only.
            self.aggregates.between(lengths.aggregates, now.aggregates),
            self.block_trades[lengths.block_trades :],
        )

    def follow(self, noted: Noted) -> None:
        """Note what another one has noted."""
        for trade in noted.trades:
            self.trades.append(trade)
            self._sum_up(trade)
        self.aggregates.extend(noted.aggregates)
        self.block_trades.extend(noted.block_trades)
        for journal in (self.trades, self.aggregates, self.minutes):
            journal.bound(self._keep)

    # Spans of time

    def between(self, start: int, end: int) -> Sequence[PublicTrade]:
        """The trades from ``start`` on and before ``end``."""
        return self.trades[self._position(start) : self._position(end)]

    def start(self, length: int) -> int | None:
        """When the first trade was of which is known what parts of that length need; None if there is none."""
        # Minutes are kept for longer than their trades, and say nothing of a part of theirs.
        if length < MINUTE:
            return self.trades[0].time if self.trades else None
        return self.minutes[0].start if self.minutes else None

    def summary(self, start: int, end: int) -> Summary | None:
        """What the trades from ``start`` on and before ``end`` come to; None if there are none.

        Of minutes that are in there as a whole, no trade is looked at.
        """
        first = bisect_left(self.minutes, start, key=_start_of)
        last = bisect_left(self.minutes, end, key=_end_of)
        # No minute lies within the span as a whole.
        if first >= last:
            return summarize(self.between(start, end))
        whole = self.minutes[first:last]
        # What of the span lies before the first whole minute, and after the last.
        head = summarize(self.between(start, whole[0].start))
        tail = summarize(self.between(whole[-1].end + 1, end))
        return together(part for part in (head, *whole, tail) if part is not None)

    def price_before(self, time: int) -> Decimal | None:
        """The price of the latest trade before a time."""
        position = self._position(time)
        if position:
            return self.trades[position - 1].price
        # The trade itself may be forgotten already; its minute is kept longer.
        minutes = bisect_left(self.minutes, time, key=_end_of)
        return self.minutes[minutes - 1].close if minutes else None

    def _position(self, time: int) -> int:
        return bisect_left(self.trades, time, key=time_of)


def newest(items: Sequence[T], limit: int) -> Sequence[T]:
    """The last items, up to ``limit``."""
    return items[-limit:]


def in_span(
    items: Sequence[T], start: int | None, end: int | None, limit: int, time: Callable[[T], int] = time_of
) -> Sequence[T]:
    """The items of a span of time, both its ends included.

    With a start, the oldest of them up to ``limit``; without one, the newest ("Data sources" says so for all queries).
    """
    # Both ends are included, so the last one is looked for from the right.
    last = len(items) if end is None else bisect_right(items, end, key=time)
    if start is None:
        return newest(items[:last], limit)
    first = bisect_left(items, start, key=time)
    return items[first : min(last, first + limit)]


def from_id(items: Sequence[T], first: int, limit: int, id_of: Callable[[T], int]) -> Sequence[T]:
    """The items whose ids are not less than ``first``, oldest first, up to ``limit``."""
    position = bisect_left(items, first, key=id_of)
    return items[position : position + limit]
