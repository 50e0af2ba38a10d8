"""The trading rules of a symbol: rounding to its steps, and checking an order against them before it is sent.

    rules = SymbolRules.of(await session.exchange_info(symbol="BTCUSDT"), "BTCUSDT")
    price = rules.round_price("64999.993")
    problems = rules.check(OrderPlace(...), OrderContext(reference_price=average.price))

An order is judged by what the symbol allows (types of orders, icebergs, lists, trailing stops and so on), by its
filters, and by those of the exchange. Of a list, so is every order and the list as a whole. What places no order and
amends none, or is for another symbol, is refused.

Some filters depend on what the order alone does not tell: the average price, the open orders, what the account holds.
`OrderContext` says what is known of that. A filter that needs what is not known is not judged, nor is the quantity of
a pending order that sells what another buys (OPO), which has none yet. `SymbolRules.lacking` names what would have to
be known, and `SymbolRules.unjudged` the filters that this release cannot judge. Where both are empty, an empty list
means that nothing speaks against the order.

The exchange decides: between checking and sending, prices move and orders fill.

Source: filters.md; "Exchange information" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any, Final, TypeAlias, TypeVar, get_args

import msgspec

from .._protocol.exact import in_exact
from .._text import shown
from ..api._base import Number, number
from ..api._missing import record_type
from ..api._values import plain
from ..api.account import Order
from ..api.filters import (
    ExchangeMaxNumAlgoOrdersFilter,
    ExchangeMaxNumIcebergOrdersFilter,
    ExchangeMaxNumOrderListsFilter,
    ExchangeMaxNumOrdersFilter,
    Filter,
    LotSizeFilter,
    MarketLotSizeFilter,
    MaxNumAlgoOrdersFilter,
    MaxNumIcebergOrdersFilter,
    MaxNumOrderAmendsFilter,
    MaxNumOrderListsFilter,
    MaxNumOrdersFilter,
    PriceFilter,
)
from ..api.general import ExchangeInformation, SymbolInfo
from ..api.order_lists import (
    OrderListPlace,
    OrderListPlaceOco,
    OrderListPlaceOpo,
    OrderListPlaceOpoco,
    OrderListPlaceOto,
    OrderListPlaceOtoco,
)
from ..api.sor import SorOrderPlace, SorOrderTest
from ..api.trading import OrderAmendKeepPriority, OrderCancelReplace
from ..errors import InvalidRequest
from ._filters import CHECKS, Asked, Judged, OrderContext, outside
from ._legs import ALGO_TYPES, Leg, PlacingRequest, legs_of

CheckedRequest: TypeAlias = PlacingRequest | OrderAmendKeepPriority

FilterT = TypeVar("FilterT", bound=Filter)


class Violation(msgspec.Struct, frozen=True):
    """What speaks against an order.

    Attributes:
        filter: the exchange's name of the filter, such as ``PRICE_FILTER``, or of the field of exchangeInfo that says
            what the symbol allows, such as ``ocoAllowed``.
        field: the Python name of the parameter at fault, or None when it is not a single one.
        message: what is wrong, in words.
        leg: which order of a list: ``above``, ``below``, ``working``, ``pending``, ``pending_above``,
            ``pending_below``, or ``limit`` and ``stop`` of the old OCO list; None for a single order and for the list
            as a whole. The message begins with it.
    """

    filter: str
    field: str | None
    message: str
    leg: str | None = None


class SymbolRules:
    """The rules of one symbol.

    Args:
        symbol: from `ExchangeInformation.symbols`.
        filters: further filters, such as those of the exchange or of `RelevantFilters`.
        routed: whether smart order routing takes the symbol; None if that is not known.

    Raises:
        InvalidRequest: the symbol is not a `SymbolInfo`, or one of the filters is none.
    """

    def __init__(self, symbol: SymbolInfo, filters: Iterable[Filter] = (), *, routed: bool | None = None) -> None:
        # To a type checker it cannot be anything else; a user without one may well pass the whole exchangeInfo.
        given: Any = symbol
        if not isinstance(given, SymbolInfo):
            raise InvalidRequest(f"symbol must be a SymbolInfo, not {shown(given)}", field="symbol")
        self.symbol = symbol
        self.filters = (*symbol.filters, *_filters(filters))
        self.routed = routed

    def __repr__(self) -> str:
        return f"<SymbolRules of {self.symbol.symbol}, {len(self.filters)} filters>"

    @classmethod
    def of(cls, information: ExchangeInformation, symbol: str) -> SymbolRules:
        """The rules of a symbol out of exchangeInfo.

        Raises:
            InvalidRequest: the symbol is not in it, or it is no `ExchangeInformation`.
        """
        given: Any = information
        if not isinstance(given, ExchangeInformation):
            said = f"information must be an ExchangeInformation, not {shown(given)}"
            raise InvalidRequest(said, field="information")
        for known in information.symbols:
            if known.symbol == symbol:
                # Routing takes the symbols that share a base asset in `sors`.
                routed = any(symbol in sor.symbols for sor in information.sors or ())
                return cls(known, information.exchange_filters, routed=routed)
        raise InvalidRequest(f"symbol must be one of this exchangeInfo, not {shown(symbol)}", field="symbol")

    @property
    def unjudged(self) -> tuple[Filter, ...]:
        """The filters that `check` cannot judge: of types that this release does not know, or knows by name only."""
        return tuple(one for one in self.filters if not {record_type(one)} & (CHECKS.keys() | _JUDGED_HERE))

    @in_exact
    def round_price(self, price: Number, rounding: str = ROUND_HALF_EVEN) -> Decimal:
        """The price on the nearest tick; ``rounding`` is one of the modes of `decimal`.

        Raises:
            InvalidRequest: the price is no number as requests take it, a float say, or there is no such mode.
        """
        # A symbol without the filter takes any price.
        found = self._find(PriceFilter)
        return _rounded(number("price", price), found.tick_size if found else None, rounding)

    @in_exact
    def round_quantity(self, quantity: Number, *, market: bool = False, rounding: str = ROUND_FLOOR) -> Decimal:
        """The quantity on a step, never more than was asked for; ``market`` heeds the step of MARKET orders as well.

        Raises:
            InvalidRequest: as for `round_price`.
        """
        lot, market_lot = self._find(LotSizeFilter), self._find(MarketLotSizeFilter)
        rounded = _rounded(number("quantity", quantity), lot.step_size if lot else None, rounding)
        return _rounded(rounded, market_lot.step_size if market and market_lot else None, rounding)

    @in_exact
    def check(self, order: CheckedRequest, known: OrderContext | None = None) -> list[Violation]:
        """What speaks against an order, an order list or an amendment; empty if nothing does.

        Raises:
            InvalidRequest: the request places and amends no order, or is for another symbol.
        """
        return self._violations(order, self._checked(order, known))

    @in_exact
    def lacking(self, order: CheckedRequest, known: OrderContext | None = None) -> tuple[str, ...]:
        """The fields of `OrderContext` that `check` would have to know to judge all of it, and does not.

        Raises:
            InvalidRequest: as for `check`.
        """
        asked = Asked(self._checked(order, known))
        self._violations(order, asked)
        return tuple(name for name in OrderContext.__struct_fields__ if name in asked.lacking)

    def _checked(self, order: CheckedRequest, known: OrderContext | None) -> OrderContext:
        # Else it would find nothing wrong with what it has not looked at.
        known = OrderContext() if known is None else known
        _check_arguments(self.symbol.symbol, order, known)
        return known

    def _violations(self, order: CheckedRequest, known: OrderContext | Asked) -> list[Violation]:
        found = [*self._check_request(order)]
        if isinstance(order, OrderAmendKeepPriority):
            return [*found, *self._check_amendment(order, known)]
        legs = legs_of(order)
        found += [violation for leg in legs for violation in self._check_leg(leg, known)]
        found += self._check_counts(order, legs, known)
        # The legs of a list have names, a single order has none.
        return found if legs[0].name is None else [*found, *self._check_lists(known)]

    def _find(self, kind: type[FilterT]) -> FilterT | None:
        return next((one for one in self.filters if isinstance(one, kind)), None)

    def _check_request(self, order: CheckedRequest) -> Iterator[Violation]:
        """What the symbol does not take at all."""
        symbol, asked_for = self.symbol, _ALLOWED_BY.get(type(order))
        # Orders are refused in any other status; what is open may still be canceled.
        if symbol.status != "TRADING":
            yield Violation("status", None, f"the symbol is in {symbol.status}")
        if not symbol.is_spot_trading_allowed:
            yield Violation("isSpotTradingAllowed", None, "the symbol takes no orders")
        if asked_for is not None and not getattr(symbol, asked_for[0]):
            yield Violation(*asked_for[1:])
        # None is: not known.
        if self.routed is False and isinstance(order, SorOrderPlace | SorOrderTest):
            yield Violation("sors", None, "orders for the symbol are not routed")
        # The old OCO list and amendments have no such parameter, and without one the symbol's own mode counts.
        mode = getattr(order, "self_trade_prevention_mode", None)
        if mode is not None and mode not in symbol.allowed_self_trade_prevention_modes:
            said = f"the symbol does not take {mode}"
            yield Violation("allowedSelfTradePreventionModes", "self_trade_prevention_mode", said)

    def _check_leg(self, leg: Leg, known: OrderContext | Asked) -> Iterator[Violation]:
        judged = Judged(leg, self.symbol, known)
        for name, parameter, message in _not_allowed(leg, self.symbol):
            yield _violation(name, leg, parameter, message)
        for one in self.filters:
            check = CHECKS.get(record_type(one))
            # Those that count what is open are looked at once, for the whole request; others may not be known here.
            for term, message in check(one, judged) if check else ():
                yield _violation(_name(one), leg, term, message)

    def _check_counts(
        self, order: PlacingRequest, legs: Sequence[Leg], known: OrderContext | Asked
    ) -> Iterator[Violation]:
        """What the account may have open, with all that the request adds."""
        for kind, (limit, is_counted, words, of_symbol) in _COUNTS.items():
            one: Any = self._find(kind)
            added = sum(map(is_counted, legs))
            # What is not known is not judged: the exchange will.
            if one and added and known.open_orders is not None:
                there = _that_stay(known.open_orders, order, of_symbol=of_symbol)
                yield from _used_up(one, sum(map(is_counted, there)), added, getattr(one, limit), words)

    def _check_lists(self, known: OrderContext | Asked) -> Iterator[Violation]:
        here, everywhere = self._find(MaxNumOrderListsFilter), self._find(ExchangeMaxNumOrderListsFilter)
        # What the caller does not know is not judged.
        if here and known.open_order_lists is not None:
            yield from _used_up(here, known.open_order_lists, 1, here.max_num_order_lists, "order lists")
        if everywhere and known.open_order_lists_of_all is not None:
            limit = everywhere.max_num_order_lists
            yield from _used_up(everywhere, known.open_order_lists_of_all, 1, limit, "order lists")

    def _check_amendment(self, order: OrderAmendKeepPriority, known: OrderContext | Asked) -> Iterator[Violation]:
        amends, lot = self._find(MaxNumOrderAmendsFilter), self._find(LotSizeFilter)
        if amends and known.amendments is not None:
            yield from _used_up(amends, known.amendments, 1, amends.max_num_order_amends, "amendments")
        if lot:
            # Price and notional are not looked at again: an amendment changes neither the price nor the side.
            for message in outside(Decimal(order.new_qty), lot.min_qty, lot.max_qty, lot.step_size):
                yield Violation(_name(lot), "new_qty", message)


def _check_arguments(symbol: str, order: Any, known: Any) -> None:
    # What is no order would have nothing wrong with it.
    if not isinstance(order, get_args(CheckedRequest)):
        said = f"check judges new orders, order lists and amendments, not {type(order).__name__}"
        raise InvalidRequest(said, field="order")
    # The limits of one symbol say nothing of another one's orders.
    if order.symbol != symbol:
        said = f"the rules are those of {symbol}, the order is for {order.symbol!r:.80}"
        raise InvalidRequest(said, field="symbol")
    if not isinstance(known, OrderContext):
        raise InvalidRequest(f"known must be an OrderContext, not {shown(known)}", field="known")


def _filters(given: Any) -> Iterator[Filter]:
    # One filter in the place of several is complained of below, in words.
    for one in given if isinstance(given, Iterable) else [given]:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(one, get_args(Filter)):
            raise InvalidRequest(f"filters must be filters of exchangeInfo, not {shown(one)}", field="filters")
        yield one


# What the symbol allows

# By the request: the field that must be true, its name, and what to say if it is not.
_ALLOWED_BY: Final[dict[type, tuple[str, str, str | None, str]]] = {
    **dict.fromkeys(
        (OrderListPlace, OrderListPlaceOco), ("oco_allowed", "ocoAllowed", None, "the symbol takes no OCO lists")
    ),
    **dict.fromkeys(
        (OrderListPlaceOto, OrderListPlaceOtoco), ("oto_allowed", "otoAllowed", None, "the symbol takes no OTO lists")
    ),
    **dict.fromkeys(
        (OrderListPlaceOpo, OrderListPlaceOpoco), ("opo_allowed", "opoAllowed", None, "the symbol takes no OPO lists")
    ),
    OrderCancelReplace: ("cancel_replace_allowed", "cancelReplaceAllowed", None, "its orders cannot be replaced"),
    OrderAmendKeepPriority: ("amend_allowed", "amendAllowed", None, "its orders cannot be amended"),
}


def _not_allowed(leg: Leg, symbol: SymbolInfo) -> Iterator[tuple[str, str, str]]:
    """The field of the symbol that speaks against an order, the value at fault, and why."""
    if leg.type not in symbol.order_types:
        yield "orderTypes", "type", f"the symbol takes no orders of type {leg.type}"
    if leg.iceberg_qty and not symbol.iceberg_allowed:
        yield "icebergAllowed", "iceberg_qty", "the symbol takes no icebergs"
    for allowed_by, name, term, words in _FEATURES:
        if getattr(leg, term) is not None and not getattr(symbol, allowed_by):
            yield name, term, words
    quote, base = symbol.quote_asset_precision, symbol.base_asset_precision
    yield from _too_precise("quoteAssetPrecision", quote, leg, ("price", "stop_price", "quote_order_qty"))
    yield from _too_precise("baseAssetPrecision", base, leg, ("quantity", "iceberg_qty"))


# What few orders ask for: the field that must be true, its name, the value that asks for it, and what to say.
_FEATURES: Final = (
    ("allow_trailing_stop", "allowTrailingStop", "trailing_delta", "the symbol takes no trailing stops"),
    ("peg_instructions_allowed", "pegInstructionsAllowed", "peg_price_type", "the symbol takes no pegged orders"),
    (
        *("quote_order_qty_market_allowed", "quoteOrderQtyMarketAllowed", "quote_order_qty"),
        "its MARKET orders are not sized by the quote asset",
    ),
)


def _too_precise(name: str, places: int, leg: Leg, terms: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    for term in terms:
        value: Decimal | None = getattr(leg, term)
        # By its value: zeros at the end do no harm.
        if value is not None and value % Decimal(1).scaleb(-places):
            yield name, term, f"{value:f} has more than {places} decimals"


# What may be open at a time

_IsCounted: TypeAlias = "Callable[[Leg | Order], bool]"


def _is_order(order: Leg | Order) -> bool:
    return True


def _is_algo(order: Leg | Order) -> bool:
    return order.type in ALGO_TYPES


def _is_iceberg(order: Leg | Order) -> bool:
    return bool(order.iceberg_qty)


# By the filter: the field that has its limit, what it counts, in words, and whether on the symbol only.
_COUNTS: Final[dict[Any, tuple[str, _IsCounted, str, bool]]] = {
    MaxNumOrdersFilter: ("max_num_orders", _is_order, "orders", True),
    MaxNumAlgoOrdersFilter: ("max_num_algo_orders", _is_algo, "algo orders", True),
    MaxNumIcebergOrdersFilter: ("max_num_iceberg_orders", _is_iceberg, "iceberg orders", True),
    ExchangeMaxNumOrdersFilter: ("max_num_orders", _is_order, "orders", False),
    ExchangeMaxNumAlgoOrdersFilter: ("max_num_algo_orders", _is_algo, "algo orders", False),
    ExchangeMaxNumIcebergOrdersFilter: ("max_num_iceberg_orders", _is_iceberg, "iceberg orders", False),
}

_JUDGED_HERE: Final = {*_COUNTS, MaxNumOrderListsFilter, ExchangeMaxNumOrderListsFilter, MaxNumOrderAmendsFilter}


def _that_stay(open_orders: Iterable[Order], order: PlacingRequest, *, of_symbol: bool) -> list[Order]:
    """The open orders, all or of the symbol, but for one that the request cancels first."""
    there = (each for each in open_orders if not of_symbol or each.symbol == order.symbol)
    return [each for each in there if not _is_replaced(each, order)]


def _is_replaced(there: Order, order: PlacingRequest) -> bool:
    """Whether an open order is the one that the request cancels before it places another."""
    # A cancel-replace frees one place before it takes one.
    if not isinstance(order, OrderCancelReplace) or there.symbol != order.symbol:
        return False
    # The number goes before the name.
    if order.cancel_order_id is not None:
        return there.order_id == order.cancel_order_id
    return there.client_order_id == order.cancel_orig_client_order_id


def _used_up(one: Filter, count: int, added: int, limit: int, words: str) -> Iterator[Violation]:
    if count + added > limit:
        yield Violation(_name(one), None, f"{count} {words} already, and {added} more, of {limit}")


def _violation(name: str, leg: Leg, term: str | None, message: str) -> Violation:
    field = None if term is None else leg.parameters.get(term)
    return Violation(name, field, message if leg.name is None else f"{leg.name}: {message}", leg.name)


def _rounded(value: Decimal, step: Decimal | None, rounding: str) -> Decimal:
    try:
        steps = (value / step if step else value).to_integral_value(rounding)
    # That is how `decimal` refuses a mode that it does not know.
    except TypeError:
        raise InvalidRequest(f"rounding must be a mode of decimal, not {shown(rounding)}", field="rounding") from None
    # Of a step such as 0.01000000, the zeros at the end say nothing about prices.
    return Decimal(plain(steps * step.normalize())) if step else value


def _name(one: Filter) -> str:
    return str(type(one).__struct_config__.tag)
