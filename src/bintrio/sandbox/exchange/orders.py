"""An order, from its placing to its end, and the shapes in which the exchange shows it.

Times are microseconds. Quantities and prices are exact; they leave with eight decimals, as the exchange writes them.

Source: "Trading requests" of the WebSocket API document, executionReport in user-data-stream.md.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Final, NamedTuple, TypeAlias

import msgspec

from bintrio._exact import EXACT
from bintrio.api import account as account_api
from bintrio.api._values import (
    ExecutionType,
    OrderState,
    OrderType,
    SelfTradePreventionMode,
    Side,
    TimeInForce,
)
from bintrio.api.events import ExecutionReport
from bintrio.api.trading import (
    AmendedOrder,
    CanceledOrder,
    Fill,
    OrderAck,
    OrderCancelReplace,
    OrderFull,
    OrderPlace,
    OrderResult,
    OrderTest,
)

Placement: TypeAlias = OrderPlace | OrderTest | OrderCancelReplace
"""What asks for an order."""

NOTHING: Final = Decimal(0)
_EIGHT_DECIMALS: Final = Decimal("1E-8")


def eight_decimals(amount: Decimal) -> Decimal:
    """As the exchange writes amounts; what is finer is cut off."""
    return amount.quantize(_EIGHT_DECIMALS, rounding=ROUND_DOWN)


class Trade(NamedTuple):
    """Two orders met.

    Attributes:
        maker: the order that was on the book.
        price: the maker's price.
        quantity: of the base asset.
    """

    maker: Order
    price: Decimal
    quantity: Decimal

    @property
    def amount(self) -> Decimal:
        """Of the quote asset."""
        return self.price * self.quantity


class Execution(NamedTuple):
    """One order's side of a trade."""

    order: Order
    time: int
    trade_id: int
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    is_maker: bool


class Order(msgspec.Struct, kw_only=True, eq=False):
    """An order.

    Attributes:
        owner: the uid of its account.
        price: the limit; 0 for a market order.
        quantity: of the base asset; for an order by quote amount, what the book sells for it.
        quote_quantity: what a market order by quote amount may spend or is to yield; else 0.
        reserved: what is still locked for it, of the asset that it gives.
        is_counted: whether it still counts as unfilled against the account's ORDERS limits.
        amendments: how its quantity was reduced.
    """

    order_id: int
    owner: int
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    client_order_id: str
    created_at: int
    price: Decimal = NOTHING
    quantity: Decimal = NOTHING
    quote_quantity: Decimal = NOTHING
    executed: Decimal = NOTHING
    quote_executed: Decimal = NOTHING
    reserved: Decimal = NOTHING
    status: OrderState = "NEW"
    updated_at: int = 0
    stp_mode: SelfTradePreventionMode = "NONE"
    strategy_id: int | None = None
    strategy_type: int | None = None
    executions: list[Execution] = []
    is_counted: bool = True
    amendments: list[account_api.Amendment] = []

    @property
    def is_buy(self) -> bool:
        """Whether it takes the base asset."""
        return self.side == "BUY"

    @property
    def is_open(self) -> bool:
        """Whether it can still trade."""
        return self.status in {"NEW", "PARTIALLY_FILLED"}

    @property
    def remaining(self) -> Decimal:
        """Of the base asset, still to trade."""
        return EXACT.subtract(self.quantity, self.executed)

    def crosses(self, price: Decimal) -> bool:
        """Whether it may trade at a price."""
        if self.type == "MARKET":
            return True
        return price <= self.price if self.is_buy else price >= self.price

    def fill(self, price: Decimal, quantity: Decimal, now: int) -> None:
        """Part of it, or all, was traded."""
        self.executed += quantity
        self.quote_executed += price * quantity
        self.status = "PARTIALLY_FILLED" if self.remaining else "FILLED"
        self.updated_at = now

    def end(self, status: OrderState, now: int) -> None:
        """It will not trade any more."""
        self.status = status
        self.updated_at = now


def snapshot(order: Order) -> Order:
    """The order as it stands, which later changes leave alone."""
    return msgspec.structs.replace(order, executions=[*order.executions], amendments=[*order.amendments])


# Shapes


def ack(order: Order) -> OrderAck:
    """The answer to order.place with ACK."""
    return OrderAck(
        symbol=order.symbol,
        order_id=order.order_id,
        order_list_id=-1,
        client_order_id=order.client_order_id,
        transact_time=order.updated_at,
    )


def result(order: Order) -> OrderResult:
    """The answer to order.place with RESULT."""
    return OrderResult(
        symbol=order.symbol,
        order_id=order.order_id,
        order_list_id=-1,
        client_order_id=order.client_order_id,
        transact_time=order.updated_at,
        price=eight_decimals(order.price),
        orig_qty=eight_decimals(order.quantity),
        executed_qty=eight_decimals(order.executed),
        orig_quote_order_qty=eight_decimals(order.quote_quantity),
        cummulative_quote_qty=eight_decimals(order.quote_executed),
        status=order.status,
        time_in_force=order.time_in_force,
        type=order.type,
        side=order.side,
        working_time=order.created_at,
        self_trade_prevention_mode=order.stp_mode,
        strategy_id=order.strategy_id,
        strategy_type=order.strategy_type,
    )


def full(order: Order) -> OrderFull:
    """The answer to order.place with FULL."""
    known = msgspec.structs.asdict(result(order))
    return OrderFull(**known, fills=tuple(map(_as_fill, order.executions)))


def _as_fill(execution: Execution) -> Fill:
    return Fill(
        price=eight_decimals(execution.price),
        qty=eight_decimals(execution.quantity),
        commission=eight_decimals(execution.commission),
        commission_asset=execution.commission_asset,
        trade_id=execution.trade_id,
    )


