"""What a module exports that consists of imports: each name stands in it once, and ``__all__`` follows."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any


def names_in(namespace: Mapping[str, Any]) -> list[str]:
    """The public names of a module's ``globals()``, without other modules."""
    return [
        name
        for name, value in namespace.items()
        if not name.startswith("_") and name != "TYPE_CHECKING" and not isinstance(value, ModuleType)
    ]
