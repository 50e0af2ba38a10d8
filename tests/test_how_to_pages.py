"""The how-tos whose blocks need a sandbox and no more: each is run, and prints what its page says."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

import bintrio
from bintrio.cli import main
from tests.pages import (
    DOCS,
    Block,
    blocks,
    in_memory,
    in_virtual_time,
    named,
    page,
    run_fragment,
    run_program,
    unknown_names,
)

__all__ = ["in_memory", "in_virtual_time"]

pytest_plugins = ["pytester"]

OTHERS = [test for test in DOCS.parent.glob("tests/test_*.py") if test.name != Path(__file__).name]
TESTS = "".join(text for test in OTHERS if "blocks(" in (text := test.read_text("utf-8")) or "(blocks," in text)
"""The other tests that run blocks. What a page is read for here runs none of it."""
HOW_TOS = [page for page in sorted(DOCS.glob("how-to/*.md")) if f'{page.name}"' not in TESTS]
"""Those that no other test names, since it runs them with what they need."""
PAGES = ("index.md", *(page.relative_to(DOCS).as_posix() for page in HOW_TOS))
BLOCKS = [*chain.from_iterable(map(blocks, PAGES))]


def with_what_it_takes(block: Block) -> Any:
    """A parameter: what needs pandas, which is none of ours, is run where that is."""
    return pytest.param(block, id=named(block), marks=[pytest.mark.extra] if "to_dataframe" in block.source else [])


@pytest.mark.usefixtures("in_memory")
@pytest.mark.parametrize("block", [with_what_it_takes(one) for one in BLOCKS if not one.is_program and not one.name])
async def test_a_fragment_does_what_the_page_says(
    block: Block,
    capsys: pytest.CaptureFixture[str],
    autojump_clock: MockClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    if "to_dataframe" in block.source:
        pytest.importorskip("pandas")
    await run_fragment(block)
    block.check(capsys.readouterr().out)


@pytest.mark.usefixtures("in_virtual_time")
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.is_program], ids=named)
def test_a_program_does_what_the_page_says(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    run_program(block)
    block.check(capsys.readouterr().out)


def test_the_files_of_a_suite_pass(pytester: pytest.Pytester) -> None:
    files = {block.name: block.source for block in BLOCKS if block.name}
    assert set(files) == {"conftest.py", "test_orders.py", "test_market.py"}
    for name, source in files.items():
        (pytester.path / name).write_text(source)
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error")
    tests = sum(source.count("async def test_") for source in files.values())
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=tests)


@pytest.mark.parametrize("one", sorted(DOCS.rglob("*.md")), ids=lambda one: one.stem)
def test_no_block_of_python_is_left_out(one: Path) -> None:
    name = one.relative_to(DOCS).as_posix()
    is_run = name in PAGES or one.parent.name == "tutorial" or f'{one.name}"' in TESTS
    assert is_run or "```python" not in page(name)


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_every_name_of_the_library_exists(block: Block) -> None:
    assert not unknown_names(block.source)


def test_every_error_is_told_what_to_do_with() -> None:
    kinds = {name for name, one in vars(bintrio).items() if isinstance(one, type) and issubclass(one, Exception)}
    assert kinds <= set(re.findall(r"\w+", page("how-to/errors.md")))


@pytest.mark.parametrize("one", [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda one: one.stem)
def test_every_command_that_is_shown_exists(one: Path) -> None:
    text = one.read_text("utf-8")
    blocks = "".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    commands = re.findall(r"^(?:\$ )?bintrio (.*)$", blocks, re.MULTILINE) + re.findall(
        r"(?<!`)`bintrio ([^`]+)`", text
    )
    for shown in commands:
        words = re.split(r" {2,}|\s#", shown)[0].replace("[", "").replace("]", "").split()
        command = main.commands.get(words[0])
        assert command or words[0].startswith("-"), shown
        known = {option for each in (command or main).params for option in each.opts} | {"--help", "--version"}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, shown
