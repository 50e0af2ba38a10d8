"""Opening a sandbox and leaving it: TCP, TLS, and what is raised through it."""

from __future__ import annotations

import ipaddress
import json
import signal
import ssl
import time
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import open_websocket_url, wrap_client_stream

import bintrio
from bintrio import open_session
from bintrio._text import shown
from bintrio.api.filters import ExchangeMaxNumOrdersFilter
from bintrio.api.general import SmartOrderRouting
from bintrio.api.trading import OrderFull
from bintrio.endpoints import Address
from bintrio.errors import InvalidRequest
from bintrio.sandbox import (
    START_TIME_MS,
    Commissions,
    CutReplyAt,
    Delay,
    DropReply,
    Garbage,
    HandshakeStatus,
    IpBan,
    LateReply,
    Limits,
    MutePings,
    Rates,
    Reorder,
    Replay,
    Sandbox,
    SandboxAccount,
    ServerError,
    Symbol,
    Together,
    TooManyRequests,
    WrongReply,
    open_sandbox,
)
from bintrio.sandbox.exchange.exchange import payload
from bintrio.sandbox.exchange.refusals import Refusal

D = Decimal


async def ask(url: str, method: str, ssl_context: ssl.SSLContext | None = None, /, **params: Any) -> dict[str, Any]:
    async with open_websocket_url(url, ssl_context=ssl_context) as websocket:
        await websocket.send_message(json.dumps({"id": 1, "method": method, "params": params}))
        reply: dict[str, Any] = json.loads(await websocket.get_message())
        return reply


async def test_it_listens_on_loopback() -> None:
    async with open_sandbox() as sandbox:
        (url,) = sandbox.endpoint.urls
        assert url.startswith("ws://127.0.0.1:")
        assert (await ask(url, "ping"))["status"] == 200
        assert sandbox.ssl_context is None
        assert repr(sandbox) == f"<Sandbox {url}, {sandbox.connections} connections>"


@pytest.mark.parametrize(
    ("name", "known"),
    [("this-machine", ["192.0.2.1", "fe80::1%eth0"]), ("this-machine", None), ("no_name_for_a_certificate", [])],
)
async def test_where_all_addresses_are_listened_on_the_certificate_names_this_machine(
    monkeypatch: pytest.MonkeyPatch, name: str, known: list[str] | None
) -> None:
    async def look_up(host: str, *_: object, **__: object) -> list[Any]:
        if known is None:
            raise OSError("not known")
        return [(0, 0, 0, "", (address, 0)) for address in known]

    async with open_sandbox(host="127.0.0.1", tls=True) as sandbox:
        assert await names_in_certificate(sandbox) == {"localhost", "127.0.0.1", "::1"}
    monkeypatch.setattr(trio.socket, "gethostname", lambda: name)
    with monkeypatch.context() as patched:
        listen = trio.open_tcp_listeners

        async def listen_first(*args: Any, **kwargs: Any) -> Any:
            listeners = await listen(*args, **kwargs)
            patched.setattr(trio.socket, "getaddrinfo", look_up)
            return listeners

        patched.setattr(trio, "open_tcp_listeners", listen_first)
        async with open_sandbox(host="0.0.0.0", tls=True) as sandbox:
            patched.undo()
            found = await names_in_certificate(sandbox)
    expected = {name, *(address.partition("%")[0] for address in known or ())} if "_" not in name else set[str]()
    assert found == {"localhost", "127.0.0.1", "::1", *expected}


async def names_in_certificate(sandbox: Sandbox) -> set[str]:
    (address,) = sandbox.endpoint.addresses(time_unit="ms")
    stream = await trio.open_ssl_over_tcp_stream(address.host, address.port, ssl_context=sandbox.ssl_context)
    await stream.do_handshake()
    names = stream.getpeercert()["subjectAltName"]
    await stream.aclose()
    return {str(ipaddress.ip_address(value)) if kind == "IP Address" else value for kind, value in names}


async def test_tls_is_valid_for_localhost_by_name_and_number() -> None:
    async with open_sandbox(tls=True) as sandbox:
        (url,) = sandbox.endpoint.urls
        for name in (url, url.replace("127.0.0.1", "localhost")):
            assert name.startswith("wss://")
            assert (await ask(name, "time", sandbox.ssl_context))["status"] == 200


