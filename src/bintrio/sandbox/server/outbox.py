"""What waits to be written to a connection.

A peer that does not read is held back: while much waits for it, no request of its is read (`Outbox.room`). Events come
whether it reads or not, so there is an end to that too: who lets `MAX_BACKLOG` bytes wait is cut off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from .wire import Wire

MAX_UNREAD: Final = 2**20
"""Bytes that may wait when a request is read; ours."""

MAX_BACKLOG: Final = 2**24
"""Bytes that may wait when another frame comes; ours."""

# Seconds by which what must not overtake comes later.
_AFTER: Final = 0.001

MAX_POSTPONED: Final = 10_000
"""Messages that may be postponed at a time; ours."""


class Outbox:
    """Frames on their way out, in order; all that are waiting leave in one write.

    Args:
        wire: where they go.
        overflow: called when too much waits.
        drained: called when all was written.
        ended: called when the last words were.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        overflow: Callable[[], object],
        drained: Callable[[], object],
        ended: Callable[[], object] = bool,
    ) -> None:
        self._wire = wire
        self._overflow = overflow
        self._drained = drained
        self._ended = ended
        self._last_words: bytes | None = None
        self._frames: list[bytes] = []
        self._size = 0  # of what waits or is being written
        self._filled = trio.Event()
        self._emptied = trio.Event()

    def put(self, frame: bytes) -> None:
        """Let a frame follow the others."""
        # The peer has not read for long: what it does not read cannot wait without end.
        if self._size > MAX_BACKLOG:
            self._overflow()
            return
        self._frames.append(frame)
        self._size += len(frame)
        self._filled.set()

    def flush(self) -> None:
        """Have `drained` called as soon as nothing waits, also if nothing waits now."""
        self._filled.set()

    def end(self, last_words: bytes) -> None:
        """Have frames written, the last of which closes the connection, as soon as nothing else waits."""
        self._last_words = last_words
        self.flush()

    async def room(self) -> None:
        """Wait until so little waits that another request may be read."""
        while self._size > MAX_UNREAD:
            await self._emptied.wait()

    async def write(self) -> None:
        """Write what comes, for ever."""
        while True:
            await self._filled.wait()
            self._filled = trio.Event()
            # In one write: a system call for each frame would cost more than all else that a frame takes.
            data, self._frames = b"".join(self._frames), []
            await self._wire.send_frames(data, self._last_words)
            self._size -= len(data)
            self._emptied.set()
            self._emptied = trio.Event()
            self._drained()
            if self._last_words is not None:
                self._ended()


class Postponed:
    """Messages that leave some time after they were put here, in their order.

    Args:
        send: where they go.
        overflow: called when too many wait.

    Attributes:
        seconds: how long the next one waits, and longer if one before it has to.
    """

    def __init__(self, send: Callable[[bytes], object], *, overflow: Callable[[], object]) -> None:
        self.seconds = 0.0
        self._send = send
        self._overflow = overflow
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._filled = trio.Event()

    @property
    def remaining(self) -> float:
        """Seconds until all that waits has left, and a little more."""
        return self._waiting[-1][0] - trio.current_time() + _AFTER if self._waiting else 0.0

    def put(self, message: bytes) -> None:
        """Let a message follow the others."""
        # They are held by us and not by the peer, so its reading or not reading does not bound them.
        if len(self._waiting) >= MAX_POSTPONED:
            self._overflow()
            return
        due = trio.current_time() + self.seconds
        # The delay may have been made shorter: then it leaves with the one before, since they leave in turn.
        if self._waiting:
            due = max(due, self._waiting[-1][0])
        self._waiting.append((due, message))
        self._filled.set()

    async def bring(self) -> None:
        """Send each at its time, for ever."""
        while True:
            await self._filled.wait()
            due, message = self._waiting[0]
            await trio.sleep_until(due)
            del self._waiting[0]
            if not self._waiting:
                self._filled = trio.Event()
            self._send(message)
