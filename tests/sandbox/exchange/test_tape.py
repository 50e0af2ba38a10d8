"""The public trades of a symbol, and the rules by which queries choose from what is in order."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from bintrio.api.enums import Side
from bintrio.sandbox.exchange.candles import DAY, candles, interval
from bintrio.sandbox.exchange.orders import Order, Trade
from bintrio.sandbox.exchange.summary import summarize
from bintrio.sandbox.exchange.tape import MINUTE, Tape, from_id, in_span, newest

D = Decimal


def order(side: Side = "BUY") -> Order:
    return Order(
        order_id=1,
        owner=1,
        symbol="BTCUSDT",
        side=side,
        type="LIMIT",
        time_in_force="GTC",
        client_order_id="x",
        created_at=0,
    )


def record(tape: Tape, taker: Order, price: str, time: int = 5) -> int:
    maker = order("SELL" if taker.is_buy else "BUY")
    return tape.record(taker, Trade(maker, D(price), D("0.5"), D(price) * D("0.5")), time)


def shown(records: Any) -> Any:
    """Untyped, so that amounts compare with plain numbers."""
    return records


def test_a_trade_is_noted_as_the_public_sees_it() -> None:
    tape = Tape()
    assert [record(tape, order("BUY"), "10"), record(tape, order("SELL"), "9.5", 7)] == [1, 2]
    bought, sold = shown(tape.trades)
    assert (bought.price, bought.qty, bought.quote_qty, bought.time) == (10, D("0.5"), 5, 5)
    assert (bought.is_buyer_maker, sold.is_buyer_maker, sold.is_best_match) == (False, True, True)


def test_trades_of_one_taker_at_one_price_are_one_aggregate() -> None:
    tape = Tape()
    taker, other = order(), order()
    for who, price in ((taker, "10"), (taker, "10"), (taker, "11"), (other, "11"), (other, "11")):
        record(tape, who, price)
    found = [(a.id, a.price, a.quantity, a.first_trade_id, a.last_trade_id) for a in shown(tape.aggregates)]
    assert found == [(1, 10, 1, 1, 2), (2, 11, D("0.5"), 3, 3), (3, 11, 1, 4, 5)]


def test_trades_are_found_by_time() -> None:
    tape = Tape()
    for time in (3, 5, 5, 8):
        record(tape, order(), "10", time)
    assert [trade.id for trade in tape.between(5, 8)] == [2, 3]
    assert (tape.price_before(3), tape.price_before(8)) == (None, D(10))


def test_a_span_comes_to_the_same_by_minutes_as_by_trades() -> None:
    tape = Tape()
    for number, half_minute in enumerate((0, 1, 1, 2, 6, 7, 7, 30)):
        record(tape, order(), str(10 + number % 3), half_minute * MINUTE // 2)
    assert [minute.trades for minute in tape.minutes] == [3, 1, 3, 1]
    times = [step * MINUTE // 4 for step in range(64)]
    for start in times:
        for end in times:
            assert tape.summary(start, end) == summarize(tape.between(start, end))


def test_a_bounded_tape_forgets_the_oldest_trades_and_minutes_and_goes_on_counting() -> None:
    tape = Tape(keep=4)
    for minute in range(11):
        record(tape, order(), str(10 + minute), minute * MINUTE)
    kept = [[trade.id for trade in tape.trades], [one.id for one in tape.aggregates]]
    assert kept == [[5, 6, 7, 8, 9, 10, 11]] * 2
    assert tape.start(MINUTE) == 4 * MINUTE
    day = tape.summary(0, DAY)
    assert day is not None
    assert (day.open, day.close, day.first_id, day.last_id, day.trades) == (D(14), D(20), 5, 11, 7)
    found = candles(tape, interval("1m"), 12 * MINUTE, start=None, end=None, limit=500)
    assert [candle.open for candle in found] == [14, 15, 16, 17, 18, 19, 20, 20, 20]


def test_minutes_outlive_their_trades() -> None:
    tape = Tape(keep=2)
    for time in (0, 1, MINUTE, MINUTE + 1):
        record(tape, order(), str(10 + time % 7), time)
    assert [trade.time for trade in tape.trades] == [MINUTE, MINUTE + 1]
    assert (tape.price_before(MINUTE), tape.price_before(0)) == (D(11), None)
    found = candles(tape, interval("1m"), MINUTE + 2, start=0, end=None, limit=500)
    assert [candle.number_of_trades for candle in found] == [2, 2]
    # Of the seconds of the first minute nothing is known any more.
    found = candles(tape, interval("1s"), MINUTE + 2, start=0, end=None, limit=500)
    assert [(candle.open_time, candle.number_of_trades) for candle in found] == [(MINUTE, 2)]
    assert candles(Tape(), interval("1s"), MINUTE, start=None, end=None, limit=500) == ()


class Item(NamedTuple):
    id: int
    time: int


times = st.integers(0, 20)
items = st.lists(times, max_size=30).map(lambda found: [Item(*pair) for pair in enumerate(sorted(found), start=3)])
bounds = st.none() | times
limits = st.integers(1, 12)


@given(items, bounds, bounds, limits)
def test_a_span_gives_the_oldest_from_its_start_or_the_newest_up_to_its_end(
    found: list[Item], start: int | None, end: int | None, limit: int
) -> None:
    wanted = [item for item in found if (start is None or item.time >= start) and (end is None or item.time <= end)]
    expected = wanted[-limit:] if start is None else wanted[:limit]
    assert list(in_span(found, start, end, limit)) == expected


@given(items, st.integers(0, 40), limits)
def test_from_an_id_on(found: list[Item], first: int, limit: int) -> None:
    assert list(from_id(found, first, limit, attrgetter("id"))) == [i for i in found if i.id >= first][:limit]


@given(items, limits)
def test_the_newest(found: list[Item], limit: int) -> None:
    chosen = newest(found, limit)
    assert len(chosen) == min(limit, len(found))
    assert all(a.id < b.id for a, b in pairwise(chosen))
    assert not found or chosen[-1] == found[-1]
