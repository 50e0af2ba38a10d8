"""The example bot, as its own program: a real signal ends it, its orders are gone, and its session is closed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import trio

import bintrio
from bintrio.sandbox import DropReply, Sandbox, open_sandbox, open_world, read_world

FOLDER: Final = Path(__file__).parent.parent / "examples" / "bot"
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Bot:
    """The running program.

    Attributes:
        process: its process.
        said: what it has printed, so far as it was waited for.
    """

    def __init__(self, process: trio.Process) -> None:
        self.process: Final = process
        self.said = ""

    async def says(self, words: str) -> None:
        """Wait until it has printed something like that."""
        while not re.search(words, self.said):
            assert self.process.stdout is not None
            heard = await self.process.stdout.receive_some()
            assert heard, self.said
            self.said += heard.decode()

    async def ends(self) -> int:
        assert self.process.stdout is not None
        async for heard in self.process.stdout:
            self.said += heard.decode()
        return await self.process.wait()


@asynccontextmanager
async def running_bot(sandbox: Sandbox, folder: Path, **environ: str) -> AsyncGenerator[Bot]:
    """The bot on a sandbox; ended by its id, if it has not ended by itself."""
    file = folder / "key.pem"
    file.write_bytes(sandbox.account.ed25519_pem())
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BINTRIO_", "BOT_"))}
    own = {
        "BINTRIO_ENDPOINT": sandbox.endpoint.urls[0],
        "BINTRIO_API_KEY": sandbox.key.api_key,
        "BINTRIO_PRIVATE_KEY_FILE": str(file),
    }
    command = [sys.executable, "-u", "-W", "error", str(FOLDER / "bot.py")]
    with trio.fail_after(90):
        process = await trio.lowlevel.open_process(
            command, env={**clean, **own, **environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            yield Bot(process)
        finally:
            if process.poll() is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
                assert process.stdout is not None
                await process.stdout.aclose()


@asynccontextmanager
async def exchange() -> AsyncGenerator[Sandbox]:
    async with open_sandbox() as sandbox:
        sandbox.quote("BTCUSDT", Decimal(64_000), Decimal(64_001), Decimal(1))
        yield sandbox


async def until(condition: Callable[[], Any]) -> None:
    while not condition():  # noqa: ASYNC110 - another process is waited for
        await trio.sleep(0.01)


def statuses(sandbox: Sandbox) -> list[str]:
    return [order.status for order in sandbox.orders]


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_cancels_its_orders_and_closes_its_session(number: signal.Signals, tmp_path: Path) -> None:
    async with exchange() as sandbox, running_bot(sandbox, tmp_path) as bot:
        await bot.says(r"order \d+ buys at 63360")
        assert statuses(sandbox) == ["NEW"]
        bot.process.send_signal(number)
        assert await bot.ends() == 0, bot.said
        assert statuses(sandbox) == ["CANCELED"]
        assert f"{number.name}: leaving" in bot.said
        assert "Traceback" not in bot.said
        await until(lambda: sandbox.connections == 0)


async def test_a_signal_while_an_order_is_on_its_way_leaves_none_behind(tmp_path: Path) -> None:
    async with exchange() as sandbox, running_bot(sandbox, tmp_path) as bot:
        sandbox.inject(DropReply("order.place"))
        await until(lambda: sandbox.orders)
        bot.process.send_signal(signal.SIGTERM)
        assert await bot.ends() == 0, bot.said
        assert statuses(sandbox) == ["CANCELED"]
        assert "buys at" not in bot.said


async def test_orders_of_others_are_left_alone(tmp_path: Path) -> None:
    async with (
        exchange() as sandbox,
        running_bot(sandbox, tmp_path, BOT_PAUSE="0.05") as bot,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key) as session,
    ):
        mine = await session.order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=60_000, quantity="0.01"
        )
        await bot.says(r"(?s)canceled.*buys at.*canceled")  # it renews its order meanwhile
        bot.process.send_signal(signal.SIGTERM)
        assert await bot.ends() == 0, bot.said
        (left,) = await session.open_orders_status(symbol="BTCUSDT")
        assert left.order_id == mine.order_id


async def test_what_is_refused_or_cannot_be_right_is_told(tmp_path: Path) -> None:
    async with exchange() as sandbox:
        async with running_bot(sandbox, tmp_path, BOT_QUANTITY="0.00000001", BOT_PAUSE="0.05") as bot:
            await bot.says(r"refused: order\.place: 400 -1013 ")
            bot.process.send_signal(signal.SIGTERM)
            assert await bot.ends() == 0, bot.said
        async with running_bot(sandbox, tmp_path, BINTRIO_REQUEST_TIMEOUT="soon") as bot:
            assert await bot.ends() == 1
            assert "BINTRIO_REQUEST_TIMEOUT must be a number" in bot.said


async def test_the_world_of_the_compose_file_knows_the_bots_key() -> None:
    texts = {name: (FOLDER / f"{name}.txt").read_text().strip() for name in ("api-key", "hmac-secret")}
    async with open_world(read_world(FOLDER / "sandbox.toml"), listen=False) as sandbox:
        key = bintrio.HmacKey(texts["api-key"], texts["hmac-secret"])
        async with bintrio.open_session(sandbox.memory_endpoint, key=key, connect=sandbox.connect) as session:
            assert (await session.account_status()).balances


# Containers


@pytest.mark.extra
@pytest.mark.parametrize(
    "command",
    [
        ("hadolint", "--no-color", str(FOLDER / "Dockerfile")),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(FOLDER / "compose.yaml")),
    ],
)
def test_the_files_for_containers_are_clean(command: tuple[str, ...]) -> None:
    program = shutil.which(command[0], path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("needs the extra containers")
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
