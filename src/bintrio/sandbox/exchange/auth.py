"""Who asks: API keys, signatures of all three types, the timestamp rules.

Every account has one key of each type. They follow from the account's number, so a test sees the same keys on each
run; only the RSA key, which takes a moment to make, is made on first use and differs.

Source: "Request security" of the WebSocket API document.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from bintrio._protocol.signing import Ed25519Key, HmacKey, RsaKey
from bintrio.api._base import number

from . import refusals
from .arguments import NotNegative, checked
from .commissions import Commissions, Rates
from .orders import NOTHING
from .units import MILLISECOND, SECOND, as_microseconds

DEFAULT_RECV_WINDOW: Final = 5 * SECOND
""""Timing security"."""

_API_KEY: Final = re.compile(r"[A-Za-z0-9]{1,128}")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,20}")
_WINDOW: Final = re.compile(r"[0-9]{1,20}(\.[0-9]+)?")


class SandboxAccount:
    """An account with funds and three API keys: what ``open_sandbox`` and ``Sandbox.add_account`` take.

    Args:
        uid: its number; unique within a sandbox, where 0 is the market maker.
        balances: what it starts with.
        maker_rate: commission as the maker, as a fraction.
        taker_rate: commission as the taker, as a fraction.
        commissions: all commission rates, instead of those two.
        trade_group_id: accounts of one group do not trade with each other if their orders say so; -1 is no group.

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
    ) -> None:
        self.uid: Final[int] = checked("uid", uid, NotNegative)
        # Ints and text are given by those who do not check types.
        known: dict[str, Any] = checked("balances", balances, dict[str, Any])
        self.balances: Final = {asset: number("balances", amount) for asset, amount in known.items()}
        standard = Rates(number("maker_rate", maker_rate), number("taker_rate", taker_rate))
        self.commissions: Final = checked("commissions", commissions or Commissions(standard=standard), Commissions)
        self.trade_group_id: Final[int] = checked("trade_group_id", trade_group_id, int)

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
        """What the exchange knows of the three keys."""
        return (
            Credential(self._api_key("ed25519"), self.uid, self._verify_ed25519, can_log_on=True),
            Credential(self._api_key("hmac"), self.uid, self._verify_hmac),
            Credential(self._api_key("rsa"), self.uid, self._verify_rsa),
        )

    @cached_property
    def _ed25519(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._secret("ed25519"))

    @cached_property
    def _rsa(self) -> Any:
        return generate_private_key(public_exponent=65_537, key_size=2048)

    def _verify_ed25519(self, payload: bytes, signature: str) -> bool:
        public_key = self._ed25519.public_key()
        return _verifies(lambda: public_key.verify(base64.b64decode(signature, validate=True), payload))

    def _verify_rsa(self, payload: bytes, signature: str) -> bool:
        public_key = self._rsa.public_key()
        return _verifies(
            lambda: public_key.verify(base64.b64decode(signature, validate=True), payload, PKCS1v15(), SHA256())
        )

    def _verify_hmac(self, payload: bytes, signature: str) -> bool:
        expected = hmac.digest(self._secret("hmac").hex().encode(), payload, "sha256").hex()
        return hmac.compare_digest(expected.encode(), signature.lower().encode())

    def _api_key(self, kind: str) -> str:
        return hashlib.sha256(f"sandbox api key {kind} {self.uid}".encode()).hexdigest()

    def _secret(self, kind: str) -> bytes:
        return hashlib.sha256(f"sandbox secret {kind} {self.uid}".encode()).digest()


def _verifies(check: Callable[[], None]) -> bool:
    try:
        check()
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


class Credential(msgspec.Struct, eq=False):
    """An API key as the exchange knows it.

    Attributes:
        uid: of its account.
        verify: whether a signature fits a payload.
        can_log_on: whether session.logon takes it.
        is_revoked: whether it is no longer accepted.
    """

    api_key: str
    uid: int
    verify: Callable[[bytes, str], bool]
    can_log_on: bool = False
    is_revoked: bool = False


class Keyring:
    """All API keys of the exchange."""

    def __init__(self) -> None:
        self._credentials: dict[str, Credential] = {}

    def add(self, account: SandboxAccount) -> None:
        """Accept the keys of an account."""
        for credential in account.credentials():
            self._credentials[credential.api_key] = credential

    def revoke(self, api_key: str) -> None:
        """Accept a key no more; sessions that it logged on end with their next request.

        Raises:
            KeyError: there is no such key.
        """
        self._credentials[api_key].is_revoked = True

    def authenticate(self, params: Mapping[str, Any], payload: str, now: int) -> Credential:
        """The key that signed a request.

        Args:
            params: of the request.
            payload: what the signature must cover.
            now: microseconds.

        Raises:
            Refusal: -1102, -2014, -2015, -1021 or -1022.
        """
        credential = self._named(_text(params, "apiKey"))
        check_timestamp(params, now)
        if not credential.verify(payload.encode(), _text(params, "signature")):
            raise refusals.signature_wrong()
        return credential

    def _named(self, api_key: str) -> Credential:
        if not _API_KEY.fullmatch(api_key):
            raise refusals.api_key_malformed()
        credential = self._credentials.get(api_key)
        if credential is None or credential.is_revoked:
            raise refusals.api_key_refused()
        return credential


def check_timestamp(params: Mapping[str, Any], now: int) -> None:
    """Refuse a request from the past or the future.

    Raises:
        Refusal: -1102, -1100 or -1021.
    """
    sent = params.get("timestamp")
    if sent is None or sent == "":
        raise refusals.mandatory("timestamp")
    if not _TIMESTAMP.fullmatch(str(sent)):
        raise refusals.illegal_characters("timestamp", "^[0-9]{1,20}$")
    timestamp = as_microseconds(int(sent))
    if timestamp >= now + SECOND:
        raise refusals.timestamp_ahead()
    if now - timestamp > _recv_window(params):
        raise refusals.timestamp_late()


def _recv_window(params: Mapping[str, Any]) -> int:
    """Microseconds. One that is malformed is left for the validation to name."""
    sent = params.get("recvWindow")
    if sent is None or not _WINDOW.fullmatch(str(sent)):
        return DEFAULT_RECV_WINDOW
    return int(Decimal(sent) * MILLISECOND)


def _text(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name)
    if not value or not isinstance(value, str):
        raise refusals.mandatory(name)
    return value
