"""One limit of the exchange, and how much of its current window is used up. `rate_limits` has the theory.

A call is charged in full when it leaves, and settled when its answer comes. What is charged and what is settled is
summed up once for each kind of cost (`Tally`), since every call passes there; a budget remembers by how much its window
differs from that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

import msgspec

from ..errors import InvalidRequest

if TYPE_CHECKING:
    from ..api._values import RateLimit

FOREVER: Final = sys.maxsize

OWN_RESERVE: Final = 29
"""Weight that is kept for what the session needs itself. The first connection takes that much: connecting 2, three
questions for the time 3, the limits 20, logging on 2, subscribing 2."""

RESERVE_PER_SESSION: Final = 7
"""Weight that one session needs for another connection: connecting 2, the time 1, logging on 2, subscribing 2."""

CANCEL_RESERVE: Final = 50
"""Weight that is kept for calls that cancel. They weigh 1, and 0 once they have succeeded."""

LAPSE: Final = 20
"""The session's own reserve lapses for the last part of each window, one in so many: it costs no use then, and the
session waits a few seconds at most for the next window."""

LONGEST_OWN_WINDOW: Final = 300_000
"""Milliseconds: the longest window that holds back what the session needs itself. It is that of connections; a longer
one would keep the session away for hours."""

LEAST: Final[dict[str, int]] = {"REQUEST_WEIGHT": RESERVE_PER_SESSION, "CONNECTIONS": 2}
"""A limit below that cannot be right: no session could connect, or rotate, within a window. For orders it is 1 in a
minute, and 2 in a longer window: a single one would end trading for a day."""

MOST: Final = 10**9
LONGEST_WINDOW: Final = 366 * 86_400_000

_MINUTE: Final = 60_000
_MILLISECONDS: Final[dict[str, int]] = {"SECOND": 1_000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}

ITEMS: Final[dict[str, int]] = {"REQUEST_WEIGHT": 0, "ORDERS": 1, "CONNECTIONS": 2}
"""Which item of a `Cost` counts against which type of limit."""

Purpose: TypeAlias = Literal["call", "cancel", "own"]
"""What a cost is for: a user's call, one that cancels, or what the session needs to live."""


class Reserve(NamedTuple):
    """Weight that is kept for what sessions need themselves.

    Attributes:
        whole: in each window, less what they have used of it; 0 for no reserve, also none for cancels.
        least: whatever they have used: what one more connection takes, for each session.
    """

    whole: int = 0
    least: int = 0


class Cost(NamedTuple):
    """What a call, or opening a connection, takes of each kind of limit, and what it is for."""

    weight: int = 0
    orders: int = 0
    connections: int = 0
    purpose: Purpose = "call"


class Tally:
    """All there ever was of one item of the costs.

    Attributes:
        charged: what was charged, without what was cancelled.
        settled: what of that was settled.
    """

    __slots__ = ("charged", "settled")

    def __init__(self) -> None:
        self.charged = self.settled = 0


Parts: TypeAlias = tuple[tuple[Tally, int], ...]


class Charge(msgspec.Struct, eq=False):
    """A cost that was charged and is neither settled nor cancelled. What it holds is the ledger's business.

    Attributes:
        cost: as charged.
        at: local time of charging, in milliseconds.
        order: how many charges there had been, with it.
        parts: what the cost adds to which tallies.
        settled_before: what was settled in all before it was charged, item by item.
        counts: what the exchange reported with its answer.
    """

    cost: Cost
    at: int
    order: int
    parts: Parts
    settled_before: tuple[int, ...]
    counts: Sequence[RateLimit] = ()


class Alignment(NamedTuple):
    """How the exchange's clock stands to ours.

    Attributes:
        offset: exchange time minus local time, in milliseconds.
        margin: milliseconds by which that may be wrong, either way.
    """

    offset: int
    margin: int


