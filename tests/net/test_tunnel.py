"""The way through proxies: every kind, several in a row, TLS within TLS, their refusals, and no secret in any of it."""

from __future__ import annotations

import io
import logging
import pickle
import socket
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._net import tunnel
from bintrio._net.streams import TlsStream
from bintrio._protocol.proxies import routes_of
from bintrio.endpoints import Address
from bintrio.errors import ConnectionFailed, InvalidRequest, ProxyFailed
from bintrio.sandbox import Disconnect, Sandbox, open_sandbox
from tests.net.raw import prompt_pair
from tests.proxies import Network, Serve, client_context, open_network, over_tls

EXCHANGE: Final = Address("exchange.test", 443, True, "/")
PLAIN: Final = Address("exchange.test", 80, False, "/")
URL: Final = "wss://exchange.test/ws-api/v3"
PROXY: Final = ("proxy.test", 3128)


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Network]:
    """Whoever reaches the exchange gets back what it says."""

    async def echo(stream: trio.abc.Stream) -> None:
        while data := await stream.receive_some():
            await stream.send_all(bytes(data))

    async with open_network(monkeypatch) as network:
        network.hosts[EXCHANGE.host, 443] = over_tls(echo)
        network.hosts["192.0.2.7", 443] = over_tls(echo)
        network.hosts[PLAIN.host, 80] = echo
        yield network


async def connect(proxy: Any, address: Address = EXCHANGE) -> trio.abc.Stream:
    return await tunnel.connect_by(routes_of(proxy, {}), client_context(), address)


async def check_echo(stream: trio.abc.Stream, size: int = 100_000) -> None:
    said = bytes(range(250)) * (size // 250)
    heard = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, said)
        while len(heard) < len(said):
            heard += await stream.receive_some()
    assert heard == said


# Ways

Kind = Callable[[Network], Serve]
Kinds = list[tuple[str, Kind, tuple[Any, ...]]]
KINDS: Final[Kinds] = [
    ("http://proxy.test:3128", lambda n: n.http(), ("http", "exchange.test", 443, None)),
    ("http://bob:x%40y@proxy.test:3128", lambda n: n.http(user="bob:x@y"), ("http", "exchange.test", 443, "bob:x@y")),
    ("http://b%C3%B6b:%E2%82%AC@proxy.test:3128", lambda n: n.http(), ("http", "exchange.test", 443, "böb:€")),
    ("http://token@proxy.test:3128", lambda n: n.http(), ("http", "exchange.test", 443, "token:")),
    ("https://bob:x@proxy.test:3128", lambda n: over_tls(n.http()), ("http", "exchange.test", 443, "bob:x")),
    ("socks5h://proxy.test:3128", lambda n: n.socks5(), ("socks5", "exchange.test", 443, None)),
    ("socks5h://b:x%3Ay@proxy.test:3128", lambda n: n.socks5(user="b:x:y"), ("socks5", "exchange.test", 443, "b:x:y")),
    ("socks4a://proxy.test:3128", lambda n: n.socks4(), ("socks4", "exchange.test", 443, None)),
    ("socks4a://bob@proxy.test:3128", lambda n: n.socks4(), ("socks4", "exchange.test", 443, "bob")),
]


@pytest.mark.parametrize(("url", "kind", "asked"), KINDS, ids=[url for url, _, _ in KINDS])
async def test_every_kind_of_proxy_is_passed_with_tls_end_to_end(
    url: str, kind: Kind, asked: tuple[Any, ...], network: Network, autojump_clock: MockClock
) -> None:
    network.hosts[PROXY] = kind(network)
    stream = await connect(url)
    assert isinstance(stream, TlsStream)
    await check_echo(stream)
    assert network.opened == [PROXY]
    assert network.asked == [asked]
    await stream.aclose()


class Resolver(trio.abc.HostnameResolver):
    async def getaddrinfo(self, host: Any, port: Any, family: int = 0, *_: Any, **__: Any) -> Any:
        await trio.lowlevel.checkpoint()
        if host != b"exchange.test":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("kind", ["socks4", "socks5"])
