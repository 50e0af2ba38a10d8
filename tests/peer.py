"""A scripted exchange in memory: every request is handed to the test, which answers as it likes.

What a session asks of its own accord (time, limits, logon, subscriptions, whether there are other orders) is answered
here unless the test says otherwise. The WebSocket is trio-websocket's server, which nobody here wrote.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio_websocket
from trio.testing import memory_stream_pair

import bintrio
from bintrio.endpoints import Address

URL = "wss://exchange.test/ws-api/v3"
START = 1_700_000_000_000
"""The exchange's time in milliseconds when trio's clock says 0."""

Json = dict[str, Any]

LIMITS: list[Json] = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50},
    {"rateLimitType": "CONNECTIONS", "interval": "MINUTE", "intervalNum": 5, "limit": 300},
]


class Peer:
    """The exchange's end of one connection.

    Attributes:
        requests: what came, except for what was answered by the exchange's own script.
    """

    def __init__(self, exchange: Exchange, stream: trio.StapledStream[Any, Any], address: Address) -> None:
        self.exchange = exchange
        self.stream = stream
        self.address = address
        self.subscriptions: list[int] = []
        self._arrived, self.requests = trio.open_memory_channel[Json](10_000)
        self.websocket: trio_websocket.WebSocketConnection
        self.is_over = trio.Event()

    async def serve(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                request = await trio_websocket.wrap_server_stream(nursery, self.stream, max_message_size=2**24)
                self.websocket = await request.accept()
                self.exchange.peers.append(self)
                while True:
                    message = json.loads(await self.websocket.get_message())
                    self.exchange.log.append(message)
                    if not await self.exchange.answer_own(self, message):
                        self._arrived.send_nowait(message)
        except* trio_websocket.ConnectionClosed:
            pass
        finally:
            self.is_over.set()
            await trio.aclose_forcefully(self.stream)

    async def next(self) -> Json:
        """The next request. The clock is virtual, so an hour without one is a failure that takes no time."""
        with trio.fail_after(3600):
            return await self.requests.receive()

    async def answer(self, request: Json, result: Any = None, **envelope: Any) -> None:
        """Answer a request: with a result, or with ``status=..., error=...``."""
        reply = {"id": request["id"], "status": 200, **envelope}
        if "error" not in reply:
            reply["result"] = {} if result is None else result
        await self.send(json.dumps(reply))

    async def refuse(self, request: Json, status: int, code: int, msg: str, **error: Any) -> None:
        await self.answer(request, status=status, error={"code": code, "msg": msg, **error})

    async def event(self, subscription_id: int | None = 0, **event: Any) -> None:
        envelope: Json = {"event": event}
        if subscription_id is not None:
            envelope["subscriptionId"] = subscription_id
        await self.send(json.dumps(envelope))

    async def balance(self, number: int, subscription_id: int = 0) -> None:
        """A balanceUpdate that is told apart by its delta."""
        await self.event(subscription_id, e="balanceUpdate", E=START, a="BTC", d=str(number), T=START)

    async def send(self, message: str | bytes) -> None:
        await self.websocket.send_message(message)

    async def cut(self) -> None:
        """End the stream without a word."""
        await trio.aclose_forcefully(self.stream)


class Exchange:
    """All connections, in the order of their opening.

    Attributes:
        log: every request that came, over all connections.
        script: results by method, or ``{"status": ..., "error": ...}``; ``None`` leaves a method to the test.
        refuse_with: raised by `connect` instead of a stream, while set.
        delay: seconds that its own answers take.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.peers: list[Peer] = []
        self.log: list[Json] = []
        self.refuse_with: list[Exception] = []
        self.addresses: list[Address] = []
        self.delay = 0.0
        self.script: dict[str, Callable[[Peer], Any] | None] = {
            "time": lambda _peer: {"serverTime": START + int(trio.current_time() * 1000)},
            "exchangeInfo": lambda _peer: {
                "timezone": "UTC",
                "serverTime": START,
                "rateLimits": LIMITS,
                "exchangeFilters": [],
                "symbols": [],
            },
            "allOrders": lambda _peer: [],
            "session.logon": lambda _peer: self._status("key"),
            "session.logout": lambda _peer: self._status(None),
            "userDataStream.subscribe": self._subscribe,
            "userDataStream.subscribe.signature": self._subscribe,
            "userDataStream.unsubscribe": lambda _peer: {},
        }
        self._nursery = nursery
        self._ids: Iterator[int] = itertools.count()

    async def connect(self, address: Address) -> trio.abc.Stream:
        self.addresses.append(address)
        if self.refuse_with:
            raise self.refuse_with[0]
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(Peer(self, theirs, address).serve)
        return ours

    async def peer(self, number: int) -> Peer:
        """The peer of that number, once it is there."""
        with trio.fail_after(3600):
            while len(self.peers) <= number:  # noqa: ASYNC110  # under a virtual clock, polling is free
                await trio.sleep(0.01)
        return self.peers[number]

    async def answer_own(self, peer: Peer, request: Json) -> bool:
        answer = self.script.get(request["method"])
        if answer is None:
            return False
        if self.delay:
            await trio.sleep(self.delay)
        found = answer(peer)
        await peer.answer(request, **(found if "error" in found else {"result": found}))
        return True

    def sent(self, method: str) -> list[Json]:
        """The requests of one method that came."""
        return [request for request in self.log if request["method"] == method]

    def _subscribe(self, peer: Peer) -> Json:
        subscription_id = len(peer.subscriptions)
        peer.subscriptions.append(subscription_id)
        return {"subscriptionId": subscription_id}

    def _status(self, api_key: str | None) -> Json:
        return {
            "apiKey": api_key,
            "authorizedSince": START if api_key else None,
            "connectedSince": START,
            "returnRateLimits": True,
            "serverTime": START,
            "userDataStream": False,
        }


@asynccontextmanager
async def open_exchange() -> AsyncGenerator[Exchange]:
    async with trio.open_nursery() as nursery:
        yield Exchange(nursery)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_pair(**options: Any) -> AsyncGenerator[tuple[bintrio.Session, Exchange]]:
    """A session on a scripted exchange."""
    async with (
        open_exchange() as exchange,
        bintrio.open_session(URL, connect=exchange.connect, **options) as session,
    ):
        yield session, exchange


PING = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}

ORDER: Json = {
    "symbol": "BTCUSDT",
    "orderId": 7,
    "orderListId": -1,
    "clientOrderId": "mine",
    "price": "1.00000000",
    "origQty": "1.00000000",
    "executedQty": "1.00000000",
    "cummulativeQuoteQty": "1.00000000",
    "status": "FILLED",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "side": "BUY",
    "stopPrice": "0.00000000",
    "icebergQty": "0.00000000",
    "time": START,
    "updateTime": START,
    "isWorking": True,
    "workingTime": START,
    "origQuoteOrderQty": "0.00000000",
    "selfTradePreventionMode": "NONE",
}

ACK: Json = {
    "symbol": "BTCUSDT",
    "orderId": 7,
    "orderListId": -1,
    "clientOrderId": "mine",
    "transactTime": START,
}


def ed25519_key(api_key: str = "ed25519-api-key") -> bintrio.Ed25519Key:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return bintrio.Ed25519Key.from_pem(pem, api_key=api_key)
