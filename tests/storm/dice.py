"""Plans drawn by hypothesis, which makes smaller what it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

from bintrio.sandbox.weather import Dice, Lag, draw_blow
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


def idle(dice: Dice) -> Step:
    """A step in which nothing happens. Any other can be made this one by one choice, and what is so short left out."""
    return Step(0.0, Lag(seconds=0.0))


def order_or_blow(dice: Dice) -> Step:
    return Step(dice.choice(PAUSES), dice.choice((draw_place, draw_blow))(dice))


@st.composite
def steps(draw: Any, draw_one: Callable[[Dice], Step]) -> Step:
    dice = Drawing(draw)
    return dice.choice((idle, draw_one, draw_one, draw_one))(dice)


def small_plans() -> st.SearchStrategy[Plan]:
    """On the usual terms, nothing but orders and what strikes them."""
    return st.builds(Plan, steps=st.lists(steps(order_or_blow), max_size=6).map(tuple))


@st.composite
def plans(draw: Any) -> Plan:
    return Plan(
        seed=draw(st.integers(0, 99)),
        terms=draw_terms(Drawing(draw)),
        steps=tuple(draw(st.lists(steps(draw_step), max_size=30))),
    )
