"""The document's example requests, each sent to a sandbox that is in the state that the example speaks of.

A request goes out as it stands in the document, over a WebSocket, signed anew. What it names and only the exchange can
know, ids for instance, is taken from the state. A scene brings that about, and returns the parameters that differ;
None takes a parameter away.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import trio
from trio.testing import MockClock, memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_client_stream

from bintrio.api.filters import ExchangeMaxNumOrdersFilter, MaxAssetFilter, MaxNumOrderListsFilter
from bintrio.api.general import ExecutionRule
from bintrio.sandbox import Commissions, Limits, Rates, SandboxAccount, Symbol
from bintrio.sandbox.exchange.exchange import Exchange, payload
from bintrio.sandbox.exchange.reference import External, MeanOfTrades
from bintrio.sandbox.server.connection import Connections, Timings
from bintrio.sandbox.server.script import Script
from bintrio.sandbox.server.server import Server

from .shapes import differences

Json: TypeAlias = dict[str, Any]

DIRECTORY: Final = Path(__file__).parent.parent / "data" / "examples"
START: Final = 1_660_801_713_793_000
"""Microseconds: within the spans of time of the examples."""

_D: Final = Decimal
_RULE: Final = _D("1.0001"), _D("0.9999")


def _symbol(base: str, quote: str, **rules: Any) -> Symbol:
    """A symbol that takes every price and quantity."""
    least = _D("1E-8")
    fine: Json = {"tick_size": least, "step_size": least, "min_quantity": least, "max_quantity": _D(100_000)}
    return Symbol(base=base, quote=quote, min_price=_D(0), min_notional=_D(0), **fine, **rules)


_PRICE_RANGE: Final = ExecutionRule(
    rule_type="PRICE_RANGE",
    bid_limit_mult_up=_RULE[0],
    bid_limit_mult_down=_RULE[1],
    ask_limit_mult_up=_RULE[0],
    ask_limit_mult_down=_RULE[1],
)
SYMBOLS: Final = (
    _symbol("BTC", "USDT", more_filters=(MaxNumOrderListsFilter(max_num_order_lists=20),)),
    *(_symbol(*pair) for pair in [("BTC", "USDC"), ("BNB", "BTC"), ("BNB", "USDT"), ("LTC", "BNB"), ("LTC", "BTC")]),
    _symbol("BAZ", "USD", execution_rules=(_PRICE_RANGE,)),
)
FILTERS: Final = (ExchangeMaxNumOrdersFilter(max_num_orders=1_000), MaxAssetFilter(asset="USDT", limit=_D(10**9)))
_RATES: Final = [Rates(_D(f"0.{n}1"), _D(f"0.{n}2"), _D(f"0.{n}3"), _D(f"0.{n}4")) for n in ("0000", "000", "00000")]
COMMISSIONS: Final = Commissions(standard=_RATES[0], special=_RATES[1], tax=_RATES[2], is_discounted=True)


class Side:
    """An account with a connection of its own."""

    def __init__(self, account: SandboxAccount, websocket: WebSocketConnection, now: Callable[[], int]) -> None:
        self.account: Final = account
        self._websocket = websocket
        self._now = now

    async def send(self, request: Json) -> Json:
        """The answer to a request; events that come before it are dropped."""
        await self._websocket.send_message(json.dumps(request))
        while True:
            message: Json = json.loads(await self._websocket.get_message())
            if "event" not in message:
                return message

    def signed(self, params: Json) -> Json:
        """Parameters with their signature."""
        own = params | {"apiKey": self.account.key.api_key, "timestamp": self._now() // 1_000}
        return own | {"signature": self.account.key.sign(payload(own))}

    async def do(self, method: str, /, **params: Any) -> Any:
        """The result of a signed call."""
        answer = await self.send({"id": 0, "method": method, "params": self.signed(params)})
        assert answer["status"] == 200, (method, params, answer)
        return answer["result"]

    async def order(self, symbol: str, side: str, quantity: Any, price: Any, /, **more: Any) -> Json:
        """Place a limit order."""
        given = {"type": "LIMIT", "timeInForce": "GTC", "newOrderRespType": "FULL"} | more
        placed: Json = await self.do(
            "order.place", symbol=symbol, side=side, quantity=str(quantity), price=str(price), **given
        )
        return placed


class Stage:
    """An exchange with two accounts: the one that the example is about, and the rest of the market.

    Attributes:
        exchange: for what no request can bring about.
        trader: who sends the example.
        market: who trades with it.
    """

    def __init__(self, exchange: Exchange, trader: Side, market: Side) -> None:
        self.exchange: Final = exchange
        self.trader: Final = trader
        self.market: Final = market

    async def trade(self, symbol: str, price: Any, quantity: Any = "0.01") -> None:
        """Let the market trade at a price."""
        await self.market.order(symbol, "SELL", quantity, price)
        await self.market.order(symbol, "BUY", quantity, price)

    async def log_on(self) -> None:
        """Log the trader's connection on."""
        await self.trader.do("session.logon")


