"""The control of a sandbox over HTTP: in memory, and once over a socket."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import hypercorn.trio
import pytest
import trio
from hypercorn.config import Config
from trio.testing import MockClock
from trio_websocket import wrap_client_stream

import bintrio
from bintrio.sandbox import IpBan, Link, Sandbox, SandboxAccount, Way, open_sandbox
from bintrio.sandbox.commands import COMMANDS
from bintrio.sandbox.control import control, serve_control
from bintrio.sandbox.views import VIEWS


class Told:
    """A sandbox, and what controls it."""

    def __init__(self, sandbox: Sandbox, client: httpx.AsyncClient) -> None:
        self.sandbox = sandbox
        self.client = client

    async def tell(self, name: str, **fields: Any) -> Any:
        """The answer to a command that is done."""
        answer = await self.client.post(f"/{name}", json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, name: str, **fields: Any) -> Any:
        """The answer to a command that is not done."""
        answer = await self.client.post(f"/{name}", json=fields)
        assert answer.status_code == 400, answer.text
        return answer.json()

    async def ask(self, name: str, **fields: Any) -> Any:
        """What a view shows."""
        answer = await self.client.get(f"/{name}", params=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[bintrio.Session, None]:
        """To the sandbox."""
        sandbox = self.sandbox
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
            yield session


@asynccontextmanager
async def controlled(**settings: Any) -> AsyncGenerator[Told, None]:
    async with open_sandbox(listen=False, **settings) as sandbox:
        transport = httpx.ASGITransport(app=control(sandbox), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client:
            yield Told(sandbox, client)


def limit(quantity: str = "0.5") -> bintrio.requests.OrderPlace:
    return bintrio.requests.OrderPlace(
        symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="64000", quantity=quantity
    )


async def test_it_lists_what_there_is() -> None:
    async with controlled() as told:
        listed = await told.ask("")
        assert listed.keys() == {f"GET /{name}" for name in VIEWS} | {f"POST /{name}" for name in COMMANDS}


async def test_state_shows_time_accounts_and_what_came(autojump_clock: MockClock) -> None:
    async with controlled(accounts=[SandboxAccount(5, {"BTC": Decimal("1.5")})]) as told, told.session():
        state = await told.ask("state")
        assert state["time"] == told.sandbox.now()
        assert state["endpoint"] == "ws://localhost/ws-api/v3"
        assert (state["connections"], state["received"]["session.logon"], state["query_lag"]) == (1, 1, 0)
        assert state["accounts"] == [{"uid": 5, "balances": {"BTC": {"free": "1.50000000", "locked": "0.00000000"}}}]


async def test_quotes_and_trades_are_on_the_book() -> None:
    async with controlled() as told, told.session() as session:
        assert await told.tell("quote", symbol="BTCUSDT", bid=64_000, ask="64001.00", quantity=2.5) == {}
        book = await session.depth(symbol="BTCUSDT")
        assert (book.bids[0].price, book.asks[0].quantity) == (Decimal(64_000), Decimal("2.5"))
        order = await told.tell("trade", symbol="BTCUSDT", side="SELL", price=64_000, quantity=1)
        assert (order["status"], order["executed"], order["uid"]) == ("FILLED", "1.00000000", 0)
        await told.tell("block-trade", symbol="BTCUSDT", side="SELL", price=64_000, quantity=1)
        assert len(await session.block_trades_historical(symbol="BTCUSDT", from_id=0)) == 1


async def test_an_order_is_filled_on_request() -> None:
    async with controlled() as told, told.session() as session:
        placed = await session.send(limit())
        order = await told.tell("fill", order=placed.order_id, quantity="0.2")
        assert (order["order_id"], order["status"], order["executed"]) == (
            placed.order_id,
            "PARTIALLY_FILLED",
            "0.20000000",
        )
        assert (await told.tell("fill", order=placed.order_id))["status"] == "FILLED"
        (shown,) = await told.ask("orders")
        assert (shown["client_order_id"], shown["status"]) == (placed.client_order_id, "FILLED")
        refused = await told.refused("fill", order=99)
        assert refused["field"] == "order"


async def test_the_reference_price_is_set_from_outside() -> None:
    async with controlled() as told, told.session() as session:
        for price, shown in (("10.5", Decimal("10.5")), (None, None)):
            await told.tell("reference-price", symbol="BTCUSDT", price=price)
            found: Any = await session.reference_price(symbol="BTCUSDT")
            assert found.reference_price == shown


async def test_balances_are_added_to_and_taken_from() -> None:
    async with controlled(accounts=[SandboxAccount(5, {}), SandboxAccount(6, {})]) as told:
        assert await told.tell("deposit", asset="BTC", amount="2") == {
            "BTC": {"free": "2.00000000", "locked": "0.00000000"}
        }
        assert (await told.tell("deposit", asset="BTC", amount=-0.5))["BTC"]["free"] == "1.50000000"
        assert (await told.tell("deposit", asset="ETH", amount=1, uid=6)).keys() == {"ETH"}
        refused = await told.refused("deposit", asset="BTC", amount=-5)
        assert refused.keys() == {"error", "code"}
        assert (await told.refused("deposit", asset="BTC", amount=1, uid=7))["field"] == "uid"
        assert told.sandbox.balances()[0].free == Decimal("1.5")


async def test_another_system_locks_and_releases() -> None:
    async with controlled(accounts=[SandboxAccount(5, {}), SandboxAccount(6, {"BTC": Decimal(2)})]) as told:
        assert await told.tell("external-lock", asset="BTC", amount="0.5", uid=6) == {
            "BTC": {"free": "1.50000000", "locked": "0.50000000"}
        }
        assert (await told.tell("external-lock", asset="BTC", amount=-0.5, uid=6))["BTC"]["locked"] == "0.00000000"
        assert (await told.refused("external-lock", asset="BTC", amount=1)).keys() == {"error", "code"}


async def test_faults_strike_and_can_be_forgotten() -> None:
    async with controlled() as told, told.session() as session:
        await told.tell("fault", type="ServerError", method="order.place", executed=False, times=None)
        for _ in range(2):
            with pytest.raises(bintrio.OutcomeUnknown):
                await session.send(limit())
        await told.tell("clear-faults")
        assert (await session.send(limit())).order_id


async def test_links_clock_events_and_ends_are_told(autojump_clock: MockClock) -> None:
    async with controlled() as told, told.session() as session, session.user_data() as events:
        await told.tell("link", down={"latency": 2}, seed=1)
        assert told.sandbox.link == Link(down=Way(latency=2), seed=1)
        assert (await told.refused("link", down={"latency": -1}))["field"] == "down.latency"
        await told.tell("link")
        await told.tell("end-events")
        while not isinstance(await anext(events), bintrio.Gap):
            pass
        await told.tell("set-back", seconds=3)
        before = told.sandbox.now()
        await trio.sleep(2)
        assert told.sandbox.now() == before
        await told.tell("disconnect", code=1012, reason="restart")
        await trio.sleep(1)
        assert session.counters.losses == 1


async def test_the_clock_is_set_forward() -> None:
    async with controlled() as told, told.session() as session:
        now = told.sandbox.now()
        assert (await told.tell("advance", seconds=3600.5))["time"] >= now + 3_600_500
        with pytest.raises(bintrio.InvalidTimestamp):
            await session.send(limit())
        refused = await told.refused("advance", seconds=-1)
        assert refused == {
            "error": "seconds must be a number of seconds from 0 on, not float -1.0",
            "field": "seconds",
        }
        assert (await told.refused("advance", seconds=10**12))["error"] == "seconds lead beyond the year 9999"


async def test_queries_lag_when_they_are_told_to(autojump_clock: MockClock) -> None:
    async with controlled() as told, told.session() as session:
        await told.tell("lag", seconds=5)
        assert (await told.ask("state"))["query_lag"] == 5
        await session.send(limit())
        assert await session.open_orders_status() == ()
        await trio.sleep(5)
        assert len(await session.open_orders_status()) == 1


async def test_a_key_is_revoked() -> None:
    async with controlled() as told, told.session() as session:
        await told.tell("revoke", api_key=told.sandbox.key.api_key)
        with pytest.raises(bintrio.BintrioError):
            await session.account_status()
        assert (await told.refused("revoke", api_key="x"))["field"] == "api_key"


async def test_a_key_is_revoked_for_a_while(autojump_clock: MockClock) -> None:
    async with controlled() as told, told.session() as session:
        key = told.sandbox.hmac_key
        other = session.using(key)
        for lasts in (60, 30):  # one that is over does not end the other
            await told.tell("revoke", api_key=key.api_key, lasts=lasts)
        for pause in (0, 31):
            await trio.sleep(pause)
            with pytest.raises(bintrio.Unauthorized):
                await other.account_status()
        await trio.sleep(30)
        assert (await other.account_status()).uid == told.sandbox.account.uid
        assert (await told.refused("revoke", api_key=key.api_key, lasts=-1))["field"] == "lasts"


async def test_another_account_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "mine.pem"
    file.write_bytes(SandboxAccount(99, {}).ed25519_pem())
    key = bintrio.Ed25519Key.from_pem_file(file, api_key="mine")
    async with controlled() as told:
        keys = [{"api_key": "mine", "pem_file": str(file)}]
        await told.tell("account", uid=10, balances={"BTC": "3"}, keys=keys)
        sandbox = told.sandbox
        async with bintrio.open_session(sandbox.endpoint, key=key, connect=sandbox.connect) as session:
            assert (await session.account_status()).balances[0].free == 3
        assert "uid 10 already" in (await told.refused("account", uid=10))["error"]
        keys = [{"api_key": "other", "pem_file": str(tmp_path / "none.pem")}]
        assert (await told.refused("account", uid=11, keys=keys))["field"] == "keys"


async def test_another_account_is_told_with_keys_of_its_own() -> None:
    """Whoever opened it over HTTP can know them from nowhere else."""
    async with controlled() as told:
        opened = await told.tell("account", uid=10, balances={"BTC": "3"})
        ed25519, hmac = opened["keys"]
        assert (opened["uid"], ed25519["type"], hmac["type"]) == (10, "Ed25519", "HMAC")
        sandbox = told.sandbox
        for key in (
            bintrio.Ed25519Key.from_pem(ed25519["pem"], api_key=ed25519["api_key"]),
            bintrio.HmacKey(hmac["api_key"], hmac["secret"]),
        ):
            async with bintrio.open_session(sandbox.endpoint, key=key, connect=sandbox.connect) as session:
                assert (await session.account_status()).uid == 10


async def test_connections_are_told_to_go_and_are_cut(autojump_clock: MockClock) -> None:
    async with controlled() as told, told.session() as session:
        await told.tell("shutdown", after=5)
        await trio.sleep(6)
        await session.ping()
        assert session.counters.losses == 0
        assert await told.tell("disconnect") == {}
        await session.ping()
        assert session.counters.losses == 1


async def test_calls_show_what_came_and_how_it_was_answered() -> None:
    async with controlled() as told, told.session() as session:
        with pytest.raises(bintrio.Rejected):
            await session.send(limit("0"))
        await raw(told.sandbox, json.dumps({"id": 1, "method": "ping", "params": {"symbol": 10**30}}))
        *_, first, second = await told.ask("calls")
        assert (first["method"], first["status"], first["params"]["quantity"]) == ("order.place", 400, "0")
        assert not {"apiKey", "signature"} & first["params"].keys()
        assert (second["params"], second["status"], second["connection"]) == ({"symbol": 10**30}, 400, 2)


async def raw(sandbox: Sandbox, message: str) -> None:
    """Send what no session would, and wait for the answer."""
    stream: Any = await sandbox.connect(sandbox.endpoint.addresses(time_unit="ms")[0])
    async with trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(nursery, stream, "localhost", "/ws-api/v3")
        await websocket.send_message(message)
        await websocket.get_message()
        await websocket.aclose()


async def test_orders_are_shown_as_far_as_they_are_asked_for() -> None:
    async with controlled() as told, told.session() as session:
        first, second, third = [(await session.send(limit())).order_id for _ in range(3)]
        await told.tell("fill", order=first)
        assert [order["order_id"] for order in await told.ask("orders")] == [first, second, third]
        assert [order["order_id"] for order in await told.ask("orders", open="true")] == [second, third]
        assert [order["order_id"] for order in await told.ask("orders", open="true", limit=1)] == [third]
        assert (await told.ask("state"))["open_orders"] == 2
        assert len(await told.ask("calls", limit=2)) == 2


async def test_fills_are_shown_with_what_they_cost() -> None:
    async with controlled() as told, told.session() as session:
        placed = await session.send(limit())
        await told.tell("fill", order=placed.order_id, quantity="0.2")
        (fill,) = await told.ask("fills", symbol="BTCUSDT")
        assert (fill["order_id"], fill["side"], fill["is_maker"]) == (placed.order_id, "BUY", True)
        assert (fill["quantity"], fill["commission"], fill["commission_asset"]) == ("0.20000000", "0.00020000", "BTC")
        assert fill["time"] <= told.sandbox.now()


async def test_connections_show_whose_they_are_and_no_whole_key(autojump_clock: MockClock) -> None:
    async with controlled() as told, told.session() as session, session.user_data():
        await trio.sleep(50)
        await raw(told.sandbox, "{}")
        (shown,) = await told.ask("connections")
        key = told.sandbox.key.api_key
        assert (shown["number"], shown["address"], shown["uid"], shown["accounts"]) == (1, "memory", 2, [2])
        assert (shown["api_key"], shown["pings"], shown["round_trip"]) == (f"{key[:8]}…", 2, 0)
        assert shown["since"] == told.sandbox.now() - 50_000


async def test_budgets_show_what_is_used_and_until_when(autojump_clock: MockClock) -> None:
    async with controlled(start_time_ms=60_000) as told, told.session() as session:
        await session.send(limit())
        weight, connections, orders, day = await told.ask("budgets")
        assert (weight["address"], weight["type"], weight["limit"]) == ("memory", "REQUEST_WEIGHT", 6_000)
        await session.ping()
        assert (await told.ask("budgets"))[0]["used"] == weight["used"] + 1
        assert (connections["interval"], connections["used"], connections["ends_at"]) == ("5 MINUTE", 1, 300_000)
        assert (orders["uid"], orders["interval"], orders["used"], day["used"]) == (2, "10 SECOND", 1, 1)
        assert weight["banned_until"] is None
        sandbox = told.sandbox
        sandbox.inject(IpBan(retry_after=5))
        with pytest.raises(bintrio.BintrioError):
            await session.within(1).ping()
        assert (await told.ask("budgets"))[0]["banned_until"] == 65_000


async def test_faults_that_wait_are_shown_with_what_is_left_of_them() -> None:
    async with controlled() as told, told.session() as session:
        await told.tell("fault", type="DropReply", method="ping", times=3, skip=1)
        await session.ping()
        await told.tell("fault", type="Together", times=None, faults=[{"type": "EventsFirst"}, {"type": "DropReply"}])
        assert await told.ask("faults") == [
            {"type": "DropReply", "method": "ping", "times": 3, "skip": 0},
            {"type": "EventsFirst and DropReply", "method": None, "times": None, "skip": 0},
        ]


async def test_a_book_and_its_candles_are_shown() -> None:
    async with controlled(start_time_ms=60_000) as told:
        await told.tell("quote", symbol="BTCUSDT", bid=99, ask="101.5", quantity=2)
        assert await told.ask("book", symbol="BTCUSDT") == {
            "bids": [["99.00000000", "2.00000000"]],
            "asks": [["101.50000000", "2.00000000"]],
        }
        assert await told.ask("candles", symbol="BTCUSDT") == []
        await told.tell("trade", symbol="BTCUSDT", side="SELL", price=99, quantity=1)
        (candle,) = await told.ask("candles", symbol="BTCUSDT", interval="5m")
        assert candle == dict.fromkeys(("open", "high", "low", "close"), "99.00000000") | {
            "time": 0,
            "volume": "1.00000000",
        }


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/book", "Object missing required field `symbol`"),
        ("/book?symbol=NONE", "Invalid symbol."),
        ("/book?symbol=BTCUSDT&limit=0", "limit: Expected `int` >= 1"),
        ("/book?symbol=BTCUSDT&depth=1", "Object contains unknown field `depth`"),
        ("/candles?symbol=BTCUSDT&interval=7m", "interval must be one of 1s, 1m, 3m, 5m"),
        ("/orders?open=perhaps", "open: Expected `bool`"),
    ],
)
async def test_what_cannot_be_asked_for_is_named(path: str, said: str) -> None:
    async with controlled() as told:
        answer = await told.client.get(path)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(said)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"symbol": "BTCUSDT"}', "Object missing required field `bid`"),
        (b'{"symbol": 7, "bid": 1, "ask": 1, "quantity": 1}', "symbol: Expected `str`, got `int`"),
        (b'{"symbol": "X", "bid": 1, "ask": 1, "quantity": 1, "x": 1}', "Object contains unknown field `x`"),
        (b'{"symbol": "X", "bid": NaN, "ask": 1, "quantity": 1}', "the body is no JSON: NaN is no number"),
        (b"[]", "Expected `object`, got `array`"),
        (b"", "the body is no JSON: "),
        (b"\xff", "the body is no JSON: "),
        (b"[" * 100_000, "the body is no JSON: "),
    ],
)
async def test_what_cannot_be_right_is_named(body: bytes, said: str) -> None:
    async with controlled() as told:
        answer = await told.client.post("/quote", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(said)


async def test_what_the_books_refuse_has_the_code_of_the_exchange() -> None:
    async with controlled() as told:
        refused = await told.refused("quote", symbol="BTCUSDT", bid="0.001", ask=1, quantity=1)
        assert refused == {"error": "Filter failure: PRICE_FILTER", "code": -1013}


async def test_a_body_has_a_limit() -> None:
    async with controlled() as told:
        answer = await told.client.post("/quote", json={"symbol": "x" * 1_000_001})
        assert (answer.status_code, answer.json()["field"]) == (413, None)


async def test_no_page_of_a_browser_gets_through() -> None:
    """A page can send a form without asking, or have a name lead here; neither names JSON and this host."""
    async with controlled() as told:
        for content_type in ("text/plain", "application/x-www-form-urlencoded"):
            answer = await told.client.post("/disconnect", content=b"{}", headers={"content-type": content_type})
            assert answer.status_code == 415
        answer = await told.client.post("/disconnect", json={}, headers={"host": "evil.example:80"})
        assert answer.status_code == 400
        assert (await told.client.get("/state", headers={"host": "localhost:80"})).status_code == 200


async def test_what_there_is_not_is_answered_in_json() -> None:
    async with controlled() as told:
        assert ((await told.client.get("/x")).status_code, (await told.client.get("/x")).json()["field"]) == (404, None)
        assert (await told.client.get("/quote")).status_code == 405
        said = [(await told.client.post(path, json={})).json()["error"] for path in ("/faults-", "/somewhere/else")]
    assert said == [
        "there is no /faults-; did you mean 'faults'?",
        "there is no /somewhere/else; GET / lists what there is",
    ]


async def test_g11_a_mistake_of_ours_ends_one_answer_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with controlled() as told:
        with monkeypatch.context() as patched:
            patched.setattr(Sandbox, "calls", property(lambda _: 1 // 0))
            assert (await told.client.get("/calls")).status_code == 500
        assert await told.ask("calls") == []


async def test_it_listens_on_loopback() -> None:
    async with open_sandbox() as sandbox, trio.open_nursery() as nursery:
        url: str = await nursery.start(serve_control, sandbox, 0)
        assert url.startswith("http://127.0.0.1:")
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            assert (await client.get("/state")).json()["endpoint"] == sandbox.endpoint.urls[0]
            assert (await client.post("/deposit", json={"asset": "BTC", "amount": 1})).status_code == 200
        nursery.cancel_scope.cancel()
    assert nursery.cancel_scope.cancelled_caught


@pytest.mark.extra
async def test_g11_a_peer_that_does_not_read_keeps_it_from_ending_only_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("needs TCP_USER_TIMEOUT, which Linux has")
    monkeypatch.setattr("bintrio.sandbox.control.UNREAD", 100)
    async with open_sandbox(listen=False) as sandbox, trio.open_nursery() as nursery:
        url: str = await nursery.start(serve_control, sandbox, 0)
        stream = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
        # Until it does not take any more; by then it may have been given up.
        with suppress(trio.BrokenResourceError), trio.move_on_after(1):
            while True:
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000)
        nursery.cancel_scope.cancel()
    await stream.aclose()


async def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with open_sandbox(listen=False) as sandbox:
            with pytest.RaisesGroup(OSError):
                async with trio.open_nursery() as nursery:
                    await nursery.start(serve_control, sandbox, taken.getsockname()[1])


async def test_a_ctrl_c_that_the_server_keeps_to_itself_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def swallow(_application: object, config: Config, task_status: trio.TaskStatus[list[str]]) -> None:
        os.close(int(config.bind[0].removeprefix("fd://")))
        task_status.started(["http://127.0.0.1:1"])
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(hypercorn.trio, "serve", swallow)
    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with open_sandbox(listen=False) as sandbox, trio.open_nursery() as nursery:
            await nursery.start(serve_control, sandbox, 0)
            await trio.sleep_forever()
