"""Which order is whose, out of changes in any order."""

from __future__ import annotations

import gc
import weakref
from typing import Any, Final

import msgspec

from bintrio.account.changes import NotShown
from bintrio.account.courses import ListCourse, OrderCourse
from bintrio.account.register import Register
from bintrio.account.state import State
from bintrio.api.orders import ListedOrder
from bintrio.errors import NotSent
from bintrio.requests import OrderListPlaceOco

from .test_live import OCO
from .test_state import KEY, a_fill, a_list, an_order, fresh

PLACED: Final = OrderListPlaceOco(
    symbol="BTCUSDT",
    side="SELL",
    quantity=1,
    above_type="LIMIT_MAKER",
    above_price=120,
    below_type="STOP_LOSS",
    below_stop_price=80,
)


def entered(state: State, fresh_id: str | None = None) -> tuple[Register, OrderCourse]:
    register, course = Register(state), OrderCourse(None, "BTCUSDT", "order-1")
    register.enter(course, fresh_id)
    return register, course


def tell(state: State, register: Register) -> None:
    for change in state.take_changes():
        register.move(change)


def test_an_event_binds_by_an_id_that_no_order_has_had() -> None:
    state = fresh()
    register, course = entered(state, "order-1")
    state.take_order(an_order(2, client_order_id="order-1", symbol="ETHUSDT"), "event")
    tell(state, register)
    assert course.number is None
    state.take_order(an_order(1), "event")
    tell(state, register)
    assert (course.key, course.status, list(register.open())) == (KEY, "NEW", [course])


def test_an_id_that_may_have_been_used_binds_nothing() -> None:
    state = fresh()
    register, course = entered(state)
    state.take_order(an_order(1), "event")
    tell(state, register)
    assert (course.key, course.status) == (None, "UNKNOWN")
    register.bind(course, 1)
    register.bind(course, 2)  # it is known already
    assert (course.key, course.status) == (KEY, "NEW")


def test_what_an_event_has_told_of_is_neither_refused_nor_doubted() -> None:
    state = fresh()
    register, course = entered(state, "order-1")
    state.take_order(an_order(1), "event")
    tell(state, register)
    error = NotSent("order.place", "the test says so")
    register.doubt(course, error)
    register.refuse(course, error)
    assert (course.error, course.was_refused, course.status) == (None, False, "NEW")


def test_what_is_placed_at_the_same_time_is_bound_by_its_own_id() -> None:
    state = fresh()
    register, first = entered(state, "order-1")
    second = OrderCourse(None, "BTCUSDT", "order-2")
    register.enter(second, "order-2")
    register.refuse(first, NotSent("order.place", "the test says so"))
    state.take_order(an_order(1, order_id=2, client_order_id="order-2"), "event")
    tell(state, register)
    assert (first.key, second.key) == (None, ("BTCUSDT", 2))


def test_what_is_shown_no_more_concerns_only_who_placed_it() -> None:
    state = fresh()
    register, course = entered(state, "order-1")
    state.take_order(an_order(1), "event")
    tell(state, register)
    for others in (an_order(7), a_list(1)):
        register.move(NotShown(version=8, source="query", last=others))
    assert course.status == "NEW"
    register.move(NotShown(version=9, source="query", last=an_order(1)))
    assert course.status == "NOT_SHOWN"


def end_another(state: State, register: Register) -> OrderCourse:
    course = OrderCourse(None, "BTCUSDT", "order-2")
    register.enter(course, None)
    register.refuse(course, None)
    return course


def test_of_what_has_ended_the_latest_are_kept() -> None:
    state = fresh(keep=1)
    register, course = entered(state, "order-1")
    state.take_order(an_order(1), "event")
    tell(state, register)
    held = weakref.ref(course)
    state.take_order(an_order(1, status="CANCELED"), "event")
    tell(state, register)
    assert (course.is_closed, course.is_told, list(register.closed())) == (True, True, [course])
    latest = end_another(state, register)
    assert list(register.closed()) == [latest]
    del course
    gc.collect()
    assert held() is None


