"""What lies between a client and the sandbox: how fast and in which pieces bytes travel, and where they are lost.

A `Link` is given for all connections (``open_sandbox(link=...)``, `Sandbox.link`) or for one (`Sandbox.connect`). Its
two ways are independent. All times are trio's, so under a mock clock a slow link takes no time. What is left to chance
follows from the link's seed and the number of the connection.

`Passage` is one way of one connection. It is pure: it says which bytes arrive when, and the streams of `memory` wait.

**Order.** Nothing overtakes: who has a shorter latency arrives with what was sent before it.

**Loss.** There are no lost packets, since TCP would send them again. An outage that ends is a latency. One that does
not end is ``silent_at``: neither end is told, and what was sent stays unacknowledged, so it fills the buffer for ever.
No later change of the link ends it, for over TCP nothing arrives before what was sent earlier.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from random import Random
from typing import Annotated, Final

import msgspec

from ..exchange.arguments import NotNegative, Positive, Seconds, check_fields

MAX_UNREAD: Final = 2**18
"""Bytes that may wait for whoever does not read when more are written; ours."""

PACKET: Final = 1_460
"""Bytes that arrive together over a link with a bandwidth: those of a TCP segment on Ethernet."""

_SINGLE: Final = 0.5
"""The share of ragged reads that bring a single byte."""

Bandwidth = Annotated[float, msgspec.Meta(gt=0)]


class Way(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way of a link. Without arguments, all that is written arrives at once.

    Attributes:
        latency: seconds from one end to the other.
        jitter: at most so many seconds on top, at random (see `Link.seed`).
        bandwidth: bytes per second; None is without limit.
        segment: at most so many bytes come with each read; None is without limit.
        ragged: at most so many bytes come with each read, at random (see `Link.seed`); every other one brings a single
            byte. So whatever is read is divided anywhere, by fewer reads than with segments of one byte.
        buffer: bytes that may be under way or unread when more are written; then who writes waits.
        cut_at: the connection is reset, for both ends, once so many bytes have come this way.
        silent_at: so many bytes come this way, and no others ever; neither end is told.

    Raises:
        InvalidRequest: a value is not of its type, or out of range.
    """

    latency: Seconds = 0.0
    jitter: Seconds = 0.0
    bandwidth: Bandwidth | None = None
    segment: Positive | None = None
    ragged: Positive | None = None
    buffer: Positive = MAX_UNREAD
    cut_at: NotNegative | None = None
    silent_at: NotNegative | None = None

    def __post_init__(self) -> None:
        check_fields(self)


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lies between a client and the sandbox.

    Attributes:
        up: the way to the sandbox.
        down: the way to the client.
        seed: of the chance that there is in jitter and in ragged reads.

    Raises:
        InvalidRequest: a value is not of its type.
    """

    up: Way = Way()
    down: Way = Way()
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)


IDEAL: Final = Link()


class Passage:
    """One way of one connection: what is under way on it. Times are seconds of any one clock.

    Attributes:
        way: how what is sent travels.
        breaks_at: when both ends learn that the connection was reset; infinite as long as it is not to be.
        refused_at: when who writes learns that nobody reads any more.
        unread: bytes that were sent and not read yet.
    """

    def __init__(self, chance: Random, now: float) -> None:
        self.way = Way()
        self.breaks_at = math.inf
        self.refused_at = math.inf
        self.unread = 0
        self._chance = chance
        self._fell_silent = False
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._ends_at = math.inf
        self._sent = 0  # bytes since the way was changed
        self._free_at = now  # when what was sent before has left
        self._latest = now  # when what was sent before has arrived

    def change(self, way: Way, now: float) -> None:
        """Send what comes from now on another way; positions count from here. What is under way arrives as it would."""
        self._fell_silent = self.is_silent
        self.way = way
        self._sent = 0
        self._break_if_due(now)

    @property
    def is_full(self) -> bool:
        """Whether more may only be sent when something has been read."""
        return self.unread > self.way.buffer

    @property
    def is_silent(self) -> bool:
        """Whether nothing that is sent arrives any more."""
        return self._fell_silent or (self.way.silent_at is not None and self._sent >= self.way.silent_at)

    @property
    def refusal_at(self) -> float:
        """When nothing can be sent any more, as things stand."""
        return min(self.breaks_at, self.refused_at)

    @property
    def changes_at(self) -> float:
        """When the next bytes, the end or the reset come, unless something else is sent before; infinite if never."""
        arrival = self._under_way[0][0] if self._under_way else self._ends_at
        return min(arrival, self.breaks_at)

    def is_refused(self, now: float) -> bool:
        """Whether who writes knows that it leads nowhere."""
        return self.refusal_at <= now

    def send(self, data: bytes, now: float) -> None:
        """Bytes leave."""
        self.unread += len(data)
        # With a bandwidth, the first bytes of a long message come long before its last.
        for piece in _pieces(data, PACKET if self.way.bandwidth else len(data)):
            arriving = self._arriving(piece)
            self._sent += len(piece)
            self._latest = self._arrival(len(piece), now)
            # Beyond a cut, or a silence, nothing arrives.
            if arriving:
                self._under_way.append((self._latest, arriving))
        self._break_if_due(self._latest)

    def end(self, now: float) -> None:
        """Nothing more can be sent; the other end hears of it after all that is under way."""
        self.refused_at = now
        # On a way that fell silent the end is lost like everything else.
        if not self.is_silent and self._ends_at == math.inf:
            self._ends_at = self._latest = self._arrival(0, now)

    def take(self, now: float, most: int) -> bytes | None:
        """What has arrived, as far as one read gets it; empty at the end, None if nothing has come."""
        if not self._has_come(now):
            return b"" if self._has_ended(now) else None
        taken = bytearray()
        limit = self._limit(most)
        while self._has_come(now) and len(taken) < limit:
            arrival, piece = self._under_way.popleft()
            room = limit - len(taken)
            taken += piece[:room]
            if piece[room:]:
                # The rest waits for the next read, as in the buffer of a socket.
                self._under_way.appendleft((arrival, piece[room:]))
        self.unread -= len(taken)
        return bytes(taken)

    def _limit(self, most: int) -> int:
        """How many bytes the next read gets, if so many have come."""
        limit, ragged = min(most, self.way.segment or most), self.way.ragged
        if ragged is None:
            return limit
        # Many of them one: what is short, like the head of a frame, is to be divided as well.
        return 1 if self._chance.random() < _SINGLE else min(limit, self._chance.randint(1, ragged))

    def _has_come(self, now: float) -> bool:
        return bool(self._under_way) and self._under_way[0][0] <= now

    def _has_ended(self, now: float) -> bool:
        return not self._under_way and self._ends_at <= now

    def _arriving(self, piece: bytes) -> bytes:
        """What of a piece is not lost."""
        if self._fell_silent:
            return b""
        ends = [position for position in (self.way.cut_at, self.way.silent_at) if position is not None]
        return piece[: max(0, min(ends) - self._sent)] if ends else piece

    def _arrival(self, size: int, now: float) -> float:
        way = self.way
        # What was sent before has to leave first, or the bandwidth would count for each message by itself.
        self._free_at = max(now, self._free_at) + (size / way.bandwidth if way.bandwidth else 0.0)
        jitter = way.jitter * self._chance.random() if way.jitter else 0.0
        # Bytes of TCP come in order: a shorter latency overtakes nothing.
        return max(self._latest, self._free_at + way.latency + jitter)

    def _break_if_due(self, arrival: float) -> None:
        # Which end of a reset connection still reads what was under way is a matter of luck; here, both do.
        if self.way.cut_at is not None and self._sent >= self.way.cut_at:
            self.breaks_at = min(self.breaks_at, arrival)


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size or 1))
