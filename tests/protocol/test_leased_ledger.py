"""Budgets in portions from a centre: the real script, in virtual time, with clocks that differ, losses and deaths."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio._protocol.budget import Cost
from bintrio._protocol.holds import Refusal
from bintrio._protocol.lease import IDLE
from bintrio._protocol.leased_ledger import AWAY, UNREACHABLE, LeasedLedger, read_answer
from bintrio.errors import InvalidRequest, ProtocolViolation
from tests.protocol.centre import Centre
from tests.protocol.fleet import ROOT, Process, Weather, World, fleet, weight
from tests.protocol.metering import MINUTE, NOON, SECOND, limit_of

ROUGH = Weather(lost=0.1, late=40, unanswered=0.02, succeeds=0.3)
LIMIT = 600
KEPT = 30
"""What of that is kept for after a loss."""

_CALL = Cost(5)


def used(world: World) -> list[int]:
    """What was used at most of each whole window, but the first, in which the fleet began."""
    windows = sorted(world.most)
    return [world.most[window] for window in windows[2:-1]]


# A fleet


@pytest.mark.untraced
@pytest.mark.parametrize("seed", range(2))
def test_g12_a_fleet_uses_its_limit_and_no_more(seed: int) -> None:
    world = World(seed, weight(LIMIT), Weather())
    fleet(world, 6)
    world.run(26)
    assert not world.breaches
    # 50 are kept for calls that cancel.
    assert min(used(world)) >= 0.95 * (LIMIT - 50)


@pytest.mark.untraced
def test_g12_messages_that_are_lost_late_or_doubled_breach_nothing() -> None:
    world = World(3, weight(LIMIT), ROUGH)
    fleet(world, 6)
    world.run(26)
    assert not world.breaches
    assert min(used(world)) >= 0.6 * LIMIT


@pytest.mark.untraced
@pytest.mark.parametrize("weather", [Weather(), ROUGH], ids=["calm", "rough"])
def test_g12_what_a_process_had_that_died_counts_until_the_window_ends(weather: Weather) -> None:
    world = World(4, weight(LIMIT), weather)
    processes = fleet(world, 6)
    for number in range(8):
        world.run(2 + world.chance.random() * 2)
        processes.pop(0).kill()
        processes.append(Process(world, 6 + number))
    assert not world.breaches
    assert min(used(world)) >= 0.6 * LIMIT


@pytest.mark.untraced
@pytest.mark.parametrize("weather", [Weather(), ROUGH], ids=["calm", "rough"])
@pytest.mark.parametrize("keeps", [True, False])
def test_g12_a_centre_that_was_started_anew_asks_first(weather: Weather, keeps: bool) -> None:
    world = World(5, weight(LIMIT), weather)
    processes = fleet(world, 6)
    for number in range(5):
        world.run(5 + world.chance.random() * 9)
        if number % 2:  # what it had is known to nobody
            processes.pop(0).kill()
            processes.append(Process(world, 6 + number))
        world.centre.restart(keeps=keeps)
    world.run(5)
    assert not world.breaches
    assert max(used(world)) >= 0.75 * LIMIT


@pytest.mark.untraced
@pytest.mark.parametrize("share", [0, 1 / 6])
def test_g12_a_centre_that_is_away_and_back_breaches_nothing(share: float) -> None:
    world = World(6, weight(LIMIT), Weather())
    fleet(world, 6, share=share)
    for _ in range(4):
        world.run(3)
        world.is_up = False
        world.run(3.5)
        world.is_up = True
    assert not world.breaches
    assert min(used(world)) >= 0.8 * LIMIT


@pytest.mark.untraced
def test_g12_own_calls_find_room_in_a_busy_fleet() -> None:
    world = World(7, weight(LIMIT), Weather())
    processes = fleet(world, 6)
    world.run(5)
    for _ in range(12):
        world.run(1.9)
        for process in processes[:2]:
            process.call(Cost(weight=2, purpose="own"), lambda: None)
    world.run(5)
    assert not world.breaches
    assert len(world.waits) == 24
    assert sorted(world.waits)[12] < 50
    assert max(world.waits) < 1_000


def test_g12_weight_that_is_given_back_can_be_used_again() -> None:
    world = World(8, weight(300), Weather(succeeds=1))
    fleet(world, 3)
    world.run(16)
    assert not world.breaches
    arrived = world.arrived
    assert arrived > 3 * 2 * 300


def test_g12_what_others_use_of_the_address_is_kept_free_in_the_next_window() -> None:
    world = World(9, weight(LIMIT, 20), Weather())
    fleet(world, 3)

    def others() -> None:
        if world.now % 20_000 < 18_000:  # by no process of the fleet
            world.used[world.window] += 1
        world.at(200, others)

    world.at(0, others)
    world.run(90)
    first, *later = sorted(world.used)
    assert world.breaches <= {first, later[0]}
    assert min(world.most[window] for window in later[1:-1]) >= 0.85 * LIMIT


# One process


class One:
    """A process and its centre, step by step."""

    def __init__(self, limit: int = LIMIT, **options: Any) -> None:
        self.now = NOON + 5 * SECOND
        self.centre = Centre(lambda: self.now)
        self.woken = 0
        self.ledger = self.process("a", **options)
        self.learn(self.ledger, limit)
        self.wait(MINUTE)  # for a window of which all is known

    def process(self, name: str, **options: Any) -> LeasedLedger:
        return LeasedLedger(name, self._wake, types=("REQUEST_WEIGHT", "CONNECTIONS"), margin=0, **options)

    def wait(self, milliseconds: int, *others: LeasedLedger) -> None:
        """Let time pass, with a report now and then."""
        for _ in range(milliseconds // IDLE):
            self.now += IDLE
            for ledger in (self.ledger, *others):
                self.beat(ledger)

    def learn(self, ledger: LeasedLedger, limit: int) -> None:
        ledger.align(0, 0, self.now)
        ledger.record([limit_of("REQUEST_WEIGHT", "MINUTE", 1, limit)], self.now)
        self.beat(ledger)

    def _wake(self) -> None:
        self.woken += 1

    def beat(self, ledger: LeasedLedger | None = None, pause: int = 0) -> None:
        ledger = ledger or self.ledger
        self.now += pause
        ledger.take(self.centre.ask(ROOT, ledger.report(self.now)), self.now)

    def fill(self, amount: int, ledger: LeasedLedger | None = None) -> None:
        """Use so much."""
        ledger = ledger or self.ledger
        while amount:
            part = min(amount, 10)
            for _ in range(100):
                if ledger.delay(Cost(part), self.now) == 0:
                    break
                self.beat(ledger, 1)
            else:
                raise AssertionError(f"no room for {amount}")
            ledger.settle(ledger.charge(Cost(part), self.now), (), self.now)
            amount -= part


def test_a_call_finds_room_once_some_was_granted() -> None:
    one = One()
    told: list[object] = []
    one.ledger.watch(told.append)
    before = one.woken
    assert one.ledger.delay(Cost(5), one.now) == 0.1
    assert one.woken == before + 1
    one.beat()
    assert told == [None]
    assert one.ledger.delay(Cost(5), one.now) == 0
    one.ledger.charge(Cost(5), one.now)
    assert one.ledger.delay(Cost(5), one.now) == 0.1


def test_what_never_fits_is_refused_and_what_does_not_limit_is_not_asked_for() -> None:
    one = One()
    with pytest.raises(InvalidRequest):
        one.ledger.delay(Cost(LIMIT + 1), one.now)
    assert one.ledger.delay(Cost(orders=5), one.now) == 0
    assert one.ledger.delay(Cost(LIMIT + 1, purpose="own"), one.now) == 0  # else it could never connect


def test_g12_the_last_of_a_window_is_for_cancels_and_for_the_sessions_themselves() -> None:
    one = One()
    one.ledger.watch(print)
    one.fill(LIMIT - 50 - 29 - KEPT)
    assert one.ledger.delay(Cost(1), one.now) == 0.1
    one.beat()
    assert one.ledger.delay(Cost(1), one.now) > 10  # as long as the window
    assert one.ledger.delay(Cost(50, purpose="cancel"), one.now) > 0
    one.beat()
    assert one.ledger.delay(Cost(50, purpose="cancel"), one.now) == 0
    one.ledger.charge(Cost(50, purpose="cancel"), one.now)
    assert one.ledger.delay(Cost(29, purpose="own"), one.now) > 0
    one.beat()
    assert one.ledger.delay(Cost(29, purpose="own"), one.now) == 0
    assert one.ledger.delay(Cost(1), one.now) > 0  # it is not for this one


def test_what_is_left_over_is_given_back() -> None:
    one = One()
    other = one.process("b")
    one.learn(other, LIMIT)
    one.fill(300)
    one.wait(30 * SECOND, other)
    one.fill(170, other)  # of 191 that were never granted or are given back


def test_g12_every_process_learns_of_a_hold() -> None:
    one = One()
    other = one.process("b")
    one.learn(other, LIMIT)
    told: list[Any] = []
    other.watch(told.append)
    ban = one.ledger.hold(Refusal(418, -1003, "banned for now", 200_000), one.now)
    one.beat()
    one.now += 10
    one.beat(other)
    (hold,) = [each for each in told if each is not None]
    assert hold == ban
    one.beat(other, 10)
    assert len([each for each in told if each is not None]) == 1
    assert one.centre.published == [(f"{ROOT}:told", "everything")]
    shorter = one.ledger.hold(Refusal(429, -1003, "slow down", 5_000), one.now)
    one.beat()
    assert shorter.until < ban.until
    assert one.ledger.held(Cost(1), one.now) == ban
    one.now += 300_000
    late = one.process("c")
    one.beat(late)
    assert late.held(Cost(1), one.now) is None


def test_g12_a_hold_that_began_while_a_report_was_under_way_is_told_by_the_next() -> None:
    one = One()
    report = one.ledger.report(one.now)
    hold = one.ledger.hold(Refusal(418, -1003, "banned", 200_000), one.now)
    one.ledger.take(one.centre.ask(ROOT, report), one.now)
    other = one.process("b")
    one.beat(other)
    assert other.held(Cost(1), one.now) is None
    report = one.ledger.report(one.now)
    longer = one.ledger.hold(Refusal(418, -1003, "banned", 300_000), one.now)
    one.ledger.take(one.centre.ask(ROOT, report), one.now)
    one.beat(other)
    assert other.held(Cost(1), one.now) == hold
    one.beat()
    one.beat(other)
    assert other.held(Cost(1), one.now) == longer


def test_g1_while_the_centre_is_away_the_delay_is_long_and_finite() -> None:
    one = One()
    one.fill(20)
    one.now += AWAY
    assert one.ledger.is_away_at(one.now)
    assert one.ledger.delay(Cost(500), one.now) == UNREACHABLE / 1000


def test_what_keeps_a_cost_waiting_is_said_unless_it_is_the_limits() -> None:
    one = One(centre="Redis")

    def why() -> str | None:
        return one.ledger.shortage(_CALL, one.now)

    assert one.ledger.delay(_CALL, one.now) == 0.1
    assert why() == "Redis has not granted it yet"
    one.beat()
    assert one.ledger.delay(_CALL, one.now) == 0
    assert why() is None
    one.fill(LIMIT - 50 - 29 - KEPT)
    assert one.ledger.delay(_CALL, one.now) == 0.1
    one.beat()
    assert one.ledger.delay(_CALL, one.now) == (MINUTE - one.now % MINUTE) / 1000
    assert why() is None  # it is the limit, which all processes have used
    one.now += AWAY + 500
    assert one.ledger.delay(_CALL, one.now) == UNREACHABLE / 1000
    assert why() == "Redis has not answered for 1.5 s, and too little may be used until it does"


def test_a_centre_that_was_started_anew_may_know_all_long_before_the_window_turns() -> None:
    one = One(centre="Redis")
    one.fill(LIMIT // 2)
    one.centre.restart()
    assert one.ledger.delay(Cost(100), one.now) == 0.1
    one.beat()  # it waits for what other processes hold
    assert one.ledger.delay(Cost(100), one.now) == 0.1
    why = one.ledger.shortage(Cost(100), one.now)
    assert why == "Redis does not know yet what was used of this window before it was started, or lost its keys"
    one.wait(SECOND)
    while one.ledger.delay(Cost(1), one.now):  # of what is kept for that
        one.beat(pause=IDLE)
    charge = one.ledger.charge(Cost(1), one.now)
    one.ledger.settle(charge, [limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT, LIMIT // 2 + 1)], one.now)
    while one.ledger.delay(Cost(100), one.now):
        one.beat(pause=IDLE)
    assert one.now % MINUTE < 20 * SECOND


def test_what_keeps_a_cost_waiting_is_a_centre_that_was_never_there() -> None:
    ledger = LeasedLedger("a", lambda: None, types=("REQUEST_WEIGHT",))
    ledger.record([limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT)], NOON)
    assert ledger.shortage(_CALL, NOON) is None  # as long as the exchange's time is not known, nothing waits
    ledger.align(0, 0, NOON)
    assert ledger.shortage(_CALL, NOON) == "the centre has not answered yet"
    ledger.hold(Refusal(418, -1003, "banned", 200_000), NOON)
    assert ledger.shortage(_CALL, NOON) is None  # it is the hold


def test_while_the_centre_is_away_a_share_of_what_was_free_may_be_used() -> None:
    one = One(share=0.5)
    one.fill(100)
    one.now += AWAY
    ledger = one.ledger
    assert ledger.delay(Cost(200), one.now) == 0
    assert ledger.delay(Cost(240), one.now) > 0
    ledger.charge(Cost(200), one.now)
    assert ledger.delay(Cost(100), one.now) == (MINUTE - one.now % MINUTE) / 1000
    one.now += MINUTE  # a window of which it heard nothing
    ledger.settle(ledger.charge(Cost(0), one.now), (), one.now)
    assert ledger.delay(Cost(270), one.now) == 0 or ledger.delay(Cost(70), one.now) == 0


def test_g12_a_count_that_came_with_no_call_is_passed_on() -> None:
    """Of what others use, or of a call that was given up."""
    one = One()
    other = one.process("b")
    one.learn(other, LIMIT)
    one.ledger.record([limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT, 470)], one.now)
    one.beat()
    one.fill(20, other)
    assert other.delay(Cost(10), one.now) > 0
    one.beat(other)
    assert other.delay(Cost(10), one.now) > 1


@pytest.mark.parametrize(
    "odd", [[], ["r"], ["r", "1", "", "", "x"], ["r", "1", "", "", "0", "A"], ["r", "1", "", "", "1", "5"]]
)
def test_an_answer_in_another_form_is_no_answer(odd: list[str]) -> None:
    with pytest.raises(ProtocolViolation, match="answers in another way"):
        read_answer(odd, 0)
