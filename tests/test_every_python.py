"""`make test-all`: which interpreters it finds, and which versions are the lowest that we allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripts import every_python


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    lines = every_python.constraints(every_python.project()).splitlines()
    names = [line.partition("==")[0] for line in lines]
    assert {"trio", "trio-websocket", "msgspec", "cryptography", "click", "rich", "trustme", "pytest"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("trio>=0.30", ["trio==0.30\n"]),
        ("coverage[toml]>=7.10.1", ["coverage==7.10.1\n"]),
        ("mypy==2.4.1", []),
        ("bintrio[cli,tls]", []),
    ],
)
def test_a_lower_bound_is_a_line_and_all_else_is_none(requirement: str, expected: list[str]) -> None:
    assert list(every_python.lowest([requirement])) == expected


def test_of_two_lower_bounds_the_higher_one_counts() -> None:
    assert list(every_python.lowest(["pytest>=8.4", "trio>=0.30", "pytest>=10.1", "pytest>=9.1"])) == [
        "pytest==10.1\n",
        "trio==0.30\n",
    ]


def test_every_version_of_a_classifier_is_one_that_is_looked_for() -> None:
    table: dict[str, Any] = every_python.project()
    minors = [int(line.rpartition(".")[2]) for line in table["classifiers"] if "Python :: 3." in line]
    assert minors == [minor for minor in every_python.MINORS if minor in minors]
    assert f">=3.{minors[0]}" == table["requires-python"]


def test_of_several_interpreters_the_first_that_runs_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(where: Path, code: int) -> str:
        where.parent.mkdir(parents=True)
        where.write_text(f"#!/bin/sh\nexit {code}\n")
        where.chmod(0o755)
        return str(where)

    install(tmp_path / "shims" / "python3.11", 1)
    older = install(tmp_path / "pyenv" / "3.11.9" / "bin" / "python", 0)
    newest = install(tmp_path / "pyenv" / "3.11.10" / "bin" / "python", 0)
    install(tmp_path / "pyenv" / "3.12.0" / "bin" / "python", 1)
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    monkeypatch.setattr(every_python, "PYENV", tmp_path / "pyenv")
    assert dict(every_python.interpreters()) == {11: newest}
    assert list(every_python.candidates(11))[1:] == [newest, older]
