"""The neutral server: it answers every method at once with the document's example, and knows nothing of any client.

    python -m benchmarks.server

It runs in a process of its own and speaks no more of WebSocket than clients need of it: text, ping, pong and close,
none of them fragmented. Counts of rate limits are the examples'; the limits are raised, since it is not the exchange's
patience that is measured. A ping goes out every second, where the exchange sends one every twenty.

Three ports on loopback, printed as JSON when they are open: ``api`` speaks the WebSocket API; ``raw`` answers each
chunk of bytes with as many as an order's answer has, which is the floor under every client; ``control`` takes a line,
does what it says from now on, and answers ``done``:

    events N            N execution reports to each subscriber, as fast as it takes them
    paced RATE N        N execution reports to each subscriber, so many a second
    symbols N           exchangeInfo has so many symbols
    hold, release       answers are kept back, until they are released
    mute                the connections that there are hear no ping and no answer any more
    abort               they are cut
    orders              answers how many orders came so far, and the monotonic time at which the last one did
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib
import json
import multiprocessing
import ssl
import time
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import trustme

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator
    from multiprocessing.connection import Connection as Pipe

DATA: Final = Path(__file__).parent.parent / "tests" / "data"
EXAMPLES: Final = {"order.place": "response-result", "ticker": "response-full", "order.cancel": "response-order"}
LEVELS: Final = 5000
LIMIT: Final = 1_000_000_000
PING_INTERVAL: Final = 1.0
EVENTS_AT_ONCE: Final = 50
PACE: Final = 0.002  # seconds between two looks at how many events are due

RATE_LIMITS: Final = (
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": LIMIT, "count": 1},
)
"""Where the example has none."""

PING: Final = b"\x89\x04ping"
CLOSE: Final = b"\x88\x00"
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Ports(NamedTuple):
    api: int
    raw: int
    control: int


class Request(msgspec.Struct):
    id: msgspec.Raw
    method: str


class Answer(NamedTuple):
    """What follows the id, with the rate limits and without."""

    full: bytes
    plain: bytes


def answers() -> dict[str, Answer]:
    """By method."""
    folders = (folder for folder in (DATA / "examples").iterdir() if folder.is_dir() and folder.name != "_general")
    found = {folder.name: _example(folder) for folder in folders}
    found["depth"]["result"] = _deep(found["depth"]["result"])
    # The clients place LIMIT orders, whose answers are FULL by default; the document has no example of that.
    found["order.place"]["result"]["fills"] = []
    return {method: _answer(reply) for method, reply in found.items()}


def _example(folder: Path) -> dict[str, Any]:
    preferred = folder / f"{EXAMPLES.get(folder.name, 'response')}.json"
    path = preferred if preferred.exists() else min(folder.glob("response*.json"))
    reply: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), object_hook=_raised)
    return reply


def _raised(value: dict[str, Any]) -> dict[str, Any]:
    return value | {"limit": LIMIT} if "rateLimitType" in value else value


def _deep(book: dict[str, Any]) -> dict[str, Any]:
    levels = [[f"{0.01 + index / 1e8:.8f}", f"{index % 97}.43200000"] for index in range(LEVELS)]
    return book | {"bids": levels, "asks": levels}


def _answer(reply: dict[str, Any]) -> Answer:
    body = {"status": 200, "result": reply.get("result", {})}
    full = body | {"rateLimits": reply.get("rateLimits", RATE_LIMITS)}
    return Answer(_compact(full)[1:], _compact(body)[1:])


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Exchange:
    """What all connections share."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.answers = answers()
        event = json.loads((DATA / "events" / "executionReport.json").read_text(encoding="utf-8"))["event"]
        self.event = b',"event":' + _compact(event) + b"}"
        self.orders = 0
        self.last_order_at = 0.0
        self.is_holding = False
        self._pacing: asyncio.Task[None] | None = None

    def ping(self) -> None:
        for connection in self.connections:
            connection.write(PING)
        asyncio.get_running_loop().call_later(PING_INTERVAL, self.ping)

    def command(self, line: str) -> str:
        name, *arguments = line.split()
        return getattr(self, f"_{name}")(*map(int, arguments)) or "done"

    def _events(self, count: int) -> None:
        for connection in self.connections:
            connection.send_events(count)

    def _paced(self, rate: int, count: int) -> None:
        self._pacing = asyncio.get_running_loop().create_task(self.pace(rate, count))

    async def pace(self, rate: int, count: int) -> None:
        """Send so many events a second, until so many are sent."""
        begin, sent = time.monotonic(), 0
        while sent < count:
            await asyncio.sleep(PACE)
            due = min(count, int((time.monotonic() - begin) * rate))
            self._events(due - sent)
            sent = due

    def _symbols(self, count: int) -> None:
        reply = _example(DATA / "examples" / "exchangeInfo")
        reply["result"]["symbols"] = [
            reply["result"]["symbols"][0] | {"symbol": f"S{index}USDT", "baseAsset": f"S{index}"}
            for index in range(count)
        ]
        self.answers["exchangeInfo"] = _answer(reply)

    def _hold(self) -> None:
        self.is_holding = True

    def _release(self) -> None:
        self.is_holding = False
        for connection in self.connections:
            connection.release()

    def _mute(self) -> None:
        for connection in self.connections:
            connection.is_mute = True

    def _abort(self) -> None:
        for connection in self.connections:
            connection.transport.abort()

    def _orders(self) -> str:
        return f"{self.orders} {self.last_order_at!r}"


