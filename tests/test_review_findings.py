"""What a hostile reader tried on the core as a whole, and what held."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

import bintrio
from bintrio.errors import NotSent, OutcomeUnknown, Rejected

from .peer import ACK, START, URL, Exchange, Peer, ed25519_key, open_exchange, open_pair

HMAC = bintrio.HmacKey("hmac-api-key", "top-secret")
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
