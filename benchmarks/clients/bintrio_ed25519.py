"""bintrio with an Ed25519 key: the connection is logged on once, and calls need no signature."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import bintrio

from . import API_KEY
from .bintrio import open_with

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from . import Client

LOOP: Final = "trio"


@asynccontextmanager
async def open_client(url: str) -> AsyncGenerator[Client]:
    async with open_with(url, bintrio.Ed25519Key(Ed25519PrivateKey.generate(), api_key=API_KEY)) as client:
        yield client
