"""One connection: calls out, answers and events in, from the handshake to its end.

Three tasks share it. The **reader** takes messages off the wire and hands each to whom it belongs: an answer to the
call that waits under its id, an event to its feed. It awaits nothing but bytes, so nothing that a caller or subscriber
does can delay the next pong (G3). The **heartbeat** is a cancel scope whose deadline moves each time a pong has been
written, or bytes came of a message that is long under way: the exchange pings every 20 s, but not within a frame. If it
expires, the exchange went silent or our pongs do not leave, and the connection is dead either way (G4). The wire has a
**writer** of its own; callers only queue whole frames (G6).

**State changes are synchronous.** A call is signed, entered under its id and queued without an await in between, and an
answer is taken off in one step. So a caller can be cancelled only before anything happened, or while it waits for its
answer. Then its frame is withdrawn if the writer has not taken it yet, else the id is forgotten and the late answer is
dropped and counted (G1, G2).

**The end is told at once.** Whatever ends the connection, `end` fails every waiting call with the cause before anything
is awaited. Each learns whether bytes of it may have left: that is the difference between repeating and asking (G7).
"""

from __future__ import annotations

import itertools
import logging
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
import trio

from ._budget import Charge, Cost, Purpose
from ._clock import Clock, can_be_right
from ._envelope import Envelope, read_envelope
from ._events import bare_event, read_event
from ._frames import Message, Opcode
from ._holds import Hold
from ._ledger import Ledger
from ._privacy import is_private
from ._requests import RequestId, write_request
from ._results import read_answer, read_error, read_result
from ._settings import Settings, check_privacy
from ._shown import shown
from ._signing import Key, payload
from ._streams import close_at_once
from ._subscriptions import Feed
from ._tasks import past_ctrl_c, protected
from ._throttle import CONNECT_COST, Throttle, ticks
from ._wire import Outgoing, Wire, WireClosed, open_wire
from ._words import said
from .api._base import Api, Json, Request
from .api._values import Timestamp
from .api.authentication import SessionLogon
from .api.events import Event, EventStreamTerminated, ServerShutdown, UnknownEvent, UserEvent, event_type
from .api.general import Time
from .api.user_data import (
    Subscription,
    UserDataStreamSubscribe,
    UserDataStreamSubscribeSignature,
    UserDataStreamUnsubscribe,
)
from .endpoints import Address
from .errors import (
    BintrioError,
    HandshakeRejected,
    InvalidRequest,
    OutcomeUnknown,
    ProtocolViolation,
    RateLimited,
    Rejected,
)

K = TypeVar("K")
V = TypeVar("V")

logger: Final = logging.getLogger("bintrio")

ALREADY_SUBSCRIBED: Final = -2035

OWN_CALL: Final = Cost(weight=1, purpose="own")
"""The least that a call of the session's own costs."""

_ENDED: Final = "the exchange ended the subscription"

_SIGNS: Final = (EventStreamTerminated, ServerShutdown, UnknownEvent)
"""Events that may be about the subscription or the connection: a misshapen one arrives as unknown."""

DEFAULT_RECV_WINDOW: Final = 5000
"""Milliseconds for which a signed request stays valid if it does not say ("Timing security")."""

FIRST_ID: Final = 2**32
"""Ids from here on are the session's own, as far as it has counted; those below are left to its user."""

CHOSEN_IDS: Final = 10_000
"""How many ids that its user chose a connection remembers, the latest ones."""

OWED_ANSWERS: Final = 1000
"""How many trading calls whose callers are gone a connection remembers, the latest ones: for their answers."""

DOUBTFUL: Final = 3
"""How many calls in a row without an answer make a connection due."""

LONGEST_ARRIVAL: Final = 600.0
"""Seconds within which a message must have come whole, and by which reads may wait longer for the sake of messages
that are under way. At the 17 MB of the longest answer, that is a link of 230 kbit/s."""

_GLANCE: Final = 0.5  # seconds between looks at a call that waits for a message under way

Accept: TypeAlias = Callable[[Envelope], None]
"""What the reader does at once with a successful answer."""

Connect: TypeAlias = Callable[[Address], Awaitable[trio.abc.Stream]]
"""Opens the byte stream to an address, TLS included if it asks for that."""


