"""The session: its calls' ends, its connections' lifetimes, its feeds."""

# What isinstance makes of an error leaves the type of its request open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.in_flight import Call
from bintrio._client.throttle import ticks
from bintrio._protocol.budget import Cost
from bintrio._protocol.holds import Refusal
from bintrio._protocol.ids import FIRST_ID
from bintrio.endpoints import Address
from bintrio.errors import (
    Banned,
    ConnectionFailed,
    HandshakeRejected,
    InvalidRequest,
    InvalidTimestamp,
    NotSent,
    OutcomeUnknown,
    ProtocolViolation,
    RateLimited,
    Rejected,
    SubscriptionError,
    Unauthorized,
)
from bintrio.requests import OrderCancel, Ping, UserDataStreamUnsubscribe
from tests.peer import ACK, LIMITS, ORDER, START, URL, Exchange, Peer, ed25519_key, open_exchange, open_pair
from tests.sessions import BUY, HMAC, Outcome, deltas, in_background
from tests.streams import stall

pytestmark = pytest.mark.usefixtures("both_streams")


# How a call ends


async def test_g1_a_call_ends_in_its_typed_result(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.depth(symbol="BTCUSDT", limit=5))
        request = await exchange.peers[0].next()
        assert request == {"id": request["id"], "method": "depth", "params": {"limit": 5, "symbol": "BTCUSDT"}}
        await exchange.peers[0].answer(request, {"lastUpdateId": 1, "bids": [["1.0", "2.0"]], "asks": []})
    assert isinstance(outcome.value, bintrio.OrderBook)


async def test_g1_a_call_ends_in_a_rejection(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.depth(symbol="NOPE"))
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 400, -1121, "Invalid symbol.")
    assert isinstance(outcome.error, bintrio.UnknownSymbol)
    assert str(outcome.error) == "depth: 400 -1121 Invalid symbol."


@pytest.mark.parametrize(
    ("status", "code"), [(500, -1000), (504, -1007), (400, -1007), (400, -1006)], ids=["500", "504", "1007", "1006"]
)
async def test_g1_a_call_ends_unknown_when_the_exchange_does_not_know(
    autojump_clock: MockClock, status: int, code: int
) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].refuse(await exchange.peers[0].next(), status, code, "who knows")
        await wait_all_tasks_blocked()
        error = outcome.error
        assert isinstance(error, OutcomeUnknown)
        assert (error.method, error.request, error.client_order_id) == ("order.place", BUY, "mine")
        assert "who knows" in error.reason
        assert error.final_at == exchange.sent("order.place")[0]["params"]["timestamp"] + 5000


async def test_g1_a_call_that_is_overdue_after_sending_is_unknown(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=3) as (session, _), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
    assert isinstance(outcome.error, OutcomeUnknown)
    assert outcome.error.reason == "no answer came within 3 s"
    assert outcome.at == 3


async def test_g1_a_call_without_a_connection_is_not_sent(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=3) as (session, exchange), trio.open_nursery() as nursery:
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        outcome = in_background(nursery, session.ping)
    assert isinstance(outcome.error, NotSent)
    assert outcome.at == 3
    assert isinstance(outcome.error.__cause__, ConnectionFailed)


