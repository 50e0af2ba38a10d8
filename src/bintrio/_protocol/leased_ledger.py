"""The ledger of one process of a fleet: it takes its budgets in portions from a centre that all processes share.

**One part of a fleet's limits** is an address, or an account. All processes that use it talk to one centre, which runs
`leases.lua`, in one step for each message: a process *reports*, and is *granted*. A task of its own does that
(`bintrio.redis`), so a call never waits for the centre if the process has something left. Here is what a process says
and makes of the answer; nothing here does I/O.

**A lease is an open charge at the centre.** Of each window of each limit the centre keeps, by process, what it granted,
and what of that is done. What is free is the limit, less what is known to be used, less what is granted and not done,
less what is carried over. So whatever a process does with its lease, the limit holds:

    free = limit - (done + beyond) - (granted - done) - carried

    granted   what a process may take of the window in all
    done      what of that was settled: it is used for certain
    beyond    by how much the exchange's count differs from what is done: use by others, orders that filled
    carried   see below

**Messages may be lost, doubled or late.** A report has a number, and says how things stand, not what changed; so does
its answer. An older report than the last is ignored. A process gives back before it says so, and takes only what an
answer to its latest report grants; so if any message is lost, the centre holds more to be taken than is, never less.

**A turn.** The processes' clocks differ a little, so some enter a window before others. Until a process has spoken in
the new window, what it still has of the old one, and what was settled there within the margin around the turn, counts
in the new one too: it may arrive there. As long as some are in the old window and others in the new one, what is
granted in the old one must fit into both.

**A process that dies** leaves its lease behind. It counts until the window ends, and what of it may be under way counts
in the next one too.

**The exchange's count**, which comes with each answer, goes to the centre as well. What is granted and not done
explains as much of a count; only what is beyond that is use by others. A count that is lower lowers what is known, but
only by what it cannot have missed: the centre tells with each answer what was done by then, and the process remembers
which calls left later. That is the rule of `rate_limits`, with the centre's time. What others used in the last window
is kept free in this one until it shows.

**A centre that was started anew**, or has lost its keys, knows that by the number of its run. What processes hold that
are there, it is told. What others had used or been granted that are gone, nobody tells. So each run keeps a little of
each window back (`lease.probe_of`), and grants that to nobody; a run that does not know a window grants from that, and
nothing else, until a count of the exchange tells how much is used, or a window begins of which it knows all:

    what all runs before granted  <=  limit - kept        what this run grants, not knowing that  <=  kept

So the limit holds without anybody knowing what was used. A count is the truth about those that are gone if all that
they sent has arrived. That is so `SETTLING` after the run began: whoever has had no answer for `AWAY` sends nothing any
more, and what has left arrives within `FLIGHT`, or never. So nothing is granted before that, and a count is believed
if its call left after an answer that was given later than that. A process that speaks later still may have used what
it reports as taken, and what it had left is void. The next window is known if it begins after that, else it is as
unknown as the one before; since what is under way at once never exceeds the limit less what is kept either, that holds
in it, too. A run that comes after one that did not know the window takes a half of what that one may have left: the
processes tell it (`Grant.spent`). What is kept lapses for the last part of a window, in which no run grants anything of
a window that it does not know.

What no protocol can know: what was used in this window if the centre has lost its keys and no process is left that
speaks, but for the count in the first answer. The first connection of a new fleet is opened without knowing.

**What is kept free** is kept by the centre, for all processes together: for what sessions need to live (29 of the
weight of a window, or 7 for each session of the fleet), and for calls that cancel. A process that needs it asks for it
by purpose.

**The centre is away** when it has answered no report of the last second. Then it is the user's choice: nothing is sent,
or this process goes on with what it was granted and with a share of its own. That is a share of what the centre said to
be free in this window, or of the whole limit in a window in which it has said nothing. A centre that hears nobody for a
second, of whom one has a share, begins anew, since nobody knows what shares were used. Nothing waits for the centre
without an end: `delay` tells when to ask again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

import msgspec

from ..api._values import RateLimit
from ..errors import ProtocolViolation
from .budget import FOREVER, Budget, Charge, Cost, Purpose, Tally
from .holds import Hold, Refusal
from .lease import BEAT, IDLE, Grant, Lease, LeasedBudget
from .rate_limits import MARGIN, LocalLedger, Share

AWAY: Final = 1_000
"""Milliseconds without an answer after which the centre is away."""

FLIGHT: Final = 2_000
"""Milliseconds in which a call that has left has arrived at the exchange, or never does."""

SETTLING: Final = AWAY + FLIGHT
"""Milliseconds after which nothing arrives any more that another run of the centre had granted, unless it was told."""

UNREACHABLE: Final = 600_000
"""Milliseconds that a call would have to wait that needs the centre while that is away: longer than any call has."""

SCRIPT: Final = Path(__file__).with_name("leases.lua").read_text("ascii")
"""What the centre runs for each report."""

_ANYTHING: Final = Cost(weight=1, orders=1)
# Milliseconds by which a hold must outlast the one that is known to be another.
_NEWS: Final = 1_000


class LeasedLedger(LocalLedger):
    """The `Ledger` of one address, or of the orders of one account, in one process of a fleet.

    Args:
        holder: what the centre calls this process.
        wake: called when there is something to report at once.
        types: the types of limits that are kept here.
        centre: what users know the centre as.
        share: which part of each limit this process may use by itself while the centre is away; 0 for none.
        new_account: makes the ledger of the orders of an account, by its name.
        margin: as for `LocalLedger`.
    """

    _budget_type = LeasedBudget

    def __init__(
        self,
        holder: str,
        wake: Callable[[], object],
        *,
        types: Sequence[str],
        centre: str = "the centre",
        share: float = 0,
        new_account: Callable[[str], LocalLedger] | None = None,
        margin: int = MARGIN,
    ) -> None:
        super().__init__(margin, reserve=0)  # the centre keeps one for all
        self._holder = holder
        self._wake = wake
        self._types = types
        self._centre = centre
        self._share = share
        self._new_account = new_account
        self._prior: Final = Tally()
        self._leases: dict[str, Lease] = {}
        self._number = 0
        self._reported: list[tuple[Lease, int]] = []
        self._reported_at = self._measured_at = 0
        self._heard_at = -FOREVER
        self._run = ""
        self._is_settled = True
        # What the centre has not been told yet, and what it was told by the last report.
        self._news: dict[str, Hold] = {}
        self._told_holds: list[Hold] = []

    def is_away_at(self, now: int) -> bool:
        """Whether the centre has not answered for a while, to a report of that time or later."""
        return now - self._heard_at >= AWAY

    # As a session sees it

    def watch(self, told: Callable[[Hold | None], object]) -> None:
        """See `Ledger.watch`."""
        super().watch(told)
        self._wake()  # the centre has to keep a reserve for one more

    def hold(self, refusal: Refusal, now: int) -> Hold:
        """See `Ledger.hold`. The other processes are told by the next report."""
        hold = super().hold(refusal, now)
        self._news[hold.scope] = hold
        self._wake()
        return hold

    def record(self, counts: Sequence[RateLimit], now: int) -> None:
        """See `Ledger.record`."""
        super().record(counts, now)
        for limit in counts:
            lease = self._leases.get(_name(limit))
            if lease is not None and limit.count is not None and lease.budget.surely_holds(now, now):
                lease.observe(limit.count, 0)

    def shortage(self, cost: Cost, now: int) -> str | None:
        """See `Ledger.shortage`."""
        self._come_to(now)
        is_by_limits = super()._look(cost) > 0
        self._room = -FOREVER  # it was looked up without the leases
        # As in `_look`: without the exchange's time there are no leases.
        if is_by_limits or not self._is_aligned:
            return None
        lacking = [lease for lease in self._current() if self._lacks(lease, cost)]
        return self._shortage_of(lacking, cost) if lacking else None

    def _shortage_of(self, leases: Sequence[Lease], cost: Cost) -> str | None:
        centre = self._centre
        if self._heard_at == -FOREVER:
            return f"{centre} has not answered yet"
        if self.is_away_at(self._now):
            seconds = (self._now - self._heard_at) / 1000
            return f"{centre} has not answered for {seconds:.1f} s, and too little may be used until it does"
        if not all(lease.is_known for lease in leases):
            return f"{centre} does not know yet what was used of this window before it was started, or lost its keys"
        if any(cost.purpose not in lease.exhausted for lease in leases):
            return f"{centre} has not granted it yet"
        return None  # all processes together have used what the exchange allows

    def _take(self, counts: Iterable[RateLimit], charge: Charge) -> None:
        counts = list(counts)
        super()._take(counts, charge)
        for limit in counts:
            lease = self._leases.get(_name(limit))
            # Close to a turn, there is no saying of which window a count is.
            if lease is not None and limit.count is not None and lease.budget.surely_holds(charge.at, self._now):
                lease.observe(limit.count, charge.order)

    def _look(self, cost: Cost) -> float:
        delay = super()._look(cost)
        # As long as the exchange's time is not known, there is no saying which window this is. That is one connection.
        if not self._is_aligned:
            return max(delay, self._time_to_learn())
        if delay > 0:
            return delay
        leases = list(self._current())
        wait = max((self._wait(lease, cost) for lease in leases), default=0)
        # There is a look at each call from the time on when a lease begins to be low.
        rooms = (-FOREVER if self._is_void else lease.room("call") - lease.low for lease in leases)
        self._room = min([self._room, *rooms])
        return wait / 1000

    def _time_to_learn(self) -> float:
        """Seconds until it is worth asking again whether others have told the centre the time."""
        if self._is_settled or self.is_away_at(self._now):
            return 0
        self._room = -FOREVER  # no lease limits it yet
        return BEAT / 1000

    def _catch_up(self) -> None:
        super()._catch_up()
        self._note_end()

    def _note_end(self) -> None:
        """There is a look at each call from the time on when what was granted may not be used any more."""
        ends_at = self._heard_at + AWAY
        if self._now < ends_at:
            self._due_at = min(self._due_at, ends_at)

    def _wait(self, lease: Lease, cost: Cost) -> int:
        """Milliseconds until it is worth asking again whether the lease has room for a cost; 0 if it has."""
        budget = lease.budget
        part = budget.part(cost)
        if not self._lacks(lease, cost):
            # Before it runs out, so that the next calls need not wait.
            if part and lease.room("call") < lease.low // 2:
                self._ask(lease, cost.purpose)
            return 0
        # The next report asks for it.
        lease.wish(cost.purpose, part)
        if self.is_away_at(self._now):
            # By itself it may use a share of each window, so the next one helps, unless the call needs more than that.
            return budget.turns_at - self._now if part <= self._share * budget.limit.limit else UNREACHABLE
        self._ask(lease, cost.purpose)
        # Whoever waits is told if there is room sooner. A centre that does not know all may do so long before the turn.
        return budget.turns_at - self._now if cost.purpose in lease.exhausted and lease.is_known else BEAT

    def _lacks(self, lease: Lease, cost: Cost) -> bool:
        """Whether a lease has no room for a cost."""
        part = lease.budget.part(cost)
        # What keeps a session alive does not wait for the centre, as it does not wait for a limit.
        if part == 0 or lease.budget.is_to_live(cost, part):
            return False
        # Only while the centre is away: else each process would take a share on top of what it is granted.
        share = self._share if self.is_away_at(self._now) else 0
        return self._is_void or part > lease.room(cost.purpose, share)

    @property
    def _is_void(self) -> bool:
        """Whether nothing may be used that the centre has granted."""
        # A centre that has lost what it knew counts on that: whoever it does not hear sends nothing any more.
        return self._share == 0 and self.is_away_at(self._now)

    def _ask(self, lease: Lease, purpose: Purpose) -> None:
        if purpose not in lease.exhausted:  # else each beat asks
            self._wake()

    def _current(self) -> Iterator[Lease]:
        for lease in self._leases.values():
            lease.catch_up()
            yield lease

    def _add_share(self, cost: Cost) -> Share:
        share = super()._add_share(cost)
        # The centre keeps weight free for these, so what they take of it is counted apart.
        if cost.purpose != "call" and cost.weight:
            share.parts = (*share.parts, (self._prior, cost.weight))
        return share

    def _add_budget(self, limit: RateLimit) -> Budget:
        budget = cast(LeasedBudget, super()._add_budget(limit))
        if limit.rate_limit_type in self._types and budget.length:
            # Only weight is kept free for what comes before users' calls.
            prior = self._prior if limit.rate_limit_type == "REQUEST_WEIGHT" else Tally()
            self._leases[_name(limit)] = Lease(budget, prior)
            self._wake()
        return budget

    def _add_account(self, name: str) -> LocalLedger:
        return super()._add_account(name) if self._new_account is None else self._new_account(name)

    # As the centre sees it

    @property
    def pause(self) -> int:
        """Milliseconds until the next report, if nothing asks for one sooner."""
        # While nothing is under way there is little to tell, and Redis has less to do.
        return IDLE if all(lease.is_idle for lease in self._leases.values()) else BEAT

    def report(self, now: int) -> list[str]:
        """How things stand, as the arguments of `leases.lua`."""
        self._come_to(now)
        self._room = -FOREVER  # what is left over is given back
        # Without the exchange's time there is no number of a window to report.
        leases = list(self._current()) if self._is_aligned else []
        self._measure(leases, now)
        # The centre ignores a report with a lower number: it comes late.
        self._number += 1
        self._reported, self._reported_at = [(lease, lease.window) for lease in leases], now
        return [
            *self._heading(now),
            *(part for lease in leases for part in (_name(lease.budget.limit), *map(str, lease.report(now)))),
        ]

    def _measure(self, leases: Sequence[Lease], now: int) -> None:
        # A report may come sooner than a beat; the pace is what is taken in a whole one.
        if now - self._measured_at >= BEAT:
            self._measured_at = now
            for lease in leases:
                lease.measure()

    def _heading(self, now: int) -> Iterator[str]:
        reading = self.reading(now)
        # What is over by now is no news to anybody.
        holds = self._told_holds = [hold for hold in self._news.values() if hold.until > now]
        yield from (self._holder, str(self._number), str(len(self._watchers)), self._run, str(int(self._share > 0)))
        yield from ("", "") if reading is None else (str(reading.now), str(reading.error))
        yield from (str(SETTLING), str(len(holds)))
        for hold in holds:
            yield from (hold.scope, str(hold.until - now), str(hold.status), str(hold.code), hold.message)

    def give_back(self) -> None:
        """Keep nothing that is not taken: this process sends no more."""
        for lease in self._leases.values():
            lease.give_back()

    def take(self, answer: Sequence[str], now: int) -> None:
        """Take what the centre answers to the last report.

        Raises:
            ProtocolViolation: the centre does not speak as `leases.lua` does.
        """
        said = read_answer(answer, len(self._reported))
        self._come_to(now)
        # The centre answered since then, no one knows when.
        was_away, self._heard_at = self.is_away_at(now), self._reported_at
        self._is_settled = said.is_settled
        self._note_end()
        for hold in self._told_holds:  # but not what came since
            if self._news.get(hold.scope) == hold:
                del self._news[hold.scope]
        # Another run has counted anew, so what the old one told explains no count any more.
        if said.run != self._run:
            self._run = said.run
            for lease in self._leases.values():
                lease.forget()
        for (lease, window), grant in zip(self._reported, said.grants, strict=True):
            if window == lease.budget.window:  # else it is of the last one
                lease.take(grant, self._order, is_settled=said.is_settled)
        self._learn_from(said, now)
        self._room = -FOREVER
        # Whoever waits may go on: there is more to take, or the centre is there to ask.
        if was_away or any(grant.given for grant in said.grants):
            self.tell(None)

    def _learn_from(self, said: Answer, now: int) -> None:
        """The exchange's time and limits, if this process has not asked for them yet, and what holds all back."""
        # A process that has asked the exchange itself needs no word of the others.
        if not self._is_aligned and said.time is not None:
            time, error = said.time
            # The answer took that long at most, so the time in it may be wrong by as much more.
            self.align(time - now, error + now - self._reported_at, now)
        self.record([limit for limit in said.limits if _name(limit) not in self._leases], now)
        for refusal in said.holds:
            known = self.held(_ANYTHING, now)
            # `super`, since it is no news to the centre.
            if known is None or known.until + _NEWS < now + (refusal.wait or 0):
                super().hold(refusal, now)


