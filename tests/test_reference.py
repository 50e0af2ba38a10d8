"""The reference of the documentation: nothing public is missing, and it says what the declarations say."""

from __future__ import annotations

import inspect
import re
from typing import Any

import click
import msgspec
import pytest
from scripts import reference

import bintrio
from bintrio.api._base import Request, catalogue, python_name
from bintrio.cli import main
from bintrio.sandbox import SandboxAccount
from tests.test_exports import PLACES

SECTIONS = ("general", "market", "authentication", "trading", "account", "user_data")
NAMED = r"^`{3,}\{py:(?:class|exception|function|data)\} bintrio\.([\w.]+)"


def everything() -> str:
    return reference.errors() + "".join(map(reference.names, ("", *reference.PLACES)))


def test_every_place_with_public_names_is_known() -> None:
    assert set(PLACES) <= {"bintrio", "requests", *reference.PLACES}


def test_every_public_name_is_described_once() -> None:
    described = re.findall(NAMED, everything(), re.MULTILINE)
    assert sorted(path.rpartition(".")[2] for path in described) == sorted(reference.homes())


@pytest.mark.parametrize("request_type", catalogue.values(), ids=lambda one: one.__name__)
def test_a_method_is_told_of_in_full(request_type: type[Request[Any]]) -> None:
    api = request_type.api
    told = reference.method(request_type)
    assert told.startswith(f"## {python_name(api.name)}\n")
    assert f"[`{api.name}`]({api.url})" in told
    told_of = dict(re.findall(r"^\| (\**\w+\**) \| [^|]* \| (.*) \|$", told, re.MULTILINE))
    fields = msgspec.structs.fields(request_type)
    assert {f"**{field.name}**" if field.required else field.name for field in fields} == set(told_of) - {"parameter"}
    assert all(told_of.values())
    assert ("ProtocolViolation" in told) == api.repeatable
    assert re.search(r"^Weight: .+ Security: [A-Z_]+\.$", told, re.MULTILINE)


def test_each_method_has_its_page() -> None:
    shown = re.findall(r"^## (\w+)$", "".join(map(reference.methods, SECTIONS)), re.MULTILINE)
    assert sorted(shown) == sorted(map(python_name, catalogue))


def test_the_tree_has_every_error_below_what_it_is_a_kind_of() -> None:
    above: dict[int, type[Exception]] = {}
    names: list[str] = []
    for indent, name in re.findall(r"^( *)\* \{py:obj\}`(\w+) <", reference.tree(), re.MULTILINE):
        kind = getattr(bintrio, name)
        above[len(indent)] = kind
        names.append(name)
        assert not indent or kind.__bases__[0] is above[len(indent) - 2]
    errors = inspect.getmembers(bintrio, lambda one: inspect.isclass(one) and issubclass(one, bintrio.BintrioError))
    assert sorted(names) == [name for name, _ in errors]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (bintrio.UnknownSymbol, "-1121"),
        (bintrio.RateLimited, "-1003, -1015, -1034"),
        (bintrio.SubscriptionError, "-2035 to -2036, -2042"),
        (bintrio.OutcomeUnknown, "-1006 to -1007"),
        (bintrio.Rejected, "all others"),
        (bintrio.NotSent, ""),
    ],
)
def test_codes_are_told_with_their_class(kind: type[bintrio.BintrioError], said: str) -> None:
    assert reference.codes_of(kind) == said
    assert (f"**Codes** {said}\n" in reference.errors(kind.__name__)) == bool(said)


def test_every_option_of_every_command_is_there() -> None:
    told = reference.commands()
    for name, command in main.commands.items():
        assert f"## bintrio {name}\n" in told
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert all(option in told for option in parameter.opts)


def test_every_fixture_is_told_of() -> None:
    told = dict(re.findall(r"^```\{py:data\} (\w+)\n:noindex:\n\n(.*)$", reference.fixtures(), re.MULTILINE))
    assert {"sandbox", "session", "sessions", "sandbox_market", "sandbox_accounts", "sandbox_world"} <= set(told)
    assert all(told.values())


def test_docstrings_are_told_as_lists_and_links() -> None:
    told = reference.words_of(bintrio.open_session)
    assert "* **request_timeout**: seconds within which a call ends, waiting" in told
    assert "* {py:obj}`ConnectionFailed <bintrio.ConnectionFailed>`: no address" in told
    assert "```python\nasync with bintrio.open_session(bintrio.TESTNET, key=key) as session:\n" in told


def test_an_enum_shows_its_values_and_a_constant_its_words() -> None:
    assert "`BUY` `SELL`" in reference.one_name("api.enums", "Side")
    assert "The exchange itself. Money moves." in reference.one_name("", "PRODUCTION")


def test_properties_that_are_made_once_are_told_of_too() -> None:
    told = reference.plain_class(SandboxAccount, "bintrio.sandbox.SandboxAccount")
    assert "```{py:property} bintrio.sandbox.SandboxAccount.hmac_key\n:type: HmacKey\n" in told
