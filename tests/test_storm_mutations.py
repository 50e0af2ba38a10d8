"""Mistakes that are put back: each still has its place in the source, and the storm finds one."""

from __future__ import annotations

import pytest
from scripts import storm_mutations
from scripts.storm_mutations import SOURCE, Found, Mutation, main, mutations, said, search

RETIRES = next(one for one in mutations() if "retires" in one.name)
HARMLESS = Mutation(
    "nothing is different", "_protocol/rotation.py", "EARLIEST: Final = 0.85\n", "EARLIEST: Final = 0.85\n\n"
)


@pytest.mark.parametrize("mutation", [*mutations(), HARMLESS], ids=lambda mutation: mutation.name)
def test_each_can_be_put_back(mutation: Mutation) -> None:
    text = (SOURCE / mutation.file).read_text("utf-8")
    assert mutation.made(text) != text
    compile(mutation.made(text), mutation.file, "exec")


def test_what_is_not_there_any_more_is_told() -> None:
    with pytest.raises(ValueError, match=r"session\.py does not have once what is to be changed: gone"):
        Mutation("gone", "session.py", "no such words", "").made("")


@pytest.mark.extra
def test_a_mistake_is_found_and_none_is_not() -> None:
    found = search(RETIRES, range(60))
    assert found is not None
    assert "(G" in found.untruth
    assert search(HARMLESS, range(2)) is None


def test_all_are_told_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(storm_mutations, "mutations", lambda: [RETIRES, HARMLESS])
    results = {RETIRES: Found(6, "lost (G5)"), HARMLESS: None}

    def known(mutation: Mutation, seeds: range) -> Found | None:
        return results[mutation]

    monkeypatch.setattr(storm_mutations, "search", known)
    assert main(range(2, 9)) == 1
    assert capsys.readouterr().out == (
        f"found after 5 worlds: {RETIRES.name}\n    lost (G5)\nNOT FOUND in 7 worlds: {HARMLESS.name}\n"
    )
    assert main(range(2, 9), 1) == 0
    assert capsys.readouterr().out == f"found after 5 worlds: {RETIRES.name}\n    lost (G5)\n"
    assert said(RETIRES, range(3), None).startswith("NOT FOUND in 3")
