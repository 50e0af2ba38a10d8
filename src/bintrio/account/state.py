"""What is known of an account, out of events, answers and queries in any order. No I/O; times are the exchange's.

**Orders** only ever go forward (`orders.is_later`), so an old event, a late answer and a query that lags change
nothing, and what was missed is made up for by whatever comes later.

**Balances** go up and down, so they are told apart by their times: that of the latest change of the account, in a
position as in account.status, and none goes back. Events of one time count in the order in which they come. An answer
of the same time as what is known counts if it must show whatever happened and no event has told of the asset since.

**Certainty.** From a loss on until everything was asked for anew, the account stands as of the loss. An answer to a
question that is asked `QUERY_DELAY_SECONDS` after events are complete again shows whatever happened before ("Data
sources").

Source: user-data-stream.md, and "Account requests" of the WebSocket API document.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from itertools import islice, takewhile
from typing import Final

import msgspec

from .._protocol.exact import in_exact
from ..api.account import Account, AccountTrade, Allocation, Order
from ..api.events import (
    BalanceUpdate,
    Event,
    ExecutionReport,
    ExternalLockUpdate,
    ListStatus,
    OutboundAccountPosition,
    UnknownEvent,
)
from ..api.orders import OrderList
from ..api.trading import Fill
from ..errors import ProtocolViolation, SubscriberTooSlow
from .changes import Certainty, Change, FillAdded, Holding, HoldingChanged, ListChanged, NotShown, OrderChanged, Source
from .orders import (
    FillKey,
    OrderKey,
    check_list,
    check_order,
    fill_of_event,
    fill_of_trade,
    is_done_list,
    is_later,
    is_open,
    key_of,
    key_of_fill,
    list_of_event,
    name_of,
    order_of_event,
)

_NOTHING: Final = Decimal(0)

# The types of events that tell of orders and balances; an event that lacks its type may be one of them.
_TOLD_BY: Final = {
    None,
    *(
        kind.__struct_config__.tag
        for kind in (ExecutionReport, OutboundAccountPosition, BalanceUpdate, ExternalLockUpdate, ListStatus)
    ),
}


class State:
    """An account as it is known.

    Args:
        keep: how many closed orders, and how many lists that are done, are kept.
        history: how many changes are kept.

    Attributes:
        keep: how many closed orders are kept.
        open_orders: by symbol and order id.
        closed_orders: the latest that have ended, by symbol and order id.
        holdings: by asset.
        lists: order lists, by id.
        fills: of each order that is kept, by trade.
        changes: the latest ones, oldest first.
        version: grows by one with each change.
        as_of: up to when everything is known; None if that is now.
        missed_since: since when something may have happened that is not known; None if events have told everything
            from the beginning.
        is_interrupted: whether no events come at present.
        losses: how often something was missed.
        is_over: whether nobody follows the account any more.
    """

    def __init__(self, *, keep: int, history: int) -> None:
        self.open_orders: Final[dict[OrderKey, Order]] = {}
        self.closed_orders: Final[dict[OrderKey, Order]] = {}
        self.holdings: Final[dict[str, Holding]] = {}
        self.lists: Final[dict[int, OrderList]] = {}
        self.fills: Final[dict[OrderKey, dict[FillKey, Fill]]] = {}
        self.changes: Final[deque[Change]] = deque(maxlen=history)
        self.version = 0
        self.as_of: int | None = 0
        self.missed_since: int | None = None
        self.is_interrupted = True
        self.losses = 0
        self.is_over = False
        self.keep: Final = keep
        self._untold: list[Change] = []
        # When something was last added to a balance that is not certain since, by asset.
        self._shifted: Final[dict[str, int]] = {}
        # Assets that events have told of since they are complete.
        self._heard: Final[set[str]] = set()
        self._by_client_id: Final[dict[tuple[str, str], OrderKey]] = {}
        self._names: Final[dict[OrderKey, list[tuple[str, str]]]] = {}

    # What is there

    def order(self, key: OrderKey) -> Order | None:
        """An order, open or closed."""
        return self.open_orders.get(key) or self.closed_orders.get(key)

    def named(self, symbol: str, client_order_id: str) -> Order | None:
        """The order that took a client order id last."""
        key = self._by_client_id.get((symbol, client_order_id))
        return None if key is None else self.order(key)

    @in_exact
    def executed(self, key: OrderKey) -> Decimal:
        """What the fills of an order that are known add up to."""
        return sum((fill.qty for fill in self.fills.get(key, {}).values()), _NOTHING)

    def take_changes(self) -> list[Change]:
        """The changes since the last call, in their order."""
        changes, self._untold = self._untold, []
        return changes

    def changes_after(self, version: int) -> list[Change]:
        """The changes after a version.

        Raises:
            SubscriberTooSlow: some of them are not kept any more.
        """
        count = self.version - version
        # The oldest were dropped for want of room.
        if count > len(self.changes):
            raise SubscriberTooSlow(len(self.changes))
        return [self.changes[-distance] for distance in range(count, 0, -1)]

    # Events

    def apply(self, event: Event) -> None:
        """Take in an event; one that tells nothing of orders and balances changes nothing.

        Raises:
            ProtocolViolation: what it tells of them cannot be read, or lacks what nothing can be told without. Then
                nothing has changed.
        """
        match event:
            case ExecutionReport():
                self._take_report(event)
            case OutboundAccountPosition():
                self._take_position(event)
            case BalanceUpdate():
                self._take_transfer(event)
            case ExternalLockUpdate():
                self._take_lock(event)
            # A list that was refused was never there; one whose cancellation was refused stands as it stood (enums.md).
            case ListStatus(list_status_type="RESPONSE"):
                pass
            case ListStatus():
                self.take_list(list_of_event(event), "event")
            case UnknownEvent() if event.event_type in _TOLD_BY:
                raise ProtocolViolation(f"{event.event_type or 'an event'}: {event.reason}", raw=event.raw)
            case _:
                pass

    def _take_report(self, report: ExecutionReport) -> None:
        # Before anything is taken in: a report that tells too little changes nothing.
        fill, order = fill_of_event(report), order_of_event(report)
        check_order(order)
        # First, so that the change by which an order ends comes after those that tell of its fills.
        if fill is not None:
            self.take_fill(key_of(order), fill, "event")
        self.take_order(order, "event")

    def _take_position(self, event: OutboundAccountPosition) -> None:
        time = event.update_time
        # All are read before the first is taken in.
        for asset, free, locked in [(each.asset, each.free, each.locked) for each in event.balances]:
            self._hold(asset, free, locked, time, "event")

    def _take_transfer(self, event: BalanceUpdate) -> None:
        time = event.event_time if event.clear_time is None else event.clear_time
        self._shift(event.asset, event.delta, _NOTHING, time)

    def _take_lock(self, event: ExternalLockUpdate) -> None:
        self._shift(event.asset, event.delta.copy_negate(), event.delta, event.transaction_time)

    @in_exact
    def _shift(self, asset: str, free: Decimal, locked: Decimal, time: int) -> None:
        """Add to a balance until the exchange tells what it is. What it told since then has this in it already."""
        known = self.holdings.get(asset)
        self._heard.add(asset)
        # The first that is heard of this asset.
        if known is None:
            known = Holding(asset=asset, free=_NOTHING, locked=_NOTHING, as_of=0)
        # Else the balance that is known has this in it already.
        if time > known.as_of:
            self._shifted[asset] = max(time, self._shifted.get(asset, 0))
            self._put(
                Holding(
                    asset=asset,
                    free=known.free + free,
                    locked=known.locked + locked,
                    as_of=known.as_of,
                    is_certain=False,
                ),
                "event",
            )

    # Orders and fills

    def take_order(self, order: Order, source: Source) -> bool:
        """Take in an order as it stood at some time. Whether that is news.

        Raises:
            ProtocolViolation: it lacks what the account goes by.
        """
        check_order(order)
        key = key_of(order)
        known = self.order(key)
        # Old news: a late event, an answer that was overtaken, or a query that lags.
        if known is not None and not is_later(order, known):
            return False
        if is_open(order):
            self.open_orders[key] = order
        else:
            self.open_orders.pop(key, None)
            self.closed_orders[key] = order
            self._forget_surplus()
        # The latest one that had the name counts, as with the exchange.
        self._name(key, order)
        self._tell(OrderChanged(version=self.version + 1, source=source, before=known, after=order))
        return True

    def forget_older(self, time: int) -> None:
        """Keep no order, and no list, that ended before a time."""
        # A dict keeps the order in which keys came: the first has ended first.
        for key, _ in list(takewhile(lambda item: item[1].update_time < time, self.closed_orders.items())):
            if not self._is_asked_for(key):
                self._forget_closed(key)
        for number in [number for number, each in self.lists.items() if each.transaction_time < time]:
            if is_done_list(self.lists[number]):  # one that is open may have been placed long ago
                del self.lists[number]

    def _forget_surplus(self) -> None:
        """Keep as many closed orders as are to be kept."""
        surplus = len(self.closed_orders) - self.keep
        if surplus > 0:
            spare = (key for key in self.closed_orders if not self._is_asked_for(key))
            for key in list(islice(spare, surplus)):
                self._forget_closed(key)

    def _is_asked_for(self, key: OrderKey) -> bool:
        """Whether its trades were missed, and are yet to be asked for: once all was asked for, they need no order."""
        return self.as_of is not None and self.executed(key) < self.closed_orders[key].executed_qty

    def _forget_closed(self, key: OrderKey) -> None:
        del self.closed_orders[key]
        self._forget(key)

    def give_up_order(self, key: OrderKey) -> None:
        """The exchange shows an open order no more."""
        # An event may have closed it while the exchange was asked.
        last = self.open_orders.pop(key, None)
        if last is not None:
            self._tell(NotShown(version=self.version + 1, source="query", last=last))
            self._forget(key)

    def _forget(self, key: OrderKey) -> None:
        self.fills.pop(key, None)
        for name in self._names.pop(key, ()):
            # Another order may have it by now.
            if self._by_client_id.get(name) == key:
                del self._by_client_id[name]

    def _name(self, key: OrderKey, order: Order) -> None:
        name = name_of(order)
        # An amendment gives an order another name; it is found by the former one, too.
        if name is not None and self._by_client_id.get(name) != key:
            self._by_client_id[name] = key
            self._names.setdefault(key, []).append(name)

    def take_fill(self, key: OrderKey, fill: Fill, source: Source) -> None:
        """Take in a fill of an order, if it is not known."""
        fills = self.fills.setdefault(key, {})
        name = key_of_fill(fill)
        # The same trade is told by an event, an answer and queries.
        if name not in fills:
            fills[name] = fill
            self._tell(FillAdded(version=self.version + 1, source=source, symbol=key[0], order_id=key[1], fill=fill))

    def take_trade(self, trade: AccountTrade | Allocation) -> None:
        """Take in an item of myTrades or myAllocations, of an order that is kept."""
        key = (trade.symbol, trade.order_id)
        # Of an order that was forgotten, fills are forgotten too.
        if self.order(key) is not None:
            self.take_fill(key, fill_of_trade(trade), "query")

    def unlisted(self, listed: Iterable[Order]) -> list[OrderKey]:
        """The open orders that are not among those that the exchange has listed as open."""
        found = {key_of(order) for order in listed}
        return [key for key in self.open_orders if key not in found]

    # Order lists

    def take_list(self, order_list: OrderList, source: Source) -> None:
        """Take in an order list as it stood at some time.

        Raises:
            ProtocolViolation: it lacks what the account goes by.
        """
        check_list(order_list)
        known = self.lists.get(order_list.order_list_id)
        # An answer to a query may be behind the events.
        if known is not None and not _is_later_list(order_list, known):
            return
        self.lists[order_list.order_list_id] = order_list
        self._tell(ListChanged(version=self.version + 1, source=source, before=known, after=order_list))
        # Lists that are open are kept, however many there are.
        done = [number for number, each in self.lists.items() if is_done_list(each)]
        for number in done[: max(0, len(done) - self.keep)]:
            del self.lists[number]

    def unlisted_lists(self, listed: Iterable[OrderList]) -> list[int]:
        """The ids of the open lists that are not among those that the exchange has listed as open."""
        found = {each.order_list_id for each in listed}
        return [number for number, each in self.lists.items() if number not in found and not is_done_list(each)]

    def give_up_list(self, number: int) -> None:
        """The exchange shows an open list no more."""
        # As with an order: it may have ended while the exchange was asked.
        last = self.lists.pop(number, None)
        if last is not None:
            self._tell(NotShown(version=self.version + 1, source="query", last=last))

    # Balances

    @property
    def has_shifts(self) -> bool:
        """Whether something was added to a balance that is not certain since."""
        return bool(self._shifted)

    @property
    def told_until(self) -> int:
        """The latest time of the account that positions and answers have told."""
        return max((holding.as_of for holding in self.holdings.values()), default=0)

    def take_account(self, account: Account, *, is_sure: bool) -> None:
        """Take in account.status.

        Args:
            account: the answer.
            is_sure: whether it must show whatever happened before events were complete.

        Raises:
            ProtocolViolation: balances did not come, or lack something.
        """
        time = told_at(account)
        told = {each.asset: (each.free, each.locked) for each in account.balances}
        # Zero balances may be left out.
        left_out = dict.fromkeys(self.holdings.keys() - told, (_NOTHING, _NOTHING))
        for asset, (free, locked) in (told | left_out).items():
            self._take_balance(Holding(asset=asset, free=free, locked=locked, as_of=time), is_sure=is_sure)

    def _take_balance(self, held: Holding, *, is_sure: bool) -> None:
        known = self.holdings.get(held.asset)
        # What is known from before may lack what was missed at the same time; what was heard since lacks nothing. An
        # older answer is never later: queries may be further behind than they should be.
        is_whole = is_sure and held.asset not in self._heard
        # What events have added after the answer's time may not be in it.
        is_overtaken = not is_whole and held.as_of < self._shifted.get(held.asset, 0)
        if known is None or (held.as_of > known.as_of and not is_overtaken) or (is_whole and held.as_of == known.as_of):
            self._put(held, "query")

    def _hold(self, asset: str, free: Decimal, locked: Decimal, time: int, source: Source) -> None:
        known = self.holdings.get(asset)
        self._heard.add(asset)
        # Of one time, the later event counts.
        if known is None or time >= known.as_of:
            self._put(Holding(asset=asset, free=free, locked=locked, as_of=time), source)

    def _put(self, holding: Holding, source: Source) -> None:
        known = self.holdings.get(holding.asset)
        self.holdings[holding.asset] = holding
        if holding.is_certain:
            self._shifted.pop(holding.asset, None)
        # A later time alone is no news: every account.status brings all balances anew.
        is_news = known is None or _value(known) != _value(holding)
        if is_news:
            self._tell(HoldingChanged(version=self.version + 1, source=source, before=known, after=holding))

    def doubtful(self) -> tuple[str, ...]:
        """The assets whose balance is not certain."""
        return tuple(asset for asset, holding in self.holdings.items() if not holding.is_certain)

    def doubt(self) -> None:
        """The answer for balances may lack what was missed: those are certain that events have told of since then."""
        for asset in [asset for asset in self.holdings if asset not in self._heard]:
            self._put(msgspec.structs.replace(self.holdings[asset], is_certain=False), "query")

    def expect(self, assets: Iterable[str]) -> None:
        """From here on events tell what happens to some assets; an answer must show what happened before."""
        self._heard.difference_update(assets)

    # Certainty

    def interrupt(self, time: int, reason: str) -> None:
        """No events come, from then on until `resume`."""
        self.is_interrupted = True
        self.lose(time, reason)

    def lose(self, time: int, reason: str) -> None:
        """Something may have happened since then that is not known."""
        self.losses += 1
        # By itself: as long as not all is known from the beginning, the account stands as of none.
        self.missed_since = time if self.missed_since is None else min(time, self.missed_since)
        # An earlier loss that was not made up for yet covers this one.
        if self.as_of is None or time < self.as_of:
            self.as_of = time
            self._tell(Certainty(version=self.version + 1, source="event", as_of=time, reason=reason))

    def resume(self) -> None:
        """Events are complete again from here on."""
        self.is_interrupted = False
        # What was heard before the loss says nothing of what happened during it.
        self._heard.clear()

    def end(self, time: int) -> None:
        """Nobody follows the account any more: no events come, and nothing is asked for."""
        self.is_over = True
        self.interrupt(time, "the account is followed no more")

    def settle(self) -> None:
        """Everything that was missed has been asked for."""
        self.missed_since = None
        if self.as_of is not None:
            self.as_of = None
            self._tell(Certainty(version=self.version + 1, source="query", as_of=None))
        self._forget_surplus()

    def _tell(self, change: Change) -> None:
        self.version = change.version
        self.changes.append(change)
        self._untold.append(change)


def told_at(account: Account) -> int:
    """When the account has changed last; 0 if the exchange leaves that out, so that whatever has a time counts more."""
    return 0 if "update_time" in account.missing_fields else account.update_time


def _value(holding: Holding) -> tuple[Decimal, Decimal, bool]:
    return holding.free, holding.locked, holding.is_certain


def _is_later_list(order_list: OrderList, known: OrderList) -> bool:
    # A list that is done stays so, whatever times an answer and an event have.
    if is_done_list(order_list) is not is_done_list(known):
        return is_done_list(order_list)
    return order_list.transaction_time > known.transaction_time
