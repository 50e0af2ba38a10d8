"""Storms over a sandbox: by seed, with a story, and a word on what came twice."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio._protocol.chance import chance_in_use
from bintrio.errors import BintrioError, InvalidRequest
from bintrio.requests import OrderPlace
from bintrio.sandbox import Symbol, World, open_sandbox, open_world
from bintrio.sandbox.weather import Blow, Fill

pytest_plugins = ["pytester"]

ORDER = OrderPlace(symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=64_000, quantity=1)


async def story(seed: int) -> list[str]:
    async with open_sandbox(listen=False, storm=seed) as sandbox:
        assert sandbox.storm is not None
        assert sandbox.storm.seed == seed
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
            for _ in range(20):
                await trio.sleep(30)
                with suppress(BintrioError):
                    await session.send(ORDER)
            sandbox.storm.end()
            await trio.sleep(300)
            before = len(sandbox.storm.story())
            await session.ping()
            await trio.sleep(300)
        assert sandbox.storm.doubled() == []
        assert len(sandbox.storm.story()) == before
        return [*sandbox.storm.story()]


def lived(seed: int) -> list[str]:
    return trio.run(story, seed, clock=MockClock(autojump_threshold=0))


def test_a_storm_is_the_same_each_time_and_tells_its_story() -> None:
    told = lived(5)
    assert told[0] == "storm 5"
    assert told == lived(5)
    assert told != lived(6)
    assert any("order.place" in line and "executed: 200" in line for line in told)
    assert any("struck by" in line for line in told)
    assert any("(link=" in line for line in told)


async def test_what_sessions_leave_to_chance_is_the_storms_only_within_it(autojump_clock: MockClock) -> None:
    async with open_world(World(), listen=False, storm=1) as sandbox:
        assert sandbox.storm is not None
        assert chance_in_use().is_predictable
    assert not chance_in_use().is_predictable
    async with open_sandbox(listen=False) as sandbox:
        assert sandbox.storm is None


async def test_what_came_twice_is_named(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False, storm=0) as sandbox:
        assert sandbox.storm is not None
        sandbox.storm.end()
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
            for _ in range(2):
                order = await session.send(msgspec.structs.replace(ORDER, new_client_order_id="mine"))
                await session.order_cancel(symbol="BTCUSDT", order_id=order.order_id)
        assert sandbox.storm.doubled() == ["mine"]
        assert "order.place mine on connection 1; executed: 200; answer: 200" in sandbox.storm.story()[1]


async def test_a_storm_strikes_also_where_other_things_are_traded(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False, symbols=[Symbol(base="A", quote="B")], storm=2) as sandbox:
        await trio.sleep(3_000)
        assert sandbox.storm is not None
        assert len(sandbox.storm.story()) > 20


async def test_a_storm_needs_no_other_argument_and_says_what_a_session_needs(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    async with open_sandbox(storm=7) as sandbox:
        assert sandbox.storm is not None
        assert sandbox.endpoint == sandbox.memory_endpoint
        with pytest.raises(InvalidRequest, match=r"open_sandbox\(listen=False, .* needs connect=sandbox.connect"):
            async with bintrio.open_session(sandbox.endpoint, key=sandbox.key):
                pass
        assert trio.current_time() == began
        sandbox.storm.end()
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
            await session.ping()


@pytest.mark.parametrize(
    ("settings", "listens"), [({}, True), ({"storm": 0}, False), ({"storm": 0, "listen": True}, True)]
)
async def test_a_sandbox_in_a_storm_listens_only_if_it_is_told_to(settings: Any, listens: bool) -> None:
    for opened in (open_sandbox(**settings), open_world(World(), **settings)):
        async with opened as sandbox:
            assert (sandbox.endpoint != sandbox.memory_endpoint) == listens


async def test_a_seed_is_an_int(autojump_clock: MockClock) -> None:
    seed: Any = "7"
    with pytest.raises(InvalidRequest, match="storm"):
        async with open_sandbox(listen=False, storm=seed):
            pass


async def test_a_blow_that_finds_no_order_is_none(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox:
        Fill(which=3).strike(sandbox)
        assert sandbox.orders == []
        with pytest.raises(NotImplementedError):
            Blow().strike(sandbox)


# The marker


def run(pytester: pytest.Pytester, source: str, **outcomes: int) -> pytest.RunResult:
    pytester.makeconftest('pytest_plugins = ["bintrio.pytest_plugin"]')
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\naddopts = --strict-markers")
    pytester.makepyfile(test_bot=source)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(**outcomes)
    return result


TWICE = """
import bintrio, pytest

@pytest.mark.storm
async def test_it(sandbox, session, autojump_clock):
    ids = []
    for _ in range(2):
        try:
            await session.order_place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1, new_client_order_id="x")
        except bintrio.BintrioError:
            pass
"""


def test_an_order_that_came_twice_is_an_error_with_its_story(pytester: pytest.Pytester) -> None:
    result = run(pytester, TWICE, failed=10)
    result.stdout.fnmatch_lines(["*in storm 3 new orders came twice: x", "storm 3", "*order.place x on connection*"])


NO_SANDBOX = """
import pytest

@pytest.mark.storm(seeds=[3])
def test_it():
    pass
"""


def test_a_storm_without_a_sandbox_is_an_error(pytester: pytest.Pytester) -> None:
    result = run(pytester, NO_SANDBOX, errors=1)
    result.stdout.fnmatch_lines(["*test_it is marked storm, and uses no sandbox*"])
