"""The command line: ``bintrio demo``, ``call``, ``sandbox`` and ``methods``.

Arguments become a `Request` (`_arguments`), and its result is printed as JSON: every parameter's name and kind comes
from its declaration, so this file knows no method by name. The demo alone does, since it tells a story (`_demo`).

Secrets come from files and the environment, never from arguments, which other users of a machine can see; nothing here
prints one. The sandbox's keys are the exception: they open nothing but the sandbox.

Needs the extra ``bintrio[cli]``.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import logging
import os
import signal
import ssl
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, get_origin

import msgspec
import trio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bintrio import (
    DEMO,
    PRODUCTION,
    TESTNET,
    BintrioError,
    ConnectionFailed,
    Ed25519Key,
    Endpoint,
    HmacKey,
    InvalidRequest,
    Key,
    NotSent,
    OutcomeUnknown,
    ProtocolViolation,
    Rejected,
    Request,
    RsaKey,
    __version__,
    open_session,
)
from bintrio._protocol.to_json import to_json
from bintrio._text import in_a_line, leaves, shown_path, shown_url
from bintrio.api._base import catalogue, parameters, python_name
from bintrio.cli._arguments import did_you_mean, known_values, parts_of, raw_value, request_of, texts_of
from bintrio.endpoints import as_endpoint
from bintrio.sandbox import Market, RandomWalk, Replay, Sandbox, SandboxAccount, open_sandbox, trader

try:
    import click
    from rich.console import Console

    from bintrio.cli._demo import quote, tell_story
except ModuleNotFoundError as missing:
    print(f"bintrio: the command line needs {missing.name}: pip install 'bintrio[cli]'", file=sys.stderr)
    raise SystemExit(2) from None

ENDPOINTS: Final = {"production": PRODUCTION, "testnet": TESTNET, "demo": DEMO}

INTERRUPTED: Final = 130
UNWRITTEN: Final = 7
"""The call was made, and its result could not be written."""

EXIT_CODES: Final[dict[type[BaseException], int]] = {
    KeyboardInterrupt: INTERRUPTED,
    InvalidRequest: 2,
    Rejected: 3,
    NotSent: 4,
    ConnectionFailed: 4,
    OutcomeUnknown: 5,
    ProtocolViolation: 6,
    OSError: 2,
}
"""How a command ends, by what ended it. An `OSError` is a port that cannot be had, or a file that cannot be written."""

_METHODS: Final = {python_name(name): request_type for name, request_type in catalogue.items()}


@click.version_option(__version__, prog_name="bintrio")
@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 something failed in the demo; 2 bad input, nothing was sent; 3 the exchange refused; "
    "4 not sent, or no connection; 5 sent, outcome unknown; 6 the exchange broke the format; 7 done, but its result "
    "could not be written; 130 interrupted.",
)
def main() -> None:
    """Binance's Spot WebSocket API from the command line, and a sandbox exchange that speaks it."""
    # What went wrong is told once, by the exit and its line on stderr.
    logging.getLogger("bintrio").addHandler(logging.NullHandler())
    for stream in (sys.stdout, sys.stderr):
        # What a terminal has no character for must not end in an error after the call was made.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(function: Callable[[], Awaitable[int]]) -> NoReturn:
    """Run to the end, and exit with the code that says how it ended."""
    try:
        sys.exit(trio.run(function))
    except (BintrioError, OSError, KeyboardInterrupt, BaseExceptionGroup) as error:
        errors = list(leaves(error))
        codes = [_exit_code(each) for each in errors]
        if INTERRUPTED in codes:
            sys.exit(INTERRUPTED)
        if None in codes:
            raise  # a bug of ours: let it be seen whole
        click.echo(in_a_line(errors[0]), err=True)
        sys.exit(codes[0])


def _exit_code(error: BaseException) -> int | None:
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), None)


