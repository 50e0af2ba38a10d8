"""The how-tos whose blocks need a sandbox and no more: each is run, and prints what its page says."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
from trio.testing import MockClock

from tests.pages import DOCS, Block, blocks, in_memory, in_virtual_time, named, page, run_fragment, run_program

__all__ = ["in_memory", "in_virtual_time"]

pytest_plugins = ["pytester"]

HOW_TOS = (
    "errors",
    "keys",
    "testnet",
    "orders",
    "order-lists",
    "user-data",
    "timeouts",
    "rotation",
    "testing",
    "history",
    "dataframes",
)
PAGES = ("index.md", *(f"how-to/{name}.md" for name in HOW_TOS))
BLOCKS = [*chain.from_iterable(map(blocks, PAGES))]


@pytest.mark.usefixtures("in_memory")
@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.is_program and not block.name], ids=named)
async def test_a_fragment_does_what_the_page_says(
    block: Block, capsys: pytest.CaptureFixture[str], autojump_clock: MockClock
) -> None:
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
def test_a_page_with_python_is_named_by_a_test(one: Path) -> None:
    """Whose blocks would not be run otherwise."""
    tests = "".join(test.read_text("utf-8") for test in DOCS.parent.glob("tests/test_*.py"))
    name = one.relative_to(DOCS).as_posix()
    is_run = name in PAGES or one.parent.name == "tutorial" or f'{one.name}"' in tests
    assert is_run or "```python" not in page(name)
