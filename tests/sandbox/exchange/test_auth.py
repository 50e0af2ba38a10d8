"""Keys, signatures, timestamps."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_private_elliptic_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from bintrio._protocol.signing import Ed25519Key, HmacKey, Key, RsaKey
from bintrio.errors import InvalidRequest
from bintrio.sandbox.exchange.auth import Keyring, SandboxAccount, SandboxKey, check_timestamp
from bintrio.sandbox.exchange.refusals import Refusal

NOW = 1_767_225_600_000_000
ACCOUNT = SandboxAccount(7, {"BTC": Decimal(1)})
PAYLOAD = "symbol=BTCUSDT"


@pytest.fixture
def keyring() -> Keyring:
    keyring = Keyring()
    keyring.add(ACCOUNT)
    return keyring


def signed(key: Key, **changes: Any) -> dict[str, Any]:
    params = {"apiKey": key.api_key, "timestamp": NOW // 1_000, "signature": key.sign(PAYLOAD)} | changes
    return {name: value for name, value in params.items() if value is not None}


def code(keyring: Keyring, params: dict[str, Any]) -> int:
    with pytest.raises(Refusal) as caught:
        keyring.authenticate(params, PAYLOAD, NOW)
    return caught.value.code


@pytest.mark.parametrize("kind", ["key", "hmac_key", "rsa_key"])
def test_every_type_of_key_signs(keyring: Keyring, kind: str) -> None:
    key: Key = getattr(ACCOUNT, kind)
    credential = keyring.authenticate(signed(key), PAYLOAD, NOW)
    assert (credential.uid, credential.can_log_on) == (7, key.can_log_on)
    for wrong in ("AAAA", "not base64!", "é"):
        assert code(keyring, signed(key, signature=wrong)) == -1022
    other: Key = getattr(SandboxAccount(8, {}), kind)
    assert code(keyring, signed(key, signature=other.sign(PAYLOAD))) == -1022


def _public(pem: bytes) -> str:
    public_key = load_pem_private_key(pem, None).public_key()
    return public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


OWN_RSA = generate_private_key(public_exponent=65_537, key_size=2048).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)
OWN_ED25519 = SandboxAccount(99, {}).ed25519_pem()


@pytest.mark.parametrize(
    ("own", "given", "type_"),
    [
        (HmacKey("mine", "s3cret"), SandboxKey("mine", secret="s3cret"), "HMAC"),
        (Ed25519Key.from_pem(OWN_ED25519, api_key="mine"), SandboxKey("mine", pem=OWN_ED25519), "Ed25519"),
        (Ed25519Key.from_pem(OWN_ED25519, api_key="mine"), SandboxKey("mine", pem=_public(OWN_ED25519)), "Ed25519"),
        (RsaKey.from_pem(OWN_RSA, api_key="mine"), SandboxKey("mine", pem=OWN_RSA), "RSA"),
        (RsaKey.from_pem(OWN_RSA, api_key="mine"), SandboxKey("mine", pem=_public(OWN_RSA)), "RSA"),
    ],
    ids=["HMAC", "Ed25519", "public Ed25519", "RSA", "public RSA"],
)
def test_an_account_takes_keys_that_a_bot_has_already(own: Key, given: SandboxKey, type_: str) -> None:
    keyring = Keyring()
    keyring.add(SandboxAccount(9, {}, keys=[given]))
    credential = keyring.authenticate(signed(own), PAYLOAD, NOW)
    assert (given.type, credential.uid, credential.can_log_on) == (type_, 9, type_ == "Ed25519")
    assert code(keyring, signed(own, signature="AAAA")) == -1022


def test_a_key_is_in_one_account_only(keyring: Keyring) -> None:
    given = SandboxKey("mine", secret="s3cret")
    keyring.add(SandboxAccount(9, {}, keys=[given]))
    with pytest.raises(ValueError, match="uid 10 is there already"):
        keyring.add(SandboxAccount(10, {}, keys=[given]))
    with pytest.raises(ValueError, match="uid 11 is there already"):
        keyring.add(SandboxAccount(11, {}, keys=[SandboxKey("other", secret="x"), SandboxKey("other", secret="y")]))
    assert code(keyring, signed(SandboxAccount(11, {}).key)) == -2015


SECRETS: dict[str, Any] = {
    "no secret": {},
    "two": {"secret": "s3cret", "pem": OWN_ED25519},
    "empty": {"secret": ""},
    "bytes": {"secret": b"s3cret"},
    "no PEM": {"pem": "s3cret"},
    "neither text nor bytes": {"pem": 7},
    "another type of key": {
        "pem": generate_private_elliptic_key(SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    },
    "a passphrase": {
        "pem": load_pem_private_key(OWN_ED25519, None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cret")
        )
    },
}


@pytest.mark.parametrize("wrong", SECRETS.values(), ids=SECRETS)
def test_g9_a_key_that_cannot_be_right_is_named_and_not_shown(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        SandboxKey("mine", **wrong)
    assert caught.value.field in {"secret", "pem"}
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["", "with blank", "a" * 129, 7])
def test_an_api_key_that_cannot_be_right_is_named(name: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        SandboxKey(name, secret="s3cret")
    assert caught.value.field == "api_key"


def test_g9_nothing_that_knows_a_secret_shows_it() -> None:
    given = SandboxKey("mine", secret="s3cret")
    account = SandboxAccount(9, {}, keys=[given])
    assert repr(given) == "SandboxKey(HMAC, api_key='mine')"
    for shown in (repr(account), repr(account.credentials())):
        assert "s3cret" not in shown
        assert account.hmac_secret() not in shown


def test_other_programs_can_have_the_secrets_of_an_account() -> None:
    again = SandboxAccount(7, {})
    assert HmacKey(ACCOUNT.hmac_key.api_key, again.hmac_secret()).sign("x") == ACCOUNT.hmac_key.sign("x")
    assert Ed25519Key.from_pem(again.ed25519_pem(), api_key="x").sign("x") == ACCOUNT.key.sign("x")
    assert RsaKey.from_pem(again.rsa_pem(), api_key="x").sign("x") == again.rsa_key.sign("x")


def test_an_hmac_signature_is_not_case_sensitive(keyring: Keyring) -> None:
    key = ACCOUNT.hmac_key
    assert keyring.authenticate(signed(key, signature=key.sign(PAYLOAD).upper()), PAYLOAD, NOW).uid == 7


def test_keys_are_the_same_each_time_and_say_nothing() -> None:
    again = SandboxAccount(7, {})
    assert again.key.api_key == ACCOUNT.key.api_key
    assert again.key.sign("x") == ACCOUNT.key.sign("x")
    assert repr(again) == "SandboxAccount(uid=7)"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"apiKey": None}, -1102),
        ({"apiKey": 5}, -1102),
        ({"apiKey": "with space"}, -2014),
        ({"apiKey": "unknown"}, -2015),
        ({"signature": None}, -1102),
        ({"timestamp": None}, -1102),
        ({"timestamp": ""}, -1102),
        ({"timestamp": "soon"}, -1100),
    ],
)
def test_what_is_missing_or_malformed(keyring: Keyring, changes: dict[str, Any], expected: int) -> None:
    assert code(keyring, signed(ACCOUNT.key, **changes)) == expected


def test_a_revoked_key_is_refused(keyring: Keyring) -> None:
    keyring.revoke(ACCOUNT.key.api_key)
    assert code(keyring, signed(ACCOUNT.key)) == -2015
    with pytest.raises(KeyError):
        keyring.revoke("unknown")


@pytest.mark.parametrize(
    ("age_ms", "window", "message"),
    [
        (0, None, None),
        (5_000, None, None),
        (5_001, None, "Timestamp for this request is outside of the recvWindow."),
        (101, 100, "Timestamp for this request is outside of the recvWindow."),
        (1, 0, "Timestamp for this request is outside of the recvWindow."),
        (60_000, "60000.0", None),
        (-999, None, None),
        (-1_000, None, "Timestamp for this request was 1000ms ahead of the server's time."),
    ],
)
@pytest.mark.parametrize("scale", [1, 1_000])
def test_the_timestamp_rules_in_both_units(age_ms: int, window: Any, message: str | None, scale: int) -> None:
    params: dict[str, Any] = {"timestamp": (NOW // 1_000 - age_ms) * scale}
    if window is not None:
        params["recvWindow"] = window
    if message is None:
        check_timestamp(params, NOW)
    else:
        with pytest.raises(Refusal) as caught:
            check_timestamp(params, NOW)
        assert (caught.value.code, caught.value.message) == (-1021, message)


def test_a_malformed_window_is_left_for_the_validation_to_name() -> None:
    check_timestamp({"timestamp": NOW // 1_000, "recvWindow": "wide"}, NOW)
