"""``make soak``: many worlds in several processes, a summary, and an exit code."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console
from scripts import soak

from bintrio.storm import draw_plan


def test_worlds_are_summed_up() -> None:
    said = io.StringIO()
    assert soak.soak(range(2), Console(file=said, width=200), processes=1) == 0
    assert "2 worlds, 0.0 virtual days" in said.getvalue()
    assert "no untruth" in said.getvalue()


def test_an_untruth_is_told_with_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(plan: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(soak, "run", fail)
    result = soak.live(3)
    summary = soak.Summary()
    summary.add(result)
    assert "ZeroDivisionError" in result.untruths[0]
    assert [*summary.lines(1.0)][-1] == "1 with an untruth: [3]"
    said = io.StringIO()
    soak.tell(Console(file=said), result)
    assert draw_plan(3).to_json() in said.getvalue().replace("\n", "")


def test_figures_are_added() -> None:
    summary = soak.Summary()
    for seed in (1, 2):
        counts = Counter(seconds=86_400, calls=5, orders=4, events=3)
        summary.add(soak.Result(seed, [], counts, Counter(DropReply=2), Counter(Cut=3, Jump=1), 0.5))
    first, faults, blows, last = summary.lines(10.0)
    assert first == "2 worlds, 2.0 virtual days, 10 calls, 8 orders, 6 events in 10 s: 2.00 worlds per second of a core"
    assert faults == "faults that struck a request or a handshake: DropReply 4"
    assert blows == "blows that were played, faults that waited for somebody among them: Cut 6, Jump 2"
    assert last == "no untruth"