async def test_g11_a_client_that_does_not_trust_the_certificate_hurts_nobody() -> None:
    async with open_sandbox(tls=True) as sandbox:
        (url,) = sandbox.endpoint.urls
        port = int(url.split(":")[2].split("/")[0])
        stream = await trio.open_ssl_over_tcp_stream("localhost", port)
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
        await trio.aclose_forcefully(stream)
        assert (await ask(url, "time", sandbox.ssl_context))["status"] == 200


async def test_a_port_that_is_taken() -> None:
    async with open_sandbox() as sandbox:
        port = int(sandbox.endpoint.urls[0].split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="in use"):
            async with open_sandbox(port=port):
                pytest.fail("two listeners on one port")


async def test_what_the_body_raises_comes_out_bare() -> None:
    with pytest.raises(LookupError, match="mine"):
        async with open_sandbox() as sandbox, open_websocket_url(sandbox.endpoint.urls[0]):
            raise LookupError("mine")
    group = ExceptionGroup("mine", [ValueError()])
    with pytest.raises(ExceptionGroup) as caught:
        async with open_sandbox(listen=False):
            raise group
    assert caught.value is group


async def test_a_cancelled_body_ends_at_once(autojump_clock: MockClock) -> None:
    with trio.move_on_after(5) as scope:
        async with open_sandbox(listen=False) as sandbox:
            await sandbox.connect(Address("x", 1, False, "/"))
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == 5


async def test_leaving_does_not_wait_for_anybody(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with open_sandbox(listen=False) as sandbox:
            stream: Any = await sandbox.connect(Address("x", 1, False, "/ws-api/v3"))
            await wrap_client_stream(nursery, stream, "x", "/ws-api/v3")
            sandbox.announce_shutdown(after=1_000)
        assert trio.current_time() == 0
        assert sandbox.connections == 0


def test_ctrl_c_comes_out_bare_and_at_once() -> None:
    async def main() -> None:
        async with open_sandbox():
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)


async def test_its_time_is_trios(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox:
        assert sandbox.now() == START_TIME_MS
        await trio.sleep(7 * 86_400)
        assert sandbox.now() == START_TIME_MS + 7 * 86_400_000
    before = time.time_ns() // 1_000_000
    async with open_sandbox(listen=False, start_time_ms=None) as sandbox:
        assert before <= sandbox.now() <= time.time_ns() // 1_000_000


async def test_accounts_and_symbols_of_ones_own() -> None:
    accounts = [SandboxAccount(10, {"DOGE": D(5)}), SandboxAccount(11, {})]
    async with open_sandbox(accounts=accounts, symbols=[Symbol(base="DOGE", quote="EUR")]) as sandbox:
        url = sandbox.endpoint.urls[0]
        sandbox.add_account(SandboxAccount(12, {}))
        for account, uid in ((accounts[0], 10), (accounts[1], 11), (SandboxAccount(12, {}), 12)):
            for key in (account.key, account.hmac_key):
                params: dict[str, Any] = {"apiKey": key.api_key, "timestamp": sandbox.now()}
                params["signature"] = key.sign(payload(params))
                assert (await ask(url, "account.status", **params))["result"]["uid"] == uid
        assert sandbox.key is accounts[0].key
        assert (sandbox.hmac_key, sandbox.rsa_key) == (accounts[0].hmac_key, accounts[0].rsa_key)
        assert [s["symbol"] for s in (await ask(url, "exchangeInfo"))["result"]["symbols"]] == ["DOGEEUR"]
        sandbox.revoke(sandbox.key.api_key)
        params = {"apiKey": sandbox.key.api_key, "timestamp": 1, "signature": "x"}
        assert (await ask(url, "account.status", **params))["error"]["code"] == -2015


async def test_a_market_maker_quotes_and_trades() -> None:
    async with open_sandbox() as sandbox:
        url = sandbox.endpoint.urls[0]
        sandbox.quote("BTCUSDT", D(99), D(101), D(2))
        sandbox.quote("BTCUSDT", D(100), D(102), D(3))
        book = (await ask(url, "depth", symbol="BTCUSDT"))["result"]
        assert (book["bids"], book["asks"]) == (
            [["100.00000000", "3.00000000"]],
            [["102.00000000", "3.00000000"]],
        )
        assert sandbox.trade("BTCUSDT", "SELL", D(100), D(1)).status == "FILLED"
        assert sandbox.orders == []
        with pytest.raises(Refusal):
            sandbox.quote("BTCUSDT", D("0.001"), D(102), D(3))


async def test_deposits_and_withdrawals() -> None:
    async with open_sandbox(listen=False, accounts=[SandboxAccount(7, {}), SandboxAccount(8, {})]) as sandbox:
        sandbox.deposit("BTC", D(3))
        sandbox.withdraw("BTC", D(1))
        sandbox.deposit("BTC", D(4), uid=8)
        with pytest.raises(Refusal, match="insufficient"):
            sandbox.withdraw("BTC", D(3))


async def test_another_system_locks_what_is_free_and_who_follows_is_told(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False, accounts=[SandboxAccount(7, {"BTC": D(3)}), SandboxAccount(8, {})]) as sandbox,
        open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
        session.user_data() as events,
    ):
        sandbox.lock_externally("BTC", D(2))
        locked, position = await anext(events), await anext(events)
        assert isinstance(locked, bintrio.ExternalLockUpdate)
        assert (locked.asset, locked.delta) == ("BTC", D(2))
        assert locked.event_time == locked.transaction_time == sandbox.now()
        assert isinstance(position, bintrio.OutboundAccountPosition)
        assert (position.balances[0].free, position.balances[0].locked) == (D(1), D(2))
        with pytest.raises(Refusal, match="insufficient"):
            sandbox.withdraw("BTC", D(2))
        with pytest.raises(Refusal, match="insufficient"):
            sandbox.lock_externally("BTC", D(1), uid=8)
        sandbox.lock_externally("BTC", D(-2))
        assert sandbox.balances()[0].locked == 0


