"""One order out of whatever tells of it, and which of two states of it is the later one.

An order only ever goes forward: it is taken, becomes active, trades or is kept from it, is reduced, and ends. So of two
states of one order the later one is known without a clock, in whatever order answers, events and queries bring them.

Source: "Trading requests" and "Account requests" of the WebSocket API document, user-data-stream.md.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeAlias

import msgspec

from ..api.account import AccountTrade, Allocation, Order
from ..api.enums import CLOSED_LIST_STATES, CLOSED_STATES
from ..api.events import ExecutionReport, ListStatus
from ..api.orders import ListedOrder, OrderList
from ..api.trading import AmendedOrder, CanceledOrder, Fill, OrderReport

OrderKey: TypeAlias = tuple[str, int]
"""What an order is known by: its symbol and the exchange's id."""

FillKey: TypeAlias = tuple[int, int | None]
"""What a fill of an order is known by: the trade's id, and that of the allocation where there was no trade."""

_NOTHING: Final = Decimal(0)


def is_open(order: Order) -> bool:
    """Whether it can still trade."""
    return order.status not in CLOSED_STATES


def is_done_list(order_list: OrderList) -> bool:
    """Whether nothing will become of an order list any more."""
    return order_list.list_order_status in CLOSED_LIST_STATES


def key_of(order: Order | ExecutionReport | ListedOrder) -> OrderKey:
    """What an order is known by."""
    return order.symbol, order.order_id


def is_later(order: Order, known: Order) -> bool:
    """Whether an order as it stands here comes after another state of it."""
    here, there = _progress(order), _progress(known)
    # What may change without progress, as the price that a trailing stop follows, its times tell.
    return here > there or (here == there and order.update_time > known.update_time)


def _progress(order: Order) -> tuple[int, Decimal, Decimal, Decimal]:
    """How far an order has come. Every part only ever grows, once those before it have stopped."""
    # Nothing comes after the end.
    if order.status in CLOSED_STATES:
        stage = 3
    elif order.status == "PENDING_NEW":
        stage = 0
    else:
        stage = 1 if (order.working_time or -1) < 0 else 2
    # `-` would round it as the program's context says.
    return stage, order.executed_qty, order.prevented_quantity or _NOTHING, order.orig_qty.copy_negate()


# Out of events


def order_of_event(report: ExecutionReport) -> Order:
    """The order as an event shows it."""
    # Of a cancellation, the client order id is its own; the order's is the original one.
    is_renamed = report.execution_type == "REPLACED"
    client_order_id = report.client_order_id if is_renamed else report.original_client_order_id
    return Order(
        symbol=report.symbol,
        order_id=report.order_id,
        order_list_id=report.order_list_id,
        client_order_id=client_order_id or report.client_order_id,
        price=report.price,
        orig_qty=report.quantity,
        executed_qty=report.cumulative_filled_quantity,
        cummulative_quote_qty=report.cumulative_quote_quantity,
        orig_quote_order_qty=report.quote_order_quantity,
        status=report.order_status,
        time_in_force=report.time_in_force,
        type=report.order_type,
        side=report.side,
        stop_price=report.stop_price,
        iceberg_qty=report.iceberg_quantity,
        time=report.order_creation_time,
        update_time=report.transaction_time,
        is_working=report.working_time is not None,
        working_time=report.working_time,
        self_trade_prevention_mode=report.self_trade_prevention_mode,
        prevented_match_id=report.prevented_match_id,
        prevented_quantity=report.prevented_quantity,
        strategy_id=report.strategy_id,
        strategy_type=report.strategy_type,
        trailing_delta=report.trailing_delta,
        trailing_time=report.trailing_time,
        used_sor=report.used_sor,
        working_floor=report.working_floor,
        peg_price_type=report.peg_price_type,
        peg_offset_type=report.peg_offset_type,
        peg_offset_value=report.peg_offset_value,
        pegged_price=report.pegged_price,
        expiry_reason=report.expiry_reason,
        order_capacity=report.order_capacity,
    )


