"""The wire: what leaves, in which order, and what of it can be taken back."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from bintrio._net import writer
from bintrio._net.streams import connect_tcp
from bintrio._net.wire import Wire, WireClosed, open_wire
from bintrio._net.writer import Outgoing
from bintrio._protocol.frames import Message, Opcode, close_payload, encode_frame
from bintrio.endpoints import Address
from tests.net.raw import Prompt, Server, closed_with, frames, opened, prompt_pair, receive_for_ever, text

if TYPE_CHECKING:
    from trio.testing import MockClock

# Sending


async def test_frames_queued_together_leave_in_order() -> None:
    async with opened() as (wire, server):
        queued = [wire.send_nowait(b"%d" % number) for number in range(3)]
        assert [outgoing.taken for outgoing in queued] == [False, False, False]
        assert repr(wire) == "<Wire open, 21 bytes waiting>"
        assert [await server.next() for _ in queued] == [text(b"0"), text(b"1"), text(b"2")]
        assert [outgoing.taken for outgoing in queued] == [True, True, True]
        assert wire.backlog == 0


async def test_g6_a_withdrawn_frame_never_leaves() -> None:
    async with opened() as (wire, server):
        kept, withdrawn, last = (wire.send_nowait(payload) for payload in (b"kept", b"withdrawn", b"last"))
        assert wire.withdraw(withdrawn)
        assert wire.withdraw(withdrawn)
        assert wire.backlog == kept.size + last.size
        assert [await server.next(), await server.next()] == [text(b"kept"), text(b"last")]
        assert not wire.withdraw(kept)
        assert not withdrawn.taken


async def test_g6_a_server_that_stops_reading_makes_senders_wait_where_they_can_be_cancelled() -> None:
    async with opened(trio.testing.lockstep_stream_pair(), max_backlog=1000) as (wire, server):
        taken = wire.send_nowait(b"t" * 400)
        await trio.testing.wait_all_tasks_blocked()
        queued = wire.send_nowait(b"q" * 600)
        assert wire.backlog > 1000
        assert wire.is_full
        with trio.CancelScope() as impatient:
            impatient.cancel()
            await wire.room()
        assert impatient.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.room)
            await trio.testing.wait_all_tasks_blocked()
            assert wire.withdraw(queued)  # which makes room
        assert not wire.withdraw(taken)
        wire.send_nowait(b"after")
        assert [await server.next(), await server.next()] == [text(b"t" * 400), text(b"after")]


async def test_a_wire_is_full_with_just_as_much_as_may_wait() -> None:
    async with opened(trio.testing.lockstep_stream_pair(), max_backlog=106) as (wire, server):
        first = wire.send_nowait(b"f" * 100)
        assert first.size == wire.backlog == 106
        assert wire.is_full
        assert await server.next() == text(b"f" * 100)
        await trio.testing.wait_all_tasks_blocked()
        assert not wire.is_full


async def test_a_mebibyte_may_wait_if_nobody_says_how_much() -> None:
    async with opened(trio.testing.lockstep_stream_pair()) as (wire, _):
        almost = wire.send_nowait(b"a" * (2**20 - 100))
        assert not wire.is_full
        wire.send_nowait(b"b" * (2**20 - almost.size - 6))
        assert wire.backlog == 2**20
        assert wire.is_full


async def test_room_is_no_checkpoint_while_there_is_some() -> None:
    async with opened() as (wire, _):
        assert not wire.is_full
        with trio.testing.assert_no_checkpoints():
            await wire.room()


async def test_those_who_wait_for_room_learn_of_the_end() -> None:
    async with opened(trio.testing.lockstep_stream_pair(), max_backlog=1) as (wire, server):
        queued = [wire.send_nowait(b"x") for _ in range(2)]
        async with trio.open_nursery() as nursery:

            async def wait_for_room() -> None:
                with pytest.raises(WireClosed, match="1001"):
                    await wire.room()

            nursery.start_soon(wait_for_room)
            await trio.testing.wait_all_tasks_blocked()
            late = wire.send_nowait(b"y")
            nursery.start_soon(server.stream.send_all, encode_frame(Opcode.CLOSE, close_payload(1001, "")))
            await closed_with(wire)
        assert [outgoing.taken for outgoing in (*queued, late)] == [True, True, False]
        assert wire.withdraw(late)


async def test_a_long_backlog_is_written_in_several_batches() -> None:
    async with opened(trio.testing.lockstep_stream_pair()) as (wire, server):
        queued = [wire.send_nowait(b"x" * 40_000) for _ in range(4)]
        await trio.testing.wait_all_tasks_blocked()
        assert [outgoing.taken for outgoing in queued] == [True, True, False, False]
        for _ in queued:
            assert await server.next() == text(b"x" * 40_000)


async def test_a_frame_sent_at_once_has_left_on_return() -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        await trio.testing.wait_all_tasks_blocked()
        writes = ours.writes
        with trio.testing.assert_no_checkpoints():
            outgoing = wire.send_nowait(b"now", at_once=True)
        assert (outgoing.taken, wire.backlog, ours.writes) == (True, 0, writes + 1)
        assert not wire.withdraw(outgoing)
        assert await server.next() == text(b"now")


async def test_other_streams_are_written_to_by_the_writer_only() -> None:
    async with opened() as (wire, server):
        assert not wire.send_nowait(b"in its turn", at_once=True).taken
        assert await server.next() == text(b"in its turn")


async def test_what_is_sent_at_once_does_not_overtake_what_is_queued() -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        await trio.testing.wait_all_tasks_blocked()
        writes = ours.writes
        queued = [wire.send_nowait(b"1"), wire.send_nowait(b"2", at_once=True), wire.send_nowait(b"3")]
        assert [outgoing.taken for outgoing in queued] == [False, False, False]
        assert [await server.next() for _ in queued] == [text(b"1"), text(b"2"), text(b"3")]
        assert ours.writes == writes + 1  # all in one


async def test_a_withdrawn_frame_does_not_keep_the_next_one_waiting() -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        assert wire.withdraw(wire.send_nowait(b"withdrawn"))
        assert wire.send_nowait(b"now", at_once=True).taken
        wire.send_nowait(b"next")
        assert [await server.next(), await server.next()] == [text(b"now"), text(b"next")]


async def test_g13_a_message_is_said_to_be_written_once_all_of_it_is() -> None:
    ours, theirs = prompt_pair()
    written: list[str] = []
    async with opened((ours, theirs)) as (wire, server):
        await trio.testing.wait_all_tasks_blocked()
        wire.send_nowait(b"at once", at_once=True, written=lambda: written.append("at once"))
        assert written == ["at once"]
        ours.takes = 3
        wire.send_nowait(b"in two parts", at_once=True, written=lambda: written.append("in two parts"))
        wire.send_nowait(b"queued", written=lambda: written.append("queued"))
        withdrawn = wire.send_nowait(b"withdrawn", written=lambda: written.append("withdrawn"))
        wire.send_nowait(b"of no interest")
        assert wire.withdraw(withdrawn)
        await trio.testing.wait_all_tasks_blocked()
        assert written == ["at once"]
        ours.make_room(1000)
        for payload in (b"at once", b"in two parts", b"queued", b"of no interest"):
            assert await server.next() == text(payload)
        await trio.testing.wait_all_tasks_blocked()
        assert written == ["at once", "in two parts", "queued"]


async def test_g6_what_did_not_leave_at_once_leaves_before_anything_else() -> None:
    ours, theirs = prompt_pair()
    written: list[float] = []
    async with (
        opened((ours, theirs), pong_written=written.append) as (wire, server),
        trio.open_nursery() as nursery,
    ):
        await trio.testing.wait_all_tasks_blocked()
        ours.takes = 3
        outgoing = wire.send_nowait(b"in two parts", at_once=True)
        assert (outgoing.taken, wire.backlog) == (True, outgoing.size)
        assert not wire.withdraw(outgoing)
        later = wire.send_nowait(b"later", at_once=True)
        assert not later.taken
        nursery.start_soon(receive_for_ever, wire)
        await server.stream.send_all(encode_frame(Opcode.PING, b"p"))
        await trio.testing.wait_all_tasks_blocked()
        ours.make_room(10)
        await trio.testing.wait_all_tasks_blocked()
        assert (written, later.taken) == ([], False)
        ours.make_room()
        assert await server.next() == text(b"in two parts")
        assert [await server.next(), await server.next()] == [Message(Opcode.PONG, b"p"), text(b"later")]
        await trio.testing.wait_all_tasks_blocked()
        assert (len(written), wire.backlog) == (1, 0)
        assert wire.send_nowait(b"at once again", at_once=True).taken
        nursery.cancel_scope.cancel()


async def test_g6_what_did_not_leave_at_once_leaves_before_the_close_frame() -> None:
    ours, theirs = prompt_pair()
    server = Server(theirs)

    async def serve() -> None:
        await server.shake_hands()
        await trio.testing.wait_all_tasks_blocked()
        ours.make_room()
        assert await server.next() == text(b"in two parts")
        await server.answer_close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_wire(ours, host="exchange", resource="/") as wire:
            ours.takes = 3
            wire.send_nowait(b"in two parts", at_once=True)
    assert server.close == (1000, "")


async def test_g6_what_did_not_leave_at_once_is_finished_though_the_server_closes() -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        ours.takes = 3
        wire.send_nowait(b"in two parts", at_once=True)
        withdrawn = wire.send_nowait(b"too late")
        await server.stream.send_all(encode_frame(Opcode.CLOSE, close_payload(1001, "")))
        assert (await closed_with(wire)).code == 1001
        assert not withdrawn.taken
        ours.make_room()
        assert await server.next() == text(b"in two parts")
    assert server.close == (1001, "")


async def test_leaving_after_a_failed_write_waits_for_nobody(autojump_clock: MockClock) -> None:
    """No close frame can leave any more, and so none is waited for."""
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, _server):
        await trio.testing.wait_all_tasks_blocked()
        ours.fails = trio.BrokenResourceError("reset")
        wire.send_nowait(b"lost", at_once=True)
    assert trio.current_time() == 0


@pytest.mark.parametrize("error", [trio.BrokenResourceError("reset"), BrokenPipeError("pipe")])
async def test_a_write_at_once_that_fails_lets_answers_in_flight_arrive(
    error: Exception, autojump_clock: MockClock
) -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        await trio.testing.wait_all_tasks_blocked()
        ours.fails = error
        outgoing = wire.send_nowait(b"lost", at_once=True)
        assert outgoing.taken
        with pytest.raises(WireClosed, match="writing failed"):
            wire.send_nowait(b"refused", at_once=True)
        with pytest.raises(WireClosed, match="writing failed"):
            await wire.room()
        await server.stream.send_all(frames(b"an answer"))
        assert await wire.receive() == [text(b"an answer")]
        closed = await closed_with(wire)
        assert trio.current_time() == pytest.approx(2.0, abs=0.01)
        assert (closed.code, closed.reason, closed.__cause__) == (None, f"writing failed: {error}", error)


async def test_a_write_at_once_to_a_socket_that_was_reset() -> None:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        address = Address(host="127.0.0.1", port=listener.socket.getsockname()[1], secure=False, resource="/")
        stream = await connect_tcp(address)
        peer = await listener.accept()
        nursery.start_soon(Server(peer).shake_hands)
        async with open_wire(stream, host="exchange", resource="/", close_timeout=0) as wire:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset it by closing
            await peer.aclose()
            assert wire.send_nowait(b"lost", at_once=True).taken
            error = await closed_with(wire)
        assert error.reason == "writing failed: the connection is broken: connection reset by peer"
        assert isinstance(error.__cause__, trio.BrokenResourceError)
        assert isinstance(error.__cause__.__cause__, ConnectionResetError)
        await listener.aclose()


def test_g6_ctrl_c_waits_until_a_frame_sent_at_once_is_whole() -> None:
    written: list[tuple[bool, int]] = []

    class Interrupted(Prompt):
        def send_nowait(self, data: bytes) -> bool:
            if b"GET" not in data:
                signal.raise_signal(signal.SIGINT)
            return super().send_nowait(data)

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        async with opened((Interrupted(ours, theirs.receive_stream), theirs)) as (wire, server):
            written.append((wire.send_nowait(b"whole", at_once=True).taken, wire.backlog))
            await server.next()

    with pytest.raises(BaseException) as caught:  # noqa: PT011  # a group of one: the nursery is the test's own
        trio.run(main)
    assert caught.group_contains(KeyboardInterrupt)
    assert written == [(True, 0)]


async def test_the_writer_s_own_failure_with_a_prompt_stream(autojump_clock: MockClock) -> None:
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, _):
        ours.fails = trio.BrokenResourceError()
        assert not wire.send_nowait(b"queued").taken
        assert (await closed_with(wire)).reason == "writing failed: BrokenResourceError"


async def test_a_stream_that_takes_everything_does_not_starve_other_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_BATCH", 1)
    ours, theirs = prompt_pair()
    async with opened((ours, theirs)) as (wire, server):
        for _ in range(10):
            wire.send_nowait(b"x")
        for turn in range(1, 10):  # a batch for each turn of ours
            await trio.lowlevel.checkpoint()
            assert wire.backlog >= 7 * (10 - turn)
        assert [await server.next() for _ in range(10)] == [text(b"x")] * 10


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 200)),
        st.tuples(st.just("send at once"), st.integers(0, 200)),
        st.tuples(st.just("withdraw"), st.integers(0, 20)),
        st.tuples(st.just("limit"), st.integers(0, 100)),
        st.tuples(st.just("make room"), st.integers(0, 100)),
        st.tuples(st.just("wait"), st.just(0)),
    ),
    max_size=30,
)


@given(STEPS)
def test_g6_frames_leave_whole_and_in_order_however_they_are_sent(steps: list[tuple[str, int]]) -> None:
    sent: list[tuple[Outgoing, bytes]] = []

    async def take(step: str, number: int, wire: Wire, stream: Prompt) -> None:
        if step.startswith("send"):
            payload = b"%d" % len(sent) + b"." * number
            sent.append((wire.send_nowait(payload, at_once=step == "send at once"), payload))
        elif step == "withdraw" and number < len(sent) and wire.withdraw(sent[number][0]):
            del sent[number]
        elif step == "limit":
            stream.takes = number
        elif step == "make room":
            stream.make_room(number)
        elif step == "wait":
            await trio.testing.wait_all_tasks_blocked()

    async def main() -> None:
        ours, theirs = prompt_pair()
        async with opened((ours, theirs)) as (wire, server):
            for step, number in steps:
                await take(step, number, wire, ours)
            ours.make_room()
            assert [await server.next() for _ in sent] == [text(payload) for _, payload in sent]
            await trio.testing.wait_all_tasks_blocked()
            assert wire.backlog == 0
        assert server.close == (1000, "")

    trio.run(main)
