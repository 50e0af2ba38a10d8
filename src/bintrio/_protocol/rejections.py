"""Which class of error a refusal becomes: by its status, else by its message, else by its code.

Only -2008, which says that there is no such key, goes before a status: unless that is 409, 418 or 429.

Codes and messages that are unknown here are carried by a plain `Rejected` (G10).

Source: the exchange's errors.md, and "HTTP Return Codes" of its documents.
"""

from __future__ import annotations

from typing import Final

from ..errors import (
    Banned,
    CancelReplaceFailed,
    DuplicateOrder,
    FilterFailure,
    InsufficientBalance,
    InvalidParameter,
    InvalidSignature,
    InvalidTimestamp,
    MarketClosed,
    OrderRefused,
    PartlyDone,
    RateLimited,
    Rejected,
    SubscriptionError,
    Unauthorized,
    UnknownOrder,
    UnknownSymbol,
    WafBlocked,
)

_BY_STATUS: Final[dict[int, type[Rejected]]] = {
    401: Unauthorized,
    403: WafBlocked,
    409: PartlyDone,
    418: Banned,
    429: RateLimited,
}

# -1100 to -1145, -1151, -1158 to -1168, -1194 to -1225: "Request issues" in errors.md, less those with a class of
# their own. Ranges, because new codes of this family keep being added.
_PARAMETER_CODES: Final = (range(-1168, -1157), range(-1151, -1099), range(-1225, -1193))

_BY_CODE: Final[dict[int, type[Rejected]]] = {
    -1002: Unauthorized,
    -1003: RateLimited,
    -1010: OrderRefused,
    -1013: OrderRefused,
    -1014: InvalidParameter,
    -1015: RateLimited,
    -1021: InvalidTimestamp,
    -1022: InvalidSignature,
    -1034: RateLimited,
    -1112: OrderRefused,
    -1121: UnknownSymbol,
    -2010: OrderRefused,
    -2011: OrderRefused,
    -2013: UnknownOrder,
    -2014: Unauthorized,
    -2015: Unauthorized,
    -2016: MarketClosed,
    -2021: PartlyDone,
    -2022: CancelReplaceFailed,
    -2026: UnknownOrder,
    -2028: Unauthorized,
    -2035: SubscriptionError,
    -2036: SubscriptionError,
    -2038: OrderRefused,
    -2039: UnknownOrder,
    -2042: SubscriptionError,
}

# "Messages for -1010, -2010, -2011 and -2038" in errors.md: the code says who refused, only the text says why. They
# come with -1013 as well, and in several spellings: here without case and full stop.
_BY_MESSAGE: Final[dict[str, type[Rejected]]] = {
    "account has insufficient balance for requested action": InsufficientBalance,
    "duplicate order sent": DuplicateOrder,
    "market is closed": MarketClosed,
    "unknown order sent": UnknownOrder,
}

# How the message of a `FilterFailure` begins. It comes with -1013, and with -2010 where the matching engine counts.
_FILTER_FAILURE: Final = "filter failure"


# "Invalid Api-Key ID."
_INVALID_KEY: Final = -2008
_GOES_FIRST: Final = frozenset({409, 418, 429})

LASTING: Final = (Unauthorized, InvalidSignature)
"""Refusals of the key itself. The same question is refused again, until the owner of the key changes something."""


def rejection_type(status: int, code: int, message: str) -> type[Rejected]:
    """The class for a refusal: by status, then by message, then by code; plain `Rejected` for the rest."""
    # No firewall knows keys. But what has to be waited out, or was half done, is so whatever the key is.
    if code == _INVALID_KEY and status not in _GOES_FIRST:
        return Unauthorized
    # These statuses mean the same with any other code.
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    said = message.casefold().rstrip(".")
    # One code stands for many reasons, which only the text tells apart.
    if said in _BY_MESSAGE:
        return _BY_MESSAGE[said]
    if said.startswith(_FILTER_FAILURE):
        return FilterFailure
    if code in _BY_CODE:
        return _BY_CODE[code]
    if any(code in family for family in _PARAMETER_CODES):
        return InvalidParameter
    return Rejected


_MISSING: Final = -1102
_OF_SIGNATURES: Final = ("'apiKey'", "'signature'")
# Where there is no signature, or no key, the code is that of a wrong one.
_WRONG_SIGNATURE: Final = frozenset({-1022, -2014})


def misses_signature(code: int, message: str) -> bool:
    """Whether a refusal is because of the signature or the form of the key. A key without permission is another one."""
    return code in _WRONG_SIGNATURE or (code == _MISSING and any(name in message for name in _OF_SIGNATURES))
