"""One account's events over several connections, one after the other: each once, in order, and every loss told.

A connection *carries* the events of an account from the exchange's answer to its subscription on. Four things are
taken for true of the exchange:

* **Beginnings.** A connection brings nothing that had come by another one before it was asked.
* **Order.** Within a connection, events come in the order in which they happened.
* **Lag.** An event comes at most `LONGEST_LAG` later than it happened. One connection may be later than another.
* **Ends.** A connection brings all that happened between its two answers, to subscribing and to unsubscribing.

**Order and repeats.** The carriers stand in a queue. What the first brings is handed out; what the others bring waits.
When the first has given up, the next one's turn comes: what it has brought, or will bring, and the first has brought as
well, is dropped, and the rest is handed out. So nothing comes twice, and nothing older comes after something newer,
except what lies in a gap: what was taken for missing, and came by a connection that had begun before the first. Events
are the same if they differ in nothing but the event time, and in that by no more than `SAME`. For those of a type that
is not known it is `SAME_UNKNOWN`, since they may hold no time of their own. They are counted, so an event that the
exchange says twice comes twice: a connection goes on counting from what had come before it was asked. Counting goes on
until the one that is left cannot be late any more. Two that are alike may be of one millisecond, so for more than one
both connections carry (`OVERLAP` of `carrier`): an event that one of them alone has brought is then not like one that
the other alone brings.

**Gaps.** A lost carrier is complete up to the last moment of which all must have come (`_Carrier.complete_until`): by
the order up to its latest event, by the lag up to `LONGEST_LAG` before it was last heard. One that left in order is
complete up to the moment when it was asked to unsubscribe. If the next in the queue had subscribed by then, nothing is
missing; nor if the next one carried when the first was asked to leave, or one whose turn came before, and that has
answered. Else a `Gap` leads from there to that subscription; or from where one whose turn came before was complete, if
that is later. If there is no other carrier, that is an outage (`Interrupted`), and the `Gap` follows when it is over.

**Leaving before one's turn.** A carrier that is not the first may leave at any time: the first brings all that it has
brought, or ends with a gap that covers it. But once all before it have been asked to leave, they may have stopped
earlier than it. Then it keeps its place, if all that it had to bring has come: its turn still comes, and is over at
once. For example: A is first, and B carries as well. A is asked to leave and stops, but its answer is slow. B brings an
event that A does not bring any more, is asked to leave, and has answered before A has. That event waits for B's turn.

**Leaving unheard.** A connection that was asked to leave when nobody listened is of no use once another one carries
for whoever has come since. So it is taken out of the queue then: it may never answer, and what the others bring would
wait for it, or be left to it by one that leaves.

Left out: a carrier that is complete by both rules, but whose node of the exchange had not heard yet of what another's
had told before. The document promises no more than the answers. And an event of which a documented field comes on one
connection and not on the other, while servers of two releases carry: it comes twice, since to take two for one that may
not be the same would lose one.

**Times** are local, in milliseconds of this machine's monotonic clock, so nothing here ever steps back. The exchange
dates its events by a clock of its own, which may be adjusted at any time. A `Calendar` tells what it may have shown
then: only where an event says when it happened, and where users are told. So a `Gap` covers what is missing by each of
the clocks that may have dated it. That the clock was adjusted is known once it has been measured, which may be after
the loss. So each loss is judged twice: at once, by what is known then, and when the clock has been measured after it.
If more may be missing than was told, another `Gap` covers all of it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

import msgspec

from ..api._values import Timestamp
from ..api.events import Event
from .repeats import LONGEST_LAG, Copy, Memory, date_of

SLACK: Final = 1_000
"""Milliseconds by which the time of a transaction may be before the time of an event that came earlier."""


class Interrupted(msgspec.Struct, frozen=True, kw_only=True):
    """No connection brings events at present, and none could be had at once. A `Gap` follows once they come again.

    If a gap of an earlier loss turns out to be wider meanwhile, that `Gap` is told, and then this again.

    Attributes:
        at: the exchange's time, in the unit of the session, up to which nothing is missing. If its clock has been
            adjusted, the gap may start earlier.
        reason: why.
    """

    at: Timestamp
    reason: str


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Events may be missing here: query what matters for the time between, both ends included.

    A second one for the same loss, a round trip later, is told if the exchange's clock was adjusted meanwhile, so that
    more may be missing than the first one covers.

    Attributes:
        start: the exchange's time, in the unit of the session, up to which nothing is missing.
        end: the exchange's time, in the unit of the session, from which events are complete again.
        reason: why the connection was lost.
    """

    start: Timestamp
    end: Timestamp
    reason: str


UserDataEvent: TypeAlias = Event | Interrupted | Gap
"""What a subscriber receives."""


