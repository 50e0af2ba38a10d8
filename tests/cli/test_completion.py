"""What a shell completes, asked as shells do: by running the program with click's variables."""

from __future__ import annotations

import os
import shutil
import subprocess
import textwrap
import time
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.shell_completion import ShellComplete, get_completion_class

import bintrio
from bintrio.cli import _completion, main
from bintrio.settings import Settings
from tests.cli.program import no_network


def completed(*words: str) -> list[str]:
    """What is offered for the last of the words."""
    kind = get_completion_class("zsh")
    assert kind is not None
    shell: ShellComplete = kind(main, {}, "bintrio", "_BINTRIO_COMPLETE")
    return [item.value for item in shell.get_completions([*words[:-1]], words[-1])]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def here(name: str) -> str:
        return str(tmp_path / name)

    monkeypatch.setattr(click, "get_app_dir", here)
    for name in [name for name in os.environ if name.startswith("BINTRIO_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("call", "order.am"), ["order.amend.keepPriority", "order.amendments"]),
        (("call", "order_am"), ["order_amend_keep_priority", "order_amendments"]),
        (("methods", "klin"), ["klines"]),
        (("history", "klin"), ["klines"]),
        (("history", "ord"), ["order.amendments"]),
        (("history", "klines", "E"), ["ETHUSDT"]),
        (("history", "klines", "i"), ["interval="]),
        (("history", "klines", "BTCUSDT", "in"), ["interval="]),
        (("history", "klines", "BTCUSDT", "E"), []),
        (("call", "--endpoint", "t"), ["testnet"]),
        (("sandbox", "--market", "r"), ["random-walk"]),
        (("call", "depth", ""), ["limit=", "symbol=", "symbolStatus="]),
        (("call", "depth", "limit=5", "s"), ["symbol=", "symbolStatus="]),
        (("call", "order.place", "side="), ["side=BUY", "side=SELL"]),
        (("call", "order.place", "time_in_force=G"), ["time_in_force=GTC"]),
        (("call", "order.place", "timeInForce", "=", "G"), ["GTC"]),
        (("call", "order.place", "side", "="), ["BUY", "SELL"]),
        (("call", "order.place", "quantity="), []),
        (("call", "order.place", "nothing="), []),
        (("call", "no.method", "s"), []),
    ],
)
def test_a_word_is_completed(words: tuple[str, ...], offered: list[str]) -> None:
    assert sorted(completed(*words)) == sorted(offered)


def test_a_market_may_be_a_file() -> None:
    shell = ShellComplete(main, {}, "bintrio", "_BINTRIO_COMPLETE")
    assert [item.type for item in shell.get_completions(["sandbox", "--market"], "BTCUSDT-1m")] == ["file"]


@pytest.mark.extra
@pytest.mark.parametrize(("offered", "words"), [("side=", "without"), ("side=BUY", "with"), ("", "with")])
def test_bash_puts_no_blank_between_a_name_and_its_value(offered: str, words: str, tmp_path: Path) -> None:
    bash = shutil.which("bash") or pytest.skip("there is no bash")
    answers = tmp_path / "bintrio"
    answers.write_text(f"#!/bin/sh\n[ -z '{offered}' ] || echo plain,{offered}\n")
    answers.chmod(0o755)
    script = f"""
        {_completion.Bash(main, {}, "bintrio", "_BINTRIO_COMPLETE").source()}
        compopt() {{ blank=without; }}
        blank=with COMP_WORDS=(bintrio call order.place si) COMP_CWORD=3
        $(complete -p bintrio | sed 's/.*-F \\([^ ]*\\).*/\\1/') {answers}
        complete -p bintrio | grep -q without_blank && echo "$blank" "${{COMPREPLY[@]}}"
    """
    told = subprocess.run([bash, "--norc", "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [words, *([offered] if offered else [])]


def test_the_script_for_bash_is_the_one_that_puts_no_blank() -> None:
    assert get_completion_class("bash") is _completion.Bash
    assert _completion.Bash(main, {}, "bintrio", "_BINTRIO_COMPLETE").source().endswith("_without_blank bintrio\n")


def test_symbols_are_those_of_the_endpoint_and_are_kept_for_a_day(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BINTRIO_ENDPOINT", environment["BINTRIO_ENDPOINT"])
    assert completed("call", "depth", "symbol=B") == ["symbol=BNBBTC", "symbol=BTCUSDT"]
    (cache,) = (tmp_path / "bintrio").iterdir()
    cache.write_bytes(msgspec.json.encode(["BKEPT"]))
    assert completed("call", "depth", "symbol=B") == ["symbol=BKEPT"]
    yesterday = time.time() - 86_401
    os.utime(cache, (yesterday, yesterday))
    assert completed("call", "depth", "symbol=B") == ["symbol=BNBBTC", "symbol=BTCUSDT"]


@pytest.mark.parametrize(
    "error", [bintrio.ConnectionFailed([("wss://a", OSError("down"))]), ExceptionGroup("", [OSError()])]
)
def test_where_nobody_answers_there_are_those_of_a_sandbox(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch, error)
    assert completed("call", "depth", "symbol=E") == ["symbol=ETHUSDT"]


def test_a_setting_that_is_wrong_keeps_nobody_from_completing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise bintrio.InvalidRequest("wrong")

    monkeypatch.setattr(Settings, "from_env", fail)
    assert "BTCUSDT" in _completion.known_symbols()
