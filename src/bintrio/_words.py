"""What others said, in words that fit into a message: errors of the network, pages and JSON of servers on the way.

All of it is bounded, on one line, and without what a terminal would act on: it ends up in errors and logs.
"""

from __future__ import annotations

import os
import re
from errno import errorcode
from typing import Any, Final, cast

EXCERPT: Final = 200
"""Characters of what somebody else said that a message shows."""

_SEEN: Final = 4096  # bytes of a body that are looked at
_DEPTH: Final = 4  # causes of causes
_MARKUP: Final = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def in_words(error: BaseException) -> str:
    """The type of an error, and what it says."""
    name, text = type(error).__name__, _words(error, _DEPTH)
    return f"{name}: {text}" if text else name


def said(error: BaseException) -> str:
    """What an error says, and what its causes say beyond that; its type if all of them are silent.

    A broken stream of trio's has no words of its own, and a failed connect does not say why; their causes do.
    """
    return _words(error, _DEPTH) or type(error).__name__


def _words(error: BaseException, depth: int) -> str:
    text = _own_words(error)
    reasons = [error.__cause__] if error.__cause__ is not None else []
    if isinstance(error, BaseExceptionGroup):
        text, reasons = "", list(cast("BaseExceptionGroup[BaseException]", error).exceptions)
    words = "; ".join(dict.fromkeys(filter(None, (_words(reason, depth - 1) for reason in reasons if depth))))
    if not text or not words or words in text:
        return text or words
    return f"{text}: {words}"


def _own_words(error: BaseException) -> str:
    number, words = getattr(error, "errno", None), getattr(error, "strerror", None)
    if isinstance(error, OSError) and isinstance(number, int) and number in errorcode and isinstance(words, str):
        # Without "[Errno 104]", and in lower case, since it stands within a sentence.
        system = os.strerror(number)
        return words.replace(system, system[:1].lower() + system[1:])
    return str(error)


def one_line(text: str) -> str:
    """A text of somebody else's, cleaned and cut to `EXCERPT` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1] + "…"


def excerpt(body: bytes) -> str:
    """What the body of an HTTP answer says to its reader: the message of a JSON error, the text of a page."""
    text = _message(body)
    if text is None:
        text = _MARKUP.sub(" ", body[:_SEEN].decode("utf-8", "replace"))
    return one_line(text)


def _message(body: bytes) -> str | None:
    """The words of a JSON error, as the exchange and many gateways send it; with its code, if it has one."""
    import msgspec  # not for those who only want to catch an error

    try:
        answer: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    fields = cast("dict[str, Any]", answer)
    words = fields.get("msg", fields.get("message"))
    code = fields.get("code")
    if not isinstance(words, str):
        return None
    return f"{code} {words}" if code and isinstance(code, int) else words
