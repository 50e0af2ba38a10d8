"""Rules of the exchange's documents on who may ask, how often, and what may be changed: requests, and what comes back.

Each table is of one section of the documents. A row has what goes before, the request, and the status, code and message
of its answer; code and message are None where it succeeds. "No code" says that the document has the rule, but no code
for it; then the row holds what the sandbox chose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

Json: TypeAlias = dict[str, Any]


class Ask(NamedTuple):
    """A request.

    Attributes:
        key: what signs it: ``key``, ``hmac_key`` or ``rsa_key`` of the account; "" for nothing, "logon" for the key
            that is logged on, which leaves the timestamp to be sent.
        changes: after it was signed; an Ellipsis takes a parameter away, a function makes it of the old value.
        age: milliseconds by which its timestamp is older than the exchange's time.
        times: how often it is sent; what is said of the answer is said of the last.
    """

    method: str
    params: Mapping[str, Any] = MappingProxyType({})
    key: str = "key"
    changes: Mapping[str, Any] = MappingProxyType({})
    age: int = 0
    times: int = 1


class Rule(NamedTuple):
    """What comes back."""

    before: Sequence[Ask]
    ask: Ask
    status: int
    code: int | None = None
    message: str | None = None


ACCOUNT: Final = "account.status"
LOGON: Final = Ask("session.logon")
LIMIT: Final[Json] = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "100"}
PLACE: Final = Ask("order.place", LIMIT | {"quantity": "1", "newClientOrderId": "mine"})
FILLED: Final = Ask("order.place", LIMIT | {"side": "SELL", "quantity": "1", "newClientOrderId": "other"})
SUBSCRIBE: Final = Ask("userDataStream.subscribe.signature")
LIST: Final[Json] = {
    "symbol": "BTCUSDT",
    "workingType": "LIMIT",
    "workingSide": "BUY",
    "workingPrice": "100",
    "workingQuantity": "1",
    "workingTimeInForce": "GTC",
    "workingClientOrderId": "mine",
    "pendingType": "LIMIT",
    "pendingSide": "SELL",
    "pendingPrice": "200",
    "pendingTimeInForce": "GTC",
    "pendingClientOrderId": "later",
}


_MINE: Final[Json] = {"symbol": "BTCUSDT", "origClientOrderId": "mine"}
_SELL: Final[Json] = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "1"}
_THEN: Final = Ask("orderList.place.oto", LIST | {"pendingQuantity": "1"})


def _replace(times: int = 1, **changes: Any) -> Ask:
    named = {} if "cancelOrderId" in changes else {"cancelOrigClientOrderId": "mine"}
    given = LIMIT | {"quantity": "1", "cancelReplaceMode": "STOP_ON_FAILURE"} | named | changes
    return Ask("order.cancelReplace", given, times=times)


def _amend(new: str, name: str = "mine", **more: Any) -> Ask:
    return Ask("order.amend.keepPriority", {"symbol": "BTCUSDT", "origClientOrderId": name, "newQty": new} | more)


def _mandatory(name: str) -> tuple[int, int, str]:
    return 400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


_FORMAT: Final = (400, -2014, "API-key format invalid.")
_KEY: Final = (400, -2015, "Invalid API-key, IP, or permissions for action.")
_SIGNATURE: Final = (400, -1022, "Signature for this request is not valid.")
_LATE: Final = (400, -1021, "Timestamp for this request is outside of the recvWindow.")
_AHEAD: Final = (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
_CHARACTERS: Final = "Illegal characters found in parameter 'timestamp'; legal range is '^[0-9]{1,20}$'."
_WINDOW: Final = (400, -1102, "'recvWindow' contains unexpected value. Cannot be greater than 60000.")
_NOT_AUTHORIZED: Final = (400, -1002, "You are not authorized to execute this request.")
_NO_INCREASE: Final = (400, -2038, "Order amend (quantity increase) is not supported.")
_NO_CHANGE: Final = (400, -2038, "The requested action would change no state; rejecting")
_UNKNOWN: Final = (400, -2038, "Unknown order sent.")
_ACTIVE: Final = (400, -2035, "User Data Stream subscription already active.")
_NOT_ACTIVE: Final = (400, -2036, "User Data Stream subscription not active.")

_KEYS: Final = ("key", "hmac_key", "rsa_key")

RULES: Final[dict[str, list[Rule]]] = {
    'web-socket-api.md, "Request security": SIGNED requests': [
        *(Rule((), Ask(ACCOUNT, key=key), 200) for key in _KEYS),
        Rule((), Ask(ACCOUNT, key="hmac_key", changes={"signature": str.upper}), 200),  # "not case-sensitive"
        *(
            Rule((), Ask(ACCOUNT, changes={name: value}), *_mandatory(name))
            for name in ("apiKey", "signature", "timestamp")
            for value in (..., "", None)
        ),
        *(Rule((), Ask(ACCOUNT, changes={"apiKey": name}), *_FORMAT) for name in ("a b", "a-b", "ä", "x" * 129)),
        Rule((), Ask(ACCOUNT, changes={"apiKey": "x" * 64}), *_KEY),
        *(
            Rule((), Ask(ACCOUNT, key=key, changes={"signature": wrong}), *_SIGNATURE)
            for key in _KEYS
            for wrong in ("AAAA", "0" * 64, "no base 64!")
        ),
        Rule((), Ask(ACCOUNT, {"omitZeroBalances": True}, changes={"omitZeroBalances": False}), *_SIGNATURE),
        Rule((), Ask(ACCOUNT, {"omitZeroBalances": True}, changes={"omitZeroBalances": ...}), *_SIGNATURE),
        Rule((), Ask("ping", changes={"timestamp": ..., "signature": ...}), 400, -1101, None),
    ],
    'web-socket-api.md, "Timing security"': [
        Rule((), Ask(ACCOUNT, age=5_000), 200),
        Rule((), Ask(ACCOUNT, age=5_001), *_LATE),
        Rule((), Ask(ACCOUNT, {"recvWindow": 10_000}, age=9_999), 200),
        Rule((), Ask(ACCOUNT, {"recvWindow": 60_000}, age=60_001), *_LATE),
        Rule((), Ask(ACCOUNT, {"recvWindow": 1}, age=2), *_LATE),
        Rule((), Ask(ACCOUNT, {"recvWindow": 60_001}), *_WINDOW),
        Rule((), Ask(ACCOUNT, {"recvWindow": "4999.999"}, age=5_000), *_LATE),
        Rule((), Ask(ACCOUNT, age=-999), 200),
        Rule((), Ask(ACCOUNT, age=-1_000), *_AHEAD),
        *(
            Rule((), Ask(ACCOUNT, changes={"timestamp": wrong}), 400, -1100, _CHARACTERS)
            for wrong in ("now", "1.5", "-1", 1.5)
        ),
        Rule((), Ask("order.place", LIMIT | {"quantity": "1"}, age=5_001), *_LATE),
        Rule((LOGON,), Ask(ACCOUNT, key="logon", age=5_001), *_LATE),
        Rule((LOGON,), Ask(ACCOUNT, key="logon", changes={"timestamp": ...}), *_mandatory("timestamp")),
    ],
    'web-socket-api.md, "Session authentication"': [
        Rule((), LOGON, 200),
        *(Rule((), Ask("session.logon", key=key), *_KEY) for key in ("hmac_key", "rsa_key")),  # no code
        Rule((), Ask("session.logon", key=""), *_mandatory("apiKey")),
        Rule((), Ask("session.logon", changes={"signature": "AAAA"}), *_SIGNATURE),
        Rule((), Ask("session.logon", age=5_001), *_LATE),
        Rule((), Ask(ACCOUNT, key=""), *_mandatory("apiKey")),
        Rule((LOGON,), Ask(ACCOUNT, key="logon"), 200),
        Rule((LOGON,), Ask(ACCOUNT, key="hmac_key"), 200),  # "you can still sign a request with another key"
        Rule((LOGON,), LOGON, 200),
        Rule((LOGON, Ask("session.logout", key="")), Ask(ACCOUNT, key="logon"), *_mandatory("apiKey")),
        Rule((), Ask("session.logout", key=""), 200),
        Rule((), Ask("session.status", key=""), 200),
        Rule(
            (LOGON,),
            Ask(ACCOUNT, key="logon", changes={"signature": "AAAA"}),
            400,
            -1106,
            "Parameter 'signature' sent when not required.",
        ),
    ],
    'web-socket-api.md, "User Data Stream requests"': [
        Rule((), Ask("userDataStream.subscribe", key=""), *_NOT_AUTHORIZED),
        Rule((LOGON,), Ask("userDataStream.subscribe", key=""), 200),
        Rule((LOGON, SUBSCRIBE), Ask("userDataStream.subscribe", key=""), *_ACTIVE),
        Rule((), SUBSCRIBE, 200),
        Rule((SUBSCRIBE,), SUBSCRIBE, *_ACTIVE),
        *(Rule((), Ask("userDataStream.subscribe.signature", key=key), 200) for key in ("hmac_key", "rsa_key")),
        Rule((), Ask("userDataStream.unsubscribe", key=""), 200),
        Rule((), Ask("userDataStream.unsubscribe", {"subscriptionId": 0}, key=""), *_NOT_ACTIVE),
        Rule((SUBSCRIBE,), Ask("userDataStream.unsubscribe", {"subscriptionId": 0}, key=""), 200),
        Rule((SUBSCRIBE,), Ask("userDataStream.unsubscribe", {"subscriptionId": 1}, key=""), *_NOT_ACTIVE),
        Rule((SUBSCRIBE, Ask("userDataStream.unsubscribe", key="")), SUBSCRIBE, 200),
        Rule((), Ask("session.subscriptions", key=""), 200),
    ],
    'web-socket-api.md, "Rate limits"': [
        Rule((), Ask("exchangeInfo", key="", times=5), 200),
        Rule(
            (Ask("exchangeInfo", key="", times=5),),
            Ask("ping", key=""),
            429,
            -1003,
            "Too much request weight used; current limit is 100 request weight per 1 MINUTE."
            " Please use WebSocket Streams for live updates to avoid polling the API.",
        ),
        Rule(
            (Ask("exchangeInfo", key="", times=5), Ask("ping", key="", times=3)), Ask("ping", key=""), 418, -1003, None
        ),
        Rule((), Ask("order.place", LIMIT | {"quantity": "0.1"}, times=4), 200),
        Rule(
            (),
            Ask("order.place", LIMIT | {"quantity": "0.1"}, times=5),
            429,
            -1015,
            "Too many new orders; current limit is 4 orders per 10 SECOND.",
        ),
        Rule(
            (Ask("order.place", LIMIT | {"quantity": "0.1"}, times=3),),
            Ask("orderList.place.oto", LIST | {"pendingQuantity": "1"}),  # two orders
            429,
            -1015,
            "Too many new orders; current limit is 4 orders per 10 SECOND.",
        ),
        Rule(
            (PLACE, Ask("order.place", LIMIT | {"quantity": "0.1"}, times=3)),
            Ask("order.cancel", {"symbol": "BTCUSDT", "origClientOrderId": "mine"}),
            200,
        ),
        Rule(
            (Ask("order.place", LIMIT | {"quantity": "0.1"}, times=4),),
            Ask("order.test", LIMIT | {"quantity": "1"}),
            200,
        ),
        # Amending adds no order.
        Rule((PLACE, *(_amend(f"0.{size}", newClientOrderId="mine") for size in (9, 8, 7, 6))), _amend("0.5"), 200),
    ],
    'web-socket-api.md, "Order Amend Keep Priority"; order_amend_keep_priority.md': [
        Rule((PLACE,), _amend("0.5"), 200),
        Rule((PLACE,), _amend("1.5"), *_NO_INCREASE),
        Rule((PLACE,), _amend("1"), *_NO_CHANGE),
        Rule((PLACE, _amend("0.5", newClientOrderId="mine")), _amend("0.7"), *_NO_INCREASE),
        Rule((), _amend("0.5"), *_UNKNOWN),
        Rule((PLACE,), _amend("0.5", symbol="ETHUSDT"), *_UNKNOWN),
        Rule((PLACE, FILLED), _amend("0.5"), *_UNKNOWN),
        Rule(
            (PLACE, Ask("order.cancel", {"symbol": "BTCUSDT", "origClientOrderId": "mine"})), _amend("0.5"), *_UNKNOWN
        ),
        Rule((PLACE,), _amend("0"), 400, -1013, "Filter failure: LOT_SIZE"),
        Rule((PLACE,), _amend("0.5000001"), 400, -1013, "Filter failure: LOT_SIZE"),
        Rule((PLACE,), _amend("0.01"), 400, -1013, "Filter failure: NOTIONAL"),
        Rule((PLACE, Ask("order.place", LIMIT | {"quantity": "1", "newClientOrderId": "second"})), _amend("0.5"), 200),
        Rule(
            (PLACE, Ask("order.place", LIMIT | {"quantity": "1", "newClientOrderId": "second"})),
            _amend("0.5", newClientOrderId="second"),
            400,
            -2038,
            "Duplicate order sent.",
        ),
        Rule((PLACE,), _amend("0.5", newClientOrderId="mine"), 200),
        Rule((Ask("orderList.place.oto", LIST | {"pendingQuantity": "1"}),), _amend("0.5", "later"), 200),
        Rule((Ask("orderList.place.oto", LIST | {"pendingQuantity": "1"}),), _amend("0.5"), 200),
        Rule(
            (Ask("orderList.place.opo", LIST),),
            _amend("0.5", "later"),
            400,
            -2038,
            "Order amend (pending OPO order) is not supported.",
        ),
    ],
    'web-socket-api.md, "Cancel order"; errors.md, -2039 and -2010': [
        Rule((PLACE,), PLACE, 400, -2010, "Duplicate order sent."),
        Rule((PLACE, FILLED), PLACE, 200),  # the id is free again
        Rule(
            (PLACE,),
            Ask("order.cancel", {"symbol": "BTCUSDT", "orderId": 1, "origClientOrderId": "wrong"}),
            400,
            -2039,
            "Client order ID is not correct for this order ID.",
        ),
        Rule((PLACE,), Ask("order.cancel", _MINE | {"cancelRestrictions": "ONLY_NEW"}), 200),
        Rule(
            (PLACE,),
            Ask("order.cancel", _MINE | {"cancelRestrictions": "ONLY_PARTIALLY_FILLED"}),
            400,
            -2011,
            "Order was not canceled due to cancel restrictions.",
        ),
        *(
            Rule(
                (PLACE,),
                Ask(method, {"symbol": "BTCUSDT", "orderId": 1, "origClientOrderId": "wrong"} | more),
                400,
                -2039,
                "Client order ID is not correct for this order ID.",
            )
            for method, more in (("order.status", {}), ("order.amend.keepPriority", {"newQty": "0.5"}))
        ),
        # "Freeing it up for new orders."
        Rule((PLACE, Ask("order.cancel", _MINE)), PLACE, 200),
        # "If you cancel an individual order from an order list, the entire order list is canceled."
        Rule(
            (_THEN, Ask("order.cancel", _MINE)),
            Ask("orderList.cancel", {"symbol": "BTCUSDT", "orderListId": 0}),
            400,
            -2011,
            "Unknown order sent.",
        ),
        # "If both conditions are not met the request will be rejected."
        Rule(
            (_THEN,),
            Ask("orderList.cancel", {"symbol": "BTCUSDT", "orderListId": 0, "listClientOrderId": "wrong"}),
            400,
            -2011,
            None,
        ),
    ],
    'web-socket-api.md, "Cancel and replace order"': [
        Rule((PLACE,), _replace(), 200),
        # "The new order can reuse old `clientOrderId` of the canceled order."
        Rule((PLACE,), _replace(newClientOrderId="mine"), 200),
        # "Filters [...] are evaluated before cancellation", so the order is still there.
        Rule((PLACE,), _replace(price="100.001"), 400, -1013, "Filter failure: PRICE_FILTER"),
        Rule((PLACE, _replace(price="100.001")), Ask("order.cancel", _MINE), 200),
        # "In `STOP_ON_FAILURE` mode, if the new order placement fails, the old order is still canceled."
        Rule((PLACE,), _replace(quantity="1000"), 409, -2021, "Order cancel-replace partially failed."),
        Rule((PLACE, _replace(quantity="1000")), Ask("order.cancel", _MINE), 400, -2011, "Unknown order sent."),
        # "If new order placement is not attempted, your order count is still incremented."
        Rule(
            (_replace(times=4),),
            PLACE,
            429,
            -1015,
            "Too many new orders; current limit is 4 orders per 10 SECOND.",
        ),
        Rule(
            (PLACE,), _replace(cancelRestrictions="ONLY_PARTIALLY_FILLED"), 400, -2022, "Order cancel-replace failed."
        ),
        Rule(
            (PLACE,),
            _replace(cancelOrderId=1, cancelOrigClientOrderId="wrong"),
            400,
            -2022,
            "Order cancel-replace failed.",
        ),
    ],
    'errors.md, "Messages for -2010": prices beside those of the book and of the last trade': [
        Rule(
            (PLACE,),
            Ask("order.place", _SELL | {"type": "LIMIT_MAKER", "price": "100"}),
            400,
            -2010,
            "Order would immediately match and take.",
        ),
        *(
            Rule(
                (PLACE, FILLED),
                Ask("order.place", _SELL | {"type": kind, "stopPrice": "100", "side": side}),
                400,
                -2010,
                "Order would trigger immediately.",
            )
            for kind in ("STOP_LOSS", "TAKE_PROFIT")
            for side in ("BUY", "SELL")
        ),
        Rule(
            (PLACE, FILLED),
            Ask("orderList.place", _SELL | {"price": "99", "stopPrice": "90"}),
            400,
            -2010,
            "The relationship of the prices for the orders is not correct.",
        ),
    ],
}
"""By the section of the documents."""
