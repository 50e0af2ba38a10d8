"""The shape of the source: how long functions are.

Cycles between modules are forbidden by `test_layers`, and `make lint` counts the ways through a function (C901).
"""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median
from typing import Final

SOURCE: Final = Path(__file__).parent.parent / "src" / "bintrio"

LONGEST: Final = 50
MEDIAN: Final = 6


def lengths(text: str, module: str = "") -> dict[str, int]:
    """The lines of every function of a module without its docstring, by where it stands."""
    return {
        f"{module}:{node.lineno} {node.name}": _length(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
    words = 0 if docstring is None else (docstring.end_lineno or 0) - docstring.lineno + 1
    return (node.end_lineno or 0) - node.lineno + 1 - words


def test_functions_are_short() -> None:
    found: dict[str, int] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        found |= lengths(path.read_text("utf-8"), path.relative_to(SOURCE).as_posix())
    assert len(found) > 1000
    assert {function: length for function, length in found.items() if length > LONGEST} == {}
    assert median(found.values()) <= MEDIAN


def test_a_function_in_another_counts_by_itself_and_a_docstring_not_at_all() -> None:
    text = 'def outer():\n    """Of\n    two lines."""\n    async def inner():\n        return a\n    return inner\n'
    assert lengths(text, "m.py") == {"m.py:1 outer": 4, "m.py:4 inner": 2}
