"""The shape of the source: how long modules and functions are, and how many ways lead through a function.

Cycles between modules are forbidden by `test_layers`. `make lint` counts ways as well (C901), without the operators of
conditions.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median
from typing import Final

import pytest

SOURCE: Final = Path(__file__).parent.parent / "src" / "bintrio"

LONGEST_MODULE: Final = 500
TABLES: Final[set[str]] = set()
"""Modules that are tables, and so may be longer."""

LONGEST: Final = 50
MEDIAN: Final = 6
MOST_WAYS: Final = 10
MEAN_OF_WAYS: Final = 2.6
"""Of functions. Counted with classes as `radon cc -a` does it, which takes a plain one for 1, that is a mean of 2.4."""

_FORKS: Final = (
    *(ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.comprehension, ast.match_case),
    ast.Assert,
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> dict[str, str]:
    """Every module's text, by its path in the package."""
    return {path.relative_to(SOURCE).as_posix(): path.read_text("utf-8") for path in sorted(SOURCE.rglob("*.py"))}


def ways(text: str, module: str = "") -> dict[str, int]:
    """How many ways lead through each function of a module, operators of conditions counted; inner functions apart."""
    return {
        f"{module}:{node.lineno} {node.name}": 1 + sum(map(_forks, _own(node)))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, Function)
    }


def _own(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function):
            yield child
            yield from _own(child)


def _forks(node: ast.AST) -> int:
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    return isinstance(node, _FORKS)


def lengths(text: str, module: str = "") -> dict[str, int]:
    """The lines of every function of a module without its docstring, by where it stands."""
    return {
        f"{module}:{node.lineno} {node.name}": _length(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, Function)
    }


def _length(node: Function) -> int:
    docstring = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
    words = 0 if docstring is None else (docstring.end_lineno or 0) - docstring.lineno + 1
    return (node.end_lineno or 0) - node.lineno + 1 - words


def test_modules_are_short() -> None:
    found = {module: text.count("\n") for module, text in sources().items()}
    assert {module: lines for module, lines in found.items() if lines > LONGEST_MODULE and module not in TABLES} == {}


@pytest.mark.untraced
def test_few_ways_lead_through_a_function() -> None:
    found: dict[str, int] = {}
    for module, text in sources().items():
        found |= ways(text, module)
    assert {function: number for function, number in found.items() if number > MOST_WAYS} == {}
    assert mean(found.values()) <= MEAN_OF_WAYS


def test_each_condition_is_a_way() -> None:
    text = """
def outer(a):
    if a and b or c:
        return [x for x in a if x if not x]
    def inner():
        while a: pass
    try:
        return a if b else c
    except E:
        assert a
"""
    assert ways(text, "m") == {"m:2 outer": 10, "m:5 inner": 2}


@pytest.mark.untraced
def test_functions_are_short() -> None:
    found: dict[str, int] = {}
    for module, text in sources().items():
        found |= lengths(text, module)
    assert len(found) > 1000
    assert {function: length for function, length in found.items() if length > LONGEST} == {}
    assert median(found.values()) <= MEDIAN


def test_a_function_in_another_counts_by_itself_and_a_docstring_not_at_all() -> None:
    text = 'def outer():\n    """Of\n    two lines."""\n    async def inner():\n        return a\n    return inner\n'
    assert lengths(text, "m.py") == {"m.py:1 outer": 4, "m.py:4 inner": 2}


# Comments and docstrings

_BEHIND_A_BRACKET: Final = re.compile(r"^\s*[])}]+[,:]?  # (?!fmt: |noqa|type: |pyright: ).*", re.MULTILINE)


def test_a_comment_stands_at_what_it_explains() -> None:
    """And not behind the bracket that closes it, lines below: a formatter that wraps a line leaves it there."""
    found = {module: _BEHIND_A_BRACKET.findall(text) for module, text in sources().items()}
    assert {module: comments for module, comments in found.items() if comments} == {}


def test_comments_behind_a_bracket_are_found() -> None:
    text = "a = (\n    1\n)  # why\nb = [\n    2\n]  # fmt: skip\nc = (3)  # of this line\n"
    assert _BEHIND_A_BRACKET.findall(text) == [")  # why"]


def test_no_docstring_begins_with_a_quotation_mark() -> None:
    assert [module for module, text in sources().items() if '""""' in text] == []
