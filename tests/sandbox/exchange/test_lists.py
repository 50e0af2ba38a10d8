"""Order lists: what one order does to the others."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.api.filters import LotSizeFilter, MarketLotSizeFilter, MaxNumOrderListsFilter, MaxNumOrdersFilter
from bintrio.api.order_lists import (
    OrderListPlace,
    OrderListPlaceOco,
    OrderListPlaceOpo,
    OrderListPlaceOpoco,
    OrderListPlaceOto,
    OrderListPlaceOtoco,
)
from bintrio.sandbox.exchange.amending import amend
from bintrio.sandbox.exchange.commissions import Commissions, Rates
from bintrio.sandbox.exchange.refusals import Refusal

from .hall import D, Hall, symbol

OCO: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "2",
    "above_type": "LIMIT_MAKER",
    "above_price": "12",
    "below_type": "STOP_LOSS_LIMIT",
    "below_price": "8",
    "below_stop_price": "9",
    "below_time_in_force": "GTC",
}
WORKING: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "working_type": "LIMIT",
    "working_side": "BUY",
    "working_price": "10",
    "working_quantity": "2",
    "working_time_in_force": "GTC",
}
PENDING: dict[str, Any] = {
    "pending_type": "LIMIT",
    "pending_side": "SELL",
    "pending_price": "12",
    "pending_time_in_force": "GTC",
}
PAIR: dict[str, Any] = {
    "pending_side": "SELL",
    "pending_above_type": "LIMIT_MAKER",
    "pending_above_price": "12",
    "pending_below_type": "STOP_LOSS",
    "pending_below_stop_price": "8",
}
OTO: dict[str, Any] = WORKING | PENDING | {"pending_quantity": "3"}
OTOCO: dict[str, Any] = WORKING | PAIR | {"pending_quantity": "3"}


def ends(*orders: Any) -> list[tuple[Any, ...]]:
    return [(order.status, order.expiry_reason) for order in orders]


# OCO


@pytest.fixture
def hall() -> Hall:
    hall = Hall()
    hall.trade_at(10)
    hall.engine.take_notices()
    return hall


def oco(**changes: Any) -> OrderListPlaceOco:
    return OrderListPlaceOco(**{k: v for k, v in (OCO | changes).items() if v is not None})


def test_a_pair_shares_one_lock_and_the_stop_comes_first(hall: Hall) -> None:
    stop, limit = hall.place_list(oco())
    assert (stop.type, limit.type) == ("STOP_LOSS_LIMIT", "LIMIT_MAKER")
    assert hall.money() == (98, 2, 10_000, 0)
    assert hall.list_events() == [("EXEC_STARTED", "EXECUTING")]
    bought = hall.place_list(
        oco(
            side="BUY",
            above_type="STOP_LOSS",
            above_price=None,
            above_stop_price="12",
            below_type="LIMIT_MAKER",
            below_price="8",
            below_stop_price=None,
            below_time_in_force=None,
        )
    )
    assert hall.money() == (98, 2, 9_976, 24)
    hall.engine.cancel(hall.account(), bought[1], 9, cancel_id="x")
    assert hall.money() == (98, 2, 10_000, 0)
    assert ends(*bought) == [("CANCELED", None)] * 2


def test_the_limit_order_trades_and_the_stop_expires(hall: Hall) -> None:
    stop, limit = hall.place_list(oco())
    hall.place(2, price="12", quantity="0.5")
    assert ends(stop, limit) == [("EXPIRED", "OCO_TRIGGER"), ("PARTIALLY_FILLED", None)]
    assert [e[0] for e in hall.list_events()] == ["EXEC_STARTED"]
    hall.place(2, price="12", quantity="1.5")
    assert limit.status == "FILLED"
    assert hall.list_events() == [("ALL_DONE", "ALL_DONE")]
    assert hall.money() == (98, 0, 10_024, 0)


def test_the_stop_is_triggered_and_the_limit_order_expires(hall: Hall) -> None:
    stop, limit = hall.place_list(oco())
    hall.trade_at(9)
    assert ends(stop, limit) == [("NEW", None), ("EXPIRED", "OCO_TRIGGER")]
    assert hall.asks() == [(8, 2)]
    assert hall.money()[:2] == (98, 2)
    hall.engine.cancel(hall.account(), stop, 9, cancel_id="x")
    assert hall.money()[:2] == (100, 0)


def test_a_stop_that_expires_ends_its_list(hall: Hall) -> None:
    stop, limit = hall.place_list(oco(below_time_in_force="IOC"))
    hall.trade_at(9)
    assert ends(stop, limit) == [("EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED"), ("EXPIRED", "OCO_TRIGGER")]
    assert hall.list_events()[-1] == ("ALL_DONE", "ALL_DONE")


def test_self_trade_prevention_ends_a_pair(hall: Hall) -> None:
    stop, limit = hall.place_list(oco())
    hall.place(price="12", quantity="1", self_trade_prevention_mode="DECREMENT")
    assert hall.money()[:2] == (98, 2)
    hall.place(price="12", quantity="5", self_trade_prevention_mode="EXPIRE_MAKER")
    assert ends(stop, limit) == [("EXPIRED", "OCO_TRIGGER"), ("EXPIRED_IN_MATCH", None)]
    assert hall.money()[:2] == (100, 0)


def test_amending_one_of_a_pair_amends_both(hall: Hall) -> None:
    stop, limit = hall.place_list(oco())
    hall.engine.take_notices()
    amend(hall.engine, hall.account(), limit, D(1), 9, client_order_id="new")
    assert (stop.quantity, limit.quantity, hall.money()[:2]) == (1, 1, (99, 1))
    assert hall.list_events() == [("UPDATED", "EXECUTING")]
    assert hall.account().lists[limit.list_id].orders[1].client_order_id == "new"


def test_the_old_way_to_place_a_pair(hall: Hall) -> None:
    given: dict[str, Any] = {"symbol": "BTCUSDT", "side": "SELL", "price": "12", "quantity": "2", "stop_price": "9"}
    stop, limit = hall.place_list(OrderListPlace(**given))
    assert (stop.type, limit.type, limit.price) == ("STOP_LOSS", "LIMIT_MAKER", 12)
    limited: dict[str, Any] = {
        "stop_limit_price": "8",
        "stop_limit_time_in_force": "GTC",
        "stop_client_order_id": "s",
        "limit_client_order_id": "l",
    }
    stop, limit = hall.place_list(OrderListPlace(**given, **limited))
    assert (stop.type, stop.price, stop.client_order_id, limit.client_order_id) == ("STOP_LOSS_LIMIT", 8, "s", "l")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"above_price": "9.5"}, -2010),
        ({"below_stop_price": "11"}, -2010),
        ({"above_client_order_id": "same", "below_client_order_id": "same"}, -2010),
        ({"quantity": "101"}, -2010),
        ({"quantity": "0.05"}, -1013),
        ({"list_client_order_id": "taken"}, -2010),
    ],
)
def test_a_pair_that_cannot_be_changes_nothing(hall: Hall, changes: dict[str, Any], code: int) -> None:
    hall.place_list(oco(list_client_order_id="taken"))
    before = hall.money(), len(hall.engine.orders)
    hall.engine.take_notices()
    with pytest.raises(Refusal) as caught:
        hall.place_list(oco(**changes))
    assert caught.value.code == code
    assert ((hall.money(), len(hall.engine.orders)), hall.engine.take_notices()) == (before, [])


@pytest.mark.parametrize("flag", ["oco_allowed", "oto_allowed", "opo_allowed"])
def test_a_symbol_may_not_take_lists(flag: str) -> None:
    hall = Hall(symbol(**{flag: False}))
    request = {"oco_allowed": oco(), "oto_allowed": OrderListPlaceOto(**OTO)}.get(flag) or OrderListPlaceOpo(
        **WORKING, **PENDING
    )
    with pytest.raises(Refusal, match="orders are not supported for this symbol"):
        hall.place_list(request)


def test_lists_and_their_orders_are_counted() -> None:
    for rule in (MaxNumOrderListsFilter(max_num_order_lists=1), MaxNumOrdersFilter(max_num_orders=3)):
        hall = Hall(symbol(more_filters=(rule,)))
        hall.place_list(oco())
        with pytest.raises(Refusal, match="MAX_NUM"):
            hall.place_list(oco())


# OTO


def test_what_waits_is_placed_once_the_working_order_is_filled(hall: Hall) -> None:
    working, pending = hall.place_list(OrderListPlaceOto(**OTO))
    assert (pending.status, pending.working_time, hall.money()) == ("PENDING_NEW", -1, (100, 0, 9_980, 20))
    hall.place(2, side="SELL", quantity="1")
    assert pending.status == "PENDING_NEW"
    hall.place(2, side="SELL", quantity="1")
    assert ends(working, pending) == [("FILLED", None), ("NEW", None)]
    assert hall.money() == (99, 3, 9_980, 0)
    hall.place(2, price="12", quantity="3")
    assert hall.list_events()[-1] == ("ALL_DONE", "ALL_DONE")


def test_a_list_ends_with_its_working_order(hall: Hall) -> None:
    at_once: dict[str, Any] = OTO | {"working_time_in_force": "IOC"}
    working, pending = hall.place_list(OrderListPlaceOto(**at_once))
    assert ends(working, pending) == [
        ("EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED"),
        ("EXPIRED", "OTO_PHASE_ONE_EXPIRED"),
    ]
    working, pending = hall.place_list(OrderListPlaceOto(**OTO))
    hall.engine.cancel(hall.account(), pending, 9, cancel_id="x")
    assert ends(working, pending) == [("CANCELED", None)] * 2
    assert hall.money() == (100, 0, 10_000, 0)


def test_what_waits_may_find_no_money(hall: Hall) -> None:
    dear: dict[str, Any] = OTO | {"pending_quantity": "103"}
    _working, pending = hall.place_list(OrderListPlaceOto(**dear))
    hall.place(2, side="SELL", quantity="2")
    assert ends(pending) == [("EXPIRED", "REJECTED")]
    assert hall.list_events()[-1] == ("ALL_DONE", "ALL_DONE")


def test_a_pair_waits_for_the_working_order(hall: Hall) -> None:
    working, stop, limit = hall.place_list(OrderListPlaceOtoco(**OTOCO))
    hall.place(2, side="SELL", quantity="2")
    assert (working.status, stop.status, limit.status) == ("FILLED", "NEW", "NEW")
    assert hall.money() == (99, 3, 9_980, 0)
    hall.place(2, price="8", quantity="9")
    hall.trade_at(8)
    assert ends(limit) == [("EXPIRED", "OCO_TRIGGER")]
    assert stop.executed == 3
    assert hall.total("BTC") == 300


# OPO


@pytest.mark.parametrize(
    ("base", "free", "first", "sold"),
    [
        ("BTC", "0", "0.999", "1.9"),
        ("BTC", "0.0005", "0.999", "1.9"),
        ("BTC", "0.001", "1", "1.9"),
        ("BTC", "0.002", "1", "2"),
        ("BNB", "10", "0.999", "1.9"),
    ],
)
def test_what_was_bought_is_sold(base: str, free: str, first: str, sold: str) -> None:
    """opo.md: commission comes from what is free, if that is enough and not BNB; the quantity is rounded to lots."""
    hall = Hall(symbol(base=base))
    account, name = hall.account(), f"{base}USDT"
    account.commissions = Commissions(standard=Rates(maker=D("0.001"), taker=D("0.001")))
    account.holding(base).free = D(free)
    total = hall.total(base)
    working, pending = hall.place_list(OrderListPlaceOpo(**WORKING | {"symbol": name}, **PENDING))
    with pytest.raises(Refusal, match="pending OPO"):
        amend(hall.engine, account, pending, D(1), 9, client_order_id="x")
    hall.place(2, symbol=name, side="SELL", quantity="1")
    assert account.holding(base).locked == D(first)
    hall.place(2, symbol=name, side="SELL", quantity="1")
    assert (working.status, pending.quantity, pending.status) == ("FILLED", D(sold), "NEW")
    assert (account.holding(base).locked, account.holding(base).free) == (D(sold), D(free) + D("1.998") - D(sold))
    assert hall.total(base) == total


def test_what_was_bought_is_free_again_if_the_list_is_canceled(hall: Hall) -> None:
    working, _pending = hall.place_list(OrderListPlaceOpo(**WORKING, **PENDING))
    hall.place(2, side="SELL", quantity="1")
    hall.engine.cancel(hall.account(), working, 9, cancel_id="x")
    assert hall.money() == (101, 0, 9_990, 0)


@pytest.mark.parametrize(("most", "stopped"), [("9", "1.5"), ("0", "1.5"), ("1.2", "1")])
def test_a_pair_sells_what_was_bought(most: str, stopped: str) -> None:
    """opo.md: the quantities are "adjusted to meet" LOT_SIZE and MARKET_LOT_SIZE."""
    rules = (
        LotSizeFilter(min_qty=D(1), max_qty=D(99), step_size=D(0)),
        MarketLotSizeFilter(min_qty=D(1), max_qty=D(most), step_size=D("0.5")),
    )
    hall = Hall(symbol(more_filters=rules))
    _working, stop, limit = hall.place_list(OrderListPlaceOpoco(**WORKING | {"working_quantity": "1.7"}, **PAIR))
    hall.place(2, side="SELL", quantity="2")
    assert (stop.quantity, limit.quantity) == (D(stopped), D("1.7"))
    assert hall.account().holding("BTC").locked == D("1.7")
    for quantity, both in (("1.6", (stopped, "1.6")), ("1", ("1", "1"))):
        amend(hall.engine, hall.account(), limit, D(quantity), 9, client_order_id="same")
        assert (stop.quantity, limit.quantity) == tuple(map(D, both))
        assert hall.account().holding("BTC").locked == D(quantity)


def test_a_pair_may_be_reached_from_both_sides_if_there_was_no_price() -> None:
    hall = Hall()
    both = oco(
        side="BUY",
        above_type="STOP_LOSS",
        above_price=None,
        above_stop_price="9",
        below_type="TAKE_PROFIT_LIMIT",
        below_price="1",
        below_stop_price="11",
    )
    stop, profit = hall.place_list(both)
    hall.trade_at(10)
    assert ends(stop, profit) == [("EXPIRED", "INSUFFICIENT_LIQUIDITY"), ("EXPIRED", "OCO_TRIGGER")]


def test_amending_under_the_same_name_changes_no_list(hall: Hall) -> None:
    _stop, limit = hall.place_list(oco())
    hall.engine.take_notices()
    amend(hall.engine, hall.account(), limit, D(1), 9, client_order_id=limit.client_order_id)
    assert hall.list_events() == []


def test_an_order_without_a_limit_cannot_be_pegged(hall: Hall) -> None:
    pegged = oco(below_type="STOP_LOSS", below_price=None, below_time_in_force=None, below_peg_price_type="PRIMARY_PEG")
    with pytest.raises(Refusal, match="may not use pegged price"):
        hall.place_list(pegged)


def test_a_limit_on_lists_does_not_concern_single_orders() -> None:
    hall = Hall(symbol(more_filters=(MaxNumOrderListsFilter(max_num_order_lists=0),)))
    assert hall.place().is_open
