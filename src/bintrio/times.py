"""Times of the exchange to `datetime` and back, exact to the last microsecond.

The exchange sends whole milliseconds, or microseconds to a session that was opened with ``time_unit="us"``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ._text import shown
from .endpoints import TimeUnit
from .errors import InvalidRequest

__all__ = ["from_datetime", "to_datetime"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"ms": timedelta(milliseconds=1), "us": timedelta(microseconds=1)}


def to_datetime(time: int, *, time_unit: TimeUnit = "ms") -> datetime:
    """A time of the exchange as a `datetime` in UTC.

    Args:
        time: since the Unix epoch, in ``time_unit``.
        time_unit: ``"ms"`` or ``"us"``: what the session was opened with.

    Raises:
        InvalidRequest: the time is no int, or none that a `datetime` can have, or the unit is not known.
    """
    unit, given = _unit(time_unit), _anything(time)
    # To Python a bool is an int, and would become a time in 1970.
    if not isinstance(given, int) or isinstance(given, bool):
        raise InvalidRequest(f"time must be an int, not {shown(time)}", field="time")
    try:
        return _EPOCH + time * unit
    except OverflowError:
        raise InvalidRequest(f"time must lie in the years 1 to 9999, not {shown(time)}", field="time") from None


def from_datetime(moment: datetime, *, time_unit: TimeUnit = "ms") -> int:
    """A `datetime` as a time of the exchange, rounded down to a whole ``time_unit``.

    Raises:
        InvalidRequest: it is no `datetime`, or has no time zone, so that it names no time; or the unit is not known.
    """
    unit, given = _unit(time_unit), _anything(moment)
    if not isinstance(given, datetime):
        raise InvalidRequest(f"moment must be a datetime, not {shown(moment)}", field="moment")
    # Python would take it for local time, which differs from machine to machine.
    if moment.utcoffset() is None:
        raise InvalidRequest(f"{moment!r} has no time zone; write datetime(..., tzinfo=UTC)", field="moment")
    # Durations are divided exactly; `timestamp()` is a float, which cannot hold each microsecond.
    return (moment - _EPOCH) // unit


def _anything(value: Any) -> Any:
    """The same, of which a type checker believes nothing."""
    return value


def _unit(time_unit: Any) -> timedelta:
    # What cannot be hashed, as a list, would fail in the lookup.
    unit = _UNITS.get(time_unit) if isinstance(time_unit, str) else None
    if unit is None:
        raise InvalidRequest(f"time_unit must be 'ms' or 'us', not {shown(time_unit)}", field="time_unit")
    return unit
