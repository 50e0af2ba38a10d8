"""Account requests: the account and its orders.

Source: "Account requests" of the WebSocket API document.
"""

from __future__ import annotations

from decimal import Decimal

from ._base import Number, Request, api, at_least_one
from ._values import (
    ExpiryReason,
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


class CommissionRates(Record, frozen=True, kw_only=True):
    """Commission rates of an account."""

    maker: Decimal
    taker: Decimal
    buyer: Decimal
    seller: Decimal


class Balance(Record, frozen=True, kw_only=True):
    """What an account has of one asset."""

    asset: str
    free: Decimal
    locked: Decimal


class Account(Record, frozen=True, kw_only=True):
    """An account: what it may do, what it pays, what it has."""

    maker_commission: int
    taker_commission: int
    buyer_commission: int
    seller_commission: int
    can_trade: bool
    can_withdraw: bool
    can_deposit: bool
    commission_rates: CommissionRates
    brokered: bool
    require_self_trade_prevention: bool
    prevent_sor: bool
    update_time: Timestamp
    account_type: str
    balances: tuple[Balance, ...]
    permissions: tuple[str, ...]
    uid: int
    trade_group_id: int | None = None


class Order(Record, frozen=True, kw_only=True):
    """An order as the exchange knows it."""

    symbol: str
    order_id: int
    order_list_id: int
    client_order_id: str
    price: Decimal
    orig_qty: Decimal
    executed_qty: Decimal
    cummulative_quote_qty: Decimal
    status: OrderState
    time_in_force: TimeInForce
    type: OrderType
    side: Side
    stop_price: Decimal
    iceberg_qty: Decimal
    time: Timestamp
    update_time: Timestamp
    is_working: bool
    working_time: Timestamp
    orig_quote_order_qty: Decimal
    self_trade_prevention_mode: SelfTradePreventionMode
    # "Conditional fields in Order Responses": each only with orders that use it.
    trailing_delta: int | None = None
    trailing_time: Timestamp | None = None
    strategy_id: int | None = None
    strategy_type: int | None = None
    prevented_match_id: int | None = None
    prevented_quantity: Decimal | None = None
    used_sor: bool | None = None
    working_floor: WorkingFloor | None = None
    peg_price_type: PegPriceType | None = None
    peg_offset_type: PegOffsetType | None = None
    peg_offset_value: int | None = None
    pegged_price: Decimal | None = None
    expiry_reason: ExpiryReason | None = None


@api("account.status", security="USER_DATA", weight=20, section="account-information-user_data")
class AccountStatus(Request[Account], frozen=True, kw_only=True):
    """The account and its balances."""

    omit_zero_balances: bool | None = None
    recv_window: Number | None = None


@api(
    "order.status",
    security="USER_DATA",
    weight=4,
    section="query-order-user_data",
    rules=(at_least_one("order_id", "orig_client_order_id"),),
)
class OrderStatus(Request[Order], frozen=True, kw_only=True):
    """One order, open or not."""

    symbol: str
    order_id: int | None = None
    orig_client_order_id: str | None = None
    recv_window: Number | None = None


@api(
    "openOrders.status",
    security="USER_DATA",
    weight=lambda request: 6 if request.symbol else 80,
    section="current-open-orders-user_data",
)
class OpenOrdersStatus(Request[tuple[Order, ...]], frozen=True, kw_only=True):
    """The open orders of one symbol, or of all."""

    symbol: str | None = None
    recv_window: Number | None = None
