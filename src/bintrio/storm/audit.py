"""The books of a program held against what the exchange did.

An account must show states that were so, in their order, and say rightly up to when it knows them.

The exchange's side of an order, and of a balance, is a `Timeline`: each state that it was in, and from which event on.
What an account says to know up to some moment has to be a state that still held then, or a later one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from .._client.feeds import OUTAGE
from ..account import Change, FillAdded, HoldingChanged, LiveOrder, NotShown, OrderChanged
from ..account.orders import OrderKey
from ..api.enums import CLOSED_STATES
from ..errors import OutcomeUnknown
from ..sandbox import Told, Witness
from .books import Book, Books, Handle, Held, Look, filled, orders_of, shown
from .plan import REUSED

PONG_WINDOW: Final = 60.0
"""Seconds after which a session gives a silent connection up."""

BLIND: Final = PONG_WINDOW + OUTAGE
"""Seconds for which an account may be unaware that it hears nothing (`LiveAccount.is_current`): until a silent
connection is given up (G4), and until a loss is told that is not over by then."""

_NONE: Final[Held] = (Decimal(0), Decimal(0))


class Timeline:
    """The states of an order, or of a balance, each with the number of events before it and the time of it.

    Args:
        first: what it was before the first event.
    """

    def __init__(self, first: Any) -> None:
        self._starts: Final = [0]
        self._times: Final = [0]
        self.states: Final[list[Any]] = [first]

    def add(self, start: int, time: int, state: Any) -> None:
        """It is in another state from then on."""
        self._starts.append(start)
        self._times.append(time)
        self.states.append(state)

    def at(self, seen: int) -> Sequence[Any]:
        """The state after so many events, and all later ones."""
        return self.states[bisect_right(self._starts, seen) - 1 :]

    def later(self, state: Any, position: int) -> int | None:
        """Where it is in a state, from a position on; None if it never is."""
        # States of one time cannot be told apart: which of them an answer shows is not known.
        while position and self._times[position - 1] == self._times[position]:
            position -= 1
        return next((index for index in range(position, len(self.states)) if self.states[index] == state), None)


class Ledgers:
    """The timelines of an exchange's account.

    Args:
        opening: its balances before the first event.
        journal: its events.

    Attributes:
        orders: the timelines of its orders.
        balances: the timelines of its balances.
        shifts: by how much transfers and external locks have changed what is free and what is locked of an asset.
    """

    def __init__(self, opening: Mapping[str, Held], journal: Sequence[Told]) -> None:
        self.orders: Final[dict[OrderKey, Timeline]] = {}
        self.balances: Final = {asset: Timeline(held) for asset, held in opening.items()}
        self.shifts: Final[set[tuple[str, Held]]] = set()
        for index, told in enumerate(journal, start=1):
            self._enter(index, told.event)

    def _enter(self, index: int, event: Mapping[str, Any]) -> None:
        if event["e"] == "executionReport":
            # An order's states are told apart by the numbers of their events: several may have one time.
            state = event["X"], Decimal(event["z"]), Decimal(event["q"])
            self.orders.setdefault((event["s"], event["i"]), Timeline(None)).add(index, index, state)
        elif event["e"] == "outboundAccountPosition":
            for each in event["B"]:
                # Those of a balance by their times, as the account itself does.
                held = Decimal(each["f"]), Decimal(each["l"])
                self.balances.setdefault(each["a"], Timeline(_NONE)).add(index, event["u"], held)
        elif event["e"] == "balanceUpdate":
            self.shifts.add((event["a"], (Decimal(event["d"]), Decimal(0))))
        elif event["e"] == "externalLockUpdate":
            # What is locked was free ("External Lock Update" of user-data-stream.md).
            self.shifts.add((event["a"], (-Decimal(event["d"]), Decimal(event["d"]))))


def untruths(
    books: Books, witness: Witness, placed: Mapping[int, Any], *, is_dated: bool, late: float
) -> Iterator[str]:
    """What was untrue in the books.

    Args:
        books: of the program.
        witness: of the exchange.
        placed: what each call of the program placed, by its number; None if nothing.
        is_dated: whether the exchange's clock went as clocks do, so that its times can be compared.
        late: seconds by which the exchange's events were late at most.
    """
    yield from books.untrue
    ledgers = Ledgers(books.opening, witness.events)
    # Where the clock was adjusted, dates say nothing of the order of things.
    dates = [told.time for told in witness.events] if is_dated else []
    for book in books.books:
        yield from of_changes(book.changes, ledgers)
        yield from of_looks(book, ledgers, dates, BLIND + late)
        yield from of_calls(book, placed)
        if book.is_at_rest:
            yield from of_rest(book, ledgers, can_tell_fills=not _refused_fills(witness))


def _refused_fills(witness: Witness) -> bool:
    """Whether the exchange has refused to tell trades: what it refuses is not asked for again and again."""
    answers = (call.answer for call in witness.calls if call.incoming.method in {"myTrades", "myAllocations"})
    return any(answer is not None and answer.status >= 400 for answer in answers)


# Changes


def of_changes(changes: Sequence[Change], ledgers: Ledgers) -> Iterator[str]:
    """Each order and balance was once as it was told, and none went back; each fill was told once."""
    positions: dict[Any, int] = {}
    for change in changes:
        yield from _of_told(change, ledgers, positions)
    fills = [_key_of(change) for change in changes if isinstance(change, FillAdded)]
    if len(fills) != len(set(fills)):
        yield f"an account told a fill twice: {fills}"


def _of_told(change: Change, ledgers: Ledgers, positions: dict[Any, int]) -> Iterator[str]:
    match change:
        case OrderChanged(after=order):
            key = order.symbol, order.order_id
            yield from _of_change(change, ledgers.orders.get(key), key, shown(order), positions)
        case HoldingChanged(after=after) if after.is_certain:
            held = after.free, after.locked
            yield from _of_change(change, ledgers.balances.get(after.asset), after.asset, held, positions)
        # What is not certain may be older than what was told before, so it is held against its own event alone.
        case HoldingChanged(source="event"):
            yield from _of_shift(change, ledgers.shifts)
        # The sandbox keeps every order.
        case NotShown():
            yield f"an account says that the exchange shows no more, though it does: {change.last}"
        case _:
            pass


def _of_shift(change: HoldingChanged, shifts: Collection[tuple[str, Held]]) -> Iterator[str]:
    """A balance that an event leaves uncertain has changed by what the event says."""
    before, after = change.before, change.after
    free, locked = _NONE if before is None else (before.free, before.locked)
    if (after.asset, (after.free - free, after.locked - locked)) not in shifts:
        yield f"{after.asset} changed from {before} to {after}, and no event says so"


def _of_change(
    change: Change, timeline: Timeline | None, name: Any, state: Any, positions: dict[Any, int]
) -> Iterator[str]:
    position = None if timeline is None else timeline.later(state, positions.get(name, 0))
    if position is None:
        states = [] if timeline is None else timeline.states[positions.get(name, 0) :]
        yield f"{name} was not {state} at or after what was told, as {change.source} {change.version} says: {states}"
    else:
        positions[name] = position


def _key_of(change: FillAdded) -> tuple[Any, ...]:
    return change.symbol, change.order_id, change.fill.trade_id, change.fill.alloc_id


# Looks


def of_looks(book: Book, ledgers: Ledgers, dates: Sequence[int], blind: float) -> Iterator[str]:
    """What an account showed was so at the time up to which it said to know everything, or later."""
    for number, look in enumerate(book.looks):
        bound = _known_until(look, book.looks[:number], dates, blind)
        yield from _of_orders(look, ledgers.orders, bound)
        for asset, held in look.balances.items():
            if held not in ledgers.balances[asset].at(bound):
                yield f"{asset} was {held} at {look.time:g}, and never after {bound} events"


def _known_until(look: Look, before: Sequence[Look], dates: Sequence[int], blind: float) -> int:
    """How many events an account says that it knows, or at least how many it must know."""
    # Nothing is under way any more, so it must know all.
    if look.is_at_rest:
        return look.seen
    # It takes itself for current, and may not have noticed a loss within that time.
    if look.as_of is None:
        return max((each.seen for each in before if each.time < look.time - blind), default=0)
    return bisect_right(dates, look.as_of)


def _of_orders(look: Look, timelines: Mapping[OrderKey, Timeline], bound: int) -> Iterator[str]:
    for key, timeline in timelines.items():
        states = timeline.at(bound)
        # What it does not show as open was not yet, or is no more.
        fits = look.orders[key] in states if key in look.orders else any(map(_is_not_open, states))
        if not fits:
            yield f"order {key} was {look.orders.get(key)} at {look.time:g}, and only {states} after {bound} events"


def _is_not_open(state: Any) -> bool:
    return state is None or state[0] in CLOSED_STATES


# Rest


def of_rest(book: Book, ledgers: Ledgers, *, can_tell_fills: bool) -> Iterator[str]:
    """When everything has come to rest, an account is certain, and all is known of each order."""
    account, look = book.account, book.looks[-1]
    if look.as_of is not None or not look.is_certain:
        yield f"an account is not certain at rest: {account!r}"
    for order in (*account.orders.values(), *account.closed_orders.values()):
        key = order.symbol, order.order_id
        if shown(order) != ledgers.orders[key].states[-1]:
            yield f"order {key} is {shown(order)} at rest, instead of {ledgers.orders[key].states}"
        executed = sum((fill.qty for fill in account.fills(*key)), Decimal(0))
        if executed != order.executed_qty and can_tell_fills:
            yield f"the fills of {key} make up {executed} instead of {order.executed_qty}"
    for placed in book.placed():
        yield from _of_end(placed, ledgers.orders, can_tell_fills=can_tell_fills)


def _of_end(order: LiveOrder, timelines: Mapping[OrderKey, Timeline], *, can_tell_fills: bool) -> Iterator[str]:
    """A handle tells how its order ended."""
    # Whose order it was cannot be told of an id that was used before, which is said.
    if order.key is None:
        # Of several calls with one id nobody can tell whose an order is, and that is said.
        is_shared = order.client_order_id in REUSED and isinstance(order.error, OutcomeUnknown)
        if not (order.was_refused or is_shared):
            yield f"{order} is not known at rest"
        return
    state = timelines[order.key].states[-1]
    if order.state is None or shown(order.state) != state:
        yield f"{order} is {order.state} at rest, instead of {state}"
    if filled(order) != state[1] and can_tell_fills:
        yield f"{order} has fills of {filled(order)} at rest, instead of {state[1]}"


# Calls


def of_calls(book: Book, placed: Mapping[int, Any]) -> Iterator[str]:
    """A handle shows the orders of its call, or none yet, and does not say that nothing was placed if something was."""
    for number in book.calls:
        handle, orders = book.handles.get(number), _orders_placed(placed.get(number))
        if handle is not None:
            yield from _of_handle(handle, number, orders)
        elif orders:
            yield f"call {number} placed {orders}, of which the account has no handle (G1)"


def _of_handle(handle: Handle, number: int, orders: set[int]) -> Iterator[str]:
    found = {order.order_id for order in orders_of(handle) if order.order_id is not None}
    # A handle that knows nothing yet says nothing untrue.
    is_of_others = bool(found) and found != orders
    if is_of_others or (handle.was_refused and orders):
        yield f"{handle} is of {found or None}, and call {number} placed {orders or None} (G1, G7)"


def _orders_placed(result: Any) -> set[int]:
    """The ids of the orders that a call has placed, by its result."""
    return set() if result is None else {order.order_id for order in getattr(result, "orders", (result,))}
