"""A virtual day: a trade a minute, a shutdown, rotations, and something that goes wrong every hour."""

from __future__ import annotations

import random

from bintrio.sandbox import Link
from bintrio.sandbox.weather import AnyBlow, Fill, Relink, ShutDown, draw_blow
from bintrio.storm import Plan, Step, run
from bintrio.storm.plan import Cancel, Place

HOUR = 60
DAY = 24 * HOUR


def days(number: int) -> Plan:
    """So many days, minute by minute."""
    dice = random.Random("days")
    steps: list[Step] = []
    for minute in range(number * DAY):
        blow: AnyBlow | None = None
        if minute % DAY == 700:
            blow = ShutDown(after=60.0)
        elif minute % HOUR == 30:
            blow = draw_blow(dice)
        elif minute % HOUR == 40:
            blow = Relink(link=Link())  # a network that is broken is mended some day
        steps += [] if blow is None else [Step(0.0, blow)]
        steps.append(Step(60.0, (Place(price=90 + minute % 5), Fill(which=0), Place(price=80), Cancel())[minute % 4]))
    return Plan(seed=7, steps=tuple(steps))


def test_a_day_is_lived_through_without_an_untruth() -> None:
    report = run(days(1))
    assert report.untruths == []
    assert report.seconds > 86_400
    assert report.calls == DAY * 3 // 4 + 1  # the last one goes down with its connection
