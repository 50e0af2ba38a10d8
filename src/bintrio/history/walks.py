"""The way through a history, page by page: what to ask next, and what of an answer is new.

A walk is a generator. It yields an `Ask`, and is sent the rows of the answer; and it yields what it has `Found`. It
knows no session and no clock, so whoever drives it may wait, repeat a question, or stop.

**By opening.** Klines are asked for from a time on; the next page begins after the opening of the last one.

**By id.** Trades have ascending ids, and are asked for from an id on; the next page begins after the last one. An empty
page ends it, and not a short one: a server may give fewer rows than it is asked for.

**By time, then by id.** Trades of the account can be asked for in a span of time of at most 24 hours. So days are asked
for until there is a trade, and from there on ids, which takes fewer calls. The oldest trade is asked for first, so that
no days are asked for in which there was nothing.

**By spans.** Orders are asked for by the time of their last update, which is no order of their ids. A page that is
full may be cut, at whatever end, so its span is halved, and both halves are asked for. What is still open may come
again in a later span, since it was updated meanwhile; it is found once. An account reads the orders that changed during
a loss in the same way.

Source: "Market data requests" and "Account requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from ..api._base import Request
from ..api.market import Kline
from ..errors import ProtocolViolation

Row = TypeVar("Row")

_TIMES: Final = ("start_time", "end_time")

DAY: Final = 86_400_000
"""Milliseconds that a span of orders or of the account's trades may have."""


class Ask(NamedTuple):
    """What to ask next."""

    request: Request[Any]


class Found(msgspec.Struct, Generic[Row], frozen=True):
    """Rows that are new, in order; perhaps none.

    Attributes:
        rows: of one page.
        reached: the time up to which everything has been found.
    """

    rows: Sequence[Row]
    reached: int


Walk: TypeAlias = Generator[Ask | Found[Row], Sequence[Row], None]


def go_on(walk: Walk[Row], rows: Sequence[Row] | None) -> Ask | Found[Row] | None:
    """The next step of a walk, given the rows of an answer if it has asked; None at its end."""
    try:
        return next(walk) if rows is None else walk.send(rows)
    except StopIteration:
        return None


class Span(NamedTuple):
    """A span of time, both its ends included."""

    first: int
    last: int

    def parts(self, longest: int) -> Iterator[Span]:
        """Spans one after the other that make it up, none longer than that."""
        for first in range(self.first, self.last + 1, longest):
            # Both ends are included, so the next part begins one after the end of this.
            yield Span(first, min(first + longest - 1, self.last))

    def part(self, reached: int) -> float:
        """How much of it that is, from 0 to 1."""
        return (reached - self.first + 1) / (self.last - self.first + 1)

    def halves(self) -> tuple[Span, Span]:
        """Two spans that make it up; it must have more than one moment."""
        middle = (self.first + self.last) // 2
        return Span(self.first, middle), Span(middle + 1, self.last)


class Source(msgspec.Struct, Generic[Row], frozen=True, kw_only=True):
    """Where rows come from, and what tells them apart.

    Attributes:
        request: asks for them; its times, id and limit are replaced.
        page_size: rows that are asked for at once.
        time_of: a row's time, by which the exchange finds it.
        id_of: a row's id.
        id_name: the parameter that says from which id on; empty if they have no ids.
        least_id: the lowest id that a row can have.
        made_at: when a row was made, if a row tells: its time is never before that.
        is_open: whether a row may yet change, and so come again.
    """

    request: Request[Any]
    page_size: int
    time_of: Callable[[Row], int]
    id_of: Callable[[Row], int]
    id_name: str = ""
    least_id: int = 0
    made_at: Callable[[Row], int] | None = None
    is_open: Callable[[Row], bool] = lambda _row: False

    def in_span(self, span: Span) -> Ask:
        """Ask for what is in a span of time."""
        return self._ask(start_time=span.first, end_time=span.last, limit=self.page_size)

    def from_id(self, first: int, limit: int | None = None) -> Ask:
        """Ask for what has that id or a higher one."""
        return self._ask(**{self.id_name: first}, limit=self.page_size if limit is None else limit)

    def from_time(self, first: int) -> Ask:
        """Ask for the first row from a time on."""
        return self._ask(start_time=first, limit=1)

    def _ask(self, **where: Any) -> Ask:
        # Given times are those of the whole history, and not of this page.
        given = {name: value for name, value in msgspec.structs.asdict(self.request).items() if name not in _TIMES}
        return Ask(type(self.request)(**{**given, **where}))


