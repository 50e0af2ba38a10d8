"""Trading requests with smart order routing: place an order and test one. What comes of them is in `trading`.

Source: "Trading requests" of the WebSocket API document.
"""

from __future__ import annotations

from typing import Any, Generic

from ._base import R_co, Shapes, api
from ._rules import requires
from ._values import MaybeInArray
from .enums import NewOrderRespType
from .trading import (
    REPORTS,
    TESTED,
    OrderAck,
    OrderFull,
    OrderResult,
    OrderTested,
    OrderTestedWithRates,
    RoutedOrder,
    test_weight,
)


def _resp_type(request: Any) -> str:
    """``new_order_resp_type`` decides: FULL if left out."""
    chosen: str | None = request.new_order_resp_type
    return chosen or "FULL"


# "sor.order.place supports only LIMIT and MARKET orders, and no quoteOrderQty" ("Place new order using SOR").
_RULES = (requires("type", ("LIMIT",), "time_in_force", "price"),)


@api(
    "sor.order.place",
    security="TRADE",
    source="Matching Engine",
    weight=1,
    weight_on_success=0,
    orders=1,
    section="place-new-order-using-sor-trade",
    client_ids=("new_client_order_id",),
    rules=_RULES,
    shapes=Shapes(_resp_type, REPORTS),
)
class SorOrderPlace(RoutedOrder[MaybeInArray[OrderFull | OrderResult | OrderAck]], frozen=True, kw_only=True):
    """Place a LIMIT or MARKET order with smart order routing."""

    new_order_resp_type: NewOrderRespType | None = None


class SorOrderTestRequest(RoutedOrder[R_co], Generic[R_co], frozen=True, kw_only=True):
    """What sor.order.test takes, but for the parameter that decides its result."""

    new_order_resp_type: NewOrderRespType | None = None


@api(
    "sor.order.test",
    security="TRADE",
    source="Memory",
    weight=test_weight,
    # It places nothing, so it may be sent again.
    repeatable=True,
    section="test-new-order-using-sor-trade",
    rules=_RULES,
    shapes=TESTED,
)
class SorOrderTest(SorOrderTestRequest[OrderTestedWithRates | OrderTested], frozen=True, kw_only=True):
    """Check an order with smart order routing without placing it."""

    compute_commission_rates: bool | None = None
