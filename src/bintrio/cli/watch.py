"""``bintrio watch``: a session and its account as they are now, on the terminal or as lines of JSON."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Final, NamedTuple, TypeAlias

import click
import trio
from rich.console import Console
from rich.live import Live

from bintrio import BintrioError, Session, SubscriberTooSlow, open_session
from bintrio.account import LiveAccount
from bintrio.cli._running import run
from bintrio.cli._scene import Memory, Scene, scene_as_json, scene_of
from bintrio.cli._scene_view import rows_for, view
from bintrio.cli._target import ENVIRONMENT, Target, with_target
from bintrio.cli._trader import trade
from bintrio.observing import Observer
from bintrio.sandbox import World, WorldWalk, open_world

# Seconds from one ping to the next: each tells how long a call takes now, and has weight 1.
_PING_PAUSE: Final = 1.0

Show: TypeAlias = Callable[[Scene], None]


class Rhythm(NamedTuple):
    """How often it is looked, in seconds, and how many times; None for ever."""

    interval: float
    times: int | None


@click.command(epilog=ENVIRONMENT)
@with_target
@click.option(
    "--interval", type=click.FloatRange(0.05, 3600), default=1.0, show_default=True, help="Seconds between two looks."
)
@click.option("--count", type=click.IntRange(1), help="How many looks; without it, until Ctrl-C.")
@click.option("--json", is_flag=True, help="A line of JSON for each look, as without a terminal.")
def watch(target: Target, interval: float, count: int | None, json: bool) -> None:
    """Show a session and its account as they are.

    That is: connection, clock, budgets, balances, open orders, fills, latency of calls.

    Without --endpoint, and if the environment names none, it is a sandbox within this program: prices move, and
    somebody trades. With a key, it shows the key's account, and changes nothing there; without one, only the session.
    """

    async def look() -> int:
        with _shown(as_json=json) as show:
            await _look(target, Rhythm(interval, count), show)
        return 0

    run(look)


@contextmanager
def _shown(*, as_json: bool) -> Generator[Show]:
    """What shows a scene: the terminal, or, where there is none, a line for each."""
    console = Console()
    if as_json or not console.is_terminal:
        yield lambda scene: click.echo(scene_as_json(scene))
        return
    # It is drawn when there is a new scene; rich's own refreshing would need a thread.
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield lambda scene: live.update(view(scene, rows=rows_for(console.height)), refresh=True)


async def _look(target: Target, rhythm: Rhythm, show: Show) -> None:
    memory = Memory()
    # Without a word of the user nothing leaves this machine.
    opened = _on_target(target, memory) if target.is_named else on_a_sandbox(memory)
    async with opened as (session, has_key), AsyncExitStack() as stack:
        account = await stack.enter_async_context(session.account()) if has_key else None
        await look_at(session, account, memory, rhythm, show)


@asynccontextmanager
async def _on_target(target: Target, observer: Observer) -> AsyncGenerator[tuple[Session, bool]]:
    settings = target.settings()
    async with settings.open_session(observer=observer) as session:
        yield session, settings.key is not None


@asynccontextmanager
async def on_a_sandbox(observer: Observer) -> AsyncGenerator[tuple[Session, bool]]:
    """A session, on a sandbox where somebody else trades on the same account."""
    chance = random.Random()
    world = World(market=WorldWalk(seed=chance.randrange(2**32), interval=1.0))
    async with (
        open_world(world) as running,
        # A session of its own, so that the latencies shown are those of the one that is watched.
        open_session(running.endpoint, key=running.key, name="trader") as trader,
        open_session(running.endpoint, key=running.key, name="watch", observer=observer) as session,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(trade, trader, chance)
        yield session, True
        # Whoever trades would go on for ever.
        nursery.cancel_scope.cancel()


async def look_at(session: Session, account: LiveAccount | None, memory: Memory, rhythm: Rhythm, show: Show) -> None:
    """Show how things stand, again and again."""
    async with trio.open_nursery() as nursery:
        # Without calls there would be no latency to show.
        nursery.start_soon(_keep_pinging, session)
        if account is not None:
            nursery.start_soon(_note_changes, account, memory)
        looks = 0
        while rhythm.times is None or looks < rhythm.times:
            # A pause between two looks, and none after the last.
            if looks:
                await trio.sleep(rhythm.interval)
            show(scene_of(session, account, memory))
            looks += 1
        nursery.cancel_scope.cancel()


async def _keep_pinging(session: Session) -> None:
    while True:
        with suppress(BintrioError):  # what keeps it from calling is shown: a hold, or that there is no connection
            await session.ping()
        await trio.sleep(_PING_PAUSE)


async def _note_changes(account: LiveAccount, memory: Memory) -> None:
    while True:
        try:
            async for change in account.changes():
                memory.note(change)
        except SubscriberTooSlow:
            continue  # some changes are not told of, but the account has them
        else:
            return  # the account is followed no more
