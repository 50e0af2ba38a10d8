"""A scene on a terminal: a function of the scene alone."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from bintrio.cli._latency import latency_of
from bintrio.cli._scene import (
    News,
    Scene,
    SeenAccount,
    SeenBalance,
    SeenConnection,
    SeenFill,
    SeenHold,
    SeenLimit,
    SeenOrder,
)
from bintrio.cli._scene_view import rows_for, view

D = Decimal
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ORDER = SeenOrder(
    symbol="BTCUSDT",
    order_id=7,
    side="BUY",
    type="LIMIT_MAKER",
    price=D("64000.10000000"),
    quantity=D("0.5"),
    executed=D("1E-8"),
    status="NEW",
    time=MOMENT,
)
FILL = SeenFill(
    time=MOMENT,
    symbol="BTCUSDT",
    order_id=7,
    side="SELL",
    price=D(64001),
    quantity=D("0.25"),
    commission=D("0.0001"),
    commission_asset="BNB",
)
ACCOUNT = SeenAccount(
    is_current=True,
    as_of=MOMENT,
    balances=(SeenBalance(asset="USDT", free=D("12.50"), locked=D(0)),),
    orders=(ORDER,),
    fills=(FILL, replace(FILL, side=None, commission_asset=None)),
)
SCENE = Scene(
    endpoint="testnet",
    at=MOMENT,
    connection=SeenConnection(number=3, address="a.example", age=3725.4, is_logged_on=True, in_flight=2),
    connections=3,
    losses=1,
    clock_offset=-1.5,
    round_trip=12.25,
    limits=(SeenLimit(name="REQUEST_WEIGHT 1 MINUTE", used=300, limit=6000),),
    hold=None,
    latencies=(latency_of("time", [0.001]), latency_of("order.place", [0.01, 0.02])),
    account=ACCOUNT,
    news=(News(time=MOMENT, words="connection 3 is ready [sic]"),),
)


def drawn(scene: Scene, *, width: int = 130, color: bool = False) -> str:
    console = Console(
        width=width, file=io.StringIO(), force_terminal=color, color_system="truecolor" if color else None
    )
    with console.capture() as captured:
        console.print(view(scene))
    return captured.get()


def words(scene: Scene, **options: Any) -> str:
    """Without the lines of frames, and with one blank between words."""
    return " ".join(drawn(scene, **options).replace("│", " ").split())


def test_all_of_a_scene_is_drawn() -> None:
    text = drawn(SCENE)
    for part in (
        "testnet",
        "2026-01-02 03:04:05",
        "3, to a.example",
        "1:02:05",
        "3, of which 1 were lost",
        "-1.500 ms from here",
        "12.250 ms",
        "300 of 6000",
        "64000.1 ",
        "0.00000001",
        "12.5 ",
        "0.0001 BNB",
        "connection 3 is ready [sic]",
        "current",
    ):
        assert part in text
    rows = text.splitlines()
    assert next(row for row in rows if "order.place" in row).split("│")[1].split() == [
        *("order.place", "2", "10.0", "20.0", "20.0", "20.0")
    ]
    methods = [row.split()[1] for row in rows if row.startswith(("│ order.place", "│ time    "))]
    assert methods[-2:] == ["order.place", "time"], "the method that is called most comes first"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"connection": None}, "none: the session is trying to open one"),
        ({"hold": SeenHold(reason="ping: 429 -1003 too much", until=MOMENT)}, "until 2026-01-02 03:04:05"),
        ({"hold": SeenHold(reason="ping: 429 -1003 too much", until=None)}, "too much"),
        ({"limits": ()}, "not known yet"),
        ({"latencies": ()}, "none yet"),
        ({"news": ()}, "nothing yet"),
        ({"account": None}, "no key was given"),
        ({"account": replace(ACCOUNT, is_current=False)}, "as of 2026-01-02 03:04:05"),
        ({"account": replace(ACCOUNT, is_current=False, as_of=None)}, "being asked for"),
        ({"account": replace(ACCOUNT, orders=())}, "none"),
        ({"account": replace(ACCOUNT, orders=(replace(ORDER, type=None, price=None),))}, "buy ? ? 0.00000001 0.5"),
        ({"account": replace(ACCOUNT, orders=(ORDER,) * 11)}, "and 3 more"),
    ],
)
def test_what_is_out_of_the_ordinary_is_said(changes: dict[str, Any], said: str) -> None:
    assert said not in words(replace(SCENE, hold=None)) or said == "none"
    assert said in words(replace(SCENE, **changes), width=300)


def test_a_budget_that_is_nearly_used_up_is_red() -> None:
    def bar(used: int) -> str:
        scene = replace(SCENE, limits=(SeenLimit(name="ORDERS 1 DAY", used=used, limit=10),))
        return next(row for row in drawn(scene, color=True).splitlines() if "orders 1 day" in row)

    assert "\x1b[31m━" in bar(9)
    assert "\x1b[32m━" in bar(8)


@pytest.mark.parametrize(("width", "beside"), [(130, True), (80, False)])
def test_on_a_narrow_terminal_the_account_is_below(width: int, beside: bool) -> None:
    rows = drawn(SCENE, width=width).splitlines()
    assert all(len(row) <= width for row in rows)
    assert any("─ session ─" in row and "─ balances ─" in row for row in rows) is beside


@pytest.mark.parametrize("height", range(26, 100, 7))
def test_all_of_it_finds_room(height: int) -> None:
    full = replace(SCENE, news=SCENE.news * 50, account=replace(ACCOUNT, orders=(ORDER,) * 50, fills=(FILL,) * 50))
    console = Console(width=130, file=io.StringIO())
    with console.capture() as captured:
        console.print(view(full, rows=rows_for(height)))
    assert len(captured.get().splitlines()) <= height
