"""What became of a call, told by a session that began later: the clock may have been adjusted before that."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.confirmation import HalfReplaced
from bintrio._protocol.evidence import LARGEST_LEAD, QUERY_DELAY, Sent, Undecided
from bintrio.api._base import Request
from bintrio.api.account import Order, OrderListStatus
from bintrio.api.order_lists import OrderListCancel
from bintrio.api.trading import OrderAmendKeepPriority, OrderCancel
from tests.protocol.engine import NAMES, OCO, PRICES, Engine, history, leaving, oco, order, sent_now, told
from tests.protocol.test_confirmation import replacing

# Histories. In half of them the clock was set back before the call left, by less than what has a timestamp refused.

histories = given(
    chance=st.randoms(use_true_random=False),
    lag=st.sampled_from((0, 500, QUERY_DELAY - 50)),
    step=st.sampled_from((0, 100, 400, LARGEST_LEAD - 20)),
)


def left(chance: Random, request: Request[Any], engine: Engine, step: int, **fields: Any) -> tuple[Sent, int | None]:
    """A call that leaves now, of which another session is to tell."""
    sent, at = leaving(chance, request, engine, is_fresh=False, error=step)
    return msgspec.structs.replace(sent, is_clock_known=False, **fields), at


def told_if_known(sent: Sent, engine: Engine, at: int | None, execute: Callable[[], object]) -> Any:
    """What is told of a call; Undecided if it is said that nothing tells."""
    try:
        return told(sent, engine, [] if at is None else [(at, execute)], clock_error=20)
    except Undecided:
        return Undecided


@histories
def test_g7_an_order_is_told_as_it_is_or_not_at_all(chance: Random, lag: int, step: int) -> None:
    engine = Engine(lag)
    history(chance, engine)
    request = order(chance.choice(NAMES), price=chance.choice(PRICES))
    sent, at = left(chance, request, engine, step)
    placed: list[Order | None] = []

    def execute() -> None:
        placed.append(engine.place(str(request.new_client_order_id), price=request.price))

    found = told_if_known(sent, engine, at, execute)
    assert found is Undecided or found == (placed[0] if placed else None)


@histories
def test_g7_a_cancel_is_told_as_it_is_or_not_at_all(chance: Random, lag: int, step: int) -> None:
    engine = Engine(lag)
    history(chance, engine)
    target = engine.open_named("a") or engine.place("a")
    assert target
    request = OrderCancel(symbol="X", orig_client_order_id="a")
    sent, at = left(chance, request, engine, step)
    found = told_if_known(sent, engine, at, lambda: engine.end(target, "CANCELED"))
    assert found is Undecided or found == engine.orders[target.order_id]


@histories
def test_g7_an_amend_is_told_as_it_is_or_not_at_all(chance: Random, lag: int, step: int) -> None:
    engine = Engine(lag)
    history(chance, engine)
    target = engine.open_named("a") or engine.place("a")
    assert target
    request = OrderAmendKeepPriority(symbol="X", orig_client_order_id="a", new_client_order_id="c", new_qty=1)
    sent, at = left(chance, request, engine, step)
    found = told_if_known(sent, engine, at, lambda: engine.amend(target, Decimal(1), "c"))
    # That it was not amended shows in the order under the old name.
    assert found is Undecided or found == engine.orders[target.order_id]


@histories
def test_g7_a_replacement_is_told_as_it_is_or_not_at_all(chance: Random, lag: int, step: int) -> None:
    engine = Engine(lag)
    history(chance, engine)
    target = engine.open_named("a") or engine.place("a")
    assert target
    request = replacing(cancel_order_id=None, cancel_orig_client_order_id="a", new_client_order_id="a", price=7)
    sent, at = left(chance, request, engine, step)
    placed: list[Order | None] = []

    def execute() -> None:
        engine.end(target, "CANCELED")
        placed.append(engine.place("a", price=Decimal(7)))

    found = told_if_known(sent, engine, at, execute)
    assert found is Undecided or found == (placed[0] if placed else None)


# What is in doubt, and what is not


@pytest.mark.parametrize("age", [21, LARGEST_LEAD])
def test_g7_what_a_session_that_began_later_cannot_date_proves_nothing(age: int) -> None:
    """The order may be older or younger than the call."""
    engine = Engine()
    engine.place("a")
    engine.now += age
    sent = sent_now(order(), engine, is_clock_known=False, seen_order_id=None)
    with pytest.raises(Undecided, match=r"came to no order, or to order 2 if the exchange's clock was set back"):
        told(sent, engine)


@pytest.mark.parametrize(
    ("age", "seen", "is_found"), [(20, None, True), (21, 2, False), (LARGEST_LEAD + 1, None, False)]
)
def test_g7_what_is_plain_needs_no_clock(age: int, seen: int | None, is_found: bool) -> None:
    engine = Engine()
    placed = engine.place("a")
    engine.now += age
    sent = sent_now(order(), engine, is_clock_known=False, seen_order_id=seen)
    assert (told(sent, engine) == placed) is is_found


def test_g7_an_order_that_another_one_hides_is_looked_for_from_before_the_clock_was_set() -> None:
    for pause in (100, 500):  # the one that hides it is dated before the call, or after it
        engine = Engine()
        placed = engine.place("a")
        assert placed is not None
        engine.end(placed, "CANCELED")
        sent = sent_now(order(), engine, sent_at=engine.now + 400, is_clock_known=False, seen_order_id=None)
        engine.now += pause
        engine.place("a", side="SELL")
        with pytest.raises(Undecided, match="order 2"):
            told(sent, engine)


@pytest.mark.parametrize("is_there", [False, True])
def test_g7_a_cancel_that_the_clock_puts_before_its_call_proves_nothing_if_another_order_may_be_meant(
    is_there: bool,
) -> None:
    engine = Engine()
    placed = engine.place("a")
    assert placed
    canceled = engine.end(placed, "CANCELED")
    request = OrderCancel(symbol="X", orig_client_order_id="a")
    sent = sent_now(request, engine, sent_at=engine.now + 400, is_clock_known=False)
    if not is_there:
        assert told(sent, engine) == canceled
        return
    engine.now += 10
    engine.place("a")
    with pytest.raises(Undecided, match="came to order 3, or to order 2 if"):
        told(sent, engine)


@pytest.mark.parametrize("by_number", [False, True])
@pytest.mark.parametrize("is_placed", [False, True])
def test_g7_a_cancel_of_a_replacement_that_the_clock_puts_before_its_call_proves_nothing(
    by_number: bool, is_placed: bool
) -> None:
    """Nor does the number of the old order help: another call may have canceled it before."""
    engine = Engine()
    old = engine.place("old")
    assert old
    old = engine.end(old, "CANCELED")
    engine.now += 1
    new = engine.place("a") if is_placed else None
    named: dict[str, Any] = {"cancel_order_id": old.order_id} if by_number else {"cancel_orig_client_order_id": "old"}
    request = replacing(**{"cancel_order_id": None, **named})
    sent = sent_now(request, engine, sent_at=engine.now + 400, is_clock_known=False, is_id_fresh=True)
    expected = "order 3 alone, or to order 3 if" if is_placed else "no order, or to the cancel of order 2 alone if"
    with pytest.raises(Undecided, match=f"came to {expected}"):
        told(sent, engine)
    # Without that doubt it is plain.
    sent = msgspec.structs.replace(sent, is_clock_known=True)
    assert told(sent, engine) == (HalfReplaced(old_order=old, new_order=new) if is_placed else None)


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
def test_g7_a_replacement_is_told_by_what_needs_no_clock(mode: Any) -> None:
    """That the new order is there at all; or that it was placed when the old one was canceled."""
    engine = Engine()
    old = engine.place("old")
    assert old
    request = replacing(cancel_order_id=old.order_id, cancel_replace_mode=mode)
    sent = sent_now(request, engine, sent_at=engine.now + 400, is_clock_known=False, is_id_fresh=True)
    engine.now += 100
    engine.end(old, "CANCELED")
    new = engine.place("a")
    assert told(sent, engine) == new
    assert len(engine.asked) == (1 if mode == "STOP_ON_FAILURE" else 4)


@pytest.mark.parametrize("has_canceled", [False, True])
def test_g7_a_late_answer_tells_whether_a_replacement_has_canceled_the_old_order(has_canceled: bool) -> None:
    engine = Engine()
    old = engine.place("old")
    assert old
    old = engine.end(old, "CANCELED")
    engine.now += 400
    sent = sent_now(replacing(cancel_order_id=old.order_id), engine, is_clock_known=False)
    new = engine.place("a")
    assert new
    sent = msgspec.structs.replace(sent, final_at=engine.now, told=new.order_id, has_canceled=has_canceled)
    assert told(sent, engine) == (new if has_canceled else HalfReplaced(old_order=old, new_order=new))


def test_g7_an_order_list_that_the_clock_puts_before_its_call_proves_nothing() -> None:
    engine = Engine()
    shown = oco(engine, 1)
    sent = sent_now(OCO, engine, sent_at=engine.now + 400, is_clock_known=False, seen_order_id=None)
    with pytest.raises(Undecided, match="came to no order, or to order list 1 if"):
        told(sent, engine)
    # Only the call can have named its orders.
    assert told(msgspec.structs.replace(sent, is_id_fresh=True), engine) == shown


@pytest.mark.parametrize("is_there", [False, True])
def test_g7_the_cancel_of_a_list_that_the_clock_puts_before_its_call_proves_nothing_if_another_may_be_meant(
    is_there: bool,
) -> None:
    class ShowsTheFirstList(Engine):
        def answer(self, request: Request[Any]) -> Any:
            return self.lists[1] if isinstance(request, OrderListStatus) else super().answer(request)

    engine = ShowsTheFirstList()
    over = oco(engine, 1, "ALL_DONE")
    request = OrderListCancel(symbol="X", list_client_order_id="list")
    sent = sent_now(request, engine, sent_at=engine.now + 400, is_clock_known=False)
    if not is_there:
        assert told(sent, engine) == over
        return
    engine.now += 500
    oco(engine, 2)
    with pytest.raises(Undecided, match="came to order list 2, or to order list 1 if"):
        told(sent, engine)
