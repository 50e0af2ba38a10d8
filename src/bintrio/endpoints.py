"""Where the exchange listens: `PRODUCTION`, `TESTNET`, `DEMO`, or an endpoint of the user's own.

**Secrets in URLs (G9).** A relay may want a user and a password, or a token in the query. The former go out as an
`Authorization` header of type Basic, as with other clients, and only where others cannot read them; the query goes out
as it is. Neither shows in a `repr` or a message: there, a URL ends before its query.

Source: "General API Information" of the WebSocket API document; the testnet's and demo mode's general information.
"""

from __future__ import annotations

import base64
import ipaddress
from typing import Any, Final, Literal
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit, urlunsplit

import msgspec

from ._text import shown_url
from .errors import InvalidRequest

TimeUnit = Literal["ms", "us"]
"""The unit of every time the exchange sends on a connection: milliseconds or microseconds."""

_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}

# What a path or query may hold as it is (RFC 3986); letters beyond ASCII are percent-encoded.
_SAFE: Final = "/?%:@!$&'()*+,;=-._~[]"


def is_loopback(host: str) -> bool:
    """Whether an IP address is one of this machine's own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # A name. What it stands for is known only once it is looked up.
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # an IPv4 peer of an IPv6 socket
    return (mapped or address).is_loopback


class Address(msgspec.Struct, frozen=True):
    """One URL, taken apart: what a `connect` function needs to know.

    Attributes:
        host: name or IP address, without brackets.
        port: TCP port.
        secure: whether TLS is spoken (``wss``).
        resource: path and query of the WebSocket handshake.
        authorization: what the handshake's Authorization header says; None if the URL names no user.
    """

    host: str
    port: int
    secure: bool
    resource: str
    authorization: str | None = None

    def __repr__(self) -> str:
        return _repr(self)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        resource = shown_url(self.resource)
        return [("host", self.host), ("port", self.port), ("secure", self.secure), ("resource", resource)]

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, by name or by number."""
        return self.host == "localhost" or is_loopback(self.host)

    @property
    def is_private(self) -> bool:
        """Whether what is sent there can be read on the way by nobody else."""
        return self.secure or self.is_loopback

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Further headers of the WebSocket handshake."""
        return () if self.authorization is None else (("Authorization", self.authorization),)

    @property
    def authority(self) -> str:
        """What the handshake's Host header says: the host, and the port unless it is the scheme's own."""
        # An IPv6 address stands in brackets (RFC 3986, 3.2.2).
        host = f"[{self.host}]" if ":" in self.host else self.host
        # "When not using the default port" (RFC 6455, 4.1).
        is_default = self.port == _DEFAULT_PORTS["wss" if self.secure else "ws"]
        return host if is_default else f"{host}:{self.port}"


class Endpoint(msgspec.Struct, frozen=True):
    """An exchange's address, with alternates that are tried in turn.

    Attributes:
        urls: ``wss://`` or ``ws://`` URLs of the same exchange, in the order of preference.
        name: what `repr(session)` calls it.

    Raises:
        InvalidRequest: there is no URL, or one that cannot be right.
    """

    urls: tuple[str, ...]
    name: str = ""

    def __post_init__(self) -> None:
        urls: Any = self.urls
        # A string is a sequence too, of URLs with one character each.
        if not isinstance(urls, tuple | list) or not urls:
            raise InvalidRequest("an Endpoint needs at least one URL, in a tuple", field="urls")
        # Now, so that a mistake shows where it is made, and not when a session is opened.
        for url in self.urls:
            _checked(url)
        if not isinstance(self.name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRequest(f"name must be a str, not {type(self.name).__name__}", field="name")
        # With a list, the record could be neither hashed nor relied on not to change.
        msgspec.structs.force_setattr(self, "urls", tuple(self.urls))

    def __repr__(self) -> str:
        return _repr(self)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("urls", tuple(map(shown_url, self.urls))), ("name", self.name)]

    def addresses(self, *, time_unit: TimeUnit) -> tuple[Address, ...]:
        """The URLs taken apart, with the options of the connection in the query.

        Milliseconds are the exchange's default and are not asked for.
        """
        options = {"timeUnit": "MICROSECOND"} if time_unit == "us" else {}
        return tuple(_address(_checked(url), options) for url in self.urls)


def as_endpoint(endpoint: Endpoint | str) -> Endpoint:
    """An `Endpoint` from one, or from a single URL.

    Raises:
        InvalidRequest: the URL's scheme is not ``ws`` or ``wss``, or it names no host.
    """
    if isinstance(endpoint, Endpoint):
        return endpoint
    # Without user and password, since names stand in logs.
    return Endpoint((endpoint,), name=_checked(endpoint).netloc.rpartition("@")[2])


def _repr(value: Address | Endpoint) -> str:
    return f"{type(value).__name__}({', '.join(f'{name}={part!r}' for name, part in value.__rich_repr__())})"


def _checked(url: Any) -> SplitResult:
    if not isinstance(url, str):
        kind = type(url).__name__
        raise InvalidRequest(f"endpoint must be an Endpoint or a URL string, not {kind}", field="endpoint")
    # What urllib says of a bad URL quotes it, and where a URL is bad, its parts are not what they seem. Raised outside,
    # since an error within would keep urllib's as its context.
    parts, host, port = _split(url)
    if parts is None:
        raise InvalidRequest("endpoint is not a URL: its host or port cannot be read", field="endpoint")
    _check_parts(url, parts.scheme, host, port)
    return parts


def _check_parts(url: str, scheme: str, host: str | None, port: int | None) -> None:
    if scheme not in _DEFAULT_PORTS:
        # What is no scheme of the web may be a part of a secret, and is not shown.
        found = f", not {scheme}" if scheme in {"http", "https"} else ", or be an Endpoint, such as bintrio.TESTNET"
        raise InvalidRequest(f"endpoint must start with ws:// or wss://{found}", field="endpoint")
    # `wss:///path`, or `:0`, which no server listens at.
    if not host or port == 0:
        raise InvalidRequest("endpoint names no host or no usable port", field="endpoint")
    # urllib drops line breaks and tabs without a word.
    if not url.isprintable() or " " in url:
        raise InvalidRequest("endpoint holds a blank or a control character", field="endpoint")


def _split(url: str) -> tuple[SplitResult | None, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts, parts.hostname, parts.port
    except ValueError:
        return None, None, None


def _address(parts: SplitResult, options: dict[str, str]) -> Address:
    query = "&".join(filter(None, (quote(parts.query, safe=_SAFE), urlencode(options))))
    return Address(
        host=parts.hostname or "",
        port=parts.port or _DEFAULT_PORTS[parts.scheme],
        secure=parts.scheme == "wss",
        # No path is "/" (RFC 6455, 3).
        resource=urlunsplit(("", "", quote(parts.path, safe=_SAFE) or "/", query, "")),
        authorization=_authorization(parts),
    )


def _authorization(parts: SplitResult) -> str | None:
    """Basic authentication (RFC 7617), if the URL names a user or a password."""
    # An empty user with a password is a user.
    if parts.username is None and parts.password is None:
        return None
    # A URL has them percent-encoded, the header as they are.
    credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


PRODUCTION: Final = Endpoint(
    ("wss://ws-api.binance.com:443/ws-api/v3", "wss://ws-api.binance.com:9443/ws-api/v3"), "production"
)
"""The exchange itself. Money moves."""

TESTNET: Final = Endpoint(
    ("wss://ws-api.testnet.binance.vision/ws-api/v3", "wss://ws-api.testnet.binance.vision:9443/ws-api/v3"),
    "testnet",
)
"""The Spot test network: the same API, balances that are worth nothing."""

DEMO: Final = Endpoint(("wss://demo-ws-api.binance.com/ws-api/v3",), "demo")
"""Demo mode: the prices of production, balances that are worth nothing."""
