"""The subscriptions of one connection, where the exchange sees them otherwise than the session does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio.errors import OutcomeUnknown, SubscriptionError
from tests.peer import START, URL, Exchange, Json, Peer, ed25519_key, open_exchange, open_pair
from tests.sessions import HMAC, deltas, in_background, listen

pytestmark = pytest.mark.usefixtures("both_streams")

SIGNED: Final = "userDataStream.subscribe.signature"


def one_subscription_an_account(exchange: Exchange) -> None:
    """As the real one: a second subscription of one account on one connection is refused."""
    active: dict[tuple[Peer, str], int] = {}
    answer_own = exchange.answer_own

    async def strict(peer: Peer, request: dict[str, Any]) -> bool:
        method = request["method"]
        account = (peer, request.get("params", {}).get("apiKey", "key"))
        if method.startswith("userDataStream.subscribe") and account in active:
            await peer.refuse(request, 400, -2035, "User Data Stream subscription already active.")
            return True
        is_answered = await answer_own(peer, request)
        if method.startswith("userDataStream.subscribe") and is_answered:
            active[account] = peer.subscriptions[-1]
        elif method == "userDataStream.unsubscribe":
            for account in [each for each in active if each[0] is peer]:
                if active[account] == request["params"]["subscriptionId"]:
                    del active[account]
        return is_answered

    exchange.answer_own = strict  # type: ignore[method-assign]  # the script is replaced whole


@asynccontextmanager
async def open_left() -> AsyncGenerator[tuple[bintrio.Session, Peer, Json]]:
    """A session whose only subscriber has left, with the question that its connection asks for that."""
    async with open_pair(key=ed25519_key()) as (session, exchange):
        exchange.script["userDataStream.unsubscribe"] = None
        async with session.user_data():
            pass
        yield session, exchange.peers[0], await exchange.peers[0].next()


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


async def test_g5_a_refused_attempt_to_carry_a_feed_brings_nothing(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC, pong_window=1e6) as (session, exchange), session.user_data():
        exchange.script["userDataStream.subscribe.signature"] = lambda _peer: {
            "status": 400,
            "error": {"code": -1099, "msg": "Not for you."},
        }
        await session.rotate()
        await wait_all_tasks_blocked()
        (feed,) = session._supervisor.feeds.by_key.values()
        assert feed._succession.carriers == [1]
        assert feed._succession._subscribing == {}


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


async def test_a_subscription_whose_answer_cannot_be_read_may_have_been_made(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        method = "userDataStream.subscribe.signature"
        keep = exchange.script[method]
        exchange.script[method] = lambda _peer: {"subscriptionId": "none"}
        with pytest.raises(OutcomeUnknown, match=r"its answer cannot be read: .*Expected `int`"):
            async with session.user_data():
                raise AssertionError
        (peer,) = exchange.peers
        assert session.connection is not None
        exchange.script[method] = keep
        async with session.user_data() as events:
            await peer.balance(1)
            assert await deltas(events, 1) == [1]


@pytest.mark.parametrize("number", [0, None], ids=["by its number", "without one"])
async def test_g5_a_subscription_that_ended_before_its_answer_came_is_lost_and_made_again(
    autojump_clock: MockClock, number: int | None
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        one_subscription_an_account(exchange)
        keep, exchange.script["userDataStream.subscribe"] = exchange.script["userDataStream.subscribe"], None
        received: list[Any] = []
        nursery.start_soon(listen, session, received)
        peer = exchange.peers[0]
        request = await peer.next()
        exchange.script["userDataStream.subscribe"] = keep
        await peer.event(number, e="eventStreamTerminated", E=START)
        await trio.sleep(3)
        await peer.balance(1, 0)  # on its way since before that
        await peer.answer(request, {"subscriptionId": 0})
        await trio.sleep(10)
        assert len(exchange.peers) == 1
        assert len(exchange.sent("userDataStream.subscribe")) == 2
        await peer.balance(2, peer.subscriptions[-1])
        await wait_all_tasks_blocked()
        ended, gap, balance = received
        assert isinstance(ended, bintrio.EventStreamTerminated)
        assert isinstance(gap, bintrio.Gap)
        assert gap.start <= START
        assert gap.end >= START + 3_000
        assert balance.delta == 2
        nursery.cancel_scope.cancel()


async def test_g5_an_end_that_names_no_subscription_may_be_of_one_whose_answer_is_late(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_pair(key=ed25519_key()) as (session, exchange),
        session.user_data(),
        trio.open_nursery() as nursery,
    ):
        one_subscription_an_account(exchange)
        keep, exchange.script[SIGNED] = exchange.script[SIGNED], None
        received: list[Any] = []
        nursery.start_soon(listen, session.using(HMAC), received)
        peer = exchange.peers[0]
        request = await peer.next()
        exchange.script[SIGNED] = keep
        await peer.event(None, e="eventStreamTerminated", E=START)
        await exchange.answer_own(peer, request)
        await trio.sleep(5)
        # It goes on, which the next attempt tells: that is refused, and a fresh connection carries it.
        assert len(exchange.peers) == 2
        assert [type(event) for event in received] == [bintrio.EventStreamTerminated, bintrio.Gap]
        nursery.cancel_scope.cancel()


async def test_early_ends_are_kept_as_long_as_a_subscription_is_under_way(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["userDataStream.subscribe"] = exchange.script[SIGNED] = None
        nursery.start_soon(listen, session, list[Any]())
        nursery.start_soon(listen, session.using(HMAC), list[Any]())
        peer = exchange.peers[0]
        requests = [await peer.next(), await peer.next()]
        await peer.event(2, e="eventStreamTerminated", E=START)
        kept = session._supervisor.connection.carrier._ended_early  # type: ignore[union-attr]  # it is connected
        for number, request in enumerate(requests):
            await wait_all_tasks_blocked()
            assert list(kept) == [2]
            await peer.answer(request, {"subscriptionId": number})
        await wait_all_tasks_blocked()
        assert kept == {}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("at", [20.0005, 20.0015], ids=["an even millisecond", "an odd one"])
async def test_g5_a_feed_is_not_said_to_be_carried_before_it_is(autojump_clock: MockClock, at: float) -> None:
    """Times are whole milliseconds, and one that is rounded down would end a gap before the loss was over."""
    async with open_pair(key=ed25519_key()) as (session, _exchange):
        await trio.sleep(at)
        async with session.user_data():
            (feed,) = session._supervisor.feeds.by_key.values()
            assert trio.current_time() * 1000 <= feed.subscribed_at <= trio.current_time() * 1000 + 1


@pytest.mark.parametrize(("status", "code"), [(504, -1007), (400, -2036)])
async def test_an_unsubscription_that_went_wrong_leaves_no_dead_feed(
    autojump_clock: MockClock, status: int, code: int
) -> None:
    async with open_left() as (session, peer, leave):
        await peer.refuse(leave, status, code, "it went wrong")
        await trio.sleep(1)
        async with session.user_data() as events:
            assert len(peer.exchange.sent("userDataStream.subscribe")) == 2
            await peer.balance(1, 1)
            assert await deltas(events, 1) == [1]


async def test_g5_a_connection_that_ends_between_the_end_of_a_subscription_and_the_answer_leaves_no_dead_feed(
    autojump_clock: MockClock,
) -> None:
    async with open_left() as (session, peer, _leave):
        await peer.event(e="eventStreamTerminated", E=START)
        await trio.sleep(1)
        await peer.cut()
        async with session.user_data() as events:
            await peer.exchange.peers[1].balance(1)
            assert await deltas(events, 1) == [1]


async def test_g5_an_end_that_comes_while_a_hold_keeps_the_session_from_unsubscribing_leaves_no_dead_feed(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        async with session.user_data():
            in_background(nursery, session.ping)
            retry = {"retryAfter": START + 30_000}
            await peer.refuse(await peer.next(), 429, -1003, "Too many requests.", data=retry)
            await wait_all_tasks_blocked()
        await peer.event(e="eventStreamTerminated", E=START)
        await trio.sleep(40)
        assert exchange.sent("userDataStream.unsubscribe") == []
        async with session.user_data() as events:
            await peer.balance(1, 1)
            assert await deltas(events, 1) == [1]


async def test_g5_a_hold_that_begins_while_unsubscribing_has_no_answer_keeps_back_no_event(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.unsubscribe"] = None
        await session.rotate()
        old, new = exchange.peers
        await old.next()
        async with trio.open_nursery() as nursery:
            in_background(nursery, session.ping)
            retry = {"retryAfter": START + 300_000}
            await new.refuse(await new.next(), 429, -1003, "Too many requests.", data=retry)
        await new.balance(1, new.subscriptions[-1])
        with trio.fail_after(20):
            assert isinstance(await anext(events), bintrio.Gap)
            assert await deltas(events, 1) == [1]


async def test_g5_one_that_was_to_leave_before_anybody_came_is_asked_until_it_has(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["userDataStream.unsubscribe"] = None
        async with session.user_data():
            pass
        old = exchange.peers[0]
        asked = await old.next()
        await session.rotate()
        new = exchange.peers[1]
        received: list[Any] = []
        nursery.start_soon(listen, session, received)
        await trio.sleep(1)
        # The exchange refuses the question for now, and goes on bringing events to nobody.
        await old.refuse(asked, 429, -1003, "Too many requests.", data={"retryAfter": START + 30_000})
        await old.balance(9, 0)
        await new.balance(1, new.subscriptions[-1])
        await trio.sleep(1)
        assert [int(update.delta) for update in received] == [1]
        again = await old.next()
        assert again["method"] == "userDataStream.unsubscribe"
        await old.answer(again)
        await trio.sleep(1)
        assert old.is_over.is_set()
        nursery.cancel_scope.cancel()


async def test_a_newcomer_while_the_feed_is_given_up_hears_of_no_gap(autojump_clock: MockClock) -> None:
    async with open_left() as (session, peer, leaving), trio.open_nursery() as nursery:

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


async def subscribe_while_it_rotates(
    session: bintrio.Session, exchange: Exchange, nursery: trio.Nursery
) -> tuple[list[Any], Peer, Json, Peer]:
    """What a subscriber receives; the old connection, and what it was asked, unanswered; the new connection."""
    exchange.script["userDataStream.subscribe"] = None
    received: list[Any] = []
    nursery.start_soon(listen, session, received)
    old = exchange.peers[0]
    on_old = await old.next()
    nursery.start_soon(session.rotate)
    return received, old, on_old, await exchange.peer(1)


async def test_g5_two_connections_that_subscribe_at_the_same_time_bring_each_event_once(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        received, old, on_old, new = await subscribe_while_it_rotates(session, exchange, nursery)
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
        received, old, on_old, new = await subscribe_while_it_rotates(session, exchange, nursery)
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
        assert not events.waiting


# Cancelled at any checkpoint


async def give_up_after(ticks: int, step: Callable[[], Awaitable[None]]) -> bool:
    """Cancel something after that many turns of the scheduler. Whether it was done before."""
    is_done = False

    async def run() -> None:
        nonlocal is_done
        await step()
        is_done = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    await trio.sleep(40)  # long enough for whatever is tried again
    return is_done


@pytest.mark.untraced
@pytest.mark.parametrize("what", ["subscribe", "rotate and subscribe"])
async def test_g5_g6_whoever_is_cancelled_at_any_tick_leaves_a_session_that_works(
    autojump_clock: MockClock, what: str
) -> None:
    """Each event comes once to the one who stays, and whoever was cancelled can come back."""
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as stays:
        one_subscription_an_account(exchange)

        async def subscribe() -> None:
            async with session.user_data(HMAC) as events:
                assert not events.waiting

        async def rotate() -> None:
            await session.rotate()
            await subscribe()

        step = subscribe if what == "subscribe" else rotate
        is_done = [await give_up_after(ticks, step) for ticks in range(0, 150, 2)]
        assert not is_done[0]
        assert is_done[-1]
        async with session.user_data(HMAC) as comes_back:
            peer = exchange.peers[-1]
            for subscription in peer.subscriptions:
                await peer.balance(subscription, subscription)
            await wait_all_tasks_blocked()
            assert stays.waiting == comes_back.waiting == 1
        await trio.sleep(60)
        assert len(session._supervisor._connections) == 1
        assert len(session._supervisor.feeds.by_key) == 1


@pytest.mark.untraced
async def test_g6_a_session_whose_opening_or_closing_is_cancelled_at_any_tick_leaves_nothing(
    autojump_clock: MockClock,
) -> None:
    key = ed25519_key()
    async with open_exchange() as exchange:

        async def live() -> None:
            async with bintrio.open_session(URL, connect=exchange.connect, key=key) as session, session.user_data():
                await session.rotate()

        is_done = [await give_up_after(ticks, live) for ticks in range(0, 200, 2)]
        assert not is_done[0]
        assert is_done[-1]
        assert all(peer.is_over.is_set() for peer in exchange.peers)
