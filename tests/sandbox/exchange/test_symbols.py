"""The rules of a symbol that are switched off by a 0."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

import bintrio
from bintrio.requests import OrderPlace
from bintrio.rules import SymbolRules
from bintrio.sandbox import SandboxAccount, Symbol, open_sandbox

DISABLED: list[dict[str, Any]] = [
    {"tick_size": 0},
    {"max_price": 0},
    {"step_size": 0},
    {"min_price": 0},
    {"tick_size": 0, "max_price": 0, "step_size": 0, "min_price": 0, "min_quantity": 0, "min_notional": 0},
]


@pytest.mark.parametrize("disabled", DISABLED)
async def test_a_rule_that_is_0_is_disabled(disabled: dict[str, Any], autojump_clock: MockClock) -> None:
    price = "64000.12345678" if "tick_size" in disabled else "64000.12"
    quantity = "0.01000001" if "step_size" in disabled else "0.01"
    symbol = Symbol(base="BTC", quote="USDT", **disabled)
    balances: dict[str, Any] = {"BTC": 5, "USDT": "10000"}
    async with open_sandbox(listen=False, symbols=[symbol], accounts=[SandboxAccount(2, balances)]) as sandbox:
        endpoint, key = sandbox.memory_endpoint, sandbox.key
        async with bintrio.open_session(endpoint, key=key, connect=sandbox.connect) as session:
            sell = OrderPlace(
                symbol="BTCUSDT", side="SELL", type="LIMIT", time_in_force="GTC", price=price, quantity=quantity
            )
            resting = await session.send(sell)
            assert isinstance(resting, bintrio.OrderFull)
            assert (resting.price, resting.orig_qty) == (sell.price, sell.quantity)
            bought = await session.order_place(symbol="BTCUSDT", side="BUY", type="MARKET", quote_order_qty="500")
            assert bought.status == "FILLED"
            replaced = await session.order_cancel_replace(
                symbol="BTCUSDT",
                cancel_replace_mode="STOP_ON_FAILURE",
                cancel_order_id=resting.order_id,
                side="BUY",
                type="LIMIT",
                time_in_force="GTC",
                price="1000",
                quantity=quantity,
            )
            assert replaced.new_order_result == "SUCCESS"
            information = await session.exchange_info(symbol="BTCUSDT")
            rules = SymbolRules.of(information, "BTCUSDT")
            assert rules.check(sell) == []
            assert rules.round_price(price) == sell.price
            assert rules.round_quantity(quantity) == sell.quantity
            assert (await session.depth(symbol="BTCUSDT")).bids[0].price == 1000


@pytest.mark.parametrize("odd", [None, -1, 0.1, "x", "NaN"])
def test_rules_and_funds_that_are_no_numbers_are_refused(odd: Any) -> None:
    with pytest.raises(bintrio.InvalidRequest, match=r"^tick_size must be"):
        Symbol(base="BTC", quote="USDT", tick_size=odd)
    with pytest.raises(bintrio.InvalidRequest, match=r"^balances must be"):
        SandboxAccount(2, {"BTC": odd})
    with pytest.raises(bintrio.InvalidRequest, match=r"^maker_rate must be"):
        SandboxAccount(2, {}, maker_rate=odd)
