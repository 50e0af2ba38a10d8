"""The faults that are still to strike, and which of them strikes what comes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec
import trio
from msgspec.structs import replace

from .faults import Fault, HalfOpen, LateEvents, MutePings, OddEvents, OfOpening

_OF_CONNECTIONS: Final[tuple[type[Fault], ...]] = (MutePings, LateEvents, HalfOpen)

Kind = TypeVar("Kind", bound=Fault)


class Script:
    """The faults that are still to strike."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._waiting: list[_Waiting] = []
        for fault in faults:
            self.add(fault)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """Those that are still to strike, each with the times that are left of it."""
        return tuple(replace(each.fault, times=each.times, skip=each.skip) for each in self._waiting)

    def add(self, fault: Fault) -> None:
        """Let a fault wait behind the others."""
        # Once means as many requests as it takes: `Reorder` keeps several answers back.
        times = fault.strikes if fault.times == 1 else fault.times
        waiting = _Waiting(fault=fault, times=times, skip=fault.skip)
        # Most have no end of their own, and can be made before there is a clock.
        if isinstance(fault, OddEvents) and fault.lasts is not None:
            waiting.ends_at = trio.current_time() + fault.lasts
        self._waiting.append(waiting)

    def clear(self) -> None:
        """Forget those that have not struck."""
        self._waiting.clear()

    def for_request(self, method: str) -> Fault | None:
        """The fault that strikes a request, if any does."""
        return self._take(lambda fault: _is_of_request(fault) and fault.method in {None, method})

    def for_opening(self, kind: type[Kind]) -> Kind | None:
        """The fault of that kind that strikes who connects, if any does."""
        fault = self._take(lambda fault: isinstance(fault, kind) and not _is_of_request(fault))
        return fault if isinstance(fault, kind) else None

    def for_connection(self) -> list[Fault]:
        """The faults that strike a connection as it opens: of each kind the first."""
        found = map(self.for_opening, _OF_CONNECTIONS)
        return [fault for fault in found if fault is not None]

    @property
    def has_odd_events(self) -> bool:
        """Whether events may have to be told otherwise."""
        return any(isinstance(each.fault, OddEvents) for each in self._waiting)

    def tell_odd(self, event: dict[str, Any]) -> dict[str, Any]:
        """An event as it is told: as it is, if no fault strikes it."""
        now = trio.current_time()
        self._waiting = [each for each in self._waiting if now < each.ends_at]
        fault = self._take(lambda fault: isinstance(fault, OddEvents) and fault.struck(event) != event)
        return fault.struck(event) if isinstance(fault, OddEvents) else event

    def _take(self, fits: Callable[[Fault], bool]) -> Fault | None:
        for waiting in self._waiting:
            # In this order: only what fits counts as one of the times that are skipped.
            if fits(waiting.fault) and waiting.is_due():
                if waiting.times == 0:
                    self._waiting.remove(waiting)
                return waiting.fault
        return None


def _is_of_request(fault: Fault) -> bool:
    return not isinstance(fault, OfOpening | OddEvents) and not fault.is_of_connection


class _Waiting(msgspec.Struct, eq=False):
    fault: Fault
    times: int | None
    skip: int
    ends_at: float = math.inf

    def is_due(self) -> bool:
        """Whether it strikes this time; counts the time."""
        if self.skip:
            self.skip -= 1
            return False
        # Without a number it strikes for ever.
        if self.times is not None:
            self.times -= 1
        return True
