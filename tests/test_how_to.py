"""Every Python block of the how-tos is run, so that none can rot."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from textwrap import indent
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import settings
from bintrio.sandbox import Sandbox, open_sandbox
from tests.proxies import Network, client_context, open_network, over_tls

ROOT: Final = Path(__file__).parent.parent / "docs" / "how-to"
EXAMPLES: Final = ROOT.parent.parent / "examples"
FILES: Final = [file for root in (ROOT.parent, EXAMPLES) for file in sorted(root.rglob("*.*"))]
SHOWN: Final = [
    file for file in FILES if file.suffix in {".md", ".py", ".yaml"} and "BINTRIO_" in file.read_text("utf-8")
]


def blocks(name: str) -> list[str]:
    """What a page has between its fences of Python."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / name).read_text("utf-8"), re.MULTILINE | re.DOTALL)


async def run(block: str, **names: Any) -> None:
    """Run a block where a reader would write it, in a coroutine."""
    namespace: dict[str, Any] = {**names}
    exec(compile(f"async def fragment():\n{indent(block, '    ')}", "how-to", "exec"), namespace)
    with trio.fail_after(3600):
        await namespace["fragment"]()


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / link).exists(), link


# Configuration


@pytest.mark.parametrize("block", blocks("configuration.md"))
async def test_settings_open_a_session(
    block: str,
    network: tuple[Network, Sandbox],
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(settings, "open_session", bintrio.open_session)
    monkeypatch.setenv("BINTRIO_ENDPOINT", "wss://exchange.test/ws-api/v3")
    await run(block, bintrio=bintrio)
    assert "server_time=" in capsys.readouterr().out


def test_every_setting_is_told_of_with_its_default() -> None:
    page = (ROOT / "configuration.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `BINTRIO_(\w+)` \|.*\| ([^|]*) \|$", page, re.MULTILINE))
    names = [name.upper() for name in settings.Settings.__struct_fields__ if name != "key"]
    assert set(told) == {"API_KEY", "PRIVATE_KEY", "PASSPHRASE", "HMAC_SECRET", *names}
    for name in names[3:]:
        assert told[name].strip("`") == str(getattr(settings.Settings(), name.lower()))


@pytest.mark.parametrize("file", SHOWN, ids=lambda file: file.name)
def test_every_variable_that_is_shown_is_a_setting(file: Path) -> None:
    shown = set(re.findall(r"\bBINTRIO_[A-Z][A-Z_]*[A-Z]\b", file.read_text("utf-8")))
    assert {name.removesuffix("_FILE") for name in shown} <= set(settings.VARIABLES)


# The page


async def test_a_program_serves_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("sandbox-page.md")
    await run(block, trio=trio)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+\n", capsys.readouterr().out)


# Proxies


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[Network, Sandbox]]:
    """The how-to's proxies, and the sandbox in the place of the test network."""
    open_session = bintrio.open_session

    def open_here(endpoint: Any, **options: Any) -> AbstractAsyncContextManager[bintrio.Session]:
        return open_session(endpoint, ssl_context=client_context(), **options)

    monkeypatch.setattr(bintrio, "open_session", open_here)
    monkeypatch.setattr(bintrio, "TESTNET", "wss://exchange.test/ws-api/v3")
    async with open_sandbox(listen=False) as sandbox, open_network(monkeypatch) as network:

        async def serve(stream: Any) -> None:
            await sandbox._network._server.serve(stream)

        network.hosts["exchange.test", 443] = over_tls(serve)
        network.hosts["proxy.example", 3128] = network.http()
        network.hosts["far.example", 1080] = network.socks5()
        yield network, sandbox


@pytest.mark.parametrize("block", blocks("proxy.md"))
async def test_a_way_through_a_proxy(
    block: str, network: tuple[Network, Sandbox], monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    await run(block, bintrio=bintrio, trio=trio)
    asked = network[0].asked
    assert asked[-1][1:3] == ("exchange.test", 443)
    assert ("p@ss" in block) == (asked[0][3] == "bob:p@ss/w:rd")


async def test_a_refusal_reads_as_the_page_says(
    network: tuple[Network, Sandbox], autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = (block for block in blocks("proxy.md") if "except" in block)
    network[0].hosts["proxy.example", 3128] = network[0].http(user="bob:x")
    await run(block, bintrio=bintrio)
    assert capsys.readouterr().out.strip() == block.rpartition("# ")[2].strip()
