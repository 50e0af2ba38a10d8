"""The reference of the documentation, written as Markdown from the code: methods, names, errors, commands.

`docs/_ext/from_the_code.py` puts each part where a page asks for it, so nothing of it is kept in a file. What a name is
stands in its docstring, in the form that Google uses, and is shown as it is there.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import click
import msgspec

import bintrio
from bintrio._client.methods import Methods
from bintrio._protocol.rejections import rejection_type
from bintrio.api import _help
from bintrio.api._base import Request, catalogue, python_name
from bintrio.cli import main
from bintrio.errors import EXECUTION_UNKNOWN_CODES, BintrioError
from bintrio.sandbox.words import documented, summary

PLACES: Final = (
    *("typing", "account", "limits", "redis", "rules", "columns", "times", "history", "observing", "recording"),
    *("settings", "otel", "storm", "sandbox", "api.enums", "api.general", "api.market", "api.authentication"),
    *("api.trading", "api.order_lists", "api.orders", "api.account", "api.user_data", "api.events", "api.filters"),
)
"""The modules with public names, beside the package itself."""

ALL_CODES: Final = range(-9999, 0)
"""Where the exchange's codes lie."""

FIRST: Final = ("open_session", "Session", "Endpoint", "PRODUCTION", "TESTNET", "DEMO")
"""What a reader looks for before all else; the rest comes in the order of the source."""

SECTIONS: Final = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):\n\n?((?: {4}.*\n?|\n)+)", re.MULTILINE)
ITEM: Final = re.compile(r"^ {4}([\w*, `]+): (.+(?:\n {5,}.+)*)", re.MULTILINE)


# Where a name is described


def module(place: str) -> Any:
    """The module that a place is."""
    return import_module(f"bintrio.{place}" if place else "bintrio")


def exported(place: str) -> list[str]:
    """The public names of a place."""
    return [*vars(module(place))["__all__"]]


@cache
def homes() -> Mapping[str, str]:
    """By each public name the place that describes it: the last one that exports it."""
    return {name: place for place in ("", *PLACES) for name in exported(place)}


@cache
def described() -> Mapping[str, str]:
    """By each public name what it is described as: with the shortest path that leads to it."""
    longer = {name: f"bintrio.{place}.{name}" for name, place in homes().items()}
    requests = {name: f"bintrio.requests.{name}" for name in exported("requests")}
    return longer | requests | {name: f"bintrio.{name}" for name in exported("")}


def linked(words: str, owner: str = "") -> str:
    """Words in which each public name that stands in single backticks is a link."""

    def link(found: re.Match[str]) -> str:
        name = found[1].removesuffix("()")
        if name in described():
            return f"{{py:obj}}`{name} <{described()[name]}>`"
        if owner and hasattr(vars(bintrio).get(owner), name):
            return f"{{py:obj}}`{name} <bintrio.{owner}.{name}>`"
        return f"`{found[1]}`"

    return re.sub(r"(?<!`)`([\w.()]+)`(?!`)", link, re.sub(r":\w+:`", "`", _in_single_backticks(words)))


def _in_single_backticks(words: str) -> str:
    """What reStructuredText marks as literal by two backticks, marked by one."""
    return re.sub(r"(?<!`)``(?!`)", "`", words)


def linked_type(annotation: str) -> str:
    """A type in the words of the source, with a link at each name that is described."""
    said = re.sub(
        r"\w+",
        lambda found: f"{{py:obj}}`{found[0]} <{described()[found[0]]}>`" if found[0] in described() else found[0],
        annotation,
    )
    return said.replace("|", "\\|").replace("[", "\\[")


def fenced(directive: str, argument: str, body: str = "", *options: str) -> str:
    """A directive, whose fence is longer than every one in its body."""
    fence = "`" * max([3, *(len(found) + 1 for found in re.findall(r"^`{3,}", body, re.MULTILINE))])
    lines = (f"{fence}{{{directive}}} {argument}", *options, "", body.strip(), fence)
    return "\n".join(lines) + "\n\n"


# Docstrings


