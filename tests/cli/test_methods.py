"""``bintrio methods``."""

from __future__ import annotations

import pytest

from bintrio.api._base import catalogue
from bintrio.api._help import help_of
from bintrio.requests import OrderPlace
from tests.cli.program import run


def test_methods_lists_the_catalogue() -> None:
    lines = run("methods").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(catalogue)
    assert all(line.split()[1] == request.api.security for line, request in zip(lines, catalogue.values(), strict=True))


@pytest.mark.parametrize("name", ["order.place", "order_place"])
def test_methods_shows_the_help_of_one(name: str) -> None:
    assert run("methods", name).stdout == f"order.place  (order_place)\n\n{help_of(OrderPlace)}\n"


def test_methods_helps_with_a_misspelt_name() -> None:
    result = run("methods", "dept")
    assert result.exit_code == 2
    assert "did you mean 'depth'?" in result.stderr
