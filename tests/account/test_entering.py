"""Entering an account whose exchange says no, or nothing: what may pass is tried again, and what lasts comes out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import requests
from bintrio._protocol.rotation import LONGEST_BACKOFF
from bintrio.account import LiveAccount
from bintrio.account.live import ENTERING, open_account
from bintrio.api._base import Request
from bintrio.errors import BintrioError, InvalidSignature, NotSent, OutcomeUnknown, Rejected, Unauthorized, WafBlocked
from bintrio.sandbox import ErrorReply, Sandbox, Timeout, open_sandbox

from .test_live import BUY, Bent, D, following, kept_elsewhere, refusal, settled

SUBSCRIBE: Final = "userDataStream.subscribe"
PASSING: Final[list[BintrioError]] = [
    refusal(Rejected, -9999),
    refusal(WafBlocked, -1000),
    refusal(bintrio.RateLimited, -1003, data={"retryAfter": 0}),
    NotSent(SUBSCRIBE, "there was no connection"),
    OutcomeUnknown(SUBSCRIBE, "no answer came"),
]
LASTING: Final[list[BintrioError]] = [refusal(Unauthorized, -2015), refusal(InvalidSignature, -1022)]
QUESTIONS: Final[list[type[Request[Any]] | None]] = [
    None,  # the subscription
    requests.AccountStatus,
    requests.OpenOrdersStatus,
    requests.OpenOrderListsStatus,
]


class Failing(Bent):
    """A session of which a question, or the subscription, fails as often as a test likes.

    Attributes:
        fails: with what, one after the other.
        times: when.
    """

    def __init__(self, session: bintrio.Session, question: type[Request[Any]] | None) -> None:
        super().__init__(session)
        self.question = question
        self.fails: list[BintrioError] = []
        self.times: list[float] = []

    def _fail(self) -> None:
        self.times.append(trio.current_time())
        if self.fails:
            raise self.fails.pop(0)

    def user_data(self) -> AbstractAsyncContextManager[bintrio.Subscriber]:
        return self._subscribed() if self.question is None else super().user_data()

    @asynccontextmanager
    async def _subscribed(self) -> AsyncGenerator[bintrio.Subscriber]:
        self._fail()
        async with super().user_data() as events:
            yield events

    async def send(self, request: Request[Any], /) -> Any:
        if type(request) is self.question:
            self._fail()
        return await super().send(request)


@asynccontextmanager
async def failing(question: type[Request[Any]] | None = None) -> AsyncGenerator[tuple[Sandbox, Failing]]:
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        yield sandbox, Failing(session, question)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_what_may_pass_is_tried_again_after_pauses(
    autojump_clock: MockClock, question: type[Request[Any]] | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with failing(question) as (_, session):
        session.fails = [*PASSING]
        async with open_account(session, session.teller) as account:
            assert account.balances["BTC"].free == 100
            assert len(session.times) == len(PASSING) + 1
            assert len(caplog.records) == len(PASSING)
            # Nothing but what failed was asked again.
            assert session.sent.count("account.status") == session.sent.count("openOrders.status") == 1
            await settled(account)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("error", LASTING)
async def test_a_key_that_is_refused_comes_out_at_once(
    autojump_clock: MockClock, question: type[Request[Any]] | None, error: BintrioError
) -> None:
    async with failing(question) as (_, session):
        session.fails = [error] * 2
        with pytest.raises(type(error)) as caught:
            await open_account(session, session.teller).__aenter__()
        assert caught.value is error
        assert len(session.times) == 1


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("error", PASSING[:1])
async def test_after_a_minute_the_last_failure_comes_out(
    autojump_clock: MockClock, question: type[Request[Any]] | None, error: BintrioError
) -> None:
    async with failing(question) as (_, session):
        session.fails = [error] * 100
        began = trio.current_time()
        with pytest.raises(Rejected) as caught:
            await open_account(session, session.teller).__aenter__()
        assert caught.value is error
        assert ENTERING - LONGEST_BACKOFF <= trio.current_time() - began <= ENTERING
        assert len(session.times) < 12


async def test_a_hold_that_lasts_longer_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with failing() as (_, session):
        until = session.now() + 61_000
        session.fails = [refusal(bintrio.Banned, -1003, data={"retryAfter": until})]
        with pytest.raises(bintrio.Banned):
            await open_account(session, session.teller).__aenter__()
        session.fails = [refusal(bintrio.Banned, -1003, data={"retryAfter": until - 10_000})]
        async with open_account(session, session.teller):
            assert until - 10_000 <= session.now() < until


@pytest.mark.parametrize("question", QUESTIONS)
async def test_whoever_enters_can_be_cancelled_during_a_pause(
    autojump_clock: MockClock, question: type[Request[Any]] | None
) -> None:
    async with failing(question) as (sandbox, session):
        session.fails = [PASSING[0]] * 5
        began = trio.current_time()
        with trio.move_on_after(1) as scope:
            async with open_account(session, session.teller):
                raise AssertionError
        assert scope.cancelled_caught
        assert trio.current_time() == began + 1
        # It left nothing behind: the next one enters as if there had been none.
        session.fails.clear()
        async with open_account(session, session.teller) as account:
            sandbox.deposit("BTC", D(100))
            await settled(account)
            assert account.balances["BTC"].free == 200


# Later


async def test_events_that_are_refused_for_now_are_missed_and_made_up_for(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        await settled(account)
        order = await account.place(**BUY)
        sandbox.inject(ErrorReply(method=SUBSCRIBE, code=-9999, times=6))
        sandbox.inject(Timeout(method=SUBSCRIBE, executed=False))
        sandbox.end_events()
        await trio.sleep(5)
        sandbox.fill(order.order_id or 0)
        assert not account.is_current
        assert account.as_of <= bent.now() - 5_000
        assert not order.is_closed
        await settled(account)
        assert await order.filled()
        assert account.balances["USDT"].locked == 0


async def test_a_key_that_is_refused_later_ends_the_block_with_the_reason(autojump_clock: MockClock) -> None:
    entered: list[LiveAccount] = []
    with pytest.raises(Unauthorized):  # noqa: PT012  # the whole block is what ends
        async with following() as (sandbox, _, account):
            entered.append(account)
            await settled(account)
            for method in (SUBSCRIBE, f"{SUBSCRIBE}.signature"):  # the second is what a lost logon leaves
                sandbox.inject(ErrorReply(method=method, code=-2015))
            sandbox.end_events()
            await trio.sleep(600)
    assert not entered[0].is_current


async def test_a_key_that_is_revoked_ends_the_block_also_where_a_session_has_to_log_on_anew(
    autojump_clock: MockClock,
) -> None:
    entered: list[LiveAccount] = []
    with pytest.raises(Unauthorized):  # noqa: PT012  # the whole block is what ends
        async with following() as (sandbox, bent, account):
            entered.append(account)
            assert bent.session.connection is not None
            assert bent.session.connection.is_logged_on
            sandbox.revoke(sandbox.key.api_key)
            sandbox.disconnect()
            await trio.sleep(600)
    assert not entered[0].is_current
    assert trio.current_time() < 60


async def test_whoever_enters_hears_at_once_that_the_session_was_closed(autojump_clock: MockClock) -> None:
    async with kept_elsewhere() as (sandbox, session, is_over), trio.open_nursery() as nursery:
        bent = Bent(session)

        async def close() -> None:
            await trio.sleep(5)
            is_over.set()

        sandbox.inject(ErrorReply(method="account.status", code=-1000, times=100))
        nursery.start_soon(close)
        with pytest.raises(NotSent, match="closed"):
            async with open_account(bent, bent.teller):
                pytest.fail("it was entered")
        assert session.is_closed
        assert trio.current_time() < 10


async def test_who_reads_too_slowly_subscribes_again_however_long_that_is_refused(autojump_clock: MockClock) -> None:
    async with failing() as (sandbox, session):
        session.buffer = 3
        async with open_account(session, session.teller) as account:
            await settled(account)
            session.fails = [PASSING[0]] * 15
            for _ in range(8):
                sandbox.deposit("BTC", D(100))
            await trio.sleep(2 * ENTERING)
            assert len(session.fails) > 0
            assert not account.is_current
            assert session.now() - account.as_of > 100_000
            await settled(account)
            assert len(session.fails) == 0
            assert account.balances["BTC"].free == 900
