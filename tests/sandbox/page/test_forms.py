"""The forms: each command has one for each record that it takes, and what is filled in is what the command reads."""

from __future__ import annotations

from functools import reduce
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from bintrio.errors import InvalidRequest
from bintrio.sandbox.commands import COMMANDS
from bintrio.sandbox.page.forms import Entry, Form, forms
from bintrio.sandbox.world import convert

SAMPLES: dict[str, Any] = {"decimal": "1.5", "number": 2.5, "integer": 210, "text": "7", "switch": True}
CODE_OF_CLOSE_FRAME = {"Farewell": {"code": 1001}}  # a number that will do elsewhere is none


def form(command: str, kind: str = "") -> Form:
    (found,) = (form for form in forms() if (form.command, form.type) == (command, kind))
    return found


def entry(command: str, name: str, kind: str = "") -> Entry:
    (found,) = (entry for entry in form(command, kind).entries if entry.name == name)
    return found


def nested(given: dict[str, Any]) -> dict[str, Any]:
    """As the page sends it: what is within another field has both names."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        *outer, last = name.split(".")
        reduce(lambda fields, key: fields.setdefault(key, {}), outer, found)[last] = value
    return found


def test_every_command_has_a_form() -> None:
    assert {one.command for one in forms()} == COMMANDS.keys()


@pytest.mark.parametrize("one", forms(), ids=lambda one: f"{one.command} {one.type}")
def test_what_is_filled_in_is_read(one: Form) -> None:
    takes = COMMANDS[one.command].takes
    given = {entry.name: SAMPLES.get(entry.kind, entry.choices and entry.choices[0]) for entry in one.entries}
    given |= CODE_OF_CLOSE_FRAME.get(one.type, {})
    tag = {"type": one.type} if one.type else {}
    record: Any = convert(tag | nested(given), takes, Path())
    assert {name: str(attrgetter(name)(record)) for name in given} == {name: str(given[name]) for name in given}
    required = {entry.name: given[entry.name] for entry in one.entries if entry.required}
    convert(tag | required, takes, Path())
    for name in required:
        with pytest.raises(InvalidRequest):
            convert({key: value for key, value in (tag | required).items() if key != name}, takes, Path())


@pytest.mark.parametrize("one", forms(), ids=lambda one: f"{one.command} {one.type}")
def test_words_are_for_people(one: Form) -> None:
    for words in (one.words, *(entry.words for entry in one.entries)):
        assert not set("`[]") & set(words)
        assert "None" not in words
        assert "null" not in words or "id: " in words
    assert one.words


def test_an_entry_says_what_it_takes() -> None:
    assert entry("trade", "side").choices == ("BUY", "SELL")
    assert entry("fault", "seconds", "Delay").kind == "number"
    assert (entry("fault", "times", "Delay").default, entry("fault", "times", "Delay").nullable) == (1, True)
    assert entry("fault", "executed", "Timeout").required
    assert (entry("reference-price", "price").required, entry("reference-price", "price").nullable) == (True, True)
    assert entry("account", "maker_rate").default == "0.001"
    assert entry("fault", "times", "Delay").words == "how often it strikes; empty for always."


def test_what_is_within_another_field_has_both_names() -> None:
    assert entry("link", "up.latency").words == "seconds from one end to the other."
    assert (entry("link", "down.bandwidth").nullable, entry("link", "down.bandwidth").default) == (True, None)


def test_what_no_field_can_hold_is_left_to_the_command() -> None:
    assert "keys" not in {entry.name for entry in form("account").entries}
    assert "Together" not in {one.type for one in forms()}
    assert "body" not in {entry.name for entry in form("fault", "HandshakeStatus").entries}
