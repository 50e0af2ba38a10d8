"""The walk itself: the same for a seed, within its limits, and as wide as it says."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import islice, pairwise
from statistics import pstdev
from typing import Any

import pytest

from bintrio._protocol.exact import in_exact
from bintrio.errors import InvalidRequest
from bintrio.sandbox.exchange.markets.market import Tick
from bintrio.sandbox.exchange.markets.random_walk import RandomWalk
from bintrio.sandbox.exchange.symbols import SYMBOLS, Symbol
from bintrio.sandbox.exchange.units import SECOND

D = Decimal
OTHERS = (Symbol(base="DOGE", quote="EUR"), Symbol(base="OLD", quote="EUR", status="BREAK"))


@in_exact
def walked(walk: RandomWalk, count: int, *symbols: Symbol) -> list[Tick]:
    return list(islice(walk.ticks({symbol.name: symbol for symbol in symbols}, 0), count))


def test_the_same_seed_gives_the_same_and_another_seed_another() -> None:
    ticks = walked(RandomWalk(5), 300, *SYMBOLS)
    assert walked(RandomWalk(5), 300, *SYMBOLS) == ticks
    assert walked(RandomWalk(6), 300, *SYMBOLS) != ticks
    walk = RandomWalk(5)
    assert walked(walk, 300, *SYMBOLS) == walked(walk, 300, *SYMBOLS) == ticks


def test_what_else_is_traded_does_not_change_a_walk() -> None:
    alone = walked(RandomWalk(5), 50, SYMBOLS[1])
    among = walked(RandomWalk(5), 500, *SYMBOLS)
    assert [tick for tick in among if tick.symbol == "ETHUSDT"][:50] == alone


def test_the_walk_is_what_it_was() -> None:
    """Worlds of users are made of seeds, so a walk may not change without a word in the changelog."""
    first, second = walked(RandomWalk(1), 2, SYMBOLS[0])
    assert (first.time, first.symbol, first.price, first.is_buyer_maker) == (0, "BTCUSDT", D(64_000), True)
    assert (second.time, second.price, second.is_buyer_maker) == (8_292_985, D("64013.358733093987"), False)


def test_no_context_of_a_program_changes_a_walk() -> None:
    ticks = walked(RandomWalk(5), 50, *SYMBOLS)
    with localcontext(prec=3):
        assert walked(RandomWalk(5), 50, *SYMBOLS) == ticks


def test_times_go_on_and_walks_start_where_they_are_told_to() -> None:
    ticks = walked(RandomWalk(interval=2, prices={"ETHUSDT": "3000"}), 400, *SYMBOLS, *OTHERS)
    assert all(a.time <= b.time for a, b in pairwise(ticks))
    firsts = {tick.symbol: tick.price for tick in reversed(ticks)}
    assert firsts == {"BTCUSDT": 100, "ETHUSDT": 3_000, "BNBBTC": 100, "DOGEEUR": 100}
    times = [tick.time for tick in ticks if tick.symbol == "DOGEEUR"]
    assert all(SECOND <= b - a <= 3 * SECOND for a, b in pairwise(times))


def test_the_volatility_is_that_of_a_day() -> None:
    ticks = walked(RandomWalk(3, "0.02", interval=864), 4_000, SYMBOLS[0])  # a hundredth of a day
    returns = [float(b.price / a.price) - 1 for a, b in pairwise(ticks)]
    assert pstdev(returns) == pytest.approx(0.002, rel=0.05)
    assert {tick.is_buyer_maker for tick in ticks} == {True, False}


def test_without_volatility_the_price_stands() -> None:
    assert {tick.price for tick in walked(RandomWalk(volatility=0), 50, SYMBOLS[0])} == {64_000}


def test_a_walk_stays_within_the_prices_that_are_allowed() -> None:
    narrow = Symbol(base="A", quote="B", min_price=D(99), max_price=D(101))
    prices = [tick.price for tick in walked(RandomWalk(1, 1, interval=3_600), 200, narrow)]
    assert min(prices) == 99
    assert max(prices) == 101
    free = Symbol(base="A", quote="B", min_price=D(0), max_price=D(0))
    assert all(tick.price > 0 for tick in walked(RandomWalk(1, 1, interval=86_400, prices={"AB": 0}), 200, free))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"volatility": 0.1}, "volatility"),
        ({"volatility": "-0.1"}, "volatility"),
        ({"volatility": "NaN"}, "volatility"),
        ({"volatility": "wide"}, "volatility"),
        ({"volatility": None}, "volatility"),
        ({"volatility": "1.1"}, "volatility"),
        ({"spread": "0.6"}, "spread"),
        ({"spread": True}, "spread"),
        ({"depth": 0}, "depth"),
        ({"depth": 1_001}, "depth"),
        ({"quantity": "Infinity"}, "quantity"),
        ({"interval": 0}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"prices": {"BTCUSDT": -1}}, "the price of BTCUSDT"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{field} must be") as refused:
        RandomWalk(**arguments)
    assert refused.value.field == field


def test_it_says_what_it_is() -> None:
    assert repr(RandomWalk(3)) == "RandomWalk(seed=3, volatility=0.02, spread=0.0001, depth=10)"
