"""An account of whose events, answers and queries a documented field does not come, or has another type (G10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import msgspec
import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import observing, requests
from bintrio.account import Certainty, LiveAccount, LiveOrder, LiveOrderList
from bintrio.account.live import open_account
from bintrio.account.orders import order_of_event
from bintrio.api.account import Order
from bintrio.api.events import (
    BalanceUpdate,
    ExecutionReport,
    ExternalLockUpdate,
    ListStatus,
    ListStatusOrder,
    OutboundAccountPosition,
)
from bintrio.api.trading import CanceledOrder, Fill, OrderAmended, OrderFull, PlacedOrderList
from bintrio.errors import ProtocolViolation
from bintrio.sandbox import Sandbox, open_sandbox

from .test_live import BUY, OCO, Bent, D, following, settled, without
from .test_state import an_account, changes, fresh, position

Bend = Callable[[Any], Any]

EVENTS: Final = (ExecutionReport, OutboundAccountPosition, BalanceUpdate, ExternalLockUpdate, ListStatus)

# What nothing can be told without. Where another field does not come, an order or list lacks it, or it is in neither.
NEEDED: Final[dict[Any, str]] = {
    ExecutionReport: "esiXqzTx",
    OutboundAccountPosition: "euB",
    BalanceUpdate: "eadT",
    ExternalLockUpdate: "eadT",
    ListStatus: "esglLTO",
}


def fields_of(kind: Any) -> dict[str, str]:
    """The fields that must come, by their names in JSON."""
    return {field.encode_name: field.name for field in msgspec.structs.fields(kind) if field.required}


EACH: Final = [(kind, name) for kind in EVENTS for name in ["e", *fields_of(kind)]]


def odd(event: Any, change: Callable[[dict[str, Any]], object]) -> Any:
    """The event as a session reads it if the exchange sends other fields."""
    fields = msgspec.json.decode(bintrio.to_json(event))
    change(fields)
    return bintrio.decode_event(msgspec.json.encode({"subscriptionId": 0, "event": fields})).event


def bending(kind: type, name: str, how: str) -> Bend:
    """All events of a kind lack a field, or have something else in it."""

    def bend(event: Any) -> Any:
        if not isinstance(event, kind):
            return event
        return odd(event, lambda fields: fields.pop(name) if how == "lacks" else fields.update({name: {"odd": 1}}))

    return bend


class Bending:
    """A subscriber whose events a test bends."""

    def __init__(self, events: bintrio.Subscriber, bend: Bend) -> None:
        self._events = events
        self._bend = bend

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return self._bend(await anext(self._events))


def as_it_is(event: Any) -> Any:
    return event


class Odd(Bent):
    """A session whose events a test may bend, too."""

    def __init__(self, session: bintrio.Session) -> None:
        super().__init__(session)
        self.bend: Bend = as_it_is

    def user_data(self) -> AbstractAsyncContextManager[Any]:
        return self._subscribed()

    @asynccontextmanager
    async def _subscribed(self) -> AsyncGenerator[Any]:
        async with self.session.user_data() as events:
            yield Bending(events, lambda event: self.bend(event))


@asynccontextmanager
async def observed(bend: Bend) -> AsyncGenerator[tuple[Sandbox, Odd, LiveAccount, list[observing.Fact]]]:
    told: list[observing.Fact] = []
    async with (
        open_sandbox(listen=False) as sandbox,
        bintrio.open_session(
            sandbox.endpoint, key=sandbox.key, connect=sandbox.connect, observer=told.append
        ) as session,
    ):
        strange = Odd(session)
        async with open_account(strange, strange.teller) as account:
            await settled(account)
            strange.bend = bend
            yield sandbox, strange, account, told


async def live(sandbox: Sandbox, account: LiveAccount) -> tuple[LiveOrder, LiveOrder, LiveOrderList]:
    """Whatever an account's events tell of: orders that trade, end and stay, lists, deposits, locks."""
    filled, stays = await account.place(**BUY), await account.place(**BUY, new_client_order_id="ours")
    pair = await account.place_oco(**OCO)
    assert filled.order_id is not None
    assert stays.order_id is not None
    for _ in range(2):
        sandbox.fill(filled.order_id, D(1))
    sandbox.fill(stays.order_id, D("0.5"))
    sandbox.deposit("BTC", D(3))
    sandbox.lock_externally("USDT", D(10))
    await pair.cancel()
    canceled = await account.place(**BUY)
    await canceled.amend(1)
    await canceled.cancel()
    return filled, stays, pair


