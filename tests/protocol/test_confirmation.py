"""What became of a call, against a small exchange that keeps its truth: engine, queries that lag, ids used again."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.confirmation import HalfReplaced, inquire
from bintrio._protocol.evidence import (
    LARGEST_LEAD,
    PAGE,
    PATIENCE,
    QUERY_DELAY,
    OrderIds,
    Question,
    Reply,
    Sent,
    Undecided,
    pauses,
)
from bintrio.api._base import Request
from bintrio.api.account import (
    AllOrders,
    Order,
    OrderAmendments,
    OrderListStatus,
    OrderStatus,
)
from bintrio.api.order_lists import OrderListCancel
from bintrio.api.sor import SorOrderPlace
from bintrio.api.trading import OpenOrdersCancelAll, OrderAmendKeepPriority, OrderCancel, OrderCancelReplace
from tests.protocol.engine import (
    NAMES,
    OCO,
    PRICES,
    START,
    Engine,
    history,
    leaving,
    listed,
    made,
    number_of,
    oco,
    order,
    rename,
    sent_now,
    told,
)

# Histories


histories = given(chance=st.randoms(use_true_random=False), lag=st.sampled_from((0, 500, QUERY_DELAY - 50)))


@histories
def test_g7_an_order_is_found_if_and_only_if_it_was_placed(chance: Random, lag: int) -> None:
    engine = Engine(lag)
    history(chance, engine)
    request = order(chance.choice(NAMES), price=chance.choice(PRICES))
    sent, at = leaving(chance, request, engine, is_fresh=False)
    placed: list[Order | None] = []

    def execute() -> None:
        placed.append(engine.place(str(request.new_client_order_id), price=request.price))

    def change() -> None:
        if placed and placed[0] and chance.random() < 0.5:
            engine.end(rename(chance, engine, engine.orders[placed[0].order_id]), "FILLED")

    def other() -> None:
        if placed_by_others := engine.place("z", price=request.price):
            rename(chance, engine, placed_by_others)

    meanwhile = [(engine.now + 2500, other)] if chance.random() < 0.5 else []
    if at is not None:
        meanwhile += [(at, execute), (at + chance.randrange(3000), change)]
    found = told(sent, engine, meanwhile, clock_error=20)
    truth = placed[0] if placed else None
    assert (found and found.order_id) == (truth and truth.order_id)


@histories
def test_g7_a_cancel_is_told_by_the_state_of_its_order(chance: Random, lag: int) -> None:
    engine = Engine(lag)
    history(chance, engine)
    name = chance.choice(NAMES)
    target = engine.open_named(name)
    is_by_number = target is not None and chance.random() < 0.5
    request = OrderCancel(
        symbol="X",
        order_id=target.order_id if target and is_by_number else None,
        orig_client_order_id=None if is_by_number else name,
    )
    sent, at = leaving(chance, request, engine, is_fresh=False)

    def execute() -> None:
        if target:
            engine.end(engine.orders[target.order_id], "CANCELED")

    found = told(sent, engine, [] if at is None else [(at, execute)], clock_error=20)
    if target:
        assert (found.order_id, found.status) == (target.order_id, "NEW" if at is None else "CANCELED")
    else:
        assert found is None or found.status != "NEW"


@histories
def test_g7_an_amend_is_told_by_the_quantity(chance: Random, lag: int) -> None:
    engine = Engine(lag)
    history(chance, engine)
    name = chance.choice(NAMES)
    target = engine.open_named(name) or engine.place(name)
    assert target
    engine.now += QUERY_DELAY
    is_by_number, new = chance.random() < 0.5, chance.choice((name, "new"))
    request = OrderAmendKeepPriority(
        symbol="X",
        order_id=target.order_id if is_by_number else None,
        orig_client_order_id=None if is_by_number else name,
        new_client_order_id=new,
        new_qty=1,
    )
    sent, at = leaving(chance, request, engine, is_fresh=new == "new")
    execute = [] if at is None else [(at, lambda: engine.amend(target, Decimal(1), new))]
    found = told(sent, engine, execute, clock_error=20)
    assert (found.order_id, found.orig_qty) == (target.order_id, target.orig_qty if at is None else 1)
    assert found.client_order_id == (name if at is None else new)


@histories
def test_g7_a_replacement_is_told_by_both_halves(chance: Random, lag: int) -> None:
    engine = Engine(lag)
    history(chance, engine)
    name = chance.choice(NAMES)
    target = engine.open_named(name) or engine.place(name)
    assert target
    engine.now += QUERY_DELAY
    is_by_number, new = chance.random() < 0.5, chance.choice((name, "new"))
    request = OrderCancelReplace(
        symbol="X",
        side="SELL",
        type="LIMIT",
        time_in_force="GTC",
        price=7,
        quantity=2,
        cancel_replace_mode="STOP_ON_FAILURE",
        cancel_order_id=target.order_id if is_by_number else None,
        cancel_orig_client_order_id=None if is_by_number else name,
        new_client_order_id=new,
    )
    sent, at = leaving(chance, request, engine, is_fresh=False)
    is_refused = chance.random() < 0.3
    placed: list[Order | None] = []

    def execute() -> None:
        engine.end(target, "CANCELED")
        if not is_refused:
            placed.append(engine.place(new, side="SELL", price=Decimal(7), orig_qty=Decimal(2)))

    found = told(sent, engine, [] if at is None else [(at, execute)], clock_error=20)
    if at is None:
        assert found is None
    elif is_refused:
        assert isinstance(found, HalfReplaced)
        assert (found.is_canceled, found.new_order) == (True, None)
        assert found.old_order
        assert (found.old_order.order_id, found.old_order.status) == (target.order_id, "CANCELED")
    else:
        assert found == placed[0]


# What counts


def test_g7_an_order_that_queries_show_late_is_not_given_up_before_they_must() -> None:
    """Executed at the last moment of its window, and shown only just before queries must have caught up."""
    engine = Engine(lag=QUERY_DELAY - 10)
    sent = sent_now(order(), engine)
    found = told(sent, engine, [(sent.final_at, lambda: engine.place("a"))])
    assert found is not None
    assert engine.now >= sent.final_at + QUERY_DELAY


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("side", "SELL"),
        ("type", "LIMIT_MAKER"),
        ("price", Decimal(4)),
        ("orig_qty", Decimal(4)),
        ("time_in_force", "FOK"),
        ("strategy_id", 9),
        ("self_trade_prevention_mode", "EXPIRE_BOTH"),
    ],
)
def test_g7_an_order_of_another_call_is_not_taken_for_it(field: str, value: Any) -> None:
    engine = Engine()
    sent = sent_now(order(strategy_id=8, self_trade_prevention_mode="NONE"), engine)
    fields: dict[str, Any] = {"strategy_id": 8, field: value}
    assert told(sent, engine, [(engine.now + 100, lambda: engine.place("a", **fields))]) is None


def test_g7_what_follows_the_market_need_not_be_as_it_was_given() -> None:
    for request, shown in (
        (order(price=None, peg_price_type="PRIMARY_PEG"), {"price": Decimal(77), "peg_price_type": "PRIMARY_PEG"}),
        (
            order(type="STOP_LOSS_LIMIT", stop_price=4, trailing_delta=100),
            {"type": "STOP_LOSS_LIMIT", "stop_price": Decimal(3), "trailing_delta": 100},
        ),
        (
            order(type="MARKET", time_in_force=None, price=None, quantity=None, quote_order_qty=9),
            {"type": "MARKET", "orig_quote_order_qty": Decimal(9), "orig_qty": Decimal(1)},
        ),
    ):
        engine = Engine()
        placed = engine.place("a", **shown)
        assert told(sent_now(request, engine, seen_order_id=None), engine) == placed


def test_g7_within_the_error_of_the_clock_the_order_id_decides() -> None:
    for seen, is_found in ((None, True), (1, True), (2, False), (3, False)):
        engine = Engine()
        placed = engine.place("a")
        assert (told(sent_now(order(), engine, seen_order_id=seen), engine) == placed) is is_found


@pytest.mark.parametrize(
    ("seen", "late", "is_found"), [(1, 21, True), (1, 1000, True), (2, 20, False), (2, -30, False)]
)
def test_g7_what_is_younger_has_a_later_time_and_a_higher_id(seen: int, late: int, is_found: bool) -> None:
    engine = Engine()
    sent = sent_now(order(), engine, seen_order_id=seen)
    engine.now += late
    placed = engine.place("a")
    assert (told(sent, engine) == placed) is is_found


def test_g7_a_time_and_an_id_that_contradict_each_other_prove_nothing() -> None:
    """The exchange's clock was ahead when the order was placed; or its order ids have begun anew."""
    engine = Engine()
    sent = sent_now(order(), engine, seen_order_id=2)
    engine.now += 21
    engine.place("a")
    with pytest.raises(Undecided, match=r"order 2 is dated .* there was one with a higher id before: 2"):
        told(sent, engine)