async def test_names_are_resolved_here_where_the_scheme_says_so(
    kind: str, network: Network, autojump_clock: MockClock
) -> None:
    trio.socket.set_custom_hostname_resolver(Resolver())
    network.hosts[PROXY] = getattr(network, kind)()
    await check_echo(await connect(f"{kind}://proxy.test:3128"))
    assert network.asked == [(kind, "192.0.2.7", 443, None)]
    with pytest.raises(ProxyFailed, match=r": other\.test cannot be resolved here, .*: Name or service not known; "):
        await connect(f"{kind}://proxy.test:3128", Address("other.test", 443, True, "/"))


async def test_several_proxies_are_passed_one_after_the_other(network: Network, autojump_clock: MockClock) -> None:
    network.hosts[PROXY] = over_tls(network.http())
    network.hosts["second.test", 1080] = network.socks5(user="a:b")
    network.hosts["other.test", 443] = over_tls(network.http())
    stream = await connect(["https://proxy.test:3128", "socks5h://a:b@second.test", "https://other.test"])
    assert isinstance(stream, TlsStream)
    await check_echo(stream)
    assert network.opened == [PROXY]
    assert network.asked == [
        ("http", "second.test", 1080, None),
        ("socks5", "other.test", 443, "a:b"),
        ("http", "exchange.test", 443, None),
    ]


async def test_an_ipv6_address_is_asked_for_as_one(network: Network, autojump_clock: MockClock) -> None:
    network.hosts["2001:db8::1", 80] = network.hosts[PLAIN.host, 80]
    for scheme, kind in (("http", network.http()), ("socks5h", network.socks5())):
        network.hosts[PROXY] = kind
        await check_echo(await connect(f"{scheme}://proxy.test:3128", Address("2001:db8::1", 80, False, "/")))
    assert [asked[1] for asked in network.asked] == ["2001:db8::1"] * 2


async def test_without_a_proxy_the_way_is_direct(network: Network, autojump_clock: MockClock) -> None:
    await check_echo(await connect(None))
    await check_echo(await connect(None, PLAIN))
    assert network.opened == [(EXCHANGE.host, 443), (PLAIN.host, 80)]


async def test_g9_what_is_not_encrypted_is_read_by_the_proxy_even_by_one_that_speaks_tls(
    network: Network, autojump_clock: MockClock
) -> None:
    from bintrio._net.privacy import is_private

    network.hosts[PROXY] = over_tls(network.http())
    network.hosts["localhost", 80] = network.hosts[PLAIN.host, 80]
    for address in (PLAIN, Address("localhost", 80, False, "/")):
        stream = await connect("https://proxy.test:3128", address)
        assert isinstance(stream, TlsStream)
        assert not is_private(address, stream)
    assert is_private(EXCHANGE, await connect("https://proxy.test:3128"))


# Refusals


async def silent(stream: trio.abc.Stream) -> None:
    """It takes what is said, and hangs up."""
    await trio.sleep(1)
    await stream.receive_some()


def says(answer: bytes) -> Serve:
    async def serve(stream: trio.abc.Stream) -> None:
        await silent(stream)
        await stream.send_all(answer)
        await stream.receive_some()

    return serve


