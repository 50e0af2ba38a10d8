"""What an order must pass before it is taken: the filters of its symbol, of the exchange and of its assets.

Each kind of filter has one function, which makes of a filter the check of an order. That happens once for each symbol.
Prices are those of the order, or for a market order what was paid of late.

Source: filters.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final, NamedTuple, TypeAlias

from bintrio.api import filters as api
from bintrio.api.filters import Filter

from .accounts import Account
from .orders import ZERO, Order
from .refusals import filter_failure


class Scene(NamedTuple):
    """Where orders are judged.

    Attributes:
        base: the symbol's base asset.
        quote: the symbol's quote asset.
        average: for an order, the reference price, else the average price of the last minutes, else, of 0 minutes, the
            last price; None if there is none.
    """

    base: str
    quote: str
    average: Callable[[Order, int], Decimal | None]


class Coming(NamedTuple):
    """What comes at once.

    Attributes:
        is_new: whether the order that is judged does, and is not among the account's orders already.
        others: the orders that come with it.
        lists: how many lists.
    """

    is_new: bool
    others: tuple[Order, ...] = ()
    lists: int = 0


Passes: TypeAlias = Callable[[Order, Account, Coming], bool]
"""Whether an order of an account, the only one to come or one of several, passes a filter."""

Checks: TypeAlias = tuple[tuple[Passes, str], ...]
"""Each with the filter's name."""


def compiled(filters: Iterable[Filter], scene: Scene) -> Checks:
    """What checks an order against filters."""
    known = ((_KINDS.get(type(each)), each) for each in filters)
    # Filters that have no check here bind nobody; they are listed all the same.
    return tuple((kind(each, scene), str(type(each).__struct_config__.tag)) for kind, each in known if kind is not None)


def check(checks: Checks, order: Order, account: Account, coming: Coming) -> None:
    """Refuse an order that does not pass.

    Raises:
        Refusal: -1013 with the filter's name.
    """
    for passes, name in checks:
        if not passes(order, account, coming):
            raise filter_failure(name)


# Prices


def _price(rule: api.PriceFilter, scene: Scene) -> Passes:
    is_on_grid = _grid(rule.min_price, rule.max_price or None, rule.tick_size)

    def passes(order: Order, account: Account, coming: Coming) -> bool:
        # Nearly all orders name one price.
        if order.is_plain and order.kind.has_limit:
            return is_on_grid(order.price)
        return all(map(is_on_grid, _prices(order)))

    return passes


def _prices(order: Order) -> Iterator[Decimal]:
    """Its limit and its stop price."""
    # A pegged order that waits may have no limit so far.
    if order.limit or (order.kind.has_limit and order.peg_price_type is None):
        yield order.limit
    if order.stop_price:
        yield order.stop_price


def _grid(least: Decimal, greatest: Decimal | None, step: Decimal) -> Callable[[Decimal], bool]:
    """Whether a value is in bounds and a multiple of the step; a step of 0 is none."""

    def is_on_grid(value: Decimal) -> bool:
        if value < least or (greatest is not None and value > greatest):
            return False
        return not step or not value % step

    return is_on_grid


def _percent_price(rule: api.PercentPriceFilter, scene: Scene) -> Passes:
    def passes(order: Order, account: Account, coming: Coming) -> bool:
        return _is_near(order, scene.average(order, rule.avg_price_mins), rule.multiplier_down, rule.multiplier_up)

    return passes


def _percent_price_by_side(rule: api.PercentPriceBySideFilter, scene: Scene) -> Passes:
    def passes(order: Order, account: Account, coming: Coming) -> bool:
        down, up = rule.ask_multiplier_down, rule.ask_multiplier_up
        # A buy is measured by the multipliers of the bids (PERCENT_PRICE_BY_SIDE).
        if order.is_buy:
            down, up = rule.bid_multiplier_down, rule.bid_multiplier_up
        return _is_near(order, scene.average(order, rule.avg_price_mins), down, up)

    return passes


