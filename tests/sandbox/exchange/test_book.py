"""Price-time priority, seen from the book alone."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bintrio.api.enums import OrderType, Side
from bintrio.sandbox.exchange.book import Book
from bintrio.sandbox.exchange.orders import NOTHING, Order, Trade

_ids = count(1)


def order(
    side: Side,
    price: str | int,
    quantity: str | int,
    *,
    kind: OrderType = "LIMIT",
    amount: str | int = 0,
) -> Order:
    return Order(
        order_id=next(_ids),
        owner=1,
        symbol="BTCUSDT",
        side=side,
        type=kind,
        time_in_force="GTC",
        client_order_id="",
        created_at=0,
        price=Decimal(price),
        quantity=Decimal(quantity),
        quote_quantity=Decimal(amount),
    )


def book_of(*orders: Order) -> Book:
    book = Book(Decimal("0.1"))
    for resting in orders:
        book.add(resting)
    return book


def bids(book: Book, limit: int | None = None) -> list[Any]:
    return book.bids(limit)


def asks(book: Book) -> list[Any]:
    return book.asks()


def preview(book: Book, taker: Order) -> tuple[Any, ...]:
    return book.preview(book.offers(taker), taker)[:2]


def match(book: Book, taker: Order) -> Iterator[Trade]:
    while taker.remaining and (maker := book.meet(taker)) is not None:
        yield book.trade(taker, maker, min(maker.visible, taker.remaining), 7)


def traded(book: Book, taker: Order) -> list[tuple[Any, ...]]:
    return [(trade.maker.order_id, trade.price, trade.quantity) for trade in match(book, taker)]


def test_levels_are_shown_best_first_and_added_up() -> None:
    book = book_of(
        order("BUY", 9, 1), order("BUY", 10, 2), order("BUY", 10, 3), order("SELL", 12, 4), order("SELL", 11, 5)
    )
    assert bids(book) == [(10, 5), (9, 1)]
    assert asks(book) == [(11, 5), (12, 4)]
    assert bids(book, 1) == [(10, 5)]


def test_the_best_price_trades_first_and_at_that_price_the_oldest_order() -> None:
    late, early, worse = order("SELL", 10, 1), order("SELL", 10, 1), order("SELL", 11, 1)
    book = book_of(worse, early, late)
    assert traded(book, order("BUY", 12, 3)) == [
        (early.order_id, 10, 1),
        (late.order_id, 10, 1),
        (worse.order_id, 11, 1),
    ]


def test_an_order_trades_no_further_than_its_limit() -> None:
    book = book_of(order("BUY", 10, 1), order("BUY", 9, 1))
    taker = order("SELL", 10, 5)
    assert [quantity for _, _, quantity in traded(book, taker)] == [1]
    assert [taker.remaining, taker.status] == [4, "PARTIALLY_FILLED"]
    assert bids(book) == [(9, 1)]


def test_a_maker_that_is_not_done_keeps_its_place() -> None:
    maker = order("SELL", 10, 3)
    book = book_of(maker, order("SELL", 10, 1))
    traded(book, order("BUY", 10, 1))
    assert maker.status == "PARTIALLY_FILLED"
    assert traded(book, order("BUY", 10, 1))[0][0] == maker.order_id


def test_an_iceberg_order_is_met_part_by_part_behind_all_who_are_there() -> None:
    iceberg, other = order("SELL", 10, 5), order("SELL", 10, 1)
    iceberg.iceberg_quantity = Decimal(2)
    book = book_of(iceberg, other)
    met: list[tuple[Any, ...]] = [(maker.order_id, quantity) for maker, quantity in book.makers(order("BUY", 10, 9))]
    assert met == [(iceberg.order_id, 2), (other.order_id, 1), (iceberg.order_id, 2), (iceberg.order_id, 1)]


def test_a_market_order_takes_every_price() -> None:
    book = book_of(order("SELL", 10, 1), order("SELL", 1_000, 1))
    assert len(traded(book, order("BUY", 0, 5, kind="MARKET"))) == 2
    assert book.last_price == 1_000


def test_a_removed_order_does_not_trade() -> None:
    gone, stays = order("SELL", 10, 1), order("SELL", 10, 1)
    book = book_of(gone, stays)
    book.remove(gone)
    assert asks(book) == [(10, 1)]
    book.remove(stays)
    assert asks(book) == []


def test_a_preview_changes_nothing() -> None:
    book = book_of(order("SELL", 10, 1), order("SELL", 11, 1))
    before = book.update_id
    assert preview(book, order("BUY", 10, 2)) == (1, 10)
    assert [book.update_id, asks(book)] == [before, [(10, 1), (11, 1)]]


def test_a_quote_amount_buys_whole_steps() -> None:
    book = book_of(order("SELL", 10, 1), order("SELL", 20, 1))
    assert preview(book, order("BUY", 0, 0, kind="MARKET", amount="15.9")) == (Decimal("1.2"), Decimal("14.0"))
    assert preview(book, order("BUY", 0, 0, kind="MARKET", amount="0.9")) == (0, 0)


prices = st.integers(1, 8)
quantities = st.integers(1, 5)
resting_orders = st.lists(st.tuples(prices, quantities), max_size=12)


@given(resting_orders, prices, quantities)
def test_a_preview_says_what_matching_then_does(offers: list[tuple[int, int]], price: int, quantity: int) -> None:
    book = book_of(*(order("SELL", ask, size) for ask, size in offers))
    taker = order("BUY", price, quantity)
    expected = preview(book, taker)
    trades = list(match(book, taker))
    assert expected == (sum((t.quantity for t in trades), NOTHING), sum((t.amount for t in trades), NOTHING))


@given(resting_orders, prices, quantities)
def test_makers_are_taken_by_price_then_time(offers: list[tuple[int, int]], price: int, quantity: int) -> None:
    makers = [order("BUY", bid, size) for bid, size in offers]
    book = book_of(*makers)
    taken = [maker for maker, _, _ in traded(book, order("SELL", price, quantity))]
    by_priority = sorted((m for m in makers if m.price >= price), key=lambda m: (-m.price, m.order_id))
    assert taken == [maker.order_id for maker in by_priority][: len(taken)]
    assert all(not maker.remaining for maker in by_priority[: max(0, len(taken) - 1)])
