"""A world as data: on which terms exchange and session meet, and what happens, one step after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from ..api._base import Request
from ..api.account import AccountStatus, AllOrders, MyTrades, OpenOrdersStatus, OrderStatus
from ..api.general import Ping
from ..api.market import Depth
from ..api.order_lists import OrderListPlaceOco, OrderListPlaceOpo
from ..api.trading import OpenOrdersCancelAll, OrderAmendKeepPriority, OrderCancel, OrderCancelReplace, OrderPlace
from ..endpoints import TimeUnit
from ..sandbox import Limits, Link, SandboxOrder
from ..sandbox.weather import AnyBlow

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
SYMBOL: TypeAlias = Literal["BTCUSDT", "ETHUSDT"]

REUSED: Final = ("again", "and-again")
"""Client order ids that are used again and again: whose order it was cannot always be told of them."""


class Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag=True):
    """What somebody in the program does, in a task of its own.

    Attributes:
        patience: seconds after which that task is cancelled; None for never.
        ticks: turns of trio's scheduler after that until it is, so that it may be at any of its checkpoints.
    """

    patience: float | None = None
    ticks: int = 0


class CallAct(Act, frozen=True, kw_only=True):
    """A call.

    Attributes:
        within: its deadline in seconds; None for the session's.
        asks: whether the program asks at once what became of a call, if that is not known.
        has_own_id: whether the id on the wire is one of the program's choice.
    """

    within: float | None = None
    asks: bool = False
    has_own_id: bool = False

    def request(self, orders: Sequence[SandboxOrder], window: str) -> Request[Any] | None:
        """What is sent; None if there is nothing that it could be about.

        Args:
            orders: every order that there has been.
            window: for ``recv_window``, in milliseconds, by which the exchange's side is told which call it is.
        """
        raise NotImplementedError


class Place(CallAct, frozen=True, kw_only=True):
    """Place an order.

    Attributes:
        client_order_id: one that is used again and again; None lets the session make one.
        shape: of the answer; None for the exchange's choice.
    """

    symbol: SYMBOL = "BTCUSDT"
    side: Literal["BUY", "SELL"] = "BUY"
    type: Literal["LIMIT", "LIMIT_MAKER", "MARKET"] = "LIMIT"
    price: int = 90
    quantity: int = 1
    client_order_id: str | None = None
    shape: Literal["ACK", "RESULT", "FULL"] | None = None

    def request(self, orders: Sequence[SandboxOrder], window: str) -> OrderPlace:
        """See `CallAct.request`."""
        # A MARKET order must not have a price, and only a LIMIT order has a time in force.
        limits: dict[str, Any] = {} if self.type == "MARKET" else {"price": self.price}
        if self.type == "LIMIT":
            limits["time_in_force"] = "GTC"
        return OrderPlace(
            symbol=self.symbol,
            side=self.side,
            type=self.type,
            quantity=self.quantity,
            new_client_order_id=self.client_order_id,
            new_order_resp_type=self.shape,
            recv_window=window,
            **limits,
        )


class PlaceList(CallAct, frozen=True, kw_only=True):
    """Place two orders of which one cancels the other."""

    symbol: SYMBOL = "BTCUSDT"

    def request(self, orders: Sequence[SandboxOrder], window: str) -> OrderListPlaceOco:
        """See `CallAct.request`."""
        return OrderListPlaceOco(
            symbol=self.symbol,
            side="SELL",
            quantity=1,
            above_type="LIMIT_MAKER",
            above_price=130,
            below_type="STOP_LOSS",
            below_stop_price=60,
            recv_window=window,
        )


class PlacePair(CallAct, frozen=True, kw_only=True):
    """Place a buy, and a sell of what it brings.

    Attributes:
        price: of the buy.
        quantity: of the buy.
        end: what becomes of the buy if it does not trade at once.
        sell_price: of the sell.
    """

    symbol: SYMBOL = "BTCUSDT"
    price: int = 90
    quantity: int = 1
    end: Literal["GTC", "IOC", "FOK"] = "GTC"
    sell_price: int = 120

    def request(self, orders: Sequence[SandboxOrder], window: str) -> OrderListPlaceOpo:
        """See `CallAct.request`."""
        return OrderListPlaceOpo(
            symbol=self.symbol,
            working_type="LIMIT",
            working_side="BUY",
            working_time_in_force=self.end,
            working_price=self.price,
            working_quantity=self.quantity,
            pending_type="LIMIT",
            pending_side="SELL",
            pending_time_in_force="GTC",
            pending_price=self.sell_price,
            recv_window=window,
        )


class AboutOrder(CallAct, frozen=True, kw_only=True):
    """A call about an order.

    Attributes:
        which: of all orders, counted from the latest one and around.
        by_name: whether it is named by its client order id.
    """

    which: int = 0
    by_name: bool = False

    def request(self, orders: Sequence[SandboxOrder], window: str) -> Request[Any] | None:
        """See `CallAct.request`."""
        if not orders:
            return None
        # Modulo, so that a plan fits however many orders its world comes to have.
        return self._about(orders[-1 - self.which % len(orders)], window)

    def _about(self, order: SandboxOrder, window: str) -> Request[Any]:
        raise NotImplementedError

    def _named(self, order: SandboxOrder, number: str, name: str) -> dict[str, Any]:
        return {name: order.client_order_id} if self.by_name else {number: order.order_id}


class Cancel(AboutOrder, frozen=True, kw_only=True):
    """Cancel it."""

    def _about(self, order: SandboxOrder, window: str) -> OrderCancel:
        named = self._named(order, "order_id", "orig_client_order_id")
        return OrderCancel(symbol=order.symbol, recv_window=window, **named)


class Amend(AboutOrder, frozen=True, kw_only=True):
    """Reduce its quantity.

    Attributes:
        quantity: which is left.
    """

    quantity: int = 1

    def _about(self, order: SandboxOrder, window: str) -> OrderAmendKeepPriority:
        named = self._named(order, "order_id", "orig_client_order_id")
        return OrderAmendKeepPriority(symbol=order.symbol, new_qty=self.quantity, recv_window=window, **named)


class Replace(AboutOrder, frozen=True, kw_only=True):
    """Cancel it, and place another one.

    Attributes:
        price: of the new one.
        mode: whether it is placed if the old one cannot be canceled.
    """

    price: int = 90
    mode: Literal["STOP_ON_FAILURE", "ALLOW_FAILURE"] = "STOP_ON_FAILURE"

    def _about(self, order: SandboxOrder, window: str) -> OrderCancelReplace:
        named = self._named(order, "cancel_order_id", "cancel_orig_client_order_id")
        return OrderCancelReplace(
            symbol=order.symbol,
            side="BUY",
            type="LIMIT",
            time_in_force="GTC",
            price=self.price,
            quantity=1,
            cancel_replace_mode=self.mode,
            recv_window=window,
            **named,
        )


class CancelAll(CallAct, frozen=True, kw_only=True):
    """Cancel all open orders of a symbol."""

    symbol: SYMBOL = "BTCUSDT"

    def request(self, orders: Sequence[SandboxOrder], window: str) -> OpenOrdersCancelAll:
        """See `CallAct.request`."""
        return OpenOrdersCancelAll(symbol=self.symbol, recv_window=window)


class AskOrder(AboutOrder, frozen=True, kw_only=True):
    """Ask how it stands."""

    def _about(self, order: SandboxOrder, window: str) -> OrderStatus:
        named = self._named(order, "order_id", "orig_client_order_id")
        return OrderStatus(symbol=order.symbol, recv_window=window, **named)


class Ask(CallAct, frozen=True, kw_only=True):
    """Ask for something else.

    Attributes:
        what: the method.
    """

    what: Literal["ping", "depth", "account.status", "openOrders.status", "allOrders", "myTrades"] = "ping"
    symbol: SYMBOL = "BTCUSDT"

    def request(self, orders: Sequence[SandboxOrder], window: str) -> Request[Any]:
        """See `CallAct.request`."""
        requests: dict[str, Request[Any]] = {
            "ping": Ping(),
            "depth": Depth(symbol=self.symbol, limit=5),
            "account.status": AccountStatus(recv_window=window),
            "openOrders.status": OpenOrdersStatus(recv_window=window),
            "allOrders": AllOrders(symbol=self.symbol, recv_window=window),
            "myTrades": MyTrades(symbol=self.symbol, recv_window=window),
        }
        return requests[self.what]


class Confirm(Act, frozen=True, kw_only=True):
    """Find out what became of a call of unknown outcome: the oldest one that nobody has asked about yet."""


class Rotate(Act, frozen=True, kw_only=True):
    """Move to a fresh connection."""


class Listen(Act, frozen=True, kw_only=True):
    """Another one listens to the account's events, and stops.

    Attributes:
        seconds: for which it listens.
        buffer: how many events may wait to be read.
        is_slow: whether it reads nothing until it stops.
    """

    seconds: float = 10.0
    buffer: int = 10_000
    is_slow: bool = False


class Reopen(Act, frozen=True, kw_only=True):
    """Close the session while everything goes on, and open another one."""


class ByAccount(Act, frozen=True, kw_only=True):
    """Place something through the account that the session follows.

    Attributes:
        placing: what. Through an account, the deadline is the session's, and so is the id on the wire.
    """

    placing: Place | PlaceList | PlacePair


class WithHandle(Act, frozen=True, kw_only=True):
    """Do something with what was placed through the account.

    Attributes:
        which: of the handles, counted from the latest one and around.
        what: to do, or to wait for.
        quantity: to which it is amended.
    """

    which: int = 0
    what: Literal["cancel", "amend", "closed", "fills"] = "closed"
    quantity: int = 1


AnyAct: TypeAlias = (
    Place
    | PlaceList
    | PlacePair
    | Cancel
    | Amend
    | Replace
    | CancelAll
    | AskOrder
    | Ask
    | Confirm
    | Rotate
    | Listen
    | Reopen
    | ByAccount
    | WithHandle
)


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens, and how long it takes until it does.

    Attributes:
        pause: seconds after the step before.
        act: what happens.
    """

    pause: float
    act: AnyAct | AnyBlow


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On which terms exchange and session meet. Durations are seconds.

    Attributes:
        query_lag: see `open_sandbox`.
        ping_interval: see `open_sandbox`.
        lifetime: of a connection, for both.
        limits: see `open_sandbox`.
        link: what lies between them at first.
        walk: seconds from one trade of a market to the next, on average; None for no market.
        key: the type of the key.
        time_unit: see `open_session`.
        request_timeout: see `open_session`.
        connect_timeout: see `open_session`.
        drain_timeout: see `open_session`.
        window: milliseconds for which a signed call is valid.
        has_account: whether each session follows its account.
        attention: seconds for which the program listens to the account's events, before it stops for a moment and
            begins again; None for always.
    """

    query_lag: float = 0.0
    ping_interval: float = 20.0
    lifetime: float = 86_400.0
    limits: Limits = Limits()
    link: Link = Link()
    walk: float | None = None
    key: Literal["ed25519", "hmac", "rsa"] = "ed25519"
    time_unit: TimeUnit = "ms"
    request_timeout: float = 15.0
    connect_timeout: float = 10.0
    drain_timeout: float = 15.0
    window: int = 5000
    has_account: bool = False
    attention: float | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A world.

    Attributes:
        seed: of everything that is left to chance: the order of tasks, ids, pauses, the market.
        terms: on which exchange and session meet.
        steps: what happens.
        is_calm: whether nothing happens that may cost a call or an event (G5).
    """

    seed: int = 0
    terms: Terms = Terms()
    steps: tuple[Step, ...] = ()
    is_calm: bool = False

    def to_json(self) -> str:
        """To be kept."""
        return msgspec.json.encode(self).decode()


def read_plan(text: str | bytes) -> Plan:
    """A plan that was kept.

    Raises:
        msgspec.ValidationError: it is none.
    """
    return msgspec.json.decode(text, type=Plan)
