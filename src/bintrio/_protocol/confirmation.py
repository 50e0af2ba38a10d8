"""What became of a trading call: which questions tell. No waiting, no I/O; `evidence` says what counts.

`inquire` is a generator. It yields a `Question`, is sent a `Reply`, and returns what became of the call; who drives it
asks and waits (`Session.confirm`).

* **An order that was placed** is asked for by its client order id. order.status does not say which of several orders
  under one id it shows, and shows none if the order was amended under another id since. So allOrders is asked as well:
  if it does not show the order of the call; and if it does, but others can have the id too, whether it is the only one.
* **An order that was to be canceled, amended or replaced** is told by the state that it is in. A name alone is not
  enough: an order that was closed before the call left may have had the same.
Source: "Cancel order", "Cancel and replace order" and "Order Amend Keep Priority" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ..api._base import Request
from ..api.account import AllOrders, OpenOrdersStatus, Order, OrderStatus
from ..api.enums import CLOSED_STATES, OPEN_STATES
from ..api.order_lists import OrderListCancel
from ..api.orders import OrderList
from ..api.sor import SorOrderPlace
from ..api.trading import OpenOrdersCancelAll, OrderAmendKeepPriority, OrderCancel, OrderCancelReplace, OrderPlace
from ..errors import ProtocolViolation
from .confirmation_of_lists import list_canceled, list_placed
from .evidence import LEGS, PAGE, Inquiry, Leg, Question, Sent, Undecided, demand, found, is_placed, leg_of, pauses

MOST_PAGES: Final = 10
"""How often allOrders is asked on."""

MOST_SPANS: Final = 60
"""How often allOrders is asked for the orders that changed in a span of time."""

DAY: Final = 86_400_000
"""Milliseconds that such a span may have."""


class HalfReplaced(msgspec.Struct, frozen=True, kw_only=True):
    """What `Session.confirm` gives for an order.cancelReplace of which one half was done, and the other was not.

    Attributes:
        old_order: the order that was to be canceled, as it stands; None if it is not known any more.
        new_order: the order that was placed; None if it was not, and never will be.
    """

    old_order: Order | None
    new_order: Order | None

    @property
    def is_canceled(self) -> bool:
        """Whether the cancel is the half that was done: the old order is canceled, and there is no new one."""
        return self.new_order is None


def inquire(sent: Sent) -> Inquiry[Any]:
    """What became of a call.

    Raises:
        Undecided: neither can be shown.
    """
    try:
        return (yield from _by_either_reading(sent))
    except ProtocolViolation as violation:
        raise Undecided(f"{violation}; nothing else tells") from violation


def _by_either_reading(sent: Sent) -> Inquiry[Any]:
    """What became of a call, if it is the same however the clock is trusted."""
    rule = RULES[type(sent.request)]
    outcome = yield from rule(sent)
    trusting = msgspec.structs.replace(sent, is_clock_known=True)
    if trusting.earliest == sent.earliest or is_known_by_name(sent, outcome) or _is_plain(trusting, outcome):
        return outcome
    # If the clock may have been adjusted, some times are doubtful. What is said must not depend on how they are read.
    by_trust = yield from rule(trusting)
    if _named(by_trust) != _named(outcome):
        said = f"it came to {_named(by_trust)}, or to {_named(outcome)} if the exchange's clock was set back"
        raise Undecided(f"{said} when this session could not see it")
    return by_trust


def is_known_by_name(sent: Sent, outcome: Any) -> bool:
    """Whether times had no part in what was found: only the call can have named it, or the exchange's answer did."""
    # Whether the old order was canceled by the call is told by times.
    if isinstance(sent.request, OrderCancelReplace) and not _is_all_or_nothing(sent.request):
        return False
    return isinstance(outcome, Order | OrderList) and (sent.is_id_fresh or sent.told is not None)


def _is_plain(trusting: Sent, outcome: Any) -> bool:
    """Whether what a call placed is so without any doubt of times: what is dated in time is its by either reading."""
    if isinstance(trusting.request, OrderCancelReplace) or not trusting.request.api.orders:
        return False
    # With fewer orders that may be its, there is none either.
    return outcome is None or (isinstance(outcome, Order) and trusting.is_later(outcome, "time"))


