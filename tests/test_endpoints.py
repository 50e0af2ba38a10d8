"""Endpoints: where the exchange listens, and what is no endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from bintrio.endpoints import DEMO, PRODUCTION, TESTNET, Address, Endpoint, as_endpoint, is_loopback
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


def test_what_a_url_cannot_hold_is_percent_encoded() -> None:
    (address,) = Endpoint(("ws://h/é b%20?ü=1&a[]=%41".replace(" b", "b"),)).addresses(time_unit="ms")
    assert address.resource == "/%C3%A9b%20?%C3%BC=1&a[]=%41"


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com", "example.com", "", "ws://", "wss://:443", "ws://h:0", "ws://h:99999", "ws://[::1"),
        *("wss://h/a b", "wss://h/\n", "wss://h/\ud800"),
    ],
)
def test_what_is_no_websocket_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        as_endpoint(url)
    assert caught.value.field == "endpoint"


@pytest.mark.parametrize("urls", [(), [], None, "wss://h/", 7])
def test_an_endpoint_needs_a_url(urls: Any) -> None:
    with pytest.raises(InvalidRequest, match="at least one URL"):
        Endpoint(urls)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://example.com", "endpoint must start with ws:// or wss://, not https"),
        ("testnet", "endpoint must start with ws:// or wss://, or be an Endpoint, such as bintrio.TESTNET"),
        ("hush://example.com", "endpoint must start with ws:// or wss://, or be an Endpoint, such as bintrio.TESTNET"),
    ],
)
def test_what_is_no_url_of_a_web_socket_is_told_what_would_be(url: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        as_endpoint(url)
    assert str(caught.value) == said


def test_the_parts_of_an_endpoint_have_their_types() -> None:
    urls: Any = ["wss://h/"]
    assert hash(Endpoint(urls)) == hash(Endpoint(("wss://h/",)))
    wrong: Any = 7
    with pytest.raises(InvalidRequest, match="name must be a str, not int"):
        Endpoint(("wss://h/",), wrong)
    with pytest.raises(InvalidRequest, match="a URL string, not int"):
        Endpoint((wrong,))


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


# Secrets in URLs


def test_user_and_password_go_out_as_basic_authorization() -> None:
    (address,) = as_endpoint("wss://b%C3%B6b:hunter%402@h:5/x").addresses(time_unit="ms")
    assert address.headers == (("Authorization", "Basic YsO2YjpodW50ZXJAMg=="),)
    assert (address.host, address.authority, address.resource) == ("h", "h:5", "/x")
    assert as_endpoint("wss://h/").addresses(time_unit="ms")[0].headers == ()
    assert as_endpoint("wss://:pw@h/").addresses(time_unit="ms")[0].authorization == "Basic OnB3"


SECRET = "hunter2"


@pytest.mark.parametrize("url", [f"wss://bob:{SECRET}@h/x", f"wss://{SECRET}@h/x", f"wss://h/x?token={SECRET}"])
def test_g9_a_secret_of_a_url_shows_in_no_repr(url: str) -> None:
    endpoint = as_endpoint(url)
    for value in (endpoint, *endpoint.addresses(time_unit="us")):
        for text in (repr(value), str(value), f"{value}", repr([value]), repr(value.__rich_repr__())):
            assert SECRET not in text
    assert endpoint.name == "h"


def test_g9_a_bad_url_is_not_quoted() -> None:
    for url in (
        f"wss://bob:{SECRET}",
        f"https://bob:{SECRET}@h",
        f"bob:{SECRET}@h",
        f"wss://h:99999/{SECRET}",
        f"wss://h:{SECRET}/",
        f"wss://[{SECRET}/",
        f"wss://h/ {SECRET}",
        f"{SECRET}:x",
        f"wss:///{SECRET}",
    ):
        with pytest.raises(InvalidRequest) as caught:
            as_endpoint(url)
        assert SECRET not in repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_loopback_addresses(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
