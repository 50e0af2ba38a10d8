"""The how-tos on what a session tells: their blocks are run, and the accounts of logs are those of a run."""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Final

import msgspec
import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import observing
from bintrio._client.logs import LINES
from bintrio.sandbox import Sandbox, open_sandbox
from tests.logbook import ACCOUNTS, account
from tests.test_how_to import ROOT, blocks, run

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
    assert named == kinds - {"Fact", "AboutCall", "AboutConnection"}


@pytest.mark.parametrize("name", ACCOUNTS)
async def test_the_account_of_the_logs_is_that_of_a_run(name: str, autojump_clock: MockClock) -> None:
    (told,) = re.findall(rf"^## A {name}\n.*?^```\n(.*?)^```$", LOGS, re.MULTILINE | re.DOTALL)
    assert (await account(name)) == told.splitlines()


def test_every_logger_is_named() -> None:
    named = set(re.findall(r"^\| `(bintrio\.\w+)`", LOGS, re.MULTILINE))
    assert named == {f"bintrio.{line.area}" for line in LINES.values()} | {"bintrio.observer"}


async def test_a_handler_finds_the_fields_of_a_fact(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = blocks("logs.md")
    logger = logging.getLogger("bintrio.connection")
    await run(block, logging=logging)
    try:
        await account("loss")
    finally:
        logger.handlers.clear()
    assert capsys.readouterr().out == "bot-1 1 the server ended the stream without a close frame\n"
