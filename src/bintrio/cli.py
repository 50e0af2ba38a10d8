"""The command line: ``bintrio demo``, ``call``, ``sandbox`` and ``methods``.

Arguments become a `Request`, and its result is printed as JSON: every parameter's name and kind comes from its
declaration, so this file knows no method by name. The demo alone does, since it tells a story.

Secrets come from files and the environment, never from arguments, which other users of a machine can see; nothing here
prints one. The sandbox's keys are the exception: they open nothing but the sandbox.

Needs the extra ``bintrio[cli]``.
"""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import logging
import os
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO, get_args, get_origin

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
    ExecutionReport,
    HmacKey,
    InvalidRequest,
    Key,
    NotSent,
    OrderFull,
    OutcomeUnknown,
    ProtocolViolation,
    Rejected,
    Request,
    RsaKey,
    Session,
    Subscriber,
    open_session,
)
from bintrio._json import to_json
from bintrio.api._base import Parameter, catalogue, parameters, python_name
from bintrio.endpoints import as_endpoint
from bintrio.sandbox import Sandbox, SandboxAccount, open_sandbox, trader

try:
    import click
    from rich.console import Console
except ModuleNotFoundError as missing:
    print(f"bintrio: the command line needs {missing.name}: pip install 'bintrio[cli]'", file=sys.stderr)
    raise SystemExit(2) from None

ENDPOINTS: Final = {"production": PRODUCTION, "testnet": TESTNET, "demo": DEMO}

INTERRUPTED: Final = 130

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


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 something failed in the demo; 2 bad input, nothing was sent; 3 the exchange refused; "
    "4 not sent, or no connection; 5 sent, outcome unknown; 6 the exchange broke the format; 130 interrupted.",
)
def main() -> None:
    """Binance's Spot WebSocket API from the command line, and a sandbox exchange that speaks it."""
    # What went wrong is told once, by the exit and its line on stderr.
    logging.getLogger("bintrio").addHandler(logging.NullHandler())


def _run(function: Callable[[], Awaitable[int]]) -> NoReturn:
    """Run to the end, and exit with the code that says how it ended."""
    try:
        sys.exit(trio.run(function))
    except (BintrioError, OSError, KeyboardInterrupt, BaseExceptionGroup) as error:
        leaves = list(_leaves(error))
        codes = [_exit_code(leaf) for leaf in leaves]
        if INTERRUPTED in codes:
            sys.exit(INTERRUPTED)
        if None in codes:
            raise  # a bug of ours: let it be seen whole
        click.echo(_in_a_line(leaves[0]), err=True)
        sys.exit(codes[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for part in error.exceptions:  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        yield from _leaves(part)  # pyright: ignore[reportUnknownArgumentType]


def _exit_code(error: BaseException) -> int | None:
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), None)


def _in_a_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


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
@click.option("--hmac-secret-file", type=click.File(), metavar="PATH", help="File that holds an HMAC secret.")
@click.option("--raw", is_flag=True, help="Send names and values as they are, also for a method that is not known.")
@click.option("--signed", is_flag=True, help="With --raw: sign a method that is not known.")
@click.option("--yes", is_flag=True, help="Yes, trade where it costs money.")
def call(
    method: str,
    arguments: tuple[str, ...],
    endpoint: str,
    api_key: str | None,
    private_key: str | None,
    hmac_secret_file: TextIO | None,
    raw: bool,
    signed: bool,
    yes: bool,
) -> None:
    """Call METHOD and print its result as JSON.

    METHOD is the exchange's name (order.place) or its name in Python (order_place); so are the NAMEs. A VALUE that is a
    list is a JSON array, or items with commas between. "bintrio methods" lists them all.

    With --raw, numbers without a fraction, true, false, and JSON arrays and strings are sent as what they are, all else
    as a string.
    """

    async def run() -> int:
        key = _key(api_key, private_key, _hmac_secret(hmac_secret_file))
        texts = _texts(arguments)
        where = _endpoint(endpoint)
        request_type = _METHODS.get(python_name(method))
        _check_call(method, request_type, where, key, raw=raw, signed=signed, yes=yes)
        if request_type is not None and not raw:
            request = _request(request_type, texts)
            async with open_session(where, key=key) as session:
                result = await session.send(request)
        else:
            params = {name: _raw_value(text) for name, text in texts.items()}
            name = method if request_type is None else request_type.api.name
            async with open_session(where, key=key) as session:
                result = await session.request(name, params, signed=signed or None)
        _print_json(result)
        return 0

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
        raise InvalidRequest(f"no method {method!r}{_did_you_mean(method, _METHODS)}; --raw sends it anyway")
    api = request_type.api if request_type else None
    if key is None and (signed or (api and (api.signed or api.security == "SESSION"))):
        raise InvalidRequest(f"{method} needs a key: --api-key with --private-key or --hmac-secret-file")
    # What is signed and not known may well be a trade.
    trades = api.security == "TRADE" if api else signed
    if trades and not yes and _costs_money(where):
        raise InvalidRequest(f"{method} may trade on {where.name or where.urls[0]}: add --yes if that is what you want")


