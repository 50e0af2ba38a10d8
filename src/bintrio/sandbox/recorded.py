"""`open_recording`: a recording played again, for programs that are to meet once more what they met."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

import trio

from bintrio._net.tasks import bare_nursery, check_trio
from bintrio.errors import InvalidRequest

from .exchange.script import Recorded, scripts
from .server.replay import RecordedExchange


@asynccontextmanager
async def open_recording(
    messages: Iterable[Recorded], *, session: str | None = None
) -> AsyncGenerator[RecordedExchange]:
    """An exchange in memory that does what a recording says.

        async with open_recording(recording.read("day.jsonl")) as exchange:
            async with bintrio.open_session(bintrio.PRODUCTION, connect=exchange.connect) as session:
                ...

    Each connection that is opened plays the next one of the recording. The first call of a method gets the first answer
    that was given to it there, after as long a time, the second the second, and from then on the last one again. What
    came by itself, events for instance, comes as long after the answer before it as it did. A call that the recording
    has no answer to is refused, and counted.

    Args:
        messages: what `bintrio.recording.read` gives.
        session: the name of the session to play; None for that of the first message.

    Raises:
        InvalidRequest: there is no message of that session.
    """
    check_trio("open_recording")
    found = scripts(messages, session)
    if not found:
        raise InvalidRequest("there is no message to play", field="messages")
    async with bare_nursery(trio.lowlevel.checkpoint) as nursery:
        yield RecordedExchange(found, nursery)
