"""Which of two states of an order is the later one."""

from __future__ import annotations

import pytest

from bintrio.account.orders import is_later

from .test_state import an_order


@pytest.mark.parametrize("waits", [None, -1])
def test_an_order_that_works_comes_after_one_that_waits(waits: int | None) -> None:
    """The exchange writes -1 as long as it waits, or leaves the time out."""
    waiting, working = an_order(1, working_time=waits), an_order(1, working_time=1)
    assert is_later(working, waiting)
    assert not is_later(waiting, working)
