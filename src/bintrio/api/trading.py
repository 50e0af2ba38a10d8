"""Trading requests: place, test and cancel orders.

Every request that changes something says in `confirmation` how to find out what became of it.

Source: "Trading requests" of the WebSocket API document.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ._base import Number, Request, api, at_least_one, at_most_one, requires
from ._values import (
    CancelRestrictions,
    ContingencyType,
    ExpiryReason,
    ListOrderStatus,
    ListStatusType,
    NewOrderRespType,
    OrderState,
    OrderType,
    PegOffsetType,
    PegPriceType,
    Record,
    SelfTradePreventionMode,
    Side,
    TimeInForce,
    Timestamp,
    WorkingFloor,
)
from .account import OrderStatus


class OrderAck(Record, frozen=True, kw_only=True):
    """The exchange took the order (``new_order_resp_type="ACK"``)."""

    symbol: str
    order_id: int
    order_list_id: int
    client_order_id: str
    transact_time: Timestamp


class OrderResult(OrderAck, frozen=True, kw_only=True):
    """The order as it stands after it was placed (``RESULT``)."""

    price: Decimal
    orig_qty: Decimal
    executed_qty: Decimal
    orig_quote_order_qty: Decimal
    cummulative_quote_qty: Decimal
    status: OrderState
    time_in_force: TimeInForce
    type: OrderType
    side: Side
    working_time: Timestamp | None = None
    self_trade_prevention_mode: SelfTradePreventionMode | None = None
    # "Conditional fields in Order Responses": each only with orders that use it.
    iceberg_qty: Decimal | None = None
    prevented_match_id: int | None = None
    prevented_quantity: Decimal | None = None
    stop_price: Decimal | None = None
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


class Fill(Record, frozen=True, kw_only=True):
    """One trade of an order."""

    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    trade_id: int


class OrderFull(OrderResult, frozen=True, kw_only=True):
    """The order and its trades so far (``FULL``)."""

    fills: tuple[Fill, ...]


class CanceledOrder(Record, frozen=True, kw_only=True):
    """An order as it stood when it was canceled."""

    symbol: str
    orig_client_order_id: str
    order_id: int
    order_list_id: int
    client_order_id: str
    transact_time: Timestamp
    price: Decimal
    orig_qty: Decimal
    executed_qty: Decimal
    orig_quote_order_qty: Decimal
    cummulative_quote_qty: Decimal
    status: OrderState
    time_in_force: TimeInForce
    type: OrderType
    side: Side
    stop_price: Decimal | None = None
    trailing_delta: int | None = None
    iceberg_qty: Decimal | None = None
    strategy_id: int | None = None
    strategy_type: int | None = None
    self_trade_prevention_mode: SelfTradePreventionMode | None = None


class ListedOrder(Record, frozen=True, kw_only=True):
    """An order that belongs to an order list."""

    symbol: str
    order_id: int
    client_order_id: str


class CanceledOrderList(Record, frozen=True, kw_only=True):
    """An order list that was canceled, with its orders."""

    order_list_id: int
    contingency_type: ContingencyType
    list_status_type: ListStatusType
    list_order_status: ListOrderStatus
    list_client_order_id: str
    transaction_time: Timestamp
    symbol: str
    orders: tuple[ListedOrder, ...]
    order_reports: tuple[CanceledOrder, ...]


class CommissionForOrder(Record, frozen=True, kw_only=True):
    """Commission rates of one kind for an order."""

    maker: Decimal
    taker: Decimal


class TestedOrder(Record, frozen=True, kw_only=True):
    """The order would be accepted; with commission rates if they were asked for."""

    standard_commission_for_order: CommissionForOrder | None = None
    tax_commission_for_order: CommissionForOrder | None = None


_TRIGGER = ("stop_price", "trailing_delta")
ORDER_RULES = (
    requires("type", "LIMIT", all_of=("time_in_force", "price", "quantity")),
    requires("type", "LIMIT_MAKER", all_of=("price", "quantity")),
    requires("type", "MARKET", any_of=("quantity", "quote_order_qty")),
    requires("type", "STOP_LOSS", "TAKE_PROFIT", all_of=("quantity",), any_of=_TRIGGER),
    requires(
        "type",
        "STOP_LOSS_LIMIT",
        "TAKE_PROFIT_LIMIT",
        all_of=("time_in_force", "price", "quantity"),
        any_of=_TRIGGER,
    ),
    at_most_one("quantity", "quote_order_qty"),
)
"""What each order type needs ("Place new order", additional mandatory parameters)."""


@api(
    "order.place",
    security="TRADE",
    weight=1,
    weight_on_success=0,
    orders=1,
    section="place-new-order-trade",
    client_ids=("new_client_order_id",),
    rules=ORDER_RULES,
)
class OrderPlace(Request[OrderFull | OrderResult | OrderAck], frozen=True, kw_only=True):
    """Place an order."""

    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce | None = None
    price: Number | None = None
    quantity: Number | None = None
    quote_order_qty: Number | None = None
    new_client_order_id: str | None = None
    new_order_resp_type: NewOrderRespType | None = None
    stop_price: Number | None = None
    trailing_delta: int | None = None
    iceberg_qty: Number | None = None
    strategy_id: int | None = None
    strategy_type: int | None = None
    self_trade_prevention_mode: SelfTradePreventionMode | None = None
    peg_price_type: PegPriceType | None = None
    peg_offset_value: int | None = None
    peg_offset_type: PegOffsetType | None = None
    recv_window: Number | None = None

    def confirmation(self) -> Request[Any]:
        """Ask for the order by its client order id."""
        return OrderStatus(symbol=self.symbol, orig_client_order_id=self.new_client_order_id)


@api(
    "order.test",
    security="TRADE",
    weight=lambda request: 20 if request.compute_commission_rates else 1,
    repeatable=True,
    section="test-new-order-trade",
    rules=ORDER_RULES,
)
class OrderTest(Request[TestedOrder], frozen=True, kw_only=True):
    """Check an order without placing it."""

    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce | None = None
    price: Number | None = None
    quantity: Number | None = None
    quote_order_qty: Number | None = None
    new_client_order_id: str | None = None
    new_order_resp_type: NewOrderRespType | None = None
    stop_price: Number | None = None
    trailing_delta: int | None = None
    iceberg_qty: Number | None = None
    strategy_id: int | None = None
    strategy_type: int | None = None
    self_trade_prevention_mode: SelfTradePreventionMode | None = None
    peg_price_type: PegPriceType | None = None
    peg_offset_value: int | None = None
    peg_offset_type: PegOffsetType | None = None
    compute_commission_rates: bool | None = None
    recv_window: Number | None = None


@api(
    "order.cancel",
    security="TRADE",
    weight=1,
    weight_on_success=0,
    section="cancel-order-trade",
    rules=(at_least_one("order_id", "orig_client_order_id"),),
)
class OrderCancel(Request[CanceledOrder | CanceledOrderList], frozen=True, kw_only=True):
    """Cancel an order. An order of a list cancels the whole list."""

    symbol: str
    order_id: int | None = None
    orig_client_order_id: str | None = None
    new_client_order_id: str | None = None
    cancel_restrictions: CancelRestrictions | None = None
    recv_window: Number | None = None

    def confirmation(self) -> Request[Any]:
        """Ask for the order that was to be canceled; its status tells."""
        return OrderStatus(symbol=self.symbol, order_id=self.order_id, orig_client_order_id=self.orig_client_order_id)
