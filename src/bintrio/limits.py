"""Who keeps the exchange's limits: one ledger for each session, or one for many.

Without anything said, each session has a `LocalLedger` of its own. `SharedLimits` keeps the limits of one address for
all sessions of this process. See ``docs/how-to/shared-limits.md``.
"""

from typing import TYPE_CHECKING

from ._protocol.ledger import Ledger as Ledger
from ._protocol.rate_limits import LocalLedger as LocalLedger
from ._protocol.shared_limits import SharedLimits as SharedLimits
from ._public import names_in as _names_in

if not TYPE_CHECKING:  # type checkers read the aliases above
    __all__ = _names_in(globals())
