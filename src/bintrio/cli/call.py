"""``bintrio call``: one call, and its result: for people on a terminal, as JSON for programs."""

from __future__ import annotations

from typing import Any

import click
import msgspec
from rich.console import Console

from bintrio import (
    Endpoint,
    InvalidRequest,
    Key,
    Request,
)
from bintrio._protocol.to_json import to_json
from bintrio._text import shown_url
from bintrio.api._base import python_name
from bintrio.api._missing import record_type
from bintrio.cli._arguments import raw_value, request_of, texts_of
from bintrio.cli._catalogue import METHODS, needs_key, no_key, no_method
from bintrio.cli._completion import complete_argument, complete_method
from bintrio.cli._progress import sign_of_life
from bintrio.cli._rows import table_of
from bintrio.cli._running import UNWRITTEN, leave_stdout, run
from bintrio.cli._target import ENVIRONMENT, Target, with_target
from bintrio.endpoints import TimeUnit
from bintrio.settings import ENDPOINTS


@click.command(epilog=ENVIRONMENT)
@click.argument("method", shell_complete=complete_method)
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...", shell_complete=complete_argument)
@with_target
@click.option("--raw", is_flag=True, help="Send names and values as they are, also for a method that is not known.")
@click.option("--signed", is_flag=True, help="With --raw: sign a method that is not known.")
@click.option("--yes", is_flag=True, help="Yes, trade where it costs money.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on a terminal too, where a list is shown as a table.")
def call(
    method: str, arguments: tuple[str, ...], target: Target, raw: bool, signed: bool, yes: bool, as_json: bool
) -> None:
    """Call METHOD and print its result.

    That is JSON; on a terminal, a list of records is a table.

    METHOD is the exchange's name (order.place) or its name in Python (order_place); so are the NAMEs. A VALUE that is a
    list is a JSON array, or items with commas between; a time may be an ISO date. "bintrio methods" lists them all. A
    symbol or known value that is not written as the exchange writes it is refused with a hint.

    With --raw, numbers without a fraction, true, false, and JSON arrays and strings are sent as what they are, all else
    as a string.
    """

    async def make_it() -> int:
        settings = target.settings()
        texts = texts_of(arguments)
        request_type = METHODS.get(python_name(method))
        _check_call(method, request_type, settings.endpoint, settings.key, raw=raw, signed=signed, yes=yes)
        if request_type is not None and not raw:
            # Before the session is opened: bad input is refused without a connection.
            request = request_of(request_type, texts, time_unit=settings.time_unit)
            async with sign_of_life(request_type.api.name), settings.open_session() as session:
                result = await session.send(request)
        else:
            params = {name: raw_value(text) for name, text in texts.items()}
            # A known method may be named as in Python, an unknown one only as the exchange names it.
            name = method if request_type is None else request_type.api.name
            async with sign_of_life(name), settings.open_session() as session:
                result = await session.request(name, params, signed=signed or None)
        return _print(result, settings.time_unit, is_list_shown=not as_json)

    run(make_it)


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
    # Mostly a misspelt name.
    if request_type is None and not raw:
        raise InvalidRequest(f"{no_method(method)}; --raw sends it anyway")
    # Said before a connection is opened for nothing.
    if key is None and (signed or needs_key(request_type)):
        raise InvalidRequest(no_key(method))
    # A command that is repeated from the shell's history must not trade by mistake.
    if _may_trade(request_type, signed=signed) and not yes and _costs_money(where):
        raise InvalidRequest(
            f"{method} may trade on {where.name or shown_url(where.urls[0])}: add --yes if that is what you want"
        )


def _may_trade(request_type: type[Request[Any]] | None, *, signed: bool) -> bool:
    """What is signed and not known may well be a trade."""
    return signed if request_type is None else request_type.api.security == "TRADE"


def _costs_money(where: Endpoint) -> bool:
    """Whether an endpoint is neither a test network nor on this machine."""
    # By host: a user may write the URL of the test network with options of its own.
    harmless = {address.host for name in ("testnet", "demo") for address in ENDPOINTS[name].addresses(time_unit="ms")}
    addresses = where.addresses(time_unit="ms")
    # One address that costs money is enough: the session may use any of them.
    return not all(address.is_loopback or address.host in harmless for address in addresses)


def _print(result: Any, time_unit: TimeUnit, *, is_list_shown: bool) -> int:
    """Readable on a terminal; in one line for another program. Gives the exit code: the call was made in any case."""
    console = Console()
    kind = _kind_of_all(result) if is_list_shown and console.is_terminal else None
    try:
        if kind is not None:
            console.print(table_of(result, kind, time_unit, console, "--json"))
        else:
            _print_json(to_json(result), console)
    except OSError as error:
        click.echo(f"the call was made, but its result cannot be written: {error.strerror}", err=True)
        leave_stdout()
        return UNWRITTEN
    return 0


def _print_json(written: bytes, console: Console) -> None:
    # Colours and line breaks are for people.
    if console.is_terminal:
        # What the terminal's encoding has no character for is escaped.
        console.print_json(written.decode(), ensure_ascii=not console.encoding.startswith("utf"))
    else:
        click.echo(written)


def _kind_of_all(result: Any) -> type[msgspec.Struct] | None:
    """What each item of a result is; None if it is no list of records, or one of several kinds."""
    # Lists come as tuples; all else is shown as JSON.
    if not isinstance(result, tuple):
        return None
    # A record of which a field did not come is still one of its kind.
    kinds = {record_type(item) for item in result}  # pyright: ignore[reportUnknownVariableType]
    kind = kinds.pop() if len(kinds) == 1 else None
    return kind if kind is not None and issubclass(kind, msgspec.Struct) else None
