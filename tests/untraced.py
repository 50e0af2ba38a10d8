"""Tests that are not traced for coverage: marked `untraced`.

pytest-cov has a marker of its own for that, which does nothing in the processes of pytest-xdist: two measurements lie
one on the other there, and when one pauses, the other goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    if pyfuncitem.get_closest_marker("untraced") is None:
        return (yield)
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
