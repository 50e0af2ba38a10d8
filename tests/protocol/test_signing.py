from __future__ import annotations

import base64
import copy
import datetime
import hmac
import json
import logging
import pickle
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from bintrio._protocol.signing import Ed25519Key, HmacKey, Key, RsaKey, payload
from bintrio.errors import InvalidRequest
from tests.catalogue import DATA

VECTORS: dict[str, Any] = json.loads((DATA / "signing.json").read_text("utf-8"))
API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
PASSPHRASE = "correct horse battery staple ü"

WRONG_TYPE: Any = 5

RSA: RSAPrivateKey = generate_private_key(65537, 2048)
ED25519 = Ed25519PrivateKey.generate()


def pem(private_key: Any, *, passphrase: str | None = None, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(passphrase.encode())
    return bytes(private_key.private_bytes(Encoding.PEM, form, encryption))


def public_pem(private_key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    return private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def certificate_pem() -> bytes:
    name = x509.Name([])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, ED25519.public_key(), 1, start, start)
    return builder.sign(ED25519, None).public_bytes(Encoding.PEM)


def fault(make: Callable[[], object]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        make()
    return caught.value


# The payload


@pytest.mark.parametrize("vector", VECTORS["payloads"], ids=lambda vector: vector["name"])
def test_payload_of_the_documented_examples(vector: dict[str, Any]) -> None:
    assert payload(vector["params"]) == vector["payload"]
    assert payload(vector["params"] | {"signature": "not signed"}) == vector["payload"]
    assert payload(dict(reversed(vector["params"].items()))) == vector["payload"]


def test_payload_writes_values_as_the_json_of_the_request_has_them() -> None:
    params: dict[str, Any] = {"on": True, "off": False, "none": None, "number": -5, "many": ["é", 1]}
    assert payload(params) == 'many=["é",1]&none=null&number=-5&off=false&on=true'


def test_payload_is_never_percent_encoded() -> None:
    assert payload({"symbol": "币安 &=%/+é"}) == "symbol=币安 &=%/+é"


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans()))
def test_payload_does_not_depend_on_the_order_of_parameters(params: dict[str, Any]) -> None:
    assert payload(params) == payload(dict(reversed(params.items())))


@given(st.dictionaries(st.text() | st.sampled_from(["signature", "%", "%s", "a=%(b)s"]), st.text() | st.integers()))
def test_payload_is_every_other_parameter_by_name_whatever_the_names(params: dict[str, Any]) -> None:
    expected = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
    assert payload(params) == payload(params | {"signature": "x"}) == expected


# Signatures


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS["payloads"] if v["secretKey"]], ids=lambda vector: vector["name"]
)
def test_hmac_signatures_of_the_documented_examples(vector: dict[str, Any]) -> None:
    key = HmacKey(vector["apiKey"], vector["secretKey"])
    assert key.sign(payload(vector["params"])) == vector["signature"]


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=150), st.text())
def test_hmac_signatures_are_those_of_the_standard_library(secret: str, text: str) -> None:
    """Secrets longer than a block of the hash included."""
    assert HmacKey(API_KEY, secret).sign(text) == hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()


@pytest.mark.parametrize("vector", VECTORS["requests"]["signed"], ids=lambda vector: vector["method"])
def test_hmac_signatures_of_the_documented_requests(vector: dict[str, Any]) -> None:
    key = HmacKey(VECTORS["requests"]["apiKey"], VECTORS["requests"]["secretKey"])
    params = dict(part.split("=") for part in vector["payload"].split("&"))
    assert payload(params) == vector["payload"]
    assert key.sign(vector["payload"]) == vector["signature"]


def test_a_key_signs_more_than_once() -> None:
    key = HmacKey(API_KEY, SECRET)
    assert key.sign("a=1") == key.sign("a=1") != key.sign("a=2")


@given(st.text())
def test_rsa_and_ed25519_signatures_verify(text: str) -> None:
    signature = base64.b64decode(RsaKey(RSA, api_key=API_KEY).sign(text), validate=True)
    RSA.public_key().verify(signature, text.encode(), padding.PKCS1v15(), SHA256())
    signature = base64.b64decode(Ed25519Key(ED25519, api_key=API_KEY).sign(text), validate=True)
    ED25519.public_key().verify(signature, text.encode())


def test_what_utf8_cannot_express_is_refused() -> None:
    error = fault(lambda: HmacKey(API_KEY, SECRET).sign("symbol=\ud800"))
    assert "surrogate" in str(error)


def test_only_ed25519_logs_on() -> None:
    assert Ed25519Key.can_log_on
    assert not RsaKey.can_log_on
    assert not HmacKey.can_log_on


