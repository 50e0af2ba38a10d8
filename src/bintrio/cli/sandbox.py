"""``bintrio sandbox``: the exchange of this machine as a server, until it is told to end.

It prints its keys, which open nothing but the sandbox.
"""

from __future__ import annotations

import signal
import ssl
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import click
import trio

from bintrio.cli._quotes import quote
from bintrio.cli._running import need, run
from bintrio.sandbox import Market, RandomWalk, Replay, Sandbox, SandboxAccount, open_sandbox, trader

_ENDS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_RANDOM_WALK: Final = "random-walk"


@click.command()
@click.option(
    "--host", default="127.0.0.1", help="Where to listen; 0.0.0.0 for all of this machine.", show_default=True
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="0 takes a free one.", show_default=True)
@click.option("--tls", is_flag=True, help="Speak TLS, with a certificate of its own.")
@click.option("--cert-out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write that certificate.")
@click.option(
    "--market",
    metavar="random-walk|FILE",
    help="What moves the prices: chance, or klines or trades as the exchange publishes them (CSV, zipped or not).",
)
@click.option("--seed", type=int, help="Of --market random-walk, which is the same for the same seed.")
def sandbox(host: str, port: int, tls: bool, cert_out: Path | None, market: str | None, seed: int | None) -> None:
    """Run the sandbox until Ctrl-C or SIGTERM, and print how to connect to it.

    The books have orders of a market maker on both sides, which stay as they are unless --market moves them. A FILE has
    its symbol in its name, as BTCUSDT-1m-2026-01.csv.

    The files that the sandbox writes are gone when it ends, except that of --cert-out. From another machine a client
    needs --tls, since its key must not travel in the clear.
    """
    if tls:
        need("trustme", "tls")
    elif cert_out:
        raise click.UsageError("--cert-out goes with --tls")
    if seed is not None and market != _RANDOM_WALK:
        raise click.UsageError(f"--seed goes with --market {_RANDOM_WALK}")

    async def serve() -> int:
        return await _serve_until_told(host, port, _market(market, seed), tls=tls, cert_out=cert_out)

    run(serve)


def _market(text: str | None, seed: int | None) -> Market | None:
    """Where chance moves the prices, each symbol trades every two seconds: somebody is watching."""
    if text is None:
        return None
    if text == _RANDOM_WALK:
        return RandomWalk(seed or 0, interval=2.0)
    return Replay(text)


async def _serve_until_told(host: str, port: int, market: Market | None, *, tls: bool, cert_out: Path | None) -> int:
    """Serve until one of `_ENDS` comes. Process 1, as in a container, does not end by itself then."""
    with trio.open_signal_receiver(*_ENDS) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(_serve, host, port, market, tls=tls, cert_out=cert_out))
            async for _number in signals:  # pragma: no branch - it has no end
                nursery.cancel_scope.cancel()
                break
    return 0


_KEPT: Final = 100_000
"""Closed orders, trades and minutes: a server that runs for weeks must not fill the memory."""


async def _serve(host: str, port: int, market: Market | None, *, tls: bool, cert_out: Path | None) -> None:
    account = trader()
    with tempfile.TemporaryDirectory(prefix="bintrio-sandbox-") as folder:
        key_file = _write(Path(folder, "ed25519.pem"), account.ed25519_pem())
        async with open_sandbox(
            host=host, port=port, tls=tls, accounts=[account], market=market, keep=_KEPT, start_time_ms=None
        ) as running:
            if not isinstance(market, RandomWalk):
                quote(running, but=market.symbol if isinstance(market, Replay) else "")
            cert_file = None
            if running.ssl_context is not None:
                cert_file = _write(cert_out or Path(folder, "authority.pem"), _certificate(running.ssl_context))
            click.echo("\n".join(_directions(running, account, key_file, cert_file)))
            await trio.sleep_forever()


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _certificate(context: ssl.SSLContext) -> bytes:
    """What a client's context trusts beyond the system's own: the sandbox's authority, as PEM."""
    usual = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(
        ssl.DER_cert_to_PEM_cert(authority)
        for authority in context.get_ca_certs(binary_form=True)
        if authority not in usual
    ).encode()


def _directions(running: Sandbox, account: SandboxAccount, key_file: Path, cert_file: Path | None) -> Iterator[str]:
    url = running.endpoint.urls[0]
    yield f"endpoint      {url}"
    yield f"Ed25519 key   {account.key.api_key}"
    yield f"  private     {key_file}"
    yield f"HMAC key      {account.hmac_key.api_key}"
    yield f"  secret      {account.hmac_secret()}"
    if cert_file:
        yield f"certificate   {cert_file}"
    yield ""
    yield "The keys open nothing but this sandbox. Ctrl-C ends it. In another terminal:"
    yield ""
    yield f"  export BINTRIO_ENDPOINT={url}"
    yield f"  export BINTRIO_API_KEY={account.key.api_key}"
    yield f"  export BINTRIO_PRIVATE_KEY_FILE={key_file}"
    if cert_file:
        yield f"  export SSL_CERT_FILE={cert_file}"
    yield "  bintrio call depth symbol=BTCUSDT limit=5"
    yield "  bintrio call order.place symbol=BTCUSDT side=BUY type=MARKET quantity=0.01"
