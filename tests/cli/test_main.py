"""The command itself: version, help, ``python -m``, and an extra that is missing."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import runpy
import sys
from pathlib import Path

import pytest

import bintrio
from bintrio import _version
from bintrio.cli import main
from bintrio.cli._running import EXIT_CODES, UNWRITTEN
from tests.cli.program import run


def test_the_version() -> None:
    assert run("--version").stdout == f"bintrio, version {bintrio.__version__}\n"
    assert bintrio.__version__ == importlib.metadata.version("bintrio")


def test_the_build_finds_the_version() -> None:
    """hatchling looks for such a line; with another annotation than ``str`` it finds none, and nothing installs."""
    source = Path(_version.__file__).read_text()
    assert re.findall(r'^__version__(?:: ?str)? *= *"(.+)"$', source, re.M) == [bintrio.__version__]


def test_help_tells_the_exit_codes() -> None:
    said = " ".join(run("--help").stdout.split())
    for code in {*EXIT_CODES.values(), UNWRITTEN, 1}:
        assert f"; {code} " in said


def test_help_has_a_whole_sentence_for_each_command() -> None:
    _, _, commands = run("--help").stdout.partition("Commands:\n")
    lines = commands.partition("\n\n")[0].splitlines()
    assert len(lines) == len(main.commands)
    assert all(line.endswith(".") and "..." not in line for line in lines), lines


def test_a_variable_that_is_none_of_ours_is_told_of_once() -> None:
    for _ in range(2):
        result = run("call", "no.method", env={"BINTRIO_ENDPONT": "demo"})
        assert result.stderr.count("BINTRIO_ENDPONT is not a setting; did you mean 'BINTRIO_ENDPOINT'?\n") == 1


@pytest.mark.parametrize("package", ["click", "rich.console"])
def test_a_missing_extra_is_one_sentence(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("bintrio.cli")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("bintrio.cli")
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"bintrio: the command line needs {package}: pip install 'bintrio[cli]'\n"


def test_python_m_is_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bintrio", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("bintrio", run_name="__main__", alter_sys=False)
    assert ended.value.code == 0
    assert "sandbox" in capsys.readouterr().out
    assert "main" in runpy.run_module("bintrio.__main__", run_name="imported")
