"""What a 429 or 418 says, in every form, and how long it holds back."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.holds import (
    DOUBTED_CLOCK,
    LATE,
    LONGEST_HOLD,
    SHORTEST_BAN,
    Hold,
    Holds,
    Reading,
    Wait,
    milliseconds_of,
    wait_by_answer,
    wait_by_header,
)
from bintrio.errors import RateLimited

NOW = 1_700_000_000_000
CLOCK = Reading(NOW, 0)
UNKNOWN = Reading(NOW, DOUBTED_CLOCK, is_own=True)
MINUTE = 60_000


def refusal(data: Any = None, message: str = "slow down", status: int = 429) -> RateLimited:
    return RateLimited("ping", status=status, code=-1003, message=message, data=data)


def header(value: str, *others: tuple[str, str]) -> list[tuple[str, str]]:
    return [("content-type", "text/html"), *others, ("retry-after", value)]


# An answer


FORMS: dict[str, Callable[[int], Any]] = {
    "ms": int,
    "us": lambda time: time * 1000,
    "float": float,
    "us_float": lambda time: time * 1000.0,
    "str": str,
    "us_str": lambda time: str(time * 1000),
    "float_str": lambda time: f"{time}.0",
    "blanks": lambda time: f" {time} ",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_g8_a_time_counts_in_every_unit_and_form(form: Callable[[int], Any]) -> None:
    assert wait_by_answer(refusal({"retryAfter": form(NOW + MINUTE)}), CLOCK) == Wait(MINUTE)
    by_server = {"retryAfter": form(NOW + MINUTE), "serverTime": form(NOW)}
    assert wait_by_answer(refusal(by_server), UNKNOWN) == Wait(MINUTE)


def test_g8_the_server_time_beside_it_goes_before_our_clock() -> None:
    data = {"serverTime": NOW, "retryAfter": NOW + MINUTE}
    for wrong in (-3_600_000, 3_600_000):
        assert wait_by_answer(refusal(data), Reading(NOW + wrong, 0)) == Wait(MINUTE)


@pytest.mark.parametrize("odd", [0, -5, "soon", None, NOW * 7, True, [], {}])
def test_g8_a_server_time_that_cannot_be_right_leaves_it_to_our_clock(odd: Any) -> None:
    assert wait_by_answer(refusal({"serverTime": odd, "retryAfter": NOW + MINUTE}), CLOCK) == Wait(MINUTE)


def test_g8_what_our_clock_may_be_wrong_by_comes_on_top() -> None:
    data = {"retryAfter": NOW + MINUTE}
    assert wait_by_answer(refusal(data), Reading(NOW, 1_800)) == Wait(MINUTE + 1_800)
    assert wait_by_answer(refusal(data), Reading(NOW, 10**15)) == Wait(MINUTE + DOUBTED_CLOCK)


@pytest.mark.parametrize("late", [0, 1, LATE])
def test_g8_a_time_that_is_over_when_it_comes_holds_no_longer(late: int) -> None:
    assert wait_by_answer(refusal({"retryAfter": NOW - late}), CLOCK) == Wait(0)


@pytest.mark.parametrize("past", [NOW - LATE - 1, NOW - 3_600_000, 60, 1, 0, "0", 12.5])
def test_g8_a_time_in_the_past_is_none_and_said(past: Any) -> None:
    wait = wait_by_answer(refusal({"retryAfter": past}), CLOCK)
    assert wait.milliseconds is None
    assert str(past) in wait.doubt


@pytest.mark.parametrize("far", [NOW + LONGEST_HOLD + 1, 32_503_680_000_000, 32_503_680_000_000_000, 10**400, 1e300])
def test_g8_a_time_beyond_the_longest_ban_is_bounded_and_said(far: Any) -> None:
    wait = wait_by_answer(refusal({"retryAfter": far}), CLOCK)
    assert wait.milliseconds == LONGEST_HOLD
    assert "three days" in wait.doubt


@pytest.mark.parametrize("odd", [True, "soon", "", "9" * 5000, float("nan"), float("inf"), -1, "-7", [NOW], {}])
def test_g8_what_is_no_time_is_none_and_said(odd: Any) -> None:
    wait = wait_by_answer(refusal({"retryAfter": odd}), CLOCK)
    assert wait.milliseconds is None
    assert wait.doubt


@pytest.mark.parametrize("data", [None, {}, {"retryAfter": None}, [], "x", {"serverTime": NOW}])
def test_g8_no_time_is_no_reason_for_doubt(data: Any) -> None:
    assert wait_by_answer(refusal(data), CLOCK) == Wait()


@given(
    st.integers(-2 * LONGEST_HOLD, 2 * LONGEST_HOLD),
    st.sampled_from([418, 429]),
    st.sampled_from(sorted(FORMS)),
    st.sampled_from(["no server time", "an odd one", "a header"]),
)
def test_g8_a_time_that_only_our_own_clock_can_tell_is_bounded_and_said(
    wait: int, status: int, form: str, beside: str
) -> None:
    said: dict[str, Any] = {"retryAfter": FORMS[form](NOW + wait)}
    if beside == "a header":
        wait -= wait % 1000
        date = formatdate((NOW + wait) / 1000, usegmt=True)
        found = wait_by_header(header(date), status, UNKNOWN)
    else:
        odd = {"serverTime": NOW * 7} if beside == "an odd one" else {}
        found = wait_by_answer(refusal(said | odd, status=status), UNKNOWN)
    assert "only this machine's clock" in found.doubt
    expected = wait + DOUBTED_CLOCK  # which nobody has measured
    if status == 418:
        assert found.milliseconds == max(SHORTEST_BAN, min(expected, LONGEST_HOLD))
    elif expected > 0:
        assert found.milliseconds == min(expected, 86_400_000)
    else:
        assert found.milliseconds is None


@pytest.mark.parametrize("seconds", [0.001, 0.5, 1, 2])
def test_g8_any_number_of_seconds_in_a_head_is_waited_for(seconds: float) -> None:
    assert wait_by_header(header(f"{seconds}"), 429, CLOCK) == Wait(round(seconds * 1000))


def test_g8_the_words_of_a_ban_tell_its_end() -> None:
    said = f"Way too much request weight used; IP banned until {NOW + MINUTE}. Please use WebSocket Streams."
    assert wait_by_answer(refusal(message=said), CLOCK) == Wait(MINUTE)
    assert wait_by_answer(refusal({"retryAfter": NOW + 2 * MINUTE}, said), CLOCK) == Wait(2 * MINUTE)


@given(st.integers(-LONGEST_HOLD, 2 * LONGEST_HOLD), st.integers(0, 10_000), st.integers(-10_000, 10_000))
def test_g8_no_hold_ends_before_its_time_whatever_our_clock_is_wrong_by(wait: int, bound: int, error: int) -> None:
    error = max(-bound, min(error, bound))
    found = wait_by_answer(refusal({"retryAfter": NOW + wait}), Reading(NOW + error, bound))
    if 0 <= wait <= LONGEST_HOLD:
        assert found.milliseconds is not None
        assert min(wait, LONGEST_HOLD) <= found.milliseconds <= wait + 2 * bound
    if found.milliseconds is not None:
        assert 0 <= found.milliseconds <= LONGEST_HOLD


def test_sizes_tell_units() -> None:
    assert milliseconds_of(NOW) == milliseconds_of(NOW * 1000) == NOW
    assert milliseconds_of(-1) is milliseconds_of(None) is None


# A refused handshake


@pytest.mark.parametrize(("value", "seconds"), [("60", 60), ("0060", 60), ("1.5", 1.5), ("259200", 259_200)])
def test_g8_a_header_gives_seconds_with_or_without_a_clock(value: str, seconds: float) -> None:
    for clock in (CLOCK, UNKNOWN):
        assert wait_by_header(header(value), 429, clock) == Wait(round(seconds * 1000))


def test_g8_a_header_gives_a_date() -> None:
    in_a_minute = formatdate((NOW + MINUTE) / 1000, usegmt=True)
    assert wait_by_header(header(in_a_minute), 429, CLOCK) == Wait(MINUTE)
    # By the server's own date, which has whole seconds, if we have no clock or a wrong one.
    dated = header(in_a_minute, ("date", formatdate(NOW / 1000, usegmt=True)))
    for clock in (UNKNOWN, Reading(NOW - 3_600_000, 0)):
        assert wait_by_header(dated, 429, clock) == Wait(MINUTE + 1_000)


@pytest.mark.parametrize("odd", ["0", "-5", "soon", "", "nan", "inf", "Thu, 99 Foo 2026 00:00:00 GMT"])
def test_g8_a_header_that_is_no_wait_is_none_and_said(odd: str) -> None:
    wait = wait_by_header(header(odd), 429, CLOCK)
    assert wait.milliseconds is None
    assert wait.doubt


@pytest.mark.parametrize("far", ["259201", "9" * 30, "Wed, 01 Jan 3000 00:00:00 GMT"])
def test_g8_a_header_beyond_the_longest_ban_is_bounded_and_said(far: str) -> None:
    wait = wait_by_header(header(far), 418, CLOCK)
    assert wait.milliseconds == LONGEST_HOLD
    assert wait.doubt


def test_no_header_says_nothing() -> None:
    assert wait_by_header([("date", "x")], 429, CLOCK) == Wait()


# What is in force


def test_g8_the_last_end_counts_and_orders_are_held_by_both_kinds() -> None:
    holds = Holds()
    assert holds.of(0, orders=True) is None
    short, long = Hold(10, 429, -1003, ""), Hold(20, 418, -1003, "")
    too_many = Hold(30, 429, -1015, "")
    for hold in (long, short, too_many):
        holds.add(hold)
    assert holds.of(0, orders=False) == long
    assert holds.of(0, orders=True) == too_many
    assert holds.of(20, orders=False) is None
    assert holds.of(29, orders=True) == too_many
    assert holds.of(30, orders=True) is None
