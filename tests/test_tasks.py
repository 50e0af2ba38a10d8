"""Ctrl-C and background tasks."""

from __future__ import annotations

import signal

import pytest
import trio

from bintrio._tasks import protected, protecting


async def interrupted_in_the_background(*, is_protected: bool) -> None:
    async def interrupt(number: int) -> None:
        assert number == 1
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        if is_protected:
            protecting(nursery).start_soon(interrupt, 1)
        else:
            nursery.start_soon(interrupt, 1)
        await trio.sleep_forever()


def test_an_interrupt_passes_a_protected_task_by_and_comes_out_of_the_main_one() -> None:
    reached: list[str] = []

    async def main() -> None:
        try:
            await interrupted_in_the_background(is_protected=True)
        finally:
            reached.append("main")

    with pytest.raises(BaseException) as caught:  # noqa: PT011  # a group of one: the nursery is the test's own
        trio.run(main)
    assert caught.group_contains(KeyboardInterrupt) or isinstance(caught.value, KeyboardInterrupt)
    assert reached == ["main"]


async def test_a_protected_task_runs_and_raises_as_it_would_otherwise() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        await trio.lowlevel.checkpoint()
        done.append(number)

    async def fail() -> None:
        raise ValueError("work")

    await protected(work, 3)
    assert done == [3]
    with pytest.raises(ValueError, match="work"):
        await protected(fail)
