"""A sandbox in memory, and a peer of it that speaks WebSocket."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from bintrio.sandbox import Sandbox, open_sandbox

from .peer import Peer, peer_of


@pytest.fixture
async def sandbox() -> AsyncGenerator[Sandbox, None]:
    async with open_sandbox(listen=False) as sandbox:
        yield sandbox


@pytest.fixture
async def peer(sandbox: Sandbox) -> AsyncGenerator[Peer, None]:
    async with peer_of(sandbox) as peer:
        yield peer
