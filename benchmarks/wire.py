"""What a call costs, next to trio-websocket used plainly: calls per second, and CPU time per call.

    python benchmarks/wire.py

All talk to the same small server in a process of its own, which answers each `order.place` with the document's
example, under the request's id. All build, check, encode and decode the same order with the same codec. *wire* and
*trio-websocket* do no more than to find the waiting call by its id; *bintrio* is a whole session with everything on:
client order ids, logon, budgets, deadlines, heartbeat. Rounds alternate, so that a busy machine slows all; medians
are printed. The exit code is 1 if, at 32 calls in flight, wire or bintrio makes less than three times the calls per
second of plain use.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import multiprocessing
import statistics
import sys
import time
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import trio
import trio_websocket
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import bintrio
from bintrio._net.streams import connect_tcp
from bintrio._net.wire import Wire, open_wire
from bintrio._protocol.envelope import Envelope, read_envelope
from bintrio._protocol.requests import write_request
from bintrio._protocol.results import read_answer
from bintrio.endpoints import Address
from bintrio.requests import OrderPlace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager
    from multiprocessing.connection import Connection

ROUNDS: Final = 7
# In one round.
CALLS: Final = {
    "bintrio": {1: 1000, 32: 3000},
    "wire": {1: 1500, 32: 6000},
    "trio-websocket": {1: 800, 32: 1600},
}
GATE: Final = 3.0

ANSWERS: Final[dict[bytes, bytes]] = {
    b"time": b'{"serverTime":1660801715639}',
    b"exchangeInfo": b'{"timezone":"UTC","serverTime":1660801715639,"rateLimits":[],"exchangeFilters":[],"symbols":[]}',
    b"session.logon": (
        b'{"apiKey":"key","authorizedSince":1649729878532,"connectedSince":1649729873021,"returnRateLimits":true,'
        b'"serverTime":1649729878630,"userDataStream":false}'
    ),
    b"order.place": (
        b'{"symbol":"BTCUSDT","orderId":12569099453,"orderListId":-1,"clientOrderId":'
        b'"4d96324ff9d44481926157ec08158a40","transactTime":1660801715639,"price":"23416.10000000","origQty":'
        b'"0.00847000","executedQty":"0.00000000","origQuoteOrderQty":"0.000000","cummulativeQuoteQty":"0.00000000",'
        b'"status":"NEW","timeInForce":"GTC","type":"LIMIT","side":"SELL","workingTime":1660801715639,'
        b'"selfTradePreventionMode":"NONE"}'
    ),
}
# The example's counts; the limits are raised, since it is not the exchange's patience that is measured.
LIMITS: Final = (
    b',"rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,'
    b'"limit":50000000,"count":1},{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":160000000,'
    b'"count":1},{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000000,"count":1}]}'
)


# The server: no more of WebSocket than the two clients need of it.


class Server(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""
        self._take: Callable[[], bool] = self._take_handshake

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._replies: list[bytes] = []
        while self._take():
            pass
        self._transport.writelines(self._replies)

    def _take_handshake(self) -> bool:
        head, blank, self._buffer = self._buffer.partition(b"\r\n\r\n")
        assert blank
        key = next(line.split()[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
        self._replies.append(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % base64.b64encode(digest)
        )
        self._take = self._take_frame
        return True

    def _take_frame(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 6:
            return False
        if buffer[1] != 0xFE:
            # Only the first questions of a session and the close frame are this short.
            head, size = 6, buffer[1] & 0x7F
        else:
            head, size = 8, int.from_bytes(buffer[2:4], "big")
        if len(buffer) < head + size:
            return False
        if buffer[0] == 0x88:
            self._replies.append(b"\x88\x00")
            self._buffer = b""
            return False
        key = buffer[head - 4 : head] * (size // 4 + 1)
        masked = int.from_bytes(buffer[head : head + size], "little")
        payload = (masked ^ int.from_bytes(key[:size], "little")).to_bytes(size, "little")
        request_id, method = payload[len(b'{"id":') :].split(b',"method":"', 1)
        result = ANSWERS[method[: method.index(b'"')]]
        reply = b'{"id":' + request_id + b',"status":200,"result":' + result + LIMITS
        self._replies += (b"\x81\x7e", len(reply).to_bytes(2, "big"), reply)
        self._buffer = buffer[head + size :]
        return True


def serve(port: Connection) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


# What all clients do: the same order, through the same codec.

PRICE: Final = Decimal("23416.10")
QUANTITY: Final = Decimal("0.00847")


def order() -> OrderPlace:
    return OrderPlace(symbol="BTCUSDT", side="SELL", type="LIMIT", time_in_force="GTC", price=PRICE, quantity=QUANTITY)


ASKED: Final = order()
"""What decides the shape of an answer."""


class Call:
    def __init__(self) -> None:
        self.answered = trio.Event()
        self.answer: Envelope | None = None


class Calls:
    def __init__(self) -> None:
        self._waiting: dict[int | str | None, Call] = {}
        self._number = 0

    def start(self) -> tuple[bytes, Call]:
        self._number += 1
        call = self._waiting[self._number] = Call()
        params = {**order().params(), "timestamp": time.time_ns() // 1_000_000}
        return write_request(self._number, "order.place", params), call

    def finish(self, message: bytes) -> None:
        answer = read_envelope(message)
        call = self._waiting.pop(answer.id)
        call.answer = answer
        call.answered.set()


class Client(Protocol):
    async def call(self) -> object: ...


async def answer_of(call: Call) -> object:
    await call.answered.wait()
    assert call.answer is not None
    return read_answer(ASKED, call.answer)


class WireClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._calls = Calls()

    async def read(self) -> None:
        while True:
            for message in await self._wire.receive():
                self._calls.finish(message.payload)

    async def call(self) -> object:
        request, call = self._calls.start()
        await self._wire.room()
        self._wire.send_nowait(request)
        return await answer_of(call)


class PlainClient:
    def __init__(self, websocket: trio_websocket.WebSocketConnection) -> None:
        self._websocket = websocket
        self._calls = Calls()

    async def read(self) -> None:
        while True:
            message = await self._websocket.get_message()
            assert isinstance(message, str)
            self._calls.finish(message.encode())

    async def call(self) -> object:
        request, call = self._calls.start()
        await self._websocket.send_message(request.decode())
        return await answer_of(call)


class SessionClient:
    def __init__(self, session: bintrio.Session) -> None:
        self._session = session

    async def call(self) -> object:
        return await self._session.send(order())


@asynccontextmanager
async def session_client(port: int) -> AsyncGenerator[Client]:
    key = bintrio.Ed25519Key(Ed25519PrivateKey.generate(), api_key="vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utI")
    async with bintrio.open_session(f"ws://127.0.0.1:{port}/", key=key) as session:
        yield SessionClient(session)


@asynccontextmanager
async def wire_client(port: int) -> AsyncGenerator[Client]:
    stream = await connect_tcp(Address(host="127.0.0.1", port=port, secure=False, resource="/"))
    async with open_wire(stream, host=f"127.0.0.1:{port}", resource="/") as wire, trio.open_nursery() as nursery:
        client = WireClient(wire)
        nursery.start_soon(client.read)
        yield client
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def plain_client(port: int) -> AsyncGenerator[Client]:
    async with (
        trio_websocket.open_websocket_url(f"ws://127.0.0.1:{port}/") as websocket,
        trio.open_nursery() as nursery,
    ):
        client = PlainClient(websocket)
        nursery.start_soon(client.read)
        yield client
        nursery.cancel_scope.cancel()


CLIENTS: Final[dict[str, Callable[[int], AbstractAsyncContextManager[Client]]]] = {
    "bintrio": session_client,
    "wire": wire_client,
    "trio-websocket": plain_client,
}


# Measuring.


class Measurement(NamedTuple):
    calls_per_second: float
    cpu: float  # microseconds for each call


async def measure(name: str, port: int, in_flight: int) -> Measurement:
    async with CLIENTS[name](port) as client:
        await call_repeatedly(client, in_flight, 10 * in_flight)
        count = CALLS[name][in_flight]
        wall, cpu = time.perf_counter(), time.process_time()
        await call_repeatedly(client, in_flight, count)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Measurement(count / wall, cpu / count * 1e6)


async def call_repeatedly(client: Client, in_flight: int, count: int) -> None:
    async def work() -> None:
        for _ in range(count // in_flight):
            await client.call()

    async with trio.open_nursery() as nursery:
        for _ in range(in_flight):
            nursery.start_soon(work)


async def compare(port: int, in_flight: int) -> float:
    """Print the medians; return the smaller ratio of calls per second to those of plain use."""
    rounds: dict[str, list[Measurement]] = {name: [] for name in CLIENTS}
    for _ in range(ROUNDS):
        for name in CLIENTS:
            rounds[name].append(await measure(name, port, in_flight))
    medians = {
        name: Measurement(*(statistics.median(column) for column in zip(*measured, strict=True)))
        for name, measured in rounds.items()
    }
    plain = medians["trio-websocket"]
    for name, (speed, cpu) in medians.items():
        print(
            f"{in_flight:3} in flight  {name:15} {speed:8,.0f} calls/s ({speed / plain.calls_per_second:4.1f} x)"
            f"  {cpu:6.1f} us CPU per call"
        )
    return min(medians[name].calls_per_second for name in ("bintrio", "wire")) / plain.calls_per_second


async def main(port: int) -> int:
    await compare(port, 1)
    ratio = await compare(port, 32)
    return int(ratio < GATE)


if __name__ == "__main__":
    port_of_server, port_sender = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(port_sender,), daemon=True)
    server.start()
    try:
        sys.exit(trio.run(main, port_of_server.recv()))
    finally:
        server.kill()
