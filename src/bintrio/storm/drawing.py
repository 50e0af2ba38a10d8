"""Plans drawn by dice: by a seed, or by a library that makes what it found smaller."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, TypeVar

from ..sandbox import ErrorReply, LateReply, Limits, ServerError, Timeout, TooManyRequests
from ..sandbox.server.faults import AnyFault
from ..sandbox.weather import AnyBlow, Cut, Deposit, Dice, Fail, draw_blow, draw_link, draw_mild, draw_revoke
from .plan import (
    REUSED,
    SYMBOLS,
    Amend,
    AnyAct,
    Ask,
    AskOrder,
    ByAccount,
    Cancel,
    CancelAll,
    Confirm,
    Listen,
    Place,
    PlaceList,
    PlacePair,
    Plan,
    Reopen,
    Replace,
    Rotate,
    Step,
    Terms,
    WithHandle,
)

T = TypeVar("T")

# What stands here several times is drawn as much more often.
PAUSES: Final = (0.0, 0.0, 0.0005, 0.05, 0.3, 1.0, 1.0, 3.0, 7.0, 19.0)
PATIENCE: Final = (None, None, None, None, 0.0, 0.0005, 0.5, 5.0)
WAITING: Final = (0.0, 0.0005, 0.5, 5.0, 60.0, 60.0, 60.0)
"""Seconds for which somebody waits for an order: some never end."""

TICKS: Final = (0, 1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25)
"""Turns of the scheduler: in memory and without latency, a call has its answer after some ten."""

WITHIN: Final = (None, None, None, None, None, None, 0.2, 0.7, 1.2, 2.0, 2.9)
"""Seconds for a call, many different ones: so that what a call waits for may come shortly before its deadline."""

SMALL: Final = 120
"""Steps of a small world, which takes some six minutes."""

LONG: Final = 1_400
"""Steps of a world of an hour or more."""

LONG_EVERY: Final = 50
"""Of so many seeds one gives a long world."""

MOVES_EVERY: Final = 3
"""Of so many worlds in which something may be lost one has a move as in `draw_move`."""

CALM_EVERY: Final = 5
"""Of so many seeds one gives a world in which nothing must be lost."""


FEW: Final = 6
"""Of so many options or more, a narrow world has a third."""


class Narrow:
    """Dice of a narrow world, which gives only some of the options, the same ones throughout.

    What is rare by itself is rarer together: late events while a connection is replaced, say. Where everything is drawn
    that there is, no world has much of any two ("swarm testing", Groce et al., ISSTA 2012).

    Args:
        dice: by which it is decided, which ones those are, too.
    """

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._kept: dict[tuple[int, ...], Any] = {}

    def choice(self, options: Sequence[T], /) -> T:
        """One of several."""
        # A third of few is one, or none at all.
        if len(options) < FEW:
            return self._dice.choice(options)
        # By identity: some of them are functions and records, and all of them are constants.
        key = tuple(map(id, options))
        if key not in self._kept:
            self._kept[key] = [self._dice.choice(options) for _ in range(len(options) // 3)]
        kept: list[T] = self._kept[key]
        return self._dice.choice(kept)

    def randint(self, lowest: int, highest: int, /) -> int:
        """A number, both ends included."""
        return self._dice.randint(lowest, highest)


def draw_plan(seed: int) -> Plan:
    """The world of a seed: every other one is narrow."""
    # With a word in it, so that a seed is not also that of the exchange's weather.
    chance = random.Random(f"world {seed}")
    dice: Dice = Narrow(chance) if seed % 2 == 0 else chance
    is_calm = seed % CALM_EVERY == 0
    count = LONG if seed % LONG_EVERY == LONG_EVERY - 1 else SMALL
    # First, since whether there is an account decides what can be done.
    terms = draw_terms(dice)
    steps = [draw_step(dice, is_calm, terms.has_account) for _ in range(count)]
    if not is_calm and dice.randint(1, MOVES_EVERY) == 1:
        position = dice.randint(0, count)
        steps[position:position] = draw_move(dice)
    # Elsewhere hardly anybody stops listening, and few faults strike just that.
    if not is_calm and terms.attention is not None:
        steps.insert(dice.randint(0, count), Step(dice.choice(PAUSES), Fail(fault=dice.choice(_NOT_STOPPED))))
    return Plan(seed=seed, terms=terms, steps=tuple(steps), is_calm=is_calm)


def draw_terms(dice: Dice) -> Terms:
    """On which terms exchange and session meet. Durations differ: a fault can hide behind two that are equal."""
    return Terms(
        query_lag=dice.choice((0.0, 0.0, 0.7, 1.9)),
        ping_interval=dice.choice((20.0, 7.0)),
        lifetime=dice.choice((86_400.0, 600.0, 240.0)),
        limits=dice.choice((Limits(), Limits(), Limits(weight=900, orders_per_10_seconds=12))),
        link=draw_link(dice),
        walk=dice.choice((None, None, None, 10.0)),
        key=dice.choice(("ed25519", "ed25519", "hmac", "rsa")),
        time_unit=dice.choice(("ms", "us")),
        request_timeout=dice.choice((15.0, 4.0, 11.0)),
        connect_timeout=dice.choice((10.0, 3.0)),
        drain_timeout=dice.choice((15.0, 1.5)),
        window=dice.choice((5000, 1000, 30_000)),
        has_account=dice.choice((False, True)),
        attention=dice.choice((None, None, None, 20.0)),
    )


def draw_step(dice: Dice, is_calm: bool = False, has_account: bool = False) -> Step:
    """Three of four are of the program; half of those are done through its account, if it has one."""
    draw: Callable[[Dice], AnyAct | AnyBlow] = _draw_act
    if has_account and dice.randint(0, 1) == 0:
        draw = _draw_by_account
    if dice.randint(0, 3) == 0:
        draw = draw_mild if is_calm else _draw_blow
    return Step(dice.choice(PAUSES), draw(dice))


def draw_move(dice: Dice) -> Sequence[Step]:
    """The exchange says to wait while a session moves to another connection, and cuts off both in the end.

    What the old one is to be told has to wait, so both bring the events for a while. By single steps that is hardly
    ever drawn.
    """
    return [
        Step(dice.choice(PAUSES), Fail(fault=LateReply(method=dice.choice(_ON_THE_NEW_ONE), seconds=3.0))),
        Step(0.0, Rotate()),
        Step(dice.choice((0.0, 0.5, 1.0)), Fail(fault=TooManyRequests(method="ping", retry_after=30.0))),
        Step(0.5, Ask(what="ping")),
        *(Step(dice.choice((1.0, 3.0)), draw_mild(dice)) for _ in range(3)),
        Step(dice.choice((1.0, 3.0)), Deposit(asset="BTC", amount=Decimal(1))),
        Step(dice.choice((0.0, 3.0)), Cut()),
    ]


# The exchange does not do it, so the events go on.
_NOT_STOPPED: Final[Sequence[AnyFault]] = (
    ServerError(method="userDataStream.unsubscribe", executed=False),
    Timeout(method="userDataStream.unsubscribe", executed=False),
    ErrorReply(method="userDataStream.unsubscribe", code=-9999),
)

_ON_THE_NEW_ONE: Final = (
    *("userDataStream.subscribe", "userDataStream.subscribe", "userDataStream.subscribe.signature", "session.logon"),
)


def _draw_blow(dice: Dice) -> AnyBlow:
    return (draw_revoke if dice.randint(1, 25) == 1 else draw_blow)(dice)


def _draw_act(dice: Dice) -> AnyAct:
    return (_reopen if dice.randint(0, 79) == 0 else dice.choice(_ACTS))(dice)


def _of_act(dice: Dice, patience: Sequence[float | None] = PATIENCE) -> dict[str, Any]:
    """When who does something is cancelled: after a time, and then at any of the checkpoints."""
    return {"patience": dice.choice(patience), "ticks": dice.choice(TICKS)}


def _of_call(dice: Dice) -> dict[str, Any]:
    """What all calls have, drawn first and in this order: a seed is to give the same world."""
    return {**_of_act(dice), "asks": dice.choice((False, True)), "within": dice.choice(WITHIN)}


def draw_place(dice: Dice) -> Place:
    """An order."""
    # Buys from 90 and sells from 110 rest in the book; buys from 105 and sells from 95 trade with each other.
    price = dice.choice((90, 105, 95, 110))
    side: Literal["BUY", "SELL"] = "BUY" if price in {90, 105} else "SELL"
    return Place(
        **_of_call(dice),
        has_own_id=dice.choice((False, True)),
        symbol=dice.choice(SYMBOLS),
        side=side,
        type=dice.choice(("LIMIT", "LIMIT", "LIMIT", "LIMIT_MAKER", "MARKET")),
        price=price + dice.randint(0, 4),
        quantity=dice.randint(1, 4),
        client_order_id=dice.choice((None, None, None, *REUSED)),
        shape=dice.choice((None, "ACK", "RESULT", "FULL")),
    )


def _place_list(dice: Dice) -> PlaceList:
    return PlaceList(**_of_call(dice), symbol=dice.choice(SYMBOLS))


def _place_pair(dice: Dice) -> PlacePair:
    return PlacePair(
        symbol=dice.choice(SYMBOLS),
        price=dice.choice((90, 105)),
        quantity=dice.randint(1, 4),
        end=dice.choice(("GTC", "IOC", "FOK")),
        sell_price=dice.choice((95, 120)),
    )


def _draw_by_account(dice: Dice) -> ByAccount | WithHandle:
    if dice.choice((False, True)):
        return ByAccount(**_of_act(dice), placing=dice.choice(_PLACINGS)(dice))
    return WithHandle(
        **_of_act(dice, WAITING),
        which=dice.randint(0, 9),
        what=dice.choice(("cancel", "cancel", "amend", "closed", "closed", "fills")),
        quantity=dice.randint(1, 3),
    )


def _cancel(dice: Dice) -> Cancel:
    return Cancel(
        **_of_call(dice),
        which=dice.randint(0, 9),
        by_name=dice.choice((False, True)),
    )


def _amend(dice: Dice) -> Amend:
    return Amend(
        **_of_call(dice),
        which=dice.randint(0, 9),
        quantity=dice.randint(1, 3),
    )


def _replace(dice: Dice) -> Replace:
    return Replace(
        **_of_call(dice),
        which=dice.randint(0, 9),
        price=dice.randint(85, 94),
        mode=dice.choice(("STOP_ON_FAILURE", "ALLOW_FAILURE")),
    )


def _cancel_all(dice: Dice) -> CancelAll:
    return CancelAll(**_of_act(dice), symbol=dice.choice(SYMBOLS))


def _ask_order(dice: Dice) -> AskOrder:
    return AskOrder(**_of_act(dice), which=dice.randint(0, 9), has_own_id=dice.choice((False, True)))


def _ask(dice: Dice) -> Ask:
    return Ask(
        **_of_call(dice),
        what=dice.choice(("ping", "depth", "account.status", "openOrders.status", "allOrders", "myTrades")),
        symbol=dice.choice(SYMBOLS),
    )


def _confirm(dice: Dice) -> Confirm:
    return Confirm(**_of_act(dice))


def _rotate(dice: Dice) -> Rotate:
    return Rotate(**_of_act(dice))


def _listen(dice: Dice) -> Listen:
    return Listen(
        **_of_act(dice),
        seconds=dice.choice((0.0, 1.0, 30.0)),
        buffer=dice.choice((1, 10_000)),
        is_slow=dice.choice((False, True)),
    )


def _reopen(dice: Dice) -> Reopen:
    return Reopen()


_PLACINGS: Final[Sequence[Callable[[Dice], Place | PlaceList | PlacePair]]] = (
    *(draw_place, draw_place, draw_place, draw_place, _place_list, _place_pair),
)

# What a program does most comes most often.
_ACTS: Final[Sequence[Callable[[Dice], AnyAct]]] = (
    *(draw_place, draw_place, draw_place, draw_place, draw_place, draw_place),
    *(_place_list, _cancel, _cancel, _cancel, _amend, _replace, _cancel_all),
    *(_ask_order, _ask, _ask, _confirm, _rotate, _listen),
)
