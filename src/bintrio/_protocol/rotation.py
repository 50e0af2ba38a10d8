"""When to replace a connection, and how long to wait before opening another: decisions, no waiting.

Chance is an argument, a float from 0 up to 1, so that each decision can be tested and each test repeated.
"""

from __future__ import annotations

from typing import Final

FIRST_BACKOFF: Final = 0.25
"""Seconds, at most, before the first retry: most losses are a single dropped connection, and the next one holds."""

LONGEST_BACKOFF: Final = 30.0
"""Seconds, at most, between retries. Twenty attempts in five minutes leave nearly all of the 300 that the exchange
allows an address ("CONNECTIONS" in exchangeInfo), and an outage's end is noticed within half a minute."""

EARLIEST: Final = 0.85
LATEST: Final = 0.95
"""Parts of its lifetime after which a connection is replaced. Of 24 hours, the last 72 minutes stay free: time to retry
through an outage of the exchange, while the old connection still works. The 144 minutes before them are for chance:
connections that were opened together are not replaced together."""


def backoff(attempt: int, chance: float) -> float:
    """Seconds to wait before opening a connection again.

    The longest wait doubles with each attempt. Chance decides over its upper half: with less spread, clients that lost
    their connections together would come back together; with all of it, some would hammer at an exchange that is down.

    Args:
        attempt: how many attempts have failed since a connection last held, less one: 0 before the first retry.
        chance: 0 up to 1.
    """
    # The exponent is capped since 2.0 ** 1024 is an OverflowError.
    longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempt, 32))
    return longest * (1 + chance) / 2


def rotation_delay(lifetime: float, chance: float) -> float:
    """Seconds after its opening at which a connection is due to be replaced.

    Args:
        lifetime: seconds after which the exchange ends it; infinity if it never does.
        chance: 0 up to 1.
    """
    return lifetime * (EARLIEST + (LATEST - EARLIEST) * chance)
