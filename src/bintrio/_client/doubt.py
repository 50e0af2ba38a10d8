"""Whether a connection that answers pings answers calls as well."""

from __future__ import annotations

import math
from typing import Final

import trio

DOUBTFUL: Final = 3
"""How many calls in a row without an answer make a connection due."""

DOUBTFUL_SILENCE: Final = 1.0
"""Seconds for which there must have been no answer besides: callers in a hurry cast no doubt on a short pause."""


class Doubt:
    """Counts calls in a row that were not answered within their time, while no later call was answered either.

    Attributes:
        answered_at: local time in milliseconds of the latest answer.
        unanswered: calls in a row that were sent since then.
    """

    def __init__(self) -> None:
        self.answered_at = 0
        self.unanswered = 0
        self._since = -math.inf  # when the first of them was sent

    def grows(self, sent_at: float) -> bool:
        """A call that left then was not answered within its time. Whether that is one too many."""
        # A call that left later was answered, so the connection answers calls.
        if sent_at * 1000 < self.answered_at:
            return False
        # There was an answer since the count began: this is the first call of a new row.
        if self._since * 1000 < self.answered_at:
            self.unanswered, self._since = 0, sent_at
        self.unanswered += 1
        return self.unanswered >= DOUBTFUL and trio.current_time() - self._since >= DOUBTFUL_SILENCE
