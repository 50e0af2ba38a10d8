"""G12 in one process: sessions of several accounts on one address keep the exchange's limits together."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.requests import OrderPlace
from bintrio.sandbox import LateReply, Limits, Sandbox, TooManyRequests, open_sandbox, trader
from bintrio.typing import Ledger
from tests.refusing import quietly

pytestmark = pytest.mark.usefixtures("both_streams")

SMALL: Final = Limits(weight=240, orders_per_10_seconds=5, orders_per_day=60)
OWNERS: Final = ("alice", "alice", "bob")
ORDER: Final = OrderPlace(
    symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=40_000, quantity="0.001"
)


@asynccontextmanager
async def fleet(ledger_of: Callable[[str], Ledger]) -> AsyncGenerator[tuple[Sandbox, Sequence[bintrio.Session]]]:
    """Two sessions of one account and one of another, on one address."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(open_sandbox(listen=False, limits=SMALL))
        other = trader(7)
        sandbox.add_account(other)
        sessions: list[bintrio.Session] = []
        for owner in OWNERS:
            key = sandbox.key if owner == "alice" else other.key
            opening = bintrio.open_session(
                sandbox.memory_endpoint, key=key, connect=sandbox.connect, ledger=ledger_of(owner), request_timeout=1000
            )
            sessions.append(await stack.enter_async_context(opening))
        yield sandbox, sessions


async def work(session: bintrio.Session, seconds: float) -> None:
    """As many orders and questions as there is room for."""
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:

            async def repeat(call: Callable[[], Any], pause: float) -> None:
                while True:
                    await quietly(call)
                    await trio.sleep(pause)

            for _ in range(4):
                nursery.start_soon(repeat, lambda: session.depth(symbol="BTCUSDT"), 0.3)
            nursery.start_soon(repeat, lambda: session.send(ORDER), 0.5)


async def strain(ledger_of: Callable[[str], Ledger], seconds: float) -> tuple[int, Counter[int]]:
    """How many calls were refused for too many, and how many questions there were by minute."""
    async with fleet(ledger_of) as (sandbox, sessions):
        async with trio.open_nursery() as nursery:
            for session in sessions:
                nursery.start_soon(work, session, seconds)
        asked = Counter(call.time // 60_000 for call in sandbox.calls if call.method == "depth")
        return sum(call.status in {418, 429} for call in sandbox.calls), asked


async def test_g12_sessions_of_two_accounts_keep_all_limits_and_use_them(autojump_clock: MockClock) -> None:
    limits = bintrio.SharedLimits()
    refused, asked = await strain(limits.account, 240)
    assert refused == 0
    assert sorted(asked.values())[-3] >= 40  # whole minutes: 5 each, and 24 are kept for cancels


async def test_what_is_not_shared_is_refused(autojump_clock: MockClock) -> None:
    """So the exchange counts by account, and five orders each, sent before an answer came, are too many."""
    async with fleet(lambda owner: bintrio.SharedLimits().account(owner)) as (sandbox, (first, second, _)):
        for _ in range(10):
            sandbox.inject(LateReply(seconds=1, method="order.place"))
        async with trio.open_nursery() as nursery:
            for session in (first, second) * 5:
                nursery.start_soon(quietly, partial(session.send, ORDER))
        placed = [call.status for call in sandbox.calls if call.method == "order.place"]
        assert (placed.count(200), placed.count(429)) == (5, 5)


async def test_g12_a_ban_that_one_session_learns_of_holds_all(autojump_clock: MockClock) -> None:
    limits = bintrio.SharedLimits()
    async with fleet(limits.account) as (sandbox, (first, second, third)):
        sandbox.inject(TooManyRequests(method="ping", retry_after=30))
        with pytest.raises(bintrio.RateLimited):
            await third.ping()
        reached = len(sandbox.calls)
        for session in (first, second, third):
            with pytest.raises(bintrio.NotSent) as caught:
                await session.within(20).ping()
            assert session.hold is not None
            assert abs((caught.value.retry_at or 0) - (session.hold.retry_at or 0)) <= 1000
        assert len(sandbox.calls) == reached
        await trio.sleep(31)
        for session in (first, second, third):
            await session.ping()


async def test_g12_too_many_orders_of_one_account_hold_back_no_other(autojump_clock: MockClock) -> None:
    limits = bintrio.SharedLimits()
    async with fleet(limits.account) as (_, (first, second, third)):
        for _ in range(5):
            await first.send(ORDER)
        with pytest.raises(bintrio.NotSent):
            await second.within(5).send(ORDER)
        await third.within(5).send(ORDER)
        assert [limit.count for limit in third.order_counts] == [1, 1]
        assert [limit.count for limit in second.order_counts] == [5, 5]
        assert first.request_weight == third.request_weight