Scene: TypeAlias = Callable[[Stage], Awaitable[Json]]


@asynccontextmanager
async def open_stage(*, shows_rate_limits: bool = True) -> AsyncGenerator[Stage, None]:
    """A stage, in memory and in trio's time."""
    exchange = Exchange(SYMBOLS, Limits(), exchange_filters=FILTERS, routes=[("BTCUSDT", "BTCUSDC")])
    assets = {asset for symbol in SYMBOLS for asset in (symbol.base, symbol.quote)}
    accounts = [SandboxAccount(uid, dict.fromkeys(assets, _D(10**6)), commissions=COMMISSIONS) for uid in (1, 2)]
    connections = Connections(exchange, Script(), Timings(), _now)
    server = Server(connections)
    async with trio.open_nursery() as nursery:
        sides: list[Side] = []
        for account in accounts:
            exchange.open_account(account)
            client: Any
            client, stream = memory_stream_pair()
            nursery.start_soon(server.serve, stream)
            path = f"/ws-api/v3?returnRateLimits={json.dumps(shows_rate_limits)}"
            sides.append(Side(account, await wrap_client_stream(nursery, client, "localhost", path), _now))
        yield Stage(exchange, *sides)
        nursery.cancel_scope.cancel()


def _now() -> int:
    return START + round(trio.current_time() * 1_000_000)


# Scenes


def given(**params: Any) -> Scene:
    """Nothing happened before; the request differs in some parameters."""

    async def scene(stage: Stage) -> Json:
        return params

    return scene


def after_trades(**params: Any) -> Scene:
    """The market has traded."""

    async def scene(stage: Stage) -> Json:
        for symbol, price in [("BNBBTC", "0.01361"), ("BTCUSDT", "23416.10"), ("BNBUSDT", "210"), ("BNBBTC", "0.0137")]:
            await stage.trade(symbol, price, "1")
        return params

    return scene


def after_quotes(**params: Any) -> Scene:
    """There are quotes."""

    async def scene(stage: Stage) -> Json:
        for symbol, price in [("BNBBTC", _D("0.0138")), ("BTCUSDT", _D(23_980))]:
            for level in range(1, 6):
                await stage.market.order(symbol, "BUY", level, price - level * _D("0.000001"))
                await stage.market.order(symbol, "SELL", level, price + level * _D("0.000001"))
        return params

    return scene


def logged_on(**params: Any) -> Scene:
    """The connection is logged on."""

    async def scene(stage: Stage) -> Json:
        await stage.log_on()
        return params

    return scene


async def subscribed(stage: Stage) -> Json:
    """The connection is subscribed to the events of two accounts."""
    for side in (stage.trader, stage.market):
        params = side.signed({})
        await stage.trader.send({"id": 0, "method": "userDataStream.subscribe.signature", "params": params})
    return {}


async def traded_in_a_block(stage: Stage) -> Json:
    """There is a block trade."""
    tape = stage.exchange.engine.listings["BNBBTC"].tape
    block = tape.record_block(_D("0.052"), _D(5_838), _now(), is_buyer_maker=True)
    return {"fromId": block.id}


def referring(source: MeanOfTrades | External) -> Scene:
    """The symbol has a reference price."""

    async def scene(stage: Stage) -> Json:
        stage.exchange.engine.references.sources["BAZUSD"] = source
        return {}

    return scene


