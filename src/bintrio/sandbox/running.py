"""A running sandbox: the ways in, and what it is told to do. What it shows is in `showing`."""

from __future__ import annotations

import math
import ssl
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import trio

from bintrio._net.tasks import protected
from bintrio._protocol.signing import Ed25519Key, HmacKey, RsaKey
from bintrio.api._base import number
from bintrio.api.enums import Side
from bintrio.api.market import BlockTrade
from bintrio.api.trading import OrderPlace
from bintrio.endpoints import Address, Endpoint
from bintrio.errors import InvalidRequest

from .exchange.arguments import (
    check_close,
    check_kind,
    check_seconds,
    check_side,
    checked,
    checked_amount,
    microseconds,
)
from .exchange.auth import SandboxAccount
from .exchange.filling import makers_before, quantity_to_fill, resting_order
from .exchange.orders import SandboxOrder
from .exchange.reference import External, MeanOfTrades
from .exchange.units import SECOND
from .server.connection import Connections
from .server.faults import Fault
from .server.handshake import PATH
from .server.links import Link
from .server.network import Network
from .server.pulse import Pulse
from .showing import MARKET_MAKER_UID, Showing
from .struck import StormReport

LAST_TIME_MS: Final = 253_402_300_799_999
"""The end of the year 9999: a later time has no `datetime`."""

MEMORY_ENDPOINT: Final = Endpoint((f"ws://localhost{PATH}",), "sandbox")


