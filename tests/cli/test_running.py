"""How a command ends, by what ended it."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

import bintrio
from bintrio.cli._running import UNWRITTEN
from tests.cli.program import no_network, run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (bintrio.InvalidRequest("wrong"), 2),
        (OSError("no such port"), 2),
        (bintrio.Rejected("ping", status=400, code=-1, message="no"), 3),
        (bintrio.Banned("ping", status=418, code=-1003, message="no"), 3),
        (bintrio.NotSent("ping", "no network"), 4),
        (bintrio.ConnectionFailed([("wss://a", OSError("down"))]), 4),
        (bintrio.OutcomeUnknown("ping", "lost"), 5),
        (bintrio.ProtocolViolation("odd"), 6),
        (ExceptionGroup("", [ExceptionGroup("", [bintrio.OutcomeUnknown("ping", "lost")])]), 5),
    ],
)
def test_exit_codes_follow_the_class(error: Exception, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch, error)
    result = run("call", "ping")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
    assert not result.stderr.startswith("ExceptionGroup")


def test_an_error_of_several_lines_is_told_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch, bintrio.ProtocolViolation("odd\n  and long"))
    assert run("call", "ping").stderr == "ProtocolViolation: odd and long\n"


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        BaseExceptionGroup("", [bintrio.NotSent("ping", "closed"), KeyboardInterrupt()]),
        BaseExceptionGroup("", [ValueError("a bug"), KeyboardInterrupt()]),
    ],
)
def test_ctrl_c_ends_a_call_without_a_word(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch, error)
    result = run("call", "ping")
    assert (result.exit_code, result.output) == (130, "")


def test_a_reader_who_has_enough_hears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch, BrokenPipeError(32, "Broken pipe"))
    result = run("call", "ping")
    assert (result.exit_code, result.output) == (UNWRITTEN, "")


@pytest.mark.parametrize("error", [ValueError("a bug"), ExceptionGroup("", [OSError(), ValueError("a bug")])])
def test_a_bug_is_seen_whole(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch, error)
    assert run("call", "ping").exception is error


@pytest.mark.parametrize("arguments", [["sandbox", "--tls"], ["demo"]])
def test_tls_names_the_extra_that_it_needs(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: dict[str, Any] = {}
    monkeypatch.setattr(importlib.util, "find_spec", nothing.get)
    result = run(*arguments)
    assert result.exit_code == 2
    assert "this needs trustme: pip install 'bintrio[tls]'" in result.stderr
