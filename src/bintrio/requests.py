"""The requests: one class for each method of the exchange's API, to be held as a value.

`Session` offers each as a method of its own, which is the shorter way: ``session.order_place(...)``. A request held as
a value is sent with `Session.send`, checked with `bintrio.rules.SymbolRules`, and asked about with `Session.confirm`.

Names are the exchange's: ``order.cancelReplace`` is `OrderCancelReplace`. Results are in `bintrio.api`, by the section
of the exchange's document.
"""

from typing import TYPE_CHECKING

from ._public import names_in as _names_in
from .api.account import AccountCommission as AccountCommission
from .api.account import AccountRateLimitsOrders as AccountRateLimitsOrders
from .api.account import AccountStatus as AccountStatus
from .api.account import AllOrderLists as AllOrderLists
from .api.account import AllOrders as AllOrders
from .api.account import MyAllocations as MyAllocations
from .api.account import MyFilters as MyFilters
from .api.account import MyPreventedMatches as MyPreventedMatches
from .api.account import MyTrades as MyTrades
from .api.account import OpenOrderListsStatus as OpenOrderListsStatus
from .api.account import OpenOrdersStatus as OpenOrdersStatus
from .api.account import OrderAmendments as OrderAmendments
from .api.account import OrderListStatus as OrderListStatus
from .api.account import OrderStatus as OrderStatus
from .api.authentication import SessionLogon as SessionLogon
from .api.authentication import SessionLogout as SessionLogout
from .api.authentication import SessionStatus as SessionStatus
from .api.general import ExchangeInfo as ExchangeInfo
from .api.general import ExecutionRules as ExecutionRules
from .api.general import Ping as Ping
from .api.general import Time as Time
from .api.market import AvgPrice as AvgPrice
from .api.market import BlockTradesHistorical as BlockTradesHistorical
from .api.market import Depth as Depth
from .api.market import Klines as Klines
from .api.market import ReferencePrice as ReferencePrice
from .api.market import ReferencePriceCalculation as ReferencePriceCalculation
from .api.market import TradesAggregate as TradesAggregate
from .api.market import TradesHistorical as TradesHistorical
from .api.market import TradesRecent as TradesRecent
from .api.market import UiKlines as UiKlines
from .api.order_lists import OrderListCancel as OrderListCancel
from .api.order_lists import OrderListPlace as OrderListPlace
from .api.order_lists import OrderListPlaceOco as OrderListPlaceOco
from .api.order_lists import OrderListPlaceOpo as OrderListPlaceOpo
from .api.order_lists import OrderListPlaceOpoco as OrderListPlaceOpoco
from .api.order_lists import OrderListPlaceOto as OrderListPlaceOto
from .api.order_lists import OrderListPlaceOtoco as OrderListPlaceOtoco
from .api.sor import SorOrderPlace as SorOrderPlace
from .api.sor import SorOrderTest as SorOrderTest
from .api.tickers import Ticker as Ticker
from .api.tickers import Ticker24hr as Ticker24hr
from .api.tickers import TickerBook as TickerBook
from .api.tickers import TickerPrice as TickerPrice
from .api.tickers import TickerTradingDay as TickerTradingDay
from .api.trading import OpenOrdersCancelAll as OpenOrdersCancelAll
from .api.trading import OrderAmendKeepPriority as OrderAmendKeepPriority
from .api.trading import OrderCancel as OrderCancel
from .api.trading import OrderCancelReplace as OrderCancelReplace
from .api.trading import OrderPlace as OrderPlace
from .api.trading import OrderTest as OrderTest
from .api.user_data import SessionSubscriptions as SessionSubscriptions
from .api.user_data import UserDataStreamSubscribe as UserDataStreamSubscribe
from .api.user_data import UserDataStreamSubscribeSignature as UserDataStreamSubscribeSignature
from .api.user_data import UserDataStreamUnsubscribe as UserDataStreamUnsubscribe

if not TYPE_CHECKING:  # type checkers read the aliases above
    __all__ = _names_in(globals())
