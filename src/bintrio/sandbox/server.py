"""The sandbox's wire: connections, their rules, and the faults that strike them.

A connection is an async function that runs until it is over. trio-websocket does the handshake, the pings and the
close; replies and events are whole text frames that one writer task sends, all that are waiting in one write. Both go
through a `_Wire`, which lets one of them write at a time.

Requests are executed as they are read, without a checkpoint between, so replies come in the order of their requests
unless a fault says otherwise, and an order's reply precedes its events.

**Half-open.** A connection that is struck by it has its tasks cancelled and its stream kept open until the sandbox
closes: nothing is read, nothing is written, no end is seen.

Source: "General API Information" of the WebSocket API document.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from bintrio._frames import Opcode, encode_frame
from bintrio.api.events import ServerShutdown
from bintrio.endpoints import TimeUnit

from . import faults, refusals
from .exchange import Answer, Exchange, Incoming, read_message
from .faults import Fault, Script
from .limits import AddressBudget
from .refusals import Refusal
from .sessions import Session
from .units import SECOND

PATH: Final = "/ws-api/v3"

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds; ours, the document gives none."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds for the closing handshake; ours."""

_QUEUE: Final = 1_000
"""Messages that may wait for their execution."""

_MAX_MESSAGE_SIZE: Final = 2**20
"""Bytes of a request; ours."""

_RECEIVE_SIZE: Final = 2**16
"""Bytes."""

_GOING_AWAY: Final = 1001
_POLICY_VIOLATION: Final = 1008

_UNITS: Final[dict[str, TimeUnit]] = {
    "MILLISECOND": "ms",
    "millisecond": "ms",
    "MICROSECOND": "us",
    "microsecond": "us",
}

_BROKEN: Final = (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError)


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


class Server:
    """All connections of a sandbox.

    Args:
        exchange: what executes the requests.
        script: the faults.
        timings: of connections.
        now: the exchange's time in microseconds.

    Attributes:
        connections: those that are open and not half-open.
        received: requests that came, by method, executed or not.
    """

    def __init__(self, exchange: Exchange, script: Script, timings: Timings, now: Callable[[], int]) -> None:
        self.exchange: Final = exchange
        self.script: Final = script
        self.timings: Final = timings
        self.now: Final = now
        self.connections: Final[dict[Session, Connection]] = {}
        self.received: Final[Counter[str]] = Counter()

    async def serve(self, stream: trio.abc.Stream) -> None:
        """The life of one connection, from its handshake to its end. Never raises but for cancellation."""
        wire = _Wire(stream)
        with trio.CancelScope() as scope:
            wire.at_end = scope.cancel
            try:
                await self._converse(wire, scope)
            except* _BROKEN:
                pass
        if wire.is_half_open:
            await trio.sleep_forever()
        await trio.aclose_forcefully(stream)

    async def _converse(self, wire: _Wire, scope: trio.CancelScope) -> None:
        async with trio.open_nursery() as nursery:
            opened = None
            with trio.move_on_after(HANDSHAKE_TIMEOUT):
                request = await wrap_server_stream(nursery, wire, _QUEUE, _MAX_MESSAGE_SIZE, _RECEIVE_SIZE)
                opened = await self._shake_hands(request, wire)
            if opened is not None:
                session, websocket = opened
                wire.at_end = None
                connection = Connection(self, session, websocket, wire, scope, nursery)
                try:
                    self._register(session, connection)
                    await connection.run()
                finally:
                    self.forget(session)
            nursery.cancel_scope.cancel()

    def _register(self, session: Session, connection: Connection) -> None:
        self.connections[session] = connection
        self.exchange.sessions.add(session)
        fault = self.script.for_connection()
        if fault is not None:
            connection.strike(fault)

    def forget(self, session: Session) -> None:
        """The connection is over, or half-open."""
        self.connections.pop(session, None)
        self.exchange.sessions.discard(session)

    async def _shake_hands(self, request: WebSocketRequest, wire: _Wire) -> tuple[Session, WebSocketConnection] | None:
        """Accept a handshake, or reject it with an HTTP status."""
        now = self.now()
        rejection = self._scripted_rejection()
        if rejection is None:
            try:
                self.exchange.budget(wire.address).admit_connection(now)
                session = _session(request.path, now)
            except Refusal as refusal:
                rejection = _as_rejection(refusal, now)
        if rejection is not None:
            await request.reject(rejection.status, extra_headers=rejection.headers, body=rejection.body)
            return None
        return session, await request.accept()

    def _scripted_rejection(self) -> _Rejection | None:
        fault = self.script.for_handshake()
        if fault is None:
            return None
        return _Rejection(fault.status, _retry_after(fault.retry_after), fault.body)

    # Faults

    def inject(self, fault: Fault) -> None:
        """Let a fault strike: the open connections at once, or what is to come."""
        if faults.is_of_connection(fault) and self.connections:
            for connection in tuple(self.connections.values()):
                connection.strike(fault)
        else:
            self.script.add(fault)

    # Events

    def deliver(self) -> None:
        """Send the exchange's events to the connections that they are for."""
        for session, message in self.exchange.take_deliveries():
            connection = self.connections.get(session)
            if connection is not None:
                connection.send(message)

    async def shut_down(self, after: float) -> None:
        """Announce the shutdown on every connection that is open, and end them ``after`` seconds."""
        ending = tuple(self.connections.values())
        self.exchange.announce(ServerShutdown(event_time=self.now()))
        self.deliver()
        await trio.sleep(after)
        async with trio.open_nursery() as nursery:
            for connection in ending:
                nursery.start_soon(connection.close, _GOING_AWAY, "server shutdown")


