"""When the calls in flight on one connection are overdue."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import trio

from .._net.wire import Wire
from .._protocol.requests import RequestId
from .in_flight import Call, Overdue

GLANCE: Final = 0.5
"""Seconds between looks at a call that waits for a message under way."""


class Deadlines:
    """One timer for all calls in flight.

    It is set to the earliest deadline, and looks again when that has passed: a call that is answered in time, as nearly
    all are, pays a comparison instead of a cancel scope of its own.

    Attributes:
        earliest: local time for which the timer is set.
    """

    def __init__(self) -> None:
        self.earliest = math.inf
        self._timer = trio.CancelScope()

    def advance(self, earliest: float) -> None:
        """Set the timer to a deadline that is earlier than all others."""
        self.earliest = self._timer.deadline = earliest

    async def watch(self, calls: dict[RequestId, Call], wire: Wire, forget: Callable[[Call], None]) -> None:
        """Tell each call that is overdue, after ``forget`` has taken it off."""
        while True:
            with trio.CancelScope(deadline=self.earliest) as self._timer:
                await trio.sleep_forever()
            now = trio.current_time()
            # The next deadline is found among those that wait now.
            self.earliest = math.inf
            # A copy: those that are overdue are taken off.
            for call in list(calls.values()):
                due = _due(call, wire, now)
                if due <= now:
                    forget(call)
                    call.answer[0].send_nowait(Overdue())
                else:
                    self.earliest = min(self.earliest, due)


def _due(call: Call, wire: Wire, now: float) -> float:
    """When a call is overdue: for a patient one, the time does not count for which a message was under way."""
    due = call.deadline
    # Asked only when it is due by the clock: for nearly all calls the arithmetic is saved.
    if due <= now and call.patience:
        due += min(wire.arrival.up_to_now - call.arrived_before, call.patience)
        if due > now:
            due = max(due, now + GLANCE)  # the message may come on: do not look at each of its bytes
    return due
