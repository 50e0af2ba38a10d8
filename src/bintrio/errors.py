"""Every exception of bintrio, sorted by what the caller may do next.

    BintrioError
    ├── InvalidRequest             the call is wrong; nothing was sent; correct it
    ├── ConnectionFailed           no connection could be opened; wait, or change the endpoint
    ├── ProxyFailed                one of ``ConnectionFailed.attempts``: a proxy opened no way
    ├── HandshakeRejected          one of ``ConnectionFailed.attempts``: HTTP refused the opening handshake
    ├── NotSent                    no byte of the call left; repeat it if you like
    ├── OutcomeUnknown             it may have happened; ``await session.confirm(error)``
    ├── Rejected                   the exchange said no; read the code
    │   ├── by status
    │   │   ├── Unauthorized       401, or the API key was not accepted
    │   │   ├── WafBlocked         403
    │   │   ├── PartlyDone         409: one half was done, the other was not
    │   │   └── RateLimited        429: wait until ``retry_at``
    │   │       └── Banned         418: the address is banned until ``retry_at``
    │   └── by code
    │       ├── InvalidParameter   a parameter is missing, malformed, surplus or out of range
    │       │   └── UnknownSymbol
    │       ├── InvalidSignature
    │       ├── InvalidTimestamp
    │       ├── FilterFailure      a symbol, exchange or asset filter refused the order
    │       ├── OrderRefused       the exchange refused to take, cancel or amend the order
    │       │   ├── InsufficientBalance
    │       │   ├── DuplicateOrder
    │       │   ├── MarketClosed
    │       │   └── CancelReplaceFailed  neither half of an order.cancelReplace was done
    │       ├── UnknownOrder       no order, or no open order, goes by that id
    │       └── SubscriptionError  a user data subscription is there already, or is not
    ├── ProtocolViolation          the server broke the format; report it
    ├── AccountNotFollowed         the account was left, or its session closed; ask the session
    └── SubscriberTooSlow          a bounded event buffer overflowed; subscribe again and re-query

Which class a refusal becomes, `_protocol/rejections` says: codes and messages that are unknown there are carried by a
plain :class:`Rejected`, never refused (G10).

Source: the exchange's errors.md, and "Response format" of its WebSocket API document.
"""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Generic, cast

from ._root_error import BintrioError as BintrioError
from ._root_error import ForeignError as ForeignError
from ._text import excerpt, in_words, one_line, shown_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import TypeVar  # type checkers know it without its being installed

    from .api._values import RateLimit

    RequestT_co = TypeVar("RequestT_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    RequestT_co = TypeVar("RequestT_co", covariant=True)

EXECUTION_UNKNOWN_CODES: Final = frozenset({-1006, -1007})
"""Codes that say that the exchange itself does not know whether the request was executed."""

_STANDARD_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}

# Headers of a refused handshake that tell a user what to do: log in somewhere, wait, solve a captcha.
_TELLING: Final = frozenset({"location", "proxy-authenticate", "retry-after", "x-amzn-waf-action"})

# The end of the year 9999, in microseconds: a later time has no `datetime`.
_LAST_TIME: Final = 253_402_300_799_999_999

FIRST_MICROSECONDS: Final = 10**14
"""From here on a time is in microseconds: as milliseconds it would be the year 5138."""


