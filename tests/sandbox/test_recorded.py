"""Recordings played again: a program meets once more what it met."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import recording
from bintrio.errors import ConnectionFailed, InvalidRequest, Rejected
from bintrio.recording import Message
from bintrio.sandbox import open_recording, open_sandbox
from tests.peer import LIMITS, START
from tests.sessions import deltas

pytestmark = pytest.mark.usefixtures("both_streams")

URL = "wss://exchange.test/ws-api/v3"


async def bot(session: bintrio.Session) -> list[object]:
    """A program: what it saw."""
    seen: list[object] = []
    async with session.user_data() as events:
        await trio.sleep(3)
        order = await session.order_place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
        assert isinstance(order, bintrio.OrderFull)
        seen += [order.status, order.fills[0].price, order.order_id]
        while len(seen) < 5:
            event = await anext(events)
            seen.append(type(event).__name__)
        try:
            await session.order_place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1000000")
        except Rejected as error:
            seen.append((error.code, error.message))
        book = await session.depth(symbol="BTCUSDT", limit=5)
        seen += [book.asks[0].price, trio.current_time()]
    return seen


async def test_a_program_meets_again_what_it_met(autojump_clock: MockClock, tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    async with open_sandbox(listen=False) as sandbox:
        sandbox.quote("BTCUSDT", Decimal(64_000), Decimal(64_001), Decimal(1))
        with recording.to_file(path) as recorder:
            async with bintrio.open_session(
                sandbox.memory_endpoint, key=sandbox.key, connect=sandbox.connect, observer=recorder
            ) as session:
                first = await bot(session)
        key = sandbox.key
    async with (
        open_recording(recording.read(path)) as exchange,
        bintrio.open_session(URL, key=key, connect=exchange.connect) as session,
    ):
        second = await bot(session)
    assert first[:-1] == second[:-1]
    assert not exchange.unanswered
    assert "ExecutionReport" in first


def message(*, sent: bool, at: float, connection: int = 1, session: str = "bot", **content: Any) -> Message:
    return Message(
        session=session,
        connection=connection,
        address="exchange.test:443",
        is_sent=sent,
        at=at,
        time=at,
        text=json.dumps(content),
    )


def opening(begin: float, connection: int = 1, session: str = "bot") -> list[Message]:
    """What every session begins with."""
    asked = [("time", {"serverTime": START})] * 3
    info = {"timezone": "UTC", "serverTime": START, "rateLimits": LIMITS, "exchangeFilters": [], "symbols": []}
    told: list[Message] = []
    for number, (method, result) in enumerate([*asked, ("exchangeInfo", info)]):
        where: dict[str, Any] = {"at": begin, "connection": connection, "session": session}
        told.append(message(sent=True, **where, id=number, method=method))
        told.append(message(sent=False, **where, id=number, status=200, result=result))
    return told


def balance(at: float, number: int) -> Message:
    event = {"e": "balanceUpdate", "E": START, "a": "BTC", "d": str(number), "T": START}
    return message(sent=False, at=at, subscriptionId=0, event=event)


async def test_answers_and_events_take_as_long_as_they_did(autojump_clock: MockClock) -> None:
    told = [
        *opening(100),
        message(sent=True, at=105, id=8, method="userDataStream.subscribe.signature"),
        message(sent=False, at=105.5, id=8, status=200, result={"subscriptionId": 0}),
        balance(106.5, 1),
        message(sent=True, at=107, id=9, method="ping"),
        message(sent=False, at=107.25, id=9, status=200, result={}),
        balance(109.25, 2),
    ]
    key = bintrio.HmacKey("api", "secret")
    async with (
        open_recording(told) as exchange,
        bintrio.open_session(URL, key=key, connect=exchange.connect) as session,
    ):
        await trio.sleep(50)
        async with session.user_data() as events:
            assert trio.current_time() == 50.5
            assert await deltas(events, 1) == [1]
            assert trio.current_time() == 51.5
            await trio.sleep(100)
            begun_at = trio.current_time()
            await session.ping()
            assert trio.current_time() == begun_at + 0.25
            assert await deltas(events, 1) == [2]
            assert trio.current_time() == begun_at + 2.25


async def test_the_last_answer_is_given_again_and_what_was_never_answered_is_refused(
    autojump_clock: MockClock,
) -> None:
    told = [
        *opening(0),
        message(sent=True, at=1, id="a", method="ping"),
        message(sent=False, at=1, id="a", status=400, error={"code": -1100, "msg": "first"}),
        message(sent=True, at=1, id="b", method="ping"),
        message(sent=False, at=1, id="b", status=200, result={}),
        message(sent=True, at=2, id="c", method="depth"),
        message(sent=False, at=2, id="nobody's", status=200, result={}),
    ]
    async with (
        open_recording(told) as exchange,
        bintrio.open_session(URL, connect=exchange.connect) as session,
    ):
        with pytest.raises(Rejected, match="first"):
            await session.ping()
        await session.ping()
        await session.ping()
        with pytest.raises(Rejected, match="the recording has no answer to depth"):
            await session.depth(symbol="BTCUSDT")
        with pytest.raises(Rejected, match=r"the recording has no answer to coffee\.price"):
            await session.request("coffee.price")
        await trio.sleep(100)  # it pings, so the session keeps its connection
        assert session.counters.connections == 1
        assert session.counters.dropped_replies == 1
    assert exchange.unanswered == {"depth": 1, "coffee.price": 1}


async def test_each_connection_plays_the_next_one_and_then_there_is_none(autojump_clock: MockClock) -> None:
    told = [*opening(0, 1), *opening(5, 7), *opening(9, 1, session="another")]
    async with (
        open_recording(told) as exchange,
        bintrio.open_session(URL, connect=exchange.connect, request_timeout=3) as session,
    ):
        await session.rotate()
        with pytest.raises(bintrio.NotSent, match="no other connection") as caught:
            await session.rotate()
        assert isinstance(caught.value.__cause__, ConnectionFailed)
    async with (
        open_recording(told, session="another") as exchange,
        bintrio.open_session(URL, connect=exchange.connect) as session,
    ):
        assert session.round_trip == 0


async def test_what_is_no_json_comes_as_it_came_and_what_was_sent_as_such_is_left_out(
    autojump_clock: MockClock,
) -> None:
    early = Message(session="bot", connection=1, address="h:1", is_sent=False, at=0, time=0, text="[")
    broken = Message(session="bot", connection=1, address="h:1", is_sent=False, at=3, time=3, text="{")
    odd = Message(session="bot", connection=1, address="h:1", is_sent=True, at=3, time=3, text="[")
    async with (
        open_recording([early, *opening(0), broken, odd]) as exchange,
        bintrio.open_session(URL, connect=exchange.connect) as session,
    ):
        await trio.sleep(4)
        assert session.counters.unreadable_messages == 2


async def test_what_asks_for_nothing_by_no_id_is_refused(autojump_clock: MockClock) -> None:
    """A peer that sends what is no call."""
    import trio_websocket

    told = opening(0)
    async with open_recording(told) as exchange, trio.open_nursery() as nursery:
        address = bintrio.Endpoint((URL,)).addresses(time_unit="ms")[0]
        stream: Any = await exchange.connect(address)
        client = await trio_websocket.wrap_client_stream(nursery, stream, "exchange.test", "/")
        await client.send_message("{")
        assert json.loads(await client.get_message())["id"] is None
        await client.aclose()
        nursery.cancel_scope.cancel()
    assert exchange.unanswered == {"": 1}


@pytest.mark.parametrize("session", [None, "nobody"])
async def test_there_must_be_something_to_play(autojump_clock: MockClock, session: str | None) -> None:
    with pytest.raises(InvalidRequest, match="there is no message to play") as caught:
        async with open_recording([] if session is None else opening(0), session=session):
            raise AssertionError
    assert caught.value.field == "messages"


async def test_leaving_ends_all_connections_at_once(autojump_clock: MockClock) -> None:
    address = bintrio.Endpoint((URL,)).addresses(time_unit="ms")[0]
    streams: list[trio.abc.Stream] = []
    with trio.move_on_after(5) as scope:
        async with open_recording([*opening(0), *opening(1, 2)]) as exchange:
            streams.append(await exchange.connect(address))
            with trio.move_on_after(0) as before:
                await exchange.connect(address)
            assert before.cancelled_caught
            streams.append(await exchange.connect(address))  # a cancelled attempt has taken none
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert [await stream.receive_some() for stream in streams] == [b"", b""]
    assert trio.current_time() == 5
