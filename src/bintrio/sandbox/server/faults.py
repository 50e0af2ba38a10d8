"""Scripted faults, as values: what goes wrong, for which request, how often.

``sandbox.inject(DropReply("order.place"))`` loses the answer to the next order. A fault waits until its request comes:
``method`` None means any; ``skip`` lets so many pass first; ``times`` is how many are hit, None for all. Faults are
looked up in the order in which they were injected, and a request is hit by the first that fits.

`MutePings`, and `HalfOpen` without a method, strike a whole connection: every one that is open when they are injected;
if none is open, the next to open. `HandshakeStatus` strikes the next handshake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec.structs import replace

from bintrio.sandbox.exchange.arguments import NotNegative, Positive, Seconds, check_fields, checked

if TYPE_CHECKING:
    Payload: TypeAlias = str | bytes
else:
    Payload = Any  # msgspec reads no union of the two; `Garbage` looks at it by itself


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


class NullIdReply(Fault, frozen=True, kw_only=True):
    """The answer comes with ``id: null``."""


class UnknownIdReply(Fault, frozen=True, kw_only=True):
    """The answer comes with an id that nobody asked under."""


class Garbage(Fault, frozen=True, kw_only=True):
    """Something else comes instead of the answer.

    Attributes:
        data: str for a text frame, bytes for a binary frame, or with ``is_raw`` for the bare connection.
        is_raw: whether to send the bytes as they are, without a frame around them.
    """

    data: Payload
    is_raw: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        checked("data", self.data, str | bytes)


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


class TooManyRequests(Fault, frozen=True, kw_only=True):
    """429, not executed.

    Attributes:
        retry_after: seconds from now.
    """

    retry_after: float = 10.0


class IpBan(Fault, frozen=True, kw_only=True):
    """418, not executed; the connection is cut, and no other is let in before the time is over.

    Attributes:
        retry_after: seconds from now.
    """

    retry_after: float = 120.0


class HalfOpen(Fault, frozen=True, kw_only=True):
    """The connection is neither read nor written any more, and stays open."""


class MutePings(Fault, frozen=True, kw_only=True):
    """No more pings are sent on the connection; all else works."""


class HandshakeStatus(Fault, frozen=True, kw_only=True):
    """A handshake is answered with an HTTP status.

    Attributes:
        status: not 101.
        retry_after: seconds, for the header of that name; None leaves it out.
        body: of the answer; in a file, in base64.
    """

    status: int
    retry_after: int | None = None
    body: bytes = b""


class Script:
    """The faults that are still to strike."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._waiting: list[_Waiting] = []
        for fault in faults:
            self.add(fault)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """Those that are still to strike, each with the times that are left of it."""
        return tuple(replace(each.fault, times=each.times, skip=each.skip) for each in self._waiting)

    def add(self, fault: Fault) -> None:
        """Let a fault wait behind the others."""
        times = fault.count if isinstance(fault, Reorder) and fault.times == 1 else fault.times
        self._waiting.append(_Waiting(fault=fault, times=times, skip=fault.skip))

    def clear(self) -> None:
        """Forget those that have not struck."""
        self._waiting.clear()

    def for_request(self, method: str) -> Fault | None:
        """The fault that strikes a request, if any does."""
        return self._take(
            lambda fault: (
                not isinstance(fault, HandshakeStatus)
                and not is_of_connection(fault)
                and fault.method in {None, method}
            )
        )

    def for_handshake(self) -> HandshakeStatus | None:
        """The fault that strikes a handshake, if any does."""
        fault = self._take(lambda fault: isinstance(fault, HandshakeStatus))
        return fault if isinstance(fault, HandshakeStatus) else None

    def for_connection(self) -> Fault | None:
        """The fault that strikes a connection as it opens, if any does."""
        return self._take(is_of_connection)

    def _take(self, fits: Callable[[Fault], bool]) -> Fault | None:
        for waiting in self._waiting:
            if fits(waiting.fault) and waiting.is_due():
                if waiting.times == 0:
                    self._waiting.remove(waiting)
                return waiting.fault
        return None


def is_of_connection(fault: Fault) -> bool:
    """Whether a fault strikes a connection as a whole, not a request."""
    return isinstance(fault, MutePings) or (isinstance(fault, HalfOpen) and fault.method is None)


class _Waiting(msgspec.Struct, eq=False):
    fault: Fault
    times: int | None
    skip: int

    def is_due(self) -> bool:
        """Whether it strikes this time; counts the time."""
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True
