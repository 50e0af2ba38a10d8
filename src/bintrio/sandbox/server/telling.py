"""Events that are told otherwise than they are: the same on each connection, whatever number it has the account by."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .script import Script


class Telling:
    """What is told at one time.

    Args:
        script: the faults that may strike it.
    """

    def __init__(self, script: Script) -> None:
        self._script: Final = script
        # By the event alone: each subscription brings it with a number of its own.
        self._told: dict[bytes, dict[str, Any]] = {}

    def shown(self, message: bytes) -> bytes:
        """A message with an event as it is told."""
        envelope = msgspec.json.decode(message, type=dict[str, msgspec.Raw])
        raw = bytes(envelope["event"])
        event = msgspec.json.decode(raw)
        # Once for each event, since a fault counts how often it strikes.
        told = self._told[raw] = self._told.get(raw) or self._script.tell_odd(event)
        # As it was written, unless it is another one now.
        return message if told == event else msgspec.json.encode({**envelope, "event": told})
