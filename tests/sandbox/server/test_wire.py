"""A stream for several writers."""

from __future__ import annotations

import trio
from trio.testing import MockClock, memory_stream_pair, memory_stream_pump, wait_all_tasks_blocked

from bintrio._protocol.frames import Opcode, encode_frame
from bintrio.sandbox.server.wire import Wire
from tests.streams import WholeStream


async def test_writers_take_turns() -> None:
    ours, theirs = memory_stream_pair()
    wire = Wire(ours)
    async with trio.open_nursery() as nursery:
        for text in (b"one", b"two"):
            nursery.start_soon(wire.send_all, text)
        nursery.start_soon(wire.wait_send_all_might_not_block)
    assert bytes(await theirs.receive_some()) in {b"onetwo", b"twoone"}
    assert wire.address == "memory"


async def test_a_broken_stream_is_an_ended_one() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    client = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
    stream = await listeners[0].accept()
    wire = Wire(stream)
    assert wire.address == "127.0.0.1"
    client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    await client.aclose()
    assert not await wire.receive_head()
    await stream.aclose()
    await listeners[0].aclose()


async def test_nothing_follows_a_close_frame() -> None:
    ours, theirs = memory_stream_pair()
    wire = Wire(ours)
    await wire.send_close(1001, "x" * 200)
    await wire.send_close(1011, "")
    await wire.send_frames(b"more")
    received = bytes(await theirs.receive_some())
    assert received == encode_frame(Opcode.CLOSE, b"\x03\xe9" + b"x" * 123)


async def test_no_close_frame_goes_into_the_middle_of_another(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    wire = Wire(ours)
    ours.send_stream.send_all_hook = trio.sleep_forever
    with trio.move_on_after(1) as scope:
        await wire.send_frames(b"cut off")
    assert scope.cancelled_caught
    ours.send_stream.send_all_hook = None
    await wire.send_close(1011, "")
    assert memory_stream_pump(ours.send_stream, theirs.receive_stream)
    assert bytes(await theirs.receive_some()) == b"cut off"


async def test_last_words_are_read_in_peace_over_a_stream_that_has_one_end(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    wire = Wire(WholeStream(ours))
    async with trio.open_nursery() as nursery:
        await wire.send_last(b"HTTP/1.1 400", is_close=False)
        nursery.start_soon(wire.linger)
        await theirs.send_all(b"unread")
        await wait_all_tasks_blocked()
        assert bytes(await theirs.receive_some()) == b"HTTP/1.1 400"
        await theirs.aclose()


async def test_without_last_words_there_is_no_waiting() -> None:
    ours, _theirs = memory_stream_pair()
    await Wire(ours).linger()
