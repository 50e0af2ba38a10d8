"""The bar that moves while a call takes its time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from bintrio.cli._progress import sign_of_life


@pytest.fixture(autouse=True)
def _on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")


@pytest.mark.parametrize(("seconds", "is_shown"), [(0.9, False), (3, True)])
async def test_a_bar_is_there_after_a_second(
    seconds: float, is_shown: bool, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with sign_of_life("depth"):
        await trio.sleep(seconds)
    out, err = capsys.readouterr()
    assert (out, "depth" in err) == ("", is_shown)


async def fail_after(seconds: float) -> None:
    async with sign_of_life("depth"):
        await trio.sleep(seconds)
        raise ValueError("it failed")


@pytest.mark.parametrize("seconds", [0, 2])
async def test_it_ends_with_its_block(
    seconds: float, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    with trio.move_on_after(seconds) as scope:
        async with sign_of_life("depth"):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    with pytest.raises(ValueError, match="it failed"):
        await fail_after(seconds)
    # The cursor that was hidden is there again.
    err = capsys.readouterr().err
    assert err.count("\x1b[?25l") == err.count("\x1b[?25h")
