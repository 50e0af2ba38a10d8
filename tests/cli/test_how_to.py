"""The how-to on the command line: each of its lines is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from tests.cli.program import run
from tests.pages import page

LINES: Final = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", page("how-to/command-line.md"), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_does_what_it_should(
    line: str, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(line)
    assert program == "bintrio"
    result = run(*arguments, env=environment)
    assert (result.exit_code, result.stderr) == (0, ""), result.output


def test_there_are_lines() -> None:
    assert len(LINES) > 8
