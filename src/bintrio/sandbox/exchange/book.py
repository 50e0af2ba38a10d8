"""One symbol's order book: price-time priority.

A level is a price with its orders, oldest first (a `dict` keeps the order of insertion, and gives up any of them at
once). Prices of a side are kept sorted, so the best is at one end: the last bid, the first ask. A trade happens at the
maker's price.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

from .orders import NOTHING, Order, Trade, eight_decimals


class Book:
    """The open orders of one symbol.

    Args:
        step: the smallest part of the base asset that trades; 0 leaves it at eight decimals.

    Attributes:
        update_id: grows with each change.
        last_price: of the latest trade, or None before the first.
    """

    def __init__(self, step: Decimal) -> None:
        self.update_id = 1
        self.last_price: Decimal | None = None
        self._step = step
        self._bids = _Side(best=-1)
        self._asks = _Side(best=0)

    def add(self, order: Order) -> None:
        """Put an order at the end of its level."""
        self._side(order).add(order)
        self.update_id += 1

    def remove(self, order: Order) -> None:
        """Take an order off."""
        self._side(order).remove(order)
        self.update_id += 1

    def match(self, taker: Order, now: int) -> Iterator[Trade]:
        """Trade an incoming order against the book, best price first, oldest order first.

        Both orders are filled before each trade is handed out, and a maker that is done is off the book. What is left
        of the taker is the caller's to add or to end.
        """
        opposite = self._opposite(taker)
        while taker.remaining and (maker := opposite.best()) is not None and taker.crosses(maker.price):
            quantity = min(maker.remaining, taker.remaining)
            taker.fill(maker.price, quantity, now)
            maker.fill(maker.price, quantity, now)
            self.update_id += 1
            self.last_price = maker.price
            if not maker.remaining:
                opposite.remove(maker)
            yield Trade(maker, maker.price, quantity)

    def preview(self, taker: Order) -> tuple[Decimal, Decimal]:
        """What an incoming order would trade at once: the base quantity and the quote amount."""
        quantity = amount = NOTHING
        for price, offered in self._opposite(taker).levels():
            wanted = self._affordable(taker, price, amount) if taker.quote_quantity else taker.remaining - quantity
            if not wanted or not taker.crosses(price):
                break
            traded = min(offered, wanted)
            quantity += traded
            amount += traded * price
        return quantity, amount

    def _affordable(self, taker: Order, price: Decimal, spent: Decimal) -> Decimal:
        """Whole steps that the rest of a quote amount pays for."""
        affordable = (taker.quote_quantity - spent) / price
        return affordable // self._step * self._step if self._step else eight_decimals(affordable)

    def bids(self, limit: int | None = None) -> list[tuple[Decimal, Decimal]]:
        """Price and quantity of each level of the buyers, best first."""
        return list(islice(self._bids.levels(), limit))

    def asks(self, limit: int | None = None) -> list[tuple[Decimal, Decimal]]:
        """Price and quantity of each level of the sellers, best first."""
        return list(islice(self._asks.levels(), limit))

    def _side(self, order: Order) -> _Side:
        return self._bids if order.is_buy else self._asks

    def _opposite(self, order: Order) -> _Side:
        return self._asks if order.is_buy else self._bids


class _Side:
    """Bids or asks; ``best`` is where in the ascending prices the best one is: 0 or -1."""

    def __init__(self, best: int) -> None:
        self._best = best
        self._prices: list[Decimal] = []
        self._levels: dict[Decimal, dict[int, Order]] = {}

    def add(self, order: Order) -> None:
        if order.price not in self._levels:
            insort(self._prices, order.price)
            self._levels[order.price] = {}
        self._levels[order.price][order.order_id] = order

    def remove(self, order: Order) -> None:
        level = self._levels[order.price]
        del level[order.order_id]
        if not level:
            del self._levels[order.price]
            del self._prices[bisect_left(self._prices, order.price)]

    def best(self) -> Order | None:
        if not self._prices:
            return None
        return next(iter(self._levels[self._prices[self._best]].values()))

    def levels(self) -> Iterator[tuple[Decimal, Decimal]]:
        for price in reversed(self._prices) if self._best else iter(self._prices):
            yield price, sum((order.remaining for order in self._levels[price].values()), NOTHING)
