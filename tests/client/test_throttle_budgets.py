"""Budgets: what counts of them, what is settled, and who finds room."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.throttle import ANYTHING, ticks
from bintrio._protocol.budget import Cost
from bintrio._protocol.rate_limits import LocalLedger
from bintrio.api.events import BalanceUpdate, OutboundAccountPosition
from bintrio.errors import NotSent
from bintrio.sandbox import Limits, open_sandbox
from tests.peer import ACK, LIMITS, Json, Peer, ed25519_key, open_pair
from tests.refusing import BUY, World, open_world, quietly
from tests.sessions import HMAC, in_background

pytestmark = pytest.mark.usefixtures("both_streams")


async def test_g8_what_is_lost_with_a_connection_is_settled(autojump_clock: MockClock) -> None:
    """An open charge counts on top of every count; one that nobody settles would count twice for a minute."""
    async with open_world(key=HMAC) as (session, world):
        a_day = {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 1000}
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(quietly, lambda: session.send(BUY))
            await wait_all_tasks_blocked()
            await world.peers[0].cut()
        await trio.sleep(1)
        world.script["order.place"] = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: session.send(BUY))
            # It counts the three that were lost.
            await world.peers[1].answer(await world.peers[1].next(), ACK, rateLimits=[{**a_day, "count": 4}])
        assert [(limit.interval, limit.count) for limit in session.order_counts if limit.interval == "DAY"] == [
            ("DAY", 4)
        ]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: session.send(BUY))
            await world.peers[1].answer(await world.peers[1].next(), ACK, rateLimits=[{**a_day, "count": 2}])
        assert [limit.count for limit in session.order_counts if limit.interval == "DAY"] == [2]


async def test_g8_what_opening_a_connection_costs_is_settled(autojump_clock: MockClock) -> None:
    """Else a count that says less than what is open could not lower it for a minute."""
    async with open_world() as (session, world):
        await session.rotate()
        world.script["ping"] = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.ping)
            await world.peers[1].answer(await world.peers[1].next(), rateLimits=[{**LIMITS[0], "count": 1}])
        assert session.request_weight is not None
        assert session.request_weight.count == 1


async def test_g8_what_was_used_before_the_limits_were_known_counts(autojump_clock: MockClock) -> None:
    async with open_world(key=ed25519_key()) as (session, _world):
        # Connecting 2, the time 3, the limits 20, logging on 2.
        assert session.request_weight is not None
        assert session.request_weight.count == 27


def _metered(world: World, limit: int) -> Callable[[Peer], Any]:
    """Counts as the exchange does, and refuses what is too much."""
    counts: dict[int, int] = {}
    weights = {"exchangeInfo": 20, "session.logon": 2, "userDataStream.subscribe": 2}
    most = {"weight": 0}
    answer_own = world.answer_own

    async def answer(peer: Peer, request: Json) -> bool:
        window = world.now() // 60_000
        counts[window] = counts.get(window, 0) + weights.get(request["method"], 1)
        most["weight"] = max(most["weight"], counts[window])
        answer_of = peer.answer

        async def with_counts(request: Json, result: Any = None, **envelope: Any) -> None:
            limits = [{**LIMITS[0], "limit": limit, "count": counts[window]}]
            await answer_of(request, result, **{"rateLimits": limits, **envelope})

        peer.answer = with_counts  # type: ignore[method-assign]
        try:
            return await answer_own(peer, request)
        finally:
            peer.answer = answer_of  # type: ignore[method-assign]

    world.answer_own = answer  # type: ignore[method-assign]
    return lambda _peer: most


@pytest.mark.untraced
@pytest.mark.parametrize("limit", [30, 60, 600])
async def test_g5_g8_a_full_budget_keeps_no_rotation_and_no_cancel_waiting(
    autojump_clock: MockClock, limit: int
) -> None:
    async with open_world(key=ed25519_key(), request_timeout=60) as (session, world), trio.open_nursery() as nursery:
        _metered(world, limit)
        world.script["order.cancel"] = None

        async def poll() -> None:
            while True:
                await quietly(session.ping)
                await trio.sleep(0.1)

        for _ in range(20):
            nursery.start_soon(poll)
        await trio.sleep(90)
        for number in range(1, 4):
            await trio.sleep(47)
            begun = trio.current_time()
            await session.rotate()
            assert trio.current_time() - begun < 4
            begun = trio.current_time()
            nursery.start_soon(quietly, lambda: session.order_cancel(symbol="BTCUSDT", order_id=1))
            request = await world.peers[number].next()
            assert request["method"] == "order.cancel"
            assert trio.current_time() - begun < 4
        polled = len(world.sent("ping"))
        assert polled > 3.5 * (limit - limit // 10 - 20)  # little of the limit lies idle
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("limit", [1, 0, -1, 10**12])
async def test_g1_one_answer_with_a_limit_that_cannot_be_right_ends_nothing(
    autojump_clock: MockClock, limit: int
) -> None:
    async with open_world(key=HMAC) as (session, world):
        odd = [{**one, "limit": limit, "count": 1} for one in LIMITS]
        await world.peers[0].answer({"id": 1}, rateLimits=odd)
        await world.peers[0].cut()
        await trio.sleep(1)
        assert await session.ping() is not None
        assert len(world.doors) == 2


@pytest.mark.parametrize("left", [0.05, 0.15, 0.19, 0.21, 0.4, 2.0])
async def test_g7_what_a_wait_leaves_less_than_a_round_trip_for_is_not_sent(
    autojump_clock: MockClock, left: float
) -> None:
    """A hold ends that long before the deadline: what could not be answered in time would be of unknown outcome."""
    async with open_world(key=HMAC) as (session, world), trio.open_nursery() as nursery:
        world.delay = 0.2
        for _ in range(8):  # as many round trips as are remembered
            await session.rotate()
        await world.peers[-1].refuse({"id": 1}, 429, -1003, "m", data={"retryAfter": world.now() + 10_000})
        await wait_all_tasks_blocked()
        assert session.hold is not None
        ends_at = session._shared.own.ledger.delay(ANYTHING, ticks())
        order = in_background(nursery, lambda: session.within(ends_at + left).send(BUY))
        await trio.sleep(20)
        assert len(world.sent("order.place")) == (left > 0.2)
        assert isinstance(order.error, bintrio.OutcomeUnknown if left > 0.2 else NotSent)


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


class Dated(LocalLedger):
    """A ledger that keeps the times at which it was told of calls, and does not go by those of questions."""

    def __init__(self) -> None:
        super().__init__()
        self.charged_at: list[int] = []

    def charge(self, cost: Cost, now: int) -> Any:
        self.charged_at.append(now)
        return super().charge(cost, now)


async def test_a_ledger_is_told_in_milliseconds_when_a_call_leaves(autojump_clock: MockClock) -> None:
    ledger = Dated()
    async with open_pair(ledger=ledger) as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        await trio.sleep_until(7.25)
        await session.ping()
        assert ledger.charged_at[-1] == 7_250


class Portions(LocalLedger):
    """A ledger that gets its budget from elsewhere, and has none yet for costs of one purpose."""

    def __init__(self, purpose: str) -> None:
        super().__init__()
        self.lacking = purpose
        self.told: list[Any] = []

    def delay(self, cost: Cost, now: int) -> float:
        return 5.0 if cost.purpose == self.lacking else super().delay(cost, now)

    def watch(self, told: Any) -> None:
        self.told.append(told)
        super().watch(told)

    def grant(self) -> None:
        self.lacking = ""
        for told in self.told:
            told(None)


async def test_a_call_that_waits_for_room_leaves_when_the_ledger_says_that_there_is_some(
    autojump_clock: MockClock,
) -> None:
    ledger = Portions("call")
    async with open_pair(ledger=ledger) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await wait_all_tasks_blocked()
        assert session.connection is not None
        assert session.connection.in_flight == 0
        began = trio.current_time()
        ledger.grant()
        await exchange.peers[0].answer(await exchange.peers[0].next(), {})
        await wait_all_tasks_blocked()
        assert (outcome.error, outcome.at) == (None, began)


async def test_a_connection_that_waits_for_room_is_opened_when_the_ledger_says_that_there_is_some(
    autojump_clock: MockClock,
) -> None:
    ledger = Portions("")
    async with open_pair(ledger=ledger) as (session, exchange), trio.open_nursery() as nursery:
        ledger.lacking = "own"
        outcome = in_background(nursery, session.rotate)
        await wait_all_tasks_blocked()
        assert len(exchange.peers) == 1
        began = trio.current_time()
        ledger.grant()
        await wait_all_tasks_blocked()
        assert (len(exchange.peers), outcome.error, outcome.at) == (2, None, began)


async def test_g6_a_caller_cancelled_while_it_waits_for_room_is_not_woken(autojump_clock: MockClock) -> None:
    ledger = Portions("call")
    async with open_pair(ledger=ledger) as (session, exchange):
        with trio.move_on_after(1) as scope:
            await session.ping()
        assert scope.cancelled_caught
        ledger.grant()
        await trio.sleep(10)
        with pytest.raises(trio.WouldBlock):
            exchange.peers[0].requests.receive_nowait()


async def test_g5_a_session_moves_in_the_minute_in_which_it_was_opened_under_full_use(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_sandbox(listen=False, limits=Limits(weight=150)) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
        session.user_data() as events,
    ):
        await trio.sleep(1)
        hurried = session.within(1)
        for _ in range(150):
            await quietly(hurried.ping)
            # There is no such order, so each of them weighs 1.
            await quietly(lambda: hurried.order_cancel(symbol="BTCUSDT", order_id=1))
        begun = trio.current_time()
        assert begun < 50
        await session.within(5).rotate()
        sandbox.deposit("BTC", Decimal(1))
        told = {type(await anext(events)) for _ in range(2)}
        assert told == {BalanceUpdate, OutboundAccountPosition}
        assert trio.current_time() - begun < 1
