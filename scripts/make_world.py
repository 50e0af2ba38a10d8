"""Write docs/world.md from `bintrio.sandbox.World`; ``--check`` only compares it.

python -m scripts.make_world
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

import msgspec
from msgspec import UNSET, UnsetType

from bintrio.api.filters import Filter
from bintrio.api.general import ExecutionRule
from bintrio.cli._made import EXAMPLE, Made, MadeAccount, MadeKey
from bintrio.sandbox import (
    Commissions,
    Fault,
    Limits,
    Link,
    MeanOfTrades,
    Rates,
    Symbol,
    Way,
    World,
    WorldAccount,
    WorldKey,
    WorldQuote,
    WorldReplay,
    WorldWalk,
)
from bintrio.sandbox.commands import COMMANDS, Command
from bintrio.sandbox.server.faults import AnyFault
from bintrio.sandbox.views import VIEWS, View
from bintrio.sandbox.words import documented, summary

TARGET: Final = Path(__file__).parent.parent / "docs" / "world.md"
HEAD: Final = """\
<!-- Written by scripts/make_world.py from the records. Do not edit. -->

# Worlds

`bintrio sandbox FILE` makes a sandbox of a file; so do `open_world(read_world(path))` in a program and in tests. The
file is TOML or JSON, by the end of its name. An empty one is the world that there is without a file. What is not listed
here is refused, with the name of the field. Numbers may be written as numbers or as text, and keep every digit; a path
that is not absolute begins at the folder of the file. Fields in bold are required.

`bintrio sandbox --example` prints this one:

```toml
{example}```
"""
COLUMNS: Final = "| field | kind | default | what it is |\n| --- | --- | --- | --- |\n"
PARTS: Final = (
    World,
    Symbol,
    WorldAccount,
    WorldKey,
    Commissions,
    Rates,
    WorldQuote,
    WorldWalk,
    WorldReplay,
    Limits,
    MeanOfTrades,
    Link,
    Way,
)
FAULTS: Final = """\

## Faults

Each has a `type`, and what all have: `method`, the method that it waits for, or none for any; `times`, how often it
strikes (1; null for always); `skip`, how many fitting requests it lets pass first (0). A request is struck by the first
that fits; what is to strike one request together is one fault, `Together`, with `faults` in the order in which they
change what becomes of it:

```toml
[[faults]]
type = "Together"
method = "order.place"
faults = [{ type = "Delay", seconds = 1 }, { type = "DuplicateReply" }, { type = "Disconnect", executed = true }]
```

