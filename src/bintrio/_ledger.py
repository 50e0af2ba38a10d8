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

What was left out: fairness. Who waits asks again when its delay is over; whoever keeps the queue decides who is first.
Asking again as soon as something is settled is allowed, and often finds room earlier.

Source: "Rate limits" of the exchange's WebSocket API document.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from operator import add
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


class Charge:
    """A cost that was charged and is neither settled nor cancelled. What it holds is the ledger's business.

    Attributes:
        cost: as charged.
        at: exchange time of charging, in milliseconds.
    """

    __slots__ = ("at", "cost", "order", "settled_before")

    def __init__(self, cost: Cost, at: int, order: int, settled_before: Cost) -> None:
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
        # In the order of charging.
        self._open: dict[Charge, None] = {}
        self._settled = Cost()
        self._order = 0
        self._held: dict[Scope, int] = {"everything": 0, "orders": 0}
        self._now = 0
        # When the next window of any budget turns, so that most calls need not ask each.
        self._turns_at = _FOREVER

    def delay(self, cost: Cost, now: int) -> float:
        """See `Ledger.delay`."""
        self._advance(now)
        free_at = [budget.free_at(cost) for budget in self._budgets.values()]
        held_until = self._held["everything"], self._held["orders"] if cost.orders else 0
        return max(0, max(*free_at, *held_until) - self._now) / 1000

    def charge(self, cost: Cost, now: int) -> Charge:
        """See `Ledger.charge`."""
        self._advance(now)
        self._order += 1
        charge = Charge(cost, self._now, self._order, self._settled)
        self._open[charge] = None
        for budget in self._budgets.values():
            budget.open(charge)
        return charge

    def settle(self, charge: Charge, counts: Iterable[RateLimit], now: int) -> None:
        """See `Ledger.settle`. A charge that is settled or cancelled already only brings its counts."""
        reported = self._learn(counts, now)
        if charge in self._open:
            self._close(charge, reported)
        else:
            self._raise(reported)

    def cancel(self, charge: Charge) -> None:
        """See `Ledger.cancel`. To cancel what was settled or cancelled changes nothing."""
        if charge in self._open:
            del self._open[charge]
            for budget in self._budgets.values():
                budget.close(charge)

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
        self._now = max(self._now, now)
        if self._now >= self._turns_at:
            for budget in self._budgets.values():
                budget.turn(self._now)
            self._turns_at = min(budget.turns_at for budget in self._budgets.values())
        while self._open and self._now - (oldest := next(iter(self._open))).at >= LONGEST_FLIGHT:
            self._close(oldest, {})

    def _close(self, charge: Charge, reported: dict[_Budget, int]) -> None:
        del self._open[charge]
        for budget in self._budgets.values():
            budget.settle(charge, reported.get(budget), self._settled, self._order, self._now)
        self._settled = Cost(*map(add, self._settled, charge.cost))

    def _raise(self, reported: dict[_Budget, int]) -> None:
        for budget, count in reported.items():
            budget.raise_to(count, self._order)

    def _learn(self, counts: Iterable[RateLimit], now: int) -> dict[_Budget, int]:
        self._advance(now)
        found = [(self._budget(limit), limit.count) for limit in counts]
        return {budget: count for budget, count in found if count is not None}

    def _budget(self, limit: RateLimit) -> _Budget:
        key = (limit.rate_limit_type, limit.interval, limit.interval_num)
        budget = self._budgets.get(key)
        if budget is None:
            budget = self._budgets[key] = _Budget(_bare(limit), self._margin, self._now)
            self._turns_at = min(self._turns_at, budget.turns_at)
            for charge in self._open:
                budget.open(charge)
        elif budget.limit.limit != limit.limit:
            budget.limit = _bare(limit)
        return budget

    def _turn_of_what_is_full(self, scope: Scope) -> int:
        budgets = [b for b in self._budgets.values() if b.limit.rate_limit_type == _TYPE_OF[scope]]
        turns = [budget.turns_at for budget in budgets if budget.is_bounded and budget.used >= budget.limit.limit]
        return max(turns, default=self._now + UNSTATED_BACK_OFF)


