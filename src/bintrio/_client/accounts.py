"""The accounts that one session calls for: that of its own key, and those of `Session.using`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeAlias

import msgspec

from .._protocol.holds import Hold
from .._protocol.ledger import Ledger
from .._protocol.signing import Key, digest_of
from .._text import shown_key


class Account(msgspec.Struct, frozen=True, eq=False):
    """Whom a call is for.

    Attributes:
        key: signs its calls; None if there is none.
        ledger: keeps its orders, and what it has in common with the other accounts of the session.
        shown: as much of its API key as may be shown.
    """

    key: Key | None
    ledger: Ledger
    shown: str | None = None

    def __post_init__(self) -> None:
        # Once: each call that is observed says it.
        msgspec.structs.force_setattr(self, "shown", None if self.key is None else shown_key(self.key.api_key))

    @property
    def digest(self) -> str | None:
        """What tells its API key from others: see `digest_of`."""
        return None if self.key is None else digest_of(self.key.api_key)


Told: TypeAlias = Callable[[Account, Hold | None], object]
"""Called with what a ledger tells (`Ledger.watch`), and the account whose ledger it is."""


class Accounts:
    """All accounts of one session.

    Attributes:
        own: that of the session's key. Its calls need no signature on a connection that is logged on.
    """

    def __init__(self, own: Account) -> None:
        self.own: Final = own
        # By the digests of their API keys.
        self._others: dict[str, Account] = {}
        # By the names of the accounts.
        self._ledgers: dict[str, Ledger] = {}
        self._watched: dict[int, tuple[Ledger, Callable[[Hold | None], object]]] = {}
        self._told: Told | None = None

    def of(self, key: Key, name: str | None) -> Account:
        """The account of a key.

        Args:
            key: whose calls are to be signed with it.
            name: of the account at the ledger; None for one that only this key has.
        """
        # The usual case needs no digest, which costs more than all else here.
        if key is self.own.key and name is None:
            return self.own
        digest = digest_of(key.api_key)
        is_own = digest == self.own.digest and name is None  # the same account by another object
        ledger = self.own.ledger if is_own else self._ledger_of(name or digest)
        known = self._others.get(digest)
        # Another key object with the same API key may sign in another way, so the latest one given counts.
        if known is None or known.key is not key or known.ledger is not ledger:
            known = self._others[digest] = Account(key, ledger)
            self._watch(known)
        return known

    def _ledger_of(self, name: str) -> Ledger:
        # Once for each account: the orders of all its keys are counted together.
        if name not in self._ledgers:
            self._ledgers[name] = self.own.ledger.of_account(name)
        return self._ledgers[name]

    def known(self, digest: str) -> Account | None:
        """The account whose API key has that digest; None if no call was made for it."""
        return self.own if digest == self.own.digest else self._others.get(digest)

    @contextmanager
    def watched(self, told: Told) -> Generator[None]:
        """Have it told what the ledgers of all accounts tell, those that come later too."""
        self._told = told
        for account in (self.own, *self._others.values()):
            self._watch(account)
        try:
            yield
        finally:
            self._told = None
            for ledger, callback in self._watched.values():
                ledger.unwatch(callback)
            self._watched.clear()

    def _watch(self, account: Account) -> None:
        ledger = account.ledger
        # Several accounts may share a ledger, which is to tell each thing once.
        if self._told is not None and id(ledger) not in self._watched:
            callback = partial(self._told, account)
            self._watched[id(ledger)] = ledger, callback
            ledger.watch(callback)
