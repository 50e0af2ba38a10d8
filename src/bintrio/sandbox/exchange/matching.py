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

from msgspec.structs import replace

from bintrio.api._values import ExecutionType
from bintrio.api.account import Amendment
from bintrio.api.events import BalanceUpdate, KnownEvent, OutboundAccountPosition

from .accounts import Account
from .book import Book
from .orders import NOTHING, Execution, Order, Placement, Trade, eight_decimals, execution_report
from .refusals import amend_refused, cancel_refused, invalid_symbol, order_refused
from .symbols import Symbol
from .tape import Tape


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
        tapes: the public trades, by the symbol's name.
        accounts: by uid.
        fees: commission taken so far, by asset.
        orders: every order that was taken, in order.
    """

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        self.symbols: Final = {symbol.name: symbol for symbol in symbols}
        self.books: Final = {name: Book(symbol.step_size) for name, symbol in self.symbols.items()}
        self.tapes: Final = {name: Tape() for name in self.symbols}
        self.accounts: Final[dict[int, Account]] = {}
        self.fees: Final[dict[str, Decimal]] = {}
        self.orders: Final[list[Order]] = []
        self._order_ids = count(1)
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

    def check(self, account: Account, request: Placement, now: int) -> Order:
        """The order that a request asks for, if every rule lets it pass; nothing is changed.

        Raises:
            Refusal: -1121, -1013 or -2010.
        """
        symbol = self.symbol(request.symbol)
        symbol.check_supported(request)
        order = _as_order(request, next(self._order_ids), account.uid, now)
        symbol.check(order, self._reference_price(order))
        return order

    def place(self, account: Account, request: Placement, now: int) -> Order:
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
    ) -> int:
        order.end(kind, now)
        account.retire(order)
        return self._report_release(account, order, kind, now, cancel_id=cancel_id)

    def _report_release(
        self,
        account: Account,
        order: Order,
        kind: ExecutionType,
        now: int,
        *,
        cancel_id: str | None = None,
        former_id: str = "",
    ) -> int:
        """Give back what an order that has changed no longer needs, and tell. Returns the report's execution id."""
        self._release(account, order)
        execution_id = self._report(order, kind, cancel_id=cancel_id, former_id=former_id)
        self._report_balances(account, (self._given(order),), now)
        return execution_id

    def amend(self, account: Account, order: Order, quantity: Decimal, now: int, *, client_order_id: str) -> int:
        """Reduce the quantity of an order, which keeps its place on the book. Returns the report's execution id.

        An order of which that much was traded already expires.

        Raises:
            Refusal: -2038 or -1013; nothing has changed.
        """
        self._check_amendment(account, order, quantity, client_order_id)
        former_id, former_quantity = order.client_order_id, order.quantity
        account.rename(order, client_order_id)
        if quantity > order.executed:
            execution_id = self._reduce(account, order, quantity, now, former_id)
        else:
            self.books[order.symbol].remove(order)
            execution_id = self._end(account, order, "EXPIRED", now)
        order.amendments.append(
            Amendment(
                symbol=order.symbol,
                order_id=order.order_id,
                execution_id=execution_id,
                orig_client_order_id=former_id,
                new_client_order_id=client_order_id,
                orig_qty=eight_decimals(former_quantity),
                new_qty=eight_decimals(quantity),
                time=now,
            )
        )
        return execution_id

    def _check_amendment(self, account: Account, order: Order, quantity: Decimal, client_order_id: str) -> None:
        if not order.is_open:
            raise amend_refused("Unknown order sent.")
        if quantity == order.quantity:
            raise amend_refused("The requested action would change no state; rejecting")
        if quantity > order.quantity:
            raise amend_refused("Order amend (quantity increase) is not supported.")
        if client_order_id != order.client_order_id and account.is_taken(order.symbol, client_order_id):
            raise amend_refused("Duplicate order sent.")
        self.symbols[order.symbol].check(replace(order, quantity=quantity), None)

    def _reduce(self, account: Account, order: Order, quantity: Decimal, now: int, former_id: str) -> int:
        order.quantity = quantity
        order.updated_at = now
        self.books[order.symbol].update_id += 1
        return self._report_release(account, order, "REPLACED", now, former_id=former_id)

    # Trades

    def _settle(self, taker: Order, trade: Trade, now: int) -> None:
        trade_id = self.tapes[taker.symbol].record(taker, trade, now)
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
        execution = Execution(order, now, trade_id, trade.price, trade.quantity, commission, asset, is_maker)
        order.executions.append(execution)
        account.executions[order.symbol].append(execution)
        if not order.is_open:
            account.retire(order)
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
        self,
        order: Order,
        kind: ExecutionType,
        *,
        execution: Execution | None = None,
        cancel_id: str | None = None,
        former_id: str = "",
    ) -> int:
        execution_id = next(self._execution_ids)
        report = execution_report(
            order, kind, execution_id=execution_id, execution=execution, cancel_id=cancel_id, former_id=former_id
        )
        self._notices.append(Notice(order.owner, report))
        return execution_id

    def _report_balances(self, account: Account, assets: Iterable[str], now: int) -> None:
        account.updated_at = now
        balances = account.balances_of(assets)
        self._tell(account, OutboundAccountPosition(event_time=now, update_time=now, balances=balances))

    def _tell(self, account: Account, event: KnownEvent) -> None:
        self._notices.append(Notice(account.uid, event))


def _needed(order: Order) -> Decimal:
    """What the rest of a limit order gives at most."""
    return order.price * order.remaining if order.is_buy else order.remaining


def _as_order(request: Placement, order_id: int, owner: int, now: int) -> Order:
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