async def test_g1_a_call_waits_for_the_next_connection_within_its_deadline(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        outcome = in_background(nursery, session.ping)
        await trio.sleep(5)
        exchange.refuse_with.clear()
        peer = await exchange.peer(1)
        await peer.answer(await peer.next())
    assert outcome.value is not None


async def test_g1_a_call_on_a_closed_session_is_not_sent(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await exchange.peers[0].next()
        kept = session
        kept._supervisor.close()
        await wait_all_tasks_blocked()
        assert isinstance(outcome.error, NotSent | OutcomeUnknown)
    with pytest.raises(NotSent, match="the session was closed"):
        await kept.ping()
    with pytest.raises(NotSent, match="the session was closed"):
        await kept.rotate()
    assert repr(kept).endswith("closed>")


async def test_g1_the_connection_lost_tells_trading_calls_at_once(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].next()
        await trio.sleep(1)
        await exchange.peers[0].cut()
    assert isinstance(outcome.error, OutcomeUnknown)
    assert outcome.at == 1
    assert "the connection ended" in outcome.error.reason


async def test_g1_a_misshapen_result_hurts_one_caller_only(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        bad = in_background(nursery, lambda: session.depth(symbol="A"))
        good = in_background(nursery, session.ping)
        for _ in range(2):
            request = await exchange.peers[0].next()
            await exchange.peers[0].answer(request, {"lastUpdateId": "x"} if request["method"] == "depth" else {})
    assert isinstance(bad.error, ProtocolViolation)
    assert str(bad.error).startswith("depth: ")
    assert "result.lastUpdateId" in str(bad.error)
    assert bad.error.raw == b'{"lastUpdateId": "x"}'
    assert good.value is not None


@pytest.mark.parametrize(
    "answer", [{"result": {"orderId": "?"}}, {"status": 0, "result": ACK}], ids=["result", "status"]
)
async def test_g1_an_order_whose_answer_cannot_be_read_is_unknown(
    autojump_clock: MockClock, answer: dict[str, Any]
) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(BUY))
        request = await exchange.peers[0].next()
        await exchange.peers[0].send(json.dumps({"id": request["id"], "status": 200, **answer}))
    assert isinstance(outcome.error, OutcomeUnknown)
    assert isinstance(outcome.error.__cause__, ProtocolViolation)


async def test_a_reply_without_a_status_is_a_violation(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await exchange.peers[0].answer(await exchange.peers[0].next(), status=0)
    assert isinstance(outcome.error, ProtocolViolation)


# Whose answer it is


async def test_g2_answers_in_any_order_reach_their_own_calls(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcomes = [in_background(nursery, lambda n=n: session.depth(symbol=f"S{n}")) for n in range(100)]  # type: ignore[misc]
        requests = [await exchange.peers[0].next() for _ in outcomes]
        assert len({request["id"] for request in requests}) == 100
        for request in sorted(requests, key=lambda request: hash(str(request["id"]))):
            number = int(request["params"]["symbol"][1:])
            await exchange.peers[0].answer(request, {"lastUpdateId": number, "bids": [], "asks": []})
    assert [outcome.value.last_update_id for outcome in outcomes] == list(range(100))


async def test_g2_late_repeated_and_unknown_answers_are_dropped_and_counted(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=1) as (session, exchange):
        peer = exchange.peers[0]
        with pytest.raises(OutcomeUnknown):
            await session.ping()
        late = await peer.next()
        await peer.answer(late)
        await peer.answer(late)
        await peer.answer({"id": "never asked"})
        await wait_all_tasks_blocked()
        assert session.counters.dropped_replies == 3
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, session.ping)
            await peer.answer(await peer.next())
        assert outcome.value is not None


async def test_g2_no_id_is_used_twice_on_a_connection(autojump_clock: MockClock) -> None:
    """The answer to the first call may be repeated, and would pass for that to the second."""
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        first = in_background(nursery, lambda: session.request("ping", id="mine"))
        request = await exchange.peers[0].next()
        with pytest.raises(InvalidRequest, match="ping: id 'mine' is in flight already"):
            await session.send(Ping(), id="mine")
        await exchange.peers[0].answer(request)
        await wait_all_tasks_blocked()
        for used in ("mine", exchange.log[0]["id"]):
            again = in_background(nursery, partial(session.request, "ping", id=used))
            await exchange.peers[0].answer(await exchange.peers[0].next())
            await wait_all_tasks_blocked()
            assert again.value == {}
        other = in_background(nursery, lambda: session.request("ping", id="another"))
        await exchange.peers[0].answer(await exchange.peers[0].next())
    assert first.value == other.value == {}
    ids = [request["id"] for request in exchange.log]
    assert len(set(ids)) == len(ids)
    assert ids[-1] == "another"
    assert exchange.sent("ping")[0]["id"] == "mine"


async def test_g2_a_repeated_answer_is_not_taken_for_that_to_a_call_with_the_same_id(
    autojump_clock: MockClock,
) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        in_background(nursery, lambda: session.request("ping", id="mine"))
        request = await peer.next()
        await peer.answer(request)
        await wait_all_tasks_blocked()
        again = in_background(nursery, lambda: session.request("ping", id="mine"))
        second = await peer.next()
        await peer.answer(request, {"said": "again"})
        await wait_all_tasks_blocked()
        await peer.answer(second)
    assert again.value == {}


async def test_g2_an_id_may_be_used_again_on_another_connection(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        for number in (0, 1):
            outcome = in_background(nursery, lambda: session.send(Ping(), id=5))
            await exchange.peers[number].answer(await exchange.peers[number].next())
            await wait_all_tasks_blocked()
            assert outcome.value is not None
            await session.rotate()


@pytest.mark.plain_streams  # others take what is written at once
async def test_g2_the_id_of_a_call_that_never_left_is_free_again(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        connection = session._supervisor.connection
        assert connection is not None
        call = Call(Ping.api, {}, Cost(weight=1), id="mine")
        connection._send(call, trio.current_time())
        connection._forget(call)
        await session.send(Ping(), id="mine")
        assert len(exchange.sent("ping")) == 1


async def test_g2_the_sessions_own_ids_pass_over_those_that_its_user_chose(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        last = exchange.log[-1]["id"]
        await session.send(Ping(), id=last + 3)
        for _ in range(3):
            await session.ping()
        assert [request["id"] - last for request in exchange.sent("ping")] == [3, 2, 4, 5]


async def test_g2_only_the_latest_chosen_ids_are_remembered(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bintrio._protocol.ids.CHOSEN_IDS", 2)
    async with open_pair() as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        for number in (1, 2, 3, 1):
            await session.send(Ping(), id=number)
        await session.send(Ping(), id=3)
        assert [request["id"] for request in exchange.sent("ping")][:4] == [1, 2, 3, 1]
        assert exchange.sent("ping")[4]["id"] >= FIRST_ID


async def test_g2_the_sessions_own_ids_step_around_the_users(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        last = exchange.log[-1]["id"]
        theirs = in_background(nursery, lambda: session.request("ping", id=last + 1))
        taken = await exchange.peers[0].next()
        ours = in_background(nursery, session.ping)
        chosen = await exchange.peers[0].next()
        assert (taken["id"], chosen["id"]) == (last + 1, last + 2)
        await exchange.peers[0].answer(chosen)
        await exchange.peers[0].answer(taken)
    assert theirs.value == {}
    assert ours.value is not None


# Cancelling


async def test_g6_a_caller_cancelled_while_it_waits_leaves_the_connection_whole(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        with trio.move_on_after(1):
            await session.ping()
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, session.ping)
            late, request = await exchange.peers[0].next(), await exchange.peers[0].next()
            await exchange.peers[0].answer(late)
            await exchange.peers[0].answer(request)
        assert outcome.value is not None
        assert session.counters.dropped_replies == 1
        assert len(exchange.peers) == 1


async def test_g6_a_caller_cancelled_before_its_frame_is_taken_is_withdrawn(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        with trio.CancelScope() as scope:
            scope.cancel()
            await session.ping()
        assert scope.cancelled_caught
        assert session.connection is not None
        assert session.connection.in_flight == 0
        await wait_all_tasks_blocked()
        assert not exchange.sent("ping")
        weight = session.request_weight
        async with trio.open_nursery() as nursery:
            in_background(nursery, session.ping)
            await exchange.peers[0].answer(await exchange.peers[0].next())
        assert weight is not None


async def test_g6_a_caller_cancelled_while_it_waits_for_a_connection_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        with trio.move_on_after(1) as scope:
            await session.ping()
        assert scope.cancelled_caught
        exchange.refuse_with.clear()
        await trio.sleep(60)
        assert session.connection is not None
        assert not exchange.sent("ping")


async def test_g6_a_caller_cancelled_while_it_waits_for_the_budget_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        in_background(nursery, session.ping)
        await exchange.peers[0].refuse(
            await exchange.peers[0].next(), 429, -1003, "slow down", data={"retryAfter": START + 5_000}
        )
        await wait_all_tasks_blocked()
        with trio.move_on_after(1) as scope:
            await session.ping()
        assert scope.cancelled_caught
        await trio.sleep(10)
        assert len(exchange.sent("ping")) == 1
        assert session.connection is not None
        assert session.connection.in_flight == 0


async def test_g6_a_caller_cancelled_while_it_waits_for_room_leaves_nothing(autojump_clock: MockClock) -> None:
    """A peer that stops reading: the queue fills, senders wait, and a cancelled one is gone without a trace."""
    async with open_pair(pong_window=1000) as (session, _), trio.open_nursery() as nursery:
        stalled = trio.Event()
        stall(session, stalled)
        long = "X" * 600_000
        outcomes = [in_background(nursery, lambda: session.request("depth", {"symbol": long})) for _ in range(2)]
        await wait_all_tasks_blocked()
        with trio.move_on_after(1) as scope:
            await session.ping()
        assert scope.cancelled_caught
        assert session.connection is not None
        assert session.connection.in_flight == 2
        assert session.connection.backlog > 1_200_000
        await trio.sleep(20)
        # Which of the two the writer took first is not ours to say.
        assert {type(outcome.error) for outcome in outcomes} == {OutcomeUnknown, NotSent}
        stalled.set()


# Repeating


async def test_g7_an_order_is_never_sent_again_by_itself(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].next()
        await exchange.peers[0].cut()
        await trio.sleep(60)
        assert isinstance(outcome.error, OutcomeUnknown)
        assert len(exchange.peers) == 2
        assert len(exchange.sent("order.place")) == 1


async def test_g7_a_read_is_repeated_on_the_next_connection(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.order_status(symbol="BTCUSDT", order_id=7))
        first = await exchange.peers[0].next()
        await exchange.peers[0].cut()
        await trio.sleep(1)
        second = await exchange.peers[1].next()
        assert first["id"] != second["id"]
        await exchange.peers[1].answer(second, ORDER)
    assert isinstance(outcome.value, bintrio.Order)


async def test_g7_an_order_of_which_no_byte_left_goes_to_the_next_connection(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        outcome = in_background(nursery, lambda: session.send(BUY))
        await trio.sleep(0.5)
        exchange.refuse_with.clear()
        await trio.sleep(5)
        await exchange.peers[1].answer(await exchange.peers[1].next(), ACK)
    assert isinstance(outcome.value, bintrio.OrderAck)
    assert len(exchange.sent("order.place")) == 1


async def test_g7_a_new_order_is_given_a_client_order_id_of_its_own(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        for _ in range(2):
            in_background(nursery, lambda: session.order_place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1))
            await exchange.peers[0].answer(await exchange.peers[0].next(), ACK)
    first, second = (request["params"]["newClientOrderId"] for request in exchange.sent("order.place"))
    assert first != second
    assert len(first) == 32


# Confirming


async def unknown_order(session: bintrio.Session, exchange: Exchange) -> OutcomeUnknown:
    async with trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[-1].next()
        await exchange.peers[-1].cut()
    await trio.sleep(1)
    assert isinstance(outcome.error, OutcomeUnknown)
    return outcome.error


async def test_g7_confirm_finds_an_order_that_was_executed(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        error = await unknown_order(session, exchange)
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.confirm(error))
            request = await exchange.peers[1].next()
            assert request["method"] == "order.status"
            assert request["params"]["origClientOrderId"] == "mine"
            await exchange.peers[1].answer(request, ORDER)
        assert outcome.value.status == "FILLED"


async def test_g7_confirm_believes_that_there_is_no_order_only_when_it_is_too_late_for_one(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        error = await unknown_order(session, exchange)
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.confirm(error))
            for _ in range(2):
                await exchange.peers[1].refuse(await exchange.peers[1].next(), 400, -2013, "Order does not exist.")
            await exchange.peers[1].answer(await exchange.peers[1].next(), [])  # to allOrders
        assert outcome.value is None
        assert outcome.error is None
        assert error.final_at is not None
        assert START + outcome.at * 1000 >= error.final_at


async def test_g7_confirm_goes_on_asking_until_the_exchange_says(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC, request_timeout=2) as (session, exchange):
        error = await unknown_order(session, exchange)
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.confirm(error))
            await exchange.peers[1].refuse(await exchange.peers[1].next(), 500, -1000, "no idea")
            await exchange.peers[1].next()
            await trio.sleep(4)
            await exchange.peers[1].answer(await exchange.peers[1].next(), ORDER)
        assert outcome.value.order_id == 7


async def test_g7_confirm_believes_that_an_order_stays_open_only_when_it_is_too_late_to_cancel_it(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        cancel = OrderCancel(symbol="BTCUSDT", order_id=7)
        for last in ("NEW", "CANCELED"):
            error = OutcomeUnknown("order.cancel", "lost", request=cancel, final_at=session.now() + 5000)
            ask = partial(session.confirm, error)
            async with trio.open_nursery() as nursery:
                outcome = in_background(nursery, ask)
                for status in ("NEW", last):
                    await exchange.peers[0].answer(await exchange.peers[0].next(), {**ORDER, "status": status})
            assert outcome.value.status == last
            assert START + outcome.at * 1000 >= (error.final_at or 0)


async def test_confirm_passes_refusals_on_and_refuses_what_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        error = await unknown_order(session, exchange)
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.confirm(error))
            await exchange.peers[1].refuse(await exchange.peers[1].next(), 400, -2015, "Invalid API-key")
        assert isinstance(outcome.error, Unauthorized)
        with pytest.raises(InvalidRequest, match="ping leaves nothing behind"):
            await session.confirm(OutcomeUnknown("ping", "lost", request=Ping()))  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest, match=r"order\.place leaves nothing behind"):
            await session.confirm(OutcomeUnknown("order.place", "lost"))


async def test_confirm_stops_asking_when_the_session_is_closed(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        error = await unknown_order(session, exchange)
    with pytest.raises(NotSent):
        await session.confirm(error)


# Limits


async def test_g8_after_429_nothing_goes_out_before_retry_after(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        first = in_background(nursery, session.ping)
        request = await exchange.peers[0].next()
        second = in_background(nursery, session.ping)
        other = await exchange.peers[0].next()
        await exchange.peers[0].refuse(request, 429, -1003, "slow down", data={"retryAfter": START + 5_000})
        await wait_all_tasks_blocked()
        third = in_background(nursery, session.ping)
        await trio.sleep(4.9)
        assert isinstance(first.error, RateLimited)
        assert first.error.retry_at == START + 5_000
        assert len(exchange.sent("ping")) == 2
        await exchange.peers[0].answer(other)
        await exchange.peers[0].answer(await exchange.peers[0].next())
        await wait_all_tasks_blocked()
        assert second.value is not None
        assert 5 <= third.at < 6


async def test_g8_a_ban_holds_everything_and_a_call_that_cannot_wait_is_not_sent(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        first = in_background(nursery, session.ping)
        await exchange.peers[0].refuse(
            await exchange.peers[0].next(), 418, -1003, "banned", data={"retryAfter": START + 300_000}
        )
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        assert isinstance(first.error, Banned)
        second = in_background(nursery, session.ping)
        await trio.sleep(200)
        assert isinstance(second.error, NotSent)
        assert len(exchange.addresses) == 1
        await trio.sleep(101)
        assert len(exchange.addresses) == 2


async def test_g8_too_many_orders_hold_orders_only(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        first = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].refuse(
            await exchange.peers[0].next(), 429, -1015, "Too many new orders.", data={"retryAfter": START + 5_000}
        )
        await wait_all_tasks_blocked()
        assert isinstance(first.error, RateLimited)
        second = in_background(nursery, lambda: session.send(BUY))
        cancel = in_background(nursery, lambda: session.order_cancel(symbol="BTCUSDT", order_id=1))
        request = await exchange.peers[0].next()
        assert request["method"] == "order.cancel"
        await exchange.peers[0].refuse(request, 400, -2011, "Unknown order sent.")
        await exchange.peers[0].answer(await exchange.peers[0].next(), ACK)
        await wait_all_tasks_blocked()
        assert isinstance(cancel.error, bintrio.UnknownOrder)
        assert 5 <= second.at < 6


async def test_g8_the_order_limit_is_kept_before_the_exchange_has_to_say_so(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC, request_timeout=60) as (session, exchange), trio.open_nursery() as nursery:
        for _ in range(60):
            in_background(nursery, lambda: session.send(BUY, id=None))
        await wait_all_tasks_blocked()
        assert len(exchange.sent("order.place")) == 50
        assert [limit.count for limit in session.order_counts] == [50]
        await trio.sleep(21)
        assert len(exchange.sent("order.place")) == 60
        nursery.cancel_scope.cancel()


async def test_g8_a_429_with_a_verdict_on_nobody_holds_everything_too(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        await exchange.peers[0].refuse({"id": None}, 429, -1003, "slow down", data={"retryAfter": START + 5_000})
        await wait_all_tasks_blocked()
        assert session.connection is None
        outcome = in_background(nursery, session.ping)
        await trio.sleep(4.9)
        assert len(exchange.addresses) == 1
        await trio.sleep(2)
        await exchange.peers[1].answer(await exchange.peers[1].next())
    assert outcome.value is not None


async def test_g8_a_handshake_refused_with_429_is_not_repeated_before_its_time(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.refuse_with.append(HandshakeRejected(429, [("retry-after", "30")], b""))
        await exchange.peers[0].cut()
        await trio.sleep(29)
        assert len(exchange.addresses) == 2
        exchange.refuse_with.clear()
        await trio.sleep(2)
        assert len(exchange.addresses) == 3
        assert session.connection is not None


# Signing and logon


async def test_an_ed25519_key_logs_on_and_calls_carry_a_timestamp_only(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        (logon,) = exchange.sent("session.logon")
        assert set(logon["params"]) == {"apiKey", "signature", "timestamp"}
        in_background(nursery, lambda: session.order_status(symbol="BTCUSDT", order_id=7))
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, ORDER)
        assert set(request["params"]) == {"orderId", "symbol", "timestamp"}
        assert request["params"]["timestamp"] == START
        assert "logged on" in repr(session)


async def test_an_hmac_key_signs_each_call(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        assert not exchange.sent("session.logon")
        in_background(nursery, lambda: session.order_status(symbol="BTCUSDT", order_id=7, recv_window=100))
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, ORDER)
        params = request["params"]
        signature = params.pop("signature")
        text = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
        assert signature == HMAC.sign(text)
        assert params["apiKey"] == "hmac-api-key"


async def test_after_a_logout_by_hand_calls_are_signed_one_by_one(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        await session.session_logout()
        in_background(nursery, lambda: session.order_status(symbol="BTCUSDT", order_id=7))
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, ORDER)
        assert {"apiKey", "signature"} <= set(request["params"])
        await session.session_logon()
        in_background(nursery, lambda: session.order_status(symbol="BTCUSDT", order_id=7))
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, ORDER)
        assert "signature" not in request["params"]


async def test_signing_comes_after_every_wait(autojump_clock: MockClock) -> None:
    """Held back for 5 s by the budget, an order leaves with the timestamp of its leaving."""
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        in_background(nursery, session.ping)
        await exchange.peers[0].refuse(
            await exchange.peers[0].next(), 429, -1003, "slow down", data={"retryAfter": START + 5_000}
        )
        await wait_all_tasks_blocked()
        in_background(nursery, lambda: session.send(BUY))
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, ACK)
        assert request["params"]["timestamp"] >= START + 5_000


async def test_a_timestamp_refused_makes_the_session_ask_for_the_time_again(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC, pong_window=10_000) as (session, exchange), trio.open_nursery() as nursery:
        before = len(exchange.sent("time"))
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 400, -1021, "Timestamp for this request…")
        await wait_all_tasks_blocked()
        assert isinstance(outcome.error, InvalidTimestamp)
        assert len(exchange.sent("time")) == before + 1
        assert len(exchange.sent("order.place")) == 1
        await trio.sleep(601)
        assert len(exchange.sent("time")) == before + 2
        assert session.now() == START + round(trio.current_time() * 1000)


async def test_the_clock_survives_a_question_that_fails(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=1, pong_window=10_000) as (session, exchange):
        exchange.script["time"] = None
        await trio.sleep(602)
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 400, -1003, "no")
        exchange.script["time"] = lambda _peer: {"serverTime": START + int(trio.current_time() * 1000)}
        await trio.sleep(602)
        assert session.connection is not None


async def test_microseconds_are_asked_for_in_the_url(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["time"] = lambda _peer: {"serverTime": (START + int(trio.current_time() * 1000)) * 1000}
        async with bintrio.open_session(URL, connect=exchange.connect, time_unit="us") as session:
            assert exchange.addresses[0].resource == "/ws-api/v3?timeUnit=MICROSECOND"
            assert session.now() == START * 1000


@pytest.mark.parametrize(("time_unit", "per_millisecond"), [("ms", 1), ("us", 1000)])
async def test_every_time_that_a_session_gives_is_in_its_unit(
    autojump_clock: MockClock, time_unit: Any, per_millisecond: int
) -> None:
    async with open_exchange() as exchange:
        exchange.script["time"] = lambda _peer: {
            "serverTime": (START + int(trio.current_time() * 1000)) * per_millisecond
        }
        async with (
            bintrio.open_session(URL, connect=exchange.connect, key=HMAC, time_unit=time_unit) as session,
            session.user_data() as events,
            trio.open_nursery() as nursery,
        ):
            await trio.sleep(7)
            outcome = in_background(nursery, lambda: session.send(BUY))
            await exchange.peers[0].next()
            await exchange.peers[0].cut()
            gap = await anext(events)
            nursery.cancel_scope.cancel()
        assert isinstance(outcome.error, OutcomeUnknown)
        assert outcome.error.final_at == (START + 7_000 + 5_000) * per_millisecond
        assert isinstance(gap, bintrio.Gap)
        assert (START - 10) * per_millisecond <= gap.start <= gap.end <= (START + 8_000) * per_millisecond
        assert session.now() == (START + round(trio.current_time() * 1000)) * per_millisecond


async def test_g7_confirm_waits_for_the_window_in_either_unit(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["time"] = lambda _peer: {"serverTime": (START + int(trio.current_time() * 1000)) * 1000}
        async with (
            bintrio.open_session(URL, connect=exchange.connect, key=HMAC, time_unit="us") as session,
            trio.open_nursery() as nursery,
        ):
            cancel = OrderCancel(symbol="BTCUSDT", order_id=7)
            error = OutcomeUnknown("order.cancel", "lost", request=cancel, final_at=session.now() + 5_000_000)
            outcome = in_background(nursery, lambda: session.confirm(error))
            for _ in range(2):
                await exchange.peers[0].answer(await exchange.peers[0].next(), {**ORDER, "status": "NEW"})
        assert 5 < outcome.at < 10


# Opening


async def test_opening_tries_each_address_and_tells_what_each_said(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.refuse_with.append(OSError("no route"))
        with pytest.raises(ConnectionFailed) as caught:
            async with bintrio.open_session(bintrio.PRODUCTION, connect=exchange.connect):
                raise AssertionError
    assert [address.port for address in exchange.addresses] == [443, 9443]
    assert [url for url, _ in caught.value.attempts] == list(bintrio.PRODUCTION.urls)
    assert "OSError: no route" in str(caught.value)


async def test_the_second_address_serves_if_the_first_does_not(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:

        async def connect(address: Address) -> trio.abc.Stream:
            if address.port == 443:
                raise OSError("blocked")
            return await exchange.connect(address)

        async with bintrio.open_session(bintrio.PRODUCTION, connect=connect) as session:
            assert "9443" in repr(session)


async def test_opening_is_given_up_after_the_connect_timeout(autojump_clock: MockClock) -> None:
    async def connect(_address: Address) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(ConnectionFailed, match="not ready within 3 s"):
        async with bintrio.open_session(URL, connect=connect, connect_timeout=3):
            raise AssertionError
    assert trio.current_time() == 3


async def test_a_server_that_never_answers_the_first_question_is_given_up(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["time"] = None
        with pytest.raises(ConnectionFailed, match="not ready within 10 s"):
            async with bintrio.open_session(URL, connect=exchange.connect):
                raise AssertionError
        assert 10 <= trio.current_time() <= 12


async def test_a_server_that_hangs_up_before_the_session_is_ready_is_told(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:

        def hang_up(peer: Peer) -> Any:
            peer.stream.close_hook = None  # type: ignore[attr-defined]
            raise trio_closed()

        exchange.script["time"] = hang_up
        with pytest.raises(ConnectionFailed, match="WireClosed"):
            async with bintrio.open_session(URL, connect=exchange.connect):
                raise AssertionError


def trio_closed() -> Exception:
    import trio_websocket

    return trio_websocket.ConnectionClosed(None)


async def test_a_key_that_is_refused_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["session.logon"] = None

        async def refuse() -> None:
            peer = await exchange.peer(0)
            await peer.refuse(await peer.next(), 401, -2015, "Invalid API-key")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            with pytest.raises(Unauthorized):
                async with bintrio.open_session(bintrio.PRODUCTION, connect=exchange.connect, key=ed25519_key()):
                    raise AssertionError
    assert len(exchange.addresses) == 1


async def test_limits_that_are_not_told_are_learned_later(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["exchangeInfo"] = None

        async def refuse() -> None:
            peer = await exchange.peer(0)
            await peer.refuse(await peer.next(), 400, -1122, "Invalid symbolStatus.")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            async with bintrio.open_session(URL, connect=exchange.connect) as session:
                before = (session.request_weight, session.order_counts)
                assert before == (None, ())
                async with trio.open_nursery() as calls:
                    in_background(calls, session.ping)
                    request = await exchange.peers[0].next()
                    await exchange.peers[0].answer(request, rateLimits=[{**LIMITS[0], "count": 77}])
                assert session.request_weight is not None
                assert session.request_weight.count == 77
                assert "weight 77 of 6000" in repr(session)


async def test_a_body_exception_comes_out_bare(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        with pytest.raises(ZeroDivisionError):
            async with bintrio.open_session(URL, connect=exchange.connect) as session:
                raise ZeroDivisionError(repr(session))


async def test_cancelling_the_body_passes_through(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        with trio.move_on_after(5) as scope:
            async with bintrio.open_session(URL, connect=exchange.connect):
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() == 5


async def test_leaving_says_goodbye_to_the_server(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        async with bintrio.open_session(URL, connect=exchange.connect):
            pass
        await exchange.peers[0].is_over.wait()
        closed = exchange.peers[0].websocket.closed
        assert closed is not None
        assert int(closed.code) == 1000
        assert trio.current_time() == 0


async def test_leaving_is_bounded_by_the_close_timeout(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        async with bintrio.open_session(URL, connect=exchange.connect, close_timeout=1) as session:
            stall(session, trio.Event())
        assert trio.current_time() == 1


@pytest.mark.parametrize(
    ("argument", "value", "complaint"),
    [
        ("request_timeout", 0, "request_timeout must be a positive number of seconds, not int 0"),
        ("connect_timeout", "1", "connect_timeout must be a positive number of seconds, not str '1'"),
        ("close_timeout", True, "close_timeout must be a positive number"),
        ("pong_window", math.nan, "pong_window must be a positive number"),
        ("drain_timeout", math.inf, "drain_timeout must be finite"),
        ("max_message_size", 0.5, "max_message_size must be a positive int"),
        ("time_unit", "s", "time_unit must be 'ms' or 'us', not str 's'"),
        ("key", "secret", "key must be an Ed25519Key, HmacKey or RsaKey, not str"),
    ],
)
async def test_arguments_that_cannot_be_right_are_refused(argument: str, value: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint) as caught:
        async with bintrio.open_session(URL, **{argument: value}):
            raise AssertionError
    assert caught.value.field == argument


async def test_g9_a_key_does_not_travel_over_plain_ws(autojump_clock: MockClock) -> None:
    with pytest.raises(InvalidRequest, match=r"plain ws:// to exchange\.test"):
        async with bintrio.open_session("ws://exchange.test/ws-api/v3", key=HMAC):
            raise AssertionError


@pytest.mark.plain_streams("it is about that kind")
async def test_g9_a_stream_in_memory_is_private(autojump_clock: MockClock) -> None:
    async with (
        open_exchange() as exchange,
        bintrio.open_session("ws://exchange.test/", key=HMAC, connect=exchange.connect) as session,
        session.user_data(),
    ):
        assert exchange.sent("userDataStream.subscribe.signature")


# Bad calls


async def test_calls_that_cannot_be_right_are_refused_before_sending(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        before = len(exchange.log)
        with pytest.raises(InvalidRequest, match=r"order\.place needs a key"):
            await session.send(BUY)
        with pytest.raises(InvalidRequest, match=r"session\.logon needs a key"):
            await session.session_logon()
        with pytest.raises(InvalidRequest, match="user data needs a key, not NoneType"):
            async with session.user_data():
                raise AssertionError
        with pytest.raises(InvalidRequest, match="buffer must be a positive int, not int 0"):
            async with session.user_data(HMAC, buffer=0):
                raise AssertionError
        with pytest.raises(InvalidRequest, match="id must be a str of 1 to 36 characters"):
            await session.request("ping", id="")
        with pytest.raises(InvalidRequest, match="id must be"):
            await session.request("ping", id=2**63)
        with pytest.raises(InvalidRequest, match="id must be"):
            await session.request("ping", id=True)
        with pytest.raises(InvalidRequest, match="method must be a str"):
            await session.request("")
        with pytest.raises(InvalidRequest, match=r"depth: price must be a str, int.*not float 0\.1"):
            await session.request("depth", {"price": 0.1})
        for window in ("abc", "nan", "-1", [1], True):
            with pytest.raises(InvalidRequest, match="recvWindow must be a number of milliseconds"):
                await session.request("account.status", {"recvWindow": window}, signed=False)
        with pytest.raises(InvalidRequest, match="weight must be a positive int"):
            await session.request("ping", weight=0)
        await wait_all_tasks_blocked()
        assert len(exchange.log) == before


async def test_logon_by_hand_needs_an_ed25519_key(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        with pytest.raises(InvalidRequest, match=r"session\.logon needs an Ed25519Key, the session has an HmacKey"):
            await session.session_logon()
        assert not exchange.sent("session.logon")


async def test_a_method_that_the_catalogue_does_not_know(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(
            nursery, lambda: session.request("coffee.brew", {"cups": 2, "milk": None}, signed=True, weight=3)
        )
        request = await exchange.peers[0].next()
        assert request["params"]["cups"] == 2
        assert "signature" in request["params"]
        assert "milk" not in request["params"]
        await exchange.peers[0].answer(request, {"price": "3.20"})
    assert outcome.value == {"price": "3.20"}


# What the server may do wrong


async def test_messages_that_are_no_json_are_dropped_and_counted(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        request = await exchange.peers[0].next()
        garbage: list[str | bytes] = ["{", "[]", '{"id": [1]}', b"\x00\x01"]
        for message in garbage:
            await exchange.peers[0].send(message)
        await exchange.peers[0].answer(request)
    assert outcome.value is not None
    assert session.counters.unreadable_messages == 4
    assert len(exchange.peers) == 1


async def test_text_that_is_not_utf8_ends_the_connection_and_reads_go_on(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await exchange.peers[0].next()
        await exchange.peers[0].stream.send_all(b"\x81\x02\xff\xff")
        await trio.sleep(1)
        await exchange.peers[1].answer(await exchange.peers[1].next())
    assert outcome.value is not None
    assert session.counters.losses == 1


async def test_g2_a_verdict_on_nobody_ends_the_connection_for_everyone(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        order = in_background(nursery, lambda: session.send(BUY))
        read = in_background(nursery, session.ping)
        for _ in range(2):
            await exchange.peers[0].next()
        await exchange.peers[0].refuse({"id": None}, 401, -2015, "Invalid API-key, IP, or permissions for action.")
        await trio.sleep(1)
    for outcome in (order, read):
        assert isinstance(outcome.error, OutcomeUnknown)
        assert isinstance(outcome.error.__cause__, Unauthorized)


async def test_g10_a_message_of_no_kind_is_dropped_and_counted(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await exchange.peers[0].send('{"notice": "maintenance on Sunday"}')
        await exchange.peers[0].answer(await exchange.peers[0].next())
    assert outcome.value is not None
    assert session.counters.unreadable_messages == 1


async def test_a_success_that_belongs_to_no_call_ends_the_connection(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        await exchange.peers[0].answer({"id": None})
        await trio.sleep(1)
        assert len(exchange.peers) == 2
        assert session.counters.losses == 1


async def test_limits_that_cannot_be_read_are_learned_later(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["exchangeInfo"] = lambda _peer: {"rateLimits": "?"}
        async with bintrio.open_session(URL, connect=exchange.connect) as session:
            assert session.request_weight is None


async def test_g8_limits_are_asked_for_once_also_where_there_are_none_for_orders(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        information = {"timezone": "UTC", "serverTime": START, "exchangeFilters": [], "symbols": []}
        exchange.script["exchangeInfo"] = lambda _peer: {**information, "rateLimits": LIMITS[:1]}
        async with bintrio.open_session(URL, connect=exchange.connect) as session:
            for _ in range(3):
                await session.rotate()
            assert len(exchange.peers) == 4
            assert len(exchange.sent("exchangeInfo")) == 1


@pytest.mark.parametrize("gone", ["rateLimits", "symbols", "limit", "interval"])
async def test_g10_limits_of_which_something_did_not_come(autojump_clock: MockClock, gone: str) -> None:
    limit = {name: value for name, value in LIMITS[0].items() if name not in {gone, "count"}}
    information = {"timezone": "UTC", "serverTime": 1, "exchangeFilters": [], "symbols": [], "rateLimits": [limit]}
    information.pop(gone, None)
    async with open_exchange() as exchange:
        exchange.script["exchangeInfo"] = lambda _peer: information
        async with bintrio.open_session(URL, connect=exchange.connect) as session:
            assert (session.request_weight is not None) is (gone == "symbols")


async def test_g8_what_is_queued_when_a_429_comes_does_not_leave(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        first = in_background(nursery, session.ping)
        request = await exchange.peers[0].next()
        stalled = trio.Event()
        stall(session, stalled)
        taken = in_background(nursery, session.ping)
        await wait_all_tasks_blocked()
        queued = in_background(nursery, session.ping)
        await wait_all_tasks_blocked()
        await exchange.peers[0].refuse(request, 429, -1003, "slow down", data={"retryAfter": START + 5_000})
        await wait_all_tasks_blocked()
        assert isinstance(first.error, RateLimited)
        assert session.connection is not None
        assert session.connection.in_flight == 1
        await trio.sleep(20)
        assert isinstance(taken.error, OutcomeUnknown)
        assert isinstance(queued.error, NotSent)
        stalled.set()


async def test_a_body_exception_comes_out_even_if_leaving_is_cancelled(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        with trio.CancelScope() as scope, pytest.raises(ZeroDivisionError):  # noqa: PT012  # the body is what is tested
            async with bintrio.open_session(URL, connect=exchange.connect) as session:
                stall(session, trio.Event())
                scope.deadline = trio.current_time() + 1
                raise ZeroDivisionError
        assert trio.current_time() == 1


async def test_a_reply_of_17_megabytes_is_taken(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.request("exchangeInfo", {"symbol": "X"}))
        exchange.script["exchangeInfo"] = None
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, {"filler": "x" * 16_900_000})
    assert len(outcome.value["filler"]) == 16_900_000


# Lifetimes


async def test_g4_a_mute_server_is_found_out_and_replaced(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC, request_timeout=100) as (session, exchange), trio.open_nursery() as nursery:
        await trio.sleep(30)
        await exchange.peers[0].websocket.ping(b"are you there")
        order = in_background(nursery, lambda: session.send(BUY))
        read = in_background(nursery, session.ping)
        await trio.sleep(59.9)
        assert len(exchange.peers) == 1
        await trio.sleep(1)
        assert isinstance(order.error, OutcomeUnknown)
        assert 90 <= order.at <= 90.1
        assert "no ping was answered for 60 s" in order.error.reason
        await exchange.peers[1].answer(await exchange.peers[1].next())
    assert read.value is not None


async def test_g4_pings_keep_a_connection_for_ever(autojump_clock: MockClock) -> None:
    async with open_pair(lifetime=math.inf) as (session, exchange):
        for number in range(1000):
            await trio.sleep(50)
            await exchange.peers[0].websocket.ping(str(number).encode())
        assert len(exchange.peers) == 1
        assert session.counters.losses == 0


async def pinging(exchange: Exchange) -> None:
    """What the exchange does: a ping every 20 s on every connection."""
    while True:
        await trio.sleep(20)
        for peer in exchange.peers:
            if not peer.is_over.is_set():
                await peer.websocket.ping()


@pytest.mark.plain_streams("days of pings, and hardly a call")
async def test_g5_the_session_moves_before_its_lifetime_is_over_without_a_failed_call(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        nursery.start_soon(pinging, exchange)
        exchange.script["ping"] = lambda _peer: {}
        for _ in range(3 * 24 * 6):
            await trio.sleep(600)
            await session.ping()
        assert len(exchange.peers) == 4
        assert session.counters.losses == 0
        assert len(exchange.sent("session.logon")) == 4
        nursery.cancel_scope.cancel()


async def test_g5_a_rotation_leaves_calls_in_flight_to_the_old_connection(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        old = in_background(nursery, lambda: session.send(BUY))
        request = await exchange.peers[0].next()
        await session.rotate()
        new = in_background(nursery, session.ping)
        await exchange.peers[1].answer(await exchange.peers[1].next())
        await trio.sleep(10)
        assert not exchange.peers[0].is_over.is_set()
        await exchange.peers[0].answer(request, ACK)
        await exchange.peers[0].is_over.wait()
        assert trio.current_time() == 10
    assert isinstance(old.value, bintrio.OrderAck)
    assert new.value is not None
    assert session.counters.losses == 0


async def test_g5_an_old_connection_that_owes_answers_is_given_up_after_the_drain_timeout(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC, request_timeout=100, drain_timeout=7) as (session, exchange):
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.send(BUY))
            await exchange.peers[0].next()
            await session.rotate()
        assert isinstance(outcome.error, OutcomeUnknown)
        assert "did not answer within 7 s" in outcome.error.reason
        assert outcome.at == 7


async def test_g5_server_shutdown_moves_the_session_at_once(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        await exchange.peers[0].event(None, e="serverShutdown", E=START)
        await trio.sleep(1)
        assert len(exchange.peers) == 2
        assert exchange.peers[0].is_over.is_set()
        assert session.counters.losses == 0


async def test_g5_the_old_connection_serves_as_long_as_no_other_can_be_opened(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        exchange.refuse_with.append(OSError("no route"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.rotate)
            await trio.sleep(5)
            await session.ping()
            exchange.refuse_with.clear()
        assert len(exchange.peers) == 2
        assert 5 <= trio.current_time() < 15


async def test_g5_a_rotation_that_finds_no_other_connection_ends_in_time(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=3, pong_window=1e6) as (session, exchange):
        exchange.refuse_with.append(OSError("no route"))
        with pytest.raises(NotSent, match="rotation was not sent: no other connection was ready within 3 s") as caught:
            await session.rotate()
        assert trio.current_time() == 3
        assert isinstance(caught.value.__cause__, ConnectionFailed)
        exchange.refuse_with.clear()
        await trio.sleep(30)
        assert len(exchange.peers) == 2
        with trio.move_on_after(0) as scope:
            await session.rotate()
        assert scope.cancelled_caught


async def test_a_lost_connection_is_replaced_with_growing_pauses(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        await trio.sleep(300)
        assert 10 <= len(exchange.addresses) <= 30
        exchange.refuse_with.clear()
        await trio.sleep(31)
        assert session.connection is not None
        assert session.counters.losses == 1
        assert repr(session).startswith("<Session on exchange.test, <Connection ")


async def test_connections_that_do_not_last_are_replaced_with_growing_pauses(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        opened_at: list[float] = []
        for number in range(8):
            peer = await exchange.peer(number)
            opened_at.append(trio.current_time())
            await trio.sleep(0.1)
            await peer.cut()
        await exchange.peer(8)
        # The first was chance. After that at least half of 0.5, 1, 2, 4, 8, 16 and 30 s.
        assert opened_at[1] - opened_at[0] < 0.2
        assert opened_at[2] - opened_at[1] > 0.3
        assert 30 <= trio.current_time() <= 64
        assert session.counters.losses == 8
        await trio.sleep(40)
        before = trio.current_time()
        await exchange.peers[8].cut()
        await exchange.peer(9)
        assert trio.current_time() - before < 0.1


async def test_the_state_between_two_connections_is_shown(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        first = session.connection
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        assert session.connection is None
        assert "connecting" in repr(session)
        assert "ended: the server ended the stream" in repr(first)
        assert session.round_trip == 0
        assert isinstance(session.clock_offset, float)


# Feeds


async def test_events_reach_their_subscriber(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        assert exchange.sent("userDataStream.subscribe")
        await exchange.peers[0].balance(1)
        await exchange.peers[0].balance(2)
        assert await deltas(events, 2) == [1, 2]


async def test_an_event_in_the_same_read_as_the_subscription_is_not_lost(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["userDataStream.subscribe.signature"] = None
        received: list[Any] = []

        async def listen() -> None:
            async with session.user_data() as events:
                received.extend(await deltas(events, 1))

        nursery.start_soon(listen)
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, {"subscriptionId": 3})
        await exchange.peers[0].balance(1, 3)
    assert received == [1]


async def test_several_accounts_on_one_connection(autojump_clock: MockClock) -> None:
    other = bintrio.HmacKey("other", "secret")
    async with (
        open_pair(key=HMAC) as (session, exchange),
        session.user_data() as first,
        session.user_data(other) as second,
        session.user_data(other) as third,
    ):
        assert len(exchange.sent("userDataStream.subscribe.signature")) == 2
        await exchange.peers[0].balance(1, 0)
        await exchange.peers[0].balance(2, 1)
        assert await deltas(first, 1) == [1]
        assert await deltas(second, 1) == [2]
        assert await deltas(third, 1) == [2]


async def test_a_subscription_that_is_refused_raises(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["userDataStream.subscribe.signature"] = None
        outcome = Outcome()

        async def subscribe() -> None:
            async with session.user_data():
                raise AssertionError

        nursery.start_soon(outcome.watch, subscribe)
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 400, -2042, "too many")
    assert isinstance(outcome.error, SubscriptionError)


@pytest.mark.parametrize("is_cut", [False, True], ids=["unanswered", "without a connection"])
async def test_a_subscription_ends_within_its_deadline(autojump_clock: MockClock, is_cut: bool) -> None:
    async with open_pair(key=HMAC, request_timeout=3) as (session, exchange):
        exchange.script["userDataStream.subscribe.signature"] = None
        if is_cut:
            exchange.refuse_with.append(OSError("no route"))
            await exchange.peers[0].cut()
            await wait_all_tasks_blocked()
        with pytest.raises(NotSent if is_cut else OutcomeUnknown):
            async with session.user_data():
                raise AssertionError
        assert trio.current_time() == 3


async def test_leaving_a_subscription_unsubscribes_unless_someone_else_listens(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        async with session.user_data():
            async with session.user_data():
                pass
            await wait_all_tasks_blocked()
            assert not exchange.sent("userDataStream.unsubscribe")
        await wait_all_tasks_blocked()
        assert exchange.sent("userDataStream.unsubscribe")[0]["params"] == {"subscriptionId": 0}
        async with session.user_data() as events:
            await exchange.peers[0].balance(1, 1)
            assert await deltas(events, 1) == [1]


async def test_leaving_and_coming_back_at_once_loses_nothing(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        async with session.user_data():
            pass
        async with session.user_data() as events:
            await wait_all_tasks_blocked()
            peer = exchange.peers[0]
            await peer.balance(1, peer.subscriptions[-1])
            assert await deltas(events, 1) == [1]


async def test_g5_a_rotation_under_events_loses_none_and_doubles_none(autojump_clock: MockClock) -> None:
    async with (
        open_pair(key=ed25519_key()) as (session, exchange),
        session.user_data() as events,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(pinging, exchange)
        old = exchange.peers[0]
        await old.balance(1)
        exchange.script["userDataStream.unsubscribe"] = None
        await session.rotate()
        new = exchange.peers[1]
        leave = await old.next()
        assert leave["method"] == "userDataStream.unsubscribe"
        await new.balance(2)
        await old.balance(2)
        await old.balance(3)
        await old.answer(leave)
        await new.balance(3)
        await new.balance(4)
        assert await deltas(events, 4) == [1, 2, 3, 4]
        await old.is_over.wait()
        await trio.sleep(61)
        assert events.waiting == 0
        await new.balance(4)
        assert await deltas(events, 1) == [4]
        nursery.cancel_scope.cancel()


async def test_g5_a_subscription_made_while_the_session_moves_is_told_nothing_twice(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["time"] = None
        nursery.start_soon(session.rotate)
        new = await exchange.peer(1)
        waits = await new.next()
        async with session.user_data() as events:
            exchange.script["userDataStream.unsubscribe"] = None
            await new.answer(waits, {"serverTime": START})
            leave = await exchange.peers[0].next()
            for peer in exchange.peers:
                await peer.balance(1)
            await exchange.peers[0].answer(leave)
            await new.balance(2)
            assert await deltas(events, 2) == [1, 2]


@pytest.mark.parametrize(("status", "code"), [(429, -1003), (400, -1021), (503, -1000)], ids=["429", "clock", "down"])
async def test_g5_a_refusal_for_now_does_not_end_a_subscription(
    autojump_clock: MockClock, status: int, code: int
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        keep = exchange.script["userDataStream.subscribe"]
        exchange.script["userDataStream.subscribe"] = None
        await exchange.peers[0].cut()
        peer = await exchange.peer(1)
        await peer.refuse(await peer.next(), status, code, "not now", data={"retryAfter": START + 1000})
        exchange.script["userDataStream.subscribe"] = keep
        assert isinstance(await anext(events), bintrio.Gap)
        await peer.balance(1)
        assert await deltas(events, 1) == [1]
        assert len(exchange.peers) == 2


async def test_g5_a_feed_that_moves_with_nobody_is_restored_and_its_gap_told(autojump_clock: MockClock) -> None:
    """Subscribed to on the old connection while the new one was opened, and not taken over by the new one."""
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["time"] = None
        nursery.start_soon(session.rotate)
        new = await exchange.peer(1)
        waits = await new.next()
        subscribe = exchange.script["userDataStream.subscribe.signature"]
        exchange.script["userDataStream.subscribe"] = None
        async with session.user_data(HMAC) as events, trio.open_nursery() as inner:
            listening = in_background(inner, lambda: anext(events))
            exchange.script["userDataStream.subscribe.signature"] = None
            await new.answer(waits, {"serverTime": START})
            await new.refuse(await new.next(), 500, -1000, "no idea")
            peer = await exchange.peer(2) if session.connection is None else new
            exchange.script["userDataStream.subscribe.signature"] = subscribe
            exchange.script["time"] = lambda _peer: {"serverTime": START + int(trio.current_time() * 1000)}
            await trio.sleep(100)
            assert peer is not None
            assert session.connection is not None
            (feed,) = session._supervisor.feeds.by_key.values()
            assert feed.is_carried
            inner.cancel_scope.cancel()
        assert listening.error is None
        nursery.cancel_scope.cancel()


async def test_a_feed_that_nobody_hears_does_not_move(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        exchange.script["userDataStream.unsubscribe"] = None
        async with session.user_data():
            pass
        leave = await exchange.peers[0].next()
        await session.rotate()
        await exchange.peers[0].answer(leave)
        await wait_all_tasks_blocked()
        assert len(exchange.sent("userDataStream.subscribe")) == 1
        assert not session._supervisor.feeds.by_key


async def test_g5_two_rotations_in_a_row_keep_repeats_apart(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await session.rotate()
        await trio.sleep(30)
        await session.rotate()
        await trio.sleep(40)
        await exchange.peers[1].is_over.wait()
        await exchange.peers[2].balance(1)
        assert await deltas(events, 1) == [1]


async def test_a_gap_is_told_after_a_loss(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await trio.sleep(10)
        await exchange.peers[0].balance(1)
        await trio.sleep(5)
        await exchange.peers[0].cut()
        await trio.sleep(5)
        await exchange.peers[1].balance(2)
        first, gap, second = await deltas(events, 3)
        assert (first, second) == (1, 2)
        assert isinstance(gap, bintrio.Gap)
        assert START - 10 <= gap.start <= START
        assert START + 15_000 <= gap.end <= START + 20_000
        assert "the server ended the stream" in gap.reason
        assert session.counters.losses == 1


async def test_an_old_connection_lost_while_it_retires_leaves_a_gap(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.unsubscribe"] = None
        await session.rotate()
        await exchange.peers[0].next()
        await exchange.peers[0].cut()
        assert isinstance(await anext(events), bintrio.Gap)


async def test_a_subscription_that_the_exchange_ends_is_restored(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        await trio.sleep(1)
        await exchange.peers[0].balance(1, 1)
        ended, gap, update = await deltas(events, 3)
        assert isinstance(ended, bintrio.EventStreamTerminated)
        assert isinstance(gap, bintrio.Gap)
        assert update == 1


async def test_a_subscription_that_cannot_be_restored_ends_with_the_reason(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.subscribe.signature"] = None
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 401, -2015, "Invalid API-key")
        assert isinstance(await anext(events), bintrio.EventStreamTerminated)
        with pytest.raises(Unauthorized):
            await anext(events)


async def test_a_subscription_that_the_next_connection_refuses_ends_with_the_reason(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data(HMAC) as events:
        exchange.script["userDataStream.subscribe.signature"] = None
        await exchange.peers[0].cut()
        await trio.sleep(1)
        await exchange.peers[1].refuse(await exchange.peers[1].next(), 401, -2015, "Invalid API-key")
        with pytest.raises(Unauthorized):
            await anext(events)
        await trio.sleep(1)
        assert session.connection is not None


async def test_events_of_no_subscription_are_counted(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        await exchange.peers[0].balance(1)
        await exchange.peers[0].event(None, e="balanceUpdate", E=1, a="BTC", d="1", T=1)
        await exchange.peers[0].event(7, e="eventStreamTerminated", E=1)
        await exchange.peers[0].event(None, e="eventStreamTerminated", E=1)
        await wait_all_tasks_blocked()
        assert session.counters.unclaimed_events == 4


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.user_data_stream_subscribe(),
        lambda session: session.user_data_stream_subscribe_signature(),
        lambda session: session.user_data_stream_unsubscribe(subscription_id=0),
        lambda session: session.send(UserDataStreamUnsubscribe()),
        lambda session: session.request("userDataStream.subscribe"),
    ],
    ids=["subscribe", "by signature", "unsubscribe", "unsubscribe from all", "by its wire name"],
)
async def test_g5_a_subscription_by_hand_is_refused_with_a_hint(
    autojump_clock: MockClock, call: Callable[[bintrio.Session], Any]
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        before = len(exchange.log)
        with pytest.raises(InvalidRequest, match=r"the session (un)?subscribes by itself: .*session\.user_data\("):
            await call(session)
        assert len(exchange.log) == before
        await exchange.peers[0].balance(1)
        assert await deltas(events, 1) == [1]


async def test_g10_unknown_events_are_carried(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await exchange.peers[0].event(0, e="somethingNew", E=1, z=[1])
        await exchange.peers[0].event(0, e="balanceUpdate", E=1)
        first, second = await anext(events), await anext(events)
        assert isinstance(first, bintrio.UnknownEvent)
        assert first.event_type == "somethingNew"
        assert b'"z": [1]' in first.raw
        assert isinstance(second, bintrio.UnknownEvent)


async def test_g10_unknown_fields_break_nothing(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.depth(symbol="BTCUSDT"))
            request = await exchange.peers[0].next()
            result = {"lastUpdateId": 1, "bids": [["1", "2", "new"]], "asks": [], "new": {"deep": [1]}}
            await exchange.peers[0].answer(request, result, new=1, rateLimits=[{**LIMITS[0], "count": 1, "new": None}])
        assert outcome.value.last_update_id == 1
        await exchange.peers[0].event(0, e="balanceUpdate", E=1, a="BTC", d="1", T=1, new="field")
        assert isinstance(await anext(events), bintrio.BalanceUpdate)


async def test_g10_unknown_codes_are_carried(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 422, -9999, "a new kind of no", data=[1])
    assert type(outcome.error) is Rejected
    assert (outcome.error.code, outcome.error.status, outcome.error.data) == (-9999, 422, [1])


async def test_g3_a_subscriber_that_never_reads_and_a_caller_that_never_decodes_delay_no_pong(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data(buffer=5) as events:
        for number in range(100):
            await exchange.peers[0].balance(number)
        with trio.fail_after(1):
            await exchange.peers[0].websocket.ping(b"payload")
        assert await deltas(events, 5) == [0, 1, 2, 3, 4]
        with pytest.raises(bintrio.SubscriberTooSlow):
            await anext(events)
        assert len(session._supervisor.feeds.by_key) == 1


async def test_session_end_ends_subscriptions(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange, trio.open_nursery() as nursery:
        ended = trio.Event()

        async def listen(session: bintrio.Session) -> None:
            async with session.user_data() as events:
                async for _ in events:
                    raise AssertionError
            ended.set()

        async with bintrio.open_session(URL, connect=exchange.connect, key=HMAC) as session:
            nursery.start_soon(listen, session)
            await wait_all_tasks_blocked()
        await ended.wait()


async def test_a_message_that_the_reader_cannot_take_costs_a_connection_and_not_the_session(
    autojump_clock: MockClock,
) -> None:
    async with open_pair() as (session, exchange):
        await exchange.peers[0].send('{"event":' + '{"a":' * 3000 + "1" + "}" * 3000 + "}")
        await exchange.peer(1)
        await trio.sleep(1)
        assert session.connection is not None


@pytest.mark.parametrize("stays", [True, False])
async def test_restoring_goes_on_while_somebody_listens(autojump_clock: MockClock, stays: bool) -> None:
    method = "userDataStream.subscribe.signature"
    async with open_pair(key=HMAC) as (session, exchange):
        keep, peer = exchange.script[method], exchange.peers[0]
        async with session.user_data() as events:
            exchange.script[method] = None
            await peer.event(0, e="eventStreamTerminated", E=START)
            await peer.refuse(await peer.next(), 500, -1000, "no idea")
            exchange.script[method] = keep
            if stays:
                await trio.sleep(5)
                await peer.balance(1, peer.subscriptions[-1])
                assert (await deltas(events, 3))[-1] == 1
        await trio.sleep(5)
        assert len(exchange.sent(method)) == (3 if stays else 2)


async def test_g5_a_feed_that_the_next_connection_did_not_take_stays_with_the_old_one_meanwhile(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_pair(key=ed25519_key(), drain_timeout=2, pong_window=1e6) as (session, exchange),
        session.user_data() as events,
    ):
        keep = exchange.script["userDataStream.subscribe"]
        exchange.script["userDataStream.subscribe"] = None
        exchange.script["ping"] = lambda _peer: {}
        old = exchange.peers[0]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.rotate)
            new = await exchange.peer(1)
            for _ in range(4):
                await new.refuse(await new.next(), 503, -1000, "Service unavailable.")
                await session.ping()
                await old.balance(1)
            await trio.sleep(20)
            unanswered = await new.next()
            await trio.sleep(20)
            exchange.script["userDataStream.subscribe"] = keep
        assert not old.is_over.is_set()
        await new.answer(unanswered, {"subscriptionId": 0})
        await old.balance(2)
        with trio.fail_after(60):
            await old.is_over.wait()
        await exchange.peers[-1].balance(3, exchange.peers[-1].subscriptions[-1] if len(exchange.peers) > 2 else 0)
        received = await deltas(events, 6)
        assert received[:4] == [1, 1, 1, 1]
        assert session.counters.losses == 0
        assert not [event for event in received if isinstance(event, bintrio.Gap)]
        assert received[-2:] == [2, 3]


async def test_a_feed_that_ended_does_not_take_its_successor_along(autojump_clock: MockClock) -> None:
    method = "userDataStream.subscribe.signature"
    async with open_pair(key=ed25519_key()) as (session, exchange):
        keep, peer = exchange.script[method], exchange.peers[0]
        with pytest.raises(Rejected):  # noqa: PT012  # the whole subscription is what ends
            async with session.user_data(HMAC) as ended:
                exchange.script[method] = None
                await peer.event(0, e="eventStreamTerminated", E=START)
                await peer.refuse(await peer.next(), 400, -1000, "hiccup")
                async for _ in ended:
                    pass
        exchange.script[method] = keep
        async with session.user_data(HMAC) as events:
            await session.rotate()
            await trio.sleep(1)
            await exchange.peers[1].balance(1)
            assert await deltas(events, 1) == [1]


async def test_g7_a_read_whose_answer_breaks_the_protocol_is_repeated_once(autojump_clock: MockClock) -> None:
    async with (
        open_pair(max_message_size=1000, pong_window=1e6) as (session, exchange),
        trio.open_nursery() as nursery,
    ):
        outcome = in_background(nursery, session.ping)
        for number in range(2):
            peer = await exchange.peer(number)
            await peer.answer(await peer.next(), "x" * 2000)
        await trio.sleep(5)
        assert isinstance(outcome.error, ProtocolViolation)
        assert str(outcome.error) == "ping: message over 1000 bytes"
        assert len(exchange.sent("ping")) == 2


# Reads that were sent


async def test_g1_a_read_that_was_sent_is_not_called_unsent_for_want_of_budget(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await exchange.peers[0].next()
        session._shared.ledger.hold(Refusal(429, -1003, "slow down", 10_000_000), ticks())
        await exchange.peers[0].cut()
        await trio.sleep(20)
        assert isinstance(outcome.error, OutcomeUnknown)


async def test_g1_a_read_that_was_sent_is_not_called_unsent_when_the_session_closes(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        async with open_pair() as (session, exchange):
            outcome = in_background(nursery, session.ping)
            await exchange.peers[0].next()
            exchange.refuse_with.append(OSError("no route"))
            await exchange.peers[0].cut()
            await trio.sleep(1)
        await wait_all_tasks_blocked()
        assert isinstance(outcome.error, OutcomeUnknown)
