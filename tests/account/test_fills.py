"""Whoever has waited for the end of an order may add up its fills: they are known by then, or the handle says no."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import requests
from bintrio.account import LiveAccount, LiveOrder
from bintrio.account.asking import QUERY_DELAY_SECONDS
from bintrio.account.live import open_account
from bintrio.errors import InvalidTimestamp, NotSent, OutcomeUnknown, ProtocolViolation, RateLimited, Rejected
from bintrio.sandbox import Disconnect, DropReply, EventsFirst, LateReply, Sandbox, ServerError, Timeout, open_sandbox
from tests.sessions import CancelsAfter

from .test_live import BUY, OCO, Bent, following, kept_elsewhere, raising, refusal, settled

D = Decimal
MARKET: Final[dict[str, Any]] = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": 2}
WRONGS: Final[dict[str, Callable[[], Any]]] = {
    "its answer is lost": lambda: DropReply(method="order.place"),
    "its answer is late": lambda: LateReply(method="order.place", seconds=20),
    "events come first": lambda: EventsFirst(method="order.place"),
    "the connection is lost after it": lambda: Disconnect(method="order.place", executed=True),
    "5xx after it": lambda: ServerError(method="order.place", executed=True),
    "a timeout after it": lambda: Timeout(method="order.place", executed=True),
}


def filled_of(order: LiveOrder) -> Decimal:
    return sum((fill.qty for fill in order.fills), D(0))


@asynccontextmanager
async def ended_unheard(
    **options: Any,
) -> AsyncGenerator[tuple[Sandbox, Bent, LiveAccount, LiveOrder], None]:
    """An order that is filled in two trades while no connection tells of it."""
    async with following(**options) as (sandbox, bent, account):
        order = await account.place(**BUY)
        await settled(account)
        sandbox.disconnect()
        assert order.order_id is not None
        for _ in range(2):
            sandbox.fill(order.order_id, D(1))
        yield sandbox, bent, account, order


# Whatever was lost


@pytest.mark.untraced
@pytest.mark.parametrize("wrong", WRONGS)
@pytest.mark.parametrize("shape", ["ACK", "RESULT", "FULL"])
@pytest.mark.parametrize("lag", [0.0, 1.9])
@pytest.mark.parametrize("is_settled", [True, False])
async def test_g1_whatever_becomes_of_the_answer_fills_are_known_at_the_end(
    autojump_clock: MockClock, wrong: str, shape: Any, lag: float, is_settled: bool
) -> None:
    async with following(query_lag=lag) as (sandbox, _, account):
        sandbox.quote("BTCUSDT", D(99), D(100), D(50))
        if is_settled:
            await settled(account)
        sandbox.inject(WRONGS[wrong]())
        order = await account.place(**MARKET, new_order_resp_type=shape)
        with trio.fail_after(600):
            assert await order.filled()
        assert (filled_of(order), order.has_all_fills) == (D(2), True)
        assert [fill async for fill in order.new_fills()] == list(order.fills)


async def test_fills_that_a_lost_connection_hid_are_known_at_the_end(autojump_clock: MockClock) -> None:
    async with ended_unheard(query_lag=1.9) as (_, _, account, order):
        closed = await order.closed()
        assert closed is not None
        assert [fill.qty for fill in order.fills] == [1, 1]
        assert not account.handles


async def test_what_was_filled_before_a_cancel_is_known_at_the_end(autojump_clock: MockClock) -> None:
    async with following(query_lag=1.0) as (sandbox, _, account):
        order = await account.place(**BUY)
        await settled(account)
        sandbox.disconnect()
        sandbox.trade("BTCUSDT", "SELL", D(100), D("0.5"))
        while order.status != "CANCELED":  # the connection may be lost under it
            await order.cancel()
        closed = await order.closed()
        assert closed is not None
        assert (closed.status, closed.executed_qty, filled_of(order)) == ("CANCELED", D("0.5"), D("0.5"))


async def test_an_answer_without_fills_is_waited_out_until_events_bring_them(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        sandbox.quote("BTCUSDT", D(99), D(100), D(50))
        await settled(account)
        order = await account.place(**MARKET, new_order_resp_type="RESULT")
        began = trio.current_time()
        assert await order.filled()
        assert (filled_of(order), trio.current_time() - began < QUERY_DELAY_SECONDS) == (D(2), True)
        await trio.sleep(QUERY_DELAY_SECONDS + 1)
        assert "myTrades" not in bent.sent


async def test_who_waits_for_a_list_has_the_fills_of_its_orders(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, _, account):
        group = await account.place_oco(**OCO)
        await settled(account)
        sandbox.disconnect()
        sandbox.trade("BTCUSDT", "BUY", D(200), D(1))
        orders = await group.closed()
        assert {order.status for order in orders} == {"EXPIRED", "FILLED"}
        assert sum(map(filled_of, group.orders)) == 1


async def test_fills_of_orders_that_the_account_is_to_forget_are_found(autojump_clock: MockClock) -> None:
    async with following(keep=1) as (sandbox, _, account):
        orders = [await account.place(**BUY) for _ in range(3)]
        sandbox.disconnect()
        for order in orders:
            assert order.order_id is not None
            sandbox.fill(order.order_id)
        for order in orders:
            assert await order.filled()
        assert [filled_of(order) for order in orders] == [2, 2, 2]
        await settled(account)
        assert len(account.closed_orders) == 1


# What the exchange does not tell


@pytest.mark.parametrize(
    "bend", [itemgetter(slice(0)), itemgetter(slice(1)), raising(refusal(Rejected)), raising(ProtocolViolation("odd"))]
)
async def test_fills_that_the_exchange_does_not_tell_are_not_waited_for(
    autojump_clock: MockClock, bend: Callable[[Any], Any]
) -> None:
    async with ended_unheard() as (_, bent, account, order):
        bent.bends[requests.MyTrades] = bend
        with trio.fail_after(30):
            assert await order.filled()
        known = len(order.fills)
        assert (known < 2, order.has_all_fills) == (True, False)
        assert len([fill async for fill in order.new_fills()]) == known
        # A trade that is told of late still counts.
        del bent.bends[requests.MyTrades]
        assert order.state is not None
        await account._stock.fills.ask(order.state)
        account._publish()
        assert (filled_of(order), order.has_all_fills) == (D(2), True)


@pytest.mark.untraced
@pytest.mark.parametrize("bend", [itemgetter(slice(1)), raising(refusal(Rejected))])
async def test_what_the_exchange_did_not_tell_is_asked_for_less_and_less_often(
    autojump_clock: MockClock, bend: Callable[[Any], Any]
) -> None:
    times = list[float]()

    def note(page: Any) -> Any:
        times.append(trio.current_time())
        return bend(page)

    async with ended_unheard() as (_, bent, account, order):
        bent.bends[requests.MyTrades] = note
        await order.closed()
        await settled(account)
        times.clear()
        began = trio.current_time()
        await trio.sleep(6 * 3600)
        pauses = [later - earlier for earlier, later in pairwise([began, *times])]
        assert pauses == pytest.approx([60, 120, 240, 480, 960, 1920, *[3600] * 4], abs=3)
        has_all_fills = order.has_all_fills
        assert not has_all_fills
        # The exchange tells at last, and then it is not asked any more.
        del bent.bends[requests.MyTrades]
        await trio.sleep(3600)
        assert order.has_all_fills
        assert filled_of(order) == 2
        asked = bent.sent.count("myTrades")
        await trio.sleep(86_400)
        assert bent.sent.count("myTrades") == asked


async def test_after_a_loss_the_exchange_is_asked_more_often_again(autojump_clock: MockClock) -> None:
    async with ended_unheard() as (sandbox, bent, account, _):
        bent.bends[requests.MyTrades] = raising(refusal(Rejected))
        await trio.sleep(4000)
        sandbox.disconnect()
        await trio.sleep(30)
        asked = bent.sent.count("myTrades")
        await trio.sleep(200)
        assert bent.sent.count("myTrades") == asked + 2
        assert account.is_current


@pytest.mark.parametrize(("bend", "at_once"), [(itemgetter(slice(0)), 20), (raising(refusal(Rejected)), 1)])
async def test_the_trades_of_many_orders_are_asked_for_in_turn(
    autojump_clock: MockClock, bend: Callable[[Any], Any], at_once: int
) -> None:
    async with following() as (sandbox, bent, account):
        orders = [await account.place(**BUY) for _ in range(25)]
        sandbox.disconnect()
        for order in orders:
            sandbox.fill(order.order_id or 0)
        bent.bends[requests.MyTrades] = bend
        for order in orders:
            await order.closed()
        await settled(account)
        asked = list[int]()
        ask = account._stock.fills.ask

        async def note(order: Any) -> Any:
            asked.append(order.order_id)
            return await ask(order)

        account._stock.fills.ask = note  # type: ignore[method-assign]
        await trio.sleep(60)
        assert len(asked) == at_once
        await trio.sleep(120)
        # Those that were left out come first.
        assert len(set(asked)) == min(2 * at_once, 25)


async def test_trades_are_not_asked_for_when_the_account_is_followed_no_more(autojump_clock: MockClock) -> None:
    async with kept_elsewhere() as (sandbox, session, is_over):
        bent = Bent(session)
        bent.bends[requests.MyTrades] = raising(refusal(Rejected))
        async with open_account(bent, bent.teller) as account:
            order = await account.place(**BUY)
            sandbox.disconnect()
            sandbox.fill(order.order_id or 0)
            await order.closed()
            is_over.set()
            await trio.sleep(600)
            asked = bent.sent.count("myTrades")
            await trio.sleep(36_000)
            assert bent.sent.count("myTrades") == asked


@pytest.mark.parametrize(
    "error",
    [
        NotSent("myTrades", "no connection"),
        OutcomeUnknown("myTrades", "lost"),
        ExceptionGroup("two", [ValueError()]),
        refusal(RateLimited, -1003, retry_at=None),
        refusal(InvalidTimestamp, -1021),
    ],
)
async def test_g8_a_question_without_an_answer_is_asked_again(autojump_clock: MockClock, error: Exception) -> None:
    async with ended_unheard() as (_, bent, _, order):
        failures = [error] * 4

        def bend(page: Any) -> Any:
            if failures:
                raise failures.pop()
            return page

        bent.bends[requests.MyTrades] = bend
        assert await order.filled()
        assert (filled_of(order), failures) == (D(2), [])


# Whoever leaves


async def test_who_waits_for_fills_when_the_account_is_left_waits_no_more(autojump_clock: MockClock) -> None:
    ended = list[bool]()

    async def wait(order: LiveOrder) -> None:
        ended.append(await order.filled())

    async with trio.open_nursery() as nursery, ended_unheard() as (_, bent, _, order):
        bent.bends[requests.MyTrades] = raising(NotSent("myTrades", "the test says so"))
        nursery.start_soon(wait, order)
        await trio.sleep(60)
        assert (order.is_closed, ended) == (True, [])
    assert (ended, order.has_all_fills) == ([True], False)


async def test_who_waits_for_fills_when_the_session_is_closed_waits_no_more(autojump_clock: MockClock) -> None:
    async with kept_elsewhere() as (sandbox, session, is_over):
        bent = Bent(session)
        bent.bends[requests.MyTrades] = raising(NotSent("myTrades", "the test says so"))
        async with open_account(bent, bent.teller) as account:
            order = await account.place(**BUY)
            sandbox.disconnect()
            assert order.order_id is not None
            sandbox.fill(order.order_id)
            await trio.sleep(60)
            assert (order.is_closed, order.fills) == (True, ())
            is_over.set()
            with trio.fail_after(60):
                assert await order.filled()
            assert not order.has_all_fills
            await trio.sleep(600)


async def test_fills_of_what_ends_when_the_account_is_followed_no_more_are_not_waited_for(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        sandbox.quote("BTCUSDT", D(99), D(100), D(50))
        async with session.account() as account:
            pass
        order = await account.place(**MARKET, new_order_resp_type="RESULT")
        assert await order.filled()
        assert (order.fills, order.has_all_fills) == ((), False)


async def test_g1_who_waits_for_the_end_may_be_cancelled_at_any_step(autojump_clock: MockClock) -> None:
    steps, is_over = 0, False
    while not is_over:
        steps += 1 + steps // 10
        async with ended_unheard() as (_, _, account, order):
            scope = trio.CancelScope()
            cancels = CancelsAfter(steps, scope)
            trio.lowlevel.add_instrument(cancels)
            try:
                with scope:
                    await order.closed()
                    is_over = True
            finally:
                trio.lowlevel.remove_instrument(cancels)
            assert await order.filled()
            assert filled_of(order) == 2
            assert not account.handles
    await wait_all_tasks_blocked()
    assert steps > 10
