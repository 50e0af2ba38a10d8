"""`Pages`, driven by a session that answers out of lists: budgets, refusals, cancellation, progress."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import Banned, InvalidRequest, NotSent, ProtocolViolation, RateLimited
from bintrio.api._values import RateLimit
from bintrio.endpoints import TimeUnit
from bintrio.history import Pages, Progress
from bintrio.history.walks import Ask, Source, Span, Walk, by_id, by_time_then_id
from bintrio.requests import MyTrades


class Row(msgspec.Struct, frozen=True):
    id: int
    time: int


class Session:
    """An exchange of ten trades, one each second, whose clock is trio's.

    Args:
        errors: what calls raise, one after the other; None for an answer.
        used: how much of 100 weight is used, by the number of the call.
    """

    def __init__(
        self,
        *errors: BaseException | None,
        used: Callable[[int], int | None] = lambda _number: 0,
        interval: str = "MINUTE",
        time_unit: TimeUnit = "ms",
    ) -> None:
        self.time_unit: TimeUnit = time_unit
        self.calls = list[float]()
        self._errors = list(errors)
        self._used = used
        self._interval: Any = interval

    @property
    def request_weight(self) -> RateLimit | None:
        used = self._used(len(self.calls))
        if used is None:
            return None
        return RateLimit(
            rate_limit_type="REQUEST_WEIGHT", interval=self._interval, interval_num=1, limit=100, count=used
        )

    def now(self) -> int:
        return round(trio.current_time() * (1_000_000 if self.time_unit == "us" else 1000))

    async def send(self, request: Any, /) -> Any:
        self.calls.append(trio.current_time())
        await trio.sleep(1)
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error
        first = request.from_id if request.from_id is not None else request.start_time // 1000
        return [Row(number, number * 1000) for number in range(first, 10)][: request.limit]


def source(page_size: int = 4) -> Source[Row]:
    return Source(
        request=MyTrades(symbol="X"),
        page_size=page_size,
        time_of=attrgetter("time"),
        id_of=attrgetter("id"),
        id_name="from_id",
    )


def pages(session: Session, page_size: int = 4) -> Pages[Row]:
    return Pages(session, by_id(source(page_size), 0, None), None)


def limited(at: int | None, kind: type[RateLimited] = RateLimited) -> RateLimited:
    return kind("myTrades", status=429, code=-1003, message="too much", retry_at=at)


async def test_a_page_is_asked_for_when_it_is_needed(autojump_clock: MockClock) -> None:
    session = Session()
    rows = pages(session)
    assert repr(rows) == "<Pages, 0 rows in 0 pages, to be continued>"
    for number in range(4):
        assert (await anext(rows)).id == number
    assert len(session.calls) == 1
    assert [row.id async for row in rows] == [4, 5, 6, 7, 8, 9]
    assert repr(rows) == "<Pages, 10 rows in 4 pages, over>"
    with pytest.raises(StopAsyncIteration):
        await anext(rows)


@pytest.mark.parametrize("error", [limited(60_000), NotSent("myTrades", "no room", retry_at=60_000)])
async def test_g8_it_waits_as_long_as_it_is_told(error: Exception, autojump_clock: MockClock) -> None:
    session = Session(None, error)
    assert len([row async for row in pages(session)]) == 10
    assert session.calls[:2] == [0, 1]
    assert 60 <= session.calls[2] < 60.1


async def test_a_time_that_is_over_costs_no_wait(autojump_clock: MockClock) -> None:
    session = Session(limited(1))
    assert len([row async for row in pages(session)]) == 10
    assert session.calls[1] < 1.1


@pytest.mark.parametrize(
    "error",
    [
        limited(60_000, Banned),
        limited(None),
        NotSent("myTrades", "no connection"),
        bintrio.OutcomeUnknown("myTrades", "no answer"),
    ],
)
async def test_what_waiting_does_not_mend_is_raised_and_nothing_is_lost(
    error: Exception, autojump_clock: MockClock
) -> None:
    rows = pages(Session(None, error))
    found = list[int]()

    async def read() -> None:
        async for row in rows:
            found.append(row.id)

    with pytest.raises(type(error)):
        await read()
    assert found == [0, 1, 2, 3]
    assert [row.id async for row in rows] == [4, 5, 6, 7, 8, 9]


async def test_g6_it_may_be_cancelled_and_iterated_further(autojump_clock: MockClock) -> None:
    rows = pages(Session())
    found = list[int]()
    for _ in range(20):
        with trio.move_on_after(0.7):
            async for row in rows:
                found.append(row.id)
        with trio.move_on_after(1.5):
            async for row in rows:
                found.append(row.id)
    assert found == list(range(10))


async def test_a_row_that_is_there_can_be_cancelled_too(autojump_clock: MockClock) -> None:
    rows = pages(Session())
    await anext(rows)
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(rows)
    assert scope.cancelled_caught
    assert (await anext(rows)).id == 1


@pytest.mark.parametrize(("interval", "turn"), [("MINUTE", 60), ("HOUR", 3600), ("FORTNIGHT", 60)])
@pytest.mark.parametrize("time_unit", ["ms", "us"])
async def test_half_of_a_window_is_left_to_others(
    interval: str, turn: int, time_unit: TimeUnit, autojump_clock: MockClock
) -> None:
    session = Session(used=lambda number: 50 if number == 2 and trio.current_time() < turn else 49, interval=interval)
    session.time_unit = time_unit
    assert len([row async for row in pages(session)]) == 10
    assert session.calls[:2] == [0, 1]
    assert turn <= session.calls[2] < turn + 0.1


async def test_where_no_limit_is_known_nothing_is_waited_for(autojump_clock: MockClock) -> None:
    session = Session(used=lambda _number: None)
    assert len([row async for row in pages(session)]) == 10
    assert session.calls == [0, 1, 2, 3]


async def test_progress_is_told_page_by_page(autojump_clock: MockClock) -> None:
    told = list[Progress]()
    span = Span(0, 19_999)
    rows = Pages(Session(), by_time_then_id(source(), span, 20_000), span).with_progress(told.append)
    assert len([row async for row in rows]) == 10
    assert [(each.rows, each.pages, each.reached) for each in told] == [(4, 1, 3000), (8, 2, 7000), (10, 3, 9000)]
    assert [each.part for each in told] == [0.15005, 0.35005, 0.45005]
    by_ids = list[Progress]()
    async for _ in pages(Session()).with_progress(by_ids.append):
        pass
    assert [each.part for each in by_ids] == [None] * 3


async def test_what_progress_raises_ends_the_iteration(autojump_clock: MockClock) -> None:
    def fail(_progress: Progress) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await anext(pages(Session()).with_progress(fail))


def test_progress_is_told_to_a_function() -> None:
    nothing: Any = 7
    with pytest.raises(InvalidRequest, match="progress must be told to a function, not int 7"):
        pages(Session()).with_progress(nothing)


async def test_a_walk_that_fails_is_over(autojump_clock: MockClock) -> None:
    def walk() -> Walk[Row]:
        yield Ask(MyTrades(symbol="X", from_id=0, limit=1))
        raise ProtocolViolation("odd")

    rows = Pages(Session(), walk(), None)
    with pytest.raises(ProtocolViolation):
        await anext(rows)
    with pytest.raises(StopAsyncIteration):
        await anext(rows)
