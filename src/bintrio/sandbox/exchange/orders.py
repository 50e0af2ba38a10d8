"""An order, from its placing to its end.

Times are microseconds. Quantities and prices are exact and have eight decimals from the start, so sums of them have
eight decimals as well; only products have more, and lose them where they are shown (`eight_decimals`).

Source: "Trading requests" of the WebSocket API document.
"""

from __future__ import annotations

from copy import copy
from decimal import ROUND_DOWN, Decimal
from typing import Final, TypeAlias

import msgspec

from bintrio._protocol.exact import EXACT
from bintrio.api import account as account_api
from bintrio.api._values import Shown, repr_of
from bintrio.api.enums import (
    ContingencyType,
    ExpiryReason,
    OrderState,
    OrderType,
    PegOffsetType,
    PegPriceType,
    SelfTradePreventionMode,
    Side,
    TimeInForce,
)

NOTHING: Final = Decimal(0)
SMALLEST: Final = Decimal("1E-8")
"""Amount of any asset."""

_DOWN: Final = EXACT.copy()
# Never up: an account would be shown more than it has.
_DOWN.rounding = ROUND_DOWN
_cut_off: Final = _DOWN.quantize


def eight_decimals(amount: Decimal) -> Decimal:
    """As the exchange writes amounts; what is finer is cut off."""
    return _cut_off(amount, SMALLEST)


ZERO: Final = EXACT.quantize(NOTHING, SMALLEST)
"""As the exchange writes it."""


class Kind(msgspec.Struct, frozen=True, gc=False):
    """What an order type comes to.

    Attributes:
        trigger: which way the price must go for it to be placed: against the order ("stop"), for it ("profit"), or no
            way, since it is placed at once.
        has_limit: whether it trades up to a price, or at any.
        is_maker: whether it must not trade at once.
    """

    trigger: str = ""
    has_limit: bool = True
    is_maker: bool = False


KINDS: Final[dict[str, Kind]] = {
    "LIMIT": Kind(),
    "LIMIT_MAKER": Kind(is_maker=True),
    "MARKET": Kind(has_limit=False),
    "STOP_LOSS": Kind("stop", has_limit=False),
    "STOP_LOSS_LIMIT": Kind("stop"),
    "TAKE_PROFIT": Kind("profit", has_limit=False),
    "TAKE_PROFIT_LIMIT": Kind("profit"),
}
"""By order type; "Order type"."""


class Trade(msgspec.Struct, frozen=True, gc=False):
    """Two orders met.

    Attributes:
        maker: the order that was on the book.
        price: the maker's price.
        quantity: of the base asset.
        amount: of the quote asset.
    """

    maker: Order
    price: Decimal
    quantity: Decimal
    amount: Decimal


class Execution(Shown, frozen=True):
    """One order's side of a trade, or an allocation by smart order routing, which has no trade id."""

    order: Order
    time: int
    trade_id: int
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    is_maker: bool
    allocation_id: int | None = None

    @property
    def amount(self) -> Decimal:
        """Of the quote asset."""
        return self.price * self.quantity


class Prevention(Shown, frozen=True):
    """One order's side of a match that self-trade prevention kept from happening.

    Attributes:
        quantity: that expired of the order.
        matched: what would have traded.
    """

    match: account_api.PreventedMatch
    quantity: Decimal
    matched: Decimal
    counter_order_id: int


