"""What a session knows of calls whose outcome is not known: those that it told, and those that nobody heard.

A trading call whose caller was cancelled after it left raises nothing: the error that it would have raised is kept here
until `Session.confirm` has settled it. An answer that comes late reaches no other call (G2), but is told to the error
of its own.
"""

from __future__ import annotations

import itertools
import math
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar, cast

import msgspec
import trio

from .._protocol.confirmation import inquire, is_known_by_name
from .._protocol.evidence import (
    LARGEST_LEAD,
    PATIENCE,
    QUERY_DELAY,
    OrderIds,
    Question,
    Reply,
    Sent,
    Undecided,
    legs_of,
    may_be,
)
from .._protocol.facts_of_calls import OutcomeKept, QuestionPassedOver
from .._protocol.results import read_answer, read_error, read_result
from .._protocol.rotation import backoff
from .._text import shown
from ..api._base import Request, catalogue, wire_name
from ..api.account import Order, OrderAmendments
from ..api.general import Time
from ..api.orders import OrderList
from ..api.trading import OrderCancelReplace
from ..errors import (
    InvalidRequest,
    InvalidTimestamp,
    NotSent,
    OutcomeUnknown,
    ProtocolViolation,
    RateLimited,
    UnknownOrder,
)
from .as_sent import as_request, as_sent, is_fresh
from .asked_for import asked_for, asked_of, is_refused
from .calls import Sender
from .in_flight import DEFAULT_RECV_WINDOW, Call
from .namesakes import (
    Histories,
    Namesakes,
    Origin,
    canceled_by,
    claimed_by,
    has_canceled,
    has_id_of,
    is_surely_anothers,
    known_of,
    may_have_been,
    orders_in,
    origin_of,
    others_of,
    placed_by,
    rivaled,
    told_by,
)
from .shared import Shared
from .supervisor import Supervisor

R = TypeVar("R")

MOST_UNRESOLVED: Final = 1000
"""Calls whose callers were cancelled that are kept. When there are that many, trading calls are not sent any more."""


CANCEL: Final = frozenset({OrderCancelReplace.api.name}) | {
    name for name, request in catalogue.items() if request.api.purpose == "cancel"
}
"""Methods that cancel orders."""

TELL_ORDERS: Final = (
    frozenset({"order.status", "openOrders.status", "allOrders"})
    | {name for name, request in catalogue.items() if request.api.orders}
    | CANCEL
)
"""Methods whose results name orders of the account."""


class _Open:
    """What `Session.confirm` waits for.

    Attributes:
        question: the latest.
    """

    def __init__(self) -> None:
        self.question = Question(Time())

    def said(self, seconds: float) -> str:
        """Why it was told nothing."""
        why = f": {self.question.why}" if self.question.why else ""
        return f"{self.question.request.api.name} has told nothing for certain within {seconds:.4g} s{why}"


