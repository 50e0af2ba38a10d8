"""What the exchange and the network do to those who trade: blows as data, drawn by dice, that strike a sandbox.

A storm strikes one after the other (`open_sandbox(storm=...)`). Each blow is a record that a file can hold, so what
failed once can be kept and played again. Blows are drawn by `Dice`: by a seed's, or by those of a library that makes a
failure smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Final, Protocol, TypeAlias, TypeVar, get_args

import msgspec

from bintrio._protocol.exact import in_exact
from bintrio.api.events import BalanceUpdate, ExecutionReport, ExternalLockUpdate, ListStatus, OutboundAccountPosition
from bintrio.errors import InvalidRequest

from .exchange.refusals import Refusal
from .running import Sandbox
from .server import faults
from .server.faults import AnyFault, OfRequest
from .server.links import IDEAL, Link, Way

T = TypeVar("T")


class Dice(Protocol):
    """What draws; `random.Random` does."""

    def choice(self, options: Sequence[T], /) -> T:
        """One of several."""
        ...

    def randint(self, lowest: int, highest: int, /) -> int:
        """A number, both ends included."""
        ...


class Blow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="act", tag=True):
    """Something that happens to those who trade."""

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        raise NotImplementedError


class Fail(Blow, frozen=True, kw_only=True):
    """Something goes wrong with the next request that fits, or with each connection.

    Attributes:
        fault: what.
    """

    fault: AnyFault

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        sandbox.inject(self.fault)


class Noise(Blow, frozen=True, kw_only=True):
    """Bytes come instead of an answer.

    Attributes:
        method: of the request; None for any.
        data: the bytes, in hexadecimal digits.
        is_raw: whether without a frame around them.
    """

    method: str | None = None
    data: str
    is_raw: bool = False

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        sandbox.inject(faults.Garbage(method=self.method, data=bytes.fromhex(self.data), is_raw=self.is_raw))


class Cut(Blow, frozen=True):
    """Every connection is cut, without a word."""

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        sandbox.disconnect()


class ShutDown(Blow, frozen=True, kw_only=True):
    """The exchange announces its shutdown, and ends every connection then.

    Attributes:
        after: seconds.
    """

    after: float

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        sandbox.announce_shutdown(self.after)


class Jump(Blow, frozen=True, kw_only=True):
    """The exchange's clock is moved forward or back.

    Attributes:
        seconds: forward; back if it is negative.
    """

    seconds: float

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        # Two ways, since a time that went back would put what happened into another order.
        if self.seconds < 0:
            sandbox.set_back(-self.seconds)
        else:
            sandbox.advance(self.seconds)


class EndEvents(Blow, frozen=True):
    """The exchange ends every subscription to the account's events."""

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        sandbox.end_events()


class Revoke(Blow, frozen=True, kw_only=True):
    """No key is accepted for some time, as when its owner allows it no more, or from other addresses only.

    Attributes:
        lasts: seconds after which they are accepted again.
    """

    lasts: float

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        for account in sandbox.accounts:
            # All of them: which key a client uses is its own affair.
            for credential in account.credentials():
                sandbox.revoke(credential.api_key, lasts=self.lasts)


class Lag(Blow, frozen=True, kw_only=True):
    """Queries are behind the matching engine from now on.

    Attributes:
        seconds: by so much.
    """

    seconds: float

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        sandbox.query_lag = self.seconds


class Fill(Blow, frozen=True, kw_only=True):
    """Somebody trades with an order on the book, whole or in part; nothing happens if there is none.

    Attributes:
        which: of the orders on the book, counted around.
        parts: into so many equal parts the rest of it is taken to fall, of which one is traded.
    """

    which: int
    parts: int = 1

    @in_exact
    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        resting = [order for order in sandbox.open_orders if order.place == "book"]
        if not resting:
            return
        # Modulo, so that it fits however many orders there are.
        order = resting[self.which % len(resting)]
        # Other orders of clients may stand before it, or a filter forbid so small a trade.
        with suppress(Refusal, InvalidRequest):
            sandbox.fill(order, round(order.remaining / self.parts, 4))


class Deposit(Blow, frozen=True, kw_only=True):
    """There is more of an asset.

    Attributes:
        asset: of which.
        amount: how much more.
    """

    asset: str
    amount: Decimal

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        sandbox.deposit(self.asset, self.amount)


class ExternalLock(Blow, frozen=True, kw_only=True):
    """Another system of the exchange locks a part of an asset, or releases it.

    Attributes:
        asset: of which.
        amount: how much; below 0, it is released.
    """

    asset: str
    amount: Decimal

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        # So much may not be free, or not have been locked before.
        with suppress(Refusal):
            sandbox.lock_externally(self.asset, self.amount)


class Relink(Blow, frozen=True, kw_only=True):
    """The network is another one from now on.

    Attributes:
        link: what lies between.
    """

    link: Link

    def strike(self, sandbox: Sandbox) -> None:
        """Do it."""
        sandbox.link = self.link


AnyBlow: TypeAlias = (
    Fail | Noise | Cut | EndEvents | ShutDown | Jump | Revoke | Lag | Fill | Deposit | ExternalLock | Relink
)

