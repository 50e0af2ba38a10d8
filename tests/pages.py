"""What stands on a page of the documentation, and how its blocks of Python are run: in virtual time, in memory.

A block with ``trio.run(`` is a program; one that begins with ``# name.py`` is a file; any other is a fragment, which
stands where a reader would write it: in a coroutine that has a session. Where a block of text follows, with a paragraph
between at most, it is what is printed; an ellipsis stands for what differs from run to run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Any, Final, NamedTuple

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import sandbox as sandboxes
from bintrio.sandbox import Sandbox, open_sandbox

DOCS: Final = Path(__file__).parent.parent / "docs"
_BLOCK: Final = re.compile(r"^```python\n(.*?)^```$(?:\n\n(?:[^`\n#][^\n]*\n)*\n?```text\n(.*?)^```$)?", re.M | re.S)


class Block(NamedTuple):
    """A block of Python.

    Attributes:
        page: where it stands, below the folder of the documentation.
        number: which one of the page it is, from 1 on.
        source: what it says.
        printed: what the page says that it prints; empty if it says nothing of it.
    """

    page: str
    number: int
    source: str
    printed: str

    @property
    def name(self) -> str:
        """Of a file, else empty."""
        found = re.match(r"# (\w+\.py)\n", self.source)
        return found[1] if found else ""

    @property
    def is_program(self) -> bool:
        return "trio.run(" in self.source and not self.name

    def check(self, printed: str) -> None:
        """Hold what was printed against what the page says."""
        told = ".*".join(map(re.escape, self.printed.split("…")))
        assert not self.printed or re.fullmatch(told, printed), printed


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def blocks(name: str) -> list[Block]:
    found = _BLOCK.findall(page(name))
    return [Block(name, number, source, printed) for number, (source, printed) in enumerate(found, 1)]


def named(block: Block) -> str:
    """What a test of a block is called."""
    return f"{block.page.removesuffix('.md')}-{block.number}"


def compiled(block: Block) -> Callable[..., Any]:
    """A fragment as a coroutine function, of whose names it may use any."""
    source = f"async def fragment({', '.join(NAMES)}):\n{indent(block.source, '    ')}"
    namespace: dict[str, Any] = {}
    exec(compile(source, block.page, "exec"), namespace)
    fragment: Callable[..., Any] = namespace["fragment"]
    return fragment


def unknown_names(source: str) -> list[str]:
    """What a block looks up in the library and is not there, also in branches that are not taken."""
    owners: dict[str, Any] = {"bintrio": bintrio, "session": bintrio.Session, "sandbox": Sandbox}
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(f"async def fragment():\n{indent(source, '    ')}"))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in owners
        if not hasattr(owners[node.value.id], node.attr) and node.attr not in SET_WHEN_MADE
    ]


SET_WHEN_MADE: Final = {"counters", "endpoint", "account"}
"""Attributes that an object has and its class has not."""

NAMES: Final = ("bintrio", "trio", "Decimal", "sandbox", "session", "key")


@asynccontextmanager
async def at_hand() -> AsyncGenerator[Mapping[str, Any]]:
    """What a fragment may name: a sandbox with a book, and a session to it."""
    async with (
        sandboxes.open_sandbox() as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key) as session,
    ):
        sandbox.quote("BTCUSDT", Decimal(64_000), Decimal(64_001), Decimal(1))
        values = (bintrio, trio, Decimal, sandbox, session, sandbox.key)
        yield dict(zip(NAMES, values, strict=True))


async def run_fragment(block: Block) -> None:
    async with at_hand() as names:
        with trio.fail_after(30 * 86_400):
            await compiled(block)(**names)


def run_program(block: Block) -> None:
    exec(compile(block.source, block.page, "exec"), {"__name__": "__main__"})


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sandbox is one in memory, and every session leads to the latest of them."""
    latest: list[Sandbox] = []
    open_session = bintrio.open_session

    @asynccontextmanager
    async def open_here(**options: Any) -> AsyncGenerator[Sandbox]:
        here: dict[str, Any] = {"listen": False}
        async with open_sandbox(**options | here) as sandbox:
            latest.append(sandbox)
            yield sandbox

    def lead_here(_endpoint: object, **options: Any) -> AbstractAsyncContextManager[bintrio.Session]:
        here: dict[str, Any] = {"connect": latest[-1].connect}
        return open_session(latest[-1].endpoint, **here | options)

    def key_of_the_sandbox(*_: object, api_key: str, **__: object) -> bintrio.Key:
        assert api_key
        return latest[-1].key

    monkeypatch.setattr(sandboxes, "open_sandbox", open_here)
    monkeypatch.setattr(bintrio, "open_session", lead_here)
    monkeypatch.setattr(bintrio.Ed25519Key, "from_pem_file", key_of_the_sandbox)


@pytest.fixture
def in_virtual_time(in_memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program runs by ``trio.run`` is in memory, and jumps over the time in which nothing happens."""
    monkeypatch.setattr(trio, "run", partial(trio.run, clock=MockClock(autojump_threshold=0)))
