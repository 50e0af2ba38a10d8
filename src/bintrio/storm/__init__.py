"""Worlds by seed: a program on an exchange where everything goes wrong, the same way each time, and what was untrue.

    report = run(draw_plan(seed=7))
    assert not report.untruths

`draw_plan` draws a world; `run` lives through it in virtual time and holds what the program was told against what the
exchange saw. A `Plan` is data, so it can be kept, changed and made smaller.
"""

from typing import TYPE_CHECKING

from .._public import names_in as _names_in
from .drawing import draw_plan as draw_plan
from .plan import Plan as Plan
from .plan import Step as Step
from .plan import Terms as Terms
from .plan import read_plan as read_plan
from .world import Report as Report
from .world import run as run

if not TYPE_CHECKING:  # type checkers read the aliases above
    __all__ = _names_in(globals())
