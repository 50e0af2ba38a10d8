"""Feeds that nothing carries: what is told while it lasts, and what may be missing after it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import sandbox as faults
from bintrio._client.feeds import OUTAGE
from bintrio.errors import InvalidSignature, InvalidTimestamp, OutcomeUnknown, Unauthorized
from tests.events import SUBSCRIBE, drain, now, refuse_one
from tests.orders import open_market
from tests.peer import START, URL, ed25519_key, open_exchange, open_pair
from tests.sessions import HMAC, deltas

pytestmark = pytest.mark.usefixtures("both_streams")


@pytest.mark.parametrize("is_slow", [False, True])
async def test_g5_an_outage_is_told_once_while_it_lasts_and_its_gap_when_it_is_over(
    autojump_clock: MockClock, is_slow: bool
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await trio.sleep(10)
        if is_slow:
            exchange.delay = 1e6
        else:
            exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        if is_slow:
            await trio.sleep(OUTAGE - 0.1)
            assert not events.waiting
        await trio.sleep(0.2)
        (interrupted,) = drain(events)
        assert isinstance(interrupted, bintrio.Interrupted)
        assert "the server ended the stream" in interrupted.reason
        await trio.sleep(300)
        assert not events.waiting
        exchange.refuse_with.clear()
        exchange.delay = 0
        await trio.sleep(50)
        (gap,) = drain(events)
        assert isinstance(gap, bintrio.Gap)
        assert gap.start == interrupted.at <= START + 10_000 < START + 300_000 < gap.end


async def test_g6_a_question_for_the_time_after_a_loss_that_is_never_answered_is_asked_again(
    autojump_clock: MockClock,
) -> None:
    async with open_market() as (session, sandbox), session.user_data():
        asked = sandbox.received["time"]
        # The next connection measures the clock when it is opened, and once more when it carries the feed.
        sandbox.inject(faults.DropReply("time", skip=1))
        sandbox.disconnect()
        await trio.sleep(1)
        assert session.connection is not None
        assert (sandbox.received["time"] - asked, session.connection.in_flight) == (2, 1)
        await trio.sleep(30)
        assert session.connection is not None
        assert (sandbox.received["time"] - asked, session.connection.in_flight) == (3, 0)


SET = [0, -500, -5_000, -70_000, -3_600_000, 500, 5_000, 70_000, 3_600_000]


@pytest.mark.parametrize("by", SET)
async def test_g5_a_gap_covers_what_is_missing_by_a_clock_that_was_set(autojump_clock: MockClock, by: int) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await trio.sleep(20)
        await exchange.peers[0].event(0, e="balanceUpdate", E=START + 20_000, a="BTC", d="1", T=START + 20_000)
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        exchange.script["time"] = lambda _peer: {"serverTime": now() + by}
        await trio.sleep(1)
        exchange.refuse_with.clear()
        await trio.sleep(20)
        _event, _interrupted, gap = drain(events)
        assert isinstance(gap, bintrio.Gap)
        assert gap.start <= START + 20_000 + min(by, 0)
        assert gap.end >= START + 21_000 + max(by, 0)
        assert gap.end - gap.start < 25_000 + abs(by)


@pytest.mark.parametrize("status", [429, 418])
@pytest.mark.parametrize("by", SET)
async def test_g5_gaps_cover_what_is_missing_by_a_clock_that_was_set_during_a_hold(
    autojump_clock: MockClock, by: int, status: int
) -> None:
    """The subscription ends and is made again on the same connection, so nothing else asks for the time."""
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        await trio.sleep(20)
        await exchange.peers[0].balance(1)
        await exchange.peers[0].refuse({"id": 1}, status, -1003, "m", data={"retryAfter": now() + 60_000})
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=now())
        await trio.sleep(30)
        set_at = now()
        exchange.script["time"] = lambda _peer: {"serverTime": now() + by}
        await trio.sleep(60)
        assert len(exchange.sent(SUBSCRIBE)) == 2
        gaps = [event for event in drain(events) if isinstance(event, bintrio.Gap)]
        assert len(gaps) == (1 if by == 0 else 2)
        for missing in (START + 21_000, set_at - 1, set_at + by, START + 80_000 + by):
            assert any(gap.start <= missing <= gap.end for gap in gaps)
        assert all(gap.end - gap.start < 90_000 + abs(by) for gap in gaps)


@pytest.mark.parametrize("is_answered", [True, False], ids=["refused", "without an answer"])
async def test_g5_the_clock_is_asked_for_after_a_loss_until_it_answers(
    autojump_clock: MockClock, is_answered: bool
) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        exchange.script["time"] = None
        peer = exchange.peers[0]
        await trio.sleep(20)
        await peer.event(0, e="eventStreamTerminated", E=now())
        first = await peer.next()
        if is_answered:
            await peer.refuse(first, 503, -1000, "down")
        await peer.answer(await peer.next(), {"serverTime": now() + 70_000})
        await wait_all_tasks_blocked()
        _end, told, wider = drain(events)
        assert isinstance(told, bintrio.Gap)
        assert isinstance(wider, bintrio.Gap)
        assert told.end < START + 21_000 < START + 90_000 <= wider.end
        await trio.sleep(100)
        assert not peer.requests.statistics().current_buffer_used


@pytest.mark.parametrize("where", ["asking", "pausing", "without a connection"])
async def test_g5_measuring_the_clock_after_a_loss_can_be_cancelled_and_begun_anew(
    autojump_clock: MockClock, where: str
) -> None:
    async with (
        open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange),
        session.user_data() as events,
        trio.open_nursery() as nursery,
    ):
        exchange.script["time"] = None
        feeds, peer = session._supervisor.feeds, exchange.peers[0]
        (feed,) = feeds.by_key.values()
        await trio.sleep(20)
        feed.is_judged = True  # by the task that is cancelled here
        await peer.event(0, e="eventStreamTerminated", E=now())
        await trio.sleep(2)
        assert feed.doubts
        if where == "without a connection":
            exchange.refuse_with.append(OSError("no route"))
            await peer.cut()
        nursery.start_soon(feeds._judge, feed)
        if where == "pausing":
            await peer.refuse(await peer.next(), 503, -1000, "down")
        for _ in range(20):  # until it has come there; no time passes
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            exchange.refuse_with.clear()
            exchange.script["time"] = lambda _peer: {"serverTime": now() + 70_000}
            feeds.see_to_all()
            await trio.sleep(60)
            assert any(isinstance(event, bintrio.Gap) and event.end > START + 90_000 for event in drain(events))


@pytest.mark.parametrize("is_idle", [False, True], ids=["busy", "idle"])
@pytest.mark.parametrize("by", SET)
async def test_g5_a_gap_covers_what_is_missing_by_a_clock_that_was_set_while_two_connections_carry(
    autojump_clock: MockClock, by: int, is_idle: bool
) -> None:
    """The first owes an event from before the second had subscribed, and is lost after the clock was adjusted."""
    options: Any = {"key": ed25519_key(), "pong_window": 1e6}
    async with open_pair(**options) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.unsubscribe"] = None
        await trio.sleep(200)
        if not is_idle:
            await exchange.peers[0].event(0, e="balanceUpdate", E=now(), a="BTC", d="1", T=now())
        await trio.sleep(2)
        missing = now()
        await trio.sleep(2)
        exchange.script["time"] = lambda _peer: {"serverTime": now() + by}
        await session.rotate()
        set_at = now()
        await exchange.peers[0].next()
        await exchange.peers[1].event(0, e="balanceUpdate", E=now() + by, a="BTC", d="2", T=now() + by)
        await trio.sleep(1)
        await exchange.peers[0].cut()
        await trio.sleep(1)
        *_, gap, second = drain(events)
        assert second == 2
        assert isinstance(gap, bintrio.Gap)
        assert gap.start <= min(missing, missing + by)
        assert max(set_at, set_at + by) <= gap.end
        assert gap.end - gap.start < (210_000 if is_idle else 70_000) + abs(by)


@pytest.mark.parametrize("by", SET)
async def test_g5_what_two_connections_bring_is_told_once_though_the_clock_is_set_meanwhile(
    autojump_clock: MockClock, by: int
) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.unsubscribe"] = None
        await session.rotate()
        old, new = exchange.peers
        leave = await old.next()
        first, second = ({"e": "balanceUpdate", "E": START, "a": "BTC", "d": d, "T": START} for d in "12")
        await old.event(0, **first)
        await old.event(0, **second)
        exchange.script["time"] = lambda _peer: {"serverTime": now() + by}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse_one, new, 400, -1021)
            with pytest.raises(InvalidTimestamp):
                await session.ping()
        await wait_all_tasks_blocked()
        assert abs(session.now() - now() - by) < 10
        await new.event(0, **first)
        await old.answer(leave)
        await new.event(0, **second)
        await new.event(0, e="balanceUpdate", E=now() + by, a="BTC", d="3", T=now() + by)
        await wait_all_tasks_blocked()
        assert drain(events) == [1, 2, 3]


@pytest.mark.parametrize("how", ["quiet", "moving", "cancelled", "moving, cancelled", "moving, cancelled slowly"])
async def test_g5_the_end_of_the_session_leaves_no_gap(autojump_clock: MockClock, how: str) -> None:
    received: list[Any] = []

    async def listen(session: bintrio.Session) -> None:
        async with session.user_data() as events:
            received.extend([type(event) async for event in events])

    async with open_exchange() as exchange, trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with bintrio.open_session(URL, connect=exchange.connect, key=ed25519_key()) as session:
                exchange.script["userDataStream.unsubscribe"] = None
                nursery.start_soon(listen, session)
                await wait_all_tasks_blocked()
                await exchange.peers[0].balance(1)
                if "moving" in how:
                    await session.rotate()
                await wait_all_tasks_blocked()
                if "cancelled" in how:
                    scope.cancel()
                    with trio.CancelScope(shield="slowly" in how):
                        await trio.sleep(30)
    assert received == [bintrio.BalanceUpdate]


async def test_g1_a_subscription_that_was_received_is_not_told_not_to_have_been_sent(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), request_timeout=5) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script[SUBSCRIBE] = None

        async def lose() -> None:
            await exchange.peers[0].next()
            exchange.refuse_with.append(OSError("no route"))
            await exchange.peers[0].cut()

        nursery.start_soon(lose)
        with pytest.raises(OutcomeUnknown):
            async with session.user_data():
                raise AssertionError
        assert trio.current_time() == 5


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


async def test_a_subscription_that_the_exchange_ends_is_restored(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        await trio.sleep(1)
        await exchange.peers[0].balance(1, 1)
        ended, gap, update = await deltas(events, 3)
        assert isinstance(ended, bintrio.EventStreamTerminated)
        assert isinstance(gap, bintrio.Gap)
        assert update == 1


@pytest.mark.parametrize(
    "refusal", [(400, -2042), (400, -9999), (403, -1000), (400, -2035)], ids=["too many", "new", "firewall", "active"]
)
async def test_a_subscription_that_is_refused_for_now_is_restored(
    autojump_clock: MockClock, refusal: tuple[int, int]
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        keep, exchange.script[SUBSCRIBE] = exchange.script[SUBSCRIBE], None
        peer = exchange.peers[0]
        await peer.event(0, e="eventStreamTerminated", E=START)
        for _ in range(3):
            await peer.refuse(await peer.next(), *refusal, "not now")
        exchange.script[SUBSCRIBE] = keep
        await trio.sleep(10)
        await peer.balance(1, peer.subscriptions[-1])
        await wait_all_tasks_blocked()
        ended, *losses, update = drain(events)
        assert isinstance(ended, bintrio.EventStreamTerminated)
        assert isinstance(losses[-1], bintrio.Gap)
        assert update == 1


@pytest.mark.parametrize("refusal", [(401, -2015), (400, -2015), (400, -1022)])
async def test_a_subscription_whose_key_is_refused_ends_with_the_reason(
    autojump_clock: MockClock, refusal: tuple[int, int]
) -> None:
    async with open_pair(key=HMAC) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.subscribe.signature"] = None
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        await exchange.peers[0].refuse(await exchange.peers[0].next(), *refusal, "no")
        assert isinstance(await anext(events), bintrio.EventStreamTerminated)
        with pytest.raises((Unauthorized, InvalidSignature)):
            await anext(events)
