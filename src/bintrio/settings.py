"""How a session is opened, as an operator says it: by variables of the environment, or by files.

    BINTRIO_ENDPOINT          production, testnet, demo or a URL; testnet if it is not set
    BINTRIO_API_KEY           as the exchange shows it
    BINTRIO_PRIVATE_KEY       PEM, Ed25519 or RSA; or else:
    BINTRIO_HMAC_SECRET
    BINTRIO_PASSPHRASE        of the private key, if it is encrypted
    BINTRIO_NAME              what logs call the session
    BINTRIO_PROXY             as `open_session` takes it; several with blanks between
    BINTRIO_REQUEST_TIMEOUT, BINTRIO_CONNECT_TIMEOUT, BINTRIO_CLOSE_TIMEOUT, BINTRIO_PONG_WINDOW, BINTRIO_LIFETIME,
    BINTRIO_DRAIN_TIMEOUT, BINTRIO_MAX_MESSAGE_SIZE, BINTRIO_TIME_UNIT
                              what `open_session` calls by the same names in lower case

Each may be given as a file instead, by its name and ``_FILE``: ``BINTRIO_API_KEY_FILE=/run/secrets/api-key``. An empty
variable counts as none. The command line reads the same names.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from ._protocol.signing import Ed25519Key, HmacKey, Key, RsaKey
from ._text import did_you_mean, shown_path, shown_url
from .endpoints import DEMO, PRODUCTION, TESTNET, Endpoint, TimeUnit, as_endpoint
from .errors import InvalidRequest
from .opening import open_session
from .session import Session

__all__ = ["ENDPOINTS", "VARIABLES", "Settings"]

logger: Final = logging.getLogger("bintrio")

ENDPOINTS: Final[Mapping[str, Endpoint]] = {"production": PRODUCTION, "testnet": TESTNET, "demo": DEMO}
"""The exchange's own, by the names that a setting may have."""

_PREFIX: Final = "BINTRIO_"
_KEYS: Final = ("api_key", "private_key", "hmac_secret", "passphrase")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is opened with. `open_session` of this library says what each means.

    Attributes:
        endpoint: where to.
        key: signs what must be signed; None for none.
        name: what logs and facts call the session; None for the name of the endpoint, or its host.
        proxy: the URL of a proxy, several, ``"environment"``, or None. A `repr` shows no password.
        request_timeout: seconds.
        connect_timeout: seconds.
        close_timeout: seconds.
        pong_window: seconds.
        lifetime: seconds.
        drain_timeout: seconds.
        max_message_size: bytes.
        time_unit: ``"ms"`` or ``"us"``.
    """

    endpoint: Endpoint = TESTNET
    key: Key | None = None
    name: str | None = None
    proxy: str | tuple[str, ...] | None = None
    request_timeout: float = 15
    connect_timeout: float = 10
    close_timeout: float = 2
    pong_window: float = 60
    lifetime: float = 86_400
    drain_timeout: float = 15
    max_message_size: int = 64 * 2**20
    time_unit: TimeUnit = "ms"

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={part!r}' for name, part in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        urls = (self.proxy,) if isinstance(self.proxy, str) else self.proxy or ()
        return [
            (name, tuple(map(shown_url, urls)) if name == "proxy" else getattr(self, name))
            for name in self.__struct_fields__
        ]

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings by the variables above.

        Args:
            environ: the variables; None for those of this process.

        Raises:
            InvalidRequest: one cannot be right, or two exclude each other; the message names it, and shows no value.
        """
        environ = os.environ if environ is None else environ
        _warn_of_others(environ)
        # All are read before any is judged: a file that is missing is named first.
        texts = {name: _text(environ, name) for name in _NAMES}
        given = {name: _READERS.get(name, _number)(name, text) for name, text in texts.items() if text is not None}
        return cls(key=_key(environ), **given)

    def open_session(self, **options: Any) -> AbstractAsyncContextManager[Session]:
        """`bintrio.open_session` with these settings.

        Args:
            options: further arguments of it, or others in place of these.

        Raises:
            As `bintrio.open_session` does.
        """
        own = {name: getattr(self, name) for name in self.__struct_fields__}
        return open_session(**{**own, **options})


def _text(environ: Mapping[str, str], name: str) -> str | None:
    value, path = _either(environ, name)
    return _content(path, name) if path else value or None


