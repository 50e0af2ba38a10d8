"""Orders that wait for a price, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.sandbox.exchange.refusals import Refusal

from .hall import D, Hall


@pytest.mark.parametrize(
    ("kind", "side", "stop", "prices", "fires_at"),
    [
        ("STOP_LOSS", "SELL", "9", (11, 10, 9.5, 9), 9),
        ("STOP_LOSS", "BUY", "11", (9, 10, 10.5, 12), 12),
        ("TAKE_PROFIT", "SELL", "11", (9, 10, 11), 11),
        ("TAKE_PROFIT", "BUY", "9", (11, 10, 8), 8),
    ],
)
def test_a_price_triggers_an_order(kind: str, side: str, stop: str, prices: Any, fires_at: Any) -> None:
    """ "Trigger order price rules": above the market or below it, by type and side."""
    hall = Hall()
    hall.trade_at(10)
    hall.place(2, side="BUY" if side == "SELL" else "SELL", price="1" if side == "SELL" else "100", quantity="5")
    for suffix, limit in (("", None), ("_LIMIT", "1" if side == "SELL" else "100")):
        tif: dict[str, Any] = {"time_in_force": "GTC", "price": limit} if suffix else {}
        order = hall.place(type=kind + suffix, side=side, stop_price=stop, **tif)
        assert (order.status, order.working_time, order.place) == ("NEW", -1, "waiting")
        hall.now = 8
        for price in prices:
            assert order.status == "NEW"
            hall.trade_at(price)
        assert (order.status, order.working_time) == ("FILLED", 8)
        hall.trade_at(10)
    assert fires_at == prices[-1]


@pytest.mark.parametrize(
    ("kind", "side", "stop"),
    [
        ("STOP_LOSS", "SELL", "10"),
        ("STOP_LOSS", "BUY", "10"),
        ("TAKE_PROFIT", "SELL", "9"),
        ("TAKE_PROFIT", "BUY", "11"),
    ],
)
def test_an_order_that_would_trigger_at_once_is_refused(kind: str, side: str, stop: str) -> None:
    hall = Hall()
    hall.trade_at(10)
    with pytest.raises(Refusal, match="Order would trigger immediately"):
        hall.place(type=kind, side=side, stop_price=stop)


def test_a_waiting_order_is_told_of_twice_and_can_be_canceled() -> None:
    hall = Hall()
    hall.trade_at(10)
    hall.engine.take_notices()
    order = hall.place(type="STOP_LOSS_LIMIT", side="SELL", stop_price="9", price="8")
    assert hall.money()[:2] == (99, 1)
    hall.trade_at(9)
    assert hall.reports() == [(order.order_id, "NEW", "NEW"), (order.order_id, "NEW", "NEW")]
    assert hall.asks() == [(8, 1)]
    other = hall.place(type="STOP_LOSS_LIMIT", side="SELL", stop_price="7", price="6")
    hall.engine.cancel(hall.account(), other, 9, cancel_id="x")
    trailing = hall.place(type="STOP_LOSS", side="SELL", trailing_delta=100)
    hall.engine.cancel(hall.account(), trailing, 9, cancel_id="x")
    hall.trade_at(5)
    assert (other.status, trailing.status) == ("CANCELED", "CANCELED")


def test_an_order_that_cannot_pay_when_triggered_expires() -> None:
    hall = Hall()
    hall.trade_at(10)
    hall.place(2, side="SELL", price="100", quantity="50")
    order = hall.place(type="STOP_LOSS", stop_price="11", quantity="50")
    hall.place(type="LIMIT", price="9", quantity="1000")
    hall.trade_at(11)
    assert (order.status, order.expiry_reason) == ("EXPIRED", "REJECTED")
    assert hall.money() == (100, 0, 1_000, 9_000)


def test_orders_trigger_each_other() -> None:
    hall = Hall()
    hall.trade_at(10)
    hall.place(2, side="BUY", price="8", quantity="1")
    first = hall.place(type="STOP_LOSS", side="SELL", stop_price="9")
    second = hall.place(type="STOP_LOSS", side="SELL", stop_price="8")
    hall.place(2, side="BUY", price="7", quantity="1")
    hall.trade_at(9)
    assert (first.quote_executed, second.quote_executed) == (8, 7)


SCENARIOS: dict[str, tuple[Any, ...]] = {
    "A": ("STOP_LOSS_LIMIT", "BUY", "44000", 500, "45000", (40_000, 37_000, 44_000, 45_000, 46_000, 42_000), 44_100),
    "B": ("STOP_LOSS_LIMIT", "SELL", "39000", 1000, "38000", (41_500, 39_000, 37_000, 41_000), 36_900),
    "C": ("TAKE_PROFIT_LIMIT", "BUY", "38000", 850, "38500", (42_000, 38_000, 37_000, 39_000, 38_000), 40_145),
    "D": (
        "TAKE_PROFIT_LIMIT",
        "SELL",
        "42000",
        750,
        "41000",
        (41_500, 39_000, 42_000, 45_000, 44_000, 46_500),
        43_012.5,
    ),
    "E": ("STOP_LOSS_LIMIT", "SELL", None, 700, "39000", (42_000, 39_500, 45_500), 42_315),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_documents_trailing_stop_scenarios(name: str) -> None:
    """trailing-stop-faq.md, "Trailing Stop Order Scenarios"."""
    kind, side, stop, delta, price, path, fires_at = SCENARIOS[name]
    hall = Hall()
    for uid in (1, 2, 3):
        hall.account(uid).receive("USDT", D(1_000_000))
    hall.trade_at(40_000)
    order = hall.place(type=kind, side=side, stop_price=stop, trailing_delta=delta, price=price)
    assert (order.trailing_time >= 0) is (stop is None)
    hall.trade_at(*path)
    assert order.working_time < 0 <= order.trailing_time
    hall.trade_at(D(str(fires_at)) + (D(-1) if side == "BUY" else D(1)))
    assert order.working_time < 0
    hall.trade_at(str(fires_at))
    assert order.working_time >= 0


def test_a_trailing_order_without_a_price_yet_watches_from_the_next_trade() -> None:
    hall = Hall()
    order = hall.place(type="TAKE_PROFIT", trailing_delta=1000, quantity="0.1")
    hall.trade_at(10)
    assert order.trailing_time >= 0
    hall.trade_at(11)
    assert order.working_time >= 0