class _Rejection(NamedTuple):
    """An HTTP answer that refuses a handshake."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def _as_rejection(refusal: Refusal, now: int) -> _Rejection:
    body = msgspec.json.encode(refusal.as_error())
    if refusal.data is None:
        return _Rejection(refusal.status, [], body)
    seconds = -(-(refusal.data["retryAfter"] * 1_000 - now) // SECOND)
    return _Rejection(refusal.status, _retry_after(seconds), body)


def _retry_after(seconds: int | None) -> list[tuple[bytes, bytes]]:
    return [] if seconds is None else [(b"Retry-After", str(seconds).encode())]


def _session(resource: str, now: int) -> Session:
    """The session that a URL asks for.

    Raises:
        Refusal: with the HTTP status.
    """
    parts = urlsplit(resource)
    if parts.path != PATH:
        raise Refusal(-1000, "Not Found", status=404)
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    unit = _UNITS.get(options.get("timeUnit", "MILLISECOND"))
    if unit is None:
        raise Refusal(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    if options.get("responseFormat", "json") != "json":
        raise Refusal(-1155, "SBE is not enabled.")
    shown = options.get("returnRateLimits", "true")
    if shown not in {"true", "false"}:
        raise refusals.invalid_value("returnRateLimits")
    return Session(connected_since=now, unit=unit, returns_rate_limits=shown == "true")


class Connection:
    """One open connection: a reader, a writer, pings and an end."""

    def __init__(
        self,
        server: Server,
        session: Session,
        websocket: WebSocketConnection,
        wire: _Wire,
        scope: trio.CancelScope,
        nursery: trio.Nursery,
    ) -> None:
        self.session: Final = session
        self._server = server
        self._websocket = websocket
        self._wire = wire
        self._scope = scope
        self._nursery = nursery
        self._budget: Final[AddressBudget] = server.exchange.budget(wire.address)
        self._outgoing: list[bytes] = []
        self._something_to_send = trio.Event()
        self._is_last = False  # after what is waiting now, the connection is cut
        self._is_mute = False
        self._kept_back: list[Answer] = []

    async def run(self) -> None:
        """Until the connection is over."""
        self._nursery.start_soon(self._write)
        self._nursery.start_soon(self._beat)
        self._nursery.start_soon(self._age)
        while True:
            self._receive(await self._websocket.get_message())

    def send(self, message: bytes) -> None:
        """Send a message as soon as those before it are gone."""
        self._send_raw(encode_frame(Opcode.TEXT, message))

    def cut(self) -> None:
        """End the connection without a word, once what is waiting is sent."""
        self._is_last = True
        self._something_to_send.set()

    async def close(self, code: int, reason: str) -> None:
        """End the connection with a close frame, within `CLOSE_TIMEOUT`."""
        with trio.move_on_after(CLOSE_TIMEOUT):
            await self._websocket.aclose(code, reason)
        self._scope.cancel()

    # Tasks

    async def _write(self) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send = trio.Event()
            data, self._outgoing = b"".join(self._outgoing), []
            await self._wire.send_all(data)
            if self._is_last and not self._outgoing:
                self._scope.cancel()

    async def _beat(self) -> None:
        """Ping at fixed intervals. A pong for a later ping is one for all before it."""
        while True:
            await trio.sleep(self._server.timings.ping_interval)
            if not self._is_mute:
                self._nursery.start_soon(self._ping)

    async def _ping(self) -> None:
        with trio.move_on_after(self._server.timings.pong_window) as window:
            await self._websocket.ping(str(self._server.now()).encode())
        if window.cancelled_caught:
            await self.close(_POLICY_VIOLATION, "pong timeout")

    async def _age(self) -> None:
        await trio.sleep(self._server.timings.lifetime)
        await self.close(_GOING_AWAY, "lifetime over")

    # Requests

    def _receive(self, message: str | bytes) -> None:
        if self._is_last:
            return
        try:
            incoming = read_message(message)
        except Refusal as refusal:
            answer = self._server.exchange.refuse(self._budget, self.session, refusal, self._server.now())
            self.send(answer.as_bytes())
            return
        self._server.received[incoming.method] += 1
        fault = self._server.script.for_request(incoming.method)
        if fault is None:
            self._answer(incoming)
        else:
            self.strike(fault, incoming)

    def _execute(self, incoming: Incoming) -> Answer:
        return self._server.exchange.execute(self.session, self._budget, incoming, self._server.now())

    def _answer(self, incoming: Incoming) -> None:
        answer = self._execute(incoming)
        self.send(answer.as_bytes())
        self._server.deliver()
        if answer.status == 418:
            self.cut()

    def _send_raw(self, data: bytes) -> None:
        if not self._is_last:
            self._outgoing.append(data)
            self._something_to_send.set()

    # Faults

    def strike(self, fault: Fault, incoming: Incoming | None = None) -> None:
        """Let a fault have its way with a request, or with the whole connection."""
        if incoming is None or isinstance(fault, faults.HalfOpen):
            self._strike_connection(fault)
        else:
            _STRIKES[type(fault)](self, fault, incoming)
            self._server.deliver()

    def _strike_connection(self, fault: Fault) -> None:
        if isinstance(fault, faults.MutePings):
            self._is_mute = True
        else:
            self._wire.is_half_open = True
            self._server.forget(self.session)
            self._scope.cancel()

    def _delay(self, fault: faults.Delay, incoming: Incoming) -> None:
        self._nursery.start_soon(self._later, fault.seconds, partial(self._answer, incoming))

    def _late_reply(self, fault: faults.LateReply, incoming: Incoming) -> None:
        message = self._execute(incoming).as_bytes()
        self._nursery.start_soon(self._later, fault.seconds, partial(self.send, message))

    async def _later(self, seconds: float, action: Callable[[], None]) -> None:
        await trio.sleep(seconds)
        action()

    def _drop_reply(self, fault: faults.DropReply, incoming: Incoming) -> None:
        self._execute(incoming)

    def _duplicate_reply(self, fault: faults.DuplicateReply, incoming: Incoming) -> None:
        message = self._execute(incoming).as_bytes()
        self.send(message)
        self.send(message)

    def _reorder(self, fault: faults.Reorder, incoming: Incoming) -> None:
        self._kept_back.append(self._execute(incoming))
        if len(self._kept_back) >= fault.count:
            for answer in reversed(self._kept_back):
                self.send(answer.as_bytes())
            self._kept_back.clear()

    def _null_id_reply(self, fault: faults.NullIdReply, incoming: Incoming) -> None:
        self.send(msgspec.structs.replace(self._execute(incoming), request_id=None).as_bytes())

    def _unknown_id_reply(self, fault: faults.UnknownIdReply, incoming: Incoming) -> None:
        self.send(msgspec.structs.replace(self._execute(incoming), request_id="nobody-asked").as_bytes())

    def _garbage(self, fault: faults.Garbage, incoming: Incoming) -> None:
        if isinstance(fault.data, str):
            self.send(fault.data.encode())
        else:
            self._send_raw(fault.data if fault.is_raw else encode_frame(Opcode.BINARY, fault.data))

    def _server_error(self, fault: faults.ServerError, incoming: Incoming) -> None:
        refusal = Refusal(fault.code, fault.message, status=fault.status)
        self._fail(refusal, incoming, executed=fault.executed)

    def _timeout(self, fault: faults.Timeout, incoming: Incoming) -> None:
        self._fail(refusals.timed_out(), incoming, executed=fault.executed)

    def _disconnect(self, fault: faults.Disconnect, incoming: Incoming) -> None:
        if fault.executed:
            self._execute(incoming)
        self.cut()

    def _cut_reply_at(self, fault: faults.CutReplyAt, incoming: Incoming) -> None:
        frame = encode_frame(Opcode.TEXT, self._execute(incoming).as_bytes())
        self._send_raw(frame[: fault.position])
        self.cut()

    def _rate_limited(self, fault: faults.RateLimited, incoming: Incoming) -> None:
        now = self._server.now()
        limit = self._server.exchange.limits.weight
        retry_after = (now + int(fault.retry_after * SECOND)) // 1_000
        self._fail(
            refusals.too_much_weight(limit, "1 MINUTE", now=now // 1_000, retry_after=retry_after),
            incoming,
            executed=False,
        )

    def _banned(self, fault: faults.Banned, incoming: Incoming) -> None:
        self._budget.ban_until(self._server.now() + int(fault.retry_after * SECOND))
        self._answer(incoming)

    def _fail(self, refusal: Refusal, incoming: Incoming, *, executed: bool) -> None:
        if executed:
            self._execute(incoming)
        now = self._server.now()
        answer = self._server.exchange.refuse(self._budget, self.session, refusal, now)
        self.send(msgspec.structs.replace(answer, request_id=incoming.request_id).as_bytes())


_STRIKES: Final[dict[type[Fault], Callable[[Connection, Any, Incoming], None]]] = {
    faults.Delay: Connection._delay,
    faults.LateReply: Connection._late_reply,
    faults.DropReply: Connection._drop_reply,
    faults.DuplicateReply: Connection._duplicate_reply,
    faults.Reorder: Connection._reorder,
    faults.NullIdReply: Connection._null_id_reply,
    faults.UnknownIdReply: Connection._unknown_id_reply,
    faults.Garbage: Connection._garbage,
    faults.ServerError: Connection._server_error,
    faults.Timeout: Connection._timeout,
    faults.Disconnect: Connection._disconnect,
    faults.CutReplyAt: Connection._cut_reply_at,
    faults.RateLimited: Connection._rate_limited,
    faults.Banned: Connection._banned,
}


class _Wire(trio.abc.Stream):
    """A stream that several tasks may write to, one at a time.

    Attributes:
        address: what the limits go by: the IP address of the peer.
        at_end: called when the peer has ended the stream; for the time before the handshake, when nobody else looks.
        is_half_open: whether the stream is to be kept open and left alone.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.address: Final = _peer(stream)
        self.at_end: Callable[[], None] | None = None
        self.is_half_open = False
        self._stream = stream
        self._turn = trio.StrictFIFOLock()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        async with self._turn:
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        async with self._turn:
            await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError:
            data = b""
        if not data and self.at_end is not None:
            self.at_end()
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()


def _peer(stream: trio.abc.Stream) -> str:
    if isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if isinstance(stream, trio.SocketStream):
        return str(stream.socket.getpeername()[0])
    return "memory"
