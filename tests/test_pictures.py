"""The pictures of the documentation: each is drawn from a run by a script."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from scripts import make_pictures

from tests.cli.test_scene_view import SCENE


def test_a_picture_shows_the_scene_and_loads_nothing() -> None:
    for drawn in (make_pictures.picture_of(SCENE), (make_pictures.FOLDER / "watch.svg").read_text("utf-8")):
        ElementTree.fromstring(drawn)
        assert not re.search(r"url\((?!#)|<image|<script|href", drawn)
        assert "what&#160;happened" in drawn
    assert "a.example" in make_pictures.picture_of(SCENE)
