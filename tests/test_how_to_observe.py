"""The how-tos on what a session tells: their blocks are run, and the accounts of logs are those of a run."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, cast
from urllib.request import urlopen

import msgspec
import prometheus_client
import pytest
import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from trio.testing import MockClock

import bintrio
from bintrio import observing
from bintrio._client.logs import LINES
from bintrio.otel import OpenTelemetry
from bintrio.sandbox import Sandbox, open_sandbox
from tests.logbook import ACCOUNTS, account
from tests.test_how_to import ROOT, blocks, run

SOURCE: Final = Path(bintrio.__file__).parent
APART: Final = {"sandbox", "storm", "cli"}
LEVELS: Final = ("debug", "info", "warning", "error", "exception", "critical")
LOGGERS: Final = re.compile(r"^(self\.)?(logger|bugs)\.")
LOGS: Final = (ROOT / "logs.md").read_text("utf-8")


@contextmanager
def leading_to(sandbox: Sandbox) -> Generator[None]:
    """Every session that a block opens is the sandbox's."""
    open_session = bintrio.open_session

    def open_here(_endpoint: Any, **options: Any) -> AbstractAsyncContextManager[bintrio.Session]:
        return open_session(sandbox.memory_endpoint, connect=sandbox.connect, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bintrio, "open_session", open_here)
        yield


async def run_here(block: str, **names: Any) -> None:
    async with open_sandbox(listen=False) as sandbox:
        with leading_to(sandbox):
            await run(block, bintrio=bintrio, trio=trio, msgspec=msgspec, logging=logging, key=sandbox.key, **names)


async def test_observing_prints_what_the_page_says(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    watch, buffer = blocks("observing.md")
    await run_here(watch)
    assert capsys.readouterr().out == "ping 200 None 0.000 s\n"
    await run_here(buffer)
    assert capsys.readouterr().out == "0 0\n"


def test_the_page_names_every_fact() -> None:
    named = set(re.findall(r"`([A-Z]\w+)`", (ROOT / "observing.md").read_text("utf-8")))
    kinds = {
        name for name, each in vars(observing).items() if isinstance(each, type) and issubclass(each, observing.Fact)
    }
    assert named == kinds - {"Fact", "AboutAccount", "AboutCall", "AboutConnection"}


@pytest.mark.parametrize("name", ACCOUNTS)
async def test_the_account_of_the_logs_is_that_of_a_run(name: str, autojump_clock: MockClock) -> None:
    (told,) = re.findall(rf"^## A {name}\n.*?^```\n(.*?)^```$", LOGS, re.MULTILINE | re.DOTALL)
    assert (await account(name)) == told.splitlines()


def test_every_logger_is_named() -> None:
    named = set(re.findall(r"^\| `(bintrio[.\w]*)`", LOGS, re.MULTILINE))
    areas = {f"bintrio.{line.area}" for line in LINES.values()}
    texts = [node.args[0] for node in log_calls("getLogger")]
    written = {text.value for text in texts if isinstance(text, ast.Constant)}
    # Those of the sandbox are named by their modules.
    assert named == areas | written | {"bintrio.sandbox"}


def log_calls(*names: str) -> list[ast.Call]:
    """The calls of methods of that name in the source of the client."""
    files = [file for file in SOURCE.rglob("*.py") if file.relative_to(SOURCE).parts[0] not in APART]
    trees = [ast.parse(file.read_text("utf-8")) for file in files]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in calls if isinstance(node.func, ast.Attribute) and node.func.attr in names]


def test_every_record_has_what_it_is_about_as_attributes() -> None:
    written = [call for call in log_calls(*LEVELS, "log") if LOGGERS.search(ast.unparse(call.func))]
    assert len(written) >= 10
    lacking = [ast.unparse(call) for call in written if "extra" not in {keyword.arg for keyword in call.keywords}]
    assert not lacking


