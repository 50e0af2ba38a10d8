"""Answers to an opening handshake that say no, read as far as they are HTTP."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.handshake import MAX_BODY, hide, is_http, odd_answer, read_body, rejection, secrets_of
from bintrio.endpoints import Address
from bintrio.errors import HandshakeRejected

RESOURCE = "/ws-api/v3?timeUnit=MICROSECOND&token=T0KEN%2FT0KEN&x=1&bare%2FT0KEN"
AUTHORIZATION = Address("h", 1, True, "/", f"Basic {base64.b64encode(b'T0KEN-user:T0/KEN').decode()}").headers


def head(status_line: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([status_line, *headers, b"", b""])


def refused(status_line: bytes, *headers: bytes, body: bytes = b"") -> HandshakeRejected:
    secrets = secrets_of(RESOURCE, AUTHORIZATION)
    error = rejection(head(status_line, *headers), secrets)
    error.body = hide(secrets, body)
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            refused(b"HTTP/1.1 451 ", body=b'{"code":0,"msg":"Not from here."}'),
            "451 Unavailable For Legal Reasons: Not from here.",
        ),
        (refused(b"HTTP/1.1 403 Forbidden", body=b"<h1>Request blocked.</h1>"), "403 Forbidden: Request blocked."),
        (refused(b"HTTP/1.1 302 Found", b"Location: http://a.test/login?x=1"), "302 Found (location: http://a.test/login?…)"),
        (refused(b"HTTP/1.1 302 Found", b"Location: http://me:word@a.test/"), "302 Found (location: http://a.test/)"),
        (refused(b"HTTP/1.1 407 No", b"Proxy-Authenticate: Basic"), "407 No (proxy-authenticate: Basic)"),
        (
            refused(b"HTTP/1.1 503 Busy", b"Retry-After: 120", b"Location: /wait", body=b"later"),
            "503 Busy: later (retry-after: 120, location: /wait)",
        ),
        (refused(b"HTTP/1.1 599"), "599"),
        (refused(b"HTTP/1.1 400 \x1b[2J" + b"x" * 500), "400 [2J" + "x" * 196 + "…"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_the_server_said(error: HandshakeRejected, expected: str) -> None:
    assert str(error) == f"the opening handshake was answered with HTTP {expected}"


def test_g9_no_value_of_our_query_is_repeated() -> None:
    """Neither as it stands in the URL nor decoded; the path and short values, which are no secrets, stay."""
    error = refused(
        b"HTTP/1.1 404 No /ws-api/v3?token=T0KEN%2FT0KEN",
        b"Location: https://else.test/T0KEN/T0KEN",
        b"X-Echo: T0KEN/T0KEN",
        body=b"/ws-api/v3?token=T0KEN%2FT0KEN&amp;x=1 is not here",
    )
    assert "T0KEN" not in f"{error!s}{error!r}{error.headers}{error.reason}{error.body!r}{vars(error)}"
    assert error.body == b"/ws-api/v3?token=***&amp;x=1 is not here"
    assert "/***" in str(error)


@pytest.mark.parametrize("form", [str, unquote, quote, quote_plus])
def test_g9_no_secret_of_our_own_request_is_repeated_in_any_form(form: Callable[[str], str]) -> None:
    said = "".join(f"{form(part)} | " for part in (RESOURCE, *AUTHORIZATION[0], "T0KEN-user:T0/KEN", "T0/KEN"))
    error = refused(b"HTTP/1.1 404 No", f"X-Echo: {said}".encode(), f"Location: {said}".encode(), body=said.encode())
    shown = f"{error!s}{error!r}{vars(error)}"
    for secret in (
        "T0KEN",
        "T0/KEN",
        "T0%2FKEN",
        AUTHORIZATION[0][1].partition(" ")[2],
        base64.b64encode(b"T0").decode()[:3],
    ):
        assert secret not in shown
    assert "timeUnit=MICRO" not in shown


def test_g9_our_own_request_is_no_excerpt() -> None:
    assert odd_answer(b"GET /?token=T0K") == "the opening handshake was not answered properly, but with our own request"


@pytest.mark.parametrize(
    ("headers", "received", "expected"),
    [
        ([b"Content-Length: 4"], b"no!", (b"no!", False)),
        ([b"Content-Length: 4"], b"no!!and more", (b"no!!", True)),
        ([], b"until the end", (b"until the end", False)),
        ([], b"x" * (MAX_BODY + 1), (b"x" * MAX_BODY, True)),
        ([], b"x" * 65_537, (b"x" * 65_536, True)),
        ([b"Content-Length: 99999999"], b"x" * MAX_BODY, (b"x" * MAX_BODY, True)),
        ([b"Transfer-Encoding: chunked"], b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n", (b"abcdefg", True)),
        ([b"Transfer-Encoding: chunked"], b"3\r\nabc\r\nA\r\ndef", (b"abcdef", False)),
        ([b"Transfer-Encoding: chunked"], b"no chunk", (b"", False)),
    ],
)
def test_a_body_is_read_to_its_end(headers: list[bytes], received: bytes, expected: tuple[bytes, bool]) -> None:
    assert read_body(refused(b"HTTP/1.1 403 No", *headers), received) == expected


@pytest.mark.parametrize(
    ("headers", "is_chunked"),
    [
        ([b"Transfer-Encoding: chunked"], True),
        ([b"TRANSFER-ENCODING:Chunked"], True),
        ([b"transfer-encoding: \tCHUNKED "], True),
        ([b"Transfer-Encoding: gzip, chunked"], True),
        ([b"Transfer-Encoding: gzip,\tCHUNKED"], True),
        ([b"Transfer-Encoding: chunked, ,"], True),  # RFC 9110, 5.6.1: empty elements are ignored
        ([b"Transfer-Encoding: gzip", b"Server: x", b"Transfer-Encoding: chunked"], True),
        ([b"Content-Length: 2", b"Transfer-Encoding: chunked"], True),
        ([b"Transfer-Encoding: chunked, gzip"], False),
        ([b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip"], False),
        ([b"Transfer-Encoding: gzip"], False),
        ([b"Transfer-Encoding: xchunked"], False),
        ([b"Transfer-Encoding: "], False),
        ([b"X-Transfer-Encoding: chunked"], False),
        ([b"TE: chunked"], False),
    ],
)
def test_a_body_is_in_chunks_if_that_is_its_last_coding_in_whatever_form(
    headers: list[bytes], is_chunked: bool
) -> None:
    """RFC 9112, 6.1 and 7: a list, over several lines too, of names in whatever case."""
    received = b"3\r\nabc\r\n0\r\n\r\n"
    expected = (b"abc", True) if is_chunked else (received, False)
    assert read_body(refused(b"HTTP/1.1 403 No", *headers), received) == expected


@pytest.mark.parametrize("coding", [b"gzip", b"chunked, gzip"])
def test_a_length_means_nothing_beside_a_coding(coding: bytes) -> None:
    """RFC 9112, 6.3: such a body ends with the connection."""
    error = refused(b"HTTP/1.1 403 No", b"Content-Length: 2", b"Transfer-Encoding: " + coding)
    assert read_body(error, b"more than 2") == (b"more than 2", False)


@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(min_value=0, max_value=200))
def test_chunks_cut_anywhere_are_the_start_of_the_body(pieces: list[bytes], cut: int) -> None:
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    error = refused(b"HTTP/1.1 403 No", b"Transfer-Encoding: chunked")
    body, is_whole = read_body(error, chunked[:cut])
    assert b"".join(pieces).startswith(body)
    assert is_whole is (cut >= len(chunked) - 2)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"", "properly"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "properly, but with 'SSH-2.0-OpenSSH_9.6'"),
        (b"x" * 41, f"properly, but with '{'x' * 40}'"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "properly: the server speaks TLS, so its URL begins with wss://"),
    ],
)
def test_an_answer_that_is_none_is_told(received: bytes, expected: str) -> None:
    assert not received or not is_http(received)
    assert odd_answer(received) == f"the opening handshake was not answered {expected}"
