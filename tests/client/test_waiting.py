"""Calls that wait for their answers on a connection: none is lost, sent twice, or given another's answer."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

import bintrio
from bintrio._client.connection import Connection
from bintrio._client.in_flight import Call
from bintrio._protocol.budget import Cost
from bintrio._protocol.chance import SYSTEM, Chance, using
from bintrio._protocol.ids import FIRST_ID
from bintrio.errors import (
    InvalidRequest,
    NotSent,
    OutcomeUnknown,
    Rejected,
)
from bintrio.requests import Ping
from tests.peer import ACK, LIMITS, START, URL, Exchange, Peer, open_exchange, open_pair
from tests.sessions import BUY, HMAC, Outcome, in_background, interrupt_when_idle, run_with_ctrl_c
from tests.streams import stall

pytestmark = pytest.mark.usefixtures("both_streams")

TIMEOUT = 1.0


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


@pytest.mark.untraced
@pytest.mark.parametrize("seed", range(10))
async def test_g1_g2_g7_orders_in_any_weather(autojump_clock: MockClock, seed: int) -> None:
    """Answers, deadlines, cancellations, losses and rotations fall on the same instants, in every order."""
    chance = random.Random(seed)
    ends: dict[str, str] = {}
    with using(Chance(chance.random, SYSTEM.octets)):
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


async def test_g2_answers_in_any_order_reach_their_own_calls(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcomes = [in_background(nursery, lambda n=n: session.depth(symbol=f"S{n}")) for n in range(100)]  # type: ignore[misc]
        requests = [await exchange.peers[0].next() for _ in outcomes]
        assert len({request["id"] for request in requests}) == 100
        for request in sorted(requests, key=lambda request: hash(str(request["id"]))):
            number = int(request["params"]["symbol"][1:])
            await exchange.peers[0].answer(request, {"lastUpdateId": number, "bids": [], "asks": []})
    assert [outcome.value.last_update_id for outcome in outcomes] == list(range(100))


async def test_g2_late_repeated_and_unknown_answers_are_dropped_and_counted(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=1) as (session, exchange):
        peer = exchange.peers[0]
        with pytest.raises(OutcomeUnknown):
            await session.ping()
        late = await peer.next()
        await peer.answer(late)
        await peer.answer(late)
        await peer.answer({"id": "never asked"})
        await wait_all_tasks_blocked()
        assert session.counters.dropped_replies == 3
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, session.ping)
            await peer.answer(await peer.next())
        assert outcome.value is not None


async def test_g2_no_id_is_used_twice_on_a_connection(autojump_clock: MockClock) -> None:
    """The answer to the first call may be repeated, and would pass for that to the second."""
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        first = in_background(nursery, lambda: session.request("ping", id="mine"))
        request = await exchange.peers[0].next()
        with pytest.raises(InvalidRequest, match="ping: id 'mine' is in flight already"):
            await session.send(Ping(), id="mine")
        await exchange.peers[0].answer(request)
        await wait_all_tasks_blocked()
        for used in ("mine", exchange.log[0]["id"]):
            again = in_background(nursery, partial(session.request, "ping", id=used))
            await exchange.peers[0].answer(await exchange.peers[0].next())
            await wait_all_tasks_blocked()
            assert again.value == {}
        other = in_background(nursery, lambda: session.request("ping", id="another"))
        await exchange.peers[0].answer(await exchange.peers[0].next())
    assert first.value == other.value == {}
    ids = [request["id"] for request in exchange.log]
    assert len(set(ids)) == len(ids)
    assert ids[-1] == "another"
    assert exchange.sent("ping")[0]["id"] == "mine"


async def test_g2_a_repeated_answer_is_not_taken_for_that_to_a_call_with_the_same_id(
    autojump_clock: MockClock,
) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        in_background(nursery, lambda: session.request("ping", id="mine"))
        request = await peer.next()
        await peer.answer(request)
        await wait_all_tasks_blocked()
        again = in_background(nursery, lambda: session.request("ping", id="mine"))
        second = await peer.next()
        await peer.answer(request, {"said": "again"})
        await wait_all_tasks_blocked()
        await peer.answer(second)
    assert again.value == {}


async def test_g2_an_id_may_be_used_again_on_another_connection(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        for number in (0, 1):
            outcome = in_background(nursery, lambda: session.send(Ping(), id=5))
            await exchange.peers[number].answer(await exchange.peers[number].next())
            await wait_all_tasks_blocked()
            assert outcome.value is not None
            await session.rotate()


@pytest.mark.plain_streams  # others take what is written at once
async def test_g2_the_id_of_a_call_that_never_left_is_free_again(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        connection = session._supervisor.connection
        assert connection is not None
        call = Call(Ping.api, {}, Cost(weight=1), session._shared.own, id="mine")
        connection._send(call, trio.current_time())
        connection._forget(call)
        await session.send(Ping(), id="mine")
        assert len(exchange.sent("ping")) == 1


async def test_g6_a_connection_that_was_lost_waits_for_nothing(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].next()
        lost: Any = session._supervisor.connection
        assert lost.in_flight == 1
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        assert isinstance(outcome.error, OutcomeUnknown)
        assert lost.in_flight == 0


async def test_g2_small_ids_are_the_users(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        assert min(request["id"] for request in exchange.log) >= 2**32
        for chosen in (2**32 - 1, 1):
            await session.send(Ping(), id=chosen)
        assert [request["id"] for request in exchange.sent("ping")] == [2**32 - 1, 1]


async def test_what_weighs_by_its_parameters_is_charged_as_one_when_it_goes_by_wire_names(
    autojump_clock: MockClock,
) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        before = session.request_weight
        assert before is not None
        in_background(nursery, lambda: session.request("depth", {"symbol": "BTCUSDT"}))
        await exchange.peers[0].next()
        after = session.request_weight
        assert after is not None
        assert (after.count or 0) - (before.count or 0) == 1
        nursery.cancel_scope.cancel()


async def test_g2_the_sessions_own_ids_pass_over_those_that_its_user_chose(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        last = exchange.log[-1]["id"]
        await session.send(Ping(), id=last + 3)
        for _ in range(3):
            await session.ping()
        assert [request["id"] - last for request in exchange.sent("ping")] == [3, 2, 4, 5]


async def test_g2_ids_below_those_of_the_session_are_left_to_its_user(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        for _ in range(3):
            await session.ping()
        for chosen in (2, 2**32 - 1):
            await session.send(Ping(), id=chosen)
        *own, first, second = (request["id"] for request in exchange.sent("ping"))
        assert (first, second) == (2, 2**32 - 1)
        assert min(own) >= 2**32


async def test_g2_only_the_latest_chosen_ids_are_remembered(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bintrio._protocol.ids.CHOSEN_IDS", 2)
    async with open_pair() as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        for number in (1, 2, 3, 1):
            await session.send(Ping(), id=number)
        await session.send(Ping(), id=3)
        assert [request["id"] for request in exchange.sent("ping")][:4] == [1, 2, 3, 1]
        assert exchange.sent("ping")[4]["id"] >= FIRST_ID


async def test_g2_the_sessions_own_ids_step_around_the_users(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        last = exchange.log[-1]["id"]
        theirs = in_background(nursery, lambda: session.request("ping", id=last + 1))
        taken = await exchange.peers[0].next()
        ours = in_background(nursery, session.ping)
        chosen = await exchange.peers[0].next()
        assert (taken["id"], chosen["id"]) == (last + 1, last + 2)
        await exchange.peers[0].answer(chosen)
        await exchange.peers[0].answer(taken)
    assert theirs.value == {}
    assert ours.value is not None


async def test_g6_a_caller_cancelled_while_it_waits_leaves_the_connection_whole(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        with trio.move_on_after(1):
            await session.ping()
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, session.ping)
            late, request = await exchange.peers[0].next(), await exchange.peers[0].next()
            await exchange.peers[0].answer(late)
            await exchange.peers[0].answer(request)
        assert outcome.value is not None
        assert session.counters.dropped_replies == 1
        assert len(exchange.peers) == 1


async def test_g6_a_caller_cancelled_before_its_frame_is_taken_is_withdrawn(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        with trio.CancelScope() as scope:
            scope.cancel()
            await session.ping()
        assert scope.cancelled_caught
        assert session.connection is not None
        assert session.connection.in_flight == 0
        await wait_all_tasks_blocked()
        assert not exchange.sent("ping")
        weight = session.request_weight
        async with trio.open_nursery() as nursery:
            in_background(nursery, session.ping)
            await exchange.peers[0].answer(await exchange.peers[0].next())
        assert weight is not None


async def test_g6_a_caller_cancelled_while_it_waits_for_a_connection_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        with trio.move_on_after(1) as scope:
            await session.ping()
        assert scope.cancelled_caught
        exchange.refuse_with.clear()
        await trio.sleep(60)
        assert session.connection is not None
        assert not exchange.sent("ping")


async def test_g6_a_caller_cancelled_while_it_waits_for_the_budget_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        in_background(nursery, session.ping)
        await exchange.peers[0].refuse(
            await exchange.peers[0].next(), 429, -1003, "slow down", data={"retryAfter": START + 5_000}
        )
        await wait_all_tasks_blocked()
        with trio.move_on_after(1) as scope:
            await session.ping()
        assert scope.cancelled_caught
        await trio.sleep(10)
        assert len(exchange.sent("ping")) == 1
        assert session.connection is not None
        assert session.connection.in_flight == 0


async def test_g6_a_caller_cancelled_while_it_waits_for_room_leaves_nothing(autojump_clock: MockClock) -> None:
    """A peer that stops reading: the queue fills, senders wait, and a cancelled one is gone without a trace."""
    async with open_pair(pong_window=1000) as (session, _), trio.open_nursery() as nursery:
        stalled = trio.Event()
        stall(session, stalled)
        long = "X" * 600_000
        outcomes = [in_background(nursery, lambda: session.request("depth", {"symbol": long})) for _ in range(2)]
        await wait_all_tasks_blocked()
        with trio.move_on_after(1) as scope:
            await session.ping()
        assert scope.cancelled_caught
        assert session.connection is not None
        assert session.connection.in_flight == 2
        assert session.connection.backlog > 1_200_000
        await trio.sleep(20)
        # Which of the two the writer took first is not ours to say.
        assert {type(outcome.error) for outcome in outcomes} == {OutcomeUnknown, NotSent}
        stalled.set()
