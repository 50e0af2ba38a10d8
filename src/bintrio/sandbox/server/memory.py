"""Streams in memory that hold the sandbox back while its client does not read, as the buffers of sockets do."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import trio
from trio.testing import MemoryReceiveStream, MemorySendStream
from trio.testing import memory_stream_pair as unbounded_pair

MAX_UNREAD: Final = 2**18
"""Bytes that may wait for a client when more are written; ours."""


def memory_stream_pair() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """The client's end, which takes whatever is sent to the sandbox, and the sandbox's end."""
    client, server = unbounded_pair()
    _Link(server.send_stream, client.receive_stream)
    return client, server


class _Link:
    """Hands over what the sandbox writes, as long as its client reads.

    What waits for the client counts as read once it reads again.
    """

    def __init__(self, sender: MemorySendStream, receiver: MemoryReceiveStream) -> None:
        self._sender = sender
        self._receiver = receiver
        self._unread = 0
        self._has_read = trio.Event()
        sender.send_all_hook = self._hand_over
        sender.close_hook = self._end
        receiver.receive_some_hook = self._read
        receiver.close_hook = self._wake

    async def _hand_over(self) -> None:
        while self._unread > MAX_UNREAD:
            await self._has_read.wait()
        try:
            data = self._sender.get_data_nowait()
            self._unread += len(data)
            self._receiver.put_data(data)
        except trio.WouldBlock:  # nothing was written, as the sandbox does to learn that all before has left
            return
        except trio.ClosedResourceError:
            raise trio.BrokenResourceError("the client has closed its stream") from None

    def _end(self) -> None:
        """Of a write that was still waiting, or was cancelled, all has been taken: it comes before the end."""
        with suppress(trio.ClosedResourceError):
            self._receiver.put_data(self._sender.get_data_nowait())
        self._receiver.put_eof()
        self._wake()

    async def _read(self) -> None:
        self._wake()

    def _wake(self) -> None:
        self._unread = 0
        self._has_read.set()
        self._has_read = trio.Event()
