"""What the wire costs, next to trio-websocket used plainly: calls per second, and CPU time per call.

    python benchmarks/wire.py

Both talk to the same small server in a process of its own, which answers each `order.place` with the document's
example, under the request's id. Both do the same with msgspec: encode the request, decode the envelope, find the
waiting call by its id, decode the result. Rounds alternate between the two, so that a busy machine slows both;
medians are printed. The exit code is 1 if, at 32 calls in flight, plain use is less than three times as expensive.
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
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec
import trio
import trio_websocket

from bintrio._wire import Wire, connect_tcp, open_wire
from bintrio.endpoints import Address

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager
    from multiprocessing.connection import Connection

ROUNDS: Final = 7
CALLS: Final = {"wire": {1: 1500, 32: 6000}, "trio-websocket": {1: 800, 32: 1600}}  # in one round
GATE: Final = 3.0

ID_SIZE: Final = 36
REPLY_START: Final = b'{"id":"'
REPLY_END: Final = (
    b'","status":200,"result":{"symbol":"BTCUSDT","orderId":12569099453,"orderListId":-1,"clientOrderId":'
    b'"4d96324ff9d44481926157ec08158a40","transactTime":1660801715639,"price":"23416.10000000","origQty":'
    b'"0.00847000","executedQty":"0.00000000","origQuoteOrderQty":"0.000000","cummulativeQuoteQty":"0.00000000",'
    b'"status":"NEW","timeInForce":"GTC","type":"LIMIT","side":"SELL","workingTime":1660801715639,'
    b'"selfTradePreventionMode":"NONE"},"rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,'
    b'"limit":50,"count":1},{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":160000,"count":1},'
    b'{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":1}]}'
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
        if len(buffer) < 8 or len(buffer) < 8 + (size := self._size()):
            return False
        if buffer[0] == 0x88:
            self._replies.append(b"\x88\x00")
            self._buffer = b""
            return False
        key = buffer[4:8] * (size // 4 + 1)
        masked = int.from_bytes(buffer[8 : 8 + size], "little")
        payload = (masked ^ int.from_bytes(key[:size], "little")).to_bytes(size, "little")
        start = len(REPLY_START)
        reply = REPLY_START + payload[start : start + ID_SIZE] + REPLY_END
        self._replies += (b"\x81\x7e", len(reply).to_bytes(2, "big"), reply)
        self._buffer = buffer[8 + size :]
        return True

    def _size(self) -> int:
        """Payload of the frame at the start; a request is always between 126 and 65,535 bytes, a close frame is 2."""
        return int.from_bytes(self._buffer[2:4], "big") if self._buffer[1] == 0xFE else 0


def serve(port: Connection) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


# What both clients do.


class Request(msgspec.Struct):
    id: str
    method: str
    params: dict[str, Any]


class Envelope(msgspec.Struct):
    id: str
    status: int
    result: msgspec.Raw


class Order(msgspec.Struct, rename="camel"):
    symbol: str
    order_id: int
    client_order_id: str
    price: str
    status: str


PARAMS: Final = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "23416.10000000",
    "quantity": "0.00847000",
    "newClientOrderId": "4d96324ff9d44481926157ec08158a40",
    "signature": "15af09e41c36f3cc61378c2fbe2c33719a03dd5eba8d0f9206fbda44de717c88",
    "timestamp": 1660801715431,
}
encode: Final = msgspec.json.Encoder().encode
decode_envelope: Final = msgspec.json.Decoder(Envelope).decode
decode_order: Final = msgspec.json.Decoder(Order).decode


class Call:
    def __init__(self) -> None:
        self.answered = trio.Event()
        self.answer: Envelope | None = None


class Calls:
    def __init__(self) -> None:
        self._waiting: dict[str, Call] = {}
        self._number = 0

    def start(self) -> tuple[bytes, Call]:
        self._number += 1
        call_id = f"{self._number:0{ID_SIZE}}"
        call = self._waiting[call_id] = Call()
        return encode(Request(call_id, "order.place", PARAMS)), call

    def finish(self, message: bytes | str) -> None:
        answer = decode_envelope(message)
        call = self._waiting.pop(answer.id)
        call.answer = answer
        call.answered.set()


class Client(Protocol):
    async def call(self) -> Order: ...


async def answer_of(call: Call) -> Order:
    await call.answered.wait()
    assert call.answer is not None
    return decode_order(call.answer.result)


class WireClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._calls = Calls()

    async def read(self) -> None:
        while True:
            for message in await self._wire.receive():
                self._calls.finish(message.payload)

    async def call(self) -> Order:
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
            self._calls.finish(await self._websocket.get_message())

    async def call(self) -> Order:
        request, call = self._calls.start()
        await self._websocket.send_message(request.decode())
        return await answer_of(call)


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
    """Print the medians; return how many times more CPU plain use costs."""
    rounds: dict[str, list[Measurement]] = {name: [] for name in CLIENTS}
    for _ in range(ROUNDS):
        for name in CLIENTS:
            rounds[name].append(await measure(name, port, in_flight))
    cpu: dict[str, float] = {}
    for name, measured in rounds.items():
        speed = statistics.median(each.calls_per_second for each in measured)
        cpu[name] = statistics.median(each.cpu for each in measured)
        print(f"{in_flight:3} in flight  {name:15} {speed:8,.0f} calls/s  {cpu[name]:6.1f} us CPU per call")
    ratio = cpu["trio-websocket"] / cpu["wire"]
    print(f"{in_flight:3} in flight  ratio {ratio:.2f}")
    return ratio


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
