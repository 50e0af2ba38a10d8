"""The ids that calls go by: the session's own, and those that its user chose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import itertools

    from .requests import RequestId

K = TypeVar("K")
V = TypeVar("V")

FIRST_ID: Final = 2**32
"""Ids from here on are the session's own, as far as it has counted; those below are left to its user."""

CHOSEN_IDS: Final = 10_000
"""How many ids that its user chose a connection remembers, the latest ones."""


class Ids:
    """The ids of the calls on one connection. None is used twice.

    Else the answer to one call, if it comes late or is repeated, would pass for the answer to another (G2).

    Args:
        count: gives the session's own ids, to all its connections.
    """

    def __init__(self, count: itertools.count[int]) -> None:
        self._count = count
        self._chosen: dict[RequestId, None] = {}  # the latest that its user chose

    def own(self) -> int:
        """A fresh id of the session's own."""
        number = next(self._count)
        while number in self._chosen:  # ids that its user chose may lie among our own
            number = next(self._count)
        return number

    def unused(self, chosen: RequestId) -> RequestId:
        """An id that its user chose; or one of our own, if the exchange may still answer to an earlier call with it."""
        return self.own() if self.was_used(chosen) else chosen

    def was_used(self, request_id: RequestId) -> bool:
        """Whether a call went out under an id, as far as that is known."""
        return request_id in self._chosen or self._is_own(request_id)

    def _is_own(self, request_id: RequestId) -> bool:
        # The count goes on by one, so that the number that was looked at is given to no call.
        return isinstance(request_id, int) and FIRST_ID <= request_id < next(self._count)

    def note(self, chosen: RequestId) -> None:
        """A call went out under an id that its user chose."""
        remember(self._chosen, chosen, None, CHOSEN_IDS)

    def give_back(self, chosen: RequestId) -> None:
        """The call under an id that its user chose never left."""
        # No answer to it can come, so the next call may have it.
        self._chosen.pop(chosen, None)


def remember(latest: dict[K, V], key: K, value: V, most: int) -> None:
    """Add to what is remembered, as the latest; the oldest of too many is forgotten."""
    # A dict would leave it where it was, and no other need go for it.
    latest.pop(key, None)
    if len(latest) >= most:
        # A dict keeps the order in which keys came.
        del latest[next(iter(latest))]
    latest[key] = value
