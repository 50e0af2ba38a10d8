"""Orders and order lists that were placed through an account, as objects to wait for.

A handle is there before its call is sent. So whatever becomes of the call, and whoever is cancelled, there is something
that knows what was asked for, and that learns what became of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any, Final, Protocol

import trio

from ..api._base import Request
from ..api.account import Order
from ..api.orders import OrderList
from ..api.trading import Fill
from ..errors import BintrioError, InvalidRequest
from .orders import OrderKey, is_open
from .state import State


class Acting(Protocol):
    """What carries out what a handle is asked for."""

    @property
    def state(self) -> State:
        """What is known of the account."""
        ...

    async def cancel_order(self, key: OrderKey) -> None:
        """Cancel an order, and take in what it is then."""
        ...

    async def cancel_list(self, symbol: str, list_id: int) -> None:
        """Cancel an order list, and take in what it is then."""
        ...

    async def amend_order(self, key: OrderKey, quantity: Any) -> None:
        """Reduce an order, and take in what it is then."""
        ...


class _Handle:
    """What an order and an order list have in common.

    Attributes:
        request: what was asked for, with its client order ids.
        symbol: of the order.
        error: why it was not placed, or is not known to have been; None if it is known to have been placed.
        was_refused: whether it was not placed, and never will be.
    """

    def __init__(self, desk: Acting, request: Request[Any] | None, symbol: str) -> None:
        self.request: Final = request
        self.symbol: Final = symbol
        self.error: BintrioError | None = None
        self.was_refused = False
        self._desk: Final = desk
        self._moved = trio.Event()

    def move(self) -> None:
        """Wake whoever waits: something of it has changed."""
        self._moved.set()
        self._moved = trio.Event()

    def refuse(self, error: BintrioError | None) -> None:
        """It was not placed, and never will be."""
        self.error, self.was_refused = error, True
        self.move()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not is_so():
            await self._moved.wait()
        await trio.lowlevel.cancel_shielded_checkpoint()


class LiveOrder(_Handle):
    """An order that was placed through an account.

    Attributes:
        client_order_id: that it was sent with.
        order_id: the exchange's; None as long as it is not known whether it was placed.
        group: the order list that it belongs to; None without one.
    """

    def __init__(
        self, desk: Acting, request: Request[Any] | None, symbol: str, client_order_id: str, order_id: int | None = None
    ) -> None:
        super().__init__(desk, request, symbol)
        self.client_order_id: Final = client_order_id
        self.order_id = order_id
        self.group: LiveOrderList | None = None

    def __repr__(self) -> str:
        return f"<LiveOrder {self.client_order_id} of {self.symbol}, {self.status}>"

    # As it stands

    @property
    def key(self) -> OrderKey | None:
        """Symbol and order id; None as long as the latter is not known."""
        return None if self.order_id is None else (self.symbol, self.order_id)

    @property
    def state(self) -> Order | None:
        """The latest that is known of it; None if it was not placed, or that is not known yet."""
        key = self.key
        return None if key is None else self._desk.state.order(key)

    @property
    def status(self) -> str:
        """The exchange's status of it; ``UNKNOWN`` as long as it has none, ``NOT_PLACED`` if it never will."""
        if self.was_refused:
            return "NOT_PLACED"
        state = self.state
        return "UNKNOWN" if state is None else state.status

    @property
    def is_closed(self) -> bool:
        """Whether nothing will become of it any more."""
        state = self.state
        return self.was_refused or (state is not None and not is_open(state))

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Its trades that are known, in the order in which they became known."""
        key = self.key
        return () if key is None else tuple(self._desk.state.fills.get(key, {}).values())

    @property
    def remaining(self) -> Decimal | None:
        """What may yet trade of it; None as long as that is not known."""
        state = self.state
        if state is None:
            return Decimal(0) if self.was_refused else None
        return state.orig_qty - state.executed_qty - (state.prevented_quantity or 0) if is_open(state) else Decimal(0)

    # Waiting

    async def placed(self) -> Order | None:
        """Wait until it is known whether it was placed. Returns the order, or None if it was not."""
        await self._until(lambda: self.was_refused or self.state is not None)
        return self.state

    async def closed(self) -> Order | None:
        """Wait until it has ended. Returns the order, or None if it was not placed."""
        await self._until(lambda: self.is_closed)
        return self.state

    async def filled(self) -> bool:
        """Wait until it has ended. Whether all of it was filled."""
        order = await self.closed()
        return order is not None and order.status == "FILLED"

    async def new_fills(self) -> AsyncIterator[Fill]:
        """Its trades from the first one on, as they come, until it has ended and all of them are known."""
        seen: list[Fill] = []
        while True:
            await self._until(lambda: len(self.fills) > len(seen) or self._is_told())
            fresh = self.fills[len(seen) :]
            if not fresh:
                return
            for fill in fresh:
                seen.append(fill)
                yield fill

    def _is_told(self) -> bool:
        """Whether it has ended and its fills add up."""
        if not self.is_closed:
            return False
        state, key = self.state, self.key
        return state is None or key is None or self._desk.state.executed(key) >= state.executed_qty

    # Acting

    async def cancel(self) -> Order | None:
        """Cancel it. Returns the order as it stands then; its status tells whether that, or a trade, came first.

        While it is not known whether it was placed, this waits until it is.

        Raises:
            Rejected, NotSent: as `Session.order_cancel` does; an order that has ended already is no error.
            OutcomeUnknown: whether it was canceled could not be found out.
        """
        await self.placed()
        if self.key is not None and not self.is_closed:
            await self._desk.cancel_order(self.key)
        return self.state

    async def amend(self, quantity: Decimal | int | str) -> Order | None:
        """Reduce its quantity; it keeps its place in the book. Returns the order as it stands then.

        While it is not known whether it was placed, this waits until it is.

        Args:
            quantity: of the base asset, in all: less than before.

        Raises:
            InvalidRequest: it has ended, or was not placed.
            Rejected, NotSent: as `Session.order_amend_keep_priority` does.
            OutcomeUnknown: whether it was reduced could not be found out.
        """
        await self.placed()
        if self.key is None or self.is_closed:
            raise InvalidRequest(f"order {self.client_order_id} is {self.status}: there is nothing to amend")
        await self._desk.amend_order(self.key, quantity)
        return self.state


class LiveOrderList(_Handle):
    """An order list that was placed through an account.

    Attributes:
        list_client_order_id: that it was sent with.
        list_id: the exchange's; None as long as it is not known whether it was placed.
        orders: its orders, as the exchange lists them; empty as long as it is not known whether it was placed.
    """

    def __init__(self, desk: Acting, request: Request[Any], symbol: str, list_client_order_id: str) -> None:
        super().__init__(desk, request, symbol)
        self.list_client_order_id: Final = list_client_order_id
        self.list_id: int | None = None
        self.orders: tuple[LiveOrder, ...] = ()

    def __repr__(self) -> str:
        return f"<LiveOrderList {self.list_client_order_id} of {self.symbol}, {self.status}>"

    @property
    def state(self) -> OrderList | None:
        """The latest that is known of it; None if it was not placed, or that is not known yet."""
        return None if self.list_id is None else self._desk.state.lists.get(self.list_id)

    @property
    def status(self) -> str:
        """The exchange's status of it; ``UNKNOWN`` as long as it has none, ``NOT_PLACED`` if it never will."""
        if self.was_refused:
            return "NOT_PLACED"
        state = self.state
        return "UNKNOWN" if state is None else state.list_order_status

    @property
    def is_closed(self) -> bool:
        """Whether all of its orders have ended, or it was not placed."""
        return self.was_refused or (bool(self.orders) and all(order.is_closed for order in self.orders))

    async def placed(self) -> OrderList | None:
        """Wait until it is known whether it was placed. Returns the list, or None if it was not."""
        await self._until(lambda: self.was_refused or self.state is not None)
        return self.state

    async def closed(self) -> tuple[Order, ...]:
        """Wait until all of its orders have ended. Returns them; none if it was not placed."""
        await self._until(lambda: self.is_closed)
        return tuple(order.state for order in self.orders if order.state is not None)

    async def cancel(self) -> tuple[Order, ...]:
        """Cancel all of it. Returns its orders as they stand then.

        Raises:
            As `LiveOrder.cancel` does.
        """
        await self.placed()
        if self.list_id is not None and not self.is_closed:
            await self._desk.cancel_list(self.symbol, self.list_id)
        return tuple(order.state for order in self.orders if order.state is not None)
