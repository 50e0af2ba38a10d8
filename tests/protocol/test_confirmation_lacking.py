"""What became of a call where answers lack a documented field: every field of every answer that is asked for (G10)."""

# What isinstance makes of an answer leaves the type of its parts open.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

import msgspec
import pytest

from bintrio._protocol.confirmation import HalfReplaced
from bintrio._protocol.evidence import Sent, Undecided, found
from bintrio.api._base import Request
from bintrio.api._missing import incomplete
from bintrio.api.account import Amendment, Order
from bintrio.api.order_lists import OrderListCancel
from bintrio.api.orders import ListedOrder, OrderList
from bintrio.api.trading import OpenOrdersCancelAll, OrderAmendKeepPriority, OrderCancel, OrderCancelReplace
from tests.protocol.engine import OCO, Engine, oco, order, sent_now, told

Scenario: TypeAlias = Callable[[Engine], Sent]


class Lacking(Engine):
    """Its answers to one method lack a field.

    Attributes:
        method: the method; all if it is empty.
        lacks: the class of the record, and its field.
    """

    def __init__(self, method: str = "", lacks: tuple[type[msgspec.Struct], str] | None = None) -> None:
        super().__init__()
        self.method, self.lacks = method, lacks

    def answer(self, request: Request[Any]) -> Any:
        answer, name = super().answer(request), request.api.name
        if self.lacks is None or self.method not in {"", name}:
            return answer
        return without(answer, name, *self.lacks)


def without(answer: Any, method: str, record: type[msgspec.Struct], field: str) -> Any:
    if isinstance(answer, tuple):
        return tuple(without(each, method, record, field) for each in answer)
    if isinstance(answer, OrderList):
        answer = msgspec.structs.replace(answer, orders=without(answer.orders, method, record, field))
    if not isinstance(answer, record):
        return answer
    fields = msgspec.structs.asdict(answer)
    del fields[field]
    return incomplete(record, method, fields)


# An order


def name_of(sent: Sent) -> str:
    return str(sent.request.new_client_order_id)


def lost(engine: Engine, *, is_fresh: bool = False, **fields: Any) -> Sent:
    older = engine.place("a", side="SELL")
    assert older
    engine.end(older, "FILLED")
    engine.place("other", side="SELL")
    engine.now += 60_000
    return sent_now(order("new" if is_fresh else "a"), engine, is_id_fresh=is_fresh, **fields)


def placed(engine: Engine, **fields: Any) -> Sent:
    sent = lost(engine, **fields)
    engine.now += 30
    engine.place(name_of(sent))
    engine.place("another", price=Decimal(6))
    return sent


def amended(engine: Engine, name: str = "b", **fields: Any) -> Sent:
    sent = lost(engine, **fields)
    engine.now += 30
    mine = engine.place(name_of(sent))
    assert mine
    engine.amend(mine, mine.orig_qty - 1, name)
    engine.now += 5000
    return sent


# What was to be changed


def to_cancel(engine: Engine, request: Request[Any], **fields: Any) -> Sent:
    for name in ("old", "n"):
        closed = engine.place(name)
        assert closed
        engine.end(closed, "FILLED")
    engine.place("old")
    engine.now += 60_000
    return sent_now(request, engine, **fields)


def done(engine: Engine, sent: Sent, status: Any) -> Sent:
    engine.now += 30
    mine = engine.open_named("old")
    assert mine
    engine.end(mine, status)
    return sent


def cancel(engine: Engine, status: Any = None, **names: Any) -> Sent:
    sent = to_cancel(engine, OrderCancel(symbol="X", **names))
    return sent if status is None else done(engine, sent, status)


def amend(engine: Engine, *, is_done: bool, new: str = "new", is_fresh: bool = False, **names: Any) -> Sent:
    request = OrderAmendKeepPriority(symbol="X", new_client_order_id=new, new_qty=1, **names)
    sent = to_cancel(engine, request, is_id_fresh=is_fresh)
    mine = engine.open_named("old")
    assert mine
    engine.now += 30
    if is_done:
        engine.amend(mine, request.new_qty, new)  # type: ignore[arg-type]
    return sent


