"""The control of a running sandbox over HTTP, for tests in any language: what `Sandbox` can be told and asked.

``GET /`` lists what there is. What is told comes by ``POST`` as a JSON object, with the fields of the record that is
named in `COMMANDS`; it is read as strictly as a world's file. Errors are answered with 400 and a JSON object: ``error``
says what is wrong, ``field`` where; ``code`` is the exchange's, where the sandbox's books refuse what was asked.

Everything here goes through the public methods of `Sandbox`. It listens on this machine only, and to no page that a
browser has open: those name another host, or cannot send JSON without asking first.

Needs the extra ``bintrio[ui]``.
"""

from __future__ import annotations

import json
import logging
import signal
import socket
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import hypercorn.trio
import msgspec
import trio
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bintrio.api._values import plain
from bintrio.api.enums import Side
from bintrio.errors import InvalidRequest

from .exchange.orders import SandboxOrder
from .exchange.reference import MeanOfTrades
from .exchange.refusals import Refusal
from .exchange.units import MILLISECOND
from .running import Sandbox
from .world import AnyFault, WorldAccount, WorldPart, WorldQuote, convert, parse_json

LOOPBACK: Final = "127.0.0.1"
_HOSTS: Final = [LOOPBACK, "localhost"]

_MOST: Final = 1_000_000
"""Bytes of a body; ours."""

logger = logging.getLogger(__name__)


# What it is told


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


class Advance(WorldPart, frozen=True, kw_only=True):
    """Sets the exchange's clock forward; pings and what is under way take their time still.

    Attributes:
        seconds: by how much.
    """

    seconds: float


class Lag(WorldPart, frozen=True, kw_only=True):
    """How much queries of orders, trades and balances are behind the matching engine.

    Attributes:
        seconds: 0 shows everything at once.
    """

    seconds: float


class Revocation(WorldPart, frozen=True, kw_only=True):
    """An API key that is accepted no more."""

    api_key: str


class Shutdown(WorldPart, frozen=True, kw_only=True):
    """serverShutdown to every connection, and later its end.

    Attributes:
        after: seconds until then.
    """

    after: float = 10.0


class Nothing(WorldPart, frozen=True, kw_only=True):
    """Without fields."""


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
    return _of_order(sandbox.trade(asked.symbol, asked.side, asked.price, asked.quantity))


def _block_trade(sandbox: Sandbox, asked: BlockTrade) -> None:
    sandbox.block_trade(asked.symbol, asked.side, asked.price, asked.quantity)


def _reference_price(sandbox: Sandbox, asked: ReferencePrice) -> None:
    sandbox.set_reference_price(asked.symbol, asked.price)


def _fill(sandbox: Sandbox, asked: Fill) -> object:
    found = [order for order in sandbox.orders if order.order_id == asked.order]  # it may not be kept when it is filled
    sandbox.fill(asked.order, asked.quantity)
    return _of_order(found[0])


def _deposit(sandbox: Sandbox, asked: Deposit) -> object:
    sandbox.deposit(asked.asset, asked.amount, uid=asked.uid)
    return _balances(sandbox, asked.uid)


def _advance(sandbox: Sandbox, asked: Advance) -> object:
    sandbox.advance(asked.seconds)
    return {"time": sandbox.now()}


def _lag(sandbox: Sandbox, asked: Lag) -> None:
    sandbox.query_lag = asked.seconds


def _revoke(sandbox: Sandbox, asked: Revocation) -> None:
    try:
        sandbox.revoke(asked.api_key)
    except KeyError:
        raise InvalidRequest("api_key is none of the sandbox's", field="api_key") from None


def _account(sandbox: Sandbox, asked: WorldAccount) -> None:
    sandbox.add_account(asked.account())


def _clear_faults(sandbox: Sandbox, _asked: Nothing) -> None:
    sandbox.clear_faults()


def _shut_down(sandbox: Sandbox, asked: Shutdown) -> None:
    sandbox.announce_shutdown(asked.after)


def _disconnect(sandbox: Sandbox, _asked: Nothing) -> None:
    sandbox.disconnect()


COMMANDS: Final[Mapping[str, Command]] = {
    "quote": Command(Quote, _quote, "the market maker buys and sells at other prices"),
    "trade": Command(Trade, _trade, "the market maker places a limit order, which is answered"),
    "fill": Command(Fill, _fill, "the market maker fills an order on the book, which is answered as it stands then"),
    "block-trade": Command(BlockTrade, _block_trade, "two others trade outside the book"),
    "reference-price": Command(ReferencePrice, _reference_price, "execution rules measure prices by another price"),
    "deposit": Command(Deposit, _deposit, "an account has more, or less; its balances are answered"),
    "account": Command(WorldAccount, _account, "another account, as in a world's file"),
    "revoke": Command(Revocation, _revoke, "an API key is accepted no more"),
    "fault": Command(AnyFault, Sandbox.inject, "a fault waits for its request, as in a world's file"),
    "clear-faults": Command(Nothing, _clear_faults, "faults that still wait are forgotten"),
    "advance": Command(Advance, _advance, "the exchange's clock is set forward; its time is answered"),
    "lag": Command(Lag, _lag, "queries are behind the matching engine"),
    "shutdown": Command(Shutdown, _shut_down, "serverShutdown to every connection, and later its end"),
    "disconnect": Command(Nothing, _disconnect, "every connection is cut"),
}


