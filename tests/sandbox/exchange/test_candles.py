"""How time is divided, and what trades come to in each part of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio.api.enums import KlineInterval, Side
from bintrio.sandbox.exchange.candles import DAY, Interval, candles, interval, window
from bintrio.sandbox.exchange.orders import Order, Trade
from bintrio.sandbox.exchange.summary import summarize
from bintrio.sandbox.exchange.tape import MINUTE, Tape
from bintrio.sandbox.exchange.units import SECOND

D = Decimal
INTERVALS: tuple[str, ...] = get_args(KlineInterval)[1].extra["values"]
ZONES = ("0", "2", "-3:30", "+5:45", "14", "-12")


def at(text: str) -> int:
    """Microseconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def tape_of(*trades: tuple[int, str], side: Side = "BUY") -> Tape:
    tape = Tape()
    for time, price in trades:
        taker, maker = (
            Order(
                order_id=1,
                owner=1,
                symbol="BTCUSDT",
                side=which,
                type="LIMIT",
                time_in_force="GTC",
                client_order_id="",
                created_at=0,
            )
            for which in (side, "SELL" if side == "BUY" else "BUY")
        )
        tape.record(taker, Trade(maker, D(price), D(2), 2 * D(price)), time)
    return tape


def prices(candle: Any) -> tuple[Any, ...]:
    return candle.open, candle.high, candle.low, candle.close, candle.volume


@pytest.mark.parametrize(
    ("name", "zone", "opening", "after"),
    [
        ("1s", None, "2026-02-18T13:47:11", "2026-02-18T13:47:12"),
        ("15m", None, "2026-02-18T13:45", "2026-02-18T14:00"),
        ("12h", None, "2026-02-18T12:00", "2026-02-19T00:00"),
        ("1d", None, "2026-02-18T00:00", "2026-02-19T00:00"),
        ("1d", "14", "2026-02-18T10:00", "2026-02-19T10:00"),
        ("1d", "-3:30", "2026-02-18T03:30", "2026-02-19T03:30"),
        ("1w", None, "2026-02-16T00:00", "2026-02-23T00:00"),
        ("1M", None, "2026-02-01T00:00", "2026-03-01T00:00"),
        ("1M", "+5:45", "2026-01-31T18:15", "2026-02-28T18:15"),
    ],
)
def test_intervals(name: str, zone: str | None, opening: str, after: str) -> None:
    parts = interval(name, zone)
    assert parts.opening(at("2026-02-18T13:47:11")) == at(opening)
    assert parts.next_opening(at(opening)) == at(after)


@given(st.sampled_from(INTERVALS), st.sampled_from(ZONES), st.integers(0, at("2100-01-01T00:00")))
def test_the_parts_of_an_interval_leave_no_gap(name: str, zone: str, time: int) -> None:
    parts = interval(name, zone)
    opening = parts.opening(time)
    after = parts.next_opening(opening)
    assert opening <= time < after
    assert parts.opening(opening) == parts.opening(after - 1) == opening
    assert parts.opening(after) == after


@given(st.sampled_from(INTERVALS), st.sampled_from(ZONES), st.integers(0, at("2100-01-01T00:00")))
def test_openings_are_the_same_both_ways(name: str, zone: str, time: int) -> None:
    parts = interval(name, zone)
    first = parts.opening(time)
    last = parts.next_opening(parts.next_opening(first))
    forth = list(parts.openings(first, last))
    assert len(forth) == 3
    assert forth[::-1] == list(parts.openings_back(last, first))


def test_windows() -> None:
    assert (window("1m"), window("23h"), window("7d")) == (MINUTE, 23 * 60 * MINUTE, 7 * DAY)


def test_trades_come_to_a_summary() -> None:
    summary: Any = summarize(tape_of((1, "10"), (2, "12")).trades)
    assert (summary.open, summary.high, summary.low, summary.close) == (10, 12, 10, 12)
    assert (summary.volume, summary.quote_volume, summary.trades, summary.average) == (4, 44, 2, 11)
    assert (summary.taker_buy_volume, summary.taker_buy_quote_volume) == (4, 44)
    sold: Any = summarize(tape_of((1, "10"), side="SELL").trades)
    assert (sold.taker_buy_volume, sold.volume) == (0, 2)
    assert summarize([]) is None


MINUTES = interval("1m")
TRADES = ((90 * SECOND, "10"), (100 * SECOND, "13"), (250 * SECOND, "12"))


def made(
    trades: tuple[tuple[int, str], ...] = TRADES,
    parts: Interval = MINUTES,
    *,
    now: int = 310 * SECOND,
    start: int | None = None,
    end: int | None = None,
    limit: int = 500,
) -> list[Any]:
    return list(candles(tape_of(*trades), parts, now, start=start, end=end, limit=limit))


def test_there_is_a_candle_for_every_part_since_the_first_trade() -> None:
    found = made()
    assert [candle.open_time for candle in found] == [n * MINUTE for n in (1, 2, 3, 4, 5)]
    assert [candle.close_time + 1 for candle in found] == [n * MINUTE for n in (2, 3, 4, 5, 6)]
    assert list(map(prices, found)) == [
        (10, 13, 10, 13, 4),
        (13, 13, 13, 13, 0),
        (13, 13, 13, 13, 0),
        (12, 12, 12, 12, 2),
        (12, 12, 12, 12, 0),
    ]
    assert found[0].number_of_trades == 2
    assert found[0].quote_volume == found[0].taker_buy_quote_volume == 46


def test_candles_are_chosen_by_their_opening() -> None:
    def chosen(**span: Any) -> list[int]:
        return [candle.open_time // MINUTE for candle in made(**span)]

    assert chosen(limit=2) == [4, 5]
    assert chosen(start=2 * MINUTE, limit=2) == [2, 3]
    assert chosen(start=2 * MINUTE + 1, end=4 * MINUTE) == [3, 4]
    assert chosen(end=4 * MINUTE - 1, limit=2) == [2, 3]
    assert chosen(start=0, limit=1) == [1]
    assert chosen(end=0) == []
    assert chosen(start=6 * MINUTE) == []
    assert chosen(start=10**30, parts=interval("1M")) == []
    assert chosen(trades=()) == []


@given(
    st.lists(st.tuples(st.integers(0, 40 * MINUTE), st.sampled_from(["9", "10", "11"])), min_size=1, max_size=20),
    st.sampled_from(["1s", "1m", "3m", "1h"]),
)
def test_candles_have_all_trades_between_them(trades: list[tuple[int, str]], name: str) -> None:
    trades.sort()
    found = made(tuple(trades), interval(name), now=40 * MINUTE, limit=5_000)
    assert sum(candle.number_of_trades for candle in found) == len(trades)
    assert sum(candle.volume for candle in found) == 2 * len(trades)
    assert found[-1].close == D(trades[-1][1])
    assert all(a.close_time + 1 == b.open_time for a, b in pairwise(found))
