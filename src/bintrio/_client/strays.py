"""What comes in on a connection and reaches no call that waits: messages of no use, late answers, a refused handshake.

It is counted and told. A 429 or 418 in it holds back calls like any other (G8).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from .._protocol import facts
from .._protocol.envelope import Envelope, read_envelope
from .._protocol.frames import Message
from .._protocol.requests import RequestId
from ..errors import HandshakeRejected, ProtocolViolation
from .observation import Teller
from .shared import Shared
from .waiting import Waiting


class Strays:
    """Takes in what belongs to no call that waits on the connection of that number."""

    def __init__(self, number: int, shared: Shared, waiting: Waiting, teller: Teller) -> None:
        self._number: Final = number
        self._shared: Final = shared
        self._waiting: Final = waiting
        self._teller: Final = teller
        self._dropped = 0  # messages

    def drop(self, why: str) -> None:
        """Count a message that is of no use."""
        self._shared.counters.unreadable_messages += 1
        self._dropped += 1
        self._teller.tell(facts.MessageDropped, number=self._dropped, cause=why)

    def take_reply(self, request_id: RequestId, envelope: Envelope, heard: int) -> None:
        """Count an answer that nobody waits for, which came at that local time in milliseconds."""
        self._shared.counters.dropped_replies += 1
        number = self._shared.counters.dropped_replies
        account, cause = self._waiting.settle_late(request_id, envelope, heard)
        self._teller.tell(facts.AnswerDropped, number=number, id=request_id, status=envelope.status, cause=cause)
        # It may be a refusal that holds back all calls, whoever it was for.
        if envelope.status != 200:
            self._shared.throttle.take_answer(self._number, envelope, account)

    def take_rejection(self, rejection: HandshakeRejected) -> None:
        """A 429 counts once its head is there, not when its body is (G8)."""
        self._shared.throttle.take_rejection(self._number, rejection)

    def take_late(self, messages: list[Message]) -> None:
        """What comes while the connection is closing reaches no call that waits, but a 429 counts all the same (G8)."""
        for message in messages:
            self._teller.heard(message)
            # What cannot be read is no 429, and nobody is left who would be told of it.
            with suppress(ProtocolViolation):
                self._waiting.take_while_closing(self._number, read_envelope(message.payload))
