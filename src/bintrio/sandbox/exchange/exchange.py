"""The exchange without its wire: a message and a time in, an answer and events out.

A request passes the same gates in the same order, whatever its method: is it JSON, is there such a method, is the
session's key still accepted, is there weight left, who signed it, what do its parameters say. Then the method's own
function runs (`methods`).

A refusal may come at any gate. It weighs what the request weighs; a success weighs what the document says of
successes. Time is an argument, in microseconds.

Source: the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from bintrio._protocol.exact import in_exact
from bintrio._protocol.requests import RequestId
from bintrio._protocol.to_json import write_event, write_reply
from bintrio.api._base import Api, Request, catalogue
from bintrio.api._values import RateLimit
from bintrio.api.account import MyPreventedMatches
from bintrio.api.enums import Side
from bintrio.api.events import EventStreamTerminated, KnownEvent
from bintrio.api.filters import Filter
from bintrio.api.market import BlockTrade
from bintrio.api.trading import OrderAmended, OrderPlace
from bintrio.errors import InvalidRequest

from . import refusals
from .accounts import Account
from .auth import Credential, Keyring, SandboxAccount, check_timestamp
from .limits import AddressBudget, Limits, OrderBudget
from .matching import MatchingEngine
from .messages import Incoming
from .methods import RequestContext, functions
from .orders import Order
from .reference import Source
from .refusals import Refusal
from .replicas import Replicas
from .sessions import Session
from .symbols import Symbol
from .transfers import lock_externally, transfer
from .units import UNITS
from .validation import fields, read_request


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A reply, before it is written.

    Attributes:
        result: of a success, times in microseconds.
        error: of a refusal.
        rate_limits: None when they are not to be shown.
        time_unit: microseconds in one of the units in which the connection is told times.
    """

    request_id: RequestId | None
    status: int
    result: Any = None
    error: Mapping[str, Any] | None = None
    rate_limits: tuple[RateLimit, ...] | None = None
    time_unit: int = 1

    def as_bytes(self) -> bytes:
        """As JSON."""
        return write_reply(
            self.request_id,
            self.status,
            result=self.result,
            error=self.error,
            rate_limits=self.rate_limits,
            time_unit=self.time_unit,
        )


class Delivery(NamedTuple):
    """An event for one connection."""

    session: Session
    message: bytes


class _Context(msgspec.Struct):
    """What a request gathers on its way through the gates.

    Attributes:
        weight: what it weighs as things stand.
        orders: the limits on the account's orders, if it is about orders.
    """

    session: Session
    budget: AddressBudget
    params: Mapping[str, Any]
    now: int
    weight: int = 1
    orders: OrderBudget | None = None


