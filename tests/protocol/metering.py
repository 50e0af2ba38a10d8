"""Calls through ledgers to an exchange that counts, in virtual time and without I/O."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hypothesis import strategies as st

from bintrio._protocol.budget import Cost
from bintrio._protocol.ledger import Ledger
from bintrio._protocol.rate_limits import MARGIN
from bintrio.api._values import RateLimit

SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
NOON = 20_000 * DAY + DAY // 2


class Call(NamedTuple):
    """One call: when it wants to go out, what it costs, how long it travels, how it ends, and whose it is."""

    pause: int
    cost: Cost
    there: int
    back: int
    end: str
    account: str = ""


def limit_of(limit_type: str, interval: str, number: int, limit: int, count: int | None = None) -> RateLimit:
    return RateLimit(rate_limit_type=limit_type, interval=interval, interval_num=number, limit=limit, count=count)  # type: ignore[arg-type]


LIMITS = (
    limit_of("REQUEST_WEIGHT", "MINUTE", 1, 20),
    limit_of("ORDERS", "SECOND", 10, 5),
    limit_of("ORDERS", "DAY", 1, 12),
)
LENGTHS = {"SECOND": SECOND, "MINUTE": MINUTE, "DAY": DAY}


class Exchange:
    """Counts weight for all and orders by account, in fixed windows by its own clock; no limit may be exceeded."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[int, int, str]] = Counter()

    def take(self, call: Call, now: int) -> list[RateLimit]:
        for number, limit in enumerate(LIMITS):
            self.counts[self.window(number, call, now)] += self._part(limit, call.cost)
            assert self.counts[self.window(number, call, now)] <= limit.limit
        if call.end == "success":
            # Weight is given back, and half of the orders fill at once.
            self.counts[self.window(0, call, now)] -= call.cost.weight
            self.counts[self.window(1, call, now)] -= call.cost.orders // 2
            self.counts[self.window(2, call, now)] -= call.cost.orders // 2
        return [
            RateLimit(
                rate_limit_type=limit.rate_limit_type,
                interval=limit.interval,
                interval_num=limit.interval_num,
                limit=limit.limit,
                count=self.counts[self.window(number, call, now)],
            )
            for number, limit in enumerate(LIMITS)
        ]

    @staticmethod
    def window(number: int, call: Call, now: int) -> tuple[int, int, str]:
        limit = LIMITS[number]
        account = call.account if limit.rate_limit_type == "ORDERS" else ""
        return number, now // (LENGTHS[limit.interval] * limit.interval_num), account

    @staticmethod
    def _part(limit: RateLimit, cost: Cost) -> int:
        return cost.weight if limit.rate_limit_type == "REQUEST_WEIGHT" else cost.orders


class Simulation:
    """Calls through the ledgers of accounts to an exchange, in virtual time. ``now`` is the exchange's own time."""

    def __init__(self, start: int, clock_error: int, ledgers: Mapping[str, Ledger]) -> None:
        self.ledgers = ledgers
        self.exchange = Exchange()
        self.now = start
        self.clock_error = clock_error
        self.longest_wait = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        for ledger in ledgers.values():
            ledger.record(LIMITS, self.estimate)

    @property
    def estimate(self) -> int:
        return self.now + self.clock_error

    def at(self, time: int, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), event))

    def advance(self, to: float) -> None:
        while self._events and self._events[0][0] <= to:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = int(max(self.now, to if to < math.inf else 0))

    def send(self, call: Call) -> None:
        self.advance(self.now + call.pause)
        wanted_at = self.now
        ledger = self.ledgers[call.account]
        while delay := ledger.delay(call.cost, self.estimate):
            self.advance(self.now + math.ceil(delay * 1000))
        self.longest_wait = max(self.longest_wait, self.now - wanted_at)
        charge = ledger.charge(call.cost, self.estimate)
        if call.end == "withdrawn":
            self.at(self.now + call.there, lambda: ledger.cancel(charge))
        else:
            self.at(self.now + call.there, lambda: self._arrive(call, charge))

    def _arrive(self, call: Call, charge: Any) -> None:
        counts = self.exchange.take(call, self.now)
        if call.end == "lost":
            return
        if call.end == "uncounted":
            counts = []
        self.at(self.now + call.back, lambda: self.ledgers[call.account].settle(charge, counts, self.estimate))


def calls_of(*accounts: str) -> st.SearchStrategy[Call]:
    """Calls of these accounts."""
    return st.builds(
        Call,
        account=st.sampled_from(accounts),
        pause=st.sampled_from([0, 0, 1, 100, 3_000, 9_999]) | st.integers(0, MINUTE),
        cost=st.one_of(
            st.builds(
                Cost, weight=st.integers(0, 20), orders=st.integers(0, 5), purpose=st.sampled_from(["call", "cancel"])
            ),
            st.integers(0, 20).map(lambda weight: Cost(weight=weight, purpose="own")),
        ),
        # No longer than the shortest window, less what the clock may be wrong by.
        there=st.sampled_from([1, 50, 400]) | st.integers(0, 10 * SECOND - 2 * MARGIN),
        back=st.sampled_from([1, 50, 400]) | st.integers(0, 2 * MINUTE),
        end=st.sampled_from(["success", "success", "failure", "failure", "uncounted", "lost", "withdrawn"]),
    )
