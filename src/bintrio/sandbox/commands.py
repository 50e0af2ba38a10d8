"""What a running sandbox is told by programs that do not run in this process, and by its page.

A command is a record, which is read as strictly as a world's file, and a public method of `Sandbox` that does it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from bintrio.api.enums import Side
from bintrio.errors import InvalidRequest

from .exchange.reference import MeanOfTrades
from .running import Sandbox
from .server.faults import AnyFault
from .server.links import Link
from .views import Nothing, balances, of_order
from .world import WorldAccount, WorldPart, WorldQuote


class Quote(WorldQuote, frozen=True, kw_only=True):
    """A market maker's orders on both sides, instead of its earlier ones."""

    symbol: str


class Trade(WorldPart, frozen=True, kw_only=True):
    """A limit order of the market maker, which trades with what is on the book.

    Attributes:
        quantity: of the base asset.
    """

    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal


class BlockTrade(Trade, frozen=True, kw_only=True):
    """A trade of two others outside the book.

    Attributes:
        side: the taker's.
    """


class ReferencePrice(WorldPart, frozen=True, kw_only=True):
    """What execution rules measure prices by.

    Attributes:
        price: null, if there is none just now; or a [mean of trades](#mean-of-trades).
    """

    symbol: str
    price: Decimal | MeanOfTrades | None


class Fill(WorldPart, frozen=True, kw_only=True):
    """A trade of the market maker with an order on the book, at the order's price.

    Attributes:
        order: its order id.
        quantity: of the base asset; all that is left, if it is not given.
    """

    order: int
    quantity: Decimal | None = None


class Deposit(WorldPart, frozen=True, kw_only=True):
    """What is added to an account.

    Attributes:
        amount: below 0, it is withdrawn.
        uid: of the account; the first one, if it is not given.
    """

    asset: str
    amount: Annotated[Decimal, msgspec.Meta(description="of any sign")]
    uid: int | None = None


class ExternalLock(WorldPart, frozen=True, kw_only=True):
    """What another system of the exchange locks of an account.

    Attributes:
        amount: below 0, it is released.
        uid: of the account; the first one, if it is not given.
    """

    asset: str
    amount: Annotated[Decimal, msgspec.Meta(description="of any sign")]
    uid: int | None = None


class Advance(WorldPart, frozen=True, kw_only=True):
    """Sets the exchange's clock forward; pings and what is under way take their time still.

    Attributes:
        seconds: by how much.
    """

    seconds: float


class SetBack(WorldPart, frozen=True, kw_only=True):
    """Sets the exchange's clock back: it stands still until it is later than it was.

    Attributes:
        seconds: by how much.
    """

    seconds: float


class Ending(WorldPart, frozen=True, kw_only=True):
    """The end of every connection, without warning.

    Attributes:
        code: of a close frame; without one, if it is not given.
        reason: in the close frame.
    """

    code: int | None = None
    reason: str = ""


class OfAccount(WorldPart, frozen=True, kw_only=True):
    """An account.

    Attributes:
        uid: its number; the first one, if it is not given.
    """

    uid: int | None = None


class Lag(WorldPart, frozen=True, kw_only=True):
    """How much queries of orders, trades and balances are behind the matching engine.

    Attributes:
        seconds: 0 shows everything at once.
    """

    seconds: float


class Revocation(WorldPart, frozen=True, kw_only=True):
    """An API key that is accepted no more.

    Attributes:
        lasts: seconds after which it is accepted again; never, if it is not given.
    """

    api_key: str
    lasts: float | None = None


class Shutdown(WorldPart, frozen=True, kw_only=True):
    """serverShutdown to every connection, and later its end.

    Attributes:
        after: seconds until then.
    """

    after: float = 10.0


class Command(NamedTuple):
    """What can be told.

    Attributes:
        takes: the record in the body.
        does: gives what is answered.
        words: for the list of commands.
    """

    takes: Any
    does: Callable[[Sandbox, Any], object]
    words: str


def _quote(sandbox: Sandbox, asked: Quote) -> None:
    sandbox.quote(asked.symbol, asked.bid, asked.ask, asked.quantity)


def _trade(sandbox: Sandbox, asked: Trade) -> object:
    return of_order(sandbox.trade(asked.symbol, asked.side, asked.price, asked.quantity))


def _block_trade(sandbox: Sandbox, asked: BlockTrade) -> None:
    sandbox.block_trade(asked.symbol, asked.side, asked.price, asked.quantity)