class Sandbox(Showing):
    """A running sandbox; `open_sandbox` makes one.

    Attributes:
        endpoint: where it listens, or where `connect` leads if it does not listen.
        memory_endpoint: an endpoint to go with `connect`.
        ssl_context: for a client, trusts the sandbox's certificate; None without TLS.
        account: the first account.
        storm: what strikes it; None unless a seed was given.
    """

    storm: StormReport | None = None

    def __init__(
        self,
        network: Network,
        connections: Connections,
        pulse: Pulse,
        nursery: trio.Nursery,
        accounts: Sequence[SandboxAccount],
        *,
        endpoint: Endpoint,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self.endpoint: Final = endpoint
        self.memory_endpoint: Final = MEMORY_ENDPOINT
        self.ssl_context: Final = ssl_context
        super().__init__(connections, accounts)
        self._network = network
        self._pulse = pulse
        self._nursery = nursery

    def __repr__(self) -> str:
        return f"<Sandbox {self.endpoint.urls[0]}, {self.connections} connections>"

    # Ways in

    async def connect(self, address: Address, *, link: Link | None = None) -> trio.abc.Stream:
        """An in-memory stream to this sandbox, whatever the address says. For virtual time.

        Args:
            address: is not looked at.
            link: what lies between; `Sandbox.link` unless given. ``functools.partial(sandbox.connect, link=...)`` is a
                ``connect`` for `bintrio.open_session`.

        Raises:
            InvalidRequest: the link is none.
            ConnectionRefusedError: `RefuseConnection` has struck.
        """
        return self._network.connect(link)

    @property
    def link(self) -> Link:
        """What lies between the sandbox and who connects.

        It may be set at any time. It then counts for what is sent from now on over every connection that is open, and
        for those to come; ``cut_at`` and ``silent_at`` count the bytes from then on, and 0 strikes at once. A way
        that fell silent stays so. Connections over TCP that opened while there was no link keep none.
        """
        return self._network.link

    @link.setter
    def link(self, link: Link) -> None:
        self._network.link = link

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
            InvalidRequest: there is one with that uid, or with one of its keys; or it is no `SandboxAccount`.
        """
        check_kind(SandboxAccount, account=account)
        self._exchange.open_account(account)
        self._accounts.append(account)

    def revoke(self, api_key: str, *, lasts: float = math.inf) -> None:
        """Accept an API key no more, or for so many seconds.

        Raises:
            KeyError: there is no such key.
            InvalidRequest: ``lasts`` is no number of seconds from 0 on.
        """
        check_seconds(may_be_zero=True, lasts=lasts)
        self._exchange.keyring.revoke(api_key)
        # A task of the sandbox: whoever revokes goes on, and it ends with the sandbox at the latest.
        self._nursery.start_soon(protected, self._restore, api_key, lasts)

    async def _restore(self, api_key: str, after: float) -> None:
        await trio.sleep(after)
        self._exchange.keyring.restore(api_key)

    # What it does

    @property
    def query_lag(self) -> float:
        """Seconds by which queries of accounts and market data are behind the matching engine (see `open_sandbox`).

        It may be changed at any time. What a query has shown already it goes on showing; 0 shows everything at once.
        """
        return self._exchange.replicas.lag / SECOND

    @query_lag.setter
    def query_lag(self, seconds: float) -> None:
        self._exchange.replicas.lag = microseconds(query_lag=seconds)

    def announce_shutdown(self, after: float = 10.0) -> None:
        """Send serverShutdown to every connection, and end those ``after`` seconds. New ones are welcome.

        Raises:
            InvalidRequest: ``after`` is no number of seconds from 0 on.
        """
        check_seconds(may_be_zero=True, after=after)
        # A task, since whoever announces it goes on meanwhile.
        self._nursery.start_soon(protected, self._connections.shut_down, after)

    def inject(self, fault: Fault) -> None:
        """Script a fault (see `bintrio.sandbox.server.faults`).

        Raises:
            InvalidRequest: it is no `Fault`.
        """
        check_kind(Fault, fault=fault)
        self._connections.inject(fault)

    def clear_faults(self) -> None:
        """Let no fault strike any more that is still waiting."""
        self._connections.script.clear()

    def advance(self, seconds: float) -> None:
        """Set the exchange's clock forward: timestamps, windows of limits, candles and a market go by it.

        What takes its time goes by trio's clock still: pings, the lifetime of connections, faults that delay, queries
        that are behind (`query_lag`). To let a day pass for both, sleep under a `trio.testing.MockClock`.

        Raises:
            InvalidRequest: it is no number of seconds from 0 on, or leads beyond the year 9999.
        """
        check_seconds(may_be_zero=True, seconds=seconds)
        # Clients read times as dates, which end there.
        if self.now() + seconds * 1_000 > LAST_TIME_MS:
            raise InvalidRequest("seconds lead beyond the year 9999", field="seconds")
        self._pulse.advance(round(seconds * SECOND))
        # The market may have traded in that time.
        self._connections.deliver()

    def set_back(self, seconds: float) -> None:
        """Set the exchange's clock back. Its time never goes back, so it stands still until it is later than it was.

        Raises:
            InvalidRequest: it is no finite number of seconds from 0 on.
        """
        self._pulse.set_back(microseconds(seconds=seconds))

    def disconnect(self, code: int | None = None, reason: str = "") -> None:
        """End every connection, without warning: cut it, or close it with a frame.

        Args:
            code: of the close frame; None cuts without one.
            reason: in the close frame; 123 bytes at most.

        Raises:
            InvalidRequest: the code is none that may be sent, or the reason too long.
        """
        check_close(code, reason)
        self._connections.end_all(code, reason)

    def end_events(self, uid: int | None = None) -> None:
        """End all subscriptions to the events of an account, the first one unless told otherwise.

        Each is told by eventStreamTerminated, as when a key loses its permission. Whoever wants to may subscribe again.

        Raises:
            InvalidRequest: there is no such account.
        """
        self._exchange.end_events(self._known(uid), self._connections.now())
        self._connections.deliver()

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
        # Not `-amount`, which rounds to the precision of the program's context.
        self.deposit(asset, checked_amount(amount).copy_negate(), uid=uid)

    def lock_externally(self, asset: str, amount: Decimal, *, uid: int | None = None) -> None:
        """Lock a part of what is free for another system of the exchange, as for a margin; with a negative amount,
        release it.

        It stays the account's, of which orders and withdrawals cannot use it. Whoever follows the account is told by
        externalLockUpdate.

        Raises:
            Refusal: so much is not free, or was not locked so.
            InvalidRequest: the amount is no number, or there is no such account.
        """
        asset, amount = checked("asset", asset, str), checked_amount(amount)
        self._exchange.lock_externally(self._known(uid), asset, amount, self._connections.now())
        self._connections.deliver()

    def quote(self, symbol: str, bid: Decimal, ask: Decimal, quantity: Decimal) -> None:
        """Let the market maker buy and sell at these prices; its earlier orders for the symbol are canceled.

        A market that moves the symbol quotes anew with its next trade.

        Raises:
            Refusal: an order breaks a filter of the symbol.
            InvalidRequest: a value cannot be right.
        """
        now = self._connections.now()
        # First, so that the new orders do not meet the old ones.
        self._exchange.cancel_all(MARKET_MAKER_UID, symbol, now)
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
        order = self._exchange.place(MARKET_MAKER_UID, request, self._connections.now())
        self._connections.deliver()
        return order

    def fill(self, order: SandboxOrder | int, quantity: Decimal | None = None) -> SandboxOrder:
        """Let the market maker trade with an order on the book, at the order's price: all that is left, or a part.

        Orders of the market maker that stand before it are canceled.

        Args:
            order: one of `orders`, or its id.
            quantity: of the base asset.

        Returns:
            The market maker's order.

        Raises:
            Refusal: a filter of the symbol forbids such a trade.
            InvalidRequest: there is no such order, it is not on the book or for less than that, orders of clients stand
                before it, or an execution rule lets nothing trade at its price.
        """
        resting = resting_order(self.orders, order)
        quantity = quantity_to_fill(resting, quantity)
        now = self._connections.now()
        # Those stand first at the price, so they would trade instead of the order that was named.
        before = makers_before(self._exchange.engine, resting, quantity, now, maker=MARKET_MAKER_UID)
        self._exchange.cancel_each(before, now)
        return self.trade(resting.symbol, "SELL" if resting.is_buy else "BUY", resting.limit, quantity)

    def set_reference_price(self, symbol: str, price: Decimal | MeanOfTrades | None) -> None:
        """Set what execution rules measure prices by.

        Args:
            symbol: of which it is.
            price: from outside; None says that there is none just now. Or how it is made of the symbol's trades.

        Raises:
            Refusal: there is no such symbol.
            InvalidRequest: a value cannot be right.
        """
        check_kind(str, symbol=symbol)
        now = self._connections.now()
        source = price if isinstance(price, MeanOfTrades) else _from_outside(price, now)
        self._exchange.set_reference(symbol, source, now)

    def block_trade(self, symbol: str, side: Side, price: Decimal, quantity: Decimal) -> BlockTrade:
        """Let two parties trade outside the book; blockTrades.historical shows it. ``side`` is the taker's.

        Raises:
            Refusal: there is no such symbol.
            InvalidRequest: a value cannot be right.
        """
        price, quantity = number("price", price), number("quantity", quantity)
        check_kind(str, symbol=symbol)
        check_side(side)
        return self._exchange.trade_block(symbol, side, price, quantity, self._connections.now())


def _from_outside(price: Decimal | None, now: int) -> External:
    return External(None if price is None else number("price", price), now)
