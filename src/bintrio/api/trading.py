"""Trading requests: place, test, replace, amend and cancel orders. Those of order lists are in `order_lists`, those of
smart order routing in `sor`.

What an answer tells depends on ``new_order_resp_type``: ACK only that the order was taken, RESULT the order, FULL its
fills as well. Left out, it is FULL for LIMIT and MARKET orders and ACK for the others.

Source: "Trading requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Generic, TypeVar

from ._base import Milliseconds, Number, R_co, Request, Shapes, api
from ._rules import at_least_one, at_most_one, excludes, only_with, requires_by, requires_value, together
from ._values import OneOf, Record, Timestamp
from .account import Discount
from .enums import (
    CancelReplaceMode,
    CancelReplaceResult,
    CancelRestrictions,
    ContingencyType,
    ListOrderStatus,
    MatchType,
    NewOrderRespType,
    OrderRateLimitExceededMode,
    OrderType,
    PegOffsetType,
    PegPriceType,
    SelfTradePreventionMode,
    Side,
    TimeInForce,
)
from .orders import ListedOrder, OrderCore, OrderDetails, OrderList

__all__ = [
    "AmendedOrder",
    "AmendedOrderList",
    "CanceledOrder",
    "CanceledOrderList",
    "CommissionForOrder",
    "Fill",
    "OrderAck",
    "OrderAmended",
    "OrderFull",
    "OrderReport",
    "OrderResult",
    "OrderTested",
    "OrderTestedWithRates",
    "PendingOrderReport",
    "PlacedOrderList",
    "PreventedFill",
    "ReplacedOrder",
    "RoutedOrder",
]

# Results


class OrderAck(Record, frozen=True, kw_only=True):
    """The exchange took the order (``new_order_resp_type="ACK"``)."""

    symbol: str
    order_id: int
    order_list_id: int  # -1 for an order of no list
    client_order_id: str
    transact_time: Timestamp


class OrderReport(OrderDetails, frozen=True, kw_only=True):
    """An order as it stood at ``transact_time``."""

    transact_time: Timestamp
    working_time: Timestamp | None = None  # since when it is on the book; -1 while it waits for another one of its list
    self_trade_prevention_mode: SelfTradePreventionMode | None = None  # shown in most examples, not in all
    # "Only if set", but zero in the example of a cancel (inconsistency 13).
    stop_price: Decimal | None = None
    iceberg_qty: Decimal | None = None


class OrderResult(OrderReport, frozen=True, kw_only=True):
    """The order as it stands after it was placed (``RESULT``)."""

    orig_qty: Decimal


class Fill(Record, frozen=True, kw_only=True):
    """One trade of an order.

    ``match_type`` and ``alloc_id`` come with smart order routing, where there is no trade. Where no commission is due,
    the SBE schema allows for no ``commission_asset``.
    """

    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str | None
    trade_id: int  # -1 with smart order routing
    match_type: MatchType | None = None
    alloc_id: int | None = None


class PreventedFill(Record, frozen=True, kw_only=True):
    """A match that self-trade prevention kept from happening; known from the SBE schema only."""

    prevented_match_id: int
    maker_order_id: int | None = None
    maker_symbol: str | None = None
    price: Decimal | None = None
    taker_prevented_quantity: Decimal | None = None
    maker_prevented_quantity: Decimal | None = None


class OrderFull(OrderResult, frozen=True, kw_only=True):
    """The order and its trades so far (``FULL``)."""

    fills: tuple[Fill, ...]
    trade_group_id: int | None = None
    prevented_matches: tuple[PreventedFill, ...] | None = None


class CanceledOrder(OrderReport, frozen=True, kw_only=True):
    """An order as it stood when it was canceled.

    ``client_order_id`` is the id of the cancellation, ``orig_client_order_id`` that of the order; the document leaves
    the latter out of the answer to orderList.cancel.
    """

    orig_client_order_id: str | None = None  # orderList.cancel leaves it out (inconsistency 9)
    orig_qty: Decimal


class CanceledOrderList(OrderList, frozen=True, kw_only=True):
    """An order list that was canceled, with its orders."""

    order_reports: tuple[CanceledOrder, ...]


OrderT = TypeVar("OrderT")


class PlacedOrderList(OrderList, Generic[OrderT], frozen=True, kw_only=True):
    """An order list after it was placed, with its orders as ``new_order_resp_type`` shapes them."""

    order_reports: tuple[OrderT, ...]


class PendingOrderReport(OrderReport, frozen=True, kw_only=True):
    """An order of an OPO or OPOCO list. A pending one has no quantity until the working one has filled."""

    orig_qty: Decimal | None = None  # not known before the working order has filled (inconsistency 10)
    fills: tuple[Fill, ...] | None = None  # with FULL only: both shapes are this one


class CommissionForOrder(Record, frozen=True, kw_only=True):
    """Commission rates of one kind for an order."""

    maker: Decimal
    taker: Decimal


class OrderTested(Record, frozen=True, kw_only=True):
    """The order would be accepted."""


class OrderTestedWithRates(OrderTested, frozen=True, kw_only=True):
    """The order would be accepted, at these commission rates. The document shows no special ones for SOR."""

    standard_commission_for_order: CommissionForOrder
    special_commission_for_order: CommissionForOrder | None = None  # not with routing (inconsistency 15)
    tax_commission_for_order: CommissionForOrder
    discount: Discount


class ReplacedOrder(Record, Generic[OrderT], frozen=True, kw_only=True):
    """One order, or order list, was canceled and another order placed."""

    cancel_result: CancelReplaceResult
    new_order_result: CancelReplaceResult
    # Canceling an order of a list cancels the list.
    cancel_response: OneOf[CanceledOrder | CanceledOrderList]
    new_order_response: OrderT


class AmendedOrder(OrderCore, frozen=True, kw_only=True):
    """An order after its quantity was reduced. Its field names differ from those of all other orders."""

    orig_client_order_id: str
    # Called orig_qty, prevented_quantity, orig_quote_order_qty and cummulative_quote_qty elsewhere (inconsistency 7).
    qty: Decimal
    prevented_qty: Decimal
    quote_order_qty: Decimal
    cumulative_quote_qty: Decimal
    working_time: Timestamp | None = None
    self_trade_prevention_mode: SelfTradePreventionMode
    stop_price: Decimal | None = None
    iceberg_qty: Decimal | None = None


class AmendedOrderList(Record, frozen=True, kw_only=True):
    """The order list of an amended order: an `OrderList` without status type and time."""

    order_list_id: int
    contingency_type: ContingencyType
    # Without list_status_type and transaction_time (inconsistency 8).
    list_order_status: ListOrderStatus
    list_client_order_id: str
    symbol: str
    orders: tuple[ListedOrder, ...]


class OrderAmended(Record, frozen=True, kw_only=True):
    """An amended order, and its list if it belongs to one; only the SBE schema knows of related orders."""

    transact_time: Timestamp
    execution_id: int
    amended_order: AmendedOrder
    list_status: AmendedOrderList | None = None
    related_orders: tuple[AmendedOrder, ...] | None = None


# Single orders


class Instruction(Request[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What every order takes."""

    symbol: str
    side: Side
    time_in_force: TimeInForce | None = None
    # None for MARKET orders and those that become one, and for pegged ones.
    price: Number | None = None
    # Unique among open orders only: the exchange takes it again once the earlier order is closed.
    new_client_order_id: str | None = None
    iceberg_qty: Number | None = None
    strategy_id: int | None = None
    strategy_type: int | None = None  # from 1000000 on: smaller ones are the exchange's
    self_trade_prevention_mode: SelfTradePreventionMode | None = None
    recv_window: Milliseconds | None = None


