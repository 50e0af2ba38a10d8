"""One connection: what happens to calls when the wire ends under them.

Events are seen from above, in `test_feeds.py`, and lifetimes in `test_rotation.py`.
"""

# What isinstance makes of an error leaves the type of its request open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.connection import Connection
from bintrio._client.in_flight import Call, Lost
from bintrio._client.waiting import Ended
from bintrio._net.wire import WireClosed
from bintrio._protocol.budget import Cost
from bintrio.endpoints import Address
from bintrio.errors import (
    InvalidRequest,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Unauthorized,
)
from bintrio.requests import Ping
from tests.peer import START, URL, open_exchange, open_pair
from tests.sessions import BUY, HMAC, in_background
from tests.streams import break_writes, stall

pytestmark = pytest.mark.usefixtures("both_streams")


async def test_g1_a_call_on_a_connection_that_has_ended_is_not_sent(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, _):
        connection = session._supervisor.connection
        assert connection is not None
        connection.end(Ended("the test says so"))
        connection.end(Ended("only the first cause counts"))
        with pytest.raises(Lost) as caught:
            await connection.call(Call(Ping.api, {}, Cost(weight=1), session._shared.own), 0)
        assert not caught.value.is_sent
        assert str(caught.value.cause) == "the test says so"


async def test_g1_whoever_opens_a_connection_is_told_why_it_was_lost_while_it_was_made_ready(
    autojump_clock: MockClock,
) -> None:
    """Also if what makes it ready does not wait for a call, which would be told."""
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        connection = Connection(session._shared, exchange.addresses[0], 2)

        async def make_ready(_connection: Connection) -> None:
            await exchange.peers[1].cut()
            await trio.sleep_forever()

        with pytest.raises(WireClosed, match="the server ended the stream without a close frame") as told:
            await nursery.start(connection.run, exchange.connect, make_ready)
        assert told.value is connection.cause
        assert not connection.is_ready