# Orders

CLIENT_ID: Final = "4d96324ff9d44481926157"
LIST_ID: Final = "08985fedd9ea2cf6b28996"
_FULL_LABEL: Final = {"strategyId": 37_463_720, "strategyType": 1_000_000}
_TRAILING: Final = {"type": "STOP_LOSS_LIMIT", "trailingDelta": 10, **_FULL_LABEL}
_REPLACED_BY_MAKER: Final = {"type": "LIMIT_MAKER", "timeInForce": None}


def with_order(**params: Any) -> Scene:
    """The trader has an open order."""

    async def scene(stage: Stage) -> Json:
        await stage.trader.order("BTCUSDT", "SELL", "0.00847", "23450", newClientOrderId=CLIENT_ID)
        return params

    return scene


async def with_bids(stage: Stage) -> Json:
    """The market buys what the example sells."""
    await stage.market.order("BTCUSDT", "BUY", "0.00635", "23416.10")
    await stage.market.order("BTCUSDT", "BUY", "0.00212", "23416.50")
    return {"newOrderRespType": "FULL"}


async def with_every_option(stage: Stage) -> Json:
    """The trader has an open order with everything that an order may have: the example shows the fields of all."""
    await stage.trade("BTCUSDT", "24000")
    options = _TRAILING | {"icebergQty": "0.001", "newClientOrderId": CLIENT_ID}
    await stage.trader.order("BTCUSDT", "SELL", "0.00847", "23416.10", **options)
    return {}


async def with_every_option_and_a_list(stage: Stage) -> Json:
    """The same, and an order list."""
    await with_every_option(stage)
    await _pair(stage)
    return {}


async def _pair(stage: Stage, **more: Any) -> Json:
    """A pair of which one order cancels the other."""
    pair: Json = await stage.trader.do(
        "orderList.place.oco",
        symbol="BTCUSDT",
        side="BUY",
        quantity="0.0085",
        aboveType="STOP_LOSS_LIMIT",
        abovePrice="25450.50",
        aboveStopPrice="25430",
        aboveTimeInForce="GTC",
        belowType="LIMIT_MAKER",
        belowPrice="23400",
        **more,
    )
    return pair


async def with_pair(stage: Stage) -> Json:
    """The trader has a pair by the name that the examples use."""
    await _pair(stage, listClientOrderId=LIST_ID)
    return {}


async def with_pair_by_its_id(stage: Stage) -> Json:
    """The same, asked for by its id."""
    return {"orderListId": (await _pair(stage))["orderListId"]}


async def with_pair_by_its_order(stage: Stage) -> Json:
    """The same, asked for by one of its orders."""
    await _pair(stage, aboveClientOrderId=CLIENT_ID)
    return {}


async def in_part_filled(stage: Stage) -> Json:
    """An order of the trader's was filled in part."""
    await stage.trader.order("BTCUSDT", "SELL", "0.00847", "23416.10", newClientOrderId=CLIENT_ID)
    await stage.market.order("BTCUSDT", "BUY", "0.0072", "23416.10")
    return {}


async def kept_from_trading_with_itself(stage: Stage) -> Json:
    """Two orders of the trader's have met, and each lost what they would have traded."""
    await stage.trader.order("BTCUSDT", "BUY", "1.2", "23416.10", newClientOrderId="own")
    option = {"selfTradePreventionMode": "DECREMENT"}
    await stage.trader.order("BTCUSDT", "SELL", "1.20847", "23416.10", newClientOrderId=CLIENT_ID, **option)
    await stage.market.order("BTCUSDT", "BUY", "0.00847", "23416.10")
    return {}


async def triggered_and_kept_from_trading_with_itself(stage: Stage) -> Json:
    """The same of a trailing order, which was triggered."""
    await stage.trade("BTCUSDT", "24000")
    await stage.trader.order("BTCUSDT", "BUY", "1.2", "23400")
    options = _TRAILING | {"selfTradePreventionMode": "DECREMENT"}
    order = await stage.trader.order("BTCUSDT", "SELL", "1.3", "23390", **options)
    await stage.trade("BTCUSDT", "23900")
    return {"orderId": order["orderId"]}


