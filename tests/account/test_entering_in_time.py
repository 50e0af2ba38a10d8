"""Entering user data and an account on `Session.within`: it ends within those seconds, whatever does not answer."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.errors import NotSent, OutcomeUnknown, Rejected
from bintrio.sandbox import Delay, DropReply, ErrorReply, RefuseConnection, Sandbox
from tests.orders import open_market

SUBSCRIBE = "userDataStream.subscribe"
QUESTIONS = (SUBSCRIBE, "account.status", "openOrders.status", "openOrderLists.status")
ASKED = {"user_data": (SUBSCRIBE,), "account": QUESTIONS}
KINDS = [(kind, method) for kind, methods in ASKED.items() for method in methods]


def entering(session: bintrio.Session, kind: str) -> AbstractAsyncContextManager[object]:
    return session.account() if kind == "account" else session.user_data()


@pytest.mark.parametrize("seconds", [2, 7.5, 20])
@pytest.mark.parametrize(("kind", "method"), KINDS)
async def test_g1_entering_ends_within_its_seconds_where_no_answer_comes(
    autojump_clock: MockClock, kind: str, method: str, seconds: float
) -> None:
    async with open_market() as (session, sandbox):
        sandbox.inject(DropReply(method, times=1000))
        began = trio.current_time()
        with pytest.raises(OutcomeUnknown, match=rf"^{method} was sent, .* no answer came within"):
            await entering(session.within(seconds), kind).__aenter__()
        assert trio.current_time() - began == pytest.approx(seconds)
        assert not session.unresolved
        sandbox.clear_faults()
        async with entering(session.within(seconds), kind):
            assert trio.current_time() - began < 2 * seconds


async def slow(sandbox: Sandbox) -> None:
    for method in QUESTIONS:
        sandbox.inject(Delay(method, seconds=1.0, times=1000))


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5, 3.5])
async def test_g1_all_that_entering_an_account_asks_is_within_its_seconds(
    autojump_clock: MockClock, seconds: float
) -> None:
    async with open_market() as (session, sandbox):
        await slow(sandbox)
        began = trio.current_time()
        with pytest.raises(OutcomeUnknown, match=rf"^{QUESTIONS[int(seconds)]} was sent, .* no answer came"):
            await session.within(seconds).account().__aenter__()
        assert trio.current_time() - began == pytest.approx(seconds)
        async with session.within(6).account() as account:
            assert account.balances


@pytest.mark.parametrize("kind", ASKED)
async def test_g1_entering_without_a_connection_is_not_sent(autojump_clock: MockClock, kind: str) -> None:
    async with open_market() as (session, sandbox):
        sandbox.inject(RefuseConnection(times=1000))
        sandbox.disconnect()
        await trio.sleep(1)
        began = trio.current_time()
        with pytest.raises(NotSent):
            await entering(session.within(2), kind).__aenter__()
        assert trio.current_time() - began == pytest.approx(2)


@pytest.mark.parametrize(("seconds", "is_entered"), [(20, False), (150, True)])
async def test_an_account_may_be_given_more_than_a_minute(
    autojump_clock: MockClock, seconds: float, is_entered: bool
) -> None:
    async with open_market() as (session, sandbox), trio.open_nursery() as nursery:

        async def mend() -> None:
            await trio.sleep(70)
            sandbox.clear_faults()

        sandbox.inject(ErrorReply(SUBSCRIBE, code=-9999, times=1000))
        nursery.start_soon(mend)
        if is_entered:
            async with session.within(seconds).account() as account:
                assert 70 <= trio.current_time() <= seconds
                assert account.balances
        else:
            with pytest.raises(Rejected):
                await session.within(seconds).account().__aenter__()
            assert trio.current_time() <= seconds
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("kind", "method"), KINDS)
async def test_g6_entering_within_seconds_can_be_cancelled(autojump_clock: MockClock, kind: str, method: str) -> None:
    async with open_market() as (session, sandbox):
        sandbox.inject(DropReply(method, times=1000))
        with trio.move_on_after(1) as scope:
            await entering(session.within(2), kind).__aenter__()
        assert scope.cancelled_caught
        sandbox.clear_faults()
        async with entering(session.within(2), kind):
            assert (await session.time()).server_time
