"""Round trips by percentile."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bintrio.cli._latency import RoundTrips, bars_of, latency_of
from bintrio.observing import CallEnded, ConnectionOpening

SECONDS = st.floats(0, 1000)


def ended(method: str, queued_at: float | None, answered_at: float | None) -> CallEnded:
    return CallEnded(
        method=method,
        started_at=0,
        queued_at=queued_at,
        written_at=None,
        answered_at=answered_at,
        taken_at=None,
        tries=1,
        connection=1,
        address=None,
        sent_size=0,
        answer_size=0,
        status=200,
        code=None,
        error=None,
        cause=None,
        limits=(),
    )


def test_percentiles_are_round_trips_that_there_were() -> None:
    found = latency_of("ping", [number / 1000 for number in range(100, 0, -1)])
    assert (found.count, found.best, found.p50, found.p90, found.p99, found.worst) == (100, 1, 50, 90, 99, 100)


@given(st.lists(SECONDS, min_size=1))
def test_percentiles_are_in_order(seconds: list[float]) -> None:
    found = latency_of("ping", seconds)
    in_order = [found.best, found.p50, found.p90, found.p99, found.worst]
    assert in_order == sorted(in_order)
    assert set(in_order) <= {round(each * 1000, 3) for each in seconds}


@given(st.lists(SECONDS, min_size=1), st.integers(1, 20))
def test_bars_have_every_round_trip_once(seconds: list[float], number: int) -> None:
    bars = bars_of(seconds, number)
    assert len(bars) == number
    assert sum(bar.calls for bar in bars) == len(seconds)
    assert bars[0].first == round(min(seconds) * 1000, 3)
    assert bars[-1].end >= round(max(seconds) * 1000, 3)
    assert all(one.end == other.first for one, other in pairwise(bars))


def test_bars_are_as_wide_as_99_percent_need() -> None:
    bars = bars_of([*(number / 1000 for number in range(100, 200)), 5], 10)
    assert all(9 <= bar.calls <= 11 for bar in bars)
    assert bars[-1].end == 5000


def test_only_answered_calls_count_and_only_the_latest_are_kept() -> None:
    trips = RoundTrips(2)
    for fact in (
        ended("ping", 1, 2),
        ended("time", 1, 1.5),
        ended("ping", 1, 4),
        ended("ping", 1, None),
        ended("ping", None, None),
        ended("ping", 1, 3),
        ConnectionOpening(),
    ):
        trips(fact)
    assert [(each.method, each.count, each.best, each.worst) for each in trips.latencies()] == [
        ("ping", 2, 2000, 3000),
        ("time", 1, 500, 500),
    ]
