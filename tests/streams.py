"""Streams in memory of both kinds that the client knows: plain ones, and those that can be written to at once.

In production the client writes to a `PromptStream`, TCP or TLS. A test that carries ``usefixtures("both_streams")``
runs over both kinds, in virtual time.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from typing import Any

import trio

import bintrio
from bintrio._net.streams import PromptStream
from bintrio.sandbox.server.links import Link
from bintrio.sandbox.server.memory import Line

Pair = tuple[trio.abc.Stream, Any]


class WholeStream(trio.abc.Stream):
    """A stream that cannot end in one direction only, as TLS cannot."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


class PartialStream(PromptStream):
    """One end of a pair in memory that takes what is sent at once in part: all of it, some, or nothing.

    So does a socket whose buffer for sending is nearly full. What it did not take leaves a little later, in pieces.

    Attributes:
        may_leave: nothing leaves until this is set.
        is_broken: whether all writing fails.
    """

    def __init__(self, inner: trio.abc.Stream, deliver: Callable[[bytes], object], seed: int) -> None:
        self.may_leave = trio.Event()
        self.may_leave.set()
        self.is_broken = False
        self._inner = inner
        self._deliver = deliver
        self._random = random.Random(seed)
        self._unsent = b""
        self._is_closed = False

    def send_nowait(self, data: bytes) -> bool:
        if self._is_closed:
            raise trio.ClosedResourceError
        if self.is_broken:
            raise trio.BrokenResourceError
        self._unsent += data
        if self.may_leave.is_set():
            self._leave(self._part(len(self._unsent)))
        return not self._unsent

    def _part(self, size: int) -> int:
        return self._random.choice((size, size, 0, self._random.randint(0, size)))

    def _leave(self, size: int) -> None:
        leaving, self._unsent = self._unsent[:size], self._unsent[size:]
        if leaving:
            try:
                self._deliver(leaving)
            except trio.ClosedResourceError:  # the other end
                raise trio.BrokenResourceError from None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        is_sent = self.send_nowait(bytes(data))
        while not is_sent:
            await self.may_leave.wait()
            await trio.lowlevel.checkpoint()
            is_sent = self.send_nowait(b"")

    async def wait_send_all_might_not_block(self) -> None:
        await self.may_leave.wait()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._inner.receive_some(max_bytes))

    async def aclose(self) -> None:
        self._is_closed = True
        await self._inner.aclose()


class PartialLine(Line):
    """A line to the sandbox whose client's end is a `PartialStream`."""

    def __init__(self, link: Link, number: int) -> None:
        super().__init__(link, number)
        self.client = PartialStream(self.client, self.server.receive_stream.put_data, number)


def partial_pairs(plain: Callable[[], Pair]) -> Callable[[], Pair]:
    """What takes the place of what makes plain pairs: each one's first end is a `PartialStream`, of its own pattern."""
    seeds = iter(range(2**31))

    def pair() -> Pair:
        ours, theirs = plain()
        return PartialStream(ours, theirs.receive_stream.put_data, next(seeds)), theirs

    return pair


def stall(session: bintrio.Session, until: trio.Event) -> None:
    """The network takes nothing from the session until the event is set; then it takes everything."""
    assert session._supervisor.connection is not None
    stream: Any = session._supervisor.connection._wire._stream
    if isinstance(stream, PartialStream):
        stream.may_leave = until
        return
    send_all = stream.send_stream.send_all

    async def wait(data: bytes) -> None:
        await until.wait()
        await send_all(data)

    stream.send_stream.send_all = wait


def break_writes(session: bintrio.Session) -> None:
    """The network fails whatever the session writes."""
    assert session._supervisor.connection is not None
    stream: Any = session._supervisor.connection._wire._stream
    if isinstance(stream, PartialStream):
        stream.is_broken = True
        return

    async def fail(_data: bytes) -> None:
        raise trio.BrokenResourceError

    stream.send_stream.send_all = fail


def reset_reads(session: bintrio.Session) -> None:
    """A firewall resets the connection: noticed by the next read."""
    assert session._supervisor.connection is not None
    stream: Any = session._supervisor.connection._wire._stream

    async def fail(_max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError from ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

    stream.receive_some = fail