class InvalidRequest(BintrioError, ValueError):
    """The call cannot be right as it stands. Nothing was sent.

    Attributes:
        field: the Python name of the argument at fault, or None when the fault lies between several.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ConnectionFailed(BintrioError):
    """No connection could be opened.

    Attributes:
        attempts: for each URL that was tried, in order, the error it ended with.
    """

    def __init__(self, attempts: Sequence[tuple[str, Exception]]) -> None:
        self.attempts = tuple(attempts)
        causes = "; ".join(f"{url}: {in_words(cause)}" for url, cause in self.attempts)
        super().__init__(f"no connection could be opened ({causes})")


class ProxyFailed(BintrioError):
    """A proxy could not be reached, or opened no way. It is found in `ConnectionFailed.attempts`.

    Attributes:
        proxy: its URL, without user and password.
        status: the HTTP status or SOCKS reply that it said no with; None if it was not that.
    """

    def __init__(self, proxy: str, reason: str, status: int | None = None) -> None:
        self.proxy, self.status = proxy, status
        super().__init__(f"{proxy}: {reason}")


class HandshakeRejected(BintrioError):
    """The server answered the opening handshake of a connection with something other than 101.

    It is found in `ConnectionFailed.attempts`; it is not raised by itself.

    Attributes:
        status: HTTP status.
        headers: names in lower case, and values, in order.
        body: as much of the answer's body as came within the close timeout, at most 64 KiB. Where it, or a header,
            repeats a value of our URL's query, or its user or password, three asterisks stand in its place.
        reason: HTTP's reason phrase; the standard one if the server gave none.
    """

    def __init__(self, status: int, headers: Sequence[tuple[str, str]], body: bytes = b"", *, reason: str = "") -> None:
        self.status = status
        self.headers = tuple(headers)
        self.body = body
        self.reason = one_line(reason) or _STANDARD_REASONS.get(status, "")
        super().__init__(f"the opening handshake was answered with HTTP {status}")

    def __str__(self) -> str:
        # Made anew each time: the body comes after the head.
        line = f"{self.args[0]} {self.reason}".rstrip()
        body = excerpt(self.body)
        headers = ", ".join(f"{name}: {shown_url(one_line(value))}" for name, value in self.headers if name in _TELLING)
        return f"{line}{body and f': {body}'}{headers and f' ({headers})'}"

    @property
    def retry_after(self) -> int | None:
        """Seconds to wait, from the Retry-After header; None if it is absent or a date."""
        return self._number("retry-after")

    @property
    def content_length(self) -> int | None:
        """Bytes of the whole body, from the Content-Length header; None if it is absent."""
        return self._number("content-length")

    def _number(self, wanted: str) -> int | None:
        value = next((value for name, value in self.headers if name == wanted), "")
        # 18 digits are enough for anybody.
        return int(value) if value.isdecimal() and len(value) < 19 else None


class NotSent(BintrioError):
    """No byte of the call left this process, so repeating it is safe.

    Attributes:
        method: the exchange's name of the method.
        reason: why it was not sent.
        retry_at: the exchange's time, in the unit of the session, before which the exchange's limits leave no room for
            it; None if it is something else, as a Redis that shares them and does not answer.
    """

    def __init__(self, method: str, reason: str, *, retry_at: int | None = None) -> None:
        self.method = method
        self.reason = reason
        self.retry_at = retry_at
        super().__init__(f"{method} was not sent: {reason}")


_NO_REQUEST: Final[Any] = None


class OutcomeUnknown(BintrioError, Generic[RequestT_co]):
    """The call was sent, and whether the exchange acted on it is not known.

    Raised for a 5xx status, for the codes -1006 and -1007, and for an answer to a trading call that is neither a result
    nor a well-formed refusal; and at once when the connection is lost or the deadline passes after sending.

    Never send the same order again before ``await session.confirm(error)`` has told what happened to it. Type checkers
    know the request of an ``OutcomeUnknown[OrderPlace]``, and so what `confirm` gives for it.

    Attributes:
        method: the exchange's name of the method.
        reason: why the outcome is not known.
        request: the `Request` as it was sent, client order id included; None for ``session.request()``.
        client_order_id: the id the order goes by, if the call had one.
        final_at: the exchange's time, in the unit of the session, from which the call can no longer be executed, since
            its ``recvWindow`` is over; None if it carried no timestamp.
        sent_at: the timestamp that it carried, in the unit of the session; None if it carried none.
        clock_error: seconds by which ``sent_at`` may differ from the exchange's time.
        seen_order_id: the highest order id of its symbol that the session had seen before it left; None if none.
        is_id_fresh: whether the session made the client order id of each order, so that no earlier one can go by it.
        signed_by: tells which API key it was made with, by a digest of it; None if it had none.
        answer: what the exchange said after all: the result, or a `Rejected`; None as long as it has said nothing.
        answered_at: the exchange's time, in the unit of the session, when that came.
    """

    # What the session knows of the call and its like. No part of the error's value, so no copy has it.
    __slots__ = ("origin",)
    origin: Any

    def __init__(
        self,
        method: str,
        reason: str,
        *,
        request: RequestT_co = _NO_REQUEST,
        client_order_id: str | None = None,
        final_at: int | None = None,
        sent_at: int | None = None,
        clock_error: float = 0.0,
        seen_order_id: int | None = None,
        is_id_fresh: bool = False,
        signed_by: str | None = None,
    ) -> None:
        # Set by the session, which knows more of the call than the error may tell.
        self.origin = None
        self.method = method
        self.reason = reason
        self.request = request
        self.client_order_id = client_order_id
        self.final_at = final_at
        self.sent_at = sent_at
        self.clock_error = clock_error
        self.seen_order_id = seen_order_id
        self.is_id_fresh = is_id_fresh
        self.signed_by = signed_by
        self.answer: Any = None
        self.answered_at: int | None = None
        known_as = f" (client order id {client_order_id})" if client_order_id else ""
        super().__init__(f"{method}{known_as} was sent, its outcome is unknown: {reason}")


class Rejected(BintrioError):
    """The exchange refused the call, and did not execute it.

    Attributes:
        method: the exchange's name of the method.
        status: HTTP-like status, 4xx.
        code: the exchange's error code, negative.
        message: the exchange's own words.
        data: ``error.data`` as decoded JSON, or None.
        data_json: the same as it was sent, number by number; None if nothing was.
        rate_limits: the limits and counts that came with the answer.
    """

    data_json: bytes | None = None
    hint: str | None = None
    """What usually helps, in a few words."""

    def __init__(
        self,
        method: str,
        *,
        status: int,
        code: int,
        message: str,
        data: Any = None,
        rate_limits: Sequence[RateLimit] = (),
    ) -> None:
        self.method = method
        self.status = status
        self.code = code
        self.message = message
        self.data = data
        self.rate_limits = tuple(rate_limits)
        # A code may tell more than the class that many share.
        self.hint = _HINTS.get(code, self.hint)
        advice = f" ({self.hint})" if self.hint else ""
        super().__init__(f"{method}: {status} {code} {message}{advice}")


class Unauthorized(Rejected):
    """401, or a code that says that the API key, its address or its permissions were not accepted.

    -2008 says so with any status but 409, 418 and 429: there half was done, or a time has to be waited out.
    """

    hint = "check the API key, its permissions and its allowed addresses"


class WafBlocked(Rejected):
    """403: the exchange's web application firewall stopped the call."""

    hint = "the firewall dislikes words of SQL in parameters"


