"""The money of orders and trades: what an order locks, what a trade moves, and who gets the commission.

**What an order locks.** A limit order locks what it may give at most: price times quantity to buy, the quantity to
sell. A market order locks what a look at the book says that it will give, one that waits for its price what it would
give at that price. Each trade is paid out of the lock at the maker's price; what is then no longer needed is released
at once. Two orders of which one cancels the other share one lock, which the first of them holds.

**Commission** is kept in `fees`: balances and fees together never change by trading.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import count
from typing import Final

from .accounts import Account
from .limits import Unfilled
from .listing import Listing
from .orders import NOTHING, Execution, Order, OrderList, Trade
from .refusals import Refusal
from .reports import Reports

# As the exchange writes it.
_NO_COMMISSION: Final = Decimal("0.00000000")


class Settlement:
    """Moves money between accounts.

    Attributes:
        fees: commission taken so far, by asset.
        house: the exchange's own account, through which orders are routed to other books; it may owe.
    """

    def __init__(self, listings: Mapping[str, Listing], reports: Reports) -> None:
        self.accounts: Final[dict[int, Account]] = {}
        self.fees: Final[dict[str, Decimal]] = {}
        # No account of a client has a negative uid.
        self.house: Final = Account(-1, {})
        self._listings = listings
        self._reports = reports
        self._allocation_ids = count()

    # Locks

    def lock(self, order: Order, amount: Decimal) -> None:
        """Let an order hold so much.

        Raises:
            Refusal: -2010, there is not enough; nothing has changed.
        """
        account = self.accounts[order.owner]
        # What it holds already counts.
        account.lock(order.gives, amount - order.reserved)
        order.reserved = amount

    def release(self, order: Order) -> None:
        """Give back what an order holds beyond what it needs."""
        group = order.group
        # The first of a pair holds the lock of both.
        if group is not None and order in group.pair and not group.is_decided and order.is_open:
            first, second = group.pair
            self._keep(first, max(self.needed(first), self.needed(second)))
        else:
            self._keep(order, self.needed(order) if order.is_open else NOTHING)

    def _keep(self, order: Order, needed: Decimal) -> None:
        if needed != order.reserved:
            self.accounts[order.owner].unlock(order.gives, order.reserved - needed)
            order.reserved = needed

    def needed(self, order: Order) -> Decimal:
        """What an open order may yet give."""
        # It waits for its price, or for another order.
        if not order.is_working:
            return self.needed_to_wait(order)
        # A market order has no price to reckon by: what it locked when it was placed is all that it has.
        return needed_by(order) if order.kind.has_limit else order.reserved

    def needed_to_wait(self, order: Order) -> Decimal:
        """What an order that waits would give at its price: its limit, else its stop price, else the last price."""
        # It is not placed yet, so nothing is set aside.
        if order.status == "PENDING_NEW":
            return NOTHING
        # To sell takes the quantity, at any price.
        if not order.is_buy:
            return order.remaining
        last = self._listings[order.symbol].book.last_price
        return (order.limit or order.stop_price or last or NOTHING) * order.remaining

    # Trades

    def settle(self, listing: Listing, taker: Order, trade: Trade, now: int) -> None:
        """Two orders of one book have traded."""
        trade_id = listing.tape.record(taker, trade, now)
        self._settle_side(listing, taker, trade, trade_id, now, is_maker=False)
        self._settle_side(listing, trade.maker, trade, trade_id, now, is_maker=True)

    def allocate(self, taker: Order, trade: Trade, now: int) -> None:
        """A routed order took from a book, be it its own: the house has traded there, and hands over what it got."""
        there, own = self._listings[trade.maker.symbol], self._listings[taker.symbol]
        given, received = (trade.amount, trade.quantity) if taker.is_buy else (trade.quantity, trade.amount)
        trade_id = there.tape.record(taker, trade, now)
        # What the house gives on that book it has from the taker, whose quote asset may be another one.
        house = self.house
        house.receive(there.quote if taker.is_buy else there.base, given.copy_negate())
        house.receive(there.base if taker.is_buy else there.quote, received)
        house.receive(own.quote if taker.is_buy else own.base, given)
        house.receive(own.base if taker.is_buy else own.quote, received.copy_negate())
        taker.floor = "SOR"
        self._settle_side(own, taker, trade, -1, now, is_maker=False, allocation_id=next(self._allocation_ids))
        self._settle_side(there, trade.maker, trade, trade_id, now, is_maker=True)

    def _settle_side(
        self,
        listing: Listing,
        order: Order,
        trade: Trade,
        trade_id: int,
        now: int,
        *,
        is_maker: bool,
        allocation_id: int | None = None,
    ) -> None:
        account = self.accounts[order.owner]
        base, quote = listing.base, listing.quote
        # The maker's price counts, which may be better than the taker's limit.
        if order.is_buy:
            paid, received, asset = trade.amount, trade.quantity, base
            account.swap(quote, paid, base, received)
        else:
            paid, received, asset = trade.quantity, trade.amount, quote
            account.swap(base, paid, quote, received)
        order.reserved -= paid
        commission, paid_in = self._charge(order, account, asset, received, is_maker=is_maker)
        # What a better price has saved is given back at once. A seller gives its quantity, whatever the price.
        if order.reserved and (order.is_buy or not order.is_open):
            self.release(order)
        execution = Execution(
            order, now, trade_id, trade.price, trade.quantity, commission, paid_in, is_maker, allocation_id
        )
        order.executions += (execution,)
        account.note(execution)
        if not order.is_open:
            account.retire(order)
        self._reports.of_order(order, "TRADE", execution=execution, unfilled=_first_fill(order, is_maker=is_maker))
        # The asset of the discount has changed too.
        assets = (base, quote) if paid_in in (base, quote) else (base, quote, paid_in)
        self._reports.of_balances(account, assets, now)

    def _charge(
        self, order: Order, account: Account, asset: str, received: Decimal, *, is_maker: bool
    ) -> tuple[Decimal, str]:
        """Take the commission. What a list's working order buys for the others is locked for them."""
        commissions = account.commissions
        due, paid_in = _NO_COMMISSION, asset
        # Most accounts of tests pay none.
        if not commissions.are_none:
            due = commissions.due(received, is_maker=is_maker, is_buyer=order.is_buy)
            price = self._price_of(commissions.discount_asset, asset) if commissions.is_discounted else None
            if price is not None:
                cheaper = commissions.discounted(received, price, is_maker=is_maker, is_buyer=order.is_buy)
                # Without enough of it, the commission comes from what was received.
                if account.holding(commissions.discount_asset).free >= cheaper:
                    due, paid_in = cheaper, commissions.discount_asset
            account.receive(paid_in, due.copy_negate())
            self.fees[paid_in] = self.fees.get(paid_in, NOTHING) + due
        group = order.group
        if group is not None and group.pays and order is group.working:
            self._hold(group, account, asset, received, due if paid_in == asset else NOTHING)
        return due, paid_in

    def _hold(self, group: OrderList, account: Account, asset: str, received: Decimal, due: Decimal) -> None:
        """Lock what a working order has bought for the orders that it pays."""
        # Commission comes from what is free, if there is enough and the asset is not BNB (opo.md).
        is_from_free = asset != account.commissions.discount_asset and account.holding(asset).free >= received
        held = received if is_from_free else received - due
        account.lock(asset, held)
        group.held += held

    def _price_of(self, asset: str, other: str) -> Decimal | None:
        """What one asset costs in another, by the last price."""
        # Who receives the discount asset itself needs no market for it.
        if asset == other:
            return Decimal(1)
        # There may be a symbol for the pair of assets in either direction, or none.
        for name, is_inverse in ((asset + other, False), (other + asset, True)):
            price = self._listings[name].book.last_price if name in self._listings else None
            if price is not None:
                return 1 / price if is_inverse else price
        return None

    # Self-trade prevention

    def transfer(self, taker: Order, maker: Order, price: Decimal, quantity: Decimal) -> None:
        """Move between two accounts what a match that was prevented would have moved (stp_faq.md, ``TRANSFER``)."""
        for order in (taker, maker):
            account, listing = self.accounts[order.owner], self._listings[order.symbol]
            amount = price * quantity
            if order.is_buy:
                account.swap(listing.quote, amount, listing.base, quantity)
                order.reserved -= amount
            else:
                account.swap(listing.base, quantity, listing.quote, amount)
                order.reserved -= quantity

    def try_lock(self, order: Order, amount: Decimal) -> bool:
        """Let an order hold so much, if there is enough."""
        try:
            self.lock(order, amount)
        except Refusal:
            return False
        return True


def _first_fill(order: Order, *, is_maker: bool) -> Unfilled | None:
    """What a fill means to the number of unfilled orders: only the first one counts ("Unfilled order count")."""
    if not order.is_counted:
        return None
    order.is_counted = False
    return "made" if is_maker else "taken"


def needed_by(order: Order) -> Decimal:
    """What the rest of a limit order gives at most."""
    return order.limit * order.remaining if order.is_buy else order.remaining
