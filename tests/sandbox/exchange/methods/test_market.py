"""Market data: what was traded, as every method shows it."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.sandbox.exchange.candles import DAY
from bintrio.sandbox.exchange.tape import MINUTE
from tests.sandbox.client import BUY, NOW, Client, documented

OF_BTC = {"symbol": "BTCUSDT"}


def trade(client: Client, price: str, quantity: str = "1", *, taker: str = "BUY") -> None:
    """A trade at a price; ``taker`` is the side that comes second."""
    maker = "SELL" if taker == "BUY" else "BUY"
    for side in (maker, taker):
        client.trade("order.place", **BUY | {"side": side, "price": price, "quantity": quantity})


@pytest.fixture
def market(client: Client) -> Client:
    """Trades of the symbol at 100, 110 and 90: a day and a minute ago, an hour ago and now; then a bid and an ask."""
    client.now = NOW - DAY - MINUTE
    trade(client, "100")
    client.now = NOW - 60 * MINUTE
    trade(client, "110", taker="SELL")
    client.now = NOW
    trade(client, "90", "2")
    client.trade("order.place", **BUY | {"price": "89"})
    client.trade("order.place", **BUY | {"price": "91", "side": "SELL"})
    return client


# The book


def test_depth(client: Client) -> None:
    client.trade("order.place", **BUY)
    client.trade("order.place", **BUY | {"side": "SELL", "price": "101"})
    book = client.result("depth", symbol="BTCUSDT", limit=1)
    assert book["bids"] == [["100.00000000", "1.50000000"]]
    assert book["asks"] == [["101.00000000", "1.50000000"]]
    assert client.error("depth", symbol="NOPE") == (400, -1121, "Invalid symbol.")
    assert client.error("depth", symbol="BTCUSDT", limit=0)[1] == -1130
    # Changelog of 2022-02-24: "if the limit provided is greater than 5000, then the response will be truncated"
    assert client.result("depth", symbol="BTCUSDT", limit=5_001).keys() == book.keys()
    assert client.error("depth", symbol="BTCUSDT", symbolStatus="HALT")[1] == -1220


# Trades


def test_trades(market: Client) -> None:
    newest = market.result("trades.recent", **OF_BTC, limit=1)
    assert newest == [
        {
            "id": 3,
            "price": "90.00000000",
            "qty": "2.00000000",
            "quoteQty": "180.00000000",
            "time": NOW // 1_000,
            "isBuyerMaker": False,
            "isBestMatch": True,
        }
    ]
    assert newest[0].keys() == documented("trades.recent").keys()
    assert market.result("trades.historical", **OF_BTC, limit=1) == newest
    assert [found["id"] for found in market.result("trades.historical", **OF_BTC, fromId=0, limit=2)] == [1, 2]
    assert market.result("trades.recent", symbol="ETHUSDT") == []
    assert market.error("trades.recent", symbol="NOPE") == (400, -1121, "Invalid symbol.")


def test_trade_ids_are_those_of_the_symbol(client: Client) -> None:
    client.trade("order.place", **BUY | {"side": "SELL"})
    fills = client.trade("order.place", **BUY | {"quantity": "1"})["fills"]
    eth = BUY | {"symbol": "ETHUSDT", "price": "5"}
    client.exchange.transfer(7, "ETH", client.account.balances["BTC"], NOW)
    client.trade("order.place", **eth | {"side": "SELL"})
    assert fills[0]["tradeId"] == client.trade("order.place", **eth)["fills"][0]["tradeId"] == 1


def test_aggregate_trades(market: Client) -> None:
    market.trade("order.place", **BUY | {"price": "89", "side": "SELL", "quantity": "0.5"})
    market.trade("order.place", **BUY | {"price": "89", "quantity": "1"})
    market.trade("order.place", **BUY | {"price": "89", "side": "SELL", "quantity": "2"})
    last = market.result("trades.aggregate", **OF_BTC, limit=1)[0]
    assert (last["a"], last["f"], last["l"], last["q"], last["m"]) == (5, 5, 6, "2.00000000", True)
    assert last.keys() == documented("trades.aggregate").keys()

    def chosen(**params: int) -> list[int]:
        return [found["a"] for found in market.result("trades.aggregate", **OF_BTC, **params)]

    assert chosen(fromId=2, limit=2) == [2, 3]
    assert chosen(startTime=(NOW - DAY) // 1_000, limit=1) == [2]
    assert chosen(endTime=(NOW - MINUTE) // 1_000, limit=1) == [2]
    assert chosen(startTime=(NOW - 2 * DAY) // 1_000, endTime=(NOW - MINUTE) // 1_000) == [1, 2]
    assert market.error("trades.aggregate", **OF_BTC, fromId=1, startTime=1)[1] == -1128


def test_there_are_no_block_trades(client: Client) -> None:
    assert client.result("blockTrades.historical", **OF_BTC, fromId=0) == []
    assert client.error("blockTrades.historical", symbol="NOPE", fromId=0)[1] == -1121


# Candles


@pytest.mark.parametrize("method", ["klines", "uiKlines"])
def test_candles(market: Client, method: str) -> None:
    before, last = market.result(method, **OF_BTC, interval="1h", limit=2)
    assert before[1:6] == ["110.00000000"] * 4 + ["1.00000000"]
    assert before[6] + 1 == last[0]
    assert last[0] % 3_600_000 == 0
    assert last[7:] == ["180.00000000", 1, "2.00000000", "180.00000000", "0"]
    assert len(market.result(method, **OF_BTC, interval="1h")) == 25 + 1
    first = market.result(method, **OF_BTC, interval="1d", timeZone="-1", startTime=0, limit=1)[0]
    assert first[0] % 86_400_000 == 3_600_000
    assert first[4] == "100.00000000"


def test_candles_that_nobody_makes(market: Client) -> None:
    assert market.error("klines", **OF_BTC, interval="7m") == (400, -1120, "Invalid interval.")
    assert market.error("klines", **OF_BTC, interval="1d", timeZone="15")[1] == -1130
    assert market.error("klines", **OF_BTC, interval="1d", timeZone="UTC")[1] == -1100
    assert market.result("klines", symbol="ETHUSDT", interval="1d") == []


def test_the_average_price_of_five_minutes(market: Client) -> None:
    market.trade("order.place", **BUY | {"price": "91", "quantity": "1"})
    found = market.result("avgPrice", **OF_BTC)
    assert found == {"mins": 5, "price": "90.33333333", "closeTime": NOW // 1_000}
    assert found.keys() == documented("avgPrice").keys()
    market.now += 10 * MINUTE
    assert market.result("avgPrice", **OF_BTC) == found | {"price": "91.00000000"}
    assert market.result("avgPrice", symbol="ETHUSDT") == {"mins": 5, "price": "0.00000000", "closeTime": 0}


# Tickers


def test_the_last_24_hours(market: Client) -> None:
    found = market.result("ticker.24hr", **OF_BTC)
    assert found == {
        "symbol": "BTCUSDT",
        "priceChange": "-20.00000000",
        "priceChangePercent": "-18.182",
        "weightedAvgPrice": "96.66666666",
        "prevClosePrice": "100.00000000",
        "lastPrice": "90.00000000",
        "lastQty": "2.00000000",
        "bidPrice": "89.00000000",
        "bidQty": "1.50000000",
        "askPrice": "91.00000000",
        "askQty": "1.50000000",
        "openPrice": "110.00000000",
        "highPrice": "110.00000000",
        "lowPrice": "90.00000000",
        "volume": "3.00000000",
        "quoteVolume": "290.00000000",
        "openTime": (NOW - DAY) // 1_000,
        "closeTime": NOW // 1_000,
        "firstId": 2,
        "lastId": 3,
        "count": 2,
    }
    assert found.keys() == documented("ticker.24hr", "response-full").keys()
    mini = market.result("ticker.24hr", **OF_BTC, type="MINI")
    assert mini == {name: found[name] for name in documented("ticker", "response-mini")}


def test_the_last_24_hours_without_a_trade(market: Client) -> None:
    market.now += 2 * DAY
    found = market.result("ticker.24hr", **OF_BTC)
    assert (found["lastPrice"], found["prevClosePrice"], found["openPrice"]) == (
        "90.00000000",
        "90.00000000",
        "0.00000000",
    )
    assert (found["priceChangePercent"], found["weightedAvgPrice"], found["count"]) == ("0.000", "0.00000000", 0)
    assert (found["firstId"], found["lastId"], found["lastQty"]) == (-1, -1, "0.00000000")
    never = market.result("ticker.24hr", symbol="ETHUSDT")
    assert never["lastPrice"] == never["prevClosePrice"] == never["bidPrice"] == "0.00000000"


def test_the_first_day_has_no_close_before_it(client: Client) -> None:
    trade(client, "100")
    assert client.result("ticker.24hr", **OF_BTC)["prevClosePrice"] == "100.00000000"


def test_a_rolling_window_opens_with_a_minute(market: Client) -> None:
    found = market.result("ticker", **OF_BTC, windowSize="1h")
    assert found["openTime"] == (NOW - 60 * MINUTE) // MINUTE * MINUTE // 1_000
    assert (found["closeTime"], found["count"]) == (NOW // 1_000, 2)
    assert found.keys() == documented("ticker", "response-full").keys()
    market.now = NOW + 1_000_000
    assert market.result("ticker", **OF_BTC, windowSize="59m")["count"] == 1
    market.now = NOW
    assert market.result("ticker", **OF_BTC)["firstId"] == 2
    market.now = NOW - 1_000_000
    assert market.result("ticker", **OF_BTC)["firstId"] == 1
    mini = market.result("ticker", **OF_BTC, windowSize="7d", type="MINI")
    assert mini["firstId"] == 1
    assert mini.keys() == documented("ticker", "response-mini").keys()


@pytest.mark.parametrize(("zone", "hours"), [(None, 0), ("-3", 3), ("+5:30", 18.5)])
def test_the_trading_day(market: Client, zone: str | None, hours: float) -> None:
    more = {} if zone is None else {"timeZone": zone}
    found = market.result("ticker.tradingDay", **OF_BTC, **more)
    assert found["openTime"] % 86_400_000 == hours * 3_600_000
    assert found["closeTime"] - found["openTime"] == 86_399_999
    assert found["openTime"] <= NOW // 1_000 <= found["closeTime"]
    mini = market.result("ticker.tradingDay", **OF_BTC, type="MINI", **more)
    assert mini.keys() == documented("ticker.tradingDay", "response-mini-symbol").keys()


def test_prices_and_best_offers(market: Client) -> None:
    assert market.result("ticker.price", **OF_BTC) == {"symbol": "BTCUSDT", "price": "90.00000000"}
    best = market.result("ticker.book", **OF_BTC)
    assert best == {
        "symbol": "BTCUSDT",
        "bidPrice": "89.00000000",
        "bidQty": "1.50000000",
        "askPrice": "91.00000000",
        "askQty": "1.50000000",
    }
    assert best.keys() == documented("ticker.book").keys()
    assert market.result("ticker.book", symbol="ETHUSDT")["askQty"] == "0.00000000"


@pytest.mark.parametrize("method", ["ticker.24hr", "ticker.price", "ticker.book", "ticker", "ticker.tradingDay"])
def test_of_one_symbol_or_several(client: Client, method: str) -> None:
    def names(**params: Any) -> list[str]:
        return [found["symbol"] for found in client.result(method, **params)]

    assert names(symbols=["OLDUSDT", "BTCUSDT"]) == ["OLDUSDT", "BTCUSDT"]
    assert names(symbols=["OLDUSDT", "BTCUSDT"], symbolStatus="TRADING") == ["BTCUSDT"]
    assert client.result(method, symbol="OLDUSDT", symbolStatus="BREAK")["symbol"] == "OLDUSDT"
    assert client.error(method, symbol="OLDUSDT", symbolStatus="TRADING")[1] == -1220
    assert client.error(method, symbol="NOPE")[1] == client.error(method, symbols=["NOPE"])[1] == -1121
    assert client.error(method, symbol="BTCUSDT", symbols=["ETHUSDT"])[1] == -1128


@pytest.mark.parametrize("method", ["ticker.24hr", "ticker.price", "ticker.book"])
def test_of_all_symbols(client: Client, method: str) -> None:
    found = client.result(method)
    assert [one["symbol"] for one in found] == ["BTCUSDT", "ETHUSDT", "BNBBTC"]


# Reference prices


def test_no_symbol_has_a_reference_price(client: Client) -> None:
    words = "This symbol doesn't have a reference price."
    assert client.result("referencePrice", **OF_BTC) == {"code": -2043, "msg": words}
    assert client.error("referencePrice.calculation", **OF_BTC) == (400, -2043, words)
    assert client.error("referencePrice", symbol="NOPE")[1] == -1121
    assert client.error("referencePrice.calculation", **OF_BTC, symbolStatus="HALT")[1] == -1220
