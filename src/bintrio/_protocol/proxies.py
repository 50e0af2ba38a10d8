"""Proxies: their URLs, those that the environment names, and which of them lie on the way to an address.

A WebSocket needs a tunnel through a proxy, whether it speaks TLS or not. So what counts in the environment is
``HTTPS_PROXY`` and ``ALL_PROXY``; ``HTTP_PROXY`` names a proxy for requests that are passed on one by one, which often
allows no tunnel. The names are read in lower case too, which comes first, as with curl; an empty value counts as none.

**NO_PROXY** is read as curl and Go read it: names, with all that is below them, addresses, networks (``10.0.0.0/8``),
each with a port or without, or ``*`` for everything. This machine is never reached through a proxy of the environment.

**Names** are resolved as curl does it: by the proxy for ``http``, ``https``, ``socks5h`` and ``socks4a``, on this
machine for ``socks5`` and ``socks4``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from ..endpoints import Address
from ..errors import InvalidRequest

ENVIRONMENT: Final = "environment"
"""In place of a URL: what the environment says."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
_LONGEST_OF_SOCKS5: Final = 255  # bytes of a user or a password (RFC 1929)

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxy(msgspec.Struct, frozen=True):
    """One proxy.

    Attributes:
        scheme: ``http``, ``https``, ``socks4``, ``socks4a``, ``socks5`` or ``socks5h``.
        host: name or IP address, without brackets.
        port: TCP port.
        username: None if it is told no user.
        password: never None together with a user, except for SOCKS 4, which knows none.
    """

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Proxy({self.url!r})"

    def __rich_repr__(self) -> list[Any]:
        return [self.url]

    @property
    def url(self) -> str:
        """Without user and password."""
        # An IPv6 address stands in brackets (RFC 3986, 3.2.2).
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Bypass(msgspec.Struct, frozen=True):
    """What NO_PROXY says of some hosts: a network, or a name that stands for itself and all below; `port` 0 is any."""

    name: str
    network: _Network | None
    port: int

    def covers(self, host: str, port: int) -> bool:
        """Whether a host is reached directly."""
        # 0 is any port.
        if self.port not in {0, port}:
            return False
        address = _ip_address(host)
        # The name of a bypass may be a domain; an address is below none.
        if address is not None:
            return self.name == "*" or (self.network is not None and address in self.network)
        return self.name == "*" or host == self.name or host.endswith(f".{self.name}")


class Routes(msgspec.Struct, frozen=True):
    """The way to an address.

    Attributes:
        proxies: to be passed one after the other; none for the direct way.
        bypasses: what NO_PROXY says.
        is_from_environment: whether this machine is reached directly.
    """

    proxies: tuple[Proxy, ...] = ()
    bypasses: tuple[Bypass, ...] = ()
    is_from_environment: bool = False

    def to(self, address: Address) -> tuple[Proxy, ...]:
        """The proxies on the way to an address."""
        # A name may end with the dot of the root.
        host = address.host.rstrip(".").lower()
        is_direct = self.is_from_environment and address.is_loopback
        if is_direct or any(bypass.covers(host, address.port) for bypass in self.bypasses):
            return ()
        return self.proxies

    def is_private(self, address: Address) -> bool:
        """Whether what is sent there can be read on the way by nobody else: a proxy reads what is not encrypted."""
        # A proxy is another machine, so not even loopback is private through it.
        return address.secure if self.to(address) else address.is_private


def routes_of(value: Any, environ: Mapping[str, str]) -> Routes:
    """The way that a user wants: a URL, several that are passed one after the other, ``"environment"``, or None.

    Raises:
        InvalidRequest: it is none of these, or a URL that cannot be right. It names no user and no password.
    """
    # Nothing was asked for: the environment counts only if it is named.
    if value is None:
        return Routes()
    if isinstance(value, str) and value == ENVIRONMENT:
        return _routes_of_environment(environ)
    urls: Any = [value] if isinstance(value, str) else value
    # An empty list would silently mean the direct way.
    if not isinstance(urls, list | tuple) or not urls:
        raise _wrong(f"proxy must be a URL, several in a list, or {ENVIRONMENT!r}, not {type(value).__name__}")
    return Routes(tuple(proxy_of(url, "proxy") for url in urls))  # pyright: ignore[reportUnknownVariableType]


def proxy_of(url: Any, name: str) -> Proxy:
    """A proxy from its URL.

    Args:
        url: as a user wrote it.
        name: what it is called in an error: the argument, or a variable of the environment.

    Raises:
        InvalidRequest: it cannot be right.
    """
    if not isinstance(url, str):
        raise _wrong(f"{name} must be a URL string, not {type(url).__name__}")
    # What urllib says of a bad URL quotes it, so it is raised outside of its except.
    parts, host, port = _split(url)
    if parts is None:
        raise _wrong(f"{name} is not a URL: its host or port cannot be read; {_ENCODE}")
    if parts.scheme not in _DEFAULT_PORTS:
        raise _wrong(f"{name} must start with {', '.join(f'{known}://' for known in _DEFAULT_PORTS)}")
    # urllib takes port 0, to which nothing can connect.
    if not host or port == 0:
        raise _wrong(f"{name} names no host or no usable port")
    _check_text(url, parts, name)
    return Proxy(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], *_credentials(parts, name))


