from __future__ import annotations

import itertools
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bintrio._protocol import rate_limits
from bintrio._protocol.budget import CANCEL_RESERVE, OWN_RESERVE, RESERVE_PER_SESSION, Charge, Cost, Purpose
from bintrio._protocol.holds import Hold, Refusal
from bintrio._protocol.ledger import Ledger
from bintrio._protocol.rate_limits import LONGEST_FLIGHT, MARGIN, UNSTATED_BACK_OFF, LocalLedger
from bintrio.api._values import RateLimit
from bintrio.errors import InvalidRequest
from tests.protocol.metering import DAY, MINUTE, NOON, SECOND, Call, Simulation, calls_of


def weight(count: int | None = None, limit: int = 10) -> RateLimit:
    return RateLimit(rate_limit_type="REQUEST_WEIGHT", interval="MINUTE", interval_num=1, limit=limit, count=count)


def orders(count: int | None = None, limit: int = 5, per: int = 10) -> RateLimit:
    return RateLimit(rate_limit_type="ORDERS", interval="SECOND", interval_num=per, limit=limit, count=count)


def orders_a_day(count: int | None = None, limit: int = 8) -> RateLimit:
    return RateLimit(rate_limit_type="ORDERS", interval="DAY", interval_num=1, limit=limit, count=count)


def published(limit_type: str, interval: str, number: int, count: int | None = None) -> RateLimit:
    """A limit of 2 as it comes off the wire, whatever the exchange calls it."""
    fields = {"rateLimitType": limit_type, "interval": interval, "intervalNum": number, "limit": 2, "count": count}
    return msgspec.convert(fields, RateLimit)


def ledger_of(*limits: RateLimit, margin: int = 0, reserve: int = 0) -> LocalLedger:
    """A ledger whose local time is the exchange's."""
    ledger = LocalLedger(margin, reserve=reserve)
    ledger.record(limits, NOON)
    return ledger


def hold(ledger: Ledger, wait: int | None, *, now: int = NOON, code: int = -1003) -> Hold:
    return ledger.hold(Refusal(429, code, "slow down", wait), now)


def weight_used(ledger: LocalLedger, now: int = NOON) -> int:
    ((_, used),) = ledger.used("REQUEST_WEIGHT", now)
    return used


def test_g8_the_example_in_the_theory() -> None:
    ledger = ledger_of(weight(100, limit=1_000))
    used = [weight_used(ledger)]
    a = ledger.charge(Cost(20), NOON)
    used.append(weight_used(ledger))
    b = ledger.charge(Cost(10), NOON)
    used.append(weight_used(ledger))
    ledger.settle(a, [weight(130, limit=1_000)], NOON)
    used.append(weight_used(ledger))
    ledger.settle(b, [weight(110, limit=1_000)], NOON)
    used.append(weight_used(ledger))
    order = ledger.charge(Cost(1), NOON)
    used.append(weight_used(ledger))
    ledger.settle(order, [weight(130, limit=1_000)], NOON)
    used.append(weight_used(ledger))
    table = rate_limits.__doc__ or ""
    rows = table[table.index("the limits come;") : table.index("A call is *charged*")].strip().splitlines()
    assert used == [int(row.split()[-1]) for row in rows]


def test_g8_a_count_that_is_read_late_tells_nothing_of_a_call_that_was_answered_without_one() -> None:
    ledger = ledger_of(weight(limit=100))
    first, second = ledger.charge(Cost(1), NOON), ledger.charge(Cost(3), NOON)
    ledger.settle(first, [weight(9, limit=100)], NOON)
    ledger.settle(second, (), NOON)
    assert weight_used(ledger) == 12  # the exchange may have counted the second after it had answered the first


# Limits


def test_g8_what_was_never_published_does_not_limit() -> None:
    ledger: Ledger = LocalLedger()
    assert ledger.used("REQUEST_WEIGHT", NOON) == []
    assert ledger.delay(Cost(weight=10**9, orders=10**9, connections=10**9), NOON) == 0


def test_g8_a_call_that_does_not_fit_waits_for_the_turn_of_the_window() -> None:
    ledger = ledger_of(weight())
    ledger.charge(Cost(weight=8), NOON + 1)
    assert ledger.delay(Cost(weight=2), NOON + 1) == 0
    assert ledger.delay(Cost(weight=3), NOON + 1) == 59.999
    assert ledger.delay(Cost(orders=1), NOON + 1) == 0


def test_each_kind_of_cost_counts_against_its_own_limits() -> None:
    connections = RateLimit(rate_limit_type="CONNECTIONS", interval="MINUTE", interval_num=5, limit=3)
    ledger = ledger_of(weight(), orders(), orders_a_day(), connections)
    ledger.charge(Cost(weight=1, orders=2, connections=3), NOON)
    assert ledger.used("REQUEST_WEIGHT", NOON) == [(weight(), 1)]
    assert ledger.used("ORDERS", NOON) == [(orders(), 2), (orders_a_day(), 2)]
    assert ledger.used("CONNECTIONS", NOON) == [(connections, 3)]
    assert ledger.delay(Cost(connections=1), NOON) == 300
    assert ledger.delay(Cost(orders=4), NOON) == 10


@pytest.mark.parametrize(
    ("interval", "number", "length"),
    [("SECOND", 10, 10 * SECOND), ("MINUTE", 5, 5 * MINUTE), ("HOUR", 1, 60 * MINUTE), ("DAY", 1, DAY)],
)
def test_windows_are_aligned_to_the_clock(interval: str, number: int, length: int) -> None:
    ledger = LocalLedger(margin=0)
    ledger.record([published("ORDERS", interval, number)], NOON)
    now = NOON + 1_234
    ledger.settle(ledger.charge(Cost(orders=2), now), [], now)
    assert ledger.delay(Cost(orders=1), now) == (length - now % length) / 1000
    turn = now + length - now % length
    assert ledger.delay(Cost(orders=1), turn - 1) == 0.001
    assert ledger.delay(Cost(orders=1), turn) == 0


