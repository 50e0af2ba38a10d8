"""What an account is asked to do: place, cancel, amend; and what became of it, whoever was cancelled meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import trio

from .._client.observation import Teller
from .._client.subscriptions import Subscriber
from .._net.tasks import protected
from .._protocol.facts_of_accounts import OrderUnclear, OutcomeNotFound
from ..api._base import Request
from ..api.account import Order
from ..api.order_lists import OrderListCancel
from ..api.orders import OrderList
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
from .asking import QUERY_DELAY_SECONDS
from .changes import Change
from .courses import ListCourse, OrderCourse
from .handles import LiveOrder, LiveOrderList
from .orders import OrderKey, after_amend, after_cancel, is_open, key_of, list_of_answer, order_of_answer
from .register import Course, Register
from .state import State
from .stock import Stock

# Seconds until `confirm` is tried again where it has found out nothing.
_PAUSE: Final = 60.0


class Trading(Protocol):
    """What an account needs of a session."""

    @property
    def time_unit(self) -> TimeUnit:
        """Of all times."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent any more."""
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

    async def confirm(self, call: Any, *, sent_at: int | None = None) -> Any:
        """Find out what became of a call."""
        ...


class _Doubt(NamedTuple):
    """A call of which something is to be found out.

    Attributes:
        error: why that is not known.
        call: what `confirm` is asked about.
        method: the exchange's name of the method.
        sent_at: the exchange's time before which the call was not sent; None if the error says more.
    """

    error: BintrioError
    call: OutcomeUnknown | Request[Any]
    method: str
    sent_at: int | None = None


class _Named(NamedTuple):
    """A request with all its client order ids.

    Attributes:
        request: it.
        is_known_by_ours: whether the id that it is known by is of our making: used never before.
        is_fresh: whether the ids of all its orders are. A list's own id is no order's.
    """

    request: Any
    is_known_by_ours: bool = False
    is_fresh: bool = False

    def are_ids_fresh_of(self, error: Any) -> bool:
        """Whether an error is of this request, and its ids are ours: the session takes what it is given for its user's.

        `confirm` trusts ids that are the session's own, or ours, more than others.
        """
        return self.is_fresh and getattr(error, "request", None) == self.request


