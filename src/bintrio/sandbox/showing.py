"""What a running sandbox shows to its owner: what came, what there is, and how it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from bintrio._text import shown
from bintrio.api.account import Balance
from bintrio.api.enums import KlineInterval
from bintrio.api.market import Kline, OrderBook, PriceLevel
from bintrio.endpoints import TimeUnit
from bintrio.errors import InvalidRequest

from .exchange.accounts import Account
from .exchange.arguments import check_kind, checked_interval
from .exchange.auth import SandboxAccount
from .exchange.candles import candles, interval
from .exchange.listing import Listing
from .exchange.orders import Execution, SandboxOrder, eight_decimals
from .exchange.symbols import Symbol
from .exchange.units import MILLISECOND
from .seen import SandboxBudget, SandboxCall, SandboxConnection, budgets_as_seen, call_as_seen, connection_as_seen
from .server.connection import Connections
from .server.faults import Fault
from .witness import Witness, senses_of

MARKET_MAKER_UID: Final = 0
"""The account of the market maker, whose orders are not shown."""


class Showing:
    """A sandbox as far as it shows how it stands.

    Attributes:
        account: the first account.
    """

    def __init__(self, connections: Connections, accounts: Sequence[SandboxAccount]) -> None:
        self.account: Final = accounts[0]
        self._accounts = [*accounts]
        self._connections = connections
        self._exchange = connections.exchange

    @property
    def accounts(self) -> Sequence[SandboxAccount]:
        """All accounts but the market maker's, in the order in which they were opened."""
        return tuple(self._accounts)

    def now(self) -> int:
        """The exchange's time, in milliseconds."""
        return self._connections.now() // MILLISECOND

    @property
    def connections(self) -> int:
        """How many connections are open; half-open ones are not counted."""
        return len(self._connections.open)

    @property
    def open_connections(self) -> Sequence[SandboxConnection]:
        """The connections that are open, in the order in which they opened; half-open ones are not among them."""
        return [connection_as_seen(connection) for connection in self._connections.open.values()]

    @property
    def budgets(self) -> Sequence[SandboxBudget]:
        """How much is used of the limits of each address, and of each account but the market maker's."""
        return [*budgets_as_seen(self._exchange, self._connections.now(), MARKET_MAKER_UID)]

    @property
    def faults(self) -> Sequence[Fault]:
        """The faults that are still to strike, in order, each with the ``times`` and ``skip`` that are left of it."""
        return self._connections.script.waiting

    @property
    def symbols(self) -> Sequence[Symbol]:
        """What is traded."""
        return tuple(self._exchange.engine.symbols.values())

    @property
    def received(self) -> Counter[str]:
        """How many requests came, by method, whether they were executed or not.

        Those whose method does not exist count as ``"unknown method"``.
        """
        return self._connections.received

    @property
    def orders(self) -> Sequence[SandboxOrder]:
        """Every order that clients placed and the matching engine took, in order, but those that are not kept."""
        return self._orders(lambda account: account.orders.values())

    @property
    def open_orders(self) -> Sequence[SandboxOrder]:
        """Those of `orders` that can still trade, in order."""
        return self._orders(Account.open_orders)

    def _orders(self, of: Callable[[Account], Iterable[SandboxOrder]]) -> Sequence[SandboxOrder]:
        self._connections.now()
        accounts = self._exchange.engine.accounts
        # Account by account: those of the market maker are many, and so are those that are over.
        found = (order for account in self._accounts for order in of(accounts[account.uid]))
        return sorted(found, key=attrgetter("order_id"))

    def fills(self, symbol: str, limit: int = 100) -> Sequence[Execution]:
        """The clients' sides of the latest trades of a symbol, in order, up to ``limit``; times are microseconds.

        Raises:
            Refusal: there is no such symbol.
        """
        name = self._listing(symbol).symbol.name
        accounts = [self._exchange.engine.accounts[account.uid] for account in self._accounts]
        # The latest of all are among the latest of each.
        latest = [one for account in accounts for one in account.executions.get(name, ())[-limit:]]
        return sorted(latest, key=attrgetter("time"))[-limit:]

    def book(self, symbol: str, limit: int = 100) -> OrderBook:
        """What is bid and asked of a symbol, up to ``limit`` levels a side, the best first.

        Raises:
            Refusal: there is no such symbol.
        """
        book = self._listing(symbol).book
        return OrderBook(last_update_id=book.update_id, bids=_levels(book.bids(limit)), asks=_levels(book.asks(limit)))

    def candles(self, symbol: str, interval_name: KlineInterval = "1m", limit: int = 100) -> Sequence[Kline]:
        """The latest candles of a symbol, in order, up to ``limit``; the last one may be unfinished.

        Raises:
            Refusal: there is no such symbol.
            InvalidRequest: there is no such interval.
        """
        tape, parts = self._listing(symbol).tape, interval(checked_interval(interval_name))
        found: Sequence[Kline] = candles(tape, parts, self._connections.now(), start=None, end=None, limit=limit)
        return [
            replace(one, open_time=one.open_time // MILLISECOND, close_time=one.close_time // MILLISECOND)
            for one in found
        ]

    def _listing(self, symbol: str) -> Listing:
        check_kind(str, symbol=symbol)
        self._connections.now()
        return self._exchange.engine.listing(symbol)

    @property
    def calls(self) -> Sequence[SandboxCall]:
        """What came, the latest 1,000 messages in order, and how each was answered."""
        return [call_as_seen(call) for call in self._connections.calls]

    def witness(self, uid: int | None = None, *, time_unit: TimeUnit = "ms") -> Witness:
        """Have everything noted from now on that comes, and every event of an account, the first unless told otherwise.

        Unlike `calls` it forgets nothing, and it follows the account as a client would that loses nothing.

        Args:
            uid: of the account.
            time_unit: of the times in events.

        Raises:
            InvalidRequest: there is no such account.
        """
        witness = Witness()
        self._connections.witnesses.add(self._known(uid), time_unit, self._connections.now(), senses_of(witness))
        return witness

    def balances(self, uid: int | None = None) -> tuple[Balance, ...]:
        """What an account has, the first one unless told otherwise, by the alphabet; without ``query_lag``.

        Raises:
            InvalidRequest: there is no such account.
        """
        account = self._exchange.engine.accounts[self._known(uid)]
        self._connections.now()
        return account.balances()

    def _known(self, uid: int | None) -> int:
        known = [*self._exchange.engine.accounts]
        if uid is None:
            return self.account.uid
        if uid not in known:
            raise InvalidRequest(f"uid must be one of {known}, not {shown(uid)}", field="uid")
        return uid


def _levels(levels: Iterable[tuple[Decimal, Decimal]]) -> tuple[PriceLevel, ...]:
    return tuple(PriceLevel(eight_decimals(price), eight_decimals(quantity)) for price, quantity in levels)
