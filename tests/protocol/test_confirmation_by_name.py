"""What became of a call that names an order by its client order id, where more orders changed since than a page has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest

from bintrio._protocol.confirmation import DAY, HalfReplaced
from bintrio._protocol.evidence import Sent, Undecided
from bintrio.api.account import AllOrders, Order
from bintrio.api.trading import OrderAmendKeepPriority, OrderCancel, OrderCancelReplace
from tests.protocol.engine import Engine, number_of, sent_now, told

PAGE: Final = 3
CANCEL: Final = OrderCancel(symbol="X", orig_client_order_id="a")
AMEND: Final = OrderAmendKeepPriority(symbol="X", orig_client_order_id="a", new_client_order_id="b", new_qty=1)
REPLACE: Final = OrderCancelReplace(
    symbol="X",
    cancel_replace_mode="ALLOW_FAILURE",
    side="BUY",
    type="LIMIT",
    time_in_force="GTC",
    price=5,
    quantity=3,
    cancel_orig_client_order_id="a",
    new_client_order_id="a",
)


def updated_first(order: Order) -> int:
    return order.update_time


def updated_last(order: Order) -> int:
    return -order.update_time


def numbered_last(order: Order) -> int:
    return -order.order_id


PAGE_KEYS: Final = (number_of, numbered_last, updated_first, updated_last)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bintrio._protocol.confirmation.PAGE", PAGE)


def busy(engine: Engine, request: Any, hit: int, *, others: int = 10) -> tuple[Sent, Order]:
    """A call by a name hits an old order, among many that change before and after, and another order takes the name.

    Args:
        engine: of the exchange.
        request: of the call.
        hit: which of the others changes right before the one that the call hits.
        others: how many there are.

    Returns:
        The call, and the order that it hit, as it stands.
    """
    named = engine.place("a")
    assert named
    known = [engine.place(f"old {number}") for number in range(others)]
    engine.now += 60_000
    sent = sent_now(request, engine)
    for number, other in enumerate(known):
        engine.now += 10
        assert other
        engine.end(other, "CANCELED")
        if number == hit:
            engine.now += 10
            named = engine.end(named, "CANCELED")
            # By the same call, or by another one.
            engine.place("a", side="BUY" if request is REPLACE else "SELL")
    engine.now += 1000
    return sent, named


@pytest.mark.parametrize("hit", [0, 4, 9])
@pytest.mark.parametrize("page_key", PAGE_KEYS)
@pytest.mark.parametrize("request_", [CANCEL, AMEND], ids=["cancel", "amend"])
def test_g7_an_old_order_of_the_name_that_the_call_hit_is_found(
    request_: Any, page_key: Callable[[Order], int], hit: int
) -> None:
    engine = Engine()
    engine.page_key = page_key
    sent, named = busy(engine, request_, hit)
    assert told(sent, engine) == named


@pytest.mark.parametrize("hit", [0, 4, 9])
@pytest.mark.parametrize("page_key", PAGE_KEYS)
def test_g7_an_old_order_whose_name_the_new_one_took_is_found(page_key: Callable[[Order], int], hit: int) -> None:
    engine = Engine()
    engine.page_key = page_key
    sent, named = busy(engine, REPLACE, hit)
    placed = engine.open_named("a")
    assert told(sent, engine) == placed
    # Had it been filled instead, only the new order would be of the call.
    named = engine.end(named, "FILLED")
    assert told(sent, engine) == HalfReplaced(old_order=named, new_order=placed)


@pytest.mark.parametrize("units", [1, 1000])
def test_g7_spans_of_time_meet_and_do_not_overlap(units: int) -> None:
    engine = Engine()
    engine.page_key = updated_last
    sent, _ = busy(engine, CANCEL, 4)
    told(sent, engine)
    spans = [(asked.start_time, asked.end_time) for asked in engine.asked if isinstance(asked, AllOrders)]
    assert spans[0][1] is None
    ends = {end + 1 for _, end in spans if end is not None}
    assert {start for start, _ in spans[1:]} <= ends | {spans[0][0]}


def test_g7_no_span_is_longer_than_a_day() -> None:
    engine = Engine()
    sent, named = busy(engine, CANCEL, 4)
    engine.now += 3 * DAY
    assert told(sent, engine) == named
    for asked in engine.asked:
        if isinstance(asked, AllOrders) and asked.end_time is not None:
            assert asked.start_time is not None
            assert 0 <= asked.end_time - asked.start_time < DAY


def test_g7_orders_that_changed_in_one_moment_and_are_too_many_for_a_page_leave_it_undecided() -> None:
    engine = Engine()
    sent, _ = busy(engine, CANCEL, 4)
    for number in range(PAGE):
        engine.place(f"at once {number}")
    with pytest.raises(Undecided, match="3 orders or more changed at"):
        told(sent, engine)


def test_g7_orders_that_changed_and_are_too_many_to_look_through_leave_it_undecided() -> None:
    engine = Engine()
    sent, _ = busy(engine, CANCEL, 4, others=100)
    with pytest.raises(Undecided, match="60 questions have not told which"):
        told(sent, engine)


def test_g7_if_it_is_not_known_when_the_call_left_the_latest_orders_are_looked_through() -> None:
    engine = Engine()
    sent, named = busy(engine, CANCEL, 4)
    assert told(msgspec.structs.replace(sent, sent_at=None, seen_order_id=None), engine) == named
    asked = [asked for asked in engine.asked if isinstance(asked, AllOrders)]
    assert {each.start_time for each in asked} == {None}
