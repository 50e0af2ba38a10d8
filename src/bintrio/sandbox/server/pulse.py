"""The exchange's time, and when a market is brought up to it.

Whoever acts on the exchange, or looks at it, asks what time it is, and finds the market there. So nothing has to tick,
and a day under a mock clock costs what a day's trades cost. Only events must come by themselves: as long as somebody
is subscribed to an account, a task wakes up for each trade.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

import trio

from ..exchange.exchange import Exchange
from ..exchange.markets.crowd import Crowd
from ..exchange.units import MILLISECOND, SECOND

LONGEST: Final = 600.0
"""Seconds for which nobody looks at a market; ours. Who comes after a night need not wait for the trades of a night."""


class Clock:
    """Microseconds, which pass as trio's do; and the clock may be set forward and back.

    Args:
        start_time_ms: what it shows when it is made, in milliseconds; None takes this machine's clock.
    """

    def __init__(self, start_time_ms: int | None = None) -> None:
        self._start = time.time_ns() // 1_000 if start_time_ms is None else start_time_ms * MILLISECOND
        self._origin = trio.current_time()
        self._least = self._start

    def __call__(self) -> int:
        """What it shows."""
        # Set back, it stands still until it has caught up.
        return max(self._least, self._start + self.elapsed())

    def elapsed(self) -> int:
        """How long it has gone, however it was set."""
        # Rounded down: a time that is not over yet is not shown.
        return math.floor((trio.current_time() - self._origin) * SECOND)

    def elapsed_at(self, time: int) -> int:
        """How long it had gone when it showed a time, as it is set now: a market is brought up to the time later."""
        return self.elapsed() - (self() - time)

    def advance(self, microseconds: int) -> None:
        """Set it forward."""
        self._start += microseconds

    def set_back(self, microseconds: int) -> None:
        """Set it back: it stands still for so long, since all who keep what happened by its time rely on its order."""
        self._least = self()
        self._start -= microseconds


class Pulse:
    """The time of an exchange.

    Args:
        exchange: whose time it is.
        clock: from which it is taken.
        crowd: the market's makers and takers, if there is a market.
    """

    def __init__(self, exchange: Exchange, clock: Clock, crowd: Crowd | None = None) -> None:
        self._exchange = exchange
        self._clock = clock
        self._crowd = crowd
        # How far queries are behind is no matter of the clock, which may be adjusted.
        exchange.replicas.elapsed = clock.elapsed_at
        self._subscribed = trio.Event()
        self._was_advanced = trio.Event()

    def advance(self, microseconds: int) -> None:
        """Set the clock forward; what the market does in that time is done."""
        self._clock.advance(microseconds)
        self._was_advanced.set()
        self._was_advanced = trio.Event()
        self.now()

    def set_back(self, microseconds: int) -> None:
        """Set the clock back: it stands still for so long."""
        self._clock.set_back(microseconds)

    def now(self) -> int:
        """The time in microseconds, to which the market was brought."""
        now = self._clock()
        # Without a market, time passes and nothing else.
        if self._crowd is not None:
            self._crowd.catch_up(now)
        return now

    def notice(self) -> None:
        """Something was done: if somebody is subscribed by now, `beat` is to know."""
        # Events must come by themselves from now on.
        if not self._subscribed.is_set() and self._is_followed():
            self._subscribed.set()

    async def beat(self, deliver: Callable[[], None]) -> None:
        """Look at the market whenever something happens there, as long as somebody is subscribed to an account.

        Args:
            deliver: sends the events.
        """
        crowd = self._crowd
        # Without a market this task is not started.
        assert crowd is not None
        while True:
            # A trade may be an event, so it has to happen at its own time.
            if self._is_followed():
                with trio.move_on_after(self._until_next()):
                    await self._was_advanced.wait()
            else:
                self._subscribed = trio.Event()
                with trio.move_on_after(LONGEST):
                    await self._subscribed.wait()
            crowd.advance(self._clock())
            deliver()

    def _is_followed(self) -> bool:
        return any(session.subscriptions for session in self._exchange.sessions)

    def _until_next(self) -> float:
        """Seconds, in steps of a microsecond, which is the clock's."""
        next_time = None if self._crowd is None else self._crowd.next_time
        return LONGEST if next_time is None else min(LONGEST, max(1, next_time - self._clock()) / SECOND)
