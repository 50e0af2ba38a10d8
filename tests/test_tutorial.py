"""The tutorial, as somebody follows it: its programs print what it says, and its files make a suite that passes."""

from __future__ import annotations

import re
from itertools import chain
from textwrap import indent

import pytest

from tests.pages import DOCS, Block, blocks, in_memory, in_virtual_time, named, page, run_program

__all__ = ["in_memory", "in_virtual_time"]

pytest_plugins = ["pytester"]

PAGES = sorted(page.relative_to(DOCS).as_posix() for page in (DOCS / "tutorial").glob("[1-6]-*.md"))
BLOCKS = [*chain.from_iterable(map(blocks, PAGES))]
FILES = {block.name: block for block in BLOCKS if block.name}
TEMPLATE = FILES.pop("try_it.py").source


@pytest.mark.usefixtures("in_virtual_time")
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.is_program or block.name == "bot.py"], ids=named)
def test_a_program_prints_what_the_page_says(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    run_program(block)
    assert block.printed
    block.check(capsys.readouterr().out)


@pytest.mark.usefixtures("in_virtual_time")
@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.is_program and not block.name], ids=named)
def test_a_fragment_prints_what_the_page_says(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    """In the place of the dots, as its reader is told to put it."""
    (margin,) = re.findall(r"^( +)\.\.\.$", TEMPLATE, re.MULTILINE)
    run_program(block._replace(source=TEMPLATE.replace(f"{margin}...\n", indent(block.source, margin))))
    assert block.printed
    block.check(capsys.readouterr().out)


def test_its_files_make_a_suite_that_passes(pytester: pytest.Pytester) -> None:
    assert set(FILES) == {"bot.py", "conftest.py", "test_bot.py"}
    for name, block in FILES.items():
        (pytester.path / name).write_text(block.source)
    (settings,) = re.findall(r"^```toml\n# pyproject.toml\n(.*?)^```$", page("tutorial/6-test.md"), re.M | re.S)
    pytester.makepyprojecttoml(settings)
    tests = FILES["test_bot.py"].source.count("async def test_")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=tests)
