"""The walks through a history, against an exchange of lists: each row once, none missing, none beyond."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from operator import attrgetter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio import ProtocolViolation
from bintrio.api._base import Request
from bintrio.api.market import Kline
from bintrio.history.walks import (
    Found,
    Source,
    Span,
    Walk,
    by_first_id,
    by_id,
    by_opening,
    by_spans,
    by_time_then_id,
    go_on,
)
from bintrio.requests import AllOrders, Klines, MyTrades, TradesAggregate


class Row(msgspec.Struct, frozen=True):
    """A trade or an order: made at a time, and updated at another."""

    id: int
    time: int
    updated: int = 0
    is_open: bool = False


class Walked:
    """What a walk found, and what it asked for.

    Args:
        walk: the walk.
        answer: an exchange.
    """

    def __init__(self, walk: Walk[Any], answer: Callable[[Any], Sequence[Any]]) -> None:
        self.rows = list[Any]()
        self.asked = list[Any]()
        self.reached = list[int]()
        rows: Sequence[Any] | None = None
        while (step := go_on(walk, rows)) is not None:
            if isinstance(step, Found):
                self.rows += step.rows
                self.reached.append(step.reached)
                rows = None
            else:
                self.asked.append(step.request)
                assert len(self.asked) < 10_000
                rows = answer(step.request)


def exchange_of_trades(rows: Sequence[Row], cap: int = 1000) -> Callable[[Any], Sequence[Row]]:
    """By id, or in a span; never more than ``cap``, whatever is asked for."""

    def answer(request: Any) -> Sequence[Row]:
        if request.from_id is not None:
            found = [row for row in rows if row.id >= request.from_id]
        else:
            end = request.end_time if request.end_time is not None else 10**15
            found = [row for row in rows if request.start_time <= row.time <= end]
        return found[: min(request.limit, cap)]

    return answer


def trades(gaps: list[tuple[int, int]]) -> list[Row]:
    """Trades whose ids and times grow by so much each."""
    rows, id_, time = list[Row](), 0, 0
    for more, later in gaps:
        id_, time = id_ + more, time + later
        rows.append(Row(id_, time))
    return rows


TRADES = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 40)), max_size=60).map(trades)
SPANS = st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda ends: Span(min(ends), max(ends)))
PAGES = st.integers(1, 7)


def source_of_trades(page_size: int, request: Request[Any], **rest: Any) -> Source[Row]:
    return Source(
        request=request,
        page_size=page_size,
        time_of=attrgetter("time"),
        id_of=attrgetter("id"),
        id_name="from_id",
        **rest,
    )


@given(TRADES, PAGES, st.integers(0, 70), st.none() | st.integers(0, 1000), st.integers(1, 5))
def test_by_id_each_comes_once(rows: list[Row], page: int, first: int, last: int | None, cap: int) -> None:
    walk = by_id(source_of_trades(page, TradesAggregate(symbol="X")), first, last)
    walked = Walked(walk, exchange_of_trades(rows, cap))
    assert walked.rows == [row for row in rows if row.id >= first and (last is None or row.time <= last)]


@given(TRADES, PAGES, SPANS, st.integers(1, 5))
def test_by_the_first_ones_time_each_comes_once(rows: list[Row], page: int, span: Span, cap: int) -> None:
    walk = by_first_id(source_of_trades(page, TradesAggregate(symbol="X")), span, 0)
    assert Walked(walk, exchange_of_trades(rows, cap)).rows == [row for row in rows if within(row.time, span)]


@given(TRADES, PAGES, SPANS, st.integers(1, 200), st.integers(1, 5))
def test_by_time_and_then_by_id_each_comes_once(rows: list[Row], page: int, span: Span, day: int, cap: int) -> None:
    source = source_of_trades(page, MyTrades(symbol="X"), made_at=attrgetter("time"))
    walked = Walked(by_time_then_id(source, span, day), exchange_of_trades(rows, cap))
    assert walked.rows == [row for row in rows if within(row.time, span)]
    assert walked.reached == sorted(walked.reached)
    for request in walked.asked:
        assert request.start_time is None or 0 <= request.end_time - request.start_time < day


def test_days_before_the_first_trade_are_not_asked_for() -> None:
    source = source_of_trades(10, MyTrades(symbol="X"), made_at=attrgetter("time"))
    walked = Walked(by_time_then_id(source, Span(0, 10**6), 10), exchange_of_trades([Row(7, 999_990)]))
    assert [row.id for row in walked.rows] == [7]
    assert (walked.asked[0].from_id, walked.asked[0].limit) == (0, 1)
    assert len(walked.asked) == 3  # the oldest, its day, and that there is none after it


# Orders


def exchange_of_orders(rows: Sequence[Row]) -> Callable[[Any], Sequence[Row]]:
    """By id, or by the last update, and then in no order that is promised."""

    def answer(request: Any) -> Sequence[Row]:
        if request.order_id is not None:
            return [row for row in rows if row.id >= request.order_id][: request.limit]
        found = [row for row in rows if request.start_time <= row.updated <= request.end_time]
        return sorted(found, key=lambda row: row.id * 7919 % 101)[: request.limit]

    return answer


def source_of_orders(page_size: int) -> Source[Row]:
    return Source(
        request=AllOrders(symbol="X"),
        page_size=page_size,
        time_of=attrgetter("updated"),
        id_of=attrgetter("id"),
        id_name="order_id",
        least_id=1,
        made_at=attrgetter("time"),
        is_open=attrgetter("is_open"),
    )


@given(TRADES, st.lists(st.integers(0, 300), min_size=60, max_size=60), PAGES, SPANS, st.integers(1, 200))
def test_by_spans_each_comes_once(made: list[Row], later: list[int], page: int, span: Span, day: int) -> None:
    rows = [Row(row.id, row.time, row.time + more) for row, more in zip(made, later, strict=False)]
    wanted = [row for row in rows if within(row.updated, span)]
    crowded = any(sum(row.updated == one.updated for row in wanted) >= page for one in wanted)
    walk = by_spans(source_of_orders(page), span, day)
    if crowded:
        with pytest.raises(ProtocolViolation, match=r"allOrders: \d+ rows have the time"):
            Walked(walk, exchange_of_orders(rows))
    else:
        walked = Walked(walk, exchange_of_orders(rows))
        assert walked.rows == sorted(wanted, key=lambda row: (row.updated, row.id))
        spans: list[Any] = walked.asked[1:]
        assert all(0 <= request.end_time - request.start_time < day for request in spans)


def test_an_order_that_is_updated_meanwhile_comes_once() -> None:
    rows = [Row(1, 0, 5, is_open=True), Row(2, 0, 15)]
    plain = exchange_of_orders(rows)

    def answer(request: Any) -> Sequence[Row]:
        found = plain(request)
        if request.end_time == 9:
            rows[0] = Row(1, 0, 12)
        return found

    walked = Walked(by_spans(source_of_orders(10), Span(0, 19), 10), answer)
    assert walked.rows == [Row(1, 0, 5, is_open=True), Row(2, 0, 15)]


def test_without_any_there_is_one_question() -> None:
    assert len(Walked(by_spans(source_of_orders(10), Span(0, 10**9), 10), exchange_of_orders([])).asked) == 1


# Candles


@given(st.lists(st.integers(1, 3), max_size=40), PAGES, SPANS, st.integers(1, 5))
def test_candles_come_once_although_some_are_missing(gaps: list[int], page: int, span: Span, cap: int) -> None:
    openings = [10 * sum(gaps[: number + 1]) for number in range(len(gaps))]
    rows = [candle(at, at + 9) for at in openings]

    def answer(request: Any) -> Sequence[Kline]:
        return [row for row in rows if request.start_time <= row.open_time <= request.end_time][
            : min(cap, request.limit)
        ]

    source: Source[Kline] = Source(
        request=Klines(symbol="X", interval="1m"),
        page_size=page,
        time_of=attrgetter("open_time"),
        id_of=attrgetter("open_time"),
    )
    walked = Walked(by_opening(source, span, 0), answer)
    assert walked.rows == [row for row in rows if within(row.open_time, span)]
    assert all(within(at, span) for at in walked.reached)


@pytest.mark.parametrize("moment", [0, 60, 61])
def test_a_span_of_one_moment_has_the_candle_that_opens_then(moment: int) -> None:
    source: Source[Kline] = Source(
        request=Klines(symbol="X", interval="1m"),
        page_size=10,
        time_of=attrgetter("open_time"),
        id_of=attrgetter("open_time"),
    )
    walked = Walked(by_opening(source, Span(moment, moment), 0), lambda _request: [candle(moment, moment + 59)])
    assert [row.open_time for row in walked.rows] == [moment]
    assert len(walked.asked) == 1  # it closes beyond the span, so no other opens in it


def candle(opening: int, closing: int) -> Kline:
    price, number = Decimal(1), 0
    return Kline(opening, price, price, price, price, price, closing, price, number, price, price, "0")


# Spans


@given(SPANS, st.integers(1, 400))
def test_the_parts_of_a_span_make_it_up(span: Span, longest: int) -> None:
    parts = list(span.parts(longest))
    assert parts[0].first == span.first
    assert parts[-1].last == span.last
    assert all(one.last + 1 == other.first for one, other in pairwise(parts))
    assert all(0 <= part.last - part.first < longest for part in parts)


@given(SPANS.filter(lambda span: span.first < span.last))
def test_the_halves_of_a_span_make_it_up(span: Span) -> None:
    one, other = span.halves()
    assert (one.first, one.last + 1, other.last) == (span.first, other.first, span.last)
    assert one.first <= one.last
    assert other.first <= other.last


def within(time: int, span: Span) -> bool:
    return span.first <= time <= span.last
