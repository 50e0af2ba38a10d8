"""Private keys in the forms in which people hand them over. The Ed25519 key is the same in each run."""

from __future__ import annotations

import base64
import itertools
import textwrap
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.signing import Ed25519Key, RsaKey
from bintrio.errors import InvalidRequest

ED25519: Final = Ed25519PrivateKey.from_private_bytes(sha256(b"a key for tests").digest())
RSA: Final = generate_private_key(65_537, 1024)
PASSWORD: Final = b"hunter2"
SEED: Final = ED25519.private_bytes_raw()
PUBLIC: Final = ED25519.public_key().public_bytes_raw()
DER: Final = ED25519.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def pem_of(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None) -> str:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return str(key.private_bytes(Encoding.PEM, form, encryption).decode())


def wrapped(der: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join(("-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----", ""))


PUBLIC_PEM: Final = ED25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
CHANGES: Final[dict[str, Callable[[str], str | bytes]]] = {
    "as it is": lambda pem: pem,
    "bytes": lambda pem: pem.encode(),
    "CRLF": lambda pem: pem.replace("\n", "\r\n"),
    "no newline at the end": lambda pem: pem.rstrip("\n"),
    "UTF-8 with a mark": lambda pem: b"\xef\xbb\xbf" + pem.encode(),
    "UTF-16": lambda pem: pem.encode("utf-16"),
    "UTF-16, the other way round": lambda pem: b"\xfe\xff" + pem.encode("utf-16-be"),
    "literal \\n": lambda pem: pem.replace("\n", "\\n"),
    "literal \\r\\n": lambda pem: pem.replace("\n", "\\r\\n"),
    "literal \\\\n": lambda pem: pem.replace("\n", "\\\\n"),
    "literal \\n and newlines": lambda pem: pem.replace("\n", "\\n\n"),
    "blanks": lambda pem: pem.replace("\n", " ").strip(),
    "one line": lambda pem: pem.replace("\n", ""),
    "quotes": lambda pem: f'"{pem.strip()}"',
    "quotes and literal \\n": lambda pem: "'" + pem.strip().replace("\n", "\\n") + "'",
    "indented": lambda pem: textwrap.indent(pem, "    "),
    "tabs": lambda pem: textwrap.indent(pem, "\t"),
    "comments": lambda pem: f"# my key\n{pem}# the end\n",
    "public key in front": lambda pem: PUBLIC_PEM + pem,
    "public key behind": lambda pem: pem + PUBLIC_PEM,
    "long dashes": lambda pem: pem.replace("--", "\u2013", 1),
    "longer dashes": lambda pem: pem.replace("-----", "\u2014\u2014-"),
    "fixed blanks": lambda pem: pem.replace("BEGIN ", "BEGIN\u00a0").replace(" KEY", "\u00a0KEY"),
}


TRADITIONAL: Final = PrivateFormat.TraditionalOpenSSL
FORMS: Final[dict[str, tuple[str, Any]]] = {
    "PKCS#8": (pem_of(ED25519), ED25519),
    "PKCS#8, encrypted": (pem_of(ED25519, password=PASSWORD), ED25519),
    "OpenSSH": (pem_of(ED25519, PrivateFormat.OpenSSH), ED25519),
    "traditional": (pem_of(RSA, TRADITIONAL), RSA),
    "traditional, encrypted": (pem_of(RSA, TRADITIONAL, PASSWORD), RSA),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("form", FORMS)
def test_what_text_goes_through_on_its_way_does_not_change_the_key(form: str, change: str) -> None:
    pem, expected = FORMS[form]
    password = PASSWORD if "encrypted" in form else None
    key_type = Ed25519Key if expected is ED25519 else RsaKey
    read: Any = key_type.from_pem(CHANGES[change](pem), api_key="abcd", password=password)
    assert read.sign("a=1") == key_type(expected, api_key="abcd").sign("a=1")


@given(st.lists(st.sampled_from(["\n", "\r\n", " ", "\t", "\\n", "\\r\\n", "\u00a0", "\n    "]), min_size=1))
def test_any_breaks_between_the_lines_will_do(breaks: list[str]) -> None:
    lines = wrapped(DER).strip().split("\n")
    first, *rest = lines
    text = first + "".join(gap + line for gap, line in zip(itertools.cycle(breaks), rest, strict=False))
    assert Ed25519Key.from_pem(text, api_key="abcd").sign("a") == Ed25519Key(ED25519, api_key="abcd").sign("a")


VERSION_2: Final = bytes.fromhex("020101300506032b657004220420") + SEED


@pytest.mark.parametrize(
    "der",
    [
        bytes.fromhex("3053") + VERSION_2 + bytes.fromhex("a123032100") + PUBLIC,
        bytes.fromhex("3051") + VERSION_2 + bytes.fromhex("812100") + PUBLIC,
    ],
)
def test_pkcs8_of_version_2_is_read_and_its_public_key_must_fit(der: bytes) -> None:
    read = Ed25519Key.from_pem(wrapped(der), api_key="abcd")
    assert read.sign("a=1") == Ed25519Key(ED25519, api_key="abcd").sign("a=1")
    assert "its public key is another one's" in refusal(wrapped(der[:-1] + bytes([der[-1] ^ 1])))
    for length in range(len(VERSION_2), len(der)):
        assert "the private key is damaged" in refusal(wrapped(der[:length]))


def refusal(data: str | bytes, password: bytes | None = None) -> str:
    with pytest.raises(InvalidRequest) as caught:
        Ed25519Key.from_pem(data, api_key="abcd", password=password)
    said = str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for secret in (SEED.hex()[:16], base64.b64encode(DER).decode()[30:50], PASSWORD.decode(), "NhqPtmdSJYdKjVHjA7PZ"):
        assert secret not in said
    return said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (PUBLIC_PEM, "a private key is needed, this is a public key"),
        (base64.b64encode(DER), "it is base64 without the lines -----BEGIN PRIVATE KEY-----"),
        (base64.b64encode(b"0" * 41), "it is base64 without the lines -----BEGIN PRIVATE KEY-----"),
        (base64.b64encode(b"0" * 40), "there is no line that starts with -----BEGIN"),  # too short for any key
        (base64.b64encode(pem_of(ED25519).encode()), "it is PEM in base64 once more"),
        (SEED.hex(), "the bare bytes of a key in hex"),
        (DER, "it is DER, the binary form"),
        ("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j", "it looks like an HMAC secret"),
        (
            ED25519.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
            "this is a public key of OpenSSH",
        ),
        ("", "there is no line that starts with -----BEGIN"),
        ("\u00e9\ud800", "there is no line that starts with -----BEGIN"),
        (pem_of(ED25519).partition("-----END")[0], "the line with -----END is missing"),
        (pem_of(ED25519).replace("END PRIVATE", "END RSA PRIVATE"), "or another than that with -----BEGIN"),
        (wrapped(b"0"), "the private key is damaged"),
        (wrapped(DER).replace("M", "!", 1), "the private key is damaged"),
        (wrapped(b"").replace("PRIVATE", "OPENSSH PRIVATE"), "is encrypted"),
    ],
)
def test_g9_other_forms_are_named_and_not_shown(data: str | bytes, said: str) -> None:
    assert said in refusal(data)


def test_the_passphrase_of_an_openssh_key() -> None:
    plain = pem_of(ED25519, PrivateFormat.OpenSSH)
    assert "is not encrypted" in refusal(plain, PASSWORD)
    assert "the private key is damaged" in refusal(plain.replace(plain[200:230], ""))
    # Its head, as ssh-keygen writes it; to read one takes the package bcrypt.
    ciphers = b"".join(len(name).to_bytes(4, "big") + name for name in (b"aes256-ctr", b"bcrypt"))
    encrypted = wrapped(b"openssh-key-v1\0" + ciphers).replace("PRIVATE", "OPENSSH PRIVATE")
    assert "is encrypted: give its passphrase" in refusal(encrypted)
    assert "the passphrase is wrong, or the private key is damaged, or" in refusal(encrypted, PASSWORD)
