"""`AccountLedger`: the ledger of one of several accounts that trade from one address.

The exchange counts weight and connections for each address, but orders for each account ("Unfilled order count"). So
each account has a ledger of its own for orders, and all of an address have one in common for everything else:

    what                       weight, connections, holds of everything     orders, -1015
    is kept by                 `common`, for all accounts                   `orders`, for this one
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .budget import Cost
from .holds import Hold, Reading, Refusal, scope_of

if TYPE_CHECKING:
    from ..api._values import RateLimit
    from .ledger import Ledger


class _Charge(NamedTuple):
    """What both ledgers hold for a call; None for one that no orders were charged to."""

    common: Any
    orders: Any


class AccountLedger:
    """The `Ledger` of one account.

    Args:
        common: of the address. What it keeps of orders is another account's.
        orders: of this account.
    """

    def __init__(self, common: Ledger, orders: Ledger) -> None:
        self._common = common
        self._orders = orders
        self._watchers: dict[Callable[[Hold | None], object], Callable[[Hold | None], object]] = {}

    def of_account(self, account: str) -> Ledger:
        """See `Ledger.of_account`."""
        return self._common.of_account(account)

    def delay(self, cost: Cost, now: int) -> float:
        """See `Ledger.delay`."""
        common, orders = _parts(cost)
        delay = self._common.delay(common, now)
        # A call without orders does not wait for the account, so that it can still cancel.
        return max(delay, self._orders.delay(orders, now)) if orders.orders else delay

    def shortage(self, cost: Cost, now: int) -> str | None:
        """See `Ledger.shortage`."""
        common, orders = _parts(cost)
        return self._common.shortage(common, now) or self._orders.shortage(orders, now)

    def charge(self, cost: Cost, now: int) -> _Charge:
        """See `Ledger.charge`."""
        common, orders = _parts(cost)
        return _Charge(self._common.charge(common, now), self._orders.charge(orders, now) if orders.orders else None)

    def settle(self, charge: _Charge, counts: Sequence[RateLimit], now: int) -> None:
        """See `Ledger.settle`."""
        common, orders = _sorted(counts)
        self._common.settle(charge.common, common, now)
        # Its answer has the counts of orders all the same.
        if charge.orders is None:
            self._orders.record(orders, now)
        else:
            self._orders.settle(charge.orders, orders, now)

    def cancel(self, charge: _Charge) -> None:
        """See `Ledger.cancel`."""
        self._common.cancel(charge.common)
        if charge.orders is not None:
            self._orders.cancel(charge.orders)

    def record(self, counts: Sequence[RateLimit], now: int) -> None:
        """See `Ledger.record`."""
        common, orders = _sorted(counts)
        # The limits are the same for every account, so one that comes later has them from the address; not the counts.
        bare = [msgspec.structs.replace(limit, count=None) for limit in orders]
        self._common.record([*common, *bare], now)
        self._orders.record(orders, now)

    def align(self, offset: int, error: int, now: int) -> None:
        """See `Ledger.align`."""
        self._common.align(offset, error, now)
        self._orders.align(offset, error, now)

    def reading(self, now: int) -> Reading | None:
        """See `Ledger.reading`."""
        return self._common.reading(now)

    def hold(self, refusal: Refusal, now: int) -> Hold:
        """See `Ledger.hold`."""
        # -1015 is about this account; all other refusals are about the address.
        ledger = self._orders if scope_of(refusal.code) == "orders" else self._common
        return ledger.hold(refusal, now)

    def held(self, cost: Cost, now: int) -> Hold | None:
        """See `Ledger.held`."""
        common, orders = _parts(cost)
        holds = [hold for hold in (self._common.held(common, now), self._orders.held(orders, now)) if hold is not None]
        return max(holds, default=None)  # by its end

    def watch(self, told: Callable[[Hold | None], object]) -> None:
        """See `Ledger.watch`."""

        def told_by_common(hold: Hold | None) -> None:
            if hold is None or hold.scope == "everything":  # else it is about the orders of another account
                told(hold)

        # Kept, since `unwatch` has to name to the common ledger the very function that watches.
        self._watchers[told] = told_by_common
        self._common.watch(told_by_common)
        self._orders.watch(told)

    def unwatch(self, told: Callable[[Hold | None], object]) -> None:
        """See `Ledger.unwatch`."""
        self._common.unwatch(self._watchers.pop(told, told))
        self._orders.unwatch(told)

    def used(self, limit_type: str, now: int) -> Sequence[tuple[RateLimit, int]]:
        """See `Ledger.used`."""
        ledger = self._orders if limit_type == "ORDERS" else self._common
        return ledger.used(limit_type, now)


@lru_cache  # there are few different costs
def _parts(cost: Cost) -> tuple[Cost, Cost]:
    """What of a cost the address bears, and what the account."""
    return cost._replace(orders=0), Cost(orders=cost.orders, purpose=cost.purpose)


def _sorted(counts: Iterable[RateLimit]) -> tuple[list[RateLimit], list[RateLimit]]:
    """The counts of the address, and those of the account."""
    common: list[RateLimit] = []
    orders: list[RateLimit] = []
    for count in counts:
        (orders if count.rate_limit_type == "ORDERS" else common).append(count)
    return common, orders
