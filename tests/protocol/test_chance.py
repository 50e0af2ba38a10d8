"""Where a session takes from what it leaves to chance, and that a seed never reaches a wire."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio._protocol.chance import SYSTEM, Chance, chance_in_use, seeded, using
from bintrio.endpoints import Address
from bintrio.sandbox import open_sandbox
from tests.peer import Exchange, open_exchange


def drawn(chance: Chance) -> tuple[float, bytes, str]:
    return chance.fraction(), chance.octets(5), chance.client_order_id()


def test_a_seed_gives_the_same_each_time_and_another_something_else() -> None:
    assert drawn(seeded(7)) == drawn(seeded("7"))
    assert len({drawn(seeded(seed)) for seed in (7, -7, 8, "seven")}) == 4
    # On every Python: what a seed gave once is written down.
    assert drawn(seeded(7))[1].hex() == "6ebcbee08b"


def test_what_no_seed_was_set_for_comes_from_the_operating_system() -> None:
    assert chance_in_use() is SYSTEM
    assert (SYSTEM.fraction, SYSTEM.octets, SYSTEM.is_predictable) == (random.random, os.urandom, False)
    one, two = SYSTEM.client_order_id(), SYSTEM.client_order_id()
    assert one != two
    assert len(one) == 32
    assert all(sign in "0123456789abcdef" for sign in one)


def divide(one: int, other: int) -> float:
    return one / other


def test_a_source_is_in_use_within_its_block_also_if_that_fails() -> None:
    outer, inner = seeded(1), seeded(2)
    with using(outer):
        with pytest.raises(ZeroDivisionError), using(inner):
            divide(1, chance_in_use() is not inner)
        assert chance_in_use() is outer
    assert chance_in_use() is SYSTEM


async def client_order_id(exchange: Exchange) -> str:
    async with bintrio.open_session("ws://localhost", connect=exchange.connect) as session:
        return session.new_client_order_id()


async def test_a_session_keeps_the_chance_that_it_began_with(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        with using(seeded(3)):
            ids = [await client_order_id(exchange) for _ in range(2)]
        with using(seeded(3)):
            async with bintrio.open_session("ws://localhost", connect=exchange.connect) as session:
                with using(SYSTEM):
                    pass
        assert session.new_client_order_id() == ids[0]
        assert await client_order_id(exchange) != ids[0]
        assert len(set(ids)) == 2


class NoMemory(trio.abc.Stream):
    """A stream that may lead anywhere."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.sent = b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        raise NotImplementedError

    async def aclose(self) -> None:
        await self.inner.aclose()


@pytest.mark.parametrize("is_stapled", [False, True])
async def test_g9_chance_from_a_seed_never_leaves_memory(autojump_clock: MockClock, is_stapled: bool) -> None:
    opened: list[NoMemory] = []
    async with open_sandbox(listen=False) as sandbox:

        async def connect(address: Address) -> trio.abc.Stream:
            inner: Any = await sandbox.connect(address)
            opened.append(NoMemory(inner))
            return trio.StapledStream(opened[-1], inner.receive_stream) if is_stapled else opened[-1]

        with (
            using(seeded(1)),
            pytest.raises(bintrio.InvalidRequest, match="chance from a seed is for streams in memory, not for a NoMem"),
        ):
            async with bintrio.open_session(sandbox.endpoint, connect=connect):
                pass
    assert [stream.sent for stream in opened] == [b""]


async def test_over_streams_in_memory_masks_and_ids_are_those_of_the_seed(autojump_clock: MockClock) -> None:
    asked: list[int] = []

    def octets(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    async with open_sandbox(listen=False) as sandbox:
        with using(Chance(random.random, octets, is_predictable=True)):
            async with bintrio.open_session(sandbox.endpoint, connect=sandbox.connect, key=sandbox.key) as session:
                order = await session.order_place(
                    symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=100, quantity=1
                )
    assert order.client_order_id == "0" * 32
    assert asked == [4096, 16]
