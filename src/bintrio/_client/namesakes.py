"""Whose an order is, where several calls went out under one client order id; and by which call an order was canceled.

The exchange takes an id again once the order that had it is closed. So an order that is as a call had it may be that of
another call. What an answer named is its own call's, and so is what `confirm` has told of a call. Of two calls that
were not answered, nobody knows whose it is; but if one asked for more, how the order was amended tells. Ids that the
session made are no matter here: none is used twice.

An order is canceled once. So one of which an answer has said that its call canceled it, was canceled by no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final, TypeAlias, cast
from weakref import ref

from .._protocol.confirmation import HalfReplaced
from .._protocol.evidence import Leg, found, legs_of
from .._protocol.ids import remember
from ..api._base import Request, wire_name
from ..api.account import Amendment, Order
from ..api.orders import OrderList
from ..api.trading import ReplacedOrder
from ..errors import OutcomeUnknown, PartlyDone
from .in_flight import Call

MOST_ORDERS: Final = 10_000
"""Orders whose calls are remembered, the latest ones. What may be another call's was placed, or canceled, within
seconds of it."""

MOST_OPEN: Final = 1000
"""Calls whose outcome is not known that are remembered, the latest ones."""


Histories: TypeAlias = dict[int, Sequence[Amendment]]
"""How orders were amended, by order id, as far as that was asked for."""


class Origin:
    """One call, for all errors that are of it.

    Attributes:
        namesakes: what the session that made the call knows of it and its like.
        clock_steps: how many samples had shown that a clock was adjusted, when it left.
    """

    def __init__(self, namesakes: Namesakes, clock_steps: int) -> None:
        self.namesakes: Final = namesakes
        self.clock_steps: Final = clock_steps
        self._errors: list[ref[OutcomeUnknown]] = []

    def add(self, error: OutcomeUnknown) -> None:
        """An error is of this call: the one that it raised, or one that `confirm` raised for it."""
        error.origin = self
        # Those that nobody has any more need be told nothing, however often it is asked.
        self._errors = [*map(ref, self.errors()), ref(error)]

    def errors(self) -> list[OutcomeUnknown]:
        """All that somebody still has."""
        return [error for each in self._errors if (error := each()) is not None]


class Namesakes:
    """Which calls are known to have placed, and to have canceled, which orders; and those of which nothing is known."""

    def __init__(self) -> None:
        # By symbol and order id. A call that was answered has no error.
        self._owners: dict[tuple[str, int], OutcomeUnknown | None] = {}
        self._cancelers: dict[tuple[str, int], OutcomeUnknown | None] = {}
        self._open: dict[int, OutcomeUnknown] = {}

    def own(self, symbol: str, orders: Iterable[int], error: OutcomeUnknown | None) -> None:
        """These are the orders of one call: of that error, or of one that was answered."""
        for number in orders:
            # Order ids are unique within a symbol only.
            remember(self._owners, (symbol, number), error, MOST_ORDERS)

    def cancel(self, symbol: str, orders: Iterable[int], error: OutcomeUnknown | None) -> None:
        """These were canceled by one call: of that error, or by one that was answered."""
        for number in orders:
            remember(self._cancelers, (symbol, number), error, MOST_ORDERS)

    def open(self, error: OutcomeUnknown) -> None:
        """Nobody knows what became of a call."""
        request: Request[Any] | None = error.request
        # Only what places an order can have placed one, and an id that the session made is no other call's.
        if request is not None and request.api.orders and not error.is_id_fresh:
            remember(self._open, id(error), error, MOST_OPEN)

    def close(self, error: OutcomeUnknown) -> None:
        """It is known what became of a call."""
        for known in [*filter(partial(is_same, error), self._open.values())]:
            del self._open[id(known)]

    def is_anothers(self, call: OutcomeUnknown, symbol: str, number: int) -> bool:
        """Whether an order is known to be another call's."""
        return _is_other(self._owners.get((symbol, number), call), call)

    def is_surely_anothers(self, call: OutcomeUnknown, order: Order) -> bool:
        """The same, if an answer named it, or if `confirm` knew of this call when it said whose the order is."""
        owner = self._owners.get((call.request.symbol, found(order, "order_id")), call)
        return _is_other(owner, call) and (owner is None or owner.answered_at is not None or self._knew(call, owner))

    def _knew(self, call: OutcomeUnknown, owner: OutcomeUnknown) -> bool:
        """Whether a session that was asked about one call knew of another: made by itself or by the same session."""
        origins = origin_of(call), origin_of(owner)
        # Nothing is known of who made a copy.
        return not all(origins) or origins[0].namesakes in {self, origins[1].namesakes}  # type: ignore[union-attr]

    def has_another_canceled(self, call: OutcomeUnknown, order: Order) -> bool:
        """Whether an order is known to have been canceled by another call."""
        # If no call is known to have canceled any, the order's number may be missing.
        if not self._cancelers:
            return False
        return _is_other(self._cancelers.get((call.request.symbol, order.order_id), call), call)

    def others(self, call: OutcomeUnknown) -> Iterator[OutcomeUnknown]:
        """The other calls of which nothing is known, and which used one of its ids for an order of its symbol."""
        symbol, ids = call.request.symbol, order_ids_of(call.request)
        for error in self._open.values():
            is_namesake = error.request.symbol == symbol and not ids.isdisjoint(order_ids_of(error.request))
            if is_namesake and not is_same(error, call):
                yield error


def origin_of(error: OutcomeUnknown) -> Origin | None:
    """Which call an error is of; None for a copy, and for one from another process."""
    return getattr(error, "origin", None)


