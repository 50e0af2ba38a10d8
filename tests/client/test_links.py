"""What a session makes of its link to the exchange: failures and their words, slow links, silence, junk."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import pytest
import trio
import trio_websocket
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.doubt import DOUBTFUL
from bintrio._client.heart import LONGEST_ARRIVAL
from bintrio._protocol.frames import Opcode, encode_frame
from bintrio.endpoints import Address
from bintrio.errors import ConnectionFailed, HandshakeRejected, NotSent, OutcomeUnknown
from tests.peer import ACK, LIMITS, START, URL, Peer, open_exchange, open_pair
from tests.sessions import BUY, HMAC, Outcome, in_background
from tests.streams import reset_reads

pytestmark = pytest.mark.usefixtures("both_streams")

WEIGHT = LIMITS[0]
REFUSED = OSError("all attempts to connect to exchange.test:443 failed")
REFUSED.__cause__ = OSError(
    errno.ECONNREFUSED, f"Error connecting to ('192.0.2.1', 443): {os.strerror(errno.ECONNREFUSED)}"
)


def is_unknown(outcome: Outcome) -> bool:
    return outcome.error.__class__ is OutcomeUnknown


# Words


async def test_a_reset_connection_is_called_that_wherever_it_shows(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        open_pair(key=HMAC) as (session, exchange),
        session.user_data() as events,
        trio.open_nursery() as nursery,
    ):
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].next()
        old = session.connection
        reset_reads(session)
        await exchange.peers[0].send("{}")
        gap = await anext(events)
        while not isinstance(gap, bintrio.Gap):
            gap = await anext(events)
    assert is_unknown(outcome)
    assert gap.reason == "reading failed: connection reset by peer"
    assert str(outcome.error).endswith(f"the connection ended: {gap.reason}")
    assert f"connection 1 was lost: {gap.reason}" in caplog.text
    assert repr(old).endswith(f"ended: {gap.reason}>")


async def test_an_address_that_refuses_is_called_that_wherever_it_shows(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        exchange.refuse_with.append(REFUSED)
        await exchange.peers[0].cut()
        await trio.sleep(1)
        call = in_background(nursery, session.ping)

        async def subscribe() -> None:
            async with session.user_data():
                raise AssertionError

        subscription = in_background(nursery, subscribe)
        await trio.sleep(20)
        for outcome in (call, subscription):
            assert isinstance(outcome.error, NotSent)
            assert "('192.0.2.1', 443): connection refused" in str(outcome.error)
        assert "connection refused" in caplog.text


async def test_a_refused_handshake_is_told_with_the_servers_words(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        body = b'{"code":0,"msg":"Service unavailable from a restricted location."}'
        exchange.refuse_with.append(HandshakeRejected(451, [], body))
        with pytest.raises(ConnectionFailed, match=r"HTTP 451 .*: Service unavailable from a restricted") as caught:
            async with bintrio.open_session(URL, connect=exchange.connect):
                raise AssertionError
        ((_, error),) = caught.value.attempts
        assert isinstance(error, bintrio.HandshakeRejected)
        assert (error.status, error.body) == (451, body)


# Slow links


async def send_slowly(peer: Peer, message: bytes, seconds: float, *, pieces: int = 100) -> None:
    """One frame over a link that takes so long for it. Nothing else can come within it."""
    frame = encode_frame(Opcode.TEXT, message)
    cuts = [len(frame) * piece // pieces for piece in range(pieces + 1)]
    for start, end in itertools.pairwise(cuts):
        await trio.sleep(seconds / pieces)
        await peer.stream.send_all(frame[start:end])


def book(request: dict[str, Any]) -> bytes:
    result: dict[str, Any] = {"lastUpdateId": 1, "bids": [], "asks": [], "x": "x" * 1000}
    return json.dumps({"id": request["id"], "status": 200, "result": result}).encode()


@pytest.mark.parametrize("seconds", [17, 85, 340, 590])
async def test_g4_no_read_is_overdue_and_no_heart_stops_while_a_message_arrives(
    autojump_clock: MockClock, seconds: int
) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        big = in_background(nursery, lambda: session.depth(symbol="BTCUSDT"))
        request = await peer.next()
        small = in_background(nursery, session.ping)
        behind = await peer.next()
        await send_slowly(peer, book(request), seconds)
        late = in_background(nursery, session.ping)
        later = await peer.next()
        await trio.sleep(1)
        await peer.answer(behind)
        await peer.answer(later)
        await wait_all_tasks_blocked()
        assert big.at == pytest.approx(seconds)
        assert small.at == late.at == pytest.approx(seconds + 1)
        assert (big.error, small.error, late.error) == (None, None, None)
        assert session.counters.connections == 1
        assert session.counters.losses == 0
        assert len(exchange.sent("depth")) == 1


async def test_g1_the_time_of_an_arrival_is_no_more_than_left_out(autojump_clock: MockClock) -> None:
    """Once the message is there, a read has as long as any other: its own answer may have been lost."""
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        big = in_background(nursery, lambda: session.depth(symbol="BTCUSDT"))
        request = await peer.next()
        await trio.sleep(5)
        lost = in_background(nursery, session.ping)
        await send_slowly(peer, book(request), 30)
        await trio.sleep(20)
        assert big.error is None
        assert is_unknown(lost)
        assert lost.at == pytest.approx(5 + 30 + 15, abs=0.6)


@pytest.mark.parametrize("kind", ["a trading call", "within"])
async def test_g1_who_wants_to_know_in_time_is_told_in_time(autojump_clock: MockClock, kind: str) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        big = in_background(nursery, lambda: session.depth(symbol="BTCUSDT"))
        request = await peer.next()
        if kind == "within":
            outcome = in_background(nursery, session.within(15).ping)
        else:
            outcome = in_background(nursery, lambda: session.send(BUY))
        await send_slowly(peer, book(request), 60)
        await wait_all_tasks_blocked()
        assert is_unknown(outcome)
        assert outcome.at == 15
        assert big.error is None
        assert session.counters.connections == 1


async def test_g1_a_message_that_never_ends_holds_nobody_for_ever(autojump_clock: MockClock) -> None:
    """A byte a minute, less than the pong window."""
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        outcome = in_background(nursery, lambda: session.depth(symbol="BTCUSDT"))
        await peer.next()
        nursery.start_soon(trickle, peer)
        await trio.sleep(LONGEST_ARRIVAL + 1)
        assert is_unknown(outcome)
        assert "did not come whole within 600 s" in str(outcome.error)
        assert outcome.at == LONGEST_ARRIVAL
        assert session.counters.losses == 1
        assert len(exchange.sent("depth")) == 1


async def trickle(peer: Peer) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await peer.stream.send_all(encode_frame(Opcode.TEXT, b"x" * 60_000)[:10])
        while True:
            await trio.sleep(59)
            await peer.stream.send_all(b"x")


async def test_g1_messages_that_follow_one_another_for_ever_hold_a_read_no_longer_either(
    autojump_clock: MockClock,
) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        outcome = in_background(nursery, session.ping)
        await peer.next()
        exchange.script["time"] = None  # its answer would come in the middle of a frame
        for _ in range(20):
            await send_slowly(peer, book({"id": "nobody's"}), 40)
            await peer.websocket.ping()
            await trio.sleep(0.1)
        assert is_unknown(outcome)
        assert outcome.at == pytest.approx(LONGEST_ARRIVAL + 15, abs=1)
        assert session.counters.losses == 0


async def test_g4_a_peer_that_falls_silent_within_a_message_is_noticed_within_the_window(
    autojump_clock: MockClock,
) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        outcome = in_background(nursery, lambda: session.depth(symbol="BTCUSDT"))
        frame = encode_frame(Opcode.TEXT, book(await peer.next()))
        await trio.sleep(10)
        await peer.stream.send_all(frame[:100])
        await trio.sleep(30)
        await peer.stream.send_all(frame[100:200])
        await trio.sleep(59.9)
        assert session.counters.losses == 0
        await trio.sleep(0.2)
        assert session.counters.losses == 1
        assert is_unknown(outcome)
        assert "no ping was answered for 60 s, and no byte of a message came" in str(outcome.error)


async def test_a_connection_cut_within_a_message_says_how_long_it_had_been_coming(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=50) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        outcome = in_background(nursery, lambda: session.depth(symbol="BTCUSDT"))
        frame = encode_frame(Opcode.TEXT, book(await peer.next()))
        for start in range(0, 60, 10):
            await peer.stream.send_all(frame[start : start + 10])
            await trio.sleep(10)
        await peer.cut()
        await wait_all_tasks_blocked()
        assert is_unknown(outcome)
        assert str(outcome.error).endswith(
            "the server ended the stream in the middle of a message, 60 s after it began"
        )


# Calls without answers


CALLS: Final[dict[str, Callable[[bintrio.Session], Any]]] = {
    "orders": lambda session: session.send(BUY),
    "reads": lambda session: session.depth(symbol="BTCUSDT"),
    "by name": lambda session: session.request("coffee.order"),
    "in less time": lambda session: session.within(4).send(BUY),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_g4_a_connection_that_answers_pings_and_no_calls_is_replaced(
    autojump_clock: MockClock, call: Callable[[bintrio.Session], Any]
) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        old = exchange.peers[0]
        nursery.start_soon(ping_for_ever, old)
        for count in range(DOUBTFUL):
            assert len(exchange.peers) == 1, f"{count} calls without an answer are no reason yet"
            outcome = in_background(nursery, lambda: call(session))
            await trio.sleep(15)
            await wait_all_tasks_blocked()
            assert is_unknown(outcome)
        await exchange.peer(1)
        await trio.sleep(1)
        assert session.counters.losses == 0, "it is given up in good order"
        order = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[1].answer(await exchange.peers[1].next(), ACK)
        await wait_all_tasks_blocked()
        assert order.value is not None
        nursery.cancel_scope.cancel()


async def ping_for_ever(peer: Peer) -> None:
    with suppress(trio_websocket.ConnectionClosed):
        while True:
            await trio.sleep(20)
            await peer.websocket.ping()


@pytest.mark.parametrize("answered", ["in time", "too late"])
async def test_a_connection_that_answers_something_in_between_stays(autojump_clock: MockClock, answered: str) -> None:
    async with open_pair(pong_window=10_000) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        for _ in range(3 * DOUBTFUL):
            for _ in range(DOUBTFUL - 1):
                in_background(nursery, session.ping)
            requests = [await peer.next() for _ in range(DOUBTFUL - 1)]
            await trio.sleep(15.1)
            if answered == "in time":
                in_background(nursery, session.ping)
                requests = [await peer.next()]
            await peer.answer(requests[0])
            await wait_all_tasks_blocked()
        assert len(exchange.peers) == 1


async def test_calls_that_had_no_time_for_an_answer_say_nothing_about_their_connection(
    autojump_clock: MockClock,
) -> None:
    async with open_exchange() as exchange:
        exchange.delay = 0.5
        async with bintrio.open_session(URL, connect=exchange.connect) as session, trio.open_nursery() as nursery:
            assert session.round_trip == pytest.approx(0.5)
            for _ in range(3 * DOUBTFUL):
                in_background(nursery, session.within(2).ping)
            await trio.sleep(30)
            assert len(exchange.peers) == 1


@pytest.mark.parametrize(("pause", "connections"), [(0.35, 1), (0.45, 2)])
async def test_g4_a_second_without_an_answer_is_no_short_pause(
    autojump_clock: MockClock, pause: float, connections: int
) -> None:
    async with open_pair(pong_window=1e6) as (session, exchange), trio.open_nursery() as nursery:
        for _ in range(DOUBTFUL):
            in_background(nursery, session.within(0.2).ping)
            await trio.sleep(pause)
        await trio.sleep(5)
        assert len(exchange.peers) == connections
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("round_trips", "connections"), [(9.5, 1), (10.5, 2)])
async def test_g4_ten_round_trips_are_enough_for_an_answer(
    autojump_clock: MockClock, round_trips: float, connections: int
) -> None:
    async with open_exchange() as exchange:
        exchange.delay = 0.5
        async with bintrio.open_session(URL, connect=exchange.connect) as session, trio.open_nursery() as nursery:
            for _ in range(3 * DOUBTFUL):
                in_background(nursery, session.within(round_trips / 2).ping)
                await trio.sleep(0.5)
            await trio.sleep(30)
            assert len(exchange.peers) == connections


async def test_g4_a_connection_that_answered_what_left_later_stays(autojump_clock: MockClock) -> None:
    async with open_pair(pong_window=10_000) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        for _ in range(3 * DOUBTFUL):
            for _ in range(DOUBTFUL):
                in_background(nursery, session.ping)
                await peer.next()
            await trio.sleep(5)
            in_background(nursery, session.ping)
            await peer.answer(await peer.next())
            await trio.sleep(20)
        assert len(exchange.peers) == 1


@pytest.mark.parametrize("pause", [0.0, 5.0])
async def test_g4_callers_in_a_hurry_cast_no_doubt_on_a_short_pause(autojump_clock: MockClock, pause: float) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        nursery.start_soon(ping_for_ever, exchange.peers[0])
        for _ in range(3 * DOUBTFUL):
            in_background(nursery, session.within(0.2).ping)
            await exchange.peers[0].next()
        await trio.sleep(pause)
        for _ in range(3 * DOUBTFUL if pause else 0):
            in_background(nursery, session.within(0.2).ping)
        await trio.sleep(5)
        assert len(exchange.peers) == (2 if pause else 1), "no answer for seconds is no short pause"
        nursery.cancel_scope.cancel()


async def test_g4_what_had_waited_for_a_hold_until_its_deadline_casts_no_doubt(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.delay = 0.01
        async with bintrio.open_session(URL, connect=exchange.connect) as session, trio.open_nursery() as nursery:
            data = {"serverTime": START, "retryAfter": START + 14_900}
            await exchange.peers[0].refuse({"id": 987_654}, 429, -1003, "too many", data=data)
            await wait_all_tasks_blocked()
            for _ in range(3 * DOUBTFUL):
                exchange.script["ping"] = None
                in_background(nursery, session.ping)
            await trio.sleep(30)
            assert len(exchange.sent("ping")) == 3 * DOUBTFUL
            assert len(exchange.peers) == 1


async def test_g8_a_late_answer_settles_what_the_call_is_charged(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        assert session.request_weight is not None
        before = session.request_weight.count or 0
        for _ in range(20):
            in_background(nursery, session.within(0.1).ping)
        requests = [await exchange.peers[0].next() for _ in range(20)]
        await trio.sleep(0.5)
        for request in requests:
            weight = {**WEIGHT, "count": before + 20}
            await exchange.peers[0].answer(request, rateLimits=[weight])
        await wait_all_tasks_blocked()
        in_background(nursery, session.ping)
        last = {**WEIGHT, "count": before + 21}
        await exchange.peers[0].answer(await exchange.peers[0].next(), rateLimits=[last])
        await wait_all_tasks_blocked()
        assert session.request_weight.count == before + 21


async def test_g5_a_long_answer_arrives_whole_on_a_connection_that_was_replaced(autojump_clock: MockClock) -> None:
    async with open_pair(drain_timeout=5) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        outcome = in_background(nursery, lambda: session.depth(symbol="BTCUSDT"))
        message = book(await peer.next())
        nursery.start_soon(send_slowly, peer, message, 40)
        await trio.sleep(2)
        await session.rotate()
        await trio.sleep(60)
        assert outcome.value is not None
        assert len(exchange.sent("depth")) == 1


# Junk


@pytest.mark.untraced
async def test_g11_a_hundred_thousand_junk_messages_are_counted_and_logged_a_few_times(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_pair() as (session, exchange):
        junk = [encode_frame(Opcode.TEXT, b"{"), encode_frame(Opcode.BINARY, b"x"), encode_frame(Opcode.TEXT, b"{}")]
        shutdown = encode_frame(Opcode.TEXT, b'{"event":{"e":"serverShutdown","E":1}}')
        for _ in range(100):
            await exchange.peers[0].stream.send_all(b"".join(junk) * 333)
        await exchange.peers[0].stream.send_all(shutdown * 1000)
        await wait_all_tasks_blocked()
        assert session.counters.unreadable_messages == 99_900
        told = [record.getMessage() for record in caplog.records if "was dropped" in record.getMessage()]
        assert len(told) == 9 + 4
        assert "number 10000: " in told[-1]
        assert caplog.text.count("announced its shutdown") <= 1


JUNK: Final[dict[str, bytes]] = {
    "no JSON": b"{",
    "no object": b"[1,2]",
    "of no kind": b"{}",
    "an answer to nobody": b'{"id":987654,"status":200,"result":{}}',
    "a refusal to nobody": b'{"id":987654,"status":400,"error":{"code":-1100,"msg":"No."}}',
    "an odd status": b'{"id":987654,"status":302}',
    "odd rate limits": b'{"id":987654,"status":200,"result":{},"rateLimits":[{"rateLimitType":"ORDERS","limit":"x"}]}',
    "a limit that cannot be right": b'{"id":1,"status":200,"result":{},"rateLimits":[{"rateLimitType":"ORDERS",'
    b'"interval":"DAY","intervalNum":1,"limit":0,"count":0}]}',
    "an event of no subscription": b'{"subscriptionId":9,"event":{"e":"balanceUpdate","E":1,"a":"B","d":"1","T":1}}',
    "an unknown event": b'{"subscriptionId":9,"event":{"e":"coffee","E":1}}',
    "a misshapen event": b'{"subscriptionId":9,"event":{"e":"balanceUpdate","E":"now"}}',
    "an end of no subscription": b'{"subscriptionId":9,"event":{"e":"eventStreamTerminated","E":1}}',
    "a misshapen end": b'{"subscriptionId":[],"event":{"e":"eventStreamTerminated"}}',
    "a shutdown": b'{"event":{"e":"serverShutdown"}}',
    "a refusal that holds": b'{"id":987654,"status":418,"error":{"code":-1003,"msg":"Banned."}}',
}


@pytest.mark.untraced
@pytest.mark.parametrize("message", JUNK.values(), ids=JUNK)
async def test_g11_messages_of_one_kind_fill_no_log_and_delay_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, message: bytes
) -> None:
    """However many come: what waits for its answer gets it."""
    caplog.set_level(logging.DEBUG, "bintrio")
    async with open_pair(pong_window=1e6) as (session, exchange), trio.open_nursery() as nursery:
        peer = exchange.peers[0]
        outcome = in_background(nursery, session.ping)
        asked = await peer.next()
        for _ in range(20):
            await peer.stream.send_all(encode_frame(Opcode.TEXT, message) * 500)
        await peer.answer(asked)
        await wait_all_tasks_blocked()
        assert outcome.value is not None
        told = [record for record in caplog.records if record.name.startswith("bintrio")]
        assert len(told) < 40, [record.getMessage() for record in told[:50]]
        nursery.cancel_scope.cancel()


# Silence


async def test_g5_whatever_comes_is_word_from_the_exchange(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC, pong_window=1e6) as (session, exchange), session.user_data() as events:
        exchange.script["ping"] = lambda _peer: {}
        for _ in range(25):
            await trio.sleep(20)
            await session.ping()
        await exchange.peers[0].cut()
        gap = await anext(events)
        assert isinstance(gap, bintrio.Gap)
        assert gap.start > START + 400_000


async def test_g5_an_answered_ping_is_word_from_the_exchange_too(autojump_clock: MockClock) -> None:
    """A quiet time is no gap: what is asked about begins near the last ping."""
    async with open_pair(key=HMAC, pong_window=60) as (session, exchange), session.user_data() as events:
        for _ in range(25):
            await trio.sleep(20)
            await exchange.peers[0].websocket.ping()
        await exchange.peers[0].cut()
        gap = await anext(events)
        while not isinstance(gap, bintrio.Gap):
            gap = await anext(events)
        assert gap.start > START + 400_000


class Odd(Exception):
    """What a proxy's library may raise."""


class Foreign(trio.abc.Stream):
    """Anybody's stream, which raises what it is told to."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.failing: set[str] = set()

    def _fail(self, what: str) -> None:
        if what in self.failing:
            raise Odd(what)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._fail("send")
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self.inner.receive_some(max_bytes)
        self._fail("receive")
        return data

    async def aclose(self) -> None:
        await self.inner.aclose()
        self._fail("close")


@pytest.mark.parametrize("what", ["send", "receive"])
async def test_an_odd_error_of_a_foreign_stream_costs_a_connection_and_not_the_session(
    autojump_clock: MockClock, what: str
) -> None:
    async with open_exchange() as exchange:
        streams: list[Foreign] = []

        async def connect(address: Address) -> trio.abc.Stream:
            streams.append(Foreign(await exchange.connect(address)))
            return streams[-1]

        async with bintrio.open_session(URL, connect=connect) as session, trio.open_nursery() as nursery:
            streams[0].failing = {what, "close"}
            outcome = in_background(nursery, session.ping)
            if what == "receive":
                await exchange.peers[0].next()
                await exchange.peers[0].send("{}")
            second = await exchange.peer(1)
            await second.answer(await second.next())
            await wait_all_tasks_blocked()
            assert outcome.value is not None
