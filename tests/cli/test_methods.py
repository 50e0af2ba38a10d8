"""``bintrio methods``."""

from __future__ import annotations

import pytest

from bintrio.api._base import catalogue
from tests.cli.program import run


def test_methods_lists_the_catalogue() -> None:
    lines = run("methods").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(catalogue)
    assert all(line.split()[1] == request.api.security for line, request in zip(lines, catalogue.values(), strict=True))


@pytest.mark.parametrize("name", ["order.place", "order_place"])
def test_methods_shows_the_parameters_of_one(name: str) -> None:
    said = run("methods", name).stdout
    assert "security TRADE, weight 1" in said
    parameters = {words[0]: words[1:] for words in map(str.split, said.splitlines()[5:])}
    assert parameters["side"] == ["required", "BUY|SELL"]
    assert parameters["price"] == ["optional", "Decimal"]
    assert parameters["strategyId"] == ["optional", "int"]
    assert parameters["newClientOrderId"] == ["optional", "str"]


def test_methods_shows_lists_and_weights_that_depend() -> None:
    said = run("methods", "exchangeInfo").stdout
    assert any(line.split() == ["symbols", "optional", "list"] for line in said.splitlines())
    assert "weight depends on its parameters" in run("methods", "depth").stdout


def test_methods_helps_with_a_misspelt_name() -> None:
    result = run("methods", "dept")
    assert result.exit_code == 2
    assert "did you mean 'depth'?" in result.stderr
