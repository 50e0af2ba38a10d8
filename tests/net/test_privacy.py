"""What can be read on the way, and that no secret goes there (G9)."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, cast

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MemoryReceiveStream, MemorySendStream, MockClock, lockstep_stream_pair, memory_stream_pair

import bintrio
from bintrio._net.privacy import is_private
from bintrio._net.streams import TcpStream, TlsStream
from bintrio.endpoints import Address
from bintrio.errors import InvalidRequest
from bintrio.sandbox import open_sandbox
from tests.peer import ORDER, Exchange, Peer, ed25519_key, open_exchange
from tests.sessions import HMAC

SECURE = Address("exchange.test", 443, True, "/")
PLAIN = Address("exchange.test", 80, False, "/")
LOCAL = Address("localhost", 80, False, "/")


class Socket:
    """As much of a socket as tells who is at the other end."""

    def __init__(self, peer: Any) -> None:
        self.peer = peer

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def getpeername(self) -> Any:
        if self.peer is None:
            raise OSError("not connected")
        return self.peer


def tcp(peer: Any) -> TcpStream:
    connected: Any = Socket(peer)
    return TcpStream(connected)


HERE, AFAR, NOWHERE, UNIX = ("127.0.0.1", 80), ("192.0.2.1", 80), None, "/run/proxy.sock"


class Unknown(trio.abc.Stream):
    """A stream that is not known to be private."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise NotImplementedError

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError


def stapled(stream: Any) -> trio.abc.Stream:
    return trio.StapledStream(stream, stream)


def stapled_deep(stream: Any, depth: int) -> trio.abc.Stream:
    for _ in range(depth):
        stream = trio.StapledStream(stream, MemoryReceiveStream())
    return cast("trio.abc.Stream", stream)


def tls() -> list[trio.abc.Stream]:
    context = ssl.create_default_context()
    return [TlsStream(tcp(AFAR), context, server_hostname="x"), trio.SSLStream(tcp(AFAR), context)]


STREAMS: list[tuple[str, Callable[[], trio.abc.Stream], tuple[bool, bool, bool]]] = [
    # private for: SECURE, PLAIN, LOCAL
    ("memory", lambda: memory_stream_pair()[0], (True, True, True)),
    ("lockstep", lambda: lockstep_stream_pair()[0], (True, False, True)),
    ("half memory", lambda: trio.StapledStream(tcp(HERE), MemoryReceiveStream()), (True, False, True)),
    ("other half", lambda: trio.StapledStream(MemorySendStream(), tcp(AFAR)), (True, True, True)),
    ("TLS", lambda: tls()[0], (True, True, True)),
    ("trio's TLS", lambda: tls()[1], (True, True, True)),
    ("stapled TLS", lambda: stapled(tls()[1]), (True, True, True)),
    ("TCP here", lambda: tcp(HERE), (True, False, True)),
    ("TCP here, IPv6", lambda: tcp(("::1", 80, 0, 0)), (True, False, True)),
    ("TCP afar", lambda: tcp(AFAR), (False, False, False)),
    ("TCP, gone", lambda: tcp(NOWHERE), (False, False, False)),
    ("Unix", lambda: tcp(UNIX), (True, False, True)),
    ("stapled TCP here", lambda: stapled(tcp(HERE)), (True, False, True)),
    ("stapled TCP afar", lambda: stapled(tcp(AFAR)), (False, False, False)),
    ("TCP afar, stapled twice", lambda: stapled_deep(tcp(AFAR), 2), (False, False, False)),
    ("TCP afar, stapled five times", lambda: stapled_deep(tcp(AFAR), 5), (False, False, False)),
    ("TCP here, stapled twice", lambda: stapled_deep(tcp(HERE), 2), (True, False, True)),
    ("TLS, stapled twice", lambda: stapled_deep(tls()[0], 2), (True, True, True)),
    ("memory, stapled five times", lambda: stapled_deep(MemorySendStream(), 5), (True, True, True)),
    ("unknown", Unknown, (True, False, True)),
    ("stapled unknown", lambda: stapled(Unknown()), (True, False, True)),
]


@pytest.mark.parametrize(("name", "make", "expected"), STREAMS, ids=[name for name, _, _ in STREAMS])
async def test_g9_what_is_private(
    name: str, make: Callable[[], trio.abc.Stream], expected: tuple[bool, bool, bool]
) -> None:
    stream = make()
    assert tuple(is_private(address, stream) for address in (SECURE, PLAIN, LOCAL)) == expected


async def test_g9_a_socket_of_trio_is_looked_at_as_well() -> None:
    async with open_sandbox() as sandbox:
        (address,) = sandbox.endpoint.addresses(time_unit="ms")
        stream = await trio.open_tcp_stream(address.host, address.port)
        assert is_private(address, stream)
        assert not is_private(PLAIN, stream)
        await stream.aclose()
        assert not is_private(address, stream)


def test_without_trio_testing_nothing_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = memory_stream_pair()[0]
    monkeypatch.delitem(sys.modules, "trio.testing")
    assert not is_private(PLAIN, stream)


# Sessions


class Wrapped(Unknown):
    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self.inner.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self.inner.aclose()


