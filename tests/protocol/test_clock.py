from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.clock import DOUBT, DRIFT, RECENT, Clock, can_be_right
from bintrio.endpoints import TimeUnit

EPOCH = 1_700_000_000_000  # milliseconds

local_times = st.floats(0, 1e7)
delays = st.floats(0, 10)
rates = st.floats(-DRIFT, DRIFT)


class Exchange:
    """The truth: a clock that runs at a slightly different rate than ours."""

    def __init__(self, offset: float = EPOCH * 1000.0, rate: float = 0.0) -> None:
        self.offset = offset
        self.rate = rate

    def at(self, local: float) -> float:
        """Its time in microseconds at a local time in seconds."""
        return local * (1e6 + self.rate) + self.offset

    def answer(self, clock: Clock, sent_at: float, there: float, back: float, unit: str = "us") -> float:
        """Answer one question for the time; the local time after it."""
        read = math.floor(self.at(sent_at + there))
        received_at = sent_at + there + back
        if unit == "us":
            clock.record(sent_at, read, received_at, unit="us")
        else:
            clock.record(sent_at, read // 1000, received_at)
        return received_at


def assert_within_bound(clock: Clock, exchange: Exchange, local: float) -> None:
    # Floats around 1.7e15 microseconds are a quarter of a microsecond apart, and the test adds two of them.
    assert abs(clock.now_us(local) - exchange.at(local)) <= clock.error_bound(local) * 1e6 + 1


@pytest.mark.parametrize(("unit", "units"), [("ms", 1), ("us", 1000)])
def test_a_time_can_be_right_until_the_end_of_the_year_9999(unit: TimeUnit, units: int) -> None:
    end = 253_402_300_800_000 * units
    assert [can_be_right(time, unit) for time in (1, end - 1)] == [True, True]
    assert [can_be_right(time, unit) for time in (-1, 0, end, 2 * end)] == [False] * 4


# Before and after the first sample


def test_the_time_is_not_known_before_the_first_sample() -> None:
    clock = Clock()
    assert not clock.is_set
    assert math.isnan(clock.round_trip)
    assert repr(clock) == "<Clock, not set>"
    for question in (clock.now, clock.now_us, clock.error_bound):
        with pytest.raises(RuntimeError, match="not known before a sample"):
            question(0.0)
    with pytest.raises(RuntimeError, match="not known before a sample"):
        _ = clock.offset


def test_one_sample_in_milliseconds() -> None:
    clock = Clock()
    clock.record(10.0, EPOCH, 10.1)
    assert clock.is_set
    assert clock.round_trip == pytest.approx(0.1)
    # Half a millisecond is added, since the exchange cut off up to a whole one.
    assert clock.offset == EPOCH * 1000 - 10_050_000 + 500
    assert clock.now_us(10.05) == EPOCH * 1000 + 500
    assert clock.now(10.05) == EPOCH
    assert clock.error_bound(10.1) == pytest.approx(0.0505, rel=1e-3)
    assert repr(clock) == f"<Clock, offset {clock.offset} us, round trip 100.000 ms>"


def test_one_sample_in_microseconds() -> None:
    clock = Clock()
    clock.record(10.0, EPOCH * 1000 + 7, 10.1, unit="us")
    assert clock.now_us(10.05) == EPOCH * 1000 + 7
    assert clock.error_bound(10.1) == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize(("unit", "scale"), [("ms", 1), ("us", 1000)])
def test_since_when_the_time_is_known_is_told_in_milliseconds(unit: TimeUnit, scale: int) -> None:
    clock = Clock()
    for second in (10, 20):
        clock.record(second, (EPOCH + second * 1000) * scale + scale // 2, second + 0.5, unit=unit)
    assert clock.known_since == EPOCH + 10_000
    assert isinstance(clock.known_since, int)


def test_milliseconds_are_rounded_down() -> None:
    clock = Clock()
    clock.record(0.0, EPOCH * 1000, 0.0, unit="us")
    assert clock.now(0.000_9) == EPOCH
    assert clock.now(0.001_1) == EPOCH + 1


# Choosing between samples


def test_a_slow_sample_changes_little_and_a_quick_one_much() -> None:
    clock, exchange = Clock(), Exchange()
    received_at = exchange.answer(clock, 0.0, 0.3, 0.2)
    assert clock.error_bound(received_at) == pytest.approx(0.25, rel=1e-3)
    received_at = exchange.answer(clock, 1.0, 0.01, 0.01)
    assert clock.error_bound(received_at) == pytest.approx(0.01, rel=1e-2)
    before = clock.offset
    received_at = exchange.answer(clock, 2.0, 1.5, 0.5)
    assert clock.round_trip == pytest.approx(2.0)
    assert clock.error_bound(received_at) < 0.0105
    assert clock.offset == before


def test_two_lopsided_samples_are_better_than_either() -> None:
    clock, exchange = Clock(), Exchange()
    exchange.answer(clock, 0.0, 0.1, 0.0)
    received_at = exchange.answer(clock, 1.0, 0.0, 0.1)
    assert clock.error_bound(received_at) < 0.001


def test_two_samples_that_meet_in_a_point_leave_no_doubt() -> None:
    clock = Clock()
    clock.record(0.0, 1_000_000, 0.0, unit="us")  # the offset is at least that, and less than a microsecond more
    clock.record(0.0, 1_000_001, 0.0, unit="us")
    assert clock.error_bound(0.0) == 2 / 1e6, "what halving and rounding add"
    assert clock.offset == 1_000_001


def test_the_bound_grows_by_what_two_clocks_may_part() -> None:
    clock = Clock()
    clock.record(0.0, EPOCH, 0.0)
    assert clock.error_bound(10_000.0) - clock.error_bound(0.0) == pytest.approx(1.0), "100 ppm of 10,000 s"


def test_an_old_good_sample_gives_way_to_a_fresh_worse_one() -> None:
    clock, exchange = Clock(), Exchange(rate=DRIFT / 2)
    exchange.answer(clock, 0.0, 0.001, 0.001)
    bound_of_old = clock.error_bound(86_400.0)
    assert bound_of_old == pytest.approx(86_400 * DRIFT / 1e6, rel=1e-2)
    received_at = exchange.answer(clock, 86_400.0, 0.1, 0.1)
    assert clock.error_bound(received_at) == pytest.approx(0.1, rel=1e-2)
    assert_within_bound(clock, exchange, received_at)


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_was_set_is_measured_anew(jump: float) -> None:
    clock, exchange = Clock(), Exchange()
    exchange.answer(clock, 0.0, 0.01, 0.01)
    exchange.offset += jump * 1e6
    received_at = exchange.answer(clock, 1.0, 0.2, 0.1)
    assert_within_bound(clock, exchange, received_at)
    assert clock.error_bound(received_at) == pytest.approx(0.15, rel=1e-2)


def test_forgetting_keeps_the_estimate_without_a_bound() -> None:
    clock, exchange = Clock(), Exchange()
    received_at = exchange.answer(clock, 0.0, 0.01, 0.01)
    before = clock.now_us(received_at)
    clock.forget()
    assert clock.now_us(received_at) == before
    assert clock.error_bound(received_at) > 1e9
    exchange.offset += 5_000  # too little to be seen without forgetting
    received_at = exchange.answer(clock, 1.0, 0.02, 0.02)
    assert clock.error_bound(received_at) == pytest.approx(0.02, rel=1e-2)
    assert_within_bound(clock, exchange, received_at)


def test_forgetting_before_the_first_sample_changes_nothing() -> None:
    clock = Clock()
    clock.forget()
    assert not clock.is_set


def test_the_clock_steps_back_when_it_was_ahead() -> None:
    clock = Clock()
    clock.record(0.0, EPOCH, 1.0)
    ahead = clock.now(1.0)
    clock.record(1.0, EPOCH, 1.002)
    assert clock.now(1.002) < ahead


# Looking back


def test_an_earlier_estimate_was_as_wrong_as_was_known_then() -> None:
    clock, exchange = Clock(), Exchange()
    exchange.answer(clock, 0.0, 0.2, 0.2)
    before = clock.now(100.0)
    received_at = exchange.answer(clock, 100.0, 0.01, 0.01)
    # And as by what a step since the sample may have been too small to be seen: the round trip.
    assert clock.error_of(before, received_at) == pytest.approx(0.4 + 0.2 + 100 * DRIFT / 1e6, rel=1e-3)
    assert clock.error_of(clock.now(received_at), received_at) == clock.error_of(before, received_at), (
        "within its error"
    )
    later = clock.now(received_at + 10)
    assert clock.error_of(later, received_at) == pytest.approx(clock.error_bound(received_at), abs=2e-6)
    assert clock.steps == 0


def test_a_time_that_an_estimate_may_just_have_shown_is_of_that_estimate() -> None:
    shown: list[float] = []
    for microseconds in range(1000):
        clock, exchange = Clock(), Exchange(EPOCH * 1000.0 + microseconds)
        exchange.answer(clock, 0.0, 0.2, 0.2)
        local = exchange.answer(clock, 100.0, 0.01, 0.01)
        latest = clock._earlier[0].interval.aged(local)
        time = latest.at * 1e6 + latest.high
        if time % 1000 == 0:
            shown.append(time)
            assert clock.error_of(int(time) // 1000, local) > 0.4
            assert clock.error_of(int(time) // 1000 + 1, local) < 0.1
    assert len(shown) == 1


def test_so_many_estimates_are_remembered_by_themselves_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bintrio._protocol.clock._REMEMBERED", 3)
    clock, remembered = Clock(), list[int]()
    for second in range(6):
        clock.record(second, EPOCH + 1000 * second, second + 0.1)
        remembered.append(len(clock._earlier))
    assert remembered == [0, 1, 2, 3, 3, 3]


def test_an_error_is_exact_to_the_microsecond() -> None:
    for microseconds in range(8):
        clock, exchange = Clock(), Exchange()
        local = exchange.answer(clock, 0.0, 0.2 + microseconds / 1e6, 0.2 + microseconds / 1e6)
        assert clock.error_of(0, local) == pytest.approx(clock.error_bound(local), abs=6e-7)


def test_a_step_since_a_sample_is_unseen_up_to_a_whole_round_trip_however_long() -> None:
    clock, exchange = Clock(), Exchange()
    exchange.answer(clock, 0.0, 40.0, 40.0)
    local = exchange.answer(clock, 80.0, 0.01, 0.01)
    assert clock.error_of(0, local) == pytest.approx(40 + 80 + 80 * DRIFT / 1e6, abs=1e-5)


@pytest.mark.parametrize("offset", [0.0, 5e6, -5e6, -1e12, EPOCH * 1000.0])
def test_errors_are_the_same_wherever_the_clocks_stand(offset: float) -> None:
    clock, exchange = Clock(), Exchange(offset)
    errors: list[float] = []
    for sent_at, there, back, step in ((0.0, 0.2, 0.2, 0), (100.0, 0.01, 0.03, 70_000), (200.0, 0.05, 0.01, -40_000)):
        exchange.offset += step
        dated = clock.now(sent_at) if clock.is_set else 0
        local = exchange.answer(clock, sent_at, there, back)
        errors += [clock.error_of(dated, local), clock.error_bound(local)]
    assert errors == pytest.approx([0.200043, 0.2000425, 0.670006, 0.0200075, 0.43501, 0.0250095], abs=1e-9)


def test_the_worst_of_the_estimates_that_came_after_counts() -> None:
    clock, exchange = Clock(), Exchange()
    local = 0.0
    for delay in (0.1, 0.4, 0.3):
        local = exchange.answer(clock, local + 1, delay, delay)
        clock.forget()
    assert clock.error_of(0, local) == pytest.approx(60.3, abs=0.01), "forgotten"
    local = exchange.answer(clock, local, 0.05, 0.05)
    assert clock.error_of(0, local) == pytest.approx(0.8 + 0.4, abs=0.01)
    for _ in range(200):
        local = exchange.answer(clock, local, 0.05, 0.05)
    assert clock.error_of(0, local) == pytest.approx(0.8 + 0.4, abs=0.01), "however many came since"


steps_ = st.lists(st.tuples(st.floats(1, 100), st.sampled_from([0, 0, -500, 500, -900, 5000, -5000])), max_size=8)


@given(before=steps_, after=steps_, wait=st.floats(0, 50), age=st.floats(0, 100))
def test_g7_the_error_of_a_timestamp_covers_what_was_measured_before_and_since(
    before: list[tuple[float, int]], after: list[tuple[float, int]], wait: float, age: float
) -> None:
    """Steps in milliseconds, each noticed by the next sample."""
    clock, exchange = Clock(), Exchange()
    local = exchange.answer(clock, 0.0, 0.01, 0.01)
    dated: list[tuple[float, float]] = [(local, exchange.at(local))]  # what was dated, and how
    for pause, step in before:
        exchange.offset += step * 1000
        local += pause
        dated.append((local, exchange.at(local)))
        local = exchange.answer(clock, local, 0.01, 0.01)
    sent_at, timestamp = local + wait, clock.now(local + wait)
    local = sent_at
    dates = [exchange.at(sent_at)]
    for pause, step in after:
        exchange.offset += step * 1000
        dates.append(exchange.at(sent_at))  # of what would be done at once by the clock as it is from now on
        local = exchange.answer(clock, local + pause, 0.01, 0.01)
    error = clock.error_of(timestamp, local + age) * 1e6 + 1000
    for date in dates:
        assert abs(date - timestamp * 1000) <= error
    for at, date in dated:
        assert at > sent_at or date <= timestamp * 1000 + error, "what was before is not dated later than its error"


STEP = 3_600_000_000


@pytest.mark.parametrize("step", [-STEP, STEP])
def test_between_the_samples_around_a_step_either_estimate_may_have_held(step: int) -> None:
    clock, exchange = Clock(), Exchange()
    exchange.answer(clock, 0.0, 0.01, 0.01)
    before = exchange.offset
    exchange.answer(clock, 100.0, 0.01, 0.01)
    exchange.offset += step
    exchange.answer(clock, 200.0, 0.01, 0.01)
    for begin, end, was, may_be in ((0.0, 99.0, True, False), (100.5, 101.0, True, True), (150.0, 150.0, True, True)):
        assert_covered(clock, begin, end, [before] * was + [before + step] * may_be)
    assert_covered(clock, 201.0, 300.0, [before + step])


def assert_covered(clock: Clock, begin: float, end: float, offsets: list[float]) -> None:
    """Whatever may have held lies within what is told, and not much else does."""
    least, greatest = clock.offsets(begin, end)
    earliest, latest = clock.dates(begin, end)
    assert least <= min(offsets) <= least + 60_000
    assert greatest - 60_000 <= max(offsets) <= greatest
    assert earliest <= min(offsets) + begin * 1e6 <= earliest + 60_000
    assert latest - 60_000 <= max(offsets) + end * 1e6 <= latest


def test_a_step_while_an_answer_is_on_its_way_lies_after_that_sample() -> None:
    clock, exchange = Clock(), Exchange()
    exchange.answer(clock, 0.0, 0.01, 0.01)
    before = exchange.offset
    exchange.answer(clock, 100.0, 0.0, 3.0)
    exchange.offset += STEP
    exchange.answer(clock, 200.0, 0.01, 0.01)
    assert clock.offsets(99.0, 99.5)[1] < before + STEP < clock.offsets(100.0, 101.0)[1]


def test_a_step_that_is_too_small_to_be_seen_lies_within_the_dates() -> None:
    clock, exchange = Clock(), Exchange()
    exchange.answer(clock, 0.0, 0.0, 1.0)
    exchange.offset -= 900_000
    told = clock.dates(5.0, 5.0), clock.offsets(5.0, 5.0)
    assert told[0][0] <= exchange.offset + 5e6 <= told[0][1]
    exchange.answer(clock, 10.0, 1.0, 1.0)
    assert (clock.dates(5.0, 5.0), clock.offsets(5.0, 5.0)) == told, "whatever is learned later, unless it refutes it"


def test_a_step_is_noticed_after_forgetting_too() -> None:
    clock, exchange = Clock(), Exchange()
    exchange.answer(clock, 0.0, 0.01, 0.01)
    before = exchange.offset
    clock.forget()
    least, greatest = clock.offsets(1.0, 2.0)
    assert before - 2 * DOUBT < least < before - DOUBT
    assert before + DOUBT < greatest < before + 2 * DOUBT
    clock.forget()
    exchange.offset += STEP
    exchange.answer(clock, 3.0, 0.01, 0.01)
    assert_covered(clock, 1.0, 2.0, [before, before + STEP])
    assert_covered(clock, 4.0, 5.0, [before + STEP])


def test_an_outage_begins_by_the_estimate_of_its_time_whatever_was_measured_since() -> None:
    clock, exchange = Clock(), Exchange()
    exchange.answer(clock, 0.0, 0.01, 0.01)
    then = clock.dates(1.0, 1.0)
    for local in range(10, 1000, 10):
        exchange.answer(clock, float(local), 0.01, 0.01)
    assert clock.dates(1.0, 1000.0)[0] == then[0]
    for local in range(1000, 3000, 10):
        exchange.answer(clock, float(local), 0.01, 0.01)
    assert then[0] - 3000 * DRIFT <= clock.dates(1.0, 1000.0)[0] <= then[0], "the oldest ones are told as one"


def test_g5_what_was_known_outlasts_many_samples_of_a_clock_that_stands_still() -> None:
    """Each sample refutes the one before: set back, the exchange's clock stands still until it has caught up."""
    clock, exchange = Clock(), Exchange()
    local = exchange.answer(clock, 0.0, 0.01, 0.01)
    before, stood_at = exchange.offset, exchange.at(0.05) + 90e6
    told = [clock.offset]
    for _ in range(350):
        local += 0.03
        exchange.offset = stood_at - (local + 0.01) * 1e6
        local = exchange.answer(clock, local, 0.01, 0.01)
        told.append(clock.offset)
    assert clock.steps == 350
    earliest, latest = clock.dates(0.02, 10.0)
    assert earliest <= before + 0.02e6 <= earliest + 60_000
    assert stood_at <= latest
    lowest, highest = clock.offsets(0.02, 10.0)
    assert lowest <= before <= lowest + 60_000
    assert highest - 100_000 <= before + 90e6 <= highest
    assert clock.error_of(0, local) * 1e6 >= max(max(told) - before, before + 90e6 - min(told))


def test_what_is_known_of_long_ago_widens_nothing_of_what_was_lately() -> None:
    clock, exchange, local = Clock(), Exchange(rate=DRIFT), 0.0
    for hour in range(24 * 7):
        exchange.offset += STEP if hour == 5 else 0
        local = exchange.answer(clock, hour * 3600.0, 0.01, 0.01)
    earliest, latest = clock.dates(local - 3600, local)
    assert exchange.at(local - 3600) - 2 * 3600 * DRIFT - 1e5 <= earliest
    assert latest <= exchange.at(local) + 1e5
    lowest, highest = clock.offsets(0.0, local)
    assert STEP <= highest - lowest <= STEP + 2 * local * DRIFT


@given(
    st.lists(st.tuples(st.floats(1, 1e4), st.sampled_from([0, -STEP, STEP])), max_size=20),
    st.randoms(use_true_random=False),
)
def test_what_the_exchange_showed_lies_within_its_dates(steps: list[tuple[float, int]], chance: random.Random) -> None:
    clock, exchange = Clock(), Exchange()
    local = exchange.answer(clock, 0.0, 0.01, 0.01)
    shown = [(local, exchange.offset + local * 1e6)]
    for after, step in steps:
        for _ in range(2):
            local += after / 2
            shown.append((local, exchange.offset + local * 1e6))
            exchange.offset += step
            step = 0
        local = exchange.answer(clock, local, chance.uniform(0, 0.3), chance.uniform(0, 0.3))
    for begin, _ in shown:
        for end, _ in shown:
            if begin <= end:
                earliest, latest = clock.dates(begin, end)
                seen = [time for at, time in shown if begin <= at <= end]
                assert earliest - 1 <= min(seen) <= max(seen) <= latest + 1, "floats are a quarter apart"


def test_the_least_round_trip_is_that_of_the_latest_samples() -> None:
    clock, exchange = Clock(), Exchange()
    assert clock.least_round_trip == 0.0
    for delay in (0.25, 0.125, 0.5):
        exchange.answer(clock, 0.0, delay, delay)
    assert clock.least_round_trip == 0.25
    for _ in range(RECENT):
        exchange.answer(clock, 0.0, 0.5, 0.5)
    assert clock.least_round_trip == 1.0


# What must hold whatever the delays are


@given(local_times, delays, delays, rates, st.sampled_from(["ms", "us"]))
def test_the_error_of_one_sample_is_within_its_bound(
    sent_at: float, there: float, back: float, rate: float, unit: str
) -> None:
    clock, exchange = Clock(), Exchange(rate=rate)
    received_at = exchange.answer(clock, sent_at, there, back, unit)
    for later in (0.0, 1.0, 3600.0):
        assert_within_bound(clock, exchange, received_at + later)


@given(st.lists(st.tuples(delays, delays, st.floats(0, 1e5)), min_size=1, max_size=20), rates)
def test_the_error_of_many_samples_is_within_the_bound(samples: list[tuple[float, float, float]], rate: float) -> None:
    clock, exchange = Clock(), Exchange(rate=rate)
    local = 0.0
    for there, back, pause in samples:
        local = exchange.answer(clock, local + pause, there, back)
        assert_within_bound(clock, exchange, local)
        # No worse than the latest sample alone.
        assert clock.error_bound(local) <= (there + back) * (1 + 2 * DRIFT / 1e6) / 2 + 1e-5


@given(st.permutations(range(6)), rates)
def test_samples_may_be_recorded_out_of_order(order: list[int], rate: float) -> None:
    clock, exchange = Clock(), Exchange(rate=rate)
    for number in order:
        exchange.answer(clock, number * 100.0, 0.01 * number, 0.02)
    assert_within_bound(clock, exchange, 600.0)


@given(local_times, delays, delays)
def test_a_timestamp_is_half_a_round_trip_old_on_arrival(sent_at: float, there: float, back: float) -> None:
    clock, exchange = Clock(), Exchange()
    received_at = exchange.answer(clock, sent_at, there, back)
    age = exchange.at(received_at + there) - clock.now_us(received_at)
    assert age == pytest.approx((there + back) / 2 * 1e6, abs=(there + back) * DRIFT + 3)
