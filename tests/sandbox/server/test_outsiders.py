"""Clients that nobody here wrote agree with the sandbox: the exchange's own, with all its methods and each key type."""

from __future__ import annotations

import asyncio
import importlib
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import trio

from bintrio.api._base import catalogue, python_name
from bintrio.sandbox import Sandbox, SandboxAccount, open_sandbox

# Warnings of theirs are not ours.
pytestmark = [pytest.mark.extra, pytest.mark.filterwarnings("ignore")]

D = Decimal
SYMBOL = {"symbol": "BTCUSDT"}
LIMIT = {"type": "LIMIT", "time_in_force": "GTC", "quantity": 0.01}
WORKING = {
    "working_type": "LIMIT",
    "working_side": "BUY",
    "working_price": 40_000,
    "working_quantity": 0.01,
    "working_time_in_force": "GTC",
}
PENDING = {"pending_type": "LIMIT", "pending_side": "SELL", "pending_price": 60_000, "pending_time_in_force": "GTC"}
PENDING_PAIR = {
    "pending_side": "SELL",
    "pending_above_type": "LIMIT_MAKER",
    "pending_above_price": 60_000,
    "pending_below_type": "STOP_LOSS",
    "pending_below_stop_price": 30_000,
}
KINDS: list[dict[str, Any]] = [
    {**LIMIT, "side": "SELL", "price": 60_000},
    {"type": "LIMIT_MAKER", "side": "SELL", "price": 60_000, "quantity": 0.01},
    {"type": "STOP_LOSS", "side": "SELL", "stop_price": 40_000, "quantity": 0.01},
    {**LIMIT, "type": "STOP_LOSS_LIMIT", "side": "SELL", "stop_price": 40_000, "price": 39_000},
    {"type": "TAKE_PROFIT", "side": "SELL", "stop_price": 60_000, "quantity": 0.01},
    {**LIMIT, "type": "TAKE_PROFIT_LIMIT", "side": "SELL", "stop_price": 60_000, "price": 61_000},
    {"type": "STOP_LOSS", "side": "SELL", "trailing_delta": 100, "quantity": 0.01},
    {**LIMIT, "side": "SELL", "price": 60_000, "iceberg_qty": 0.005},
    {**LIMIT, "side": "BUY", "peg_price_type": "PRIMARY_PEG"},
]
LISTS: dict[str, dict[str, Any]] = {
    "orderList.place": {"side": "SELL", "price": 60_000, "quantity": 0.01, "stop_price": 40_000},
    "orderList.place.oco": {
        "side": "SELL",
        "quantity": 0.01,
        "above_type": "LIMIT_MAKER",
        "above_price": 60_000,
        "below_type": "STOP_LOSS",
        "below_stop_price": 40_000,
    },
    "orderList.place.oto": {**WORKING, **PENDING, "pending_quantity": 0.01},
    "orderList.place.otoco": {**WORKING, **PENDING_PAIR, "pending_quantity": 0.01},
    "orderList.place.opo": {**WORKING, **PENDING},
    "orderList.place.opoco": {**WORKING, **PENDING_PAIR},
}


TRIGGERS = {"STOP_LOSS": 40_000, "STOP_LOSS_LIMIT": 40_000, "TAKE_PROFIT": 60_000, "TAKE_PROFIT_LIMIT": 60_000}
"""The price at which an order of `KINDS` stops waiting; one that trails 1 % has passed that at 40,000 too."""


def credentials(account: SandboxAccount, kind: str) -> dict[str, str]:
    """What the client wants to know of a key."""
    if kind == "hmac":
        return {"api_key": account.hmac_key.api_key, "api_secret": account.hmac_secret()}
    key, pem = (account.key, account.ed25519_pem()) if kind == "ed25519" else (account.rsa_key, account.rsa_pem())
    return {"api_key": key.api_key, "private_key": pem.decode()}


class Official:
    """The exchange's own client, by our names of the methods.

    Attributes:
        called: the methods that were answered.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.called: set[str] = set()
        self.events: list[Any] = []

    async def call(self, method: str, **params: Any) -> Any:
        """The result, in the client's own models."""
        answer = _chosen((await self.raw(method, **params)).data())
        assert not isinstance(answer, dict), (method, params, answer)
        self.called.add(method)
        # Of some methods their models have no result; it is among what they do not know.
        unknown: dict[str, Any] = getattr(answer, "additional_properties", {})
        return _chosen(getattr(answer, "result", unknown.get("result")))

    async def refused(self, method: str, **params: Any) -> int:
        """The code of a refusal."""
        code: int = (await self.raw(method, **params)).data()["error"]["code"]
        self.called.add(method)
        return code

    async def raw(self, method: str, **params: Any) -> Any:
        """The client's own answer."""
        name = python_name(method).replace("ticker_24hr", "ticker24hr")
        return await getattr(self._connection, name)(**params)

    async def subscribe(self, method: str) -> None:
        """Follow an account."""
        response = await self.raw(method)
        response.stream.on("message", self.events.append)
        self.called.add(method)

    async def told(self, kind: str, number: int) -> list[str]:
        """The statuses that came by events, in order: of an order, or of a list (its ``listStatus``)."""
        await self.call("ping")  # what was answered before was told before
        events = [_chosen(event) for event in self.events]
        if kind == "order":
            return [event.X for event in events if type(event).__name__ == "ExecutionReport" and event.i == number]
        return [event.L for event in events if type(event).__name__ == "ListStatus" and event.g == number]


