"""Rate limits: may a call go out now, and if not, when.

**Everything comes from the exchange.** Limits are learned from exchangeInfo and from the counts in each answer. What
was never mentioned does not limit; a type or interval that is not known here is shown, and does not limit either.

**Windows.** They are aligned to the exchange's clock: full minutes, days from 00:00 UTC. So every time here is exchange
time, in integer milliseconds. Our estimate of it may be wrong by a little, and nobody can see from here in which window
a call arrives that leaves close to a turn. Hence the `margin`: windows turn here that much later than by the estimate,
and what is settled within a margin of the exchange's turn counts in both windows.

**What is used up** in a window is never less than the truth, as far as our own calls go. It is

    known        what the exchange reported, and what was settled since
    + open       charged, not yet answered; it may arrive in this window or, if charged in the last one, in this one

An answer *settles* a charge. With a count c that refers to this window, the truth lies between c and c plus whatever
was settled since the call was charged: the rest was answered before it left, so the exchange had counted it before c.
That is why answers may come in any order: a stale c is low, but the sum on top of it is high. Without a count, the
charge itself moves from open to known. A count also tells of others on the same address or account. If c is more than
we can account for, it is them; from then on only calls charged later may lower what is known: earlier ones may not know
of them.

Lowering matters. A trading call weighs its weight when it fails and 0 when it succeeds, and an order that fills is
counted no longer. So calls are charged in full and the count puts it right.

A charge counts in its window and the next, then is forgotten: the exchange gives up on a call after 10 s, the length of
the shortest window it publishes. A charge that is not settled for a minute is settled without a count; otherwise a lost
answer would weigh twice on a whole day, once as open and once in every count. A call that was never sent is cancelled,
as if never charged.

**After 429 and 418** nothing goes out before the time they name. The order limit (-1015) holds only what costs orders:
it can last until midnight, and cancelling must stay possible.

**The common case is short**, as every call passes here three times. A budget keeps the sum, `used`, because to settle a
charge only moves it from open to known; a cost visits the budgets that it takes of, and no other; and nothing turns or
expires before `_due_at`.

What was left out: fairness. Who waits asks again when its delay is over; whoever keeps the queue decides who is first.
Asking again as soon as something is settled is allowed, and often finds room earlier.

Source: "Rate limits" of the exchange's WebSocket API document.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from .errors import InvalidRequest

if TYPE_CHECKING:
    from .api._values import RateLimit

MARGIN: Final = 250
"""Milliseconds. An estimate of the exchange's time is good for half a round trip, so this does for half a second of it.
Only a call that found its window full ever waits for it."""

LONGEST_FLIGHT: Final = 60_000
"""Milliseconds after which a call has certainly been counted, if ever: the exchange gives up after ten seconds
("General API Information"), and the rest is for the way there."""

UNSTATED_BACK_OFF: Final = 60_000
"""Milliseconds to hold everything after a 429 that does not say until when, and nothing known tells why."""

_FOREVER: Final = sys.maxsize

_MILLISECONDS: Final[dict[str, int]] = {"SECOND": 1_000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}

Scope: TypeAlias = Literal["everything", "orders"]

_TYPE_OF: Final[dict[Scope, str]] = {"everything": "REQUEST_WEIGHT", "orders": "ORDERS"}
"""Which type of limit is to blame for a 429 of that scope."""


class Cost(NamedTuple):
    """What a call, or opening a connection, takes of each kind of limit."""

    weight: int = 0
    orders: int = 0
    connections: int = 0


_COST_OF: Final[dict[str, int]] = {"REQUEST_WEIGHT": 0, "ORDERS": 1, "CONNECTIONS": 2}
"""Which item of a `Cost` counts against which type of limit."""

_Settled: TypeAlias = tuple[int, int, int]
"""The sum of all costs settled so far, item by item. A plain tuple, for one is made with every answer."""


class Charge:
    """A cost that was charged and is neither settled nor cancelled. What it holds is the ledger's business.

    Attributes:
        cost: as charged.
        at: exchange time of charging, in milliseconds.
    """

    __slots__ = ("at", "cost", "order", "settled_before")

    def __init__(self, cost: Cost, at: int, order: int, settled_before: _Settled) -> None:
        self.cost = cost
        self.at = at
        self.order = order
        self.settled_before = settled_before


class Ledger(Protocol):
    """Who keeps the budgets. Every ``now`` is the exchange's time in milliseconds."""

    def delay(self, cost: Cost, now: int) -> float:
        """Seconds until the cost fits, or until it is worth asking again; 0 if it may be charged now.

        Raises:
            InvalidRequest: the cost is more than a whole limit, so that it never fits.
        """
        ...

    def charge(self, cost: Cost, now: int) -> Charge:
        """Count a cost from now on, whether or not it fits."""
        ...

    def settle(self, charge: Charge, counts: Iterable[RateLimit], now: int) -> None:
        """The call was answered, with these counts, or its outcome is unknown and there are none."""
        ...

    def cancel(self, charge: Charge) -> None:
        """The call was never sent."""
        ...

    def record(self, counts: Iterable[RateLimit], now: int) -> None:
        """Learn limits, and counts that came with no call that was charged. They only ever raise what is known."""
        ...

    def back_off(self, until: int | None, now: int, scope: Scope = "everything") -> None:
        """429 or 418: hold everything, or all that costs orders, until that time.

        None, if the exchange gave no time: until the window turns that is used up. Settle the charge first.
        """
        ...

    def used(self, limit_type: str, now: int) -> Sequence[tuple[RateLimit, int]]:
        """The limits of one type, and what is used up of each."""
        ...


