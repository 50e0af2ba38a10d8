"""Scripted faults, as values: what goes wrong, for which request, how often.

``sandbox.inject(DropReply("order.place"))`` loses the answer to the next order. A fault waits until its request comes:
``method`` None means any; ``skip`` lets so many pass first; ``times`` is how many are hit, None for all. Faults are
looked up in the order in which they were injected, and a request is hit by the first that fits. What is to strike one
request together is injected as one, `Together`.

`MutePings`, `LateEvents`, and `HalfOpen` without a method, strike a whole connection: every one that is open when they
are injected; if none is open, or with ``is_for_next``, the next to open. `RefuseConnection`, `SlowHandshake` and
`HandshakeStatus` strike the next that connects, each at its time. `OddEvents` strikes the next events, the same on each
connection that they go to. What links do to bytes is in `links`.

What they do to a request is in `course`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, cast

import msgspec

from bintrio._text import shown
from bintrio.errors import InvalidRequest

from ..exchange.arguments import NotNegative, Positive, Seconds, check_close, check_fields, checked

if TYPE_CHECKING:
    Payload: TypeAlias = str | bytes
else:
    Payload = Any  # msgspec reads no union of the two; `Garbage` looks at it by itself

RetryAfter: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e10, le=1e10)]
"""Seconds from now, in the past as well: a time in seconds that is taken for milliseconds lies in 1970."""


OF_CONNECTIONS: Final = frozenset({"serverShutdown", "eventStreamTerminated"})
"""What is told of a connection or a subscription, not of an account."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=True):
    """What all faults have.

    Attributes:
        method: the method that it waits for, or None for any.
        times: how often it strikes; None for always.
        skip: how many fitting requests it lets pass first.

    Raises:
        InvalidRequest: a value is not of its type, or out of range.
    """

    method: str | None = None
    times: Positive | None = msgspec.field(default=1)
    skip: NotNegative = 0

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def strikes(self) -> int:
        """How many requests it takes for it to have its way once."""
        return 1

    @property
    def is_of_connection(self) -> bool:
        """Whether it strikes a connection as a whole, not a request."""
        return False

    @property
    def strikes_at_once(self) -> bool:
        """Whether it strikes the connections that are open."""
        return self.is_of_connection


def _check_json(field: str, text: str) -> None:
    try:
        # Here, since whoever injects it is to hear of it, and not the connection that it strikes much later.
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        said = f"{field} must be JSON, not {shown(text)}: {error}"
        raise InvalidRequest(said, field=field) from None


class Delay(Fault, frozen=True, kw_only=True):
    """The request is executed late, and so answered late. Others are not held up.

    Attributes:
        seconds: how late.
    """

    seconds: Seconds


class LateReply(Fault, frozen=True, kw_only=True):
    """The request is executed at once and answered late.

    Attributes:
        seconds: how late.
    """

    seconds: Seconds


class DropReply(Fault, frozen=True, kw_only=True):
    """The request is executed, its answer is lost."""


class DuplicateReply(Fault, frozen=True, kw_only=True):
    """The answer comes twice."""


class EventsFirst(Fault, frozen=True, kw_only=True):
    """The events that the request causes come before its answer, not after it. The document promises neither order."""


class Reorder(Fault, frozen=True, kw_only=True):
    """Answers are kept back until there are ``count``, then sent the last one first.

    Attributes:
        count: how many answers; as many requests are hit.
    """

    count: Positive = 2

    @property
    def strikes(self) -> int:
        """See `Fault`."""
        return self.count


class NullIdReply(Fault, frozen=True, kw_only=True):
    """The answer comes with ``id: null``."""


class UnknownIdReply(Fault, frozen=True, kw_only=True):
    """The answer comes with an id that nobody asked under."""


class WrongReply(Fault, frozen=True, kw_only=True):
    """The request is executed, and a success is answered with another result.

    Attributes:
        result: JSON.
    """

    result: str

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_json("result", self.result)


