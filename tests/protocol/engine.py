"""A small exchange that keeps its truth, for what `confirm` says: engine, queries that lag, ids used again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from random import Random
from typing import Any

import msgspec

from bintrio._protocol.confirmation import inquire
from bintrio._protocol.evidence import Question, Reply, Sent
from bintrio.api._base import Request
from bintrio.api.account import (
    AllOrderLists,
    AllOrders,
    Amendment,
    OpenOrdersStatus,
    Order,
    OrderAmendments,
    OrderListStatus,
    OrderStatus,
)
from bintrio.api.order_lists import OrderListPlaceOco
from bintrio.api.orders import ListedOrder, OrderList
from bintrio.api.trading import OrderPlace

START = 1_700_000_000_023
WINDOW = 5000


class Engine:
    """Orders of one symbol, and what queries have shown of them at each time.

    Attributes:
        now: the exchange's time in milliseconds.
        orders: as they stand, by order id.
        lag: milliseconds by which queries are behind.
        asked: the questions.
        page_key: by which of those that changed in a span come first on its page.
    """

    def __init__(self, lag: int = 0) -> None:
        self.now = START
        self.orders: dict[int, Order] = {}
        self.amendments: list[Amendment] = []
        self.lists: dict[int, OrderList] = {}
        self.lag = lag
        self.next_id = 1
        self.asked: list[Request[Any]] = []
        self.page_key: Callable[[Order], int] = number_of
        self._past: list[tuple[int, dict[int, Order]]] = [(0, {})]

    def _put(self, order: Order) -> Order:
        self.orders[order.order_id] = order
        self._past.append((self.now, dict(self.orders)))
        return order

    def _update(self, order: Order, **changes: Any) -> Order:
        return self._put(msgspec.structs.replace(order, update_time=self.now, **changes))

    def open_named(self, name: str) -> Order | None:
        return next((o for o in self.orders.values() if o.client_order_id == name and o.status == "NEW"), None)

    def place(self, name: str, **fields: Any) -> Order | None:
        """None if an open order has the name."""
        if self.open_named(name):
            return None
        self.next_id += 1
        return self._put(made(self.next_id, name, time=self.now, update_time=self.now, **fields))

    def end(self, order: Order, status: Any) -> Order:
        return self._update(order, status=status)

    def amend(self, order: Order, quantity: Decimal, name: str) -> Order:
        self.amendments.append(
            Amendment(
                symbol="X",
                order_id=order.order_id,
                execution_id=len(self.amendments),
                orig_client_order_id=order.client_order_id,
                new_client_order_id=name,
                orig_qty=order.orig_qty,
                new_qty=quantity,
                time=self.now,
            )
        )
        return self._update(order, orig_qty=quantity, client_order_id=name)

    # Queries

    def shown(self) -> dict[int, Order]:
        return next(orders for at, orders in reversed(self._past) if at <= self.now - self.lag)

    def answer(self, request: Request[Any]) -> Any:
        self.asked.append(request)
        orders = list(self.shown().values())
        match request:
            case OrderStatus(order_id=int(number)):
                return self.shown().get(number)
            case OrderStatus(orig_client_order_id=name):
                # Which of several it shows is not said: here it is the latest.
                return max((o for o in orders if o.client_order_id == name), key=number_of, default=None)
            case AllOrders(order_id=int(first)):
                return tuple(o for o in orders if o.order_id >= first)[: request.limit]
            case AllOrders(start_time=since, end_time=until):
                found = [o for o in orders if (since or 0) <= o.update_time <= (until or o.update_time)]
                return tuple(sorted(found, key=self.page_key)[: request.limit])
            case OpenOrdersStatus():
                return tuple(o for o in orders if o.status == "NEW")
            case OrderAmendments(order_id=number):
                return tuple(a for a in self.amendments if a.order_id == number)
            case OrderListStatus(order_list_id=int(number)):
                return self.lists.get(number)
            case OrderListStatus(orig_client_order_id=name):
                return next((each for each in reversed(self.lists.values()) if each.list_client_order_id == name), None)
            case AllOrderLists(start_time=since):
                return tuple(each for each in self.lists.values() if each.transaction_time >= (since or 0))
            case _:
                raise AssertionError(request)


def number_of(order: Order) -> int:
    return order.order_id


def made(number: int, name: str, **fields: Any) -> Order:
    values: dict[str, Any] = {
        "symbol": "X",
        "order_id": number,
        "order_list_id": -1,
        "client_order_id": name,
        "price": Decimal(5),
        "orig_qty": Decimal(3),
        "executed_qty": Decimal(0),
        "orig_quote_order_qty": Decimal(0),
        "cummulative_quote_qty": Decimal(0),
        "status": "NEW",
        "time_in_force": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "stop_price": Decimal(0),
        "iceberg_qty": Decimal(0),
        "time": START,
        "update_time": START,
        "is_working": True,
        "working_time": START,
        "self_trade_prevention_mode": "NONE",
    }
    return Order(**values | fields)


def told(
    sent: Sent, engine: Engine, meanwhile: Iterable[tuple[int, Callable[[], object]]] = (), clock_error: int = 0
) -> Any:
    """What an inquiry comes to. ``meanwhile``: what happens at which time, whether or not it is being asked then."""
    events = sorted(meanwhile, key=lambda each: each[0])
    inquiry = inquire(sent)
    try:
        question: Question = next(inquiry)
    except StopIteration as end:
        return end.value
    while True:
        at = max(engine.now, question.not_before + clock_error)
        while events and events[0][0] <= at:
            engine.now, event = events.pop(0)
            event()
        engine.now = at
        try:
            question = inquiry.send(Reply(engine.answer(question.request), engine.now - clock_error))
        except StopIteration as end:
            return end.value
        engine.now += 1


def order(name: str = "a", **fields: Any) -> OrderPlace:
    given: dict[str, Any] = {
        "side": "BUY",
        "type": "LIMIT",
        "time_in_force": "GTC",
        "price": 5,
        "quantity": 3,
        **fields,
    }
    return OrderPlace(symbol="X", new_client_order_id=name, **given)


def sent_now(request: Request[Any], engine: Engine, **fields: Any) -> Sent:
    values: dict[str, Any] = {
        "sent_at": engine.now,
        "final_at": engine.now + WINDOW,
        "clock_error": 20,
        "seen_order_id": max(engine.orders, default=None),
    }
    return Sent(request=request, **values | fields)


# Histories


NAMES = ("a", "b")
PRICES = (Decimal(5), Decimal(6))


def history(chance: Random, engine: Engine) -> None:
    """Orders under few names, one after the other, some of them closed again."""
    for _ in range(chance.randrange(8)):
        engine.now += chance.choice((0, 1, 15, 30, 60_000))
        name = chance.choice(NAMES)
        known = engine.open_named(name)
        if known is None:
            engine.place(name, price=chance.choice(PRICES), side=chance.choice(("BUY", "SELL")))
        elif chance.random() < 0.3:
            rename(chance, engine, known)
        else:
            engine.end(known, chance.choice(("FILLED", "CANCELED", "EXPIRED")))
    engine.now += chance.choice((0, 1, 15, 30, 60_000))


def rename(chance: Random, engine: Engine, order: Order) -> Order:
    """An order is amended, under its own id, an id that calls use as well, or another; not at once, for within the
    error of the clock nothing tells which of two orders with one id a call by that id has hit.
    """
    free = [name for name in NAMES if engine.open_named(name) is None]
    name = chance.choice([order.client_order_id, f"renamed {engine.now}", *free])
    engine.now += 60
    return engine.amend(order, order.orig_qty - Decimal("0.1"), name)


def leaving(
    chance: Random, request: Request[Any], engine: Engine, *, is_fresh: bool, error: int = 0
) -> tuple[Sent, int | None]:
    """A call that leaves now, by a clock that is wrong, and when it reaches the engine, if ever. ``error``: by how much
    more than is known.
    """
    error += chance.randrange(-20, 21)
    sent = sent_now(
        request, engine, sent_at=engine.now + error, final_at=engine.now + error + WINDOW, is_id_fresh=is_fresh
    )
    is_lost = chance.random() < 0.4
    return sent, None if is_lost else chance.choice((engine.now, engine.now + 40, sent.final_at))


# Order lists

OCO = OrderListPlaceOco(
    symbol="X",
    side="SELL",
    quantity=3,
    above_type="LIMIT_MAKER",
    above_price=9,
    below_type="STOP_LOSS",
    below_stop_price=4,
    list_client_order_id="list",
    above_client_order_id="above",
    below_client_order_id="below",
)


def listed(engine: Engine, number: int, *orders: Order, status: Any = "EXECUTING") -> OrderList:
    engine.lists[number] = OrderList(
        order_list_id=number,
        contingency_type="OCO",
        list_status_type="EXEC_STARTED",
        list_order_status=status,
        list_client_order_id="list",
        transaction_time=engine.now,
        symbol="X",
        orders=tuple(
            ListedOrder(symbol="X", order_id=each.order_id, client_order_id=each.client_order_id) for each in orders
        ),
    )
    return engine.lists[number]


def oco(engine: Engine, number: int, status: Any = "EXECUTING") -> OrderList:
    above = engine.place("above", side="SELL", type="LIMIT_MAKER", price=Decimal(9))
    below = engine.place("below", side="SELL", type="STOP_LOSS", price=Decimal(0), stop_price=Decimal(4))
    assert above
    assert below
    if status != "EXECUTING":
        engine.end(above, "FILLED")
        engine.end(below, "EXPIRED")
    return listed(engine, number, above, below, status=status)
