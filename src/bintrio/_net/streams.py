"""TCP and TLS that can also be written to without waiting.

**Why not trio's own.** With one call in flight, most of its time goes into system calls and turns of the scheduler, and
trio's streams take more of both than a call needs: sending always ends in a turn, and receiving tries the socket once
before it waits, though there is hardly ever something to read. So sockets are ours. Names, connecting and waiting
remain trio's, cryptography is the standard library's, and the semantics of the asynchronous methods are those of
`trio.SocketStream` and `trio.SSLStream`.

**Sending has one rule: first in, first out, through one buffer.** `send_nowait` takes everything it is given. What the
kernel does not take at once stays in the buffer of the `TcpStream`, ahead of whatever comes later. So nothing can
overtake, wherever it comes from, and TLS records leave in the order they were made in. `send_all` is `send_nowait` and
waiting until the buffer is empty. If that is cancelled, the rest stays and leaves with what is sent next: a stream is
never torn by a cancellation.

**Reading sometimes has to write:** the answer to a key update, an alert. It does so without waiting. What the kernel
does not take then leaves with what is sent next, which is when the protocol needs it; a reader that waited for the
kernel could wait for a peer that waits for it to read.

**How TLS ends.** As in HTTPS: the end of TCP ends the stream, with or without a close_notify; ours is sent and not
waited for. WebSockets have close frames of their own, so a cut cannot pass for a proper end.

**Left out:** half-closing, the server's side of TLS, and writing in the middle of a renegotiation (TLS 1.2), which
breaks the stream.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from abc import abstractmethod
from contextlib import suppress
from operator import index
from typing import TYPE_CHECKING, Final

import trio

from .._text import said

if TYPE_CHECKING:
    from ..endpoints import Address

STREAM_ERRORS: Final = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
"""What a stream may raise when it can be used no more."""

UNACKNOWLEDGED: Final = 15
"""Seconds after which a connection is broken if nothing that was sent has been acknowledged, or nothing answers."""

_RECEIVE_SIZE: Final = 64 * 1024  # bytes
_CLOSED: Final = (errno.EBADF, errno.ENOTSOCK)  # the latter on Windows


class PromptStream(trio.abc.Stream):
    """A stream that can be written to without waiting.

    Attributes:
        is_relayed: whether it ends at a proxy, which reads what it carries.
    """

    is_relayed = False

    @abstractmethod
    def send_nowait(self, data: bytes) -> bool:
        """Send, as far as that is possible at once.

        All of `data` is taken, in any case. True: everything has left, also what was sent before. False: some of it
        waits, and leaves before what is sent next; ``await send_all(b"")`` finishes it.

        Raises:
            trio.BrokenResourceError: the connection is gone.
            trio.ClosedResourceError: this stream was closed.
        """


class TcpStream(PromptStream):
    """A connected TCP socket.

    Args:
        connected: the socket, which the stream then owns.

    Attributes:
        socket: that socket.
    """

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.socket: Final = connected
        self._unsent = bytearray()
        self._sole_sender = _SoleTask()

    def send_nowait(self, data: bytes | bytearray | memoryview) -> bool:
        """See `PromptStream`."""
        # What the kernel did not take before goes first.
        if self._unsent:
            self._unsent += data
            del self._unsent[: self._send(self._unsent)]
        elif data:
            sent = self._send(data)
            if sent < len(data):
                self._unsent += data[sent:]
        return not self._unsent

    def _send(self, data: bytes | bytearray | memoryview) -> int:
        try:
            return self.socket.send(data)
        except BlockingIOError:
            # The kernel's buffer is full, and has taken none of it.
            return 0
        except OSError as error:
            raise _translated(error) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`. If cancelled, what has not left yet leaves with what is sent next."""
        with self._sole_sender:
            self._check_open()
            # A caller that is cancelled already sends nothing.
            await trio.lowlevel.checkpoint_if_cancelled()
            # It has all left, and nothing was waited for; a method of trio's is a checkpoint nevertheless.
            if self.send_nowait(data):
                await trio.lowlevel.cancel_shielded_checkpoint()
            while self._unsent:
                await trio.lowlevel.wait_writable(self.socket)
                self.send_nowait(b"")

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        with self._sole_sender:
            self._check_open()
            await trio.lowlevel.wait_writable(self.socket)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        size = _checked_size(max_bytes)
        self._check_open()
        while True:
            # There is hardly ever something to read yet, and raising an error takes longer than waiting.
            await trio.lowlevel.wait_readable(self.socket)
            try:
                return self.socket.recv(size)
            except BlockingIOError:
                # The kernel may call a socket readable that is not.
                continue
            except OSError as error:
                raise _translated(error) from error

    async def aclose(self) -> None:
        """Close the socket, and wake whoever waits for it with `trio.ClosedResourceError`."""
        if self.socket.fileno() != -1:
            # Else tasks that wait for the socket would wait for ever.
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()
        await trio.lowlevel.checkpoint()

    def _check_open(self) -> None:
        if self.socket.fileno() == -1:
            raise trio.ClosedResourceError("this stream was closed")


