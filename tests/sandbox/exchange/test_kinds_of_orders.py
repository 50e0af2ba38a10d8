"""Icebergs, pegged orders, times in force, market orders by quote amount, and self-trade prevention."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.api.events import ExecutionReport
from bintrio.api.filters import IcebergPartsFilter
from bintrio.api.general import ExecutionRule
from bintrio.sandbox.exchange import shapes
from bintrio.sandbox.exchange.amending import amend
from bintrio.sandbox.exchange.reference import External
from bintrio.sandbox.exchange.refusals import Refusal

from .hall import D, Hall, symbol


def outcome(order: Any) -> tuple[Any, ...]:
    return order.status, order.executed, order.expiry_reason


# Icebergs


def test_an_iceberg_order_shows_a_part_and_goes_to_the_end_with_the_next_one() -> None:
    hall = Hall()
    iceberg = hall.place(side="SELL", quantity="5", iceberg_qty="2")
    other = hall.place(3, side="SELL", quantity="2")
    assert hall.asks() == [(10, 4)]
    hall.place(2, quantity="3")
    assert (iceberg.executed, other.executed) == (2, 1)
    assert hall.asks() == [(10, 3)]
    hall.place(2, quantity="3", time_in_force="FOK")
    assert (iceberg.executed, other.executed) == (4, 2)
    assert hall.asks() == [(10, 1)]
    amended = hall.place(side="SELL", price="11", quantity="5", iceberg_qty="2")
    for quantity, shown in (("3", 2), ("1", 1)):
        amend(hall.engine, hall.account(), amended, D(quantity), 9, client_order_id="same")
        assert hall.asks() == [(10, 1), (11, shown)]
    hall.engine.cancel(hall.account(), amended, 9, cancel_id="x")
    assert hall.asks() == [(10, 1)]


def test_an_iceberg_order_shows_less_of_a_part_that_has_traded_in_part() -> None:
    hall = Hall()
    iceberg = hall.place(side="SELL", quantity="5", iceberg_qty="2")
    hall.place(2, quantity="0.5")
    assert (iceberg.executed, hall.asks()) == (D("0.5"), [(10, D("1.5"))])
    hall.place(2, quantity="1.5")
    assert (iceberg.executed, hall.asks()) == (2, [(10, 2)])


def test_what_an_iceberg_order_must_be_like() -> None:
    hall = Hall(symbol(more_filters=(IcebergPartsFilter(limit=3),)))
    hall.place(quantity="3", iceberg_qty="1")
    for quantity, shown, message in (
        ("1", "2", "IcebergQty exceeds QTY"),
        ("3.1", "1", "ICEBERG_PARTS"),
        ("3", "1.05", "LOT_SIZE"),
    ):
        with pytest.raises(Refusal, match=message):
            hall.place(quantity=quantity, iceberg_qty=shown)


# Pegged orders


@pytest.mark.parametrize(
    ("changes", "pegged"),
    [
        ({"side": "BUY", "peg_price_type": "PRIMARY_PEG"}, "9"),
        ({"side": "SELL", "peg_price_type": "PRIMARY_PEG"}, "11"),
        ({"side": "BUY", "peg_price_type": "MARKET_PEG", "time_in_force": "IOC"}, "11"),
        ({"side": "SELL", "peg_price_type": "MARKET_PEG"}, "9"),
        (
            {"side": "BUY", "peg_price_type": "PRIMARY_PEG", "peg_offset_type": "PRICE_LEVEL", "peg_offset_value": 1},
            "8",
        ),
        (
            {"side": "SELL", "peg_price_type": "PRIMARY_PEG", "peg_offset_type": "PRICE_LEVEL", "peg_offset_value": 1},
            "12",
        ),
        ({"side": "BUY", "peg_price_type": "MARKET_PEG", "price": "10"}, "10"),
    ],
)
def test_a_pegged_order_takes_its_price_from_the_book(changes: dict[str, Any], pegged: str) -> None:
    hall = Hall()
    for side, price in (("BUY", "9"), ("BUY", "8"), ("SELL", "11"), ("SELL", "12")):
        hall.place(2, side=side, price=price)
    given: dict[str, Any] = {"price": None} | changes
    order = hall.place(**given)
    assert order.pegged_price == D(pegged)
    assert order.price == D(changes.get("price", 0))
    assert hall.total("USDT") == 30_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "Order book liquidity is too low for this pegged order."),
        ({"type": "LIMIT_MAKER", "time_in_force": None, "peg_price_type": "MARKET_PEG"}, "This price peg cannot"),
        ({"time_in_force": "IOC"}, "Unsupported order combination"),
        ({"peg_offset_type": "PRICE_LEVEL", "peg_offset_value": 101}, "Unsupported order combination"),
    ],
)
def test_what_cannot_be_pegged(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"price": None, "peg_price_type": "PRIMARY_PEG"} | changes
    with pytest.raises(Refusal, match=message):
        Hall().place(**given)


def test_a_pegged_stop_order_takes_its_price_when_triggered() -> None:
    hall = Hall()
    hall.trade_at(10)
    stop: dict[str, Any] = {
        "type": "STOP_LOSS_LIMIT",
        "side": "SELL",
        "stop_price": "9",
        "price": None,
        "peg_price_type": "PRIMARY_PEG",
    }
    other: dict[str, Any] = stop | {"peg_price_type": "MARKET_PEG"}
    order, hopeless = hall.place(**stop), hall.place(**other)
    assert order.pegged_price is None
    hall.place(2, side="SELL", price="12")
    hall.trade_at(9)
    assert [order.pegged_price, order.place] == [12, "book"]
    assert outcome(hopeless) == ("EXPIRED", 0, "REJECTED")


# Time in force


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"time_in_force": "IOC", "quantity": "3"}, ("EXPIRED", 2, "UNFILLED_IOC_QUANTITY_EXPIRED")),
        ({"time_in_force": "FOK", "quantity": "3"}, ("EXPIRED", 0, "UNFILLED_FOK_ORDER_EXPIRED")),
        ({"time_in_force": "FOK", "quantity": "2"}, ("FILLED", 2, None)),
        ({"type": "MARKET", "quantity": "3"}, ("EXPIRED", 2, "INSUFFICIENT_LIQUIDITY")),
        ({"type": "MARKET", "quantity": None, "quote_order_qty": "15"}, ("FILLED", D("1.5"), None)),
        ({"type": "MARKET", "quantity": None, "quote_order_qty": "15.9"}, ("FILLED", D("1.5"), None)),
        ({"type": "MARKET", "quantity": None, "quote_order_qty": "20.5"}, ("FILLED", 2, None)),
        ({"type": "MARKET", "quantity": None, "quote_order_qty": "25"}, ("EXPIRED", 2, "INSUFFICIENT_LIQUIDITY")),
    ],
)
def test_what_is_left_expires_with_its_reason(changes: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """user-data-stream.md, "Order Expiry Reason"; by quote amount only once the book has run out."""
    hall = Hall()
    hall.place(2, side="SELL", quantity="2")
    order = hall.place(**changes)
    assert outcome(order) == expected
    assert hall.total("USDT") == 30_000
    assert hall.money()[3] == 0
    events = [notice.event for notice in hall.engine.take_notices()]
    last = [e for e in events if isinstance(e, ExecutionReport) and e.order_id == order.order_id][-1]
    assert last.expiry_reason == expected[2]


# Self-trade prevention


@pytest.mark.parametrize(
    ("mode", "maker_quantity", "taker", "maker"),
    [
        ("NONE", "2", ("FILLED", 0), ("PARTIALLY_FILLED", 0)),
        ("EXPIRE_TAKER", "2", ("EXPIRED_IN_MATCH", 1), ("NEW", 0)),
        ("EXPIRE_MAKER", "2", ("NEW", 0), ("EXPIRED_IN_MATCH", 2)),
        ("EXPIRE_BOTH", "2", ("EXPIRED_IN_MATCH", 1), ("EXPIRED_IN_MATCH", 2)),
        ("DECREMENT", "2", ("EXPIRED_IN_MATCH", 1), ("NEW", 1)),
        ("DECREMENT", "1", ("EXPIRED_IN_MATCH", 1), ("EXPIRED_IN_MATCH", 1)),
        ("DECREMENT", "0.5", ("NEW", D("0.5")), ("EXPIRED_IN_MATCH", D("0.5"))),
        ("TRANSFER", "2", ("EXPIRED_IN_MATCH", 1), ("NEW", 1)),
    ],
)
def test_self_trades_are_prevented(mode: str, maker_quantity: str, taker: Any, maker: Any) -> None:
    """stp_faq.md: the taker's mode decides."""
    hall = Hall()
    resting = hall.place(quantity=maker_quantity)
    order = hall.place(side="SELL", self_trade_prevention_mode=mode)
    assert (order.status, order.prevented) == taker
    assert (resting.status, resting.prevented) == maker
    matches = hall.account().prevented["BTCUSDT"]
    assert len(matches) == (mode != "NONE")
    assert hall.total("BTC") == 300
    assert sum(q for _, q in hall.bids()) == (resting.remaining if resting.is_open else 0)


