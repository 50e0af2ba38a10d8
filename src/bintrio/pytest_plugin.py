"""Fixtures for the tests of a program that uses bintrio. Opt in from the top-level ``conftest.py``::

    pytest_plugins = ["bintrio.pytest_plugin"]

`sandbox` is an exchange of one's own for each test, in memory; `session` is a session to it, logged on to an account
with funds. Both use trio's clock only, so with pytest-trio's ``autojump_clock`` a day passes in seconds. The book is
empty: let ``sandbox.quote`` fill it.

A fixture of your own named `sandbox_market` gives that exchange a market, one named `sandbox_accounts` other accounts;
`sessions` are sessions to all of them. One named `sandbox_world` makes it of a `World`, which a file may hold::

    @pytest.fixture
    def sandbox_market():
        return RandomWalk(seed=7)

With ``@pytest.mark.storm(seeds=50)`` a test that uses `sandbox` runs once for each seed, and everything goes wrong that
can, the same way for the same seed. What happened is printed, which pytest shows of tests that fail; a new order that
came twice is an error.

A test that waits in real time is ended after `sandbox_patience` seconds, with an error that names what is missing.

Needs the extra ``bintrio[test]``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from bintrio import Session, open_session
from bintrio.sandbox import Market, Sandbox, SandboxAccount, World, open_sandbox, open_world, trader
from bintrio.sandbox.struck import StormReport

__all__ = [
    "sandbox",
    "sandbox_accounts",
    "sandbox_market",
    "sandbox_patience",
    "sandbox_storm",
    "sandbox_world",
    "session",
    "sessions",
]

DEFAULT_SEEDS = 10
"""How many storms a test meets that is marked ``storm`` and does not say."""


def pytest_configure(config: pytest.Config) -> None:
    """Have the marker known."""
    config.addinivalue_line("markers", "storm(seeds=10): runs in so many storms, or in those of these seeds")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have a test that is marked ``storm`` run once for each seed."""
    marker = metafunc.definition.get_closest_marker("storm")
    if marker is None:
        return
    # There is nothing that the storm could strike, and nobody would notice that the mark does nothing.
    if "sandbox_storm" not in metafunc.fixturenames:
        raise pytest.UsageError(f"{metafunc.definition.nodeid} is marked storm, and uses no sandbox")
    seeds = marker.kwargs.get("seeds", DEFAULT_SEEDS)
    # As a parameter, so that the seed of a failure stands in the name of the test.
    metafunc.parametrize("sandbox_storm", range(seeds) if isinstance(seeds, int) else seeds)


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


@pytest.fixture
def sandbox_world() -> World | None:
    """What `sandbox` is made of, instead of `sandbox_market` and `sandbox_accounts`; nothing unless you override it."""
    return None


@pytest.fixture
def sandbox_storm() -> int | None:
    """The seed of what goes wrong in `sandbox`: nothing does, unless the test is marked ``storm``."""
    return None


@pytest.fixture
def sandbox_patience() -> float | None:
    """Seconds after which a test that uses `sandbox` and has no clock of its own is ended; None lets it run on."""
    return 30.0


@trio_fixture
async def sandbox(
    sandbox_market: Market | None,
    sandbox_accounts: Sequence[SandboxAccount],
    sandbox_world: World | None,
    sandbox_storm: int | None,
    sandbox_patience: float | None,
) -> AsyncIterator[Sandbox]:
    """A sandbox in memory, which ends with the test."""
    if sandbox_world is None:
        opened = open_sandbox(listen=False, market=sandbox_market, accounts=sandbox_accounts, storm=sandbox_storm)
    else:
        opened = open_world(sandbox_world, listen=False, storm=sandbox_storm)
    async with opened as sandbox, trio.open_nursery() as nursery:
        # Under a clock that jumps, a day of waiting takes no time.
        if sandbox_patience is not None and not isinstance(trio.lowlevel.current_clock(), MockClock):
            nursery.start_soon(_end_after, sandbox_patience)
        yield sandbox
        # The test is over: its time limit too.
        nursery.cancel_scope.cancel()
        if sandbox.storm is not None:
            _tell(sandbox.storm)


def _tell(storm: StormReport) -> None:
    """What happened, and an error if the exchange was sent a new order twice."""
    print("\n".join(storm.story()))  # noqa: T201  # pytest shows it of a test that fails
    doubled = storm.doubled()
    if doubled:
        pytest.fail(f"in storm {storm.seed} new orders came twice: {', '.join(doubled)}", pytrace=False)


async def _end_after(seconds: float) -> None:
    """A test that sleeps for a day of real time would hang, and not say why."""
    await trio.sleep(seconds)
    raise TimeoutError(
        f"the test has run for {seconds:g} s by the real clock. To let time pass at once, give it the fixture "
        "autojump_clock: async def test_it(sandbox, session, autojump_clock). To wait longer, override the fixture "
        "sandbox_patience"
    )


@trio_fixture
async def session(sandbox: Sandbox) -> AsyncIterator[Session]:
    """A session to the sandbox, logged on with the Ed25519 key of an account that has funds."""
    async with open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
        yield session


@trio_fixture
async def sessions(sandbox: Sandbox) -> AsyncIterator[Sequence[Session]]:
    """A session for each account of the sandbox, in their order, logged on with its Ed25519 key."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_session(sandbox.endpoint, key=account.key, connect=sandbox.connect))
            for account in sandbox.accounts
        ]
