"""Trading requests of order lists: place and cancel them. What comes of it is in `trading`.

Source: "Order lists" in "Trading requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeAlias

from ._base import Milliseconds, Number, R_co, Request, Shapes, api
from ._rules import Rule, at_least_one, fixed_value, in_words, requires, requires_value, together
from ._values import OneOf
from .enums import (
    NewOrderRespType,
    OrderType,
    PegOffsetType,
    PegPriceType,
    SelfTradePreventionMode,
    Side,
    TimeInForce,
)
from .trading import (
    CANCELLATION,
    REPORTS,
    CanceledOrderList,
    OrderAck,
    OrderFull,
    OrderResult,
    PendingOrderReport,
    PlacedOrderList,
    within_each,
)

__all__ = ["NewOrderList"]

# The quantity of a pending order is what the working one buys, so its report may come without one.
_PENDING_REPORTS = {"ACK": OrderAck, "RESULT": PendingOrderReport, "FULL": PendingOrderReport}


def _list_resp_type(request: Any) -> str | None:
    """``new_order_resp_type`` decides; the document does not say what comes if it is left out."""
    chosen: str | None = request.new_order_resp_type
    return chosen


def _listed(reports: Mapping[str, Any]) -> Shapes:
    return Shapes(_list_resp_type, within_each(PlacedOrderList, reports))


class NewOrderList(Request[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What every order list takes."""

    symbol: str
    # Of the list itself: each of its orders has an id of its own beside.
    list_client_order_id: str | None = None
    self_trade_prevention_mode: SelfTradePreventionMode | None = None
    recv_window: Milliseconds | None = None


def _leg(leg: str, *, conditional: bool = True) -> tuple[Rule, ...]:
    """What the order type of one leg of a list needs. A working leg is never ``conditional``."""
    kind, price, time_in_force = f"{leg}_type", f"{leg}_price|{leg}_peg_price_type", f"{leg}_time_in_force"
    rules = (
        # What the tables of each list type call additional mandatory parameters; the same for every leg.
        requires(kind, ("LIMIT",), price, time_in_force),
        requires(kind, ("LIMIT_MAKER",), price),
        # "Place new order" wants GTC for icebergs of lists too (inconsistency 29).
        requires_value(f"{leg}_iceberg_qty", time_in_force, "GTC", unless=(kind, "LIMIT_MAKER")),
        together(f"{leg}_peg_offset_type", f"{leg}_peg_offset_value"),
    )
    # The working order has no stop price: it goes on the book at once.
    if not conditional:
        return rules
    trigger = f"{leg}_stop_price|{leg}_trailing_delta"
    return (
        *rules,
        requires(kind, ("STOP_LOSS", "TAKE_PROFIT"), trigger),
        requires(kind, ("STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"), price, trigger, time_in_force),
    )


AnyReport: TypeAlias = OneOf[OrderFull | OrderResult | OrderAck]


