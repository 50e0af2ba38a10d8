"""``bintrio sandbox``: what it prints and writes, its market, and how it ends."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tomllib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from msgspec.structs import replace

from bintrio.cli import _made, sandbox
from bintrio.cli._running import INTERRUPTED
from bintrio.sandbox import Sandbox, SandboxAccount, World, WorldReplay, open_world, read_world
from tests.cli.program import refused, run


def interrupted(monkeypatch: pytest.MonkeyPatch, look: Callable[[], None] = lambda: None) -> None:
    """Let Ctrl-C come as soon as the sandbox runs, after a look at what it has done."""

    async def interrupt() -> None:
        await trio.lowlevel.checkpoint()
        look()
        raise KeyboardInterrupt

    monkeypatch.setattr(trio, "sleep_forever", interrupt)


def test_sandbox_says_how_to_connect_and_ends_with_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(monkeypatch)
    result = run("sandbox")
    assert result.exit_code == INTERRUPTED
    assert "BINTRIO_ENDPOINT=ws://127.0.0.1:" in result.stdout
    assert "SSL_CERT_FILE" not in result.stdout


def test_sandbox_writes_a_certificate_that_a_client_can_trust(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    interrupted(monkeypatch)
    file = tmp_path / "authority.pem"
    result = run("sandbox", "--tls", "--cert-out", str(file))
    assert result.exit_code == INTERRUPTED, result.output
    assert "BINTRIO_ENDPOINT=wss://127.0.0.1:" in result.stdout
    assert f"SSL_CERT_FILE={file}" in result.stdout
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    assert len(context.get_ca_certs()) == 1


def test_sandbox_says_where_its_certificate_is_for_who_is_in_another_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    interrupted(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert (
        f"SSL_CERT_FILE={tmp_path / 'authority.pem'}" in run("sandbox", "--tls", "--cert-out", "authority.pem").stdout
    )


def test_sandbox_keeps_the_certificate_as_long_as_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(monkeypatch)
    result = run("sandbox", "--tls")
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("certificate"))
    assert not Path(line.split()[1]).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_sandbox_ends_in_good_order_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    files: list[Path] = []

    async def end() -> None:
        signal.raise_signal(number)
        await trio.Event().wait()

    write = _made.write

    def note(path: Path, data: bytes) -> Path:
        files.append(path)
        return write(path, data)

    monkeypatch.setattr(_made, "write", note)
    monkeypatch.setattr(sandbox, "write", note)
    monkeypatch.setattr(trio, "sleep_forever", end)
    result = run("sandbox", "--tls")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(files) == 3
    assert not any(path.exists() for path in files)


@pytest.mark.extra
def test_sandbox_ends_on_sigterm_as_process_1(tmp_path: Path) -> None:
    """As in a container: the kernel drops a signal for process 1 that has no handler of its own."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs unshare, and the right to make a namespace of processes")
    command = [*unshare, sys.executable, "-m", "bintrio", "sandbox", "--tls"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as outer:
        assert outer.stdout is not None
        line = next(line for line in outer.stdout if "BINTRIO_ENDPOINT" in line)
        assert "wss://127.0.0.1" in line
        assert list(tmp_path.iterdir())
        (process_1,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        os.kill(int(process_1), signal.SIGTERM)
        assert outer.wait(timeout=30) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "ws://127.0.0.1:"), ("localhost", "ws://localhost:"), ("127.0.0.1", "ws://127.0.0.1:")],
)
def test_sandbox_listens_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch, host: str, url: str) -> None:
    interrupted(monkeypatch)
    result = run("sandbox", "--host", host)
    assert result.exit_code == INTERRUPTED, result.output
    assert f"BINTRIO_ENDPOINT={url}" in result.stdout


def opened(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, list[Decimal]]:
    """What is bid and asked in each book of a sandbox that was begun with these arguments."""
    found: dict[str, list[Decimal]] = {}

    @asynccontextmanager
    async def spied(world: World, **settings: Any) -> AsyncGenerator[Sandbox, None]:
        assert world.keep
        async with open_world(world, **settings) as running:
            interrupted(monkeypatch, partial(look, running))
            yield running

    def look(running: Sandbox) -> None:
        running.now()
        for name, listing in running._exchange.engine.listings.items():
            found[name] = [price for price, _ in (*listing.book.bids(1), *listing.book.asks(1))]

    monkeypatch.setattr(sandbox, "open_world", spied)
    result = run("sandbox", *arguments)
    assert result.exit_code == INTERRUPTED, result.output
    return found


def test_sandbox_has_quotes_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(monkeypatch)
    assert found["BTCUSDT"] == [64_000, 64_001]
    assert all(len(prices) == 2 for prices in found.values())


def test_sandbox_has_a_market_that_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(monkeypatch, "--market", "random-walk", "--seed", "3")
    assert found["BTCUSDT"] == [64_000, Decimal("64006.4")]
    assert all(len(prices) == 2 for prices in found.values())


