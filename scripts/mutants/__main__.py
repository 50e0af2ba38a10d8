"""``python -m scripts.mutants``."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import scripts.mutants

from .bench import Bench, Job, copy_to, measured, preload, run
from .score import AIM, RESULTS, Result, Score, declared, kept, tidy
from .selection import BUDGET, uses
from .sites import ROOT, Place, Site, Source, modules, mutated, sites


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="make mutants", description=(scripts.mutants.__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--sample", type=int, default=1000, help="how many mutants (default: 1000; 0: all)")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("--module", action="append", default=[], help="only of this module, such as api.trading")
    parser.add_argument("--tests", action="append", default=[], help="only with the tests of this file")
    parser.add_argument(
        "--budget", type=float, default=BUDGET, help=f"seconds of tests for one mutant (default: {BUDGET:g})"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / ".mutants", help="where coverage is kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file in which results are kept")
    return parser.parse_args()


def sampled(sources: Mapping[str, Source], size: int, seed: int) -> Iterator[tuple[Site, Place, str]]:
    """The first so many of all sites in random order, and what each makes of its module."""
    found = {site: place for source in sources.values() for site, place in sites(source).items()}
    print(f"{len(found)} sites in {len(sources)} modules", flush=True)
    texts = (
        (site, mutated(sources[site.module], site, found[site])) for site in sorted(found, key=lambda s: s.rank(seed))
    )
    taken = 0
    for site, text in texts:
        if text is not None:
            yield site, found[site], text
            taken += 1
        if taken == size:
            return


def digest_of(tests: Sequence[str]) -> str:
    """Of all that can fail."""
    found = hashlib.sha256(repr(sorted(tests)).encode())
    for path in sorted((ROOT / "tests").rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def main() -> int:
    """Try mutants, tell of each that survives, and the score."""
    given = arguments()
    given.folder.mkdir(exist_ok=True)
    log: Path = given.results
    everything = {name: Source(name, ROOT / path) for name, path in modules().items()}
    sources = {name: source for name, source in everything.items() if not given.module or name in given.module}
    files_digest = digest_of(given.tests)
    tests_digest = f"{files_digest} {given.budget:g} s"
    known = kept(log)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary, log.open("ab") as file:
        benches = [Bench(copy_to(Path(temporary) / str(number))) for number in range(given.workers)]
        preload()
        digest = " ".join([files_digest, *(source.digest for source in everything.values())])
        coverage = measured(benches[0].copy, given.folder / "coverage.json", digest, given.tests)
        where = uses(everything.values())

        def jobs() -> Iterator[Job]:
            for site, place, text in sampled(sources, given.sample, given.seed):
                source = sources[site.module]
                if (result := known.get(site)) is not None and result.holds(source, tests_digest):
                    results.append(msgspec.structs.replace(result, line=place.line))
                else:
                    yield Job(source, site, place, text, coverage.choose(source, place.line, where, given.budget))

        for result in run(jobs(), benches, coverage, tests_digest):
            results.append(result)
            file.write(msgspec.json.encode(result) + b"\n")
            file.flush()
            print(f"{len(results):5} {result.outcome:8} {result.site.module}:{result.line} {result.test}", flush=True)
    tidy(log, everything)
    score = Score.of(results, declared())
    print(score.text())
    return 0 if score.share >= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
