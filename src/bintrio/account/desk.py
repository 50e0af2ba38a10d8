"""What an account is asked to do: place, cancel, amend; and what became of it, whoever was cancelled meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import msgspec
import trio

from .._client.subscriptions import Subscriber
from .._net.tasks import protected
from ..api._base import Request
from ..api.account import Order
from ..api.order_lists import OrderListCancel
from ..api.orders import ListedOrder, OrderList
from ..api.trading import (
    CanceledOrder,
    CanceledOrderList,
    OrderAmended,
    OrderAmendKeepPriority,
    OrderCancel,
    OrderFull,
    OrderReport,
    PendingOrderReport,
    PlacedOrderList,
)
from ..endpoints import TimeUnit
from ..errors import BintrioError, OutcomeUnknown, ProtocolViolation, UnknownOrder
from .changes import Change, ListChanged, OrderChanged
from .handles import LiveOrder, LiveOrderList
from .orders import OrderKey, after_amend, after_cancel, is_open, key_of, order_of_answer
from .state import State
from .stock import QUERY_DELAY, Stock

logger: Final = logging.getLogger("bintrio.account")

_PAUSE: Final = 60.0
"""Seconds until `confirm` is tried again where it has found out nothing."""


class Trading(Protocol):
    """What an account needs of a session."""

    @property
    def time_unit(self) -> TimeUnit:
        """Of all times."""
        ...

    @property
    def unresolved(self) -> tuple[OutcomeUnknown, ...]:
        """Trading calls whose callers were cancelled after they had left."""
        ...

    def now(self) -> int:
        """The exchange's time."""
        ...

    def new_client_order_id(self) -> str:
        """An id that no order has had."""
        ...

    def user_data(self) -> AbstractAsyncContextManager[Subscriber]:
        """Subscribe to the account's events."""
        ...

    async def send(self, request: Request[Any], /) -> Any:
        """Send a request."""
        ...

    async def confirm(self, call: Any) -> Any:
        """Find out what became of a call."""
        ...


