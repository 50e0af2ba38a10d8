"""Trading requests.

**order.cancelReplace.** What is wrong with the new order as such (its filters, the limit on orders) is said before
anything is canceled. Over that limit ``CANCEL_ONLY`` cancels all the same. If the cancellation fails too, the answer
has status 429, else 409; for the latter the document's table has 429 with ``STOP_ON_FAILURE``, its example 409. An
order that is not attempted counts against the limit.

**order.cancel** of an order of a list cancels the list, and answers with it.

Source: "Trading requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from bintrio.api.trading import (
    CanceledOrder,
    CanceledOrderList,
    CommissionForOrder,
    OpenOrdersCancelAll,
    OrderAck,
    OrderAmended,
    OrderAmendKeepPriority,
    OrderCancel,
    OrderCancelReplace,
    OrderFull,
    OrderPlace,
    OrderResult,
    OrderTest,
    OrderTestedWithRates,
)

from .. import amending, refusals, shapes
from ..commissions import Rates
from ..orders import Order, eight_decimals
from ..refusals import Refusal
from .account import discount
from .calls import RequestContext, answers

UNKNOWN: Final = "Unknown order sent."
"""What refuses to cancel or amend an order that cannot be found, or a list."""


# Placing


@answers(OrderPlace)
def order_place(call: RequestContext) -> OrderAck | OrderResult | OrderFull:
    """Place an order. FULL is what MARKET and LIMIT orders are answered with by default, ACK all others."""
    request: OrderPlace | OrderCancelReplace = call.request
    order = call.engine.place(call.account, request, call.now)
    # "Place new order": the default depends on the type.
    shown = request.new_order_resp_type or ("FULL" if order.type in {"LIMIT", "MARKET"} else "ACK")
    return SHAPES[shown](order)


SHAPES: Final[dict[str, Callable[[Order], OrderAck | OrderResult | OrderFull]]] = {
    "ACK": shapes.ack,
    "RESULT": shapes.result,
    "FULL": shapes.full,
}
"""By response type."""


@answers(OrderTest)
def order_test(call: RequestContext) -> OrderTestedWithRates | dict[str, Any]:
    """Check an order."""
    request: OrderTest = call.request
    order = call.engine.check(call.account, request, call.now)
    return rates_for(call, order) if request.compute_commission_rates else {}


def rates_for(call: RequestContext, order: Order) -> OrderTestedWithRates:
    """What an order would pay as a maker, and as a taker: the rate of its side is in both (commission_faq.md)."""
    commissions = call.account.commissions

    def rates(kind: Rates) -> CommissionForOrder:
        maker, taker = (eight_decimals(kind.of(is_maker=is_maker, is_buyer=order.is_buy)) for is_maker in (True, False))
        return CommissionForOrder(maker=maker, taker=taker)

    return OrderTestedWithRates(
        standard_commission_for_order=rates(commissions.standard),
        special_commission_for_order=rates(commissions.special),
        tax_commission_for_order=rates(commissions.tax),
        discount=discount(commissions),
    )


# Canceling


@answers(OrderCancel)
def order_cancel(call: RequestContext) -> CanceledOrder | CanceledOrderList:
    """Cancel an order."""
    request: OrderCancel = call.request
    return _cancel(
        call, request.order_id, request.orig_client_order_id, request.new_client_order_id, request.cancel_restrictions
    )


def _cancel(
    call: RequestContext, order_id: int | None, name: str | None, new_name: str | None, restriction: str | None
) -> CanceledOrder | CanceledOrderList:
    try:
        order = call.account.find(call.symbol.name, order_id, name)
    except Refusal as refusal:
        # One that cannot be found is a refused cancellation here.
        raise refusals.cancel_refused(UNKNOWN) if refusal.code == -2013 else refusal from None
    return cancel(call, order, new_name or _cancel_id(order), restriction)


def cancel(
    call: RequestContext, order: Order, cancel_id: str, restriction: str | None = None
) -> CanceledOrder | CanceledOrderList:
    """Cancel an order, and its list if it has one; in the shape of the answer."""
    try:
        call.engine.cancel(call.account, order, call.now, cancel_id=cancel_id, restriction=restriction)
    except Refusal:
        # To cancel one order of a list is to cancel the list.
        if order.group is not None:
            call.engine.reports.of_refused_list(order.group, "NONE", call.now)
        raise
    if order.group is None:
        return shapes.canceled(order, cancel_id)
    record = call.account.lists[order.list_id]
    # Those that had ended before are not canceled by this.
    reports = tuple(shapes.canceled(one, cancel_id) for one in order.group.orders if one.status == "CANCELED")
    known = msgspec.structs.asdict(record)
    return CanceledOrderList(**known, order_reports=reports)


def _cancel_id(order: Order) -> str:
    # "Automatically generated if not sent": here by the order's number, so that it is the same in each run.
    return f"cancel-{order.order_id}"


@answers(OpenOrdersCancelAll)
def open_orders_cancel_all(call: RequestContext) -> tuple[CanceledOrder | CanceledOrderList, ...]:
    """Cancel all open orders and lists of a symbol; that there are none is a refused cancellation."""
    found = tuple(call.account.open_orders(call.symbol.name))
    # The document refuses to cancel nothing.
    if not found:
        raise refusals.cancel_refused(UNKNOWN)
    # The orders of a list end together.
    return tuple(cancel(call, order, _cancel_id(order)) for order in found if order.is_open)


# Replacing


@answers(OrderCancelReplace)
def order_cancel_replace(call: RequestContext) -> dict[str, Any]:
    """Cancel an order and place another."""
    request: OrderCancelReplace = call.request
    if not call.symbol.cancel_replace_allowed:
        raise refusals.order_refused("Order cancel-replace is not supported for this symbol.")
    # Before anything is canceled: an order that cannot be placed must not cost the other.
    call.engine.check(call.account, request, call.now)
    # Asked before anything is done, and heeded after: over the limit the cancel may still be wanted.
    over_limit = _attempt(_check_limit, call)
    canceled = _attempt(_cancel_first, call)
    if isinstance(canceled, Refusal) and request.cancel_replace_mode == "STOP_ON_FAILURE":
        # "A new order that was not attempted will still increase the unfilled order count by 1".
        call.engine.reports.of_attempt(call.account)
        raise _nothing_done(canceled, over_limit)
    # Over the limit, only the cancel is done.
    placed = over_limit or _place_instead(call, canceled)
    halves = _half("cancel", canceled) | _half("newOrder", placed)
    failures = [half for half in (canceled, placed) if isinstance(half, Refusal)]
    # One half was done.
    if len(failures) == 1:
        raise refusals.replace_partly_failed(halves)
    if failures:
        raise refusals.replace_failed(halves)
    return halves


def _attempt(action: Callable[[RequestContext], Any], call: RequestContext) -> Any:
    """What an action gives, or its refusal."""
    try:
        return action(call)
    except Refusal as refusal:
        return refusal


def _check_limit(call: RequestContext) -> None:
    call.orders.admit(1, call.now)


def _cancel_first(call: RequestContext) -> CanceledOrder | CanceledOrderList:
    request: OrderCancelReplace = call.request
    return _cancel(
        call,
        request.cancel_order_id,
        request.cancel_orig_client_order_id,
        request.cancel_new_client_order_id,
        request.cancel_restrictions,
    )


def _place_instead(call: RequestContext, canceled: Any) -> Any:
    placed = _attempt(order_place, call)
    # "Execution types" (enums.md): an order that was rejected is told of where the other one was canceled.
    if isinstance(placed, Refusal) and not isinstance(canceled, Refusal):
        call.engine.reject(call.account, call.request, placed, call.now)
    return placed


def _half(name: str, outcome: Any) -> dict[str, Any]:
    if isinstance(outcome, Refusal):
        return {f"{name}Result": "FAILURE", f"{name}Response": _as_half(outcome)}
    return {f"{name}Result": "SUCCESS", f"{name}Response": outcome}


def _as_half(refusal: Refusal) -> dict[str, Any]:
    return {"code": refusal.code, "msg": refusal.message}


def _nothing_done(canceled: Refusal, over_limit: Refusal | None) -> Refusal:
    """The cancellation failed, so the order was not attempted."""
    data = {
        "cancelResult": "FAILURE",
        "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": _as_half(canceled),
        "newOrderResponse": None,
    }
    refusal = refusals.replace_failed(data)
    # Then the limit gives the answer its status, 429, and the time to wait until.
    if over_limit is not None:
        refusal.status, refusal.data = over_limit.status, data | (over_limit.data or {})
    return refusal


# Amending


@answers(OrderAmendKeepPriority)
def order_amend_keep_priority(call: RequestContext) -> OrderAmended:
    """Reduce the quantity of an order, which keeps its place."""
    request: OrderAmendKeepPriority = call.request
    account = call.account
    try:
        order = account.find(call.symbol.name, request.order_id, request.orig_client_order_id)
    except Refusal as refusal:
        # As with a cancellation: one that cannot be found is a refused amendment (-2038).
        raise refusals.amend_refused(UNKNOWN) if refusal.code == -2013 else refusal from None
    former = order.client_order_id
    # The document has one generated if none is sent, also where the order had one: by number, the same in each run.
    name = request.new_client_order_id or f"amend-{order.order_id}-{len(order.amendments) + 1}"
    execution_id = amending.amend(call.engine, account, order, Decimal(request.new_qty), call.now, client_order_id=name)
    return OrderAmended(
        transact_time=call.now,
        execution_id=execution_id,
        amended_order=shapes.amended(order, former),
        list_status=None if order.group is None else shapes.amended_list(order.group),
    )
