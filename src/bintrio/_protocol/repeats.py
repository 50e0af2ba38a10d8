"""Which events two connections have both brought: what is the same event, and how often each has come.

See `_protocol/succession` for what is done with that, and for what is taken for true of the exchange.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable
from typing import Any, Final, NamedTuple

import msgspec

from ..api._values import Timestamp
from ..api.events import Event, UnknownEvent
from ..errors import ProtocolViolation
from .reading import UNREADABLE

LONGEST_LAG: Final = 60_000
"""Milliseconds after which an event has come, or its connection is dead: the exchange pings every 20 s, and gives a
connection up after a minute without an answer. An idle account's gap begins so much early, which costs little, since
there is little to ask for; a busy one's begins at its latest event."""

SAME: Final = 5_000
"""Milliseconds by which two connections may date the same event apart. All known events hold a time or number of their
own besides, so they are hardly ever alike without being the same."""

SAME_UNKNOWN: Final = 100
"""The same for an event of a type that is not known: it may be said twice on purpose, a little later, and alike."""


class Kind:
    """Events that are the same but for the connection that brings them, and their number.

    Attributes:
        time: the event time of the first, in milliseconds; None if it has none.
        handed_out: how many were handed out.
        brought: how many there were when each connection had brought its latest one, by its number.
        arrivals: which of all events each one was, by the connection that brought it first.
    """

    __slots__ = ("arrivals", "brought", "handed_out", "time")

    def __init__(self, time: Timestamp | None) -> None:
        self.time: Final = time
        self.handed_out = 0
        self.brought: Final[dict[int, int]] = {}
        self.arrivals: Final[list[int]] = []

    def count(self, connection: int, asked: int, arrival: int) -> int:
        """Which of them a connection has brought, as event number ``arrival`` of all. It was asked after ``asked``."""
        # What had come before it was asked, it does not bring again, however alike this one is.
        before = bisect_right(self.arrivals, asked)
        number = self.brought[connection] = max(before, self.brought.get(connection, 0)) + 1
        # No other connection has brought so many, so this one is the first to bring it.
        if number > len(self.arrivals):
            self.arrivals.append(arrival)
        return number

    def distance(self, time: Timestamp | None) -> int:
        """Milliseconds from the first; 0 if that is not known."""
        return 0 if time is None or self.time is None else abs(time - self.time)


class Copy(NamedTuple):
    """An event that a connection has brought: the ``number``-th of its kind."""

    event: Event
    kind: Kind
    number: int

    @property
    def is_repeat(self) -> bool:
        return self.number <= self.kind.handed_out


class Memory:
    """What was brought lately, in two ages: the older one is forgotten as a whole."""

    def __init__(self) -> None:
        self._young: dict[Hashable, list[Kind]] = {}
        self._old: dict[Hashable, list[Kind]] = {}
        self._ages_at: float = -math.inf

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def kind(self, event: Event, now: int, unit: int) -> Kind:
        """The kind of an event that a connection has brought."""
        # Each is kept for the longest lag at least. They are forgotten by halves, so that none has to be looked at by
        # itself.
        if now > self._ages_at:
            # After a longer silence both ages are too old.
            self._old = self._young if now <= self._ages_at + LONGEST_LAG else {}
            self._young = {}
            self._ages_at = now + LONGEST_LAG
        identity = event.identity()
        kinds = self._young.get(identity)
        if kinds is None:
            # What comes again is young again.
            kinds = self._young[identity] = self._old.pop(identity, [])
        return _nearest(kinds, event, unit)


def _nearest(kinds: list[Kind], event: Event, unit: int) -> Kind:
    """The kind of an event, among those that differ from it in the event time only."""
    time = date_of(event, unit)
    # Alike in all but the event time: the nearest in time is the same event, if it is near enough.
    kind = min(kinds, key=lambda kind: kind.distance(time), default=None)
    if kind is None or kind.distance(time) > (SAME_UNKNOWN if isinstance(event, UnknownEvent) else SAME):
        kind = Kind(time)
        kinds.append(kind)
    return kind


def date_of(event: Event, unit: int) -> Timestamp | None:
    """In milliseconds; None if the event has none that can be read."""
    try:
        time: Any = event.event_time if not isinstance(event, UnknownEvent) else _Dated.of(event.raw)
    except (ProtocolViolation, *UNREADABLE):
        # What cannot be read has no date to compare by; the rest of it decides.
        return None
    return time if time is None else time // unit


class _Dated(msgspec.Struct):
    E: int | None = None

    @classmethod
    def of(cls, raw: bytes) -> int | None:
        return msgspec.json.decode(raw, type=cls).E
