"""The connections of a session, one after the other: losses, shutdowns, bans, and what is left of them."""

# What isinstance makes of an error leaves the type of its request open.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.throttle import ticks
from bintrio._protocol.chance import SYSTEM, Chance, using
from bintrio._protocol.facts import NoConnection
from bintrio._protocol.holds import Refusal
from bintrio._protocol.rate_limits import LocalLedger
from bintrio._protocol.rotation import backoff
from bintrio.endpoints import Address
from bintrio.errors import (
    Banned,
    ConnectionFailed,
    HandshakeRejected,
    InvalidTimestamp,
)
from bintrio.sandbox import ErrorReply, Link, Way, open_sandbox
from bintrio.storm.doorway import Doorway
from tests.peer import LIMITS, START, URL, Exchange, Peer, ed25519_key, open_exchange, open_pair
from tests.refusing import open_world
from tests.sessions import BUY, HMAC, in_background, interrupt_when_idle, run_with_ctrl_c
from tests.streams import stall

LONGEST_PAUSES = Chance(lambda: 1.0, SYSTEM.octets)

pytestmark = pytest.mark.usefixtures("both_streams")


@pytest.mark.untraced
@pytest.mark.plain_streams("some hundred thousand pings, and hardly a call")
async def test_forty_days_leave_nothing_behind(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data():
        await trio.sleep(40 * 86_400)
        supervisor = session._supervisor
        assert len(exchange.peers) > 40
        assert len(supervisor._connections) == 1
        assert len(supervisor._chores.child_tasks) == 1
        assert session.counters.losses == 0


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


async def test_the_exchanges_clock_is_ahead_of_this_machines_by_the_offset(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world() as (session, _):
        for ahead in (-5.0, 0.0, 2.5):
            monkeypatch.setattr("time.time", lambda ahead=ahead: START / 1000 + trio.current_time() - ahead)
            assert session.clock_offset == pytest.approx(ahead, abs=0.01)


@pytest.mark.parametrize("is_answered", [True, False], ids=["refused", "without an answer"])
async def test_a_clock_that_is_doubted_is_asked_for_until_it_answers(
    autojump_clock: MockClock, is_answered: bool
) -> None:
    async with open_pair() as (session, exchange):
        exchange.script["time"] = None
        session._supervisor.clock_is_doubted.set()
        peer = exchange.peers[0]
        first = await peer.next()
        if is_answered:
            await peer.refuse(first, 503, -1000, "down")
        await peer.answer(await peer.next(), {"serverTime": START + 70_000})
        await wait_all_tasks_blocked()
        assert trio.current_time() < 20
        assert session.now() == pytest.approx(START + 70_000, abs=1_000)
        # It is known now, so nobody asks again.
        await trio.sleep(500)
        assert not peer.requests.statistics().current_buffer_used


async def test_an_event_is_as_old_as_the_clocks_of_the_last_minute_may_have_it(autojump_clock: MockClock) -> None:
    async with open_world() as (session, world):
        await trio.sleep(60)
        world.skew = -5_000
        session._supervisor.clock_is_doubted.set()
        await trio.sleep(1)
        shared = session._shared
        for later, local in ((0, 56_000), (50, 106_000), (70, 131_000)):
            await trio.sleep(later)
            now = ticks()
            expected = now if later == 70 else now - 5_000
            assert shared.earliest(world.now(), now) == pytest.approx(expected, abs=50), local


async def test_attempts_to_connect_come_at_once_and_then_with_pauses_that_double(
    autojump_clock: MockClock,
) -> None:
    with using(LONGEST_PAUSES):
        async with open_world() as (_, world):
            await trio.sleep(60)
            world.refuse_handshakes = b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n"
            await world.peers[0].cut()
            await trio.sleep(60)
            pauses = [later - earlier for earlier, later in pairwise([60.0, *world.knocks])]
            assert pauses == pytest.approx(
                [0, *(backoff(attempt, 1.0) for attempt in range(len(pauses) - 1))], abs=1e-6
            )
            assert len(pauses) > 6


async def test_one_connection_that_is_lost_soon_is_replaced_at_once_and_the_next_after_a_pause(
    autojump_clock: MockClock,
) -> None:
    with using(LONGEST_PAUSES):
        async with open_world() as (_, world):
            for number in range(4):
                await world.peers[number].cut()
                await trio.sleep(5)
            lost = [5.0 * number for number in range(4)]
            pauses = [opened - cut for opened, cut in zip(world.doors.times[1:], lost, strict=True)]
            assert pauses == pytest.approx([0, backoff(1, 1.0), backoff(2, 1.0), backoff(3, 1.0)], abs=1e-6)


async def test_a_ban_at_the_first_opening_is_told_at_once(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.refuse_with.append(HandshakeRejected(418, [("retry-after", "259200")], b""))
        endpoint = bintrio.Endpoint(name="two", urls=("wss://a.test/ws-api/v3", "wss://b.test/ws-api/v3"))
        with pytest.raises(Banned) as caught:
            async with bintrio.open_session(endpoint, connect=exchange.connect):
                raise AssertionError
        assert trio.current_time() == 0
        assert len(exchange.addresses) == 1
        assert caught.value.retry_at is not None


@pytest.mark.parametrize("opened_at", [0, 50])
@pytest.mark.parametrize(("held", "waits"), [(9, True), (11, False)])
async def test_who_opens_waits_for_a_hold_that_ends_within_the_time_to_connect_and_for_no_other(
    autojump_clock: MockClock, opened_at: int, held: int, waits: bool
) -> None:
    await trio.sleep_until(opened_at)
    ledger = LocalLedger()
    ledger.hold(Refusal(418, -1003, "banned", held * 1000), ticks())
    ended: type[Exception] | None = None
    async with open_exchange() as exchange:
        try:
            async with bintrio.open_session(URL, connect=exchange.connect, ledger=ledger, connect_timeout=10):
                pass
        except Banned as error:
            ended = type(error)
    assert ended is (None if waits else Banned)
    assert trio.current_time() - opened_at == pytest.approx(held if waits else 0, abs=0.01)


async def test_g13_that_a_hold_keeps_the_session_from_connecting_is_told(autojump_clock: MockClock) -> None:
    told: list[Any] = []
    async with open_world(observer=told.append) as (_, world):
        await world.peers[0].refuse({"id": None}, 418, -1003, "banned", data={"retryAfter": world.now() + 600_000})
        await wait_all_tasks_blocked()
    (fact,) = [fact for fact in told if isinstance(fact, NoConnection)]
    assert fact.error == "Banned"
    assert "banned" in fact.cause


async def test_g1_a_limit_of_no_connection_at_all_cannot_be_right(autojump_clock: MockClock) -> None:
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
            await trio.sleep(1)
            assert session.connection is not None


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


async def close_slowly(exchange: Exchange) -> None:
    async with bintrio.open_session(URL, connect=exchange.connect, close_timeout=1e6) as session:
        stall(session, trio.Event())
        trio.lowlevel.spawn_system_task(interrupt_when_idle)


def test_g6_ctrl_c_while_closing_comes_out_bare() -> None:
    async def main() -> None:
        async with open_exchange() as exchange:
            with pytest.raises(KeyboardInterrupt):
                await close_slowly(exchange)

    run_with_ctrl_c(main)


async def test_a_timestamp_refused_makes_the_session_ask_for_the_time_again(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC, pong_window=10_000) as (session, exchange), trio.open_nursery() as nursery:
        before = len(exchange.sent("time"))
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 400, -1021, "Timestamp for this request…")
        await wait_all_tasks_blocked()
        assert isinstance(outcome.error, InvalidTimestamp)
        assert len(exchange.sent("time")) == before + 1
        assert len(exchange.sent("order.place")) == 1
        await trio.sleep(601)
        assert len(exchange.sent("time")) == before + 2
        assert session.now() == START + round(trio.current_time() * 1000)


async def test_the_clock_survives_a_question_that_fails(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=1, pong_window=10_000) as (session, exchange):
        exchange.script["time"] = None
        await trio.sleep(602)
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 400, -1003, "no")
        exchange.script["time"] = lambda _peer: {"serverTime": START + int(trio.current_time() * 1000)}
        await trio.sleep(602)
        assert session.connection is not None


async def test_the_clock_is_asked_for_with_pauses_that_double(autojump_clock: MockClock) -> None:
    with using(LONGEST_PAUSES):
        async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
            asked_at: list[float] = []

            def refuse(_peer: Peer) -> dict[str, Any]:
                asked_at.append(trio.current_time())
                return {"status": 400, "error": {"code": -1000, "msg": "no"}}

            exchange.script["time"] = refuse
            nursery.start_soon(session._supervisor.measure_clock)
            await trio.sleep(20)
            nursery.cancel_scope.cancel()
    pauses = [after - before for before, after in pairwise(asked_at)]
    assert pauses == [backoff(failures, 1.0) for failures in range(len(pauses))]
    assert len(pauses) > 2


async def test_opening_tries_each_address_and_tells_what_each_said(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.refuse_with.append(OSError("no route"))
        with pytest.raises(ConnectionFailed) as caught:
            async with bintrio.open_session(bintrio.PRODUCTION, connect=exchange.connect):
                raise AssertionError
    assert [address.port for address in exchange.addresses] == [443, 9443]
    assert [url for url, _ in caught.value.attempts] == list(bintrio.PRODUCTION.urls)
    assert "OSError: no route" in str(caught.value)


async def test_the_second_address_serves_if_the_first_does_not(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:

        async def connect(address: Address) -> trio.abc.Stream:
            if address.port == 443:
                raise OSError("blocked")
            return await exchange.connect(address)

        async with bintrio.open_session(bintrio.PRODUCTION, connect=connect) as session:
            assert "9443" in repr(session)


async def test_opening_is_given_up_after_the_connect_timeout(autojump_clock: MockClock) -> None:
    async def connect(_address: Address) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(ConnectionFailed, match="not ready within 3 s"):
        async with bintrio.open_session(URL, connect=connect, connect_timeout=3):
            raise AssertionError
    assert trio.current_time() == 3


async def test_a_server_that_never_answers_the_first_question_is_given_up(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["time"] = None
        with pytest.raises(ConnectionFailed, match="not ready within 10 s"):
            async with bintrio.open_session(URL, connect=exchange.connect):
                raise AssertionError
        assert 10 <= trio.current_time() <= 12


async def test_a_server_that_hangs_up_before_the_session_is_ready_is_told(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:

        def hang_up(peer: Peer) -> Any:
            peer.stream.close_hook = None  # type: ignore[attr-defined]
            raise trio_closed()

        exchange.script["time"] = hang_up
        with pytest.raises(ConnectionFailed, match="WireClosed"):
            async with bintrio.open_session(URL, connect=exchange.connect):
                raise AssertionError


def trio_closed() -> Exception:
    import trio_websocket

    return trio_websocket.ConnectionClosed(None)


async def test_limits_that_are_not_told_are_learned_later(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["exchangeInfo"] = None

        async def refuse() -> None:
            peer = await exchange.peer(0)
            await peer.refuse(await peer.next(), 400, -1122, "Invalid symbolStatus.")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            async with bintrio.open_session(URL, connect=exchange.connect) as session:
                before = (session.request_weight, session.order_counts)
                assert before == (None, ())
                async with trio.open_nursery() as calls:
                    in_background(calls, session.ping)
                    request = await exchange.peers[0].next()
                    await exchange.peers[0].answer(request, rateLimits=[{**LIMITS[0], "count": 77}])
                assert session.request_weight is not None
                assert session.request_weight.count == 77
                assert "weight 77 of 6000" in repr(session)


async def test_limits_that_cannot_be_read_are_learned_later(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["exchangeInfo"] = lambda _peer: {"rateLimits": "?"}
        async with bintrio.open_session(URL, connect=exchange.connect) as session:
            assert session.request_weight is None


async def test_g8_limits_are_asked_for_once_also_where_there_are_none_for_orders(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        information = {"timezone": "UTC", "serverTime": START, "exchangeFilters": [], "symbols": []}
        exchange.script["exchangeInfo"] = lambda _peer: {**information, "rateLimits": LIMITS[:1]}
        async with bintrio.open_session(URL, connect=exchange.connect) as session:
            for _ in range(3):
                await session.rotate()
            assert len(exchange.peers) == 4
            assert len(exchange.sent("exchangeInfo")) == 1


@pytest.mark.parametrize("gone", ["rateLimits", "symbols", "limit", "interval"])
async def test_g10_limits_of_which_something_did_not_come(autojump_clock: MockClock, gone: str) -> None:
    limit = {name: value for name, value in LIMITS[0].items() if name not in {gone, "count"}}
    information = {"timezone": "UTC", "serverTime": 1, "exchangeFilters": [], "symbols": [], "rateLimits": [limit]}
    information.pop(gone, None)
    async with open_exchange() as exchange:
        exchange.script["exchangeInfo"] = lambda _peer: information
        async with bintrio.open_session(URL, connect=exchange.connect) as session:
            assert (session.request_weight is not None) is (gone == "symbols")


async def test_a_lost_connection_is_replaced_with_growing_pauses(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        await trio.sleep(300)
        assert 10 <= len(exchange.addresses) <= 30
        exchange.refuse_with.clear()
        await trio.sleep(31)
        assert session.connection is not None
        assert session.counters.losses == 1
        assert repr(session).startswith("<Session on exchange.test, <Connection ")


async def test_connections_that_do_not_last_are_replaced_with_growing_pauses(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        opened_at: list[float] = []
        for number in range(8):
            peer = await exchange.peer(number)
            opened_at.append(trio.current_time())
            await trio.sleep(0.1)
            await peer.cut()
        await exchange.peer(8)
        # The first was chance. After that at least half of 0.5, 1, 2, 4, 8, 16 and 30 s.
        assert opened_at[1] - opened_at[0] < 0.2
        assert opened_at[2] - opened_at[1] > 0.3
        assert 30 <= trio.current_time() <= 64
        assert session.counters.losses == 8
        await trio.sleep(40)
        before = trio.current_time()
        await exchange.peers[8].cut()
        await exchange.peer(9)
        assert trio.current_time() - before < 0.1


async def test_the_state_between_two_connections_is_shown(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        first = session.connection
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        assert session.connection is None
        assert "connecting" in repr(session)
        assert "ended: the server ended the stream" in repr(first)
        assert session.round_trip == 0
        assert isinstance(session.clock_offset, float)


@pytest.mark.parametrize("hundredths", range(5, 100, 10))
async def test_g5_a_connection_that_could_not_log_on_takes_its_leave_whenever_the_session_is_closed(
    autojump_clock: MockClock, hundredths: int
) -> None:
    link = Link(up=Way(latency=0.1), down=Way(latency=0.1))
    async with open_sandbox(listen=False, link=link) as sandbox:
        doorway = Doorway(sandbox)
        async with bintrio.open_session(sandbox.endpoint, connect=doorway.connect, key=sandbox.key) as session:
            sandbox.inject(ErrorReply(method="session.logon", code=-2015))
            with suppress(bintrio.BintrioError), trio.move_on_after(hundredths / 100):
                await session.rotate()
    # Neither was its close frame the last word, nor did anything follow that.
    assert doorway.untrue == []