class Budget:
    """One limit, and its current window. Every time is local, in integer milliseconds.

    Args:
        limit: as the exchange published it.
        tally: of what counts here.
        own: of the weight of what sessions need themselves.
        alignment: of the windows.
        settled_before: what the tally said was settled before the window began, or earlier.
        charges: what is open.
        now: local time.

    Attributes:
        limit: as the exchange published it last.
        tally: of what counts here.
        part: what of a cost counts here; 0 if the type of limit is not understood.
        known_beyond: what is known to be used of the current window, less what the tally says is settled.
        began_at: when the window began here, margin included.
        turns_at: when it is over here.
        spills_from: what is settled from then on may have arrived in the next window already.
        window: its number by the exchange's clock, the same in each process; 0 if it has no end.
    """

    __slots__ = (
        "_alignment",
        "_explained",
        "_foreign_since",
        "_forgotten",
        "_length",
        "_own",
        "_own_before",
        "_spilt",
        "began_at",
        "known_beyond",
        "limit",
        "part",
        "spills_from",
        "tally",
        "turns_at",
        "window",
    )

    def __init__(
        self,
        limit: RateLimit,
        tally: Tally,
        alignment: Alignment,
        *,
        own: Tally,
        settled_before: Callable[[int], Sequence[int]],
        charges: Iterable[Charge],
        now: int,
    ) -> None:
        self.limit = limit
        self.tally = tally
        item = ITEMS.get(limit.rate_limit_type)
        self.part: Callable[[Sequence[object]], int] = _nothing if item is None else itemgetter(item)
        # 0 if the interval is not understood: a window without an end, and no limit.
        self._length = length_of(limit)
        self._alignment = alignment
        # What sessions had used for themselves before this window. What they used before a limit was known was in it.
        self._own = own
        self._own_before = 0
        # The latest charge when use by others last showed.
        self._foreign_since = 0
        # What counts have raised known by, and may be of calls that are open.
        self._explained = 0
        self._enter(now)
        self._sort(charges)
        self.known_beyond = -self.part(settled_before(self.began_at))
        # Of what is known, the part that may have arrived in the next window already.
        self._spilt = tally.settled + self.known_beyond if now >= self.spills_from else 0

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

    def room(self, own: Reserve, now: int) -> int:
        """How much of what a user's calls cost fits still."""
        # A limit that is not understood does not limit.
        if self._length == 0 or self.part is _nothing:
            return FOREVER
        return self.limit.limit - self.used - self._reserve("call", own, now)

    def free_at(self, cost: Cost, own: Reserve, now: int) -> int:
        """When a cost fits, or at least is worth trying again; 0 if it fits now, or this does not limit it.

        Raises:
            InvalidRequest: it never does.
        """
        part = self.part(cost)
        if part == 0 or self._length == 0 or self.is_to_live(cost, part):
            return 0
        # It fits no window, so waiting would have no end.
        if part > self.limit.limit:
            raise InvalidRequest(f"this takes {part} of {_in_words(self.limit)}, so it can never be sent")
        room = self.limit.limit - self.used
        reserve = self._reserve(cost.purpose, own, now)
        if part > self.limit.limit - reserve:  # beside the reserve it would never fit
            reserve = 0
        if part <= room - reserve:
            return 0
        # What only the reserve keeps out fits once that lapses, which is before the turn.
        lapsed = self._reserve(cost.purpose, own, self.lapses_at)
        return self.lapses_at if part <= room - lapsed else self.turns_at

    def turn(self, charges: Iterable[Charge], now: int) -> None:
        """Enter the window that it is time for."""
        if now < self.turns_at:
            return
        # If a whole window has passed meanwhile, what may have spilt over is past as well.
        is_next = now < self.turns_at + self._length
        self.known_beyond = (self._spilt if is_next else 0) - self.tally.settled
        self._spilt = 0
        self._own_before = self._own.charged
        self._enter(now)
        self._sort(charges)

    def align(self, alignment: Alignment, charges: Iterable[Charge], now: int) -> None:
        """Move the window to where the exchange's clock has it. What is used up stays used until the next turn; if the
        window comes again that was left, until the turn after that.
        """
        known, self._alignment = self._alignment, alignment
        # Here a window begins at its time on the exchange's clock, less the offset, plus the margin.
        shift = (known.offset - alignment.offset) + (alignment.margin - known.margin)
        if abs(shift) > max(known.margin, alignment.margin):
            # A clock was adjusted: the window that it is now may be another one.
            left = self.window
            self._enter(now)
            if self.window != left:
                # The exchange's clock was set back over the turn, or stands still before it: the window that was left
                # comes again, with all that was used of it. If it was moved further, another one comes next.
                self._spilt = self.tally.settled + self.known_beyond if self.window + 1 == left else 0
        else:
            self._begin(self.began_at + shift)
        self._sort(charges)

    def close(self, part: int, at: int) -> None:
        """Take note that a charge is no longer open. Its tally knows already."""
        if not self._counts(at):
            self._forgotten -= part

    def settle(self, part: int, at: int, now: int) -> None:
        """Take note that a charge is settled. Its tally knows already."""
        self.close(part, at)
        if not self._counts(at):
            self.known_beyond -= part
            return
        if now >= self.spills_from:
            self._spilt += part
        # Its own count may be of the window before, and puts nothing right.
        if at < self.began_at:
            self._see_in_count(part)

    def _see_in_count(self, part: int) -> None:
        """Take what is settled for a part of what a count of a later call has had in it already, if one may have."""
        counted = min(part, self._explained)
        self._explained -= counted
        self.known_beyond -= counted

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
            # More than what is under way explains: others use the limit, from this charge on.
            if more > self.open:
                self._foreign_since = order
            else:
                self._explained += more
            self.known_beyond += more
            return more
        # A call that left before that use showed may not have counted it, so its count lowers nothing.
        if charge.order > self._foreign_since:
            settled_since = self.tally.settled - self.part(charge.settled_before) - self.part(charge.cost)
            if more + settled_since < 0:
                self.known_beyond += more + settled_since
                # So much of it was explained by this call.
                self._explained = max(0, self._explained + more + settled_since)
        return 0

    def raise_to(self, count: int, order: int) -> None:
        """Let a count that came with no charge put right what is known, if it is more."""
        if count > self.tally.settled + self.known_beyond:
            self.known_beyond = count - self.tally.settled
            self._foreign_since = order

    # What is kept free

    @property
    def lapses_at(self) -> int:
        return self.turns_at - self._length // LAPSE

    def _reserve(self, purpose: Purpose, own: Reserve, now: int) -> int:
        """What a cost for that purpose must leave free."""
        # The reserve is for the sessions themselves, and only weight is kept free.
        if purpose == "own" or self.limit.rate_limit_type != "REQUEST_WEIGHT" or own.whole == 0:
            return 0
        # Of a small limit a tenth, so that enough is left for the other calls.
        cancels = 0 if purpose == "cancel" else max(1, min(CANCEL_RESERVE, self.limit.limit // 10))
        return cancels + (self._own_left(own) if now < self.lapses_at else 0)

    def _own_left(self, own: Reserve) -> int:
        """What is left of the sessions' own reserve: they may have used it, but for the least."""
        used = max(0, self._own.charged - self._own_before)
        most = self.limit.limit // 2
        return max(min(own.whole, most) - used, min(own.least, most))

    def is_to_live(self, cost: Cost, part: int) -> bool:
        """Whether the session could not connect for long if this limited it: then it does not."""
        return cost.purpose == "own" and (part > self.limit.limit or self._length > LONGEST_OWN_WINDOW)

    # The window

    def _counts(self, at: int) -> bool:
        """Whether a charge of that time counts in this window still."""
        # A charge of the window before may have arrived in this one; an earlier one cannot.
        return at >= self.began_at - self._length

    def _sort(self, charges: Iterable[Charge]) -> None:
        """Sum up what is open by the tally, and does not count here any longer."""
        self._forgotten = sum(self.part(charge.cost) for charge in charges if not self._counts(charge.at))

    def _enter(self, now: int) -> None:
        self._explained = 0
        offset, margin = self._alignment
        # On the exchange's clock, windows begin at multiples of their length; here, a margin later.
        self._begin(now - (now + offset - margin) % self._length if self._length else 0)

    def _begin(self, at: int) -> None:
        self.began_at = at
        offset, margin = self._alignment
        self.window = (at + offset - margin) // self._length if self._length else 0
        self.turns_at = at + self._length if self._length else FOREVER
        # This window turns a margin later than the exchange's by our estimate, which may be wrong by another margin.
        self.spills_from = self.turns_at - 2 * margin


def length_of(limit: RateLimit) -> int:
    """Milliseconds of a window; 0 if the interval is not understood."""
    return max(0, _MILLISECONDS.get(limit.interval, 0) * limit.interval_num)


def is_plausible(limit: RateLimit) -> bool:
    """Whether a limit can be right, as far as that can be told. One that is not understood does not limit."""
    if limit.rate_limit_type not in ITEMS or length_of(limit) == 0:
        return True
    least = LEAST.get(limit.rate_limit_type, 1 if length_of(limit) <= _MINUTE else 2)
    return least <= limit.limit <= MOST and length_of(limit) <= LONGEST_WINDOW


def _nothing(_cost: Sequence[object]) -> int:
    return 0


def _in_words(limit: RateLimit) -> str:
    window = f"{limit.interval_num} {limit.interval}"
    return f"the limit of {limit.limit} {limit.rate_limit_type} per {window}"
