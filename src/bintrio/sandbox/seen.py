"""What the owner of a running sandbox sees of it, as records: calls, connections, budgets.

Times are milliseconds, as in everything that a `Sandbox` tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from bintrio.api._values import RateLimit

from .exchange.exchange import Exchange
from .exchange.limits import Window
from .exchange.units import MILLISECOND
from .server.calls import Call
from .server.connection import Connection

_NOT_SHOWN: Final = {"apiKey", "signature"}


class SandboxCall(msgspec.Struct, frozen=True, kw_only=True):
    """A message that came to a sandbox, and what was answered.

    Attributes:
        number: of the message, from 1 on.
        method: empty if the message could not be read.
        params: by the names in the exchange's document, as they came, but for ``apiKey`` and ``signature``.
        time: when it came, in milliseconds.
        connection: the number of its connection, from 1 on.
        status: of the answer, whether a fault kept it from the client or not; None as long as there is none.
        code: of the error in it; None without one.
    """

    number: int
    method: str
    params: Mapping[str, Any]
    time: int
    connection: int
    status: int | None
    code: int | None


class SandboxConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that is open.

    Attributes:
        number: from 1 on, in the order in which they opened.
        address: of the client; ``memory`` without a socket.
        since: when it opened, in milliseconds.
        uid: of the account whose key is logged on; None if none is.
        api_key: that key.
        accounts: the uids of those whose events it gets.
        pings: how many were sent to it.
        round_trip: seconds from the last ping that was answered to its pong; None before the first.
    """

    number: int
    address: str
    since: int
    uid: int | None
    api_key: str | None
    accounts: tuple[int, ...]
    pings: int
    round_trip: float | None


class SandboxBudget(msgspec.Struct, frozen=True, kw_only=True):
    """One limit, and what is used of it in the current window.

    Attributes:
        address: whose limit it is; None if it is an account's.
        uid: of the account whose limit it is; None if it is an address's.
        limit: with ``count``, what is used.
        ends_at: when the window is over, in milliseconds.
        banned_until: the address is refused everything before that time, in milliseconds; None if it is not banned.
    """

    address: str | None
    uid: int | None
    limit: RateLimit
    ends_at: int
    banned_until: int | None


def call_as_seen(call: Call) -> SandboxCall:
    """A message, without what proves who sent it."""
    answer, incoming = call.answer, call.incoming
    error = None if answer is None else answer.error
    return SandboxCall(
        number=call.number,
        method=incoming.method,
        # They prove who sent it, and a view may be on a screen that others see.
        params={name: value for name, value in incoming.params.items() if name not in _NOT_SHOWN},
        time=call.time // MILLISECOND,
        connection=call.connection,
        status=None if answer is None else answer.status,
        code=None if error is None else error["code"],
    )


def connection_as_seen(connection: Connection) -> SandboxConnection:
    """A connection, and who uses it."""
    session = connection.session
    credential = session.credential
    return SandboxConnection(
        number=connection.number,
        address=connection.address,
        since=session.connected_since // MILLISECOND,
        uid=None if credential is None else credential.uid,
        api_key=None if credential is None else credential.api_key,
        accounts=tuple(session.followed),
        pings=connection.pings,
        round_trip=connection.round_trip,
    )


def budgets_as_seen(exchange: Exchange, now: int, but_of: int) -> Iterator[SandboxBudget]:
    """The limits of every address, and of every account but one."""
    for address, budget in exchange.address_budgets.items():
        banned_until = budget.banned_until // MILLISECOND if budget.banned_until > now else None
        for window in budget.windows:
            yield _budget(window, now, address=address, banned_until=banned_until)
    for uid, orders in exchange.order_budgets.items():
        if uid != but_of:
            yield from (_budget(window, now, uid=uid) for window in orders.windows)


def _budget(
    window: Window, now: int, *, address: str | None = None, uid: int | None = None, banned_until: int | None = None
) -> SandboxBudget:
    return SandboxBudget(
        address=address, uid=uid, limit=window.report(now), ends_at=window.ends_at(now), banned_until=banned_until
    )