def _named(outcome: Any) -> str:
    """Which orders an outcome is about, in words."""
    if isinstance(outcome, HalfReplaced):
        half = f"the cancel of {_named(outcome.old_order)}" if outcome.is_canceled else _named(outcome.new_order)
        return f"{half} alone"
    if isinstance(outcome, OrderList):
        return f"order list {found(outcome, 'order_list_id')}"
    return f"order {found(outcome, 'order_id')}" if isinstance(outcome, Order) else "no order"


# One order that was placed


def _single(sent: Sent) -> Inquiry[Order | None]:
    return _placed(sent, leg_of(sent.request))


def _placed(sent: Sent, leg: Leg) -> Inquiry[Order | None]:
    """The order that the call placed; None if it placed none."""
    if sent.is_refused:
        return None
    # A late answer has named the order, so no evidence is needed.
    if sent.told is not None:
        return (yield from _told_of(sent, sent.told))
    order: Order | None = None
    asked_at, not_before = -1, 0
    # Asked at once, since an order that is there is mostly shown, and again when the answer must show it.
    while asked_at < sent.settled_at:
        question = OrderStatus(symbol=sent.request.symbol, orig_client_order_id=leg.client_order_id)
        order, asked_at = yield Question(question, not_before)
        # It was asked for by its name, so that is known also where it did not come.
        if order is not None and (yield from is_placed(sent, leg, order, leg.client_order_id)):
            return (yield from _alone(sent, leg, order))
        not_before = sent.settled_at
    return (yield from _placed_beside(sent, leg, order))


def _told_of(sent: Sent, number: int) -> Inquiry[Order]:
    """The order that the exchange's answer named. It is there, so it is asked for until a query shows it."""
    order: Order | None
    symbol, not_before, why, pause = sent.request.symbol, 0, "", pauses()
    while True:
        order, asked_at = yield Question(OrderStatus(symbol=symbol, order_id=number), not_before, why)
        # order.status should show it by now. Perhaps it looks in another place than allOrders does, so that one is
        # asked too.
        if order is None and asked_at >= sent.settled_at:
            order = yield from _listed(symbol, number, why)
        if order is not None:
            return order
        not_before = asked_at + next(pause)
        why = f"the answer to the call named order {number}, and order.status says that there is none"


def _listed(symbol: str, number: int, why: str) -> Inquiry[Order | None]:
    """The order of that number, by allOrders."""
    question = Question(AllOrders(symbol=symbol, order_id=number, limit=1), 0, why)
    page: tuple[Order, ...] = (yield question).result or ()
    return next((each for each in page if found(each, "order_id") == number), None)


def _alone(sent: Sent, leg: Leg, order: Order) -> Inquiry[Order]:
    """An order that may be the call's, if no other one may."""
    # Nothing else can have an id that was made for the call, and without its time there is no end to looking.
    if sent.is_id_fresh or sent.sent_at is None:
        return order
    # If the exchange has no list to give, order.status decides.
    others = yield from _fitting(sent, leg, None, is_vital=False, known=order.order_id)
    return _only(leg, [*others, order])


def _placed_beside(sent: Sent, leg: Leg, other: Order | None) -> Inquiry[Order | None]:
    """The order that the call placed, if another one is shown under its client order id, or none."""
    # An order under the same id that is older than the call cannot be its; an order of the call comes after it.
    is_older = other is not None and not sent.is_later(other, "time")
    last = found(other, "order_id") if is_older else None
    # order.status looks for the latest data, in memory first ("Data sources"), and an id is unique among open orders.
    # So if it shows an older order once the call is settled, the id still belongs to that one, as far as it knows.
    # allOrders would show another that has closed since. If the exchange has no list to give, order.status decides.
    ours = yield from _fitting(sent, leg, last, is_vital=not is_older)
    return _only(leg, ours) if ours else None


def _fitting(
    sent: Sent, leg: Leg, last: int | None, *, is_vital: bool, known: int | None = None
) -> Inquiry[Collection[Order]]:
    """The orders that the call may have placed, of those after an order id, or since it left; without the known one."""
    ours: dict[int, Order] = {}
    for order in (yield from _orders_from(sent, last, is_vital=is_vital)):
        is_known = known is not None and found(order, "order_id") == known
        if not is_known and (yield from is_placed(sent, leg, order, found(order, "client_order_id"))):
            ours[order.order_id] = order
    return ours.values()


