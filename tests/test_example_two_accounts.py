"""The example of two accounts on one connection, in virtual time."""

from __future__ import annotations

from runpy import run_path

import pytest
from trio.testing import MockClock

from tests.test_layers import SOURCE

FILE = SOURCE.parent.parent / "examples" / "two_accounts.py"


async def test_one_account_sells_to_the_other(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    await run_path(str(FILE))["main"]()
    moved, counted = capsys.readouterr().out.splitlines()
    assert moved.startswith("moved 0.50000000 BTC at 50005.00: from (Decimal('100.00000000'), Decimal('100.00000000'))")
    assert moved.endswith("to (Decimal('99.50000000'), Decimal('100.49950000'))")  # less the commission
    assert counted == "orders counted: 1 and 1"
