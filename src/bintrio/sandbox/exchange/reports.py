"""What the engine tells of its changes, to those who follow an account.

Of an account that nobody follows, only the number of unfilled orders is told. Balances are told once for all that a
command has changed, behind it, as in the example of market_orders_faq.md.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import msgspec

from bintrio.api.enums import ExecutionType, ListOrderStatus, ListStatusType, OrderRejectReason
from bintrio.api.events import BalanceUpdate, ExternalLockUpdate, KnownEvent, OutboundAccountPosition
from bintrio.api.orders import OrderList as ListRecord

from . import shapes
from .accounts import Account
from .limits import Unfilled
from .orders import Execution, Order, OrderList, Prevention


class Notice(msgspec.Struct, frozen=True, gc=False):
    """A change of an account.

    Attributes:
        uid: of the account.
        event: None if nobody follows the account, or if there is no event for such a change.
        subject: the order, the list or the assets that have changed.
        unfilled: what it means to the number of unfilled orders.
    """

    uid: int
    event: KnownEvent | None
    subject: Order | ListRecord | tuple[str, ...]
    unfilled: Unfilled | None = None


class _Answers(dict[int, bool]):
    """Whether accounts are followed, as far as that was asked."""

    def __init__(self, ask: Callable[[int], bool]) -> None:
        self._ask = ask

    def __missing__(self, uid: int) -> bool:
        self[uid] = answer = self._ask(uid)
        return answer


class Reports:
    """Collects what is to be told.

    Args:
        is_followed: whether somebody follows an account, or keeps a copy of it; asked once until `take`.
    """

    def __init__(self, is_followed: Callable[[int], bool]) -> None:
        # To find it out takes a look at every connection, and a command may tell of many changes.
        self._is_followed = _Answers(is_followed)
        self._execution_ids = count(1)
        self._notices: list[Notice] = []
        self._moved: dict[Account, dict[str, None]] = {}  # assets by account, in the order in which they changed

    def take(self) -> list[Notice]:
        """The changes since the last call, in their order, and then the balances that they moved."""
        notices, self._notices = self._notices, []
        # Of accounts that nobody follows there is nothing.
        if self._moved:
            notices += [_position(account, tuple(assets)) for account, assets in self._moved.items()]
            self._moved = {}
        # Somebody may subscribe or leave between two commands, not during one.
        self._is_followed.clear()
        return notices

    def of_order(
        self,
        order: Order,
        kind: ExecutionType,
        *,
        execution: Execution | None = None,
        prevention: Prevention | None = None,
        cancel_id: str | None = None,
        former_id: str = "",
        unfilled: Unfilled | None = None,
    ) -> int:
        """An order has changed. Returns the execution id."""
        execution_id = next(self._execution_ids)
        # An event takes much of the time of a change, so it is made only where somebody reads it.
        if self._is_followed[order.owner]:
            event = shapes.execution_report(
                order,
                kind,
                execution_id=execution_id,
                execution=execution,
                prevention=prevention,
                cancel_id=cancel_id,
                former_id=former_id,
            )
            self._notices.append(Notice(order.owner, event, order, unfilled))
        # Limits count for an account whether anybody follows it or not.
        elif unfilled is not None:
            self._notices.append(Notice(order.owner, None, order, unfilled))
        return execution_id

    def of_rejection(self, order: Order, reason: OrderRejectReason) -> None:
        """An order was not taken. No copy of the account has it."""
        execution_id = next(self._execution_ids)
        if self._is_followed[order.owner]:
            event = shapes.execution_report(order, "REJECTED", execution_id=execution_id, reject_reason=reason)
            # Without a subject: no copy of the account learns of an order that it never had.
            self._notices.append(Notice(order.owner, event, ()))

    def of_attempt(self, account: Account) -> None:
        """An order was not attempted, and counts all the same."""
        self._notices.append(Notice(account.uid, None, (), "placed"))

    def of_nothing(self, order: Order) -> None:
        """An order has changed in a way for which there is no event."""
        self._notices.append(Notice(order.owner, None, order))

    def of_balances(self, account: Account, assets: tuple[str, ...], now: int) -> None:
        """Balances may have changed."""
        account.updated_at = now
        if self._is_followed[account.uid]:
            # Once for a command, whatever it moved: a market order with many fills is one change of the account.
            self._moved.setdefault(account, {}).update(dict.fromkeys(assets))

    def of_transfer(self, account: Account, event: BalanceUpdate | ExternalLockUpdate) -> None:
        """Something was deposited or withdrawn, or another system of the exchange locked or released it."""
        self._notices.append(Notice(account.uid, event, (event.asset,)))

    def of_list(self, account: Account, group: OrderList, kind: ListStatusType, now: int) -> None:
        """An order list has changed."""
        status: ListOrderStatus = "ALL_DONE" if kind == "ALL_DONE" else "EXECUTING"
        # Only events say UPDATED; a list that is asked for says EXEC_STARTED until it is done.
        known = kind if kind != "UPDATED" else "EXEC_STARTED"
        record = shapes.order_list(group, known, status, now)
        account.note_list(record)
        event = shapes.list_status(group, kind, status, now) if self._is_followed[account.uid] else None
        self._notices.append(Notice(account.uid, event, record))

    def of_refused_list(self, group: OrderList, reason: OrderRejectReason, now: int) -> None:
        """A list was not placed or not canceled ("Order List Status" of enums.md); nothing has changed."""
        if self._is_followed[group.owner]:
            event = shapes.list_status(group, "RESPONSE", "REJECT", now, reason)
            self._notices.append(Notice(group.owner, event, ()))


def _position(account: Account, assets: tuple[str, ...]) -> Notice:
    now = account.updated_at
    event = OutboundAccountPosition(event_time=now, update_time=now, balances=account.balances_of(assets))
    return Notice(account.uid, event, assets)