def _chosen(model: Any) -> Any:
    """Of several shapes, the one that came."""
    return getattr(model, "actual_instance", None) or model


async def _all_of_it(market: Market, url: str, credentials: dict[str, str], kind: str) -> Official:
    spot: Any = importlib.import_module("binance_sdk_spot.spot")
    configuration = spot.ConfigurationWebSocketAPI(stream_url=url, **credentials)
    connection = await spot.Spot(config_ws_api=configuration).websocket_api.create_connection()
    client = Official(connection)
    try:
        await client.subscribe("userDataStream.subscribe.signature")
        await _look(client)
        await _trade(client)
        await _list(client)
        await _query(client)
        await _live(client, market)
        await _live_in_lists(client, market)
        await _session(client, kind)
    finally:
        await connection.close_connection(close_session=True)
    return client


async def _look(client: Official) -> None:
    for method in ("ping", "time", "session.status"):
        await client.call(method)
    await client.call("exchangeInfo", symbols=["BTCUSDT", "ETHUSDT"])
    for method in ("executionRules", "depth", "trades.recent", "trades.historical", "trades.aggregate", "avgPrice"):
        await client.call(method, **SYMBOL)
    await client.call("blockTrades.historical", from_id=0, **SYMBOL)
    for method in ("klines", "uiKlines"):
        assert len(await client.call(method, interval="1m", **SYMBOL)) == 1
    for method in ("ticker.24hr", "ticker.tradingDay", "ticker", "ticker.price", "ticker.book"):
        await client.call(method, **SYMBOL)
    await client.call("referencePrice", **SYMBOL)
    assert await client.refused("referencePrice.calculation", **SYMBOL) == -2043


async def _trade(client: Official) -> None:
    for kind in KINDS:
        placed = await client.call("order.place", new_order_resp_type="RESULT", **SYMBOL, **kind)
        assert (placed.type, placed.status) == (kind["type"], "NEW")
        await client.call("order.test", **SYMBOL, **kind)
        found = await client.call("order.status", order_id=placed.order_id, **SYMBOL)
        assert (found.status, found.client_order_id) == ("NEW", placed.client_order_id)
        canceled = await client.call("order.cancel", order_id=placed.order_id, **SYMBOL)
        assert canceled.status == "CANCELED"
    for amount in ({"quantity": 0.01}, {"quote_order_qty": 500}):
        bought = await client.call("order.place", side="BUY", type="MARKET", **SYMBOL, **amount)
        assert (bought.status, D(bought.executed_qty)) == ("FILLED", D("0.01"))
    first = await client.call("order.place", side="SELL", price=60_000, **SYMBOL, **LIMIT)
    amended = await client.call("order.amend.keepPriority", order_id=first.order_id, new_qty=0.005, **SYMBOL)
    assert D(amended.amended_order.qty) == D("0.005")
    assert len(await client.call("order.amendments", order_id=first.order_id, **SYMBOL)) == 1
    replaced = {"cancel_replace_mode": "STOP_ON_FAILURE", "cancel_order_id": first.order_id, "price": 61_000}
    outcome = await client.call("order.cancelReplace", side="SELL", **replaced, **SYMBOL, **LIMIT)
    assert (outcome.cancel_result, outcome.new_order_result) == ("SUCCESS", "SUCCESS")
    routed = {"side": "BUY", "type": "MARKET", "quantity": 0.01, **SYMBOL}
    await client.call("sor.order.place", **routed)
    await client.call("sor.order.test", **routed)


async def _list(client: Official) -> None:
    for method, params in LISTS.items():
        placed = await client.call(method, **SYMBOL, **params)
        assert placed.list_order_status == "EXECUTING"
        found = await client.call("orderList.status", order_list_id=placed.order_list_id)
        assert len(found.orders) == len(placed.order_reports)
        await client.call("openOrderLists.status")
        canceled = await client.call("orderList.cancel", order_list_id=placed.order_list_id, **SYMBOL)
        assert canceled.list_order_status == "ALL_DONE"


