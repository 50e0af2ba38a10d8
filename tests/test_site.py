"""The documentation as a site: it is built without a warning, and says nothing of the machine that built it."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

pytestmark = [
    pytest.mark.extra,
    pytest.mark.skipif(find_spec("sphinx") is None, reason="Sphinx is not installed: pip install -e '.[docs]'"),
]

ROOT: Final = Path(__file__).parent.parent
OPTIONS: Final = ("--fail-on-warning", "--keep-going", "--quiet", "-b", "html")


class Text(HTMLParser):
    """What a page shows where no script runs."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.shown = ""
        self._hidden = False
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden = tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        self.shown += "" if self._hidden else data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = (sys.executable, "-m", "sphinx", *OPTIONS, "-d", folder / "doctrees", ROOT / "docs", folder / "html")
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


def test_it_names_no_path_of_the_machine_that_built_it(site: Path) -> None:
    for file in site.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert str(ROOT).encode() not in content, file
            assert str(Path.home()).encode() + b"/" not in content, file


def test_every_page_can_be_read_without_scripts(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        source = re.sub(r"^`{3,}.*?^`{3,}$|<!--.*?-->", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        built = Text(site / page.relative_to(ROOT / "docs").with_suffix(".html")).shown
        for title in re.findall(r"^#+ ([\w ,.]+)$", source, re.MULTILINE):
            assert title in built, page
    assert "recv_window" in Text(site / "reference" / "methods-trading.html").shown