def _either(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """A value, and the path of the file that holds it; at most one is not empty."""
    variable = f"{_PREFIX}{name.upper()}"
    value, path = environ.get(variable, ""), environ.get(f"{variable}_FILE", "")
    # Which of them was meant cannot be told.
    if value and path:
        raise InvalidRequest(f"{variable} and {variable}_FILE exclude each other", field=name)
    return value, path


def _content(path: str, name: str) -> str:
    """What a file holds, without blanks and line breaks around it."""
    text, reason = "", "it is empty"
    try:
        text = Path(path).read_text("utf-8").strip()
    except OSError as error:  # whose text has the path, which may be the secret itself by mistake
        reason = error.strerror or type(error).__name__
    # Bytes that are no UTF-8, as of a key in the binary form DER.
    except ValueError:
        reason = "it holds no text"
    if not text:
        raise InvalidRequest(f"cannot read {_PREFIX}{name.upper()}_FILE, {shown_path(path)}: {reason}", field=name)
    return text


def _key(environ: Mapping[str, str]) -> Key | None:
    api_key, secret, passphrase = (_text(environ, name) for name in ("api_key", "hmac_secret", "passphrase"))
    pem, path = _either(environ, "private_key")
    _check_parts(is_named=bool(api_key), has_secret=bool(secret), is_private=bool(pem or path))
    # Nor is there anything else of a key then: `_check_parts` has made sure of that.
    if not api_key:
        return None
    return HmacKey(api_key, secret) if secret else _private_key(pem, path, api_key, passphrase)


def _check_parts(*, is_named: bool, has_secret: bool, is_private: bool) -> None:
    if has_secret and is_private:
        raise InvalidRequest("a private key and an HMAC secret exclude each other", field="key")
    # One without the other signs nothing.
    if is_named != (has_secret or is_private):
        raise InvalidRequest(_TOGETHER, field="key")


_TOGETHER: Final = (
    "an API key (BINTRIO_API_KEY, --api-key) goes with a private key (BINTRIO_PRIVATE_KEY_FILE, --private-key) or an "
    "HMAC secret (BINTRIO_HMAC_SECRET_FILE, --hmac-secret-file)"
)


def _private_key(pem: str, path: str, api_key: str, passphrase: str | None) -> Key:
    """An Ed25519 or RSA key, whichever it is."""

    def made(kind: type[Ed25519Key | RsaKey]) -> Key:
        if path:
            return kind.from_pem_file(path, api_key=api_key, password=passphrase)
        return kind.from_pem(pem, api_key=api_key, password=passphrase)

    try:
        # The text does not say of which type a PKCS#8 key is, so both are tried.
        return made(Ed25519Key)
    except InvalidRequest as error:
        try:
            return made(RsaKey)
        except InvalidRequest:
            # What is wrong is not the type, and the first said so.
            raise _of_variable(error, has_path=bool(path)) from None


def _of_variable(error: InvalidRequest, *, has_path: bool) -> InvalidRequest:
    """What is wrong with a private key, by the names that an operator gave it by."""
    if error.field == "password":
        return InvalidRequest(f"{_PREFIX}PASSPHRASE: {error}", field="passphrase")
    where = f"{_PREFIX}PRIVATE_KEY_FILE, --private-key" if has_path else f"{_PREFIX}PRIVATE_KEY"
    return InvalidRequest(f"{where}: {error}", field="private_key")


def _endpoint(_name: str, text: str) -> Any:
    # Mostly a name that is misspelt; as a URL it would only be called malformed.
    if text not in ENDPOINTS and "://" not in text:
        said = f"the endpoint must be {', '.join(ENDPOINTS)} or a URL, not {shown_url(text)!r}"
        raise InvalidRequest(said, field="endpoint")
    return ENDPOINTS.get(text) or as_endpoint(text)


def _proxy(_name: str, text: str) -> Any:
    urls = text.split()
    # No URL has a blank in it, so several may stand in one variable.
    return urls[0] if len(urls) == 1 else tuple(urls)


def _as_it_is(_name: str, text: str) -> Any:
    return text  # `open_session` says whether it can be right, and whether a number is in its range


def _number(name: str, text: str) -> Any:
    number: float | None = None
    with suppress(ValueError):
        # `max_message_size` takes an int only; more digits would be no size at all.
        number = int(text) if text.isdecimal() and len(text) < 20 else float(text)
    if number is None:
        raise InvalidRequest(f"{_PREFIX}{name.upper()} must be a number", field=name)
    return number


_READERS: Final = {"endpoint": _endpoint, "proxy": _proxy, "name": _as_it_is, "time_unit": _as_it_is}
_NAMES: Final = tuple(name for name in Settings.__struct_fields__ if name != "key")
VARIABLES: Final = tuple(f"{_PREFIX}{name.upper()}" for name in (*_KEYS, *_NAMES))
"""The variables of the environment that are read; the name of each file has ``_FILE`` behind it."""


def _warn_of_others(environ: Mapping[str, str]) -> None:
    """Of misspelt names. No error, since others may name theirs so: Kubernetes does for a service called bintrio."""
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name.removesuffix("_FILE") not in VARIABLES:
            logger.warning("%s is not a setting%s", name, did_you_mean(name, VARIABLES), extra={"variable": name})