def test_g8_a_new_limit_is_taken_over() -> None:
    ledger = ledger_of(weight(limit=10))
    ledger.charge(Cost(weight=8), NOON)
    ledger.record([weight(limit=7)], NOON)
    assert ledger.used("REQUEST_WEIGHT", NOON) == [(weight(limit=7), 8)]
    assert ledger.delay(Cost(weight=1), NOON) == 60
    assert ledger.delay(Cost(), NOON) == 0


def test_a_limit_learned_late_counts_what_is_in_flight() -> None:
    ledger = LocalLedger(margin=0)
    charge = ledger.charge(Cost(weight=3), NOON)
    ledger.record([weight()], NOON)
    assert weight_used(ledger) == 3
    ledger.settle(charge, [weight(3)], NOON)
    assert weight_used(ledger) == 3


def test_g8_a_limit_learned_late_limits_what_was_asked_for_before() -> None:
    ledger = ledger_of(weight())
    assert ledger.delay(Cost(weight=1, orders=5), NOON) == 0
    ledger.record([orders(1)], NOON)
    assert ledger.delay(Cost(weight=1, orders=5), NOON) == 10


def test_a_limit_learned_late_counts_what_left_in_this_window_or_the_last() -> None:
    ledger = LocalLedger(margin=0)
    sent_at = [NOON - 10 * SECOND - 1, NOON - 10 * SECOND, NOON]
    earlier, last, _ = [ledger.charge(Cost(orders=1), time) for time in sent_at]
    ledger.record([orders()], NOON)
    assert ledger.used("ORDERS", NOON) == [(orders(), 2)]
    ledger.cancel(earlier)
    assert ledger.used("ORDERS", NOON) == [(orders(), 2)]
    ledger.cancel(last)
    assert ledger.used("ORDERS", NOON) == [(orders(), 1)]
    assert ledger.used("ORDERS", NOON + 10 * SECOND) == [(orders(), 1)]
    assert ledger.used("ORDERS", NOON + 20 * SECOND) == [(orders(), 0)]


def test_a_limit_that_an_answer_tells_of_counts_what_it_settles_on_both_sides_of_a_turn() -> None:
    ledger = LocalLedger(MARGIN)
    turn = NOON + MINUTE
    ledger.settle(ledger.charge(Cost(weight=3), turn - MARGIN), [weight()], turn - MARGIN)
    assert weight_used(ledger, turn - MARGIN) == 3
    assert weight_used(ledger, turn + MARGIN) == 3
    assert weight_used(ledger, turn + MARGIN + MINUTE) == 0


def test_g8_what_was_used_before_a_limit_was_known_counts() -> None:
    ledger = LocalLedger(margin=0)
    for at in (NOON, NOON + 30 * SECOND):
        ledger.settle(ledger.charge(Cost(weight=3), at), [], at)
    ledger.record([weight()], NOON + 40 * SECOND)
    assert weight_used(ledger, NOON + 40 * SECOND) == 6
    assert weight_used(ledger, NOON + MINUTE) == 0


def test_g8_what_was_used_in_windows_that_are_over_does_not_count_to_the_minute() -> None:
    ledger = LocalLedger(margin=0)
    for minute in range(3000):
        at = NOON + minute * MINUTE
        ledger.settle(ledger.charge(Cost(weight=1, orders=1), at), [], at)
    ledger.record([weight(), orders_a_day()], NOON + 2999 * MINUTE)
    assert weight_used(ledger, NOON + 2999 * MINUTE) <= 2
    ((_, used),) = ledger.used("ORDERS", NOON + 2999 * MINUTE)
    assert 839 <= used <= 841  # since midnight
    assert len(ledger._history) < 1500


def test_g8_what_was_used_before_a_quiet_day_does_not_count() -> None:
    ledger = LocalLedger(margin=0)
    ledger.settle(ledger.charge(Cost(orders=3), NOON), [], NOON)
    later = NOON + 2 * DAY
    for at in (NOON + MINUTE, later, later + MINUTE):
        ledger.settle(ledger.charge(Cost(orders=1), at), [], at)
    ledger.record([orders_a_day()], later + 2 * MINUTE)
    ((_, used),) = ledger.used("ORDERS", later + 2 * MINUTE)
    assert 2 <= used <= 3, "to the minute"


def test_g8_what_was_used_close_to_a_turn_before_a_limit_was_known_counts_in_the_next_window_too() -> None:
    ledger = LocalLedger(MARGIN)
    close = NOON + MINUTE - MARGIN
    ledger.settle(ledger.charge(Cost(weight=3), close), [], close)
    ledger.record([weight()], close)
    assert weight_used(ledger, close + 2 * MARGIN) == 3
    assert weight_used(ledger, close + MINUTE + 2 * MARGIN) == 0


@pytest.mark.parametrize(
    "unknown",
    [
        published("NOVELTIES", "MINUTE", 1, 7),
        published("REQUEST_WEIGHT", "FORTNIGHT", 1, 7),
        published("REQUEST_WEIGHT", "MINUTE", 0, 7),
    ],
    ids=["type", "interval", "length"],
)
def test_g10_an_unknown_limit_is_shown_and_does_not_limit(unknown: RateLimit) -> None:
    ledger = ledger_of(unknown)
    charge = ledger.charge(Cost(weight=1), NOON)
    assert ledger.delay(Cost(weight=2), NOON) == 0
    ledger.settle(charge, [unknown], NOON)
    ((_, used),) = ledger.used(unknown.rate_limit_type, NOON)
    assert used >= 7


def test_a_cost_above_the_whole_limit_is_refused() -> None:
    ledger = ledger_of(weight())
    with pytest.raises(InvalidRequest, match="11 of the limit of 10 REQUEST_WEIGHT per 1 MINUTE") as caught:
        ledger.delay(Cost(weight=11), NOON)
    assert "never" in str(caught.value)


# Charges


def test_a_call_that_was_never_sent_costs_nothing() -> None:
    ledger = ledger_of(weight())
    charge = ledger.charge(Cost(weight=8), NOON)
    ledger.cancel(charge)
    ledger.cancel(charge)
    assert weight_used(ledger) == 0


def test_g8_a_successful_order_weighs_nothing_in_the_end() -> None:
    ledger = ledger_of(weight())
    charge = ledger.charge(Cost(weight=1), NOON)
    assert weight_used(ledger) == 1
    ledger.settle(charge, [weight(0)], NOON)
    assert weight_used(ledger) == 0


