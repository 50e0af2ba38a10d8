"""How Sphinx builds the documentation: ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent / "_ext")]

import bintrio  # noqa: E402 - the path comes first

project = "bintrio"
author = "the bintrio project"
copyright = author
version = release = bintrio.__version__

extensions = ["myst_parser", "sphinx_copybutton", "from_the_code"]
exclude_patterns = ["_build", "_ext"]
nitpicky = False

# Markdown. Links to headings are checked as far down as the pages go.
myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

html_theme = "furo"
html_title = f"bintrio {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_search_scorer = str(Path(__file__).parent / "_ext" / "scorer.js")
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"source_directory": "docs/"}

# The prompts and the comments of a shell are not copied.
copybutton_exclude = ".linenos, .gp, .go"