def fill_of_event(report: ExecutionReport) -> Fill:
    """The trade, or the allocation, that an event with execution type TRADE tells of."""
    return Fill(
        price=report.last_executed_price,
        qty=report.last_executed_quantity,
        commission=report.commission_amount,
        commission_asset=report.commission_asset,
        trade_id=report.trade_id,
        match_type=report.match_type,
        alloc_id=report.allocation_id,
    )


def list_of_event(status: ListStatus) -> OrderList:
    """The order list as an event shows it."""
    return OrderList(
        order_list_id=status.order_list_id,
        contingency_type=status.contingency_type,
        list_status_type=status.list_status_type,
        list_order_status=status.list_order_status,
        list_client_order_id=status.list_client_order_id,
        transaction_time=status.transaction_time,
        symbol=status.symbol,
        orders=tuple(
            ListedOrder(symbol=order.symbol, order_id=order.order_id, client_order_id=order.client_order_id)
            for order in status.orders
        ),
    )


# Out of answers and queries


def order_of_answer(report: OrderReport) -> Order:
    """The order that a request has just placed, as the answer shows it (RESULT or FULL)."""
    values: dict[str, Any] = {name: getattr(report, name) for name in _shared(type(report))}
    # A pending order of an OPO list has no quantity yet.
    values["orig_qty"] = values.get("orig_qty") or _NOTHING
    values["stop_price"], values["iceberg_qty"] = report.stop_price or _NOTHING, report.iceberg_qty or _NOTHING
    # An answer has one time: it was just placed, so nothing has changed it since.
    values["time"] = values["update_time"] = report.transact_time
    values["is_working"] = report.working_time is not None and report.working_time >= 0
    values["self_trade_prevention_mode"] = report.self_trade_prevention_mode or "NONE"
    return Order(**values)


@cache
def _shared(answer: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields that an answer and an `Order` have in common, without what only the exchange knows the meaning of."""
    names = set(answer.__struct_fields__) & set(Order.__struct_fields__) - {"unknown_fields"}
    return tuple(sorted(names))


def after_cancel(known: Order, report: CanceledOrder) -> Order:
    """A known order as the answer to its cancellation shows it."""
    return msgspec.structs.replace(
        known,
        status=report.status,
        orig_qty=report.orig_qty,
        executed_qty=report.executed_qty,
        cummulative_quote_qty=report.cummulative_quote_qty,
        prevented_match_id=report.prevented_match_id,
        prevented_quantity=report.prevented_quantity,
        update_time=report.transact_time,
    )


def after_amend(known: Order, amended: AmendedOrder, transact_time: int) -> Order:
    """A known order as the answer to its amendment shows it."""
    return msgspec.structs.replace(
        known,
        client_order_id=amended.client_order_id,
        status=amended.status,
        orig_qty=amended.qty,
        executed_qty=amended.executed_qty,
        cummulative_quote_qty=amended.cumulative_quote_qty,
        prevented_match_id=amended.prevented_match_id,
        prevented_quantity=amended.prevented_quantity,
        update_time=transact_time,
    )


def fill_of_trade(trade: AccountTrade | Allocation) -> Fill:
    """The fill that an item of myTrades or myAllocations tells of."""
    routed: dict[str, Any] = {"trade_id": -1}
    # An allocation has no trade of its own.
    if isinstance(trade, AccountTrade):
        routed = {"trade_id": trade.id}
    else:
        routed |= {"match_type": "ONE_PARTY_TRADE_REPORT", "alloc_id": trade.allocation_id}
    return Fill(
        price=trade.price, qty=trade.qty, commission=trade.commission, commission_asset=trade.commission_asset, **routed
    )


def key_of_fill(fill: Fill) -> FillKey:
    """What a fill of an order is known by."""
    return fill.trade_id, fill.alloc_id