class Desk:
    """Sends what changes the account, and takes in what the exchange says to it.

    Args:
        session: to send by.
        state: what is known of the account.
        stock: asks for what is not told.
        publish: is called when the state may have changed.
        nursery: for what has to be found out later.
    """

    def __init__(
        self, session: Trading, state: State, stock: Stock, publish: Callable[[], None], nursery: trio.Nursery
    ) -> None:
        self.state: Final = state
        self._session = session
        self._stock = stock
        self._publish = publish
        self._nursery = nursery
        # Those that have not ended: which have an id, and which are known by a client order id of ours alone.
        self._orders: dict[OrderKey, LiveOrder] = {}
        self._lists: dict[int, LiveOrderList] = {}
        self._unbound: dict[tuple[str, str], LiveOrder | LiveOrderList] = {}
        self._unknown: dict[int, LiveOrder | LiveOrderList] = {}

    def handles(self) -> tuple[LiveOrder | LiveOrderList, ...]:
        """What has not ended."""
        return (*self._unknown.values(), *self._lists.values(), *self._orders.values())

    # Placing

    async def place(self, request: Request[Any]) -> LiveOrder:
        """Place an order. Returns once the exchange has answered, or whether it did is not known."""
        sent, is_fresh = _identified(request, self._session.new_client_order_id)
        order = LiveOrder(self, sent, sent.symbol, sent.new_client_order_id)
        await self._place(order, sent, sent.new_client_order_id if is_fresh else None)
        return order

    async def place_list(self, request: Request[Any]) -> LiveOrderList:
        """Place an order list. Returns once the exchange has answered, or whether it did is not known."""
        sent, is_fresh = _identified(request, self._session.new_client_order_id)
        order_list = LiveOrderList(self, sent, sent.symbol, sent.list_client_order_id)
        await self._place(order_list, sent, sent.list_client_order_id if is_fresh else None)
        return order_list

    async def _place(self, handle: LiveOrder | LiveOrderList, sent: Request[Any], fresh_id: str | None) -> None:
        self._stock.symbols.add(handle.symbol)
        self._unknown[id(handle)] = handle
        if fresh_id is not None:  # an event that names it can be of nothing else
            self._unbound[handle.symbol, fresh_id] = handle
        try:
            answer = await self._session.send(sent)
        except OutcomeUnknown as error:
            self._find_out_later(error, handle)
        except BintrioError as error:
            self._refuse(handle, error)
            raise
        except BaseException:  # cancelled, or Ctrl-C
            if not self._leave_behind(sent, handle):
                self._refuse(handle, None)  # it was not sent
            raise
        else:
            self._take_answer(handle, answer)

    def _take_answer(self, handle: LiveOrder | LiveOrderList, answer: Any) -> None:
        if isinstance(handle, LiveOrderList):
            self._bind_list(handle, answer.order_list_id, answer.orders)
            self._take_list(answer)
        else:
            self._bind(handle, answer.order_id)
            self._take_placed(answer)
        self._publish()

    def _refuse(self, handle: LiveOrder | LiveOrderList, error: BintrioError | None) -> None:
        self._forget(handle)
        handle.refuse(error)

    # What an answer tells

    def _take_list(self, answer: PlacedOrderList[Any]) -> None:
        self.state.take_list(_plain_list(answer), "answer")
        for report in answer.order_reports:
            self._take_placed(report)

    def _take_placed(self, report: Any) -> None:
        """A new order, in whatever shape. An ACK tells no more than the ids: the rest comes with the event."""
        if not isinstance(report, OrderReport):
            return
        try:
            fills = (report.fills or ()) if isinstance(report, OrderFull | PendingOrderReport) else ()
            order = order_of_answer(report)
        except ProtocolViolation as violation:  # of a field that did not come
            logger.warning("asking for the order: %s", violation)
            self._nursery.start_soon(protected, self._ask_for, (report.symbol, report.order_id))
            return
        for fill in fills:
            self.state.take_fill(key_of(order), fill, "answer")
        self.state.take_order(order, "answer")

    async def _ask_for(self, key: OrderKey) -> None:
        try:
            await self._stock.ask_for_order(key)
        except BintrioError as error:
            logger.warning("order %d of %s stands as it was known: %s", key[1], key[0], error)
        self._publish()

    # Canceling and amending

    async def cancel_order(self, key: OrderKey) -> None:
        """Cancel an order, and take in what it is then."""
        await self._change(OrderCancel(symbol=key[0], order_id=key[1]), key, self._take_canceled)

    async def cancel_list(self, symbol: str, list_id: int) -> None:
        """Cancel an order list, and take in what it is then."""
        keys = [key_of(order) for order in self.state.lists[list_id].orders]
        await self._change(OrderListCancel(symbol=symbol, order_list_id=list_id), keys[0], self._take_canceled)
        for key in keys:
            if self._seems_open(key):
                await self._stock.ask_for_order(key)
        self._publish()

    async def amend_order(self, key: OrderKey, quantity: Any) -> None:
        """Reduce an order, and take in what it is then."""
        request = OrderAmendKeepPriority(symbol=key[0], order_id=key[1], new_qty=quantity)
        await self._change(request, key, self._take_amended)

    async def _change(self, request: Request[Any], key: OrderKey, take: Callable[[Any], None]) -> None:
        try:
            answer = await self._session.send(request)
        except UnknownOrder:  # it has ended; what it ended as may not be known yet
            await self._learn_end(key)
        except OutcomeUnknown as error:
            self._take_outcome(await self._session.confirm(error))
        except BintrioError:
            raise
        except BaseException:  # cancelled, or Ctrl-C: events tell what became of it
            self._leave_behind(request, None)
            raise
        else:
            try:
                take(answer)
            except ProtocolViolation:  # of a field that did not come
                await self._stock.ask_for_order(key)
        self._publish()

    async def _learn_end(self, key: OrderKey) -> None:
        """What an order has ended as: queries may be behind the matching engine."""
        for delay in (0.0, QUERY_DELAY):
            await trio.sleep(delay)
            if self._seems_open(key):
                await self._stock.ask_for_order(key)

    def _seems_open(self, key: OrderKey) -> bool:
        known = self.state.order(key)
        return known is None or is_open(known)

    def _take_canceled(self, answer: CanceledOrder | CanceledOrderList) -> None:
        if isinstance(answer, CanceledOrderList):
            self.state.take_list(_plain_list(answer), "answer")
            for report in answer.order_reports:
                self._take_canceled(report)
            return
        known = self.state.order((answer.symbol, answer.order_id))
        if known is not None:
            self.state.take_order(after_cancel(known, answer), "answer")

    def _take_amended(self, answer: OrderAmended) -> None:
        amended = answer.amended_order
        known = self.state.order((amended.symbol, amended.order_id))
        if known is not None:
            self.state.take_order(after_amend(known, amended, answer.transact_time), "answer")

    def _take_outcome(self, outcome: Any) -> None:
        """What `confirm` has found out."""
        if isinstance(outcome, Order):
            self.state.take_order(outcome, "query")
        elif isinstance(outcome, OrderList):
            self.state.take_list(outcome, "query")

    # What is not known

    def _leave_behind(self, sent: Request[Any], handle: LiveOrder | LiveOrderList | None) -> bool:
        """The caller of a call was cancelled: if it has left, find out what became of it. Whether it has."""
        error = next((error for error in self._session.unresolved if error.request == sent), None)
        if error is not None:
            self._find_out_later(error, handle)
        return error is not None

    def _find_out_later(self, error: OutcomeUnknown, handle: LiveOrder | LiveOrderList | None) -> None:
        if handle is not None and id(handle) in self._unknown:  # no event has told what became of it
            handle.error = error
        self._nursery.start_soon(protected, self._find_out, error, handle)

    async def _find_out(self, error: OutcomeUnknown, handle: LiveOrder | LiveOrderList | None) -> None:
        """Ask until it is known what became of a call."""
        while True:
            try:
                outcome = await self._session.confirm(error)
                break
            except (BintrioError, ExceptionGroup) as reason:
                logger.warning("asking again in %g s what became of it: %s", _PAUSE, reason)
                await trio.sleep(_PAUSE)
        if handle is not None and outcome is None:
            self._refuse(handle, error)
        elif isinstance(handle, LiveOrderList):
            self._bind_list(handle, outcome.order_list_id, outcome.orders)
        elif handle is not None:
            self._bind(handle, outcome.order_id)
        self._take_outcome(outcome)
        self._publish()

    # Who is who

    def move(self, change: Change) -> None:
        """Wake whoever waits for what has changed."""
        if isinstance(change, OrderChanged):
            order = change.after
            unbound = self._unbound.get((order.symbol, order.client_order_id))
            if isinstance(unbound, LiveOrder):
                self._bind(unbound, order.order_id)
            handle = self._orders.get(key_of(order))
            if handle is not None:
                handle.move()
                self._forget_if_closed(handle)
        elif isinstance(change, ListChanged):
            self._move_list(change.after)

    def _move_list(self, order_list: OrderList) -> None:
        unbound = self._unbound.get((order_list.symbol, order_list.list_client_order_id))
        if isinstance(unbound, LiveOrderList):
            self._bind_list(unbound, order_list.order_list_id, order_list.orders)
        handle = self._lists.get(order_list.order_list_id)
        if handle is not None:
            handle.move()

    def _bind(self, order: LiveOrder, order_id: int) -> None:
        """It is known which order a handle is about."""
        if order.order_id is None:
            self._forget(order)
            order.order_id, order.error = order_id, None
            self._orders[order.symbol, order_id] = order
            order.move()
            self._forget_if_closed(order)

    def _bind_list(self, order_list: LiveOrderList, list_id: int, listed: Iterable[ListedOrder]) -> None:
        if order_list.list_id is not None:
            return
        self._forget(order_list)
        order_list.list_id, order_list.error = list_id, None
        order_list.orders = tuple(
            LiveOrder(self, None, each.symbol, each.client_order_id, each.order_id) for each in listed
        )
        self._lists[list_id] = order_list
        for leg in order_list.orders:
            leg.group = order_list
            assert leg.key is not None
            self._orders[leg.key] = leg
        order_list.move()
        for leg in order_list.orders:
            self._forget_if_closed(leg)

    def _forget_if_closed(self, order: LiveOrder) -> None:
        """An order may have ended before it is known which one it is: no change tells of that any more."""
        if order.is_closed:
            self._forget(order)

    def _forget(self, handle: LiveOrder | LiveOrderList) -> None:
        """It has ended, or goes by another name now."""
        self._unknown.pop(id(handle), None)
        for name in [name for name, each in self._unbound.items() if each is handle]:
            del self._unbound[name]
        if isinstance(handle, LiveOrder) and handle.key is not None:
            self._orders.pop(handle.key, None)
            group = handle.group
            if group is not None:
                group.move()
                if group.is_closed and group.list_id is not None:
                    self._lists.pop(group.list_id, None)


def _identified(request: Any, new_id: Callable[[], str]) -> tuple[Any, bool]:
    """The request with all its client order ids, and whether the one that it is known by is ours: used never before."""
    lacking = [name for name in request.api.client_ids if getattr(request, name) is None]
    sent = msgspec.structs.replace(request, **{name: new_id() for name in lacking})
    return sent, not {"new_client_order_id", "list_client_order_id"}.isdisjoint(lacking)


def _plain_list(answer: Any) -> OrderList:
    """An order list without the reports of its orders."""
    names = set(OrderList.__struct_fields__) - {"unknown_fields"}
    return OrderList(**{name: getattr(answer, name) for name in names})
