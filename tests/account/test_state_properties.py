"""What is known of an account when events come in any order, come again, or do not come at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bintrio.account import FillAdded, HoldingChanged, OrderChanged
from bintrio.account.orders import OrderKey, key_of, order_of_event
from bintrio.account.state import State
from bintrio.api.account import Account as AccountRecord
from bintrio.api.account import AccountTrade, Balance, Order
from bintrio.api.events import (
    BalanceUpdate,
    ExecutionReport,
    ExternalLockUpdate,
    KnownEvent,
    OutboundAccountPosition,
)
from bintrio.sandbox.exchange import shapes
from bintrio.sandbox.exchange.accounts import Account
from bintrio.sandbox.exchange.matching import MatchingEngine
from bintrio.sandbox.exchange.refusals import Refusal
from bintrio.sandbox.exchange.transfers import lock_externally, transfer

from .test_state import SYMBOL, an_account, do

D = Decimal
ASSETS = ("BTC", "USDT")

Shown = tuple[str, Decimal, Decimal]


class Snapshot(NamedTuple):
    """What queries show at one moment."""

    orders: tuple[Order, ...]
    trades: tuple[AccountTrade, ...]
    account: AccountRecord


class History(NamedTuple):
    """What an exchange told of an account, what queries showed after each act, and the number of events by then."""

    events: list[KnownEvent]
    snapshots: list[Snapshot]
    counts: list[int]


Act = tuple[str, int, int]
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "stop", "market", "amend", "cancel", "deposit", "withdraw", "lock", "release"]),
        st.integers(1, 4),
        # How much later: much happens at one time.
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=12,
)


def snapshot(account: Account) -> Snapshot:
    balances = tuple(
        Balance(asset=asset, free=account.holding(asset).free, locked=account.holding(asset).locked) for asset in ASSETS
    )
    return Snapshot(
        tuple(map(shapes.status, account.orders.values())),
        tuple(map(shapes.account_trade, account.executions["BTCUSDT"])),
        msgspec.structs.replace(an_account(account.updated_at), balances=balances),
    )


def lived(acts: Sequence[Act]) -> History:
    engine = MatchingEngine([SYMBOL])
    for uid in (1, 2):
        engine.accounts[uid] = Account(uid, {"BTC": D(1000), "USDT": D(100_000)})
    mine = engine.accounts[1]
    history = History([], [snapshot(mine)], [0])
    now = 1
    for act, number, later in acts:
        now += later
        try:
            if act in {"deposit", "withdraw"}:
                transfer(engine.reports, mine, "BTC", D(number) if act == "deposit" else -D(number), now)
            elif act in {"lock", "release"}:
                lock_externally(engine.reports, mine, "BTC", D(number) if act == "lock" else -D(number), now)
            else:
                do(engine, act, number, now)
        except Refusal:
            continue
        events = [notice.event for notice in engine.take_notices() if notice.uid == 1]
        history.events.extend(event for event in events if event is not None)
        history.snapshots.append(snapshot(mine))
        history.counts.append(len(history.events))
    return history


def show(state: State, shown: Snapshot, *, is_sure: bool) -> None:
    for order in shown.orders:
        state.take_order(order, "query")
    for trade in shown.trades:
        state.take_trade(trade)
    state.take_account(shown.account, is_sure=is_sure)


def tell(state: State, told: KnownEvent | Snapshot) -> None:
    if isinstance(told, Snapshot):
        show(state, told, is_sure=False)
    else:
        state.apply(told)


def look(order: Order) -> Shown:
    return order.status, order.executed_qty, order.orig_qty


def states_of(history: History) -> dict[OrderKey, list[Shown]]:
    """The states of each order, in the order in which it was in them."""
    found: dict[OrderKey, list[Shown]] = defaultdict(list)
    for event in history.events:
        if isinstance(event, ExecutionReport):
            found[key_of(event)].append(look(order_of_event(event)))
    return found


def check_told(state: State, history: History) -> None:
    """Each order and balance was once as it was told, and none went back; each fill was told once."""
    states, seen = states_of(history), dict[OrderKey, int]()
    balances = {(b.asset, b.free, b.locked) for shown in history.snapshots for b in shown.account.balances}
    positions = (event for event in history.events if isinstance(event, OutboundAccountPosition))
    balances |= {(b.asset, b.free, b.locked) for position in positions for b in position.balances}
    as_of: dict[str, int] = defaultdict(int)
    fills = [(c.symbol, c.order_id, c.fill.trade_id) for c in state.changes if isinstance(c, FillAdded)]
    assert len(fills) == len(set(fills))
    for change in state.changes:
        if isinstance(change, OrderChanged):
            key = key_of(change.after)
            seen[key] = states[key].index(look(change.after), seen.get(key, 0))
        elif isinstance(change, HoldingChanged):
            after = change.after
            assert after.as_of >= as_of[after.asset]
            as_of[after.asset] = after.as_of
            assert not after.is_certain or (after.asset, after.free, after.locked) in balances
    assert [change.version for change in state.changes] == [*range(1, state.version + 1)]


def check_whole(state: State, shown: Snapshot) -> None:
    """The account is as the exchange shows it."""
    known = {**state.open_orders, **state.closed_orders}
    assert {key: look(order) for key, order in known.items()} == {key_of(order): look(order) for order in shown.orders}
    assert {trade for fills in state.fills.values() for trade, _ in fills} == {trade.id for trade in shown.trades}
    assert all(state.executed(key) == order.executed_qty for key, order in known.items())
    held = {asset: (each.free, each.locked, each.is_certain) for asset, each in state.holdings.items()}
    assert held == {each.asset: (each.free, each.locked, True) for each in shown.account.balances}


def shuffled(history: History, chance: Any, *, most: int) -> list[KnownEvent | Snapshot]:
    """Each event so many times at most, in any order, among answers of any moment."""
    told: list[KnownEvent | Snapshot] = []
    for event in history.events:
        # A transfer, or a lock, is told by what is added, so only a session can tell that it comes again.
        is_added = isinstance(event, BalanceUpdate | ExternalLockUpdate)
        told += [event] * min(chance.randint(0, most), 1 if is_added else most)
    told += [shown for shown in history.snapshots if chance.randint(0, 2) == 0]
    chance.shuffle(told)
    return told


@settings(max_examples=150)
@given(ACTS, st.randoms(use_true_random=False))
def test_whatever_is_missing_late_or_told_again_nothing_untrue_is_shown_and_questions_make_up_for_it(
    acts: Sequence[Act], chance: Any
) -> None:
    history, state = lived(acts), State(keep=100, history=10_000)
    show(state, history.snapshots[0], is_sure=False)
    for told in shuffled(history, chance, most=2):
        tell(state, told)
    state.lose(0, "some are missing")
    state.resume()
    show(state, history.snapshots[-1], is_sure=True)
    state.settle()
    check_told(state, history)
    check_whole(state, history.snapshots[-1])
    assert state.as_of is None


@settings(max_examples=100)
@given(ACTS, st.data())
def test_events_after_a_hole_and_answers_that_overlap_them_come_to_the_same(
    acts: Sequence[Act], data: st.DataObject
) -> None:
    history, state = lived(acts), State(keep=100, history=10_000)
    show(state, history.snapshots[0], is_sure=False)
    count = len(history.events)
    start = data.draw(st.integers(0, count))
    end = data.draw(st.integers(start, count))
    for event in history.events[:start]:
        state.apply(event)
    state.lose(start, "a hole")
    state.resume()
    # The events after the hole, and between them an answer. It shows what there was when the hole ended, or later: it
    # may be behind the events that have come since, or before those that come.
    asked = data.draw(st.integers(end, count))
    shown = data.draw(
        st.sampled_from([s for s, told in zip(history.snapshots, history.counts, strict=True) if told >= end])
    )
    for event in history.events[end:asked]:
        state.apply(event)
    show(state, shown, is_sure=True)
    for event in history.events[asked:]:
        state.apply(event)
    state.settle()
    check_told(state, history)
    check_whole(state, history.snapshots[-1])


@given(ACTS)
def test_events_alone_tell_everything(acts: Sequence[Act]) -> None:
    history, state = lived(acts), State(keep=100, history=10_000)
    show(state, history.snapshots[0], is_sure=False)
    for event in history.events:
        state.apply(event)
    version = state.version
    check_whole(state, history.snapshots[-1])
    show(state, history.snapshots[-1], is_sure=True)
    assert state.version == version