async def test_all_connections_can_be_cut(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox, trio.open_nursery() as nursery:
        stream: Any = await sandbox.connect(Address("x", 1, False, "/ws-api/v3"))
        websocket = await wrap_client_stream(nursery, stream, "x", "/ws-api/v3")
        assert sandbox.connections == 1
        sandbox.disconnect()
        await wait_all_tasks_blocked()
        assert sandbox.connections == 0
        assert websocket.closed is not None
        assert websocket.closed.code == 1006


async def test_routes_filters_and_commissions_are_given_when_it_is_opened(autojump_clock: MockClock) -> None:
    symbols = [Symbol(base="BTC", quote=quote) for quote in ("USDT", "USDC")]
    limit = ExchangeMaxNumOrdersFilter(max_num_orders=1)
    account = SandboxAccount(5, {"USDT": D(1_000)}, commissions=Commissions(tax=Rates(buyer=D("0.5"))))
    async with (
        open_sandbox(
            listen=False,
            symbols=symbols,
            routes=[("BTCUSDT", "BTCUSDC")],
            exchange_filters=[limit],
            accounts=[account],
        ) as sandbox,
        open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        info = await session.exchange_info()
        assert info.exchange_filters == (limit,)
        assert info.sors == (SmartOrderRouting(base_asset="BTC", symbols=("BTCUSDT", "BTCUSDC")),)
        sandbox.trade("BTCUSDC", "SELL", D(100), D(1))
        order = await session.sor_order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="100", quantity="1"
        )
        assert isinstance(order, OrderFull)
        assert [fill.commission for fill in order.fills] == [D("0.5")]


async def test_of_a_name_with_several_addresses_the_first_is_listened_on() -> None:
    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host: Any, port: Any, family: int = 0, *_: Any, **__: Any) -> list[Any]:
            kind, protocol = trio.socket.SOCK_STREAM, trio.socket.IPPROTO_TCP
            return [(trio.socket.AF_INET, kind, protocol, "", (f"127.0.0.{number}", port)) for number in (1, 2)]

        async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())  # until this run of trio ends
    async with open_sandbox(host="two.example") as sandbox:
        (address,) = sandbox.endpoint.addresses(time_unit="ms")
        assert address.host == "two.example"
        stream = await trio.open_tcp_stream("127.0.0.1", address.port)
        await stream.aclose()
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream("127.0.0.2", address.port)


