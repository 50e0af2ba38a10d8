"""What becomes of a trading request that may or may not have been executed: each says how to find out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bintrio._protocol.confirmation import RULES, inquire
from bintrio._protocol.evidence import Sent
from bintrio.api._base import Request, catalogue, parameters
from bintrio.api.account import OrderListStatus, OrderStatus
from bintrio.api.trading import OrderTested, OrderTestedWithRates
from tests.catalogue import METHODS, build, valid_params, wire_names

CHANGING = [name for name, method in METHODS.items() if method["security"] == "TRADE" and not name.endswith(".test")]
IDS = [name for name in CHANGING if catalogue[name].api.client_ids]


def with_ids(method: str) -> Any:
    """The document's example, with a client order id in every field that takes a new one."""
    fields = {field: wire for wire, field in wire_names(method).items()}
    ids = {fields[field]: f"id-{number}" for number, field in enumerate(catalogue[method].api.client_ids)}
    return build(method, valid_params(method) | ids)


def first_question(request: Request[Any]) -> Request[Any]:
    return next(inquire(Sent(request=request, final_at=0))).request


@pytest.mark.parametrize("method", METHODS)
def test_g7_whatever_changes_something_can_be_confirmed(method: str) -> None:
    assert (catalogue[method] in RULES) == (method in CHANGING)
    if method in CHANGING:
        assert first_question(with_ids(method)).api.repeatable


@pytest.mark.parametrize("method", IDS)
def test_g7_what_is_placed_is_asked_for_by_its_first_new_id(method: str) -> None:
    request = with_ids(method)
    if method.startswith("orderList"):
        assert first_question(request) == OrderListStatus(orig_client_order_id="id-0")
    else:
        assert first_question(request) == OrderStatus(symbol=request.symbol, orig_client_order_id="id-0")


@pytest.mark.parametrize("method", CHANGING)
def test_every_new_order_and_list_has_an_id_to_fill_in(method: str) -> None:
    """All but the ids that a cancellation gives to what it cancels."""
    names = {parameter.name for parameter in parameters(catalogue[method])}
    cancels = "cancel" in method.lower() and method != "order.cancelReplace"
    new = {name for name in names if name.endswith("client_order_id") and "orig" not in name and "cancel" not in name}
    assert set(catalogue[method].api.client_ids) == (set() if cancels else new)


@pytest.mark.parametrize("method", ["order.test", "sor.order.test"])
@pytest.mark.parametrize(
    ("with_rates", "expected"), [(True, OrderTestedWithRates), (False, OrderTested), (None, OrderTested)]
)
def test_what_a_tested_order_is_answered_with_is_decided_by_whether_rates_are_asked_for(
    method: str, with_rates: bool | None, expected: type[Any]
) -> None:
    request = msgspec.structs.replace(build(method, valid_params(method)), compute_commission_rates=with_rates)
    shapes = request.api.shapes
    assert shapes is not None
    assert shapes.results[shapes.kind(request)] is expected
