"""Each rule of the documents: the request, and the code and message that come back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bintrio.sandbox.exchange.exchange import Exchange
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.symbols import SYMBOLS, Symbol
from tests.catalogue import METHODS, valid_params
from tests.sandbox.client import Client

from .rules import BASES, RULES

PLAIN = Symbol(
    base="PLAIN",
    quote="USDT",
    order_types=("LIMIT", "LIMIT_MAKER"),
    iceberg_allowed=False,
    oco_allowed=False,
    oto_allowed=False,
    opo_allowed=False,
    cancel_replace_allowed=False,
    amend_allowed=False,
    peg_instructions_allowed=False,
)
PLENTY = Limits(weight=10**9, orders_per_10_seconds=10**9)
SIGNING = {"apiKey", "signature", "timestamp"}


@pytest.fixture
def client() -> Client:
    client = Client(limits=PLENTY)
    symbols = [*SYMBOLS, PLAIN, Symbol(base="OLD", quote="USDT", status="BREAK")]
    client.exchange = Exchange(symbols, PLENTY, routes=[("BTCUSDT",)])
    client.exchange.open_account(client.account)
    client.exchange.sessions[client.session] = None
    return client


def params_of(client: Client, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Signed, if the method wants that."""
    is_signed = METHODS.get(method, {"auth": "none"})["auth"] == "signed"
    return client.signed(None, **params) if is_signed else params


@pytest.mark.parametrize(
    ("base", "changes", "code", "message"),
    [pytest.param(*row, id=f"{row[2]} {row[0]}") for rows in RULES.values() for row in rows],
)
def test_a_rule_of_the_documents(client: Client, base: str, changes: dict[str, Any], code: int, message: str) -> None:
    method, params = BASES[base]
    given = {name: value for name, value in (params | changes).items() if value is not ...}
    assert client.error(method, **params_of(client, method, given)) == (400, code, message)


def test_there_are_two_hundred_of_them() -> None:
    rows = [(base, sorted(map(str, changes.items()))) for rows in RULES.values() for base, changes, *_ in rows]
    assert len(rows) >= 200
    assert all(rows.count(row) == 1 for row in rows)


# What holds for every parameter of every method


def own_params(method: str) -> list[dict[str, Any]]:
    return [param for param in METHODS[method]["params"] if param["name"] not in SIGNING]


def refused(client: Client, method: str, changes: dict[str, Any]) -> tuple[int, int, str]:
    given = valid_params(method) | changes
    params = {name: str(value) if isinstance(value, Decimal) else value for name, value in given.items()}
    params = {name: value for name, value in params.items() if value is not ...}
    if METHODS[method]["auth"] == "session":
        client.log_on()
    return client.error(method, **params_of(client, method, params))


@pytest.mark.parametrize(
    ("method", "name"),
    [(method, param["name"]) for method in METHODS for param in own_params(method) if param["mandatory"] is True],
)
@pytest.mark.parametrize("value", [..., None, ""], ids=["missing", "null", "empty"])
def test_what_is_mandatory_must_be_there(client: Client, method: str, name: str, value: Any) -> None:
    message = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    assert refused(client, method, {name: value}) == (400, -1102, message)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_takes_what_it_does_not_know(client: Client, method: str) -> None:
    status, code, message = refused(client, method, {"somethingElse": 1})
    assert (status, code) == (400, -1104 if own_params(method) else -1101)
    assert "parameter" in message


ILLEGAL = {"DECIMAL": ["1e5", "-1", "one", True, "1,5"], "INT": ["1.5", "-1", "one", True], "BOOLEAN": ["yes", 1]}
ILLEGAL["LONG"] = ILLEGAL["INT"]


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        (method, param["name"], value)
        for method in METHODS
        for param in own_params(method)
        if "cebergQty" not in param["name"]  # an integer in one section, a decimal in all others
        for value in ILLEGAL.get(param["type"], [])
    ],
)
def test_numbers_and_booleans_have_their_characters(client: Client, method: str, name: str, value: Any) -> None:
    status, code, message = refused(client, method, {name: value})
    assert (status, code) == (400, -1100)
    assert message.startswith(f"Illegal characters found in parameter '{name}'; legal range is '")


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (method, param["name"])
        for method in METHODS
        for param in own_params(method)
        if param["name"].endswith("lientOrderId")
    ],
)
@pytest.mark.parametrize("value", ["a b", "ä", "x" * 37, 5])
def test_client_order_ids_have_their_characters(client: Client, method: str, name: str, value: Any) -> None:
    status, code, message = refused(client, method, {name: value})
    assert (status, code) == (400, -1100)
    assert message.startswith(f"Illegal characters found in parameter '{name}'; legal range is '^[")
