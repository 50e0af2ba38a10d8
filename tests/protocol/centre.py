"""The centre of shared limits without a Redis: the script itself, run by Lua on a store in memory, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

from bintrio._protocol.leased_ledger import SCRIPT

Lua: Final[Any] = import_module("lupa.lua51").LuaRuntime  # it has no types


class Centre:
    """What Redis does for the script, with the few commands that it uses.

    Args:
        clock: milliseconds of the server.

    Attributes:
        run: a name of this run of the server.
        published: what was published.
        hashes: what it keeps, by key.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.run = "r1"
        self.published: list[tuple[str, str]] = []
        self._texts: dict[str, str] = {}
        self.hashes: dict[str, dict[str, str]] = {}
        self._ends: dict[str, int] = {}
        self._lua = Lua(unpack_returned_tuples=True)
        self._table: Callable[[Any], Any] = self._lua.table_from
        script = f"return function(redis, KEYS, ARGV)\n{SCRIPT}\nend"
        self._script: Callable[..., Any] = self._lua.execute(script)
        self._redis = self._table({"call": self._call})

    def restart(self, *, keeps: bool = False) -> None:
        """As if the server was started anew, with its keys or without."""
        self.run = f"r{int(self.run[1:]) + 1}"
        if not keeps:
            self.flush()

    def flush(self) -> None:
        """Lose all keys."""
        self._texts.clear()
        self.hashes.clear()
        self._ends.clear()

    def ask(self, root: str, report: Sequence[str]) -> list[str]:
        """The answer to a report."""
        answer = self._script(self._redis, self._table([root]), self._table(list(report)))
        return [str(part) for part in answer.values()]

    def _call(self, command: str, *arguments: Any) -> Any:
        now = self._clock()
        for key in [key for key, end in self._ends.items() if end <= now]:
            self._texts.pop(key, None)
            self.hashes.pop(key, None)
            del self._ends[key]
        return getattr(self, f"_{command.lower()}")(*map(str, arguments))

    def _time(self) -> Any:
        now = self._clock()
        return self._table([str(now // 1000), str(now % 1000 * 1000)])

    def _info(self, _section: str) -> str:
        return f"# Server\r\nrun_id:{self.run}\r\ntcp_port:0\r\n"

    def _get(self, key: str) -> str | bool:
        return self._texts.get(key, False)

    def _set(self, key: str, value: str, _px: str, milliseconds: str) -> None:
        self._texts[key] = value
        self._ends[key] = self._clock() + int(milliseconds)

    def _hget(self, key: str, field: str) -> str | bool:
        return self.hashes.get(key, {}).get(field, False)

    def _hset(self, key: str, *pairs: str) -> None:
        self.hashes.setdefault(key, {}).update(zip(pairs[::2], pairs[1::2], strict=True))

    def _hdel(self, key: str, field: str) -> None:
        self.hashes[key].pop(field)

    def _hgetall(self, key: str) -> Any:
        return self._table([part for pair in self.hashes.get(key, {}).items() for part in pair])

    def _pexpire(self, key: str, milliseconds: str) -> None:
        if key in self.hashes:
            self._ends[key] = self._clock() + int(milliseconds)

    def _publish(self, channel: str, message: str) -> None:
        self.published.append((channel, message))
