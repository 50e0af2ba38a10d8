"""What a recording says that the exchange does: which answer a call gets, and which events come, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

import msgspec


class Recorded(Protocol):
    """What is needed of a message: see `bintrio.recording.Message`."""

    @property
    def session(self) -> str:
        """The name of the session."""
        ...

    @property
    def connection(self) -> int:
        """The number of the connection."""
        ...

    @property
    def is_sent(self) -> bool:
        """Whether the session sent it; else it came."""
        ...

    @property
    def at(self) -> float:
        """When, in seconds."""
        ...

    @property
    def text(self) -> str:
        """The message."""
        ...


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a call was answered.

    Attributes:
        number: how many answers the connection had given before.
        delay: seconds between the call and its answer.
        reply: the answer, by its fields as they were sent.
    """

    number: int
    delay: float
    reply: dict[str, msgspec.Raw]

    def to(self, request_id: msgspec.Raw) -> str:
        """The answer to a call that goes by another id."""
        return msgspec.json.encode({**self.reply, "id": request_id}).decode()


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What came by itself.

    Attributes:
        after: the number of the latest answer that had come before it; None if none had.
        delay: seconds since then, or since the beginning of the connection.
        text: the message.
    """

    after: int | None
    delay: float
    text: str


_NULL: Final = msgspec.Raw(b"null")


class _Head(msgspec.Struct, frozen=True):
    id: msgspec.Raw = _NULL
    method: str = ""


class Script:
    """One recorded connection.

    Attributes:
        events: what came by itself, in order.
        answers: how many calls were answered.
    """

    def __init__(self, messages: Sequence[Recorded]) -> None:
        self.events: Final[list[Event]] = []
        self.answers = 0
        self._answers: defaultdict[str, list[Answer]] = defaultdict(list)
        self._given: defaultdict[str, int] = defaultdict(int)
        self._latest: tuple[int | None, float] = None, messages[0].at
        calls: dict[bytes, tuple[str, float]] = {}
        for message in messages:
            head = _head(message.text)
            # No JSON, or no object: it belongs to no call, so it came by itself.
            if head is None:
                self._add_event(message)
            elif message.is_sent:
                # By the bytes of the id: 1 and "1" are two ids.
                calls[bytes(head.id)] = head.method, message.at
            else:
                self._hear(message, calls.pop(bytes(head.id), None))

    def _hear(self, message: Recorded, call: tuple[str, float] | None) -> None:
        # An event, or the answer to a call that was sent before the recording began.
        if call is None:
            self._add_event(message)
            return
        method, at = call
        # Undecoded, so that every digit of the answer stays as it was sent.
        reply = msgspec.json.decode(message.text, type=dict[str, msgspec.Raw])
        self._answers[method].append(Answer(number=self.answers, delay=message.at - at, reply=reply))
        self._latest = self.answers, message.at
        self.answers += 1

    def _add_event(self, message: Recorded) -> None:
        # What was sent and is no call has no effect that could be told.
        if not message.is_sent:
            after, at = self._latest
            self.events.append(Event(after=after, delay=message.at - at, text=message.text))

    def answer(self, method: str) -> Answer | None:
        """The next answer to a method; the last one again once there are no others; None if there never was one."""
        answers = self._answers.get(method)
        if not answers:
            return None
        # A program that asks more often than the recorded one still gets an answer.
        number = min(self._given[method], len(answers) - 1)
        self._given[method] += 1
        return answers[number]


def scripts(messages: Iterable[Recorded], session: str | None) -> list[Script]:
    """A script for each connection of a session, in the order in which they began."""
    return [Script(found) for found in _by_connection(messages, session)]


def _by_connection(messages: Iterable[Recorded], session: str | None) -> Iterator[Sequence[Recorded]]:
    found: dict[int, list[Recorded]] = {}
    for message in messages:
        # Without a name it is the first session that the recording has.
        session = message.session if session is None else session
        if message.session == session:
            found.setdefault(message.connection, []).append(message)
    yield from found.values()


def request_of(text: str | bytes) -> tuple[msgspec.Raw, str]:
    """The id of a call, as it was sent, and its method; nothing of what is no call."""
    head = _head(text) or _Head()
    return head.id, head.method


def no_answer(request_id: msgspec.Raw, method: str) -> str:
    """What a call is answered of which the recording has no answer."""
    error = {"code": -1, "msg": f"the recording has no answer to {method}"}
    return msgspec.json.encode({"id": request_id, "status": 400, "error": error}).decode()


def _head(text: str | bytes) -> _Head | None:
    try:
        return msgspec.json.decode(text, type=_Head)
    except msgspec.DecodeError:
        return None
