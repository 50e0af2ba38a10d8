"""What is known of a world when it is over: what the exchange saw, what the program was told, what the client said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from ..observing import ConnectionLost, Fact, HoldBegan
from ..sandbox import Witness
from ..sandbox.server.calls import Call
from .plan import Plan
from .program import Program, number_of

F = TypeVar("F", bound=Fact)


class Remains(msgspec.Struct, kw_only=True):
    """What is there when all has come to rest, and after the session was closed.

    Attributes:
        in_flight: calls that wait for answers at rest.
        backlog: bytes that wait to be written at rest.
        unresolved: calls that are kept at rest, since it is not known what became of them, by number.
        used: by kind of limit, what is used up at rest by the client's count, and by the exchange's.
        connections: which are open after the end.
        tasks: how many more there are after the end than before the beginning.
    """

    in_flight: int = 0
    backlog: int = 0
    unresolved: Sequence[int] = ()
    used: Mapping[str, tuple[int, int]] = {}
    connections: int = 0
    tasks: int = 0


class Evidence:
    """What is known of a world when it is over.

    Args:
        plan: of the world.
        program: which was in it.
        witness: of its exchange.
        began: the exchange's time in milliseconds when trio's clock showed 0.
        secrets: what must never be shown, by name. Signatures are in what the witness saw.

    Attributes:
        facts: what the client told its observer.
        holds: those of the facts that began a hold, each with the exchange's time in milliseconds.
        refusals: each message with an error that came to the client, and the exchange's time in milliseconds.
        logged: errors that were logged.
        lines: all that the client logged.
        partings: what was untrue of how connections were left, in sentences: see `doorway`.
        remains: what was left over.
        open_charges: that were left over in the ledger at the end.
    """

    def __init__(
        self,
        plan: Plan,
        program: Program,
        witness: Witness,
        *,
        began: float = 0.0,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self.plan: Final = plan
        self.program: Final = program
        self.witness: Final = witness
        self.began: Final = began
        self.secrets: Final = secrets or {}
        self.facts: Final[list[Fact]] = []
        self.holds: Final[list[tuple[int, HoldBegan]]] = []
        self.refusals: Final[list[tuple[int, str]]] = []
        self.logged: Final[list[str]] = []
        self.lines: Final[list[str]] = []
        self.partings: Final[list[str]] = []
        self.remains = Remains()
        self.open_charges = 0

    def arrivals(self) -> Mapping[int, Sequence[Call]]:
        """What reached the exchange of each of the program's calls, by their numbers."""
        found: defaultdict[int, list[Call]] = defaultdict(list)
        for call in self.witness.calls:
            number = number_of(call.incoming.params.get("recvWindow"), self.plan.terms.window)
            if number > 0:
                found[number].append(call)
        return found

    def told(self, kind: type[F]) -> Iterator[F]:
        """The facts of a kind."""
        return (fact for fact in self.facts if isinstance(fact, kind))

    @property
    def losses(self) -> Sequence[str]:
        """Why connections were lost, each."""
        return [fact.cause for fact in self.told(ConnectionLost)]

    @property
    def said(self) -> str:
        """All that the client let be seen: facts, lines of logs, and errors with their causes."""
        program = self.program
        errors = [deed.error for deed in program.deeds.values()]
        errors += [confirmed.error for confirmed in program.confirmed]
        shown = [text for error in (*errors, *program.unknown.values()) for text in _shown(error)]
        facts = msgspec.json.encode(self.facts).decode()
        return "\n".join([facts, *self.lines, *program.failed, *shown])


def _shown(error: BaseException | None) -> Iterator[str]:
    """What a traceback shows of an error: its words, and those of what caused it."""
    while error is not None:
        yield f"{error!r} {error}"
        # As Python prints it: the cause hides the context.
        error = error.__cause__ or error.__context__