def status(order: Order) -> account_api.Order:
    """The answer to order.status, and an item of openOrders.status."""
    return account_api.Order(
        symbol=order.symbol,
        order_id=order.order_id,
        order_list_id=-1,
        client_order_id=order.client_order_id,
        price=eight_decimals(order.price),
        orig_qty=eight_decimals(order.quantity),
        executed_qty=eight_decimals(order.executed),
        cummulative_quote_qty=eight_decimals(order.quote_executed),
        status=order.status,
        time_in_force=order.time_in_force,
        type=order.type,
        side=order.side,
        stop_price=eight_decimals(NOTHING),
        iceberg_qty=eight_decimals(NOTHING),
        time=order.created_at,
        update_time=order.updated_at,
        is_working=True,
        working_time=order.created_at,
        orig_quote_order_qty=eight_decimals(order.quote_quantity),
        self_trade_prevention_mode=order.stp_mode,
        strategy_id=order.strategy_id,
        strategy_type=order.strategy_type,
    )


def canceled(order: Order, client_order_id: str) -> CanceledOrder:
    """The answer to order.cancel; ``client_order_id`` is the id of the cancellation."""
    return CanceledOrder(
        symbol=order.symbol,
        orig_client_order_id=order.client_order_id,
        order_id=order.order_id,
        order_list_id=-1,
        client_order_id=client_order_id,
        transact_time=order.updated_at,
        price=eight_decimals(order.price),
        orig_qty=eight_decimals(order.quantity),
        executed_qty=eight_decimals(order.executed),
        orig_quote_order_qty=eight_decimals(order.quote_quantity),
        cummulative_quote_qty=eight_decimals(order.quote_executed),
        status=order.status,
        time_in_force=order.time_in_force,
        type=order.type,
        side=order.side,
        self_trade_prevention_mode=order.stp_mode,
        strategy_id=order.strategy_id,
        strategy_type=order.strategy_type,
    )


def amended(order: Order, former_id: str) -> AmendedOrder:
    """The order in the answer to order.amend.keepPriority; ``former_id`` is its client order id until then."""
    return AmendedOrder(
        symbol=order.symbol,
        order_id=order.order_id,
        order_list_id=-1,
        orig_client_order_id=former_id,
        client_order_id=order.client_order_id,
        price=eight_decimals(order.price),
        qty=eight_decimals(order.quantity),
        executed_qty=eight_decimals(order.executed),
        prevented_qty=eight_decimals(NOTHING),
        quote_order_qty=eight_decimals(order.quote_quantity),
        cumulative_quote_qty=eight_decimals(order.quote_executed),
        status=order.status,
        time_in_force=order.time_in_force,
        type=order.type,
        side=order.side,
        working_time=order.created_at,
        self_trade_prevention_mode=order.stp_mode,
        strategy_id=order.strategy_id,
        strategy_type=order.strategy_type,
    )


def account_trade(execution: Execution) -> account_api.AccountTrade:
    """An item of myTrades."""
    order = execution.order
    return account_api.AccountTrade(
        symbol=order.symbol,
        id=execution.trade_id,
        order_id=order.order_id,
        order_list_id=-1,
        price=eight_decimals(execution.price),
        qty=eight_decimals(execution.quantity),
        quote_qty=eight_decimals(execution.price * execution.quantity),
        commission=eight_decimals(execution.commission),
        commission_asset=execution.commission_asset,
        time=execution.time,
        is_buyer=order.is_buy,
        is_maker=execution.is_maker,
        is_best_match=True,
    )


def execution_report(
    order: Order,
    kind: ExecutionType,
    *,
    execution_id: int,
    execution: Execution | None = None,
    cancel_id: str | None = None,
    former_id: str = "",
) -> ExecutionReport:
    """The event that tells of the order's latest change.

    Args:
        order: as it stands after the change.
        kind: the execution type.
        execution_id: unique among all reports.
        execution: the trade, for kind ``TRADE``.
        cancel_id: the client order id of the cancellation, for kind ``CANCELED``.
        former_id: the order's client order id until now, for kind ``REPLACED``.
    """
    return ExecutionReport(
        event_time=order.updated_at,
        symbol=order.symbol,
        client_order_id=cancel_id or order.client_order_id,
        side=order.side,
        order_type=order.type,
        time_in_force=order.time_in_force,
        quantity=eight_decimals(order.quantity),
        price=eight_decimals(order.price),
        stop_price=eight_decimals(NOTHING),
        iceberg_quantity=eight_decimals(NOTHING),
        order_list_id=-1,
        original_client_order_id=order.client_order_id if cancel_id else former_id,
        execution_type=kind,
        order_status=order.status,
        reject_reason="NONE",
        order_id=order.order_id,
        last_executed_quantity=eight_decimals(execution.quantity if execution else NOTHING),
        cumulative_filled_quantity=eight_decimals(order.executed),
        last_executed_price=eight_decimals(execution.price if execution else NOTHING),
        commission_amount=eight_decimals(execution.commission) if execution else NOTHING,
        commission_asset=execution.commission_asset if execution else None,
        transaction_time=order.updated_at,
        trade_id=execution.trade_id if execution else -1,
        execution_id=execution_id,
        is_on_book=order.is_open and order.type != "MARKET",
        is_maker=bool(execution and execution.is_maker),
        ignore=False,
        order_creation_time=order.created_at,
        cumulative_quote_quantity=eight_decimals(order.quote_executed),
        last_quote_quantity=eight_decimals(execution.price * execution.quantity if execution else NOTHING),
        quote_order_quantity=eight_decimals(order.quote_quantity),
        self_trade_prevention_mode=order.stp_mode,
        working_time=order.created_at,
        strategy_id=order.strategy_id,
        strategy_type=order.strategy_type,
    )
