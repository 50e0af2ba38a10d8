"""How connections are left: each breach shows in what passes at the client's end, and nothing else is taken for one."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from bintrio._net.wire import Wire
from bintrio._protocol.frames import Opcode, close_payload, encode_frame
from bintrio.endpoints import PRODUCTION, Address
from bintrio.sandbox import Link, Way
from bintrio.storm import Plan, Step, Terms, run
from bintrio.storm.doorway import PATIENCE, Doorway
from bintrio.storm.plan import Rotate

HELLO = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
CLOSE = close_payload(1000, "")
MASK = b"mask"


def frame(opcode: Opcode, payload: bytes = b"") -> bytes:
    """Of the client."""
    return encode_frame(opcode, payload, MASK)


class Line:
    """A connection through a door: the client's end, the exchange's, and what was untrue."""

    def __init__(self) -> None:
        self._ours, self.theirs = memory_stream_pair()
        nobody: Any = self
        self._doorway = Doorway(nobody)
        self.untrue = self._doorway.untrue

    async def connect(self, address: Address) -> trio.abc.Stream:
        """As a sandbox does."""
        return self._ours

    async def opened(self) -> trio.abc.Stream:
        """The client's end, once the handshake is done: its answer came in two parts."""
        ours = await self._doorway.connect(PRODUCTION.addresses(time_unit="ms")[0])
        await ours.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await self.come(ours, HELLO[:-2])
        await self.come(ours, HELLO[-2:])
        return ours

    async def come(self, ours: trio.abc.Stream, data: bytes) -> None:
        """Bytes of the exchange."""
        await self.theirs.send_all(data)
        await ours.receive_some()


async def test_who_closes_and_waits_for_the_answer_has_done_nothing_wrong() -> None:
    line = Line()
    ours = await line.opened()
    await ours.send_all(frame(Opcode.PONG, b"p") + frame(Opcode.TEXT, b"a message"))
    await ours.send_all(frame(Opcode.PONG, b"p") + frame(Opcode.CLOSE, CLOSE))
    await line.come(ours, encode_frame(Opcode.TEXT, b"an answer") + encode_frame(Opcode.CLOSE, CLOSE))
    await ours.aclose()
    assert line.untrue == []


async def test_nothing_follows_a_close_frame() -> None:
    line = Line()
    ours = await line.opened()
    await ours.send_all(frame(Opcode.CLOSE) + frame(Opcode.TEXT, b"in one piece"))
    assert line.untrue == ["18 bytes left behind a close frame (RFC 6455, 5.5.1)"]
    await ours.send_all(frame(Opcode.PONG))
    assert line.untrue[1:] == ["6 bytes left behind a close frame (RFC 6455, 5.5.1)"]


async def test_g7_no_message_leaves_once_the_exchange_has_closed() -> None:
    line = Line()
    ours = await line.opened()
    await line.come(ours, encode_frame(Opcode.CLOSE, CLOSE))
    await ours.send_all(frame(Opcode.PONG))
    assert line.untrue == []
    await ours.send_all(frame(Opcode.PONG) + frame(Opcode.TEXT, b"queued"))
    await ours.send_all(frame(Opcode.CLOSE, CLOSE))
    said = "a message of 12 bytes left after the exchange's close frame had come (G7)"
    assert line.untrue == [said]


PINGS = encode_frame(Opcode.PING, b"1") + encode_frame(Opcode.PING, b"2")
PONG = frame(Opcode.PONG, b"1")


@pytest.mark.parametrize(("pongs", "is_late"), [(0, True), (1, True), (2, False)])
async def test_g3_pongs_go_before_the_second_message(pongs: int, is_late: bool) -> None:
    line = Line()
    ours = await line.opened()
    await ours.send_all(frame(Opcode.TEXT, b"the first"))
    await line.come(ours, PINGS[:3])
    await line.come(ours, PINGS[3:] + encode_frame(Opcode.TEXT, b"its answer"))
    # What comes later is not followed by it.
    await line.come(ours, PINGS + encode_frame(Opcode.TEXT, b"an event"))
    await ours.send_all(PONG * pongs + frame(Opcode.TEXT, b"the second"))
    await ours.send_all(frame(Opcode.TEXT, b"the third"))
    said = "a message left before the pong to a ping that had come with what it follows (G3)"
    assert line.untrue == [said] * is_late


@pytest.mark.parametrize("waits", [0.0, PATIENCE / 2, PATIENCE])
async def test_who_closes_has_to_wait_for_the_answer(autojump_clock: MockClock, waits: float) -> None:
    line = Line()
    ours = await line.opened()
    await ours.send_all(frame(Opcode.CLOSE, CLOSE))
    await trio.sleep(waits)
    await ours.aclose()
    await ours.aclose()
    told = f"a connection was left {waits:g} s after a close frame that had no answer yet (G5)"
    assert line.untrue == ([] if waits == PATIENCE else [told])


async def test_who_has_not_closed_may_leave() -> None:
    line = Line()
    await (await line.opened()).aclose()
    assert line.untrue == []


@pytest.mark.parametrize("last", [b"", b"\xff\xfe\xfd"], ids=["the end", "no frame"])
async def test_nobody_has_to_wait_for_an_exchange_that_has_gone(last: bytes) -> None:
    line = Line()
    ours = await line.opened()
    await ours.send_all(frame(Opcode.CLOSE, CLOSE))
    if last:
        await line.come(ours, last)
    else:
        await line.theirs.aclose()
        assert await ours.receive_some() == b""
    await ours.aclose()
    assert line.untrue == []


@pytest.mark.parametrize("what", ["send_all", "receive_some"])
async def test_nor_for_one_to_whom_the_line_is_torn(what: str) -> None:
    async def tear(*_args: object) -> None:
        raise trio.BrokenResourceError

    line = Line()
    ours: Any = await line.opened()
    await ours.send_all(frame(Opcode.CLOSE, CLOSE))
    door = ours.aclose.__self__
    setattr(door, f"_{what}", tear)
    with pytest.raises(trio.BrokenResourceError):
        await (ours.send_all(b"") if what == "send_all" else ours.receive_some())
    await ours.aclose()
    assert line.untrue == []


FAR = Terms(link=Link(up=Way(latency=0.2), down=Way(latency=0.2)), ping_interval=5.0)


def test_a_client_that_passes_on_pings_behind_its_close_frame_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # One of them has its connection pinged as it closes.
    plan = Plan(terms=FAR, steps=tuple(Step(3.0 + tenths / 10, Rotate()) for tenths in range(0, 30, 3)))
    assert run(plan).untruths == []
    pass_on = Wire._pass_on

    def always(wire: Wire, received: Any) -> None:
        closing, wire._closing = wire._closing, trio.Event()
        try:
            pass_on(wire, received)
        finally:
            wire._closing = closing

    monkeypatch.setattr(Wire, "_pass_on", always)
    assert any("after a close frame that had no answer yet" in said for said in run(plan).untruths)
