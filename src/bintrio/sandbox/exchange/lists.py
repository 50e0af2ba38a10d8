"""Order lists: what becomes of the other orders when something happens to one.

* OCO: of a pair, one order cancels the other, as soon as it trades or is triggered, or ends.
* OTO: the pending order is placed once the working order is filled; if that ends in another way, so does the list.
* OTOCO: what is pending is a pair.
* OPO, OPOCO: what the working order buys is locked for the pending ones to sell, and decides their quantity.

Canceling one order cancels its list.

Source: "Order lists" of the WebSocket API document, opo.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal, Protocol

from bintrio._protocol.exact import EXACT
from bintrio.api.enums import ExpiryReason
from bintrio.api.filters import LotSizeFilter, MarketLotSizeFilter

from .accounts import Account
from .filters import Coming
from .listing import Listing
from .orders import NOTHING, Order, OrderList, snapshot
from .pairs import belongs_above
from .refusals import Refusal, order_refused
from .reports import Reports
from .settlement import Settlement
from .symbols import Symbol

_BAD_PRICES: Final = "The relationship of the prices for the orders is not correct."


class Engine(Protocol):
    """What lists need of the matching engine."""

    @property
    def listings(self) -> dict[str, Listing]:
        """What is traded, by the symbol's name."""
        ...

    @property
    def accounts(self) -> dict[int, Account]:
        """By uid."""
        ...

    @property
    def settlement(self) -> Settlement:
        """The money."""
        ...

    @property
    def reports(self) -> Reports:
        """What is told."""
        ...

    def needed_to_enter(self, order: Order) -> Decimal:
        """What an order has to lock."""
        ...

    def register(self, account: Account, order: Order, now: int) -> None:
        """Take note of a new order, and tell."""
        ...

    def tell_new(self, account: Account, order: Order, now: int) -> None:
        """Tell of an order that has become active."""
        ...

    def begin(self, order: Order, now: int) -> None:
        """Let an order wait for its price, or become active."""
        ...

    def react(self, now: int) -> None:
        """Let happen what the changes so far set off."""
        ...

    def end(self, order: Order, status: Literal["EXPIRED"], now: int, *, reason: ExpiryReason | None = None) -> int:
        """Take an order off wherever it is."""
        ...