def test_an_answer_without_counts_leaves_the_charge_as_use() -> None:
    ledger = ledger_of(weight())
    ledger.settle(ledger.charge(Cost(weight=4), NOON), [], NOON)
    assert weight_used(ledger) == 4
    assert weight_used(ledger, NOON + MINUTE) == 0


def test_settling_twice_only_brings_the_counts() -> None:
    ledger = ledger_of(weight())
    charge = ledger.charge(Cost(weight=4), NOON)
    ledger.settle(charge, [weight(4)], NOON)
    ledger.settle(charge, [weight(4)], NOON)
    assert weight_used(ledger) == 4
    ledger.settle(charge, [weight(6)], NOON)
    assert weight_used(ledger) == 6
    ledger.cancel(charge)
    assert weight_used(ledger) == 6


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_answers_may_come_in_any_order(order: tuple[int, ...]) -> None:
    ledger = ledger_of(weight())
    charges = [ledger.charge(Cost(weight=2), NOON) for _ in range(3)]
    for number in order:
        ledger.settle(charges[number], [weight(2 * number + 2)], NOON)
        assert weight_used(ledger) >= 2 * number + 2
    assert 6 <= weight_used(ledger) <= 8
    ledger.settle(ledger.charge(Cost(weight=1), NOON), [weight(7)], NOON)
    assert weight_used(ledger) == 7


def test_a_stale_count_does_not_hide_what_was_settled_since() -> None:
    ledger = ledger_of(weight(limit=100))
    slow = ledger.charge(Cost(weight=1), NOON)
    for count in (2, 3, 4):
        ledger.settle(ledger.charge(Cost(weight=1), NOON), [weight(count)], NOON)
    ledger.settle(slow, [weight(1)], NOON)
    assert weight_used(ledger) == 4


def test_use_by_others_is_taken_over_and_not_hidden_by_a_stale_count() -> None:
    ledger = ledger_of(weight(limit=100))
    slow = ledger.charge(Cost(weight=1), NOON)
    slower = ledger.charge(Cost(weight=1), NOON)
    quick = ledger.charge(Cost(weight=1), NOON)
    ledger.settle(quick, [weight(52)], NOON)
    assert weight_used(ledger) == 54
    ledger.settle(slow, [weight(1)], NOON)
    assert weight_used(ledger) == 54
    ledger.settle(slower, [weight(55)], NOON)
    assert weight_used(ledger) == 55
    ledger.settle(ledger.charge(Cost(weight=1), NOON), [weight(40)], NOON)
    assert weight_used(ledger) == 40


@pytest.mark.parametrize("position", [0, 1, 2])
def test_g8_use_by_others_is_seen_in_any_of_the_answers_that_come_together(position: int) -> None:
    ledger = ledger_of(weight(), orders())
    charges = [ledger.charge(Cost(weight=1, orders=1), NOON) for _ in range(3)]
    for number, charge in enumerate(charges):
        counts = [weight(9 if number == position else number + 1), orders(number + 1)]
        ledger.settle(charge, counts, NOON)
    assert ledger.delay(Cost(weight=1), NOON) == 0
    assert ledger.delay(Cost(weight=2), NOON) == 60
    assert weight_used(ledger) == 9
    assert [used for _, used in ledger.used("ORDERS", NOON)] == [3]


def test_of_answers_that_come_together_the_newest_tells_what_was_given_back() -> None:
    ledger = ledger_of(weight(), orders(limit=4))
    charges = [ledger.charge(Cost(weight=3, orders=1), NOON) for _ in range(3)]
    for charge in charges[:2]:
        ledger.settle(charge, [weight(3), orders(2)], NOON)
    ledger.settle(charges[2], [weight(0), orders(0), published("ORDERS", "MINUTE", 1)], NOON)
    # The others were under way when the last one left.
    assert weight_used(ledger) == 6
    ledger.settle(ledger.charge(Cost(weight=1), NOON), [weight(0), orders(0)], NOON)
    assert weight_used(ledger) == 0
    assert [used for _, used in ledger.used("ORDERS", NOON)] == [0, 3]


def test_what_answers_told_before_a_turn_is_of_the_window_before_it() -> None:
    ledger = ledger_of(weight(), orders())
    ledger.settle(ledger.charge(Cost(weight=1), NOON), [weight(9)], NOON)
    assert ledger.delay(Cost(weight=10), NOON + MINUTE) == 0


def test_g8_an_answer_from_across_a_turn_does_not_hide_what_others_tell() -> None:
    ledger = ledger_of(weight(), orders())
    late = ledger.charge(Cost(weight=1, orders=1), NOON)
    now = NOON + 10 * SECOND
    ledger.settle(ledger.charge(Cost(weight=1, orders=1), now), [weight(2), orders(4)], now)
    ledger.settle(late, [weight(9), orders(5)], now)
    assert ledger.used("ORDERS", now) == [(orders(), 4)]
    assert weight_used(ledger, now) == 9


def test_a_count_above_what_is_known_is_taken_even_if_open_charges_explain_it() -> None:
    ledger = ledger_of(weight(limit=100))
    slow, slower, quick = (ledger.charge(Cost(weight=1), NOON) for _ in range(3))
    ledger.settle(quick, [weight(52)], NOON)
    ledger.settle(slow, [weight(54)], NOON)
    assert weight_used(ledger) == 55
    ledger.cancel(slower)
    assert weight_used(ledger) == 54


def test_a_count_that_came_with_no_call_only_raises() -> None:
    ledger = ledger_of(weight(limit=100))
    slow = ledger.charge(Cost(weight=1), NOON)
    ledger.record([weight(30, limit=100)], NOON)
    ledger.record([weight(20, limit=100)], NOON)
    assert weight_used(ledger) == 31
    ledger.settle(slow, [weight(1, limit=100)], NOON)
    assert weight_used(ledger) == 31


def test_a_count_that_says_what_is_known_tells_of_no_others() -> None:
    ledger = ledger_of(weight())
    charge = ledger.charge(Cost(weight=1), NOON)
    ledger.record([weight(0)], NOON)
    ledger.settle(charge, [weight(0)], NOON)
    assert weight_used(ledger) == 0


