"""ccxt.pro: aiohttp; answers are dicts in ccxt's own terms."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import API_KEY, API_SECRET, PRICE, QUANTITY, Client, Tell

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

LOOP: Final = "asyncio"
SYMBOLS: Final = Path(__file__).parents[2] / "tests" / "data" / "examples" / "exchangeInfo" / "response.json"
pro: Any = importlib.import_module("ccxt.pro")


class CcxtClient(Client):
    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange

    async def order(self, client_order_id: str | None = None) -> object:
        given = {} if client_order_id is None else {"newClientOrderId": client_order_id}
        answer: object = await self._exchange.create_order_ws(
            "BTC/USDT", "limit", "sell", float(QUANTITY), float(PRICE), given
        )
        return answer

    def id_in(self, answer: Any) -> object:
        return answer["clientOrderId"]

    async def follow(self, tell: Tell) -> None:
        # As its manual has it: ask again and again, whatever comes.
        while True:
            try:
                await self._exchange.authenticate({"type": "spot"})
                tell("following", "")
                for order in await self._exchange.watch_orders("BTC/USDT"):
                    tell("filled", order["filled"])
            except Exception as error:
                tell("sign", repr(error))
                await asyncio.sleep(0.1)


def open_client(url: str) -> AbstractAsyncContextManager[Client]:
    return open_with(url)


def open_wary_client(url: str) -> AbstractAsyncContextManager[Client]:
    return open_with(url, streaming={"keepAlive": 1000})


@asynccontextmanager
async def open_with(url: str, **options: object) -> AsyncGenerator[Client]:
    # The markets are given, not loaded over REST; its rate limiter is off, since it never asks what the limits are.
    exchange = pro.binance({"apiKey": API_KEY, "secret": API_SECRET, "enableRateLimit": False, **options})
    exchange.cafile = os.environ.get("SSL_CERT_FILE", exchange.cafile)
    exchange.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}
    exchange.urls["api"]["ws"]["ws-api"]["spot"] = url
    symbol = json.loads(SYMBOLS.read_text(encoding="utf-8"))["result"]["symbols"][0]
    market = symbol | {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT"}
    exchange.set_markets([exchange.parse_market(market)])
    yield CcxtClient(exchange)
    await exchange.close()
