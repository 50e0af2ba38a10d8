"""One symbol's order book: price-time priority.

A level is a price with its orders, oldest first: a `dict` keeps the order of insertion, and gives up any of them at
once. It knows what they add up to, so that no question about a level needs its orders. Prices of a side are kept
sorted, so the best is at one end: the last bid, the first ask. A trade happens at the maker's price.

An iceberg order shows a part at a time; when that has traded, the next part goes to the end of the level.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Final, NamedTuple

from .orders import ZERO, Order, Trade, eight_decimals

# What a level that has more shows: 64 bits, in the smallest amounts ("Order Book Depth Levels" of the changelog of
# 2022-05-23).
_MOST_SHOWN: Final = Decimal("92233720368.54775807")


class Preview(NamedTuple):
    """What an incoming order would trade at once.

    Attributes:
        quantity: of the base asset.
        amount: of the quote asset.
        is_short: whether the book runs out before the order does.
    """

    quantity: Decimal
    amount: Decimal
    is_short: bool


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
        # Both are sorted by price, so the best bid is the last and the best ask the first.
        self._bids = _Side(best=-1)
        self._asks = _Side(best=0)

    # Orders

    def add(self, order: Order) -> None:
        """Put an order at the end of its level."""
        # It comes with its first part showing.
        if order.iceberg_quantity:
            order.shown = min(order.iceberg_quantity, order.remaining)
        self._side(order).add(order)
        self.update_id += 1

    def remove(self, order: Order) -> None:
        """Take an order off."""
        self._side(order).remove(order)
        order.act_on_own_book()
        self.update_id += 1

    def reduce(self, order: Order, quantity: Decimal) -> None:
        """An order that stays on the book is for so much less now; of an iceberg order the hidden part goes first."""
        level = self._side(order).level(order)
        level.total -= quantity
        # What shows stays as long as there is enough left: it keeps its place.
        if order.iceberg_quantity:
            shown = min(order.shown, order.remaining)
            level.hidden -= quantity - (order.shown - shown)
            order.shown = shown
        order.act_on_own_book()
        self.update_id += 1

    # Matching

    def meet(self, taker: Order) -> Order | None:
        """The order that an incoming one would trade with next, if any."""
        maker = self._opposite(taker).best()
        return maker if maker is not None and taker.crosses(maker.limit) else None

    def trade(self, taker: Order, maker: Order, quantity: Decimal, now: int) -> Trade:
        """Let both orders trade; a maker that is done leaves the book. The rest of the taker is the caller's to add."""
        price = maker.limit
        amount = price * quantity
        taker.fill(quantity, amount, now)
        maker.fill(quantity, amount, now)
        maker.act_on_own_book()
        self.update_id += 1
        self.last_price = price
        # The level learns of it, and drops an order that is done.
        self._opposite(taker).trade(maker, quantity)
        return Trade(maker, price, quantity, amount)

    def offers(self, taker: Order) -> Iterator[tuple[Decimal, Decimal]]:
        """Price and quantity of each level on the other side, hidden parts included, best first, up to its limit."""
        for price, level in self._opposite(taker).levels():
            # Levels come best first, so all that follow are worse.
            if not taker.crosses(price):
                return
            yield price, level.total

    def makers(self, taker: Order) -> Iterator[tuple[Order, Decimal]]:
        """The orders on the other side with what they offer, as an incoming order meets them, up to its limit."""
        for price, level in self._opposite(taker).levels():
            if not taker.crosses(price):
                return
            yield from level.in_turn()

    def up_to(self, order: Order) -> list[Order]:
        """The orders on an order's own side, in the order in which they trade, all of its level included."""
        found: list[Order] = []
        for price, level in self._side(order).levels():
            # Behind its own level, where nothing trades before it.
            if price < order.limit if order.is_buy else price > order.limit:
                break
            found += level.orders.values()
        return found

    def preview(self, offers: Iterator[tuple[Decimal, Decimal]], taker: Order) -> Preview:
        """What an incoming order would trade with these offers, prices and quantities, at once."""
        return _total(offers, taker, self._step)

    # Levels

    def price_level(self, *, of_bids: bool, depth: int) -> Decimal | None:
        """The price of a level, 0 being the best."""
        return (self._bids if of_bids else self._asks).price(depth)

    def bids(self, limit: int | None = None) -> list[tuple[Decimal, Decimal]]:
        """Price and visible quantity of each level of the buyers, best first."""
        return [(price, level.shown) for price, level in islice(self._bids.levels(), limit)]

    def asks(self, limit: int | None = None) -> list[tuple[Decimal, Decimal]]:
        """Price and visible quantity of each level of the sellers, best first."""
        return [(price, level.shown) for price, level in islice(self._asks.levels(), limit)]

    def _side(self, order: Order) -> _Side:
        return self._bids if order.is_buy else self._asks

    def _opposite(self, order: Order) -> _Side:
        return self._asks if order.is_buy else self._bids


