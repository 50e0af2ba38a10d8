"""No test runs for ever: one that hangs fails, and shows where."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Generator
from typing import Any

import pytest
import trio

SECONDS = 180.0
"""What one test may take, by the wall clock. The slowest takes some 10 s, more on a busy machine."""

AGAIN = 5.0
"""Seconds after which what caught the first alarm is told again."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, Any, Any]:
    if not hasattr(signal, "SIGALRM"):  # Windows
        return (yield)
    alarms = itertools.count()

    def ring(_signal: int, _frame: object) -> None:
        _give_up(is_first=next(alarms) == 0)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, AGAIN)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _give_up(*, is_first: bool) -> None:
    """Fail wherever the main thread is; under trio, from a task, so that everything is cancelled first."""
    if is_first and trio.lowlevel.in_trio_run():
        trio.lowlevel.current_trio_token().run_sync_soon(_fail, _tasks())
    else:
        _fail([])


def _fail(tasks: list[str]) -> None:
    pytest.fail("\n  ".join((f"it took more than {SECONDS:g} s", *tasks)))


def _tasks() -> list[str]:
    """What waits where."""
    root = trio.lowlevel.current_root_task()
    waiting = [] if root is None else [root]
    for task in waiting:
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return [f"{task.name}: {_place(task)}" for task in waiting]


def _place(task: trio.lowlevel.Task) -> str:
    frames = [(frame.f_code.co_filename, line) for frame, line in task.iter_await_frames()]
    ours = [frame for frame in frames if "/trio/" not in frame[0]]
    return "{}:{}".format(*(ours or frames or [("?", 0)])[-1])
