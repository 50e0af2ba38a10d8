"""What holds whatever is commanded, in any order: a state machine over the engine and every query of an account."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import astuple

from bintrio.api._base import catalogue
from bintrio.api.account import (
    AccountCommission,
    AccountRateLimitsOrders,
    AccountStatus,
    AllOrderLists,
    AllOrders,
    MyAllocations,
    MyFilters,
    MyPreventedMatches,
    MyTrades,
    OpenOrderListsStatus,
    OpenOrdersStatus,
    OrderAmendments,
    OrderListStatus,
    OrderStatus,
)
from bintrio.api.authentication import SessionStatus
from bintrio.api.general import ExchangeInfo, ExecutionRules, Nothing, Ping, Time
from bintrio.api.market import (
    AvgPrice,
    BlockTradesHistorical,
    CurrentReferencePrice,
    Depth,
    Klines,
    ReferencePrice,
    ReferencePriceCalculation,
    TradesAggregate,
    TradesHistorical,
    TradesRecent,
    UiKlines,
)
from bintrio.api.order_lists import OrderListPlaceOco
from bintrio.api.sor import SorOrderTest
from bintrio.api.tickers import Ticker, Ticker24hr, TickerBook, TickerPrice, TickerTradingDay
from bintrio.api.trading import OrderTest
from bintrio.api.user_data import SessionSubscriptions
from bintrio.errors import InvalidRequest
from bintrio.sandbox.exchange.orders import NOTHING, Order, eight_decimals
from bintrio.sandbox.exchange.reference import MeanOfTrades
from bintrio.sandbox.exchange.refusals import Refusal
from bintrio.sandbox.exchange.tape import MINUTE
from bintrio.sandbox.exchange.units import SECOND

from .test_invariants import ASSETS, NAMES, World, lists, moved, orders, prices, quantities, replacements, routed, sides
from .told import ALLOCATION, TRADE, check_executions, check_orders, unfilled

_BEST = ("bid_price", "bid_qty", "ask_price", "ask_qty")

uids = st.integers(1, 3)
numbers = st.integers(0, 9)


def _turn(order: Order) -> tuple[Decimal, int]:
    """Who is less trades first: the better price, then the earlier time."""
    return (order.limit.copy_negate() if order.is_buy else order.limit), order.working_time


class Machine(RuleBasedStateMachine):
    """Commands go to two worlds, which must tell the same; queries are asked of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.world, self.twin = World(), World()
        self.filled: dict[int, Decimal] = {}
        self.asked: set[str] = set()

    def both(self, *command: Any) -> None:
        queues = self.queues()
        for world in (self.world, self.twin):
            world.obey(command)
        self.check_priority(queues)

    # Commands

    @rule(uid=uids, given=orders)
    def place(self, uid: int, given: dict[str, Any]) -> None:
        self.both("place", uid, given)

    @rule(uid=uids, given=lists)
    def place_list(self, uid: int, given: dict[str, Any]) -> None:
        self.both("list", uid, given)

    @rule(uid=uids, given=routed)
    def route(self, uid: int, given: dict[str, Any]) -> None:
        self.both("route", uid, given)

    @rule(taker=uids, side=sides, price=prices, offered=quantities, wanted=quantities, is_amended=st.booleans())
    def meet(self, taker: int, side: str, price: str, offered: str, wanted: str, *, is_amended: bool) -> None:
        """Two come to rest at one price, one after the other, and a third takes of what they offer."""
        known = {"type": "LIMIT", "symbol": "BTCUSDT", "price": price}
        for maker in {1, 2, 3} - {taker}:
            self.both("place", maker, known | {"side": side, "quantity": offered, "time_in_force": "GTC"})
        # Who is first stays first when there is less of it.
        if is_amended:
            open_orders = [order for order in self.world.engine.orders if order.is_open]
            self.both("amend", len(open_orders) - 2, str(Decimal(offered) - Decimal("0.1")))
        other = "SELL" if side == "BUY" else "BUY"
        self.both("place", taker, known | {"side": other, "quantity": wanted, "time_in_force": "IOC"})

    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        self.both("cancel", number, None)

    @rule(number=numbers, quantity=quantities)
    def amend(self, number: int, quantity: str) -> None:
        self.both("amend", number, quantity)

    @rule(number=numbers, given=replacements)
    def replace(self, number: int, given: dict[str, Any]) -> None:
        self.both("replace", number, given)

    @rule(uid=uids, kind=st.sampled_from(["transfer", "lock"]), given=moved)
    def move(self, uid: int, kind: str, given: tuple[str, int]) -> None:
        self.both(kind, uid, given)

    @rule(seconds=st.integers(0, 200))
    def wait(self, seconds: int) -> None:
        self.both("wait", seconds, None)

    # Priority

    def queues(self) -> dict[tuple[str, bool], list[tuple[Order, Decimal]]]:
        """What rests of plain orders, first to trade first, with what was filled of each."""
        found: dict[tuple[str, bool], list[tuple[Order, Decimal]]] = {}
        for name in NAMES:
            for is_buy in (True, False):
                resting = [
                    order
                    for order in self.world.engine.orders
                    if order.place == "book" and order.symbol == name and order.is_buy is is_buy
                ]
                resting.sort(key=_turn)
                found[name, is_buy] = [(one, one.executed) for one in resting if not one.iceberg_quantity]
        return found

    def check_priority(self, queues: dict[tuple[str, bool], list[tuple[Order, Decimal]]]) -> None:
        """Who was filled in a command had nobody before them who was left unfilled and is still there."""
        for queue in queues.values():
            left: tuple[Decimal, int] | None = None
            for order, before in queue:
                assert left is None or order.executed == before or _turn(order) == left
                if left is None and order.place == "book":
                    left = _turn(order)

    # What holds

    @invariant()
    def money_books_orders_and_lists_hold(self) -> None:
        self.world.check()

    @invariant()
    def the_same_commands_give_the_same_bytes(self) -> None:
        assert self.world.sent == self.twin.sent

    @invariant()
    def what_was_filled_stays_filled_and_exceeds_nothing(self) -> None:
        for order in self.world.engine.orders:
            assert self.filled.get(order.order_id, NOTHING) <= order.executed <= order.quantity
            self.filled[order.order_id] = order.executed

    def ask(self, uid: int, request: Any) -> Any:
        self.asked.add(request.api.name)
        return self.world.ask(uid, request)

    @rule(uid=uids, name=st.sampled_from(NAMES))
    def queries_of_an_account_say_what_is(self, uid: int, name: str) -> None:
        account = self.world.hall.account(uid)
        mine = [order for order in account.orders.values() if order.symbol == name]
        known = self.ask(uid, AllOrders(symbol=name))
        check_orders(known, mine)
        assert self.ask(uid, OpenOrdersStatus(symbol=name)) == tuple(
            one for one, order in zip(known, mine, strict=True) if order.is_open
        )
        for order in mine:
            assert self.ask(uid, OrderStatus(symbol=name, order_id=order.order_id)) in known
            assert self.ask(uid, OrderAmendments(symbol=name, order_id=order.order_id)) == order.amendments
            prevented = self.ask(uid, MyPreventedMatches(symbol=name, order_id=order.order_id))
            assert {one.match for one in order.preventions} <= {*prevented}
        filled = {order.order_id: order.executed for order in mine if order.executed}
        traded: dict[int, Decimal] = {}
        trades, allocations = self.ask(uid, MyTrades(symbol=name)), self.ask(uid, MyAllocations(symbol=name))
        for one in (*trades, *allocations):
            traded[one.order_id] = traded.get(one.order_id, NOTHING) + one.qty
        assert traded == filled
        check_executions(trades, TRADE, account.executions[name])
        check_executions(allocations, ALLOCATION, account.allocations[name])
        status = self.ask(uid, AccountStatus())
        assert (status.uid, status.update_time) == (uid, account.updated_at)
        assert [(one.asset, one.free, one.locked) for one in status.balances] == [
            (asset, eight_decimals(account.holding(asset).free), eight_decimals(account.holding(asset).locked))
            for asset in sorted(one.asset for one in status.balances)
        ]
        assert {one.asset for one in status.balances} >= {*ASSETS}
        self.check_limits(uid)
        lists_known = self.ask(uid, AllOrderLists())
        assert [*lists_known] == [*account.lists.values()]
        for one in lists_known:
            assert self.ask(uid, OrderListStatus(order_list_id=one.order_list_id)) == one
            assert self.ask(uid, OrderListStatus(orig_client_order_id=one.list_client_order_id)) in lists_known
        open_lists = self.ask(uid, OpenOrderListsStatus())
        assert [*open_lists] == [one for one in lists_known if one.list_order_status == "EXECUTING"]

    def check_limits(self, uid: int) -> None:
        """Unfilled orders, as the events of the account let count them."""
        now = self.world.hall.now
        told = {one.interval: one.count for one in self.ask(uid, AccountRateLimitsOrders())}
        lengths = {"SECOND": 10 * SECOND, "DAY": 86_400 * SECOND}
        changes = self.world.unfilled[uid]
        assert told == {interval: unfilled(changes, length, now) for interval, length in lengths.items()}

    @rule(uid=uids, given=orders | routed)
    def a_test_of_an_order_says_whether_it_could_be_placed(self, uid: int, given: dict[str, Any]) -> None:
        """What an order has to pay, and whether it could trade at once, are no matter of a test."""
        given = {name: value for name, value in given.items() if value is not None}
        refused: list[str] = []
        for kind in (OrderTest, SorOrderTest)[: 1 + (given.keys() <= {*SorOrderTest.__struct_fields__})]:
            tested = [_outcome(partial(world.ask, uid, kind(**given))) for world in (self.world, self.twin)]
            self.asked.add(kind.api.name)
            assert tested[0] == tested[1]
            refused += [said for said in tested[:1] if said]
        placed = [_outcome(partial(world.place_and_tell, uid, given)) for world in (self.world, self.twin)]
        assert not refused or {*refused} == {placed[0]}

    @rule(is_more=st.booleans())
    def queries_of_a_connection_say_what_is(self, *, is_more: bool) -> None:
        session, now = self.world.session, self.world.hall.now
        if is_more and len(session.followed) < 3:
            session.subscribe(len(session.followed) + 1, by_logon=False)
        elif session.followed:
            session.unsubscribe(None)
        assert self.ask(1, Time()).server_time == now
        assert self.ask(1, Ping()) == Nothing()
        told = self.ask(1, SessionSubscriptions())
        assert [one.subscription_id for one in told] == [*session.subscriptions]
        status = self.ask(1, SessionStatus())
        assert (status.server_time, status.user_data_stream) == (now, bool(told))
        assert (status.connected_since, status.authorized_since, status.api_key) == (
            session.connected_since,
            None,
            None,
        )

    @rule(number=numbers, quantity=quantities)
    def trade_a_block(self, number: int, quantity: str) -> None:
        self.both("block", number, quantity)
        told = self.ask(1, BlockTradesHistorical(symbol="BTCUSDT", from_id=0, limit=1_000))
        assert [*told] == self.world.blocks
        assert (told[-1].id, told[-1].price, told[-1].qty) == (len(told), number + 1, Decimal(quantity))

    @rule(name=st.sampled_from(NAMES))
    def queries_of_a_market_say_what_is(self, name: str) -> None:
        listing = self.world.engine.listings[name]
        depth = self.ask(1, Depth(symbol=name))
        for shown, levels in ((depth.bids, listing.book.bids()), (depth.asks, listing.book.asks())):
            assert [(level.price, level.quantity) for level in shown] == levels
        assert depth.last_update_id == listing.book.update_id
        best = self.ask(1, TickerBook(symbol=name))
        assert (best.bid_price, best.bid_qty) == next(iter(listing.book.bids()), (0, 0))
        assert (best.ask_price, best.ask_qty) == next(iter(listing.book.asks()), (0, 0))
        trades = self.ask(1, TradesRecent(symbol=name))
        assert self.ask(1, TickerPrice(symbol=name)).price == (trades[-1].price if trades else 0)
        day = self.ask(1, Ticker24hr(symbol=name))
        assert [getattr(day, key) for key in _BEST] == [getattr(best, key) for key in _BEST]

    @rule(uid=uids, name=st.sampled_from(NAMES))
    def queries_of_rules_say_by_what_is_traded(self, uid: int, name: str) -> None:
        paid, commissions = self.ask(uid, AccountCommission(symbol=name)), self.world.hall.account(uid).commissions
        for told, known in (
            (paid.standard_commission, commissions.standard),
            (paid.tax_commission, commissions.tax),
            (paid.special_commission, commissions.special),
        ):
            assert [told.maker, told.taker, told.buyer, told.seller] == [*astuple(known)]
        assert paid.discount.enabled_for_account is commissions.is_discounted
        filters = self.ask(uid, MyFilters(symbol=name))
        assert filters.symbol_filters == self.world.engine.symbols[name].all_filters()

    @rule(name=st.sampled_from(NAMES))
    def queries_of_trades_say_what_was_traded(self, name: str) -> None:
        trades = self.ask(1, TradesHistorical(symbol=name, from_id=1, limit=1_000))
        assert [trade.id for trade in trades] == [*range(1, len(trades) + 1)]
        assert trades[-500:] == self.ask(1, TradesRecent(symbol=name))
        made = [
            execution
            for account in self.world.engine.accounts.values()
            for execution in account.executions[name]
            if execution.is_maker
        ]
        # The maker's side; the taker may have been routed, and has an allocation then.
        for trade, one in zip(trades, sorted(made, key=lambda one: one.trade_id), strict=True):
            told = (trade.id, trade.price, trade.qty, trade.time, trade.is_buyer_maker)
            assert told == (one.trade_id, one.price, one.quantity, one.time, one.order.is_buy)
            assert trade.quote_qty == eight_decimals(one.price * one.quantity)
        expected = 1
        for one in self.ask(1, TradesAggregate(symbol=name, from_id=1, limit=1_000)):
            parts = trades[one.first_trade_id - 1 : one.last_trade_id]
            assert (one.first_trade_id, one.quantity) == (expected, sum(part.qty for part in parts))
            assert {(part.price, part.time, part.is_buyer_maker) for part in parts} == {
                (one.price, one.time, one.is_buyer_maker)
            }
            expected = one.last_trade_id + 1
        assert expected == len(trades) + 1

    @rule()
    def every_trade_has_two_sides(self) -> None:
        traded = [trade.qty for name in NAMES for trade in self.ask(1, TradesHistorical(symbol=name, from_id=1))]
        assert sum(traded, NOTHING) * 2 == sum((order.executed for order in self.world.engine.orders), NOTHING)

    @rule(name=st.sampled_from(NAMES), interval=st.sampled_from(["1s", "1m", "3m", "1h", "1d"]))
    def candles_are_made_of_the_trades(self, name: str, interval: Any) -> None:
        trades = self.ask(1, TradesHistorical(symbol=name, from_id=1, limit=1_000))
        candles = self.ask(1, Klines(symbol=name, interval=interval, limit=1_000))
        assert candles == self.ask(1, UiKlines(symbol=name, interval=interval, limit=1_000))
        assert bool(candles) is bool(trades)
        for before, after in pairwise(candles):
            assert after.open_time == before.close_time + 1
        for candle in candles:
            within = [trade for trade in trades if candle.open_time <= trade.time <= candle.close_time]
            earlier = [trade.price for trade in trades if trade.time < candle.open_time]
            prices_ = [trade.price for trade in within] or earlier[-1:]
            told = (candle.open, candle.high, candle.low, candle.close)
            assert told == (prices_[0], max(prices_), min(prices_), prices_[-1])
            assert (candle.number_of_trades, candle.volume) == (len(within), sum((t.qty for t in within), NOTHING))
            assert candle.quote_volume == sum((t.quote_qty for t in within), NOTHING)
            bought = [t for t in within if not t.is_buyer_maker]
            assert candle.taker_buy_base_volume == sum((t.qty for t in bought), NOTHING)
            assert candle.taker_buy_quote_volume == sum((t.quote_qty for t in bought), NOTHING)
        assert not candles or candles[-1].open_time <= self.world.hall.now <= candles[-1].close_time

    @rule(name=st.sampled_from(NAMES), size=st.sampled_from(["1m", "5m", "1h", "1d"]))
    def tickers_are_made_of_the_trades(self, name: str, size: Any) -> None:
        trades = self.ask(1, TradesHistorical(symbol=name, from_id=1, limit=1_000))
        for request in (Ticker(symbol=name, window_size=size), Ticker24hr(symbol=name), TickerTradingDay(symbol=name)):
            told = self.ask(1, request)
            within = [trade for trade in trades if told.open_time <= trade.time <= told.close_time]
            assert (told.count, told.volume) == (len(within), sum((trade.qty for trade in within), NOTHING))
            assert told.quote_volume == sum((trade.quote_qty for trade in within), NOTHING)
            if within:
                prices_ = [trade.price for trade in within]
                assert [told.open_price, told.high_price, told.low_price, told.last_price] == [
                    prices_[0],
                    max(prices_),
                    min(prices_),
                    prices_[-1],
                ]
                assert (told.first_id, told.last_id) == (within[0].id, within[-1].id)
                assert told.price_change == told.last_price - told.open_price
                assert abs(told.price_change_percent - 100 * told.price_change / told.open_price) < Decimal("0.001")
                assert told.weighted_avg_price == eight_decimals(told.quote_volume / told.volume)

    @rule(name=st.sampled_from(NAMES))
    def averages_are_made_of_the_trades(self, name: str) -> None:
        trades, now = self.ask(1, TradesHistorical(symbol=name, from_id=1, limit=1_000)), self.world.hall.now
        within = [trade for trade in trades if trade.time >= now - 300 * SECOND] or trades[-1:]
        amount, volume = (sum((getattr(one, kind) for one in within), NOTHING) for kind in ("quote_qty", "qty"))
        told = self.ask(1, AvgPrice(symbol=name))
        assert told.price == (eight_decimals(amount / volume) if within else 0)
        assert told.close_time == (within[-1].time if within else 0)
        reference = self.ask(1, ReferencePrice(symbol=name))
        source = self.world.engine.references.sources.get(name)
        assert isinstance(reference, CurrentReferencePrice) is (source is not None)
        if isinstance(source, MeanOfTrades):
            told_of = self.ask(1, ReferencePriceCalculation(symbol=name))
            assert (told_of.bucket_count, told_of.bucket_width_ms) == (source.bucket_count, source.bucket_width_ms)
        else:
            with pytest.raises(Refusal):
                self.ask(1, ReferencePriceCalculation(symbol=name))
        if isinstance(reference, CurrentReferencePrice) and reference.reference_price is not None:
            recent = [trade.price for trade in trades if trade.time >= now - 4 * MINUTE]
            assert min(recent) - Decimal("1E-8") <= reference.reference_price
            # Counts of trades have four decimals (price_range_execution_rules.md): with less than one trade in the
            # window, what is cut off of the count may raise the mean by any part of it.
            if any(trade.time >= now - 3 * MINUTE for trade in trades):
                assert reference.reference_price <= max(recent) * Decimal("1.0001")

    @rule()
    def what_is_traded_is_told(self) -> None:
        symbols = self.world.engine.symbols
        told = self.ask(1, ExchangeInfo())
        assert {one["symbol"]: one["filters"] for one in told["symbols"]} == {
            name: symbol.all_filters() for name, symbol in symbols.items()
        }
        rules = self.ask(1, ExecutionRules()).symbol_rules
        assert {one.symbol: one.rules for one in rules} == {one.name: one.execution_rules for one in symbols.values()}

    def teardown(self) -> None:
        self.world.check_replicas()
        for name in NAMES:
            self.queries_of_a_market_say_what_is(name)
            for uid in (1, 2, 3):
                self.queries_of_an_account_say_what_is(uid, name)


