"""Limits shared through a real Redis, which each test starts and ends by itself."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from benchmarks import fleet as benchmark

import bintrio
from bintrio import redis
from bintrio._protocol.leased_ledger import SCRIPT
from bintrio.sandbox import Limits, TooManyRequests, open_sandbox
from tests.protocol.centre import Centre
from tests.protocol.fleet import ROOT, Weather, World, fleet, weight
from tests.test_shared_limits import ORDER

pytestmark = [
    pytest.mark.extra,
    # coredis leaves channels of its own open when a connection breaks.
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]


class Server:
    """A Redis that listens on a socket in a folder of its own.

    Attributes:
        url: of it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder}/socket"

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("needs redis-server, which Debian has")
        command = (
            program,
            "--port",
            "0",
            "--unixsocket",
            f"{self._folder}/socket",
            "--save",
            "",
            "--dir",
            self._folder,
        )
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not (self._folder / "socket").exists():
            time.sleep(0.01)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            (self._folder / "socket").unlink(missing_ok=True)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


@contextmanager
def running() -> Generator[Server]:
    with tempfile.TemporaryDirectory(prefix="redis") as folder:  # a path that is short enough for a socket
        server = Server(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.end()
            gc.collect()  # so that those channels are found here


def test_redis_runs_the_script_as_the_tests_do() -> None:
    """The same reports, one after the other, to both: the same answers, but for the name of the run."""
    coredis = pytest.importorskip("coredis")
    asked: list[tuple[int, list[str], list[str]]] = []

    class Noting(Centre):
        def ask(self, root: str, report: Sequence[str]) -> list[str]:
            answer = super().ask(root, report)
            asked.append((world.now, [*report], answer))
            return answer

    world = World(1, weight(600), Weather(lost=0.1, late=40, succeeds=0.3))
    world.centre = Noting(lambda: world.now)
    fleet(world, 4)
    world.run(12)
    assert len(asked) > 300
    # Redis has a time of its own, which the script asks for; here it is told ours.
    timed = SCRIPT.replace("redis.call('TIME')", "{ tonumber(table.remove(ARGV)) / 1000, 0 }")
    assert timed != SCRIPT

    async def main() -> None:
        async with coredis.Redis.from_url(server.url, decode_responses=True) as client:
            script = client.register_script(timed)
            run = ""
            for now, report, expected in asked:
                report[3] = report[3] and run  # what the process has heard last
                run, *answer = await script(keys=[ROOT], args=[*report, str(now)])
                assert answer == expected[1:]

    with running() as server:
        trio.run(main)


async def test_g12_sessions_of_two_processes_share_a_real_redis() -> None:
    with running() as server:
        async with (
            open_sandbox(listen=False, limits=Limits(weight=600, orders_per_10_seconds=10)) as sandbox,
            redis.open_limits(server.url, address="here") as first,
            redis.open_limits(server.url, address="here") as second,
            bintrio.open_session(
                sandbox.memory_endpoint, key=sandbox.key, connect=sandbox.connect, ledger=first.account("main")
            ) as one,
            bintrio.open_session(
                sandbox.memory_endpoint, key=sandbox.key, connect=sandbox.connect, ledger=second.account("main")
            ) as two,
        ):
            for session in (one, two, one, two):
                await session.send(ORDER)
                await session.depth(symbol="BTCUSDT")
            server.freeze()
            await trio.sleep(1.5)
            was_away = first.is_away
            server.thaw()
            await trio.sleep(1)
            assert (was_away, first.is_away) == (True, False)
            server.end()
            server.start()
            await trio.sleep(1.5)
            await one.depth(symbol="BTCUSDT")
            sandbox.inject(TooManyRequests(method="ping", retry_after=30))
            with pytest.raises(bintrio.RateLimited):
                await one.ping()
            await trio.sleep(0.1)
            assert two.hold is not None
            assert sum(call.status == 429 for call in sandbox.calls) == 1


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(90):
        while not condition():  # noqa: ASYNC110 - other processes are waited for
            await trio.sleep(0.02)


async def test_g12_processes_are_refused_nothing_while_one_is_killed_and_redis_loses_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three of the benchmark's processes, of four sessions each, that place as many orders as there is room for."""
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server, which Debian has")
    monkeypatch.setattr(benchmark, "PROCESSES", 3)
    limits = Limits(orders_per_10_seconds=20)
    with benchmark.running() as server:
        async with open_sandbox(limits=limits, accounts=benchmark.ACCOUNTS) as sandbox:
            seen = sandbox.witness().calls  # all of them: `calls` forgets
            processes = benchmark.processes_of(server, sandbox, "--orders")

            def placed() -> int:
                return len(sandbox.orders)

            try:
                await benchmark.all_connected(sandbox)
                await until(lambda: placed() >= 60)
                processes[0].kill()
                await until(lambda: sandbox.connections == 8)
                server.restart()
                at_restart = placed()
                await until(lambda: placed() >= at_restart + 60)
            finally:
                for process in processes:
                    process.kill()
                    process.wait()
    statuses = Counter(call.answer.status for call in seen if call.answer is not None)
    assert set(statuses) == {200}


async def test_what_a_fleet_costs_is_measured() -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server, which Debian has")
    figures = await benchmark.cost(20)
    assert figures.keys() == {"by itself", "through Redis"}
    gc.collect()


async def test_without_a_server_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(bintrio.ConnectionFailed, match="Unable to establish a connection"):  # and no group
        async with redis.open_limits(f"unix://{tmp_path}/nobody", address="here", connect_timeout=1):
            raise AssertionError
    gc.collect()
