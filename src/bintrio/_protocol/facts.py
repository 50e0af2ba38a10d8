"""What a session tells those who observe it: one frozen record for each kind of fact; calls are in `facts_of_calls`.

A fact is plain: numbers, text and tuples. So it can be kept, sent elsewhere and written as JSON (`msgspec.json`, its
kind as ``fact``), and holds neither a secret nor the frames of a traceback. Errors are named by their class (``error``)
and told in the words that logs have (``cause``). Durations are seconds, and so are times unless it says otherwise.

What has a default in a base is filled in by whoever tells: when and where something happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from ..api._values import Timestamp
from .holds import Scope
from .requests import RequestId

Doubt: TypeAlias = Literal["late", "repeated", "unknown"]
"""Why nobody waits for an answer: its caller is gone, it came before, or no call had that id."""


SwapCause: TypeAlias = Literal["start", "lifetime", "notice", "lost", "request"]
"""Why a connection took the place of another."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, tag_field="fact"):
    """Something that happened in a session.

    Times are this machine's, in seconds of `trio.current_time`, unless a fact says of one that it is the exchange's.

    Attributes:
        session: the name of the session: see `open_session`.
        at: local time at which it happened, as `trio.current_time` has it.
    """

    session: str = ""
    at: float = 0.0


class AboutConnection(Fact, frozen=True, kw_only=True):
    """Something that happened on a connection.

    Attributes:
        connection: its number: how many the session had tried to open before, plus one.
        address: where it leads, as ``host:port``.
    """

    connection: int = 0
    address: str = ""


# The session and its connections


class SessionStarted(Fact, frozen=True, kw_only=True):
    """A session begins to connect.

    Attributes:
        endpoint: the name of the endpoint, or its first address.
    """

    endpoint: str


class SessionEnded(Fact, frozen=True, kw_only=True):
    """A session is over, and all its connections are. After that only calls are told of that come too late."""


class ConnectionOpening(AboutConnection, frozen=True, kw_only=True):
    """A connection is being opened."""


class ConnectionReady(AboutConnection, frozen=True, kw_only=True):
    """A connection can be used: the clock is measured, and it is logged on if there is a key for that.

    Attributes:
        seconds: what that took.
        is_logged_on: whether it is logged on.
    """

    seconds: float
    is_logged_on: bool


class ConnectionNotReady(AboutConnection, frozen=True, kw_only=True):
    """An attempt to open a connection failed, or was given up.

    Attributes:
        seconds: how long it was tried.
        cause: why, in words.
        error: the class of the error.
    """

    seconds: float
    cause: str
    error: str


class ConnectionDue(AboutConnection, frozen=True, kw_only=True):
    """A connection still works, and must be replaced.

    Attributes:
        cause: why: its shutdown was announced, calls in a row had no answer, or both disagree on a subscription.
    """

    cause: str


class ConnectionLost(AboutConnection, frozen=True, kw_only=True):
    """A connection that was ready ended, and this side had not asked for it.

    Attributes:
        seconds: its age.
        in_flight: calls that waited for their answers.
        cause: why, in words.
        error: the class of the error.
    """

    seconds: float
    in_flight: int
    cause: str
    error: str


class ConnectionRetired(AboutConnection, frozen=True, kw_only=True):
    """A connection was ended by this side, since it was replaced or the session closed.

    Attributes:
        seconds: its age.
        in_flight: calls that waited for their answers.
        cause: why, in words.
    """

    seconds: float
    in_flight: int
    cause: str


class Swapped(AboutConnection, frozen=True, kw_only=True):
    """Another connection is in use: calls go out on it from now on.

    Attributes:
        replaced: the number of the one before; None for the first of the session.
        cause: why it was replaced; ``notice``: see `ConnectionDue`; ``request``: `Session.rotate`.
        seconds: from when that was known to now.
    """

    replaced: int | None
    cause: SwapCause
    seconds: float


class NoConnection(Fact, frozen=True, kw_only=True):
    """No connection could be had; the session goes on trying.

    Attributes:
        cause: why, in words.
        error: the class of the error.
        failures: how many attempts in a row gave no connection that lasted.
    """

    cause: str
    error: str
    failures: int


class PingAnswered(AboutConnection, frozen=True, kw_only=True):
    """A pong was written.

    Attributes:
        seconds: since the ping came.
    """

    seconds: float


# What came in, and was of no use


class AnswerDropped(AboutConnection, frozen=True, kw_only=True):
    """An answer came that nobody waits for.

    Attributes:
        number: how many have come in the session.
        id: the id that it has.
        status: its status.
        cause: why nobody does.
    """

    number: int
    id: RequestId
    status: int
    cause: Doubt