class TlsStream(PromptStream):
    """TLS over another stream, as a client: `do_handshake` comes first.

    Args:
        transport: what the encrypted bytes go through; closed together with this stream.
        context: says what is accepted of the server.
        server_hostname: what the server's certificate must be for.
    """

    def __init__(self, transport: PromptStream, context: ssl.SSLContext, *, server_hostname: str) -> None:
        self._transport = transport
        self._incoming = ssl.MemoryBIO()  # received, to be decrypted
        self._outgoing = ssl.MemoryBIO()  # encrypted, to be sent; empty whenever another task may run
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._sole_sender = _SoleTask()
        self._failure: ssl.SSLError | None = None
        self._lost: Exception | None = None  # why what TLS had to say by itself could not be sent
        self._is_at_end = False  # nothing more will be received
        self._is_closed = False

    async def do_handshake(self) -> None:
        """Agree with the server on keys, and check its certificate. The stream is of no use if that fails.

        Raises:
            trio.BrokenResourceError: it failed. If that was not the connection, the cause is an `ssl.SSLError`.
        """
        while not self._shake_hands():
            # What this step has to say must leave, or the server has nothing to answer.
            await self._transport.send_all(b"")
            data = await self._transport.receive_some()
            if data:
                self._incoming.write(data)
            else:
                # OpenSSL then says what the end means at this point of the handshake.
                self._incoming.write_eof()
        # The last words of the handshake may not have left yet.
        await self._transport.send_all(b"")

    def _shake_hands(self) -> bool:
        """One step of the handshake. False: it takes more from the server."""
        is_done = False
        try:
            self._tls.do_handshake()
            is_done = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            # Kept, since the alert that tells the server why must leave first.
            self._failure = error
        self._reply()
        self._check_usable()
        return is_done

    def send_nowait(self, data: bytes | bytearray | memoryview) -> bool:
        """See `PromptStream`."""
        self._check_usable()
        if data:  # to TLS, nothing would be the end
            try:
                self._tls.write(data)  # all of it, since a MemoryBIO is never full
            except ssl.SSLError as error:
                self._failure = error
                self._check_usable()
        return self._transport.send_nowait(self._outgoing.read())

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`. If cancelled, what has not left yet leaves with what is sent next."""
        with self._sole_sender:
            self._check_usable()
            await trio.lowlevel.checkpoint_if_cancelled()
            self.send_nowait(data)
            await self._transport.send_all(b"")

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        with self._sole_sender:
            self._check_usable()
            await self._transport.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        size = _checked_size(max_bytes)
        data = b""
        # Something may have come together with what was read before. A read of trio's is a checkpoint in any case.
        if self._is_at_end or self._has_input:
            await trio.lowlevel.checkpoint()
            data = self._decrypt(size)
        while not data and not self._is_at_end:
            self._check_usable()
            received = await self._transport.receive_some()
            self._incoming.write(received)
            self._is_at_end = not received
            data = self._decrypt(size)
        return data

    @property
    def _has_input(self) -> bool:
        """Whether something was received that has not been read. It may be too little to be decrypted."""
        return self._incoming.pending > 0 or self._tls.pending() > 0

    def _decrypt(self, size: int) -> bytes:
        """What can be had without receiving more; at most `size` bytes."""
        self._check_usable()
        pieces: list[bytes] = []
        # One record at a time is all that OpenSSL gives, and one read of the socket may bring many.
        while size and self._has_input and (piece := self._read(size)):
            pieces.append(piece)
            size -= len(piece)
        self._reply()
        # A failure is told once everything before it has been returned.
        if not pieces:
            self._check_usable()
        return b"".join(pieces)

    def _read(self, size: int) -> bytes:
        """At most one record; none at the end, after a failure, and if more has to be received."""
        try:
            data = self._tls.read(size)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            self._failure = error  # told once everything before it has been returned
            return b""
        # Nothing, and no error, is the server's close_notify.
        self._is_at_end = self._is_at_end or not data
        return data

    def _reply(self) -> None:
        """Send what TLS has to say by itself. If that fails, there may still be something to read."""
        if self._outgoing.pending:
            try:
                self._transport.send_nowait(self._outgoing.read())
            # Kept, not raised: what came before the connection broke is still to be read.
            except trio.BrokenResourceError as error:
                self._lost = error
            except STREAM_ERRORS:
                pass

    async def aclose(self) -> None:
        """Say goodbye if that is possible at once, and close the transport."""
        if not self._is_closed:
            self._is_closed = True
            with suppress(ssl.SSLError):  # for want of an answer, or of a handshake
                self._tls.unwrap()
            self._reply()
        await self._transport.aclose()

    def _check_usable(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this stream was closed")
        if self._lost is not None and isinstance(self._failure, ssl.SSLEOFError):
            # The kernel tells of a reset once. Whoever reads after that sees a mere end.
            raise self._lost
        if self._failure is not None:
            raise trio.BrokenResourceError(f"TLS failed: {self._failure}") from self._failure


class _SoleTask:
    """Refuses a second task what only one may do at a time."""

    def __init__(self) -> None:
        self._is_busy = False

    def __enter__(self) -> None:
        if self._is_busy:
            raise trio.BusyResourceError("another task is sending on this stream")
        self._is_busy = True

    def __exit__(self, *_: object) -> None:
        self._is_busy = False


def _checked_size(max_bytes: int | None) -> int:
    # `index` refuses a float, as trio's own streams do.
    size = _RECEIVE_SIZE if max_bytes is None else index(max_bytes)
    if size < 1:
        raise ValueError("max_bytes must be at least 1")
    return size


def _translated(error: OSError) -> Exception:
    # Another task closed it meanwhile.
    if error.errno in _CLOSED:
        return trio.ClosedResourceError("this stream was closed")
    # The kernel says "reset by peer" once, and "broken pipe" from then on: this end never closes half of a connection.
    words = os.strerror(errno.ECONNRESET).lower() if error.errno == errno.EPIPE else said(error)
    return trio.BrokenResourceError(f"the connection is broken: {words}")


async def close_at_once(stream: trio.abc.AsyncResource) -> None:
    """Close without waiting for anything, and without raising."""
    # Not `trio.aclose_forcefully`: if a scope around us is cancelled too, that lets a Cancelled out, which would take
    # the place of the exception on its way.
    with suppress(Exception), trio.CancelScope(shield=True) as scope:
        scope.cancel()
        await stream.aclose()


def _watched(connected: socket.socket) -> socket.socket:
    """Have TCP notice by itself that nobody is there any more, where the platform can.

    Without that, a write to a host that has gone is repeated for a quarter of an hour before it fails.
    """
    for level, name, value in (
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", UNACKNOWLEDGED * 1000),  # Linux
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", UNACKNOWLEDGED),
        (socket.IPPROTO_TCP, "TCP_KEEPALIVE", UNACKNOWLEDGED),  # the same on macOS
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    ):
        number = getattr(socket, name, None)
        if number is not None:
            with suppress(OSError):  # a system may know the name and not the option
                connected.setsockopt(level, number, value)
    return connected


async def connect_tcp(address: Address, *, ssl_context: ssl.SSLContext | None = None) -> PromptStream:
    """Connect to an address: TCP, then TLS with a check of the certificate if the address is a secure one.

    Args:
        address: where to.
        ssl_context: for secure addresses; None is Python's default context.

    Raises:
        OSError: the name could not be resolved, or nobody answered.
        trio.BrokenResourceError: TLS failed; the `ssl.SSLError` that says why is its cause.
    """
    stream = await open_tcp(address.host, address.port)
    return await over_tls(stream, address.host, ssl_context) if address.secure else stream


async def open_tcp(host: str, port: int) -> TcpStream:
    """Connect by TCP.

    Raises:
        OSError: the name could not be resolved, or nobody answered.
    """
    # trio tries all addresses of the name, of IPv6 and IPv4, as RFC 8305 has it.
    connected = await trio.open_tcp_stream(host, port)
    # Detached, or trio's object would close the socket that ours has taken over.
    return TcpStream(_watched(socket.socket(fileno=connected.socket.detach())))


async def over_tls(stream: PromptStream, host: str, ssl_context: ssl.SSLContext | None) -> TlsStream:
    """TLS over a stream, as a client that knows whom it talks to. The stream is closed if that fails.

    Raises:
        trio.BrokenResourceError: TLS failed; the `ssl.SSLError` that says why is its cause.
    """
    try:
        # Python's default context is slow to make, for it reads every certificate that the system trusts.
        if ssl_context is None:
            ssl_context = await trio.to_thread.run_sync(ssl.create_default_context)
        secure = TlsStream(stream, ssl_context, server_hostname=host)
        await secure.do_handshake()
    except BaseException:
        # Also if it is cancelled: nobody else has the stream yet.
        await close_at_once(stream)
        raise
    return secure