Refusals = list[tuple[str, Kind, str, int | None]]
REFUSALS: Final[Refusals] = [
    ("http", lambda n: n.http(user="bob:right"), "407 Who are you?", 407),
    ("https", lambda n: over_tls(n.http(user="bob:right")), "407 Who are you?", 407),
    ("http", lambda _: says(b"HTTP/1.0 403 Filtered\r\n\r\n<html>no</html>"), "403 Filtered", 403),
    ("http", lambda _: says(b"HTTP/1.1 502 \x1b[31mbad\xff\r\n\r\n"), "502 [31mbad", 502),
    ("http", lambda _: says(b"HTTP/1.1 403 bob:hunter2 hunter2 Ym9iOmh1bnRlcjI=\r\n\r\n"), "403 *** *** ***", 403),
    ("http", lambda _: says(b"HTTP/1.1 500 \r\n\r\n"), "500", 500),
    ("http", lambda _: says(b"SSH-2.0-OpenSSH_9.2\r\n"), "Invalid status line: SSH-2.0-OpenSSH_9.2", None),
    ("http", lambda _: says(b"HTTP/1.1 " + b"2" * 20_000), "Invalid status", None),
    ("http", lambda _: says(b"HTTP/1.1 200 OK\r\n\r\nsurplus"), "it sent more than its answer", None),
    ("http", lambda _: silent, "it closed the connection instead of answering", None),
    ("https", lambda _: says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "TLS failed: ", None),
    ("https", lambda _: over_tls(silent), "it closed the connection instead of answering", None),
    ("socks5h", lambda n: n.socks5(user="bob:right"), "Username and password authentication failure", None),
    ("socks5h", lambda n: n.socks5(reply=2), "Connection not allowed by ruleset", 2),
    ("socks5h", lambda n: n.socks5(reply=5), "Connection refused by destination host", 5),
    ("socks5h", lambda n: n.socks5(reply=99), "Invalid reply code", None),
    ("socks5h", lambda _: says(b"\x05\xff"), "No acceptable authentication methods", None),
    ("socks5h", lambda _: says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "Unexpected SOCKS version number: 72", None),
    ("socks5h", lambda _: silent, "it closed the connection instead of answering", None),
    ("socks4a", lambda n: n.socks4(reply=0x5B), "Request rejected or failed", 0x5B),
    ("socks4a", lambda _: says(b"\x05\xff\0\0\0\0\0\0"), "Unexpected reply version", None),
]


@pytest.mark.parametrize(("scheme", "kind", "said", "status"), REFUSALS)
async def test_g9_a_refusal_says_what_the_proxy_said_and_no_secret(
    scheme: str,
    kind: Kind,
    said: str,
    status: int | None,
    network: Network,
    autojump_clock: MockClock,
) -> None:
    """Not even by a traceback that shows every local variable."""
    network.hosts[PROXY] = kind(network)
    error = await failure_of(scheme)
    ((url, failed),) = error.attempts
    assert url == URL
    assert isinstance(failed, ProxyFailed)
    assert (failed.proxy, failed.status) == (f"{scheme}://proxy.test:3128", status)
    assert str(failed).startswith(f"{scheme}://proxy.test:3128: {said}")
    assert str(failed).isprintable()
    assert str(failed) in str(error)
    captured = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "scheme = " in captured
    assert "hunter2" not in captured
    assert pickle.loads(pickle.dumps(failed)) == failed
    assert all(stream._is_closed for stream in network.streams)


WHO: Final = {"http": "bob:hunter2", "https": "bob:hunter2", "socks5h": "bob:hunter2", "socks4a": "hunter2"}


async def failure_of(scheme: str) -> ConnectionFailed:
    try:
        async with open_session(proxy=f"{scheme}://{WHO[scheme]}@proxy.test:3128"):
            raise AssertionError
    except ConnectionFailed as error:
        return error


async def test_a_proxy_that_is_not_there_is_named(network: Network, autojump_clock: MockClock) -> None:
    for scheme in ("http", "https", "socks5", "socks4"):
        with pytest.raises(ProxyFailed, match=r"^\w+://proxy\.test:3128: it cannot be reached: connection refused$"):
            await connect(f"{scheme}://proxy.test:3128")


async def test_the_proxy_at_fault_is_named_among_several(network: Network, autojump_clock: MockClock) -> None:
    network.hosts[PROXY] = network.http()
    network.hosts["second.test", 1080] = network.socks5(reply=4)
    with pytest.raises(ProxyFailed, match=r"^socks5h://second\.test:1080: Host unreachable$"):
        await connect(["http://proxy.test:3128", "socks5h://second.test"])
    assert network.streams[0]._is_closed


async def test_a_certificate_is_checked_on_both_ways(network: Network, autojump_clock: MockClock) -> None:
    wrong = over_tls(network.http())
    network.hosts["wrong.test", 3128] = wrong
    network.hosts[PROXY] = network.http()
    network.hosts["wrong.test", 443] = network.hosts[EXCHANGE.host, 443]
    with pytest.raises(ProxyFailed, match=r"^https://wrong\.test:3128: TLS failed: .*certificate is not valid for"):
        await connect("https://wrong.test:3128")
    with pytest.raises(trio.BrokenResourceError, match=r"certificate is not valid for 'wrong\.test'"):
        await connect("http://proxy.test:3128", Address("wrong.test", 443, True, "/"))
    assert all(stream._is_closed for stream in network.streams)


