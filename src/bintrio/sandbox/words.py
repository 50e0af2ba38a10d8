"""What the docstrings of records say of their fields, for forms and documentation."""

from __future__ import annotations

import inspect
import re


def summary(record: type) -> str:
    """The first paragraph."""
    return (inspect.getdoc(record) or "").partition("\n\n")[0].replace("\n", " ")


def documented(record: type) -> dict[str, str]:
    """The words for each field, those of a base's docstring included."""
    found: dict[str, str] = {}
    # The words of a class replace those of its bases.
    for kind in reversed(record.__mro__):
        _, _, after = (inspect.cleandoc(kind.__doc__ or "")).partition("Attributes:\n")
        # A line that is indented deeper goes on with the one before.
        lines = re.sub(r"\n {8,}", " ", after.partition("\n\n")[0])
        found |= dict(re.findall(r"^ {4}(\w+): (.+)$", lines, re.MULTILINE))
    return found
