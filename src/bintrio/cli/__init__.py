"""The command line: a module for each command.

Every parameter's name and kind comes from its declaration, so nothing here knows a method by name. Two things do: the
demo, which tells a story, and what trades where `watch` has a sandbox of its own.

Needs the extra ``bintrio[cli]``.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Final

from bintrio import __version__

try:
    import click

    from bintrio.cli import call, demo, history, latency, methods, sandbox, watch
# The base package has no click: who installed only that is told what to install.
except ModuleNotFoundError as missing:
    print(f"bintrio: the command line needs {missing.name}: pip install 'bintrio[cli]'", file=sys.stderr)
    raise SystemExit(2) from None


class _OfSettings(logging.Handler):
    """Tells of variables of the environment that are none of ours. It has to be seen that a setting does not count."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is of the settings."""
        return record.module == "settings"

    def emit(self, record: logging.LogRecord) -> None:
        """Write it where errors go."""
        click.echo(record.getMessage(), err=True)


_SETTINGS: Final = _OfSettings()  # one for the process, since a logger takes each handler once


@click.version_option(__version__, prog_name="bintrio")
@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 something failed in the demo; 2 bad input, nothing was sent; 3 the exchange refused; "
    "4 not sent, or no connection; 5 sent, outcome unknown; 6 the exchange broke the format; 7 done, but its result "
    "could not be written; 130 interrupted.",
)
def main() -> None:
    """Binance's Spot WebSocket API from the command line, and a sandbox exchange that speaks it."""
    # What went wrong is told once, by the exit and its line on stderr.
    logging.getLogger("bintrio").addHandler(_SETTINGS)
    for stream in (sys.stdout, sys.stderr):
        # What a terminal has no character for must not end in an error after the call was made.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


main.add_command(call.call)
main.add_command(history.history)
main.add_command(latency.latency)
main.add_command(methods.methods)
main.add_command(sandbox.sandbox)
main.add_command(demo.demo)
main.add_command(watch.watch)