def _only(leg: Leg, ours: Collection[Order]) -> Order:
    """The one order that the call may have placed."""
    # Any of them may have been placed by this call or by another one with the same parameters.
    if len(ours) > 1:
        raise Undecided(f"{len(ours)} orders go by {leg.client_order_id!r}, and each may be its")
    return next(iter(ours))


def _orders_from(sent: Sent, last: int | None, *, is_vital: bool = True) -> Inquiry[Collection[Order]]:
    """The orders of the symbol after an order id, up to the end of the call; without an id, those that changed since
    the call left, and of too many for a page at least those that were placed since.
    """
    if last is not None:
        return (yield from _orders_after(sent, last, is_vital=is_vital))
    # No older order limits the search, so the time does. allOrders with a start time shows what changed since.
    since = None if sent.earliest is None else sent.earliest * sent.units
    question = AllOrders(symbol=sent.request.symbol, start_time=since, limit=PAGE)
    page: tuple[Order, ...] = (yield Question(question, is_vital=is_vital)).result or ()
    if len(page) < PAGE:
        return page
    # It may leave out any: the document does not say by which time it has the oldest. So ids have to lead on.
    more = yield from _orders_after(sent, _last_before(sent, page), is_vital=True)
    return [*page, *more]


def _orders_after(sent: Sent, last: int, *, is_vital: bool) -> Inquiry[Collection[Order]]:
    """The orders of the symbol after an order id, up to the end of the call."""
    orders: list[Order] = []
    for _ in range(MOST_PAGES):
        question = AllOrders(symbol=sent.request.symbol, order_id=last + 1, limit=PAGE)
        page: tuple[Order, ...] = (yield Question(question, is_vital=is_vital)).result or ()
        orders += page
        # This was the last page, or it goes beyond the time in which the call can have been executed.
        if len(page) < PAGE or any(map(sent.is_too_late, page)):
            return orders
        last = max(map(_number_of, page))
        is_vital = True  # it has lists to give
    raise Undecided(f"there are more than {MOST_PAGES * PAGE:,} orders to look through")


def _last_before(sent: Sent, page: Sequence[Order]) -> int:
    """The order id after which all come that the call may have placed, and all behind a page; 0 if none is known."""
    older = [order for order in page if not sent.is_later(order, "time")]
    return min(max([sent.seen_order_id or 0, *map(_number_of, older)]), max(map(_number_of, page)))


def _number_of(order: Order) -> int:
    # A page that is full cannot be followed by the next without it.
    return order.order_id


# One order that was to be changed


def _canceled(sent: Sent) -> Inquiry[Order | None]:
    # By a late answer it is known which order it hit.
    number = sent.request.order_id if sent.told is None else sent.told
    return _ended(sent, number, sent.request.orig_client_order_id)


def _ended(sent: Sent, number: int | None, name: str | None) -> Inquiry[Order | None]:
    """The order that was to be canceled, as it stands once the call is over; None if there is none."""
    order: Order | None
    # A number alone tells which order it is: a name beside it would have to agree.
    not_before, is_by_number = 0, number is not None
    question = OrderStatus(
        symbol=sent.request.symbol, order_id=number, orig_client_order_id=None if is_by_number else name
    )
    while True:
        order, asked_at = yield Question(question, not_before)
        if order is not None and _is_ended(sent, order, is_by_number=is_by_number):
            return order
        if asked_at >= sent.settled_at:
            # A number belongs to one order for ever. A name may belong to several, one after the other.
            return order if order is None or name is None or is_by_number else (yield from _latest(sent, order, name))
        not_before = sent.settled_at


def _is_ended(sent: Sent, order: Order, *, is_by_number: bool) -> bool:
    """Whether nothing can come of a cancel any more. By name it may yet hit another order, unless this one was it."""
    # One order has this number. Once it is closed, the cancel cannot hit it any more.
    if is_by_number:
        return order.status in CLOSED_STATES
    return sent.may_have_canceled(order)


