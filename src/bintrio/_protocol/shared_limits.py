"""`SharedLimits`: the exchange's limits, kept by all sessions of one process together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .rate_limits import LocalLedger
from .settings import check_name

if TYPE_CHECKING:
    from .ledger import Ledger


class SharedLimits:
    """The limits of one address of this machine, for sessions of one `trio.run`, of one account or several.

    Weight, connections and bans concern the address, so all sessions have them in common. Orders concern an account.
    Which account a key belongs to cannot be seen from the key, so you name it: any name, the same for the same account.

    Example::

        limits = bintrio.SharedLimits()
        async with (
            bintrio.open_session(endpoint, key=alice, ledger=limits.account("alice")) as first,
            bintrio.open_session(endpoint, key=bob, ledger=limits.account("bob")) as second,
        ):
            ...

    Source: "IP Limits" and "Unfilled Order Count" of the exchange's WebSocket API document.
    """

    def __init__(self) -> None:
        self._address = LocalLedger()

    def account(self, name: str) -> Ledger:
        """The ledger for sessions of that account: the same name gives the same one.

        Raises:
            InvalidRequest: the name is no text of 1 to 100 printable characters.
        """
        check_name("the name of an account", name)
        return self._address.of_account(name)
