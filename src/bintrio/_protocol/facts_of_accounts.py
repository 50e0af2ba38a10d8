"""What a session tells of the accounts that it follows (`Session.account`): see `facts`."""

from __future__ import annotations

from ..api._values import Timestamp
from .facts import Fact


class AboutAccount(Fact, frozen=True, kw_only=True):
    """Something that concerns an account that is followed.

    Attributes:
        account: as much of its API key as may be shown.
        cause: why, in words.
        error: the class of the error.
    """

    account: str | None = None
    cause: str
    error: str


class AccountNotCurrent(AboutAccount, frozen=True, kw_only=True):
    """Events were lost, and a question for what they would have told has failed, or an event could not be read.

    The account stays as it was.

    Attributes:
        as_of: the exchange's time up to which all is known, in the unit of the session; None if that is now.
        seconds: until all is asked for again.
    """

    as_of: Timestamp | None
    seconds: float


class BalancesNotCertain(AboutAccount, frozen=True, kw_only=True):
    """The exchange does not tell what there is of some assets: its answer fails, or is older than what events told.

    Attributes:
        assets: of which.
        seconds: until they are asked for again, unless an event tells of them.
    """

    assets: tuple[str, ...]
    seconds: float


class OrderDenied(AboutAccount, frozen=True, kw_only=True):
    """The exchange says not to have an order, or an order list, that is known to be open.

    Attributes:
        symbol: of the order; None for a list.
        order_id: of the order; None for a list.
        order_list_id: of the list; None for an order.
    """

    symbol: str | None = None
    order_id: int | None = None
    order_list_id: int | None = None

    @property
    def name(self) -> str:
        """What it denies, in words."""
        is_list = self.order_list_id is not None
        return f"order list {self.order_list_id}" if is_list else f"order {self.order_id} of {self.symbol}"


class OrderUnclear(AboutAccount, frozen=True, kw_only=True):
    """An answer does not tell how an order stands. It is asked for, unless this was the question for it.

    Attributes:
        symbol: of the order.
        order_id: of the order.
    """

    symbol: str
    order_id: int


class FillsNotTold(AboutAccount, frozen=True, kw_only=True):
    """The exchange does not tell the trades of an order that has some.

    Attributes:
        symbol: of the order.
        order_id: of the order.
        seconds: until it is asked again for the sake of a `LiveOrder`; None if it is asked with the others only.
    """

    symbol: str
    order_id: int
    seconds: float | None

    @property
    def again(self) -> str:
        """When it is asked again, in words."""
        return "" if self.seconds is None else f"; asking again in {self.seconds:.4g} s"


class OutcomeNotFound(AboutAccount, frozen=True, kw_only=True):
    """`Session.confirm` could not find out what became of a call that the account asks about by itself.

    Attributes:
        method: the exchange's name of the method.
        seconds: until it is asked again.
    """

    method: str
    seconds: float
