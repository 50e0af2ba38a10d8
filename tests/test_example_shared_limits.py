"""The example of limits that two accounts share, in virtual time."""

from __future__ import annotations

from runpy import run_path

import pytest
import trio
from trio.testing import MockClock

from tests.test_layers import SOURCE

FILE = SOURCE.parent.parent / "examples" / "shared_limits.py"


async def test_g12_two_accounts_place_all_orders_and_none_is_refused(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    began = trio.current_time()
    await run_path(str(FILE))["main"]()
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said[:-1]].count("alice") == 2
    calls, refused = said[-1].split(", ")
    assert int(calls.split()[0]) >= 100
    assert refused == "0 refused"
    # 50 orders of an account take five windows of ten, whatever the other account does.
    assert 40 <= trio.current_time() - began <= 60
