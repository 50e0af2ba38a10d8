"""``bintrio methods``: the methods of the catalogue, and the parameters of one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, get_origin

import click
import msgspec

from bintrio import Request
from bintrio.api._base import catalogue, parameters, python_name
from bintrio.cli._catalogue import METHODS, known_values, no_method, parts_of


@click.command()
@click.argument("name", required=False)
def methods(name: str | None) -> None:
    """List the methods, or show the parameters of one."""
    request_type = METHODS.get(python_name(name)) if name else None
    if name and request_type is None:
        raise click.UsageError(no_method(name))
    lines = _catalogue_lines() if request_type is None else _method_lines(request_type)
    click.echo("\n".join(lines))


def _catalogue_lines() -> Iterator[str]:
    width = max(map(len, catalogue))
    for name, request_type in catalogue.items():
        yield f"{name:<{width}}  {request_type.api.security:<12}{_summary(request_type)}"


def _summary(request_type: type[Request[Any]]) -> str:
    return inspect.cleandoc(request_type.__doc__ or "").partition("\n")[0]


def _method_lines(request_type: type[Request[Any]]) -> Iterator[str]:
    api = request_type.api
    weight = api.weight if isinstance(api.weight, int) else "depends on its parameters"
    yield f"{api.name}  ({python_name(api.name)})"
    yield from inspect.cleandoc(request_type.__doc__ or "").splitlines()
    yield ""
    yield f"security {api.security}, weight {weight}"
    yield api.url
    fields = {field.name: field.type for field in msgspec.structs.fields(request_type)}
    for parameter in sorted(parameters(request_type), key=lambda each: not each.required):
        need = "required" if parameter.required else "optional"
        yield f"  {parameter.wire_name:<28}{need}  {_type_name(fields[parameter.name])}"


def _type_name(annotation: Any) -> str:
    """A field's type in a word, or the values that are known of an enum."""
    kinds = [get_origin(part) or part for part in parts_of(annotation)]
    if Sequence in kinds:
        return "list"
    plain = (kind.__name__ for kind in (Decimal, bool, int) if kind in kinds)
    return "|".join(known_values(annotation)) or next(plain, "str")
