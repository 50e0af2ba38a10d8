"""Worlds by seed: nothing in them is untrue, they are the same each time, and an untruth would be found."""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import Phase, find, given, settings

import bintrio
from bintrio.sandbox import Delay, HandshakeStatus, Link, MutePings, Timeout, Together
from bintrio.sandbox.weather import Cut, Fail, Relink
from bintrio.session import Session
from bintrio.storm import Plan, Step, Terms, draw_plan, keys, read_plan, run
from bintrio.storm.plan import Ask, Place
from tests.storm.dice import plans, small_plans
from tests.storm.transcript import transcript_of

PLANS: Final = sorted((Path(__file__).parent / "plans").glob("*.json"))
"""What was once untrue in a world, made small. A seed means another world after any change; a plan does not."""


@pytest.mark.untraced
@pytest.mark.parametrize("seed", [*range(8), 49])
def test_g1_to_g9_nothing_is_untrue_in_a_world(seed: int) -> None:
    report = run(draw_plan(seed))
    assert report.untruths == []
    assert report.seconds > 400
    assert report.calls > 5


@pytest.mark.parametrize("key", ["ed25519", "hmac", "rsa"])
def test_a_program_may_sign_with_each_kind_of_key(key: Any) -> None:
    keys._sandbox_key.cache_clear()  # else it was read in another test
    report = run(Plan(terms=Terms(key=key), steps=(Step(1.0, Place()),)))
    assert (report.untruths, report.orders) == ([], 1)


def test_what_struck_and_what_was_played_is_counted_by_kind() -> None:
    both = Together(method="ping", faults=(Delay(seconds=1.0), Timeout(executed=True)))
    refused, mute = Fail(fault=HandshakeStatus(status=503)), Fail(fault=MutePings())
    acts = Cut(), Relink(link=Link()), refused, mute, Ask(), Cut(), Ask()
    steps = (Step(0.0, Fail(fault=both)), *(Step(5.0, act) for act in acts))
    report = run(Plan(steps=steps))
    # The last one is what ends every world.
    assert report.faults == {"Together": 1, "Delay": 1, "Timeout": 1, "HandshakeStatus": 1, "Disconnect": 1}
    played = {"Cut": 2, "Relink": 1, "HandshakeStatus": 1, "MutePings": 1, "Together": 1, "Delay": 1, "Timeout": 1}
    assert report.blows == played


@pytest.mark.parametrize("file", PLANS, ids=lambda file: file.stem)
def test_what_was_untrue_once_is_not_any_more(file: Path) -> None:
    assert run(read_plan(file.read_bytes())).untruths == []


@pytest.mark.untraced
@settings(max_examples=10)
@given(plans())
def test_nothing_is_untrue_in_a_world_that_hypothesis_draws(plan: Plan) -> None:
    assert run(plan).untruths == []


def test_a_plan_is_data() -> None:
    for seed in range(20):
        plan = draw_plan(seed)
        assert read_plan(plan.to_json()) == plan == draw_plan(seed)
    assert draw_plan(1) != draw_plan(2)


# The same each time


# A world in which something may be lost, and a calm one.
SAME: Final = (1, 5)


@pytest.mark.untraced
@pytest.mark.parametrize("seed", SAME)
def test_a_world_is_the_same_each_time_byte_for_byte(seed: int) -> None:
    once = transcript_of(draw_plan(seed))
    assert len(once) > 200
    assert once == transcript_of(draw_plan(seed))
    assert once != transcript_of(draw_plan(seed + 1))


PROGRAM: Final = """
import hashlib, sys
from bintrio.storm import draw_plan
from tests.storm.transcript import transcript_of
assert "hypothesis" not in sys.modules  # it sets trio's order of tasks by itself
print(hashlib.sha256(repr([transcript_of(draw_plan(int(seed))) for seed in sys.argv[1:]]).encode()).hexdigest())
"""


def test_and_in_another_process_with_other_hashes_and_without_hypothesis() -> None:
    here = hashlib.sha256(repr([transcript_of(draw_plan(seed)) for seed in SAME]).encode()).hexdigest()
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    root = Path(__file__).parent.parent.parent
    command = [sys.executable, "-c", PROGRAM, *map(str, SAME)]
    found = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert found.stdout.strip() == here, found.stderr


# An untruth would be found


@pytest.mark.untraced
def test_g7_an_order_that_is_sent_twice_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    def repeat(self: Session, call: Any, request: Any, lost: Any) -> None:
        """Has every call go to another connection."""

    def is_sent_twice(plan: Plan) -> bool:
        acts = [step.act for step in plan.steps]
        # Half of what is drawn has no order, or nothing that strikes one: that is seen without living through it.
        has_both = any(isinstance(act, Place) for act in acts) and any(isinstance(act, Cut | Fail) for act in acts)
        return has_both and any(re.search(r"came to the exchange \d+ times", said) for said in run(plan).untruths)

    monkeypatch.setattr(bintrio.Session, "_check_loss", repeat)
    found = find(
        small_plans(),
        is_sent_twice,
        settings=settings(max_examples=1_000, phases=[Phase.generate, Phase.shrink]),
        # What is found first, and so how far it can be made smaller one choice at a time, is the same each time.
        random=random.Random(1),
    )
    assert len(found.steps) == 2
