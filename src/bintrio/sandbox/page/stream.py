"""What the page is told as things happen: server-sent events, each with the views that have changed.

**Nothing is queued.** The sandbox does not tell the page anything; the stream looks at it twice a second and sends what
differs from what it sent last. So a reader that stops costs one event's bytes in memory, and delays neither the
sandbox nor another reader. In time the connection is cut (see `control.UNREAD`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

import trio

from bintrio.api.enums import KlineInterval

from ..running import Sandbox
from ..views import VIEWS, Calls, Candles, Nothing, OfSymbol, Orders, as_json
from ..world import WorldPart

INTERVAL: Final = 0.5
"""Seconds between two looks."""

MOST: Final = 16
"""Streams at a time; ours."""

LEVELS: Final = 200
"""Of each side of the book."""

ROWS: Final = 50
"""Of each table: orders, fills, calls."""

CANDLES: Final = 120

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class Watched(WorldPart, frozen=True, kw_only=True):
    """What a page looks at.

    Attributes:
        symbol: whose book, candles and fills.
        interval: of the candles, as the exchange names it.
    """

    symbol: str
    interval: KlineInterval = "1m"


def looked_at(watched: Watched) -> Mapping[str, WorldPart]:
    """What is asked for of each view."""
    return {
        "state": Nothing(),
        "connections": Nothing(),
        "budgets": Nothing(),
        "faults": Nothing(),
        "orders": Orders(open=True, limit=ROWS),
        "calls": Calls(limit=ROWS),
        "book": OfSymbol(symbol=watched.symbol, limit=LEVELS),
        "candles": Candles(symbol=watched.symbol, interval=watched.interval, limit=CANDLES),
        "fills": OfSymbol(symbol=watched.symbol, limit=ROWS),
    }


def look(sandbox: Sandbox, watched: Watched) -> dict[str, str]:
    """Every view as JSON.

    Raises:
        Refusal: there is no such symbol.
        InvalidRequest: there is no such interval.
    """
    return {name: as_json(VIEWS[name].shows(sandbox, asked)) for name, asked in looked_at(watched).items()}


def event(views: Mapping[str, str], before: Mapping[str, str], skipped: int) -> bytes:
    """A server-sent event with the views that differ from those before."""
    # Put together as text, since each view is JSON already.
    changed = ",".join(f'"{name}":{text}' for name, text in views.items() if text != before.get(name))
    return f'data: {{"skipped":{skipped},"views":{{{changed}}}}}\n\n'.encode()


class Places:
    """How many streams there may still be."""

    def __init__(self) -> None:
        self.free = MOST


class EventStream:
    """The answer to one reader, as an ASGI application. It lasts until the reader has gone.

    Args:
        sandbox: what is looked at.
        watched: what of it.
        places: one of them is taken as long as it lasts.
    """

    def __init__(self, sandbox: Sandbox, watched: Watched, places: Places) -> None:
        self._sandbox = sandbox
        self._watched = watched
        self._places = places
        self._sent: Mapping[str, str] = {}
        self._skipped = 0

    async def __call__(self, _scope: Message, receive: Receive, send: Send) -> None:
        """Take a place, and send until the reader has gone."""
        # Here and not when it is made: one that never begins would keep its place for ever.
        self._places.free -= 1
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._run(receive, send)
        finally:
            self._places.free += 1

    async def _run(self, receive: Receive, send: Send) -> None:
        due = trio.current_time()
        while True:
            await send({"type": "http.response.body", "body": self._next(), "more_body": True})
            # Sending waits for a slow reader; the looks that it missed are counted, and the next event says so.
            missed = int((trio.current_time() - due) / INTERVAL)
            self._skipped += missed
            # By the times that were planned, so that looks do not drift by what sending takes.
            due += (1 + missed) * INTERVAL
            if await _has_gone(receive, before=due):
                return

    def _next(self) -> bytes:
        views = look(self._sandbox, self._watched)
        news, self._sent = event(views, self._sent, self._skipped), views
        return news


_HEADERS: Final = [(b"content-type", b"text/event-stream")]


async def _has_gone(receive: Receive, before: float) -> bool:
    """Wait until the reader has gone, or until a time. What else may be received is a body that nobody reads."""
    with trio.move_on_at(before) as wait:
        while (await receive())["type"] != "http.disconnect":
            pass
    return not wait.cancelled_caught
