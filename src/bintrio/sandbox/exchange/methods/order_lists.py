"""Order lists: placing and canceling them.

Source: "Order lists" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from bintrio.api.order_lists import (
    OrderListCancel,
    OrderListPlace,
    OrderListPlaceOco,
    OrderListPlaceOpo,
    OrderListPlaceOpoco,
    OrderListPlaceOto,
    OrderListPlaceOtoco,
)
from bintrio.api.orders import OrderList
from bintrio.api.trading import CanceledOrder, CanceledOrderList, PlacedOrderList

from .. import refusals, shapes
from ..accounts import Account
from ..orders import Order
from .calls import RequestContext, answers
from .trading import UNKNOWN, cancel

_REPORTS: Final[dict[str, Callable[[Order], Any]]] = {"ACK": shapes.ack, "RESULT": shapes.result, "FULL": shapes.full}
_REPORTS_OF_PAYING: Final = _REPORTS | {"RESULT": shapes.pending, "FULL": shapes.pending_full}


@answers(OrderListPlace)
@answers(OrderListPlaceOco)
@answers(OrderListPlaceOto)
@answers(OrderListPlaceOtoco)
@answers(OrderListPlaceOpo)
@answers(OrderListPlaceOpoco)
def order_list_place(call: RequestContext) -> PlacedOrderList[Any]:
    """Place an order list. Only of the old OCO the document says which reports are the default."""
    request = call.request
    symbol = call.symbol
    group = call.engine.new_list(request, call.signer.uid, call.now)
    try:
        placed = call.engine.lists.place(call.account, group, call.now)
    except refusals.Refusal as refusal:
        call.engine.reports.of_refused_list(group, refusals.reject_reason(refusal), call.now)
        raise
    # The examples of all others have RESULT.
    shown = request.new_order_resp_type or ("FULL" if isinstance(request, OrderListPlace) else "RESULT")
    report = (_REPORTS_OF_PAYING if group.pays else _REPORTS)[shown]
    record = shapes.order_list(group, "EXEC_STARTED", "EXECUTING", call.now)
    known: dict[str, Any] = msgspec.structs.asdict(record) | {"symbol": symbol.name}
    return PlacedOrderList(**known, order_reports=tuple(map(report, placed)))


@answers(OrderListCancel)
def order_list_cancel(call: RequestContext) -> CanceledOrder | CanceledOrderList:
    """Cancel an order list, found by its id, else by its name; with both, they must agree."""
    request: OrderListCancel = call.request
    symbol = call.symbol  # one that does not exist is refused first
    record = _asked_for(call.account, request.order_list_id, request.list_client_order_id)
    # The number may be that of a list of another symbol.
    listed = () if record is None or record.symbol != symbol.name else record.orders
    # Where closed orders are forgotten, a list may be known for longer than some of its orders.
    orders = [call.account.orders[one.order_id] for one in listed if one.order_id in call.account.orders]
    if record is None or not orders:
        raise refusals.cancel_refused(UNKNOWN)
    # To cancel any open order cancels the list. Of a list without one, the refusal is the same for each.
    opened = next((order for order in orders if order.is_open), orders[0])
    return cancel(call, opened, request.new_client_order_id or f"cancel-list-{record.order_list_id}")


def _asked_for(account: Account, list_id: int | None, name: str | None) -> OrderList | None:
    # The id goes first; a name beside it has to agree.
    if list_id is None:
        return account.list_named(name or "")
    record = account.lists.get(list_id)
    return None if record is not None and name not in {None, record.list_client_order_id} else record
