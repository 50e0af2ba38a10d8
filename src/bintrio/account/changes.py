"""What an account tells of: each change as a record of what was, what is, and how it is known."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias

from ..api._values import Shown, Timestamp
from ..api.account import Order
from ..api.orders import OrderList
from ..api.trading import Fill

__all__ = [
    "Certainty",
    "Change",
    "FillAdded",
    "Holding",
    "HoldingChanged",
    "ListChanged",
    "NotShown",
    "OrderChanged",
    "Source",
]

Source: TypeAlias = Literal["event", "answer", "query"]
"""How a change is known: told by the exchange unasked, by the answer to a trading call, or found when it was asked."""


class Holding(Shown, frozen=True, kw_only=True):
    """What the account has of one asset.

    Attributes:
        asset: which.
        free: what orders may use.
        locked: what orders hold, or other systems of the exchange.
        as_of: the exchange's time, in the unit of the session, at which it was so; 0 if the exchange did not say.
        is_certain: False after a deposit, a withdrawal or an external lock, until the exchange has told what is there;
            and after a loss of events, if its answers stay older, for a minute, than what events had told before.
    """

    asset: str
    free: Decimal
    locked: Decimal
    as_of: Timestamp
    is_certain: bool = True


class _Change(Shown, frozen=True, kw_only=True):
    """What all changes have.

    Attributes:
        version: the account's version with this change. Each change has its own.
        source: how it is known.
    """

    version: int
    source: Source


class OrderChanged(_Change, frozen=True, kw_only=True):
    """An order is new, or has changed.

    Attributes:
        before: None if it was not known.
        after: as it stands.
    """

    before: Order | None
    after: Order


class FillAdded(_Change, frozen=True, kw_only=True):
    """An order has traded. The order's own change comes after it.

    Attributes:
        symbol: of the order.
        order_id: of the order.
        fill: price, quantity, commission.
    """

    symbol: str
    order_id: int
    fill: Fill


class HoldingChanged(_Change, frozen=True, kw_only=True):
    """A balance has changed.

    Attributes:
        before: None if the asset was not known.
        after: as it stands.
    """

    before: Holding | None
    after: Holding


class ListChanged(_Change, frozen=True, kw_only=True):
    """An order list is new, or has changed.

    Attributes:
        before: None if it was not known.
        after: as it stands.
    """

    before: OrderList | None
    after: OrderList


class NotShown(_Change, frozen=True, kw_only=True):
    """The exchange shows an order, or an order list, no more. It is not open, and what it ended as is not known.

    Attributes:
        last: as it was known last.
    """

    last: Order | OrderList


class Certainty(_Change, frozen=True, kw_only=True):
    """The account is certain again, or is not certain any more.

    Attributes:
        as_of: the exchange's time, in the unit of the session, up to which everything is known; None if that is now.
        reason: why not.
    """

    as_of: Timestamp | None
    reason: str = ""


Change: TypeAlias = OrderChanged | FillAdded | HoldingChanged | ListChanged | NotShown | Certainty
