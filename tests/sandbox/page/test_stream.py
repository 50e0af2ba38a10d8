"""What the page is told, and when: in memory, by a mock clock."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.sandbox import Sandbox, open_sandbox
from bintrio.sandbox.page import page, serve_page
from bintrio.sandbox.page.stream import INTERVAL, MOST, EventStream, Message, Places, Watched, event, look

WATCHED = Watched(symbol="BTCUSDT")
SCOPE: Message = {}


class Reader:
    """Who reads a stream, as the HTTP library stands for it.

    Attributes:
        patience: seconds that each event takes to be taken.
    """

    def __init__(self, patience: float = 0.0) -> None:
        self.patience = patience
        self.heads: list[Message] = []
        self._news, self._read = trio.open_memory_channel[Any](1_000)
        self._gone = trio.Event()
        self._asked = False

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.heads.append(message)
            return
        assert message["more_body"]
        await trio.sleep(self.patience)
        text: str = message["body"].decode()
        assert text.startswith("data: {")
        assert text.endswith("}\n\n")
        self._news.send_nowait(json.loads(text.removeprefix("data: ")))

    async def next(self) -> Any:
        return await self._read.receive()

    def go(self) -> None:
        self._gone.set()


@asynccontextmanager
async def watched(reader: Reader, **settings: Any) -> AsyncGenerator[tuple[Sandbox, Places], None]:
    async with open_sandbox(listen=False, start_time_ms=60_000, **settings) as sandbox, trio.open_nursery() as nursery:
        places = Places()
        nursery.start_soon(EventStream(sandbox, WATCHED, places), SCOPE, reader.receive, reader.send)
        yield sandbox, places
        reader.go()


def test_an_event_has_the_views_that_differ() -> None:
    assert event({"a": "[1]", "b": "2"}, {}, 0) == b'data: {"skipped":0,"views":{"a":[1],"b":2}}\n\n'
    assert event({"a": "[1]", "b": "3"}, {"a": "[1]", "b": "2"}, 4) == b'data: {"skipped":4,"views":{"b":3}}\n\n'
    assert event({"a": "1"}, {"a": "1"}, 0) == b'data: {"skipped":0,"views":{}}\n\n'


async def test_no_text_of_a_client_ends_an_event() -> None:
    async with open_sandbox(listen=False) as sandbox:
        async with bintrio.open_session(sandbox.endpoint, connect=sandbox.connect) as session:
            with pytest.raises(bintrio.Rejected):
                await session.request("depth", {"symbol": "X\n\ndata: {}\r\n</script>"})
        views = look(sandbox, WATCHED)
        assert event(views, {}, 0).count(b"\n") == 2
        assert json.loads(views["calls"])[-1]["params"]["symbol"].startswith("X\n\n")


async def test_everything_comes_first_and_then_what_has_changed(autojump_clock: MockClock) -> None:
    reader = Reader()
    async with watched(reader) as (sandbox, _):
        first = await reader.next()
        assert reader.heads[0]["headers"] == [(b"content-type", b"text/event-stream")]
        assert first["views"].keys() == look(sandbox, WATCHED).keys()
        assert (await reader.next())["views"].keys() == {"state"}  # its time
        sandbox.quote("BTCUSDT", Decimal(9), Decimal(10), Decimal(1))
        news = await reader.next()
        assert news["views"].keys() == {"state", "book"}
        assert news["views"]["book"]["bids"] == [["9.00000000", "1.00000000"]]
        assert news["views"]["state"]["time"] == 60_000 + 2 * INTERVAL * 1_000


async def test_what_belongs_to_a_symbol_is_that_of_the_one_that_is_watched() -> None:
    async with open_sandbox(listen=False) as sandbox:
        for symbol in ("BTCUSDT", "ETHUSDT"):
            sandbox.quote(symbol, Decimal(9), Decimal(10), Decimal(2))
        sandbox.trade("ETHUSDT", "SELL", Decimal(9), Decimal(1))
        views = {name: json.loads(text) for name, text in look(sandbox, Watched(symbol="ETHUSDT")).items()}
        assert views["book"]["bids"] == [["9.00000000", "1.00000000"]]
        assert [candle["volume"] for candle in views["candles"]] == ["1.00000000"]
        assert json.loads(look(sandbox, WATCHED)["candles"]) == []


async def test_it_ends_when_the_reader_has_gone(autojump_clock: MockClock) -> None:
    reader = Reader()
    async with watched(reader) as (_, places):
        await reader.next()
        assert places.free == MOST - 1
        reader.go()
        await trio.testing.wait_all_tasks_blocked()
        assert places.free == MOST


async def test_it_can_be_cancelled_while_it_waits_and_while_it_sends(autojump_clock: MockClock) -> None:
    for patience in (0.0, 100.0):
        reader = Reader(patience)
        async with open_sandbox(listen=False) as sandbox:
            places = Places()
            with trio.move_on_after(10):
                await EventStream(sandbox, WATCHED, places)(SCOPE, reader.receive, reader.send)
            assert places.free == MOST


async def test_g11_a_slow_reader_misses_looks_and_holds_up_nobody(autojump_clock: MockClock) -> None:
    slow, quick = Reader(patience=5 * INTERVAL), Reader()
    async with watched(slow) as (sandbox, _), trio.open_nursery() as nursery:
        nursery.start_soon(EventStream(sandbox, WATCHED, Places()), SCOPE, quick.receive, quick.send)
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
            started = trio.current_time()
            for _ in range(100):
                await session.ping()
            assert trio.current_time() == started
        assert [(await slow.next())["skipped"] for _ in range(3)] == [0, 5, 10]
        seen = [(await quick.next())["skipped"] for _ in range(30)]
        assert seen == [0] * 30
        quick.go()


def much(_sandbox: Sandbox, _watched: Watched) -> dict[str, str]:
    """More than the system keeps for a reader, and new each time."""
    return {"state": f'"{trio.current_time()}{"x" * 10**7}"'}


@pytest.mark.extra
async def test_g11_a_browser_that_does_not_read_is_cut_off_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("needs TCP_USER_TIMEOUT, which Linux has")
    left = trio.Event()

    class Noted(EventStream):
        async def __call__(self, *message: Any) -> None:
            try:
                await super().__call__(*message)
            finally:
                left.set()

    monkeypatch.setattr("bintrio.sandbox.page.EventStream", Noted)
    monkeypatch.setattr("bintrio.sandbox.control.UNREAD", 200)
    monkeypatch.setattr("bintrio.sandbox.page.stream.look", much)
    async with open_sandbox() as sandbox, trio.open_nursery() as nursery:
        url: str = await nursery.start(serve_page, sandbox)
        address, _, token = url.partition("/?token=")
        port = int(address.rpartition(":")[2])
        head = (
            f"GET /events?symbol=BTCUSDT HTTP/1.1\r\nHost: localhost\r\nCookie: bintrio-sandbox-{port}={token}\r\n\r\n"
        )
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(head.encode())
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key) as session:
            for _ in range(20):
                await session.ping()
            await left.wait()
        await stream.aclose()
        nursery.cancel_scope.cancel()


async def test_g11_only_so_many_streams_are_served(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox, trio.open_nursery() as nursery:
        application: Any = page(sandbox, "t")
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/events",
            "query_string": b"symbol=BTCUSDT",
            "headers": [(b"host", b"localhost"), (b"cookie", b"bintrio-sandbox-8000=t")],
            "server": ("localhost", 8000),
        }
        readers = [Reader() for _ in range(MOST)]
        for reader in readers:
            nursery.start_soon(application, {**scope}, reader.receive, reader.send)
            await reader.next()
        cookie = {"cookie": "bintrio-sandbox-8000=t"}
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", headers=cookie) as client:
            answer = await client.get("/events?symbol=BTCUSDT")
            assert (answer.status_code, answer.json()["error"]) == (503, "too many pages are open")
        nursery.cancel_scope.cancel()
