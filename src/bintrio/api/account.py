"""Account requests: the account and its orders.

Source: "Account requests" of the WebSocket API document.
"""

from __future__ import annotations

from decimal import Decimal

from ._base import Milliseconds, Request, api
from ._rules import at_least_one, exactly_one, not_with, requires, within_a_day
from ._values import RateLimit, Record, Timestamp
from .enums import AccountType, AllocationType, Permission, SelfTradePreventionMode
from .filters import Filter
from .orders import OrderDetails, OrderList

__all__ = [
    "Account",
    "AccountTrade",
    "Allocation",
    "Amendment",
    "Balance",
    "Commission",
    "CommissionRates",
    "Discount",
    "Order",
    "PreventedMatch",
    "RelevantFilters",
]


class CommissionRates(Record, frozen=True, kw_only=True):
    """Commission rates of an account."""

    maker: Decimal
    taker: Decimal
    buyer: Decimal
    seller: Decimal


class Balance(Record, frozen=True, kw_only=True):
    """What an account has of one asset."""

    asset: str
    free: Decimal
    locked: Decimal


class Account(Record, frozen=True, kw_only=True):
    """An account: what it may do, what it pays, what it has.

    ``trade_group_id`` is promised by the STP FAQ, ``reduce_only_assets`` is known from the SBE schema.
    """

    # These four are basis points, and whole; `commission_rates` has the exact ones.
    maker_commission: int
    taker_commission: int
    buyer_commission: int
    seller_commission: int
    can_trade: bool
    can_withdraw: bool
    can_deposit: bool
    commission_rates: CommissionRates
    brokered: bool
    require_self_trade_prevention: bool
    prevent_sor: bool
    update_time: Timestamp
    account_type: AccountType
    balances: tuple[Balance, ...]
    permissions: tuple[Permission, ...]
    uid: int
    trade_group_id: int | None = None
    reduce_only_assets: tuple[str, ...] | None = None


class Order(OrderDetails, frozen=True, kw_only=True):
    """An order as the exchange knows it. A negative ``cummulative_quote_qty`` means that it is not known."""

    orig_qty: Decimal
    stop_price: Decimal  # always there in queries, zero if not set (inconsistency 13)
    iceberg_qty: Decimal
    time: Timestamp
    update_time: Timestamp
    is_working: bool
    # -1 while the order waits for another one of its list; the SBE schema may leave it out.
    working_time: Timestamp | None = None
    self_trade_prevention_mode: SelfTradePreventionMode


@api(
    "account.status",
    security="USER_DATA",
    source="Memory => Database",
    weight=20,
    section="account-information-user_data",
)
class AccountStatus(Request[Account], frozen=True, kw_only=True):
    """The account and its balances."""

    omit_zero_balances: bool | None = None
    recv_window: Milliseconds | None = None


@api(
    "order.status",
    security="USER_DATA",
    source="Memory => Database",
    weight=4,
    section="query-order-user_data",
    # With both, the exchange looks for the order id and then compares the other ("Query order").
    rules=(at_least_one("order_id", "orig_client_order_id"),),
)
class OrderStatus(Request[Order], frozen=True, kw_only=True):
    """One order, open or not."""

    symbol: str
    order_id: int | None = None
    orig_client_order_id: str | None = None
    recv_window: Milliseconds | None = None


def _open_orders_weight(request: OpenOrdersStatus) -> int:
    """6 for one symbol, else 80."""
    # The exchange has to look through all symbols then ("Current open orders").
    return 6 if request.symbol else 80


@api(
    "openOrders.status",
    security="USER_DATA",
    source="Memory => Database",
    weight=_open_orders_weight,
    section="current-open-orders-user_data",
)
class OpenOrdersStatus(Request[tuple[Order, ...]], frozen=True, kw_only=True):
    """The open orders of one symbol, or of all."""

    symbol: str | None = None
    recv_window: Milliseconds | None = None


@api(
    "allOrders",
    security="USER_DATA",
    source="Database",
    weight=20,
    section="account-order-history-user_data",
    rules=(within_a_day("start_time", "end_time"),),
    notes={"order_id": "The order to begin at, by the exchange's id."},
)
class AllOrders(Request[tuple[Order, ...]], frozen=True, kw_only=True):
    """Orders of a symbol from ``order_id`` on, or in a span of time, or the newest."""

    symbol: str
    order_id: int | None = None
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    limit: int | None = None
    recv_window: Milliseconds | None = None


