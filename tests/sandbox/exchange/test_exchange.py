"""From a message to its answer through every gate, without a wire; methods have tests of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bintrio._protocol.events import decode_event
from bintrio.api.events import ExecutionReport
from bintrio.api.trading import OrderPlace
from bintrio.sandbox.exchange.auth import SandboxAccount
from bintrio.sandbox.exchange.exchange import payload
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.messages import Number, read_message
from bintrio.sandbox.exchange.refusals import Refusal
from tests.sandbox.client import BUY, CONDITIONAL, EXAMPLES, NOW, Client, D, documented, first


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def trader(client: Client) -> Client:
    client.log_on()
    return client


# The format


@pytest.mark.parametrize("request_id", [5, -(2**63), "x" * 1_000, "", None])
def test_ids_come_back_unchanged(client: Client, request_id: Any) -> None:
    incoming = read_message(json.dumps({"id": request_id, "method": "v3/ping"}))
    answer = client.exchange.execute(client.session, client.budget, incoming, NOW)
    assert json.loads(answer.as_bytes()) == {
        "id": request_id,
        "status": 200,
        "result": {},
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 1}
        ],
    }


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", -1135),
        (b"\xff", -1135),
        ("[]", -1135),
        ('{"id": 1, "method": "ping", "params": []}', -1135),
        ('{"id": 1, "method": "ping", "params": {"x": NaN}}', -1135),
        ('{"id": 1.5, "method": "ping"}', -1100),
        ('{"id": true, "method": "ping"}', -1100),
        ('{"method": "ping"}', -1102),
        (b'{"id": 1, "method": "ping"}', -1135),  # binary: "must be sent as JSON in text frames"
        ("\ufeff{}", -1135),
        ("[" * 100_000, -1135),
        ('{{"id": 1, "method": "ping", "params": {{"a": {}{}}}}}'.format("[" * 20, "]" * 20), -1135),
        ('{"id": 1, "method": "ping", "params": {"a": %s}}' % ("1" * 5_000), -1135),
        ('{"id": 1, "method": "ping", "params": {"a": "\\ud800"}}', -1135),
        ('{"id": 9223372036854775808, "method": "ping"}', -1100),
    ],
)
def test_what_is_no_request_is_refused_with_id_null(client: Client, message: Any, code: int) -> None:
    with pytest.raises(Refusal) as caught:
        read_message(message)
    answer = client.exchange.refuse(client.session, client.budget, caught.value, NOW)
    assert (answer.request_id, answer.status, caught.value.code, caught.value.is_anonymous) == (None, 400, code, True)
    assert client.budget.weight.count(NOW) == 1


def test_methods_that_do_not_exist(client: Client) -> None:
    assert client.error("order.plaice") == (
        400,
        -1020,
        "This operation is not supported. The sandbox has the methods of the exchange's document only.",
    )
    incoming = read_message('{"id": 1}')
    answer = client.exchange.execute(client.session, client.budget, incoming, NOW)
    assert answer.error == {
        "code": -1102,
        "msg": "Mandatory parameter 'method' was not sent, was empty/null, or malformed.",
    }


def test_rate_limits_are_shown_as_asked_for() -> None:
    assert "rateLimits" in Client().call("ping")
    assert "rateLimits" not in Client().call("ping", returnRateLimits=False)
    quiet = Client(returns_rate_limits=False)
    assert "rateLimits" not in quiet.call("ping")
    assert "rateLimits" in quiet.call("ping", returnRateLimits=True)


@pytest.mark.parametrize(("flag", "shown"), [("true", True), ("false", False), (None, True)])
def test_a_flag_may_be_a_string(client: Client, flag: Any, shown: bool) -> None:
    assert ("rateLimits" in client.call("ping", returnRateLimits=flag)) is shown


def test_a_flag_that_is_none(client: Client) -> None:
    assert client.error("ping", returnRateLimits="yes")[1] == -1100


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ('{"symbol": "BTCUSDT", "limit": 5, "limit": 5}', -1101),  # errors.md: "Duplicate values for a parameter"
        ('{"symbol": "BTCUSDT", "symbol": "BTCUSDT:"}', -1101),
        ('{"symbol": "BTC:USDT"}', -1100),
        (r'{"symbol": "BTC\"USDT:"}', -1100),
        ('{"symbol": "btcusdt"}', -1100),  # "field values are case-sensitive"
        ('{"symbol": {"symbol": 1}}', -1100),
        ('{"symbol": [{"a": 1, "a": 2}]}', -1101),
        ('{"symbol": "BTCUSDT", "limit": 5}', None),
    ],
)
def test_what_parameters_may_not_be(client: Client, params: str, code: int | None) -> None:
    incoming = read_message(f'{{"id": 1, "method": "depth", "params": {params}}}')
    error = client.exchange.execute(client.session, client.budget, incoming, NOW).error
    assert (error and error["code"]) == code


def test_a_number_with_an_exponent_is_illegal_not_badly_signed(client: Client) -> None:
    signed = client.signed(**BUY | {"price": Number("1e2")})
    message = json.dumps({"id": 1, "method": "order.place", "params": signed}).replace('"1e2"', "1e2")
    error = client.exchange.execute(client.session, client.budget, read_message(message), NOW).error
    assert error is not None
    assert error["code"] == -1100


# Who asks


def test_the_signature_covers_numbers_and_lists_as_they_were_written() -> None:
    params = {"b": [1, Number("1.50"), "x"], "a": Number("1.50"), "signature": "s", "c": True, "ü": "é"}
    assert payload(params) == 'a=1.50&b=[1,1.50,"x"]&c=true&ü=é'
    client = Client()
    number = client.signed(**BUY | {"price": Number("100.00")})
    message = json.dumps({"id": 1, "method": "order.place", "params": number | {"price": 0}})
    incoming = read_message(message.replace('"price": 0', '"price": 100.00'))
    assert client.exchange.execute(client.session, client.budget, incoming, NOW).status == 200


def test_a_logged_on_session_still_needs_a_timestamp(trader: Client) -> None:
    assert trader.error("account.status")[1] == -1102
    assert trader.error("account.status", timestamp=NOW // 1_000 - 5_001)[1] == -1021
    assert trader.error("account.status", timestamp=NOW // 1_000, signature="x")[1] == -1106


def test_a_request_may_carry_another_key_than_the_sessions(trader: Client) -> None:
    other = SandboxAccount(8, {})
    trader.exchange.open_account(other)
    assert trader.result("account.status", **trader.signed(other.hmac_key))["uid"] == 8


def test_a_revoked_key_ends_its_session_with_the_next_request(trader: Client) -> None:
    trader.result("userDataStream.subscribe")
    trader.exchange.keyring.revoke(trader.account.key.api_key)
    reply = trader.call("ping")
    assert (reply["id"], reply["status"], reply["error"]["code"]) == (None, 401, -2015)
    assert [event["event"]["e"] for event in trader.events()] == ["eventStreamTerminated"]
    assert trader.result("session.status")["apiKey"] is None


def test_accounts_have_numbers_of_their_own(client: Client) -> None:
    with pytest.raises(ValueError, match="uid 7"):
        client.exchange.open_account(SandboxAccount(7, {}))


# Trading


def test_an_order_that_is_refused_costs_its_weight_and_one_that_is_taken_nothing(trader: Client) -> None:
    before = trader.budget.weight.count(NOW)
    reply = trader.call("order.place", **BUY, timestamp=NOW // 1_000)
    assert [limit["count"] for limit in reply["rateLimits"]] == [1, 1, before]
    reply = trader.call("order.place", **BUY | {"quantity": "900"}, timestamp=NOW // 1_000)
    assert reply["error"] == {"code": -2010, "msg": "Account has insufficient balance for requested action."}
    assert [limit["count"] for limit in reply["rateLimits"]] == [1, 1, before + 1]


def test_an_order_stops_counting_when_it_first_trades(trader: Client) -> None:
    trader.trade("order.place", **BUY)
    reply = trader.call("order.place", **BUY | {"side": "SELL", "quantity": "1"}, timestamp=NOW // 1_000)
    assert reply["rateLimits"][0]["count"] == 0
    assert reply["result"]["status"] == "FILLED"


def test_too_many_orders(trader: Client) -> None:
    client = Client(limits=Limits(orders_per_10_seconds=1))
    client.log_on()
    client.trade("order.place", **BUY)
    reply = client.call("order.place", **BUY, timestamp=NOW // 1_000)
    assert (reply["status"], reply["error"]["code"]) == (429, -1015)
    assert reply["error"]["data"]["retryAfter"] == (NOW // 10_000_000 + 1) * 10_000


def test_too_much_weight() -> None:
    client = Client(limits=Limits(weight=50, patience=1))
    for _ in range(2):
        client.call("exchangeInfo")
    assert client.error("exchangeInfo")[0] == 429
    assert client.error("exchangeInfo")[0] == 418
    client.now += 120_000_000
    assert client.call("exchangeInfo")["status"] == 200


@pytest.mark.parametrize(("limit", "weight"), [(None, 5), (100, 5), (101, 25), (5_000, 250), ("5000", 250), ([1], 1)])
def test_depth_weighs_by_its_limit(client: Client, limit: Any, weight: int) -> None:
    client.call("depth", symbol="BTCUSDT", limit=limit)
    assert client.budget.weight.count(NOW) == weight


# User data


def test_an_execution_report_has_the_times_of_its_connection() -> None:
    for unit, scale in (("ms", 1_000), ("us", 1)):
        client = Client(unit=unit)  # type: ignore[arg-type]  # a literal in a loop
        client.log_on()
        client.result("userDataStream.subscribe")
        client.trade("order.place", **BUY)
        report = client.events()[0]["event"]
        assert {report[letter] for letter in "ETOW"} == {NOW // scale}
        assert "u" not in report
        assert report["N"] is None


def test_the_exchange_can_trade_from_within(trader: Client) -> None:
    trader.result("userDataStream.subscribe")
    request = OrderPlace(symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="50.00", quantity="1")
    trader.exchange.place(7, request, NOW)
    trader.exchange.cancel_all(7, "BTCUSDT", NOW)
    reports = [decode_event(delivery.message).event for delivery in trader.exchange.take_deliveries()]
    assert [e.execution_type for e in reports if isinstance(e, ExecutionReport)] == ["NEW", "CANCELED"]


# The document's examples: the same fields, and only fields that some orders have more or less of them


@pytest.mark.parametrize(
    ("method", "variant", "params"),
    [
        ("ping", "response", {}),
        ("time", "response", {}),
        ("exchangeInfo", "response", {}),
        ("depth", "response", {"symbol": "BTCUSDT"}),
        ("session.status", "response", {}),
        ("session.logout", "response", {}),
        ("userDataStream.subscribe", "response", {}),
        ("userDataStream.unsubscribe", "response", {}),
        ("order.place", "response-ack", BUY | {"newOrderRespType": "ACK", "timestamp": NOW // 1_000}),
        ("order.place", "response-result", BUY | {"newOrderRespType": "RESULT", "timestamp": NOW // 1_000}),
        ("order.cancel", "response-order", {"symbol": "BTCUSDT", "orderId": 1, "timestamp": NOW // 1_000}),
        ("order.status", "response", {"symbol": "BTCUSDT", "orderId": 1, "timestamp": NOW // 1_000}),
        ("openOrders.status", "response", {"timestamp": NOW // 1_000}),
        ("account.status", "response", {"timestamp": NOW // 1_000}),
    ],
)
def test_answers_have_the_documented_fields(trader: Client, method: str, variant: str, params: dict[str, Any]) -> None:
    trader.trade("order.place", **BUY)
    ours = first(trader.result(method, **params))
    assert ours.keys() ^ documented(method, variant).keys() <= CONDITIONAL


def test_events_have_the_documented_fields(trader: Client) -> None:
    trader.result("userDataStream.subscribe")
    trader.trade("order.place", **BUY)
    trader.exchange.transfer(7, "BTC", D(1), NOW)
    trader.result("session.logout")
    events = {message["event"]["e"]: message for message in trader.events()}
    assert set(events) == {"executionReport", "outboundAccountPosition", "balanceUpdate", "eventStreamTerminated"}
    for name, message in events.items():
        example = json.loads((EXAMPLES.parent / "events" / f"{name}.json").read_text())
        assert set(message) == set(example)
        assert set(message["event"]) ^ set(example["event"]) <= {"v"}  # of self-trade prevention
