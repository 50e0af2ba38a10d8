"""The ways to a sandbox: in memory, over links, and over TCP."""

from __future__ import annotations

import errno
import os
from itertools import count
from typing import Final

import trio

from bintrio._net.tasks import protected

from ..exchange.arguments import check_kind
from .faults import RefuseConnection
from .links import IDEAL, Link
from .memory import Line
from .script import Script
from .server import Server
from .wire import address_of

_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


class Network:
    """The ways to a sandbox.

    Args:
        server: where they lead.
        script: the faults.
        nursery: for their ends there.
        link: what lies between, unless told otherwise.

    Raises:
        InvalidRequest: the link is none.
    """

    def __init__(self, server: Server, script: Script, nursery: trio.Nursery, link: Link) -> None:
        self._server = server
        self._script = script
        self._nursery = nursery
        self._lines: dict[Line, None] = {}
        self._numbers: Final = count(1)
        self._link = link

    @property
    def link(self) -> Link:
        """What lies between. It may be set at any time, for the lines that there are and whatever connects later."""
        return self._link

    @link.setter
    def link(self, link: Link) -> None:
        check_kind(Link, link=link)
        self._link = link
        for line in self._lines:
            line.change(link)

    def connect(self, link: Link | None) -> trio.abc.Stream:
        """The client's end of another line.

        Raises:
            ConnectionRefusedError: a fault says so.
        """
        link = self._link if link is None else link
        check_kind(Link, link=link)
        if self._is_refused():
            # As the system says it, so that a client sees the same in memory as over TCP.
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        line = Line(link, next(self._numbers))
        self._nursery.start_soon(protected, self._serve, line, None)
        return line.client

    async def accept(self, stream: trio.abc.Stream) -> None:
        """Serve who connects over TCP, through a line if the link is not ideal. Never raises but for cancellation."""
        try:
            # The system has accepted it already, so all that is left is to close it at once.
            if self._is_refused():
                return
            # The usual case needs no task that passes bytes on.
            if self._link == IDEAL:
                await self._server.serve(stream)
            else:
                await self._relay(stream, Line(self._link, next(self._numbers)))
        finally:
            await trio.aclose_forcefully(stream)

    def _is_refused(self) -> bool:
        return self._script.for_opening(RefuseConnection) is not None

    async def _serve(self, line: Line, address: str | None) -> None:
        self._lines[line] = None
        try:
            await self._server.serve(line.server, address)
        finally:
            del self._lines[line]

    async def _relay(self, stream: trio.abc.Stream, line: Line) -> None:
        async with trio.open_nursery() as down:
            down.start_soon(protected, _carry, line.client, stream)
            async with trio.open_nursery() as up:
                up.start_soon(protected, self._serve, line, address_of(stream))
                up.start_soon(protected, _carry, stream, line.client)
            # Both ends have gone. On a way that fell silent nothing would tell so.
            down.cancel_scope.cancel()


async def _carry(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
    """Pass on what comes and its end; a reset ends both streams."""
    try:
        async for data in source:
            await sink.send_all(data)
        await _end(sink)
    except _BROKEN:
        # The other end learns of a reset by its own stream, so that none of the two waits for the other.
        await trio.aclose_forcefully(source)
        await trio.aclose_forcefully(sink)


async def _end(sink: trio.abc.Stream) -> None:
    if isinstance(sink, trio.abc.HalfCloseableStream):
        # TCP can end in one direction only; what is still to come in the other is not lost by it.
        await sink.send_eof()
    else:
        await sink.aclose()