class Connection(asyncio.Protocol):
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._buffer = b""
        self._is_open = False
        self._subscriptions = 0
        self._events: Iterator[bytes] = iter(())
        self._can_write = True
        self._held: list[bytes] = []
        self.is_mute = False
        self.transport: Any

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._exchange.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        replies = self._replies() if self._is_open else self._handshake()
        if self._exchange.is_holding:
            self._held.append(replies)
        elif replies:
            self.write(replies)

    def write(self, data: bytes) -> None:
        if not self.is_mute and not self.transport.is_closing():
            self.transport.write(data)
            if data.endswith(CLOSE):  # the server is to end TCP (RFC 6455, 7.1.1), and websockets waits for it
                self.transport.close()

    def release(self) -> None:
        self.write(b"".join(self._held))
        self._held.clear()

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self._send_more()

    def send_events(self, count: int) -> None:
        events = (
            frame(b'{"subscriptionId":%d' % subscription + self._exchange.event)
            for subscription in range(self._subscriptions)
        )
        chunks, rest = divmod(count, EVENTS_AT_ONCE)
        self._events = chain.from_iterable([event * EVENTS_AT_ONCE] * chunks + [event * rest] for event in events)
        self._send_more()

    def _send_more(self) -> None:
        while self._can_write and not self.transport.is_closing():
            chunk = next(self._events, b"")
            if not chunk:
                return
            self.transport.write(chunk)

    def _handshake(self) -> bytes:
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return b""
        self._buffer, self._is_open = rest, True
        self._exchange.connections.add(self)
        key = next(line.split()[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
        )

    def _replies(self) -> bytes:
        replies: list[bytes] = []
        buffer, start = self._buffer, 0
        while len(buffer) >= start + 6:
            short = buffer[start + 1] & 0x7F
            head, size = (8, int.from_bytes(buffer[start + 2 : start + 4], "big")) if short == 126 else (6, short)
            end = start + head + size
            if len(buffer) < end:
                break
            if buffer[start] == 0x81:
                replies.append(
                    self._reply(_unmasked(buffer[start + head - 4 : start + head], buffer[start + head : end]))
                )
            elif buffer[start] == 0x88:
                replies.append(CLOSE)
            start = end
        self._buffer = buffer[start:]
        return b"".join(replies)

    def _reply(self, payload: bytes) -> bytes:
        request = _read_request(payload)
        answer = self._exchange.answers[request.method]
        head = b'{"id":' + bytes(request.id) + b","
        if request.method == "order.place":
            self._exchange.orders += 1
            self._exchange.last_order_at = time.monotonic()
        if request.method.startswith("userDataStream.subscribe"):
            answer = _answer({"result": {"subscriptionId": self._subscriptions}})
            self._subscriptions += 1
        without_limits = b'"returnRateLimits":false' in payload or b'"returnRateLimits": false' in payload
        return frame(head + (answer.plain if without_limits else answer.full))


_read_request: Final = msgspec.json.Decoder(Request).decode


def _unmasked(key: bytes, payload: bytes) -> bytes:
    size = len(payload)
    keys = int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(payload, "little") ^ keys).to_bytes(size, "little")


class Raw(asyncio.Protocol):
    """The floor: bytes in, as many bytes out as an order's answer has."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._reply)


class Control(asyncio.Protocol):
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._exchange.command(data.decode()).encode())


async def serve(report: Callable[[Ports], None], chain: Path | None = None) -> None:
    """Serve until cancelled; ``report`` is given the ports once they are open. With a ``chain`` the API speaks TLS."""
    exchange = Exchange()
    loop = asyncio.get_running_loop()
    reply = frame(b'{"id":1,' + exchange.answers["order.place"].full)
    context = _context(chain) if chain else None
    servers = (
        await loop.create_server(lambda: Connection(exchange), "127.0.0.1", 0, ssl=context),
        await loop.create_server(lambda: Raw(reply), "127.0.0.1", 0),
        await loop.create_server(lambda: Control(exchange), "127.0.0.1", 0),
    )
    exchange.ping()
    report(Ports(*(server.sockets[0].getsockname()[1] for server in servers)))
    await asyncio.Event().wait()


def _context(chain: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


@contextmanager
def certificates() -> Generator[tuple[Path, Path]]:
    """PEM files for as long as the context lasts: of an authority, and of 127.0.0.1 with its key."""
    authority = trustme.CA()
    with TemporaryDirectory() as folder:
        trusted, chain = Path(folder) / "authority.pem", Path(folder) / "server.pem"
        authority.cert_pem.write_to_path(str(trusted))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(chain))
        yield trusted, chain


def _serve_for(pipe: Pipe, chain: Path | None) -> None:
    with suppress(KeyboardInterrupt):
        _run(serve(pipe.send, chain))


def _run(main: Coroutine[Any, Any, None]) -> None:
    try:
        loop: Any = importlib.import_module("uvloop")
    except ImportError:
        loop = asyncio
    loop.run(main)


@contextmanager
def server(chain: Path | None = None) -> Generator[Ports]:
    """A server in a process of its own, for as long as the context lasts."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_serve_for, args=(sender, chain), daemon=True)
    process.start()
    sender.close()  # so that `recv` ends if the process does
    try:
        yield receiver.recv()
    finally:
        process.kill()
        process.join()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        _run(serve(lambda ports: print(json.dumps(ports._asdict()), flush=True)))
