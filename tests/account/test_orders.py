"""Which of two states of an order is the later one."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.account.orders import is_later

from .test_state import D, an_order


@pytest.mark.parametrize("waits", [None, -1])
def test_an_order_that_works_comes_after_one_that_waits(waits: int | None) -> None:
    """The exchange writes -1 as long as it waits, or leaves the time out."""
    waiting, working = an_order(1, working_time=waits), an_order(1, working_time=1)
    assert is_later(working, waiting)
    assert not is_later(waiting, working)


@pytest.mark.parametrize("change", [{"executed_qty": D(1), "status": "PARTIALLY_FILLED"}, {"orig_qty": D(1)}])
def test_g10_an_order_has_come_further_although_its_event_lacks_since_when_it_works(change: dict[str, Any]) -> None:
    known, told = an_order(), an_order(working_time=None, is_working=False, **change)
    assert is_later(told, known)
    assert not is_later(known, told)
