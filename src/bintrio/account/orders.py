"""One order out of whatever tells of it, and which of two states of it is the later one.

An order only ever goes forward: it is taken, becomes active, trades or is kept from it, is reduced, and ends. So of two
states of one order the later one is known without a clock, in whatever order answers, events and queries bring them.

Source: "Trading requests" and "Account requests" of the WebSocket API document, user-data-stream.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from ..api._missing import incomplete
from ..api._values import Record
from ..api.account import AccountTrade, Allocation, Order
from ..api.enums import CLOSED_LIST_STATES, CLOSED_STATES
from ..api.events import ExecutionReport, ListStatus
from ..api.orders import ListedOrder, OrderList
from ..api.trading import AmendedOrder, CanceledOrder, CanceledOrderList, Fill, OrderReport, PlacedOrderList

OrderKey: TypeAlias = tuple[str, int]
"""What an order is known by: its symbol and the exchange's id."""

FillKey: TypeAlias = tuple[int, int | None]
"""What a fill of an order is known by: the trade's id, and that of the allocation where there was no trade."""

_NOTHING: Final = Decimal(0)

T = TypeVar("T", bound=msgspec.Struct)


def is_open(order: Order) -> bool:
    """Whether it can still trade."""
    return order.status not in CLOSED_STATES


def is_done_list(order_list: OrderList) -> bool:
    """Whether nothing will become of an order list any more."""
    return order_list.list_order_status in CLOSED_LIST_STATES


def key_of(order: Order | ExecutionReport | ListedOrder) -> OrderKey:
    """What an order is known by."""
    return order.symbol, order.order_id


def name_of(known: Order | OrderList) -> tuple[str, str] | None:
    """Symbol and client order id, of a list its own; None if the exchange has left the latter out."""
    field = "client_order_id" if isinstance(known, Order) else "list_client_order_id"
    return None if field in known.missing_fields else (known.symbol, getattr(known, field))


# What did not come


def check_order(order: Order) -> None:
    """Make sure that an order has what the account itself goes by. Whatever else did not come hurts who reads it (G10).

    Raises:
        ProtocolViolation: it has not.
    """
    _read_all(order, _GONE_BY)


def check_list(order_list: OrderList) -> None:
    """The same for an order list.

    Raises:
        ProtocolViolation: it has not.
    """
    _read_all(order_list, _GONE_BY_OF_LISTS)
    for each in order_list.orders:
        _read_all(each, _GONE_BY_OF_LEGS)


_GONE_BY: Final = ("symbol", "order_id", "status", "orig_qty", "executed_qty", "update_time")
_GONE_BY_OF_LISTS: Final = ("symbol", "order_list_id", "list_order_status", "transaction_time", "orders")
_GONE_BY_OF_LEGS: Final = ("symbol", "order_id", "client_order_id")


def _read_all(record: Record, names: Iterable[str]) -> None:
    # Nearly every record is whole.
    if record.missing_fields:
        for name in names:
            getattr(record, name)


def _carrier(record: type[T], method: str, names: Mapping[str, str]) -> Callable[..., T]:
    """A function that makes a record out of another, by the names of fields in each. What lacks there lacks here."""
    required = {field.name for field in msgspec.structs.fields(record) if field.required}
    read = attrgetter(*names.values())

    def carry(source: Any, **own: Any) -> T:
        # Nearly every record is whole.
        if not source.missing_fields:
            own.update(zip(names, read(source), strict=True))
            return record(**own)
        came = {name: getattr(source, there) for name, there in names.items() if there not in source.missing_fields}
        values = came | own
        return record(**values) if required <= values.keys() else incomplete(record, method, values)

    return carry


# Which is later


def is_later(order: Order, known: Order) -> bool:
    """Whether an order as it stands here comes after another state of it, or is the same and lacks less."""
    return _standing(order) > _standing(known)


