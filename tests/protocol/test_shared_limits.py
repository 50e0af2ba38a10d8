"""Limits of an address that its accounts share by name."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bintrio
from bintrio._protocol.budget import Cost
from bintrio._protocol.rate_limits import MARGIN
from tests.protocol.metering import DAY, LIMITS, NOON, SECOND, Call, Simulation, calls_of, limit_of


def test_the_same_name_gives_the_same_limits() -> None:
    limits = bintrio.SharedLimits()
    first, again, other = limits.account("main"), limits.account("main"), limits.account("other")
    first.record(LIMITS, NOON)
    first.charge(Cost(weight=1, orders=2), NOON)
    for ledger, used in ((again, [2, 2]), (other, []), (limits.account("late"), [0, 0])):
        assert [use for _, use in ledger.used("ORDERS", NOON)] == used
        assert [use for _, use in ledger.used("REQUEST_WEIGHT", NOON)] == [1]


def test_g12_each_session_of_any_account_has_its_part_of_the_reserve() -> None:
    """7 for each, from the fifth on."""
    now, limits = NOON + 10 * SECOND, bintrio.SharedLimits()
    accounts = [limits.account(name) for name in "abcdef"]
    accounts[0].align(0, 0, now)
    accounts[0].record([limit_of("REQUEST_WEIGHT", "MINUTE", 1, 200)], now)
    for account in accounts:
        account.watch(print)
    accounts[0].charge(Cost(weight=100), now)
    assert [accounts[1].delay(Cost(weight=weight), now) > 0 for weight in (100 - 20 - 42, 100 - 20 - 41)] == [
        False,
        True,
    ]
    assert accounts[2].delay(Cost(weight=100 - 42, purpose="cancel"), now) == 0
    assert accounts[3].delay(Cost(weight=100, purpose="own"), now) == 0


@pytest.mark.untraced
@settings(max_examples=200)
@given(
    st.lists(calls_of("alice", "bob", "carol"), min_size=1, max_size=40),
    st.integers(-30 * SECOND, 30 * SECOND),
    st.integers(-MARGIN, MARGIN),
)
def test_g12_no_limit_of_address_or_account_is_ever_exceeded_and_every_call_goes_out(
    planned: list[Call], start: int, clock_error: int
) -> None:
    limits = bintrio.SharedLimits()
    ledgers = {name: limits.account(name) for name in ("alice", "bob", "carol")}
    simulation = Simulation(20_000 * DAY + start, clock_error, ledgers)
    for call in planned:
        simulation.send(call)
    simulation.advance(math.inf)
    assert simulation.longest_wait <= 2 * DAY + 2 * MARGIN


@pytest.mark.parametrize("odd", [None, "", 3, "a" * 101, "a\n"])
def test_the_name_of_an_account_is_checked(odd: Any) -> None:
    with pytest.raises(bintrio.InvalidRequest, match=r"the name of an account must be 1 to 100 printable char") as said:
        bintrio.SharedLimits().account(odd)
    assert said.value.field == "name"
