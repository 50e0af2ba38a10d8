"""Where a session takes from what it leaves to chance: masks, client order ids, and how long it waits.

From the operating system; or from a seed, so that a run can be repeated byte for byte. A seed makes masks and client
order ids predictable, which have no place on a wire that others can reach: so a session that has one opens streams in
memory only (`_net.privacy`), and `open_session` has no argument for it. It is set for the sessions that begin within a
block, and each keeps what it began with.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import msgspec


class Chance(msgspec.Struct, frozen=True):
    """A source of chance.

    Attributes:
        fraction: gives a float from 0 up to 1.
        octets: gives so many bytes.
        is_predictable: whether they follow from a seed.
    """

    fraction: Callable[[], float]
    octets: Callable[[int], bytes]
    is_predictable: bool = False

    def client_order_id(self) -> str:
        """An id that no order has had: random, with nobody's prefix."""
        return self.octets(16).hex()


SYSTEM: Final = Chance(random.random, os.urandom)
"""The operating system's; for pauses, Python's."""

_in_use: Final[ContextVar[Chance]] = ContextVar("bintrio chance", default=SYSTEM)


def chance_in_use() -> Chance:
    """What a session that begins now takes."""
    return _in_use.get()


def seeded(seed: int | str) -> Chance:
    """A source that gives the same for the same seed, on every machine."""
    # By its text, which every Python makes the same of; -1 and 1 would be one seed.
    source = random.Random(str(seed))
    return Chance(source.random, source.randbytes, is_predictable=True)


@contextmanager
def using(chance: Chance) -> Generator[None]:
    """Let the sessions that begin in this block, by whatever task it starts, take their chance from here."""
    before = _in_use.set(chance)
    try:
        yield
    finally:
        _in_use.reset(before)
