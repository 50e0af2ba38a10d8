"""A method's help, from its declaration: parameters with their kinds and words, rules, result, errors, weight, source.

`help(session.order_place)` shows it, and so does ``bintrio methods``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from ._base import Api, Milliseconds, Request, fields
from ._words import PARAMETERS, PARTS

_WIDTH: Final = 100
_MOST_SHOWN: Final = 16  # values of an enum
_DECIMAL: Final = "Decimal, int or numeric str"

_ERRORS: Final = """\
InvalidRequest: it cannot be right, and nothing was sent.
Rejected: the exchange said no; its subclasses say why.
NotSent: no byte of it left.
OutcomeUnknown: it may have happened, but its answer did not come, or cannot be read."""
_ERROR_OF_READS: Final = "\nProtocolViolation: its answer does not fit the documented type."


def help_of(request_type: type[Request[Any]]) -> str:
    """What there is to know of a method, in the form of a docstring."""
    api = request_type.api
    parts = [
        inspect.cleandoc(request_type.__doc__ or ""),
        _section("Args", _parameter_lines(request_type)),
        _section("Rules", [f"{line}." for line in rules_of(api)]),
        _section("Returns", [_result_line(api)]),
        _section("Raises", (_ERRORS + (_ERROR_OF_READS if api.repeatable else "")).splitlines()),
        f"{_cost(request_type)}\nSource: {api.url}",
    ]
    return "\n\n".join(filter(None, parts))


def kind_of(annotation: Any) -> str:
    """What a parameter takes: a type, a unit, or the values that are known of an enum."""
    members = [member for member in _members(annotation) if member is not NoneType]
    (kind,) = members
    # Before Decimal, which it is an annotation of.
    if kind == Milliseconds:
        return f"milliseconds, {_DECIMAL}"
    if kind is Decimal:
        return _DECIMAL
    # An open enum, with its known values beside the type.
    if get_origin(kind) is Annotated:
        return _one_of(get_args(kind)[1].extra["values"])
    return "sequence of str" if get_origin(kind) is Sequence else str(kind.__name__)


def words_of(request_type: type[Request[Any]], name: str) -> str:
    """What a parameter of a method is."""
    said = request_type.api.notes.get(name) or PARAMETERS.get(name)
    # What the method itself says of it comes first: words for the name alone may not fit every method.
    if said is not None:
        return said
    # A parameter of one order of a list: it is what the same parameter is of a single order.
    part = next(part for part in PARTS if name.startswith(f"{part}_"))
    words = words_of(request_type, name.removeprefix(f"{part}_"))
    return f"Of {PARTS[part]}. {words}"


def rules_of(api: Api) -> Iterator[str]:
    """What must hold between the parameters of a method."""
    for rule in api.rules:
        yield from filter(None, (rule.__doc__ or "").split("; "))


def weight_of(request_type: type[Request[Any]]) -> str:
    """The weight in words: a function says it in its docstring."""
    api = request_type.api
    stated = str(api.weight) if isinstance(api.weight, int) else (api.weight.__doc__ or "").rstrip(".")
    return f"{stated}; 0 on success" if api.weight_on_success == 0 else stated


def result_of(result: Any) -> str:
    """A result type as one would write it."""
    origin, members = get_origin(result), get_args(result)
    # `OneOf`, which only type checkers see as a union.
    if hasattr(result, "members"):
        return " | ".join(map(result_of, result.members))
    # A mark such as `MaybeInArray`: a program gets what is inside.
    if origin is Annotated:
        return result_of(members[0])
    if origin in {Union, UnionType}:
        return " | ".join(map(result_of, members))
    # A tuple, or a record that is generic in another.
    if origin is not None:
        inside = ["..." if member is ... else result_of(member) for member in members]
        return f"{origin.__name__}[{', '.join(inside)}]"
    return str(result.__name__)


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)


def _one_of(values: Sequence[str]) -> str:
    return "|".join(values) if len(values) <= _MOST_SHOWN else f"{values[0]}|{values[1]}|...|{values[-1]}"


def _parameter_lines(request_type: type[Request[Any]]) -> Iterator[str]:
    # Sorting is stable: the required ones come first, each group in the order of its declaration.
    for field in sorted(fields(request_type), key=lambda field: not field.required):
        need = ", required" if field.required else ""
        yield f"{field.name} ({kind_of(field.type)}{need}): {words_of(request_type, field.name)}"


def _result_line(api: Api) -> str:
    why = inspect.cleandoc(api.shapes.kind.__doc__ or "") if api.shapes else ""
    return f"{result_of(api.result)}. {why}".strip()


def _cost(request_type: type[Request[Any]]) -> str:
    api = request_type.api
    orders = f" Unfilled orders: {api.orders}." if api.orders else ""
    source = f" Data source: {api.source}." if api.source else ""
    return f"Weight: {weight_of(request_type)}.{orders}{source} Security: {api.security}."


def _section(title: str, lines: Iterable[str]) -> str:
    shown = [shown for line in lines for shown in _wrapped(line)]
    return "\n".join([f"{title}:", *shown]) if shown else ""


def _wrapped(line: str) -> Iterator[str]:
    """`textwrap` would take ten times as long, and the first call of a method waits for its help."""
    shown = "   "
    for word in line.split(" "):
        if len(shown) + len(word) >= _WIDTH:
            yield shown
            shown = "       "
        shown = f"{shown} {word}"
    yield shown