async def prevented_as_a_maker(stage: Stage) -> Json:
    """An order of the trader's on the book expired, since another one would have met it."""
    await stage.trader.order("BTCUSDT", "BUY", "1.3", "1.1")
    option = {"selfTradePreventionMode": "EXPIRE_MAKER"}
    taker = await stage.trader.order("BTCUSDT", "SELL", "1", "1.1", **option)
    return {"orderId": taker["orderId"]}


async def amendable(stage: Stage) -> Json:
    """The trader has an order to amend."""
    await stage.trader.order("BTCUSDT", "BUY", "7", "5", newClientOrderId="my_test_order1")
    return {}


async def amendable_in_a_list(stage: Stage) -> Json:
    """The same, as an order of a list."""
    pending = {"pendingType": "LIMIT", "pendingSide": "BUY", "pendingPrice": "1", "pendingTimeInForce": "GTC"}
    await stage.trader.do(
        "orderList.place.oto",
        symbol="BTCUSDT",
        workingType="LIMIT",
        workingSide="SELL",
        workingPrice="10",
        workingQuantity="1",
        workingTimeInForce="GTC",
        pendingQuantity="7",
        pendingClientOrderId="my_test_order1",
        **pending,
    )
    await stage.market.order("BTCUSDT", "BUY", "1", "10")
    return {}


async def amended(stage: Stage) -> Json:
    """An order was amended."""
    await amendable(stage)
    changes = {"symbol": "BTCUSDT", "origClientOrderId": "my_test_order1", "newQty": "5"}
    answer = await stage.trader.do("order.amend.keepPriority", **changes)
    return {"orderId": answer["amendedOrder"]["orderId"]}


# Replacing


def with_bid(scene: Scene) -> Scene:
    """Somebody buys at the price at which the new order must not trade."""

    async def both(stage: Stage) -> Json:
        await stage.market.order("BTCUSDT", "BUY", "0.01", "23416.10")
        return await scene(stage)

    return both


def over_the_limit(scene: Scene) -> Scene:
    """The trader has placed as many orders as are allowed."""

    async def both(stage: Stage) -> Json:
        params = await scene(stage)
        order = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "price": "1",
            "quantity": "1",
        }
        request = {"id": 0, "method": "order.place", "params": stage.trader.signed(order)}
        while (await stage.trader.send(request))["status"] == 200:
            pass
        return params

    return both


# Lists, routing


async def priced_for_the_pair(stage: Stage) -> Json:
    """The last price lies between the prices of the pair."""
    await stage.trade("BTCUSDT", "23415")
    await stage.trade("LTCBNB", "1.5", "1")
    return {}


async def with_a_cheaper_book(stage: Stage) -> Json:
    """Another book has the better price."""
    await stage.market.order("BTCUSDC", "SELL", "0.5", "28000")
    return {}


async def routed(stage: Stage) -> Json:
    """An order of the trader's was routed."""
    await stage.market.order("BTCUSDC", "SELL", "0.5", "1")
    option = {"type": "LIMIT", "timeInForce": "GTC", "newOrderRespType": "RESULT"}
    (order,) = await stage.trader.do(
        "sor.order.place", symbol="BTCUSDT", side="BUY", quantity="0.1", price="1", **option
    )
    return {"orderId": order["orderId"]}


_ONE: Final = {"symbols": None, "symbol": "BNBBTC"}
_TWO: Final = {"symbol": None, "symbols": ["BNBBTC", "BTCUSDT"]}
_MINI: Final = {"type": "MINI"}
_CANCEL_ONLY: Final = {"orderRateLimitExceededMode": "CANCEL_ONLY"}
_LEGS_IN_ORDER: Final = {
    "pendingAboveType": "LIMIT_MAKER",
    "pendingAbovePrice": 5,
    "pendingAboveStopPrice": None,
    "pendingBelowType": "STOP_LOSS",
    "pendingBelowStopPrice": 0.5,
    "pendingBelowPrice": None,
}
"""The request of the document has them the other way round, which its rules forbid."""