def known_of(call: OutcomeUnknown, own: Namesakes) -> Sequence[Namesakes]:
    """What is known of a call and its like: by this session, and by the one that made it if that is another one."""
    origin = origin_of(call)
    return (own,) if origin is None or origin.namesakes is own else (own, origin.namesakes)


def others_of(call: OutcomeUnknown, own: Namesakes) -> Iterator[OutcomeUnknown]:
    """The other calls of unknown outcome that may have placed an order of a call, by all that is known of its like."""
    return chain.from_iterable(namesakes.others(call) for namesakes in known_of(call, own))


def claimed_by(call: Any, outcome: Any) -> Order | OrderList | None:
    """What a call is said to have placed that another call may have placed as well; None if no other can have."""
    new = outcome.new_order if isinstance(outcome, HalfReplaced) else outcome
    # Only what places an order can have placed this one. An id that the session made, no other call has.
    is_of_one = isinstance(call, Request) or not call.request.api.orders or call.is_id_fresh
    return None if is_of_one else new


def rivaled(call: Any, outcome: Any, own: Namesakes) -> list[Order]:
    """The orders that a call is said to have placed, of which it or another one under its id asked for more."""
    new = claimed_by(call, outcome)
    others = [] if new is None else [*others_of(call, own)]
    # Most have no such rivals.
    calls = [call, *others] if others else []
    return [order for order in orders_in(new) if any(_asks_for_more(each.request, order) for each in calls)]


def _asks_for_more(request: Request[Any], order: Order) -> bool:
    """Whether an order may be of a call only if it was reduced since."""
    return any(leg.is_reduced(order) and leg.fits(order) for leg in legs_of(request))


def may_have_been(leg: Leg, order: Order, histories: Histories) -> bool:
    """Whether an order may have been as a call had it, for all that is known of how it was amended."""
    if order.order_id not in histories:
        return True
    history = histories[order.order_id]
    return leg.was(history[0]) if history else not leg.is_reduced(order)


def is_surely_anothers(known: Iterable[Namesakes], call: OutcomeUnknown, order: Order) -> bool:
    """Whether an order is surely another call's, by all that is known of a call and its like."""
    return any(each.is_surely_anothers(call, order) for each in known)


def is_same(one: OutcomeUnknown, other: OutcomeUnknown) -> bool:
    """Whether two errors are of one call: what `confirm` raises is of the call that it was asked about."""
    origins = origin_of(one), origin_of(other)
    # Without it, a call is known by what was sent.
    return origins[0] is origins[1] if all(origins) else _sent(one) == _sent(other)


def _is_other(owner: OutcomeUnknown | None, call: OutcomeUnknown) -> bool:
    # None stands for a call that was answered, which this one was not.
    return owner is None or not is_same(owner, call)


def _sent(error: OutcomeUnknown) -> tuple[Any, ...]:
    return error.request, error.sent_at, error.final_at, error.seen_order_id, error.signed_by


def order_ids_of(request: Request[Any]) -> set[str]:
    """The client order ids that a request has for its orders."""
    return {getattr(request, name) for name in request.api.client_ids if name != "list_client_order_id"}


def has_id_of(call: Call, error: OutcomeUnknown) -> bool:
    """Whether a call in flight may place an order of the same account and symbol under the same id."""
    wanted = order_ids_of(error.request)
    is_named = any(call.params.get(wire_name(name)) in wanted for name in call.api.client_ids)
    is_alike = call.account.digest == error.signed_by and call.params.get("symbol") == error.request.symbol
    return bool(call.api.orders) and is_named and is_alike


def orders_in(answer: Any) -> Sequence[Any]:
    """The orders that an answer says were placed by its call: records, or plain JSON by wire names."""
    # Either half may be the one that was done; an order comes of this one alone.
    if isinstance(answer, PartlyDone):
        answer = answer.done.get("newOrderResponse")
    return _part(answer, "orders") or [_part(answer, "new_order_response") or answer]


def placed_by(answer: Any) -> tuple[int, ...]:
    """Their ids."""
    numbers = (_part(order, "order_id") for order in orders_in(answer))
    return tuple(number for number in numbers if isinstance(number, int))


def canceled_by(answer: Any) -> tuple[int, ...]:
    """The ids of the orders that an answer says were canceled by its call: one, those of a list, or all of a symbol."""
    if isinstance(answer, PartlyDone):
        answer = answer.done.get("cancelResponse")
    answer = _part(answer, "cancel_response") or answer
    several = cast("Sequence[Any]", answer) if isinstance(answer, tuple | list) else (answer,)
    numbers = (_part(order, "order_id") for each in several for order in _part(each, "orders") or (each,))
    return tuple(number for number in numbers if isinstance(number, int))


def told_by(request: Request[Any], answer: Any) -> int | None:
    """The id of the order, or order list, that a late answer says a call has placed, canceled or amended."""
    if isinstance(answer, OrderList):
        # The cancel of an order of a list has the whole list canceled.
        return answer.order_list_id if hasattr(request, "list_client_order_id") else None
    return next(iter(placed_by(found(answer, "amended_order") or answer)), None)


def has_canceled(answer: Any) -> bool | None:
    """Whether a late answer says that the old order of a replacement was canceled; None if it is no such answer."""
    # Here too: the half that is told as done may be either.
    if isinstance(answer, PartlyDone):
        return "cancelResponse" in answer.done
    return True if isinstance(answer, ReplacedOrder) else None


def _part(answer: Any, name: str) -> Any:
    # A call by wire names is answered in plain JSON.
    return cast("dict[str, Any]", answer).get(wire_name(name)) if isinstance(answer, dict) else found(answer, name)
