"""The page over HTTP, in memory: who is let in, and what is there."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
import trio
from starlette.types import Message

import bintrio
from bintrio.api._base import catalogue
from bintrio.sandbox import Sandbox, open_sandbox
from bintrio.sandbox.page import page, serve_page
from bintrio.sandbox.page.guard import HEADERS
from bintrio.sandbox.page.stream import Watched, looked_at

TOKEN = "a-token"
PATHS = ["/", "/page.css", "/page.js", "/charts.js", "/forms.js", "/tables.js", "/icon.svg", "/about", "/control/state"]


@asynccontextmanager
async def opened(**options: Any) -> AsyncGenerator[tuple[Sandbox, httpx.AsyncClient], None]:
    """A sandbox, and who has not shown the token."""
    async with open_sandbox(listen=False) as sandbox:
        transport = httpx.ASGITransport(app=page(sandbox, TOKEN, **options))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            yield sandbox, client


@asynccontextmanager
async def let_in(**options: Any) -> AsyncGenerator[tuple[Sandbox, httpx.AsyncClient], None]:
    """The same once the URL was opened."""
    async with opened(**options) as (sandbox, client):
        assert (await client.get(f"/?token={TOKEN}", follow_redirects=True)).status_code == 200
        yield sandbox, client


async def test_the_url_lets_in_and_leaves_no_token_in_the_address() -> None:
    async with opened() as (_, client):
        answer = await client.get(f"/?token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert answer.headers["set-cookie"] == f"bintrio-sandbox-8000={TOKEN}; HttpOnly; Path=/; SameSite=strict"
        assert (await client.get("/")).text.startswith("<!doctype html>")


@pytest.mark.parametrize("path", [*PATHS, "/none", "/events?symbol=BTCUSDT"])
async def test_nobody_else_is_let_in(path: str) -> None:
    async with opened() as (_, client):
        for wrong in ("", "a-tokem", "ä", "a-token-"):
            answer = await client.get(path, params={"token": wrong})
            assert (answer.status_code, answer.text.count("with its token")) == (403, 1)
        answer = await client.get(
            path, headers={"cookie": "bintrio-sandbox-8000=a-tokem; bintrio-sandbox-8001=a-token"}
        )
        assert answer.status_code == 403
        assert (await client.post("/control/disconnect", json={})).status_code == 403


@pytest.mark.parametrize("path", [*PATHS, "/none"])
async def test_every_answer_says_what_a_browser_may_do(path: str) -> None:
    async with let_in() as (_, client):
        for client_or_stranger in (client, httpx.AsyncClient(transport=client._transport, base_url=client.base_url)):
            answer = await client_or_stranger.get(path)
            assert HEADERS.items() <= answer.headers.items()
        assert "default-src 'none'" in HEADERS["content-security-policy"]
        assert "unsafe" not in HEADERS["content-security-policy"]


async def test_every_file_that_the_page_names_is_there() -> None:
    async with let_in() as (_, client):
        named = {"/"}
        for path in PATHS[:6]:
            answer = await client.get(path)
            assert answer.status_code == 200
            named |= {f"/{name}" for name in re.findall(r'(?:href|src|from) ?=?"(?:\./)?([\w.]+)"', answer.text)}
        assert named == set(PATHS[:7])
        assert (await client.get("/icon.svg")).headers["content-type"] == "image/svg+xml"


async def test_the_page_has_neither_script_nor_style_of_its_own_nor_anything_from_elsewhere() -> None:
    async with let_in() as (_, client):
        text = (await client.get("/")).text
        assert not re.search(r"<style|style=|onclick|https?:|<script(?! type=\"module\" src)", text)
        for path in PATHS[2:6]:
            script = (await client.get(path)).text
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


async def test_every_view_that_is_sent_is_drawn() -> None:
    async with let_in() as (_, client):
        _, _, drawings = (await client.get("/page.js")).text.partition("const DRAWINGS = {")
        drawn = re.findall(r"^  (\w+): \(\) =>", drawings.partition("\n};")[0], re.MULTILINE)
        assert sorted(drawn) == sorted(looked_at(Watched(symbol="BTCUSDT")))


async def test_about_says_what_there_is_to_choose_from() -> None:
    async with let_in() as (sandbox, client):
        about = (await client.get("/about")).json()
        assert (about["endpoint"], about["symbols"]) == (sandbox.endpoint.urls[0], ["BTCUSDT", "ETHUSDT", "BNBBTC"])
        assert about["methods"] == sorted(catalogue)
        assert about["intervals"][:2] == ["1s", "1m"]
        assert {form["command"] for form in about["forms"]} >= {"fault", "quote", "shutdown", "advance"}


async def test_the_control_is_there_and_says_what_is_wrong() -> None:
    async with let_in() as (sandbox, client):
        answer = await client.post(
            "/control/quote", json={"symbol": "BTCUSDT", "bid": "9", "ask": "10", "quantity": "1"}
        )
        assert (answer.status_code, sandbox.book("BTCUSDT").bids[0].price) == (200, Decimal(9))
        assert (await client.post("/control/advance", json={"seconds": -1})).json()["field"] == "seconds"
        assert (await client.post("/control/disconnect", content=b"{}")).status_code == 415
        assert (await client.get("/control/book?symbol=NONE")).json() == {"error": "Invalid symbol.", "code": -1121}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "Object missing required field `symbol`"),
        ("?symbol=NONE", "Invalid symbol."),
        ("?symbol=BTCUSDT&interval=2m", "interval must be one of"),
    ],
)
async def test_what_cannot_be_watched_is_refused_before_the_stream_begins(query: str, said: str) -> None:
    async with let_in() as (_, client):
        answer = await client.get(f"/events{query}")
        assert (answer.status_code, answer.json()["error"].startswith(said)) == (400, True)


async def test_a_page_of_this_machine_is_for_no_other_name_of_it() -> None:
    """A name that leads here is how a page of another site would get around its browser's rules."""
    for is_local, status in ((True, 400), (False, 200)):
        async with let_in(is_local=is_local) as (_, client):
            assert (await client.get("/", headers={"host": "evil.example"})).status_code == status


