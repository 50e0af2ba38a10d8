"""What came of the mutants, and what is told of it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from .sites import Site, Source

EQUIVALENTS: Final = Path(__file__).with_name("equivalents.toml")
RESULTS: Final = Path(__file__).with_name("results.jsonl")
"""What is known, by everybody: to try a thousand mutants takes hours, and most of what was found holds for long."""

AIM: Final = 0.95

Outcome = Literal["killed", "time", "survived"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one mutant."""

    site: Site
    line: int
    after: str
    outcome: Outcome
    test: str
    """The one that failed, or that was running when its time was up."""
    tests: int
    """How many there were to run."""
    source_digest: str
    tests_digest: str

    def holds(self, source: Source, tests_digest: str) -> bool:
        """Whether it need not be tried again."""
        return self.source_digest == source.digest and (self.outcome != "survived" or self.tests_digest == tests_digest)


def kept(path: Path) -> dict[Site, Result]:
    """What is known from runs before; the last word counts."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return {result.site: result for result in (msgspec.json.decode(line, type=Result) for line in lines)}


def tidy(path: Path, sources: Mapping[str, Source]) -> None:
    """Leave what holds for the sources as they are, each once, in an order in which little moves."""
    known = kept(path).values()
    lasting = [r for r in known if r.site.module in sources and r.source_digest == sources[r.site.module].digest]
    lines = sorted(msgspec.json.encode(result) + b"\n" for result in lasting)
    path.write_bytes(b"".join(lines))


class Equivalent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change that makes no difference, and why."""

    module: str
    before: str
    """The line as it is."""
    reason: str
    definition: str = ""
    after: str | None = None
    """The line as it would be; None: whatever it would be."""

    def covers(self, result: Result) -> bool:
        """Whether this is the change."""
        here = (result.site.module, result.site.definition, result.site.before)
        return (self.module, self.definition, self.before) == here and self.after in (None, result.after)


def declared(path: Path = EQUIVALENTS) -> list[Equivalent]:
    """The changes that make no difference, as far as it is known."""
    return msgspec.convert(tomllib.loads(path.read_text("utf-8")).get("equivalent", []), list[Equivalent])


class Score(NamedTuple):
    """What all results say together."""

    killed: int
    by_time: int
    equivalent: list[tuple[Result, str]]
    """With the reason."""
    survived: list[Result]

    @classmethod
    def of(cls, results: Iterable[Result], equivalents: Sequence[Equivalent]) -> Score:
        """Count them."""
        score = cls(sum(r.outcome != "survived" for r in results), sum(r.outcome == "time" for r in results), [], [])
        alive = (result for result in results if result.outcome == "survived")
        for result in sorted(alive, key=lambda result: (result.site.module, result.line)):
            reason = next((equivalent.reason for equivalent in equivalents if equivalent.covers(result)), None)
            if reason is None:
                score.survived.append(result)
            else:
                score.equivalent.append((result, reason))
        return score

    @property
    def share(self) -> float:
        """How many of those that make a difference were noticed."""
        return self.killed / (self.killed + len(self.survived) or 1)

    def text(self) -> str:
        """What is printed."""
        tried = self.killed + len(self.equivalent) + len(self.survived)
        return "".join(
            [
                *(f"\nMakes no difference: {reason}{_told(result)}" for result, reason in self.equivalent),
                *(f"\nSurvived {result.tests} tests{_told(result)}" for result in self.survived),
                f"\n{self.killed} of {tried} mutants killed, {self.by_time} of them by a time limit;",
                f" {len(self.survived)} survived, {len(self.equivalent)} make no difference.\n",
                f"Score: {self.share:.1%}, and {self.killed / (tried or 1):.1%} of all.\n",
            ]
        )


def _told(result: Result) -> str:
    site = result.site
    after = result.after.replace("\n", "\n  +  ")
    return f"\n  {site.module}:{result.line} {site.definition}, {site.operator}\n  -  {site.before}\n  +  {after}\n"
