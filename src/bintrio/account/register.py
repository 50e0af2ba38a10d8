"""Which order is whose: the courses of what was placed. Synchronous; it asks for nothing.

A course is entered before its call is sent. It is bound to an order by the answer, by what was found out later, or by
an event that names a client order id which no earlier order can have had. From then on each change of the account that
is about its order moves it. Of those that have ended, the latest are kept, for callers that were cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from ..api.account import Order
from ..api.orders import ListedOrder, OrderList
from ..errors import BintrioError
from .changes import Change, FillAdded, ListChanged, NotShown, OrderChanged
from .courses import ListCourse, OrderCourse
from .orders import OrderKey, key_of, name_of
from .state import State

Course: TypeAlias = OrderCourse | ListCourse


class Register:
    """The courses of one account.

    Args:
        state: what is known of the account.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._unknown: dict[int, Course] = {}
        self._by_fresh_id: dict[tuple[str, str], Course] = {}
        self._orders: dict[OrderKey, OrderCourse] = {}
        self._lists: dict[int, ListCourse] = {}
        self._lacking: dict[OrderKey, OrderCourse] = {}
        # A dict keeps the order in which they ended.
        self._closed: dict[Course, None] = {}

    def open(self) -> Iterator[Course]:
        """Those that have not ended; those of which nothing is known yet come first."""
        courses = (*self._unknown.values(), *self._lists.values(), *self._orders.values())
        return (course for course in courses if not course.is_closed)

    def closed(self) -> Iterator[Course]:
        """Those that ended last, the earliest first: as many as orders that have ended are kept."""
        return iter(self._closed)

    # Before its order is known

    def enter(self, course: Course, fresh_id: str | None) -> None:
        """Something is about to be placed.

        Args:
            course: of it.
            fresh_id: its client order id, if no order has had it before.
        """
        self._unknown[id(course)] = course
        # Then an event that names the id may bind the order before the answer comes.
        if fresh_id is not None:
            self._by_fresh_id[course.symbol, fresh_id] = course

    def doubt(self, course: Course, error: BintrioError) -> None:
        """Whether it was placed is not known."""
        if id(course) in self._unknown:  # else an event has told already
            course.error = error

    def refuse(self, course: Course, error: BintrioError | None) -> None:
        """It was not placed, and never will be; unless an event has told of it."""
        if id(course) in self._unknown:
            self._leave(course)
            course.refuse(error)
            self._keep_closed(course)

    def _leave(self, course: Course) -> None:
        """It is not unknown any more."""
        self._unknown.pop(id(course), None)
        for name in [name for name, each in self._by_fresh_id.items() if each is course]:
            del self._by_fresh_id[name]

    # Once it is known

    def bind(self, course: OrderCourse, order_id: int) -> None:
        """It is known which order it is about."""
        # An event was quicker.
        if course.number is None:
            self._leave(course)
            self._follow(course, order_id)

    def bind_list(self, course: ListCourse, list_id: int, listed: Iterable[ListedOrder]) -> None:
        """It is known which order list it is about, and what orders that has."""
        # An event was quicker.
        if course.number is not None:
            return
        self._leave(course)
        course.number, course.error = list_id, None
        course.order_list = self._state.lists.get(list_id)
        course.orders = tuple(OrderCourse(None, each.symbol, each.client_order_id) for each in listed)
        self._lists[list_id] = course
        # All legs are there before the first moves: a leg that has ended asks how the list stands.
        for leg, each in zip(course.orders, listed, strict=True):
            leg.group = course
            self._follow(leg, each.order_id)
        self._moved_list(course)

    def _follow(self, course: OrderCourse, order_id: int) -> None:
        key = course.symbol, order_id
        course.number, course.error = order_id, None
        course.order = self._state.order(key)
        # Fills may have come before it was known whose they are.
        course.fills.update(self._state.fills.get(key, {}))
        self._orders[key] = course
        self._moved(course)

    # Changes

    def move(self, change: Change) -> None:
        """Let the course that a change is about take it in, and wake whoever waits for that."""
        match change:
            case OrderChanged(after=order):
                unbound = self._named(order)
                # The same name may be that of a list, whose orders have names of their own.
                if isinstance(unbound, OrderCourse):
                    self.bind(unbound, order.order_id)
                course = self._orders.get(key_of(order))
                # Orders that were not placed through this account have no course.
                if course is not None:
                    course.order = order
                    self._moved(course)
            case FillAdded():
                course = self._orders.get((change.symbol, change.order_id))
                if course is not None:
                    course.take_fill(change.fill)
                    self._moved(course)
            case ListChanged(after=order_list):
                self._move_list(order_list)
            case NotShown(last=Order() as order):
                self._lose(self._orders.get(key_of(order)))
            case NotShown(last=OrderList() as order_list):
                self._lose(self._lists.get(order_list.order_list_id))
            case _:
                # Balances have no handles.
                pass

    def _named(self, known: Order | OrderList) -> Course | None:
        """The course that is known by this name alone, until now."""
        name = name_of(known)
        return None if name is None else self._by_fresh_id.get(name)

    def _move_list(self, order_list: OrderList) -> None:
        unbound = self._named(order_list)
        if isinstance(unbound, ListCourse):
            self.bind_list(unbound, order_list.order_list_id, order_list.orders)
        course = self._lists.get(order_list.order_list_id)
        if course is not None:
            course.order_list = order_list
            self._moved_list(course)

    def _lose(self, course: Course | None) -> None:
        if course is not None:
            course.lose()
        if isinstance(course, OrderCourse):
            self._moved(course)
        elif course is not None:
            self._moved_list(course)

    def _moved(self, course: OrderCourse) -> None:
        """Wake whoever waits. What has ended, and whose fills are known, is followed no more."""
        course.move()
        if course.is_closed and course.key is not None:
            self._keep_closed(course)
            self._ended(course, course.key)
        # What one order of a list does may be the end of the list.
        if course.group is not None:
            self._moved_list(course.group)

    def _ended(self, course: OrderCourse, key: OrderKey) -> None:
        # Nothing more can come. The handle keeps what it has.
        if course.is_told:
            self._orders.pop(key, None)
            self._lacking.pop(key, None)
        # Once only: what the exchange could not tell is not asked for again, but a late event still counts.
        elif not course.is_given_up:
            self._lacking[key] = course

    def lacking(self) -> tuple[OrderCourse, ...]:
        """The orders that have ended, and of which not all fills are known yet."""
        return tuple(self._lacking.values())

    def settle(self, course: OrderCourse) -> None:
        """Nobody asks for its fills any more: those that are not known stay so, unless an event tells of them."""
        if not course.is_told:
            course.give_up()
            self._lacking = {key: each for key, each in self._lacking.items() if each is not course}
            # It was kept on for this alone.
            if course not in self._closed:
                self._forget(course)
        self._moved(course)

    def end(self) -> None:
        """The account is followed no more: wake whoever waits for what has not ended, to learn that."""
        for course in tuple(self.open()):
            course.move()

    def _moved_list(self, course: ListCourse) -> None:
        course.move()
        if course.is_closed:
            self._keep_closed(course)
        if course.is_told and course.number is not None:
            self._lists.pop(course.number, None)

    # What has ended

    def _keep_closed(self, course: Course) -> None:
        # Once only: of one that was forgotten fills may be found yet, which moves it.
        if course.is_noted:
            return
        course.is_noted = True
        self._closed[course] = None
        if len(self._closed) > self._state.keep:
            oldest = next(iter(self._closed))
            del self._closed[oldest]
            self._forget(oldest)

    def _forget(self, course: Course) -> None:
        # One whose fills are being asked for is forgotten when that is over. A list is not kept beyond its end.
        if isinstance(course, OrderCourse) and course.key is not None and course.key not in self._lacking:
            self._orders.pop(course.key, None)
