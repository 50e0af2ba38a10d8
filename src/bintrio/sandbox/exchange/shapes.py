"""The shapes in which the exchange shows an order, a trade or an order list.

Times are microseconds. Amounts leave with eight decimals, as the exchange writes them. Fields that only some orders
have are None for the others ("Conditional fields in Order Responses").

Source: "Trading requests" and "Account requests" of the WebSocket API document, user-data-stream.md.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bintrio.api import account as account_api
from bintrio.api.enums import ExecutionType, ListOrderStatus, ListStatusType, OrderRejectReason
from bintrio.api.events import ExecutionReport, ListStatus, ListStatusOrder
from bintrio.api.orders import ListedOrder
from bintrio.api.orders import OrderList as ListRecord
from bintrio.api.trading import (
    AmendedOrder,
    AmendedOrderList,
    CanceledOrder,
    Fill,
    OrderAck,
    OrderFull,
    OrderResult,
    PendingOrderReport,
    PreventedFill,
)

from .orders import NOTHING, ZERO, Execution, Order, OrderList, Prevention, eight_decimals

_ROUTED: Final = "ONE_PARTY_TRADE_REPORT"


def _conditional(order: Order) -> dict[str, Any]:
    """What only some orders have, in every shape."""
    # Nearly all orders have none of those parameters, and every answer and event asks.
    found: dict[str, Any] = {} if order.is_plain else _rare(order)
    # "Conditional fields": only an order of which a match was prevented has them.
    if order.prevented_match_id is not None:
        found |= {"prevented_match_id": order.prevented_match_id, "prevented_quantity": order.prevented}
    # It was routed, perhaps to its own book.
    if order.floor:
        found |= {"used_sor": True, "working_floor": order.floor}
    if order.expiry_reason is not None:
        found["expiry_reason"] = order.expiry_reason
    return found


def _rare(order: Order) -> dict[str, Any]:
    """What was asked for in parameters that few orders have."""
    found: dict[str, Any] = {}
    # One may be given without the other.
    if order.strategy_id is not None or order.strategy_type is not None:
        found |= {"strategy_id": order.strategy_id, "strategy_type": order.strategy_type}
    if order.trailing_delta is not None:
        found |= {"trailing_delta": order.trailing_delta, "trailing_time": order.trailing_time}
    if order.peg_price_type is not None:
        found |= _peg(order)
    return found


def _peg(order: Order) -> dict[str, Any]:
    return {
        "peg_price_type": order.peg_price_type,
        "peg_offset_type": order.peg_offset_type,
        "peg_offset_value": order.peg_offset_value,
        "pegged_price": order.pegged_price,
    }


def _placed(order: Order) -> dict[str, Any]:
    """What reports of an order share that was placed, canceled or amended, where only some orders have it."""
    found = _conditional(order)
    if order.kind.trigger:
        # "Present only if set", as in most examples (inconsistency 13).
        found["stop_price"] = order.stop_price
    # Like the stop price: only if set (inconsistency 13).
    if order.iceberg_quantity:
        found["iceberg_qty"] = order.iceberg_quantity
    return found


def _common(order: Order) -> dict[str, Any]:
    """What all orders have in every answer that shows them as they stand."""
    return {
        "symbol": order.symbol,
        "order_id": order.order_id,
        "order_list_id": order.list_id,
        "client_order_id": order.client_order_id,
        "price": order.price,
        "executed_qty": order.executed,
        "status": order.status,
        "time_in_force": order.time_in_force,
        "type": order.type,
        "side": order.side,
        "working_time": order.working_time,
        "self_trade_prevention_mode": order.stp_mode,
    }


def _report(order: Order) -> dict[str, Any]:
    """What reports share that leave out the quantity of an order that has none yet."""
    found = _common(order)
    found["transact_time"] = order.updated_at
    found["orig_quote_order_qty"] = order.quote_quantity
    # Most orders have not traded yet: their zero is there already.
    found["cummulative_quote_qty"] = eight_decimals(order.quote_executed) if order.quote_executed else ZERO
    found.update(_placed(order))
    return found


def ack(order: Order) -> OrderAck:
    """The answer to order.place with ACK."""
    return OrderAck(
        symbol=order.symbol,
        order_id=order.order_id,
        order_list_id=order.list_id,
        client_order_id=order.client_order_id,
        transact_time=order.updated_at,
    )


def result(order: Order) -> OrderResult:
    """The answer to order.place with RESULT."""
    return OrderResult(orig_qty=order.quantity, **_report(order))


def full(order: Order) -> OrderFull:
    """The answer to order.place with FULL."""
    fills = tuple(map(_as_fill, order.executions))
    return OrderFull(orig_qty=order.quantity, fills=fills, **_prevented(order), **_report(order))


def _prevented(order: Order) -> dict[str, Any]:
    """The matches that it would have had as the taker, and the trade group that kept it from those (stp_faq.md)."""
    if not order.preventions:
        return {}
    group = order.preventions[0].match.trade_group_id
    return {
        "prevented_matches": tuple(map(_as_prevented_fill, order.preventions)),
        # Within one account there need be no group.
        "trade_group_id": None if group < 0 else group,
    }


def pending(order: Order) -> PendingOrderReport:
    """An order of an OPO or OPOCO list: one that still waits has no quantity."""
    quantity = None if order.status == "PENDING_NEW" else order.quantity
    return PendingOrderReport(orig_qty=quantity, **_report(order))


def pending_full(order: Order) -> PendingOrderReport:
    """The same with its trades."""
    return msgspec.structs.replace(pending(order), fills=tuple(map(_as_fill, order.executions)))


def _as_fill(execution: Execution) -> Fill:
    routed: dict[str, Any] = {}
    # "Conditional fields": only trades that smart order routing has allocated have these two.
    if execution.allocation_id is not None:
        routed = {"match_type": _ROUTED, "alloc_id": execution.allocation_id}
    return Fill(
        price=execution.price,
        qty=execution.quantity,
        commission=execution.commission,
        commission_asset=execution.commission_asset,
        trade_id=execution.trade_id,
        **routed,
    )


def _as_prevented_fill(prevention: Prevention) -> PreventedFill:
    match = prevention.match
    return PreventedFill(
        prevented_match_id=match.prevented_match_id,
        maker_order_id=match.maker_order_id,
        maker_symbol=match.maker_symbol,
        price=match.price,
        taker_prevented_quantity=match.taker_prevented_quantity,
        maker_prevented_quantity=match.maker_prevented_quantity,
    )


def status(order: Order) -> account_api.Order:
    """The answer to order.status, and an item of openOrders.status."""
    return account_api.Order(
        orig_qty=order.quantity,
        cummulative_quote_qty=eight_decimals(order.quote_executed),
        stop_price=order.stop_price,
        iceberg_qty=order.iceberg_quantity,
        time=order.created_at,
        update_time=order.updated_at,
        is_working=order.is_working,
        orig_quote_order_qty=order.quote_quantity,
        **_common(order),
        **_conditional(order),
    )


def canceled(order: Order, client_order_id: str) -> CanceledOrder:
    """The answer to order.cancel; ``client_order_id`` is the id of the cancellation."""
    known = _report(order)
    # The document's cancel reports have none.
    del known["working_time"]
    # "Cancel order": `clientOrderId` is the id of the cancellation, `origClientOrderId` that of the order.
    known["client_order_id"] = client_order_id
    return CanceledOrder(orig_client_order_id=order.client_order_id, orig_qty=order.quantity, **known)


def amended(order: Order, former_id: str) -> AmendedOrder:
    """The order in the answer to order.amend.keepPriority; ``former_id`` is its client order id until then."""
    return AmendedOrder(
        orig_client_order_id=former_id,
        qty=order.quantity,
        prevented_qty=order.prevented,
        quote_order_qty=order.quote_quantity,
        cumulative_quote_qty=eight_decimals(order.quote_executed),
        **_common(order),
        **_placed(order),
    )


def _trade(execution: Execution) -> dict[str, Any]:
    order = execution.order
    return {
        "symbol": order.symbol,
        "order_id": order.order_id,
        "order_list_id": order.list_id,
        "price": execution.price,
        "qty": execution.quantity,
        "quote_qty": eight_decimals(execution.amount),
        "commission": execution.commission,
        "commission_asset": execution.commission_asset,
        "time": execution.time,
        "is_buyer": order.is_buy,
    }


def account_trade(execution: Execution) -> account_api.AccountTrade:
    """An item of myTrades."""
    known = _trade(execution)
    return account_api.AccountTrade(id=execution.trade_id, is_maker=execution.is_maker, is_best_match=True, **known)


def allocation(execution: Execution) -> account_api.Allocation:
    """An item of myAllocations."""
    assert execution.allocation_id is not None
    return account_api.Allocation(
        allocation_id=execution.allocation_id,
        allocation_type="SOR",
        is_maker=False,
        is_allocator=False,
        **_trade(execution),
    )


# Order lists


def order_list(group: OrderList, kind: ListStatusType, status: ListOrderStatus, now: int) -> ListRecord:
    """An order list as queries show it."""
    return ListRecord(
        order_list_id=group.list_id,
        contingency_type=group.contingency,
        list_status_type=kind,
        list_order_status=status,
        list_client_order_id=group.client_order_id,
        transaction_time=now,
        symbol=group.symbol,
        orders=_listed(group),
    )


def _listed(group: OrderList) -> tuple[ListedOrder, ...]:
    return tuple(
        ListedOrder(symbol=order.symbol, order_id=order.order_id, client_order_id=order.client_order_id)
        for order in group.orders
    )


def amended_list(group: OrderList) -> AmendedOrderList:
    """The list of an order in the answer to order.amend.keepPriority."""
    return AmendedOrderList(
        order_list_id=group.list_id,
        contingency_type=group.contingency,
        list_order_status="ALL_DONE" if group.is_done else "EXECUTING",
        list_client_order_id=group.client_order_id,
        symbol=group.symbol,
        orders=_listed(group),
    )


def list_status(
    group: OrderList,
    kind: ListStatusType,
    status: ListOrderStatus,
    now: int,
    reject_reason: OrderRejectReason = "NONE",
) -> ListStatus:
    """The event that tells of a list's latest change, or of what was refused."""
    return ListStatus(
        event_time=now,
        symbol=group.symbol,
        order_list_id=group.list_id,
        contingency_type=group.contingency,
        list_status_type=kind,
        list_order_status=status,
        list_reject_reason=reject_reason,
        list_client_order_id=group.client_order_id,
        transaction_time=now,
        orders=tuple(
            ListStatusOrder(symbol=order.symbol, order_id=order.order_id, client_order_id=order.client_order_id)
            for order in group.orders
        ),
    )


