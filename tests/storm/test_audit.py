"""An account held against what the exchange did: each lie is found, and no truth is taken for one."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final

import pytest

from bintrio.account import Change, FillAdded, Holding, HoldingChanged, LiveAccount, NotShown, OrderChanged
from bintrio.account.state import State
from bintrio.account.stock import Stock
from bintrio.api.events import ExternalLockUpdate
from bintrio.api.trading import Fill
from bintrio.errors import OutcomeUnknown
from bintrio.sandbox import Told, Witness
from bintrio.sandbox.weather import Cut, ExternalLock
from bintrio.sandbox.weather import Fill as FillOrder
from bintrio.storm import Plan, Step, Terms, run
from bintrio.storm.audit import BLIND, Ledgers, of_calls, of_changes, of_looks, of_rest, untruths
from bintrio.storm.books import Book, Look
from bintrio.storm.plan import ByAccount, Place

D = Decimal
GIVEN: Any = SimpleNamespace
KEY: Final = ("BTCUSDT", 7)
NOW: Final = 1_767_225_600_000


def report(status: str, executed: int = 0, quantity: int = 2, order_id: int = 7) -> dict[str, Any]:
    return {"e": "executionReport", "s": "BTCUSDT", "i": order_id, "X": status, "z": executed, "q": quantity}


def position(free: int, time: int, asset: str = "BTC") -> dict[str, Any]:
    return {"e": "outboundAccountPosition", "u": time, "B": [{"a": asset, "f": free, "l": 0}]}


EVENTS: Final = [
    report("NEW"),
    position(5, 1),
    report("FILLED", 2),
    position(7, 2),
    position(5, 2),
    {"e": "balanceUpdate", "a": "BTC", "d": "3"},
    {"e": "externalLockUpdate", "a": "BTC", "d": "2"},
    {"e": "listStatus"},
]
JOURNAL: Final = [Told(NOW + number, event) for number, event in enumerate(EVENTS)]
DATES: Final = [told.time for told in JOURNAL]
LEDGERS: Final = Ledgers({"BTC": (D(9), D(0))}, JOURNAL)


def order(status: str = "NEW", executed: int = 0, order_id: int = 7) -> Any:
    return GIVEN(symbol="BTCUSDT", order_id=order_id, status=status, executed_qty=D(executed), orig_qty=D(2))


def told(*after: Any) -> list[str]:
    """What is found where an account told so much."""
    changes: list[Change] = []
    for each in after:
        kind: Any = OrderChanged
        if isinstance(each, Holding):
            kind = HoldingChanged
        changes.append(kind(version=1, source="event", before=None, after=each))
    return list(of_changes(changes, LEDGERS))


def held(free: int, *, is_certain: bool = True, locked: int = 0) -> Holding:
    return Holding(asset="BTC", free=D(free), locked=D(locked), as_of=0, is_certain=is_certain)


def shifted(before: Holding | None, after: Holding, source: Any = "event") -> list[str]:
    return list(of_changes([HoldingChanged(version=1, source=source, before=before, after=after)], LEDGERS))


def test_an_order_goes_through_the_states_that_it_was_in() -> None:
    assert told(order(), order("FILLED", 2)) == told(order("FILLED", 2)) == []
    assert "was not ('CANCELED'" in told(order("CANCELED"))[0]
    assert "was not ('NEW'" in told(order("FILLED", 2), order())[0]
    assert "as event 1 says: []" in told(order(order_id=8))[0]


def test_a_balance_goes_through_the_states_that_it_was_in_and_those_of_one_time_are_alike() -> None:
    assert told(held(9), held(5), held(7), held(5), held(7)) == []
    assert "BTC was not" in told(held(6))[0]
    assert len(told(held(7), held(9))) == 1


def test_a_balance_that_is_not_certain_has_changed_by_what_an_event_says() -> None:
    before = held(6)
    assert shifted(before, held(9, is_certain=False)) == shifted(None, held(3, is_certain=False)) == []
    assert shifted(before, held(4, locked=2, is_certain=False)) == []
    assert "no event says so" in shifted(before, held(8, locked=-2, is_certain=False))[0]
    assert "no event says so" in shifted(before, held(6, locked=2, is_certain=False))[0]
    # A question may leave in doubt what there is.
    assert shifted(before, held(6, is_certain=False), "query") == []


def test_a_fill_is_told_once() -> None:
    fill = FillAdded(version=1, source="event", symbol="BTCUSDT", order_id=7, fill=GIVEN(trade_id=1, alloc_id=None))
    assert list(of_changes([fill], LEDGERS)) == []
    assert "told a fill twice" in next(of_changes([fill, fill], LEDGERS))


def test_what_the_exchange_has_is_shown() -> None:
    assert "shows no more" in next(of_changes([NotShown(version=1, source="query", last=order())], LEDGERS))


# Looks


def look(time: float = 0.0, seen: int = 0, as_of: int | None = None, **options: Any) -> Look:
    options = {"orders": {}, "balances": {}, "is_certain": True, "is_at_rest": False, **options}
    return Look(time=time, seen=seen, as_of=as_of, **options)


def looked(*looks: Look, dates: Any = DATES) -> list[str]:
    return list(of_looks(Book(account=GIVEN(), looks=[*looks]), LEDGERS, dates, BLIND))


OPEN: Final[Any] = {"orders": {KEY: ("NEW", D(0), D(2))}}


def test_what_is_known_up_to_a_time_still_was_so_then() -> None:
    assert looked(look(as_of=NOW + 1, **OPEN)) == looked(look(as_of=NOW + 9)) == []
    assert "order ('BTCUSDT', 7) was ('NEW'" in looked(look(as_of=NOW + 2, **OPEN))[0]
    assert looked(look(as_of=NOW + 3, balances={"BTC": (D(5), D(0))})) == []
    assert "BTC was" in looked(look(as_of=NOW + 3, balances={"BTC": (D(9), D(0))}))[0]
    # Where the exchange's clock was adjusted, its times say nothing.
    assert looked(look(as_of=NOW + 3, balances={"BTC": (D(9), D(0))}), dates=[]) == []


def test_what_is_current_is_known_but_for_what_cannot_be_noticed_at_once() -> None:
    first, stale = look(seen=6), look(BLIND, 6, **OPEN)
    assert looked(first, stale) == []
    assert len(looked(first, look(BLIND + 1, 6, **OPEN))) == 1
    assert len(looked(look(0.0, 6, is_at_rest=True, **OPEN))) == 1


# Rest


def handle(order_id: int | None = 7, **options: Any) -> Any:
    fills = (Fill(price=D(1), qty=D(2), commission=D(0), commission_asset="BNB", trade_id=1),)
    key = None if order_id is None else ("BTCUSDT", order_id)
    given = {"state": order("FILLED", 2), "fills": fills, "was_refused": False, "error": None, **options}
    return GIVEN(order_id=order_id, key=key, client_order_id=given.pop("name", "mine"), **given)


def telling(fills: Any) -> Any:
    def tell(symbol: str, order_id: int) -> Any:
        return fills

    return tell


def at_rest(*handles: Any, shown: Any = None, fills: Any = None, **options: Any) -> list[str]:
    known = order("FILLED", 2) if shown is None else shown
    traded = handle().fills if fills is None else fills
    account: Any = GIVEN(orders={}, closed_orders={KEY: known}, fills=telling(traded))
    book = Book(account=account, looks=[look(**options)], handles=dict(enumerate(handles)))
    return list(of_rest(book, LEDGERS, can_tell_fills=fills != ()))


def test_at_rest_an_account_is_certain_and_knows_all_of_each_order() -> None:
    assert at_rest(handle()) == []
    assert "is not certain at rest" in at_rest(as_of=NOW)[0]
    assert "is not certain at rest" in at_rest(is_certain=False)[0]
    assert "is ('NEW', Decimal('0'), Decimal('2')) at rest" in at_rest(shown=order())[0]
    assert "make up 0 instead of 2" in at_rest(fills=[])[0]
    assert at_rest(handle(fills=()), fills=()) == []  # the exchange has refused to tell them


def test_at_rest_a_handle_tells_how_its_order_ended() -> None:
    assert "at rest, instead of ('FILLED'" in at_rest(handle(state=order()))[0]
    assert "at rest, instead of ('FILLED'" in at_rest(handle(state=None))[0]
    assert "has fills of 0 at rest" in at_rest(handle(fills=()))[0]
    assert at_rest(handle(None, was_refused=True)) == []
    assert "is not known at rest" in at_rest(handle(None))[0]
    lost = OutcomeUnknown("order.place", "whose it is cannot be told")
    assert at_rest(handle(None, error=lost, name="again")) == []
    assert len(at_rest(handle(None, error=lost))) == 1


# Calls


def called(given: Any, placed: Any) -> list[str]:
    book = Book(account=GIVEN(), calls=[1], handles={} if given is None else {1: given})
    return list(of_calls(book, {1: placed}))


def test_g7_a_handle_is_of_what_its_call_has_placed() -> None:
    done = GIVEN(order_id=7)
    assert called(handle(), done) == called(handle(), GIVEN(orders=(done,))) == called(handle(None), None) == []
    assert "is of {7}, and call 1 placed {8}" in called(handle(), GIVEN(order_id=8))[0]
    assert "is of {7}, and call 1 placed None" in called(handle(), None)[0]
    assert "is of None, and call 1 placed {7}" in called(handle(None, was_refused=True), done)[0]
    assert called(handle(None, was_refused=True), None) == []


def test_g1_of_what_a_cancelled_caller_has_placed_the_account_has_a_handle() -> None:
    assert called(None, None) == []
    assert "placed {7}, of which the account has no handle" in called(None, GIVEN(order_id=7))[0]


def test_all_is_looked_at_and_refused_fills_are_no_untruth() -> None:
    witness = Witness()
    witness.events.extend(JOURNAL)
    witness.calls.append(GIVEN(incoming=GIVEN(method="myTrades"), answer=GIVEN(status=400)))
    account: Any = GIVEN(orders={}, closed_orders={KEY: order("FILLED", 2)}, fills=telling(()))
    book = Book(account=account, looks=[look(seen=6, is_at_rest=True)])
    books: Any = GIVEN(untrue=["a lie"], opening={"BTC": (D(9), D(0))}, books=[book])
    assert list(untruths(books, witness, {}, is_dated=True, late=0)) == ["a lie"]
    witness.calls.clear()
    assert len(list(untruths(books, witness, {}, is_dated=False, late=0))) == 2
    book.looks.clear()
    assert list(untruths(books, witness, {}, is_dated=False, late=0)) == ["a lie"]


# In a world


PLACED: Final = (Step(5.0, ByAccount(placing=Place())), Step(5.0, Cut()), Step(0.0, FillOrder(which=0)))


def test_an_account_that_asks_for_nothing_after_a_loss_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(terms=Terms(has_account=True), steps=PLACED)
    assert run(plan).untruths == []

    async def complete(self: Stock) -> None:
        self._state.settle()

    monkeypatch.setattr(Stock, "complete", complete)
    assert any("at rest, instead of" in said for said in run(plan).untruths)


def test_an_account_that_takes_a_lock_the_wrong_way_round_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (Step(5.0, ExternalLock(asset="BTC", amount=D(3))), Step(5.0, ExternalLock(asset="BTC", amount=D(-1))))
    plan = Plan(terms=Terms(has_account=True), steps=steps)
    assert run(plan).untruths == []

    def take(self: State, event: ExternalLockUpdate) -> None:
        self._shift(event.asset, event.delta, -event.delta, event.transaction_time)

    monkeypatch.setattr(State, "_take_lock", take)
    assert len([said for said in run(plan).untruths if "and no event says so" in said]) == 2


def test_an_account_that_is_current_too_soon_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveAccount, "is_current", property(lambda _: False))
    assert any("is not certain at rest" in said for said in run(Plan(terms=Terms(has_account=True))).untruths)