def words_of(documented: Any, owner: str = "") -> str:
    """A docstring as Markdown: its sections are lists, its examples blocks."""
    text = f"{inspect.getdoc(documented) or ''}\n"
    text = re.sub(
        r"::\n\n((?: {4}.*\n|\n)+)", lambda found: f":\n\n```python\n{dedent(found[1]).strip()}\n```\n\n", text
    )
    return linked(SECTIONS.sub(_section, text), owner)


def _section(found: re.Match[str]) -> str:
    mark = "`" if found[1] == "Raises" else "**"  # only errors are names that a page describes
    items = ITEM.findall(found[2])
    lines = [f"* {_marked(name, mark)}: {' '.join(said.split())}" for name, said in items]
    title = {"Args": "Parameters"}.get(found[1], found[1])
    return f"**{title}**\n\n" + "\n".join(lines or [dedent(found[2]).strip()]) + "\n\n"


def _marked(names: str, mark: str) -> str:
    return ", ".join(f"{mark}{name}{mark}" for name in names.split(", "))


# Methods


def methods(chosen: str) -> str:
    """The methods of one section of the exchange's document."""
    by_python_name = {python_name(name): request_type for name, request_type in catalogue.items()}
    ordered = [by_python_name[name] for name in vars(Methods) if name in by_python_name]
    return "".join(method(each) for each in ordered if section(each) == chosen)


def section(request_type: type[Request[Any]]) -> str:
    """The section of the exchange's document that a method belongs to. Some have more than one module."""
    module = request_type.__module__.rpartition(".")[2]
    return {"order_lists": "trading", "sor": "trading", "tickers": "market"}.get(module, module)


def method(request_type: type[Request[Any]]) -> str:
    """One method: what it does, costs, takes and gives."""
    api = request_type.api
    name = python_name(api.name)
    orders = f" It counts as {api.orders} unfilled order{'s' * (api.orders > 1)}." if api.orders else ""
    source = f" Data source: {api.source}." if api.source else ""
    why = inspect.cleandoc(api.shapes.kind.__doc__ or "") if api.shapes else ""
    rules = "".join(f"* {line}\n" for line in _help.rules_of(api))
    parts = (
        f"## {name}\n\n",
        fenced("py:method", f"bintrio.Session.{name}", "", ":no-typesetting:"),
        f"{linked(inspect.cleandoc(request_type.__doc__ or ''))}\n\n",
        f"[`{api.name}`]({api.url}) in the exchange's document. As a value: `requests.{request_type.__name__}`.\n",
        f"Weight: {_help.weight_of(request_type)}.{orders}{source} Security: {api.security}.\n\n",
        parameters(request_type),
        f"**Rules**\n\n{rules}\n" if rules else "",
        f"**Returns** {linked_type(_help.result_of(api.result))}. {linked(why)}\n\n",
        f"**Raises** {raised(repeatable=api.repeatable)}\n\n",
    )
    return "".join(parts)


def raised(*, repeatable: bool) -> str:
    """The errors that a method may end in."""
    kinds = "`InvalidRequest`, `Rejected`, `NotSent`, `OutcomeUnknown`"
    return linked(f"{kinds}, `ProtocolViolation`." if repeatable else f"{kinds}.")


def parameters(request_type: type[Request[Any]]) -> str:
    """The table of a method's parameters; those in bold are required."""
    fields = sorted(msgspec.structs.fields(request_type), key=lambda field: not field.required)
    if not fields:
        return "It takes no parameters.\n\n"
    rows = (
        f"| {f'**{field.name}**' if field.required else field.name} | {_help.kind_of(field.type).replace('|', ', ')} "
        f"| {_cell(linked(_help.words_of(request_type, field.name)))} |"
        for field in fields
    )
    return "\n".join(["| parameter | kind | what it is |", "| --- | --- | --- |", *rows]) + "\n\n"


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ")


# Names


def names(place: str = "") -> str:
    """What a module exports, but for errors, and what is described elsewhere."""
    shown = [name for name in exported(place) if homes()[name] == place and not is_error(vars(module(place))[name])]
    shown.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    return "".join(one_name(place, name) for name in shown)


