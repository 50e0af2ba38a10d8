"""The order of tasks by a seed, and what happens if trio does not let itself be told."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from bintrio._net.scheduling import SchedulingUnknown, scheduled

RUN: Any = trio._core._run


async def order_of_tasks() -> list[int]:
    order: list[int] = []

    async def take_turns(number: int) -> None:
        for _ in range(5):
            await trio.lowlevel.checkpoint()
            order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(take_turns, number)
    return order


def run(seed: int | str) -> list[int]:
    with scheduled(seed):
        return trio.run(order_of_tasks)


def test_tasks_run_in_the_order_of_the_seed() -> None:
    assert run(1) == run(1) == run("1")
    assert len({tuple(run(seed)) for seed in range(5)}) == 5


async def test_a_seed_may_be_set_within_a_run() -> None:
    orders: list[list[int]] = []
    for _ in range(2):
        with scheduled(3):
            orders.append(await order_of_tasks())
    assert orders[0] == orders[1]


def test_everything_is_as_before_after_the_block_also_if_that_fails() -> None:
    before = RUN._ALLOW_DETERMINISTIC_SCHEDULING, RUN._r.getstate()
    with pytest.raises(ZeroDivisionError), scheduled(1):
        raise ZeroDivisionError
    assert (RUN._ALLOW_DETERMINISTIC_SCHEDULING, RUN._r.getstate()) == before


@pytest.mark.parametrize("name", ["_r", "_ALLOW_DETERMINISTIC_SCHEDULING"])
def test_a_trio_that_keeps_its_order_elsewhere_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(RUN, name)
    with pytest.raises(SchedulingUnknown, match=r"trio \d+\.\d+.* keeps its order of tasks elsewhere"), scheduled(1):
        pytest.fail("it went on")


@pytest.mark.parametrize("name", ["_core", "_run"])
def test_so_is_one_without_that_module(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(trio._core if name == "_run" else trio, name)
    with pytest.raises(SchedulingUnknown), scheduled(1):
        pytest.fail("it went on")