def by_opening(source: Source[Kline], span: Span, _day: int) -> Walk[Kline]:
    """Candles that open in a span."""
    first, closing = span.first, span.first - 1
    while closing < span.last:
        rows = yield source.in_span(Span(first, span.last))
        # Whatever a server gives, no candle is found twice.
        new = [row for row in rows if row.open_time >= first]
        # The last candle was there already: no more open in the span.
        if not new:
            return
        first, closing = new[-1].open_time + 1, new[-1].close_time
        yield Found(new, min(closing, span.last))


def by_id(source: Source[Row], first: int, last_time: int | None) -> Walk[Row]:
    """Rows from an id on, up to a time if one is given."""
    while True:
        rows = yield source.from_id(first)
        new = [row for row in rows if source.id_of(row) >= first and _is_in_time(source, row, last_time)]
        if not new:
            return
        yield Found(new, source.time_of(new[-1]))
        if len(new) < len(rows):  # the rest is later than it was asked for
            return
        first = source.id_of(new[-1]) + 1


def _is_in_time(source: Source[Row], row: Row, last_time: int | None) -> bool:
    return last_time is None or source.time_of(row) <= last_time


def by_first_id(source: Source[Row], span: Span, _day: int) -> Walk[Row]:
    """Rows of a span that are found by their ids, and only the first one by its time."""
    rows = yield source.from_time(span.first)
    if rows:
        yield from by_id(source, source.id_of(rows[0]), span.last)


def by_time_then_id(source: Source[Row], span: Span, day: int) -> Walk[Row]:
    """Rows of a span, whose ids and times are in the same order."""
    for part in (yield from _since_oldest(source, span)).parts(day):
        rows = yield source.in_span(part)
        # A day without a row is found too: it moves the progress on.
        yield Found(rows, source.time_of(rows[-1]) if rows else part.last)
        if rows:
            # From here on ids lead through, so the days that are left need no question each.
            yield from by_id(source, source.id_of(rows[-1]) + 1, span.last)
            return


def by_spans(source: Source[Row], span: Span, day: int) -> Walk[Row]:
    """Rows whose time changes as long as they are open, in the order of that time."""
    open_ids = set[int]()
    for part in (yield from _since_oldest(source, span)).parts(day):
        yield from _whole(source, part, open_ids)


def _since_oldest(source: Source[Row], span: Span) -> Generator[Ask | Found[Row], Sequence[Row], Span]:
    """As much of a span as may have rows."""
    # Nothing tells when the first one was made, so the whole span is walked.
    if source.made_at is None:
        return span
    rows = yield source.from_id(source.least_id, 1)
    return Span(max(span.first, source.made_at(rows[0])), span.last) if rows else Span(span.last + 1, span.last)


def _whole(source: Source[Row], span: Span, open_ids: set[int]) -> Walk[Row]:
    """All of one span.

    Raises:
        ProtocolViolation: one moment has more rows than a page.
    """
    ask = source.in_span(span)
    rows = yield ask
    # Not full, so nothing was left out.
    if len(rows) < source.page_size:
        new = [row for row in rows if source.id_of(row) not in open_ids]
        # Only what is open may be updated again, so only these ids are kept, however long the history is.
        open_ids.update(source.id_of(row) for row in new if source.is_open(row))
        # The exchange has an order of its own; a history is in the order of time.
        yield Found(sorted(new, key=lambda row: (source.time_of(row), source.id_of(row))), span.last)
    # A moment cannot be halved.
    elif span.first == span.last:
        said = f"{ask.request.api.name}: {len(rows)} rows have the time {span.first}, and there may be more"
        raise ProtocolViolation(said)
    else:
        for half in span.halves():
            yield from _whole(source, half, open_ids)
