"""Whether a connection is alive: pongs that were written, and bytes of messages that are long under way (G4)."""

from __future__ import annotations

from typing import Final

import trio

from .._net.wire import Wire

LONGEST_ARRIVAL: Final = 600.0
"""Seconds within which a message must have come whole, and by which reads may wait longer for the sake of messages
that are under way. At the 17 MB of the longest answer, that is a link of 230 kbit/s."""


class Silent(Exception):
    """Nothing was heard of the exchange for the pong window."""


class Heart:
    """A deadline that moves each time a pong has been written, or bytes came of a message that is long under way.

    The exchange pings every 20 s, but no ping can come within a frame (RFC 6455, 5.4). If the deadline passes, the
    exchange went silent or our pongs do not leave, and the connection is dead either way.

    Args:
        window: seconds that it lasts.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._scope = trio.CancelScope()

    def beat(self) -> None:
        """A pong was written."""
        self._scope.deadline = trio.current_time() + self._window

    def arriving(self, since: float | None) -> None:
        """Bytes came of a message that took more than one read. It began then; None if it is whole."""
        # Never earlier than it was: a pong may have been written just before.
        alive_until = max(self._scope.deadline, trio.current_time() + self._window)
        self._scope.deadline = alive_until if since is None else min(alive_until, since + LONGEST_ARRIVAL)

    async def stop(self, wire: Wire) -> Silent:
        """Wait until the deadline has passed, and say why that is the end."""
        self.beat()
        with self._scope:
            await trio.sleep_forever()
        since = wire.arrival.since
        if since is not None and trio.current_time() >= since + LONGEST_ARRIVAL:
            return Silent(f"a message did not come whole within {LONGEST_ARRIVAL:g} s")
        return Silent(f"no ping was answered for {self._window:g} s, and no byte of a message came")
