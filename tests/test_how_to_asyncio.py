"""The how-to for programs that have another loop: each is run as it stands, with the sandbox in memory."""

from __future__ import annotations

import pytest

from tests.pages import Block, blocks, in_memory, named, run_program

__all__ = ["in_memory"]


@pytest.mark.usefixtures("in_memory")
@pytest.mark.parametrize("block", blocks("how-to/asyncio.md"), ids=named)
def test_it_prints_what_the_page_says(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    """By the real clock, since the loop is not trio's; nothing in it waits for a time to pass."""
    run_program(block)
    assert block.printed
    block.check(capsys.readouterr().out)
