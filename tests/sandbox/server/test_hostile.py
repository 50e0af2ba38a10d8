"""Peers that are broken or mean, and a bystander who must be answered all the same.

Whatever a peer sends or does ends its own connection at most. What is no refusal is logged, with its traceback.
"""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked
from trio_websocket import WebSocketConnection

from bintrio._protocol.frames import FrameDecoder, Message, Opcode, encode_frame
from bintrio.api._base import catalogue
from bintrio.endpoints import Address
from bintrio.sandbox import Delay, Limits, Sandbox, open_sandbox
from bintrio.sandbox.exchange.exchange import Exchange
from bintrio.sandbox.exchange.methods import functions
from bintrio.sandbox.exchange.symbols import SYMBOLS
from bintrio.sandbox.exchange.validation import fields
from bintrio.sandbox.server import connection, outbox, server, wire
from bintrio.sandbox.server.connection import Connections, Timings
from bintrio.sandbox.server.script import Script
from bintrio.sandbox.server.server import Server

from .peer import HANDSHAKE, PATH, Peer, peer_of

ADDRESS = Address("localhost", 80, False, PATH)
PING = b'{"id":1,"method":"ping"}'
MASK = b"mask"
UNLIMITED = Limits(weight=10**9, connections=10**9)

Attack = Callable[[trio.abc.Stream], Awaitable[object]]


def text(data: bytes) -> bytes:
    return encode_frame(Opcode.TEXT, data, MASK)


def frame(first_byte: int, data: bytes) -> bytes:
    """One with flags and an opcode that `encode_frame` would not make."""
    return bytes([first_byte]) + text(data)[1:]


async def read(stream: trio.abc.Stream) -> bytes:
    """All that comes, until it ends."""
    data = b""
    while more := bytes(await stream.receive_some()):
        data += more
    return data


def messages(data: bytes) -> list[Message]:
    """The frames in what came, after an HTTP answer if there was one."""
    return list(FrameDecoder(masked=False, max_message_size=2**24).feed(data.rpartition(b"\r\n\r\n")[2]))


def closed_with(data: bytes) -> int:
    """The code of the close frame, which must be the last one."""
    last = messages(data)[-1]
    assert last.opcode is Opcode.CLOSE
    return int.from_bytes(bytes(last.payload)[:2])


@asynccontextmanager
async def bystander_of(sandbox: Sandbox) -> AsyncGenerator[Peer, None]:
    """Somebody who was there before, and is answered afterwards; and somebody who comes afterwards."""
    async with peer_of(sandbox) as bystander:
        assert (await bystander.call("ping"))["status"] == 200
        yield bystander
        assert (await bystander.call("ping"))["status"] == 200
    async with peer_of(sandbox) as late:
        assert (await late.call("time"))["status"] == 200


def survives(attack: Attack, *, after_handshake: bool) -> list[logging.LogRecord]:
    """Let a peer attack a sandbox of its own, in virtual time. Returns what was logged as an error."""
    log = _Log()

    async def main() -> None:
        async with open_sandbox(listen=False, limits=UNLIMITED) as sandbox, bystander_of(sandbox):
            stream = await sandbox.connect(ADDRESS)
            if after_handshake:
                await stream.send_all(HANDSHAKE)
                assert b"101" in bytes(await stream.receive_some())
            with trio.move_on_after(30):
                await attack(stream)
            await trio.aclose_forcefully(stream)
            await wait_all_tasks_blocked()
            assert sandbox.connections == 1

    logging.getLogger("bintrio.sandbox").addHandler(log)
    try:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    finally:
        logging.getLogger("bintrio.sandbox").removeHandler(log)
    return [record for record in log.records if record.levelno >= logging.ERROR]


class _Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def sends(data: bytes) -> Attack:
    async def attack(stream: trio.abc.Stream) -> None:
        try:
            await stream.send_all(data)
            await read(stream)
        except trio.BrokenResourceError:
            pass

    return attack