SCENES: Final[dict[str, dict[str, Scene]]] = {
    "ping": {"response": given()},
    "time": {"response": given()},
    "exchangeInfo": {"response": given()},
    "executionRules": {"response": given()},
    "depth": {"response": after_quotes()},
    "trades.recent": {"response": after_trades()},
    "trades.historical": {"response": after_trades()},
    "blockTrades.historical": {"response": traded_in_a_block},
    "trades.aggregate": {"response": after_trades(fromId=1)},
    "klines": {"response": after_trades()},
    "uiKlines": {"response": after_trades()},
    "avgPrice": {"response": after_trades()},
    "ticker.24hr": {
        "response-full": after_trades(),
        "response-mini": after_trades(**_MINI),
        "response-symbols": after_trades(**_TWO),
    },
    "ticker.tradingDay": {
        "response-full-symbol": after_trades(**_ONE),
        "response-full-symbols": after_trades(),
        "response-mini-symbol": after_trades(**_ONE, **_MINI),
        "response-mini-symbols": after_trades(**_MINI),
    },
    "ticker": {
        "response-full": after_trades(**_ONE),
        "response-mini": after_trades(**_ONE, **_MINI),
        "response-symbols": after_trades(),
    },
    "ticker.price": {"response": after_trades(), "response-symbols": after_trades(**_TWO)},
    "ticker.book": {"response": after_quotes(**_ONE), "response-symbols": after_quotes()},
    "referencePrice": {
        "response-set": referring(External(_D("0.005019"), START)),
        "response-null": referring(External(None, START)),
        "response-never-set": given(),
    },
    "referencePrice.calculation": {
        "response-not-calculated": given(),
        "response-arithmetic-mean": referring(MeanOfTrades(10, 1_000)),
        "response-external": referring(External(None, START, 42)),
    },
    "session.logon": {"response": given()},
    "session.status": {"response": logged_on()},
    "session.logout": {"response": logged_on()},
    "order.place": {
        "response-ack": given(newOrderRespType="ACK"),
        "response-result": given(newOrderRespType="RESULT"),
        "response-full": with_bids,
    },
    "order.test": {
        "response-without-commission-rates": given(),
        "response-with-commission-rates": given(computeCommissionRates=True),
    },
    "order.cancel": {
        "response-order": with_every_option,
        "response-order-list": with_pair_by_its_order,
        "error-cancel-restrictions-invalid": with_order(cancelRestrictions="ONLY_OLD"),
        "error-cancel-restrictions-not-met": with_order(cancelRestrictions="ONLY_PARTIALLY_FILLED"),
    },
    "order.cancelReplace": {
        "response-success": with_order(newOrderRespType="RESULT"),
        "response-stop-on-failure": given(cancelReplaceMode="STOP_ON_FAILURE"),
        "response-partial-new-order-failed": with_bid(with_order(**_REPLACED_BY_MAKER)),
        "response-partial-cancel-failed": given(),
        "response-both-failed": with_bid(given(**_REPLACED_BY_MAKER)),
        "response-order-limit-do-nothing": over_the_limit(with_order()),
        "response-order-limit-cancel-only": over_the_limit(with_order(**_CANCEL_ONLY)),
    },
    "order.amend.keepPriority": {"response-single-order": amendable, "response-order-list": amendable_in_a_list},
    "openOrders.cancelAll": {"response": with_every_option_and_a_list},
    "orderList.place": {"response": priced_for_the_pair},
    "orderList.place.oco": {"response": priced_for_the_pair},
    "orderList.place.oto": {"response": given()},
    "orderList.place.otoco": {"response": given(**_LEGS_IN_ORDER)},
    "orderList.place.opo": {"response": given()},
    "orderList.place.opoco": {"response": given()},
    "orderList.cancel": {"response": with_pair_by_its_id},
    "sor.order.place": {"response": with_a_cheaper_book},
    "sor.order.test": {
        "response-without-commission-rates": given(),
        "response-with-commission-rates": given(computeCommissionRates=True),
    },
    "account.status": {"response": given()},
    "order.status": {"response": triggered_and_kept_from_trading_with_itself},
    "openOrders.status": {"response": in_part_filled},
    "allOrders": {"response": kept_from_trading_with_itself},
    "orderList.status": {"response": with_pair},
    "allOrderLists": {"response": with_pair},
    "openOrderLists.status": {"response": with_pair},
    "myTrades": {"response": in_part_filled},
    "account.rateLimits.orders": {"response": given()},
    "myPreventedMatches": {"response": prevented_as_a_maker},
    "myAllocations": {"response": routed},
    "account.commission": {"response": given()},
    "order.amendments": {"response": amended},
    "myFilters": {"response": given()},
    "userDataStream.subscribe": {"response": logged_on()},
    "userDataStream.subscribe.signature": {"response": given()},
    "userDataStream.unsubscribe": {"response": subscribed},
    "session.subscriptions": {"response": subscribed},
}
"""By method and by the name of the documented answer."""

