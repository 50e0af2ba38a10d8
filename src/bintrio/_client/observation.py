"""Tells what happens in a session: to its observer, if there is one, and to the logs.

A session without an observer pays for a comparison here and there in the path of a call. What happens rarely is made
into a fact in any case, since the logs are written from facts too: see `_client/logs`.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Container, Coroutine, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

import msgspec
import trio

from .._protocol.envelope import Envelope
from .._protocol.facts import Fact, MessageReceived, MessageSent, Observer, SessionEnded, SessionStarted
from .._protocol.facts_of_calls import Awaited, CallEnded, CallSent, CallStarted, CallWaited
from .._protocol.frames import Message
from .._protocol.requests import RequestId
from .._protocol.secrets import redacted, redacted_message
from .._text import kind_of, leaves, said, shown_url
from ..api._values import RateLimit
from ..endpoints import Endpoint
from ..errors import Rejected
from .in_flight import Call, Tells
from .logs import LINES

P = ParamSpec("P")
T = TypeVar("T")

logger: Final = logging.getLogger("bintrio.observer")
bugs: Final = logging.getLogger("bintrio.connection")


_MESSAGES: Final = (MessageSent, MessageReceived)


class Counters(msgspec.Struct):
    """What was dropped, and how often. Of one session, over all its connections.

    Attributes:
        dropped_replies: answers nobody waits for: late after a cancellation or deadline, repeated, or unknown.
        unreadable_messages: messages that are no JSON of the documented form, and binary ones.
        unclaimed_events: events of a subscription that was not made by `Session.user_data`.
        connections: connections that became ready.
        losses: connections that ended otherwise than by rotation or closing.
        observer_failures: facts at which the observer raised an error.
    """

    dropped_replies: int = 0
    unreadable_messages: int = 0
    unclaimed_events: int = 0
    connections: int = 0
    losses: int = 0
    observer_failures: int = 0


class Observation:
    """What one session tells.

    Args:
        name: of the session.
        observer: whom; None for nobody.
        shows_params: whether it is told the parameters of calls.

    Attributes:
        name: of the session.
        counters: of the session.
        is_recorded: whether the observer asks for each message.
        now: local time, as `trio.current_time` has it.
        tells_beginnings: whether it asks for `CallStarted`.
        tells_sending: whether it asks for `CallSent`.
        tells_ends: whether it asks for `CallEnded`.
    """

    def __init__(self, name: str, observer: Observer | None = None, *, shows_params: bool = False) -> None:
        self.name: Final = name
        self.counters: Final = Counters()
        self._observer: Any = observer
        self._kinds: Container[object] | None = getattr(observer, "fact_kinds", None)
        # Messages are told only to an observer that names their kinds: they are many, and have to be redacted first.
        self.is_recorded = self._kinds is not None and any(kind in self._kinds for kind in _MESSAGES)
        # `trio.current_time` looks for the run that it is in each time, and each call asks for the time five times.
        self.now = trio.lowlevel.current_clock().current_time
        # Asked for each call, so they are found out once.
        self.tells_beginnings = self.is_wanted(CallStarted)
        self.tells_sending = self.is_wanted(CallSent)
        self.tells_ends = self.is_wanted(CallEnded)
        # An observer of ours that needs no steps of calls: no facts are made for it, and no times are taken.
        self._take_outline: Callable[[Outline], None] | None = getattr(observer, "take_outline", None)
        self._trace_type: type[Outline] = Trace if self._take_outline is None else Outline
        self._shows_params = shows_params
        self._numbers = itertools.count(1)

    def is_wanted(self, kind: object) -> bool:
        """Whether the observer is to be told facts of a kind."""
        return self._observer is not None and (self._kinds is None or kind in self._kinds)

    def tell(self, kind: Callable[P, Fact], *args: P.args, **fields: P.kwargs) -> None:
        """Tell a fact of a kind, which has these fields, and log it. The session and the time are added."""
        line, is_wanted = LINES[kind], self.is_wanted(kind)
        # No fact is made that nobody reads.
        if is_wanted or line.is_heard:
            make: Any = kind
            fact = make(*args, session=self.name, at=trio.current_time(), **fields)
            line.write(fact)
            if is_wanted:
                self.pass_on(fact)

    @trio.lowlevel.enable_ki_protection
    def pass_on(self, fact: Fact) -> None:
        """Call the observer, which is there."""
        try:
            self._observer(fact)
        except BaseException:  # Ctrl-C waits here, so it is the observer's own, whatever it is
            self._note_failure(fact)

    @trio.lowlevel.enable_ki_protection
    def pass_outline(self, outline: Outline) -> None:
        """Give the observer, which takes it, the outline of a call that is over."""
        assert self._take_outline is not None
        try:
            self._take_outline(outline)
        except BaseException:  # as above
            self._note_failure(outline)

    def _note_failure(self, fact: Fact | Outline) -> None:
        self.counters.observer_failures += 1
        # One line: an observer that fails at every fact would flood the logs.
        if self.counters.observer_failures == 1:
            log_failure(fact)

    @contextmanager
    def of_session(self, endpoint: Endpoint) -> Generator[None]:
        """Tell that a session begins, and that it is over."""
        self.tell(SessionStarted, endpoint=endpoint.name or shown_url(endpoint.urls[0]))
        try:
            yield
        finally:
            self.tell(SessionEnded)

    def about(self, **here: Any) -> Teller:
        """Tells facts with some fields filled in."""
        return Teller(self, here)

    # Calls

    def watched(self, call: Call, result: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Have it told how a call goes whose result a coroutine gives."""
        # Without an observer there is no second coroutine around the call.
        return result if self._observer is None else self._watch(call, result)

    async def _watch(self, call: Call, result: Coroutine[Any, Any, T]) -> T:
        is_own = call.cost.purpose == "own"
        trace = call.trace = self._trace_type(
            self, next(self._numbers), call.api.name, is_own, call.shown_account, self.now()
        )
        if self.tells_beginnings:
            trace.start(redacted(call.params) if self._shows_params else None)
        try:
            value = await result
        except BaseException as error:  # one that is cancelled has ended, too
            if self.tells_ends:
                trace.end(error)
            raise
        if self.tells_ends:
            trace.end(None)
        return value


