"""A network in memory: hosts by name, among them proxies of every kind, to be reached by nothing else.

A proxy here is written after the RFCs (HTTP's CONNECT, SOCKS 4, 4a and 5), not after the client; `test_real_proxies`
has the same questions answered by programs that nobody here wrote.
"""

from __future__ import annotations

import base64
import ipaddress
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any, Final

import pytest
import trio
import trustme
from trio.testing import memory_stream_pair

from bintrio._net.streams import PromptStream
from tests.streams import PartialStream, partial_pairs

Serve = Callable[[trio.abc.Stream], Awaitable[None]]

AUTHORITY: Final = trustme.CA()
_CERTIFICATE: Final = AUTHORITY.issue_cert("exchange.test", "proxy.test", "other.test")


@cache
def client_context() -> ssl.SSLContext:
    """Trusts every host here."""
    return ssl.create_default_context(cadata=AUTHORITY.cert_pem.bytes().decode())


@cache
def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with _CERTIFICATE.private_key_and_cert_chain_pem.tempfile() as path:
        context.load_cert_chain(path)
    return context


def over_tls(serve: Serve) -> Serve:
    async def serve_over_tls(stream: trio.abc.Stream) -> None:
        await serve(trio.SSLStream(stream, _server_context(), server_side=True, https_compatible=True))

    return serve_over_tls


class Network:
    """Who is there, and what was said to them.

    Attributes:
        hosts: what serves a connection, by host and port.
        opened: the connections that the client opened by itself, in order.
        asked: what proxies were asked for: their kind, host and port, user and password.
        streams: the client's ends.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.hosts: dict[tuple[str, int], Serve] = {}
        self.opened: list[tuple[str, int]] = []
        self.asked: list[tuple[Any, ...]] = []
        self.streams: list[PartialStream] = []
        self._nursery = nursery
        self._pair = partial_pairs(memory_stream_pair)

    async def open_tcp(self, host: str, port: int) -> PromptStream:
        self.opened.append((host, port))
        ours = await self.reach(host, port)
        assert isinstance(ours, PartialStream)
        self.streams.append(ours)
        return ours

    async def reach(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if (host, port) not in self.hosts:
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = self._pair()
        self._nursery.start_soon(self._serve, self.hosts[host, port], theirs)
        return ours

    async def _serve(self, serve: Serve, stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            await serve(stream)
        await trio.aclose_forcefully(stream)

    # Proxies

    def http(self, *, user: str | None = None, answer: bytes = b"HTTP/1.1 200 Go ahead\r\nVia: x\r\n\r\n") -> Serve:
        """CONNECT (RFC 9110, 9.3.6), its answer in pieces."""

        async def serve(stream: trio.abc.Stream) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await read(stream, 1)
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, version = first.split(" ")
            assert (method, version) == ("CONNECT", "HTTP/1.1")
            headers = dict(line.split(": ", 1) for line in lines if line)
            assert headers["Host"] == target
            given = headers.get("Proxy-Authorization", "Basic ").removeprefix("Basic ")
            host, _, port = target.rpartition(":")
            credentials = base64.b64decode(given).decode() or None
            self.asked.append(("http", host.strip("[]"), int(port), credentials))
            if user not in {None, credentials}:
                return await stream.send_all(b"HTTP/1.1 407 Who are you?\r\n\r\nPlease log in.")
            for byte in answer:
                await stream.send_all(bytes([byte]))
            return await self.relay(stream, host.strip("[]"), int(port))

        return serve

    def socks5(self, *, user: str | None = None, reply: int = 0) -> Serve:
        """RFC 1928 and 1929."""

        async def serve(stream: trio.abc.Stream) -> None:
            version, count = await read(stream, 2)
            methods = await read(stream, count)
            assert version == 5
            method = 0 if user is None else 2
            if method not in methods:
                return await stream.send_all(b"\x05\xff")
            await stream.send_all(bytes([5, method]))
            given = await self._log_on(stream, user) if method else None
            assert await read(stream, 3) == b"\x05\x01\x00"
            host = await self._host(stream)
            port = int.from_bytes(await read(stream, 2), "big")
            self.asked.append(("socks5", host, port, given))
            await stream.send_all(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
            return await self.relay(stream, host, port) if reply == 0 else None

        return serve

    async def _log_on(self, stream: trio.abc.Stream, user: str | None) -> str:
        assert await read(stream, 1) == b"\x01"
        given = ":".join([(await read(stream, (await read(stream, 1))[0])).decode() for _ in range(2)])
        await stream.send_all(b"\x01\x00" if given == user else b"\x01\x01")
        return given

    async def _host(self, stream: trio.abc.Stream) -> str:
        (kind,) = await read(stream, 1)
        if kind == 3:
            return (await read(stream, (await read(stream, 1))[0])).decode()
        return str(ipaddress.ip_address(await read(stream, {1: 4, 4: 16}[kind])))

    def socks4(self, *, reply: int = 0x5A) -> Serve:
        """SOCKS 4, and 4a for names."""

        async def serve(stream: trio.abc.Stream) -> None:
            assert await read(stream, 2) == b"\x04\x01"
            port = int.from_bytes(await read(stream, 2), "big")
            address = await read(stream, 4)
            user = await self._text(stream)
            host = await self._text(stream) if address == b"\0\0\0\x01" else str(ipaddress.ip_address(address))
            self.asked.append(("socks4", host, port, user or None))
            await stream.send_all(bytes([0, reply, 0, 0, 0, 0, 0, 0]))
            if reply == 0x5A:
                await self.relay(stream, host, port)

        return serve

    async def _text(self, stream: trio.abc.Stream) -> str:
        text = b""
        while not text.endswith(b"\0"):
            text += await read(stream, 1)
        return text[:-1].decode()

    async def relay(self, stream: trio.abc.Stream, host: str, port: int) -> None:
        """Pass on everything between two ends, until one of them has said all."""
        other = await self.reach(host, port)
        async with trio.open_nursery() as nursery:

            async def pass_on(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    while data := await source.receive_some():
                        await sink.send_all(bytes(data))
                nursery.cancel_scope.cancel()

            nursery.start_soon(pass_on, stream, other)
            nursery.start_soon(pass_on, other, stream)
        await trio.aclose_forcefully(other)


async def read(stream: trio.abc.Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


@asynccontextmanager
async def open_network(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Network]:
    """A network that every TCP connection of the client leads into."""
    async with trio.open_nursery() as nursery:
        network = Network(nursery)
        for module in ("streams", "tunnel"):
            monkeypatch.setattr(f"bintrio._net.{module}.open_tcp", network.open_tcp)
        yield network
        nursery.cancel_scope.cancel()
