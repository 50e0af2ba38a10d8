"""`open_session` and `Session`: one `async with` that stays usable for weeks.

**A call** (`_perform`) waits for a live connection, for room in its write queue and for the budget, in a loop; then it
is signed, charged and queued in one step. Signing comes last: before the wait it would spend the call's ``recvWindow``
in our own queue. All of it happens within one deadline. When that passes, what counts is whether a byte may have left:
`NotSent` or `OutcomeUnknown`. When the connection is lost, a call of which no byte left, or which only reads, goes to
the next one within the same deadline; every other is `OutcomeUnknown` at once (G1, G7).

The connections themselves, and the feeds they carry, are the affair of `_supervisor`.
"""

from __future__ import annotations

import itertools
import os
import random
import ssl
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from typing import Any, Final, TypeVar, cast

import msgspec
import trio

from ._clock import Clock
from ._codec import Envelope, RequestId, checked_id, raw_params, read_error, read_result
from ._connection import Call, Connect, Connection, Counters, Lost, Overdue, Shared
from ._ledger import Ledger, LocalLedger
from ._methods import Methods
from ._rotation import backoff
from ._settings import check_key, check_positive_int, check_privacy, checked_settings
from ._signing import Key
from ._streams import connect_tcp
from ._subscriptions import Subscriber
from ._supervisor import Supervisor
from ._tasks import check_trio, start
from .api._base import Api, Json, Request, catalogue, wire_name
from .api._values import RateLimit
from .endpoints import Endpoint, TimeUnit, as_endpoint
from .errors import (
    InvalidRequest,
    InvalidTimestamp,
    NotSent,
    OutcomeUnknown,
    ProtocolViolation,
    Rejected,
    UnknownOrder,
)

R = TypeVar("R")

FINALITY_MARGIN: Final = 1000
"""Milliseconds after a request's ``recvWindow`` from which "order does not exist" is taken for an answer. It covers the
error of the clock, and an order on its way from the matching engine to where orders are queried."""


@asynccontextmanager
async def open_session(
    endpoint: Endpoint | str,
    *,
    key: Key | None = None,
    request_timeout: float = 15,
    connect_timeout: float = 10,
    close_timeout: float = 2,
    pong_window: float = 60,
    lifetime: float = 86_400,
    drain_timeout: float = 15,
    max_message_size: int = 64 * 2**20,
    time_unit: TimeUnit = "ms",
    ssl_context: ssl.SSLContext | None = None,
    connect: Connect | None = None,
    ledger: Ledger | None = None,
) -> AsyncGenerator[Session]:
    """Open a session. Entering returns once it is ready: connected, clock measured, logged on.

    Args:
        endpoint: `PRODUCTION`, `TESTNET`, `DEMO`, or an `Endpoint` or ``wss://`` URL of your own. A user and password
            in it go out as an Authorization header (Basic).
        key: signs what must be signed. An `Ed25519Key` logs the connection on; `HmacKey` and `RsaKey` sign each call.
        request_timeout: seconds within which a call ends, waiting for connection and budget included.
        connect_timeout: seconds for one attempt to get a connection ready.
        close_timeout: seconds that closing a connection may take.
        pong_window: seconds without an answered ping after which a connection is dead.
        lifetime: seconds after which the exchange ends a connection; it is replaced before. `math.inf` for never.
        drain_timeout: seconds that a replaced connection has for the answers it owes.
        max_message_size: bytes of the longest message that is accepted.
        time_unit: the unit of every time that the exchange sends, and that the session gives or takes: ``"ms"`` or
            ``"us"``. Durations are seconds.
        ssl_context: for TLS; None for the system's certificates.
        connect: opens the byte stream to an address, TLS included: for a proxy, or a stream in memory.
        ledger: keeps the budgets; None for one of the session's own.

    Raises:
        InvalidRequest: an argument cannot be right, a key or a password would travel over plain ``ws://`` to another
            machine, or it is not trio that runs.
        ConnectionFailed: no address could be connected to; it has the cause for each.
        Rejected: the exchange did not accept the key.

    Example::

        async with bintrio.open_session(bintrio.TESTNET, key=key) as session:
            book = await session.depth(symbol="BTCUSDT", limit=5)
    """
    check_trio("open_session")
    settings = checked_settings(
        request_timeout=request_timeout,
        connect_timeout=connect_timeout,
        close_timeout=close_timeout,
        pong_window=pong_window,
        lifetime=lifetime,
        drain_timeout=drain_timeout,
        max_message_size=max_message_size,
        time_unit=time_unit,
    )
    check_key(key)
    endpoint = as_endpoint(endpoint)
    if connect is None:
        for address in endpoint.addresses(time_unit=time_unit):
            check_privacy(address, key, is_private=address.is_private)
        connect = partial(connect_tcp, ssl_context=ssl_context)
    shared = Shared(
        key=key,
        clock=Clock(),
        ledger=LocalLedger() if ledger is None else ledger,
        counters=Counters(),
        settings=settings,
        ids=itertools.count(1),
        channels=[],
    )
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(endpoint, shared, connect, nursery)
        try:
            await start(nursery, supervisor.run)
            yield Session(endpoint, shared, supervisor)
        except BaseException as error:  # it is raised below, by itself: the nursery would put it into a group
            failure = error
        supervisor.close()
        try:
            await supervisor.gone()
        except BaseException as error:  # cancelled, or Ctrl-C
            failure = failure or error
        # From here on the nursery may raise nothing of its own, else it would do so in place of the body's exception.
        nursery.cancel_scope.shield = True
        nursery.cancel_scope.cancel()
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # it holds this frame, by its traceback


