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
from functools import partial, singledispatchmethod
from itertools import count
from typing import Final, NamedTuple

import msgspec
import trio
from msgspec.structs import replace
from trio_websocket import ConnectionClosed, WebSocketConnection

from bintrio._net.tasks import protected
from bintrio._protocol.frames import Opcode, encode_frame
from bintrio.api._base import catalogue
from bintrio.api.events import ServerShutdown

from ..exchange import refusals
from ..exchange.exchange import Answer, Exchange
from ..exchange.limits import AddressBudget
from ..exchange.messages import Incoming, read_message
from ..exchange.refusals import Refusal
from ..exchange.sessions import Session
from ..exchange.units import MILLISECOND, SECOND
from . import faults
from .faults import Fault, Script
from .outbox import Outbox
from .wire import Wire

CLOSE_TIMEOUT: Final = 2.0
"""Seconds for the closing handshake; ours."""

UNKNOWN_METHOD: Final = "unknown method"
"""What requests count as whose method does not exist: they are not to fill the memory with their names."""

CALLS_KEPT: Final = 1_000
"""So many of the latest requests are remembered; ours."""

_UNREADABLE: Final = Incoming(None, "", {})

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


class Call(msgspec.Struct, eq=False):
    """A message that came, and what the exchange said to it.

    Attributes:
        number: of the message, from 1 on.
        connection: its number, from 1 on.
        time: when it came, in microseconds.
        incoming: the request in it; without a method if it could not be read.
        answer: None as long as there is none. A fault may keep it from the client.
    """

    number: int
    connection: int
    time: int
    incoming: Incoming = _UNREADABLE
    answer: Answer | None = None


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

    def add(self, session: Session, connection: Connection) -> None:
        """A connection has opened."""
        self.open[session] = connection
        self.exchange.sessions[session] = None
        fault = self.script.for_connection()
        # Faults of connections wait for the next one if none is open.
        if fault is not None:
            connection.strike(fault)

    def forget(self, session: Session) -> None:
        """The connection is over, or half-open."""
        self.open.pop(session, None)
        self.exchange.sessions.pop(session, None)

    def inject(self, fault: Fault) -> None:
        """Let a fault strike: the open connections at once, or what is to come."""
        if faults.is_of_connection(fault) and self.open:
            for connection in tuple(self.open.values()):
                connection.strike(fault)
        else:
            self.script.add(fault)

    def deliver(self) -> None:
        """Send the exchange's events to the connections that they are for."""
        for session, message in self.exchange.take_deliveries():
            connection = self.open.get(session)
            if connection is not None:
                connection.send(message)
        self._delivered()

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
        self._outbox = Outbox(wire, overflow=self._overflow, drained=self._drained)
        self._is_ending = False  # nothing more is read or sent
        self._is_cut = False  # the stream ends as soon as what is waiting is sent
        self._is_mute = False
        self._kept_back: list[bytes] = []

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
                self._nursery.start_soon(protected, self._ping)

    async def _ping(self) -> None:
        sent = trio.current_time()
        self.pings += 1
        with trio.move_on_after(self._connections.timings.pong_window) as window, suppress(ConnectionClosed):
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
        self._connections.calls.append(call)
        try:
            call.incoming = incoming = read_message(message)
        except Refusal as refusal:
            call.answer = self._connections.exchange.refuse(self.session, self._budget, refusal, call.time)
            self.send(call.answer.as_bytes())
            return
        self._connections.received[incoming.method if incoming.method in catalogue else UNKNOWN_METHOD] += 1
        fault = self._connections.script.for_request(incoming.method)
        if fault is None:
            self._answer(call)
        else:
            self._strike(fault, call)
            self._connections.deliver()

    def _execute(self, call: Call) -> Answer:
        now = self._connections.now()
        call.answer = self._connections.exchange.execute(self.session, self._budget, call.incoming, now)
        return call.answer

    def _answer(self, call: Call) -> None:
        answer = self._execute(call)
        self.send(answer.as_bytes())
        self._connections.deliver()
        # The exchange closes the connection of an address that it bans.
        if answer.status == 418:
            self.cut()

    def _send_raw(self, data: bytes) -> None:
        if not self._is_ending:
            self._outbox.put(data)

    # Faults

    def strike(self, fault: Fault) -> None:
        """Let a fault have its way with the connection as a whole."""
        if isinstance(fault, faults.MutePings):
            self._is_mute = True
        else:
            self._wire.is_half_open = True
            self._connections.forget(self.session)
            self._scope.cancel()

    @singledispatchmethod
    def _strike(self, fault: Fault, call: Call) -> None:
        """Let a fault have its way with a request."""
        raise NotImplementedError

    @_strike.register
    def _(self, fault: faults.HalfOpen, call: Call) -> None:
        self.strike(fault)

    @_strike.register
    def _(self, fault: faults.Delay, call: Call) -> None:
        self._later(fault.seconds, partial(self._answer, call))

    @_strike.register
    def _(self, fault: faults.LateReply, call: Call) -> None:
        self._later(fault.seconds, partial(self.send, self._execute(call).as_bytes()))

    @_strike.register
    def _(self, fault: faults.DropReply, call: Call) -> None:
        self._execute(call)

    @_strike.register
    def _(self, fault: faults.DuplicateReply, call: Call) -> None:
        message = self._execute(call).as_bytes()
        self.send(message)
        self.send(message)

    @_strike.register
    def _(self, fault: faults.EventsFirst, call: Call) -> None:
        message = self._execute(call).as_bytes()
        self._connections.deliver()
        self.send(message)

    @_strike.register
    def _(self, fault: faults.Reorder, call: Call) -> None:
        self._kept_back.append(self._execute(call).as_bytes())
        # As many as the fault keeps back, then all in reverse.
        if len(self._kept_back) >= fault.count:
            for message in reversed(self._kept_back):
                self.send(message)
            self._kept_back.clear()

    @_strike.register
    def _(self, fault: faults.NullIdReply, call: Call) -> None:
        self.send(replace(self._execute(call), request_id=None).as_bytes())

    @_strike.register
    def _(self, fault: faults.UnknownIdReply, call: Call) -> None:
        self.send(replace(self._execute(call), request_id="nobody-asked").as_bytes())

    @_strike.register
    def _(self, fault: faults.Garbage, call: Call) -> None:
        if isinstance(fault.data, str):
            self.send(fault.data.encode())
        else:
            self._send_raw(fault.data if fault.is_raw else encode_frame(Opcode.BINARY, fault.data))

    @_strike.register
    def _(self, fault: faults.ServerError, call: Call) -> None:
        self._fail(Refusal(fault.code, fault.message, status=fault.status), call, executed=fault.executed)

    @_strike.register
    def _(self, fault: faults.Timeout, call: Call) -> None:
        self._fail(refusals.timed_out(), call, executed=fault.executed)

    @_strike.register
    def _(self, fault: faults.Disconnect, call: Call) -> None:
        if fault.executed:
            self._execute(call)
        self.cut()

    @_strike.register
    def _(self, fault: faults.CutReplyAt, call: Call) -> None:
        frame = encode_frame(Opcode.TEXT, self._execute(call).as_bytes())
        self._send_raw(frame[: fault.position])
        self.cut()

    @_strike.register
    def _(self, fault: faults.TooManyRequests, call: Call) -> None:
        now = self._connections.now()
        refusal = refusals.too_much_weight(
            self._connections.exchange.limits.weight,
            "1 MINUTE",
            now=now // MILLISECOND,
            retry_after=(now + int(fault.retry_after * SECOND)) // MILLISECOND,
        )
        self._fail(refusal, call, executed=False)

    @_strike.register
    def _(self, fault: faults.IpBan, call: Call) -> None:
        self._budget.ban_until(self._connections.now() + int(fault.retry_after * SECOND))
        self._answer(call)

    def _fail(self, refusal: Refusal, call: Call, *, executed: bool) -> None:
        # The client is told of a failure, and it was done all the same.
        if executed:
            self._execute(call)
        answer = self._connections.exchange.refuse(self.session, self._budget, refusal, self._connections.now())
        call.answer = answer
        self.send(replace(answer, request_id=call.incoming.request_id).as_bytes())

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._nursery.start_soon(protected, _do_later, seconds, action)


async def _do_later(seconds: float, action: Callable[[], None]) -> None:
    await trio.sleep(seconds)
    action()
