"""The sandbox: a local exchange that speaks the WebSocket API, for programs and tests without network and account.

    async with open_sandbox() as sandbox:
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key) as session:
            ...

It listens on loopback TCP, with TLS on request, and hands out in-memory streams. All its time is trio's, so under
`trio.testing.MockClock` a day passes at once; there, use ``listen=False`` and `Sandbox.connect`.

It answers every method of the catalogue.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import trio

from bintrio._net.scheduling import scheduled
from bintrio._net.tasks import bare_nursery, check_trio, protected
from bintrio._protocol.chance import seeded, using
from bintrio.api.filters import Filter

from .exchange.arguments import (
    check_int,
    check_kind,
    check_seconds,
    checked,
    checked_each,
    checked_routes,
    microseconds,
)
from .exchange.auth import Credential, KeyType, SandboxAccount, SandboxKey
from .exchange.commissions import Commissions, Rates
from .exchange.exchange import Exchange
from .exchange.limits import Limits
from .exchange.markets.crowd import Crowd
from .exchange.markets.market import Market, Tick
from .exchange.markets.random_walk import RandomWalk
from .exchange.markets.replay import Replay
from .exchange.orders import Execution, Kind, Prevention, SandboxOrder
from .exchange.reference import MeanOfTrades
from .exchange.script import Recorded
from .exchange.symbols import SYMBOLS, Symbol
from .recorded import open_recording
from .running import LAST_TIME_MS, MEMORY_ENDPOINT, Sandbox
from .seen import SandboxBudget, SandboxCall, SandboxConnection
from .server.connection import Connections, Timings
from .server.faults import (
    CutReplyAt,
    Delay,
    Disconnect,
    DropReply,
    DuplicateReply,
    ErrorReply,
    EventsFirst,
    Farewell,
    Fault,
    Garbage,
    HalfOpen,
    HandshakeStatus,
    IpBan,
    LateEvents,
    LateReply,
    MutePings,
    NullIdReply,
    OddEvents,
    Pings,
    RefuseConnection,
    Reorder,
    ServerError,
    SlowHandshake,
    Timeout,
    Together,
    TooManyRequests,
    UnknownIdReply,
    WrongReply,
)
from .server.links import IDEAL, Link, Way
from .server.listening import listen_on
from .server.network import Network
from .server.pulse import Clock, Pulse
from .server.replay import RecordedExchange
from .server.script import Script
from .server.server import Server
from .showing import MARKET_MAKER_UID
from .storm import Storm
from .struck import StormReport
from .witness import Told, Witness
from .world import World, WorldAccount, WorldKey, WorldQuote, WorldReplay, WorldWalk, read_world, trader

__all__ = [
    "IpBan",
    "Commissions",
    "Credential",
    "CutReplyAt",
    "Delay",
    "Disconnect",
    "DropReply",
    "DuplicateReply",
    "ErrorReply",
    "EventsFirst",
    "Farewell",
    "Execution",
    "Fault",
    "Garbage",
    "HalfOpen",
    "HandshakeStatus",
    "KeyType",
    "Kind",
    "LateEvents",
    "LateReply",
    "Limits",
    "Link",
    "Market",
    "MeanOfTrades",
    "MutePings",
    "NullIdReply",
    "OddEvents",
    "Pings",
    "Prevention",
    "SandboxOrder",
    "RandomWalk",
    "Recorded",
    "RecordedExchange",
    "TooManyRequests",
    "Rates",
    "RefuseConnection",
    "Reorder",
    "Replay",
    "Sandbox",
    "SandboxAccount",
    "SandboxBudget",
    "SandboxCall",
    "SandboxConnection",
    "SandboxKey",
    "ServerError",
    "SlowHandshake",
    "StormReport",
    "Symbol",
    "Tick",
    "Timeout",
    "Together",
    "Told",
    "UnknownIdReply",
    "Way",
    "Witness",
    "World",
    "WorldAccount",
    "WorldKey",
    "WorldQuote",
    "WorldReplay",
    "WorldWalk",
    "WrongReply",
    "open_recording",
    "open_sandbox",
    "open_world",
    "read_world",
    "trader",
]

if not TYPE_CHECKING:
    # Hidden from type checkers, which would take any name to be there.
    def __getattr__(name: str) -> object:
        if name not in _FORMER_NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        return globals()[_FORMER_NAMES[name]]


# They had another meaning at the root. The former ones are found until 1.0, though not by type checkers.
_FORMER_NAMES: Final = {"Banned": "IpBan", "Order": "SandboxOrder", "RateLimited": "TooManyRequests"}

START_TIME_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: when a sandbox's time starts unless told otherwise."""

