"""What ``bintrio watch`` sees of a session and its account, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.account import LiveAccount
from bintrio.api._missing import incomplete
from bintrio.api.events import ExecutionReport
from bintrio.cli._scene import Memory, Scene, scene_as_json, scene_of
from bintrio.sandbox import Disconnect, Sandbox, TooManyRequests, open_sandbox
from tests.account.test_lacking import REPORT

D = Decimal


@asynccontextmanager
async def seen(**options: Any) -> AsyncGenerator[tuple[Sandbox, bintrio.Session, LiveAccount, Memory]]:
    memory = Memory()
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(
            sandbox.endpoint, key=sandbox.key, connect=sandbox.connect, observer=memory, **options
        ) as session,
        session.account() as account,
    ):
        yield sandbox, session, account, memory


async def read(account: LiveAccount, memory: Memory) -> None:
    async for change in account.changes():
        memory.note(change)


async def place(account: LiveAccount) -> Any:
    return await account.place(
        symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="64000", quantity="0.01"
    )


@pytest.mark.parametrize("time_unit", ["ms", "us"])
async def test_a_scene_has_all_that_there_is(time_unit: str, autojump_clock: MockClock) -> None:
    async with seen(time_unit=time_unit) as (sandbox, session, account, memory), trio.open_nursery() as nursery:
        nursery.start_soon(read, account, memory)
        await trio.sleep(10)
        sandbox.fill((await place(account)).state and next(iter(sandbox.orders)), D("0.004"))
        await place(account)
        await trio.sleep(5)
        scene = scene_of(session, account, memory)
        nursery.cancel_scope.cancel()
    assert scene.endpoint == "sandbox"
    assert scene.at == datetime(2026, 1, 1, 0, 0, 15, tzinfo=UTC)
    assert scene.connection is not None
    assert (scene.connection.number, scene.connection.age, scene.connection.is_logged_on) == (1, 15, True)
    assert (scene.connections, scene.losses, scene.hold) == (1, 0, None)
    weight, per_ten, per_day = scene.limits
    assert weight.name == "REQUEST_WEIGHT 1 MINUTE"
    assert 0 < weight.used < weight.limit == 6000
    assert (per_ten.name, per_day.name) == ("ORDERS 10 SECOND", "ORDERS 1 DAY")
    assert per_day.used == 1, "an order that has traded does not count"
    assert {"time", "account.status", "order.place"} <= {each.method for each in scene.latencies}
    assert scene.account is not None
    assert scene.account.is_current
    assert scene.account.as_of == scene.at
    assert [each.asset for each in scene.account.balances] == sorted(each.asset for each in scene.account.balances)
    newer, older = scene.account.orders
    assert newer.order_id > older.order_id
    assert (older.symbol, older.side, older.type, older.status) == ("BTCUSDT", "BUY", "LIMIT", "PARTIALLY_FILLED")
    assert (older.price, older.quantity, older.executed) == (D(64000), D("0.01"), D("0.004"))
    assert older.time == datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)
    (fill,) = scene.account.fills
    assert (fill.order_id, fill.side, fill.price, fill.quantity) == (older.order_id, "BUY", D(64000), D("0.004"))
    assert (fill.commission, fill.commission_asset) == (D("0.000004"), "BTC")
    words = [each.words for each in scene.news]
    assert f"order {older.order_id} BUY BTCUSDT PARTIALLY_FILLED, 0.004 of 0.01 at 64000, by event" in words
    assert "the account is current" in words
    assert words[-1].startswith("the session to ")
    assert [each.time for each in scene.news] == sorted((each.time for each in scene.news), reverse=True)


@pytest.mark.parametrize("lacking", [{"side", "order_type", "price", "order_creation_time"}, {"price"}, {"side"}])
async def test_g10_an_order_is_seen_without_what_the_exchange_leaves_out(
    autojump_clock: MockClock, lacking: set[str]
) -> None:
    came = {name: getattr(REPORT, name) for name in REPORT.__struct_fields__ if name not in lacking}
    async with seen() as (_, session, account, memory):
        before = account.version
        account._take(incomplete(ExecutionReport, "executionReport", came))
        for change in account._state.changes_after(before):
            memory.note(change)
        scene = scene_of(session, account, memory)
    side, price = ("side" in lacking, "price" in lacking)
    assert scene.account is not None
    (order,) = scene.account.orders
    assert (order.side, order.price) == (None if side else "BUY", None if price else 10)
    assert (order.type is None, order.time is None) == (len(lacking) > 1, len(lacking) > 1)
    assert scene.account.fills[0].side == order.side
    figures = f"1 of 2 at {'?' if price else 10}"
    assert scene.news[0].words == f"order 1 {'?' if side else 'BUY'} BTCUSDT PARTIALLY_FILLED, {figures}, by event"


async def test_a_line_of_json_has_the_whole_scene(autojump_clock: MockClock) -> None:
    async with seen() as (_, session, account, memory):
        scene = scene_of(session, account, memory)
    line = scene_as_json(scene)
    assert msgspec.json.decode(line, type=Scene) == scene
    assert '"at":"2026-01-01T00:00:00Z"' in line
    assert '"locked":"0.00000000"' in line


async def test_what_is_not_known_yet_is_said_to_be_so(autojump_clock: MockClock) -> None:
    async with seen() as (_, session, account, memory):
        at_first = scene_of(session, account, memory).account
        assert at_first is not None
        assert (at_first.is_current, at_first.as_of) == (False, None)


async def test_a_loss_is_seen(autojump_clock: MockClock) -> None:
    async with seen() as (sandbox, session, account, memory), trio.open_nursery() as nursery:
        nursery.start_soon(read, account, memory)
        await trio.sleep(10)
        sandbox.inject(Disconnect("ping", executed=False))
        nursery.start_soon(session.ping)
        await account.changed(after=account.version)
        scene = scene_of(session, account, memory)
        assert scene.account is not None
        assert not scene.account.is_current
        assert scene.account.as_of is not None
        assert scene.losses == 1
        await trio.sleep(10)
        words = [each.words for each in scene_of(session, account, memory).news]
        assert any(each.startswith("the account may lack something: ") for each in words)
        assert any("was lost" in each for each in words)
        nursery.cancel_scope.cancel()


async def test_no_connection_is_seen(autojump_clock: MockClock) -> None:
    async with seen() as (sandbox, session, account, memory):
        sandbox.disconnect()
        while session.connection is not None:
            await trio.lowlevel.checkpoint()
        assert scene_of(session, account, memory).connection is None


async def test_a_hold_is_seen(autojump_clock: MockClock) -> None:
    async with seen() as (sandbox, session, account, memory):
        sandbox.inject(TooManyRequests(method="ping", retry_after=30))
        with pytest.raises(bintrio.RateLimited):
            await session.ping()
        hold = scene_of(session, account, memory).hold
        assert hold is not None
        assert "429" in hold.reason
        assert hold.until is not None
        assert 25 < (hold.until - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds() < 35


async def test_without_an_account_the_session_is_seen(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, connect=sandbox.connect) as session,
    ):
        scene = scene_of(session, None, Memory())
    assert scene.account is None
    assert scene.connection is not None
    assert not scene.connection.is_logged_on
    assert not scene.latencies
    assert not scene.news
