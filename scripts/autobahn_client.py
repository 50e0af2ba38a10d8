"""Run the wire against an Autobahn fuzzing server, as a client that echoes.

    wstest -m fuzzingserver -s spec.json
    python scripts/autobahn_client.py ws://127.0.0.1:9001

with ``{"url": "ws://127.0.0.1:9001", "outdir": "reports", "cases": ["*"], "exclude-cases": ["12.*", "13.*"]}`` as
``spec.json``: 12 and 13 are about compression, which the wire never offers. The server writes the report; a summary
is printed here.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from bintrio._net.streams import connect_tcp
from bintrio._net.wire import WireClosed, open_wire
from bintrio.endpoints import as_endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from bintrio._net.wire import Wire
    from bintrio._protocol.frames import Message

GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")


class FuzzingServer:
    """An Autobahn fuzzing server.

    Args:
        url: where it listens, without a path.
        agent: the name that the client goes by in its report.
    """

    def __init__(self, url: str, agent: str) -> None:
        (self._address,) = as_endpoint(url).addresses(time_unit="ms")
        self._agent = agent

    async def case_count(self) -> int:
        """How many cases there are; they are numbered from 1."""
        return int(await self._ask("getCaseCount"))

    async def case_id(self, case: int) -> str:
        """What the report calls a case, such as ``6.4.1``."""
        return str(json.loads(await self._ask(f"getCaseInfo?case={case}"))["id"])

    async def case_status(self, case: int) -> dict[str, Any]:
        """The server's verdict on a case that has been run."""
        status: dict[str, Any] = json.loads(await self._ask(f"getCaseStatus?case={case}&agent={self._agent}"))
        return status

    async def run_case(self, case: int) -> None:
        """Echo what the server sends, until it has had enough."""
        async with await self._open(f"runCase?case={case}&agent={self._agent}") as wire:
            async for messages in _received(wire):
                for message in messages:
                    await wire.room()
                    wire.send_nowait(message.payload, message.opcode, at_once=len(messages) == 1)

    async def update_reports(self) -> None:
        """Have the report written."""
        async with await self._open(f"updateReports?agent={self._agent}") as wire:
            async for _ in _received(wire):
                pass

    async def _ask(self, resource: str) -> bytes:
        async with await self._open(resource) as wire:
            (message,) = await wire.receive()
            return message.payload

    async def _open(self, resource: str) -> AbstractAsyncContextManager[Wire]:
        stream = await connect_tcp(self._address)
        return open_wire(stream, host=self._address.authority, resource=f"/{resource}")


async def _received(wire: Wire) -> AsyncIterator[Sequence[Message]]:
    with suppress(WireClosed):
        while True:
            yield await wire.receive()


async def main(*arguments: str) -> int:
    """Run every case; the exit code says whether all of them went well."""
    url, agent = (*arguments, "bintrio")[:2]
    server = FuzzingServer(url, agent)
    behaviours: Counter[str] = Counter()
    for case in range(1, await server.case_count() + 1):
        with trio.move_on_after(60):
            with suppress(WireClosed):
                await server.run_case(case)
        status = await server.case_status(case)
        behaviour = str(status["behavior"])
        behaviours[behaviour] += 1
        if behaviour not in GOOD:
            print(f"{await server.case_id(case)}: {status}")
    await server.update_reports()
    print(", ".join(f"{count} {behaviour}" for behaviour, count in behaviours.most_common()))
    return int(any(behaviour not in GOOD for behaviour in behaviours))


if __name__ == "__main__":
    sys.exit(trio.run(main, *sys.argv[1:]))
