"""What a session asks of whoever keeps its budgets: `Ledger`. `rate_limits` has the one that is there by default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..api._values import RateLimit
    from .budget import Cost
    from .holds import Hold, Reading, Refusal


class Ledger(Protocol):
    """Who keeps the budgets and the holds of an account: `LocalLedger`, or one of your own.

    **Every step is synchronous**, so that a session looks for room, charges, signs and queues a call without an await
    in between. Only waiting is asynchronous, and the session does that: for as long as `delay` says, or until the
    ledger says that there may be room sooner (`watch`). So a ledger may take its budgets in portions from a place that
    it shares with other processes, by a task of its own, and grant calls out of what it has: while it has nothing,
    `delay` says when to ask again, and `watch` tells that a portion has come.

    **Several sessions may share one** if they have the same address and the same account. The exchange counts weight
    and connections for each address, but orders for each account ("Unfilled order count"). So each account needs a
    ledger of its own (`of_account`), and these ledgers have a part in common: each passes weight, connections, their
    counts and every hold but -1015 on to that, and keeps orders for itself. A session never sees the part in common,
    and no ledger sees a session: it knows of it by `watch` alone.

    Every ``now`` is local time, `trio.current_time` in integer milliseconds, so a ledger belongs to one `trio.run`.
    What `charge` gives is the ledger's own business: the session keeps it, and hands it back to `settle` or `cancel`.
    """

    def of_account(self, account: str) -> Ledger:
        """The ledger of another account at the same address: the same one each time that the name is the same.

        It has weight, connections and what holds everything back in common with this one; orders and -1015 are its own.
        """
        ...

    def delay(self, cost: Cost, now: int) -> float:
        """Seconds until the cost fits, or until it is worth asking again; 0 if it may be charged now. It is finite.

        A call whose deadline comes earlier is not sent, and its caller is told at once: so what is only about to come
        should take no longer than it does.

        Raises:
            InvalidRequest: the cost is more than a whole limit, so that it never fits. Not for the purpose "own".
        """
        ...

    def shortage(self, cost: Cost, now: int) -> str | None:
        """Why a cost has to wait that `delay` has no room for, in words, as "Redis has not answered for 3 s".

        None if it is the exchange's limits, or a hold: then `delay` tells when it will be over. It is asked for calls
        that are given up, whose error says it.
        """
        ...

    def charge(self, cost: Cost, now: int) -> Any:
        """Count a cost from now on, whether or not it fits."""
        ...

    def settle(self, charge: Any, counts: Sequence[RateLimit], now: int) -> None:
        """The call was answered, with these counts, or its outcome is unknown and there are none."""
        ...

    def cancel(self, charge: Any) -> None:
        """The call was never sent."""
        ...

    def record(self, counts: Sequence[RateLimit], now: int) -> None:
        """Learn limits, and counts that came with no call that was charged. They only ever raise what is known."""
        ...

    def align(self, offset: int, error: int, now: int) -> None:
        """Learn the exchange's time: local time plus an offset, and by how many milliseconds that may be wrong."""
        ...

    def reading(self, now: int) -> Reading | None:
        """The exchange's time, as `align` told it last; None if it has not."""
        ...

    def hold(self, refusal: Refusal, now: int) -> Hold:
        """429 or 418: hold back everything, or all that costs orders (-1015), and tell whoever watches.

        If the exchange gave no time: until the window turns that is used up, but a ban for two minutes at least. Settle
        the charge first.
        """
        ...

    def held(self, cost: Cost, now: int) -> Hold | None:
        """What holds back that cost, and until when."""
        ...

    def watch(self, told: Callable[[Hold | None], object]) -> None:
        """Have a session told what concerns it. There is one for each session, so they are also counted by it.

        It is called with each hold at once, and returns when nothing that this concerns waits to leave any more. It is
        called with None when there may be room sooner than `delay` said: whoever waits asks again. If the call fails,
        that is logged, and the others are told all the same.
        """
        ...

    def unwatch(self, told: Callable[[Hold | None], object]) -> None:
        """Tell no more."""
        ...

    def used(self, limit_type: str, now: int) -> Sequence[tuple[RateLimit, int]]:
        """The limits of one type, and what is used up of each."""
        ...
