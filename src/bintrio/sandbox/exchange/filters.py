"""What an order must pass before it is taken: the filters of its symbol, of the exchange and of its assets.

Each kind of filter has one function, which says whether an order passes. Prices are those of the order, or for a market
order what was paid of late.

Source: filters.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final, NamedTuple

from bintrio.api import filters as api
from bintrio.api.filters import Filter

from .accounts import Account
from .orders import KINDS, ZERO, Order
from .refusals import filter_failure

_LIMIT: Final = KINDS["LIMIT"]


class Setting(NamedTuple):
    """What an order is judged against.

    Attributes:
        base: its symbol's base asset.
        quote: its symbol's quote asset.
        average: the reference price, else the average price of the last minutes, else, of 0 minutes, the last price;
            None if there is none.
        more_lists: how many lists come with the order.
    """

    account: Account
    base: str
    quote: str
    average: Callable[[int], Decimal | None]
    more_orders: int = 1
    more_lists: int = 0


def check(filters: Iterable[Filter], order: Order, setting: Setting) -> None:
    """Refuse an order that does not pass.

    Raises:
        Refusal: -1013 with the filter's name.
    """
    for each in filters:
        passes = _CHECKS.get(type(each))
        if passes is not None and not passes(each, order, setting):
            raise filter_failure(str(type(each).__struct_config__.tag))


# Prices


def _price(rule: api.PriceFilter, order: Order, setting: Setting) -> bool:
    if order.kind is _LIMIT and order.peg_price_type is None:  # nearly all orders
        return _is_on_grid(order.price, rule.min_price, rule.max_price, rule.tick_size)
    return all(_is_on_grid(price, rule.min_price, rule.max_price, rule.tick_size) for price in _prices(order))


def _prices(order: Order) -> Iterable[Decimal]:
    """Every price that it names or was pegged to."""
    if order.kind.has_limit and order.peg_price_type is None:
        yield order.price
    else:
        yield from (price for price in (order.price, order.limit) if price)
    if order.stop_price:
        yield order.stop_price


def _is_on_grid(value: Decimal, least: Decimal, greatest: Decimal, step: Decimal) -> bool:
    """Whether it is in bounds and a multiple of the step; of all three 0 means that there is none."""
    if value < least or (greatest and value > greatest):
        return False
    return not step or not value % step


def _percent_price(rule: api.PercentPriceFilter, order: Order, setting: Setting) -> bool:
    return _is_near(order, setting.average(rule.avg_price_mins), rule.multiplier_down, rule.multiplier_up)


def _percent_price_by_side(rule: api.PercentPriceBySideFilter, order: Order, setting: Setting) -> bool:
    down, up = rule.ask_multiplier_down, rule.ask_multiplier_up
    if order.is_buy:
        down, up = rule.bid_multiplier_down, rule.bid_multiplier_up
    return _is_near(order, setting.average(rule.avg_price_mins), down, up)


def _is_near(order: Order, average: Decimal | None, down: Decimal, up: Decimal) -> bool:
    if average is None or not order.limit:
        return True
    return average * down <= order.limit <= average * up


def _trailing_delta(rule: api.TrailingDeltaFilter, order: Order, setting: Setting) -> bool:
    if order.trailing_delta is None:
        return True
    if order.fires_on_rise:
        return rule.min_trailing_above_delta <= order.trailing_delta <= rule.max_trailing_above_delta
    return rule.min_trailing_below_delta <= order.trailing_delta <= rule.max_trailing_below_delta


# Quantities


def _lot_size(rule: api.LotSizeFilter, order: Order, setting: Setting) -> bool:
    if not _has_quantity(order):
        return True
    if not _is_lot(order.quantity, rule.min_qty, rule.max_qty, rule.step_size):
        return False
    return not order.iceberg_quantity or _is_lot(order.iceberg_quantity, rule.min_qty, rule.max_qty, rule.step_size)


def _has_quantity(order: Order) -> bool:
    """Not an order by quote amount, nor one whose quantity is what another order buys."""
    is_paid = order.group is not None and order.group.pays and order.status == "PENDING_NEW"
    return not (order.quote_quantity or (is_paid and not order.quantity))


def _is_lot(quantity: Decimal, least: Decimal, greatest: Decimal, step: Decimal) -> bool:
    return least <= quantity <= greatest and (not step or not quantity % step)


def _market_lot_size(rule: api.MarketLotSizeFilter, order: Order, setting: Setting) -> bool:
    if order.kind.has_limit or not _has_quantity(order):
        return True
    # Steps and bounds of 0 are none.
    greatest = rule.max_qty or order.quantity
    return _is_lot(order.quantity, rule.min_qty, greatest, rule.step_size)


def _iceberg_parts(rule: api.IcebergPartsFilter, order: Order, setting: Setting) -> bool:
    if not order.iceberg_quantity:
        return True
    return (order.quantity / order.iceberg_quantity).to_integral_value(ROUND_CEILING) <= rule.limit


# Values


def _value(order: Order, minutes: int, setting: Setting) -> Decimal | None:
    """Price times quantity; None if there is no price."""
    if order.quote_quantity:
        return order.quote_quantity
    price = order.limit if order.limit else setting.average(minutes)
    return None if price is None else price * order.quantity


def _min_notional(rule: api.MinNotionalFilter, order: Order, setting: Setting) -> bool:
    return _is_worth(
        order, setting, rule.avg_price_mins, least=rule.min_notional, is_least_for_market=rule.apply_to_market
    )


def _notional(rule: api.NotionalFilter, order: Order, setting: Setting) -> bool:
    return _is_worth(
        order,
        setting,
        rule.avg_price_mins,
        least=rule.min_notional,
        is_least_for_market=rule.apply_min_to_market,
        greatest=rule.max_notional,
        is_greatest_for_market=rule.apply_max_to_market,
    )


def _is_worth(
    order: Order,
    setting: Setting,
    minutes: int,
    *,
    least: Decimal,
    is_least_for_market: bool,
    greatest: Decimal | None = None,
    is_greatest_for_market: bool = False,
) -> bool:
    value = _value(order, minutes, setting)
    if value is None or not (order.quote_quantity or _has_quantity(order)):
        return True
    has_price = order.kind.has_limit
    if (has_price or is_least_for_market) and value < least:
        return False
    return greatest is None or not (has_price or is_greatest_for_market) or value <= greatest


def _max_asset(rule: api.MaxAssetFilter, order: Order, setting: Setting) -> bool:
    if rule.asset == setting.base:
        return order.quantity <= rule.limit
    value = _value(order, 0, setting) if rule.asset == setting.quote else None
    return value is None or value <= rule.limit


def _max_position(rule: api.MaxPositionFilter, order: Order, setting: Setting) -> bool:
    if not order.is_buy:
        return True
    holding = setting.account.holding(setting.base)
    ordered = sum((one.remaining for one in setting.account.open_orders(order.symbol) if one.is_buy), ZERO)
    return holding.free + holding.locked + ordered + order.quantity <= rule.max_position


# Counts


def _is_any(order: Order) -> bool:
    return True


def _is_conditional(order: Order) -> bool:
    return bool(order.kind.trigger)


def _is_iceberg(order: Order) -> bool:
    return bool(order.iceberg_quantity)


def _counted(
    matters: Callable[[Order], bool], limit: str, *, everywhere: bool = False
) -> Callable[[Any, Order, Setting], bool]:
    """A filter on the number of open orders of a kind, of one symbol or of all."""

    def passes(rule: Any, order: Order, setting: Setting) -> bool:
        if not matters(order):
            return True
        symbol = None if everywhere else order.symbol
        greatest: int = getattr(rule, limit)
        return sum(map(matters, setting.account.open_orders(symbol))) + setting.more_orders <= greatest

    return passes


def _lists_counted(*, everywhere: bool = False) -> Callable[[Any, Order, Setting], bool]:
    def passes(rule: Any, order: Order, setting: Setting) -> bool:
        if not setting.more_lists:
            return True
        lists = setting.account.open_lists()
        count = sum(everywhere or one.symbol == order.symbol for one in lists)
        limit: int = rule.max_num_order_lists
        return count + setting.more_lists <= limit

    return passes


_CHECKS: Final[dict[type, Callable[[Any, Order, Setting], bool]]] = {
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
"""MAX_NUM_ORDER_AMENDS concerns amendments; of T_PLUS_SELL the documents have the name only."""
