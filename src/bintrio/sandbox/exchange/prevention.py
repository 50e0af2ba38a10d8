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


def offers(taker: Order, makers: Iterable[Order], is_own: Callable[[Order], bool]) -> Iterator[tuple[Decimal, Decimal]]:
    """What an order can trade with. All but one mode end it, or a part of it, at the first order that is its own."""
    for maker in makers:
        if not is_own(maker):
            yield maker.limit, maker.remaining
        # In that mode alone the order goes on behind its own.
        elif taker.stp_mode != "EXPIRE_MAKER":
            return