def test_what_was_never_sent_may_explain_a_count_that_came_before() -> None:
    ledger = ledger_of(weight())
    answered, unsent, late = [ledger.charge(Cost(weight=cost), NOON) for cost in (1, 5, 1)]
    ledger.settle(answered, [weight(6)], NOON)
    ledger.cancel(unsent)
    ledger.settle(late, [weight(1)], NOON)
    assert weight_used(ledger) == 2


def test_g8_a_count_that_came_with_no_call_lowers_nothing_whatever_was_used_in_earlier_windows() -> None:
    for before, count in itertools.product(range(1, 9), range(4)):
        ledger = ledger_of(weight(limit=100))
        ledger.settle(ledger.charge(Cost(weight=before), NOON), (), NOON)
        ledger.settle(ledger.charge(Cost(weight=3), NOON + MINUTE), (), NOON + MINUTE)
        ledger.record([weight(count, limit=100)], NOON + MINUTE)
        assert weight_used(ledger, NOON + MINUTE) == 3


def test_what_costs_nothing_of_a_limit_still_brings_its_count() -> None:
    ledger = ledger_of(weight(), orders(3))
    ledger.settle(ledger.charge(Cost(weight=1), NOON), [orders(2)], NOON)
    assert ledger.used("ORDERS", NOON) == [(orders(), 2)]


# Turning windows


def test_a_call_in_flight_counts_in_the_next_window_too_and_in_no_more() -> None:
    ledger = ledger_of(weight())
    ledger.charge(Cost(weight=4), NOON)
    assert weight_used(ledger, NOON + MINUTE) == 4
    assert weight_used(ledger, NOON + 2 * MINUTE) == 0


def test_an_answer_from_across_a_turn_brings_no_count() -> None:
    ledger = ledger_of(weight())
    charge = ledger.charge(Cost(weight=4), NOON + MINUTE - 1)
    ledger.settle(charge, [weight(9)], NOON + MINUTE + 1)
    assert weight_used(ledger, NOON + MINUTE + 1) == 4


def test_g8_what_the_count_of_a_later_call_has_in_it_counts_once_although_it_left_before_the_turn() -> None:
    ledger, turn = ledger_of(weight(limit=100)), NOON + MINUTE
    slow = [ledger.charge(Cost(weight=20), turn - 1) for _ in range(3)]
    ledger.settle(ledger.charge(Cost(weight=1), turn), [weight(61)], turn)
    assert weight_used(ledger, turn) == 121
    for each, used in zip(slow, (101, 81, 61), strict=True):
        ledger.settle(each, [weight(20)], turn)
        assert weight_used(ledger, turn) == used


def test_g8_what_others_use_is_not_taken_for_calls_that_left_before_the_turn() -> None:
    ledger, turn = ledger_of(weight(limit=100)), NOON + MINUTE
    slow = ledger.charge(Cost(weight=20), turn - 1)
    ledger.settle(ledger.charge(Cost(weight=1), turn), [weight(22)], turn)
    ledger.settle(slow, (), turn)
    assert weight_used(ledger, turn) == 42


def test_g8_what_a_count_has_of_a_call_after_the_turn_it_has_not_of_one_before_it() -> None:
    ledger, turn = ledger_of(weight(limit=100)), NOON + MINUTE
    before = ledger.charge(Cost(weight=20), turn - 1)
    after = ledger.charge(Cost(weight=20), turn)
    ledger.settle(ledger.charge(Cost(weight=1), turn), [weight(21)], turn)
    ledger.settle(after, [weight(20)], turn)
    ledger.settle(before, (), turn)
    assert weight_used(ledger, turn) == 41


def test_an_answer_after_its_charge_was_forgotten_adds_nothing() -> None:
    ledger = ledger_of(orders())
    charge = ledger.charge(Cost(orders=4), NOON)
    ledger.settle(charge, [orders(0)], NOON + 20 * SECOND)
    assert ledger.used("ORDERS", NOON + 20 * SECOND) == [(orders(), 0)]


def test_a_charge_without_an_answer_weighs_on_a_day_once() -> None:
    ledger = ledger_of(orders_a_day())
    lost = ledger.charge(Cost(orders=2), NOON)
    ledger.settle(ledger.charge(Cost(orders=1), NOON + 1), [orders_a_day(3)], NOON + 1)
    assert ledger.used("ORDERS", NOON + LONGEST_FLIGHT - 1) == [(orders_a_day(), 5)]
    later = NOON + LONGEST_FLIGHT
    ledger.settle(ledger.charge(Cost(orders=1), later), [orders_a_day(4)], later)
    assert ledger.used("ORDERS", later) == [(orders_a_day(), 4)]
    ledger.settle(lost, [orders_a_day(2)], later)
    assert ledger.used("ORDERS", later) == [(orders_a_day(), 4)]


def test_an_answer_in_the_moment_its_charge_is_given_up_is_taken() -> None:
    ledger = ledger_of(orders_a_day())
    charge = ledger.charge(Cost(orders=2), NOON)
    ledger.settle(charge, [orders_a_day(6)], NOON + LONGEST_FLIGHT)
    assert ledger.used("ORDERS", NOON + LONGEST_FLIGHT) == [(orders_a_day(), 6)]


def test_what_is_settled_close_to_a_turn_counts_on_both_sides() -> None:
    ledger = ledger_of(weight(), margin=MARGIN)
    turn = NOON + MINUTE
    early = ledger.charge(Cost(weight=1), turn - 2 * MARGIN)
    ledger.settle(early, [weight(1)], turn - MARGIN - 1)
    close = ledger.charge(Cost(weight=2), turn - MARGIN)
    ledger.settle(close, [weight(3)], turn - MARGIN)
    assert weight_used(ledger, turn + MARGIN - 1) == 3
    assert weight_used(ledger, turn + MARGIN) == 2
    assert weight_used(ledger, turn + MARGIN + MINUTE) == 0


def test_windows_of_different_lengths_turn_each_for_itself() -> None:
    ledger = ledger_of(orders(), orders_a_day(), margin=MARGIN)
    turn = NOON + 10 * SECOND
    ledger.settle(ledger.charge(Cost(orders=2), turn - MARGIN), [orders(2), orders_a_day(2)], turn - MARGIN)
    assert ledger.used("ORDERS", turn + MARGIN) == [(orders(), 2), (orders_a_day(), 2)]
    assert ledger.used("ORDERS", turn + MARGIN + 10 * SECOND) == [(orders(), 0), (orders_a_day(), 2)]