def is_error(value: Any) -> bool:
    """Whether it has its place among the errors."""
    return inspect.isclass(value) and issubclass(value, BintrioError)


def one_name(place: str, name: str) -> str:
    """One public name."""
    value = getattr(module(place), name)
    path = described()[name]
    if inspect.isclass(value):
        return record(value, path) if issubclass(value, msgspec.Struct) else plain_class(value, path)
    if inspect.isfunction(value):
        return fenced("py:function", f"{path}{signature(value)}", words_of(value))
    return fenced("py:data", path, alias_of(place, name, value))


def record(kind: type[msgspec.Struct], path: str) -> str:
    """A record with its fields."""
    said = documented(kind)
    words = linked(SECTIONS.sub("", f"{inspect.getdoc(kind)}\n"))
    rows = (
        f"| `{name}` | {linked_type(kinds)} | {linked(said.get(name, ''))} |" for name, kinds in types_in_words(kind)
    )
    table = "\n".join(["| field | type | |", "| --- | --- | --- |", *rows]) if kind.__struct_fields__ else ""
    return fenced("py:class", path, f"{words}\n\n{table}\n\n{members(kind, path)}")


def types_in_words(kind: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """Each field of a record and its type, in the words of the source."""
    found = {
        name: words for base in reversed(kind.__mro__) for name, words in vars(base).get("__annotations__", {}).items()
    }
    return ((name, str(found[name])) for name in kind.__struct_fields__)


def plain_class(kind: type[Any], path: str, more: str = "") -> str:
    """A class that is no record. What more there is to say comes after its docstring."""
    body = f"{words_of(kind, kind.__name__)}\n\n{more}{members(kind, path)}"
    if is_error(kind):
        return fenced("py:exception", path, body)
    is_made = "__init__" not in vars(kind) or re.search("[mM]ade by|makes one", inspect.getdoc(kind) or "")
    return fenced("py:class", path if is_made else f"{path}{signature(kind.__init__)}", body)


def members(kind: type[Any], path: str) -> str:
    """The public methods and properties that a class has of its own, or from bases that have no place of theirs."""
    bases = [base for base in kind.__mro__ if base.__module__.startswith("bintrio") and base is not Methods]
    own = [base for base in bases if base is kind or base.__name__ not in described()]
    found = {name: value for base in reversed(own) for name, value in vars(base).items() if name[0] != "_"}
    return "".join(one_member(name, value, path) for name, value in found.items() if is_member(kind, name, value))


def is_member(kind: type[Any], name: str, value: Any) -> bool:
    """Whether it is a method or a property."""
    fields: tuple[str, ...] = getattr(kind, "__struct_fields__", ())
    return name not in fields and (callable(getattr(value, "__func__", value)) or getter(value) is not None)


def getter(value: Any) -> Any:
    """The function behind a property; None if it is none."""
    return value.fget if isinstance(value, property) else value.func if isinstance(value, cached_property) else None


def one_member(name: str, value: Any, path: str) -> str:
    """A method or a property."""
    owner = path.rpartition(".")[2]
    get = getter(value)
    if get is not None:
        kind = str(inspect.signature(get).return_annotation)
        return fenced("py:property", f"{path}.{name}", words_of(value, owner), f":type: {kind}")
    function = getattr(value, "__func__", value)
    options = [":classmethod:"] if function is not value else []
    if inspect.iscoroutinefunction(function):
        options.append(":async:")
    return fenced("py:method", f"{path}.{name}{signature(function)}", words_of(function, owner), *options)


def signature(function: Callable[..., Any]) -> str:
    """The parameters of a function in the words of the source, without ``self``."""
    found = inspect.signature(function)
    own = [each for each in found.parameters.values() if each.name not in {"self", "cls"}]
    return str(found.replace(parameters=own)).replace("'", "")


def alias_of(place: str, name: str, value: Any) -> str:
    """A constant, an alias, or an enum with the values that are known."""
    origin = get_origin(value)
    if origin is Annotated and "values" in (value.__metadata__[0].extra or ()):
        return " ".join(f"`{each}`" for each in value.__metadata__[0].extra["values"])
    said = _words_below(place, name)
    kinds = [repr(each) if origin is Literal else getattr(each, "__name__", str(each)) for each in get_args(value)]
    shown = " | ".join(kinds) if origin in {Literal, Union, UnionType} else ""
    return f"{linked(said)}\n\n{linked_type(shown)}".strip()


def _words_below(place: str, name: str) -> str:
    """What stands in a string below a name, where it is defined."""
    defined = inspect.getsource(module(place))
    imported = re.search(rf"from (\.+[\w.]+) import {name} as {name}", defined)
    if imported:
        defined = inspect.getsource(import_module(imported[1], module(place).__package__))
    body = ast.parse(defined).body
    words = (_said(below) for one, below in pairwise(body) if _names(one) == name)
    return " ".join(next(words, "").split())


def _names(statement: ast.stmt) -> str:
    target = getattr(statement, "target", None) or [*getattr(statement, "targets", ()), None][0]
    return getattr(target, "id", "")


def _said(statement: ast.stmt) -> str:
    said = getattr(getattr(statement, "value", None), "value", "")
    return said if isinstance(statement, ast.Expr) and isinstance(said, str) else ""


# Errors


def errors(of: str = "BintrioError") -> str:
    """Every error, each below the one that it is a kind of."""
    kind: type[BintrioError] = vars(bintrio)[of]
    codes = codes_of(kind)
    said = f"**Codes** {codes}\n\n" if codes else ""
    return plain_class(kind, f"bintrio.{of}", said) + "".join(errors(each.__name__) for each in kinds_of(kind))


def kinds_of(kind: type[BintrioError]) -> list[type[BintrioError]]:
    """The public errors that are a kind of another."""
    return [each for each in kind.__subclasses__() if each.__name__ in exported("")]


def codes_of(kind: type[BintrioError]) -> str:
    """The exchange's codes that become this class, in words."""
    if kind is bintrio.OutcomeUnknown:
        return spans(EXECUTION_UNKNOWN_CODES)
    if kind is bintrio.Rejected:
        return "all others"
    return spans(code for code in ALL_CODES if rejection_type(400, code, "") is kind)


def spans(codes: Iterable[int]) -> str:
    """Codes in their order, those in a row as the first and the last."""
    rows: list[list[int]] = []
    for code in sorted(codes, reverse=True):
        if rows and rows[-1][-1] == code + 1:
            rows[-1].append(code)
        else:
            rows.append([code])
    return ", ".join(f"{row[0]} to {row[-1]}" if len(row) > 1 else f"{row[0]}" for row in rows)


def tree(of: str = "BintrioError", indent: str = "") -> str:
    """The classes of errors as a list, each below the one that it is a kind of."""
    kind: type[BintrioError] = vars(bintrio)[of]
    below = (tree(each.__name__, f"{indent}  ") for each in kinds_of(kind))
    return f"{indent}* {linked(f'`{of}`')}: {linked(summary(kind))}\n{''.join(below)}"


# The command line


def commands() -> str:
    """Each command with the help that it prints."""
    context = click.Context(main, info_name="bintrio", max_content_width=100, terminal_width=100)
    inner = (click.Context(each, context, f"{name}") for name, each in main.commands.items())
    return "".join(
        f"## {each.command_path}\n\n```text\n{each.command.get_help(each)}\n```\n\n" for each in (context, *inner)
    )


# Fixtures


def fixtures() -> str:
    """The fixtures for the tests of a program. Read, not imported: pytest wants to import its plugins first."""
    source = Path(inspect.getfile(bintrio)).with_name("pytest_plugin.py").read_text("utf-8")
    found = (one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
    public = (one for one in found if not one.name.startswith("_"))
    return "".join(fenced("py:data", one.name, linked(ast.get_docstring(one) or ""), ":noindex:") for one in public)


PARTS: Final[Mapping[str, Callable[..., str]]] = {
    "fixtures": fixtures,
    "methods": methods,
    "names": names,
    "errors": errors,
    "tree": tree,
    "commands": commands,
}
"""What a page may ask for."""