def _reference_price(sandbox: Sandbox, asked: ReferencePrice) -> None:
    sandbox.set_reference_price(asked.symbol, asked.price)


def _fill(sandbox: Sandbox, asked: Fill) -> object:
    found = [order for order in sandbox.orders if order.order_id == asked.order]  # it may not be kept when it is filled
    sandbox.fill(asked.order, asked.quantity)
    return of_order(found[0])


def _deposit(sandbox: Sandbox, asked: Deposit) -> object:
    sandbox.deposit(asked.asset, asked.amount, uid=asked.uid)
    return balances(sandbox, asked.uid)


def _lock_externally(sandbox: Sandbox, asked: ExternalLock) -> object:
    sandbox.lock_externally(asked.asset, asked.amount, uid=asked.uid)
    return balances(sandbox, asked.uid)


def _advance(sandbox: Sandbox, asked: Advance) -> object:
    sandbox.advance(asked.seconds)
    return {"time": sandbox.now()}


def _lag(sandbox: Sandbox, asked: Lag) -> None:
    sandbox.query_lag = asked.seconds


def _link(sandbox: Sandbox, asked: Link) -> None:
    sandbox.link = asked


def _revoke(sandbox: Sandbox, asked: Revocation) -> None:
    try:
        sandbox.revoke(asked.api_key, lasts=math.inf if asked.lasts is None else asked.lasts)
    # The answer names the field that is wrong, as it does for every command.
    except KeyError:
        raise InvalidRequest("api_key is none of the sandbox's", field="api_key") from None


def _account(sandbox: Sandbox, asked: WorldAccount) -> object:
    account = asked.account()
    sandbox.add_account(account)
    # Not its RSA key: to make one takes so long that others would wait.
    return {
        "uid": account.uid,
        "keys": [
            {"type": "Ed25519", "api_key": account.key.api_key, "pem": account.ed25519_pem().decode()},
            {"type": "HMAC", "api_key": account.hmac_key.api_key, "secret": account.hmac_secret()},
        ],
    }


def _clear_faults(sandbox: Sandbox, _asked: Nothing) -> None:
    sandbox.clear_faults()


def _shut_down(sandbox: Sandbox, asked: Shutdown) -> None:
    sandbox.announce_shutdown(asked.after)


def _set_back(sandbox: Sandbox, asked: SetBack) -> None:
    sandbox.set_back(asked.seconds)


def _disconnect(sandbox: Sandbox, asked: Ending) -> None:
    sandbox.disconnect(asked.code, asked.reason)


def _end_events(sandbox: Sandbox, asked: OfAccount) -> None:
    sandbox.end_events(asked.uid)


COMMANDS: Final[Mapping[str, Command]] = {
    "quote": Command(Quote, _quote, "the market maker buys and sells at other prices"),
    "trade": Command(Trade, _trade, "the market maker places a limit order, which is answered"),
    "fill": Command(Fill, _fill, "the market maker fills an order on the book, which is answered as it stands then"),
    "block-trade": Command(BlockTrade, _block_trade, "two others trade outside the book"),
    "reference-price": Command(ReferencePrice, _reference_price, "execution rules measure prices by another price"),
    "deposit": Command(Deposit, _deposit, "an account has more, or less; its balances are answered"),
    "external-lock": Command(
        ExternalLock, _lock_externally, "another system locks a part of what is free; the balances are answered"
    ),
    "account": Command(
        WorldAccount, _account, "another account, as in a world's file; two keys of its own are answered"
    ),
    "revoke": Command(Revocation, _revoke, "an API key is accepted no more"),
    "fault": Command(AnyFault, Sandbox.inject, "a fault waits for its request, as in a world's file"),
    "link": Command(Link, _link, "another link, for what is sent from then on; as in a world's file"),
    "clear-faults": Command(Nothing, _clear_faults, "faults that still wait are forgotten"),
    "advance": Command(
        Advance, _advance, "the exchange's clock is set forward, not that of pings; its time is answered"
    ),
    "set-back": Command(SetBack, _set_back, "the exchange's clock stands still, until it is so much behind"),
    "lag": Command(Lag, _lag, "queries are behind the matching engine"),
    "shutdown": Command(Shutdown, _shut_down, "serverShutdown to every connection, and later its end"),
    "disconnect": Command(Ending, _disconnect, "every connection is cut, or closed by a frame"),
    "end-events": Command(OfAccount, _end_events, "eventStreamTerminated to all who follow an account"),
}
