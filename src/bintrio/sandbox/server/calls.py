"""What came to a sandbox, a message or somebody who asks to be connected, and what became of it."""

from __future__ import annotations

from typing import Final

import msgspec

from ..exchange.exchange import Answer
from ..exchange.messages import Incoming
from .faults import Fault, HandshakeStatus

_UNREADABLE: Final = Incoming(None, "", {})


class Call(msgspec.Struct, eq=False):
    """A message that came, and what the exchange said to it.

    Attributes:
        number: of the message, from 1 on.
        connection: its number, from 1 on.
        time: when it came, in microseconds.
        incoming: the request in it; without a method if it could not be read.
        answer: None as long as there is none. A fault may keep it from the client.
        fault: what struck it; None if nothing did.
        outcome: what the exchange did: the answer that it would have given. None as long as it was not executed.
    """

    number: int
    connection: int
    time: int
    incoming: Incoming = _UNREADABLE
    answer: Answer | None = None
    fault: Fault | None = None
    outcome: Answer | None = None


class Attempt(msgspec.Struct, eq=False):
    """Somebody asked to be connected.

    Attributes:
        time: when the whole handshake had come, in microseconds.
        status: of the answer, 101 for a welcome; None as long as there is none.
        fault: what turned it away; None if nothing did, or a limit.
    """

    time: int
    status: int | None = None
    fault: HandshakeStatus | None = None
