"""Where the source can be changed, and what it is then."""

from __future__ import annotations

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent.parent
PACKAGE: Final = Path("src/bintrio")
LEFT_OUT: Final = ("sandbox", "storm", "cli", "_version", "__main__", "pytest_plugin")
"""What is not the client: modules, and packages with all in them. Sandbox and storm are the exchange and its faults;
`make soak-mutations` tries the storm."""

BY_CHANCE: Final = re.compile(r"core/ReplaceComparisonOperator_((Eq|NotEq|Lt|LtE|Gt|GtE)_(Is|IsNot)|Is_Eq|IsNot_NotEq)")
"""Identity for values: whether two are the same depends on what Python interns, and proves nothing about a test."""

FOR_TYPE_CHECKERS: Final = re.compile(r"\bTYPE_CHECKING\b|@(typing\.)?(overload|override|final)\b")

_SHORTEST_WORD: Final = 2
"""A name of so many letters stands in other words by chance."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Site(NamedTuple):
    """One way to change one place, told by what stands there: line numbers change with every commit."""

    module: str
    """Without ``bintrio.``: ``api.trading``."""
    definition: str
    """Function or class, qualified; empty for the module."""
    operator: str
    before: str
    """The line."""
    nth: int
    """Among those of which all this is the same."""

    def rank(self, seed: int) -> bytes:
        """Where it stands in a random order; what else there is to change does not matter."""
        return hashlib.sha256(repr((seed, *self)).encode()).digest()


class Place(NamedTuple):
    """Where a site is, in the file as it is now."""

    line: int
    column: int
    occurrence: int
    """How the operator itself counts."""


class Source:
    """A module's text, and what the syntax tells about a line of it."""

    def __init__(self, module: str, path: Path) -> None:
        self.module = module
        self.path = path
        self.text = path.read_text("utf-8")
        self.lines = self.text.splitlines()
        self.tree = ast.parse(self.text)
        self.digest = _digest(self.text)

    @cached_property
    def definitions(self) -> list[tuple[str, Definition]]:
        """Functions and classes by qualified name, outer ones first."""
        return list(_definitions(self.tree, ""))

    @cached_property
    def _annotations(self) -> list[ast.expr]:
        found = (getattr(node, name, None) for node in ast.walk(self.tree) for name in ("annotation", "returns"))
        return [node for node in found if isinstance(node, ast.expr)]

    @cached_property
    def _for_type_checkers(self) -> list[range]:
        """The lines of what stands under ``if TYPE_CHECKING``."""
        tests = (node for node in ast.walk(self.tree) if isinstance(node, ast.If))
        found = (node.body for node in tests if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
        return [range(first(body[0]), last(body[-1]) + 1) for body in found]

    def around(self, line: int) -> list[tuple[str, Definition]]:
        """The functions and classes around a line, outer ones first."""
        return [(name, node) for name, node in self.definitions if first(node) <= line <= last(node)]

    def words(self, line: int) -> frozenset[str]:
        """What tests of the definitions around a line may be named after: their names, and texts in decorators."""
        nodes = [node for _, node in self.around(line)]
        inside = [each for node in nodes for decorator in node.decorator_list for each in ast.walk(decorator)]
        texts = [each.value for each in inside if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        return frozenset(word for word in [*texts, *(node.name for node in nodes)] if len(word) > _SHORTEST_WORD)

    def is_run(self, line: int, column: int) -> bool:
        """Whether it is more than a type, or the star of a function's parameters."""
        here = (line, column)
        types = ((node.lineno, node.col_offset, last(node), node.end_col_offset or 0) for node in self._annotations)
        if any((start, left) <= here < (end, right) for start, left, end, right in types):
            return False
        if any(line in lines for lines in self._for_type_checkers):
            return False
        heads = (node for _, node in self.definitions if not isinstance(node, ast.ClassDef))
        is_head = any(node.lineno <= line and here < (node.body[0].lineno, node.body[0].col_offset) for node in heads)
        return not (is_head and self.lines[line - 1][column] == "*")

    def is_in_function(self, line: int) -> bool:
        """Whether a line is in the body of a function, and so not run by the import."""
        return any(not isinstance(node, ast.ClassDef) and first(node.body[0]) <= line for _, node in self.around(line))

    def statement(self, line: int) -> tuple[ast.stmt | None, range]:
        """The innermost statement around a line, and its lines without those of its body."""
        innermost = None
        for node in ast.walk(self.tree):
            if isinstance(node, ast.stmt) and first(node) <= line <= last(node):
                innermost = node  # breadth first: what comes later is deeper
        if innermost is None:
            return None, range(line, line + 1)
        body: list[ast.stmt] = getattr(innermost, "body", [])
        end = first(body[0]) if body and line < first(body[0]) else last(innermost) + 1
        return innermost, range(first(innermost), end)


def _digest(text: str) -> str:
    """Of what is run: with other comments or docstrings, no mutant has another fate."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body: list[ast.stmt] | ast.expr = getattr(node, "body", [])
        if isinstance(body, list):  # that of a lambda is an expression
            body[:] = [each for each in body if not _is_text(each)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _definitions(parent: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Definition):
            yield prefix + node.name, node
            yield from _definitions(node, f"{prefix}{node.name}.")
        else:
            yield from _definitions(node, prefix)


def first(node: ast.stmt) -> int:
    """The first line of a statement, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def last(node: ast.stmt | ast.expr) -> int:
    """The last line."""
    return node.end_lineno or node.lineno


class StatementRemover:
    """An operator as cosmic-ray has them: ``pass`` in place of a call, a raise, or what changes an object."""

    KINDS: Final = ("atom_expr", "raise_stmt", "del_stmt")

    def mutation_positions(self, node: Any) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Where this node can be changed."""
        if node.type == "simple_stmt" and self._is_removable(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def _is_removable(self, statement: Any) -> bool:
        if statement.type == "expr_stmt":
            # A name that is never bound fails at once, and so says little about a test.
            target, then = statement.children[:2]
            return bool(target.type == "atom_expr" or (then.type == "operator" and then.value != "="))
        return statement.type in self.KINDS

    def mutate(self, node: Any, index: int) -> Any:
        """The node, changed."""
        leaf = node.get_first_leaf()
        node.children[0] = import_module("parso.python.tree").Name("pass", leaf.start_pos, leaf.prefix)
        return node


def _plain_names(replacer: Any) -> Any:
    """Of the exceptions of a handler those that are one word: cosmic-ray fails on ``except (a.B, C)``."""

    def name_nodes(node: Any) -> list[Any]:
        return [name for name in replacer._name_nodes(node) if name.type == "name"]

    return staticmethod(name_nodes)


@cache
def operators() -> Mapping[str, Any]:
    """Everything that changes source, by name."""
    plugins: Any = import_module("cosmic_ray.plugins")
    names = sorted(name for name in plugins.operator_names() if not BY_CHANCE.fullmatch(name))
    found = {name: plugins.get_operator(name) for name in names}
    replacer = found["core/ExceptionReplacer"]
    found["core/ExceptionReplacer"] = type("ExceptionReplacer", (replacer,), {"_name_nodes": _plain_names(replacer)})
    return {
        "bintrio/StatementRemover": StatementRemover(),
        **{name: operator() for name, operator in found.items() if not operator.arguments()},
    }


def sites(source: Source) -> dict[Site, Place]:
    """Every way to change a module that a program could notice."""
    syntax: Any = import_module("cosmic_ray.ast")
    found: dict[Site, Place] = {}
    nodes: list[Any] = list(syntax.ast_nodes(syntax.get_ast(source.text)))
    for name, operator in operators().items():
        seen: Counter[tuple[str, str]] = Counter()
        starts: list[tuple[int, int]] = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, (line, column) in enumerate(starts):
            before = source.lines[line - 1].strip()
            if FOR_TYPE_CHECKERS.search(before) or not source.is_run(line, column):
                continue
            around = source.around(line)
            definition = around[-1][0] if around else ""
            seen[definition, before] += 1
            found[Site(source.module, definition, name, before, seen[definition, before])] = Place(
                line, column, occurrence
            )
    return found


def mutated(source: Source, site: Site, place: Place) -> str | None:
    """The module's text, changed; None if that is not Python any more, or the same."""
    text: str | None = import_module("cosmic_ray.mutating").mutate_code(
        source.text, operators()[site.operator], place.occurrence
    )
    if text is None:
        return None
    try:
        compile(text, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return None
    return None if ast.dump(ast.parse(text)) == ast.dump(source.tree) else text


def changed_lines(before: str, after: str) -> str:
    """What stands in the place of what was changed."""
    old, new = before.splitlines(), after.splitlines()
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    return "\n".join(line.strip() for line in new[start : len(new) - end])


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def modules(root: Path = ROOT) -> dict[str, Path]:
    """The modules that are changed, by name; paths are relative to the project's root."""
    paths = {path.relative_to(root / PACKAGE): path.relative_to(root) for path in (root / PACKAGE).rglob("*.py")}
    return {
        ".".join(inside.with_suffix("").parts): path
        for inside, path in sorted(paths.items())
        if inside.stem != "__init__" and inside.with_suffix("").parts[0] not in LEFT_OUT
    }
