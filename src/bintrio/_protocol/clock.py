"""Exchange time from local monotonic time.

A sample is one question for the time: when it left, what the exchange said, when the answer was here. The exchange read
its clock somewhere in between, so the offset between the two clocks lies in an interval as wide as the round trip. The
clock keeps one such interval. It widens with age, since the clocks drift apart, and every new sample is intersected
with it. So a quick sample narrows it, a slow one changes nothing, and once an old one has widened enough a fresh one
wins even if it was slower. If the two do not meet, one of the clocks was adjusted (moved forward or back) or this
machine slept, and only the fresh sample counts.

**The middle of the interval is the estimate.** That suits the exchange's rule (``timestamp < serverTime + 1000 ms``
and ``serverTime - timestamp <= recvWindow``). With one sample, and d1 and d2 the delays there and back, the estimate is
off by ``(d1 - d2) / 2``. So a timestamp taken at sending is ``d1 - (d1 - d2) / 2`` old on arrival: half a round trip.
However lopsided the path, a timestamp is behind the exchange by that much and never ahead of it. It is rounded down.

**It may step back.** The exchange compares each timestamp with its own clock and with nothing else. After a correction
the new estimate is the better one, and holding the clock still until it is caught up would send timestamps that are
ahead, which is what -1021 is about. Whoever needs order within a process has the local clock.

**Earlier estimates are remembered**, since the exchange dates by its own clock, also while that is wrong: `dates` and
`offsets` tell what it may have shown in a time gone by. Between the samples before and after a step, from when the
first was asked for until the second was here, either may have held. A step that is shorter than a round trip cannot be
seen, so they add the longest of the latest ones. None is forgotten: the oldest ones become one that holds what each
told. Of a clock that is set bit by bit, many samples may be taken within seconds, and what was known before has to
outlast them.

Left out: estimating the drift. At ten minutes between samples it is worth less than 60 ms, and a wrong one hurts more.

Units: local times are float seconds, exchange times integer milliseconds or microseconds since the Unix epoch. The
state is kept in integer microseconds.

Source: "Timing security" of the exchange's WebSocket API document.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ..endpoints import TimeUnit

DRIFT: Final = 100
"""Microseconds per second (ppm) by which two clocks may part: crystals keep within 50, and each end has one."""

# Microseconds; more than any two clocks differ by.
_NO_BOUND: Final = 10**18

RECENT: Final = 8
"""How many of the latest round trips count."""

DOUBT: Final = 60_000_000
"""Microseconds by which a forgotten estimate is taken to be wrong, until the next sample, where dates are told."""

_REMEMBERED: Final = 100  # how many estimates are remembered, each by itself

_NOT_SET: Final = "the exchange's time is not known before a sample is recorded"

_MICROSECONDS: Final[dict[TimeUnit, int]] = {"ms": 1000, "us": 1}


_LAST: Final = 253_402_300_799_999_999  # microseconds: the end of the year 9999


def can_be_right(server_time: int, unit: TimeUnit) -> bool:
    """Whether an exchange's time may be one. An hour's error cannot be told, a time before 1970 can."""
    return 0 < server_time * _MICROSECONDS[unit] <= _LAST


class _Interval(NamedTuple):
    """Where the offset lies, in microseconds, at the local time ``at``, in seconds."""

    low: int
    high: int
    at: float

    def aged(self, to: float) -> _Interval:
        # Two quartz clocks part as they run, so what was measured becomes less certain with age.
        slack = math.ceil(max(0.0, to - self.at) * DRIFT)
        return _Interval(self.low - slack, self.high + slack, max(to, self.at))

    def wider(self, by: int) -> _Interval:
        return _Interval(self.low - by, self.high + by, self.at)

    @property
    def middle(self) -> int:
        return (self.low + self.high) // 2

    def meets(self, other: _Interval) -> bool:
        return max(self.low, other.low) <= min(self.high, other.high)

    def with_all_of(self, other: _Interval) -> _Interval:
        """The least interval that holds both."""
        return _Interval(min(self.low, other.low), max(self.high, other.high), max(self.at, other.at))

    def moved(self, to: float) -> _Interval:
        """What it tells of another time, before or after."""
        # Back in time it becomes as uncertain as ahead.
        low, high, _ = self.aged(self.at + abs(to - self.at))
        return _Interval(low, high, to)


class _Estimate(NamedTuple):
    """One that was replaced, or several, one after the other.

    Attributes:
        interval: what was known.
        until: local time at which the sample that replaced it was here.
        next_since: local time since which that one may have held: if it refuted this one, since this was asked for.
        told: the least and the greatest offset, in microseconds, that the time was told by.
    """

    interval: _Interval
    until: float
    next_since: float
    told: tuple[int, int]

    @classmethod
    def of(cls, interval: _Interval, until: float, next_since: float) -> _Estimate:
        """A single one."""
        return cls(interval, until, next_since, (interval.middle, interval.middle))

    def followed_by(self, later: _Estimate) -> _Estimate:
        """What both tell of the time in which either held."""
        # Each as it was last: a clock that was set little by little has been anywhere between the two.
        interval = self.interval.aged(self.until).with_all_of(later.interval.aged(later.until))
        told = min(self.told[0], later.told[0]), max(self.told[1], later.told[1])
        return _Estimate(interval, later.until, later.next_since, told)


class Clock:
    """The exchange's time. It knows nothing until the first sample is recorded.

    Attributes:
        round_trip: seconds between question and answer of the latest sample; NaN before the first.
        steps: how many samples showed that a clock had been adjusted since the one before.
        known_since: the exchange's time in milliseconds by the first sample; 0 before it. Whether its clock was
            adjusted before that is not known here.
    """

    def __init__(self) -> None:
        self.round_trip = math.nan
        self.steps = 0
        self.known_since = 0
        self._round_trips: deque[float] = deque(maxlen=RECENT)
        self._known: _Interval | None = None
        # What was known before it was forgotten, until the next sample.
        self._doubted: _Interval | None = None
        self._earlier = deque[_Estimate]()
        # When the latest sample was asked for, and the microseconds by which a step since may be too small to be seen.
        self._asked_at = -math.inf
        self._unseen = 0
        # The middle of what is known: every call asks for the time, and few samples change it.
        self._offset = 0

    @property
    def is_set(self) -> bool:
        """Whether there is a sample to go by."""
        return self._known is not None

    @property
    def offset(self) -> int:
        """Exchange time minus local time, in microseconds.

        Raises:
            RuntimeError: no sample was recorded yet. So for every question about the time.
        """
        return self._interval().middle

    def record(self, sent_at: float, server_time: int, received_at: float, *, unit: TimeUnit = "ms") -> None:
        """Learn from one question for the time.

        Args:
            sent_at: local time before the question left.
            server_time: the exchange's answer.
            received_at: local time after the answer came.
            unit: the unit of ``server_time``. The exchange cuts off what is finer.
        """
        scale = _MICROSECONDS[unit]
        earliest = server_time * scale
        # The exchange cuts off what is finer than its unit, so its clock showed `server_time` or up to one unit more.
        fresh = _Interval(
            earliest - math.ceil(received_at * 1e6), earliest + scale - math.floor(sent_at * 1e6), sent_at
        ).aged(received_at)
        self.round_trip = received_at - sent_at
        self._round_trips.append(self.round_trip)
        if self._known is not None:
            # What was forgotten for -1021 still tells what the exchange's clock may have shown until now.
            before = self._doubted or self._known
            is_refuted = not before.aged(received_at).meets(fresh)
            # A clock that was adjusted may have been so at any time since the latest sample was asked for.
            since = self._asked_at if is_refuted else received_at
            self._remember(_Estimate.of(before.wider(self._unseen), received_at, since))
            self.steps += is_refuted
        # A step that is smaller than a round trip lies within both intervals, so no later sample shows it.
        self._asked_at, self._unseen = sent_at, math.ceil(max(self._round_trips) * 1e6)
        self.known_since = self.known_since or earliest // 1000
        self._known = fresh if self._known is None else _meet(self._known, fresh)
        self._doubted = None
        self._offset = self._known.middle

    def _remember(self, estimate: _Estimate) -> None:
        earlier = self._earlier
        earlier.append(estimate)
        if len(earlier) > _REMEMBERED:
            oldest, next_one = earlier.popleft(), earlier.popleft()
            earlier.appendleft(oldest.followed_by(next_one))

    def forget(self) -> None:
        """Trust the estimate no longer, and let the next sample stand alone: for -1021."""
        if self._known is not None:
            # The middle stays, since some time has to be told until the next sample; the bounds no longer hold.
            middle = self._known.middle
            # A second -1021 before the next sample must not replace what was known by the interval without bounds.
            self._doubted = self._doubted or self._known
            self._known = _Interval(middle - _NO_BOUND, middle + _NO_BOUND, self._known.at)

    def now(self, local: float) -> int:
        """The exchange's time in milliseconds at a local time, rounded down."""
        return self.now_us(local) // 1000

    def now_us(self, local: float) -> int:
        """The exchange's time in microseconds at a local time."""
        if self._known is None:
            raise RuntimeError(_NOT_SET)
        # Rounded down: a timestamp that is ahead of the exchange is refused, one that is behind is not.
        return math.floor(local * 1e6) + self._offset

    def error_bound(self, local: float) -> float:
        """By how many seconds `now_us` may be wrong at a local time."""
        aged = self._interval().aged(local)
        # One microsecond each for halving the interval and for rounding the local time.
        return ((aged.high - aged.low) / 2 + 2) / 1e6

    def dates(self, begin: float, end: float) -> tuple[int, int]:
        """The earliest and the latest time, in microseconds, that the exchange's clock may have shown between two local
        ones.
        """
        held = self._held(begin, end)
        # If a clock was adjusted between the two times, the date may come from any of the estimates.
        earliest = min(math.floor(first.at * 1e6) + first.low for first, _ in held)
        return earliest, max(math.ceil(last.at * 1e6) + last.high for _, last in held)

    def offsets(self, begin: float, end: float) -> tuple[int, int]:
        """The least and the greatest offset, in microseconds, that it may have had between two local times."""
        held = [interval for pair in self._held(begin, end) for interval in pair]
        return min(interval.low for interval in held), max(interval.high for interval in held)

    def _held(self, begin: float, end: float) -> list[tuple[_Interval, _Interval]]:
        """What may have held between two local times: each estimate as it was when it held first, and last."""
        held: list[tuple[_Interval, _Interval]] = []
        since = -math.inf
        trusted = _Estimate.of(self._trusted().wider(self._unseen), math.inf, math.inf)
        for known, until, next_since, _ in (*self._earlier, trusted):
            # It held for some of the time between the two.
            if since <= end and begin <= until:
                held.append((known.moved(max(begin, since)), known.moved(min(end, until))))
            since = next_since
        return held

    def _trusted(self) -> _Interval:
        if self._doubted is None:
            return self._interval()
        # The exchange has refused a timestamp made from it, so it is wrong by more than its bounds say.
        return self._doubted.wider(DOUBT)

    def error_of(self, time: int, local: float) -> float:
        """By how many seconds an earlier estimate of the time, in milliseconds, may have been wrong.

        That is what all estimates differ by that may have shown this time or a later one, and those that came after:
        the one that it was taken from, those of a clock that was set back since, and what was measured later.
        """
        estimates = (*self._earlier, _Estimate.of(self._trusted(), local, local))
        held = [each.interval.aged(each.until) for each in estimates]
        # Estimates that had ended before this time cannot have shown it.
        first = next((i for i, known in enumerate(held) if known.at * 1e6 + known.high >= time * 1000), -1)
        lowest, highest = min(known.low for known in held[first:]), max(known.high for known in held[first:])
        told = [offset for each in estimates[first:] for offset in each.told]
        # Two microseconds for rounding, as in `error_bound`.
        return (max(highest - min(told), max(told) - lowest) + 2) / 1e6

    @property
    def least_round_trip(self) -> float:
        """Seconds: the quickest of the latest samples; 0 before the first."""
        return min(self._round_trips, default=0.0)

    def __repr__(self) -> str:
        if self._known is None:
            return "<Clock, not set>"
        return f"<Clock, offset {self.offset} us, round trip {self.round_trip * 1000:.3f} ms>"

    def _interval(self) -> _Interval:
        if self._known is None:
            raise RuntimeError(_NOT_SET)
        return self._known


def _meet(known: _Interval, fresh: _Interval) -> _Interval:
    at = max(known.at, fresh.at)
    known, fresh = known.aged(at), fresh.aged(at)
    low, high = max(known.low, fresh.low), min(known.high, fresh.high)
    # If they do not meet, a clock was adjusted or this machine slept: what was known says nothing any more.
    return _Interval(low, high, at) if low <= high else fresh
