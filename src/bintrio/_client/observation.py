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
        trace = call.trace = Trace(self, next(self._numbers), call.api.name, is_own, call.shown_account, self.now())
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


class Trace(msgspec.Struct, eq=False):
    """The steps of one call that is observed: see `CallEnded`. Some are noted in the reader's and the writer's task.

    It is on the path of each call. So it makes its facts itself, and is a struct, which is made in a third of the time.
    The garbage collector looks at it: the traceback of an error leads to it, and the observer may keep the error.
    """

    observation: Observation
    call: int
    method: str
    is_own: bool
    account: str | None
    started_at: float
    tries: int = 0
    sent_size: int = 0
    connection: int | None = None
    address: str | None = None
    queued_at: float | None = None
    written_at: float | None = None
    answered_at: float | None = None
    taken_at: float | None = None
    answer_size: int = 0
    envelope: Envelope | None = None

    def _forget(self) -> None:
        """What is known of an earlier try is of no interest."""
        self.queued_at = self.written_at = self.answered_at = self.taken_at = None
        self.answer_size = 0
        self.envelope = None

    def start(self, params: dict[str, Any] | None) -> None:
        """It was made."""
        self.observation.pass_on(CallStarted(**self._here(self.started_at), params=params))

    def begin(self, now: float, teller: Tells, data: bytes) -> Callable[[], None]:
        """It is about to be queued, or written at once. What is given is to be called when it is written."""
        # Its earlier try was taken back, or lost with its connection.
        if self.tries:
            self._forget()
        self.queued_at = now
        self.connection, self.address = teller.here["connection"], teller.here["address"]
        return partial(self._write, teller, data) if self.observation.is_recorded else self._written

    def _written(self) -> None:
        self.written_at = self.observation.now()

    def _write(self, teller: Tells, data: bytes) -> None:
        self._written()
        teller.tell_message(MessageSent, data)

    def queued(self, request_id: RequestId, size: int) -> None:
        """It was queued, or written at once."""
        connection = self.connection
        assert connection is not None  # since `begin`
        self.tries += 1
        self.sent_size = size
        if self.observation.tells_sending:
            here = self._here(self.observation.now())
            self.observation.pass_on(CallSent(**here, connection=connection, id=request_id, size=size))

    def answered(self, size: int) -> None:
        """Its answer was read."""
        self.answered_at = self.observation.now()
        self.answer_size = size

    def taken(self, envelope: Envelope) -> None:
        """Its caller has the answer."""
        self.taken_at = self.observation.now()
        self.envelope = envelope

    def waited(self, awaited: Awaited, seconds: float) -> None:
        """It had to wait."""
        if self.observation.is_wanted(CallWaited):
            self.observation.pass_on(CallWaited(**self._here(self.observation.now()), awaited=awaited, seconds=seconds))

    def end(self, failure: BaseException | None) -> None:
        """It is over."""
        envelope = self.envelope
        code = error = cause = None
        if failure is not None:
            code = failure.code if isinstance(failure, Rejected) else None
            error, cause = kind_of(failure), words_of(failure)
        ended = CallEnded(
            session=self.observation.name,
            at=self.observation.now(),
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
            connection=self.connection,
            address=self.address,
            sent_size=self.sent_size,
            answer_size=self.answer_size,
            status=None if envelope is None else envelope.status,
            code=code,
            error=error,
            cause=cause,
            limits=() if envelope is None else envelope.rate_limits,
        )
        self.observation.pass_on(ended)

    def _here(self, now: float) -> dict[str, Any]:
        return {
            "session": self.observation.name,
            "at": now,
            "call": self.call,
            "method": self.method,
            "is_own": self.is_own,
            "account": self.account,
        }


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


def log_failure(fact: Fact) -> None:
    """Log the error that an observer raised."""
    extra = {"session": fact.session, "fact": type(fact).__name__}
    logger.exception("%s: the observer failed; further failures are only counted", fact.session, extra=extra)


def words_of(error: BaseException) -> str:
    """What an error says; trio says of a cancellation which task asked for it, which is nobody else's affair."""
    return "it was cancelled" if isinstance(next(leaves(error)), trio.Cancelled) else said(error)
