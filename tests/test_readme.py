"""Every Python block of the README is run, so that none can rot.

A block that calls `trio.run` is a program, and is run as one. A block whose first line names a file, as a comment, is a
file of a test suite, and pytest runs them together. Any other block is a fragment, and is run where a reader would
write it: in a coroutine, with a session at hand. There, what leads to the exchange leads to a sandbox.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from itertools import chain
from pathlib import Path
from textwrap import indent
from types import CodeType
from typing import Any, Final

import pytest
import trio
import trio.testing

import bintrio
from bintrio.sandbox import Disconnect, Fault, RandomWalk, Sandbox, TooManyRequests, open_sandbox
from tests.pages import unknown_names

pytest_plugins = ["pytester"]

ROOT: Final = Path(__file__).parent.parent
README: Final = (ROOT / "README.md").read_text("utf-8")

BLOCKS: Final[list[str]] = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
FILES: Final = {block.splitlines()[0].removeprefix("# "): block for block in BLOCKS if re.match(r"# \w+\.py\n", block)}
PROGRAMS: Final = [block for block in BLOCKS if "trio.run(" in block]
FRAGMENTS: Final = [block for block in BLOCKS if block not in PROGRAMS and block not in FILES.values()]


def test_the_first_example_is_above_the_fold() -> None:
    assert README.splitlines().index("```python") < 15
    assert BLOCKS[0] in PROGRAMS
    assert len(BLOCKS[0].splitlines()) == 11


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs(program: str, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(program)
    done = subprocess.run([sys.executable, "-W", "error", str(file)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_ctrl_c_ends_a_program_at_once(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(re.sub(r"^( *)(print\(.*)", r"\1\2\n\1await trio.sleep_forever()", BLOCKS[0], flags=re.M))
    with subprocess.Popen(
        [sys.executable, "-u", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert errors.endswith("\nKeyboardInterrupt\n")
    assert errors.count("Traceback") == 1
    assert "ExceptionGroup" not in errors


def test_the_files_of_a_test_suite_pass(pytester: pytest.Pytester) -> None:
    assert set(FILES) == {"conftest.py", "test_bot.py"}
    for name, text in FILES.items():
        (pytester.path / name).write_text(text)
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error")
    tests = sum(text.count("async def test_") for text in FILES.values())
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=tests)


def compiled(fragment: str) -> CodeType:
    """A fragment as the body of a coroutine function called ``fragment``, of whose parameters it may use any."""
    names = "bintrio, trio, Decimal, sandbox, session"
    return compile(f"async def fragment({names}):\n{indent(fragment, '    ')}", "README.md", "exec")


async def run(fragment: str, sandbox: Sandbox, session: bintrio.Session) -> None:
    namespace: dict[str, Any] = {}
    exec(compiled(fragment), namespace)
    with trio.fail_after(3600):
        await namespace["fragment"](bintrio, trio, Decimal, sandbox, session)


def lead_to(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every session and every key file that a fragment opens be the sandbox's."""
    open_session = bintrio.open_session

    def open_here(_endpoint: object, *, key: bintrio.Key) -> AbstractAsyncContextManager[bintrio.Session]:
        return open_session(sandbox.endpoint, key=key, connect=sandbox.connect)

    def key_of_the_sandbox(_path: str, *, api_key: str) -> bintrio.Key:
        assert api_key
        return sandbox.key

    monkeypatch.setattr(bintrio, "open_session", open_here)
    monkeypatch.setattr(bintrio.Ed25519Key, "from_pem_file", key_of_the_sandbox)


@asynccontextmanager
async def at_hand(*faults: Fault) -> AsyncGenerator[tuple[Sandbox, bintrio.Session]]:
    async with (
        open_sandbox(listen=False, faults=faults) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        sandbox.quote("BTCUSDT", Decimal(64_000), Decimal(64_001), Decimal(1))
        yield sandbox, session


@pytest.mark.parametrize("fragment", FRAGMENTS)
async def test_a_fragment_runs(
    fragment: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with at_hand() as (sandbox, session):
        lead_to(sandbox, monkeypatch)
        await run(fragment, sandbox, session)


async def test_all_fragments_end_in_one_session(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """In the sandbox of the first program, one after the other."""
    assert "open_sandbox(market=RandomWalk())" in BLOCKS[0]
    async with (
        open_sandbox(listen=False, market=RandomWalk()) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        lead_to(sandbox, monkeypatch)
        for fragment in FRAGMENTS:
            await run(fragment, sandbox, session)
        placed = re.findall(r"order_place\(|account\.place\(", "".join(FRAGMENTS))
        assert sandbox.received["order.place"] == len(placed)
        assert {order.status for order in sandbox.orders} == {"FILLED"}


@pytest.mark.parametrize("executed", [True, False])
async def test_a_fragment_finds_out_what_became_of_its_order(
    executed: bool, autojump_clock: trio.testing.MockClock
) -> None:
    (fragment,) = (each for each in FRAGMENTS if "confirm(error)" in each)
    async with at_hand(Disconnect("order.place", executed=executed)) as (sandbox, session):
        await run(fragment, sandbox, session)
        assert (len(sandbox.orders), sandbox.received["order.place"]) == (int(executed), 1)
        assert sandbox.received["order.status"] >= 1


async def test_a_fragment_says_why_its_order_was_refused(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    (fragment,) = (each for each in FRAGMENTS if "confirm(error)" in each)
    async with at_hand(TooManyRequests("order.place")) as (sandbox, session):
        await run(fragment, sandbox, session)
        sandbox.withdraw("USDT", Decimal(1_000_000))
        await run(fragment, sandbox, session)
    assert re.fullmatch(r"-1003 .*\nnot enough\n", capsys.readouterr().out)


def test_every_name_of_the_library_exists() -> None:
    assert not [*chain.from_iterable(map(unknown_names, BLOCKS))]


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).is_file()


def test_the_contract_is_told_in_full() -> None:
    design = (ROOT / "docs" / "design.md").read_text("utf-8")

    def promises(text: str) -> set[str]:
        return set(re.findall(r"^\| (G\d+) ", text, re.MULTILINE))

    assert promises(README) == promises(design) != set()


def test_the_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`make (\w+)`", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
