"""Background tasks that Ctrl-C does not hit.

Trio raises `KeyboardInterrupt` in whatever code runs when the signal comes, unless that is protected. In a background
task it would strike between two halves of a state change, and come out in a group; in a library's task it may be lost.
In protected tasks it waits, and comes out of the main task, bare, at its next checkpoint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio


@trio.lowlevel.enable_ki_protection
async def protected(function: Callable[..., Awaitable[object]], *args: object) -> None:
    """Run an async function as a background task: ``nursery.start_soon(protected, function, *args)``."""
    await function(*args)


def protecting(nursery: trio.Nursery) -> trio.Nursery:
    """The nursery for a library that starts tasks of its own in it: they will be protected."""
    return cast("trio.Nursery", _Protecting(nursery))


class _Protecting:
    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: object) -> None:
        self._nursery.start_soon(protected, function, *args)