SCENARIOS: dict[str, tuple[Any, ...]] = {
    "B": ("EXPIRE_MAKER", "3", "1", [("1.2", "1.2"), ("1.3", "1.1"), ("8.1", "1")], ("NEW", None)),
    "C": ("EXPIRE_TAKER", "3", "1", [("1.2", "1.2"), ("1.3", "1.1"), ("8.1", "1")], ("EXPIRED_IN_MATCH", "3")),
    "D": ("EXPIRE_BOTH", "3", "1", [("1", "1")], ("EXPIRED_IN_MATCH", "3")),
    "E": ("EXPIRE_TAKER", "1", "1", [("1", "1")], ("EXPIRED_IN_MATCH", "1")),
    "F": ("EXPIRE_MAKER", "1", None, [("1", "1")], ("EXPIRED", None)),
    "G": ("DECREMENT", "2", "2", [("6", "2")], ("EXPIRED_IN_MATCH", "2")),
}
"""The mode, quantity and price of the taker; quantity and price of each maker; status and prevented quantity."""

MATCHES: dict[str, list[tuple[Any, ...]]] = {
    "B": [("1.2", None, "1.2"), ("1.1", None, "1.3"), ("1", None, "8.1")],
    "C": [("1.2", "3", None)],
    "D": [("1", "3", "1")],
    "E": [("1", "1", None)],
    "F": [("1", None, "1")],
    "G": [("2", "2", "2")],
}
"""Of each match: the price, what was prevented of the taker, and of the maker."""


