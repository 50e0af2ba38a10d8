"""Rate limits: may a call go out now, and if not, when.

**Everything comes from the exchange.** Limits are learned from exchangeInfo and from the counts in each answer. What
was never mentioned does not limit; a type or interval that is not known here is shown, and does not limit either. A
limit that cannot be right, such as 0, is logged and ignored.

**Every time here is local**: milliseconds of this machine's monotonic clock, so nothing here ever steps back. Only the
windows go by the exchange's clock: full minutes, days from 00:00 UTC. `align` says how that stands to ours. Our
estimate may be wrong by a little, and nobody can see from here in which window a call arrives that leaves close to a
turn. Hence the margin, as wide as the error of the estimate: windows turn here that much later than by the estimate,
and what is settled within a margin of the exchange's turn counts in both windows. When the estimate changes, the
windows move with it, and what was used stays used until the next turn. If it was set back over a turn, or the
exchange's clock stands still before one, the window that was left comes again, and what was used of it counts in it.

**What is used up** in a window is `known` and `open` together, and never less than the truth, as far as our own calls
go:

    known   what the exchange counted, and what was settled since
    open    what is charged and not yet settled; it may count in this window, also if it was charged in the last one

    what happens                                                known   open   used up
    the limits come; the exchange has counted 100                 100      0       100
    A leaves, and may weigh 20                                    100     20       120
    B leaves, and may weigh 10                                    100     30       130
    A is answered; its count is 130, so B has arrived             130     10       140
    B is answered; its count is 110, from before A arrived        130      0       130
    an order leaves, and may weigh 1                              130      1       131
    it is answered; its count is still 130, as it succeeded       130      0       130

A call is *charged* in full when it leaves. Its answer *settles* it: the charge moves from open to known, and the count
in the answer puts known right.

*A count that is higher* than known raises it. If it is higher than known and open together, others use the same address
or account. From then on, only calls that are charged later may lower known: earlier ones may have been counted before
the others were.

*A count that is lower* lowers known, but only by what it cannot have missed. The exchange counted when it answered, so
it may have missed what was settled since the call was charged, and nothing else. That is why answers may come in any
order. Lowering matters: a trading call weighs its weight when it fails and 0 when it succeeds, and an order that fills
is counted no longer.

What was charged in the window before may count in this one, and its own count may be of either, so it lowers nothing.
If the answer to a later call overtakes it, known is raised by what it may be of; once it is settled, that is taken off.

*What is not answered* in time: a charge counts in its window and the next, then it is forgotten, since the exchange
gives up on a call after 10 s, the length of the shortest window it publishes. A charge that is not settled for a minute
is settled without a count, or a lost answer would weigh twice for a whole day, once as open and once in every count. A
call that was never sent is cancelled, as if it had never been charged. What was settled before a limit was known counts
as well: `_history` tells how much, to the minute.

**The reserve.** The session's own life comes before its user's calls, so a part of each weight window is kept for what
it needs itself (connecting, the time, logging on, subscribing): 29, or 7 for each session that shares the ledger, and
half of a small limit at most, less what was used of it. Those 7 are kept whatever was used, so that opening a session
does not keep it from moving. The reserve lapses for the last twentieth of the window, so it costs no use. A second
part, 50 or a tenth, is kept for calls that cancel: no other call ever takes it. No limit keeps the session from
connecting: what it needs itself is not held back by a limit that it could never keep, or whose window is longer than
five minutes.

**After 429 and 418** nothing goes out before the time they name: see `holds`. Whoever has something waiting is told at
once (`watch`), since a hold concerns all sessions that share a ledger.

**What keeps this fast.** Every call passes here three times: `delay`, `charge`, `settle`.

* What is charged and settled is added up once for each kind of cost (`Tally`), not for each limit. A budget only keeps
  by how much its own known differs from what its tally says is settled (`known_beyond`), and how much of what is open
  it has forgotten.
* The counts of answers are read at the next `delay` or `charge`: of all that came together, the highest of each limit
  and the latest.
* `_due_at` is when the first window turns, or the first charge has been out for a minute. Nothing is looked at before.
* `_room` is what the fullest budget had left when it was looked at last, less all that came on top. While a cost fits
  into it, no budget is looked at. Use that went down, or a reserve that lapsed, shows when the room seems gone.

Left out: fairness. Whoever waits asks again when its delay is over, in no order.

Source: "Rate limits" of the exchange's WebSocket API document.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from .account_ledger import AccountLedger
from .budget import (
    FOREVER,
    ITEMS,
    OWN_RESERVE,
    RESERVE_PER_SESSION,
    Alignment,
    Budget,
    Charge,
    Cost,
    Parts,
    Reserve,
    Tally,
    is_plausible,
)
from .holds import BANNED, SHORTEST_BAN, Hold, Holds, Reading, Refusal, Scope, scope_of

if TYPE_CHECKING:
    from ..api._values import RateLimit
    from .ledger import Ledger

logger: Final = logging.getLogger("bintrio.limits")

MARGIN: Final = 250
"""Milliseconds: the least margin. An estimate of the exchange's time is good for half a round trip, so this does for
half a second of it. Only a call that found its window full ever waits for it."""

LONGEST_FLIGHT: Final = 60_000
"""Milliseconds after which a call has certainly been counted, if ever: the exchange gives up after ten seconds
("General API Information"), and the rest is for the way there."""

UNSTATED_BACK_OFF: Final = 60_000
"""Milliseconds to hold everything after a 429 that does not say until when, and nothing known tells why."""

_UNKNOWN: Final = -FOREVER
_DAY: Final = 86_400_000
_MINUTE: Final = 60_000
# Limits that cannot be right, and of which that was logged: a server that makes up many fills no log.
_MOST_TOLD: Final = 100

_ORDER: Final[Callable[[Charge], int]] = attrgetter("order")
_COUNTS: Final[Callable[[Charge], Sequence[RateLimit]]] = attrgetter("counts")
_COUNT: Final[Callable[[RateLimit], int]] = attrgetter("count")
_KEY: Final[Callable[[RateLimit], tuple[str, str, int]]] = attrgetter("rate_limit_type", "interval", "interval_num")
_SETTLED: Final[Callable[[Tally], int]] = attrgetter("settled")

# Which type of limit is to blame for a 429 of that scope.
_TYPE_OF: Final[dict[Scope, str]] = {"everything": "REQUEST_WEIGHT", "orders": "ORDERS"}


class LocalLedger:
    """The `Ledger` of one session, or of several that have the same address, account and process.

    Args:
        margin: milliseconds by which the estimate of the exchange's time may be wrong at least, either way.
        reserve: request weight that is kept for what sessions need themselves; 0 for no reserve, also none for cancels.
    """

    _budget_type: type[Budget] = Budget

    def __init__(self, margin: int = MARGIN, *, reserve: int = OWN_RESERVE) -> None:
        self._least_margin = margin
        self._reserve = reserve
        self._alignment = Alignment(0, margin)
        self._is_aligned = False
        self._budgets: dict[tuple[str, str, int], Budget] = {}
        # One for each item of a cost.
        self._tallies: Final = (Tally(), Tally(), Tally())
        # Of the weight of what sessions need themselves.
        self._own: Final = Tally()
        # There are few different costs.
        self._shares: dict[Cost, Share] = {}
        # In the order of charging.
        self._open: dict[Charge, None] = {}
        self._order = 0
        # What was settled since the last question, with counts that are not read yet.
        self._unread: list[Charge] = []
        self._holds: Final = Holds()
        # What other accounts have used of their orders.
        self._accounts: dict[str, LocalLedger] = {}
        self._watchers: list[Callable[[Hold | None], object]] = []
        self._told: set[tuple[str, str, int, int]] = set()
        # What had been settled in all at some times of the last day, at most one a minute.
        self._history: deque[tuple[int, tuple[int, ...]]] = deque()
        self._now = _UNKNOWN
        # No window turns before this, and no open charge has been out for too long.
        self._due_at = _UNKNOWN
        # To settle a charge concerns its tallies only, if it was charged from this time on, and is settled before that.
        self._began_at = _UNKNOWN
        self._spills_from = FOREVER
        # At least so much of each kind may be charged before any budget is full.
        self._room = _UNKNOWN

    def of_account(self, account: str) -> Ledger:
        """See `Ledger.of_account`."""
        orders = self._accounts.get(account)
        if orders is None:
            orders = self._accounts[account] = self._add_account(account)
            # The clock may have been measured before the first call of this account.
            if self._is_aligned:
                orders.align(*self._alignment, self._now)
            # The limits are the same for all accounts. What is used is not, so counts are left out.
            orders.record([limit for limit, _ in self.used("ORDERS", self._now)], self._now)
        return AccountLedger(self, orders)

    def delay(self, cost: Cost, now: int) -> float:
        """See `Ledger.delay`."""
        if now > self._now:
            self._advance(now)
        if self._unread:
            self._read()
        share = self._shares.get(cost) or self._add_share(cost)
        return 0 if share.most <= self._room else self._look(cost)

    def shortage(self, cost: Cost, now: int) -> str | None:
        """See `Ledger.shortage`. Here nothing but the exchange's limits keeps a cost waiting."""
        return None

    def charge(self, cost: Cost, now: int) -> Charge:
        """See `Ledger.charge`."""
        if now > self._now:
            self._advance(now)
        if self._unread:
            self._read()
        share = self._shares.get(cost) or self._add_share(cost)
        for tally, part in share.parts:
            tally.charged += part
        self._room -= share.most
        self._order += 1
        charge = Charge(cost, self._now, self._order, share.parts, tuple(map(_SETTLED, self._tallies)))
        self._open[charge] = None
        return charge

    @property
    def open_charges(self) -> int:
        """How many charges are neither settled nor cancelled."""
        return len(self._open)

    def settle(self, charge: Charge, counts: Sequence[RateLimit], now: int) -> None:
        """See `Ledger.settle`. A charge that is settled or cancelled already only brings its counts."""
        if now > self._now:
            self._advance(now)
        if charge not in self._open:
            self.record(counts, now)
            return
        if not counts:  # the counts that came before tell nothing of this charge, and no count of its own does
            self._read()
            self._close(charge)
            return
        self._close(charge)
        charge.counts = counts
        if charge.at < self._began_at:  # it tells of some windows only, so it is read by itself
            self._read()
            self._unread.append(charge)
            self._read()
        else:
            self._unread.append(charge)

    def cancel(self, charge: Charge) -> None:
        """See `Ledger.cancel`. To cancel what was settled or cancelled changes nothing."""
        self._read()
        if charge in self._open:
            del self._open[charge]
            for tally, part in charge.parts:
                tally.charged -= part
            for budget in self._budgets.values():
                budget.close(budget.part(charge.cost), charge.at)

    def record(self, counts: Sequence[RateLimit], now: int) -> None:
        """See `Ledger.record`."""
        self._come_to(now)
        # A new limit or a higher count may leave less room.
        self._room = _UNKNOWN
        for limit in counts:
            budget = self._learn(limit)
            if budget is not None and limit.count is not None:
                budget.raise_to(limit.count, self._order)

    def align(self, offset: int, error: int, now: int) -> None:
        """See `Ledger.align`."""
        self._come_to(now)
        self._alignment = Alignment(offset, max(error, self._least_margin))
        self._is_aligned = True
        for budget in self._budgets.values():
            budget.align(self._alignment, self._open, self._now)
        self._note_windows()
        self._due_at = self._now
        for orders in self._accounts.values():
            orders.align(offset, error, now)

    def reading(self, now: int) -> Reading | None:
        """See `Ledger.reading`."""
        offset, margin = self._alignment
        # Before the clock is measured, no time of the exchange can be compared with ours.
        return Reading(now + offset, margin) if self._is_aligned else None

    def hold(self, refusal: Refusal, now: int) -> Hold:
        """See `Ledger.hold`."""
        self._come_to(now)
        # Else a cost that still fits into the room would leave without a look at the hold.
        self._room = _UNKNOWN
        status, code, message, wait = refusal
        until = self._end_unstated(status, code) if wait is None else self._now + max(wait, 0)
        hold = Hold(until, status, code, message)
        self._holds.add(hold)
        self.tell(hold)
        return hold

    def held(self, cost: Cost, now: int) -> Hold | None:
        """See `Ledger.held`."""
        return self._holds.of(now, orders=cost.orders > 0)

    def watch(self, told: Callable[[Hold | None], object]) -> None:
        """See `Ledger.watch`."""
        self._watchers.append(told)
        self._room = _UNKNOWN  # there is one more to keep a reserve for

    def unwatch(self, told: Callable[[Hold | None], object]) -> None:
        """See `Ledger.unwatch`."""
        with suppress(ValueError):
            self._watchers.remove(told)

    def used(self, limit_type: str, now: int) -> list[tuple[RateLimit, int]]:
        """See `Ledger.used`."""
        self._come_to(now)
        return [(b.limit, b.used) for b in self._budgets.values() if b.limit.rate_limit_type == limit_type]

    def _add_account(self, name: str) -> LocalLedger:
        return LocalLedger(self._least_margin, reserve=0)

    def tell(self, hold: Hold | None) -> None:
        """Tell whoever watches of a hold, or that there may be room."""
        for told in list(self._watchers):
            try:
                told(hold)
            except Exception:  # it is nobody else's: the others have to be told
                logger.exception("a hold was told to %r, which failed", told, extra={"told": repr(told)})

    @property
    def _own_reserve(self) -> Reserve:
        least = RESERVE_PER_SESSION * len(self._watchers)
        return Reserve(max(self._reserve, least), least) if self._reserve else Reserve()

    def _settled(self) -> tuple[int, ...]:
        return tuple(map(_SETTLED, self._tallies))

    def _look(self, cost: Cost) -> float:
        """The delay, by a look at each budget, and the room there is."""
        now, own_reserve, budgets = self._now, self._own_reserve, self._budgets.values()
        rooms = (budget.room(own_reserve, now) for budget in budgets)
        # During a hold no room is noted, so that each cost is looked at.
        self._room = _UNKNOWN if self._holds.of(now, orders=True) else min(rooms, default=FOREVER)
        hold = self.held(cost, now)
        free_at = max([budget.free_at(cost, own_reserve, now) for budget in budgets], default=0)
        return (max(now, free_at, hold.until if hold is not None else 0) - now) / 1000

    def _come_to(self, now: int) -> None:
        if now > self._now:
            self._advance(now)
        self._read()

    def _read(self) -> None:
        """Learn from the counts in the answers since the last question."""
        if not self._unread:
            return
        *others, latest = self._unread
        self._unread = []
        if others:
            # The highest count of each limit, as if it had come with the first of them to leave: what was settled since
            # then is no less than what was settled since its own.
            counted: Any = filter(_COUNT, chain.from_iterable(map(_COUNTS, others)))
            told: list[RateLimit] = sorted(counted, key=_COUNT)
            self._take(dict(zip(map(_KEY, told), told, strict=False)).values(), min(others, key=_ORDER))
        self._take(latest.counts, latest)

    def _take(self, counts: Iterable[RateLimit], charge: Charge) -> None:
        for limit in counts:
            budget = self._budgets.get((limit.rate_limit_type, limit.interval, limit.interval_num))
            # It is new, or the exchange has changed it.
            if budget is None or budget.limit.limit != limit.limit:
                budget = self._learn(limit)
            if budget is not None and limit.count is not None:
                more = limit.count - budget.tally.settled - budget.known_beyond
                # A count of an earlier window tells nothing of this one, and one below 0 nothing at all.
                if more and charge.at >= budget.began_at and limit.count >= 0:
                    self._room -= budget.correct(more, charge, self._order)

    def _advance(self, now: int) -> None:
        self._now = now
        if now >= self._due_at:
            self._catch_up()

    def _catch_up(self) -> None:
        self._read()  # before the windows turn of which the counts tell
        self._note_history()
        for budget in self._budgets.values():
            budget.turn(self._open, self._now)
        self._note_windows()
        while self._open and self._now - (oldest := next(iter(self._open))).at >= LONGEST_FLIGHT:
            self._close(oldest)
        # Whatever is charged later is due later than the oldest, or than what would be charged now.
        oldest_at = next(iter(self._open)).at if self._open else self._now
        self._due_at = min([oldest_at + LONGEST_FLIGHT, *(budget.turns_at for budget in self._budgets.values())])

    def _note_history(self) -> None:
        history = self._history
        if not history or self._now - history[-1][0] >= _MINUTE:
            history.append((self._now, self._settled()))
            # One from before the day is kept: it says what had been settled when the day began.
            while len(history) > 1 and history[1][0] <= self._now - _DAY:
                history.popleft()

    def _settled_before(self, time: int) -> tuple[int, ...]:
        """What had been settled in all at that time, or a little earlier."""
        return next((settled for at, settled in reversed(self._history) if at <= time), (0, 0, 0))

    def _note_windows(self) -> None:
        budgets = self._budgets.values()
        self._began_at = max((budget.began_at for budget in budgets), default=_UNKNOWN)
        self._spills_from = min((budget.spills_from for budget in budgets), default=FOREVER)
        self._room = _UNKNOWN

    def _add_share(self, cost: Cost) -> Share:
        tallies = (*self._tallies, self._own)
        amounts = (*cost[:3], cost.weight if cost.purpose == "own" else 0)
        parts = tuple((tally, part) for tally, part in zip(tallies, amounts, strict=True) if part)
        share = self._shares[cost] = Share(max(cost[:3]), parts)
        return share

    def _close(self, charge: Charge) -> None:
        del self._open[charge]
        for tally, part in charge.parts:
            tally.settled += part
        # Charged in a window before, or so near to the turn that it may count in the next: each budget has to know.
        if charge.at < self._began_at or self._now >= self._spills_from:
            for budget in self._budgets.values():
                budget.settle(budget.part(charge.cost), charge.at, self._now)

    def _learn(self, limit: RateLimit) -> Budget | None:
        """The budget of a limit, as it is now; None if it cannot be right, and was none before."""
        budget = self._budgets.get((limit.rate_limit_type, limit.interval, limit.interval_num))
        if not is_plausible(limit):
            self._tell(limit)
        elif budget is None:
            return self._add_budget(limit)
        elif budget.limit.limit != limit.limit:
            # What was used up stays, since the window is still the same.
            budget.limit = _bare(limit)
            self._room = _UNKNOWN
        return budget

    def _tell(self, limit: RateLimit) -> None:
        known = (limit.rate_limit_type, limit.interval, limit.interval_num, limit.limit)
        if known not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(known)
            logger.warning("a limit that cannot be right is ignored: %r", limit, extra={"limit": repr(limit)})

    def _add_budget(self, limit: RateLimit) -> Budget:
        """Count what is in flight, and what was settled since the window began."""
        item = ITEMS.get(limit.rate_limit_type)
        budget = self._budget_type(
            _bare(limit),
            Tally() if item is None else self._tallies[item],
            self._alignment,
            own=self._own,
            settled_before=self._settled_before,
            charges=self._open,
            now=self._now,
        )
        self._budgets[limit.rate_limit_type, limit.interval, limit.interval_num] = budget
        self._due_at = min(self._due_at, budget.turns_at)
        self._note_windows()
        return budget

    def _end_unstated(self, status: int, code: int) -> int:
        """When a hold ends that does not say so: when the window turns that is used up."""
        blamed = _TYPE_OF[scope_of(code)]
        full = [b.turns_at for b in self._budgets.values() if b.limit.rate_limit_type == blamed and b.is_full]
        # A ban lasts for two minutes at least ("IP Limits").
        shortest = self._now + SHORTEST_BAN if status == BANNED else self._now
        return max(shortest, max(full, default=self._now + UNSTATED_BACK_OFF))


class Share(msgspec.Struct):
    """A cost, made ready.

    Attributes:
        most: no limit counts more of it than that.
        parts: what it adds to which tallies.
    """

    most: int
    parts: Parts


def _bare(limit: RateLimit) -> RateLimit:
    return msgspec.structs.replace(limit, count=None)
