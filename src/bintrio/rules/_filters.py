"""What each filter of the exchange says of one order: `CHECKS`, by the type of the filter.

A check takes the filter, the order and what is known beyond it, and yields what is wrong: the value at fault, or None,
and words. It runs `in_exact`, so operators round nothing.

Source: filters.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final, TypeAlias

import msgspec

from ..api._base import number
from ..api._values import Shown
from ..api.account import Order
from ..api.filters import (
    IcebergPartsFilter,
    LotSizeFilter,
    MarketLotSizeFilter,
    MaxAssetFilter,
    MaxPositionFilter,
    MinNotionalFilter,
    NotionalFilter,
    PercentPriceBySideFilter,
    PercentPriceFilter,
    PriceFilter,
    TrailingDeltaFilter,
)
from ..api.general import SymbolInfo
from ..errors import InvalidRequest
from ._legs import Leg

Found: TypeAlias = Iterator[tuple[str | None, str]]


class OrderContext(Shown, frozen=True, kw_only=True):
    """What is known beyond the order. None means: not known.

    Attributes:
        reference_price: the reference price of the symbol if it has one, else its average price (avgPrice).
        holding: free and locked base asset of the account.
        open_orders: every open order of the account.
        open_order_lists: how many order lists are open on the symbol.
        open_order_lists_of_all: how many order lists are open on the exchange.
        amendments: how often the order was amended before.

    Raises:
        InvalidRequest: a value cannot be right.
    """

    reference_price: Decimal | None = None
    holding: Decimal | None = None
    open_orders: Sequence[Order] | None = None
    open_order_lists: int | None = None
    open_order_lists_of_all: int | None = None
    amendments: int | None = None

    def __post_init__(self) -> None:
        for name in ("reference_price", "holding"):
            value = getattr(self, name)
            if value is not None:
                msgspec.structs.force_setattr(self, name, number(name, value))
        for name in ("open_order_lists", "open_order_lists_of_all", "amendments"):
            _check_count(name, getattr(self, name))
        if self.open_orders is not None:
            _check_orders(self.open_orders)


def _check_count(name: str, count: Any) -> None:
    # The very type: True would count as 1.
    if count is not None and (type(count) is not int or count < 0):
        raise InvalidRequest(f"{name} must be an int that is not negative", field=name)


def _check_orders(orders: Any) -> None:
    # Not any iterable: it is gone through once for each filter.
    if not isinstance(orders, list | tuple) or not all(isinstance(order, Order) for order in orders):  # pyright: ignore[reportUnknownVariableType]
        raise InvalidRequest("open_orders must be a sequence of Order", field="open_orders")


class Asked:
    """An `OrderContext` that remembers what it was asked for and does not know.

    Attributes:
        lacking: the fields.
    """

    def __init__(self, known: OrderContext) -> None:
        self.lacking: Final[set[str]] = set()
        self._known = known

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._known, name)
        if value is None:
            self.lacking.add(name)
        return value


class Judged(msgspec.Struct, frozen=True):
    """An order, and what it is judged by."""

    leg: Leg
    symbol: SymbolInfo
    known: OrderContext | Asked

    @property
    def notional(self) -> Decimal | None:
        """Quote asset the order moves; at the reference price if it has none of its own."""
        leg = self.leg
        # Sized by the quote asset, that is the notional; a pending order of an OPO list has no quantity yet.
        if leg.quote_order_qty is not None or leg.quantity is None:
            return leg.quote_order_qty
        price = self.known.reference_price if leg.price is None else leg.price
        return None if price is None else price * leg.quantity


def outside(
    value: Decimal | None, low: Decimal | None = None, high: Decimal | None = None, step: Decimal | None = None
) -> Iterator[str]:
    """What is wrong with a value; None for it, or for a bound, or a zero step, says nothing."""
    if value is None:
        return
    # All that is wrong is told at once, so none of these ends it.
    if low is not None and value < low:
        yield f"{value:f} is below {low:f}"
    if high is not None and value > high:
        yield f"{value:f} is above {high:f}"
    # A step of 0 disables the rule: the document says so of prices, and it is taken so of quantities.
    if step and value % step:
        yield f"{value:f} is not a multiple of {step.normalize():f}"


def _price(one: PriceFilter, order: Judged) -> Found:
    for term, price in (("price", order.leg.price), ("stop_price", order.leg.stop_price)):
        # Each zero disables its part.
        for message in outside(price, one.min_price, one.max_price or None, one.tick_size):
            yield term, message


def _percent_price(one: PercentPriceFilter, order: Judged) -> Found:
    return _far_off(order, one.multiplier_down, one.multiplier_up)


def _percent_price_by_side(one: PercentPriceBySideFilter, order: Judged) -> Found:
    if order.leg.side == "BUY":
        # A buyer's price is a bid.
        return _far_off(order, one.bid_multiplier_down, one.bid_multiplier_up)
    return _far_off(order, one.ask_multiplier_down, one.ask_multiplier_up)


def _far_off(order: Judged, down: Decimal, up: Decimal) -> Found:
    # What the reference price is, the caller may not know; an order without a price needs none.
    reference = None if order.leg.price is None else order.known.reference_price
    if reference is not None:
        for message in outside(order.leg.price, reference * down, reference * up):
            yield "price", message


def _lot_size(one: LotSizeFilter, order: Judged) -> Found:
    # "Defines the quantity/icebergQty rules" (LOT_SIZE): an iceberg's visible part is a quantity too.
    for term, quantity in (("quantity", order.leg.quantity), ("iceberg_qty", order.leg.iceberg_qty)):
        for message in outside(quantity, one.min_qty, one.max_qty, one.step_size):
            yield term, message


def _market_lot_size(one: MarketLotSizeFilter, order: Judged) -> Found:
    # Not STOP_LOSS and TAKE_PROFIT, which become MARKET orders later.
    if order.leg.type == "MARKET":
        for message in outside(order.leg.quantity, one.min_qty, one.max_qty, one.step_size):
            yield "quantity", message


def _min_notional(one: MinNotionalFilter, order: Judged) -> Found:
    # STOP_LOSS and TAKE_PROFIT have no price either, so they count as MARKET orders.
    if not order.leg.is_market or one.apply_to_market:
        for message in outside(order.notional, one.min_notional):
            yield None, f"price * quantity: {message}"


def _notional(one: NotionalFilter, order: Judged) -> Found:
    is_market = order.leg.is_market
    low = one.min_notional if not is_market or one.apply_min_to_market else None
    high = one.max_notional if not is_market or one.apply_max_to_market else None
    # Where neither applies, nothing has to be known of the price.
    if low is not None or high is not None:
        for message in outside(order.notional, low, high):
            yield None, f"price * quantity: {message}"


def _iceberg_parts(one: IcebergPartsFilter, order: Judged) -> Found:
    leg = order.leg
    if leg.iceberg_qty and leg.quantity:
        # The last part may be smaller than the others.
        parts = (leg.quantity / leg.iceberg_qty).to_integral_value(ROUND_CEILING)
        if parts > one.limit:
            yield "iceberg_qty", f"{parts} parts are more than {one.limit}"


def _trailing_delta(one: TrailingDeltaFilter, order: Judged) -> Found:
    leg = order.leg
    # Of other types the exchange refuses it anyway.
    if leg.trailing_delta is None or not leg.is_algo:
        return
    # A stop loss to BUY and a profit taken by a SELL both wait above the market.
    above = leg.type.startswith("STOP_LOSS") == (leg.side == "BUY")
    low = one.min_trailing_above_delta if above else one.min_trailing_below_delta
    high = one.max_trailing_above_delta if above else one.max_trailing_below_delta
    for message in outside(Decimal(leg.trailing_delta), Decimal(low), Decimal(high)):
        yield "trailing_delta", message


def _max_position(one: MaxPositionFilter, order: Judged) -> Found:
    # Only what is bought adds to the position.
    if order.leg.side == "BUY":
        for message in outside(_position(order), high=one.max_position):
            yield "quantity", f"position: {message}"


def _position(order: Judged) -> Decimal | None:
    """What the account would have of the base asset if all its bids were filled; None if that is not known."""
    quantity = order.leg.quantity
    if quantity is None:
        return None
    # Both are looked at, so that what is lacking is named in full.
    holding, open_orders = order.known.holding, order.known.open_orders
    if holding is None or open_orders is None:
        return None
    # "The sum of the qty of all open BUY orders" (MAX_POSITION): also what has traded of them, so that it errs to the
    # safe side.
    bids = (each for each in open_orders if each.symbol == order.symbol.symbol and each.side == "BUY")
    return sum((each.orig_qty for each in bids), holding) + quantity


def _max_asset(one: MaxAssetFilter, order: Judged) -> Found:
    # "The limit applies to the order's quantity" of the base asset, "to its notional value" of the quote asset
    # (MAX_ASSET).
    moved = order.leg.quantity if one.asset == order.symbol.base_asset else None
    if one.asset == order.symbol.quote_asset:
        moved = order.notional
    for message in outside(moved, high=one.limit):
        yield None, f"{one.asset}: {message}"


CHECKS: Final[dict[type, Callable[[Any, Judged], Found]]] = {
    PriceFilter: _price,
    PercentPriceFilter: _percent_price,
    PercentPriceBySideFilter: _percent_price_by_side,
    LotSizeFilter: _lot_size,
    MarketLotSizeFilter: _market_lot_size,
    MinNotionalFilter: _min_notional,
    NotionalFilter: _notional,
    IcebergPartsFilter: _iceberg_parts,
    TrailingDeltaFilter: _trailing_delta,
    MaxPositionFilter: _max_position,
    MaxAssetFilter: _max_asset,
}