class NewOrder(Instruction[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What an order takes that is not routed."""

    quantity: Number | None = None
    quote_order_qty: Number | None = None  # MARKET orders have this or a quantity
    stop_price: Number | None = None
    trailing_delta: int | None = None  # basis points
    peg_price_type: PegPriceType | None = None
    peg_offset_value: int | None = None
    peg_offset_type: PegOffsetType | None = None


class RoutedOrder(Instruction[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What an order takes that is routed."""

    quantity: Number
    type: OrderType


# "If pegPriceType is specified, price becomes optional" ("Place new order", pegged orders).
_PRICE = "price|peg_price_type"
# With both, the order begins to trail when the stop price is reached (FAQ on trailing stops).
_TRIGGER = "stop_price|trailing_delta"
_PEG = ("peg_price_type", "peg_offset_type", "peg_offset_value")


def _resp_type(request: Any) -> str:
    """``new_order_resp_type`` decides: if left out, FULL for LIMIT and MARKET orders and ACK for the others."""
    chosen: str | None = request.new_order_resp_type
    # What the exchange takes if the shape is left out ("Place new order").
    return chosen or ("FULL" if request.type in {"LIMIT", "MARKET"} else "ACK")


REPORTS = {"ACK": OrderAck, "RESULT": OrderResult, "FULL": OrderFull}


def within_each(answer: Any, reports: Mapping[str, Any]) -> dict[str, Any]:
    """The answers that have these reports in them."""
    return {kind: answer[report] for kind, report in reports.items()}


ORDER_RULES = (
    requires_by(
        "type",
        {
            "LIMIT": ("time_in_force", _PRICE, "quantity"),
            "LIMIT_MAKER": (_PRICE, "quantity"),
            # A MARKET order has no price, and no time to wait.
            "MARKET": ("quantity|quote_order_qty",),
            # These two become MARKET orders when they are triggered, but cannot be sized by the quote asset.
            "STOP_LOSS": ("quantity", _TRIGGER),
            "STOP_LOSS_LIMIT": ("time_in_force", _PRICE, "quantity", _TRIGGER),
            "TAKE_PROFIT": ("quantity", _TRIGGER),
            "TAKE_PROFIT_LIMIT": ("time_in_force", _PRICE, "quantity", _TRIGGER),
        },
    ),
    # Few orders use any of these, so these rules are looked at only where one of the parameters is given.
    only_with(
        ("quote_order_qty", "iceberg_qty", *_PEG),
        # Two measures of one order would contradict each other.
        at_most_one("quantity", "quote_order_qty"),
        # "These parameters must be specified together" (pegged orders).
        together("peg_offset_type", "peg_offset_value"),
        # A peg moves a limit, and these have none.
        excludes("type", ("MARKET", "STOP_LOSS", "TAKE_PROFIT"), *_PEG),
        # The hidden part must be able to rest on the book. A LIMIT_MAKER order always is, and needs no time in force.
        requires_value("iceberg_qty", "time_in_force", "GTC", unless=("type", "LIMIT_MAKER")),
    ),
)
"""What each order type needs ("Place new order", additional mandatory parameters; pegged and iceberg orders)."""


@api(
    "order.place",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    orders=1,
    section="place-new-order-trade",
    client_ids=("new_client_order_id",),
    rules=ORDER_RULES,
    shapes=Shapes(_resp_type, REPORTS),
)
class OrderPlace(NewOrder[OrderFull | OrderResult | OrderAck], frozen=True, kw_only=True):
    """Place an order."""

    type: OrderType
    new_order_resp_type: NewOrderRespType | None = None


def _with_rates(request: Any) -> bool:
    """``compute_commission_rates`` decides."""
    return bool(request.compute_commission_rates)


TESTED = Shapes(_with_rates, {True: OrderTestedWithRates, False: OrderTested})


def test_weight(request: Any) -> int:
    """1, with commission rates 20."""
    # Rates cost as much as asking for them by account.commission.
    return 20 if request.compute_commission_rates else 1


class OrderTestRequest(NewOrder[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What order.test takes, but for the parameter that decides its result."""

    type: OrderType
    new_order_resp_type: NewOrderRespType | None = None


@api(
    "order.test",
    security="TRADE",
    source="Memory",
    weight=test_weight,
    # It places nothing, so it may be sent again.
    repeatable=True,
    section="test-new-order-trade",
    rules=ORDER_RULES,
    shapes=TESTED,
)
class OrderTest(OrderTestRequest[OrderTestedWithRates | OrderTested], frozen=True, kw_only=True):
    """Check an order without placing it."""

    compute_commission_rates: bool | None = None


CANCELLATION = {"new_client_order_id": "Your id of the cancellation. The exchange makes one if left out."}


@api(
    "order.cancel",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    cancels=True,
    section="cancel-order-trade",
    # With both, the exchange finds the order by its number, and refuses if it has another name.
    rules=(at_least_one("order_id", "orig_client_order_id"),),
    notes=CANCELLATION,
)
class OrderCancel(Request[CanceledOrder | CanceledOrderList], frozen=True, kw_only=True):
    """Cancel an order. An order of a list cancels the whole list."""

    symbol: str
    order_id: int | None = None
    orig_client_order_id: str | None = None
    new_client_order_id: str | None = None  # of the cancellation, not of the order
    cancel_restrictions: CancelRestrictions | None = None
    recv_window: Milliseconds | None = None


class CancelReplaceRequest(NewOrder[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What order.cancelReplace takes, but for the parameters that decide its result."""

    cancel_replace_mode: CancelReplaceMode
    # With both, the exchange finds the order by its number, and refuses if it has another name.
    cancel_order_id: int | None = None
    cancel_orig_client_order_id: str | None = None
    cancel_new_client_order_id: str | None = None
    cancel_restrictions: CancelRestrictions | None = None
    order_rate_limit_exceeded_mode: OrderRateLimitExceededMode | None = None


@api(
    "order.cancelReplace",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    orders=1,
    section="cancel-and-replace-order-trade",
    client_ids=("new_client_order_id",),
    rules=(*ORDER_RULES, at_least_one("cancel_order_id", "cancel_orig_client_order_id")),
    shapes=Shapes(_resp_type, within_each(ReplacedOrder, REPORTS)),
)
class OrderCancelReplace(
    CancelReplaceRequest[ReplacedOrder[OneOf[OrderFull | OrderResult | OrderAck]]], frozen=True, kw_only=True
):
    """Cancel an order and place another. If only one half is done, it is a `PartlyDone` error."""

    type: OrderType
    new_order_resp_type: NewOrderRespType | None = None


@api(
    "order.amend.keepPriority",
    security="TRADE",
    source="Matching Engine",
    weight=4,
    section="order-amend-keep-priority-trade",
    client_ids=("new_client_order_id",),
    rules=(at_least_one("order_id", "orig_client_order_id"),),
    notes={
        "new_client_order_id": "The client order id that the order has from then on; that which it has now will do. A "
        "random one if left out."
    },
)
class OrderAmendKeepPriority(Request[OrderAmended], frozen=True, kw_only=True):
    """Reduce the quantity of an order, which keeps its place in the queue."""

    symbol: str
    order_id: int | None = None
    orig_client_order_id: str | None = None
    new_client_order_id: str | None = None
    # Not what is left of it: what has traded already is a part of this quantity.
    new_qty: Number
    recv_window: Milliseconds | None = None


@api(
    "openOrders.cancelAll",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    cancels=True,
    section="cancel-open-orders-trade",
)
class OpenOrdersCancelAll(Request[tuple[CanceledOrder | CanceledOrderList, ...]], frozen=True, kw_only=True):
    """Cancel all open orders and order lists of a symbol."""

    symbol: str
    recv_window: Milliseconds | None = None
