"""What a program does through an account, and what of it turns out to be untrue at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.account import LiveOrder
from bintrio.errors import NotSent, OutcomeUnknown
from bintrio.requests import OrderCancel
from bintrio.sandbox import DropReply, EventsFirst, ServerError, Witness, open_sandbox
from bintrio.sandbox.weather import Fail, Fill
from bintrio.storm import Plan, Step, Terms, run
from bintrio.storm.books import Books
from bintrio.storm.plan import ByAccount, Place, PlaceList, PlacePair, WithHandle
from bintrio.storm.program import Program

PLACED: Final = Step(5.0, ByAccount(placing=Place()))


def untruths(*steps: Step) -> list[str]:
    return run(Plan(terms=Terms(has_account=True), steps=steps)).untruths


@pytest.mark.parametrize("what", ["cancel", "amend", "closed", "fills"])
@pytest.mark.parametrize("placing", [Place(quantity=2), PlaceList(), PlacePair(quantity=2)])
def test_whatever_is_done_with_a_handle_nothing_is_untrue(placing: Any, what: Any) -> None:
    act = Step(5.0, WithHandle(what=what, patience=60.0))
    assert untruths(act, Step(5.0, ByAccount(placing=placing)), act, Step(1.0, Fill(which=0, parts=2)), act) == []


def test_what_a_cancelled_caller_has_placed_has_a_handle_or_is_shown() -> None:
    late = Step(1.0, Fail(fault=EventsFirst(method="order.place")))
    lost = Step(1.0, Fail(fault=DropReply(method="order.place")))
    cancelled = Step(1.0, ByAccount(placing=Place(), patience=0.5))
    at_once = Step(1.0, ByAccount(placing=Place(price=105, type="MARKET"), patience=0.0))
    assert untruths(PLACED, late, cancelled, lost, cancelled, at_once) == []


@pytest.mark.untraced
@pytest.mark.parametrize("wrong", [None, EventsFirst(), DropReply()])
@pytest.mark.parametrize("placing", [Place(quantity=2), PlaceList(), PlacePair(quantity=2)])
def test_g1_whoever_is_cancelled_at_any_tick_each_handle_tells_its_end(placing: Any, wrong: Any) -> None:
    steps = list[Step]()
    for ticks in range(30):
        if wrong is not None:
            steps.append(Step(5.0, Fail(fault=wrong)))
        steps.append(Step(5.0, ByAccount(placing=placing, patience=0.0, ticks=ticks)))
        for what in ("amend", "cancel", "closed"):
            steps.append(Step(5.0, WithHandle(what=what, patience=0.0, ticks=ticks)))
    report = run(Plan(terms=Terms(has_account=True), steps=tuple(steps)))
    assert report.untruths == []
    # Some were cancelled before the call left, and some after it.
    assert 0 < report.orders / (1 if isinstance(placing, Place) else 2) < report.calls


def test_without_an_account_nothing_is_done_through_one() -> None:
    assert run(Plan(steps=(PLACED, Step(1.0, WithHandle())))).orders == 0


def test_an_account_that_cannot_be_entered_is_tried_again() -> None:
    refused = Fail(fault=ServerError(method="openOrders.status", executed=False, times=3))
    report = run(Plan(terms=Terms(has_account=True), steps=(Step(0.0, refused), Step(30.0, PLACED.act))))
    assert (report.untruths, report.orders) == ([], 1)


async def nothing(*args: Any) -> None:
    """It returns at once."""


async def no_fills(self: LiveOrder) -> AsyncIterator[Any]:
    for fill in self.fills[1:]:
        yield fill


TRADED: Final = (PLACED, Step(1.0, Fill(which=0)))


def test_an_end_that_is_told_too_soon_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveOrder, "closed", nothing)
    assert "has not ended, and closed() returned" in untruths(PLACED, Step(5.0, WithHandle()))[0]


def test_fills_that_do_not_add_up_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveOrder, "fills", ())
    said = untruths(*TRADED, Step(5.0, WithHandle(what="closed")))
    assert any("says that these are all of its fills" in each for each in said)


def test_fills_that_are_not_told_one_by_one_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveOrder, "new_fills", no_fills)
    assert "new_fills() gave []" in untruths(*TRADED, Step(5.0, WithHandle(what="fills")))[0]


def test_what_an_account_asks_about_by_itself_is_no_call_of_the_program() -> None:
    nobody: Any = None
    program = Program(nobody, nobody, Witness(), Terms(), Books(Witness(), None))
    program._note_unknown(OutcomeUnknown("order.cancel", "lost", request=OrderCancel(symbol="BTCUSDT", order_id=1)))
    assert program.unknown == {}


async def test_the_books_of_a_session_that_is_closed_end_with_the_last_change(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox, trio.open_nursery() as nursery:
        books = Books(sandbox.witness(), sandbox.balances())
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
            nursery.start_soon(books.keep, session)
            await trio.sleep(30)
        await trio.sleep(1)
        (book,) = books.books
        assert book.changes[-1].version == book.account.version
        with pytest.raises(NotSent):
            await book.account.place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1)
        nursery.cancel_scope.cancel()
    assert not book.is_at_rest
