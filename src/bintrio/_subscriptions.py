"""User data events: from the connections that carry them to everyone who listens, without ever waiting.

A `Feed` is one account's events. Connections come and go under it, `Subscriber`s sit on top. `Feed.publish` is called
by a connection's reader and never waits (G3): a subscriber whose buffer is full is cut off, keeps what it has, and
learns it when it has read that far.

**No event twice (G5).** While a session moves house, two connections carry the same events. `Overlap` counts how often
each connection delivered each event and passes on the one that is ahead. Counting, rather than a set of what was seen,
lets the exchange say the same thing twice. Counting starts before the second connection subscribes, and goes on for as
long as the one that is left may be late with what the other told long ago. What is older than that is forgotten.

**No gap unsaid.** When a connection is lost, what happened until the next one subscribed is not told again by the
exchange. The subscriber gets a `Gap` in its place.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
import trio

from .api._values import Timestamp
from .api.events import Event
from .errors import SubscriberTooSlow

if TYPE_CHECKING:
    from ._signing import Key


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Events may be missing here: query what matters for the time between.

    Attributes:
        start: the exchange's time, in the unit of the session, at which the lost connection was last heard of.
        end: the exchange's time, in the unit of the session, from which events are complete again.
        reason: why the connection was lost.
    """

    start: Timestamp
    end: Timestamp
    reason: str


UserDataEvent: TypeAlias = Event | Gap
"""What a subscriber receives."""


_LONGEST_RUN: Final = 256
"""Events that a subscriber takes from its buffer before other tasks have their turn. It is more than one read of the
wire brings, so whoever only reads keeps up with it. One a turn would make each cost five microseconds more; all at once
would keep pongs waiting for as long as the user's code takes over them."""


class Subscriber:
    """The events of one account, in the order of arrival: ``async for event in events``.

    It ends, without an error, when the session is closed. Each step can be cancelled, and a cancelled one takes no
    event.

    Raises, while iterating:
        SubscriberTooSlow: the buffer overflowed here; what came before was delivered.
        Rejected: the exchange does not accept the subscription any more.
    """

    def __init__(self, buffer: int) -> None:
        self.buffer: Final = buffer
        self._incoming, self._outgoing = trio.open_memory_channel[UserDataEvent](buffer)
        self._error: BaseException | None = None
        self._run = 0

    def __len__(self) -> int:
        """How many events wait in the buffer."""
        return self._outgoing.statistics().current_buffer_used

    def __repr__(self) -> str:
        return f"<Subscriber, {len(self)} of {self.buffer} events waiting>"

    def __aiter__(self) -> Subscriber:
        return self

    async def __anext__(self) -> UserDataEvent:
        try:
            if self._run < _LONGEST_RUN:
                await trio.lowlevel.checkpoint_if_cancelled()
                self._run += 1
                try:
                    return self._outgoing.receive_nowait()
                except trio.WouldBlock:
                    pass
            self._run = 0
            return await self._outgoing.receive()
        except trio.EndOfChannel:
            if self._error is not None:
                raise self._error from None
            raise StopAsyncIteration from None

    def put_nowait(self, event: UserDataEvent) -> bool:
        """Hand over an event, or end the subscription if there is no room. Whether there was room."""
        try:
            self._incoming.send_nowait(event)
        except trio.WouldBlock:
            self.end(SubscriberTooSlow(self.buffer))
            return False
        return True

    def end(self, error: BaseException | None = None) -> None:
        """No more events; ``error`` is raised where they would have come."""
        self._error = error
        self._incoming.close()


class Overlap:
    """Tells repeats apart while two connections carry the same events.

    Args:
        lateness: milliseconds after which an event is not repeated any more.
    """

    def __init__(self, lateness: int) -> None:
        self._lateness = lateness
        # How often each connection delivered each event, in two ages: the older one is forgotten as a whole.
        self._young: dict[Hashable, Counter[int]] = {}
        self._old: dict[Hashable, Counter[int]] = {}
        self._ages_at: float = -math.inf

    def is_repeat(self, connection: int, identity: Hashable, now: Timestamp) -> bool:
        """Count an event that a connection, by its number, delivered: was it delivered as often already?"""
        if now > self._ages_at:
            self._old = self._young if now <= self._ages_at + self._lateness else {}
            self._young = {}
            self._ages_at = now + self._lateness
        counts = self._young.get(identity)
        if counts is None:
            counts = self._young[identity] = self._old.pop(identity, Counter())
        delivered = max(counts.values(), default=0)
        counts[connection] += 1
        return counts[connection] <= delivered


