"""The law of layers, read off the source. The table says who lives where; the rest of this file only enforces it.

A module imports from what stands before its room in the table. Within a folder that is one room only cycles are
forbidden. An import that only a type checker sees
counts too: a dependency is one whoever follows it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, NamedTuple

import pytest

# The house

LAYERS: Final[tuple[tuple[str, ...], ...]] = (
    # The catalogue and the errors. Building a request raises an error, and an error carries a `RateLimit`, so here the
    # order is one of modules.
    (
        "_text",
        "api",
        "api.enums",
        "api._values",
        "_root_error",
        "errors",
        "endpoints",
        "api._missing",
        "api._rules",
        "api._base",
        "api.orders",
        "api.filters",
        "api.general",
        "api.tickers",
        "api.market",
        "api.account",
        "api.trading",
        "api.sor",
        "api.order_lists",
        "api.authentication",
        "api.user_data",
        "api.events",
        "api._narrowed",
        "api._words",
        "api._help",
        "_public",
        "requests",
    ),
    # Rules without I/O
    (
        "_protocol.*",
        "times",
        "columns",
        "rules.*",
        "account.changes",
        "account.orders",
        "account.state",
        "history.walks",
    ),
    # Bytes over trio
    ("_net.*",),
    # The client
    ("_client.*", "account.*", "history.*", "session", "observing", "recording", "opening", "settings", "_ledger"),
    # The exchange
    ("sandbox.exchange.*", "sandbox.server.*", "sandbox.*", "sandbox.control", "sandbox.page.*"),
    # What puts them together, free to import anything
    (
        "_version",
        "_former_names",
        "bintrio",
        "typing",
        "limits",
        "redis",
        "otel",
        "storm.*",
        "cli.*",
        "pytest_plugin",
        "__main__",
    ),
)

FREE: Final = LAYERS[-1]

SHARED: Final = {
    *LAYERS[0],
    "_protocol.chance",
    "_protocol.exact",
    "_protocol.frames",
    "_protocol.requests",
    "_protocol.signing",
    "_protocol.to_json",
    "_net.scheduling",
    "_net.tasks",
}
"""Client and sandbox meet in the last layer alone, so of the client the sandbox sees only what both ends share."""

ONLY: Final = {
    "sandbox.exchange.*": SHARED,
    "sandbox.server.*": {*SHARED, "sandbox.exchange.*"},
    "sandbox.*": {*SHARED, "sandbox.exchange.*", "sandbox.server.*"},
    "sandbox.control": {*SHARED, "sandbox.exchange.*", "sandbox.server.*", "sandbox.*"},
    "sandbox.page.*": {*SHARED, "sandbox.exchange.*", "sandbox.server.*", "sandbox.*", "sandbox.control"},
}

CLOSED_TO: Final = {
    "coredis": {room for layer in LAYERS for room in layer} - {"redis"},
    "opentelemetry": {room for layer in LAYERS for room in layer} - {"otel"},
    "trio": {*LAYERS[0], *LAYERS[1], "sandbox.exchange.*"},
    "trio_websocket": {room for layer in LAYERS for room in layer} - {"_net.*", "sandbox.server.*"},
    "hypercorn": {room for layer in LAYERS for room in layer} - {"sandbox.control"},
    "starlette": {room for layer in LAYERS for room in layer} - {"sandbox.control", "sandbox.page.*"},
}
"""Which rooms a foreign package may not be named in."""

SOURCE: Final = Path(__file__).parent.parent / "src" / "bintrio"

# The checker


class Import(NamedTuple):
    """One name that is imported: ``sandbox.book`` or ``bintrio`` if it is ours, else as it stands."""

    line: int
    name: str
    is_ours: bool


def modules(source: Path) -> dict[str, Path]:
    """Every module below a folder, by its name without ``bintrio.``; that package itself is ``bintrio``."""
    return {".".join(_parts(path.relative_to(source))) or "bintrio": path for path in source.rglob("*.py")}


def imports(module: str, path: Path, known: set[str]) -> Iterator[Import]:
    """Every import of a module, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, path, node)
            for alias in node.names:
                whole = _import(node.lineno, f"{base}.{alias.name}")
                yield whole if whole.is_ours and whole.name in known else _import(node.lineno, base)


def room_of(module: str) -> str | None:
    """The entry of the table that a module belongs to: its own, else that of the innermost package that has one."""
    rooms = [room for layer in LAYERS for room in layer]
    parts = module.split(".")
    packages = [".".join(parts[:length]) + ".*" for length in range(len(parts), 0, -1)]
    return next((name for name in (module, *packages) if name in rooms), None)


