"""What others said, in words: errors with their causes, pages, JSON, and what a terminal must not see."""

from __future__ import annotations

import errno
import json
import os
import ssl

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from bintrio._text import EXCERPT, did_you_mean, excerpt, in_words, one_line, said


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


RESET = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
REFUSED = OSError(errno.ECONNREFUSED, "Error connecting to ('127.0.0.1', 9): Connection refused")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RESET, "connection reset by peer"),
        (REFUSED, "Error connecting to ('127.0.0.1', 9): connection refused"),
        (OSError("no route"), "no route"),
        (OSError("odd", "pair"), "[Errno odd] pair"),
        (OSError(10**20, "far out"), f"[Errno {10**20}] far out"),
        (TimeoutError(), ""),
        (trio.BrokenResourceError(), ""),
        (caused(trio.BrokenResourceError(), RESET), "connection reset by peer"),
        (caused(trio.BrokenResourceError("broken"), RESET), "broken: connection reset by peer"),
        (caused(ValueError("it said connection reset by peer"), RESET), "it said connection reset by peer"),
        (caused(ValueError("no more"), TimeoutError()), "no more"),
        (
            caused(OSError("all attempts failed"), ExceptionGroup("both", [RESET, OSError("no route"), RESET])),
            "all attempts failed: connection reset by peer; no route",
        ),
        (ssl.SSLError(1, "[SSL: X] no"), "[SSL: X] no"),
    ],
)  # fmt: skip
def test_an_error_says_what_its_causes_say(error: BaseException, expected: str) -> None:
    kind = type(error).__name__
    assert said(error) == (expected or kind)
    assert in_words(error) == (f"{kind}: {expected}" if expected else kind)


def test_a_cycle_of_causes_comes_to_an_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert said(one).startswith("one: other: one")


async def test_a_refused_address_says_so() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(OSError, match="all attempts") as caught:
        await trio.open_tcp_stream("127.0.0.1", port)
    assert f"('127.0.0.1', {port})" in said(caught.value)
    assert said(caught.value).endswith("connection refused")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ""),
        (b"  slow\r\n down ", "slow down"),
        (b'{"code":0,"msg":"Not from here."}', "Not from here."),
        (b'{"code":-1003,"msg":"Too much."}', "-1003 Too much."),
        (b'{"message":"Forbidden"}', "Forbidden"),
        (b'{"msg":7}', '{"msg":7}'),
        (b"[1]", "[1]"),
        (b"[" * 100_000, "[" * 199 + "…"),
        (b"<html><style>p {x}</style><p>Go <b>away</b></p><script>alert()</script>", "Go away"),
        (b"\x1b[31mred\x00\xff", "[31mred �"),
        ("\u202egnirts".encode(), "gnirts"),
    ],
)
def test_an_excerpt_is_for_reading(body: bytes, expected: str) -> None:
    assert excerpt(body) == expected


@given(st.one_of(st.binary(max_size=3000), st.text().map(lambda text: json.dumps({"msg": text}).encode())))
def test_an_excerpt_is_one_bounded_printable_line(body: bytes) -> None:
    line = excerpt(body)
    assert len(line) <= EXCERPT
    assert line.isprintable()
    assert line == one_line(line)


@pytest.mark.parametrize(("name", "said"), [("orderPlace", "; did you mean 'order_place'?"), ("xyzzy", "")])
def test_the_nearest_name(name: str, said: str) -> None:
    assert did_you_mean(name, ["order_place", "depth"]) == said
