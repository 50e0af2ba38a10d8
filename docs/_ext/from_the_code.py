"""Two things that the pages need of Sphinx.

``{written} methods trading`` is a directive: it puts Markdown in its place that `scripts.reference` writes from the
code. And a link that leads out of the folder of the documentation, as one on a code host does, leads to the page that
includes the file, where there is one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scripts import reference
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils.nodes import Node
    from sphinx.application import Sphinx

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""Which page shows a file from outside."""


class Written(SphinxDirective):
    """Markdown from the code: ``{written} WHAT [OF_WHAT]``."""

    required_arguments = 1
    optional_arguments = 1
    has_content = False

    def run(self) -> list[Node]:
        """What stands in its place."""
        write = reference.PARTS[self.arguments[0]]
        return self.parse_text_to_nodes(write(*self.arguments[1:]), allow_section_headings=True)


def lead_inside(_app: Sphinx, page: str, source: list[str]) -> None:
    """Let links to files that a page shows lead to that page."""
    up = "../" * page.count("/")
    for file, shown in PAGES.items():
        source[0] = re.sub(rf"\]\({re.escape(up)}\.\./{re.escape(file)}(?=[)#])", f"]({up}{shown}", source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("written", Written)
    app.connect("source-read", lead_inside)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
