"""Tells what happens in a session: to its observer, if there is one, and to the logs.

A session without an observer pays for a comparison here and there in the path of a call. What happens rarely is made
into a fact in any case, since the logs are written from facts too: see `_client/logs`.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

import msgspec
import trio

from .._protocol.envelope import Envelope
from .._protocol.facts import Fact, Observer, SessionEnded, SessionStarted
from .._protocol.facts_of_calls import Awaited, CallEnded, CallSent, CallStarted, CallWaited
from .._protocol.requests import RequestId
from .._protocol.secrets import redacted
from .._text import kind_of, said, shown_url
from ..endpoints import Endpoint
from ..errors import Rejected
from .in_flight import Call
from .logs import LINES

P = ParamSpec("P")
T = TypeVar("T")

logger: Final = logging.getLogger("bintrio.observer")
bugs: Final = logging.getLogger("bintrio.connection")


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
    """

    def __init__(self, name: str, observer: Observer | None = None, *, shows_params: bool = False) -> None:
        self.name: Final = name
        self.counters: Final = Counters()
        self._observer = observer
        self._shows_params = shows_params
        self._numbers = itertools.count(1)

    def tell(self, kind: Callable[P, Fact], *args: P.args, **fields: P.kwargs) -> None:
        """Tell a fact of a kind, which has these fields. The session and the time are added."""
        line = LINES.get(kind)
        if self._observer is None and (line is None or not line.is_heard):
            return
        make: Any = kind
        fact = make(*args, session=self.name, at=trio.current_time(), **fields)
        if line is not None:
            line.write(fact)
        self._pass(fact)

    @trio.lowlevel.enable_ki_protection
    def _pass(self, fact: Fact) -> None:
        if self._observer is None:
            return
        try:
            self._observer(fact)
        except BaseException:  # Ctrl-C waits here, so it is the observer's own, whatever it is
            self.counters.observer_failures += 1
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
        return result if self._observer is None else self._watch(call, result)

    async def _watch(self, call: Call, result: Coroutine[Any, Any, T]) -> T:
        about = {"call": next(self._numbers), "method": call.api.name, "is_own": call.cost.purpose == "own"}
        trace = call.trace = Trace(Teller(self, about), trio.current_time())
        trace.teller.tell(CallStarted, params=redacted(call.params) if self._shows_params else None)
        failure: BaseException | None = None
        try:
            return await result
        except BaseException as error:
            failure = error
            raise
        finally:
            trace.end(failure)
            del failure  # its traceback holds this frame


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

    def log_bug(self, words: str) -> None:
        """Log the error that is being handled, which is one of ours, with its traceback."""
        session = self._observation.name
        number = self.here["connection"]
        bugs.exception("%s: connection %d: %s", session, number, words, extra={"session": session, **self.here})


class Trace:
    """The steps of one call that is observed: see `CallEnded`."""

    def __init__(self, teller: Teller, now: float) -> None:
        self.teller: Final = teller
        self._steps: dict[str, Any] = {"started_at": now, **_NO_STEPS}

    def begin(self) -> Callable[[], None]:
        """It is about to be queued, or written at once. What is given is to be called when it is written."""
        tries = self._steps["tries"]
        self._steps |= {**_NO_STEPS, "tries": tries, "queued_at": trio.current_time()}
        return self._written

    def queued(self, connection: int, address: str, request_id: RequestId, size: int) -> None:
        """It was queued, or written at once."""
        self._steps["tries"] += 1
        self._steps |= {"connection": connection, "address": address, "sent_size": size}
        self.teller.tell(CallSent, connection=connection, id=request_id, size=size)

    def _written(self) -> None:
        self._steps["written_at"] = trio.current_time()

    def answered(self, size: int) -> None:
        """Its answer was read."""
        self._steps |= {"answered_at": trio.current_time(), "answer_size": size}

    def taken(self, envelope: Envelope) -> None:
        """Its caller has the answer."""
        self._steps |= {"taken_at": trio.current_time(), "status": envelope.status, "limits": envelope.rate_limits}

    def waited(self, awaited: Awaited, seconds: float) -> None:
        """It had to wait."""
        self.teller.tell(CallWaited, awaited=awaited, seconds=seconds)

    def end(self, failure: BaseException | None) -> None:
        """It is over."""
        code = failure.code if isinstance(failure, Rejected) else None
        error, cause = (None, None) if failure is None else (kind_of(failure), said(failure))
        tell: Any = self.teller.tell  # type checkers do not look into `_steps`
        tell(CallEnded, **self._steps, code=code, error=error, cause=cause)


_NO_STEPS: Final[dict[str, Any]] = {
    **dict.fromkeys(("queued_at", "written_at", "answered_at", "taken_at", "connection", "address", "status")),
    **dict.fromkeys(("tries", "sent_size", "answer_size"), 0),
    "limits": (),
}


@contextmanager
def waiting(call: Call, awaited: Awaited) -> Generator[None]:
    """Have it told how long a call waits."""
    since = trio.current_time()
    try:
        yield
    finally:
        if call.trace is not None:
            call.trace.waited(awaited, trio.current_time() - since)


def name_of(endpoint: Endpoint) -> str:
    """What a session is called if its user gives it no name."""
    return endpoint.name or endpoint.addresses(time_unit="ms")[0].authority


def log_failure(fact: Fact) -> None:
    """Log the error that an observer raised."""
    extra = {"session": fact.session, "fact": type(fact).__name__}
    logger.exception("%s: the observer failed; further failures are only counted", fact.session, extra=extra)
