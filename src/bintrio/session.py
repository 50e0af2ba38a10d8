"""`Session`: its methods, and the path of a call.

**A call** (`_perform`) waits for a live connection, for room in its write queue and for the budget, in a loop; then it
is signed, charged and queued in one step. Signing comes last: before the wait it would spend the call's ``recvWindow``
in our own queue. All of it happens within one deadline. When that passes, what counts is whether a byte may have left:
`NotSent` or `OutcomeUnknown`. When the connection is lost, a call of which no byte left, or which only reads, goes to
the next one within the same deadline; every other is `OutcomeUnknown` at once (G1, G7).

The connections themselves are the affair of `_client/supervisor`, the feeds that they carry that of `_client/feeds`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from copy import copy
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

import trio

from ._client.accounts import Account
from ._client.as_sent import identify
from ._client.by_hand import LOGON_METHODS, admit
from ._client.connection import Connection
from ._client.heart import LONGEST_ARRIVAL
from ._client.in_flight import Call, Lost, Overdue, cost_of, window_of
from ._client.observation import waiting
from ._client.outcomes import CANCEL, TELL_ORDERS, Outcomes
from ._client.shared import Shared
from ._client.subscriptions import Inbox, Subscriber
from ._client.supervisor import Supervisor
from ._client.throttle import CONNECT_COST, ticks
from ._client.view import ConnectionView
from ._protocol.envelope import Envelope
from ._protocol.facts_of_calls import Awaited
from ._protocol.requests import RequestId, checked_id, raw_params
from ._protocol.results import read_answer, read_error, read_result
from ._protocol.settings import (
    check_bool,
    check_duration,
    check_key,
    check_name,
    check_positive_int,
)
from ._protocol.signing import Key
from ._text import said, shown
from .account.following import Following
from .api._base import Request, catalogue, unknown_api
from .endpoints import Endpoint
from .errors import (
    BintrioError,
    InvalidRequest,
    InvalidTimestamp,
    NotSent,
    OutcomeUnknown,
    PartlyDone,
    ProtocolViolation,
    RateLimited,
    Rejected,
)
from .history.reading import History

R = TypeVar("R")


ENOUGH_ROUND_TRIPS: Final = 10
"""What a call must have had time for to cast doubt on its connection if it is not answered."""


class Session(Following):
    """A session with the exchange. Made by `open_session`.

    Every API method is here under its name in snake_case (``order.cancelReplace`` is `order_cancel_replace`); `send`
    takes a request held as a value, and `request` what the catalogue does not know.

    Every call ends within ``request_timeout`` seconds (a read may wait longer for a long message to arrive) in its
    result, `Rejected`, `NotSent`, `OutcomeUnknown`, or the cancellation of its caller. A trading call that is
    cancelled after it was sent may have happened: the order may exist.

    Attributes:
        endpoint: where it leads.
        counters: what was dropped, and how often.
        name: what logs and facts call it.
    """

    def __init__(self, endpoint: Endpoint, shared: Shared, supervisor: Supervisor) -> None:
        self.endpoint: Final = endpoint
        self.counters: Final = shared.counters
        self.name: Final = shared.observation.name
        self._shared = shared
        self._watched = shared.observation.watched
        self._supervisor = supervisor
        self._account = shared.own
        # By account: another one's calls cannot be asked about with this key.
        self._outcomes_of = defaultdict[str | None, Outcomes](partial(Outcomes, shared, supervisor))
        self._outcomes = self._outcomes_of[self._account.digest]
        self._timeout = shared.settings.request_timeout
        self._patience = LONGEST_ARRIVAL
        self._view = lru_cache(maxsize=1)(ConnectionView)  # the same as long as it is the same connection

    def __repr__(self) -> str:
        where = self.endpoint.name or self.endpoint.urls[0]
        if self._account is not self._shared.own:
            where += f" for {self._account.shown}"
        if self.is_closed:
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
            id: the id on the wire, an int or a str; chosen by the session if None, or if an earlier call on the
                connection had that id, whose answer may yet be repeated.

        Raises:
            InvalidRequest: the call cannot be right, and nothing was sent.
            Rejected: the exchange said no.
            NotSent: no byte of it left.
            OutcomeUnknown: it may have happened.
            ProtocolViolation: the answer to a call that only reads does not fit the documented type.
        """
        # A type checker refuses anything else; a user without one passes a dict, say.
        given: Any = request
        if not isinstance(given, Request):
            raise InvalidRequest(f"send takes a request, not {shown(request)}", field="request")
        api = request.api
        cost = cost_of(request.weight, api.orders, api.purpose)
        chosen = None if id is None else checked_id(id)
        call = Call(api, request.params(), cost, self._account, chosen)
        identify(call, self._shared.chance)
        return await self._watched(call, self._perform(call, request))

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

        For what the catalogue does not know. It is sent as it stands: an order without a client order id is given none.
        `confirm` can find out what became of such a one only if an answer to it came late, which names its order. Until
        then it stays in `unresolved`, if its caller was cancelled.

        Args:
            method: the exchange's name of the method.
            params: parameters by their wire names, without those of signing. None is left out.
            id: the id on the wire, an int or a str; chosen by the session if None, or if an earlier call on the
                connection had that id, whose answer may yet be repeated.
            signed: whether to sign; None for what the catalogue says, else no.
            weight: request weight; None for 1, or for what the catalogue says if that is a number.
            repeatable: whether it only reads, so that it may be sent again after a lost connection; None for what the
                catalogue says, else no.

        Raises:
            As `send` does.
        """
        given: Any = method
        # The exchange takes names with and without its version ("Request format").
        name = given.removeprefix("v3/") if isinstance(given, str) else ""
        known = catalogue.get(name)
        api = known.api if known else unknown_api(method)
        check_bool("signed", signed)
        check_bool("repeatable", repeatable)
        if weight is not None:
            check_positive_int("weight", weight)
        sent = raw_params(method, {} if params is None else params)
        window_of(api.name, sent)  # which refuses what is no number
        call = Call(
            api._replace(
                signed=api.signed if signed is None or name in LOGON_METHODS else signed,
                repeatable=api.repeatable if repeatable is None else repeatable,
            ),
            sent,
            cost_of(weight or (api.weight if isinstance(api.weight, int) else 1), api.orders, api.purpose),
            self._account,
            checked_id(id),
            has_chosen_id=True,  # what the catalogue does not know may have one under any name
        )
        return await self._watched(call, self._perform(call, None))

    def within(self, seconds: float) -> Session:
        """The same session with another deadline: ``await session.within(2).order_place(...)``.

        Every call made through it, `confirm` included, ends within that time, a read behind a long message too, in the
        same ways; what left and was not answered by then is `OutcomeUnknown`. Unlike a cancel scope, it leaves no call
        behind of which the caller knows nothing. `rotate` ends within that time as well, unless the exchange holds the
        session back. So does entering `user_data` and `account`.

        Raises:
            InvalidRequest: it is no positive, finite number.
        """
        check_duration("seconds", seconds)
        # A copy has the same connections and budgets; only its deadlines are its own.
        hurried = copy(self)
        hurried._timeout = seconds
        # A long message gets no patience either: its user asked to be told by then.
        hurried._patience = 0
        hurried._longest = seconds
        return hurried

    def using(self, key: Key, *, account: str | None = None) -> Session:
        """The same session for another account: ``await session.using(key).order_place(...)``.

        It has the same methods, connections, limits of the address, and deadlines. Each call that is signed carries
        that key and a signature of its own. `user_data` and `account` follow that key's account, `unresolved` has its
        calls, and its orders are counted apart. `confirm` asks by the key that a call was made with, whichever of these
        sessions it is called on.

        Args:
            key: of any type, of the same account or another.
            account: the name of the account, where several keys, or several sessions, count the orders of one together:
                see `SharedLimits.account`. None for an account that only this key has.

        Raises:
            InvalidRequest: it is no key, or no name.

        Source: "Authorize ad hoc requests" of the exchange's WebSocket API document.
        """
        check_key(key, or_none=False)
        if account is not None:
            check_name("account", account, field="account")
        return self._as(self._shared.accounts.of(key, account))

    def _as(self, account: Account) -> Session:
        other = copy(self)
        other._account = account
        other._outcomes = self._outcomes_of[account.digest]
        return other

    @property
    def _trading(self) -> Session:
        return self

    def _hurried(self, seconds: float) -> Session:
        return self.within(seconds)

    def _asker(self, call: object) -> Session:
        """The session for whom a call was made, of which it is to be asked what became."""
        made_with = call.signed_by if isinstance(call, OutcomeUnknown) else None
        # A request alone does not say with which key it was sent: it is taken for this account's.
        if made_with is None or made_with == self._account.digest:
            return self
        account = self._shared.accounts.known(made_with)
        if account is None:  # another account would say that there is no such order
            said = "it was made with a key that this session has not used: confirm it on session.using(key)"
            raise InvalidRequest(said, field="call")
        return self._as(account)

    async def rotate(self) -> None:
        """Move to a fresh connection now. Returns once it is in use; calls in flight are answered by the old one.

        Raises:
            NotSent: no other connection was ready within ``request_timeout``, or the seconds of `within`, or the
                session was closed. The session goes on trying, and uses the old connection meanwhile. While
                the exchange holds the session back (`hold`), the time does not run.
        """
        timeout = self._timeout
        old: Connection | None = None
        is_held = True
        while is_held:
            # Once for each hold: no connection may be opened meanwhile, so that time does not count.
            with trio.move_on_after(timeout):
                # After a hold the one that was to be replaced is the same still.
                old = old or await self._supervisor.live("rotation")
                old.is_due.set()
                while await self._supervisor.live("rotation") is old:
                    await self._supervisor.changed.wait()
                return
            is_held = self._shared.throttle.held(CONNECT_COST) is not None
        said = f"no other connection was ready within {timeout:g} s"
        raise NotSent("rotation", said) from self._supervisor.last_failure

    @asynccontextmanager
    async def user_data(self, key: Key | None = None, *, buffer: int = 10_000) -> AsyncGenerator[Subscriber]:
        """Subscribe to an account's events: ``async with session.user_data() as events: async for event in events``.

        Events come in order, each once, over all connections. Where some may be missing after a lost connection, a
        `Gap` says so; an `Interrupted` comes before it if the outage lasts. Iterating raises `SubscriberTooSlow` when
        more than ``buffer`` events waited.

        Args:
            key: the account's key; None for the session's own, or that of `using`. Another account takes another key.
            buffer: events that may wait to be read.

        Raises:
            InvalidRequest: there is no key, or the buffer is no positive int.
            Rejected: the exchange refuses the subscription.
            NotSent, OutcomeUnknown: it could not be made in time.
        """
        key = key or self._account.key
        if not isinstance(key, Key):
            raise InvalidRequest(f"user data needs a key, not {type(key).__name__}", field="key")
        check_positive_int("buffer", buffer)
        inbox = Inbox(buffer)
        # Before anything is awaited: no event of the subscription comes that nobody listens to.
        feed = self._supervisor.feeds.listen(key, inbox)
        try:
            await self._supervisor.feeds.carry(feed, self._timeout)
            yield Subscriber(inbox)
        finally:
            self._supervisor.feeds.leave(feed, inbox)

    def new_client_order_id(self) -> str:
        """A client order id that no order has had, for an order whose id must be known before it leaves.

        An order that has none is given such a one. `confirm` trusts that one more: it cannot have been used before.
        """
        return self._shared.chance.client_order_id()

    @property
    def history(self) -> History:
        """Klines, trades and orders of any span of time: ``async for kline in session.history.klines(...)``."""
        return History(self)

    # The path of a call

    async def _perform(self, call: Call, request: Request[R] | None) -> R:
        admit(call, self._shared.accounts, self._supervisor)
        envelope = await self._exchange(call, request)
        name = call.api.name
        try:
            error = read_error(name, envelope)
            # Decoded here, in the caller's task: one that does not fit its type hurts nobody else.
            if error is None:
                result = read_result(name, Any, envelope) if request is None else read_answer(request, envelope)
                # The highest id so far tells later calls' orders from earlier ones (G7).
                if name in TELL_ORDERS:
                    self._outcomes.note(result)
                    # An id of the session's making is no other call's, so nothing has to be kept of it.
                    if call.has_chosen_id or name in CANCEL:
                        self._outcomes.own(call, result)
                return result
        except ProtocolViolation as violation:
            # A read changes nothing, so its caller learns what is wrong with the answer.
            if call.api.repeatable:
                raise
            raise self._outcomes.unknown(call, request, f"its answer cannot be read: {violation}") from violation
        raise self._refusal(call, request, error)

    def _refusal(self, call: Call, request: Request[Any] | None, error: BintrioError) -> BintrioError:
        """What to raise when the exchange has answered with an error."""
        if isinstance(error, RateLimited):
            # It names a time of the exchange, which users are told in the unit of the session.
            self._shared.throttle.date(error, call.cost, call.account)
        # The timestamp was ours, so the estimate of the exchange's time is wrong.
        if isinstance(error, InvalidTimestamp):
            self._supervisor.clock_is_doubted.set()
        if isinstance(error, OutcomeUnknown):
            # The exchange itself does not know: 5xx, -1006, -1007.
            return self._outcomes.unknown(call, request, error.reason)
        # What the one half did, no other call did.
        if isinstance(error, PartlyDone):
            self._outcomes.own(call, error)
        return error

    async def _exchange(self, call: Call, request: Request[Any] | None) -> Envelope:
        """Get a call answered, by one connection after the other, as far as it may be repeated (G7)."""
        now = trio.current_time()
        call.deadline = now + self._timeout
        # While a long message is arriving, reads wait for it.
        if call.api.repeatable:
            call.patience = self._patience
        while True:
            connection = self._supervisor.connection
            # One loop for all three waits: while a call waits for one thing, another may change.
            if connection is None or connection.is_full:
                await self._wait_for_way(call, request)
            elif (delay := call.account.ledger.delay(call.cost, int(now * 1000))) > 0:
                await self._wait_for_budget(call, request, delay)
            else:
                if not call.api.repeatable:
                    # In the step in which it leaves: what is known later proves nothing of it.
                    self._outcomes.before(call)
                try:
                    return await connection.call(call, now)
                except Overdue:
                    self._doubt(connection, call, now)
                    raise self._overdue(call, request) from None
                except Lost as lost:
                    self._check_loss(call, request, lost)
                except BaseException:  # cancelled, or Ctrl-C
                    self._outcomes.keep(call, request)
                    raise
            now = self._check_time_left(call, request)

    def _doubt(self, connection: Connection, call: Call, sent_at: float) -> None:
        """A call was not answered in time: that casts doubt on its connection, unless it was in a hurry."""
        # Since it left, not since it was made: it may have waited for the budget most of its time.
        had = trio.current_time() - sent_at
        if call.is_sent and had >= ENOUGH_ROUND_TRIPS * self._shared.clock.least_round_trip:
            connection.doubt(sent_at)

    def _check_loss(self, call: Call, request: Request[Any] | None, lost: Lost) -> None:
        """Raise, unless the call may go to another connection."""
        has_time = call.api.repeatable and trio.current_time() < call.deadline
        # It may have happened. A refusal of the whole connection, as of a revoked key, would come again.
        if lost.is_sent and (not has_time or isinstance(lost.cause, Rejected)):
            raise self._outcomes.unknown(call, request, f"the connection ended: {said(lost.cause)}") from lost.cause
        violation = lost.violation
        if lost.is_sent and violation is not None:
            # By its own answer, perhaps, which would end every connection that it is repeated on.
            if call.is_suspect:
                raise ProtocolViolation(f"{call.api.name}: {violation}", raw=violation.raw) from lost.cause
            call.is_suspect = True

    def _check_time_left(self, call: Call, request: Request[Any] | None) -> float:
        """After a wait: what cannot be answered in time any more would only be sent to be of unknown outcome.

        Returns:
            The local time.
        """
        now = trio.current_time()
        # Its answer would come after its deadline, so sending it would only leave its outcome unknown.
        if now >= call.deadline - self._shared.clock.least_round_trip:
            raise self._overdue(call, request)
        return now

    async def _wait_for_way(self, call: Call, request: Request[Any] | None) -> None:
        """Wait until there is a connection with room in its queue."""
        hold = self._shared.throttle.held(call.cost, call.account)
        if hold is not None and self.connection is None:  # there will be none before its end
            self._check_delay(call, request, (hold.until - ticks()) / 1000)
        # Told to whoever observes: the two have other remedies.
        awaited: Awaited = "connection" if self.connection is None else "room"
        try:
            with waiting(call, awaited), trio.move_on_at(call.deadline):
                connection = await self._supervisor.live(call.api.name)
                return await connection.room()
        except NotSent as closed:
            raise self._unanswered(call, request, closed.reason) from None
        # Without a connection, the reason is why none could be had.
        raise self._overdue(call, request) from None if self.connection else self._supervisor.last_failure

    async def _wait_for_budget(self, call: Call, request: Request[Any] | None, delay: float) -> None:
        self._check_delay(call, request, delay)
        with waiting(call, "budget"):
            await self._shared.throttle.wait(delay)

    def _check_delay(self, call: Call, request: Request[Any] | None, delay: float) -> None:
        """Let a call that would wait beyond its deadline end at once, with the time when there may be room."""
        # It is told now: to wait for the deadline would change nothing.
        if trio.current_time() + delay > call.deadline - self._shared.clock.least_round_trip:
            not_sent = self._shared.throttle.no_room(call.api.name, call.cost, delay, call.account)
            raise self._outcomes.unknown(call, request, not_sent.reason) if call.is_sent else not_sent

    def _overdue(self, call: Call, request: Request[Any] | None) -> NotSent | OutcomeUnknown:
        happened = "no answer came" if call.is_sent else "it could not be sent"
        failure = None if self.connection else self._supervisor.last_failure
        why = "" if failure is None else f": {said(failure)}"
        return self._unanswered(call, request, f"{happened} within {self._timeout:g} s{why}")

    def _unanswered(self, call: Call, request: Request[Any] | None, reason: str) -> NotSent | OutcomeUnknown:
        """What to raise when there will be no answer: a read that was sent and then repeated has left, after all."""
        return self._outcomes.unknown(call, request, reason) if call.is_sent else NotSent(call.api.name, reason)
