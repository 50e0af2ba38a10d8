"""A sandbox to call."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bintrio.cli._running import INTERRUPTED
from tests.cli.program import PROGRAM


@pytest.fixture(scope="module")
def exchange() -> Iterator[dict[str, str]]:
    """``bintrio sandbox`` as a program of its own: the environment it asks for, and its HMAC key."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "sandbox"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        settings: dict[str, str] = {}
        for line in process.stdout:
            words = line.split()
            if words[:1] == ["export"]:
                name, _, value = words[1].partition("=")
                settings[name] = value
            elif words[:1] == ["secret"]:
                settings["secret"] = words[1]
            elif words[:2] == ["HMAC", "key"]:
                settings["hmac"] = words[2]
            elif words[:3] == ["bintrio", "call", "order.place"]:
                break
        yield settings
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == INTERRUPTED
    assert not Path(settings["BINTRIO_PRIVATE_KEY_FILE"]).exists()


@pytest.fixture
def environment(exchange: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in exchange.items() if name.startswith("BINTRIO_")}