class Teller:
    """Tells facts about one connection, or one call.

    Attributes:
        here: the fields that it fills in.
    """

    def __init__(self, observation: Observation, here: dict[str, Any]) -> None:
        self._observation = observation
        self.here: Final = here

    def tell(self, kind: Callable[P, Fact], *args: P.args, **fields: P.kwargs) -> None:
        """See `Observation.tell`."""
        make: Any = kind
        self._observation.tell(make, *args, **self.here, **fields)

    def tell_failure(self, kind: Callable[..., Fact], failure: BaseException, **fields: Any) -> None:
        """Tell a fact that says what went wrong: the class of an error (``error``), and its words (``cause``)."""
        self.tell(kind, cause=said(failure), error=kind_of(failure), **fields)

    def hearing(self, take: Callable[[Message], None]) -> Callable[[Message], None]:
        """What takes the messages of the connection: the function itself, unless they are to be told of."""

        def hear_and_take(message: Message) -> None:
            self.heard(message)
            take(message)

        # Decided once, so that no message pays for it where nothing is recorded.
        return hear_and_take if self._observation.is_recorded else take

    def heard(self, message: Message) -> None:
        """A message came."""
        if self._observation.is_recorded:
            self.tell_message(MessageReceived, message.payload)

    def tell_message(self, kind: type[MessageSent | MessageReceived], data: bytes) -> None:
        """Tell of a message, if the observer has asked for its kind."""
        # Before the text is made, for which the whole message is read.
        if self._observation.is_wanted(kind):
            name, now, text = self._observation.name, trio.current_time(), redacted_message(data)
            self._observation.pass_on(kind(session=name, at=now, **self.here, text=text))

    def log_bug(self, words: str) -> None:
        """Log the error that is being handled, which is one of ours, with its traceback."""
        session = self._observation.name
        number = self.here["connection"]
        bugs.exception("%s: connection %d: %s", session, number, words, extra={"session": session, **self.here})


class Outline(msgspec.Struct, eq=False):
    """How a call began and ended, for an observer that needs no more, and makes no `CallEnded` of it.

    It is on the path of each call. So it is a struct, which is made in a third of the time. The garbage collector looks
    at it: the traceback of an error leads to it, and the observer may keep the error.

    Attributes:
        observation: of the session.
        at: when the call was over.
        teller: of the connection that it was sent on last; None if it was not sent.
        envelope: its answer, if there was one.
    """

    observation: Observation
    call: int
    method: str
    is_own: bool
    account: str | None
    started_at: float
    at: float = 0.0
    teller: Tells | None = None
    envelope: Envelope | None = None
    code: int | None = None
    error: str | None = None
    cause: str | None = None

    @property
    def session(self) -> str:
        """See `Fact`."""
        return self.observation.name

    @property
    def connection(self) -> int | None:
        """See `CallEnded`."""
        return None if self.teller is None else self.teller.here["connection"]

    @property
    def address(self) -> str | None:
        """See `CallEnded`."""
        return None if self.teller is None else self.teller.here["address"]

    @property
    def status(self) -> int | None:
        """See `CallEnded`."""
        return None if self.envelope is None else self.envelope.status

    @property
    def limits(self) -> tuple[RateLimit, ...]:
        """See `CallEnded`."""
        return () if self.envelope is None else self.envelope.rate_limits

    def start(self, params: dict[str, Any] | None) -> None:
        """It was made."""
        self.observation.pass_on(CallStarted(**self._here(self.started_at), params=params))

    def begin(self, now: float, teller: Tells, data: bytes) -> Callable[[], None] | None:
        """It is about to be queued, or written at once. What is given is to be called when it is written."""
        self.teller = teller
        # The answer of an earlier try is of no interest.
        self.envelope = None
        return None

    def queued(self, request_id: RequestId, size: int) -> None:
        """It was queued, or written at once."""

    def answered(self, size: int) -> None:
        """Its answer was read."""

    def taken(self, envelope: Envelope) -> None:
        """Its caller has the answer."""
        self.envelope = envelope

    def waited(self, awaited: Awaited, seconds: float) -> None:
        """It had to wait."""
        if self.observation.is_wanted(CallWaited):
            self.observation.pass_on(CallWaited(**self._here(self.observation.now()), awaited=awaited, seconds=seconds))

    def end(self, failure: BaseException | None) -> None:
        """It is over."""
        observation = self.observation
        self.at = observation.now()
        if failure is not None:
            self._note(failure)
        observation.pass_outline(self)

    def _note(self, failure: BaseException) -> None:
        # Not the error itself: its traceback leads here.
        self.code = failure.code if isinstance(failure, Rejected) else None
        self.error, self.cause = kind_of(failure), words_of(failure)

    def _here(self, now: float) -> dict[str, Any]:
        return {
            "session": self.observation.name,
            "at": now,
            "call": self.call,
            "method": self.method,
            "is_own": self.is_own,
            "account": self.account,
        }