# Events


def execution_report(
    order: Order,
    kind: ExecutionType,
    *,
    execution_id: int,
    execution: Execution | None = None,
    prevention: Prevention | None = None,
    cancel_id: str | None = None,
    former_id: str = "",
    reject_reason: OrderRejectReason = "NONE",
) -> ExecutionReport:
    """The event that tells of the order's latest change.

    Args:
        order: as it stands after the change.
        kind: the execution type.
        execution_id: unique among all reports.
        execution: the trade, for kind ``TRADE``.
        prevention: the match that did not happen, for kind ``TRADE_PREVENTION``.
        cancel_id: the client order id of the cancellation, for kind ``CANCELED``.
        former_id: the order's client order id until now, for kind ``REPLACED``.
        reject_reason: why it was not taken, for kind ``REJECTED``.
    """
    return ExecutionReport(
        event_time=order.updated_at,
        symbol=order.symbol,
        client_order_id=cancel_id or order.client_order_id,
        side=order.side,
        order_type=order.type,
        time_in_force=order.time_in_force,
        quantity=order.quantity,
        price=order.price,
        stop_price=order.stop_price,
        iceberg_quantity=order.iceberg_quantity,
        order_list_id=order.list_id,
        # The event has the order's own id here if the cancellation has taken its place above.
        original_client_order_id=order.client_order_id if cancel_id else former_id,
        execution_type=kind,
        order_status=order.status,
        reject_reason=reject_reason,
        order_id=order.order_id,
        cumulative_filled_quantity=order.executed,
        transaction_time=order.updated_at,
        execution_id=execution_id,
        is_on_book=_is_on_book(order, kind),
        # The document says to ignore it; its examples have it true for trades.
        ignore=kind == "TRADE",
        order_creation_time=order.created_at,
        cumulative_quote_quantity=eight_decimals(order.quote_executed),
        quote_order_quantity=order.quote_quantity,
        self_trade_prevention_mode=order.stp_mode,
        # Only of an order that is, or was, on the book.
        working_time=order.working_time if order.is_working else None,
        **_last_trade(execution),
        **_conditional_of_event(order, execution, prevention),
    )


