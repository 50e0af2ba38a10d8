"""Ctrl-C and background tasks."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import AbstractAsyncContextManager
from typing import Any, NoReturn

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import bintrio
from bintrio._net.tasks import bare_nursery, past_ctrl_c, protected, protecting, start
from bintrio.sandbox import open_sandbox


async def interrupted_in_the_background(*, is_protected: bool) -> None:
    async def interrupt(number: int) -> None:
        assert number == 1
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        if is_protected:
            protecting(nursery).start_soon(interrupt, 1)
        else:
            nursery.start_soon(interrupt, 1)
        await trio.sleep_forever()


def test_an_interrupt_passes_a_protected_task_by_and_comes_out_of_the_main_one() -> None:
    reached: list[str] = []

    async def main() -> None:
        try:
            await interrupted_in_the_background(is_protected=True)
        finally:
            reached.append("main")

    with pytest.raises(BaseException) as caught:  # noqa: PT011  # a group of one: the nursery is the test's own
        trio.run(main)
    assert caught.group_contains(KeyboardInterrupt) or isinstance(caught.value, KeyboardInterrupt)
    assert reached == ["main"]


async def test_a_protected_task_runs_and_raises_as_it_would_otherwise() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        await trio.lowlevel.checkpoint()
        done.append(number)

    async def fail() -> None:
        raise ValueError("work")

    await protected(work, 3)
    assert done == [3]
    with pytest.raises(ValueError, match="work"):
        await protected(fail)


# Ctrl-C in tasks that are not ours


class InterruptingFactory(trio.abc.SocketFactory):
    """Lets Ctrl-C come in the very moment a socket is made: in a task of `trio.open_tcp_stream`."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.made = 0

    def socket(self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0) -> Any:
        self.made += 1
        if self.made <= self.times:
            signal.raise_signal(signal.SIGINT)
        return trio.socket.from_stdlib_socket(socket.socket(family, type, proto))


def port_that_nobody_listens_on() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("times", [1, 2, 1000])
def test_g6_ctrl_c_comes_out_bare_in_the_moment_a_socket_is_made(times: int) -> None:
    factory = InterruptingFactory(times)

    async def main() -> None:
        trio.socket.set_custom_socket_factory(factory)
        async with bintrio.open_session(f"ws://127.0.0.1:{port_that_nobody_listens_on()}/"):
            raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert factory.made


def test_g6_ctrl_c_comes_out_of_the_body_while_another_connection_is_opened() -> None:
    reached: list[str] = []

    async def main() -> None:
        async with open_sandbox() as sandbox, bintrio.open_session(sandbox.endpoint) as session:
            trio.socket.set_custom_socket_factory(InterruptingFactory(1))
            try:
                await session.rotate()
            except KeyboardInterrupt:
                reached.append("body")
            await session.ping()
            while session.counters.connections == 1:
                await session.ping()
            reached.append("rotated")

    trio.run(main)
    assert reached == ["body", "rotated"]


def test_g6_ctrl_c_in_a_foreign_function_begins_it_anew_and_waits_for_the_main_task() -> None:
    begun: list[int] = []

    async def interrupted_once(number: int) -> int:
        begun.append(number)
        if len(begun) == 1:
            raise BaseExceptionGroup(
                "", [ExceptionGroup("", [OSError()]), BaseExceptionGroup("", [KeyboardInterrupt()])]
            )
        return number

    async def main() -> int:
        with pytest.raises(KeyboardInterrupt):
            await past_ctrl_c(interrupted_once, 7)
        return 1

    assert trio.run(main) == 1
    assert begun == [7]


async def test_other_errors_of_a_foreign_function_come_out_as_they_are() -> None:
    async def fail(error: BaseException) -> NoReturn:
        raise error

    for error in (ValueError("odd"), ExceptionGroup("", [ValueError("odd")])):
        with pytest.raises(type(error)) as caught:
            await past_ctrl_c(fail, error)
        assert caught.value is error


async def test_starting_raises_what_the_task_raised_before_it_had_started() -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep_forever()

    async def fail(*, task_status: trio.TaskStatus[None]) -> NoReturn:
        raise ValueError("odd")

    async with trio.open_nursery() as nursery:
        await start(nursery, run)
        assert len(nursery.child_tasks) == 1
        with pytest.raises(ValueError, match="odd"):
            await start(nursery, fail)
        nursery.cancel_scope.cancel()


def test_g6_ctrl_c_while_starting_comes_out_bare_also_when_the_task_fails_in_that_moment() -> None:
    async def fail(*, task_status: trio.TaskStatus[None]) -> NoReturn:
        signal.raise_signal(signal.SIGINT)
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("odd")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await start(nursery, fail)

    with pytest.raises(BaseException) as caught:  # noqa: PT011  # a group of one: the nursery is the test's own
        trio.run(main)
    assert caught.group_contains(KeyboardInterrupt)


# Another loop


@pytest.mark.parametrize("opened", [lambda: bintrio.open_session(bintrio.TESTNET), open_sandbox])
def test_asyncio_is_told_that_trio_is_needed(opened: Any) -> None:
    async def main() -> None:
        manager: AbstractAsyncContextManager[object] = opened()
        async with manager:
            raise AssertionError

    with pytest.raises(bintrio.InvalidRequest, match=r"under trio only: start the program with trio\.run\(main\)"):
        asyncio.run(main())


async def test_a_bare_nursery_ends_its_tasks_after_it_was_left() -> None:
    done: list[str] = []

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            done.append("task")

    async def leave() -> None:
        done.append("leave")

    async with bare_nursery(leave) as nursery:
        nursery.start_soon(work)
        await wait_all_tasks_blocked()
    assert done == ["leave", "task"]


@pytest.mark.parametrize("error", [ValueError("mine"), ExceptionGroup("mine", [ValueError()])])
async def test_a_bare_nursery_lets_the_bodys_exception_out_as_it_is(error: Exception) -> None:
    async def leave() -> None:
        raise OSError("later")

    async def fail() -> None:
        async with bare_nursery(leave) as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise error

    with pytest.raises(type(error)) as caught:
        await fail()
    assert caught.value is error


async def test_a_bare_nursery_lets_out_what_leaving_raised() -> None:
    async def leave() -> None:
        raise OSError("later")

    with pytest.raises(OSError, match="later"):
        async with bare_nursery(leave):
            pass


async def test_a_bare_nursery_that_is_cancelled_is_left_all_the_same() -> None:
    left = trio.Event()

    async def leave() -> None:
        left.set()

    with trio.CancelScope() as scope:
        async with bare_nursery(leave):
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert left.is_set()


@pytest.mark.parametrize("count", [1, 2])
async def test_a_bare_nursery_puts_errors_of_tasks_into_a_group_only_if_there_are_more(count: int) -> None:
    async def fail() -> None:
        raise OSError("task")

    async def run() -> None:
        async with bare_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(fail)
            await trio.sleep_forever()

    with pytest.raises(OSError if count == 1 else ExceptionGroup):
        await run()