# Cancellation


SHORT: Final = b"HTTP/1.1 200 OK\r\n\r\n"
CANCELLED: Final[list[tuple[str, Kind]]] = [
    ("http://bob:x@proxy.test:3128", lambda n: n.http(answer=SHORT)),
    ("https://bob:x@proxy.test:3128", lambda n: over_tls(n.http(answer=SHORT))),
    ("socks5h://a:b@proxy.test:3128", lambda n: n.socks5(user="a:b")),
    ("socks5://a:b@proxy.test:3128", lambda n: n.socks5(user="a:b")),
    ("socks4://proxy.test:3128", lambda n: n.socks4()),
]


@pytest.mark.untraced
@pytest.mark.parametrize(("proxy", "kind"), CANCELLED)
async def test_g6_cancelled_at_any_tick_the_way_is_closed(
    proxy: str, kind: Kind, network: Network, autojump_clock: MockClock
) -> None:
    """Nothing is left open, whichever checkpoint it hits."""
    trio.socket.set_custom_hostname_resolver(Resolver())
    network.hosts[PROXY] = kind(network)
    connected: list[trio.abc.Stream] = []
    ticks = 0
    while not connected:
        ticks += 1
        network.streams.clear()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_after, scope, ticks)
                connected.append(await connect(proxy))
                nursery.cancel_scope.cancel()
        assert connected or all(opened._is_closed for opened in network.streams)
    assert ticks > 8
    await check_echo(connected[0], 1000)


