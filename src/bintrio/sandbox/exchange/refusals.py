"""Every way in which the sandbox says no, in the exchange's own codes and words; its own words follow where the
exchange would not have said no.

Source: errors.md, and "Status codes" of the WebSocket API document.
"""

from __future__ import annotations

from typing import Any, Final

from bintrio.api.enums import OrderRejectReason


class Refusal(Exception):
    """A request was not executed.

    Attributes:
        status: HTTP-like status.
        code: the exchange's error code.
        message: the exchange's words.
        data: ``error.data``, or None.
        is_anonymous: whether the answer goes out with ``id: null``.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: int = 400,
        data: dict[str, Any] | None = None,
        is_anonymous: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.data = data
        self.is_anonymous = is_anonymous

    def as_error(self) -> dict[str, Any]:
        """``error`` of the answer."""
        error: dict[str, Any] = {"code": self.code, "msg": self.message}
        return error if self.data is None else error | {"data": self.data}


# The format


def invalid_json() -> Refusal:
    """-1135: the message is not a JSON object with a method."""
    return Refusal(-1135, "Invalid JSON Request", is_anonymous=True)


def unknown_method() -> Refusal:
    """-1020: the document gives no code of its own for a method that does not exist."""
    return _ours(-1020, "This operation is not supported.", "has the methods of the exchange's document only")


def no_sbe() -> Refusal:
    """-1155: the exchange speaks SBE too."""
    return _ours(-1155, "SBE is not enabled.", "speaks JSON only")


def _ours(code: int, message: str, reason: str) -> Refusal:
    """Of what the exchange might well do: so the message says that it is the sandbox that does not."""
    return Refusal(code, f"{message} The sandbox {reason}.")


# Parameters


def illegal_characters(name: str, legal: str) -> Refusal:
    """-1100."""
    return Refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def too_many_parameters(expected: int, received: int) -> Refusal:
    """-1101."""
    return Refusal(-1101, f"Too many parameters; expected '{expected}' and received '{received}'.")


def too_many_values(name: str, most: int) -> Refusal:
    """-1101, for a list; the changelog of 2022-06-20 has the words."""
    return Refusal(-1101, f"Too many values sent for parameter '{name}', maximum allowed up to {most}.")


def duplicate_parameter() -> Refusal:
    """-1101, for one that came twice."""
    return Refusal(-1101, "Duplicate values for a parameter detected.")


def mandatory(name: str) -> Refusal:
    """-1102."""
    return Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def either_mandatory(first: str, second: str) -> Refusal:
    """-1102, for two parameters of which one is needed."""
    return Refusal(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def too_great(name: str, greatest: int) -> Refusal:
    """-1102, for a value over its maximum."""
    return Refusal(-1102, f"'{name}' contains unexpected value. Cannot be greater than {greatest}.")


def not_read(read: int, sent: int) -> Refusal:
    """-1104."""
    return Refusal(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def empty(name: str) -> Refusal:
    """-1105."""
    return Refusal(-1105, f"Parameter '{name}' was empty.")


def not_required(name: str) -> Refusal:
    """-1106, or -1114 for timeInForce."""
    # It has a code of its own, with words of its own.
    if name == "timeInForce":
        return Refusal(-1114, "TimeInForce parameter sent when not required.")
    return Refusal(-1106, f"Parameter '{name}' sent when not required.")


def overflowed(name: str) -> Refusal:
    """-1108, for a whole number of more than 64 bits."""
    return Refusal(-1108, f"Parameter '{name}' overflowed.")


def too_precise(name: str) -> Refusal:
    """-1111."""
    return Refusal(-1111, f"Parameter '{name}' has too much precision.")


def iceberg_not_good_till_canceled(name: str) -> Refusal:
    """-1160, for an order of a list."""
    return Refusal(-1160, f"Parameter '{name}' is not supported if aboveTimeInForce/belowTimeInForce is not GTC.")


def json_not_valid(name: str) -> Refusal:
    """-1135, for a list that is sent as JSON text."""
    return Refusal(-1135, f"JSON sent for parameter '{name}' is not valid")


def go_together(first: str, second: str) -> Refusal:
    """-1128, for two of which one was sent."""
    both = f"'{first}' and '{second}' must both be sent."
    return Refusal(-1128, f"Combination of optional fields invalid. Recommendation: {both}")


def bad_combination() -> Refusal:
    """-1128."""
    return Refusal(-1128, "Combination of optional parameters invalid.")


def invalid_value(name: str) -> Refusal:
    """The code that belongs to the parameter, whatever order of a list it is of, else -1130."""
    found = _INVALID_TYPES_IN_LISTS.get(name) or _INVALID_VALUES.get(_without_prefix(name))
    return not_valid(name) if found is None else Refusal(*found)


def _without_prefix(name: str) -> str:
    """The name of a parameter as a single order has it."""
    return next((plain[0].lower() + plain[1:] for plain in _OF_ORDERS_IN_LISTS if name.endswith(plain)), name)


_OF_ORDERS_IN_LISTS: Final = ("TimeInForce", "Side", "PegPriceType", "PegOffsetType", "StrategyType")


def invalid_ticker_type() -> Refusal:
    """-1139."""
    return Refusal(-1139, "Invalid ticker type.")


def not_valid(name: str) -> Refusal:
    """-1130."""
    return Refusal(-1130, f"Data sent for parameter '{name}' is not valid.")


_INVALID_VALUES: Final = {
    "interval": (-1120, "Invalid interval."),
    "timeInForce": (-1115, "Invalid timeInForce."),
    "type": (-1116, "Invalid orderType."),
    "side": (-1117, "Invalid side."),
    "symbolStatus": (-1122, "Invalid symbolStatus."),
    "cancelRestrictions": (-1145, "Invalid cancelRestrictions"),
    "pegPriceType": (-1210, "Invalid pegPriceType."),
    "pegOffsetType": (-1211, "Invalid pegOffsetType."),
    "strategyType": (-1134, "strategyType was less than 1000000."),
}


_NOT_IN_OCO: Final = (-1158, "Order type not supported in OCO.")
_INVALID_TYPES_IN_LISTS: Final = {
    "workingType": _INVALID_VALUES["type"],
    "pendingType": _INVALID_VALUES["type"],
    **dict.fromkeys(("aboveType", "belowType", "pendingAboveType", "pendingBelowType"), _NOT_IN_OCO),
}


def invalid_symbol() -> Refusal:
    """-1121."""
    return Refusal(-1121, "Invalid symbol.")


def symbol_status_differs() -> Refusal:
    """-1220."""
    return Refusal(-1220, "The symbol's status does not match the requested symbolStatus.")


# Who asks, and when


def api_key_malformed() -> Refusal:
    """-2014."""
    return Refusal(-2014, "API-key format invalid.")


def api_key_refused() -> Refusal:
    """-2015."""
    return Refusal(-2015, "Invalid API-key, IP, or permissions for action.")


def session_revoked() -> Refusal:
    """-2015 with status 401 and ``id: null``: the key of a logged-on session is no longer accepted."""
    return Refusal(-2015, "Invalid API-key, IP, or permissions for action.", status=401, is_anonymous=True)


def signature_wrong() -> Refusal:
    """-1022."""
    return Refusal(-1022, "Signature for this request is not valid.")


def timestamp_late() -> Refusal:
    """-1021."""
    return Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")


def timestamp_ahead() -> Refusal:
    """-1021."""
    return Refusal(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


# How often


def too_much_weight(limit: int, interval: str, *, now: int, retry_after: int | None) -> Refusal:
    """-1003 with status 429. Times are milliseconds; without ``retry_after``, nothing is said of it."""
    message = (
        f"Too much request weight used; current limit is {limit} request weight per {interval}."
        " Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return Refusal(-1003, message, status=429, data=_wait(now, retry_after))


def too_many_orders(limit: int, interval: str, *, now: int, retry_after: int) -> Refusal:
    """-1015 with status 429. Times are milliseconds."""
    message = f"Too many new orders; current limit is {limit} orders per {interval}."
    return Refusal(-1015, message, status=429, data={"serverTime": now, "retryAfter": retry_after})


def banned(*, now: int, retry_after: int | None) -> Refusal:
    """-1003 with status 418. Times are milliseconds; without ``retry_after``, nothing is said of it."""
    # A fault may leave the time out, which the exchange does not.
    until = "" if retry_after is None else f" until {retry_after}"
    message = (
        f"Way too much request weight used; IP banned{until}."
        " Please use WebSocket Streams for live updates to avoid bans."
    )
    return Refusal(-1003, message, status=418, data=_wait(now, retry_after))


def _wait(now: int, retry_after: int | None) -> dict[str, Any]:
    return {"serverTime": now} if retry_after is None else {"serverTime": now, "retryAfter": retry_after}


def too_many_connections(limit: int, interval: str) -> Refusal:
    """-1034 with status 429."""
    message = f"Too many connection attempts from IP; current limit is {limit} per '{interval}'."
    return Refusal(-1034, message, status=429)


# Orders


def filter_failure(name: str) -> Refusal:
    """-1013."""
    return Refusal(-1013, f"Filter failure: {name}")


def stp_mode_not_allowed() -> Refusal:
    """-1013."""
    return Refusal(-1013, "This symbol does not allow the specified self-trade prevention mode.")


def order_refused(message: str) -> Refusal:
    """-2010: the matching engine does not take the order."""
    return Refusal(-2010, message)


def reject_reason(refusal: Refusal) -> OrderRejectReason:
    """What an event says of it; "Order Reject Reason" of user-data-stream.md has four messages."""
    return _REJECT_REASONS.get(refusal.message, "NONE")


# By message.
_REJECT_REASONS: Final[dict[str, OrderRejectReason]] = {
    "Account has insufficient balance for requested action.": "INSUFFICIENT_BALANCES",
    "Order would trigger immediately.": "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
    "Order would immediately match and take.": "WOULD_MATCH_IMMEDIATELY",
    "The relationship of the prices for the orders is not correct.": "OCO_BAD_PRICES",
}


def cancel_refused(message: str) -> Refusal:
    """-2011: the matching engine does not cancel the order."""
    return Refusal(-2011, message)


def amend_refused(message: str) -> Refusal:
    """-2038: the matching engine does not amend the order."""
    return Refusal(-2038, message)


def not_supported(kind: str) -> Refusal:
    """-2010: the symbol does not take orders of that kind."""
    return order_refused(f"{kind} orders are not supported for this symbol.")


def replace_failed(data: dict[str, Any]) -> Refusal:
    """-2022: order.cancelReplace did nothing. ``data`` says why."""
    return Refusal(-2022, "Order cancel-replace failed.", data=data)


def replace_partly_failed(data: dict[str, Any]) -> Refusal:
    """-2021 with status 409: order.cancelReplace did one half. ``data`` has both halves."""
    return Refusal(-2021, "Order cancel-replace partially failed.", status=409, data=data)


def no_such_order() -> Refusal:
    """-2013."""
    return Refusal(-2013, "Order does not exist.")


def archived() -> Refusal:
    """-2026."""
    return Refusal(-2026, "Order was canceled or expired with no executed qty over 90 days ago and has been archived.")


def client_order_id_differs() -> Refusal:
    """-2039."""
    return Refusal(-2039, "Client order ID is not correct for this order ID.")


# Market data


def too_long(hours: int) -> Refusal:
    """-1127, for a span of time."""
    return Refusal(-1127, f"More than {hours} hours between startTime and endTime.")


def no_reference_price() -> Refusal:
    """-2043."""
    return Refusal(-2043, "This symbol doesn't have a reference price.")


# User data


def already_subscribed() -> Refusal:
    """-2035."""
    return Refusal(-2035, "User Data Stream subscription already active.")


def not_subscribed() -> Refusal:
    """-2036."""
    return Refusal(-2036, "User Data Stream subscription not active.")


def too_many_subscriptions(limit: int) -> Refusal:
    """-1130; the document says "an error", and not which."""
    return Refusal(-1130, f"Too many active subscriptions; current limit is {limit}.")


def subscription_ids_used_up() -> Refusal:
    """-2042."""
    return Refusal(-2042, "Maximum subscription ID reached for this connection.")


# Its own fault


def timed_out() -> Refusal:
    """-1007: the execution is unknown."""
    return Refusal(
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        status=504,
    )
