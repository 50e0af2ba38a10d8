"""Tasks that Ctrl-C does not hit, a nursery that wraps no exception, and whether this is a task of trio at all.

Trio raises `KeyboardInterrupt` in whatever code runs when the signal comes, unless that is protected. In a background
task it would strike between two halves of a state change, and come out in a group; in a library's task it may be lost.
In protected tasks it waits, and comes out of the main task, bare, at its next checkpoint.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import trio

from ..errors import InvalidRequest

T = TypeVar("T")


def check_trio(name: str) -> None:
    """Raise `InvalidRequest` unless trio runs the caller: elsewhere trio fails with an error that names no reason."""
    try:
        # trio knows the task that runs; under asyncio there is none.
        trio.lowlevel.current_task()
    except RuntimeError:
        said = f"{name} runs under trio only: start the program with trio.run(main), not with asyncio.run(main())"
        raise InvalidRequest(said) from None


@trio.lowlevel.enable_ki_protection
async def protected(function: Callable[..., Awaitable[object]], *args: object) -> None:
    """Run an async function as a background task: ``nursery.start_soon(protected, function, *args)``."""
    await function(*args)


async def start(nursery: trio.Nursery, function: Callable[..., Awaitable[object]]) -> None:
    """As `trio.Nursery.start`, for a task that may be the main one.

    There, a Ctrl-C and an error of the function in the same moment would come out as a `trio.TrioInternalError`.
    """
    failure: Exception | None = None
    is_over = trio.Event()

    async def begin() -> None:
        nonlocal failure
        try:
            await nursery.start(function)
        except Exception as error:
            # Raised by the caller: out of this task it would come in a group.
            failure = error
        is_over.set()

    nursery.start_soon(protected, begin)
    await is_over.wait()
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame


@asynccontextmanager
async def bare_nursery(
    leave: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint,
) -> AsyncGenerator[trio.Nursery]:
    """A nursery that is cancelled when its body is left, and puts no exception of the body into a group.

    ``leave`` is awaited before the nursery is cancelled, however the body ends. The exception of the body comes out
    before one of ``leave``, a cancellation included. One that a task raises comes out in place of both, and in a group
    only with others.
    """
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except BaseException as error:  # raised again below, outside the nursery, which would wrap it
                failure = error
            try:
                await leave()
            except BaseException as error:  # cancelled, or Ctrl-C
                failure = failure or error
            # From here on only our own cancellation may be seen: else the nursery would let one out that belongs to a
            # scope around us, in place of the body's own exception.
            nursery.cancel_scope.shield = True
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _sole(group) from None
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame


def _sole(error: BaseException) -> BaseException:
    """The one exception in a group of groups; the group, if there are more."""
    inner: Sequence[BaseException] = getattr(error, "exceptions", ())
    # A group within a group comes from a nursery within a nursery.
    return _sole(inner[0]) if len(inner) == 1 else error


@trio.lowlevel.enable_ki_protection
async def past_ctrl_c(function: Callable[..., Awaitable[T]], *args: object) -> T:
    """The result of a foreign function that may start tasks of its own, as `trio.open_tcp_stream` does.

    Those are not protected. If Ctrl-C hits one, it ends the function, and comes out in a group, in the background. So
    it is raised again here, where it waits for the main task, and the function is begun anew.
    """
    while True:
        try:
            return await function(*args)
        except BaseException as error:
            if not _holds_ctrl_c(error):
                raise
            signal.raise_signal(signal.SIGINT)
        await trio.lowlevel.checkpoint()  # a `Cancelled` that came in the same group comes again here


def _holds_ctrl_c(error: BaseException) -> bool:
    group: Any = error
    is_group = isinstance(error, BaseExceptionGroup)
    # Each nursery on its way may have put it into another group.
    return any(map(_holds_ctrl_c, group.exceptions)) if is_group else isinstance(error, KeyboardInterrupt)


def protecting(nursery: trio.Nursery) -> trio.Nursery:
    """The nursery for a library that starts tasks of its own in it: they will be protected."""
    return cast("trio.Nursery", _Protecting(nursery))


class _Protecting:
    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: object) -> None:
        self._nursery.start_soon(protected, function, *args)
