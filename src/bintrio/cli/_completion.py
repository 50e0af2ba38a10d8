"""What a shell completes: methods, names of parameters, their known values, and symbols.

The shell asks by running the program (see click's "Shell Completion"), so all of this has to be quick and silent.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import msgspec
import trio
from click.shell_completion import BashComplete, add_completion_class

from bintrio import BintrioError, Request
from bintrio.api._base import catalogue, fields, parameters, python_name
from bintrio.api.enums import known_values
from bintrio.cli._catalogue import METHODS
from bintrio.sandbox import World
from bintrio.settings import ENDPOINTS, Settings

# Seconds that asking for symbols may take, while somebody waits at the prompt.
_PATIENCE: Final = 2.0

# Seconds after which symbols are asked for again.
_DAY: Final = 86_400.0


def complete_method(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The exchange's names of methods; Python's, where one is begun."""
    # The exchange's names have no underscore.
    names: Iterable[str] = METHODS if "_" in begun else catalogue
    return [name for name in names if name.startswith(begun)]


def complete_argument(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The names of a method's parameters with an ``=``, and behind that their values."""
    # click has parsed what stands before the cursor, and leaves None for what does not.
    request_type = METHODS.get(python_name(context.params.get("method") or ""))
    given: Sequence[str] = context.params.get("arguments") or ()
    # What is no method has no parameters to complete.
    if request_type is None:
        return []
    word = _word(given, begun, _types(request_type))
    offered = _names(request_type, given) if word.name is None else _values(word.name, _types(request_type))
    return [f"{word.before}{each}" for each in offered if each.startswith(word.begun)]


def complete_symbol_or_argument(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """As `complete_argument`, for a command whose first argument may be a symbol without its name."""
    # Names of parameters begin with a small letter, symbols with none, and there are thousands of them.
    if context.params.get("arguments") or not begun or begun[0].islower():
        return complete_argument(context, parameter, begun)
    return [symbol for symbol in known_symbols() if symbol.startswith(begun)]


def complete_endpoint(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The names of the exchange's own."""
    return [name for name in ENDPOINTS if name.startswith(begun)]


class Bash(BashComplete):
    """Puts no blank behind ``side=``: the value has to follow at once."""

    def source(self) -> str:
        """The script that a shell evaluates."""
        name = self.func_name
        return f"""{super().source()}
{name}_without_blank() {{
    {name} "$@"
    [[ ${{COMPREPLY[0]-}} == *= ]] && compopt -o nospace
    return 0
}}

complete -o nosort -F {name}_without_blank {self.prog_name}
"""


add_completion_class(Bash)


def _types(request_type: type[Request[Any]]) -> dict[str, Any]:
    """The type of each parameter, by both its names."""
    return {name: field.type for field in fields(request_type) for name in (field.encode_name, field.name)}


def _names(request_type: type[Request[Any]], given: Iterable[str]) -> list[str]:
    """Those that are not given yet, by the exchange's names."""
    taken = {text.partition("=")[0] for text in given}
    return [f"{parameter.wire_name}=" for parameter in parameters(request_type) if parameter.wire_name not in taken]


class _Word(NamedTuple):
    """What is being written: the beginning of a name, or of the value of one.

    Attributes:
        name: whose value it is; None if it is a name.
        begun: as much of it as is there.
        before: what has to stand before the value, since it is one word with it.
    """

    name: str | None
    begun: str
    before: str = ""


def _word(given: Sequence[str], begun: str, known: Collection[str]) -> _Word:
    # bash divides words at "="; others do not. click leaves out one that is the last.
    apart = [text for text in given if text != "="]
    if "=" not in begun and apart and apart[-1] in known:
        return _Word(apart[-1], begun)
    name, equals, value = begun.partition("=")
    return _Word(name, value, f"{name}=") if equals else _Word(None, begun)


def _values(name: str, types: dict[str, Any]) -> Iterable[str]:
    if name in {"symbol", "symbols"}:
        return known_symbols()
    return known_values(types[name]) if name in types else ()


# Symbols


def known_symbols() -> Iterable[str]:
    """Those of the endpoint that the environment names, asked for once a day; else those of a sandbox."""
    try:
        return _symbols(Settings.from_env())
    # Completion is silent: whatever goes wrong, there are the symbols of a sandbox.
    except (BintrioError, BaseExceptionGroup, OSError, msgspec.DecodeError):
        return [symbol.name for symbol in World().symbols]


def _symbols(settings: Settings) -> list[str]:
    address = settings.endpoint.addresses(time_unit="ms")[0]
    # A file for each endpoint: their symbols differ.
    cache = Path(click.get_app_dir("bintrio"), f"symbols-{address.host}-{address.port}.json")
    if cache.exists() and time.time() - cache.stat().st_mtime < _DAY:
        return msgspec.json.decode(cache.read_bytes(), type=list[str])
    symbols = trio.run(_ask, settings)
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_bytes(msgspec.json.encode(symbols))
    return symbols


async def _ask(settings: Settings) -> list[str]:
    """The symbols that are traded: of all that tells them, prices are the shortest answer."""
    # Prices are public, so no logging on is waited for.
    async with settings.open_session(key=None, connect_timeout=_PATIENCE, request_timeout=_PATIENCE) as session:
        prices: Any = await session.ticker_price()
    return sorted(price.symbol for price in prices)