class _Budget:
    """One limit, and its current window.

    Attributes:
        limit: as the exchange published it last.
        turns_at: exchange time in milliseconds at which the window is over here, margin included.
    """

    __slots__ = (
        "_began_at",
        "_carried",
        "_foreign_since",
        "_item",
        "_known",
        "_length",
        "_margin",
        "_open",
        "_spilt",
        "limit",
        "turns_at",
    )

    def __init__(self, limit: RateLimit, margin: int, now: int) -> None:
        self.limit = limit
        self._item = _COST_OF.get(limit.rate_limit_type)
        self._length = _MILLISECONDS.get(limit.interval, 0) * limit.interval_num
        self._margin = margin
        # Use of the current window: known, open, open since the last window.
        self._known = self._open = self._carried = 0
        # Of what is known, the part that may have arrived in the next window already.
        self._spilt = 0
        # The latest charge when use by others last showed.
        self._foreign_since = 0
        self._enter(now)

    @property
    def is_bounded(self) -> bool:
        """Whether both type and interval are understood."""
        return self._item is not None and self._length > 0

    @property
    def used(self) -> int:
        return self._known + self._open + self._carried

    def free_at(self, cost: Cost) -> int:
        """When the cost fits, or at least is worth trying; 0 for now."""
        part = self._part(cost)
        if part == 0 or not self.is_bounded:
            return 0
        if part > self.limit.limit:
            raise InvalidRequest(f"this takes {part} of {_in_words(self.limit)}, so it can never be sent")
        return 0 if self.used + part <= self.limit.limit else self.turns_at

    def turn(self, now: int) -> None:
        """Enter the window that it is time for."""
        if now < self.turns_at:
            return
        is_next = now < self.turns_at + self._length
        self._known = self._spilt if is_next else 0
        self._carried = self._open if is_next else 0
        self._open = self._spilt = 0
        self._enter(now)

    def open(self, charge: Charge) -> None:
        self._move(charge, 1)

    def close(self, charge: Charge) -> int:
        """Take a charge out again; how much of it counted still."""
        return self._move(charge, -1)

    def settle(self, charge: Charge, count: int | None, settled: Cost, order: int, now: int) -> None:
        """Move a charge from open to known, and let the count, if any, put right what is known."""
        part = self.close(charge)
        if now >= self.turns_at - 2 * self._margin:
            self._spilt += part
        known = self._known + part
        if count is None or charge.at < self._began_at:
            self._known = known
        elif count > known + self._open + self._carried:
            self._known = count
            self._foreign_since = order
        elif charge.order > self._foreign_since:
            settled_since = self._part(settled) - self._part(charge.settled_before)
            self._known = max(count, min(known, count + settled_since))
        else:
            self._known = max(count, known)

    def raise_to(self, count: int, order: int) -> None:
        if count > self._known:
            self._known = count
            self._foreign_since = order

    def _part(self, cost: Cost) -> int:
        return 0 if self._item is None else cost[self._item]

    def _enter(self, now: int) -> None:
        if self._length:
            self._began_at = now - (now - self._margin) % self._length
            self.turns_at = self._began_at + self._length
        else:
            self._began_at, self.turns_at = 0, _FOREVER

    def _move(self, charge: Charge, sign: Literal[1, -1]) -> int:
        part = self._part(charge.cost)
        if charge.at >= self._began_at:
            self._open += sign * part
        elif charge.at >= self._began_at - self._length:
            self._carried += sign * part
        else:
            return 0
        return part


def _bare(limit: RateLimit) -> RateLimit:
    return msgspec.structs.replace(limit, count=None)


def _in_words(limit: RateLimit) -> str:
    window = f"{limit.interval_num} {limit.interval}"
    return f"the limit of {limit.limit} {limit.rate_limit_type} per {window}"
