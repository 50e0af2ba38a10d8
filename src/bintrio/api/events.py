"""User data events and serverShutdown, told apart by ``e``.

Events come with single letters; the names here are those of the exchange's document. An event type that is not known
arrives as `UnknownEvent`, with its raw JSON (G10).

While a session moves to another connection, both deliver the same events. `identity` tells which are the same: all
of an event but the time it was sent.

Source: user-data-stream.md, and "User Data Streams" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal
from typing import Any, TypeAlias, cast

import msgspec
from msgspec import field

from ._values import KeepsUnknownFields, Timestamp
from .enums import (
    ContingencyType,
    ExecutionType,
    ExpiryReason,
    ListOrderStatus,
    ListStatusType,
    MatchType,
    OrderCapacity,
    OrderRejectReason,
    OrderState,
    OrderType,
    PegOffsetType,
    PegPriceType,
    SelfTradePreventionMode,
    Side,
    TimeInForce,
    WorkingFloor,
)

__all__ = [
    "AllocationReport",
    "AssetBalance",
    "BalanceUpdate",
    "Event",
    "EventStreamTerminated",
    "ExecutionReport",
    "ExternalLockUpdate",
    "KnownEvent",
    "ListStatus",
    "ListStatusOrder",
    "OutboundAccountPosition",
    "ServerShutdown",
    "UnknownEvent",
    "UserEvent",
]


class _Item(KeepsUnknownFields, frozen=True, kw_only=True):
    """An event, or a part of one."""


def _known_values(value: Any) -> Any:
    """The values of an event, and of its parts, in the order of the fields; without what is unknown of them."""
    if isinstance(value, tuple):
        return tuple(map(_known_values, value))  # pyright: ignore[reportUnknownArgumentType]
    # The first value is `unknown_fields`, which all items inherit.
    return _known_values(msgspec.structs.astuple(value)[1:]) if isinstance(value, _Item) else value


class _Event(_Item, frozen=True, kw_only=True, tag_field="e"):
    """What all events share."""

    event_time: Timestamp = field(name="E")

    def identity(self) -> Hashable:
        """A value that is equal for the same event on two connections: all that is known of it but its ``event_time``.

        What is unknown may differ, since servers are not all upgraded at once.
        """
        # The first one left is `event_time`: each connection sends the same event at its own time.
        return type(self), _known_values(self)[1:]


class AssetBalance(_Item, frozen=True, kw_only=True):
    """What the account has of one asset after the change."""

    asset: str = field(name="a")
    free: Decimal = field(name="f")
    locked: Decimal = field(name="l")


class OutboundAccountPosition(_Event, frozen=True, kw_only=True, tag="outboundAccountPosition"):
    """Balances may have changed; only the assets concerned are listed."""

    update_time: Timestamp = field(name="u")  # of the account's latest change
    balances: tuple[AssetBalance, ...] = field(name="B")


class BalanceUpdate(_Event, frozen=True, kw_only=True, tag="balanceUpdate"):
    """A deposit, withdrawal or transfer."""

    asset: str = field(name="a")
    delta: Decimal = field(name="d")  # negative when it is withdrawn
    clear_time: Timestamp | None = field(name="T")


class ExternalLockUpdate(_Event, frozen=True, kw_only=True, tag="externalLockUpdate"):
    """Part of the balance was locked or released by another system of the exchange."""

    asset: str = field(name="a")
    delta: Decimal = field(name="d")
    transaction_time: Timestamp = field(name="T")


class ExecutionReport(_Event, frozen=True, kw_only=True, tag="executionReport"):
    """An order changed: it was taken, traded, canceled, replaced, rejected, or it expired."""

    symbol: str = field(name="s")
    client_order_id: str = field(name="c")
    side: Side = field(name="S")
    order_type: OrderType = field(name="o")
    time_in_force: TimeInForce = field(name="f")
    quantity: Decimal = field(name="q")
    price: Decimal = field(name="p")
    stop_price: Decimal = field(name="P")
    iceberg_quantity: Decimal = field(name="F")
    order_list_id: int = field(name="g")  # -1 for an order of no list
    original_client_order_id: str = field(name="C")  # of the order that was canceled; else empty
    execution_type: ExecutionType = field(name="x")
    order_status: OrderState = field(name="X")
    reject_reason: OrderRejectReason = field(name="r")
    order_id: int = field(name="i")
    last_executed_quantity: Decimal = field(name="l")
    cumulative_filled_quantity: Decimal = field(name="z")
    last_executed_price: Decimal = field(name="L")
    commission_amount: Decimal = field(name="n")
    commission_asset: str | None = field(name="N")  # None unless it traded
    transaction_time: Timestamp = field(name="T")
    trade_id: int = field(name="t")  # -1 unless it traded
    execution_id: int = field(name="I")
    is_on_book: bool = field(name="w")
    is_maker: bool = field(name="m")
    ignore: bool = field(name="M")  # so the document; kept, since it comes
    order_creation_time: Timestamp = field(name="O")
    cumulative_quote_quantity: Decimal = field(name="Z")
    last_quote_quantity: Decimal = field(name="Y")
    quote_order_quantity: Decimal = field(name="Q")
    self_trade_prevention_mode: SelfTradePreventionMode = field(name="V")
    # "Conditional fields in Execution Report": each only with orders that use it.
    working_time: Timestamp | None = field(name="W", default=None)
    prevented_match_id: int | None = field(name="v", default=None)
    trailing_delta: int | None = field(name="d", default=None)
    trailing_time: Timestamp | None = field(name="D", default=None)
    strategy_id: int | None = field(name="j", default=None)
    strategy_type: int | None = field(name="J", default=None)
    prevented_quantity: Decimal | None = field(name="A", default=None)
    last_prevented_quantity: Decimal | None = field(name="B", default=None)
    trade_group_id: int | None = field(name="u", default=None)
    counter_order_id: int | None = field(name="U", default=None)
    counter_symbol: str | None = field(name="Cs", default=None)
    prevented_execution_quantity: Decimal | None = field(name="pl", default=None)
    prevented_execution_price: Decimal | None = field(name="pL", default=None)
    prevented_execution_quote_quantity: Decimal | None = field(name="pY", default=None)
    match_type: MatchType | None = field(name="b", default=None)
    allocation_id: int | None = field(name="a", default=None)
    working_floor: WorkingFloor | None = field(name="k", default=None)
    used_sor: bool | None = field(name="uS", default=None)
    peg_price_type: PegPriceType | None = field(name="gP", default=None)
    peg_offset_type: PegOffsetType | None = field(name="gOT", default=None)
    peg_offset_value: int | None = field(name="gOV", default=None)
    pegged_price: Decimal | None = field(name="gp", default=None)
    expiry_reason: ExpiryReason | None = field(name="eR", default=None)
    # Known from the SBE schema only.
    order_capacity: OrderCapacity | None = field(name="y", default=None)


class ListStatusOrder(_Item, frozen=True, kw_only=True):
    """An order of an order list."""

    symbol: str = field(name="s")
    order_id: int = field(name="i")
    client_order_id: str = field(name="c")


class ListStatus(_Event, frozen=True, kw_only=True, tag="listStatus"):
    """An order list changed."""

    symbol: str = field(name="s")
    order_list_id: int = field(name="g")
    contingency_type: ContingencyType = field(name="c")  # OTO for OTOCO, OPO and OPOCO lists too (inconsistency 11)
    list_status_type: ListStatusType = field(name="l")
    list_order_status: ListOrderStatus = field(name="L")
    list_reject_reason: OrderRejectReason = field(name="r")
    list_client_order_id: str = field(name="C")
    transaction_time: Timestamp = field(name="T")
    orders: tuple[ListStatusOrder, ...] = field(name="O")


class AllocationReport(_Event, frozen=True, kw_only=True, tag="allocationReport"):
    """Smart order routing allocated something to an order. Known from the SBE schema only."""

    transaction_time: Timestamp = field(name="T")
    symbol: str = field(name="s")
    allocation_transaction_type: str = field(name="x")
    allocation_report_type: str = field(name="r")
    allocation_status: str = field(name="X")
    side: Side = field(name="S")
    counter_party_role: str = field(name="P")
    counter_party_external_account_id: int = field(name="h")
    counter_party_order_id: int = field(name="I")
    allocation_report_id: int = field(name="R")
    allocation_id: int = field(name="a")
    source_order_id: int = field(name="i")
    source_order_list_id: int = field(name="g")
    price: Decimal = field(name="p")
    quantity: Decimal = field(name="q")
    quote_quantity: Decimal = field(name="Q")
    commission_amount: Decimal = field(name="n")
    commission_asset: str | None = field(name="N")
    source_trade_id: int | None = field(name="t", default=None)
    source_allocation_id: int | None = field(name="Sa", default=None)
    source_symbol: str | None = field(name="Ss", default=None)


class EventStreamTerminated(_Event, frozen=True, kw_only=True, tag="eventStreamTerminated"):
    """The subscription is over: it was ended, the connection was logged off, or the key is no longer accepted."""


class ServerShutdown(_Event, frozen=True, kw_only=True, tag="serverShutdown"):
    """The server is about to go away; the session moves to another connection by itself."""


class UnknownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a type, or in a shape, that this release does not know.

    Attributes:
        event_type: the value of ``e``, or None if there is none.
        raw: the event's JSON as it came.
        reason: what does not fit, and where in the event (`$`).
    """

    event_type: str | None
    raw: bytes
    reason: str = ""

    def identity(self) -> Hashable:
        """A value that is equal for the same event on two connections: its JSON without ``E``."""
        try:
            event: Any = msgspec.json.decode(self.raw)
            if isinstance(event, dict):
                # As of a known event: each connection sends it at its own time.
                cast("dict[str, Any]", event).pop("E", None)
            # Two servers may write the same fields in another order.
            return msgspec.json.encode(event, order="sorted")
        # What cannot be read is the same only if every byte is.
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self.raw


KnownEvent: TypeAlias = (
    OutboundAccountPosition
    | BalanceUpdate
    | ExternalLockUpdate
    | ExecutionReport
    | ListStatus
    | AllocationReport
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


def event_type(event: Event) -> str | None:
    """The value of ``e``, also of an event that could not be read."""
    return event.event_type if isinstance(event, UnknownEvent) else str(type(event).__struct_config__.tag)
