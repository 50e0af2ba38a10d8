r"""A private key out of the forms in which people hand it over.

PEM is text, and text changes on its way: environment variables and JSON turn line breaks into ``\n`` or blanks, .env
files add quotes, editors indentation and long dashes, PowerShell writes UTF-16. None of that is part of base64, so
whatever stands between the two lines of a private key tells the same key, and is read. A key in another form than PEM
is refused with its name. No message shows anything of what was handed over (G9).

Source: RFC 7468 (PEM), RFC 1421 (the headers of an encrypted key in the traditional form), RFC 5958 (PKCS#8).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NamedTuple

from ..errors import InvalidRequest

# A word processor makes one long dash of several.
_DASHES: Final = r"[-\u2010-\u2015\u2212]+"
_LABEL: Final = rf"{_DASHES} ?BEGIN ([A-Z0-9 ]+?) ?{_DASHES}"
_BLOCK: Final = re.compile(rf"{_LABEL}(.*?){_DASHES} ?END \1 ?{_DASHES}", re.S)
_ANY_LABEL: Final = re.compile(_LABEL)
# Known by what they hold, since the line breaks behind them may be gone: a cipher's IV has as many digits as it takes.
_HEADER: Final = re.compile(
    r"\s*(Proc-Type:\s*4,ENCRYPTED|DEK-Info:\s*(?:AES-\d+-[A-Z]+,[0-9A-Fa-f]{32}|[A-Z0-9-]+,[0-9A-Fa-f]{16}))"
)
_LINE_BREAK: Final = re.compile(r"\\+r|\\+n|\\+t")
_LINE: Final = 64
_OPENSSH: Final = "OPENSSH PRIVATE KEY"
# How PKCS#8 of version 2 begins for an Ed25519 key: integer 1, the algorithm, 34 octets with the seed in 32 of them.
_ED25519_V2: Final = bytes.fromhex("020101300506032b657004220420")


class _Block(NamedTuple):
    """What is between the two lines of one PEM text."""

    label: str
    headers: tuple[str, ...]
    body: str

    @property
    def is_encrypted(self) -> bool:
        """PKCS#8 has the word in its label, the traditional form in a header."""
        return "ENCRYPTED" in self.label or any("ENCRYPTED" in header for header in self.headers)

    def text(self) -> bytes:
        """The block as it should have been."""
        lines = [self.body[start : start + _LINE] for start in range(0, len(self.body), _LINE)]
        head = [*self.headers, ""] if self.headers else []
        return "\n".join((f"-----BEGIN {self.label}-----", *head, *lines, f"-----END {self.label}-----", "")).encode()


def read_private_key(data: bytes, passphrase: bytes | None) -> object:
    """The private key in a text, as an object of the cryptography package.

    Raises:
        InvalidRequest: there is none, or one in another form, or the passphrase is missing, wrong or not needed.
    """
    block = _find(_as_text(data))
    # A form of its own, which `load_pem_private_key` does not read.
    if block.label == _OPENSSH:
        return _load_openssh(block, passphrase)
    if block.is_encrypted and passphrase is None:
        raise _needs_passphrase()
    if passphrase is not None and not block.is_encrypted:
        raise _needs_none()
    return _load(block, passphrase)


def _as_text(data: bytes) -> str:
    # PowerShell writes UTF-16, some editors a mark of UTF-8.
    is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = data.decode("utf-16" if is_utf16 else "utf-8-sig", "replace")
    # Copied from a web page, blanks may be such that do not break the line.
    return _LINE_BREAK.sub("\n", text.replace("\u00a0", " "))


def _find(text: str) -> _Block:
    """The first private key; other blocks, such as public keys and certificates, may stand beside it."""
    for found in _BLOCK.finditer(text):
        label, content = found.groups()
        # Public keys and certificates may stand in the same file.
        if label.endswith("PRIVATE KEY"):
            headers: list[str] = []
            # The headers of an encrypted key in the traditional form stand between the first line and the base64.
            while header := _HEADER.match(content):
                headers.append(header[1])
                content = content[header.end() :]
            return _Block(label, tuple(headers), "".join(content.split()))
    raise InvalidRequest(_what_it_is(text), field="data")


