"""The little that measuring needs of an event loop, the same for trio and asyncio."""

from __future__ import annotations

import importlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    Work = Callable[[], Awaitable[object]]


class Loop(Protocol):
    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None: ...

    async def together(self, work: Work, count: int) -> None:
        """Run it so many times at once, until all are over."""
        ...

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def within(self, seconds: float) -> AbstractAsyncContextManager[None]:
        """Raise after so long."""
        ...


# Imports are left to the loop that needs them: what starting costs is measured.


class TrioLoop:
    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        import trio

        trio.run(main)

    async def together(self, work: Work, count: int) -> None:
        import trio

        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(work)

    async def pause(self, seconds: float) -> None:
        import trio

        await trio.sleep(seconds)

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncGenerator[None]:
        import trio

        with trio.fail_after(seconds):
            yield


class AsyncioLoop:
    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        import asyncio

        asyncio.run(main())

    async def together(self, work: Work, count: int) -> None:
        import asyncio

        await asyncio.gather(*(work() for _ in range(count)))

    async def pause(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(seconds)

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncGenerator[None]:
        import asyncio

        async with asyncio.timeout(seconds):
            yield


class UvLoop(AsyncioLoop):
    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        importlib.import_module("uvloop").run(main())


LOOPS: Final[dict[str, Loop]] = {"trio": TrioLoop(), "asyncio": AsyncioLoop(), "uvloop": UvLoop()}