METHODS: Final = (
    *("order.place", "order.place", "order.cancel", "order.cancelReplace", "order.amend.keepPriority"),
    *("orderList.place.oco", "openOrders.cancelAll", "order.status", "allOrders", "account.status"),
    *("userDataStream.subscribe", "userDataStream.subscribe.signature"),
    *("userDataStream.unsubscribe", "userDataStream.unsubscribe"),
    *("session.logon", "time", "exchangeInfo", None, None),
)
"""What faults wait for; None stands for any."""

_SECONDS: Final = (0.001, 0.1, 1.0, 3.0, 20.0)
# Seconds that a refusal says to wait; it may say nothing, or a time that is over, even one in 1972.
_UNTIL: Final = (1.0, 5.0, 30.0, 90.0, 0.0004, 0.0, -5.0, -1.7e9, None)

# Results that no request has. One that is of the right shape, and not true, nobody could tell from the truth.
_WRONG: Final = ("null", "7", "[[]]", '{"odd":true}')

_GARBAGE: Final = ("{", "[]", '{"status":200,"result":{}}', '{"event":{"e":"executionReport"}}', "\u2028")

_OF_REQUESTS: Final[Sequence[Callable[[Dice, str | None], OfRequest]]] = (
    lambda dice, method: faults.DropReply(method=method),
    lambda dice, method: faults.Disconnect(method=method, executed=dice.choice((False, True))),
    lambda dice, method: faults.CutReplyAt(method=method, position=dice.randint(0, 400)),
    lambda dice, method: faults.Delay(method=method, seconds=dice.choice(_SECONDS)),
    lambda dice, method: faults.LateReply(method=method, seconds=dice.choice(_SECONDS)),
    lambda dice, method: faults.EventsFirst(method=method),
    lambda dice, method: faults.DuplicateReply(method=method),
    lambda dice, method: faults.Reorder(method=method, count=dice.randint(2, 4)),
    lambda dice, method: faults.NullIdReply(method=method),
    lambda dice, method: faults.UnknownIdReply(method=method),
    lambda dice, method: faults.WrongReply(method=method, result=dice.choice(_WRONG)),
    lambda dice, method: faults.Garbage(method=method, data=dice.choice(_GARBAGE)),
    lambda dice, method: faults.ServerError(
        method=method, executed=dice.choice((False, True)), status=dice.choice((500, 502, 503, 504))
    ),
    lambda dice, method: faults.Timeout(method=method, executed=dice.choice((False, True))),
    lambda dice, method: faults.ErrorReply(method=method, code=dice.choice((-1021, -2035, -1013, -2011, -9999))),
    lambda dice, method: faults.TooManyRequests(method=method, retry_after=dice.choice(_UNTIL)),
    lambda dice, method: faults.IpBan(method=method, retry_after=dice.choice(_UNTIL), lasts=5.0),
    lambda dice, method: faults.HalfOpen(method=method),
    lambda dice, method: faults.Pings(method=method, count=dice.choice((1, 3, 20))),
    lambda dice, method: faults.Farewell(method=method, pings=dice.randint(0, 2)),
)

_OF_CONNECTIONS: Final[Sequence[Callable[[Dice, str | None], AnyFault]]] = (
    lambda dice, method: faults.LateEvents(seconds=dice.choice(_SECONDS), is_for_next=dice.choice((False, True))),
    lambda dice, method: faults.RefuseConnection(times=dice.randint(1, 3)),
    lambda dice, method: faults.SlowHandshake(seconds=dice.choice(_SECONDS)),
    lambda dice, method: faults.MutePings(is_for_next=dice.choice((False, True))),
    lambda dice, method: faults.HalfOpen(is_for_next=dice.choice((False, True))),
    lambda dice, method: faults.HandshakeStatus(
        status=dice.choice((429, 418)), retry_after=dice.choice((1, 17, 60, 0, None))
    ),
    lambda dice, method: faults.HandshakeStatus(status=dice.choice((403, 500, 503))),
)


def _names_in(record: type[msgspec.Struct]) -> Iterator[str]:
    """The names in JSON of the fields of an event, and of what it has several of."""
    for field in msgspec.structs.fields(record):
        if field.name != "unknown_fields":
            yield field.encode_name
        for part in get_args(field.type):
            yield from _names_in(part) if isinstance(part, type) and issubclass(part, msgspec.Struct) else ()


_EVENTS: Final = {
    str(record.__struct_config__.tag): tuple(dict.fromkeys(_names_in(record)))
    for record in (ExecutionReport, OutboundAccountPosition, BalanceUpdate, ExternalLockUpdate, ListStatus)
}
"""The types of events of accounts, with the names of their fields."""

# Most fields are in the report of an order.
_TYPES: Final = ("executionReport", "executionReport", "executionReport", *_EVENTS)

_ODD: Final = (None, None, None, '{"odd":true}', "[[7]]", "null")
"""What stands in a field instead: nothing at all, or what no field can be, or what some can be and others cannot."""


