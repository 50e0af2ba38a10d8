"""Time units: the sandbox reckons in microseconds, a connection is told the unit that it asked for.

Source: "General API Information" (timeUnit) of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bintrio.endpoints import TimeUnit

MILLISECOND = 1_000
"""Microseconds in one."""

SECOND = 1_000_000
"""Microseconds in one."""

UNITS: Final[Mapping[TimeUnit, int]] = {"us": 1, "ms": MILLISECOND}
"""Microseconds in one, of those in which a connection may be told times."""

FIRST_MICROSECONDS: Final = 10**14
"""A time in a request from here on is in microseconds: as milliseconds it would lie in the year 5138."""


def as_microseconds(time: int) -> int:
    """A time of a request, which may be in either unit."""
    return time if time >= FIRST_MICROSECONDS else time * MILLISECOND


def last_microsecond(time: int) -> int:
    """The end of a time of a request: a trade late in a millisecond is one of that millisecond."""
    return time if time >= FIRST_MICROSECONDS else time * MILLISECOND + MILLISECOND - 1


def minutes_ahead(time_zone: str) -> int:
    """How far the clocks of a time zone, as ``-2`` or ``5:45``, are ahead of UTC."""
    # The sign counts for the minutes as well: -2:30 is two and a half hours behind.
    hours, _, minutes = time_zone.lstrip("+-").partition(":")
    ahead = int(hours) * 60 + int(minutes or 0)
    return -ahead if time_zone.startswith("-") else ahead
