"""Settings: each variable, its file, and what cannot be right."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from trio.testing import MockClock

import bintrio
from bintrio.errors import InvalidRequest
from bintrio.sandbox import open_sandbox, trader
from bintrio.settings import ENDPOINTS, Settings

HMAC: Final = {"BINTRIO_API_KEY": "A", "BINTRIO_HMAC_SECRET": "hush"}


def rsa_pem(password: bytes) -> str:
    key = generate_private_key(public_exponent=65_537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password)).decode()


def test_each_is_an_argument_of_a_session_with_the_same_default() -> None:
    arguments = inspect.signature(bintrio.open_session).parameters
    for name in Settings.__struct_fields__:
        default = arguments[name].default
        assert default in {inspect.Parameter.empty, getattr(Settings(), name)}, name
    assert set(arguments) - set(Settings.__struct_fields__) == {
        *("ssl_context", "connect", "ledger", "observer", "observe_params")
    }


def test_nothing_set_is_the_test_network_without_a_key() -> None:
    assert Settings.from_env({}) == Settings() == Settings(endpoint=bintrio.TESTNET, key=None)


def test_without_an_argument_it_is_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINTRIO_ENDPOINT", "demo")
    assert Settings.from_env().endpoint is bintrio.DEMO


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        *(("ENDPOINT", name, "endpoint", endpoint) for name, endpoint in ENDPOINTS.items()),
        ("ENDPOINT", "wss://relay.test/ws", "endpoint", bintrio.Endpoint(("wss://relay.test/ws",), "relay.test")),
        ("ENDPOINT", "", "endpoint", bintrio.TESTNET),
        ("NAME", "grid 7", "name", "grid 7"),
        ("PROXY", "http://p.test:3128", "proxy", "http://p.test:3128"),
        ("PROXY", "environment", "proxy", "environment"),
        ("PROXY", " http://a.test\n socks5h://b.test ", "proxy", ("http://a.test", "socks5h://b.test")),
        ("REQUEST_TIMEOUT", "2.5", "request_timeout", 2.5),
        ("CONNECT_TIMEOUT", "30", "connect_timeout", 30),
        ("CLOSE_TIMEOUT", " 1 ", "close_timeout", 1),
        ("PONG_WINDOW", "90", "pong_window", 90),
        ("LIFETIME", "inf", "lifetime", float("inf")),
        ("DRAIN_TIMEOUT", "1e1", "drain_timeout", 10),
        ("MAX_MESSAGE_SIZE", "1000000", "max_message_size", 1_000_000),
        ("TIME_UNIT", "us", "time_unit", "us"),
    ],
)
@pytest.mark.parametrize("is_in_a_file", [False, True])
def test_a_variable_is_read(
    variable: str, text: str, field: str, value: Any, is_in_a_file: bool, tmp_path: Path
) -> None:
    environ = {f"BINTRIO_{variable}": text}
    if is_in_a_file and text:
        file = tmp_path / "setting"
        file.write_text(f"{text}\n")
        environ = {f"BINTRIO_{variable}_FILE": str(file)}
    settings = Settings.from_env(environ)
    assert getattr(settings, field) == value
    others = [name for name in Settings.__struct_fields__ if name != field]
    assert all(getattr(settings, name) == getattr(Settings(), name) for name in others)


def test_a_key_is_made_of_its_parts(tmp_path: Path) -> None:
    account = trader()
    files = {"pem": account.ed25519_pem(), "rsa": rsa_pem(b"hush").encode(), "secret": b" hush \n", "word": b"hush\n"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    key = {"BINTRIO_API_KEY": "A"}
    environs: list[tuple[dict[str, str], type[bintrio.Key]]] = [
        (HMAC, bintrio.HmacKey),
        ({**key, "BINTRIO_HMAC_SECRET_FILE": str(tmp_path / "secret")}, bintrio.HmacKey),
        ({**key, "BINTRIO_PRIVATE_KEY_FILE": str(tmp_path / "pem")}, bintrio.Ed25519Key),
        ({**key, "BINTRIO_PRIVATE_KEY": (tmp_path / "pem").read_text()}, bintrio.Ed25519Key),
        ({**key, "BINTRIO_PRIVATE_KEY": (tmp_path / "pem").read_text().replace("\n", "\\n")}, bintrio.Ed25519Key),
        (
            {**key, "BINTRIO_PRIVATE_KEY_FILE": str(tmp_path / "rsa"), "BINTRIO_PASSPHRASE": "hush"},
            bintrio.RsaKey,
        ),
        (
            {
                **key,
                "BINTRIO_PRIVATE_KEY": (tmp_path / "rsa").read_text(),
                "BINTRIO_PASSPHRASE_FILE": str(tmp_path / "word"),
            },
            bintrio.RsaKey,
        ),
    ]
    for environ, kind in environs:
        found = Settings.from_env(environ).key
        assert isinstance(found, kind)
        assert found.api_key == "A"


@pytest.mark.parametrize(
    ("environ", "field", "said"),
    [
        ({"ENDPOINT": "tesnet"}, "endpoint", "must be production, testnet, demo or a URL"),
        ({"ENDPOINT": "wss://bob:hush@relay.test:0"}, "endpoint", "names no host or no usable port"),
        ({"REQUEST_TIMEOUT": "hush"}, "request_timeout", "BINTRIO_REQUEST_TIMEOUT must be a number"),
        ({"LIFETIME": "hush s"}, "lifetime", "BINTRIO_LIFETIME must be a number"),
        ({"MAX_MESSAGE_SIZE": "9" * 5000}, None, ""),
        ({"API_KEY": "A"}, "key", "an API key (BINTRIO_API_KEY, --api-key) goes with a private key"),
        ({"HMAC_SECRET": "hush"}, "key", "an API key (BINTRIO_API_KEY, --api-key) goes with"),
        ({"PRIVATE_KEY": "hush"}, "key", "an API key (BINTRIO_API_KEY, --api-key) goes with"),
        ({"API_KEY": "A", "HMAC_SECRET": "hush", "PRIVATE_KEY_FILE": "x"}, "key", "exclude each other"),
        ({"API_KEY": "A", "PRIVATE_KEY": "hush"}, "private_key", "BINTRIO_PRIVATE_KEY: this is not PEM"),
        (
            {"API_KEY": "A", "PRIVATE_KEY_FILE": "hush"},
            "private_key",
            "BINTRIO_PRIVATE_KEY_FILE, --private-key: cannot read the private key '…'",
        ),
        ({"PRIVATE_KEY": "x", "PRIVATE_KEY_FILE": "y"}, "private_key", "BINTRIO_PRIVATE_KEY_FILE exclude each other"),
        ({"PROXY": "x", "PROXY_FILE": "y"}, "proxy", "BINTRIO_PROXY and BINTRIO_PROXY_FILE exclude each other"),
        ({"PROXY_FILE": "hush"}, "proxy", "cannot read BINTRIO_PROXY_FILE, '…': No such file or directory"),
        ({"PROXY_FILE": "\0"}, "proxy", "it holds no text"),
        ({"PROXY_FILE": "empty.txt"}, "proxy", "cannot read BINTRIO_PROXY_FILE, 'empty.txt': it is empty"),
        ({"PROXY_FILE": "binary.txt"}, "proxy", "it holds no text"),
    ],
)
async def test_g9_what_cannot_be_right_is_named_and_not_shown(
    environ: dict[str, str], field: str | None, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "binary.txt").write_bytes(b"\xff")
    with pytest.raises(InvalidRequest) as caught:
        async with Settings.from_env({f"BINTRIO_{name}": value for name, value in environ.items()}).open_session():
            raise AssertionError
    assert said in str(caught.value)
    assert field in {None, caught.value.field}
    assert "hush" not in str(caught.value)


async def test_ranges_are_those_of_a_session() -> None:
    for environ, field in (
        ({"BINTRIO_REQUEST_TIMEOUT": "-1"}, "request_timeout"),
        ({"BINTRIO_MAX_MESSAGE_SIZE": "1.5"}, "max_message_size"),
        ({"BINTRIO_TIME_UNIT": "s"}, "time_unit"),
        ({"BINTRIO_PROXY": "ftp://p.test"}, "proxy"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            async with Settings.from_env(environ).open_session():
                raise AssertionError
        assert caught.value.field == field


def test_a_name_that_is_not_known_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    Settings.from_env({"BINTRIO_PROXI": "hush", "BINTRIO_SERVICE_HOST": "x", "BOT_NAME": "x", **HMAC})
    proxi, service = caplog.messages
    assert proxi == "BINTRIO_PROXI is not a setting; did you mean 'BINTRIO_PROXY'?"
    assert service.startswith("BINTRIO_SERVICE_HOST is not a setting")
    assert [vars(record)["variable"] for record in caplog.records] == ["BINTRIO_PROXI", "BINTRIO_SERVICE_HOST"]


def test_g9_a_repr_shows_no_secret() -> None:
    settings = Settings.from_env({**HMAC, "BINTRIO_PROXY": "http://bob:hush@p.test:1"})
    assert "hush" not in repr(settings)
    assert "proxy=('http://p.test:1',), request_timeout=15" in repr(settings)
    assert "proxy=(), " in repr(Settings())
    assert "proxy=('http://a.test', 'http://b.test')" in repr(Settings(proxy=("http://a.test", "http://x:y@b.test")))


async def test_a_session_is_opened_with_them(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox:
        url = sandbox.memory_endpoint.urls[0]
        settings = Settings(endpoint=bintrio.Endpoint((url,)), key=sandbox.key, time_unit="us")
        async with settings.open_session(connect=sandbox.connect) as session:
            assert (await session.time()).server_time > 10**15
            assert (await session.account_status()).balances
        async with settings.open_session(connect=sandbox.connect, time_unit="ms") as session:
            assert (await session.time()).server_time < 10**15