class Calendar(Protocol):
    """How the exchange's dates stand to local time, which is in milliseconds."""

    @property
    def unit(self) -> int:
        """How many of the session's unit of time make a millisecond."""
        ...

    def dates(self, begin: int, end: int) -> tuple[Timestamp, Timestamp]:
        """The earliest and latest date, in the session's unit, that the exchange may have given between two times."""
        ...

    def earliest(self, date: int, now: int) -> int:
        """The time of a date in milliseconds that has come by now, at the earliest."""
        ...


_MOST_OVER: Final = 8  # how many connections are remembered whose turn is over

_NOBODY: Final = "no connection carried the subscription"


class Succession:
    """Who carries a feed, and in which order.

    Args:
        tell: hands out an event.
        tell_gap: hands out a `Gap`, to those who were there at the loss of that number.
        calendar: tells dates from times.

    Attributes:
        repeats: how many events were dropped since another connection had brought them.
        outage: what is to be said of the outage, if there is one: nobody carries, although somebody should.
        losses: how often the turn of a connection was over. They are numbered from 1.
        doubtful: the losses to be judged again once the clock has been measured.
    """

    def __init__(
        self,
        tell: Callable[[Event], None],
        tell_gap: Callable[[Gap, int], None],
        calendar: Calendar,
    ) -> None:
        self.repeats = 0
        self.outage: Interrupted | None = None
        self.losses = 0
        self.doubtful: list[_Loss] = []
        self._tell = tell
        self._tell_gap = tell_gap
        self._calendar = calendar
        # Who was asked to carry, and when.
        self._subscribing: dict[int, _Asked] = {}
        # In the order of their turns, with those that have left before theirs. The first has not.
        self._carriers: list[_Carrier] = []
        # Those whose turn was over last: one of them may be more complete than those that came after it.
        self._over = deque[_Carrier](maxlen=_MOST_OVER)
        # How many have begun to carry, and how many had when one of those was asked to leave that had brought all.
        self._begun = self._heirs = 0
        # As long as two may bring the same. How many events have come at such times.
        self._memory: Memory | None = None
        self._arrivals = 0
        self._memory_ends: float = math.inf

    @property
    def carriers(self) -> list[int]:
        """The connections that carry, by their numbers, in the order of their turns."""
        return [carrier.number for carrier in self._carriers if not carrier.is_whole]

    def subscribing(self, number: int, now: int) -> None:
        """A connection asks to carry, not before ``now``. It may bring events as soon as the exchange has heard."""
        # From now on two may bring the same event, but none that has come already.
        self._subscribing[number] = _Asked(now, self._arrivals)
        self._mind_overlap(now)

    def subscribed(self, number: int, now: int) -> None:
        """A connection carries, from ``now`` on at the latest."""
        self._begun += 1
        self._drop_useless(now)
        self._carriers.append(_Carrier(number, self._subscribing.pop(number, _Asked(now, 0)), now, self._begun))
        # The outage is over: now it is known until when events may be missing.
        if self.outage is not None:
            outage, self.outage = self.outage, None
            self._note_loss(now, outage.reason)

    def bring(self, event: Event, number: int, now: int) -> None:
        """Hand out an event that a connection has brought, unless it has to wait, or is a repeat."""
        # One connection brings the feed, which is nearly always so: no repeat is possible, and nothing has to wait.
        if self._memory is None:
            # Else it was asked to leave when nobody listened: nobody needs what it still brings.
            if self._carriers and self._carriers[0].number == number:
                first = self._carriers[0]
                first.latest, first.latest_at = event, now
                self._tell(event)
        elif number in self.carriers:
            self._sort_in(self._memory, event, number, now)

    def unsubscribing(self, number: int, now: int, *, is_heard: bool = True) -> None:
        """A connection asks to carry no more, not before ``now``. If nobody listens, it is of no use to anybody."""
        if number not in self.carriers:
            return
        carrier = self._carrying(number)
        # Only the first question counts: whoever carried then has brought all since.
        if carrier.heirs is None:
            carrier.unsubscribing_at = now
            carrier.heirs = self._begun
            carrier.is_useless = not is_heard
        if len(self._carriers) > 1:
            self._drop_useless(now)

    def _drop_useless(self, now: int) -> None:
        """Have nobody wait for those that were asked to leave when nobody listened: others came since, with another."""
        for carrier in [carrier for carrier in self._carriers if carrier.is_useless]:
            self._drop(carrier, now)
        self._catch_up(now)

    def ended(self, number: int, end: Event, now: int) -> bool:
        """The exchange says that a subscription is over, so all has come of what it brings.

        Returns whether its connection has been asked to leave. Which came first, the end or the question, its answer
        tells: dates do not, since the clock may have been adjusted.
        """
        if number not in self.carriers:
            return True
        carrier = self._carrying(number)
        carrier.latest, carrier.latest_at = end, now
        return carrier.heirs is not None

    def transferred(self, number: int, heard: int, now: int) -> None:
        """A connection has unsubscribed, and all that it owed has come: the next one goes on. Or it was never there."""
        self._leave(number, heard, now, None)

    def unsubscribed(self, number: int, now: int) -> None:
        """A connection has unsubscribed, and nobody was there to miss anything."""
        if number in self.carriers:
            self._drop(self._carrying(number), now)
            self._catch_up(now)

    def lost(self, number: int, heard: int, now: int, reason: str) -> None:
        """A connection, last heard at ``heard``, will bring no more, and may have owed some."""
        self._leave(number, heard, now, reason)

    def clock_was_measured(self, doubts: int) -> None:
        """Judge losses again by what is known now: as many as there were in doubt when the clock was asked."""
        losses, self.doubtful = self.doubtful[:doubts], self.doubtful[doubts:]
        for loss in losses:
            self._judge(loss)

    def explain(self, reason: str) -> None:
        """Say why the outage lasts, if there is one."""
        # Attempts fail again and again for one reason, which is said once.
        if self.outage is not None and reason not in self.outage.reason:
            self.outage = Interrupted(at=self.outage.at, reason=f"{self.outage.reason}; {reason}")

    def _carrying(self, number: int) -> _Carrier:
        return next(carrier for carrier in self._carriers if carrier.number == number and not carrier.is_whole)

    def _leave(self, number: int, heard: int, now: int, reason: str | None) -> None:
        # An attempt to subscribe came to nothing.
        if number not in self.carriers:
            self._subscribing.pop(number, None)
            self._mind_overlap(now)
            return
        carrier = self._carrying(number)
        carrier.heard, carrier.is_whole = heard, reason is None
        if carrier is self._carriers[0]:
            self._drop(carrier, now)
            self._end_turn(carrier, now, reason)
        # What it has brought, the first has brought too, or a gap will cover it: unless this one may have stopped
        # later than the first.
        elif not (carrier.is_whole and self._may_outlast(carrier)):
            self._drop(carrier, now)

    def _may_outlast(self, carrier: _Carrier) -> bool:
        """Whether all whose turns come earlier have been asked to leave, so that they may have stopped before this one.

        One that has not been asked goes on: it brings what this one has brought, or a gap covers that.
        """
        earlier = self._carriers[: self._carriers.index(carrier)]
        return all(other.heirs is not None for other in earlier)

    def _drop(self, carrier: _Carrier, now: int) -> None:
        self._carriers.remove(carrier)
        self._mind_overlap(now)

    def _end_turn(self, first: _Carrier, now: int, reason: str | None) -> None:
        """The turn of the one that was the first is over."""
        self.losses += 1
        self._over.append(first)
        # One whose turn comes later may have been asked to leave earlier, so the latest counts.
        if first.is_whole:
            self._heirs = max(self._heirs, first.heirs or 0)
        if self._carriers:
            self._go_on(now, reason)
        else:
            # How long it lasts is not known yet, so its gap is told when somebody carries again.
            at = _complete_until(self._over, self._calendar)
            self.outage = Interrupted(at=self._calendar.dates(at, at)[0], reason=reason or _NOBODY)

    def _go_on(self, now: int, reason: str | None) -> None:
        """It is the next one's turn."""
        successor = self._carriers[0]
        # Else it carried already when one before it was asked to leave, and that has brought all up to its answer.
        if successor.rank > self._heirs:
            self._note_loss(successor.begun_at, reason or _NOBODY)
        self._catch_up(now)

    def _catch_up(self, now: int) -> None:
        """Hand out what waited for its turn."""
        # If nobody is left, nothing waits: what others had brought ended with them.
        first = self._carriers[0] if self._carriers else None
        while first is not None and first.waiting:
            self._hand_out(first.waiting.popleft())
        # It had left before its turn came, and this was all.
        if first is not None and first.is_whole:
            self._drop(first, now)
            self._end_turn(first, now, None)

    def _note_loss(self, end: int, reason: str) -> None:
        loss = _Loss(self.losses, tuple(self._over), end, reason)
        self._judge(loss)
        self.doubtful.append(loss)

    def _judge(self, loss: _Loss) -> None:
        """Tell what may be missing, unless that has been told."""
        begin = _complete_until(loss.carriers, self._calendar)
        # Else the next one had subscribed before the first was lost: nothing is missing.
        if begin < loss.end:
            start, end = self._calendar.dates(begin, loss.end)
            # Judged again after the clock was measured: told again only if more may be missing.
            if loss.told is None or start < loss.told.start or loss.told.end < end:
                loss.told = Gap(start=start, end=end, reason=loss.reason)
                self._tell_gap(loss.told, loss.number)

    # Repeats

    def _mind_overlap(self, now: int) -> None:
        if len(self._carriers) + len(self._subscribing) > 1:
            # What was counted before goes on to count.
            self._memory = self._memory or Memory()
            self._memory_ends = math.inf
        # One is left. Its events may be late by this much, and repeat what the one before had brought.
        elif self._memory_ends == math.inf:
            self._memory_ends = now + LONGEST_LAG

    def _sort_in(self, memory: Memory, event: Event, number: int, now: int) -> None:
        # Nothing can be late any more, so nothing has to be remembered.
        if now > self._memory_ends:
            self._memory = None
            self.bring(event, number, now)
            return
        carrier = self._carrying(number)
        carrier.latest, carrier.latest_at = event, now
        self._arrivals += 1
        kind = memory.kind(event, now, self._calendar.unit)
        copy = Copy(event, kind, kind.count(number, carrier.asked.arrivals, self._arrivals))
        # Its turn: handed out at once. Perhaps others have brought the same before.
        if carrier is self._carriers[0]:
            self._hand_out(copy)
            self._drop_repeats()
        elif copy.is_repeat:
            self.repeats += 1
        else:
            carrier.waiting.append(copy)

    def _hand_out(self, copy: Copy) -> None:
        if copy.is_repeat:
            self.repeats += 1
        else:
            copy.kind.handed_out = copy.number
            self._tell(copy.event)

    def _drop_repeats(self) -> None:
        for carrier in self._carriers[1:]:
            # Only at the front: what stands behind something new keeps its place.
            while carrier.waiting and carrier.waiting[0].is_repeat:
                carrier.waiting.popleft()
                self.repeats += 1


