"""A storm over a sandbox: blows that follow from a seed, what they struck, and what came twice."""

from __future__ import annotations

import inspect
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import msgspec
import trio

from bintrio.api._base import catalogue, wire_name

from .exchange.refusals import Refusal
from .running import Sandbox
from .server.calls import Call
from .server.links import Link
from .weather import AnyBlow, Fail, draw_blow

PAUSES: Final = (0.001, 0.3, 1.0, 3.0, 10.0, 30.0, 120.0)
"""Seconds between two blows."""

_Line: TypeAlias = tuple[float, str]


class Storm:
    """What strikes a sandbox, by a seed, for as long as it runs or until `end`.

    Args:
        seed: decides which blows, and when.
        sandbox: whom they strike.

    Attributes:
        seed: the same.
        blows: those that struck, each with the seconds since the storm began.
    """

    def __init__(self, seed: int, sandbox: Sandbox) -> None:
        self.seed: Final = seed
        self.blows: Final[list[tuple[float, AnyBlow]]] = []
        self._sandbox = sandbox
        self._dice = random.Random(f"storm {seed}")
        self._began = trio.current_time()
        self._began_ms = sandbox.now()
        # From the start, so that nothing that came is left out of the story.
        self._witness = sandbox.witness()
        self._raging = trio.CancelScope()

    async def rage(self) -> None:
        """Strike, and pause, until the end."""
        with self._raging:
            while True:
                await trio.sleep(self._dice.choice(PAUSES))
                blow = draw_blow(self._dice)
                self.blows.append((trio.current_time() - self._began, blow))
                with suppress(Refusal):  # a symbol or asset of the usual ones may not be traded here
                    blow.strike(self._sandbox)

    def end(self) -> None:
        """Nothing goes wrong any more, and nothing that waited does: for a test that looks at how things stand then."""
        self._raging.cancel()
        # Also what waits: else it would strike the calls by which a test looks.
        self._sandbox.clear_faults()
        self._sandbox.link = Link()
        self._sandbox.query_lag = 0

    def doubled(self) -> Sequence[str]:
        """The client order ids under which new orders came more than once, whoever sent them.

        A program that uses an id again once its order is closed is named here as well.
        """
        seen = Counter(name for call in self._witness.calls for name in _ids(call))
        return [name for name, count in seen.items() if count > 1]

    def story(self) -> Sequence[str]:
        """What happened, a line for each blow, each call that one struck, and each that trades, in order of time."""
        # By time alone: sorting is stable, so a blow stands before a call of the same moment.
        told = sorted([*self._told_blows(), *self._told_calls()], key=lambda line: line[0])
        return [f"storm {self.seed}", *(f"{seconds:9.3f} s  {words}" for seconds, words in told)]

    def _told_blows(self) -> Iterator[_Line]:
        for seconds, blow in self.blows:
            yield seconds, _said(blow.fault if isinstance(blow, Fail) else blow)

    def _told_calls(self) -> Iterator[_Line]:
        for call in self._witness.calls:
            if call.fault is not None or _trades(call.incoming.method):
                # The witness has microseconds, `Sandbox.now` milliseconds.
                yield call.time / 1_000_000 - self._began_ms / 1_000, _told(call)


def _ids(call: Call) -> Iterator[str]:
    request = catalogue.get(call.incoming.method)
    places = request is not None and request.api.orders
    names = map(wire_name, request.api.client_ids) if request is not None and places else ()
    yield from (str(call.incoming.params[name]) for name in names if name in call.incoming.params)


def _trades(method: str) -> bool:
    return method in catalogue and not catalogue[method].api.repeatable


def _told(call: Call) -> str:
    """What became of a call: who it is, what struck it, what was done and what was said."""
    ids = ", ".join(_ids(call))
    named = f"{call.incoming.method} {ids}".rstrip()
    struck = "" if call.fault is None else f", struck by {type(call.fault).__name__}"
    # Apart from the answer: what was done may be left unsaid, and what is said need not have been done.
    done = "not executed" if call.outcome is None else f"executed: {call.outcome.status}"
    said = "no answer" if call.answer is None else f"answer: {call.answer.status}"
    return f"  {named} on connection {call.connection}{struck}; {done}; {said}"


def _said(act: msgspec.Struct) -> str:
    """What an act is: the first line of its documentation, and its values."""
    words, _, _ = (inspect.getdoc(type(act)) or "").partition("\n")
    return f"{words} {act!r}"
