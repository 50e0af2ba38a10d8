"""The ledgers of several accounts at one address: what they have in common, and what not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.budget import Cost
from bintrio._protocol.holds import Hold, Refusal
from bintrio._protocol.ledger import Ledger
from bintrio._protocol.rate_limits import LocalLedger
from bintrio.errors import InvalidRequest

from .metering import NOON, SECOND, limit_of
from .test_rate_limits import ledger_of, orders, orders_a_day, weight

ORDER = Cost(weight=1, orders=1)
READ = Cost(weight=4)


def used(ledger: Ledger, limit_type: str, now: int = NOON) -> list[int]:
    return [used for _, used in ledger.used(limit_type, now)]


def hold(ledger: Ledger, code: int, wait: int = 5_000) -> Hold:
    return ledger.hold(Refusal(429, code, "slow down", wait), NOON)


def test_g8_orders_count_for_their_account_and_weight_for_the_address() -> None:
    first = ledger_of(weight(), orders(), orders_a_day())
    second, third = first.of_account("second"), first.of_account("third")
    first.charge(ORDER, NOON)
    second.charge(Cost(weight=1, orders=3), NOON)
    third.charge(READ, NOON)
    assert [used(ledger, "REQUEST_WEIGHT") for ledger in (first, second, third)] == [[6], [6], [6]]
    assert [used(ledger, "ORDERS") for ledger in (first, second, third)] == [[1, 1], [3, 3], [0, 0]]


def test_the_ledger_of_an_account_is_the_same_by_any_way() -> None:
    first = ledger_of(weight(), orders())
    second = first.of_account("second")
    second.charge(ORDER, NOON)
    assert used(first.of_account("second"), "ORDERS") == [1]
    assert used(second.of_account("third").of_account("second"), "ORDERS") == [1]


def test_g8_each_account_waits_for_its_own_orders_and_all_for_the_weight() -> None:
    first = ledger_of(weight(), orders())
    second = first.of_account("second")
    second.charge(Cost(orders=5), NOON)
    assert second.delay(ORDER, NOON) == 10
    assert second.delay(READ, NOON) == 0
    assert first.delay(ORDER, NOON) == 0
    first.charge(Cost(weight=8), NOON)
    assert second.delay(READ, NOON) == first.delay(READ, NOON) == 60
    assert second.delay(ORDER, NOON) == 10
    with pytest.raises(InvalidRequest, match="never be sent"):
        second.delay(Cost(orders=6), NOON)


def test_g8_counts_in_answers_are_put_down_to_whom_they_are_about() -> None:
    first = ledger_of(weight(), orders())
    second = first.of_account("second")
    charge = second.charge(ORDER, NOON)
    second.settle(charge, [weight(7), orders(4)], NOON)
    assert used(first, "REQUEST_WEIGHT") == [7]
    assert used(first, "ORDERS") == [0]
    assert used(second, "ORDERS") == [4]
    second.settle(second.charge(Cost(weight=1), NOON), [weight(8), orders(5)], NOON)  # a read may tell of orders too
    assert used(second, "ORDERS") == [5]
    second.record([weight(9), orders(5)], NOON)
    assert (used(first, "REQUEST_WEIGHT"), used(first, "ORDERS")) == ([9], [0])


def test_g8_connections_count_for_the_address() -> None:
    first = ledger_of(weight(), orders())
    second, third = first.of_account("second"), first.of_account("third")
    second.record([limit_of("CONNECTIONS", "MINUTE", 5, 300, 7)], NOON)
    assert used(third, "CONNECTIONS") == [7]


@pytest.mark.parametrize("cost", [ORDER, READ])
def test_what_was_not_sent_was_never_charged(cost: Cost) -> None:
    first = ledger_of(weight(), orders())
    second = first.of_account("second")
    second.cancel(second.charge(cost, NOON))
    assert (used(second, "REQUEST_WEIGHT"), used(second, "ORDERS")) == ([0], [0])


def test_g8_too_many_orders_of_one_account_hold_no_other_back() -> None:
    first = ledger_of(weight(), orders())
    second = first.of_account("second")
    mine = hold(first, -1015)
    assert first.held(ORDER, NOON) == mine
    assert second.held(ORDER, NOON) is None
    theirs = hold(second, -1015, wait=7_000)
    assert second.held(ORDER, NOON) == theirs
    assert second.held(READ, NOON) is None
    assert first.held(ORDER, NOON) == mine


def test_g8_what_holds_everything_back_holds_every_account() -> None:
    first = ledger_of(weight(), orders())
    second = first.of_account("second")
    ban = hold(second, -1003)
    for ledger in (first, second, first.of_account("third")):
        assert ledger.held(READ, NOON) == ban
        assert ledger.delay(READ, NOON) == 5
    longer = hold(second, -1015, wait=9_000)
    assert second.held(ORDER, NOON) == longer


def test_g8_whoever_watches_an_account_is_told_what_concerns_it() -> None:
    first = ledger_of(weight(), orders())
    second = first.of_account("second")
    told: list[Hold | None] = []
    second.watch(told.append)
    hold(first, -1015)
    assert told == []
    theirs, ban = hold(second, -1015), hold(first, -1003)
    assert told == [theirs, ban]
    second.unwatch(told.append)
    second.unwatch(told.append)
    hold(first, -1003, wait=60_000)
    hold(second, -1015, wait=60_000)
    assert told == [theirs, ban]


def test_that_there_may_be_room_again_is_passed_on() -> None:
    told: list[Hold | None] = []
    first = LocalLedger()
    first.of_account("second").watch(told.append)
    first.tell(None)
    assert told == [None]


def test_windows_of_all_accounts_go_by_the_same_clock() -> None:
    first = ledger_of(weight(), orders())
    before = first.of_account("before")
    before.align(4_000, 0, NOON)
    after = first.of_account("after")
    for ledger in (before, after):
        ledger.charge(Cost(orders=5), NOON)
        assert ledger.delay(ORDER, NOON) == 6
        assert ledger.reading(NOON) == first.reading(NOON)
    first.align(2 * SECOND, 0, NOON)
    assert after.reading(NOON) == first.reading(NOON)
    assert after.delay(ORDER, NOON) == before.delay(ORDER, NOON) == 8


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.integers(0, 3), st.booleans()), max_size=40))
def test_g8_no_account_takes_more_orders_than_its_limit_and_all_no_more_than_the_weight(
    calls: list[tuple[str, int, bool]],
) -> None:
    first = ledger_of(weight(limit=20), orders(limit=6))
    truth: dict[str, int] = {}
    total = 0
    for name, count, fails in calls:
        ledger = first.of_account(name) if name else first
        cost = Cost(weight=1, orders=count)
        if ledger.delay(cost, NOON) > 0:
            assert total + 1 > 20 or (count and truth.get(name, 0) + count > 6)
            continue
        charge = ledger.charge(cost, NOON)
        total += fails  # a success weighs nothing
        truth[name] = truth.get(name, 0) + count
        ledger.settle(charge, [weight(total, limit=20), *([orders(truth[name], limit=6)] if count else [])], NOON)
        assert truth[name] <= 6
        assert total <= 20


def test_limits_that_are_known_hold_for_every_account() -> None:
    second = ledger_of(orders(limit=3)).of_account("second")
    assert second.used("ORDERS", NOON) == [(orders(limit=3), 0)]
