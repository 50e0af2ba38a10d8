"""What a method's function is given, and where it is registered.

A function takes a `RequestContext` and returns a record with times in microseconds, or raises a `Refusal`. Decorating
it with `answers` is all it takes to add a method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from bintrio.api._base import Request

from .. import refusals
from ..accounts import Account
from ..auth import Credential
from ..boards import Board
from ..limits import Limits, OrderBudget
from ..listing import Listing
from ..matching import MatchingEngine
from ..replicas import Replicas
from ..sessions import Session
from ..symbols import Symbol
from ..tape import Tape
from ..units import as_microseconds, last_microsecond

_DEFAULT_LIMIT: Final = 500
_MAX_LIMIT: Final = 1_000


class RequestContext(msgspec.Struct, frozen=True):
    """What a method's function works with.

    Attributes:
        request: the `Request`, of the type that belongs to the method.
        credential: the key that signed the request or is logged on; None where the method asks for none.
        order_budget: the limits on the orders of the key's account; None without a key.
        now: microseconds.
    """

    engine: MatchingEngine
    replicas: Replicas
    limits: Limits
    request: Any
    session: Session
    credential: Credential | None
    order_budget: OrderBudget | None
    now: int

    @property
    def signer(self) -> Credential:
        """The key, where the method asks for one."""
        assert self.credential is not None
        return self.credential

    @property
    def is_behind(self) -> bool:
        """Whether the answer is from a moment ago: whether it may be is said by the method's data source."""
        return self.replicas.lag > 0 and self.request.api.is_behind

    @property
    def account(self) -> Account:
        """The account that the key belongs to, as the method sees it."""
        uid = self.signer.uid
        return self.replicas.account(uid, self.now) if self.is_behind else self.engine.accounts[uid]

    @property
    def orders(self) -> OrderBudget:
        """The limits on the account's orders, where the method asks for a key."""
        assert self.order_budget is not None
        return self.replicas.order_budget(self.signer.uid, self.now) if self.is_behind else self.order_budget

    @property
    def listing(self) -> Listing:
        """The symbol that the request names, with its book and tape.

        Raises:
            Refusal: -1121.
        """
        return self.engine.listing(self.request.symbol)

    @property
    def symbol(self) -> Symbol:
        """The same without them.

        Raises:
            Refusal: -1121.
        """
        return self.listing.symbol

    @property
    def board(self) -> Board:
        """The market of that symbol, as the method sees it.

        Raises:
            Refusal: -1121.
        """
        return self.board_of(self.symbol)

    def board_of(self, symbol: Symbol) -> Board:
        """The market of a symbol, as the method sees it."""
        return self.replicas.board(symbol.name, self.now)

    @property
    def tape(self) -> Tape:
        """The public trades of that symbol, as the method sees them.

        Raises:
            Refusal: -1121.
        """
        return self.board.tape

    @property
    def start(self) -> int | None:
        """``startTime`` in microseconds."""
        start: int | None = self.request.start_time
        return None if start is None else as_microseconds(start)

    @property
    def end(self) -> int | None:
        """``endTime`` in microseconds; all of it, where it is a millisecond."""
        end: int | None = self.request.end_time
        # The end is included, and a millisecond has a thousand microseconds in which something may have happened.
        return None if end is None else last_microsecond(end)

    def limit(self, default: int = _DEFAULT_LIMIT, greatest: int = _MAX_LIMIT) -> int:
        """``limit``, or its default.

        Raises:
            Refusal: -1130. Of what lies outside its range the document says nothing.
        """
        limit: int = default if self.request.limit is None else self.request.limit
        # Refused, and not cut down to what is allowed, so that a test notices.
        if not 1 <= limit <= greatest:
            raise refusals.invalid_value("limit")
        return limit


Function: TypeAlias = Callable[[RequestContext], Any]

functions: Final[dict[str, Function]] = {}
"""By the method's name."""


def answers(request_type: type[Request[Any]]) -> Callable[[Function], Function]:
    """Register the function that answers a method."""

    def register(function: Function) -> Function:
        functions[request_type.api.name] = function
        return function

    return register
