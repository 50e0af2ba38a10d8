"""Following accounts."""

from __future__ import annotations

from typing import Any

from bintrio._protocol.events import decode_event
from bintrio.api.events import EventStreamTerminated
from bintrio.sandbox.exchange.auth import SandboxAccount
from tests.sandbox.client import BUY, NOW, Client, D


def test_events_go_to_subscribers_of_the_account_only(client: Client) -> None:
    client.trade("order.place", **BUY)
    assert client.events() == []
    assert client.result("userDataStream.subscribe") == {"subscriptionId": 0}
    other = SandboxAccount(8, {"USDT": D(1_000)})
    client.exchange.open_account(other)
    assert client.result("userDataStream.subscribe.signature", **client.signed(other.rsa_key)) == {"subscriptionId": 1}
    assert client.result("session.subscriptions") == [{"subscriptionId": 0}, {"subscriptionId": 1}]
    client.trade("order.place", **BUY)
    assert {event["subscriptionId"] for event in client.events()} == {0}
    client.exchange.transfer(8, "USDT", D(5), NOW)
    assert [(e["subscriptionId"], e["event"]["e"]) for e in client.events()] == [
        (1, "balanceUpdate"),
        (1, "outboundAccountPosition"),
    ]
    assert client.result("userDataStream.unsubscribe", subscriptionId=1) == {}
    assert [(e["subscriptionId"], e["event"]["e"]) for e in client.events()] == [(1, "eventStreamTerminated")]
    assert client.error("userDataStream.unsubscribe", subscriptionId=1)[1] == -2036
    assert client.error("userDataStream.subscribe")[1] == -2035


def test_logging_out_terminates_the_subscription_of_the_session(client: Client) -> None:
    client.result("userDataStream.subscribe")
    client.result("userDataStream.subscribe.signature", **_of_another(client))
    client.result("session.logout")
    (delivery,) = client.exchange.take_deliveries()
    event = decode_event(delivery.message)
    assert (event.subscription_id, event.event) == (0, EventStreamTerminated(event_time=NOW // 1_000))
    assert client.result("session.subscriptions") == [{"subscriptionId": 1}]
    assert client.error("userDataStream.subscribe")[1] == -1002


def test_unsubscribing_from_all_is_told_for_each() -> None:
    """user-data-stream.md, "Event Stream Terminated": "stopped via the userDataStream.unsubscribe method"."""
    client = Client(unit="us")
    client.log_on()
    client.result("userDataStream.subscribe")
    client.result("userDataStream.subscribe.signature", **_of_another(client))
    client.result("userDataStream.unsubscribe")
    terminated = {"e": "eventStreamTerminated", "E": NOW}
    assert client.events() == [{"subscriptionId": number, "event": terminated} for number in (0, 1)]
    client.result("userDataStream.unsubscribe")
    assert client.events() == []


def _of_another(client: Client) -> dict[str, Any]:
    other = SandboxAccount(8, {})
    client.exchange.open_account(other)
    return client.signed(other.key)
