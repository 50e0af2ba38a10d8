"""What became of an order list: it is asked for by its own client order id, and known by those of its orders.

Source: "Place new Order list", "Cancel Order list" and "Query Order list" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from ..api.account import AllOrderLists, Order, OrderListStatus, OrderStatus
from ..api.enums import CLOSED_LIST_STATES
from ..api.order_lists import OrderListCancel
from ..api.orders import ListedOrder, OrderList
from .evidence import LEGS, PAGE, Inquiry, Question, Sent, Undecided, found, is_placed, pauses


def list_placed(sent: Sent) -> Inquiry[OrderList | None]:
    """The order list that the call placed; None if it placed none."""
    shown: OrderList | None
    name, not_before, why, pause = sent.request.list_client_order_id, 0, "", pauses()
    while not sent.is_refused:
        shown, asked_at = yield Question(_list_status(sent.told, name), not_before, why)
        if shown is not None and (yield from _is_list_placed(sent, shown)):
            return shown
        # The answer named the list, so it is there: it is asked for until a query shows it.
        if sent.told is not None:
            not_before = asked_at + next(pause)
            why = f"the answer to the call named order list {sent.told}, and orderList.status says that there is none"
        elif asked_at < sent.settled_at:
            not_before = sent.settled_at
        # After the window and the delay of queries the answer counts. A list of another call may have hidden ours.
        else:
            return None if shown is None else (yield from _list_placed_beside(sent))
    return None


def _list_status(number: int | None, name: str | None) -> OrderListStatus:
    # By the number alone if there is one: with both, the name goes first.
    return OrderListStatus(order_list_id=number, orig_client_order_id=name if number is None else None)


def _is_list_placed(sent: Sent, shown: OrderList) -> Inquiry[bool]:
    """Whether an order list is the one that the call placed: by the names of its orders, or one of the orders."""
    # A late answer has named it, and it was asked for by that number.
    if sent.told is not None and found(shown, "order_list_id") in {None, sent.told}:
        return True
    legs = {leg.client_order_id: leg for leg in LEGS[type(sent.request)](sent.request)}
    named = _orders_of_call(sent, shown, legs)
    if not named:
        return False
    # The session made the names of its orders, so no earlier list can have them.
    if sent.is_id_fresh:
        return True
    # One order is enough: the exchange takes all orders of a list or none.
    name = named[0].client_order_id
    order = yield from _listed(sent, named[0].order_id)
    return (yield from is_placed(sent, legs[name], order, found(order, "client_order_id") or name))


def _orders_of_call(sent: Sent, shown: OrderList, names: Container[str]) -> Sequence[ListedOrder]:
    """The orders of a list that go by names of the call, if the list may be its."""
    # The name of a list may be used again. The names of its orders and its time tell whether it is another one.
    if found(shown, "symbol") not in {None, sent.request.symbol} or not sent.is_later(shown, "transaction_time"):
        return ()
    return [order for order in shown.orders if order.client_order_id in names]


def _listed(sent: Sent, number: int) -> Inquiry[Order]:
    """An order that a list names: so it is there, and is asked for until a query shows it."""
    order: Order | None = None
    question, pause = Question(OrderStatus(symbol=sent.request.symbol, order_id=number)), pauses()
    why = f"its order list names order {number}, and order.status says that there is none"
    while order is None:
        order, asked_at = yield question
        question = question._replace(not_before=asked_at + next(pause), why=why)
    return order


def _list_placed_beside(sent: Sent) -> Inquiry[OrderList | None]:
    """The order list that the call placed, if another one is shown under its name."""
    name = sent.request.list_client_order_id
    ours: list[OrderList] = []
    for shown in (yield from _lists_since(sent, name)):
        if (yield from _is_list_placed(sent, shown)):
            ours.append(shown)
    if len(ours) > 1:
        raise Undecided(f"{len(ours)} order lists go by {name!r}, and each may be its")
    return ours[0] if ours else None


def _lists_since(sent: Sent, name: str | None) -> Inquiry[list[OrderList]]:
    """The order lists of a name that changed since the call left."""
    since = None if sent.earliest is None else sent.earliest * sent.units
    lists: tuple[OrderList, ...] = (yield Question(AllOrderLists(start_time=since, limit=PAGE))).result or ()
    # A full page may leave out any.
    if len(lists) >= PAGE:
        raise Undecided(f"{PAGE:,} order lists or more changed since it left, and allOrderLists may not show all")
    return [each for each in lists if each.list_client_order_id == name]


def _is_list_over(sent: Sent, shown: OrderList, *, is_by_number: bool) -> bool:
    """Whether nothing can come of a cancel any more."""
    is_closed = shown.list_order_status in CLOSED_LIST_STATES
    # By name alone, the list may have been closed before the call left, and be another one.
    return is_closed and (is_by_number or sent.is_later(shown, "transaction_time"))


def list_canceled(sent: Sent) -> Inquiry[OrderList | None]:
    """The order list that was to be canceled, as it stands once the call is over; None if there is none."""
    request: OrderListCancel = sent.request
    number, name = request.order_list_id if sent.told is None else sent.told, request.list_client_order_id
    shown: OrderList | None
    not_before = 0
    while True:
        shown, asked_at = yield Question(_list_status(number, name), not_before)
        if shown is not None and _is_list_over(sent, shown, is_by_number=number is not None):
            return shown
        if asked_at >= sent.settled_at:
            break
        not_before = sent.settled_at
    # A number belongs to one list for ever, and the name of one that is open to no other.
    if shown is None or number is not None or shown.list_order_status == "EXECUTING":
        return shown
    # It was closed before the call left, or may have been: a later one may have its name.
    later = yield from _lists_since(sent, name)
    return max((shown, *later), key=lambda each: each.order_list_id) if later else shown
