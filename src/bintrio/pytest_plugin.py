"""Fixtures for the tests of a program that uses bintrio. Opt in from the top-level ``conftest.py``::

    pytest_plugins = ["bintrio.pytest_plugin"]

`sandbox` is an exchange of one's own for each test, in memory; `session` is a session to it, logged on to an account
with funds. Both use trio's clock only, so with pytest-trio's ``autojump_clock`` a day passes in seconds. The book is
empty: let ``sandbox.quote`` fill it.

A fixture of your own named `sandbox_market` gives that exchange a market, one named `sandbox_accounts` other accounts::

    @pytest.fixture
    def sandbox_market():
        return RandomWalk(seed=7)

Needs the extra ``bintrio[test]``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from importlib import import_module
from typing import Any

import pytest

from bintrio import Session, open_session
from bintrio.sandbox import Market, Sandbox, SandboxAccount, open_sandbox, trader

__all__ = ["sandbox", "sandbox_accounts", "sandbox_market", "session"]

# Imported where type checkers do not look: the package has no types.
trio_fixture: Callable[[Callable[..., AsyncIterator[Any]]], object] = import_module("pytest_trio").trio_fixture


@pytest.fixture
def sandbox_market() -> Market | None:
    """What moves the prices of `sandbox`: nothing, unless you override it."""
    return None


@pytest.fixture
def sandbox_accounts() -> Sequence[SandboxAccount]:
    """Who may trade in `sandbox`: one account with funds, unless you override it. `session` belongs to the first."""
    return (trader(),)


@trio_fixture
async def sandbox(sandbox_market: Market | None, sandbox_accounts: Sequence[SandboxAccount]) -> AsyncIterator[Sandbox]:
    """A sandbox in memory, which ends with the test."""
    async with open_sandbox(listen=False, market=sandbox_market, accounts=sandbox_accounts) as sandbox:
        yield sandbox


@trio_fixture
async def session(sandbox: Sandbox) -> AsyncIterator[Session]:
    """A session to the sandbox, logged on with the Ed25519 key of an account that has funds."""
    async with open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
        yield session
