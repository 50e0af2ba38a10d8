"""What counts as evidence that a trading call was executed. Times are the exchange's, in milliseconds.

**Evidence must not have existed before the call.** The exchange takes a client order id again once the earlier order is
closed. So an order is the one that a call placed if

* its side, type, price, quantity and whatever else the call fixed are those of the call, and
* it is not known to be another call's, which an answer may have named, and
* the session made its client order id, or it is younger than the call: its time is not earlier than the call left, by
  more than the error of the clock, and its order id is above all of its symbol that were seen before the call left. If
  its time is later by more than that error and its id is not above, they contradict each other, and nothing is proved.

Its quantity may have been reduced since, and with that its client order id changed ("If not sent, one will be randomly
generated"); `is_reduced` tells, and order.amendments what both were.

**That something did not happen** counts only once the call is too late to be executed: the exchange compares the
timestamp with ``recvWindow`` again right before the matching engine. And since queries may be behind the engine ("Data
sources": Memory, Database), only when that has passed by `QUERY_DELAY`. The same goes for a state that is as it was. An
answer that came late ends the call as well: nothing happens after it.

**A field that did not come** proves nothing. What came is judged first, and may rule a record out. If it does not, the
field is read, and the `ProtocolViolation` says which one of which method did not come.

Source: "Timing security", "Data sources" and "Place new order" of the WebSocket API document.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from ..api._base import Request
from ..api.account import Amendment, Order, OrderAmendments
from ..api.order_lists import (
    OrderListPlace,
    OrderListPlaceOco,
    OrderListPlaceOpo,
    OrderListPlaceOpoco,
    OrderListPlaceOto,
    OrderListPlaceOtoco,
)
from ..errors import ProtocolViolation

QUERY_DELAY: Final = 2000
"""Milliseconds by which queries may be behind the matching engine. The document gives no figure ("some delay in the
response is normal"), and an old answer shows no sign of its age."""

LARGEST_LEAD: Final = 1000
"""Milliseconds by which a timestamp may be ahead of the exchange's time ("Timing security"). So whatever the error of
the clock, nothing that a call did is older than its timestamp by more than this."""


PAGE: Final = 1000
"""Orders, or order lists, that a query gives at most."""

PATIENCE: Final = 600_000
"""Milliseconds for which questions are asked once the answer to each must show what the call has done. They may never
be answered, or not show what the exchange has said is there."""

ASK_AGAIN: Final = 1000
"""Milliseconds after which to look again for an order that the exchange has said is there. The pause doubles each time,
up to `LONGEST_PAUSE`, so that ten minutes of it cost little of the weight budget."""

LONGEST_PAUSE: Final = 60_000


class Undecided(Exception):
    """Nothing proves that the call was executed, and nothing that it was not. The text says why."""


def _nobodys(_order: Order) -> bool:
    return False


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it left.

    Attributes:
        request: with all its client order ids.
        sent_at: when it left, by our estimate; None if that is not known. Then every order that fits is taken for its.
        clock_error: by how much that may be wrong, by all that was measured before and since.
        is_clock_known: whether the exchange's clock was measured before the call left and since, and was not adjusted
            in between. False for a session that began later: that clock may have been adjusted between the last
            measurement of the session that sent the call, and the call. It may have been so more than once.
        final_at: from when on it can no longer be executed, by the exchange's own clock.
        seen_order_id: the highest order id of its symbol that was seen before it left; None if none was.
        is_id_fresh: whether no earlier order can have its client order ids.
        is_refused: whether an answer that came late said no.
        told: the id of the order, or order list, that an answer named that came late.
        has_canceled: whether such an answer says that the old order of a replacement was canceled; None if none came.
        is_anothers: whether an order is known to be another call's.
        was_canceled_by_another: whether one is known to have been canceled by another call.
        units: how many units of the times in answers are a millisecond.
    """

    request: Any
    final_at: int
    sent_at: int | None = None
    clock_error: int = 0
    is_clock_known: bool = True
    seen_order_id: int | None = None
    is_id_fresh: bool = False
    is_refused: bool = False
    told: int | None = None
    has_canceled: bool | None = None
    is_anothers: Callable[[Order], bool] = _nobodys
    was_canceled_by_another: Callable[[Order], bool] = _nobodys
    units: int = 1

    @property
    def settled_at(self) -> int:
        """The answer to a question that is asked from then on shows whatever the call has done."""
        return self.final_at + QUERY_DELAY

    @property
    def earliest(self) -> int | None:
        """Nothing that the call did is older."""
        if self.sent_at is None:
            return None
        # The exchange refuses a timestamp that is further ahead than this, so a larger error of the clock does not
        # count. If its clock may have been adjusted without our seeing it, the error may be as large.
        return self.sent_at - (min(self.clock_error, LARGEST_LEAD) if self.is_clock_known else LARGEST_LEAD)

    def is_later(self, record: Any, field: str) -> bool:
        """Whether a time in an answer may be of what the call did."""
        time = self.time(record, field)
        # What has no time is not ruled out by it.
        return time is None or self.earliest is None or time >= self.earliest

    def is_surely_later(self, record: Any, field: str) -> bool:
        """The same, where a time that did not come proves nothing."""
        return self.is_later(record, field) and (self.earliest is None or found(record, field) is not None)

    def may_have_canceled(self, order: Order, *, is_later: bool = False) -> bool:
        """Whether an order may have been canceled by the call: since it left, and by no call that was answered.

        Args:
            order: the order.
            is_later: whether it is known that it changed since the call left. Else its time must say so.
        """
        is_later = is_later or self.is_surely_later(order, "update_time")
        return order.status == "CANCELED" and is_later and not self.was_canceled_by_another(order)

    def is_too_late(self, order: Order) -> bool:
        """Whether an order came only when the call was over."""
        time = self.time(order, "time")
        return time is not None and time > self.settled_at

    def time(self, record: Any, field: str) -> int | None:
        """A time in an answer, in milliseconds; None if it did not come."""
        time = found(record, field)
        return None if time is None else time // self.units


def found(record: Any, field: str) -> Any:
    """A field of an answer; None if it did not come, or the answer has no such field."""
    try:
        return getattr(record, field, None)
    # The field is documented, and this answer lacks it.
    except ProtocolViolation:
        return None


def demand(record: Any, field: str) -> None:
    """Nothing can be said without a field.

    Raises:
        ProtocolViolation: it did not come.
    """
    getattr(record, field)


class Leg(NamedTuple):
    """One order of a call: its client order id, and what the call fixed of it, by the names in its report."""

    client_order_id: str
    fixed: dict[str, Any]

    def fits(self, order: Order) -> bool:
        """Whether nothing of an order differs from the call, but for a quantity that may have been reduced."""
        return all(_agrees(found(order, name), value, name) for name, value in self.fixed.items())

    def is_reduced(self, order: Order) -> bool:
        """Whether the order is smaller than the call asked for."""
        return self.may_be_reduced(order) and found(order, "orig_qty") is not None

    def may_be_reduced(self, order: Order) -> bool:
        """The same, or its quantity did not come."""
        quantity = self.fixed.get("orig_qty")
        return quantity is not None and found(order, "orig_qty") != quantity

    def was(self, change: Amendment) -> bool:
        """Whether an order was as the call had it before it was first amended."""
        had = {"orig_client_order_id": self.client_order_id, "orig_qty": self.fixed["orig_qty"]}
        # One field that differs says that it was not. That it was takes both.
        is_ruled_out = any(found(change, name) not in {None, value} for name, value in had.items())
        return not is_ruled_out and all(getattr(change, name) == value for name, value in had.items())


def _agrees(value: Any, expected: Any, name: str) -> bool:
    if value is None:
        return True  # the exchange does not say
    # A quantity may have been reduced since by order.amend.keepPriority, never raised.
    return bool(value <= expected if name == "orig_qty" else value == expected)


def is_younger(sent: Sent, order: Order) -> bool:
    """Whether an order came into being by the call, or after it; not by an earlier call with the same id.

    Raises:
        Undecided: its time says so, and its order id says that it was there before.
        ProtocolViolation: nothing that came rules it out, and its order id did not come.
    """
    # Nothing else has had the id; or nobody knows when the call left, and then every order that fits is taken for its.
    if sent.is_id_fresh or sent.sent_at is None:
        return True
    if not sent.is_later(order, "time"):
        return False
    # Order ids grow, so one that is not above was given before the call left.
    if order.order_id > (sent.seen_order_id or 0):
        return True
    time = sent.time(order, "time")
    if time is not None and time > sent.sent_at + sent.clock_error:
        said = f"order {order.order_id} is dated {time}, after the call left, but there was one with a higher id before"
        raise Undecided(f"{said}: {sent.seen_order_id}")
    return False


def may_be(sent: Sent, leg: Leg, order: Order) -> bool:
    """Whether an order is the one that the call placed, but for a quantity that may have been reduced."""
    return not (sent.is_too_late(order) or sent.is_anothers(order)) and leg.fits(order) and is_younger(sent, order)


class Question(NamedTuple):
    """What to ask next.

    Attributes:
        request: to be sent.
        not_before: the exchange's time in milliseconds before which the answer would tell nothing.
        why: what contradicts what in the answers so far, in words; empty if nothing does.
        is_vital: if not, an answer that is no list of orders and has none in it counts as an empty list.
    """

    request: Request[Any]
    not_before: int = 0
    why: str = ""
    is_vital: bool = True

    def may_count_as_empty(self, raw: bytes) -> bool:
        """Whether an answer that cannot be read may be taken for an empty list: there is nothing in it that could be
        an order. One of a list that does not fit might be the order that is looked for.
        """
        return not self.is_vital and b"[" not in raw and b"lientOrderId" not in raw.replace(b"origClientOrderId", b"")


class Reply(NamedTuple):
    """An answer.

    Attributes:
        result: None for "does not exist".
        asked_at: the exchange's time in milliseconds when it was asked, at the earliest.
    """

    result: Any
    asked_at: int


T = TypeVar("T")
Inquiry: TypeAlias = "Generator[Question, Reply, T]"


def pauses() -> Iterator[int]:
    """Milliseconds until to ask again, for a question whose answer contradicts what the exchange has said."""
    pause = ASK_AGAIN
    while True:
        yield pause
        # Doubled, so that ten minutes of questions cost little of the budget.
        pause = min(2 * pause, LONGEST_PAUSE)


def _is_known_by(name: str | None, sent: Sent, leg: Leg, order: Order) -> bool:
    """Whether an order that may be the call's is known by its client order id."""
    # It has the quantity of the call, so it still has the id that it was placed under, and nothing else tells.
    if name is None and not leg.may_be_reduced(order):
        demand(order, "client_order_id")
    # Its quantity is that of the call; or it is smaller, but only this call can have given it its id.
    return name == leg.client_order_id and (sent.is_id_fresh or not leg.is_reduced(order))


def is_placed(sent: Sent, leg: Leg, order: Order, name: str | None) -> Inquiry[bool]:
    """Whether an order is the one that the call placed. ``name``: the id that it goes by; None if that did not come."""
    # One that was reduced may have been given another id.
    may_have_name = name in {None, leg.client_order_id} or leg.may_be_reduced(order)
    if not may_have_name or not may_be(sent, leg, order):
        return False
    # An earlier order may never have been seen, so its order id alone proves nothing.
    if not sent.is_id_fresh and sent.sent_at is not None:
        demand(order, "time")
    if _is_known_by(name, sent, leg, order):
        return True
    # Queries show the amendment when they must: it may be later than the order that they show.
    changed_at = sent.time(order, "update_time") or 0
    question = OrderAmendments(symbol=sent.request.symbol, order_id=order.order_id)
    changes = (yield Question(question, changed_at + QUERY_DELAY)).result
    return bool(changes) and leg.was(changes[0])


# What a call fixes of its orders

# The parameters that fix something of an order, and where the report of it has that.
_FIXED: Final = {
    "side": "side",
    "type": "type",
    "quantity": "orig_qty",
    "quote_order_qty": "orig_quote_order_qty",
    "price": "price",
    "stop_price": "stop_price",
    "trailing_delta": "trailing_delta",
    "time_in_force": "time_in_force",
    "strategy_id": "strategy_id",
    "strategy_type": "strategy_type",
    "self_trade_prevention_mode": "self_trade_prevention_mode",
    "peg_price_type": "peg_price_type",
}


def leg_of(request: Any, *, prefix: str = "", name: str = "new_client_order_id", **common: str) -> Leg:
    """One order of a request. ``common`` says which parameters of the whole request are its own."""
    own = {field: common.get(field, prefix + field) for field in _FIXED}
    fixed = {_FIXED[field]: getattr(request, source, None) for field, source in own.items()}
    fixed = {field: value for field, value in fixed.items() if value is not None}
    if "peg_price_type" in fixed:
        fixed.pop("price", None)  # it follows the book
    if "trailing_delta" in fixed:
        fixed.pop("stop_price", None)  # it follows the price
    return Leg(getattr(request, name), fixed)


_PAIR: Final = {"side": "side", "quantity": "quantity"}
_PENDING: Final = {"side": "pending_side", "quantity": "pending_quantity"}


def _legs(**parts: dict[str, str]) -> Callable[[Any], Iterator[Leg]]:
    def legs(request: Any) -> Iterator[Leg]:
        for part, own in parts.items():
            common = {"self_trade_prevention_mode": "self_trade_prevention_mode", **own}
            yield leg_of(request, prefix=f"{part}_", name=f"{part}_client_order_id", **common)

    return legs


LEGS: Final[dict[type[Request[Any]], Callable[[Any], Iterable[Leg]]]] = {
    OrderListPlace: _legs(limit={**_PAIR, "price": "price"}, stop={**_PAIR, "price": "stop_limit_price"}),
    OrderListPlaceOco: _legs(above=_PAIR, below=_PAIR),
    OrderListPlaceOto: _legs(working={}, pending={}),
    OrderListPlaceOtoco: _legs(working={}, pending_above=_PENDING, pending_below=_PENDING),
    OrderListPlaceOpo: _legs(working={}, pending={}),
    OrderListPlaceOpoco: _legs(working={}, pending_above=_PENDING, pending_below=_PENDING),
}
"""The orders of each kind of order list."""


def legs_of(request: Any) -> Iterable[Leg]:
    """The orders that a request is to place."""
    return LEGS[type(request)](request) if type(request) in LEGS else (leg_of(request),)


class OrderIds:
    """The highest order id of each symbol that was seen; 0 if none was. Order ids grow, symbol by symbol.

    Attributes:
        highest: by symbol.
    """

    def __init__(self) -> None:
        # A call by wire names may have anything in the place of a symbol.
        self.highest: Final = defaultdict[Any, int](int)

    def note(self, result: Any) -> None:
        """Take note of the orders in a result: an order, several, or a record that has some."""
        try:
            if result.order_id > self.highest[result.symbol]:  # every order that is answered comes here
                self.highest[result.symbol] = result.order_id
        except (AttributeError, ProtocolViolation):  # it has none, or that did not come
            self._note_parts(result)

    def _note_parts(self, result: Any) -> None:
        if isinstance(result, tuple):
            for each in result:  # pyright: ignore[reportUnknownVariableType]
                self.note(each)
            return
        for part in ("orders", "new_order_response"):
            # Most results have no orders in them.
            with suppress(AttributeError, ProtocolViolation):
                self.note(getattr(result, part))
