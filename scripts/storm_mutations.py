"""Mistakes put back into the client, and after how many worlds the storm finds each: ``make soak-mutations``.

They stand in ``storm_mutations.toml``. For each, the package is copied and changed, and it lives through worlds
until something is untrue that is true in the same world without the change. ``SEEDS=500`` worlds are tried at most,
from ``FROM=0`` on; of one mistake alone with ``MISTAKE=5``, counted from 1 on. A mistake that is not found means that a
fault, or a check, is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from scripts.soak import live

ROOT: Final = Path(__file__).parent.parent
SOURCE: Final = ROOT / "src" / "bintrio"


class Mutation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mistake.

    Attributes:
        name: in words.
        file: below the package.
        old: what stands there once.
        new: what takes its place.
    """

    name: str
    file: str
    old: str
    new: str

    def made(self, text: str) -> str:
        """The text of the file with the mistake in it.

        Raises:
            ValueError: what is to be changed does not stand there once.
        """
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} does not have once what is to be changed: {self.name}")
        return text.replace(self.old, self.new)


class Found(msgspec.Struct):
    """What gave a mistake away.

    Attributes:
        seed: of the world.
        untruth: the first that was said of it.
    """

    seed: int
    untruth: str


def mutations() -> Sequence[Mutation]:
    """All of them."""
    declared = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return msgspec.convert(declared["mutation"], list[Mutation])


def search(mutation: Mutation, seeds: range) -> Found | None:
    """Live through worlds with a mistake until one gives it away; None if none does."""
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        copy = Path(folder) / "bintrio"
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        path = copy / mutation.file
        path.write_text(mutation.made(path.read_text("utf-8")), "utf-8")
        for found in _untrue(Path(folder), seeds):
            # A world may have an untruth of its own.
            if next(_untrue(SOURCE.parent, range(found.seed, found.seed + 1)), None) is None:
                return found
    return None


def _untrue(folder: Path, seeds: range) -> Iterator[Found]:
    """The worlds of those in which something is untrue, as they are found, by the package in a folder."""
    command = [sys.executable, "-m", "scripts.storm_mutations", str(seeds.start), str(seeds.stop)]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout is not None
        try:
            yield from (msgspec.json.decode(line, type=Found) for line in living.stdout)
        finally:
            living.terminate()


def tell_untrue(seeds: range) -> None:
    """In a process of its own: print each world in which something is untrue."""
    for result in map(live, seeds):
        if result.untruths:
            print(msgspec.json.encode(Found(result.seed, result.untruths[0])).decode(), flush=True)


def said(mutation: Mutation, seeds: range, found: Found | None) -> str:
    """In a line."""
    if found is None:
        return f"NOT FOUND in {len(seeds)} worlds: {mutation.name}"
    return f"found after {found.seed - seeds.start + 1} worlds: {mutation.name}\n    {found.untruth.splitlines()[-1]}"


def main(seeds: range, number: int | None = None) -> int:
    """Put each back, or the one of that number. Returns the exit code: whether all were found."""
    everything = mutations() if number is None else [mutations()[number - 1]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(partial(search, seeds=seeds), everything))
    for mutation, found in zip(everything, results, strict=True):
        print(said(mutation, seeds, found))
    return 0 if all(results) else 1


if __name__ == "__main__":
    if sys.argv[1:]:
        tell_untrue(range(int(sys.argv[1]), int(sys.argv[2])))
    else:
        start = int(os.environ.get("FROM", "0"))
        only = os.environ.get("MISTAKE")
        sys.exit(main(range(start, start + int(os.environ.get("SEEDS", "500"))), int(only) if only else None))
