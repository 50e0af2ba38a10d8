"""Accounts: what they own, and the orders that they placed.

Nothing here makes or destroys assets: an amount is moved between free and locked, or paid from one account to another,
or comes and goes by a deposit or withdrawal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from bintrio.api.account import Balance
from bintrio.api.events import AssetBalance

from .orders import NOTHING, Execution, Order, eight_decimals
from .refusals import client_order_id_differs, no_such_order, order_refused


class Holding(msgspec.Struct):
    """What an account has of one asset."""

    free: Decimal = NOTHING
    locked: Decimal = NOTHING


class Account:
    """One account.

    Args:
        uid: its number.
        balances: what it has of each asset.
        maker_rate: commission on what it gets as the maker, as a fraction.
        taker_rate: commission on what it gets as the taker, as a fraction.

    Attributes:
        orders: all its orders by order id.
        history: its orders by symbol, in the order of their ids.
        executions: its side of each trade by symbol, in the order of the trades.
        updated_at: when its balances last changed, in microseconds.
    """

    def __init__(
        self,
        uid: int,
        balances: Mapping[str, Decimal],
        *,
        maker_rate: Decimal = NOTHING,
        taker_rate: Decimal = NOTHING,
    ) -> None:
        self.uid = uid
        self.maker_rate = maker_rate
        self.taker_rate = taker_rate
        self.orders: dict[int, Order] = {}
        self.history: defaultdict[str, list[Order]] = defaultdict(list)
        self.executions: defaultdict[str, list[Execution]] = defaultdict(list)
        self.updated_at = 0
        self._holdings = {asset: Holding(free=amount) for asset, amount in balances.items()}
        self._by_client_id: dict[tuple[str, str], Order] = {}
        self._open: dict[int, Order] = {}

    # Balances

    def holding(self, asset: str) -> Holding:
        """What it has of one asset."""
        return self._holdings.setdefault(asset, Holding())

    def lock(self, asset: str, amount: Decimal) -> None:
        """Set an amount aside for an order.

        Raises:
            Refusal: -2010, there is not enough.
        """
        holding = self.holding(asset)
        if holding.free < amount:
            raise order_refused("Account has insufficient balance for requested action.")
        holding.free -= amount
        holding.locked += amount

    def unlock(self, asset: str, amount: Decimal) -> None:
        """Give an amount that was set aside back to the account."""
        holding = self.holding(asset)
        holding.locked -= amount
        holding.free += amount

    def pay(self, asset: str, amount: Decimal) -> None:
        """Take an amount out of what is locked."""
        self.holding(asset).locked -= amount

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
        namesake = self._by_client_id.get((symbol, client_order_id))
        return namesake is not None and namesake.is_open

    def register(self, order: Order) -> None:
        """Take note of a new order."""
        self.orders[order.order_id] = self._open[order.order_id] = order
        self.history[order.symbol].append(order)
        self._by_client_id[(order.symbol, order.client_order_id)] = order

    def rename(self, order: Order, client_order_id: str) -> None:
        """Let an order go by another client order id; its former one is free."""
        del self._by_client_id[(order.symbol, order.client_order_id)]
        order.client_order_id = client_order_id
        self._by_client_id[(order.symbol, client_order_id)] = order

    def retire(self, order: Order) -> None:
        """Take note that an order is no longer open."""
        del self._open[order.order_id]

    def find(self, symbol: str, order_id: int | None, client_order_id: str | None) -> Order:
        """An order by either id; with both, by the order id, and the other must agree.

        Raises:
            Refusal: -2013 or -2039.
        """
        if order_id is None:
            order = self._by_client_id.get((symbol, client_order_id or ""))
        else:
            order = self.orders.get(order_id)
        if order is None or order.symbol != symbol:
            raise no_such_order()
        if client_order_id is not None and order.client_order_id != client_order_id:
            raise client_order_id_differs()
        return order

    def open_orders(self, symbol: str | None = None) -> Iterator[Order]:
        """Orders that can still trade, oldest first."""
        return (order for order in self._open.values() if symbol in {None, order.symbol})
