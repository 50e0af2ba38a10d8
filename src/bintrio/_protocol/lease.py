"""What one process may use of one limit that a fleet shares: `Lease`. `leased_ledger` has the theory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from .budget import OWN_RESERVE, Budget, Charge, Purpose, Tally

if TYPE_CHECKING:
    from ..api._values import RateLimit

BEAT: Final = 100
"""Milliseconds between two reports, if nothing asks for one sooner."""

IDLE: Final = 300
"""The same while nothing is under way."""

PROBE: Final = 300
"""At most so much of each window is kept for after a loss."""

# One part in so many of a limit is kept for that: of orders less, since their windows may be a day; of connections
# more, since no count tells of them: there is no more until their window ends.
_PROBE_PARTS: Final = {"REQUEST_WEIGHT": 20, "ORDERS": 50, "CONNECTIONS": 3}
# A limit below that has nothing to keep for that: after a loss, its next window is waited for.
_LEAST_WITH_PROBE: Final = 10

# Replies that are remembered: a call that was charged before all of these lowers nothing.
_REMEMBERED: Final = 64


class LeasedBudget(Budget):
    """A budget that knows what of its use is this process's own.

    Attributes:
        corrected: by how much counts of the exchange have changed what is known of this window.
    """

    __slots__ = ("corrected",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.corrected = 0
        super().__init__(*args, **kwargs)

    @property
    def taken(self) -> int:
        """What this process has charged to this window, or may have arrived in it."""
        return self.used - self.corrected

    @property
    def spilt(self) -> int:
        """What of that is settled, and may have arrived in the next window."""
        return self._spilt

    @property
    def own_taken(self) -> int:
        """What of that was for the sessions themselves, if this is a limit of weight."""
        return max(0, self._own.charged - self._own_before)

    @property
    def length(self) -> int:
        """Milliseconds of a window."""
        return self._length

    def surely_holds(self, begin: int, end: int) -> bool:
        """Whether what the exchange did between two times was in this window for certain."""
        return self.began_at <= begin and end < self.spills_from

    def age(self, now: int) -> int:
        """Milliseconds since the exchange's window began, at most."""
        return now - self.began_at + 2 * self._alignment.margin

    def correct(self, more: int, charge: Charge, order: int) -> int:
        """See `Budget.correct`."""
        known = self.known_beyond
        raised = super().correct(more, charge, order)
        self.corrected += self.known_beyond - known
        return raised

    def raise_to(self, count: int, order: int) -> None:
        """See `Budget.raise_to`."""
        known = self.known_beyond
        super().raise_to(count, order)
        self.corrected += self.known_beyond - known

    def _see_in_count(self, part: int) -> None:
        """See `Budget._see_in_count`."""
        known = self.known_beyond
        super()._see_in_count(part)
        self.corrected += self.known_beyond - known

    def turn(self, charges: Iterable[Charge], now: int) -> None:
        """See `Budget.turn`."""
        # The correction was about the window that ends here.
        if now >= self.turns_at:
            self.corrected = 0
        super().turn(charges, now)


class Wish(NamedTuple):
    """What is wanted for one purpose, on top of what is there.

    Attributes:
        amount: in all.
        least: of the largest single call: less would be of no use.
    """

    amount: int = 0
    least: int = 0

    def and_of(self, part: int) -> Wish:
        """With another call."""
        return Wish(self.amount + part, max(self.least, part))


Wishes: TypeAlias = dict[Purpose, Wish]


class Grant(NamedTuple):
    """What the centre answers to a report.

    Attributes:
        granted: what this process may take of the window in all.
        prior: the part of it for sessions' own calls and for calls that cancel, what they have taken included.
        calls: how many reports of this window the centre had had.
        done: what was settled in all by then, of all processes.
        given: how much of what was granted is new.
        free: what is left for all processes.
        is_known: 0 as long as the centre does not know all that was used of the window.
        spent: how often some may have been granted of what is kept for after a loss; for the next centre.
    """

    granted: int
    prior: int
    calls: int
    done: int
    given: int
    free: int
    is_known: int
    spent: int


