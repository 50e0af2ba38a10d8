"""What a sandbox saw, did and told, whole: for who judges what a client says of it (`Sandbox.witness`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .exchange.units import MILLISECOND
from .server.calls import Attempt, Call
from .server.faults import OF_CONNECTIONS
from .server.witnesses import Senses


class Told(msgspec.Struct, frozen=True):
    """An event of an account, as a subscription without any delay or fault would have brought it.

    Attributes:
        time: of the exchange, in milliseconds.
        event: by the names in the exchange's document.
        odd: what connections were told instead; None if they were told just that.
    """

    time: int
    event: Mapping[str, Any]
    odd: Mapping[str, Any] | None = None

    @property
    def shown(self) -> Mapping[str, Any]:
        """What connections were told."""
        return self.event if self.odd is None else self.odd


class Witness:
    """Sees everything that reaches the exchange and every event of one account, from the moment that it is made.

    Attributes:
        calls: every message that came, in order. What was answered is in them once it is known.
        attempts: everybody who asked to be connected, in order.
        events: every event of the account, in order.
    """

    def __init__(self) -> None:
        self.calls: Final[list[Call]] = []
        self.attempts: Final[list[Attempt]] = []
        self.events: Final[list[Told]] = []

    def hear(self, message: bytes, shown: bytes, now: int) -> None:
        """An event, as it is and as connections are told it, at a time in microseconds."""
        event = msgspec.json.decode(message)["event"]
        if event["e"] not in OF_CONNECTIONS:
            odd = None if shown == message else msgspec.json.decode(shown)["event"]
            self.events.append(Told(now // MILLISECOND, event, odd))


def senses_of(witness: Witness) -> Senses:
    """What a witness is told by."""
    return Senses(witness.calls.append, witness.attempts.append, witness.hear)
