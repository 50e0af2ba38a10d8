"""What becomes of a trading request that may or may not have been executed: each says how to find out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bintrio.api._base import catalogue, parameters
from bintrio.api.account import OpenOrdersStatus, OrderListStatus, OrderStatus
from bintrio.api.trading import OrderAmendKeepPriority, OrderCancel, OrderListCancel

from .catalogue import METHODS, build, valid_params, wire_names

CHANGING = [name for name, method in METHODS.items() if method["security"] == "TRADE" and not name.endswith(".test")]
IDS = [name for name in CHANGING if catalogue[name].api.client_ids]


def with_ids(method: str) -> Any:
    """The document's example, with a client order id in every field that takes a new one."""
    fields = {field: wire for wire, field in wire_names(method).items()}
    ids = {fields[field]: f"id-{number}" for number, field in enumerate(catalogue[method].api.client_ids)}
    return build(method, valid_params(method) | ids)


@pytest.mark.parametrize("method", METHODS)
def test_g7_whatever_changes_something_can_be_confirmed(method: str) -> None:
    request = with_ids(method)
    found = request.confirmation()
    assert (found is not None) == (method in CHANGING)
    if found is not None:
        assert found.api.repeatable


@pytest.mark.parametrize("method", IDS)
def test_g7_what_is_placed_is_asked_for_by_its_first_new_id(method: str) -> None:
    request = with_ids(method)
    found = request.confirmation()
    if method.startswith("orderList"):
        assert found == OrderListStatus(orig_client_order_id="id-0")
    else:
        assert found == OrderStatus(symbol=request.symbol, orig_client_order_id="id-0")


@pytest.mark.parametrize("method", CHANGING)
def test_every_new_order_and_list_has_an_id_to_fill_in(method: str) -> None:
    """All but the ids that a cancellation gives to what it cancels."""
    names = {parameter.name for parameter in parameters(catalogue[method])}
    cancels = "cancel" in method.lower() and method != "order.cancelReplace"
    new = {name for name in names if name.endswith("client_order_id") and "orig" not in name and "cancel" not in name}
    assert set(catalogue[method].api.client_ids) == (set() if cancels else new)


def test_g7_other_confirmations() -> None:
    assert OrderCancel(symbol="X", orig_client_order_id="a").confirmation() == OrderStatus(
        symbol="X", orig_client_order_id="a"
    )
    assert build("openOrders.cancelAll", {"symbol": "X"}).confirmation() == OpenOrdersStatus(symbol="X")
    assert OrderListCancel(symbol="X", order_list_id=5).confirmation() == OrderListStatus(order_list_id=5)
    amend = OrderAmendKeepPriority(symbol="X", order_id=5, new_client_order_id="b", new_qty=1)
    assert amend.confirmation() == OrderStatus(symbol="X", order_id=5)


def test_g7_what_changes_an_order_is_confirmed_by_how_the_order_is() -> None:
    cancel = OrderCancel(symbol="X", order_id=5)
    amend = OrderAmendKeepPriority(symbol="X", order_id=5, new_qty=1, new_client_order_id="new")
    everything = build("openOrders.cancelAll", {"symbol": "X"})
    cancel_list = OrderListCancel(symbol="X", order_list_id=5)

    def order(status: str, name: str = "old") -> SimpleNamespace:
        return SimpleNamespace(status=status, client_order_id=name)

    assert cancel.is_confirmed_by(order("CANCELED"))
    assert cancel.is_confirmed_by(order("FILLED"))
    assert not cancel.is_confirmed_by(order("PARTIALLY_FILLED"))
    assert amend.is_confirmed_by(order("NEW", "new"))
    assert amend.is_confirmed_by(order("FILLED"))
    assert not amend.is_confirmed_by(order("NEW"))
    assert everything.is_confirmed_by(())
    assert not everything.is_confirmed_by((order("NEW"),))
    assert cancel_list.is_confirmed_by(SimpleNamespace(list_order_status="ALL_DONE"))
    assert not cancel_list.is_confirmed_by(SimpleNamespace(list_order_status="EXECUTING"))
    assert build("order.place", valid_params("order.place")).is_confirmed_by(order("NEW"))
