"""What arrives over a link, when and in which pieces; in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio.sandbox import Disconnect, Link, Sandbox, Way, open_sandbox
from bintrio.sandbox.server.links import IDEAL, PACKET, Passage
from bintrio.sandbox.server.memory import Line, memory_stream_pair
from tests.streams import WholeStream

from .peer import HANDSHAKE
from .test_hostile import ADDRESS

Arrival = tuple[float, bytes]
LATE = Way(latency=0.5)
RESET = r"the connection (was reset|is gone)"


async def read(stream: trio.abc.Stream, arrivals: list[Arrival]) -> None:
    """Note what comes and when, until the end."""
    async for data in stream:
        arrivals.append((trio.current_time(), bytes(data)))
    arrivals.append((trio.current_time(), b""))


# One way


async def test_what_is_sent_arrives_after_the_latency_of_its_way(autojump_clock: MockClock) -> None:
    client, server = memory_stream_pair(Link(up=Way(latency=0.2), down=LATE))
    await client.send_all(b"there")
    assert await server.receive_some() == b"there"
    assert trio.current_time() == pytest.approx(0.2)
    await server.send_all(b"back")
    assert await client.receive_some() == b"back"
    assert trio.current_time() == pytest.approx(0.7)


async def test_a_bandwidth_stretches_what_is_sent_and_what_is_sent_after_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    client, server = memory_stream_pair(Link(down=Way(bandwidth=PACKET, latency=1)))
    arrivals: list[Arrival] = []
    nursery.start_soon(read, client, arrivals)
    await server.send_all(b"x" * 2 * PACKET)
    await server.send_all(b"y" * (PACKET // 2))
    await server.aclose()
    await trio.sleep(10)
    assert [at for at, _ in arrivals] == pytest.approx([2, 3, 3.5, 3.5])
    assert [data[:1] for _, data in arrivals] == [b"x", b"x", b"y", b""]


async def test_each_read_gets_no_more_than_a_segment() -> None:
    client, server = memory_stream_pair(Link(down=Way(segment=1)))
    await server.send_all(b"abc")
    assert [await client.receive_some() for _ in range(3)] == [b"a", b"b", b"c"]


async def test_ragged_reads_bring_any_number_of_bytes_up_to_the_most_and_half_of_them_one() -> None:
    client, server = memory_stream_pair(Link(down=Way(ragged=8)))
    await server.send_all(b"x" * 9_000)
    sizes = Counter([len(await client.receive_some()) for _ in range(2_000)])
    assert set(sizes) == set(range(1, 9))
    assert sizes[1] == pytest.approx(2_000 * (1 / 2 + 1 / 16), rel=0.1)


async def test_ragged_reads_are_the_same_for_the_same_seed() -> None:
    async def sizes(seed: int) -> list[int]:
        client, server = memory_stream_pair(Link(down=Way(ragged=60), seed=seed))
        await server.send_all(b"x" * 1_000)
        return [len(await client.receive_some()) for _ in range(10)]

    first, again, other = [await sizes(seed) for seed in (7, 7, 8)]
    assert first == again != other


async def test_a_read_gets_no_more_than_it_asks_for_and_all_that_has_come() -> None:
    client, server = memory_stream_pair()
    await server.send_all(b"abc")
    await server.send_all(b"de")
    assert [await client.receive_some(2), await client.receive_some()] == [b"ab", b"cde"]


async def test_jitter_is_the_same_for_the_same_seed_and_another_for_another_connection(
    autojump_clock: MockClock,
) -> None:
    async def arrival(seed: int, number: int) -> float:
        client, server = memory_stream_pair(Link(down=Way(latency=1, jitter=1), seed=seed), number)
        begin = trio.current_time()
        await server.send_all(b"x")
        await client.receive_some()
        return trio.current_time() - begin

    first, again, other, reseeded = [await arrival(*which) for which in ((7, 1), (7, 1), (7, 2), (8, 1))]
    assert first == pytest.approx(again)
    assert len({first, other, reseeded}) == 3
    assert all(1 <= each <= 2 for each in (first, other, reseeded))


@given(
    st.lists(st.tuples(st.binary(max_size=3 * PACKET), st.floats(0, 5)), max_size=8),
    st.builds(
        Way,
        latency=st.floats(0, 3),
        jitter=st.floats(0, 3),
        bandwidth=st.none() | st.floats(1, 80_000),
        segment=st.none() | st.integers(1, 5_000),
        ragged=st.none() | st.integers(1, 5_000),
    ),
    st.integers(),
)
def test_all_arrives_once_and_in_order_whatever_the_way(writes: list[tuple[bytes, float]], way: Way, seed: int) -> None:
    passage = Passage(Random(seed), 0)
    passage.change(way, 0)
    now = 0.0
    for data, pause in writes:
        now += pause
        passage.send(data, now)
    passage.end(now)
    received: list[bytes] = []
    times = [0.0]
    while b"" not in received:
        arrived = passage.take(times[-1], 2**16)
        if arrived is None:
            times.append(passage.changes_at)
        else:
            received.append(arrived)
    assert b"".join(received) == b"".join(data for data, _ in writes)
    assert all(before < after for before, after in pairwise(times))
    assert all(len(each) <= min(way.segment or 2**16, way.ragged or 2**16) for each in received)
    assert passage.unread == 0


async def test_who_writes_waits_until_what_is_under_way_was_read(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    client, server = memory_stream_pair(Link(up=Way(buffer=10, latency=1)))
    await client.send_all(b"x" * 11)
    nursery.start_soon(client.send_all, b"y")
    await trio.sleep(5)
    assert await server.receive_some() == b"x" * 11
    assert await server.receive_some() == b"y"
    assert trio.current_time() == pytest.approx(6)


async def test_a_read_that_is_cancelled_loses_nothing(autojump_clock: MockClock) -> None:
    client, server = memory_stream_pair(Link(down=LATE))
    await server.send_all(b"x")
    for _ in range(2):
        with trio.move_on_after(0.1) as scope:
            await client.receive_some()
        assert scope.cancelled_caught
    assert await client.receive_some() == b"x"


# Losses


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_cut_resets_both_ends_once_the_bytes_before_it_have_come(way: str, autojump_clock: MockClock) -> None:
    cut = Way(cut_at=3, latency=1)
    link = Link(up=cut) if way == "up" else Link(down=cut)
    client, server = memory_stream_pair(link)
    sender, receiver = (client, server) if way == "up" else (server, client)
    await sender.send_all(b"abcde")
    assert await receiver.receive_some() == b"abc"
    for end in (sender, receiver):
        with pytest.raises(trio.BrokenResourceError, match=RESET):
            await end.receive_some()
        with pytest.raises(trio.BrokenResourceError, match=RESET):
            await end.send_all(b"x")
    assert trio.current_time() == pytest.approx(1)


async def test_who_waits_learns_of_a_cut(autojump_clock: MockClock) -> None:
    client, server = memory_stream_pair(Link(up=Way(cut_at=1, latency=1), down=Way(buffer=1)))
    await server.send_all(b"xx")
    broken: list[float] = []

    async def wait(do: Callable[[], Any]) -> None:
        with pytest.raises(trio.BrokenResourceError, match=RESET):
            await do()
        broken.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, partial(server.send_all, b"y"))
        nursery.start_soon(wait, partial(read, server, []))
        await wait_all_tasks_blocked()
        await client.send_all(b"a")
    assert broken == pytest.approx([1, 1])


async def test_on_a_silent_way_nothing_comes_and_nobody_is_told(autojump_clock: MockClock) -> None:
    client, server = memory_stream_pair(Link(down=Way(silent_at=2, buffer=10)))
    arrivals: list[Arrival] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, client, arrivals)
        await server.send_all(b"abcd")
        await client.send_all(b"still there")
        assert await server.receive_some() == b"still there"
        await server.aclose()
        await trio.sleep(80_000)
        nursery.cancel_scope.cancel()
    assert arrivals == [(0.0, b"ab")]


async def test_what_is_lost_stays_unacknowledged_and_fills_the_buffer(autojump_clock: MockClock) -> None:
    client, _server = memory_stream_pair(Link(up=Way(silent_at=0, buffer=10)))
    await client.send_all(b"x" * 11)
    with trio.move_on_after(80_000) as scope:
        await client.send_all(b"y")
    assert scope.cancelled_caught


async def test_who_writes_to_an_end_that_was_closed_is_told_as_soon_as_that_reaches_him(
    autojump_clock: MockClock,
) -> None:
    client, server = memory_stream_pair(Link(up=LATE))
    await client.aclose()
    await server.send_all(b"x")
    await trio.sleep(0.5)
    assert await server.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError, match=RESET):
        await server.send_all(b"y")
    with pytest.raises(trio.ClosedResourceError):
        await client.receive_some()


async def test_a_way_that_fell_silent_stays_so_whatever_link_comes_after(autojump_clock: MockClock) -> None:
    line = Line(Link(down=Way(silent_at=2)))
    await line.server.send_all(b"abc")
    line.change(IDEAL)
    await line.server.send_all(b"def")
    assert await line.client.receive_some() == b"ab"
    with trio.move_on_after(3600) as scope:
        await line.client.receive_some()
    assert scope.cancelled_caught
    # Before it has fallen silent, a link may be taken back.
    other = Line(Link(down=Way(silent_at=4)))
    await other.server.send_all(b"abc")
    other.change(IDEAL)
    await other.server.send_all(b"def")
    assert await other.client.receive_some() == b"abcdef"


async def test_over_a_silent_way_no_end_is_heard_of(autojump_clock: MockClock) -> None:
    client, server = memory_stream_pair(Link(up=Way(silent_at=0)))
    await client.aclose()
    await trio.sleep(80_000)
    await server.send_all(b"x")
    with trio.move_on_after(80_000) as scope:
        await server.receive_some()
    assert scope.cancelled_caught


async def test_another_link_counts_for_what_is_sent_from_then_on(autojump_clock: MockClock) -> None:
    line = Line(Link(up=Way(latency=5, cut_at=10)))
    await line.client.send_all(b"x" * 9)
    line.change(Link(up=Way(latency=1, cut_at=10)))
    await line.client.send_all(b"y" * 9)
    assert await line.server.receive_some() == b"x" * 9 + b"y" * 9
    assert trio.current_time() == pytest.approx(5)  # nothing overtakes
    line.change(Link(up=Way(cut_at=0)))
    with pytest.raises(trio.BrokenResourceError, match=RESET):
        await line.client.receive_some()


# Values


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("latency", -1),
        ("latency", float("nan")),
        ("jitter", "much"),
        ("bandwidth", 0),
        ("segment", 0),
        ("ragged", 0),
        ("buffer", 0),
        ("cut_at", -1),
        ("silent_at", 1.5),
    ],
)
def test_what_no_way_can_have_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(bintrio.InvalidRequest, match=f"^{field} must be "):
        Way(**{field: value})


@pytest.mark.parametrize("field", ["up", "down", "seed"])
def test_what_no_link_can_have_is_refused_by_name(field: str) -> None:
    wrong: Any = {field: "fast"}
    with pytest.raises(bintrio.InvalidRequest, match=f"^{field} must be "):
        Link(**wrong)


# A sandbox


async def test_a_sandbox_is_as_far_away_as_its_link(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False, link=Link(up=Way(latency=0.03), down=Way(latency=0.05))) as sandbox,
        bintrio.open_session(sandbox.memory_endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        begin = trio.current_time()
        await session.ping()
        assert trio.current_time() - begin == pytest.approx(0.08)
        sandbox.link = Link(up=Way(latency=1))
        await session.ping()
        assert trio.current_time() - begin == pytest.approx(1.08)


async def test_one_connection_may_have_a_link_of_its_own(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox:
        connect = partial(sandbox.connect, link=Link(down=Way(segment=1, latency=1)))
        async with bintrio.open_session(sandbox.memory_endpoint, key=sandbox.key, connect=connect) as session:
            assert (await session.account_status()).balances
            assert sandbox.link == Link()


async def test_g7_an_order_whose_answer_is_cut_off_at_a_byte_is_unknown(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.memory_endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        sandbox.link = Link(down=Way(cut_at=20))
        with pytest.raises(bintrio.OutcomeUnknown) as lost:
            await session.order_place(
                symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="100", quantity="1"
            )
        sandbox.link = Link()
        order = await session.confirm(lost.value)
        assert order is not None
        assert len(sandbox.orders) == 1


async def test_g4_a_link_that_falls_silent_is_noticed_and_replaced(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(sandbox.memory_endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        sandbox.link = Link(up=Way(silent_at=0), down=Way(silent_at=0))
        sandbox.inject(Disconnect("ping"))  # links and faults go together: the next connection is cut, too
        await trio.sleep(1)
        sandbox.link = Link()
        await trio.sleep(120)
        await session.ping()
        assert session.counters.losses >= 1
        assert sandbox.connections == 1


async def test_what_is_no_link_is_refused(autojump_clock: MockClock) -> None:
    wrong: Any = "slow"
    with pytest.raises(bintrio.InvalidRequest, match=r"^link must be a Link"):
        async with open_sandbox(link=wrong):
            raise AssertionError
    async with open_sandbox(listen=False) as sandbox:
        with pytest.raises(bintrio.InvalidRequest, match=r"^link must be a Link"):
            sandbox.link = wrong
        with pytest.raises(bintrio.InvalidRequest, match=r"^link must be a Link"):
            await sandbox.connect(ADDRESS, link=wrong)


# TCP


Kind = Callable[[trio.abc.Stream], trio.abc.Stream]


def as_it_is(stream: trio.abc.Stream) -> trio.abc.Stream:
    return stream


KINDS = pytest.mark.parametrize("kind", [as_it_is, WholeStream])


@asynccontextmanager
async def relayed(link: Link, kind: Kind) -> AsyncGenerator[tuple[Sandbox, trio.abc.Stream, trio.Event]]:
    """A sandbox, a client's stream as over TCP after its handshake, and whether the sandbox is through with it."""
    async with open_sandbox(listen=False, link=link) as sandbox, trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        is_over = trio.Event()

        async def accept() -> None:
            await sandbox._network.accept(kind(theirs))
            is_over.set()

        nursery.start_soon(accept)
        await ours.send_all(HANDSHAKE)
        yield sandbox, ours, is_over
        nursery.cancel_scope.cancel()