def _latest(sent: Sent, order: Order, name: str) -> Inquiry[Order]:
    """The order that the call was about: perhaps not the one that is shown, if that was closed before the call left, or
    has come to its name since. By an amend, an order can take any name that is free.
    """
    # It is open and has not changed since the call left, so it had the name all along and nothing else can have been
    # hit.
    if order.status in OPEN_STATES and not sent.is_later(order, "update_time"):
        return order
    # An order that is open now may have changed before the call left, so allOrders from then on would not show it.
    open_orders: tuple[Order, ...] = (yield Question(OpenOrdersStatus(symbol=sent.request.symbol))).result or ()
    changed = yield from _changed_since(sent)
    others = [(each, False) for each in open_orders] + [(each, True) for each in changed]
    namesakes = [other for other in others if _is_namesake(sent, other[0], order, name)]
    return _likeliest(sent, [(order, False), *namesakes])


def _likeliest(sent: Sent, candidates: Sequence[tuple[Order, bool]]) -> Order:
    """The order that the call was about, of several, each with whether it is known to have changed since it left."""
    # The one that was canceled since is most likely the one that the call hit; else the one that it may yet hit.
    likelihoods = [
        (sent.may_have_canceled(each, is_later=is_changed), each.status in OPEN_STATES)
        for each, is_changed in candidates
    ]
    most = max(likelihoods)
    likely = [each for (each, _), likelihood in zip(candidates, likelihoods, strict=True) if likelihood == most]
    # The same order is shown by several queries: what was asked last goes.
    by_number = {found(each, "order_id"): each for each in likely}
    return likely[-1] if len(by_number) == 1 else max(by_number.values(), key=_changed_at)


def _is_namesake(sent: Sent, other: Order, order: Order, name: str) -> bool:
    """Whether another answer shows an order of that name, the one that is known among them."""
    number = found(order, "order_id")
    if found(other, "client_order_id") is None and number is not None and found(other, "order_id") == number:
        return True
    return not sent.is_too_late(other) and other.client_order_id == name


def _changed_at(order: Order) -> int:
    return order.update_time


def _changed_since(sent: Sent) -> Inquiry[Collection[Order]]:
    """The orders of the symbol that changed since the call left, whenever they were placed."""
    # Without its time there is no span to look through, and none to leave out.
    if sent.earliest is None:
        return (yield from _orders_from(sent, None))
    orders: list[Order] = []
    spans: list[tuple[int, int | None]] = [(sent.earliest, None)]
    for _ in range(MOST_SPANS):
        first, last = spans.pop()
        end = None if last is None else (last + 1) * sent.units - 1
        question = AllOrders(symbol=sent.request.symbol, start_time=first * sent.units, end_time=end, limit=PAGE)
        result, asked_at = yield Question(question)
        page: tuple[Order, ...] = result or ()
        orders += page
        # A full page may leave out any, whichever the document calls the first.
        if len(page) >= PAGE:
            spans += _parts(first, last, asked_at)
        if not spans:
            return orders
    raise Undecided(f"too many orders changed since it left: {MOST_SPANS} questions have not told which")


def _parts(first: int, last: int | None, now: int) -> Iterable[tuple[int, int | None]]:
    """The parts of a span of time of which a page was full; one without an end comes to now at least."""
    if last is None:
        until = min(max(first, now), first + DAY - 1)
        return (until + 1, None), (first, until)
    if first == last:
        raise Undecided(f"{PAGE:,} orders or more changed at {first}, and allOrders may not show all")
    middle = (first + last) // 2
    return (first, middle), (middle + 1, last)


def _amended(sent: Sent) -> Inquiry[Order | None]:
    """The order as it stands once it was amended, is closed, or can no longer be amended; None if there is none."""
    request: OrderAmendKeepPriority = sent.request
    number, not_before = request.order_id if sent.told is None else sent.told, 0
    names = _names_of(request) if number is None else (None,)
    while True:
        known: dict[str | None, Order] = {}
        asked_at = 0
        for name in names:
            question = OrderStatus(symbol=request.symbol, order_id=number, orig_client_order_id=name)
            order: Order | None
            order, asked_at = yield Question(question, not_before)
            if order is not None and _is_amended(sent, order, is_by_number=number is not None):
                return order
            if order is not None:
                known[name] = order
        if asked_at >= sent.settled_at:
            return (yield from _amended_if_any(sent, known))
        not_before = sent.settled_at


def _names_of(request: OrderAmendKeepPriority) -> tuple[str | None, ...]:
    """The names to ask for."""
    # An amend gives the order a new name unless it asks for the old one, so both are asked for.
    return tuple(dict.fromkeys((request.new_client_order_id, request.orig_client_order_id)))


