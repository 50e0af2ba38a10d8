"""The opening of a connection: what its URL asks for, or the HTTP status that turns it away.

Source: "General API Information" and "URL parameters" of the WebSocket API document; errors are JSON as in sbe_faq.md.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec

from bintrio.endpoints import TimeUnit

from ..exchange import refusals
from ..exchange.refusals import Refusal
from ..exchange.sessions import Session
from ..exchange.units import MILLISECOND, SECOND

PATH: Final = "/ws-api/v3"

_UNITS: Final[dict[str, TimeUnit]] = {
    "MILLISECOND": "ms",
    "millisecond": "ms",
    "MICROSECOND": "us",
    "microsecond": "us",
}


class Rejection(NamedTuple):
    """An HTTP answer that turns a handshake away."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def as_bytes(self) -> bytes:
        """As it is sent; for a request that the library cannot answer."""
        length = (b"Content-Length", str(len(self.body)).encode())
        headers = b"".join(b"%s: %s\r\n" % header for header in (*self.headers, length, (b"Connection", b"close")))
        return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (
            self.status,
            HTTPStatus(self.status).phrase.encode(),
            headers,
            self.body,
        )


def without_words(status: int) -> Rejection:
    """An HTTP answer that is its status and nothing else."""
    return Rejection(status, [], b"")


def reject(refusal: Refusal, now: int) -> Rejection:
    """A refusal as HTTP; ``now`` is in microseconds."""
    seconds = None
    # Only a refusal by a limit says until when.
    if refusal.data is not None:
        # Rounded up, so that who waits as told waits long enough.
        seconds = -((now - refusal.data["retryAfter"] * MILLISECOND) // SECOND)
    headers = [(b"Content-Type", b"application/json;charset=UTF-8"), *retry_after(seconds)]
    return Rejection(refusal.status, headers, msgspec.json.encode(refusal.as_error()))


def retry_after(seconds: int | None) -> list[tuple[bytes, bytes]]:
    """The header, if there is anything to say."""
    return [] if seconds is None else [(b"Retry-After", str(seconds).encode())]


def open_session(resource: str, now: int) -> Session:
    """The session that path and query ask for.

    Raises:
        Refusal: its status is that of the HTTP answer.
    """
    try:
        parts = urlsplit(resource)
    except ValueError:  # of brackets that belong to an IPv6 address, where there is none
        raise Refusal(-1000, "Bad Request") from None
    if parts.path != PATH:
        raise Refusal(-1000, "Not Found", status=404)
    # Of an option that comes twice the last one counts.
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    unit = _UNITS.get(options.get("timeUnit", "MILLISECOND"))
    if unit is None:
        raise Refusal(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    if options.get("responseFormat", "json") != "json":
        raise refusals.no_sbe()
    shown = options.get("returnRateLimits", "true")
    if shown not in {"true", "false"}:
        raise refusals.invalid_value("returnRateLimits")
    return Session(connected_since=now, unit=unit, returns_rate_limits=shown == "true")