class PartlyDone(Rejected):
    """409: one half of the call was done and the other was not.

    Attributes:
        done: the result of each half that succeeded, typed, by its name in the exchange's answer.
        failed: the refusal of each half that failed, by its name in the exchange's answer.
    """

    hint = "read .done and .failed"
    done: Mapping[str, Any] = {}
    failed: Mapping[str, Rejected] = {}


class RateLimited(Rejected):
    """429: a request weight or order limit is exceeded. The session sends nothing more that counts against it
    before ``retry_at``.

    Attributes:
        retry_at: the exchange's time, in the unit of the session, before which nothing should be sent. From a session
            it is always known: if the exchange gave none, it is when the session will go on.
    """

    hint = "wait until retry_at"

    def __init__(
        self,
        method: str,
        *,
        status: int,
        code: int,
        message: str,
        data: Any = None,
        rate_limits: Sequence[RateLimit] = (),
        retry_at: int | None = None,
    ) -> None:
        super().__init__(method, status=status, code=code, message=message, data=data, rate_limits=rate_limits)
        self.retry_at = _retry_after(data) if retry_at is None else retry_at

    @property
    def retry_after(self) -> int | None:
        """The old name of ``retry_at``."""
        warnings.warn("retry_after is called retry_at now", DeprecationWarning, stacklevel=2)
        return self.retry_at

    def __str__(self) -> str:
        said = super().__str__()
        return said if self.retry_at is None else f"{said}, which is {_as_date(self.retry_at)}"