@pytest.mark.parametrize("key_type", ["ed25519", "hmac"])
async def test_g9_a_sessions_key_does_not_travel_over_a_stream_that_others_can_read(
    key_type: str, autojump_clock: MockClock
) -> None:
    async with open_sandbox(listen=False) as sandbox:

        async def connect(address: Address) -> trio.abc.Stream:
            return Wrapped(await sandbox.connect(address))

        key = sandbox.key if key_type == "ed25519" else sandbox.hmac_key
        with pytest.raises(InvalidRequest, match=r"plain ws:// to exchange\.test"):
            async with bintrio.open_session("ws://exchange.test/ws-api/v3", key=key, connect=connect):
                raise AssertionError
        assert set(sandbox.received) <= {"time", "exchangeInfo"}
        async with bintrio.open_session("wss://exchange.test/ws-api/v3", key=key, connect=connect) as session:
            await session.account_status()


async def test_g9_a_password_does_not_go_out_with_a_handshake_that_others_can_read() -> None:
    stream = Wrapped(memory_stream_pair()[0])

    async def connect(_address: Address) -> trio.abc.Stream:
        return stream

    for how in (None, connect):
        with pytest.raises(InvalidRequest, match=r"a password must not travel over plain ws:// to exchange\.test"):
            async with bintrio.open_session("ws://bob:hunter2@exchange.test/", connect=how):
                raise AssertionError
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"x")


class Failover:
    """Two addresses of one exchange: ``wss://a``, which can be down, and ``ws://b``."""

    def __init__(self, connect: Callable[[Address], Any]) -> None:
        self.endpoint = bintrio.Endpoint(("wss://a.test/ws-api/v3", "ws://b.test/ws-api/v3"))
        self.down: set[str] = set()
        self._connect = connect

    async def connect(self, address: Address) -> trio.abc.Stream:
        if address.host in self.down:
            raise OSError("down")
        return Wrapped(await self._connect(address))


async def test_g9_another_accounts_key_does_not_travel_to_an_alternate_address_in_plain(
    autojump_clock: MockClock,
) -> None:
    async with open_exchange() as exchange:
        where = Failover(exchange.connect)
        where.down = {"a.test"}
        async with bintrio.open_session(where.endpoint, connect=where.connect) as session:
            with pytest.raises(InvalidRequest, match=r"plain ws:// to b\.test"):
                async with session.user_data(HMAC):
                    raise AssertionError
            # An attempt that reaches the other address does not make this connection private.
            where.down = {"b.test"}
            await session.rotate()
            async with session.user_data(HMAC):
                assert len(exchange.sent("userDataStream.subscribe.signature")) == 1
                where.down = {"a.test"}
                await exchange.peers[-1].cut()
                await trio.sleep(60)
        assert len(exchange.sent("userDataStream.subscribe.signature")) == 1


class Way(NamedTuple):
    """A way to the exchange, and whether nobody else can read what goes there."""

    is_private: bool


class Watched(Failover):
    """The same, where the stream to the plain address is in memory now and then, and what is signed is looked at.

    Attributes:
        signed: whether others could read it, of each message that was signed or named a key.
        gives_memory: whether a stream to ``b`` is one that nobody else can read.
    """

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange.connect)
        self.signed: list[bool] = []
        self.gives_memory = False
        self._answer = exchange.answer_own
        exchange.answer_own = self._look  # type: ignore[method-assign]

    async def connect(self, address: Address) -> trio.abc.Stream:
        if address.host in self.down:
            raise OSError("down")
        is_private = address.host == "a.test" or self.gives_memory
        way: Any = Way(is_private)
        stream: trio.abc.Stream = await self._connect(way)
        return stream if self.gives_memory else Wrapped(stream)

    async def _look(self, peer: Peer, request: dict[str, Any]) -> bool:
        way: Any = peer.address
        if {"apiKey", "signature"} & request.get("params", {}).keys():
            self.signed.append(not way.is_private)
        return await self._answer(peer, request)


STEPS = st.sampled_from(
    ["a is down", "b is down", "both are up", "memory", "cut", "rotate", "order", "listen", "log on"]
)
OTHER = bintrio.HmacKey("other-api-key", "secret")
KEYS: dict[str, Any] = {"hmac": HMAC, "ed25519": ed25519_key(), "none": None}


async def step(session: bintrio.Session, where: Watched, exchange: Exchange, what: str) -> None:
    if what == "memory":
        where.gives_memory = not where.gives_memory
    elif what in {"a is down", "b is down", "both are up"}:
        where.down = {"a is down": {"a.test"}, "b is down": {"b.test"}}.get(what, set())
    elif what == "cut" and exchange.peers:
        await exchange.peers[-1].cut()
    elif what == "rotate":
        await session.rotate()
    elif what == "order":
        await session.order_status(symbol="BTCUSDT", order_id=7)
    elif what == "log on":
        await session.session_logon()
    elif what == "listen":
        async with session.user_data(OTHER):
            await trio.sleep(5)


@pytest.mark.untraced
@pytest.mark.usefixtures("both_streams")
@settings(max_examples=60)
@given(planned=st.lists(STEPS, min_size=5, max_size=15), key=st.sampled_from(sorted(KEYS)))
def test_g9_whatever_connections_come_and_go_nothing_is_signed_where_others_can_read_it(
    planned: list[str], key: str
) -> None:
    async def main() -> None:
        async with open_exchange() as exchange:
            where = Watched(exchange)
            exchange.script["order.status"] = lambda _peer: ORDER
            options: Any = {"key": KEYS[key], "connect": where.connect, "request_timeout": 3, "pong_window": 1e6}
            async with bintrio.open_session(where.endpoint, **options) as session:
                for what in planned:
                    with suppress(bintrio.BintrioError):
                        await step(session, where, exchange, what)
                    await trio.sleep(1)
            assert not any(where.signed)
            assert where.signed or key == "none" or not {"order", "log on"} & set(planned)

    trio.run(main, clock=MockClock(autojump_threshold=0))
