"""Parameters as they came, to a `Request`, or to the documented refusal.

The declarations in `bintrio.api` say what a method takes: names, types, enum values, what is required. This module
reads the JSON against them with the exchange's eyes: each mistake has a code of its own. What it does not know how to
name falls back to the declaration's own check, as -1128.

Parameters that belong to no method in particular (apiKey, signature, timestamp, returnRateLimits) are taken out first.

Source: "Request format" of the WebSocket API document, errors.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, NamedTuple, Union, get_args, get_origin

import msgspec

from bintrio.api._base import Request
from bintrio.errors import InvalidRequest

from . import refusals
from .messages import Number
from .pairs import check_pair
from .refusals import Refusal
from .units import SECOND, as_microseconds, minutes_ahead

Params = Mapping[str, Any]
"""Decoded JSON values by wire name; a number with a fraction is a `Number`, in the characters that were sent."""

_GENERAL: Final = frozenset({"returnRateLimits"})
_SIGNING: Final = frozenset({"apiKey", "signature", "timestamp"})

_NUMBER: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_INTEGER: Final = r"^[0-9]{1,20}$"
_CLIENT_ID: Final = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
_SYMBOL: Final = r"^[\w\-._&&[^a-z]]{1,50}$"
_TIME_ZONE: Final = r"^[+-]?[0-9]{1,2}(:[0-5][0-9])?$"
_BOOLEAN: Final = r"^(true|false)$"

_PATTERNS: Final = {
    "symbol": _SYMBOL,
    "symbols": _SYMBOL,
    "newClientOrderId": _CLIENT_ID,
    "origClientOrderId": _CLIENT_ID,
    "cancelOrigClientOrderId": _CLIENT_ID,
    "timeZone": _TIME_ZONE,
}
"""The legal range of strings, as -1100 quotes it. Symbols may be outside ASCII; their ASCII letters are capitals."""

_IN_PYTHON: Final = {_SYMBOL: r"(?:[-.]|[^\Wa-z]){1,50}"}
"""Patterns that Python writes in another way."""

_DECIMALS: Final = 8
"""Of prices and quantities: the precision of every asset here."""

_MAX_RECV_WINDOW: Final = 60_000
"""Milliseconds; "Timing security"."""

_REQUIRED_BY_TYPE: Final = {
    "LIMIT": ("timeInForce", "price", "quantity"),
    "LIMIT_MAKER": ("price", "quantity"),
    "STOP_LOSS": ("quantity",),
    "STOP_LOSS_LIMIT": ("timeInForce", "price", "quantity"),
    "TAKE_PROFIT": ("quantity",),
    "TAKE_PROFIT_LIMIT": ("timeInForce", "price", "quantity"),
}
_SURPLUS_BY_TYPE: Final = {
    "LIMIT": ("stopPrice", "trailingDelta", "quoteOrderQty"),
    "LIMIT_MAKER": ("timeInForce", "stopPrice", "trailingDelta", "quoteOrderQty"),
    "MARKET": ("timeInForce", "price", "stopPrice", "trailingDelta", "icebergQty"),
}
_EITHER: Final = (
    ("orderId", "origClientOrderId"),
    ("cancelOrderId", "cancelOrigClientOrderId"),
    ("origClientOrderId", "orderListId"),
    ("orderListId", "listClientOrderId"),
)

_WITHIN_A_DAY: Final = frozenset({"allOrders", "allOrderLists", "myAllocations", "myTrades"})
"""Methods whose span of time has a limit."""

_LONGEST_SPAN: Final = 24
"""Hours."""


class Field(NamedTuple):
    """One parameter of a method, as the exchange sees it."""

    name: str
    wire_name: str
    read: Callable[[str, Any], Any]
    values: tuple[str, ...]
    required: bool


@cache
def fields(request_type: type[Request[Any]]) -> tuple[Field, ...]:
    """The parameters of a method, in the order of declaration."""
    return tuple(_field(field) for field in msgspec.structs.fields(request_type))


def read_request(request_type: type[Request[Any]], params: Params) -> Request[Any]:
    """The request that the parameters make.

    Raises:
        Refusal: the documented one.
    """
    known = fields(request_type)
    names = {field.wire_name for field in known}
    general = _GENERAL | _SIGNING if request_type.api.signed else _GENERAL
    own = {name: value for name, value in params.items() if name not in general}
    if params.get("returnRateLimits") is not None:
        _boolean("returnRateLimits", params["returnRateLimits"])
    _check_surplus(names, own, params)
    given = {field.name: _read(field, own[field.wire_name]) for field in known if _is_given(field, own)}
    sent = {field.wire_name: given[field.name] for field in known if field.name in given}
    if {"type", "side"} <= names:
        _check_type(sent, names)
    if request_type.api.name.startswith("orderList.place"):
        _check_list(request_type.api.name, sent)
    if request_type.api.name in _WITHIN_A_DAY:
        _check_span(sent)
    for first, second in _EITHER:
        if {first, second} <= names and not {first, second} & sent.keys():
            raise refusals.either_mandatory(first, second)
    return _build(request_type, given)


def _build(request_type: type[Request[Any]], given: dict[str, Any]) -> Request[Any]:
    try:
        return request_type(**given)
    except InvalidRequest:
        # Every value was read, so what the declaration objects to lies between them.
        raise refusals.bad_combination() from None


def _check_surplus(names: set[str], own: Params, params: Params) -> None:
    surplus = own.keys() - names
    if surplus and not names:
        raise refusals.too_many_parameters(0, len(own))
    if surplus:
        raise refusals.not_read(len(params) - len(surplus), len(params))


def _is_given(field: Field, own: Params) -> bool:
    value = own.get(field.wire_name)
    if value is None or value == "":
        if field.required:
            raise refusals.mandatory(field.wire_name)
        if value == "":
            raise refusals.empty(field.wire_name)
    return value is not None


def _read(field: Field, value: Any) -> Any:
    exact = field.read(field.wire_name, value)
    if field.values and exact not in field.values:
        raise refusals.invalid_ticker_type() if "MINI" in field.values else refusals.invalid_value(field.wire_name)
    _check_range(field.wire_name, exact)
    return exact


def _check_range(name: str, value: Any) -> None:
    """Limits that the document gives for single parameters."""
    if name == "timeZone" and not -12 * 60 <= minutes_ahead(value) <= 14 * 60:
        raise refusals.not_valid(name)
    if name == "recvWindow":
        if value > _MAX_RECV_WINDOW:
            raise refusals.too_great(name, _MAX_RECV_WINDOW)
        if _places(value) > 3:
            raise refusals.too_precise(name)
    elif name == "strategyType" and value < 1_000_000:
        raise refusals.invalid_value(name)
    elif isinstance(value, Decimal) and _places(value) > _DECIMALS:
        raise refusals.too_precise(name)


def _check_type(sent: Params, names: set[str]) -> None:
    """What an order type needs, and what it must not have."""
    kind = sent["type"]
    for name in _REQUIRED_BY_TYPE.get(kind, ()):
        if name not in sent:
            raise refusals.mandatory(name)
    for name in _SURPLUS_BY_TYPE.get(kind, ()):
        if name in sent:
            raise refusals.not_required(name)
    if "stopPrice" in names and kind.startswith(("STOP", "TAKE")) and not {"stopPrice", "trailingDelta"} & sent.keys():
        raise refusals.either_mandatory("stopPrice", "trailingDelta")
    if kind == "MARKET":
        _check_market(sent)


def _check_market(sent: Params) -> None:
    if "quantity" not in sent and "quoteOrderQty" not in sent:
        raise refusals.either_mandatory("quantity", "quoteOrderQty")
    if "quantity" in sent and "quoteOrderQty" in sent:
        raise refusals.not_required("quoteOrderQty")


def _check_list(method: str, sent: Params) -> None:
    """Which orders a list may have, and on which sides."""
    if method.startswith("orderList.place.opo"):
        if sent["workingSide"] != "BUY":
            raise Refusal(-1222, "Working order in an OPO list must be a bid.")
        if sent["pendingSide"] != "SELL":
            raise Refusal(-1223, "Pending orders in an OPO list must be asks.")
    for side, prefix in (("side", ""), ("pendingSide", "pending")):
        above, below = (sent.get(_camel(prefix, name)) for name in ("aboveType", "belowType"))
        if above is not None and below is not None:
            check_pair(sent[side], above, below)


def _camel(prefix: str, name: str) -> str:
    return prefix + name[0].upper() + name[1:] if prefix else name


def _check_span(sent: Params) -> None:
    start, end = sent.get("startTime"), sent.get("endTime")
    if start is None or end is None:
        return
    if as_microseconds(end) - as_microseconds(start) > _LONGEST_SPAN * 3600 * SECOND:
        raise refusals.too_long(_LONGEST_SPAN)


# Kinds of values: each takes the wire name and a JSON value.


def _decimal(name: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not re.fullmatch(_NUMBER, str(value), re.ASCII):
        raise refusals.illegal_characters(name, _NUMBER)
    return Decimal(value)


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(_INTEGER, str(value), re.ASCII):
        raise refusals.illegal_characters(name, _INTEGER)
    return int(value)


def _boolean(name: str, value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise refusals.illegal_characters(name, _BOOLEAN)
    return value


def _string(name: str, value: Any) -> str:
    pattern = _PATTERNS.get(name)
    if not isinstance(value, str) or isinstance(value, Number):
        raise refusals.illegal_characters(name, pattern or r"^.+$")
    if pattern is not None and not re.fullmatch(_IN_PYTHON.get(pattern, pattern), value):
        raise refusals.illegal_characters(name, pattern)
    return value


def _strings(name: str, value: Any) -> tuple[str, ...]:
    items: Any = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise refusals.illegal_characters(name, r"^\[.*\]$")
    texts = tuple(_string(name, item) for item in items)  # pyright: ignore[reportUnknownVariableType]
    if not texts:
        raise refusals.empty(name)
    if len(set(texts)) < len(texts):
        raise Refusal(-1151, "Symbol is present multiple times in the list.")
    return texts


_KINDS: Final[dict[Any, Callable[[str, Any], Any]]] = {
    Decimal: _decimal,
    int: _integer,
    bool: _boolean,
    str: _string,
}


def _field(field: msgspec.structs.FieldInfo) -> Field:
    annotation: Any = field.type
    values: tuple[str, ...] = ()
    if get_origin(annotation) in {Union, UnionType}:
        (annotation,) = (member for member in get_args(annotation) if member is not NoneType)
    if get_origin(annotation) is Annotated:
        annotation, meta = get_args(annotation)[:2]
        extra: dict[str, Any] = meta.extra or {}
        values = extra.get("values", ())
    return Field(field.name, field.encode_name, _KINDS.get(annotation, _strings), values, field.required)


def _places(number: Decimal) -> int:
    """Decimal places that are not trailing zeros."""
    exponent = number.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
