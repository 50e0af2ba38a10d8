"""The program in a world: what goes wrong in it, and is no documented error, is told."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

import bintrio
from bintrio.errors import ConnectionFailed, NotSent, OutcomeUnknown, SubscriberTooSlow
from bintrio.sandbox import DropReply, Told, Witness
from bintrio.sandbox.weather import Deposit, Fail
from bintrio.storm import Plan, Step, Terms, run, world
from bintrio.storm.books import Books
from bintrio.storm.plan import AnyAct, Listen, Place, Reopen, Rotate
from bintrio.storm.program import Program
from bintrio.storm.world import logged


def steps(*acts: Any, pause: float = 1.0) -> tuple[Step, ...]:
    return tuple(Step(pause, act) for act in acts)


def untruths(*acts: Any) -> list[str]:
    return run(Plan(steps=steps(*acts))).untruths


async def fail(*args: Any) -> None:
    raise ZeroDivisionError


async def log(*args: Any) -> None:
    logging.getLogger("bintrio.connection").error("the reader failed")


def test_what_is_no_documented_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bintrio.Session, "rotate", fail)
    (said,) = untruths(Rotate())
    assert said == f"{Rotate()!r} came to ZeroDivisionError()"


def test_what_is_logged_as_an_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bintrio.Session, "rotate", log)
    handlers = list(logging.getLogger("bintrio").handlers)
    assert untruths(Rotate()) == ["an error was logged: the reader failed"]
    assert logging.getLogger("bintrio").handlers == handlers


def test_what_the_sandbox_logs_is_not_said_by_the_client() -> None:
    failures, lines = list[str](), list[str]()
    with logged(failures, lines):
        logging.getLogger("bintrio.sandbox").warning("a connection is cut")
        logging.getLogger("bintrio.connection").warning("a connection is lost")
    assert (failures, lines) == ([], ["a connection is lost"])


async def not_sent(*args: Any) -> None:
    raise NotSent("ping", "no connection")


async def unknown(*args: Any) -> None:
    raise OutcomeUnknown("order.place", "nothing told")


def test_g1_what_is_not_known_at_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bintrio.Session, "ping", not_sent)
    monkeypatch.setattr(bintrio.Session, "confirm", unknown)
    at_rest, confirmed = untruths(Fail(fault=DropReply(method="order.place")), Place())
    assert "a ping at rest came to NotSent" in at_rest
    assert "confirm came to OutcomeUnknown" in confirmed


@pytest.mark.parametrize("failures", [1, 1_000])
def test_a_session_that_cannot_be_opened_is_tried_again(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    openings: list[int] = []
    open_session = bintrio.open_session

    def failing(*args: Any, **options: Any) -> AbstractAsyncContextManager[bintrio.Session]:
        openings.append(1)
        if 1 < len(openings) <= failures + 1:
            raise ConnectionFailed([("localhost", OSError("down"))])
        return open_session(*args, **options)

    monkeypatch.setattr(world, "open_session", failing)
    expected = ["there is no session at rest"] if failures == 1_000 else []
    assert run(Plan(steps=steps(Reopen(), Rotate(), Rotate(), pause=0.3))).untruths == expected


def test_a_listener_ends_with_its_session() -> None:
    assert untruths(Listen(seconds=60.0), Reopen()) == []


def test_a_listener_that_reads_nothing_is_told_that_it_was_too_slow() -> None:
    slow: AnyAct = Listen(seconds=5.0, buffer=1, is_slow=True)
    deposits = [Deposit(asset="BTC", amount=1)] * 4  # type: ignore[arg-type]  # it is not looked at
    assert untruths(slow, *deposits, Listen(seconds=2.0), *deposits) == []


class Overflowing:
    """A session whose listeners are told of one event, and then that they were too slow for the next."""

    unresolved = ()
    time_unit = "ms"

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    @asynccontextmanager
    async def user_data(self, *, buffer: int) -> AsyncGenerator[AsyncIterator[str]]:
        yield self._events(buffer)

    async def _events(self, buffer: int) -> AsyncGenerator[str]:
        self._witness.events.extend([Told(0, {}), Told(0, {})])
        yield "an event"
        raise SubscriberTooSlow(buffer)


async def test_a_listener_that_was_too_slow_was_to_hear_nothing_more(autojump_clock: trio.testing.MockClock) -> None:
    nobody: Any = None
    witness = Witness()
    session: Any = Overflowing(witness)

    @asynccontextmanager
    async def open_session() -> AsyncGenerator[bintrio.Session]:
        yield session

    program = Program(open_session, nobody, witness, Terms(), Books(witness, None))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(program.live)
        await program.is_open.wait()
        await program.do(Listen(seconds=0.5, buffer=1))
        program.leave()
    assert [heard.events for heard in program.heard] == [["an event"]] * 2
    # By then the account had had two more events each time. It was told that some are missing.
    assert all(heard.until == heard.since for heard in program.heard)
    assert program.failed == []


class Listened:
    """A session that can be listened to at the second attempt only, and until it ends."""

    unresolved = ()
    time_unit = "ms"

    def __init__(self) -> None:
        self.attempts: list[float] = []
        self.end = trio.Event()

    def within(self, _seconds: float) -> Any:
        return self

    async def ping(self) -> None:
        """There is an answer."""

    @asynccontextmanager
    async def user_data(self, *, buffer: int) -> AsyncGenerator[AsyncIterator[str]]:
        self.attempts.append(trio.current_time())
        if len(self.attempts) == 1:
            raise NotSent("userDataStream.subscribe.signature", "no connection")
        yield self._events()

    async def _events(self) -> AsyncGenerator[str]:
        yield "an event"
        await self.end.wait()


async def test_a_listener_that_is_refused_tries_again_and_listens_until_all_has_come_to_rest(
    autojump_clock: trio.testing.MockClock,
) -> None:
    session: Any = Listened()
    nobody: Any = None

    @asynccontextmanager
    async def open_session() -> AsyncGenerator[bintrio.Session]:
        yield session

    witness = Witness()
    program = Program(open_session, nobody, witness, Terms(), Books(witness, None))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(program.live)
        await trio.sleep(2)
        await program.come_to_rest()
        session.end.set()
        await trio.testing.wait_all_tasks_blocked()
        program.leave()
    first, second = session.attempts
    assert second - first == 1
    (heard,) = program.heard
    assert (heard.events, heard.until) == (["an event"], None)
    assert program.failed == []
