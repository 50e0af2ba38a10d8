"""The sandbox: a local exchange that speaks the WebSocket API, for programs and tests without network and account.

    async with open_sandbox() as sandbox:
        async with bintrio.open_session(sandbox.endpoint, key=sandbox.key) as session:
            ...

It listens on loopback TCP, with TLS on request, and hands out in-memory streams. All its time is trio's, so under
`trio.testing.MockClock` a day passes at once; there, use ``listen=False`` and `Sandbox.connect`.

It answers every method of the catalogue.
"""

from __future__ import annotations

import math
import re
import ssl
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from bintrio._net.tasks import bare_nursery, check_trio, protected
from bintrio._protocol.signing import Ed25519Key, HmacKey, RsaKey
from bintrio._text import shown
from bintrio.api._base import number
from bintrio.api.enums import Side
from bintrio.api.filters import Filter
from bintrio.api.market import BlockTrade
from bintrio.api.trading import OrderPlace
from bintrio.endpoints import Address, Endpoint
from bintrio.errors import InvalidRequest

from .exchange.arguments import (
    check_int,
    check_kind,
    check_seconds,
    check_side,
    checked,
    checked_amount,
    checked_each,
    checked_routes,
)
from .exchange.auth import Credential, SandboxAccount
from .exchange.commissions import Commissions, Rates
from .exchange.exchange import Exchange
from .exchange.limits import Limits
from .exchange.markets.crowd import Crowd
from .exchange.markets.market import Market, Tick
from .exchange.markets.random_walk import RandomWalk
from .exchange.markets.replay import Replay
from .exchange.orders import Execution, Kind, Prevention, SandboxOrder
from .exchange.symbols import SYMBOLS, Symbol
from .exchange.units import MILLISECOND, SECOND
from .server.connection import Connections, Timings
from .server.faults import (
    CutReplyAt,
    Delay,
    Disconnect,
    DropReply,
    DuplicateReply,
    EventsFirst,
    Fault,
    Garbage,
    HalfOpen,
    HandshakeStatus,
    IpBan,
    LateReply,
    MutePings,
    NullIdReply,
    Reorder,
    Script,
    ServerError,
    Timeout,
    TooManyRequests,
    UnknownIdReply,
)
from .server.handshake import PATH
from .server.memory import memory_stream_pair
from .server.pulse import Pulse
from .server.server import Server

