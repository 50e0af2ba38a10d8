"""User data events: from the connections that carry them to everyone who listens, without ever waiting.

A `Feed` is one account's events. Connections come and go under it, `Subscriber`s sit on top. `Feed.publish` is called
by a connection's reader and never waits (G3): a subscriber whose buffer is full is cut off, keeps what it has, and
learns it when it has read that far. What lies between is `_protocol/succession`: the order of connections, repeats,
gaps.

What is known of a feed lies with whom it is about:

    Inbox                 what waits to be read, and how it ended
    Feed                  who listens; who was told of an outage; whether somebody sees to its being carried
    Succession            which connections carry it, or are about to; what each has brought; since when none does
    Carrier               by which subscription ids a connection carries which feeds; what the exchange may know beyond
    Feeds                 which feeds there are; which connection should carry them, and which should give them up
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from .._protocol.facts import EventsInterrupted, EventsMissed, SubscriberOverflowed
from .._protocol.succession import Calendar, Gap, Interrupted, Succession, UserDataEvent
from .._text import shown_key
from ..api.events import Event
from ..errors import SubscriberTooSlow

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._protocol.signing import Key
    from .observation import Observation

# Events that a subscriber takes from its buffer before other tasks have their turn. It is more than one read of the
# wire brings, so whoever only reads keeps up with it. One a turn would make each cost five microseconds more; all at
# once would keep pongs waiting for as long as the user's code takes over them.
_LONGEST_RUN: Final = 256


class Inbox:
    """What waits for one subscriber, and how it ended.

    Attributes:
        buffer: how many events may wait.
        events: those that wait.
        error: what is raised once they have been read; None for the end of the iteration.
        losses: how many losses its feed had when it came: it misses nothing by those.
        overflowed: called when an event finds no room; set by its feed.
    """

    overflowed: Callable[[], object]

    def __init__(self, buffer: int) -> None:
        self.buffer: Final = buffer
        self._incoming, self.events = trio.open_memory_channel[UserDataEvent](buffer)
        self.error: BaseException | None = None
        self.losses = 0

    def put_nowait(self, event: UserDataEvent) -> bool:
        """Hand over an event, or end the subscription if there is no room. Whether there was room."""
        try:
            self._incoming.send_nowait(event)
        # It reads too slowly. It keeps what it has, and learns it once it has read that far.
        except trio.WouldBlock:
            self.end(SubscriberTooSlow(self.buffer))
            self.overflowed()
            return False
        return True

    def end(self, error: BaseException | None = None) -> None:
        """No more events; ``error`` is raised where they would have come."""
        self.error = error
        self._incoming.close()


class Subscriber:
    """The events of one account, in order: ``async for event in events``. Made by `Session.user_data`.

    It ends, without an error, when the session is closed. Each step can be cancelled, and a cancelled one takes no
    event.

    Raises, while iterating:
        SubscriberTooSlow: the buffer overflowed here; what came before was delivered.
        Rejected: the exchange does not accept the key any more. Whatever else it says to a subscription is tried again.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._events = inbox.events
        self._run = 0

    @property
    def buffer(self) -> int:
        """How many events may wait."""
        return self._inbox.buffer

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return self._events.statistics().current_buffer_used

    def __repr__(self) -> str:
        return f"<Subscriber, {self.waiting} of {self.buffer} events waiting>"

    def __aiter__(self) -> Subscriber:
        return self

    async def __anext__(self) -> UserDataEvent:
        try:
            # What is there already is taken without a turn of the scheduler.
            if self._run < _LONGEST_RUN:
                # Each step can be cancelled, also one that does not wait.
                await trio.lowlevel.checkpoint_if_cancelled()
                self._run += 1
                try:
                    return self._events.receive_nowait()
                except trio.WouldBlock:
                    pass
            # A turn of the scheduler: others have waited for as long as this run took.
            self._run = 0
            return await self._events.receive()
        except trio.EndOfChannel:
            # The channel was closed for a reason. Without one, the session or the block has ended.
            if self._inbox.error is not None:
                raise self._inbox.error from None
            raise StopAsyncIteration from None


