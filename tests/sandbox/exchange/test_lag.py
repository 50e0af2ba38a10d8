"""Which methods answer from a moment ago, where a test asks for that: all that the document lets, but for a few."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bintrio.api._base import catalogue
from bintrio.api.filters import MaxNumOrdersFilter
from bintrio.sandbox.exchange.filters import Scene, compiled
from bintrio.sandbox.exchange.limits import Limits
from bintrio.sandbox.exchange.messages import read_message
from bintrio.sandbox.exchange.orders import Order
from bintrio.sandbox.exchange.reference import External, MeanOfTrades
from tests.sandbox.client import BUY, Client, D

SECOND = 1_000_000
OF_BTC: dict[str, Any] = {"symbol": "BTCUSDT"}
MARKET = OF_BTC | {"side": "SELL", "type": "MARKET", "quantity": "0.10"}

LAGS: dict[str, dict[str, Any]] = {
    "account.rateLimits.orders": {},
    "account.status": {},
    "allOrderLists": {},
    "allOrders": OF_BTC,
    "avgPrice": OF_BTC,
    "blockTrades.historical": OF_BTC | {"fromId": 0},
    "depth": OF_BTC,
    "klines": OF_BTC | {"interval": "1s"},
    "myAllocations": OF_BTC,
    "myPreventedMatches": OF_BTC | {"orderId": 1},
    "myTrades": OF_BTC,
    "openOrderLists.status": {},
    "openOrders.status": OF_BTC,
    "order.amendments": OF_BTC | {"orderId": 1},
    "order.status": OF_BTC | {"orderId": 1},
    "order.test": MARKET,
    "orderList.status": {"origClientOrderId": "pair"},
    "referencePrice": OF_BTC,
    "referencePrice.calculation": OF_BTC,
    "sor.order.test": MARKET,
    "ticker": OF_BTC,
    "ticker.24hr": OF_BTC,
    "ticker.book": OF_BTC,
    "ticker.price": OF_BTC,
    "ticker.tradingDay": OF_BTC,
    "trades.aggregate": OF_BTC,
    "trades.historical": OF_BTC,
    "trades.recent": OF_BTC,
    "uiKlines": OF_BTC | {"interval": "1m"},
}
"""With what each is asked."""

NEVER_CHANGES = "what it tells does not change as long as a sandbox runs"
OF_THE_CONNECTION = "it is about the connection that asks, which knows its own state"
DOES_NOT: dict[str, str] = {
    "account.commission": NEVER_CHANGES,
    "exchangeInfo": NEVER_CHANGES,
    "executionRules": NEVER_CHANGES,
    "myFilters": NEVER_CHANGES,
    "ping": "it tells nothing",
    "session.logon": OF_THE_CONNECTION,
    "session.logout": OF_THE_CONNECTION,
    "session.status": OF_THE_CONNECTION,
    "session.subscriptions": OF_THE_CONNECTION,
    "time": "it is the clock",
    "userDataStream.subscribe.signature": OF_THE_CONNECTION,
}
"""Methods that the document would let answer from a moment ago."""


def no_price(order: Order, minutes: int) -> None:
    """Nothing has traded yet."""


def trader(lag: int) -> Client:
    client = Client(limits=Limits(weight=10**9), returns_rate_limits=False)
    engine = client.exchange.engine
    listing = engine.listings["BTCUSDT"]
    listing.routes = (listing,)
    few = MaxNumOrdersFilter(max_num_orders=3)
    listing.checks = (*listing.checks, *compiled([few], Scene("BTC", "USDT", no_price)))
    client.exchange.replicas.lag = lag
    client.log_on()
    return client


def live(client: Client) -> None:
    """All that any query tells of changes."""
    sell = BUY | {"side": "SELL", "quantity": "0.10"}
    client.trade("order.place", **BUY, newClientOrderId="first")
    client.trade("order.place", **sell)
    client.trade("order.place", **sell | {"selfTradePreventionMode": "EXPIRE_TAKER"})
    client.trade("order.amend.keepPriority", **OF_BTC, origClientOrderId="first", newQty="1.20")
    client.trade("sor.order.place", **MARKET)
    legs = {"aboveType": "LIMIT_MAKER", "abovePrice": "200.00", "belowType": "STOP_LOSS", "belowStopPrice": "50.00"}
    named = {"listClientOrderId": "pair", "side": "SELL", "quantity": "0.10"}
    client.trade("orderList.place.oco", **OF_BTC, **named, **legs)
    client.exchange.trade_block("BTCUSDT", "BUY", D(100), D(1), client.now)
    client.exchange.set_reference("BTCUSDT", MeanOfTrades(bucket_count=1, bucket_width_ms=60_000), client.now)


def answer(client: Client, method: str, **params: Any) -> Any:
    """The result, or the error."""
    if catalogue[method].api.signed:
        params |= {"timestamp": client.now // 1_000}
    message = read_message(json.dumps({"id": 1, "method": method, "params": params}))
    return json.loads(client.exchange.execute(client.session, client.budget, message, client.now).as_bytes())


def test_the_tables_have_all_that_the_document_lets_lag() -> None:
    assert {*LAGS}.isdisjoint(DOES_NOT)
    assert {*LAGS, *DOES_NOT} == {name for name, kind in catalogue.items() if kind.api.is_behind}


@pytest.mark.parametrize("method", LAGS)
def test_a_method_that_lags_tells_what_was(method: str) -> None:
    behind, prompt = trader(lag=2 * SECOND), trader(lag=0)
    before = answer(prompt, method, **LAGS[method])
    assert answer(behind, method, **LAGS[method]) == before
    for client in (behind, prompt):
        live(client)
    assert answer(prompt, method, **LAGS[method]) != before
    assert answer(behind, method, **LAGS[method]) == before
    for client in (behind, prompt):
        client.now += 2 * SECOND
    assert answer(behind, method, **LAGS[method]) == answer(prompt, method, **LAGS[method])


def test_levels_that_are_gone_are_seen_until_then() -> None:
    client = trader(lag=SECOND)
    client.trade("order.place", **BUY)
    client.trade("order.place", **BUY | {"price": "99.00"})
    client.now += SECOND
    client.trade("order.cancel", **OF_BTC, orderId=1)
    assert [one[0] for one in answer(client, "depth", **OF_BTC)["result"]["bids"]] == ["100.00000000", "99.00000000"]
    assert answer(client, "ticker.book", **OF_BTC)["result"]["bidPrice"] == "100.00000000"
    client.now += SECOND
    assert [one[0] for one in answer(client, "depth", **OF_BTC)["result"]["bids"]] == ["99.00000000"]


def test_a_reference_price_that_was_set_is_seen_later() -> None:
    client = trader(lag=SECOND)
    client.exchange.set_reference("BTCUSDT", External(D("100.00000000"), client.now), client.now)
    assert "code" in answer(client, "referencePrice", **OF_BTC)["result"]
    client.now += SECOND
    assert answer(client, "referencePrice", **OF_BTC)["result"]["referencePrice"] == "100.00000000"


def test_what_a_market_showed_before_the_lag_is_seen_with_it() -> None:
    client = trader(lag=0)
    live(client)
    told = {method: answer(client, method, **LAGS[method]) for method in LAGS}
    client.exchange.replicas.lag = SECOND
    assert {method: answer(client, method, **LAGS[method]) for method in LAGS} == told
