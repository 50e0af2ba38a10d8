"""A fleet of processes that share one limit through a centre, in virtual time: clocks, losses, deaths and restarts."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from bintrio._protocol.budget import Cost, Purpose
from bintrio._protocol.leased_ledger import LeasedLedger
from bintrio._protocol.rate_limits import MARGIN
from bintrio.api._values import RateLimit
from tests.protocol.centre import Centre
from tests.protocol.metering import NOON, limit_of

ROOT: Final = "bintrio:{address}"
TIMEOUT: Final = 300


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong.

    Attributes:
        skew: milliseconds by which the processes know the exchange's time wrongly, at most.
        lost: how many of the messages to and from the centre, as a fraction.
        late: milliseconds that a message takes at most.
        there: milliseconds that a call takes to the exchange at most.
        unanswered: how many of the calls never get an answer.
        succeeds: how many of the calls weigh nothing in the end.
    """

    skew: int = MARGIN
    lost: float = 0
    late: int = 10
    there: int = 60
    unanswered: float = 0
    succeeds: float = 0


class World:
    """An exchange, a centre and processes. ``now`` is the exchange's time in milliseconds.

    Attributes:
        used: what the exchange counted, by window.
        most: the most that it had counted at any time, by window.
        breaches: windows in which the limit was exceeded.
        waits: how long own calls waited, in milliseconds.
        arrived: the weight of all calls.
    """

    def __init__(self, seed: int, limit: RateLimit, weather: Weather) -> None:
        self.chance = random.Random(seed)
        self.limit = limit
        self.weather = weather
        self.now = NOON + self.chance.randrange(5_000)
        self.centre = Centre(lambda: self.now + 3_600_000)
        self.used: Counter[int] = Counter()
        self.most: Counter[int] = Counter()
        self.breaches: set[int] = set()
        self.waits: list[int] = []
        self.arrived = 0
        self.is_up = True
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    @property
    def window(self) -> int:
        return self.now // (1_000 * self.limit.interval_num)

    def at(self, pause: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + int(pause), next(self._numbers), event))

    def run(self, seconds: float) -> None:
        end = self.now + int(seconds * 1000)
        while self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = end

    def take(self, weight: int) -> int:
        """A call arrives: its count."""
        window = self.window
        self.arrived += weight
        self.used[window] += weight
        self.most[window] = max(self.most[window], self.used[window])
        if self.used[window] > self.limit.limit:
            self.breaches.add(window)
        if self.chance.random() < self.weather.succeeds:
            self.used[window] -= weight
        return self.used[window]

    def lags(self, most: int) -> int:
        return self.chance.choice((1, 1, 2, 1 + self.chance.randrange(most)))

    def is_lost(self) -> bool:
        return not self.is_up or self.chance.random() < self.weather.lost