class Lease:
    """What this process may take of the current window of one limit.

    Args:
        budget: of the limit.
        prior: sums up the weight of sessions' own calls and of calls that cancel; it stays 0 for other limits.

    Attributes:
        budget: of the limit.
        window: the number of the window that this is about.
        exhausted: for which purposes the centre had nothing left.
        is_known: whether the centre knows all that was used of the window.
    """

    def __init__(self, budget: LeasedBudget, prior: Tally) -> None:
        self.budget: Final = budget
        self._prior: Final = prior
        self._pace = 0.0
        self._replies: deque[tuple[int, int, int]] = deque(maxlen=_REMEMBERED)
        self._enter()

    def _enter(self) -> None:
        self.window = self.budget.window
        self._is_fresh = False
        self.is_known = True
        self._spent = 0
        self.exhausted: frozenset[Purpose] = frozenset()
        self._granted = self._prior_granted = 0
        self._prior_before = self._prior.charged
        self._free: int | None = None
        self._wishes: Wishes = {}
        self._told: Wishes = {}
        self._replies.clear()
        self._count, self._count_order = -1, 0
        self._marked = self.budget.taken

    def catch_up(self) -> None:
        """Begin anew if the window has turned."""
        # The centre numbers windows by the exchange's clock, so the number says that it is another one.
        if self.window != self.budget.window:
            self._enter()

    def forget(self) -> None:
        """The centre is another one, or has lost what it knew: what it told of others means nothing any more."""
        self._replies.clear()

    @property
    def _prior_taken(self) -> int:
        return self._prior.charged - self._prior_before

    def room(self, purpose: Purpose, share: float = 0) -> int:
        """How much may be taken for that purpose.

        Args:
            purpose: of the call.
            share: which part of what is free this process may take by itself, since the centre is away.
        """
        # As long as the centre has said nothing of this window, all of it may be free.
        free = self.budget.limit.limit if self._free is None else self._free
        by_itself = int(share * free)
        # Of that it keeps a tenth for own calls and for such that cancel, as the centre does.
        kept = max(self._prior_granted - self._prior_taken, 0) + by_itself // 10 if purpose == "call" else 0
        return self._granted + by_itself - self.budget.taken - kept

    @property
    def low(self) -> int:
        """With less room than that, it may run out before more is there."""
        return 2 * round(self._pace)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is wanted, under way or left over."""
        return not (self._wishes or self._told or self.budget.open or self._granted > self.budget.taken)

    def wish(self, purpose: Purpose, part: int) -> None:
        """Note that a call was held back."""
        self._wishes[purpose] = self._wishes.get(purpose, Wish()).and_of(part)

    def observe(self, count: int, order: int) -> None:
        """Note a count of the exchange, and which charge it came with, 0 for none.

        Of several, what counts is the highest and the latest charge: too high a count lowers less than it might.
        """
        self._count, self._count_order = max(self._count, count), max(self._count_order, order)

    def measure(self) -> None:
        """Note how much was taken in one beat, and give back what is left over.

        The pace fades slowly, so that a process that calls only now and then has something left.
        """
        taken = self.budget.taken
        self._pace = max(taken - self._marked, self._pace * 0.95)
        self._marked = taken
        # Who waited for what came in this beat has not had the time to take it.
        # What is given back of a window that the centre does not know, it may grant to nobody.
        if self.is_known and not self._is_fresh and not self._wishes and not self._told:
            self._granted -= max(0, self.room("call") - 2 * self.low)
        self._is_fresh = False

    def give_back(self) -> None:
        """Keep nothing that is not taken."""
        # What is taken cannot be given back: it may have arrived.
        self._granted = min(self._granted, self.budget.taken)
        self._wishes, self._told, self._pace = {}, {}, 0.0

    def report(self, now: int) -> list[int]:
        """The fields of this limit, in the order in which `leases.lua` reads them."""
        budget = self.budget
        taken, low = budget.taken, self.low
        self._told = {purpose: max(self._told.get(purpose, Wish()), wish) for purpose, wish in self._all_wishes()}
        self._wishes = {}
        room = self.room("call")
        calls = self._told.get("call", Wish())
        # It asks before it has run out, so that no call waits for the answer.
        if room < low:
            calls = max(calls, Wish(low - max(0, room), 1))
        # What is under way is not done: it may yet fail or be lost.
        done = taken - budget.open
        is_weight = budget.limit.rate_limit_type == "REQUEST_WEIGHT"
        # The centre keeps one reserve for all, which lapses as a single session's does.
        reserve = OWN_RESERVE if is_weight and now < budget.lapses_at else 0
        return [
            *(budget.limit.limit, self.window, budget.length, budget.age(now)),
            *(int(budget.limit.rate_limit_type != "CONNECTIONS"), int(is_weight), reserve),
            *(probe_of(budget.limit), self._spent),
            *(self._granted, max(self._prior_granted, self._prior_taken), taken, done, min(done, budget.spilt)),
            budget.own_taken if is_weight else 0,
            *self._told.get("own", Wish()),
            *self._told.get("cancel", Wish()),
            *calls,
            *self._seen(),
        ]

    def _all_wishes(self) -> Iterable[tuple[Purpose, Wish]]:
        yield from self._told.items()
        yield from self._wishes.items()

    def _seen(self) -> tuple[int, int, int]:
        """The count of the exchange, and what the centre had told when its call left; -1 and 0 for nothing."""
        count, order = self._count, self._count_order
        self._count, self._count_order = -1, 0
        # The latest reply that came before the call left: what others had done by then is in the count.
        calls, done = next(((calls, done) for at, calls, done in reversed(self._replies) if at < order), (-1, 0))
        return count, calls, done

    def take(self, grant: Grant, order: int, *, is_settled: bool) -> None:
        """Take what is granted.

        Args:
            grant: of the centre.
            order: how many charges there have been.
            is_settled: whether all that another run of the centre had granted has arrived, or is told.
        """
        self._granted, self._prior_granted, self._free = grant.granted, grant.prior, grant.free
        self.is_known = grant.is_known != 0
        self._spent = grant.spent
        if is_settled:
            # A call that left earlier has not seen all that was used, so its count tells less.
            self._replies.append((order, grant.calls, grant.done))
        # It may have been too little: whoever waits still wishes again.
        if grant.given:
            self._told = {}
            self._is_fresh = True
        # What is still wished for, the centre could not give.
        self.exhausted = frozenset(self._told)


def probe_of(limit: RateLimit) -> int:
    """How much of a window is never granted, but to learn what was used of it after the centre has lost that."""
    least = 1 if limit.limit >= _LEAST_WITH_PROBE else 0
    return max(least, min(PROBE, limit.limit // _PROBE_PARTS[limit.rate_limit_type]))
