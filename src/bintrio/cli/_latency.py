"""Round trips of calls: noted as a session tells of them, summed up by percentile."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from bintrio.observing import CallEnded, Fact


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """The round trips of one method's calls, from the call's being queued to its answer's being read, in milliseconds.

    Attributes:
        method: the exchange's name of it.
        count: how many there are.
        best: the shortest.
        p50: half of them took no longer.
        p90: 90 % took no longer.
        p99: 99 % took no longer.
        worst: the longest.
    """

    method: str
    count: int
    best: float
    p50: float
    p90: float
    p99: float
    worst: float


def latency_of(method: str, seconds: Sequence[float]) -> Latency:
    """Sum up round trips, of which there must be one at least."""
    ordered = [round(each * 1000, 3) for each in sorted(seconds)]
    return Latency(
        method=method,
        count=len(ordered),
        best=ordered[0],
        p50=_at_percentile(ordered, 50),
        p90=_at_percentile(ordered, 90),
        p99=_at_percentile(ordered, 99),
        worst=ordered[-1],
    )


def _at_percentile(ordered: Sequence[float], percent: int) -> float:
    """By nearest rank, so what is told is a round trip that there was."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


class Bar(NamedTuple):
    """How many round trips took so long, in milliseconds: ``first`` or longer, but not ``end``."""

    first: float
    end: float
    calls: int


def bars_of(seconds: Sequence[float], number: int) -> list[Bar]:
    """Round trips by their length, in so many bars of equal width up to the 99th percentile; the last has the rest."""
    found = latency_of("", seconds)
    # Up to the 99th percentile, so that one slow call does not press all others into the first bar.
    width = max((found.p99 - found.best) / number, 0.001)
    edges = [found.best + width * place for place in range(number)]
    counts = [0] * number
    for each in seconds:
        # What is longer than the 99th percentile falls beyond the edges: the last bar takes it.
        counts[min(int((each * 1000 - found.best) / width), number - 1)] += 1
    ends = [*edges[1:], max(found.worst, edges[-1] + width)]
    return [Bar(*bar) for bar in zip(edges, ends, counts, strict=True)]


class RoundTrips:
    """An observer that notes the round trips of the calls that were answered, the latest ``keep`` of each method.

    Attributes:
        by_method: in seconds, oldest first.
    """

    fact_kinds: Final = frozenset({CallEnded})

    def __init__(self, keep: int) -> None:
        self.by_method: Final = defaultdict[str, deque[float]](lambda: deque(maxlen=keep))

    def __call__(self, fact: Fact) -> None:
        """Take in a fact."""
        # Only what was sent and answered has a round trip.
        if isinstance(fact, CallEnded) and fact.answered_at is not None and fact.queued_at is not None:
            self.by_method[fact.method].append(fact.answered_at - fact.queued_at)

    def latencies(self) -> tuple[Latency, ...]:
        """One for each method, in the order in which they were called first."""
        return tuple(latency_of(method, seconds) for method, seconds in self.by_method.items())