class Garbage(Fault, frozen=True, kw_only=True):
    """Something else comes instead of the answer.

    Attributes:
        data: str for a text frame, bytes for a binary frame, or with ``is_raw`` for the bare connection.
        is_raw: whether to send the bytes as they are, without a frame around them.
        executed: whether the request was executed.
    """

    data: Payload
    is_raw: bool = False
    executed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        checked("data", self.data, str | bytes)


class ErrorReply(Fault, frozen=True, kw_only=True):
    """The exchange says no, and executes nothing.

    Attributes:
        code: of the error.
        message: of the error.
        status: of the answer.
    """

    code: int
    message: str = "Said by a fault."
    status: int = 400


class ServerError(Fault, frozen=True, kw_only=True):
    """A 5xx answer.

    Attributes:
        executed: whether the request was executed.
    """

    executed: bool
    status: int = 500
    code: int = -1000
    message: str = "An unknown error occurred while processing the request."


class Timeout(Fault, frozen=True, kw_only=True):
    """-1007: the exchange does not know.

    Attributes:
        executed: whether the request was executed.
    """

    executed: bool


class Disconnect(Fault, frozen=True, kw_only=True):
    """The connection is cut instead of an answer.

    Attributes:
        executed: whether the request was executed.
    """

    executed: bool = False


class CutReplyAt(Fault, frozen=True, kw_only=True):
    """The request is executed; of its answer's frame so many bytes are sent, and the connection is cut.

    Attributes:
        position: bytes of the frame, its header included; what lies beyond its end is its end.
    """

    position: NotNegative


class Pings(Fault, frozen=True, kw_only=True):
    """Pings come right behind the answer, in one piece with it.

    Attributes:
        count: how many.
    """

    count: Positive = 1


class Farewell(Fault, frozen=True, kw_only=True):
    """The exchange closes the connection once it has answered: by pings and a close frame, in one piece.

    Attributes:
        pings: how many.
        code: of the close frame.
    """

    pings: NotNegative = 1
    code: int = 1001

    def __post_init__(self) -> None:
        super().__post_init__()
        check_close(self.code, "")


class TooManyRequests(Fault, frozen=True, kw_only=True):
    """429, not executed.

    Attributes:
        retry_after: seconds from now, also below 0; None says nothing of it.
    """

    retry_after: RetryAfter | None = 10.0


class IpBan(Fault, frozen=True, kw_only=True):
    """418, not executed; the connection is cut, and no other is let in before the time is over.

    Attributes:
        retry_after: seconds from now, as the answer says, also below 0; None says nothing of it.
        lasts: seconds for which nobody is let in; as long as the answer says, if it is not given.
    """

    retry_after: RetryAfter | None = 120.0
    lasts: Seconds | None = None


class HalfOpen(Fault, frozen=True, kw_only=True):
    """The connection is neither read nor written any more, and stays open.

    Attributes:
        executed: whether the request that it waited for was executed.
        is_for_next: without a method, whether it waits for the next connection to open even if others are open.
    """

    executed: bool = False
    is_for_next: bool = False

    @property
    def is_of_connection(self) -> bool:
        """See `Fault`."""
        return self.method is None

    @property
    def strikes_at_once(self) -> bool:
        """See `Fault`."""
        return self.is_of_connection and not self.is_for_next


class OfConnection(Fault, frozen=True, kw_only=True):
    """What faults of whole connections have.

    Attributes:
        is_for_next: whether it waits for the next connection to open even if others are open.
    """

    is_for_next: bool = False

    @property
    def is_of_connection(self) -> bool:
        """See `Fault`."""
        return True

    @property
    def strikes_at_once(self) -> bool:
        """See `Fault`."""
        return not self.is_for_next


class MutePings(OfConnection, frozen=True, kw_only=True):
    """No more pings are sent on the connection; all else works."""