class Lists:
    """The order lists of all accounts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # Placing

    def place(self, account: Account, group: OrderList, now: int) -> Sequence[Order]:
        """Place a list. Returns its orders as they stood before what was pending could be placed.

        Raises:
            Refusal: -1013, -2010 or a code of lists; nothing has changed.
        """
        engine = self._engine
        self._check(account, group)
        if group.working is not None:
            # The pending ones lock nothing before it has filled.
            active: tuple[Order, ...] = (group.working,)
            engine.settlement.lock(group.working, engine.needed_to_enter(group.working))
        else:
            active = group.pair
            self._lock_pair(group)
        engine.reports.of_list(account, group, "EXEC_STARTED", now)
        # All are known before the first begins, which may trade at once and end the other one of its pair.
        for order in group.orders:
            engine.register(account, order, now)
        for order in active:
            engine.begin(order, now)
        # Before what follows: the answer shows the orders as they were placed.
        placed = tuple(map(snapshot, group.orders))
        engine.react(now)
        return placed

    def _check(self, account: Account, group: OrderList) -> None:
        engine = self._engine
        listing = engine.listings[group.symbol]
        check_allowed(listing.symbol, group)
        named = account.list_named(group.client_order_id)
        names = [order.client_order_id for order in group.orders]
        # A name is free again once its list is done; within one list no two orders may share one.
        if (named is not None and named.list_order_status != "ALL_DONE") or len(set(names)) < len(names):
            raise order_refused("Duplicate order sent.")
        for order in group.orders:
            others = tuple(one for one in group.orders if one is not order)
            listing.judge(account, order, Coming(is_new=True, others=others, lists=1))
            account.check_client_order_id(order)
        # The pair of an OTOCO is checked when it is placed, against the price of that moment.
        if group.working is None:
            _check_prices(group.pair, listing.book.last_price)

    def _lock_pair(self, group: OrderList) -> None:
        """Let the first of a pair hold what either of them may need."""
        amounts = [self._engine.needed_to_enter(order) for order in group.pair]
        # Only one of them can trade, so they share a lock that is large enough for either.
        self._engine.settlement.lock(group.pair[0], max(amounts))

    # What happens to one order

    def choose(self, order: Order, now: int) -> None:
        """An order trades or was triggered: the other one of its pair is over."""
        group = order.group
        # Decided once: partial fills go on with the same one.
        if group is None or group.is_decided or order not in group.pair:
            return
        group.is_decided = True
        other = group.other(order)
        assert other is not None
        # The shared lock goes to the one that goes on, before the other is released.
        order.reserved += other.reserved
        other.reserved = NOTHING
        self._engine.end(other, "EXPIRED", now, reason="OCO_TRIGGER")

    def react(self, order: Order, now: int) -> None:
        """An order of a list has ended."""
        group = order.group
        assert group is not None
        # Several may have ended at once, the list included.
        if group.is_done:
            self._finish(group, now)
        elif order is group.working:
            if order.status == "FILLED":
                self._place_pending(group, now)
            else:
                # What they wait for can happen no more.
                self._expire(group, "OTO_PHASE_ONE_EXPIRED", now)
        # One of a pair was canceled or expired, and the other goes with it.
        elif not group.is_decided:
            self._expire(group, "OCO_TRIGGER", now)

    def _expire(self, group: OrderList, reason: ExpiryReason, now: int) -> None:
        for order in group.orders:
            if order.is_open:
                self._engine.end(order, "EXPIRED", now, reason=reason)

    def _finish(self, group: OrderList, now: int) -> None:
        """Several orders may have ended at once, but a list is over only once."""
        account = self._engine.accounts[group.owner]
        known = account.lists.get(group.list_id)
        if known is None or known.list_order_status == "ALL_DONE":
            return
        # What was bought for orders that never came is the account's again.
        if group.held:
            asset = self._engine.listings[group.symbol].base
            self._give_back(account, group, asset)
            self._engine.reports.of_balances(account, (asset,), now)
        self._engine.reports.of_list(account, group, "ALL_DONE", now)

    def _give_back(self, account: Account, group: OrderList, asset: str) -> None:
        account.unlock(asset, group.held)
        group.held = NOTHING

    # Pending orders

    def _place_pending(self, group: OrderList, now: int) -> None:
        engine = self._engine
        account, listing = engine.accounts[group.owner], engine.listings[group.symbol]
        # How much was bought decides how much the pending orders sell.
        if group.pays:
            self._size(group, account, listing)
        for order in group.pending:
            order.status, order.updated_at = "NEW", now
        try:
            for order in group.pending:
                listing.judge(account, order, Coming(is_new=False))
            if group.pair:
                _check_prices(group.pair, listing.book.last_price)
                self._lock_pair(group)
            else:
                (order,) = group.pending
                engine.settlement.lock(order, engine.needed_to_enter(order))
        # Pending orders that the exchange cannot take expire: the working order has traded already.
        except Refusal:
            self._expire(group, "REJECTED", now)
            return
        for order in group.pending:
            engine.tell_new(account, order, now)
        # All are told of before the first begins, since it may trade at once and end the other.
        for order in group.pending:
            engine.begin(order, now)

    def _size(self, group: OrderList, account: Account, listing: Listing) -> None:
        """Let the pending orders be for what was bought, in whole lots; the rest is free."""
        held = group.held
        self._give_back(account, group, listing.base)
        for order in group.pending:
            quantity = held
            for rule in listing.filters:
                # MARKET_LOT_SIZE is for orders without a limit (filters.md).
                if isinstance(rule, LotSizeFilter) or (
                    isinstance(rule, MarketLotSizeFilter) and not order.kind.has_limit
                ):
                    quantity = _in_lots(quantity, rule)
            order.resize(quantity)


def _in_lots(quantity: Decimal, rule: LotSizeFilter | MarketLotSizeFilter) -> Decimal:
    # Of MARKET_LOT_SIZE, a maximum of 0 is none.
    most = min(quantity, rule.max_qty or quantity)
    return EXACT.subtract(most, EXACT.remainder(most, rule.step_size)) if rule.step_size else most


# What lists must be like


def check_allowed(symbol: Symbol, group: OrderList) -> None:
    """Refuse a list of a kind that the symbol does not take.

    Raises:
        Refusal: -2010.
    """
    if group.pair and not symbol.oco_allowed:
        raise order_refused("OCO orders are not supported for this symbol")
    if group.working is not None and not symbol.oto_allowed:
        raise order_refused("OTO orders are not supported for this symbol.")
    if group.pays and not symbol.opo_allowed:
        raise order_refused("OPO orders are not supported for this symbol.")


def _check_prices(pair: tuple[Order, ...], last_price: Decimal | None) -> None:
    """The last price lies between the two orders."""
    if last_price is None:
        # Nothing has been traded, so there is no price to lie between.
        return
    for order in pair:
        # A trailing order without a stop price follows the market, and stands on neither side of it.
        price = order.stop_price or (NOTHING if order.kind.trigger else order.limit)
        if price and (price <= last_price if belongs_above(order.side, order.kind.trigger) else price >= last_price):
            raise order_refused(_BAD_PRICES)
