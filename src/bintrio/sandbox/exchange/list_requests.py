"""Requests to order lists: one function for each method.

Source: "Order lists" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Final

from bintrio.api.enums import SelfTradePreventionMode, Side
from bintrio.api.order_lists import (
    OrderListPlace,
    OrderListPlaceOco,
    OrderListPlaceOpo,
    OrderListPlaceOpoco,
    OrderListPlaceOto,
    OrderListPlaceOtoco,
)

from .orders import Order, OrderList
from .placements import leg, order_of_list
from .symbols import Symbol


class ListBuilder:
    """Makes lists of requests.

    Args:
        next_order_id: gives each order its id.
    """

    def __init__(self, next_order_id: Callable[[], int]) -> None:
        self._next_order_id = next_order_id
        self._list_ids = count()

    def build(self, request: Any, symbol: Symbol, owner: int, now: int) -> OrderList:
        """The list of a symbol that a request asks for."""
        working, pair, others, pays = _PARTS[request.api.name](_Legs(request, symbol, owner, now))
        first = () if working is None else (working,)
        orders = (*first, *pair, *others)
        for order in orders:
            # In the order in which the document shows them.
            order.order_id = self._next_order_id()
            order.client_order_id = order.client_order_id or f"sandbox-{order.order_id}"
            # What waits for the working order is not placed yet.
            if order in (*pair, *others) and working is not None:
                order.status = "PENDING_NEW"
        list_id = next(self._list_ids)
        group = OrderList(
            list_id=list_id,
            owner=owner,
            symbol=request.symbol,
            contingency="OCO" if working is None else "OTO",
            client_order_id=request.list_client_order_id or f"sandbox-list-{list_id}",
            orders=orders,
            working=working,
            pair=pair,
            pays=pays,
        )
        for order in orders:
            order.group = group
        return group


class _Legs:
    """The orders of a list request, without ids so far."""

    def __init__(self, request: Any, symbol: Symbol, owner: int, now: int) -> None:
        self.request: Final = request
        self._symbol = symbol
        # One mode for all orders of a list: they have no parameter of their own for it.
        self._stp_mode: SelfTradePreventionMode = request.self_trade_prevention_mode or symbol.default_stp_mode
        self._owner = owner
        self._now = now

    def order(self, prefix: str, side: Side, **shared: Any) -> Order:
        """The order whose parameters have a prefix."""
        return self.of(leg(self.request, prefix, shared), side)

    def of(self, given: dict[str, Any], side: Side) -> Order:
        """An order out of parameters."""
        return order_of_list(given, self._symbol, side, self._stp_mode, self._owner, self._now)


_Parts = tuple[Order | None, tuple[Order, ...], tuple[Order, ...], bool]


def _pair(above: Order, below: Order) -> tuple[Order, ...]:
    # The order that stops a loss comes first, as in the examples of the document.
    return (above, below) if above.kind.trigger == "stop" else (below, above)


def _oco(legs: _Legs) -> _Parts:
    side, quantity = legs.request.side, legs.request.quantity
    above, below = (legs.order(prefix, side, quantity=quantity) for prefix in ("above_", "below_"))
    return None, _pair(above, below), (), False


def _old_oco(legs: _Legs) -> _Parts:
    request = legs.request
    shared = {"quantity": request.quantity}
    limit = legs.of(leg(request, "limit_", shared) | {"type": "LIMIT_MAKER", "price": request.price}, request.side)
    stop = {
        # The old method has no types: the price of the stop order says which one it is.
        "type": "STOP_LOSS" if request.stop_limit_price is None else "STOP_LOSS_LIMIT",
        "price": request.stop_limit_price,
        "stop_price": request.stop_price,
        "trailing_delta": request.trailing_delta,
        "client_order_id": request.stop_client_order_id,
        "iceberg_qty": request.stop_iceberg_qty,
        "time_in_force": request.stop_limit_time_in_force,
        "strategy_id": request.stop_strategy_id,
        "strategy_type": request.stop_strategy_type,
    }
    return None, (legs.of(shared | stop, request.side), limit), (), False


def _working(legs: _Legs) -> Order:
    return legs.order("working_", legs.request.working_side)


def _oto(legs: _Legs) -> _Parts:
    return _working(legs), (), (legs.order("pending_", legs.request.pending_side),), False


def _opo(legs: _Legs) -> _Parts:
    # It has no quantity of its own: it is for what the working order has bought.
    return _working(legs), (), (legs.order("pending_", legs.request.pending_side),), True


def _pending_pair(legs: _Legs, **shared: Any) -> tuple[Order, ...]:
    side = legs.request.pending_side
    above, below = (legs.order(prefix, side, **shared) for prefix in ("pending_above_", "pending_below_"))
    return _pair(above, below)


def _otoco(legs: _Legs) -> _Parts:
    return _working(legs), _pending_pair(legs, quantity=legs.request.pending_quantity), (), False


def _opoco(legs: _Legs) -> _Parts:
    # As with OPO, the quantity is what the working order has bought.
    return _working(legs), _pending_pair(legs), (), True


# By method: the working order, the pair, the other orders, and whether one pays the others.
_PARTS: Final[dict[str, Callable[[_Legs], _Parts]]] = {
    OrderListPlace.api.name: _old_oco,
    OrderListPlaceOco.api.name: _oco,
    OrderListPlaceOto.api.name: _oto,
    OrderListPlaceOtoco.api.name: _otoco,
    OrderListPlaceOpo.api.name: _opo,
    OrderListPlaceOpoco.api.name: _opoco,
}
