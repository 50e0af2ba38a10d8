"""Running a command: the package that it needs, and the exit code that says how it ended."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NoReturn

import click
import trio

from bintrio import BintrioError, ConnectionFailed, InvalidRequest, NotSent, OutcomeUnknown, ProtocolViolation, Rejected
from bintrio._text import in_a_line, leaves

INTERRUPTED: Final = 130  # as shells have it: 128 and the number of SIGINT
UNWRITTEN: Final = 7
"""The call was made, and its result could not be written."""

EXIT_CODES: Final[dict[type[BaseException], int]] = {
    KeyboardInterrupt: INTERRUPTED,
    InvalidRequest: 2,
    Rejected: 3,
    NotSent: 4,
    ConnectionFailed: 4,
    OutcomeUnknown: 5,
    ProtocolViolation: 6,
    BrokenPipeError: UNWRITTEN,
    OSError: 2,
}
"""How a command ends, by what ended it: the first class that fits.

A broken pipe is that of the output; another `OSError` is a port that cannot be had, or a file that cannot be written.
"""


def need(package: str, extra: str) -> None:
    """Refuse a command whose optional package is not installed."""
    # Looked for and not imported: importing it takes a moment, and the command may not get that far.
    if importlib.util.find_spec(package) is None:
        raise click.UsageError(f"this needs {package}: pip install 'bintrio[{extra}]'")


def run(function: Callable[[], Awaitable[int]]) -> NoReturn:
    """Run to the end, and exit with the code that says how it ended."""
    try:
        sys.exit(trio.run(function))
    except (BintrioError, OSError, KeyboardInterrupt, BaseExceptionGroup) as error:
        # A nursery wraps the errors of its tasks into a group.
        errors = list(leaves(error))
        codes = [_exit_code(each) for each in errors]
        # Ctrl-C may come together with errors that it has caused.
        if INTERRUPTED in codes:
            sys.exit(INTERRUPTED)
        if None in codes:
            raise  # a bug of ours: let it be seen whole
        if codes[0] == UNWRITTEN:
            leave_stdout()  # whoever reads has read enough, and needs no explanation
        else:
            click.echo(in_a_line(errors[0]), err=True)
        sys.exit(codes[0])


def leave_stdout() -> None:
    """Write nothing more there, else Python tries again at its end, and complains."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit_code(error: BaseException) -> int | None:
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), None)
