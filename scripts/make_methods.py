"""Write docs/methods.md from the catalogue and a run of the document's examples; ``--check`` only compares it.

python -m scripts.make_methods
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from scripts.reference import section
from tests.sandbox.examples import CONTRADICTIONS, Run, run_all

from bintrio._client.methods import Methods
from bintrio.api._base import Request, catalogue, python_name
from bintrio.api._help import result_of, weight_of

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
<!-- Written by scripts/make_methods.py from the catalogue and a run. Do not edit. -->

# Methods

Every method of the exchange's WebSocket API, in the order of its document. Parameters are given by name; those in
bold are required. Where a result has several shapes, the parameters decide which one comes, and a type checker knows
it where they do. "0 on success" means that the weight is given back when the call succeeds. The data source is where
the exchange takes the answer from: its matching engine is up to date, its memory a little behind and its database
somewhat more; of two, the first that has the data answers. The sandbox answers all of them;
[the last section](#the-documents-examples-in-the-sandbox) says how.
"""
COLUMNS: Final = (
    "| method | Python | parameters | weight | security | data source | result |\n"
    "| --- | --- | --- | --- | --- | --- | --- |\n"
)
EXAMPLES: Final = """\

## The document's examples in the sandbox

Each example request of the document was sent to a sandbox that was in the state that the example speaks of, once for
each answer that the document shows to it. "Answered" are those that came with the documented status, "same shape" those
with the same keys at every level and values of the same types. Where the shape differs, the document contradicts
itself; what was followed stands below the table.

| method | examples | answered | same shape |
| --- | --- | --- | --- |
"""


def text() -> str:
    """The whole page."""
    by_python_name = {python_name(name): request_type for name, request_type in catalogue.items()}
    ordered = [by_python_name[name] for name in vars(Methods) if name in by_python_name]
    sections = (
        f"\n## {title}\n\n{COLUMNS}" + "".join(row(one) for one in ordered if section(one) == module)
        for module, title in SECTIONS.items()
    )
    return HEAD + "".join(sections) + examples([one.api.name for one in ordered], run_all())


def examples(methods: Sequence[str], runs: Sequence[Run]) -> str:
    """What came of the document's examples."""
    rows = (counts(f"`{method}`", [run for run in runs if run.method == method]) for method in methods)
    reasons = (
        f"* `{method}`, `{variant}`: {difference.partition(' ')[2]} differs; {followed}.\n"
        for (method, variant), (difference, followed) in CONTRADICTIONS.items()
    )
    total = counts(f"all {len({run.method for run in runs})}", runs)
    return f"{EXAMPLES}{''.join(rows)}{total}\n{''.join(reasons)}"


def counts(name: str, runs: Sequence[Run]) -> str:
    """One row: how many examples, how many of them answered, how many in the same shape."""
    answered, same = sum(run.answered for run in runs), sum(not run.differences for run in runs)
    return f"| {name} | {len(runs)} | {answered} | {same} |\n"


def row(request_type: type[Request[Any]]) -> str:
    """One method."""
    api = request_type.api
    fields = msgspec.structs.fields(request_type)
    names = [f"**{field.name}**" if field.required else field.name for field in fields]
    cells = (
        f"[`{api.name}`]({api.url})",
        f"`{python_name(api.name)}`",
        ", ".join(names) or "none",
        weight_of(request_type),
        api.security,
        api.source or "not given",
        f"`{result_of(api.result)}`".replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |\n"


def main() -> int:
    """Write the page, or compare it."""
    if "--check" in sys.argv[1:]:
        return 0 if TARGET.read_text() == text() else 1
    TARGET.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