async def _query(client: Official) -> None:
    assert len(await client.call("openOrders.status", **SYMBOL)) == 1
    assert len(await client.call("openOrders.cancelAll", **SYMBOL)) == 1
    assert len(await client.call("allOrders", **SYMBOL)) > len(KINDS)
    assert len(await client.call("allOrderLists")) == len(LISTS)
    assert len(await client.call("myTrades", **SYMBOL)) == 2
    assert len(await client.call("myAllocations", **SYMBOL)) == 1
    await client.call("myPreventedMatches", prevented_match_id=0, **SYMBOL)
    for method in ("account.commission", "myFilters"):
        await client.call(method, **SYMBOL)
    await client.call("account.rateLimits.orders")
    account = await client.call("account.status", omit_zero_balances=True)
    assert {balance.asset for balance in account.balances} >= {"BTC", "USDT"}


class Market:
    """What the sandbox is told from the client's thread."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def move(self, price: int) -> None:
        """Let the last trade be at a price, with quotes on both sides of it."""
        trio.from_thread.run_sync(self._move, D(price))

    def _move(self, price: Decimal) -> None:
        self._sandbox.quote("BTCUSDT", price, price + 1, D(10))
        self._sandbox.trade("BTCUSDT", "SELL", price, D(1))

    def fill(self, number: int) -> None:
        """Fill an order on the book."""
        trio.from_thread.run_sync(self._sandbox.fill, number)


async def _live(client: Official, market: Market) -> None:
    """Every kind of order, from its placing to its last fill."""
    for kind in KINDS:
        market.move(50_000)
        placed = await client.call("order.place", **SYMBOL, **kind)
        trigger = TRIGGERS.get(kind["type"])
        if trigger is not None:
            market.move(trigger)
        found = await client.call("order.status", order_id=placed.order_id, **SYMBOL)
        if found.status == "NEW":
            market.fill(placed.order_id)
            found = await client.call("order.status", order_id=placed.order_id, **SYMBOL)
        assert (found.status, D(found.executed_qty)) == ("FILLED", D("0.01")), kind
        first, *between, last = await client.told("order", placed.order_id)
        assert (first, last) == ("NEW", "FILLED")
        assert {*between} <= {"NEW", "PARTIALLY_FILLED"}


async def _live_in_lists(client: Official, market: Market) -> None:
    """Every kind of list, until one order has filled and the other has ended."""
    for method, params in LISTS.items():
        market.move(50_000)
        placed = await client.call(method, **SYMBOL, **params)
        numbers = [order.order_id for order in placed.orders]
        if placed.contingency_type == "OTO":
            market.fill(numbers.pop(0))
        # Of a pair, the limit order is the one above; it stands second in what the oldest method answers.
        reports = {report.order_id: report for report in placed.order_reports}
        limit = next(number for number in numbers if reports[number].type in {"LIMIT", "LIMIT_MAKER"})
        market.fill(limit)
        states = [(await client.call("order.status", order_id=number, **SYMBOL)).status for number in sorted(numbers)]
        assert sorted(states) == ["EXPIRED", "FILLED"][2 - len(numbers) :], method
        found = await client.call("orderList.status", order_list_id=placed.order_list_id)
        assert found.list_order_status == "ALL_DONE"
        assert (await client.told("list", placed.order_list_id))[-1] == "ALL_DONE"


async def _session(client: Official, kind: str) -> None:
    assert len(await client.call("session.subscriptions")) == 1
    await client.call("userDataStream.unsubscribe")
    if kind == "ed25519":
        await client.call("session.logon")
        await client.subscribe("userDataStream.subscribe")
        await client.call("session.logout")
    else:
        assert await client.refused("session.logon") == -2015
        with pytest.raises(ValueError, match="-1002"):
            await client.raw("userDataStream.subscribe")
        await client.call("session.logout")


@pytest.mark.parametrize("kind", ["hmac", "rsa", "ed25519"])
async def test_the_exchanges_own_client_runs_all_its_methods(kind: str) -> None:
    pytest.importorskip("binance_sdk_spot", reason="needs the extra bench")
    async with open_sandbox(start_time_ms=None, routes=[("BTCUSDT",)]) as sandbox:
        _quote(sandbox)
        run = partial(_all_of_it, Market(sandbox), sandbox.endpoint.urls[0], credentials(sandbox.account, kind), kind)
        client = await trio.to_thread.run_sync(lambda: asyncio.run(run()))
    assert client.called == catalogue.keys() - (set() if kind == "ed25519" else {"userDataStream.subscribe"})
    assert len(client.events) > 100


def _quote(sandbox: Sandbox) -> None:
    sandbox.trade("BTCUSDT", "SELL", D(50_000), D(10))
    sandbox.trade("BTCUSDT", "BUY", D(50_000), D(1))
    sandbox.trade("BTCUSDT", "BUY", D(49_000), D(1))
