"""Logging on and off."""

from __future__ import annotations

import pytest

from bintrio._protocol.signing import Key
from tests.sandbox.client import NOW, Client


@pytest.fixture
def stranger() -> Client:
    return Client()


def test_a_session_logs_on_and_off(stranger: Client) -> None:
    assert stranger.result("session.status")["apiKey"] is None
    status = stranger.result("session.logon", **stranger.signed())
    assert (status["apiKey"], status["authorizedSince"]) == (stranger.account.key.api_key, NOW // 1_000)
    assert stranger.trade("account.status")["uid"] == 7
    assert stranger.result("session.logout")["apiKey"] is None
    assert stranger.error("account.status", timestamp=NOW // 1_000)[1] == -1102


@pytest.mark.parametrize("kind", ["hmac_key", "rsa_key"])
def test_only_ed25519_keys_log_on(stranger: Client, kind: str) -> None:
    key: Key = getattr(stranger.account, kind)
    assert stranger.error("session.logon", **stranger.signed(key))[1] == -2015
    assert stranger.result("account.status", **stranger.signed(key))["uid"] == 7
