"""What all methods share: limits, times in either unit, and which methods there are."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.api._base import catalogue
from bintrio.sandbox.exchange.methods import functions
from tests.sandbox.client import BUY, NOW, Client


def test_every_method_is_answered() -> None:
    assert functions.keys() == catalogue.keys()


@pytest.mark.parametrize("method", ["trades.recent", "klines", "allOrders", "myTrades", "blockTrades.historical"])
@pytest.mark.parametrize("limit", [0, 1_001])
def test_limits_have_a_range(client: Client, method: str, limit: int) -> None:
    more: dict[str, dict[str, Any]] = {"klines": {"interval": "1m"}, "blockTrades.historical": {"fromId": 0}}
    signed = {"timestamp": NOW // 1_000} if method in {"allOrders", "myTrades"} else {}
    params = {"symbol": "BTCUSDT", "limit": limit} | more.get(method, {}) | signed
    assert client.error(method, **params)[1] == -1130


def test_a_millisecond_ends_with_its_last_microsecond(client: Client) -> None:
    client.trade("order.place", **BUY)

    def count(**span: int) -> int:
        return len(client.trade("allOrders", symbol="BTCUSDT", **span))

    assert NOW % 1_000 == 456
    assert count(startTime=NOW // 1_000) == count(endTime=NOW // 1_000) == 1
    assert count(startTime=NOW) == count(endTime=NOW) == 1
    assert count(startTime=NOW + 1) == count(endTime=NOW - 1) == count(startTime=NOW // 1_000 + 1) == 0
