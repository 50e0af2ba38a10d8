"""Times of the exchange to `datetime` and back, exact to the last microsecond.

The exchange sends whole milliseconds, or microseconds to a session that was opened with ``time_unit="us"``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from .endpoints import TimeUnit
from .errors import InvalidRequest

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"ms": timedelta(milliseconds=1), "us": timedelta(microseconds=1)}


def to_datetime(time: int, *, time_unit: TimeUnit = "ms") -> datetime:
    """A time of the exchange as a `datetime` in UTC.

    Args:
        time: since the Unix epoch, in ``time_unit``.
        time_unit: ``"ms"`` or ``"us"``: what the session was opened with.
    """
    return _EPOCH + time * _UNITS[time_unit]


def from_datetime(moment: datetime, *, time_unit: TimeUnit = "ms") -> int:
    """A `datetime` as a time of the exchange, rounded down to a whole ``time_unit``.

    Raises:
        InvalidRequest: the `datetime` has no time zone, so that it is no moment.
    """
    if moment.utcoffset() is None:
        raise InvalidRequest(f"{moment!r} has no time zone; write datetime(..., tzinfo=UTC)", field="moment")
    return (moment - _EPOCH) // _UNITS[time_unit]
