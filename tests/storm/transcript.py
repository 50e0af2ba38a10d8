"""Every byte that crossed the wire of a world, with its time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from unittest import mock

import trio

from bintrio._protocol.frames import apply_mask
from bintrio.sandbox.server.memory import Line
from bintrio.storm import Plan, run

Entry = tuple[float, int, str, bytes]

_NONCE: Final = re.compile(rb"(Sec-WebSocket-(?:Key|Accept): )[^\r]*", re.IGNORECASE)
_FIRST_CONTROL: Final = 0x88


class Tapped(trio.abc.Stream):
    """The sandbox's end of a connection, with whoever is told what passes."""

    def __init__(self, inner: trio.abc.Stream, tell: Callable[[str, bytes], None]) -> None:
        self._inner = inner
        self._tell = tell

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._tell("down", bytes(data))
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self._inner.receive_some(max_bytes))
        self._tell("up", data)
        return data

    async def aclose(self) -> None:
        await self._inner.aclose()


def transcript_of(plan: Plan) -> list[Entry]:
    """What a world's wire carried. trio-websocket's nonce and the masks of its control frames are blanked."""
    entries: list[Entry] = []

    class TappedLine(Line):
        def __init__(self, link: Any, number: int) -> None:
            super().__init__(link, number)
            inner: Any = self.server
            this: Any = self

            def tell(way: str, data: bytes) -> None:
                entries.append((trio.current_time(), number, way, data))

            this.server = Tapped(inner, tell)

    with mock.patch("bintrio.sandbox.server.network.Line", TappedLine):
        report = run(plan)
    assert report.untruths == []
    return list(_blanked(entries))


def _blanked(entries: list[Entry]) -> Iterator[Entry]:
    """Without what is different each time. The way up is put together: frames come in parts."""
    up: dict[int, bytes] = {}
    for time, number, way, data in entries:
        if way == "up":
            up[number] = up.get(number, b"") + data
        yield time, number, way, _NONCE.sub(rb"\1", data) if way == "down" else bytes(len(data))
    for number, data in up.items():
        head, _, frames = data.partition(b"\r\n\r\n")
        yield 0.0, number, "head", _NONCE.sub(rb"\1", head)
        yield from ((0.0, number, "frame", frame) for frame in _frames(frames))


def _frames(data: bytes) -> Iterator[bytes]:
    """A client's frames; of control frames what they carry."""
    while len(data) >= 2:
        size, start = data[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        end = start + 4 + size
        frame, data = data[:end], data[end:]
        yield frame[:2] + apply_mask(frame[6:], frame[2:6]) if frame[0] >= _FIRST_CONTROL else frame
