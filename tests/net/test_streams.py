"""Streams: what trio demands of them, TLS in pieces of any size, and servers by two other libraries."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from bintrio._net.streams import PromptStream, TcpStream, TlsStream, close_at_once, connect_tcp
from bintrio.endpoints import Address

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert("localhost")
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
MUCH = b"much" * 2**20  # more than the kernel takes
SMALL_BUFFER = 64 * 1024


def sockets() -> tuple[socket.socket, socket.socket]:
    """The two ends of a TCP connection. Little fits into it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ours = socket.socket()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        ours.connect(listener.getsockname())
        return ours, listener.accept()[0]


def tcp_pair() -> tuple[TcpStream, trio.SocketStream]:
    ours, theirs = sockets()
    theirs.setblocking(False)
    return TcpStream(ours), trio.SocketStream(trio.socket.from_stdlib_socket(theirs))


def client_context(version: ssl.TLSVersion | None = None, *, authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def server_context(certificate: trustme.LeafCert = CERTIFICATE) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with certificate.private_key_and_cert_chain_pem.tempfile() as path:
        context.load_cert_chain(path)
    return context


async def tls_pair(
    transport: PromptStream,
    server: trio.abc.Stream,
    *,
    version: ssl.TLSVersion | None = None,
    certificate: trustme.LeafCert = CERTIFICATE,
    https_compatible: bool = False,
) -> tuple[TlsStream, trio.SSLStream[trio.abc.Stream]]:
    """Our client and trio's server, hands shaken."""
    ours = TlsStream(transport, client_context(version), server_hostname="localhost")
    theirs = trio.SSLStream(server, server_context(certificate), server_side=True, https_compatible=https_compatible)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.do_handshake)
        nursery.start_soon(theirs.do_handshake)
    return ours, theirs


async def tls_over_tcp(version: ssl.TLSVersion | None = None) -> tuple[TlsStream, trio.SSLStream[trio.abc.Stream]]:
    return await tls_pair(*tcp_pair(), version=version)


async def received(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    """So many bytes; fewer if the stream ends."""
    data = b""
    while len(data) < size and (more := await stream.receive_some()):
        data += more
    return data


# What trio demands of a stream


async def test_tcp_is_a_stream_by_trio_s_own_checks() -> None:
    async def pair() -> tuple[Any, Any]:
        ours, theirs = sockets()
        return TcpStream(ours), TcpStream(theirs)

    async def clogged_pair() -> tuple[Any, Any]:
        # Not TCP, which has places unseen where bytes may hide and make room again.
        ours, theirs = map(TcpStream, socket.socketpair())
        for stream in (ours, theirs):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel_when_blocked, scope)
                    await stream.send_all(MUCH)
        return ours, theirs

    await trio.testing.check_two_way_stream(pair, clogged_pair)


@pytest.mark.parametrize("version", VERSIONS)
async def test_tls_is_a_stream_by_trio_s_own_checks(version: ssl.TLSVersion) -> None:
    async def pair() -> tuple[Any, Any]:
        return await tls_over_tcp(version)

    await trio.testing.check_two_way_stream(pair, None)


# Streams that are handed over piece by piece


class Trickle(PromptStream):
    """One end of a connection in memory that takes and gives only so much at once.

    Args:
        stream: our end.
        peer: the other end, which is given what is sent.
        takes: how many bytes are taken at once, by turns.
        gives: how many bytes are received at once, by turns.
    """

    def __init__(
        self, stream: trio.abc.Stream, peer: Callable[[bytes], object], takes: Iterator[int], gives: Iterator[int]
    ) -> None:
        self._stream = stream
        self._peer = peer
        self._takes = takes
        self._gives = gives
        self.unsent = b""
        self.is_broken = False

    def send_nowait(self, data: bytes) -> bool:
        if self.is_broken:
            raise trio.BrokenResourceError
        self.unsent += data
        size = next(self._takes)
        sent, self.unsent = self.unsent[:size], self.unsent[size:]
        if sent:
            self._peer(sent)
        return not self.unsent

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        is_sent = self.send_nowait(bytes(data))
        while not is_sent:
            await trio.lowlevel.checkpoint()
            is_sent = self.send_nowait(b"")

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(next(self._gives)))

    async def aclose(self) -> None:
        await self._stream.aclose()


