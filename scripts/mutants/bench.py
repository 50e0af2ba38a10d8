"""Copies of the project, in which tests are run against one mutant at a time."""

from __future__ import annotations

import compileall
import contextlib
import math
import multiprocessing
import multiprocessing.connection
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import pytest
from coverage import Coverage as Tracer

from .score import Outcome, Result
from .selection import Coverage, Recorder, by_file
from .sites import PACKAGE, ROOT, Place, Site, Source, changed_lines, modules

FORK: Final = multiprocessing.get_context("fork")
OPTIONS: Final = (
    *("-q", "-m", "not extra", "-p", "no:cacheprovider"),
    *("-p", "no:anyio", "-p", "no:cov", "-p", "no:xdist"),  # half of the time that it takes to begin
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # what is imported before the fork
)
PRELOADED: Final = (
    "cryptography.hazmat.primitives.asymmetric.ec",
    "hypothesis.strategies",
    "trio.testing",
    "trio_websocket",
)
"""What all tests need, and nobody changes: imported once, it is there in each fork."""

MEMORY: Final = 4 << 30
"""Bytes that the tests of a mutant may take."""


def copy_to(folder: Path) -> Path:
    """The working tree as it is now, without what is ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    compileall.compile_dir(folder / "src", quiet=2)
    return folder


def preload() -> None:
    """Make forks quick."""
    for name in PRELOADED:
        import_module(name)


# In the fork


class Chosen:
    """A plugin of pytest: these tests and no others, in this order, each within a limit of CPU time."""

    def __init__(self, tests: Sequence[str], seconds: Mapping[str, float], running: Path) -> None:
        self.order = {test: number for number, test in enumerate(tests)}
        self.seconds = seconds
        self.running = running

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Once all tests of the files are known."""
        items[:] = sorted((i for i in items if i.nodeid in self.order), key=lambda item: self.order[item.nodeid])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before each test."""
        limit = math.ceil(time.process_time() + 5 + 5 * self.seconds[item.nodeid])
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        self.running.write_text(item.nodeid)


def _enter(copy: Path) -> None:
    """Make this process one of a copy."""
    os.setsid()
    os.chdir(copy)
    output = os.open(copy / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.path[:] = [str(copy / "src"), str(copy), *(path for path in sys.path if path not in ("", str(ROOT)))]
    os.environ["PYTHONPATH"] = str(copy / "src")  # for what the tests start


def _record(copy: Path, tests: Sequence[str]) -> None:
    """Run all tests, and write down which run which lines."""
    _enter(copy)
    tracer = Tracer(data_file=None, config_file=False, include=[str(copy / PACKAGE / "*")])
    recorder = Recorder(tracer)
    tracer.start()
    code = pytest.main([*OPTIONS, *tests], plugins=[recorder])
    tracer.stop()
    found: dict[str, dict[int, list[str]]] = {}
    for module, path in modules(copy).items():
        lines = tracer.get_data().contexts_by_lineno(str(copy / path))
        passed = {line: sorted(recorder.seconds.keys() & contexts) for line, contexts in lines.items()}
        found[module] = {line: tests for line, tests in passed.items() if tests}
    (copy / "coverage.json").write_bytes(msgspec.json.encode(Coverage("", recorder.seconds, found, recorder.failed)))
    _leave(0 if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else 1)


def _judge(copy: Path, tests: Sequence[str], seconds: Mapping[str, float]) -> None:
    """Run tests until one fails, file by file, since to read all files takes longer than most tests."""
    _enter(copy)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for file, group in by_file(tests).items():
        if pytest.main(["-x", *OPTIONS, file], plugins=[Chosen(group, seconds, copy / "running")]):
            _leave(1)
    _leave(0)


def _leave(code: int) -> None:
    sys.stdout.flush()
    os._exit(code)


# Before it


def measured(copy: Path, kept: Path, digest: str, tests: Sequence[str]) -> Coverage:
    """Which tests run which lines: what was kept, if nothing has changed since, or by running them."""
    if kept.exists() and (coverage := msgspec.json.decode(kept.read_bytes(), type=Coverage)).digest == digest:
        return coverage
    print("Running all tests once, to see which run which lines", flush=True)
    process = FORK.Process(target=_record, args=(copy, tests))
    process.start()
    try:
        process.join()
    finally:
        _end(process)
    if process.exitcode != 0:
        raise SystemExit((copy / "output").read_text()[-3000:])
    coverage = msgspec.json.decode((copy / "coverage.json").read_bytes(), type=Coverage)
    for test in coverage.failed:
        print(f"Left out, because it fails without a mutant: {test}", flush=True)
    coverage.digest = digest
    kept.write_bytes(msgspec.json.encode(coverage))
    return coverage


def _end(process: ForkProcess) -> None:
    """End a fork, and whatever its tests have started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()


class Job(NamedTuple):
    """One mutant to try."""

    source: Source
    site: Site
    place: Place
    text: str
    tests: list[str]


class Bench:
    """A copy of the project in which one mutant at a time is tried."""

    def __init__(self, copy: Path) -> None:
        self.copy = copy
        self.tried = 0

    def start(self, job: Job, seconds: Mapping[str, float]) -> None:
        """Make the change, and start the tests."""
        self.job = job
        self.tried += 1
        self.path = self.copy / job.source.path.relative_to(ROOT)
        self.modified = self.path.stat().st_mtime_ns
        (self.copy / "running").write_text("")
        self._write(job.text, later=self.tried)
        self.until = time.monotonic() + 60 + 10 * sum(seconds[test] for test in job.tests)
        self.process = FORK.Process(target=_judge, args=(self.copy, job.tests, seconds))
        self.process.start()

    @property
    def is_done(self) -> bool:
        """Whether it has been decided, or takes too long."""
        return not self.process.is_alive() or time.monotonic() > self.until

    def end(self, tests_digest: str) -> Result:
        """Undo the change, and say what came of it."""
        outcome: Outcome = "survived"
        if self.process.exitcode is None or self.process.exitcode < 0:
            outcome = "time"
        elif self.process.exitcode:
            outcome = "killed"
        self.stop()
        return Result(
            site=self.job.site,
            line=self.job.place.line,
            after=changed_lines(self.job.source.text, self.job.text),
            outcome=outcome,
            test="" if outcome == "survived" else (self.copy / "running").read_text(),
            tests=len(self.job.tests),
            source_digest=self.job.source.digest,
            tests_digest=tests_digest,
        )

    def stop(self) -> None:
        """Undo the change, and end whatever runs."""
        _end(self.process)
        self._write(self.job.source.text, later=0)

    def _write(self, text: str, *, later: int) -> None:
        """Python knows by size and second which source a compiled file is of: no two texts may share both."""
        self.path.write_text(text, "utf-8")
        modified = self.modified + later * 1_000_000_000
        os.utime(self.path, ns=(modified, modified))


def run(jobs: Iterator[Job], benches: Sequence[Bench], coverage: Coverage, tests_digest: str) -> Iterator[Result]:
    """Try mutants, one on each bench at a time."""
    busy: list[Bench] = []
    try:
        while True:
            while len(busy) < len(benches) and (job := next(jobs, None)) is not None:
                bench = next(bench for bench in benches if bench not in busy)
                bench.start(job, coverage.seconds)
                busy.append(bench)
            if not busy:
                return
            multiprocessing.connection.wait([bench.process.sentinel for bench in busy], timeout=1)
            for bench in [bench for bench in busy if bench.is_done]:
                busy.remove(bench)
                yield bench.end(tests_digest)
    finally:
        for bench in busy:
            bench.stop()
