"""The exchange of a recording: connections that answer calls and bring events as recorded ones did."""

from __future__ import annotations

from collections import Counter
from typing import Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from bintrio._net.tasks import protected
from bintrio.endpoints import Address

from ..exchange.script import Answer, Event, Script, no_answer, request_of
from .memory import memory_stream_pair

PING_INTERVAL: Final = 20.0

_BROKEN: Final = (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError)


class RecordedExchange:
    """An exchange that does what a recording says. Made by `open_recording`.

    Attributes:
        unanswered: how often methods were called to which the recording has no answer: those calls are refused.
    """

    def __init__(self, scripts: list[Script], nursery: trio.Nursery) -> None:
        self.unanswered: Final[Counter[str]] = Counter()
        self._scripts = scripts
        self._nursery = nursery

    async def connect(self, _address: Address) -> trio.abc.Stream:
        """Open a stream to the next of the recorded connections: ``open_session(..., connect=...)``.

        Raises:
            ConnectionRefusedError: there is none any more.
        """
        await trio.lowlevel.checkpoint()
        if not self._scripts:
            raise ConnectionRefusedError("the recording has no other connection")
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(protected, _Connection(self, self._scripts.pop(0), theirs).serve)
        return ours


class _Connection:
    """One of them. Events come as long after the answer before them as they did."""

    def __init__(self, exchange: RecordedExchange, script: Script, stream: trio.abc.Stream) -> None:
        self._exchange = exchange
        self._script = script
        self._stream = stream
        self._answered = [trio.Event() for _ in range(script.answers)]
        self._times: dict[int | None, float] = {}

    async def serve(self) -> None:
        """Until either side ends it."""
        try:
            async with trio.open_nursery() as nursery:
                request = await wrap_server_stream(nursery, self._stream)
                websocket = await request.accept()
                self._times[None] = trio.current_time()
                nursery.start_soon(self._ping, websocket)
                nursery.start_soon(self._bring, websocket)
                while True:
                    # A task for each, since their delays may overlap as they did.
                    nursery.start_soon(self._answer, websocket, await websocket.get_message())
        except* _BROKEN:
            pass  # the session has gone
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _ping(self, websocket: WebSocketConnection) -> None:
        while True:
            await trio.sleep(PING_INTERVAL)
            await websocket.ping()

    async def _answer(self, websocket: WebSocketConnection, message: str | bytes) -> None:
        request_id, method = request_of(message)
        answer = self._script.answer(method)
        # Refused, not left without an answer: whoever replays wants to know at once.
        if answer is None:
            self._exchange.unanswered[method] += 1
            await websocket.send_message(no_answer(request_id, method))
            return
        await trio.sleep(answer.delay)
        await websocket.send_message(answer.to(request_id))
        self._note(answer)

    def _note(self, answer: Answer) -> None:
        self._times[answer.number] = trio.current_time()
        self._answered[answer.number].set()

    async def _bring(self, websocket: WebSocketConnection) -> None:
        for event in self._script.events:
            await self._wait_for(event)
            await websocket.send_message(event.text)

    async def _wait_for(self, event: Event) -> None:
        # It came after an answer, so it waits for that one, however late it is this time.
        if event.after is not None:
            await self._answered[event.after].wait()
        await trio.sleep_until(self._times[event.after] + event.delay)