# Anything

HEADERS = ("Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions",
           "Sec-WebSocket-Protocol", "Content-Length", "Transfer-Encoding", "Expect", "X")  # fmt: skip
_VALUES = st.one_of(
    st.sampled_from((b"websocket", b"Upgrade", b"13", b"5", b"chunked", b"100-continue", b"\xff", b"", b"xn--a")),
    st.binary(max_size=30),
)
_PATHS = st.one_of(
    st.sampled_from((b"/ws-api/v3", b"//[::1/ws-api/v3", b"http://[bad/ws-api/v3", b"*", b"/ws-api/v3?timeUnit=%ff")),
    st.binary(max_size=30),
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Handshakes in which something is odd."""
    lines = [
        b"%s %s HTTP/1.%d" % (draw(st.sampled_from((b"GET", b"POST", b"\xff"))), draw(_PATHS), draw(st.integers(0, 2)))
    ]
    given = {"Host": b"x", "Upgrade": b"websocket", "Connection": b"Upgrade",
             "Sec-WebSocket-Key": b"AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": b"13"}  # fmt: skip
    given |= draw(st.dictionaries(st.sampled_from(HEADERS), _VALUES, max_size=3))
    for missing in draw(st.sets(st.sampled_from(HEADERS), max_size=1)):
        given.pop(missing, None)
    lines += [b"%s: %s" % (name.encode(), value) for name, value in given.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + draw(st.one_of(st.just(text(PING)), st.binary(max_size=20)))


@pytest.mark.untraced
@settings(max_examples=80)
@given(st.one_of(heads(), st.binary(max_size=200)))
def test_g11_any_bytes_for_a_handshake(data: bytes) -> None:
    for record in survives(sends(data), after_handshake=False):
        _is_of_the_library(record)


_FRAMES = st.one_of(
    st.builds(text, st.binary(max_size=50)),
    st.builds(frame, st.integers(0, 255), st.binary(max_size=200)),
    st.builds(encode_frame, st.sampled_from(Opcode), st.binary(max_size=125)),
    st.sampled_from(
        (text(PING), text(b"[" * 5_000), b"\x81\xff" + b"\x7f" * 8 + MASK, b"\x01\x80" + MASK, b"\x88\x80" + MASK)
    ),
    st.binary(max_size=50),
)


@pytest.mark.untraced
@settings(max_examples=80)
@given(st.lists(_FRAMES, max_size=6).map(b"".join))
def test_g11_any_frames(data: bytes) -> None:
    assert survives(sends(data), after_handshake=True) == []


_ODD = (
    *("BTCUSDT", "1m", "1d", "1e5", "-1:00", "UTC", "LIMIT", "MARKET", "BUY", "SELL", "GTC", "true", "100"),
    *("9" * 30, "0." + "0" * 19 + "1", "\ud800", 10**18, 10**300),
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(_ODD)
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A method with parameters of its own that have any value, and perhaps some of another method."""
    method = draw(st.sampled_from(sorted(functions)))
    names = [field.wire_name for field in fields(catalogue[method])] + ["timestamp", "recvWindow", "apiKey", "bogus"]
    params = draw(st.dictionaries(st.sampled_from(names), _JSON, max_size=6))
    usual = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "100", "quantity": "1"}
    return {
        "id": 1,
        "method": method,
        "params": {name: value for name, value in usual.items() if name in names} | params,
    }


def is_answered(message: str) -> Attack:
    async def attack(stream: trio.abc.Stream) -> None:
        await stream.send_all(text(message.encode("utf-8", "surrogatepass")))
        with trio.fail_after(5):
            reply = json.loads(bytes(messages(bytes(await stream.receive_some()))[0].payload))
        assert reply["status"] in {200, 400}
        assert "result" in reply or reply["error"]["code"] < 0

    return attack


