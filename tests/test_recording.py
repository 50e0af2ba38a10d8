"""Recordings: every message, in order, without secrets; and what they are read into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import observing, recording
from bintrio._protocol.secrets import redacted_message
from bintrio.api.events import UserEvent
from bintrio.errors import InvalidRequest, ProtocolViolation
from bintrio.recording import Message, Recorder, Sent
from bintrio.sandbox import Disconnect, open_sandbox
from bintrio.typing import Response
from tests.peer import ACK, ed25519_key, open_pair
from tests.sessions import BUY, HMAC, deltas, in_background
from tests.streams import stall

pytestmark = pytest.mark.usefixtures("both_streams")


async def test_g13_every_message_is_kept_with_its_connection_and_time(autojump_clock: MockClock) -> None:
    kept: list[Message] = []
    async with (
        open_pair(observer=Recorder(kept.append), name="bot") as (session, exchange),
        trio.open_nursery() as nursery,
    ):
        await trio.sleep(5)
        del kept[:]
        in_background(nursery, lambda: session.depth(symbol="BTCUSDT", limit=5))
        peer = exchange.peers[0]
        request = await peer.next()
        await trio.sleep(0.5)
        await peer.answer(request, {"lastUpdateId": 1, "bids": [["1.0", "2.0"]], "asks": []})
        await trio.sleep(0.5)
        await peer.send("{")
        await peer.send(b"\xff")
        await wait_all_tasks_blocked()
    sent, came, broken, binary = kept
    assert {(each.session, each.connection, each.address) for each in kept} == {("bot", 1, "exchange.test:443")}
    assert [each.is_sent for each in kept] == [True, False, False, False]
    assert came.at - sent.at == pytest.approx(0.5, abs=0.4)  # written in parts, perhaps
    assert came.at == 5.5
    assert sent.time == pytest.approx(came.time, abs=60)
    assert json.loads(sent.text) == request
    assert (sent.method, came.method, broken.method) == ("depth", "depth", None)
    params = {"symbol": "BTCUSDT", "limit": 5}
    assert sent.decode() == Sent(id=request["id"], method="depth", params=params)
    response = came.decode()
    assert isinstance(response, Response)
    assert isinstance(response.result, bintrio.OrderBook)
    assert (broken.text, binary.text) == ("{", "\\xff")
    for unreadable in (broken, binary):
        with pytest.raises(ProtocolViolation):
            unreadable.decode()


async def test_g13_events_refusals_and_answers_to_nobody_are_read_too(autojump_clock: MockClock) -> None:
    kept: list[Message] = []
    async with (
        open_pair(observer=Recorder(kept.append), key=ed25519_key()) as (session, exchange),
        session.user_data() as events,
        trio.open_nursery() as nursery,
    ):
        peer = exchange.peers[0]
        await peer.balance(7)
        assert await deltas(events, 1) == [7]
        in_background(nursery, lambda: session.send(BUY))
        await peer.refuse(await peer.next(), 400, -2010, "Order would immediately match and take.")
        await peer.send(json.dumps({"id": 99, "status": 200, "result": {"a": 1}}))
        await wait_all_tasks_blocked()
    decoded = [message.decode() for message in kept]
    event = next(each for each in decoded if isinstance(each, UserEvent))
    assert isinstance(event.event, bintrio.BalanceUpdate)
    refusal = next(each for each in decoded if isinstance(each, Response) and each.status == 400)
    assert isinstance(refusal.error, bintrio.OrderRefused)
    nobodys = next(each for each in decoded if isinstance(each, Response) and each.id == 99)
    assert nobodys.result == {"a": 1}


async def test_g13_a_call_that_never_left_is_not_in_the_recording(autojump_clock: MockClock) -> None:
    kept: list[Message] = []
    async with open_pair(observer=Recorder(kept.append), key=HMAC) as (session, _):
        until = trio.Event()
        stall(session, until)
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                in_background(nursery, lambda: session.send(BUY))
                await wait_all_tasks_blocked()
                in_background(nursery, session.ping)
                await wait_all_tasks_blocked()
        until.set()
        await trio.sleep(1)
    assert "ping" not in [message.method for message in kept]


async def test_g13_what_comes_while_a_connection_closes_is_in_the_recording(autojump_clock: MockClock) -> None:
    kept: list[Message] = []
    async with open_pair(observer=Recorder(kept.append), key=HMAC) as (session, exchange):
        with trio.move_on_after(1):
            await session.send(BUY)
        request = await exchange.peers[0].next()
        session._supervisor.close()
        await exchange.peers[0].answer(request, ACK)
        await wait_all_tasks_blocked()
    assert kept[-1].method == "order.place"
    assert not kept[-1].is_sent


async def test_g9_a_recording_holds_no_secret(autojump_clock: MockClock, tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    key, other = ed25519_key("the-api-key-of-one"), bintrio.HmacKey("the-api-key-of-another", "its-secret")
    with recording.to_file(path) as recorder:
        async with open_pair(observer=recorder, key=key) as (session, exchange), session.user_data(other):
            with trio.move_on_after(1):
                await session.send(BUY)
    told = path.read_text()
    signed = [request["params"] for request in exchange.log if "params" in request]
    signatures = [params["signature"] for params in signed if "signature" in params]
    assert len(signatures) == 2
    for secret in (key.api_key, other.api_key, "its-secret", *signatures):
        assert secret not in told
    assert told.count('"apiKey":"…"') == 2 + 1  # the answer to the logon has it too
    logon = next(each for each in recording.read(path) if each.method == "session.logon" and each.is_sent).decode()
    assert isinstance(logon, Sent)
    assert (logon.params["apiKey"], logon.params["signature"]) == ("…", "…")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'{"apiKey":"abc"}', '{"apiKey":"…"}'),
        (b'{"signature" : "a\\"b", "x": 1}', '{"signature" : "…", "x": 1}'),
        (b'{"listenKey":\n"k"}', '{"listenKey":\n"…"}'),
        (b'{"apiKey":null,"symbol":"apiKey"}', '{"apiKey":null,"symbol":"apiKey"}'),
        (b'{"apiKey":"\xc3\xa4"}', '{"apiKey":"…"}'),
        (b"\xff", "\\xff"),
    ],
)
def test_g9_keys_and_signatures_are_made_unreadable(data: bytes, shown: str) -> None:
    assert redacted_message(data) == shown


async def test_a_file_gives_back_what_was_kept(autojump_clock: MockClock, tmp_path: Path) -> None:
    """From the sandbox, over a loss; and what was there before stays."""
    path, kept = tmp_path / "day.jsonl", list[Message]()
    for number in range(2):
        with recording.to_file(path) as recorder:
            keep = recorder._keep

            def both(message: Message, keep: Any = keep) -> None:
                kept.append(message)
                keep(message)

            recorder._keep = both
            async with (
                open_sandbox(listen=False) as sandbox,
                bintrio.open_session(
                    sandbox.memory_endpoint,
                    key=sandbox.key,
                    connect=sandbox.connect,
                    observer=recorder,
                    name=f"bot-{number}",
                ) as session,
                session.user_data(),
            ):
                sandbox.inject(Disconnect("depth"))
                await session.depth(symbol="BTCUSDT", limit=5)
                await session.exchange_info()
    assert list(recording.read(path)) == kept
    assert {(each.session, each.connection) for each in kept} == {(f"bot-{n}", c) for n in range(2) for c in (1, 2)}
    assert {each.method for each in kept} >= {"time", "session.logon", "depth", "exchangeInfo"}
    for message in kept:
        message.decode()


@pytest.mark.parametrize("text", ["{", '"x"', ' "x"', "\\xff", "[1]", "null", '{"a":\n1.10}', "ä"])
def test_any_text_comes_back(text: str) -> None:
    message = Message(session="s", connection=1, address="h:1", is_sent=False, at=1.5, time=2.5, text=text, method=None)
    line = recording._line(message)
    assert line.count(b"\n") == 1
    (read,) = recording.read([line, "\n"])
    assert read == message if "\n" not in text else json.loads(read.text) == {"a": 1.1} and "1.10" in read.text


def recorded(number: int) -> bytes:
    return recording._line(
        Message(session="s", connection=number, address="h:1", is_sent=True, at=1, time=2, text="{}", method=None)
    )


def test_half_a_line_of_a_program_that_was_killed_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(recorded(1) + recorded(2)[:-9])
    assert [message.connection for message in recording.read(path)] == [1]
    (warning,) = caplog.records
    assert (warning.name, warning.getMessage()) == (
        "bintrio",
        "line 2 of a recording ends too soon, and is passed over",
    )
    assert vars(warning)["line"] == 2
    # What is recorded next begins a line of its own.
    for number in (3, 4):
        with recording.to_file(path) as recorder:
            recorder(observing.MessageSent(session="s", connection=number, address="h:1", at=1, text="{}"))
    assert [message.connection for message in recording.read(path)] == [1, 3, 4]
    assert path.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("line", ["{}", '{"time": "x"}', "x" * 1000])
def test_a_line_that_is_none_is_named(line: str) -> None:
    good = recording._line(
        Message(session="s", connection=1, address="h:1", is_sent=True, at=1.5, time=2.5, text="{}", method=None)
    )
    with pytest.raises(InvalidRequest, match="line 2 is none of a recording"):
        list(recording.read([good, line]))


def test_what_was_sent_and_is_no_call_is_a_violation() -> None:
    message = Message(session="s", connection=1, address="h:1", is_sent=True, at=1, time=1, text='{"id":1}')
    with pytest.raises(ProtocolViolation, match="the message is no call"):
        message.decode()


async def test_a_slow_disk_goes_behind_a_buffer(autojump_clock: MockClock) -> None:
    """The buffer asks for the messages, as the recorder would."""
    kept: list[Message] = []
    recorder = Recorder(kept.append)

    async def slowly(fact: observing.Fact) -> None:
        recorder(fact)

    slowly.fact_kinds = recorder.fact_kinds  # type: ignore[attr-defined]  # functions may have attributes
    async with observing.buffered(slowly) as quick, open_pair(observer=quick):
        pass
    assert [message.method for message in kept if message.is_sent] == ["time", "time", "time", "exchangeInfo"]


def test_other_facts_are_none_of_its_business() -> None:
    kept: list[Message] = []
    Recorder(kept.append)(observing.SessionStarted(endpoint="x"))
    assert kept == []


async def test_who_does_not_ask_is_told_of_no_message(autojump_clock: MockClock) -> None:
    seen: list[observing.Fact] = []
    async with open_pair(observer=seen.append):
        pass
    assert not [fact for fact in seen if isinstance(fact, observing.MessageSent | observing.MessageReceived)]


async def test_who_asks_for_one_direction_is_told_of_that_only(autojump_clock: MockClock) -> None:
    class Incoming(list[observing.Fact]):
        fact_kinds = frozenset({observing.MessageReceived})

        def __call__(self, fact: observing.Fact) -> None:
            self.append(fact)

    seen = Incoming()
    async with open_pair(observer=seen):
        pass
    assert {type(fact) for fact in seen} == {observing.MessageReceived}
