"""What lies beyond one page: klines, trades and orders of any span of time, by `Session.history`."""

from typing import TYPE_CHECKING

from .._public import names_in as _names_in
from .pages import OnProgress as OnProgress
from .pages import Pages as Pages
from .pages import Progress as Progress
from .reading import History as History

if not TYPE_CHECKING:
    # Type checkers read the aliases above.
    __all__ = _names_in(globals())
