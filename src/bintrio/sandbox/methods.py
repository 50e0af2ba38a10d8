"""What each method does, once its request has passed the gates.

A function takes a `Call` and returns a record with times in microseconds, or raises a `Refusal`. Decorating it with
`answers` is all it takes to add a method.

Source: the method's section of the WebSocket API document; `Request.api.url` names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

from bintrio.api._base import Request
from bintrio.api.account import Account as AccountInformation
from bintrio.api.account import AccountStatus, CommissionRates, OpenOrdersStatus, OrderStatus
from bintrio.api.account import Order as OrderInformation
from bintrio.api.authentication import ConnectionStatus, SessionLogon, SessionLogout, SessionStatus
from bintrio.api.general import ExchangeInfo, Nothing, Ping, ServerTime, Time
from bintrio.api.market import Depth, OrderBook, PriceLevel
from bintrio.api.trading import CanceledOrder, OrderAck, OrderCancel, OrderFull, OrderPlace, OrderResult, OrderTest
from bintrio.api.user_data import (
    SessionSubscriptions,
    Subscription,
    UserDataStreamSubscribe,
    UserDataStreamSubscribeSignature,
    UserDataStreamUnsubscribe,
)

from . import orders, refusals
from .accounts import Account
from .auth import Credential
from .limits import Limits
from .matching import MatchingEngine
from .orders import eight_decimals
from .refusals import Refusal
from .sessions import Session
from .symbols import Symbol
from .units import MILLISECOND

MAX_DEPTH: Final = 5_000
"""Levels a side; "Order book"."""

_BASIS_POINTS: Final = 10_000
_ZERO: Final = Decimal("0.00000000")


class Call(NamedTuple):
    """What a method's function works with.

    Attributes:
        request: the `Request`, of the type that belongs to the method.
        credential: the key that signed the request or is logged on; None where the method asks for none.
        now: microseconds.
    """

    engine: MatchingEngine
    limits: Limits
    request: Any
    session: Session
    credential: Credential | None
    now: int

    @property
    def signer(self) -> Credential:
        """The key, where the method asks for one."""
        assert self.credential is not None
        return self.credential

    @property
    def account(self) -> Account:
        """The account that the key belongs to."""
        return self.engine.accounts[self.signer.uid]


Function: TypeAlias = Callable[[Call], Any]

functions: Final[dict[str, Function]] = {}
"""By the method's name."""


def answers(request_type: type[Request[Any]]) -> Callable[[Function], Function]:
    """Register the function that answers a method."""

    def register(function: Function) -> Function:
        functions[request_type.api.name] = function
        return function

    return register


# General


@answers(Ping)
def ping(call: Call) -> Nothing:
    """Nothing."""
    return Nothing()


@answers(Time)
def time(call: Call) -> ServerTime:
    """The clock."""
    return ServerTime(server_time=call.now)


@answers(ExchangeInfo)
def exchange_info(call: Call) -> dict[str, Any]:
    """Limits and symbols. Given as JSON, which has fields that only some symbols have."""
    return {
        "timezone": "UTC",
        "serverTime": call.now if call.session.unit == "us" else call.now // MILLISECOND,
        "rateLimits": [_without_count(rule) for rule in call.limits.rules()],
        "exchangeFilters": [],
        "symbols": [symbol.as_json() for symbol in _symbols(call)],
        "sors": [],
    }


def _without_count(rule: Any) -> dict[str, Any]:
    return {
        "rateLimitType": rule.rate_limit_type,
        "interval": rule.interval,
        "intervalNum": rule.interval_num,
        "limit": rule.limit,
    }


def _symbols(call: Call) -> Sequence[Symbol]:
    request: ExchangeInfo = call.request
    engine = call.engine
    if request.symbol is not None:
        return [engine.symbol(request.symbol)]
    if request.symbols is not None:
        return [engine.symbol(name) for name in request.symbols]
    if request.permissions is not None and "SPOT" not in request.permissions:
        return []
    wanted = request.symbol_status
    return [symbol for symbol in engine.symbols.values() if wanted is None or symbol.status == wanted]


# Market data


@answers(Depth)
def depth(call: Call) -> OrderBook:
    """The order book."""
    request: Depth = call.request
    symbol = call.engine.symbol(request.symbol)
    if request.symbol_status is not None and symbol.status != request.symbol_status:
        raise refusals.symbol_status_differs()
    limit = 100 if request.limit is None else request.limit
    if not 1 <= limit <= MAX_DEPTH:
        raise refusals.invalid_value("limit")
    book = call.engine.books[request.symbol]
    return OrderBook(last_update_id=book.update_id, bids=_levels(book.bids(limit)), asks=_levels(book.asks(limit)))


def _levels(levels: Sequence[tuple[Decimal, Decimal]]) -> tuple[PriceLevel, ...]:
    return tuple(PriceLevel(eight_decimals(price), eight_decimals(quantity)) for price, quantity in levels)


# Authentication


