"""Orders that wait for a price: stop, take-profit and trailing stop orders of one symbol.

An order waits for the price to rise to its stop price, or to fall to it. A trailing stop order watches prices from its
stop price on, or from the start if it has none; it is triggered once the price has gone back by its delta, in basis
points, from the best price seen since.

Source: "Order type" of the WebSocket API document, trailing-stop-faq.md.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from decimal import Decimal
from typing import Final

from .orders import Order

_BASIS_POINTS: Final = 10_000


class Triggers:
    """The waiting orders of one symbol."""

    def __init__(self) -> None:
        # Two sorted lists, so that a trade looks only at what it triggers, however many wait.
        self._rising: list[tuple[Decimal, int]] = []
        self._falling: list[tuple[Decimal, int]] = []  # stop prices are negated, so the first to be reached is first
        self._orders: dict[int, Order] = {}
        self._trailing: dict[int, Order] = {}

    @property
    def has_any(self) -> bool:
        """Whether an order waits."""
        return bool(self._orders or self._trailing)

    def add(self, order: Order, last_price: Decimal | None, now: int) -> None:
        """Let an order wait."""
        # Trailing orders move with the price, so they cannot be sorted by it.
        if order.trailing_delta is not None:
            self._trailing[order.order_id] = order
            # Without a stop price it watches from the start.
            if not order.stop_price and last_price is not None:
                _watch(order, last_price, now)
            return
        self._orders[order.order_id] = order
        insort(*self._place(order))

    def remove(self, order: Order) -> None:
        """Let it wait no more."""
        if self._trailing.pop(order.order_id, None) is None:
            del self._orders[order.order_id]
            waiting, place = self._place(order)
            del waiting[bisect_left(waiting, place)]

    def _place(self, order: Order) -> tuple[list[tuple[Decimal, int]], tuple[Decimal, int]]:
        if order.fires_on_rise:
            return self._rising, (order.stop_price, order.order_id)
        return self._falling, (order.stop_price.copy_negate(), order.order_id)

    def fire(self, price: Decimal, now: int) -> tuple[list[Order], list[Order]]:
        """What a trade at a price does: the orders that it triggers, oldest first, and those that watch prices now."""
        fired = [*self._reached(self._rising, price), *self._reached(self._falling, price.copy_negate())]
        watching: list[Order] = []
        # A copy, since those that fire leave.
        for order in tuple(self._trailing.values()) if self._trailing else ():
            was_watching = order.trailing_time >= 0
            if _follow(order, price, now):
                fired.append(order)
                del self._trailing[order.order_id]
            elif not was_watching and order.trailing_time >= 0:
                watching.append(order)
        # The oldest first, whichever way its price had to go.
        fired.sort(key=lambda order: order.order_id)
        return fired, watching

    def _reached(self, waiting: list[tuple[Decimal, int]], price: Decimal) -> list[Order]:
        count = 0
        # Sorted, so the first that is not reached ends the search.
        while count < len(waiting) and waiting[count][0] <= price:
            count += 1
        reached = [self._orders.pop(order_id) for _, order_id in waiting[:count]]
        del waiting[:count]
        return reached


def is_reached(order: Order, price: Decimal) -> bool:
    """Whether a price is at the order's stop price or beyond."""
    return price >= order.stop_price if order.fires_on_rise else price <= order.stop_price


def _watch(order: Order, price: Decimal, now: int) -> None:
    order.extreme = price
    order.trailing_time = now


def _follow(order: Order, price: Decimal, now: int) -> bool:
    """Let a trailing order see a price. Whether that triggers it."""
    # It does not watch prices yet.
    if order.extreme is None:
        if not order.stop_price or is_reached(order, price):
            _watch(order, price, now)
        return False
    assert order.trailing_delta is not None
    # A buyer waits for the price to rise again from the lowest, a seller for it to fall from the highest.
    if order.is_buy:
        order.extreme = min(order.extreme, price)
        return price * _BASIS_POINTS >= order.extreme * (_BASIS_POINTS + order.trailing_delta)
    order.extreme = max(order.extreme, price)
    return price * _BASIS_POINTS <= order.extreme * (_BASIS_POINTS - order.trailing_delta)
