"""A client that is logged on, for the tests of all methods."""

from __future__ import annotations

import pytest

from tests.sandbox.client import Client


@pytest.fixture
def client() -> Client:
    client = Client()
    client.log_on()
    return client
