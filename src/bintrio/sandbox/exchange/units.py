"""Time units: the sandbox reckons in microseconds, a connection is told the unit that it asked for.

Source: "General API Information" (timeUnit) of the WebSocket API document.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from bintrio.endpoints import TimeUnit

MILLISECOND = 1_000
"""Microseconds in one."""

SECOND = 1_000_000
"""Microseconds in one."""


FIRST_MICROSECONDS: Final = 10**14
"""A time in a request from here on is in microseconds: as milliseconds it would lie in the year 5138."""


def as_microseconds(time: int) -> int:
    """A time of a request, which may be in either unit."""
    return time if time >= FIRST_MICROSECONDS else time * MILLISECOND


def last_microsecond(time: int) -> int:
    """The end of a time of a request: a trade late in a millisecond is one of that millisecond."""
    return time if time >= FIRST_MICROSECONDS else time * MILLISECOND + MILLISECOND - 1


def in_unit(value: Any, unit: TimeUnit) -> Any:
    """A record, or a sequence of records, with every time in it in ``unit``; records within records are left alone."""
    return value if unit == "us" else _in_milliseconds(value)


def _in_milliseconds(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return _record_in_milliseconds(value)
    return tuple(map(_in_milliseconds, value)) if isinstance(value, _SEVERAL) else value


_SEVERAL: Final[Any] = (tuple, list)


def _record_in_milliseconds(value: msgspec.Struct) -> msgspec.Struct:
    changes: dict[str, Any] = {}
    for name in _times(type(value)):
        time = getattr(value, name)
        if time is not None and time > 0:  # -1 says "never"
            changes[name] = time // MILLISECOND
    return msgspec.structs.replace(value, **changes) if changes else value


@cache
def _times(record: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields of a record that hold a time: the exchange's names for them all end the same way."""
    names = record.__struct_fields__
    return tuple(name for name in names if name in {"time", "timestamp"} or name.endswith(("_time", "_since")))


def minutes_ahead(time_zone: str) -> int:
    """How far the clocks of a time zone, as ``-2`` or ``5:45``, are ahead of UTC."""
    # The sign counts for the minutes as well: -2:30 is two and a half hours behind.
    hours, _, minutes = time_zone.lstrip("+-").partition(":")
    ahead = int(hours) * 60 + int(minutes or 0)
    return -ahead if time_zone.startswith("-") else ahead
