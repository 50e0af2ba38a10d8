"""The forms of the page, read off the records of the commands: what each takes, in which kind of field, in which words.

A field that is neither a number, a text, a choice nor a switch is left out if it has a default; a command then has it.
What cannot do without such a field has no form: `Together`, which takes other faults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import inspect

from bintrio.api.enums import known_values

from ..commands import COMMANDS, Command
from ..words import documented, summary

Kind: TypeAlias = Literal["decimal", "number", "integer", "text", "choice", "switch"]

_KINDS: Final[Mapping[type[inspect.Type], Kind]] = {
    inspect.DecimalType: "decimal",
    inspect.FloatType: "number",
    inspect.IntType: "integer",
    inspect.StrType: "text",
    inspect.AnyType: "text",
    inspect.BoolType: "switch",
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a form.

    Attributes:
        name: with the names of the fields that it is within, as ``up.latency``.
        kind: a ``decimal`` is sent as text, so that every digit is kept.
        choices: of a ``choice``.
        required: whether a command cannot be without it.
        nullable: whether nothing is a value of its own.
        default: what is there at first; None for nothing.
        words: what it is.
    """

    name: str
    kind: Kind
    choices: tuple[str, ...]
    required: bool
    nullable: bool
    default: bool | int | float | str | None
    words: str


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What a command takes.

    Attributes:
        command: its name.
        type: which of several records it is that the command takes; empty if there is one only.
        words: what it does.
    """

    command: str
    type: str
    words: str
    entries: tuple[Entry, ...]


def forms() -> list[Form]:
    """Of every command, in the order of the table."""
    return [form for name, command in COMMANDS.items() for form in _forms_of(name, command)]


def _forms_of(name: str, command: Command) -> Iterator[Form]:
    kinds = get_args(command.takes)
    # One record, not a union of several.
    if not kinds:
        yield Form(command=name, type="", words=command.words, entries=tuple(_entries(command.takes)))
    for kind in filter(_can_be_written, kinds):
        yield Form(command=name, type=kind.__name__, words=_plain(summary(kind)), entries=tuple(_entries(kind)))


def _can_be_written(record: type[msgspec.Struct]) -> bool:
    return all(_kind(field) is not None for field in _fields(record) if field.required)


def _fields(record: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    described = inspect.type_info(record)
    assert isinstance(described, inspect.StructType)
    return described.fields


def _entries(record: type[msgspec.Struct], before: str = "") -> Iterator[Entry]:
    words = documented(record)
    choices = {field.name: known_values(field.type) for field in msgspec.structs.fields(record)}
    for field in _fields(record):
        kind = _kind(field)
        # A form is flat, so the fields of a record within are entries of their own.
        if isinstance(field.type, inspect.StructType):
            yield from _entries(field.type.cls, f"{before}{field.name}.")
        elif kind is not None:
            yield _entry(field, kind, before, choices[field.name], words)


def _kind(field: inspect.Field) -> Kind | None:
    """The first kind that a value may have; None if it is none that can be written into a form."""
    # "A price or a mean of trades" is a price in a form; the rest of a union is for programs.
    return next((_KINDS[type(one)] for one in _members(field.type) if type(one) in _KINDS), None)


def _members(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    if isinstance(kind, inspect.Metadata):
        return _members(kind.type)
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _entry(field: inspect.Field, kind: Kind, before: str, choices: tuple[str, ...], words: Mapping[str, str]) -> Entry:
    return Entry(
        name=f"{before}{field.name}",
        kind="choice" if choices else kind,
        choices=choices,
        required=field.required,
        nullable=any(isinstance(member, inspect.NoneType) for member in _members(field.type)),
        default=_default(field.default),
        words=_plain(words.get(field.name, "")),
    )


def _default(value: Any) -> bool | int | float | str | None:
    """As a form shows it."""
    if value is None or value is msgspec.NODEFAULT:
        return None
    # A Decimal as text, so that every digit is kept.
    return value if isinstance(value, bool | int | float | str) else str(value)


_LINK: Final = re.compile(r"\[([^]]*)\]\([^)]*\)")
_NOTHING: Final = re.compile(r"\b(None|null)\b")


def _plain(words: str) -> str:
    """Without the marks of documentation, and with nothing called what it is in a form."""
    return _NOTHING.sub("empty", _LINK.sub(r"\1", words.replace("`", "")))