@answers(SessionLogon)
def session_logon(call: Call) -> ConnectionStatus:
    """Log on. The document gives no code for a key of the wrong type; -2015 speaks of permissions."""
    if not call.signer.can_log_on:
        raise refusals.api_key_refused()
    call.session.log_on(call.signer, call.now)
    return call.session.status(call.now)


@answers(SessionStatus)
def session_status(call: Call) -> ConnectionStatus:
    """How the connection stands."""
    return call.session.status(call.now)


@answers(SessionLogout)
def session_logout(call: Call) -> ConnectionStatus:
    """Log off."""
    call.session.log_off()
    return call.session.status(call.now)


# User data


@answers(UserDataStreamSubscribe)
def subscribe(call: Call) -> Subscription:
    """Follow the account that is logged on."""
    return Subscription(subscription_id=call.session.subscribe(call.signer.uid, by_logon=True))


@answers(UserDataStreamSubscribeSignature)
def subscribe_signature(call: Call) -> Subscription:
    """Follow the account of the key that signed."""
    return Subscription(subscription_id=call.session.subscribe(call.signer.uid, by_logon=False))


@answers(UserDataStreamUnsubscribe)
def unsubscribe(call: Call) -> Nothing:
    """Follow one account less, or none."""
    call.session.unsubscribe(call.request.subscription_id)
    return Nothing()


@answers(SessionSubscriptions)
def subscriptions(call: Call) -> tuple[Subscription, ...]:
    """What the connection follows."""
    return tuple(Subscription(subscription_id=number) for number in call.session.subscriptions)


# Trading


@answers(OrderPlace)
def order_place(call: Call) -> OrderAck | OrderResult | OrderFull:
    """Place an order. FULL is what MARKET and LIMIT orders are answered with by default, ACK all others."""
    request: OrderPlace = call.request
    order = call.engine.place(call.account, request, call.now)
    shown = request.new_order_resp_type or ("FULL" if order.type in {"LIMIT", "MARKET"} else "ACK")
    return _SHAPES[shown](order)


_SHAPES: Final[dict[str, Callable[[orders.Order], OrderAck | OrderResult | OrderFull]]] = {
    "ACK": orders.ack,
    "RESULT": orders.result,
    "FULL": orders.full,
}


@answers(OrderTest)
def order_test(call: Call) -> dict[str, Any]:
    """Check an order."""
    request: OrderTest = call.request
    call.engine.check(call.account, request, call.now)
    if not request.compute_commission_rates:
        return {}
    account = call.account
    return {
        "standardCommissionForOrder": {
            "maker": eight_decimals(account.maker_rate),
            "taker": eight_decimals(account.taker_rate),
        },
        "taxCommissionForOrder": {"maker": _ZERO, "taker": _ZERO},
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": _ZERO,
        },
    }


@answers(OrderCancel)
def order_cancel(call: Call) -> CanceledOrder:
    """Cancel an order. One that cannot be found is a refused cancellation here, -2011."""
    request: OrderCancel = call.request
    call.engine.symbol(request.symbol)
    try:
        order = call.account.find(request.symbol, request.order_id, request.orig_client_order_id)
    except Refusal as refusal:
        raise refusals.cancel_refused("Unknown order sent.") if refusal.code == -2013 else refusal from None
    cancel_id = request.new_client_order_id or f"cancel-{order.order_id}"
    call.engine.cancel(call.account, order, call.now, cancel_id=cancel_id, restriction=request.cancel_restrictions)
    return orders.canceled(order, cancel_id)


# Account


@answers(OrderStatus)
def order_status(call: Call) -> OrderInformation:
    """One order."""
    request: OrderStatus = call.request
    call.engine.symbol(request.symbol)
    return orders.status(call.account.find(request.symbol, request.order_id, request.orig_client_order_id))


@answers(OpenOrdersStatus)
def open_orders_status(call: Call) -> tuple[OrderInformation, ...]:
    """All open orders."""
    symbol: str | None = call.request.symbol
    if symbol is not None:
        call.engine.symbol(symbol)
    return tuple(map(orders.status, call.account.open_orders(symbol)))


@answers(AccountStatus)
def account_status(call: Call) -> AccountInformation:
    """The account and its balances."""
    account = call.account
    maker, taker = account.maker_rate, account.taker_rate
    return AccountInformation(
        maker_commission=int(maker * _BASIS_POINTS),
        taker_commission=int(taker * _BASIS_POINTS),
        buyer_commission=0,
        seller_commission=0,
        can_trade=True,
        can_withdraw=True,
        can_deposit=True,
        commission_rates=CommissionRates(
            maker=eight_decimals(maker), taker=eight_decimals(taker), buyer=_ZERO, seller=_ZERO
        ),
        brokered=False,
        require_self_trade_prevention=False,
        prevent_sor=False,
        update_time=account.updated_at,
        account_type="SPOT",
        balances=account.balances(omit_zero=bool(call.request.omit_zero_balances)),
        permissions=("SPOT",),
        uid=account.uid,
    )
