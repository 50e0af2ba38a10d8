"""The small examples, in virtual time: each does on the sandbox what it says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import settings
from bintrio.account import LiveAccount
from bintrio.rules import SymbolRules
from bintrio.sandbox import Delay, Disconnect, RandomWalk, Sandbox, ServerError, open_sandbox

pytest_plugins = ["pytester"]

FOLDER: Final = Path(__file__).parent.parent / "examples"
D = Decimal


def example(name: str) -> Any:
    return SimpleNamespace(**run_path(str(FOLDER / f"{name}.py")))


@asynccontextmanager
async def trading(**options: Any) -> AsyncGenerator[tuple[Sandbox, bintrio.Session, LiveAccount]]:
    async with (
        open_sandbox(listen=False, **options) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
        session.account() as account,
    ):
        if not options:
            sandbox.quote("BTCUSDT", D(64_000), D(64_001), D(1))
        yield sandbox, session, account


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's settings lead to a sandbox in memory with a book."""
    open_session: Callable[..., Any] = bintrio.open_session

    @asynccontextmanager
    async def open_here(**options: Any) -> AsyncGenerator[bintrio.Session]:
        async with open_sandbox(listen=False) as sandbox:
            sandbox.quote("BTCUSDT", D(64_000), D(64_001), D(1))
            led = {**options, "endpoint": sandbox.endpoint, "connect": sandbox.connect, "key": sandbox.key}
            async with open_session(**led) as session:
                await session.order_place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
                yield session

    monkeypatch.setattr(settings, "open_session", open_here)


# OCO protection


@asynccontextmanager
async def protecting() -> AsyncGenerator[tuple[Sandbox, Any, Callable[[], Any]]]:
    """The example at work; the last of three gives its result."""
    protect = example("protect")
    async with trading() as (sandbox, session, account), trio.open_nursery() as nursery:
        rules = SymbolRules.of(await session.exchange_info(symbol="BTCUSDT"), "BTCUSDT")
        results = list[Any]()

        async def work() -> None:
            results.append(await protect.trade_protected(account, rules, protect.Plan()))

        nursery.start_soon(work)
        yield sandbox, protect, lambda: results[0]


async def test_a_profit_is_taken(autojump_clock: MockClock) -> None:
    async with protecting() as (sandbox, _, result):
        await trio.sleep(10)
        above, below = sorted((order for order in sandbox.orders if order.is_open), key=lambda order: order.type)
        assert (above.type, above.limit) == ("LIMIT_MAKER", D("64641.01"))
        assert below.type == "STOP_LOSS"
        assert above.quantity == below.quantity == D("0.00099"), "the commission went off what was bought"
        sandbox.fill(above)
        await trio.sleep(10)
    assert result().how == "profit"
    assert result().paid == D("64.001")
    assert result().got == D("64641.01") * D("0.00099")
    assert not [order for order in sandbox.orders if order.is_open]


async def test_a_loss_is_limited(autojump_clock: MockClock) -> None:
    async with protecting() as (sandbox, _, result):
        await trio.sleep(10)
        sandbox.quote("BTCUSDT", D(63_000), D(63_001), D(1))
        sandbox.trade("BTCUSDT", "SELL", D(63_000), D("0.001"))
        await trio.sleep(10)
    assert result().how == "loss"
    assert result().got < result().paid
    assert not [order for order in sandbox.orders if order.is_open]


async def test_a_lost_answer_leaves_nothing_unprotected(autojump_clock: MockClock) -> None:
    async with protecting() as (sandbox, _, result):
        sandbox.inject(Disconnect("order.place", executed=True))
        sandbox.inject(Disconnect("orderList.place.oco", executed=True))
        await trio.sleep(60)
        (above,) = (order for order in sandbox.orders if order.is_open and order.type == "LIMIT_MAKER")
        sandbox.fill(above)
        await trio.sleep(60)
    assert result().how == "profit"
    assert len(sandbox.orders) == 3, "nothing was sent twice"


async def test_where_the_protection_is_refused_it_is_sold(autojump_clock: MockClock) -> None:
    async with protecting() as (sandbox, _, result):
        sandbox.inject(Delay("orderList.place.oco", seconds=1))
        await trio.sleep(0.5)
        sandbox.quote("BTCUSDT", D(60_000), D(60_001), D(1))
        sandbox.trade("BTCUSDT", "SELL", D(60_000), D("0.001"))
        await trio.sleep(60)
    assert result().how == "refused"
    assert result().got == 60_000 * D("0.00099")
    assert not [order for order in sandbox.orders if order.is_open]


