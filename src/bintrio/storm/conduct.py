"""How the sessions of a world behaved, by what they told their observer: what no caller is told shows there.

Each function says what it found in sentences, none if all was as it is promised to be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .._client.feeds import FEED_PATIENCE
from .._protocol.facts import (
    ConnectionReady,
    Fact,
    Subscribed,
    Swapped,
)
from .._protocol.facts_of_calls import CallEnded
from ..sandbox.weather import Relink
from .plan import Plan
from .program import Deed

SUBSCRIBE: Final = "userDataStream.subscribe"

AFTERMATH: Final = 5.0
"""Seconds after an attempt to subscribe that failed in which its listener may have gone, and may come again."""


def untruths(facts: Sequence[Fact], plan: Plan, deeds: Iterable[Deed]) -> Iterator[str]:
    """Everything that was not as it is promised to be.

    Args:
        facts: that were told, in order.
        plan: of the world.
        deeds: the calls of the program.
    """
    yield from _of_swaps(facts)
    yield from _of_haste(facts, deeds, least_round_trip(plan))


def _of_swaps(facts: Iterable[Fact]) -> Iterator[str]:
    """Calls go out on a new connection once it brings the events, unless that takes long."""
    swaps = _Swaps()
    for fact in facts:
        hasty = swaps.hasty_before(fact)
        if hasty is not None:
            yield f"{hasty} came before {fact} (G5)"


class _Swaps:
    """Which connections were put to use before they brought the events."""

    def __init__(self) -> None:
        self._ready_at: dict[int, float] = {}
        self._carrying: set[int] = set()
        self._early: dict[int, Swapped] = {}
        self._failed_at = -AFTERMATH
        self._has_failed = False

    def hasty_before(self, fact: Fact) -> Swapped | None:
        """The swap that should have waited for this."""
        if isinstance(fact, ConnectionReady):
            self._note_ready(fact)
        elif isinstance(fact, Swapped):
            self._note_swap(fact)
        elif isinstance(fact, Subscribed):
            return self._note_subscribed(fact)
        # Its listener has heard of it, and may ask again whenever it likes.
        elif isinstance(fact, CallEnded) and fact.error is not None and fact.method.startswith(SUBSCRIBE):
            self._failed_at = fact.at
            self._has_failed = True
        return None

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

    def _note_subscribed(self, fact: Subscribed) -> Swapped | None:
        self._carrying.add(fact.connection)
        self._has_failed = False
        swap = self._early.pop(fact.connection, None)
        # Whoever began to listen much later is none that was to be waited for.
        is_soon = swap is not None and self._failed_at < swap.at and fact.at < swap.at + FEED_PATIENCE
        return swap if is_soon else None


def _of_haste(facts: Iterable[Fact], deeds: Iterable[Deed], least: float) -> Iterator[str]:
    """A call that had to wait does not leave when its answer can no longer come in time."""
    deadlines: dict[tuple[str, float], float] = {}
    for deed in deeds:
        if not deed.request.api.repeatable:
            # Of calls that begin in one moment it is not known which is which, so the latest deadline counts.
            known = deadlines.get(call := (deed.request.api.name, deed.began), 0.0)
            deadlines[call] = max(known, deed.began + deed.timeout)
    for fact in facts:
        if isinstance(fact, CallEnded) and fact.queued_at is not None and fact.queued_at > fact.started_at:
            deadline = deadlines.get((fact.method, fact.started_at), math.inf)
            # By the least round trip that the world has: the client cannot know a shorter one.
            if fact.queued_at > deadline - least:
                yield f"{fact} left {deadline - fact.queued_at:g} s before its deadline (G1)"


def least_round_trip(plan: Plan) -> float:
    """Seconds that the way to the exchange and back takes at least, in a world."""
    links = [plan.terms.link, *(step.act.link for step in plan.steps if isinstance(step.act, Relink))]
    return min(link.up.latency + link.down.latency for link in links)