@pytest.mark.parametrize("letter", SCENARIOS)
def test_the_documents_self_trades(letter: str) -> None:
    """stp_faq.md, scenarios B to G: what each order is answered with."""
    hall = Hall()
    mode, quantity, price, offered, (status, prevented) = SCENARIOS[letter]
    makers = [hall.place(quantity=each, price=at) for each, at in offered]
    given: dict[str, Any] = {"price": price} if price else {"type": "MARKET"}
    taker = shapes.full(hall.place(side="SELL", quantity=quantity, self_trade_prevention_mode=mode, **given))
    assert (taker.status, taker.prevented_quantity) == (status, None if prevented is None else D(prevented))
    matches = taker.prevented_matches or ()
    told = [(one.price, one.taker_prevented_quantity, one.maker_prevented_quantity) for one in matches]
    assert told == [tuple(None if part is None else D(part) for part in match) for match in MATCHES[letter]]
    assert [one.maker_order_id for one in matches] == [maker.order_id for maker in makers][: len(matches)]
    for maker, match in zip(makers, matches, strict=False):
        shown = shapes.status(maker)
        assert shown.prevented_quantity == match.maker_prevented_quantity
        assert shown.prevented_match_id == (None if shown.prevented_quantity is None else match.prevented_match_id)
        assert shown.status == ("NEW" if shown.prevented_quantity in {None, 2} else "EXPIRED_IN_MATCH")


def test_accounts_of_one_group_are_one() -> None:
    """stp_faq.md, scenario H."""
    hall = Hall()
    hall.account(1).trade_group_id = hall.account(2).trade_group_id = 1
    maker = hall.place(2, price="0.2", quantity="0.6", self_trade_prevention_mode="TRANSFER")
    taker = hall.place(side="SELL", price="0.2", quantity="0.2", self_trade_prevention_mode="TRANSFER")
    assert (taker.status, maker.status, maker.prevented) == ("EXPIRED_IN_MATCH", "NEW", D("0.2"))
    assert hall.money(2) == (D("100.2"), 0, D("9999.88"), D("0.08"))
    assert hall.money(1) == (D("99.8"), 0, D("10000.04"), 0)
    (match,) = hall.account(2).prevented["BTCUSDT"]
    assert (match.trade_group_id, match.self_trade_prevention_mode) == (1, "TRANSFER")
    other = hall.place(3, side="SELL", price="0.2", quantity="0.2", self_trade_prevention_mode="EXPIRE_TAKER")
    assert other.status == "FILLED"
    mixed = hall.place(side="SELL", price="0.2", quantity="0.1", self_trade_prevention_mode="TRANSFER")
    hall.place(2, price="0.1", quantity="0.1")
    decrement = hall.place(side="SELL", price="0.1", quantity="0.1", self_trade_prevention_mode="TRANSFER")
    assert (mixed.status, decrement.status) == ("EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH")


