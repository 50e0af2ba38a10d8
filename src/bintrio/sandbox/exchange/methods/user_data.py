"""User Data Stream requests.

Source: "User Data Stream requests" of the WebSocket API document.
"""

from __future__ import annotations

from bintrio.api.general import Nothing
from bintrio.api.user_data import (
    SessionSubscriptions,
    Subscription,
    UserDataStreamSubscribe,
    UserDataStreamSubscribeSignature,
    UserDataStreamUnsubscribe,
)

from .calls import RequestContext, answers


@answers(UserDataStreamSubscribe)
def subscribe(call: RequestContext) -> Subscription:
    """Follow the account that is logged on."""
    return Subscription(subscription_id=call.session.subscribe(call.signer.uid, by_logon=True))


@answers(UserDataStreamSubscribeSignature)
def subscribe_signature(call: RequestContext) -> Subscription:
    """Follow the account of the key that signed."""
    return Subscription(subscription_id=call.session.subscribe(call.signer.uid, by_logon=False))


@answers(UserDataStreamUnsubscribe)
def unsubscribe(call: RequestContext) -> Nothing:
    """Follow one account less, or none."""
    call.session.unsubscribe(call.request.subscription_id)
    return Nothing()


@answers(SessionSubscriptions)
def subscriptions(call: RequestContext) -> tuple[Subscription, ...]:
    """What the connection follows."""
    return tuple(Subscription(subscription_id=number) for number in call.session.subscriptions)
