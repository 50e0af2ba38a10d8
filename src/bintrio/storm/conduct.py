"""How the sessions of a world behaved, by what they told their observer: what no caller is told shows there.

Each class looks at the facts in their order and says what it found in sentences, nothing if all was as it is promised
to be.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from .._client.feeds import FEED_PATIENCE
from .._protocol.clock import RECENT, Clock
from .._protocol.facts import (
    ClockMeasured,
    ConnectionReady,
    Fact,
    MessageReceived,
    MessageSent,
    SessionStarted,
    Subscribed,
    Swapped,
)
from .._protocol.facts_of_calls import CallEnded, CallSent, CallStarted
from .._protocol.rejections import LASTING
from ..endpoints import TimeUnit
from .plan import Plan
from .program import Deed

SUBSCRIBE: Final = "userDataStream.subscribe"

AFTERMATH: Final = 5.0
"""Seconds after an attempt to subscribe that failed in which its listener may have gone, and may come again."""

ROUNDING: Final = 2
"""Milliseconds by which a timestamp may differ from what a measurement gives."""

# Reads that nothing but the program makes: what an account or `confirm` asks may begin in the same moment.
_ASKED_BY_THE_PROGRAM_ALONE: Final = {"ping", "depth"}

See: TypeAlias = Callable[[Any], str | None]
"""Looks at a fact, and says what is untrue by it."""


def untruths(facts: Sequence[Fact], plan: Plan, deeds: Iterable[Deed]) -> Iterator[str]:
    """Everything that was not as it is promised to be.

    Args:
        facts: that were told, in order.
        plan: of the world.
        deeds: the calls of the program.
    """
    looks = [_Haste(deeds).sees, _Doubts(plan.terms.time_unit).sees]
    # Whoever listens now and then only may begin at any time, so also right after a swap.
    if plan.terms.attention is None:
        looks.append(_Swaps().sees)
    seeing = defaultdict[type[Fact], list[See]](list)
    for sees in looks:
        for kind, see in sees.items():
            seeing[kind].append(see)
    for fact in facts:
        # There are thousands of facts, and most are of kinds that nobody looks at.
        for see in seeing.get(type(fact), ()):
            said = see(fact)
            if said is not None:
                yield said


# Where the key itself is refused, nobody can subscribe, which ends the feeds.
_OF_KEYS: Final = frozenset(kind.__name__ for kind in LASTING)


class _Swaps:
    """Calls go out on a new connection once it brings the events, unless that takes long."""

    def __init__(self) -> None:
        self._ready_at: dict[int, float] = {}
        self._carrying: set[int] = set()
        self._early: dict[int, Swapped] = {}
        self._failed_at = -AFTERMATH
        self._has_failed = False

    @property
    def sees(self) -> Mapping[type[Fact], See]:
        """What it looks at, by the kinds of facts."""
        return {
            ConnectionReady: self._note_ready,
            Swapped: self._note_swap,
            Subscribed: self._hasty_before,
            CallEnded: self._note_failure,
        }

    def _note_ready(self, fact: ConnectionReady) -> None:
        # A session before this one may have had a connection of that number.
        self._carrying.discard(fact.connection)
        self._early.pop(fact.connection, None)
        self._ready_at[fact.connection] = fact.at

    def _note_swap(self, fact: Swapped) -> None:
        ready_at = self._ready_at[fact.connection]
        is_patient = fact.at >= ready_at + FEED_PATIENCE
        # Nobody waits for a feed that was refused last, however long ago that was: trading goes on without it.
        is_troubled = self._has_failed or self._failed_at >= ready_at - AFTERMATH
        is_excused = is_patient or fact.replaced is None or is_troubled
        if not is_excused and fact.connection not in self._carrying:
            self._early[fact.connection] = fact

    def _hasty_before(self, fact: Subscribed) -> str | None:
        """The swap that should have waited for this."""
        self._carrying.add(fact.connection)
        self._has_failed = False
        swap = self._early.pop(fact.connection, None)
        # Whoever began to listen much later is none that was to be waited for.
        is_soon = swap is not None and self._failed_at < swap.at and fact.at < swap.at + FEED_PATIENCE
        return f"{swap} came before {fact} (G5)" if is_soon else None

    def _note_failure(self, fact: CallEnded) -> None:
        is_of_key = fact.method == "session.logon" and fact.error in _OF_KEYS
        # Its listener has heard of it, and may ask again whenever it likes.
        if (fact.error is not None and fact.method.startswith(SUBSCRIBE)) or is_of_key:
            self._failed_at = fact.at
            self._has_failed = True


class _Haste:
    """A call that had to wait, or comes again, does not leave when its answer can no longer come in time.

    Args:
        deeds: the calls of the program, whose deadlines are known.
    """

    def __init__(self, deeds: Iterable[Deed]) -> None:
        self._deadlines: dict[tuple[str, float], float] = {}
        # How many calls with a known deadline have not begun yet; below 0, so many others have begun.
        self._to_begin = Counter[tuple[str, float]]()
        self._calls: dict[int, CallStarted] = {}
        self._round_trips = deque[float](maxlen=RECENT)
        for deed in deeds:
            api = deed.request.api
            if not api.repeatable or api.name in _ASKED_BY_THE_PROGRAM_ALONE:
                # Of calls that begin in one moment it is not known which is which, so the latest deadline counts.
                known = self._deadlines.get(call := (api.name, deed.began), 0.0)
                self._deadlines[call] = max(known, deed.began + deed.timeout)
                self._to_begin[call] += 1

    @property
    def sees(self) -> Mapping[type[Fact], See]:
        """What it looks at, by the kinds of facts."""
        return {
            SessionStarted: self._begin,
            ClockMeasured: self._note_round_trip,
            CallStarted: self._note_start,
            CallSent: self._late_by,
        }

    def _begin(self, fact: SessionStarted) -> None:
        # Calls are numbered anew, and nothing is known of how long the way is.
        self._calls.clear()
        self._round_trips.clear()

    def _note_round_trip(self, fact: ClockMeasured) -> None:
        self._round_trips.append(fact.round_trip)

    def _note_start(self, fact: CallStarted) -> None:
        if not fact.is_own:
            self._calls[fact.call] = fact
            self._to_begin[fact.method, fact.at] -= 1

    def _late_by(self, fact: CallSent) -> str | None:
        started = self._calls.get(fact.call)
        # One that leaves at once has all its time: if that is too short, its user has it so.
        if started is None or fact.at == started.at:
            return None
        call = (fact.method, started.at)
        # An account has called in the same moment, with a deadline of its own, and it may be that call.
        if self._to_begin[call] < 0:
            return None
        deadline = self._deadlines.get(call, math.inf)
        least = min(self._round_trips, default=0.0)
        is_late = fact.at >= deadline - least
        return f"{fact} left {deadline - fact.at:g} s before its deadline (G1)" if is_late else None


def has_clock_doubted(fact: CallEnded) -> bool:
    """Whether the exchange has refused a timestamp, so that the session trusts its estimate no longer."""
    # A logon that is refused has no measurement of its own: the next connection makes one.
    return fact.error == "InvalidTimestamp" and (not fact.is_own or fact.method.startswith(SUBSCRIBE))


class _Doubts:
    """Once the exchange has refused a timestamp, timestamps go by what is measured then, and by nothing older.

    Args:
        unit: of times.
    """

    def __init__(self, unit: TimeUnit) -> None:
        self._unit: TimeUnit = unit
        self._refused_at: float | None = None
        self._server_time = 0
        # As the clock is by that one measurement; when a call was queued since, by its connection and id.
        self._alone: Clock | None = None
        self._queued: dict[tuple[int, str], float] = {}

    @property
    def sees(self) -> Mapping[type[Fact], See]:
        """What it looks at, by the kinds of facts."""
        return {
            SessionStarted: self._begin,
            CallEnded: self._note_refusal,
            MessageReceived: self._note_time,
            ClockMeasured: self._note_measurement,
            CallSent: self._note_sending,
            MessageSent: self._wrong_by,
        }

    def _begin(self, fact: SessionStarted) -> None:
        self._refused_at = self._alone = None

    def _note_refusal(self, fact: CallEnded) -> None:
        if has_clock_doubted(fact):
            self._refused_at, self._alone = fact.at, None

    def _note_time(self, fact: MessageReceived) -> None:
        if self._refused_at is not None and (found := _SERVER_TIME.search(fact.text)):
            self._server_time = int(found[1])

    def _note_measurement(self, fact: ClockMeasured) -> None:
        refused_at, self._refused_at, self._alone = self._refused_at, None, None
        sent_at = fact.at - fact.round_trip
        # One that was under way then is taken in before what was known is forgotten.
        if refused_at is not None and math.isclose(sent_at, refused_at):
            self._alone = Clock()
            self._alone.record(sent_at, self._server_time, fact.at, unit=self._unit)
            self._queued.clear()

    def _note_sending(self, fact: CallSent) -> None:
        if self._alone is not None:
            self._queued[fact.connection, str(fact.id)] = fact.at

    def _wrong_by(self, fact: MessageSent) -> str | None:
        if self._alone is None or not (found := _SIGNED.search(fact.text)):
            return None
        queued_at = self._queued.get((fact.connection, found[1]))
        # It was queued before.
        if queued_at is None:
            return None
        wrong = int(found[2]) - self._alone.now(queued_at)
        said = f"{fact} has a timestamp that is {wrong} ms from the one measurement since one was refused"
        return said if abs(wrong) > ROUNDING else None


_SERVER_TIME: Final = re.compile(r'"serverTime":(\d+)')
_SIGNED: Final = re.compile(r'^{"id":"?([^",]*)"?,.*"timestamp":(\d+)')
