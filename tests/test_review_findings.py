"""What a hostile reader tried on the core as a whole, and what held."""

from __future__ import annotations

import random
import signal
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

import bintrio
from bintrio._wire import HandshakeRejected
from bintrio.api._values import RateLimit
from bintrio.errors import ConnectionFailed, NotSent, OutcomeUnknown, ProtocolViolation, Rejected

from .peer import ACK, LIMITS, START, URL, Exchange, Peer, ed25519_key, open_exchange, open_pair
from .test_session import BUY, HMAC, deltas, in_background, stall

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
        *gaps, event = [await anext(events) for _ in range(4)]
        assert isinstance(event, bintrio.BalanceUpdate)
        ends = [START]
        for gap in gaps:
            assert isinstance(gap, bintrio.Gap)
            assert ends[-1] <= gap.start < gap.end
            ends.append(gap.end)


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
                            weather.start_soon(session.rotate)
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


async def test_a_feed_that_is_always_said_to_be_there_already_ends_within_its_deadline(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC, request_timeout=100, pong_window=1e6) as (session, exchange):

        async def stubborn(peer: Peer, request: dict[str, Any], own: Any = exchange.answer_own) -> bool:
            if request["method"].startswith("userDataStream.subscribe"):
                await peer.refuse(request, 400, -2035, "User Data Stream subscription already active.")
                return True
            return bool(await own(peer, request))

        exchange.answer_own = stubborn  # type: ignore[method-assign]  # the script is replaced whole
        with pytest.raises(OutcomeUnknown):
            async with session.user_data():
                raise AssertionError
        assert trio.current_time() == 100
        assert len(exchange.peers) < 20


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
        with pytest.raises(ConnectionFailed) as caught:
            async with bintrio.open_session(endpoint, connect=exchange.connect):
                raise AssertionError
        assert trio.current_time() == 0
        assert len(caught.value.attempts) == 1


async def test_no_connection_at_all_allowed_is_no_reason_to_give_up(autojump_clock: MockClock) -> None:
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
            await trio.sleep(100)
            assert session.connection is None
            none[0]["limit"] = 300
            session._shared.ledger.record([msgspec.convert(none[0], RateLimit)], session.now())
            await trio.sleep(31)
            assert session.connection is not None


# What is said of calls.


async def test_g1_a_read_that_was_sent_is_not_called_unsent_for_want_of_budget(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await exchange.peers[0].next()
        session._shared.ledger.back_off(START + 10_000_000, START)
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
        session._shared.ledger.back_off(session.now() + 5000, session.now())
        await session.connection.measure_clock()
        assert trio.current_time() > 5
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


def test_ctrl_c_while_closing_comes_out_bare() -> None:
    async def main() -> None:
        async with open_exchange() as exchange:
            try:
                async with bintrio.open_session(URL, connect=exchange.connect, close_timeout=1e6) as session:
                    stall(session, trio.Event())
                    trio.lowlevel.spawn_system_task(interrupt)
            except KeyboardInterrupt:
                return
        raise AssertionError

    async def interrupt() -> None:
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    finally:
        signal.signal(signal.SIGINT, before)