async def agree(session: bintrio.Session, account: LiveAccount) -> None:
    """The account is as queries show it, but for the fields that it says to lack."""
    assert account.is_current
    shown = await session.send(requests.AllOrders(symbol="BTCUSDT"))
    known = {**account.orders, **account.closed_orders}
    assert {(order.symbol, order.order_id) for order in shown} == set(known)
    for order in shown:
        mine = known[order.symbol, order.order_id]
        for name in set(Order.__struct_fields__) - {*mine.missing_fields, "working_time"}:
            assert getattr(mine, name) == getattr(order, name), name
        assert sum(fill.qty for fill in account.fills(order.symbol, order.order_id)) == order.executed_qty
    status = await session.send(requests.AccountStatus())
    balances = {each.asset: (each.free, each.locked) for each in status.balances}
    assert {asset: (each.free, each.locked) for asset, each in account.balances.items()} == balances
    lists = await session.send(requests.AllOrderLists())
    for each in lists:
        mine_too = account.lists[each.order_list_id]
        assert mine_too.list_order_status == each.list_order_status
    assert len(lists) == len(account.lists)


@pytest.mark.untraced
@pytest.mark.parametrize("how", ["lacks", "has another type"])
@pytest.mark.parametrize(("kind", "name"), EACH, ids=lambda value: getattr(value, "__name__", value))
async def test_g10_an_account_is_right_whatever_field_its_events_lack_or_have_wrong(
    autojump_clock: MockClock, kind: Any, name: str, how: str
) -> None:
    async with observed(bending(kind, name, how)) as (sandbox, strange, account, told):
        filled, stays, pair = await live(sandbox, account)
        with trio.fail_after(150):
            assert await filled.filled()
            await pair.closed()
        await trio.sleep(130)
        await agree(strange.session, account)
        assert stays.remaining == D("1.5")
        missed = [fact for fact in told if isinstance(fact, observing.AccountNotCurrent)]
        assert bool(missed) is (how != "lacks" or name in NEEDED[kind])


@pytest.mark.parametrize(("kind", "name"), [pair for pair in EACH if pair[1] in NEEDED[pair[0]]], ids=str)
def test_g10_an_event_that_tells_too_little_changes_nothing(kind: Any, name: str) -> None:
    state = fresh()
    for event in WHOLE[kind]:
        with pytest.raises(ProtocolViolation):
            state.apply(bending(kind, name, "lacks")(event))
    assert state.version == 0
    assert not state.fills


REPORT: Final = ExecutionReport(
    event_time=1,
    symbol="BTCUSDT",
    client_order_id="c",
    side="BUY",
    order_type="LIMIT",
    time_in_force="GTC",
    quantity=D(2),
    price=D(10),
    stop_price=D(0),
    iceberg_quantity=D(0),
    order_list_id=-1,
    original_client_order_id="",
    execution_type="TRADE",
    order_status="PARTIALLY_FILLED",
    reject_reason="NONE",
    order_id=1,
    last_executed_quantity=D(1),
    cumulative_filled_quantity=D(1),
    last_executed_price=D(10),
    commission_amount=D(0),
    commission_asset="BTC",
    transaction_time=1,
    trade_id=7,
    execution_id=1,
    is_on_book=True,
    is_maker=True,
    ignore=True,
    order_creation_time=1,
    cumulative_quote_quantity=D(10),
    last_quote_quantity=D(10),
    quote_order_quantity=D(0),
    self_trade_prevention_mode="NONE",
    working_time=1,
)
LIST: Final = ListStatus(
    event_time=1,
    symbol="BTCUSDT",
    order_list_id=3,
    contingency_type="OCO",
    list_status_type="EXEC_STARTED",
    list_order_status="EXECUTING",
    list_reject_reason="NONE",
    list_client_order_id="l",
    transaction_time=1,
    orders=(ListStatusOrder(symbol="BTCUSDT", order_id=1, client_order_id="c"),),
)
WHOLE: Final[dict[Any, list[Any]]] = {
    ExecutionReport: [REPORT],
    OutboundAccountPosition: [position(5, 1)],
    BalanceUpdate: [BalanceUpdate(event_time=1, asset="BTC", delta=D(1), clear_time=2)],
    ExternalLockUpdate: [ExternalLockUpdate(event_time=1, asset="BTC", delta=D(1), transaction_time=2)],
    ListStatus: [LIST],
}


