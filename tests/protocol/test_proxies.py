"""Proxies: every form of a URL, what the environment says, and the way to an address."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.proxies import Proxy, Routes, proxy_of, routes_of
from bintrio.endpoints import Address
from bintrio.errors import InvalidRequest

LONG: Final = "x" * 255


def way(host: str, *, port: int = 443, secure: bool = True) -> Address:
    return Address(host, port, secure, "/")


# URLs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://proxy.test:3128", Proxy("http", "proxy.test", 3128)),
        ("HTTP://Proxy.Test:3128/", Proxy("http", "proxy.test", 3128)),
        ("http://proxy.test", Proxy("http", "proxy.test", 80)),
        ("https://proxy.test", Proxy("https", "proxy.test", 443)),
        ("socks4://proxy.test", Proxy("socks4", "proxy.test", 1080)),
        ("socks4a://proxy.test:9", Proxy("socks4a", "proxy.test", 9)),
        ("socks5://192.0.2.1", Proxy("socks5", "192.0.2.1", 1080)),
        ("socks5h://[2001:db8::1]:9050", Proxy("socks5h", "2001:db8::1", 9050)),
        ("http://bob:hunter2@proxy.test:3128", Proxy("http", "proxy.test", 3128, "bob", "hunter2")),
        ("http://token@proxy.test:3128", Proxy("http", "proxy.test", 3128, "token", "")),
        ("http://token:@proxy.test:3128", Proxy("http", "proxy.test", 3128, "token", "")),
        ("http://bob:a%40b%3Ac%2Fd%3Fe%23f%25@p.test:1", Proxy("http", "p.test", 1, "bob", "a@b:c/d?e#f%")),
        ("http://bob:a@b:c@p.test:1", Proxy("http", "p.test", 1, "bob", "a@b:c")),
        ("http://bob:100%@p.test:1", Proxy("http", "p.test", 1, "bob", "100%")),
        ("http://bob:a+b@p.test:1", Proxy("http", "p.test", 1, "bob", "a+b")),
        ("http://bob:a%20b@p.test:1", Proxy("http", "p.test", 1, "bob", "a b")),
        ("http://domain%5Cbob:x@p.test:1", Proxy("http", "p.test", 1, "domain\\bob", "x")),
        ("http://bob:%C3%A9@p.test:1", Proxy("http", "p.test", 1, "bob", "\u00c3\u00a9")),  # é, a byte each
        ("https://b%C3%B6b:\u20ac@p.test:1", Proxy("https", "p.test", 1, "b\u00c3\u00b6b", "\u00e2\u0082\u00ac")),
        ("socks5://bob:a%3Ab@p.test:1", Proxy("socks5", "p.test", 1, "bob", "a:b")),
        (f"socks5h://{LONG}:{LONG}@p.test:1", Proxy("socks5h", "p.test", 1, LONG, LONG)),
        ("socks4://bob@p.test:1", Proxy("socks4", "p.test", 1, "bob", None)),
    ],
)
def test_a_url_is_taken_apart(url: str, expected: Proxy) -> None:
    assert proxy_of(url, "proxy") == expected


BAD: Final[list[tuple[Any, str]]] = [
    ("", "must start with http://, https://, socks4://, socks4a://, socks5://, socks5h://"),
    ("proxy.test:3128", "must start with "),
    ("ftp://bob:hunter2@proxy.test", "must start with "),
    ("wss://bob:hunter2@proxy.test", "must start with "),
    ("http://", "names no host"),
    ("http://bob:hunter2@", "names no host"),
    ("http://bob:hunter2@proxy.test:0", "no usable port"),
    ("http://bob:hunter2@proxy.test:70000", "cannot be read; in a user or password"),
    ("http://bob:hunter2@proxy.test:port", "cannot be read; in a user or password"),
    ("http://bob:hunter2@[::1", "cannot be read"),
    ("http://bob:hunter2/x@proxy.test:1", "cannot be read; in a user or password"),
    ("http://bob:12/hunter2@proxy.test:1", "has no path or query; in a user or password"),
    ("http://bob:12?hunter2@proxy.test:1", "has no path or query"),
    ("http://bob:12#hunter2@proxy.test:1", "has no path or query"),
    ("http://proxy.test:1/hunter2", "has no path or query"),
    ("http://bob:hunter2 @proxy.test:1", "blank or a control character; in a user"),
    ("http://bob:hunter2\x7f@proxy.test:1", "blank or a control character"),
    ("http://bob:hunter2%0d%0aX:1@proxy.test:1", "not UTF-8, or holds a control character"),
    ("http://hunter2%00:x@proxy.test:1", "not UTF-8, or holds a control character"),
    ("http://bob:hunter2%FF@proxy.test:1", "not UTF-8, or holds a control character"),
    ("http://:hunter2@proxy.test:1", "has an empty user"),
    ("http://@proxy.test:1", "has an empty user"),
    ("http://bob%3Ahunter2:x@proxy.test:1", "a colon, which HTTP does not allow"),
    ("socks5://hunter2@proxy.test:1", "has a user and no password, which SOCKS 5 wants together"),
    ("socks5h://hunter2:@proxy.test:1", "has a user and no password"),
    ("socks5://bob:hunter2%C3%A9@proxy.test:1", "must be ASCII of at most 255 characters"),
    (f"socks5://hunter2{LONG}:x@proxy.test:1", "must be ASCII of at most 255 characters"),
    ("socks4://bob:hunter2@proxy.test:1", "has a password, and SOCKS 4 knows none"),
    ("socks4a://hunter2%C3%A9@proxy.test:1", "must be ASCII"),
    (5, "must be a URL string, not int"),
    (None, "must be a URL string, not NoneType"),
]


@pytest.mark.parametrize(("url", "said"), BAD)
def test_g9_a_url_that_cannot_be_right_is_named_by_its_field_and_not_shown(url: Any, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        routes_of([url], {})
    assert caught.value.field == "proxy"
    assert said in str(caught.value)
    assert "proxy" in str(caught.value)
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


@given(st.text() | st.text("http:/@%[]#?0a", max_size=20).map("socks5://".__add__))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        proxy = proxy_of(text, "proxy")
    except InvalidRequest:
        return
    assert proxy.host
    assert 0 < proxy.port < 65_536


def test_g9_a_proxy_shows_neither_user_nor_password() -> None:
    proxy = proxy_of("https://some-user:hunter2@[::1]:3128", "proxy")
    assert repr(proxy) == "Proxy('https://[::1]:3128')"
    assert proxy.__rich_repr__() == ["https://[::1]:3128"]
    assert "hunter2" not in repr(Routes((proxy,)))
    assert "some-user" not in repr(Routes((proxy,)))


# The argument


def test_without_a_proxy_the_way_is_direct() -> None:
    assert routes_of(None, {"HTTPS_PROXY": "http://p.test"}).to(way("exchange.test")) == ()


def test_several_are_passed_in_their_order() -> None:
    routes = routes_of(("http://a.test", "socks5h://b.test"), {})
    assert [proxy.host for proxy in routes.to(way("localhost"))] == ["a.test", "b.test"]


@pytest.mark.parametrize("value", [[], (), 5, b"http://p.test", {"https": "http://p.test"}, object()])
def test_what_is_no_url_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^proxy must be a URL, several in a list, or 'environment', not ") as got:
        routes_of(value, {})
    assert got.value.field == "proxy"


# The environment


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "", "ALL_PROXY": " "}, None),
        ({"HTTP_PROXY": "http://p.test", "http_proxy": "http://p.test"}, None),
        ({"HTTPS_PROXY": "http://p.test:1"}, "http://p.test:1"),
        ({"HTTPS_PROXY": "p.test:1"}, "http://p.test:1"),
        ({"HTTPS_PROXY": " bob:hunter2@p.test "}, "http://p.test:80"),
        ({"ALL_PROXY": "socks5h://p.test"}, "socks5h://p.test:1080"),
        ({"https_proxy": "http://low.test", "HTTPS_PROXY": "http://up.test"}, "http://low.test:80"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://up.test"}, "http://up.test:80"),
        ({"all_proxy": "http://low.test", "ALL_PROXY": "http://up.test"}, "http://low.test:80"),
        ({"HTTPS_PROXY": "http://p.test", "all_proxy": "http://all.test"}, "http://p.test:80"),
        ({"HTTPS_PROXY": "http://p.test", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://p.test", "no_proxy": "exchange.test", "NO_PROXY": "x"}, None),
        ({"HTTPS_PROXY": "http://p.test", "no_proxy": "", "NO_PROXY": "exchange.test"}, None),
    ],
)
def test_the_environment_names_a_proxy(environ: dict[str, str], expected: str | None) -> None:
    proxies = routes_of("environment", environ).to(way("exchange.test"))
    assert [proxy.url for proxy in proxies] == ([] if expected is None else [expected])


def test_g9_a_bad_value_of_the_environment_is_named_by_its_variable() -> None:
    with pytest.raises(InvalidRequest, match=r"^ALL_PROXY must start with ") as caught:
        routes_of("environment", {"ALL_PROXY": "ftp://bob:hunter2@p.test"})
    assert caught.value.field == "proxy"


@pytest.mark.parametrize(
    ("entry", "direct", "others"),
    [
        ("*", ["a.test", "192.0.2.1", "2001:db8::1"], []),
        ("*:443", ["a.test"], ["a.test:9443"]),
        ("a.test", ["a.test", "A.Test", "b.a.test", "c.b.a.test", "a.test."], ["ba.test", "a.test.de", "test"]),
        (".a.test", ["a.test", "b.a.test"], ["ba.test"]),
        ("*.a.test", ["a.test", "b.a.test"], ["ba.test"]),
        ("A.TEST.", ["a.test"], []),
        ("a.test:443", ["a.test", "b.a.test"], ["a.test:9443"]),
        ("a.test:99999999", [], ["a.test"]),
        ("x, a.test ,y", ["a.test", "x", "y"], ["z"]),
        ("x a.test", ["a.test", "x"], []),
        (", ,", [], ["a.test"]),
        (".", [], ["a.test", "192.0.2.1"]),
        ("192.0.2.1", ["192.0.2.1"], ["192.0.2.10"]),
        ("192.0.2.0/24", ["192.0.2.77"], ["192.0.3.1", "a.test", "2001:db8::1"]),
        ("192.0.2.9/24", ["192.0.2.77"], ["192.0.3.1"]),
        ("192.0.2.0/99", [], ["192.0.2.0"]),
        ("192.0.2.1:443", ["192.0.2.1"], ["192.0.2.1:9443"]),
        ("2001:db8::1", ["2001:db8::1", "2001:db8:0::1"], ["2001:db8::2", "192.0.2.1"]),
        ("[2001:db8::1]:443", ["2001:db8::1"], ["2001:db8::1:9443"]),
        ("[2001:db8::1]", ["2001:db8::1"], []),
        ("[]:443", [], ["a.test"]),
        ("2001:db8::/32", ["2001:db8:9::1"], ["2001:db9::1"]),
        ("1", [], ["192.0.2.1"]),
    ],
)
def test_what_no_proxy_says_is_reached_directly(entry: str, direct: list[str], others: list[str]) -> None:
    routes = routes_of("environment", {"HTTPS_PROXY": "http://p.test", "NO_PROXY": entry})
    for host in direct:
        assert routes.to(way(host)) == (), host
    for host in others:
        name, is_other_port, _ = host.rpartition(":9443")
        address = way(name, port=9443) if is_other_port else way(host)
        assert len(routes.to(address)) == 1, host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_reached_through_no_proxy_of_the_environment(host: str) -> None:
    assert routes_of("environment", {"HTTPS_PROXY": "http://p.test"}).to(way(host)) == ()
    assert len(routes_of("http://p.test", {}).to(way(host))) == 1


# Privacy


@pytest.mark.parametrize(
    ("proxy", "host", "secure", "expected"),
    [
        (None, "exchange.test", True, True),
        (None, "exchange.test", False, False),
        (None, "localhost", False, True),
        ("https://p.test", "exchange.test", True, True),
        ("https://p.test", "exchange.test", False, False),
        ("http://localhost", "localhost", False, False),  # which localhost that is, the proxy decides
        ("http://localhost", "localhost", True, True),
        ("environment", "localhost", False, True),
        ("environment", "exchange.test", False, False),
        ("environment", "exchange.test", True, True),
    ],
)
def test_g9_a_proxy_reads_what_is_not_encrypted(proxy: Any, host: str, secure: bool, expected: bool) -> None:
    routes = routes_of(proxy, {"HTTPS_PROXY": "https://p.test"})
    assert routes.is_private(way(host, secure=secure)) is expected
