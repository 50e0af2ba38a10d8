"""What can be read on the way, and that no secret goes there (G9)."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, MockClock, lockstep_stream_pair, memory_stream_pair

import bintrio
from bintrio._net.privacy import is_private
from bintrio._net.streams import TcpStream, TlsStream
from bintrio.endpoints import Address
from bintrio.errors import InvalidRequest
from bintrio.sandbox import open_sandbox
from tests.peer import open_exchange
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
