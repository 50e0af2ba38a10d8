"""Feeds in worlds in which connections break, clocks are set, and the exchange says no."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
import trio_websocket
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._protocol.chance import SYSTEM, Chance, using
from tests.events import SUBSCRIBE, drain, now
from tests.peer import URL, Exchange, Json, Peer, ed25519_key, open_exchange

pytestmark = pytest.mark.usefixtures("both_streams")


class World:
    """An exchange that happens: events with lag, connections that break or go silent, ends, hand-overs, holds, and a
    clock that is set. Nobody can know of a step that another one follows before the time was asked for.
    """

    def __init__(self, exchange: Exchange, chance: random.Random) -> None:
        self.exchange, self.chance = exchange, chance
        self.lag = chance.choice([0.0, 0.05, 0.4, 3.0])
        self.happened: list[int] = []
        self.subscribed: dict[int, list[int]] = {}
        self.queues: dict[int, trio.MemorySendChannel[tuple[float, int, Json]]] = {}
        self.set_by = 0
        self.is_step_known = False
        for method in (SUBSCRIBE, "userDataStream.unsubscribe", "time"):
            exchange.script[method] = None
        exchange.answer_own = partial(self.answer, exchange.answer_own)  # type: ignore[method-assign]

    def now(self) -> int:
        return now() + self.set_by

    async def answer(self, own: Any, peer: Peer, request: Json) -> bool:
        number = self.exchange.peers.index(peer)
        answer: Json = {"status": 200, "result": {}}
        if request["method"] == SUBSCRIBE:
            peer.subscriptions.append(len(peer.subscriptions))
            self.subscribed[number] = [peer.subscriptions[-1]]
            answer["result"] = {"subscriptionId": peer.subscriptions[-1]}
        elif request["method"] == "userDataStream.unsubscribe":
            if number not in self.subscribed:
                answer = {"status": 400, "error": {"code": -2036, "msg": "User Data Stream subscription not active."}}
            self.end(number, is_told=self.chance.random() < 0.5)
        elif request["method"] == "time":
            answer["result"] = {"serverTime": self.now()}
        else:
            return bool(await own(peer, request))
        self.later(number, {"id": request["id"], **answer})
        return True

    def end(self, number: int, *, is_told: bool = True) -> None:
        for each in self.subscribed.pop(number, []):
            if is_told:
                self.later(number, {"subscriptionId": each, "event": {"e": "eventStreamTerminated", "E": self.now()}})

    def later(self, number: int, message: Json) -> None:
        """Within the lag, after all that came before."""
        if number not in self.queues:
            self.queues[number], queue = trio.open_memory_channel[tuple[float, int, Json]](10_000)
            self.exchange._nursery.start_soon(self.tell, number, queue)
        at = trio.current_time() + self.chance.uniform(0, self.lag)
        self.queues[number].send_nowait((at, self.set_by, message))

    async def tell(self, number: int, queue: trio.MemoryReceiveChannel[tuple[float, int, Json]]) -> None:
        with suppress(trio_websocket.ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
            async for at, set_by, message in queue:
                await trio.sleep_until(at)
                await self.exchange.peers[number].send(json.dumps(message))
                await wait_all_tasks_blocked()
                self.is_step_known |= set_by == self.set_by and "serverTime" in message.get("result", {})

    def happen(self) -> None:
        number = len(self.happened)
        self.happened.append(self.now())
        event = {"e": "balanceUpdate", "E": self.now(), "a": "BTC", "d": str(number), "T": self.now()}
        for each, subscriptions in self.subscribed.items():
            for subscription in subscriptions:
                self.later(each, {"subscriptionId": subscription, "event": event})

    async def go_on(self, session: bintrio.Session, nursery: trio.Nursery, *, is_calm: bool) -> None:
        pace = self.chance.choice([0.02, 0.5, 4.0])
        for _ in range(150):
            await trio.sleep(self.chance.uniform(0, 2 * pace))
            number = len(self.exchange.peers) - 1
            match self.chance.randrange(40):
                case 0 if not is_calm:
                    await self.cut(number)
                case 1 if number > 0 and not is_calm:
                    await self.cut(number - 1)
                case 2 if not is_calm:
                    self.end(number)
                case 3 | 4:
                    nursery.start_soon(rotate, session)
                case 5 if not is_calm:
                    self.hold(number)
                case 6:
                    self.set_clock()
                case _:
                    self.happen()

    async def cut(self, number: int) -> None:
        """At any byte of a frame."""
        self.subscribed.pop(number, None)
        frame = b"\x81\x7d" + b" " * 125
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.exchange.peers[number].stream.send_all(frame[: self.chance.randrange(len(frame))])
        await self.exchange.peers[number].cut()

    def hold(self, number: int) -> None:
        times = {"serverTime": self.now(), "retryAfter": self.now() + self.chance.randrange(40_000)}
        error = {"code": -1003, "msg": "Too many requests.", "data": times}
        self.later(number, {"id": "unknown", "status": self.chance.choice([418, 429]), "error": error})

    def set_clock(self) -> None:
        if self.is_step_known:
            self.is_step_known = False
            self.set_by += self.chance.choice([-1, 1]) * self.chance.choice([10, 300, 5_000, 70_000, 3_600_000])


async def rotate(session: bintrio.Session) -> None:
    with suppress(bintrio.NotSent):
        await session.rotate()


@pytest.mark.parametrize("seed", range(15))
async def test_g5_in_any_world_each_event_comes_once_in_order_or_lies_in_a_gap(
    autojump_clock: MockClock, seed: int
) -> None:
    chance = random.Random(seed)
    is_calm = seed % 5 == 0
    with using(Chance(chance.random, SYSTEM.octets)):
        async with open_exchange() as exchange:
            world = World(exchange, chance)
            async with (
                bintrio.open_session(URL, connect=exchange.connect, key=ed25519_key(), pong_window=1e6) as session,
                session.user_data() as events,
                trio.open_nursery() as nursery,
            ):
                began_with = len(world.happened)
                await world.go_on(session, nursery, is_calm=is_calm)
                await trio.sleep(120)
                received = drain(events)
                nursery.cancel_scope.cancel()
        numbers = [event for event in received if isinstance(event, int)]
        gaps = [event for event in received if isinstance(event, bintrio.Gap)]
        happened = enumerate(world.happened)
        missing = {number for number, at in happened if any(gap.start <= at <= gap.end for gap in gaps)}
        certain = [number for number in numbers if number not in missing]
        assert certain == sorted(set(range(began_with, len(world.happened))) - missing)
        assert len(set(numbers)) == len(numbers)
        if is_calm:
            assert not gaps
        if not world.set_by:
            assert len({gap.end for gap in gaps}) == len(gaps), "nothing is told twice"
