"""What a bounded exchange forgets, and what it goes on knowing."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.sandbox.exchange.journal import Journal

from ..client import BUY, NOW, Client

COMMON = {"symbol": "BTCUSDT"}


def client(lag: int = 0) -> Client:
    found = Client(keep=3)
    found.exchange.replicas.lag = lag
    found.log_on()
    return found


def ids(answer: Any, name: str = "orderId") -> list[int]:
    return [one[name] for one in answer]


def trade(client: Client, times: int) -> None:
    """Each time one more order that rests, and is filled by another of the same account."""
    for _ in range(times):
        client.trade("order.place", **BUY | {"quantity": "0.10"})
        client.trade("order.place", **BUY | {"side": "SELL", "quantity": "0.10"})


@pytest.mark.parametrize("lag", [0, 1])
def test_closed_orders_are_forgotten_and_open_ones_are_not(lag: int) -> None:
    bounded = client(lag)
    first = bounded.trade("order.place", **BUY | {"quantity": "0.10"})["orderId"]
    for number in range(2, 7):
        bounded.trade("order.place", **BUY | {"quantity": "0.10", "newClientOrderId": "same"})
        bounded.trade("order.cancel", **COMMON, orderId=number)
    bounded.now += 1_000
    assert ids(bounded.trade("allOrders", **COMMON)) == [first, 4, 5, 6]
    assert ids(bounded.trade("openOrders.status", **COMMON)) == [first]
    assert bounded.error("order.status", **COMMON, timestamp=NOW // 1_000, orderId=2)[1] == -2013
    assert bounded.trade("order.status", **COMMON, origClientOrderId="same")["orderId"] == 6
    assert [order.order_id for order in bounded.exchange.engine.orders] == [first, 4, 5, 6]


@pytest.mark.parametrize("lag", [0, 1])
def test_the_oldest_trades_are_forgotten(lag: int) -> None:
    bounded = client(lag)
    trade(bounded, 4)
    bounded.now += 1_000
    assert ids(bounded.trade("myTrades", **COMMON), "id") == [2, 2, 3, 3, 4, 4][-len(mine(bounded)) :]
    assert 3 <= len(mine(bounded)) < 6
    trade(bounded, 5)
    bounded.now += 1_000
    assert 3 <= len(mine(bounded)) < 6
    assert mine(bounded)[-1] == 9
    assert ids(bounded.result("trades.recent", symbol="BTCUSDT"), "id")[-3:] == [7, 8, 9]
    assert ids(bounded.result("trades.aggregate", symbol="BTCUSDT"), "a")[-3:] == [7, 8, 9]
    day = bounded.result("ticker.24hr", symbol="BTCUSDT")
    assert (day["firstId"], day["lastId"], day["count"]) == (1, 9, 9)


def mine(client: Client) -> list[int]:
    return ids(client.trade("myTrades", **COMMON), "id")


@pytest.mark.parametrize("lag", [0, 1])
def test_lists_that_are_done_are_forgotten(lag: int) -> None:
    bounded = client(lag)
    pair = COMMON | {"side": "SELL", "quantity": "0.10", "aboveType": "LIMIT_MAKER", "abovePrice": "200.00"}
    pair |= {"belowType": "STOP_LOSS", "belowStopPrice": "50.00"}
    placed = [bounded.trade("orderList.place.oco", **pair)["orderListId"] for _ in range(6)]
    for number in placed[1:]:
        bounded.trade("orderList.cancel", **COMMON, orderListId=number)
    bounded.now += 1_000
    known = bounded.trade("allOrderLists")
    assert ids(known, "orderListId") == [placed[0], *placed[3:]]
    assert ids(bounded.trade("openOrderLists.status"), "orderListId") == placed[:1]
    assert bounded.error("orderList.status", timestamp=NOW // 1_000, orderListId=placed[1])[1] == -2013


def test_a_list_whose_first_order_was_forgotten_can_be_canceled() -> None:
    bounded = client()
    working = {"workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "100.00", "workingQuantity": "0.10"}
    pending = {"pendingType": "LIMIT", "pendingSide": "SELL", "pendingPrice": "200.00", "pendingQuantity": "0.10"}
    times = {"workingTimeInForce": "GTC", "pendingTimeInForce": "GTC"}
    placed = bounded.trade("orderList.place.oto", **COMMON, **working, **pending, **times)["orderListId"]
    bounded.trade("order.place", **BUY | {"side": "SELL", "price": "100.00", "quantity": "0.10"})
    trade(bounded, 4)
    first, second = bounded.trade("orderList.status", orderListId=placed)["orders"]
    sought = COMMON | {"timestamp": NOW // 1_000}
    assert bounded.error("order.status", **sought, orderId=first["orderId"])[1] == -2013
    canceled = bounded.trade("orderList.cancel", **COMMON, orderListId=placed)
    assert ids(canceled["orderReports"]) == [second["orderId"]]
    # The list is known for longer than any of its orders.
    trade(bounded, 4)
    assert bounded.trade("orderList.status", orderListId=placed)["listOrderStatus"] == "ALL_DONE"
    assert bounded.error("orderList.cancel", **sought, orderListId=placed)[1] == -2011


def test_matches_that_were_prevented_are_forgotten() -> None:
    bounded = client()
    bounded.trade("order.place", **BUY)
    sell = BUY | {"side": "SELL", "quantity": "0.10", "selfTradePreventionMode": "EXPIRE_TAKER"}
    for _ in range(6):
        bounded.trade("order.place", **sell)
    maker = bounded.trade("myPreventedMatches", **COMMON, orderId=1)
    assert ids(maker, "preventedMatchId") == [3, 4, 5]


def test_a_replica_that_comes_later_than_what_was_forgotten_goes_on_with_what_there_is() -> None:
    bounded = client(lag=10_000_000)
    for _ in range(4):
        trade(bounded, 4)
        bounded.now += 1_000
    assert bounded.trade("myTrades", **COMMON) == []
    bounded.now += 2_000_000
    bounded.exchange.replicas.lag = 1_000_000
    assert mine(bounded)[-1] == 16


def test_a_journal_counts_what_it_forgot() -> None:
    journal = Journal[int]()
    for number in range(7):
        journal.append(number)
        journal.bound(2)
    assert (journal, journal.forgotten, journal.length) == ([4, 5, 6], 4, 7)
    assert (journal.between(0, 6), journal.between(5, 7), journal.between(0, 2)) == ([4, 5], [5, 6], [])
    twin = journal.copy()
    twin.append(7)
    assert (twin.length, journal.length) == (8, 7)
