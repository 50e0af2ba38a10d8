"""What went over the wire, kept as JSON lines, and read again into typed responses and events.

    with recording.to_file("day.jsonl") as recorder:
        async with bintrio.open_session(bintrio.TESTNET, key=key, observer=recorder) as session:
            ...

    for message in recording.read("day.jsonl"):
        print(message.at, message.connection, message.decode())

A line has the session, the connection, the time and the message as it was, with keys and signatures made unreadable.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

import msgspec

from ._protocol.events import decode_event
from ._protocol.ids import remember
from ._protocol.requests import RequestId
from ._protocol.results import Response, decode_response
from ._text import shown
from .api.events import UserEvent
from .errors import InvalidRequest, ProtocolViolation
from .observing import Fact, MessageReceived, MessageSent

__all__ = ["Message", "Recorder", "Sent", "read", "to_file"]

# How many calls are remembered for their answers while a recording is read.
_MOST: Final = 100_000

_UNKNOWN: Final = "unknown"

# What msgspec says of such JSON: it has no class of its own for that.
_ENDS_TOO_SOON: Final = "Input data was truncated"

logger: Final = logging.getLogger("bintrio")

_encode: Final = msgspec.json.Encoder().encode


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it was sent.

    Attributes:
        id: its id.
        method: the exchange's name of the method.
        params: its parameters by their wire names; what is secret among them is ``…``.
    """

    id: RequestId
    method: str
    params: dict[str, Any] = {}


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message.

    Attributes:
        session: the name of the session.
        connection: the number of the connection.
        address: where that leads, as ``host:port``.
        is_sent: whether the session sent it; else it came.
        at: local time when it was written or read, as `trio.current_time` has it: for durations.
        time: the time by this machine's clock, in seconds since 1970.
        text: the message, without what is secret.
        method: the exchange's name of the method that it calls or answers; None for what is no call, and no answer to
            one that was recorded.
    """

    session: str
    connection: int
    address: str
    is_sent: bool
    at: float
    time: float
    text: str
    method: str | None = None

    def decode(self) -> Sent | Response | UserEvent:
        """The call, the response or the event that it is. A result of an unknown method is plain JSON.

        Raises:
            ProtocolViolation: it is none of these.
        """
        if self.is_sent:
            return _sent(self.text)
        try:
            return decode_event(self.text)
        except ProtocolViolation:
            # Whatever is no event is an answer, or nothing.
            return decode_response(self.method or _UNKNOWN, self.text)


Keep: TypeAlias = Callable[[Message], object]


class Recorder:
    """An observer that keeps every message: ``open_session(..., observer=Recorder(keep))``.

    Args:
        keep: called with each message as it is written or read. It must not block: see `bintrio.observing`.

    Attributes:
        fact_kinds: what it is to be told.
    """

    fact_kinds: Final[Set[type[Fact]]] = frozenset({MessageSent, MessageReceived})

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._methods = _Methods()

    def __call__(self, fact: Fact) -> None:
        """Keep a message."""
        if isinstance(fact, MessageSent | MessageReceived):
            message = Message(
                session=fact.session,
                connection=fact.connection,
                address=fact.address,
                is_sent=isinstance(fact, MessageSent),
                at=fact.at,
                time=time.time(),
                text=fact.text,
            )
            self._keep(self._methods.named(message))


@contextmanager
def to_file(path: str | os.PathLike[str]) -> Generator[Recorder]:
    """Record to a file, a line for each message; what is there already stays. It is written as the system likes, and
    whole when the context is left: a program that is killed may leave the last messages out, and half a line.

    Raises:
        OSError: the file cannot be written.
    """
    is_cut = _is_cut(path)
    with open(path, "ab") as file:
        # Else the first message would be of one line with half of another.
        if is_cut:
            file.write(b"\n")
        yield Recorder(lambda message: file.write(_line(message)))


def _is_cut(path: str | os.PathLike[str]) -> bool:
    """Whether a file ends within a line."""
    # A pipe or a terminal has no end that could be looked at.
    if not os.path.isfile(path) or os.path.getsize(path) == 0:
        return False
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def read(source: str | os.PathLike[str] | Iterable[str | bytes]) -> Iterator[Message]:
    """The messages of a recording, in their order.

    A line that ends too soon, since the program that wrote it was killed, is passed over, with a warning in the log.

    Args:
        source: the path of a file, or lines.

    Raises:
        InvalidRequest: a line is none of a recording; its number is in the message.
        OSError: the file cannot be read.
    """
    # What is opened here is closed here; a file of the caller's is the caller's to close.
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            yield from _read(file)
    else:
        yield from _read(source)


def _read(lines: Iterable[str | bytes]) -> Iterator[Message]:
    methods = _Methods()
    for number, line in enumerate(lines, 1):
        stripped = line.strip()  # half a line may end within a text, which must have no line break
        message = _message(stripped, number) if stripped else None
        if message is not None:
            yield methods.named(message)


class _Methods:
    """Which method an answer is to."""

    def __init__(self) -> None:
        self._called: dict[tuple[str, int, RequestId], str] = {}

    def named(self, message: Message) -> Message:
        """The message, with its method if that can be told."""
        found = _head(message.text)
        # An event, or no JSON.
        if found is None or found.id is None:
            return message
        call = message.session, message.connection, found.id
        if message.is_sent and found.method is not None:
            # An answer has an id and no method, so the call is remembered for it.
            remember(self._called, call, found.method, _MOST)
        return msgspec.structs.replace(message, method=self._called.get(call))


class _Head(msgspec.Struct, frozen=True):
    id: RequestId | None = None
    method: str | None = None


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line: the message stands in it as it is, if it is JSON, so that other tools can look into it."""

    time: float
    at: float
    session: str
    connection: int
    address: str
    direction: str
    message: msgspec.Raw


def _head(text: str) -> _Head | None:
    try:
        return msgspec.json.decode(text, type=_Head)
    except msgspec.DecodeError:
        return None


def _sent(text: str) -> Sent:
    try:
        return msgspec.json.decode(text, type=Sent)
    except msgspec.DecodeError as error:
        raise ProtocolViolation(f"the message is no call: {error}", raw=text.encode()) from None


def _line(message: Message) -> bytes:
    data = _encode(message.text)  # of what is no JSON, as a string; so a string is written as one within another
    if not message.text.lstrip().startswith('"'):
        with suppress(msgspec.DecodeError):
            # On one line, whatever the sender's layout was: a line is a message.
            data = msgspec.json.format(message.text.encode(), indent=-1)
    line = _Line(
        time=message.time,
        at=message.at,
        session=message.session,
        connection=message.connection,
        address=message.address,
        direction="out" if message.is_sent else "in",
        message=msgspec.Raw(data),
    )
    return _encode(line) + b"\n"


def _message(line: str | bytes, number: int) -> Message | None:
    try:
        found = msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError as error:
        # Its program was killed as it wrote; all that it had written before is what one wants to read then.
        if str(error) == _ENDS_TOO_SOON:
            logger.warning("line %d of a recording ends too soon, and is passed over", number, extra={"line": number})
            return None
        raise InvalidRequest(f"line {number} is none of a recording, {error}: {shown(line)}", field="source") from None
    text = bytes(found.message).decode()
    return Message(
        session=found.session,
        connection=found.connection,
        address=found.address,
        is_sent=found.direction == "out",
        at=found.at,
        time=found.time,
        # As it was written: what was no JSON stands there as a string.
        text=msgspec.json.decode(text, type=str) if text.startswith('"') else text,
    )
