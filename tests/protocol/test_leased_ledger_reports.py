"""What one process tells its centre, field by field, and what it makes of the answer."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from bintrio._protocol.budget import Cost
from bintrio._protocol.holds import Refusal
from bintrio._protocol.lease import BEAT, IDLE
from bintrio._protocol.leased_ledger import AWAY, SCRIPT, LeasedLedger
from tests.protocol.centre import Centre
from tests.protocol.fleet import ROOT
from tests.protocol.metering import MINUTE, NOON, SECOND, limit_of

LIMIT: Final = 600
_READ: Final = re.search(r"local READ = \{[^\n]*\n(.*?)\n\}", SCRIPT, re.DOTALL)
assert _READ is not None
FIELDS: Final = re.findall(r"'(\w+)'", _READ[1])
"""The fields of a limit, as the script names them."""


class Teller:
    """A process whose time is some seconds while the exchange's is `NOON` and as many, so that neither passes for the
    other. Both began a window ago, so all is known of this one.
    """

    def __init__(self, **options: Any) -> None:
        self.now = 5 * SECOND - MINUTE
        self.centre = Centre(lambda: NOON + self.now)
        self.ledger = self.process("a", **options)
        self.ledger.align(NOON, 0, self.now)
        self.ledger.record([limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT)], self.now)
        self.wait_until(5 * SECOND)

    def process(self, name: str, **options: Any) -> LeasedLedger:
        return LeasedLedger(name, lambda: None, types=("REQUEST_WEIGHT",), margin=0, **options)

    def wait_until(self, then: int) -> None:
        """Let time pass, with reports, since a centre that hears nobody for a second begins anew."""
        while self.now < then:
            self.now = min(self.now + IDLE, then)
            self.beat()

    def beat(self) -> None:
        self.ledger.take(self.centre.ask(ROOT, self.ledger.report(self.now)), self.now)

    def charge(self, cost: Cost) -> Any:
        """Charge a cost, once there is room."""
        if self.ledger.delay(cost, self.now) > 0:
            self.beat()
        assert self.ledger.delay(cost, self.now) == 0
        return self.ledger.charge(cost, self.now)

    def told(self) -> dict[str, int]:
        """What is reported of the one limit."""
        *_, name = (report := self.ledger.report(self.now))[: -len(FIELDS)]
        assert name == "REQUEST_WEIGHT:MINUTE:1"
        return dict(zip(FIELDS, map(int, report[-len(FIELDS) :]), strict=True))


@pytest.mark.parametrize("seconds", [7, 31])
def test_the_age_of_a_window_is_told_by_the_exchanges_time(seconds: int) -> None:
    one = Teller()
    one.now = seconds * SECOND
    assert one.told()["age"] == seconds * SECOND
    assert one.told()["window"] == NOON // MINUTE


def test_a_process_learns_the_exchanges_time_from_the_centre() -> None:
    one = Teller()
    one.beat()
    other = one.process("b")
    report = other.report(one.now)
    one.now += 40
    other.take(one.centre.ask(ROOT, report), one.now)
    reading = other.reading(one.now)
    assert reading is not None
    assert (reading.now, reading.error) == (NOON + one.now, 40)


def test_what_is_granted_and_not_taken_keeps_a_process_reporting_until_it_is_given_back() -> None:
    one = Teller()
    assert one.ledger.pause == IDLE
    one.ledger.settle(one.charge(Cost(10)), (), one.now)
    one.beat()
    one.now += BEAT
    one.beat()
    told = one.told()
    assert told["keep"] > told["taken"] == told["done"] == 10
    assert told["want_call"] == 0
    assert one.ledger.pause == BEAT
    for _ in range(200):
        one.now += BEAT
        one.beat()
    assert one.told()["keep"] == 10
    assert one.ledger.pause == IDLE


def test_g12_a_hold_is_told_once() -> None:
    one = Teller()
    one.ledger.hold(Refusal(418, -1003, "banned", 200_000), one.now)
    report = one.ledger.report(one.now)
    assert report[6:12] == ["1", "everything", "200000", "418", "-1003", "banned"]
    one.ledger.take(one.centre.ask(ROOT, report), one.now)
    assert one.ledger.report(one.now)[6] == "0"


def test_g12_what_a_centre_told_that_was_started_anew_explains_no_count() -> None:
    """What others had done by the old one's words is not what the new one knows to be done."""
    one = Teller()
    charge = one.charge(Cost(10))
    one.beat()
    later = one.charge(Cost(1))
    one.ledger.settle(later, [limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT, 11)], one.now)
    told = one.told()
    assert told["count"] == 11
    assert told["seen"] > 0
    later = one.charge(Cost(1))
    one.centre.restart(keeps=True)
    one.beat()
    one.ledger.settle(later, [limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT, 12)], one.now)
    told = one.told()
    assert (told["count"], told["seen"], told["seen_done"]) == (12, -1, 0)
    one.ledger.settle(charge, (), one.now)


def test_a_count_that_came_with_no_call_says_nothing_of_what_it_has_seen() -> None:
    one = Teller()
    for count in (100, 200):
        one.ledger.record([limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT, count)], one.now)
        told = one.told()
        assert (told["count"], told["seen"], told["seen_done"]) == (count, -1, 0)


def test_what_is_cancelled_after_a_turn_leaves_nothing_below_nothing_of_a_sessions_own_use() -> None:
    one = Teller()
    one.wait_until(58 * SECOND)
    charges = [one.charge(Cost(2, purpose="own")) for _ in range(3)]
    assert one.told()["own"] == 6
    one.wait_until(61 * SECOND)
    for charge in charges:
        one.ledger.cancel(charge)
    assert one.told()["own"] == 0


def test_while_the_centre_is_away_what_is_no_share_waits_for_the_turn() -> None:
    one = Teller(share=0.5)
    one.ledger.settle(one.charge(Cost(290)), (), one.now)
    one.now += AWAY
    assert one.ledger.delay(Cost(200), one.now) == (MINUTE - one.now % MINUTE) / 1000
