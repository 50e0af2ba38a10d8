"""What `open_sandbox` is given, checked before anything runs: errors name the field, what it got and what it takes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NoReturn

from bintrio._text import shown
from bintrio.errors import InvalidRequest


def check_seconds(*, may_be_zero: bool = False, **durations: Any) -> None:
    """Raise `InvalidRequest` unless each is a positive number, or zero if it may be."""
    for field, value in durations.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or math.isnan(value) or value < 0 or (value == 0 and not may_be_zero):
            _refuse(field, f"a {'number of seconds from 0 on' if may_be_zero else 'positive number of seconds'}", value)


def check_int(field: str, value: Any, low: int, high: int) -> None:
    """Raise `InvalidRequest` unless it is an int from ``low`` to ``high``."""
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
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        _refuse(field, f"several of {kind.__name__}", values)
    found: list[Any] = [*values]
    for value in found:
        if not isinstance(value, kind):
            _refuse(field, f"several of {kind.__name__}", value)
    return tuple(found)


def _refuse(field: str, expected: str, value: Any) -> NoReturn:
    raise InvalidRequest(f"{field} must be {expected}, not {shown(value)}", field=field)
