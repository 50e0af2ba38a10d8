"""The accounts that a session listens to. The connection in use is to carry the feed of each.

A new connection is asked to carry them before it is put to use, and has `FEED_PATIENCE` for that: calls do not wait
longer for the user data service. `see_to` is called whenever something has changed for a feed. If the connection in use
does not carry it, a task of the feed's own tries until it does. Once it does, every other connection gives the feed up.
So an old connection lives as long as it is the only one that carries a feed, or until the exchange ends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, Final, Protocol

import trio

from .._protocol.facts import NotSubscribed
from .._protocol.rejections import LASTING
from .._protocol.rotation import LONGEST_BACKOFF, backoff
from .._protocol.signing import Key
from .._text import kind_of, said
from ..errors import InvalidRequest, InvalidTimestamp, NotSent, OutcomeUnknown, Rejected
from .connection import Connection
from .in_flight import Lost
from .own_calls import OWN_CALL
from .shared import Shared
from .subscriptions import Feed, Inbox
from .throttle import ticks

FEED_PATIENCE: Final = 1.0
"""Seconds that a new connection has for subscribing before calls go out on it: some round trips. While the user data
service is slow or down, trading and canceling go on."""

OUTAGE: Final = 3.0
"""Seconds after which subscribers are told that no connection brings their events, unless an attempt to connect has
failed before. Most losses are over by then, and their `Gap` says all there is to say."""

_SUBSCRIBE: Final = "userDataStream.subscribe"


class Supervises(Protocol):
    """What is needed of the supervisor: see `Supervisor`."""

    @property
    def connection(self) -> Connection | None: ...
    @property
    def last_failure(self) -> Exception | None: ...
    @property
    def changed(self) -> trio.Event: ...
    @property
    def clock_is_doubted(self) -> trio.Event: ...
    @property
    def is_closed(self) -> bool: ...
    async def live(self, method: str) -> Connection: ...
    async def measure_clock(self) -> None: ...
    def start_soon(self, chore: Callable[..., Awaitable[None]], *args: Any) -> trio.Event: ...


class Feeds:
    """The feeds of one session.

    Args:
        supervisor: knows the connection in use.
        connections: all that are there, also those that retire.
        shared: of the session.

    Attributes:
        by_key: the accounts that are listened to, by API key.
    """

    def __init__(self, supervisor: Supervises, connections: AbstractSet[Connection], shared: Shared) -> None:
        self.by_key: Final[dict[str, Feed]] = {}
        self._supervisor = supervisor
        self._connections = connections
        self._shared = shared

    def listen(self, key: Key, inbox: Inbox) -> Feed:
        """Add a subscriber to the feed of an account, which `carry` then sees to."""
        # All subscribers of an account share one subscription: the exchange grants no second (-2035).
        feed = self.by_key.setdefault(key.api_key, Feed(key, self._shared, self._shared.observation))
        feed.add(inbox)
        return feed

    def leave(self, feed: Feed, inbox: Inbox) -> None:
        """Take a subscriber off its feed. The last one has it given up."""
        inbox.end()
        # At the end of the session all connections close, which ends subscriptions as well.
        if feed.remove(inbox) and not self._supervisor.is_closed:
            self._supervisor.start_soon(self._abandon, feed)

    def explain(self, reason: str) -> None:
        """Say why nobody carries, where nobody does: see `Succession.explain`."""
        for feed in self.by_key.values():
            feed.explain(reason)

    def tell_outages(self) -> None:
        """No connection can be had at present, so that outages last."""
        for feed in self.by_key.values():
            feed.tell_outage()

    def end(self) -> None:
        """The session is over: subscribers hear no more."""
        for feed in self.by_key.values():
            feed.end()

    async def carry(self, feed: Feed, timeout: float) -> None:
        """See that the connection in use carries a feed, within ``timeout`` seconds.

        Raises:
            Rejected: the exchange refuses the subscription.
            NotSent, OutcomeUnknown: it could not be made in time.
        """
        tried: set[Connection] = set()
        with trio.move_on_after(timeout):
            while True:
                connection = await self._supervisor.live(_SUBSCRIBE)
                # If an answer is missing in the end, the exchange may have subscribed on any of them.
                tried.add(connection)
                try:
                    await connection.carrier.subscribe(feed)
                except Lost:
                    pass  # another connection may carry it
                except InvalidTimestamp:
                    # It is measured anew: else every later call would be refused as well.
                    self._supervisor.clock_is_doubted.set()
                    raise
                else:
                    self.see_to(feed)
                    return
                # Subscribing there again would fail in the same way.
                if connection is self._supervisor.connection:  # it has been given notice
                    await self._supervisor.changed.wait()
        raise self._too_late(timeout, is_sent=any(connection.carrier.may_carry(feed) for connection in tried))

    def _too_late(self, timeout: float, *, is_sent: bool) -> NotSent | OutcomeUnknown:
        # Where a connection is in use by now, it is not what was missing.
        failure = None if self._supervisor.connection else self._supervisor.last_failure
        if is_sent:
            error: NotSent | OutcomeUnknown = OutcomeUnknown(_SUBSCRIBE, f"no answer came within {timeout:g} s")
        # The limits left no room: that is more telling than "no connection".
        elif (delay := self._shared.own.ledger.delay(OWN_CALL, ticks())) > 0:
            error = self._shared.throttle.no_room(_SUBSCRIBE, OWN_CALL, delay)
        else:
            why = "" if failure is None else f": {said(failure)}"
            error = NotSent(_SUBSCRIBE, f"there was no connection to send it on within {timeout:g} s{why}")
        error.__cause__ = failure
        return error

    async def bring(self, connection: Connection) -> None:
        """Have a new connection carry the feeds, as far as that is done at once."""
        subscribe = connection.carrier.subscribe
        heard = [feed for feed in self.by_key.values() if feed.is_heard]
        waiting = [self._supervisor.start_soon(self._try, feed, partial(subscribe, feed)) for feed in heard]
        # The attempts go on beyond this. Calls do not wait for them.
        with trio.move_on_after(FEED_PATIENCE):
            for done in waiting:
                await done.wait()

    def see_to_all(self) -> None:
        """See to each, since another connection is in use."""
        for feed in list(self.by_key.values()):
            self.see_to(feed)

    def see_to(self, feed: Feed) -> None:
        """Have a feed carried by the connection in use, and by no other once it is."""
        connection = self._supervisor.connection
        if connection is None:
            return  # the next one will be asked before it is in use
        # A loss is judged a second time once the clock has been measured after it.
        if feed.doubts and not feed.is_judged:
            feed.is_judged = True
            self._supervisor.start_soon(self._judge, feed)
        if feed.is_carried_by(connection.number):
            # Not before the connection in use brings it, so nothing is lost in between.
            self._have_given_up(feed, connection)
        # One task for each feed, however often this is called.
        elif feed.is_heard and not feed.is_moving:
            feed.is_moving = True
            self._supervisor.start_soon(self._move, feed)

    def _have_given_up(self, feed: Feed, connection: Connection) -> None:
        """Have every connection but one give a feed up."""
        for other in self._connections:
            if other is not connection and feed.is_carried_by(other.number):
                self._supervisor.start_soon(other.carrier.give_up, feed, partial(self._is_carried_in_use, feed))

    def _is_carried_in_use(self, feed: Feed) -> bool:
        connection = self._supervisor.connection
        return connection is not None and feed.is_carried_by(connection.number)

    async def _move(self, feed: Feed) -> None:
        """Try until the connection in use carries a feed, or nobody listens any more."""
        try:
            while feed.is_heard and not self._is_carried_in_use(feed):
                # The first attempt comes at once.
                if feed.failures:
                    await trio.sleep(backoff(feed.failures - 1, self._shared.chance.fraction()))
                await self._try(feed, partial(self.carry, feed, self._shared.settings.request_timeout))
        finally:
            feed.is_moving = False

    async def _judge(self, feed: Feed) -> None:
        """Measure the clock after a loss, and have gaps told that are wider by what is known then."""
        try:
            # There may be another loss while the clock is measured.
            while doubts := feed.doubts:
                await self._supervisor.measure_clock()
                feed.clock_was_measured(doubts)
        finally:
            feed.is_judged = False

    async def _try(self, feed: Feed, subscribe: Callable[[], Awaitable[None]]) -> None:
        """One attempt to have a feed carried. If the key is refused and no connection carries it, the feed ends."""
        timeout = self._shared.settings.request_timeout
        failure: Exception = TimeoutError(f"no answer came within {timeout:g} s")
        try:
            with trio.move_on_after(timeout):
                await subscribe()
                return
        except InvalidTimestamp as error:
            self._supervisor.clock_is_doubted.set()
            failure = error
        except LASTING as error:
            self._refused(feed, error)
            failure = error
        # What else the exchange says may pass: the user data service is down or busy, say.
        except (Lost, NotSent, OutcomeUnknown, Rejected, InvalidRequest) as error:
            failure = error
        feed.failures += 1
        cause, kind = said(failure), kind_of(failure)
        self._shared.observation.tell(NotSubscribed, account=feed.account, cause=cause, error=kind)

    def logon_refused(self, key: Key, error: Rejected) -> None:
        """The session's key is refused when it is to log on, so no connection can be had to subscribe on."""
        feed = self.by_key.get(key.api_key)
        if feed is not None:
            self._refused(feed, error)

    def _refused(self, feed: Feed, error: Rejected) -> None:
        """The exchange takes the key no longer: the feed ends."""
        # As long as another connection brings the events, users lose nothing.
        if not feed.is_carried:
            feed.end(error)
            self._forget(feed)

    def restore(self, feed: Feed) -> None:
        """A connection carries a feed no longer: subscribe anew if no other does."""
        # Else another connection still brings it, or nobody listened.
        if feed.outage is not None and not self._supervisor.is_closed:
            # A subscription that ends soon, again and again, is asked for with growing pauses.
            has_lasted = ticks() - feed.subscribed_at > LONGEST_BACKOFF * 1000
            feed.failures = 0 if has_lasted else feed.failures + 1
            self._supervisor.start_soon(self._tell_outage, feed)
        if not self._supervisor.is_closed:
            self.see_to(feed)

    async def _tell_outage(self, feed: Feed) -> None:
        outage = feed.outage
        await trio.sleep(OUTAGE)
        # It may have ended, and another one may have begun.
        if outage is not None and feed.outage is not None and feed.outage.at == outage.at:
            feed.tell_outage()

    async def _abandon(self, feed: Feed) -> None:
        """Give up a feed that nobody listens to."""
        for connection in list(self._connections):
            # One after the other: nobody waits for it, and nobody misses anything.
            await connection.carrier.give_up(feed, lambda: not feed.is_heard)
        # Somebody may have begun to listen meanwhile.
        if not feed.is_heard:
            self._forget(feed)

    def _forget(self, feed: Feed) -> None:
        # Its place may have been taken by a successor.
        if self.by_key.get(feed.key.api_key) is feed:
            del self.by_key[feed.key.api_key]
