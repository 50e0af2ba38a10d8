"""The session: how its calls end, which of them are repeated, and what it refuses."""

# What isinstance makes of an error leaves the type of its request open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.throttle import ticks
from bintrio._protocol.holds import Refusal
from bintrio.errors import (
    ConnectionFailed,
    InvalidRequest,
    NotSent,
    OutcomeUnknown,
    ProtocolViolation,
    Rejected,
)
from bintrio.requests import UserDataStreamUnsubscribe
from tests.peer import ACK, ORDER, START, URL, ed25519_key, open_exchange, open_pair
from tests.sessions import BUY, HMAC, deltas, in_background
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


# Times


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


# Opening and leaving


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


async def test_a_body_exception_comes_out_even_if_leaving_is_cancelled(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        with trio.CancelScope() as scope, pytest.raises(ZeroDivisionError):  # noqa: PT012  # the body is what is tested
            async with bintrio.open_session(URL, connect=exchange.connect) as session:
                stall(session, trio.Event())
                scope.deadline = trio.current_time() + 1
                raise ZeroDivisionError
        assert trio.current_time() == 1


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


async def test_g10_unknown_codes_are_carried(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 422, -9999, "a new kind of no", data=[1])
    assert type(outcome.error) is Rejected
    assert (outcome.error.code, outcome.error.status, outcome.error.data) == (-9999, 422, [1])


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
        session._shared.own.ledger.hold(Refusal(429, -1003, "slow down", 10_000_000), ticks())
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