What strikes a whole connection (`MutePings`, `LateEvents`, `HalfOpen` without a method) strikes all that are open, or
else the next to open. What a [link](#link) does to bytes comes on top of all that.

| type | what it does | fields |
| --- | --- | --- |
"""
PRINTED: Final = """\

## What --json prints

`bintrio sandbox --json` prints one line of JSON when it can be connected to: an object as [made](#made) has it. Its
files are gone when the sandbox ends.
"""
CONTROL: Final = """\

## Control

`bintrio sandbox --control PORT` takes commands over HTTP, from this machine only; it needs the extra `ui`. `GET /`
lists what there is. What is asked for comes by `GET` with a query; what is told comes by `POST` as a JSON object, with
the header `Content-Type: application/json`. Paths begin at the folder in which the sandbox was started. What is wrong
is answered with status 400 and `error`, and with `field`, or with `code` if a book of the sandbox refuses it.
`POST /advance` moves the clock that timestamps, limits, candles and a market go by. Pings, the lifetime of connections
and faults that delay take their time all the same: a client at the other end has a clock of its own.

```
curl --json '{"symbol": "BTCUSDT", "bid": 64000, "ask": 64001, "quantity": 2}' http://127.0.0.1:PORT/quote
curl http://127.0.0.1:PORT/state
curl 'http://127.0.0.1:PORT/candles?symbol=BTCUSDT&interval=5m'
```

| request | what it does | fields |
| --- | --- | --- |
"""
KINDS: Final[Mapping[Any, str]] = {
    Decimal: "number",
    float: "number",
    int: "integer",
    str: "text",
    bytes: "text",
    bool: "true or false",
    Path: "path",
    Any: "text",
    Filter: "filters of the exchange",
    ExecutionRule: "rules of the exchange",
}


def text() -> str:
    """The whole page."""
    parts = "".join(part(record) for record in PARTS)
    faults = "".join(map(fault, get_args(AnyFault)))
    views = "".join(view(name, one) for name, one in VIEWS.items())
    commands = "".join(command(name, one) for name, one in COMMANDS.items())
    printed = "".join(part(record).replace("\n## ", "\n### ") for record in (Made, MadeAccount, MadeKey))
    head = HEAD.replace("{example}", EXAMPLE.read_text("utf-8"))
    return f"{head}{parts}{FAULTS}{faults}{PRINTED}{printed}{CONTROL}{views}{commands}"


def part(record: type[msgspec.Struct]) -> str:
    """One record."""
    title, words = heading(record), documented(record)
    tag = record.__struct_config__.tag
    kind = f" Its `type` is `{tag}`." if tag else ""
    rows = "".join(row(field, words.get(field.name, "")) for field in msgspec.structs.fields(record))
    return f"\n## {title}\n\n{plain(summary(record))}{kind}\n\n{COLUMNS}{rows}"


def heading(record: type[msgspec.Struct]) -> str:
    """As kinds refer to it."""
    name = record.__name__.removeprefix("World") or "World"
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", name).lower()


def row(field: Any, words: str) -> str:
    """One field."""
    default = "" if field.required else shown(field.default if field.default is not msgspec.NODEFAULT else None)
    return f"| {_name(field)} | {kind_of(field.type)} | {default} | {plain(words)} |\n"


def plain(words: str) -> str:
    """Without the marks of Sphinx."""
    return words.replace("``", "`").replace("|", "\\|")


_NO_KINDS: Final = (NoneType, UnsetType)
"""A field that may be null, or may not be there."""


def kind_of(annotation: Any) -> str:
    """What a field takes."""
    if annotation in KINDS:
        return KINDS[annotation]
    origin, members = get_origin(annotation), [one for one in get_args(annotation) if one not in _NO_KINDS]
    if origin is Annotated:
        return kind_of(members[0])
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in members)
    if origin in {Union, UnionType}:
        return "a [fault](#faults)" if annotation == AnyFault else " or ".join(map(kind_of, members))
    if origin is tuple:
        return f"list of {kind_of(members[0]).removeprefix('a ')}"
    if origin is not None and issubclass(origin, Mapping):
        return f"{kind_of(members[1])} by name"
    return f"[{heading(annotation)}](#{heading(annotation).replace(' ', '-')})"


def shown(value: Any) -> str:
    """A default."""
    if isinstance(value, Symbol):
        return value.name
    if value is None or value is UNSET or value == () or isinstance(value, msgspec.Struct):
        return ""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(one)}" for name, one in cast("Mapping[str, Any]", value).items())
    if isinstance(value, tuple):
        items: list[Any] = [*value]
        return ", ".join(map(shown, items))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def fault(kind: type[Fault]) -> str:
    """One fault."""
    return f"| `{kind.__name__}` | {plain(summary(kind))} | {fields(kind, but=Fault.__struct_fields__)} |\n"


def view(name: str, one: View) -> str:
    """One view of the control."""
    return f"| `GET /{name}` | {one.words} | {fields(one.takes)} |\n"


def command(name: str, one: Command) -> str:
    """One command of the control."""
    where = {WorldAccount: "those of an [account](#account)", AnyFault: "those of a [fault](#faults), and its `type`"}
    return f"| `POST /{name}` | {one.words} | {where.get(one.takes) or fields(one.takes)} |\n"


def fields(kind: type[msgspec.Struct], but: Sequence[str] = ()) -> str:
    """The fields of a record in a line."""
    words = documented(kind)
    found = (field for field in msgspec.structs.fields(kind) if field.name not in but)
    return plain("; ".join(f"{_name(one)}: {words.get(one.name, kind_of(one.type)).rstrip('.')}" for one in found))


def _name(field: Any) -> str:
    return f"**{field.name}**" if field.required else field.name


def main() -> int:
    """Write the page, or compare it."""
    if "--check" in sys.argv[1:]:
        return 0 if TARGET.read_text() == text() else 1
    TARGET.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
