"""A test sees the same order of tasks each time, and another on request."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

HOOKS = """
from tests.order_of_tasks import pytest_addoption, pytest_runtest_call
"""
RACE = """
import random
import trio

async def test_race():
    arrived = []

    async def arrive(number):
        arrived.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(arrive, number)
    print("arrived", arrived, random.random())
"""


def arrivals(pytester: pytest.Pytester, *arguments: str) -> str:
    result = pytester.runpytest_inprocess("-s", "-q", "-p", "no:xdist", *arguments)
    result.assert_outcomes(passed=1)
    return next(line for line in result.outlines if line.startswith("arrived"))


def test_the_order_of_tasks_is_the_same_until_another_is_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(HOOKS)
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error")
    pytester.makepyfile(RACE)
    first = arrivals(pytester)
    assert arrivals(pytester) == first
    assert arrivals(pytester, "--order-of-tasks", "7") != first