async def test_a_handler_finds_the_fields_of_a_fact(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = blocks("logs.md")
    logger = logging.getLogger("bintrio.connection")
    await run(block)
    try:
        await account("loss")
    finally:
        logger.handlers.clear()
    assert capsys.readouterr().out == "bot-1 1 the server ended the stream without a close frame\n"


async def test_metrics_can_be_scraped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP, from the server that the page starts: it is another library's thread that answers."""
    block, *_ = blocks("opentelemetry.md")
    start, servers = prometheus_client.start_http_server, list[Any]()

    def start_here(port: int, address: str) -> None:
        assert (port, address) == (9464, "127.0.0.1")
        servers.extend(start(0, address))

    scraped: list[str] = []

    def scrape() -> None:
        with urlopen(f"http://127.0.0.1:{servers[0].server_port}/metrics") as answer:
            scraped.append(answer.read().decode())

    async def trade(session: bintrio.Session, _events: object) -> None:
        await session.ping()
        await trio.to_thread.run_sync(scrape)

    monkeypatch.setattr(prometheus_client, "start_http_server", start_here)
    try:
        await run_here(block, trade=trade)
    finally:
        servers[0].shutdown()
        servers[0].server_close()
        servers[1].join()
    assert re.search(r'^rpc_client_call_duration_seconds_count{.*rpc_method="ping".*} 1.0$', scraped[0], re.MULTILINE)
    assert re.search(r'^bintrio_connection_count{.*bintrio_session="bot-1".*} 1.0$', scraped[0], re.MULTILINE)
    assert re.search(r'^bintrio_limit_used.*{.*bintrio_limit="REQUEST_WEIGHT".*}', scraped[0], re.MULTILINE)
    assert re.search(r'^bintrio_subscriber_buffer_limit{.*bintrio_subscriber="fills".*} 10000.0$', scraped[0], re.M)


async def test_a_call_is_traced_within_its_parent(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    _, block, _ = blocks("opentelemetry.md")
    await run_here(block)
    printed = capsys.readouterr().out
    spans = [json.loads(text) for text in re.findall(r"^{\n.*?^}$", printed, re.MULTILINE | re.DOTALL)]
    decide = next(span for span in spans if span["name"] == "decide")
    ping = next(span for span in spans if span["name"] == "ping")
    assert ping["parent_id"] == decide["context"]["span_id"]
    assert ping["attributes"]["bintrio.session"] == "bot-1"


async def test_every_call_has_a_span_on_request(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    *_, block = blocks("opentelemetry.md")
    exporter = InMemorySpanExporter()

    def exported(tracer_provider: TracerProvider, **options: Any) -> OpenTelemetry:
        tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
        return OpenTelemetry(tracer_provider=tracer_provider, **options)

    monkeypatch.setattr("bintrio.otel.OpenTelemetry", exported)
    await run_here(block)
    assert [span.parent for span in exporter.get_finished_spans() if span.name == "ping"] == [None]


async def test_the_page_names_every_metric(autojump_clock: MockClock) -> None:
    reader = InMemoryMetricReader()
    made: set[str] = set()
    provider = MeterProvider([reader])
    make = provider.get_meter("bintrio")

    class Notes:
        def __getattr__(self, name: str) -> Any:
            def note(metric: str, *rest: Any, **options: Any) -> Any:
                made.add(metric)
                return getattr(make, name)(metric, *rest, **options)

            return note

    class Provider:
        def get_meter(self, *_: Any, **__: Any) -> Any:
            return Notes()

    OpenTelemetry(meter_provider=cast("Any", Provider()))
    provider.shutdown()
    table = "\n".join(re.findall(r"^\| `.*$", (ROOT / "opentelemetry.md").read_text("utf-8"), re.MULTILINE))
    named = {name for row in table.splitlines() for name in re.findall(r"`([\w.]+)`", row.split("|")[1])}
    assert named == made


async def test_a_recording_is_made_read_and_played_as_the_page_says(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, read, play = blocks("recording.md")
    await run_here(make)
    await run_here(read)
    assert re.fullmatch(r"OrderBook\(.*\)\n", capsys.readouterr().out)
    async with open_sandbox(listen=False) as sandbox:
        await run(play, bintrio=bintrio, key=sandbox.key)
    assert re.fullmatch(r"\d+ {}\n", capsys.readouterr().out)
    line = json.loads((tmp_path / "day.jsonl").read_text().splitlines()[0])
    (shown,) = re.findall(r"^A line: `(.*?)`", (ROOT / "recording.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert list(line) == re.findall(r'"(\w+)":', shown)
