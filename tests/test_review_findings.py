"""What a hostile reader tried on the core as a whole, and what held."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

import bintrio
from bintrio._client.connection import Connection
from bintrio._client.in_flight import Call
from bintrio._client.throttle import ticks
from bintrio._protocol.holds import Refusal
from bintrio.endpoints import Address
from bintrio.errors import (
    Banned,
    HandshakeRejected,
    NotSent,
    OutcomeUnknown,
    ProtocolViolation,
    Rejected,
    SubscriptionError,
)

from .peer import ACK, LIMITS, START, URL, Exchange, Peer, ed25519_key, open_exchange, open_pair
from .streams import stall
from .test_session import BUY, HMAC, Outcome, deltas, in_background

pytestmark = pytest.mark.usefixtures("both_streams")

TIMEOUT = 1.0


async def test_a_ping_a_close_frame_and_more_in_one_read(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        nursery.start_soon(session.ping)
        peer = exchange.peers[0]
        await peer.next()
        await peer.stream.send_all(b"\x89\x02hi" + b"\x88\x02\x03\xe8" + b"\x89\x00")
        second = await exchange.peer(1)
        await second.answer(await second.next())


async def test_three_losses_in_a_row_leave_a_gap_each(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        for number in range(3):
            peer = await exchange.peer(number)
            await trio.sleep(1)
            await peer.cut()
        last = await exchange.peer(3)
        await trio.sleep(1)
        await last.balance(1)
        told: list[Any] = []
        while not told or not isinstance(told[-1], bintrio.BalanceUpdate):
            told.append(await anext(events))
        gaps = [event for event in told if isinstance(event, bintrio.Gap)]
        assert len(gaps) == 3
        for number, gap in enumerate(gaps):
            assert gap.start < START + 1_000 * (number + 1) <= gap.end


@pytest.mark.plain_streams("some hundred thousand pings, and hardly a call")
async def test_forty_days_leave_nothing_behind(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data():
        await trio.sleep(40 * 86_400)
        supervisor = session._supervisor
        assert len(exchange.peers) > 40
        assert len(supervisor._connections) == 1
        assert len(supervisor._chores.child_tasks) == 1
        assert session.counters.losses == 0


class Gamble:
    """An exchange that answers orders late, twice, with a refusal, with a 504, or by hanging up."""

    def __init__(self, exchange: Exchange, chance: random.Random) -> None:
        self.seen: list[str] = []
        self._chance = chance
        self._exchange = exchange
        self._answer_own = exchange.answer_own
        exchange.answer_own = self.answer_own  # type: ignore[method-assign]  # the script is replaced whole

    async def answer_own(self, peer: Peer, request: dict[str, Any]) -> bool:
        if request["method"] != "order.place":
            return await self._answer_own(peer, request)
        self.seen.append(request["params"]["newClientOrderId"])
        self._exchange._nursery.start_soon(self._answer, peer, request)
        return True

    async def _answer(self, peer: Peer, request: dict[str, Any]) -> None:
        await trio.sleep(self._chance.choice([0, 0.25, 0.5, TIMEOUT, TIMEOUT, 1.25, 5]))
        name, luck = request["params"]["newClientOrderId"], self._chance.random()
        with suppress(ConnectionClosed):
            if luck < 0.05:
                await peer.cut()
            elif luck < 0.1:
                await peer.refuse(request, 504, -1007, "who knows")
            elif luck < 0.2:
                await peer.refuse(request, 400, -2010, name)
            else:
                for _ in range(2 if luck > 0.9 else 1):
                    await peer.answer(request, ACK | {"clientOrderId": name})


async def place(session: bintrio.Session, name: str, patience: float) -> str:
    """Place an order; how it ended."""
    begun = trio.current_time()
    ended = "cancelled"
    with trio.move_on_after(patience):
        try:
            order = await session.order_place(
                symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1, new_client_order_id=name
            )
            assert order.client_order_id == name
            ended = "answered"
        except Rejected as error:
            ended = "answered" if error.message == name else "another's answer"
        except NotSent:
            ended = "not sent"
        except OutcomeUnknown:
            ended = "unknown"
    assert trio.current_time() <= begun + TIMEOUT
    return ended


async def rotate(session: bintrio.Session) -> None:
    with suppress(NotSent):  # the deadline is short here
        await session.rotate()


@pytest.mark.parametrize("seed", range(10))
async def test_g1_g2_g7_orders_in_any_weather(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Answers, deadlines, cancellations, losses and rotations fall on the same instants, in every order."""
    chance = random.Random(seed)
    monkeypatch.setattr(random, "random", chance.random)
    ends: dict[str, str] = {}
    async with open_exchange() as exchange:
        gamble = Gamble(exchange, chance)
        async with bintrio.open_session(
            URL, connect=exchange.connect, key=HMAC, pong_window=1e6, request_timeout=TIMEOUT, drain_timeout=2
        ) as session:

            async def order(name: str) -> None:
                ends[name] = await place(session, name, chance.choice([0, 0.25, 0.5, TIMEOUT, 10, 10]))

            async with trio.open_nursery() as weather, trio.open_nursery() as orders:
                for number in range(100):
                    orders.start_soon(order, f"order-{number}")
                    await trio.sleep(chance.choice([0, 0, 0.05, 0.25]))
                    match chance.randrange(12):
                        case 0:
                            weather.start_soon(rotate, session)
                        case 1:
                            await exchange.peers[-1].cut()
                        case _:
                            pass
            await trio.sleep(61)  # what is not settled for a minute settles itself
            assert len(ends) == 100
            assert len(gamble.seen) == len(set(gamble.seen))
            for name, ended in ends.items():
                assert ended in {"unknown", "cancelled"} or (name in gamble.seen) is (ended == "answered")
            assert not [one for one in session._shared.channels if one[1].statistics().current_buffer_used]


