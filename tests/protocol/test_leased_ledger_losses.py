"""A centre that has lost what it knew: whatever happens to processes meanwhile, no limit is exceeded."""

from __future__ import annotations

import random
from typing import Any, Final

import pytest

from bintrio._protocol.budget import Cost
from bintrio._protocol.lease import BEAT, IDLE, probe_of
from bintrio._protocol.leased_ledger import AWAY, SETTLING, UNREACHABLE, LeasedLedger
from bintrio.api._values import RateLimit
from tests.protocol.fleet import Process, Weather, World, fleet, weight
from tests.protocol.metering import MINUTE, SECOND, limit_of
from tests.protocol.test_leased_ledger import KEPT, LIMIT, One
from tests.protocol.test_leased_ledger_reports import FIELDS

FREE: Final = LIMIT - 50 - 29 - KEPT
"""What users' calls may take of a window: not what is kept for cancels, for the sessions, and for after a loss."""


def counted(limit: int) -> RateLimit:
    return limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT, limit)


# A fleet


def disasters(world: World, processes: list[Process], chance: random.Random) -> None:
    """Let something happen to the fleet or to its centre, some times."""
    for number in range(12):
        world.run(chance.choice((0.05, 0.3, 1, 3, 6, 11)))
        what = chance.choice(("kill", "restart", *["kill and restart"] * 2, "away", "stop", "flush", "join"))
        if "kill" in what and len(processes) > 1:
            processes.pop(chance.randrange(len(processes))).kill()
        if "restart" in what:
            world.run(chance.choice((0, 0, 0.03)))
            world.centre.restart(keeps=chance.random() < 0.2)
        if what == "flush":
            world.centre.flush()
        if what == "away":
            world.is_up = False
            world.run(chance.choice((0.3, 1.5, 4)))
            world.is_up = True
        if what == "stop":
            chance.choice(processes).stop(chance.choice((700, 2_500, 6_000, 15_000)))
        if what == "join" or len(processes) == 1:
            processes.append(Process(world, 100 + number, pause=chance.choice((1, 50, 1_000))))


@pytest.mark.untraced
@pytest.mark.parametrize("seed", range(8))
def test_g12_nothing_that_is_lost_in_any_order_breaches_a_limit(seed: int) -> None:
    """Processes that are killed, stopped or new, and a centre that is away or loses everything, also at once."""
    chance = random.Random(seed)
    limit = chance.choice((limit_of("ORDERS", "SECOND", 10, 8), limit_of("ORDERS", "SECOND", 10, 20), weight(200, 20)))
    weather = Weather(lost=0.1 * (seed % 2), late=250, there=900, unanswered=0.02, succeeds=0.3 * chance.choice((0, 1)))
    world = World(seed, limit, weather)
    disasters(world, fleet(world, 3, callers=2, pause=20), chance)
    world.run(25)
    assert not world.breaches
    assert max(world.most.values()) >= 0.6 * limit.limit


@pytest.mark.untraced
def test_g12_orders_go_on_soon_after_a_loss_with_a_death() -> None:
    """The answer to one of them says what the dead one had used, long before the day is over."""
    world = World(1, limit_of("ORDERS", "DAY", 1, 5_000), Weather())
    first, *_ = fleet(world, 3)
    world.run(5)
    first.kill()
    world.centre.restart()
    world.run((SETTLING + SECOND) / 1000)
    before = world.arrived
    world.run(2)
    assert world.arrived - before > 500
    assert not world.breaches


# One process


def lost(one: One) -> LeasedLedger:
    """Another process, that has seen the centre lose everything, after the first has used all that it may and died."""
    other = one.process("b")
    one.learn(other, LIMIT)
    one.fill(FREE)
    one.centre.restart()
    return other


def taken(one: One, ledger: LeasedLedger, milliseconds: int) -> int:
    """How much a process takes in a time, if it takes what it can, one by one, and hears of no count."""
    amount = 0
    end = one.now + milliseconds
    while one.now < end:
        while ledger.delay(Cost(1), one.now) == 0:
            ledger.settle(ledger.charge(Cost(1), one.now), (), one.now)
            amount += 1
        one.beat(ledger, BEAT)
    return amount


def test_g12_after_a_loss_nothing_is_granted_that_the_dead_may_have_used() -> None:
    one = One()
    other = lost(one)
    assert taken(one, other, SETTLING) == 0
    assert taken(one, other, 30 * SECOND) == KEPT // 2
    assert one.now % MINUTE < 58 * SECOND
    one.now += MINUTE - one.now % MINUTE
    assert taken(one, other, 30 * SECOND) == FREE


