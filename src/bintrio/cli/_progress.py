"""How far a command is, on the terminal, for what may take longer than a moment."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeAlias

import trio
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

# Seconds after which people want to see that something is done.
_PATIENCE: Final = 1.0

# Seconds from one drawing of a bar that moves to the next.
_FRAME: Final = 0.1

Show: TypeAlias = Callable[[float | None, str], None]
"""Takes how much is done, from 0 to 1 or None if that is not known, and what is done."""


@contextmanager
def progress_bar(what: str) -> Generator[Show]:
    """A bar on the standard error, so that what is printed stays clean; nothing if that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeElapsedColumn())
    # No thread draws it: it is drawn when something is told.
    bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True, auto_refresh=False)
    with bar:
        task = bar.add_task(what, total=None, done="")

        def show(part: float | None, done: str) -> None:
            # Without a total, rich lets the bar move to and fro.
            total = None if part is None else 1.0
            bar.update(task, total=total, completed=part or 0.0, done=done, refresh=True)

        yield show


@asynccontextmanager
async def sign_of_life(what: str) -> AsyncGenerator[None]:
    """A bar that moves as long as the block lasts, if that is longer than a moment."""
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_move, what)
        try:
            yield
        except Exception as error:
            # Raised below: out of a nursery it would come in a group.
            failed = error
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


async def _move(what: str) -> None:
    await trio.sleep(_PATIENCE)
    with progress_bar(what) as show:
        while True:
            show(None, "")
            await trio.sleep(_FRAME)