class Call:
    """One call on its way, by as many connections as it takes.

    Attributes:
        api: what is known of the method.
        params: the parameters, without those of signing.
        cost: what it takes of the budgets.
        id: the id that its user chose; None for one of the session's.
        key: the key to sign with, even on a connection that is logged on; None for the session's, if need be.
        accept: called by the reader with a successful answer, before anything that came after it is looked at.
        deadline: local time at which it is overdue.
        patience: seconds by which it may be answered later than that, if a message was under way for as long.
        is_sent: whether a byte of it may have left.
        is_suspect: whether a connection that it was sent on has ended since the server broke the protocol.
        window: milliseconds for which it stays valid, once it is signed.
        final_at: the exchange's time in milliseconds from which it is too late to execute it, once it is signed.
        seen_order_id: the highest order id of its symbol that was seen before it left; 0 if none was.
        late_answer: its answer, and the exchange's time in milliseconds when it came, if its caller was gone by then.
        answered_late: called then.

    While it waits for its answer on a connection:

        wire_id: the id that it goes by, unique among the calls in flight.
        charge: what the ledger holds for it.
        outgoing: its frame.
        arrived_before: `Wire.arrived` when it was sent.
        answer: where its answer will be.
    """

    __slots__ = (
        "accept",
        "answer",
        "answered_late",
        "api",
        "arrived_before",
        "charge",
        "cost",
        "deadline",
        "final_at",
        "id",
        "is_sent",
        "is_suspect",
        "key",
        "late_answer",
        "outgoing",
        "params",
        "patience",
        "seen_order_id",
        "window",
        "wire_id",
    )

    wire_id: RequestId
    charge: Charge
    outgoing: Outgoing
    arrived_before: float
    answer: Channel

    def __init__(
        self,
        api: Api,
        params: dict[str, Json],
        *,
        weight: int,
        id: RequestId | None = None,
        key: Key | None = None,
        purpose: Purpose | None = None,
    ) -> None:
        self.api = api
        self.params = params
        self.cost = _cost(weight, api.orders, 0, purpose or api.purpose)
        self.id = id
        self.key = key
        self.accept: Accept | None = None
        self.deadline = math.inf
        self.patience = 0.0
        self.is_sent = False
        self.is_suspect = False
        self.window = _window(api, params)
        self.final_at: int | None = None
        self.seen_order_id = 0
        self.late_answer: tuple[Envelope, Timestamp] | None = None
        self.answered_late: Callable[[], object] = _nothing

    def take_late(self, envelope: Envelope, now: Timestamp) -> None:
        """Its answer came after its caller had gone. It reaches no other call, but may tell what became of this one."""
        self.is_sent = True
        self.late_answer = envelope, now
        self.answered_late()


def _nothing() -> None:
    pass


def remember(latest: dict[K, V], key: K, value: V, most: int) -> None:
    """Add to what is remembered; the oldest of too many is forgotten."""
    if len(latest) >= most:
        del latest[next(iter(latest))]
    latest[key] = value


_cost: Final = cache(Cost)  # few differ, and every call has one


def _window(api: Api, params: dict[str, Json]) -> int:
    given = params.get("recvWindow")
    if given is None:
        return DEFAULT_RECV_WINDOW
    with suppress(ValueError, OverflowError):
        window = math.ceil(float(str(given)))
        if window >= 0:
            return window
    said = f"{api.name}: recvWindow must be a number of milliseconds, not {shown(given)}"
    raise InvalidRequest(said, field="recvWindow")


class Lost(Exception):
    """The connection ended before the answer came, or is of no use for the call any more.

    Attributes:
        cause: why.
        is_sent: whether a byte of the call may have left.
    """

    def __init__(self, cause: Exception, *, is_sent: bool) -> None:
        super().__init__(cause)
        self.cause = cause
        self.is_sent = is_sent


class Overdue(Exception):
    """The deadline of the call passed before the answer came; `Call.is_sent` tells whether a byte of it left."""


class Ended(Exception):
    """Ended by this side since it was not needed any more; the text says why."""


class HeldBack(Exception):
    """The exchange refused another call with 429 or 418, in these words, so this one had to wait."""


class Silent(Exception):
    """Nothing was heard of the exchange for the pong window."""


class Counters(msgspec.Struct):
    """What was dropped, and how often. Of one session, over all its connections.

    Attributes:
        dropped_replies: answers nobody waits for: late after a cancellation or deadline, repeated, or unknown.
        unreadable_messages: messages that are no JSON of the documented form, and binary ones.
        unclaimed_events: events of a subscription that was not made by `Session.user_data`.
        connections: connections that became ready.
        losses: connections that ended otherwise than by rotation or closing.
    """

    dropped_replies: int = 0
    unreadable_messages: int = 0
    unclaimed_events: int = 0
    connections: int = 0
    losses: int = 0


Answer: TypeAlias = Envelope | Lost | Overdue
Channel: TypeAlias = tuple[trio.MemorySendChannel[Answer], trio.MemoryReceiveChannel[Answer]]


