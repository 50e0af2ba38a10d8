"""What the connections of one session have in common: its accounts, clock, budgets, counters and settings."""

from __future__ import annotations

import itertools
import math
import time

import msgspec
import trio

from .._protocol.chance import Chance, chance_in_use
from .._protocol.clock import Clock
from .._protocol.ids import FIRST_ID
from .._protocol.ledger import Ledger
from .._protocol.repeats import LONGEST_LAG
from .._protocol.settings import Settings
from .._protocol.signing import Key
from .accounts import Account, Accounts
from .in_flight import Answer, Channel
from .observation import Counters, Observation
from .throttle import Throttle


class Shared(msgspec.Struct, frozen=True):
    """What the connections of one session have in common."""

    accounts: Accounts
    clock: Clock
    throttle: Throttle
    counters: Counters
    settings: Settings
    ids: itertools.count[int]
    channels: list[Channel]
    observation: Observation
    chance: Chance

    @classmethod
    def of_session(cls, key: Key | None, ledger: Ledger, settings: Settings, observation: Observation) -> Shared:
        """For a session that begins."""
        clock, own = Clock(), Account(key, ledger)
        return cls(
            accounts=Accounts(own),
            clock=clock,
            throttle=Throttle(own, clock, settings, observation),
            counters=observation.counters,
            settings=settings,
            ids=itertools.count(FIRST_ID),
            channels=[],
            observation=observation,
            chance=chance_in_use(),
        )

    @property
    def own(self) -> Account:
        """The account of the session's own key."""
        return self.accounts.own

    def take_channel(self) -> Channel:
        """A channel for one answer: one that has delivered its answer, or a new one, which costs more than the rest of
        the waiting.
        """
        # Most calls find one: there are as many as there were ever calls in flight at once.
        return self.channels.pop() if self.channels else trio.open_memory_channel[Answer](1)

    def now(self) -> int:
        """The exchange's time in milliseconds. Before the clock is measured, it is 1970."""
        # Facts of a connection that is being opened for the first time have no better time.
        return self.clock.now(trio.current_time()) if self.clock.is_set else 0

    @property
    def clock_offset(self) -> float:
        """The exchange's clock minus this machine's, in seconds."""
        return self.clock.now_us(trio.current_time()) / 1e6 - time.time()

    # How dates stand to local times: see `Calendar`.

    @property
    def unit(self) -> int:
        """How many of the session's unit of time make a millisecond."""
        return self.settings.in_unit(1)

    def dates(self, begin: int, end: int) -> tuple[int, int]:
        """See `Calendar.dates`."""
        earliest, latest = self.clock.dates(begin / 1000, end / 1000)
        return self.in_unit(earliest // 1000), self.in_unit(math.ceil(latest / 1000))

    def earliest(self, date: int, now: int) -> int:
        """See `Calendar.earliest`."""
        # By the largest offset that the clock may have had, the date was at the earliest then.
        return date - math.ceil(self.clock.offsets((now - LONGEST_LAG) / 1000, now / 1000)[1] / 1000)

    def in_unit(self, milliseconds: int) -> int:
        """A time or duration in the unit of the session, in which users and the exchange have it."""
        return self.settings.in_unit(milliseconds)
