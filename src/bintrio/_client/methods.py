"""One line per API method: what `Session` offers, derived from the request declarations (see `calls`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar

from .._text import did_you_mean
from ..api import _narrowed as narrowed
from ..api._base import Request
from ..api.account import (
    AccountCommission,
    AccountRateLimitsOrders,
    AccountStatus,
    AllOrderLists,
    AllOrders,
    MyAllocations,
    MyFilters,
    MyPreventedMatches,
    MyTrades,
    OpenOrderListsStatus,
    OpenOrdersStatus,
    OrderAmendments,
    OrderListStatus,
    OrderStatus,
)
from ..api.authentication import SessionLogon, SessionLogout, SessionStatus
from ..api.general import ExchangeInfo, ExecutionRules, Ping, Time
from ..api.market import (
    AvgPrice,
    BlockTradesHistorical,
    Depth,
    Klines,
    ReferencePrice,
    ReferencePriceCalculation,
    Ticker,
    Ticker24hr,
    TickerBook,
    TickerPrice,
    TickerTradingDay,
    TradesAggregate,
    TradesHistorical,
    TradesRecent,
    UiKlines,
)
from ..api.trading import (
    OpenOrdersCancelAll,
    OrderAck,
    OrderAmendKeepPriority,
    OrderCancel,
    OrderCancelReplace,
    OrderFull,
    OrderListCancel,
    OrderListPlace,
    OrderListPlaceOco,
    OrderListPlaceOpo,
    OrderListPlaceOpoco,
    OrderListPlaceOto,
    OrderListPlaceOtoco,
    OrderPlace,
    OrderResult,
    OrderTest,
    PendingOrderReport,
    SorOrderPlace,
    SorOrderTest,
)
from ..api.user_data import (
    SessionSubscriptions,
    UserDataStreamSubscribe,
    UserDataStreamSubscribeSignature,
    UserDataStreamUnsubscribe,
)
from .calls import Call, Narrowed3, Narrowed4, Narrowed5

R = TypeVar("R")

_ACK = Literal["ACK"]
_RESULT = Literal["RESULT"]
_FULL = Literal["FULL"]
_RESULT_OR_FULL = Literal["RESULT", "FULL"]


class Methods(ABC):
    """The exchange's API, one coroutine function per method, in the order of its document."""

    @abstractmethod
    async def send(self, request: Request[R], /) -> R:
        """Send a request held as a value."""

    if not TYPE_CHECKING:
        # Hidden from type checkers, which would otherwise believe that every name exists.
        def __getattr__(self, name: str) -> NoReturn:
            known = [known for known in dir(self) if not known.startswith("_")]
            said = f"{type(self).__name__!r} has no method or attribute {name!r}{did_you_mean(name, known)}"
            raise AttributeError(said, name=name, obj=self)

    # General requests
    ping = Call(Ping)
    time = Call(Time)
    exchange_info = Call(ExchangeInfo)
    execution_rules = Call(ExecutionRules)

    # Market data requests
    depth = Call(Depth)
    trades_recent = Call(TradesRecent)
    trades_historical = Call(TradesHistorical)
    block_trades_historical = Call(BlockTradesHistorical)
    trades_aggregate = Call(TradesAggregate)
    klines = Call(Klines)
    ui_klines = Call(UiKlines)
    avg_price = Call(AvgPrice)
    ticker_24hr = Narrowed5(narrowed.DayOne, narrowed.DayOneMini, narrowed.DayMany, narrowed.DayManyMini, Ticker24hr)
    ticker_trading_day = Narrowed5(
        narrowed.TradingDayOne,
        narrowed.TradingDayOneMini,
        narrowed.TradingDayMany,
        narrowed.TradingDayManyMini,
        TickerTradingDay,
    )
    ticker = Narrowed5(
        narrowed.RollingOne, narrowed.RollingOneMini, narrowed.RollingMany, narrowed.RollingManyMini, Ticker
    )
    ticker_price = Narrowed3(narrowed.PriceOne, narrowed.PriceMany, TickerPrice)
    ticker_book = Narrowed3(narrowed.BookOne, narrowed.BookMany, TickerBook)
    reference_price = Call(ReferencePrice)
    reference_price_calculation = Call(ReferencePriceCalculation)

    # Authentication requests
    session_logon = Call(SessionLogon)
    session_status = Call(SessionStatus)
    session_logout = Call(SessionLogout)

    # Trading requests
    order_place = Narrowed5(
        narrowed.PlaceAs[OrderAck, _ACK],
        narrowed.PlaceAs[OrderResult, _RESULT],
        narrowed.PlaceAs[OrderFull, _FULL],
        narrowed.PlaceByDefault,
        OrderPlace,
    )
    order_test = Narrowed3(narrowed.TestWithRates, narrowed.TestWithoutRates, OrderTest)
    order_cancel = Call(OrderCancel)
    order_cancel_replace = Narrowed5(
        narrowed.ReplaceAs[OrderAck, _ACK],
        narrowed.ReplaceAs[OrderResult, _RESULT],
        narrowed.ReplaceAs[OrderFull, _FULL],
        narrowed.ReplaceByDefault,
        OrderCancelReplace,
    )
    order_amend_keep_priority = Call(OrderAmendKeepPriority)
    open_orders_cancel_all = Call(OpenOrdersCancelAll)
    order_list_place = Narrowed4(
        narrowed.OldOcoAs[OrderAck, _ACK],
        narrowed.OldOcoAs[OrderResult, _RESULT],
        narrowed.OldOcoAs[OrderFull, _FULL],
        OrderListPlace,
    )
    order_list_place_oco = Narrowed4(
        narrowed.OcoAs[OrderAck, _ACK],
        narrowed.OcoAs[OrderResult, _RESULT],
        narrowed.OcoAs[OrderFull, _FULL],
        OrderListPlaceOco,
    )
    order_list_place_oto = Narrowed4(
        narrowed.OtoAs[OrderAck, _ACK],
        narrowed.OtoAs[OrderResult, _RESULT],
        narrowed.OtoAs[OrderFull, _FULL],
        OrderListPlaceOto,
    )
    order_list_place_otoco = Narrowed4(
        narrowed.OtocoAs[OrderAck, _ACK],
        narrowed.OtocoAs[OrderResult, _RESULT],
        narrowed.OtocoAs[OrderFull, _FULL],
        OrderListPlaceOtoco,
    )
    order_list_place_opo = Narrowed3(
        narrowed.OpoAs[OrderAck, _ACK], narrowed.OpoAs[PendingOrderReport, _RESULT_OR_FULL], OrderListPlaceOpo
    )
    order_list_place_opoco = Narrowed3(
        narrowed.OpocoAs[OrderAck, _ACK], narrowed.OpocoAs[PendingOrderReport, _RESULT_OR_FULL], OrderListPlaceOpoco
    )
    order_list_cancel = Call(OrderListCancel)
    sor_order_place = Narrowed4(
        narrowed.RouteAs[OrderAck, _ACK],
        narrowed.RouteAs[OrderResult, _RESULT],
        narrowed.RouteByDefault,
        SorOrderPlace,
    )
    sor_order_test = Narrowed3(narrowed.RouteTestWithRates, narrowed.RouteTestWithoutRates, SorOrderTest)

    # Account requests
    account_status = Call(AccountStatus)
    order_status = Call(OrderStatus)
    open_orders_status = Call(OpenOrdersStatus)
    all_orders = Call(AllOrders)
    order_list_status = Call(OrderListStatus)
    open_order_lists_status = Call(OpenOrderListsStatus)
    all_order_lists = Call(AllOrderLists)
    my_trades = Call(MyTrades)
    account_rate_limits_orders = Call(AccountRateLimitsOrders)
    my_prevented_matches = Call(MyPreventedMatches)
    my_allocations = Call(MyAllocations)
    account_commission = Call(AccountCommission)
    order_amendments = Call(OrderAmendments)
    my_filters = Call(MyFilters)

    # User Data Stream requests
    user_data_stream_subscribe = Call(UserDataStreamSubscribe)
    user_data_stream_unsubscribe = Call(UserDataStreamUnsubscribe)
    session_subscriptions = Call(SessionSubscriptions)
    user_data_stream_subscribe_signature = Call(UserDataStreamSubscribeSignature)
