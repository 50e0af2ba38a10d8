"""Handles of orders and lists: they tell the end, whoever is cancelled at whichever step, and what is forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import requests
from bintrio.account import LiveAccount, LiveOrder, LiveOrderList
from bintrio.errors import BintrioError, InvalidRequest, OutcomeUnknown, ProtocolViolation
from bintrio.sandbox import Disconnect, DropReply, EventsFirst, LateReply, Sandbox, ServerError, Timeout, open_sandbox
from tests.sessions import CancelsAfter

from .test_live import BUY, OCO, following, raising, settled

D = Decimal

Act = Callable[[Any], Awaitable[object]]


async def cancel(handle: LiveOrder | LiveOrderList) -> None:
    await handle.cancel()


async def amend(order: LiveOrder) -> None:
    await order.amend(1)


ACTS: Final[dict[str, tuple[str, Act]]] = {
    "order.cancel": ("order", cancel),
    "order.amend.keepPriority": ("order", amend),
    "orderList.cancel": ("list", cancel),
}
WRONGS: Final[dict[str, Callable[[str], Any]]] = {
    "nothing": lambda _method: None,
    "its answer is late": lambda method: LateReply(method=method, seconds=3),
    "its answer is lost": lambda method: DropReply(method=method),
    "the connection is lost after it": lambda method: Disconnect(method=method, executed=True),
    "the connection is lost before it": lambda method: Disconnect(method=method, executed=False),
    "5xx after it": lambda method: ServerError(method=method, executed=True),
    "a timeout before it": lambda method: Timeout(method=method, executed=False),
    "the question is not answered": lambda _method: Disconnect(method="order.status", executed=True),
}


async def placed(account: LiveAccount, kind: str) -> LiveOrder | LiveOrderList:
    return await account.place_oco(**OCO) if kind == "list" else await account.place(**BUY)


def truth(sandbox: Sandbox, handle: LiveOrder | LiveOrderList) -> list[tuple[Any, ...]]:
    orders = {order.order_id: order for order in sandbox.orders}
    legs = handle.orders if isinstance(handle, LiveOrderList) else (handle,)
    return [(orders[leg.order_id].status, orders[leg.order_id].quantity) for leg in legs if leg.order_id is not None]


def shown(handle: LiveOrder | LiveOrderList) -> list[tuple[Any, ...]]:
    legs = handle.orders if isinstance(handle, LiveOrderList) else (handle,)
    return [(leg.state.status, leg.state.orig_qty) for leg in legs if leg.state is not None]


async def cancelled_after(steps: int, act: Callable[[], Awaitable[object]]) -> bool:
    """Do something, cancelled after so many steps. Whether it was done before."""
    scope, is_done = trio.CancelScope(), False
    cancels = CancelsAfter(steps, scope)
    trio.lowlevel.add_instrument(cancels)
    try:
        with scope:
            await act()
            is_done = True
    finally:
        trio.lowlevel.remove_instrument(cancels)
    return is_done


@pytest.mark.untraced
@pytest.mark.parametrize("wrong", WRONGS)
@pytest.mark.parametrize("method", ACTS)
async def test_g1_whoever_is_cancelled_at_any_step_the_handle_tells_its_end(
    autojump_clock: MockClock, method: str, wrong: str
) -> None:
    kind, act = ACTS[method]
    async with following(query_lag=0.5) as (sandbox, bent, account):
        steps, is_over = 0, False
        while not is_over:
            steps += 1 + steps // 25  # the later ones are those of waits in which the same happens again and again
            handle = await placed(account, kind)
            fault = WRONGS[wrong](method)
            if fault is not None:
                sandbox.inject(fault)
            is_over = await cancelled_after(steps, partial(act, handle))
            sandbox.clear_faults()
            await trio.sleep(60)
            await settled(account)
            assert shown(handle) == truth(sandbox, handle)
            assert bent.unresolved == ()
            await handle.cancel()
            await handle.closed()
            assert shown(handle) == truth(sandbox, handle)
            assert not account.handles
        assert steps > 10


async def place_market(account: LiveAccount) -> LiveOrder:
    return await account.place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1)


PLACINGS: Final[dict[str, tuple[str, Callable[[LiveAccount], Awaitable[LiveOrder | LiveOrderList]]]]] = {
    "a limit order": ("order.place", lambda account: account.place(**BUY)),
    "one with an id of its own": ("order.place", lambda account: account.place(**BUY, new_client_order_id="mine")),
    "a market order": ("order.place", place_market),
    "a list": ("orderList.place.oco", lambda account: account.place_oco(**OCO)),
}


def legs_of(handle: LiveOrder | LiveOrderList) -> tuple[LiveOrder, ...]:
    return handle.orders if isinstance(handle, LiveOrderList) else (handle,)


@pytest.mark.untraced
@pytest.mark.parametrize("wrong", [*WRONGS, "events come first"])
@pytest.mark.parametrize("placing", PLACINGS)
async def test_g1_whoever_places_and_is_cancelled_at_any_step_there_is_a_handle_that_tells_the_end(
    autojump_clock: MockClock, placing: str, wrong: str
) -> None:
    method, place = PLACINGS[placing]
    async with following(query_lag=0.5) as (sandbox, bent, account):
        sandbox.quote("BTCUSDT", D(110), D(120), D(500))
        steps, is_over = 0, False
        while not is_over:
            steps += 1 + steps // 15  # as above
            earlier, known = {order.order_id for order in sandbox.orders}, {*account.handles, *account.closed_handles}
            fault = EventsFirst(method=method) if wrong == "events come first" else WRONGS[wrong](method)
            if fault is not None:
                sandbox.inject(fault)
            is_over = await cancelled_after(steps, partial(place, account))
            sandbox.clear_faults()
            await trio.sleep(60)
            await settled(account)
            (handle,) = (
                handle
                for handle in {*account.handles, *account.closed_handles} - known
                if handle.request is not None  # the orders of a list have none
            )
            assert handle.status != "UNKNOWN"
            legs = legs_of(handle)
            assert {leg.order_id for leg in legs if leg.key} == {o.order_id for o in sandbox.orders} - earlier
            await handle.cancel()
            await handle.closed()
            assert shown(handle) == truth(sandbox, handle)
            assert all(leg.has_all_fills for leg in legs)
            assert handle in account.closed_handles
            assert not account.handles
            assert bent.unresolved == ()
    assert steps > 10


async def test_g1_a_cancelled_caller_finds_the_handle_of_what_has_ended_by_then(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, _, account):
        sandbox.quote("BTCUSDT", D(110), D(120), D(500))
        sandbox.inject(LateReply(method="order.place", seconds=3))
        with trio.move_on_after(1):
            await place_market(account)
        assert not account.handles
        (handle,) = account.closed_handles
        assert isinstance(handle, LiveOrder)
        assert await handle.filled()
        assert [fill.qty for fill in handle.fills] == [1]


async def test_g1_equal_calls_of_several_cancelled_callers_are_all_found_out_about(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        sandbox.inject(LateReply(method="order.cancel", seconds=20))
        sandbox.inject(LateReply(method="order.cancel", seconds=20))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(order.cancel)
            nursery.start_soon(order.cancel)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        left = bent.unresolved
        await trio.sleep(60)
        assert (len(left), len(bent.unresolved)) == (2, 0)
        assert order.status == "CANCELED"


async def test_g1_a_caller_who_waits_for_what_became_of_a_cancel_may_be_cancelled(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        asked = trio.Event()
        confirm = bent.confirm

        async def confirm_slowly(call: Any, *, sent_at: int | None = None) -> Any:
            if not asked.is_set():
                asked.set()
                await trio.sleep_forever()
            return await confirm(call, sent_at=sent_at)

        monkeypatch.setattr(bent, "confirm", confirm_slowly)
        sandbox.inject(Disconnect(method="order.cancel", executed=True))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(order.cancel)
            await asked.wait()
            nursery.cancel_scope.cancel()
        assert await order.closed() is not None
        assert order.status == "CANCELED"


async def test_a_change_that_nothing_tells_of_raises_what_confirm_does(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, account):
        order = await account.place(**BUY)
        bent.confirms = [raising(OutcomeUnknown("order.cancel", "the test says so"))]
        sandbox.inject(Disconnect(method="order.cancel"))
        with pytest.raises(OutcomeUnknown, match="the test says so"):
            await order.cancel()


async def test_g1_when_the_account_is_followed_no_more_the_caller_is_told(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        async with session.account() as account:
            pass
        sandbox.inject(Disconnect(method="order.place", executed=True))
        with pytest.raises(OutcomeUnknown) as lost:
            await account.place(**BUY)
        assert await session.confirm(lost.value) is not None
        sandbox.inject(LateReply(method="order.place", seconds=3))
        with trio.move_on_after(1):
            await account.place(**BUY)
        assert len(session.unresolved) == 1  # whoever has the session may ask


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["lost", "cancelled"])
@pytest.mark.parametrize("placing", ["a limit order", "a list", "one with an id of its own"])
async def test_g7_what_was_placed_under_ids_of_the_account_is_known_by_them_though_the_clock_was_set_back_unseen(
    autojump_clock: MockClock, placing: str, is_cancelled: bool
) -> None:
    method, place = PLACINGS[placing]
    async with open_sandbox(listen=False) as sandbox:
        open_session = partial(bintrio.open_session, sandbox.endpoint, key=sandbox.key, connect=sandbox.connect)
        async with open_session() as session:
            async with session.account() as account:
                pass
            sandbox.set_back(0.4)
            await trio.sleep(1)
            sandbox.inject(LateReply(method=method, seconds=30) if is_cancelled else DropReply(method=method))
            lost: list[OutcomeUnknown] = []
            with trio.move_on_after(0.5 if is_cancelled else 60):
                try:
                    await place(account)
                except OutcomeUnknown as error:
                    lost.append(error)
            (left_behind,) = session.unresolved if is_cancelled else lost
        async with open_session() as another:
            if placing == "one with an id of its own":
                with pytest.raises(OutcomeUnknown, match="if the exchange's clock was set back"):
                    await another.confirm(left_behind)
            else:
                assert await another.confirm(left_behind) is not None


async def test_a_handle_knows_the_end_of_an_order_that_the_account_has_forgotten(autojump_clock: MockClock) -> None:
    async with following(keep=1) as (sandbox, _, account):
        first, second = [await account.place(**BUY) for _ in range(2)]
        assert first.order_id is not None
        sandbox.fill(first.order_id)
        await wait_all_tasks_blocked()
        await second.cancel()
        await wait_all_tasks_blocked()
        assert list(account.closed_orders) == [second.key]
        assert (first.status, first.is_closed, first.remaining) == ("FILLED", True, D(0))
        assert await first.filled()
        assert [fill.qty for fill in first.fills] == [2]
        assert await first.cancel() == first.state
        with pytest.raises(InvalidRequest, match="is FILLED: there is nothing to amend"):
            await first.amend(1)


async def test_orders_that_end_together_are_told_to_their_handles_though_only_one_is_kept(
    autojump_clock: MockClock,
) -> None:
    async with following(keep=1) as (sandbox, _, account):
        orders = [await account.place(**BUY) for _ in range(3)]
        sandbox.disconnect()
        for order in orders:
            assert order.order_id is not None
            sandbox.fill(order.order_id)
        await settled(account)
        assert [await order.filled() for order in orders] == [True, True, True]
        assert not account.handles


async def test_orders_that_ended_long_ago_are_forgotten(autojump_clock: MockClock) -> None:
    async with following(keep_for=3600) as (_, _, account):
        order = await account.place(**BUY)
        group = await account.place_oco(**OCO)
        await order.cancel()
        await group.cancel()
        resting = await account.place(**BUY)
        await trio.sleep(3000)
        await (await account.place(**BUY)).cancel()
        assert len(account.closed_orders) == 4
        assert list(account.lists) == [group.list_id]
        await trio.sleep(1000)
        latest = await account.place(**BUY)
        assert len(account.closed_orders) == 1
        assert not account.lists
        assert list(account.orders) == [resting.key, latest.key]
        assert (order.status, group.status) == ("CANCELED", "ALL_DONE")


@pytest.mark.parametrize("keep_for", [0, -1, "5", None, float("inf")])
async def test_how_long_orders_are_kept_is_checked(autojump_clock: MockClock, keep_for: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        async with following(keep_for=keep_for):
            pass
    assert caught.value.field == "keep_for"


async def test_fills_that_are_found_after_the_end_are_told(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, _, account):
        order = await account.place(**BUY)
        told: list[D] = []

        async def listen() -> None:
            async for fill in order.new_fills():
                told.append(fill.qty)

        assert order.order_id is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await wait_all_tasks_blocked()
            sandbox.disconnect()
            sandbox.fill(order.order_id, D(1))
            sandbox.fill(order.order_id, D(1))
        assert told == [1, 1]
        assert not account.handles


async def test_two_handles_of_one_order_are_equal(autojump_clock: MockClock) -> None:
    async with following() as (_, _, account):
        order, group = await account.place(**BUY), await account.place_oco(**OCO)
        assert set(account.handles) == {order, group, *group.orders}
        assert {leg.group for leg in group.orders} == {group}
        assert order.group is None
        assert order != group
        assert order != "order"
        assert group.orders[0].request is None
        assert group.request is not None


async def test_g7_what_is_refused_is_refused_once(autojump_clock: MockClock) -> None:
    async with following() as (_, _, account):
        dear: dict[str, Any] = {**BUY, "price": 10**9}
        with pytest.raises(BintrioError):
            await account.place(**dear)
        assert not account.handles


@pytest.mark.parametrize("own_id", [None, "mine"])
async def test_what_an_answer_does_not_say_of_an_order_with_an_id_of_the_account_does_not_depend_on_times(
    autojump_clock: MockClock, own_id: str | None
) -> None:
    async with following() as (_, bent, account):
        asked, confirm = list[int | None](), bent.confirm

        async def confirm_noting(call: Any, *, sent_at: int | None = None) -> Any:
            asked.append(sent_at)
            return await confirm(call, sent_at=sent_at)

        bent.confirm = confirm_noting  # type: ignore[method-assign]  # to look at what is asked
        bent.bends[requests.OrderPlace] = raising(ProtocolViolation("the test says so"))
        order = await account.place(**BUY, new_client_order_id=own_id)
        assert await order.placed() is not None
        await wait_all_tasks_blocked()  # an event may tell of it before anybody asks
        assert [sent_at is None for sent_at in asked] == [own_id is None]
