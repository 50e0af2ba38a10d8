# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What type checkers make of the catalogue: right uses have the type they should, and wrong uses are errors.

mypy and basedpyright check this file with the rest; nothing in it runs. A wrong use carries an ignore, and an ignore
that is not needed is an error, so a wrong use that is not found out fails the check.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, assert_type

from bintrio._client.methods import Methods
from bintrio.api.account import Order, OrderStatus
from bintrio.api.general import ExchangeInformation, ServerTime
from bintrio.api.market import (
    DayStatistics,
    Depth,
    Kline,
    MiniStatistics,
    OrderBook,
    Statistics,
    SymbolBook,
    SymbolPrice,
)
from bintrio.api.order_lists import OrderListPlaceOpo
from bintrio.api.trading import (
    CanceledOrder,
    CanceledOrderList,
    OrderAck,
    OrderFull,
    OrderPlace,
    OrderResult,
    OrderTested,
    OrderTestedWithRates,
    PendingOrderReport,
    PlacedOrderList,
    ReplacedOrder,
)


async def general_and_market(session: Methods) -> None:
    assert_type(await session.time(), ServerTime)
    assert_type(await session.exchange_info(symbols=["BTCUSDT"]), ExchangeInformation)
    book = await session.depth(symbol="BTCUSDT", limit=5)
    assert_type(book, OrderBook)
    assert_type(book.bids[0].price, Decimal)
    assert_type(await session.send(Depth(symbol="BTCUSDT")), OrderBook)
    assert_type(await session.klines(symbol="BTCUSDT", interval="1m"), tuple[Kline, ...])
    await session.depth()  # type: ignore[call-arg]
    await session.depth(symbl="BTCUSDT")  # type: ignore[call-arg]
    await session.depth(symbol=1)  # type: ignore[arg-type]
    await session.klines(symbol="BTCUSDT", interval="1x")  # type: ignore[arg-type]
    session.dpeth(symbol="BTCUSDT")  # type: ignore[attr-defined]
    book.bid  # type: ignore[attr-defined]  # noqa: B018
    Depth(symbol="BTCUSDT", limt=5)  # type: ignore[call-arg]


async def tickers(session: Methods, kind: Any) -> None:
    assert_type(await session.ticker_24hr(symbol="BTCUSDT"), DayStatistics)
    assert_type(await session.ticker_24hr(symbol="BTCUSDT", type="FULL"), DayStatistics)
    assert_type(await session.ticker_24hr(symbol="BTCUSDT", type="MINI"), MiniStatistics)
    assert_type(await session.ticker_24hr(symbols=["BTCUSDT"]), tuple[DayStatistics, ...])
    assert_type(await session.ticker_24hr(), tuple[DayStatistics, ...])
    assert_type(await session.ticker_24hr(symbols=["BTCUSDT"], type="MINI"), tuple[MiniStatistics, ...])
    assert_type(await session.ticker_trading_day(symbol="BTCUSDT", time_zone="8"), Statistics)
    assert_type(await session.ticker_trading_day(symbols=["BTCUSDT"], type="MINI"), tuple[MiniStatistics, ...])
    assert_type(await session.ticker(symbols=["BTCUSDT"], window_size="4h"), tuple[Statistics, ...])
    assert_type(await session.ticker(symbol="BTCUSDT", type="MINI"), MiniStatistics)
    assert_type(await session.ticker_price(symbol="BTCUSDT"), SymbolPrice)
    assert_type(await session.ticker_price(), tuple[SymbolPrice, ...])
    assert_type(await session.ticker_book(symbols=("BTCUSDT",)), tuple[SymbolBook, ...])
    await session.ticker(symbol="X", window_size="61m")  # type: ignore[call-overload]
    await session.ticker_24hr(symbol="X", type="TINY")  # type: ignore[call-overload]


