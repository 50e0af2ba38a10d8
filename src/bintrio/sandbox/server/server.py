"""From a byte stream to a connection: the opening handshake, and what goes wrong with one connection.

**Nothing that one connection sends or does reaches another.** An error in the sandbox, or in the library below it, is
logged with its traceback and ends the connection that it came from: with a close frame of code 1011, or with HTTP 500
before there are frames.

Source: "General API Information" of the WebSocket API document.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from bintrio._net.tasks import protecting

from ..exchange.refusals import Refusal
from ..exchange.sessions import Session
from .calls import Attempt
from .connection import CLOSE_TIMEOUT, Connection, Connections
from .faults import HandshakeStatus, SlowHandshake
from .handshake import Rejection, open_session, reject, retry_after, without_words
from .wire import HeadTooLarge, Wire

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds; ours, the document gives none."""

MAX_HANDSHAKES: Final = 500
"""Handshakes that may be under way at a time; ours. For one more the oldest is cut off."""

_QUEUE: Final = 16  # messages that may wait for their execution

_MAX_MESSAGE_SIZE: Final = 2**20  # bytes of a request; ours

_RECEIVE_SIZE: Final = 2**16  # bytes

_TOO_LARGE: Final = 1009
_INTERNAL_ERROR: Final = 1011

_BROKEN: Final = (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError)

logger = logging.getLogger(__name__)


class Server:
    """Makes connections of streams.

    Args:
        connections: those that are open.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._exchange = connections.exchange
        self._opening: dict[trio.CancelScope, None] = {}

    async def serve(self, stream: trio.abc.Stream, address: str | None = None) -> None:
        """The life of one connection, from its handshake to its end. Never raises but for cancellation.

        Args:
            stream: what carries its bytes.
            address: of the peer, if the stream does not lead to it.
        """
        try:
            wire = Wire(stream, address)
            try:
                await self._converse(wire)
            # The peer has gone. It may do so at any point, so nothing has failed.
            except* _BROKEN:
                pass
            except* Exception as failures:
                await self._fail(wire, failures)
            # The library has seen an end only, so the peer is told here.
            if wire.is_flooded:
                await self._say(wire.send_close(_TOO_LARGE, "message too large"))
            # Its stream stays open, and nobody touches it, until the sandbox ends.
            if wire.is_half_open:
                await trio.sleep_forever()
            with trio.move_on_after(CLOSE_TIMEOUT):
                await wire.linger()
        finally:
            await trio.aclose_forcefully(stream)

    async def _fail(self, wire: Wire, failures: ExceptionGroup[Exception]) -> None:
        # After a close frame the library stumbles over whatever a peer still sends.
        level = logging.DEBUG if wire.has_closed else logging.ERROR
        logger.log(level, "a connection from %s ends with an error", wire.address, exc_info=failures)
        if wire.is_upgraded:
            await self._say(wire.send_close(_INTERNAL_ERROR, "internal error"))
        else:
            # The library cannot read every byte that a header may have.
            status = 500 if failures.subgroup(UnicodeError) is None else 400
            await self._say(wire.send_last(without_words(status).as_bytes(), is_close=False))

    async def _say(self, last_words: Awaitable[None]) -> None:
        # A peer that does not read is not waited for any longer.
        with trio.move_on_after(CLOSE_TIMEOUT), suppress(*_BROKEN):
            await last_words

    async def _converse(self, wire: Wire) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                opened = await self._open(wire, nursery)
                if opened is not None:
                    session, websocket = opened
                    connection = Connection(self._connections, session, websocket, wire, scope, nursery)
                    try:
                        self._connections.add(session, connection)
                        await connection.run()
                    finally:
                        # However it ended: no event is for it any more.
                        self._connections.forget(session)
                # The library has tasks of its own in there.
                nursery.cancel_scope.cancel()

    # Handshakes

    async def _open(self, wire: Wire, nursery: trio.Nursery) -> tuple[Session, WebSocketConnection] | None:
        """Wait for a handshake, and accept it or turn it away; None if there is nothing more to do."""
        with trio.move_on_after(HANDSHAKE_TIMEOUT) as scope:
            self._opening[scope] = None
            # The oldest has had the most time, and the memory has an end.
            if len(self._opening) > MAX_HANDSHAKES:
                oldest = next(iter(self._opening))
                del self._opening[oldest]
                oldest.cancel()
            try:
                return await self._shake_hands(wire, nursery, scope)
            finally:
                self._opening.pop(scope, None)
        return None

    async def _shake_hands(
        self, wire: Wire, nursery: trio.Nursery, scope: trio.CancelScope
    ) -> tuple[Session, WebSocketConnection] | None:
        try:
            # False: the peer has gone, so there is nobody to answer.
            if not await wire.receive_head():
                return None
        except HeadTooLarge:
            # RFC 6585: Request Header Fields Too Large.
            await wire.send_last(without_words(431).as_bytes(), is_close=False)
            return None
        # Of a head that it does not like the library says so to the peer, and closes; nobody else hears of it.
        wire.at_close = scope.cancel
        request = await wrap_server_stream(protecting(nursery), wire, _QUEUE, _MAX_MESSAGE_SIZE, _RECEIVE_SIZE)
        wire.at_close = None
        # Noted before it is answered: one that is kept waiting is seen too.
        attempt = Attempt(self._connections.now())
        self._connections.witnesses.meet(attempt)
        slow = self._connections.script.for_opening(SlowHandshake)
        if slow is not None:
            # The time that the fault takes is not the peer's.
            scope.deadline += slow.seconds
            await trio.sleep(slow.seconds)
        return await self._decide(request, wire, attempt)

    async def _decide(
        self, request: WebSocketRequest, wire: Wire, attempt: Attempt
    ) -> tuple[Session, WebSocketConnection] | None:
        try:
            session = self._admit(request.path, wire.address, attempt)
        except _TurnedAway as turned_away:
            rejection = turned_away.rejection
            # Before it is told: the peer may go meanwhile.
            attempt.status = rejection.status
            await request.reject(rejection.status, extra_headers=rejection.headers, body=rejection.body)
            return None
        attempt.status = 101
        websocket = await request.accept()
        # Only now, since what came behind the head is frames.
        wire.upgrade()
        return session, websocket

    def _admit(self, resource: str, address: str, attempt: Attempt) -> Session:
        # Before any limit, in the exchange's place, which does not count the attempt then: a fault is there to be seen.
        attempt.fault = fault = self._connections.script.for_opening(HandshakeStatus)
        if fault is not None:
            raise _TurnedAway(Rejection(fault.status, retry_after(fault.retry_after), fault.body))
        now = self._connections.now()
        try:
            # First, since the limit on connections counts attempts, also those whose URL is wrong.
            self._exchange.budget(address).admit_connection(now)
            return open_session(resource, now)
        except Refusal as refusal:
            raise _TurnedAway(reject(refusal, now)) from None


class _TurnedAway(Exception):
    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.status)
        self.rejection = rejection
