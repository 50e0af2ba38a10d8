"""Whose an order is, where several calls went out under one client order id with the same parameters."""

from __future__ import annotations

import pickle
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import OutcomeUnknown, PartlyDone
from bintrio import sandbox as faults
from bintrio._client.namesakes import MOST_ORDERS, Namesakes, Origin, orders_in, placed_by, told_by
from bintrio.api.orders import OrderList
from bintrio.requests import OrderCancel, OrderListPlaceOco, OrderPlace
from bintrio.sandbox import Sandbox
from tests.orders import NO_ORDER, late, limit, open_market, replacing
from tests.peer import ACK, ORDER, open_pair
from tests.sessions import BUY, HMAC

pytestmark = pytest.mark.usefixtures("both_streams")

FATES = {
    "answered": None,
    "dropped": faults.DropReply("order.place"),
    "executed": faults.Disconnect("order.place", executed=True),
    "lost": faults.Disconnect("order.place"),
}


async def place(session: bintrio.Session, sandbox: Sandbox, fate: str, **fields: Any) -> Any:
    """An order that is filled at once, so that its id is free again: the error that it came to, or its id if it was
    answered.
    """
    fault = FATES[fate]
    if fault is not None:
        sandbox.inject(fault)
    try:
        order: Any = await session.within(1).send(limit(60_000, new_client_order_id="grid-7", **fields))
    except OutcomeUnknown as error:
        return error
    return order.order_id


@pytest.mark.parametrize("fate", ["dropped", "executed", "lost"])
@pytest.mark.parametrize("by_wire_names", [False, True])
async def test_g7_an_order_that_an_answer_named_is_no_other_calls(
    autojump_clock: MockClock, fate: str, by_wire_names: bool
) -> None:
    async with open_market() as (session, sandbox):
        error: OutcomeUnknown[OrderPlace] = await place(session, sandbox, fate)
        request = limit(60_000, new_client_order_id="grid-7")
        if by_wire_names:
            named = (await session.request("order.place", request.params()))["orderId"]
        else:
            named = (await session.send(request)).order_id
        assert len(sandbox.orders) == (1 if fate == "lost" else 2)
        found: bintrio.Order | None = await session.confirm(error)
        if fate == "lost":
            assert found is None
        else:
            assert found is not None
            assert found.order_id < named


@pytest.mark.parametrize("fate", ["executed", "lost"])
@pytest.mark.parametrize("second", ["answered", "executed", "lost"])
async def test_g7_another_session_knows_whose_an_order_is_too(
    autojump_clock: MockClock, fate: str, second: str
) -> None:
    async with open_market() as (session, sandbox):
        error = await place(session, sandbox, fate)
        await place(session, sandbox, second)
        async with bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key) as other:
            found = await told(other, error)
        truth = sandbox.orders[0].order_id if fate == "executed" else None
        # Of two calls that were not answered, nobody knows whose an order is.
        is_shared = second != "answered" and len(sandbox.orders) > 0
        assert found == (OutcomeUnknown if is_shared else truth)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_g7_what_was_said_without_knowing_of_a_call_denies_it_no_order(
    autojump_clock: MockClock, order: tuple[int, int]
) -> None:
    """Two sessions made two calls under one id, and a third one is asked: first about one, then about the other."""
    async with open_market() as (session, sandbox):
        errors = [await place(session, sandbox, "lost")]
        async with bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key) as second:
            errors.append(await place(second, sandbox, "executed"))
        async with bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key) as third:
            # Of the other call it knows nothing yet.
            assert await told(third, errors[order[0]]) == sandbox.orders[0].order_id
            assert await told(third, errors[order[1]]) is OutcomeUnknown


async def told(session: bintrio.Session, error: OutcomeUnknown[OrderPlace]) -> Any:
    """The id of the order that is said to be a call's; `OutcomeUnknown` if nothing is said."""
    try:
        found: bintrio.Order | None = await session.confirm(error)
    except OutcomeUnknown:
        return OutcomeUnknown
    return found and found.order_id


