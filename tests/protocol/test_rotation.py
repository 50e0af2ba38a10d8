from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.rotation import EARLIEST, FIRST_BACKOFF, LATEST, LONGEST_BACKOFF, backoff, rotation_delay

DAY = 86_400.0

chances = st.floats(0, 1, exclude_max=True)


def test_the_first_retry_is_quick() -> None:
    assert backoff(0, 0.0) == FIRST_BACKOFF / 2 == 0.125
    assert backoff(0, 0.999) < FIRST_BACKOFF == 0.25


def test_the_wait_doubles_up_to_its_cap() -> None:
    longest = [backoff(attempt, 1.0) for attempt in range(9)]
    assert longest == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


@given(st.integers(0, 10**9), chances)
def test_chance_decides_over_the_upper_half(attempt: int, chance: float) -> None:
    wait = backoff(attempt, chance)
    assert backoff(attempt, 1.0) / 2 <= wait <= backoff(attempt, 1.0) <= LONGEST_BACKOFF


def test_retrying_for_five_minutes_stays_far_below_the_limit_of_connections() -> None:
    waited, attempts = 0.0, 0
    while waited < 300:
        waited += backoff(attempts, 0.0)
        attempts += 1
    assert attempts < 30


@given(st.floats(0, 1e9), chances)
def test_a_connection_is_replaced_before_its_lifetime_is_over(lifetime: float, chance: float) -> None:
    assert lifetime * EARLIEST <= rotation_delay(lifetime, chance) <= lifetime * LATEST


def test_of_a_day_more_than_an_hour_is_left_and_two_hours_are_chance() -> None:
    earliest, latest = rotation_delay(DAY, 0.0), rotation_delay(DAY, 1.0)
    assert DAY - latest == pytest.approx(72 * 60)
    assert latest - earliest == pytest.approx(144 * 60)


def test_a_connection_that_never_ends_is_never_replaced() -> None:
    assert rotation_delay(math.inf, 0.5) == math.inf
