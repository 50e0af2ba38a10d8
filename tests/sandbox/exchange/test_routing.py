"""Smart order routing: sor_faq.md, examples 1 to 4."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.api.events import ExecutionReport
from bintrio.api.sor import SorOrderPlace
from bintrio.sandbox.exchange.amending import amend

from .hall import D, Hall, symbol

ASKS = {"BTCUSDT": {"30.8": "3", "30.5": "3"}, "BTCUSDC": {"30": "1", "28": "1"}, "BTCUSDP": {"35": "1", "29": "1"}}
BIDS = {"BTCUSDT": {"29.5": "5"}, "BTCUSDC": {"35": "5", "30": "5"}, "BTCUSDP": {"28": "5"}}


def hall_with(books: dict[str, dict[str, str]], side: str) -> Hall:
    quotes = ("USDT", "USDC", "USDP")
    hall = Hall(*(symbol(quote=quote) for quote in quotes), routes=[tuple(f"BTC{quote}" for quote in quotes)])
    hall.account(2).receive("USDP", D(10_000))
    for name, levels in books.items():
        for price, quantity in levels.items():
            hall.place(2, symbol=name, side=side, price=price, quantity=quantity)
    return hall


def routed(hall: Hall, **changes: Any) -> Any:
    given: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "price": "31"}
    params = {name: value for name, value in (given | changes).items() if value is not None}
    return hall.engine.place(hall.account(), SorOrderPlace(**params), 5, is_routed=True)


@pytest.mark.parametrize(
    ("changes", "prices", "status"),
    [
        ({"quantity": "0.5"}, ["28"], "FILLED"),
        ({"quantity": "5"}, ["28", "29", "30", "30.5"], "FILLED"),
        (
            {"type": "MARKET", "time_in_force": None, "price": None, "quantity": "11"},
            ["28", "29", "30", "30.5", "30.8", "35"],
            "EXPIRED",
        ),
        ({"quantity": "5", "time_in_force": "FOK"}, ["28", "29", "30", "30.5"], "FILLED"),
        ({"quantity": "10", "time_in_force": "FOK"}, [], "EXPIRED"),
    ],
)
def test_an_order_takes_the_best_price_of_all_books(changes: dict[str, Any], prices: list[str], status: str) -> None:
    hall = hall_with(ASKS, "SELL")
    order = routed(hall, **changes)
    assert [str(execution.price.normalize()) for execution in order.executions] == [
        str(D(p).normalize()) for p in prices
    ]
    assert order.status == status
    assert all(one.trade_id == -1 for one in order.executions)
    assert [one.allocation_id for one in order.executions] == list(range(len(prices)))
    assert hall.account().executions["BTCUSDT"] == []
    assert hall.money()[2] + hall.money()[3] == 10_000 - order.quote_executed
    for asset, total in {"BTC": 300, "USDT": 30_000, "USDC": 30_000, "USDP": 10_000}.items():
        assert hall.total(asset) == total


def test_a_seller_gets_the_quote_asset_of_the_symbol() -> None:
    hall = hall_with(BIDS, "BUY")
    order = routed(hall, side="SELL", price="29", quantity="10")
    assert (order.quote_executed, order.status, order.floor) == (325, "FILLED", "SOR")
    assert hall.money()[2] == 10_325


def test_what_is_left_rests_on_the_book_of_the_symbol() -> None:
    hall = hall_with({}, "SELL")
    order = routed(hall, quantity="1")
    assert (order.place, order.floor) == ("book", "EXCHANGE")
    assert hall.bids() == [(31, 1)]


def floors_told(hall: Hall, order: Any) -> list[tuple[str, str | None]]:
    events = [notice.event for notice in hall.engine.take_notices()]
    mine = [one for one in events if isinstance(one, ExecutionReport) and one.order_id == order.order_id]
    return [(one.execution_type, one.working_floor) for one in mine]


def test_where_an_order_was_active_last_is_told() -> None:
    """sor_faq.md: "where the order's last activity occurred (filling, expiring, or being placed as new, etc.)"."""
    hall = hall_with(ASKS, "SELL")
    order = routed(hall, quantity="4", price="30")
    assert floors_told(hall, order) == [("NEW", "EXCHANGE")] + [("TRADE", "SOR")] * 3
    # It came to rest, of which nothing is told: what was told last stays so.
    assert (order.executed, order.place, order.floor) == (3, "book", "SOR")
    hall.place(2, side="SELL", price="30", quantity="0.5")
    assert (floors_told(hall, order), order.floor) == ([("TRADE", "EXCHANGE")], "EXCHANGE")
    assert routed(hall, quantity="1", price="20", time_in_force="IOC").floor == "EXCHANGE"
    assert routed(hall, quantity="5", price="30.5", time_in_force="IOC").floor == "SOR"


def test_a_routed_order_that_ends_on_its_own_book_was_active_there_last() -> None:
    hall = hall_with(ASKS, "SELL")
    order = routed(hall, quantity="4", price="30")
    assert order.floor == "SOR"
    floors_told(hall, order)
    hall.engine.cancel(hall.account(), order, 6, cancel_id="gone")
    assert (floors_told(hall, order), order.floor) == ([("CANCELED", "EXCHANGE")], "EXCHANGE")


def test_a_routed_order_that_is_reduced_on_its_own_book_was_active_there_last() -> None:
    hall = hall_with(ASKS, "SELL")
    order = routed(hall, quantity="5", price="30")
    floors_told(hall, order)
    amend(hall.engine, hall.account(), order, D(4), 6, client_order_id="less")
    assert (floors_told(hall, order), order.floor) == ([("REPLACED", "EXCHANGE")], "EXCHANGE")


@pytest.mark.parametrize(
    ("mode", "quantity", "status", "executed"),
    [
        ("EXPIRE_TAKER", "4", "EXPIRED", 0),
        ("EXPIRE_TAKER", "3", "FILLED", 3),
        ("DECREMENT", "4", "EXPIRED", 0),
        ("EXPIRE_MAKER", "4", "FILLED", 4),
        ("EXPIRE_MAKER", "6.5", "EXPIRED", 0),
    ],
)
def test_fill_or_kill_does_not_count_on_orders_of_its_own_on_any_book(
    mode: str, quantity: str, status: str, executed: int
) -> None:
    hall = hall_with(ASKS, "SELL")
    own = hall.place(symbol="BTCUSDC", side="SELL", price="30", quantity="1")
    order = routed(hall, time_in_force="FOK", quantity=quantity, price="30.6", self_trade_prevention_mode=mode)
    assert (order.status, order.executed) == (status, executed)
    assert own.is_open is (executed < 4)