async def test_g7_of_two_orders_that_may_be_a_calls_none_is_told(autojump_clock: MockClock) -> None:
    """Nobody told the session that is asked that the second one is another call's."""
    async with open_market() as (session, sandbox):
        error = pickle.loads(pickle.dumps(await place(session, sandbox, "executed")))
        await place(session, sandbox, "answered")
        async with bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key) as other:
            with pytest.raises(OutcomeUnknown, match="2 orders go by 'grid-7', and each may be its"):
                await other.confirm(error)


async def test_g7_what_confirm_raises_is_of_the_same_call(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox):
        error = await place(session, sandbox, "executed")
        sandbox.inject(faults.DropReply("order.status"))
        with pytest.raises(OutcomeUnknown, match="nothing for certain within 1 s") as caught:
            await session.within(1).confirm(error)
        for each in (caught.value, error, caught.value):
            assert await told(session, each) == sandbox.orders[0].order_id


@pytest.mark.parametrize("is_first", [True, False])
async def test_g2_a_late_answer_is_told_to_whatever_error_is_of_its_call(
    autojump_clock: MockClock, is_first: bool
) -> None:
    """To the one that the call raised, and to those that `confirm` raised, before it came or after."""
    async with open_market() as (session, sandbox):
        sandbox.inject(faults.LateReply("order.place", seconds=9.0))
        error: OutcomeUnknown[OrderPlace] = await place(session, sandbox, "answered")
        error.add_note("the third of the grid")
        if is_first:
            await trio.sleep(10)
        again = await undecided(session, sandbox, error)
        errors = [error, again, await undecided(session, sandbox, again)]
        await trio.sleep(10)
        number = sandbox.orders[0].order_id
        assert [each.answer.order_id for each in errors] == [number] * 3
        assert errors[0].answered_at is not None
        assert [each.answered_at for each in errors] == [errors[0].answered_at] * 3
        assert [each.__notes__ for each in errors] == [["the third of the grid"]] * 3
        errors[-1].add_note("its own")
        assert len(error.__notes__) == 1
        assert [await told(session, each) for each in errors] == [number] * 3


async def undecided(
    session: bintrio.Session, sandbox: Sandbox, error: OutcomeUnknown[OrderPlace]
) -> OutcomeUnknown[OrderPlace]:
    """What `confirm` raises when its question has no answer."""
    sandbox.inject(faults.DropReply("order.status"))
    with pytest.raises(OutcomeUnknown, match="nothing for certain within 1 s") as caught:
        await session.within(1).confirm(error)
    await session.ping()  # else nothing was answered on this connection, and it would be given up
    return caught.value


async def test_g7_the_late_answer_to_a_cancel_says_not_whose_the_order_is(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox):
        sandbox.inject(faults.DropReply("order.place"))
        with pytest.raises(OutcomeUnknown) as placed:
            await session.within(1).send(limit(new_client_order_id="grid-7"))
        sandbox.inject(faults.LateReply("order.cancel", seconds=3.0))
        with pytest.raises(OutcomeUnknown) as canceled:
            await session.within(1).order_cancel(symbol="BTCUSDT", orig_client_order_id="grid-7")
        await trio.sleep(5)
        assert canceled.value.answer is not None
        assert await told(session, placed.value) == sandbox.orders[0].order_id


@pytest.mark.parametrize("is_other_executed", [False, True])
async def test_g7_an_order_that_a_copy_of_the_error_was_told_of_is_still_its(
    autojump_clock: MockClock, is_other_executed: bool
) -> None:
    async with open_market() as (session, sandbox):
        error: OutcomeUnknown[OrderPlace] = await place(session, sandbox, "executed")
        copied: OutcomeUnknown[OrderPlace] = pickle.loads(pickle.dumps(error))
        for each in (copied, error, copied):
            found: bintrio.Order | None = await session.confirm(each)
            assert found is not None
            assert found.order_id == sandbox.orders[0].order_id
        # And no other call's, however alike.
        await trio.sleep(0.001)
        second: OutcomeUnknown[OrderPlace] = await place(session, sandbox, "executed" if is_other_executed else "lost")
        again: bintrio.Order | None = await session.confirm(second)
        assert (again and again.order_id) == (sandbox.orders[1].order_id if is_other_executed else None)


