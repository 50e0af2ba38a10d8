"""Lists that only grow, but that forget their oldest items if they are bounded."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


class Journal(list[T]):
    """What was noted, oldest first.

    Attributes:
        forgotten: how many items came before those that are still there.
    """

    __slots__ = ("forgotten",)

    def __init__(self) -> None:
        super().__init__()
        self.forgotten = 0

    @property
    def length(self) -> int:
        """How many items there were so far."""
        return self.forgotten + len(self)

    def copy(self) -> Journal[T]:
        """One of its own with the same items."""
        twin = Journal[T]()
        twin += self
        twin.forgotten = self.forgotten
        return twin

    def between(self, first: int, end: int) -> list[T]:
        """The items from the one of that number on, up to the one before another; 0 was the first of all."""
        return self[max(0, first - self.forgotten) : max(0, end - self.forgotten)]

    def bound(self, keep: int | None) -> None:
        """Forget the oldest items once there are twice as many as are to be kept; None keeps all."""
        if keep is not None and len(self) >= 2 * keep:
            self.forgotten += len(self) - keep
            del self[:-keep]
