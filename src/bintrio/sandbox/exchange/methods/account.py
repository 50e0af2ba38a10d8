"""Account requests.

Source: "Account requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import msgspec

from bintrio.api._values import RateLimit
from bintrio.api.account import (
    Account as AccountInformation,
)
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
    RelevantFilters,
)
from bintrio.api.account import (
    Order as OrderInformation,
)
from bintrio.api.filters import MaxAssetFilter
from bintrio.api.orders import OrderList

from .. import refusals, shapes
from ..candles import DAY
from ..commissions import Commissions, Rates
from ..orders import Execution, eight_decimals
from ..tape import from_id, in_span, newest
from .calls import RequestContext, answers

_BASIS_POINTS: Final = 10_000
# How long order.status knows an order that ended without a trade.
_KEPT: Final = 90 * DAY


# The account


@answers(AccountStatus)
def account_status(call: RequestContext) -> AccountInformation:
    """The account and its balances."""
    account = call.account
    standard = account.commissions.standard
    return AccountInformation(
        # The older fields have whole basis points, so a fraction of one is cut off.
        maker_commission=int(standard.maker * _BASIS_POINTS),
        taker_commission=int(standard.taker * _BASIS_POINTS),
        buyer_commission=int(standard.buyer * _BASIS_POINTS),
        seller_commission=int(standard.seller * _BASIS_POINTS),
        can_trade=True,
        can_withdraw=True,
        can_deposit=True,
        commission_rates=_rates(standard),
        brokered=False,
        require_self_trade_prevention=False,
        prevent_sor=False,
        update_time=account.updated_at,
        account_type="SPOT",
        balances=account.balances(omit_zero=bool(call.request.omit_zero_balances)),
        permissions=("SPOT",),
        uid=account.uid,
        trade_group_id=None if account.trade_group_id < 0 else account.trade_group_id,
    )


def _rates(rates: Rates) -> CommissionRates:
    maker, taker, buyer, seller = map(eight_decimals, msgspec.structs.astuple(rates))
    return CommissionRates(maker=maker, taker=taker, buyer=buyer, seller=seller)


@answers(AccountCommission)
def account_commission(call: RequestContext) -> Commission:
    """The commission rates: the same for all symbols."""
    commissions = call.account.commissions
    return Commission(
        symbol=call.symbol.name,
        standard_commission=_rates(commissions.standard),
        special_commission=_rates(commissions.special),
        tax_commission=_rates(commissions.tax),
        discount=discount(commissions),
    )


def discount(commissions: Commissions) -> Discount:
    """What paying in another asset saves; every symbol allows for it."""
    return Discount(
        enabled_for_account=commissions.is_discounted,
        enabled_for_symbol=True,
        discount_asset=commissions.discount_asset,
        discount=eight_decimals(commissions.discount),
    )


@answers(AccountRateLimitsOrders)
def account_rate_limits_orders(call: RequestContext) -> tuple[RateLimit, ...]:
    """The limits on unfilled orders."""
    return tuple(window.report(call.now) for window in call.orders.windows)


@answers(MyFilters)
def my_filters(call: RequestContext) -> RelevantFilters:
    """The filters that concern the symbol."""
    symbol, others = call.symbol, call.engine.exchange_filters
    # They are given among those of the exchange, and shown apart ("Query Relevant Filters").
    assets = tuple(one for one in others if isinstance(one, MaxAssetFilter))
    return RelevantFilters(
        exchange_filters=tuple(one for one in others if one not in assets),
        symbol_filters=symbol.all_filters(),
        asset_filters=tuple(one for one in assets if one.asset in {symbol.base, symbol.quote}),
    )


# Orders


@answers(OrderStatus)
def order_status(call: RequestContext) -> OrderInformation:
    """One order."""
    request: OrderStatus = call.request
    order = call.account.find(call.symbol.name, request.order_id, request.orig_client_order_id)
    # An order that ended without a trade is archived after 90 days ("Query order").
    if not order.is_open and not order.executed and call.now - order.updated_at > _KEPT:
        raise refusals.archived()
    return shapes.status(order)


@answers(OpenOrdersStatus)
def open_orders_status(call: RequestContext) -> tuple[OrderInformation, ...]:
    """All open orders."""
    symbol: str | None = call.request.symbol
    # Only to refuse a name that there is not.
    if symbol is not None:
        call.engine.symbol(symbol)
    return tuple(map(shapes.status, call.account.open_orders(symbol)))


@answers(AllOrders)
def all_orders(call: RequestContext) -> tuple[OrderInformation, ...]:
    """Orders in a span of time, which goes first, from an order id on, or the newest."""
    request: AllOrders = call.request
    history, limit = [*call.account.history[call.symbol.name].values()], call.limit()
    # Without a span of time, which would go first.
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
    return tuple(map(shapes.status, found))


@answers(OrderAmendments)
def order_amendments(call: RequestContext) -> Sequence[Amendment]:
    """The changes of one order's quantity, oldest first."""
    request: OrderAmendments = call.request
    limit = call.limit()
    order = call.account.find(call.symbol.name, request.order_id, None)
    return from_id(order.amendments, request.from_execution_id or 0, limit, attrgetter("execution_id"))


