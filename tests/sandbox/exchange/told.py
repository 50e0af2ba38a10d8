"""What records tell of the state: for every field of theirs, what it has to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from bintrio.api import account as account_api
from bintrio.api.events import ExecutionReport
from bintrio.sandbox.exchange.limits import Unfilled
from bintrio.sandbox.exchange.orders import NOTHING, Execution, Order, eight_decimals

Table = dict[str, Callable[[Any], Any]]

_CONDITIONAL: Table = {
    "prevented_match_id": lambda order: order.prevented_match_id,
    "prevented_quantity": lambda order: None if order.prevented_match_id is None else order.prevented,
    "strategy_id": lambda order: order.strategy_id,
    "strategy_type": lambda order: order.strategy_type,
    "trailing_delta": lambda order: order.trailing_delta,
    "trailing_time": lambda order: None if order.trailing_delta is None else order.trailing_time,
    "used_sor": lambda order: True if order.floor else None,
    "working_floor": lambda order: order.floor or None,
    "peg_price_type": lambda order: order.peg_price_type,
    "peg_offset_type": lambda order: order.peg_offset_type,
    "peg_offset_value": lambda order: order.peg_offset_value,
    "pegged_price": lambda order: order.pegged_price,
    "expiry_reason": lambda order: order.expiry_reason,
    "order_capacity": lambda _: None,
}

ORDER: Table = {
    **_CONDITIONAL,
    "symbol": lambda order: order.symbol,
    "order_id": lambda order: order.order_id,
    "order_list_id": lambda order: -1 if order.group is None else order.group.list_id,
    "client_order_id": lambda order: order.client_order_id,
    "price": lambda order: order.price,
    "executed_qty": lambda order: sum((one.quantity for one in order.executions), NOTHING),
    "status": lambda order: order.status,
    "time_in_force": lambda order: order.time_in_force,
    "type": lambda order: order.type,
    "side": lambda order: "BUY" if order.is_buy else "SELL",
    "orig_quote_order_qty": lambda order: order.quote_quantity,
    "cummulative_quote_qty": lambda order: eight_decimals(_paid(order)),
    "orig_qty": lambda order: order.quantity,
    "stop_price": lambda order: order.stop_price,
    "iceberg_qty": lambda order: order.iceberg_quantity,
    "time": lambda order: order.created_at,
    "update_time": lambda order: order.updated_at,
    "is_working": lambda order: order.working_time >= 0,
    "working_time": lambda order: order.working_time,
    "self_trade_prevention_mode": lambda order: order.stp_mode,
}

TRADE: Table = {
    "symbol": lambda one: one.order.symbol,
    "id": lambda one: one.trade_id,
    "order_id": lambda one: one.order.order_id,
    "order_list_id": lambda one: one.order.list_id,
    "price": lambda one: one.price,
    "qty": lambda one: one.quantity,
    "quote_qty": lambda one: eight_decimals(one.price * one.quantity),
    "commission": lambda one: one.commission,
    "commission_asset": lambda one: one.commission_asset,
    "time": lambda one: one.time,
    "is_buyer": lambda one: one.order.is_buy,
    "is_maker": lambda one: one.is_maker,
    "is_best_match": lambda _: True,
}

ALLOCATION: Table = {
    **{name: of for name, of in TRADE.items() if name not in {"id", "is_best_match"}},
    "allocation_id": lambda one: one.allocation_id,
    "allocation_type": lambda _: "SOR",
    "is_allocator": lambda _: False,
}

_STATE_IN_REPORT: Table = {
    **_CONDITIONAL,
    "event_time": lambda order: order.updated_at,
    "transaction_time": lambda order: order.updated_at,
    "symbol": ORDER["symbol"],
    "side": ORDER["side"],
    "order_type": ORDER["type"],
    "time_in_force": ORDER["time_in_force"],
    "quantity": ORDER["orig_qty"],
    "price": ORDER["price"],
    "stop_price": ORDER["stop_price"],
    "iceberg_quantity": ORDER["iceberg_qty"],
    "order_list_id": ORDER["order_list_id"],
    "order_status": ORDER["status"],
    "reject_reason": lambda _: "NONE",
    "order_id": ORDER["order_id"],
    "cumulative_filled_quantity": ORDER["executed_qty"],
    "order_creation_time": ORDER["time"],
    "cumulative_quote_quantity": ORDER["cummulative_quote_qty"],
    "quote_order_quantity": ORDER["orig_quote_order_qty"],
    "self_trade_prevention_mode": ORDER["self_trade_prevention_mode"],
    "working_time": lambda order: order.working_time if order.working_time >= 0 else None,
}

_TRADE_IN_REPORT: Table = {
    "last_executed_quantity": TRADE["qty"],
    "last_executed_price": TRADE["price"],
    "last_quote_quantity": TRADE["quote_qty"],
    "commission_amount": TRADE["commission"],
    "commission_asset": TRADE["commission_asset"],
    "trade_id": TRADE["id"],
    "is_maker": TRADE["is_maker"],
    "allocation_id": lambda one: one.allocation_id,
    "match_type": lambda one: None if one.allocation_id is None else "ONE_PARTY_TRADE_REPORT",
}
_WITHOUT_TRADE: dict[str, Any] = dict.fromkeys(_TRADE_IN_REPORT, 0) | {
    "commission_asset": None,
    "trade_id": -1,
    "is_maker": False,
    "allocation_id": None,
    "match_type": None,
}
_PREVENTION_IN_REPORT = (
    "last_prevented_quantity",
    "trade_group_id",
    "counter_order_id",
    "counter_symbol",
    "prevented_execution_quantity",
    "prevented_execution_price",
    "prevented_execution_quote_quantity",
)
_OF_THE_REPORT = (
    "execution_id",
    "execution_type",
    "ignore",
    "is_on_book",
    "client_order_id",
    "original_client_order_id",
)


def _paid(order: Order) -> Any:
    return sum((one.price * one.quantity for one in order.executions), NOTHING)


def check_record(record: msgspec.Struct, table: Table, subject: Any) -> None:
    """Every field of the record is in the table, and tells what is."""
    assert {*table, "unknown_fields"} == {*record.__struct_fields__}
    _check(record, table, subject)


def _check(record: Any, table: Table, subject: Any) -> None:
    assert {name: getattr(record, name) for name in table} == {name: of(subject) for name, of in table.items()}


def check_orders(told: Iterable[account_api.Order], orders: Iterable[Order]) -> None:
    """All of them, each as it is."""
    for record, order in zip(told, orders, strict=True):
        check_record(record, ORDER, order)


def check_executions(told: Iterable[msgspec.Struct], table: Table, executions: Iterable[Execution]) -> None:
    for record, execution in zip(told, executions, strict=True):
        check_record(record, table, execution)


def check_report(event: ExecutionReport, order: Order) -> None:
    """The last report of an order tells what is."""
    fields = {*_STATE_IN_REPORT, *_TRADE_IN_REPORT, *_PREVENTION_IN_REPORT, *_OF_THE_REPORT, "unknown_fields"}
    assert fields == {*event.__struct_fields__}
    _check(event, _STATE_IN_REPORT, order)
    kind = event.execution_type
    if kind == "TRADE":
        _check(event, _TRADE_IN_REPORT, order.executions[-1])
    else:
        assert {name: getattr(event, name) for name in _WITHOUT_TRADE} == _WITHOUT_TRADE
    is_prevention = kind == "TRADE_PREVENTION"
    assert [getattr(event, name) is not None for name in _PREVENTION_IN_REPORT] == [is_prevention] * 7
    assert event.ignore is (kind == "TRADE")
    works = order.working_time >= 0 and order.is_open
    assert event.is_on_book is (works and (order.kind.has_limit or kind == "NEW"))
    names = (event.client_order_id, event.original_client_order_id)
    assert names[kind == "CANCELED"] == order.client_order_id
    assert (names[1] == "") is (kind not in {"CANCELED", "REPLACED"})


CREDITS: dict[Unfilled, int] = {"placed": 1, "taken": -1, "made": -5}


def unfilled(changes: Iterable[tuple[int, Unfilled]], length: int, now: int) -> int:
    """The number of unfilled orders in a window of that length, by what events told of new orders and first fills."""
    count = 0
    for time, change in changes:
        if time // length == now // length:
            count = max(0, count + CREDITS[change])
    return count
