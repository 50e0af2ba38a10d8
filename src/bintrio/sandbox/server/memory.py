"""Streams in memory with a link between their ends (`links`).

Both ends send through streams of trio's kind, so whoever asks can see that nothing leaves this process.
"""

from __future__ import annotations

import math
from contextlib import suppress
from random import Random
from sys import maxsize
from typing import Final

import trio
from trio.testing import MemorySendStream

from .links import IDEAL, Link, Passage, Way


class Line:
    """One connection in memory.

    Args:
        link: what lies between its ends.
        number: of the connection; together with the link's seed it decides what is left to chance.

    Attributes:
        client: the client's end.
        server: the sandbox's end.
    """

    def __init__(self, link: Link = IDEAL, number: int = 0) -> None:
        # By a text of all three: each way of each connection has its own chance, the same in every run.
        self._up = _Lane(Random(f"{link.seed} {number} up"))
        self._down = _Lane(Random(f"{link.seed} {number} down"))
        self._up.back, self._down.back = self._down, self._up
        self.client: trio.abc.Stream = trio.StapledStream(self._up.entrance, Arrivals(self._down))
        self.server: Final = trio.StapledStream(self._down.entrance, Arrivals(self._up))
        self.change(link)

    def change(self, link: Link) -> None:
        """Have another link between the ends from now on; what is under way arrives as it would have."""
        self._up.change(link.up)
        self._down.change(link.down)


class _Lane:
    """One way of a line, with the tasks that wait for it.

    Attributes:
        passage: what is under way.
        back: the other way.
        entrance: where it begins.
    """

    back: _Lane

    def __init__(self, chance: Random) -> None:
        self.passage: Final = Passage(chance, trio.current_time())
        self.entrance: Final = MemorySendStream(send_all_hook=self._hand_over, close_hook=self._end)
        self._changed = trio.Event()

    def change(self, way: Way) -> None:
        self.passage.change(way, trio.current_time())
        self.tell()

    def send(self, data: bytes) -> None:
        self.passage.send(data, trio.current_time())
        self.tell()

    def refuse(self) -> None:
        """Nobody reads any more. Who writes hears of it as soon as that can reach him."""
        # The news travels the other way, which may have fallen silent.
        if not self.back.passage.is_silent:
            self.passage.refused_at = trio.current_time() + self.back.passage.way.latency
        self.tell()

    def check(self) -> None:
        """Raise `trio.BrokenResourceError` if who writes knows that it leads nowhere."""
        if self.passage.is_refused(trio.current_time()):
            raise trio.BrokenResourceError("the connection is gone")

    def tell(self) -> None:
        """Let those who wait look: something was sent, read, changed or closed. A reset concerns both ways."""
        # Once: by then both break at one time, so the other one does not tell back.
        if self.passage.breaks_at < self.back.passage.breaks_at:
            self.back.passage.breaks_at = self.passage.breaks_at
            self.back.tell()
        self._changed.set()
        self._changed = trio.Event()

    async def change_before(self, time: float) -> None:
        """Wait until there may be something new, at the latest until a time on trio's clock."""
        if time == math.inf:  # the usual case, and a scope costs as much as the rest of a read
            await self._changed.wait()
            return
        with trio.move_on_at(time):
            await self._changed.wait()

    async def _hand_over(self) -> None:
        # Who knows that nobody reads any more does not wait for room: there will be none.
        while self.passage.is_full and not self.passage.is_refused(trio.current_time()):
            await self.change_before(self.passage.refusal_at)
        self.check()
        self._send_what_was_written()

    def _end(self) -> None:
        # Of a write that was still waiting, or was cancelled, all has been taken: it comes before the end.
        self._send_what_was_written()
        self.passage.end(trio.current_time())
        self.tell()

    def _send_what_was_written(self) -> None:
        with suppress(trio.WouldBlock):  # nothing was written, as the sandbox does to learn that all before has left
            self.send(bytes(self.entrance.get_data_nowait()))


class Arrivals(trio.abc.ReceiveStream):
    """What arrives at one end of a line."""

    def __init__(self, lane: _Lane) -> None:
        self._lane = lane
        self._is_closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        # A read of trio's is a checkpoint in any case; one that has to wait is one by that.
        if self._is_closed or self._lane.passage.changes_at <= trio.current_time():
            await trio.lowlevel.checkpoint()
        while (data := self._take(max_bytes or maxsize)) is None:
            await self._lane.change_before(self._lane.passage.changes_at)
        return data

    def _take(self, most: int) -> bytes | None:
        if self._is_closed:
            raise trio.ClosedResourceError
        now = trio.current_time()
        data = self._lane.passage.take(now, most)
        # What had arrived before the reset is read first.
        if data is None and self._lane.passage.breaks_at <= now:
            raise trio.BrokenResourceError("the connection was reset")
        if data:
            self._lane.tell()  # whoever waits for room to write
        return data

    def put_data(self, data: bytes) -> None:
        """Send to this end, past the stream of the other one.

        Raises:
            trio.BrokenResourceError: this end was closed, or the connection reset.
        """
        self._lane.check()
        self._lane.send(data)

    async def aclose(self) -> None:
        """Read no more."""
        self._is_closed = True
        self._lane.refuse()
        await trio.lowlevel.checkpoint()


def memory_stream_pair(link: Link = IDEAL, number: int = 0) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """The client's end and the sandbox's end of a `Line`."""
    line = Line(link, number)
    return line.client, line.server