class SandboxOrder(msgspec.Struct, kw_only=True, eq=False):
    """An order.

    Attributes:
        owner: the uid of its account.
        price: the limit that was asked for; 0 without one.
        quantity: of the base asset; for an order by quote amount, what the book sells for it.
        quote_quantity: what a market order by quote amount may spend or is to yield; else 0.
        is_short: whether the book has less than a quote amount pays for, so that the order cannot be filled.
        limit: the price up to which it trades: ``price``, or the one it was pegged to.
        stop_price: 0 without one.
        extreme: of a trailing order, the best price since it watches prices.
        trailing_time: since when it does; -1 before.
        iceberg_quantity: what the book shows of it at a time; 0 if all.
        shown: what the book shows of it now, if it is an iceberg order.
        working_time: when it went to the book or traded; -1 before.
        gives: the asset that it gives.
        reserved: what is still locked for it, of that asset.
        prevented: what self-trade prevention took away.
        group: the list that it belongs to.
        place: where it is: on the "book", "waiting" for its price, or nowhere.
        is_open: whether it can still trade.
        floor: where a routed order was active last; empty for all others.
        is_counted: whether it still counts as unfilled against the account's ORDERS limits.
        amendments: how its quantity was reduced.
        is_plain: whether it has none of the parameters that few orders have, so that nobody need look for those.
    """

    order_id: int
    owner: int
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    client_order_id: str
    created_at: int
    updated_at: int = 0
    price: Decimal = ZERO
    quantity: Decimal = ZERO
    stp_mode: SelfTradePreventionMode = "NONE"
    gives: str = ""
    quote_quantity: Decimal = ZERO
    is_short: bool = False
    limit: Decimal = ZERO
    stop_price: Decimal = ZERO
    trailing_delta: int | None = None
    trailing_time: int = -1
    extreme: Decimal | None = None
    iceberg_quantity: Decimal = ZERO
    shown: Decimal = ZERO
    peg_price_type: PegPriceType | None = None
    peg_offset_type: PegOffsetType | None = None
    peg_offset_value: int | None = None
    pegged_price: Decimal | None = None
    executed: Decimal = ZERO
    quote_executed: Decimal = ZERO
    reserved: Decimal = NOTHING
    prevented: Decimal = ZERO
    prevented_match_id: int | None = None
    status: OrderState = "NEW"
    is_open: bool = True
    expiry_reason: ExpiryReason | None = None
    working_time: int = -1
    strategy_id: int | None = None
    strategy_type: int | None = None
    group: OrderList | None = None
    floor: str = ""
    place: str = ""
    executions: tuple[Execution, ...] = ()
    preventions: tuple[Prevention, ...] = ()
    is_counted: bool = True
    amendments: tuple[account_api.Amendment, ...] = ()
    is_plain: bool = True
    is_buy: bool = False
    kind: Kind = KINDS["LIMIT"]
    remaining: Decimal = ZERO

    # It changes, so it is none of those that print so by themselves.
    def __repr__(self) -> str:
        return repr_of(self)

    def __post_init__(self) -> None:
        self.is_buy = self.side == "BUY"
        self.kind = KINDS[self.type]
        self.limit = self.price
        self.remaining = self.quantity

    @property
    def is_working(self) -> bool:
        """Whether it is on the book, or was until it ended."""
        return self.working_time >= 0

    @property
    def is_sized(self) -> bool:
        """Whether it has a quantity: not one by quote amount, nor one that is to sell what another order buys."""
        # Its quantity is what the book has for the amount.
        if self.quote_quantity:
            return False
        return bool(self.quantity) or self.group is None or not self.group.pays or self.status != "PENDING_NEW"

    @property
    def list_id(self) -> int:
        """Of its list; -1 without one."""
        return -1 if self.group is None else self.group.list_id

    @property
    def visible(self) -> Decimal:
        """What the book shows of it."""
        return self.shown if self.iceberg_quantity else self.remaining

    @property
    def fires_on_rise(self) -> bool:
        """Whether it is a rising price that triggers it."""
        return (self.kind.trigger == "stop") is self.is_buy

    def crosses(self, price: Decimal) -> bool:
        """Whether it may trade at a price."""
        # A market order, or a stop that becomes one, takes any price.
        if not self.kind.has_limit:
            return True
        return price <= self.limit if self.is_buy else price >= self.limit

    def resize(self, quantity: Decimal) -> None:
        """Let it be for another quantity."""
        # What was traded stays traded.
        self.remaining += quantity - self.quantity
        self.quantity = quantity

    def fill(self, quantity: Decimal, amount: Decimal, now: int) -> None:
        """Part of it, or all, was traded, for an amount of the quote asset."""
        self.executed += quantity
        self.remaining -= quantity
        self.quote_executed += amount
        self.updated_at = now
        # An order by quote amount may be without a rest and yet not have spent its amount.
        if self.remaining or self.is_short:
            self.status = "PARTIALLY_FILLED"
        else:
            self.status, self.is_open = "FILLED", False

    def act_on_own_book(self) -> None:
        """Something happened to it on the book of its symbol; of a routed order that is told (sor_faq.md)."""
        if self.floor:
            self.floor = "EXCHANGE"

    def prevent(self, quantity: Decimal, match_id: int, now: int) -> None:
        """Part of it, or all, was taken away by self-trade prevention."""
        self.prevented += quantity
        self.remaining -= quantity
        self.prevented_match_id = match_id
        self.updated_at = now

    def end(self, status: OrderState, now: int, reason: ExpiryReason | None = None) -> None:
        """It will not trade any more."""
        self.status, self.is_open = status, False
        self.expiry_reason = reason
        self.updated_at = now


Order: TypeAlias = SandboxOrder
"""In the rooms of the exchange. Who uses a sandbox meets `bintrio.Order` as well, so there it has the longer name."""


class OrderList(msgspec.Struct, kw_only=True, eq=False):
    """Orders that depend on each other.

    Attributes:
        contingency: ``OTO`` for all lists that have a working order.
        working: the order that must fill before the others are placed; None in an OCO list.
        pair: the orders of which one cancels the other, above and below; empty if there are none.
        pays: whether what the working order buys is for the others to sell (OPO).
        held: what it bought so far, if it ``pays``.
        is_decided: whether one of the pair was chosen.
    """

    list_id: int
    owner: int
    symbol: str
    contingency: ContingencyType
    client_order_id: str
    orders: tuple[Order, ...]
    working: Order | None = None
    pair: tuple[Order, ...] = ()
    pays: bool = False
    held: Decimal = NOTHING
    is_decided: bool = False

    @property
    def pending(self) -> tuple[Order, ...]:
        """The orders that wait for the working one."""
        return self.orders[1:] if self.working is not None else ()

    @property
    def is_done(self) -> bool:
        """Whether no order of it is open."""
        return not any(order.is_open for order in self.orders)

    def other(self, order: Order) -> Order | None:
        """The other one of an order's pair."""
        return next((one for one in self.pair if one is not order), None) if order in self.pair else None


def snapshot(order: Order) -> Order:
    """The order as it stands, which later changes leave alone."""
    # As deep as it needs to be: what an order refers to is not changed, but replaced.
    return copy(order)