class Shared(msgspec.Struct, frozen=True):
    """What the connections of one session have in common."""

    key: Key | None
    clock: Clock
    ledger: Ledger
    throttle: Throttle
    counters: Counters
    settings: Settings
    ids: itertools.count[int]
    channels: list[Channel]

    def take_channel(self) -> Channel:
        """A channel for one answer. One that has delivered its answer is as good as new, and opening one costs more
        than all else that a call waits with.
        """
        return self.channels.pop() if self.channels else trio.open_memory_channel[Answer](1)

    def now(self) -> int:
        """The exchange's time in milliseconds. Before the clock is set, it is 1970."""
        return self.clock.now(trio.current_time()) if self.clock.is_set else 0

    def clock_error(self) -> int:
        """By how many milliseconds `now` may be wrong."""
        return math.ceil(self.clock.error_bound(trio.current_time()) * 1000) if self.clock.is_set else 0

    def in_unit(self, milliseconds: int) -> int:
        """A time or duration in the unit of the session, in which users and the exchange have it."""
        return self.settings.in_unit(milliseconds)


class Connection:
    """One logged-on connection.

    Attributes:
        number: how many connections the session had tried to open before, plus one.
        address: where it leads.
        opened_at: local time at which it was begun, as `trio.current_time` has it.
        last_heard: the exchange's time in milliseconds when the last message came or the last ping was answered.
        is_logged_on: whether calls need no signature of their own.
        is_private: whether a key may travel over it (G9).
        cause: what ended it, or None as long as it has not ended.
        is_due: set when it should be replaced: it ended, was given notice, or the user asked.
        has_notice: whether it should be replaced since the exchange announced its shutdown, or is at odds with it.
        feeds: the feeds it carries, by the ids of its subscriptions.
        lost_feed: called with a feed that it carries no longer.
    """

    def __init__(self, shared: Shared, address: Address, number: int) -> None:
        self.number: Final = number
        self.address: Final = address
        self.opened_at: Final = trio.current_time()
        self.last_heard = 0
        self._heard_at = 0
        self.is_logged_on = False
        self.is_private = False
        self.cause: Exception | None = None
        self.is_due: Final = trio.Event()
        self.has_notice = False
        self.feeds: Final[dict[int, Feed]] = {}
        self.lost_feed: Callable[[Feed], object] = lambda _feed: None
        self._shared = shared
        self._waiting: dict[RequestId, Call] = {}
        # Trading calls whose callers are gone, and whose answers may come yet, by their ids.
        self._owed: dict[RequestId, Call] = {}
        # The latest ids that users chose. None is used twice, else the answer to one call, if it comes late or is
        # repeated, would pass for that to another (G2).
        self._chosen: dict[RequestId, None] = {}
        # API keys of which the exchange may know a subscription that is not known here.
        self._unsure: set[str] = set()
        # Subscriptions that this side ends, or has ended, and whether anybody heard them then. The exchange says that
        # they are over before its answer, after it, or never.
        self._leaving: dict[int, bool] = {}
        # One question at a time about each feed, by API key.
        self._asking: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)
        self._idle = trio.Event()
        self._tasks = trio.CancelScope()
        self._heart = trio.CancelScope()
        self._timer = trio.CancelScope()
        self._earliest_deadline = math.inf
        self._is_open = False
        self._unanswered = 0  # calls in a row
        self._dropped = 0  # messages
        self._is_ready = False
        self._opening = trio.CancelScope()
        self._held_by: Hold | None = None
        self._wire: Wire
        self._accept = {"session.logon": self._logged_on, "session.logout": self._logged_off}

    def __repr__(self) -> str:
        age = trio.current_time() - self.opened_at
        state = "logged on" if self.is_logged_on else "not logged on"
        if self.cause is not None:
            state = f"ended: {said(self.cause)}"
        where = f"{self.address.host}:{self.address.port}"
        return f"<Connection {self.number} to {where}, {self.in_flight} calls in flight, {age:.0f} s old, {state}>"

    # Life

    async def run(
        self,
        connect: Connect,
        make_ready: Callable[[Connection], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Live until the end. ``started()`` means that ``make_ready`` is done.

        Raises:
            Exception: what ended the connection, if that was before it was ready.
            RateLimited: so did a hold, before the opening handshake had left, or was answered.
        """
        self._held_by = self._shared.throttle.held(CONNECT_COST)
        if self._held_by is None:
            with self._opening:
                await self._live(connect, make_ready, task_status)
        if self._held_by is not None:
            raise self._shared.throttle.refusal("connect", self._held_by)
        if not self._is_ready:
            assert self.cause is not None
            raise self.cause

    async def _live(
        self,
        connect: Connect,
        make_ready: Callable[[Connection], Awaitable[None]],
        task_status: trio.TaskStatus[None],
    ) -> None:
        stream = await self._open_stream(connect)
        settings = self._shared.settings
        try:
            async with open_wire(
                stream,
                host=self.address.authority,
                resource=self.address.resource,
                headers=self.address.headers,
                max_message_size=settings.max_message_size,
                close_timeout=settings.close_timeout,
                pong_written=self._pong_written,
                rejected=self._rejected,
                late=self._take_late,
                arriving=self._arriving,
            ) as self._wire:
                self._is_open = True
                with self._tasks:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(protected, self._read)
                        nursery.start_soon(protected, self._watch_heart)
                        nursery.start_soon(protected, self._watch_deadlines)
                        if await self._become_ready(make_ready):
                            task_status.started()
        finally:
            self.end(Ended("the session was closed"))

    async def _open_stream(self, connect: Connect) -> trio.abc.Stream:
        stream = await past_ctrl_c(connect, self.address)
        try:
            self.is_private = is_private(self.address, stream)
            # Keys come later, but a password goes out with the handshake.
            check_privacy(self.address, None, is_private=self.is_private)
        except InvalidRequest:
            await close_at_once(stream)
            raise
        return stream

    async def _become_ready(self, make_ready: Callable[[Connection], Awaitable[None]]) -> bool:
        try:
            await make_ready(self)
        except Lost as lost:
            self.end(lost.cause)
        except Exception as error:
            self.end(error)
        self._is_ready = self.cause is None
        return self._is_ready

    @trio.lowlevel.enable_ki_protection
    def end(self, cause: Exception) -> None:
        """End the connection, and tell everyone who waits. Only the first cause counts."""
        if self.cause is not None:
            return
        self.cause = cause
        if self._is_ready and not isinstance(cause, Ended):
            self._shared.counters.losses += 1
            logger.warning("connection %d was lost: %s", self.number, said(cause))
        self.is_due.set()
        for call in self._waiting.values():
            # Taken back, since a wire that closes in good order writes what is queued: it may go out elsewhere (G7).
            is_sent = not self._wire.withdraw(call.outgoing)
            call.is_sent |= is_sent
            self._write_off(call, is_sent=is_sent)
            self._remember_owed(call)
            call.answer[0].send_nowait(Lost(cause, is_sent=is_sent))
        self._waiting.clear()
        self._idle.set()
        feeds = list(self.feeds.values())
        self.feeds.clear()
        for feed in feeds:
            feed.lost(self.number, self.last_heard, self._shared.now(), said(cause))
            self.lost_feed(feed)
        self._tasks.cancel()

    def hold_back(self, hold: Hold) -> None:
        """Take back what waits to leave and is held back from now on, an opening handshake included (G8)."""
        if not self._is_open:
            if hold.scope == "everything":
                self._held_by = hold
                self._opening.cancel()
            return
        for call in list(self._waiting.values()):
            if (hold.scope == "everything" or call.cost.orders) and self._wire.withdraw(call.outgoing):
                # It waits for its turn again, with the others.
                del self._waiting[call.wire_id]
                self._write_off(call, is_sent=False)
                call.answer[0].send_nowait(Lost(HeldBack(hold.message), is_sent=False))
        self._note_idle()

    def give_notice(self) -> None:
        """It must be replaced, although it works still."""
        self.has_notice = True
        self.is_due.set()

    def doubt(self) -> None:
        """A call was not answered within its time. When several were not, one after the other, it must be replaced.

        It may answer pings all the same, so the heartbeat does not notice. While a message is under way nothing else
        can be answered, and that says nothing.
        """
        if self._wire.arriving_since is None:
            self._unanswered += 1
            if self._unanswered == DOUBTFUL:
                logger.warning("connection %d is replaced: %d calls in a row had no answer", self.number, DOUBTFUL)
                self.give_notice()

    def stand_down(self) -> None:
        """Another is in use: whoever waits for room here is to look there."""
        self._wire.release()

    async def retire(self) -> None:
        """Another is in use: wait for the answers that are due, carry the feeds that no other carries yet, and end.

        Answers are waited for within ``drain_timeout``, feeds as long as it takes: each is given up once the connection
        in use carries it (`give_up`), or goes down with this one.
        """
        patience = self._shared.settings.drain_timeout
        with trio.move_on_after(patience):
            await self._until(lambda: not self._waiting)
        is_drained = not self._waiting
        await self._until(lambda: not self.feeds)
        self.end(
            Ended("it was replaced" if is_drained else f"it was replaced, and did not answer within {patience:g} s")
        )

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what comes with an answer, with a feed that is given up, or with the end."""
        while not is_so() and self.cause is None:
            self._idle = trio.Event()
            await self._idle.wait()

    async def _read(self) -> None:
        try:
            while True:
                messages = await self._wire.receive()
                self._heard_at = ticks()
                self.last_heard = self._shared.now()
                for message in messages:
                    self._take(message)
        except WireClosed as closed:
            self.end(closed)
        except Exception as bug:
            # Whatever a message did to us costs this connection, and not the session.
            logger.exception("connection %d: the reader failed", self.number)
            self.end(bug)

    async def _watch_heart(self) -> None:
        window = self._shared.settings.pong_window
        self._heart.deadline = trio.current_time() + window
        with self._heart:
            await trio.sleep_forever()
        since = self._wire.arriving_since
        if since is not None and trio.current_time() >= since + LONGEST_ARRIVAL:
            self.end(Silent(f"a message did not come whole within {LONGEST_ARRIVAL:g} s"))
        self.end(Silent(f"no ping was answered for {window:g} s, and no byte of a message came"))

    def _pong_written(self) -> None:
        self.last_heard = self._shared.now()
        self._heart.deadline = trio.current_time() + self._shared.settings.pong_window

    def _arriving(self) -> None:
        """Bytes came of a message that is long under way: no ping can come within a frame (RFC 6455, 5.4)."""
        alive_until = max(self._heart.deadline, trio.current_time() + self._shared.settings.pong_window)
        since = self._wire.arriving_since
        self._heart.deadline = alive_until if since is None else min(alive_until, since + LONGEST_ARRIVAL)

    async def _watch_deadlines(self) -> None:
        # One timer for all calls. It is set to the earliest deadline, and looks again when that has passed: a call that
        # is answered in time, as nearly all are, pays a comparison instead of a cancel scope of its own.
        while True:
            with trio.CancelScope(deadline=self._earliest_deadline) as self._timer:
                await trio.sleep_forever()
            now = trio.current_time()
            self._earliest_deadline = math.inf
            for call in list(self._waiting.values()):
                due = self._due(call, now)
                if due <= now:
                    self._forget(call)
                    call.answer[0].send_nowait(Overdue())
                else:
                    self._earliest_deadline = min(self._earliest_deadline, due)

    def _due(self, call: Call, now: float) -> float:
        """When a call is overdue: for a patient one, the time does not count for which a message was under way."""
        due = call.deadline
        if due <= now and call.patience:
            due += min(self._wire.arrival_time - call.arrived_before, call.patience)
            if due > now:
                due = max(due, now + _GLANCE)  # the message may come on: do not look at each of its bytes
        return due

    # Calls

    @property
    def is_full(self) -> bool:
        """Whether a call should wait for room in the queue for writing."""
        return self._wire.is_full

    @property
    def in_flight(self) -> int:
        """How many calls wait for their answer."""
        return len(self._waiting)

    @property
    def backlog(self) -> int:
        """Bytes that wait to be written."""
        return self._wire.backlog

    async def room(self) -> None:
        """Wait until there may be room to queue a call, or is no need to wait here. No checkpoint if there is room."""
        try:
            await self._wire.room()
        except WireClosed as closed:
            self.end(closed)

    async def call(self, call: Call, local: float) -> Envelope:
        """Send a call and wait for its answer.

        Args:
            call: what to send.
            local: the local time, which is now.

        Raises:
            Lost: the connection ended first.
            Overdue: its deadline passed first.
            InvalidRequest: the id is that of another call.
        """
        # Whoever is cancelled already sends nothing. Without that, it is no checkpoint.
        await trio.lowlevel.checkpoint_if_cancelled()
        self._send(call, local)
        try:
            answer = await call.answer[1].receive()
        except BaseException:  # cancelled, or Ctrl-C
            self._forget(call)
            raise
        self._shared.channels.append(call.answer)
        if not isinstance(answer, Envelope):
            raise answer
        return answer

    @trio.lowlevel.enable_ki_protection
    def _send(self, call: Call, local: float) -> None:
        if self.cause is not None:
            raise Lost(self.cause, is_sent=False)
        call.wire_id = wire_id = self._free_id() if call.id is None else self._unused_id(call.api.name, call.id)
        data = write_request(wire_id, call.api.name, self._authenticated(call, local))
        try:
            # What follows answers that came together is collected, and leaves together.
            call.outgoing = self._wire.send_nowait(data, at_once=not self._waiting)
        except WireClosed as closed:
            self.end(closed)
            raise Lost(closed, is_sent=False) from None
        if wire_id == call.id:
            remember(self._chosen, wire_id, None, CHOSEN_IDS)
        call.arrived_before = self._wire.arrived
        call.charge = self._shared.ledger.charge(call.cost, int(local * 1000))
        call.answer = self._shared.take_channel()
        self._waiting[wire_id] = call
        if call.deadline < self._earliest_deadline:
            self._earliest_deadline = self._timer.deadline = call.deadline

    def _free_id(self) -> int:
        # Ids that users chose are beside our own.
        number = next(self._shared.ids)
        while number in self._chosen:
            number = next(self._shared.ids)
        return number

    def _unused_id(self, method: str, chosen: RequestId) -> RequestId:
        """An id that its user chose; or one of our own, if the exchange may still answer to an earlier call with it.

        Raises:
            InvalidRequest: it is that of a call in flight.
        """
        if chosen in self._waiting:
            raise InvalidRequest(f"{method}: id {chosen!r} is in flight already", field="id")
        is_own = isinstance(chosen, int) and FIRST_ID <= chosen < next(self._shared.ids)
        return self._free_id() if is_own or chosen in self._chosen else chosen

    def _authenticated(self, call: Call, local: float) -> dict[str, Json]:
        if not call.api.signed:
            return call.params
        timestamp = self._shared.clock.now(local)
        call.final_at = timestamp + call.window
        params = call.params.copy()
        params["timestamp"] = timestamp
        key = call.key or (None if self.is_logged_on else self._shared.key)
        if key is not None:
            check_privacy(self.address, key, is_private=self.is_private)
            params["apiKey"] = key.api_key
            params["signature"] = key.sign(payload(params))
        return params

    @trio.lowlevel.enable_ki_protection
    def _forget(self, call: Call) -> None:
        # Its id may be another call's by now, if its user chose it and it never left.
        if self._waiting.get(call.wire_id) is not call:
            self._take_unheard(call)
            return
        del self._waiting[call.wire_id]
        self._note_idle()
        if self._wire.withdraw(call.outgoing):
            self._write_off(call, is_sent=False)
            return
        call.is_sent = True
        self._remember_owed(call)

    def _remember_owed(self, call: Call) -> None:
        """A trading call that has left gets no answer any more that anyone waits for, but may get one."""
        if call.is_sent and not call.api.repeatable:
            remember(self._owed, call.wire_id, call, OWED_ANSWERS)

    def _take_unheard(self, call: Call) -> None:
        """Its answer came in the very moment of the cancellation, and waits where nobody takes it any more."""
        with suppress(trio.WouldBlock):
            answer = call.answer[1].receive_nowait()
            if isinstance(answer, Envelope):
                call.take_late(answer, self.last_heard)

    def _write_off(self, call: Call, *, is_sent: bool) -> None:
        ledger = self._shared.ledger
        if is_sent:
            ledger.settle(call.charge, (), ticks())
        else:
            ledger.cancel(call.charge)
            if call.wire_id == call.id:
                self._chosen.pop(call.wire_id, None)  # it never left

    def _note_idle(self) -> None:
        if not self._waiting:
            self._idle.set()

    # What comes in

    def _take(self, message: Message) -> None:
        try:
            if message.opcode is not Opcode.TEXT:
                raise ProtocolViolation("a binary message", raw=message.payload)
            envelope = read_envelope(message.payload)
        except ProtocolViolation as violation:
            self._drop(str(violation))
            return
        if envelope.event:
            self._take_event(envelope)
        elif envelope.id is not None:
            self._take_reply(envelope.id, envelope)
        else:
            self._take_verdict(envelope, message.payload)

    def _drop(self, why: str) -> None:
        """Count a message that is of no use, and log the first few and then each tenth, hundredth, and so on."""
        self._shared.counters.unreadable_messages += 1
        self._dropped += 1
        if self._dropped < 10 or math.log10(self._dropped).is_integer():
            logger.warning("connection %d: a message was dropped, number %d: %s", self.number, self._dropped, why)

    def _take_reply(self, request_id: RequestId, envelope: Envelope) -> None:
        self._unanswered = 0
        call = self._waiting.pop(request_id, None)
        if call is None:
            self._tell_late(envelope)
            self._shared.counters.dropped_replies += 1
            self._shared.ledger.record(envelope.rate_limits, ticks())
        else:
            self._shared.ledger.settle(call.charge, envelope.rate_limits, self._heard_at)
            accept = call.accept or self._accept.get(call.api.name)
            if accept is not None and envelope.error is None:
                with suppress(ProtocolViolation):  # the caller, who decodes the same result, raises it
                    accept(envelope)
            call.answer[0].send_nowait(envelope)
            self._note_idle()
        if envelope.status != 200:
            self._shared.throttle.take_answer(f"connection {self.number}", envelope)

    def _tell_late(self, envelope: Envelope) -> None:
        """Tell the call that an answer belongs to, if its caller is gone."""
        call = None if envelope.id is None else self._owed.pop(envelope.id, None)
        if call is not None:
            call.take_late(envelope, self._shared.now())

    def _take_verdict(self, envelope: Envelope, payload: bytes) -> None:
        """An answer with id null is about the connection: it belongs to no call, and ends them all."""
        self._shared.throttle.take_answer(f"connection {self.number}", envelope)
        if envelope.status == 0:
            told = bare_event(payload)
            if told is not None and self._take_sign(told):
                return
            self._drop("it is neither a reply nor an event")
            return
        try:
            error = read_error("connection", envelope) or ProtocolViolation("a success that belongs to no call")
        except ProtocolViolation as violation:
            error = violation
        if isinstance(error, RateLimited):
            self._shared.throttle.date(error, CONNECT_COST)
        self.end(error)

    def _rejected(self, rejection: HandshakeRejected) -> None:
        """A 429 counts once its head is there, not when its body is (G8)."""
        self._shared.throttle.take_rejection(f"connection {self.number}", rejection)

    def _take_late(self, messages: list[Message]) -> None:
        """What comes while the connection is closing reaches no call that waits, but a 429 counts all the same (G8)."""
        for message in messages:
            with suppress(ProtocolViolation):
                envelope = read_envelope(message.payload)
                self._tell_late(envelope)
                if not envelope.event and envelope.status != 200:
                    self._shared.throttle.take_answer(f"connection {self.number}", envelope)

    def _take_event(self, envelope: Envelope) -> None:
        user_event = read_event(envelope)
        event = user_event.event
        if isinstance(event, _SIGNS) and self._take_sign(user_event):
            return
        subscription_id = user_event.subscription_id
        feed = None if subscription_id is None else self.feeds.get(subscription_id)
        if feed is None:
            self._shared.counters.unclaimed_events += 1
            return
        feed.publish(event, self.number, self.last_heard)

    def _take_sign(self, told: UserEvent) -> bool:
        """Heed what the exchange says of a subscription or of itself, as far as it can be understood."""
        kind = event_type(told.event)
        if kind == "serverShutdown":
            if not self.has_notice:
                logger.info("connection %d: the exchange announced its shutdown", self.number)
            self.give_notice()
        elif kind == "eventStreamTerminated":
            self._take_termination(told)
        return kind in {"serverShutdown", "eventStreamTerminated"}

    def _take_termination(self, told: UserEvent) -> None:
        number = told.subscription_id
        if number is not None and number in self._leaving:
            feed = self.feeds.get(number)
            is_ours = feed is None or feed.was_asked(self.number, told.event)
            self._leave(number, None if is_ours else _ENDED)
        elif number is not None and number in self.feeds:
            self._lose(number, told.event)
        elif number is None and self.feeds:
            # It does not say which. If others were not meant, the exchange will say that it brings them still.
            for each in list(self.feeds):
                self._unsure.add(self.feeds[each].key.api_key)
                self._lose(each, told.event)
        else:
            self._shared.counters.unclaimed_events += 1

    def _lose(self, number: int, event: Event) -> None:
        """The exchange has ended a subscription."""
        feed = self.feeds.pop(number)
        feed.publish(event, self.number, self.last_heard)
        feed.lost(self.number, self.last_heard, self._shared.now(), _ENDED)
        self._idle.set()
        self.lost_feed(feed)

    def _leave(self, number: int, reason: str | None = None) -> None:
        """A subscription that was given up brings no more; all that it owed has come, unless there is a reason."""
        feed = self.feeds.pop(number, None)
        if feed is None:
            return
        now = self._shared.now()
        if not self._leaving[number]:
            feed.released(self.number, now)
        elif reason is None:
            feed.left(self.number, self.last_heard, now)
        else:
            feed.lost(self.number, self.last_heard, now, reason)
        self._idle.set()
        self.lost_feed(feed)

    def _logged_on(self, _envelope: Envelope) -> None:
        self.is_logged_on = True

    def _logged_off(self, _envelope: Envelope) -> None:
        self.is_logged_on = False

    # The session's own calls. Each raises Lost, or a BintrioError: Rejected or OutcomeUnknown mostly.

    async def ask(self, request: Request[Any], *, key: Key | None = None, accept: Accept | None = None) -> Any:
        """Send a request as soon as the budget allows, and give its result."""
        return await self._result(self._call(request, key=key, accept=accept), request)

    def _call(self, request: Request[Any], *, key: Key | None, accept: Accept | None) -> Call:
        call = Call(request.api, request.params(), weight=request.weight, key=key, purpose="own")
        call.accept = accept
        return call

    async def _result(self, call: Call, request: Request[Any]) -> Any:
        envelope = await self._exchange(call)
        try:
            error = read_error(request.api.name, envelope)
            if error is None:
                return read_answer(request, envelope)
        except ProtocolViolation as violation:
            raise OutcomeUnknown(request.api.name, f"its answer cannot be read: {violation}") from violation
        if isinstance(error, RateLimited):
            self._shared.throttle.date(error, call.cost)
        raise error

    async def _exchange(self, call: Call) -> Envelope:
        while True:
            await self._shared.throttle.room_for(call.cost)
            try:
                return await self.call(call, trio.current_time())
            except Lost:
                # Else it was only taken back, since another call was answered with 429: it waits, as all do.
                if self.cause is not None:
                    raise

    async def measure_clock(self) -> None:
        """Ask for the exchange's time, and learn from the answer.

        Raises:
            ProtocolViolation: it cannot be right, and nothing better is known.
        """
        await self._shared.throttle.room_for(OWN_CALL)  # else the wait would count as time on the way
        sent_at = trio.current_time()
        answer = await self.ask(Time())
        unit = self._shared.settings.time_unit
        if not can_be_right(answer.server_time, unit):
            violation = ProtocolViolation(f"time: {answer.server_time} cannot be the time")
            if not self._shared.clock.is_set:
                raise violation
            logger.warning("connection %d: %s", self.number, violation)
            return
        self._shared.clock.record(sent_at, answer.server_time, trio.current_time(), unit=unit)
        self._shared.throttle.align()

    async def log_on(self) -> None:
        """Log on with the session's key, if it can.

        Raises:
            InvalidRequest: others could read it on the way; said here, and not only when a call is to be signed.
        """
        key = self._shared.key
        check_privacy(self.address, key, is_private=self.is_private)
        if key is not None and key.can_log_on:
            await self.ask(SessionLogon(), key=key)

    async def subscribe(self, feed: Feed) -> None:
        """Carry a feed from the exchange's answer on, unless it is carried already, or nobody hears it.

        After an answer was lost, the exchange may say that it brings the feed already, by an id that was never learned.
        Only another connection can carry it then, so this one is given notice, and it is `Lost`.
        """
        async with self._asking[feed.key.api_key]:
            if not feed.is_carried_by(self.number) and feed.is_heard:
                feed.coming(self.number, self._shared.now() - self._shared.clock_error())
                try:
                    await self._subscribe(feed)
                finally:
                    if not feed.is_carried_by(self.number):
                        feed.left(self.number, self.last_heard, self._shared.now())

    async def _subscribe(self, feed: Feed) -> None:
        api_key = feed.key.api_key
        request: Request[Subscription] = UserDataStreamSubscribeSignature()
        if feed.key is self._shared.key and self.is_logged_on:
            request = UserDataStreamSubscribe()

        def accept(envelope: Envelope) -> None:
            # By the reader, since the first event may come in the very same read.
            number = read_result(request.api.name, Subscription, envelope).subscription_id
            self.feeds[number] = feed
            self._leaving.pop(number, None)
            feed.carried(self.number, self._shared.now() + self._shared.clock_error())

        call = self._call(request, key=feed.key if request.api.signed else None, accept=accept)
        try:
            await self._result(call, request)
            self._unsure.discard(api_key)
        except Rejected as error:
            if error.code == ALREADY_SUBSCRIBED and api_key in self._unsure:
                self.give_notice()
                raise Lost(error, is_sent=True) from None
            raise
        except BaseException as error:
            if call.is_sent or isinstance(error, OutcomeUnknown):
                self._unsure.add(api_key)
            raise

    def may_carry(self, feed: Feed) -> bool:
        """Whether the exchange may have been asked to bring a feed, although no answer has said so."""
        return feed.key.api_key in self._unsure

    async def give_up(self, feed: Feed, is_wanted: Callable[[], bool]) -> None:
        """Unsubscribe from a feed, if that is wanted still when its turn has come.

        Once the exchange has answered, or has said that the subscription is over, everything before it was brought. If
        neither comes within ``drain_timeout``, the feed is lost: the exchange may go on with it, and then the next
        attempt to subscribe will tell.
        """
        async with self._asking[feed.key.api_key]:
            for number in [number for number, carried in self.feeds.items() if carried is feed]:
                while number in self.feeds and is_wanted():
                    await self._unsubscribe(number, feed)

    async def _unsubscribe(self, number: int, feed: Feed) -> None:
        self._leaving[number] = feed.is_heard
        request = UserDataStreamUnsubscribe(subscription_id=number)
        cost = _cost(request.weight, 0, 0, "own")
        with suppress(Lost, BintrioError):
            await self._shared.throttle.room_for(cost)  # as long as there is none, it may as well go on
            feed.leaving(self.number, self._shared.now() - self._shared.clock_error())
            with trio.move_on_after(self._shared.settings.drain_timeout):
                await self.ask(request, accept=lambda _envelope: self._leave(number))
        if number in self.feeds and self._shared.throttle.has_room_for(cost):
            self._unsure.add(feed.key.api_key)
            self._leave(number, "its connection was replaced, and did not say that it was over")
