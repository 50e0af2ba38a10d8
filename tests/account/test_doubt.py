"""Balances that the exchange does not tell: an account says which, goes on, and asks less and less often."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import requests
from bintrio.account import LiveAccount
from bintrio.account.asking import QUERY_DELAY_SECONDS
from bintrio.account.live import open_account
from bintrio.errors import Rejected
from bintrio.sandbox import Sandbox, open_sandbox

from .test_live import BUY, Bent, D, following, raising, refusal, settled

HOUR = 3600


def older(answer: Any) -> Any:
    """The account as it is, at a time before anything that events have told."""
    return msgspec.structs.replace(answer, update_time=1)


def doubtful(account: LiveAccount) -> set[str]:
    return {asset for asset, held in account.balances.items() if not held.is_certain}


# An answer that is behind


async def test_where_the_answer_stays_behind_the_account_goes_on_and_says_which_balances_are_not_certain(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        await settled(account)
        bent.bends[requests.AccountStatus] = older
        began, known = trio.current_time(), account.balances["BTC"]
        sandbox.disconnect()
        sandbox.fill(order.order_id or 0)
        await trio.sleep(40)
        assert not account.is_current
        sandbox.deposit("BNB", D(1))
        await settled(account)
        # Half a minute is the longest pause.
        assert 60 <= trio.current_time() - began <= 95
        assert await order.filled()
        assert doubtful(account) == set(account.balances) - {"BNB"}
        # It is as of when it was told last.
        assert msgspec.structs.replace(account.balances["BTC"], is_certain=True) == known
        assert "the balances of ('BTC', 'ETH', 'USDT') are not certain: account.status is of 1, and" in caplog.text
        assert bent.sent.count("account.status") < 15


async def test_it_is_asked_again_less_and_less_often_and_an_answer_that_is_not_behind_tells(
    autojump_clock: MockClock,
) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        await settled(account)
        bent.bends[requests.AccountStatus] = older
        sandbox.disconnect()
        sandbox.fill(order.order_id or 0)
        await trio.sleep(10)
        await settled(account)
        bent.sent.clear()
        await trio.sleep(6 * HOUR)
        # After 1, 3, 7, 15, 31, 63 minutes, and then every hour; nothing else is asked.
        assert 9 <= len(bent.sent) <= 11
        assert {*bent.sent} == {"account.status"}
        assert account.is_current
        bent.bends.clear()
        await trio.sleep(HOUR + 10)
        assert doubtful(account) == set()
        assert account.balances["BTC"].free == D("101.998")
        bent.sent.clear()
        await trio.sleep(6 * HOUR)
        assert bent.sent == []


async def lose_balances(sandbox: Sandbox, bent: Bent, account: LiveAccount) -> None:
    """After a loss of events all but the balances is known: the answer for them stays older than what was told."""
    await account.place(**BUY)
    await settled(account)
    bent.bends[requests.AccountStatus] = older
    sandbox.disconnect()
    await trio.sleep(10)
    await settled(account)


async def test_an_event_makes_certain_what_an_answer_has_left_in_doubt(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        await lose_balances(sandbox, bent, account)
        assert "USDT" in doubtful(account)
        await account.place(**BUY)
        await wait_all_tasks_blocked()
        assert "USDT" not in doubtful(account)
        assert account.balances["USDT"].locked == 400


async def test_a_loss_while_balances_are_asked_for_alone_has_all_asked(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        await lose_balances(sandbox, bent, account)
        bent.sent.clear()

        def cut(answer: Any) -> Any:
            bent.bends.clear()
            sandbox.disconnect()
            return answer

        bent.bends[requests.AccountStatus] = cut
        await trio.sleep(70)
        assert "openOrders.status" in bent.sent
        assert account.is_current
        assert doubtful(account) == set()


# An event without its position


class WithoutPositions:
    """Events as from an exchange that sends no position."""

    def __init__(self, events: bintrio.Subscriber) -> None:
        self._events = events

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for event in self._events:
            if not isinstance(event, bintrio.OutboundAccountPosition):
                yield event


class Curt(Bent):
    """A session that brings no positions."""

    def user_data(self) -> Any:
        return self._subscribed()

    @asynccontextmanager
    async def _subscribed(self) -> AsyncGenerator[WithoutPositions]:
        async with super().user_data() as events:
            yield WithoutPositions(events)


@asynccontextmanager
async def curt(query_lag: float = 0.0) -> AsyncGenerator[tuple[Sandbox, Curt, LiveAccount]]:
    async with (
        open_sandbox(listen=False, query_lag=query_lag) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        bent = Curt(session)
        async with open_account(bent, bent.teller) as account:
            await settled(account)
            bent.sent.clear()
            yield sandbox, bent, account


@pytest.mark.parametrize("is_dated", [True, False], ids=["later", "of the same time"])
async def test_a_lock_that_no_position_follows_is_asked_for_after_a_minute(
    autojump_clock: MockClock, is_dated: bool
) -> None:
    async with curt(query_lag=1.5) as (sandbox, bent, account):
        before = account.balances["BTC"]

        def undated(answer: Any) -> Any:
            """Locks need not be changes of the account in the exchange's sense."""
            return msgspec.structs.replace(answer, update_time=before.as_of)

        if not is_dated:
            bent.bends[requests.AccountStatus] = undated
        sandbox.lock_externally("BTC", D(4))
        await wait_all_tasks_blocked()
        held = account.balances["BTC"]
        assert (held.free, held.locked, held.is_certain, held.as_of) == (D(96), D(4), False, before.as_of)
        assert account.is_current
        await trio.sleep(61 + QUERY_DELAY_SECONDS)
        held = account.balances["BTC"]
        assert (held.free, held.locked, held.is_certain) == (D(96), D(4), True)
        assert bent.sent == ["account.status"]
        await trio.sleep(6 * HOUR)
        assert bent.sent == ["account.status"]


async def test_what_is_added_meanwhile_is_not_taken_back_and_is_asked_for_anew(autojump_clock: MockClock) -> None:
    async with curt() as (sandbox, bent, account):
        sandbox.deposit("BTC", D(1))
        # Shortly before and after the question, and once more while nothing is known of it.
        for pause in (59, QUERY_DELAY_SECONDS - 0.5, 0.5):
            await trio.sleep(pause)
            sandbox.deposit("BTC", D(1))
            await wait_all_tasks_blocked()
            assert not account.balances["BTC"].is_certain
        assert account.balances["BTC"].free == 104
        await trio.sleep(130)
        assert account.balances["BTC"].free == 104
        assert account.balances["BTC"].is_certain
        assert len(bent.sent) <= 2


async def test_a_question_for_balances_that_fails_is_told_and_asked_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with curt() as (sandbox, bent, account):
        bent.bends[requests.AccountStatus] = raising(refusal(Rejected))
        sandbox.deposit("BTC", D(1))
        await trio.sleep(70)
        assert "the balances of ('BTC',) are not certain: method: 400 -1000 no; asking again in 120 s" in caplog.text
        bent.bends.clear()
        await trio.sleep(130)
        assert account.balances["BTC"].is_certain
