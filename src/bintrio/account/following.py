"""What a session has to follow its account: `account`."""

from __future__ import annotations

import math
from abc import abstractmethod
from contextlib import AbstractAsyncContextManager
from functools import partial

from .._client.confirming import Confirming
from .desk import Trading
from .live import LiveAccount, open_account


class Following(Confirming):
    """A session as far as it tells what became of calls, and follows its account."""

    @property
    @abstractmethod
    def _trading(self) -> Trading:
        """Itself, as far as an account needs it."""

    @abstractmethod
    def _hurried(self, seconds: float) -> Trading:
        """Itself, as far as an account needs it, with calls that end within that time."""

    def account(
        self, *, keep: int = 1000, keep_for: float = 86_400, history: int = 10_000
    ) -> AbstractAsyncContextManager[LiveAccount]:
        """Follow the account of the session's key: ``async with session.account() as account: ...``.

        Entering returns once it has been asked for what there is. Two seconds later, when queries must show it, it is
        asked for again, and the account is current (`LiveAccount.is_current`). Each takes request weight 106.

        So does every loss of events. What may have changed meanwhile takes more: 20 for each symbol in play, for each
        day and each 1,000 orders; 4 for each order or list that is not open any more, 8 where the exchange shows it no
        more; 5 for each order whose trades are missing, and for each 1,000 of them.

        Where no answer comes it is all asked again, after a pause that grows up to half a minute; under a hold or a
        ban, once that is over. So it is with the subscription and each question on entering, for a minute; then, or if
        a hold lasts longer, entering raises what was said last. A key that the exchange does not accept is not tried
        again: entering raises that at once, and so does the block if it is refused later on. On `Session.within`,
        entering takes no longer than its seconds, instead of a minute.

        Trades that are refused, or too few, are asked for after a minute, and after twice as long each time, up to an
        hour: for weight 100 at a time. So are balances that are not certain (`Holding.is_certain`), for weight 20. If
        after a loss the answer for balances is older, by its own time, than what events had told before, all is asked
        again for a minute, some ten times; after that only the balances are, which are not certain until then.

        Of an order, or a list, that an event shows without a documented field, only that field is missing, and to read
        it is a `ProtocolViolation`. An event that cannot be read at all, or lacks what nothing can be told without, as
        which order it is, is a loss like any other: the account says as of when it stands, and asks for all of it; for
        the sake of such events once a minute.

        Args:
            keep: how many orders that have ended are kept, and how many order lists.
            keep_for: seconds for which they are kept at most. Older ones are gone with the next change.
            history: how many changes are kept for those who read them.

        Raises:
            InvalidRequest: there is no key, or a number is no positive int.
            Rejected: the exchange does not accept the key, or refused all the time what has to be asked.
            NotSent, OutcomeUnknown: there was no answer for a minute, or for the seconds of `Session.within`.
        """
        teller = self._shared.observation.about(account=self._account.shown)
        opened = partial(open_account, self._trading, teller, keep=keep, keep_for=keep_for, history=history)
        if self._longest == math.inf:
            return opened()
        return opened(seconds=self._longest, hurried=self._hurried)
