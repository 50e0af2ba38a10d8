"""``bintrio demo``: its story, and what it says when something fails."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from msgspec.structs import replace

from bintrio.cli import demo
from bintrio.cli._running import INTERRUPTED
from bintrio.sandbox import Disconnect, Fault, ServerError, World, open_world
from tests.cli.program import PROGRAM, run


def faulty(*faults: Fault) -> Callable[..., AbstractAsyncContextManager[Any]]:
    def opened(world: World, *, tls: bool = False) -> AbstractAsyncContextManager[Any]:
        return open_world(replace(world, faults=faults), tls=tls)

    return opened


def last_line(text: str) -> str:
    return text.splitlines(keepends=True)[-1]


def test_the_demo_tells_a_story_without_a_failure() -> None:
    result = run("demo")
    assert result.exit_code == 0, result.output
    for said in (" ws://127.0.0.1:", " wss://127.0.0.1:", "logged on", "FILLED", "events lost: 0, doubled: 0"):
        assert said in result.stdout
    assert result.stdout.count("failed calls: 0; connections lost: 0") == 2
    assert result.stdout.count("connection 1 to connection 2") == 2
    assert result.stdout.endswith("failures: 0\n")


def test_the_demo_counts_calls_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "open_world", faulty(ServerError(method="ping", executed=False, skip=10, times=3)))
    result = run("demo")
    assert result.exit_code == 1
    assert result.stdout.count("failed calls: 3") == 2
    assert result.stdout.count("OutcomeUnknown: ping") == 6
    assert result.stdout.endswith("failures: 6\n")


def test_the_demo_notices_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "open_world", faulty(Disconnect(method="depth")))
    result = run("demo")
    assert result.exit_code == 1
    assert result.stdout.endswith("connections lost: 1\n" + last_line(result.stdout))


def test_the_demo_ends_with_an_error_of_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "open_world", faulty(ServerError(method="order.cancel", executed=True)))
    result = run("demo")
    assert result.exit_code == 1
    assert "OutcomeUnknown: order.cancel" in result.stdout


def test_the_demo_does_not_last_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PATIENCE", 0)
    result = run("demo")
    assert result.exit_code == 1
    assert "it was not over within 0 s\n" in result.stdout


def test_ctrl_c_ends_the_demo_at_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any("order book" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (INTERRUPTED, "")
