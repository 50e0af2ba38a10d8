"""``bintrio watch``: on a sandbox of its own, on an endpoint, with and without a key."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.cli import watch
from bintrio.cli._scene import Memory, Scene
from bintrio.cli._trader import trade
from bintrio.sandbox import RandomWalk, ServerError, open_sandbox
from tests.cli.program import run


def test_without_an_endpoint_there_is_a_sandbox_in_which_somebody_trades() -> None:
    result = run("watch", "--count", "2", "--interval", "0.3")
    assert result.exit_code == 0, result.output
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert first["endpoint"] == second["endpoint"] == "sandbox"
    assert second["account"]["orders"]
    assert second["at"] > first["at"]


def test_on_a_terminal_it_is_a_picture() -> None:
    result = run(
        "watch", "--count", "1", env={"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "130", "LINES": "50"}
    )
    assert result.exit_code == 0, result.output
    assert "\x1b[?1049h" in result.stdout
    assert "what happened" in result.stdout
    assert result.stdout.endswith("\x1b[?25h\x1b[?1049l"), "the terminal is as it was"


def test_json_may_be_asked_for_on_a_terminal() -> None:
    result = run("watch", "--count", "1", "--json", env={"FORCE_COLOR": "1"})
    assert json.loads(result.stdout)["losses"] == 0


def test_an_endpoint_with_a_key_is_watched(environment: dict[str, str]) -> None:
    result = run("watch", "--count", "1", env=environment)
    assert result.exit_code == 0, result.output
    scene = json.loads(result.stdout)
    assert scene["endpoint"] in environment["BINTRIO_ENDPOINT"]
    assert scene["account"]["balances"][0]["asset"] == "BNB"


def test_an_endpoint_without_a_key_is_watched_without_an_account(environment: dict[str, str]) -> None:
    result = run("watch", "--count", "1", "--endpoint", environment["BINTRIO_ENDPOINT"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["account"] is None


async def test_it_looks_until_it_is_cancelled(autojump_clock: MockClock) -> None:
    scenes = list[Scene]()
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, connect=sandbox.connect) as session,
    ):
        with trio.move_on_after(60.5) as scope:
            await watch.look_at(session, None, Memory(), watch.Rhythm(10, None), scenes.append)
    assert scope.cancelled_caught
    assert len(scenes) == 7


async def test_a_ping_that_fails_ends_nothing(autojump_clock: MockClock) -> None:
    memory = Memory()
    async with open_sandbox(listen=False) as sandbox:
        sandbox.inject(ServerError(method="ping", executed=False))
        async with bintrio.open_session(sandbox.endpoint, connect=sandbox.connect, observer=memory) as session:
            await watch.look_at(session, None, memory, watch.Rhythm(1, 5), lambda _: None)
    pings = {each.method: each.count for each in memory.round_trips.latencies()}["ping"]
    assert pings >= 4


async def test_changes_that_come_too_fast_are_passed_over(autojump_clock: MockClock) -> None:
    memory = Memory()
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
        session.account(history=1) as account,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(watch._note_changes, account, memory)
        await trio.sleep(10)
        order: dict[str, Any] = {"symbol": "BTCUSDT", "type": "LIMIT", "time_in_force": "GTC", "quantity": "0.01"}
        for price in ("64000", "63000"):
            await account.place(side="BUY", price=price, **order)
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
        assert len(account.orders) == 2
    assert memory.lines


async def test_changes_of_an_account_that_was_left_are_noted_to_the_last(autojump_clock: MockClock) -> None:
    memory = Memory()
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        async with session.account() as account:
            pass
        with trio.fail_after(1):
            await watch._note_changes(account, memory)


@pytest.mark.parametrize("seed", range(3))
async def test_the_trader_keeps_a_few_orders_and_trades(seed: int, autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False, market=RandomWalk(seed, interval=1)) as sandbox:
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
            with trio.move_on_after(300):
                await trade(session, random.Random(seed))
        orders = sandbox.orders
    assert 100 < len(orders) <= 150
    assert sum(order.is_open for order in orders) <= 6
    assert any(order.executed for order in orders)
