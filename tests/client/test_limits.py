"""Limits, seen from the exchange: what was used before they were learned, and such as cannot be right."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._protocol.rate_limits import LocalLedger
from bintrio.errors import BintrioError, NotSent
from bintrio.requests import OrderPlace
from tests.peer import ACK, LIMITS, START, URL, Json, Peer, open_pair
from tests.refusing import World, quietly
from tests.sessions import HMAC

pytestmark = pytest.mark.usefixtures("both_streams")

BUY = OrderPlace(symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=1, quantity=1)
WEIGHTS: Final = {"exchangeInfo": 20, "depth": 5}
SMALL: Final[list[Json]] = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 150},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 12},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 20},
]
BOOK: Final[Json] = {"lastUpdateId": 1, "bids": [], "asks": []}
NOT_TOLD: Final[Json] = {"status": 400, "error": {"code": -1122, "msg": "Invalid symbolStatus."}}


def information(limits: list[Json]) -> Json:
    return {"timezone": "UTC", "serverTime": START, "rateLimits": limits, "exchangeFilters": [], "symbols": []}


class Metered:
    """What reached some exchanges of one address, window by window.

    Attributes:
        worlds: the exchanges.
    """

    def __init__(self) -> None:
        self.worlds: list[World] = []

    @asynccontextmanager
    async def session(self, limits: Any, **options: Any) -> AsyncGenerator[tuple[bintrio.Session, World]]:
        async with trio.open_nursery() as nursery:
            world = World(nursery)
            self.worlds.append(world)
            world.script["exchangeInfo"] = lambda _peer: limits
            world.script["order.place"] = lambda _peer: ACK
            options = {"key": HMAC, "pong_window": 1e6, "request_timeout": 1000, **options}
            async with bintrio.open_session(URL, connect=world.connect, **options) as session:
                yield session, world
            nursery.cancel_scope.cancel()

    def weight(self) -> Counter[int]:
        """By minutes of the exchange's clock, which turn 40 s after the beginning."""
        used: Counter[int] = Counter()
        for world in self.worlds:
            for time, message in zip(world.messages.times, world.messages, strict=True):
                used[(START + int(time * 1000)) // 60_000] += WEIGHTS.get(message["method"], 1)
            for time in world.doors.times:
                used[(START + int(time * 1000)) // 60_000] += 2
        return used

    def orders(self, window: int) -> Counter[int]:
        """By windows of so many milliseconds."""
        return Counter(
            (START + int(time * 1000)) // window
            for world in self.worlds
            for time, message in zip(world.messages.times, world.messages, strict=True)
            if message["method"] == "order.place"
        )


@pytest.mark.untraced
@pytest.mark.parametrize(
    "learned", ["by an answer", "by counts that are late", "at the next connection", "by another session"]
)
@pytest.mark.parametrize("after", [0.0, 3.0, 35.0, 45.0])
async def test_g8_what_was_used_before_the_limits_were_learned_is_not_used_again(
    autojump_clock: MockClock, learned: str, after: float
) -> None:
    metered, ledger = Metered(), LocalLedger()
    async with AsyncExitStack() as stack:
        session, world = await stack.enter_async_context(metered.session(NOT_TOLD, ledger=ledger))
        peer = world.peers[0]
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(lambda: session.depth(symbol="A"))
        asked = await peer.next()
        early = {"REQUEST_WEIGHT": metered.weight().total(), "ORDERS": 0}
        for _ in range(60):
            await session.ping()
        for _ in range(9):
            await session.send(BUY)
        assert (session.request_weight, session.order_counts) == (None, ())
        await trio.sleep(after)
        if learned == "by an answer":
            await peer.answer(asked, BOOK, rateLimits=SMALL)
        elif learned == "by counts that are late":
            counts = [{**limit, "count": early[limit["rateLimitType"]]} for limit in SMALL]
            await peer.answer(asked, BOOK, rateLimits=counts)
        elif learned == "at the next connection":
            world.script["exchangeInfo"] = lambda _peer: information(SMALL)
            await session.rotate()
        else:
            await stack.enter_async_context(metered.session(information(SMALL), ledger=ledger))
        await wait_all_tasks_blocked()
        used = session.request_weight
        assert used is not None
        now = START + int(trio.current_time() * 1000)
        assert (used.count or 0) >= metered.weight()[now // 60_000]
        assert used.count == metered.weight()[now // 60_000] or after >= 35  # of the minute before, it counts
        async with trio.open_nursery() as calls:
            for _ in range(200):
                calls.start_soon(quietly, session.ping)
            for _ in range(14):
                calls.start_soon(quietly, lambda: session.send(BUY))
        assert len(world.sent("ping")) == 260
        assert len(world.sent("order.place")) == 20  # the rest would be too much for a day
        assert max(metered.weight().values()) <= 150
        assert max(metered.orders(10_000).values()) <= 12
        nursery.cancel_scope.cancel()


# Limits that cannot be right

odd_limits = st.fixed_dictionaries(
    {
        "rateLimitType": st.sampled_from(["REQUEST_WEIGHT", "ORDERS", "CONNECTIONS", "RAW_REQUESTS", "COFFEE"]),
        "interval": st.sampled_from(["SECOND", "MINUTE", "HOUR", "DAY", "FORTNIGHT", ""]),
        "intervalNum": st.sampled_from([1, 1, 5, 10, 0, -1, 10**6, 2**62]),
        "limit": st.sampled_from([1, 0, -1, 2, 3, 7, 30, 10**9, 10**12, 2**63 - 1, -(2**63)]),
    },
    optional={"count": st.sampled_from([0, 1, 10**6, -5, 2**62])},
)


@pytest.mark.untraced
@settings(max_examples=60)
@given(
    odd=st.lists(odd_limits, min_size=1, max_size=4),
    where=st.sampled_from(["at the opening", "in an answer", "in a refusal", "to nobody"]),
)
def test_g1_g5_g8_no_limit_keeps_a_session_from_connecting_and_none_that_cannot_be_right_from_anything(
    odd: list[Json], where: str
) -> None:
    """A small one that may be right is kept: calls wait for it, or are told that they do not fit."""

    async def main() -> None:
        metered = Metered()
        limits = odd if where == "at the opening" else LIMITS
        async with metered.session(information(limits), request_timeout=15) as (session, world):
            if where != "at the opening":
                await tell(session, world, where, odd)
            for _ in range(2):
                await world.peers[-1].cut()
                connections = len(world.peers)
                await trio.sleep(310)  # connections have windows of five minutes
                assert len(world.peers) == connections + 1
            answer = await quietly(session.ping)
            assert not isinstance(answer, BintrioError) or isinstance(answer, NotSent | bintrio.InvalidRequest)
            if not any(may_be_right(limit) for limit in odd):
                assert answer == {} or not isinstance(answer, BintrioError)
                assert not isinstance(await quietly(lambda: session.send(BUY)), BintrioError)

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def tell(session: bintrio.Session, world: World, where: str, odd: list[Json]) -> None:
    peer: Peer = world.peers[-1]
    if where == "to nobody":
        await peer.answer({"id": 987_654}, rateLimits=odd)
        return
    world.script["ping"] = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(quietly, session.ping)
        refusal: Json = {"status": 400, "error": {"code": -1100, "msg": "Illegal characters."}}
        request = await peer.next()
        await peer.answer(request, rateLimits=odd, **(refusal if where == "in a refusal" else {}))
    world.script["ping"] = lambda _peer: {}


def may_be_right(limit: Json) -> bool:
    """As far as anybody can tell without the exchange's own table of limits."""
    return 1 <= limit["limit"] <= 10**9 and limit["rateLimitType"] in {"REQUEST_WEIGHT", "ORDERS", "CONNECTIONS"}


@pytest.mark.parametrize("is_cut", [True, False])
async def test_g8_what_nobody_waits_for_any_more_is_settled_when_its_connection_ends(
    autojump_clock: MockClock, is_cut: bool
) -> None:
    ledger = LocalLedger()
    async with open_pair(ledger=ledger) as (session, exchange):
        with trio.move_on_after(1):
            await session.ping()
        assert ledger.open_charges == 1
        if is_cut:
            await exchange.peers[0].cut()
            await wait_all_tasks_blocked()
            assert ledger.open_charges == 0
    assert ledger.open_charges == 0
