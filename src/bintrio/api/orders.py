"""Shapes of orders and order lists that answers of several sections share.

The exchange reports one and the same order in six shapes. What they have in common is `OrderCore`; each adds its
own. Fields that only some orders have are None for the others ("Conditional fields in Order Responses").
Those that only the SBE schema names (order_capacity, trade_group_id, prevented_matches) are optional as well.

Source: "Trading requests" and "Account requests" of the WebSocket API document.
"""

from __future__ import annotations

from decimal import Decimal

from ._values import Record, Timestamp
from .enums import (
    ContingencyType,
    ExpiryReason,
    ListOrderStatus,
    ListStatusType,
    OrderCapacity,
    OrderState,
    OrderType,
    PegOffsetType,
    PegPriceType,
    Side,
    TimeInForce,
    WorkingFloor,
)

__all__ = [
    "ListedOrder",
    "OrderCore",
    "OrderDetails",
    "OrderList",
]


class OrderCore(Record, frozen=True, kw_only=True):
    """What every report of an order tells, an amended one included."""

    symbol: str
    order_id: int
    order_list_id: int  # -1 for an order of no list
    client_order_id: str
    price: Decimal
    executed_qty: Decimal
    status: OrderState
    time_in_force: TimeInForce
    type: OrderType
    side: Side
    # From here on: what only some orders have.
    prevented_match_id: int | None = None
    prevented_quantity: Decimal | None = None
    strategy_id: int | None = None
    strategy_type: int | None = None
    trailing_delta: int | None = None
    trailing_time: Timestamp | None = None
    used_sor: bool | None = None
    working_floor: WorkingFloor | None = None
    peg_price_type: PegPriceType | None = None
    peg_offset_type: PegOffsetType | None = None
    peg_offset_value: int | None = None
    pegged_price: Decimal | None = None
    expiry_reason: ExpiryReason | None = None
    order_capacity: OrderCapacity | None = None


class OrderDetails(OrderCore, frozen=True, kw_only=True):
    """What every report of an order tells that was not amended just now."""

    orig_quote_order_qty: Decimal
    cummulative_quote_qty: Decimal  # the exchange spells it so (inconsistency 7)


class ListedOrder(Record, frozen=True, kw_only=True):
    """An order that belongs to an order list."""

    symbol: str
    order_id: int
    client_order_id: str


class OrderList(Record, frozen=True, kw_only=True):
    """An order list as the exchange knows it. ``OTO`` stands for OTO, OTOCO, OPO and OPOCO lists alike."""

    order_list_id: int
    contingency_type: ContingencyType  # what the lists call themselves (inconsistency 11)
    list_status_type: ListStatusType
    list_order_status: ListOrderStatus
    list_client_order_id: str
    transaction_time: Timestamp
    symbol: str
    orders: tuple[ListedOrder, ...]