class LocalLedger:
    """The `Ledger` of one process.

    Args:
        margin: milliseconds by which the estimate of the exchange's time may be wrong, either way.
    """

    def __init__(self, margin: int = MARGIN) -> None:
        self._margin = margin
        self._budgets: dict[tuple[str, str, int], _Budget] = {}
        # What each cost takes of which budgets. There are few different costs.
        self._parts: dict[Cost, tuple[tuple[_Budget, int], ...]] = {}
        # In the order of charging.
        self._open: dict[Charge, None] = {}
        self._settled: _Settled = (0, 0, 0)
        self._order = 0
        self._held: dict[Scope, int] = {"everything": 0, "orders": 0}
        self._now = 0
        # No window turns before this, and no open charge has been out for too long.
        self._due_at = 0

    def delay(self, cost: Cost, now: int) -> float:
        """See `Ledger.delay`."""
        self._advance(now)
        free_at = self._held["everything"]
        if cost.orders:
            free_at = max(free_at, self._held["orders"])
        for budget, part in self._parts_of(cost):
            if budget.used + part > budget.limit.limit:
                free_at = max(free_at, budget.free_at(part))
        return max(0, free_at - self._now) / 1000

    def charge(self, cost: Cost, now: int) -> Charge:
        """See `Ledger.charge`."""
        self._advance(now)
        self._order += 1
        charge = Charge(cost, self._now, self._order, self._settled)
        self._open[charge] = None
        for budget, part in self._parts_of(cost):
            budget.open(part)
        return charge

    def settle(self, charge: Charge, counts: Iterable[RateLimit], now: int) -> None:
        """See `Ledger.settle`. A charge that is settled or cancelled already only brings its counts."""
        reported = self._learn(counts, now)
        if charge not in self._open:
            self._raise(reported)
            return
        settled = self._settled
        self._close(charge)
        for budget, count in reported:
            budget.correct(count, charge, settled, self._order)

    def cancel(self, charge: Charge) -> None:
        """See `Ledger.cancel`. To cancel what was settled or cancelled changes nothing."""
        if charge in self._open:
            del self._open[charge]
            for budget, part in self._parts_of(charge.cost):
                budget.cancel(part, charge.at)

    def record(self, counts: Iterable[RateLimit], now: int) -> None:
        """See `Ledger.record`."""
        self._raise(self._learn(counts, now))

    def back_off(self, until: int | None, now: int, scope: Scope = "everything") -> None:
        """See `Ledger.back_off`."""
        self._advance(now)
        held_until = self._turn_of_what_is_full(scope) if until is None else until + self._margin
        self._held[scope] = max(self._held[scope], held_until)

    def used(self, limit_type: str, now: int) -> list[tuple[RateLimit, int]]:
        """See `Ledger.used`."""
        self._advance(now)
        return [(b.limit, b.used) for b in self._budgets.values() if b.limit.rate_limit_type == limit_type]

    def _advance(self, now: int) -> None:
        # A clock that was put right may step back a little. A window that has begun does not end by that.
        if now > self._now:
            self._now = now
            if now >= self._due_at:
                self._catch_up()

    def _catch_up(self) -> None:
        for budget in self._budgets.values():
            budget.turn(self._now)
        while self._open and self._now - (oldest := next(iter(self._open))).at >= LONGEST_FLIGHT:
            self._close(oldest)
        # Whatever is charged later is due later than the oldest, or than what would be charged now.
        oldest_at = next(iter(self._open)).at if self._open else self._now
        self._due_at = min([oldest_at + LONGEST_FLIGHT, *(budget.turns_at for budget in self._budgets.values())])

    def _parts_of(self, cost: Cost) -> tuple[tuple[_Budget, int], ...]:
        parts = self._parts.get(cost)
        if parts is None:
            parts = tuple((budget, part) for budget in self._budgets.values() if (part := budget.part(cost)))
            self._parts[cost] = parts
        return parts

    def _close(self, charge: Charge) -> None:
        del self._open[charge]
        for budget, part in self._parts_of(charge.cost):
            budget.settle(part, charge.at, self._now)
        weight, orders, connections = self._settled
        cost = charge.cost
        self._settled = (weight + cost.weight, orders + cost.orders, connections + cost.connections)

    def _raise(self, reported: list[tuple[_Budget, int]]) -> None:
        for budget, count in reported:
            budget.raise_to(count, self._order)

    def _learn(self, counts: Iterable[RateLimit], now: int) -> list[tuple[_Budget, int]]:
        self._advance(now)
        reported: list[tuple[_Budget, int]] = []
        for limit in counts:
            budget = self._budgets.get((limit.rate_limit_type, limit.interval, limit.interval_num))
            if budget is None:
                budget = self._add_budget(limit)
            elif budget.limit.limit != limit.limit:
                budget.limit = _bare(limit)
            if limit.count is not None:
                reported.append((budget, limit.count))
        return reported

    def _add_budget(self, limit: RateLimit) -> _Budget:
        budget = _Budget(_bare(limit), self._margin, self._now)
        self._budgets[limit.rate_limit_type, limit.interval, limit.interval_num] = budget
        self._parts.clear()
        self._due_at = min(self._due_at, budget.turns_at)
        for charge in self._open:
            budget.adopt(budget.part(charge.cost), charge.at)
        return budget

    def _turn_of_what_is_full(self, scope: Scope) -> int:
        budgets = [b for b in self._budgets.values() if b.limit.rate_limit_type == _TYPE_OF[scope]]
        return max([budget.turns_at for budget in budgets if budget.is_full], default=self._now + UNSTATED_BACK_OFF)