def test_sandbox_replays_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "BTCUSDT-trades-2021-01.csv"
    file.write_text("1,100.00,1.0,100.0,1609459200000,True,True\n")
    found = opened(monkeypatch, "--market", str(file))
    assert found == {"BTCUSDT": [100, Decimal("100.01")], "ETHUSDT": [3_200, 3_201], "BNBBTC": found["BNBBTC"]}
    assert len(found["BNBBTC"]) == 2


def test_sandbox_says_what_is_wrong_with_a_market(tmp_path: Path) -> None:
    assert refused("sandbox", "--market", str(tmp_path / "BTCUSDT-1m.csv")).startswith("FileNotFoundError: ")
    file = tmp_path / "BTCUSDT-1m.csv"
    file.write_text("1,2,3\n")
    assert "row 1 of Replay(" in refused("sandbox", "--market", str(file))
    result = run("sandbox", "--seed", "3")
    assert result.exit_code == 2
    assert "--seed goes with --market random-walk" in result.stderr


WORLD = """
start_time_ms = 1_767_225_600_000

[[symbols]]
base = "ABC"
quote = "EUR"
tick_size = 0.1

[[accounts]]
uid = 7
balances = { ABC = 3, EUR = "1000.5" }

[[accounts.keys]]
api_key = "mine"
secret = "s3cret"

[[accounts]]
uid = 8

[quotes.ABCEUR]
bid = 10.1
ask = 10.2
quantity = 5
"""


def test_sandbox_is_what_a_file_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "world.toml"
    file.write_text(WORLD)
    assert opened(monkeypatch, str(file)) == {"ABCEUR": [Decimal("10.1"), Decimal("10.2")]}
    result = run("sandbox", str(file))
    assert [line.split() for line in result.stdout.splitlines() if line.startswith(("account", "HMAC"))] == [
        ["account", "7"],
        ["HMAC", "key", SandboxAccount(7, {}).hmac_key.api_key],
        ["HMAC", "key", "mine"],
        ["account", "8"],
        ["HMAC", "key", SandboxAccount(8, {}).hmac_key.api_key],
    ]
    assert "symbol=ABCEUR" in result.stdout
    assert "s3cret" not in result.stdout


def test_sandbox_prints_a_file_to_begin_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = run("sandbox", "--example")
    assert result.exit_code == 0
    file = tmp_path / "example.toml"
    file.write_text(result.stdout)
    given = set(tomllib.loads(result.stdout))
    assert given >= {"symbols", "accounts", "market", "limits", "link", "faults"}
    interrupted(monkeypatch)
    told, usual = (json.loads(run("sandbox", *args, "--json").stdout)["world"] for args in ((str(file),), ()))
    assert {name for name in given if told[name] != usual[name]} >= {"symbols", "accounts", "market"}


def test_sandbox_prints_what_it_made_for_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    interrupted(monkeypatch)
    kept: list[bytes] = []
    write = _made.write

    def note(path: Path, data: bytes) -> Path:
        kept.append(data)
        return write(path, data)

    monkeypatch.setattr(_made, "write", note)
    file = tmp_path / "world.toml"
    file.write_text(WORLD)
    result = run("sandbox", str(file), "--json")
    (line,) = result.stdout.splitlines()
    told = json.loads(line)
    assert told["endpoint"].startswith("ws://127.0.0.1:")
    assert told["certificate"] is None
    first, second = told["accounts"]
    assert (first["uid"], second["uid"]) == (7, 8)
    ed25519, rsa, hmac, mine = first["keys"]
    assert mine == {"type": "HMAC", "api_key": "mine"}
    account = SandboxAccount(7, {})
    assert hmac == {"type": "HMAC", "api_key": account.hmac_key.api_key, "secret": account.hmac_secret()}
    assert (ed25519["type"], ed25519["api_key"]) == ("Ed25519", account.key.api_key)
    assert (rsa["type"], rsa["api_key"]) == ("RSA", account.rsa_key.api_key)
    assert kept[0] == account.ed25519_pem()
    assert b"PRIVATE KEY" in kept[1]
    assert "s3cret" not in line


def test_the_world_that_sandbox_prints_can_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    interrupted(monkeypatch)
    market = tmp_path / "ABCEUR-trades.csv"
    market.write_text("1,100.00,1.0,100.0,1609459200000,True,True\n")
    file = tmp_path / "world.toml"
    file.write_text(WORLD + f"[market]\ntype = 'replay'\nfile = '{market.name}'\n[[faults]]\ntype = 'MutePings'\n")
    printed = tmp_path / "world.json"
    printed.write_text(json.dumps(json.loads(run("sandbox", str(file), "--json").stdout)["world"]))
    world = read_world(file)
    assert read_world(printed) == replace(
        world, accounts=tuple(replace(account, keys=()) for account in world.accounts)
    )
    assert world.market == WorldReplay(file=market)