class Feed:
    """One account's events.

    Args:
        key: the API key the account goes by.
        calendar: tells the exchange's dates from local times.
        observation: is told what subscribers are.

    Attributes:
        key: the API key the account goes by.
        account: the beginning of that, as it may be shown.
        subscribed_at: when a connection last began to bring it, once one has.
        failures: how many attempts in a row, since it was last carried for long, gave no subscription that lasted.
        is_moving: whether somebody is seeing to it that the connection in use carries it.
        is_judged: whether somebody measures the clock to judge its losses.
    """

    def __init__(self, key: Key, calendar: Calendar, observation: Observation) -> None:
        self.key: Final = key
        self.account: Final = shown_key(key.api_key)
        self.subscribed_at: int
        self._observation = observation
        self.failures = 0
        self.is_moving = False
        self.is_judged = False
        self._is_outage_told = False
        self._subscribers: list[Inbox] = []
        self._succession: Final = Succession(self._hand_out, self._hand_out_loss, calendar)

    def __repr__(self) -> str:
        return f"<Feed, {len(self._subscribers)} subscribers, carried by connections {self._succession.carriers}>"

    # Above: who listens

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._subscribers)

    def add(self, subscriber: Inbox) -> None:
        """Listen from here on."""
        # An outage that began when nobody listened is no news to whoever comes now.
        if not self._subscribers:
            self._succession.outage = None
        subscriber.losses = self._succession.losses
        subscriber.overflowed = lambda: self._tell_overflow(subscriber)
        self._subscribers.append(subscriber)

    def remove(self, subscriber: Inbox) -> bool:
        """Listen no more. Whether nobody is left who does."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
        # It may have gone already: one that overflowed is taken off while events are handed out.
        return not self._subscribers

    def end(self, error: BaseException | None = None) -> None:
        """Nobody will hear any more, and each learns of the error, if there is one."""
        for subscriber in self._subscribers:
            subscriber.end(error)
        self._subscribers.clear()

    # Below: who carries. Connections go by their numbers, times are local, in milliseconds.

    def is_carried_by(self, number: int) -> bool:
        """Whether the connection brings this feed's events."""
        return number in self._succession.carriers

    @property
    def is_carried(self) -> bool:
        """Whether any connection brings this feed's events."""
        return bool(self._succession.carriers)

    def subscribing(self, number: int, now: int) -> None:
        """See `Succession.subscribing`."""
        self._succession.subscribing(number, now)

    @property
    def outage(self) -> Interrupted | None:
        """See `Succession.outage`."""
        return self._succession.outage

    def tell_outage(self) -> None:
        """Say once that nobody carries, to those who miss something by it."""
        # Once for each outage, however many attempts fail meanwhile.
        if self._succession.outage is not None and not self._is_outage_told:
            self._is_outage_told = True
            self._hand_out_loss(self._succession.outage, self._succession.losses)

    def subscribed(self, number: int, now: int) -> None:
        """See `Succession.subscribed`."""
        self.subscribed_at = now
        # The next outage is another one.
        self._is_outage_told = False
        self._succession.subscribed(number, now)

    def unsubscribing(self, number: int, now: int) -> None:
        """See `Succession.unsubscribing`."""
        self._succession.unsubscribing(number, now, is_heard=self.is_heard)

    def ended(self, number: int, end: Event, now: int) -> bool:
        """See `Succession.ended`."""
        return self._succession.ended(number, end, now)

    def transferred(self, number: int, heard: int, now: int) -> None:
        """See `Succession.transferred`."""
        self._succession.transferred(number, heard, now)

    def unsubscribed(self, number: int, now: int) -> None:
        """See `Succession.unsubscribed`."""
        self._succession.unsubscribed(number, now)

    def lost(self, number: int, heard: int, now: int, reason: str) -> None:
        """See `Succession.lost`."""
        self._succession.lost(number, heard, now, reason)

    def publish(self, event: Event, number: int, now: int) -> None:
        """Hand an event to every subscriber, each once and in order."""
        self._succession.bring(event, number, now)

    def _hand_out(self, event: UserDataEvent) -> None:
        self._subscribers = [subscriber for subscriber in self._subscribers if subscriber.put_nowait(event)]

    def explain(self, reason: str) -> None:
        """See `Succession.explain`."""
        self._succession.explain(reason)

    @property
    def doubts(self) -> int:
        """How many losses may have cost more than was told, if the exchange's clock was adjusted.

        See `Succession.doubtful`.
        """
        return len(self._succession.doubtful)

    def clock_was_measured(self, doubts: int) -> None:
        """See `Succession.clock_was_measured`."""
        self._succession.clock_was_measured(doubts)

    def _tell_overflow(self, subscriber: Inbox) -> None:
        self._observation.tell(SubscriberOverflowed, account=self.account, buffer=subscriber.buffer)

    def _hand_out_loss(self, loss: Interrupted | Gap, number: int) -> None:
        self._tell_loss(loss)
        losses = [loss]
        # A gap says that events come again. This one is about an earlier loss, and they do not.
        if isinstance(loss, Gap) and self.outage is not None and self._is_outage_told:
            self._tell_loss(self.outage)
            losses.append(self.outage)
        # A subscriber that came later misses nothing.
        self._subscribers = [
            subscriber
            for subscriber in self._subscribers
            if subscriber.losses >= number or all(map(subscriber.put_nowait, losses))
        ]

    def _tell_loss(self, loss: Interrupted | Gap) -> None:
        tell = self._observation.tell
        if isinstance(loss, Gap):
            tell(EventsMissed, account=self.account, begin=loss.start, end=loss.end, cause=loss.reason)
        else:
            tell(EventsInterrupted, account=self.account, cause=loss.reason)
