"""What an account keeps of its orders: by id, by name, by symbol, and which are open."""

from __future__ import annotations

from decimal import Decimal

import pytest

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