async def test_g7_a_call_that_waits_for_room_goes_to_the_next_connection(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        stall(session, trio.Event())
        filler = in_background(nursery, lambda: session.request("depth", {"symbol": "X" * 1_100_000}))
        await wait_all_tasks_blocked()
        order = in_background(nursery, session.ping)
        await wait_all_tasks_blocked()
        await exchange.peers[0].cut()
        peer = await exchange.peer(1)
        for _ in range(2):
            await peer.answer(await peer.next())
    assert order.value is not None
    assert filler.value == {}


async def test_g7_a_call_on_a_wire_that_cannot_be_written_any_more_goes_to_the_next_connection(
    autojump_clock: MockClock,
) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        break_writes(session)
        first = in_background(nursery, session.ping)
        await wait_all_tasks_blocked()
        second = in_background(nursery, session.ping)
        peer = await exchange.peer(1)
        for _ in range(2):
            await peer.answer(await peer.next())
    assert first.value is not None
    assert second.value is not None
    assert len(exchange.sent("ping")) == 2


async def test_g8_a_429_that_says_that_the_outcome_is_unknown_is_believed(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 429, -1007, "Timeout waiting for response")
    assert isinstance(outcome.error, OutcomeUnknown)


@pytest.mark.parametrize(("wait", "error"), [(5, None), (300, NotSent)], ids=["short", "long"])
async def test_g8_a_subscription_waits_for_the_end_of_a_429(
    autojump_clock: MockClock, wait: int, error: type[Exception] | None
) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        refused = in_background(nursery, session.ping)
        await exchange.peers[0].refuse(
            await exchange.peers[0].next(), 429, -1003, "slow down", data={"retryAfter": START + wait * 1000}
        )
        await wait_all_tasks_blocked()
        assert isinstance(refused.error, RateLimited)

        async def subscribe() -> None:
            async with session.user_data():
                pass

        outcome = in_background(nursery, subscribe)
        late = in_background(nursery, session.ping)
        await wait_all_tasks_blocked()
        assert not exchange.sent("userDataStream.subscribe.signature")
        if error is None:
            await exchange.peers[0].answer(await exchange.peers[0].next())
    if error is None:
        assert exchange.sent("userDataStream.subscribe.signature")
        assert late.value is not None
    else:
        assert isinstance(outcome.error, error)
        assert "limits" in str(outcome.error)
        assert isinstance(late.error, NotSent)
        assert "leave no room" in late.error.reason
        assert late.at == 0, "it was told at once"


async def test_the_clock_is_left_alone_while_there_is_no_connection(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        await trio.sleep(601)
        assert session._supervisor.connection is None
        assert len(exchange.sent("time")) == 3


class Tunnel(trio.abc.Stream):
    """A stream that is not known to be private."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_g9_another_accounts_key_does_not_travel_over_plain_ws_either(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:

        async def connect(address: Address) -> trio.abc.Stream:
            return Tunnel(await exchange.connect(address))

        async with bintrio.open_session("ws://exchange.test/", connect=connect) as session:
            with pytest.raises(InvalidRequest, match="plain ws://"):
                async with session.user_data(HMAC):
                    raise AssertionError
        async with (
            bintrio.open_session(URL, connect=connect) as session,
            session.user_data(HMAC),
        ):
            assert exchange.sent("userDataStream.subscribe.signature")


async def test_a_ping_a_close_frame_and_more_in_one_read(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        nursery.start_soon(session.ping)
        peer = exchange.peers[0]
        await peer.next()
        await peer.stream.send_all(b"\x89\x02hi" + b"\x88\x02\x03\xe8" + b"\x89\x00")
        second = await exchange.peer(1)
        await second.answer(await second.next())


def _trip(_message: bytes) -> None:
    raise ZeroDivisionError


async def test_g11_whatever_the_reader_trips_over_costs_one_connection(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        connection = session._supervisor.connection
        assert connection is not None
        monkeypatch.setattr(connection, "_heed", _trip)
        await exchange.peers[0].send("{}")
        outcome = in_background(nursery, session.ping)
        second = await exchange.peer(1)
        await second.answer(await second.next())
        await wait_all_tasks_blocked()
        assert isinstance(connection.cause, ZeroDivisionError)
        assert outcome.value is not None


async def test_messages_that_are_no_json_are_dropped_and_counted(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        request = await exchange.peers[0].next()
        garbage: list[str | bytes] = ["{", "[]", '{"id": [1]}', b"\x00\x01"]
        for message in garbage:
            await exchange.peers[0].send(message)
        await exchange.peers[0].answer(request)
    assert outcome.value is not None
    assert session.counters.unreadable_messages == 4
    assert len(exchange.peers) == 1


async def test_text_that_is_not_utf8_ends_the_connection_and_reads_go_on(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await exchange.peers[0].next()
        await exchange.peers[0].stream.send_all(b"\x81\x02\xff\xff")
        await trio.sleep(1)
        await exchange.peers[1].answer(await exchange.peers[1].next())
    assert outcome.value is not None
    assert session.counters.losses == 1


async def test_g2_a_verdict_on_nobody_ends_the_connection_for_everyone(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        order = in_background(nursery, lambda: session.send(BUY))
        read = in_background(nursery, session.ping)
        for _ in range(2):
            await exchange.peers[0].next()
        await exchange.peers[0].refuse({"id": None}, 401, -2015, "Invalid API-key, IP, or permissions for action.")
        await trio.sleep(1)
    for outcome in (order, read):
        assert isinstance(outcome.error, OutcomeUnknown)
        assert isinstance(outcome.error.__cause__, Unauthorized)


async def test_g10_a_message_of_no_kind_is_dropped_and_counted(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await exchange.peers[0].send('{"notice": "maintenance on Sunday"}')
        await exchange.peers[0].answer(await exchange.peers[0].next())
    assert outcome.value is not None
    assert session.counters.unreadable_messages == 1


async def test_a_success_that_belongs_to_no_call_ends_the_connection(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        await exchange.peers[0].answer({"id": None})
        await trio.sleep(1)
        assert len(exchange.peers) == 2
        assert session.counters.losses == 1


async def test_a_reply_of_17_megabytes_is_taken(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.request("exchangeInfo", {"symbol": "X"}))
        exchange.script["exchangeInfo"] = None
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, {"filler": "x" * 16_900_000})
    assert len(outcome.value["filler"]) == 16_900_000


async def test_a_message_that_the_reader_cannot_take_costs_a_connection_and_not_the_session(
    autojump_clock: MockClock,
) -> None:
    async with open_pair() as (session, exchange):
        await exchange.peers[0].send('{"event":' + '{"a":' * 3000 + "1" + "}" * 3000 + "}")
        await exchange.peer(1)
        await trio.sleep(1)
        assert session.connection is not None
