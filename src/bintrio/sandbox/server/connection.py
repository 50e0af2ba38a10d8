"""The sandbox's open connections, their rules, and the faults that strike them.

A connection is an async function that runs until it is over. trio-websocket does the pings and the close; replies and
events are whole text frames that one writer task sends (`Outbox`). Both go through a `Wire`, which lets one of them
write at a time.

Requests are executed as they are read, without a checkpoint between, so replies come in the order of their requests
unless a fault says otherwise, and a reply precedes the events that its request causes.

**Half-open.** A connection that is struck by it has its tasks cancelled and its stream kept open until the sandbox
closes: nothing is read, nothing is written, no end is seen.

Source: "General API Information" of the WebSocket API document.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Final, NamedTuple

import trio
from msgspec.structs import replace
from trio_websocket import ConnectionClosed, WebSocketConnection

from bintrio._net.tasks import protected
from bintrio._protocol.frames import Opcode, encode_frame
from bintrio.api._base import catalogue
from bintrio.api.events import ServerShutdown
from bintrio.api.user_data import UserDataStreamUnsubscribe

from ..exchange.exchange import Answer, Exchange
from ..exchange.limits import AddressBudget
from ..exchange.messages import read_message
from ..exchange.refusals import Refusal
from ..exchange.sessions import Session
from ..exchange.units import SECOND
from . import faults
from .calls import Call
from .course import Course, alter
from .faults import Fault
from .outbox import Outbox, Postponed
from .script import Script
from .telling import Telling
from .wire import Wire
from .witnesses import Witnesses

CLOSE_TIMEOUT: Final = 2.0
"""Seconds for the closing handshake; ours."""

UNKNOWN_METHOD: Final = "unknown method"
"""What requests count as whose method does not exist: they are not to fill the memory with their names."""

CALLS_KEPT: Final = 1_000
"""So many of the latest requests are remembered; ours."""

_GOING_AWAY: Final = 1001
_POLICY_VIOLATION: Final = 1008
_ABNORMAL: Final = 1006
_INTERNAL_ERROR: Final = 1011

logger = logging.getLogger(__name__)


class Timings(NamedTuple):
    """Seconds; the defaults are the document's.

    Attributes:
        ping_interval: between two pings.
        pong_window: from a ping to the end of a connection that did not answer it.
        lifetime: of a connection.
    """

    ping_interval: float = 20.0
    pong_window: float = 60.0
    lifetime: float = 86_400.0


class Connections:
    """All open connections of a sandbox.

    Args:
        exchange: what executes the requests.
        script: the faults.
        timings: of connections.
        now: the exchange's time in microseconds.
        delivered: is told when events may have gone out, or a subscription may have been made.

    Attributes:
        open: those that are open and not half-open.
        received: requests that came, by method, executed or not; `UNKNOWN_METHOD` for those whose method is none.
        calls: the latest messages that came.
        numbers: for the connections.
        witnesses: of all messages that come, and of events.
        call_numbers: for the messages.
    """

    def __init__(
        self,
        exchange: Exchange,
        script: Script,
        timings: Timings,
        now: Callable[[], int],
        delivered: Callable[[], object] = bool,
    ) -> None:
        self.exchange: Final = exchange
        self.script: Final = script
        self.timings: Final = timings
        self.now: Final = now
        self._delivered = delivered
        self.open: Final[dict[Session, Connection]] = {}
        self.received: Final[Counter[str]] = Counter()
        self.calls: Final[deque[Call]] = deque(maxlen=CALLS_KEPT)
        self.numbers: Final = count(1)
        self.call_numbers: Final = count(1)
        self.witnesses: Final = Witnesses(exchange)

    def add(self, session: Session, connection: Connection) -> None:
        """A connection has opened."""
        self.open[session] = connection
        self.exchange.sessions[session] = None
        # Faults of connections wait for the next one if none is open.
        for fault in self.script.for_connection():
            connection.strike(fault)

    def forget(self, session: Session) -> None:
        """The connection is over, or half-open."""
        # Both a fault and the end of the connection lead here.
        self.open.pop(session, None)
        self.exchange.sessions.pop(session, None)

    def inject(self, fault: Fault) -> None:
        """Let a fault strike: the open connections at once, or what is to come."""
        if fault.strikes_at_once and self.open:
            # A copy, since a fault may end a connection, which takes itself out.
            for connection in tuple(self.open.values()):
                connection.strike(fault)
        else:
            self.script.add(fault)

    def deliver(self) -> None:
        """Send the exchange's events to the connections that they are for."""
        told = Telling(self.script) if self.script.has_odd_events else None
        for session, message in self.exchange.take_deliveries():
            connection = self.open.get(session)
            shown = message if told is None else told.shown(message)
            if connection is not None:
                connection.tell(shown)
            else:
                # A witness follows accounts by a session of its own, which has no connection.
                self.witnesses.hear(session, message, shown, self.now())
        self._delivered()

    def end_all(self, code: int | None, reason: str) -> None:
        """End every connection that is open: with a close frame, or cut it if there is no code."""
        # A copy, since a connection that ends takes itself out.
        for connection in tuple(self.open.values()):
            if code is None:
                connection.cut()
            else:
                connection.close_soon(code, reason)

    async def shut_down(self, after: float) -> None:
        """Announce the shutdown on every connection that is open, and end them ``after`` seconds."""
        ending = tuple(self.open.items())
        self.exchange.announce(ServerShutdown(event_time=self.now()))
        self.deliver()
        await trio.sleep(after)
        for session, connection in ending:
            # It may have ended meanwhile.
            if session in self.open:
                connection.close_soon(_GOING_AWAY, "server shutdown")


