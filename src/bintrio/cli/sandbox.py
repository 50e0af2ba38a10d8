"""``bintrio sandbox``: the exchange of this machine as a server, until it is told to end.

It prints its keys, which open nothing but the sandbox.
"""

from __future__ import annotations

import signal
import ssl
import tempfile
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import click
import trio
from click.shell_completion import CompletionItem
from msgspec.structs import replace

from bintrio.cli._made import EXAMPLE, as_json, directions, made, write
from bintrio.cli._running import need, run
from bintrio.sandbox import Sandbox, World, WorldReplay, WorldWalk, open_world, read_world

# Windows has no SIGHUP.
_ENDS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_RANDOM_WALK: Final = "random-walk"
_LOOPBACK: Final = "127.0.0.1"


class _Options(NamedTuple):
    """How a world is served, and told of."""

    host: str
    port: int
    tls: bool
    cert_out: Path | None
    json: bool
    control: int | None
    page: bool
    page_host: str
    page_port: int


def _complete_market(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Chance, or else a file."""
    is_chance = _RANDOM_WALK.startswith(begun)
    return [CompletionItem(_RANDOM_WALK)] if is_chance else [CompletionItem(begun, type="file")]


def _print_example(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:
    # click asks while it reads the arguments, and then nothing else is done.
    if is_asked and not context.resilient_parsing:
        click.echo(EXAMPLE.read_text("utf-8"), nl=False)
        context.exit()


@click.command()
@click.argument("file", required=False, metavar="[FILE]", type=click.Path())
@click.option(
    "--host", default="127.0.0.1", help="Where to listen; 0.0.0.0 for all of this machine.", show_default=True
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="0 takes a free one.", show_default=True)
@click.option("--tls", is_flag=True, help="Speak TLS, with a certificate of its own.")
@click.option("--cert-out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write that certificate.")
@click.option(
    "--market",
    metavar="random-walk|CSV",
    shell_complete=_complete_market,
    help="What moves the prices: chance, or klines or trades as the exchange publishes them (CSV, zipped or not).",
)
@click.option("--seed", type=int, help="Of --market random-walk, which is the same for the same seed.")
@click.option(
    "--control",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    help="Take commands over HTTP, from this machine only: quotes, deposits, faults, the clock; GET / lists them. "
    "0 takes a free port.",
)
@click.option(
    "--page", is_flag=True, help="Serve a page to look at it with a browser, and to act on it; prints the URL."
)
@click.option(
    "--page-host", default=_LOOPBACK, help="Where the page is served; its URL has a token.", show_default=True
)
@click.option("--page-port", type=click.IntRange(0, 65_535), default=0, help="0 takes a free one.", show_default=True)
@click.option("--json", is_flag=True, help="Print what was made as one line of JSON.")
@click.option(
    "--example",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_example,
    help="Print a FILE to begin with, and exit.",
)
def sandbox(file: str | None, market: str | None, seed: int | None, **options: object) -> None:
    """Run an exchange on this machine, to try things on.

    It runs until Ctrl-C or SIGTERM, and prints how to connect to it.

    FILE is TOML or JSON: symbols, accounts with their keys, quotes, limits, a market, faults. --example prints one with
    comments, --json every field as it is, in "world". What it leaves out is as it is without a file.

    Without a file, the books have orders of a market maker on both sides, which stay as they are unless --market moves
    them. A CSV file has its symbol in its name, as BTCUSDT-1m-2026-01.csv.

    The files that the sandbox writes are gone when it ends, except that of --cert-out. From another machine a client
    needs --tls, since its key must not travel in the clear.
    """
    asked = _Options(**options)  # type: ignore[arg-type] # click has looked at the types
    if asked.tls:
        # Said before a world is read and made.
        need("trustme", "tls")
    elif asked.cert_out:
        # Somebody would wait for a file that is never written.
        raise click.UsageError("--cert-out goes with --tls")
    if asked.control is not None or asked.page:
        need("starlette", "ui")
        need("hypercorn", "ui")
    # Whoever names a port expects a page there.
    if not asked.page and (asked.page_host, asked.page_port) != (_LOOPBACK, 0):
        raise click.UsageError("--page-host and --page-port go with --page")
    # Recorded prices do not depend on chance.
    if seed is not None and market != _RANDOM_WALK:
        raise click.UsageError(f"--seed goes with --market {_RANDOM_WALK}")

    async def serve() -> int:
        return await _serve_until_told(_world(file, market, seed), asked)

    run(serve)


def _world(file: str | None, market: str | None, seed: int | None) -> World:
    world = World() if file is None else read_world(file)
    if market is None:
        return world
    # The option goes before the file: it was written for this one run.
    moving = WorldWalk(seed=seed or 0) if market == _RANDOM_WALK else WorldReplay(file=Path(market))
    return replace(world, market=moving)


async def _serve_until_told(world: World, asked: _Options) -> int:
    """Serve until one of `_ENDS` comes. Process 1, as in a container, does not end by itself then."""
    with trio.open_signal_receiver(*_ENDS) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(_serve, world, asked))
            async for _number in signals:  # pragma: no branch - it has no end
                # Cancelled, so that clients see their connections closed and the files are removed.
                nursery.cancel_scope.cancel()
                break
    return 0


async def _serve(world: World, asked: _Options) -> None:
    with tempfile.TemporaryDirectory(prefix="bintrio-sandbox-") as folder:
        async with open_world(world, host=asked.host, port=asked.port, tls=asked.tls) as running:
            # Absolute, since what is told is for another terminal, which may be in another folder.
            certificate = _certificate_file(running, (asked.cert_out or Path(folder, "authority.pem")).absolute())
            async with trio.open_nursery() as nursery:
                control = await _controlled(running, nursery, asked.control)
                page = await _shown(running, nursery, asked)
                told = made(running, world, Path(folder), certificate, control, page)
                # Only now, since a program that reads this connects at once.
                click.echo(as_json(told) if asked.json else "\n".join(directions(told)))
                await trio.sleep_forever()


async def _controlled(running: Sandbox, nursery: trio.Nursery, port: int | None) -> str | None:
    """The URL of the control."""
    if port is None:
        return None
    # The extra `ui` is imported only by who asks for it.
    from bintrio.sandbox.control import serve_control

    url: str = await nursery.start(serve_control, running, port)
    return url


async def _shown(running: Sandbox, nursery: trio.Nursery, asked: _Options) -> str | None:
    """The URL of the page."""
    if not asked.page:
        return None
    # Of the extra `ui` as well.
    from bintrio.sandbox.page import serve_page

    url: str = await nursery.start(serve_page, running, asked.page_host, asked.page_port)
    return url


def _certificate_file(running: Sandbox, path: Path) -> Path | None:
    return None if running.ssl_context is None else write(path, _certificate(running.ssl_context))


def _certificate(context: ssl.SSLContext) -> bytes:
    """What a client's context trusts beyond the system's own: the sandbox's authority, as PEM."""
    # A context does not tell which authorities were added to it.
    usual = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(
        ssl.DER_cert_to_PEM_cert(authority)
        for authority in context.get_ca_certs(binary_form=True)
        if authority not in usual
    ).encode()
