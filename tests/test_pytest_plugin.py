"""The fixtures, used as a user would: by an inner run of pytest over a folder of its own."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

BOT = """
import bintrio
import trio
from bintrio.sandbox import Disconnect

async def test_the_session_is_logged_on_and_funded(session):
    assert session.connection.is_logged_on
    account = await session.account_status()
    assert {each.asset for each in account.balances if each.free > 0} >= {"BTC", "USDT"}

async def test_the_session_leads_to_the_sandbox(sandbox, session):
    sandbox.quote("BTCUSDT", bid=64_000, ask=64_001, quantity=1)
    book = await session.depth(symbol="BTCUSDT")
    assert (book.bids[0].price, book.asks[0].price) == (64_000, 64_001)
    assert sandbox.connections == 1

async def test_each_test_has_a_sandbox_of_its_own(sandbox, session):
    book = await session.depth(symbol="BTCUSDT")
    assert book.bids == ()

async def test_hours_pass_in_virtual_time(session, autojump_clock):
    async with session.user_data() as events:
        await trio.sleep(3 * 3600)
        await session.ping()
        assert events.waiting == 0
    assert session.counters.losses == 0
"""


def make(pytester: pytest.Pytester, *, mode: str, marker: str) -> None:
    pytester.makeconftest('pytest_plugins = ["bintrio.pytest_plugin"]')
    pytester.makeini(f"[pytest]\n{mode}\nfilterwarnings = error")
    pytester.makepyfile(test_bot=f"import pytest\n{marker}\n{BOT}")


@pytest.mark.parametrize(
    ("mode", "marker"), [("trio_mode = true", ""), ("", "pytestmark = pytest.mark.trio")], ids=["trio mode", "markers"]
)
def test_the_fixtures_serve_a_users_tests(mode: str, marker: str, pytester: pytest.Pytester) -> None:
    make(pytester, mode=mode, marker=marker)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=4)


def test_without_the_plugin_there_are_no_fixtures(pytester: pytest.Pytester) -> None:
    make(pytester, mode="trio_mode = true", marker="")
    pytester.makeconftest("")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(errors=4)


WORLD = """
import bintrio
import pytest
from bintrio.sandbox import RandomWalk, trader

@pytest.fixture
def sandbox_market():
    return RandomWalk(seed=7)

@pytest.fixture
def sandbox_accounts():
    return [trader(10), trader(11)]

async def test_each_account_has_a_session(sandbox, sessions):
    assert [(await each.account_status()).uid for each in sessions] == [10, 11]
    buyer, seller = sessions
    order = await buyer.order_place(
        symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=60_000, quantity=1
    )
    await seller.order_place(
        symbol="BTCUSDT", side="SELL", type="LIMIT", time_in_force="GTC", price=60_000, quantity=1
    )
    assert sandbox.orders[0].order_id == order.order_id

async def test_the_world_is_the_one_that_was_asked_for(sandbox, session, sandbox_accounts):
    assert (await session.depth(symbol="BTCUSDT")).bids[0].price == 64_000
    async with bintrio.open_session(sandbox.endpoint, key=sandbox_accounts[1].key, connect=sandbox.connect) as other:
        assert [(await each.account_status()).uid for each in (session, other)] == [10, 11]
"""


def test_users_override_the_market_and_the_accounts(pytester: pytest.Pytester) -> None:
    make(pytester, mode="trio_mode = true", marker="")
    pytester.makepyfile(test_bot=WORLD)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


FILE = """
import pytest
from bintrio.sandbox import read_world

@pytest.fixture
def sandbox_world():
    return read_world("world.toml")

async def test_the_world_is_that_of_the_file(sandbox, session):
    assert (await session.account_status()).uid == 7
    assert (await session.depth(symbol="BTCUSDT")).bids[0].price == 64_000
"""


def test_a_world_may_come_from_a_file(pytester: pytest.Pytester) -> None:
    make(pytester, mode="trio_mode = true", marker="")
    pytester.makefile(".toml", world="[[accounts]]\nuid = 7")
    pytester.makepyfile(test_bot=FILE)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


SLOW = """
import pytest, trio

@pytest.fixture
def sandbox_patience():
    return {patience}

async def test_it(sandbox{clock}):
    await {wait}
"""


@pytest.mark.parametrize(
    ("patience", "clock", "wait", "passes"),
    [
        ("0.0", "", "trio.sleep(86_400)", False),
        ("0.0", ", autojump_clock", "trio.sleep(86_400)", True),
        ("None", "", "trio.sleep(0)", True),
        ("1e9", "", "trio.sleep(0)", True),
    ],
    ids=["no clock", "autojump clock", "no patience", "no wait"],
)
def test_a_test_without_a_clock_ends_and_says_what_to_add(
    patience: str, clock: str, wait: str, passes: bool, pytester: pytest.Pytester
) -> None:
    make(pytester, mode="trio_mode = true", marker="")
    pytester.makepyfile(test_bot=SLOW.format(patience=patience, clock=clock, wait=wait))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=int(passes), failed=int(not passes))
    if not passes:
        result.stdout.fnmatch_lines(["*TimeoutError: the test has run for 0 s by the real clock.*autojump_clock*"])