class Process:
    """A process with a few callers, each of which calls as soon as there is room."""

    def __init__(
        self, world: World, number: int, *, callers: int = 4, weight: int = 1, pause: int = 1, **options: Any
    ) -> None:
        self.world = world
        self.is_alive = True
        self._ahead = world.chance.randrange(-(10**6), 10**6)
        error = world.chance.randint(-world.weather.skew, world.weather.skew)
        self._stopped_until = 0
        self._waiting: list[Callable[[], None]] = []
        self._asked = 0
        self._is_asking = self._is_wanted = False
        self.ledger = LeasedLedger(f"p{number}", self._wake, types=(world.limit.rate_limit_type,), **options)
        self.ledger.align(error - self._ahead, 0, self.local)
        self.ledger.record([world.limit], self.local)
        self.ledger.watch(self._hear)
        for _ in range(callers):
            self._at(world.chance.randrange(100), self._caller(self._cost(weight), pause))
        self._beat()

    @property
    def local(self) -> int:
        return self.world.now + self._ahead

    def _cost(self, amount: int, purpose: Purpose = "call") -> Cost:
        if self.world.limit.rate_limit_type == "ORDERS":
            return Cost(orders=amount, purpose=purpose)
        return Cost(weight=amount, purpose=purpose)

    def kill(self) -> None:
        self.is_alive = False

    def stop(self, milliseconds: int) -> None:
        """As SIGSTOP and SIGCONT: what is under way goes on, and nothing else."""
        self._stopped_until = self.world.now + milliseconds

    def _at(self, pause: float, event: Callable[[], None]) -> None:
        """What the process itself does, after a while: once it goes on, and not if it is dead."""

        def run() -> None:
            if self._stopped_until > self.world.now:
                self.world.at(self._stopped_until - self.world.now, run)
            elif self.is_alive:
                event()

        self.world.at(pause, run)

    # Calls

    def _caller(self, cost: Cost, pause: int) -> Callable[[], None]:
        def again() -> None:
            self.call(cost, lambda: self._at(pause, again))

        return again

    def call(self, cost: Cost, done: Callable[[], None]) -> None:
        """Call once there is room, and be told when it was answered, or given up."""
        world, began = self.world, self.world.now
        tries = 0

        def attempt(number: int = 0) -> None:
            nonlocal tries
            if number != tries:  # it was tried again sooner, since it was told that there may be room
                return
            tries += 1
            delay = self.ledger.delay(cost, self.local)
            if delay > 0:
                again = partial(attempt, tries)
                self._waiting.append(again)
                self._at(math.ceil(delay * 1000), again)
                return
            if cost.purpose == "own":
                world.waits.append(world.now - began)
            self._send(cost, done)

        attempt()

    def _send(self, cost: Cost, done: Callable[[], None]) -> None:
        world = self.world
        charge = self.ledger.charge(cost, self.local)

        def arrive() -> None:
            count = world.take(cost.weight + cost.orders)
            if world.chance.random() < world.weather.unanswered:
                self._at(1_000, done)
                return

            def settle() -> None:
                self.ledger.settle(charge, [msgspec.structs.replace(world.limit, count=count)], self.local)
                done()

            self._at(world.lags(world.weather.there), settle)

        world.at(world.lags(world.weather.there), arrive)

    def _hear(self, _hold: object) -> None:
        waiting, self._waiting = self._waiting, []
        for attempt in waiting:
            self._at(0, attempt)

    # The task beside the calls

    def _wake(self) -> None:
        self._is_wanted = True
        if not self._is_asking:
            self._at(0, self._ask_if_wanted)

    def _ask_if_wanted(self) -> None:
        if self._is_wanted and not self._is_asking:
            self._ask()

    def _beat(self) -> None:
        if not self._is_asking:
            self._ask()
        self._at(self.ledger.pause, self._beat)

    def _ask(self) -> None:
        world = self.world
        self._asked += 1
        number = self._asked
        self._is_asking, self._is_wanted = True, False
        report = self.ledger.report(self.local)

        def reach() -> None:
            if world.is_lost():
                return
            answer = world.centre.ask(ROOT, report)
            if not world.is_lost():
                self._at(world.lags(world.weather.late), lambda: self._answered(number, answer))

        # A command that was given up may be carried out all the same, later than the next.
        late = world.chance.random() < world.weather.lost
        world.at(world.lags(world.weather.late) + (2 * TIMEOUT if late else 0), reach)
        self._at(TIMEOUT, lambda: self._answered(number, None))

    def _answered(self, number: int, answer: list[str] | None) -> None:
        if number != self._asked or not self._is_asking:
            return
        self._is_asking = False
        if answer is not None:
            self.ledger.take(answer, self.local)
        self._ask_if_wanted()


def fleet(world: World, size: int, **options: Any) -> list[Process]:
    return [Process(world, number, **options) for number in range(size)]


def weight(limit: int, seconds: int = 5) -> RateLimit:
    return limit_of("REQUEST_WEIGHT", "SECOND", seconds, limit)