class _Budget:
    """One limit, and its current window.

    Attributes:
        limit: as the exchange published it last.
        used: what is used up of the current window: known and open.
        turns_at: exchange time in milliseconds at which the window is over here, margin included.
    """

    __slots__ = (
        "_began_at",
        "_carried",
        "_foreign_since",
        "_item",
        "_length",
        "_margin",
        "_open",
        "_spills_from",
        "_spilt",
        "limit",
        "turns_at",
        "used",
    )

    def __init__(self, limit: RateLimit, margin: int, now: int) -> None:
        self.limit = limit
        self._item = _COST_OF.get(limit.rate_limit_type)
        # 0 if the interval is not understood: a window without an end, and no limit.
        self._length = max(0, _MILLISECONDS.get(limit.interval, 0) * limit.interval_num)
        self._margin = margin
        # Of what is used: what is open, and what of that was charged in the last window.
        self.used = self._open = self._carried = 0
        # Of what is known, the part that may have arrived in the next window already.
        self._spilt = 0
        # The latest charge when use by others last showed.
        self._foreign_since = 0
        self._enter(now)

    @property
    def is_full(self) -> bool:
        return self._length > 0 and self.used >= self.limit.limit

    def part(self, cost: Cost | _Settled) -> int:
        """What of a cost counts here; 0 if the type of limit is not understood."""
        return 0 if self._item is None else cost[self._item]

    def free_at(self, part: int) -> int:
        """When what does not fit now will, or at least is worth trying; 0 if this does not limit."""
        if self._length == 0:
            return 0
        if part > self.limit.limit:
            raise InvalidRequest(f"this takes {part} of {_in_words(self.limit)}, so it can never be sent")
        return self.turns_at

    def turn(self, now: int) -> None:
        """Enter the window that it is time for."""
        if now < self.turns_at:
            return
        is_next = now < self.turns_at + self._length
        self._open = self._carried = self._open - self._carried if is_next else 0
        self.used = self._open + self._spilt if is_next else 0
        self._spilt = 0
        self._enter(now)

    def open(self, part: int) -> None:
        """Count what is charged now, hence in this window."""
        self._open += part
        self.used += part

    def adopt(self, part: int, at: int) -> None:
        """Count what was charged before this limit was known."""
        if at >= self._began_at - self._length:
            self.open(part)
            if at < self._began_at:
                self._carried += part

    def cancel(self, part: int, at: int) -> None:
        """Take a charge out again."""
        self.used -= self._close(part, at)

    def settle(self, part: int, at: int, now: int) -> None:
        """Move a charge from open to known."""
        closed = self._close(part, at)
        if now >= self._spills_from:
            self._spilt += closed

    def correct(self, count: int, charge: Charge, settled: _Settled, order: int) -> None:
        """Let the count that came with a charge's answer put right what is known. That charge is not in ``settled``."""
        if charge.at < self._began_at:
            return
        if count > self.used:
            self._foreign_since = order
        least = count + self._open
        if self.used < least:
            self.used = least
        elif self.used > least and charge.order > self._foreign_since:
            settled_since = self.part(settled) - self.part(charge.settled_before)
            self.used = min(self.used, least + settled_since)

    def raise_to(self, count: int, order: int) -> None:
        if count + self._open > self.used:
            self.used = count + self._open
            self._foreign_since = order

    def _close(self, part: int, at: int) -> int:
        """How much of a charge counted still."""
        if at < self._began_at:
            if at < self._began_at - self._length:
                return 0
            self._carried -= part
        self._open -= part
        return part

    def _enter(self, now: int) -> None:
        if self._length:
            self._began_at = now - (now - self._margin) % self._length
            self.turns_at = self._began_at + self._length
        else:
            self._began_at, self.turns_at = 0, _FOREVER
        self._spills_from = self.turns_at - 2 * self._margin


def _bare(limit: RateLimit) -> RateLimit:
    return msgspec.structs.replace(limit, count=None)


def _in_words(limit: RateLimit) -> str:
    window = f"{limit.interval_num} {limit.interval}"
    return f"the limit of {limit.limit} {limit.rate_limit_type} per {window}"
