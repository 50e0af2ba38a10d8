"""An account that keeps itself up to date: `Session.account`.

    async with session.account() as account:
        order = await account.place(symbol="BTCUSDT", side="BUY", type="LIMIT", ...)
        if await order.filled():
            print(account.balances["BTC"].free)

Orders, balances and order lists are what events, answers and queries tell of them, whichever comes first. After a loss
the account asks for what it may have missed; until then it says as of when it stands (`LiveAccount.as_of`).
"""

from typing import TYPE_CHECKING

from .._public import names_in as _names_in
from .changes import Certainty as Certainty
from .changes import Change as Change
from .changes import FillAdded as FillAdded
from .changes import Holding as Holding
from .changes import HoldingChanged as HoldingChanged
from .changes import ListChanged as ListChanged
from .changes import NotShown as NotShown
from .changes import OrderChanged as OrderChanged
from .changes import Source as Source
from .handles import LiveOrder as LiveOrder
from .handles import LiveOrderList as LiveOrderList
from .live import LiveAccount as LiveAccount

if not TYPE_CHECKING:
    # Type checkers read the aliases above.
    __all__ = _names_in(globals())
