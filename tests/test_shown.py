"""What messages show: enough to find the fault, and no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._text import shown, shown_path, shown_url

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
