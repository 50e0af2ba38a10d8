"""Parameters as they came, to a `Request`, or to the documented refusal.

The declarations in `bintrio.api` say what a method takes: names, types, enum values, what is required. This module
reads the JSON against them with the exchange's eyes: each mistake has a code of its own. What it does not know how to
name falls back to the declaration's own check, as -1128.

Parameters that belong to no method in particular (apiKey, signature, timestamp, returnRateLimits) are taken out first.

Source: "Request format" of the WebSocket API document, errors.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache, lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, Union, cast, get_args, get_origin

import msgspec

from bintrio.api._base import Api, Request
from bintrio.api._rules import Rule

from . import combinations, refusals
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

# The legal range of strings, as -1100 quotes it. Symbols may be outside ASCII; their ASCII letters are capitals.
#
# All names that end in ``ClientOrderId`` have the same.
_PATTERNS: Final = {"symbol": _SYMBOL, "symbols": _SYMBOL, "timeZone": _TIME_ZONE}

# Patterns that Python writes in another way: nearly all symbols are ASCII, of which one class says all.
_IN_PYTHON: Final = {_SYMBOL: r"[-.0-9A-Z_]{1,50}|(?:[-.]|[^\Wa-z]){1,50}"}

# Of prices and quantities: the precision of every asset here.
_DECIMALS: Final = 8

_MAX_RECV_WINDOW: Final = 60_000  # milliseconds; "Timing security"

_PLACES_OF_WINDOW: Final = 3  # decimals of recvWindow: microseconds

_LEAST_STRATEGY_TYPE: Final = 1_000_000
_GREATEST_LONG: Final = 2**63 - 1

_FIRST_ZONE: Final = -12 * 60
_LAST_ZONE: Final = 14 * 60  # minutes ahead of UTC; "Klines"

# Symbols; "Rolling window price change statistics".
_MAX_TICKERS: Final = 200

# Methods whose span of time has a limit.
_WITHIN_A_DAY: Final = frozenset({"allOrders", "allOrderLists", "myAllocations", "myTrades"})

_LONGEST_SPAN: Final = 24  # hours


class Field(NamedTuple):
    """One parameter of a method, as the exchange sees it.

    Attributes:
        read: the value of a parameter out of JSON, or the refusal of it.
    """

    name: str
    wire_name: str
    read: Callable[[Any], Any]
    required: bool


@cache
def fields(request_type: type[Request[Any]]) -> tuple[Field, ...]:
    """The parameters of a method, in the order of declaration."""
    return tuple(_field(field) for field in msgspec.structs.fields(request_type))


class _Form(NamedTuple):
    """What a method takes, compiled from its declaration.

    Attributes:
        names: of its own parameters, on the wire.
        general: of those that belong to no method in particular.
        legal: both.
        checks: what must hold between parameters, given by their wire names.
        made: what is made of them.
    """

    names: frozenset[str]
    general: frozenset[str]
    legal: frozenset[str]
    checks: tuple[Callable[[Params], None], ...]
    made: type[Request[Any]]


@cache
def _form(request_type: type[Request[Any]]) -> _Form:
    names = frozenset(field.wire_name for field in fields(request_type))
    general = _GENERAL | _SIGNING if request_type.api.signed else _GENERAL
    checks = tuple(_checks(request_type.api.name, names))
    return _Form(names, general, names | general, checks, _made_of_read_values(request_type))


def _made_of_read_values(request_type: type[Request[Any]]) -> type[Request[Any]]:
    """The same type, but its values are not checked again: each was read. What must hold between them is."""
    name, namespace = request_type.__name__, {"__post_init__": _check_rules}
    made: Any = msgspec.defstruct(name, [], bases=(request_type,), namespace=namespace, frozen=True, kw_only=True)
    made.api = request_type.api._replace(rules=_rules_left(request_type.api))
    return cast("type[Request[Any]]", made)


def _rules_left(api: Api) -> tuple[Rule, ...]:
    # Those of orders are in the form's checks already.
    return tuple(rule for rule in api.rules if rule not in combinations.COVERED)


def _check_rules(request: Request[Any]) -> None:
    for rule in request.api.rules:
        if rule(request):
            # Every value was read, so what the declaration objects to lies between them.
            raise refusals.bad_combination()


def _checks(method: str, names: frozenset[str]) -> Iterator[Callable[[Params], None]]:
    yield from combinations.checks(method, names)
    if method in _WITHIN_A_DAY:
        yield _check_span
    if method == "ticker":
        yield _check_count


def read_request(request_type: type[Request[Any]], params: Params) -> Request[Any]:
    """The request that the parameters make.

    Raises:
        Refusal: the documented one.
    """
    form, get = _form(request_type), params.get
    # It belongs to no method, so no declaration has it.
    if get("returnRateLimits") is not None:
        _read_flag(params["returnRateLimits"])
    given: dict[str, Any] = {}
    sent: dict[str, Any] = {}
    for name, wire_name, read, required in _to_read(request_type, tuple(params)):
        value = get(wire_name)
        # Most values are something, which takes one look.
        if value or not _is_absent(value, wire_name, is_required=required):
            given[name] = sent[wire_name] = read(value)
    for check in form.checks:
        check(sent)
    return form.made(**given)


def _is_absent(value: Any, name: str, *, is_required: bool) -> bool:
    """Whether a parameter did not come; one that has to, or is empty, is refused."""
    if value is not None and value != "":
        return False
    if is_required:
        raise refusals.mandatory(name)
    # Empty is not the same as absent: it has a code of its own.
    if value is not None:
        raise refusals.empty(name)
    return True


@lru_cache(maxsize=1024)  # clients send the same few sets of names again and again
def _to_read(request_type: type[Request[Any]], names: tuple[str, ...]) -> tuple[tuple[Any, ...], ...]:
    """What came or has to come, in the order of declaration, which decides what is refused first.

    Raises:
        Refusal: something came that the method does not take.
    """
    form = _form(request_type)
    # Refused before any value is looked at.
    if not form.legal.issuperset(names):
        raise _surplus(form, frozenset(names))
    # A named tuple would take twice as long to be taken apart for each request.
    return tuple(tuple(field) for field in fields(request_type) if field.required or field.wire_name in names)


def _surplus(form: _Form, sent: frozenset[str]) -> Refusal:
    own = sent - form.general
    surplus = own - form.names
    # A method without parameters counts how many came.
    if not form.names:
        return refusals.too_many_parameters(0, len(own))
    return refusals.not_read(len(sent) - len(surplus), len(sent))


# What must hold between parameters


def _check_count(sent: Params) -> None:
    if len(sent.get("symbols", ())) > _MAX_TICKERS:
        raise refusals.too_many_values("symbols", _MAX_TICKERS)


def _check_span(sent: Params) -> None:
    start, end = sent.get("startTime"), sent.get("endTime")
    # With one end alone there is no span.
    if start is None or end is None:
        return
    if as_microseconds(end) - as_microseconds(start) > _LONGEST_SPAN * 3600 * SECOND:
        raise refusals.too_long(_LONGEST_SPAN)


# Kinds of values: each takes the wire name of a parameter, and gives what reads its value.

_Reader: TypeAlias = Callable[[Any], Any]


def _decimal(name: str) -> _Reader:
    most_places = _PLACES_OF_WINDOW if name == "recvWindow" else _DECIMALS
    most = _MAX_RECV_WINDOW if name == "recvWindow" else None
    longest = most_places + 1  # the point is counted too
    # The tables call decimals strings, and the examples send numbers too: both are taken.
    matched = re.compile(_NUMBER).fullmatch

    def read(value: Any) -> Decimal:
        found = matched(str(value))
        if found is None:
            raise refusals.illegal_characters(name, _NUMBER)
        number = Decimal(value)
        if most is not None and number > most:
            raise refusals.too_great(name, most)
        fraction = found[2]
        # Zeros at the end make it no more precise.
        if fraction is not None and len(fraction) > longest and len(fraction.rstrip("0")) > longest:
            raise refusals.too_precise(name)
        return number

    return read


def _integer(name: str) -> _Reader:
    matched = re.compile(_INTEGER).fullmatch
    # "Values smaller than 1000000 are reserved" ("Place new order").
    least = _LEAST_STRATEGY_TYPE if name.lower().endswith("strategytype") else 0

    def read(value: Any) -> int:
        # Nearly all come as JSON numbers, whose characters need no look.
        if value.__class__ is int and value >= 0:
            number: int = value
        elif matched(str(value)) is None:
            raise refusals.illegal_characters(name, _INTEGER)
        else:
            number = int(value)
        if number > _GREATEST_LONG:
            raise refusals.overflowed(name)
        if number < least:
            raise refusals.invalid_value(name)
        return number

    return read


read_timestamp: Final = _integer("timestamp")
"""The value of a parameter that no declaration has."""


def _boolean(name: str) -> _Reader:
    def read(value: Any) -> bool:
        # The exchange takes text too, as REST clients send it.
        if value in ("true", "false"):
            return bool(value == "true")
        if not isinstance(value, bool):
            raise refusals.illegal_characters(name, _BOOLEAN)
        return value

    return read


_read_flag: Final = _boolean("returnRateLimits")


def _string(name: str) -> _Reader:
    pattern = _CLIENT_ID if name.lower().endswith("clientorderid") else _PATTERNS.get(name, r"^.+$")
    matched = re.compile(_IN_PYTHON.get(pattern, pattern), re.DOTALL).fullmatch

    def read(value: Any) -> str:
        # A `Number` is a string to Python only.
        if value.__class__ is not str or not matched(value):
            raise refusals.illegal_characters(name, pattern)
        text: str = value
        return text

    return _time_zone(name, read) if name == "timeZone" else read


def _time_zone(name: str, read: Callable[[Any], str]) -> _Reader:
    def read_in_range(value: Any) -> str:
        zone = read(value)
        if not _FIRST_ZONE <= minutes_ahead(zone) <= _LAST_ZONE:
            raise refusals.not_valid(name)
        return zone

    return read_in_range


def _choice(name: str, values: tuple[str, ...]) -> _Reader:
    read_text = _string(name)

    def read(value: Any) -> str:
        if value.__class__ is str and value in values:
            known: str = value
            return known
        # First as text: illegal characters have a code of their own.
        read_text(value)
        raise refusals.invalid_ticker_type() if "MINI" in values else refusals.invalid_value(name)

    return read


def _strings(name: str) -> _Reader:
    read_text = _string(name)

    def read(value: Any) -> tuple[str, ...]:
        items: Any = _as_list(name, value) if isinstance(value, str) else value
        if not isinstance(items, list):
            raise refusals.illegal_characters(name, r"^\[.*\]$")
        texts = tuple(map(read_text, items))  # pyright: ignore[reportUnknownArgumentType]
        if not texts:
            raise refusals.empty(name)
        if len(set(texts)) < len(texts):
            raise Refusal(-1151, "Symbol is present multiple times in the list.")
        return texts

    return read


def _as_list(name: str, text: str) -> Any:
    """A single one, or a list as JSON text, as the exchange's own client sends it."""
    if not text.startswith("["):
        return [text]
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise refusals.json_not_valid(name) from None


_KINDS: Final[dict[Any, Callable[[str], _Reader]]] = {
    Decimal: _decimal,
    int: _integer,
    bool: _boolean,
    str: _string,
}


def _field(field: msgspec.structs.FieldInfo) -> Field:
    annotation: Any = field.type
    values: tuple[str, ...] = ()
    if get_origin(annotation) in {Union, UnionType}:
        # Whether a parameter is optional is said by `required` already.
        (annotation,) = (member for member in get_args(annotation) if member is not NoneType)
    # An enum, with its values beside the type.
    if get_origin(annotation) is Annotated:
        annotation, meta = get_args(annotation)[:2]
        extra: dict[str, Any] = meta.extra or {}
        values = extra.get("values", ())
    name = field.encode_name
    read = _choice(name, values) if values else _KINDS.get(annotation, _strings)(name)
    return Field(field.name, name, read, field.required)
