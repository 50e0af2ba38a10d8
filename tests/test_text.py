"""What others said, in words: errors with their causes, pages, JSON, and what a terminal must not see."""

from __future__ import annotations

import errno
import json
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from bintrio._text import EXCERPT, did_you_mean, excerpt, in_words, one_line, said, shown, shown_path, shown_url


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


SECRET = "hunter2"


class _Mute:
    def __repr__(self) -> str:
        raise OSError("no words")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "float 0.1"),
        ("x" * 1000, "str '" + "x" * 79),
        pytest.param(10**5000, "int that cannot be shown", id="5,000 digits"),
        pytest.param([10**5000], "list that cannot be shown", id="5,000 digits in a list"),
        (_Mute(), "_Mute that cannot be shown"),
        (None, "NoneType None"),
    ],
)
def test_a_value_is_shown_in_brief_whatever_it_is(value: Any, expected: str) -> None:
    assert shown(value) == expected


def test_a_list_in_itself_is_shown() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert shown(endless) == "list [[...]]"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("wss://h:1/ws-api/v3", "wss://h:1/ws-api/v3"),
        (f"wss://bob:{SECRET}@h:1/ws", "wss://h:1/ws"),
        (f"wss://bob:hunt/@{SECRET}@h/ws", "wss://…"),
        (f"wss://h/path@{SECRET}", "wss://…"),
        (f"wss://h/ws?token={SECRET}&a=b", "wss://h/ws?…"),
        (f"wss://h/ws?token=a@{SECRET}", "wss://…"),
        (f"wss://bob:a?{SECRET}@h/ws", "wss://…"),
        (f"wss://h/ws#{SECRET}", "wss://h/ws?…"),
        (f"/ws?token={SECRET}", "/ws?…"),
        (f"bob:{SECRET}@h", "h"),
        ("", ""),
        (f"bob\n:{SECRET}@h\n", "h\n"),
    ],
)
def test_g9_a_url_is_shown_without_user_password_query_and_fragment(url: str, expected: str) -> None:
    assert shown_url(url) == expected


@given(st.text(), st.text(), st.text())
def test_g9_no_secret_of_a_url_is_shown_whatever_it_holds(before: str, after: str, path: str) -> None:
    secret = f"{before}{SECRET}{after}"
    for url in (f"wss://bob:{secret}@host/{path}", f"wss://host/{path}?{secret}", f"{secret}@host", f"ws://h#{secret}"):
        assert SECRET not in shown_url(url)


def test_g9_what_may_be_a_secret_is_not_shown_as_a_path(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    assert shown_path(str(there)) == repr(str(there))
    assert shown_path("nowhere.PEM") == "'nowhere.PEM'"
    assert shown_path(str(tmp_path / SECRET)) == repr(str(tmp_path / "…"))
    assert shown_path(str(tmp_path / SECRET / SECRET)) == repr(str(tmp_path / "…"))
    assert shown_path(SECRET) == shown_path(f"{SECRET}/{SECRET}") == shown_path(f"{SECRET}\0") == "'…'"
    assert shown_path(f"/{SECRET}/{SECRET}") == "'/…'"
    assert shown_path("") == "'…'"
