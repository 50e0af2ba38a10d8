"""Endpoints: where the exchange listens, and what is no endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.endpoints import DEMO, PRODUCTION, TESTNET, Address, Endpoint, as_endpoint
from bintrio.errors import InvalidRequest


def test_production_tries_443_before_9443() -> None:
    first, second = PRODUCTION.addresses(time_unit="ms")
    assert first == Address("ws-api.binance.com", 443, True, "/ws-api/v3")
    assert second.port == 9443


@pytest.mark.parametrize("endpoint", [PRODUCTION, TESTNET, DEMO])
def test_public_endpoints_are_encrypted_and_not_here(endpoint: Endpoint) -> None:
    assert endpoint.name
    for address in endpoint.addresses(time_unit="ms"):
        assert address.secure
        assert not address.is_loopback


def test_microseconds_are_asked_for_in_the_query() -> None:
    (address,) = DEMO.addresses(time_unit="us")
    assert address.resource == "/ws-api/v3?timeUnit=MICROSECOND"
    (address,) = Endpoint(("ws://h/p?a=1",)).addresses(time_unit="us")
    assert address.resource == "/p?a=1&timeUnit=MICROSECOND"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://localhost:8000", Address("localhost", 8000, False, "/")),
        ("wss://example.com/x", Address("example.com", 443, True, "/x")),
        ("ws://example.com", Address("example.com", 80, False, "/")),
        ("ws://[::1]:5/a?b=c", Address("::1", 5, False, "/a?b=c")),
    ],
)
def test_urls_are_taken_apart(url: str, expected: Address) -> None:
    assert as_endpoint(url).addresses(time_unit="ms") == (expected,)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("10.0.0.1", False), ("a.b", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert Address(host, 1, False, "/").is_loopback is expected


def test_authority_has_brackets_around_ipv6() -> None:
    assert Address("::1", 5, False, "/").authority == "[::1]:5"
    assert Address("h", 5, False, "/").authority == "h:5"


@pytest.mark.parametrize(
    "url", ["http://example.com", "example.com", "", "ws://", "wss://:443", "ws://h:0", "ws://h:99999", "ws://[::1"]
)
def test_what_is_no_websocket_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        as_endpoint(url)
    assert caught.value.field == "endpoint"


def test_an_endpoint_needs_a_url() -> None:
    with pytest.raises(InvalidRequest, match="at least one URL"):
        Endpoint(())


def test_an_endpoint_is_left_as_it_is_and_other_things_are_refused() -> None:
    assert as_endpoint(PRODUCTION) is PRODUCTION
    assert as_endpoint("ws://h:1/x").name == "h:1"
    wrong: Any = 7
    with pytest.raises(InvalidRequest, match="not int"):
        as_endpoint(wrong)


@pytest.mark.parametrize(
    ("url", "expected"), [("wss://example.com", True), ("ws://example.com", False), ("ws://127.0.0.1", True)]
)
def test_g9_private_is_what_nobody_else_can_read(url: str, expected: bool) -> None:
    (address,) = as_endpoint(url).addresses(time_unit="ms")
    assert address.is_private is expected
