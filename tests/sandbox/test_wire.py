"""A stream for several writers."""

from __future__ import annotations

import trio
from trio.testing import memory_stream_pair

from bintrio.sandbox.wire import Wire


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
