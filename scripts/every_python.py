"""Run the suite on every Python from 3.11 on that is installed, and on the oldest with the lowest allowed versions.

python -m scripts.every_python

Interpreters are looked for as python3.11, python3.12 and so on: on the path, and below ~/.pyenv/versions. Each run has
an environment of its own, in .venv/all, which is kept for the next time. Arguments go to pytest.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
ENVIRONMENTS: Final = ROOT / ".venv" / "all"
MINORS: Final = range(11, 31)
PYENV: Final = Path.home() / ".pyenv" / "versions"
LOWEST: Final = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=(?P<version>[0-9.]+)")
TESTED: Final = ("cli", "tls", "ui", "test", "dev")
"""The extras that the suite needs."""


def main() -> int:
    """Run all, and name what failed; gives the exit code."""
    pythons = dict(interpreters())
    if not pythons:
        print("no python3.11 or later was found")
        return 2
    oldest = min(pythons)
    runs = {f"3.{minor}": (python, "") for minor, python in sorted(pythons.items())}
    runs[f"3.{oldest} with the lowest versions"] = (pythons[oldest], constraints(project()))
    failed = [name for name, (python, bounds) in runs.items() if not passes(name, python, bounds)]
    print(f"\n{len(runs) - len(failed)} of {len(runs)} passed", *(f"failed: {name}" for name in failed), sep="\n")
    return min(len(failed), 1)


def interpreters() -> Iterator[tuple[int, str]]:
    """The newest interpreter that runs of each minor version, by that."""
    for minor in MINORS:
        found = (python for python in candidates(minor) if runs(python))
        if python := next(found, None):
            yield minor, python


def candidates(minor: int) -> Iterator[str]:
    """Where an interpreter of a minor version may be."""
    on_path = shutil.which(f"python3.{minor}")
    if on_path is not None:
        yield on_path
    patches = sorted(PYENV.glob(f"3.{minor}.*"), key=lambda folder: [*map(int, re.findall("[0-9]+", folder.name))])
    for folder in reversed(patches):
        yield str(folder / "bin" / "python")


def runs(python: str) -> bool:
    """A shim of pyenv is on the path also where no version stands behind it."""
    try:
        return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def project() -> dict[str, Any]:
    """The table ``project`` of pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def constraints(table: dict[str, Any]) -> str:
    """The lowest version that each requirement allows, as a constraints file of pip."""
    extras: dict[str, list[str]] = table["optional-dependencies"]
    return "".join(lowest([*table["dependencies"], *(each for extra in TESTED for each in extras[extra])]))


def lowest(requirements: Iterable[str]) -> Iterator[str]:
    """A line for each package that has a lower bound; of several, the highest, as pip has to heed them all."""
    bounds: dict[str, str] = {}
    for requirement in requirements:
        if found := LOWEST.match(requirement):
            name, version = found["name"], found["version"]
            bounds[name] = max(version, bounds.get(name, version), key=_numbers)
    return (f"{name}=={version}\n" for name, version in bounds.items())


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def passes(name: str, python: str, bounds: str) -> bool:
    """Whether the suite passes with an interpreter, and no newer versions than ``bounds`` has, if it has any."""
    print(f"\n=== Python {name}: {python}", flush=True)
    folder = ENVIRONMENTS / name.replace(" ", "-")
    limits = ENVIRONMENTS / "lowest.txt"
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    limits.write_text(bounds, "utf-8")
    inside = str(folder / "bin" / "python")
    install = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", ".[dev]"]
    # Each in an order of tasks of its own: what holds in one only is a fault.
    run = [inside, "-m", "pytest", "-m", "not extra", "--numprocesses", "auto", "--order-of-tasks", name]
    steps = [[python, "-m", "venv", str(folder)], [*install, "--constraint", str(limits)], [*run, *sys.argv[1:]]]
    return all(subprocess.run(step, cwd=ROOT, check=False).returncode == 0 for step in steps)


if __name__ == "__main__":
    sys.exit(main())
