"""Where the exchange listens: `PRODUCTION`, `TESTNET`, `DEMO`, or an endpoint of the user's own.

Source: "General API Information" of the WebSocket API document; the testnet's and demo mode's general information.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final, Literal
from urllib.parse import SplitResult, urlencode, urlsplit, urlunsplit

import msgspec

from .errors import InvalidRequest

TimeUnit = Literal["ms", "us"]
"""The unit of every time the exchange sends on a connection: milliseconds or microseconds."""

_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}


class Address(msgspec.Struct, frozen=True):
    """One URL, taken apart: what a `connect` function needs to know.

    Attributes:
        host: name or IP address, without brackets.
        port: TCP port.
        secure: whether TLS is spoken (``wss``).
        resource: path and query of the WebSocket handshake.
    """

    host: str
    port: int
    secure: bool
    resource: str

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, by name or by number."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_private(self) -> bool:
        """Whether what is sent there can be read on the way by nobody else."""
        return self.secure or self.is_loopback

    @property
    def authority(self) -> str:
        """What the handshake's Host header says: the host, and the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_default = self.port == _DEFAULT_PORTS["wss" if self.secure else "ws"]
        return host if is_default else f"{host}:{self.port}"


class Endpoint(msgspec.Struct, frozen=True):
    """An exchange's address, with alternates that are tried in turn.

    Attributes:
        urls: ``wss://`` or ``ws://`` URLs of the same exchange, in the order of preference.
        name: what `repr(session)` calls it.
    """

    urls: tuple[str, ...]
    name: str = ""

    def __post_init__(self) -> None:
        if not self.urls:
            raise InvalidRequest("an Endpoint needs at least one URL", field="urls")
        for url in self.urls:
            _checked(url)

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
    return Endpoint((endpoint,), name=_checked(endpoint).netloc)


def _checked(url: Any) -> SplitResult:
    if not isinstance(url, str):
        kind = type(url).__name__
        raise InvalidRequest(f"endpoint must be an Endpoint or a URL string, not {kind}", field="endpoint")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidRequest(f"endpoint {url!r} is not a URL: {error}", field="endpoint") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise InvalidRequest(
            f"endpoint {url!r} must start with ws:// or wss://, not {parts.scheme or 'no scheme'}",
            field="endpoint",
        )
    if not parts.hostname or port == 0:
        raise InvalidRequest(f"endpoint {url!r} names no host or no usable port", field="endpoint")
    return parts


def _address(parts: SplitResult, options: dict[str, str]) -> Address:
    query = "&".join(filter(None, (parts.query, urlencode(options))))
    return Address(
        host=parts.hostname or "",
        port=parts.port or _DEFAULT_PORTS[parts.scheme],
        secure=parts.scheme == "wss",
        resource=urlunsplit(("", "", parts.path or "/", query, "")),
    )


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