class _Loss:
    """The end of a connection's turn, after which something may be missing.

    Attributes:
        number: of the loss.
        carriers: whose turn was over by then: the latest.
        end: the time from which the next one brings everything.
        reason: why it ended.
        told: the gap that was told last.
    """

    def __init__(self, number: int, carriers: Sequence[_Carrier], end: int, reason: str) -> None:
        self.number: Final = number
        self.carriers: Final = carriers
        self.end: Final = end
        self.reason: Final = reason
        self.told: Gap | None = None


class _Asked(NamedTuple):
    """A connection was asked to carry: not before a time, and when so many events had come."""

    at: int
    arrivals: int


class _Carrier:
    """One connection while it carries.

    Attributes:
        number: of the connection.
        asked: when it was asked to.
        begun_at: the time from which it brings everything, at the latest.
        rank: which it is of all that have begun to carry, from 1 on.
        unsubscribing_at: the time at which it was asked to carry no more, at the earliest.
        heirs: how many had begun to carry by that time; None if it was not asked.
        latest: the latest event that it brought.
        latest_at: when that came.
        heard: when the connection was last heard, once it has left.
        is_whole: whether it has left, and had brought all that it owed.
        is_useless: whether it was asked to leave when nobody listened, so that nobody misses what it brings since.
        waiting: what it brought before its turn has come.
    """

    def __init__(self, number: int, asked: _Asked, begun_at: int, rank: int) -> None:
        self.number: Final = number
        self.asked: Final = asked
        self.begun_at: Final = begun_at
        self.rank: Final = rank
        self.unsubscribing_at: float = math.inf
        self.heirs: int | None = None
        self.latest: Event | None = None
        self.latest_at = 0
        self.heard = 0
        self.is_whole = False
        self.is_useless = False
        self.waiting: Final[deque[Copy]] = deque()

    def complete_until(self, calendar: Calendar) -> int:
        """The last moment of which all must have come, once its turn is over."""
        # All that happened before it was asked to leave.
        if self.is_whole:
            return int(min(self.unsubscribing_at, self.heard))
        # By the lag, by the order of events, and not before it was asked to carry. The latest of these is the least
        # gap.
        start = max(self.heard - LONGEST_LAG, self._latest_happened(calendar) - SLACK, self.asked.at)
        # After the exchange has heard that it shall carry no more, it brings nothing.
        return int(min(start, self.unsubscribing_at))

    def _latest_happened(self, calendar: Calendar) -> float:
        date = None if self.latest is None else date_of(self.latest, calendar.unit)
        # Then it tells nothing, and the lag decides.
        if date is None:
            return -math.inf
        happened = calendar.earliest(date, self.latest_at)
        # One that is far ahead was dated by a clock that was put right, or wrong, since.
        return min(happened, self.latest_at) if happened <= self.latest_at + LONGEST_LAG else -math.inf


def _complete_until(carriers: Iterable[_Carrier], calendar: Calendar) -> int:
    """The last moment of which all must have come, once the turns of these are over."""
    return max(carrier.complete_until(calendar) for carrier in carriers)
