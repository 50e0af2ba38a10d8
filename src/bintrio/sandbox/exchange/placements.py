"""Requests to orders.

The parameters of an order list name each of its orders by a prefix, as ``working_price``; without it they are those of
a single order.

Source: "Trading requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeAlias

from bintrio._protocol.exact import EXACT
from bintrio.api.enums import SelfTradePreventionMode, Side
from bintrio.api.trading import OrderCancelReplace, OrderPlace, OrderTest, SorOrderPlace, SorOrderTest

from .orders import ZERO, Order

Placement: TypeAlias = OrderPlace | OrderTest | OrderCancelReplace | SorOrderPlace | SorOrderTest
"""What asks for an order."""

_STEP: Final = Decimal("1E-8")


def exact(number: Decimal | str | int | None) -> Decimal:
    """With eight decimals. A request holds Decimals once it is built; its type says what it accepts."""
    return ZERO if number is None else EXACT.quantize(Decimal(number), _STEP)


def as_order(request: Placement, stp_mode: SelfTradePreventionMode, order_id: int, owner: int, now: int) -> Order:
    """The order that a request asks for; ``stp_mode`` is that of the symbol."""
    return build(vars_of(request), "new_", request.symbol, request.side, stp_mode, order_id, owner, now)


def vars_of(request: Any) -> dict[str, Any]:
    """The parameters of a request that were given."""
    names, values = _parameters(request.__class__)
    return {name: value for name, value in zip(names, values(request), strict=True) if value is not None}


@cache
def _parameters(request_type: type[Any]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """The names of a method's parameters, and what reads them all at once."""
    names = request_type.__struct_fields__
    return names, attrgetter(*names)


def build(
    given: dict[str, Any],
    id_prefix: str,
    symbol: str,
    side: Side,
    stp_mode: SelfTradePreventionMode,
    order_id: int,
    owner: int,
    now: int,
) -> Order:
    """An order out of parameters."""
    get = given.get
    order = Order(
        order_id=order_id,
        owner=owner,
        symbol=symbol,
        side=side,
        type=given["type"],
        time_in_force=get("time_in_force") or "GTC",
        client_order_id=get(f"{id_prefix}client_order_id") or f"sandbox-{order_id}",
        created_at=now,
        updated_at=now,
        price=exact(get("price")),
        quantity=exact(get("quantity")),
        stp_mode=get("self_trade_prevention_mode") or stp_mode,
    )
    if not given.keys() <= _PLAIN:
        _add_rest(order, given)
    return order


_PLAIN: Final = frozenset(
    {
        "symbol",
        "side",
        "type",
        "time_in_force",
        "price",
        "quantity",
        "new_client_order_id",
        "new_order_resp_type",
        "recv_window",
        "self_trade_prevention_mode",
    }
)
"""What nearly all orders have, so that of the others nothing else need be asked."""


def _add_rest(order: Order, given: dict[str, Any]) -> None:
    get = given.get
    order.quote_quantity = exact(get("quote_order_qty"))
    order.stop_price = exact(get("stop_price"))
    order.trailing_delta = get("trailing_delta")
    order.iceberg_quantity = exact(get("iceberg_qty"))
    order.peg_price_type = get("peg_price_type")
    order.peg_offset_type = get("peg_offset_type")
    order.peg_offset_value = get("peg_offset_value")
    order.strategy_id = get("strategy_id")
    order.strategy_type = get("strategy_type")


def leg(request: Any, prefix: str, shared: dict[str, Any]) -> dict[str, Any]:
    """The parameters of one order of a list; ``shared`` are those that all have."""
    given = vars_of(request)
    own = {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}
    return shared | own
