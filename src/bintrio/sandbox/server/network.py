"""What lies between a sandbox and those that connect to it in memory."""

from __future__ import annotations

from itertools import count
from typing import Final

import trio

from bintrio._net.tasks import protected

from ..exchange.arguments import check_kind
from .links import Link
from .memory import Line
from .server import Server


class Network:
    """The lines in memory.

    Args:
        server: where they lead.
        nursery: for their ends there.
        link: what lies between, unless told otherwise.

    Raises:
        InvalidRequest: the link is none.
    """

    def __init__(self, server: Server, nursery: trio.Nursery, link: Link) -> None:
        self._server = server
        self._nursery = nursery
        self._lines: dict[Line, None] = {}
        self._numbers: Final = count(1)
        self._link = link

    @property
    def link(self) -> Link:
        """What lies between; it may be set at any time, for the lines that there are and those to come."""
        return self._link

    @link.setter
    def link(self, link: Link) -> None:
        check_kind(Link, link=link)
        self._link = link
        for line in self._lines:
            line.change(link)

    def connect(self, link: Link | None) -> trio.abc.Stream:
        """The client's end of another line."""
        link = self._link if link is None else link
        check_kind(Link, link=link)
        line = Line(link, next(self._numbers))
        self._nursery.start_soon(protected, self._serve, line)
        return line.client

    async def _serve(self, line: Line) -> None:
        self._lines[line] = None
        try:
            await self._server.serve(line.server)
        finally:
            del self._lines[line]