def test_fill_or_kill_does_not_count_on_orders_of_its_own() -> None:
    hall = Hall()
    hall.place(2, side="SELL", quantity="1")
    own = hall.place(side="SELL", quantity="1")
    hall.place(2, side="SELL", quantity="1")
    kill: dict[str, Any] = {"time_in_force": "FOK", "quantity": "2"}
    assert hall.place(**kill, self_trade_prevention_mode="EXPIRE_TAKER").status == "EXPIRED"
    assert own.is_open
    assert hall.place(**kill, self_trade_prevention_mode="EXPIRE_MAKER").status == "FILLED"
    assert outcome(own)[0] == "EXPIRED_IN_MATCH"


def test_fill_or_kill_counts_up_to_its_limit_only() -> None:
    hall = Hall()
    hall.place(2, side="SELL", quantity="1")
    hall.place(2, side="SELL", price="11", quantity="1")
    kill = hall.place(time_in_force="FOK", quantity="2", self_trade_prevention_mode="EXPIRE_TAKER")
    assert outcome(kill) == ("EXPIRED", 0, "UNFILLED_FOK_ORDER_EXPIRED")


def test_fill_or_kill_sees_that_its_own_order_comes_before_the_hidden_part_of_another() -> None:
    hall = Hall()
    other = hall.place(2, side="SELL", quantity="5", iceberg_qty="1")
    own = hall.place(side="SELL", quantity="1")
    kill: dict[str, Any] = {"time_in_force": "FOK", "quantity": "3"}
    assert outcome(hall.place(**kill, self_trade_prevention_mode="DECREMENT"))[:2] == ("EXPIRED", 0)
    assert outcome(hall.place(**kill, self_trade_prevention_mode="EXPIRE_MAKER"))[:2] == ("FILLED", 3)
    assert (other.executed, own.status) == (3, "EXPIRED_IN_MATCH")


def test_fill_or_kill_is_not_filled_in_part_where_an_execution_rule_ends_it() -> None:
    """price_range_execution_rules.md: no trade beyond the bounds."""
    hall = Hall(symbol(execution_rules=(ExecutionRule(rule_type="PRICE_RANGE", bid_limit_mult_up=D("1.1")),)))
    hall.engine.references.sources["BTCUSDT"] = External(D(10), 0)
    for price in ("10", "11", "12"):
        hall.place(2, side="SELL", price=price)
    kill: dict[str, Any] = {"time_in_force": "FOK", "price": "12"}
    assert outcome(hall.place(quantity="3", **kill)) == ("EXPIRED", 0, "UNFILLED_FOK_ORDER_EXPIRED")
    assert outcome(hall.place(quantity="2", **kill)) == ("FILLED", 2, None)


@pytest.mark.parametrize(
    ("mode", "free", "left"),
    [
        ("DECREMENT", 31, None),
        ("DECREMENT", 32, 10),
        ("TRANSFER", 32, 10),
        ("EXPIRE_MAKER", 32, None),
        ("EXPIRE_MAKER", 33, 0),
        ("EXPIRE_TAKER", 0, 0),
        ("EXPIRE_BOTH", 0, 0),
        ("NONE", 32, 10),
    ],
)
@pytest.mark.parametrize("kind", ["MARKET", "STOP_LOSS"])
def test_nobody_pays_more_than_there_is_for_what_stands_behind_an_order_of_its_own(
    kind: str, mode: str, free: int, left: int | None
) -> None:
    """stp_faq.md: what is left of an order goes on behind the match that was prevented."""
    hall = Hall()
    hall.trade_at(9)
    for uid, price, quantity in ((1, "10", "1"), (2, "11", "9")):
        hall.place(uid, side="SELL", price=price, quantity=quantity)
    hall.account().holding("USDT").free = D(30)
    given: dict[str, Any] = {"quantity": "3", "self_trade_prevention_mode": mode}
    if kind == "MARKET":
        hall.account().holding("USDT").free = D(free)
        if left is None:
            with pytest.raises(Refusal, match="insufficient balance"):
                hall.place(type=kind, **given)
            return
        hall.place(type=kind, **given)
    else:
        stop = hall.place(type=kind, stop_price="9.5", **given)
        hall.account().holding("USDT").free = D(free) - hall.account().holding("USDT").locked
        hall.trade_at("9.5")
        assert (stop.expiry_reason == "REJECTED") is (left is None)
    assert hall.money()[2:] == (free if left is None else left, 0)


def test_a_symbol_allows_some_modes_only() -> None:
    hall = Hall(symbol(allowed_stp_modes=("NONE", "EXPIRE_TAKER"), default_stp_mode="EXPIRE_TAKER"))
    with pytest.raises(Refusal, match="does not allow the specified self-trade prevention mode"):
        hall.place(self_trade_prevention_mode="EXPIRE_MAKER")
    assert hall.place().stp_mode == "EXPIRE_TAKER"
