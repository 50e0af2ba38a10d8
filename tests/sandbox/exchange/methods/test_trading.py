"""Trading requests: placing, canceling, replacing, amending, and what is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from bintrio._protocol.results import decode_response
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.listing import Listing
from bintrio.sandbox.exchange.orders import KINDS
from bintrio.sandbox.exchange.symbols import Symbol
from tests.sandbox.client import BUY, CONDITIONAL, EXAMPLES, NOW, Client, documented

OF_BTC = {"symbol": "BTCUSDT"}
UNKNOWN = {"code": -2011, "msg": "Unknown order sent."}
BROKE = {"code": -2010, "msg": "Account has insufficient balance for requested action."}
TOO_DEAR = {"quantity": "9000"}
MODES = ("STOP_ON_FAILURE", "ALLOW_FAILURE")


def signed(**params: Any) -> dict[str, Any]:
    return params | {"timestamp": NOW // 1_000}


def refused(client: Client, method: str, **params: Any) -> dict[str, Any]:
    """A reply that says no, and that the declarations can read."""
    reply = client.call(method, **signed(**params))
    assert decode_response(method, client.raw).error is not None
    return reply


def place(client: Client, **changes: Any) -> int:
    order_id: int = client.trade("order.place", **BUY | changes)["orderId"]
    return order_id


def orders_of(client: Client) -> list[tuple[int, str]]:
    return [(order["orderId"], order["status"]) for order in client.trade("allOrders", **OF_BTC)]


# Single orders


def test_order_place_answers_as_asked(client: Client) -> None:
    ack = client.trade("order.place", **BUY, newOrderRespType="ACK", newClientOrderId="mine")
    assert ack == {
        "symbol": "BTCUSDT",
        "orderId": ack["orderId"],
        "orderListId": -1,
        "clientOrderId": "mine",
        "transactTime": NOW // 1_000,
    }
    result = client.trade("order.place", **BUY, newOrderRespType="RESULT", strategyId=4, strategyType=1_000_000)
    assert result["price"] == "100.00000000"
    assert result["origQuoteOrderQty"] == "0.00000000"
    assert (result["status"], result["workingTime"], result["strategyId"]) == ("NEW", NOW // 1_000, 4)
    assert "fills" not in result
    full = client.trade("order.place", **BUY | {"side": "SELL", "quantity": "2.5"})
    assert full["status"] == "FILLED"
    assert [fill["qty"] for fill in full["fills"]] == ["1.50000000", "1.00000000"]
    assert full["fills"][0]["commission"] == "0.30000000"
    maker = {"type": "LIMIT_MAKER", "timeInForce": None, "price": "90"}
    assert "status" not in client.trade("order.place", **BUY | maker)


def test_order_test_changes_nothing(client: Client) -> None:
    assert client.trade("order.test", **BUY) == {}
    rates = client.trade("order.test", **BUY, computeCommissionRates=True)
    assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00200000"}
    assert client.trade("openOrders.status") == []
    assert client.error("order.test", **BUY | {"price": "0.001"}, timestamp=NOW // 1_000)[1] == -1013


def test_an_order_is_found_and_canceled(client: Client) -> None:
    order_id = client.trade("order.place", **BUY, newClientOrderId="mine")["orderId"]
    (listed,) = client.trade("openOrders.status", symbol="BTCUSDT")
    assert listed == client.trade("order.status", symbol="BTCUSDT", origClientOrderId="mine")
    assert (listed["orderId"], listed["status"], listed["isWorking"]) == (order_id, "NEW", True)
    canceled = client.trade("order.cancel", symbol="BTCUSDT", orderId=order_id, newClientOrderId="bye")
    assert (canceled["origClientOrderId"], canceled["clientOrderId"], canceled["status"]) == ("mine", "bye", "CANCELED")
    assert client.trade("openOrders.status") == []
    assert client.trade("order.status", symbol="BTCUSDT", orderId=order_id)["status"] == "CANCELED"


def test_a_cancel_with_ids_that_disagree(client: Client) -> None:
    order_id = client.trade("order.place", **BUY)["orderId"]
    ids = {"orderId": order_id, "origClientOrderId": "other"}
    assert client.error("order.cancel", symbol="BTCUSDT", **ids, timestamp=NOW // 1_000)[1] == -2039


# Kinds of orders that there are not


@pytest.mark.parametrize("method", ["order.place", "order.test"])
@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"type": "STOP_LOSS_LIMIT", "stopPrice": "90"}, "Stop loss limit"),
        ({"type": "TAKE_PROFIT_LIMIT", "stopPrice": "90"}, "Take profit limit"),
        ({"type": "STOP_LOSS", "stopPrice": "90", "price": None, "timeInForce": None}, "Stop loss"),
        ({"type": "STOP_LOSS_LIMIT", "trailingDelta": 100}, "Trailing stop"),
        ({"icebergQty": "1"}, "Iceberg"),
        ({"pegPriceType": "PRIMARY_PEG"}, "Pegged"),
    ],
)
def test_orders_that_are_not_supported(client: Client, method: str, changes: dict[str, Any], kind: str) -> None:
    bare: dict[str, Any] = {
        "iceberg_allowed": False,
        "peg_instructions_allowed": False,
        "allow_trailing_stop": kind != "Trailing stop",
    }
    types = KINDS if kind == "Trailing stop" else ("LIMIT",)
    engine = client.exchange.engine
    symbol = Symbol(base="BTC", quote="USDT", order_types=tuple(types), **bare)
    engine.listings["BTCUSDT"] = Listing(symbol, (), engine.references)
    said = (400, -2010, f"{kind} orders are not supported for this symbol.")
    assert client.error(method, **signed(**BUY | changes)) == said
    assert orders_of(client) == []


def test_order_test_tells_what_it_would_cost(client: Client) -> None:
    rates = client.trade("order.test", **BUY, computeCommissionRates=True)
    none = {"maker": "0.00000000", "taker": "0.00000000"}
    assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00200000"}
    assert rates["specialCommissionForOrder"] == rates["taxCommissionForOrder"] == none
    assert not rates["discount"]["enabledForAccount"]


# Canceling


def test_all_open_orders_of_a_symbol_are_canceled(client: Client) -> None:
    ids = [place(client, quantity="1"), place(client, quantity="1")]
    other = place(client, symbol="ETHUSDT")
    canceled = client.trade("openOrders.cancelAll", **OF_BTC)
    assert [(order["orderId"], order["status"]) for order in canceled] == [(number, "CANCELED") for number in ids]
    assert canceled[0].keys() ^ documented("openOrders.cancelAll").keys() <= CONDITIONAL
    assert [order["orderId"] for order in client.trade("openOrders.status")] == [other]
    assert refused(client, "openOrders.cancelAll", **OF_BTC)["error"] == UNKNOWN
    assert refused(client, "openOrders.cancelAll", symbol="NOPE")["error"]["code"] == -1121


def test_there_is_no_order_list_to_cancel(client: Client) -> None:
    assert refused(client, "orderList.cancel", **OF_BTC, orderListId=1)["error"] == UNKNOWN
    assert refused(client, "orderList.cancel", symbol="NOPE", orderListId=1)["error"]["code"] == -1121


# Replacing


def replace(order_id: int, mode: str = "STOP_ON_FAILURE", **changes: Any) -> dict[str, Any]:
    return BUY | {"cancelOrderId": order_id, "cancelReplaceMode": mode} | changes


def example(variant: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / "order.cancelReplace" / f"response-{variant}.json").read_text())
    return found


@pytest.mark.parametrize("mode", MODES)
def test_an_order_is_replaced(client: Client, mode: str) -> None:
    client.result("userDataStream.subscribe")
    former = place(client, quantity="9", newClientOrderId="same")
    found = client.trade("order.cancelReplace", **replace(former, mode, quantity="9.5", newClientOrderId="same"))
    assert (found["cancelResult"], found["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    new = found["newOrderResponse"]
    assert orders_of(client) == [(former, "CANCELED"), (new["orderId"], "NEW")]
    assert (new["transactTime"], new["workingTime"], new["fills"]) == (NOW // 1_000, NOW // 1_000, [])
    theirs = example("success")["result"]
    assert found.keys() == theirs.keys()
    assert found["cancelResponse"].keys() == theirs["cancelResponse"].keys()
    assert new.keys() - {"workingTime", "fills"} == theirs["newOrderResponse"].keys()
    reports = [event["event"] for event in client.events() if event["event"]["e"] == "executionReport"]
    assert [report["x"] for report in reports] == ["NEW", "CANCELED", "NEW"]


def test_the_new_order_is_shown_as_asked_for(client: Client) -> None:
    found = client.trade("order.cancelReplace", **replace(place(client), newOrderRespType="ACK"))
    assert "status" not in found["newOrderResponse"]
    named = place(client, quantity="1", newClientOrderId="mine")
    params = replace(named, cancelOrigClientOrderId="mine", cancelNewClientOrderId="bye", quantity="1")
    assert client.trade("order.cancelReplace", **params)["cancelResponse"]["clientOrderId"] == "bye"


def test_an_order_that_cannot_be_canceled_is_not_replaced(client: Client) -> None:
    reply = refused(client, "order.cancelReplace", **replace(99))
    assert (reply["status"], reply["error"]) == (400, example("stop-on-failure")["error"])
    assert orders_of(client) == []
    assert reply["rateLimits"][0]["count"] == 1


def test_the_new_order_is_placed_although_nothing_was_canceled(client: Client) -> None:
    reply = refused(client, "order.cancelReplace", **replace(99, "ALLOW_FAILURE"))
    theirs = example("partial-cancel-failed")["error"]
    assert (reply["status"], reply["error"]["code"]) == (409, theirs["code"])
    data = reply["error"]["data"]
    assert (data["cancelResult"], data["newOrderResult"], data["cancelResponse"]) == ("FAILURE", "SUCCESS", UNKNOWN)
    assert data["newOrderResponse"].keys() == theirs["data"]["newOrderResponse"].keys()
    assert data["newOrderResponse"]["transactTime"] == NOW // 1_000
    assert orders_of(client) == [(data["newOrderResponse"]["orderId"], "NEW")]
    assert reply["rateLimits"][0]["count"] == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_order_is_canceled_although_the_new_one_is_refused(client: Client, mode: str) -> None:
    former = place(client)
    reply = refused(client, "order.cancelReplace", **replace(former, mode, **TOO_DEAR))
    assert (reply["status"], reply["error"]["code"]) == (409, -2021)
    data = reply["error"]["data"]
    assert (data["cancelResult"], data["newOrderResult"], data["newOrderResponse"]) == ("SUCCESS", "FAILURE", BROKE)
    assert data["cancelResponse"]["transactTime"] == NOW // 1_000
    assert orders_of(client) == [(former, "CANCELED")]


def test_neither_half_is_done(client: Client) -> None:
    reply = refused(client, "order.cancelReplace", **replace(99, "ALLOW_FAILURE", **TOO_DEAR))
    assert (reply["status"], reply["error"]["code"]) == (400, -2022)
    data = reply["error"]["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == ("FAILURE", "FAILURE")
    assert (data["cancelResponse"], data["newOrderResponse"]) == (UNKNOWN, BROKE)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_canceled_for_an_order_that_breaks_a_filter(client: Client, mode: str) -> None:
    former = place(client)
    reply = refused(client, "order.cancelReplace", **replace(former, mode, price="100.001"))
    assert reply["error"] == {"code": -1013, "msg": "Filter failure: PRICE_FILTER"}
    assert orders_of(client) == [(former, "NEW")]


@pytest.mark.parametrize(("restriction", "done"), [(None, True), ("ONLY_NEW", True), ("ONLY_PARTIALLY_FILLED", False)])
def test_restrictions(client: Client, restriction: str | None, done: bool) -> None:
    former = place(client)
    reply = client.call("order.cancelReplace", **signed(**replace(former, cancelRestrictions=restriction)))
    assert (reply["status"] == 200) is done
    if not done:
        assert reply["error"]["data"]["cancelResponse"]["msg"].endswith("due to cancel restrictions.")


@pytest.fixture
def limited() -> tuple[Client, int]:
    """An account that has used up its orders, and the order that it has placed."""
    client = Client(limits=Limits(orders_per_10_seconds=1))
    client.log_on()
    return client, place(client)


@pytest.mark.parametrize("mode", MODES)
def test_over_the_limit_nothing_is_done(limited: tuple[Client, int], mode: str) -> None:
    client, former = limited
    reply = refused(client, "order.cancelReplace", **replace(former, mode))
    theirs = example("order-limit-do-nothing")
    assert (reply["status"], reply["error"]["code"]) == (theirs["status"], theirs["error"]["code"])
    assert orders_of(client) == [(former, "NEW")]


@pytest.mark.parametrize("mode", MODES)
def test_over_the_limit_an_order_may_still_be_canceled(limited: tuple[Client, int], mode: str) -> None:
    client, former = limited
    reply = refused(client, "order.cancelReplace", **replace(former, mode, orderRateLimitExceededMode="CANCEL_ONLY"))
    assert reply["status"] == 409
    assert reply["error"]["data"]["cancelResult"] == "SUCCESS"
    assert reply["error"]["data"]["newOrderResponse"] == {
        "code": -1015,
        "msg": "Too many new orders; current limit is 1 orders per 10 SECOND.",
    }
    assert orders_of(client) == [(former, "CANCELED")]


@pytest.mark.parametrize(
    ("mode", "status", "attempt"), [*zip(MODES, (429, 400), ("NOT_ATTEMPTED", "FAILURE"), strict=True)]
)
def test_over_the_limit_without_an_order_to_cancel(
    limited: tuple[Client, int], mode: str, status: int, attempt: str
) -> None:
    client, former = limited
    reply = refused(client, "order.cancelReplace", **replace(99, mode, orderRateLimitExceededMode="CANCEL_ONLY"))
    assert (reply["status"], reply["error"]["code"]) == (status, -2022)
    assert reply["error"]["data"]["newOrderResult"] == attempt
    assert ("retryAfter" in reply["error"]["data"]) is (status == 429)
    assert orders_of(client) == [(former, "NEW")]


def test_below_the_limit_the_mode_makes_no_difference(client: Client) -> None:
    found = client.trade("order.cancelReplace", **replace(place(client), orderRateLimitExceededMode="CANCEL_ONLY"))
    assert found["newOrderResult"] == "SUCCESS"


# Amending


def test_an_amended_order_keeps_its_place(client: Client) -> None:
    client.result("userDataStream.subscribe")
    first = place(client, newClientOrderId="mine")
    place(client)
    client.events()
    found = client.trade(
        "order.amend.keepPriority", **OF_BTC, origClientOrderId="mine", newQty="1", newClientOrderId="less"
    )
    order = found["amendedOrder"]
    assert (order["origClientOrderId"], order["clientOrderId"], order["qty"]) == ("mine", "less", "1.00000000")
    assert found["transactTime"] == order["workingTime"] == NOW // 1_000
    theirs = documented("order.amend.keepPriority", "response-order-list")
    assert found.keys() == theirs.keys() - {"listStatus"}
    assert order.keys() == theirs["amendedOrder"].keys()
    report, balances = (event["event"] for event in client.events())
    assert (report["x"], report["X"], report["q"], report["C"], report["c"]) == (
        "REPLACED",
        "NEW",
        "1.00000000",
        "mine",
        "less",
    )
    assert report["I"] == found["executionId"]
    assert balances["B"] == [{"a": "USDT", "f": "750.00000000", "l": "250.00000000"}]
    assert client.trade("order.place", **BUY | {"side": "SELL", "quantity": "1"})["status"] == "FILLED"
    assert client.trade("order.status", **OF_BTC, origClientOrderId="less")["orderId"] == first
    assert client.trade("order.status", **OF_BTC, orderId=first)["status"] == "FILLED"


def test_the_depth_shrinks_with_the_order(client: Client) -> None:
    order_id = place(client)
    before = client.result("depth", **OF_BTC)["lastUpdateId"]
    client.trade("order.amend.keepPriority", **OF_BTC, orderId=order_id, newQty="0.5")
    book = client.result("depth", **OF_BTC)
    assert (book["bids"], book["lastUpdateId"]) == ([["100.00000000", "0.50000000"]], before + 1)


def test_an_order_may_keep_its_name(client: Client) -> None:
    order_id = place(client, newClientOrderId="mine")
    params = {"orderId": order_id, "newQty": "1", "newClientOrderId": "mine"}
    order = client.trade("order.amend.keepPriority", **OF_BTC, **params)["amendedOrder"]
    assert order["origClientOrderId"] == order["clientOrderId"] == "mine"


def test_an_order_that_has_traded_that_much_expires(client: Client) -> None:
    order_id = place(client)
    place(client, side="SELL", quantity="1")
    found = client.trade("order.amend.keepPriority", **OF_BTC, orderId=order_id, newQty="1")
    assert found["amendedOrder"]["status"] == "EXPIRED"
    assert client.trade("openOrders.status") == []
    locked = {balance["asset"]: Decimal(balance["locked"]) for balance in client.trade("account.status")["balances"]}
    assert set(locked.values()) == {Decimal(0)}


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"orderId": 99}, -2038, "Unknown order sent."),
        ({"newQty": "1.5"}, -2038, "The requested action would change no state; rejecting"),
        ({"newQty": "2"}, -2038, "Order amend (quantity increase) is not supported."),
        ({"newClientOrderId": "other"}, -2038, "Duplicate order sent."),
        ({"newQty": "0"}, -1013, "Filter failure: LOT_SIZE"),
        ({"newQty": "0.01"}, -1013, "Filter failure: NOTIONAL"),
        ({"origClientOrderId": "other"}, -2039, "Client order ID is not correct for this order ID."),
        ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ],
)
def test_what_cannot_be_amended(client: Client, params: dict[str, Any], code: int, message: str) -> None:
    order_id = place(client)
    place(client, newClientOrderId="other")
    given = OF_BTC | {"orderId": order_id, "newQty": "1"} | params
    assert refused(client, "order.amend.keepPriority", **given)["error"] == {"code": code, "msg": message}
    assert client.trade("order.amendments", **OF_BTC, orderId=order_id) == []


def test_an_order_that_is_over_cannot_be_amended(client: Client) -> None:
    order_id = place(client)
    client.trade("order.cancel", **OF_BTC, orderId=order_id)
    reply = refused(client, "order.amend.keepPriority", **OF_BTC, orderId=order_id, newQty="1")
    assert reply["error"] == {"code": -2038, "msg": "Unknown order sent."}
