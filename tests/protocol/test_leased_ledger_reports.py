"""What one process tells its centre, field by field, and what it makes of the answer."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from bintrio._protocol.budget import Cost
from bintrio._protocol.holds import Refusal
from bintrio._protocol.lease import BEAT, IDLE, probe_of
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
        self.woken = 0
        self.now = 5 * SECOND - MINUTE
        self.centre = Centre(lambda: NOON + self.now)
        self.ledger = self.process("a", **options)
        self.ledger.align(NOON, 0, self.now)
        self.ledger.record([limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT)], self.now)
        self.wait_until(5 * SECOND)

    def process(self, name: str, **options: Any) -> LeasedLedger:
        return LeasedLedger(name, self._wake, types=("REQUEST_WEIGHT",), margin=0, **options)

    def _wake(self) -> None:
        self.woken += 1

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

    def pass_a_beat(self, *, taken: int, left: int) -> None:
        """Take so much in one beat, and have so much granted beyond that."""
        self.ledger.settle(self.charge(Cost(taken)), (), self.now)
        self.ledger.cancel(self.charge(Cost(left)))
        self.now += BEAT

    def told(self) -> dict[str, int]:
        """What is reported of the one limit."""
        *_, name = (report := self.ledger.report(self.now))[: -len(FIELDS)]
        assert name == "REQUEST_WEIGHT:MINUTE:1"
        return dict(zip(FIELDS, map(int, report[-len(FIELDS) :]), strict=True))


@pytest.mark.parametrize(("seconds", "reserve"), [(7, 29), (31, 29), (58, 0)], ids=["early", "midway", "late"])
def test_the_age_of_a_window_is_told_by_the_exchanges_time(seconds: int, reserve: int) -> None:
    one = Teller()
    one.now = seconds * SECOND
    told = one.told()
    assert told["age"] == seconds * SECOND
    assert (told["window"], told["length"]) == (NOON // MINUTE, MINUTE)
    assert (told["limit"], told["counted"], told["is_weight"], told["reserve"]) == (LIMIT, 1, 1, reserve)


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


def test_what_the_count_of_a_later_call_has_in_it_was_taken_here_all_the_same() -> None:
    one = Teller()
    one.wait_until(MINUTE - 1)
    slow = one.charge(Cost(20))
    one.wait_until(MINUTE + 1)
    later = one.charge(Cost(1))
    one.ledger.settle(later, [limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT, 21)], one.now)
    one.ledger.settle(slow, (), one.now)
    assert [used for _, used in one.ledger.used("REQUEST_WEIGHT", one.now)] == [21]
    assert one.told()["taken"] == 21


def test_g5_each_session_can_move_to_another_connection_whatever_opening_it_has_used() -> None:
    one = Teller()
    one.ledger.watch(lambda _hold: None)
    one.ledger.settle(one.charge(Cost(29, purpose="own")), (), one.now)
    one.beat()
    one.ledger.settle(one.charge(Cost(400)), (), one.now)
    left = LIMIT - probe_of(limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT)) - 29 - 400 - 50 - 7
    for _ in range(left):
        one.ledger.settle(one.charge(Cost(1)), (), one.now)
    for _ in range(3):
        assert one.ledger.delay(Cost(1), one.now) > 0
        one.beat()


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
    assert report[8:14] == ["1", "everything", "200000", "418", "-1003", "banned"]
    one.ledger.take(one.centre.ask(ROOT, report), one.now)
    assert one.ledger.report(one.now)[8] == "0"


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


# How much is asked for, and given back


def test_what_is_left_is_asked_up_to_what_two_beats_take() -> None:
    one = Teller()
    one.pass_a_beat(taken=10, left=5)
    told = one.told()
    assert (told["keep"], told["taken"]) == (15, 10)
    assert (told["want_call"], told["need_call"]) == (15, 1)


def test_of_what_is_left_over_is_kept_what_four_beats_take() -> None:
    one = Teller()
    one.pass_a_beat(taken=10, left=100)
    assert one.told()["keep"] == 110  # it has just come
    one.now += BEAT
    assert one.told()["keep"] == 10 + 40


def test_a_report_is_hurried_when_less_is_left_than_one_beat_takes() -> None:
    one = Teller()
    one.pass_a_beat(taken=10, left=25)
    one.beat()
    before = one.woken
    for part, woken in ((10, 0), (6, 1)):
        one.ledger.charge(Cost(part), one.now)
        assert one.ledger.delay(Cost(1), one.now) == 0
        assert one.woken - before == woken


def test_a_call_that_waits_keeps_a_process_reporting() -> None:
    one = Teller()
    assert one.ledger.delay(Cost(5), one.now) > 0
    assert one.ledger.pause == BEAT


def test_g12_a_call_for_which_the_centre_has_nothing_waits_for_the_turn() -> None:
    one = Teller()
    one.ledger.settle(one.charge(Cost(540)), (), one.now)
    assert one.ledger.delay(Cost(50), one.now) == BEAT / 1000
    one.beat()
    assert one.ledger.delay(Cost(50), one.now) == (MINUTE - one.now) / 1000


def test_what_was_granted_for_a_sessions_own_calls_is_kept_until_they_take_it() -> None:
    one = Teller()
    own = Cost(2, purpose="own")
    assert one.ledger.delay(own, one.now) > 0
    one.beat()
    assert one.ledger.delay(Cost(1), one.now) > 0
    one.ledger.charge(own, one.now)
    one.charge(Cost(5))
    assert one.told()["prior"] == 2
    one.wait_until(MINUTE + SECOND)
    one.charge(own)
    assert one.told()["prior"] == 2
    assert one.ledger.delay(Cost(1, purpose="own"), one.now) > 0


# Counts of the exchange


def counted(one: Teller, charge: Any, count: int) -> dict[str, int]:
    """What is told after an answer with a count."""
    one.ledger.settle(charge, [limit_of("REQUEST_WEIGHT", "MINUTE", 1, LIMIT, count)], one.now)
    return one.told()


def test_g12_a_count_is_told_with_the_last_answer_that_its_call_had_seen() -> None:
    one = Teller()
    charges, answers = list[Any](), list[int]()
    for _ in range(3):
        charges.append(one.charge(Cost(1)))
        (window,) = (key for key in one.centre.hashes if key.endswith(f":MINUTE:1:{NOON // MINUTE}"))
        answers.append(int(one.centre.hashes[window]["calls"]))
        one.beat()
    assert [counted(one, charge, 10)["seen"] for charge in charges] == answers


def test_g12_no_answer_of_the_window_before_was_seen_in_this_one() -> None:
    one = Teller()
    one.wait_until(MINUTE - 1)
    one.now = MINUTE  # no answer has come in this window
    assert one.ledger.delay(Cost(1), one.now) > 0
    told = counted(one, one.ledger.charge(Cost(1), one.now), 1)
    assert (told["count"], told["seen"]) == (1, -1)


def test_g12_what_others_used_is_not_told_as_taken_in_this_window_or_the_next() -> None:
    one = Teller()
    assert counted(one, one.charge(Cost(5)), 30)["taken"] == 5
    assert counted(one, one.charge(Cost(5)), 45)["taken"] == 10
    one.now = MINUTE
    assert one.told()["taken"] == 0


# Holds of others


@pytest.mark.parametrize("longer", [0, 1])
def test_g12_a_hold_of_others_is_another_one_if_it_lasts_over_a_second_longer(longer: int) -> None:
    one = Teller()
    other = one.process("b")
    report = other.report(one.now)
    own = other.hold(Refusal(418, -1003, "own", 5_000), one.now)
    one.ledger.hold(Refusal(418, -1003, "of the other", 6_000 + longer), one.now)
    one.beat()
    other.take(one.centre.ask(ROOT, report), one.now)
    held = other.held(Cost(1), one.now)
    assert held is not None
    assert held.until - own.until == (1_001 if longer else 0)
