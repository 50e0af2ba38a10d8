"""Every request of the document, built from our declarations, leaves as the document has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bintrio._protocol.requests import write_request
from tests.catalogue import EXAMPLES, build, example_params

REQUESTS = sorted(EXAMPLES.glob("*/request*.json")) + sorted(EXAMPLES.glob("_general/*request.json"))

# Inconsistency 21: decimals as numbers, numbers as strings. Ours go out as the parameter tables have them.
ODD_TYPES = {
    "order.amendments",
    "orderList.place.oco",
    "orderList.place.oto",
    "orderList.place.otoco",
    "sor.order.place",
    "sor.order.test",
}


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_request_leaves_as_documented(path: Path) -> None:
    method = json.loads(path.read_text())["method"]
    documented = example_params(path)
    documented.pop("returnRateLimits", None)
    sent = json.loads(write_request(1, method, build(method, documented).params()))
    assert sent["method"] == method
    if method in ODD_TYPES:
        assert {name: str(value) for name, value in sent["params"].items()} == {
            name: str(value) for name, value in documented.items()
        }
        assert sent["params"] != documented
    else:
        assert sent.get("params", {}) == documented
