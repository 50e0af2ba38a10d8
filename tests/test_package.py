"""What users install: from the wheel alone, with no extra, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.extra

ROOT: Final = Path(__file__).parent.parent

PROGRAM: Final = """
import bintrio, trio
from bintrio.sandbox import open_sandbox

async def main():
    async with open_sandbox() as sandbox, bintrio.open_session(sandbox.endpoint, key=sandbox.key) as session:
        order = await session.order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="64000.10", quantity="0.01")
        print(order.price)

trio.run(main)
"""


def run(*command: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT.root)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the package, what it depends on, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    if run(sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder / "index", "hatchling").returncode:
        pytest.skip("no package index can be reached")
    assert run(sys.executable, "-m", "venv", folder / "venv").returncode == 0
    python = folder / "venv/bin/python"
    installed = run(python, "-m", "pip", "install", "--quiet", ROOT)
    assert installed.returncode == 0, installed.stderr
    return python


def test_it_works_without_extras(python: Path) -> None:
    done = run(python, "-I", "-W", "error", "-c", PROGRAM)
    assert (done.returncode, done.stdout, done.stderr) == (0, "64000.10000000\n", "")


def test_its_types_come_with_it(python: Path) -> None:
    where = "import pathlib, bintrio; print(pathlib.Path(bintrio.__file__).with_name('py.typed').exists())"
    assert run(python, "-I", "-c", where).stdout == "True\n"


def test_its_command_says_which_extra_is_missing(python: Path) -> None:
    done = run(python.parent / "bintrio", "methods")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bintrio: the command line needs click: pip install 'bintrio[cli]'\n"