# What it is asked


def _state(sandbox: Sandbox) -> object:
    return {
        "endpoint": sandbox.endpoint.urls[0],
        "time": sandbox.now(),
        "connections": sandbox.connections,
        "received": sandbox.received,
        "query_lag": sandbox.query_lag,
        "accounts": [{"uid": account.uid, "balances": _balances(sandbox, account.uid)} for account in sandbox.accounts],
    }


def _balances(sandbox: Sandbox, uid: int | None) -> object:
    return {each.asset: {"free": each.free, "locked": each.locked} for each in sandbox.balances(uid)}


def _of_order(order: SandboxOrder) -> object:
    return {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "uid": order.owner,
        "symbol": order.symbol,
        "side": order.side,
        "type": order.type,
        "status": order.status,
        "price": order.price,
        "stop_price": order.stop_price,
        "quantity": order.quantity,
        "executed": order.executed,
        "order_list_id": order.list_id,
        "time": order.created_at // MILLISECOND,
        "update_time": order.updated_at // MILLISECOND,
    }


def _orders(sandbox: Sandbox) -> object:
    return [_of_order(order) for order in sandbox.orders]


def _calls(sandbox: Sandbox) -> object:
    return [
        {
            "method": call.method,
            "params": call.params,
            "time": call.time,
            "connection": call.connection,
            "status": call.status,
            "code": call.code,
        }
        for call in sandbox.calls
    ]


class View(NamedTuple):
    """What can be asked.

    Attributes:
        shows: gives what is answered.
        words: for the list of views.
    """

    shows: Callable[[Sandbox], object]
    words: str


VIEWS: Final[Mapping[str, View]] = {
    "state": View(_state, "endpoint, time, connections, what was received, accounts with their balances"),
    "orders": View(_orders, "every order that clients placed"),
    "calls": View(_calls, "the latest 1,000 messages that came, and how each was answered"),
}


# HTTP


def control(sandbox: Sandbox) -> Starlette:
    """The ASGI application that tells and asks a sandbox."""
    return Starlette(
        routes=[
            Route("/", _list),
            *(Route(f"/{name}", partial(_ask, sandbox, view)) for name, view in VIEWS.items()),
            *(
                Route(f"/{name}", partial(_tell, sandbox, command), methods=["POST"])
                for name, command in COMMANDS.items()
            ),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS)],
        exception_handlers={HTTPException: _refused},
    )


async def _list(_request: Request) -> Response:
    told = {f"POST /{name}": command.words for name, command in COMMANDS.items()}
    return _answer({f"GET /{name}": view.words for name, view in VIEWS.items()} | told)


async def _ask(sandbox: Sandbox, view: View, _request: Request) -> Response:
    return _answer(view.shows(sandbox))


async def _tell(sandbox: Sandbox, command: Command, request: Request) -> Response:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "the body must be JSON, with the header Content-Type: application/json")
    body = await _body(request)
    try:
        asked = convert(parse_json(body.decode()), command.takes, Path())
        done = command.does(sandbox, asked)
    except InvalidRequest as error:
        return _answer({"error": str(error), "field": error.field}, 400)
    except Refusal as refusal:
        return _answer({"error": refusal.message, "code": refusal.code}, 400)
    except OSError as error:  # of the file of a key
        return _answer({"error": str(error), "field": "keys"}, 400)
    except (ValueError, RecursionError) as error:
        return _answer({"error": f"the body is no JSON: {error}", "field": None}, 400)
    return _answer({} if done is None else done)


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():  # to its end, since who left it would have to close it
        body += part[: _MOST + 1 - len(body)]
    if len(body) > _MOST:
        raise HTTPException(413, f"the body must have {_MOST:,} bytes at most")
    return body


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer({"error": error.detail, "field": None}, error.status_code)


def _answer(content: object, status: int = 200) -> Response:
    # By the standard library: a client's parameters may have ints of any size.
    return Response(json.dumps(content, default=_plain), status, media_type="application/json")


def _plain(value: Any) -> object:
    return plain(value) if isinstance(value, Decimal) else dict(value)


async def serve_control(
    sandbox: Sandbox, port: int, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve `control` on this machine until it is cancelled.

    Args:
        sandbox: what is controlled.
        port: 0 takes a free one.
        task_status: is told the URL.

    Raises:
        OSError: the port cannot be had.
    """
    listener = socket.create_server((LOOPBACK, port))
    url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = logger
    # The two libraries describe the same interface by other types.
    application: Any = control(sandbox)
    server: Any = hypercorn.trio
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(server.serve, application, config))
        task_status.started(url)
    # It ends by itself only where Ctrl-C has hit one of its tasks, and keeps that to itself.
    signal.raise_signal(signal.SIGINT)