class Feed:
    """One account's events.

    Attributes:
        key: the API key the account goes by.
        lateness: milliseconds by which one connection may be late with what another has brought.
        in_unit: gives a time in milliseconds in the unit of the session.
        repeats: how many events were dropped since another connection had brought them.
        carried_at: when a connection last began to bring it; 0 if none has.
        failures: how many attempts in a row, since it was last carried for long, gave no subscription that lasted.
    """

    def __init__(self, key: Key, *, lateness: int, in_unit: Callable[[Timestamp], Timestamp] = int) -> None:
        self.key: Final = key
        self.lateness: Final = lateness
        self.in_unit: Final = in_unit
        self.repeats = 0
        self.carried_at: Timestamp = 0
        self.failures = 0
        self._subscribers: list[Subscriber] = []
        self._carriers: set[int] = set()
        self._coming: set[int] = set()
        self._overlap: Overlap | None = None
        self._overlap_ends: float = math.inf
        self._lost: tuple[Timestamp, str] | None = None

    def __repr__(self) -> str:
        return f"<Feed, {len(self._subscribers)} subscribers, carried by connections {sorted(self._carriers)}>"

    # Above: who listens

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._subscribers)

    def add(self, subscriber: Subscriber) -> None:
        """Listen from here on."""
        if not self._subscribers:
            self._lost = None  # nobody was there to miss anything
        self._subscribers.append(subscriber)

    def remove(self, subscriber: Subscriber) -> bool:
        """Listen no more. Whether nobody is left who does."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
        return not self._subscribers

    def end(self, error: BaseException | None = None) -> None:
        """Nobody will hear any more, and each learns of the error, if there is one."""
        for subscriber in self._subscribers:
            subscriber.end(error)
        self._subscribers.clear()

    # Below: who carries. Connections go by their numbers, times are the exchange's, in milliseconds.

    def is_carried_by(self, connection: int) -> bool:
        """Whether the connection brings this feed's events."""
        return connection in self._carriers

    @property
    def is_carried(self) -> bool:
        """Whether any connection brings this feed's events."""
        return bool(self._carriers)

    def coming(self, connection: int) -> None:
        """The connection is about to subscribe, and may bring events as soon as the exchange has heard of it."""
        self._coming.add(connection)
        if len(self._carriers | self._coming) > 1:
            self._overlap = self._overlap or Overlap(self.lateness)
            self._overlap_ends = math.inf

    def carried(self, connection: int, now: Timestamp) -> None:
        """The connection brings events from now on."""
        self._carriers.add(connection)
        self.carried_at = now
        if self._lost is not None:
            start, reason = self._lost
            self._lost = None
            self._tell_gap(start, now, reason)

    def released(self, connection: int, now: Timestamp) -> None:
        """The connection has brought everything up to now, and will bring no more; or it never came."""
        self._leave(connection, now)

    def handed_over(self, connection: int, now: Timestamp) -> None:
        """The connection has brought everything up to now, and another goes on."""
        self._leave(connection, now)
        if not self._carriers and self._lost is None:
            # The other was lost in the meantime.
            self._lost = (now, "no connection carried the subscription")

    def interrupted(self, connection: int, start: Timestamp, now: Timestamp, reason: str) -> None:
        """The connection, last heard of at ``start``, will bring no more, and may have owed some."""
        self._leave(connection, now)
        if self._carriers:
            self._tell_gap(start, now, reason)
        elif self._lost is None:
            self._lost = (start, reason)

    def _leave(self, connection: int, now: Timestamp) -> None:
        self._carriers.discard(connection)
        self._coming.discard(connection)
        if len(self._carriers | self._coming) < 2:
            self._overlap_ends = now + self.lateness

    def publish(self, event: Event, connection: int, now: Timestamp) -> None:
        """Hand an event to every subscriber, unless another connection has brought it already."""
        if self._overlap is not None:
            if now > self._overlap_ends:
                self._overlap = None
            elif self._overlap.is_repeat(connection, event.identity(), now):
                self.repeats += 1
                return
        self._hand_out(event)

    def _tell_gap(self, start: Timestamp, now: Timestamp, reason: str) -> None:
        self._hand_out(Gap(start=self.in_unit(start), end=self.in_unit(max(start, now)), reason=reason))

    def _hand_out(self, event: UserDataEvent) -> None:
        self._subscribers = [subscriber for subscriber in self._subscribers if subscriber.put_nowait(event)]