async def orders(session: Methods, price: Decimal) -> None:
    order = await session.order_place(
        symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity="0.01"
    )
    assert_type(order, OrderFull)
    assert_type(order.fills[0].commission, Decimal)
    ack = await session.order_place(symbol="X", side="BUY", type="MARKET", quantity=1, new_order_resp_type="ACK")
    assert_type(ack, OrderAck)
    ack.status  # type: ignore[attr-defined]  # noqa: B018
    assert_type(
        await session.order_place(symbol="X", side="BUY", type="MARKET", quantity=1, new_order_resp_type="RESULT"),
        OrderResult,
    )
    stop = await session.order_place(symbol="X", side="SELL", type="STOP_LOSS", quantity=1, stop_price=1)
    if not isinstance(stop, OrderAck):
        assert_type(stop.status == "NEW", bool)
    assert_type(await session.order_test(symbol="X", side="BUY", type="MARKET", quantity=1), OrderTested)
    assert_type(
        await session.order_test(symbol="X", side="BUY", type="MARKET", quantity=1, compute_commission_rates=True),
        OrderTestedWithRates,
    )
    assert_type(await session.order_cancel(symbol="X", order_id=1), CanceledOrder | CanceledOrderList)
    assert_type(await session.order_status(symbol="X", order_id=1), Order)
    assert_type(await session.send(OrderStatus(symbol="X", order_id=1)), Order)
    replaced = await session.order_cancel_replace(
        symbol="X", side="BUY", type="MARKET", quantity=1, cancel_replace_mode="ALLOW_FAILURE", cancel_order_id=1
    )
    assert_type(replaced, ReplacedOrder[OrderFull])
    assert_type(replaced.cancel_response, CanceledOrder | CanceledOrderList)
    routed = await session.sor_order_place(symbol="X", side="BUY", type="MARKET", quantity=1)
    assert_type(routed, OrderFull)
    placed = await session.order_list_place_oto(
        symbol="X",
        working_type="LIMIT",
        working_side="BUY",
        working_price=1,
        working_quantity=1,
        working_time_in_force="GTC",
        pending_type="MARKET",
        pending_side="SELL",
        pending_quantity=1,
        new_order_resp_type="RESULT",
    )
    assert_type(placed, PlacedOrderList[OrderResult])
    assert_type(placed.order_reports, tuple[OrderResult, ...])


async def pending_orders(session: Methods) -> None:
    opo = OrderListPlaceOpo(
        symbol="X",
        working_type="LIMIT_MAKER",
        working_side="BUY",
        working_price=1,
        working_quantity=1,
        pending_type="MARKET",
        pending_side="SELL",
        new_order_resp_type="FULL",
    )
    assert_type(await session.send(opo), PlacedOrderList[PendingOrderReport | OrderAck])
    shown = await session.order_list_place_opo(
        symbol="X",
        working_type="LIMIT_MAKER",
        working_side="BUY",
        working_price=1,
        working_quantity=1,
        pending_type="MARKET",
        pending_side="SELL",
        new_order_resp_type="FULL",
    )
    assert_type(shown, PlacedOrderList[PendingOrderReport])
    taken = await session.order_list_place_opoco(
        symbol="X",
        working_type="LIMIT_MAKER",
        working_side="BUY",
        working_price=1,
        working_quantity=1,
        pending_side="SELL",
        pending_above_type="LIMIT_MAKER",
        pending_above_price=2,
        new_order_resp_type="ACK",
    )
    assert_type(taken, PlacedOrderList[OrderAck])
    either = await session.order_list_place_opoco(
        symbol="X",
        working_type="LIMIT_MAKER",
        working_side="BUY",
        working_price=1,
        working_quantity=1,
        pending_side="SELL",
        pending_above_type="LIMIT_MAKER",
        pending_above_price=2,
    )
    assert_type(either, PlacedOrderList[PendingOrderReport | OrderAck])
    await session.order_list_place_opo(symbol="X", new_order_resp_type="ACK")  # type: ignore[call-overload]


async def wrong_orders(session: Methods) -> None:
    OrderPlace(symbol="X", side="BUY", type="MARKET", quantity=0.1)  # type: ignore[arg-type]
    OrderPlace(symbol="X", side="HOLD", type="MARKET", quantity=1)  # type: ignore[arg-type]
    OrderPlace(side="BUY", type="MARKET", quantity=1)  # type: ignore[call-arg]
    await session.order_place(symbol="X", side="BUY", type="MARKET", quantity=0.1)  # type: ignore[call-overload]
    await session.order_place(symbol="X", side="HOLD", type="MARKET", quantity=1)  # type: ignore[call-overload]
    await session.order_place(side="BUY", type="MARKET", quantity=1)  # type: ignore[call-overload]
    await session.order_place(symbol="X", side="BUY", type="MARKET", quantty=1)  # type: ignore[call-overload]
