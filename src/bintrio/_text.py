"""Words for messages and logs: of a value, a URL or a path, and of what others said.

What stands in a message ends in logs and reports. So it holds no secret and has a limited length, and to make it raises
no error. A URL may hold a password or a token. A path may be the key itself by mistake. The `repr` of a caller's value
may be endless or fail. What the network, a page or a server said is cut, put on one line, and freed of what a terminal
would act on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from errno import errorcode
from typing import Any, Final, cast

_LONGEST: Final = 80  # characters of a value

EXCERPT: Final = 200
"""Characters of what somebody else said that a message shows."""

_SEEN: Final = 4096  # bytes of a body that are looked at
_DEPTH: Final = 4  # causes of causes
_MARKUP: Final = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*://)?", re.I)
_END_OF_PATH: Final = re.compile(r"[?#]")

_END_OF_HOST: Final = re.compile(r"[/?#]")

_KEY_FILES: Final = (".pem", ".key", ".p8", ".pk8", ".der", ".txt", ".json", ".env")


def shown(value: Any) -> str:
    """The type of a value, and the beginning of its `repr`: ``float 0.1``."""
    try:
        text = repr(value)
    except Exception:  # it is anybody's code; an int of 5,000 digits has none either
        return f"{type(value).__name__} that cannot be shown"
    return f"{type(value).__name__} {text[:_LONGEST]}"


def shown_key(api_key: str) -> str:
    """As much of an API key as tells it from others, and opens nothing."""
    return f"{api_key[:4]}…"


def shown_url(url: str) -> str:
    """A URL without its user, password, query and fragment: ``wss://relay.example/ws?…``."""
    found = _SCHEME.match(url)
    scheme = found[0] if found else ""
    credentials, _, place = url[len(scheme) :].rpartition("@")
    if _END_OF_HOST.search(credentials):  # "@", "/" or "?" is part of the secret, and which one cannot be told
        return f"{scheme}…"
    # A mark shows that there was a query: a token may stand in it.
    path, *query = _END_OF_PATH.split(place, maxsplit=1)
    return f"{scheme}{path}?…" if query else f"{scheme}{path}"


def shown_path(path: str) -> str:
    """A path, or as much of it as is there, if the rest may be a secret that was taken for a path.

    What exists is no secret, and neither is what ends like the name of a file that holds one.
    """
    if path.lower().endswith(_KEY_FILES) or os.path.lexists(path):
        return repr(path)
    folder = os.path.dirname(path)
    # Up to the nearest folder that exists: what stands below it may be the text of a key.
    while folder and not os.path.lexists(folder):
        # A root is its own parent, and need not exist: a drive of Windows.
        parent = os.path.dirname(folder)
        folder = parent if parent != folder else ""
    return repr(os.path.join(folder, "…"))


def in_a_line(error: BaseException) -> str:
    """An error as one line: its class and its words."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def kind_of(error: BaseException) -> str:
    """The name of an error's class; of the first one in a group."""
    return type(next(leaves(error))).__name__


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group, and in the groups within; else the error itself."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for part in error.exceptions:  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        yield from leaves(part)  # pyright: ignore[reportUnknownArgumentType]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name that is nearest to a misspelt one, as the end of a sentence, or nothing."""
    from difflib import get_close_matches  # for those who misspell only

    found = get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


# What others said


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
    # Not without end: causes may form a circle.
    text, reasons = _own_words(error), _reasons(error) if depth else ()
    # Several addresses may have failed for one reason, which is said once.
    words = "; ".join(dict.fromkeys(filter(None, (_words(reason, depth - 1) for reason in reasons))))
    # Many libraries repeat the cause's words in their own.
    if not text or not words or words in text:
        return text or words
    return f"{text}: {words}"


def _reasons(error: BaseException) -> Sequence[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).exceptions
    return () if error.__cause__ is None else (error.__cause__,)


def _own_words(error: BaseException) -> str:
    # A group has no words of its own but a count.
    if isinstance(error, BaseExceptionGroup):
        return ""
    number, words = getattr(error, "errno", None), getattr(error, "strerror", None)
    # Only where the words are the system's: a library may put others in their place.
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
        # A page: its words without its markup.
        text = _MARKUP.sub(" ", body[:_SEEN].decode("utf-8", "replace"))
    return one_line(text)


def _message(body: bytes) -> str | None:
    """The words of a JSON error, as the exchange and many gateways send it; with its code, if it has one."""
    import msgspec  # not for those who only want to catch an error

    try:
        answer: Any = msgspec.json.decode(body)
    # A server may answer anything.
    except (msgspec.DecodeError, RecursionError):
        return None
    # What is JSON need not be an object: it is shown like a page then.
    if not isinstance(answer, dict):
        return None
    fields = cast("dict[str, Any]", answer)
    words = fields.get("msg", fields.get("message"))
    code = fields.get("code")
    # As above: an object without a message is shown as it is.
    if not isinstance(words, str):
        return None
    return f"{code} {words}" if code and isinstance(code, int) else words
