"""`Pages`: a history to iterate over. It asks for the next page when all rows of the last one were taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import msgspec
import trio

from .._protocol.settings import UNITS_PER_MILLISECOND
from .._text import shown
from ..api._base import Request
from ..api._values import RateLimit, Timestamp
from ..endpoints import TimeUnit
from ..errors import Banned, InvalidRequest, NotSent, RateLimited
from .walks import Ask, Found, Span, Walk, go_on

Row = TypeVar("Row")

SHARE: Final = 0.5
"""The part of a window's request weight that is used up when a history waits for the next one. So what trades meanwhile
finds the rest."""

_MARGIN: Final = 0.05  # seconds: the exchange's clock is known to a few milliseconds

_SECONDS: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400}


class Asking(Protocol):
    """What a history needs of a session."""

    @property
    def time_unit(self) -> TimeUnit:
        """Of all times."""
        ...

    @property
    def request_weight(self) -> RateLimit | None:
        """The limit, and what is used of it."""
        ...

    def now(self) -> int:
        """The exchange's time."""
        ...

    async def send(self, request: Request[Any], /) -> Any:
        """Send a request."""
        ...


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a history has been read.

    Attributes:
        rows: how many there were so far.
        pages: how many were asked for.
        reached: the exchange's time, in the unit of the session, up to which everything has been found.
        part: how much of the span of time that is, from 0 to 1; None if it was asked for by id.
    """

    rows: int
    pages: int
    reached: Timestamp
    part: float | None


OnProgress: TypeAlias = Callable[[Progress], object]
"""Is called after each page. It must not block; what it raises ends the iteration."""


class Pages(Generic[Row]):
    """Rows of a history: ``async for row in pages``. Each comes once, oldest first.

    It may be cancelled at any time, and iterated further after that and after an error: no row is lost by it. A page is
    asked for only when all rows before it were taken.

    Raises:
        Rejected: the exchange refuses the question. `RateLimited` does not get this far: it is waited for.
        NotSent, OutcomeUnknown: no answer came within the session's ``request_timeout``. Iterate further, if you like.
        ProtocolViolation: an answer cannot be read, or shows too many orders of one moment to tell whether it has all.
    """

    def __init__(self, session: Asking, walk: Walk[Row], span: Span | None) -> None:
        self._session = session
        self._walk = walk
        self._span = span
        self._tell: OnProgress | None = None
        self._ticks = 1000 * UNITS_PER_MILLISECOND[session.time_unit]
        self._rows = deque[Row]()
        self._count = self._asked = 0
        self._ask: Ask | None = None
        self._go_on(None)

    def __repr__(self) -> str:
        state = "over" if self._ask is None else "to be continued"
        return f"<Pages, {self._count} rows in {self._asked} pages, {state}>"

    def with_progress(self, tell: OnProgress) -> Pages[Row]:
        """The same, telling a function how far it is: ``async for row in pages.with_progress(show)``.

        Raises:
            InvalidRequest: it is no function.
        """
        if not callable(tell):
            raise InvalidRequest(f"progress must be told to a function, not {shown(tell)}", field="tell")
        self._tell = tell
        return self

    def __aiter__(self) -> Pages[Row]:
        # No second iteration from the start: rows that were taken are not kept.
        return self

    async def __anext__(self) -> Row:
        # Rows that are there already are given without a wait, so a loop over them must be cancelled here.
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._rows:
            if self._ask is None:
                raise StopAsyncIteration
            # Nothing changes before the answer is there, so after a cancellation the same question is asked again.
            rows = await self._answer(self._ask)
            self._asked += 1
            self._go_on(rows)
        return self._rows.popleft()

    def _go_on(self, rows: Any) -> None:
        """Hand an answer to the walk, up to what it asks next."""
        # While the walk is run there is no question; if the callback raises here, the iteration is over.
        self._ask = None
        step = go_on(self._walk, rows)
        # All that an answer holds, up to the next question.
        while isinstance(step, Found):
            self._take(step)
            step = go_on(self._walk, None)
        self._ask = step

    def _take(self, found: Found[Row]) -> None:
        self._rows += found.rows
        self._count += len(found.rows)
        if self._tell is not None:
            # Read by id, there is no span of time of which a part could be told.
            part = None if self._span is None else self._span.part(found.reached)
            self._tell(Progress(rows=self._count, pages=self._asked, reached=found.reached, part=part))

    async def _answer(self, ask: Ask) -> Any:
        """Ask until there is room for it."""
        while True:
            await self._wait_for_share()
            try:
                return await self._session.send(ask.request)
            # It lasts for minutes or days, so the user decides whether to wait.
            except Banned:
                raise
            except (NotSent, RateLimited) as error:
                # Not the limits, so waiting would not help.
                if error.retry_at is None:
                    raise
                await self._wait_until(error.retry_at)

    async def _wait_for_share(self) -> None:
        weight = self._session.request_weight
        # The rest of this window belongs to whoever trades.
        if weight is not None and (weight.count or 0) >= SHARE * weight.limit:
            # Windows are aligned to the exchange's clock, so the next one begins at a multiple.
            window = _SECONDS.get(weight.interval, 60) * weight.interval_num * self._ticks
            await self._wait_until((self._session.now() // window + 1) * window)

    async def _wait_until(self, time: int) -> None:
        await trio.sleep(max(0.0, (time - self._session.now()) / self._ticks) + _MARGIN)
