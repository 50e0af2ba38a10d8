"""Programs that are not in Python trade on a sandbox in a process of its own, and drive it by its control."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

pytestmark = pytest.mark.extra

HERE: Final = Path(__file__).parent / "elsewhere"


@pytest.fixture
def made() -> Generator[str]:
    """What a sandbox prints that runs meanwhile."""
    command = [sys.executable, "-m", "bintrio", "sandbox", "--json", "--control", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BINTRIO_")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout is not None
        yield sandbox.stdout.readline()
        sandbox.terminate()
        assert sandbox.wait(timeout=30) == 0


def output(*command: str | Path) -> list[Any]:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_a_bot_in_javascript_trades_and_drives_the_control(made: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    (told,) = output(node, HERE / "bot.mjs", made)
    assert told["quoted"]["status"] == 200
    assert told["advanced"]["told"]["time"] >= told["before"] + 3_600_000
    placed = told["placed"]
    assert (placed["status"], placed["result"]["status"]) == (200, "NEW")
    assert placed["result"]["transactTime"] >= told["before"] + 3_600_000
    assert (told["filled"]["status"], told["filled"]["told"]["status"]) == (200, "FILLED")
    (order,) = told["orders"]["told"]
    assert order["order_id"] == placed["result"]["orderId"]
    assert told["wrong"]["status"] == 400
    assert "amount" in told["wrong"]["told"]["error"]


def test_a_shell_drives_the_control(made: str) -> None:
    if shutil.which("curl") is None or shutil.which("sh") is None:
        pytest.skip("needs sh and curl")
    state, deposited, refused = output("sh", HERE / "control.sh", json.loads(made)["control"])
    assert state["endpoint"] == json.loads(made)["endpoint"]
    assert "BTC" in json.dumps(deposited)
    assert "99" in refused["error"]
