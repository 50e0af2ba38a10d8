"""What ``bintrio sandbox`` has made, told to people or to programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from bintrio.sandbox import KeyType, Sandbox, SandboxAccount, World

EXAMPLE: Final = Path(__file__).with_name("example.toml")
"""A world with something in each of its parts."""


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key of an account. What is not told is in the hands of the bot whose key it is.

    Attributes:
        secret: of an HMAC key that was made.
        private_key_file: of another key that was made: a PEM file, which is gone when the sandbox ends.
    """

    type: KeyType
    api_key: str
    secret: str | UnsetType = UNSET
    private_key_file: Path | UnsetType = UNSET


class MadeAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account.

    Attributes:
        uid: its number.
        keys: those that were made for it, and then those of its bot.
    """

    uid: int
    keys: tuple[MadeKey, ...]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A running sandbox.

    Attributes:
        endpoint: the URL that clients connect to.
        control: the URL of the control over HTTP; null without it.
        page: the URL of the page, with its token; null without it.
        certificate: a file with what its clients have to trust; null without TLS.
        accounts: in the order of the world.
        world: as it is in the file, with every default; the keys of bots are among ``accounts``.
    """

    endpoint: str
    control: str | None
    page: str | None
    certificate: Path | None
    accounts: tuple[MadeAccount, ...]
    world: World


def made(
    running: Sandbox, world: World, folder: Path, certificate: Path | None, control: str | None, page: str | None
) -> Made:
    """What there is to tell of a sandbox; the private keys are written to a folder."""
    # The keys of bots may have secrets in the file: those are never printed.
    bare = tuple(replace(account, keys=()) for account in world.accounts)
    return Made(
        endpoint=running.endpoint.urls[0],
        control=control,
        page=page,
        certificate=certificate,
        accounts=tuple(MadeAccount(uid=one.uid, keys=tuple(_keys(one, folder))) for one in running.accounts),
        world=replace(world, accounts=bare),
    )


def _keys(account: SandboxAccount, folder: Path) -> Iterator[MadeKey]:
    # A private key goes to a file of its own, since a line of JSON ends up in logs.
    ed25519 = write(folder / f"{account.uid}-ed25519.pem", account.ed25519_pem())
    yield MadeKey(type="Ed25519", api_key=account.key.api_key, private_key_file=ed25519)
    rsa = write(folder / f"{account.uid}-rsa.pem", account.rsa_pem())
    yield MadeKey(type="RSA", api_key=account.rsa_key.api_key, private_key_file=rsa)
    yield MadeKey(type="HMAC", api_key=account.hmac_key.api_key, secret=account.hmac_secret())
    # Without secret and file: the bot has those.
    yield from (MadeKey(type=given.type, api_key=given.api_key) for given in account.keys)


def write(path: Path, data: bytes) -> Path:
    """Make a file, and give where it is."""
    path.write_bytes(data)
    return path


def as_json(told: Made) -> str:
    """In one line."""
    return msgspec.json.encode(told, enc_hook=_plain).decode()


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def directions(told: Made) -> Iterator[str]:
    """For people: how to connect, line by line."""
    yield f"endpoint      {told.endpoint}"
    if told.control:
        yield f"control       {told.control}"
    if told.page:
        yield f"page          {told.page}"
    for account in told.accounts:
        # With one account there is nothing to tell apart.
        if told.accounts[1:]:
            yield f"account       {account.uid}"
        yield from _of_keys(account.keys)
    if told.certificate:
        yield f"certificate   {told.certificate}"
    yield ""
    yield "The keys open nothing but this sandbox. Ctrl-C ends it. In another terminal:"
    yield ""
    first = told.accounts[0].keys[0]
    yield f"  export BINTRIO_ENDPOINT={told.endpoint}"
    yield f"  export BINTRIO_API_KEY={first.api_key}"
    yield f"  export BINTRIO_PRIVATE_KEY_FILE={first.private_key_file}"
    if told.certificate:
        yield f"  export SSL_CERT_FILE={told.certificate}"
    symbol = next(symbol.name for symbol in told.world.symbols)
    yield f"  bintrio call depth symbol={symbol} limit=5"
    yield f"  bintrio call order.place symbol={symbol} side=BUY type=MARKET quantity=0.01"


def _of_keys(keys: Sequence[MadeKey]) -> Iterator[str]:
    for key in keys:
        yield f"{key.type + ' key':<13} {key.api_key}"
        # A key that its bot has brought has neither: the bot has those.
        if key.secret is not UNSET:
            yield f"  secret      {key.secret}"
        if key.private_key_file is not UNSET:
            yield f"  private     {key.private_key_file}"
