"""Calls whose outcome nobody was told: a deadline for one call, cancelled callers, late answers, what confirm asks."""

from __future__ import annotations

from copy import copy
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import HalfReplaced, InvalidRequest, NotSent, OutcomeUnknown
from bintrio import sandbox as faults
from bintrio._client.in_flight import DEFAULT_RECV_WINDOW
from bintrio._protocol.evidence import LARGEST_LEAD, QUERY_DELAY
from bintrio.requests import (
    OrderPlace,
)
from tests.orders import NO_ORDER, PAIR, late, limit, open_market, replacing
from tests.peer import ACK, ORDER, START, URL, open_exchange, open_pair
from tests.sessions import BUY, HMAC, CancelsAfter

pytestmark = pytest.mark.usefixtures("both_streams")

FULL: dict[str, Any] = {
    name: value for name, value in ORDER.items() if name not in {"time", "updateTime", "isWorking"}
} | {
    "transactTime": START,
    "fills": [],
}


# A deadline for one call


async def test_g1_a_call_ends_within_the_time_it_is_given(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox):
        sandbox.inject(faults.DropReply("order.place"))
        with pytest.raises(OutcomeUnknown, match="no answer came within 2 s") as caught:
            await session.within(2).send(limit())
        assert trio.current_time() == 2
        assert not session.unresolved
        found = await session.confirm(caught.value)
        assert found is not None
        assert found.client_order_id == caught.value.client_order_id
        placed = await session.within(2).order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="40000", quantity="0.01"
        )
        assert placed.status == "NEW"


async def test_g7_the_request_of_an_error_is_sent_again_under_the_same_client_order_id(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        request: Any = limit()
        told: list[str | None] = []
        for _ in range(3):
            with pytest.raises(OutcomeUnknown) as caught:
                await session.within(3).send(request)
            request = caught.value.request
            told.append(request.new_client_order_id)
        sent = [message["params"]["newClientOrderId"] for message in exchange.sent("order.place")]
        assert sent == told == [sent[0]] * 3


async def test_g1_a_call_may_be_given_more_time_than_others(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=5) as (session, exchange), trio.open_nursery() as nursery:
        results: list[Any] = []

        async def call() -> None:
            results.append(await session.within(60).request("ping"))

        nursery.start_soon(call)
        await trio.sleep(50)
        await exchange.peers[0].answer(await exchange.peers[0].next())
        await wait_all_tasks_blocked()
        assert results == [{}]


async def test_g1_a_call_that_cannot_leave_in_its_time_is_not_sent(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        exchange.refuse_with.append(OSError("no"))
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        with pytest.raises(NotSent, match="it could not be sent within 3 s"):
            await session.within(3).send(BUY)
        assert not session.unresolved


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "2", True, None])
async def test_a_time_that_cannot_be_right_is_refused(autojump_clock: MockClock, seconds: Any) -> None:
    async with open_pair() as (session, _):
        with pytest.raises(InvalidRequest) as caught:
            session.within(seconds)
        assert caught.value.field == "seconds"


async def test_g1_what_can_no_longer_be_answered_in_time_is_not_sent(autojump_clock: MockClock) -> None:
    """It waited for its budget until less than the least round trip was left."""
    async with open_exchange() as exchange, trio.open_nursery() as nursery:
        exchange.script["time"] = None

        async def answer_slowly() -> None:
            peer = await exchange.peer(0)
            while True:
                request = await peer.next()
                await trio.sleep(0.5)
                now = START + round(trio.current_time() * 1000)
                if request["method"] == "time":
                    await peer.answer(request, {"serverTime": now - 250})
                elif request["method"] == "ping":
                    await peer.refuse(request, 429, -1003, "Too much.", data={"retryAfter": now + 5000})

        nursery.start_soon(answer_slowly)
        async with bintrio.open_session(URL, connect=exchange.connect, key=HMAC) as session:
            assert session._shared.clock.least_round_trip == pytest.approx(0.5)
            for seconds, is_sent in ((5.6, False), (7, True)):
                with pytest.raises(bintrio.RateLimited):
                    await session.ping()
                with pytest.raises(OutcomeUnknown if is_sent else NotSent):
                    await session.within(seconds).send(BUY)
                assert bool(exchange.sent("order.place")) is is_sent
        nursery.cancel_scope.cancel()


