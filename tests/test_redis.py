"""Limits that processes share through Redis, with a Redis that is away, back, slow, or anew; here it lies in memory."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import redis
from bintrio._client.throttle import ticks
from bintrio.sandbox import Limits, Sandbox, TooManyRequests, open_sandbox
from tests.protocol.centre import Centre
from tests.test_shared_limits import ORDER, work

pytestmark = pytest.mark.usefixtures("both_streams")

SMALL: Final = Limits(weight=600, orders_per_10_seconds=10, orders_per_day=60)
ADDRESS: Final = "198.51.100.7"


class Redis:
    """What stands for the client of a Redis, and for the Redis.

    Attributes:
        trouble: raised by each question; None for none.
        lag: seconds until an answer comes.
    """

    def __init__(self) -> None:
        self.centre = Centre(lambda: ticks() + 10**12)
        self.trouble: Exception | None = None
        self.lag = 0.001
        self.asked = 0
        self.told = trio.Event()

    async def __aenter__(self) -> Redis:
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
        await trio.lowlevel.checkpoint()

    def register_script(self, script: str) -> Callable[..., Any]:
        assert "HGETALL" in script
        return self._run

    @asynccontextmanager
    async def pubsub(self, patterns: Sequence[str], **_: object) -> AsyncGenerator[AsyncGenerator[dict[str, str]]]:
        assert patterns == ["bintrio:*:told"]
        if self.trouble is not None:
            raise self.trouble

        async def messages() -> AsyncGenerator[dict[str, str]]:
            known = len(self.centre.published)
            while self.trouble is None:
                await self.told.wait()
                for channel, scope in self.centre.published[known:]:
                    yield {"channel": channel, "data": scope}
                known = len(self.centre.published)
            raise self.trouble

        async with aclosing(messages()) as told:
            yield told

    async def _run(self, keys: Sequence[str], args: Sequence[str]) -> list[str]:
        self.asked += 1
        await trio.sleep(self.lag)
        if self.trouble is not None:
            raise self.trouble
        known = len(self.centre.published)
        answer = self.centre.ask(keys[0], args)
        if len(self.centre.published) > known:
            told, self.told = self.told, trio.Event()
            told.set()
        return answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Redis:
    server = Redis()

    def client(url: str) -> Redis:
        assert "://" in url
        return server

    monkeypatch.setattr(redis, "_client", client)
    return server


@asynccontextmanager
async def process(
    sandbox: Sandbox, count: int = 1, **options: Any
) -> AsyncGenerator[tuple[redis.RedisLimits, list[bintrio.Session]]]:
    """What one process has: limits of its own by that Redis, and sessions."""
    async with AsyncExitStack() as stack:
        limits = await stack.enter_async_context(redis.open_limits(address=ADDRESS, **options))
        ledger = limits.account("main")
        await trio.sleep(0.01)  # it is told what is known
        sessions: list[bintrio.Session] = []
        for _ in range(count):
            opening = bintrio.open_session(
                sandbox.memory_endpoint,
                key=sandbox.key,
                connect=sandbox.connect,
                ledger=ledger,
                request_timeout=100,
            )
            sessions.append(await stack.enter_async_context(opening))
        yield limits, sessions


@asynccontextmanager
async def fleet(size: int, **options: Any) -> AsyncGenerator[tuple[Sandbox, list[bintrio.Session]]]:
    """A session in each of some processes."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(open_sandbox(listen=False, limits=SMALL))
        sessions: list[bintrio.Session] = []
        for _ in range(size):
            _, opened = await stack.enter_async_context(process(sandbox, **options))
            sessions += opened
        yield sandbox, sessions


def refused(sandbox: Sandbox) -> int:
    return sum(call.status in {418, 429} for call in sandbox.calls)


