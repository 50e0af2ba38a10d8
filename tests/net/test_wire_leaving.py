"""The wire: how it ends, and what cancellation leaves behind."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from bintrio._net.wire import WireClosed, open_wire
from bintrio._protocol.frames import Message, Opcode, close_payload, encode_frame
from tests.net.raw import CLOSE_1000, Server, closed_with, frames, opened, prompt_pair, receive_for_ever, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

CLOSE_1001 = encode_frame(Opcode.CLOSE, close_payload(1001, ""))


# Cancellation


async def test_g6_a_cancelled_receive_loses_nothing() -> None:
    async with opened() as (wire, server):
        for number in range(5):
            with trio.CancelScope() as scope:
                scope.cancel()
                await wire.receive()
            assert scope.cancelled_caught
            await server.stream.send_all(frames(b"%d" % number))
            assert await wire.receive() == [text(b"%d" % number)]


async def test_g6_receive_cancelled_while_a_pong_is_queued_loses_nothing() -> None:
    async with opened() as (wire, server):
        await server.stream.send_all(encode_frame(Opcode.PING, b"p") + frames(b"kept"))
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wire.receive)
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
                scope.cancel()
        assert scope.cancelled_caught
        assert await wire.receive() == [text(b"kept")]
        assert await server.next() == Message(Opcode.PONG, b"p")


@pytest.mark.parametrize("ticks", range(40))
async def test_g6_cancelled_at_any_checkpoint_the_stream_is_closed(ticks: int) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    server = Server(theirs)
    ended = False
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            with suppress(EOFError, trio.BrokenResourceError):
                await server.shake_hands()
                await server.next()
                await server.stream.send_all(frames(b"answer"))
                await server.answer_close()

        async def use() -> None:
            async with open_wire(ours, host="exchange", resource="/") as wire:
                wire.send_nowait(b"question")
                assert await wire.receive() == [text(b"answer")]

        async def cancel(scope: trio.CancelScope) -> None:
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            scope.cancel()

        server_scope = trio.CancelScope()
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel, scope)
            nursery.start_soon(in_scope, server_scope, serve)
            await use()
            ended = True
        server_scope.cancel()
    assert ended is not scope.cancelled_caught
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")


async def in_scope(scope: trio.CancelScope, run: Callable[[], Any]) -> None:
    with scope:
        await run()


# Leaving


async def test_what_is_queued_leaves_before_the_close_frame() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    server = Server(theirs)
    heard: list[Message] = []

    async def serve() -> None:
        await server.shake_hands()
        heard.extend([await server.next(), await server.next()])
        await server.stream.send_all(CLOSE_1000)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_wire(ours, host="exchange", resource="/") as wire:
            wire.send_nowait(b"a parting word")
    assert heard == [text(b"a parting word"), Message(Opcode.CLOSE, close_payload(1000, ""))]
    with pytest.raises(WireClosed, match="1000 closed by this side"):
        wire.send_nowait(b"too late")


async def test_what_comes_while_closing_is_dropped() -> None:
    async with opened() as (_, server):
        await server.stream.send_all(frames(b"dropped") + encode_frame(Opcode.PING, b"dropped"))
    assert server.close == (1000, "")


async def test_pings_just_before_leaving_do_not_spoil_the_close() -> None:
    async with opened() as (wire, server), trio.open_nursery() as nursery:
        nursery.start_soon(receive_for_ever, wire)
        await server.stream.send_all(encode_frame(Opcode.PING, b"p") * 50)
        for _ in range(10):  # long enough to read the pings, too short to answer them all
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert server.close == (1000, "")


async def test_the_server_ends_the_stream_instead_of_closing() -> None:
    async with opened() as (wire, server):
        await server.stream.aclose()
    assert repr(wire).startswith("<Wire closed (closed by this side), ")


async def test_closing_is_bounded_if_the_server_never_answers(autojump_clock: MockClock) -> None:
    async with opened(answers_close=False, close_timeout=3.0) as (_, server):
        pass
    assert trio.current_time() == pytest.approx(3.0, abs=0.01)
    assert server.close == (1000, "")


async def test_closing_is_bounded_if_the_server_stops_reading(autojump_clock: MockClock) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Server(theirs).shake_hands)
        async with open_wire(ours, host="exchange", resource="/") as wire:
            wire.send_nowait(b"never read")
            await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == pytest.approx(2.0, abs=0.01)


class Complaint(Exception):
    pass


async def test_an_exception_of_the_body_comes_out_bare() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    server = Server(theirs)
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await server.shake_hands()
            await server.answer_close()

        for complaint in (Complaint(), ExceptionGroup("two", [Complaint(), Complaint()])):
            ours, theirs = trio.testing.memory_stream_pair()
            server = Server(theirs)
            nursery.start_soon(serve)
            with pytest.raises(type(complaint)) as caught:
                async with open_wire(ours, host="exchange", resource="/"):
                    raise complaint
            assert caught.value is complaint
            assert server.close == (1000, "")


async def test_an_exception_of_a_cancelled_body_comes_out_bare() -> None:
    complaint = Complaint()

    async def complain(scope: trio.CancelScope) -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(Server(theirs).shake_hands)
        async with open_wire(ours, host="exchange", resource="/"):
            scope.cancel()
            raise complaint

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope, pytest.raises(Complaint) as caught:
            await complain(scope)
    assert caught.value is complaint


async def test_a_cancellation_while_closing_passes_through() -> None:
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(Server(theirs).shake_hands)
        with trio.CancelScope() as scope:
            async with open_wire(ours, host="exchange", resource="/"):
                scope.cancel()
        assert scope.cancelled_caught


# The end, step by step


@pytest.mark.parametrize("last", [CLOSE_1001, b"\xc1\x00"], ids=["closed by the server", "a broken rule"])
async def test_g7_what_is_queued_when_the_wire_ends_never_leaves(last: bytes) -> None:
    """The writer is busy with an earlier frame, and goes on once the network takes it."""
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        ours.takes = 3
        wire.send_nowait(b"in two parts", at_once=True)
        queued = wire.send_nowait(b"queued")
        await server.stream.send_all(last)
        await closed_with(wire)
        assert not queued.taken
        ours.make_room()
        assert await server.next() == text(b"in two parts")
        await trio.testing.wait_all_tasks_blocked()
        assert not queued.taken
    assert server.close is not None


async def test_a_ping_that_comes_after_our_close_frame_is_not_answered() -> None:
    """Nothing may follow a close frame (RFC 6455, 5.5.1), and the server can still take its leave in good order."""
    ours, theirs = trio.testing.memory_stream_pair()
    server = Server(theirs)
    after: list[Message] = []

    async def serve() -> None:
        await server.shake_hands()
        assert await server.next_close() == (1000, "")
        await server.stream.send_all(encode_frame(Opcode.PING, b"late"))
        await trio.testing.wait_all_tasks_blocked()
        await server.stream.send_all(CLOSE_1000)
        with pytest.raises(EOFError):
            after.append(await server.next())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_wire(ours, host="exchange", resource="/"):
            pass
    assert not after


async def test_g3_a_pong_goes_before_the_answer_to_what_came_after_its_ping() -> None:
    """Even if that answer is written at once: the caller gets the message once the pong is queued."""
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        await server.stream.send_all(encode_frame(Opcode.PING, b"p") + frames(b"asked"))
        assert await wire.receive() == [text(b"asked")]
        wire.send_nowait(b"answered", at_once=True)
        assert await server.next() == Message(Opcode.PONG, b"p")
        assert await server.next() == text(b"answered")


@pytest.mark.parametrize("ticks", range(12))
async def test_g3_pings_read_before_leaving_are_answered_before_the_close_frame(ticks: int) -> None:
    async with opened() as (wire, server), trio.open_nursery() as nursery:
        nursery.start_soon(receive_for_ever, wire)
        await server.stream.send_all(encode_frame(Opcode.PING, b"p") * 3)
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert server.close == (1000, "")