# Subscriptions that the exchange sees otherwise than we do.


def one_subscription_an_account(exchange: Exchange) -> None:
    """As the real one: a second subscription of one account on one connection is refused."""
    active: set[tuple[Peer, str]] = set()
    answer_own = exchange.answer_own

    async def strict(peer: Peer, request: dict[str, Any]) -> bool:
        method = request["method"]
        account = (peer, request.get("params", {}).get("apiKey", "key"))
        if method.startswith("userDataStream.subscribe") and account in active:
            await peer.refuse(request, 400, -2035, "User Data Stream subscription already active.")
            return True
        is_answered = await answer_own(peer, request)
        if method.startswith("userDataStream.subscribe") and is_answered:
            active.add(account)
        return is_answered

    exchange.answer_own = strict  # type: ignore[method-assign]  # the script is replaced whole


async def test_whoever_was_cancelled_while_subscribing_can_come_back(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        one_subscription_an_account(exchange)
        keep, exchange.script["userDataStream.subscribe"] = exchange.script["userDataStream.subscribe"], None
        with trio.move_on_after(1):
            async with session.user_data():
                raise AssertionError
        exchange.script["userDataStream.subscribe"] = keep
        request = await exchange.peers[0].next()
        assert await exchange.answer_own(exchange.peers[0], request)
        async with session.user_data() as events:
            await exchange.peers[1].balance(1)
            assert await deltas(events, 1) == [1]
        assert session.counters.connections == 2


async def test_a_subscription_whose_end_is_unknown_can_be_made_again(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        one_subscription_an_account(exchange)
        method = "userDataStream.subscribe.signature"
        keep, exchange.script[method] = exchange.script[method], None

        async def subscribe() -> None:
            async with session.user_data():
                raise AssertionError

        outcome = in_background(nursery, subscribe)
        peer = exchange.peers[0]
        request = await peer.next()
        await peer.refuse(request, 504, -1007, "Timeout waiting for response from backend server.")
        exchange.script[method] = keep
        await exchange.answer_own(peer, request)
        await trio.sleep(1)
        assert isinstance(outcome.error, OutcomeUnknown)
        async with session.user_data() as events:
            await exchange.peers[1].balance(1)
            assert await deltas(events, 1) == [1]


@pytest.mark.parametrize(("status", "code"), [(504, -1007), (400, -2036)])
async def test_an_unsubscription_that_went_wrong_leaves_no_dead_feed(
    autojump_clock: MockClock, status: int, code: int
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        exchange.script["userDataStream.unsubscribe"] = None
        async with session.user_data():
            pass
        peer = exchange.peers[0]
        await peer.refuse(await peer.next(), status, code, "it went wrong")
        await trio.sleep(1)
        async with session.user_data() as events:
            assert len(exchange.sent("userDataStream.subscribe")) == 2
            await peer.balance(1, 1)
            assert await deltas(events, 1) == [1]


async def test_a_newcomer_while_the_feed_is_given_up_hears_of_no_gap(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["userDataStream.unsubscribe"] = None
        async with session.user_data():
            pass
        peer = exchange.peers[0]
        leaving = await peer.next()

        async def listen() -> list[Any]:
            async with session.user_data() as events:
                return await deltas(events, 1)

        outcome = in_background(nursery, listen)
        await wait_all_tasks_blocked()
        await peer.answer(leaving)
        await trio.sleep(1)
        await peer.balance(1, 1)
        await trio.sleep(1)
        await peer.answer(await peer.next())
        assert outcome.value == [1]


# Servers that say the same again and again.


async def test_shutdowns_one_after_the_other_are_answered_with_patience(autojump_clock: MockClock) -> None:
    async with open_pair(pong_window=1e6) as (session, exchange):

        async def shutting_down(peer: Peer, request: dict[str, Any], own: Any = exchange.answer_own) -> bool:
            is_answered = await own(peer, request)
            await peer.event(None, e="serverShutdown", E=START)
            return bool(is_answered)

        exchange.answer_own = shutting_down  # type: ignore[method-assign]  # the script is replaced whole
        await exchange.peers[0].event(None, e="serverShutdown", E=START)
        await trio.sleep(300)
        assert 5 < len(exchange.peers) < 25
        assert session.connection is not None


async def test_subscriptions_that_end_at_once_are_made_again_with_patience(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data():

        async def terminating(peer: Peer, request: dict[str, Any], own: Any = exchange.answer_own) -> bool:
            is_answered = await own(peer, request)
            if request["method"] == "userDataStream.subscribe":
                await peer.event(peer.subscriptions[-1], e="eventStreamTerminated", E=START)
            return bool(is_answered)

        exchange.answer_own = terminating  # type: ignore[method-assign]  # the script is replaced whole
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        await trio.sleep(300)
        assert 5 < len(exchange.sent("userDataStream.subscribe")) < 25


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


async def test_a_ban_at_the_first_opening_is_told_at_once(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.refuse_with.append(HandshakeRejected(418, [("retry-after", "259200")], b""))
        endpoint = bintrio.Endpoint(name="two", urls=("wss://a.test/ws-api/v3", "wss://b.test/ws-api/v3"))
        with pytest.raises(Banned) as caught:
            async with bintrio.open_session(endpoint, connect=exchange.connect):
                raise AssertionError
        assert trio.current_time() == 0
        assert len(exchange.addresses) == 1
        assert caught.value.retry_at is not None


async def test_g1_a_limit_of_no_connection_at_all_cannot_be_right(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        none = [{**LIMITS[2], "limit": 0}]
        exchange.script["exchangeInfo"] = lambda _peer: {
            "timezone": "UTC",
            "serverTime": START,
            "rateLimits": none,
            "exchangeFilters": [],
            "symbols": [],
        }
        async with bintrio.open_session(URL, connect=exchange.connect, pong_window=1e6) as session:
            await exchange.peers[0].cut()
            await trio.sleep(1)
            assert session.connection is not None


# What is said of calls.


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


async def test_g8_a_429_while_a_connection_retires_costs_its_orders_nothing(autojump_clock: MockClock) -> None:
    async with (
        open_pair(key=ed25519_key(), drain_timeout=100, request_timeout=100, pong_window=1e6) as (session, exchange),
        session.user_data(),
        trio.open_nursery() as nursery,
    ):
        exchange.script["userDataStream.unsubscribe"] = None
        old = exchange.peers[0]
        order = in_background(nursery, lambda: session.send(BUY))
        placed = await old.next()
        book = in_background(nursery, lambda: session.depth(symbol="A"))
        asked = await old.next()
        is_free = trio.Event()
        stall(session, is_free)
        connection = session.connection
        assert connection is not None
        nursery.start_soon(lambda: session.depth(symbol="B"))  # keeps the writer busy
        await wait_all_tasks_blocked()
        await session.rotate()
        await wait_all_tasks_blocked()
        await old.refuse(asked, 429, -1003, "too many", data={"retryAfter": START + 5000})
        await trio.sleep(1)
        assert isinstance(book.error, Rejected)
        assert connection.cause is None
        await old.answer(placed, ACK)
        await trio.sleep(1)
        assert order.value is not None
        nursery.cancel_scope.cancel()


async def test_waiting_for_the_budget_is_not_taken_for_time_on_the_way(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, _exchange):
        assert session.connection is not None
        session._shared.ledger.hold(Refusal(429, -1003, "slow down", 5000), ticks())
        await session.connection.own.measure_clock()
        assert trio.current_time() == 5
        assert session.round_trip == 0


async def test_a_connection_lost_while_its_successor_opens_counts_as_lost(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].event(None, e="serverShutdown", E=START)
        await trio.sleep(1)
        await exchange.peers[0].cut()
        await trio.sleep(10)
        exchange.refuse_with.clear()
        await exchange.peer(1)
        assert session.counters.losses == 1


async def interrupt_when_idle() -> None:
    await wait_all_tasks_blocked()
    signal.raise_signal(signal.SIGINT)


def run_with_ctrl_c(main: Callable[[], Awaitable[None]]) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        trio.run(main, clock=MockClock(autojump_threshold=0.01))
    finally:
        signal.signal(signal.SIGINT, before)


async def close_slowly(exchange: Exchange) -> None:
    async with bintrio.open_session(URL, connect=exchange.connect, close_timeout=1e6) as session:
        stall(session, trio.Event())
        trio.lowlevel.spawn_system_task(interrupt_when_idle)


def test_ctrl_c_while_closing_comes_out_bare() -> None:
    async def main() -> None:
        async with open_exchange() as exchange:
            with pytest.raises(KeyboardInterrupt):
                await close_slowly(exchange)

    run_with_ctrl_c(main)


# Orders that are queued when their connection goes.


def hold_writes(session: bintrio.Session) -> trio.Event:
    is_free = trio.Event()
    stall(session, is_free)
    return is_free


async def queue_an_order(session: bintrio.Session, nursery: trio.Nursery) -> Outcome:
    """Behind a call that keeps the writer busy."""
    in_background(nursery, session.ping)
    await wait_all_tasks_blocked()
    outcome = in_background(nursery, lambda: session.send(BUY))
    await wait_all_tasks_blocked()
    return outcome


async def answer_the_order(peer: Peer) -> None:
    while (request := await peer.next())["method"] != "order.place":
        await peer.answer(request)
    await peer.answer(request, ACK)
    await trio.sleep(1)


@pytest.mark.parametrize("how", ["verdict", "silence", "drain timeout"])
async def test_g7_an_order_that_is_sent_again_does_not_leave_with_the_connection_that_goes(
    autojump_clock: MockClock, how: str
) -> None:
    async with (
        open_pair(key=HMAC, request_timeout=300, drain_timeout=5) as (session, exchange),
        trio.open_nursery() as nursery,
    ):
        is_free = hold_writes(session)
        outcome = await queue_an_order(session, nursery)
        if how == "verdict":
            refusal = {"code": -1000, "msg": "an unknown error"}
            await exchange.peers[0].send(json.dumps({"id": None, "status": 400, "error": refusal}))
        elif how == "silence":
            await trio.sleep(60.5)
        else:
            await session.rotate()
            await trio.sleep(5.5)
        await wait_all_tasks_blocked()
        is_free.set()
        await answer_the_order(await exchange.peer(1))
        assert outcome.value is not None
        assert len(exchange.sent("order.place")) == 1
        nursery.cancel_scope.cancel()


async def test_g1_an_order_called_unsent_when_the_session_closes_does_not_leave(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange, trio.open_nursery() as nursery:
        async with bintrio.open_session(URL, connect=exchange.connect, key=HMAC) as session:
            is_free = hold_writes(session)
            outcome = await queue_an_order(session, nursery)
            nursery.start_soon(set_later, is_free)
        await trio.sleep(1)
        assert isinstance(outcome.error, NotSent)
        assert not exchange.sent("order.place")


async def set_later(event: trio.Event) -> None:
    await trio.sleep(0.5)
    event.set()


def test_g6_ctrl_c_takes_a_queued_order_back() -> None:
    async def main() -> None:
        async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
            is_free = hold_writes(session)
            in_background(nursery, session.ping)
            await wait_all_tasks_blocked()
            trio.lowlevel.spawn_system_task(interrupt_when_idle)
            with pytest.raises(KeyboardInterrupt):
                await session.send(BUY)
            assert session.connection is not None
            assert session.connection.in_flight == 1
            is_free.set()
            await trio.sleep(1)
            assert not exchange.sent("order.place")
            nursery.cancel_scope.cancel()

    run_with_ctrl_c(main)


async def test_g7_an_order_does_not_leave_after_its_deadline(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the budget within its deadline; the program is busy meanwhile, and comes back late."""
    async with open_exchange() as exchange:
        exchange.script["exchangeInfo"] = lambda _peer: {
            "timezone": "UTC",
            "serverTime": START,
            "rateLimits": [LIMITS[0], {**LIMITS[1], "limit": 1}],
            "exchangeFilters": [],
            "symbols": [],
        }
        async with (
            bintrio.open_session(URL, connect=exchange.connect, key=HMAC) as session,
            trio.open_nursery() as nursery,
        ):
            first, second = (in_background(nursery, lambda: session.send(BUY)) for _ in range(2))
            await answer_the_order(exchange.peers[0])
            sent = record_calls(monkeypatch)
            autojump_clock.jump(40)
            await trio.sleep(1)
            assert not sent, "it was not even queued, to be withdrawn if the writer was slow enough"
            assert len(exchange.sent("order.place")) == 1
            assert {type(first.error), type(second.error)} == {type(None), NotSent}


def record_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of calls that a connection is given from now on."""
    sent: list[str] = []
    call = Connection.call

    async def record(connection: Connection, each: Call, *args: Any) -> Any:
        sent.append(each.api.name)
        return await call(connection, each, *args)

    monkeypatch.setattr(Connection, "call", record)
    return sent


# Answers that come late.


async def test_g2_an_id_whose_answer_may_come_yet_is_not_given_away(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        outcome = in_background(nursery, lambda: session.send(BUY, id=77))
        request = await peer.next()
        await trio.sleep(16)
        assert isinstance(outcome.error, OutcomeUnknown)
        again = in_background(nursery, lambda: session.send(BUY, id=77))
        second = await peer.next()
        assert second["id"] != 77
        await peer.answer(request, ACK)
        await wait_all_tasks_blocked()
        assert session.counters.dropped_replies == 1
        await peer.answer(second, {**ACK, "orderId": 8})
        await wait_all_tasks_blocked()
        assert again.value.order_id == 8


async def test_g2_the_sessions_own_numbers_keep_clear_of_late_answers(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        last = exchange.log[-1]["id"]
        with trio.move_on_after(1):
            await session.send(BUY, id=last + 1)
        late = await peer.next()
        in_background(nursery, session.ping)
        request = await peer.next()
        assert request["id"] == last + 2
        await peer.answer(late, ACK)
        await peer.answer(request)


# Feeds.


async def listen(session: bintrio.Session, received: list[Any]) -> None:
    async with session.user_data() as events:
        async for event in events:
            received.append(event)


async def test_g5_two_connections_that_subscribe_at_the_same_time_bring_each_event_once(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["userDataStream.subscribe"] = None
        received: list[Any] = []
        nursery.start_soon(listen, session, received)
        old = exchange.peers[0]
        on_old = await old.next()
        nursery.start_soon(session.rotate)
        new = await exchange.peer(1)
        on_new = await new.next()
        exchange.script["userDataStream.unsubscribe"] = None
        for peer, request in ((old, on_old), (new, on_new)):
            await peer.answer(request, {"subscriptionId": 0})
            await wait_all_tasks_blocked()
        await old.balance(1)
        await new.balance(1)
        await trio.sleep(1)
        assert len(received) == 1
        nursery.cancel_scope.cancel()


async def test_g5_a_subscription_that_comes_while_its_connection_retires_leaves_no_gap(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["userDataStream.subscribe"] = None
        received: list[Any] = []
        nursery.start_soon(listen, session, received)
        old = exchange.peers[0]
        on_old = await old.next()
        nursery.start_soon(session.rotate)
        new = await exchange.peer(1)
        await new.answer(await new.next(), {"subscriptionId": 0})
        await wait_all_tasks_blocked()
        await old.answer(on_old, {"subscriptionId": 0})
        await trio.sleep(1)
        await new.balance(1)
        await trio.sleep(1)
        assert [type(event) for event in received] == [bintrio.BalanceUpdate]
        nursery.cancel_scope.cancel()


async def test_a_feed_that_is_always_refused_as_there_already_raises_and_costs_no_connection(
    autojump_clock: MockClock,
) -> None:
    """A second key of the same account, say."""
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:

        async def answer_own(peer: Peer, request: dict[str, Any], own: Any = exchange.answer_own) -> bool:
            if request["method"] != "userDataStream.subscribe.signature":
                return bool(await own(peer, request))
            await peer.refuse(request, 400, -2035, "User Data Stream subscription already active.")
            return True

        exchange.answer_own = answer_own  # type: ignore[method-assign]  # the script is replaced whole
        with pytest.raises(SubscriptionError):
            async with session.user_data(HMAC):
                raise AssertionError
        await trio.sleep(600)
        assert session.counters.connections == 1
        assert not len(events)


# Streams of others.


class Odd(Exception):
    """What a proxy's library may raise."""


class Foreign(trio.abc.Stream):
    """Anybody's stream, which raises what it is told to."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.failing: set[str] = set()

    def _fail(self, what: str) -> None:
        if what in self.failing:
            raise Odd(what)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._fail("send")
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self.inner.receive_some(max_bytes)
        self._fail("receive")
        return data

    async def aclose(self) -> None:
        await self.inner.aclose()
        self._fail("close")


@pytest.mark.parametrize("what", ["send", "receive"])
async def test_an_odd_error_of_a_foreign_stream_costs_a_connection_and_not_the_session(
    autojump_clock: MockClock, what: str
) -> None:
    async with open_exchange() as exchange:
        streams: list[Foreign] = []

        async def connect(address: Address) -> trio.abc.Stream:
            streams.append(Foreign(await exchange.connect(address)))
            return streams[-1]

        async with bintrio.open_session(URL, connect=connect) as session, trio.open_nursery() as nursery:
            streams[0].failing = {what, "close"}
            outcome = in_background(nursery, session.ping)
            if what == "receive":
                await exchange.peers[0].next()
                await exchange.peers[0].send("{}")
            second = await exchange.peer(1)
            await second.answer(await second.next())
            await wait_all_tasks_blocked()
            assert outcome.value is not None


@pytest.mark.parametrize("how", ["verdict", "rotation"])
async def test_whoever_waits_for_room_looks_elsewhere_when_the_connection_is_replaced(
    autojump_clock: MockClock, how: str
) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        stall(session, trio.Event())
        for _ in range(3):
            in_background(nursery, lambda: session.request("x", {"a": "b" * 600_000}))
            await wait_all_tasks_blocked()
        outcome = in_background(nursery, session.ping)
        await wait_all_tasks_blocked()
        if how == "rotation":
            await session.rotate()
        else:
            refusal = {"code": -1000, "msg": "an unknown error"}
            await exchange.peers[0].send(json.dumps({"id": None, "status": 400, "error": refusal}))
        second = await exchange.peer(1)
        while (request := await second.next())["method"] != "ping":
            pass
        await second.answer(request)
        await wait_all_tasks_blocked()
        assert outcome.at < 3
        nursery.cancel_scope.cancel()


async def test_a_half_done_status_of_a_method_without_halves_is_a_refusal(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 409, -2021, "x")
        await wait_all_tasks_blocked()
        assert isinstance(outcome.error, Rejected)


async def test_a_subscription_that_lasted_is_made_again_at_once(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        await trio.sleep(31)
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        await wait_all_tasks_blocked()
        assert trio.current_time() == 31
        assert len(exchange.sent("userDataStream.subscribe")) == 2
        assert len(events) == 2


async def test_a_subscription_goes_to_the_next_connection_when_its_own_is_lost(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        keep, exchange.script["userDataStream.subscribe"] = exchange.script["userDataStream.subscribe"], None
        received: list[Any] = []
        nursery.start_soon(listen, session, received)
        await exchange.peers[0].next()
        exchange.script["userDataStream.subscribe"] = keep
        await exchange.peers[0].cut()
        await trio.sleep(1)
        await exchange.peers[1].balance(1)
        await trio.sleep(1)
        assert [type(event) for event in received][-1] is bintrio.BalanceUpdate
        nursery.cancel_scope.cancel()


def _trip(_message: bytes) -> None:
    raise ZeroDivisionError


async def test_g11_whatever_the_reader_trips_over_costs_one_connection(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        connection = session.connection
        assert connection is not None
        monkeypatch.setattr(connection, "_take", _trip)
        await exchange.peers[0].send("{}")
        outcome = in_background(nursery, session.ping)
        second = await exchange.peer(1)
        await second.answer(await second.next())
        await wait_all_tasks_blocked()
        assert isinstance(connection.cause, ZeroDivisionError)
        assert outcome.value is not None
