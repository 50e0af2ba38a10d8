"""What queries see: accounts and markets as they were a moment ago.

On the exchange, an order is placed and canceled in the matching engine, and looked up in a cache or a database ("Data
sources": Memory, Database), which may be behind. `Replicas.lag` says how far behind they are here. A replica is an
account, or a market (`boards`), of its own that is fed with what each change left behind, and shows a change once it is
as old as the lag. It never goes back: when the lag grows, a replica stands still until it is that far behind. Copying
takes its time, so the age of a change goes by `Replicas.elapsed`: a clock that is adjusted makes no copy older or
younger.

Without a lag there are no replicas, and queries read the accounts and markets themselves. Times are microseconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from bintrio._protocol.exact import in_exact
from bintrio.api.orders import OrderList as ListRecord

from .accounts import Account, Holding
from .boards import Board, BoardReplica, board_of
from .limits import OrderBudget, Unfilled
from .matching import MatchingEngine
from .orders import Order, snapshot
from .reports import Notice


class Replicas:
    """The accounts and markets as queries see them.

    Args:
        engine: has the accounts and markets themselves.
        order_budgets: the limits on the orders of each account, by its uid.

    Attributes:
        elapsed: the time that had passed when the exchange's clock showed a time, however it was adjusted; None goes by
            that clock.
    """

    def __init__(self, engine: MatchingEngine, order_budgets: Mapping[int, OrderBudget]) -> None:
        self.elapsed: Callable[[int], int] | None = None
        self._engine: Final = engine
        self._order_budgets: Final = order_budgets
        self._replicas: dict[int, _Replica] = {}
        self._unasked: set[int] = set()
        self._boards: dict[str, BoardReplica] = {}
        self._lag = 0

    @property
    def lag(self) -> int:
        """How old a change must be before queries see it."""
        return self._lag

    @lag.setter
    @in_exact
    def lag(self, lag: int) -> None:
        # Queries read the accounts themselves again.
        if not lag:
            self._replicas, self._boards = {}, {}
        # From now on: a change before this is old enough.
        elif not self._lag:
            copied = (account for uid, account in self._engine.accounts.items() if uid not in self._unasked)
            self._replicas = {account.uid: self._replica(account) for account in copied}
            references = self._engine.references
            self._boards = {name: BoardReplica(one, references) for name, one in self._engine.listings.items()}
        self._lag = lag

    def _replica(self, account: Account) -> _Replica:
        return _Replica(account, self._order_budgets[account.uid])

    def open_account(self, account: Account) -> None:
        """Queries know a new account at once."""
        if self._lag:
            self._replicas[account.uid] = self._replica(account)

    def forgo(self, uid: int) -> None:
        """Keep no copy of an account about which nobody asks, however much happens to it."""
        self._unasked.add(uid)
        self._replicas.pop(uid, None)

    def has(self, uid: int) -> bool:
        """Whether a copy of an account is kept."""
        return uid in self._replicas

    def note(self, notices: Iterable[Notice], now: int) -> None:
        """Take note of what has changed just now."""
        # Without a lag, there are no copies to feed.
        if not self._lag:
            return
        changes: dict[int, list[Notice]] = {}
        for notice in notices:
            # Of an account without a copy, nothing is copied.
            if notice.uid in self._replicas:
                changes.setdefault(notice.uid, []).append(notice)
        for uid, of_account in changes.items():
            self._replicas[uid].note(of_account, self._passed(now), now)
        for board in self._boards.values():
            board.note(self._passed(now))

    def account(self, uid: int, now: int) -> Account:
        """An account as a query sees it; not to be changed."""
        replica = self._replicas.get(uid)
        return self._engine.accounts[uid] if replica is None else replica.at(self._seen(now)).shown

    def order_budget(self, uid: int, now: int) -> OrderBudget:
        """The limits on an account's orders as a query sees them; not to be changed."""
        replica = self._replicas.get(uid)
        return self._order_budgets[uid] if replica is None else replica.at(self._seen(now)).budget

    def board(self, name: str, now: int) -> Board:
        """A symbol's market as a query sees it; not to be changed."""
        replica = self._boards.get(name)
        if replica is None:
            return board_of(self._engine.listings[name], self._engine.references)
        return replica.at(self._seen(now))

    def _seen(self, now: int) -> int:
        """When what queries see now was so."""
        return self._passed(now) - self._lag

    def _passed(self, now: int) -> int:
        return now if self.elapsed is None else self.elapsed(now)


class _Change(NamedTuple):
    """What a change left behind.

    Attributes:
        orders: those that have changed, in the order of their first change.
        lists: those that have changed, as they stand.
        unfilled: what it meant to the number of unfilled orders.
        at: when it was by the exchange's clock.
        lengths: for each journal of the account, how much it has now of the symbols concerned.
    """

    time: int
    orders: tuple[Order, ...]
    lists: tuple[ListRecord, ...]
    unfilled: tuple[Unfilled, ...]
    at: int
    lengths: tuple[dict[str, int], ...]
    holdings: dict[str, Holding]
    updated_at: int


class _Replica:
    """One account, a moment ago: of what only ever grows, its length at the time is all that has to be kept.

    Attributes:
        shown: the account as it was.
        budget: the limits on its orders as they were.
    """

    def __init__(self, account: Account, budget: OrderBudget) -> None:
        self._account = account
        # A whole copy once, and only changes from then on.
        self.shown = account.copy()
        self.budget = budget.copy()
        self._waiting: deque[_Change] = deque()

    def note(self, notices: Sequence[Notice], passed: int, now: int) -> None:
        account = self._account
        changed: dict[int, Order] = {}
        lists: list[ListRecord] = []
        holdings: dict[str, Holding] = {}
        for notice in notices:
            subject = notice.subject
            # Its last state counts, however often it changed at once.
            if isinstance(subject, Order):
                changed[subject.order_id] = subject
            elif isinstance(subject, ListRecord):
                lists.append(subject)
            else:
                holdings |= {asset: account.holding(asset).copy() for asset in subject}
        symbols = {order.symbol for order in changed.values()}
        lengths = tuple({symbol: kept[symbol].length for symbol in symbols} for kept in account.journals)
        orders = tuple(map(snapshot, changed.values()))
        unfilled: tuple[Unfilled, ...] = tuple(notice.unfilled for notice in notices if notice.unfilled is not None)
        change = _Change(passed, orders, tuple(lists), unfilled, now, lengths, holdings, account.updated_at)
        self._waiting.append(change)

    def at(self, time: int) -> _Replica:
        # Only forward: what was shown once stays shown.
        while self._waiting and self._waiting[0].time <= time:
            self._apply(self._waiting.popleft())
        return self

    def _apply(self, change: _Change) -> None:
        shown = self.shown
        for counted in change.unfilled:
            self.budget.note(counted, change.at)
        for order in change.orders:
            shown.update(order)
        for record in change.lists:
            shown.note_list(record)
        for known, kept, lengths in zip(shown.journals, self._account.journals, change.lengths, strict=True):
            for symbol, length in lengths.items():
                # What only grows is not copied at each change: the new part is fetched when it becomes visible.
                known[symbol] += kept[symbol].between(known[symbol].length, length)
                known[symbol].forgotten = length - len(known[symbol])
                known[symbol].bound(shown.keep)
        shown.set_holdings(change.holdings, change.updated_at)