class Trace(Outline, eq=False):
    """The steps of one call that is observed: see `CallEnded`. Some are noted in the reader's and the writer's task."""

    tries: int = 0
    sent_size: int = 0
    queued_at: float | None = None
    written_at: float | None = None
    answered_at: float | None = None
    taken_at: float | None = None
    answer_size: int = 0

    def _forget(self) -> None:
        """What is known of an earlier try is of no interest."""
        self.queued_at = self.written_at = self.answered_at = self.taken_at = None
        self.answer_size = 0
        self.envelope = None

    def begin(self, now: float, teller: Tells, data: bytes) -> Callable[[], None]:
        """See `Outline.begin`."""
        # Its earlier try was taken back, or lost with its connection.
        if self.tries:
            self._forget()
        self.queued_at = now
        self.teller = teller
        return partial(self._write, teller, data) if self.observation.is_recorded else self._written

    def _written(self) -> None:
        self.written_at = self.observation.now()

    def _write(self, teller: Tells, data: bytes) -> None:
        self._written()
        teller.tell_message(MessageSent, data)

    def queued(self, request_id: RequestId, size: int) -> None:
        """See `Outline.queued`."""
        self.tries += 1
        self.sent_size = size
        if self.observation.tells_sending:
            assert self.teller is not None  # since `begin`
            here, connection = self._here(self.observation.now()), self.teller.here["connection"]
            self.observation.pass_on(CallSent(**here, connection=connection, id=request_id, size=size))

    def answered(self, size: int) -> None:
        """See `Outline.answered`."""
        self.answered_at = self.observation.now()
        self.answer_size = size

    def taken(self, envelope: Envelope) -> None:
        """See `Outline.taken`."""
        self.taken_at = self.observation.now()
        self.envelope = envelope

    def end(self, failure: BaseException | None) -> None:
        """See `Outline.end`."""
        self.at = self.observation.now()
        if failure is not None:
            self._note(failure)
        # Not by the properties: it is on the path of each call.
        teller, envelope = self.teller, self.envelope
        ended = CallEnded(
            session=self.observation.name,
            at=self.at,
            call=self.call,
            method=self.method,
            is_own=self.is_own,
            account=self.account,
            started_at=self.started_at,
            queued_at=self.queued_at,
            written_at=self.written_at,
            answered_at=self.answered_at,
            taken_at=self.taken_at,
            tries=self.tries,
            connection=None if teller is None else teller.here["connection"],
            address=None if teller is None else teller.here["address"],
            sent_size=self.sent_size,
            answer_size=self.answer_size,
            status=None if envelope is None else envelope.status,
            code=self.code,
            error=self.error,
            cause=self.cause,
            limits=() if envelope is None else envelope.rate_limits,
        )
        self.observation.pass_on(ended)


@contextmanager
def waiting(call: Call, awaited: Awaited) -> Generator[None]:
    """Have it told how long a call waits."""
    since = trio.current_time()
    try:
        yield
    finally:
        # Also if the wait ended with an error or a cancellation.
        if call.trace is not None:
            call.trace.waited(awaited, trio.current_time() - since)


def name_of(endpoint: Endpoint) -> str:
    """What a session is called if its user gives it no name."""
    return endpoint.name or endpoint.addresses(time_unit="ms")[0].authority


def log_failure(fact: Fact | Outline) -> None:
    """Log the error that an observer raised."""
    kind = CallEnded if isinstance(fact, Outline) else type(fact)
    extra = {"session": fact.session, "fact": kind.__name__}
    logger.exception("%s: the observer failed; further failures are only counted", fact.session, extra=extra)


def words_of(error: BaseException) -> str:
    """What an error says; trio says of a cancellation which task asked for it, which is nobody else's affair."""
    return "it was cancelled" if isinstance(next(leaves(error)), trio.Cancelled) else said(error)
