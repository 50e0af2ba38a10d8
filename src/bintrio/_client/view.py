"""What users can see of a connection."""

from __future__ import annotations

from ..endpoints import Address
from .connection import Connection


class ConnectionView:
    """A connection of a session, to be looked at: `Session.connection`. It shows how things stand now."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __repr__(self) -> str:
        return repr(self._connection)

    @property
    def number(self) -> int:
        """How many connections the session had tried to open before, plus one."""
        return self._connection.number

    @property
    def address(self) -> Address:
        """Where it leads."""
        return self._connection.address

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return self._connection.age

    @property
    def is_logged_on(self) -> bool:
        """Whether calls need no signature of their own."""
        return self._connection.is_logged_on

    @property
    def is_private(self) -> bool:
        """Whether a key may travel over it."""
        return self._connection.is_private

    @property
    def is_due(self) -> bool:
        """Whether it is to be replaced: it ended, or was given notice, or its time is over."""
        return self._connection.is_due.is_set()

    @property
    def cause(self) -> Exception | None:
        """What ended it; None as long as it has not ended."""
        return self._connection.cause

    @property
    def in_flight(self) -> int:
        """How many calls wait for their answer."""
        return self._connection.in_flight

    @property
    def backlog(self) -> int:
        """How many bytes wait to be written."""
        return self._connection.backlog