def _standing(order: Order) -> tuple[int, Decimal, Decimal, Decimal, bool, int, int]:
    """How far an order has come. Every part only ever grows, once those before it have stopped."""
    # Nothing comes after the end.
    stage = 2 if order.status in CLOSED_STATES else int(order.status != "PENDING_NEW")
    # Behind what was executed and reduced: an event without this field, as of another release, tells that as well.
    is_working = (order.working_time or -1) >= 0
    # `-` would round it as the program's context says.
    reduced = order.orig_qty.copy_negate()
    # What may change without progress, as the price that a trailing stop follows, its times tell.
    told = order.update_time, -len(order.missing_fields)
    return stage, order.executed_qty, order.prevented_quantity or _NOTHING, reduced, is_working, *told


# Out of events


def order_of_event(report: ExecutionReport) -> Order:
    """The order as an event shows it. What does not come in the event, the order lacks.

    Raises:
        ProtocolViolation: the event does not say what happened.
    """
    own: dict[str, Any] = {"is_working": report.working_time is not None}
    name = _name_in(report)
    if name not in report.missing_fields:
        own["client_order_id"] = getattr(report, name)
    return _order_in(report, **own)


def _name_in(report: ExecutionReport) -> str:
    """Which field has the order's client order id."""
    if report.execution_type == "REPLACED":
        return "client_order_id"
    # Of a cancellation the other is its own. Without this one, nobody can tell whether there was one.
    is_other = "original_client_order_id" in report.missing_fields or report.original_client_order_id
    return "original_client_order_id" if is_other else "client_order_id"


_OWN: Final = {"client_order_id", "is_working", "unknown_fields"}

_order_in: Final = _carrier(
    Order,
    "executionReport",
    {name: name for name in Order.__struct_fields__ if name not in _OWN}
    | {
        "orig_qty": "quantity",
        "executed_qty": "cumulative_filled_quantity",
        "cummulative_quote_qty": "cumulative_quote_quantity",
        "orig_quote_order_qty": "quote_order_quantity",
        "status": "order_status",
        "type": "order_type",
        "iceberg_qty": "iceberg_quantity",
        "time": "order_creation_time",
        "update_time": "transaction_time",
    },
)


def fill_of_event(report: ExecutionReport) -> Fill | None:
    """The trade, or the allocation, that an event tells of; None if it tells of none, or not all of it."""
    is_told = report.execution_type == "TRADE" and _IN_TRADES.isdisjoint(report.missing_fields)
    return _fill_in(report) if is_told else None


_FILL_NAMES: Final = {
    "price": "last_executed_price",
    "qty": "last_executed_quantity",
    "commission": "commission_amount",
    "commission_asset": "commission_asset",
    "trade_id": "trade_id",
    "match_type": "match_type",
    "alloc_id": "allocation_id",
}
_IN_TRADES: Final = frozenset(_FILL_NAMES.values())

_fill_in: Final = _carrier(Fill, "executionReport", _FILL_NAMES)


def list_of_event(status: ListStatus) -> OrderList:
    """The order list as an event shows it. What does not come in the event, the list lacks.

    Raises:
        ProtocolViolation: the event does not say which orders it has.
    """
    orders = tuple(
        ListedOrder(symbol=order.symbol, order_id=order.order_id, client_order_id=order.client_order_id)
        for order in status.orders
    )
    return _list_in(status, orders=orders)


_OF_LISTS: Final = {name: name for name in OrderList.__struct_fields__ if name not in {"orders", "unknown_fields"}}

_list_in: Final = _carrier(OrderList, "listStatus", _OF_LISTS)


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


def list_of_answer(answer: PlacedOrderList[Any] | CanceledOrderList) -> OrderList:
    """An order list without the reports of its orders. What the answer lacks, the list lacks.

    Raises:
        ProtocolViolation: the answer does not say which orders it has.
    """
    return _list_of(answer, orders=answer.orders)


_list_of: Final = _carrier(OrderList, "orderList", _OF_LISTS)


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
