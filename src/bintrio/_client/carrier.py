"""The subscriptions to user data on one connection, and the feeds that they bring.

The exchange says that a subscription is over by an event, by its answer to unsubscribing, or by both, in either order.
`Carrier` makes of these one end for each feed, and tells an end that was asked for from a loss:

    it says 200                                    what it owed was brought; the event may come before or after
    it says that there was no such subscription    it had ended by itself: a loss
    anything else, or nothing                      a loss; without the event, the subscription may go on
    the event alone, when we did not ask           a loss
    the event before its answer to subscribing     a loss, at once when the answer comes
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final, Protocol

import trio

from .._protocol.envelope import Envelope
from .._protocol.events import read_event
from .._protocol.facts import EventUnclaimed, Subscribed, Unsubscribed
from .._protocol.results import read_result
from ..api._base import Request
from ..api.events import Event, EventStreamTerminated, ServerShutdown, UnknownEvent, UserEvent, event_type
from ..api.user_data import (
    Subscription,
    UserDataStreamSubscribe,
    UserDataStreamSubscribeSignature,
    UserDataStreamUnsubscribe,
)
from ..errors import BintrioError, OutcomeUnknown, Rejected, Unauthorized
from .in_flight import Call, Lost
from .observation import Teller
from .own_calls import OwnCalls
from .shared import Shared
from .subscriptions import Feed
from .throttle import ticks

ALREADY_SUBSCRIBED: Final = -2035

NOT_SUBSCRIBED: Final = -2036

OVERLAP: Final = 2
"""Milliseconds for which two connections carry a feed at least, when one takes it over. The exchange dates events to
the millisecond. So one that only the first brought, and one that only the other brings, are never of the same moment;
else they could be alike, and the second would be taken for the first, said again."""

_ENDED: Final = "the exchange ended the subscription"

# Events that may be about the subscription or the connection: a misshapen one arrives as unknown.
_SIGNS: Final = (EventStreamTerminated, ServerShutdown, UnknownEvent)


class CanCarry(Protocol):
    """What is needed of the connection: see `Connection`."""

    @property
    def number(self) -> int: ...
    @property
    def heard_at(self) -> int: ...
    @property
    def is_logged_on(self) -> bool: ...
    @property
    def teller(self) -> Teller: ...
    def give_notice(self, cause: str) -> None: ...
    def logon_lost(self) -> None: ...
    def feed_gone(self, feed: Feed) -> None: ...


class Carrier:
    """Carries feeds on one connection.

    Attributes:
        feeds: what it carries, by the ids of its subscriptions.
    """

    def __init__(self, connection: CanCarry, own: OwnCalls, shared: Shared) -> None:
        self.feeds: Final[dict[int, Feed]] = {}
        self._connection = connection
        self._own = own
        self._shared = shared
        # API keys of which the exchange may know a subscription that is not known here.
        self._unsure: set[str] = set()
        # Subscriptions that this side ends, or has ended, and whether anybody heard them then. The exchange says that
        # they are over before its answer, after it, or never.
        self._unsubscribing: dict[int, bool] = {}
        # Those of them that the exchange has said to be over, and has not answered yet. It may have ended one by itself
        # just before it was asked to.
        self._ended: set[int] = set()
        # How many ask to subscribe, and what the exchange has said to be over meanwhile that is not known here, by
        # number: the answer that names it may come later.
        self._subscribing = 0
        self._ended_early: dict[int | None, Event] = {}
        # One question at a time about each feed, by API key.
        self._asking: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)

    # What comes in

    def take(self, envelope: Envelope) -> None:
        """Hand an event to the feed whose subscription brought it."""
        user_event = read_event(envelope)
        event = user_event.event
        # Nearly all events are about orders and balances, and pay for one look only.
        if isinstance(event, _SIGNS) and self.take_sign(user_event):
            return
        subscription_id = user_event.subscription_id
        feed = None if subscription_id is None else self.feeds.get(subscription_id)
        # The user subscribed by hand, or has left and the exchange had not heard of it.
        if feed is None:
            self._drop(subscription_id, event)
            return
        feed.publish(event, self._connection.number, self._connection.heard_at)

    def take_sign(self, told: UserEvent) -> bool:
        """Heed what the exchange says of a subscription or of itself, as far as it can be understood."""
        # By its name, so that one in a new shape is heeded all the same.
        kind = event_type(told.event)
        if kind == "serverShutdown":
            self._connection.give_notice("the exchange announced its shutdown")
        elif kind == "eventStreamTerminated":
            self._take_termination(told)
        return kind in {"serverShutdown", "eventStreamTerminated"}

    def _take_termination(self, told: UserEvent) -> None:
        number = told.subscription_id
        # The exchange ended a subscription without saying which.
        if number is None and self.feeds:
            self._take_nameless(told.event)
        elif number in self.feeds:
            self._take_end(number, told.event, is_asked=self._has_been_asked(number, told.event))
        # One that this side has ended says so too, after the answer: that is no news.
        elif number not in self._unsubscribing:
            self._note_early_end(number, told.event)
            self._drop(number, told.event)

    def _note_early_end(self, number: int | None, event: Event) -> None:
        """The exchange ended a subscription, and its answer to subscribing has not come: if there will be one."""
        if self._subscribing:
            self._ended_early[number] = event

    def _drop(self, number: int | None, event: Event) -> None:
        """Count an event that nobody listens to."""
        self._shared.counters.unclaimed_events += 1
        count = self._shared.counters.unclaimed_events
        self._connection.teller.tell(EventUnclaimed, number=count, subscription=number, event=event_type(event))

    def _tell_end(self, number: int, feed: Feed, cause: str | None) -> None:
        self._connection.teller.tell(Unsubscribed, account=feed.account, subscription=number, cause=cause)

    def _take_nameless(self, event: Event) -> None:
        """It does not say of which. If one was not meant, the exchange will say that it brings it still."""
        asked = {number: self._has_been_asked(number, event) for number in self.feeds}
        # The next attempt to subscribe will tell whether the exchange still brings it.
        if not all(asked.values()):
            self._unsure.update(feed.key.api_key for feed in self.feeds.values())
        for number, is_asked in asked.items():
            self._take_end(number, event, is_asked=is_asked)
        self._note_early_end(None, event)

    def _has_been_asked(self, number: int, end: Event) -> bool:
        """Whether this side has asked for the end of a subscription."""
        return self.feeds[number].ended(self._connection.number, end, ticks())

    def _take_end(self, number: int, event: Event, *, is_asked: bool) -> None:
        if is_asked:
            self._ended.add(number)  # the answer will tell whether it is over for that reason
        # It was asked for, but the exchange ended it before it can have heard: a loss.
        elif number in self._unsubscribing:
            self._leave(number, _ENDED)
        else:
            self._lose(number, event)

    def end(self, reason: str) -> None:
        """The connection has ended, and carries no feed any more."""
        # What is told below may look at them: by then they are gone.
        feeds = self.feeds.copy()
        self.feeds.clear()
        for number, feed in feeds.items():
            self._tell_end(number, feed, reason)
            feed.lost(self._connection.number, self._connection.heard_at, ticks(), reason)
            self._connection.feed_gone(feed)

    def _lose(self, number: int, event: Event) -> None:
        """The exchange has ended a subscription."""
        feed = self.feeds.pop(number)
        self._tell_end(number, feed, _ENDED)
        # Users see the event itself as well.
        feed.publish(event, self._connection.number, self._connection.heard_at)
        feed.lost(self._connection.number, self._connection.heard_at, ticks(), _ENDED)
        self._connection.feed_gone(feed)

    def _leave(self, number: int, reason: str | None = None) -> None:
        """A subscription that was given up brings no more; all that it owed has come, unless there is a reason."""
        self._ended.discard(number)
        feed = self.feeds.pop(number, None)
        # It has ended in another way meanwhile, and that was told then.
        if feed is None:
            return
        now = ticks()
        self._tell_end(number, feed, reason)
        # Nobody listened, so nobody missed anything.
        if not self._unsubscribing[number]:
            feed.unsubscribed(self._connection.number, now)
        elif reason is None:
            feed.transferred(self._connection.number, self._connection.heard_at, now)
        else:
            feed.lost(self._connection.number, self._connection.heard_at, now, reason)
        self._connection.feed_gone(feed)

    # Its own calls: to subscribe and unsubscribe

    async def subscribe(self, feed: Feed) -> None:
        """Carry a feed from the exchange's answer on, unless it is carried already, or nobody hears it.

        After an answer was lost, the exchange may say that it brings the feed already, by an id that was never learned.
        Only another connection can carry it then, so this one is given notice, and it is `Lost`.
        """
        # One at a time: the answers to two questions could not be told apart by their feeds.
        async with self._asking[feed.key.api_key]:
            # Both may have changed while another question was under way.
            if not feed.is_carried_by(self._connection.number) and feed.is_heard:
                feed.subscribing(self._connection.number, ticks())
                self._subscribing += 1
                try:
                    await self._subscribe(feed)
                finally:
                    self._subscribing -= 1
                    # Nobody waits for an answer any more that could name one of them.
                    if not self._subscribing:
                        self._ended_early.clear()
                    # It did not come to that, so the next connection in the order goes on.
                    if not feed.is_carried_by(self._connection.number):
                        feed.transferred(self._connection.number, self._connection.heard_at, ticks())

    async def _subscribe(self, feed: Feed) -> None:
        api_key, request = feed.key.api_key, self._request_for(feed)

        def accept(envelope: Envelope) -> None:
            # By the reader, since the first event may come in the very same read.
            number = read_result(request.api.name, Subscription, envelope).subscription_id
            self.feeds[number] = feed
            # The exchange may give a number again.
            self._unsubscribing.pop(number, None)
            self._ended.discard(number)
            self._connection.teller.tell(Subscribed, account=feed.account, subscription=number)
            feed.subscribed(self._connection.number, ticks() + 1)  # rounded up
            # Now the number is known.
            self._unsure.discard(api_key)
            self._lose_if_over(number, api_key)

        call = self._own.prepare(request, key=feed.key if request.api.signed else None, accept=accept)
        try:
            await self._own.result(call, request)
        except Rejected as error:
            # By an answer that was lost. Its number cannot be asked for, so only another connection can carry the feed.
            if error.code == ALREADY_SUBSCRIBED and api_key in self._unsure:
                self._connection.give_notice("the exchange has a subscription that is not known here")
                raise Lost(error, is_sent=True) from None
            # Whether it is the key that may not, or the logon that is gone, the signed question tells.
            if isinstance(error, Unauthorized) and not request.api.signed:
                self._connection.logon_lost()
                return await self._subscribe(feed)
            raise
        except BaseException as error:
            # Cancelled, overdue or lost: the exchange may have subscribed.
            if call.is_sent or isinstance(error, OutcomeUnknown):
                self._unsure.add(api_key)
            raise

    def _lose_if_over(self, number: int, api_key: str) -> None:
        """Lose a subscription whose end the exchange told before its answer, which was late."""
        end = self._ended_early.pop(number, None)
        # As in `_take_nameless`: the next attempt will tell whether this one was meant.
        if end is None and (end := self._ended_early.get(None)) is not None:
            self._unsure.add(api_key)
        if end is not None:
            self._lose(number, end)

    def _request_for(self, feed: Feed) -> Request[Subscription]:
        # The account that is logged on needs no signature. Any other account does.
        if feed.key is self._shared.own.key and self._connection.is_logged_on:
            return UserDataStreamSubscribe()
        return UserDataStreamSubscribeSignature()

    def may_carry(self, feed: Feed) -> bool:
        """Whether the exchange may have been asked to bring a feed, although no answer has said so."""
        return feed.key.api_key in self._unsure

    async def give_up(self, feed: Feed, is_wanted: Callable[[], bool]) -> None:
        """Unsubscribe from a feed, if that is wanted still when its turn has come.

        Once the exchange has answered, everything before was brought. If it does not within ``drain_timeout``, or says
        anything else, the feed is lost. It may go on then, and the next attempt to subscribe will tell.
        """
        async with self._asking[feed.key.api_key]:
            for number in [number for number, carried in self.feeds.items() if carried is feed]:

                def is_due() -> bool:
                    # Once it was asked to leave, and another brings the feed, nobody counts on this one any more.
                    return is_wanted() or not feed.is_carried_by(self._connection.number)

                # An attempt that finds no room in the limits leaves it as it was.
                while number in self.feeds and is_due():
                    await self._unsubscribe(number, feed, is_due)

    async def _unsubscribe(self, number: int, feed: Feed, is_wanted: Callable[[], bool]) -> None:
        # Whether anybody misses something is decided now: listeners may come and go until the answer.
        self._unsubscribing[number] = feed.is_heard
        request = UserDataStreamUnsubscribe(subscription_id=number)
        call = self._own.prepare(request, key=None, accept=lambda _envelope: self._leave(number))
        patience = trio.CancelScope()
        try:
            await self._shared.throttle.room_for(call.cost)  # until there is room, the subscription goes on
            await self._overlap(feed)
            # It ended while this waited.
            if number not in self.feeds:
                return
            # It has to go on: the connection that was to take it over is lost, or somebody listens again.
            if not is_wanted():
                del self._unsubscribing[number]
                return
            feed.unsubscribing(self._connection.number, ticks())
            patience.deadline = trio.current_time() + self._shared.settings.drain_timeout
            with patience:
                await self._own.result(call, request)
        except (Lost, BintrioError) as error:
            # There is none any more: the exchange had ended it by itself before, which is a loss.
            if isinstance(error, Rejected) and error.code == NOT_SUBSCRIBED:
                self._ended.add(number)
        if number in self._ended:
            self._leave(number, _ENDED)
        # No answer in time, or an odd one.
        elif number in self.feeds and self._may_be_over(call, patience):
            self._unsure.add(feed.key.api_key)
            self._leave(number, "its connection was replaced, and did not say that it was over")

    def _may_be_over(self, call: Call, patience: trio.CancelScope) -> bool:
        """Whether a question to unsubscribe that was not answered as it should be may have been heeded."""
        # One that left and has no answer, whatever holds since. Else, if there is no room in the limits, it was refused
        # or did not leave, and the subscription goes on.
        is_silent = patience.cancelled_caught and call.is_sent
        return is_silent or self._shared.throttle.has_room_for(call.cost)

    async def _overlap(self, feed: Feed) -> None:
        """Wait until a feed that is heard has been carried for a moment by the connection that began it last."""
        delay = feed.subscribed_at + OVERLAP - ticks()
        # Nearly always it has been carried for long.
        if delay > 0 and feed.is_heard:
            await trio.sleep(delay / 1000)
