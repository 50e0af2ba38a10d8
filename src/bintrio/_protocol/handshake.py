"""The answer to an opening handshake, as far as it is HTTP: its head, and the body of a refusal. Pure functions.

Whether the handshake succeeded is trio-websocket's to say. What is here is for the answers that say no: from the
exchange, its firewall, a proxy or a hotel's login page.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from .._text import one_line
from ..errors import HandshakeRejected

MAX_HEAD: Final = 16 * 1024
"""Bytes of the status line and headers together."""

MAX_BODY: Final = 64 * 1024
"""Bytes kept of a refusal's body."""

_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r\n")
_SHORTEST_SECRET: Final = 6  # characters; a shorter value of a query is no secret, and would be found in any text
_TLS: Final = (b"\x15\x03", b"\x16\x03")  # an alert, a handshake


def is_http(received: bytes) -> bool:
    """Whether it can be the start of an HTTP answer."""
    # It may have been cut anywhere, also before its status.
    status = received[9:12]
    return b"HTTP/1.".startswith(received[:7]) and (status.isdigit() or not status)


def is_echo(received: bytes) -> bool:
    """Whether it begins as our own request does, whose secrets may be cut anywhere."""
    return received.startswith(b"GET ")


def odd_answer(received: bytes) -> str:
    """What to call an answer that is not one to an opening handshake."""
    said = "the opening handshake was not answered properly"
    if received.startswith(_TLS):
        return f"{said}: the server speaks TLS, so its URL begins with wss://"
    # Nothing of it is shown: our own request has the secrets of the URL in it.
    if is_echo(received):
        return f"{said}, but with our own request"
    start = one_line(received[:40].decode("latin-1"))
    return f"{said}, but with {start!r}" if start else said


def rejection(head: bytes, secrets: Sequence[bytes]) -> HandshakeRejected:
    """The refusal that a head tells of, its body still empty.

    Args:
        head: status line and headers, up to the blank line.
        secrets: what is hidden wherever it is repeated: `secrets_of`.
    """
    first, *lines = hide(secrets, head).decode("latin-1").split("\r\n")[:-2]
    # The last two parts are empty: the head ends with a blank line.
    fields = (line.partition(":") for line in lines)
    headers = [(name.lower(), value.strip()) for name, _, value in fields]
    return HandshakeRejected(int(head[9:12]), headers, reason=first[13:].strip())


def read_body(rejected: HandshakeRejected, received: bytes) -> tuple[bytes, bool]:
    """The body of a refusal as far as it has come, without its encoding in chunks; and whether that is all of it."""
    codings = _codings(rejected.headers)
    # The last coding says how the body ends (RFC 9112, 6.3).
    if codings[-1:] == ["chunked"]:
        body, is_whole = _dechunked(received)
    else:
        # Beside a coding a length means nothing. Without one, the body ends with the connection.
        size = None if codings else rejected.content_length
        body, is_whole = received[:size], size is not None and len(received) >= size
    return body[:MAX_BODY], is_whole or len(body) >= MAX_BODY


def _codings(headers: Iterable[tuple[str, str]]) -> list[str]:
    """What Transfer-Encoding names, in the order in which it was applied."""
    # A list may be given in several lines, and names of codings are in any case (RFC 9112, 7).
    said = ",".join(value for name, value in headers if name == "transfer-encoding")
    return [coding.lower() for part in said.split(",") if (coding := part.strip())]


def _dechunked(received: bytes) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    position = 0
    while (header := _CHUNK.match(received, position)) is not None:
        size = int(header[1], 16)
        # The last chunk is empty (RFC 9112, 7.1).
        if not size:
            return b"".join(pieces), True
        pieces.append(received[header.end() : header.end() + size])
        # A line break follows each chunk.
        position = header.end() + size + 2
    return b"".join(pieces), False


def secrets_of(resource: str, headers: Sequence[tuple[str, str]]) -> tuple[bytes, ...]:
    """What was sent with an opening handshake and is nobody else's business, in the forms in which servers repeat it.

    Values of the query, and what stands there without a name; of an Authorization header what it says, the password
    and the user.
    """
    # Values of the query, since a URL of one's own may hold a token.
    found = {value for value in _values_of(urlsplit(resource).query) if len(value) >= _SHORTEST_SECRET}
    for value in (value for name, value in headers if name.lower() == "authorization"):
        found |= _credentials(value)
    # The longest first, since one may be part of another.
    return tuple(value.encode() for value in sorted(found, key=len, reverse=True))


def _values_of(query: str) -> set[str]:
    parts = [part.partition("=") for part in query.split("&")]
    # What has no name may be a token by itself.
    raw = [value if is_named else name for name, is_named, value in parts]
    decoded = [value or name for name, value in parse_qsl(query, keep_blank_values=True)]
    return {*raw, *decoded, *map(quote_plus, raw)}


def _credentials(authorization: str) -> set[str]:
    encoded = authorization.rpartition(" ")[2]
    user, _, password = base64.b64decode(encoded).decode(errors="replace").partition(":")
    users = {user, quote(user, safe="")} if len(user) >= _SHORTEST_SECRET else set[str]()
    return {encoded, f"{user}:{password}", password, quote(password, safe=""), *users} - {""}


def hide(secrets: Sequence[bytes], answer: bytes) -> bytes:
    """An answer without the secrets of our own opening handshake: three asterisks stand in the place of each."""
    for secret in secrets:
        answer = answer.replace(secret, b"***")
    return answer