def test_g8_use_that_appears_with_the_turn_is_seen() -> None:
    ledger = ledger_of(weight(), margin=MARGIN)
    close = NOON + MINUTE - MARGIN
    ledger.settle(ledger.charge(Cost(weight=9), close), [weight(0)], close)
    assert ledger.delay(Cost(weight=2), close) == 0
    assert ledger.delay(Cost(weight=2), close + 2 * MARGIN) == 60


def test_g8_use_by_others_is_seen_at_once() -> None:
    ledger = ledger_of(weight())
    assert ledger.delay(Cost(weight=2), NOON) == 0
    ledger.settle(ledger.charge(Cost(weight=1), NOON), [weight(9)], NOON)
    assert ledger.delay(Cost(weight=2), NOON) == 60


def test_a_full_window_is_left_a_margin_after_its_turn() -> None:
    ledger = ledger_of(weight(), margin=MARGIN)
    ledger.settle(ledger.charge(Cost(weight=10), NOON + SECOND), [], NOON + SECOND)
    assert ledger.delay(Cost(weight=1), NOON + SECOND) == 59.25
    assert ledger.delay(Cost(weight=1), NOON + MINUTE + MARGIN) == 0


def test_what_was_read_off_the_clock_a_little_earlier_is_taken_for_now() -> None:
    ledger = ledger_of(weight())
    ledger.charge(Cost(weight=10), NOON + 500)
    assert ledger.delay(Cost(weight=1), NOON + 500) == 59.5
    assert ledger.delay(Cost(weight=1), NOON + 400) == 59.5


def test_a_clock_that_steps_back_does_not_bring_back_a_window() -> None:
    ledger = ledger_of(weight())
    ledger.settle(ledger.charge(Cost(weight=10), NOON + MINUTE), [], NOON + MINUTE)
    assert ledger.delay(Cost(weight=1), NOON + MINUTE - 5) == 60
    charge = ledger.charge(Cost(weight=1), NOON + MINUTE - 5)
    assert charge.at == NOON + MINUTE


def test_a_hold_that_was_read_off_the_clock_a_little_earlier_begins_now() -> None:
    ledger = ledger_of(weight())
    ledger.charge(Cost(weight=10), NOON + 500)
    assert ledger.hold(Refusal(429, -1003, "m", 1_000), NOON + 400).until == NOON + 1_500


# Holds


def test_a_hold_whose_end_is_past_ends_now() -> None:
    assert hold(ledger_of(weight()), -1).until == NOON


def test_g8_after_418_nothing_goes_out_before_its_time() -> None:
    ledger = LocalLedger()
    held = hold(ledger, 3 * MINUTE)
    assert held == Hold(NOON + 3 * MINUTE, 429, -1003, "slow down")
    for cost in (Cost(), Cost(weight=1), Cost(orders=1), Cost(connections=1), Cost(weight=1, purpose="own")):
        assert ledger.delay(cost, NOON) == 180
        assert ledger.held(cost, NOON) == held
    assert ledger.delay(Cost(), NOON + 3 * MINUTE) == 0
    assert ledger.held(Cost(), NOON + 3 * MINUTE) is None


def test_g8_too_many_orders_hold_orders_only() -> None:
    ledger = LocalLedger(margin=0)
    held = hold(ledger, DAY // 2, code=-1015)
    assert ledger.delay(Cost(weight=1, orders=1), NOON) == 43_200
    assert ledger.delay(Cost(weight=1), NOON) == 0
    assert ledger.held(Cost(orders=1), NOON) == held
    assert ledger.held(Cost(weight=1), NOON) is None


def test_an_earlier_end_does_not_shorten_a_later_one() -> None:
    ledger = LocalLedger(margin=0)
    hold(ledger, 3 * MINUTE)
    hold(ledger, 2 * MINUTE)
    assert ledger.delay(Cost(), NOON) == 180


def test_g8_without_a_time_the_full_window_decides() -> None:
    ledger = ledger_of(weight(10), orders(5), orders_a_day(8), margin=0)
    hold(ledger, None)
    assert ledger.delay(Cost(), NOON) == 60
    hold(ledger, None, code=-1015)
    assert ledger.delay(Cost(orders=1), NOON) == 43_200


@pytest.mark.parametrize("known", [(), (weight(3), orders(2))])
def test_g8_without_any_reason_a_minute_is_waited(known: tuple[RateLimit, ...]) -> None:
    ledger = ledger_of(*known)
    hold(ledger, None)
    assert ledger.delay(Cost(), NOON) == UNSTATED_BACK_OFF / 1000


def test_g8_a_hold_is_told_at_once_to_all_who_watch() -> None:
    ledger = LocalLedger()
    told: list[Hold | None] = []
    other: list[Hold | None] = []
    ledger.watch(told.append)
    ledger.watch(other.append)
    first = hold(ledger, MINUTE)
    ledger.unwatch(other.append)
    ledger.unwatch(other.append)
    second = hold(ledger, None, code=-1015)
    assert (told, other) == ([first, second], [first])


def test_g11_a_watcher_that_fails_keeps_a_hold_from_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_hold: Hold | None) -> None:
        raise ZeroDivisionError

    ledger = LocalLedger()
    told: list[Hold | None] = []
    ledger.watch(fail)
    ledger.watch(told.append)
    assert told == [hold(ledger, MINUTE)]
    (error,) = caplog.records
    assert (error.name, error.levelname) == ("bintrio.limits", "ERROR")
    assert "which failed" in error.getMessage()
    assert vars(error)["told"] == repr(fail)


# The exchange's clock


