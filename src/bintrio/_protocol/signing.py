"""Signatures: HMAC, RSA and Ed25519, each a class that holds a key and gives nothing of it away.

What is signed is the raw UTF-8 of all parameters but ``signature``, sorted by name, ``name=value`` joined by ``&``.
It is never percent-encoded: that is where the REST API differs, and why a signature made for it fails here with -1022.

**Secrets stay inside (G9).** A key has slots and no ``__dict__``; its only secret-bearing slot holds a function, and a
function's repr shows nothing. It cannot be pickled or copied, so it cannot leave by accident. No message here quotes
what the user handed over as a key, secret or passphrase, and errors of other libraries are cut off with ``from None``:
what they carry is theirs to decide. What no library can hide are the local variables of the caller's own frames.

**The key type decides.** Only an Ed25519 key can log a session on; the other two sign each call.

Source: "Request security" of the exchange's WebSocket API document.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

import msgspec

from .._text import shown_key, shown_path
from ..errors import InvalidRequest
from .pem import read_private_key

if TYPE_CHECKING:
    from typing import Self

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from ..api._base import Json


def payload(params: Mapping[str, Json]) -> str:
    """The text a signature covers. A value that is not a string is written as it is in the JSON of the request."""
    pick, text = _template(tuple(params))
    values = params if _ARE_THEIR_TEXT.issuperset(map(type, params.values())) else _as_text(params)
    return text % pick(values)


# Nearly all values are of these types, and their text is that of their JSON.
_ARE_THEIR_TEXT: Final = frozenset({str, int})


def _as_text(params: Mapping[str, Json]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in params.items()
    }


@lru_cache(maxsize=1000)  # a program uses a few; of the names of calls by wire names there may be any number
def _template(names: tuple[str, ...]) -> tuple[Callable[[Mapping[str, Json]], object], str]:
    """What picks the values that are signed, in order, and the text with a ``%s`` for each of them."""
    # The exchange sorts by name too, so the order in the JSON does not matter.
    signed = sorted(name for name in names if name != "signature")
    # A text without a ``%s`` takes any dict.
    pick: Callable[[Mapping[str, Json]], object] = itemgetter(*signed) if signed else dict
    return pick, "&".join(name.replace("%", "%%") + "=%s" for name in signed)


def digest_of(api_key: str) -> str:
    """What tells an API key from all others, and cannot be turned back into it: 32 hex digits."""
    return blake2b(api_key.encode(), digest_size=16).hexdigest()


class Key:
    """What signs requests: `HmacKey`, `RsaKey` or `Ed25519Key`.

    Attributes:
        api_key: the API key as the exchange shows it.
        can_log_on: whether ``session.logon`` takes this type of key.
    """

    __slots__ = ("_signer", "api_key")

    can_log_on: ClassVar[bool] = False

    def __init__(self, api_key: str, signer: Callable[[bytes], str]) -> None:
        self.api_key: Final = _token(api_key, "api_key")
        self._signer = signer

    def sign(self, payload: str) -> str:
        """The signature of a payload: hex for HMAC, base64 for RSA and Ed25519.

        Raises:
            InvalidRequest: the payload is no str, or not valid Unicode.
        """
        if not isinstance(payload, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRequest(f"payload must be a str, not {type(payload).__name__}", field="payload")
        try:
            message = payload.encode()
        except UnicodeEncodeError:
            raise InvalidRequest("a parameter holds half a surrogate pair, which UTF-8 cannot express") from None
        return self._signer(message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(api_key='{shown_key(self.api_key)}')"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a secret: it cannot be pickled or copied")


class HmacKey(Key):
    """An HMAC key: SHA-256, each call signed.

    Args:
        api_key: the API key.
        secret: the secret key that was shown with it.

    Raises:
        InvalidRequest: either is empty, or holds blanks, line breaks or characters outside ASCII.
    """

    __slots__ = ()

    def __init__(self, api_key: str, secret: str) -> None:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.hmac import HMAC

        # Two of the four SHA-256 blocks of a short HMAC depend on the secret alone: they are computed once, here. A
        # copy of this one takes half the time of a copy of Python's, which is made in Python.
        prepared = HMAC(_token(secret, "secret").encode(), SHA256())

        def signer(message: bytes) -> str:
            signature = prepared.copy()
            signature.update(message)
            return signature.finalize().hex()

        super().__init__(api_key, signer)


class _PrivateKey(Key):
    """A key that is read from a PEM file, encrypted or not."""

    __slots__ = ()

    @classmethod
    def from_pem(cls, data: str | bytes, *, api_key: str, password: str | bytes | None = None) -> Self:
        r"""A key from PEM text: PKCS#8, encrypted or not, OpenSSH's form, or the traditional form of RSA.

        Args:
            data: the text, from ``-----BEGIN`` on. What environment variables and editors make of it is read as well:
                literal ``\n``, blanks for line breaks, quotes, indentation.
            api_key: the API key that the public half was registered under.
            password: the passphrase of an encrypted key.

        Raises:
            InvalidRequest: this is no PEM, no private key or one of another type, or the passphrase is missing,
                wrong or not needed; or the API key is malformed.
        """
        # An empty one counts as none, as with variables of the environment.
        passphrase = _as_bytes(password, "password") if password else None
        private_key = read_private_key(_as_bytes(data, "data"), passphrase)
        return cls(private_key, api_key=api_key)

    @classmethod
    def from_pem_file(cls, path: str | os.PathLike[str], *, api_key: str, password: str | bytes | None = None) -> Self:
        """As `from_pem`, from a file.

        Raises:
            InvalidRequest: the file cannot be read, or as for `from_pem`.
        """
        return cls.from_pem(_read_file(path), api_key=api_key, password=password)

    def __init__(self, private_key: object, *, api_key: str) -> None:
        _check_type(private_key, type(self))
        super().__init__(api_key, self._prepare(private_key))

    @staticmethod
    def _prepare(private_key: Any) -> Callable[[bytes], str]:
        raise NotImplementedError


class RsaKey(_PrivateKey):
    """An RSA key: PKCS#1 v1.5 with SHA-256, each call signed.

    Args:
        private_key: an ``RSAPrivateKey`` of the cryptography package; `from_pem` and `from_pem_file` read one.
        api_key: the API key that the public half was registered under.

    Raises:
        InvalidRequest: the private key is of another type, or the API key is malformed.
    """

    __slots__ = ()

    @staticmethod
    def _prepare(private_key: RSAPrivateKey) -> Callable[[bytes], str]:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        padding, digest = PKCS1v15(), SHA256()
        return lambda message: _base64(private_key.sign(message, padding, digest))


class Ed25519Key(_PrivateKey):
    """An Ed25519 key. It logs the connection on, so that single calls need no signature.

    Args:
        private_key: an ``Ed25519PrivateKey`` of the cryptography package; `from_pem` and `from_pem_file` read one.
        api_key: the API key that the public half was registered under.

    Raises:
        InvalidRequest: the private key is of another type, or the API key is malformed.
    """

    __slots__ = ()

    can_log_on: ClassVar[bool] = True

    @staticmethod
    def _prepare(private_key: Ed25519PrivateKey) -> Callable[[bytes], str]:
        return lambda message: _base64(private_key.sign(message))


def _private_key_types() -> dict[type[Key], type]:
    # Imported when the first key is made: it would be a fifth of what importing bintrio costs.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    return {RsaKey: RSAPrivateKey, Ed25519Key: Ed25519PrivateKey}


def _base64(signature: bytes) -> str:
    return base64.b64encode(signature).decode()


def _token(value: str, field: str) -> str:
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidRequest(f"{field} must be a str, not {type(value).__name__}", field=field)
    if not value:
        raise InvalidRequest(f"{field} is empty", field=field)
    if not value.isascii():
        raise InvalidRequest(f"{field} holds characters outside ASCII", field=field)
    # Mostly copied together with the key. A signature made with it would be refused as wrong, without a hint why.
    if not value.isprintable() or " " in value:
        raise InvalidRequest(f"{field} holds a blank, a line break or a control character", field=field)
    return value


def _as_bytes(value: str | bytes, field: str) -> bytes:
    if isinstance(value, str):
        # surrogatepass, because a UnicodeEncodeError would carry the whole string.
        return value.encode("utf-8", "surrogatepass")
    if not isinstance(value, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidRequest(f"{field} must be str or bytes, not {type(value).__name__}", field=field)
    return value


def _read_file(path: str | os.PathLike[str]) -> bytes:
    name = _path(path)
    # Before the file is looked for: an error of the system would quote the key (G9).
    if "\n" in name or "-----BEGIN" in name:
        raise InvalidRequest("path holds the text of a key, not its place: use from_pem()", field="path")
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:
        # A ValueError: there is a null character in the path.
        reason = _why_unread(error)
    # Outside of the except, or the system's error, which has the path, would be its context.
    raise InvalidRequest(f"cannot read the private key {shown_path(name)}: {reason}", field="path")


_UNREAD: Final[dict[type[Exception], str]] = {
    FileNotFoundError: "there is no such file",
    IsADirectoryError: "it is a directory",
    PermissionError: "permission denied",
}


def _why_unread(error: Exception) -> str:
    """Without the words of the error, which hold the path: it may be the key itself by mistake."""
    number = getattr(error, "errno", None)
    return _UNREAD.get(type(error)) or (os.strerror(number) if number else "not a path")


def _path(path: str | os.PathLike[str]) -> str:
    try:
        name: Any = os.fspath(path)
    except TypeError:
        # What it holds is not shown: it may be a key.
        name = None
    if not isinstance(name, str):
        raise InvalidRequest(f"path must be a str or a Path, not {type(path).__name__}", field="path")
    return name


def _check_type(private_key: object, key_type: type[Key]) -> None:
    fitting = [known for known, wanted in _private_key_types().items() if isinstance(private_key, wanted)]
    if not fitting:
        said = f"{key_type.__name__} cannot use this type of private key, {type(private_key).__name__}"
        raise InvalidRequest(f"{said}: it must be Ed25519 or RSA", field="data")
    if not issubclass(key_type, fitting[0]):
        raise InvalidRequest(
            f"{key_type.__name__} was given the private key of another type: use {fitting[0].__name__}", field="data"
        )