def _draw_odd_events(dice: Dice, method: str | None) -> AnyFault:
    event = dice.choice(_TYPES)
    lasts = dice.choice((None, 7.0, 90.0, 7200.0))
    return faults.OddEvents(
        event=event,
        field=dice.choice(_EVENTS[event]),
        value=dice.choice(_ODD),
        lasts=lasts,
        times=1 if lasts is None else None,
    )


def _draw_together(dice: Dice, method: str | None) -> AnyFault:
    # They wait for no request of their own: see `Together`.
    struck = tuple(dice.choice(_OF_REQUESTS)(dice, None) for _ in range(dice.randint(2, 3)))
    return faults.Together(method=method, faults=struck)


_FAULTS: Final = (*_OF_REQUESTS, *_OF_CONNECTIONS, *(_draw_odd_events,) * 2, *(_draw_together,) * 3)


def draw_fault(dice: Dice) -> AnyFault:
    """One of all faults, or some of them together."""
    return dice.choice(_FAULTS)(dice, dice.choice(METHODS))


# What a client must not even notice.
_MILD: Final[Sequence[Callable[[Dice], AnyBlow]]] = (
    lambda dice: Fill(which=dice.randint(0, 9), parts=dice.randint(1, 3)),
    lambda dice: Fill(which=dice.randint(0, 9)),
    lambda dice: Deposit(asset=dice.choice(("BTC", "ETH", "USDT")), amount=Decimal(dice.randint(1, 9))),
    lambda dice: ExternalLock(
        asset=dice.choice(("BTC", "ETH", "USDT")), amount=Decimal(dice.choice((-3, -1, 1, 2, 4)))
    ),
    # Time enough to move to another connection: after several of these a session waits up to half a minute before.
    lambda dice: ShutDown(after=dice.choice((60.0, 600.0))),
    lambda dice: Lag(seconds=dice.choice((0.0, 0.5, 1.9))),
    lambda dice: Relink(link=draw_link(dice)),
)

_HARD: Final[Sequence[Callable[[Dice], AnyBlow]]] = (
    lambda dice: Cut(),
    lambda dice: EndEvents(),
    lambda dice: Relink(link=_draw_broken(dice)),
    lambda dice: Noise(method=dice.choice(METHODS), data="fffefd", is_raw=dice.choice((False, True))),
    # So soon that calls may be cut off.
    lambda dice: ShutDown(after=dice.choice((0.0, 0.1, 2.0))),
    lambda dice: Jump(seconds=dice.choice((0.3, 5.0, 90.0, 3600.0, -0.4, -20.0))),
)


# One byte at a time costs a world as much as three others, so it is drawn least; ragged reads divide the same things.
_SEGMENTS: Final[Sequence[Mapping[str, int]]] = (
    *({},) * 120,
    *({"ragged": 60},) * 5,
    *({"segment": 100},) * 2,
    {"segment": 1},
)


def draw_link(dice: Dice) -> Link:
    """A network that loses nothing: as fast as memory, or like those that there are."""
    return _draw_usual(dice) if dice.choice((False, True)) else IDEAL


def _draw_usual(dice: Dice) -> Link:
    return Link(up=_draw_way(dice), down=_draw_way(dice), seed=dice.randint(0, 9))


def _draw_way(dice: Dice) -> Way:
    return Way(
        latency=dice.choice((0.0, 0.0004, 0.03, 0.2)),
        jitter=dice.choice((0.0, 0.01)),
        bandwidth=dice.choice((None, None, None, 50_000.0)),
        **dice.choice(_SEGMENTS),
    )


def _draw_broken(dice: Dice) -> Link:
    # Within the first messages after a handshake, where there is most to lose.
    position = dice.randint(0, 3_000)
    broken = dice.choice((Way(cut_at=position), Way(silent_at=position)))
    return dice.choice((Link(up=broken), Link(down=broken)))


def _draw_refused_logon(dice: Dice) -> Fail:
    # The connection is there, and the key is refused on it.
    code, times = dice.choice((-2015, -1022)), dice.randint(1, 2)
    return Fail(fault=faults.ErrorReply(method="session.logon", code=code, times=times))


def draw_revoke(dice: Dice) -> AnyBlow:
    """The loss of all keys, for a while, or a logon that is refused. `draw_blow` gives none: a bot without a key has to
    end.
    """
    if dice.randint(1, 3) == 1:
        return _draw_refused_logon(dice)
    return Revoke(lasts=dice.choice((0.5, 7.0, 60.0)))


def draw_mild(dice: Dice) -> AnyBlow:
    """A blow that costs nobody a call or an event."""
    return dice.choice(_MILD)(dice)


def draw_blow(dice: Dice) -> AnyBlow:
    """Any blow: two of three are such that something may be lost."""
    return dice.choice((draw_mild, _draw_hard, _draw_hard))(dice)


def _draw_hard(dice: Dice) -> AnyBlow:
    # Most that can go wrong is a fault of one request.
    return dice.choice(_HARD)(dice) if dice.randint(0, 3) == 0 else Fail(fault=draw_fault(dice))
