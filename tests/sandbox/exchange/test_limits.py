"""Windows that follow the clock, 429, 418, bans."""

from __future__ import annotations

import pytest

from bintrio.sandbox.exchange.limits import AddressBudget, Limits, OrderBudget
from bintrio.sandbox.exchange.refusals import Refusal

SECOND = 1_000_000
MINUTE = 60 * SECOND
NOON = 1_767_268_800 * SECOND


def refusal(budget: AddressBudget, weight: int, now: int) -> Refusal:
    with pytest.raises(Refusal) as caught:
        budget.admit(weight, now)
    return caught.value


def test_weight_is_used_up_and_comes_back_with_the_minute() -> None:
    budget = AddressBudget(Limits(weight=10))
    now = NOON + 59 * SECOND
    budget.admit(10, now)
    budget.weight.add(10, now)
    refused = refusal(budget, 1, now)
    assert (refused.status, refused.code) == (429, -1003)
    assert refused.message.startswith("Too much request weight used; current limit is 10 request weight per 1 MINUTE.")
    assert refused.data == {"serverTime": now // 1_000, "retryAfter": (NOON + MINUTE) // 1_000}
    budget.admit(10, NOON + MINUTE)
    assert budget.weight.report(NOON + MINUTE).count == 0


def test_who_goes_on_after_429_is_banned_longer_each_time() -> None:
    budget = AddressBudget(Limits(weight=1, patience=2, first_ban=100, longest_ban=150))
    budget.weight.add(1, NOON)
    assert [refusal(budget, 1, NOON).status for _ in range(4)] == [429, 429, 418, 418]
    banned = refusal(budget, 1, NOON + 99 * SECOND)
    until = NOON // 1_000 + 100_000
    assert banned.data == {"serverTime": NOON // 1_000 + 99_000, "retryAfter": until}
    assert f"IP banned until {until}." in banned.message
    later = NOON + 120 * SECOND
    budget.admit(1, later)
    budget.weight.add(1, later)
    assert [refusal(budget, 1, later).status for _ in range(3)] == [429, 429, 418]
    assert refusal(budget, 1, later + 149 * SECOND).status == 418
    budget.admit(1, later + 150 * SECOND)


def test_connections_are_counted_and_weigh_two() -> None:
    budget = AddressBudget(Limits(connections=2))
    budget.admit_connection(NOON)
    budget.admit_connection(NOON)
    assert budget.weight.count(NOON) == 4
    with pytest.raises(Refusal) as caught:
        budget.admit_connection(NOON)
    assert (caught.value.status, caught.value.code) == (429, -1034)
    assert caught.value.message == "Too many connection attempts from IP; current limit is 2 per '5 MINUTE'."
    assert caught.value.data == {"serverTime": NOON // 1_000, "retryAfter": (NOON + 5 * MINUTE) // 1_000}
    budget.admit_connection(NOON + 5 * MINUTE)


@pytest.mark.parametrize(("patience", "status"), [(10, 429), (0, 418)])
def test_attempts_to_connect_count_also_if_weight_or_a_ban_turns_them_away(patience: int, status: int) -> None:
    budget = AddressBudget(Limits(weight=4, connections=3, patience=patience, first_ban=60))
    budget.weight.add(3, NOON)
    with pytest.raises(Refusal) as caught:
        budget.admit_connection(NOON)
    assert (caught.value.status, caught.value.code) == (status, -1003)
    later = NOON + MINUTE
    for _ in range(2):
        budget.admit_connection(later)
    with pytest.raises(Refusal, match="Too many connection attempts") as caught:
        budget.admit_connection(later + MINUTE)
    assert budget.connections.count(later + MINUTE) == 4
    assert budget.weight.count(later + MINUTE) == 0, "only of a connection that is opened"


def test_orders_are_limited_by_account_in_two_windows() -> None:
    budget = OrderBudget(Limits(orders_per_10_seconds=2, orders_per_day=3))
    for _ in range(2):
        budget.admit(1, NOON)
        budget.note("placed", NOON)
    with pytest.raises(Refusal) as caught:
        budget.admit(1, NOON)
    assert (caught.value.status, caught.value.code) == (429, -1015)
    assert caught.value.message == "Too many new orders; current limit is 2 orders per 10 SECOND."
    later = NOON + 10 * SECOND
    budget.admit(1, later)
    budget.note("placed", later)
    with pytest.raises(Refusal, match="3 orders per 1 DAY") as caught:
        budget.admit(1, later)
    assert caught.value.data is not None
    assert caught.value.data["retryAfter"] == (NOON + 12 * 3_600 * SECOND) // 1_000
    budget.note("taken", later)
    budget.admit(1, later)


def test_a_count_never_goes_below_zero() -> None:
    budget = OrderBudget(Limits(credit_delay=1))
    budget.note("placed", NOON)
    budget.note("made", NOON)
    budget.note("placed", NOON + 10 * SECOND)  # without a look at the count in between
    assert [window.count(NOON + 10 * SECOND) for window in budget.windows] == [1, 1]


def test_a_copy_counts_on_its_own() -> None:
    budget = OrderBudget(Limits(credit_delay=1))
    budget.note("placed", NOON)
    budget.note("taken", NOON)
    twin = budget.copy()
    twin.note("placed", NOON)
    assert [window.count(NOON) for window in (*budget.windows, *twin.windows)] == [1, 1, 2, 2]
    assert [window.count(NOON + SECOND) for window in (*budget.windows, *twin.windows)] == [0, 0, 1, 1]


def test_the_defaults_are_the_documents() -> None:
    rules = [(rule.rate_limit_type, rule.interval, rule.interval_num, rule.limit) for rule in Limits().rules()]
    assert rules == [
        ("REQUEST_WEIGHT", "MINUTE", 1, 6_000),
        ("ORDERS", "SECOND", 10, 50),
        ("ORDERS", "DAY", 1, 160_000),
        ("CONNECTIONS", "MINUTE", 5, 300),
    ]
