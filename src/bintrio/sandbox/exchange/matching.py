"""The matching engine: orders in, trades, balances and events out. No I/O; time is an argument, in microseconds.

An order is entered (checked, its money locked, told), and then begins: it waits for its price, or becomes active. There
is one way in which an order becomes active, `_work`, whether it just came, was triggered, or waited for another order.
It trades with the book by price and time, and what is left goes on the book or expires.

What that sets off happens once it is done, in the order in which it was set off: orders whose price was reached become
active, and lists react to orders of theirs that ended (`lists`).

**Order of events.** An executionReport for each change, and a listStatus where a list has changed; behind all that a
command has changed, the balances, once for each account. The taker's side of a trade comes before the maker's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import count, takewhile
from typing import Any, Final, Literal

from bintrio.api.enums import ExecutionType, ExpiryReason
from bintrio.api.filters import Filter

from . import prevention
from .accounts import Account
from .list_requests import ListBuilder
from .listing import Listing
from .lists import Lists
from .orders import Order, OrderList, Prevention
from .placements import Placement, as_order
from .reference import ReferencePrices
from .refusals import Refusal, cancel_refused, invalid_symbol, order_refused, reject_reason
from .reports import Notice, Reports
from .settlement import Settlement, needed_by
from .symbols import Symbol


class MatchingEngine:
    """Books, accounts and their orders.

    Args:
        symbols: what is traded.
        exchange_filters: filters on all orders of an account, and on assets.
        routes: for each base asset, the symbols among whose books orders may be routed.
        is_followed: whether somebody wants to know of the changes of an account.
        keep: how much of each tape is kept; None keeps all.

    Attributes:
        symbols: what is traded, by name.
        listings: the same with their books and tapes, by the symbol's name.
        accounts: by uid.
        fees: commission taken so far, by asset.
        references: the reference prices.
    """

    def __init__(
        self,
        symbols: Iterable[Symbol],
        *,
        exchange_filters: Sequence[Filter] = (),
        routes: Iterable[Sequence[str]] = (),
        is_followed: Callable[[int], bool] = lambda _: True,
        keep: int | None = None,
    ) -> None:
        self.exchange_filters: Final = tuple(exchange_filters)
        self.references: Final = ReferencePrices()
        self.symbols: Final = {symbol.name: symbol for symbol in symbols}
        self.listings: Final = {
            name: Listing(symbol, self.exchange_filters, self.references, keep=keep)
            for name, symbol in self.symbols.items()
        }
        for names in routes:
            together = tuple(self.listings[name] for name in names)
            for listing in together:
                listing.routes = together
        self.reports: Final = Reports(is_followed)
        self.settlement: Final = Settlement(self.listings, self.reports)
        self.accounts: Final = self.settlement.accounts
        self.fees: Final = self.settlement.fees
        self.lists: Final = Lists(self)
        self._order_ids = count(1)
        self._list_builder = ListBuilder(lambda: next(self._order_ids))
        self._prices: deque[tuple[Listing, Decimal]] = deque()
        self._ended: deque[Order] = deque()

    @property
    def orders(self) -> list[Order]:
        """Every order that was taken and is not forgotten, in order."""
        taken = (order for account in self.accounts.values() for order in account.orders.values())
        return sorted(taken, key=lambda order: order.order_id)

    def take_notices(self) -> list[Notice]:
        """The changes since the last call, in their order."""
        return self.reports.take()

    def listing(self, name: str) -> Listing:
        """What is traded, by the symbol's name.

        Raises:
            Refusal: -1121.
        """
        try:
            return self.listings[name]
        except KeyError:
            raise invalid_symbol() from None

    def symbol(self, name: str) -> Symbol:
        """A symbol by name.

        Raises:
            Refusal: -1121.
        """
        return self.listing(name).symbol

    # Placing

    def check(self, account: Account, request: Placement, now: int) -> Order:
        """The order that a request asks for, if every rule lets it pass; nothing is changed.

        Raises:
            Refusal: -1121, -1013 or -2010.
        """
        listing = self.listing(request.symbol)
        order = as_order(request, listing.symbol, next(self._order_ids), account.uid, now)
        listing.judge(account, order)
        return order

    def new_list(self, request: Any, owner: int, now: int) -> OrderList:
        """The list that a request asks for; nothing is changed.

        Raises:
            Refusal: -1121.
        """
        return self._list_builder.build(request, self.symbol(request.symbol), owner, now)

    def place(self, account: Account, request: Placement, now: int, *, is_routed: bool = False) -> Order:
        """Place an order, trade it, and put the rest on the book or end it.

        Raises:
            Refusal: -1121, -1013 or -2010; nothing has changed.
        """
        order = self.check(account, request, now)
        # It may trade on other books too, so it is on the floor of the exchange, and not on one book.
        if is_routed:
            order.floor = "EXCHANGE"
        # Everything that may refuse it comes before the first change, so a refusal changes nothing.
        account.check_client_order_id(order)
        self.settlement.lock(order, self.needed_to_enter(order))
        self.register(account, order, now)
        self.begin(order, now)
        # Most orders set off nothing.
        if self._ended or self._prices:
            self.react(now)
        return order

    def reject(self, account: Account, request: Placement, refusal: Refusal, now: int) -> None:
        """Tell of an order that was refused; it has an id, and nobody can ask for it."""
        order = as_order(request, self.symbol(request.symbol), next(self._order_ids), account.uid, now)
        # It never was the account's, so it is told of and forgotten.
        order.end("REJECTED", now)
        self.reports.of_rejection(order, reject_reason(refusal))

    def needed_to_enter(self, order: Order) -> Decimal:
        """What an order has to lock, if the book lets it in.

        Raises:
            Refusal: -2010, it would trigger or match at once, is worth nothing, or there is nothing to match.
        """
        listing, kind = self.listings[order.symbol], order.kind
        # It waits for its price, so the book is not looked at yet.
        if kind.trigger:
            listing.check_waiting(order)
            return self.settlement.needed_to_wait(order)
        if kind.is_maker and listing.book.meet(order) is not None:
            raise order_refused("Order would immediately match and take.")
        if kind.has_limit:
            # Only where no filter of the symbol has refused it already.
            if not (order.limit and order.remaining):
                raise order_refused("Price * QTY is zero or less.")
            return needed_by(order)
        quantity, amount, is_short = listing.book.preview(self._offers(order), order)
        # By quote amount: the book says how much of the base asset that is.
        if order.quote_quantity:
            listing.check_amount(order, quantity)
            order.resize(quantity)
            order.is_short = is_short
            # Now that its quantity is known: MAX_POSITION and MAX_ASSET go by it.
            listing.filter(self.accounts[order.owner], order)
        return amount if order.is_buy else order.remaining

    def register(self, account: Account, order: Order, now: int) -> None:
        """Take note of a new order, and tell."""
        account.register(order)
        self.tell_new(account, order, now, is_first=True)

    def tell_new(self, account: Account, order: Order, now: int, *, is_first: bool = False) -> None:
        """Tell of an order that was taken, or has become active."""
        # Pending and waiting orders do not work yet.
        if order.status == "NEW" and not order.kind.trigger:
            order.working_time = now
        self.reports.of_order(order, "NEW", unfilled="placed" if is_first else None)
        self.reports.of_balances(account, (order.gives,), now)

    # Becoming active

    def begin(self, order: Order, now: int) -> None:
        """Let an order that was entered wait for its price, or become active."""
        if order.kind.trigger:
            order.place = "waiting"
            listing = self.listings[order.symbol]
            listing.triggers.add(order, listing.book.last_price, now)
        else:
            self._work(order, now)

    def _trigger(self, order: Order, now: int) -> None:
        """The price that an order waited for was reached."""
        # Another order that was triggered by the same price may have ended it.
        if not order.is_open:
            return
        self.lists.choose(order, now)
        order.working_time = order.updated_at = now
        account = self.accounts[order.owner]
        # The account may have spent what it needs, or its price may break a filter now.
        if not self._is_let_in(account, order):
            self.end(order, "EXPIRED", now, reason="REJECTED")
            return
        self.reports.of_order(order, "NEW")
        self.reports.of_balances(account, (order.gives,), now)
        self._work(order, now)

    def _is_let_in(self, account: Account, order: Order) -> bool:
        """Whether an order that was triggered can still be placed: pegged ones are judged again."""
        listing = self.listings[order.symbol]
        # Its price follows the book, so it is known only now.
        if order.peg_price_type is not None:
            try:
                listing.peg(order)
                listing.filter(account, order)
            except Refusal:
                return False
        if order.kind.has_limit:
            return self.settlement.try_lock(order, needed_by(order))
        _, amount, _ = listing.book.preview(self._offers(order), order)
        return self.settlement.try_lock(order, amount if order.is_buy else order.remaining)

    def _work(self, order: Order, now: int) -> None:
        """An order becomes active: it trades, and what is left goes on the book or expires."""
        listing = self.listings[order.symbol]
        # Fill or kill: as a whole or not at all.
        if order.time_in_force != "FOK" or self._can_be_filled(order, now):
            self._match(listing, order, now)
        if not order.is_open:
            return
        # Only a limit order can wait on the book.
        if order.kind.has_limit and order.time_in_force == "GTC":
            order.place = "book"
            listing.book.add(order)
            return
        self.end(order, "EXPIRED", now, reason=_UNFILLED.get(order.time_in_force, "INSUFFICIENT_LIQUIDITY"))

    def _can_be_filled(self, order: Order, now: int) -> bool:
        listing = self.listings[order.symbol]
        offers, bounds = self._offers(order, prevention.STAYS_WHOLE), listing.bounds(now, is_buy=order.is_buy)
        # Beyond the bounds of the execution rule it would end with a part of it traded.
        if bounds is not None:
            offers = takewhile(lambda offer: bounds.admit(offer[0]), offers)
        return listing.book.preview(offers, order).quantity >= order.remaining

    def _offers(self, order: Order, modes: frozenset[str] = prevention.GOES_ON) -> Iterator[tuple[Decimal, Decimal]]:
        """What an order may come to pay for, best first, if it goes on behind its own orders in these modes."""
        listing = self.listings[order.symbol]
        # Without prevention, everything on the book counts.
        if order.stp_mode == "NONE":
            return listing.offers(order)
        own = self.accounts[order.owner]
        return prevention.offers(
            order,
            listing.makers(order),
            lambda maker: prevention.are_related(own, self.accounts[maker.owner]),
            modes=modes,
        )

    # Matching

    def _match(self, own: Listing, order: Order, now: int) -> None:
        bounds = own.bounds(now, is_buy=order.is_buy)
        while order.remaining:
            # A routed order takes the best price of several books.
            listing, maker = own.next_maker(order) if order.floor else (own, own.book.meet(order))
            if maker is None:
                return
            # The execution rule of the symbol: no trade too far from the reference price.
            if bounds is not None and not bounds.admit(maker.limit):
                self.end(order, "EXPIRED", now, reason="EXECUTION_RULE_PRICE_RANGE_EXCEEDED")
                return
            if order.stp_mode != "NONE" and self._are_related(order, maker):
                self._prevent(order, maker, now)
            else:
                self._trade(listing, order, maker, now)

    def _trade(self, listing: Listing, order: Order, maker: Order, now: int) -> None:
        # One of a pair trades, so the other one ends first: both hold the same money.
        if maker.group is not None:
            self.lists.choose(maker, now)
        trade = listing.book.trade(order, maker, min(maker.visible, order.remaining), now)
        if order.floor:
            self.settlement.allocate(order, trade, now)
        else:
            self.settlement.settle(listing, order, trade, now)
        if not maker.remaining:
            # The book has dropped it already.
            maker.place = ""
        # Noted, not acted on: what the price triggers happens after this order.
        if listing.triggers.has_any:
            self._prices.append((listing, trade.price))
        for one in (order, maker):
            if one.group is not None and not one.is_open:
                self._ended.append(one)

    # Self-trade prevention

    def _are_related(self, order: Order, maker: Order) -> bool:
        return prevention.are_related(self.accounts[order.owner], self.accounts[maker.owner])

    def _prevent(self, order: Order, maker: Order, now: int) -> None:
        """Keep two orders from trading, and let one of them expire, or both."""
        mode = prevention.effective_mode(order, maker)
        from_taker, from_maker = prevention.quantities(mode, order, maker)
        matched = min(order.remaining, maker.remaining)
        taking = self.accounts[order.owner]
        match_id = self.listings[order.symbol].next_match_id()
        match = prevention.match(match_id, mode, order, maker, taking.trade_group_id, from_taker, from_maker, now)
        # Both orders may be of one account, which notes it once.
        for account in {taking.uid: taking, maker.owner: self.accounts[maker.owner]}.values():
            account.note_prevented(match)
        order.preventions += (Prevention(match, from_taker, matched, maker.order_id),)
        # Nothing can be moved within one account.
        if mode == "TRANSFER" and order.owner != maker.owner:
            self.settlement.transfer(order, maker, maker.limit, matched)
        if from_taker:
            self._take_away(order, Prevention(match, from_taker, matched, maker.order_id), now)
        if from_maker:
            self._take_away(maker, Prevention(match, from_maker, matched, order.order_id), now)

    def _take_away(self, order: Order, taken: Prevention, now: int) -> None:
        """Take from an order what self-trade prevention took; without any left, it is over."""
        if taken.quantity == order.remaining:
            # Off the book first, since the book adds up what is left of its orders.
            self._leave(order)
            order.prevent(taken.quantity, taken.match.prevented_match_id, now)
            self._close(order, "EXPIRED_IN_MATCH", now, kind="TRADE_PREVENTION", taken=taken)
            return
        order.prevent(taken.quantity, taken.match.prevented_match_id, now)
        if order.place == "book":
            self.listings[order.symbol].book.reduce(order, taken.quantity)
        self._release_and_tell(order, "TRADE_PREVENTION", now, taken=taken)

    # Ending

    def cancel(
        self, account: Account, order: Order, now: int, *, cancel_id: str, restriction: str | None = None
    ) -> None:
        """Cancel an order, and with it the list that it belongs to.

        Raises:
            Refusal: -2011, it is not open, or not in the state that ``restriction`` asks for.
        """
        # It may have been filled since it was asked for.
        if not order.is_open:
            raise cancel_refused("Unknown order sent.")
        # Whoever wants to cancel only what has not traded says so.
        if restriction is not None and order.status != restriction.removeprefix("ONLY_"):
            raise cancel_refused("Order was not canceled due to cancel restrictions.")
        # To cancel one order of a list cancels the list.
        together = (order,) if order.group is None else order.group.orders
        for one in together:
            # Some of the list may have ended before.
            if one.is_open:
                self.end(one, "CANCELED", now, cancel_id=cancel_id)
        self.react(now)

    def end(
        self,
        order: Order,
        status: Literal["CANCELED", "EXPIRED"],
        now: int,
        *,
        reason: ExpiryReason | None = None,
        cancel_id: str | None = None,
        quantity: Decimal | None = None,
    ) -> int:
        """Take an order off wherever it is, reduced to a quantity first. Returns the execution id of the report."""
        self._leave(order)
        # Off the book with its former quantity, then reduced.
        if quantity is not None:
            order.resize(quantity)
        return self._close(order, status, now, kind=status, reason=reason, cancel_id=cancel_id)

    def _leave(self, order: Order) -> None:
        if order.place == "book":
            self.listings[order.symbol].book.remove(order)
        elif order.place == "waiting":
            self.listings[order.symbol].triggers.remove(order)
        order.place = ""

    def _close(
        self,
        order: Order,
        status: Literal["CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"],
        now: int,
        *,
        kind: ExecutionType,
        reason: ExpiryReason | None = None,
        cancel_id: str | None = None,
        taken: Prevention | None = None,
    ) -> int:
        order.end(status, now, reason)
        self.accounts[order.owner].retire(order)
        if order.group is not None:
            self._ended.append(order)
        return self._release_and_tell(order, kind, now, cancel_id=cancel_id, taken=taken)

    def _release_and_tell(
        self,
        order: Order,
        kind: ExecutionType,
        now: int,
        *,
        cancel_id: str | None = None,
        former_id: str = "",
        taken: Prevention | None = None,
    ) -> int:
        """Give back what an order that has changed no longer needs, and tell. Returns the report's execution id."""
        self.settlement.release(order)
        execution_id = self.reports.of_order(order, kind, cancel_id=cancel_id, former_id=former_id, prevention=taken)
        self.reports.of_balances(self.accounts[order.owner], (order.gives,), now)
        return execution_id

    def amended(self, order: Order, reduced_by: Decimal, now: int, former_id: str) -> int:
        """An order is for less now. Returns the execution id of the report."""
        # The level adds up what is left, so it has to learn of the difference.
        if order.place == "book":
            self.listings[order.symbol].book.reduce(order, reduced_by)
        order.updated_at = now
        return self._release_and_tell(order, "REPLACED", now, former_id=former_id)

    # What follows

    def react(self, now: int) -> None:
        """Let happen what the changes so far set off, until nothing more follows."""
        while self._ended or self._prices:
            # Lists first: an order that its list ends must not be triggered any more.
            if self._ended:
                self.lists.react(self._ended.popleft(), now)
                continue
            listing, price = self._prices.popleft()
            fired, watching = listing.triggers.fire(price, now)
            for order in watching:
                self.reports.of_nothing(order)
            # All leave before the first is placed: what that trades must not trigger the others again.
            for order in fired:
                order.place = ""
            for order in fired:
                self._trigger(order, now)


_UNFILLED: Final[dict[str, ExpiryReason]] = {
    "IOC": "UNFILLED_IOC_QUANTITY_EXPIRED",
    "FOK": "UNFILLED_FOK_ORDER_EXPIRED",
}
