"""Limits that the processes of a fleet share through Redis.

    async with bintrio.redis.open_limits("redis://localhost", address="203.0.113.7") as limits:
        async with bintrio.open_session(endpoint, key=key, ledger=limits.account("main")) as session:
            ...

It takes the extra ``redis``. What is said between a process and Redis, and why the limits hold, is in
`_protocol.leased_ledger`; here is the task that says it. See ``docs/how-to/shared-limits.md``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from ._client.throttle import ticks
from ._net.tasks import bare_nursery, check_trio, protected
from ._protocol.chance import chance_in_use
from ._protocol.lease import BEAT
from ._protocol.leased_ledger import SCRIPT, LeasedLedger
from ._protocol.ledger import Ledger
from ._protocol.settings import check_duration, check_fraction, check_name
from ._text import kind_of, said, shown_url
from .errors import ConnectionFailed, InvalidRequest

__all__ = ["RedisLimits", "open_limits"]

logger: Final = logging.getLogger("bintrio.limits")

Ask = Callable[[str, Sequence[str]], Awaitable[Sequence[str]]]
"""Has Redis run the script for an address or account, with a report: gives the answer, or raises what went wrong."""

ANSWER_TIMEOUT: Final = 0.5
"""Seconds for an answer of Redis. What is asked again by then does no harm if the first question arrives after all."""


class RedisLimits:
    """The limits of one address, for all processes that name it; made by `open_limits`.

    Weight, connections and bans concern the address, orders and -1015 an account, as with `bintrio.SharedLimits`.
    """

    def __init__(self, ask: Ask, address: str, share: float, nursery: trio.Nursery) -> None:
        self._ask = ask
        self._share = share
        self._nursery = nursery
        # The centre tells the processes apart by this, so each run needs a name of its own.
        self._holder = chance_in_use().octets(8).hex()
        self._parts: list[_Part] = []
        self._address = self._begin(f"address {address}", ("REQUEST_WEIGHT", "CONNECTIONS"))

    def account(self, name: str) -> Ledger:
        """The ledger for sessions of that account: the same name means the same account in every process.

        Raises:
            InvalidRequest: the name is no text of 1 to 100 printable characters.
        """
        check_name("the name of an account", name)
        return self._address.ledger.of_account(name)

    @property
    def is_away(self) -> bool:
        """Whether Redis has not answered for a second."""
        return self._address.ledger.is_away_at(ticks())

    @property
    def failure(self) -> Exception:
        """What went wrong when Redis was asked last."""
        return self._address.failure or TimeoutError("Redis did not answer in time")

    async def heard(self) -> None:
        """Wait until Redis has answered."""
        await self._address.has_answered.wait()

    async def listen(self, client: Any) -> None:
        """Report at once when another process has told Redis of a hold: the answer has it, as each answer does."""
        while True:
            try:
                async with client.pubsub(patterns=["bintrio:*:told"], ignore_subscribe_messages=True) as told:
                    async for message in told:
                        for part in self._parts:
                            part.hear(message["channel"])
            except* Exception:  # also beside our cancellation, in one group
                words = "shared limits of %s: Redis does not tell of holds, but answers may"
                name = self._address.name
                logger.debug(words, name, exc_info=True, extra={"limits": name})
            await trio.sleep(1)

    async def leave(self) -> None:
        """Give back what is left over, so that the others can use it; if Redis does not answer, they have to wait."""
        # Nobody waits long at the end of a block: what is not given back is free again after the window.
        with trio.move_on_after(ANSWER_TIMEOUT):
            for part in self._parts:
                part.ledger.give_back()
                await part.report()

    def _begin(self, name: str, types: Sequence[str]) -> _Part:
        part = _Part(self._ask, name)
        part.ledger = LeasedLedger(
            self._holder,
            part.wake,
            types=types,
            centre="the Redis that shares the limits",
            share=self._share,
            new_account=self._begin_account,
        )
        self._parts.append(part)
        self._nursery.start_soon(protected, part.run)
        return part

    def _begin_account(self, name: str) -> LeasedLedger:
        return self._begin(f"account {name}", ("ORDERS",)).ledger


class _Part:
    """An address or an account, and the task that reports on it.

    Attributes:
        name: which one it is, as logs call it.
        ledger: of it.
        has_answered: once Redis has.
        failure: what went wrong last; None after an answer.
    """

    ledger: LeasedLedger

    def __init__(self, ask: Ask, name: str) -> None:
        self.name: Final = name
        self._ask = ask
        self._root = f"bintrio:{{{name}}}"
        self._wanted = trio.Event()
        self.has_answered = trio.Event()
        self.failure: Exception | None = None

    def wake(self) -> None:
        """There is something to report before the next beat."""
        self._wanted.set()

    def hear(self, channel: str) -> None:
        """Something was told on that channel."""
        # The pattern brings what is told of every address and account.
        if channel == f"{self._root}:told":
            self.wake()

    async def run(self) -> None:
        """Report, again and again."""
        while True:
            # Before the report: what is wanted meanwhile is reported right after it.
            self._wanted = trio.Event()
            await self.report()
            with trio.move_on_after(self.ledger.pause / 1000):
                await self._wanted.wait()

    async def report(self) -> None:
        """Tell how things stand, and take what is granted."""
        try:
            with trio.fail_after(ANSWER_TIMEOUT):
                answer = await self._ask(self._root, self.ledger.report(ticks()))
            self.ledger.take(answer, ticks())
        except Exception as error:  # whatever Redis, the network or the client library may raise
            self._note(error)
            await trio.sleep(BEAT / 1000)  # calls that wait ask for more at once, and there is no use in that
        else:
            self._note(None)
            self.has_answered.set()

    def _note(self, failure: Exception | None) -> None:
        if isinstance(failure, trio.TooSlowError):  # it has no words
            failure = TimeoutError(f"nothing came within {ANSWER_TIMEOUT:g} s")
        # Once for each outage: a Redis that is away fails again with each report.
        if failure is not None and self.failure is None:
            words = "shared limits of %s: Redis does not answer: %s"
            extra = {"limits": self.name, "cause": said(failure), "error": kind_of(failure)}
            logger.warning(words, self.name, said(failure), extra=extra)
        elif failure is None and self.failure is not None:
            logger.info("shared limits of %s: Redis answers again", self.name, extra={"limits": self.name})
        self.failure = failure


@asynccontextmanager
async def open_limits(
    url: str = "redis://localhost:6379", *, address: str, share: float = 0, connect_timeout: float = 5
) -> AsyncGenerator[RedisLimits]:
    """Share the limits of an address with all processes that name it the same, through one Redis.

    Calls are charged here, in portions that a task fetches beside them; a call waits for Redis only if the last portion
    is used up.

    Args:
        url: of the Redis: ``redis://``, ``rediss://`` or ``unix://``, with a user and password if it wants them. It has
            to keep what it is given: ``maxmemory-policy noeviction``.
        address: a name for the address that the exchange sees, the same in each process behind it.
        share: what this process does while Redis is away. 0: it sends nothing. More than 0: it goes on with what it
            was granted and with that part of what is free, such as 1/8 in each of eight processes.
        connect_timeout: seconds within which Redis has to answer for the first time.

    Raises:
        InvalidRequest: an argument cannot be right, or it is not trio that runs.
        ConnectionFailed: Redis did not answer, and share is 0.
        ImportError: the extra ``redis`` is not installed.
    """
    check_trio("open_limits")
    _check_url(url)
    check_name("address", address, field="address")
    check_duration("connect_timeout", connect_timeout)
    check_fraction("share", share)
    client = _client(url)

    async def leave() -> None:
        # Redis may not have been there at all.
        if limits is not None:
            await limits.leave()

    limits: RedisLimits | None = None
    async with bare_nursery(leave) as nursery:
        # In a task of its own: what leaves the block does not pass through the client, which would wrap it.
        ask = await nursery.start(_asking, client)
        limits = RedisLimits(ask, address, share, nursery)
        nursery.start_soon(protected, limits.listen, client)
        with trio.move_on_after(connect_timeout):
            await limits.heard()
        # With a share this process may go on without Redis.
        if limits.is_away and share == 0:
            failure = limits.failure
            raise ConnectionFailed([(shown_url(url), failure)]) from failure
        yield limits


async def _asking(client: Any, *, task_status: trio.TaskStatus[Ask]) -> None:
    """Keep the client's connections open."""
    async with client:
        script = client.register_script(SCRIPT)

        async def ask(root: str, report: Sequence[str]) -> Sequence[str]:
            answer: Sequence[str] = await script(keys=[root], args=list(report))
            return answer

        task_status.started(ask)
        await trio.sleep_forever()


def _check_url(url: Any) -> None:
    """Raise `InvalidRequest` unless this is the URL of a Redis."""
    if not isinstance(url, str) or not url.startswith(("redis://", "rediss://", "unix://")):
        # It may hold a password.
        said = shown_url(url) if isinstance(url, str) else type(url).__name__
        raise InvalidRequest(f"url must be that of a Redis, redis://, rediss:// or unix://, not {said}", field="url")


def _client(url: str) -> Any:
    try:
        from coredis import Redis
        from coredis.retry import NoRetryPolicy
    except ImportError as error:
        raise ImportError("limits shared through Redis need coredis: pip install 'bintrio[redis]'") from error
    return Redis.from_url(
        url,
        decode_responses=True,
        connect_timeout=ANSWER_TIMEOUT,
        stream_timeout=ANSWER_TIMEOUT,
        retry_policy=NoRetryPolicy(),  # what is asked again is another report
    )
