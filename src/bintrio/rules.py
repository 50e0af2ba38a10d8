"""The trading rules of a symbol: rounding to its steps, and checking an order against its filters before it is sent.

    rules = SymbolRules.of(await session.exchange_info(symbol="BTCUSDT"), "BTCUSDT")
    price = rules.round_price(Decimal("64999.993"))
    problems = rules.check(OrderPlace(...), Circumstances(reference_price=average.price))

Some filters depend on what the order alone does not tell: the average price, the open orders, what the account holds.
`Circumstances` says what is known of that. A filter that needs what is not known is not judged, and neither is one
that this release does not know: an empty list means that nothing speaks against the order as far as was told.

The exchange decides: between checking and sending, prices move and orders fill.

Source: filters.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from .api._values import plain
from .api.account import Order
from .api.filters import (
    ExchangeMaxNumAlgoOrdersFilter,
    ExchangeMaxNumIcebergOrdersFilter,
    ExchangeMaxNumOrderListsFilter,
    ExchangeMaxNumOrdersFilter,
    Filter,
    IcebergPartsFilter,
    LotSizeFilter,
    MarketLotSizeFilter,
    MaxAssetFilter,
    MaxNumAlgoOrdersFilter,
    MaxNumIcebergOrdersFilter,
    MaxNumOrderAmendsFilter,
    MaxNumOrderListsFilter,
    MaxNumOrdersFilter,
    MaxPositionFilter,
    MinNotionalFilter,
    NotionalFilter,
    PercentPriceBySideFilter,
    PercentPriceFilter,
    PriceFilter,
    TrailingDeltaFilter,
)
from .api.general import ExchangeInformation, SymbolInfo
from .api.trading import (
    OrderAmendKeepPriority,
    OrderCancelReplace,
    OrderListPlaceOco,
    OrderListPlaceOpo,
    OrderListPlaceOpoco,
    OrderListPlaceOto,
    OrderListPlaceOtoco,
    OrderPlace,
    OrderTest,
    SorOrderPlace,
    SorOrderTest,
)
from .errors import InvalidRequest

CheckedRequest: TypeAlias = (
    OrderPlace
    | OrderTest
    | OrderCancelReplace
    | SorOrderPlace
    | SorOrderTest
    | OrderListPlaceOco
    | OrderListPlaceOto
    | OrderListPlaceOtoco
    | OrderListPlaceOpo
    | OrderListPlaceOpoco
    | OrderAmendKeepPriority
)

FilterT = TypeVar("FilterT", bound=Filter)

_ALGO_TYPES: Final = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
# Enough for any quantity times any price without rounding; Python's default of 28 digits is not.
_EXACT: Final = Context(prec=80)


class Violation(msgspec.Struct, frozen=True):
    """What speaks against an order.

    Attributes:
        filter: the exchange's name of the filter, such as ``PRICE_FILTER``.
        field: the Python name of the parameter at fault, or None when it is not a single one.
        message: what is wrong, in words.
    """

    filter: str
    field: str | None
    message: str


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beyond the order. None means: not known.

    Attributes:
        reference_price: the reference price of the symbol if it has one, else its average price (avgPrice).
        holding: free and locked base asset of the account.
        open_orders: every open order of the account.
        open_order_lists: how many order lists are open on the symbol.
        open_order_lists_of_all: how many order lists are open on the exchange.
        amendments: how often the order was amended before.
    """

    reference_price: Decimal | None = None
    holding: Decimal | None = None
    open_orders: Sequence[Order] | None = None
    open_order_lists: int | None = None
    open_order_lists_of_all: int | None = None
    amendments: int | None = None


