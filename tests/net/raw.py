"""The other end of a wire, in raw bytes, and what tests of wires begin with."""

from __future__ import annotations

import base64
import hashlib
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from bintrio._net.streams import PromptStream
from bintrio._net.wire import Wire, WireClosed, open_wire
from bintrio._protocol.frames import FrameDecoder, Message, Opcode, close_payload, encode_frame, parse_close

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


CLOSE_1000 = encode_frame(Opcode.CLOSE, close_payload(1000, ""))


def text(payload: bytes) -> Message:
    return Message(Opcode.TEXT, payload)


def frames(*payloads: bytes) -> bytes:
    return b"".join(encode_frame(Opcode.TEXT, payload) for payload in payloads)


class Server:
    """The other end of a stream, in raw bytes.

    Args:
        stream: its end.
        answers_close: whether it answers a close frame with its own, and ends the stream.

    Attributes:
        close: code and reason of the client's close frame.
    """

    def __init__(self, stream: trio.abc.Stream, *, answers_close: bool = True) -> None:
        self.stream = stream
        self.request = b""
        self.close: tuple[int | None, str] | None = None
        self._answers_close = answers_close
        self._decoder = FrameDecoder(masked=True, max_message_size=2**26)
        self._received: list[Message] = []

    async def read_request(self) -> None:
        while b"\r\n\r\n" not in self.request:
            self.request += bytes(await self.stream.receive_some())

    def acceptance(self) -> bytes:
        (key,) = [line[19:] for line in self.request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: ")]
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )

    async def shake_hands(self, *, followed_by: bytes = b"") -> None:
        await self.read_request()
        await self.stream.send_all(self.acceptance() + followed_by)

    async def next(self) -> Message:
        """The next message or control frame from the client."""
        while not self._received:
            data = bytes(await self.stream.receive_some())
            if not data:
                raise EOFError
            self._received += self._decoder.feed(data)
            assert self._decoder.violation is None
        return self._received.pop(0)

    async def next_close(self) -> tuple[int | None, str]:
        """Code and reason of the client's close frame, everything before it skipped."""
        while (message := await self.next()).opcode is not Opcode.CLOSE:
            pass
        return parse_close(message.payload)

    async def answer_close(self) -> None:
        """Read until the client closes, then close too."""
        with suppress(EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
            self.close = await self.next_close()
            if self._answers_close:
                await self.stream.send_all(CLOSE_1000)
                await self.stream.aclose()


StreamPair = tuple[trio.abc.Stream, trio.abc.Stream]


@asynccontextmanager
async def opened(
    pair: StreamPair | None = None, *, followed_by: bytes = b"", answers_close: bool = True, **options: Any
) -> AsyncGenerator[tuple[Wire, Server]]:
    """An open wire and its server, which answers the close frame when the body is over."""
    ours, theirs = pair or trio.testing.memory_stream_pair()
    server = Server(theirs, answers_close=answers_close)
    async with trio.open_nursery() as nursery:

        async def shake_hands() -> None:
            await server.shake_hands(followed_by=followed_by)

        nursery.start_soon(shake_hands)
        async with open_wire(ours, host="exchange", resource="/ws-api/v3", **options) as wire:
            yield wire, server
            nursery.start_soon(server.answer_close)


async def closed_with(wire: Wire) -> WireClosed:
    """Receive nothing but the end."""
    with pytest.raises(WireClosed) as caught:
        await wire.receive()
    return caught.value


async def receive_for_ever(wire: Wire) -> None:
    while True:
        await wire.receive()


# Sending at once


class Prompt(PromptStream):
    """A stream in memory whose kernel takes only so many bytes, and fails on demand.

    Attributes:
        takes: bytes that are taken before it is full.
        fails: with what the next write fails.
        writes: how many there were.
    """

    def __init__(self, stream: trio.abc.Stream, peer: trio.testing.MemoryReceiveStream) -> None:
        self.takes = 2**30
        self.fails: Exception | None = None
        self.writes = 0
        self._stream = stream
        self._peer = peer
        self._unsent = b""
        self._has_room = trio.Event()

    def send_nowait(self, data: bytes) -> bool:
        if self.fails is not None:
            raise self.fails
        self.writes += 1
        self._unsent += data
        sent, self._unsent = self._unsent[: self.takes], self._unsent[self.takes :]
        self.takes -= len(sent)
        if sent:
            self._peer.put_data(sent)
        return not self._unsent

    def make_room(self, size: int = 2**30) -> None:
        self.takes = size
        self._has_room.set()
        self._has_room = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        is_sent = self.send_nowait(bytes(data))
        while not is_sent:
            await self._has_room.wait()
            is_sent = self.send_nowait(b"")

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self._stream.aclose()


def prompt_pair() -> tuple[Prompt, trio.abc.Stream]:
    ours, theirs = trio.testing.memory_stream_pair()
    return Prompt(ours, theirs.receive_stream), theirs
