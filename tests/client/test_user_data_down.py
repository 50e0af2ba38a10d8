"""The user data service slow, mute or down: calls go on, and what became of a subscription is told as it is."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.feeds import FEED_PATIENCE
from bintrio.errors import BintrioError, NotSent, OutcomeUnknown
from bintrio.requests import OrderCancel, OrderPlace
from tests.peer import ACK, ORDER, START, URL, Exchange, Json, Peer, ed25519_key, open_exchange, open_pair
from tests.sessions import HMAC

pytestmark = pytest.mark.usefixtures("both_streams")

SUBSCRIBE: Final = "userDataStream.subscribe"
SIGNED: Final = "userDataStream.subscribe.signature"
BUY = OrderPlace(symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=1, quantity=1)
CANCEL = OrderCancel(symbol="BTCUSDT", order_id=7)
CANCELED: Final[Json] = {
    **{name: value for name, value in ORDER.items() if name not in {"time", "updateTime", "isWorking", "workingTime"}},
    "origClientOrderId": "mine",
    "transactTime": START,
    "status": "CANCELED",
}


def slow_subscriptions(exchange: Exchange, seconds: float) -> None:
    """Each answer to subscribing takes that long; nothing else does."""
    answer_own = exchange.answer_own

    async def answer(peer: Peer, request: Json) -> bool:
        if not request["method"].startswith(SUBSCRIBE):
            return await answer_own(peer, request)

        async def later() -> None:
            await trio.sleep(seconds)
            with suppress(Exception):  # the connection may be gone
                await answer_own(peer, request)

        exchange._nursery.start_soon(later)
        return True

    exchange.answer_own = answer  # type: ignore[method-assign]


def numbers(events: bintrio.Subscriber) -> list[Any]:
    """What waits to be read: balance updates by their numbers, else by class."""
    received: list[Any] = []
    while events.waiting:
        event = events._events.receive_nowait()
        received.append(int(event.delta) if isinstance(event, bintrio.BalanceUpdate) else type(event).__name__)
    return received


@pytest.mark.parametrize("seconds", [0.2, 0.9, 1.1, 5.0, 14.0, 40.0])
@pytest.mark.parametrize("how", ["a loss", "a rotation", "a shutdown"])
async def test_g1_g5_subscriptions_that_are_slow_hold_back_no_call_for_longer_than_a_bounded_time(
    autojump_clock: MockClock, seconds: float, how: str
) -> None:
    """Two accounts, each as slow; the old connection brings their events meanwhile, where there is one."""
    async with (
        open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange),
        session.user_data() as one,
        session.user_data(HMAC) as other,
        trio.open_nursery() as nursery,
    ):
        exchange.script["order.place"] = lambda _peer: ACK
        exchange.script["order.cancel"] = lambda _peer: CANCELED
        await trio.sleep(60)
        slow_subscriptions(exchange, seconds)
        old, begun = exchange.peers[0], trio.current_time()
        if how == "a loss":
            await old.cut()
        elif how == "a rotation":
            nursery.start_soon(session.rotate)
        else:
            await old.event(None, e="serverShutdown", E=START)
        for request in (BUY, CANCEL):
            await session.send(request)
        assert trio.current_time() - begun <= FEED_PATIENCE + 0.1
        await trio.sleep(0.1 + FEED_PATIENCE)
        assert session.connection is not None
        assert session.connection.number == 2
        for number in range(10):
            await session.send(BUY)
            for peer in exchange.peers:
                if not peer.is_over.is_set():
                    for subscription in peer.subscriptions:
                        await peer.balance(number, subscription)
            await trio.sleep(2)
        await wait_all_tasks_blocked()
        for received in (numbers(one), numbers(other)):
            if how == "a loss":
                seen = [each for each in received if isinstance(each, int)]
                assert seen == list(range(10))[10 - len(seen) :]
                assert received.count("Gap") == (seconds < 15)
                assert received.count("Interrupted") == (seconds > 3)
            else:
                assert received == list(range(10))
        nursery.cancel_scope.cancel()


# Whether a subscription was sent


FATES: Final[dict[str, list[Any]]] = {
    "no answer": [],
    "lost, and no way back": ["refuse connections", "cut"],
    "it does not know": [{"status": 504, "error": {"code": -1007, "msg": "Timeout waiting for response."}}],
    "it is down": [{"status": 503, "error": {"code": -1000, "msg": "Down."}}],
    "no JSON": ["junk"],
    "no result": [{"status": 200}],
    "a result of another form": [{"status": 200, "result": []}],
    "an id of another form": [{"status": 200, "result": {"subscriptionId": "x"}}],
    "a status between": [{"status": 302}],
    "a refusal of no form": [{"status": 400, "error": {"code": "-1"}}],
}


@pytest.mark.parametrize("fate", FATES.values(), ids=FATES)
@pytest.mark.parametrize("method", [SUBSCRIBE, SIGNED])
async def test_g1_whether_a_subscription_was_received_or_not_is_never_told_wrongly(
    autojump_clock: MockClock, method: str, fate: list[Any]
) -> None:
    key: Any = ed25519_key() if method == SUBSCRIBE else HMAC
    async with open_pair(key=key, request_timeout=5, pong_window=1e6) as (session, exchange):
        exchange.script[method] = None
        peer = exchange.peers[0]

        async def serve() -> None:
            asked = await peer.next()
            for step in fate:
                if step == "refuse connections":
                    exchange.refuse_with.append(OSError("no route"))
                elif step == "cut":
                    await peer.cut()
                elif step == "junk":
                    await peer.send("{")
                else:
                    await peer.send(json.dumps({"id": asked["id"], **step}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            with pytest.raises(OutcomeUnknown):
                async with session.user_data():
                    raise AssertionError
        assert trio.current_time() <= 5.1
        assert len(exchange.sent(method)) == 1


async def test_g1_a_subscription_that_found_no_connection_was_not_sent(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), request_timeout=5) as (session, exchange):
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        with pytest.raises(NotSent):
            async with session.user_data():
                raise AssertionError
        assert not exchange.sent(SUBSCRIBE)


# The end of a session


@pytest.mark.untraced
@pytest.mark.parametrize("meanwhile", ["nothing", "a rotation", "a rotation that waits for its answer"])
async def test_g5_a_session_that_is_closed_at_any_tick_leaves_no_gap(autojump_clock: MockClock, meanwhile: str) -> None:
    """Nor does one whose body is cancelled."""
    key = ed25519_key()
    received: list[str] = []

    async def listen(session: bintrio.Session) -> None:
        with suppress(BintrioError):
            async with session.user_data() as events:
                received.extend([type(event).__name__ async for event in events])

    async with open_exchange() as exchange:
        if meanwhile == "a rotation that waits for its answer":
            exchange.script["userDataStream.unsubscribe"] = None
        for ticks in range(0, 120, 3):
            for is_cancelled in (False, True):
                async with trio.open_nursery() as nursery:
                    with trio.CancelScope() as scope:
                        async with bintrio.open_session(URL, connect=exchange.connect, key=key) as session:
                            nursery.start_soon(listen, session)
                            await wait_all_tasks_blocked()
                            if meanwhile != "nothing":
                                nursery.start_soon(quietly_rotate, session)
                            for _ in range(ticks):
                                await trio.lowlevel.checkpoint()
                            if is_cancelled:
                                scope.cancel()
                    await wait_all_tasks_blocked()
                    nursery.cancel_scope.cancel()
    assert received == []


async def quietly_rotate(session: bintrio.Session) -> None:
    with suppress(BintrioError):
        await session.rotate()
