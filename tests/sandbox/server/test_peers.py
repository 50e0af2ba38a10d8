"""Clients that others wrote trade in the sandbox as they do at the exchange: python-binance and ccxt.pro, in part."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

from bintrio.sandbox import Sandbox, SandboxAccount, open_sandbox

# Warnings of theirs are not ours.
pytestmark = [pytest.mark.extra, pytest.mark.filterwarnings("ignore")]

D = Decimal
SYMBOL = {"symbol": "BTCUSDT"}
MARKETS = Path(__file__).parents[2] / "data" / "examples" / "exchangeInfo" / "response.json"


async def against(peer: Callable[[str, SandboxAccount], Awaitable[None]]) -> Sandbox:
    """Let a client of asyncio run against a sandbox on a socket."""
    async with open_sandbox(start_time_ms=None, routes=[("BTCUSDT",)]) as sandbox:
        sandbox.trade("BTCUSDT", "SELL", D(50_000), D(10))
        sandbox.trade("BTCUSDT", "BUY", D(50_000), D(1))
        sandbox.trade("BTCUSDT", "BUY", D(49_000), D(10))
        url, account = sandbox.endpoint.urls[0], sandbox.account
        await trio.to_thread.run_sync(lambda: asyncio.run(_whole(peer, url, account)))
    return sandbox


async def _whole(peer: Callable[[str, SandboxAccount], Awaitable[None]], url: str, account: SandboxAccount) -> None:
    await asyncio.wait_for(peer(url, account), 60)  # a client that waits for ever is not to hang the suite


# python-binance


async def _python_binance(url: str, account: SandboxAccount) -> None:
    binance: Any = importlib.import_module("binance")
    # Not `AsyncClient.create`, which asks the exchange over REST first.
    client = binance.AsyncClient(account.hmac_key.api_key, account.hmac_secret())
    client.ws_api._url, client.ws_api._path = url, ""
    try:
        await _look_as_python_binance(client)
        socket = binance.BinanceSocketManager(client).user_socket()
        async with socket:
            await _trade_as_python_binance(client)
            events = [await socket.recv() for _ in range(8)]
        assert {event["e"] for event in events} == {"executionReport", "outboundAccountPosition"}
        await _list_as_python_binance(client)
        await _query_as_python_binance(client)
        with pytest.raises(binance.exceptions.BinanceAPIException) as refused:
            await client.ws_get_order(orderId=10**9, **SYMBOL)
        assert (refused.value.status_code, refused.value.code) == (400, -2013)
    finally:
        # Left to itself, closing waits for a read that nothing will end.
        await client.session.close()


async def _look_as_python_binance(client: Any) -> None:
    assert await client.ws_ping() == {}
    assert (await client.ws_get_time())["serverTime"] > 10**12
    info = await client.ws_get_exchange_info(**SYMBOL)
    assert [symbol["symbol"] for symbol in info["symbols"]] == ["BTCUSDT"]
    book = await client.ws_get_order_book(limit=5, **SYMBOL)
    assert [D(book[side][0][0]) for side in ("bids", "asks")] == [D(49_000), D(50_000)]
    for trades in (client.ws_get_recent_trades, client.ws_get_historical_trades, client.ws_get_aggregate_trades):
        assert len(await trades(**SYMBOL)) == 1
    for bars in (client.ws_get_klines, client.ws_get_uiKlines):
        assert len(await bars(interval="1m", **SYMBOL)) == 1
    for ticker in (client.ws_get_ticker, client.ws_get_trading_day_ticker, client.ws_get_symbol_ticker_window):
        assert D((await ticker(**SYMBOL))["lastPrice"]) == 50_000
    assert D((await client.ws_get_avg_price(**SYMBOL))["price"]) == 50_000
    assert D((await client.ws_get_symbol_ticker(**SYMBOL))["price"]) == 50_000
    assert D((await client.ws_get_orderbook_ticker(**SYMBOL))["bidPrice"]) == 49_000


async def _trade_as_python_binance(client: Any) -> None:
    placed = await client.ws_order_limit_sell(quantity="0.01", price="60000", **SYMBOL)
    assert (await client.ws_get_order(orderId=placed["orderId"], **SYMBOL))["status"] == "NEW"
    replaced = await client.ws_cancel_and_replace_order(
        side="SELL",
        type="LIMIT",
        timeInForce="GTC",
        cancelReplaceMode="STOP_ON_FAILURE",
        cancelOrderId=placed["orderId"],
        price="61000",
        quantity="0.01",
        **SYMBOL,
    )
    assert replaced["cancelResult"] == replaced["newOrderResult"] == "SUCCESS"
    number = replaced["newOrderResponse"]["orderId"]
    assert (await client.ws_cancel_order(orderId=number, **SYMBOL))["status"] == "CANCELED"
    bought = await client.ws_order_market_buy(quantity="0.01", **SYMBOL)
    assert bought["status"] == "FILLED"


async def _list_as_python_binance(client: Any) -> None:
    oco = await client.ws_create_oco_order(
        side="SELL",
        quantity="0.01",
        aboveType="LIMIT_MAKER",
        abovePrice="60000",
        belowType="STOP_LOSS",
        belowStopPrice="40000",
        **SYMBOL,
    )
    assert len(oco["orders"]) == 2
    assert (await client.ws_get_oco_order(orderListId=oco["orderListId"]))["listOrderStatus"] == "EXECUTING"
    assert len(await client.ws_get_oco_open_orders()) == 1
    canceled = await client.ws_cancel_oco_order(orderListId=oco["orderListId"], **SYMBOL)
    assert canceled["listOrderStatus"] == "ALL_DONE"
    oto = await client.ws_create_oto_order(
        workingType="LIMIT",
        workingSide="BUY",
        workingPrice="40000",
        workingQuantity="0.01",
        workingTimeInForce="GTC",
        pendingType="LIMIT",
        pendingSide="SELL",
        pendingPrice="60000",
        pendingQuantity="0.01",
        pendingTimeInForce="GTC",
        **SYMBOL,
    )
    assert [report["status"] for report in oto["orderReports"]] == ["NEW", "PENDING_NEW"]
    assert len(await client.ws_cancel_all_open_orders(**SYMBOL)) == 1


async def _query_as_python_binance(client: Any) -> None:
    account = await client.ws_get_account()
    assert {balance["asset"] for balance in account["balances"]} >= {"BTC", "USDT"}
    assert await client.ws_get_open_orders(**SYMBOL) == []
    assert len(await client.ws_get_all_orders(**SYMBOL)) == 7
    assert len(await client.ws_get_my_trades(**SYMBOL)) == 1
    assert await client.ws_get_allocations(**SYMBOL) == []
    assert (await client.ws_get_commission_rates(**SYMBOL))["symbol"] == "BTCUSDT"
    assert {limit["rateLimitType"] for limit in await client.ws_get_account_rate_limits_orders()} == {"ORDERS"}
    assert (await client.ws_create_test_order(side="BUY", type="MARKET", quantity="0.01", **SYMBOL)) == {}
    routed = {"side": "BUY", "type": "MARKET", "quantity": "0.01", **SYMBOL}
    assert (await client.ws_create_sor_order(**routed))[0]["usedSor"] is True
    assert await client.ws_create_test_sor_order(**routed) == {}


async def test_python_binance_trades_and_follows_its_account() -> None:
    pytest.importorskip("binance", reason="needs the extra bench")
    sandbox = await against(_python_binance)
    assert "unknown method" not in sandbox.received
    assert len(sandbox.received) >= 35


# ccxt.pro


async def _ccxt(url: str, account: SandboxAccount) -> None:
    pro: Any = importlib.import_module("ccxt.pro")
    exchange = pro.binance({"apiKey": account.hmac_key.api_key, "secret": account.hmac_secret()})
    # The markets are given, not loaded over REST.
    exchange.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}
    exchange.urls["api"]["ws"]["ws-api"]["spot"] = url
    symbol = json.loads(MARKETS.read_text(encoding="utf-8"))["result"]["symbols"][0]
    market = symbol | {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT"}
    exchange.set_markets([exchange.parse_market(market)])
    try:
        await _look_as_ccxt(exchange)
        await _trade_as_ccxt(exchange, pro)
    finally:
        await exchange.close()


async def _look_as_ccxt(exchange: Any) -> None:
    assert len(await exchange.fetch_trades_ws("BTC/USDT")) == 1
    assert len(await exchange.fetch_ohlcv_ws("BTC/USDT", "1m")) == 1


async def _trade_as_ccxt(exchange: Any, pro: Any) -> None:
    await exchange.ensure_user_data_stream_ws_subscribe_signature("spot")
    watching = asyncio.create_task(exchange.watch_orders("BTC/USDT"))
    await asyncio.sleep(0)  # it begins to watch
    placed = await exchange.create_order_ws("BTC/USDT", "limit", "sell", 0.01, 60_000)
    assert placed["status"] == "open"
    assert [(order["id"], order["status"]) for order in await watching] == [(placed["id"], "open")]
    assert (await exchange.fetch_order_ws(placed["id"], "BTC/USDT"))["remaining"] == 0.01
    edited = await exchange.edit_order_ws(placed["id"], "BTC/USDT", "limit", "sell", 0.02, 61_000)
    assert (edited["price"], edited["amount"]) == (61_000, 0.02)
    assert [order["id"] for order in await exchange.fetch_open_orders_ws("BTC/USDT")] == [edited["id"]]
    assert (await exchange.cancel_order_ws(edited["id"], "BTC/USDT"))["status"] == "canceled"
    bought = await exchange.create_order_ws("BTC/USDT", "market", "buy", 0.01)
    assert (bought["status"], bought["average"]) == ("closed", 50_000)
    stop = await exchange.create_order_ws("BTC/USDT", "limit", "sell", 0.01, 39_000, {"stopPrice": 40_000})
    assert stop["status"] == "open"
    canceled: Sequence[Any] = await exchange.cancel_all_orders_ws("BTC/USDT")
    assert [order["id"] for order in canceled] == [stop["id"]]
    assert len(await exchange.fetch_orders_ws("BTC/USDT")) == 4
    assert len(await exchange.fetch_my_trades_ws("BTC/USDT")) == 1
    account = (await exchange.fetch_balance_ws())["info"]  # what it makes of a spot account is empty
    assert {balance["asset"] for balance in account["balances"]} >= {"BTC", "USDT"}
    with pytest.raises(pro.InsufficientFunds):
        await exchange.create_order_ws("BTC/USDT", "limit", "sell", 149, 60_000)


async def test_ccxt_trades() -> None:
    pytest.importorskip("ccxt", reason="needs the extra bench")
    sandbox = await against(_ccxt)
    assert "unknown method" not in sandbox.received
    assert len(sandbox.orders) == 4
