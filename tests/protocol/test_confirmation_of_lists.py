"""What became of an order list, against the same small exchange as of single orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from bintrio._protocol.evidence import (
    LARGEST_LEAD,
    PAGE,
    Undecided,
)
from bintrio.api._base import Request
from bintrio.api.account import (
    AllOrderLists,
    OrderListStatus,
)
from bintrio.api.order_lists import OrderListCancel, OrderListPlaceOtoco
from tests.protocol.engine import (
    OCO,
    START,
    Engine,
    listed,
    oco,
    sent_now,
    told,
)


@pytest.mark.parametrize("is_fresh", [False, True])
@pytest.mark.parametrize("pause", [0, 60_000])
def test_g7_an_order_list_is_found_if_and_only_if_it_was_placed(pause: int, is_fresh: bool) -> None:
    engine = Engine()
    if not is_fresh:
        oco(engine, 1, "ALL_DONE")
    engine.now += pause
    sent = sent_now(OCO, engine, is_id_fresh=is_fresh)
    assert told(sent, engine) is None
    sent = sent_now(OCO, engine, is_id_fresh=is_fresh)
    found = told(sent, engine, [(engine.now + 30, lambda: oco(engine, 2))])
    assert found.order_list_id == 2


def test_g7_an_order_list_under_a_name_that_shows_another_is_looked_for() -> None:
    class ShowsTheFirstList(Engine):
        def answer(self, request: Request[Any]) -> Any:
            if isinstance(request, OrderListStatus) and self.lists:
                return self.lists[1]
            return super().answer(request)

    engine = ShowsTheFirstList()
    oco(engine, 1, "ALL_DONE")
    engine.now += 60_000
    sent = sent_now(OCO, engine)
    assert told(sent, engine) is None
    sent = sent_now(OCO, engine)
    second = oco(engine, 2, "ALL_DONE")
    assert told(sent, engine) == second
    sent = sent_now(OCO, engine, sent_at=START + 60_000, seen_order_id=2)
    oco(engine, 3)
    with pytest.raises(Undecided, match="2 order lists go by 'list'"):
        told(sent, engine)


def test_g7_an_order_list_is_known_by_its_whole_name() -> None:
    class ShowsAnother(Engine):
        def answer(self, request: Request[Any]) -> Any:
            return self.lists[1] if isinstance(request, OrderListStatus) else super().answer(request)

    engine = ShowsAnother()
    oco(engine, 1, "ALL_DONE")
    engine.now += 60_000
    sent = sent_now(OCO, engine)
    for number, name in enumerate(("l", "list", "lists", "mist"), 2):
        engine.lists[number] = msgspec.structs.replace(oco(engine, number, "ALL_DONE"), list_client_order_id=name)
    assert told(sent, engine) == engine.lists[3]


@pytest.mark.parametrize(
    ("clock_error", "units", "since"),
    [(20, 1, START - 20), (20, 1000, (START - 20) * 1000), (5000, 1, START - LARGEST_LEAD)],
)
def test_g7_order_lists_are_looked_through_from_when_the_call_left(clock_error: int, units: int, since: int) -> None:
    class ShowsAnother(Engine):
        def answer(self, request: Request[Any]) -> Any:
            self.asked.append(request)
            return self.lists[1] if isinstance(request, OrderListStatus) else ()

    engine = ShowsAnother()
    listed(engine, 1)
    assert told(sent_now(OCO, engine, clock_error=clock_error, units=units), engine) is None
    assert engine.asked[-1] == AllOrderLists(start_time=since, limit=PAGE)


def test_g7_more_order_lists_than_a_page_are_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bintrio._protocol.confirmation_of_lists.PAGE", 3)
    engine = Engine()
    sent = sent_now(OCO, engine)
    for number in range(1, 4):
        listed(engine, number, status="ALL_DONE")
    with pytest.raises(Undecided, match="3 order lists or more changed since it left"):
        told(sent, engine)


@pytest.mark.parametrize("symbol", ["A", "Z"])
def test_g7_an_order_list_of_another_symbol_is_not_its(symbol: str) -> None:
    engine = Engine()
    sent = sent_now(OCO, engine, is_id_fresh=True)
    shown = oco(engine, 1)
    engine.lists[1] = msgspec.structs.replace(shown, symbol=symbol)
    assert told(sent, engine) is None


def test_g7_orders_of_a_list_that_are_not_shown_yet_are_waited_for() -> None:
    engine = Engine(lag=3000)
    engine.now += 60_000
    sent = sent_now(OCO, engine)
    found = oco(engine, 1)
    assert told(sent, engine) == found
    assert engine.now < START + 60_000 + 3000 + 2000 + 10, "the latest pause, and a millisecond for each question"


def test_g7_an_order_list_that_a_late_answer_named_is_waited_for() -> None:
    engine = Engine()
    sent = sent_now(OCO, engine, final_at=START, told=5)
    found = told(sent, engine, [(START + 9000, lambda: oco(engine, 5))])
    assert found.order_list_id == 5
    assert engine.now < START + 9000 + 8000 + 10, "the latest pause, and a millisecond for each question"


def test_g7_the_orders_of_a_list_are_those_of_the_call() -> None:
    engine = Engine()
    request = OrderListPlaceOtoco(
        symbol="X",
        working_type="LIMIT",
        working_side="BUY",
        working_price=5,
        working_quantity=3,
        working_time_in_force="GTC",
        pending_side="SELL",
        pending_quantity=3,
        pending_above_type="LIMIT_MAKER",
        pending_above_price=9,
        list_client_order_id="list",
        working_client_order_id="working",
        pending_above_client_order_id="above",
    )
    for price, is_found in ((6, False), (5, True)):
        engine.now += 60_000
        sent = sent_now(request, engine)
        working = engine.place("working", price=Decimal(price))
        assert working
        placed = listed(engine, price, working)
        assert (told(sent, engine) == placed) is is_found
        engine.end(working, "CANCELED")


def test_g7_a_list_is_canceled_when_it_is_over() -> None:
    for by_name in (False, True):
        engine = Engine()
        shown = oco(engine, 1)
        request = OrderListCancel(
            symbol="X", order_list_id=None if by_name else 1, list_client_order_id="list" if by_name else None
        )
        sent = sent_now(request, engine)
        assert told(sent, engine) == shown
        assert engine.now == sent.settled_at
        assert len(engine.asked) == 2
        sent = sent_now(request, engine)
        over = listed(engine, 1, status="ALL_DONE")
        assert told(sent, engine) == over
        assert engine.now < sent.settled_at
        engine.now += 60_000
        sent = sent_now(request, engine)
        assert told(sent, engine) == over
        assert (engine.now >= sent.settled_at) is by_name
        assert told(sent_now(request, Engine()), Engine()) is None


@pytest.mark.parametrize("is_executed", [False, True])
def test_g7_a_list_of_a_status_that_is_not_known_may_yet_be_canceled(is_executed: bool) -> None:
    engine = Engine()
    shown = oco(engine, 1)
    shown = listed(engine, 1, status="BREWING")
    sent = sent_now(OrderListCancel(symbol="X", order_list_id=1), engine)
    cancel = [(engine.now + 30, lambda: listed(engine, 1, status="ALL_DONE"))] if is_executed else []
    assert told(sent, engine, cancel) == (engine.lists[1] if is_executed else shown)
    assert engine.now >= sent.settled_at


def test_g7_a_list_of_a_status_that_is_not_known_may_have_lost_its_name() -> None:
    """To the list that was canceled by it: only of one that is known to be open no other can have the name."""

    class ShowsTheFirstList(Engine):
        def answer(self, request: Request[Any]) -> Any:
            return self.lists[1] if isinstance(request, OrderListStatus) else super().answer(request)

    engine = ShowsTheFirstList()
    listed(engine, 1, status="BREWING")
    engine.now += 60_000
    sent = sent_now(OrderListCancel(symbol="X", list_client_order_id="list"), engine)
    canceled = listed(engine, 2, status="ALL_DONE")
    assert told(sent, engine) == canceled
