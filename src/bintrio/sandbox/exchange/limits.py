"""How often: request weight and connections by address, unfilled orders by account.

Windows are aligned to the clock: a minute's window ends with the minute, whenever the first request came. Who goes over
a limit gets 429 with the time when the window ends; who goes on after that is banned, the first time for two minutes,
then twice as long each time.

Of connections, attempts count: the document's "300 connections per attempt" is "connection requests" in its Chinese
edition, and -1034 says "too many connection attempts".

The document does not say how many requests after a 429 bring a ban; here it is `Limits.patience`.

Times are microseconds. Source: "Rate limits" of the WebSocket API document.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, TypeAlias

import msgspec

from bintrio.api._values import RateLimit
from bintrio.api.enums import RateLimitInterval, RateLimitType

from . import refusals
from .arguments import NotNegative, Positive, Seconds, check_fields
from .units import MILLISECOND, SECOND

Unfilled: TypeAlias = Literal["placed", "taken", "made"]
"""What a change means to the number of unfilled orders: a new one, or a first fill as taker or maker."""

_UNITS: Final = {"SECOND": SECOND, "MINUTE": 60 * SECOND, "HOUR": 3600 * SECOND, "DAY": 86_400 * SECOND}

CONNECT_WEIGHT: Final = 2
"""Of opening a connection; "IP limits"."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is allowed; the defaults are the document's.

    Attributes:
        weight: request weight per minute and address.
        orders_per_10_seconds: unfilled orders per account.
        orders_per_day: unfilled orders per account.
        connections: attempts to open one, per 5 minutes and address.
        patience: how many refusals with 429 in one window bring no ban yet; the next request does.
        first_ban: seconds.
        longest_ban: seconds.
        taker_credit: what the first fill of an order takes off the unfilled orders if it comes at once.
        maker_credit: the same if it comes later; the document says that it is more, and "gives only a general idea".
        credit_delay: seconds from the fill until then; the document speaks of "a short delay".

    Raises:
        InvalidRequest: a value is of another type, or out of range.
    """

    weight: Positive = 6_000
    orders_per_10_seconds: NotNegative = 50
    orders_per_day: NotNegative = 160_000
    connections: NotNegative = 300
    patience: NotNegative = 10
    first_ban: NotNegative = 120
    longest_ban: NotNegative = 3 * 86_400
    taker_credit: NotNegative = 1
    maker_credit: NotNegative = 5
    credit_delay: Seconds = 0

    def __post_init__(self) -> None:
        check_fields(self)

    def rules(self) -> tuple[RateLimit, ...]:
        """As ``exchangeInfo`` lists them."""
        return (
            _limit("REQUEST_WEIGHT", "MINUTE", 1, self.weight),
            *self.order_rules(),
            _limit("CONNECTIONS", "MINUTE", 5, self.connections),
        )

    def order_rules(self) -> tuple[RateLimit, ...]:
        """Those on orders."""
        return (
            _limit("ORDERS", "SECOND", 10, self.orders_per_10_seconds),
            _limit("ORDERS", "DAY", 1, self.orders_per_day),
        )


def _limit(kind: RateLimitType, interval: RateLimitInterval, number: int, limit: int) -> RateLimit:
    return RateLimit(rate_limit_type=kind, interval=interval, interval_num=number, limit=limit)


class Window:
    """What was used of one limit in the current window."""

    def __init__(self, rule: RateLimit) -> None:
        self.rule: Final = rule
        self._length = rule.interval_num * _UNITS[rule.interval]
        self._index = 0
        self._count = 0
        self._later: deque[tuple[int, int]] = deque()

    def count(self, now: int) -> int:
        """Used so far."""
        # Mostly it is the same window as before, and nothing is given back.
        if self._later or now // self._length != self._index:
            self._go_to(now)
        return self._count

    def _go_to(self, now: int) -> None:
        while self._later and self._later[0][0] <= now:
            time, amount = self._later.popleft()
            self._turn(time)
            # Fills give back more than their orders cost, and a window never owes.
            self._count = max(self._count - amount, 0)
        self._turn(now)

    def _turn(self, time: int) -> None:
        index = time // self._length
        # A new window has begun, and nothing of it is used.
        if index != self._index:
            self._index, self._count = index, 0

    def add(self, amount: int, now: int) -> None:
        """Use some."""
        self._count = self.count(now) + amount

    def give_back(self, amount: int, time: int) -> None:
        """Give some back at a time that may be still to come."""
        self._later.append((time, amount))

    def has_room(self, amount: int, now: int) -> bool:
        """Whether so much may still be used."""
        return self.count(now) + amount <= self.rule.limit

    def ends_at(self, now: int) -> int:
        """When the window is over, in milliseconds."""
        return (now // self._length + 1) * self._length // MILLISECOND

    def report(self, now: int) -> RateLimit:
        """As an answer shows it."""
        return msgspec.structs.replace(self.rule, count=self.count(now))

    def copy(self) -> Window:
        """One of its own of which as much is used."""
        twin = Window(self.rule)
        twin._index, twin._count, twin._later = self._index, self._count, self._later.copy()
        return twin


class AddressBudget:
    """The limits on one network address.

    Attributes:
        banned_until: everything is refused before that time, in microseconds; 0 if it never was.
    """

    def __init__(self, limits: Limits) -> None:
        weight, *_, connections = limits.rules()
        self.weight: Final = Window(weight)
        self.connections: Final = Window(connections)
        self._limits = limits
        # Counted in windows of its own: whoever has waited for the end of one begins anew.
        self._refused = Window(msgspec.structs.replace(weight, limit=limits.patience))
        self._ban = limits.first_ban
        self.banned_until = 0

    def admit(self, weight: int, now: int) -> None:
        """Let a request pass, or not.

        Raises:
            Refusal: -1003 with status 429 or 418.
        """
        # A ban is told before any limit: it lasts longer.
        if self.banned_until:
            self.check_ban(now)
        if self.weight.has_room(weight, now):
            return
        # Every request after the first 429 counts towards a ban.
        self._refused.add(1, now)
        # This refusal is counted already.
        if self._refused.has_room(0, now):
            raise refusals.too_much_weight(
                self.weight.rule.limit,
                _in_words(self.weight.rule),
                now=now // MILLISECOND,
                retry_after=self.weight.ends_at(now),
            )
        self.ban_until(now + self._ban * SECOND)
        # Repeated bans last longer, up to three days ("IP limits").
        self._ban = min(2 * self._ban, self._limits.longest_ban)
        self.check_ban(now)

    def ban_until(self, end: int) -> None:
        """Refuse everything before a time in microseconds."""
        self.banned_until = end

    def check_ban(self, now: int) -> None:
        """Refuse an address that is banned.

        Raises:
            Refusal: -1003 with status 418.
        """
        if now < self.banned_until:
            raise refusals.banned(now=now // MILLISECOND, retry_after=self.banned_until // MILLISECOND)

    @property
    def windows(self) -> tuple[Window, ...]:
        """Of each of the limits."""
        return self.weight, self.connections

    def admit_connection(self, now: int) -> None:
        """Let a connection be opened, or not.

        Raises:
            Refusal: -1003 or -1034 with status 429 or 418.
        """
        # Attempts are counted, also those that are turned away.
        self.connections.add(1, now)
        # Weight first, since that is what bans.
        self.admit(CONNECT_WEIGHT, now)
        if not self.connections.has_room(0, now):
            rule = self.connections.rule
            refusal = refusals.too_many_connections(rule.limit, _in_words(rule))
            refusal.data = {"serverTime": now // MILLISECOND, "retryAfter": self.connections.ends_at(now)}
            raise refusal
        self.weight.add(CONNECT_WEIGHT, now)


class OrderBudget:
    """The limits on the unfilled orders of one account."""

    def __init__(self, limits: Limits) -> None:
        self.windows = tuple(map(Window, limits.order_rules()))
        self._limits = limits
        self._delay = round(limits.credit_delay * SECOND)
        self._credits = {"taken": limits.taker_credit, "made": limits.maker_credit}

    def admit(self, orders: int, now: int) -> None:
        """Let a request pass that adds orders, or not.

        Raises:
            Refusal: -1015 with status 429.
        """
        for window in self.windows:
            if not window.has_room(orders, now):
                raise refusals.too_many_orders(
                    window.rule.limit,
                    _in_words(window.rule),
                    now=now // MILLISECOND,
                    retry_after=window.ends_at(now),
                )

    def note(self, change: Unfilled, now: int) -> None:
        """Count an order, or take back what one that was filled gives back."""
        if change == "placed":
            for window in self.windows:
                window.add(1, now)
            return
        for window in self.windows:
            window.give_back(self._credits[change], now + self._delay)

    def copy(self) -> OrderBudget:
        """Limits of their own of which as much is used."""
        twin = OrderBudget(self._limits)
        twin.windows = tuple(window.copy() for window in self.windows)
        return twin


def _in_words(rule: RateLimit) -> str:
    return f"{rule.interval_num} {rule.interval}"
