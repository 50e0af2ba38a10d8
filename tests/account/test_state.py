"""What is known of an account, whatever comes in whatever order; and which of two states of an order is the later."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio.account import Certainty, FillAdded, Holding, HoldingChanged, ListChanged, OrderChanged
from bintrio.account.orders import is_later, key_of, order_of_answer, order_of_event
from bintrio.account.state import State
from bintrio.api.account import Account as AccountRecord
from bintrio.api.account import AccountTrade, Allocation, Balance, CommissionRates, Order
from bintrio.api.events import (
    AssetBalance,
    BalanceUpdate,
    ExecutionReport,
    ExternalLockUpdate,
    ListStatus,
    OutboundAccountPosition,
    UnknownEvent,
)
from bintrio.api.orders import OrderList
from bintrio.api.trading import Fill, OrderPlace
from bintrio.errors import SubscriberTooSlow
from bintrio.sandbox.exchange import shapes
from bintrio.sandbox.exchange.accounts import Account
from bintrio.sandbox.exchange.amending import amend
from bintrio.sandbox.exchange.matching import MatchingEngine
from bintrio.sandbox.exchange.refusals import Refusal
from bintrio.sandbox.exchange.symbols import Symbol

D = Decimal
SYMBOL = Symbol(base="BTC", quote="USDT", min_notional=D(0), min_quantity=D("0.1"), step_size=D("0.1"))
KEY = ("BTCUSDT", 1)


def fresh(keep: int = 100, history: int = 1000) -> State:
    return State(keep=keep, history=history)


def changes(state: State) -> list[tuple[str, str]]:
    return [(type(change).__name__, change.source) for change in state.changes]


# Orders


ACTS = st.lists(
    st.tuples(st.sampled_from(["buy", "sell", "stop", "market", "amend", "cancel"]), st.integers(1, 4)),
    min_size=1,
    max_size=12,
)


def history_of(acts: Sequence[tuple[str, int]]) -> list[Order | ExecutionReport]:
    """All that an exchange tells of the orders of an account: each of its reports, and what queries show meanwhile."""
    engine = MatchingEngine([SYMBOL])
    for uid in (1, 2):
        engine.accounts[uid] = Account(uid, {"BTC": D(1000), "USDT": D(100_000)})
    found: list[Order | ExecutionReport] = []
    for now, (act, number) in enumerate(acts):
        try:
            do(engine, act, number, now)
        except Refusal:
            continue
        events = [notice.event for notice in engine.take_notices() if notice.uid == 1]
        found += [event for event in events if isinstance(event, ExecutionReport)]
        found += [shapes.status(order) for order in engine.accounts[1].orders.values()]
    return found


def do(engine: MatchingEngine, act: str, number: int, now: int) -> None:
    owner, order = engine.accounts[1 + number % 2], next(reversed(engine.accounts[1].orders.values()), None)
    params: dict[str, Any] = {"symbol": "BTCUSDT", "quantity": number}
    limit: dict[str, Any] = {"type": "LIMIT", "time_in_force": "GTC", "price": 10}
    if act in {"buy", "sell"}:
        limit["side"] = act.upper()
        engine.place(owner, OrderPlace(**params, **limit), now)
    elif act == "stop":
        stop: dict[str, Any] = {"type": "STOP_LOSS", "stop_price": 10 + number}
        engine.place(engine.accounts[1], OrderPlace(**params, **stop, side="BUY"), now)
    elif act == "market":
        engine.place(owner, OrderPlace(**params, type="MARKET", side="BUY"), now)
    elif order is not None and act == "amend":
        amend(engine, engine.accounts[1], order, D(number) / 2, now, client_order_id=f"amended-{now}")
    elif order is not None:
        engine.cancel(engine.accounts[1], order, now, cancel_id=f"cancel-{now}")


def as_order(told: Order | ExecutionReport) -> Order:
    return told if isinstance(told, Order) else order_of_event(told)


@given(ACTS, st.randoms(use_true_random=False))
def test_orders_only_go_forward_whatever_comes_in_whatever_order(acts: Sequence[tuple[str, int]], chance: Any) -> None:
    told = history_of(acts)
    latest = {key_of(order): order for order in map(as_order, told)}
    state = fresh()
    shuffled = [*told, *told]
    chance.shuffle(shuffled)
    for each in shuffled:
        if isinstance(each, ExecutionReport):
            state.apply(each)
        else:
            state.take_order(each, "query")
    known = {**state.open_orders, **state.closed_orders}
    assert {key: progress(order) for key, order in known.items()} == {key: progress(o) for key, o in latest.items()}
    for change in state.changes:
        if isinstance(change, OrderChanged) and change.before is not None:
            assert is_later(change.after, change.before)
            assert not is_later(change.before, change.after)
    assert [change.version for change in state.changes] == [*range(1, state.version + 1)]


def progress(order: Order) -> tuple[Any, ...]:
    return order.status, order.executed_qty, order.orig_qty, order.client_order_id, order.is_working


@given(ACTS)
def test_an_event_shows_an_order_as_a_query_does(acts: Sequence[tuple[str, int]]) -> None:
    told = history_of(acts)
    for event, query in pairwise(told):
        if isinstance(event, ExecutionReport) and isinstance(query, Order) and key_of(event) == key_of(query):
            assert msgspec.structs.replace(order_of_event(event), working_time=query.working_time) == query


def test_an_answer_shows_an_order_as_the_event_does() -> None:
    engine = MatchingEngine([SYMBOL])
    engine.accounts[1] = Account(1, {"USDT": D(1000)})
    request = OrderPlace(symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=10, quantity=2)
    order = engine.place(engine.accounts[1], request, 5)
    (event, _) = (notice.event for notice in engine.take_notices())
    assert isinstance(event, ExecutionReport)
    assert order_of_answer(shapes.full(order)) == order_of_event(event) == shapes.status(order)


def an_order(number: int = 1, **changes: Any) -> Order:
    order = Order(
        symbol="BTCUSDT",
        order_id=number,
        order_list_id=-1,
        client_order_id=f"order-{number}",
        price=D(10),
        orig_qty=D(2),
        executed_qty=D(0),
        cummulative_quote_qty=D(0),
        orig_quote_order_qty=D(0),
        status="NEW",
        time_in_force="GTC",
        type="LIMIT",
        side="BUY",
        stop_price=D(0),
        iceberg_qty=D(0),
        time=5,
        update_time=5,
        is_working=True,
        working_time=5,
        self_trade_prevention_mode="NONE",
    )
    return msgspec.structs.replace(order, **changes)


FORWARD = [
    an_order(status="PENDING_NEW", working_time=None, is_working=False, orig_qty=D(0)),
    an_order(working_time=-1, is_working=False),
    an_order(),
    an_order(update_time=6, stop_price=D(9)),  # what a trailing stop follows
    an_order(update_time=6, orig_qty=D("1.8")),
    an_order(update_time=7, prevented_quantity=D("0.5")),
    an_order(update_time=7, prevented_quantity=D("0.6")),
    an_order(update_time=8, executed_qty=D(1), status="PARTIALLY_FILLED", prevented_quantity=D("0.6")),
    an_order(update_time=8, executed_qty=D(1), status="CANCELED", prevented_quantity=D("0.6")),
]


@pytest.mark.parametrize("earlier", range(len(FORWARD) - 1))
def test_what_has_come_further_is_the_later_state(earlier: int) -> None:
    for later in range(earlier + 1, len(FORWARD)):
        assert is_later(FORWARD[later], FORWARD[earlier])
        assert not is_later(FORWARD[earlier], FORWARD[later])


def test_g10_a_status_that_is_not_known_is_open() -> None:
    state = fresh()
    state.take_order(an_order(status="BREWING"), "query")
    assert list(state.open_orders) == [KEY]


@pytest.mark.parametrize("status", ["BREWING", "CANCELING", "UNKNOWN"])
def test_g10_a_list_of_a_status_that_is_not_known_is_open(status: str) -> None:
    state = fresh()
    state.take_list(a_list(5, status), "query")
    assert state.unlisted_lists(()) == [1]
    state.forget_older(9)
    state.take_list(a_list(4, "ALL_DONE"), "query")
    assert not state.unlisted_lists(())


def test_orders_that_ended_are_kept_by_number_with_their_fills_and_names() -> None:
    state = fresh(keep=2)
    state.settle()
    for number in (1, 2, 3):
        state.take_fill(("BTCUSDT", number), a_fill(number), "event")
        state.take_order(an_order(number, status="FILLED", executed_qty=D(2)), "event")
    assert list(state.closed_orders) == list(state.fills) == [("BTCUSDT", 2), ("BTCUSDT", 3)]
    assert state.named("BTCUSDT", "order-1") is None
    assert state.named("BTCUSDT", "order-3") == state.order(("BTCUSDT", 3))


def test_g5_an_order_whose_trades_were_missed_is_kept_until_all_was_asked_for() -> None:
    state = fresh(keep=1)
    for number in (1, 2, 3):
        state.take_order(an_order(number, status="FILLED", executed_qty=D(number != 2), update_time=number), "query")
    state.forget_older(3)
    assert list(state.closed_orders) == [("BTCUSDT", 1), ("BTCUSDT", 3)]
    state.settle()
    assert list(state.closed_orders) == [("BTCUSDT", 3)]


def test_what_ended_before_a_time_is_forgotten_and_what_is_open_is_not() -> None:
    state = fresh()
    for number in (1, 2, 3):
        state.take_order(an_order(number, status="CANCELED", update_time=number), "event")
        state.take_list(a_list(number, "ALL_DONE", number), "event")
    state.take_order(an_order(4, update_time=1), "event")
    state.take_list(a_list(1, number=4), "event")
    state.forget_older(3)
    assert list(state.closed_orders) == [("BTCUSDT", 3)]
    assert list(state.open_orders) == [("BTCUSDT", 4)]
    assert list(state.lists) == [3, 4]


def test_orders_of_two_symbols_may_have_one_id() -> None:
    state = fresh()
    state.take_order(an_order(1), "event")
    state.take_order(an_order(1, symbol="ETHUSDT", client_order_id="other"), "event")
    state.take_fill(("ETHUSDT", 1), a_fill(1), "event")
    state.take_order(an_order(1, symbol="ETHUSDT", client_order_id="other", status="CANCELED"), "event")
    assert (list(state.open_orders), list(state.closed_orders)) == ([KEY], [("ETHUSDT", 1)])
    assert (state.executed(KEY), state.executed(("ETHUSDT", 1))) == (D(0), a_fill(1).qty)


def test_a_client_order_id_that_was_used_again_is_that_of_the_later_order() -> None:
    state = fresh(keep=1)
    state.take_order(an_order(1, status="CANCELED", client_order_id="mine"), "event")
    state.take_order(an_order(2, client_order_id="mine"), "event")
    state.take_order(an_order(3, status="CANCELED"), "event")  # the first is forgotten
    assert state.named("BTCUSDT", "mine") == state.order(("BTCUSDT", 2))


def test_an_order_is_found_by_all_its_names_until_it_is_forgotten() -> None:
    state = fresh(keep=1)
    state.take_order(an_order(1, client_order_id="first"), "event")
    state.take_order(an_order(1, client_order_id="amended", orig_qty=D(1)), "event")
    state.take_order(an_order(1, status="CANCELED", client_order_id="amended", orig_qty=D(1)), "event")
    assert state.named("BTCUSDT", "first") == state.named("BTCUSDT", "amended") == state.order(KEY) is not None
    state.take_order(an_order(2, status="CANCELED"), "event")
    assert state.named("BTCUSDT", "first") is state.named("BTCUSDT", "amended") is None
    assert set(state._by_client_id) == {("BTCUSDT", "order-2")}
    assert set(state._names) == {("BTCUSDT", 2)}


def test_orders_that_are_not_listed_any_more_are_told() -> None:
    state = fresh()
    for number in (1, 2):
        state.take_order(an_order(number), "event")
    assert state.unlisted([an_order(2)]) == [KEY]


# Fills


def a_fill(number: int = 1, **changes: Any) -> Fill:
    fill = Fill(price=D(10), qty=D(1), commission=D("0.1"), commission_asset="BTC", trade_id=number)
    return msgspec.structs.replace(fill, **changes)


def a_trade(number: int, order_id: int = 1) -> AccountTrade:
    return AccountTrade(
        symbol="BTCUSDT",
        id=number,
        order_id=order_id,
        order_list_id=-1,
        price=D(10),
        qty=D(1),
        quote_qty=D(10),
        commission=D("0.1"),
        commission_asset="BTC",
        time=5,
        is_buyer=True,
        is_maker=False,
        is_best_match=True,
    )


def an_allocation(number: int) -> Allocation:
    return Allocation(
        symbol="BTCUSDT",
        allocation_id=number,
        allocation_type="SOR",
        order_id=1,
        order_list_id=-1,
        price=D(10),
        qty=D(1),
        quote_qty=D(10),
        commission=D("0.1"),
        commission_asset="BTC",
        time=5,
        is_buyer=True,
        is_maker=False,
        is_allocator=False,
    )


def test_a_fill_counts_once_however_it_is_known() -> None:
    state = fresh()
    state.take_order(an_order(executed_qty=D(2), status="FILLED"), "query")
    for fill in (a_fill(7), a_fill(7)):
        state.take_fill(KEY, fill, "event")
    state.take_trade(a_trade(7))
    state.take_trade(a_trade(8))
    state.take_trade(an_allocation(7))
    assert [(fill.trade_id, fill.alloc_id) for fill in state.fills[KEY].values()] == [(7, None), (8, None), (-1, 7)]
    assert state.executed(KEY) == D(3)
    assert [change.source for change in state.changes if isinstance(change, FillAdded)] == ["event", "query", "query"]


def test_a_trade_of_an_order_that_is_not_kept_is_left_alone() -> None:
    state = fresh()
    state.take_trade(a_trade(1, order_id=99))
    assert not state.fills
    assert state.version == 0


# Balances


def position(time: int, free: int, locked: int = 0, asset: str = "BTC") -> OutboundAccountPosition:
    balance = AssetBalance(asset=asset, free=D(free), locked=D(locked))
    return OutboundAccountPosition(event_time=time, update_time=time, balances=(balance,))


def an_account(time: int, **free: int) -> AccountRecord:
    rates = CommissionRates(maker=D(0), taker=D(0), buyer=D(0), seller=D(0))
    return AccountRecord(
        maker_commission=0,
        taker_commission=0,
        buyer_commission=0,
        seller_commission=0,
        can_trade=True,
        can_withdraw=True,
        can_deposit=True,
        commission_rates=rates,
        brokered=False,
        require_self_trade_prevention=False,
        prevent_sor=False,
        update_time=time,
        account_type="SPOT",
        balances=tuple(Balance(asset=asset, free=D(amount), locked=D(0)) for asset, amount in free.items()),
        permissions=("SPOT",),
        uid=1,
    )


def held(state: State, asset: str = "BTC") -> tuple[Decimal, Decimal, int, bool]:
    holding = state.holdings[asset]
    return holding.free, holding.locked, holding.as_of, holding.is_certain


def test_an_older_position_changes_nothing_and_one_of_the_same_time_does() -> None:
    state = fresh()
    for event in (position(5, 1), position(5, 2), position(4, 3)):
        state.apply(event)
    assert held(state) == (D(2), D(0), 5, True)
    assert changes(state) == [("HoldingChanged", "event")] * 2


def test_a_position_that_says_the_same_is_newer_and_no_change() -> None:
    state = fresh()
    state.apply(position(5, 1))
    state.apply(position(6, 1))
    assert held(state) == (D(1), D(0), 6, True)
    assert state.version == 1


@pytest.mark.parametrize("clear_time", [7, None])
def test_a_transfer_counts_until_the_next_position_tells(clear_time: int | None) -> None:
    state = fresh()
    state.apply(position(5, 10))
    transfer = BalanceUpdate(event_time=7, asset="BTC", delta=D(3), clear_time=clear_time)
    state.apply(transfer)
    assert held(state) == (D(13), D(0), 5, False)
    state.apply(position(7, 13))
    assert held(state) == (D(13), D(0), 7, True)
    state.apply(transfer)  # the position had it in it
    assert held(state) == (D(13), D(0), 7, True)


def test_an_external_lock_moves_what_is_free_and_one_of_an_unknown_asset_too() -> None:
    state = fresh()
    state.apply(position(5, 10))
    state.apply(ExternalLockUpdate(event_time=6, asset="BTC", delta=D(4), transaction_time=6))
    state.apply(ExternalLockUpdate(event_time=6, asset="ETH", delta=D(-1), transaction_time=6))
    assert held(state) == (D(6), D(4), 5, False)
    assert held(state, "ETH") == (D(1), D(-1), 0, False)


def test_a_query_counts_where_nothing_newer_is_known() -> None:
    state = fresh()
    state.apply(position(5, 1))
    state.apply(position(9, 1, asset="ETH"))
    state.apply(position(9, 1, asset="OLD"))
    state.resume()
    state.apply(position(9, 1, asset="ETH"))
    state.take_account(an_account(7, BTC=2, ETH=2, BNB=2), is_sure=False)
    assert [held(state, asset)[2] for asset in ("BTC", "ETH", "BNB", "OLD")] == [7, 9, 7, 9]
    state.apply(position(7, 1, asset="NEW"))
    state.take_account(an_account(7, BTC=2, ETH=2, BNB=3, NEW=2), is_sure=True)
    # What was known before events were complete may lack something; what came later lacks nothing.
    assert [held(state, asset)[:3] for asset in ("BTC", "ETH", "BNB", "OLD", "NEW")] == [
        (D(2), D(0), 7),
        (D(1), D(0), 9),
        (D(3), D(0), 7),
        (D(1), D(0), 9),
        (D(1), D(0), 7),
    ]
    state.take_account(an_account(10, ETH=3), is_sure=False)
    assert held(state, "ETH")[:3] == (D(3), D(0), 10)
    assert held(state, "OLD")[:3] == (D(0), D(0), 10)  # account.status lists it no more


def test_a_query_makes_certain_what_a_transfer_left_uncertain() -> None:
    state = fresh()
    state.apply(position(9, 10))
    state.apply(BalanceUpdate(event_time=10, asset="BTC", delta=D(3), clear_time=10))
    state.take_account(an_account(9, BTC=13), is_sure=True)
    assert not held(state)[3]  # the answer may be from before the transfer
    state.resume()
    state.take_account(an_account(9, BTC=13), is_sure=True)
    assert held(state) == (D(13), D(0), 9, True)


def test_a_query_from_before_a_transfer_does_not_take_it_back() -> None:
    state = fresh()
    state.apply(position(5, 10))
    state.apply(BalanceUpdate(event_time=9, asset="BTC", delta=D(3), clear_time=9))
    state.apply(ExternalLockUpdate(event_time=8, asset="BTC", delta=D(2), transaction_time=8))
    state.take_account(an_account(8, BTC=9), is_sure=True)  # something else has happened before the transfer
    assert held(state) == (D(11), D(2), 5, False)
    state.take_account(an_account(9, BTC=12), is_sure=False)
    assert held(state) == (D(12), D(0), 9, True)
    state.apply(BalanceUpdate(event_time=11, asset="BTC", delta=D(3), clear_time=11))
    state.resume()
    # It must show the transfer, whatever time it has.
    state.take_account(an_account(10, BTC=15), is_sure=True)
    assert held(state) == (D(15), D(0), 10, True)


# Lists


def a_list(time: int, status: Any = "EXECUTING", number: int = 1) -> OrderList:
    return OrderList(
        order_list_id=number,
        contingency_type="OCO",
        list_status_type="EXEC_STARTED",
        list_order_status=status,
        list_client_order_id=f"list-{number}",
        transaction_time=time,
        symbol="BTCUSDT",
        orders=(),
    )


def test_a_list_goes_forward_to_its_end_and_lists_that_are_done_are_kept_by_number() -> None:
    state = fresh(keep=1)
    for each in (a_list(5), a_list(5), a_list(4), a_list(6), a_list(5, "ALL_DONE"), a_list(9)):
        state.take_list(each, "query")
    assert [c.after.transaction_time for c in state.changes if isinstance(c, ListChanged)] == [5, 6, 5]
    assert not state.unlisted_lists(())
    for number in (2, 3):
        state.take_list(a_list(5, "ALL_DONE", number), "query")
    state.take_list(a_list(5, number=4), "query")
    assert list(state.lists) == [3, 4]
    assert state.unlisted_lists(()) == [4]
    assert not state.unlisted_lists([a_list(5, number=4)])


LIST_TOLD = ListStatus(
    event_time=5,
    symbol="BTCUSDT",
    order_list_id=1,
    contingency_type="OCO",
    list_status_type="EXEC_STARTED",
    list_order_status="EXECUTING",
    list_reject_reason="NONE",
    list_client_order_id="list-1",
    transaction_time=5,
    orders=(),
)


def test_a_list_is_told_by_an_event() -> None:
    state = fresh()
    state.apply(LIST_TOLD)
    assert state.lists == {1: a_list(5)}


def test_what_was_refused_to_a_list_changes_nothing() -> None:
    """enums.md, "Order List Status": ``RESPONSE`` is about the placing or canceling that failed, not about the list."""
    state = fresh()
    refusal = msgspec.structs.replace(
        LIST_TOLD, list_status_type="RESPONSE", list_order_status="REJECT", transaction_time=6
    )
    state.apply(refusal)
    assert state.lists == {}
    state.apply(LIST_TOLD)
    state.apply(refusal)
    assert state.lists == {1: a_list(5)}


def test_an_event_of_an_unknown_type_changes_nothing() -> None:
    state = fresh()
    state.apply(UnknownEvent(event_type="new", raw=b"{}"))
    assert state.version == 0


# Certainty


def test_the_state_stands_as_of_the_first_loss_until_all_was_asked_for() -> None:
    state = fresh()
    state.settle()
    state.settle()
    state.lose(9, "late")
    state.lose(7, "early")
    state.lose(8, "later")
    assert state.as_of == 7
    assert [c.as_of for c in state.changes if isinstance(c, Certainty)] == [None, 9, 7]
    assert state.losses == 3
    assert state.missed_since == 7
    state.interrupt(10, "cut")
    assert state.is_interrupted
    state.resume()
    assert not state.is_interrupted


def test_what_was_missed_before_all_was_known_for_the_first_time_has_a_time_too() -> None:
    state = fresh()
    state.lose(9, "cut")
    assert (state.as_of, state.missed_since) == (0, 9)
    state.settle()
    assert (state.as_of, state.missed_since) == (None, None)


def test_changes_that_are_not_kept_any_more_are_missed_aloud() -> None:
    state = fresh(history=2)
    for time in (1, 2, 3):
        state.apply(position(time, time))
    (second, third) = state.changes_after(1)
    assert isinstance(third, HoldingChanged)
    assert isinstance(second, HoldingChanged)
    assert third.before == second.after == Holding(asset="BTC", free=D(2), locked=D(0), as_of=2)
    assert state.changes_after(3) == []
    with pytest.raises(SubscriberTooSlow):
        state.changes_after(0)
