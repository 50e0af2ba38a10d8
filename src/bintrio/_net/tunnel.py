"""The way to an address, through proxies if there are any: the extra ``proxy``.

What is said to a proxy is python-socks' affair. It is given a stream of ours in the place of a socket, for three
reasons. The way through a proxy that speaks TLS, and the TLS of the exchange within, can be written to without waiting
like any other. An answer of HTTP may come in pieces, and python-socks reads one. And all of it can be tried in memory.

**Who sees what.** A proxy sees where the way leads. What the exchange is told it can read only if the address is a
plain ``ws://`` one, so no key travels there (`privacy`). Its own user and password it gets as its scheme has it: in the
clear, except over ``https``. They appear in no error: of what python-socks raises, only the words come out, since its
frames hold them, and the words without them, since a proxy may repeat what it was told.
"""

from __future__ import annotations

import base64
import math
import os
import ssl
from importlib.util import find_spec
from socket import gaierror
from typing import Any, Final

from .._protocol.handshake import MAX_HEAD, hide, is_http, secrets_of
from .._protocol.proxies import Proxy, Routes, routes_of
from .._text import one_line, said
from ..endpoints import Address
from ..errors import InvalidRequest, ProxyFailed
from .streams import PromptStream, close_at_once, connect_tcp, open_tcp, over_tls

# python-socks' name of each scheme, and whether the proxy resolves names.
_KINDS: Final = {
    "http": ("HTTP", None),
    "https": ("HTTP", None),
    "socks4": ("SOCKS4", False),
    "socks4a": ("SOCKS4", True),
    "socks5": ("SOCKS5", False),
    "socks5h": ("SOCKS5", True),
}


def way_of(proxy: Any, connect: Any) -> Routes:
    """The way that the arguments of a session want.

    Raises:
        InvalidRequest: the proxy cannot be right, there is a `connect` too, or python-socks is missing.
    """
    # It would not be clear which of them opens the way.
    if proxy is not None and connect is not None:
        raise InvalidRequest("proxy and connect exclude each other: connect opens the whole way", field="proxy")
    routes = routes_of(proxy, os.environ)
    # Found out before anything is opened, where it would count as an attempt that failed.
    if routes.proxies and find_spec("python_socks") is None:
        raise InvalidRequest("proxy needs python-socks: pip install 'bintrio[proxy]'", field="proxy")
    return routes


async def connect_by(routes: Routes, ssl_context: ssl.SSLContext | None, address: Address) -> PromptStream:
    """Connect to an address, through the proxies that lie on the way; TLS as in `connect_tcp`.

    Raises:
        ProxyFailed: a proxy could not be reached, or opened no way.
        OSError: on the direct way, the name could not be resolved, or nobody answered.
        trio.BrokenResourceError: TLS with the address failed.
    """
    proxies = routes.to(address)
    if not proxies:
        return await connect_tcp(address, ssl_context=ssl_context)
    stream = await _through(proxies, ssl_context, address)
    if address.secure:
        return await over_tls(stream, address.host, ssl_context)
    # The proxy reads what is not encrypted, so no key may travel over it.
    stream.is_relayed = True
    return stream


async def _through(proxies: tuple[Proxy, ...], ssl_context: ssl.SSLContext | None, address: Address) -> PromptStream:
    """A way to an address: each proxy is asked for one to the next."""
    places = [(proxy.host, proxy.port) for proxy in proxies] + [(address.host, address.port)]
    stream: PromptStream = await _reached(proxies[0])
    try:
        for proxy, (host, port) in zip(proxies, places[1:], strict=True):
            # TLS with the proxy itself; that with the exchange comes within it, once all proxies are passed.
            if proxy.scheme == "https":
                stream = await _encrypted(proxy, stream, ssl_context)
            await _ask(proxy, stream, host, port)
    except BaseException:
        # Cancelled or failed: nobody else has the stream yet.
        await close_at_once(stream)
        raise
    return stream


async def _reached(proxy: Proxy) -> PromptStream:
    try:
        return await open_tcp(proxy.host, proxy.port)
    except OSError as error:
        raise ProxyFailed(proxy.url, f"it cannot be reached: {said(error)}") from error


async def _encrypted(proxy: Proxy, stream: PromptStream, ssl_context: ssl.SSLContext | None) -> PromptStream:
    try:
        return await over_tls(stream, proxy.host, ssl_context)
    except Exception as error:
        raise ProxyFailed(proxy.url, said(error)) from error


async def _ask(proxy: Proxy, stream: PromptStream, host: str, port: int) -> None:
    """Ask a proxy for a way to the next place."""
    from python_socks import ProxyError, ProxyType  # for those who use a proxy only
    from python_socks.async_.trio.v2 import Proxy as Asking

    kind, rdns = _KINDS[proxy.scheme]
    line: Any = _Line(stream)
    asking = Asking(ProxyType[kind], proxy.host, proxy.port, proxy.username, proxy.password, rdns=rdns, forward=line)
    failure: ProxyFailed | None = None
    try:
        await asking.connect(host, port, timeout=math.inf)  # the session has a timeout for the whole
        line.check_end()
    except ProxyError as error:
        failure = ProxyFailed(proxy.url, _without_secrets(proxy, str(error)), error.error_code)
    except gaierror as error:
        words = f"{host} cannot be resolved here, as {proxy.scheme}:// wants it: {error.strerror}"
        failure = ProxyFailed(proxy.url, f"{words}; with socks5h:// and socks4a:// the proxy does it")
    except Exception as error:  # of a stream, or an answer that cannot be read
        failure = ProxyFailed(proxy.url, said(error))
    if failure is not None:
        raise failure  # outside: an error within would keep the other, and its frames


def _without_secrets(proxy: Proxy, words: str) -> str:
    pair = f"{proxy.username}:{proxy.password}".encode("latin-1")
    # A proxy may repeat the header that it was given, or parts of it.
    secrets = () if proxy.password is None else secrets_of("", [("Authorization", base64.b64encode(pair).decode())])
    return one_line(hide(secrets, words.encode(errors="replace")).decode())


class _Line:
    """As much of its own streams as python-socks uses, and, in `connect`, of the proxy that came before."""

    def __init__(self, stream: PromptStream) -> None:
        self._stream = stream
        self._surplus = b""

    async def connect(self, *_: object, **__: object) -> _Line:
        return self

    async def write(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def read(self) -> bytes:
        """The head of an answer of HTTP, or as much of another as shows that it is none."""
        received = b""
        # What is not HTTP need not send a blank line.
        while b"\r\n\r\n" not in received and len(received) < MAX_HEAD and is_http(received):
            received += await self._some()
        self._surplus = received.partition(b"\r\n\r\n")[2]
        return received

    async def read_exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            # Not a byte more: what follows is from the next place on the way.
            received += await self._some(size - len(received))
        return received

    async def _some(self, size: int | None = None) -> bytes:
        data = await self._stream.receive_some(size)
        # Without this, python-socks would read for ever.
        if not data:
            raise EOFError("it closed the connection instead of answering")
        return bytes(data)

    def check_end(self) -> None:
        """Raise if more came than the answer: whom it is from cannot be told."""
        if self._surplus:
            raise ValueError("it sent more than its answer")

    async def close(self) -> None:
        """Whoever made the stream closes it."""
