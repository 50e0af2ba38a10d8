"""What holds whatever is commanded, in any order: a state machine over the engine and every query of an account."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bintrio.api.account import (
    AccountStatus,
    AllOrderLists,
    AllOrders,
    MyAllocations,
    MyPreventedMatches,
    MyTrades,
    OpenOrderListsStatus,
    OpenOrdersStatus,
    OrderAmendments,
    OrderStatus,
)
from bintrio.api.market import Depth, TickerBook, TickerPrice, TradesRecent
from bintrio.sandbox.exchange.auth import Credential
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.methods import RequestContext, functions
from bintrio.sandbox.exchange.orders import NOTHING, Order
from bintrio.sandbox.exchange.replicas import Replicas
from bintrio.sandbox.exchange.sessions import Session

from .test_invariants import NAMES, World, limited, lists, orders, prices, quantities

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

    @rule(uid=uids, given=st.fixed_dictionaries({"type": st.just("LIMIT")} | limited))
    def route(self, uid: int, given: dict[str, Any]) -> None:
        self.both("route", uid, given)

    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        self.both("cancel", number, None)

    @rule(number=numbers, quantity=quantities)
    def amend(self, number: int, quantity: str) -> None:
        self.both("amend", number, quantity)

    @rule(number=numbers, price=prices, quantity=quantities)
    def replace(self, number: int, price: str, quantity: str) -> None:
        """Cancel and place again, as order.cancelReplace does, both or the first alone."""
        open_orders = [order for order in self.world.engine.orders if order.is_open]
        if open_orders:
            old = open_orders[number % len(open_orders)]
            self.both("cancel", number, None)
            given = {"symbol": old.symbol, "side": old.side, "type": "LIMIT", "time_in_force": "GTC"}
            self.both("place", old.owner, given | {"price": price, "quantity": quantity})

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
        world = self.world
        context = RequestContext(
            engine=world.engine,
            replicas=Replicas(world.engine.accounts),
            limits=Limits(),
            request=request,
            session=Session(connected_since=0, unit="us"),
            credential=Credential("key", uid, lambda _payload, _signature: True),
            order_budget=None,
            now=world.hall.now,
        )
        return functions[request.api.name](context)

    @rule(uid=uids, name=st.sampled_from(NAMES))
    def queries_of_an_account_say_what_is(self, uid: int, name: str) -> None:
        account = self.world.hall.account(uid)
        mine = [order for order in account.orders.values() if order.symbol == name]
        known = self.ask(uid, AllOrders(symbol=name))
        assert [(one.order_id, one.status, one.executed_qty, one.orig_qty) for one in known] == [
            (order.order_id, order.status, order.executed, order.quantity) for order in mine
        ]
        assert self.ask(uid, OpenOrdersStatus(symbol=name)) == tuple(
            one for one, order in zip(known, mine, strict=True) if order.is_open
        )
        for order in mine:
            assert self.ask(uid, OrderStatus(symbol=name, order_id=order.order_id)) in known
            assert len(self.ask(uid, OrderAmendments(symbol=name, order_id=order.order_id))) == len(order.amendments)
            prevented = self.ask(uid, MyPreventedMatches(symbol=name, order_id=order.order_id))
            assert {one.match for one in order.preventions} <= {*prevented}
        filled = {order.order_id: order.executed for order in mine if order.executed}
        traded: dict[int, Decimal] = {}
        for one in (*self.ask(uid, MyTrades(symbol=name)), *self.ask(uid, MyAllocations(symbol=name))):
            traded[one.order_id] = traded.get(one.order_id, NOTHING) + one.qty
        assert traded == filled
        status = self.ask(uid, AccountStatus())
        assert all(abs(one.free - account.holding(one.asset).free) < Decimal("1E-8") for one in status.balances)
        lists_known = self.ask(uid, AllOrderLists())
        assert [*lists_known] == [*account.lists.values()]
        open_lists = self.ask(uid, OpenOrderListsStatus())
        assert [*open_lists] == [one for one in lists_known if one.list_order_status == "EXECUTING"]

    @rule(name=st.sampled_from(NAMES))
    def queries_of_a_market_say_what_is(self, name: str) -> None:
        listing = self.world.engine.listings[name]
        depth = self.ask(1, Depth(symbol=name))
        for shown, levels in ((depth.bids, listing.book.bids()), (depth.asks, listing.book.asks())):
            assert [(level.price, level.quantity) for level in shown] == levels
        best = self.ask(1, TickerBook(symbol=name))
        assert (best.bid_price, best.ask_price) == (
            listing.book.price_level(of_bids=True, depth=0) or 0,
            listing.book.price_level(of_bids=False, depth=0) or 0,
        )
        trades = self.ask(1, TradesRecent(symbol=name))
        assert self.ask(1, TickerPrice(symbol=name)).price == (trades[-1].price if trades else 0)

    def teardown(self) -> None:
        self.world.check_replicas()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
