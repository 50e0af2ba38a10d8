"""Orders and order lists that were placed through an account, as objects to wait for.

A handle is there before its call is sent. So whatever becomes of the call, and whoever is cancelled, there is something
that knows what was asked for, and that learns what became of it. What it shows is its course (`courses`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any, Final, Protocol

import trio

from .._protocol.exact import in_exact
from ..api._base import Request
from ..api.account import Order
from ..api.orders import OrderList
from ..api.trading import Fill
from ..errors import AccountNotFollowed, BintrioError, InvalidRequest
from .courses import ListCourse, OrderCourse
from .orders import OrderKey


class Acting(Protocol):
    """What carries out what a handle is asked for."""

    @property
    def is_over(self) -> bool:
        """Whether nobody follows the account any more."""
        ...

    async def cancel_order(self, key: OrderKey) -> None:
        """Cancel an order, and take in what it is then."""
        ...

    async def cancel_list(self, course: ListCourse) -> None:
        """Cancel an order list, and take in what it is then."""
        ...

    async def amend_order(self, key: OrderKey, quantity: Any) -> None:
        """Reduce an order, and take in what it is then."""
        ...


class _Handle:
    """What those of an order and of an order list have in common. Two of the same order are equal."""

    def __init__(self, desk: Acting, course: OrderCourse | ListCourse) -> None:
        self._desk: Final = desk
        self._known: Final = course

    def __eq__(self, other: object) -> bool:
        # Each look at `handles` makes new objects, which are the same to their users.
        return isinstance(other, _Handle) and self._known is other._known

    def __hash__(self) -> int:
        return hash(self._known)

    @property
    def request(self) -> Request[Any] | None:
        """What was asked for, with its client order ids; None for an order of a list."""
        return self._known.request

    @property
    def symbol(self) -> str:
        """Of the order."""
        return self._known.symbol

    @property
    def error(self) -> BintrioError | None:
        """Why it was not placed, or is not known to have been; None if it is known to have been placed."""
        return self._known.error

    @property
    def was_refused(self) -> bool:
        """Whether it was not placed, and never will be."""
        return self._known.was_refused

    @property
    def status(self) -> str:
        """The exchange's status of it, or one of ours.

        That is ``UNKNOWN`` as long as it has none, ``NOT_PLACED`` if it never will, and ``NOT_SHOWN`` if the exchange
        shows it no more: then it is not open, and `state` is what was known last.
        """
        return self._known.status

    @property
    def is_closed(self) -> bool:
        """Whether nothing will become of it any more: of a list, whether all of its orders have ended."""
        return self._known.is_closed

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, or raise `AccountNotFollowed` where nobody would learn it."""
        # Each step can be cancelled, also where there is nothing to wait for.
        await trio.lowlevel.checkpoint_if_cancelled()
        while not is_so():
            if self._desk.is_over:
                raise AccountNotFollowed(repr(self))
            await self._known.moved()
        await trio.lowlevel.cancel_shielded_checkpoint()