@pytest.mark.parametrize("step", [-DAY, -60 * MINUTE, -MINUTE // 2, MINUTE // 2, 60 * MINUTE, DAY])
def test_g8_no_step_of_the_exchanges_clock_moves_a_hold(step: int) -> None:
    ledger = LocalLedger()
    ledger.align(0, 0, NOON)
    hold(ledger, 3 * MINUTE)
    ledger.align(step, 0, NOON + SECOND)
    assert ledger.delay(Cost(), NOON + SECOND) == 179
    assert ledger.delay(Cost(), NOON + 3 * MINUTE) == 0


@pytest.mark.parametrize("step", [-DAY, -60 * MINUTE, -MINUTE // 2, MINUTE // 2, 60 * MINUTE, DAY])
def test_g8_no_step_of_the_exchanges_clock_brings_back_what_was_used_or_holds_it_for_long(step: int) -> None:
    ledger = ledger_of(weight())
    ledger.settle(ledger.charge(Cost(weight=10), NOON), [], NOON)
    ledger.align(step + 20 * SECOND, 0, NOON)
    assert ledger.delay(Cost(weight=1), NOON) in (10, 40)
    ledger.align(20 * SECOND, 0, NOON)
    assert ledger.delay(Cost(weight=1), NOON) == 40
    assert ledger.delay(Cost(weight=1), NOON + 40 * SECOND) == 0


def test_windows_move_with_the_estimate_of_the_clock() -> None:
    ledger = ledger_of(weight(), margin=MARGIN)
    ledger.align(0, 0, NOON + SECOND)
    ledger.settle(ledger.charge(Cost(weight=10), NOON + SECOND), [], NOON + SECOND)
    ledger.align(-100, 0, NOON + SECOND)
    assert ledger.delay(Cost(weight=1), NOON + SECOND) == 59.35


def test_g8_a_small_correction_at_a_turn_neither_skips_nor_repeats_a_window() -> None:
    ledger = ledger_of(weight(), margin=MARGIN)
    turned = NOON + MINUTE + MARGIN
    ledger.settle(ledger.charge(Cost(weight=10), NOON + SECOND), [], NOON + SECOND)
    assert ledger.delay(Cost(weight=1), turned) == 0
    ledger.align(-5, 0, turned)  # it would be the old window still
    ledger.settle(ledger.charge(Cost(weight=10), turned), [], turned)
    assert ledger.delay(Cost(weight=1), turned + 5) == 60
    ledger.align(5, 0, turned + MINUTE)
    assert ledger.delay(Cost(weight=1), turned + MINUTE + 1) == 0


def test_g8_windows_turn_as_much_later_as_the_clock_may_be_wrong_by() -> None:
    ledger = ledger_of(weight(), margin=MARGIN)
    ledger.align(0, 2 * SECOND, NOON + 3 * SECOND)
    ledger.settle(ledger.charge(Cost(weight=10), NOON + 3 * SECOND), [], NOON + 3 * SECOND)
    assert ledger.delay(Cost(weight=1), NOON + 3 * SECOND) == 59
    assert ledger.delay(Cost(weight=1), NOON + MINUTE + 2 * SECOND) == 0


def test_a_window_that_was_moved_turns_when_it_is_over() -> None:
    ledger = ledger_of(weight())
    ledger.align(0, 0, NOON)
    ledger.charge(Cost(weight=10), NOON)
    ledger.align(20 * SECOND, 0, NOON + 1)
    assert ledger.delay(Cost(weight=1), NOON + 39 * SECOND) == 1
    ledger.cancel(ledger.charge(Cost(), NOON + 40 * SECOND))
    assert weight_used(ledger, NOON + 40 * SECOND) == 10, "it may have arrived in this window"
    assert weight_used(ledger, NOON + 100 * SECOND) == 0


def test_a_window_that_was_moved_is_left_with_what_was_used_in_it() -> None:
    ledger = ledger_of(weight())
    ledger.align(0, 0, NOON)
    ledger.settle(ledger.charge(Cost(weight=10), NOON + SECOND), (), NOON + SECOND)
    ledger.align(20 * SECOND, 0, NOON + SECOND)
    assert weight_used(ledger, NOON + 39 * SECOND) == 10
    assert weight_used(ledger, NOON + 40 * SECOND) == 0


def test_g8_what_was_used_of_a_window_counts_when_the_exchanges_clock_is_set_back_and_the_window_comes_again() -> None:
    ledger = ledger_of(weight(), margin=MARGIN)
    turned = NOON + MARGIN
    ledger.align(0, 0, turned)
    ledger.settle(ledger.charge(Cost(weight=3), turned), (), turned)
    # A clock that stands still is found to have been set back again and again.
    for seconds in (1, 2, 3):
        now = turned + seconds * SECOND
        ledger.align(-seconds * SECOND - 1, 0, now)
        assert weight_used(ledger, now) == 3
        assert weight_used(ledger, now + 1) == 3, "the window has come again"
    assert weight_used(ledger, now + MINUTE) == 3
    assert weight_used(ledger, now + MINUTE + 1) == 0


def test_g8_what_is_settled_in_the_moment_in_which_windows_move_counts_on_both_sides() -> None:
    ledger = ledger_of(weight())
    now = NOON + 59 * SECOND
    charge = ledger.charge(Cost(weight=3), now)
    ledger.align(0, 5 * SECOND, now)
    ledger.settle(charge, (), now)
    assert weight_used(ledger, now) == 3
    assert weight_used(ledger, NOON + 65 * SECOND) == 3
    assert weight_used(ledger, NOON + 125 * SECOND) == 0


def test_an_interval_that_is_not_understood_has_no_window_to_move() -> None:
    ledger = ledger_of(published("REQUEST_WEIGHT", "FORTNIGHT", 1, 7))
    ledger.align(5 * MINUTE, 0, NOON)
    ledger.align(5 * MINUTE, 0, NOON)
    assert ledger.delay(Cost(weight=9), NOON) == 0


def test_the_exchanges_time_is_what_was_told_last() -> None:
    ledger = LocalLedger()
    assert ledger.reading(NOON) is None
    ledger.align(7, 3 * SECOND, NOON)
    assert ledger.reading(NOON + 1) == (NOON + 8, 3 * SECOND, False)


# The reserve


OWN: Purpose = "own"
CANCEL: Purpose = "cancel"


def test_g8_calls_leave_room_for_cancels_and_both_for_the_session_itself() -> None:
    ledger = ledger_of(weight(limit=6000), reserve=OWN_RESERVE)
    ledger.charge(Cost(weight=6000 - OWN_RESERVE - CANCEL_RESERVE), NOON)
    assert ledger.delay(Cost(weight=1), NOON) > 0
    assert ledger.delay(Cost(weight=1, purpose=CANCEL), NOON) == 0
    ledger.charge(Cost(weight=CANCEL_RESERVE, purpose=CANCEL), NOON)
    assert ledger.delay(Cost(weight=1, purpose=CANCEL), NOON) > 0
    assert ledger.delay(Cost(weight=OWN_RESERVE, purpose=OWN), NOON) == 0
    assert ledger.delay(Cost(weight=OWN_RESERVE + 1, purpose=OWN), NOON) == 60


def test_the_sessions_own_reserve_lapses_before_the_turn_and_that_for_cancels_does_not() -> None:
    ledger = ledger_of(weight(limit=6000), reserve=OWN_RESERVE)
    ledger.charge(Cost(weight=6000 - OWN_RESERVE - CANCEL_RESERVE), NOON)
    assert [ledger.delay(Cost(weight=OWN_RESERVE - less), NOON) for less in (0, 1, 3, -1)] == [57, 57, 57, 60]
    late = NOON + 57 * SECOND
    assert ledger.delay(Cost(weight=OWN_RESERVE), late) == 0
    assert ledger.delay(Cost(weight=OWN_RESERVE + 1), late) == 3
    assert ledger.delay(Cost(weight=OWN_RESERVE + CANCEL_RESERVE, purpose=CANCEL), late) == 0


def test_nothing_is_reserved_of_limits_of_orders_and_connections() -> None:
    connections = RateLimit(rate_limit_type="CONNECTIONS", interval="MINUTE", interval_num=5, limit=300)
    ledger = ledger_of(orders(limit=100), connections, reserve=OWN_RESERVE)
    ledger.charge(Cost(orders=50, connections=150), NOON)
    assert ledger.delay(Cost(orders=50, connections=150), NOON) == 0


@pytest.mark.parametrize("limit", [7, 8, 10, 20, 60, 100, 1200])
def test_g8_a_small_limit_is_not_all_reserve(limit: int) -> None:
    ledger = ledger_of(weight(limit=limit), reserve=OWN_RESERVE)
    most = limit - min(OWN_RESERVE, limit // 2) - max(1, min(CANCEL_RESERVE, limit // 10))
    assert most >= limit // 3
    assert ledger.delay(Cost(weight=most), NOON) == 0
    ledger.charge(Cost(weight=most), NOON)
    assert ledger.delay(Cost(weight=1), NOON) > 0
    assert ledger.delay(Cost(weight=min(OWN_RESERVE, limit // 2), purpose=OWN), NOON) == 0
    assert ledger.delay(Cost(weight=1, purpose=CANCEL), NOON) == 0


def test_what_the_session_used_itself_is_not_reserved_once_more() -> None:
    ledger = ledger_of(weight(limit=60), reserve=OWN_RESERVE)
    ledger.charge(Cost(weight=20, purpose=OWN), NOON)
    assert ledger.delay(Cost(weight=60 - OWN_RESERVE - 6), NOON) == 0
    assert ledger.delay(Cost(weight=1 + 60 - OWN_RESERVE - 6), NOON) > 0
    ledger.charge(Cost(weight=40, purpose=OWN), NOON)
    later = NOON + 2 * MINUTE
    ledger.charge(Cost(weight=60 - OWN_RESERVE - 6), later)
    assert ledger.delay(Cost(weight=1), later) > 0


@pytest.mark.parametrize("sessions", [1, 3, 6])
def test_g5_each_session_can_move_to_another_connection_whatever_opening_it_has_used(sessions: int) -> None:
    ledger, least = ledger_of(weight(limit=900), reserve=OWN_RESERVE), sessions * RESERVE_PER_SESSION
    for _ in range(sessions):
        ledger.watch(lambda _hold: None)
        ledger.charge(Cost(weight=OWN_RESERVE, purpose=OWN), NOON)
    left = 900 - sessions * OWN_RESERVE - least
    assert ledger.delay(Cost(weight=left - CANCEL_RESERVE), NOON) == 0
    assert ledger.delay(Cost(weight=left - CANCEL_RESERVE + 1), NOON) == 57
    ledger.charge(Cost(weight=left, purpose=CANCEL), NOON)
    assert ledger.delay(Cost(weight=1, purpose=CANCEL), NOON) == 57
    assert ledger.delay(Cost(weight=least, purpose=OWN), NOON) == 0


def test_a_call_that_would_never_fit_beside_the_reserve_passes_it_by() -> None:
    ledger = ledger_of(weight(limit=100), reserve=OWN_RESERVE)
    assert ledger.delay(Cost(weight=100), NOON) == 0
    ledger.charge(Cost(weight=1), NOON)
    assert ledger.delay(Cost(weight=100), NOON) == 60


def test_g8_each_session_that_shares_a_ledger_has_its_part_of_the_reserve() -> None:
    ledger = ledger_of(weight(limit=6000), reserve=OWN_RESERVE)
    for _ in range(10):
        ledger.watch(lambda _hold: None)
    assert ledger.delay(Cost(weight=6000 - 70 - CANCEL_RESERVE), NOON) == 0
    ledger.charge(Cost(weight=6000 - 70 - CANCEL_RESERVE), NOON)
    assert ledger.delay(Cost(weight=1), NOON) > 0


def test_g1_no_limit_keeps_the_session_from_connecting() -> None:
    a_day = RateLimit(rate_limit_type="REQUEST_WEIGHT", interval="DAY", interval_num=1, limit=100, count=3_000)
    ledger = ledger_of(a_day, weight(limit=8), reserve=OWN_RESERVE)
    assert ledger.delay(Cost(weight=1), NOON) > 3600
    assert ledger.delay(Cost(weight=2, connections=1, purpose=OWN), NOON) == 0
    assert ledger.delay(Cost(weight=20, purpose=OWN), NOON) == 0
    with pytest.raises(InvalidRequest):
        ledger.delay(Cost(weight=20), NOON)


# Limits that cannot be right


@pytest.mark.parametrize("limit", [-(10**30), -1, 0, 1, 6, 10**10, 10**400])
def test_g8_a_limit_that_cannot_be_right_is_told_once_and_ignored(limit: int, caplog: pytest.LogCaptureFixture) -> None:
    ledger = ledger_of(weight(limit=100))
    for _ in range(3):
        ledger.settle(ledger.charge(Cost(weight=1), NOON), [weight(3, limit=limit)], NOON)
    ledger.record([weight(limit=limit)], NOON)
    assert ledger.used("REQUEST_WEIGHT", NOON) == [(weight(limit=100), 3)]
    assert ledger.delay(Cost(weight=90), NOON) == 0
    (warning,) = caplog.records
    assert (warning.name, warning.levelname) == ("bintrio.limits", "WARNING")
    assert vars(warning)["limit"] == repr(weight(3, limit=limit))


@pytest.mark.parametrize(("limit_type", "interval"), [("ORDERS", "DAY"), ("CONNECTIONS", "MINUTE")])
def test_g8_a_limit_of_one_connection_or_one_order_a_day_cannot_be_right(limit_type: str, interval: str) -> None:
    ledger = ledger_of(msgspec.structs.replace(published(limit_type, interval, 1), limit=1))
    assert ledger.used(limit_type, NOON) == []
    assert ledger.delay(Cost(orders=5, connections=5), NOON) == 0


def test_g8_one_order_in_ten_seconds_may_be_right() -> None:
    ledger = ledger_of(orders(limit=1))
    ledger.charge(Cost(orders=1), NOON)
    assert ledger.delay(Cost(orders=1), NOON) == 10


def test_a_server_that_makes_up_limits_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    ledger = LocalLedger()
    ledger.record([weight(limit=-number) for number in range(1000)], NOON)
    assert len(caplog.records) == 100


def test_g8_a_count_below_zero_hides_no_use() -> None:
    ledger = ledger_of(weight())
    ledger.settle(ledger.charge(Cost(weight=4), NOON), [weight(-1000)], NOON)
    assert weight_used(ledger) == 4


def test_an_interval_beyond_all_measure_is_survived() -> None:
    ledger = ledger_of(published("ORDERS", "DAY", 10**400, count=1))
    assert ledger.delay(Cost(orders=1), NOON) == 0


def test_a_window_of_a_year_may_be_right_and_no_longer_one() -> None:
    for days, is_right in ((366, True), (367, False)):
        assert bool(ledger_of(published("ORDERS", "DAY", days)).used("ORDERS", NOON)) is is_right


# An exchange behind the ledger


@pytest.mark.untraced
@settings(max_examples=200)
@given(
    st.lists(calls_of(""), min_size=1, max_size=40),
    st.integers(-30 * SECOND, 30 * SECOND),
    st.integers(-MARGIN, MARGIN),
)
def test_g8_no_limit_is_ever_exceeded_and_every_call_goes_out(
    planned: list[Call], start: int, clock_error: int
) -> None:
    simulation = Simulation(20_000 * DAY + start, clock_error, {"": LocalLedger(MARGIN)})
    for call in planned:
        simulation.send(call)
    simulation.advance(math.inf)
    # A day's orders that were lost fill their own day and the next.
    assert simulation.longest_wait <= 2 * DAY + 2 * MARGIN


@given(st.lists(st.integers(1, 4), min_size=1, max_size=30), st.integers(0, MINUTE))
def test_without_overlap_the_ledger_agrees_with_the_exchange(weights: list[int], start: int) -> None:
    ledger = LocalLedger(MARGIN)
    simulation = Simulation(NOON + start, 0, {"": ledger})
    for number, each in enumerate(weights):
        end = "failure" if number % 2 else "success"
        simulation.send(Call(pause=3_000, cost=Cost(weight=each), there=20, back=20, end=end))
        window = simulation.now // MINUTE
        simulation.advance(simulation.now + 2 * MARGIN)
        if (simulation.now + MARGIN) // MINUTE == (simulation.now - 3 * MARGIN) // MINUTE == window:
            ((_, used),) = ledger.used("REQUEST_WEIGHT", simulation.now)
            assert used == simulation.exchange.counts[0, window, ""]


@given(
    st.lists(st.tuples(st.sampled_from(["send", "count", "answer"]), st.integers(0, 9), st.integers(0, 2)), max_size=60)
)
def test_g8_in_one_window_no_order_of_events_hides_use(steps: list[tuple[str, int, int]]) -> None:
    ledger = ledger_of(weight(limit=10_000))
    count = 0
    sent: list[Charge] = []
    counted: list[tuple[Charge, int]] = []
    for step, which, given_back in steps:
        if step == "send":
            sent.append(ledger.charge(Cost(weight=2), NOON))
        elif step == "count" and sent:
            count += 2 - given_back
            counted.append((sent.pop(which % len(sent)), count))
        elif step == "answer" and counted:
            charge, reported = counted.pop(which % len(counted))
            ledger.settle(charge, [weight(reported, limit=10_000)], NOON)
        assert weight_used(ledger) >= count


steps = st.tuples(
    st.sampled_from(["charge", "charge", "settle", "cancel", "record", "wait"]),
    st.builds(
        Cost, st.integers(0, 4), st.integers(0, 2), st.integers(0, 1), st.sampled_from(["call", "cancel", "own"])
    ),
    st.integers(0, 15),
    st.sampled_from([0, 1, 400, 9_999, MINUTE]),
)


@given(st.lists(steps, max_size=40))
def test_g8_a_delay_is_the_same_with_and_without_a_look_at_each_budget(
    planned: list[tuple[str, Cost, int, int]],
) -> None:
    ledger = ledger_of(weight(), orders(), orders_a_day(), margin=MARGIN, reserve=3)
    now = NOON
    charged: list[Charge] = []
    for step, cost, number, pause in planned:
        now += pause
        counts = [weight(number, limit=16 - number % 2 * 8), orders(number // 2)]
        if step == "charge":
            charged.append(ledger.charge(cost, now))
        elif step == "settle" and charged:
            ledger.settle(charged.pop(number % len(charged)), counts, now)
        elif step == "cancel" and charged:
            ledger.cancel(charged.pop(number % len(charged)))
        elif step == "record":
            ledger.record(counts, now)
        delay, room = ledger.delay(cost, now), ledger._room
        assert delay == ledger._look(cost)
        # That look was the test's.
        ledger._room = room