def _total(offers: Iterator[tuple[Decimal, Decimal]], taker: Order, step: Decimal) -> Preview:
    quantity = amount = ZERO
    by_amount = bool(taker.quote_quantity)
    is_short = False
    for price, offered in offers:
        # By quote amount: as much as what is left of it pays for at this price.
        wanted = _affordable(taker.quote_quantity - amount, price, step) if by_amount else taker.remaining - quantity
        traded = min(offered, wanted)
        quantity += traded
        amount += traded * price
        is_short = wanted > offered
        # The order is done here; what stands behind does not matter.
        if not is_short:
            break
    return Preview(quantity, amount, is_short)


def _affordable(amount: Decimal, price: Decimal, step: Decimal) -> Decimal:
    """Whole steps that an amount pays for."""
    affordable = amount / price
    return affordable // step * step if step else eight_decimals(affordable)


class _Level:
    """The orders at one price.

    Attributes:
        total: what is left of them.
        hidden: what the book does not show of that: parts of iceberg orders.
    """

    __slots__ = ("hidden", "orders", "total")

    def __init__(self) -> None:
        self.orders: dict[int, Order] = {}
        self.total = ZERO
        self.hidden = ZERO

    @property
    def shown(self) -> Decimal:
        return min(self.total - self.hidden, _MOST_SHOWN)

    def in_turn(self) -> Iterator[tuple[Order, Decimal]]:
        """Each order with what it offers, the oldest first; an iceberg order part by part."""
        hidden: deque[tuple[Order, Decimal]] = deque()
        for order in self.orders.values():
            yield order, order.visible
            if order.remaining > order.visible:
                hidden.append((order, order.remaining - order.visible))
        # The next part of each comes behind all who are there.
        yield from _part_by_part(hidden)


def _part_by_part(hidden: deque[tuple[Order, Decimal]]) -> Iterator[tuple[Order, Decimal]]:
    while hidden:
        order, left = hidden.popleft()
        part = min(order.iceberg_quantity, left)
        yield order, part
        if left > part:
            hidden.append((order, left - part))


class _Side:
    """Bids or asks; ``best`` is where in the ascending prices the best one is: 0 or -1."""

    def __init__(self, best: int) -> None:
        self._best = best
        self._prices: list[Decimal] = []
        self._levels: dict[Decimal, _Level] = {}

    def level(self, order: Order) -> _Level:
        return self._levels[order.limit]

    def add(self, order: Order) -> None:
        level = self._levels.get(order.limit)
        # The first order at this price.
        if level is None:
            insort(self._prices, order.limit)
            level = self._levels[order.limit] = _Level()
        level.orders[order.order_id] = order
        level.total += order.remaining
        if order.iceberg_quantity:
            level.hidden += order.remaining - order.shown

    def remove(self, order: Order) -> None:
        level = self._levels[order.limit]
        del level.orders[order.order_id]
        level.total -= order.remaining
        if order.iceberg_quantity:
            level.hidden -= order.remaining - order.shown
        self._tidy(order.limit, level)

    def trade(self, maker: Order, quantity: Decimal) -> None:
        level = self._levels[maker.limit]
        level.total -= quantity
        if not maker.remaining:
            del level.orders[maker.order_id]
            self._tidy(maker.limit, level)
        elif maker.iceberg_quantity:
            maker.shown -= quantity
            if not maker.shown:
                self._show_next(level, maker)

    def _show_next(self, level: _Level, maker: Order) -> None:
        maker.shown = min(maker.iceberg_quantity, maker.remaining)
        level.hidden -= maker.shown
        # Its next part goes to the end, behind all who came meanwhile.
        level.orders[maker.order_id] = level.orders.pop(maker.order_id)

    def _tidy(self, price: Decimal, level: _Level) -> None:
        # A price without orders is no level.
        if not level.orders:
            del self._levels[price]
            del self._prices[bisect_left(self._prices, price)]

    def best(self) -> Order | None:
        if not self._prices:
            return None
        return next(iter(self._levels[self._prices[self._best]].orders.values()))

    def price(self, depth: int) -> Decimal | None:
        if depth >= len(self._prices):
            return None
        return self._prices[-1 - depth if self._best else depth]

    def levels(self) -> Iterator[tuple[Decimal, _Level]]:
        for price in reversed(self._prices) if self._best else iter(self._prices):
            yield price, self._levels[price]
