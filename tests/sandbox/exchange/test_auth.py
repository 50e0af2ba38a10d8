"""Keys, signatures, timestamps."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bintrio._protocol.signing import Key
from bintrio.sandbox.exchange.auth import Keyring, SandboxAccount, check_timestamp
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
