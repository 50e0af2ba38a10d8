"""How values with numbers print: a price reads as the exchange writes it, wherever it stands."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

import bintrio
import bintrio.account
import bintrio.rules
import bintrio.sandbox
from bintrio import requests
from bintrio.account import Holding, HoldingChanged
from bintrio.api._values import Shown
from bintrio.rules import OrderContext
from bintrio.sandbox import Symbol

ZERO = Decimal("0.00000000")
HOLDING = Holding(asset="BTC", free=ZERO, locked=Decimal("1E-7"), as_of=1)
SHOWN = "Holding(asset='BTC', free=Decimal('0.00000000'), locked=Decimal('0.0000001'), as_of=1)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (HOLDING, SHOWN),
        (
            HoldingChanged(version=1, source="event", before=None, after=HOLDING),
            f"HoldingChanged(version=1, source='event', before=None, after={SHOWN})",
        ),
        (OrderContext(holding=ZERO), "OrderContext(holding=Decimal('0.00000000'))"),
        (
            requests.OrderAmendKeepPriority(symbol="BTCUSDT", order_id=7, new_qty=Decimal("1E-8")),
            "OrderAmendKeepPriority(symbol='BTCUSDT', order_id=7, new_qty=Decimal('0.00000001'))",
        ),
    ],
    ids=["holding", "change", "context", "request"],
)
def test_numbers_are_shown_as_the_exchange_writes_them(value: Any, shown: str) -> None:
    assert repr(value) == shown
    assert "E-" not in repr(value)


def test_the_symbol_of_a_sandbox_too() -> None:
    assert "tick_size=Decimal('0.00000001')" in repr(Symbol(base="BTC", quote="USDT", tick_size=Decimal("1E-8")))


def test_all_public_values_with_numbers_are_shown_so() -> None:
    found = {
        value
        for module in (bintrio, bintrio.account, bintrio.rules, bintrio.sandbox, requests)
        for value in (getattr(module, name) for name in module.__all__)
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and "Decimal" in str(_annotations(value))
    }
    assert len(found) > 20
    assert {value for value in found if not issubclass(value, Shown) and "__repr__" not in vars(value)} == set()


def _annotations(value: type) -> list[object]:
    return [vars(base).get("__annotations__") for base in value.__mro__]
