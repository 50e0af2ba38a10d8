"""The matching engine: orders in, trades, balances and events out. No I/O; time is an argument, in microseconds.

**What an order locks.** A limit order locks what it may give at most: price times quantity to buy, the quantity to
sell. A market order locks what a look at the book says that it will give. Each trade is paid out of the lock at the
maker's price; what is then no longer needed is released at once, so a lock always equals what the open rest may cost.

**Commission** is taken from what a side receives, and kept in `fees`: balances and fees together never change by
trading.

**Order of events.** For each change: its executionReport, then the balances it moved. The taker's side of a trade
comes before the maker's.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import count
from typing import Final, Literal, NamedTuple

from bintrio.api._values import ExecutionType
from bintrio.api.events import BalanceUpdate, KnownEvent, OutboundAccountPosition
from bintrio.api.trading import OrderPlace, OrderTest

from .accounts import Account
from .book import Book
from .orders import NOTHING, Execution, Order, Trade, eight_decimals, execution_report
from .refusals import cancel_refused, invalid_symbol, order_refused
from .symbols import Symbol


class Notice(NamedTuple):
    """An event, and the uid of the account that it concerns."""

    uid: int
    event: KnownEvent


class MatchingEngine:
    """Books, accounts and their orders.

    Args:
        symbols: what is traded.

    Attributes:
        symbols: what is traded, by name.
        books: by the symbol's name.
        accounts: by uid.
        fees: commission taken so far, by asset.
        orders: every order that was taken, in order.
    """

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        self.symbols: Final = {symbol.name: symbol for symbol in symbols}
        self.books: Final = {name: Book(symbol.step_size) for name, symbol in self.symbols.items()}
        self.accounts: Final[dict[int, Account]] = {}
        self.fees: Final[dict[str, Decimal]] = {}
        self.orders: Final[list[Order]] = []
        self._order_ids = count(1)
        self._trade_ids = count(1)
        self._execution_ids = count(1)
        self._notices: list[Notice] = []

    def take_notices(self) -> list[Notice]:
        """The events since the last call, in their order."""
        notices, self._notices = self._notices, []
        return notices

    def symbol(self, name: str) -> Symbol:
        """A symbol by name.

        Raises:
            Refusal: -1121.
        """
        try:
            return self.symbols[name]
        except KeyError:
            raise invalid_symbol() from None

    # Orders

    def check(self, account: Account, request: OrderPlace | OrderTest, now: int) -> Order:
        """The order that a request asks for, if every rule lets it pass; nothing is changed.

        Raises:
            Refusal: -1121, -1013 or -2010.
        """
        symbol = self.symbol(request.symbol)
        order = _as_order(request, next(self._order_ids), account.uid, now)
        symbol.check(order, self._reference_price(order))
        return order

    def place(self, account: Account, request: OrderPlace, now: int) -> Order:
        """Place an order, trade it, and put the rest on the book or end it.

        Raises:
            Refusal: -1121, -1013 or -2010; nothing has changed.
        """
        order = self.check(account, request, now)
        book = self.books[order.symbol]
        quantity, amount = book.preview(order)
        if order.type == "LIMIT_MAKER" and quantity:
            raise order_refused("Order would immediately match and take.")
        if order.quote_quantity and not quantity:
            raise order_refused("Order book liquidity is less than LOT_SIZE filter minimum quantity.")
        if order.quote_quantity:
            order.quantity = quantity
        account.check_client_order_id(order)
        reserved = _needed(order) if order.type != "MARKET" else amount if order.is_buy else quantity
        account.lock(self._given(order), reserved)
        order.reserved = reserved
        account.register(order)
        self.orders.append(order)
        self._report(order, "NEW")
        self._report_balances(account, (self._given(order),), now)
        if order.time_in_force != "FOK" or quantity == order.quantity:
            for trade in book.match(order, now):
                self._settle(order, trade, now)
        self._finish(account, order, now)
        return order

    def _finish(self, account: Account, order: Order, now: int) -> None:
        """After matching: what is left goes on the book, or expires."""
        if order.status == "FILLED":
            return
        if order.type != "MARKET" and order.time_in_force == "GTC":
            self.books[order.symbol].add(order)
            return
        self._end(account, order, "EXPIRED", now)

    def cancel(
        self, account: Account, order: Order, now: int, *, cancel_id: str, restriction: str | None = None
    ) -> None:
        """Take an order off the book.

        Raises:
            Refusal: -2011, it is not open, or not in the state that ``restriction`` asks for.
        """
        if not order.is_open:
            raise cancel_refused("Unknown order sent.")
        if restriction is not None and order.status != restriction.removeprefix("ONLY_"):
            raise cancel_refused("Order was not canceled due to cancel restrictions.")
        self.books[order.symbol].remove(order)
        self._end(account, order, "CANCELED", now, cancel_id=cancel_id)

    def _end(
        self,
        account: Account,
        order: Order,
        kind: Literal["CANCELED", "EXPIRED"],
        now: int,
        *,
        cancel_id: str | None = None,
    ) -> None:
        order.end(kind, now)
        self._release(account, order)
        self._report(order, kind, cancel_id=cancel_id)
        self._report_balances(account, (self._given(order),), now)

    # Trades

    def _settle(self, taker: Order, trade: Trade, now: int) -> None:
        trade_id = next(self._trade_ids)
        for order in (taker, trade.maker):
            self._settle_side(order, trade, trade_id, now, is_maker=order is trade.maker)

    def _settle_side(self, order: Order, trade: Trade, trade_id: int, now: int, *, is_maker: bool) -> None:
        account = self.accounts[order.owner]
        symbol = self.symbols[order.symbol]
        given, received = (trade.amount, trade.quantity) if order.is_buy else (trade.quantity, trade.amount)
        asset = symbol.base if order.is_buy else symbol.quote
        commission = eight_decimals(received * (account.maker_rate if is_maker else account.taker_rate))
        account.pay(self._given(order), given)
        order.reserved -= given
        account.receive(asset, received - commission)
        self.fees[asset] = self.fees.get(asset, NOTHING) + commission
        if order.type != "MARKET":
            self._release(account, order)
        execution = Execution(trade_id, trade.price, trade.quantity, commission, asset, is_maker)
        order.executions.append(execution)
        self._report(order, "TRADE", execution=execution)
        self._report_balances(account, (symbol.base, symbol.quote), now)

    def _release(self, account: Account, order: Order) -> None:
        """Give back what is locked beyond what the open rest needs."""
        needed = _needed(order) if order.is_open else NOTHING
        account.unlock(self._given(order), order.reserved - needed)
        order.reserved = needed

    def _given(self, order: Order) -> str:
        """The asset that an order gives."""
        symbol = self.symbols[order.symbol]
        return symbol.quote if order.is_buy else symbol.base

    def _reference_price(self, order: Order) -> Decimal | None:
        book = self.books[order.symbol]
        if book.last_price is not None:
            return book.last_price
        levels = book.asks(1) if order.is_buy else book.bids(1)
        return levels[0][0] if levels else None

    # Transfers

    def transfer(self, account: Account, asset: str, amount: Decimal, now: int) -> None:
        """Deposit an amount, or withdraw a negative one.

        Raises:
            Refusal: -2010, there is not enough to withdraw.
        """
        if account.holding(asset).free + amount < 0:
            raise order_refused("Account has insufficient balance for requested action.")
        account.receive(asset, amount)
        self._tell(account, BalanceUpdate(event_time=now, asset=asset, delta=eight_decimals(amount), clear_time=now))
        self._report_balances(account, (asset,), now)

    # Events

    def _report(
        self, order: Order, kind: ExecutionType, *, execution: Execution | None = None, cancel_id: str | None = None
    ) -> None:
        report = execution_report(
            order, kind, execution_id=next(self._execution_ids), execution=execution, cancel_id=cancel_id
        )
        self._notices.append(Notice(order.owner, report))

    def _report_balances(self, account: Account, assets: Iterable[str], now: int) -> None:
        account.updated_at = now
        balances = account.balances_of(assets)
        self._tell(account, OutboundAccountPosition(event_time=now, update_time=now, balances=balances))

    def _tell(self, account: Account, event: KnownEvent) -> None:
        self._notices.append(Notice(account.uid, event))


def _needed(order: Order) -> Decimal:
    """What the rest of a limit order gives at most."""
    return order.price * order.remaining if order.is_buy else order.remaining


def _as_order(request: OrderPlace | OrderTest, order_id: int, owner: int, now: int) -> Order:
    return Order(
        order_id=order_id,
        owner=owner,
        symbol=request.symbol,
        side=request.side,
        type=request.type,
        time_in_force=request.time_in_force or "GTC",
        client_order_id=request.new_client_order_id or f"sandbox-{order_id}",
        created_at=now,
        updated_at=now,
        price=_exact(request.price),
        quantity=_exact(request.quantity),
        quote_quantity=_exact(request.quote_order_qty),
        stp_mode=request.self_trade_prevention_mode or "NONE",
        strategy_id=request.strategy_id,
        strategy_type=request.strategy_type,
    )


def _exact(number: Decimal | str | int | None) -> Decimal:
    """A request holds Decimals once it is built; its type says what it accepts."""
    return NOTHING if number is None else Decimal(number)
