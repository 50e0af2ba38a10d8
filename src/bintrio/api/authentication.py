"""Authentication requests: log a connection on and off, and ask how it stands.

A session logs on by itself when its key can (Ed25519). These requests are here for those who want to do it by hand.

Source: "Authentication requests" of the WebSocket API document.
"""

from __future__ import annotations

from ._base import Milliseconds, Request, api
from ._values import Record, Timestamp

__all__ = [
    "ConnectionStatus",
]


class ConnectionStatus(Record, frozen=True, kw_only=True):
    """How the connection stands: when it was opened, and by which key it is logged on, if any.

    ``user_data_stream`` is None where the exchange offers no user data streams.
    """

    api_key: str | None  # None if it is not logged on, as is authorized_since
    authorized_since: Timestamp | None
    connected_since: Timestamp
    return_rate_limits: bool
    server_time: Timestamp
    user_data_stream: bool | None = None


# Shown with an HMAC key too, but only Ed25519 keys are accepted (inconsistency 34).
@api("session.logon", security="SESSION", source="Memory", signed=True, weight=2, section="log-in-with-api-key-signed")
class SessionLogon(Request[ConnectionStatus], frozen=True, kw_only=True):
    """Log the connection on. Ed25519 keys only."""

    recv_window: Milliseconds | None = None


@api("session.status", security="NONE", source="Memory", weight=2, section="query-session-status")
class SessionStatus(Request[ConnectionStatus], frozen=True, kw_only=True):
    """How the connection stands."""


@api("session.logout", security="NONE", source="Memory", weight=2, section="log-out-of-the-session")
class SessionLogout(Request[ConnectionStatus], frozen=True, kw_only=True):
    """Log the connection off. Later calls are signed one by one."""
