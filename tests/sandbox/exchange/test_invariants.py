"""What holds whatever is commanded: money, books, orders, lists, and that events say what is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from bintrio._protocol.to_json import write_event
from bintrio.api.events import ExecutionReport, ListStatus, OutboundAccountPosition
from bintrio.api.general import ExecutionRule
from bintrio.api.market import BlockTrade
from bintrio.api.order_lists import (
    OrderListPlace,
    OrderListPlaceOco,
    OrderListPlaceOpo,
    OrderListPlaceOpoco,
    OrderListPlaceOto,
    OrderListPlaceOtoco,
)
from bintrio.api.sor import SorOrderPlace
from bintrio.api.trading import OrderCancelReplace
from bintrio.errors import InvalidRequest
from bintrio.sandbox.exchange.amending import amend
from bintrio.sandbox.exchange.auth import Credential
from bintrio.sandbox.exchange.commissions import Commissions, Rates
from bintrio.sandbox.exchange.limits import Limits, OrderBudget, Unfilled
from bintrio.sandbox.exchange.methods import RequestContext, functions
from bintrio.sandbox.exchange.orders import NOTHING, Order
from bintrio.sandbox.exchange.reference import MeanOfTrades
from bintrio.sandbox.exchange.refusals import Refusal
from bintrio.sandbox.exchange.replicas import Replicas
from bintrio.sandbox.exchange.sessions import Session
from bintrio.sandbox.exchange.transfers import lock_externally, transfer
from bintrio.sandbox.exchange.units import SECOND

from .hall import D, Hall, symbol
from .told import check_report

ASSETS = ("BTC", "USDT", "USDC", "BNB")
NAMES = ("BTCUSDT", "BTCUSDC")

prices = st.integers(8, 12).map(str)
quantities = st.integers(1, 30).map(lambda tenths: str(D(tenths) / 10))
sides = st.sampled_from(["BUY", "SELL"])
modes = st.sampled_from(["NONE", "NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"])
common = {"symbol": st.sampled_from(NAMES), "side": sides, "quantity": quantities, "self_trade_prevention_mode": modes}
limited = common | {"price": prices, "time_in_force": st.sampled_from(["GTC", "GTC", "IOC", "FOK"])}
triggers = {"stop_price": prices, "trailing_delta": st.sampled_from([None, None, 500, 2_000])}
orders: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"type": st.just("LIMIT")} | limited),
    st.fixed_dictionaries(
        {"type": st.just("LIMIT"), "iceberg_qty": st.just("0.5")} | limited | {"time_in_force": st.just("GTC")}
    ),
    st.fixed_dictionaries(
        {"type": st.just("LIMIT"), "peg_price_type": st.sampled_from(["PRIMARY_PEG", "MARKET_PEG"])} | limited
    ),
    st.fixed_dictionaries({"type": st.just("LIMIT_MAKER")} | common | {"price": prices, "time_in_force": st.none()}),
    st.fixed_dictionaries({"type": st.just("MARKET")} | common),
    st.fixed_dictionaries({"type": st.just("MARKET")} | common | {"quantity": st.none(), "quote_order_qty": prices}),
    st.fixed_dictionaries({"type": st.sampled_from(["STOP_LOSS", "TAKE_PROFIT"])} | common | triggers),
    st.fixed_dictionaries({"type": st.sampled_from(["STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"])} | limited | triggers),
)
pairs: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.just(OrderListPlaceOco),
    "symbol": st.just("BTCUSDT"),
    "side": sides,
    "quantity": quantities,
    "above_type": st.sampled_from(["LIMIT_MAKER", "STOP_LOSS", "TAKE_PROFIT"]),
    "above_price": st.none() | prices,
    "above_stop_price": st.none() | prices,
    "below_type": st.sampled_from(["LIMIT_MAKER", "STOP_LOSS", "TAKE_PROFIT"]),
    "below_price": st.none() | prices,
    "below_stop_price": st.none() | prices,
}
old_pairs: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.just(OrderListPlace),
    "symbol": st.just("BTCUSDT"),
    "side": sides,
    "quantity": quantities,
    "price": prices,
    "stop_price": prices,
    "stop_limit_price": st.none() | prices,
}
chains: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from([OrderListPlaceOpo, OrderListPlaceOpoco, OrderListPlaceOto, OrderListPlaceOtoco]),
    "symbol": st.just("BTCUSDT"),
    "working_type": st.just("LIMIT"),
    "working_side": st.just("BUY"),
    "working_price": prices,
    "working_quantity": quantities,
    "working_time_in_force": st.sampled_from(["GTC", "IOC"]),
    "pending_side": st.just("SELL"),
    "pending_price": prices,
    "pending_quantity": quantities,
}
routed = st.one_of(
    st.fixed_dictionaries({"type": st.just("LIMIT")} | limited),
    st.fixed_dictionaries({"type": st.just("MARKET")} | common),
)
lists = st.one_of(*map(st.fixed_dictionaries, (pairs, old_pairs, chains)))
replacements = st.fixed_dictionaries(
    {
        "cancel_replace_mode": st.sampled_from(["STOP_ON_FAILURE", "ALLOW_FAILURE"]),
        "cancel_order_id": st.sampled_from([None, 10**6]),
        "price": prices,
        "quantity": quantities | st.just("2000"),
    }
)
"""An order id that is not given is that of the order that is chosen. Nobody can pay for the largest quantity."""

moved = st.tuples(st.sampled_from(ASSETS), st.integers(-30, 30))
"""An asset, and how much is deposited or locked by another system; below 0, withdrawn or released."""

commands = st.one_of(
    st.tuples(st.just("place"), st.integers(1, 3), orders),
    st.tuples(st.just("place"), st.integers(1, 3), orders),
    st.tuples(st.just("list"), st.integers(1, 3), lists),
    st.tuples(st.just("route"), st.integers(1, 3), routed),
    st.tuples(st.just("cancel"), st.integers(0, 9), st.none()),
    st.tuples(st.just("amend"), st.integers(0, 9), quantities),
    st.tuples(st.just("replace"), st.integers(0, 9), replacements),
    st.tuples(st.just("transfer"), st.integers(1, 3), moved),
    st.tuples(st.just("lock"), st.integers(1, 3), moved),
    st.tuples(st.just("wait"), st.integers(0, 200), st.none()),
    st.tuples(st.just("block"), st.integers(0, 9), quantities),
)


class World:
    """A hall in which commands are obeyed or refused."""

    def __init__(self) -> None:
        # Of one of them, no trade is far from what was traded of late.
        near = ExecutionRule(rule_type="PRICE_RANGE", bid_limit_mult_up=D("1.15"), ask_limit_mult_down=D("0.85"))
        symbols = symbol(), symbol(quote="USDC", execution_rules=(near,)), symbol(base="BNB")
        self.hall = Hall(*symbols, routes=[NAMES])
        self.hall.engine.references.sources["BTCUSDC"] = MeanOfTrades(bucket_count=3, bucket_width_ms=60_000)
        for uid in (1, 2, 3):
            self.hall.account(uid).commissions = Commissions(
                standard=Rates(D("0.001"), D("0.002")), tax=Rates(buyer=D("0.0005")), is_discounted=uid == 2
            )
        self.hall.account(1).trade_group_id = self.hall.account(2).trade_group_id = 4
        self.engine = self.hall.engine
        self.engine.listings["BNBUSDT"].book.last_price = D(20)
        self.hall.trade_at(10)
        # One of them soon has nothing left to pay with.
        for asset, amount in (("BTC", 5), ("USDT", 60), ("USDC", 60)):
            self.hall.account(3).holding(asset).free = D(amount)
        generous = Limits(orders_per_10_seconds=10_000)
        self.order_budgets = {uid: OrderBudget(generous) for uid in self.engine.accounts}
        self.replicas = Replicas(self.engine, self.order_budgets)
        self.replicas.lag = 1
        self.totals = {asset: self.hall.total(asset) for asset in ASSETS}
        self.external: dict[tuple[int, str], Decimal] = {}
        self.sent: list[bytes] = []
        self.refusal: Refusal | InvalidRequest | None = None
        self.blocks: list[BlockTrade] = []
        self.session = Session(connected_since=self.hall.now, unit="us")
        self.unfilled: dict[int, list[tuple[int, Unfilled]]] = {uid: [] for uid in self.engine.accounts}
        self._known: set[int] = set()
        self._filled: set[int] = set()
        self.engine.take_notices()

    def place_and_tell(self, uid: int, params: dict[str, Any]) -> None:
        """Place an order; its refusal comes out."""
        self.obey(("place", uid, params))
        if self.refusal is not None:
            raise self.refusal

    def obey(self, command: tuple[Any, ...]) -> None:
        name, number, given_ = command
        self.hall.now += 1
        self.refusal = None
        try:
            getattr(self, f"_{name}")(number, given_)
        except (Refusal, InvalidRequest) as refusal:
            self.refusal = refusal
            notices = self.engine.take_notices()
            # An order that was not attempted counts, and there is no event of it.
            assert all(notice.event is None and notice.unfilled == "placed" for notice in notices)
            for notice in notices:
                self.unfilled[notice.uid].append((self.hall.now, "placed"))
        else:
            notices = self.engine.take_notices()
        self.replicas.note(notices, self.hall.now)
        for notice in notices:
            if notice.unfilled is not None:
                self.order_budgets[notice.uid].note(notice.unfilled, self.hall.now)
        self.sent += [write_event(0, notice.event) for notice in notices if notice.event is not None]
        self.check_events([notice.event for notice in notices], notices)

    def _place(self, uid: int, params: dict[str, Any]) -> None:
        self.hall.place(uid, **{"price": None, "time_in_force": None} | params)

    def _route(self, uid: int, params: dict[str, Any]) -> None:
        request = SorOrderPlace(**params)
        self.engine.place(self.hall.account(uid), request, self.hall.now, is_routed=True)

    def _list(self, uid: int, params: dict[str, Any]) -> None:
        kind = params["kind"]
        rest = {name: value for name, value in params.items() if name != "kind" and value is not None}
        if kind is OrderListPlace and "stop_limit_price" in rest:
            rest["stop_limit_time_in_force"] = "GTC"
        if kind in {OrderListPlaceOpo, OrderListPlaceOpoco}:  # what is sold is what was bought
            del rest["pending_quantity"]
        if kind in {OrderListPlaceOpo, OrderListPlaceOto}:
            rest |= {"pending_type": "LIMIT", "pending_time_in_force": "GTC"}
        elif kind in {OrderListPlaceOpoco, OrderListPlaceOtoco}:
            price = rest.pop("pending_price")
            rest |= {"pending_above_type": "LIMIT_MAKER", "pending_above_price": price}
            rest |= {"pending_below_type": "STOP_LOSS", "pending_below_stop_price": "8"}
        self.hall.place_list(kind(**rest), uid)

    def _chosen(self, number: int) -> Order:
        chosen = [order for order in self.engine.orders if order.is_open]
        if not chosen:
            raise Refusal(0, "none is open")
        return chosen[number % len(chosen)]

    def _cancel(self, number: int, _: None) -> None:
        order = self._chosen(number)
        self.engine.cancel(self.hall.account(order.owner), order, self.hall.now, cancel_id="x")

    def _amend(self, number: int, quantity: str) -> None:
        order = self._chosen(number)
        name = f"{order.client_order_id}+"
        amend(self.engine, self.hall.account(order.owner), order, D(quantity), self.hall.now, client_order_id=name)

    def _transfer(self, uid: int, given_: tuple[str, int]) -> None:
        asset, amount = given_
        transfer(self.engine.reports, self.hall.account(uid), asset, D(amount), self.hall.now)
        # Nothing else brings anything into an account, or takes it away.
        self.totals[asset] += amount

    def _lock(self, uid: int, given_: tuple[str, int]) -> None:
        asset, amount = given_
        lock_externally(self.engine.reports, self.hall.account(uid), asset, D(amount), self.hall.now)
        self.external[uid, asset] = self.external.get((uid, asset), NOTHING) + amount

    def _block(self, number: int, quantity: str) -> None:
        tape = self.engine.listings["BTCUSDT"].tape
        self.blocks.append(tape.record_block(D(number + 1), D(quantity), self.hall.now, is_buyer_maker=number % 2 == 0))

    def _wait(self, seconds: int, _: None) -> None:
        self.hall.now += seconds * SECOND

    def _replace(self, number: int, given_: dict[str, Any]) -> None:
        """Both halves are done or none, unless one may fail alone; and what is answered is what was done."""
        old = self._chosen(number)
        found = given_["cancel_order_id"] is None
        cancel_id = old.order_id if found else given_["cancel_order_id"]
        more: dict[str, Any] = given_ | {"symbol": old.symbol, "side": old.side, "cancel_order_id": cancel_id}
        before = len(self.engine.orders)
        halves, code = self._halves(old.owner, OrderCancelReplace(type="LIMIT", time_in_force="GTC", **more))
        assert code == {0: -2022, 1: -2021, 2: 0}[[*halves.values()].count("SUCCESS")]
        assert (halves["cancelResult"] == "SUCCESS") is found
        assert not (found and old.is_open)
        placed = len(self.engine.orders) > before
        assert (halves["newOrderResult"] == "SUCCESS") is placed
        assert found or not placed or given_["cancel_replace_mode"] == "ALLOW_FAILURE"
        if not found and not placed:
            raise Refusal(-2022, "nothing was done")

    def _halves(self, uid: int, request: OrderCancelReplace) -> tuple[dict[str, Any], int]:
        """What became of both, and the code; refused as a whole, if it was."""
        try:
            return self.ask(uid, request), 0
        except Refusal as refusal:
            if refusal.data is None or "cancelResult" not in refusal.data:
                raise
            return refusal.data, refusal.code

    def ask(self, uid: int, request: Any) -> Any:
        """What a method answers to an account."""
        context = RequestContext(
            engine=self.engine,
            replicas=Replicas(self.engine, self.order_budgets),
            limits=Limits(),
            request=request,
            session=self.session,
            credential=Credential("key", uid, lambda _payload, _signature: True),
            order_budget=self.order_budgets[uid],
            now=self.hall.now,
        )
        return functions[request.api.name](context)

    # What holds

    def check(self) -> None:
        for asset, total in self.totals.items():
            assert self.hall.total(asset) == total
        for account in self.engine.accounts.values():
            for asset in ASSETS:
                assert account.holding(asset).free >= 0
                assert account.holding(asset).locked >= 0
                external = self.external.get((account.uid, asset), NOTHING)
                assert account.holding(asset).external == external >= 0
                assert account.holding(asset).locked == self.locked(account.uid, asset) + external
        for name in NAMES:
            self.check_book(name)
        for order in self.engine.orders:
            self.check_order(order)

    def locked(self, uid: int, asset: str) -> Decimal:
        mine = [order for order in self.engine.orders if order.owner == uid]
        groups = {order.group.list_id: order.group for order in mine if order.group is not None}
        held = sum((group.held for group in groups.values() if asset == "BTC"), NOTHING)
        return held + sum((o.reserved for o in mine if o.gives == asset), NOTHING)

    def check_book(self, name: str) -> None:
        book = self.engine.listings[name].book
        bids, asks = book.bids(), book.asks()
        assert not bids or not asks or bids[0][0] < asks[0][0]
        for shown, is_buy in ((bids, True), (asks, False)):
            resting = [o for o in self.engine.orders if o.place == "book" and o.symbol == name and o.is_buy is is_buy]
            levels: dict[Decimal, Decimal] = {}
            for order in resting:
                assert order.is_open
                levels[order.limit] = levels.get(order.limit, NOTHING) + order.visible
            # The best price comes first.
            assert shown == sorted(levels.items(), reverse=is_buy)

    def check_order(self, order: Order) -> None:
        assert order.remaining == order.quantity - order.executed - order.prevented
        assert order.remaining >= 0
        assert order.executed == sum((one.quantity for one in order.executions), NOTHING)
        assert order.is_open or not (order.place or order.reserved)
        assert order.status != "FILLED" or not order.remaining
        assert order.time_in_force != "FOK" or order.status == "FILLED" or not order.executed
        if order.group is not None:
            record = self.hall.account(order.owner).lists[order.list_id]
            assert (record.list_order_status == "ALL_DONE") is order.group.is_done
            assert order.group.held == 0 or not order.group.is_done

    def check_events(self, events: list[Any], notices: Any) -> None:
        """The last event about something says how it is."""
        last: dict[Any, Any] = {}
        for notice, event in zip(notices, events, strict=True):
            if isinstance(event, ExecutionReport):
                last[notice.uid, event.order_id] = event
                self._count(notice.uid, event)
            elif isinstance(event, OutboundAccountPosition):
                last |= {(notice.uid, one.asset): one for one in event.balances}
            elif isinstance(event, ListStatus):
                last[notice.uid, "list", event.order_list_id] = event
        for (uid, *_), event in last.items():
            account = self.hall.account(uid)
            if isinstance(event, ExecutionReport) and event.execution_type == "REJECTED":
                assert event.order_id not in account.orders
            elif isinstance(event, ExecutionReport):
                check_report(event, account.orders[event.order_id])
            elif isinstance(event, ListStatus):
                record = account.lists[event.order_list_id]
                for name in {*record.__struct_fields__} - {"list_status_type", "orders"}:
                    assert getattr(event, name) == getattr(record, name), name
                assert [*map(astuple, event.orders)] == [*map(astuple, record.orders)]
            else:
                holding = account.holding(event.asset)
                assert abs(event.free - holding.free) < D("1E-8")
                assert abs(event.locked - holding.locked) < D("1E-8")

    def _count(self, uid: int, event: ExecutionReport) -> None:
        """Only the first time that an order is new, or is filled, means something to the number of unfilled orders."""
        number, kind = event.order_id, event.execution_type
        if kind == "NEW" and number not in self._known:
            self._known.add(number)
            self.unfilled[uid].append((self.hall.now, "placed"))
        elif kind == "TRADE" and number not in self._filled:
            self._filled.add(number)
            self.unfilled[uid].append((self.hall.now, "made" if event.is_maker else "taken"))

    def check_replicas(self) -> None:
        """Who keeps a copy by what is told has what is."""
        for uid, account in self.engine.accounts.items():
            copy = self.replicas.account(uid, self.hall.now + 9)
            assert copy.lists == account.lists
            assert copy.balances() == account.balances()
            assert [*copy.orders] == [*account.orders]
            for number, order in account.orders.items():
                for name in order.__struct_fields__:
                    assert getattr(copy.orders[number], name) == getattr(order, name), name
            seen = self.replicas.order_budget(uid, self.hall.now + 9)
            for window, known in zip(seen.windows, self.order_budgets[uid].windows, strict=True):
                assert window.count(self.hall.now + 9) == known.count(self.hall.now + 9)
        for name, listing in self.engine.listings.items():
            book, tape, _ = self.replicas.board(name, self.hall.now + 9)
            true = listing.book
            assert (book.bids(99), book.asks(99), book.update_id) == (true.bids(), true.asks(), true.update_id)
            assert book.last_price == true.last_price
            for kind in ("trades", "aggregates", "minutes", "block_trades"):
                assert getattr(tape, kind) == getattr(listing.tape, kind), kind


def test_an_order_that_was_rejected_is_told_and_is_no_order() -> None:
    world = World()
    world.obey(
        (
            "place",
            1,
            {
                "type": "LIMIT",
                "symbol": "BTCUSDT",
                "side": "BUY",
                "price": "9",
                "quantity": "1",
                "time_in_force": "GTC",
            },
        )
    )
    world.obey(
        (
            "replace",
            0,
            {"cancel_order_id": None, "cancel_replace_mode": "STOP_ON_FAILURE", "price": "9", "quantity": "2000"},
        )
    )
    world.check()
    assert b'"x":"REJECTED"' in b"".join(world.sent)
    world.check_replicas()


@pytest.mark.untraced
@settings(max_examples=150, deadline=None)
@given(st.lists(commands, min_size=5, max_size=25))
def test_what_always_holds(given_: list[tuple[Any, ...]]) -> None:
    world = World()
    for command in given_:
        world.obey(command)
        world.check()
    world.check_replicas()


@settings(max_examples=20, deadline=None)
@given(st.lists(commands, min_size=5, max_size=25))
def test_the_same_commands_give_the_same_bytes(given_: list[tuple[Any, ...]]) -> None:
    first, second = World(), World()
    for command in given_:
        first.obey(command)
        second.obey(command)
    assert first.sent == second.sent