@api(
    "orderList.status",
    security="USER_DATA",
    source="Database",
    weight=4,
    section="query-order-list-user_data",
    # With both, the name is used and the number ignored, unlike in orderList.cancel (inconsistency 31).
    rules=(at_least_one("orig_client_order_id", "order_list_id"),),
    notes={"orig_client_order_id": "The list client order id of the order list. It goes before the other id."},
)
class OrderListStatus(Request[OrderList], frozen=True, kw_only=True):
    """One order list, open or not."""

    orig_client_order_id: str | None = None
    order_list_id: int | None = None
    recv_window: Milliseconds | None = None


@api(
    "openOrderLists.status",
    security="USER_DATA",
    source="Memory => Database",
    weight=6,
    section="current-open-order-lists-user_data",
)
class OpenOrderListsStatus(Request[tuple[OrderList, ...]], frozen=True, kw_only=True):
    """The open order lists of all symbols."""

    recv_window: Milliseconds | None = None


@api(
    "allOrderLists",
    security="USER_DATA",
    source="Database",
    weight=20,
    section="account-order-list-history-user_data",
    rules=(within_a_day("start_time", "end_time"),),
    notes={"from_id": "The order list to begin at, by the exchange's id."},
)
class AllOrderLists(Request[tuple[OrderList, ...]], frozen=True, kw_only=True):
    """Order lists from ``from_id`` on, or in a span of time, or the newest."""

    from_id: int | None = None
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    limit: int | None = None
    recv_window: Milliseconds | None = None


class AccountTrade(Record, frozen=True, kw_only=True):
    """A trade of the account."""

    symbol: str
    id: int
    order_id: int
    order_list_id: int  # -1 for an order of no list
    price: Decimal
    qty: Decimal
    quote_qty: Decimal
    commission: Decimal
    commission_asset: str | None  # None where no commission is due (inconsistency 17)
    time: Timestamp
    is_buyer: bool
    is_maker: bool
    is_best_match: bool


def _trades_weight(request: MyTrades) -> int:
    """5 for one order, else 20."""
    # Trades of one order are few, and found by its id ("Account trade history").
    return 20 if request.order_id is None else 5


@api(
    "myTrades",
    security="USER_DATA",
    source="Memory => Database",
    weight=_trades_weight,
    section="account-trade-history-user_data",
    rules=(
        # "The time between startTime and endTime can't be longer than 24 hours", and what may go together ("Account
        # trade history").
        within_a_day("start_time", "end_time"),
        not_with("from_id", "start_time", "end_time"),
        not_with("order_id", "start_time", "end_time"),
    ),
    notes={"order_id": "Only trades of this order.", "from_id": "The trade to begin at."},
)
class MyTrades(Request[tuple[AccountTrade, ...]], frozen=True, kw_only=True):
    """Trades of the account, of one order, from an id, in a span of time, or the newest."""

    symbol: str
    order_id: int | None = None
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    from_id: int | None = None
    limit: int | None = None
    recv_window: Milliseconds | None = None


@api(
    "account.rateLimits.orders",
    security="USER_DATA",
    source="Memory",
    weight=40,
    section="unfilled-order-count-user_data",
)
class AccountRateLimitsOrders(Request[tuple[RateLimit, ...]], frozen=True, kw_only=True):
    """How many unfilled orders of the account count against its limits."""

    recv_window: Milliseconds | None = None


class PreventedMatch(Record, frozen=True, kw_only=True):
    """A match that self-trade prevention kept from happening. Its mode decides which quantities there are."""

    symbol: str
    prevented_match_id: int
    taker_order_id: int
    maker_symbol: str
    maker_order_id: int
    trade_group_id: int
    self_trade_prevention_mode: SelfTradePreventionMode
    price: Decimal
    taker_prevented_quantity: Decimal | None = None  # which of the two there is, the mode decides (inconsistency 18)
    maker_prevented_quantity: Decimal | None = None
    transact_time: Timestamp


