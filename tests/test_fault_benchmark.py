"""Scenarios that clients are put under: that what goes wrong is noticed. What each client does is not tested here."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.fault_driver import SILENT, word_of
from benchmarks.fault_report import Results, Seen, markdown, verdict, write
from benchmarks.fault_stage import Stage
from benchmarks.faults import SCENARIOS, play

import bintrio
from bintrio.sandbox import open_sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from bintrio.sandbox import Sandbox

NO_PROCESS: Any = None


@pytest.fixture
async def sandbox() -> AsyncGenerator[Sandbox]:
    async with open_sandbox(listen=False) as sandbox:
        yield sandbox


async def place(sandbox: Sandbox, *names: str) -> None:
    """Orders that come to the exchange; one whose id is taken is refused."""
    async with bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
        for name in names:
            request = bintrio.requests.OrderPlace(
                symbol="BTCUSDT",
                side="SELL",
                type="LIMIT",
                time_in_force="GTC",
                price="64000",
                quantity="0.01",
                new_client_order_id=name,
            )
            with suppress(bintrio.DuplicateOrder):
                await session.send(request)


async def judged(sandbox: Sandbox, *placed: str, **told: str) -> Seen:
    """What is seen if those orders came, and the client said of each what is told."""
    stage = Stage(sandbox, NO_PROCESS)
    stage._asked = [*told]
    for name, word in told.items():
        if word:
            stage._take("order", name, word, 0.1, "words")
    await place(sandbox, *placed)
    return stage.judge()


@pytest.mark.parametrize(
    ("word", "is_executed", "wrong", "silent"),
    [
        ("done", True, 0, 0),
        ("done", False, 1, 0),
        ("another order's answer", True, 1, 0),
        ("refused", False, 0, 0),
        ("refused", True, 1, 0),
        ("not sent", True, 1, 0),
        ("unknown", True, 0, 0),
        ("unknown", False, 0, 0),
        (SILENT, True, 0, 1),
    ],
)
async def test_words_are_held_against_what_happened(
    sandbox: Sandbox, word: str, is_executed: bool, wrong: int, silent: int
) -> None:
    seen = await judged(sandbox, *["a"] * is_executed, a=word)
    assert (seen.wrong, seen.silent, seen.never_ended, seen.doubled) == (wrong, silent, 0, 0)


async def test_what_is_sent_twice_and_what_never_ends_is_counted(sandbox: Sandbox) -> None:
    seen = await judged(sandbox, "a", "a", "b", a="done", b="")
    assert (seen.doubled, seen.never_ended, seen.wrong) == (1, 1, 0)


async def test_events_that_do_not_come_are_lost_and_a_sign_says_so(sandbox: Sandbox) -> None:
    stage = Stage(sandbox, NO_PROCESS)
    await place(sandbox, "a")
    stage.seen.follows = True
    for _ in range(3):
        stage.fill()
    stage._take("filled", "0.00100000")
    stage._take("filled", 0.003)
    assert (stage.judge().lost, stage.seen.lost_silently) == (1, 1)
    stage._take("sign", "a gap")
    assert (stage.judge().lost, stage.seen.lost_silently) == (1, 0)
    assert sandbox.orders[0].executed == Decimal("0.003")


class BinanceAPIException(Exception):
    """What another client raises."""


class RequestTimeout(type("OperationFailed", (Exception,), {})):  # type: ignore[misc]
    """What another one raises."""


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (BinanceAPIException(), "refused"),
        (RequestTimeout(), "unknown"),
        (TimeoutError(), SILENT),
        (BinanceAPIException("APIError(code=-1007)"), "unknown"),
        (bintrio.NotSent("ping", "it was not sent"), "not sent"),
    ],
)
def test_errors_are_words_by_their_classes(error: Exception, word: str) -> None:
    assert word_of(error) == word


@pytest.mark.parametrize(
    ("seen", "colour", "words"),
    [
        (Seen(goes_on=True), "good", "as it should be"),
        (Seen(silent=1), "vague", "does not say what happened"),
        (Seen(lost=2, signs=["gap"]), "vague", "lost, and said so"),
        (Seen(lost=2), "bad", "lost without a sign"),
        (Seen(doubled=1), "bad", "sent twice"),
        (Seen(goes_on=False), "bad", "did not go on"),
        (Seen(is_back=False), "bad", "no user data any more"),
        (Seen(follows=False), "bad", "no user data at all"),
        (Seen(failure="it broke"), "bad", "it broke"),
    ],
)
def test_a_scenario_has_a_verdict(seen: Seen, colour: str, words: str) -> None:
    assert verdict(seen) == (colour, [words])


def test_what_was_seen_is_written(tmp_path: Path) -> None:
    results: Results = {
        "ours": {
            "dead": Seen(noticed_after=15.2, through_after=60.2, goes_on=True),
            "cut": Seen(goes_on=False, doubled=2),
        },
        "theirs": {"dead": Seen(), "cut": Seen(is_back=True)},
    }
    words = {"dead": "half-open", "cut": "the end"}
    assert "| ours | 2 | 0 | 0 | 0 | 0 | 0 | 15 | 60 | 1 of 2 | 0 of 0 |" in markdown(results, words)
    assert "| theirs | 0 | 0 | 0 | 0 | 0 | 0 | never | never | 0 of 0 | 1 of 1 |" in markdown(results, words)
    assert "| cut | the end | sent twice, did not go on | as it should be |" in markdown(results, words)
    write(results, words, tmp_path)
    assert (tmp_path / "faults.json").read_bytes().startswith(b"{")
    assert (tmp_path / "faults.md").read_text("utf-8").count("\n") > 8


async def test_a_scenario_is_played() -> None:
    seen = await play("bintrio", SCENARIOS["answers reordered"])
    assert (seen.failure, seen.doubled, seen.wrong, seen.never_ended, seen.goes_on) == ("", 0, 0, 0, True)
    assert len(seen.said) == 4
