"""Whether what goes over a stream can be read on the way (G9).

Mostly the URL tells: `wss` is private, and so is an address of this machine. But a user's `connect` may open what it
likes, so the stream itself is looked at as well. Over a plain socket the other end must be on this machine, whatever
the URL says: `connect` has to speak TLS itself. Streams in memory and TLS are private whatever the URL says, unless it
is a proxy where they end: it reads what it passes on. Of any other stream only the URL is known.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from .._protocol.chance import Chance
from .._protocol.settings import check_privacy
from ..endpoints import Address, is_loopback
from ..errors import InvalidRequest
from .streams import PromptStream, TcpStream, TlsStream, close_at_once
from .tasks import past_ctrl_c


async def open_stream(
    connect: Callable[[Address], Awaitable[trio.abc.Stream]], address: Address, chance: Chance
) -> trio.abc.Stream:
    """Have a stream to an address opened, over which a session may begin.

    Raises:
        InvalidRequest: others could read a password in the URL, or what follows from a seed.
        Exception: what ``connect`` raises.
    """
    stream = await past_ctrl_c(connect, address)
    try:
        check_chance(chance, stream)
        # Keys come later, but a password goes out with the handshake.
        check_privacy(address, None, is_private=is_private(address, stream))
    except InvalidRequest:
        await close_at_once(stream)
        raise
    return stream


def is_private(address: Address, stream: trio.abc.Stream) -> bool:
    """Whether nobody else can read what is sent to an address over a stream."""
    sending = _sending(stream)
    # It ends at a proxy, which can read what it passes on.
    if isinstance(sending, PromptStream) and sending.is_relayed:
        return False
    if isinstance(sending, TlsStream | trio.SSLStream) or _is_in_memory(sending):
        return True
    if isinstance(sending, TcpStream | trio.SocketStream):
        return address.is_private and _ends_here(sending)
    return address.is_private


def check_chance(chance: Chance, stream: trio.abc.Stream) -> None:
    """Raise `InvalidRequest` if masks and client order ids that follow from a seed would leave this process."""
    sending = _sending(stream)
    if not _is_in_memory(sending):
        check_network(chance, f"a {type(sending).__name__}")


def check_network(chance: Chance, what: str = "the network") -> None:
    """Raise `InvalidRequest` if masks and client order ids that follow from a seed would leave this process by that."""
    if chance.is_predictable:
        said = f"chance from a seed is for streams in memory, not for {what}"
        way = "in open_sandbox(listen=False, storm=...), open_session needs connect=sandbox.connect"
        raise InvalidRequest(f"{said}: {way}", field="connect")


def _sending(stream: Any) -> Any:
    """The part of a stream by which something leaves: what comes in is no secret."""
    stapled: type[Any] = trio.StapledStream
    sending = stream
    # The half that sends may be such a stream again.
    while isinstance(sending, stapled):
        sending = sending.send_stream
    return sending


def _is_in_memory(stream: object) -> bool:
    # Where it was not imported, nobody has made such a stream; importing it takes longer than all of bintrio.
    testing: Any = sys.modules.get("trio.testing")
    return testing is not None and isinstance(stream, testing.MemorySendStream)


def _ends_here(stream: TcpStream | trio.SocketStream) -> bool:
    """Whether the other end of a socket is on this machine."""
    try:
        peer: Any = stream.socket.getpeername()
    except OSError:  # it is gone already
        return False
    # That of a Unix socket is a path, or empty.
    return isinstance(peer, str | bytes) or is_loopback(str(peer[0]))
