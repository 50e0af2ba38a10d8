"""What waits to be written to a stream, and the one task that writes it.

**One writer.** A single task writes to the stream: control frames first, then data frames in the order they were
queued, whole frames always, many in one `send_all`. Callers only queue. That is why cancelling a caller cannot tear
a frame, and why a frame can be withdrawn until the writer takes it. The writer is cancelled only when the whole wire
ends. It takes at most `_BATCH` bytes at a time, so that pongs never wait behind a long backlog, and lets other tasks
run after each batch, however readily the stream takes them.

**One exception:** waking the writer costs a turn of the scheduler. A caller that has nobody to share a `send_all` with
may write `at_once`, if nothing is waiting and the stream is a `PromptStream`. That is one step without a checkpoint, in
which Ctrl-C waits too, so there is nothing that could tear. What the kernel does not take at once, the stream keeps
ahead of everything else, and the writer sees to it that it leaves.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from .streams import PromptStream

if TYPE_CHECKING:
    from collections.abc import Callable

_BATCH: Final = 64 * 1024  # bytes of data frames in one send_all


class Outgoing(msgspec.Struct, eq=False):
    """One queued frame."""

    frame: bytes | None  # empty if withdrawn, None once taken; the wire's to change
    size: int
    written: Callable[[], object] | None = None

    @property
    def taken(self) -> bool:
        """Whether it was taken for writing, so that bytes of it may have left. Until then it can be withdrawn."""
        return self.frame is None


class Writer:
    """Writes whole frames to a stream, in order.

    Args:
        stream: where to.
        failed: called with what a write raised. Nothing is written after that.

    Attributes:
        backlog: bytes waiting to be written: queued, or taken and not yet written. If there are none, `run` is idle.
    """

    def __init__(self, stream: trio.abc.Stream, failed: Callable[[Exception], object]) -> None:
        self.backlog = 0
        self._stream = stream
        self._prompt_stream = stream if isinstance(stream, PromptStream) else None
        self._failed = failed
        self._unreported: list[Callable[[], object]] = []  # whom to tell once what was taken is written
        self._unfinished = 0  # of the backlog, the size of a frame of which only part could be written at once
        self._control_queue: list[bytes] = []
        self._queue: deque[Outgoing] = deque()
        self._idle = trio.lowlevel.ParkingLot()
        self._senders = trio.lowlevel.ParkingLot()
        self._is_writable = True  # False once a write has failed

    def put(self, frame: bytes, *, at_once: bool, written: Callable[[], object] | None = None) -> Outgoing:
        """Queue a data frame; or write it here and now, if nothing else waits and the stream can.

        ``written`` is called once all of it has been handed to the stream, unless that fails.
        """
        size = len(frame)
        outgoing = Outgoing(frame, size, written)
        # Anything that waits must leave first, so a frame is written here only if nothing does.
        if at_once and not self.backlog and self._prompt_stream is not None:
            outgoing.frame = None
            if written is not None:
                self._unreported.append(written)
            self._write_at_once(frame, self._prompt_stream)
        else:
            self._queue.append(outgoing)
            self._grow(size)
        return outgoing

    def put_control(self, frame: bytes) -> None:
        """Queue a control frame, ahead of all data frames."""
        self._control_queue.append(frame)
        self._grow(len(frame))

    @trio.lowlevel.enable_ki_protection
    def withdraw(self, outgoing: Outgoing) -> bool:
        """Take a frame back. True: no byte of it leaves. False: it was taken for writing already."""
        if outgoing.taken:
            return False
        # It may have been withdrawn before.
        if outgoing.frame:
            outgoing.frame = b""
            self._shrink(outgoing.size)
        return True

    def withdraw_all(self) -> None:
        """Take back all data frames, and let go on whoever waits for room."""
        for outgoing in self._queue:
            self.withdraw(outgoing)
        self._queue.clear()
        self.release()

    async def progress(self) -> None:
        """Wait until some bytes have left, or `release` is called."""
        await self._senders.park()

    def release(self) -> None:
        """Let whoever waits for progress go on, although there may be none."""
        self._senders.unpark_all()

    def _write_at_once(self, frame: bytes, stream: PromptStream) -> None:
        try:
            is_written = stream.send_nowait(frame)
        except Exception as error:
            # The writer may be waiting for work: it is woken, to find that there will be none.
            self._fail(error)
            self._idle.unpark()
            return
        if is_written and self._unreported:
            self._report()
        # The rest is in the stream's own buffer. It counts as waiting until the writer has seen it leave.
        if not is_written:
            self._grow(len(frame))
            self._unfinished = len(frame)

    def _report(self) -> None:
        reported, self._unreported = self._unreported, []
        for written in reported:
            written()

    def _grow(self, size: int) -> None:
        if not self.backlog:  # else the writer is busy, or woken already
            self._idle.unpark()
        self.backlog += size

    def _shrink(self, size: int) -> None:
        self.backlog -= size
        # Mostly nobody waits for room.
        if self._senders:
            self._senders.unpark_all()

    async def run(self, written: Callable[[list[bytes]], object]) -> None:
        """Write until a write fails. ``written`` is called with the control frames of each write that succeeded."""
        while self._is_writable:
            if not self.backlog:
                await self._idle.park()
                # What is cancelled between being woken and its turn writes nothing, for example no handshake (G8).
                await trio.lowlevel.checkpoint_if_cancelled()
                continue
            # While it is uncertain when a frame can leave, the next is not taken, so that it can still be withdrawn.
            control, batch = ([], b"") if self._unfinished else self._take()
            size, self._unfinished = self._unfinished or len(batch), 0
            try:
                await self._send(batch)
            except Exception as error:
                self._fail(error)
                break
            self._shrink(size)
            # Only who asked for it is told, which nobody does in a session without an observer.
            if self._unreported:
                self._report()
            written(control)

    async def _send(self, batch: bytes) -> None:
        # Without a checkpoint only if the writer parks next: else no other task would run while a stream takes all.
        if self._prompt_stream is None or self._queue:
            await self._stream.send_all(batch)
        elif not self._prompt_stream.send_nowait(batch):
            await self._prompt_stream.send_all(b"")

    def _fail(self, error: Exception) -> None:
        self._is_writable = False
        self._failed(error)

    def _take(self) -> tuple[list[bytes], bytes]:
        """Control frames, and with them everything that waits, up to `_BATCH` bytes of data frames."""
        control, self._control_queue = self._control_queue, []
        batch = control.copy()
        size = 0
        queue = self._queue
        while queue and size < _BATCH:
            outgoing = queue.popleft()
            # Withdrawn frames stay in the queue, empty, since to look for one there would take longer.
            if outgoing.frame:
                batch.append(outgoing.frame)
                outgoing.frame = None
                size += outgoing.size
                if outgoing.written is not None:
                    self._unreported.append(outgoing.written)
        return control, b"".join(batch)
