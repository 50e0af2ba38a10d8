"""Order lists and routed orders as JSON sees them: shapes, queries, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bintrio.api.trading import OrderPlace
from bintrio.sandbox.exchange.auth import SandboxAccount
from bintrio.sandbox.exchange.exchange import Exchange
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.listing import Listing
from bintrio.sandbox.exchange.reference import External, MeanOfTrades
from bintrio.sandbox.exchange.symbols import Symbol
from tests.sandbox.client import BUY, EXAMPLES, NOW, Client, D

OCO = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "2",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "120",
    "belowType": "STOP_LOSS_LIMIT",
    "belowPrice": "80",
    "belowStopPrice": "90",
    "belowTimeInForce": "GTC",
}
WORKING = {
    "symbol": "BTCUSDT",
    "workingType": "LIMIT",
    "workingSide": "BUY",
    "workingPrice": "100",
    "workingQuantity": "2",
    "workingTimeInForce": "GTC",
}
MARKET = {"pendingType": "MARKET", "pendingSide": "SELL"}
PAIR = {
    "pendingSide": "SELL",
    "pendingAboveType": "LIMIT_MAKER",
    "pendingAbovePrice": "120",
    "pendingBelowType": "STOP_LOSS",
    "pendingBelowStopPrice": "80",
}
OLD = {"symbol": "BTCUSDT", "side": "SELL", "price": "120", "quantity": "2", "stopPrice": "90"}
STOP_LIMIT = {"stopLimitPrice": "80", "stopLimitTimeInForce": "GTC"}

SOLD: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "LIMIT",
    "time_in_force": "GTC",
    "price": "100",
    "quantity": "0.1",
}
LISTS: dict[str, dict[str, Any]] = {
    "orderList.place": OLD | STOP_LIMIT,
    "orderList.place.oco": OCO,
    "orderList.place.oto": WORKING | MARKET | {"pendingQuantity": "1"},
    "orderList.place.otoco": WORKING | PAIR | {"pendingQuantity": "1"},
    "orderList.place.opo": WORKING | MARKET,
    "orderList.place.opoco": WORKING | PAIR,
}


@pytest.mark.parametrize("method", LISTS)
def test_lists_are_answered_in_the_documented_shape(client: Client, method: str) -> None:
    result = client.trade(method, **LISTS[method], newOrderRespType="RESULT")
    example = json.loads((EXAMPLES / method / "response.json").read_text())["result"]
    assert result.keys() == example.keys()
    ours, theirs = ({name for report in one["orderReports"] for name in report} for one in (result, example))
    assert ours ^ theirs <= {"stopPrice"}
    assert len(result["orders"]) == len(result["orderReports"]) == len(example["orders"])
    for kind in ("ACK", "FULL"):
        client.call("openOrders.cancelAll", symbol="BTCUSDT", timestamp=NOW // 1_000)
        client.trade(method, **LISTS[method], newOrderRespType=kind)


def test_a_list_is_queried_and_canceled(client: Client) -> None:
    client.result("userDataStream.subscribe")
    placed = client.trade("orderList.place.oco", **OCO, listClientOrderId="mine")
    number = placed["orderListId"]
    listed = {name: value for name, value in placed.items() if name != "orderReports"}
    assert client.trade("orderList.status", orderListId=number) == listed
    assert client.trade("orderList.status", origClientOrderId="mine") == listed
    assert client.trade("openOrderLists.status") == client.trade("allOrderLists") == [listed]
    assert client.trade("allOrderLists", fromId=number + 1) == []
    assert client.trade("allOrderLists", startTime=NOW // 1_000 + 1) == []
    canceled = client.trade("orderList.cancel", symbol="BTCUSDT", orderListId=number, listClientOrderId="mine")
    assert [report["status"] for report in canceled["orderReports"]] == ["CANCELED", "CANCELED"]
    example = json.loads((EXAMPLES / "orderList.cancel" / "response.json").read_text())["result"]
    assert canceled.keys() == example.keys()
    assert client.trade("openOrderLists.status") == []
    assert client.trade("orderList.status", orderListId=number)["listOrderStatus"] == "ALL_DONE"
    events = [e["event"]["l"] for e in client.events() if e["event"]["e"] == "listStatus"]
    assert events == ["EXEC_STARTED", "ALL_DONE"]


def test_the_history_of_lists_goes_by_time_or_by_id(client: Client) -> None:
    """web-socket-api.md, "Account order list history": by time it is that of the last update, and fromId is ignored."""
    first, second = (client.trade("orderList.place.oco", **OCO)["orderListId"] for _ in range(2))
    client.now += 5_000_000
    client.trade("orderList.cancel", symbol="BTCUSDT", orderListId=first)

    def found(**params: Any) -> list[int]:
        return [one["orderListId"] for one in client.trade("allOrderLists", **params)]

    start = NOW // 1_000
    assert found() == [first, second]
    assert found(limit=1) == found(fromId=second) == [second]
    assert found(startTime=start) == found(startTime=start, fromId=99) == [second, first]
    assert found(startTime=start + 1) == found(startTime=start + 1, fromId=99) == [first]
    assert found(endTime=start + 1) == found(endTime=start + 1, fromId=99) == [second]


@pytest.mark.parametrize(
    "params", [{"orderListId": 9}, {"listClientOrderId": "x"}, {"orderListId": 0, "listClientOrderId": "x"}]
)
def test_a_list_that_cannot_be_found(client: Client, params: dict[str, Any]) -> None:
    client.trade("orderList.place.oco", **OCO)
    said = client.error("orderList.cancel", symbol="BTCUSDT", timestamp=NOW // 1_000, **params)
    assert said == (400, -2011, "Unknown order sent.")
    assert client.error("orderList.status", orderListId=9, timestamp=NOW // 1_000)[1] == -2013


@pytest.mark.parametrize(
    ("side", "above", "below", "code"),
    [
        ("SELL", "LIMIT_MAKER", "MARKET", -1158),
        ("SELL", "LIMIT", "STOP_LOSS", -1158),
        ("SELL", "LIMIT_MAKER", "LIMIT_MAKER", -1168),
        ("BUY", "LIMIT_MAKER", "STOP_LOSS", -1165),
        ("SELL", "TAKE_PROFIT", "LIMIT_MAKER", -1166),
        ("BUY", "STOP_LOSS", "STOP_LOSS_LIMIT", -1196),
        ("SELL", "STOP_LOSS", "LIMIT_MAKER", -1197),
        ("BUY", "TAKE_PROFIT", "STOP_LOSS", -1198),
        ("SELL", "TAKE_PROFIT", "TAKE_PROFIT", -1199),
    ],
)
def test_a_pair_that_cannot_be(client: Client, side: str, above: str, below: str, code: int) -> None:
    """ "Place new Order list - OCO", price restrictions; the same of what waits in an OTOCO list."""
    signed = {"timestamp": NOW // 1_000}
    types = {"side": side, "aboveType": above, "belowType": below}
    assert client.error("orderList.place.oco", **OCO | types, **signed)[1] == code
    types = {"pendingSide": side, "pendingAboveType": above, "pendingBelowType": below}
    assert client.error("orderList.place.otoco", **LISTS["orderList.place.otoco"] | types, **signed)[1] == code


@pytest.mark.parametrize(("changes", "code"), [({"workingSide": "SELL"}, -1222), ({"pendingSide": "BUY"}, -1223)])
@pytest.mark.parametrize("method", ["orderList.place.opo", "orderList.place.opoco"])
def test_what_pays_buys_and_then_sells(client: Client, method: str, changes: dict[str, Any], code: int) -> None:
    assert client.error(method, **LISTS[method] | changes, timestamp=NOW // 1_000)[1] == code


def test_canceling_one_order_answers_with_its_list(client: Client) -> None:
    placed = client.trade("orderList.place.oco", **OCO)
    canceled = client.trade("order.cancel", symbol="BTCUSDT", orderId=placed["orders"][0]["orderId"])
    example = json.loads((EXAMPLES / "order.cancel" / "response-order-list.json").read_text())["result"]
    assert canceled.keys() == example.keys()
    client.trade("orderList.place.oco", **OCO)
    client.trade("order.place", **BUY)
    one, several = client.trade("openOrders.cancelAll", symbol="BTCUSDT")
    assert ("orderReports" in one, "orderReports" in several) == (True, False)


def test_an_order_of_a_list_is_amended(client: Client) -> None:
    placed = client.trade("orderList.place.oco", **OCO)
    order_id = placed["orders"][1]["orderId"]
    amended = client.trade("order.amend.keepPriority", symbol="BTCUSDT", orderId=order_id, newQty="1")
    assert amended["amendedOrder"]["qty"] == "1.00000000"
    example = json.loads((EXAMPLES / "order.amend.keepPriority" / "response-order-list.json").read_text())["result"]
    assert amended["listStatus"].keys() == example["listStatus"].keys()


def test_prevented_matches_are_queried(client: Client) -> None:
    client.result("userDataStream.subscribe")
    maker = client.trade("order.place", **BUY)["orderId"]
    taker = client.trade("order.place", **BUY | {"side": "SELL"}, selfTradePreventionMode="EXPIRE_BOTH")
    assert (taker["status"], taker["preventedQuantity"]) == ("EXPIRED_IN_MATCH", "1.50000000")
    assert taker["preventedMatches"][0]["makerOrderId"] == maker
    (match,) = client.trade("myPreventedMatches", symbol="BTCUSDT", orderId=maker)
    example = json.loads((EXAMPLES / "myPreventedMatches" / "response.json").read_text())["result"][0]
    assert match.keys() ^ example.keys() == {"takerPreventedQuantity"}
    assert client.trade("myPreventedMatches", symbol="BTCUSDT", preventedMatchId=match["preventedMatchId"]) == [match]
    assert (
        client.trade("order.status", symbol="BTCUSDT", orderId=maker)["preventedMatchId"] == match["preventedMatchId"]
    )
    events = [e["event"] for e in client.events()]
    prevented = [e for e in events if e.get("x") == "TRADE_PREVENTION"]
    assert [e["i"] for e in prevented] == [taker["orderId"], maker]
    assert {"v", "A", "B", "u", "U", "Cs", "pl", "pL", "pY"} <= prevented[0].keys()


def test_routed_orders_are_allocated() -> None:
    client = Client()
    quotes = ("USDT", "USDC")
    symbols = [Symbol(base="BTC", quote=quote, min_notional=D(0)) for quote in quotes]
    exchange = client.exchange = Exchange(symbols, Limits(), routes=[("BTCUSDT", "BTCUSDC")])
    client.exchange.sessions[client.session] = None
    other = SandboxAccount(8, {"BTC": D(5)})
    for account in (client.account, other):
        exchange.open_account(account)
    client.log_on()
    client.result("userDataStream.subscribe")
    request = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "price": "100",
        "quantity": "1",
    }
    assert client.result("exchangeInfo")["sors"] == [{"baseAsset": "BTC", "symbols": ["BTCUSDT", "BTCUSDC"]}]
    assert client.trade("sor.order.test", **request) == {}
    assert "discount" in client.trade("sor.order.test", **request, computeCommissionRates=True)
    ask = OrderPlace(symbol="BTCUSDC", side="SELL", type="LIMIT", time_in_force="GTC", price="90", quantity="0.4")
    exchange.place(8, ask, NOW)
    (order,) = client.trade("sor.order.place", **request)
    example = json.loads((EXAMPLES / "sor.order.place" / "response.json").read_text())["result"][0]
    assert order.keys() == example.keys()
    assert order["fills"][0].keys() == example["fills"][0].keys()
    (allocation,) = client.trade("myAllocations", symbol="BTCUSDT", orderId=order["orderId"])
    example = json.loads((EXAMPLES / "myAllocations" / "response.json").read_text())["result"][0]
    assert allocation.keys() == example.keys()
    assert client.trade("myAllocations", symbol="BTCUSDT", fromAllocationId=1) == []
    assert client.trade("myAllocations", symbol="BTCUSDT") == [allocation]
    (report,) = [e["event"] for e in client.events() if e["event"].get("x") == "TRADE"]
    assert (report["a"], report["b"], report["k"], report["uS"]) == (0, "ONE_PARTY_TRADE_REPORT", "SOR", True)
    stop = request | {"type": "STOP_LOSS", "timestamp": NOW // 1_000}
    assert client.error("sor.order.place", **stop)[1] == -1116


def test_a_symbol_that_is_not_routed(client: Client) -> None:
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1", "timestamp": NOW // 1_000}
    assert client.error("sor.order.place", **params)[1] == -2010


def test_replacing_may_not_be_allowed(client: Client) -> None:
    engine = client.exchange.engine
    symbol = Symbol(base="BTC", quote="USDT", cancel_replace_allowed=False, amend_allowed=False)
    engine.listings["BTCUSDT"] = Listing(symbol, (), engine.references)
    order_id = client.trade("order.place", **BUY)["orderId"]
    common = {"symbol": "BTCUSDT", "timestamp": NOW // 1_000}
    replace = BUY | common | {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": order_id}
    assert client.error("order.cancelReplace", **replace)[2].startswith("Order cancel-replace is not supported")
    assert client.error("order.amend.keepPriority", **common, orderId=order_id, newQty="1")[1] == -2038


def test_unfilled_orders_are_credited_for_their_first_fill() -> None:
    """order_count_decrement.md, examples 1 and 2."""
    client = Client()
    client.log_on()

    def count() -> int:
        windows = client.trade("account.rateLimits.orders")
        return int(windows[0]["count"])

    for _ in range(6):
        client.trade("order.place", **BUY | {"quantity": "0.5"})
    assert count() == 6
    client.trade("order.place", **BUY | {"side": "SELL", "quantity": "0.2"})
    assert count() == 1  # +1 -1 as a taker, -5 as a maker
    client.trade("order.place", **BUY | {"side": "SELL", "quantity": "0.2"})
    assert count() == 1  # that maker is counted no more


def test_what_was_canceled_or_has_expired_still_counts_as_unfilled() -> None:
    """order_count_decrement.md: "Canceling an order does not change the unfilled order count", nor does expiring."""
    client = Client()
    client.log_on()
    order = client.trade("order.place", **BUY)
    client.trade("order.cancel", symbol="BTCUSDT", orderId=order["orderId"])
    assert client.trade("order.place", **BUY | {"timeInForce": "FOK"})["status"] == "EXPIRED"
    assert [window["count"] for window in client.trade("account.rateLimits.orders")] == [2, 2]


def test_a_fill_lessens_the_present_count_whenever_its_order_was_placed() -> None:
    """order_count_decrement.md, "What happens if I placed an order yesterday but it is filled the next day?"."""
    client = Client(limits=Limits(maker_credit=1))
    client.log_on()
    client.exchange.open_account(SandboxAccount(8, {"BTC": D(9)}))
    small = BUY | {"quantity": "0.1"}
    for placed, filled, counts in ((5, 0, (5, 5)), (10, 5, (5, 5)), (2, 10, (0, 0))):
        for _ in range(placed):
            client.trade("order.place", **small)
        for _ in range(filled):
            client.exchange.place(8, OrderPlace(**SOLD), client.now)
        assert [window["count"] for window in client.trade("account.rateLimits.orders")] == [*counts]
        client.now += 86_400_000_000


def test_the_count_may_learn_of_a_fill_a_moment_later() -> None:
    """order_count_decrement.md: "a short delay between the order being filled and the [...] count update"."""
    client = Client(limits=Limits(maker_credit=2, credit_delay=15))
    client.log_on()
    client.exchange.open_account(SandboxAccount(8, {"BTC": D(9)}))
    for _ in range(3):
        client.trade("order.place", **BUY | {"quantity": "0.1"})
    client.exchange.place(8, OrderPlace(**SOLD), client.now)

    def counts() -> list[int]:
        return [window["count"] for window in client.trade("account.rateLimits.orders")]

    assert counts() == [3, 3]
    client.now += 14_900_000
    client.trade("order.place", **BUY | {"quantity": "0.1"})
    assert counts() == [1, 4]
    client.now += 100_000  # what is given back counts in the window of that moment
    assert counts() == [0, 2]
    client.exchange.place(8, OrderPlace(**SOLD), client.now)
    client.now += 30_000_000
    client.trade("order.place", **BUY | {"quantity": "0.1"})
    assert counts() == [1, 1]


@pytest.mark.parametrize("lag", [0, 1_000_000])
def test_queries_that_lag_know_lists_matches_and_their_orders(lag: int) -> None:
    client = Client()
    client.log_on()
    client.exchange.replicas.lag = lag
    client.trade("orderList.place.oco", **OCO)
    client.trade("order.place", **BUY | {"price": "120"}, selfTradePreventionMode="DECREMENT")
    queries: list[tuple[str, dict[str, Any]]] = [
        ("openOrderLists.status", {}),
        ("myPreventedMatches", {"symbol": "BTCUSDT", "orderId": 2}),
        ("allOrders", {"symbol": "BTCUSDT"}),
    ]
    seen = [bool(client.trade(method, **params)) for method, params in queries]
    assert seen == [not lag] * 3
    client.now += lag
    assert all(client.trade(method, **params) for method, params in queries)


def test_an_iceberg_order_says_so(client: Client) -> None:
    placed = client.trade("order.place", **BUY, icebergQty="0.5", newOrderRespType="RESULT")
    assert placed["icebergQty"] == "0.50000000"


def test_reference_prices_are_told(client: Client) -> None:
    engine = client.exchange.engine
    engine.references.sources["BTCUSDT"] = External(D("10.5"), NOW, 3)
    told = client.result("referencePrice", symbol="BTCUSDT")
    assert (told["symbol"], told["referencePrice"], told["timestamp"]) == ("BTCUSDT", "10.5", NOW // 1_000)
    made = client.result("referencePrice.calculation", symbol="BTCUSDT")
    assert (made["calculationType"], made["externalCalculationId"]) == ("EXTERNAL", 3)
    engine.references.sources["BTCUSDT"] = MeanOfTrades(10, 1_000)
    made = client.result("referencePrice.calculation", symbol="BTCUSDT")
    assert (made["calculationType"], made["bucketCount"], made["bucketWidthMs"]) == ("ARITHMETIC_MEAN", 10, 1_000)