__all__ = [
    "IpBan",
    "Commissions",
    "Credential",
    "CutReplyAt",
    "Delay",
    "Disconnect",
    "DropReply",
    "DuplicateReply",
    "EventsFirst",
    "Execution",
    "Fault",
    "Garbage",
    "HalfOpen",
    "HandshakeStatus",
    "Kind",
    "LateReply",
    "Limits",
    "Market",
    "MutePings",
    "NullIdReply",
    "Prevention",
    "SandboxOrder",
    "RandomWalk",
    "TooManyRequests",
    "Rates",
    "Reorder",
    "Replay",
    "Sandbox",
    "SandboxAccount",
    "ServerError",
    "Symbol",
    "Tick",
    "Timeout",
    "UnknownIdReply",
    "open_sandbox",
    "trader",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _FORMER_NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        return globals()[_FORMER_NAMES[name]]


_FORMER_NAMES: Final = {"Banned": "IpBan", "Order": "SandboxOrder", "RateLimited": "TooManyRequests"}
"""They had another meaning at the root. The former ones are found until 1.0, though not by type checkers."""

START_TIME_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: when a sandbox's time starts unless told otherwise."""

LAST_TIME_MS: Final = 253_402_300_799_999
"""The end of the year 9999: a later time has no `datetime`."""

_MARKET_MAKER_UID: Final = 0
_TRADER_UID: Final = 2
_PLENTY: Final = Decimal(1_000_000_000)


def trader(uid: int = _TRADER_UID) -> SandboxAccount:
    """An account with enough to trade every symbol of the default ones, at a commission of 0.1 %."""
    balances = {"BTC": Decimal(100), "ETH": Decimal(1_000), "BNB": Decimal(1_000), "USDT": Decimal(1_000_000)}
    rate = Decimal("0.001")
    return SandboxAccount(uid, balances, maker_rate=rate, taker_rate=rate)


class Sandbox:
    """A running sandbox; `open_sandbox` makes one.

    Attributes:
        endpoint: where it listens, or where `connect` leads if it does not listen.
        memory_endpoint: an endpoint to go with `connect`.
        ssl_context: for a client, trusts the sandbox's certificate; None without TLS.
        account: the first account.
    """

    def __init__(
        self,
        server: Server,
        connections: Connections,
        nursery: trio.Nursery,
        accounts: Sequence[SandboxAccount],
        *,
        endpoint: Endpoint,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self.endpoint: Final = endpoint
        self.memory_endpoint: Final = _MEMORY_ENDPOINT
        self.ssl_context: Final = ssl_context
        self.account: Final = accounts[0]
        self._server = server
        self._connections = connections
        self._exchange = connections.exchange
        self._nursery = nursery

    def __repr__(self) -> str:
        return f"<Sandbox {self.endpoint.urls[0]}, {self.connections} connections>"

    # Ways in

    async def connect(self, address: Address) -> trio.abc.Stream:
        """An in-memory stream to this sandbox, whatever the address says. For virtual time."""
        client, server = memory_stream_pair()
        self._nursery.start_soon(protected, self._server.serve, server)
        return client

    @property
    def key(self) -> Ed25519Key:
        """The Ed25519 key of the first account, which has funds."""
        return self.account.key

    @property
    def hmac_key(self) -> HmacKey:
        """The HMAC key of the first account."""
        return self.account.hmac_key

    @property
    def rsa_key(self) -> RsaKey:
        """The RSA key of the first account; it is made at the first use, which takes a moment."""
        return self.account.rsa_key

    def add_account(self, account: SandboxAccount) -> None:
        """Open another account.

        Raises:
            ValueError: there is one with that uid.
            InvalidRequest: it is no `SandboxAccount`.
        """
        check_kind(SandboxAccount, account=account)
        self._exchange.open_account(account)

    def revoke(self, api_key: str) -> None:
        """Accept an API key no more.

        Raises:
            KeyError: there is no such key.
        """
        self._exchange.keyring.revoke(api_key)

    # What it has seen

    def now(self) -> int:
        """The exchange's time, in milliseconds."""
        return self._connections.now() // MILLISECOND

    @property
    def connections(self) -> int:
        """How many connections are open; half-open ones are not counted."""
        return len(self._connections.open)

    @property
    def received(self) -> Counter[str]:
        """How many requests came, by method, whether they were executed or not.

        Those whose method does not exist count as ``"unknown method"``.
        """
        return self._connections.received

    @property
    def orders(self) -> Sequence[SandboxOrder]:
        """Every order that clients placed and the matching engine took, in order."""
        self._connections.now()
        return [order for order in self._exchange.engine.orders if order.owner != _MARKET_MAKER_UID]

    @property
    def query_lag(self) -> float:
        """Seconds by which queries of orders, trades and balances are behind the matching engine (see `open_sandbox`).

        It may be changed at any time. What a query has shown already it goes on showing; 0 shows everything at once.
        """
        return self._exchange.replicas.lag / SECOND

    @query_lag.setter
    def query_lag(self, seconds: float) -> None:
        self._exchange.replicas.lag = _lag(seconds)

    # What it does

    def announce_shutdown(self, after: float = 10.0) -> None:
        """Send serverShutdown to every connection, and end those ``after`` seconds. New ones are welcome.

        Raises:
            InvalidRequest: ``after`` is no number of seconds from 0 on.
        """
        check_seconds(may_be_zero=True, after=after)
        self._nursery.start_soon(protected, self._connections.shut_down, after)

    def inject(self, fault: Fault) -> None:
        """Script a fault (see `bintrio.sandbox.server.faults`).

        Raises:
            InvalidRequest: it is no `Fault`.
        """
        check_kind(Fault, fault=fault)
        self._connections.inject(fault)

    def disconnect(self) -> None:
        """Cut every connection, without a close frame."""
        for connection in tuple(self._connections.open.values()):
            connection.cut()

    def deposit(self, asset: str, amount: Decimal, *, uid: int | None = None) -> None:
        """Add to an account, the first one unless told otherwise; with a negative amount, withdraw.

        Raises:
            Refusal: there is not enough to withdraw.
            InvalidRequest: the amount is no number, or there is no such account.
        """
        asset, amount = checked("asset", asset, str), checked_amount(amount)
        self._exchange.transfer(self._known(uid), asset, amount, self._connections.now())
        self._connections.deliver()

    def withdraw(self, asset: str, amount: Decimal, *, uid: int | None = None) -> None:
        """Take from an account, the first one unless told otherwise.

        Raises:
            Refusal: there is not enough.
            InvalidRequest: the amount is no number, or there is no such account.
        """
        self.deposit(asset, checked_amount(amount).copy_negate(), uid=uid)

    def _known(self, uid: int | None) -> int:
        known = [*self._exchange.engine.accounts]
        if uid is None:
            return self.account.uid
        if uid not in known:
            raise InvalidRequest(f"uid must be one of {known}, not {shown(uid)}", field="uid")
        return uid

    def quote(self, symbol: str, bid: Decimal, ask: Decimal, quantity: Decimal) -> None:
        """Let the market maker buy and sell at these prices; its earlier orders for the symbol are canceled.

        A market that moves the symbol quotes anew with its next trade.

        Raises:
            Refusal: an order breaks a filter of the symbol.
            InvalidRequest: a value cannot be right.
        """
        now = self._connections.now()
        self._exchange.cancel_all(_MARKET_MAKER_UID, symbol, now)
        self.trade(symbol, "BUY", bid, quantity)
        self.trade(symbol, "SELL", ask, quantity)

    def trade(self, symbol: str, side: Side, price: Decimal, quantity: Decimal) -> SandboxOrder:
        """Let the market maker place a limit order, which trades with what is on the book.

        Raises:
            Refusal: the order breaks a filter of the symbol.
            InvalidRequest: a value cannot be right.
        """
        check_kind(str, symbol=symbol)
        check_side(side)
        request = OrderPlace(
            symbol=symbol, side=side, type="LIMIT", time_in_force="GTC", price=price, quantity=quantity
        )
        order = self._exchange.place(_MARKET_MAKER_UID, request, self._connections.now())
        self._connections.deliver()
        return order

    def block_trade(self, symbol: str, side: Side, price: Decimal, quantity: Decimal) -> BlockTrade:
        """Let two parties trade outside the book; blockTrades.historical shows it. ``side`` is the taker's.

        Raises:
            Refusal: there is no such symbol.
            InvalidRequest: a value cannot be right.
        """
        price, quantity = number("price", price), number("quantity", quantity)
        check_kind(str, symbol=symbol)
        check_side(side)
        tape = self._exchange.engine.listing(symbol).tape
        return tape.record_block(price, quantity, self._connections.now(), is_buyer_maker=side == "SELL")


_ALL_ADDRESSES: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
"""What a client on this machine takes for the host that stands for all of its addresses."""

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")  # that a certificate can name

_MEMORY_ENDPOINT: Final = Endpoint((f"ws://localhost{PATH}",), "sandbox")


@asynccontextmanager
async def open_sandbox(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: bool = False,
    listen: bool = True,
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
    start_time_ms: int | None = START_TIME_MS,
    faults: Iterable[Fault] = (),
) -> AsyncGenerator[Sandbox, None]:
    """Run a sandbox until the block is left.

    Args:
        host: where to listen: a name or address of this machine, or ``0.0.0.0`` for all of them.
        port: of the listener; 0 takes a free one.
        tls: whether to speak TLS, with a certificate for the host and localhost, and where it listens on all addresses
            for this machine's name and what that stands for. `Sandbox.ssl_context` trusts it. Needs trustme
            (``bintrio[tls]``).
        listen: whether to listen at all; `Sandbox.connect` works either way.
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
        query_lag: seconds after which a change is seen by account.status, order.status, openOrders.status, allOrders,
            myTrades, order.amendments and the like, which the exchange answers from a cache or a database ("Data
            sources": Memory, Database). Requests to the matching engine and events are never behind.
        start_time_ms: the exchange's time at the start; None takes this machine's clock.
        faults: to be injected at once.

    Raises:
        OSError: the host or port cannot be had, or the market's file cannot be read.
        InvalidRequest: an argument cannot be right, or the market does not fit the symbols.
    """
    check_trio("open_sandbox")
    check_kind(str, host=host)
    check_kind(bool, tls=tls, listen=listen)
    check_int("port", port, 0, 65_535)
    check_seconds(ping_interval=ping_interval, pong_window=pong_window, lifetime=lifetime)
    if start_time_ms is not None:
        check_int("start_time_ms", start_time_ms, 0, LAST_TIME_MS)
    if market is not None:
        check_kind(Market, market=market)
    if limits is not None:
        check_kind(Limits, limits=limits)
    owners = checked_each("accounts", accounts or (), SandboxAccount) or (trader(),)
    faults = checked_each("faults", faults, Fault)
    exchange = _exchange(symbols, limits, exchange_filters, routes)
    exchange.replicas.lag = _lag(query_lag)
    for account in (_market_maker(exchange), *owners):
        exchange.open_account(account)
    timings = Timings(ping_interval, pong_window, lifetime)
    clock = _clock(start_time_ms)
    pulse = Pulse(exchange, clock, None if market is None else Crowd(exchange, market, _MARKET_MAKER_UID, clock()))
    connections = Connections(exchange, Script(faults), timings, pulse.now, pulse.notice)
    server = Server(connections)
    async with bare_nursery() as nursery:
        endpoint, client_context = _MEMORY_ENDPOINT, None
        if market is not None:
            nursery.start_soon(protected, pulse.beat, connections.deliver)
        if listen:
            endpoint, client_context = await _listen(server, nursery, host, port, tls=tls)
        yield Sandbox(server, connections, nursery, owners, endpoint=endpoint, ssl_context=client_context)


def _exchange(symbols: Any, limits: Limits | None, filters: Any, routes: Any) -> Exchange:
    symbols = checked_each("symbols", symbols, Symbol)
    filters = checked("exchange_filters", filters, tuple[Filter, ...])
    return Exchange(symbols, limits or Limits(), exchange_filters=filters, routes=checked_routes(routes, symbols))


def _lag(seconds: float) -> int:
    """Microseconds."""
    check_seconds(may_be_zero=True, query_lag=seconds)
    if seconds == math.inf:
        raise InvalidRequest("query_lag must be finite", field="query_lag")
    return round(seconds * SECOND)


def _market_maker(exchange: Exchange) -> SandboxAccount:
    assets = {asset for symbol in exchange.engine.symbols.values() for asset in (symbol.base, symbol.quote)}
    return SandboxAccount(_MARKET_MAKER_UID, dict.fromkeys(sorted(assets), _PLENTY))


def _clock(start_time_ms: int | None) -> Callable[[], int]:
    """Microseconds, from trio's clock."""
    start = time.time_ns() // 1_000 if start_time_ms is None else start_time_ms * MILLISECOND
    origin = trio.current_time()
    return lambda: start + math.floor((trio.current_time() - origin) * SECOND)


async def _listen(
    server: Server, nursery: trio.Nursery, host: str, port: int, *, tls: bool
) -> tuple[Endpoint, ssl.SSLContext | None]:
    listeners: list[trio.SocketListener] = await trio.open_tcp_listeners(port, host=host)
    while len(listeners) > 1:  # a name with several addresses, each with a port of its own
        await listeners.pop().aclose()
    bound_port = listeners[0].socket.getsockname()[1]
    # Where all addresses are listened on, a client on this machine takes the loopback one.
    named = _ALL_ADDRESSES.get(host, f"[{host}]" if ":" in host else host)
    if not tls:
        nursery.start_soon(protected, trio.serve_listeners, partial(protected, server.serve), listeners)
        return Endpoint((f"ws://{named}:{bound_port}{PATH}",), "sandbox"), None
    server_context, client_context = _certificates(named.strip("[]"), *await _own_names(host))
    secured = [trio.SSLListener(listener, server_context, https_compatible=True) for listener in listeners]
    nursery.start_soon(protected, trio.serve_listeners, partial(protected, server.serve), secured)
    return Endpoint((f"wss://{named}:{bound_port}{PATH}",), "sandbox"), client_context


async def _own_names(host: str) -> Sequence[str]:
    """By what clients elsewhere know this machine, where all of its addresses are listened on."""
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
    import trustme

    authority: Any = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*dict.fromkeys(("localhost", "127.0.0.1", "::1", *names))).configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    return server_context, client_context
