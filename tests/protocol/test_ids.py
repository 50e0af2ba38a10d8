"""What is remembered of ids: the latest ones."""

from __future__ import annotations

import itertools

import pytest

from bintrio._protocol.ids import Ids, remember


def test_of_too_many_the_oldest_is_forgotten() -> None:
    latest: dict[str, int] = {}
    for number, key in enumerate("abc"):
        remember(latest, key, number, 2)
    assert latest == {"b": 1, "c": 2}


def test_what_is_remembered_once_more_makes_no_other_forgotten() -> None:
    latest = {"a": 1, "b": 2}
    remember(latest, "b", 3, 2)
    assert latest == {"a": 1, "b": 3}


def test_what_is_remembered_once_more_is_the_latest() -> None:
    latest = {"a": 1, "b": 2}
    for key in "acd":
        remember(latest, key, 3, 3)
    assert latest == {"a": 3, "c": 3, "d": 3}


def test_g2_an_id_that_is_noted_twice_makes_no_other_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bintrio._protocol.ids.CHOSEN_IDS", 2)
    ids = Ids(itertools.count(2**32))
    for chosen in ("a", "b", "b"):
        ids.note(chosen)
    assert ids.was_used("a")
    assert ids.was_used("b")