@pytest.mark.parametrize(
    ("execution_type", "c", "original", "known_as"),
    [
        ("NEW", "c", "", "c"),
        ("CANCELED", "cancel", "c", "c"),
        ("REPLACED", "new", "c", "new"),
        # Whether this is the order's name or that of its cancellation, nobody can tell.
        ("CANCELED", "cancel", None, None),
        ("REPLACED", "new", None, "new"),
        ("NEW", None, "", None),
        ("CANCELED", None, "c", "c"),
    ],
)
def test_g10_an_order_whose_name_did_not_come_has_none(
    execution_type: Any, c: str | None, original: str | None, known_as: str | None
) -> None:
    values = {"client_order_id": c, "original_client_order_id": original}
    came = {name: value for name, value in values.items() if value is not None}
    report = msgspec.structs.replace(REPORT, execution_type=execution_type, **came)
    for name in values.keys() - came:
        report = without(report, name)
    state = fresh(keep=0)
    state.settle()
    state.apply(report)
    (order,) = state.open_orders.values()
    assert order.missing_fields == (() if known_as else ("client_order_id",))
    assert (state.named("BTCUSDT", "c"), state.named("BTCUSDT", "new")) == (
        order if known_as == "c" else None,
        order if known_as == "new" else None,
    )
    # An order without a name can be forgotten like any other.
    state.apply(msgspec.structs.replace(report, order_status="EXPIRED"))
    assert not state.open_orders
    assert not state.closed_orders


def test_g10_what_an_order_lacks_is_made_up_for_by_whoever_tells_more_of_the_same_moment() -> None:
    state = fresh()
    state.apply(without(REPORT, "price"))
    (lacking,) = state.open_orders.values()
    with pytest.raises(ProtocolViolation, match=r"executionReport: Order came without `price`"):
        _ = lacking.price
    assert not state.take_order(without(order_of_event(REPORT), "side"), "query")
    assert state.take_order(order_of_event(REPORT), "query")
    assert not state.take_order(order_of_event(without(REPORT, "price")), "query")
    assert state.open_orders["BTCUSDT", 1].price == 10
    # A later moment counts more, whatever it lacks.
    later = msgspec.structs.replace(REPORT, transaction_time=2)
    assert state.take_order(order_of_event(without(later, "price")), "query")


async def test_g10_events_that_cannot_be_read_are_made_up_for_once_a_minute(autojump_clock: MockClock) -> None:
    async with observed(bending(OutboundAccountPosition, "u", "lacks")) as (sandbox, strange, account, told):
        await trio.sleep(60)
        strange.sent.clear()
        for _ in range(600):
            sandbox.deposit("BTC", D(1))
            await trio.sleep(1)
        asked = Counter(strange.sent)["account.status"]
        assert 9 <= asked <= 12
        missed = [fact for fact in told if isinstance(fact, observing.AccountNotCurrent)]
        # The last of them was not asked yet.
        assert len(missed) == asked + 1
        assert missed[0].cause == (
            "outboundAccountPosition: OutboundAccountPosition came without `u`, so it has no `update_time`"
        )
        assert [round(fact.seconds) for fact in missed[:3]] == [2, 60, 60]
        # What is shown is a minute old at most, and says so.
        assert not account.is_current
        await trio.sleep(70)
        await agree(strange.session, account)


async def test_g10_a_gap_is_asked_about_at_once_also_where_events_cannot_be_read(autojump_clock: MockClock) -> None:
    async with observed(bending(OutboundAccountPosition, "u", "lacks")) as (sandbox, strange, account, _):
        for _ in range(2):
            sandbox.deposit("BTC", D(1))
            await trio.sleep(10)
        assert not account.is_current
        strange.bend = as_it_is
        sandbox.disconnect()
        await trio.sleep(60)
        assert account.is_current


async def test_g10_an_event_that_cannot_be_read_during_an_outage_is_made_up_for_when_it_is_over(
    autojump_clock: MockClock,
) -> None:
    cut = bintrio.Interrupted(at=0, reason="the test says so")
    async with observed(as_it_is) as (sandbox, strange, account, told):
        after, lacking = account.version, without(position(0, 1), "update_time")
        bent = iter([cut, lacking])
        strange.bend = lambda event: next(bent, event)
        strange.sent.clear()
        for _ in range(2):
            sandbox.deposit("BTC", D(1))
        await trio.sleep(300)
        assert not account.is_current
        assert not strange.sent
        assert not any(isinstance(fact, observing.AccountNotCurrent) for fact in told)
        assert isinstance(account._state.changes_after(after)[0], Certainty)


# Answers


@pytest.mark.parametrize("client_order_id", [None, "ours"])
@pytest.mark.parametrize("name", fields_of(OrderFull).values())
async def test_g10_an_order_is_followed_whatever_field_the_answer_to_placing_it_lacks(
    autojump_clock: MockClock, name: str, client_order_id: str | None
) -> None:
    async with following() as (sandbox, bent, account):
        bent.bends[requests.OrderPlace] = lambda answer: without(answer, name)
        # Its name was that of an earlier order.
        await (await account.place(**BUY, new_client_order_id="ours")).cancel()
        await trio.sleep(1)
        order = await account.place(**BUY, new_client_order_id=client_order_id)
        with trio.fail_after(30):
            assert await order.placed() is not None
        assert order.order_id == 2
        sandbox.fill(2, D(2))
        with trio.fail_after(30):
            assert await order.filled()


