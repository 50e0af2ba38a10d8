"""A world from its beginning to its end: the exchange, the program, what strikes them, and what was true of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Final

import msgspec
import trio
from trio.testing import MockClock

from .._net.scheduling import scheduled
from .._protocol.chance import seeded, using
from .._protocol.rate_limits import LocalLedger
from .._protocol.signing import Key
from ..observing import ConnectionLost, Fact, MessageReceived, MessageSent
from ..opening import open_session
from ..sandbox import Link, RandomWalk, Sandbox, SandboxAccount, open_sandbox, trader
from ..sandbox.weather import Blow
from .books import Books
from .keys import rsa_account, rsa_key
from .plan import Plan, Terms
from .program import Program
from .truth import Evidence, untruths

REST: Final = 600.0
"""Seconds after which everything that was lost has been found out."""

QUOTES: Final = {"BTCUSDT": Decimal(100), "ETHUSDT": Decimal(100)}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a world went.

    Attributes:
        plan: of it.
        untruths: what was untrue, in sentences.
        seconds: that it lasted.
        calls: that the program made.
        orders: that it placed.
        events: that the account had.
        faults: that struck, by kind.
        story: what happened, line by line.
    """

    plan: Plan
    untruths: list[str]
    seconds: float
    calls: int
    orders: int
    events: int
    faults: Counter[str]
    story: list[str]


def run(plan: Plan) -> Report:
    """Live through a world, in virtual time. The same plan gives the same, byte for byte."""
    # Both the order of tasks and the client's own chance, else the same plan would run in another way each time.
    with scheduled(plan.seed), using(seeded(plan.seed)):
        return trio.run(_live, plan, clock=MockClock(autojump_threshold=0))


async def _live(plan: Plan) -> Report:
    terms = plan.terms
    account = rsa_account(trader()) if terms.key == "rsa" else trader()  # reading that key takes long
    async with open_sandbox(
        listen=False,
        accounts=[account],
        market=None if terms.walk is None else RandomWalk(plan.seed, depth=1, interval=terms.walk, prices=QUOTES),
        limits=terms.limits,
        ping_interval=terms.ping_interval,
        lifetime=terms.lifetime,
        query_lag=terms.query_lag,
        link=terms.link,
    ) as sandbox:
        witness = sandbox.witness(time_unit=terms.time_unit)
        opening = partial(
            open_session,
            sandbox.endpoint,
            connect=sandbox.connect,
            key=key_of(terms, account),
            time_unit=terms.time_unit,
            request_timeout=terms.request_timeout,
            connect_timeout=terms.connect_timeout,
            drain_timeout=terms.drain_timeout,
            lifetime=terms.lifetime,
            # One for all sessions of the program: a session that is opened again keeps to what the one before used up.
            ledger=LocalLedger(),
        )
        # The observer is bound late: it needs the evidence, which needs the program.
        books = Books(witness, sandbox.balances() if terms.has_account else None)
        program = Program(
            lambda: opening(observer=observer), sandbox, witness, terms.window, terms.request_timeout, books
        )
        evidence = Evidence(plan, program, witness)
        observer = observing(evidence, sandbox)
        with logged(evidence.logged):
            await _play(plan, sandbox, program)
        return report(evidence, sandbox)


async def _play(plan: Plan, sandbox: Sandbox, program: Program) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(program.live)
        await program.is_open.wait()
        # The steps end before the rest begins, so that nothing is done any more when all is asked about.
        async with trio.open_nursery() as acts:
            for step in plan.steps:
                await trio.sleep(step.pause)
                if isinstance(step.act, Blow):
                    step.act.strike(sandbox)
                else:
                    acts.start_soon(program.do, step.act)
        # From here on nothing goes wrong, so every outcome must become known.
        sandbox.clear_faults()
        sandbox.link = Link()
        await trio.sleep(REST)
        # What the exchange has said to wait for may be longer, and until then nothing can be asked.
        while program.is_held:  # noqa: ASYNC110  # in virtual time, looking costs nothing
            await trio.sleep(REST)
        await program.come_to_rest()
        program.leave()


def key_of(terms: Terms, account: SandboxAccount) -> Key:
    """The key with which the program signs."""
    return {"ed25519": account.key, "hmac": account.hmac_key, "rsa": rsa_key()}[terms.key]


def observing(evidence: Evidence, sandbox: Sandbox) -> Callable[[Fact], None]:
    """An observer that keeps what tells whether the client kept its promises."""

    def observe(fact: Fact) -> None:
        if isinstance(fact, ConnectionLost):
            evidence.losses.append(fact.cause)
        elif isinstance(fact, MessageSent):
            evidence.said.append(fact.text)
        # Only refusals can bring a hold; the text is read later, for these alone.
        elif isinstance(fact, MessageReceived) and '"status":4' in fact.text:
            evidence.refusals.append((sandbox.now(), fact.text))

    # Of the other facts there are many, and nobody asks for them.
    observe.fact_kinds = {ConnectionLost, MessageSent, MessageReceived}  # type: ignore[attr-defined]
    return observe


class _Ears(logging.Handler):
    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@contextmanager
def logged(heard: list[str]) -> Generator[None]:
    """Keep errors that are logged."""
    ears, logger = _Ears(heard), logging.getLogger("bintrio")
    logger.addHandler(ears)
    try:
        yield
    finally:
        logger.removeHandler(ears)


def report(evidence: Evidence, sandbox: Sandbox) -> Report:
    """How the world went."""
    witness, program = evidence.witness, evidence.program
    return Report(
        plan=evidence.plan,
        untruths=untruths(evidence),
        seconds=trio.current_time(),
        calls=len(program.deeds),
        orders=len(sandbox.orders),
        events=len(witness.events),
        faults=Counter(type(call.fault).__name__ for call in witness.calls if call.fault is not None),
        story=[],
    )
