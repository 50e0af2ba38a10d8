"""User data stream requests.

`Session.user_data` subscribes, keeps the subscription across connections and hands out the events. A session refuses
to subscribe and unsubscribe by hand, since what it does not know of, it cannot keep.

Source: "User Data Stream requests" of the WebSocket API document.
"""

from __future__ import annotations

from ._base import Milliseconds, Request, api
from ._values import Record, Timestamp
from .general import Nothing

__all__ = [
    "Subscription",
]


class Subscription(Record, frozen=True, kw_only=True):
    """A user data subscription of this connection; only the SBE schema knows of an expiration."""

    subscription_id: int
    expiration_time: Timestamp | None = None


@api("session.subscriptions", security="NONE", source="Memory", weight=2, section="listing-all-subscriptions")
class SessionSubscriptions(Request[tuple[Subscription, ...]], frozen=True, kw_only=True):
    """The user data subscriptions of the connection."""


@api(
    "userDataStream.subscribe",
    security="SESSION",
    weight=2,
    # A subscription is of one connection, so another one must not make it by itself.
    repeatable=False,
    section="subscribe-to-user-data-stream-user_stream",
)
class UserDataStreamSubscribe(Request[Subscription], frozen=True, kw_only=True):
    """Subscribe to the account that the connection is logged on to."""


@api(
    "userDataStream.subscribe.signature",
    security="USER_STREAM",
    source="Memory",
    signed=True,
    weight=2,
    # A subscription is of one connection, so another one must not make it by itself.
    repeatable=False,
    section="subscribe-to-user-data-stream-through-signature-subscription-user_stream",
)
class UserDataStreamSubscribeSignature(Request[Subscription], frozen=True, kw_only=True):
    """Subscribe to the account of an API key, without logging the connection on."""

    recv_window: Milliseconds | None = None


@api(
    "userDataStream.unsubscribe",
    security="NONE",
    weight=2,
    # On another connection the number is that of another subscription.
    repeatable=False,
    section="unsubscribe-from-user-data-stream",
)
class UserDataStreamUnsubscribe(Request[Nothing], frozen=True, kw_only=True):
    """End one user data subscription of the connection, or all of them."""

    subscription_id: int | None = None
