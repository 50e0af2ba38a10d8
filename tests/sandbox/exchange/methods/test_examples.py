"""Every example request of the document is answered in the documented shape, over a WebSocket."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from bintrio.api._base import catalogue
from tests.sandbox.examples import CONTRADICTIONS, SCENES, examples, perform
from tests.sandbox.shapes import differences


@pytest.mark.parametrize(("method", "variant"), [*examples()])
async def test_an_example_is_answered_in_the_documented_shape(
    autojump_clock: MockClock, method: str, variant: str
) -> None:
    run = await perform(method, variant)
    assert run.answered
    known = CONTRADICTIONS.get((method, variant))
    assert run.differences == (set() if known is None else {known[0]})


def test_every_method_and_every_example_has_its_scene() -> None:
    assert SCENES.keys() == catalogue.keys()
    assert {(method, variant) for method, scenes in SCENES.items() for variant in scenes} == {*examples()}
    assert CONTRADICTIONS.keys() <= {*examples()}


@pytest.mark.parametrize(
    ("documented", "answered", "found"),
    [
        ({"a": 1}, {"a": 2}, []),
        ({"a": 1}, {"a": "2", "b": 0}, ["more b", "decimal a"]),
        ({"a": {"b": "x", "c": None}}, {"a": {"b": "1.50", "d": True}}, ["more a.d", "less a.c", "decimal a.b"]),
        ({"a": []}, {"a": [1, "x"]}, []),
        ({"a": [1]}, {"a": []}, ["empty a"]),
        ({"a": [1]}, {"a": {}}, ["dict a"]),
        ([["1", 2]], [["3", 4], ["5", "6"]], ["decimal [1]"]),
        (["x"], ["y", "z", None], ["NoneType "]),
        ([{"a": 1}, {"b": 1}], [{"b": 2}], ["more b", "less a"]),
        ([{"a": 1}, {"b": 1}], [{"b": 2}, {"a": 2}, {"a": 3}], []),
        ([{"filterType": "A", "a": 1}], [{"filterType": "B", "b": 1}, {"filterType": "A", "a": 2}], []),
    ],
)
def test_shapes_are_compared(documented: Any, answered: Any, found: list[str]) -> None:
    assert sorted(differences(documented, answered)) == sorted(found)