async def test_block_trades_are_shown_and_move_no_price(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox:
        sandbox.block_trade("BTCUSDT", "BUY", D("64000.5"), D(3))
        sandbox.block_trade("BTCUSDT", "SELL", D("64000.5"), D(2))
        with pytest.raises(Refusal, match="Invalid symbol"):
            sandbox.block_trade("NOPE", "BUY", D(1), D(1))
        async with open_session(sandbox.memory_endpoint, connect=sandbox.connect) as session:
            shown = await session.block_trades_historical(symbol="BTCUSDT", from_id=1)
            assert (await session.ticker_price(symbol="BTCUSDT")).price == 0
        assert {trade.time for trade in shown} == {sandbox.now()}
    assert [(trade.id, trade.quote_qty, trade.is_buyer_maker) for trade in shown] == [
        (1, D("192001.5"), False),
        (2, D(128_001), True),
    ]


NAN = float("nan")
NO_ROUTE: list[list[str]] = [[]]
NO_DURATIONS = [0, -1, NAN, "1", None, True, Decimal(1)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, value) for name in ("ping_interval", "pong_window", "lifetime") for value in NO_DURATIONS),
        *(("query_lag", value) for value in [*NO_DURATIONS[1:], float("inf")]),
        *(("port", value) for value in [-1, 65_536, "80", 1.0, None, False]),
        *(("keep", value) for value in [0, -1, 10**13, "5", 1.0, True]),
        *(("start_time_ms", value) for value in [-1, 10**15, "0", 1.0, True]),
        *(("host", value) for value in [None, 1, b"localhost"]),
        *((name, value) for name in ("tls", "listen") for value in [1, "no"]),
        ("tls", None),
        *(("market", value) for value in ["random-walk", 1]),
        *(("limits", value) for value in ["none", 1]),
        *((name, value) for name in ("accounts", "symbols", "faults") for value in ["x", 1, [None], [object()]]),
        *(("exchange_filters", value) for value in ["x", 1, [None], [1], [b"x"]]),
        *(("routes", value) for value in ["x", 1, None, [1], [[1]], [["NOPE"]], NO_ROUTE, [["BTCUSDT", "ETHUSDT"]]]),
    ],
)
async def test_an_argument_that_cannot_be_right_is_named(autojump_clock: MockClock, field: str, value: Any) -> None:
    options: Any = {"listen": False, field: value}
    with pytest.raises(InvalidRequest, match=rf"^{field} must be ") as refused:
        async with open_sandbox(**options):
            pass
    assert refused.value.field == field


COUNTS = [0.5, "1", None, True, -1]
NO_AMOUNTS = [None, "x", -1, NAN, D("inf"), [1], True]


def _odd(kind: Any) -> list[Any]:
    if kind is Decimal:
        return NO_AMOUNTS
    if kind is bool:
        return [None, 1, "yes"]
    return ["x", 1, [1], None] if str(kind).startswith("tuple") else [1, None, b"x"]


@pytest.mark.parametrize(
    ("kind", "needed", "field", "values"),
    [
        *((Limits, {}, field.name, COUNTS) for field in msgspec.structs.fields(Limits) if field.name != "credit_delay"),
        (Limits, {}, "weight", [0]),
        (Limits, {}, "credit_delay", ["1", None, -1, NAN, True]),
        *(
            (Symbol, {"base": "A", "quote": "B"}, field.name, values)
            for field in msgspec.structs.fields(Symbol)
            for values in [_odd(field.type)]
        ),
        *((Rates, {}, name, NO_AMOUNTS) for name in ("maker", "taker", "buyer", "seller")),
        *((Commissions, {}, name, [None, 1, "x"]) for name in ("standard", "tax", "special")),
        (Commissions, {}, "discount", NO_AMOUNTS),
        (Commissions, {}, "discount_asset", [None, 1]),
        (Commissions, {}, "is_discounted", [None, 1]),
        (SandboxAccount, {"balances": {}}, "uid", COUNTS),
        (SandboxAccount, {"uid": 1}, "balances", [None, 1, "x", [1], {1: 1}]),
        (SandboxAccount, {"uid": 1, "balances": {}}, "maker_rate", NO_AMOUNTS),
        (SandboxAccount, {"uid": 1, "balances": {}}, "taker_rate", NO_AMOUNTS),
        (SandboxAccount, {"uid": 1, "balances": {}}, "commissions", [1, "x"]),
        (SandboxAccount, {"uid": 1, "balances": {}}, "trade_group_id", [None, "1"]),
        (DropReply, {}, "method", [1, b"x"]),
        (DropReply, {}, "times", ["1", 0, -1, True]),
        (DropReply, {}, "skip", COUNTS),
        (Delay, {}, "seconds", ["1", None, -1, NAN]),
        (LateReply, {}, "seconds", ["1", None, -1, NAN]),
        (Reorder, {}, "count", [0, *COUNTS]),
        (CutReplyAt, {}, "position", COUNTS),
        (TooManyRequests, {}, "retry_after", ["1", NAN, 1e11]),
        (IpBan, {}, "lasts", ["1", -1, NAN]),
        (WrongReply, {}, "result", ["{", 1]),
        (Together, {}, "faults", [None, [1], [MutePings()]]),
        (HandshakeStatus, {}, "status", ["1", None, 1.5]),
        (ServerError, {}, "executed", ["1", None]),
        (Garbage, {}, "data", [None, 1]),
    ],
)
def test_a_setting_that_cannot_be_right_is_named(kind: Any, needed: Any, field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InvalidRequest, match=rf"^{field} must be ") as refused:
            kind(**{**needed, field: value})
        assert refused.value.field == field
        assert shown(value).partition(" ")[0] in str(refused.value)