def _outcome(action: Callable[[], object]) -> str:
    """The words of a refusal; empty without one."""
    try:
        action()
    except (Refusal, InvalidRequest) as error:
        return str(error)
    return ""


NOT_COMPARED = {
    "session.logon": "it changes whose the session is; tests/sandbox/exchange/test_auth.py has what it answers",
    "session.logout": "the same",
}
"""Of what only reads, or may be repeated like it."""


def test_every_query_is_compared_with_the_state() -> None:
    machine = Machine()
    limit = {"type": "LIMIT", "symbol": "BTCUSDT", "side": "BUY", "quantity": "1", "price": "9", "time_in_force": "GTC"}
    machine.place(1, limit | {"self_trade_prevention_mode": "NONE"})
    machine.place_list(2, _PAIR)
    machine.a_test_of_an_order_says_whether_it_could_be_placed(1, limit)
    machine.queries_of_a_connection_say_what_is(is_more=True)
    machine.queries_of_a_connection_say_what_is(is_more=False)
    machine.trade_a_block(1, "1")
    machine.what_is_traded_is_told()
    for name in NAMES:
        machine.queries_of_an_account_say_what_is(1, name)
        machine.queries_of_an_account_say_what_is(2, name)
        machine.queries_of_a_market_say_what_is(name)
        machine.queries_of_rules_say_by_what_is_traded(1, name)
        machine.queries_of_trades_say_what_was_traded(name)
        machine.candles_are_made_of_the_trades(name, "1m")
        machine.tickers_are_made_of_the_trades(name, "1m")
        machine.averages_are_made_of_the_trades(name)
    queries = {name for name, kind in catalogue.items() if kind.api.repeatable}
    assert machine.asked | {*NOT_COMPARED} == queries


_PAIR = {
    "kind": OrderListPlaceOco,
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "1",
    "above_type": "LIMIT_MAKER",
    "above_price": "12",
    "below_type": "STOP_LOSS",
    "below_stop_price": "8",
}

TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
