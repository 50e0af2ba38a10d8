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

**The common case is short**, as every call passes here three times. What is charged and what is settled is summed up
once for each kind of cost (`_Tally`), not for each limit; a budget remembers by how much it differs from that: what the
exchange reported, and what counts no longer. So a count that tells nothing new changes nothing. No window turns and
nothing expires before `_due_at`. And no budget is looked at to see whether a cost fits while there is `_room` for it:
what the fullest had when it was looked at last, less all that came on top since. That use went down is seen only when
the room seems gone.

What was left out: fairness. Who waits asks again when its delay is over; whoever keeps the queue decides who is first.
Asking again as soon as something is settled is allowed, and often finds room earlier.

Source: "Rate limits" of the exchange's WebSocket API document.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
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
_UNKNOWN: Final = -_FOREVER

_MILLISECONDS: Final[dict[str, int]] = {"SECOND": 1_000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}

Scope: TypeAlias = Literal["everything", "orders"]

_TYPE_OF: Final[dict[Scope, str]] = {"everything": "REQUEST_WEIGHT", "orders": "ORDERS"}
"""Which type of limit is to blame for a 429 of that scope."""


class Cost(NamedTuple):
    """What a call, or opening a connection, takes of each kind of limit."""

    weight: int = 0
    orders: int = 0
    connections: int = 0


_ITEMS: Final[dict[str, int]] = {"REQUEST_WEIGHT": 0, "ORDERS": 1, "CONNECTIONS": 2}
"""Which item of a `Cost` counts against which type of limit."""