async def test_g7_an_order_may_be_of_a_call_that_is_not_answered_yet(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox), trio.open_nursery() as nursery:
        error: OutcomeUnknown[OrderPlace] = await place(session, sandbox, "lost")
        sandbox.inject(faults.LateReply("order.place", seconds=5.0))
        nursery.start_soon(session.send, limit(60_000, new_client_order_id="grid-7"))
        await trio.sleep(1)
        with pytest.raises(OutcomeUnknown, match="that of another call with that id, which is not answered yet"):
            await session.confirm(error)
        await trio.sleep(10)
        assert await session.confirm(error) is None


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
async def test_g7_an_order_is_not_of_a_call_with_another_id_or_symbol(autojump_clock: MockClock, symbol: str) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        with pytest.raises(OutcomeUnknown) as lost:
            await session.within(1).send(BUY)
        other = "another" if symbol == BUY.symbol else "mine"
        nursery.start_soon(session.send, msgspec.structs.replace(BUY, symbol=symbol, new_client_order_id=other))
        await wait_all_tasks_blocked()
        exchange.script["order.status"] = lambda _peer: ORDER
        found = await session.confirm(lost.value)
        assert found is not None
        assert found.order_id == ORDER["orderId"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("is_refused", [False, True])
async def test_g7_a_late_answer_tells_of_the_other_calls_too(autojump_clock: MockClock, is_refused: bool) -> None:
    """Which order is its own; or that it has none, so that the one that is there may be another's."""
    async with open_pair(key=HMAC) as (session, exchange):
        with trio.move_on_after(1):
            await session.send(BUY)
        await exchange.peers[0].next()
        (error,) = session.unresolved
        refusal = {"status": 400, "error": {"code": -2010, "msg": "Duplicate order sent."}}
        await late(session, exchange, BUY, refusal if is_refused else {"result": ACK})
        exchange.script["order.status"] = lambda _peer: ORDER
        found: Any = await session.confirm(error)
        assert (found is not None) is is_refused


async def test_g7_an_answer_that_comes_while_it_is_being_asked_counts(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            await session.send(BUY)
        await exchange.peers[0].next()
        (error,) = session.unresolved
        nursery.start_soon(session.send, BUY)
        second = await exchange.peers[0].next()
        exchange.script["order.status"] = lambda _peer: ORDER
        exchange.script["time"] = None

        async def answer_both() -> None:
            time = await exchange.peers[0].next()
            await exchange.peers[0].answer(second, ACK)
            await trio.sleep(0.1)
            await exchange.peers[0].answer(time, {"serverTime": session.now()})

        nursery.start_soon(answer_both)
        with pytest.raises(OutcomeUnknown, match="order 7 may be its, and was told to be another call's"):
            await session.confirm(error)
        exchange.script["order.status"] = lambda _peer: NO_ORDER
        nursery.cancel_scope.cancel()


async def test_g7_an_order_of_which_another_call_cannot_be_judged_may_be_that_ones(autojump_clock: MockClock) -> None:
    """Its time says that it is the other call's, and its id says that it is not."""
    async with open_pair(key=HMAC) as (session, exchange):
        with trio.move_on_after(1):
            await session.send(BUY)
        exchange.script["order.status"] = lambda _peer: {**ORDER, "orderId": 9}
        await session.order_status(symbol="BTCUSDT", order_id=9)
        with trio.move_on_after(1):
            await session.send(BUY)
        dated = {**ORDER, "orderId": 7, "time": session.now() + 1000, "updateTime": session.now() + 1000}
        exchange.script["order.status"] = lambda _peer: dated
        first, second = session.unresolved
        with pytest.raises(OutcomeUnknown, match="of another call with that id, whose outcome is not known"):
            await session.confirm(first)
        with pytest.raises(OutcomeUnknown, match="there was one with a higher id before"):
            await session.confirm(second)


OCO = OrderListPlaceOco(
    symbol="BTCUSDT",
    side="BUY",
    quantity="0.001",
    above_type="STOP_LOSS_LIMIT",
    above_stop_price=60_000,
    above_price=60_000,
    above_time_in_force="GTC",
    below_type="LIMIT_MAKER",
    below_price=40_000,
    list_client_order_id="list",
    above_client_order_id="above",
    below_client_order_id="below",
)


@pytest.mark.parametrize("second", ["answered", "lost"])
async def test_g7_an_order_list_is_of_one_call_only(autojump_clock: MockClock, second: str) -> None:
    async with open_market() as (session, sandbox):
        sandbox.inject(faults.Disconnect(OCO.api.name))
        with pytest.raises(OutcomeUnknown) as lost:
            await session.send(OCO)
        if second == "answered":
            await session.send(OCO)
            assert await session.confirm(lost.value) is None
            return
        sandbox.inject(faults.Disconnect(OCO.api.name, executed=True))
        with pytest.raises(OutcomeUnknown) as executed:
            await session.send(OCO)
        for error in (lost.value, executed.value):
            with pytest.raises(OutcomeUnknown, match="of another call with that id, whose outcome is not known"):
                await session.confirm(error)


async def test_g7_the_order_of_a_replacement_is_of_one_call_only(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox):
        error: OutcomeUnknown[OrderPlace] = await place(session, sandbox, "lost")
        old = await session.send(limit())
        replace = replacing(old.order_id, price=60_000, quantity="0.001", new_client_order_id="grid-7")
        await session.send(replace)
        assert await session.confirm(error) is None


@pytest.mark.plain_streams  # what is told does not depend on how bytes travel
@pytest.mark.parametrize("seed", range(12))
async def test_g7_of_equal_calls_under_one_id_nothing_untrue_is_told(autojump_clock: MockClock, seed: int) -> None:
    """However many were answered, executed or lost, and in whatever order they are asked about."""
    chance = Random(seed)
    async with open_market() as (session, sandbox):
        sandbox.query_lag = chance.choice([0.0, 1.9])
        truth: list[tuple[OutcomeUnknown[OrderPlace], int | None]] = []
        for _ in range(6):
            await trio.sleep(chance.choice([0.001, 0.5, 3.0, 30.0]))
            before = len(sandbox.orders)
            came_to: OutcomeUnknown[OrderPlace] | int = await place(session, sandbox, chance.choice(list(FATES)))
            if isinstance(came_to, OutcomeUnknown):
                truth.append((came_to, sandbox.orders[-1].order_id if len(sandbox.orders) > before else None))
        chance.shuffle(truth)
        for error, number in truth:
            try:
                found: bintrio.Order | None = await session.confirm(error)
            except OutcomeUnknown:
                continue
            assert (found and found.order_id) == number


async def test_g7_who_asks_by_wire_names_has_not_placed_the_order(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox):
        error = await place(session, sandbox, "executed")
        number = sandbox.orders[0].order_id
        shown = await session.request("order.status", {"symbol": "BTCUSDT", "orderId": number})
        assert shown["orderId"] == number
        assert await told(session, error) == number


# What is remembered


def unknown(number: int) -> OutcomeUnknown[OrderPlace]:
    return OutcomeUnknown("order.place", "no answer", request=BUY, seen_order_id=number)


def test_g7_only_the_latest_orders_are_remembered() -> None:
    namesakes, call = Namesakes(), unknown(1)
    for number in range(MOST_ORDERS + 1):
        namesakes.own("BTCUSDT", [number], None)
    assert [namesakes.is_anothers(call, "BTCUSDT", number) for number in (0, 1, MOST_ORDERS)] == [False, True, True]
    assert not namesakes.is_anothers(call, "ETHUSDT", 1)


def test_g7_an_order_that_is_named_twice_is_remembered_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the answer, and by `confirm`."""
    monkeypatch.setattr("bintrio._client.namesakes.MOST_ORDERS", 3)
    namesakes, call = Namesakes(), unknown(1)
    for number in (1, 2, 1, 3, 4):
        namesakes.own("BTCUSDT", [number], None)
    assert [namesakes.is_anothers(call, "BTCUSDT", number) for number in (1, 2, 3, 4)] == [True, False, True, True]


def test_g7_equal_errors_of_two_calls_are_not_one() -> None:
    namesakes, calls = Namesakes(), [unknown(1), unknown(1)]
    for call in calls:
        call.origin = Origin(namesakes, 0)
        namesakes.open(call)
    assert [*namesakes.others(calls[0])] == calls[1:]
    assert [*namesakes.others(unknown(1))] == [], "by what was sent, it may be either"
    assert [*namesakes.others(unknown(2))] == calls
    namesakes.close(calls[1])
    assert [*namesakes.others(calls[0])] == []


def test_g7_the_answer_with_a_list_names_no_order_that_was_to_be_canceled() -> None:
    shown = OrderList(
        order_list_id=3,
        contingency_type="OCO",
        list_status_type="ALL_DONE",
        list_order_status="ALL_DONE",
        list_client_order_id="list",
        transaction_time=0,
        symbol="BTCUSDT",
        orders=(),
    )
    assert told_by(OCO, shown) == 3
    assert told_by(OrderCancel(symbol="BTCUSDT", order_id=5), shown) is None


def test_g7_orders_are_read_off_whatever_an_answer_is() -> None:
    order = {"orderId": 5}
    for answer in (order, {"orders": [order]}, {"newOrderResponse": order}):
        assert placed_by(answer) == (5,)
        assert list(orders_in(answer)) == [order]
    half = PartlyDone("order.cancelReplace", status=409, code=-2021, message="")
    assert placed_by(half) == ()


async def lose_both(session: bintrio.Session, sandbox: Sandbox, is_more_done: bool) -> list[OutcomeUnknown[OrderPlace]]:
    """Two orders under one id in one moment, of which the second asks for more, and one is done: their errors."""
    done, lost = faults.DropReply("order.place"), faults.Timeout("order.place", executed=False)
    for fault in (lost, done) if is_more_done else (done, lost):
        sandbox.inject(fault)
    errors: list[Any] = []

    async def send(quantity: str) -> None:
        order = msgspec.structs.replace(limit(new_client_order_id="grid-7"), quantity=Decimal(quantity))
        with pytest.raises(OutcomeUnknown) as raised:
            await session.within(1).send(order)
        errors.append(raised.value)

    async with trio.open_nursery() as nursery:
        for quantity in ("0.001", "0.003"):
            nursery.start_soon(send, quantity)
            await wait_all_tasks_blocked()
    less, more = sorted(errors, key=lambda error: error.request.quantity)
    return [less, more]


@pytest.mark.parametrize("is_more_done", [False, True])
async def test_g7_an_order_is_not_of_a_call_that_asked_for_more_if_it_was_never_reduced(
    autojump_clock: MockClock, is_more_done: bool
) -> None:
    async with open_market() as (session, sandbox):
        errors = await lose_both(session, sandbox, is_more_done)
        (order,) = sandbox.orders
        found: list[Any] = [await session.confirm(error) for error in errors]
    assert [each is not None and each.order_id for each in found] == [
        False if is_more_done else order.order_id,
        order.order_id if is_more_done else False,
    ]


async def test_g7_an_order_that_was_reduced_may_be_of_the_call_that_asked_for_as_much_as_it_had(
    autojump_clock: MockClock,
) -> None:
    async with open_market() as (session, sandbox):
        less, more = await lose_both(session, sandbox, is_more_done=True)
        (order,) = sandbox.orders
        await session.order_amend_keep_priority(
            symbol=order.symbol, order_id=order.order_id, new_qty="0.001", new_client_order_id="grid-7"
        )
        with pytest.raises(OutcomeUnknown, match="whose outcome is not known either"):
            await session.confirm(less)
        found: bintrio.Order | None = await session.confirm(more)
        assert found is not None
        assert found.order_id == order.order_id
        assert await session.confirm(less) is None