def _need(package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise click.UsageError(f"this needs {package}: pip install 'bintrio[{extra}]'")


# call


@main.command(
    epilog="Environment: BINTRIO_ENDPOINT, BINTRIO_API_KEY, BINTRIO_PRIVATE_KEY_FILE, BINTRIO_PASSPHRASE (of the "
    "private key), BINTRIO_HMAC_SECRET."
)
@click.argument("method")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@click.option(
    "--endpoint",
    metavar="production|testnet|demo|URL",
    default="testnet",
    envvar="BINTRIO_ENDPOINT",
    show_default=True,
    help="Where to.",
)
@click.option("--api-key", envvar="BINTRIO_API_KEY", help="As the exchange shows it.")
@click.option(
    "--private-key",
    metavar="PATH",
    envvar="BINTRIO_PRIVATE_KEY_FILE",
    help="PEM file, Ed25519 or RSA, encrypted or not.",
)
@click.option("--hmac-secret-file", metavar="PATH", help="File that holds an HMAC secret; - for the standard input.")
@click.option("--raw", is_flag=True, help="Send names and values as they are, also for a method that is not known.")
@click.option("--signed", is_flag=True, help="With --raw: sign a method that is not known.")
@click.option("--yes", is_flag=True, help="Yes, trade where it costs money.")
def call(
    method: str,
    arguments: tuple[str, ...],
    endpoint: str,
    api_key: str | None,
    private_key: str | None,
    hmac_secret_file: str | None,
    raw: bool,
    signed: bool,
    yes: bool,
) -> None:
    """Call METHOD and print its result as JSON.

    METHOD is the exchange's name (order.place) or its name in Python (order_place); so are the NAMEs. A VALUE that is a
    list is a JSON array, or items with commas between. "bintrio methods" lists them all. A symbol or known value that
    is not written as the exchange writes it is refused with a hint.

    With --raw, numbers without a fraction, true, false, and JSON arrays and strings are sent as what they are, all else
    as a string.
    """

    async def run() -> int:
        key = _key(api_key, private_key, _hmac_secret(hmac_secret_file))
        texts = texts_of(arguments)
        where = _endpoint(endpoint)
        request_type = _METHODS.get(python_name(method))
        _check_call(method, request_type, where, key, raw=raw, signed=signed, yes=yes)
        if request_type is not None and not raw:
            request = request_of(request_type, texts)
            async with open_session(where, key=key) as session:
                result = await session.send(request)
        else:
            params = {name: raw_value(text) for name, text in texts.items()}
            name = method if request_type is None else request_type.api.name
            async with open_session(where, key=key) as session:
                result = await session.request(name, params, signed=signed or None)
        return _print_json(result)

    _run(run)


def _check_call(
    method: str,
    request_type: type[Request[Any]] | None,
    where: Endpoint,
    key: Key | None,
    *,
    raw: bool,
    signed: bool,
    yes: bool,
) -> None:
    """Refuse, before anything is sent, a method that is unknown, needs a key, or costs money without a yes."""
    if request_type is None and not raw:
        raise InvalidRequest(f"no method {method!r}{did_you_mean(method, _METHODS)}; --raw sends it anyway")
    api = request_type.api if request_type else None
    if key is None and (signed or (api and (api.signed or api.security == "SESSION"))):
        raise InvalidRequest(f"{method} needs a key: --api-key with --private-key or --hmac-secret-file")
    # What is signed and not known may well be a trade.
    trades = api.security == "TRADE" if api else signed
    if trades and not yes and _costs_money(where):
        raise InvalidRequest(
            f"{method} may trade on {where.name or shown_url(where.urls[0])}: add --yes if that is what you want"
        )


def _costs_money(where: Endpoint) -> bool:
    """Whether an endpoint is neither a test network nor on this machine."""
    harmless = {address.host for name in ("testnet", "demo") for address in ENDPOINTS[name].addresses(time_unit="ms")}
    addresses = where.addresses(time_unit="ms")
    return not all(address.is_loopback or address.host in harmless for address in addresses)


def _endpoint(text: str) -> Endpoint:
    if text not in ENDPOINTS and "://" not in text:
        raise InvalidRequest(
            f"the endpoint must be {', '.join(ENDPOINTS)} or a URL, not {shown_url(text)!r}", field="endpoint"
        )
    return ENDPOINTS.get(text) or as_endpoint(text)


def _hmac_secret(path: str | None) -> str | None:
    if path is None:
        return os.environ.get("BINTRIO_HMAC_SECRET")
    try:
        return (sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")).strip()
    except (OSError, ValueError) as error:
        # The text of an OSError has the path, which may be the secret itself by mistake.
        reason = error.strerror if isinstance(error, OSError) else "it holds no text"
        said = f"cannot read the HMAC secret {shown_path(path)}: {reason}"
        raise InvalidRequest(said, field="hmac_secret_file") from None


def _key(api_key: str | None, private_key: str | None, hmac_secret: str | None) -> Key | None:
    if private_key and hmac_secret:
        raise InvalidRequest("a private key and an HMAC secret exclude each other")
    if not private_key and not hmac_secret:
        if api_key:
            raise InvalidRequest("an API key needs --private-key or --hmac-secret-file")
        return None
    if not api_key:
        raise InvalidRequest("a private key or secret needs --api-key or BINTRIO_API_KEY")
    return HmacKey(api_key, hmac_secret) if hmac_secret else _private_key(private_key or "", api_key)


def _private_key(path: str, api_key: str) -> Key:
    password = os.environ.get("BINTRIO_PASSPHRASE")
    try:
        return Ed25519Key.from_pem_file(path, api_key=api_key, password=password)
    except InvalidRequest as error:
        try:
            return RsaKey.from_pem_file(path, api_key=api_key, password=password)
        except InvalidRequest:
            raise error from None  # what is wrong is not the type, and the first said so


def _print_json(result: Any) -> int:
    """Readable on a terminal; in one line for another program. Gives the exit code: the call was made in any case."""
    written = to_json(result)
    console = Console()
    try:
        if console.is_terminal:
            console.print_json(written.decode(), ensure_ascii=not console.encoding.startswith("utf"))
        else:
            click.echo(written)
    except OSError as error:
        click.echo(f"the call was made, but its result cannot be written: {error.strerror}", err=True)
        with suppress(OSError, ValueError):  # else Python tries again at its end, and complains
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNWRITTEN
    return 0


# methods


@main.command()
@click.argument("name", required=False)
def methods(name: str | None) -> None:
    """List the methods, or show the parameters of one."""
    request_type = _METHODS.get(python_name(name)) if name else None
    if name and request_type is None:
        raise click.UsageError(f"no method {name!r}{did_you_mean(name, _METHODS)}")
    lines = _catalogue_lines() if request_type is None else _method_lines(request_type)
    click.echo("\n".join(lines))


def _catalogue_lines() -> Iterator[str]:
    width = max(map(len, catalogue))
    for name, request_type in catalogue.items():
        yield f"{name:<{width}}  {request_type.api.security:<12}{_summary(request_type)}"


def _summary(request_type: type[Request[Any]]) -> str:
    return inspect.cleandoc(request_type.__doc__ or "").partition("\n")[0]


def _method_lines(request_type: type[Request[Any]]) -> Iterator[str]:
    api = request_type.api
    weight = api.weight if isinstance(api.weight, int) else "depends on its parameters"
    yield f"{api.name}  ({python_name(api.name)})"
    yield from inspect.cleandoc(request_type.__doc__ or "").splitlines()
    yield ""
    yield f"security {api.security}, weight {weight}"
    yield api.url
    fields = {field.name: field.type for field in msgspec.structs.fields(request_type)}
    for parameter in sorted(parameters(request_type), key=lambda each: not each.required):
        need = "required" if parameter.required else "optional"
        yield f"  {parameter.wire_name:<28}{need}  {_type_name(fields[parameter.name])}"


def _type_name(annotation: Any) -> str:
    """A field's type in a word, or the values that are known of an enum."""
    kinds = [get_origin(part) or part for part in parts_of(annotation)]
    if Sequence in kinds:
        return "list"
    plain = (kind.__name__ for kind in (Decimal, bool, int) if kind in kinds)
    return "|".join(known_values(annotation)) or next(plain, "str")


# sandbox


_ENDS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class _OpenAccount(SandboxAccount):
    """An account whose secrets may be shown: they open nothing but the sandbox."""

    def private_key(self) -> bytes:
        """The Ed25519 key as PEM."""
        return self._ed25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def hmac_secret(self) -> str:
        """The secret that belongs to `hmac_key`."""
        return self._secret("hmac").hex()


@main.command()
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
        _need("trustme", "tls")
    elif cert_out:
        raise click.UsageError("--cert-out goes with --tls")
    if seed is not None and market != _RANDOM_WALK:
        raise click.UsageError(f"--seed goes with --market {_RANDOM_WALK}")

    async def run() -> int:
        return await _serve_until_told(host, port, _market(market, seed), tls=tls, cert_out=cert_out)

    _run(run)


_RANDOM_WALK: Final = "random-walk"


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


async def _serve(host: str, port: int, market: Market | None, *, tls: bool, cert_out: Path | None) -> None:
    funds = trader()
    account = _OpenAccount(funds.uid, funds.balances, commissions=funds.commissions)
    with tempfile.TemporaryDirectory(prefix="bintrio-sandbox-") as folder:
        key_file = _write(Path(folder, "ed25519.pem"), account.private_key())
        async with open_sandbox(
            host=host, port=port, tls=tls, accounts=[account], market=market, start_time_ms=None
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


def _directions(running: Sandbox, account: _OpenAccount, key_file: Path, cert_file: Path | None) -> Iterator[str]:
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


# demo


@main.command()
def demo() -> None:
    """A story with real figures: sandbox, session, orders, events, and a rotation under load.

    Everything runs on this machine, over TCP and once over TLS.
    """
    _need("trustme", "tls")
    _run(tell_story)
