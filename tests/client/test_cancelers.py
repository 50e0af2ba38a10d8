"""By which call an order was canceled: no other one is said to have canceled it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Final, TypeAlias

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import HalfReplaced, OutcomeUnknown, PartlyDone
from bintrio import sandbox as faults
from bintrio._client.namesakes import canceled_by
from bintrio.api._base import Request
from bintrio.requests import OpenOrdersCancelAll, OrderCancel, OrderCancelReplace, OrderListCancel, OrderListPlaceOco
from bintrio.sandbox import Sandbox
from tests.orders import limit, open_market, replacing

pytestmark = pytest.mark.usefixtures("both_streams")

Lost: TypeAlias = OutcomeUnknown[OrderCancelReplace]

CANCELERS: Final[dict[str, Callable[[int], Request[Any]]]] = {
    "order.cancel": lambda number: OrderCancel(symbol="BTCUSDT", order_id=number),
    "openOrders.cancelAll": lambda number: OpenOrdersCancelAll(symbol="BTCUSDT"),
    "order.cancelReplace": lambda number: replacing(number, price=30_000, quantity="0.001"),
    "half of order.cancelReplace": lambda number: replacing(number, "ALLOW_FAILURE", quantity=200, price=40_000),
}


async def lose_replacement(session: bintrio.Session, sandbox: Sandbox, number: int, *, executed: bool = False) -> Lost:
    """The error that the replacement of an order comes to whose answer does not come."""
    sandbox.inject(faults.Disconnect("order.cancelReplace", executed=executed))
    with pytest.raises(OutcomeUnknown) as lost:
        await session.send(replacing(number, "ALLOW_FAILURE", price=30_000, quantity="0.001"))
    return lost.value


async def confirmed(
    session: bintrio.Session, sandbox: Sandbox, error: Lost, *, by_another: bool
) -> bintrio.Order | HalfReplaced | None:
    if not by_another:
        return await session.confirm(error)
    async with bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key) as other:
        return await other.confirm(error)


@pytest.mark.parametrize("kind", CANCELERS)
@pytest.mark.parametrize("by_wire_names", [False, True])
@pytest.mark.parametrize("by_another", [False, True])
async def test_g7_what_an_answered_call_canceled_no_other_call_canceled(
    autojump_clock: MockClock, kind: str, *, by_wire_names: bool, by_another: bool
) -> None:
    async with open_market() as (session, sandbox):
        order = await session.send(limit())
        request = CANCELERS[kind](order.order_id)
        with suppress(PartlyDone):
            await (session.request(request.api.name, request.params()) if by_wire_names else session.send(request))
        # In the same moment, so that times do not tell which of the two calls it was.
        error = await lose_replacement(session, sandbox, order.order_id)
        assert await confirmed(session, sandbox, error, by_another=by_another) is None


@pytest.mark.parametrize("by_another", [False, True])
async def test_g7_what_a_call_was_to_cancel_that_was_answered_otherwise_it_may_have_canceled(
    autojump_clock: MockClock, *, by_another: bool
) -> None:
    async with open_market() as (session, sandbox):
        orders = [await session.send(limit(price)) for price in (40_000, 41_000)]
        await session.send(CANCELERS["order.cancel"](orders[0].order_id))
        error = await lose_replacement(session, sandbox, orders[1].order_id, executed=True)
        found = await confirmed(session, sandbox, error, by_another=by_another)
        assert isinstance(found, bintrio.Order)
        assert found.order_id == sandbox.orders[-1].order_id


@pytest.mark.parametrize("is_first", [False, True])
async def test_g7_the_late_answer_to_a_cancel_tells_that_no_other_call_canceled(
    autojump_clock: MockClock, *, is_first: bool
) -> None:
    async with open_market() as (session, sandbox), trio.open_nursery() as nursery:
        order = await session.send(limit())
        errors: list[Lost] = []

        async def lose(fault: faults.Fault) -> None:
            sandbox.inject(fault)
            with pytest.raises(OutcomeUnknown) as lost:
                await session.within(1).send(replacing(order.order_id, price=30_000, quantity="0.001"))
            errors.append(lost.value)

        nursery.start_soon(lose, faults.LateReply("order.cancelReplace", seconds=3.0))
        await wait_all_tasks_blocked()
        nursery.start_soon(lose, faults.DropReply("order.cancelReplace"))
        await trio.sleep(5)
        (late,) = (error for error in errors if error.answer is not None)
        (lost,) = (error for error in errors if error.answer is None)
        if is_first:
            assert isinstance(await session.confirm(late), bintrio.Order)
        assert await session.confirm(lost) is None
        assert isinstance(await session.confirm(late), bintrio.Order)


OCO: Final = OrderListPlaceOco(
    symbol="BTCUSDT",
    side="SELL",
    quantity="0.001",
    above_type="LIMIT_MAKER",
    above_price=60_000,
    below_type="STOP_LOSS",
    below_stop_price=40_000,
)


@pytest.mark.parametrize("leg", [0, 1])
async def test_g7_who_cancels_an_order_list_cancels_each_of_its_orders(autojump_clock: MockClock, leg: int) -> None:
    async with open_market() as (session, sandbox):
        placed = await session.send(OCO)
        await session.send(OrderListCancel(symbol="BTCUSDT", order_list_id=placed.order_list_id))
        error = await lose_replacement(session, sandbox, placed.orders[leg].order_id)
        assert await session.confirm(error) is None


@pytest.mark.parametrize("executed", [False, True])
async def test_g7_a_cancel_by_name_is_not_said_to_have_hit_what_another_call_canceled(
    autojump_clock: MockClock, *, executed: bool
) -> None:
    async with open_market() as (session, sandbox):
        older = await session.send(limit(new_client_order_id="grid-7"))
        await session.order_cancel(symbol="BTCUSDT", order_id=older.order_id)
        newer = await session.send(limit(new_client_order_id="grid-7"))
        sandbox.inject(faults.Disconnect("order.cancel", executed=executed))
        with pytest.raises(OutcomeUnknown) as lost:
            await session.order_cancel(symbol="BTCUSDT", orig_client_order_id="grid-7")
        found: bintrio.Order | None = await session.confirm(lost.value)
        assert found is not None
        assert (found.order_id, found.status) == (newer.order_id, "CANCELED" if executed else "NEW")


async def test_g7_what_half_of_an_answered_call_placed_no_other_call_placed(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox):
        sandbox.inject(faults.Disconnect("order.place"))
        with pytest.raises(OutcomeUnknown) as lost:
            await session.send(limit(60_000, new_client_order_id="grid-7"))
        like_it: Any = {"price": 60_000, "quantity": "0.001", "new_client_order_id": "grid-7"}
        with pytest.raises(PartlyDone):
            await session.send(replacing(9_999, "ALLOW_FAILURE", **like_it))
        assert len(sandbox.orders) == 1
        assert await session.confirm(lost.value) is None


async def test_g7_a_replacement_that_found_its_order_canceled_says_so(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox):
        order = await session.send(limit())
        await session.order_cancel(symbol="BTCUSDT", order_id=order.order_id)
        error = await lose_replacement(session, sandbox, order.order_id, executed=True)
        found = await session.confirm(error)
        assert isinstance(found, HalfReplaced)
        assert not found.is_canceled
        assert found.new_order is not None


def test_g7_orders_are_read_off_the_answer_to_whatever_canceled_them() -> None:
    order = {"orderId": 5}
    both: Any = {"orderListId": 1, "orders": [order, {"orderId": 6}]}
    for answer in (order, [order], {"cancelResponse": order, "newOrderResponse": {"orderId": 7}}):
        assert canceled_by(answer) == (5,)
    for answer in (both, [both], {"cancelResponse": both}):
        assert canceled_by(answer) == (5, 6)
    half = PartlyDone("order.cancelReplace", status=409, code=-2021, message="")
    half.done = {"newOrderResponse": order}
    assert canceled_by(half) == ()
    half.done = {"cancelResponse": order}
    assert canceled_by(half) == (5,)


FATES: Final[tuple[Callable[[str], faults.Fault | None], ...]] = (
    lambda _: None,
    faults.DropReply,
    lambda method: faults.Disconnect(method, executed=True),
    faults.Disconnect,
)


@pytest.mark.plain_streams  # what is told does not depend on how bytes travel
@pytest.mark.parametrize("seed", range(24))
async def test_g7_of_calls_that_were_to_cancel_one_order_none_takes_what_another_was_told(
    autojump_clock: MockClock, seed: int
) -> None:
    """Whichever were answered, executed or lost, how soon after each other, and whichever session is asked."""
    chance = Random(seed)
    async with open_market() as (session, sandbox):
        sandbox.query_lag = chance.choice([0.0, 1.9])
        order = await session.send(limit())
        replace = replacing(order.order_id, "ALLOW_FAILURE", price=30_000, quantity="0.001")
        lost: list[tuple[Lost, int | None]] = []
        is_known = False
        for _ in range(4):
            await trio.sleep(chance.choice([0.0, 0.001, 0.5, 3.0]))
            was_open, before = _status(sandbox, order.order_id) == "NEW", len(sandbox.orders)
            request: Request[Any] = chance.choice([replace, CANCELERS["order.cancel"](order.order_id)])
            fault = chance.choice(FATES)(request.api.name)
            if fault is not None:
                sandbox.inject(fault)
            try:
                await session.send(request)
            except OutcomeUnknown as unknown:
                if request is replace:
                    lost.append((unknown, sandbox.orders[-1].order_id if len(sandbox.orders) > before else None))
            except bintrio.Rejected:
                pass
            is_known |= was_open and fault is None
        for error, placed in lost:
            try:
                found = await confirmed(session, sandbox, error, by_another=chance.random() < 0.5)
            except OutcomeUnknown:
                assert not is_known, "nobody was told who canceled it"
                continue
            new = found.new_order if isinstance(found, HalfReplaced) else found
            assert (new and new.order_id) == placed
            if is_known:
                assert found is None or (isinstance(found, HalfReplaced) and not found.is_canceled)


def _status(sandbox: Sandbox, number: int) -> str:
    return next(order.status for order in sandbox.orders if order.order_id == number)
