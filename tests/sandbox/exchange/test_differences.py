"""Where users found the sandbox to differ from the exchange: one test each, by what the document says or what was seen.

Lines are those of the exchange's documents at commit a5e0bc3d (July 2026).
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from bintrio.api.general import ExchangeInfo
from bintrio.api.trading import OrderPlace
from bintrio.sandbox.exchange.auth import SandboxAccount
from bintrio.sandbox.exchange.commissions import Commissions
from bintrio.sandbox.exchange.exchange import Exchange
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.messages import Number, read_message
from bintrio.sandbox.exchange.refusals import Refusal
from bintrio.sandbox.exchange.symbols import SYMBOLS
from bintrio.sandbox.exchange.validation import read_request
from tests.sandbox.client import BUY, Client

OF_BTC = {"symbol": "BTCUSDT"}
SELL = BUY | {"side": "SELL", "quantity": "1", "price": "100.00"}
BID: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
EATS = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "newOrderRespType": "FULL"}


@pytest.fixture
def client() -> Client:
    client = Client(limits=Limits(weight=10**6, orders_per_10_seconds=10**6))
    client.log_on()
    return client


def code_of(client: Client, message: str | bytes) -> int | None:
    """Of the answer to a message as it stands."""
    try:
        incoming = read_message(message)
    except Refusal as refusal:
        return refusal.code
    error = client.exchange.execute(client.session, client.budget, incoming, client.now).error
    return None if error is None else int(error["code"])


def followed(client: Client) -> list[dict[str, Any]]:
    return [event["event"] for event in client.events()]


def test_a_market_order_by_amount_beyond_the_book_expires(client: Client) -> None:
    """faqs/stp_faq.md, line 621: "expires [...] with status EXPIRED, due to low liquidity on the order book"."""
    client.trade("order.place", **SELL)
    order = client.trade("order.place", **EATS, quoteOrderQty="500")
    assert (order["status"], order["executedQty"]) == ("EXPIRED", "1.00000000")
    client.trade("order.place", **SELL)
    whole = client.trade("order.place", **EATS, quoteOrderQty="99.9999")  # what is left is less than a lot
    assert whole["status"] == "FILLED"


def test_who_expires_says_why(client: Client) -> None:
    """web-socket-api.md, line 3982: "Cause of the order's expiration". user-data-stream.md: ``eR``."""
    client.result("userDataStream.subscribe")
    order = client.trade("order.place", **EATS, quantity="1")
    assert (order["status"], order["expiryReason"]) == ("EXPIRED", "INSUFFICIENT_LIQUIDITY")
    assert client.trade("order.status", **OF_BTC, orderId=order["orderId"])["expiryReason"] == "INSUFFICIENT_LIQUIDITY"
    reports = [event for event in followed(client) if event["e"] == "executionReport"]
    assert [report.get("eR") for report in reports] == [None, "INSUFFICIENT_LIQUIDITY"]
    acknowledged = client.trade("order.place", **EATS | {"newOrderRespType": "ACK"}, quantity="1")
    assert "expiryReason" not in acknowledged


@pytest.mark.parametrize("number", ["1e2", "1E2", "1.5e-3"])
def test_an_exponent_is_an_illegal_character(number: str) -> None:
    """Recorded of many clients, as binance-connector-python#148: "-1100 Illegal characters found in parameter"."""
    client = Client()
    signed = client.signed(**BUY | {"price": Number(number)})
    message = json.dumps({"id": 1, "method": "order.place", "params": signed}).replace(f'"{number}"', number)
    assert code_of(client, message) == -1100


def test_the_history_of_orders_goes_by_the_last_update(client: Client) -> None:
    """web-socket-api.md, line 7270: "filtered by `time` of the last execution status update"."""
    first, second = (client.trade("order.place", **BUY)["orderId"] for _ in range(2))
    client.now += 5_000_000
    client.trade("order.cancel", **OF_BTC, orderId=first)
    start = client.now // 1_000 - 1
    assert [one["orderId"] for one in client.trade("allOrders", **OF_BTC, startTime=start)] == [first]
    assert [one["orderId"] for one in client.trade("allOrders", **OF_BTC)] == [first, second]


