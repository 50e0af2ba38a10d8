"""The order in which trio lets tasks run, by a seed: the only file that names what trio keeps to itself.

Of the tasks that can go on at the same moment, trio takes one at random, from a source of its own that hypothesis and
pytest-trio seed in the same way. There is no public way to it. So whatever is missing here is an error, not a run that
cannot be repeated.
"""

from __future__ import annotations

import random
from collections.abc import Generator, MutableSequence
from contextlib import contextmanager
from typing import Any

import trio


class SchedulingUnknown(Exception):
    """Trio has no such source where it is looked for, so a run cannot be repeated with this version of it."""


@contextmanager
def scheduled(seed: int | str) -> Generator[None]:
    """Have tasks run in an order that follows from a seed; for the whole of the `trio.run` that this is in, or around.

    Raises:
        SchedulingUnknown: trio has changed.
    """
    run, before = _internals()
    was_deterministic = run._ALLOW_DETERMINISTIC_SCHEDULING
    run._ALLOW_DETERMINISTIC_SCHEDULING, run._r = True, _Source(str(seed))
    try:
        yield
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING, run._r = was_deterministic, before


class _Source(random.Random):
    """Gives what any source does of the same seed, and is quick where there is nothing to choose: one task, mostly."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """See `random.Random`."""
        if len(x) > 1:
            super().shuffle(x)


def _internals() -> tuple[Any, random.Random]:
    run: Any = getattr(getattr(trio, "_core", None), "_run", None)
    source = getattr(run, "_r", None)
    if not isinstance(source, random.Random) or not isinstance(
        getattr(run, "_ALLOW_DETERMINISTIC_SCHEDULING", None), bool
    ):
        raise SchedulingUnknown(f"trio {trio.__version__} keeps its order of tasks elsewhere than 0.34 to 0.35 did")
    return run, source