CONTRADICTIONS: Final[dict[tuple[str, str], tuple[str, str]]] = {
    ("order.cancel", "response-order"): (
        "more result.trailingTime",
        "what has `trailingDelta` has `trailingTime` by the table of conditional fields and in `openOrders.cancelAll`",
    ),
    ("order.cancelReplace", "response-order-limit-do-nothing"): (
        "more error.data",
        "`retryAfter` is promised for every 429",
    ),
    ("order.cancelReplace", "response-success"): (
        "more result.newOrderResponse.workingTime",
        "the new order has the format of `order.place`, and has `workingTime` in another example",
    ),
    ("order.place", "response-full"): (
        "more result.selfTradePreventionMode",
        "FULL is RESULT and the trades, and RESULT has it",
    ),
    ("orderList.cancel", "response"): (
        "more result.orderReports.origClientOrderId",
        "canceled orders of a list have it in `order.cancel` and `openOrders.cancelAll`",
    ),
    ("orderList.place.oto", "response"): ("string result.symbol", "the example has digits where the symbol belongs"),
    ("orderList.place.otoco", "response"): (
        "string result.symbol",
        "the example has digits where the symbol belongs. Its request was sent with the two pending orders exchanged:"
        " as they stand there, the rules forbid them",
    ),
    ("sor.order.test", "response-with-commission-rates"): (
        "more result.specialCommissionForOrder",
        "`order.test` has it, and special commission is charged on routed orders as well",
    ),
}
"""Where the document contradicts itself: in what the answer differs, and what it follows instead."""


# Runs


class Run(NamedTuple):
    """What came of an example.

    Attributes:
        answered: whether with the documented status.
        differences: in what the shape of the answer differs.
    """

    method: str
    variant: str
    answered: bool
    differences: frozenset[str]


async def perform(method: str, variant: str) -> Run:
    """Send an example request; ``variant`` names its answer."""
    directory = DIRECTORY / method
    request: Json = json.loads((directory / "request.json").read_text())
    documented: Json = json.loads((directory / f"{variant}.json").read_text())
    if variant.startswith("error-"):
        documented = {"id": request["id"], "status": 400, "error": documented, "rateLimits": []}
    async with open_stage(shows_rate_limits="rateLimits" in documented) as stage:
        changes = await SCENES[method][variant](stage)
        sent: Json = request.get("params", {}) | changes
        params = {name: value for name, value in sent.items() if value is not None and name not in _SIGNING}
        if "signature" in sent:
            params = stage.trader.signed(params)
        answer = await stage.trader.send(request | ({"params": params} if "params" in request else {}))
    assert answer["id"] == request["id"]
    found = differences(documented | {"id": answer["id"]}, answer)
    return Run(method, variant, answer["status"] == documented["status"], frozenset(found))


_SIGNING: Final = {"apiKey", "signature", "timestamp"}


def examples() -> Iterator[tuple[str, str]]:
    """Method and answer of each example."""
    for directory in sorted(path for path in DIRECTORY.iterdir() if path.is_dir() and path.name != "_general"):
        for path in sorted(directory.glob("*.json")):
            if not path.name.startswith(("request", "fragment")):
                yield directory.name, path.stem


def run_all() -> list[Run]:
    """Every example."""

    async def run() -> list[Run]:
        return [await perform(*example) for example in examples()]

    return trio.run(run, clock=MockClock(autojump_threshold=0))
