"""Each rule of the documents on keys, time, sessions, limits and amendments: the requests, and what comes back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.refusals import Refusal
from tests.sandbox.client import Client

from .rules_of_access import RULES, Ask, Rule

TIGHT = Limits(weight=100, orders_per_10_seconds=4, patience=2)
"""Of weight, so much as the longest row takes and exhausts."""


def send(client: Client, ask: Ask) -> dict[str, Any]:
    params = dict(ask.params)
    stamp = client.now // 1_000 - ask.age
    if ask.key == "logon":
        params |= {"timestamp": stamp}
    elif ask.key:
        now = client.now
        client.now = stamp * 1_000
        params = client.signed(getattr(client.account, ask.key), **params)
        client.now = now
    for name, value in ask.changes.items():
        params[name] = value(params[name]) if callable(value) else value
    return client.call(ask.method, **{name: value for name, value in params.items() if value is not ...})


def outcome(client: Client, ask: Ask) -> tuple[int, int | None, str | None]:
    replies = [send(client, ask) for _ in range(ask.times)]
    error = replies[-1].get("error", {})
    return replies[-1]["status"], error.get("code"), error.get("msg")


ROWS = [
    pytest.param(rule, id=f"{section.split(',')[1].strip()[:24]} {number}")
    for section, rules in RULES.items()
    for number, rule in enumerate(rules)
]


@pytest.mark.parametrize("rule", ROWS)
def test_a_rule_of_the_documents(rule: Rule) -> None:
    client = Client(limits=TIGHT)
    client.now -= client.now % 1_000  # timestamps are in milliseconds
    for ask in rule.before:
        outcome(client, ask)
    status, code, message = outcome(client, rule.ask)
    assert (status, code) == (rule.status, rule.code)
    if rule.message is not None:
        assert message == rule.message


def test_each_row_is_there_once() -> None:
    rows = [rule for rules in RULES.values() for rule in rules]
    assert len(rows) > 90
    assert all(rows.count(rule) == 1 for rule in rows)


def test_connections_have_a_limit() -> None:
    """web-socket-api.md, "IP limits": 300 connections each 5 minutes."""
    client = Client(limits=Limits(connections=3))
    for _ in range(3):
        client.budget.admit_connection(client.now)
    with pytest.raises(Refusal) as caught:
        client.budget.admit_connection(client.now)
    assert (caught.value.status, caught.value.code) == (429, -1034)
    client.budget.admit_connection(client.now + 300 * 1_000_000)


def test_a_key_that_is_revoked_ends_its_session() -> None:
    """web-socket-api.md, "Session authentication": a 401 without an id, and the session is logged off."""
    client = Client()
    client.log_on()
    client.exchange.keyring.revoke(client.account.key.api_key)
    reply = client.call("account.status", timestamp=client.now // 1_000)
    assert (reply["status"], reply["id"], reply["error"]["code"]) == (401, None, -2015)


def test_an_order_that_ended_without_a_fill_is_archived() -> None:
    """errors.md, -2026: "over 90 days ago"."""
    client = Client()
    client.log_on()
    placed = client.trade(
        "order.place", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", price="100", quantity="1"
    )
    client.trade("order.cancel", symbol="BTCUSDT", orderId=placed["orderId"])
    day = 86_400 * 1_000_000
    for days, expected in ((90, 200), (1, 400)):
        client.now += days * day
        reply = client.call("order.status", timestamp=client.now // 1_000, symbol="BTCUSDT", orderId=placed["orderId"])
        assert reply["status"] == expected
    assert reply["error"]["code"] == -2026
    assert Decimal(placed["executedQty"]) == 0