class Banned(RateLimited):
    """418: this address is banned until ``retry_at``, and the connection is closed."""

    hint = "the address is banned until retry_at"


class InvalidParameter(Rejected):
    """A parameter is missing, malformed, surplus, out of range or at odds with another."""


class UnknownSymbol(InvalidParameter):
    """-1121: no such symbol."""


class InvalidSignature(Rejected):
    """-1022: the signature does not fit the request."""

    hint = "check that the API key and the private key or secret belong together"


class InvalidTimestamp(Rejected):
    """-1021: the timestamp is outside ``recvWindow``, or more than a second ahead of the exchange."""

    hint = "the session measures its clock anew; a larger recv_window helps on slow links"


class FilterFailure(Rejected):
    """The order breaks a filter of its symbol, of the exchange or of an asset: the message names it."""

    hint = "see the filters in exchangeInfo"


class OrderRefused(Rejected):
    """The exchange refused to take, cancel or amend the order: the message tells why."""


class InsufficientBalance(OrderRefused):
    """The account does not have what the order needs."""


class DuplicateOrder(OrderRefused):
    """An open order already goes by that client order id."""


class MarketClosed(OrderRefused):
    """The symbol is not trading."""


class CancelReplaceFailed(OrderRefused):
    """-2022: neither half of an order.cancelReplace was done.

    Attributes:
        done: empty.
        failed: the refusal of each half that was attempted, by its name in the exchange's answer.
    """

    hint = "read .failed"
    done: Mapping[str, Any] = {}
    failed: Mapping[str, Rejected] = {}


class UnknownOrder(Rejected):
    """No order goes by that id, or, for a cancel, no open order."""


class SubscriptionError(Rejected):
    """A user data subscription is active already, or is not active."""


class ProtocolViolation(BintrioError):
    """The server sent something that the documented format does not allow.

    Attributes:
        raw: the bytes as they came, whole.
    """

    def __init__(self, message: str, *, raw: bytes = b"") -> None:
        super().__init__(message)
        self.raw = raw


class AccountNotFollowed(BintrioError):
    """What was waited for will not be told: the account was left, or its session closed. It may still happen.

    What is known by then stays readable. To learn the rest, ask a session, or follow the account anew.

    Attributes:
        awaited: what somebody waited for, as text.
    """

    def __init__(self, awaited: str) -> None:
        super().__init__(f"nobody follows the account any more, so there is no news of {awaited}")
        self.awaited = awaited


class SubscriberTooSlow(BintrioError):
    """More events came than the subscriber's buffer holds. Everything before the overflow was delivered.

    Attributes:
        buffer: how many events the buffer holds.
    """

    def __init__(self, buffer: int) -> None:
        super().__init__(f"the buffer of {buffer} events overflowed: subscribe again and query what was missed")
        self.buffer = buffer


# Hints for single codes, in place of their class's.
_HINTS: Final[dict[int, str]] = {-2028: "the exchange does not take this kind of key here: use an Ed25519 key"}


def _retry_after(data: Any) -> int | None:
    """The time in ``error.data``, in the unit that the exchange sent it in; None if there is none that can be right."""
    found = cast("dict[str, Any]", data).get("retryAfter") if isinstance(data, dict) else None
    # A bool is an int to Python; a time beyond the last one could not be shown as a date.
    is_time = isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= _LAST_TIME
    return found if is_time else None


def _as_date(time: int) -> str:
    # An error does not know its session's unit; the size of a time tells.
    seconds = time // (1_000_000 if time >= FIRST_MICROSECONDS else 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
