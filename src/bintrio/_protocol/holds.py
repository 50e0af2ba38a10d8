"""Holds: nothing leaves before the time that the exchange named when it refused with 429 or 418 (G8).

**A hold is kept in local time**, milliseconds of this machine's monotonic clock. So it outlives every correction of the
exchange's time, and works before that is known: a Retry-After header is a duration. A time of the exchange
(``retryAfter``) becomes a duration the moment it comes: by the ``serverTime`` that stands beside it, else by the
session's clock, with what that may be wrong by on top. Before the first question for the time is answered there is only
this machine's own clock; a minute is added to what that tells, and it is said.

**What cannot be right is bounded, and said.** A ban lasts from two minutes to three days ("IP Limits"). So no hold
lasts longer, and no ban without a time that can be right lasts shorter. A time in the past says that its clock or ours
is wrong, so it is taken for none: then the hold lasts until the window turns that is used up. If only this machine's
clock tells, a 429 lasts a day at most, as the longest window does.

**Every form counts.** Milliseconds or microseconds, as int, float or string; in ``error.data``, or in the words "banned
until 1659146400000"; seconds or an HTTP date in the header.

-1015 (too many orders) is the one refusal that holds only what costs orders: it can last until midnight, and cancelling
must stay possible.

Source: "IP limits", "Unfilled order count" and errors.md of the exchange's WebSocket API documents; RFC 9110, 10.2.3.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, cast

from ..errors import FIRST_MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..errors import Rejected

BANNED: Final = 418

SHORTEST_BAN: Final = 120_000
LONGEST_HOLD: Final = 3 * 86_400_000
"""Milliseconds. "Bans scale in duration from 2 minutes to 3 days" ("IP Limits")."""

LONGEST_WINDOW: Final = 86_400_000
"""Milliseconds: the longest window that the exchange publishes. A 429 beyond it is not believed by our own clock."""

LATE: Final = 1_000
"""Milliseconds by which a time may be over when its answer comes; what is earlier cannot be right."""

DOUBTED_CLOCK: Final = 60_000
"""Milliseconds: no more is added for the error of a clock. One that is wrong by more is measured anew soon."""

TOO_MANY_ORDERS: Final = -1015

_BANNED_UNTIL: Final = re.compile(r"until (\d{13,16})\b")

Scope: TypeAlias = Literal["everything", "orders"]


class Reading(NamedTuple):
    """The exchange's time in milliseconds.

    Attributes:
        now: the time.
        error: by how many milliseconds it may be wrong.
        is_own: whether it is only this machine's clock, since the exchange's time is not known.
    """

    now: int
    error: int
    is_own: bool = False


class Wait(NamedTuple):
    """How long to wait.

    Attributes:
        milliseconds: None if the exchange did not say, or not credibly.
        doubt: what is wrong with what it said, in words; empty if nothing is.
    """

    milliseconds: int | None = None
    doubt: str = ""


class Refusal(NamedTuple):
    """A 429 or 418, and how many milliseconds it says to wait: None if it does not say."""

    status: int
    code: int
    message: str
    wait: int | None


class Hold(NamedTuple):
    """A refusal, and until when it holds back what it concerns.

    Attributes:
        until: local time in milliseconds.
        status: 418 or 429.
        code: the exchange's error code; 0 if it gave none.
        message: the exchange's own words.
    """

    until: int
    status: int
    code: int
    message: str

    @property
    def scope(self) -> Scope:
        """What is held back."""
        return scope_of(self.code)


def scope_of(code: int) -> Scope:
    """What a refusal with that code holds back."""
    return "orders" if code == TOO_MANY_ORDERS else "everything"


class Holds:
    """The holds that are in force, one for each scope: an earlier end does not shorten a later one."""

    def __init__(self) -> None:
        self._last: dict[Scope, Hold] = {}

    def add(self, hold: Hold) -> None:
        """Put a hold in force."""
        known = self._last.get(hold.scope)
        # Several calls in flight may be refused, each with its own time: the latest end counts.
        if known is None or known.until < hold.until:
            self._last[hold.scope] = hold

    def of(self, now: int, *, orders: bool) -> Hold | None:
        """What holds back a call that costs orders, or does not; None if nothing does."""
        holds = [hold for hold in self._last.values() if now < hold.until and (orders or hold.scope == "everything")]
        # By its end, which is a hold's first field.
        return max(holds, default=None)


def wait_by_answer(error: Rejected, clock: Reading) -> Wait:
    """How long a refused call says to wait.

    Args:
        error: with status 418 or 429.
        clock: the exchange's time, as well as the session knows it.
    """
    data = cast("dict[str, Any]", error.data) if isinstance(error.data, dict) else {}
    said = data.get("retryAfter")
    # A ban may name its end in its words only.
    if said is None and (found := _BANNED_UNTIL.search(error.message)):
        said = found[1]
    if said is None:
        return Wait()
    server_time = milliseconds_of(data.get("serverTime"))
    by_server = None if server_time is None else Reading(server_time, 0)
    return _until(milliseconds_of(said), said, error.status, by_server, clock)


def wait_by_header(headers: Sequence[tuple[str, str]], status: int, clock: Reading) -> Wait:
    """How long a handshake that was refused with that status says to wait: names of headers are in lower case."""
    said = _header(headers, "retry-after")
    if said is None:
        return Wait()
    # The header has seconds or a date (RFC 9110, 10.2.3).
    seconds = _number(said)
    if seconds is not None:
        return _bounded(math.ceil(seconds * 1000), said) if seconds > 0 else _odd(said)
    date = _http_date(_header(headers, "date"))
    # A date has whole seconds, so this one may be a second older than it says.
    return _until(_http_date(said), said, status, None if date is None else Reading(date, 1_000), clock)


def milliseconds_of(value: object) -> int | None:
    """A time as the exchange sends it, in milliseconds or microseconds: which one, its size tells. None if it is none.

    The size decides, and not the unit that was asked for: a server that answers in the other one is understood too.
    """
    number = _number(value)
    # The exchange knows no time before 1970.
    if number is None or number < 0:
        return None
    return math.ceil(number) // 1000 if number >= FIRST_MICROSECONDS else math.ceil(number)


def _until(at: int | None, said: object, status: int, by_server: Reading | None, clock: Reading) -> Wait:
    """The wait until a time, by the first clock by which it can be right."""
    # It said something that is no time, which is told.
    if at is None:
        return _odd(said)
    wait = 0
    # The server's own time beside it is the better clock, unless it is as wrong as the time.
    for reading in (clock,) if by_server is None else (by_server, clock):
        wait = at - reading.now + min(reading.error, DOUBTED_CLOCK)
        # Without the exchange's time, a wrong clock here could make it wait for days or not at all.
        if reading.is_own:
            return _by_own_clock(wait, said, status)
        # A time that is just over is no mistake: the answer took its time to come.
        if -LATE <= wait <= LONGEST_HOLD:
            return Wait(max(0, wait))
    return _bounded(wait, said) if wait > 0 else _odd(said)


def _by_own_clock(wait: int, said: object, status: int) -> Wait:
    doubt = (
        f"the wait ends at {said!s:.40}: only this machine's clock tells when that is, the exchange's time is not known"
    )
    # To send during a ban makes it longer, so it is waited for in any case.
    if status == BANNED:
        return Wait(min(max(wait, SHORTEST_BAN), LONGEST_HOLD), doubt)
    return Wait(min(wait, LONGEST_WINDOW) if wait > 0 else None, doubt)


def _bounded(wait: int, said: object) -> Wait:
    if wait <= LONGEST_HOLD:
        return Wait(wait)
    return Wait(
        LONGEST_HOLD, f"it says to wait until or for {said!s:.40}, which is beyond the longest ban of three days"
    )


def _odd(said: object) -> Wait:
    return Wait(None, f"the time to wait is {said!r:.40}, which cannot be right")


def _number(value: object) -> int | float | None:
    # To Python, True is 1.
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    with suppress(TypeError, ValueError, OverflowError):
        number = float(cast("Any", value))
        # To Python, the texts "inf" and "nan" are floats.
        if math.isfinite(number):
            return number
    return None


def _http_date(value: str | None) -> int | None:
    with suppress(TypeError, ValueError, OverflowError):
        return int(parsedate_to_datetime(cast("str", value)).timestamp() * 1000)
    return None


def _header(headers: Sequence[tuple[str, str]], wanted: str) -> str | None:
    return next((value for name, value in headers if name == wanted), None)
