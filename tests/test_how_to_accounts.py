"""The blocks of the page on several accounts are run."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.sandbox import Disconnect, open_sandbox, trader
from tests.test_how_to import blocks, run


@pytest.mark.parametrize("block", blocks("several-accounts.md"))
async def test_several_accounts_use_one_connection(
    block: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    open_session = bintrio.open_session
    bob = trader(uid=7)
    async with open_sandbox(listen=False) as sandbox:
        sandbox.add_account(bob)
        sandbox.quote("BTCUSDT", Decimal(50_000), Decimal(50_001), Decimal(10))
        if "OutcomeUnknown" in block:
            sandbox.inject(Disconnect("order.place", executed=True))

        def open_here(endpoint: Any, **options: Any) -> AbstractAsyncContextManager[bintrio.Session]:
            return open_session(sandbox.memory_endpoint, connect=sandbox.connect, **options)

        monkeypatch.setattr(bintrio, "open_session", open_here)
        await run(block, bintrio=bintrio, trio=trio, alice=sandbox.key, bob=bob.hmac_key)
        assert [order.owner for order in sandbox.orders] == [7]
    said = capsys.readouterr().out.split()
    printed = next(line for line in block.splitlines() if "print" in line)
    assert {*said} == {*printed.rpartition("  # ")[2].split()}
