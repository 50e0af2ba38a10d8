"""Streams in memory: what waits for a client that does not read is bounded."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bintrio.sandbox import Limits, Link, Way, open_sandbox
from bintrio.sandbox.server import links, outbox
from bintrio.sandbox.server.memory import memory_stream_pair

from .peer import HANDSHAKE
from .test_hostile import ADDRESS, PING, text


async def fill(stream: trio.abc.Stream, times: int, written: list[int]) -> None:
    for number in range(times):
        await stream.send_all(b"x" * links.MAX_UNREAD)
        written.append(number)


async def test_who_writes_waits_for_a_client_that_does_not_read(nursery: trio.Nursery) -> None:
    client, server = memory_stream_pair()
    written: list[int] = []
    nursery.start_soon(fill, server, 9, written)
    await wait_all_tasks_blocked()
    assert written == [0, 1]
    received = 0
    while received < 9 * links.MAX_UNREAD:
        received += len(await client.receive_some())
    assert written == [*range(9)]


async def test_what_was_cancelled_while_it_waited_leaves_with_what_follows() -> None:
    client, server = memory_stream_pair()
    await server.send_all(b"a" * (links.MAX_UNREAD + 1))
    with trio.move_on_after(0) as scope:
        await server.send_all(b"b")
    assert scope.cancelled_caught
    await client.receive_some()
    with trio.move_on_after(0):
        await client.receive_some()
    await server.send_all(b"c")
    assert (await client.receive_some())[-1:] == b"c"


async def test_nothing_can_be_written_and_nothing_comes_of_it() -> None:
    client, server = memory_stream_pair()
    await server.send_all(b"")
    await server.send_all(b"a")
    assert await client.receive_some() == b"a"


async def test_a_connection_that_is_cut_with_nothing_left_to_say_is_no_error(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_sandbox(listen=False) as sandbox:
        stream = await sandbox.connect(ADDRESS)
        await stream.send_all(HANDSHAKE)
        await stream.receive_some()
        await trio.sleep(1)
        sandbox.disconnect()
        assert await stream.receive_some() == b""
    assert caplog.text == ""


@pytest.mark.parametrize("end", ["client", "server"])
async def test_who_waits_learns_that_a_stream_was_closed(end: str) -> None:
    client, server = memory_stream_pair()
    streams = {"client": client, "server": server}
    await server.send_all(b"a" * (links.MAX_UNREAD + 1))
    caught: list[BaseException] = []

    async def write() -> None:
        try:
            await server.send_all(b"b")
        except trio.BrokenResourceError as error:
            caught.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await wait_all_tasks_blocked()
        await streams[end].aclose()
    assert len(caught) == 1
    if end == "server":
        assert bytes(await client.receive_some())[-1:] == b"b"
        assert bytes(await client.receive_some()) == b""


async def test_g11_requests_of_a_client_that_does_not_read_wait(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_UNREAD", 1_000)
    link = Link(down=Way(buffer=1_000))
    async with open_sandbox(listen=False, limits=Limits(weight=10**9), link=link) as sandbox:
        stream = await sandbox.connect(ADDRESS)
        await stream.send_all(HANDSHAKE)
        assert b"101" in bytes(await stream.receive_some())
        await stream.send_all(text(PING) * 1_000)
        await wait_all_tasks_blocked()
        assert sandbox.received["ping"] < 100
        while sandbox.received["ping"] < 1_000:
            await stream.receive_some()