class Charge(msgspec.Struct, eq=False):
    """A cost that was charged and is neither settled nor cancelled. What it holds is the ledger's business.

    Attributes:
        cost: as charged.
        at: exchange time of charging, in milliseconds.
        order: how many charges there had been, with it.
        parts: what the cost adds to which tallies.
        settled_before: what was settled in all before it was charged, item by item.
    """

    cost: Cost
    at: int
    order: int
    parts: _Parts
    settled_before: tuple[int, ...]


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
        # One for each item of a cost.
        self._tallies: Final = (_Tally(), _Tally(), _Tally())
        # There are few different costs.
        self._shares: dict[Cost, _Share] = {}
        # In the order of charging.
        self._open: dict[Charge, None] = {}
        self._order = 0
        self._held: dict[Scope, int] = {"everything": 0, "orders": 0}
        self._now = 0
        # No window turns before this, and no open charge has been out for too long.
        self._due_at = 0
        # To settle a charge concerns its tallies only, if it was charged from this time on, and is settled before that.
        self._began_at = 0
        self._spills_from = _FOREVER
        # At least so much of each kind may be charged before any budget is full.
        self._room = _UNKNOWN

    def delay(self, cost: Cost, now: int) -> float:
        """See `Ledger.delay`."""
        if now > self._now:
            self._advance(now)
        share = self._shares.get(cost) or self._add_share(cost)
        return 0 if share.most <= self._room else self._look(cost)

    def charge(self, cost: Cost, now: int) -> Charge:
        """See `Ledger.charge`."""
        if now > self._now:
            self._advance(now)
        share = self._shares.get(cost) or self._add_share(cost)
        for tally, part in share.parts:
            tally.charged += part
        self._room -= share.most
        self._order += 1
        weight, orders, connections = self._tallies
        settled_before = (weight.settled, orders.settled, connections.settled)
        charge = Charge(cost, self._now, self._order, share.parts, settled_before)
        self._open[charge] = None
        return charge

    def settle(self, charge: Charge, counts: Iterable[RateLimit], now: int) -> None:
        """See `Ledger.settle`. A charge that is settled or cancelled already only brings its counts."""
        if now > self._now:
            self._advance(now)
        if charge not in self._open:
            self.record(counts, now)
            return
        self._close(charge)
        for limit in counts:
            budget = self._budgets.get((limit.rate_limit_type, limit.interval, limit.interval_num))
            if budget is None or budget.limit.limit != limit.limit:
                budget = self._learn(limit, charge)
            if limit.count is not None:
                more = limit.count - budget.tally.settled - budget.known_beyond
                if more and charge.at >= budget.began_at:
                    self._room -= budget.correct(more, charge, self._order)

    def cancel(self, charge: Charge) -> None:
        """See `Ledger.cancel`. To cancel what was settled or cancelled changes nothing."""
        if charge in self._open:
            del self._open[charge]
            for tally, part in charge.parts:
                tally.charged -= part
            for budget in self._budgets.values():
                budget.close(budget.part(charge.cost), charge.at)

    def record(self, counts: Iterable[RateLimit], now: int) -> None:
        """See `Ledger.record`."""
        if now > self._now:
            self._advance(now)
        self._room = _UNKNOWN
        for limit in counts:
            budget = self._learn(limit)
            if limit.count is not None:
                budget.raise_to(limit.count, self._order)

    def back_off(self, until: int | None, now: int, scope: Scope = "everything") -> None:
        """See `Ledger.back_off`."""
        self._advance(now)
        self._room = _UNKNOWN
        held_until = self._turn_of_what_is_full(scope) if until is None else until + self._margin
        self._held[scope] = max(self._held[scope], held_until)

    def used(self, limit_type: str, now: int) -> list[tuple[RateLimit, int]]:
        """See `Ledger.used`."""
        self._advance(now)
        return [(b.limit, b.used) for b in self._budgets.values() if b.limit.rate_limit_type == limit_type]

    def _look(self, cost: Cost) -> float:
        """The delay, by a look at each budget, and the room there is."""
        held_until = max(self._held.values())
        is_held = self._now < held_until
        self._room = _UNKNOWN if is_held else min((b.room for b in self._budgets.values()), default=_FOREVER)
        free_at = held_until if cost.orders else self._held["everything"]
        for budget in self._budgets.values():
            part = budget.part(cost)
            if part and budget.used + part > budget.limit.limit:
                free_at = max(free_at, budget.free_at(part))
        return max(0, min(free_at, _FOREVER) - self._now) / 1000

    def _advance(self, now: int) -> None:
        # A clock that was put right may step back a little. A window that has begun does not end by that.
        if now > self._now:
            self._now = now
            if now >= self._due_at:
                self._catch_up()

    def _catch_up(self) -> None:
        for budget in self._budgets.values():
            budget.turn(self._now)
        self._note_windows()
        while self._open and self._now - (oldest := next(iter(self._open))).at >= LONGEST_FLIGHT:
            self._close(oldest)
        # Whatever is charged later is due later than the oldest, or than what would be charged now.
        oldest_at = next(iter(self._open)).at if self._open else self._now
        self._due_at = min([oldest_at + LONGEST_FLIGHT, *(budget.turns_at for budget in self._budgets.values())])

    def _note_windows(self) -> None:
        budgets = self._budgets.values()
        self._began_at = max((budget.began_at for budget in budgets), default=0)
        self._spills_from = min((budget.spills_from for budget in budgets), default=_FOREVER)
        self._room = _UNKNOWN

    def _add_share(self, cost: Cost) -> _Share:
        parts = tuple((tally, part) for tally, part in zip(self._tallies, cost, strict=True) if part)
        share = self._shares[cost] = _Share(max(cost), parts)
        return share

    def _close(self, charge: Charge) -> None:
        del self._open[charge]
        for tally, part in charge.parts:
            tally.settled += part
        if charge.at < self._began_at or self._now >= self._spills_from:
            for budget in self._budgets.values():
                budget.settle(budget.part(charge.cost), charge.at, self._now)

    def _learn(self, limit: RateLimit, settled: Charge | None = None) -> _Budget:
        budget = self._budgets.get((limit.rate_limit_type, limit.interval, limit.interval_num))
        if budget is None:
            return self._add_budget(limit, settled)
        if budget.limit.limit != limit.limit:
            budget.limit = _bare(limit)
            self._room = _UNKNOWN
        return budget

    def _add_budget(self, limit: RateLimit, settled: Charge | None) -> _Budget:
        """Count what is in flight, and what was settled by the answer that told of this limit."""
        item = _ITEMS.get(limit.rate_limit_type)
        tally = _Tally() if item is None else self._tallies[item]
        budget = _Budget(_bare(limit), tally, item, self._margin, self._now)
        self._budgets[limit.rate_limit_type, limit.interval, limit.interval_num] = budget
        for charge in self._open:
            budget.adopt(budget.part(charge.cost), charge.at)
        if settled is not None:
            budget.adopt_settled(budget.part(settled.cost), settled.at, self._now)
        self._due_at = min(self._due_at, budget.turns_at)
        self._note_windows()
        return budget

    def _turn_of_what_is_full(self, scope: Scope) -> int:
        budgets = [b for b in self._budgets.values() if b.limit.rate_limit_type == _TYPE_OF[scope]]
        return max([budget.turns_at for budget in budgets if budget.is_full], default=self._now + UNSTATED_BACK_OFF)


class _Tally:
    """All there ever was of one item of the costs.

    Attributes:
        charged: what was charged, without what was cancelled.
        settled: what of that was settled.
    """

    __slots__ = ("charged", "settled")

    def __init__(self) -> None:
        self.charged = self.settled = 0


_Parts: TypeAlias = tuple[tuple[_Tally, int], ...]


class _Share(msgspec.Struct):
    """A cost, made ready.

    Attributes:
        most: no limit counts more of it than that.
        parts: what it adds to which tallies.
    """

    most: int
    parts: _Parts


