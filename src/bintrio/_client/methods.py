"""One line per API method: what `Session` offers, derived from the request declarations (see `calls`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar

from .. import requests
from .._text import did_you_mean
from ..api import _narrowed as narrowed
from ..api._base import Request
from ..api.trading import OrderAck, OrderFull, OrderResult, PendingOrderReport
from .calls import Method, Narrowed3, Narrowed4, Narrowed5

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
            # `copy` and its like ask for names with underscores: nobody mistyped those, and a search takes long.
            known = [] if name.startswith("_") else [known for known in dir(self) if not known.startswith("_")]
            said = f"{type(self).__name__!r} has no method or attribute {name!r}{did_you_mean(name, known)}"
            raise AttributeError(said, name=name, obj=self)

    # General requests
    ping = Method(requests.Ping)
    time = Method(requests.Time)
    exchange_info = Method(requests.ExchangeInfo)
    execution_rules = Method(requests.ExecutionRules)

    # Market data requests
    depth = Method(requests.Depth)
    trades_recent = Method(requests.TradesRecent)
    trades_historical = Method(requests.TradesHistorical)
    block_trades_historical = Method(requests.BlockTradesHistorical)
    trades_aggregate = Method(requests.TradesAggregate)
    klines = Method(requests.Klines)
    ui_klines = Method(requests.UiKlines)
    avg_price = Method(requests.AvgPrice)
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
    reference_price = Method(requests.ReferencePrice)
    reference_price_calculation = Method(requests.ReferencePriceCalculation)

    # Authentication requests
    session_logon = Method(requests.SessionLogon)
    session_status = Method(requests.SessionStatus)
    session_logout = Method(requests.SessionLogout)

    # Trading requests
    order_place = Narrowed5(
        narrowed.PlaceAs[OrderAck, _ACK],
        narrowed.PlaceAs[OrderResult, _RESULT],
        narrowed.PlaceAs[OrderFull, _FULL],
        narrowed.PlaceByDefault,
        requests.OrderPlace,
    )
    order_test = Narrowed3(narrowed.TestWithRates, narrowed.TestWithoutRates, requests.OrderTest)
    order_cancel = Method(requests.OrderCancel)
    order_cancel_replace = Narrowed5(
        narrowed.ReplaceAs[OrderAck, _ACK],
        narrowed.ReplaceAs[OrderResult, _RESULT],
        narrowed.ReplaceAs[OrderFull, _FULL],
        narrowed.ReplaceByDefault,
        requests.OrderCancelReplace,
    )
    order_amend_keep_priority = Method(requests.OrderAmendKeepPriority)
    open_orders_cancel_all = Method(requests.OpenOrdersCancelAll)
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
    order_list_cancel = Method(requests.OrderListCancel)
    sor_order_place = Narrowed4(
        narrowed.RouteAs[OrderAck, _ACK],
        narrowed.RouteAs[OrderResult, _RESULT],
        narrowed.RouteByDefault,
        requests.SorOrderPlace,
    )
    sor_order_test = Narrowed3(narrowed.RouteTestWithRates, narrowed.RouteTestWithoutRates, requests.SorOrderTest)

    # Account requests
    account_status = Method(requests.AccountStatus)
    order_status = Method(requests.OrderStatus)
    open_orders_status = Method(requests.OpenOrdersStatus)
    all_orders = Method(requests.AllOrders)
    order_list_status = Method(requests.OrderListStatus)
    open_order_lists_status = Method(requests.OpenOrderListsStatus)
    all_order_lists = Method(requests.AllOrderLists)
    my_trades = Method(requests.MyTrades)
    account_rate_limits_orders = Method(requests.AccountRateLimitsOrders)
    my_prevented_matches = Method(requests.MyPreventedMatches)
    my_allocations = Method(requests.MyAllocations)
    account_commission = Method(requests.AccountCommission)
    order_amendments = Method(requests.OrderAmendments)
    my_filters = Method(requests.MyFilters)

    # User Data Stream requests
    user_data_stream_subscribe = Method(requests.UserDataStreamSubscribe)
    user_data_stream_unsubscribe = Method(requests.UserDataStreamUnsubscribe)
    session_subscriptions = Method(requests.SessionSubscriptions)
    user_data_stream_subscribe_signature = Method(requests.UserDataStreamSubscribeSignature)