async def cancel_after(scope: trio.CancelScope, ticks: int) -> None:
    for _ in range(ticks):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_g1_a_proxy_that_says_nothing_costs_the_time_to_connect_and_no_more(
    network: Network, autojump_clock: MockClock
) -> None:
    async def mute(_stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    network.hosts[PROXY] = mute
    with pytest.raises(ConnectionFailed, match=r"TimeoutError: it was not ready within 7 s"):
        async with bintrio.open_session(URL, proxy="http://proxy.test:3128", connect_timeout=7):
            raise AssertionError
    assert trio.current_time() == 7
    assert network.streams[0]._is_closed


# Sessions


def exchange_at(network: Network, sandbox: Sandbox) -> None:
    """Have the sandbox at the exchange's address."""

    async def serve(stream: trio.abc.Stream) -> None:
        await sandbox._network._server.serve(stream)

    network.hosts[EXCHANGE.host, 443] = over_tls(serve)
    network.hosts[PLAIN.host, 80] = serve


def open_session(**options: Any) -> AbstractAsyncContextManager[bintrio.Session]:
    return bintrio.open_session(URL, ssl_context=client_context(), **options)


SESSIONS: Final[list[tuple[str, Kind]]] = [
    ("http://bob:hunter2@proxy.test:3128", lambda n: n.http(user="bob:hunter2")),
    ("https://bob:hunter2@proxy.test:3128", lambda n: over_tls(n.http(user="bob:hunter2"))),
    ("socks5h://bob:hunter2@proxy.test:3128", lambda n: n.socks5(user="bob:hunter2")),
]


@pytest.mark.parametrize(("proxy", "kind"), SESSIONS)
async def test_g9_a_session_trades_listens_rotates_and_recovers_through_a_proxy_and_tells_no_password(
    proxy: str,
    kind: Kind,
    network: Network,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    told = io.StringIO()
    network.hosts[PROXY] = kind(network)
    async with open_sandbox(listen=False) as sandbox:
        exchange_at(network, sandbox)
        async with open_session(proxy=proxy, key=sandbox.key) as session, session.user_data() as events:
            print(repr(session), repr(session.connection), vars(session), file=told)
            await session.order_place(
                symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=64_000, quantity="0.01"
            )
            assert isinstance(await anext(events), bintrio.ExecutionReport)
            await session.rotate()
            sandbox.inject(Disconnect("ping"))
            await session.ping()
            await trio.sleep(60)
            assert session.counters.connections == 3
            # The proxy goes, and is back.
            del network.hosts[PROXY]
            sandbox.disconnect()
            await trio.sleep(1)
            with pytest.raises(bintrio.NotSent):
                await session.within(20).ping()
            network.hosts[PROXY] = kind(network)
            await session.within(60).ping()  # longer than the longest pause between attempts
    assert set(network.opened) == {PROXY}
    assert "proxy.test:3128: it cannot be reached" in caplog.text
    assert "hunter2" not in told.getvalue() + caplog.text


async def test_the_environment_leads_a_session_through_its_proxy(
    network: Network, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "all_proxy", "no_proxy", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "proxy.test:3128")
    network.hosts[PROXY] = network.http()
    async with open_sandbox(listen=False) as sandbox:
        exchange_at(network, sandbox)
        async with open_session(proxy="environment") as session:
            await session.ping()
        assert network.opened == [PROXY]
        monkeypatch.setenv("NO_PROXY", ".test")
        async with open_session(proxy="environment") as session:
            await session.ping()
        assert network.opened == [PROXY, (EXCHANGE.host, 443)]
        async with open_session() as session:
            await session.ping()
        assert network.opened == [PROXY, (EXCHANGE.host, 443), (EXCHANGE.host, 443)]


@pytest.mark.parametrize("host", ["exchange.test", "localhost"])
async def test_g9_no_key_travels_through_a_proxy_in_plain(host: str, network: Network) -> None:
    for proxy in ("http://proxy.test", "https://proxy.test", ["socks5://localhost"]):
        with pytest.raises(InvalidRequest, match=r"a key must not travel over plain ws://.* and no proxy$"):
            async with bintrio.open_session(f"ws://{host}/", key=bintrio.HmacKey("k", "s"), proxy=proxy):
                raise AssertionError
    assert network.opened == []


async def test_without_a_key_a_session_may_be_plain(network: Network, autojump_clock: MockClock) -> None:
    network.hosts[PROXY] = network.http()
    async with open_sandbox(listen=False) as sandbox:
        exchange_at(network, sandbox)
        async with bintrio.open_session("ws://exchange.test/ws-api/v3", proxy="http://proxy.test:3128") as session:
            await session.ping()
            with pytest.raises(InvalidRequest, match=r"a key must not travel"):
                async with session.user_data(sandbox.hmac_key):
                    raise AssertionError


@pytest.mark.parametrize("proxy", ["proxy.test", "ftp://proxy.test", [], 5, "http://bob:x@proxy.test:0"])
async def test_a_bad_value_is_named_before_anything_is_sent(proxy: Any, network: Network) -> None:
    with pytest.raises(InvalidRequest) as caught:
        async with open_session(proxy=proxy):
            raise AssertionError
    assert caught.value.field == "proxy"
    assert network.opened == []


async def test_a_way_of_ones_own_needs_no_proxy() -> None:
    with pytest.raises(InvalidRequest, match=r"^proxy and connect exclude each other") as caught:
        async with bintrio.open_session(URL, proxy="http://proxy.test", connect=partial(connect, None)):
            raise AssertionError
    assert caught.value.field == "proxy"


async def test_without_its_package_a_proxy_is_refused_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str) -> None:
        return None

    monkeypatch.setattr(tunnel, "find_spec", nothing)
    with pytest.raises(InvalidRequest, match=r"^proxy needs python-socks: pip install 'bintrio\[proxy\]'$") as caught:
        async with open_session(proxy="http://proxy.test"):
            raise AssertionError
    assert caught.value.field == "proxy"


async def test_an_answer_in_pieces_takes_nothing_of_what_comes_behind_it() -> None:
    ours, theirs = prompt_pair()
    line = tunnel._Line(ours)
    async with trio.open_nursery() as nursery:
        await theirs.send_all(b"an")

        async def go_on() -> None:
            await wait_all_tasks_blocked()
            await theirs.send_all(b"swer, and TLS")

        nursery.start_soon(go_on)
        assert await line.read_exactly(6) == b"answer"
    assert await ours.receive_some() == b", and TLS"
