"""An account in small worlds by seed, in which everything goes wrong that may."""

from __future__ import annotations

import logging

import pytest

from .worlds import run_seed


@pytest.mark.parametrize("first", range(0, 30, 3))
def test_g5_an_account_shows_what_is_so_and_nothing_that_never_was(
    first: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    found = {seed: run_seed(seed) for seed in range(first, first + 3)}
    assert {seed: complaints for seed, complaints in found.items() if complaints} == {}
