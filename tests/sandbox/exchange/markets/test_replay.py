"""Recorded klines and trades, in every form in which they come."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bintrio.api.market import AggregateTrade, Kline, Trade
from bintrio.errors import InvalidRequest
from bintrio.sandbox.exchange.candles import candles, interval
from bintrio.sandbox.exchange.markets.replay import Replay
from bintrio.sandbox.exchange.units import SECOND

from .world import START, World

D = Decimal
BEGAN = 1_609_459_200_000
"""2021-01-01, in milliseconds."""

KLINES = (
    f"{BEGAN},100.00,110.00,90.00,105.00,8.00000000,{BEGAN + 59_999},800.0,21,4.0,400.0,0\n"
    f"{BEGAN + 60_000},105.00,106.00,80.00,85.00,4.00000000,{BEGAN + 119_999},380.0,7,1.0,95.0,0\n"
    f"{BEGAN + 120_000},85.00,85.00,85.00,85.00,0.00000000,{BEGAN + 179_999},0,0,0,0,0\n"
)
TRADES = (
    f"51175358,100.00,1.00000000,100.00000000,{BEGAN}000,True,True\n"
    f"51175359,101.00,2.00000000,202.00000000,{BEGAN + 1_500}000,False,True\n"
)
AGGREGATES = f"0,100.00,1.00000000,0,0,{BEGAN},true,True\n1,101.00,2.00000000,1,3,{BEGAN + 1_500},false,True\n"


def kline(time: int, *prices: str, volume: str = "8") -> Kline:
    opened, high, low, closed = map(D, prices)
    return Kline(time, opened, high, low, closed, D(volume), time + 59_999, D(0), 4, D(0), D(0), "0")


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_trades_come_at_their_pace_from_the_start_on(tmp_path: Path) -> None:
    file = tmp_path / "BTCUSDT-trades-2021-01.csv"
    for name, text in (("trades", TRADES), ("aggTrades", AGGREGATES)):
        file = tmp_path / f"BTCUSDT-{name}-2021-01.csv"
        file.write_text(text)
        world = World(Replay(file))
        world.look(1)
        assert world.trades() == [(0, 100, 1)]
        world.look(2)
        assert world.trades() == [(0, 100, 1), (1.5, 101, 2)]
        tape = world.exchange.engine.listings["BTCUSDT"].tape
        assert [trade.is_buyer_maker for trade in tape.trades] == [True, False]
        bids, asks = world.levels()
        assert (len(bids), len(asks), asks[0]) == (10, 10, (101, 1))


def test_klines_come_out_as_they_went_in() -> None:
    world = World(Replay(lines(KLINES), "BTCUSDT"))
    world.look(180)
    assert [(price, quantity) for _, price, quantity in world.trades()] == [
        *((100, 2), (90, 2), (110, 2), (105, 2)),
        *((105, 1), (106, 1), (80, 1), (85, 1)),
    ]
    assert [seconds for seconds, *_ in world.trades()][:4] == [0, 14.99975, 29.9995, 44.99925]
    tape = world.exchange.engine.listings["BTCUSDT"].tape
    found: Any = candles(tape, interval("1m"), START + 179 * SECOND, start=None, end=None, limit=3)
    assert [(each.open, each.high, each.low, each.close, each.volume) for each in found] == [
        (100, 110, 90, 105, 8),
        (105, 106, 80, 85, 4),
        (85, 85, 85, 85, 0),
    ]


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(9_000, 11_000), min_size=4, max_size=4), st.integers(0, 10**7)),
        min_size=1,
        max_size=4,
    )
)
def test_every_kline_has_its_prices_and_its_volume(bars: list[tuple[list[int], int]]) -> None:
    made: list[Kline] = []
    for number, (cents, volume) in enumerate(bars):
        a, b = (D(each) / 100 for each in cents[:2])
        prices = (a, max(map(D, cents)) / 100, min(map(D, cents)) / 100, b)
        made.append(kline(BEGAN + 60_000 * number, *map(str, prices), volume=str(D(volume + 10**6) / 10**5)))
    world = World(Replay(made, "BTCUSDT"))
    world.look(60 * len(made))
    tape = world.exchange.engine.listings["BTCUSDT"].tape
    found: Any = candles(tape, interval("1m"), START + (60 * len(made) - 1) * SECOND, start=None, end=None, limit=8)
    for ours, theirs in zip(found, made, strict=True):
        assert (ours.open, ours.high, ours.low, ours.close) == (theirs.open, theirs.high, theirs.low, theirs.close)
        assert ours.volume == theirs.volume


def test_records_lists_and_lines_are_the_same() -> None:
    trade = Trade(id=1, price=D(100), qty=D(1), quote_qty=D(100), time=BEGAN, is_buyer_maker=True, is_best_match=True)
    aggregate = AggregateTrade(
        id=1,
        price=D(100),
        quantity=D(1),
        first_trade_id=1,
        last_trade_id=1,
        time=BEGAN * 1_000,
        is_buyer_maker=True,
        is_best_match=True,
    )
    columns = [1, D(100), D(1), D(100), BEGAN, True, True]
    for row in (trade, aggregate, columns, lines(TRADES)[0]):
        world = World(Replay([row], "BTCUSDT"))
        assert world.trades() == [(0, 100, 1)]
    bar = kline(BEGAN, "100", "110", "90", "105")
    first, second = (World(Replay([row], "BTCUSDT")) for row in (bar, lines(KLINES)[0]))
    first.look(60)
    second.look(60)
    assert first.trades() == second.trades()


def test_an_archive_is_read_as_its_file(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-1m-2021-01.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr("BTCUSDT-1m-2021-01.csv", KLINES)
    world = World(Replay(str(path)))
    world.look(180)
    assert len(world.trades()) == 8


def test_names_of_columns_and_blank_lines_are_passed_over() -> None:
    replay = Replay(["id,price,qty,quote_qty,time,is_buyer_maker,is_best_match", "", *lines(TRADES)], "BTCUSDT")
    assert replay.start_time_ms == BEGAN
    world = World(replay)
    assert world.trades() == [(0, 100, 1)]


def test_it_can_be_played_twice() -> None:
    replay = Replay(iter(lines(TRADES)), "BTCUSDT")
    for _ in range(2):
        world = World(replay)
        world.look(2)
        assert len(world.trades()) == 2


def test_times_that_go_back_stand_still() -> None:
    world = World(Replay([*reversed(lines(AGGREGATES))], "BTCUSDT"))
    assert [seconds for seconds, *_ in world.trades()] == [0, 0]


@pytest.mark.parametrize(
    "row",
    [
        "1,2,3",
        "1,x,1,1,1,True,True",
        "1,1,-1,1,1,True,True",
        "1,NaN,1,1,1,True,True",
        "1,1,1,1,noon,True,True",
        "1,1,1,1,1,perhaps,True",
        ["a", "b"],
    ],
)
def test_a_row_of_no_kind_is_named(row: Any) -> None:
    replay = Replay([lines(TRADES)[0], row], "BTCUSDT")
    with pytest.raises(InvalidRequest, match=r"row 2 of .* is no kline \(12 columns\), trade"):
        World(replay)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="symbol='BTCUSDT'"):
        Replay([])
    with pytest.raises(InvalidRequest, match="is empty"):
        World(Replay([], "BTCUSDT"))
    with pytest.raises(InvalidRequest, match="'DOGEEUR' is not among the sandbox's symbols: BTCUSDT"):
        World(Replay(lines(TRADES), "DOGEEUR"))
    with pytest.raises(FileNotFoundError):
        World(Replay(tmp_path / "BTCUSDT-1m.csv"))


def test_it_says_what_it_is() -> None:
    assert repr(Replay([], "BTCUSDT")) == "Replay('0 rows', symbol='BTCUSDT')"
    assert repr(Replay("a/BTCUSDT-1m.csv")) == "Replay('a/BTCUSDT-1m.csv', symbol='BTCUSDT')"
