"""Names that were at the root before they got the places that they have now. They are found there until 1.0.

They are in no ``__all__`` and no ``dir()``, and type checkers do not know them. CHANGELOG.md says where they are.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

MODULES: Final = ("rules", "columns", "times", "typing")
"""They were imported with the root, which needs none of them."""

PLACES: Final = (
    "requests",
    "api.enums",
    "api.general",
    "api.market",
    "api.authentication",
    "api.trading",
    "api.order_lists",
    "api.orders",
    "api.account",
    "api.user_data",
    "api.events",
    "api.filters",
    "limits",
    *MODULES,
)

RENAMED: Final = {"Circumstances": "OrderContext", "Connection": "ConnectionView"}


def find(name: str) -> Any:
    """What ``bintrio.name`` stood for.

    Raises:
        AttributeError: there was nothing of that name.
    """
    if name in MODULES:
        return import_module(f"bintrio.{name}")
    # Python itself asks for names such as `__path__`, often.
    if not name.startswith("_"):
        for place in PLACES:
            module = import_module(f"bintrio.{place}")
            if RENAMED.get(name, name) in module.__all__:
                return getattr(module, RENAMED.get(name, name))
    raise AttributeError(f"module 'bintrio' has no attribute {name!r}", name=name)