class Desk:
    """Sends what changes the account, and takes in what the exchange says to it.

    Args:
        session: to send by.
        teller: is told what goes wrong.
        state: what is known of the account.
        stock: asks for what is not told.
        publish: is called when the state may have changed.
        nursery: for what has to be found out later.
    """

    def __init__(
        self,
        session: Trading,
        teller: Teller,
        state: State,
        stock: Stock,
        publish: Callable[[], None],
        nursery: trio.Nursery,
    ) -> None:
        self.register: Final = Register(state)
        self._state = state
        self._session = session
        self._tell = teller.tell_failure
        self._stock = stock
        self._publish = publish
        self._nursery = nursery
        # Errors of cancelled callers that are being asked about: equal requests may have left equal ones.
        self._asked: list[BintrioError] = []
        # Orders whose fills are being asked for.
        self._sought: set[OrderCourse] = set()

    @property
    def is_over(self) -> bool:
        """Whether nobody follows the account any more."""
        return self._state.is_over

    def handles(self) -> tuple[LiveOrder | LiveOrderList, ...]:
        """What has not ended."""
        return tuple(map(self._handle, self.register.open()))

    def closed_handles(self) -> tuple[LiveOrder | LiveOrderList, ...]:
        """What has ended last."""
        return tuple(map(self._handle, self.register.closed()))

    def _handle(self, course: Course) -> LiveOrder | LiveOrderList:
        return LiveOrder(self, course) if isinstance(course, OrderCourse) else LiveOrderList(self, course)

    # Placing

    async def place(self, request: Request[Any]) -> LiveOrder:
        """Place an order. Returns once the exchange has answered, or once it is clear that no answer came."""
        named = _identified(request, self._session.new_client_order_id)
        course = OrderCourse(named.request, named.request.symbol, named.request.new_client_order_id)
        await self._place(course, named)
        return LiveOrder(self, course)

    async def place_list(self, request: Request[Any]) -> LiveOrderList:
        """Place an order list. Returns once the exchange has answered, or once it is clear that no answer came."""
        named = _identified(request, self._session.new_client_order_id)
        course = ListCourse(named.request, named.request.symbol, named.request.list_client_order_id)
        await self._place(course, named)
        return LiveOrderList(self, course)

    async def _place(self, course: Course, named: _Named) -> None:
        # Also if the answer never comes: after a loss the orders of this symbol are asked for.
        self._stock.symbols.add(course.symbol)
        # An event that names an id that was never used can be of nothing else.
        self.register.enter(course, course.client_id if named.is_known_by_ours else None)
        sent, sent_at = named.request, self._left_at(named)
        try:
            self._take_answer(course, await self._send(named))
        except OutcomeUnknown as error:
            # The account is followed no more, so nobody would find out: the caller has to know.
            if not self._find_out_later(_doubt(error), course):
                raise
        except ProtocolViolation as violation:
            # It was placed, and a field did not come that tells as what.
            if not self._find_out_later(_Doubt(violation, sent, sent.api.name, sent_at), course):
                raise
        except BintrioError as error:
            # Refused, or not sent: nothing was placed, and nothing will be.
            self.register.refuse(course, error)
            raise
        except BaseException:  # cancelled, or Ctrl-C
            if not self._leave_behind(sent, course):
                self.register.refuse(course, None)  # it was not sent
            raise
        self._publish()

    def _left_at(self, named: _Named) -> int | None:
        """What `confirm` has to know of when a request left: nothing, if no earlier order can have its ids."""
        return None if named.is_fresh else self._session.now()

    async def _send(self, named: _Named) -> Any:
        try:
            return await self._session.send(named.request)
        except BaseException as error:
            lost: Any
            # The session keeps the error of a caller that was cancelled.
            for lost in filter(named.are_ids_fresh_of, (error, *self._session.unresolved)):
                lost.is_id_fresh = True
            raise

    def _take_answer(self, course: Course, answer: Any) -> None:
        self._bind(course, answer)
        if isinstance(course, ListCourse):
            self._take_list(answer)
        else:
            self._take_placed(answer)

    def _bind(self, course: Course, answer: Any) -> None:
        """An answer, or what was found out, tells which order it is, or which list."""
        if isinstance(course, ListCourse):
            self.register.bind_list(course, answer.order_list_id, answer.orders)
        else:
            self.register.bind(course, answer.order_id)

    # What an answer tells

    def _take_list(self, answer: PlacedOrderList[Any]) -> None:
        self._state.take_list(list_of_answer(answer), "answer")
        for report in answer.order_reports:
            self._take_placed(report)

    def _take_placed(self, report: Any) -> None:
        """A new order, in whatever shape. An ACK tells no more than the ids: the rest comes with the event."""
        # An ACK. The event tells the rest.
        if not isinstance(report, OrderReport):
            return
        try:
            fills = (report.fills or ()) if isinstance(report, OrderFull | PendingOrderReport) else ()
            order = order_of_answer(report)
        except ProtocolViolation as violation:  # of a field that did not come
            key = (report.symbol, report.order_id)
            self._tell_unclear(key, violation)
            self._stock.look()  # for its fills
            # In a task of its own: the caller has the order that it waited for.
            self._nursery.start_soon(protected, self._ask_for, key)
            return
        # Before the order, so that its fills add up when it is told of.
        for fill in fills:
            if fill.missing_fields:
                self._stock.look()
            else:
                self._state.take_fill(key_of(order), fill, "answer")
        self._state.take_order(order, "answer")

    async def _ask_for(self, key: OrderKey) -> None:
        try:
            await self._stock.ask_for_order(key)
        except BintrioError as error:
            self._tell_unclear(key, error)
        self._publish()

    def _tell_unclear(self, key: OrderKey, error: BintrioError) -> None:
        symbol, number = key
        self._tell(OrderUnclear, error, symbol=symbol, order_id=number)

    # Canceling and amending

    async def cancel_order(self, key: OrderKey) -> None:
        """Cancel an order, and take in what it is then."""
        await self._change(_Named(OrderCancel(symbol=key[0], order_id=key[1])), key, self._take_canceled)

    async def cancel_list(self, course: ListCourse) -> None:
        """Cancel an order list, and take in what it is then."""
        # Noted before: by the time the answer comes, some may have ended.
        keys = [order.key for order in course.orders if order.key is not None]
        request = OrderListCancel(symbol=course.symbol, order_list_id=course.number)
        await self._change(_Named(request), keys[0], self._take_canceled)
        # An answer to canceling a list names only those orders that it has canceled itself.
        for key in keys:
            if self._seems_open(key):
                await self._stock.ask_for_order(key)
        self._publish()

    async def amend_order(self, key: OrderKey, quantity: Any) -> None:
        """Reduce an order, and take in what it is then."""
        request = OrderAmendKeepPriority(symbol=key[0], order_id=key[1], new_qty=quantity)
        named = _identified(request, self._session.new_client_order_id)
        await self._change(named, key, self._take_amended)

    async def _change(self, named: _Named, key: OrderKey, take: Callable[[Any], None]) -> None:
        try:
            answer = await self._send(named)
        except UnknownOrder:  # it has ended; what it ended as may not be known yet
            await self._learn_end(key)
        except OutcomeUnknown as error:
            await self._confirm(error)
        except BintrioError:
            # Refused, or not sent: nothing has changed.
            raise
        except BaseException:  # cancelled, or Ctrl-C
            self._leave_behind(named.request, None)
            raise
        else:
            try:
                take(answer)
            except ProtocolViolation:  # of a field that did not come
                await self._stock.ask_for_order(key)
        self._publish()

    async def _confirm(self, error: OutcomeUnknown) -> None:
        """What became of a change. If whoever wants to know it is cancelled, the account finds it out all the same."""
        try:
            self._take_outcome(await self._session.confirm(error))
        except BintrioError:
            # Nothing could be found out, which the caller is told.
            raise
        except BaseException:  # cancelled, or Ctrl-C
            self._find_out_later(_doubt(error), None)
            raise

    async def _learn_end(self, key: OrderKey) -> None:
        """What an order has ended as: queries may be behind the matching engine."""
        # At once, and once more when the answer must show it.
        for delay in (0.0, QUERY_DELAY_SECONDS):
            await trio.sleep(delay)
            if self._seems_open(key):
                await self._stock.ask_for_order(key)

    def _seems_open(self, key: OrderKey) -> bool:
        known = self._state.order(key)
        return known is None or is_open(known)

    def _take_canceled(self, answer: CanceledOrder | CanceledOrderList) -> None:
        if isinstance(answer, CanceledOrderList):
            self._state.take_list(list_of_answer(answer), "answer")
            for report in answer.order_reports:
                self._take_canceled(report)
            return
        known = self._state.order((answer.symbol, answer.order_id))
        # Of an order that is not known, this answer says too little to make one of it.
        if known is not None:
            self._state.take_order(after_cancel(known, answer), "answer")

    def _take_amended(self, answer: OrderAmended) -> None:
        amended = answer.amended_order
        known = self._state.order((amended.symbol, amended.order_id))
        # As with a cancel: the answer says too little to make an order of it.
        if known is not None:
            self._state.take_order(after_amend(known, amended, answer.transact_time), "answer")

    def _take_outcome(self, outcome: Any) -> None:
        """What `confirm` has found out."""
        # None says that nothing was done, which changes nothing.
        if isinstance(outcome, Order):
            self._state.take_order(outcome, "query")
        elif isinstance(outcome, OrderList):
            self._state.take_list(outcome, "query")

    # What is not known

    def _leave_behind(self, sent: Request[Any], course: Course | None) -> bool:
        """The caller of a call was cancelled: if it has left, find out what became of it.

        Returns whether it had left.
        """
        left = (error for error in self._session.unresolved if error.request == sent)
        # By identity, since a program may send equal requests.
        error = next((error for error in left if not any(error is asked for asked in self._asked)), None)
        if error is not None:
            self._find_out_later(_doubt(error), course)
        return error is not None

    def _find_out_later(self, doubt: _Doubt, course: Course | None) -> bool:
        """Have it found out what became of a call. False if the account is followed no more, so that nobody does."""
        # A cancel or an amend has no handle of its own that could show the error.
        if course is not None:
            self.register.doubt(course, doubt.error)
        # No task can be started any more, or none could find out anything, since the session is closed.
        if self.is_over or self._nursery.cancel_scope.cancel_called:
            return False
        self._asked.append(doubt.error)
        self._nursery.start_soon(protected, self._find_out, doubt, course)
        return True

    async def _find_out(self, doubt: _Doubt, course: Course | None) -> None:
        """Ask until it is known what became of a call."""
        while True:
            try:
                outcome = await self._session.confirm(doubt.call, sent_at=doubt.sent_at)
                break
            except (BintrioError, ExceptionGroup) as reason:
                # The session is closed, so no answer will ever come. The error stays with the handle.
                if self.is_over:
                    return
                self._tell(OutcomeNotFound, reason, method=doubt.method, seconds=_PAUSE)
                await trio.sleep(_PAUSE)
        self._asked = [asked for asked in self._asked if asked is not doubt.error]
        # `confirm` has proved that there is none.
        if course is not None and outcome is None:
            self.register.refuse(course, doubt.error)
        elif course is not None:
            self._bind(course, outcome)
        self._take_outcome(outcome)
        self._publish()

    # Fills that nobody has told of

    def take_in(self, changes: Iterable[Change]) -> None:
        """Tell the handles what has changed, and have it found out what they lack."""
        for change in changes:
            self.register.move(change)
        # Also without a change: an order may only now be known to be the order of a handle.
        for course in self.register.lacking():
            self._seek_fills(course)

    def _seek_fills(self, course: OrderCourse) -> None:
        if self.is_over:
            # No question will be answered any more, so whoever waits for the fills is let go.
            self.register.settle(course)
        elif course not in self._sought and course.order is not None:
            self._sought.add(course)
            self._nursery.start_soon(protected, self._learn_fills, course, course.order)

    async def _learn_fills(self, course: OrderCourse, order: Order) -> None:
        try:
            await self._stock.fills.learn(course, order)
        except BintrioError as error:
            self._stock.fills.not_told(key_of(order), error, None)
        self._publish()
        self.register.settle(course)
        # After it is settled, so that it is not asked for once more.
        self._sought.discard(course)


def _doubt(error: OutcomeUnknown) -> _Doubt:
    return _Doubt(error, error, error.method)


def _identified(request: Any, new_id: Callable[[], str]) -> _Named:
    """The request with a new id in the place of every client order id that it lacks."""
    lacking = [name for name in request.api.client_ids if getattr(request, name) is None]
    given = {*request.api.client_ids} - {*lacking}
    return _Named(
        msgspec.structs.replace(request, **{name: new_id() for name in lacking}),
        is_known_by_ours=not {"new_client_order_id", "list_client_order_id"}.isdisjoint(lacking),
        is_fresh=given <= {"list_client_order_id"},
    )