class Exchange:
    """Everything behind the wire.

    Args:
        symbols: what is traded.
        limits: how often.
        exchange_filters: filters on all orders of an account, and on assets.
        routes: the symbols among whose books orders may be routed, for each base asset.
        keep: how many closed orders, trades and the like are kept of each account and symbol; None keeps all.

    Attributes:
        engine: books and accounts.
        keyring: API keys.
        sessions: the live connections.
        replicas: accounts and markets as queries see them.
        address_budgets: the limits on each address from which somebody came.
        order_budgets: the limits on the orders of each account, by its uid.
    """

    def __init__(
        self,
        symbols: Iterable[Symbol],
        limits: Limits,
        *,
        exchange_filters: Sequence[Filter] = (),
        routes: Iterable[Sequence[str]] = (),
        keep: int | None = None,
    ) -> None:
        self.engine: Final = MatchingEngine(
            symbols, exchange_filters=exchange_filters, routes=routes, is_followed=self._is_followed, keep=keep
        )
        self._keep = keep
        self.keyring: Final = Keyring()
        self.sessions: Final[dict[Session, None]] = {}  # in the order in which they came: events go out in it
        self.limits: Final = limits
        self.address_budgets: Final[dict[str, AddressBudget]] = {}
        self.order_budgets: Final[dict[int, OrderBudget]] = {}
        self.replicas: Final = Replicas(self.engine, self.order_budgets)
        self._deliveries: list[Delivery] = []

    @in_exact
    def open_account(self, account: SandboxAccount) -> None:
        """Add an account with its keys.

        Raises:
            InvalidRequest: an account has that uid already, or one of its keys.
        """
        # Before its keys, which could not be taken back.
        if account.uid in self.engine.accounts:
            raise InvalidRequest(f"there is an account with uid {account.uid} already", field="uid")
        self.keyring.add(account)
        opened = Account(
            account.uid,
            account.balances,
            commissions=account.commissions,
            trade_group_id=account.trade_group_id,
            keep=self._keep,
        )
        self.engine.accounts[account.uid] = opened
        self.order_budgets[account.uid] = OrderBudget(self.limits)
        self.replicas.open_account(opened)

    def budget(self, address: str) -> AddressBudget:
        """The limits on one address."""
        if address not in self.address_budgets:
            self.address_budgets[address] = AddressBudget(self.limits)
        return self.address_budgets[address]

    # Requests

    @in_exact
    def execute(self, session: Session, budget: AddressBudget, incoming: Incoming, now: int) -> Answer:
        """Do what a request asks, or refuse it."""
        context = _Context(session, budget, incoming.params, now)
        request_id, status, result, error = incoming.request_id, 200, None, None
        try:
            result = self._perform(context, incoming)
        except Refusal as refusal:
            status, error = refusal.status, refusal.as_error()
            # The exchange answers with `id: null` where it cannot tell whose request it was.
            if refusal.is_anonymous:
                request_id = None
        # A refusal weighs something too; of what trades, a success weighs nothing.
        if context.weight:
            budget.weight.add(context.weight, now)
        # Also after a refusal: order.cancelReplace may have cancelled before it was refused.
        self._distribute(now)
        self._tell_ended(session, now)
        return Answer(
            request_id=request_id,
            status=status,
            result=result,
            error=error,
            rate_limits=self._rate_limits(context),
            time_unit=UNITS[session.unit],
        )

    @in_exact
    def refuse(self, session: Session, budget: AddressBudget, refusal: Refusal, now: int) -> Answer:
        """The answer to a message that is no request, or one that is not to be executed."""
        # What is no request has no weight of its own, and no message is free.
        budget.weight.add(1, now)
        rate_limits = self._rate_limits(_Context(session, budget, {}, now))
        return Answer(request_id=None, status=refusal.status, error=refusal.as_error(), rate_limits=rate_limits)

    def _perform(self, context: _Context, incoming: Incoming) -> Any:
        """Every gate, then the method. Notes in the context what the request weighs, and whose orders it counts."""
        session, budget, params, now = context.session, context.budget, context.params, context.now
        # A method that there is not has no weight, so this comes first; such a message weighs 1.
        request_type = _request_type(incoming.method)
        api = request_type.api
        # Before the limits: a revoked key ends its session even if there is no room for the request.
        _check_session(session)
        # Before anything is checked, so that a refusal weighs as much as the request would.
        context.weight = _weight(request_type, params, self.engine.symbols)
        budget.admit(context.weight, now)
        # JSON would keep one of the two, and a signature could cover the other.
        if incoming.is_doubled:
            raise refusals.duplicate_parameter()
        credential = self._authenticate(api, session, params, now)
        if credential is not None and api.orders:
            context.orders = self.order_budgets[credential.uid]
            # order.cancelReplace may cancel over the limit; then it sees to the limit itself.
            if params.get("orderRateLimitExceededMode") != "CANCEL_ONLY":
                context.orders.admit(api.orders, now)
        request = read_request(request_type, params)
        order_budget = None if credential is None else self.order_budgets[credential.uid]
        result = functions[api.name](
            RequestContext(self.engine, self.replicas, self.limits, request, session, credential, order_budget, now)
        )
        # Only after it was done: a refusal on the way keeps the full weight.
        context.weight = _weight_of_success(request, result)
        return result

    def _authenticate(self, api: Api, session: Session, params: Mapping[str, Any], now: int) -> Credential | None:
        if api.security == "NONE":
            return None
        # userDataStream.subscribe: it takes no key, but a session that is logged on.
        if not api.signed:
            if session.credential is None:
                raise Refusal(-1002, "You are not authorized to execute this request.")
            return session.credential
        # A session that is logged on signs nothing, but still says when it asked.
        if session.credential is not None and "apiKey" not in params and api.security in {"TRADE", "USER_DATA"}:
            if "signature" in params:
                raise refusals.not_required("signature")
            check_timestamp(params, now)
            return session.credential
        return self.keyring.authenticate(params, payload(params), now)

    def _rate_limits(self, context: _Context) -> tuple[RateLimit, ...] | None:
        shown = context.session.returns_rate_limits
        wanted = context.params.get("returnRateLimits")
        if wanted is not None:
            # A refused value is no reason to hide the limits.
            shown = wanted if isinstance(wanted, bool) else _FLAGS.get(str(wanted), shown)
        if not shown:
            return None
        # The limits on orders are shown to whoever's request counts as an order.
        windows = context.orders.windows if context.orders is not None else ()
        return tuple([window.report(context.now) for window in (*windows, context.budget.weight)])

    # Events

    @in_exact
    def take_deliveries(self) -> list[Delivery]:
        """The events since the last call, in their order."""
        deliveries, self._deliveries = self._deliveries, []
        return deliveries

    @in_exact
    def announce(self, event: KnownEvent) -> None:
        """Send an event to every connection, subscribed or not."""
        for session in self.sessions:
            self._deliver(session, None, event)

    @in_exact
    def transfer(self, uid: int, asset: str, amount: Decimal, now: int) -> None:
        """Deposit, or with a negative amount withdraw.

        Raises:
            Refusal: -2010, there is not enough.
        """
        transfer(self.engine.reports, self.engine.accounts[uid], asset, amount, now)
        self._distribute(now)

    @in_exact
    def lock_externally(self, uid: int, asset: str, amount: Decimal, now: int) -> None:
        """Lock for another system of the exchange, or with a negative amount release.

        Raises:
            Refusal: -2010, so much is not free, or was not locked so.
        """
        lock_externally(self.engine.reports, self.engine.accounts[uid], asset, amount, now)
        self._distribute(now)

    @in_exact
    def place(self, uid: int, request: OrderPlace, now: int) -> Order:
        """Place an order from within, past all limits.

        Raises:
            Refusal: the engine does not take it.
        """
        order = self.engine.place(self.engine.accounts[uid], request, now)
        self._distribute(now)
        return order

    @in_exact
    def cancel_all(self, uid: int, symbol: str, now: int) -> None:
        """Cancel an account's open orders from within."""
        # A list: canceling takes them off what is iterated over.
        self.cancel_each(list(self.engine.accounts[uid].open_orders(symbol)), now)

    @in_exact
    def cancel_each(self, orders: Iterable[Order], now: int) -> None:
        """Cancel open orders from within."""
        for order in orders:
            account = self.engine.accounts[order.owner]
            self.engine.cancel(account, order, now, cancel_id=f"cancel-{order.order_id}")
        self._distribute(now)

    @in_exact
    def trade_block(self, symbol: str, side: Side, price: Decimal, quantity: Decimal, now: int) -> BlockTrade:
        """Let two parties trade outside the book; the side is the taker's.

        Raises:
            Refusal: -1121.
        """
        block = self.engine.listing(symbol).tape.record_block(price, quantity, now, is_buyer_maker=side == "SELL")
        self.replicas.note((), now)
        return block

    @in_exact
    def set_reference(self, symbol: str, source: Source, now: int) -> None:
        """Say where a symbol's reference price comes from.

        Raises:
            Refusal: -1121.
        """
        self.engine.references.sources[self.engine.symbol(symbol).name] = source
        self.replicas.note((), now)

    @in_exact
    def end_events(self, uid: int, now: int) -> None:
        """End all subscriptions to an account."""
        for session in self.sessions:
            session.end_events(uid)
            self._tell_ended(session, now)

    def _tell_ended(self, session: Session, now: int) -> None:
        for number in session.take_ended():
            self._deliver(session, number, EventStreamTerminated(event_time=now))

    def _is_followed(self, uid: int) -> bool:
        """Whether somebody is told of an account's changes, or a replica has to be."""
        return self.replicas.has(uid) or any(uid in session.followed for session in self.sessions)

    def _distribute(self, now: int) -> None:
        notices = self.engine.take_notices()
        self.replicas.note(notices, now)
        for notice in notices:
            if notice.unfilled is not None:
                self.order_budgets[notice.uid].note(notice.unfilled, now)
            if notice.event is not None:
                self._send(notice.uid, notice.event)

    def _send(self, uid: int, event: KnownEvent) -> None:
        for session in self.sessions:
            number = session.followed.get(uid)
            if number is not None:
                self._deliver(session, number, event)

    def _deliver(self, session: Session, number: int | None, event: KnownEvent) -> None:
        self._deliveries.append(Delivery(session, write_event(number, event, time_unit=UNITS[session.unit])))


