"""Settings of the whole suite."""

from __future__ import annotations

import pkgutil
import signal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import engine

from . import streams
from .order_of_tasks import pytest_addoption as pytest_addoption
from .order_of_tasks import pytest_runtest_call as pytest_runtest_call
from .time_limit import pytest_runtest_protocol as pytest_runtest_protocol
from .untraced import pytest_pyfunc_call as pytest_pyfunc_call

# The same examples each time, and no clock that a busy machine could trip: a failure is the code's own.
settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    # Fixtures of functions: streams of one kind serve every example.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("deterministic")

# Hypothesis makes a failure smaller for up to five minutes; by then our time limit for tests has ended it, and nobody
# learns what failed. There is no setting for this.
assert engine.MAX_SHRINKING_SECONDS == 300
engine.MAX_SHRINKING_SECONDS = 60

# A shell starts what goes to the background with SIGINT ignored, and tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "both_streams" in metafunc.fixturenames:
        is_for_one = metafunc.definition.get_closest_marker("plain_streams") is not None
        metafunc.parametrize("both_streams", ["plain"] if is_for_one else ["plain", "prompt"], indirect=True)


@pytest.fixture
def both_streams(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test twice: over plain streams in memory, and over such that take writes at once, often in part.

    One whose time goes into something else is marked `plain_streams` with the reason, and runs once.
    """
    if request.param == "prompt":
        monkeypatch.setattr("bintrio.sandbox.server.network.Line", streams.PartialLine)
        for module in ("tests.peer", "tests.refusing"):
            plain = pkgutil.resolve_name(f"{module}:memory_stream_pair")
            monkeypatch.setattr(f"{module}.memory_stream_pair", streams.partial_pairs(plain))