# Reading keys


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE, PASSPHRASE.encode()])
@pytest.mark.parametrize(
    ("key_type", "private_key", "form"),
    [
        (RsaKey, RSA, PrivateFormat.PKCS8),
        (RsaKey, RSA, PrivateFormat.TraditionalOpenSSL),
        (Ed25519Key, ED25519, PrivateFormat.PKCS8),
    ],
)
def test_pem_is_read_encrypted_or_not(
    key_type: type[RsaKey | Ed25519Key],
    private_key: Any,
    form: PrivateFormat,
    passphrase: str | bytes | None,
    as_text: bool,
    tmp_path: Path,
) -> None:
    data = pem(private_key, passphrase=PASSPHRASE if passphrase else None, form=form)
    path = tmp_path / "key.pem"
    path.write_bytes(data)
    same = key_type(private_key, api_key=API_KEY)
    read = key_type.from_pem(data.decode() if as_text else data, api_key=API_KEY, password=passphrase)
    read_from_file = key_type.from_pem_file(str(path) if as_text else path, api_key=API_KEY, password=passphrase)
    assert read.api_key == read_from_file.api_key == API_KEY
    assert read.sign("a=1") == read_from_file.sign("a=1") == same.sign("a=1")


PEM_FAULTS: dict[str, tuple[Callable[[], object], str, str]] = {
    "no PEM": (lambda: Ed25519Key.from_pem("key.pem", api_key=API_KEY), "data", "not PEM"),
    "empty": (lambda: Ed25519Key.from_pem(b"", api_key=API_KEY), "data", "not PEM"),
    "no text": (lambda: Ed25519Key.from_pem(WRONG_TYPE, api_key=API_KEY), "data", "data must be str or bytes, not int"),
    "public key": (
        lambda: Ed25519Key.from_pem(public_pem(ED25519), api_key=API_KEY),
        "data",
        "a private key is needed, this is a public key",
    ),
    "certificate": (lambda: RsaKey.from_pem(certificate_pem(), api_key=API_KEY), "data", "this is a certificate"),
    "no passphrase": (
        lambda: Ed25519Key.from_pem(pem(ED25519, passphrase=PASSPHRASE), api_key=API_KEY),
        "password",
        "is encrypted: give its passphrase as password",
    ),
    "empty passphrase": (
        lambda: Ed25519Key.from_pem(pem(ED25519, passphrase=PASSPHRASE), api_key=API_KEY, password=""),
        "password",
        "is encrypted: give its passphrase as password",
    ),
    "wrong passphrase": (
        lambda: Ed25519Key.from_pem(pem(ED25519, passphrase=PASSPHRASE), api_key=API_KEY, password="no"),
        "password",
        "passphrase is wrong",
    ),
    "wrong passphrase, traditional": (
        lambda: RsaKey.from_pem(
            pem(RSA, passphrase=PASSPHRASE, form=PrivateFormat.TraditionalOpenSSL), api_key=API_KEY, password="no"
        ),
        "password",
        "passphrase is wrong",
    ),
    "passphrase with half a surrogate pair": (
        lambda: RsaKey.from_pem(pem(RSA, passphrase=PASSPHRASE), api_key=API_KEY, password="\ud800"),
        "password",
        "passphrase is wrong",
    ),
    "needless passphrase": (
        lambda: RsaKey.from_pem(pem(RSA), api_key=API_KEY, password=PASSPHRASE),
        "password",
        "the private key is not encrypted",
    ),
    "passphrase of another type": (
        lambda: RsaKey.from_pem(pem(RSA), api_key=API_KEY, password=WRONG_TYPE),
        "password",
        "password must be str or bytes, not int",
    ),
    "damaged": (
        lambda: RsaKey.from_pem(re.sub(rb"\n(.{20})", b"\n", pem(RSA), count=1), api_key=API_KEY),
        "data",
        "damaged",
    ),
    "RSA as Ed25519": (lambda: Ed25519Key.from_pem(pem(RSA), api_key=API_KEY), "data", "use RsaKey"),
    "Ed25519 as RSA": (lambda: RsaKey.from_pem(pem(ED25519), api_key=API_KEY), "data", "use Ed25519Key"),
    "elliptic curve": (
        lambda: RsaKey.from_pem(pem(ec.generate_private_key(ec.SECP256R1())), api_key=API_KEY),
        "data",
        "RsaKey cannot use this type",
    ),
}


@pytest.mark.parametrize("case", PEM_FAULTS)
def test_g9_a_faulty_pem_is_named_and_not_shown(case: str) -> None:
    make, field, words = PEM_FAULTS[case]
    error = fault(make)
    assert error.field == field
    assert words in str(error)
    assert_cut_off(error)


