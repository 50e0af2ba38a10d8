"""Account requests: the account's own orders and trades, and what there never is."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.sandbox.exchange.auth import SandboxAccount
from bintrio.sandbox.exchange.candles import DAY
from tests.sandbox.client import BUY, CONDITIONAL, NOW, Client, D, documented

OF_BTC = {"symbol": "BTCUSDT"}
SELL = BUY | {"side": "SELL"}


def signed(**params: Any) -> dict[str, Any]:
    return OF_BTC | {"timestamp": NOW // 1_000} | params


def test_account_status(client: Client) -> None:
    client.trade("order.place", **BUY)
    account = client.trade("account.status")
    assert account["balances"] == [
        {"asset": "BTC", "free": "5.00000000", "locked": "0.00000000"},
        {"asset": "USDT", "free": "850.00000000", "locked": "150.00000000"},
    ]
    assert (account["makerCommission"], account["commissionRates"]["taker"]) == (10, "0.00200000")
    client.exchange.transfer(7, "BTC", D(-5), NOW)
    assert [b["asset"] for b in client.trade("account.status", omitZeroBalances=True)["balances"]] == ["USDT"]


def test_commission(client: Client) -> None:
    found = client.trade("account.commission", **OF_BTC)
    none = "0.00000000"
    assert found["standardCommission"] == {"maker": "0.00100000", "taker": "0.00200000", "buyer": none, "seller": none}
    assert set(found["specialCommission"].values()) == set(found["taxCommission"].values()) == {none}
    assert found.keys() == documented("account.commission").keys()
    assert found["discount"].keys() == documented("account.commission")["discount"].keys()


def test_the_count_of_unfilled_orders(client: Client) -> None:
    client.trade("order.place", **BUY)
    found = client.trade("account.rateLimits.orders")
    assert [limit["count"] for limit in found] == [1, 1]
    assert found[0].keys() == documented("account.rateLimits.orders").keys()
    client.trade("order.place", **SELL)
    assert [limit["count"] for limit in client.trade("account.rateLimits.orders")] == [0, 0]


def test_the_filters_of_a_symbol(client: Client) -> None:
    found = client.trade("myFilters", **OF_BTC)
    assert found["symbolFilters"] == client.result("exchangeInfo", **OF_BTC)["symbols"][0]["filters"]
    assert found.keys() == documented("myFilters").keys()
    assert client.error("myFilters", **signed(symbol="NOPE"))[1] == -1121


# Orders


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
def test_orders_that_do_not_exist(client: Client, method: str, params: Any, code: int, message: str) -> None:
    assert client.error(method, **params, timestamp=NOW // 1_000) == (400, code, message)


def test_all_orders(client: Client) -> None:
    ids: list[int] = []
    for hours in range(3):
        client.now = NOW + hours * 3_600_000_000
        ids.append(client.trade("order.place", **BUY | {"quantity": "1"})["orderId"])
    client.trade("order.place", **BUY | {"symbol": "ETHUSDT"})
    client.trade("order.cancel", **OF_BTC, orderId=ids[0])

    def chosen(**params: int) -> list[int]:
        return [found["orderId"] for found in client.trade("allOrders", **OF_BTC, **params)]

    assert chosen() == ids
    assert chosen(limit=2) == ids[1:]
    assert chosen(orderId=ids[1]) == ids[1:]
    # "If startTime and/or endTime are specified, orderId is ignored"; "filtered by time of the last execution status
    # update": the first order was canceled at the time of the last one.
    assert chosen(startTime=NOW // 1_000, limit=1, orderId=ids[2]) == ids[1:2]
    assert chosen(startTime=NOW // 1_000 + 1) == [ids[1], ids[0], ids[2]]
    assert chosen(endTime=NOW // 1_000 + 3_600_000) == ids[1:2]
    found = client.trade("allOrders", **OF_BTC)[0]
    assert found["status"] == "CANCELED"
    assert found.keys() ^ documented("allOrders").keys() <= CONDITIONAL


@pytest.mark.parametrize("method", ["allOrders", "allOrderLists", "myTrades", "myAllocations"])
def test_a_span_of_time_is_no_longer_than_a_day(client: Client, method: str) -> None:
    params = {"timestamp": NOW // 1_000} if method == "allOrderLists" else signed()
    start, end = NOW // 1_000, NOW + DAY + 1_000
    assert client.error(method, **params, startTime=start, endTime=end) == (
        400,
        -1127,
        "More than 24 hours between startTime and endTime.",
    )
    assert client.error(method, **params, startTime=start + 1, endTime=start)[1] == -1128
    assert client.result(method, **params, startTime=start) == []
    assert client.result(method, **params, startTime=start, endTime=start + 86_400_000) == []


def test_open_orders_are_those_that_can_still_trade(client: Client) -> None:
    placed = [client.trade("order.place", **BUY | {"quantity": "1", "price": price}) for price in ("90", "91", "92")]
    client.trade("order.cancel", **OF_BTC, orderId=placed[1]["orderId"])
    client.trade("order.place", **SELL | {"quantity": "1.5", "price": "92"})
    assert [(o["side"], o["price"][:2]) for o in client.trade("openOrders.status")] == [("BUY", "90"), ("SELL", "92")]
    assert client.trade("openOrders.status", symbol="ETHUSDT") == []


def test_orders_that_ended_without_a_trade_are_archived(client: Client) -> None:
    traded, canceled, still_open = (client.trade("order.place", **BUY | {"quantity": "1"})["orderId"] for _ in "123")
    client.trade("order.place", **SELL | {"quantity": "1"})
    client.trade("order.cancel", **OF_BTC, orderId=canceled)
    client.now += 90 * DAY
    assert client.trade("order.status", **OF_BTC, orderId=canceled)["status"] == "CANCELED"
    client.now += 1_000
    params = signed(orderId=canceled, timestamp=client.now // 1_000)
    assert client.error("order.status", **params)[1:] == (
        -2026,
        "Order was canceled or expired with no executed qty over 90 days ago and has been archived.",
    )
    assert client.trade("order.status", **OF_BTC, orderId=traded)["status"] == "FILLED"
    assert client.trade("order.status", **OF_BTC, orderId=still_open)["status"] == "NEW"


def test_amendments(client: Client) -> None:
    order_id = client.trade("order.place", **BUY, newClientOrderId="first")["orderId"]
    for quantity in ("1.2", "1"):
        client.trade("order.amend.keepPriority", **OF_BTC, orderId=order_id, newQty=quantity)
    first, second = client.trade("order.amendments", **OF_BTC, orderId=order_id)
    assert (first["origClientOrderId"], first["origQty"], first["newQty"]) == ("first", "1.50000000", "1.20000000")
    assert second["origClientOrderId"] == first["newClientOrderId"]
    assert first["time"] == NOW // 1_000
    assert first.keys() == documented("order.amendments").keys()
    later = {"fromExecutionId": second["executionId"]}
    assert client.trade("order.amendments", **OF_BTC, orderId=order_id, **later) == [second]
    assert client.trade("order.amendments", **OF_BTC, orderId=order_id, limit=1) == [first]
    assert client.error("order.amendments", **signed(orderId=99))[1] == -2013


# Trades


def test_my_trades(client: Client) -> None:
    other = SandboxAccount(8, {"BTC": D(9)})
    client.exchange.open_account(other)
    params = client.signed(other.key, **SELL)
    client.result("order.place", **params)
    bought = [client.trade("order.place", **BUY | {"quantity": "0.5"})["orderId"] for _ in range(3)]
    found = client.trade("myTrades", **OF_BTC)
    assert [(one["orderId"], one["id"]) for one in found] == [*zip(bought, (1, 2, 3), strict=True)]
    assert (found[0]["commission"], found[0]["commissionAsset"]) == ("0.00100000", "BTC")
    assert (found[0]["isBuyer"], found[0]["isMaker"], found[0]["quoteQty"]) == (True, False, "50.00000000")
    assert found[0]["time"] == NOW // 1_000
    assert found[0].keys() == documented("myTrades").keys()

    def chosen(**params: int) -> list[int]:
        return [one["id"] for one in client.trade("myTrades", **OF_BTC, **params)]

    assert chosen(limit=2) == chosen(fromId=2) == [2, 3]
    assert chosen(fromId=1, limit=1) == chosen(startTime=NOW // 1_000, limit=1) == [1]
    assert chosen(orderId=bought[1]) == chosen(orderId=bought[1], fromId=1) == [2]
    assert chosen(orderId=99) == chosen(endTime=NOW // 1_000 - 1) == []
    assert client.trade("myTrades", symbol="ETHUSDT", orderId=bought[0]) == []
    assert client.error("myTrades", **signed(fromId=1, startTime=1))[1] == -1128


# What there never is


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("myPreventedMatches", OF_BTC | {"orderId": 1}),
        ("myAllocations", OF_BTC),
        ("allOrderLists", {}),
        ("openOrderLists.status", {}),
    ],
)
def test_there_are_none(client: Client, method: str, params: dict[str, Any]) -> None:
    assert client.trade(method, **params) == []


def test_there_is_no_order_list(client: Client) -> None:
    said = (400, -2013, "Order does not exist.")
    assert client.error("orderList.status", orderListId=1, timestamp=NOW // 1_000) == said
    assert client.error("orderList.status", timestamp=NOW // 1_000)[1] == -1102
    assert client.error("myAllocations", **signed(symbol="NOPE"))[1] == -1121
