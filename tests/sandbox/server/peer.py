"""A client of the sandbox that nobody here wrote, and the bytes of its handshake."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from bintrio.endpoints import Address
from bintrio.sandbox import Sandbox
from bintrio.sandbox.exchange.exchange import payload

PATH = "/ws-api/v3"
HANDSHAKE = (
    f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "100", "quantity": "1"}


class Peer:
    """A client that nobody here wrote, and a few lines of JSON."""

    def __init__(self, sandbox: Sandbox, websocket: WebSocketConnection) -> None:
        self.sandbox = sandbox
        self.websocket = websocket

    async def send(self, request_id: Any, method: str, /, **params: Any) -> None:
        await self.websocket.send_message(json.dumps({"id": request_id, "method": method, "params": params}))

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.websocket.get_message())
        return message

    async def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        await self.send(1, method, **params)
        return await self.receive()

    def signed(self, **params: Any) -> dict[str, Any]:
        key = self.sandbox.key
        params |= {"apiKey": key.api_key, "timestamp": self.sandbox.now()}
        return params | {"signature": key.sign(payload(params))}

    async def buy(self) -> None:
        await self.send(9, "order.place", **self.signed(**BUY))

    async def is_dead(self) -> bool:
        with pytest.raises(ConnectionClosed):
            await self.websocket.get_message()
        return True


@asynccontextmanager
async def peer_of(sandbox: Sandbox, resource: str = PATH) -> AsyncGenerator[Peer, None]:
    stream: Any = await sandbox.connect(Address("localhost", 80, False, resource))
    async with trio.open_nursery() as nursery:
        yield Peer(sandbox, await wrap_client_stream(nursery, stream, "localhost", resource))
        nursery.cancel_scope.cancel()
