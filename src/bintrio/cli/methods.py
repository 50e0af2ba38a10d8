"""``bintrio methods``: the methods of the catalogue, and the help of one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import click

from bintrio import Request
from bintrio.api._base import catalogue, python_name
from bintrio.api._help import help_of
from bintrio.cli._catalogue import METHODS, no_method
from bintrio.cli._completion import complete_method


@click.command()
@click.argument("name", required=False, shell_complete=complete_method)
def methods(name: str | None) -> None:
    """List the methods, or show the help of one."""
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
    name = request_type.api.name
    yield f"{name}  ({python_name(name)})"
    yield ""
    yield help_of(request_type)
