"""Requests to orders.

The parameters of an order list name each of its orders by a prefix, as ``working_price``; without it they are those of
a single order.

Source: "Trading requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from bintrio._protocol.exact import EXACT
from bintrio.api.enums import SelfTradePreventionMode, Side
from bintrio.api.sor import SorOrderPlace, SorOrderTest
from bintrio.api.trading import NewOrder, OrderCancelReplace, OrderPlace, OrderTest

from .orders import SMALLEST, ZERO, Order
from .symbols import Symbol

Placement: TypeAlias = OrderPlace | OrderTest | OrderCancelReplace | SorOrderPlace | SorOrderTest
"""What asks for an order."""

_quantize: Final = EXACT.quantize


def exact(number: Any) -> Decimal:
    """A Decimal with eight decimals; 0 for None. A request's type says what it accepts; it holds Decimals."""
    if number is None:
        return ZERO
    return _quantize(number, SMALLEST)


def as_order(request: Placement, symbol: Symbol, order_id: int, owner: int, now: int) -> Order:
    """The order of a symbol that a request asks for."""
    order = Order(
        order_id=order_id,
        owner=owner,
        symbol=request.symbol,
        side=request.side,
        type=request.type,
        time_in_force=request.time_in_force or "GTC",
        # As the exchange makes one, if a raw request has none; ours shows whose it is.
        client_order_id=request.new_client_order_id or f"sandbox-{order_id}",
        created_at=now,
        updated_at=now,
        price=exact(request.price),
        quantity=exact(request.quantity),
        gives=symbol.quote if request.side == "BUY" else symbol.base,
        stp_mode=request.self_trade_prevention_mode or symbol.default_stp_mode,
    )
    if not _is_plain(request):
        _add_rare(order, vars_of(request))
    return order


# The parameters that few orders have.
_RARE: Final = (
    "quote_order_qty",
    "stop_price",
    "trailing_delta",
    "iceberg_qty",
    "peg_price_type",
    "peg_offset_type",
    "peg_offset_value",
    "strategy_id",
    "strategy_type",
)


def _is_plain(request: Placement) -> bool:
    """Whether a request has none of the parameters that few orders have."""
    if not (request.iceberg_qty is request.strategy_id is request.strategy_type is None):
        return False
    # Those that are routed take no others.
    if not isinstance(request, NewOrder):
        return True
    return (
        request.quote_order_qty is request.stop_price is request.trailing_delta is None
        and request.peg_price_type is None
        and request.peg_offset_type is None
        and request.peg_offset_value is None
    )


def _add_rare(order: Order, given: Mapping[str, Any]) -> None:
    get = given.get
    order.is_plain = False
    order.quote_quantity = exact(get("quote_order_qty"))
    order.stop_price = exact(get("stop_price"))
    order.trailing_delta = get("trailing_delta")
    order.iceberg_quantity = exact(get("iceberg_qty"))
    order.peg_price_type = get("peg_price_type")
    order.peg_offset_type = get("peg_offset_type")
    order.peg_offset_value = get("peg_offset_value")
    order.strategy_id = get("strategy_id")
    order.strategy_type = get("strategy_type")


def vars_of(request: Any) -> dict[str, Any]:
    """The parameters of a request that were given."""
    values = ((name, getattr(request, name)) for name in request.__struct_fields__)
    return {name: value for name, value in values if value is not None}


def order_of_list(
    given: Mapping[str, Any], symbol: Symbol, side: Side, stp_mode: SelfTradePreventionMode, owner: int, now: int
) -> Order:
    """An order of a list, out of its parameters; it has no id so far, unless the client gave it one."""
    get = given.get
    order = Order(
        order_id=0,
        owner=owner,
        symbol=symbol.name,
        side=side,
        type=given["type"],
        time_in_force=get("time_in_force") or "GTC",
        # Without one, the list gives it a name that shows its number.
        client_order_id=get("client_order_id") or "",
        created_at=now,
        updated_at=now,
        price=exact(get("price")),
        quantity=exact(get("quantity")),
        gives=symbol.quote if side == "BUY" else symbol.base,
        stp_mode=stp_mode,
    )
    # Most legs have none of them, and are made without a look at each.
    if not given.keys().isdisjoint(_RARE):
        _add_rare(order, given)
    return order


def leg(request: Any, prefix: str, shared: dict[str, Any]) -> dict[str, Any]:
    """The parameters of one order of a list; ``shared`` are those that all have."""
    given = vars_of(request)
    own = {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}
    return shared | own
