"""What confirm says, held against what a sandbox knows, over random histories."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import HalfReplaced, OutcomeUnknown
from bintrio import sandbox as faults
from bintrio.requests import (
    OrderAmendKeepPriority,
    OrderCancel,
    OrderCancelReplace,
    OrderPlace,
)
from bintrio.sandbox import Sandbox
from tests.orders import limit, open_market

pytestmark = pytest.mark.usefixtures("both_streams")


@pytest.mark.untraced
@pytest.mark.plain_streams  # what is told does not depend on how bytes travel
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("lag", [0.0, 0.4, 1.9])
async def test_g7_confirm_equals_the_truth_of_the_sandbox(autojump_clock: MockClock, lag: float, seed: int) -> None:
    """Whatever was done before under the same client order ids, and however late queries are."""
    chance = Random(seed)
    async with open_market() as (session, sandbox):
        sandbox.query_lag = lag
        for _ in range(12):
            await trio.sleep(chance.choice([0.0, 0.001, 3.0, 30.0]))
            request, method = _request(chance, sandbox)
            fate = chance.choice(["answered", "executed", "lost"])
            if fate != "answered":
                sandbox.inject(faults.Disconnect(method, executed=fate == "executed"))
            before = {order.order_id: _state(order) for order in sandbox.orders}
            try:
                await session.send(request)
            except bintrio.Rejected:
                pass
            except OutcomeUnknown as unknown:
                _check(before, sandbox, await session.confirm(unknown), request)


def _request(chance: Random, sandbox: Sandbox) -> tuple[Any, str]:
    name, kind = chance.choice("ab"), chance.choice(["place", "place", "cancel", "amend", "replace"])
    if kind == "place":
        return limit(chance.choice([40_000, 60_000]), new_client_order_id=name), "order.place"
    if kind == "cancel":
        return OrderCancel(symbol="BTCUSDT", orig_client_order_id=name), "order.cancel"
    if kind == "replace":
        fields: Any = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "time_in_force": "GTC",
            "price": 41_000,
            "quantity": chance.choice(["0.003", "100"]),  # for the latter there is no money
            "cancel_replace_mode": "ALLOW_FAILURE",
        }
        request = OrderCancelReplace(
            cancel_orig_client_order_id=name, new_client_order_id=chance.choice("ab"), **fields
        )
        return request, "order.cancelReplace"
    number = next((order.order_id for order in reversed(sandbox.orders) if order.client_order_id == name), 10**6)
    amend = OrderAmendKeepPriority(symbol="BTCUSDT", order_id=number, new_client_order_id=name, new_qty="0.0005")
    return amend, "order.amend.keepPriority"


def _state(order: Any) -> tuple[str, Decimal]:
    return order.status, order.quantity


def _check(before: dict[int, Any], sandbox: Sandbox, found: Any, request: Any) -> None:
    after = {order.order_id: order for order in sandbox.orders}
    new = next((order.order_id for number, order in after.items() if number not in before), None)
    canceled = [number for number, state in before.items() if state[0] == "NEW" != after[number].status]
    number = None if isinstance(found, HalfReplaced | None) else found.order_id
    if isinstance(request, OrderPlace):
        assert number == new
    elif isinstance(request, OrderCancelReplace):
        if bool(new) is not bool(canceled):
            assert isinstance(found, HalfReplaced)
            assert (found.new_order and found.new_order.order_id, found.is_canceled) == (new, bool(canceled))
        else:
            assert number == new
    elif isinstance(found, bintrio.Order):
        assert _state(after[found.order_id]) == (found.status, found.orig_qty)
        assert not canceled or number in canceled
    else:
        name = getattr(request, "orig_client_order_id", None)  # of an amend that is by number, and for no order
        assert not any(order.client_order_id == name for order in after.values())