def reads_by_minute(sandbox: Sandbox) -> list[int]:
    minutes = [call.time // 60_000 for call in sandbox.calls if call.method == "depth"]
    return [minutes.count(minute) for minute in sorted(set(minutes))]


async def test_g12_processes_keep_the_limits_of_address_and_account(server: Redis, autojump_clock: MockClock) -> None:
    async with fleet(3) as (sandbox, sessions):
        async with trio.open_nursery() as nursery:
            for session in sessions:
                nursery.start_soon(work, session, 119)
        assert refused(sandbox) == 0
        # Of 600, 50 are kept for cancels, and depth weighs 5.
        assert max(reads_by_minute(sandbox)) >= 105
        orders = [call.time // 10_000 for call in sandbox.calls if call.method == "order.place"]
        assert max(map(orders.count, orders)) == SMALL.orders_per_10_seconds


async def test_g12_who_begins_later_knows_the_time_and_the_limits(server: Redis, autojump_clock: MockClock) -> None:
    async with fleet(3) as (sandbox, sessions):
        assert [call.method for call in sandbox.calls].count("exchangeInfo") == 1
        await sessions[0].depth(symbol="BTCUSDT")
        assert all(session.request_weight for session in sessions)
        assert all(len(session.order_counts) == 2 for session in sessions)


async def test_g12_a_ban_that_one_process_learns_of_holds_all(server: Redis, autojump_clock: MockClock) -> None:
    async with fleet(3) as (sandbox, sessions):
        sandbox.inject(TooManyRequests(method="ping", retry_after=30))
        with pytest.raises(bintrio.RateLimited):
            await sessions[0].ping()
        await trio.sleep(0.02)  # the others are told
        for session in sessions:
            assert session.hold is not None
            with pytest.raises(bintrio.NotSent):
                await session.within(20).ping()
        await trio.sleep(31)
        for session in sessions:
            await session.ping()
        assert refused(sandbox) == 1


async def test_g12_a_ban_that_redis_could_not_tell_of_comes_with_the_next_report(
    server: Redis, autojump_clock: MockClock
) -> None:
    server.trouble = ConnectionError("gone")
    async with fleet(2, share=0.5) as (sandbox, (one, two)):
        server.trouble = None
        await trio.sleep(0.2)  # and a second later it listens again
        sandbox.inject(TooManyRequests(method="ping", retry_after=30))
        with pytest.raises(bintrio.RateLimited):
            await one.ping()
        await trio.sleep(0.7)
        assert two.hold is not None


async def test_g12_while_redis_is_away_nothing_is_sent_beyond_what_was_granted(
    server: Redis, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bintrio.limits")
    async with fleet(2) as (sandbox, (session, other)):
        await session.ping()
        server.trouble = ConnectionError("gone")
        await trio.sleep(70)
        before = len(sandbox.calls)
        began = trio.current_time()
        reason = r"was not sent: the Redis that shares the limits has not answered for \d\d\.\d s, and too little"
        for call in (partial(session.depth, symbol="BTCUSDT"), partial(other.send, ORDER)):
            with pytest.raises(bintrio.NotSent, match=reason) as caught:
                await call()
            assert caught.value.retry_at is None  # nobody knows
        assert trio.current_time() == began
        assert len(sandbox.calls) == before
        assert caplog.text.count("Redis does not answer: gone") == 4  # of an address and an account, in two processes
        server.trouble = None
        await trio.sleep(1)
        await session.depth(symbol="BTCUSDT")
        await other.send(ORDER)
        assert "answers again" in caplog.text
        told = {(vars(record)["limits"], vars(record).get("error")) for record in caplog.records}
        assert told == {
            (name, error) for name in ("address 198.51.100.7", "account main") for error in ("ConnectionError", None)
        }
        assert refused(sandbox) == 0


async def test_a_call_that_has_the_time_waits_until_redis_is_back(server: Redis, autojump_clock: MockClock) -> None:
    async with fleet(1) as (_, (session,)), trio.open_nursery() as nursery:
        server.trouble = ConnectionError("gone")
        await trio.sleep(70)
        began = trio.current_time()

        async def come_back() -> None:
            await trio.sleep(5)
            server.trouble = None

        nursery.start_soon(come_back)
        await session.within(1000).depth(symbol="BTCUSDT")
        assert 5 < trio.current_time() - began < 7


@pytest.mark.plain_streams("its time goes into what Redis does")
async def test_g12_while_redis_is_away_each_goes_on_with_its_share(server: Redis, autojump_clock: MockClock) -> None:
    async with fleet(3, share=1 / 3) as (sandbox, sessions):
        server.trouble = ConnectionError("gone")
        async with trio.open_nursery() as nursery:
            for session in sessions:
                nursery.start_soon(work, session, 130)
        assert refused(sandbox) == 0
        assert max(reads_by_minute(sandbox)) >= 95  # each keeps a tenth for cancels
        server.trouble = None
        await trio.sleep(70)
        async with trio.open_nursery() as nursery:
            for session in sessions:
                nursery.start_soon(work, session, 60)
        assert refused(sandbox) == 0


async def test_a_call_that_a_redis_keeps_waiting_which_was_started_anew_says_so(
    server: Redis, autojump_clock: MockClock
) -> None:
    async with fleet(1) as (_, (session,)):
        await trio.sleep(70)
        server.centre.restart()
        reason = "the Redis that shares the limits does not know yet what was used of this window"
        with pytest.raises(bintrio.NotSent, match=reason):
            await session.within(0.3).depth(symbol="BTCUSDT")
        began = trio.current_time()
        await session.depth(symbol="BTCUSDT")  # of what is kept for that
        await session.depth(symbol="BTCUSDT", limit=5000)  # since its count has told
        assert trio.current_time() - began < 4


@pytest.mark.plain_streams("its time goes into what Redis does")
async def test_g12_a_redis_that_lost_everything_is_told_again(server: Redis, autojump_clock: MockClock) -> None:
    async with fleet(3) as (sandbox, sessions), trio.open_nursery() as nursery:
        for session in sessions:
            nursery.start_soon(work, session, 119)
        for pause in (20, 30, 35):
            await trio.sleep(pause)
            server.centre.restart()
        await trio.sleep(40)
        assert refused(sandbox) == 0
        assert max(reads_by_minute(sandbox)) >= 100


async def test_who_leaves_gives_back_what_it_has(server: Redis, autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False, limits=SMALL) as sandbox:
        async with process(sandbox) as (limits, (session,)):
            for _ in range(20):
                await session.depth(symbol="BTCUSDT")
            name = "bintrio:{address 198.51.100.7}:REQUEST_WEIGHT:MINUTE:1"
        held = [
            line.split()
            for key, window in server.centre.hashes.items()
            if key.startswith(name)
            for field, line in window.items()
            if field.startswith("h:")
        ]
        assert held
        assert held[-1][1] == held[-1][3]  # what was granted is done
        assert not limits.is_away


async def test_without_redis_there_is_a_clear_error(server: Redis, autojump_clock: MockClock) -> None:
    server.trouble = ConnectionError("connection refused")
    with pytest.raises(bintrio.ConnectionFailed, match="connection refused") as caught:
        async with redis.open_limits("redis://bob:hunter2@far.example:6379", address=ADDRESS):
            raise AssertionError
    assert "hunter2" not in str(caught.value)
    assert caught.value.attempts[0][0] == "redis://far.example:6379"


async def test_a_redis_that_never_answers_is_given_up(
    server: Redis, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    server.lag = 1e6
    with pytest.raises(bintrio.ConnectionFailed):
        async with redis.open_limits(address=ADDRESS, connect_timeout=2):
            raise AssertionError
    assert "nothing came within 0.5 s" in caplog.text
    assert trio.current_time() < 4


async def test_with_a_share_it_begins_without_redis(server: Redis, autojump_clock: MockClock) -> None:
    server.trouble = ConnectionError("gone")
    async with fleet(1, share=0.5) as (sandbox, (session,)):
        await session.depth(symbol="BTCUSDT")
        assert len(sandbox.calls) > 0


async def test_what_a_block_raises_comes_out_bare(server: Redis, autojump_clock: MockClock) -> None:
    with pytest.raises(ZeroDivisionError):
        async with redis.open_limits(address=ADDRESS):
            raise ZeroDivisionError


@pytest.mark.parametrize("after", [0.0, 0.0005, 0.01, 0.4])
async def test_it_can_be_cancelled_at_any_time(after: float, server: Redis, autojump_clock: MockClock) -> None:
    with trio.move_on_after(after) as scope:
        async with redis.open_limits(address=ADDRESS):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() <= after + 1


async def test_an_answer_in_another_form_counts_as_none(
    server: Redis, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object) -> list[str]:
        return ["OK"]

    monkeypatch.setattr(server.centre, "ask", ask)
    with pytest.raises(bintrio.ConnectionFailed, match="answers in another way"):
        async with redis.open_limits(address=ADDRESS):
            raise AssertionError


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"url": "http://bob:hunter2@localhost"}, "url"),
        ({"url": 3}, "url"),
        ({"address": ""}, "address"),
        ({"share": 2}, "share"),
        ({"share": True}, "share"),
        ({"share": "half"}, "share"),
        ({"connect_timeout": 0}, "connect_timeout"),
    ],
)
async def test_bad_arguments_are_named(options: dict[str, Any], field: str, server: Redis) -> None:
    all_options: dict[str, Any] = {"address": ADDRESS, **options}
    with pytest.raises(bintrio.InvalidRequest) as caught:
        async with redis.open_limits(**all_options):
            raise AssertionError
    assert caught.value.field == field
    assert "hunter2" not in str(caught.value)


async def test_accounts_have_names(server: Redis, autojump_clock: MockClock) -> None:
    async with redis.open_limits(address=ADDRESS) as limits:
        assert limits.account("main") is not limits.account("other")
        with pytest.raises(bintrio.InvalidRequest, match="the name of an account"):
            limits.account("")


# The client of Redis


async def test_the_client_is_coredis(monkeypatch: pytest.MonkeyPatch) -> None:
    coredis = pytest.importorskip("coredis")
    assert isinstance(redis._client("redis://localhost:1"), coredis.Redis)
    monkeypatch.setitem(sys.modules, "coredis", None)
    with pytest.raises(ImportError, match=r"bintrio\[redis\]"):
        redis._client("redis://localhost")
