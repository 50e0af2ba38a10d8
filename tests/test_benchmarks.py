"""The benchmarks run, and say what they measured. What they measure is not tested here."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from benchmarks import applying, codec, engine, guard, report, soak
from benchmarks.clients import CLIENTS
from benchmarks.run import measure_all
from benchmarks.server import CLOSE, Connection, Exchange, frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.report import Figures, Measured


class Transport:
    """What a connection writes."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
def connection(exchange: Exchange) -> Iterator[Connection]:
    connection = Connection(exchange)
    connection.connection_made(Transport())
    connection.data_received(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    yield connection
    connection.connection_lost(None)


def masked(opcode: int, payload: bytes) -> bytes:
    key = os.urandom(4)
    size = len(payload)
    head = bytes((0x80 | opcode, 0x80 | size)) if size < 126 else bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def written(connection: Connection) -> bytes:
    data: bytes = connection.transport.written
    connection.transport.written = b""
    return data


def unframed(data: bytes) -> Any:
    return json.loads(data[data.index(b"{") :])


def test_the_server_accepts_the_handshake_of_rfc_6455(connection: Connection) -> None:
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in written(connection)


def test_the_server_answers_under_the_id_with_the_example_however_the_bytes_are_cut(connection: Connection) -> None:
    written(connection)
    request = masked(1, b'{"method":"order.place","id":"seven","params":{"note":"%b"}}' % (b"x" * 200))
    for index in range(len(request)):
        connection.data_received(request[index : index + 1])
    answer = unframed(written(connection))
    example = codec.example("order.place", "response-result")
    assert (answer["id"], answer["status"], answer["result"]) == ("seven", 200, example["result"] | {"fills": []})
    assert [limit["count"] for limit in answer["rateLimits"]] == [limit["count"] for limit in example["rateLimits"]]


def test_the_server_leaves_out_rate_limits_that_are_not_wanted(connection: Connection) -> None:
    written(connection)
    connection.data_received(masked(1, b'{"id":1,"method":"ping","params":{"returnRateLimits":false}}'))
    assert unframed(written(connection)) == {"id": 1, "status": 200, "result": {}}


def test_the_server_answers_a_close_and_no_pong(connection: Connection) -> None:
    written(connection)
    connection.data_received(masked(10, b"ping") + masked(8, b""))
    assert written(connection) == CLOSE
    assert connection.transport.is_closed


def test_the_server_sends_events_as_they_are_taken(connection: Connection) -> None:
    connection.data_received(masked(1, b'{"id":1,"method":"userDataStream.subscribe"}'))
    written(connection)
    connection.pause_writing()
    connection.send_events(70)
    assert written(connection) == b""
    connection.resume_writing()
    assert written(connection).count(b'{"subscriptionId":0,"event":{"e":"executionReport"') == 70


def test_the_server_counts_orders_and_keeps_answers_back_until_released(
    exchange: Exchange, connection: Connection
) -> None:
    written(connection)
    count = int(exchange.command("orders").split()[0])
    assert exchange.command("hold") == "done"
    connection.data_received(masked(1, b'{"method":"order.place","id":1}') + masked(1, b'{"method":"ping","id":2}'))
    assert written(connection) == b""
    assert int(exchange.command("orders").split()[0]) == count + 1
    exchange.command("release")
    answers = written(connection)
    assert b'{"id":1,' in answers
    assert b'{"id":2,' in answers
    connection.data_received(masked(1, b'{"method":"ping","id":3}'))
    assert unframed(written(connection))["id"] == 3


def test_a_mute_server_says_nothing_on_the_connections_there_are(exchange: Exchange, connection: Connection) -> None:
    written(connection)
    exchange.command("mute")
    connection.data_received(masked(1, b'{"method":"ping","id":1}'))
    assert written(connection) == b""


def test_the_server_has_as_many_symbols_as_it_is_told(exchange: Exchange, connection: Connection) -> None:
    written(connection)
    exchange.command("symbols 3")
    connection.data_received(masked(1, b'{"method":"exchangeInfo","id":1}'))
    symbols = [symbol["symbol"] for symbol in unframed(written(connection))["result"]["symbols"]]
    assert symbols == ["S0USDT", "S1USDT", "S2USDT"]


def test_the_server_sends_events_at_a_pace() -> None:
    async def main() -> int:
        exchange = Exchange()
        connection = Connection(exchange)
        connection.connection_made(Transport())
        connection.data_received(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        connection.data_received(masked(1, b'{"id":1,"method":"userDataStream.subscribe"}'))
        await exchange.pace(100_000, 70)
        return written(connection).count(b'"executionReport"')

    assert asyncio.run(main()) == 70


@pytest.mark.parametrize("size", [125, 126, 65535, 65536])
def test_the_servers_frames_have_the_shortest_length(size: int) -> None:
    data = frame(b"x" * size)
    assert len(data) - size == (2 if size < 126 else 4 if size < 65536 else 10)


@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_is_not_installed_is_missing_and_the_others_are_measured(
    tls: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(CLIENTS, "missing", "no_such_module")
    rows = ["start", "order, 8 in flight", "events to 4"]
    measured = measure_all(["missing", "bintrio", "trio TCP, the floor"], rows, rounds=1, seconds=0.01, tls=tls)
    assert {client: list(found) for client, found in measured.items()} == {
        "bintrio": rows,
        "trio TCP, the floor": ["start"],
    }
    report.write(measured, report.Conditions(1, 0.01, tls), tmp_path)
    assert (
        json.loads((tmp_path / ("tls.json" if tls else "plain.json")).read_text(encoding="utf-8"))["measured"]
        == measured
    )


@pytest.mark.parametrize("row", ["burst of 50", "1,000 events/s", report.SYMBOLS_SCALE, report.SUBSCRIBERS_SCALE])
def test_a_row_is_measured(row: str) -> None:
    measured = measure_all(["bintrio"], [row], rounds=1, seconds=0.01)
    (figures,) = measured["bintrio"][row]
    assert all(value > 0 for value in figures.values())


def test_applying_an_event_is_held_against_delivering_it(capsys: pytest.CaptureFixture[str]) -> None:
    applying.main(["1"])
    assert "delivering an event: " in capsys.readouterr().out


def test_an_hour_is_soaked_in_virtual_time(autojump_clock: trio.testing.MockClock) -> None:
    async def main() -> Figures:
        return await soak.soak(hour=60, minutes=20)

    figures = trio.run(main, clock=autojump_clock)
    assert figures["calls"] == 600
    assert figures["MB after an hour"] >= 0


@pytest.fixture
def quick_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ROUNDS", 1)
    monkeypatch.setattr(guard, "CALLS", 32)


@pytest.mark.usefixtures("quick_guard")
def test_the_guard_records_and_then_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "guard.json"
    assert guard.main([], path) == 2
    assert guard.main(["--record"], path) == 0
    recorded = json.loads(path.read_text(encoding="utf-8"))
    assert list(recorded) == [guard.environment()]
    assert guard.main([], path) == 0
    recorded[guard.environment()]["event to 1"]["instructions"] /= 1.2
    path.write_text(json.dumps(recorded), encoding="utf-8")
    capsys.readouterr()
    assert guard.main([], path) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "TOO MUCH" in line]
    assert line.startswith("event to 1           instructions")


@pytest.mark.usefixtures("quick_guard")
def test_the_guard_keeps_the_figures_of_other_versions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "guard.json"
    path.write_text('{"some Python": {}}', encoding="utf-8")
    assert guard.main([], path) == 2
    assert "only for: some Python" in capsys.readouterr().out
    assert guard.main(["--record"], path) == 0
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["some Python", guard.environment()]


def test_the_codec_is_measured_without_its_peer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(codec, "official", not_installed)
    assert codec.main(rounds=1, seconds=0) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        [method, "bintrio"] for method in codec.REPLIES
    ]


def not_installed(method: str) -> Any:
    raise ImportError(method)


def test_the_codec_fails_below_its_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    medians = {"bintrio": 1.0, "binance-sdk-spot": codec.GATE}

    def compare(method: str, rounds: int, seconds: float) -> dict[str, float]:
        return medians

    monkeypatch.setattr(codec, "compare", compare)
    assert codec.main() == 0
    medians["binance-sdk-spot"] -= 0.1
    assert codec.main() == 1


def rounds(row: str, **figures: float) -> dict[str, list[Figures]]:
    return {row: [{name.replace("_", "/"): value for name, value in figures.items()}]}


@pytest.mark.parametrize(("ours", "holds"), [(500.0, True), (499.0, False)])
def test_a_bound_holds_from_its_factor_on(ours: float, holds: bool) -> None:
    measured: Measured = {
        "bintrio": rounds("order, 32 in flight", calls_s=ours),
        "ccxt.pro": rounds("order, 32 in flight", calls_s=100.0),
    }
    assert [verdict for _, _, verdict in report.verdicts(measured)] == [holds]


@pytest.mark.parametrize(("failures", "worst", "holds"), [(0, 69.0, True), (0, 71.0, False), (1, 50.0, False)])
def test_a_rotation_must_cost_little_and_fail_nothing(failures: int, worst: float, holds: bool) -> None:
    figures = {"failures": float(failures), "worst ms": worst, "worst in peace ms": 50.0}
    assert [verdict for _, _, verdict in report.verdicts({"bintrio": {"rotation": [figures]}})] == [holds]


def test_tables_show_medians_spread_and_ratios() -> None:
    measured: Measured = {
        "bintrio": {"depth of 5,000": [{"p50": value} for value in (2.0, 1.0, 3.0)]},
        "ccxt.pro": {"depth of 5,000": [{"p50": 8.0}]},
    }
    text = report.markdown(measured, report.Conditions(3, 1, day="2026-11-26"))
    assert text.startswith("# Measured over plain TCP, 2026-11-26\n")
    assert "| bintrio | 2 (1 to 3) | 1.00 |" in text
    assert "| ccxt.pro | 8 (8 to 8) | 4.00 |" in text


@pytest.mark.parametrize("row", [name for name in engine.ROWS if name not in engine.REUSED])
def test_the_engine_s_commands_are_carried_out(row: str) -> None:
    assert engine.ROWS[row]()() > 0


def test_the_engine_s_requests_are_answered() -> None:
    desk = engine._Desk()
    desk.answer('{"id": 1, "method": "time"}', 3)
    assert desk._budget.weight.count(engine._NOW) == 3
