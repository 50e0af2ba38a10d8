"""Feeds as their subscribers see them: from subscribing to the end."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._protocol.signing import payload
from bintrio.errors import (
    NotSent,
    OutcomeUnknown,
    Rejected,
    SubscriptionError,
)
from tests.events import SUBSCRIBE, drain, kinds
from tests.peer import LIMITS, START, URL, Json, Peer, ed25519_key, open_exchange, open_pair
from tests.sessions import HMAC, Outcome, deltas, in_background, listen

pytestmark = pytest.mark.usefixtures("both_streams")


# What can be understood of a misshapen sign

ENDS = {
    "without E": {"subscriptionId": 0, "event": {"e": "eventStreamTerminated"}},
    "odd E": {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": "now"}},
    "new fields": {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": START, "why": [1]}},
    "id as text": {"subscriptionId": "0", "event": {"e": "eventStreamTerminated", "E": START}},
    "without id": {"event": {"e": "eventStreamTerminated", "E": START}},
    "odd id": {"subscriptionId": [0], "event": {"e": "eventStreamTerminated", "E": START}},
    "a bool for id": {"subscriptionId": True, "event": {"e": "eventStreamTerminated", "E": START}},
    "bare": {"e": "eventStreamTerminated", "E": START},
}


@pytest.mark.parametrize("message", ENDS.values(), ids=ENDS)
async def test_g10_a_misshapen_end_of_a_subscription_is_heeded(autojump_clock: MockClock, message: Json) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        await trio.sleep(60)
        peer = exchange.peers[0]
        await peer.send(json.dumps(message))
        await trio.sleep(1)
        await peer.balance(1, peer.subscriptions[-1])
        await wait_all_tasks_blocked()
        assert len(peer.subscriptions) == 2
        received = drain(events)
        assert received[0] is not None
        assert kinds(received[1:]) == ["Gap", "int"]


async def test_g10_an_end_that_does_not_say_of_what_moves_what_goes_on_to_a_fresh_connection(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange),
        session.user_data() as one,
        session.user_data(HMAC) as other,
    ):
        await trio.sleep(60)
        keep, exchange.script[SUBSCRIBE] = exchange.script[SUBSCRIBE], None
        await exchange.peers[0].event(None, e="eventStreamTerminated", E=START)
        still = await exchange.peers[0].next()
        exchange.script[SUBSCRIBE] = keep
        await exchange.peers[0].refuse(still, 400, -2035, "User Data Stream subscription already active.")
        await trio.sleep(5)
        assert len(exchange.peers) == 2
        for number, _ in enumerate(exchange.peers[1].subscriptions):
            await exchange.peers[1].balance(number, number)
        await wait_all_tasks_blocked()
        assert kinds(drain(one))[-1] == kinds(drain(other))[-1] == "int"


@pytest.mark.parametrize(
    "message",
    [
        {"event": {"e": "serverShutdown"}},
        {"event": {"e": "serverShutdown", "E": None, "x": 1}},
        {"subscriptionId": "?", "event": {"e": "serverShutdown", "E": START}},
        {"e": "serverShutdown", "E": START},
    ],
    ids=["without E", "odd E", "odd id", "bare"],
)
async def test_g10_a_misshapen_shutdown_is_heeded(autojump_clock: MockClock, message: Json) -> None:
    async with open_pair() as (session, exchange):
        await exchange.peers[0].send(json.dumps(message))
        await trio.sleep(1)
        assert len(exchange.peers) == 2
        assert session.counters.losses == 0


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


async def test_a_subscription_that_lasted_is_made_again_at_once(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        await trio.sleep(31)
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        await wait_all_tasks_blocked()
        assert trio.current_time() == 31
        assert len(exchange.sent("userDataStream.subscribe")) == 2
        assert events.waiting == 2


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


async def test_events_of_no_subscription_are_counted(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        await exchange.peers[0].balance(1)
        await exchange.peers[0].event(None, e="balanceUpdate", E=1, a="BTC", d="1", T=1)
        await exchange.peers[0].event(7, e="eventStreamTerminated", E=1)
        await exchange.peers[0].event(None, e="eventStreamTerminated", E=1)
        await wait_all_tasks_blocked()
        assert session.counters.unclaimed_events == 4


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


async def test_who_comes_after_all_have_left_subscribes_by_a_key_of_its_own(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        for secret in ("old", "new"):
            key = bintrio.HmacKey("another", secret)
            async with session.user_data(key):
                sent = exchange.sent("userDataStream.subscribe.signature")[-1]["params"]
                assert sent["signature"] == key.sign(payload(sent))
            await wait_all_tasks_blocked()


async def test_a_feed_that_ended_does_not_take_its_successor_along(autojump_clock: MockClock) -> None:
    method = "userDataStream.subscribe.signature"
    async with open_pair(key=ed25519_key()) as (session, exchange):
        keep, peer = exchange.script[method], exchange.peers[0]
        with pytest.raises(Rejected):  # noqa: PT012  # the whole subscription is what ends
            async with session.user_data(HMAC) as ended:
                exchange.script[method] = None
                await peer.event(0, e="eventStreamTerminated", E=START)
                await peer.refuse(await peer.next(), 400, -2015, "Invalid API-key")
                async for _ in ended:
                    pass
        exchange.script[method] = keep
        async with session.user_data(HMAC) as events:
            await session.rotate()
            await trio.sleep(1)
            await exchange.peers[1].balance(1)
            assert await deltas(events, 1) == [1]
