"""Self-trade prevention: which orders must not trade with each other, and what expires instead.

Source: stp_faq.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Final

from bintrio.api.account import PreventedMatch
from bintrio.api.enums import SelfTradePreventionMode

from .accounts import Account
from .orders import ZERO, Order

_NO_GROUP: Final = -1


def are_related(one: Account, other: Account) -> bool:
    """Whether two accounts are the same, or of one trade group."""
    return one is other or one.trade_group_id == other.trade_group_id != _NO_GROUP


def effective_mode(taker: Order, maker: Order) -> SelfTradePreventionMode:
    """The taker's mode decides; only a transfer needs both."""
    # Both must want it, or else the quantities expire on both sides.
    if taker.stp_mode == "TRANSFER" != maker.stp_mode:
        return "DECREMENT"
    return taker.stp_mode


def quantities(mode: SelfTradePreventionMode, taker: Order, maker: Order) -> tuple[Decimal, Decimal]:
    """What expires of the taker and of the maker."""
    if mode in {"DECREMENT", "TRANSFER"}:
        # As much as would have traded (stp_faq.md).
        both = min(taker.remaining, maker.remaining)
        return both, both
    of_taker = taker.remaining if mode in {"EXPIRE_TAKER", "EXPIRE_BOTH"} else ZERO
    of_maker = maker.remaining if mode in {"EXPIRE_MAKER", "EXPIRE_BOTH"} else ZERO
    return of_taker, of_maker


def match(
    match_id: int,
    mode: SelfTradePreventionMode,
    taker: Order,
    maker: Order,
    trade_group_id: int,
    from_taker: Decimal,
    from_maker: Decimal,
    now: int,
) -> PreventedMatch:
    """The record of a match that did not happen, and of what expired of both orders."""
    return PreventedMatch(
        symbol=taker.symbol,
        prevented_match_id=match_id,
        taker_order_id=taker.order_id,
        maker_symbol=maker.symbol,
        maker_order_id=maker.order_id,
        trade_group_id=trade_group_id,
        self_trade_prevention_mode=mode,
        price=maker.limit,
        taker_prevented_quantity=from_taker or None,
        maker_prevented_quantity=from_maker or None,
        transact_time=now,
    )


GOES_ON: Final = frozenset({"EXPIRE_MAKER", "DECREMENT", "TRANSFER"})
"""The modes in which an order goes on behind one of its own."""

STAYS_WHOLE: Final = frozenset({"EXPIRE_MAKER"})
"""Those of them in which no part of it is taken away."""


def offers(
    taker: Order,
    makers: Iterable[tuple[Order, Decimal]],
    is_own: Callable[[Order], bool],
    *,
    modes: frozenset[str],
) -> Iterator[tuple[Decimal, Decimal]]:
    """Price and quantity of what an order meets, best first, until one of its own stops it.

    Args:
        taker: the order.
        makers: the orders that it meets, in turn, and what they offer.
        is_own: whether an order must not trade with it.
        modes: those in which none stops it.
    """
    for maker, quantity in makers:
        if is_own(maker):
            if taker.stp_mode not in modes:
                return
            # That one expires.
            if taker.stp_mode == "EXPIRE_MAKER":
                continue
        # Of its own, as much is taken away as would have traded: more than that it never pays.
        yield maker.limit, quantity
