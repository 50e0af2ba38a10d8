"""Amending: less of an order, which keeps its place on the book.

Amending one order of a pair amends both. An order of which that much was traded already expires.

Source: "Order Amend Keep Priority" of the WebSocket API document, order_amend_keep_priority.md.
"""

from __future__ import annotations

from copy import copy
from decimal import Decimal

from bintrio.api.account import Amendment
from bintrio.api.filters import MaxNumOrderAmendsFilter

from .accounts import Account
from .listing import Listing
from .matching import MatchingEngine
from .orders import Order, eight_decimals
from .placements import exact
from .refusals import amend_refused


def amend(
    engine: MatchingEngine, account: Account, order: Order, quantity: Decimal, now: int, *, client_order_id: str
) -> int:
    """Reduce the quantity of an order. Returns the report's execution id.

    Raises:
        Refusal: -2038 or -1013; nothing has changed.
    """
    quantity = exact(quantity)
    _check(engine, account, order, quantity, now, client_order_id)
    # Reports and amendments name both.
    former_id = order.client_order_id
    account.rename(order, client_order_id)
    execution_id = _reduce(engine, order, quantity, now, former_id)
    group = order.group
    # Both orders of a pair share one quantity.
    if group is not None:
        other = None if group.is_decided else group.other(order)
        # Of what was bought for both, a market order may sell fewer lots; it is never made greater.
        if other is not None and other.is_open and quantity < other.quantity:
            _reduce(engine, other, quantity, now, other.client_order_id)
        # The list names its orders, so it has changed.
        if former_id != client_order_id and not group.is_done:
            engine.reports.of_list(account, group, "UPDATED", now)
    engine.react(now)
    return execution_id


def _check(
    engine: MatchingEngine, account: Account, order: Order, quantity: Decimal, now: int, client_order_id: str
) -> None:
    listing = engine.listings[order.symbol]
    if not listing.symbol.amend_allowed:
        raise amend_refused("Order amend is not supported for this symbol.")
    # It may have been filled or canceled while the request was on its way.
    if not order.is_open:
        raise amend_refused("Unknown order sent.")
    _check_quantity(order, quantity)
    # To keep its name is no conflict with itself.
    if client_order_id != order.client_order_id and account.is_taken(order.symbol, client_order_id):
        raise amend_refused("Duplicate order sent.")
    _check_count(listing, order)
    # The filters judge the order as it would be; nothing has changed yet.
    reduced = copy(order)
    reduced.resize(quantity)
    reduced.updated_at = now
    listing.filter(account, reduced)


def _check_quantity(order: Order, quantity: Decimal) -> None:
    # What the working order buys decides the quantity of the pending ones.
    if order.group is not None and order.group.pays and order.status == "PENDING_NEW":
        raise amend_refused("Order amend (pending OPO order) is not supported.")
    if quantity == order.quantity:
        raise amend_refused("The requested action would change no state; rejecting")
    # More would have to go to the end of its level, and this keeps the place.
    if quantity > order.quantity:
        raise amend_refused("Order amend (quantity increase) is not supported.")


def _check_count(listing: Listing, order: Order) -> None:
    for rule in listing.filters:
        if isinstance(rule, MaxNumOrderAmendsFilter) and len(order.amendments) >= rule.max_num_order_amends:
            raise amend_refused("Filter failure: MAX_NUM_ORDER_AMENDS")


def _reduce(engine: MatchingEngine, order: Order, quantity: Decimal, now: int, former_id: str) -> int:
    before = order.quantity
    reduced_by = before - quantity
    # As much has been traded already, so nothing is left.
    if reduced_by >= order.remaining:
        # No order is for less than what was done of it.
        left = max(quantity, order.executed + order.prevented)
        execution_id = engine.end(order, "EXPIRED", now, quantity=left)
    else:
        order.resize(quantity)
        execution_id = engine.amended(order, reduced_by, now, former_id)
    amendment = Amendment(
        symbol=order.symbol,
        order_id=order.order_id,
        execution_id=execution_id,
        orig_client_order_id=former_id,
        new_client_order_id=order.client_order_id,
        orig_qty=eight_decimals(before),
        new_qty=eight_decimals(quantity),
        time=now,
    )
    order.amendments += (amendment,)
    return execution_id
