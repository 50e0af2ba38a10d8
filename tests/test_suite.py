"""The suite itself: it comes to an end, wherever it is started."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bintrio._net.streams import PromptStream
from bintrio.sandbox import open_sandbox

ROOT = Path(__file__).parent.parent

IGNORING_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]])
"""

SHORT_LIMIT = """
from tests import time_limit
from tests.time_limit import pytest_runtest_protocol
time_limit.SECONDS = 0.2
"""

HANGING = {
    "trio": """
import trio
async def test_it(): await trio.sleep_forever()
""",
    "virtual time": """
import trio
async def test_it(autojump_clock):
    while True: await trio.sleep(1)
""",
    "a process": """
import subprocess, sys, trio
def test_it(): subprocess.run([sys.executable, "-c", "import time; time.sleep(1e6)"])
""",
}


def test_tests_of_ctrl_c_run_where_it_is_ignored() -> None:
    """As under ``nohup make test &``."""
    options = ["-q", "-p", "no:cacheprovider", "tests/net/test_tasks.py", "tests/sandbox/test_open_sandbox.py"]
    done = subprocess.run(
        [sys.executable, "-c", IGNORING_CTRL_C, *options, "-k", "interrupt or ctrl_c"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"[2-9] passed, \d+ deselected", done.stdout), "none was skipped"


@pytest.mark.parametrize("kind", HANGING)
def test_a_test_that_hangs_fails_and_the_next_one_runs(kind: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(SHORT_LIMIT)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true")
    (tmp_path / "test_it.py").write_text(HANGING[kind] + "\n\nasync def test_another(): await trio.sleep(0)")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    print(done.stdout)
    assert done.returncode == 1
    assert "it took more than 0.2 s" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


@pytest.mark.usefixtures("both_streams")
async def test_both_kinds_of_stream_are_what_they_say(request: pytest.FixtureRequest) -> None:
    async with open_sandbox(listen=False) as sandbox:
        stream = await sandbox.connect(sandbox.endpoint.addresses(time_unit="ms")[0])
        assert isinstance(stream, PromptStream) is ("prompt" in request.node.name)
        await stream.aclose()


def test_every_promise_is_tested_over_both_kinds_of_stream() -> None:
    """What the contract says is held against what production does to a socket, and against plain writes."""
    promised = set(re.findall(r"^\| G(\d+) \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE))
    assert promised >= {str(number) for number in range(1, 12)}
    assert promised == set(re.findall(r"^\| G(\d+) \|", (ROOT / "docs" / "design.md").read_text("utf-8"), re.MULTILINE))
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if 'usefixtures("both_streams")' in path.read_text()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not extra", "--collect-only", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    tested: dict[str, set[str]] = {"plain": set(), "prompt": set()}
    for name, parameters in re.findall(r"::(test_\w+)\[(.+)\]$", done.stdout, re.MULTILINE):
        for kind in tested.keys() & set(parameters.split("-")):
            tested[kind] |= set(re.findall(r"_g(\d+)(?=_)", name))
    assert tested == {"plain": promised, "prompt": promised}
