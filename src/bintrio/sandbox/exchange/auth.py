"""Who asks: API keys, signatures of all three types, the timestamp rules.

Every account has one key of each type. They follow from the account's number, so a test sees the same keys on each
run; only the RSA key, which takes a moment to make, is made on first use and differs. An account takes others beside
them (`SandboxKey`).

Source: "Request security" of the WebSocket API document.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cached_property, partial
from typing import Any, Final, Literal, TypeAlias

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from bintrio._protocol.signing import Ed25519Key, HmacKey, RsaKey
from bintrio.api._base import number
from bintrio.errors import InvalidRequest

from . import refusals
from .arguments import NotNegative, checked, checked_each
from .commissions import Commissions, Rates
from .orders import NOTHING
from .units import MILLISECOND, SECOND, as_microseconds
from .validation import read_timestamp

DEFAULT_RECV_WINDOW: Final = 5 * SECOND
"""Microseconds for which a signed request stays valid if it does not say ("Timing security")."""

_API_KEY: Final = re.compile(r"[A-Za-z0-9]{1,128}")
_WINDOW: Final = re.compile(r"[0-9]{1,20}(\.[0-9]+)?")

KeyType: TypeAlias = Literal["HMAC", "RSA", "Ed25519"]
PublicKey: TypeAlias = Ed25519PublicKey | RSAPublicKey
Verify: TypeAlias = Callable[[bytes, str], bool]
"""Whether a signature fits a payload."""


class SandboxKey:
    """An API key that a bot has already; an account takes it beside its own three.

    Args:
        api_key: what requests name it by: letters and digits.
        secret: of an HMAC key.
        pem: of an Ed25519 or RSA key, in PEM: the public key, as the exchange is given it, or the private one.

    Attributes:
        type: ``HMAC``, ``RSA`` or ``Ed25519``.

    Raises:
        InvalidRequest: a value cannot be right. No message shows a secret or a key.
    """

    def __init__(self, api_key: str, *, secret: str | None = None, pem: str | bytes | None = None) -> None:
        self.api_key: Final[str] = checked("api_key", api_key, str)
        # The exchange answers -2014 to any other, so no request could ever use it.
        if not _API_KEY.fullmatch(self.api_key):
            raise InvalidRequest("api_key must be 1 to 128 letters and digits", field="api_key")
        # Both, or neither.
        if (secret is None) == (pem is None):
            raise InvalidRequest("a key has either secret (HMAC) or pem (Ed25519, RSA)", field="secret")
        # What the exchange keeps is a function: neither secret nor key can be shown by mistake.
        kind, self._verify = _of_secret(secret) if pem is None else _of_pem(pem)
        self.type: Final[KeyType] = kind

    def __repr__(self) -> str:
        return f"SandboxKey({self.type}, api_key={self.api_key!r})"

    def credential(self, uid: int) -> Credential:
        """What the exchange knows of it, as a key of an account."""
        return Credential(self.api_key, uid, self._verify, can_log_on=self.type == "Ed25519")


def _of_secret(secret: Any) -> tuple[KeyType, Verify]:
    # HMAC takes an empty secret as well, so nothing else would say that it is missing.
    if not secret or not isinstance(secret, str):
        raise InvalidRequest("secret must be a text that is not empty", field="secret")
    return "HMAC", _by_secret(secret)


def _of_pem(pem: Any) -> tuple[KeyType, Verify]:
    key = _public_key(pem)
    return "RSA" if isinstance(key, RSAPublicKey) else "Ed25519", partial(_verify, key)


def _public_key(pem: Any) -> PublicKey:
    try:
        data: bytes = pem.encode() if isinstance(pem, str) else pem
        # None: a key with a passphrase is a TypeError.
        key: Any = load_pem_private_key(data, None).public_key() if b"PRIVATE" in data else load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # what these say of the key is not for messages
        key = None
    # The library reads other kinds too, such as EC, which the exchange does not take.
    if not isinstance(key, Ed25519PublicKey | RSAPublicKey):
        said = "pem must be the text of an Ed25519 or RSA key in PEM, public or private, without a passphrase"
        raise InvalidRequest(said, field="pem")
    return key


class SandboxAccount:
    """An account with funds and three API keys: what ``open_sandbox`` and ``Sandbox.add_account`` take.

    Args:
        uid: its number; unique within a sandbox, where 0 is the market maker.
        balances: what it starts with.
        maker_rate: commission as the maker, as a fraction.
        taker_rate: commission as the taker, as a fraction.
        commissions: all commission rates, instead of those two.
        trade_group_id: accounts of one group do not trade with each other if their orders say so; -1 is no group.
        keys: what it takes beside its own three.

    Raises:
        InvalidRequest: a balance or rate is no number that is not negative, or another value is not of its type.
    """

    def __init__(
        self,
        uid: int,
        balances: Mapping[str, Decimal],
        *,
        maker_rate: Decimal = NOTHING,
        taker_rate: Decimal = NOTHING,
        commissions: Commissions | None = None,
        trade_group_id: int = -1,
        keys: Iterable[SandboxKey] = (),
    ) -> None:
        self.uid: Final[int] = checked("uid", uid, NotNegative)
        # Ints and text are given by those who do not check types.
        known: dict[str, Any] = checked("balances", balances, dict[str, Any])
        self.balances: Final = {asset: number("balances", amount) for asset, amount in known.items()}
        standard = Rates(number("maker_rate", maker_rate), number("taker_rate", taker_rate))
        self.commissions: Final = checked("commissions", commissions or Commissions(standard=standard), Commissions)
        self.trade_group_id: Final[int] = checked("trade_group_id", trade_group_id, int)
        self.keys: Final[tuple[SandboxKey, ...]] = checked_each("keys", keys, SandboxKey)

    def __repr__(self) -> str:
        return f"SandboxAccount(uid={self.uid})"

    @cached_property
    def key(self) -> Ed25519Key:
        """Its Ed25519 key, which can log a session on."""
        return Ed25519Key(self._ed25519, api_key=self._api_key("ed25519"))

    @cached_property
    def hmac_key(self) -> HmacKey:
        """Its HMAC key."""
        return HmacKey(self._api_key("hmac"), self._secret("hmac").hex())

    @cached_property
    def rsa_key(self) -> RsaKey:
        """Its RSA key; made at the first use, which takes a moment."""
        return RsaKey(self._rsa, api_key=self._api_key("rsa"))

    def credentials(self) -> tuple[Credential, ...]:
        """What the exchange knows of its keys."""
        return (
            Credential(self._api_key("ed25519"), self.uid, self._verify_ed25519, can_log_on=True),
            Credential(self._api_key("hmac"), self.uid, _by_secret(self.hmac_secret())),
            Credential(self._api_key("rsa"), self.uid, self._verify_rsa),
            *(key.credential(self.uid) for key in self.keys),
        )

    # For programs that do not run in this process. The three keys open nothing but a sandbox.

    def hmac_secret(self) -> str:
        """The secret that belongs to `hmac_key`."""
        return self._secret("hmac").hex()

    def ed25519_pem(self) -> bytes:
        """The private key of `key`, in PEM."""
        return _pem(self._ed25519)

    def rsa_pem(self) -> bytes:
        """The private key of `rsa_key`, in PEM."""
        return _pem(self._rsa)

    @cached_property
    def _ed25519(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._secret("ed25519"))

    @cached_property
    def _rsa(self) -> RSAPrivateKey:
        # Not from its number: the library makes RSA keys by its own chance only.
        return generate_private_key(public_exponent=65_537, key_size=2048)

    def _verify_ed25519(self, payload: bytes, signature: str) -> bool:
        return _verify(self._ed25519.public_key(), payload, signature)

    def _verify_rsa(self, payload: bytes, signature: str) -> bool:
        return _verify(self._rsa.public_key(), payload, signature)

    def _api_key(self, kind: str) -> str:
        # By its number, so that it is the same in every run.
        return hashlib.sha256(f"sandbox api key {kind} {self.uid}".encode()).hexdigest()

    def _secret(self, kind: str) -> bytes:
        return hashlib.sha256(f"sandbox secret {kind} {self.uid}".encode()).digest()


def _pem(key: Ed25519PrivateKey | RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _verify(public_key: PublicKey, payload: bytes, signature: str) -> bool:
    try:
        # Without `validate`, what is not base64 would be skipped, and a damaged signature could still fit.
        signed = base64.b64decode(signature, validate=True)
        if isinstance(public_key, RSAPublicKey):
            public_key.verify(signed, payload, PKCS1v15(), SHA256())
        else:
            public_key.verify(signed, payload)
    except (InvalidSignature, binascii.Error, ValueError):
        # A ValueError: characters beyond ASCII are no base64 either.
        return False
    return True


def _by_secret(secret: str) -> Verify:
    """A function, whose repr shows nothing of what it knows."""

    def verify(payload: bytes, signature: str) -> bool:
        expected = hmac.digest(secret.encode(), payload, "sha256").hex()
        # The exchange takes hex digits in either case.
        return hmac.compare_digest(expected.encode(), signature.lower().encode())

    return verify


class Credential(msgspec.Struct, eq=False):
    """An API key as the exchange knows it.

    Attributes:
        uid: of its account.
        verify: whether a signature fits a payload.
        can_log_on: whether session.logon takes it.
        revocations: how many of them count at present: one may end, and another one go on.
    """

    api_key: str
    uid: int
    verify: Verify
    can_log_on: bool = False
    revocations: int = 0

    @property
    def is_revoked(self) -> bool:
        """Whether it is not accepted."""
        return self.revocations > 0


class Keyring:
    """All API keys of the exchange."""

    def __init__(self) -> None:
        self._credentials: dict[str, Credential] = {}

    def add(self, account: SandboxAccount) -> None:
        """Accept the keys of an account.

        Raises:
            InvalidRequest: one of them is there already.
        """
        added = account.credentials()
        names = [*self._credentials, *(credential.api_key for credential in added)]
        # Before any is added: an account comes with all of its keys or not at all.
        if len({*names}) < len(names):
            raise InvalidRequest(f"an API key of the account with uid {account.uid} is there already", field="keys")
        self._credentials |= {credential.api_key: credential for credential in added}

    def revoke(self, api_key: str) -> None:
        """Accept a key no more; sessions that it logged on end with their next request.

        Raises:
            KeyError: there is no such key.
        """
        self._credentials[api_key].revocations += 1

    def restore(self, api_key: str) -> None:
        """Undo one revocation of a key.

        Raises:
            KeyError: there is no such key.
        """
        self._credentials[api_key].revocations -= 1

    def authenticate(self, params: Mapping[str, Any], payload: str, now: int) -> Credential:
        """The key that signed a request.

        Args:
            params: of the request.
            payload: what the signature must cover.
            now: microseconds.

        Raises:
            Refusal: -1102, -2014, -2015, -1021 or -1022.
        """
        # The key first, then the time, then the signature: that is the order of the exchange's refusals.
        credential = self._named(_text(params, "apiKey"))
        check_timestamp(params, now)
        if not credential.verify(payload.encode(), _text(params, "signature")):
            raise refusals.signature_wrong()
        return credential

    def _named(self, api_key: str) -> Credential:
        if not _API_KEY.fullmatch(api_key):
            raise refusals.api_key_malformed()
        credential = self._credentials.get(api_key)
        # The exchange does not tell which of the two it is.
        if credential is None or credential.is_revoked:
            raise refusals.api_key_refused()
        return credential


def check_timestamp(params: Mapping[str, Any], now: int) -> None:
    """Refuse a request from the past or the future.

    Raises:
        Refusal: -1102, -1100, -1108 or -1021.
    """
    sent = params.get("timestamp")
    # It is required, so an empty one is refused as a missing one is.
    if sent is None or sent == "":
        raise refusals.mandatory("timestamp")
    timestamp = as_microseconds(read_timestamp(sent))
    # "Timing security": a second of lead is too much, whatever the window.
    if timestamp >= now + SECOND:
        raise refusals.timestamp_ahead()
    # "Timing security": one that is exactly as old as its window is still in time.
    if now - timestamp > _recv_window(params):
        raise refusals.timestamp_late()


def _recv_window(params: Mapping[str, Any]) -> int:
    """Microseconds. One that is malformed is left for the validation to name."""
    sent = params.get("recvWindow")
    if sent is None or not _WINDOW.fullmatch(str(sent)):
        return DEFAULT_RECV_WINDOW
    # It may have three decimals, which are microseconds.
    return int(Decimal(sent) * MILLISECOND)


def _text(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name)
    if not value or not isinstance(value, str):
        raise refusals.mandatory(name)
    return value