class LiveOrder(_Handle):
    """An order that was placed through an account."""

    def __init__(self, desk: Acting, course: OrderCourse) -> None:
        super().__init__(desk, course)
        self._course: Final = course

    def __repr__(self) -> str:
        return f"<LiveOrder {self.client_order_id} of {self.symbol}, {self.status}>"

    # As it stands

    @property
    def client_order_id(self) -> str:
        """That it was sent with."""
        return self._course.client_id

    @property
    def order_id(self) -> int | None:
        """The exchange's; None as long as it is not known whether it was placed."""
        return self._course.number

    @property
    def group(self) -> LiveOrderList | None:
        """The order list that it belongs to; None without one."""
        group = self._course.group
        return None if group is None else LiveOrderList(self._desk, group)

    @property
    def key(self) -> OrderKey | None:
        """Symbol and order id; None as long as the latter is not known."""
        return self._course.key

    @property
    def state(self) -> Order | None:
        """The latest that is known of it; None if it was not placed, or that is not known yet."""
        return self._course.order

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Its trades that are known, in the order in which they became known: after `closed` and `filled`, all of them.

        Before, one may be missing: the exchange tells of an order and of its trades one after the other, and what was
        lost is asked for later. `has_all_fills` says whether that is so.
        """
        return tuple(self._course.fills.values())

    @property
    def has_all_fills(self) -> bool:
        """Whether the quantities of `fills` make up what is known to be executed.

        False after `closed` or `filled` if the exchange was asked and does not tell all trades, or if the account was
        left before they were known.
        """
        return self._course.has_all_fills

    @property
    @in_exact
    def remaining(self) -> Decimal | None:
        """What may yet trade of it; None as long as that is not known."""
        state = self.state
        # Refused, nothing of it will trade. Otherwise it may have been placed.
        if state is None:
            return Decimal(0) if self.was_refused else None
        # What self-trade prevention took away trades no more.
        return Decimal(0) if self.is_closed else state.orig_qty - state.executed_qty - (state.prevented_quantity or 0)

    # Waiting

    async def placed(self) -> Order | None:
        """Wait until it is known whether it was placed. Returns the order, or None if it was not.

        Raises:
            AccountNotFollowed: that is not known, and the account is left, or its session closed.
        """
        # Its number alone does not do: after an ACK, the order itself comes by an event.
        await self._until(lambda: self.was_refused or self.state is not None)
        return self.state

    async def closed(self) -> Order | None:
        """Wait until it has ended, and its `fills` are known. Returns the order, or None if it was not placed.

        Fills that no event has told of are asked for, two seconds after the end is known, and again for as long as the
        exchange gives no answer. Where it refuses to tell them, or tells less than what was executed, or the account is
        left meanwhile, this returns without them: `has_all_fills` is False then. Of an order that the exchange shows no
        more (`status`), this returns what was known last.

        Raises:
            AccountNotFollowed: its end is not known, and the account is left, or its session closed.
        """
        await self._until(lambda: self._course.is_settled)
        return self.state

    async def filled(self) -> bool:
        """Wait as `closed` does. Whether all of it was filled.

        Raises:
            AccountNotFollowed: as `closed` does.
        """
        order = await self.closed()
        return order is not None and order.status == "FILLED"

    async def new_fills(self) -> AsyncIterator[Fill]:
        """Its trades from the first one on, as they come, until it has ended and they are known as `closed` says.

        Raises:
            AccountNotFollowed: as `closed` does, once those that are known were given.
        """
        seen: list[Fill] = []
        while True:
            await self._until(lambda: len(self._course.fills) > len(seen) or self._course.is_settled)
            # Fills are only added, so those that were given come first.
            fresh = self.fills[len(seen) :]
            # It was woken since all is known, so nothing more comes.
            if not fresh:
                return
            for fill in fresh:
                seen.append(fill)
                yield fill

    # Acting

    async def cancel(self) -> Order | None:
        """Cancel it. Returns the order as it stands then; its status tells whether that, or a trade, came first.

        What it has traded before may be known a little later: ``await order.closed()`` before `fills` are summed up.
        While it is not known whether it was placed, this waits until it is.

        Raises:
            Rejected, NotSent: as `Session.order_cancel` does; an order that has ended already is no error.
            AccountNotFollowed: as `placed` does.
            OutcomeUnknown: whether it was canceled could not be found out.
        """
        await self.placed()
        # It was not placed, or has ended: nothing is left to cancel.
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
            AccountNotFollowed: as `placed` does.
            OutcomeUnknown: whether it was reduced could not be found out.
        """
        await self.placed()
        if self.key is None or self.is_closed:
            raise InvalidRequest(f"order {self.client_order_id} is {self.status}: there is nothing to amend")
        await self._desk.amend_order(self.key, quantity)
        return self.state


class LiveOrderList(_Handle):
    """An order list that was placed through an account."""

    def __init__(self, desk: Acting, course: ListCourse) -> None:
        super().__init__(desk, course)
        self._course: Final = course

    def __repr__(self) -> str:
        return f"<LiveOrderList {self.list_client_order_id} of {self.symbol}, {self.status}>"

    @property
    def list_client_order_id(self) -> str:
        """That it was sent with."""
        return self._course.client_id

    @property
    def list_id(self) -> int | None:
        """The exchange's; None as long as it is not known whether it was placed."""
        return self._course.number

    @property
    def orders(self) -> tuple[LiveOrder, ...]:
        """Its orders, as the exchange lists them; empty as long as it is not known whether it was placed."""
        return tuple(LiveOrder(self._desk, order) for order in self._course.orders)

    @property
    def state(self) -> OrderList | None:
        """The latest that is known of it; None if it was not placed, or that is not known yet."""
        return self._course.order_list

    async def placed(self) -> OrderList | None:
        """Wait until it is known whether it was placed. Returns the list, or None if it was not.

        Raises:
            AccountNotFollowed: that is not known, and the account is left, or its session closed.
        """
        await self._until(lambda: self.was_refused or self.state is not None)
        return self.state

    async def closed(self) -> tuple[Order, ...]:
        """Wait until all of its orders have ended, and their fills are known. Returns them; none if it was not placed.

        Of fills that the exchange does not tell, see `LiveOrder.closed`.

        Raises:
            AccountNotFollowed: as `LiveOrder.closed` does.
        """
        await self._until(lambda: self._course.is_settled)
        return self._orders_known()

    async def cancel(self) -> tuple[Order, ...]:
        """Cancel all of it. Returns its orders as they stand then.

        Raises:
            As `LiveOrder.cancel` does.
        """
        await self.placed()
        # As with an order: it was not placed, or has ended.
        if self.list_id is not None and not self.is_closed:
            await self._desk.cancel_list(self._course)
        return self._orders_known()

    def _orders_known(self) -> tuple[Order, ...]:
        return tuple(course.order for course in self._course.orders if course.order is not None)
