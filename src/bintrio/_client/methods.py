"""One line per API method: what `Session` offers, derived from the request declarations (see `calls`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar

from .. import requests
from .._text import did_you_mean
from ..api import _narrowed as narrowed
from ..api._base import Request
from ..api.trading import OrderAck, OrderFull, OrderResult, PendingOrderReport
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
    ping = Call(requests.Ping)
    time = Call(requests.Time)
    exchange_info = Call(requests.ExchangeInfo)
    execution_rules = Call(requests.ExecutionRules)

    # Market data requests
    depth = Call(requests.Depth)
    trades_recent = Call(requests.TradesRecent)
    trades_historical = Call(requests.TradesHistorical)
    block_trades_historical = Call(requests.BlockTradesHistorical)
    trades_aggregate = Call(requests.TradesAggregate)
    klines = Call(requests.Klines)
    ui_klines = Call(requests.UiKlines)
    avg_price = Call(requests.AvgPrice)
    ticker_24hr = Narrowed5(
        narrowed.DayOne, narrowed.DayOneMini, narrowed.DayMany, narrowed.DayManyMini, requests.Ticker24hr
    )
    ticker_trading_day = Narrowed5(
        narrowed.TradingDayOne,
        narrowed.TradingDayOneMini,
        narrowed.TradingDayMany,
        narrowed.TradingDayManyMini,
        requests.TickerTradingDay,
    )
    ticker = Narrowed5(
        narrowed.RollingOne, narrowed.RollingOneMini, narrowed.RollingMany, narrowed.RollingManyMini, requests.Ticker
    )
    ticker_price = Narrowed3(narrowed.PriceOne, narrowed.PriceMany, requests.TickerPrice)
    ticker_book = Narrowed3(narrowed.BookOne, narrowed.BookMany, requests.TickerBook)
    reference_price = Call(requests.ReferencePrice)
    reference_price_calculation = Call(requests.ReferencePriceCalculation)

    # Authentication requests
    session_logon = Call(requests.SessionLogon)
    session_status = Call(requests.SessionStatus)
    session_logout = Call(requests.SessionLogout)

    # Trading requests
    order_place = Narrowed5(
        narrowed.PlaceAs[OrderAck, _ACK],
        narrowed.PlaceAs[OrderResult, _RESULT],
        narrowed.PlaceAs[OrderFull, _FULL],
        narrowed.PlaceByDefault,
        requests.OrderPlace,
    )
    order_test = Narrowed3(narrowed.TestWithRates, narrowed.TestWithoutRates, requests.OrderTest)
    order_cancel = Call(requests.OrderCancel)
    order_cancel_replace = Narrowed5(
        narrowed.ReplaceAs[OrderAck, _ACK],
        narrowed.ReplaceAs[OrderResult, _RESULT],
        narrowed.ReplaceAs[OrderFull, _FULL],
        narrowed.ReplaceByDefault,
        requests.OrderCancelReplace,
    )
    order_amend_keep_priority = Call(requests.OrderAmendKeepPriority)
    open_orders_cancel_all = Call(requests.OpenOrdersCancelAll)
    order_list_place = Narrowed4(
        narrowed.OldOcoAs[OrderAck, _ACK],
        narrowed.OldOcoAs[OrderResult, _RESULT],
        narrowed.OldOcoAs[OrderFull, _FULL],
        requests.OrderListPlace,
    )
    order_list_place_oco = Narrowed4(
        narrowed.OcoAs[OrderAck, _ACK],
        narrowed.OcoAs[OrderResult, _RESULT],
        narrowed.OcoAs[OrderFull, _FULL],
        requests.OrderListPlaceOco,
    )
    order_list_place_oto = Narrowed4(
        narrowed.OtoAs[OrderAck, _ACK],
        narrowed.OtoAs[OrderResult, _RESULT],
        narrowed.OtoAs[OrderFull, _FULL],
        requests.OrderListPlaceOto,
    )
    order_list_place_otoco = Narrowed4(
        narrowed.OtocoAs[OrderAck, _ACK],
        narrowed.OtocoAs[OrderResult, _RESULT],
        narrowed.OtocoAs[OrderFull, _FULL],
        requests.OrderListPlaceOtoco,
    )
    order_list_place_opo = Narrowed3(
        narrowed.OpoAs[OrderAck, _ACK], narrowed.OpoAs[PendingOrderReport, _RESULT_OR_FULL], requests.OrderListPlaceOpo
    )
    order_list_place_opoco = Narrowed3(
        narrowed.OpocoAs[OrderAck, _ACK],
        narrowed.OpocoAs[PendingOrderReport, _RESULT_OR_FULL],
        requests.OrderListPlaceOpoco,
    )
    order_list_cancel = Call(requests.OrderListCancel)
    sor_order_place = Narrowed4(
        narrowed.RouteAs[OrderAck, _ACK],
        narrowed.RouteAs[OrderResult, _RESULT],
        narrowed.RouteByDefault,
        requests.SorOrderPlace,
    )
    sor_order_test = Narrowed3(narrowed.RouteTestWithRates, narrowed.RouteTestWithoutRates, requests.SorOrderTest)

    # Account requests
    account_status = Call(requests.AccountStatus)
    order_status = Call(requests.OrderStatus)
    open_orders_status = Call(requests.OpenOrdersStatus)
    all_orders = Call(requests.AllOrders)
    order_list_status = Call(requests.OrderListStatus)
    open_order_lists_status = Call(requests.OpenOrderListsStatus)
    all_order_lists = Call(requests.AllOrderLists)
    my_trades = Call(requests.MyTrades)
    account_rate_limits_orders = Call(requests.AccountRateLimitsOrders)
    my_prevented_matches = Call(requests.MyPreventedMatches)
    my_allocations = Call(requests.MyAllocations)
    account_commission = Call(requests.AccountCommission)
    order_amendments = Call(requests.OrderAmendments)
    my_filters = Call(requests.MyFilters)

    # User Data Stream requests
    user_data_stream_subscribe = Call(requests.UserDataStreamSubscribe)
    user_data_stream_unsubscribe = Call(requests.UserDataStreamUnsubscribe)
    session_subscriptions = Call(requests.SessionSubscriptions)
    user_data_stream_subscribe_signature = Call(requests.UserDataStreamSubscribeSignature)