# Trades


@answers(MyTrades)
def my_trades(call: RequestContext) -> tuple[AccountTrade, ...]:
    """Trades of the account, or of one of its orders: from a trade id on, in a span of time, or the newest."""
    request: MyTrades = call.request
    executions, limit = _executions(call), call.limit()
    if request.from_id is not None:
        found = from_id(executions, request.from_id, limit, attrgetter("trade_id"))
    else:
        found = in_span(executions, call.start, call.end, limit)
    return tuple(map(shapes.account_trade, found))


def _executions(call: RequestContext) -> Sequence[Execution]:
    account, symbol, order_id = call.account, call.symbol.name, call.request.order_id
    if order_id is None:
        return account.executions[symbol]
    # An order of another symbol has no trades of this one.
    order = account.orders.get(order_id)
    return order.executions if order is not None and order.symbol == symbol else ()


@answers(MyPreventedMatches)
def my_prevented_matches(call: RequestContext) -> Sequence[PreventedMatch]:
    """One match, or those of one order, oldest first."""
    request: MyPreventedMatches = call.request
    matches, limit = call.account.prevented[call.symbol.name], call.limit()
    wanted = request.prevented_match_id
    if wanted is not None:
        return tuple(match for match in matches if match.prevented_match_id == wanted)
    # The order may have been on either side of the match.
    of_order = [one for one in matches if request.order_id in {one.taker_order_id, one.maker_order_id}]
    return from_id(of_order, request.from_prevented_match_id or 0, limit, attrgetter("prevented_match_id"))


@answers(MyAllocations)
def my_allocations(call: RequestContext) -> tuple[Allocation, ...]:
    """What was allocated to the account, or to one of its orders: from an id on, in a span of time, or the oldest."""
    request: MyAllocations = call.request
    limit = call.limit()
    kept: Sequence[Execution] = call.account.allocations[call.symbol.name]
    if request.order_id is not None:
        kept = [one for one in kept if one.order.order_id == request.order_id]
    # "Account allocations": by the symbol alone, they come from the oldest on.
    if request.from_allocation_id is not None or call.start is call.end is None:
        found = from_id(kept, request.from_allocation_id or 0, limit, attrgetter("allocation_id"))
    else:
        found = in_span(kept, call.start, call.end, limit)
    return tuple(map(shapes.allocation, found))


# Order lists


@answers(OrderListStatus)
def order_list_status(call: RequestContext) -> OrderList:
    """One order list. The document gives one that is not found no code of its own."""
    request: OrderListStatus = call.request
    account = call.account
    name = request.orig_client_order_id
    # The name goes first (inconsistency 31).
    found = account.list_named(name) if name is not None else account.lists.get(request.order_list_id or 0)
    if found is None:
        raise refusals.no_such_order()
    return found


@answers(OpenOrderListsStatus)
def open_order_lists_status(call: RequestContext) -> tuple[OrderList, ...]:
    """All that have an open order."""
    return tuple(call.account.open_lists())


@answers(AllOrderLists)
def all_order_lists(call: RequestContext) -> Sequence[OrderList]:
    """Order lists in a span of time, which goes first, from an id on, or the newest."""
    request: AllOrderLists = call.request
    lists, limit = tuple(call.account.lists.values()), call.limit()
    if call.start is call.end is None:
        if request.from_id is None:
            return newest(lists, limit)
        return from_id(lists, request.from_id, limit, attrgetter("order_list_id"))
    # Lists are kept in the order of their placing, and change later.
    by_time = sorted(lists, key=attrgetter("transaction_time"))
    return in_span(by_time, call.start, call.end, limit, attrgetter("transaction_time"))