class Answer(NamedTuple):
    """What the centre said.

    Attributes:
        run: a name for what it knows: another one, if it has lost something.
        is_settled: whether all that another run had granted has arrived at the exchange, or was told.
        time: the exchange's time in milliseconds, and by what it may be wrong; None if nobody has told it.
        holds: what holds all back.
        grants: for each limit of the report.
        limits: which there are.
    """

    run: str
    is_settled: bool
    time: tuple[int, int] | None
    holds: Sequence[Refusal]
    grants: Sequence[Grant]
    limits: Sequence[RateLimit]


def read_answer(answer: Sequence[str], count: int) -> Answer:
    """An answer of `leases.lua` to a report of so many limits.

    Raises:
        ProtocolViolation: it is none.
    """
    try:
        run, settled, time, error, number, *rest = answer
        ends = 4 * int(number)
        holds = [_refusal(*rest[at : at + 4]) for at in range(0, ends, 4)]
        size = len(Grant._fields)
        begins, ends = ends, ends + size * count
        grants = [Grant(*map(int, rest[at : at + size])) for at in range(begins, ends, size)]
        limits = [_limit(*rest[at : at + 2]) for at in range(ends, len(rest), 2)]
        return Answer(run, settled == "1", (int(time), int(error)) if time else None, holds, grants, limits)
    except (TypeError, ValueError, msgspec.ValidationError) as error_:
        raise ProtocolViolation(f"the centre of shared limits answers in another way: {error_}") from error_


def _name(limit: RateLimit) -> str:
    return f"{limit.rate_limit_type}:{limit.interval}:{limit.interval_num}"


def _limit(name: str, limit: str) -> RateLimit:
    limit_type, interval, number = name.split(":")
    fields = {"rateLimitType": limit_type, "interval": interval, "intervalNum": int(number), "limit": int(limit)}
    return msgspec.convert(fields, RateLimit)


def _refusal(wait: str, status: str, code: str, message: str) -> Refusal:
    return Refusal(int(status), int(code), message, int(wait))
