"""Accounts: what they own, and the orders that they placed.

Nothing here makes or destroys assets: an amount is moved between free and locked, or paid from one account to another,
or comes and goes by a deposit or withdrawal.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bintrio.api.account import Balance, PreventedMatch
from bintrio.api.events import AssetBalance
from bintrio.api.orders import OrderList as ListRecord

from .commissions import Commissions, Rates
from .journal import Journal
from .orders import NOTHING, Execution, Order, eight_decimals, snapshot
from .refusals import client_order_id_differs, no_such_order, order_refused


@dataclass(slots=True)  # it changes with each order, which a Struct does more slowly
class Holding:
    """What an account has of one asset.

    Attributes:
        free: what orders may use.
        locked: what orders hold, and other systems of the exchange.
        external: how much of what is locked those others hold.
    """

    free: Decimal = NOTHING
    locked: Decimal = NOTHING
    external: Decimal = NOTHING

    def copy(self) -> Holding:
        """One of its own that is as much."""
        return Holding(self.free, self.locked, self.external)


class Account:
    """One account.

    Args:
        uid: its number.
        balances: what it has of each asset.
        maker_rate: standard commission on what it gets as the maker, as a fraction.
        taker_rate: standard commission on what it gets as the taker, as a fraction.
        commissions: all rates, instead of those two.
        trade_group_id: accounts of one group do not trade with each other if their orders say so; -1 is no group.
        keep: how many closed orders and lists are kept, and at least how many trades of each symbol, the newest; None
            keeps all.

    Attributes:
        orders: all its orders by order id.
        history: the same by symbol.
        executions: its side of each trade by symbol, in the order of the trades.
        allocations: what smart order routing handed to it, by symbol.
        prevented: matches of its orders that self-trade prevention kept from happening, by symbol.
        lists: its order lists by id, as they stand.
        updated_at: when its balances last changed, in microseconds.
    """

    def __init__(
        self,
        uid: int,
        balances: Mapping[str, Decimal],
        *,
        maker_rate: Decimal = NOTHING,
        taker_rate: Decimal = NOTHING,
        commissions: Commissions | None = None,
        trade_group_id: int = -1,
        keep: int | None = None,
    ) -> None:
        self.uid = uid
        self.keep = keep
        self.commissions = commissions or Commissions(standard=Rates(maker_rate, taker_rate))
        self.trade_group_id = trade_group_id
        self.orders: dict[int, Order] = {}
        self.history: defaultdict[str, dict[int, Order]] = defaultdict(dict)
        self.executions: defaultdict[str, Journal[Execution]] = defaultdict(Journal)
        self.allocations: defaultdict[str, Journal[Execution]] = defaultdict(Journal)
        self.prevented: defaultdict[str, Journal[PreventedMatch]] = defaultdict(Journal)
        self.lists: dict[int, ListRecord] = {}
        self.updated_at = 0
        self._holdings = defaultdict(Holding, {asset: Holding(free=amount) for asset, amount in balances.items()})
        self._named: dict[tuple[str, str], Order] = {}
        self._namesakes: defaultdict[tuple[str, str], list[Order]] = defaultdict(list)  # those that had the name before
        self._open: dict[int, Order] = {}
        self._closed: deque[Order] = deque()
        self._done: deque[int] = deque()

    # Balances

    def holding(self, asset: str) -> Holding:
        """What it has of one asset."""
        return self._holdings[asset]

    def lock(self, asset: str, amount: Decimal) -> None:
        """Set an amount aside for an order.

        Raises:
            Refusal: -2010, there is not enough.
        """
        holding = self._holdings[asset]
        # Asked here and nowhere else, so no path can spend what is not there.
        if holding.free < amount:
            raise order_refused("Account has insufficient balance for requested action.")
        holding.free -= amount
        holding.locked += amount

    def unlock(self, asset: str, amount: Decimal) -> None:
        """Give an amount that was set aside back to the account."""
        holding = self.holding(asset)
        holding.locked -= amount
        holding.free += amount

    def lock_externally(self, asset: str, amount: Decimal) -> None:
        """Set an amount aside for another system of the exchange; a negative one is given back.

        Raises:
            Refusal: -2010, so much is not free, or was not set aside for such a system.
        """
        if self.holding(asset).external + amount < 0:
            raise order_refused("Account has insufficient balance for requested action.")
        self.lock(asset, amount)
        self.holding(asset).external += amount

    def swap(self, given: str, paid: Decimal, asset: str, received: Decimal) -> None:
        """Take an amount out of what is locked of one asset, and add one to what is free of another."""
        self._holdings[given].locked -= paid
        self._holdings[asset].free += received

    def receive(self, asset: str, amount: Decimal) -> None:
        """Add to what is free; a negative amount takes away from it."""
        self.holding(asset).free += amount

    def balances(self, *, omit_zero: bool = False) -> tuple[Balance, ...]:
        """All balances, by the alphabet, as account.status shows them."""
        return tuple(
            Balance(asset=asset, free=eight_decimals(holding.free), locked=eight_decimals(holding.locked))
            for asset, holding in sorted(self._holdings.items())
            if not omit_zero or holding.free or holding.locked
        )

    def balances_of(self, assets: Iterable[str]) -> tuple[AssetBalance, ...]:
        """Some balances, as outboundAccountPosition shows them."""
        holdings = ((asset, self.holding(asset)) for asset in assets)
        return tuple(
            AssetBalance(asset=asset, free=eight_decimals(holding.free), locked=eight_decimals(holding.locked))
            for asset, holding in holdings
        )

    def set_holdings(self, holdings: Mapping[str, Holding], updated_at: int) -> None:
        """Let it have as much as another copy of the account had."""
        self._holdings |= holdings
        self.updated_at = updated_at

    # Orders

    def check_client_order_id(self, order: Order) -> None:
        """Refuse an order whose client order id an open order of its symbol has.

        Raises:
            Refusal: -2010.
        """
        if self.is_taken(order.symbol, order.client_order_id):
            raise order_refused("Duplicate order sent.")

    def is_taken(self, symbol: str, client_order_id: str) -> bool:
        """Whether an open order of the symbol has that client order id."""
        # Of several that had the name, only the latest can be open.
        latest = self._named.get((symbol, client_order_id))
        return latest is not None and latest.is_open

    def register(self, order: Order) -> None:
        """Take note of a new order."""
        self.orders[order.order_id] = self._open[order.order_id] = order
        self.history[order.symbol][order.order_id] = order
        self._name(order)

    def rename(self, order: Order, client_order_id: str) -> None:
        """Let an order go by another client order id; its former one is free."""
        self._unname(order)
        order.client_order_id = client_order_id
        self._name(order)

    def _name(self, order: Order) -> None:
        """Let an order be the one that its client order id is of: an id is free again once its order is closed."""
        name = (order.symbol, order.client_order_id)
        former = self._named.get(name)
        # Most ids are used once, and then there is no list of those that had it.
        if former is not None:
            self._namesakes[name].append(former)
        self._named[name] = order

    def _unname(self, order: Order) -> None:
        name = (order.symbol, order.client_order_id)
        others = self._namesakes.get(name, [])
        # A later order has the name, so this one is among those that had it before.
        if self._named[name] is not order:
            others.remove(order)
        # Its name is again that of the one that had it before.
        elif others:
            self._named[name] = others.pop()
        else:
            del self._named[name]
        # Else names that are never used again would fill the memory.
        if not others:
            self._namesakes.pop(name, None)

    def retire(self, order: Order) -> None:
        """Take note that an order is no longer open."""
        del self._open[order.order_id]
        self._closed.append(order)
        # Open orders are never forgotten.
        if self.keep is not None and len(self._closed) > self.keep:
            self._forget(self._closed.popleft())

    def _forget(self, order: Order) -> None:
        del self.orders[order.order_id], self.history[order.symbol][order.order_id]
        self._unname(order)

    def find(self, symbol: str, order_id: int | None, client_order_id: str | None) -> Order:
        """An order by either id; with both, by the order id, and the other must agree.

        Of several orders that went by one client order id one after the other, it is the latest.

        Raises:
            Refusal: -2013 or -2039.
        """
        order = self._named.get((symbol, client_order_id or "")) if order_id is None else self.orders.get(order_id)
        # An id is looked for on the symbol that was named, as on the exchange.
        if order is None or order.symbol != symbol:
            raise no_such_order()
        # With both, the exchange looks for the order id, and the other has to agree.
        if client_order_id is not None and order.client_order_id != client_order_id:
            raise client_order_id_differs()
        return order

    def open_orders(self, symbol: str | None = None) -> Iterator[Order]:
        """Orders that can still trade, oldest first."""
        orders = self._open.values()
        return iter(orders) if symbol is None else (order for order in orders if order.symbol == symbol)

    def note(self, execution: Execution) -> None:
        """Take note of its side of a trade, or of an allocation."""
        kept = self.executions if execution.allocation_id is None else self.allocations
        journal = kept[execution.order.symbol]
        journal.append(execution)
        if self.keep is not None:
            journal.bound(self.keep)

    def note_prevented(self, match: PreventedMatch) -> None:
        """Take note of a match that did not happen."""
        journal = self.prevented[match.symbol]
        journal.append(match)
        journal.bound(self.keep)

    # Order lists

    def note_list(self, record: ListRecord) -> None:
        """Take note of how a list stands."""
        self.lists[record.order_list_id] = record
        # A list that is not done is never forgotten.
        if self.keep is not None and record.list_order_status == "ALL_DONE":
            self._done.append(record.order_list_id)
            if len(self._done) > self.keep:
                del self.lists[self._done.popleft()]

    def open_lists(self) -> Iterator[ListRecord]:
        """Lists that have an open order, oldest first."""
        return (record for record in self.lists.values() if record.list_order_status != "ALL_DONE")

    def list_named(self, client_order_id: str) -> ListRecord | None:
        """The list that took a list client order id last."""
        # The latest first: a name is free again once its list is done.
        return next((one for one in reversed(self.lists.values()) if one.list_client_order_id == client_order_id), None)

    # Copies

    def copy(self) -> Account:
        """An account of its own that stands as this one does."""
        twin = Account(self.uid, {}, commissions=self.commissions, trade_group_id=self.trade_group_id, keep=self.keep)
        for order in self.orders.values():
            # A snapshot of each, else later trades would show in the copy too.
            twin.update(snapshot(order))
        # What only grows is copied as it is; its records never change.
        for own, copied in zip(self.journals, twin.journals, strict=True):
            copied.update({symbol: kept.copy() for symbol, kept in own.items()})
        twin.lists, twin._done = {**self.lists}, self._done.copy()
        # In the order in which they took the name, which is not that of their ids where one was renamed.
        for name, orders in self._namesakes.items():
            twin._namesakes[name] = [twin.orders[order.order_id] for order in orders]
        twin._named = {name: twin.orders[order.order_id] for name, order in self._named.items()}
        twin.set_holdings({asset: holding.copy() for asset, holding in self._holdings.items()}, self.updated_at)
        return twin

    @property
    def journals(self) -> tuple[defaultdict[str, Journal[Any]], ...]:
        """What only ever grows, by symbol."""
        return self.executions, self.allocations, self.prevented

    def update(self, order: Order) -> None:
        """Let an order stand as this snapshot of it does."""
        own = self.orders.get(order.order_id)
        if own is None:
            self.register(order)
            own = order
        # It was amended meanwhile.
        elif own.client_order_id != order.client_order_id:
            self.rename(own, order.client_order_id)
        for name in order.__struct_fields__:
            setattr(own, name, getattr(order, name))
        # The snapshot may be of its end.
        if not own.is_open and own.order_id in self._open:
            self.retire(own)