@pytest.mark.untraced
@settings(max_examples=120)
@given(st.one_of(requests().map(json.dumps), _JSON.map(json.dumps), st.text(max_size=50)))
def test_g11_any_json_is_answered(message: str) -> None:
    assert survives(is_answered(message), after_handshake=True) == []


def _is_of_the_library(record: logging.LogRecord) -> None:
    """Headers that h11 lets pass, and that the library then cannot read."""
    assert record.exc_info is not None
    error: Any = record.exc_info[1]
    assert error.split(UnicodeError)[1] is None, error


# What is known to have ended a sandbox


@pytest.mark.parametrize("header", ["Host", "Connection", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"])
def test_a_header_that_the_library_cannot_read(header: str) -> None:
    head = HANDSHAKE.replace(b"Host: localhost\r\n", b"") + b""
    odd = b"%s: \xff\r\n" % header.encode()
    lines = odd if header == "Host" else b"Host: localhost\r\n" + odd
    if header == "Connection":
        head = head.replace(b"Connection: Upgrade\r\n", b"")
    answers: list[bytes] = []

    async def attack(stream: trio.abc.Stream) -> None:
        await stream.send_all(head.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\n" + lines))
        answers.append(await read(stream))

    (record,) = survives(attack, after_handshake=False)
    _is_of_the_library(record)
    assert answers[0].startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("path", ["//[::1/ws-api/v3", "http://[bad/ws-api/v3"])
def test_a_path_that_is_no_url(path: str) -> None:
    answers: list[bytes] = []

    async def attack(stream: trio.abc.Stream) -> None:
        await stream.send_all(HANDSHAKE.replace(PATH.encode(), path.encode()))
        answers.append(bytes(await stream.receive_some()))

    assert survives(attack, after_handshake=False) == []
    assert answers[0].startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (encode_frame(Opcode.TEXT, b"unmasked"), 1002),
        (frame(0xF1, b"reserved bits"), 1002),
        (frame(0x80, b"continues nothing"), 1002),
        (encode_frame(Opcode.PING, b"x", MASK)[:1] + b"\xfe\xff\xff" + MASK, 1002),  # a long control frame
        (text(b"\xff"), 1007),
        (text(b"x" * (2**20 + 1)), 1009),
    ],
)
def test_a_breach_of_the_protocol_is_told_by_a_close_frame(data: bytes, code: int) -> None:
    """RFC 6455, 7.1.7: fail the connection with the code of the breach."""
    answers: list[bytes] = []

    async def attack(stream: trio.abc.Stream) -> None:
        await stream.send_all(data)
        answers.append(await read(stream))

    assert survives(attack, after_handshake=True) == []
    assert closed_with(answers[0]) == code


def test_what_follows_a_close_frame_is_not_looked_at() -> None:
    answers: list[bytes] = []

    async def attack(stream: trio.abc.Stream) -> None:
        await stream.send_all(encode_frame(Opcode.CLOSE, b"\x03\xe8", MASK) + encode_frame(Opcode.PING, b"", MASK))
        answers.append(await read(stream))

    assert survives(attack, after_handshake=True) == []
    assert [message.opcode for message in messages(answers[0])] == [Opcode.CLOSE]


def test_frames_right_behind_the_handshake_are_read() -> None:
    answers: list[bytes] = []

    async def attack(stream: trio.abc.Stream) -> None:
        await stream.send_all(HANDSHAKE + text(PING))
        await wait_all_tasks_blocked()
        answers.append(bytes(await stream.receive_some()))

    assert survives(attack, after_handshake=False) == []
    assert b'"id":1,"status":200' in answers[0]


# Errors of the sandbox's own


async def test_g11_an_error_ends_its_connection_and_is_logged(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_call: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setitem(functions, "depth", fail)
    async with open_sandbox(listen=False) as sandbox, bystander_of(sandbox):
        stream = await sandbox.connect(ADDRESS)
        await stream.send_all(HANDSHAKE + text(PING) + text(b'{"id":1,"method":"depth","params":{"symbol":"BTCUSDT"}}'))
        received = await read(stream)
        assert b'"status":200' in received
        assert closed_with(received) == 1011
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    assert "a mistake of ours" in caplog.text
    assert "Traceback" in caplog.text


async def test_g11_an_error_in_a_task_of_the_connection_ends_it_too(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(functions, "depth", lambda call: 1 / 0)
    async with open_sandbox(listen=False, faults=[Delay("depth", seconds=1)]) as sandbox, bystander_of(sandbox):
        stream = await sandbox.connect(ADDRESS)
        await stream.send_all(HANDSHAKE + text(b'{"id":1,"method":"depth","params":{"symbol":"BTCUSDT"}}'))
        assert closed_with(await read(stream)) == 1011
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("attempt", range(8))  # trio decides by chance which task is first
async def test_g11_an_error_in_the_reader_of_the_library_is_logged(
    attempt: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_connection: object, _event: object) -> None:
        raise RuntimeError("a mistake of the library's")

    monkeypatch.setattr(WebSocketConnection, "_handle_ping_event", fail)
    async with open_sandbox(listen=False) as sandbox, bystander_of(sandbox):
        stream = await sandbox.connect(ADDRESS)
        await stream.send_all(HANDSHAKE)
        assert b"101" in bytes(await stream.receive_some())
        await stream.send_all(encode_frame(Opcode.PING, b"x", MASK))
        assert closed_with(await read(stream)) == 1011
    assert "a mistake of the library's" in caplog.text


async def test_g11_an_error_before_the_upgrade_is_an_http_answer(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_sandbox(listen=False) as sandbox, bystander_of(sandbox):
        with monkeypatch.context() as patched:
            patched.delattr(server, "open_session")
            stream = await sandbox.connect(ADDRESS)
            await stream.send_all(HANDSHAKE)
            assert (await read(stream)).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert "NameError" in caplog.text


async def test_g11_an_error_whose_peer_is_gone(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(functions, "depth", lambda call: 1 / 0)
    async with open_sandbox(listen=False) as sandbox, bystander_of(sandbox):
        stream = await sandbox.connect(ADDRESS)
        await stream.send_all(HANDSHAKE)
        assert b"101" in bytes(await stream.receive_some())
        await stream.send_all(text(b'{"id":1,"method":"depth","params":{"symbol":"BTCUSDT"}}'))
        await trio.aclose_forcefully(stream)
        await wait_all_tasks_blocked()
    assert "ZeroDivisionError" in caplog.text


# Floods


async def test_g11_of_too_many_handshakes_the_oldest_gives_way(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_HANDSHAKES", 2)
    async with open_sandbox(listen=False) as sandbox, bystander_of(sandbox):
        streams: list[trio.abc.Stream] = []
        for _ in range(5):
            streams.append(await sandbox.connect(ADDRESS))
            await wait_all_tasks_blocked()
        assert [await read(stream) for stream in streams[:3]] == [b""] * 3
        await streams[4].send_all(HANDSHAKE)
        assert b"101" in bytes(await streams[4].receive_some())
        assert trio.current_time() == 0


async def test_g11_a_handshake_that_takes_its_time(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox, bystander_of(sandbox):
        quick, slow = await sandbox.connect(ADDRESS), await sandbox.connect(ADDRESS)
        for position in range(len(HANDSHAKE)):
            await quick.send_all(HANDSHAKE[position : position + 1])
            await trio.sleep(0.01)
        assert b"101" in bytes(await quick.receive_some())
        await slow.send_all(HANDSHAKE[:-1])
        assert await read(slow) == b""
        assert trio.current_time() < 20


async def test_a_head_that_the_library_refuses_is_answered_and_ends_its_connection(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox, bystander_of(sandbox):
        stream = await sandbox.connect(ADDRESS)
        await stream.send_all(HANDSHAKE.replace(b"Upgrade: websocket", b"Upgrade: tea"))
        assert (await read(stream)).startswith(b"HTTP/1.1 4")


async def test_a_head_has_a_size(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox, bystander_of(sandbox):
        stream = await sandbox.connect(ADDRESS)
        await stream.send_all(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)
        assert (await read(stream)).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


@pytest.mark.parametrize("attempt", range(8))  # trio decides by chance which task is first
async def test_empty_fragments_come_to_an_end(
    attempt: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_UNFINISHED", 10_000)
    async with open_sandbox(listen=False) as sandbox, bystander_of(sandbox):
        stream = await sandbox.connect(ADDRESS)
        await stream.send_all(HANDSHAKE)
        assert await stream.receive_some()  # else the end may come while the answer to the handshake is written
        await stream.send_all(frame(0x01, b"") + frame(0x00, b"") * 5_000)
        assert closed_with(await read(stream)) == 1009


async def test_methods_that_do_not_exist_are_not_kept(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False, limits=UNLIMITED) as sandbox, peer_of(sandbox) as peer:
        for number in range(100):
            assert (await peer.call(f"method.{number}"))["error"]["code"] == -1020
        assert sandbox.received == {connection.UNKNOWN_METHOD: 100}


@pytest.mark.untraced
async def test_g11_a_peer_that_does_not_read_is_held_back(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_UNREAD", 1_000)
    connections = Connections(Exchange(SYMBOLS, UNLIMITED), Script(), Timings(), lambda: 1)
    async with _stuck(connections) as (stream, let_go):
        await stream.send_all(text(PING) * 10_000)
        await wait_all_tasks_blocked()
        assert connections.received["ping"] < 100
        let_go.set()
        await wait_all_tasks_blocked()
        assert connections.received["ping"] == 10_000


async def test_g11_a_peer_that_never_reads_is_cut(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_BACKLOG", 1_000)
    connections = Connections(Exchange(SYMBOLS, UNLIMITED), Script(), Timings(), lambda: 1)
    async with _stuck(connections) as (stream, _):
        (alone,) = connections.open.values()
        for _number in range(10):
            alone.send(b"x" * 500)
        await wait_all_tasks_blocked()
        assert connections.open == {}
        assert len(bytes(await stream.receive_some())) < 2_000


@asynccontextmanager
async def _stuck(connections: Connections) -> AsyncGenerator[tuple[trio.abc.Stream, trio.Event], None]:
    """A connection to which no write comes to its end, after the handshake and until it is let go."""
    ours, theirs = memory_stream_pair()
    let_go = trio.Event()
    pump = theirs.send_stream.send_all_hook
    assert pump is not None

    async def stick() -> None:
        await pump()
        if connections.open:
            await let_go.wait()

    theirs.send_stream.send_all_hook = stick
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Server(connections).serve, theirs)
        await ours.send_all(HANDSHAKE)
        assert b"101" in bytes(await ours.receive_some())
        await wait_all_tasks_blocked()
        yield ours, let_go
        nursery.cancel_scope.cancel()


# Sockets


@pytest.mark.parametrize("tls", [False, True])
async def test_g11_sockets_that_are_reset_cut_off_or_send_anything(tls: bool) -> None:
    async with open_sandbox(tls=tls, limits=UNLIMITED) as sandbox, bystander_of(sandbox):
        (address,) = sandbox.endpoint.addresses(time_unit="ms")
        for number in range(60):
            client = socket.create_connection((address.host, address.port))
            if number % 3:
                client.sendall((HANDSHAKE + text(b"[" * 5_000), b"\xff" * 100)[number % 3 - 1])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", number % 2, 0))
            client.close()
        await trio.lowlevel.checkpoint()


async def test_a_socket_whose_peer_is_gone_has_no_address() -> None:
    """A connection may be reset between its accept and the first look at it."""
    ours, theirs = await _socket_pair()
    theirs.socket.close()
    assert wire.Wire(theirs).address == "gone"
    await ours.aclose()


async def _socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream(*listener.socket.getsockname())
        return client, await listener.accept()
