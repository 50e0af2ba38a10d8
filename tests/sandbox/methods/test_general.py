"""General requests; those that every connection makes are tested with the gates."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.client import Client, documented


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
