"""From a message to its answer, every gate and every method, without a wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bintrio._codec import decode_event
from bintrio._signing import Key
from bintrio.api.events import EventStreamTerminated, ExecutionReport
from bintrio.api.trading import OrderPlace
from bintrio.sandbox.auth import SandboxAccount
from bintrio.sandbox.exchange import payload, read_message
from bintrio.sandbox.limits import Limits
from bintrio.sandbox.refusals import Refusal

from .client import BUY, CONDITIONAL, EXAMPLES, NOW, Client, D, documented, first


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def trader(client: Client) -> Client:
    client.log_on()
    return client


# The format


@pytest.mark.parametrize("request_id", [5, -(2**63), "x" * 36, "", None])
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
        ('{"id": "%s", "method": "ping"}' % ("x" * 37), -1100),
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
    assert client.error("order.plaice") == (400, -1020, "This operation is not supported.")
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


# General and market data


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


def test_depth(trader: Client) -> None:
    trader.trade("order.place", **BUY)
    trader.trade("order.place", **BUY | {"side": "SELL", "price": "101"})
    book = trader.result("depth", symbol="BTCUSDT", limit=1)
    assert book["bids"] == [["100.00000000", "1.50000000"]]
    assert book["asks"] == [["101.00000000", "1.50000000"]]
    assert trader.error("depth", symbol="NOPE") == (400, -1121, "Invalid symbol.")
    assert trader.error("depth", symbol="BTCUSDT", limit=5_001)[1] == -1130
    assert trader.error("depth", symbol="BTCUSDT", symbolStatus="HALT")[1] == -1220


# Who asks


def test_a_session_logs_on_and_off(client: Client) -> None:
    assert client.result("session.status")["apiKey"] is None
    status = client.result("session.logon", **client.signed())
    assert (status["apiKey"], status["authorizedSince"]) == (client.account.key.api_key, NOW // 1_000)
    assert client.trade("account.status")["uid"] == 7
    assert client.result("session.logout")["apiKey"] is None
    assert client.error("account.status", timestamp=NOW // 1_000)[1] == -1102


@pytest.mark.parametrize("kind", ["hmac_key", "rsa_key"])
def test_only_ed25519_keys_log_on(client: Client, kind: str) -> None:
    key: Key = getattr(client.account, kind)
    assert client.error("session.logon", **client.signed(key))[1] == -2015
    assert client.result("account.status", **client.signed(key))["uid"] == 7


def test_the_signature_covers_numbers_and_lists_as_they_were_written() -> None:
    params = {"b": [1, "x"], "a": D("1.50"), "signature": "s", "c": True, "ü": "é"}
    assert payload(params) == 'a=1.50&b=[1,"x"]&c=true&ü=é'
    client = Client()
    number = client.signed(**BUY | {"price": D("100.00")})
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


def test_order_place_answers_as_asked(trader: Client) -> None:
    ack = trader.trade("order.place", **BUY, newOrderRespType="ACK", newClientOrderId="mine")
    assert ack == {
        "symbol": "BTCUSDT",
        "orderId": ack["orderId"],
        "orderListId": -1,
        "clientOrderId": "mine",
        "transactTime": NOW // 1_000,
    }
    result = trader.trade("order.place", **BUY, newOrderRespType="RESULT", strategyId=4, strategyType=1_000_000)
    assert result["price"] == "100.00000000"
    assert result["origQuoteOrderQty"] == "0.00000000"
    assert (result["status"], result["workingTime"], result["strategyId"]) == ("NEW", NOW // 1_000, 4)
    assert "fills" not in result
    full = trader.trade("order.place", **BUY | {"side": "SELL", "quantity": "2.5"})
    assert full["status"] == "FILLED"
    assert [fill["qty"] for fill in full["fills"]] == ["1.50000000", "1.00000000"]
    assert full["fills"][0]["commission"] == "0.30000000"
    maker = {"type": "LIMIT_MAKER", "timeInForce": None, "price": "90"}
    assert "status" not in trader.trade("order.place", **BUY | maker)


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


def test_order_test_changes_nothing(trader: Client) -> None:
    assert trader.trade("order.test", **BUY) == {}
    rates = trader.trade("order.test", **BUY, computeCommissionRates=True)
    assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00200000"}
    assert trader.trade("openOrders.status") == []
    assert trader.error("order.test", **BUY | {"price": "0.001"}, timestamp=NOW // 1_000)[1] == -1013


def test_an_order_is_found_and_canceled(trader: Client) -> None:
    order_id = trader.trade("order.place", **BUY, newClientOrderId="mine")["orderId"]
    (listed,) = trader.trade("openOrders.status", symbol="BTCUSDT")
    assert listed == trader.trade("order.status", symbol="BTCUSDT", origClientOrderId="mine")
    assert (listed["orderId"], listed["status"], listed["isWorking"]) == (order_id, "NEW", True)
    canceled = trader.trade("order.cancel", symbol="BTCUSDT", orderId=order_id, newClientOrderId="bye")
    assert (canceled["origClientOrderId"], canceled["clientOrderId"], canceled["status"]) == ("mine", "bye", "CANCELED")
    assert trader.trade("openOrders.status") == []
    assert trader.trade("order.status", symbol="BTCUSDT", orderId=order_id)["status"] == "CANCELED"


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("order.cancel", {"symbol": "BTCUSDT", "orderId": 99}, -2011, "Unknown order sent."),
        ("order.cancel", {"symbol": "NOPE", "orderId": 99}, -1121, "Invalid symbol."),
        ("order.status", {"symbol": "BTCUSDT", "orderId": 99}, -2013, "Order does not exist."),
        ("order.status", {"symbol": "NOPE", "orderId": 99}, -1121, "Invalid symbol."),
        ("openOrders.status", {"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ],
)
def test_orders_that_do_not_exist(trader: Client, method: str, params: Any, code: int, message: str) -> None:
    assert trader.error(method, **params, timestamp=NOW // 1_000) == (400, code, message)


def test_a_cancel_with_ids_that_disagree(trader: Client) -> None:
    order_id = trader.trade("order.place", **BUY)["orderId"]
    ids = {"orderId": order_id, "origClientOrderId": "other"}
    assert trader.error("order.cancel", symbol="BTCUSDT", **ids, timestamp=NOW // 1_000)[1] == -2039


def test_account_status(trader: Client) -> None:
    trader.trade("order.place", **BUY)
    account = trader.trade("account.status")
    assert account["balances"] == [
        {"asset": "BTC", "free": "5.00000000", "locked": "0.00000000"},
        {"asset": "USDT", "free": "850.00000000", "locked": "150.00000000"},
    ]
    assert (account["makerCommission"], account["commissionRates"]["taker"]) == (10, "0.00200000")
    trader.exchange.transfer(7, "BTC", D(-5), NOW)
    assert [b["asset"] for b in trader.trade("account.status", omitZeroBalances=True)["balances"]] == ["USDT"]


# User data


def test_events_go_to_subscribers_of_the_account_only(trader: Client) -> None:
    trader.trade("order.place", **BUY)
    assert trader.events() == []
    assert trader.result("userDataStream.subscribe") == {"subscriptionId": 0}
    other = SandboxAccount(8, {"USDT": D(1_000)})
    trader.exchange.open_account(other)
    assert trader.result("userDataStream.subscribe.signature", **trader.signed(other.rsa_key)) == {"subscriptionId": 1}
    assert trader.result("session.subscriptions") == [{"subscriptionId": 0}, {"subscriptionId": 1}]
    trader.trade("order.place", **BUY)
    assert {event["subscriptionId"] for event in trader.events()} == {0}
    trader.exchange.transfer(8, "USDT", D(5), NOW)
    assert [(e["subscriptionId"], e["event"]["e"]) for e in trader.events()] == [
        (1, "balanceUpdate"),
        (1, "outboundAccountPosition"),
    ]
    assert trader.result("userDataStream.unsubscribe", subscriptionId=1) == {}
    assert trader.error("userDataStream.unsubscribe", subscriptionId=1)[1] == -2036
    assert trader.error("userDataStream.subscribe")[1] == -2035


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


def test_logging_out_terminates_the_subscription_of_the_session(trader: Client) -> None:
    trader.result("userDataStream.subscribe")
    trader.result("userDataStream.subscribe.signature", **_of_another(trader))
    trader.result("session.logout")
    (delivery,) = trader.exchange.take_deliveries()
    event = decode_event(delivery.message)
    assert (event.subscription_id, event.event) == (0, EventStreamTerminated(event_time=NOW // 1_000))
    assert trader.result("session.subscriptions") == [{"subscriptionId": 1}]
    assert trader.error("userDataStream.subscribe")[1] == -1002


def _of_another(client: Client) -> dict[str, Any]:
    other = SandboxAccount(8, {})
    client.exchange.open_account(other)
    return client.signed(other.key)


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


def test_symbols_have_the_documented_fields(client: Client) -> None:
    ours = client.result("exchangeInfo")["symbols"][0]
    theirs = documented("exchangeInfo")["symbols"][0]
    assert set(ours) == set(theirs)
    assert {name: type(value) for name, value in ours.items()} == {name: type(theirs[name]) for name in ours}


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