def _is_near(order: Order, average: Decimal | None, down: Decimal, up: Decimal) -> bool:
    # Nothing has traded yet, or it takes any price.
    if average is None or not order.limit:
        return True
    return average * down <= order.limit <= average * up


def _trailing_delta(rule: api.TrailingDeltaFilter, scene: Scene) -> Passes:
    def passes(order: Order, account: Account, coming: Coming) -> bool:
        if order.trailing_delta is None:
            return True
        # A stop that buys and a profit that sells both wait for a rise: for these the deltas "above" count
        # (TRAILING_DELTA).
        if order.fires_on_rise:
            return rule.min_trailing_above_delta <= order.trailing_delta <= rule.max_trailing_above_delta
        return rule.min_trailing_below_delta <= order.trailing_delta <= rule.max_trailing_below_delta

    return passes


# Quantities


def _lot_size(rule: api.LotSizeFilter, scene: Scene) -> Passes:
    is_lot = _grid(rule.min_qty, rule.max_qty, rule.step_size)

    def passes(order: Order, account: Account, coming: Coming) -> bool:
        # Few orders have no quantity of their own, so that is asked last.
        if not is_lot(order.quantity):
            return not order.is_sized
        return not order.iceberg_quantity or is_lot(order.iceberg_quantity)

    return passes


def _market_lot_size(rule: api.MarketLotSizeFilter, scene: Scene) -> Passes:
    is_lot = _grid(rule.min_qty, rule.max_qty or None, rule.step_size)  # here, bounds of 0 are none

    def passes(order: Order, account: Account, coming: Coming) -> bool:
        return order.kind.has_limit or not order.is_sized or is_lot(order.quantity)

    return passes


def _iceberg_parts(rule: api.IcebergPartsFilter, scene: Scene) -> Passes:
    def passes(order: Order, account: Account, coming: Coming) -> bool:
        if not order.iceberg_quantity:
            return True
        # "CEIL(qty / icebergQty)": the last part may be smaller.
        return (order.quantity / order.iceberg_quantity).to_integral_value(ROUND_CEILING) <= rule.limit

    return passes


# Values


def _value(order: Order, minutes: int, scene: Scene) -> Decimal | None:
    """Price times quantity; None if there is no price."""
    # Sized by the quote asset, that is its value, whatever it comes to trade at.
    if order.quote_quantity:
        return order.quote_quantity
    price = order.limit if order.limit else scene.average(order, minutes)
    return None if price is None else price * order.quantity


def _min_notional(rule: api.MinNotionalFilter, scene: Scene) -> Passes:
    return _worth(scene, rule.avg_price_mins, least=rule.min_notional, is_least_for_market=rule.apply_to_market)


def _notional(rule: api.NotionalFilter, scene: Scene) -> Passes:
    return _worth(
        scene,
        rule.avg_price_mins,
        least=rule.min_notional,
        is_least_for_market=rule.apply_min_to_market,
        greatest=rule.max_notional,
        is_greatest_for_market=rule.apply_max_to_market,
    )


def _worth(
    scene: Scene,
    minutes: int,
    *,
    least: Decimal,
    is_least_for_market: bool,
    greatest: Decimal | None = None,
    is_greatest_for_market: bool = False,
) -> Passes:
    with_price = least, greatest
    for_market = least if is_least_for_market else ZERO, greatest if is_greatest_for_market else None

    def passes(order: Order, account: Account, coming: Coming) -> bool:
        value = order.limit * order.quantity if order.limit else _value(order, minutes, scene)
        # No price to go by, or its quantity is known only when another order has traded.
        if value is None or not (value or order.is_sized):
            return True
        # The filter says for each bound whether it applies to market orders.
        low, high = with_price if order.kind.has_limit else for_market
        return low <= value and (high is None or value <= high)

    return passes


