"""How a session stands: its connection, budgets, holds and clock, for its user to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from ..api._values import RateLimit
from ..endpoints import TimeUnit
from ..errors import RateLimited
from .accounts import Account
from .connection import Connection
from .methods import Methods
from .shared import Shared
from .supervisor import Supervisor
from .throttle import ANYTHING, ticks
from .view import ConnectionView


class Standing(Methods):
    """A session as far as it shows how it stands."""

    _shared: Shared
    _supervisor: Supervisor
    _account: Account
    _view: Callable[[Connection], ConnectionView]

    @property
    def time_unit(self) -> TimeUnit:
        """Of every time that the session gives or takes: ``"ms"`` or ``"us"``."""
        return self._shared.settings.time_unit

    @property
    def is_closed(self) -> bool:
        """Whether it is over, so that nothing can be sent any more."""
        return self._supervisor.is_closed

    @property
    def connection(self) -> ConnectionView | None:
        """The connection in use, or None between two."""
        connection = self._supervisor.connection
        return None if connection is None else self._view(connection)

    @property
    def request_weight(self) -> RateLimit | None:
        """The request weight limit, with what is used of it in ``count``; None as long as it is not known."""
        return next(iter(self._used("REQUEST_WEIGHT")), None)

    @property
    def order_counts(self) -> tuple[RateLimit, ...]:
        """The limits of unfilled orders, with what is used of each in ``count``."""
        return tuple(self._used("ORDERS"))

    @property
    def hold(self) -> RateLimited | None:
        """What holds the session back, until when and why: the `RateLimited` or `Banned` that the exchange said, with
        ``retry_at``. None if nothing does; what holds back orders only (-1015) counts as well.
        """
        hold = self._shared.throttle.held(ANYTHING, self._account)
        return None if hold is None else self._shared.throttle.refusal("session", hold)

    @property
    def clock_offset(self) -> float:
        """The exchange's clock minus this machine's, in seconds."""
        return self._shared.clock_offset

    @property
    def round_trip(self) -> float:
        """Seconds between the latest question for the time and its answer."""
        return self._shared.clock.round_trip

    def now(self) -> int:
        """The exchange's time, in the unit of the session."""
        return self._shared.in_unit(self._shared.now())

    def _used(self, limit_type: str) -> Iterable[RateLimit]:
        for limit, used in self._account.ledger.used(limit_type, ticks()):
            yield msgspec.structs.replace(limit, count=used)
