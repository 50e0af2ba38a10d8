"""A world that lasts for days: a trade a minute, a rotation and a shutdown a day, something that goes wrong every hour.

    python -m scripts.days        a week
    python -m scripts.days 1      so many days

It prints what was untrue, and how long it took.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterable

from bintrio.sandbox import Link
from bintrio.sandbox.weather import AnyBlow, Fill, Relink, ShutDown, draw_blow
from bintrio.storm import Plan, Report, Step, run
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


def lines(report: Report, seconds: float) -> Iterable[str]:
    """A report in words, and the seconds of real time that it took."""
    yield from report.untruths
    yield (
        f"{report.seconds / 86_400:.1f} days, {report.calls:,} calls, {report.orders:,} orders, "
        f"{report.events:,} events in {seconds:.0f} s"
    )
    yield f"{len(report.untruths)} untruths" if report.untruths else "no untruth"


def main(number: int) -> int:
    """Live through so many days. Returns the exit code."""
    began = time.monotonic()
    report = run(days(number))
    print("\n".join(lines(report, time.monotonic() - began)))
    return 1 if report.untruths else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 7))
