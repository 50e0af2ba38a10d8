"""Smart order routing.

Source: "SOR" of the WebSocket API document, sor_faq.md.
"""

from __future__ import annotations

from typing import Any

from bintrio.api.sor import SorOrderPlace, SorOrderTest
from bintrio.api.trading import OrderTestedWithRates

from .. import refusals
from .calls import RequestContext, answers
from .trading import SHAPES, rates_for


@answers(SorOrderPlace)
def sor_order_place(call: RequestContext) -> tuple[Any, ...]:
    """Place an order that takes from the books of all symbols it may be routed to."""
    request: SorOrderPlace = call.request
    _check(call)
    order = call.engine.place(call.account, request, call.now, is_routed=True)
    return (SHAPES[request.new_order_resp_type or "FULL"](order),)


@answers(SorOrderTest)
def sor_order_test(call: RequestContext) -> OrderTestedWithRates | dict[str, Any]:
    """Check an order with routing."""
    request: SorOrderTest = call.request
    _check(call)
    order = call.engine.check(call.account, request, call.now)
    return rates_for(call, order) if request.compute_commission_rates else {}


def _check(call: RequestContext) -> None:
    """The document gives no words for a symbol that is not routed."""
    if not call.listing.routes:
        raise refusals.not_supported("SOR")