def complaints(source: Path) -> list[str]:
    """What is wrong with a tree, a sentence for each."""
    found = modules(source)
    # A line that takes ten names from one module is one import.
    graph = {module: list(dict.fromkeys(imports(module, path, set(found)))) for module, path in found.items()}
    return [
        *(
            f"{module} has no room: add it to LAYERS in tests/test_layers.py"
            for module in sorted(found)
            if room_of(module) is None
        ),
        *(
            f"{module}, line {imported.line}: {reason}"
            for module, all_imported in sorted(graph.items())
            for imported in all_imported
            if (reason := _objection(module, imported))
        ),
        *_cycles({module: {i.name for i in all_imported if i.is_ours} for module, all_imported in graph.items()}),
    ]


def _parts(path: Path) -> tuple[str, ...]:
    return path.parent.parts if path.name == "__init__.py" else path.with_suffix("").parts


def _import(line: int, name: str) -> Import:
    if name == "bintrio" or name.startswith("bintrio."):
        return Import(line, name.removeprefix("bintrio."), is_ours=True)
    return Import(line, name, is_ours=False)


def _base(module: str, path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = ["bintrio", *module.split(".")] if module != "bintrio" else ["bintrio"]
    climb = node.level - (path.name == "__init__.py")
    return ".".join([*package[: len(package) - climb], *filter(None, [node.module])])


def _objection(module: str, imported: Import) -> str | None:
    room = room_of(module)
    if room is None:
        return None
    if not imported.is_ours:
        closed = room in CLOSED_TO.get(imported.name.split(".")[0], ())
        return f"{imported.name} may not be named here" if closed else None
    target = room_of(imported.name)
    if target is None:
        return f"{imported.name} has no room"
    if room == target or room in FREE:
        return None
    if room in ONLY:
        return None if {target, imported.name} & ONLY[room] else f"{room} may not import {imported.name}"
    order = [each for layer in LAYERS for each in layer]
    return None if order.index(target) < order.index(room) else f"{imported.name} is not below {room}"


def _cycles(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"import cycle: {' <- '.join(error.args[1])}"]
    return []


# The law


def test_the_source_keeps_the_law_of_layers() -> None:
    assert complaints(SOURCE) == []


def test_the_source_is_found() -> None:
    assert {"bintrio", "api", "api._values", "errors", "session"} <= set(modules(SOURCE))


# The page that tells of it

DESIGN: Final = (SOURCE.parent.parent / "docs" / "design.md").read_text("utf-8")


def listed(tree: str) -> Iterator[str]:
    """The files that a drawn tree names, by their paths: folders end in a slash, and have two spaces more each."""
    folders: list[str] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        folder = re.match(r" +(\w+)/ ", line)
        if folder is not None:
            folders[depth:] = [folder[1]]
        elif line:
            for name in re.findall(r"\b\w+\.(?:py|lua|toml)\b", line):
                yield "/".join([*folders[:depth], name])


def test_the_design_lists_every_file() -> None:
    tree = DESIGN.partition("src/bintrio/\n")[2].partition("```")[0]
    files = [path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.suffix in {".py", ".lua", ".toml"}]
    assert sorted({*listed(tree)} - {"__init__.py"}) == sorted(
        path.as_posix() for path in files if path.name != "__init__.py"
    )


def test_the_design_names_what_client_and_sandbox_share() -> None:
    (paragraph,) = re.findall(r"^Client and sandbox never import each other\..*?\n\n", DESIGN, re.DOTALL | re.MULTILINE)
    shared = {name.rpartition(".")[2] for name in SHARED - {*LAYERS[0]}}
    assert [name for name in sorted(shared) if not re.search(rf"\b{name}\b", paragraph)] == []


# The checker sees what it must


def tree(folder: Path, **files: str) -> Path:
    """A source tree: keywords are paths without ``.py``, with ``__`` for a slash and ``init`` for ``__init__``."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/").replace("init", "__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_lawful_tree_is_not_complained_of(tmp_path: Path) -> None:
    source = tree(
        tmp_path,
        init="from .session import Session\nfrom . import errors",
        errors="import msgspec\nfrom .api._values import RateLimit",
        api__init="",
        api___values="",
        api___base="from . import _values\nfrom ..errors import InvalidRequest\nfrom bintrio.api._values import Side",
        _net__wire="import trio_websocket\nimport trio.abc",
        session="import trio\nfrom ._net.wire import Wire",
        sandbox__init="from .server.server import serve\nfrom .exchange import book",
        sandbox__server__init="",
        sandbox__server__server="import trio_websocket\nfrom ..exchange import book\nimport bintrio.api._base",
        sandbox__exchange__init="",
        sandbox__exchange__book="from bintrio import errors\nfrom .methods import general",
        sandbox__exchange__methods__init="",
        sandbox__exchange__methods__general="",
        cli__init="import bintrio\nfrom ..sandbox import serve",
    )
    assert complaints(source) == []


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"errors": "from .session import Session"}, "errors, line 1: session is not below errors"),
        ({"errors": "from . import session", "session": ""}, "errors, line 1: session is not below errors"),
        ({"errors": "import bintrio"}, "errors, line 1: bintrio is not below errors"),
        ({"errors": "from bintrio import Session"}, "errors, line 1: bintrio is not below errors"),
        ({"errors": "import bintrio.session"}, "errors, line 1: session is not below errors"),
        ({"errors": "from bintrio.session import x"}, "errors, line 1: session is not below errors"),
        ({"errors": "import os\ndef f():\n    from . import session", "session": ""}, "errors, line 3: session"),
        (
            {"errors": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .session import Session"},
            "errors, line 3: session is not below errors",
        ),
        ({"api___values": "from ..errors import x"}, "api._values, line 1: errors is not below api._values"),
        ({"api__init": "from ._base import x"}, "api, line 1: api._base is not below api"),
        (
            {"_protocol__events": "from .._net.wire import x"},
            "_protocol.events, line 1: _net.wire is not below _protocol.*",
        ),
        ({"session": "from .sandbox.server import x"}, "session, line 1: sandbox.server is not below session"),
        ({"session": "from . import sandbox", "sandbox__init": ""}, "session, line 1: sandbox is not below session"),
        ({"sandbox__running": "from ..session import x"}, "sandbox.* may not import session"),
        (
            {"sandbox__server__server": "from ..._protocol.rate_limits import x"},
            "sandbox.server.* may not import _protocol.rate_limits",
        ),
        ({"sandbox__server__server": "import bintrio"}, "sandbox.server.* may not import bintrio"),
        (
            {"sandbox__exchange__book": "from ..server import wire", "sandbox__server__wire": ""},
            "sandbox.exchange.* may not import sandbox.server.wire",
        ),
        ({"sandbox__exchange__methods__market": "import trio"}, "sandbox.exchange.methods.market, line 1: trio may"),
        ({"_protocol__clock": "import trio"}, "_protocol.clock, line 1: trio may not be named here"),
        ({"api__market": "from trio.abc import Stream"}, "api.market, line 1: trio.abc may not be named here"),
        ({"_protocol__rotation": "import trio.lowlevel as low"}, "trio.lowlevel may not be named here"),
        ({"session": "import trio_websocket"}, "session, line 1: trio_websocket may not be named here"),
        ({"cli__call": "from trio_websocket import x"}, "cli.call, line 1: trio_websocket may not be named here"),
        ({"sandbox__world": "import starlette.routing"}, "sandbox.world, line 1: starlette.routing may not be named"),
        ({"cli__sandbox": "import hypercorn"}, "cli.sandbox, line 1: hypercorn may not be named here"),
        (
            {"sandbox__running": "from .control import x", "sandbox__control": ""},
            "sandbox.* may not import sandbox.control",
        ),
        ({"novelty": ""}, "novelty has no room: add it to LAYERS in tests/test_layers.py"),
        ({"api__novelty": ""}, "api.novelty has no room: add it to LAYERS"),
        ({"session": "from .novelty import x"}, "session, line 1: novelty has no room"),
        (
            {"sandbox__book": "from .orders import x", "sandbox__orders": "from .book import y"},
            "import cycle: sandbox.book <- sandbox.orders <- sandbox.book",
        ),
        ({"init": "from .cli import main", "cli__init": "import bintrio"}, "import cycle:"),
        ({"sandbox__init": "from .book import x", "sandbox__book": "from . import x"}, "import cycle:"),
    ],
)
def test_what_breaks_the_law_is_named(files: dict[str, str], complaint: str, tmp_path: Path) -> None:
    found = complaints(tree(tmp_path, **files))
    assert found
    assert complaint in found[0]
