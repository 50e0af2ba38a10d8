"""Write docs/methods.md from the catalogue; with ``--check``, only tell whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec

from bintrio._client.methods import Methods
from bintrio.api._base import Request, catalogue, python_name

TARGET: Final = Path(__file__).parent.parent / "docs" / "methods.md"
SECTIONS: Final = {
    "general": "General requests",
    "market": "Market data requests",
    "authentication": "Authentication requests",
    "trading": "Trading requests",
    "account": "Account requests",
    "user_data": "User Data Stream requests",
}
HEAD: Final = """\
<!-- Written by scripts/make_methods.py from the catalogue. Do not edit. -->

# Methods

Every method of the exchange's WebSocket API, in the order of its document. Parameters are given by name; those in
bold are required. Where a result has several shapes, the parameters decide which one comes, and a type checker knows
it where they do. "0 on success" means that the weight is given back when the call succeeds. The sandbox answers all
of them.
"""
COLUMNS: Final = (
    "| method | Python | parameters | weight | security | result |\n| --- | --- | --- | --- | --- | --- |\n"
)


def text() -> str:
    """The whole page."""
    by_python_name = {python_name(name): request_type for name, request_type in catalogue.items()}
    ordered = [by_python_name[name] for name in vars(Methods) if name in by_python_name]
    return HEAD + "".join(
        f"\n## {title}\n\n{COLUMNS}" + "".join(row(one) for one in ordered if one.__module__.endswith(f".{module}"))
        for module, title in SECTIONS.items()
    )


def row(request_type: type[Request[Any]]) -> str:
    """One method."""
    api = request_type.api
    fields = msgspec.structs.fields(request_type)
    names = [f"**{field.name}**" if field.required else field.name for field in fields]
    cells = (
        f"[`{api.name}`]({api.url})",
        f"`{python_name(api.name)}`",
        ", ".join(names) or "none",
        weight(request_type),
        api.security,
        f"`{shape(api.result)}`".replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |\n"


def weight(request_type: type[Request[Any]]) -> str:
    """The weight in words: a function says it in its docstring."""
    api = request_type.api
    stated = str(api.weight) if isinstance(api.weight, int) else (api.weight.__doc__ or "").rstrip(".")
    return f"{stated}; 0 on success" if api.weight_on_success == 0 else stated


def shape(result: Any) -> str:
    """A result type as one would write it."""
    origin, members = get_origin(result), get_args(result)
    if hasattr(result, "members"):
        return " | ".join(map(shape, result.members))
    if origin is Annotated:
        return shape(members[0])
    if origin in {Union, UnionType}:
        return " | ".join(map(shape, members))
    if origin is not None:
        inside = ["..." if member is ... else shape(member) for member in members]
        return f"{origin.__name__}[{', '.join(inside)}]"
    return str(result.__name__)


def main() -> int:
    """Write the page, or compare it."""
    if "--check" in sys.argv[1:]:
        return 0 if TARGET.read_text() == text() else 1
    TARGET.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