class Outcomes:
    """What the session knows of calls whose outcome is not known.

    Attributes:
        note: takes note of the order ids in a result.
        unresolved: the errors that calls would have raised whose callers were cancelled.
    """

    def __init__(self, shared: Shared, supervisor: Supervisor) -> None:
        self._order_ids = OrderIds()
        self.note: Final = self._order_ids.note
        self.unresolved: Final[list[OutcomeUnknown]] = []
        self._is_full = False
        self._namesakes = Namesakes()
        self._shared = shared
        self._clock = shared.clock
        self._supervisor = supervisor

    def before(self, call: Call) -> None:
        """Take note of what was known before a trading call leaves.

        Raises:
            NotSent: there are too many calls of which nobody asked what became.
        """
        # Else one would have to be forgotten, and nobody could ever ask about it.
        if self._is_full:
            said = f"{MOST_UNRESOLVED:,} calls whose callers were cancelled wait in session.unresolved to be confirmed"
            raise NotSent(call.api.name, said)
        call.clock_steps = self._clock.steps
        try:
            call.seen_order_id = self._order_ids.highest[call.params["symbol"]]
        except (KeyError, TypeError):  # a call by wire names may lack it, or have something else in its place
            call.seen_order_id = 0

    def own(self, call: Call, answer: Any, error: OutcomeUnknown | None = None) -> None:
        """Take note of the orders that a call placed under an id of its user's choice, and of those that it canceled:
        no other call did. The answer may have come after the error, and may be that one half was done.
        """
        symbol = cast("str", call.params.get("symbol"))
        # An id of the session's making is no other call's. And the answer to a cancel names an order as well.
        if call.api.orders and call.has_chosen_id:
            self._namesakes.own(symbol, placed_by(answer), error)
        if call.api.name in CANCEL:
            self._namesakes.cancel(symbol, canceled_by(answer), error)

    def unknown(self, call: Call, request: Request[Any] | None, reason: str) -> OutcomeUnknown:
        """The error for a call whose outcome is not known. A late answer will be told to it."""
        # A call by wire names: `confirm` needs to know what was asked for.
        if request is None:
            request = as_request(call)
        names = [name for name in call.api.client_ids if request is not None]
        error = OutcomeUnknown(
            call.api.name,
            reason,
            request=None if request is None else as_sent(request, call.params),
            client_order_id=next((cast("str", call.params.get(wire_name(name))) for name in names), None),
            final_at=self._in_unit(call.final_at, 0),
            sent_at=self._in_unit(call.final_at, call.window),
            clock_error=self._clock_error(call),
            seen_order_id=call.seen_order_id or None,
            is_id_fresh=bool(names) and is_fresh(call, request),
            signed_by=call.account.digest,
        )
        Origin(self._namesakes, call.clock_steps).add(error)
        self._namesakes.open(error)
        call.answered_late = partial(self._tell, error, call)
        # The answer came together with the end of the wait.
        if call.late_answer is not None:
            call.answered_late()
        return error

    def _in_unit(self, final_at: int | None, before: int) -> int | None:
        return None if final_at is None else self._shared.in_unit(final_at - before)

    def keep(self, call: Call, request: Request[Any] | None) -> None:
        """The caller of a call was cancelled: keep what it would have raised, if it trades and has left."""
        # A read changes nothing, and what was not sent did nothing: there is nothing to be found out.
        if call.api.repeatable or not call.is_sent:
            return
        error = self.unknown(call, request, "its caller was cancelled after it was sent")
        self.unresolved.append(error)
        self._is_full = len(self.unresolved) >= MOST_UNRESOLVED
        self._shared.observation.tell(OutcomeKept, method=call.api.name, account=call.shown_account, cause=str(error))

    def _settle(self, error: Any) -> None:
        """It is known what became of a call."""
        # A request that is confirmed as such has no error that anybody keeps.
        if not _is_a(OutcomeUnknown, error):
            return
        for namesakes in known_of(error, self._namesakes):
            namesakes.close(error)
        self.forget(error)

    def forget(self, error: OutcomeUnknown) -> None:
        """See `Session.forget`. Calls under the same ids still have to reckon with it."""
        origin = origin_of(error)
        for position, known in enumerate(self.unresolved):
            # By their call: two may have ended in equal errors, and `confirm` may have raised another one for this.
            if origin_of(known) is origin:
                del self.unresolved[position]
                self._is_full = False
                return

    async def find_out(self, session: Sender, call: Any, sent_at: int | None, longest: float) -> Any:
        """See `Session.confirm`. It takes ``longest`` seconds at most."""
        try:
            sent = self._sent(call, sent_at)
        except InvalidRequest:
            # An answer that came late has told what became of it. Without one, only its entry says that it was sent.
            if _is_a(OutcomeUnknown, call) and call.answered_at is not None:
                self._settle(call)
            raise
        # Whichever is over first: what the user allows, or what there is any hope for.
        longest = min(longest, self._patience(sent))
        open_ = _Open()
        try:
            with trio.fail_after(longest):
                outcome = await self._learn(session, sent, open_)
                histories = await self._histories(session, sent, call, outcome, open_)
        except trio.TooSlowError:
            raise _undecided(call, open_.said(longest)) from self._supervisor.last_failure
        except Undecided as reason:
            raise _undecided(call, str(reason)) from self._supervisor.last_failure
        self._claim(call, claimed_by(call, outcome), histories)
        self._settle(call)
        return outcome

    async def _learn(self, session: Sender, sent: Sent, open_: _Open) -> Any:
        """What became of a call, by a clock that was measured after the last answer.

        What the exchange's times prove depends on the clock, and so does how late it was when it was asked. If one was
        adjusted meanwhile, everything is asked once more.
        """
        clock = self._clock
        since = self._shared.now() if sent.sent_at is None else sent.sent_at
        attempts = itertools.count()
        while True:
            steps = clock.steps
            outcome, doubt = await self._inquire(session, sent, open_)
            if doubt is None and (is_known_by_name(sent, outcome) or sent.is_refused):  # times had no part in it
                return outcome
            # If the time runs out from here on, it was the question for the time that told nothing.
            open_.question = Question(Time())
            await self._supervisor.measure_clock()
            # The clock was not adjusted while questions were asked, so what times proved holds.
            if clock.steps == steps:
                if doubt is not None:
                    raise doubt
                return outcome
            # Everything is asked again, with more doubt about when the call left.
            error = max(sent.clock_error, self._error_of(since))
            sent = msgspec.structs.replace(sent, clock_error=error, is_clock_known=False)
            # One that stands still until it is right again is another at each look: asked for without a pause, half the
            # weight of a minute would be used up before that.
            await trio.sleep(backoff(next(attempts), self._shared.chance.fraction()))

    async def _inquire(self, session: Sender, sent: Sent, open_: _Open) -> tuple[Any, Undecided | None]:
        """What became of a call, or why that cannot be said."""
        inquiry = inquire(sent)
        try:
            open_.question = next(inquiry)
            while True:
                open_.question = inquiry.send(await self._ask(session, open_.question))
        except StopIteration as end:
            return end.value, None
        except Undecided as doubt:
            return None, doubt

    async def _histories(self, session: Sender, sent: Sent, call: Any, outcome: Any, open_: _Open) -> Histories:
        """How the orders of a call were amended that one of several calls under its id asked more of."""
        histories: Histories = {}
        for order in rivaled(call, outcome, self._namesakes):
            changed_at = sent.time(order, "update_time") or 0
            question = OrderAmendments(symbol=order.symbol, order_id=order.order_id)
            open_.question = Question(question, changed_at + QUERY_DELAY)
            histories[order.order_id] = (await self._ask(session, open_.question)).result or ()
        return histories

    def _claim(self, call: OutcomeUnknown, new: Order | OrderList | None, histories: Histories) -> None:
        """Give each order to one call only.

        Raises:
            OutcomeUnknown: another call under the same id may have placed it.
        """
        if new is None:
            return
        symbol, orders = call.request.symbol, placed_by(new)
        for number in orders:
            self._check_claim(call, symbol, number, new, histories)
        # Another session may have made the call, and is to know it too.
        for namesakes in known_of(call, self._namesakes):
            namesakes.own(symbol, orders, call)

    def _check_claim(
        self, call: OutcomeUnknown, symbol: str, number: int, new: Order | OrderList, histories: Histories
    ) -> None:
        said = f"order {number} may be its, and"
        if self._is_anothers(call, symbol, number):
            raise _undecided(call, f"{said} was told to be another call's with that id")
        # What a late answer has named is its.
        if call.answered_at is not None:
            return
        if any(self._may_have_placed(other, new, histories) for other in others_of(call, self._namesakes)):
            raise _undecided(call, f"{said} that of another call with that id, whose outcome is not known either")
        if any(has_id_of(other, call) for other in self._supervisor.calls()):
            raise _undecided(call, f"{said} that of another call with that id, which is not answered yet")

    def _is_anothers(self, call: OutcomeUnknown, symbol: str, number: int) -> bool:
        return any(each.is_anothers(call, symbol, number) for each in known_of(call, self._namesakes))

    def _may_have_placed(self, other: OutcomeUnknown, new: Order | OrderList, histories: Histories) -> bool:
        """Whether what was found may be of another call, by all that is known of that."""
        try:
            sent = self._sent(other, None)
            pairs = [*itertools.product(legs_of(sent.request), orders_in(new))]
            return any(may_be(sent, leg, order) and may_have_been(leg, order, histories) for leg, order in pairs)
        # What cannot be judged may be so.
        except (Undecided, InvalidRequest, ProtocolViolation):
            return True

    async def _ask(self, session: Sender, question: Question) -> Reply:
        """Ask as soon as it makes sense, and until there is an answer."""
        while (delay := question.not_before - self._now_at_least()) > 0:  # noqa: ASYNC110  # a clock has no event
            await trio.sleep(min(delay / 1000, 1.0))  # the clock may be corrected meanwhile
        attempts = itertools.count()
        while True:
            # By the time of asking: an answer tells how things were then, not when it comes.
            asked_at = self._now_at_least()
            try:
                return Reply(await session.send(question.request), asked_at)
            # That it does not exist is an answer too; whether it counts, the inquiry knows.
            except UnknownOrder:
                return Reply(None, asked_at)
            except ProtocolViolation as violation:
                # What cannot be read might have shown the order, so nearly always it decides nothing.
                if not question.may_count_as_empty(violation.raw):
                    raise
                tell, method = self._shared.observation.tell, question.request.api.name
                tell(QuestionPassedOver, method=method, cause=str(violation))
                return Reply(None, asked_at)
            except (RateLimited, InvalidTimestamp):
                pass  # it is asked again
            except (NotSent, OutcomeUnknown):
                # Nobody will answer any more. Otherwise the next connection may.
                if self._supervisor.is_closed:
                    raise
            await trio.sleep(backoff(next(attempts), self._shared.chance.fraction()))

    def _patience(self, sent: Sent) -> float:
        """Seconds after which asking is given up."""
        return (max(sent.settled_at - self._now_at_least(), 0) + PATIENCE) / 1000

    def _now_at_least(self) -> int:
        """The exchange's time in milliseconds, as early as it may be.

        Queries lag behind the engine by a real time, so what a clock was set forward by counts only after that.
        """
        local = trio.current_time()
        lowest, _ = self._clock.offsets(local - QUERY_DELAY / 1000, local)
        return (math.floor(local * 1e6) + lowest) // 1000

    def _error_of(self, time: int) -> int:
        """By how many milliseconds a time that was taken from our clock may be wrong, as far as is known now."""
        return math.ceil(self._clock.error_of(time, trio.current_time()) * 1000)

    def _knows_clock(self, time: int | None, origin: Origin | None = None) -> bool:
        """Whether the exchange's clock was measured before and since a call, and was not adjusted in between."""
        clock = self._clock
        # It was sent by this session, which noted how many steps it had seen until then.
        if origin is not None and origin.namesakes is self._namesakes:
            return origin.clock_steps == clock.steps
        # By another session's clock the call may have left later than it did, by what a timestamp may lead.
        return clock.steps == 0 and (time is None or time - LARGEST_LEAD >= clock.known_since)

    def _sent(self, call: Any, sent_at: int | None) -> Sent:
        """What is known of a call that is to be confirmed.

        Raises:
            InvalidRequest: there is nothing that could be asked for.
        """
        if _is_a(Request, call):
            return self._sent_elsewhere(call, sent_at)
        if not _is_a(OutcomeUnknown, call):
            said = f"confirm takes an OutcomeUnknown or a request, not {shown(call)}"
            raise InvalidRequest(said, field="call")
        units = self._shared.in_unit(1)
        left_at = None if call.sent_at is None else call.sent_at // units
        error = math.ceil(call.clock_error * 1000)
        known = known_of(call, self._namesakes)
        sent = Sent(
            request=asked_of(call),
            final_at=(call.final_at or 0) // units,
            is_anothers=lambda order: is_surely_anothers(known, call, order),
            was_canceled_by_another=lambda order: any(each.has_another_canceled(call, order) for each in known),
            sent_at=left_at,
            # What was measured since may show that the clock was worse than it was taken for.
            clock_error=error if left_at is None else max(error, self._error_of(left_at)),
            is_clock_known=not _is_placing(call.request) and self._knows_clock(left_at, origin_of(call)),
            seen_order_id=call.seen_order_id,
            is_id_fresh=call.is_id_fresh,
            units=units,
        )
        # No late answer has come.
        if call.answered_at is None:
            return sent
        return msgspec.structs.replace(
            sent,
            # A call that was answered is over, and is executed no more.
            final_at=min(sent.final_at, call.answered_at // units),
            is_refused=is_refused(call.answer),
            told=told_by(sent.request, call.answer),
            has_canceled=has_canceled(call.answer),
        )

    def _sent_elsewhere(self, request: Request[Any], sent_at: Any) -> Sent:
        """What is known if there is only the request: that it left some time before now."""
        is_int = isinstance(sent_at, int) and not isinstance(sent_at, bool) and 0 <= sent_at < 2**63
        if sent_at is not None and not is_int:
            said = f"sent_at must be a time of the exchange, an int, not {shown(sent_at)}"
            raise InvalidRequest(said, field="sent_at")
        units, now = self._shared.in_unit(1), self._shared.now()
        left_at = None if sent_at is None else sent_at // units
        return Sent(
            request=asked_for(request),
            # It left before now, so its window ends before that of a call that would leave now.
            final_at=now + _window(request),
            sent_at=left_at,
            clock_error=self._error_of(now if left_at is None else left_at),
            is_clock_known=self._knows_clock(left_at),
            units=units,
        )

    def _tell(self, error: OutcomeUnknown, call: Call) -> None:
        assert call.late_answer is not None
        envelope, heard_at = call.late_answer
        # An answer that cannot be read leaves the outcome as unknown as it was.
        with suppress(ProtocolViolation):
            answer = read_error(call.api.name, envelope)
            if answer is None:
                request = error.request
                answer = read_answer(request, envelope) if request else read_result(call.api.name, Any, envelope)
            # An answer that itself does not know tells nothing new.
            if not isinstance(answer, OutcomeUnknown):
                for each in error.origin.errors():
                    each.answer, each.answered_at = answer, self._shared.in_unit(heard_at)
                self._namesakes.close(error)
                self.own(call, answer, error)

    def _clock_error(self, call: Call) -> float:
        """Seconds by which the timestamp of a call may be wrong."""
        # It carried no timestamp that could be wrong.
        if call.final_at is None:
            return 0.0
        return self._clock.error_of(call.final_at - call.window, trio.current_time())


def _undecided(call: OutcomeUnknown | Request[Any], reason: str) -> OutcomeUnknown:
    """What to raise if nothing tells: the same error with another reason."""
    if isinstance(call, Request):
        return OutcomeUnknown(call.api.name, reason, request=call)
    error: OutcomeUnknown = OutcomeUnknown(call.method, reason, client_order_id=call.client_order_id)
    # Also what was learned or noted since the call.
    vars(error).update({**vars(call), "reason": reason})
    if hasattr(call, "__notes__"):
        error.__notes__ = [*call.__notes__]  # of its own: what is noted on one is not noted on the other
    origin = origin_of(call)
    # Nobody knows which call a copy is of.
    if origin is not None:
        origin.add(error)
    return error


def _is_placing(request: Request[Any]) -> bool:
    """Whether a request only places orders.

    No clock denies an order under its id that is as it should be, was never seen, and is dated a little before it left:
    one that was adjusted and adjusted back between two samples shows no step.
    """
    return bool(request.api.orders) and not isinstance(request, OrderCancelReplace)


def _window(request: Request[Any]) -> int:
    """The ``recvWindow`` of a request, in whole milliseconds."""
    given = getattr(request, "recv_window", None)
    return DEFAULT_RECV_WINDOW if given is None else math.ceil(given)


def _is_a(kind: type[Any], value: Any) -> bool:
    """`isinstance` for a generic class whose arguments nobody knows here."""
    return isinstance(value, kind)
