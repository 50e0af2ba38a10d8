"""The how-tos for those who come from another client: what they call theirs and ours exists, by these names."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from typing import Any, Final

import msgspec
import pytest
from trio.testing import MockClock

import bintrio
from bintrio import account
from bintrio.api._base import catalogue, python_name
from tests.pages import Block, blocks, in_memory, named, page, run_fragment

__all__ = ["in_memory"]

PAGES: Final = ("how-to/from-python-binance.md", "how-to/from-binance-sdk-spot.md", "how-to/from-ccxt.md")
REQUESTS: Final = {python_name(name): request for name, request in catalogue.items()}
THEIRS: Final = {
    "how-to/from-python-binance.md": ("binance", {"client": "AsyncClient"}),
    "how-to/from-binance-sdk-spot.md": (
        "binance_sdk_spot.websocket_api.websocket_api",
        {"connection": "SpotWebSocketAPI"},
    ),
    "how-to/from-ccxt.md": ("ccxt.pro", {"exchange": "binance"}),
}


def rows(name: str) -> list[tuple[str, str]]:
    """What each row has in its two columns, without the heads of the tables."""
    found = re.findall(r"^\| (.*?) \| (.*?) \|$", page(name), re.MULTILINE)
    return [row for row in found if row[0][0] == "`"]


def calls(text: str) -> list[ast.Call]:
    """What is called on a plain name in single backticks."""
    codes = re.findall(r"`([^`]+\))`", text)
    return [
        node
        for code in codes
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]


def owner_and_name(call: ast.Call) -> tuple[str, str]:
    assert isinstance(call.func, ast.Attribute)
    return ast.unparse(call.func.value), call.func.attr


@pytest.mark.usefixtures("in_memory")
@pytest.mark.parametrize("block", [*chain.from_iterable(map(blocks, PAGES))], ids=named)
async def test_our_side_runs(block: Block, autojump_clock: MockClock) -> None:
    await run_fragment(block)


@pytest.mark.parametrize("name", PAGES)
def test_their_side_is_python(name: str) -> None:
    found = re.findall(r"^```py\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)
    assert found
    for source in found:
        compile(source, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("name", PAGES)
def test_what_is_called_ours_exists(name: str) -> None:
    owners: dict[str, Any] = {
        "session": bintrio.Session,
        "bintrio": bintrio,
        "account": account.LiveAccount,
        "order": account.LiveOrder,
        "Ed25519Key": bintrio.Ed25519Key,
    }
    for call in chain.from_iterable(calls(ours) for _, ours in rows(name)):
        owner, method = owner_and_name(call)
        assert hasattr(owners[owner], method), ast.unparse(call)
        if method in REQUESTS:
            fields = {field.name for field in msgspec.structs.fields(REQUESTS[method])}
            assert {str(given.arg) for given in call.keywords} <= fields, ast.unparse(call)


def test_every_error_that_is_named_is_one_of_ours() -> None:
    for name in PAGES:
        for theirs, ours in rows(name):
            if re.fullmatch(r"`[A-Z]\w+`(, `[A-Z]\w+`)*", theirs):
                assert all(hasattr(bintrio, kind) for kind in re.findall(r"`([A-Z]\w+)`", ours)), ours


def test_the_official_client_has_our_names() -> None:
    """As its page says: where the table has both, they differ in one."""
    pairs = [
        (owner_and_name(theirs)[1], owner_and_name(ours)[1])
        for left, right in rows("how-to/from-binance-sdk-spot.md")
        for theirs, ours in zip(calls(left), calls(right), strict=False)
        if owner_and_name(ours)[1] in REQUESTS
    ]
    assert [pair for pair in pairs if pair[0] != pair[1]] == [("ticker24hr", "ticker_24hr")]


@pytest.mark.extra
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # theirs, on being imported
@pytest.mark.parametrize("name", PAGES)
def test_what_is_called_theirs_exists(name: str) -> None:
    module, owners = THEIRS[name]
    if find_spec(module.partition(".")[0]) is None:
        pytest.skip(f"{module} is not installed: pip install -e '.[bench]'")
    library: Any = import_module(module)
    for call in chain.from_iterable(calls(theirs) for theirs, _ in rows(name)):
        owner, method = owner_and_name(call)
        if owner in owners:
            assert hasattr(getattr(library, owners[owner]), method), ast.unparse(call)
