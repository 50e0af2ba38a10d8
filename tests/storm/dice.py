"""Plans drawn by hypothesis, which makes smaller what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

from bintrio.sandbox.weather import draw_blow
from bintrio.storm import Plan, Step
from bintrio.storm.drawing import PAUSES, draw_place, draw_step, draw_terms

T = TypeVar("T")


class Drawing:
    """Dice by hypothesis: the first of several options and the lowest number are the simplest."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw

    def choice(self, options: Sequence[T], /) -> T:
        chosen: T = self._draw(st.sampled_from(options))
        return chosen

    def randint(self, lowest: int, highest: int, /) -> int:
        number: int = self._draw(st.integers(lowest, highest))
        return number


@st.composite
def steps(draw: Any) -> Step:
    return draw_step(Drawing(draw))


@st.composite
def orders_and_blows(draw: Any) -> Step:
    dice = Drawing(draw)
    return Step(dice.choice(PAUSES), dice.choice((draw_place, draw_blow))(dice))


def small_plans() -> st.SearchStrategy[Plan]:
    """On the usual terms, nothing but orders and what strikes them."""
    return st.builds(Plan, steps=st.lists(orders_and_blows(), max_size=6).map(tuple))


@st.composite
def plans(draw: Any) -> Plan:
    return Plan(
        seed=draw(st.integers(0, 99)),
        terms=draw_terms(Drawing(draw)),
        steps=tuple(draw(st.lists(steps(), max_size=30))),
    )
