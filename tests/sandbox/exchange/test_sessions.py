"""What a connection is to the exchange."""

from __future__ import annotations

import pytest

from bintrio.sandbox.exchange import sessions
from bintrio.sandbox.exchange.auth import SandboxAccount
from bintrio.sandbox.exchange.refusals import Refusal
from bintrio.sandbox.exchange.sessions import Session

CREDENTIAL = SandboxAccount(7, {}).credentials()[0]


def test_logging_on_and_off() -> None:
    session = Session(connected_since=1)
    assert session.status(2).api_key is None
    session.log_on(CREDENTIAL, 3)
    status = session.status(4)
    assert (status.api_key, status.authorized_since, status.connected_since) == (CREDENTIAL.api_key, 3, 1)
    session.log_off()
    assert (session.status(5).api_key, session.status(5).authorized_since) == (None, None)


def test_each_connection_numbers_its_subscriptions_from_zero() -> None:
    session = Session(connected_since=1)
    assert [session.subscribe(uid, by_logon=False) for uid in (7, 8)] == [0, 1]
    assert (session.followed.get(8), session.followed.get(9)) == (1, None)
    session.unsubscribe(0)
    assert session.subscribe(7, by_logon=False) == 2
    session.unsubscribe(None)
    assert session.subscriptions == {}


def test_one_subscription_to_an_account() -> None:
    session = Session(connected_since=1)
    session.subscribe(7, by_logon=True)
    with pytest.raises(Refusal) as caught:
        session.subscribe(7, by_logon=False)
    assert caught.value.code == -2035


def test_unsubscribing_what_is_not_subscribed() -> None:
    with pytest.raises(Refusal) as caught:
        Session(connected_since=1).unsubscribe(3)
    assert caught.value.code == -2036


def test_subscription_ids_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SUBSCRIPTION_IDS", 1)
    session = Session(connected_since=1)
    session.subscribe(7, by_logon=True)
    with pytest.raises(Refusal) as caught:
        session.subscribe(8, by_logon=True)
    assert caught.value.code == -2042


def test_a_session_has_a_thousand_subscriptions_at_a_time() -> None:
    """web-socket-api.md: "up to 1,000 active subscriptions"; "beyond this limit will result in an error"."""
    session = Session(connected_since=1)
    for uid in range(1_000):
        session.subscribe(uid, by_logon=False)
    with pytest.raises(Refusal, match="current limit is 1000"):
        session.subscribe(1_000, by_logon=False)
    session.unsubscribe(5)
    assert session.subscribe(1_000, by_logon=False) == 1_000


def test_logging_off_ends_what_was_subscribed_by_logon() -> None:
    session = Session(connected_since=1)
    session.log_on(CREDENTIAL, 1)
    session.subscribe(7, by_logon=True)
    session.subscribe(8, by_logon=False)
    session.log_off()
    assert list(session.subscriptions) == [1]
    assert (session.take_ended(), session.take_ended()) == ([0], [])
