"""`open_session`: one `async with` that stays usable for weeks."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from ._client.connection import Connect
from ._client.observation import Observation, name_of
from ._client.shared import Shared
from ._client.supervisor import Supervisor
from ._net.privacy import check_network
from ._net.tasks import bare_nursery, check_trio, start
from ._net.tunnel import connect_by, way_of
from ._protocol.chance import chance_in_use
from ._protocol.facts import Observer
from ._protocol.ledger import Ledger
from ._protocol.proxies import Routes
from ._protocol.rate_limits import LocalLedger
from ._protocol.settings import Settings, check_key, check_observation, check_options, check_privacy, checked_settings
from ._protocol.signing import Key
from .endpoints import Endpoint, TimeUnit, as_endpoint
from .session import Session


@asynccontextmanager
async def open_session(
    endpoint: Endpoint | str,
    *,
    key: Key | None = None,
    request_timeout: float = 15,
    connect_timeout: float = 10,
    close_timeout: float = 2,
    pong_window: float = 60,
    lifetime: float = 86_400,
    drain_timeout: float = 15,
    max_message_size: int = 64 * 2**20,
    time_unit: TimeUnit = "ms",
    ssl_context: ssl.SSLContext | None = None,
    connect: Connect | None = None,
    proxy: str | Sequence[str] | None = None,
    ledger: Ledger | None = None,
    name: str | None = None,
    observer: Observer | None = None,
    observe_params: bool = False,
) -> AsyncGenerator[Session]:
    """Open a session. Entering returns once it is ready: connected, clock measured, logged on.

    Args:
        endpoint: `PRODUCTION`, `TESTNET`, `DEMO`, or an `Endpoint` or ``wss://`` URL of your own. A user and password
            in it go out as an Authorization header (Basic).
        key: signs what must be signed. An `Ed25519Key` logs the connection on; `HmacKey` and `RsaKey` sign each call.
        request_timeout: seconds within which a call ends, waiting for connection and budget included. For a read, the
            time does not count for which a long message is arriving on its connection, up to 600 s.
        connect_timeout: seconds for one attempt to get a connection ready.
        close_timeout: seconds that closing a connection may take.
        pong_window: seconds without an answered ping, and without a byte of a message under way, after which a
            connection is dead.
        lifetime: seconds after which the exchange ends a connection; it is replaced before. `math.inf` for never.
        drain_timeout: seconds that a replaced connection has for the answers it owes.
        max_message_size: bytes of the longest message that is accepted.
        time_unit: the unit of every time that the exchange sends, and that the session gives or takes: ``"ms"`` or
            ``"us"``. Durations are seconds.
        ssl_context: for TLS, with an ``https://`` proxy too; None for the system's certificates.
        connect: opens the byte stream to an address, TLS included: for a stream in memory, or a way of your own.
        proxy: the URL of one, ``http://user:password@host:port``, or ``https``, ``socks5h``, ``socks5``, ``socks4a`` or
            ``socks4``; several, to be passed one after the other; or ``"environment"``. Needs ``bintrio[proxy]``.
        ledger: keeps budgets and holds, for all sessions of one address and one `trio.run` that are given it: see
            `bintrio.SharedLimits`. None for one of the session's own.
        name: what logs and facts call the session; None for the name of the endpoint, or its host.
        observer: is told what happens, fact by fact: see `bintrio.observing`. What it raises is counted and logged.
        observe_params: whether it is told the parameters of calls too.

    Raises:
        InvalidRequest: an argument cannot be right, a key or a password would travel over plain ``ws://`` to another
            machine, or it is not trio that runs.
        ConnectionFailed: no address could be connected to; it has the cause for each.
        Rejected: the exchange did not accept the key.
        RateLimited, Banned: it asks to wait until ``retry_at``, longer than ``connect_timeout``.

    Example::

        async with bintrio.open_session(bintrio.TESTNET, key=key) as session:
            book = await session.depth(symbol="BTCUSDT", limit=5)
    """
    check_trio("open_session")
    settings = checked_settings(
        request_timeout=request_timeout,
        connect_timeout=connect_timeout,
        close_timeout=close_timeout,
        pong_window=pong_window,
        lifetime=lifetime,
        drain_timeout=drain_timeout,
        max_message_size=max_message_size,
        time_unit=time_unit,
    )
    check_key(key)
    check_options(ssl_context=ssl_context, connect=connect, ledger=ledger)
    endpoint = as_endpoint(endpoint)
    check_observation(name=name, observer=observer, observe_params=observe_params)
    observation = Observation(name or name_of(endpoint), observer, shows_params=observe_params)
    routes, proxy = way_of(proxy, connect), None  # a traceback may show locals, and a proxy's URL may hold a password
    connect = connect or _by(routes, endpoint, settings, key, ssl_context)
    shared = Shared.of_session(key, LocalLedger() if ledger is None else ledger, settings, observation)

    async def leave() -> None:
        supervisor.close()
        # Every connection has `close_timeout` for taking its leave, so this ends.
        await supervisor.gone()

    with observation.of_session(endpoint):
        async with bare_nursery(leave) as nursery:
            supervisor = Supervisor(endpoint, shared, connect, nursery)
            await start(nursery, supervisor.run)
            yield Session(endpoint, shared, supervisor)


def _by(
    routes: Routes, endpoint: Endpoint, settings: Settings, key: Key | None, ssl_context: ssl.SSLContext | None
) -> Connect:
    # It opens no stream in memory. In virtual time an attempt would end only by a time-out, which says nothing of this.
    check_network(chance_in_use())
    # Before anything is opened, as far as URLs tell. The stream itself is looked at when it is there.
    for address in endpoint.addresses(time_unit=settings.time_unit):
        check_privacy(address, key, is_private=routes.is_private(address))
    return partial(connect_by, routes, ssl_context)
