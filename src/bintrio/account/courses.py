"""How it goes with what was placed: kept by the desk alone. Users see it through a handle (`handles`), and wait by it.

A course is there before its call is sent. It keeps the latest that is known of its order, also when the account has
forgotten an order that has ended.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import trio

from .._protocol.exact import in_exact
from ..api._base import Request
from ..api.account import Order
from ..api.orders import OrderList
from ..api.trading import Fill
from ..errors import BintrioError
from .orders import FillKey, OrderKey, is_done_list, is_open, key_of_fill

_NOTHING: Final = Decimal(0)


class _Course:
    """What those of an order and of an order list have in common.

    Attributes:
        request: what was asked for, with its client order ids.
        symbol: of the order.
        client_id: the client order id that it was sent with, of a list its own.
        number: the exchange's id; None as long as it is not known whether it was placed.
        error: why it was not placed, or is not known to have been; None if it is known to have been placed.
        was_refused: whether it was not placed, and never will be.
        is_lost: whether the exchange shows it no more, so that nobody will tell what it has ended as.
        is_noted: whether it is noted among those that have ended.
    """

    def __init__(self, request: Request[Any] | None, symbol: str, client_id: str) -> None:
        self.request: Final = request
        self.symbol: Final = symbol
        self.client_id: Final = client_id
        self.number: int | None = None
        self.error: BintrioError | None = None
        self.was_refused = False
        self.is_lost = False
        self.is_noted = False
        self._moved = trio.Event()

    def move(self) -> None:
        """Wake whoever waits: something of it has changed."""
        # One event for each change: whoever waits looks again, and then waits for the next.
        self._moved.set()
        self._moved = trio.Event()

    def refuse(self, error: BintrioError | None) -> None:
        """It was not placed, and never will be."""
        self.error, self.was_refused = error, True
        self.move()

    def lose(self) -> None:
        """The exchange shows it no more."""
        self.is_lost = True

    @property
    def last_word(self) -> str | None:
        """What stands for its status where the exchange has none to tell; None if it has one."""
        if self.was_refused:
            return "NOT_PLACED"
        return "NOT_SHOWN" if self.is_lost else None

    async def moved(self) -> None:
        """Wait until something of it changes."""
        await self._moved.wait()


class OrderCourse(_Course):
    """How it goes with an order.

    Attributes:
        order: the latest that is known of it.
        fills: its trades that are known, in the order in which they became known.
        group: that of the order list that it belongs to; None without one.
        is_given_up: whether the exchange was asked for its fills, and could not tell all of them.
    """

    def __init__(self, request: Request[Any] | None, symbol: str, client_id: str) -> None:
        super().__init__(request, symbol, client_id)
        self.order: Order | None = None
        self.fills: Final[dict[FillKey, Fill]] = {}
        self.group: ListCourse | None = None
        self.is_given_up = False

    def take_fill(self, fill: Fill) -> None:
        """It has traded."""
        self.fills[key_of_fill(fill)] = fill

    @property
    def key(self) -> OrderKey | None:
        """Symbol and order id; None as long as the latter is not known."""
        return None if self.number is None else (self.symbol, self.number)

    @property
    def status(self) -> str:
        """See `LiveOrder.status`."""
        return self.last_word or ("UNKNOWN" if self.order is None else self.order.status)

    @property
    def is_closed(self) -> bool:
        """Whether nothing will become of it any more."""
        return self.last_word is not None or (self.order is not None and not is_open(self.order))

    @property
    @in_exact
    def has_all_fills(self) -> bool:
        """Whether the fills that are known make up what was executed."""
        executed = sum((fill.qty for fill in self.fills.values()), _NOTHING)
        # At least: of an order that is behind its fills, none is missing.
        return self.order is None or executed >= self.order.executed_qty

    @property
    def is_told(self) -> bool:
        """Whether it has ended and its fills add up, so that there is nothing more to be learned."""
        return self.is_closed and self.has_all_fills

    @property
    def is_settled(self) -> bool:
        """Whether it has ended, and its fills are known as far as they can be."""
        return self.is_closed and (self.is_given_up or self.has_all_fills)

    def give_up(self) -> None:
        """The exchange cannot tell its fills: nobody has to wait for them."""
        self.is_given_up = True


class ListCourse(_Course):
    """How it goes with an order list.

    Attributes:
        order_list: the latest that is known of it.
        orders: those of its orders, as the exchange lists them; empty as long as it is not known whether it was placed.
    """

    def __init__(self, request: Request[Any], symbol: str, client_id: str) -> None:
        super().__init__(request, symbol, client_id)
        self.order_list: OrderList | None = None
        self.orders: tuple[OrderCourse, ...] = ()

    @property
    def status(self) -> str:
        """See `LiveOrderList.status`."""
        return self.last_word or ("UNKNOWN" if self.order_list is None else self.order_list.list_order_status)

    @property
    def is_closed(self) -> bool:
        """Whether all of its orders have ended, or it was not placed."""
        return self.was_refused or (bool(self.orders) and all(order.is_closed for order in self.orders))

    @property
    def is_settled(self) -> bool:
        """Whether all of its orders have ended, and their fills are known as far as they can be."""
        return self.is_closed and all(order.is_settled for order in self.orders)

    @property
    def is_told(self) -> bool:
        """Whether it and its orders have ended, so that there is nothing more to be learned but fills of those."""
        is_done = self.order_list is not None and is_done_list(self.order_list)
        return (is_done or self.is_lost) and self.is_closed