_MOST_KEPT: Final = 10**12  # more than any memory holds

_PLENTY: Final = Decimal(1_000_000_000)


@asynccontextmanager
async def open_sandbox(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: bool = False,
    listen: bool | None = None,
    accounts: Sequence[SandboxAccount] | None = None,
    symbols: Iterable[Symbol] = SYMBOLS,
    market: Market | None = None,
    limits: Limits | None = None,
    exchange_filters: Sequence[Filter] = (),
    routes: Iterable[Sequence[str]] = (),
    ping_interval: float = 20.0,
    pong_window: float = 60.0,
    lifetime: float = 86_400.0,
    query_lag: float = 0.0,
    keep: int | None = None,
    start_time_ms: int | None = START_TIME_MS,
    faults: Iterable[Fault] = (),
    link: Link = IDEAL,
    storm: int | None = None,
) -> AsyncGenerator[Sandbox, None]:
    """Run a sandbox until the block is left.

    Args:
        host: where to listen: a name or address of this machine, or ``0.0.0.0`` for all of them.
        port: of the listener; 0 takes a free one.
        tls: whether to speak TLS, with a certificate for the host and localhost, and where it listens on all addresses
            for this machine's name and what that stands for. `Sandbox.ssl_context` trusts it. Needs trustme
            (``bintrio[tls]``).
        listen: whether to listen at all; `Sandbox.connect` works either way. None listens unless there is a storm.
        accounts: who may trade; one with plenty of funds unless given.
        symbols: what is traded.
        market: who trades beside you, and so moves the prices: a `RandomWalk`, a `Replay`, or a `Market` of your own.
            There are quotes from the start. Without one, the books are empty until `Sandbox.quote` fills them.
        limits: how often; the document's unless given.
        exchange_filters: filters on all orders of an account, and on assets (`bintrio.api.filters`).
        routes: groups of symbols of one base asset among whose books sor.order.place may take.
        ping_interval: seconds between pings.
        pong_window: seconds after which an unanswered ping ends the connection.
        lifetime: seconds after which a connection is ended.
        query_lag: seconds, by trio's clock, after which a change is seen by methods that the exchange answers from a
            cache or a database ("Data sources": Memory, Database): queries of an account, market data, and tests of
            orders; docs/methods.md has the data source of each. Requests to the matching engine and events are never
            behind.
        keep: how many closed orders and lists of each account are kept, the newest, and at least how many trades of
            each account and symbol, and minutes with trades. What is older queries do not find; candles and statistics
            know of it as long as they know its minute. None keeps all.
        start_time_ms: the exchange's time at the start; None takes this machine's clock.
        faults: to be injected at once.
        link: what lies between the sandbox and who connects: latency, bandwidth, pieces, where bytes are lost. Over
            TCP, this comes on top of what lies there in truth. `Sandbox.link` changes it.
        storm: a seed. Then everything goes wrong that can, again and again, the same way for the same seed; the order
            of tasks and what sessions leave to chance follow from it as well. For virtual time, and sessions over
            streams in memory (``connect=sandbox.connect``): by another way they are refused. `Sandbox.storm` tells what
            happened.

    Raises:
        OSError: the host or port cannot be had, or the market's file cannot be read.
        InvalidRequest: an argument cannot be right, or the market does not fit the symbols.
    """
    check_trio("open_sandbox")
    check_kind(str, host=host)
    check_kind(bool, tls=tls, listen=_listens(listen, storm))
    check_int("port", port, 0, 65_535)
    check_seconds(ping_interval=ping_interval, pong_window=pong_window, lifetime=lifetime)
    if start_time_ms is not None:
        check_int("start_time_ms", start_time_ms, 0, LAST_TIME_MS)
    check_kind(Link, link=link)
    owners = checked_each("accounts", accounts or (), SandboxAccount) or (trader(),)
    faults = checked_each("faults", faults, Fault)
    exchange = _exchange(symbols, limits, exchange_filters, routes, keep)
    for account in (_market_maker(exchange), *owners):
        exchange.open_account(account)
    pulse = _pulse(exchange, Clock(start_time_ms), market)
    _let_lag(exchange, pulse, query_lag)
    connections = Connections(
        exchange, Script(faults), Timings(ping_interval, pong_window, lifetime), pulse.now, pulse.notice
    )
    # The chance comes first, so that the nursery's tasks have it as well.
    async with _left_to(storm), bare_nursery() as nursery:
        endpoint, client_context = MEMORY_ENDPOINT, None
        network = Network(Server(connections), connections.script, nursery, link)
        if market is not None:
            nursery.start_soon(protected, pulse.beat, connections.deliver)
        if _listens(listen, storm):
            endpoint, client_context = await listen_on(network, nursery, host, port, tls=tls)
        sandbox = Sandbox(network, connections, pulse, nursery, owners, endpoint=endpoint, ssl_context=client_context)
        yield _struck(sandbox, storm, nursery)