def _amended_if_any(sent: Sent, known: Mapping[str | None, Order]) -> Inquiry[Order | None]:
    """The order that the call was about, of those that go by its new name and its old one: that has changed since."""
    order: Order | None = None
    for name, each in known.items():
        # By name, the order that is shown may be an earlier one with the same name.
        order = each if name is None else (yield from _latest(sent, each, name))
        # The quantity tells whether it was amended, and of two the time which one it was.
        demand(order, "orig_qty")
        if len(known) > 1:
            demand(order, "update_time")
        if sent.is_later(order, "update_time"):
            return order
    return order


def _is_amended(sent: Sent, order: Order, *, is_by_number: bool) -> bool:
    """Whether an order was amended, or cannot be amended any more."""
    request: OrderAmendKeepPriority = sent.request
    # The session made this id for the call, so only the call can have given it to the order.
    if sent.is_id_fresh and found(order, "client_order_id") == request.new_client_order_id:
        return True
    # Closed orders cannot be amended. The new quantity shows that it was amended, by whomever.
    is_over = found(order, "status") in CLOSED_STATES or found(order, "orig_qty") == request.new_qty
    return is_over and (is_by_number or sent.is_surely_later(order, "update_time"))


def _replaced(sent: Sent) -> Inquiry[Order | HalfReplaced | None]:
    """The new order; `HalfReplaced` if only one half was done; None if none was."""
    request: OrderCancelReplace = sent.request
    if sent.is_refused:
        return None
    new = yield from _single(sent)
    if new is not None and _is_all_or_nothing(request):
        return new
    old = yield from _old(sent, request, new)
    is_canceled = old is not None and old.status == "CANCELED" and _is_by_call(sent, old, new)
    # Both halves were done.
    if new is not None and is_canceled:
        return new
    return HalfReplaced(old_order=old, new_order=new) if new is not None or is_canceled else None


def _is_all_or_nothing(request: OrderCancelReplace) -> bool:
    """Whether a new order proves the cancel: in this mode the exchange places it only once the old one is canceled."""
    return request.cancel_replace_mode == "STOP_ON_FAILURE"


def _is_by_call(sent: Sent, old: Order, new: Order | None) -> bool:
    """Whether an order was canceled since the call left; or when the new one was placed, whatever the clocks showed."""
    # An answer has said so.
    if sent.has_canceled is not None:
        return sent.has_canceled
    # So has that to another call.
    if sent.was_canceled_by_another(old):
        return False
    demand(old, "update_time")
    return sent.is_later(old, "update_time") or (new is not None and old.update_time == found(new, "time"))


def _old(sent: Sent, request: OrderCancelReplace, new: Order | None) -> Inquiry[Order | None]:
    """The order that was to be canceled, as it stands."""
    number, name = request.cancel_order_id, request.cancel_orig_client_order_id
    # The new order has taken the name of the old one, so a query by that name shows the new one.
    if new is not None and number is None and name == request.new_client_order_id:
        return (yield from _namesake_before(sent, name, new))
    return (yield from _ended(sent, number, name))


def _namesake_before(sent: Sent, name: str | None, new: Order) -> Inquiry[Order | None]:
    """The order that was to be canceled, whose name the new one has taken, if it changed since the call left."""
    orders = yield from _changed_since(sent)
    old = [order for order in orders if order.order_id < new.order_id and order.client_order_id == name]
    return max(old, key=lambda order: order.order_id, default=None)


def _all_canceled(sent: Sent) -> Inquiry[tuple[Order, ...]]:
    """The orders that are open once the call is over. That none is open before says nothing: it may have been so, and
    the call may yet cancel what is placed meanwhile.
    """
    left: tuple[Order, ...] = (yield Question(OpenOrdersStatus(symbol=sent.request.symbol), sent.settled_at)).result
    return left


RULES: Final[dict[type[Request[Any]], Callable[[Sent], Inquiry[Any]]]] = {
    OrderPlace: _single,
    SorOrderPlace: _single,
    OrderCancel: _canceled,
    OrderCancelReplace: _replaced,
    OrderAmendKeepPriority: _amended,
    OpenOrdersCancelAll: _all_canceled,
    OrderListCancel: list_canceled,
    **dict.fromkeys(LEGS, list_placed),
}
"""How to find out what became of each request that changes something."""