class LateEvents(OfConnection, frozen=True, kw_only=True):
    """Events come late on the connection, in their order; all else works.

    The answer to userDataStream.unsubscribe still comes after the events before it: it says that there are no more.

    Attributes:
        seconds: how late.
    """

    seconds: Seconds


class OddEvents(Fault, frozen=True, kw_only=True):
    """Events of an account lack a field, or have something else in it, on all connections, as from another release.

    Attributes:
        event: the type of event that it waits for, or None for any.
        field: which, by its name in JSON, wherever an event has it; others pass.
        value: what is there instead, as JSON; None leaves the field out.
        lasts: seconds after which it strikes no more; None for no such end. Every event is struck with ``times`` None.
    """

    event: str | None = None
    field: str
    value: str | None = None
    lasts: Seconds | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value is not None:
            _check_json("value", self.value)

    def struck(self, event: dict[str, Any]) -> dict[str, Any]:
        """An event as it is told; itself if it has no such field, or is of another type."""
        is_meant = self.event in {None, event["e"]} and event["e"] not in OF_CONNECTIONS
        return self._struck(event) if is_meant else event

    def _struck(self, told: Any) -> Any:
        if isinstance(told, list):
            return [*map(self._struck, told)]  # pyright: ignore[reportUnknownArgumentType]
        if not isinstance(told, dict):
            return told
        instead = {} if self.value is None else {self.field: msgspec.json.decode(self.value)}
        fields = cast("dict[str, Any]", told).items()
        kept = [instead if name == self.field else {name: self._struck(value)} for name, value in fields]
        return {name: value for each in kept for name, value in each.items()}


class OfOpening(Fault, frozen=True, kw_only=True):
    """What faults have that strike before a connection is open. They wait for no method."""


class RefuseConnection(OfOpening, frozen=True, kw_only=True):
    """Who connects is refused before there is a stream; over TCP, the stream ends at once."""


class SlowHandshake(OfOpening, frozen=True, kw_only=True):
    """A handshake is answered late.

    Attributes:
        seconds: how late.
    """

    seconds: Seconds


class HandshakeStatus(OfOpening, frozen=True, kw_only=True):
    """A handshake is answered with an HTTP status.

    Attributes:
        status: not 101.
        retry_after: seconds, for the header of that name; None leaves it out.
        body: of the answer; in a file, in base64.
    """

    status: int
    retry_after: int | None = None
    body: bytes = b""


OfRequest: TypeAlias = (
    Delay
    | LateReply
    | DropReply
    | DuplicateReply
    | EventsFirst
    | Reorder
    | NullIdReply
    | UnknownIdReply
    | WrongReply
    | Garbage
    | ErrorReply
    | ServerError
    | Timeout
    | Disconnect
    | CutReplyAt
    | Pings
    | Farewell
    | TooManyRequests
    | IpBan
    | HalfOpen
)
"""Every fault that strikes a request, alone or together with others."""


class Together(Fault, frozen=True, kw_only=True):
    """Several faults strike one request, in their order: each changes what it is about, and leaves the rest.

    Attributes:
        faults: what strikes; the request is the one that this fault waits for, so they have no method of their own.
    """

    faults: tuple[OfRequest, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        # They strike the request that this one waits for, so a method or number of their own would mean nothing.
        if any((fault.method, fault.times, fault.skip) != (None, 1, 0) for fault in self.faults):
            said = "faults must be several that have no method, times and skip of their own"
            raise InvalidRequest(said, field="faults")

    @property
    def strikes(self) -> int:
        """See `Fault`."""
        # A fault that gathers several requests, such as `Reorder`, makes all of them wait for as many.
        return max((fault.strikes for fault in self.faults), default=1)


AnyFault: TypeAlias = (
    OfRequest | Together | MutePings | LateEvents | OddEvents | RefuseConnection | SlowHandshake | HandshakeStatus
)
"""Every fault; its ``type`` is the name of its class."""
