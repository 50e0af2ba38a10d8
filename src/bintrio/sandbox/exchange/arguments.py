"""What a sandbox is given, checked before it is used: errors name the field, what it got and what it takes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Final, NoReturn, TypeAlias

import msgspec

from bintrio._text import shown
from bintrio.api._base import number
from bintrio.api.enums import KlineInterval, known_values
from bintrio.errors import InvalidRequest

from .units import SECOND

Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
NotNegative: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]

# RFC 6455, section 7.4.
_CLOSE_CODES: Final = frozenset({*range(1_000, 1_004), *range(1_007, 1_015), *range(3_000, 5_000)})

_LONGEST_REASON: Final = 123  # bytes; RFC 6455, section 5.5.

# What msgspec calls by its name in JSON.
_IN_PYTHON: Final = {"`array`": "a tuple", "`object`": "a record", "`null`": "None"}


def check_fields(record: msgspec.Struct) -> None:
    """Raise `InvalidRequest` unless each field of a record has a value of its type; for its ``__post_init__``.

    What is given by those who do not check types is made to fit where that is exact: an int for a Decimal, a list for a
    tuple.
    """
    for field in _fields_of(type(record)):
        value = getattr(record, field.name)
        fitting = number(field.name, value) if field.type is Decimal else checked(field.name, value, field.type)
        # The record is frozen, and nearly all values fit as they are: only what does not is put in anew.
        if fitting is not value:
            msgspec.structs.force_setattr(record, field.name, fitting)


@cache
def _fields_of(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    # Their types are written as text, so that reading them compiles each: once will do.
    return msgspec.structs.fields(kind)


def checked(field: str, value: Any, kind: Any) -> Any:
    """A value made to fit a type.

    Raises:
        InvalidRequest: it is of another type, or out of the range that goes with the type.
    """
    if kind == str | bytes:  # msgspec takes no union of the two
        kind = bytes if isinstance(value, bytes) else str
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        # msgspec says "Expected `int`, got `str` - at `$[0]`": only the first part is of use, since field and value are
        # named.
        expected = str(error).removeprefix("Expected ").partition(", got")[0].partition(" - at")[0]
        for json, python in _IN_PYTHON.items():
            expected = expected.replace(json, python)
        _refuse(field, expected.replace("`", ""), value)


def check_seconds(*, may_be_zero: bool = False, **durations: Any) -> None:
    """Raise `InvalidRequest` unless each is a positive number, or zero if it may be."""
    for field, value in durations.items():
        if not _is_duration(value, may_be_zero=may_be_zero):
            _refuse(field, f"a {'number of seconds from 0 on' if may_be_zero else 'positive number of seconds'}", value)


def _is_duration(value: Any, *, may_be_zero: bool) -> bool:
    # To Python a bool is an int: True would be a second.
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return value > 0 or (may_be_zero and value == 0)  # NaN is neither


def check_int(field: str, value: Any, low: int, high: int) -> None:
    """Raise `InvalidRequest` unless it is an int from ``low`` to ``high``."""
    # To Python a bool is an int.
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        _refuse(field, f"an int from {low} to {high}", value)


def check_kind(kind: type, **values: Any) -> None:
    """Raise `InvalidRequest` unless each is of that type."""
    for field, value in values.items():
        if not isinstance(value, kind):
            _refuse(field, f"a {kind.__name__}", value)


def checked_each(field: str, values: Any, kind: type) -> tuple[Any, ...]:
    """The values of an iterable, each of that type.

    Raises:
        InvalidRequest: it is no iterable, or one of them is of another type.
    """
    found = _several(field, values, f"several of {kind.__name__}")
    for value in found:
        if not isinstance(value, kind):
            _refuse(field, f"several of {kind.__name__}", value)
    return tuple(found)


def _several(field: str, values: Any, words: str) -> list[Any]:
    # A string is an iterable too, of single characters.
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        _refuse(field, words, values)
    return [*values]


def checked_amount(amount: Any) -> Decimal:
    """A finite number, which may be negative.

    Raises:
        InvalidRequest: it is none.
    """
    exact: Decimal = checked("amount", amount, Decimal)
    if not exact.is_finite():
        _refuse("amount", "a finite number", amount)
    return exact


def microseconds(**duration: float) -> int:
    """Microseconds of a duration.

    Args:
        duration: its name, and seconds.

    Raises:
        InvalidRequest: it is no finite number of seconds from 0 on.
    """
    check_seconds(may_be_zero=True, **duration)
    ((field, seconds),) = duration.items()
    # Infinity is a positive number of seconds, but rounding it would raise an OverflowError.
    if seconds == math.inf:
        raise InvalidRequest(f"{field} must be finite", field=field)
    return round(seconds * SECOND)


def check_close(code: Any, reason: Any) -> None:
    """Raise `InvalidRequest` unless a close frame may have that code and reason; None is no code and no frame."""
    if code is not None and code not in _CLOSE_CODES:
        _refuse("code", "one that a close frame may have", code)
    check_kind(str, reason=reason)
    if len(reason.encode()) > _LONGEST_REASON:
        _refuse("reason", f"at most {_LONGEST_REASON} bytes of text", reason)


def check_side(side: Any) -> None:
    """Raise `InvalidRequest` unless it is a side of an order."""
    if side not in ("BUY", "SELL"):
        _refuse("side", "BUY or SELL", side)


def checked_interval(name: Any) -> str:
    """The name of an interval of candles.

    Raises:
        InvalidRequest: it is none.
    """
    known = known_values(KlineInterval)
    if name not in known:
        _refuse("interval", f"one of {', '.join(known)}", name)
    return str(name)


def checked_routes(routes: Any, symbols: Iterable[Any]) -> tuple[tuple[str, ...], ...]:
    """Groups of the names of symbols, each group of one base asset.

    Raises:
        InvalidRequest: they are none.
    """
    bases = {symbol.name: symbol.base for symbol in symbols}
    words = "groups of symbols of one base asset"
    groups: tuple[tuple[str, ...], ...] = checked(
        "routes", _several("routes", routes, words), tuple[tuple[str, ...], ...]
    )
    for group in groups:
        # Before their bases are compared: a symbol that there is not has none.
        if not {*group} <= bases.keys():
            _refuse("routes", f"groups out of {', '.join(bases)}", group)
        # An order for one base asset can be routed only where that is traded.
        if len({bases[name] for name in group}) != 1:
            _refuse("routes", words, group)
    return groups


def _refuse(field: str, expected: str, value: Any) -> NoReturn:
    raise InvalidRequest(f"{field} must be {expected}, not {shown(value)}", field=field)
