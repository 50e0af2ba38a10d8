"""What a session tells of calls: see `facts`."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from ..api._values import RateLimit
from .facts import Fact
from .requests import RequestId

Awaited: TypeAlias = Literal["connection", "room", "budget"]
"""What a call waits for: a connection, room in the queue for writing, or the exchange's limits."""


class AboutCall(Fact, frozen=True, kw_only=True):
    """Something that happened to a call.

    Attributes:
        call: its number; no other call of the session has it.
        method: the exchange's name of the method.
        is_own: whether the session makes it by itself: the time, the limits, logging on, subscribing.
        account: whom it is for: as much of the API key as may be shown, of the session's or of `Session.using`'s key;
            None without one.
    """

    call: int = 0
    method: str = ""
    is_own: bool = False
    account: str | None = None


class CallStarted(AboutCall, frozen=True, kw_only=True):
    """A call was made.

    Attributes:
        params: its parameters by their wire names, without keys and signatures; None without ``observe_params``.
    """

    params: dict[str, Any] | None


class CallWaited(AboutCall, frozen=True, kw_only=True):
    """A call had to wait before it could be sent. It is told when the wait is over, by cancellation too.

    Attributes:
        awaited: what it waited for.
        seconds: how long.
    """

    awaited: Awaited
    seconds: float


class CallSent(AboutCall, frozen=True, kw_only=True):
    """A call was queued for writing, or written at once. A read that is repeated is sent more than once.

    Attributes:
        connection: the number of the connection.
        id: the id on the wire.
        size: bytes of the message.
    """

    connection: int
    id: RequestId
    size: int


class CallEnded(AboutCall, frozen=True, kw_only=True):
    """A call is over: with its result, an error or a cancellation. It has the times of all steps, whatever came of it.

    Times are local ones, as ``at`` is, and None for what did not happen; if the call was sent several times, they are
    those of the last time.

    Attributes:
        started_at: when it was made.
        queued_at: when it was signed, and queued for writing.
        written_at: when its last byte was handed to the stream.
        answered_at: when its answer was read off the wire.
        taken_at: when its caller had its turn; decoding the answer lies between that and ``at``.
        tries: how often it was sent.
        connection: the number of the connection that it was sent on.
        address: where that leads, as ``host:port``.
        sent_size: bytes of the message that was sent.
        answer_size: bytes of the answer.
        status: the status of the answer.
        code: the exchange's error code in the answer, if it is one.
        error: the class of the error that it raised, ``Cancelled`` for a cancellation; None if it gave its result.
        cause: what that says.
        limits: the exchange's limits with their counts, as the answer had them.
    """

    started_at: float
    queued_at: float | None
    written_at: float | None
    answered_at: float | None
    taken_at: float | None
    tries: int
    connection: int | None
    address: str | None
    sent_size: int
    answer_size: int
    status: int | None
    code: int | None
    error: str | None
    cause: str | None
    limits: tuple[RateLimit, ...]


class OutcomeKept(Fact, frozen=True, kw_only=True):
    """A trading call was cancelled after it had left: `Session.unresolved` has it.

    Attributes:
        method: the exchange's name of the method.
        account: as `AboutCall.account`. `Session.unresolved` of that account has it.
        cause: what is known of it, in words.
    """

    method: str
    account: str | None
    cause: str


class QuestionPassedOver(Fact, frozen=True, kw_only=True):
    """`Session.confirm` could not read the answer to one of its questions, and tells what became of a call without it.

    Attributes:
        method: the exchange's name of the question's method.
        cause: what is wrong with the answer.
    """

    method: str
    cause: str
