"""The logs of a run in virtual time, as the how-to on logs shows them: each block of its page is such a run."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import trio

import bintrio
from bintrio.sandbox import Disconnect, IpBan, Sandbox, open_sandbox

FORMAT: Final = "%(clock)s %(levelname)-7s %(name)-18s %(message)s"


class Logbook(logging.Handler):
    """Keeps lines, each with trio's time in place of the date.

    Attributes:
        lines: those of level INFO and above.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter(FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        seconds = trio.current_time()
        record.clock = f"{int(seconds) // 60:02}:{seconds % 60:06.3f}"
        self.lines.append(self.format(record))


@asynccontextmanager
async def keeping() -> AsyncGenerator[Logbook]:
    book, logger = Logbook(), logging.getLogger("bintrio")
    level = logger.level
    logger.addHandler(book)
    logger.setLevel(logging.INFO)
    try:
        yield book
    finally:
        logger.removeHandler(book)
        logger.setLevel(level)


async def rotation(sandbox: Sandbox, session: bintrio.Session) -> None:
    sandbox.announce_shutdown()
    await trio.sleep(20)


async def loss(sandbox: Sandbox, session: bintrio.Session) -> None:
    sandbox.inject(Disconnect("order.place"))
    with trio.move_on_after(1), suppress(bintrio.OutcomeUnknown):
        await session.order_place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
    await trio.sleep(20)


async def ban(sandbox: Sandbox, session: bintrio.Session) -> None:
    sandbox.inject(IpBan("ping", retry_after=120.0))
    with suppress(bintrio.BintrioError):
        await session.ping()
    await trio.sleep(180)


ACCOUNTS: Final[dict[str, Callable[[Sandbox, bintrio.Session], Awaitable[None]]]] = {
    "rotation": rotation,
    "loss": loss,
    "ban": ban,
}


async def account(name: str) -> list[str]:
    """What the logs say while that happens to a session that has been open for a minute and listens to an account."""
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(
            sandbox.memory_endpoint, key=sandbox.key, connect=sandbox.connect, name="bot-1"
        ) as session,
        session.user_data() as events,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_read, events)
        await trio.sleep(60 - trio.current_time())
        async with keeping() as book:
            await ACCOUNTS[name](sandbox, session)
        nursery.cancel_scope.cancel()
    return book.lines


async def _read(events: Any) -> None:
    async for _ in events:
        pass