def _costs_money(where: Endpoint) -> bool:
    """Whether an endpoint is neither a test network nor on this machine."""
    harmless = {address.host for name in ("testnet", "demo") for address in ENDPOINTS[name].addresses(time_unit="ms")}
    addresses = where.addresses(time_unit="ms")
    return not all(address.is_loopback or address.host in harmless for address in addresses)


def _endpoint(text: str) -> Endpoint:
    if text not in ENDPOINTS and "://" not in text:
        raise InvalidRequest(f"the endpoint must be {', '.join(ENDPOINTS)} or a URL, not {text!r}", field="endpoint")
    return ENDPOINTS.get(text) or as_endpoint(text)


def _hmac_secret(file: TextIO | None) -> str | None:
    return file.read().strip() if file else os.environ.get("BINTRIO_HMAC_SECRET")


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


def _texts(arguments: Iterable[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not name or not equals:
            raise InvalidRequest(f"{argument!r} is not NAME=VALUE")
        if name in texts:
            raise InvalidRequest(f"{name} is given twice", field=name)
        texts[name] = text
    return texts


def _request(request_type: type[Request[Any]], texts: Mapping[str, str]) -> Request[Any]:
    """A request from text. Whether the values can be right is for the request to say."""
    method = request_type.api.name
    known = {name: each for each in parameters(request_type) for name in (each.wire_name, each.name)}
    values: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in known:
            raise InvalidRequest(f"{method}: no parameter {name!r}{_did_you_mean(name, known)}", field=name)
        parameter = known[name]
        if parameter.name in values:
            raise InvalidRequest(f"{method}: {parameter.name} is given twice", field=parameter.name)
        values[parameter.name] = _value(parameter, text)
    for parameter in parameters(request_type):
        if parameter.required and parameter.name not in values:
            raise InvalidRequest(f"{method}: {parameter.wire_name} is missing", field=parameter.name)
    return request_type(**values)


def _value(parameter: Parameter, text: str) -> Any:
    """The first reading of the text that the parameter takes, so that "true" stays a string where one is expected."""
    return next((reading for reading in _readings(text) if parameter.kind(reading) is not None), text)


def _readings(text: str) -> Iterator[Any]:
    yield text
    if text in {"true", "false"}:
        yield text == "true"
    value = _raw_value(text)
    yield value if isinstance(value, list) else text.split(",")


def _raw_value(text: str) -> Any:
    """A JSON value if it has an exact one that is not null, else the text itself."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text
    return text if value is None or isinstance(value, float) else value


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    found = get_close_matches(python_name(name), list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _print_json(result: Any) -> None:
    """Readable on a terminal; in one line for another program."""
    written = to_json(result)
    console = Console()
    if console.is_terminal:
        console.print_json(written.decode())
    else:
        click.echo(written)


# methods


@main.command()
@click.argument("name", required=False)
def methods(name: str | None) -> None:
    """List the methods, or show the parameters of one."""
    request_type = _METHODS.get(python_name(name)) if name else None
    if name and request_type is None:
        raise click.UsageError(f"no method {name!r}{_did_you_mean(name, _METHODS)}")
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
    parts = [annotation, *_parts(annotation)]
    kinds = [get_origin(part) or part for part in parts]
    if Sequence in kinds:
        return "list"
    extras = (part.extra or {} for part in parts if isinstance(part, msgspec.Meta))
    values = next((extra["values"] for extra in extras if "values" in extra), None)
    plain = (kind.__name__ for kind in (Decimal, bool, int) if kind in kinds)
    return "|".join(values) if values else next(plain, "str")


def _parts(annotation: Any) -> Iterator[Any]:
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield part
        yield from _parts(part)


# sandbox


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
    "--port", type=click.IntRange(0, 65_535), default=0, help="On 127.0.0.1; 0 takes a free one.", show_default=True
)
@click.option("--tls", is_flag=True, help="Speak TLS, with a certificate of its own.")
@click.option("--cert-out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write that certificate.")
def sandbox(port: int, tls: bool, cert_out: Path | None) -> None:
    """Run the sandbox until Ctrl-C, and print how to connect to it.

    The book has orders of a market maker on both sides. The files it writes are gone when it ends, except that of
    --cert-out.
    """
    if tls:
        _need("trustme", "tls")
    elif cert_out:
        raise click.UsageError("--cert-out goes with --tls")
    _run(partial(_serve, port, tls=tls, cert_out=cert_out))


async def _serve(port: int, *, tls: bool, cert_out: Path | None) -> int:
    funds = trader()
    account = _OpenAccount(funds.uid, funds.balances, maker_rate=funds.maker_rate, taker_rate=funds.taker_rate)
    with tempfile.TemporaryDirectory(prefix="bintrio-sandbox-") as folder:
        key_file = _write(Path(folder, "ed25519.pem"), account.private_key())
        async with open_sandbox(port=port, tls=tls, accounts=[account], start_time_ms=None) as running:
            _quote(running)
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


def _quote(running: Sandbox) -> None:
    """Prices for every symbol that a sandbox trades by default."""
    running.quote("BTCUSDT", Decimal(64_000), Decimal(64_001), Decimal(100))
    running.quote("ETHUSDT", Decimal(3_200), Decimal(3_201), Decimal(1_000))
    running.quote("BNBBTC", Decimal("0.009"), Decimal("0.009001"), Decimal(1_000))


# demo

CALLS: Final = 300
"""Calls around the rotation, at least; as many more as it takes for the new connection to answer some."""

CALLS_AT_ONCE: Final = 64

MOST_CALLS: Final = 3_000
"""Where to stop, whatever the rotation does: the exchange takes 6,000 weight a minute."""

MOST_ORDERS: Final = 40
"""Among those calls: the exchange takes 50 orders in 10 seconds."""

EVENT_TIMEOUT: Final = 5.0
"""Seconds to wait for events that are missing."""

PATIENCE: Final = 60.0
"""Seconds for the whole demo."""


class _Story:
    """Lines with the milliseconds since the line before, and what failed."""

    def __init__(self, console: Console) -> None:
        self.failures: Final[list[str]] = []
        self._console = console
        self._began = self._since = time.perf_counter()

    def chapter(self, title: str) -> None:
        """A headline."""
        self._console.print(f"\n[bold]{title}[/bold]")
        self._since = time.perf_counter()

    def tell(self, text: str) -> None:
        """What was done since the line before."""
        self._console.print(f"{(time.perf_counter() - self._since) * 1000:9.1f} ms  {text}")
        self._since = time.perf_counter()

    def add(self, text: str) -> None:
        """More on the line before."""
        self._console.print(f"{'':12}  {text}")

    def fail(self, text: str) -> None:
        """Something that should not be."""
        self.failures.append(text)

    def expect_none(self, what: str, number: int) -> None:
        """Something that should not be, counted."""
        if number:
            self.fail(f"{what}: {number}")

    def end(self) -> None:
        """The sum of it."""
        self._console.print()
        for failure in self.failures:
            self._console.print(failure, style="red", markup=False)
        colour = "red" if self.failures else "green"
        seconds = time.perf_counter() - self._began
        self._console.print(f"{seconds:.2f} s in all, [{colour}]failures: {len(self.failures)}[/{colour}]")


@main.command()
def demo() -> None:
    """A story with real figures: sandbox, session, orders, events, and a rotation under load.

    Everything runs on this machine, over TCP and once over TLS.
    """
    _need("trustme", "tls")
    _run(_demo)


async def _demo() -> int:
    story = _Story(Console(highlight=False, soft_wrap=True))
    with trio.move_on_after(PATIENCE) as patience:
        try:
            await _over_tcp(story)
            await _over_tls(story)
        except* BintrioError as group:
            for error in _leaves(group):
                story.fail(_in_a_line(error))
    if patience.cancelled_caught:
        story.fail(f"it was not over within {PATIENCE:g} s")
    story.end()
    return min(len(story.failures), 1)


async def _over_tcp(story: _Story) -> None:
    async with open_sandbox() as running:
        _quote(running)
        story.chapter(f"A sandbox exchange on this machine, over TCP: {running.endpoint.urls[0]}")
        async with open_session(running.endpoint, key=running.key) as session, session.user_data() as events:
            story.tell("session open: connected, clock measured, logged on (Ed25519), own events subscribed to")
            await _trade(story, session, events)
            load = await _rotate_under_load(story, session)
            await _compare_events(story, running, events, load.orders)


async def _over_tls(story: _Story) -> None:
    async with open_sandbox(tls=True) as running:
        _quote(running)
        story.chapter(f"The same over TLS: {running.endpoint.urls[0]}")
        async with open_session(running.endpoint, key=running.key, ssl_context=running.ssl_context) as session:
            story.tell("session open: certificate verified, connected, clock measured, logged on")
            placed = await session.order_place(
                symbol="BTCUSDT", side="SELL", type="MARKET", quantity=Decimal("0.01"), new_order_resp_type="FULL"
            )
            story.tell(f"order {placed.order_id}: {_fills(placed)}")
            await _rotate_under_load(story, session)


async def _trade(story: _Story, session: Session, events: Subscriber) -> None:
    book = await session.depth(symbol="BTCUSDT", limit=5)
    bid, ask = book.bids[0], book.asks[0]
    story.tell(
        f"order book of BTCUSDT: {_short(bid.quantity)} BTC bid for at {_short(bid.price)} USDT, "
        f"{_short(ask.quantity)} offered at {_short(ask.price)}"
    )
    price, quantity = bid.price - 1_000, Decimal("0.02")
    resting = await session.order_place(
        symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity=quantity
    )
    story.tell(f"order {resting.order_id}: a limit order to buy {quantity} BTC at {_short(price)} rests in the book")
    placed = await session.order_place(
        symbol="BTCUSDT", side="BUY", type="MARKET", quantity=quantity, new_order_resp_type="FULL"
    )
    story.tell(f"order {placed.order_id}: {_fills(placed)}")
    await session.order_cancel(symbol="BTCUSDT", order_id=resting.order_id)
    story.tell(f"order {resting.order_id}: canceled")
    reports = await _until_canceled(events)
    story.tell("own events: " + ", ".join(f"order {each.order_id} {each.execution_type}" for each in reports))


async def _until_canceled(events: Subscriber) -> list[ExecutionReport]:
    reports: list[ExecutionReport] = []
    while not reports or reports[-1].execution_type != "CANCELED":
        event = await anext(events)
        if isinstance(event, ExecutionReport):
            reports.append(event)
    return reports


def _fills(placed: object) -> str:
    assert isinstance(placed, OrderFull), "what new_order_resp_type asked for"
    fills = ", ".join(f"{_short(fill.qty)} BTC at {_short(fill.price)} USDT" for fill in placed.fills)
    return f"a market order to {placed.side.lower()}, {placed.status}: {fills}"


def _short(number: Decimal) -> str:
    return f"{number.normalize():f}"


class _Load:
    """Calls that keep coming, `CALLS_AT_ONCE` at a time.

    Attributes:
        calls: when each began and ended, failed or not.
        orders: order ids of those that were placed.
        failures: of calls that failed, in words.
        is_under_way: set when a third of `CALLS` have ended.
    """

    def __init__(self, session: Session) -> None:
        self.calls: Final[list[tuple[float, float]]] = []
        self.orders: Final[list[int]] = []
        self.failures: Final[list[str]] = []
        self.is_under_way: Final = trio.Event()
        self._session = session
        self._numbers = itertools.count(1)
        self._last = MOST_CALLS

    async def run(self) -> None:
        """Call until told to stop."""
        async with trio.open_nursery() as nursery:
            for _ in range(CALLS_AT_ONCE):
                nursery.start_soon(self._keep_calling)

    def stop_soon(self) -> None:
        """Enough, once `CALLS` are made and everything that is in flight has been followed by another call."""
        self._last = min(max(CALLS, len(self.calls) + 2 * CALLS_AT_ONCE), MOST_CALLS)

    def worst(self, start: float, end: float) -> float:
        """The longest of the calls that were in flight at any time between the two."""
        return max(ended - began for began, ended in self.calls if began <= end and ended >= start)

    async def _keep_calling(self) -> None:
        while (number := next(self._numbers)) <= self._last:
            began = time.perf_counter()
            try:
                await (self._place() if number % 8 == 0 and number // 8 <= MOST_ORDERS else self._session.ping())
            except BintrioError as error:
                self.failures.append(_in_a_line(error))
            self.calls.append((began, time.perf_counter()))
            if len(self.calls) >= CALLS // 3:
                self.is_under_way.set()

    async def _place(self) -> None:
        placed = await self._session.order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="60000", quantity="0.001"
        )
        self.orders.append(placed.order_id)


async def _rotate_under_load(story: _Story, session: Session) -> _Load:
    load = _Load(session)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        await load.is_under_way.wait()
        old, before = session.connection, time.perf_counter()
        assert old is not None
        in_flight = old.in_flight
        await session.rotate()
        after, owed, new = time.perf_counter(), old.in_flight, session.connection
        load.stop_soon()
    assert new is not None
    for failure in load.failures:
        story.fail(failure)
    story.tell(
        f"{len(load.calls)} calls, {CALLS_AT_ONCE} at a time, {len(load.orders)} of them orders; meanwhile rotated:"
    )
    story.add(f"connection {old.number} to connection {new.number} in {(after - before) * 1000:.1f} ms")
    story.add(f"calls in flight when it began: {in_flight}; at the swap: {owed}, answered by the old connection")
    worst, rest = load.worst(before, after), load.worst(0, before)
    story.add(f"worst latency during the rotation: {worst * 1000:.1f} ms; before it: {rest * 1000:.1f} ms")
    story.add(f"failed calls: {len(load.failures)}; connections lost: {session.counters.losses}")
    story.expect_none("connections lost", session.counters.losses)
    return load


async def _compare_events(story: _Story, running: Sandbox, events: Subscriber, orders: list[int]) -> None:
    """Whether each order was heard of once, once the old connection is gone and can repeat nothing any more."""
    missing, heard = set(orders), Counter[int]()
    with trio.move_on_after(EVENT_TIMEOUT):
        is_over = False
        while not is_over:
            await trio.sleep(0.001)  # the sandbox tells nobody when a connection closes
            is_over = running.connections == 1
        while missing or len(events):
            event = await anext(events)
            if isinstance(event, ExecutionReport) and event.order_id in orders:
                heard[event.order_id] += 1
                missing.discard(event.order_id)
    doubled = heard.total() - len(heard)
    story.tell(f"old connection closed; of {len(orders)} orders, events lost: {len(missing)}, doubled: {doubled}")
    story.expect_none("events lost", len(missing))
    story.expect_none("events doubled", doubled)
