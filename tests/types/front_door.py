"""What type checkers find of the public names, as `catalogue.py` has it for calls."""

from __future__ import annotations

from typing import assert_type

import bintrio
from bintrio.api.enums import Side
from bintrio.api.filters import Filter, PriceFilter
from bintrio.api.general import Nothing
from bintrio.requests import Depth, OrderPlace
from bintrio.rules import SymbolRules, Violation
from bintrio.typing import Connect, Number, RateLimit, RequestId


async def from_their_places(session: bintrio.Session, price: Number, side: Side, id: RequestId) -> None:
    order = OrderPlace(symbol="X", side=side, type="LIMIT", time_in_force="GTC", price=price, quantity="1")
    assert_type(await session.send(Depth(symbol="X"), id=id), bintrio.OrderBook)
    assert_type(await session.send(bintrio.requests.Ping()), Nothing)
    assert_type(session.request_weight, RateLimit | None)
    info = await session.exchange_info(symbol="X")
    assert_type(SymbolRules.of(info, "X").check(order), list[Violation])
    first: Filter = info.symbols[0].filters[0]
    if isinstance(first, PriceFilter):
        print(first.tick_size)


async def to_an_address_of_ones_own(connect: Connect, key: bintrio.Key) -> None:
    ledger = bintrio.SharedLimits().account("main")
    async with bintrio.open_session("wss://x", connect=connect, key=key, ledger=ledger) as session:
        await session.ping()


async def for_another_account(session: bintrio.Session, key: bintrio.Key) -> None:
    using = session.using(key, account="other")
    assert_type(using, bintrio.Session)
    assert_type(await using.depth(symbol="X"), bintrio.OrderBook)
    session.using("key")  # type: ignore[arg-type]


def former_names() -> None:
    bintrio.OrderPlace  # type: ignore[attr-defined]  # noqa: B018
    bintrio.Circumstances  # type: ignore[attr-defined]  # noqa: B018