class MessageDropped(AboutConnection, frozen=True, kw_only=True):
    """A message came that is no JSON of the documented form, or is binary.

    Attributes:
        number: how many have come on the connection.
        cause: what is wrong with it.
    """

    number: int
    cause: str


class EventUnclaimed(AboutConnection, frozen=True, kw_only=True):
    """An event came of a subscription that was not made by `Session.user_data`.

    Attributes:
        number: how many have come in the session.
        subscription: the id of the subscription, if it says one.
        event: its type, if it says one.
    """

    number: int
    subscription: int | None
    event: str | None


# What goes over the wire


class MessageSent(AboutConnection, frozen=True, kw_only=True):
    """A message was written, all of it. Told only to an observer whose ``fact_kinds`` name this class.

    Attributes:
        text: the message, with keys and signatures made unreadable.
    """

    text: str


class MessageReceived(AboutConnection, frozen=True, kw_only=True):
    """A message came. Told only to an observer whose ``fact_kinds`` name this class.

    Attributes:
        text: the message, with keys and signatures made unreadable; of one that is no UTF-8, with escapes.
    """

    text: str


# User data


class Subscribed(AboutConnection, frozen=True, kw_only=True):
    """A connection brings an account's events from now on.

    Attributes:
        account: the beginning of its API key.
        subscription: the exchange's id of the subscription.
    """

    account: str
    subscription: int


class Unsubscribed(AboutConnection, frozen=True, kw_only=True):
    """A connection does not bring an account's events any more.

    Attributes:
        account: the beginning of its API key.
        subscription: the exchange's id of the subscription.
        cause: why, in words, if some may be missing by it; None if this side had asked for it and all were brought.
    """

    account: str
    subscription: int
    cause: str | None


class NotSubscribed(Fact, frozen=True, kw_only=True):
    """An attempt to have an account's events brought failed. The session tries again unless the key was refused.

    Attributes:
        account: the beginning of its API key.
        cause: why, in words.
        error: the class of the error.
    """

    account: str
    cause: str
    error: str


class EventsInterrupted(Fact, frozen=True, kw_only=True):
    """The subscribers of an account were told that no connection brings its events: see `Interrupted`.

    Attributes:
        account: the beginning of its API key.
        cause: why, in words.
    """

    account: str
    cause: str


class EventsMissed(Fact, frozen=True, kw_only=True):
    """The subscribers of an account were told that events may be missing: see `Gap`.

    Attributes:
        account: the beginning of its API key.
        begin: the exchange's time from which on some may be missing, in the unit of the session.
        end: the exchange's time up to which.
        cause: why, in words.
    """

    account: str
    begin: Timestamp
    end: Timestamp
    cause: str


class SubscriberOverflowed(Fact, frozen=True, kw_only=True):
    """A subscriber did not read fast enough, and was cut off.

    Attributes:
        account: the beginning of the API key.
        buffer: how many events could wait.
    """

    account: str
    buffer: int


# Limits and time


class HoldBegan(Fact, frozen=True, kw_only=True):
    """The exchange refused with 429 or 418: nothing leaves, or no order does, until it is over.

    Attributes:
        connection: the number of the connection that learned of it; None if another session did that shares the ledger.
        status: 429 or 418.
        code: the exchange's code.
        reason: its message.
        scope: what is held back.
        account: the beginning of the API key whose orders are held back; None if everything is, or without a key.
        seconds: how long.
        until: local time at which it ends.
    """

    connection: int | None
    status: int
    code: int
    reason: str
    scope: Scope
    account: str | None
    seconds: float
    until: float

    @property
    def source(self) -> str:
        """Where it was learned, in words."""
        return "another session" if self.connection is None else f"connection {self.connection}"


class HoldDoubted(Fact, frozen=True, kw_only=True):
    """The time that a refusal names cannot be right, or only this machine's clock tells when it is.

    Attributes:
        connection: the number of the connection that learned of it.
        cause: what is wrong with it, and what was made of it.
    """

    connection: int
    cause: str


class LimitsUnknown(Fact, frozen=True, kw_only=True):
    """The exchange did not say what its limits are when it was asked; they are learned from answers.

    Attributes:
        cause: why, in words.
    """

    cause: str


class ClockMeasured(AboutConnection, frozen=True, kw_only=True):
    """The exchange's clock was measured.

    Attributes:
        offset: the exchange's clock minus this machine's.
        round_trip: between the question and its answer.
    """

    offset: float
    round_trip: float


class ClockDoubted(AboutConnection, frozen=True, kw_only=True):
    """The exchange told a time that cannot be right, so what was known before stays.

    Attributes:
        cause: what it told.
    """

    cause: str


Observer: TypeAlias = Callable[[Fact], object]
"""Is called with each fact, synchronously, in the task that it is about. It must not block.

If it has an attribute ``fact_kinds``, a set of classes of facts, it is told of those only; others are not even made.
"""
