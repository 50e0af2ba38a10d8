"""A symbol with all that belongs to it: its book, its tape, the orders that wait for a price, and its rules.

What an order must pass is put together once, when the symbol is listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from heapq import merge
from itertools import count
from operator import itemgetter
from typing import Final

from bintrio.api.filters import Filter, LotSizeFilter, MarketLotSizeFilter

from . import filters
from .accounts import Account
from .book import Book
from .filters import Coming, Scene
from .orders import SMALLEST, Order
from .reference import Bounds, ReferencePrices
from .refusals import filter_failure, order_refused
from .symbols import Symbol
from .tape import MINUTE, Tape
from .triggers import Triggers, is_reached

ALONE: Final = Coming(is_new=True)
"""Most orders come so."""


class Listing:
    """A symbol as it is traded.

    Args:
        symbol: its rules.
        exchange_filters: those of the exchange.
        references: the reference prices of all symbols.
        keep: how much of its tape is kept; None keeps all.

    Attributes:
        filters: of the symbol and of the exchange.
        checks: what an order must pass because of them.
        routes: the listings among whose books its orders may be routed; empty if they may not.
    """

    def __init__(
        self,
        symbol: Symbol,
        exchange_filters: Sequence[Filter],
        references: ReferencePrices,
        *,
        keep: int | None = None,
    ) -> None:
        self.symbol: Final = symbol
        self.base: Final = symbol.base
        self.quote: Final = symbol.quote
        self.book: Final = Book(symbol.step_size)
        self.tape: Final = Tape(keep)
        self.triggers: Final = Triggers()
        self.filters: Final = (*symbol.all_filters(), *exchange_filters)
        self.checks = filters.compiled(self.filters, Scene(symbol.base, symbol.quote, self._average_price))
        self.routes: tuple[Listing, ...] = ()
        self._references = references
        self._match_ids = count()
        lots = [(_name(one), one) for one in self.filters if isinstance(one, LotSizeFilter | MarketLotSizeFilter)]
        self._least_lots = (*((f"{name} filter", lot.min_qty) for name, lot in lots), ("symbol", SMALLEST))
        self._greatest_lots = tuple((name, lot.max_qty) for name, lot in lots if lot.max_qty)

    # What an order must be like

    def judge(self, account: Account, order: Order, coming: Coming = ALONE) -> None:
        """Refuse an order that breaks a rule, as of its last change; pegged ones get their price from the book.

        Args:
            account: its owner.
            order: as it came.
            coming: what comes at once.

        Raises:
            Refusal: -1013 or -2010.
        """
        self.symbol.check_supported(order)
        # One that waits is pegged when it is triggered.
        if order.peg_price_type is not None and not order.kind.trigger and order.status == "NEW":
            # It must pass the filters at its own price and at the one that it is pegged to (pegged_orders.md).
            if order.price:
                filters.check(self.checks, order, account, coming)
            self.peg(order)
        filters.check(self.checks, order, account, coming)

    def filter(self, account: Account, order: Order) -> None:
        """Refuse an order that was taken already, and does not pass a filter any more.

        Raises:
            Refusal: -1013.
        """
        filters.check(self.checks, order, account, Coming(is_new=False))

    def peg(self, order: Order) -> None:
        """Take an order's limit from the book.

        Raises:
            Refusal: -2010, there is no such price.
        """
        of_bids = order.is_buy is (order.peg_price_type == "PRIMARY_PEG")
        price = self.book.price_level(of_bids=of_bids, depth=order.peg_offset_value or 0)
        # The book has no such level.
        if price is None:
            raise order_refused("Order book liquidity is too low for this pegged order.")
        if order.price:
            # Its own price stays the worst that it takes.
            price = min(price, order.price) if order.is_buy else max(price, order.price)
        order.limit = order.pegged_price = price

    def check_amount(self, order: Order, quantity: Decimal) -> None:
        """Refuse an order by quote amount that buys or sells too little or too much.

        Raises:
            Refusal: -2010 or -1013.
        """
        is_empty = self.book.price_level(of_bids=not order.is_buy, depth=0) is None
        # An order by quote amount has no quantity of its own that a filter could judge.
        too_great = "symbol" if is_empty else next((name for name, lot in self._least_lots if quantity < lot), None)
        if too_great is not None:
            raise order_refused(f"Order book liquidity is less than {too_great} minimum quantity.")
        # Changelog of 2023-07-11.
        for name, lot in self._greatest_lots:
            if quantity > lot:
                raise filter_failure(name)

    def check_waiting(self, order: Order) -> None:
        """Refuse an order that is to wait for a price that is there already.

        Raises:
            Refusal: -2010.
        """
        last_price = self.book.last_price
        # Before the first trade, no price has been reached.
        if order.stop_price and last_price is not None and is_reached(order, last_price):
            raise order_refused("Order would trigger immediately.")

    # Prices

    def bounds(self, now: int, *, is_buy: bool) -> Bounds | None:
        """Between which prices the execution rule lets an order trade that becomes active now; None if at any."""
        if not self.symbol.execution_rules:
            return None
        reference = self._references.price(self.symbol.name, self.tape, now)
        return None if reference is None else Bounds.of(self.symbol.execution_rules[0], reference, is_buy=is_buy)

    def _average_price(self, order: Order, minutes: int) -> Decimal | None:
        """What a price is measured by: the reference price, else the average of some minutes, else the last price."""
        now = order.updated_at
        reference = self._references.price(self.symbol.name, self.tape, now)
        # The reference price goes before the average, where a symbol has one.
        if reference is not None:
            return reference
        # 0 minutes means the last price.
        if minutes:
            of_late = self.tape.summary(now - minutes * MINUTE, now + 1)
            if of_late is not None:
                return of_late.quote_volume / of_late.volume
        if self.book.last_price is not None:
            return self.book.last_price
        return self.book.price_level(of_bids=not order.is_buy, depth=0)

    def next_match_id(self) -> int:
        """For a match that self-trade prevention keeps from happening."""
        return next(self._match_ids)

    # Routing

    def next_maker(self, order: Order) -> tuple[Listing, Order | None]:
        """The order that a routed one trades with next: that with the best price, of its own book before others."""
        best, maker = self, self.book.meet(order)
        for listing in self.routes:
            other = listing.book.meet(order)
            # Its own book goes first at equal prices.
            if other is not None and (maker is None or _is_better(order, other.limit, maker.limit)):
                best, maker = listing, other
        return best, maker

    def offers(self, order: Order) -> Iterator[tuple[Decimal, Decimal]]:
        """Price and quantity of what an order meets, best first."""
        if not order.floor:
            return self.book.offers(order)
        offers = (listing.book.offers(order) for listing in self._own_first())
        return merge(*offers, key=itemgetter(0), reverse=not order.is_buy)

    def makers(self, order: Order) -> Iterator[tuple[Order, Decimal]]:
        """The orders that an order meets, in turn, with what they offer."""
        if not order.floor:
            return self.book.makers(order)
        makers = (listing.book.makers(order) for listing in self._own_first())
        return merge(*makers, key=lambda offer: offer[0].limit, reverse=not order.is_buy)

    def _own_first(self) -> Iterator[Listing]:
        """Those among whose books its orders may be routed: at equal prices its own goes first."""
        yield self
        yield from (listing for listing in self.routes if listing is not self)


def _name(rule: Filter) -> str:
    return str(type(rule).__struct_config__.tag)


def _is_better(order: Order, price: Decimal, than: Decimal) -> bool:
    return price < than if order.is_buy else price > than