def _listens(listen: bool | None, storm: int | None) -> bool:
    # A session in a storm connects in memory only, so nobody would come.
    return storm is None if listen is None else listen


def _pulse(exchange: Exchange, clock: Clock, market: Market | None) -> Pulse:
    if market is None:
        return Pulse(exchange, clock)
    check_kind(Market, market=market)
    return Pulse(exchange, clock, Crowd(exchange, market, MARKET_MAKER_UID, clock()))


def _let_lag(exchange: Exchange, pulse: Pulse, query_lag: float) -> None:
    lag = microseconds(query_lag=query_lag)
    # Queries know at once what a market begins with.
    if lag:
        pulse.now()
    exchange.replicas.lag = lag


def _struck(sandbox: Sandbox, storm: int | None, nursery: trio.Nursery) -> Sandbox:
    # 0 is a seed too.
    if storm is not None:
        sandbox.storm = raging = Storm(storm, sandbox)
        nursery.start_soon(protected, raging.rage)
    return sandbox


@asynccontextmanager
async def _left_to(storm: int | None) -> AsyncGenerator[None]:
    """Have everything that is left to chance follow from a storm's seed, in this block and in the tasks begun in it."""
    if storm is None:
        yield
        return
    check_int("storm", storm, -_MOST_KEPT, _MOST_KEPT)
    with using(seeded(storm)), scheduled(storm):
        yield


@asynccontextmanager
async def open_world(
    world: World,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: bool = False,
    listen: bool | None = None,
    storm: int | None = None,
) -> AsyncGenerator[Sandbox, None]:
    """Run a sandbox of a world until the block is left; there are quotes from the start.

    Args:
        world: what it is made of; `read_world` reads one from a file.
        host: see `open_sandbox`.
        port: see `open_sandbox`.
        tls: see `open_sandbox`.
        listen: see `open_sandbox`.
        storm: see `open_sandbox`.

    Raises:
        OSError: the host or port cannot be had, or a file that the world names cannot be read.
        InvalidRequest: a value of the world cannot be right.
    """
    check_kind(World, world=world)
    settings: dict[str, Any] = {**world.settings(), "query_lag": 0}
    async with open_sandbox(host=host, port=port, tls=tls, listen=listen, storm=storm, **settings) as sandbox:
        # The market maker's quotes are orders like others, so they need an exchange that runs.
        world.set_prices(sandbox)
        # Queries know at once what a world begins with.
        sandbox.query_lag = world.query_lag
        yield sandbox


def _exchange(symbols: Any, limits: Limits | None, filters: Any, routes: Any, keep: int | None) -> Exchange:
    symbols = checked_each("symbols", symbols, Symbol)
    filters = checked("exchange_filters", filters, tuple[Filter, ...])
    routes = checked_routes(routes, symbols)
    if limits is not None:
        check_kind(Limits, limits=limits)
    if keep is not None:
        check_int("keep", keep, 1, _MOST_KEPT)
    return Exchange(symbols, limits or Limits(), exchange_filters=filters, routes=routes, keep=keep)


def _market_maker(exchange: Exchange) -> SandboxAccount:
    assets = {asset for symbol in exchange.engine.symbols.values() for asset in (symbol.base, symbol.quote)}
    # Sorted, since the order of a set may differ from run to run.
    return SandboxAccount(MARKET_MAKER_UID, dict.fromkeys(sorted(assets), _PLENTY))