def test_an_empty_passphrase_is_none() -> None:
    key = Ed25519Key.from_pem(pem(ED25519), api_key=API_KEY, password="")
    assert key.sign("a=1") == Ed25519Key(ED25519, api_key=API_KEY).sign("a=1")


def test_other_private_keys_than_pem_ones_are_refused() -> None:
    error = fault(lambda: RsaKey("a string", api_key=API_KEY))
    assert "RsaKey cannot use this type of private key" in str(error)


PATH_FAULTS: dict[str, tuple[Callable[[Path], str], str]] = {
    "missing": (lambda folder: str(folder / "none.pem"), "there is no such file"),
    "directory": (lambda folder: str(folder), "it is a directory"),
    "below a file": (lambda folder: str(folder / "key.pem" / "x"), "Not a directory"),
    "nul": (lambda folder: str(folder) + "\0", "not a path"),
    "key for a path": (lambda folder: SECRET, "cannot read the private key '…': there is no such file"),
    "PEM": (lambda folder: pem(ED25519).decode(), "use from_pem()"),
    "PEM on one line": (lambda folder: pem(ED25519).decode().replace("\n", " "), "use from_pem()"),
}


@pytest.mark.parametrize("case", PATH_FAULTS)
def test_g9_a_faulty_path_is_named_and_a_key_in_its_place_is_not(case: str, tmp_path: Path) -> None:
    make, words = PATH_FAULTS[case]
    (tmp_path / "key.pem").write_bytes(pem(ED25519))
    error = fault(lambda: Ed25519Key.from_pem_file(make(tmp_path), api_key=API_KEY))
    assert error.field == "path"
    assert words in str(error)
    assert_cut_off(error)


@pytest.mark.parametrize("path", [b"key.pem", None, 7, [], b"\xff"])
def test_a_path_of_another_type_is_refused(path: Any) -> None:
    error = fault(lambda: Ed25519Key.from_pem_file(path, api_key=API_KEY))
    assert error.field == "path"
    assert "path must be a str or a Path, not " in str(error)


def test_a_file_that_may_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    error = fault(lambda: Ed25519Key.from_pem_file("key.pem", api_key=API_KEY))
    assert str(error) == "cannot read the private key 'key.pem': permission denied"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "is empty"),
        ("abcdefgé", "outside ASCII"),
        ("abc defg", "a blank"),
        ("abcdefg\n", "a line break"),
        ("\tabcdefg", "a control character"),
        (b"abcdefg", "must be a str, not bytes"),
    ],
)
@pytest.mark.parametrize("field", ["api_key", "secret"])
def test_g9_a_malformed_api_key_or_secret_is_refused_and_not_shown(field: str, value: Any, words: str) -> None:
    arguments = {"api_key": API_KEY, "secret": SECRET} | {field: value}
    error = fault(lambda: HmacKey(**arguments))
    assert error.field == field
    assert words in str(error)
    assert "abc" not in str(error)
    assert_cut_off(error)


# Secrets

KEYS: list[Key] = [
    HmacKey(API_KEY, SECRET),
    RsaKey(RSA, api_key=API_KEY),
    Ed25519Key(ED25519, api_key=API_KEY),
]


def secrets() -> list[str]:
    """What must never be seen: every line of key material, and the passphrase."""
    lines = b"\n".join((pem(RSA), pem(ED25519))).decode().splitlines()
    return [line for line in lines if line and not line.startswith("-----")] + [SECRET, PASSPHRASE]


def assert_cut_off(error: BaseException) -> None:
    """No foreign error is shown with this one, and none of both has a secret."""
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    shown = "".join(traceback.format_exception(error)) + repr(error.__dict__) + repr(error.args)
    assert not [secret for secret in secrets() if secret in shown]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
def test_g9_a_key_shows_four_characters_of_its_api_key_and_nothing_else(key: Key) -> None:
    assert repr(key) == str(key) == f"{type(key).__name__}(api_key='vmPU…')"
    assert f"{key}" == f"{key!s}" == repr(key)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
def test_g9_looking_into_a_key_shows_no_secret(key: Key, caplog: pytest.LogCaptureFixture) -> None:
    assert not hasattr(key, "__dict__")
    logging.getLogger("bintrio").warning("using %s, %r", key, key)
    inside = [repr(getattr(key, name)) for name in dir(key)]
    assert not [secret for secret in secrets() for text in (*inside, caplog.text) if secret in text]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_g9_a_key_cannot_be_pickled_or_copied(key: Key, leave: Callable[[Key], object]) -> None:
    with pytest.raises(TypeError, match="holds a secret"):
        leave(key)


def test_a_key_of_a_kind_that_the_library_no_longer_reads_is_unsupported() -> None:
    data = pem(dsa.generate_private_key(1024))
    error = fault(lambda: RsaKey.from_pem(data, api_key=API_KEY))
    assert error.field == "data"