async def test_g1_what_finds_a_connection_too_late_to_be_answered_in_time_is_not_sent(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        round_trips = session._shared.clock._round_trips
        round_trips.clear()
        round_trips.append(0.5)
        exchange.script["time"] = None
        await exchange.peers[0].cut()
        peer = await exchange.peer(1)
        caught: list[Exception] = []

        async def call() -> None:
            try:
                await session.within(3).send(BUY)
            except bintrio.BintrioError as error:
                caught.append(error)

        nursery.start_soon(call)
        request = await peer.next()
        await trio.sleep(2.8)
        await peer.answer(request, {"serverTime": START + round(trio.current_time() * 1000)})
        await wait_all_tasks_blocked()
        assert session._supervisor.connection is not None
        assert [type(error) for error in caught] == [NotSent]
        assert not exchange.sent("order.place")


# Cancelled callers


async def test_g1_a_cancelled_call_that_left_can_be_asked_about(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox):
        sandbox.inject(faults.DropReply("order.place"))
        with trio.move_on_after(1):
            await session.send(limit())
        (unknown,) = session.unresolved
        assert "its caller was cancelled" in unknown.reason
        found: Any = await session.confirm(unknown)
        assert found.order_id == sandbox.orders[0].order_id
        assert not session.unresolved


async def test_g1_a_call_cancelled_before_it_left_is_not_listed(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        with trio.CancelScope() as scope:
            scope.cancel()
            await session.send(BUY)
        exchange.refuse_with.append(OSError("no"))
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await session.send(BUY)
        assert not session.unresolved
        assert not exchange.sent("order.place")


@pytest.mark.untraced
@pytest.mark.parametrize("meanwhile", ["nothing", "a rotation", "a loss", "a lost answer"])
async def test_g1_an_order_cancelled_at_any_step_was_not_sent_or_is_answered_or_unresolved(
    autojump_clock: MockClock, meanwhile: str
) -> None:
    async with open_market() as (session, sandbox), trio.open_nursery() as nursery:
        steps, is_over = 0, False
        while not is_over:
            steps += 1
            before, scope = len(sandbox.orders), trio.CancelScope()
            told: list[object] = []
            unknown: list[OutcomeUnknown[OrderPlace]] = []
            if meanwhile == "a rotation":
                nursery.start_soon(session.rotate)
            elif meanwhile == "a loss":
                sandbox.disconnect()
            elif meanwhile == "a lost answer":
                sandbox.inject(faults.Disconnect("order.place", executed=True))
            cancels = CancelsAfter(steps, scope)
            trio.lowlevel.add_instrument(cancels)
            with scope:
                try:
                    told.append(await session.send(limit()))
                except OutcomeUnknown as error:
                    unknown.append(error)
            trio.lowlevel.remove_instrument(cancels)
            is_over = bool(told or unknown)
            await trio.sleep(40)
            placed = len(sandbox.orders) - before
            for each in (*unknown, *session.unresolved):
                told.append(await session.confirm(each))
            assert placed == sum(order is not None for order in told)
            assert not session.unresolved
        assert steps > 5


async def test_g1_a_read_that_is_cancelled_is_not_listed(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        with trio.move_on_after(1):
            await session.ping()
        assert len(exchange.sent("ping")) == 1
        assert not session.unresolved


async def test_g1_a_call_by_wire_names_can_be_asked_about_if_it_names_its_order(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        named = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "1"}
        known = named | {"quantity": "1", "newClientOrderId": "mine"}
        for params in (known, named | {"quantity": "1"}, named, {"symbol": ["a"]}, {}):
            with trio.move_on_after(1):
                await session.request("order.place", params)
        with trio.move_on_after(1):
            await session.request("coffee.place", {})
        unresolved: list[OutcomeUnknown[OrderPlace]] = list(session.unresolved)
        first, nameless, *others = unresolved
        assert first.request == BUY
        assert first.client_order_id == "mine"
        with pytest.raises(InvalidRequest, match=r"without new_client_order_id, and no answer .* look in openOrders"):
            await session.confirm(nameless)
        for other in others:
            assert other.method in {"order.place", "coffee.place"}
            with pytest.raises(InvalidRequest, match="leaves nothing behind"):
                await session.confirm(other)
        assert list(session.unresolved) == unresolved
        exchange.script["order.status"] = lambda _peer: ORDER
        found = await session.confirm(first)
        assert found is not None
        assert found.order_id == 7


async def test_g1_a_rotation_ends_within_the_seconds_that_it_was_given(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox):
        sandbox.inject(faults.RefuseConnection(times=100))
        before = trio.current_time()
        with pytest.raises(NotSent, match="no other connection was ready within 2 s"):
            await session.within(2).rotate()
        assert trio.current_time() - before == 2
        sandbox.clear_faults()


NAMELESS = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "1", "quantity": "1"}


async def late_by_wire_names(session: bintrio.Session, exchange: Any, method: str, reply: Any) -> OutcomeUnknown[Any]:
    with trio.move_on_after(1):
        await session.request(method, NAMELESS)
    await exchange.peers[0].answer(await exchange.peers[0].next(), **reply)
    await wait_all_tasks_blocked()
    return session.unresolved[-1]


async def test_g1_a_late_answer_names_the_order_of_a_call_that_did_not(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        unknown = await late_by_wire_names(session, exchange, "order.place", {"result": ACK})
        exchange.script["order.status"] = lambda _peer: ORDER
        found: Any = await session.confirm(unknown)
        assert found.order_id == 7
        assert exchange.log[-1]["params"]["orderId"] == 7
        assert not session.unresolved


async def test_g1_a_late_refusal_settles_a_call_that_named_no_order(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        refusal = {"status": 400, "error": {"code": -2010, "msg": "Market is closed."}}
        unknown = await late_by_wire_names(session, exchange, "order.place", refusal)
        assert await session.confirm(unknown) is None
        assert not session.unresolved


async def test_g1_what_the_catalogue_does_not_know_is_told_by_its_late_answer_alone(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        unknown = await late_by_wire_names(session, exchange, "coffee.place", {"result": {"cup": 1}})
        with pytest.raises(InvalidRequest, match=r"coffee.place leaves nothing .* is in the `answer` of its error"):
            await session.confirm(unknown)
        assert unknown.answer == {"cup": 1}
        assert not session.unresolved  # that is all there is to be told


async def test_g1_when_too_many_are_unresolved_nothing_is_traded_any_more(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bintrio._client.outcomes.MOST_UNRESOLVED", 2)
    async with open_pair(key=HMAC) as (session, exchange):
        for _ in range(2):
            with trio.move_on_after(1):
                await session.send(BUY)
        with pytest.raises(NotSent, match=r"wait in session\.unresolved to be confirmed"):
            await session.send(BUY)
        exchange.script["ping"] = lambda _peer: {}
        await session.ping()
        exchange.script["order.status"] = lambda _peer: NO_ORDER
        await session.confirm(session.unresolved[0])
        assert list(session.unresolved) == [session.unresolved[-1]]
        with trio.move_on_after(1):
            await session.send(BUY)
        assert [unknown.request for unknown in session.unresolved] == [BUY, BUY]
        assert len(exchange.sent("order.place")) == 3


async def test_g1_what_is_unresolved_can_be_read_when_the_session_is_closed(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, _), trio.open_nursery() as nursery:
        nursery.start_soon(session.send, BUY)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    (unknown,) = session.unresolved
    with pytest.raises(NotSent):
        await session.confirm(unknown)
    assert list(session.unresolved) == [unknown]


async def test_g7_a_cancelled_confirm_leaves_the_call_unresolved(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        with trio.move_on_after(1):
            await session.send(BUY)
        (unknown,) = session.unresolved
        for answers in (0, 1):  # while it asks, and while it waits
            with trio.move_on_after(1) as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(session.confirm, unknown)
                    for _ in range(answers):
                        await exchange.peers[0].next()  # the order itself, or the question before
                        await exchange.peers[0].answer(await exchange.peers[0].next(), **NO_ORDER)
            assert scope.cancelled_caught
            assert list(session.unresolved) == [unknown]


async def test_g2_a_late_answer_reaches_no_call_but_tells_what_became_of_its_own(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        unknown = await late(session, exchange, BUY, {"result": ACK})
        assert isinstance(unknown.answer, bintrio.OrderAck)
        assert unknown.answered_at == session.now()
        assert session.counters.dropped_replies == 1
        assert list(session.unresolved) == [unknown]
        exchange.script["order.status"] = lambda _peer: ORDER
        found: Any = await session.confirm(unknown)
        assert found.order_id == 7
        assert exchange.log[-1]["params"]["orderId"] == 7
        assert not session.unresolved


async def test_g2_a_late_refusal_settles_the_call_at_once(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        refusal = {"status": 400, "error": {"code": -2010, "msg": "Market is closed."}}
        unknown = await late(session, exchange, BUY, refusal)
        assert isinstance(unknown.answer, bintrio.MarketClosed)
        before = trio.current_time()
        assert await session.confirm(unknown) is None
        assert trio.current_time() == before
        assert not exchange.sent("order.status")


@pytest.mark.parametrize(
    "reply",
    [{"status": 500, "error": {"code": -1000, "msg": "?"}}, {"result": {"no": "order"}}, {"status": 0, "result": {}}],
)
async def test_g2_a_late_answer_that_tells_nothing_leaves_the_call_unknown(
    autojump_clock: MockClock, reply: Any
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        unknown = await late(session, exchange, BUY, reply)
        assert (unknown.answer, unknown.answered_at) == (None, None)


async def test_g2_a_late_answer_is_told_to_the_error_that_was_raised(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC, request_timeout=1) as (session, exchange):
        with pytest.raises(OutcomeUnknown) as caught:
            await session.send(BUY)
        await exchange.peers[0].answer(await exchange.peers[0].next(), ACK)
        await wait_all_tasks_blocked()
        assert isinstance(caught.value.answer, bintrio.OrderAck)


async def test_g2_an_answer_that_came_in_the_very_moment_of_the_cancellation_is_told(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        connection = session._supervisor.connection
        assert connection is not None
        scope = trio.CancelScope()
        async with trio.open_nursery() as nursery:

            async def call() -> None:
                with scope:
                    await session.send(BUY)

            nursery.start_soon(call)
            request = await exchange.peers[0].next()
            scope.cancel()  # the caller is to be woken, and is not awake yet
            reply = f'{{"id":{request["id"]},"status":400,"error":{{"code":-2010,"msg":"Market is closed."}}}}'
            connection._take(_text(reply))
        (unknown,) = session.unresolved
        assert isinstance(unknown.answer, bintrio.MarketClosed)


def _text(message: str) -> Any:
    from bintrio._protocol.frames import Message, Opcode

    return Message(Opcode.TEXT, message.encode())


async def test_g2_half_of_a_late_replacement_is_told(autojump_clock: MockClock) -> None:
    replace = replacing(5, "ALLOW_FAILURE", new_client_order_id="mine")
    refused = {"code": -2011, "msg": "Unknown order sent."}
    halves = {
        "cancelResult": "FAILURE",
        "newOrderResult": "SUCCESS",
        "cancelResponse": refused,
        "newOrderResponse": ACK,
    }
    error = {"code": -2021, "msg": "Order cancel-replace partially failed.", "data": halves}
    old = {**ORDER, "orderId": 5, "clientOrderId": "old", "status": "FILLED"}
    async with open_pair(key=HMAC) as (session, exchange):
        unknown = await late(session, exchange, replace, {"status": 409, "error": error})
        async with trio.open_nursery() as nursery:
            found: list[Any] = []

            async def confirm() -> None:
                found.append(await session.confirm(unknown))

            nursery.start_soon(confirm)
            for _ in range(2):
                request = await exchange.peers[0].next()
                number = request["params"]["orderId"]
                await exchange.peers[0].answer(request, {7: ORDER, 5: old}[number])
        assert isinstance(found[0], HalfReplaced)
        assert found[0].new_order is not None
        assert found[0].old_order is not None
        assert (found[0].new_order.order_id, found[0].old_order.order_id) == (7, 5)


async def test_g2_a_connection_remembers_so_many_owed_answers(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bintrio._client.in_flight.OWED_ANSWERS", 1)
    async with open_pair(key=HMAC) as (session, exchange):
        for _ in range(2):
            with trio.move_on_after(1):
                await session.send(BUY)
        for _ in range(2):
            await exchange.peers[0].answer(await exchange.peers[0].next(), ACK)
        await wait_all_tasks_blocked()
        assert [unknown.answer is not None for unknown in session.unresolved] == [False, True]


async def test_g2_a_late_success_of_a_replacement_names_the_new_order(autojump_clock: MockClock) -> None:
    replace = replacing(5, new_client_order_id="mine", new_order_resp_type="ACK")
    canceled = {**ACK, **ORDER, "orderId": 5, "status": "CANCELED", "origClientOrderId": "old"}
    unlike = {"time", "updateTime", "isWorking", "workingTime", "stopPrice", "icebergQty"}
    result = {
        "cancelResult": "SUCCESS",
        "newOrderResult": "SUCCESS",
        "cancelResponse": {name: value for name, value in canceled.items() if name not in unlike},
        "newOrderResponse": ACK,
    }
    async with open_pair(key=HMAC) as (session, exchange):
        unknown = await late(session, exchange, replace, {"result": result})
        exchange.script["order.status"] = lambda _peer: ORDER
        found: bintrio.Order | None = await session.confirm(unknown)
        assert found is not None
        assert found.order_id == 7
        asked = [request["params"] for request in exchange.sent("order.status")]
        # In this mode the new order proves that the old one was canceled.
        assert [params["orderId"] for params in asked] == [7]


async def test_g2_an_answer_that_comes_while_the_connection_closes_is_told(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        connection = session._supervisor.connection
        assert connection is not None
        async with trio.open_nursery() as nursery:
            caught: list[OutcomeUnknown] = []

            async def call() -> None:
                try:
                    await session.send(BUY)
                except OutcomeUnknown as error:
                    caught.append(error)

            nursery.start_soon(call)
            request = await exchange.peers[0].next()
            connection.end(OSError("gone"))
            await wait_all_tasks_blocked()
            reply = f'{{"id":{request["id"]},"status":400,"error":{{"code":-2010,"msg":"Market is closed."}}}}'
            connection._strays.take_late([_text(reply)])
        assert isinstance(caught[0].answer, bintrio.MarketClosed)


# What is confirmed


async def test_g7_a_request_held_as_a_value_can_be_confirmed(autojump_clock: MockClock) -> None:
    async with open_market() as (session, _):
        request = limit(new_client_order_id="grid-7")
        assert await session.confirm(request) is None
        assert trio.current_time() >= 5 + QUERY_DELAY / 1000
        placed = await session.send(request)
        found = await session.confirm(request)
        assert found is not None
        assert found.order_id == placed.order_id
        await trio.sleep(1)
        assert await session.confirm(request, sent_at=session.now()) is None
        with pytest.raises(InvalidRequest, match="without new_client_order_id") as caught:
            await session.confirm(limit())
        assert caught.value.field == "new_client_order_id"


@pytest.mark.parametrize("unit", ["ms", "us"])
async def test_g7_an_order_that_was_there_when_a_request_left_is_not_its(autojump_clock: MockClock, unit: Any) -> None:
    async with open_market(time_unit=unit) as (session, _):
        request = limit(new_client_order_id="grid-7")
        placed = await session.send(request)
        await session.order_cancel(symbol="BTCUSDT", order_id=placed.order_id)
        await trio.sleep(5)
        assert await session.confirm(request, sent_at=session.now()) is None
        found = await session.confirm(request, sent_at=placed.transact_time)
        assert found is not None
        assert found.order_id == placed.order_id


@pytest.mark.parametrize(("age", "is_found"), [(0.1, True), (0.2, False)])
async def test_g7_an_order_that_was_there_before_a_request_left_by_more_than_the_clock_is_wrong_is_not_its(
    autojump_clock: MockClock, age: float, is_found: bool
) -> None:
    async with open_market() as (session, _):
        await trio.sleep(LARGEST_LEAD / 1000)  # what is dated earlier may have left before the session began
        request = limit(new_client_order_id="grid-7")
        placed = await session.send(request)
        await session.order_cancel(symbol="BTCUSDT", order_id=placed.order_id)
        await trio.sleep(age)
        local, sent_at, clock = trio.current_time(), session.now(), session._shared.clock
        clock.forget()
        clock.record(local - 0.3, sent_at - 150, local)
        assert clock.error_of(sent_at, local) == pytest.approx(0.15, abs=0.01)
        found = await session.confirm(request, sent_at=sent_at)
        assert (found is not None) is is_found


async def test_g7_what_a_clock_was_wrong_by_when_a_call_left_is_told_with_it(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox), trio.open_nursery() as nursery:
        clock = session._shared.clock

        def measure(round_trip: float) -> None:
            local, now = trio.current_time(), session.now()
            clock.forget()
            clock.record(local - round_trip, now - round(round_trip * 500), local)

        async def place() -> None:
            with trio.move_on_after(1):
                await session.send(limit())

        measure(0.3)
        sandbox.inject(faults.DropReply("order.place"))
        nursery.start_soon(place)
        await trio.sleep(0.5)
        measure(0.0)
        await trio.sleep(1)
        (error,) = session.unresolved
        assert 0.15 <= error.clock_error < 0.5


@pytest.mark.parametrize(("clock_error", "is_found"), [(0.9, True), (0.1, False)])
async def test_g7_the_error_of_the_clock_that_an_error_tells_of_counts(
    autojump_clock: MockClock, clock_error: float, is_found: bool
) -> None:
    """It may come from another session, by pickle, whose clock was worse."""
    async with (
        open_market() as (session, sandbox),
        bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key) as other,
    ):
        await trio.sleep(LARGEST_LEAD / 1000)  # what is dated earlier may have left before the session began
        placed = await other.send(limit(new_client_order_id="grid-7"))
        await trio.sleep(0.8)
        sandbox.inject(faults.Disconnect("order.place"))
        with pytest.raises(OutcomeUnknown) as caught:
            await session.send(limit(new_client_order_id="other"))
        error: OutcomeUnknown[OrderPlace] = copy(caught.value)
        error.request = limit(new_client_order_id="grid-7")
        error.clock_error, error.seen_order_id, error.is_id_fresh = clock_error, None, False
        if not is_found:  # nor does it pass for one that was there before
            with pytest.raises(OutcomeUnknown, match="came to no order, or to order 3 if"):
                await session.confirm(error)
            return
        found: bintrio.Order | None = await session.confirm(error)
        assert found is not None
        assert found.order_id == placed.order_id


async def test_g7_a_session_that_began_after_the_clock_was_set_back_does_not_deny_an_order(
    autojump_clock: MockClock,
) -> None:
    """It cannot know that the clock was adjusted, and so not that the order is no older than the call."""
    async with open_market() as (session, sandbox):
        await trio.sleep(1)
        sandbox.set_back(0.4)
        await trio.sleep(1)
        sandbox.inject(faults.DropReply("order.place"))
        with pytest.raises(OutcomeUnknown) as caught:
            await session.within(1).send(limit(new_client_order_id="grid-7"))
        async with bintrio.open_session(sandbox.memory_endpoint, connect=sandbox.connect, key=sandbox.key) as other:
            with pytest.raises(OutcomeUnknown, match="was set back when this session could not see it"):
                await other.confirm(caught.value)
        # The session that sent it measures once more, and sees that it was set.
        found: bintrio.Order | None = await session.confirm(caught.value)
        assert found is not None
        assert found.client_order_id == "grid-7"


@pytest.mark.parametrize("odd", [None, 5, "order.place", ValueError("no")])
async def test_what_is_neither_error_nor_request_is_refused(autojump_clock: MockClock, odd: Any) -> None:
    async with open_pair(key=HMAC) as (session, _):
        with pytest.raises(InvalidRequest) as caught:
            await session.confirm(odd)
        assert caught.value.field == "call"


@pytest.mark.parametrize("odd", ["now", 1.5, True])
async def test_a_time_of_sending_that_cannot_be_right_is_refused(autojump_clock: MockClock, odd: Any) -> None:
    async with open_pair(key=HMAC) as (session, _):
        with pytest.raises(InvalidRequest) as caught:
            await session.confirm(BUY, sent_at=odd)
        assert caught.value.field == "sent_at"


async def test_g7_what_is_ambiguous_is_said(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        old = {**ORDER, "time": START - 60_000, "side": "SELL"}
        exchange.script["order.status"] = lambda _peer: old
        exchange.script["allOrders"] = lambda _peer: [
            old,
            {**ORDER, "orderId": 8, "time": START + 500},
            {**ORDER, "orderId": 9, "time": START + 500},
        ]
        with trio.move_on_after(1):
            await session.send(BUY)
        for call in (session.unresolved[0], BUY):
            with pytest.raises(OutcomeUnknown, match="2 orders go by 'mine'") as caught:
                await session.confirm(call)
            assert caught.value.request == BUY
        assert len(session.unresolved) == 1


async def test_g7_an_order_is_said_to_be_of_one_call_only(autojump_clock: MockClock) -> None:
    """Two calls with one client order id were lost, and one order is there: whose it is, nobody can tell."""
    async with open_market() as (session, sandbox):
        for executed in (False, True):
            sandbox.inject(faults.DropReply("order.place") if executed else faults.HalfOpen("order.place"))
            with trio.move_on_after(1):
                await session.send(limit(60_000, new_client_order_id="grid-7"))
            await session.rotate()
        lost = list(session.unresolved)
        for error in lost:
            with pytest.raises(OutcomeUnknown, match="that of another call with that id, whose outcome is not known"):
                await session.confirm(error)
        assert list(session.unresolved) == lost


async def test_g7_questions_that_are_refused_for_now_are_asked_again(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            await session.send(BUY)
        await exchange.peers[0].next()
        found: list[Any] = []

        async def confirm() -> None:
            found.append(await session.confirm(session.unresolved[0]))

        nursery.start_soon(confirm)
        await exchange.peers[0].refuse(
            await exchange.peers[0].next(), 400, -1021, "Timestamp outside of the recvWindow."
        )
        retry = {"retryAfter": START + 3000}
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 429, -1003, "Too much.", data=retry)
        await exchange.peers[0].answer(await exchange.peers[0].next(), ORDER)
        await wait_all_tasks_blocked()
        assert found[0].order_id == 7


@pytest.mark.parametrize("shown", [{**ORDER, "time": START - 60_000}, NO_ORDER], ids=["another order", "no order"])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ([{"no": "order"}], bintrio.ProtocolViolation),
        ({"orders": []}, bintrio.ProtocolViolation),
        ({"origClientOrderId": "x", "clientOrderId": "mine"}, bintrio.ProtocolViolation),
        ({"status": 400, "error": {"code": -1099, "msg": "Not for you."}}, bintrio.Rejected),
        ({"status": 503, "error": {"code": -1008, "msg": "Later."}}, OutcomeUnknown),
        (None, OutcomeUnknown),
    ],
    ids=["unreadable", "another shape", "no array", "refused", "not now", "no answer"],
)
async def test_g7_without_the_answer_to_every_question_nobody_says_that_there_is_no_order(
    autojump_clock: MockClock, shown: Any, answer: Any, kind: type[bintrio.BintrioError]
) -> None:
    """order.status need not show the order that is there; if allOrders cannot be asked, confirm ends in an error."""
    async with open_pair(key=HMAC) as (session, exchange):
        exchange.script["order.status"] = lambda _peer: shown
        exchange.script["allOrders"] = None if answer is None else lambda _peer: answer
        with trio.move_on_after(1):
            await session.send(BUY)
        error = session.unresolved[0]
        with pytest.raises(kind, match="allOrders") as caught:
            await session.confirm(error)
        if kind is OutcomeUnknown:
            assert "allOrders has told nothing for certain within 606" in str(caught.value)
            assert vars(caught.value)["request"] == BUY
            assert trio.current_time() == pytest.approx(DEFAULT_RECV_WINDOW / 1000 + 2 + 600, abs=0.1)
        assert session.unresolved == (error,)


async def test_g7_of_a_call_that_was_over_long_ago_it_is_asked_for_ten_minutes(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        exchange.script["order.status"] = lambda _peer: {"status": 503, "error": {"code": -1008, "msg": "Later."}}
        with trio.move_on_after(1):
            await session.send(BUY)
        await trio.sleep(60)
        started_at = trio.current_time()
        with pytest.raises(OutcomeUnknown, match=r"has told nothing for certain within 600 s"):
            await session.confirm(session.unresolved[0])
        assert trio.current_time() - started_at == pytest.approx(600, abs=1e-5)


OLDER: dict[str, Any] = {**ORDER, "time": START - 60_000}
DIFFERENT: dict[str, Any] = {**ORDER, "price": "2.00000000"}


async def test_g7_if_no_orders_can_be_listed_at_all_the_order_that_fits_is_the_calls(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        exchange.script["order.status"] = lambda _peer: ORDER
        exchange.script["allOrders"] = lambda _peer: {}
        with trio.move_on_after(1):
            await session.send(BUY)
        found: Any = await session.confirm(session.unresolved[0])
        assert found.order_id == ORDER["orderId"]


@pytest.mark.parametrize("nothing", [{}, {"symbol": "BTCUSDT", "orderId": 8}, {"origClientOrderId": "mine"}])
async def test_g7_if_no_orders_can_be_listed_at_all_the_older_order_under_the_id_tells_that_there_is_no_newer(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, nothing: Any
) -> None:
    """Asked once the call is settled. Where order.status shows none, or one that may be newer, it has not told that."""
    async with open_pair(key=HMAC) as (session, exchange):
        shown: list[Any] = [NO_ORDER]
        exchange.script["order.status"] = lambda _peer: shown[0]
        exchange.script["allOrders"] = lambda _peer: nothing
        with trio.move_on_after(1):
            await session.send(BUY)
        (error,) = session.unresolved
        for shown[0] in (NO_ORDER, DIFFERENT):
            with pytest.raises(bintrio.ProtocolViolation, match="allOrders"):
                await session.confirm(error)
        shown[0] = OLDER
        assert await session.confirm(error) is None
        assert trio.current_time() >= (DEFAULT_RECV_WINDOW + QUERY_DELAY) / 1000
        assert "what became of a call is told without allOrders" in caplog.text
        assert not session.unresolved


async def test_g7_an_order_that_queries_show_late_is_found_though_none_can_be_listed(autojump_clock: MockClock) -> None:
    """As long as it lags, order.status shows the older one."""
    async with open_pair(key=HMAC) as (session, exchange):
        placed = {**ORDER, "orderId": 8, "time": START + 10}
        is_shown_at = (DEFAULT_RECV_WINDOW + QUERY_DELAY) / 1000
        exchange.script["order.status"] = lambda _peer: placed if trio.current_time() >= is_shown_at else OLDER
        exchange.script["allOrders"] = lambda _peer: {}
        with trio.move_on_after(1):
            await session.send(BUY)
        found: bintrio.Order | None = await session.confirm(session.unresolved[0])
        assert found is not None
        assert found.order_id == 8


@pytest.mark.parametrize("seconds", [0.5, 8])
async def test_g7_confirm_ends_within_the_time_it_is_given(autojump_clock: MockClock, seconds: float) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        exchange.script["order.status"] = lambda _peer: NO_ORDER
        exchange.script["allOrders"] = None
        with trio.move_on_after(1):
            await session.send(BUY)
        with pytest.raises(OutcomeUnknown, match=f"nothing for certain within {seconds} s"):
            await session.within(seconds).confirm(session.unresolved[0])
        assert trio.current_time() == 1 + seconds
        exchange.script["allOrders"] = lambda _peer: [ORDER]
        found: bintrio.Order | None = await session.confirm(session.unresolved[0])
        assert found is not None


async def test_g7_an_outage_ends_in_what_is_behind_it(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        with trio.move_on_after(1):
            await session.send(BUY)
        exchange.refuse_with.append(OSError("no route to host"))
        await exchange.peers[0].cut()
        with pytest.raises(OutcomeUnknown, match=r"order\.status has told nothing for certain") as caught:
            await session.confirm(session.unresolved[0])
        assert "no route to host" in str(caught.value.__cause__)
        exchange.refuse_with.clear()
        exchange.script["order.status"] = lambda _peer: ORDER
        found: bintrio.Order | None = await session.confirm(session.unresolved[0])
        assert found is not None


async def test_g7_what_the_exchange_has_said_is_there_is_waited_for_no_longer_than_anything(
    autojump_clock: MockClock,
) -> None:
    """A late answer named the order, or the list names its orders, and no query ever shows them."""
    shown = {
        "orderListId": 3,
        "contingencyType": "OTO",
        "listStatusType": "EXEC_STARTED",
        "listOrderStatus": "EXECUTING",
        "listClientOrderId": "list",
        "symbol": "BTCUSDT",
        "orders": [
            {"symbol": "BTCUSDT", "orderId": number, "clientOrderId": name} for number, name in ((8, "w"), (9, "p"))
        ],
    }
    for request in (BUY, PAIR):
        async with open_pair(key=HMAC) as (session, exchange):
            exchange.script["orderList.status"] = lambda _peer: shown | {"transactionTime": session.now()}
            exchange.script["order.status"] = lambda _peer: NO_ORDER
            exchange.script["allOrders"] = lambda _peer: []
            with trio.move_on_after(1):
                await session.send(request)
            sent = await exchange.peers[0].next()
            if request is BUY:
                await exchange.peers[0].answer(sent, ACK)
                await wait_all_tasks_blocked()
            started_at = trio.current_time()
            said = (
                r"has told nothing for certain within .* name[sd] order [78], and order\.status says that there is none"
            )
            with pytest.raises(OutcomeUnknown, match=said):
                await session.confirm(session.unresolved[0])
            assert trio.current_time() - started_at < 610
            assert len(exchange.sent("order.status")) < 20


async def test_g7_an_order_that_comes_without_some_of_its_fields_is_found(autojump_clock: MockClock) -> None:
    """By what did come."""
    async with open_pair(key=HMAC) as (session, exchange):
        lacking = {"updateTime", "side", "origQuoteOrderQty"}
        exchange.script["order.status"] = lambda _peer: {
            name: value for name, value in ORDER.items() if name not in lacking
        }
        with trio.move_on_after(1):
            await session.send(BUY)
        found: bintrio.Order | None = await session.confirm(session.unresolved[0])
        assert found is not None
        assert found.order_id == 7


@pytest.mark.parametrize("name", ["price", "executedQty"])
@pytest.mark.parametrize("number", ["NaN", "sNaN", "-Infinity"])
async def test_g1_an_answer_with_a_number_that_is_none_cannot_be_read(
    autojump_clock: MockClock, name: str, number: str
) -> None:
    """A trading call with such an answer may have happened; a read with one is the exchange's fault."""
    async with open_pair(key=HMAC) as (session, exchange):
        exchange.script["order.place"] = lambda _peer: {**FULL, name: number}
        exchange.script["order.status"] = lambda _peer: {**ORDER, name: number}
        with pytest.raises(OutcomeUnknown, match=f"its answer cannot be read: .*{number} - at `result.{name}`") as lost:
            await session.send(BUY)
        with pytest.raises(bintrio.ProtocolViolation, match=f"order.status: .*{number}"):
            await session.order_status(symbol="BTCUSDT", order_id=7)
        with pytest.raises(bintrio.ProtocolViolation, match=f"order.status: .*{number}"):
            await session.confirm(lost.value)
        exchange.script["order.status"] = lambda _peer: ORDER
        found: bintrio.Order | None = await session.confirm(lost.value)
        assert found is not None


async def test_g7_in_microseconds_too(autojump_clock: MockClock) -> None:
    async with open_market(time_unit="us") as (session, sandbox):
        first = await session.send(limit(new_client_order_id="grid-7"))
        await session.order_cancel(symbol="BTCUSDT", order_id=first.order_id)
        for executed in (False, True):
            await trio.sleep(1)
            sandbox.inject(faults.Disconnect("order.place", executed=executed))
            with pytest.raises(OutcomeUnknown) as caught:
                await session.send(limit(new_client_order_id="grid-7"))
            assert caught.value.sent_at == pytest.approx(sandbox.now() * 1000, abs=2000)
            found = await session.confirm(caught.value)
            assert (found is not None) is executed
            assert found is None or found.order_id != first.order_id


async def test_g7_an_error_tells_the_highest_order_id_that_answers_brought(autojump_clock: MockClock) -> None:
    async with open_market() as (session, sandbox):
        first = await session.send(limit())
        second = await session.send(limit())
        await session.order_status(symbol="BTCUSDT", order_id=first.order_id)
        sandbox.inject(faults.DropReply("order.place"))
        with pytest.raises(OutcomeUnknown) as caught:
            await session.within(1).send(limit())
        assert caught.value.seen_order_id == second.order_id


async def test_g7_that_a_clock_was_set_forward_makes_queries_no_newer(autojump_clock: MockClock) -> None:
    """The window of the call is over at once by the exchange's clock, and queries are behind by real seconds still."""
    async with open_market() as (session, sandbox):
        sandbox.query_lag = QUERY_DELAY / 1000 - 0.1
        sandbox.inject(faults.Disconnect("order.place", executed=True))
        with pytest.raises(OutcomeUnknown) as caught:
            await session.send(limit())
        sandbox.advance(60)
        await session.rotate()  # it measures the clock
        found: bintrio.Order | None = await session.confirm(caught.value)
        assert found is not None
        assert found.client_order_id == caught.value.client_order_id
