"""What a pair of orders must be like of which one cancels the other.

One stops a loss, the other takes a profit or is a limit order; the former lies where the price is worse, the latter
where it is better.

Source: "Place new Order list - OCO" of the WebSocket API document, errors.md.
"""

from __future__ import annotations

from typing import Final

from .orders import KINDS
from .refusals import Refusal

_UNFIT: Final = {"LIMIT", "MARKET"}


def belongs_above(side: str, trigger: str) -> bool:
    """Whether an order, by its side and its `Kind.trigger`, lies above the last price."""
    return (trigger == "stop") is (side == "BUY")


def check_pair(side: str, above: str, below: str) -> None:
    """Refuse a pair, by its side and the types of its orders.

    Raises:
        Refusal: -1158, -1165, -1166, -1168 or -1196 to -1199.
    """
    if {above, below} & _UNFIT or not {above, below} <= KINDS.keys():
        raise Refusal(-1158, "Order type not supported in OCO.")
    # Both would rest on the book, and nothing would trigger.
    if above == below == "LIMIT_MAKER":
        raise Refusal(-1168, "At least one OCO order must be contingent.")
    for kind, is_above in ((above, True), (below, False)):
        trigger = KINDS[kind].trigger
        if belongs_above(side, trigger) is not is_above:
            raise Refusal(*_MISPLACED[(side, trigger)])


_MISPLACED: Final = {
    ("BUY", ""): (-1165, "A limit order in a buy OCO must be below."),
    ("SELL", ""): (-1166, "A limit order in a sell OCO must be above."),
    ("BUY", "stop"): (-1196, "A stop loss order in a buy OCO must be above."),
    ("SELL", "stop"): (-1197, "A stop loss order in a sell OCO must be below."),
    ("BUY", "profit"): (-1198, "A take profit order in a buy OCO must be below."),
    ("SELL", "profit"): (-1199, "A take profit order in a sell OCO must be above."),
}
