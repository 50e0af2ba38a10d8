"""What an account keeps of its orders: by id, by name, by symbol, and which are open."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bintrio.sandbox.exchange.accounts import Account
from bintrio.sandbox.exchange.orders import Order
from bintrio.sandbox.exchange.refusals import Refusal


def order(order_id: int, name: str, symbol: str = "BTCUSDT") -> Order:
    return Order(
        order_id=order_id,
        owner=1,
        symbol=symbol,
        side="BUY",
        type="LIMIT",
        time_in_force="GTC",
        client_order_id=name,
        created_at=0,
    )


def account_of(*placed: Order) -> Account:
    account = Account(1, {"USDT": Decimal(5)})
    for one in placed:
        account.register(one)
    return account


def test_orders_are_kept_by_symbol_and_while_they_are_open() -> None:
    first, second, other = order(1, "a"), order(2, "b"), order(3, "a", "ETHUSDT")
    account = account_of(first, second, other)
    first.end("CANCELED", 5)
    account.retire(first)
    assert account.history == {"BTCUSDT": {1: first, 2: second}, "ETHUSDT": {3: other}}
    assert list(account.open_orders()) == [second, other]
    assert list(account.open_orders("ETHUSDT")) == [other]


def test_an_order_that_is_renamed_gives_its_name_free() -> None:
    renamed = order(1, "a")
    account = account_of(renamed)
    account.rename(renamed, "b")
    assert (account.is_taken("BTCUSDT", "a"), account.is_taken("BTCUSDT", "b")) == (False, True)
    assert account.find("BTCUSDT", None, "b") is renamed
    with pytest.raises(Refusal, match="does not exist"):
        account.find("BTCUSDT", None, "a")


def test_a_name_that_was_used_again_is_that_of_the_latest_order() -> None:
    """A name is free once its order is closed; when the later one goes by another, the earlier one is found again."""
    earlier, later = order(1, "a"), order(2, "a")
    account = account_of(earlier, later)
    assert account.find("BTCUSDT", None, "a") is later
    account.rename(later, "b")
    assert account.find("BTCUSDT", None, "a") is earlier
    assert account.find("BTCUSDT", 1, "a") is earlier


def test_a_name_is_taken_while_its_order_is_open() -> None:
    taken = order(1, "a")
    account = account_of(taken)
    with pytest.raises(Refusal, match="Duplicate"):
        account.check_client_order_id(order(2, "a"))
    account.check_client_order_id(order(2, "a", "ETHUSDT"))
    taken.end("CANCELED", 5)
    account.check_client_order_id(order(2, "a"))


steps = st.lists(st.tuples(st.sampled_from(["place", "rename", "close"]), st.sampled_from("abc"), st.integers(0, 9)))


@given(steps, st.sampled_from([None, 1, 3]))
@example([("place", "a", 0), ("place", "b", 0), ("close", "a", 1), ("rename", "b", 0)], None)
@example(
    [
        *[("place", "a", 0), ("place", "b", 0), ("close", "a", 1), ("rename", "b", 0), ("close", "a", 0)],
        *[("place", "b", 0)],
    ],
    None,
)
def test_a_name_is_that_of_the_latest_order_that_is_known(drawn: list[tuple[str, str, int]], keep: int | None) -> None:
    """Whatever was placed, renamed, closed and forgotten; a copy of the account says the same."""
    account = Account(1, {}, keep=keep)
    named: list[tuple[str, Order]] = []  # in the order in which names were taken
    for number, (step, name, which) in enumerate(drawn):
        opened = [*account.open_orders()]
        one = opened[which % len(opened)] if opened else None
        if step == "close" and one is not None:
            one.end("CANCELED", number)
            account.retire(one)
        elif not account.is_taken("BTCUSDT", name):
            if step == "place":
                one = order(number, name)
                account.register(one)
            elif one is not None:
                named.remove((one.client_order_id, one))
                account.rename(one, name)
            named += [] if one is None else [(name, one)]
    for seen in (account.copy(), account):
        assert names_of(seen) == latest(one for one in named if one[1].order_id in account.orders)
        for one in [*seen.open_orders()]:
            seen.rename(one, f"another-{one.order_id}")
        assert names_of(seen) == latest(
            (name, one) for name, one in named if one.order_id in seen.orders and not one.is_open
        )


def latest(named: Iterable[tuple[str, Order]]) -> dict[str, int]:
    return {name: one.order_id for name, one in named}


def names_of(account: Account) -> dict[str, int]:
    """Whose each name is, as far as it can be found."""
    found: dict[str, int] = {}
    for name in "abc":
        try:
            found[name] = account.find("BTCUSDT", None, name).order_id
        except Refusal:
            assert not account.is_taken("BTCUSDT", name)
    return found
