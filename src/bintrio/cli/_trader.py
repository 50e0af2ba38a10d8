"""Somebody who trades on the sandbox that ``bintrio watch`` opens, so that there is something to see."""

from __future__ import annotations

import random
from contextlib import suppress
from decimal import Decimal
from typing import Final

import trio

from bintrio import BintrioError, Session
from bintrio.account import LiveAccount
from bintrio.api.enums import Side

_SYMBOL: Final = "BTCUSDT"
_CENT: Final = Decimal("0.01")
# How far from the best price an order is, as a part of it; less than prices walk in a minute.
_FARTHEST: Final = 0.0003

_MOST_OPEN: Final = 6
_PAUSE: Final = 2.0


async def trade(session: Session, chance: random.Random) -> None:
    """Place orders near the best prices, and cancel the oldest where there are too many."""
    async with session.account() as account:
        while True:
            with suppress(BintrioError):  # a price may have moved meanwhile; the next order will do
                await _place(session, account, chance)
            await trio.sleep(_PAUSE)


async def _place(session: Session, account: LiveAccount, chance: random.Random) -> None:
    book = await session.depth(symbol=_SYMBOL, limit=1)
    side: Side = chance.choice(("BUY", "SELL"))
    away = Decimal(chance.uniform(0, _FARTHEST))
    price = book.bids[0].price * (1 - away) if side == "BUY" else book.asks[0].price * (1 + away)
    quantity = Decimal(chance.randint(1, 50)) / 1000
    await account.place(
        symbol=_SYMBOL, side=side, type="LIMIT", time_in_force="GTC", price=price.quantize(_CENT), quantity=quantity
    )
    # Orders that prices have walked away from would pile up.
    if len(account.orders) > _MOST_OPEN:
        # Ids ascend, so the least is the oldest.
        symbol, order_id = min(account.orders)
        await session.order_cancel(symbol=symbol, order_id=order_id)
