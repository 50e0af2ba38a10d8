"""User data events and serverShutdown, told apart by ``e``.

Events come with single letters; the names here are those of the exchange's document. An event type that is not known
arrives as `UnknownEvent`, with its raw JSON (G10).

Source: user-data-stream.md, and "User Data Streams" of the WebSocket API document.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

import msgspec

from ._values import (
    ContingencyType,
    ExecutionType,
    ExpiryReason,
    ListOrderStatus,
    ListStatusType,
    OrderRejectReason,
    OrderState,
    OrderType,
    PegOffsetType,
    PegPriceType,
    SelfTradePreventionMode,
    Side,
    TimeInForce,
    Timestamp,
    WorkingFloor,
)


class AssetBalance(msgspec.Struct, frozen=True, kw_only=True, rename={"asset": "a", "free": "f", "locked": "l"}):
    """What the account has of one asset after the change."""

    asset: str
    free: Decimal
    locked: Decimal


class OutboundAccountPosition(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="e",
    tag="outboundAccountPosition",
    rename={"event_time": "E", "update_time": "u", "balances": "B"},
):
    """Balances may have changed; only the assets concerned are listed."""

    event_time: Timestamp
    update_time: Timestamp
    balances: tuple[AssetBalance, ...]


class BalanceUpdate(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="e",
    tag="balanceUpdate",
    rename={"event_time": "E", "asset": "a", "delta": "d", "clear_time": "T"},
):
    """A deposit, withdrawal or transfer."""

    event_time: Timestamp
    asset: str
    delta: Decimal
    clear_time: Timestamp


class ExternalLockUpdate(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="e",
    tag="externalLockUpdate",
    rename={"event_time": "E", "asset": "a", "delta": "d", "transaction_time": "T"},
):
    """Part of the balance was locked or released by another system of the exchange."""

    event_time: Timestamp
    asset: str
    delta: Decimal
    transaction_time: Timestamp


_EXECUTION_REPORT = {
    "event_time": "E",
    "symbol": "s",
    "client_order_id": "c",
    "side": "S",
    "order_type": "o",
    "time_in_force": "f",
    "quantity": "q",
    "price": "p",
    "stop_price": "P",
    "iceberg_quantity": "F",
    "order_list_id": "g",
    "original_client_order_id": "C",
    "execution_type": "x",
    "order_status": "X",
    "reject_reason": "r",
    "order_id": "i",
    "last_executed_quantity": "l",
    "cumulative_filled_quantity": "z",
    "last_executed_price": "L",
    "commission_amount": "n",
    "commission_asset": "N",
    "transaction_time": "T",
    "trade_id": "t",
    "execution_id": "I",
    "is_on_book": "w",
    "is_maker": "m",
    "ignore": "M",
    "order_creation_time": "O",
    "cumulative_quote_quantity": "Z",
    "last_quote_quantity": "Y",
    "quote_order_quantity": "Q",
    "self_trade_prevention_mode": "V",
    "working_time": "W",
    "prevented_match_id": "v",
    "trailing_delta": "d",
    "trailing_time": "D",
    "strategy_id": "j",
    "strategy_type": "J",
    "prevented_quantity": "A",
    "last_prevented_quantity": "B",
    "trade_group_id": "u",
    "counter_order_id": "U",
    "counter_symbol": "Cs",
    "prevented_execution_quantity": "pl",
    "prevented_execution_price": "pL",
    "prevented_execution_quote_quantity": "pY",
    "match_type": "b",
    "allocation_id": "a",
    "working_floor": "k",
    "used_sor": "uS",
    "peg_price_type": "gP",
    "peg_offset_type": "gOT",
    "peg_offset_value": "gOV",
    "pegged_price": "gp",
    "expiry_reason": "eR",
}


class ExecutionReport(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="e", tag="executionReport", rename=_EXECUTION_REPORT
):
    """An order changed: it was taken, traded, canceled, replaced, rejected, or it expired."""

    event_time: Timestamp
    symbol: str
    client_order_id: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal
    stop_price: Decimal
    iceberg_quantity: Decimal
    order_list_id: int
    original_client_order_id: str
    execution_type: ExecutionType
    order_status: OrderState
    reject_reason: OrderRejectReason
    order_id: int
    last_executed_quantity: Decimal
    cumulative_filled_quantity: Decimal
    last_executed_price: Decimal
    commission_amount: Decimal
    commission_asset: str | None
    transaction_time: Timestamp
    trade_id: int
    execution_id: int
    is_on_book: bool
    is_maker: bool
    ignore: bool
    order_creation_time: Timestamp
    cumulative_quote_quantity: Decimal
    last_quote_quantity: Decimal
    quote_order_quantity: Decimal
    self_trade_prevention_mode: SelfTradePreventionMode
    # "Conditional fields in Execution Report": each only with orders that use it.
    working_time: Timestamp | None = None
    prevented_match_id: int | None = None
    trailing_delta: int | None = None
    trailing_time: Timestamp | None = None
    strategy_id: int | None = None
    strategy_type: int | None = None
    prevented_quantity: Decimal | None = None
    last_prevented_quantity: Decimal | None = None
    trade_group_id: int | None = None
    counter_order_id: int | None = None
    counter_symbol: str | None = None
    prevented_execution_quantity: Decimal | None = None
    prevented_execution_price: Decimal | None = None
    prevented_execution_quote_quantity: Decimal | None = None
    match_type: str | None = None
    allocation_id: int | None = None
    working_floor: WorkingFloor | None = None
    used_sor: bool | None = None
    peg_price_type: PegPriceType | None = None
    peg_offset_type: PegOffsetType | None = None
    peg_offset_value: int | None = None
    pegged_price: Decimal | None = None
    expiry_reason: ExpiryReason | None = None


class ListStatusOrder(
    msgspec.Struct, frozen=True, kw_only=True, rename={"symbol": "s", "order_id": "i", "client_order_id": "c"}
):
    """An order of an order list."""

    symbol: str
    order_id: int
    client_order_id: str


class ListStatus(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="e",
    tag="listStatus",
    rename={
        "event_time": "E",
        "symbol": "s",
        "order_list_id": "g",
        "contingency_type": "c",
        "list_status_type": "l",
        "list_order_status": "L",
        "list_reject_reason": "r",
        "list_client_order_id": "C",
        "transaction_time": "T",
        "orders": "O",
    },
):
    """An order list changed."""

    event_time: Timestamp
    symbol: str
    order_list_id: int
    contingency_type: ContingencyType
    list_status_type: ListStatusType
    list_order_status: ListOrderStatus
    list_reject_reason: OrderRejectReason
    list_client_order_id: str
    transaction_time: Timestamp
    orders: tuple[ListStatusOrder, ...]


class EventStreamTerminated(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="e",
    tag="eventStreamTerminated",
    rename={"event_time": "E"},
):
    """The subscription is over: the connection was logged off, or the key is no longer accepted."""

    event_time: Timestamp


class ServerShutdown(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="e", tag="serverShutdown", rename={"event_time": "E"}
):
    """The server is about to go away; the session moves to another connection by itself."""

    event_time: Timestamp


class UnknownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a type, or in a shape, that this release does not know.

    Attributes:
        event_type: the value of ``e``, or None if there is none.
        raw: the event's JSON as it came.
    """

    event_type: str | None
    raw: bytes


KnownEvent: TypeAlias = (
    OutboundAccountPosition
    | BalanceUpdate
    | ExternalLockUpdate
    | ExecutionReport
    | ListStatus
    | EventStreamTerminated
    | ServerShutdown
)
Event: TypeAlias = KnownEvent | UnknownEvent
"""Everything that the exchange sends unasked."""


class UserEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event and the subscription it belongs to.

    Attributes:
        subscription_id: the connection's own number of the subscription; None for serverShutdown.
        event: the event.
    """

    subscription_id: int | None
    event: Event
