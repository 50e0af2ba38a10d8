"""A slow observer behind a buffer: it keeps nobody waiting, and what it misses is counted."""

from __future__ import annotations

import logging
import threading
from inspect import cleandoc
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bintrio import observing
from bintrio.errors import InvalidRequest
from bintrio.observing import ConnectionOpening, Fact, buffered
from tests.peer import open_pair


def fact(number: int) -> Fact:
    return ConnectionOpening(session="bot", connection=number, address="exchange.test:443")


def numbers(facts: list[Any]) -> list[int]:
    return [each.connection for each in facts]


class Slow:
    """An async observer that takes its time.

    Attributes:
        facts: what it has begun with.
        may_go_on: it waits for this with each.
    """

    def __init__(self) -> None:
        self.facts: list[Any] = []
        self.may_go_on = trio.Event()

    async def __call__(self, fact: Fact) -> None:
        self.facts.append(fact)
        await self.may_go_on.wait()


async def test_g11_what_finds_no_room_is_dropped_and_counted(autojump_clock: MockClock) -> None:
    slow = Slow()
    async with buffered(slow, buffer=3) as quick:
        quick(fact(0))
        await wait_all_tasks_blocked()
        for number in range(1, 6):
            quick(fact(number))
        assert (quick.waiting, quick.dropped) == (3, 2)
        assert repr(quick) == "<Buffered observer, 3 facts waiting, 2 dropped, 0 failures>"
        slow.may_go_on.set()
    assert numbers(slow.facts) == [0, 1, 2, 3]
    assert (quick.waiting, quick.dropped, quick.failures) == (0, 2, 0)
    quick(fact(6))
    assert quick.dropped == 3


async def test_g11_an_observer_that_never_comes_back_is_left_after_a_time(autojump_clock: MockClock) -> None:
    slow = Slow()
    async with buffered(slow, close_timeout=5) as quick:
        for number in range(4):
            quick(fact(number))
    assert trio.current_time() == 5
    assert numbers(slow.facts) == [0]
    assert quick.dropped == 3


async def test_leaving_can_be_cancelled(autojump_clock: MockClock) -> None:
    slow = Slow()
    kept: list[observing.Buffered] = []
    with trio.move_on_after(1) as scope:
        async with buffered(slow, close_timeout=5) as quick:
            kept.append(quick)
            quick(fact(0))
            quick(fact(1))
    assert scope.cancelled_caught
    assert (trio.current_time(), kept[0].dropped) == (1, 1)


async def test_what_the_body_raises_comes_out_bare(autojump_clock: MockClock) -> None:
    slow = Slow()
    slow.may_go_on.set()

    async def fail() -> None:
        async with buffered(slow) as quick:
            quick(fact(0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert numbers(slow.facts) == [0]


async def test_g11_what_an_async_observer_raises_is_counted_and_logged_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Fact] = []

    async def fail(told: Fact) -> None:
        seen.append(told)
        raise ValueError

    async with buffered(fail) as quick:
        for number in range(4):
            quick(fact(number))
    assert (numbers(seen), quick.failures, quick.dropped) == ([0, 1, 2, 3], 4, 0)
    (record,) = caplog.records
    assert (record.name, record.levelno, vars(record)["session"]) == ("bintrio.observer", logging.ERROR, "bot")
    assert vars(record)["fact"] == "ConnectionOpening"


@pytest.mark.parametrize("failure", [ValueError(), SystemExit(3)])
async def test_g11_what_an_observer_raises_in_its_thread_is_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture, failure: BaseException
) -> None:
    seen: list[Fact] = []

    def fail(told: Fact) -> None:
        seen.append(told)
        raise failure

    async with buffered(fail) as quick:
        for number in range(600):
            quick(fact(number))
    assert (numbers(seen), quick.failures, quick.dropped) == (list(range(600)), 600, 0)
    assert [record.name for record in caplog.records] == ["bintrio.observer"]


async def test_g11_what_waits_goes_to_the_other_thread_together() -> None:
    """To change the thread for each fact would cost far more than most functions do."""
    waiting: list[int] = []

    def look(_fact: Fact) -> None:
        waiting.append(quick.waiting)

    quick: observing.Buffered
    async with buffered(look) as quick:
        for number in range(4):
            quick(fact(number))
    assert waiting == [0, 0, 0, 0]


async def test_g11_a_function_may_block_and_keeps_nobody_waiting() -> None:
    """It is called in another thread, in which it waits for what this one does meanwhile."""
    may_go_on = threading.Event()
    threads: set[int] = set()

    def block(_fact: Fact) -> None:
        threads.add(threading.get_ident())
        assert may_go_on.wait(60)

    async with buffered(block) as quick, open_pair(observer=quick) as (session, exchange):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.ping)
            await exchange.peers[0].answer(await exchange.peers[0].next())
        assert quick.waiting > 0
        may_go_on.set()
    assert threads
    assert threading.get_ident() not in threads
    assert (session.counters.observer_failures, quick.failures, quick.dropped) == (0, 0, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("observer", 5), ("buffer", 0), ("buffer", 1.5), ("close_timeout", 0), ("close_timeout", "long")],
)
async def test_what_cannot_be_right_is_refused(field: str, value: Any) -> None:
    options: dict[str, Any] = {"observer": print, field: value}
    with pytest.raises(InvalidRequest) as caught:
        async with buffered(**options):
            raise AssertionError
    assert caught.value.field == field


async def test_g11_a_slow_observer_has_two_seconds_at_the_end(autojump_clock: MockClock) -> None:
    async def sleep(_fact: Fact) -> None:
        await trio.sleep_forever()

    async with buffered(sleep) as quick:
        quick(fact(1))
        quick(fact(2))
    assert (trio.current_time(), quick.dropped) == (2, 1)


def test_buffering_runs_under_trio_only() -> None:
    with pytest.raises(InvalidRequest, match="buffered runs under trio only"):
        buffered(print).__aenter__().send(None)


def test_every_kind_of_fact_is_documented() -> None:
    kinds = [
        value for value in vars(observing).values() if isinstance(value, type) and issubclass(value, observing.Fact)
    ]
    assert len(kinds) > 30
    for kind in kinds:
        documented = "\n".join(
            cleandoc(base.__doc__ or "") for base in kind.__mro__ if issubclass(base, observing.Fact)
        )
        # Python takes the indentation off from 3.13 on.
        assert not [name for name in kind.__struct_fields__ if f"\n    {name}: " not in documented]