@pytest.mark.parametrize("name", ["all", *fields_of(Fill).values()])
async def test_g10_fills_are_asked_for_if_neither_answer_nor_event_tells_all_of_them(
    autojump_clock: MockClock, name: str
) -> None:
    def lacking(answer: OrderFull) -> Any:
        if name == "all":
            return without(answer, "fills")
        return msgspec.structs.replace(answer, fills=tuple(without(fill, name) for fill in answer.fills))

    async with observed(bending(ExecutionReport, "n", "lacks")) as (sandbox, strange, account, _):
        strange.bends[requests.OrderPlace] = lacking
        sandbox.quote("BTCUSDT", D(99), D(100), D(1))
        order = await account.place(**BUY)
        await trio.sleep(70)
        assert [fill.qty for fill in order.fills] == [1]
        assert order.remaining == 1
        await agree(strange.session, account)


async def test_g10_whoever_places_after_the_account_is_left_learns_what_the_answer_lacks(
    autojump_clock: MockClock,
) -> None:
    async with following() as (_, bent, _):
        bent.bends[requests.OrderPlace] = lambda answer: without(answer, "order_id")
        async with open_account(bent, bent.teller) as account:
            pass
        with pytest.raises(ProtocolViolation, match="order_id"):
            await account.place(**BUY)


@pytest.mark.parametrize("name", fields_of(PlacedOrderList).values())
async def test_g10_an_order_list_is_followed_whatever_field_the_answer_to_placing_it_lacks(
    autojump_clock: MockClock, name: str
) -> None:
    async with following() as (_, bent, account):
        bent.bends[requests.OrderListPlaceOco] = lambda answer: without(answer, name)
        pair = await account.place_oco(**OCO)
        with trio.fail_after(30):
            await pair.placed()
        assert [order.order_id for order in pair.orders] == [1, 2]
        await pair.cancel()
        assert pair.is_closed


@pytest.mark.parametrize("name", fields_of(CanceledOrder).values())
async def test_g10_an_order_is_canceled_whatever_field_the_answer_to_it_lacks(
    autojump_clock: MockClock, name: str
) -> None:
    async with following() as (_, bent, account):
        bent.bends[requests.OrderCancel] = lambda answer: without(answer, name)
        order = await account.place(**BUY)
        await order.cancel()
        assert order.status == "CANCELED"


@pytest.mark.parametrize("name", fields_of(OrderAmended).values())
async def test_g10_an_order_is_amended_whatever_field_the_answer_to_it_lacks(
    autojump_clock: MockClock, name: str
) -> None:
    async with following() as (_, bent, account):
        bent.bends[requests.OrderAmendKeepPriority] = lambda answer: without(answer, name)
        order = await account.place(**BUY)
        await order.amend(1)
        assert order.remaining == 1


# Queries


@pytest.mark.parametrize("name", fields_of(Order).values())
async def test_g10_an_account_is_entered_with_orders_of_which_a_field_did_not_come(
    autojump_clock: MockClock, name: str
) -> None:
    needed = {"symbol", "order_id", "status", "orig_qty", "executed_qty", "update_time"}
    async with following() as (_, bent, account):
        await account.place(**BUY)
        bent.bends[requests.OpenOrdersStatus] = lambda answer: tuple(without(each, name) for each in answer)
        if name in needed:
            with pytest.raises(ProtocolViolation, match=name):
                async with open_account(bent, bent.teller):
                    pytest.fail("it was entered")
        else:
            async with open_account(bent, bent.teller) as other:
                await settled(other)
                assert [order.missing_fields for order in other.orders.values()] == [(name,)]
                assert other.order("BTCUSDT", 1) is not None


async def test_g10_an_account_is_right_without_the_time_of_balances(autojump_clock: MockClock) -> None:
    async with following() as (sandbox, bent, _):
        bent.bends[requests.AccountStatus] = lambda answer: without(answer, "update_time")
        async with open_account(bent, bent.teller) as account:
            await settled(account)
            assert {each.as_of for each in account.balances.values()} == {0}
            await account.place(**BUY)
            await trio.sleep(1)
            await agree(bent.session, account)
            # By an answer without a time nobody can tell whether it shows what an event has told.
            sandbox.disconnect()
            await trio.sleep(100)
            assert account.is_current
            assert not any(each.is_certain for each in account.balances.values() if each.as_of)


def test_g10_balances_of_which_one_cannot_be_read_change_nothing() -> None:
    state = fresh()
    whole = an_account(5, BTC=1, USDT=2)
    balances = (whole.balances[0], without(whole.balances[1], "free"))
    with pytest.raises(ProtocolViolation, match="`free`"):
        state.take_account(msgspec.structs.replace(whole, balances=balances), is_sure=True)
    assert changes(state) == []
