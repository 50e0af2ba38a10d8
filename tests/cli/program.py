"""The command line as the tests run it."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner, Result

import bintrio
from bintrio import settings
from bintrio.cli import main

PROGRAM = """
from bintrio.cli import main
main(prog_name="bintrio")
"""


def run(*args: str, env: dict[str, str] | None = None) -> Result:
    """The command line, without any settings of this machine's."""
    clean = {name: None for name in os.environ if name.startswith(("BINTRIO_", "FORCE_COLOR", "TTY_"))}
    return CliRunner().invoke(main, args, env={**clean, **(env or {})})


def refused(*args: str, env: dict[str, str] | None = None) -> str:
    """What is said of bad input: one line, and exit code 2."""
    result = run(*args, env=env)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    return result.stderr


def no_network(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> list[Any]:
    """Let every session end with an error before it is open; gives the endpoints that were tried."""
    tried: list[Any] = []

    def open_session(endpoint: bintrio.Endpoint, **_options: object) -> NoReturn:
        tried.append(endpoint)
        raise error

    monkeypatch.setattr(settings, "open_session", open_session)
    return tried