class OcoRequest(NewOrderList[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What orderList.place takes, but for the parameter that decides its result."""

    side: Side
    price: Number
    quantity: Number
    limit_client_order_id: str | None = None
    limit_iceberg_qty: Number | None = None
    limit_strategy_id: int | None = None
    limit_strategy_type: int | None = None
    stop_price: Number | None = None
    trailing_delta: int | None = None
    stop_client_order_id: str | None = None
    stop_limit_price: Number | None = None  # makes it a STOP_LOSS_LIMIT order
    stop_limit_time_in_force: TimeInForce | None = None
    stop_iceberg_qty: Number | None = None
    stop_strategy_id: int | None = None
    stop_strategy_type: int | None = None


_OF_BOTH = {"quantity": "How much each of the two orders is for, in the base asset."}


@api(
    "orderList.place",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    orders=2,  # one or two, says the document; two keeps the limit in any case (inconsistency 38)
    section="place-new-oco---deprecated-trade",
    client_ids=("list_client_order_id", "limit_client_order_id", "stop_client_order_id"),
    rules=(
        # What triggers the stop order. Its limit price makes it a STOP_LOSS_LIMIT order.
        at_least_one("stop_price", "trailing_delta"),
        requires_value("stop_iceberg_qty", "stop_limit_time_in_force", "GTC"),
    ),
    shapes=_listed(REPORTS),
    notes={"price": "The price of the limit order, in the quote asset.", **_OF_BOTH},
)
class OrderListPlace(OcoRequest[PlacedOrderList[AnyReport]], frozen=True, kw_only=True):
    """Place an OCO list the old way: deprecated for orderList.place.oco."""

    new_order_resp_type: NewOrderRespType | None = None


class LegsRequest(NewOrderList[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What orderList.place.oco takes, but for the parameter that decides its result."""

    side: Side
    quantity: Number
    # The tables leave out LIMIT_MAKER for some legs; every leg takes every type (inconsistency 26).
    above_type: OrderType
    above_client_order_id: str | None = None
    above_price: Number | None = None
    above_stop_price: Number | None = None
    above_trailing_delta: int | None = None
    above_iceberg_qty: Number | None = None
    above_time_in_force: TimeInForce | None = None
    above_strategy_id: int | None = None
    above_strategy_type: int | None = None
    above_peg_price_type: PegPriceType | None = None
    above_peg_offset_type: PegOffsetType | None = None
    above_peg_offset_value: int | None = None
    below_type: OrderType
    below_client_order_id: str | None = None
    below_price: Number | None = None
    below_stop_price: Number | None = None
    below_trailing_delta: int | None = None
    below_iceberg_qty: Number | None = None
    below_time_in_force: TimeInForce | None = None
    below_strategy_id: int | None = None
    below_strategy_type: int | None = None
    below_peg_price_type: PegPriceType | None = None
    below_peg_offset_type: PegOffsetType | None = None
    below_peg_offset_value: int | None = None


def _opposite(above: str, below: str) -> Rule:
    """One leg of an OCO list takes the profit, the other one stops the loss."""
    # Two of one family would lie on the same side of the market.
    families = (("LIMIT_MAKER", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"), ("STOP_LOSS", "STOP_LOSS_LIMIT"))

    said = f"one of {above} and {below} must be a STOP_LOSS type and the other must not"

    def rule(request: Any) -> str | None:
        kinds = {getattr(request, above), getattr(request, below)}
        return said if any(kinds.issubset(family) for family in families) else None

    return in_words(said, rule)


@api(
    "orderList.place.oco",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    orders=2,
    section="place-new-order-list---oco-trade",
    client_ids=("list_client_order_id", "above_client_order_id", "below_client_order_id"),
    rules=(*_leg("above"), *_leg("below"), _opposite("above_type", "below_type")),
    shapes=_listed(REPORTS),
    notes=_OF_BOTH,
)
class OrderListPlaceOco(LegsRequest[PlacedOrderList[AnyReport]], frozen=True, kw_only=True):
    """Place an OCO list: two orders, of which one cancels the other."""

    new_order_resp_type: NewOrderRespType | None = None


class WorkingRequest(NewOrderList[R_co], Generic[R_co], frozen=True, kw_only=True):
    """The working order of a list that places further orders once it has filled."""

    working_type: OrderType
    working_side: Side
    working_client_order_id: str | None = None
    working_price: Number
    working_quantity: Number
    working_iceberg_qty: Number | None = None
    working_time_in_force: TimeInForce | None = None
    working_strategy_id: int | None = None
    working_strategy_type: int | None = None
    working_peg_price_type: PegPriceType | None = None
    working_peg_offset_type: PegOffsetType | None = None
    working_peg_offset_value: int | None = None


class OnePendingRequest(WorkingRequest[R_co], Generic[R_co], frozen=True, kw_only=True):
    """The pending order of an OTO or OPO list."""

    pending_type: OrderType
    pending_side: Side
    pending_client_order_id: str | None = None
    pending_price: Number | None = None
    pending_stop_price: Number | None = None
    pending_trailing_delta: int | None = None
    pending_iceberg_qty: Number | None = None
    pending_time_in_force: TimeInForce | None = None
    pending_strategy_id: int | None = None
    pending_strategy_type: int | None = None
    pending_peg_price_type: PegPriceType | None = None
    pending_peg_offset_type: PegOffsetType | None = None
    pending_peg_offset_value: int | None = None


class OtoRequest(OnePendingRequest[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What orderList.place.oto takes, but for the parameter that decides its result."""

    pending_quantity: Number


@api(
    "orderList.place.oto",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    orders=2,
    section="place-new-order-list---oto-trade",
    client_ids=("list_client_order_id", "working_client_order_id", "pending_client_order_id"),
    rules=(*_leg("working", conditional=False), *_leg("pending")),
    shapes=_listed(REPORTS),
)
class OrderListPlaceOto(OtoRequest[PlacedOrderList[AnyReport]], frozen=True, kw_only=True):
    """Place an OTO list: one order triggers another."""

    new_order_resp_type: NewOrderRespType | None = None


class TwoPendingRequest(WorkingRequest[R_co], Generic[R_co], frozen=True, kw_only=True):
    """The pending orders of an OTOCO or OPOCO list."""

    pending_side: Side
    pending_above_type: OrderType
    pending_above_client_order_id: str | None = None
    pending_above_price: Number | None = None
    pending_above_stop_price: Number | None = None
    pending_above_trailing_delta: int | None = None
    pending_above_iceberg_qty: Number | None = None
    pending_above_time_in_force: TimeInForce | None = None
    pending_above_strategy_id: int | None = None
    pending_above_strategy_type: int | None = None
    pending_above_peg_price_type: PegPriceType | None = None
    pending_above_peg_offset_type: PegOffsetType | None = None
    pending_above_peg_offset_value: int | None = None
    pending_below_type: OrderType | None = None  # may be left out (inconsistency 26)
    pending_below_client_order_id: str | None = None
    pending_below_price: Number | None = None
    pending_below_stop_price: Number | None = None
    pending_below_trailing_delta: int | None = None
    pending_below_iceberg_qty: Number | None = None
    pending_below_time_in_force: TimeInForce | None = None
    pending_below_strategy_id: int | None = None
    pending_below_strategy_type: int | None = None
    pending_below_peg_price_type: PegPriceType | None = None
    pending_below_peg_offset_type: PegOffsetType | None = None
    pending_below_peg_offset_value: int | None = None


class OtocoRequest(TwoPendingRequest[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What orderList.place.otoco takes, but for the parameter that decides its result."""

    pending_quantity: Number


# Each id that is left out is made here, so that a lost answer can be asked about by any of them.
_TWO_PENDING_IDS = (
    "list_client_order_id",
    "working_client_order_id",
    "pending_above_client_order_id",
    "pending_below_client_order_id",
)
_TWO_PENDING_RULES = (*_leg("working", conditional=False), *_leg("pending_above"), *_leg("pending_below"))
# "Only working orders on the BUY side and pending order(s) on the SELL side are accepted" (opo.md).
_BUY_THEN_SELL = (fixed_value("working_side", "BUY"), fixed_value("pending_side", "SELL"))


@api(
    "orderList.place.otoco",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    orders=3,
    section="place-new-order-list---otoco-trade",
    client_ids=_TWO_PENDING_IDS,
    rules=_TWO_PENDING_RULES,
    shapes=_listed(REPORTS),
)
class OrderListPlaceOtoco(OtocoRequest[PlacedOrderList[AnyReport]], frozen=True, kw_only=True):
    """Place an OTOCO list: one order triggers an OCO pair."""

    new_order_resp_type: NewOrderRespType | None = None


@api(
    "orderList.place.opo",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    orders=2,
    section="opo-trade",
    client_ids=("list_client_order_id", "working_client_order_id", "pending_client_order_id"),
    rules=(*_leg("working", conditional=False), *_leg("pending"), *_BUY_THEN_SELL),
    shapes=_listed(_PENDING_REPORTS),
)
class OrderListPlaceOpo(
    OnePendingRequest[PlacedOrderList[OneOf[PendingOrderReport | OrderAck]]], frozen=True, kw_only=True
):
    """Place an OPO list: what one order buys, another sells."""

    new_order_resp_type: NewOrderRespType | None = None


@api(
    "orderList.place.opoco",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    orders=3,
    section="opoco-trade",
    client_ids=_TWO_PENDING_IDS,
    rules=(*_TWO_PENDING_RULES, *_BUY_THEN_SELL),
    shapes=_listed(_PENDING_REPORTS),
)
class OrderListPlaceOpoco(
    TwoPendingRequest[PlacedOrderList[OneOf[PendingOrderReport | OrderAck]]], frozen=True, kw_only=True
):
    """Place an OPOCO list: what one order buys, an OCO pair sells."""

    new_order_resp_type: NewOrderRespType | None = None


@api(
    "orderList.cancel",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    cancels=True,
    section="cancel-order-list-trade",
    # With both, the list is found by its number, unlike in orderList.status (inconsistency 31).
    rules=(at_least_one("order_list_id", "list_client_order_id"),),
    notes={"list_client_order_id": "The list client order id of the order list.", **CANCELLATION},
)
class OrderListCancel(Request[CanceledOrderList], frozen=True, kw_only=True):
    """Cancel an order list."""

    symbol: str
    order_list_id: int | None = None
    list_client_order_id: str | None = None
    new_client_order_id: str | None = None
    recv_window: Milliseconds | None = None
