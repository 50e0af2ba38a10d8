"""What the page on storms shows does what it says."""

from __future__ import annotations

import pytest

from tests.pages import blocks, in_memory, in_virtual_time, run_program

__all__ = ["in_memory", "in_virtual_time"]

pytest_plugins = ["pytester"]

SUITE, PROGRAM = blocks("how-to/" + "storm.md")


def test_a_bot_meets_twenty_storms(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["bintrio.pytest_plugin"]')
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\naddopts = --strict-markers")
    (pytester.path / SUITE.name).write_text(SUITE.source)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=20)


def test_a_storm_tells_its_story(in_virtual_time: None, capsys: pytest.CaptureFixture[str]) -> None:
    run_program(PROGRAM)
    assert capsys.readouterr().out.startswith("storm 7\n")