_FLAGS: Final = {"true": True, "false": False}


def _check_session(session: Session) -> None:
    """A key that was revoked ends its session with the next request, whatever that is."""
    if session.credential is not None and session.credential.is_revoked:
        # Its subscriptions end too, which is told.
        session.log_off()
        raise refusals.session_revoked()


def payload(params: Mapping[str, Any]) -> str:
    """What a signature must cover: unlike the client's `signing.payload`, a fraction is as it was written."""
    # The document has the parameters in alphabetical order, however they came.
    return "&".join(f"{name}={_as_text(params[name])}" for name in sorted(params) if name != "signature")


def _as_text(value: Any) -> str:
    # A text goes in without its quotation marks, all else as it stood in the message.
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=_as_written).decode()


def _as_written(number: Any) -> msgspec.Raw:
    """A `Number` within a list."""
    return msgspec.Raw(number.encode())


def _request_type(method: str) -> type[Request[Any]]:
    if not method:
        raise refusals.mandatory("method")
    if method not in functions:
        raise refusals.unknown_method()
    return catalogue[method]


def _weight_of_success(request: Request[Any], result: Any) -> int:
    """A success may weigh less than what was asked for ("Trading requests")."""
    # Changelog of 2026-04-02: nothing, where the order expires because of the amendment.
    if isinstance(result, OrderAmended) and result.amended_order.status == "EXPIRED":
        return 0
    weight = request.api.weight_on_success
    return request.weight if weight is None else weight


class _Loose:
    """A request whose parameters were not checked yet, as far as weights ask for them: absent ones are None."""

    def __init__(self, request_type: type[Request[Any]], params: Mapping[str, Any]) -> None:
        for field in fields(request_type):
            setattr(self, field.name, params.get(field.wire_name))


# "Account prevented matches": "If `symbol` is invalid"; only the exchange knows.
_PREVENTED_OF_NOTHING: Final = 2


def _weight(request_type: type[Request[Any]], params: Mapping[str, Any], symbols: Container[str]) -> int:
    """The weight has to be known before the parameters are checked; nonsense weighs 1."""
    weight = request_type.api.weight
    if isinstance(weight, int):
        return weight
    # The weight depends on parameters that may be nonsense.
    if request_type is MyPreventedMatches and str(params.get("symbol")) not in symbols:
        return _PREVENTED_OF_NOTHING
    try:
        return weight(_Loose(request_type, params))
    except (TypeError, ValueError, AttributeError):
        return 1