def _check_text(url: str, parts: SplitResult, name: str) -> None:
    # urllib drops line breaks and tabs without a word, so the URL would mean something else.
    if not url.isprintable() or " " in url:
        raise _wrong(f"{name} holds a blank or a control character; {_ENCODE}")
    # Mostly a password with a character that would have to be encoded.
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise _wrong(f"{name} ends with its port, and has no path or query; {_ENCODE}")


_ENCODE: Final = "in a user or password, other than letters and digits are percent-encoded ('/' is %2F)"


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest(message, field="proxy")


def _split(url: str) -> tuple[SplitResult | None, str | None, int | None]:
    try:
        parts = urlsplit(url)
        # Here, since `hostname` and `port` are read only when they are asked for, and may raise as well.
        return parts, parts.hostname, parts.port
    except ValueError:
        return None, None, None


def _credentials(parts: SplitResult, name: str) -> tuple[str | None, str | None]:
    """User and password as they are sent, in forms that python-socks sends as they are."""
    if parts.username is None and parts.password is None:
        return None, None
    username, password = _decoded(parts.username or ""), _decoded(parts.password)
    # The password may be absent, but one that is there has to be readable.
    if username is None or (password is None and parts.password is not None):
        raise _wrong(f"the user or password of {name} is not UTF-8, or holds a control character")
    if not username:
        raise _wrong(f"{name} has an empty user")
    rule = {"http": _of_http, "https": _of_http, "socks5": _of_socks5, "socks5h": _of_socks5}.get(parts.scheme)
    return (rule or _of_socks4)(username, password, name)


def _decoded(text: str | None) -> str | None:
    try:
        # By default urllib puts U+FFFD for what is no UTF-8, and another password would be sent.
        decoded = unquote(text or "", errors="strict")
    except UnicodeDecodeError:
        return None
    # A line break would end the header that carries it.
    return None if text is None or not decoded.isprintable() else decoded


def _of_http(username: str, password: str | None, name: str) -> tuple[str, str]:
    """RFC 7617: no colon in the user, and UTF-8. python-socks encodes as Latin-1, so each byte becomes a character."""
    if ":" in username:
        raise _wrong(f"the user of {name} holds a colon, which HTTP does not allow")
    return username.encode().decode("latin-1"), (password or "").encode().decode("latin-1")


def _of_socks5(username: str, password: str | None, name: str) -> tuple[str, str]:
    # A password has from 1 to 255 bytes (RFC 1929), so an empty one cannot be sent.
    if not password:
        raise _wrong(f"{name} has a user and no password, which SOCKS 5 wants together")
    for value in (username, password):
        if not value.isascii() or len(value) > _LONGEST_OF_SOCKS5:
            raise _wrong(f"the user and password of {name} must be ASCII of at most {_LONGEST_OF_SOCKS5} characters")
    return username, password


def _of_socks4(username: str, password: str | None, name: str) -> tuple[str, None]:
    if password is not None:
        raise _wrong(f"{name} has a password, and SOCKS 4 knows none")
    if not username.isascii():
        raise _wrong(f"the user of {name} must be ASCII")
    return username, None


# The environment


def _routes_of_environment(environ: Mapping[str, str]) -> Routes:
    # In this order, as curl: lower case first, the special one before the general one.
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        value = environ.get(name, "").strip()
        if value:
            # As with curl, it is an HTTP proxy if nothing is said.
            url = value if _SCHEME.match(value) else f"http://{value}"
            bypasses = environ.get("no_proxy", "").strip() or environ.get("NO_PROXY", "")
            return Routes((proxy_of(url, name),), tuple(_bypasses_of(bypasses)), is_from_environment=True)
    return Routes()


def _bypasses_of(text: str) -> Iterator[Bypass]:
    for entry in re.split(r"[\s,]+", text.lower()):
        host, port = _host_and_port(entry)
        # `*.example.com` and `.example.com` mean the same as `example.com`.
        name = host if host == "*" else host.removeprefix("*").strip(".")
        # Between two separators there is nothing.
        if name:
            yield Bypass(name, _network(host), port)


def _host_and_port(entry: str) -> tuple[str, int]:
    """Of ``host``, ``host:port``, ``[address]:port``; more than one colon without brackets is an IPv6 address."""
    found = re.fullmatch(r"\[(.*)\](?::(\d{1,5}))?|([^:]*):(\d{1,5})", entry)
    if found is None:
        return entry, 0
    return found[1] or found[3] or "", int(found[2] or found[4] or 0)


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
