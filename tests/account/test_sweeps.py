"""Whoever waits by a handle may be cancelled at any turn of the scheduler: the handle tells the same all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bintrio.account import LiveAccount
from bintrio.api.trading import Fill
from bintrio.sandbox import Sandbox
from tests.sessions import CancelsAfter

from .test_live import BUY, OCO, D, following, settled

ONE: Final[dict[str, Any]] = {**BUY, "quantity": 1}
NEAR: Final[dict[str, Any]] = {**OCO, "above_price": 65_000}

Happening = Callable[[Sandbox, int], Awaitable[None]]


async def _by_events(sandbox: Sandbox, order_id: int) -> None:
    """Two trades, each told by an event."""
    for _ in range(2):
        sandbox.fill(order_id, D("0.5"))
        await trio.sleep(1)


async def _unheard(sandbox: Sandbox, order_id: int) -> None:
    """Two trades of which no connection tells."""
    sandbox.disconnect()
    for _ in range(2):
        sandbox.fill(order_id, D("0.5"))


async def _by_both(sandbox: Sandbox, order_id: int) -> None:
    """A trade that is told by an event, and one that has to be asked for."""
    sandbox.fill(order_id, D("0.5"))
    await trio.sleep(1)
    sandbox.disconnect()
    sandbox.fill(order_id, D("0.5"))


HAPPENINGS: Final[list[Happening]] = [_by_events, _unheard, _by_both]


async def _every_turn(steps_of: Callable[[int], Awaitable[bool]], *, at_least: int) -> None:
    """Do something that is cancelled after one more turn each time, until it is over before."""
    steps = 1
    while not await steps_of(steps):
        steps += 1
    assert steps > at_least


async def _cancelled_after(steps: int, waiting: Callable[[], Awaitable[object]], meanwhile: Callable[[], Any]) -> bool:
    """Wait while something happens, but for so many turns at most. Whether the wait was over by then."""
    is_over = False
    scope = trio.CancelScope()
    instrument = CancelsAfter(steps, scope)

    async def wait() -> None:
        nonlocal is_over
        with scope:
            await waiting()
            is_over = True

    trio.lowlevel.add_instrument(instrument)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(meanwhile)
    finally:
        trio.lowlevel.remove_instrument(instrument)
    return is_over


async def _check_left(account: LiveAccount) -> None:
    """Nothing is left over, and the account goes on."""
    await settled(account)
    await wait_all_tasks_blocked()
    assert not account.handles
    # Of a list, its orders are among them.
    assert all(handle.is_closed for handle in account.closed_handles)
    assert account.closed_handles


@pytest.mark.untraced
@pytest.mark.parametrize("happens", HAPPENINGS)
async def test_g1_who_reads_fills_may_be_cancelled_at_any_turn(autojump_clock: MockClock, happens: Happening) -> None:
    async def once(steps: int) -> bool:
        async with following() as (sandbox, _, account):
            order = await account.place(**ONE)
            await settled(account)
            given: list[Fill] = []

            async def read() -> None:
                async for fill in order.new_fills():
                    given.append(fill)  # what was given before it was cancelled counts

            is_over = await _cancelled_after(steps, read, lambda: happens(sandbox, order.order_id or 0))
            # From the first one on, each once, for whoever reads then.
            with trio.fail_after(600):
                again = [fill async for fill in order.new_fills()]
            assert again == list(order.fills)
            assert given == again[: len(given)]
            assert len(given) == 2 or not is_over
            assert sum((fill.qty for fill in again), Decimal(0)) == 1
            await _check_left(account)
        return is_over

    await _every_turn(once, at_least=10)


@pytest.mark.untraced
@pytest.mark.parametrize("happens", HAPPENINGS)
async def test_g1_who_waits_for_the_end_of_a_list_may_be_cancelled_at_any_turn(
    autojump_clock: MockClock, happens: Happening
) -> None:
    async def once(steps: int) -> bool:
        async with following() as (sandbox, _, account):
            placed = await account.place_oco(**NEAR)
            await settled(account)
            (maker,) = [order for order in placed.orders if order.state and order.state.type == "LIMIT_MAKER"]
            is_over = await _cancelled_after(steps, placed.closed, lambda: happens(sandbox, maker.order_id or 0))
            with trio.fail_after(600):
                ended = await placed.closed()
            assert sorted(order.status for order in ended) == ["EXPIRED", "FILLED"]
            assert all(order.has_all_fills for order in placed.orders)
            assert [fill.qty for fill in maker.fills] == [D("0.5")] * 2
            await _check_left(account)
        return is_over

    await _every_turn(once, at_least=10)