class _Budget:
    """One limit, and its current window.

    Attributes:
        limit: as the exchange published it last.
        tally: of what counts here.
        part: what of a cost counts here; 0 if the type of limit is not understood.
        known_beyond: what is known to be used of the current window, less what the tally says is settled.
        began_at: exchange time in milliseconds at which the window began here, margin included.
        turns_at: the time at which it is over here.
        spills_from: what is settled from then on may have arrived in the next window already.
    """

    __slots__ = (
        "_carried",
        "_foreign_since",
        "_forgotten",
        "_length",
        "_margin",
        "_spilt",
        "began_at",
        "known_beyond",
        "limit",
        "part",
        "spills_from",
        "tally",
        "turns_at",
    )

    def __init__(self, limit: RateLimit, tally: _Tally, item: int | None, margin: int, now: int) -> None:
        self.limit = limit
        self.tally = tally
        self.part: Callable[[Sequence[int]], int] = _nothing if item is None else itemgetter(item)
        # 0 if the interval is not understood: a window without an end, and no limit.
        self._length = max(0, _MILLISECONDS.get(limit.interval, 0) * limit.interval_num)
        self._margin = margin
        self.known_beyond = -tally.settled
        # Of what is open by the tally: what does not count here any longer, and what was charged in the last window.
        self._forgotten = tally.charged - tally.settled
        self._carried = 0
        # Of what is known, the part that may have arrived in the next window already.
        self._spilt = 0
        # The latest charge when use by others last showed.
        self._foreign_since = 0
        self._enter(now)

    @property
    def open(self) -> int:
        """What is charged and not yet answered, and may count in this window."""
        return self.tally.charged - self.tally.settled - self._forgotten

    @property
    def used(self) -> int:
        """What is used up of the current window: known and open."""
        return self.tally.charged + self.known_beyond - self._forgotten

    @property
    def is_full(self) -> bool:
        """Whether the exchange may refuse what counts here."""
        return self._length > 0 and self.used >= self.limit.limit

    @property
    def room(self) -> int:
        """How much of what counts here fits still."""
        return _FOREVER if self._length == 0 or self.part is _nothing else self.limit.limit - self.used

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
        self._forgotten += self._carried if is_next else self.open
        self._carried = self.open
        self.known_beyond = (self._spilt if is_next else 0) - self.tally.settled
        self._spilt = 0
        self._enter(now)

    def adopt(self, part: int, at: int) -> None:
        """Count what was charged before this limit was known."""
        if self._counts(at):
            self._forgotten -= part
            if at < self.began_at:
                self._carried += part

    def adopt_settled(self, part: int, at: int, now: int) -> None:
        """Count what was charged before this limit was known, and was settled just now."""
        if self._counts(at):
            self.known_beyond += part
            self._note_spilt(part, now)

    def close(self, part: int, at: int) -> None:
        """Take note that a charge is no longer open. Its tally knows already."""
        if not self._counts(at):
            self._forgotten -= part
        elif at < self.began_at:
            self._carried -= part

    def settle(self, part: int, at: int, now: int) -> None:
        """Take note that a charge is settled. Its tally knows already."""
        self.close(part, at)
        if self._counts(at):
            self._note_spilt(part, now)
        else:
            self.known_beyond -= part

    def correct(self, more: int, charge: Charge, order: int) -> int:
        """Let the count that came with the answer to a charge, which is settled, put right what is known.

        Args:
            more: by how much the count is more than what is known; below 0 if it is less.
            charge: of this window.
            order: how many charges there have been.

        Returns:
            How much more is known to be used.
        """
        if more > 0:
            if more > self.open:
                self._foreign_since = order
            self.known_beyond += more
            return more
        if charge.order > self._foreign_since:
            settled_since = self.tally.settled - self.part(charge.settled_before) - self.part(charge.cost)
            if more + settled_since < 0:
                self.known_beyond += more + settled_since
        return 0

    def raise_to(self, count: int, order: int) -> None:
        """Let a count that came with no charge put right what is known, if it is more."""
        if count > self.tally.settled + self.known_beyond:
            self.known_beyond = count - self.tally.settled
            self._foreign_since = order

    def _counts(self, at: int) -> bool:
        """Whether a charge of that time counts in this window still."""
        return at >= self.began_at - self._length

    def _note_spilt(self, part: int, now: int) -> None:
        if now >= self.spills_from:
            self._spilt += part

    def _enter(self, now: int) -> None:
        if self._length:
            self.began_at = now - (now - self._margin) % self._length
            self.turns_at = self.began_at + self._length
        else:
            self.began_at, self.turns_at = 0, _FOREVER
        self.spills_from = self.turns_at - 2 * self._margin


def _bare(limit: RateLimit) -> RateLimit:
    return msgspec.structs.replace(limit, count=None)


def _nothing(_cost: Sequence[int]) -> int:
    return 0


def _in_words(limit: RateLimit) -> str:
    window = f"{limit.interval_num} {limit.interval}"
    return f"the limit of {limit.limit} {limit.rate_limit_type} per {window}"