NAMED: dict[str, dict[str, Any]] = {
    "by number": {"cancel_order_id": 4},
    "by name": {"cancel_orig_client_order_id": "old"},
    "same name": {"cancel_orig_client_order_id": "old", "new_client_order_id": "old"},
    "stop": {"cancel_order_id": 4, "cancel_replace_mode": "STOP_ON_FAILURE"},
}
REPLACED = [
    (halves, how)
    for halves, how in itertools.product(("", "c", "n", "cn"), NAMED)
    # A new order cannot have a name that is still in use, or come before the cancel in that mode.
    if halves != "n" or how not in {"same name", "stop"}
]


def replace(engine: Engine, *, halves: str, how: str) -> Sent:
    given: dict[str, Any] = {"side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "price": 5, "quantity": 3}
    given |= {"symbol": "X", "cancel_replace_mode": "ALLOW_FAILURE", "new_client_order_id": "n", **NAMED[how]}
    sent = to_cancel(engine, OrderCancelReplace(**given))
    if "c" in halves:
        done(engine, sent, "CANCELED")
    if "n" in halves:
        engine.place(given["new_client_order_id"])
    return sent


def cancel_all(engine: Engine) -> Sent:
    return to_cancel(engine, OpenOrdersCancelAll(symbol="X"))


# Lists


def list_lost(engine: Engine, **fields: Any) -> Sent:
    oco(engine, 1, "ALL_DONE")
    engine.now += 60_000
    return sent_now(OCO, engine, **fields)


def list_placed(engine: Engine, **fields: Any) -> Sent:
    sent = list_lost(engine, **fields)
    engine.now += 30
    oco(engine, 2)
    return sent


def list_cancel(engine: Engine, status: Any, **names: Any) -> Sent:
    oco(engine, 1, "ALL_DONE")
    engine.now += 60_000
    oco(engine, 2)
    engine.now += 1000
    sent = sent_now(OrderListCancel(symbol="X", **names), engine)
    engine.now += 30
    engine.lists[2] = msgspec.structs.replace(engine.lists[2], list_order_status=status, transaction_time=engine.now)
    return sent


SCENARIOS: dict[str, Scenario] = {
    "lost": lost,
    "lost, fresh": lambda e: lost(e, is_fresh=True),
    "placed": placed,
    "placed, fresh": lambda e: placed(e, is_fresh=True),
    "placed, told": lambda e: placed(e, told=4),
    "placed, no time": lambda e: placed(e, sent_at=None),
    "amended": amended,
    "amended, same name": lambda e: amended(e, "a"),
    "amended, fresh": lambda e: amended(e, is_fresh=True),
    "cancel by number": lambda e: cancel(e, "CANCELED", order_id=4),
    "cancel by name": lambda e: cancel(e, "CANCELED", orig_client_order_id="old"),
    "cancel by name, filled": lambda e: cancel(e, "FILLED", orig_client_order_id="old"),
    "no cancel by number": lambda e: cancel(e, order_id=4),
    "no cancel by name": lambda e: cancel(e, orig_client_order_id="old"),
    "amend by number": lambda e: amend(e, is_done=True, order_id=4),
    "amend by number, fresh": lambda e: amend(e, is_done=True, is_fresh=True, order_id=4),
    "amend by name": lambda e: amend(e, is_done=True, orig_client_order_id="old"),
    "amend, same name": lambda e: amend(e, is_done=True, new="old", orig_client_order_id="old"),
    "no amend by number": lambda e: amend(e, is_done=False, order_id=4),
    "no amend by name": lambda e: amend(e, is_done=False, orig_client_order_id="old"),
    **{f"replace {halves or 'nothing'}, {how}": partial(replace, halves=halves, how=how) for halves, how in REPLACED},
    "cancel all": cancel_all,
    "list lost": list_lost,
    "list placed": list_placed,
    "list placed, fresh": lambda e: list_placed(e, is_id_fresh=True),
    "list placed, told": lambda e: list_placed(e, told=2),
    "list canceled by number": lambda e: list_cancel(e, "ALL_DONE", order_list_id=2),
    "list canceled by name": lambda e: list_cancel(e, "ALL_DONE", list_client_order_id="list"),
    "list not canceled": lambda e: list_cancel(e, "EXECUTING", list_client_order_id="list"),
}

FIELDS = [
    (record, field.name)
    for record in (Order, OrderList, ListedOrder, Amendment)
    for field in msgspec.structs.fields(record)
    if field.required
]

NEEDED: dict[str, str] = {
    "lost": "",
    "lost, fresh": "",
    "placed": "order_id time",
    "placed, fresh": "",
    "placed, told": "",
    "placed, no time": "",
    "amended": "order_id orig_client_order_id orig_qty time",
    "amended, same name": "order_id orig_client_order_id orig_qty time",
    "amended, fresh": "order_id orig_client_order_id orig_qty",
    "cancel by number": "status",
    "cancel by name": "status",
    "cancel by name, filled": "status",
    "no cancel by number": "status",
    "no cancel by name": "status",
    "amend by number": "orig_qty",
    "amend by number, fresh": "",
    "amend by name": "orig_qty update_time",
    "amend, same name": "orig_qty",
    "no amend by number": "orig_qty",
    "no amend by name": "orig_qty status",
    "replace nothing, by number": "status",
    "replace nothing, by name": "status",
    "replace nothing, same name": "status",
    "replace nothing, stop": "status",
    "replace c, by number": "status update_time",
    "replace c, by name": "status update_time",
    "replace c, same name": "status update_time",
    "replace c, stop": "status update_time",
    "replace n, by number": "order_id status time",
    "replace n, by name": "order_id status time",
    "replace cn, by number": "order_id status time update_time",
    "replace cn, by name": "order_id status time update_time",
    "replace cn, same name": "client_order_id order_id status time update_time",
    "replace cn, stop": "order_id time",
    "cancel all": "",
    "list lost": "",
    "list placed": "client_order_id order_id orders time",
    "list placed, fresh": "client_order_id orders",
    "list placed, told": "",
    "list canceled by number": "list_order_status",
    "list canceled by name": "list_order_status",
    "list not canceled": "list_order_status",
}
"""The fields without which it cannot be told what became of a call, where one answer lacks it or all do."""


IDENTITY = ("order_id", "order_list_id", "client_order_id", "status", "orig_qty", "list_order_status")


def shown(outcome: Any) -> list[Any]:
    """What an outcome says; None where a field did not come."""
    if isinstance(outcome, HalfReplaced):
        return ["old", *shown(outcome.old_order), "new", *shown(outcome.new_order)]
    several = outcome if isinstance(outcome, tuple) else (outcome,)
    return [value for each in several for value in ([found(each, name) for name in IDENTITY] if each else ["nothing"])]


def told_or_why(name: str, engine: Engine) -> tuple[list[Any], str]:
    """What was told, and if nothing was, why."""
    try:
        return shown(told(SCENARIOS[name](engine), engine, clock_error=20)), ""
    except Undecided as undecided:
        return [], str(undecided)


@pytest.mark.untraced
@pytest.mark.parametrize("name", SCENARIOS)
def test_g10_what_does_not_come_hurts_only_where_nothing_else_tells(name: str) -> None:
    """Every field of every answer that is asked for: the truth, or which field of which method did not come."""
    engine = Lacking()
    truth, _ = told_or_why(name, engine)
    methods = tuple({question.api.name for question in engine.asked})
    needed: set[str] = set()
    for (record, field), method in itertools.product(FIELDS, ("", *methods)):
        lacking = Lacking(method, (record, field))
        outcome, why = told_or_why(name, lacking)
        if why:
            needed.add(field)
            assert f": {record.__name__} came without `" in why
            assert why.endswith(f"so it has no `{field}`; nothing else tells")
            assert why.startswith(method or tuple(question.api.name for question in lacking.asked))
        else:
            same = [value is None or value == true for true, value in zip(truth, outcome, strict=True)]
            assert all(same), (record, field, method)
    assert " ".join(sorted(needed)) == NEEDED[name]


@pytest.mark.parametrize(("field", "is_told"), [("client_order_id", True), ("update_time", True), ("status", False)])
def test_g10_an_order_to_be_canceled_by_name_is_known_by_its_number_too(field: str, is_told: bool) -> None:
    outcome, why = told_or_why("cancel by name, filled", Lacking("", (Order, field)))
    assert bool(outcome) is is_told
    assert bool(why) is not is_told


def test_g10_of_two_orders_by_one_name_the_one_that_changed_last_was_hit() -> None:
    """Which one that is takes their times."""
    for lacks, is_told in ((None, True), ((Order, "update_time"), False)):
        engine = Lacking("", lacks)
        request = OrderCancel(symbol="X", orig_client_order_id="old")
        sent = done(engine, to_cancel(engine, request), "FILLED")
        later = engine.place("old")
        assert later
        engine.now += 10
        engine.end(later, "FILLED")
        if is_told:
            assert told(sent, engine).order_id == later.order_id
        else:
            with pytest.raises(Undecided, match="allOrders: Order came without `updateTime`"):
                told(sent, engine)