def test_what_was_kept_for_its_fills_is_kept_no_longer_than_others() -> None:
    state = fresh(keep=1)
    register, course = entered(state, "order-1")
    state.take_order(an_order(1, status="FILLED", executed_qty=a_fill().qty * 2), "event")
    tell(state, register)
    end_another(state, register)
    # Its fills may be found yet, also by an event.
    state.take_fill(KEY, a_fill(1), "event")
    tell(state, register)
    assert (len(course.fills), register.lacking()) == (1, (course,))
    held = weakref.ref(course)
    register.settle(course)
    assert (course.is_settled, course.has_all_fills, register.lacking()) == (True, False, ())
    del course
    gc.collect()
    assert held() is None


def test_fills_that_were_given_up_count_as_long_as_the_order_is_kept() -> None:
    state = fresh(keep=1)
    register, course = entered(state, "order-1")
    state.take_order(an_order(1, status="FILLED", executed_qty=a_fill().qty * 3), "event")
    tell(state, register)
    register.settle(course)
    state.take_fill(KEY, a_fill(1), "event")
    tell(state, register)
    assert len(course.fills) == 1
    end_another(state, register)
    held = weakref.ref(course)
    del course
    gc.collect()
    assert held() is None


def settle_orders(register: Register, course: ListCourse) -> None:
    for leg in course.orders:
        register.settle(leg)


def test_a_list_that_is_done_is_kept_no_longer_than_others_though_fills_of_it_lack() -> None:
    state = fresh(keep=1)
    register, course = Register(state), ListCourse(OrderListPlaceOco(**OCO), "BTCUSDT", "list-1")
    register.enter(course, None)
    state.take_list(a_list(1), "answer")
    legs = [ListedOrder(symbol="BTCUSDT", order_id=number, client_order_id=f"leg-{number}") for number in (1, 2)]
    register.bind_list(course, 1, legs)
    for each in legs:
        ended = an_order(2, order_id=each.order_id, status="FILLED", executed_qty=a_fill().qty)
        state.take_order(ended, "event")
    tell(state, register)
    assert (course.is_closed, course.is_settled, course.status) == (True, False, "EXECUTING")
    state.take_list(a_list(3, "ALL_DONE"), "event")
    tell(state, register)
    assert (course.is_told, course.status) == (True, "ALL_DONE")
    settle_orders(register, course)
    assert course.is_settled
    end_another(state, register)
    held = weakref.ref(course)
    del course
    gc.collect()
    assert held() is None


def test_a_list_is_told_that_it_is_done_after_its_orders_have_ended() -> None:
    state = fresh()
    register, course = Register(state), ListCourse(PLACED, "BTCUSDT", "list-1")
    register.enter(course, "list-1")
    leg = ListedOrder(symbol="BTCUSDT", order_id=1, client_order_id="order-1")
    state.take_list(msgspec.structs.replace(a_list(5), orders=(leg,)), "event")
    state.take_order(an_order(1, status="CANCELED"), "event")
    tell(state, register)
    assert (course.is_closed, course.is_told, course.status) == (True, False, "EXECUTING")
    state.take_list(a_list(6, "ALL_DONE"), "event")
    tell(state, register)
    assert (course.is_told, course.status) == (True, "ALL_DONE")


def test_fills_that_come_before_and_after_the_end_are_its() -> None:
    state = fresh()
    register, course = entered(state, "order-1")
    state.take_fill(KEY, a_fill(1), "event")
    state.take_order(an_order(1, status="FILLED", executed_qty=a_fill().qty * 2), "query")
    state.take_fill(("BTCUSDT", 9), a_fill(8), "query")
    tell(state, register)
    assert (course.is_closed, course.is_told, list(register.open())) == (True, False, [])
    state.take_fill(KEY, a_fill(2), "query")
    tell(state, register)
    told: Any = [fill.trade_id for fill in course.fills.values()]
    assert (course.is_told, told) == (True, [1, 2])
