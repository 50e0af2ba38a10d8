"""Account requests.

No order has left the book for self-trade prevention, and none was routed: there are no prevented matches and no
allocations. There are no order lists.

Source: "Account requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

from bintrio.api._orders import OrderList
from bintrio.api._values import RateLimit
from bintrio.api.account import Account as AccountInformation
from bintrio.api.account import (
    AccountCommission,
    AccountRateLimitsOrders,
    AccountStatus,
    AccountTrade,
    Allocation,
    AllOrderLists,
    AllOrders,
    Amendment,
    Commission,
    CommissionRates,
    Discount,
    MyAllocations,
    MyFilters,
    MyPreventedMatches,
    MyTrades,
    OpenOrderListsStatus,
    OpenOrdersStatus,
    OrderAmendments,
    OrderListStatus,
    OrderStatus,
    PreventedMatch,
)
from bintrio.api.account import Order as OrderInformation

from .. import orders, refusals
from ..accounts import Account
from ..candles import DAY
from ..orders import NOTHING, Execution, eight_decimals
from ..tape import from_id, in_span, newest
from .calls import Call, answers

_BASIS_POINTS: Final = 10_000
_KEPT: Final = 90 * DAY
"""How long order.status knows an order that ended without a trade."""

_ZERO: Final = eight_decimals(NOTHING)

NO_RATES: Final = CommissionRates(maker=_ZERO, taker=_ZERO, buyer=_ZERO, seller=_ZERO)
NO_DISCOUNT: Final = Discount(enabled_for_account=False, enabled_for_symbol=False, discount_asset="BNB", discount=_ZERO)


# The account


@answers(AccountStatus)
def account_status(call: Call) -> AccountInformation:
    """The account and its balances."""
    account = call.queried_account
    return AccountInformation(
        maker_commission=int(account.maker_rate * _BASIS_POINTS),
        taker_commission=int(account.taker_rate * _BASIS_POINTS),
        buyer_commission=0,
        seller_commission=0,
        can_trade=True,
        can_withdraw=True,
        can_deposit=True,
        commission_rates=_rates(account),
        brokered=False,
        require_self_trade_prevention=False,
        prevent_sor=False,
        update_time=account.updated_at,
        account_type="SPOT",
        balances=account.balances(omit_zero=bool(call.request.omit_zero_balances)),
        permissions=("SPOT",),
        uid=account.uid,
    )


def _rates(account: Account) -> CommissionRates:
    maker, taker = map(eight_decimals, (account.maker_rate, account.taker_rate))
    return CommissionRates(maker=maker, taker=taker, buyer=_ZERO, seller=_ZERO)


@answers(AccountCommission)
def account_commission(call: Call) -> Commission:
    """The commission rates: the same for all symbols."""
    return Commission(
        symbol=call.symbol.name,
        standard_commission=_rates(call.account),
        special_commission=NO_RATES,
        tax_commission=NO_RATES,
        discount=NO_DISCOUNT,
    )


@answers(AccountRateLimitsOrders)
def account_rate_limits_orders(call: Call) -> tuple[RateLimit, ...]:
    """The limits on unfilled orders."""
    return tuple(window.report(call.now) for window in call.orders.windows)


@answers(MyFilters)
def my_filters(call: Call) -> dict[str, Any]:
    """The filters of the symbol; there are no others. Given as JSON, like those in exchangeInfo."""
    return {"exchangeFilters": [], "symbolFilters": call.symbol.filters(), "assetFilters": []}


# Orders


@answers(OrderStatus)
def order_status(call: Call) -> OrderInformation:
    """One order."""
    request: OrderStatus = call.request
    order = call.queried_account.find(call.symbol.name, request.order_id, request.orig_client_order_id)
    if not order.is_open and not order.executed and call.now - order.updated_at > _KEPT:
        raise refusals.archived()
    return orders.status(order)


@answers(OpenOrdersStatus)
def open_orders_status(call: Call) -> tuple[OrderInformation, ...]:
    """All open orders."""
    symbol: str | None = call.request.symbol
    if symbol is not None:
        call.engine.symbol(symbol)
    return tuple(map(orders.status, call.queried_account.open_orders(symbol)))


@answers(AllOrders)
def all_orders(call: Call) -> tuple[OrderInformation, ...]:
    """Orders in a span of time, which goes first, from an order id on, or the newest."""
    request: AllOrders = call.request
    history, limit = call.queried_account.history[call.symbol.name], call.limit()
    if call.start is call.end is None:
        found = (
            newest(history, limit)
            if request.order_id is None
            else from_id(history, request.order_id, limit, attrgetter("order_id"))
        )
    else:
        # "Filtered by time of the last execution status update."
        by_update = sorted(history, key=attrgetter("updated_at"))
        found = in_span(by_update, call.start, call.end, limit, attrgetter("updated_at"))
    return tuple(map(orders.status, found))


@answers(OrderAmendments)
def order_amendments(call: Call) -> Sequence[Amendment]:
    """The changes of one order's quantity, oldest first."""
    request: OrderAmendments = call.request
    order = call.queried_account.find(call.symbol.name, request.order_id, None)
    return from_id(order.amendments, request.from_execution_id or 0, call.limit(), attrgetter("execution_id"))


# Trades


@answers(MyTrades)
def my_trades(call: Call) -> tuple[AccountTrade, ...]:
    """Trades of the account, or of one of its orders: from a trade id on, in a span of time, or the newest."""
    request: MyTrades = call.request
    executions, limit = _executions(call), call.limit()
    if request.from_id is not None:
        found = from_id(executions, request.from_id, limit, attrgetter("trade_id"))
    else:
        found = in_span(executions, call.start, call.end, limit)
    return tuple(map(orders.account_trade, found))


def _executions(call: Call) -> Sequence[Execution]:
    account, symbol, order_id = call.queried_account, call.symbol.name, call.request.order_id
    if order_id is None:
        return account.executions[symbol]
    order = account.orders.get(order_id)
    return order.executions if order is not None and order.symbol == symbol else ()


@answers(MyPreventedMatches)
def my_prevented_matches(call: Call) -> tuple[PreventedMatch, ...]:
    """None."""
    return _nothing_of(call)


@answers(MyAllocations)
def my_allocations(call: Call) -> tuple[Allocation, ...]:
    """None."""
    return _nothing_of(call)


def _nothing_of(call: Call) -> tuple[()]:
    call.engine.symbol(call.request.symbol)
    call.limit()
    return ()


# Order lists


@answers(OrderListStatus)
def order_list_status(call: Call) -> None:
    """There is none. The document gives a list that is not found no code of its own."""
    raise refusals.no_such_order()


@answers(OpenOrderListsStatus)
def open_order_lists_status(call: Call) -> tuple[OrderList, ...]:
    """None."""
    return ()


@answers(AllOrderLists)
def all_order_lists(call: Call) -> tuple[OrderList, ...]:
    """None."""
    call.limit()
    return ()