@pytest.mark.parametrize("amount", NO_AMOUNTS)
def test_a_balance_that_cannot_be_right_is_named(amount: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^balances must be "):
        SandboxAccount(1, {"BTC": amount})


def test_settings_that_fit_are_taken_as_their_types() -> None:
    symbol: Any = Symbol(base="A", quote="B", tick_size="0.5", max_price=10, more_filters=[])  # type: ignore[arg-type]
    assert (symbol.tick_size, symbol.max_price, symbol.more_filters) == (D("0.5"), D(10), ())


@pytest.mark.parametrize(
    ("name", "args", "field"),
    [
        ("deposit", (1, D(1)), "asset"),
        *(
            (name, ("BTC", amount), "amount")
            for name in ("deposit", "withdraw", "lock_externally")
            for amount in ("x", None, NAN, D("inf"))
        ),
        ("quote", ("BTCUSDT", "x", D(1), D(1)), "price"),
        ("trade", ("BTCUSDT", "buy", D(1), D(1)), "side"),
        ("trade", (None, "BUY", D(1), D(1)), "symbol"),
        ("block_trade", ("BTCUSDT", ["BUY"], D(1), D(1)), "side"),
        ("block_trade", ("BTCUSDT", "BUY", None, D(1)), "price"),
        ("block_trade", ("BTCUSDT", "BUY", D(1), "x"), "quantity"),
        ("block_trade", (None, "BUY", D(1), D(1)), "symbol"),
        ("inject", ("x",), "fault"),
        *(("announce_shutdown", (after,), "after") for after in ("x", -1, None)),
        ("add_account", (None,), "account"),
    ],
)
async def test_what_a_sandbox_is_told_that_cannot_be_right_is_named(
    autojump_clock: MockClock, name: str, args: tuple[Any, ...], field: str
) -> None:
    async with open_sandbox(listen=False) as sandbox:
        with pytest.raises(InvalidRequest, match=rf"^(order.place: )?{field} must be ") as refused:
            getattr(sandbox, name)(*args)
    assert refused.value.field == field


@pytest.mark.parametrize("uid", [99, "2", []])
async def test_an_account_that_is_not_there_is_named(autojump_clock: MockClock, uid: Any) -> None:
    async with open_sandbox(listen=False) as sandbox:
        with pytest.raises(InvalidRequest, match=r"^uid must be one of \[0, 2\]"):
            sandbox.deposit("BTC", D(1), uid=uid)


async def test_recorded_trades_come_at_the_times_that_they_had(autojump_clock: MockClock) -> None:
    times = [1_609_459_200_000 + 3_600_000 * hour for hour in range(25)]
    replay = Replay([f"{number},64000,1,64000,{at},True,True" for number, at in enumerate(times)], "BTCUSDT")
    async with open_sandbox(listen=False, market=replay, start_time_ms=replay.start_time_ms) as sandbox:
        await trio.sleep(24 * 3_600)
        hours = sandbox.candles("BTCUSDT", "1h")
    assert [hour.open_time for hour in hours] == times
    assert all(hour.number_of_trades == 1 for hour in hours)