class Connection:
    """One open connection: a reader, a writer, pings and an end.

    Attributes:
        number: of the connection, from 1 on.
        address: of the peer.
        pings: how many were sent.
        round_trip: seconds from the last ping that was answered to its pong; None before the first.
    """

    def __init__(
        self,
        connections: Connections,
        session: Session,
        websocket: WebSocketConnection,
        wire: Wire,
        scope: trio.CancelScope,
        nursery: trio.Nursery,
    ) -> None:
        self.session: Final = session
        self.number: Final = next(connections.numbers)
        self.address: Final = wire.address
        self.pings = 0
        self.round_trip: float | None = None
        self._connections = connections
        self._websocket = websocket
        self._wire = wire
        self._scope = scope
        self._nursery = nursery
        self._budget: Final[AddressBudget] = connections.exchange.budget(wire.address)
        self._outbox = Outbox(wire, overflow=self._overflow, drained=self._drained, ended=scope.cancel)
        self._is_ending = False  # nothing more is read or sent
        self._is_cut = False  # the stream ends as soon as what is waiting is sent
        self._is_mute = False
        self._kept_back: list[bytes] = []
        self._late_events: Postponed | None = None

    async def run(self) -> None:
        """Until the connection is over."""
        self._nursery.start_soon(protected, self._outbox.write)
        self._nursery.start_soon(protected, self._beat)
        self._nursery.start_soon(protected, self._age)
        with suppress(ConnectionClosed):
            while True:
                await self._take(await self._websocket.get_message())
                await self._outbox.room()
        reason = self._websocket.closed
        if self._is_ending or reason is None:
            # `close` and the writer see to the end: what they still have to send must get through. Where no reason is
            # known, the library's reader is ending with an error: it ends the nursery, unless we end it before.
            await trio.sleep_forever()
        if reason.code != _ABNORMAL:
            # The peer has closed, and was answered; or it broke the protocol, and the library tells nobody but us.
            await self._wire.send_close(reason.code, reason.reason or "")

    def send(self, message: bytes) -> None:
        """Send a message as soon as those before it are gone."""
        self._send_raw(encode_frame(Opcode.TEXT, message))

    def tell(self, event: bytes) -> None:
        """Send an event, late if a fault says so."""
        if self._late_events is None:
            self.send(event)
        else:
            self._late_events.put(event)

    def cut(self) -> None:
        """End the connection without a word, once what is waiting is sent."""
        self._is_ending = self._is_cut = True
        self._outbox.flush()

    def close_soon(self, code: int, reason: str) -> None:
        """Have a task of the connection close it."""
        self._nursery.start_soon(protected, self.close, code, reason)

    async def close(self, code: int, reason: str) -> None:
        """End the connection with a close frame, within `CLOSE_TIMEOUT`; unless it is ending already."""
        # One end is enough: whichever comes first.
        if self._is_ending:
            return
        self._is_ending = True
        with trio.move_on_after(CLOSE_TIMEOUT):
            await self._websocket.aclose(code, reason)
        self._scope.cancel()

    # Tasks

    async def _beat(self) -> None:
        """Ping at fixed intervals. A pong for a later ping is one for all before it."""
        while True:
            await trio.sleep(self._connections.timings.ping_interval)
            if not self._is_mute and not self._is_ending:
                # By a task of its own, so that the next ping is on time although this one is not answered yet.
                self._nursery.start_soon(protected, self._ping)

    async def _ping(self) -> None:
        sent = trio.current_time()
        self.pings += 1
        with trio.move_on_after(self._connections.timings.pong_window) as window, suppress(ConnectionClosed):
            # A payload of its own: the library tells pongs apart by it.
            await self._websocket.ping(str(sent).encode())  # a ping is no look at the market
            self.round_trip = trio.current_time() - sent
        # No pong came within the window.
        if window.cancelled_caught:
            await self.close(_POLICY_VIOLATION, "pong timeout")

    async def _age(self) -> None:
        await trio.sleep(self._connections.timings.lifetime)
        await self.close(_GOING_AWAY, "lifetime over")

    async def _take(self, message: str | bytes) -> None:
        try:
            self._receive(message)
        except Exception:
            # No refusal: a mistake of ours. What was answered before it still gets out.
            logger.exception("a connection from %s ends with an error", self._wire.address)
            await self.close(_INTERNAL_ERROR, "internal error")

    def _overflow(self) -> None:
        logger.warning("a connection is cut whose peer does not read")
        self._is_ending = True
        self._scope.cancel()

    def _drained(self) -> None:
        # All that waited has left, so now the stream may end.
        if self._is_cut:
            self._scope.cancel()

    # Requests

    def _receive(self, message: str | bytes) -> None:
        self._wire.received = 0
        # What is read after the end was decided is executed no more.
        if self._is_ending:
            return
        call = Call(next(self._connections.call_numbers), self.number, self._connections.now())
        # Noted before it is looked at, so that what is no request is seen too.
        self._connections.calls.append(call)
        self._connections.witnesses.see(call)
        try:
            call.incoming = incoming = read_message(message)
        except Refusal as refusal:
            call.answer = self._connections.exchange.refuse(self.session, self._budget, refusal, call.time)
            self.send(call.answer.as_bytes())
            return
        self._connections.received[incoming.method if incoming.method in catalogue else UNKNOWN_METHOD] += 1
        course = Course(self._connections.exchange.limits)
        call.fault = fault = self._connections.script.for_request(incoming.method)
        if fault is not None:
            alter(fault, course)
        self._after(course.delay, partial(self._follow, course, call))

    def _follow(self, course: Course, call: Call) -> None:
        call.answer = answer = self._answer(course, call)
        if course.ban is not None:
            self._budget.ban_until(self._connections.now() + int(course.ban * SECOND))
        # A fault lets events overtake the answer of the request that caused them.
        if course.events_first:
            self._connections.deliver()
        delay = max(course.reply_delay, self._held_up(call))
        self._after(delay, partial(self._reply, course, answer))
        self._connections.deliver()

    def _held_up(self, call: Call) -> float:
        """Seconds until the events that are late have left, if it is an answer that must not overtake them."""
        is_last_word = call.incoming.method == UserDataStreamUnsubscribe.api.name
        return self._late_events.remaining if is_last_word and self._late_events is not None else 0.0

    def _answer(self, course: Course, call: Call) -> Answer | None:
        """What the exchange says, or a fault in its place; None if neither says anything."""
        exchange, now, answer = self._connections.exchange, self._connections.now(), None
        if course.is_executed:
            call.outcome = answer = exchange.execute(self.session, self._budget, call.incoming, now)
        if course.refuse is not None:  # the client is told of a failure, and it may have been done all the same
            answer = exchange.refuse(self.session, self._budget, course.refuse(now), now)
            # It is a failure of this request, so it has the request's id.
            answer = replace(answer, request_id=call.incoming.request_id)
        return answer

    def _reply(self, course: Course, answer: Answer | None) -> None:
        for frame in self._due(course, course.frames(answer)):
            self._send_raw(frame)
        if course.is_half_open:
            self.fall_silent()
        elif course.cuts_after(answer):
            self.cut()
        elif course.last_words is not None:
            self._is_ending = True
            self._outbox.end(course.last_words)

    def _due(self, course: Course, frames: list[bytes]) -> list[bytes]:
        """What is sent now: the frames, unless they are to be kept back until there are enough of them."""
        if not course.kept_until:
            return frames
        self._kept_back += frames
        if len(self._kept_back) < course.kept_until:
            return []
        due, self._kept_back = self._kept_back[::-1], []
        return due

    def _send_raw(self, data: bytes) -> None:
        # What a fault delays may be due only after the end was decided.
        if not self._is_ending:
            self._outbox.put(data)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        if seconds:
            self._nursery.start_soon(protected, _do_later, seconds, action)
        else:
            action()

    # Faults

    def strike(self, fault: Fault) -> None:
        """Let a fault have its way with the connection as a whole."""
        if isinstance(fault, faults.MutePings):
            self._is_mute = True
        elif isinstance(fault, faults.LateEvents):
            self._postpone_events(fault.seconds)
        else:
            self.fall_silent()

    def _postpone_events(self, seconds: float) -> None:
        # A second fault of the kind only changes how late events are.
        if self._late_events is None:
            self._late_events = Postponed(self.send, overflow=self._overflow)
            self._nursery.start_soon(protected, self._late_events.bring)
        self._late_events.seconds = seconds

    def fall_silent(self) -> None:
        """Be half-open from now on."""
        self._wire.is_half_open = True
        self._connections.forget(self.session)
        self._scope.cancel()


async def _do_later(seconds: float, action: Callable[[], None]) -> None:
    await trio.sleep(seconds)
    action()