class _Terms(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a request, and where its parameters come from."""

    prefix: str
    base_asset: str
    symbol: str
    side: str
    type: str
    price: Decimal | None
    stop_price: Decimal | None
    quantity: Decimal | None
    quote_quantity: Decimal | None
    iceberg_qty: Decimal | None
    trailing_delta: int | None
    known: Circumstances

    @property
    def is_market(self) -> bool:
        return self.type == "MARKET"

    def notional(self) -> Decimal | None:
        """Quote asset the order moves; at the reference price if it has no price."""
        price = self.known.reference_price if self.is_market else self.price
        if self.quote_quantity is not None or self.quantity is None or price is None:
            return self.quote_quantity
        return _EXACT.multiply(price, self.quantity)


class SymbolRules:
    """The rules of one symbol.

    Args:
        symbol: from `ExchangeInformation.symbols`.
        filters: further filters, such as those of the exchange or of `RelevantFilters`.
    """

    def __init__(self, symbol: SymbolInfo, filters: Iterable[Filter] = ()) -> None:
        self.symbol = symbol
        self.filters = (*symbol.filters, *filters)

    def __repr__(self) -> str:
        return f"<SymbolRules of {self.symbol.symbol}, {len(self.filters)} filters>"

    @classmethod
    def of(cls, information: ExchangeInformation, symbol: str) -> SymbolRules:
        """The rules of a symbol out of exchangeInfo.

        Raises:
            InvalidRequest: the symbol is not in it.
        """
        for known in information.symbols:
            if known.symbol == symbol:
                return cls(known, information.exchange_filters)
        raise InvalidRequest(f"symbol {symbol!r} is not in this exchangeInfo", field="symbol")

    def round_price(self, price: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
        """The price on the nearest tick; ``rounding`` is one of the modes of `decimal`."""
        found = self._find(PriceFilter)
        return _rounded(price, found.tick_size, rounding) if found else price

    def round_quantity(self, quantity: Decimal, *, market: bool = False, rounding: str = ROUND_FLOOR) -> Decimal:
        """The quantity on a step, never more than was asked for; ``market`` heeds the step of MARKET orders as well."""
        lot, market_lot = self._find(LotSizeFilter), self._find(MarketLotSizeFilter)
        if lot:
            quantity = _rounded(quantity, lot.step_size, rounding)
        if market and market_lot:
            quantity = _rounded(quantity, market_lot.step_size, rounding)
        return quantity

    def check(self, order: CheckedRequest, known: Circumstances | None = None) -> list[Violation]:
        """What speaks against an order, an order list or an amendment; empty if nothing does."""
        known = known or Circumstances()
        if isinstance(order, OrderAmendKeepPriority):
            return list(self._check_amendment(order, known))
        legs = [_terms(order, prefix, self.symbol, known) for prefix in _prefixes(order)]
        found = [violation for leg in legs for violation in self._check_order(leg)]
        return found + (list(self._check_list(known)) if len(legs) > 1 else [])

    def _find(self, kind: type[FilterT]) -> FilterT | None:
        return next((one for one in self.filters if isinstance(one, kind)), None)

    def _check_order(self, terms: _Terms) -> Iterator[Violation]:
        for one in self.filters:
            for field, message in _CHECKS.get(type(one), _not_judged)(one, terms):
                yield Violation(_name(one), terms.prefix + field if field else None, message)

    def _check_list(self, known: Circumstances) -> Iterator[Violation]:
        here, everywhere = self._find(MaxNumOrderListsFilter), self._find(ExchangeMaxNumOrderListsFilter)
        if here:
            yield from _used_up(here, known.open_order_lists, here.max_num_order_lists, "order lists are open")
        if everywhere:
            count = known.open_order_lists_of_all
            yield from _used_up(everywhere, count, everywhere.max_num_order_lists, "order lists are open")

    def _check_amendment(self, order: OrderAmendKeepPriority, known: Circumstances) -> Iterator[Violation]:
        amends, lot = self._find(MaxNumOrderAmendsFilter), self._find(LotSizeFilter)
        if amends:
            yield from _used_up(amends, known.amendments, amends.max_num_order_amends, "amendments were made")
        if lot:
            for message in _outside(Decimal(order.new_qty), lot.min_qty, lot.max_qty, lot.step_size):
                yield Violation(_name(lot), "new_qty", message)


def _prefixes(order: CheckedRequest) -> list[str]:
    """What the names of the parameters of each order in a request begin with."""
    names = type(order).__struct_fields__
    given = [name.removesuffix("type") for name in names if name == "type" or name.endswith("_type")]
    return [prefix for prefix in given if f"{prefix}price" in names and getattr(order, f"{prefix}type") is not None]


def _terms(order: Any, prefix: str, symbol: SymbolInfo, known: Circumstances) -> _Terms:
    def given(name: str) -> Any:
        return getattr(order, prefix + name, None)

    group = prefix.split("_")[0]
    side = given("side") or getattr(order, f"{group}_side", None) or getattr(order, "side", None)
    quantity = given("quantity") or getattr(order, f"{group}_quantity", None) or getattr(order, "quantity", None)
    return _Terms(
        prefix=prefix,
        base_asset=symbol.base_asset,
        symbol=symbol.symbol,
        side=side or "",
        type=given("type"),
        price=given("price"),
        stop_price=given("stop_price"),
        quantity=quantity,
        quote_quantity=given("quote_order_qty"),
        iceberg_qty=given("iceberg_qty"),
        trailing_delta=given("trailing_delta"),
        known=known,
    )


# Checks: each yields the field at fault, or None, and what is wrong.

_Found: TypeAlias = Iterator[tuple[str | None, str]]
_Check: TypeAlias = "Callable[[Any, _Terms], _Found]"


def _not_judged(one: Any, terms: _Terms) -> _Found:
    return iter(())


def _price(one: PriceFilter, terms: _Terms) -> _Found:
    for field, price in (("price", terms.price), ("stop_price", terms.stop_price)):
        # Each zero disables its part.
        yield from (
            (field, message) for message in _outside(price, one.min_price, one.max_price or None, one.tick_size)
        )


def _percent_price(one: PercentPriceFilter, terms: _Terms) -> _Found:
    yield from _far_off(terms, one.multiplier_down, one.multiplier_up)


def _percent_price_by_side(one: PercentPriceBySideFilter, terms: _Terms) -> _Found:
    if terms.side == "BUY":
        yield from _far_off(terms, one.bid_multiplier_down, one.bid_multiplier_up)
    else:
        yield from _far_off(terms, one.ask_multiplier_down, one.ask_multiplier_up)


def _far_off(terms: _Terms, down: Decimal, up: Decimal) -> _Found:
    reference = terms.known.reference_price
    if reference is None or terms.price is None:
        return
    low, high = _EXACT.multiply(reference, down), _EXACT.multiply(reference, up)
    yield from (("price", message) for message in _outside(terms.price, low, high))


def _lot_size(one: LotSizeFilter, terms: _Terms) -> _Found:
    for field, quantity in (("quantity", terms.quantity), ("iceberg_qty", terms.iceberg_qty)):
        yield from ((field, message) for message in _outside(quantity, one.min_qty, one.max_qty, one.step_size))


def _market_lot_size(one: MarketLotSizeFilter, terms: _Terms) -> _Found:
    if terms.is_market:
        messages = _outside(terms.quantity, one.min_qty, one.max_qty, one.step_size)
        yield from (("quantity", message) for message in messages)


def _min_notional(one: MinNotionalFilter, terms: _Terms) -> _Found:
    if not terms.is_market or one.apply_to_market:
        yield from ((None, f"price * quantity: {message}") for message in _outside(terms.notional(), one.min_notional))


def _notional(one: NotionalFilter, terms: _Terms) -> _Found:
    low = one.min_notional if not terms.is_market or one.apply_min_to_market else None
    high = one.max_notional if not terms.is_market or one.apply_max_to_market else None
    yield from ((None, f"price * quantity: {message}") for message in _outside(terms.notional(), low, high))


def _iceberg_parts(one: IcebergPartsFilter, terms: _Terms) -> _Found:
    if terms.iceberg_qty and terms.quantity:
        parts = _EXACT.divide(terms.quantity, terms.iceberg_qty).to_integral_value(ROUND_CEILING)
        if parts > one.limit:
            yield "iceberg_qty", f"{parts} parts are more than {one.limit}"


def _trailing_delta(one: TrailingDeltaFilter, terms: _Terms) -> _Found:
    if terms.trailing_delta is None or terms.type not in _ALGO_TYPES:
        return
    # A stop loss to BUY and a profit taken by a SELL both wait above the market.
    above = terms.type.startswith("STOP_LOSS") == (terms.side == "BUY")
    low = one.min_trailing_above_delta if above else one.min_trailing_below_delta
    high = one.max_trailing_above_delta if above else one.max_trailing_below_delta
    yield from (
        ("trailing_delta", message) for message in _outside(Decimal(terms.trailing_delta), Decimal(low), Decimal(high))
    )


def _max_position(one: MaxPositionFilter, terms: _Terms) -> _Found:
    known = terms.known
    if terms.side != "BUY" or known.holding is None or known.open_orders is None or terms.quantity is None:
        return
    wanted = sum(order.orig_qty for order in known.open_orders if order.symbol == terms.symbol and order.side == "BUY")
    position = known.holding + wanted + terms.quantity
    yield from (("quantity", f"position: {message}") for message in _outside(position, high=one.max_position))


def _max_asset(one: MaxAssetFilter, terms: _Terms) -> _Found:
    moved = terms.quantity if one.asset == terms.base_asset else terms.notional()
    yield from ((None, f"{one.asset}: {message}") for message in _outside(moved, high=one.limit))


def _counted(
    limit: str, phrase: str, *, of_symbol: bool, kind: Callable[[Any], bool]
) -> Callable[[Any, _Terms], _Found]:
    """A check of how many orders of a kind are open, for orders of that kind."""

    def check(one: Any, terms: _Terms) -> _Found:
        if terms.known.open_orders is None or not kind(terms):
            return
        orders = (order for order in terms.known.open_orders if not of_symbol or order.symbol == terms.symbol)
        count = sum(map(kind, orders))
        if count >= getattr(one, limit):
            yield None, f"{count} {phrase} already, of {getattr(one, limit)}"

    return check


def _is_any(order: Any) -> bool:
    return True


def _is_algo(order: Any) -> bool:
    return order.type in _ALGO_TYPES


def _is_iceberg(order: Any) -> bool:
    return bool(order.iceberg_qty)


_CHECKS: Final[dict[type, _Check]] = {
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
    MaxNumOrdersFilter: _counted("max_num_orders", "orders are open", of_symbol=True, kind=_is_any),
    MaxNumAlgoOrdersFilter: _counted("max_num_algo_orders", "algo orders are open", of_symbol=True, kind=_is_algo),
    MaxNumIcebergOrdersFilter: _counted(
        "max_num_iceberg_orders", "iceberg orders are open", of_symbol=True, kind=_is_iceberg
    ),
    ExchangeMaxNumOrdersFilter: _counted("max_num_orders", "orders are open", of_symbol=False, kind=_is_any),
    ExchangeMaxNumAlgoOrdersFilter: _counted(
        "max_num_algo_orders", "algo orders are open", of_symbol=False, kind=_is_algo
    ),
    ExchangeMaxNumIcebergOrdersFilter: _counted(
        "max_num_iceberg_orders", "iceberg orders are open", of_symbol=False, kind=_is_iceberg
    ),
}


def _outside(
    value: Decimal | None, low: Decimal | None = None, high: Decimal | None = None, step: Decimal | None = None
) -> Iterator[str]:
    """What is wrong with a value; None for it, or for a bound, or a zero step, says nothing."""
    if value is None:
        return
    if low is not None and value < low:
        yield f"{value:f} is below {low:f}"
    if high is not None and value > high:
        yield f"{value:f} is above {high:f}"
    if step and _EXACT.remainder(value, step):
        yield f"{value:f} is not a multiple of {step.normalize():f}"


def _used_up(one: Filter, count: int | None, limit: int, phrase: str) -> Iterator[Violation]:
    if count is not None and count >= limit:
        yield Violation(_name(one), None, f"{count} {phrase} already, of {limit}")


def _rounded(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    if not step:
        return value
    steps = _EXACT.divide(value, step).to_integral_value(rounding, context=_EXACT)
    return Decimal(plain(_EXACT.multiply(steps, step.normalize())))


def _name(one: Filter) -> str:
    return str(type(one).__struct_config__.tag)
