"""Decimal arithmetic of our own: no result depends on the context that a program has set for its sums.

What rounds, signals or refuses by Python's current context, every operator for instance, goes through `EXACT` instead:
``EXACT.multiply(price, quantity)``. Where whole modules calculate, as in the sandbox, they run `in_exact`. Free of the
context are comparisons of finite numbers, `int`, `str` but for its ``E``, and making a `Decimal` of an int or of text
that is a number. Of other text a program that does not trap `InvalidOperation` gets a NaN: what reads text from others
asks `traps_what_is_no_number` first.

What is written here is all that a context has: what is left out would be copied from `decimal.DefaultContext`, which a
program may have changed as well.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    ROUND_HALF_EVEN,
    Context,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    getcontext,
    setcontext,
)
from functools import wraps
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

EXACT: Final = Context(
    # Any price times any quantity that a request takes fits without rounding.
    prec=160,
    rounding=ROUND_HALF_EVEN,
    Emin=MIN_EMIN,
    Emax=MAX_EMAX,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)


def in_exact(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose operators calculate as `EXACT` does."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        # Not by `localcontext`, which copies the context for each call.
        of_program = getcontext()
        setcontext(EXACT)
        try:
            return function(*args, **kwargs)
        finally:
            setcontext(of_program)

    return run


def traps_what_is_no_number() -> bool:
    """Whether making a `Decimal` of text that is no number is an error in the context of the program."""
    return getcontext().traps[InvalidOperation]
