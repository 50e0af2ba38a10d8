"""Fixtures for the tests of a program that uses bintrio. Opt in from the top-level ``conftest.py``::

    pytest_plugins = ["bintrio.pytest_plugin"]

`sandbox` is an exchange of one's own for each test, in memory; `session` is a session to it, logged on to an account
with funds. Both use trio's clock only, so with pytest-trio's ``autojump_clock`` a day passes in seconds. The book is
empty: let ``sandbox.quote`` fill it.

Needs the extra ``bintrio[test]``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from importlib import import_module
from typing import Any

from bintrio import Session, open_session
from bintrio.sandbox import Sandbox, open_sandbox

__all__ = ["sandbox", "session"]

# Imported where type checkers do not look: the package has no types.
trio_fixture: Callable[[Callable[..., AsyncIterator[Any]]], object] = import_module("pytest_trio").trio_fixture


@trio_fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox in memory, which ends with the test."""
    async with open_sandbox(listen=False) as sandbox:
        yield sandbox


@trio_fixture
async def session(sandbox: Sandbox) -> AsyncIterator[Session]:
    """A session to the sandbox, logged on with the Ed25519 key of an account that has funds."""
    async with open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
        yield session
