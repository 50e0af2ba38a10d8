"""The grid bot of the examples, in virtual time: it trades, and it survives what a storm does to its orders."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from decimal import Decimal
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio.rules import SymbolRules
from bintrio.sandbox import Disconnect, DropReply, ErrorReply, HalfOpen, LateReply, Sandbox, ServerError, open_sandbox

D = Decimal
T = TypeVar("T")
FILE: Final = Path(__file__).parent.parent / "examples" / "grid.py"
PRICE: Final = D(64000)


def _loaded() -> Any:
    spec = spec_from_file_location("example_grid", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example: Final = _loaded()
PLAN: Final = example.Plan()


@asynccontextmanager
async def trading() -> AsyncGenerator[tuple[Sandbox, Any], None]:
    """A grid that trades, on a sandbox."""
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
        session.account() as account,
    ):
        rules = SymbolRules.of(await session.exchange_info(symbol="BTCUSDT"), "BTCUSDT")
        grid = example.Grid(account, rules, PLAN)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(grid.run, PRICE)
            await trio.sleep(1)
            yield sandbox, grid
            nursery.cancel_scope.cancel()
        await trio.sleep(60)
        assert not account.orders
        assert not [order for order in sandbox.orders if order.is_open]
        assert account.is_current


def resting(sandbox: Sandbox) -> list[tuple[str, Decimal]]:
    return sorted((order.side, order.limit) for order in sandbox.orders if order.is_open)


def test_the_example_is_short() -> None:
    assert len(FILE.read_text("utf-8").splitlines()) <= 150


async def test_each_buy_is_sold_above_the_grid_and_bought_again(autojump_clock: MockClock) -> None:
    async with trading() as (sandbox, grid):
        levels = [PRICE * (1 - number * PLAN.step) for number in (1, 2, 3)]
        assert resting(sandbox) == sorted(("BUY", level) for level in levels)
        sandbox.fill(next(order for order in sandbox.orders if order.limit == levels[0]))
        await trio.sleep(1)
        sale = next(order for order in sandbox.orders if order.side == "SELL")
        assert sale.limit == PRICE
        assert sale.quantity == D("0.00099")  # the commission went off what was bought
        sandbox.fill(sale)
        await trio.sleep(1)
        assert grid.cycles == 1
        assert resting(sandbox) == sorted(("BUY", level) for level in levels)


async def test_after_a_lost_answer_no_more_is_sold_than_was_bought(autojump_clock: MockClock) -> None:
    async with trading() as (sandbox, _):
        # The highest first: no order of the bot may stand before one that is filled.
        for order in sorted(sandbox.orders, key=lambda order: order.limit, reverse=True):
            sandbox.disconnect()
            sandbox.fill(order)
            await trio.sleep(60)
        await trio.sleep(60)
        sales = [order.quantity for order in sandbox.orders if order.side == "SELL"]
    assert set(sales) == {D("0.00099")}


async def test_what_is_refused_is_tried_again(autojump_clock: MockClock) -> None:
    async with trading() as (sandbox, _):
        sandbox.withdraw("USDT", D(10**6) - 200)
        for order in sandbox.orders:
            if order.is_open:
                sandbox.inject(ServerError(method="order.place", executed=False))
        await trio.sleep(60)
        assert len(resting(sandbox)) == 3


@pytest.mark.parametrize("code", [-9999, -2035, -1013])
async def test_a_subscription_that_is_refused_for_now_does_not_end_the_grid(
    code: int, autojump_clock: MockClock
) -> None:
    async with trading() as (sandbox, grid):
        sandbox.inject(ErrorReply(method="userDataStream.subscribe", code=code, times=3))
        sandbox.end_events()
        await trio.sleep(1)
        sandbox.fill(max(sandbox.orders, key=lambda order: order.limit))
        await trio.sleep(60)
        sandbox.fill(next(order for order in sandbox.orders if order.side == "SELL"))
        await trio.sleep(1)
        assert grid.cycles == 1


@pytest.mark.untraced
@pytest.mark.parametrize("seed", range(5))
async def test_the_grid_survives_a_storm(seed: int, autojump_clock: MockClock) -> None:
    chance = random.Random(seed)
    async with trading() as (sandbox, _):
        for _ in range(40):
            method = chance.choice(("order.place", "order.status", None))
            sandbox.inject(
                chance.choice(
                    (
                        DropReply(method=method),
                        Disconnect(method=method, executed=chance.random() < 0.5),
                        LateReply(method=method, seconds=3),
                        ServerError(method=method, executed=chance.random() < 0.5),
                        HalfOpen(method=method),
                    )
                )
            )
            await trio.sleep(chance.choice((1, 20, 90)))
            # The first in line of one side: of a level it is the oldest, which comes first.
            buys = [order for order in sandbox.orders if order.is_open and order.side == "BUY"]
            sales = [order for order in sandbox.orders if order.is_open and order.side == "SELL"]
            first = [max(buys, key=lambda order: order.limit)] if buys else []
            first += [min(sales, key=lambda order: order.limit)] if sales else []
            if first:
                order = chance.choice(first)
                sandbox.fill(order, min(order.remaining, D("0.0005")))
            by_level = [order.limit for order in sandbox.orders if order.is_open and order.side == "BUY"]
            assert len(by_level) == len(set(by_level)), "an order was placed twice"
        await trio.sleep(900)
        await wait_all_tasks_blocked()
        assert len(resting(sandbox)) == PLAN.levels


@pytest.mark.untraced
@pytest.mark.parametrize("seed", [*range(4), 103, 155])
async def test_the_grid_survives_what_a_storm_draws(seed: int, autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False, storm=seed) as sandbox:
        assert sandbox.storm is not None
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
            await live_through(sandbox, session)
        assert sandbox.storm.doubled() == []


async def asked(question: Callable[[], Awaitable[T]]) -> T:
    """What is asked for in a storm may be refused, or have no answer."""
    while True:
        with suppress(bintrio.BintrioError):
            return await question()
        await trio.sleep(1)


async def live_through(sandbox: Sandbox, session: bintrio.Session) -> None:
    """A grid trades in the storm, and after it stands as it should; when it is left, it leaves nothing open."""
    rules = SymbolRules.of(await asked(partial(session.exchange_info, symbol="BTCUSDT")), "BTCUSDT")
    async with AsyncExitStack() as stack:
        account = await asked(lambda: stack.enter_async_context(session.account()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(example.Grid(account, rules, PLAN).run, PRICE)
            await trio.sleep(900)
            assert sandbox.storm is not None
            sandbox.storm.end()
            await trio.sleep(4000)
            assert len(resting(sandbox)) == PLAN.levels
            nursery.cancel_scope.cancel()
        assert not [order for order in sandbox.orders if order.is_open]
