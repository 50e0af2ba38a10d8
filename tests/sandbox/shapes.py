"""Whether an answer has the shape of a documented one: the same keys at every level, and values of the same types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def differences(documented: Any, answered: Any, path: str = "") -> list[str]:
    """In what an answer differs, as ``more <path>``, ``less <path>`` or ``<type> <path>``.

    An item of a list has the shape of any item of the documented list; of filters, those count whose kind is in both.
    An empty list in the document says nothing about its items.
    """
    found = _type(answered)
    if found != _type(documented):
        return [f"{found} {path}"]
    if found == "dict":
        return [*_of_objects(documented, answered, path)]
    return [*_of_lists(documented, answered, path)] if found == "list" else []


def _type(value: Any) -> str:
    if isinstance(value, str):
        return "decimal" if _DECIMAL.fullmatch(value) else "string"
    return type(value).__name__


def _of_objects(documented: dict[str, Any], answered: dict[str, Any], path: str) -> Iterator[str]:
    for name in sorted(answered.keys() - documented.keys()):
        yield f"more {_join(path, name)}"
    for name in sorted(documented.keys() - answered.keys()):
        yield f"less {_join(path, name)}"
    for name in documented.keys() & answered.keys():
        yield from differences(documented[name], answered[name], _join(path, name))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _of_lists(documented: list[Any], answered: list[Any], path: str) -> Iterable[str]:
    if not documented:
        return []
    if not answered:
        return [f"empty {path}"]
    if not {"dict", "list"} & {*map(_type, documented + answered)}:
        return _of_scalars(documented, answered, path)
    answered = [item for item in answered if _kind(item) in set(map(_kind, documented))]
    closest = [min((differences(one, item, path) for one in documented), key=len) for item in answered]
    closest += [min((differences(one, item, path) for item in answered), key=len) for one in documented]
    return dict.fromkeys(difference for found in closest for difference in found)


def _kind(item: Any) -> Any:
    return item.get("filterType") if _type(item) == "dict" else None


def _of_scalars(documented: list[Any], answered: list[Any], path: str) -> list[str]:
    """Positions of a record, or else items of one type."""
    if len(documented) == len(answered):
        pairs = zip(map(_type, documented), map(_type, answered), strict=True)
        return [f"{found} {path}[{position}]" for position, (known, found) in enumerate(pairs) if known != found]
    return [f"{found} {path}" for found in sorted({*map(_type, answered)} - {*map(_type, documented)})]
