"""Where a sandbox listens: TCP or TLS, how a URL names that, and the certificate that clients are to trust."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import trio

from bintrio._net.tasks import protected
from bintrio.endpoints import Endpoint

from .handshake import PATH
from .network import Network

# What a client on this machine takes for the host that stands for all of its addresses.
_ALL_ADDRESSES: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")  # that a certificate can name


def host_in_url(host: str) -> str:
    """How a client on this machine names, in a URL, a host that is listened on."""
    return _ALL_ADDRESSES.get(host, f"[{host}]" if ":" in host else host)


async def listen_on(
    network: Network, nursery: trio.Nursery, host: str, port: int, *, tls: bool
) -> tuple[Endpoint, ssl.SSLContext | None]:
    """Let clients connect until the nursery ends.

    Args:
        network: takes their streams.
        nursery: where their connections live.
        host: a name or address of this machine.
        port: 0 takes a free one.
        tls: whether to speak TLS, with a certificate that is made now.

    Returns:
        Where clients connect to, and what lets them trust it: None without TLS.

    Raises:
        OSError: the host or port cannot be had.
    """
    listeners: list[trio.SocketListener] = await trio.open_tcp_listeners(port, host=host)
    while len(listeners) > 1:  # a name with several addresses, each with a port of its own
        await listeners.pop().aclose()
    bound_port = listeners[0].socket.getsockname()[1]
    named = host_in_url(host)
    if not tls:
        nursery.start_soon(protected, trio.serve_listeners, partial(protected, network.accept), listeners)
        return Endpoint((f"ws://{named}:{bound_port}{PATH}",), "sandbox"), None
    server_context, client_context = _certificates(named.strip("[]"), *await _own_names(host))
    secured = [trio.SSLListener(listener, server_context, https_compatible=True) for listener in listeners]
    nursery.start_soon(protected, trio.serve_listeners, partial(protected, network.accept), secured)
    return Endpoint((f"wss://{named}:{bound_port}{PATH}",), "sandbox"), client_context


async def _own_names(host: str) -> Sequence[str]:
    """By what clients elsewhere know this machine, where all of its addresses are listened on."""
    # Then the certificate is for the host that was named.
    if host not in _ALL_ADDRESSES:
        return ()
    name = trio.socket.gethostname()
    if not _HOST_NAME.fullmatch(name):
        return ()
    found: Sequence[Any] = ()
    with suppress(OSError):  # nobody knows it by that name
        found = await trio.socket.getaddrinfo(name, None)
    return name, *(str(address[0]).partition("%")[0] for *_, address in found)


def _certificates(*names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a fresh certificate, and a client's that trusts it."""
    # The extra `tls`, needed by who asks for TLS alone.
    import trustme

    # A new one for each sandbox: who trusts it trusts nothing else.
    authority: Any = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*dict.fromkeys(("localhost", "127.0.0.1", "::1", *names))).configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    return server_context, client_context
