"""What a command costs does not grow with what there is: counted in calls of functions, and not in time."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from bintrio.sandbox.exchange.candles import DAY
from bintrio.sandbox.exchange.orders import Order, Trade
from bintrio.sandbox.exchange.tape import MINUTE, Tape

from .hall import D, Hall


def calls_of(action: Callable[[], Any]) -> int:
    """How many functions are called, of Python and of C; a collection of garbage would add its own."""
    count = 0

    def note(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    former = sys.getprofile()
    gc.disable()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(former)
        gc.enable()
    return count


def level_of(number: int) -> Hall:
    """So many small orders to sell at one price, and one for more behind them."""
    hall = Hall()
    hall.account(2).receive("BTC", D(number))
    for _ in range(number - 1):
        hall.place(2, side="SELL", quantity="0.1")
    hall.place(3, side="SELL", quantity="50")
    hall.engine.take_notices()
    return hall


@pytest.mark.parametrize(
    "changes",
    [
        {"side": "SELL"},
        {"price": "9"},
        {"quantity": "0.1"},
        {"quantity": "0.1", "self_trade_prevention_mode": "EXPIRE_MAKER"},
        {"quantity": "0.1", "time_in_force": "FOK", "self_trade_prevention_mode": "EXPIRE_MAKER"},
        {"quantity": "0.1", "time_in_force": "FOK"},
        {"quantity": "0.1", "type": "MARKET"},
    ],
    ids=str,
)
def test_an_order_costs_the_same_however_many_are_in_a_level(
    changes: dict[str, Any], levels: tuple[Hall, Hall]
) -> None:
    costs: list[int] = []
    for hall in levels:
        hall.place(**changes)  # what is kept of a first time is there
        costs.append(calls_of(partial(hall.place, **changes)))
    assert costs[0] == costs[1]


@pytest.fixture(scope="module")
def levels() -> tuple[Hall, Hall]:
    return level_of(20), level_of(10_000)


def test_an_order_is_canceled_at_the_same_cost_however_many_are_in_its_level(levels: tuple[Hall, Hall]) -> None:
    costs: list[int] = []
    for hall in levels:
        orders = hall.place(side="SELL"), hall.place(side="SELL")
        cancel = partial(hall.engine.cancel, hall.account(), now=9, cancel_id="x")
        cancel(orders[0])
        costs.append(calls_of(partial(cancel, orders[1])))
    assert costs[0] == costs[1]


def tape_of(trades_a_minute: int) -> Tape:
    """A day of trades."""
    tape = Tape()
    maker, taker = (
        Order(
            order_id=1,
            owner=1,
            symbol="BTCUSDT",
            side=side,
            type="LIMIT",
            time_in_force="GTC",
            client_order_id="",
            created_at=0,
        )
        for side in ("SELL", "BUY")
    )
    for minute in range(DAY // MINUTE):
        for number in range(trades_a_minute):
            tape.record(taker, Trade(maker, D(10 + number), D(1), D(10 + number)), minute * MINUTE + number)
    return tape


def test_a_day_of_twenty_thousand_trades_costs_little_more_than_its_minutes() -> None:
    few, many = tape_of(1), tape_of(14)
    assert len(many.trades) > 20_000
    costs: list[int] = []
    for tape in (few, many):
        summary = tape.summary(5, DAY + 5)
        assert summary is not None
        assert summary.trades == sum(trade.time >= 5 for trade in tape.trades)
        costs.append(calls_of(partial(tape.summary, 5, DAY + 5)))
    # Of the first minute, which is not in there as a whole, some trades are looked at.
    assert costs[1] - costs[0] < 100