def _prevented_weight(request: MyPreventedMatches) -> int:
    """2 for one match, else 20."""
    # One match is found by its id ("Account prevented matches").
    return 20 if request.prevented_match_id is None else 2


@api(
    "myPreventedMatches",
    security="USER_DATA",
    source="Database",
    weight=_prevented_weight,
    section="account-prevented-matches-user_data",
    rules=(
        # The combinations of parameters that the document lists under "Account prevented matches".
        exactly_one("prevented_match_id", "order_id"),
        requires("from_prevented_match_id", (), "order_id"),
        not_with("prevented_match_id", "limit"),
    ),
    notes={"order_id": "The order whose prevented matches to give."},
)
class MyPreventedMatches(Request[tuple[PreventedMatch, ...]], frozen=True, kw_only=True):
    """One prevented match, or those of one order."""

    symbol: str
    prevented_match_id: int | None = None
    order_id: int | None = None
    from_prevented_match_id: int | None = None
    limit: int | None = None
    recv_window: Milliseconds | None = None


class Allocation(Record, frozen=True, kw_only=True):
    """What smart order routing allocated to an order."""

    symbol: str
    allocation_id: int
    allocation_type: AllocationType
    order_id: int
    order_list_id: int
    price: Decimal
    qty: Decimal
    quote_qty: Decimal
    commission: Decimal
    commission_asset: str | None
    time: Timestamp
    is_buyer: bool
    is_maker: bool
    is_allocator: bool


@api(
    "myAllocations",
    security="USER_DATA",
    source="Database",
    weight=20,
    section="account-allocations-user_data",
    rules=(
        within_a_day("start_time", "end_time"),
        # The combinations of parameters that the document lists under "Account allocations".
        not_with("from_allocation_id", "start_time", "end_time"),
        not_with("order_id", "start_time", "end_time"),
    ),
    notes={"order_id": "Only allocations to this order."},
)
class MyAllocations(Request[tuple[Allocation, ...]], frozen=True, kw_only=True):
    """Allocations of a symbol, of one order, from an id, or in a span of time."""

    symbol: str
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    from_allocation_id: int | None = None
    limit: int | None = None
    order_id: int | None = None
    recv_window: Milliseconds | None = None


class Discount(Record, frozen=True, kw_only=True):
    """What paying commission in another asset saves; None for the asset if there is none."""

    enabled_for_account: bool
    enabled_for_symbol: bool
    discount_asset: str | None
    discount: Decimal


class Commission(Record, frozen=True, kw_only=True):
    """What the account pays for trades of a symbol."""

    symbol: str
    standard_commission: CommissionRates
    special_commission: CommissionRates
    tax_commission: CommissionRates
    discount: Discount


@api(
    "account.commission",
    security="USER_DATA",
    source="Database",
    weight=20,
    section="account-commission-rates-user_data",
)
class AccountCommission(Request[Commission], frozen=True, kw_only=True):
    """The commission rates of the account for a symbol."""

    symbol: str
    recv_window: Milliseconds | None = None


class Amendment(Record, frozen=True, kw_only=True):
    """One change of an order's quantity."""

    symbol: str
    order_id: int
    execution_id: int
    orig_client_order_id: str
    new_client_order_id: str
    orig_qty: Decimal
    new_qty: Decimal
    time: Timestamp


@api("order.amendments", security="USER_DATA", source="Database", weight=4, section="query-order-amendments-user_data")
class OrderAmendments(Request[tuple[Amendment, ...]], frozen=True, kw_only=True):
    """The changes of one order's quantity."""

    symbol: str
    order_id: int
    from_execution_id: int | None = None
    limit: int | None = None
    recv_window: Milliseconds | None = None


class RelevantFilters(Record, frozen=True, kw_only=True):
    """The filters that orders of the account for a symbol must pass."""

    exchange_filters: tuple[Filter, ...]
    symbol_filters: tuple[Filter, ...]
    asset_filters: tuple[Filter, ...]


@api("myFilters", security="USER_DATA", source="Memory", weight=40, section="query-relevant-filters-user_data")
class MyFilters(Request[RelevantFilters], frozen=True, kw_only=True):
    """The filters that orders of the account for a symbol must pass; the only source of asset filters."""

    symbol: str
    recv_window: Milliseconds | None = None
