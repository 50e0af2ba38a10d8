"""``bintrio history``: on a sandbox with a market, as JSON, table, CSV and chart."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

import bintrio
from bintrio import settings
from bintrio.api.account import AccountTrade, Order
from bintrio.cli import history
from bintrio.cli._rows import table_of
from bintrio.history import History
from bintrio.requests import OrderPlace
from bintrio.sandbox import RandomWalk, open_sandbox
from tests.cli.program import refused, run

DAY = ("start_time=2026-01-02", "end_time=2026-01-02T23:59")
TRADE = AccountTrade(
    symbol="BTCUSDT",
    id=1,
    order_id=7,
    order_list_id=-1,
    price=Decimal(64_000),
    qty=Decimal("0.01"),
    quote_qty=Decimal(640),
    commission=Decimal("0.00001"),
    commission_asset="BTC",
    time=1_767_312_000_000,
    is_buyer=True,
    is_maker=False,
    is_best_match=True,
)
BUY = OrderPlace(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every session leads to a sandbox in memory, which has been there for two days, and where one order was placed."""
    open_session: Callable[..., Any] = bintrio.open_session

    @asynccontextmanager
    async def open_here(*, endpoint: object, **options: Any) -> AsyncGenerator[bintrio.Session]:
        async with open_sandbox(listen=False, market=RandomWalk(seed=1, interval=600)) as sandbox:
            sandbox.advance(2 * 86_400)
            assert endpoint is not None
            here = {**options, "connect": sandbox.connect, "key": sandbox.key, "proxy": None}
            async with open_session(sandbox.endpoint, **here) as session:
                await session.send(BUY)
                yield session

    monkeypatch.setattr(settings, "open_session", open_here)


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize("symbol", ["BTCUSDT", "symbol=BTCUSDT"])
def test_without_a_terminal_there_is_a_line_of_json_for_each_row(symbol: str) -> None:
    result = run("history", "klines", symbol, "interval=1m", *DAY)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == list(range(1767312000000, 1767398400000, 60_000))


@pytest.mark.usefixtures("market")
def test_on_a_terminal_the_newest_rows_are_a_table() -> None:
    wide = {"FORCE_COLOR": "1", "COLUMNS": "220"}
    result = run("history", "klines", "BTCUSDT", "interval=1m", *DAY, env=wide)
    assert result.exit_code == 0, result.output
    assert "the last 20 of 1440" in result.stdout
    assert "2026-01-02 23:59:00.000" in result.stdout
    assert "2026-01-02 23:39:00.000" not in result.stdout
    assert "1440 rows" in result.stderr


@pytest.mark.usefixtures("market")
def test_on_a_terminal_nothing_is_shown_of_nothing() -> None:
    result = run(
        "history",
        "klines",
        "BTCUSDT",
        "interval=1m",
        "start_time=2020-01-01",
        "end_time=2020-01-02",
        env={"FORCE_COLOR": "1"},
    )
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.usefixtures("market")
def test_csv_has_iso_dates_and_every_digit(tmp_path: Path) -> None:
    file = tmp_path / "klines.csv"
    result = run("history", "klines", "BTCUSDT", "interval=1h", *DAY, "--csv", str(file))
    assert (result.exit_code, result.stdout) == (0, "")
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert len(rows) == 24
    assert rows[0]["open_time"] == "2026-01-02T00:00:00Z"
    assert rows[0]["close_time"] == "2026-01-02T00:59:59.999000Z"
    assert "unused" not in rows[0]
    assert float(rows[0]["low"]) <= float(rows[0]["close"]) <= float(rows[0]["high"])


@pytest.mark.usefixtures("market")
def test_csv_of_the_account(tmp_path: Path, environment: dict[str, str]) -> None:
    file = tmp_path / "orders.csv"
    result = run("history", "allOrders", "BTCUSDT", "--csv", str(file), env=environment)
    assert result.exit_code == 0, result.output
    (row,) = csv.DictReader(file.read_text().splitlines())
    assert (row["status"], row["executed_qty"], row["is_working"], row["strategy_id"]) == ("FILLED", "0.01", "true", "")


