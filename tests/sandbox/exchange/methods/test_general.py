"""General requests: the clock, limits and symbols."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.client import NOW, Client, documented


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, ["BTCUSDT", "ETHUSDT", "BNBBTC", "OLDUSDT"]),
        ({"symbol": "BNBBTC"}, ["BNBBTC"]),
        ({"symbols": ["ETHUSDT", "BNBBTC"]}, ["ETHUSDT", "BNBBTC"]),
        ({"symbolStatus": "BREAK"}, ["OLDUSDT"]),
    ],
)
def test_no_symbol_has_execution_rules(client: Client, params: dict[str, Any], names: list[str]) -> None:
    found = client.result("executionRules", **params)
    assert found == {"symbolRules": [{"symbol": name, "rules": []} for name in names]}
    assert found.keys() == documented("executionRules").keys()
    assert client.error("executionRules", symbol="NOPE")[1] == -1121


def test_time_in_both_units() -> None:
    assert Client().result("time") == {"serverTime": NOW // 1_000}
    assert Client(unit="us").result("time") == {"serverTime": NOW}


def test_exchange_info(client: Client) -> None:
    info = client.result("exchangeInfo")
    assert [symbol["symbol"] for symbol in info["symbols"]] == ["BTCUSDT", "ETHUSDT", "BNBBTC", "OLDUSDT"]
    assert info["serverTime"] == NOW // 1_000
    assert info["rateLimits"][0] == {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": 6000,
    }
    assert info["symbols"][0]["filters"][1] == {
        "filterType": "LOT_SIZE",
        "minQty": "0.00001000",
        "maxQty": "9000.00000000",
        "stepSize": "0.00001000",
    }
    assert Client(unit="us").result("exchangeInfo")["serverTime"] == NOW


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"symbol": "BNBBTC"}, ["BNBBTC"]),
        ({"symbols": ["ETHUSDT", "BNBBTC"]}, ["ETHUSDT", "BNBBTC"]),
        ({"symbolStatus": "BREAK"}, ["OLDUSDT"]),
        ({"permissions": ["MARGIN"]}, []),
        ({"permissions": ["SPOT"], "symbolStatus": "BREAK"}, ["OLDUSDT"]),
    ],
)
def test_exchange_info_of_some(client: Client, params: dict[str, Any], names: list[str]) -> None:
    assert [symbol["symbol"] for symbol in client.result("exchangeInfo", **params)["symbols"]] == names


def test_symbols_have_the_documented_fields(client: Client) -> None:
    ours = client.result("exchangeInfo")["symbols"][0]
    theirs = documented("exchangeInfo")["symbols"][0]
    assert set(ours) == set(theirs)
    assert {name: type(value) for name, value in ours.items()} == {name: type(theirs[name]) for name in ours}
