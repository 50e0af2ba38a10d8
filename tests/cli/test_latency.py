"""``bintrio latency``."""

from __future__ import annotations

import json

from bintrio.cli._running import EXIT_CODES
from tests.cli.program import run


def test_percentiles_are_one_line_of_json(environment: dict[str, str]) -> None:
    result = run("latency", "--count", "20", "--pause", "0", env=environment)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert (found["method"], found["count"]) == ("ping", 20)
    assert 0 < found["best"] <= found["p50"] <= found["p90"] <= found["p99"] <= found["worst"]


def test_on_a_terminal_there_is_a_chart(environment: dict[str, str]) -> None:
    result = run("latency", "--count", "20", "--pause", "0", env={**environment, "FORCE_COLOR": "1", "COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    assert "p99" in result.stdout
    assert result.stdout.count(" to ") == 10
    assert "█" * 40 in result.stdout
    assert "20 of 20" in result.stderr, "a progress bar"


def test_an_error_ends_it_as_any_command() -> None:
    result = run("latency", "--endpoint", "ws://127.0.0.1:9/")
    assert result.exit_code in EXIT_CODES.values()
    assert result.stderr.startswith("ConnectionFailed")
