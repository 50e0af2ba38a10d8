"""What a sandbox that is struck by a storm says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class StormReport(Protocol):
    """The storm over a sandbox: `open_sandbox(storm=...)`."""

    @property
    def seed(self) -> int:
        """What it follows from."""
        ...

    def end(self) -> None:
        """Let nothing go wrong any more, for a test that looks at how things stand then."""
        ...

    def doubled(self) -> Sequence[str]:
        """The client order ids under which new orders came more than once, whoever sent them."""
        ...

    def story(self) -> Sequence[str]:
        """What happened, a line for each blow and call, in order of time."""
        ...
