"""Which order the market maker is told to fill, how much of it, and what must give way: for `Sandbox.fill`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from bintrio._text import shown
from bintrio.api._base import number
from bintrio.errors import InvalidRequest

from .matching import MatchingEngine
from .orders import Order


def resting_order(orders: Iterable[Order], named: Order | int) -> Order:
    """The order that is meant, or that has this id, if it is on the book.

    Raises:
        InvalidRequest: there is none, or it is elsewhere.
    """
    found = next((one for one in orders if one is named or one.order_id == named), None)
    if found is None:
        raise InvalidRequest(f"order must be one of sandbox.orders or its id, not {shown(named)}", field="order")
    if found.place != "book" or not found.is_open:
        state = "waits for its price" if found.place == "waiting" and found.is_open else f"is {found.status}"
        raise InvalidRequest(f"order {found.order_id} is not on the book: it {state}", field="order")
    return found


def quantity_to_fill(resting: Order, asked: Decimal | None) -> Decimal:
    """As much as is asked for, or all that is left.

    Raises:
        InvalidRequest: it is no number, or not so much is left.
    """
    quantity = resting.remaining if asked is None else number("quantity", asked)
    if not 0 < quantity <= resting.remaining:
        said = f"quantity must be above 0 and at most {resting.remaining}, which is left, not {shown(quantity)}"
        raise InvalidRequest(said, field="quantity")
    return quantity


def makers_before(
    engine: MatchingEngine, resting: Order, quantity: Decimal, now: int, *, maker: int
) -> Sequence[Order]:
    """The orders of the market maker that would trade before so much of an order has traded.

    Args:
        engine: where it is.
        resting: the order.
        quantity: of the base asset.
        now: microseconds.
        maker: the uid of the market maker.

    Raises:
        InvalidRequest: so would orders of clients, or an execution rule lets nothing trade at its price.
    """
    before = _before(engine, resting, quantity)
    clients = [str(one.order_id) for one in before if one.owner != maker]
    # A fill must not trade with others' orders on its way.
    if clients:
        said = f"order {resting.order_id} cannot be filled: of clients, {', '.join(clients)} stand before it"
        raise InvalidRequest(said, field="order")
    _check_rule(engine, resting, now)
    return before


def _check_rule(engine: MatchingEngine, resting: Order, now: int) -> None:
    """Refuse a trade that an execution rule keeps from happening: the market maker's order would expire instead."""
    bounds = engine.listing(resting.symbol).bounds(now, is_buy=not resting.is_buy)
    if bounds is not None and not bounds.admit(resting.limit):
        said = f"order {resting.order_id} cannot be filled: an execution rule lets nothing trade at {resting.limit}"
        raise InvalidRequest(said, field="order")


def _before(engine: MatchingEngine, resting: Order, quantity: Decimal) -> Sequence[Order]:
    """The orders that trade before so much of an order has traded."""
    side = engine.listing(resting.symbol).book.up_to(resting)
    if quantity > resting.visible:  # the next part of an iceberg order goes to the end of its level
        return [one for one in side if one is not resting]
    return side[: side.index(resting)]
