"""What an account asks by, and when a question that failed is worth another try."""

from __future__ import annotations

from typing import Any, Final, Protocol

from .._protocol import evidence
from .._protocol.chance import chance_in_use
from .._protocol.rotation import backoff
from ..api._base import Request
from ..errors import InvalidTimestamp, NotSent, OutcomeUnknown, RateLimited

QUERY_DELAY_SECONDS: Final = evidence.QUERY_DELAY / 1000
"""Seconds by which queries may be behind the matching engine."""

PAGE: Final = 1000
"""The most that one answer shows of orders, and of trades."""

PASSING: Final = (RateLimited, InvalidTimestamp, NotSent, OutcomeUnknown, ExceptionGroup)
"""After these the same question may be answered at once. All others may be the exchange's last word."""

# Seconds after the end of a hold, so that the calls that it held back go first.
_AFTER_HOLD: Final = 1.0

# Seconds to wait where the exchange does not say how long a hold lasts.
_UNSTATED_HOLD: Final = 60.0


class Asking(Protocol):
    """What questions are sent by."""

    @property
    def is_closed(self) -> bool:
        """Whether no question can be sent any more."""
        ...

    async def send(self, request: Request[Any], /) -> Any:
        """Send a request."""
        ...

    def now(self) -> int:
        """The exchange's time, in the unit of the session."""
        ...


class Pauses:
    """How long to wait after a question that failed.

    Args:
        session: knows the exchange's time.
        ticks: how many units of the session's time make a second.
    """

    def __init__(self, session: Asking, ticks: int) -> None:
        self._session = session
        self._ticks = ticks
        self._chance = chance_in_use()

    def after(self, error: Exception, failures: int) -> float:
        """Seconds until a question is worth another try, after so many failures before this one."""
        # The exchange has said when it takes questions again.
        if isinstance(error, RateLimited):
            return self._until(error.retry_at)
        return backoff(failures, self._chance.fraction())

    def _until(self, time: int | None) -> float:
        return _UNSTATED_HOLD if time is None else max((time - self._session.now()) / self._ticks, 0) + _AFTER_HOLD
