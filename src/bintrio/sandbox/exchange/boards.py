"""What market data queries see of a symbol: its book, its tape and its reference price, now or a moment ago.

A `BoardReplica` is fed with what each change left behind: the levels, whole, and what the tape has noted. Times are
microseconds.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from .book import Book
from .listing import Listing
from .reference import ReferencePrices, Source
from .tape import Noted, Tape

Levels: TypeAlias = list[tuple[Decimal, Decimal]]
"""Price and visible quantity of each, the best first."""


class Board(NamedTuple):
    """The market of a symbol.

    Attributes:
        reference: where its reference price comes from; None if it never had one.
    """

    book: Book | SeenBook
    tape: Tape
    reference: Source | None


def board_of(listing: Listing, references: ReferencePrices) -> Board:
    """As it is."""
    return Board(listing.book, listing.tape, references.sources.get(listing.symbol.name))


class SeenBook(NamedTuple):
    """The levels of a book as they were.

    Attributes:
        update_id: see `Book`.
        last_price: see `Book`.
    """

    update_id: int
    last_price: Decimal | None
    buyers: Levels
    sellers: Levels

    def bids(self, limit: int) -> Levels:
        """Price and visible quantity of each level of the buyers, best first."""
        return self.buyers[:limit]

    def asks(self, limit: int) -> Levels:
        """Price and visible quantity of each level of the sellers, best first."""
        return self.sellers[:limit]


def _copy(book: Book) -> SeenBook:
    return SeenBook(book.update_id, book.last_price, book.bids(), book.asks())


class _Change(NamedTuple):
    """What a change left behind."""

    time: int
    book: SeenBook
    noted: Noted
    reference: Source | None


class BoardReplica:
    """The market of a symbol, a moment ago."""

    def __init__(self, listing: Listing, references: ReferencePrices) -> None:
        self._listing, self._references = listing, references
        # What is shown, and the state of the latest note.
        self._shown = Board(_copy(listing.book), listing.tape.copy(), references.sources.get(listing.symbol.name))
        self._latest, self._lengths = self._shown, listing.tape.lengths
        self._waiting: deque[_Change] = deque()

    def note(self, now: int) -> None:
        """Take note of what has changed by now, if anything has."""
        book, tape, reference = board_of(self._listing, self._references)
        known = self._latest
        if (known.book.update_id, known.reference, self._lengths) == (book.update_id, reference, tape.lengths):
            return
        copied = _copy(self._listing.book)
        self._waiting.append(_Change(now, copied, tape.since(self._lengths), reference))
        self._latest, self._lengths = Board(copied, tape, reference), tape.lengths

    def at(self, time: int) -> Board:
        """As it was."""
        # Only forward: what was shown once stays shown.
        while self._waiting and self._waiting[0].time <= time:
            change = self._waiting.popleft()
            self._shown.tape.follow(change.noted)
            self._shown = Board(change.book, self._shown.tape, change.reference)
        return self._shown