@pytest.mark.parametrize("with_tls", [False, True])
def test_sandbox_tells_programs_where_the_certificate_is(
    monkeypatch: pytest.MonkeyPatch, with_tls: bool, tmp_path: Path
) -> None:
    interrupted(monkeypatch)
    certificate = tmp_path / "authority.pem"
    options = ["--tls", "--cert-out", str(certificate)] if with_tls else []
    told = json.loads(run("sandbox", "--json", *options).stdout)
    assert told["certificate"] == (str(certificate) if with_tls else None)
    assert told["world"]["accounts"][0]["balances"]["BTC"] == "100"


def test_sandbox_is_controlled_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(monkeypatch)
    assert json.loads(run("sandbox", "--json").stdout)["control"] is None
    assert json.loads(run("sandbox", "--json", "--control", "0").stdout)["control"].startswith("http://127.0.0.1:")
    assert "control       http://127.0.0.1:" in run("sandbox", "--control", "0").stdout


def test_sandbox_has_a_page_whose_url_has_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(monkeypatch)
    assert json.loads(run("sandbox", "--json").stdout)["page"] is None
    told = json.loads(run("sandbox", "--json", "--page", "--page-host", "localhost").stdout)
    assert re.fullmatch(r"http://localhost:\d+/\?token=[\w-]{43}", told["page"])
    assert "page          http://127.0.0.1:" in run("sandbox", "--page").stdout


@pytest.mark.parametrize("option", [("--page-host", "0.0.0.0"), ("--page-port", "8080")])
def test_sandbox_takes_no_address_of_a_page_that_there_is_not(option: tuple[str, str]) -> None:
    result = run("sandbox", *option)
    assert (result.exit_code, result.stderr.count("--page-host and --page-port go with --page")) == (2, 1)


@pytest.mark.parametrize("asked", [["--control", "0"], ["--page"]], ids=["control", "page"])
@pytest.mark.parametrize("missing", ["starlette", "hypercorn"])
def test_sandbox_says_what_control_and_page_need(
    monkeypatch: pytest.MonkeyPatch, missing: str, asked: list[str]
) -> None:
    find_spec = importlib.util.find_spec

    def found(name: str) -> ModuleSpec | None:
        return None if name == missing else find_spec(name)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    result = run("sandbox", *asked)
    assert (result.exit_code, result.stderr.count(f"needs {missing}: pip install 'bintrio[ui]'")) == (2, 1)


def test_sandbox_serves_a_program_that_knows_its_json_and_its_control(tmp_path: Path) -> None:
    """As a bot's tests in another language do: start it, read a line, tell and ask over HTTP, end it by a signal."""
    file = tmp_path / "world.toml"
    file.write_text(WORLD)
    command = [sys.executable, "-m", "bintrio", "sandbox", str(file), "--json", "--control", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        told = json.loads(program.stdout.readline())
        assert Path(told["accounts"][0]["keys"][0]["private_key_file"]).exists()
        with httpx.Client(base_url=told["control"], trust_env=False) as client:
            paid = client.post("/deposit", json={"uid": 8, "asset": "EUR", "amount": "1.5"}).json()
            assert paid["EUR"]["free"] == "1.50000000"
            assert client.get("/state").json()["endpoint"] == told["endpoint"]
        program.terminate()
        assert (program.wait(timeout=60), program.stderr.read()) == (0, "")
    assert not Path(told["accounts"][0]["keys"][0]["private_key_file"]).exists()


def test_sandbox_names_the_field_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "world.toml"
    file.write_text(WORLD.replace("uid = 8", "uid = 7"))
    assert "there is an account with uid 7 already" in refused("sandbox", str(file))
    file.write_text(WORLD.replace("uid = 8", "uuid = 8"))
    assert refused("sandbox", str(file)) == (
        "InvalidRequest: world.toml: accounts[1]: Object contains unknown field `uuid`\n"
    )
    assert refused("sandbox", str(tmp_path / "none.toml")).startswith("FileNotFoundError: ")


def test_sandbox_says_when_a_host_cannot_be_had() -> None:
    assert refused("sandbox", "--host", "192.0.2.1").startswith("OSError: ")


def test_sandbox_says_when_a_port_is_taken(environment: dict[str, str]) -> None:
    port = environment["BINTRIO_ENDPOINT"].rpartition(":")[2].partition("/")[0]
    assert refused("sandbox", "--port", port).startswith("OSError: ")


def test_sandbox_has_no_certificate_without_tls(tmp_path: Path) -> None:
    result = run("sandbox", "--cert-out", str(tmp_path / "authority.pem"))
    assert result.exit_code == 2
    assert "--cert-out goes with --tls" in result.stderr