async def head_of(stream: trio.abc.Stream) -> bytes:
    """The answer to a handshake."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += await stream.receive_some()
    return received


@KINDS
async def test_over_tcp_a_link_comes_on_top(autojump_clock: MockClock, kind: Kind) -> None:
    async with relayed(Link(up=LATE, down=Way(latency=1, segment=1)), kind) as (sandbox, client, is_over):
        assert b"101" in await head_of(client)
        assert trio.current_time() == pytest.approx(1.5)
        await client.aclose()
        await is_over.wait()
        assert sandbox.connections == 0


@KINDS
async def test_over_tcp_the_client_is_told_of_the_sandboxs_end(autojump_clock: MockClock, kind: Kind) -> None:
    async with relayed(Link(down=LATE), kind) as (sandbox, client, is_over):
        await head_of(client)
        sandbox.disconnect()
        assert await client.receive_some() == b""
        await client.aclose()
        await is_over.wait()


@KINDS
async def test_over_tcp_a_reset_ends_both(autojump_clock: MockClock, kind: Kind) -> None:
    async with relayed(Link(down=LATE), kind) as (sandbox, client, is_over):
        await head_of(client)
        sandbox.link = Link(down=Way(cut_at=0))
        assert await client.receive_some() == b""
        await is_over.wait()
        assert sandbox.connections == 0


@KINDS
async def test_over_tcp_a_silent_way_ends_with_the_client(autojump_clock: MockClock, kind: Kind) -> None:
    async with relayed(Link(down=LATE), kind) as (sandbox, client, is_over):
        await head_of(client)
        sandbox.link = Link(down=Way(silent_at=0))
        await trio.sleep(1)
        assert not is_over.is_set()
        await client.aclose()
        await is_over.wait()
        assert sandbox.connections == 0


async def test_a_real_socket_goes_through_a_link() -> None:
    async with (
        open_sandbox(link=Link(up=Way(segment=1))) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key) as session,
    ):
        await session.ping()
        assert sandbox.budgets[0].address == "127.0.0.1"