async def test_the_library_may_begin_and_end() -> None:
    async with open_sandbox(listen=False) as sandbox:
        told: list[Message] = []

        async def receive() -> Message:
            return {"type": "lifespan.startup" if not told else "lifespan.shutdown"}

        async def send(message: Message) -> None:
            told.append(message)

        await page(sandbox, TOKEN)({"type": "lifespan", "app": None}, receive, send)
        assert [message["type"] for message in told] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_g9_the_token_is_in_no_log_and_no_answer_and_keys_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_sandbox(listen=False) as sandbox, trio.open_nursery() as nursery:
        url: str = await nursery.start(serve_page, sandbox)
        address, _, token = url.partition("/?token=")
        async with (
            httpx.AsyncClient(base_url=address, trust_env=False) as client,
            bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect),
        ):
            caplog.clear()
            assert (await client.get(f"/?token={token}")).headers["set-cookie"].count(token) == 1
            told = [
                (await client.get(path)).text for path in (*PATHS, "/none", "/control/connections", "/control/calls")
            ]
        nursery.cancel_scope.cancel()
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
    assert token not in ours
    account = sandbox.account
    for secret in (token, account.key.api_key, account.hmac_secret(), account.ed25519_pem().decode()):
        assert not any(secret in text for text in told)


async def test_a_page_for_all_addresses_is_named_as_this_machine_reaches_it() -> None:
    async with open_sandbox(listen=False) as sandbox, trio.open_nursery() as nursery:
        url: str = await nursery.start(serve_page, sandbox, "0.0.0.0")
        assert url.startswith("http://127.0.0.1:")
        async with httpx.AsyncClient(trust_env=False, headers={"host": "that-machine:1"}) as client:
            assert (await client.get(url)).status_code == 303
        nursery.cancel_scope.cancel()


async def test_it_is_served_with_a_token_of_its_own() -> None:
    async with open_sandbox(listen=False) as sandbox, trio.open_nursery() as nursery:
        urls = [await nursery.start(serve_page, sandbox) for _ in range(2)]
        tokens = {url.partition("/?token=")[2] for url in urls}
        assert len(tokens) == 2
        assert all(len(token) >= 40 for token in tokens)
        async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as client:
            assert (await client.get(urls[0])).text.startswith("<!doctype html>")
        nursery.cancel_scope.cancel()
