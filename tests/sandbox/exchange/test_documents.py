"""What the documents say of the sandbox that no table of refusals holds: one test for a sentence, by its section."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bintrio.api.filters import (
    Filter,
    MarketLotSizeFilter,
    MaxNumAlgoOrdersFilter,
    MaxNumIcebergOrdersFilter,
    PercentPriceFilter,
)
from bintrio.sandbox.exchange.exchange import Exchange
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.symbols import Symbol
from tests.sandbox.client import BUY, Client

D = Decimal
OF_BTC = {"symbol": "BTCUSDT"}
PLENTY = Limits(weight=10**6, orders_per_10_seconds=10**6)


def trading(**rules: Any) -> Client:
    """A client that is logged on and hears its events, of a symbol with these rules."""
    client = Client(limits=PLENTY)
    client.exchange = Exchange([Symbol(base="BTC", quote="USDT", **rules)], PLENTY)
    client.exchange.open_account(client.account)
    client.exchange.sessions[client.session] = None
    client.log_on()
    client.result("userDataStream.subscribe")
    return client


def refused(client: Client, method: str, **params: Any) -> tuple[int, str]:
    _, code, message = client.error(method, timestamp=client.now // 1_000, **params)
    return code, message


def heard(client: Client) -> list[dict[str, Any]]:
    return [each["event"] for each in client.events()]


# faqs/market_orders_faq.md, "Sample User Data Stream Payload"


def test_balances_are_told_once_behind_all_that_a_command_did() -> None:
    client = trading()
    for _ in range(2):
        client.trade("order.place", **BUY | {"side": "SELL", "quantity": "1"})
    client.events()
    client.trade("order.place", **OF_BTC, side="BUY", type="MARKET", quantity="3")
    told = heard(client)
    assert [(one["e"], one.get("x"), one.get("X"), one.get("m")) for one in told] == [
        ("executionReport", "NEW", "NEW", False),
        ("executionReport", "TRADE", "PARTIALLY_FILLED", False),
        ("executionReport", "TRADE", "FILLED", True),
        ("executionReport", "TRADE", "PARTIALLY_FILLED", False),
        ("executionReport", "TRADE", "FILLED", True),
        ("executionReport", "EXPIRED", "EXPIRED", False),
        ("outboundAccountPosition", None, None, None),
    ]
    shown = {one["asset"]: (one["free"], one["locked"]) for one in client.trade("account.status")["balances"]}
    assert {one["a"]: (one["f"], one["l"]) for one in told[-1]["B"]} == shown


# enums.md, "Execution types": "Cancel Replace Orders wherein the new order placement is rejected but the request to
# cancel request succeeds"; user-data-stream.md, "Order Reject Reason"

REJECTED: list[tuple[dict[str, Any], str]] = [
    ({"quantity": "100"}, "INSUFFICIENT_BALANCES"),
    ({"side": "SELL", "type": "LIMIT_MAKER", "timeInForce": None, "price": "40"}, "WOULD_MATCH_IMMEDIATELY"),
    (
        {"side": "SELL", "type": "STOP_LOSS", "timeInForce": None, "price": None, "stopPrice": "60"},
        "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
    ),
    ({"newClientOrderId": "taken"}, "NONE"),
]


@pytest.mark.parametrize(("changes", "reason"), REJECTED)
def test_an_order_that_was_to_replace_another_and_was_rejected_is_told(changes: dict[str, Any], reason: str) -> None:
    client = trading(min_price=D(0), min_notional=D(0))
    client.trade("order.place", **BUY | {"side": "SELL", "price": "50", "quantity": "0.1"})
    client.trade("order.place", **BUY | {"price": "50", "quantity": "0.1"})  # the last price
    client.trade("order.place", **BUY | {"price": "50", "quantity": "0.1", "newClientOrderId": "taken"})
    former = client.trade("order.place", **BUY | {"price": "49", "quantity": "0.1"})["orderId"]
    client.events()
    given = BUY | {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": former} | changes
    params = {name: value for name, value in given.items() if value is not None}
    assert refused(client, "order.cancelReplace", **params)[0] == -2021
    canceled, rejected, _ = heard(client)
    assert (canceled["x"], canceled["X"], canceled["i"]) == ("CANCELED", "CANCELED", former)
    assert (rejected["x"], rejected["X"], rejected["r"]) == ("REJECTED", "REJECTED", reason)
    assert rejected["i"] > former
    assert rejected["I"] == canceled["I"] + 1
    assert (rejected["w"], rejected["z"], rejected["t"]) == (False, "0.00000000", -1)
    assert refused(client, "order.status", **OF_BTC, orderId=rejected["i"])[0] == -2013


def test_an_order_that_was_not_attempted_or_not_instead_of_another_is_not_told() -> None:
    client = trading()
    given = BUY | {"quantity": "100", "cancelOrderId": 99}
    for mode in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
        assert refused(client, "order.cancelReplace", **given, cancelReplaceMode=mode)[0] == -2022
    assert refused(client, "order.place", **BUY | {"quantity": "100"})[0] == -2010
    assert heard(client) == []


# enums.md, "Order List Status" and "Order List Order Status": "responding to a failed action"; user-data-stream.md,
# "Order Reject Reason"

OCO: dict[str, Any] = OF_BTC | {
    "side": "SELL",
    "quantity": "0.1",
    "listClientOrderId": "mine",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "60",
    "belowType": "STOP_LOSS",
    "belowStopPrice": "40",
}
REFUSED_LISTS: list[tuple[dict[str, Any], int, str]] = [
    ({"abovePrice": "45"}, -2010, "OCO_BAD_PRICES"),
    ({"quantity": "1000"}, -2010, "INSUFFICIENT_BALANCES"),
    ({"listClientOrderId": "taken"}, -2010, "NONE"),
    ({"quantity": "0.000001"}, -1013, "NONE"),
]


def trading_lists() -> Client:
    """One with an OCO list; the last price is 50."""
    client = trading(min_price=D(0), min_notional=D(0))
    for side in ("SELL", "BUY"):
        client.trade("order.place", **BUY | {"side": side, "price": "50", "quantity": "0.1"})
    client.trade("orderList.place.oco", **OCO | {"listClientOrderId": "taken"})
    client.events()
    return client


@pytest.mark.parametrize(("changes", "code", "reason"), REFUSED_LISTS)
def test_a_list_that_is_refused_is_told(changes: dict[str, Any], code: int, reason: str) -> None:
    client = trading_lists()
    assert refused(client, "orderList.place.oco", **OCO | changes)[0] == code
    (told,) = heard(client)
    assert (told["e"], told["l"], told["L"], told["r"]) == ("listStatus", "RESPONSE", "REJECT", reason)
    assert (told["s"], told["c"], told["C"]) == ("BTCUSDT", "OCO", (OCO | changes)["listClientOrderId"])
    assert len(told["O"]) == 2
    assert refused(client, "orderList.status", orderListId=told["g"])[0] == -2013
    assert len(client.trade("openOrderLists.status")) == 1


def test_the_refused_cancellation_of_a_list_is_told() -> None:
    client = trading_lists()
    (opened,) = client.trade("openOrderLists.status")
    number, order = opened["orderListId"], opened["orders"][0]["orderId"]
    not_traded = {"orderId": order, "cancelRestrictions": "ONLY_PARTIALLY_FILLED"}
    assert refused(client, "order.cancel", **OF_BTC, **not_traded)[0] == -2011
    (told,) = heard(client)
    assert (told["g"], told["l"], told["L"], told["r"]) == (number, "RESPONSE", "REJECT", "NONE")
    assert client.trade("openOrderLists.status") == [opened]
    client.trade("orderList.cancel", **OF_BTC, orderListId=number)
    client.events()
    assert refused(client, "orderList.cancel", **OF_BTC, orderListId=number)[0] == -2011
    assert [(one["g"], one["l"]) for one in heard(client)] == [(number, "RESPONSE")]
    assert client.trade("orderList.status", orderListId=number)["listStatusType"] == "ALL_DONE"


def test_the_refused_cancellation_of_an_order_without_a_list_is_not_told() -> None:
    client = trading_lists()
    order = client.trade("order.place", **BUY | {"price": "49", "quantity": "0.1"})["orderId"]
    client.events()
    not_traded = {"orderId": order, "cancelRestrictions": "ONLY_PARTIALLY_FILLED"}
    assert refused(client, "order.cancel", **OF_BTC, **not_traded)[0] == -2011
    assert heard(client) == []


# Changelog of 2022-05-23, "Changes to Order Book Depth Levels"


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_level_shows_what_64_bits_hold_and_no_more(side: str) -> None:
    client = trading(max_quantity=D(10) ** 12, min_notional=D(0), max_notional=D(10) ** 12)
    for asset in ("BTC", "USDT"):
        client.exchange.transfer(client.account.uid, asset, D(10) ** 13, client.now)
    levels = {"BUY": "bids", "SELL": "asks"}[side]
    shown: list[str] = []
    for quantity in ("92233720368", "0.54775", "1", "92233720368"):
        client.trade("order.place", **BUY | {"side": side, "price": "1", "quantity": quantity})
        shown.append(client.result("depth", **OF_BTC)[levels][0][1])
    assert shown == ["92233720368.00000000", "92233720368.54775000", *["92233720368.54775807"] * 2]


# errors.md, "Messages for [...] -2010 NEW_ORDER_REJECTED"

LIQUIDITY: list[tuple[dict[str, Any], str, str]] = [
    ({}, "0", "symbol"),
    ({"min_quantity": D("0.5")}, "0.4", "LOT_SIZE filter"),
    (
        {"more_filters": (MarketLotSizeFilter(min_qty=D("0.5"), max_qty=D(9), step_size=D(0)),)},
        "0.4",
        "MARKET_LOT_SIZE filter",
    ),
]


@pytest.mark.parametrize(("rules", "offered", "least"), LIQUIDITY)
def test_too_little_liquidity_for_a_quote_amount(rules: dict[str, Any], offered: str, least: str) -> None:
    client = trading(**rules)
    if D(offered):
        client.trade("order.place", **BUY | {"side": "SELL", "price": "100", "quantity": "1"})
        client.trade("order.place", **BUY | {"price": "100", "quantity": "0.6"})
    code, message = refused(client, "order.place", **OF_BTC, side="BUY", type="MARKET", quoteOrderQty="90")
    assert (code, message) == (-2010, f"Order book liquidity is less than {least} minimum quantity.")


def test_a_quote_amount_that_buys_nothing() -> None:
    client = trading(min_quantity=D(0), min_notional=D(0))
    client.trade("order.place", **BUY | {"side": "SELL", "price": "100", "quantity": "1"})
    code, message = refused(client, "order.place", **OF_BTC, side="BUY", type="MARKET", quoteOrderQty="0.0001")
    assert (code, message) == (-2010, "Order book liquidity is less than symbol minimum quantity.")


# CHANGELOG.md, 2023-07-11: "rejects reverse market orders that go over the symbol's `maxQty`"

GREATEST: list[tuple[dict[str, Any], str]] = [
    ({"max_quantity": D("0.5")}, "LOT_SIZE"),
    ({"more_filters": (MarketLotSizeFilter(min_qty=D(0), max_qty=D("0.5"), step_size=D(0)),)}, "MARKET_LOT_SIZE"),
]


@pytest.mark.parametrize(("rules", "name"), GREATEST)
def test_a_quote_amount_that_buys_too_much(rules: dict[str, Any], name: str) -> None:
    client = trading(**rules)
    for _ in range(2):
        client.trade("order.place", **BUY | {"side": "SELL", "price": "100", "quantity": "0.5"})
    market = OF_BTC | {"side": "BUY", "type": "MARKET"}
    assert refused(client, "order.place", **market, quoteOrderQty="51") == (-1013, f"Filter failure: {name}")
    assert client.trade("order.place", **market, quoteOrderQty="50")["status"] == "FILLED"


@pytest.mark.parametrize("nothing", [{"price": "0"}, {"quantity": "0"}])
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_an_order_that_is_worth_nothing(side: str, nothing: dict[str, Any]) -> None:
    client = trading(min_price=D(0), min_quantity=D(0), min_notional=D(0))
    code, message = refused(client, "order.place", **BUY | {"side": side} | nothing)
    assert (code, message) == (-2010, "Price * QTY is zero or less.")


# filters.md, MAX_NUM_ALGO_ORDERS and MAX_NUM_ICEBERG_ORDERS: what is counted are the orders of a list that are such

PAIR: dict[str, Any] = {
    "side": "SELL",
    "quantity": "1",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "200",
    "aboveIcebergQty": "0.5",
    "belowType": "STOP_LOSS",
    "belowStopPrice": "50",
}
ONE = [MaxNumAlgoOrdersFilter(max_num_algo_orders=1), MaxNumIcebergOrdersFilter(max_num_iceberg_orders=1)]


@pytest.mark.parametrize("rule", ONE)
def test_a_list_counts_its_orders_of_a_kind(rule: Filter) -> None:
    client = trading(more_filters=(rule,))
    client.trade("orderList.place.oco", **OF_BTC, **PAIR)
    assert refused(client, "orderList.place.oco", **OF_BTC, **PAIR)[0] == -1013


def test_a_list_of_two_orders_of_a_kind_counts_both() -> None:
    profit = {"aboveType": "TAKE_PROFIT", "abovePrice": None, "aboveIcebergQty": None, "aboveStopPrice": "200"}
    params = {name: value for name, value in (PAIR | profit).items() if value is not None}
    client = trading(more_filters=(MaxNumAlgoOrdersFilter(max_num_algo_orders=1),))
    code, message = refused(client, "orderList.place.oco", **OF_BTC, **params)
    assert (code, message) == (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS")


# faqs/pegged_orders.md, "Which Filters are applicable to pegged orders?"

BOTH: list[tuple[dict[str, Any], str, str]] = [
    (
        {"more_filters": (PercentPriceFilter(multiplier_up=D("1.5"), multiplier_down=D("0.5"), avg_price_mins=0),)},
        "200",
        "PERCENT_PRICE",
    ),
    ({"max_notional": D(150)}, "200", "NOTIONAL"),
    ({}, "200.001", "PRICE_FILTER"),
]


@pytest.mark.parametrize(("rules", "price", "name"), BOTH)
def test_a_pegged_order_passes_with_its_own_price_too(rules: dict[str, Any], price: str, name: str) -> None:
    client = trading(**rules)
    client.trade("order.place", **BUY | {"side": "SELL", "price": "100", "quantity": "1"})
    client.trade("order.place", **BUY | {"price": "100", "quantity": "0.5"})
    client.trade("order.place", **BUY | {"price": "99", "quantity": "0.5"})
    pegged = BUY | {"pegPriceType": "PRIMARY_PEG", "quantity": "1"}
    assert client.trade("order.place", **pegged | {"price": "120"})["peggedPrice"] == "99.00000000"
    code, message = refused(client, "order.place", **pegged | {"price": price})
    assert (code, message) == (-1013, f"Filter failure: {name}")


# errors.md, -1108


@pytest.mark.parametrize(
    ("method", "name"), [("order.status", "orderId"), ("allOrders", "endTime"), ("order.cancel", "orderId")]
)
def test_a_whole_number_has_64_bits(method: str, name: str) -> None:
    client = trading()
    assert refused(client, method, **OF_BTC, **{name: 2**63}) == (-1108, f"Parameter '{name}' overflowed.")
    client.call(method, **OF_BTC, **{name: 2**63 - 1}, timestamp=client.now // 1_000)


# web-socket-api.md, "Place new OCO - Deprecated": "`ACK`, `RESULT`, `FULL` (default)"


def test_the_old_oco_answers_in_full() -> None:
    client = trading()
    old = {"side": "SELL", "price": "200", "quantity": "0.1", "stopPrice": "50"}
    assert all("fills" in one for one in client.trade("orderList.place", **OF_BTC, **old)["orderReports"])
    assert not any("fills" in one for one in client.trade("orderList.place.oco", **OF_BTC, **PAIR)["orderReports"])


# CHANGELOG.md, 2026-04-02: "the request weight only becomes 0 when the order expires because of the amendment"


@pytest.mark.parametrize(("quantity", "status", "weight"), [("0.5", "EXPIRED", 0), ("0.6", "PARTIALLY_FILLED", 4)])
def test_an_amendment_that_ends_its_order_weighs_nothing(quantity: str, status: str, weight: int) -> None:
    client = trading()
    order = client.trade("order.place", **BUY | {"price": "100", "quantity": "1"})
    client.trade("order.place", **BUY | {"side": "SELL", "price": "100", "quantity": "0.5"})
    before = client.budget.weight.count(client.now)
    amended = client.trade("order.amend.keepPriority", **OF_BTC, orderId=order["orderId"], newQty=quantity)
    assert amended["amendedOrder"]["status"] == status
    assert client.budget.weight.count(client.now) - before == weight


# faqs/stp_faq.md, scenarios B and D: the trade group is shown with a match that it prevented


@pytest.mark.parametrize(("group", "shown"), [(1, 1), (-1, None)])
def test_a_trade_group_is_shown_where_it_prevented_a_match(group: int, shown: int | None) -> None:
    client = trading()
    client.exchange.engine.accounts[7].trade_group_id = group
    given = BUY | {"selfTradePreventionMode": "EXPIRE_BOTH", "price": "100", "quantity": "1"}
    maker = client.trade("order.place", **given)
    taker = client.trade("order.place", **given | {"side": "SELL", "quantity": "3"})
    assert "tradeGroupId" not in maker
    assert (taker["status"], taker.get("tradeGroupId")) == ("EXPIRED_IN_MATCH", shown)
    assert [one["makerOrderId"] for one in taker["preventedMatches"]] == [maker["orderId"]]