def test_g12_after_a_loss_the_count_of_a_call_that_left_late_enough_tells_what_is_free() -> None:
    one = One()
    other = lost(one)
    for _ in range(SETTLING // BEAT + 2):
        assert other.delay(Cost(1), one.now) >= 0
        one.beat(other, BEAT)
    charge = other.charge(Cost(1), one.now)
    other.settle(charge, [counted(101)], one.now)
    one.beat(other, BEAT)
    assert 250 < taken(one, other, 20 * SECOND) <= LIMIT - 101 - 50 - 29 - KEPT


@pytest.mark.parametrize("pause", [0, SETTLING - IDLE], ids=["at once", "too early"])
def test_g12_after_a_loss_the_count_of_a_call_that_left_too_early_tells_nothing(pause: int) -> None:
    one = One()
    other = lost(one)
    one.beat(other, BEAT)
    one.now += pause
    charge = other.charge(Cost(0), one.now)
    one.now += SETTLING
    other.settle(charge, [counted(1)], one.now)
    one.beat(other)
    assert taken(one, other, 20 * SECOND) == KEPT // 2


def test_g12_of_what_is_kept_for_after_a_loss_each_further_one_takes_a_half() -> None:
    one = One()
    other = lost(one)
    third = one.process("c")
    one.learn(third, LIMIT)
    for part in (15, 7, 3, 1, 0):
        assert taken(one, other, SETTLING + 3 * SECOND) == part
        one.beat(third)
        one.centre.restart()
        other, third = third, other  # who takes it is not who tells first that it was taken
    one.now += MINUTE - one.now % MINUTE
    assert taken(one, other, 30 * SECOND) > 0


def test_g12_once_a_count_has_told_what_was_used_as_much_is_kept_again() -> None:
    one = One()
    other = one.process("b")
    one.learn(other, LIMIT)
    for count in (100, 200):
        one.centre.restart()
        while other.delay(Cost(1), one.now):
            one.beat(other, BEAT)
        other.settle(other.charge(Cost(1), one.now), [counted(count)], one.now)
        one.beat(other, BEAT)
    third = one.process("c")
    one.learn(third, LIMIT)
    one.centre.restart()
    one.beat(other)
    assert taken(one, third, SETTLING + 3 * SECOND) == KEPT // 2


def test_g12_at_the_end_of_a_window_that_is_granted_too_and_nothing_after_a_loss() -> None:
    one = One()
    one.now += 57 * SECOND - one.now % MINUTE
    one.beat()
    one.fill(LIMIT - 50)  # the reserve of the sessions has lapsed as well
    other = one.process("b")
    one.learn(other, LIMIT)
    one.centre.restart()
    assert taken(one, other, 3 * SECOND - BEAT) == 0


def test_g12_what_another_run_granted_is_void_for_who_speaks_too_late() -> None:
    one = One()
    one.fill(10)
    one.beat()
    other = one.process("b")
    one.learn(other, LIMIT)
    assert one.ledger.delay(Cost(200), one.now) > 0
    one.beat()
    one.centre.restart()
    one.beat(other)
    while other.delay(Cost(1), one.now):
        one.beat(other, BEAT)
    other.settle(other.charge(Cost(1), one.now), [counted(400)], one.now)
    one.beat(other)
    assert one.ledger.delay(Cost(200), one.now) == UNREACHABLE / 1000  # it has not spoken for too long
    one.beat()
    told = dict(zip(FIELDS, one.ledger.report(one.now)[-len(FIELDS) :], strict=True))
    assert told["keep"] == told["taken"] == "10"


def test_g12_what_was_granted_is_used_for_a_second_without_an_answer_and_no_longer() -> None:
    one = One()
    one.fill(10)
    one.ledger.delay(Cost(100), one.now)
    one.beat()
    one.now += AWAY - 1
    assert one.ledger.delay(Cost(10), one.now) == 0
    one.ledger.charge(Cost(10), one.now)
    one.now += 1
    assert one.ledger.delay(Cost(10), one.now) == UNREACHABLE / 1000
    assert one.ledger.delay(Cost(1, purpose="cancel"), one.now) == UNREACHABLE / 1000
    one.beat()
    assert one.ledger.delay(Cost(10), one.now) == 0


def test_an_answer_is_as_old_as_the_report() -> None:
    one = One()
    report = one.ledger.report(one.now)
    answer = one.centre.ask("bintrio:{address}", report)
    one.now += AWAY
    one.ledger.take(answer, one.now)
    assert one.ledger.is_away_at(one.now)


@pytest.mark.parametrize("share", [0, 0.5])
def test_who_may_go_on_without_the_centre_makes_it_ask_anew_once_nobody_was_heard(share: float) -> None:
    one = One(share=share)
    one.beat()
    one.now += 5 * SECOND
    one.beat()
    one.ledger.delay(Cost(1), one.now)
    one.beat(pause=BEAT)
    assert (one.ledger.delay(Cost(1), one.now) == 0) is (share == 0)


def test_a_centre_whose_clock_is_set_back_begins_anew() -> None:
    one = One()
    one.beat()
    ahead = -10 * MINUTE
    one.centre._clock = lambda: one.now + ahead
    one.ledger.delay(Cost(1), one.now)
    one.beat()
    assert one.ledger.delay(Cost(1), one.now) == BEAT / 1000
    one.now += MINUTE
    assert taken(one, one.ledger, 2 * SECOND) > 0


def test_who_begins_after_a_loss_waits_for_those_who_know_the_time() -> None:
    one = One()
    one.centre.restart()
    new = one.process("new")
    told: list[Any] = []
    assert new.delay(Cost(2, connections=1, purpose="own"), one.now) == 0  # it knows of no loss yet
    one.beat(new)
    assert new.delay(Cost(2, connections=1, purpose="own"), one.now) == BEAT / 1000
    assert new.shortage(Cost(2), one.now) is None
    one.beat()
    new.watch(told.append)
    one.beat(new)
    assert new.reading(one.now) is not None
    other = One()
    other.centre.restart()
    alone = other.process("alone")
    other.beat(alone)
    other.now += AWAY
    assert alone.delay(Cost(2, connections=1, purpose="own"), other.now) == 0  # nobody answers


@pytest.mark.parametrize(("is_first", "room"), [(True, 200), (False, 50)], ids=["a new fleet", "after a loss"])
def test_of_connections_no_count_ever_tells_so_after_a_loss_few_are_opened(is_first: bool, room: int) -> None:
    one = One()
    rule = limit_of("CONNECTIONS", "MINUTE", 5, 300)
    if is_first:
        one.centre.restart()
        one.ledger = one.process("first")
        one.ledger.align(0, 0, one.now)
    one.ledger.record([rule], one.now)
    one.beat()
    if not is_first:
        one.centre.restart()
    connect = Cost(connections=1, purpose="own")
    opened = 0
    for _ in range(2 * SETTLING // BEAT):
        while one.ledger.delay(connect, one.now) == 0:
            one.ledger.settle(one.ledger.charge(connect, one.now), (), one.now)
            opened += 1
        one.beat(pause=BEAT)
    assert opened == room


@pytest.mark.parametrize(
    ("kind", "limit", "kept"),
    [
        ("REQUEST_WEIGHT", 6_000, 300),
        ("REQUEST_WEIGHT", 60_000, 300),
        ("REQUEST_WEIGHT", 600, 30),
        ("CONNECTIONS", 300, 100),
        ("ORDERS", 100, 2),
        ("ORDERS", 200_000, 300),
        ("ORDERS", 10, 1),
        ("ORDERS", 9, 0),
    ],
)
def test_what_is_kept_for_after_a_loss_is_little(kind: str, limit: int, kept: int) -> None:
    assert probe_of(limit_of(kind, "MINUTE", 1, limit)) == kept


# How much is used


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("limit", "amount", "what"),
    [
        (weight(3_000, 60), 5, "nothing"),
        (weight(3_000, 60), 5, "both"),
        *((limit_of("ORDERS", "SECOND", 10, 200), 1, what) for what in ("nothing", "a death", "a loss", "both")),
    ],
    ids=["weight, nothing", "weight, both", "nothing", "a death", "a loss", "both"],
)
def test_g12_a_fleet_uses_nearly_all_of_each_window_in_which_nothing_died(
    limit: RateLimit, amount: int, what: str
) -> None:
    """As `benchmarks.fleet` tries it: eight processes, of which each asks for all that it can get."""
    length = limit.interval_num
    world = World(7, limit, Weather(late=30))
    first, *_ = fleet(world, 8, callers=8, weight=amount, pause=20)
    world.run(length - world.now / 1_000 % length + length + 1)  # into a second whole window
    disturbed = {world.window} if what != "nothing" else set[int]()
    if what in {"a death", "both"}:
        first.kill()
    if what in {"a loss", "both"}:
        world.centre.restart()
    world.run(2 * length)
    assert not world.breaches
    begun, *whole, _ = sorted(world.most)
    parts = {window: world.most[window] / limit.limit for window in whole}
    assert len(parts) == 3
    assert begun < min(parts)
    assert min(part for window, part in parts.items() if window not in disturbed) >= 0.95
    assert min(parts.values()) >= 0.9