async def test_what_was_not_bought_is_not_protected(autojump_clock: MockClock) -> None:
    protect = example("protect")
    async with trading() as (sandbox, session, account):
        rules = SymbolRules.of(await session.exchange_info(symbol="BTCUSDT"), "BTCUSDT")
        sandbox.inject(ServerError(method="order.place", executed=False))
        assert await protect.trade_protected(account, rules, protect.Plan()) is None


# Alerts


async def test_alerts_come_in_order_also_of_what_was_missed(autojump_clock: MockClock) -> None:
    alerts, sent = example("alerts"), list[str]()

    async def send(message: str) -> None:
        await trio.sleep(3)  # a chat, say
        sent.append(message)

    async with trading() as (sandbox, session, account), trio.open_nursery() as nursery:
        nursery.start_soon(alerts.alert, account, send)
        await trio.sleep(10)
        for _ in range(2):
            await session.order_place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
        resting = await session.order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="63000", quantity="0.02"
        )
        await trio.sleep(30)
        sandbox.disconnect()
        sandbox.fill(resting.order_id)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert sent[:3] == ["nothing is missing any more", *["BUY 0.01000000 BTCUSDT at 64001.00000000"] * 2]
    assert sent[3].startswith("fills may be missing: ")
    assert sent[4:] == ["BUY 0.02000000 BTCUSDT at 63000.00000000 (found by query)", "nothing is missing any more"]


# Watching


async def test_watching_prints_what_the_account_is_worth(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = example("watch")
    async with trading() as (sandbox, session, account):
        sandbox.trade("BTCUSDT", "BUY", D(64_001), D("0.001"))
        with trio.move_on_after(17):
            await watch.watch(session, account)
        sandbox.inject(ServerError(method="ticker.price", executed=False))
        with trio.move_on_after(7):
            await watch.watch(session, account)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert "(some changes may be missing)" in lines[0]
    assert lines[1].startswith("00:00:05  7400100.00 USDT, 0 open orders, connection 1, round trip 0.0 ms, weight ")
    assert "ticker.price" in lines[4]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["watch", "alerts"])
async def test_a_program_runs_until_it_is_ended(
    name: str, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    with trio.move_on_after(20) as scope:
        await example(name).main()
    assert scope.cancelled_caught
    assert capsys.readouterr().out


@pytest.mark.usefixtures("here")
async def test_a_position_stays_protected_when_its_program_ends(autojump_clock: MockClock) -> None:
    with trio.move_on_after(20) as scope:
        await example("protect").main()
    assert scope.cancelled_caught


# History to a chart


async def test_a_chart_has_prices_and_own_trades(
    autojump_clock: MockClock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chart = example("chart")
    async with open_sandbox(listen=False, market=RandomWalk(seed=1, interval=600)) as sandbox:
        sandbox.advance(4 * 86_400)
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
            for side in ("BUY", "SELL", "SELL"):
                await session.order_place(symbol="BTCUSDT", side=side, type="MARKET", quantity="0.01")
            klines, trades = await chart.read(session)
    assert len(klines) == 3 * 288 + 1
    assert [trade.is_buyer for trade in trades] == [True, False, False]
    chart.draw(klines, trades, tmp_path / "chart.svg")
    drawn = (tmp_path / "chart.svg").read_text("utf-8")
    assert "PathCollection" in drawn
    assert "sold: 2" in drawn
    assert capsys.readouterr().err.endswith("\r100%")


@pytest.mark.usefixtures("here")
async def test_the_chart_is_a_program(autojump_clock: MockClock, tmp_path: Path) -> None:
    await example("chart").main(tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


# A storm


@pytest.mark.untraced
def test_the_bot_withstands_storms(pytester: pytest.Pytester) -> None:
    name = "test_in_a_storm.py"
    (pytester.path / name).write_text((FOLDER / name).read_text("utf-8"))
    pytester.makeconftest('pytest_plugins = ["bintrio.pytest_plugin"]')
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=10)


# All of them


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_is_short_and_linked_from_a_how_to(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 150
    pages = "".join(page.read_text("utf-8") for page in (FOLDER.parent / "docs" / "how-to").glob("*.md"))
    assert f"(../../examples/{file.name})" in pages
