"""The blocks of the page on shared limits are run."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import pytest
from trio.testing import MockClock

import bintrio
from bintrio import redis
from bintrio.sandbox import open_sandbox, trader
from tests.test_how_to import blocks, run
from tests.test_redis import Redis


@pytest.mark.parametrize("block", blocks("shared-limits.md"))
async def test_limits_are_shared(
    block: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    open_session = bintrio.open_session
    other = trader(uid=7)

    def client(_url: str) -> Redis:
        return Redis()

    monkeypatch.setattr(redis, "_client", client)
    async with open_sandbox(listen=False) as sandbox:
        sandbox.add_account(other)
        sandbox.quote("BTCUSDT", Decimal(50_000), Decimal(50_001), Decimal(10))

        def open_here(endpoint: Any, **options: Any) -> AbstractAsyncContextManager[bintrio.Session]:
            return open_session(sandbox.memory_endpoint, connect=sandbox.connect, **options)

        monkeypatch.setattr(bintrio, "open_session", open_here)
        await run(block, bintrio=bintrio, key=sandbox.key, alice=sandbox.key, bob=other.key)
        assert {call.status for call in sandbox.calls} == {200}
    said = capsys.readouterr().out.strip()
    assert said == (block.rpartition("  # ")[2].strip() if "print" in block else "")
