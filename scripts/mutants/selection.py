"""Which tests can notice a change of a line."""

from __future__ import annotations

import ast
import re
import time
from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import pytest

from .sites import Source, first, last

BUDGET: Final = 60.0
"""Seconds that the tests for one mutant may take, as they were measured: of more, the slowest are left out."""

READING: Final = 0.25
"""Seconds that it takes to read a file of tests, however few of them are run."""

Uses = Mapping[str, Collection[tuple[str, int]]]
"""Where a name stands, by module and line."""


class Coverage(msgspec.Struct):
    """Which tests run which lines, and how long each takes."""

    digest: str
    """Of source and tests as they were."""
    seconds: dict[str, float]
    tests: dict[str, dict[int, list[str]]]
    """By module and line."""
    failed: list[str] = []
    """Those that fail as it is, and so tell nothing."""

    def choose(self, source: Source, line: int, uses: Uses, budget: float = BUDGET) -> list[str]:
        """The tests to run for a change of a line: those of the module's own file, then those that are named after what
        is changed, then others; quick ones first.
        """
        wanted = self._run_by(source.module, source.statement(line)[1])
        words = frozenset[str]()
        if not source.is_in_function(line) or not wanted:  # a decorator is run by the import of others
            words = source.words(line)
            wanted |= self._imported(source, line, uses)
            wanted |= {test for test in self.seconds if any(word in test for word in words)}
        distance = {test: _distance(source.module, words, test) for test in wanted}
        chosen, files, spent = list[str](), set[str](), 0.0
        for test in sorted(wanted, key=lambda test: (distance[test], self.seconds[test], test)):
            file = test.partition("::")[0]
            cost = self.seconds[test] + (0 if file in files else READING)
            if not chosen or spent + cost <= budget:
                chosen.append(test)
                files.add(file)
                spent += cost
        return _file_by_file(chosen, distance)

    def _run_by(self, module: str, lines: Iterable[int]) -> set[str]:
        tests = self.tests.get(module, {})
        return {test for line in lines for test in tests.get(line, ())}

    def _imported(self, source: Source, line: int, uses: Uses) -> set[str]:
        """What the import of the module runs matters to all that is defined by it, and wherever its name is used; for
        a class without methods, who knows where.
        """
        wanted = {test for test in self.seconds if is_own(source.module, test)}
        for _, node in source.around(line):
            wanted |= self._run_by(source.module, range(first(node), last(node) + 1))
        for name in _bound(source.statement(line)[0]):
            for module, number in uses.get(name, ()):
                wanted |= self._run_by(module, [number])
        return wanted or set(self.seconds)


def _bound(statement: ast.stmt | None) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def is_own(module: str, test: str) -> bool:
    """Whether a test stands in a file that looks inside this module."""
    *folders, name = (part.strip("_") for part in module.split("."))
    return re.match(rf"tests/{''.join(folder + '/' for folder in folders)}test_{name}(_\w+)?\.py::", test) is not None


def _distance(module: str, words: Iterable[str], test: str) -> int:
    """How likely a test is to notice, by its name: 0 is best."""
    return 0 if is_own(module, test) else 1 if any(word in test for word in words) else 2


def _file_by_file(tests: Sequence[str], distance: Mapping[str, int]) -> list[str]:
    """Tests in an order that reads each file once: first those that are best, then those of the file with the most."""
    files = by_file(tests)
    best = {file: min(distance[test] for test in group) for file, group in files.items()}
    ordered = sorted(files, key=lambda file: (best[file], -len(files[file]), file))
    return [test for file in ordered for test in files[file]]


def by_file(tests: Iterable[str]) -> dict[str, list[str]]:
    """Tests by the file in which they stand, in their order."""
    files: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        files[test.partition("::")[0]].append(test)
    return files


def uses(sources: Iterable[Source]) -> Uses:
    """Where each name stands."""
    found: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Name | ast.Attribute):
                found[node.id if isinstance(node, ast.Name) else node.attr].add((source.module, node.lineno))
    return found


class Recorder:
    """A plugin of pytest: tells coverage which test is running, and takes the time of those that pass."""

    def __init__(self, tracer: Any) -> None:
        self.tracer = tracer
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Around each test with its fixtures."""
        self.tracer.switch_context(item.nodeid)
        started = time.perf_counter()
        try:
            return (yield)
        finally:
            if item.nodeid not in self.failed:
                self.seconds[item.nodeid] = time.perf_counter() - started
            self.tracer.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """After each part of a test."""
        if report.failed:
            self.failed.append(report.nodeid)