def test_g7_an_order_reduced_since_is_known_by_what_it_was() -> None:
    for quantity, is_found in ((3, True), (2, False)):
        engine = Engine()
        placed = engine.place("a", orig_qty=Decimal(quantity))
        assert placed
        engine.amend(placed, Decimal(1), "a")
        found = told(sent_now(order(), engine, seen_order_id=None), engine)
        assert (found is not None) is is_found


@pytest.mark.parametrize("is_fresh", [False, True])
@pytest.mark.parametrize("lag", [0, 1500])
def test_g7_an_order_that_goes_by_another_id_since_it_was_amended_is_found(lag: int, is_fresh: bool) -> None:
    engine = Engine(lag)
    sent = sent_now(order(), engine, is_id_fresh=is_fresh)

    def amend(quantity: int, name: str) -> None:
        engine.amend(engine.orders[2], Decimal(quantity), name)

    changes = [(at, lambda at=at: amend(3 - at // 1000, f"amended at {at}")) for at in (2000, 1000)]
    found = told(sent, engine, [(START, lambda: engine.place("a")), *((START + at, change) for at, change in changes)])
    assert found is not None
    assert found.order_id == 2


@pytest.mark.parametrize("is_fresh", [False, True])
def test_g7_an_order_that_took_the_id_of_a_call_when_it_was_amended_is_not_its(is_fresh: bool) -> None:
    engine = Engine()
    sent = sent_now(order(), engine, is_id_fresh=is_fresh)

    def amend(name: str) -> None:
        placed = engine.place("other")
        assert placed
        engine.now += 1
        engine.amend(placed, Decimal(2), name)

    assert told(sent, engine, [(START + 10, lambda: amend("another" if is_fresh else "a"))]) is None


def test_g7_an_amendment_that_queries_show_later_than_its_order_is_waited_for() -> None:
    class Late(Engine):
        def answer(self, request: Request[Any]) -> Any:
            is_early = isinstance(request, OrderAmendments) and self.now < START + 100 + QUERY_DELAY
            return () if is_early else super().answer(request)

    engine = Late()
    sent = sent_now(order(), engine)
    placed = engine.place("a")
    assert placed
    engine.now += 100
    amended = engine.amend(placed, Decimal(1), "a")
    assert told(sent, engine) == amended
    assert engine.now <= START + 100 + QUERY_DELAY + 10, "as soon as it must be shown, and a millisecond a question"


def test_g7_an_order_whose_id_only_its_call_can_have_is_known_by_it() -> None:
    """Whatever made it smaller."""
    engine = Engine()
    sent = sent_now(order(), engine, is_id_fresh=True)
    placed = engine.place("a", orig_qty=Decimal(1))
    assert told(sent, engine) == placed


def test_g7_orders_that_came_when_the_call_was_over_are_not_looked_through() -> None:
    engine = Engine()
    sent = sent_now(order(), engine)
    engine.now = sent.settled_at + 1
    for number in range(20_000):
        engine.orders[100 + number] = made(100 + number, "x", time=engine.now, update_time=engine.now)
    engine.place("last")
    assert told(sent, engine) is None


def test_g7_an_order_that_came_when_the_call_was_over_is_not_its() -> None:
    for late, is_found in ((0, True), (1, False)):
        engine = Engine()
        sent = sent_now(order(), engine)
        engine.now = sent.settled_at + late
        placed = engine.place("a")
        engine.now += 10_000
        assert (told(sent, engine) == placed) is is_found


def test_g7_no_order_is_older_than_its_call_by_more_than_the_exchange_lets_a_timestamp_lead() -> None:
    """However wrong the clock may be."""
    for age, is_found in ((LARGEST_LEAD, True), (LARGEST_LEAD + 1, False)):
        engine = Engine()
        placed = engine.place("a")
        engine.now += age
        sent = sent_now(order(), engine, clock_error=10**9, seen_order_id=None)
        assert (told(sent, engine) == placed) is is_found


def test_g7_an_order_of_another_call_hides_none() -> None:
    engine = Engine()
    of_others = {3}

    def is_anothers(each: Order) -> bool:
        return each.order_id in of_others

    sent = sent_now(order(), engine, is_anothers=is_anothers)
    placed = engine.place("a")
    assert placed
    placed = engine.end(placed, "FILLED")
    engine.now += 100
    engine.place("a")
    assert told(sent, engine) == placed
    of_others.add(2)
    assert told(sent, engine) is None


@pytest.mark.parametrize("lag", [0, QUERY_DELAY])
def test_g7_of_two_orders_that_may_be_its_none_is_told(lag: int) -> None:
    """Though order.status shows one of them only."""
    engine = Engine(lag)
    sent = sent_now(order(), engine)
    for _ in range(2):
        engine.now += 100
        placed = engine.place("a")
        assert placed
        engine.end(placed, "FILLED")
    with pytest.raises(Undecided, match="2 orders go by 'a', and each may be its"):
        told(sent, engine)


@pytest.mark.parametrize(
    ("fields", "questions"),
    [
        ({}, [OrderStatus, AllOrders]),
        ({"is_id_fresh": True}, [OrderStatus]),
        ({"sent_at": None}, [OrderStatus]),
        ({"told": 2}, [OrderStatus]),
    ],
)
def test_g7_whether_an_order_is_the_only_one_is_asked_if_others_can_have_its_id(
    fields: dict[str, Any], questions: list[type[Request[Any]]]
) -> None:
    engine = Engine()
    sent = sent_now(order(), engine, **fields)
    placed = engine.place("a")
    assert told(sent, engine) == placed
    assert [type(question) for question in engine.asked] == questions


class ShowsTheFirst(Engine):
    """Of several orders under one id, the first is shown."""

    def answer(self, request: Request[Any]) -> Any:
        if isinstance(request, OrderStatus) and request.orig_client_order_id:
            named = (o for o in self.shown().values() if o.client_order_id == request.orig_client_order_id)
            return min(named, key=number_of, default=None)
        return super().answer(request)


def test_g7_if_another_order_is_shown_all_are_looked_through() -> None:
    engine = ShowsTheFirst()
    earlier = engine.place("a", side="SELL")
    assert earlier
    engine.end(earlier, "FILLED")
    engine.now += 60_000
    sent = sent_now(order(), engine)
    for number in range(2500):
        engine.place(f"other {number}")
    placed = engine.place("a")
    assert told(sent, engine) == placed
    canceled = OrderCancel(symbol="X", orig_client_order_id="a")
    assert told(sent_now(canceled, engine), engine) == placed


class InUnits(ShowsTheFirst):
    """Its times have so many units in a millisecond."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self._units = units

    def shown(self) -> dict[int, Order]:
        return {
            number: msgspec.structs.replace(o, time=o.time * self._units, update_time=o.update_time * self._units)
            for number, o in super().shown().items()
        }


def updated_at(order: Order) -> int:
    return order.update_time


def updated_last(order: Order) -> int:
    return -order.update_time


def busy(engine: Engine, after: int = 0) -> tuple[Sent, Order]:
    """A call while another order is shown under its id and many others change, and its order, which changed last."""
    sent = sent_now(order(), engine)
    engine.now += 5
    another = engine.place("a", side="SELL")
    assert another
    engine.end(another, "FILLED")
    ours = engine.place("a")
    assert ours
    for number in range(10):
        engine.now += 10
        engine.place(f"other {number}")
    engine.now += after
    return sent, engine.end(ours, "FILLED")


@pytest.mark.parametrize("units", [1, 1000])
@pytest.mark.parametrize("page_key", [number_of, updated_at, updated_last])
def test_g7_whichever_orders_a_full_page_leaves_out_all_that_were_placed_are_looked_through(
    monkeypatch: pytest.MonkeyPatch, page_key: Callable[[Order], int], units: int
) -> None:
    monkeypatch.setattr("bintrio._protocol.confirmation.PAGE", 3)
    engine = InUnits(units)
    engine.page_key = page_key
    sent, ours = busy(engine)
    assert told(msgspec.structs.replace(sent, units=units), engine).order_id == ours.order_id


@pytest.mark.parametrize(("seen", "first"), [(None, 3), (40, 41), (1, 3), (0, 3)])
def test_g7_orders_are_looked_through_from_the_latest_that_is_known_to_be_older(
    monkeypatch: pytest.MonkeyPatch, seen: int | None, first: int
) -> None:
    """As the session had seen it, or as a page shows it: orders may be too many to look through all."""
    monkeypatch.setattr("bintrio._protocol.confirmation.PAGE", 3)
    engine = ShowsTheFirst()
    engine.page_key = updated_at
    older = [engine.place(f"older {number}") for number in range(40)]
    assert older[0]
    engine.now += 60_000
    engine.end(older[0], "CANCELED")
    engine.now += 10
    if first == 3:
        monkeypatch.setattr("bintrio._protocol.confirmation.MOST_PAGES", 30)
    sent, ours = busy(engine)
    assert told(msgspec.structs.replace(sent, seen_order_id=seen), engine) == ours
    starts = [question.order_id for question in engine.asked if isinstance(question, AllOrders)]
    assert starts[:2] == [None, first]


def test_g7_if_no_order_is_known_to_be_older_too_many_are_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bintrio._protocol.confirmation.PAGE", 3)
    engine = ShowsTheFirst()
    for number in range(40):
        engine.place(f"older {number}")
    engine.now += 60_000
    sent, _ = busy(engine)
    for sent_at in (sent.sent_at, None):
        with pytest.raises(Undecided, match="more than 30 orders"):
            told(msgspec.structs.replace(sent, seen_order_id=None, sent_at=sent_at), engine)


def test_g7_an_exchange_that_has_shown_a_page_of_orders_must_show_the_next() -> None:
    """Else the order may be on that one."""
    engine = Engine()
    earlier = engine.place("a", side="SELL")
    assert earlier
    engine.end(earlier, "FILLED")
    engine.now += 60_000
    sent = sent_now(order(), engine)
    for number in range(1000):
        engine.place(f"other {number}")
    inquiry = inquire(sent)
    question: Question = next(inquiry)
    asked: list[tuple[type[Request[Any]], bool]] = []
    for _ in range(3):
        asked.append((type(question.request), question.is_vital))
        engine.now = max(engine.now, question.not_before)
        question = inquiry.send(Reply(engine.answer(question.request), engine.now))
    asked.append((type(question.request), question.is_vital))
    assert asked == [(OrderStatus, True), (OrderStatus, True), (AllOrders, False), (AllOrders, True)]


def test_g7_two_orders_that_may_each_be_its_are_not_chosen_between() -> None:
    engine = ShowsTheFirst()
    earlier = engine.place("a", side="SELL")
    assert earlier
    engine.end(earlier, "FILLED")
    engine.now += 60_000
    sent = sent_now(order(), engine)
    first = engine.place("a")
    assert first
    engine.end(first, "FILLED")
    engine.place("a")
    with pytest.raises(Undecided, match="2 orders go by 'a', and each may be its"):
        told(sent, engine)


def test_g7_what_cannot_be_looked_through_is_undecided() -> None:
    engine = ShowsTheFirst()
    earlier = engine.place("a", side="SELL")
    assert earlier
    engine.end(earlier, "FILLED")
    engine.now += 60_000
    sent = sent_now(order(), engine)
    for number in range(10_000):
        engine.orders[100 + number] = made(100 + number, "x")
    engine.place("last")
    with pytest.raises(Undecided, match="more than 10,000 orders"):
        told(sent, engine)


def test_g7_without_the_time_of_the_call_any_order_that_fits_is_its() -> None:
    for price, is_found in ((5, True), (6, False)):
        engine = Engine()
        placed = engine.place("a")
        engine.now += 10**7
        sent = sent_now(order(price=price), engine, sent_at=None, seen_order_id=None)
        assert (told(sent, engine) == placed) is is_found


def test_g7_times_in_microseconds_are_compared_as_such() -> None:
    for late, is_found in ((-60, False), (60, True)):
        engine = Engine()
        placed = engine.place("a")
        assert placed
        engine._put(msgspec.structs.replace(placed, time=(START + late) * 1000))
        sent = sent_now(order(), engine, seen_order_id=placed.order_id - 1, units=1000)
        assert (told(sent, engine) is not None) is is_found


# Late answers


def test_g7_a_late_refusal_says_at_once_that_there_is_no_order() -> None:
    engine = Engine()
    for request in (order(), replacing(), OCO):
        assert told(sent_now(request, engine, is_refused=True), engine) is None
    assert engine.now == START


def test_g7_what_the_exchange_named_is_asked_for_with_growing_pauses() -> None:
    """Queries contradict its answer: for ten minutes that costs little of the weight."""
    for sent, other in (
        (sent_now(order(), Engine(), final_at=START, told=7), AllOrders),
        (sent_now(OCO, Engine(), final_at=START, told=7), OrderListStatus),
    ):
        inquiry, now, asked = inquire(sent), START, 0
        question: Question = next(inquiry)
        while now < START + PATIENCE:
            now, asked = max(now, question.not_before), asked + 1
            question = inquiry.send(Reply(None, now))
        assert asked < 40
        assert "the answer to the call named order" in question.why
        assert isinstance(question.request, OrderStatus | other)


def test_g7_an_order_that_one_query_shows_and_another_does_not_is_there() -> None:
    engine = Engine()
    placed = engine.place("a")
    assert placed
    inquiry = inquire(sent_now(order(), engine, final_at=START, told=placed.order_id))
    question: Question = next(inquiry)
    while not isinstance(question.request, AllOrders):
        engine.now = max(engine.now, question.not_before)
        question = inquiry.send(Reply(None, engine.now))
    assert engine.now <= START + QUERY_DELAY + 2000
    with pytest.raises(StopIteration) as end:
        inquiry.send(Reply(engine.answer(question.request), engine.now))
    assert end.value.value == placed


def test_g7_an_order_that_a_late_answer_named_is_waited_for() -> None:
    engine = Engine(lag=30_000)
    placed = engine.place("a")
    assert placed
    sent = sent_now(order(), engine, final_at=START, told=placed.order_id)
    assert told(sent, engine) == placed
    assert engine.now >= START + 30_000
    by_number = OrderStatus(symbol="X", order_id=placed.order_id)
    beside = AllOrders(symbol="X", order_id=placed.order_id, limit=1)
    assert engine.asked[:6] == [by_number, by_number, by_number, beside, by_number, beside], "beside it once settled"


def test_g7_pauses_between_questions_double_up_to_a_minute() -> None:
    assert [*islice(pauses(), 8)] == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]


@pytest.mark.parametrize("units", [1, 1000])
def test_g7_orders_are_looked_through_after_an_older_one_or_from_when_the_call_left(units: int) -> None:
    for age, question in (
        (60_000, AllOrders(symbol="X", order_id=8, limit=PAGE)),
        (0, AllOrders(symbol="X", start_time=(START - 20) * units, limit=PAGE)),
    ):
        engine = ShowsTheFirst()
        engine.orders[7] = made(7, "a", side="SELL", time=START * units, update_time=START * units)
        engine.end(engine.orders[7], "FILLED")
        engine.now += age
        assert told(sent_now(order(), engine, units=units), engine) is None
        assert engine.asked == [question]


@pytest.mark.parametrize("told_of", [2, 3])
def test_g7_what_a_late_answer_says_was_changed_is_told_whatever_has_its_name_now(told_of: int) -> None:
    engine = Engine()
    for _ in range(2):
        placed = engine.place("a")
        assert placed
        engine.end(placed, "CANCELED")
    engine.place("a")
    for request in (
        OrderCancel(symbol="X", orig_client_order_id="a"),
        OrderAmendKeepPriority(symbol="X", orig_client_order_id="a", new_client_order_id="b", new_qty=1),
    ):
        sent = sent_now(request, engine, final_at=engine.now, told=told_of)
        assert told(sent, engine) == engine.orders[told_of]
    for number in (2, 3):
        listed(engine, number, status="ALL_DONE")
    sent = sent_now(OrderListCancel(symbol="X", list_client_order_id="list"), engine, final_at=engine.now, told=told_of)
    assert told(sent, engine) == engine.lists[told_of]


# Cancels


def replacing(**fields: Any) -> OrderCancelReplace:
    given: dict[str, Any] = {"side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "price": 5, "quantity": 3}
    given |= {"symbol": "X", "cancel_replace_mode": "ALLOW_FAILURE", "new_client_order_id": "a", "cancel_order_id": 77}
    return OrderCancelReplace(**given | fields)


def test_g7_a_replacement_whose_old_order_was_filled_is_half_done() -> None:
    engine = Engine()
    old = engine.place("old")
    assert old
    old = engine.end(old, "FILLED")
    engine.now += 60_000
    sent = sent_now(replacing(cancel_order_id=old.order_id), engine)
    new = engine.place("a")
    assert told(sent, engine) == HalfReplaced(old_order=old, new_order=new)


def test_g7_a_replacement_whose_old_order_is_not_known_is_half_done() -> None:
    engine = Engine()
    sent = sent_now(replacing(), engine)
    new = engine.place("a")
    assert told(sent, engine) == HalfReplaced(old_order=None, new_order=new)


def test_g7_nothing_is_open_counts_only_when_the_cancel_is_over() -> None:
    """Else it might cancel what is placed after one was told that it is done."""
    engine = Engine()
    sent = sent_now(OpenOrdersCancelAll(symbol="X"), engine)
    assert told(sent, engine) == ()
    assert engine.now >= sent.settled_at


@pytest.mark.parametrize(
    "request_",
    [
        OrderCancel(symbol="X", order_id=2),
        OrderAmendKeepPriority(symbol="X", order_id=2, new_client_order_id="b", new_qty=1),
    ],
)
def test_g7_an_order_of_a_status_that_is_not_known_may_yet_be_changed(request_: Request[Any]) -> None:
    engine = Engine()
    placed = engine.place("a")
    assert placed
    engine.end(placed, "BREWING")
    engine.now += 60_000
    sent = sent_now(request_, engine)
    canceled = told(sent, engine, [(engine.now + 30, lambda: engine.end(placed, "CANCELED"))])
    assert canceled.status == "CANCELED"
    assert engine.now >= sent.settled_at


def test_g7_a_cancel_by_name_of_what_was_filled_may_yet_hit_another() -> None:
    engine = Engine()
    placed = engine.place("a")
    assert placed
    sent = sent_now(OrderCancel(symbol="X", orig_client_order_id="a"), engine)
    filled = engine.end(placed, "FILLED")
    assert told(sent, engine) == filled
    assert engine.now >= sent.settled_at


@pytest.mark.parametrize("is_executed", [False, True])
def test_g7_a_cancel_by_a_name_that_an_older_order_has_taken(is_executed: bool) -> None:
    engine = Engine()
    older = engine.place("other")
    closed = engine.place("a")
    assert older
    assert closed
    engine.end(closed, "FILLED")
    older = engine.amend(older, Decimal(2), "a")
    engine.now += 60_000
    sent = sent_now(OrderCancel(symbol="X", orig_client_order_id="a"), engine)
    meanwhile = [(engine.now, lambda: engine.end(older, "CANCELED"))] if is_executed else []
    found = told(sent, engine, meanwhile)
    assert (found.order_id, found.status) == (older.order_id, "CANCELED" if is_executed else "NEW")


def test_g7_a_cancel_by_a_name_that_another_order_has_taken_since() -> None:
    replace = replacing(cancel_order_id=None, cancel_orig_client_order_id="a", new_client_order_id="n")
    for request in (OrderCancel(symbol="X", orig_client_order_id="a"), replace):
        engine = Engine()
        old = engine.place("a")
        other = engine.place("z")
        assert old
        assert other
        engine.now += 60_000
        sent = sent_now(request, engine)
        engine.end(old, "CANCELED")
        new = engine.place("n")
        engine.now += 1000
        engine.end(engine.amend(other, Decimal(2), "a"), "FILLED")
        engine.place("a")
        found = told(sent, engine)
        assert found == (new if isinstance(request, OrderCancelReplace) else engine.orders[old.order_id])


@pytest.mark.parametrize("name", ["a", "z"])
def test_g7_an_order_by_another_name_than_the_new_one_was_not_amended_by_it(name: str) -> None:
    engine = Engine()
    placed = engine.place(name)
    assert placed
    amend = OrderAmendKeepPriority(symbol="X", order_id=placed.order_id, new_client_order_id="m", new_qty=2)
    sent = sent_now(amend, engine, is_id_fresh=True)
    assert told(sent, engine) == placed
    assert engine.now >= sent.settled_at


@pytest.mark.parametrize("is_executed", [False, True])
def test_g7_an_amend_by_name_of_what_was_amended_once_more(is_executed: bool) -> None:
    engine = Engine()
    for status in ("CANCELED", "NEW"):
        for name in ("new", "old"):
            placed = engine.place(name)
            assert placed
            engine.end(placed, status if name == "old" else "CANCELED")
    engine.now += 60_000
    amend = OrderAmendKeepPriority(symbol="X", orig_client_order_id="old", new_client_order_id="new", new_qty=2)
    sent = sent_now(amend, engine)
    if is_executed:
        engine.now += 1000
        engine.amend(engine.amend(engine.orders[5], Decimal(2), "new"), Decimal(1), "new")
    assert told(sent, engine) == engine.orders[5]


def test_g7_an_amend_by_name_of_what_is_gone() -> None:
    engine = Engine()
    request = OrderAmendKeepPriority(symbol="X", orig_client_order_id="a", new_client_order_id="b", new_qty=1)
    assert told(sent_now(request, engine), engine) is None
    placed = engine.place("a")
    assert placed
    filled = engine.end(placed, "FILLED")
    engine.now += 60_000
    assert told(sent_now(request, engine), engine) == filled


# Order ids


def test_order_ids_are_taken_from_whatever_names_orders() -> None:
    ids = OrderIds()
    ids.note(())
    ids.note((made(3, "a"), made(2, "b")))
    assert ids.highest["X"] == 3
    engine = Engine()
    engine.next_id = 10
    ids.note(oco(engine, 1))
    assert ids.highest["X"] == 12
    ids.note({"plain": "JSON"})
    assert dict(ids.highest) == {"X": 12}


def test_sor_orders_are_told_as_others_are() -> None:
    engine = Engine()
    request = SorOrderPlace(
        symbol="X", side="BUY", type="LIMIT", time_in_force="GTC", price=5, quantity=3, new_client_order_id="a"
    )
    sent = sent_now(request, engine)
    placed = engine.place("a")
    assert told(sent, engine) == placed