def cycled(sizes: list[int]) -> Iterator[int]:
    while True:
        yield from sizes


def trickle(takes: list[int] | None = None, gives: list[int] | None = None) -> tuple[Trickle, trio.abc.Stream]:
    ours, theirs = trio.testing.memory_stream_pair()
    return Trickle(ours, theirs.receive_stream.put_data, cycled(takes or [2**20]), cycled(gives or [2**20])), theirs


SIZES = st.lists(st.integers(1, 700), max_size=5).map(lambda sizes: [*sizes, 3000])
TEXTS = st.lists(st.binary(min_size=1, max_size=400) | st.just(b"x" * 20_000), max_size=4)


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=40)
@given(takes=SIZES, gives=SIZES, up=TEXTS, down=TEXTS, at_once=st.booleans(), asked=st.integers(30, 70_000))
def test_tls_carries_everything_however_it_is_split(
    version: ssl.TLSVersion,
    takes: list[int],
    gives: list[int],
    up: list[bytes],
    down: list[bytes],
    at_once: bool,
    asked: int,
) -> None:
    async def main() -> None:
        ours, theirs = await tls_pair(*trickle([0, *takes], gives), version=version)

        async def send_up() -> None:
            for data in up:
                if at_once:
                    ours.send_nowait(data)
                else:
                    await ours.send_all(data)
            await ours.send_all(b"")

        async def send_down() -> None:
            for data in down:
                await theirs.send_all(data)
            await theirs.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_up)
            assert await received(theirs, len(b"".join(up))) == b"".join(up)
            nursery.start_soon(send_down)
            assert await in_pieces(ours, asked) == b"".join(down)
        await ours.aclose()

    trio.run(main)


