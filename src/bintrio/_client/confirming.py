"""What a session has to ask what became of a call: `confirm`, with the types of what it gives, and `unresolved`."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, overload

from .._protocol.confirmation import HalfReplaced
from .._text import shown
from ..api.account import Order
from ..api.order_lists import NewOrderList, OrderListCancel
from ..api.orders import OrderList
from ..api.sor import SorOrderPlace
from ..api.trading import OpenOrdersCancelAll, OrderAmendKeepPriority, OrderCancel, OrderCancelReplace, OrderPlace
from ..errors import InvalidRequest, OutcomeUnknown
from .outcomes import Outcomes
from .standing import Standing


class Confirming(Standing):
    """A session as far as it tells what became of calls, and how it stands."""

    _outcomes: Outcomes
    # Seconds that `confirm` may take, if it is to take less than it would.
    _longest: float = math.inf

    @abstractmethod
    def _asker(self, call: object) -> Confirming:
        """The session for whose account a call was made.

        Raises:
            InvalidRequest: it was made with a key that is not known here.
        """

    @property
    def unresolved(self) -> tuple[OutcomeUnknown, ...]:
        """The account's trading calls whose callers were cancelled after they had left, oldest first. They may have
        happened.

        Each stays until `confirm` has told what became of it, also after the session is closed. One that `confirm` can
        ask nothing about, because it was sent by wire names without a client order id, stays until its answer comes
        late, and `confirm` was called after that. `forget` takes one off. When there are 1,000, trading calls are
        `NotSent`.
        """
        return tuple(self._outcomes.unresolved)

    def forget(self, call: OutcomeUnknown) -> None:
        """Take a call off `unresolved` that `confirm` can tell nothing about, or whose outcome is known in another way.

        Nothing is sent, and nothing changes for the exchange. It may be asked about later all the same.

        Args:
            call: one of `unresolved`; of one that is not there, nothing happens.

        Raises:
            InvalidRequest: it is no `OutcomeUnknown`.
        """
        given: Any = call
        if not isinstance(given, OutcomeUnknown):
            raise InvalidRequest(f"only one of session.unresolved can be forgotten, not {shown(given)}", field="call")
        self._outcomes.forget(call)

    @overload
    async def confirm(
        self,
        call: OutcomeUnknown[OrderPlace | SorOrderPlace | OrderCancel | OrderAmendKeepPriority]
        | OrderPlace
        | SorOrderPlace
        | OrderCancel
        | OrderAmendKeepPriority,
        *,
        sent_at: int | None = None,
    ) -> Order | None: ...
    @overload
    async def confirm(
        self, call: OutcomeUnknown[OrderCancelReplace] | OrderCancelReplace, *, sent_at: int | None = None
    ) -> Order | HalfReplaced | None: ...
    @overload
    async def confirm(
        self, call: OutcomeUnknown[OpenOrdersCancelAll] | OpenOrdersCancelAll, *, sent_at: int | None = None
    ) -> tuple[Order, ...]: ...
    @overload
    async def confirm(
        self,
        call: OutcomeUnknown[NewOrderList[Any] | OrderListCancel] | NewOrderList[Any] | OrderListCancel,
        *,
        sent_at: int | None = None,
    ) -> OrderList | None: ...
    async def confirm(self, call: Any, *, sent_at: int | None = None) -> Any:
        """Find out what became of a call: ask until the exchange says, for ten minutes at most.

        That an order does not exist, or was not canceled or amended, counts only once the call is too late to be
        executed and queries must show it. So this may take as long as its ``recvWindow`` (5 s unless it said otherwise)
        and 2 s. Ten minutes after that it gives up: an outage may last, a question may never be answered. Bound it by
        ``session.within(seconds).confirm(error)`` if you must; it can be called again.

        What existed before the call is no evidence of it, though it has the same client order id: an order must be as
        the call had it, younger than the call, and not known to be that of another call under the same id.

        Args:
            call: the error that it raised, or one of `unresolved`. Or the request, with its client order ids, if there
                is no error: it may have been sent by another program.
            sent_at: with a request, the exchange's time in the unit of the session before which it was not sent. If it
                is left out, its client order ids must never have been used before, for any order that is like it is
                taken for the one it placed.

        Returns:
            For an order, the `Order`, or None if it was not placed and never will be. For a cancel or an amend, the
            `Order` as it stands now that the call is over: its status and quantity tell. For order.cancelReplace the
            new `Order` if both halves were done, `HalfReplaced` if one was, None if neither was and neither will be.
            For an order list and its cancel, the `OrderList` or None. For openOrders.cancelAll, what is open still.

        Raises:
            InvalidRequest: the call changes nothing, or names nothing that could be asked for, or it was made with a
                key that the session has not used (`Session.using`).
            Rejected: the exchange refuses the question.
            ProtocolViolation: its answer cannot be read.
            NotSent: the session was closed meanwhile.
            OutcomeUnknown: that too, or it was told nothing in time, or what is there proves neither; its reason says
                what is ambiguous, which question was not answered, or which field of which method did not come.
        """
        asker = self._asker(call)
        return await asker._outcomes.find_out(asker, call, sent_at, self._longest)
