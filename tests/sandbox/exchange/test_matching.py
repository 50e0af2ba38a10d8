"""The matching engine: money, order states and the order of events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio.api.events import BalanceUpdate, ExecutionReport, ExternalLockUpdate, OutboundAccountPosition
from bintrio.api.trading import OrderPlace
from bintrio.sandbox.exchange.accounts import Account
from bintrio.sandbox.exchange.amending import amend
from bintrio.sandbox.exchange.matching import MatchingEngine
from bintrio.sandbox.exchange.orders import NOTHING, Order
from bintrio.sandbox.exchange.refusals import Refusal
from bintrio.sandbox.exchange.symbols import Symbol
from bintrio.sandbox.exchange.transfers import lock_externally, transfer

D = Decimal
SYMBOL = Symbol(base="BTC", quote="USDT", min_notional=D(0), min_quantity=D("0.1"), step_size=D("0.1"))


class Hall:
    """An engine with two traders; `place` and `reports` keep the tests short."""

    def __init__(self, rate: str = "0") -> None:
        self.engine = MatchingEngine([SYMBOL])
        for uid in (1, 2):
            balances = {"BTC": D(100), "USDT": D(10_000)}
            self.engine.accounts[uid] = Account(uid, balances, maker_rate=D(rate), taker_rate=D(rate))

    def account(self, uid: int = 1) -> Account:
        return self.engine.accounts[uid]

    def place(self, uid: int = 1, **changes: Any) -> Order:
        given: dict[str, Any] = {"side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "price": "10", "quantity": "1"}
        params = {name: value for name, value in (given | changes).items() if value is not None}
        return self.engine.place(self.account(uid), OrderPlace(symbol="BTCUSDT", **params), 5)

    def market(self, uid: int = 1, **changes: Any) -> Order:
        return self.place(uid, **({"type": "MARKET", "time_in_force": None, "price": None} | changes))

    def reports(self, uid: int = 1) -> list[tuple[str, str]]:
        events = [notice.event for notice in self.engine.take_notices() if notice.uid == uid]
        return [(e.execution_type, e.order_status) for e in events if isinstance(e, ExecutionReport)]

    def money(self, uid: int = 1) -> tuple[Any, ...]:
        btc, usdt = self.account(uid).holding("BTC"), self.account(uid).holding("USDT")
        return btc.free, btc.locked, usdt.free, usdt.locked


def state(order: Order) -> tuple[Any, ...]:
    return order.status, order.executed, order.quote_executed


def test_a_resting_order_locks_what_it_may_cost() -> None:
    hall = Hall()
    order = hall.place(price="10", quantity="3")
    assert order.status == "NEW"
    assert hall.money() == (100, 0, 9_970, 30)
    hall.place(2, side="SELL", price="20", quantity="3")
    assert hall.money(2) == (97, 3, 10_000, 0)


def test_a_trade_moves_money_at_the_makers_price_and_releases_the_difference() -> None:
    hall = Hall()
    hall.place(2, side="SELL", price="9", quantity="1")
    order = hall.place(price="10", quantity="3")
    assert state(order) == ("PARTIALLY_FILLED", 1, 9)
    assert hall.money(1) == (101, 0, 9_971, 20)
    assert hall.money(2) == (99, 0, 10_009, 0)


def test_commission_is_taken_from_what_a_side_receives() -> None:
    hall = Hall(rate="0.01")
    hall.place(2, side="SELL", quantity="2")
    order = hall.place(quantity="2")
    assert hall.money(1)[0] == D("101.98")
    assert hall.money(2)[2] == D("10019.8")
    assert hall.engine.fees == {"BTC": D("0.02"), "USDT": D("0.2")}
    (execution,) = order.executions
    assert (execution.commission, execution.commission_asset) == (D("0.02"), "BTC")


def test_each_change_is_reported_and_then_the_balances_of_all() -> None:
    hall = Hall()
    hall.place(2, side="SELL")
    hall.engine.take_notices()
    hall.place()
    notices = hall.engine.take_notices()
    assert [(notice.uid, type(notice.event)) for notice in notices] == [
        (1, ExecutionReport),
        (1, ExecutionReport),
        (2, ExecutionReport),
        (1, OutboundAccountPosition),
        (2, OutboundAccountPosition),
    ]
    taken, filled = notices[0].event, notices[1].event
    assert isinstance(taken, ExecutionReport)
    assert isinstance(filled, ExecutionReport)
    assert (taken.execution_type, filled.execution_type, filled.order_status) == ("NEW", "TRADE", "FILLED")
    assert not filled.is_on_book


def test_immediate_or_cancel_expires_what_it_did_not_get() -> None:
    hall = Hall()
    hall.place(2, side="SELL", quantity="1")
    order = hall.place(time_in_force="IOC", quantity="3")
    assert state(order) == ("EXPIRED", 1, 10)
    assert hall.money() == (101, 0, 9_990, 0)
    assert hall.reports() == [("NEW", "NEW"), ("TRADE", "PARTIALLY_FILLED"), ("EXPIRED", "EXPIRED")]


def test_fill_or_kill_takes_all_or_nothing() -> None:
    hall = Hall()
    hall.place(2, side="SELL", quantity="2")
    assert hall.place(time_in_force="FOK", quantity="3").status == "EXPIRED"
    assert hall.money() == (100, 0, 10_000, 0)
    assert hall.place(time_in_force="FOK", quantity="2").status == "FILLED"


def test_a_market_order_by_quantity_takes_what_is_there_and_expires_the_rest() -> None:
    hall = Hall()
    hall.place(2, side="SELL", price="10", quantity="1")
    hall.place(2, side="SELL", price="11", quantity="1")
    order = hall.market(quantity="3")
    assert state(order) == ("EXPIRED", 2, 21)
    assert hall.money() == (102, 0, 9_979, 0)


def test_a_market_order_by_quote_amount_is_filled_when_the_rest_buys_no_step() -> None:
    hall = Hall()
    hall.place(2, side="SELL", quantity="5")
    order = hall.market(quantity=None, quote_order_qty="15.9")
    assert state(order) == ("FILLED", D("1.5"), 15)
    assert hall.reports()[-1] == ("TRADE", "FILLED")
    sale = hall.market(2, side="SELL", quantity="1")
    assert sale.status == "EXPIRED"


def test_a_market_sale_by_quote_amount() -> None:
    hall = Hall()
    hall.place(2, side="BUY", quantity="5")
    assert hall.market(side="SELL", quantity=None, quote_order_qty="20").executed == 2
    assert hall.money() == (98, 0, 10_020, 0)


def test_canceling_gives_the_money_back() -> None:
    hall = Hall()
    order = hall.place(quantity="2")
    hall.engine.cancel(hall.account(), order, 9, cancel_id="bye")
    assert hall.money() == (100, 0, 10_000, 0)
    assert hall.engine.listings["BTCUSDT"].book.bids() == []
    report = hall.engine.take_notices()[-2].event
    assert isinstance(report, ExecutionReport)
    assert (report.client_order_id, report.original_client_order_id) == ("bye", order.client_order_id)


def test_cancel_restrictions() -> None:
    hall = Hall()
    order = hall.place(quantity="2")
    with pytest.raises(Refusal, match="restrictions") as caught:
        hall.engine.cancel(hall.account(), order, 9, cancel_id="x", restriction="ONLY_PARTIALLY_FILLED")
    assert caught.value.code == -2011
    hall.engine.cancel(hall.account(), order, 9, cancel_id="x", restriction="ONLY_NEW")
    with pytest.raises(Refusal, match="Unknown order sent"):
        hall.engine.cancel(hall.account(), order, 9, cancel_id="x")


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"quantity": "10000"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.15"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0"}, -1013, "Filter failure: LOT_SIZE"),
        ({"price": "10.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "0"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "2000000"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "1000000", "quantity": "100"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "1001"}, -2010, "Account has insufficient balance for requested action."),
        ({"side": "SELL", "quantity": "101"}, -2010, "Account has insufficient balance for requested action."),
        (
            {"type": "LIMIT_MAKER", "time_in_force": None, "price": "30"},
            -2010,
            "Order would immediately match and take.",
        ),
        ({"new_client_order_id": "taken"}, -2010, "Duplicate order sent."),
        (
            {"type": "MARKET", "time_in_force": None, "price": None, "quantity": None, "quote_order_qty": "1"},
            -2010,
            "Order book liquidity is less than LOT_SIZE",
        ),
    ],
)
def test_an_order_that_is_refused_changes_nothing(changes: dict[str, Any], code: int, message: str) -> None:
    hall = Hall()
    hall.place(2, side="SELL", price="20", quantity="1")
    hall.place(new_client_order_id="taken")
    before, orders = hall.money(), list(hall.engine.orders)
    hall.engine.take_notices()
    with pytest.raises(Refusal, match=message) as caught:
        hall.place(**changes)
    assert caught.value.code == code
    assert (hall.money(), hall.engine.orders, hall.engine.take_notices()) == (before, orders, [])


def test_a_closed_symbol_takes_no_order() -> None:
    engine = MatchingEngine([Symbol(base="BTC", quote="USDT", status="HALT")])
    account = engine.accounts[1] = Account(1, {"USDT": D(100)})
    with pytest.raises(Refusal, match=r"Market is closed\."):
        engine.place(account, OrderPlace(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1"), 0)


def test_a_market_order_is_valued_at_the_last_price_or_the_best_offer() -> None:
    engine = MatchingEngine([Symbol(base="BTC", quote="USDT", min_notional=D(50))])
    account = engine.accounts[1] = Account(1, {"USDT": D(1_000), "BTC": D(10)})
    small = OrderPlace(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1")
    assert engine.place(account, small, 0).status == "EXPIRED"  # there is no price at all
    ask = OrderPlace(symbol="BTCUSDT", side="SELL", type="LIMIT", time_in_force="GTC", price="10", quantity="9")
    engine.place(account, ask, 0)
    with pytest.raises(Refusal, match="NOTIONAL"):
        engine.place(account, small, 0)
    engine.place(account, OrderPlace(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="6"), 0)
    with pytest.raises(Refusal, match="NOTIONAL"):
        engine.place(account, OrderPlace(symbol="BTCUSDT", side="SELL", type="MARKET", quantity="1"), 0)


def test_a_client_order_id_is_free_again_once_its_order_is_done() -> None:
    hall = Hall()
    first = hall.place(new_client_order_id="mine")
    hall.engine.cancel(hall.account(), first, 0, cancel_id="x")
    second = hall.place(new_client_order_id="mine")
    assert hall.account().find("BTCUSDT", None, "mine") is second
    assert hall.account().find("BTCUSDT", first.order_id, None) is first


def test_finding_an_order() -> None:
    hall = Hall()
    order = hall.place(new_client_order_id="mine")
    with pytest.raises(Refusal) as caught:
        hall.account().find("BTCUSDT", order.order_id, "other")
    assert caught.value.code == -2039
    for symbol, order_id, client_id in (
        ("BTCUSDT", 99, None),
        ("ETHUSDT", order.order_id, None),
        ("BTCUSDT", None, "no"),
    ):
        with pytest.raises(Refusal) as caught:
            hall.account().find(symbol, order_id, client_id)
        assert caught.value.code == -2013


def test_a_transfer_changes_the_balance_and_says_so() -> None:
    hall = Hall()
    transfer(hall.engine.reports, hall.account(), "DOGE", D(5), 3)
    update, position = (notice.event for notice in hall.engine.take_notices())
    assert update == BalanceUpdate(event_time=3, asset="DOGE", delta=D("5.00000000"), clear_time=3)
    assert isinstance(position, OutboundAccountPosition)
    assert hall.account().holding("DOGE").free == 5
    with pytest.raises(Refusal, match="insufficient"):
        transfer(hall.engine.reports, hall.account(), "DOGE", D(-6), 3)


def test_an_external_lock_takes_from_what_is_free_and_says_so() -> None:
    hall = Hall()
    hall.place(side="SELL", quantity="30")
    hall.engine.take_notices()
    lock_externally(hall.engine.reports, hall.account(), "BTC", D(50), 3)
    update, position = (notice.event for notice in hall.engine.take_notices())
    assert update == ExternalLockUpdate(event_time=3, asset="BTC", delta=D("50.00000000"), transaction_time=3)
    assert isinstance(position, OutboundAccountPosition)
    (told,) = position.balances
    assert (told.asset, told.free, told.locked) == ("BTC", D(20), D(80))
    assert hall.account().holding("BTC").external == 50


@pytest.mark.parametrize("amount", [21, -51])
def test_what_is_not_free_is_not_locked_and_what_orders_hold_is_not_released(amount: int) -> None:
    hall = Hall()
    hall.place(side="SELL", quantity="30")
    lock_externally(hall.engine.reports, hall.account(), "BTC", D(50), 3)
    hall.engine.take_notices()
    with pytest.raises(Refusal, match="insufficient"):
        lock_externally(hall.engine.reports, hall.account(), "BTC", D(amount), 3)
    assert hall.engine.take_notices() == []
    assert hall.money()[:2] == (20, 80)
    lock_externally(hall.engine.reports, hall.account(), "BTC", D(-50), 4)
    assert hall.money()[:2] == (70, 30)


def test_an_unknown_symbol() -> None:
    with pytest.raises(Refusal) as caught:
        Hall().engine.symbol("NOPE")
    assert caught.value.code == -1121


orders = st.fixed_dictionaries(
    {
        "uid": st.sampled_from([1, 2]),
        "side": st.sampled_from(["BUY", "SELL"]),
        "price": st.integers(8, 12).map(str),
        "quantity": st.integers(1, 60).map(lambda tenths: str(D(tenths) / 10)),
        "time_in_force": st.sampled_from(["GTC", "IOC", "FOK"]),
    }
)


@given(st.lists(st.one_of(orders, st.tuples(st.integers(0, 30), st.sampled_from(["cancel", "amend"]))), max_size=40))
def test_whatever_is_placed_amended_and_canceled_no_asset_is_made_or_lost(
    steps: list[dict[str, Any] | tuple[int, str]],
) -> None:
    hall = Hall(rate="0.003")
    for step in steps:
        if isinstance(step, dict):
            hall.place(**step)
        elif step[0] < len(hall.engine.orders) and (order := hall.engine.orders[step[0]]).is_open:
            change(hall, order, step[1])
    for asset, total in (("BTC", 200), ("USDT", 20_000)):
        holdings = [account.holding(asset) for account in hall.engine.accounts.values()]
        assert all(holding.free >= 0 and holding.locked >= 0 for holding in holdings)
        assert sum(h.free + h.locked for h in holdings) + hall.engine.fees.get(asset, NOTHING) == total
    for uid in (1, 2):
        open_orders = list(hall.account(uid).open_orders())
        assert open_orders == [order for order in hall.account(uid).orders.values() if order.is_open]
        locked = sum((order.reserved for order in open_orders if order.is_buy), NOTHING)
        assert hall.account(uid).holding("USDT").locked == locked
    book = hall.engine.listings["BTCUSDT"].book
    if book.bids() and book.asks():
        assert book.bids()[0][0] < book.asks()[0][0]
    executions = [one for account in hall.engine.accounts.values() for one in account.executions["BTCUSDT"]]
    assert len(executions) == 2 * len(hall.engine.listings["BTCUSDT"].tape.trades)


def change(hall: Hall, order: Order, how: str) -> None:
    account = hall.account(order.owner)
    if how == "cancel":
        hall.engine.cancel(account, order, 0, cancel_id="x")
    elif order.quantity > D("0.1"):
        amend(hall.engine, account, order, order.quantity - D("0.1"), 0, client_order_id="x" * order.order_id)


# Amending


def test_amending_gives_the_rest_of_the_money_back_and_keeps_the_place() -> None:
    hall = Hall()
    first, second = hall.place(quantity="3"), hall.place(quantity="3")
    assert amend(hall.engine, hall.account(), first, D(2), 9, client_order_id="new") == 3
    assert hall.money() == (100, 0, 9_950, 50)
    assert (first.client_order_id, first.updated_at, first.status) == ("new", 9, "NEW")
    hall.place(2, side="SELL", quantity="3")
    assert (state(first), state(second)) == (("FILLED", 2, 20), ("PARTIALLY_FILLED", 1, 10))
    assert hall.reports()[:3] == [("NEW", "NEW"), ("NEW", "NEW"), ("REPLACED", "NEW")]


def test_amending_to_what_was_traded_expires_the_order() -> None:
    hall = Hall()
    order = hall.place(quantity="3")
    hall.place(2, side="SELL", quantity="2")
    amend(hall.engine, hall.account(), order, D(2), 9, client_order_id="new")
    assert state(order) == ("EXPIRED", 2, 20)
    assert hall.money() == (102, 0, 9_980, 0)
    assert hall.engine.listings["BTCUSDT"].book.bids() == []
    assert [(one.orig_qty, one.new_qty) for one in order.amendments] == [(D(3), D(2))]


@pytest.mark.parametrize(
    ("quantity", "name", "code"), [("3", "new", -2038), ("4", "new", -2038), ("2", "taken", -2038), ("0", "new", -1013)]
)
def test_an_amendment_that_is_refused_changes_nothing(quantity: str, name: str, code: int) -> None:
    hall = Hall()
    order = hall.place(quantity="3", new_client_order_id="mine")
    hall.place(new_client_order_id="taken")
    before = hall.money()
    with pytest.raises(Refusal) as caught:
        amend(hall.engine, hall.account(), order, D(quantity), 9, client_order_id=name)
    assert caught.value.code == code
    assert (hall.money(), order.client_order_id, order.quantity) == (before, "mine", D(3))
    assert order.amendments == ()


def test_an_order_that_is_over_is_not_amended() -> None:
    hall = Hall()
    order = hall.place(2, side="SELL", type="MARKET", time_in_force=None, price=None)
    with pytest.raises(Refusal, match="Unknown order"):
        amend(hall.engine, hall.account(2), order, D("0.5"), 9, client_order_id="new")
