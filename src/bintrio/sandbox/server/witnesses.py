"""Those who see everything that comes, and hear every event of an account, whatever goes wrong on connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bintrio.endpoints import TimeUnit

from ..exchange.exchange import Exchange
from ..exchange.sessions import Session
from .calls import Attempt, Call


class Senses(NamedTuple):
    """What a witness is told by.

    Attributes:
        see: is called with every message that comes.
        meet: is called with everybody who asks to be connected.
        hear: is called with every event of the account, as it is and as connections are told it, and the time in
            microseconds.
    """

    see: Callable[[Call], object]
    meet: Callable[[Attempt], object]
    hear: Callable[[bytes, bytes, int], object]


class Witnesses:
    """The witnesses of an exchange.

    Args:
        exchange: whose they are.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._witnesses: list[Senses] = []
        self._hearing: dict[Session, tuple[int, Senses]] = {}

    def add(self, uid: int, unit: TimeUnit, now: int, witness: Senses) -> None:
        """One more, who is told the events of one account, and when, as a client would be that is subscribed to it.

        Args:
            uid: of the account.
            unit: of the times in events.
            now: microseconds.
            witness: what it is told by.
        """
        session = Session(connected_since=now, unit=unit)
        session.subscribe(uid, by_logon=False)
        self._exchange.sessions[session] = None
        self._hearing[session] = uid, witness
        self._witnesses.append(witness)

    def see(self, call: Call) -> None:
        """A message has come."""
        for witness in self._witnesses:
            witness.see(call)

    def meet(self, attempt: Attempt) -> None:
        """Somebody has asked to be connected."""
        for witness in self._witnesses:
            witness.meet(attempt)

    def hear(self, session: Session, message: bytes, shown: bytes, now: int) -> None:
        """There is an event for a session that may be a witness's, which connections are told as shown."""
        uid, witness = self._hearing.get(session, (0, None))
        if witness is not None:
            witness.hear(message, shown, now)
            # The exchange may end all subscriptions to an account; those of witnesses go on.
            if uid not in session.followed:
                session.subscribe(uid, by_logon=False)