@pytest.mark.parametrize("ending", ["userDataStream.unsubscribe", "session.logout"])
def test_the_end_of_a_subscription_is_told(client: Client, ending: str) -> None:
    """user-data-stream.md, lines 327 to 330."""
    number = client.result("userDataStream.subscribe")["subscriptionId"]
    client.result(ending)
    (event,) = client.events()
    assert (event["subscriptionId"], event["event"]["e"]) == (number, "eventStreamTerminated")


def test_names_of_symbols_are_upper_case(client: Client) -> None:
    """web-socket-api.md, line 122: "All field names and values are case-sensitive"."""
    assert client.error("depth", symbol="btcusdt")[1] == -1100


def test_a_parameter_is_sent_once(client: Client) -> None:
    """errors.md, line 79: "Duplicate values for a parameter detected"."""
    twice = '{"id": 1, "method": "depth", "params": {"symbol": "BTCUSDT", "symbol": "BTCUSDT"}}'
    assert code_of(client, twice) == -1101


@pytest.mark.parametrize("method", ["ticker.24hr", "ticker.tradingDay", "ticker"])
def test_a_ticker_has_one_of_two_types(client: Client, method: str) -> None:
    """errors.md, line 168."""
    assert client.error(method, **OF_BTC, type="SMALL") == (400, -1139, "Invalid ticker type.")


def test_permission_sets_are_shown_unless_they_are_not_wanted(client: Client) -> None:
    """web-socket-api.md, line 1494: "whether the content of the `permissionSets` field is populated or not"."""
    assert client.result("exchangeInfo", **OF_BTC)["symbols"][0]["permissionSets"] == [["SPOT"]]
    hidden = client.result("exchangeInfo", **OF_BTC, showPermissionSets=False)["symbols"][0]
    assert hidden["permissionSets"] == []


