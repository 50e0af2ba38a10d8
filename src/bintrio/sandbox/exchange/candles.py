"""Candles and statistics, made from the tape.

An interval divides time; each of its parts opens where the one before has ended. Days, weeks and months begin at
midnight of the time zone asked for, weeks on Mondays. Parts of three days are counted from 1970-01-01, for the document
does not say from when; those of hours and minutes are shifted by the time zone like all others.

Once a symbol has traded, every part has a candle: one without trades stays at the close before it, with no volume.

Times are microseconds. Source: "Klines" and the ticker sections of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

from bintrio.api.market import Kline

from .orders import eight_decimals
from .summary import Summary
from .tape import MINUTE, Tape
from .units import SECOND, minutes_ahead

DAY: Final = 24 * 60 * MINUTE

_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": 60 * MINUTE, "d": DAY, "w": 7 * DAY}
_MONDAY: Final = 4 * DAY  # 1970-01-05, the first Monday

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_MONTH: Final = 31 * DAY


class Interval(NamedTuple):
    """How time is divided.

    Attributes:
        length: of a part; of the longest one, if they differ.
        origin: when some part opens.
        is_month: whether the parts are calendar months; then ``origin`` shifts them.
    """

    length: int
    origin: int
    is_month: bool = False

    def opening(self, time: int) -> int:
        """When the part that ``time`` is in opened."""
        # Months differ in length, so the calendar tells.
        if self.is_month:
            return _month(time - self.origin) + self.origin
        return time - (time - self.origin) % self.length

    def next_opening(self, opening: int) -> int:
        """When the part after one opens."""
        # A month and a day from its first day on is always in the next one.
        return self.opening(opening + self.length + DAY) if self.is_month else opening + self.length

    def openings(self, first: int, last: int) -> Iterator[int]:
        """When parts open, from ``first`` on, which must be an opening, up to ``last``."""
        while first <= last:
            yield first
            first = self.next_opening(first)

    def openings_back(self, last: int, first: int) -> Iterator[int]:
        """When parts opened, from ``last`` back, which must be an opening, down to ``first``."""
        while last >= first:
            yield last
            # The microsecond before an opening lies in the part before.
            last = self.opening(last - 1)


def interval(name: str, time_zone: str | None = None) -> Interval:
    """An interval by its name, as ``5m`` or ``1M``, in a time zone, as ``-2`` or ``5:45``."""
    ahead = minutes_ahead(time_zone or "0") * MINUTE
    if name == "1M":
        return Interval(_LONGEST_MONTH, -ahead, is_month=True)
    # By midnight of the time zone, and weeks by Monday: 1970-01-01 was a Thursday.
    return Interval(window(name), (_MONDAY if name == "1w" else 0) - ahead)


def window(name: str) -> int:
    """How long an interval or a window is that is no month, as ``1s``, ``15m``, ``3d``."""
    return int(name[:-1]) * _UNITS[name[-1]]


def _month(time: int) -> int:
    """When the calendar month began, in UTC."""
    day = (_EPOCH + timedelta(microseconds=time)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (day - _EPOCH) // timedelta(microseconds=1)


def candles(
    tape: Tape, parts: Interval, now: int, *, start: int | None, end: int | None, limit: int
) -> tuple[Kline, ...]:
    """The candles that open in a span of time, both its ends included; the last one may be unfinished.

    With a start, the oldest of them up to ``limit``; without one, the newest.
    """
    last = now if end is None else min(now, end)
    # Before its first trade, a symbol has no candles.
    known = tape.start(parts.length)
    if known is None or (start is not None and start > last):
        return ()
    first = parts.opening(known)
    # The newest, but told from the oldest to the newest.
    if start is None:
        openings = [*islice(parts.openings_back(parts.opening(last), first), limit)][::-1]
    else:
        openings = [*islice(parts.openings(_at_or_after(parts, max(first, start)), last), limit)]
    return tuple(_candle(tape, opening, parts.next_opening(opening)) for opening in openings)


def _at_or_after(parts: Interval, time: int) -> int:
    opening = parts.opening(time)
    return opening if opening == time else parts.next_opening(opening)


def _candle(tape: Tape, opening: int, end: int) -> Kline:
    summary = tape.summary(opening, end)
    # Nothing was traded: the candle stays at the close before it.
    if summary is None:
        # There is one: candles begin with the first trade.
        close = tape.price_before(opening)
        assert close is not None
        summary = Summary(close, close, close, close)
    return Kline(
        open_time=opening,
        open=summary.open,
        high=summary.high,
        low=summary.low,
        close=summary.close,
        volume=eight_decimals(summary.volume),
        # The last microsecond of it, which in milliseconds is the last millisecond.
        close_time=end - 1,
        quote_volume=eight_decimals(summary.quote_volume),
        number_of_trades=summary.trades,
        taker_buy_base_volume=eight_decimals(summary.taker_buy_volume),
        taker_buy_quote_volume=eight_decimals(summary.taker_buy_quote_volume),
        unused="0",
    )
