"""The answer to an opening handshake, as far as it is HTTP: its head, and the body of a refusal. Pure functions.

Whether the handshake succeeded is trio-websocket's to say. What is here is for the answers that say no: from the
exchange, its firewall, a proxy or a hotel's login page.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from ._words import one_line
from .errors import HandshakeRejected

MAX_HEAD: Final = 16 * 1024
"""Bytes of the status line and headers together."""

MAX_BODY: Final = 64 * 1024
"""Bytes kept of a refusal's body."""

_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r\n")
_SHORTEST_SECRET: Final = 6  # characters; a shorter value of a query is no secret, and would be found in any text
_TLS: Final = (b"\x15\x03", b"\x16\x03")  # an alert, a handshake


def is_http(received: bytes) -> bool:
    """Whether it can be the start of an HTTP answer."""
    status = received[9:12]
    return b"HTTP/1.".startswith(received[:7]) and (status.isdigit() or not status)


def odd_answer(received: bytes) -> str:
    """What to call an answer that is not one to an opening handshake."""
    said = "the opening handshake was not answered properly"
    if received.startswith(_TLS):
        return f"{said}: the server speaks TLS, so its URL begins with wss://"
    start = one_line(received[:40].decode("latin-1"))
    return f"{said}, but with {start!r}" if start else said


def rejection(head: bytes, resource: str) -> HandshakeRejected:
    """The refusal that a head tells of, its body still empty.

    Args:
        head: status line and headers, up to the blank line.
        resource: what was asked for. Values of its query, which may be secret, are hidden wherever they are repeated.
    """
    first, *lines = hide_query(head, resource).decode("latin-1").split("\r\n")[:-2]
    fields = (line.partition(":") for line in lines)
    headers = [(name.lower(), value.strip()) for name, _, value in fields]
    return HandshakeRejected(int(head[9:12]), headers, reason=first[13:].strip())


def read_body(rejected: HandshakeRejected, received: bytes) -> tuple[bytes, bool]:
    """The body of a refusal as far as it has come, without its encoding in chunks; and whether that is all of it."""
    if ("transfer-encoding", "chunked") in rejected.headers:
        body, is_whole = _dechunked(received)
    else:
        size = rejected.content_length
        body, is_whole = received[:size], size is not None and len(received) >= size
    return body[:MAX_BODY], is_whole or len(body) >= MAX_BODY


def _dechunked(received: bytes) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    position = 0
    while (header := _CHUNK.match(received, position)) is not None:
        size = int(header[1], 16)
        if not size:
            return b"".join(pieces), True
        pieces.append(received[header.end() : header.end() + size])
        position = header.end() + size + 2
    return b"".join(pieces), False


def hide_query(answer: bytes, resource: str) -> bytes:
    """An answer without the values of our own query, as they stood there and decoded."""
    query = urlsplit(resource).query
    raw = [part.partition("=")[2] for part in query.split("&")]
    decoded = [value for _, value in parse_qsl(query)]
    for value in sorted({*raw, *decoded}, key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            answer = answer.replace(value.encode(), b"***")
    return answer
