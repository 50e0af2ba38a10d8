"""The orders that a request places, each with its values and the parameters that they come from.

A single order is one leg without a name. The orders of a list have names, with which their parameters begin: ``above``
and ``below``, ``working``, ``pending``, ``pending_above`` and ``pending_below``. What a leg has no parameter of its own
for, it shares with the others: ``quantity``, say. The old OCO list names its parameters in its own way; its legs are
called ``limit`` and ``stop`` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

from ..api.order_lists import (
    OrderListPlace,
    OrderListPlaceOco,
    OrderListPlaceOpo,
    OrderListPlaceOpoco,
    OrderListPlaceOto,
    OrderListPlaceOtoco,
)
from ..api.sor import SorOrderPlace, SorOrderTest
from ..api.trading import OrderCancelReplace, OrderPlace, OrderTest

PlacingRequest: TypeAlias = (
    OrderPlace
    | OrderTest
    | OrderCancelReplace
    | SorOrderPlace
    | SorOrderTest
    | OrderListPlace
    | OrderListPlaceOco
    | OrderListPlaceOto
    | OrderListPlaceOtoco
    | OrderListPlaceOpo
    | OrderListPlaceOpoco
)

ALGO_TYPES: Final = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
"""Conditional orders, as MAX_NUM_ALGO_ORDERS counts them."""

# Orders without a limit. When their stop price is reached, the latter two become MARKET orders.
_MARKET_TYPES: Final = frozenset({"MARKET", "STOP_LOSS", "TAKE_PROFIT"})

_TERMS: Final = (
    *("side", "type", "price", "stop_price", "quantity", "quote_order_qty", "iceberg_qty", "trailing_delta"),
    "peg_price_type",
)


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a request. None stands for what was not given.

    Attributes:
        name: which of the orders of a list; None for a single order.
        parameters: the parameter that each of the other values comes from, where there is one.
    """

    name: str | None
    parameters: Mapping[str, str]
    side: str = ""
    type: str = ""
    price: Decimal | None = None
    stop_price: Decimal | None = None
    quantity: Decimal | None = None
    quote_order_qty: Decimal | None = None
    iceberg_qty: Decimal | None = None
    trailing_delta: int | None = None
    peg_price_type: str | None = None

    @property
    def is_algo(self) -> bool:
        """Whether it is conditional."""
        return self.type in ALGO_TYPES

    @property
    def is_market(self) -> bool:
        """Whether it takes any price."""
        return self.type in _MARKET_TYPES


_LEGS: Final[dict[type, tuple[str | None, ...]]] = {
    OrderPlace: (None,),
    OrderTest: (None,),
    OrderCancelReplace: (None,),
    # None for an order whose parameters have no prefix: it is no leg of a list.
    SorOrderPlace: (None,),
    SorOrderTest: (None,),
    OrderListPlaceOco: ("above", "below"),
    OrderListPlaceOto: ("working", "pending"),
    OrderListPlaceOpo: ("working", "pending"),
    OrderListPlaceOtoco: ("working", "pending_above", "pending_below"),
    OrderListPlaceOpoco: ("working", "pending_above", "pending_below"),
}

# The old OCO list has no prefix for what both orders share, and its own names for the rest.
_SHARED: Final = {"side": "side", "quantity": "quantity"}
_OLD_LIMIT: Final = {**_SHARED, "price": "price", "iceberg_qty": "limit_iceberg_qty"}
_OLD_STOP: Final = {
    **_SHARED,
    "price": "stop_limit_price",
    "stop_price": "stop_price",
    "trailing_delta": "trailing_delta",
    "iceberg_qty": "stop_iceberg_qty",
}


def legs_of(request: PlacingRequest) -> list[Leg]:
    """Every order that a request places."""
    # The old OCO list does not name the types of its orders: they follow from what is given.
    if isinstance(request, OrderListPlace):
        stop_type = "STOP_LOSS" if request.stop_limit_price is None else "STOP_LOSS_LIMIT"
        return [_leg(request, "limit", _OLD_LIMIT, "LIMIT_MAKER"), _leg(request, "stop", _OLD_STOP, stop_type)]
    legs = [_leg(request, name, _parameters(request, name)) for name in _LEGS[type(request)]]
    return [leg for leg in legs if leg.type]  # an OTOCO list may come without its second pending order


def _parameters(request: PlacingRequest, name: str | None) -> dict[str, str]:
    known = type(request).__struct_fields__
    # Its own parameter, else the one that the pending orders share, else that of the whole list.
    prefixes = [f"{name}_", f"{name.split('_')[0]}_", ""] if name else [""]
    found = {term: [prefix + term for prefix in prefixes if prefix + term in known] for term in _TERMS}
    return {term: names[0] for term, names in found.items() if names}


def _leg(request: PlacingRequest, name: str | None, parameters: Mapping[str, str], order_type: str = "") -> Leg:
    values: dict[str, Any] = {term: getattr(request, parameter) for term, parameter in parameters.items()}
    if order_type:
        values["type"] = order_type
    return Leg(name=name, parameters=parameters, **values)
