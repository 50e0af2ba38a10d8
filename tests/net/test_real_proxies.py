"""The way through proxies that nobody here wrote: tinyproxy, squid, microsocks and dante, as Debian has them."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import trustme

import bintrio
from bintrio.errors import ConnectionFailed, ProxyFailed
from bintrio.sandbox import Sandbox, open_sandbox

pytestmark = pytest.mark.extra

AUTHORITY: Final = trustme.CA()
PATH: Final = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"  # where Debian has servers

TINYPROXY: Final = """
Port {port}
Listen 127.0.0.1
Timeout 60
BasicAuth bob hunter2-right
ConnectPort {target}
"""

SQUID: Final = """
https_port 127.0.0.1:{port} tls-cert={folder}/cert.pem
http_port 127.0.0.1:{other}
acl allowed port {target}
http_access allow allowed
http_access deny all
pid_filename {folder}/pid
cache_log {folder}/cache.log
access_log none
cache deny all
coredump_dir {folder}
shutdown_lifetime 0 seconds
dns_nameservers 127.0.0.1
hosts_file /etc/hosts
visible_hostname localhost
"""

DANTE: Final = """
logoutput: {folder}/log
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: none
user.unprivileged: {user}
client pass {{ from: 0/0 to: 0/0 }}
socks pass {{ from: 0/0 to: 0/0 port = {target} }}
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(port: int, *command: str, cwd: Path) -> Generator[None]:
    """A server, from when it listens until it is told to end by its id; skips the test if it is not installed."""
    program = shutil.which(command[0], path=PATH)
    if program is None:
        pytest.skip(f"needs {command[0]}, which Debian has")
    process = subprocess.Popen(
        [program, *command[1:]], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        _wait_until_it_listens(port, process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert process.poll() is None, f"it ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("it does not listen")


def configured(folder: Path, text: str, **values: object) -> str:
    file = folder / "proxy.conf"
    file.write_text(text.format(folder=folder, user=pwd.getpwuid(os.getuid()).pw_name, **values))
    return str(file)


async def trade(sandbox: Sandbox, proxy: str | list[str]) -> None:
    """An order, its event, and a change of connection, through a proxy."""
    assert sandbox.ssl_context is not None
    sandbox.ssl_context.load_verify_locations(cadata=AUTHORITY.cert_pem.bytes().decode())
    async with (
        bintrio.open_session(
            sandbox.endpoint, key=sandbox.key, proxy=proxy, ssl_context=sandbox.ssl_context
        ) as session,
        session.user_data() as events,
    ):
        order = await session.order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=64_000, quantity="0.01"
        )
        event = await anext(events)
        assert isinstance(event, bintrio.ExecutionReport)
        assert event.order_id == order.order_id
        await session.rotate()
        assert order.order_id in {each.order_id for each in await session.open_orders_status(symbol="BTCUSDT")}
        assert session.counters.losses == 0


async def refusal(sandbox: Sandbox, proxy: str) -> ProxyFailed:
    with pytest.raises(ConnectionFailed) as caught:
        await trade(sandbox, proxy)
    failed = caught.value.attempts[0][1]
    assert isinstance(failed, ProxyFailed)
    assert "hunter2" not in str(caught.value)
    return failed


def port_of(sandbox: Sandbox) -> int:
    return sandbox.endpoint.addresses(time_unit="ms")[0].port


async def test_tinyproxy_by_http_with_a_password(tmp_path: Path) -> None:
    port = free_port()
    async with open_sandbox(tls=True) as sandbox:
        file = configured(tmp_path, TINYPROXY, port=port, target=port_of(sandbox))
        with running(port, "tinyproxy", "-d", "-c", file, cwd=tmp_path):
            await trade(sandbox, f"http://bob:hunter2-right@127.0.0.1:{port}")
            assert (await refusal(sandbox, f"http://bob:hunter2-wrong@127.0.0.1:{port}")).status in {401, 407}
            assert (await refusal(sandbox, f"http://127.0.0.1:{port}")).status == 407
            async with open_sandbox(tls=True) as elsewhere:
                failed = await refusal(elsewhere, f"http://bob:hunter2-right@127.0.0.1:{port}")
                assert failed.status == 403


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """For a program that gives up being root, and cannot look into pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


async def test_squid_by_https_and_http(open_folder: Path) -> None:
    port, other = free_port(), free_port()
    AUTHORITY.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(open_folder / "cert.pem")
    async with open_sandbox(tls=True) as sandbox:
        file = configured(open_folder, SQUID, port=port, other=other, target=port_of(sandbox))
        with running(port, "squid", "-N", "-n", f"bintrio{port}", "-f", file, cwd=open_folder):
            await trade(sandbox, f"https://127.0.0.1:{port}")
            await trade(sandbox, f"http://127.0.0.1:{other}")
            async with open_sandbox(tls=True) as elsewhere:
                assert (await refusal(elsewhere, f"https://127.0.0.1:{port}")).status == 403


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_microsocks_by_socks5_with_a_password(scheme: str, tmp_path: Path) -> None:
    port = free_port()
    arguments = ("-i", "127.0.0.1", "-p", str(port), "-u", "bob", "-P", "hunter2-right")
    async with open_sandbox(tls=True) as sandbox:
        with running(port, "microsocks", *arguments, cwd=tmp_path):
            await trade(sandbox, f"{scheme}://bob:hunter2-right@127.0.0.1:{port}")
            failed = await refusal(sandbox, f"{scheme}://bob:hunter2-wrong@127.0.0.1:{port}")
            assert "authentication failure" in str(failed)
            failed = await refusal(sandbox, f"{scheme}://127.0.0.1:{port}")
            assert "No acceptable authentication methods" in str(failed)


async def test_dante_by_every_kind_of_socks_and_after_another_proxy(tmp_path: Path) -> None:
    port, first = free_port(), free_port()
    async with open_sandbox(tls=True) as sandbox:
        file = configured(tmp_path, DANTE, port=port, target=port_of(sandbox))
        with running(port, "danted", "-f", file, cwd=tmp_path):
            for scheme in ("socks4", "socks4a", "socks5", "socks5h"):
                await trade(sandbox, f"{scheme}://127.0.0.1:{port}")
            async with open_sandbox(tls=True) as elsewhere:
                failed = await refusal(elsewhere, f"socks5h://127.0.0.1:{port}")
                assert (failed.status, "not allowed by ruleset" in str(failed)) == (2, True)
            with running(first, "microsocks", "-i", "127.0.0.1", "-p", str(first), cwd=tmp_path):
                await trade(sandbox, [f"socks5h://127.0.0.1:{first}", f"socks5h://127.0.0.1:{port}"])
