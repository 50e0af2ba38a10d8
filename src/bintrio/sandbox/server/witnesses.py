"""Those who see every message that comes, and hear every event of an account, whatever goes wrong on connections."""

from __future__ import annotations

from collections.abc import Callable

from bintrio.endpoints import TimeUnit

from ..exchange.exchange import Exchange
from ..exchange.sessions import Session
from .calls import Call


class Witnesses:
    """The witnesses of an exchange.

    Args:
        exchange: whose they are.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._seeing: list[Callable[[Call], object]] = []
        self._hearing: dict[Session, tuple[int, Callable[[bytes, int], object]]] = {}

    def add(
        self, uid: int, unit: TimeUnit, now: int, see: Callable[[Call], object], hear: Callable[[bytes, int], object]
    ) -> None:
        """One more, who is told the events of one account, and when, as a client would be that is subscribed to it.

        Args:
            uid: of the account.
            unit: of the times in events.
            now: microseconds.
            see: is called with every message that comes.
            hear: is called with every event of the account, and the time in microseconds.
        """
        session = Session(connected_since=now, unit=unit)
        session.subscribe(uid, by_logon=False)
        self._exchange.sessions[session] = None
        self._hearing[session] = uid, hear
        self._seeing.append(see)

    def see(self, call: Call) -> None:
        """A message has come."""
        for see in self._seeing:
            see(call)

    def hear(self, session: Session, message: bytes, now: int) -> None:
        """There is an event for a session that may be a witness's."""
        uid, hear = self._hearing.get(session, (0, None))
        if hear is not None:
            hear(message, now)
            # The exchange may end all subscriptions to an account; those of witnesses go on.
            if uid not in session.followed:
                session.subscribe(uid, by_logon=False)
