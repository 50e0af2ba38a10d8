"""How long messages are under way that do not come within one read. Nearly all do, and cost no look at the clock."""

from __future__ import annotations

import trio


class Arrival:
    """The messages of one connection that take more than one read.

    Attributes:
        since: when the message began to come of which more is to come; None if there is none.
        seconds: for which there was such a message, in all, up to the latest bytes.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self.seconds = 0.0
        self._latest = 0.0  # when the latest bytes of such a message came

    def go_on(self, *, is_whole: bool, is_another: bool) -> None:
        """Bytes came of such a message.

        Args:
            is_whole: whether nothing more of it is to come.
            is_another: whether it has begun with these bytes, and the one before came to its end.
        """
        now = trio.current_time()
        # First, since it counts from the bytes before these.
        self.seconds = self.up_to_now
        self._latest = now
        if is_whole:
            self.since = None
        elif is_another or self.since is None:
            self.since = now

    @property
    def up_to_now(self) -> float:
        """The same as `seconds`, with the time since the latest bytes."""
        if self.since is None:
            return self.seconds
        return self.seconds + trio.current_time() - self._latest
