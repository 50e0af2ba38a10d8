"""The writer of a wire: how much leaves in one write, and what a cancellation keeps from leaving."""

from __future__ import annotations

import trio
import trio.testing

from bintrio._net.writer import Writer
from tests.net.raw import prompt_pair


def ignore(_: object) -> None:
    """Nobody asks."""


async def test_frames_leave_in_batches_of_64_kib() -> None:
    ours, _ = prompt_pair()
    writer = Writer(ours, ignore)
    for _ in range(65):
        writer.put(bytes(1024), at_once=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run, ignore)
        await trio.testing.wait_all_tasks_blocked()
        assert (ours.writes, writer.backlog) == (2, 0)
        nursery.cancel_scope.cancel()


async def test_g8_a_writer_that_is_cancelled_before_its_turn_has_come_writes_nothing() -> None:
    ours, _ = prompt_pair()
    writer = Writer(ours, ignore)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run, ignore)
        await trio.testing.wait_all_tasks_blocked()
        writer.put(b"frame", at_once=False)
        nursery.cancel_scope.cancel()
    assert (ours.writes, writer.backlog) == (0, len(b"frame"))