async def in_pieces(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    """All that comes, read by at most so many bytes."""
    pieces: list[bytes] = []
    while piece := bytes(await stream.receive_some(size)):
        assert len(piece) <= size
        pieces.append(piece)
    return b"".join(pieces)


# Sending


async def test_what_the_kernel_takes_leaves_at_once() -> None:
    ours, theirs = tcp_pair()
    async with ours, theirs:
        with trio.testing.assert_no_checkpoints():
            assert ours.send_nowait(b"")
            assert ours.send_nowait(b"now")
        assert await theirs.receive_some() == b"now"


@pytest.mark.parametrize("secure", [False, True])
async def test_what_the_kernel_does_not_take_leaves_before_what_comes_later(secure: bool) -> None:
    ours, theirs = await tls_over_tcp() if secure else tcp_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        assert not ours.send_nowait(MUCH)
        assert not ours.send_nowait(b"later")
        assert not ours.send_nowait(b"")
        nursery.start_soon(ours.send_all, b"last")
        assert await received(theirs, len(MUCH) + 9) == MUCH + b"laterlast"
        assert ours.send_nowait(b"")


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("is_full", [False, True])
async def test_g6_a_cancelled_send_leaves_the_stream_whole(secure: bool, is_full: bool) -> None:
    ours, theirs = await tls_over_tcp() if secure else tcp_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        # At the entry nothing is sent; in the middle, the rest leaves with what is sent next.
        with trio.CancelScope() as scope:
            if is_full:
                nursery.start_soon(cancel_when_blocked, scope)
            else:
                scope.cancel()
            await ours.send_all(MUCH)
        assert scope.cancelled_caught
        nursery.start_soon(ours.send_all, b"next")
        expected = (MUCH if is_full else b"") + b"next"
        assert await received(theirs, len(expected)) == expected


async def cancel_when_blocked(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


@pytest.mark.parametrize("secure", [False, True])
async def test_only_one_task_may_send(secure: bool) -> None:
    ours, theirs = await tls_over_tcp() if secure else tcp_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, MUCH)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await ours.send_all(b"x")
        with pytest.raises(trio.BusyResourceError):
            await ours.wait_send_all_might_not_block()
        assert await received(theirs, len(MUCH)) == MUCH  # no byte of another


async def reset(stream: trio.SocketStream) -> None:
    """Close so that the other end's next write fails."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await stream.aclose()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_connection_that_was_reset_is_broken(secure: bool) -> None:
    transport, peer = tcp_pair()
    ours = (await tls_pair(transport, peer))[0] if secure else transport
    await reset(peer)
    for expected in (errno.ECONNRESET, errno.EPIPE):
        with pytest.raises(
            trio.BrokenResourceError, match="the connection is broken: connection reset by peer"
        ) as caught:
            ours.send_nowait(b"x")
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == expected
    with pytest.raises(trio.BrokenResourceError):
        await ours.send_all(b"x")
    await ours.aclose()


@pytest.mark.parametrize("secure", [False, True])
async def test_reading_from_a_connection_that_was_reset(secure: bool) -> None:
    transport, peer = tcp_pair()
    ours = (await tls_pair(transport, peer))[0] if secure else transport
    await reset(peer)
    with pytest.raises(trio.BrokenResourceError, match="reset by peer"):
        await ours.receive_some()
    await ours.aclose()


@pytest.mark.parametrize("is_told", [False, True])
async def test_a_handshake_with_a_peer_that_resets_says_so(is_told: bool) -> None:
    """The kernel tells of a reset once, and TLS only sees an early end after that."""
    transport, peer = tcp_pair()
    await reset(peer)
    if is_told:
        with pytest.raises(trio.BrokenResourceError):
            transport.send_nowait(b"x")
    ours = TlsStream(transport, client_context(), server_hostname="localhost")
    with pytest.raises(trio.BrokenResourceError, match="the connection is broken: connection reset by peer"):
        await ours.do_handshake()
    await ours.aclose()


# Receiving


async def test_a_vain_awakening_is_slept_off(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = tcp_pair()
    wait = trio.lowlevel.wait_readable
    waits = 0

    async def wait_once_in_vain(awaited: socket.socket) -> None:
        nonlocal waits
        waits += 1
        if waits > 1:
            await wait(awaited)

    monkeypatch.setattr(trio.lowlevel, "wait_readable", wait_once_in_vain)
    async with ours, theirs, trio.open_nursery() as nursery:
        nursery.start_soon(send_when_blocked, theirs, b"at last")
        assert await ours.receive_some() == b"at last"
    assert waits == 2


async def send_when_blocked(stream: trio.abc.SendStream, data: bytes) -> None:
    await trio.testing.wait_all_tasks_blocked()
    await stream.send_all(data)


@pytest.mark.parametrize("secure", [False, True])
async def test_receiving_is_a_checkpoint_when_data_is_at_hand(secure: bool) -> None:
    ours, theirs = await tls_over_tcp() if secure else tcp_pair()
    async with ours, theirs:
        await theirs.send_all(b"abcd")
        for expected in (b"a", b"b"):  # the second is decrypted already
            with trio.CancelScope() as scope:
                scope.cancel()
                await ours.receive_some(1)
            assert scope.cancelled_caught
            with trio.testing.assert_checkpoints():
                assert await ours.receive_some(1) == expected
        assert await ours.receive_some() == b"cd"


async def test_many_records_come_at_once() -> None:
    ours, theirs = await tls_pair(*trickle())
    for number in range(10):
        await theirs.send_all(b"%d" % number)
    assert await ours.receive_some() == b"0123456789"


@pytest.mark.parametrize("version", VERSIONS)
async def test_close_notify_is_the_end(version: ssl.TLSVersion) -> None:
    ours, theirs = await tls_over_tcp(version)
    await theirs.send_all(b"all of it")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.aclose)
        assert await received(ours, 10) == b"all of it"
    for _ in range(2):
        with trio.testing.assert_checkpoints():
            assert await ours.receive_some() == b""
    await ours.aclose()


@pytest.mark.parametrize("tail", [b"", b"\x17\x03\x03\x01\x00half a record"])
async def test_the_end_of_tcp_is_the_end_too(tail: bytes) -> None:
    transport, peer = tcp_pair()
    ours, theirs = await tls_pair(transport, peer, https_compatible=True)
    await theirs.send_all(b"all of it")
    await peer.send_all(tail)
    await theirs.aclose()
    assert await received(ours, 10) == b"all of it"
    assert await ours.receive_some() == b""
    await ours.aclose()


async def test_a_half_closed_peer_can_still_be_written_to() -> None:
    ours, theirs = tcp_pair()
    async with ours, theirs:
        await theirs.send_eof()
        assert await ours.receive_some() == b""
        assert await ours.receive_some() == b""
        assert ours.send_nowait(b"heard?")
        assert await theirs.receive_some() == b"heard?"


async def test_what_came_before_garbage_is_read_first() -> None:
    transport, peer = trickle()
    ours, theirs = await tls_pair(transport, peer)
    await theirs.send_all(b"good")
    await peer.send_all(b"\x17\x03\x03\x00\x05wrong")
    await trio.testing.wait_all_tasks_blocked()
    assert await ours.receive_some() == b"good"
    for use in (ours.receive_some, ours.wait_send_all_might_not_block, lambda: ours.send_all(b"x")):
        with pytest.raises(trio.BrokenResourceError) as caught:
            await use()
        assert isinstance(caught.value.__cause__, ssl.SSLError)
    with pytest.raises(trio.BrokenResourceError):
        ours.send_nowait(b"x")
    with pytest.raises(trio.BrokenResourceError) as told:  # by an alert
        await theirs.receive_some()
    assert "BAD_RECORD_MAC" in str(told.value.__cause__)


async def test_what_came_is_read_though_nothing_can_be_sent() -> None:
    transport, peer = trickle()
    ours, theirs = await tls_pair(transport, peer)
    await theirs.send_all(b"good")
    await peer.send_all(b"\x17\x03\x03\x00\x05wrong")
    await trio.testing.wait_all_tasks_blocked()
    transport.is_broken = True  # so there is no telling the server
    assert await ours.receive_some() == b"good"
    with pytest.raises(trio.BrokenResourceError, match="TLS failed"):
        await ours.receive_some()


# Closing


@pytest.mark.parametrize("secure", [False, True])
async def test_closing_wakes_whoever_waits(secure: bool) -> None:
    ours, theirs = await tls_over_tcp() if secure else tcp_pair()

    async def wait(use: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await use()

    async with theirs, trio.open_nursery() as nursery:
        nursery.start_soon(wait, ours.receive_some)
        nursery.start_soon(wait, lambda: ours.send_all(MUCH))
        await trio.testing.wait_all_tasks_blocked()
        await ours.aclose()
        await ours.aclose()
    for use in (ours.receive_some, ours.wait_send_all_might_not_block, lambda: ours.send_all(b"")):
        with pytest.raises(trio.ClosedResourceError):
            await use()
    with pytest.raises(trio.ClosedResourceError):
        ours.send_nowait(b"x")


@pytest.mark.parametrize("version", VERSIONS)
async def test_closing_says_goodbye_without_waiting_for_an_answer(version: ssl.TLSVersion) -> None:
    ours, theirs = await tls_over_tcp(version)
    await ours.send_all(b"all of it")
    with trio.CancelScope() as scope:
        scope.cancel()
        await ours.aclose()
    assert scope.cancelled_caught
    assert await received(theirs, 10) == b"all of it"  # trio's server, unlike us, insists on a close_notify
    await theirs.aclose()


async def test_before_the_handshake_nothing_can_be_sent() -> None:
    transport, theirs = trickle()
    async with theirs, TlsStream(transport, client_context(), server_hostname="localhost") as ours:
        with pytest.raises(trio.BrokenResourceError, match="TLS failed"):
            ours.send_nowait(b"too early")


async def test_closing_before_the_handshake() -> None:
    transport, theirs = trickle()
    await TlsStream(transport, client_context(), server_hostname="localhost").aclose()
    assert await theirs.receive_some() == b""


async def test_closing_at_once_waits_for_nothing_and_raises_nothing() -> None:
    class Stuck(trio.abc.AsyncResource):
        is_closed = False

        async def aclose(self) -> None:
            self.is_closed = True
            await trio.sleep_forever()

    class Broken(trio.abc.AsyncResource):
        async def aclose(self) -> None:
            raise trio.BrokenResourceError

    stuck = Stuck()
    await close_at_once(stuck)
    assert stuck.is_closed
    await close_at_once(Broken())


# Connecting


@asynccontextmanager
async def echo_server(certificate: trustme.LeafCert | None = None) -> AsyncGenerator[Address]:
    """A server by trio that echoes."""

    async def echo(stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            while data := await stream.receive_some():
                await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        listeners: Any = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        if certificate is not None:
            listeners = [trio.SSLListener(listener, server_context(certificate)) for listener in listeners]
        await nursery.start(trio.serve_listeners, echo, listeners)
        yield Address(host="localhost", port=port, secure=certificate is not None, resource="/")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("secure", [False, True])
async def test_connecting(secure: bool) -> None:
    async with echo_server(CERTIFICATE if secure else None) as address:
        stream = await connect_tcp(address, ssl_context=client_context())
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, MUCH)
            assert await received(stream, len(MUCH)) == MUCH


async def test_nagle_is_off() -> None:
    async with echo_server() as address:
        stream = await connect_tcp(address)
        assert isinstance(stream, TcpStream)
        async with stream:
            assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_g4_tcp_is_told_to_notice_a_host_that_is_gone() -> None:
    """As far as the platform knows how."""
    expected = {"TCP_USER_TIMEOUT": 15_000, "TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
    async with echo_server() as address:
        stream = await connect_tcp(address)
        assert isinstance(stream, TcpStream)
        async with stream:
            assert stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            known = {name: getattr(socket, name) for name in expected if hasattr(socket, name)}
            for name, number in known.items():
                assert stream.socket.getsockopt(socket.IPPROTO_TCP, number) == expected[name]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_by_asyncio(version: ssl.TLSVersion) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            writer.write(data)
        writer.close()

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_context())
        port: int = server.sockets[0].getsockname()[1]
        trio.from_thread.run_sync(opened.send_nowait, (port, loop, stop))
        await stop.wait()
        server.close()

    opened, addresses = trio.open_memory_channel[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, lambda: asyncio.run(serve()))
        port, loop, stop = await addresses.receive()
        address = Address(host="localhost", port=port, secure=True, resource="/")
        try:
            async with await connect_tcp(address, ssl_context=client_context(version)) as stream:
                for size in (1, 16_384, 16_385, 300_000):
                    async with trio.open_nursery() as sending:  # the echo may be there before `send_all` is over
                        sending.start_soon(stream.send_all, b"y" * size)
                        assert await received(stream, size) == b"y" * size
        finally:
            loop.call_soon_threadsafe(stop.set)


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_certificate_that_does_not_fit_is_refused(trusted: bool) -> None:
    async with echo_server(AUTHORITY.issue_cert("elsewhere.example")) as address:
        context = client_context(authority=AUTHORITY if trusted else trustme.CA())
        with pytest.raises(trio.BrokenResourceError) as caught:
            await connect_tcp(address, ssl_context=context)
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_a_server_that_ends_the_handshake() -> None:
    transport, theirs = trickle()
    async with theirs:
        ours = TlsStream(transport, client_context(), server_hostname="localhost")
        async with trio.open_nursery() as nursery:

            async def hang_up() -> None:
                assert await theirs.receive_some()
                await theirs.aclose()

            nursery.start_soon(hang_up)
            with pytest.raises(trio.BrokenResourceError) as caught:
                await ours.do_handshake()
    assert isinstance(caught.value.__cause__, ssl.SSLEOFError)


async def test_a_tls_handshake_that_is_cancelled_closes_the_socket() -> None:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        address = Address(host="127.0.0.1", port=listener.socket.getsockname()[1], secure=True, resource="/")
        scope = trio.CancelScope()

        async def connect() -> None:
            with scope:
                await connect_tcp(address)

        nursery.start_soon(connect)
        async with await listener.accept() as accepted:
            assert await accepted.receive_some()  # the client's hello
            scope.cancel()
            while await accepted.receive_some():
                pass  # until the client's end
        await listener.aclose()
    assert scope.cancelled_caught


async def test_nobody_listens() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = Address(host="127.0.0.1", port=listener.socket.getsockname()[1], secure=False, resource="/")
    await listener.aclose()
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await connect_tcp(address)