def test_a_table_has_what_a_row_has() -> None:
    assert "order_id" in shown([], Order, width=400)


def shown(rows: list[Any], kind: type[msgspec.Struct], *, width: int) -> str:
    console = Console(width=width, record=True, file=None)
    with console.capture() as captured:
        console.print(table_of(rows, kind, "ms", console, "--csv FILE"))
    return captured.get()


def trade(number: int) -> AccountTrade:
    return msgspec.structs.replace(TRADE, id=number, time=1_767_312_000_000 + number, price=Decimal(64_000 + number))


def test_a_table_has_whole_cells_and_names_the_columns_that_found_no_room() -> None:
    text = shown([trade(number) for number in range(30)], AccountTrade, width=60)
    assert text.split()[:3] == ["time", "id", "price"]
    assert "64029" in text
    assert "64009" not in text
    below = " ".join(text.split())
    assert "the last 20 of 30" in below
    assert "in each row: symbol BTCUSDT, order_id 7, order_list_id -1, qty 0.01" in below
    assert "no room" not in below


def test_what_is_the_same_in_each_row_is_a_column_if_there_is_one_row() -> None:
    text = shown([TRADE], AccountTrade, width=60)
    assert "in each row" not in text
    below = " ".join(text.split())
    assert "no room for" in below
    assert "order_list_id, quote_qty, commission, commission_asset" in below
    table = text.partition("no room")[0]
    assert all(name in table for name in ("time", "symbol", "order_id", "price", "qty"))


def test_a_column_that_no_row_has_is_not_shown() -> None:
    text = shown([msgspec.structs.replace(TRADE, commission_asset=None)], AccountTrade, width=400)
    assert "commission_asset" not in text
    assert "commission " in text


def test_the_narrowest_table_has_one_column() -> None:
    assert " id " not in shown([trade(1), trade(2)], AccountTrade, width=12).partition("no room")[0]


# Charts


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize("method", [("klines", "interval=1h", *DAY), ("trades.aggregate", *DAY)])
@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_chart_is_drawn(method: tuple[str, ...], ending: str, tmp_path: Path) -> None:
    picture = tmp_path / f"chart.{ending}"
    name, *rest = method
    result = run("history", name, "BTCUSDT", *rest, "--plot", str(picture))
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    drawn = picture.read_bytes()
    assert drawn.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    assert ending == "png" or b"line2d" in drawn


def test_a_chart_needs_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: dict[str, Any] = {}
    monkeypatch.setattr(importlib.util, "find_spec", nothing.get)
    result = run("history", "klines", "BTCUSDT", "--plot", "a.svg")
    assert result.exit_code == 2
    assert "this needs matplotlib: pip install 'bintrio[plot]'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("depth", "BTCUSDT"), "'depth' does not page; these do: "),
        (("kline", "BTCUSDT"), "'kline' does not page; did you mean 'klines'?"),
        (("klines", "BTCUSDT"), "klines: interval is missing"),
        (("klines", "BTCUSDT", "interval=1m"), "start_time says where to begin"),
        (("klines", "BTCUSDT", "ETHUSDT"), "'ETHUSDT' is not NAME=VALUE"),
        (("klines", "btcusdt", "interval=1m"), "did you mean 'BTCUSDT'?"),
        (("myTrades", "BTCUSDT"), "myTrades needs a key"),
        (("allOrderLists", "--plot", "a.svg"), "there is no chart of OrderList"),
        (("klines", "BTCUSDT", "--plot", "a.txt"), "--plot takes a file that ends in .pdf, .png, .svg, not 'a.txt'"),
    ],
)
@pytest.mark.usefixtures("market")
def test_what_cannot_be_read_is_refused(arguments: tuple[str, ...], said: str) -> None:
    assert said in refused("history", *arguments)


def test_every_method_of_a_history_can_be_read() -> None:
    assert set(history.READABLE) == {name for name in vars(History) if not name.startswith("_")}
