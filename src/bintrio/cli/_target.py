"""Where a command connects to, and as whom: the options that take the place of variables of the environment.

Secrets come from files and the environment, never from arguments, which other users of a machine can see.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import reduce, wraps
from typing import Any, Final, NamedTuple

import click

from bintrio import InvalidRequest
from bintrio.cli._completion import complete_endpoint
from bintrio.settings import VARIABLES, Settings

ENVIRONMENT: Final = (
    f"Environment: {', '.join(VARIABLES)}, each also with _FILE at its end, for the path of a file that holds it. "
    "PASSPHRASE is that of the private key; help(bintrio.settings) in Python tells of the others."
)


class Target(NamedTuple):
    """Where to, and as whom, as options say it; what is None the environment says.

    Attributes:
        endpoint: ``production``, ``testnet``, ``demo`` or a URL.
        api_key: as the exchange shows it.
        private_key: the path of a PEM file.
        hmac_secret_file: the path of a file that holds an HMAC secret; ``-`` for the standard input.
        proxy: URLs of proxies, to be passed one after the other.
    """

    endpoint: str | None
    api_key: str | None
    private_key: str | None
    hmac_secret_file: str | None
    proxy: tuple[str, ...]

    @property
    def is_named(self) -> bool:
        """Whether an option or the environment says where to."""
        return self.endpoint is not None or any(
            os.environ.get(name) for name in ("BINTRIO_ENDPOINT", "BINTRIO_ENDPOINT_FILE")
        )

    def settings(self) -> Settings:
        """Those of the environment, and options in their place.

        Raises:
            InvalidRequest: one cannot be right.
        """
        # Arguments are in the list of processes, for all to see.
        if any("@" in url for url in self.proxy):
            said = "--proxy would show its password to other users of this machine: set BINTRIO_PROXY instead"
            raise InvalidRequest(said, field="proxy")
        # A copy: the environment of this process, and of what it starts, stays as it is.
        environ, secret_file = dict(os.environ), self.hmac_secret_file
        if secret_file == "-":  # noqa: S105 - the standard input
            environ.pop("BINTRIO_HMAC_SECRET_FILE", None)
            # The line break at the end is not a part of the secret.
            environ["BINTRIO_HMAC_SECRET"] = sys.stdin.read().strip()
            secret_file = None
        for name, value in (
            ("ENDPOINT", self.endpoint),
            ("API_KEY", self.api_key),
            ("PRIVATE_KEY_FILE", self.private_key),
            ("HMAC_SECRET_FILE", secret_file),
            ("PROXY", " ".join(self.proxy) or None),
        ):
            if value is not None:
                plain = f"BINTRIO_{name.removesuffix('_FILE')}"
                # The variable and its `_FILE` exclude each other, so what the option replaces goes whole.
                environ.pop(plain, None)
                environ.pop(f"{plain}_FILE", None)
                environ[f"BINTRIO_{name}"] = value
        # One way in for options and variables, so both are checked by the same rules.
        return Settings.from_env(environ)


_OPTIONS: Final = (
    click.option(
        "--endpoint",
        metavar="production|testnet|demo|URL",
        shell_complete=complete_endpoint,
        help="Where to; testnet unless the environment says otherwise.",
    ),
    click.option("--api-key", help="As the exchange shows it."),
    click.option("--private-key", type=click.Path(), help="PEM file, Ed25519 or RSA, encrypted or not."),
    click.option(
        "--hmac-secret-file",
        type=click.Path(allow_dash=True),
        help="File that holds an HMAC secret; - for the standard input.",
    ),
    click.option(
        "--proxy",
        metavar="URL|environment",
        multiple=True,
        help="To go through; repeated for several in a row. One with a password belongs into BINTRIO_PROXY.",
    ),
)


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a `Target`, which it takes as ``target``."""

    @wraps(command)
    def targeted(**options: Any) -> None:
        target = Target(*(options.pop(name) for name in Target._fields))
        command(target=target, **options)

    # From the last to the first, as decorators that stand above each other are applied.
    return reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), targeted)
