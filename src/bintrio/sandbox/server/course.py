"""What becomes of one request: the usual, or what faults make of it.

A course is made for each request, altered by its faults one after the other (`alter`), and then followed by its
connection (`connection`). So faults go together (`faults.Together`): each changes what it is about and leaves the rest.
What one of them keeps from being executed is not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, singledispatch
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from bintrio._protocol.frames import Opcode, close_payload, encode_frame

from ..exchange import refusals
from ..exchange.exchange import Answer
from ..exchange.limits import Limits
from ..exchange.refusals import Refusal
from ..exchange.units import MILLISECOND, SECOND
from . import faults
from .faults import Fault

Refusing: TypeAlias = Callable[[int], Refusal]
"""Makes a refusal of the time in microseconds."""

_BANNED: Final = 418
_PING: Final = encode_frame(Opcode.PING, b"behind the answer")


class Course(msgspec.Struct, eq=False):
    """What becomes of one request.

    Attributes:
        limits: of the exchange.
        delay: seconds before anything is done.
        is_executed: whether the exchange does what was asked.
        refuse: makes what is said instead of the answer.
        ban: seconds for which the address is refused from then on.
        events_first: whether the events that it causes come before its answer.
        reply_delay: seconds from then to the answer.
        changes: what is done to the answer.
        instead: bytes that come instead of its frame.
        copies: how often it comes.
        kept_until: so many answers are kept back, and then leave in the opposite order.
        cut_at: so many bytes of it come before the connection is cut.
        pings: so many come behind it.
        last_words: frames that come then, the last of which closes the connection; None if it goes on.
        is_last: whether the connection is cut after it.
        is_half_open: whether nothing comes any more and nobody is told.
    """

    limits: Limits
    delay: float = 0.0
    is_executed: bool = True
    refuse: Refusing | None = None
    ban: float | None = None
    events_first: bool = False
    reply_delay: float = 0.0
    changes: list[Callable[[Answer], Answer]] = msgspec.field(default_factory=list)
    instead: bytes | None = None
    copies: int = 1
    kept_until: int = 0
    cut_at: int | None = None
    pings: int = 0
    last_words: bytes | None = None
    is_last: bool = False
    is_half_open: bool = False

    def frames(self, answer: Answer | None) -> list[bytes]:
        """What is sent. Without an answer, that is only what comes instead of one."""
        frame = self.instead
        if frame is None and answer is not None:
            for change in self.changes:
                answer = change(answer)
            frame = encode_frame(Opcode.TEXT, answer.as_bytes())
        # On a half-open connection nothing arrives any more.
        if frame is None or self.is_half_open:
            return []
        # Only the last copy is cut: what comes before it was sent whole. Without a copy nothing is.
        cut = [frame[: self.cut_at]] * min(self.copies, 1)
        # Into the middle of a frame no other can be written.
        behind = [_PING] * (self.pings if self.cut_at is None else 0)
        return [frame] * (self.copies - 1) + cut + behind

    def cuts_after(self, answer: Answer | None) -> bool:
        """Whether the connection is cut once that was sent."""
        # Who is banned loses the connection too, whether by a fault or by the limits.
        return self.is_last or self.cut_at is not None or (answer is not None and answer.status == _BANNED)


@singledispatch
def alter(_fault: Fault, _course: Course) -> None:
    """Let a fault change what becomes of a request; nothing, if it is none of a request."""


@alter.register
def _(fault: faults.Together, course: Course) -> None:
    for each in fault.faults:
        alter(each, course)


@alter.register
def _(fault: faults.Delay, course: Course) -> None:
    # Delays add up where several faults go together.
    course.delay += fault.seconds


@alter.register
def _(fault: faults.LateReply, course: Course) -> None:
    course.reply_delay += fault.seconds


@alter.register
def _(_fault: faults.DropReply, course: Course) -> None:
    course.copies = 0


@alter.register
def _(_fault: faults.DuplicateReply, course: Course) -> None:
    # A factor, so that a lost answer that is doubled stays lost, in whatever order the two faults come.
    course.copies *= 2


@alter.register
def _(_fault: faults.EventsFirst, course: Course) -> None:
    course.events_first = True


@alter.register
def _(fault: faults.Reorder, course: Course) -> None:
    course.kept_until = fault.count


@alter.register
def _(_fault: faults.NullIdReply, course: Course) -> None:
    course.changes.append(partial(replace, request_id=None))


@alter.register
def _(_fault: faults.UnknownIdReply, course: Course) -> None:
    course.changes.append(partial(replace, request_id="nobody-asked"))


@alter.register
def _(fault: faults.WrongReply, course: Course) -> None:
    course.changes.append(partial(_with_result, msgspec.json.decode(fault.result)))


def _with_result(result: Any, answer: Answer) -> Answer:
    # A refusal has no result that could be another.
    return answer if answer.error else replace(answer, result=result)


@alter.register
def _(fault: faults.Garbage, course: Course) -> None:
    course.is_executed &= fault.executed
    # Text, binary, or bytes that are no frame at all: each goes wrong at another place of a client.
    if isinstance(fault.data, str):
        course.instead = encode_frame(Opcode.TEXT, fault.data.encode())
    else:
        course.instead = fault.data if fault.is_raw else encode_frame(Opcode.BINARY, fault.data)


@alter.register
def _(fault: faults.ErrorReply, course: Course) -> None:
    course.is_executed = False
    course.refuse = partial(_refusal_of, fault)


@alter.register
def _(fault: faults.ServerError, course: Course) -> None:
    course.is_executed &= fault.executed
    course.refuse = partial(_refusal_of, fault)


def _refusal_of(fault: faults.ErrorReply | faults.ServerError, _now: int) -> Refusal:
    return Refusal(fault.code, fault.message, status=fault.status)


@alter.register
def _(fault: faults.Timeout, course: Course) -> None:
    course.is_executed &= fault.executed
    course.refuse = lambda _now: refusals.timed_out()


@alter.register
def _(fault: faults.Disconnect, course: Course) -> None:
    course.is_executed &= fault.executed
    course.copies = 0
    course.is_last = True


@alter.register
def _(fault: faults.CutReplyAt, course: Course) -> None:
    course.cut_at = fault.position


@alter.register
def _(fault: faults.Pings, course: Course) -> None:
    course.pings += fault.count


@alter.register
def _(fault: faults.Farewell, course: Course) -> None:
    course.last_words = _PING * fault.pings + encode_frame(Opcode.CLOSE, close_payload(fault.code, ""))


@alter.register
def _(fault: faults.TooManyRequests, course: Course) -> None:
    def refuse(now: int) -> Refusal:
        end = _end(now, fault.retry_after)
        return refusals.too_much_weight(course.limits.weight, "1 MINUTE", now=now // MILLISECOND, retry_after=end)

    course.is_executed, course.refuse = False, refuse


@alter.register
def _(fault: faults.IpBan, course: Course) -> None:
    def refuse(now: int) -> Refusal:
        return refusals.banned(now=now // MILLISECOND, retry_after=_end(now, fault.retry_after))

    course.is_executed, course.refuse = False, refuse
    # Without a time of its own it lasts as long as the answer says, which may lie in the past.
    course.ban = max(0.0, fault.retry_after or 0.0) if fault.lasts is None else fault.lasts


@alter.register
def _(fault: faults.HalfOpen, course: Course) -> None:
    course.is_executed &= fault.executed
    course.is_half_open = True


def _end(now: int, retry_after: float | None) -> int | None:
    """In milliseconds."""
    return None if retry_after is None else (now + int(retry_after * SECOND)) // MILLISECOND