class Session(Methods):
    """A session with the exchange. Made by `open_session`.

    Every API method is here under its name in snake_case (``order.cancelReplace`` is `order_cancel_replace`); `send`
    takes a request held as a value, and `request` what the catalogue does not know.

    Every call ends within ``request_timeout`` seconds in its result, `Rejected`, `NotSent`, `OutcomeUnknown`, or the
    cancellation of its caller. A trading call that is cancelled after it was sent may have happened: the order may
    exist.

    Attributes:
        endpoint: where it leads.
        counters: what was dropped, and how often.
    """

    def __init__(self, endpoint: Endpoint, shared: Shared, supervisor: Supervisor) -> None:
        self.endpoint: Final = endpoint
        self.counters: Final = shared.counters
        self._shared = shared
        self._supervisor = supervisor

    def __repr__(self) -> str:
        where = self.endpoint.name or self.endpoint.urls[0]
        if self._supervisor.is_closed:
            return f"<Session on {where}, closed>"
        state = "connecting" if self.connection is None else repr(self.connection)
        weight = self.request_weight
        used = "" if weight is None else f", weight {weight.count} of {weight.limit}"
        return f"<Session on {where}, {state}{used}>"

    # Calls

    async def send(self, request: Request[R], /, *, id: RequestId | None = None) -> R:
        """Send a request held as a value.

        A new order that has no client order id is given one, so that `confirm` has something to ask for.

        Args:
            request: what to send.
            id: the id on the wire, an int or a str; chosen by the session if None.

        Raises:
            InvalidRequest: the call cannot be right, and nothing was sent.
            Rejected: the exchange said no.
            NotSent: no byte of it left.
            OutcomeUnknown: it may have happened.
            ProtocolViolation: the answer to a call that only reads does not fit the documented type.
        """
        call = Call(request.api, _identified(request), weight=request.weight, id=checked_id(id))
        result: R = await self._perform(call, request, request.api.result)
        return result

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        id: RequestId | None = None,
        signed: bool | None = None,
        weight: int | None = None,
        repeatable: bool | None = None,
    ) -> Any:
        """Send a call by its wire names, and give its result as plain JSON values.

        For what the catalogue does not know.

        Args:
            method: the exchange's name of the method.
            params: parameters by their wire names, without those of signing. None is left out.
            id: the id on the wire, an int or a str; chosen by the session if None.
            signed: whether to sign; None for what the catalogue says, else no.
            weight: request weight; None for 1, or for what the catalogue says if that is a number.
            repeatable: whether it only reads, so that it may be sent again after a lost connection; None for what the
                catalogue says, else no.

        Raises:
            As `send` does.
        """
        known = catalogue.get(method)
        api = known.api if known else _unknown_api(method)
        if weight is not None:
            check_positive_int("weight", weight)
        call = Call(
            api._replace(
                signed=api.signed if signed is None else signed,
                repeatable=api.repeatable if repeatable is None else repeatable,
            ),
            raw_params(method, params or {}),
            weight=weight or (api.weight if isinstance(api.weight, int) else 1),
            id=checked_id(id),
        )
        return await self._perform(call, None, Any)

    async def confirm(self, error: OutcomeUnknown) -> Any:
        """Find out what became of a call: ask until the exchange says.

        That an order does not exist, or was not canceled or amended, counts only once the call is too old to be
        executed, so this may take as long as its ``recvWindow`` (5 s unless it said otherwise). Bound it with a cancel
        scope if you must.

        Returns:
            What the exchange knows: the `Order` that was placed or was to be canceled, say. None if it does not exist:
            the call was not executed, and never will be.

        Raises:
            InvalidRequest: the call changes nothing, or came from `request`, so there is nothing to ask for.
            Rejected: the exchange refuses the question.
            ProtocolViolation: its answer cannot be read.
            NotSent, OutcomeUnknown: the session was closed meanwhile.
        """
        request: Request[Any] | None = error.request
        query = request.confirmation() if request is not None else None
        if request is None or query is None:
            raise InvalidRequest(f"{error.method} leaves nothing behind that could be asked for")
        attempts = itertools.count()
        while True:
            # By the time of asking: an answer tells how things were then, not when it comes.
            in_unit = self._shared.in_unit
            pause = ((error.final_at or 0) + in_unit(FINALITY_MARGIN) - self.now()) / in_unit(1000)
            try:
                found = await self.send(query)
                if pause <= 0 or request.is_confirmed_by(found):
                    return found
            except UnknownOrder:
                if pause <= 0:
                    return None
            except (NotSent, OutcomeUnknown):
                if self._supervisor.is_closed:
                    raise
                pause = backoff(next(attempts), random.random())
            await trio.sleep(pause)

    async def rotate(self) -> None:
        """Move to a fresh connection now. Returns once it is in use; calls in flight are answered by the old one.

        Raises:
            NotSent: the session was closed.
        """
        old = await self._supervisor.live("rotation")
        old.is_due.set()
        while await self._supervisor.live("rotation") is old:
            await self._supervisor.changed.wait()

    @asynccontextmanager
    async def user_data(self, key: Key | None = None, buffer: int = 10_000) -> AsyncGenerator[Subscriber]:
        """Subscribe to an account's events: ``async with session.user_data() as events: async for event in events``.

        Events come in the order of arrival, each once, over all connections. Where some may be missing after a lost
        connection, a `Gap` says so. Iterating raises `SubscriberTooSlow` when more than ``buffer`` events waited.

        Args:
            key: the account's key; None for the session's own. Another account takes another key.
            buffer: events that may wait to be read.

        Raises:
            InvalidRequest: there is no key, or the buffer is no positive int.
            Rejected: the exchange refuses the subscription.
            NotSent, OutcomeUnknown: it could not be made in time.
        """
        key = key or self._shared.key
        if not isinstance(key, Key):
            raise InvalidRequest(f"user data needs a key, not {type(key).__name__}", field="key")
        check_positive_int("buffer", buffer)
        subscriber = Subscriber(buffer)
        feed = self._supervisor.listen(key, subscriber)
        try:
            await self._supervisor.carry(feed)
            yield subscriber
        finally:
            self._supervisor.leave(feed, subscriber)

    # Live state

    @property
    def connection(self) -> Connection | None:
        """The connection in use, or None between two."""
        return self._supervisor.connection

    @property
    def request_weight(self) -> RateLimit | None:
        """The request weight limit, with what is used of it in ``count``; None as long as it is not known."""
        return next(iter(self._used("REQUEST_WEIGHT")), None)

    @property
    def order_counts(self) -> tuple[RateLimit, ...]:
        """The limits of unfilled orders, with what is used of each in ``count``."""
        return tuple(self._used("ORDERS"))

    @property
    def clock_offset(self) -> float:
        """The exchange's clock minus this machine's, in seconds."""
        return self._shared.clock.now_us(trio.current_time()) / 1e6 - time.time()

    @property
    def round_trip(self) -> float:
        """Seconds between the latest question for the time and its answer."""
        return self._shared.clock.round_trip

    def now(self) -> int:
        """The exchange's time, in the unit of the session."""
        return self._shared.in_unit(self._shared.now())

    def _used(self, limit_type: str) -> Iterable[RateLimit]:
        for limit, used in self._shared.ledger.used(limit_type, self._shared.now()):
            yield msgspec.structs.replace(limit, count=used)

    # The path of a call

    async def _perform(self, call: Call, request: Request[Any] | None, result_type: Any) -> Any:
        self._check_key(call.api)
        envelope = await self._exchange(call, request)
        try:
            error = read_error(call.api.name, envelope)
            if error is None:
                return read_result(call.api.name, result_type, envelope)
        except ProtocolViolation as violation:
            if call.api.repeatable:
                raise
            raise self._unknown(call, request, f"its answer cannot be read: {violation}") from violation
        if isinstance(error, InvalidTimestamp):
            self._supervisor.clock_is_doubted.set()
        if isinstance(error, OutcomeUnknown):
            raise self._unknown(call, request, error.reason)
        raise error

    async def _exchange(self, call: Call, request: Request[Any] | None) -> Envelope:
        """Get a call answered, by as many connections as it takes and the law allows."""
        call.deadline = trio.current_time() + self._shared.settings.request_timeout
        while True:
            connection = self._supervisor.connection
            if connection is None or connection.is_full:
                await self._wait_for_way(call, request)
                continue
            if trio.current_time() >= call.deadline:  # it waited, and was woken late by a busy program
                raise self._overdue(call, request)
            now = self._shared.now()
            delay = self._shared.ledger.delay(call.cost, now)
            if delay > 0:
                await self._wait_for_budget(call, request, delay)
                continue
            try:
                return await connection.call(call, now)
            except Overdue:
                raise self._overdue(call, request) from None
            except Lost as lost:
                if lost.is_sent and (not call.api.repeatable or isinstance(lost.cause, Rejected)):
                    raise self._unknown(call, request, f"the connection ended: {lost.cause}") from lost.cause
                violation = lost.cause.__cause__
                if lost.is_sent and isinstance(violation, ProtocolViolation):
                    # By its own answer, perhaps, which would end every connection that it is repeated on.
                    if call.is_suspect:
                        raise ProtocolViolation(f"{call.api.name}: {violation}", raw=violation.raw) from lost.cause
                    call.is_suspect = True

    async def _wait_for_way(self, call: Call, request: Request[Any] | None) -> None:
        """Wait until there is a connection with room in its queue."""
        try:
            with trio.move_on_at(call.deadline):
                connection = await self._supervisor.live(call.api.name)
                return await connection.room()
        except NotSent as closed:
            raise self._unanswered(call, request, closed.reason) from None
        raise self._overdue(call, request) from None if self.connection else self._supervisor.last_failure

    async def _wait_for_budget(self, call: Call, request: Request[Any] | None, delay: float) -> None:
        if trio.current_time() + delay > call.deadline:
            said = f"the exchange's limits leave no room for it for another {delay:.3f} s"
            raise self._unanswered(call, request, said)
        await trio.sleep(delay)

    def _overdue(self, call: Call, request: Request[Any] | None) -> NotSent | OutcomeUnknown:
        happened = "no answer came" if call.is_sent else "it could not be sent"
        return self._unanswered(call, request, f"{happened} within {self._shared.settings.request_timeout:g} s")

    def _unanswered(self, call: Call, request: Request[Any] | None, reason: str) -> NotSent | OutcomeUnknown:
        """What to raise when there will be no answer: a read that was sent and then repeated has left, after all."""
        return self._unknown(call, request, reason) if call.is_sent else NotSent(call.api.name, reason)

    def _unknown(self, call: Call, request: Request[Any] | None, reason: str) -> OutcomeUnknown:
        names = call.api.client_ids if request is not None else ()
        return OutcomeUnknown(
            call.api.name,
            reason,
            request=None if request is None else _as_sent(request, call.params),
            client_order_id=next((cast("str", call.params[wire_name(name)]) for name in names), None),
            final_at=None if call.final_at is None else self._shared.in_unit(call.final_at),
        )

    def _check_key(self, api: Api) -> None:
        key = self._shared.key
        if (api.signed or api.security == "SESSION") and key is None:
            raise InvalidRequest(f"{api.name} needs a key: open the session with one", field="key")
        if api.security == "SESSION" and key is not None and not key.can_log_on:
            kind = type(key).__name__
            raise InvalidRequest(f"{api.name} needs an Ed25519Key, the session has an {kind}", field="key")


def _identified(request: Request[Any]) -> dict[str, Json]:
    """The parameters of a request, with every client order id that it lacks. These are random, with nobody's prefix."""
    params = request.params()
    for name in map(wire_name, request.api.client_ids):
        if name not in params:
            params[name] = os.urandom(16).hex()
    return params


def _as_sent(request: Request[R], params: Mapping[str, Json]) -> Request[R]:
    """The request with the client order ids that it went out with."""
    sent = copy(request)
    for name in request.api.client_ids:
        msgspec.structs.force_setattr(sent, name, params[wire_name(name)])
    return sent


def _unknown_api(method: Any) -> Api:
    if not isinstance(method, str) or not method:
        raise InvalidRequest(f"method must be a str that is not empty, not {method!r:.80}", field="method")
    return Api(
        name=method,
        security="NONE",
        weight=1,
        weight_on_success=None,
        orders=0,
        signed=False,
        repeatable=False,
        client_ids=(),
        section="",
        result=Any,
        rules=(),
    )