def _last_trade(execution: Execution | None) -> dict[str, Any]:
    """What a report says of the trade that it tells of, also if it tells of none."""
    if execution is None:
        return _NO_TRADE
    return {
        "trade_id": execution.trade_id,
        "last_executed_quantity": execution.quantity,
        "last_executed_price": execution.price,
        "last_quote_quantity": eight_decimals(execution.amount),
        "commission_amount": execution.commission,
        "commission_asset": execution.commission_asset,
        "is_maker": execution.is_maker,
    }


_NO_TRADE: Final[dict[str, Any]] = {
    # As in the document's example of an order that was only taken.
    "trade_id": -1,
    **dict.fromkeys(("last_executed_quantity", "last_executed_price", "last_quote_quantity"), ZERO),
    "commission_amount": NOTHING,
    "commission_asset": None,
    "is_maker": False,
}


def _is_on_book(order: Order, kind: ExecutionType) -> bool:
    """A market order says so in its first report only (market_orders_faq.md)."""
    return order.is_working and order.is_open and (order.kind.has_limit or kind == "NEW")


def _conditional_of_event(order: Order, execution: Execution | None, prevention: Prevention | None) -> dict[str, Any]:
    found = _conditional(order)
    if prevention is not None:
        match = prevention.match
        found |= {
            "last_prevented_quantity": prevention.quantity,
            "trade_group_id": match.trade_group_id,
            "counter_order_id": prevention.counter_order_id,
            "counter_symbol": match.maker_symbol,
            "prevented_execution_quantity": prevention.matched,
            "prevented_execution_price": match.price,
            "prevented_execution_quote_quantity": eight_decimals(match.price * prevention.matched),
        }
    if execution is not None and execution.allocation_id is not None:
        found |= {"match_type": _ROUTED, "allocation_id": execution.allocation_id}
    return found
