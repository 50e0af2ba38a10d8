# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What type checkers make of calls whose outcome is not known, as `catalogue.py` has it for all others."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_type

import bintrio
from bintrio import HalfReplaced, Order, OrderList, OutcomeUnknown
from bintrio.requests import (
    OpenOrdersCancelAll,
    OrderCancel,
    OrderCancelReplace,
    OrderListCancel,
    OrderListPlaceOpo,
    OrderPlace,
    OrderStatus,
)


async def confirmed(
    session: bintrio.Session,
    order: OutcomeUnknown[OrderPlace],
    replacement: OutcomeUnknown[OrderCancelReplace],
    order_list: OutcomeUnknown[OrderListPlaceOpo],
    either: OutcomeUnknown[OrderPlace | OrderCancel],
    listing: OutcomeUnknown[OrderStatus],
) -> None:
    assert_type(order.request, OrderPlace)
    assert_type(order.final_at, int | None)
    order.request.prize  # type: ignore[attr-defined]  # noqa: B018
    assert_type(await session.confirm(order), Order | None)
    assert_type(await session.confirm(either), Order | None)
    assert_type(await session.confirm(replacement), Order | HalfReplaced | None)
    assert_type(await session.confirm(order_list), OrderList | None)
    await session.confirm(listing)  # type: ignore[arg-type]


async def confirmed_by_request(session: bintrio.Session, order: OrderPlace, replacement: OrderCancelReplace) -> None:
    assert_type(await session.confirm(order, sent_at=1), Order | None)
    assert_type(await session.confirm(replacement), Order | HalfReplaced | None)
    assert_type(await session.confirm(OrderListCancel(symbol="X", order_list_id=1)), OrderList | None)
    assert_type(await session.confirm(OpenOrdersCancelAll(symbol="X")), tuple[Order, ...])
    await session.confirm(OrderStatus(symbol="X", order_id=1))  # type: ignore[call-overload]
    await session.confirm(None)  # type: ignore[call-overload]


async def whoever_catches_it(session: bintrio.Session) -> None:
    """Which call it was is not known there, so what is found may be anything that `confirm` gives."""
    try:
        await session.order_place(symbol="X", side="BUY", type="MARKET", quantity=1)
    except OutcomeUnknown as error:
        assert_type(error.client_order_id, str | None)
        order: Order | None = await session.confirm(error)
        if order is not None:
            assert_type(order.price, Decimal)
    for unknown in session.unresolved:
        found: HalfReplaced | Order | None = await session.confirm(unknown)
        print(found)


async def within(session: bintrio.Session) -> None:
    hurried = session.within(2)
    assert_type(hurried, bintrio.Session)
    assert_type(await hurried.order_status(symbol="X", order_id=1), Order)
    await hurried.order_place(symbol="X", side="BUY", type="MARKET", quantity=0.1)  # type: ignore[call-overload]
