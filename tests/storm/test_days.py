"""A virtual day: a trade a minute, a shutdown, a rotation, and something that goes wrong every hour."""

from __future__ import annotations

import msgspec
import pytest
from scripts.days import DAY, days, lines, main

from bintrio.storm import Plan, run


@pytest.mark.untraced
def test_a_day_is_lived_through_without_an_untruth() -> None:
    report = run(days(1))
    assert report.untruths == []
    assert report.seconds > 86_400
    assert report.calls == DAY * 3 // 4 + 1  # the last one goes down with its connection


def test_it_is_told_how_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(0) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["no untruth"]


def test_untruths_are_told_first() -> None:
    untrue = msgspec.structs.replace(run(Plan()), untruths=["it was not"])
    first, _figures, last = lines(untrue, 1.0)
    assert (first, last) == ("it was not", "1 untruths")
