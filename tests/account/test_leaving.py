"""Whoever waits for news of an account learns at once that none will come, however the account was left."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bintrio.account import LiveAccount, LiveOrder, LiveOrderList
from bintrio.account.live import open_account
from bintrio.errors import AccountNotFollowed, NotSent, OutcomeUnknown
from bintrio.requests import OrderPlace
from bintrio.sandbox import Sandbox, Timeout

from .test_live import BUY, OCO, Bent, kept_elsewhere, raising, settled


class Stage:
    """An account with an order and a list that are open, and one of each of which nothing is known."""

    def __init__(
        self, bent: Bent, account: LiveAccount, end_session: Callable[[], None], scope: trio.CancelScope
    ) -> None:
        self.bent, self.account, self.end_session, self.scope = bent, account, end_session, scope
        self.given: dict[str, list[Any]] = {"fills": [], "changes": []}

    async def set_up(self, sandbox: Sandbox) -> None:
        account = self.account
        self.order, self.list = await account.place(**BUY), await account.place_oco(**OCO)
        await settled(account)
        self.bent.confirms += [raising(NotSent("order.status", "the test says so"))] * 100
        sandbox.inject(Timeout(method="order.place", executed=False))
        sandbox.inject(Timeout(method="orderList.place.oco", executed=False))
        self.unknown: LiveOrder = await account.place(**BUY)
        self.unknown_list: LiveOrderList = await account.place_oco(**OCO)

    async def read_fills(self) -> None:
        async for fill in self.order.new_fills():
            self.given["fills"].append(fill)

    async def wait_for_change(self) -> int:
        return await self.account.changed(after=self.account.version + 1)  # the end itself is one


WAITS: Final[dict[str, Callable[[Stage], Awaitable[object]]]] = {
    "order.closed": lambda stage: stage.order.closed(),
    "order.filled": lambda stage: stage.order.filled(),
    "order.new_fills": lambda stage: stage.read_fills(),
    "order.placed": lambda stage: stage.unknown.placed(),
    "order.cancel": lambda stage: stage.unknown.cancel(),
    "order.amend": lambda stage: stage.unknown.amend(1),
    "leg.closed": lambda stage: stage.list.orders[0].closed(),
    "list.closed": lambda stage: stage.list.closed(),
    "list.placed": lambda stage: stage.unknown_list.placed(),
    "list.cancel": lambda stage: stage.unknown_list.cancel(),
    "account.changed": lambda stage: stage.wait_for_change(),
}


@asynccontextmanager
async def staged() -> AsyncGenerator[Stage]:
    """A stage whose session can be ended while the account is followed. An error and a cancellation end there."""
    async with kept_elsewhere() as (sandbox, session, is_over):
        bent = Bent(session)
        with suppress(ZeroDivisionError), trio.CancelScope() as scope:
            async with open_account(bent, bent.teller) as account:
                stage = Stage(bent, account, is_over.set, scope)
                await stage.set_up(sandbox)
                yield stage


async def normally(stage: Stage) -> None:
    """Its block ends."""


async def by_an_exception(stage: Stage) -> None:
    raise ZeroDivisionError


async def by_cancellation(stage: Stage) -> None:
    stage.scope.cancel()
    await trio.sleep_forever()


async def by_the_end_of_the_session(stage: Stage) -> None:
    stage.end_session()
    await trio.sleep(60)


@pytest.mark.parametrize("leave", [normally, by_an_exception, by_cancellation, by_the_end_of_the_session])
@pytest.mark.parametrize("wait", WAITS)
async def test_who_waits_learns_at_once_that_no_news_will_come(
    autojump_clock: MockClock, wait: str, leave: Callable[[Stage], Awaitable[None]]
) -> None:
    ended: list[float] = []

    async def waiting(stage: Stage) -> None:
        with pytest.raises(AccountNotFollowed, match="nobody follows the account any more"):
            await WAITS[wait](stage)
        ended.append(trio.current_time())

    async with trio.open_nursery() as nursery, staged() as stage:
        nursery.start_soon(waiting, stage)
        await trio.sleep(30)
        assert ended == []
        left_at = trio.current_time()
        await leave(stage)
    assert ended == [left_at]
    assert not stage.account.is_current
    # The same later on: also who begins to wait then learns it.
    with pytest.raises(AccountNotFollowed):
        await WAITS[wait](stage)


async def test_who_waits_when_an_account_is_left_that_was_not_current_yet_learns_it_too(
    autojump_clock: MockClock,
) -> None:
    """The end changes nothing of such an account, so no change wakes who waits."""
    learned = False

    async def wait() -> None:
        nonlocal learned
        with pytest.raises(AccountNotFollowed), trio.fail_after(60):
            await account.changed(after=version)
        learned = True

    async with kept_elsewhere() as (_, session, _), trio.open_nursery() as nursery:
        async with session.account() as account:
            version = account.version
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            assert not account.is_current
        assert account.version == version
    assert learned


async def test_what_is_known_when_the_account_is_left_can_still_be_read(autojump_clock: MockClock) -> None:
    async with staged() as stage:
        stage.bent.confirms.clear()
        await stage.order.cancel()
    assert await stage.order.placed() is await stage.order.closed()
    assert not await stage.order.filled()
    assert [fill async for fill in stage.order.new_fills()] == []
    assert await stage.account.changed(after=0) == stage.account.version


async def test_changes_end_with_the_account_after_the_last_was_told(autojump_clock: MockClock) -> None:
    async with staged() as stage:
        assert stage.account.is_current
        version = stage.account.version
    told = [change async for change in stage.account.changes(after=version)]
    assert [(change.version, getattr(change, "reason", None)) for change in told] == [
        (version + 1, "the account is followed no more")
    ]


async def test_who_places_when_the_session_is_closed_learns_that_nobody_finds_out(autojump_clock: MockClock) -> None:
    lost = OutcomeUnknown("order.place", "the session was closed")
    async with staged() as stage:
        await by_the_end_of_the_session(stage)
        stage.bent.refuses[OrderPlace] = lost
        with pytest.raises(OutcomeUnknown) as caught:
            await stage.account.place(**BUY)
        assert caught.value is lost
        assert lost in [handle.error for handle in stage.account.handles]
