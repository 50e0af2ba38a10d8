"""A host that is gone without a word, on a network of the test's own: what is written to it is noticed to be lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.extra

SERVER = """
import trio

async def keep(stream):
    await trio.sleep_forever()

async def main():
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_tcp, keep, 7000)
        print("listening", flush=True)

trio.run(main)
"""

CLIENT = """
import sys, trio
from bintrio._net import streams
from bintrio.endpoints import Address

streams.UNACKNOWLEDGED = 1  # for the test's sake; else it is the same with 15 s

async def main():
    stream = await streams.connect_tcp(Address(host="10.111.0.2", port=7000, secure=False, resource="/"))
    print("connected", flush=True)
    await trio.to_thread.run_sync(sys.stdin.readline)  # the link is down now
    if sys.argv[1] == "writes":
        stream.send_nowait(b"an order")
    try:
        await stream.receive_some()
    except trio.BrokenResourceError as error:
        print("noticed:", error, flush=True)

trio.run(main)
"""


class Network(NamedTuple):
    """Two namespaces with a cable between them."""

    ours: str
    theirs: str

    def start(self, namespace: str, program: str, *args: str) -> subprocess.Popen[str]:
        command = ["ip", "netns", "exec", namespace, sys.executable, "-c", program, *args]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, text=True, timeout=30)


@pytest.fixture
def network() -> Iterator[Network]:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs root, to make a network of its own")
    if shutil.which("ip") is None:
        pytest.skip("needs the program ip (Debian's iproute2)")
    ours, theirs = (f"bintrio-{os.getpid()}-{side}" for side in ("ours", "theirs"))
    try:
        ip("netns", "add", ours)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network of one's own to be had here: {error.stderr.strip()}")
    try:
        ip("netns", "add", theirs)
        ip("-n", ours, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", theirs)
        for namespace, address in ((ours, "10.111.0.1/24"), (theirs, "10.111.0.2/24")):
            ip("-n", namespace, "address", "add", address, "dev", "cable")
            ip("-n", namespace, "link", "set", "cable", "up")
        yield Network(ours, theirs)
    finally:
        for namespace in (ours, theirs):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, timeout=30)


@pytest.mark.parametrize("kind", ["writes", "waits"])
def test_g4_a_host_that_is_gone_is_noticed_in_seconds(kind: str, network: Network) -> None:
    """Linux alone would try for a quarter of an hour to deliver the order, and ask an idle host after two hours."""
    with network.start(network.theirs, SERVER) as server, network.start(network.ours, CLIENT, kind) as client:
        try:
            assert server.stdout is not None
            assert client.stdout is not None
            assert server.stdout.readline() == "listening\n"
            assert client.stdout.readline() == "connected\n"
            ip("-n", network.theirs, "link", "set", "cable", "down")
            told, _ = client.communicate("\n", timeout=60)
            assert told.startswith("noticed: the connection is broken: ")
        finally:
            client.kill()
            server.kill()
