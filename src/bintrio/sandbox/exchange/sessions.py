"""What a connection is to the exchange: its options, who is logged on, what it is subscribed to.

Source: "Session authentication" and "User Data Stream requests" of the WebSocket API document.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bintrio.api.authentication import ConnectionStatus
from bintrio.endpoints import TimeUnit

from . import refusals
from .auth import Credential

MAX_SUBSCRIPTIONS: Final = 1_000
"""At a time; "User Data Stream subscription"."""

MAX_SUBSCRIPTION_IDS: Final = 65_535
"""Over the lifetime of a connection; "User Data Stream subscription"."""


class Subscription(NamedTuple):
    """To the events of an account.

    Attributes:
        uid: of the account.
        by_logon: whether it came from the logged-on session, and so ends with it.
    """

    uid: int
    by_logon: bool


class Session:
    """One connection, without its bytes.

    Args:
        connected_since: microseconds.
        unit: of all times that it is told.
        returns_rate_limits: whether answers show the rate limits, unless a request says otherwise.

    Attributes:
        credential: the key that is logged on, or None.
        subscriptions: by subscription id.
        followed: the subscription ids by the uid of the account.
    """

    def __init__(self, *, connected_since: int, unit: TimeUnit = "ms", returns_rate_limits: bool = True) -> None:
        self.connected_since: Final = connected_since
        self.unit: Final[TimeUnit] = unit
        self.returns_rate_limits: Final = returns_rate_limits
        self.credential: Credential | None = None
        self.subscriptions: Final[dict[int, Subscription]] = {}
        self.followed: Final[dict[int, int]] = {}
        self._authorized_since: int | None = None
        self._next_id = 0
        self._ended: list[int] = []

    def log_on(self, credential: Credential, now: int) -> None:
        """Requests need no key and no signature from now on."""
        self.credential = credential
        self._authorized_since = now

    def log_off(self) -> None:
        """Back to signing each request. What was subscribed to by logon ends (see `take_ended`)."""
        self.credential = self._authorized_since = None
        # Those that were signed by themselves go on.
        self._end([number for number, subscription in self.subscriptions.items() if subscription.by_logon])

    def _end(self, numbers: list[int]) -> None:
        for number in numbers:
            del self.followed[self.subscriptions.pop(number).uid]
        self._ended += numbers

    def take_ended(self) -> list[int]:
        """The subscriptions that ended since the last call, each to be told ("Event Stream Terminated")."""
        ended, self._ended = self._ended, []
        return ended

    def subscribe(self, uid: int, *, by_logon: bool) -> int:
        """Follow an account. Returns the subscription id.

        Raises:
            Refusal: -2035, -2042, or -1130 for too many at a time.
        """
        # One subscription for each account and connection.
        if uid in self.followed:
            raise refusals.already_subscribed()
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise refusals.too_many_subscriptions(MAX_SUBSCRIPTIONS)
        # Numbers are not used again.
        if self._next_id >= MAX_SUBSCRIPTION_IDS:
            raise refusals.subscription_ids_used_up()
        number, self._next_id = self._next_id, self._next_id + 1
        self.subscriptions[number], self.followed[uid] = Subscription(uid, by_logon), number
        return number

    def unsubscribe(self, number: int | None) -> None:
        """End one subscription, or all (see `take_ended`).

        Raises:
            Refusal: -2036.
        """
        if number is not None and number not in self.subscriptions:
            raise refusals.not_subscribed()
        # Without a number, all are meant ("Unsubscribe from User Data Stream").
        self._end([*self.subscriptions] if number is None else [number])

    def end_events(self, uid: int) -> None:
        """Follow an account no more (see `take_ended`)."""
        self._end([number for number, subscription in self.subscriptions.items() if subscription.uid == uid])

    def status(self, now: int) -> ConnectionStatus:
        """The answer to session.status."""
        return ConnectionStatus(
            api_key=self.credential.api_key if self.credential else None,
            authorized_since=self._authorized_since,
            connected_since=self.connected_since,
            return_rate_limits=self.returns_rate_limits,
            server_time=now,
            user_data_stream=bool(self.subscriptions),
        )
