"""One order of tasks for each test, so that a test which fails does so each time.

Of the tasks that can go on at the same moment, trio takes one at random. A test whose assertion holds in most of these
orders would fail now and then, on somebody else's machine. With the order given by a number, `--order-of-tasks 7` is
how other orders are tried.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

import pytest

from bintrio._net.scheduling import scheduled


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--order-of-tasks", metavar="N", default="0", help="another order in which trio lets tasks run")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    seed = f"{item.config.getoption('order_of_tasks')} {item.nodeid}"
    # A session takes its pauses before it tries again from here.
    random.seed(seed)
    with scheduled(seed):
        return (yield)