def _max_asset(rule: api.MaxAssetFilter, scene: Scene) -> Passes:
    def passes(order: Order, account: Account, coming: Coming) -> bool:
        # An asset may be the base of one symbol and the quote of another (MAX_ASSET).
        if rule.asset == scene.base:
            return order.quantity <= rule.limit
        value = _value(order, 0, scene) if rule.asset == scene.quote else None
        return value is None or value <= rule.limit

    return passes


def _max_position(rule: api.MaxPositionFilter, scene: Scene) -> Passes:
    def passes(order: Order, account: Account, coming: Coming) -> bool:
        # "BUY orders will be rejected": selling only lessens the position.
        if not order.is_buy:
            return True
        holding = account.holding(scene.base)
        # Open bids may be filled, so they count as bought; one that is changed counts as it is to be.
        known = (*account.open_orders(order.symbol), *coming.others)
        ordered = sum((one.remaining for one in known if one.is_buy and one.order_id != order.order_id), ZERO)
        return holding.free + holding.locked + ordered + order.remaining <= rule.max_position

    return passes


# Counts


def _is_any(order: Order) -> bool:
    return True


def _is_conditional(order: Order) -> bool:
    return bool(order.kind.trigger)


def _is_iceberg(order: Order) -> bool:
    return bool(order.iceberg_quantity)


def _counted(
    matters: Callable[[Order], bool], limit: str, *, everywhere: bool = False
) -> Callable[[Any, Scene], Passes]:
    """A filter on the number of open orders of a kind, of one symbol or of all."""

    def kind(rule: Any, scene: Scene) -> Passes:
        greatest: int = getattr(rule, limit)

        def passes(order: Order, account: Account, coming: Coming) -> bool:
            # A limit order is welcome however many conditional ones there are.
            if not matters(order):
                return True
            open_orders = account.open_orders(None if everywhere else order.symbol)
            return sum(map(matters, (*open_orders, *coming.others))) + coming.is_new <= greatest

        return passes

    return kind


def _lists_counted(*, everywhere: bool = False) -> Callable[[Any, Scene], Passes]:
    def kind(rule: Any, scene: Scene) -> Passes:
        limit: int = rule.max_num_order_lists

        def passes(order: Order, account: Account, coming: Coming) -> bool:
            # An order that comes by itself adds no list, however many there are.
            if not coming.lists:
                return True
            count = sum(everywhere or one.symbol == order.symbol for one in account.open_lists())
            return count + coming.lists <= limit

        return passes

    return kind


# MAX_NUM_ORDER_AMENDS concerns amendments; of T_PLUS_SELL the documents have the name only.
_KINDS: Final[dict[type, Callable[[Any, Scene], Passes]]] = {
    api.PriceFilter: _price,
    api.PercentPriceFilter: _percent_price,
    api.PercentPriceBySideFilter: _percent_price_by_side,
    api.LotSizeFilter: _lot_size,
    api.MarketLotSizeFilter: _market_lot_size,
    api.MinNotionalFilter: _min_notional,
    api.NotionalFilter: _notional,
    api.IcebergPartsFilter: _iceberg_parts,
    api.TrailingDeltaFilter: _trailing_delta,
    api.MaxPositionFilter: _max_position,
    api.MaxAssetFilter: _max_asset,
    api.MaxNumOrdersFilter: _counted(_is_any, "max_num_orders"),
    api.MaxNumAlgoOrdersFilter: _counted(_is_conditional, "max_num_algo_orders"),
    api.MaxNumIcebergOrdersFilter: _counted(_is_iceberg, "max_num_iceberg_orders"),
    api.MaxNumOrderListsFilter: _lists_counted(),
    api.ExchangeMaxNumOrdersFilter: _counted(_is_any, "max_num_orders", everywhere=True),
    api.ExchangeMaxNumAlgoOrdersFilter: _counted(_is_conditional, "max_num_algo_orders", everywhere=True),
    api.ExchangeMaxNumIcebergOrdersFilter: _counted(_is_iceberg, "max_num_iceberg_orders", everywhere=True),
    api.ExchangeMaxNumOrderListsFilter: _lists_counted(everywhere=True),
}