def _what_it_is(text: str) -> str:
    """What is wrong with a text without a private key."""
    labels = _ANY_LABEL.findall(text)
    if any(label.endswith("PRIVATE KEY") for label in labels):
        return "the private key is damaged: the line with -----END is missing, or another than that with -----BEGIN"
    if labels:
        return f"a private key is needed, this is a {labels[0].lower()}"
    if text.lstrip().startswith(("ssh-", "ecdsa-")):
        return "a private key is needed, this is a public key of OpenSSH"
    return f"this is not PEM: {_other_form(text)}"


def _other_form(text: str) -> str:
    # DER begins with the byte of a sequence, which is the character 0, and is no text.
    if text.startswith("0") and "\ufffd" in text:
        return "it is DER, the binary form; openssl pkey -inform DER makes PEM of it"
    bare = "".join(text.split()).strip("'\"")
    # 32 bytes, the seed of an Ed25519 key, or 64, with its public key behind it.
    if re.fullmatch(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{128}", bare):
        return "it looks like the bare bytes of a key in hex, or an HMAC secret, which goes into an HmacKey"
    decoded = _decoded(bare)
    if b"-----BEGIN" in decoded:
        return "it is PEM in base64 once more, as Kubernetes keeps it; decode it first"
    # Its first byte is that of a sequence, and the DER of the shortest key has 48 bytes.
    if decoded.startswith(b"0") and len(decoded) > 40:
        return "it is base64 without the lines -----BEGIN PRIVATE KEY----- and -----END PRIVATE KEY----- around it"
    # The exchange's HMAC secrets have as many letters and digits.
    if re.fullmatch(r"[A-Za-z0-9]{64}", bare):
        return "it looks like an HMAC secret, which goes into an HmacKey"
    return "there is no line that starts with -----BEGIN"


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""


def _load(block: _Block, passphrase: bytes | None) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(block.text(), passphrase)
    # What the library says may quote the key (G9), so nothing of it is passed on.
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library does not tell a wrong passphrase from damage.
        if block.is_encrypted:
            raise _wrong_passphrase() from None
    # Version 2 of PKCS#8, which other libraries write for Ed25519, is not read by every version of cryptography.
    return _ed25519_v2(_decoded(block.body))


def _ed25519_v2(der: bytes) -> object:
    """An Ed25519 key in PKCS#8 of version 2, with the public key behind it: as ring and others write it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    start = der.find(_ED25519_V2, 0, 16) + len(_ED25519_V2)
    # Less than its own length: it was not found.
    if start < len(_ED25519_V2) or len(der) < start + 64:
        raise InvalidRequest("the private key is damaged, or in another form than PKCS#8", field="data")
    key = Ed25519PrivateKey.from_private_bytes(der[start : start + 32])
    # Nothing else would show that the seed is damaged.
    if key.public_key().public_bytes_raw() != der[-32:]:
        raise InvalidRequest("the private key is damaged: its public key is another one's", field="data")
    return key


def _load_openssh(block: _Block, passphrase: bytes | None) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    # Whether it is encrypted is told inside, by the name of the cipher.
    is_encrypted = b"\x00\x00\x00\x04none\x00\x00\x00\x04none" not in _decoded(block.body)[:64]
    if is_encrypted and passphrase is None:
        raise _needs_passphrase()
    if passphrase is not None and not is_encrypted:
        raise _needs_none()
    try:
        return load_ssh_private_key(block.text(), passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if is_encrypted:
            said = "the passphrase is wrong, or the private key is damaged, or reading it takes the package bcrypt"
            raise InvalidRequest(said, field="password") from None
        raise InvalidRequest("the private key is damaged", field="data") from None


def _needs_passphrase() -> InvalidRequest:
    return InvalidRequest("the private key is encrypted: give its passphrase as password", field="password")


def _needs_none() -> InvalidRequest:
    return InvalidRequest("a passphrase was given, but the private key is not encrypted", field="password")


def _wrong_passphrase() -> InvalidRequest:
    return InvalidRequest("the passphrase is wrong, or the private key is damaged", field="password")