@pytest.mark.parametrize("method", ["ticker.24hr", "ticker.price", "ticker.book"])
def test_tickers_of_all_symbols_leave_out_what_is_not_trading(client: Client, method: str) -> None:
    """web-socket-api.md, lines 2353, 3044 and 3166: "all symbols currently trading on the exchange"."""
    assert [one["symbol"] for one in client.result(method)] == [symbol.name for symbol in SYMBOLS]
    assert [one["symbol"] for one in client.result(method, symbolStatus="BREAK")] == ["OLDUSDT"]
    assert client.result(method, symbol="OLDUSDT")["symbol"] == "OLDUSDT"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "MARKET", "price": ..., "timeInForce": ...}, "This order type may not use pegged price."),
        ({"type": "LIMIT_MAKER", "timeInForce": ...}, "This price peg cannot be used with this order type."),
        ({}, "Order book liquidity is too low for this pegged order."),
    ],
)
def test_pegged_orders_are_refused_in_words_of_their_own(client: Client, changes: dict[str, Any], message: str) -> None:
    """errors.md, lines 409 to 411."""
    params = BUY | {"pegPriceType": "MARKET_PEG", "timestamp": client.now // 1_000} | changes
    given = {name: value for name, value in params.items() if value is not ...}
    assert client.error("order.place", **given) == (400, -2010, message)


def test_no_book_is_deeper_than_five_thousand(client: Client) -> None:
    """CHANGELOG.md, line 2340: "If the limit provided is greater than 5000, then the response will be truncated"."""
    client.exchange.open_account(SandboxAccount(8, {"USDT": Decimal(10**6)}))
    for cents in range(5_001):
        price = Decimal(10_000 + cents) / 100
        client.exchange.place(8, OrderPlace(**BID, price=price, quantity=Decimal("0.1")), client.now)
    before = client.budget.weight.count(client.now)
    bids = client.result("depth", **OF_BTC, limit=5_001)["bids"]
    assert (len(bids), bids[0][0], bids[-1][0]) == (5_000, "150.00000000", "100.01000000")
    assert client.budget.weight.count(client.now) - before == 250


def test_reports_of_market_orders_say_whether_they_are_on_the_book(client: Client) -> None:
    """faqs/market_orders_faq.md, lines 86 to 125: ``w`` and ``M`` of the new order, and of its trade."""
    client.trade("order.place", **SELL)
    client.result("userDataStream.subscribe")
    client.trade("order.place", **EATS, quantity="1")
    bought = [event for event in followed(client) if event["e"] == "executionReport" and event["S"] == "BUY"]
    assert [(event["x"], event["w"], event["M"]) for event in bought] == [("NEW", True, False), ("TRADE", False, True)]


def test_a_session_has_a_thousand_subscriptions(client: Client) -> None:
    """web-socket-api.md, line 8187: "up to 1,000 active subscriptions simultaneously"."""
    for uid in range(1_000):
        client.session.subscribe(1_000 + uid, by_logon=False)
    assert client.error("userDataStream.subscribe") == (
        400,
        -1130,
        "Too many active subscriptions; current limit is 1000.",
    )


def test_a_request_needs_an_id(client: Client) -> None:
    """web-socket-api.md, line 158: ``id`` is mandatory, and may be null."""
    assert code_of(client, '{"method": "ping"}') == -1102
    assert code_of(client, '{"id": null, "method": "ping"}') is None


def test_an_id_may_be_longer_than_36_characters(client: Client) -> None:
    """web-socket-api.md, line 162: "truly arbitrary"."""
    assert code_of(client, json.dumps({"id": "x" * 400, "method": "ping"})) is None


def test_requests_come_in_text_frames(client: Client) -> None:
    """web-socket-api.md, "Request format": "Requests must be sent as JSON in text frames"."""
    assert code_of(client, b'{"id": 1, "method": "ping"}') == -1135


@pytest.mark.parametrize(("flag", "is_shown"), [("true", True), ("false", False), (True, True), (False, False)])
def test_a_boolean_may_be_a_string(client: Client, flag: Any, is_shown: bool) -> None:
    """Reported, unverified: line 459 of web-socket-api.md has booleans only."""
    assert ("rateLimits" in client.call("ping", returnRateLimits=flag)) is is_shown


def test_parameters_are_an_object(client: Client) -> None:
    """web-socket-api.md, line 160: ``params`` is an OBJECT. That the code is this one: reported, unverified."""
    assert code_of(client, '{"id": 1, "method": "ping", "params": []}') == -1135


@pytest.mark.parametrize(
    ("params", "weight"),
    [
        ({"symbol": "NOPE", "orderId": 1}, 2),
        ({"symbol": "BTCUSDT", "preventedMatchId": 1}, 2),
        ({"symbol": "BTCUSDT", "orderId": 1}, 20),
    ],
)
def test_the_weight_of_prevented_matches_depends_on_what_is_asked(
    client: Client, params: dict[str, Any], weight: int
) -> None:
    """web-socket-api.md, lines 7841 to 7843."""
    before = client.budget.weight.count(client.now)
    client.call("myPreventedMatches", timestamp=client.now // 1_000, **params)
    assert client.budget.weight.count(client.now) - before == weight


@pytest.mark.parametrize("routes", [[], [("BTCUSDT",)]], ids=["none", "one"])
def test_routes_are_listed_only_where_there_are_any(client: Client, routes: Any) -> None:
    """faqs/sor_faq.md, lines 337 and 338: "It is omitted in responses if SOR is not available"."""
    client.exchange = Exchange(SYMBOLS, Limits(), routes=routes)
    assert ("sors" in client.result("exchangeInfo")) is bool(routes)


def test_lists_may_come_as_json_text() -> None:
    """Reported, unverified: the exchange's own client sends ``symbols`` and ``permissions`` so."""
    by_name: Any = read_request(ExchangeInfo, {"symbols": '["BTCUSDT"]'})
    by_permission: Any = read_request(ExchangeInfo, {"permissions": '["SPOT"]'})
    assert (by_name.symbols, by_permission.permissions) == (("BTCUSDT",), ("SPOT",))


def test_no_commission_is_written_with_eight_decimals(client: Client) -> None:
    """sor_faq.md, lines 58, 122 and 131: `"commission": "0.00000000"`."""
    for account in client.exchange.engine.accounts.values():
        account.commissions = Commissions()
    client.trade("order.place", **SELL)
    order = client.trade("order.place", **EATS, quantity="1")
    assert [fill["commission"] for fill in order["fills"]] == ["0.00000000"]
    assert {trade["commission"] for trade in client.trade("myTrades", **OF_BTC)} == {"0.00000000"}
