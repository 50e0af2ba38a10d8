"""A world from its beginning to its end: the exchange, the program, what strikes them, and what was true of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import Final

import msgspec
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from .. import observing as facts
from .._net.scheduling import scheduled
from .._protocol.chance import seeded, using
from .._protocol.rate_limits import LocalLedger
from .._protocol.signing import Key
from ..api._values import RateLimit
from ..observing import Fact, HoldBegan, MessageReceived
from ..opening import open_session
from ..sandbox import Disconnect, Link, RandomWalk, Sandbox, SandboxAccount, Together, open_sandbox, trader
from ..sandbox.weather import Blow, Fail
from .books import Books
from .doorway import Doorway
from .evidence import Evidence, Remains
from .keys import RSA_PEM, rsa_account, rsa_key
from .plan import Ask, Plan, Terms
from .program import Program
from .truth import untruths

FAREWELL: Final = 5.0
"""Seconds that both sides have for closing."""

REST: Final = 300.0
"""Seconds after which everything that was lost has been found out: a silent connection is given up after a minute, and
the longest hold that is drawn takes a minute and a half."""

SILENCE: Final = 150.0
"""Seconds before the last loss in which mostly nothing comes but pings and their answers: how far back the gap of that
loss leads tells whether they count as having heard of the exchange."""

LAST: Final = 20.0
"""Seconds from the last call to the end: a ledger keeps a charge that nobody settles for a minute."""

FACTS: Final = {kind for kind in vars(facts).values() if isinstance(kind, type) and issubclass(kind, Fact)}
"""Every kind of fact that there is."""

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
        faults: that struck a request or a handshake, by kind; of some together each counts, too.
        blows: that were played, by kind, whether anything met them or not; for a fault that is to strike, its kind.
    """

    plan: Plan
    untruths: list[str]
    seconds: float
    calls: int
    orders: int
    events: int
    faults: Counter[str]
    blows: Counter[str]


def run(plan: Plan) -> Report:
    """Live through a world, in virtual time. The same plan gives the same, byte for byte."""
    # Both the order of tasks and the client's own chance, else the same plan would run in another way each time.
    with scheduled(plan.seed), using(seeded(plan.seed)):
        return trio.run(_live, plan, clock=MockClock(autojump_threshold=0))


async def _live(plan: Plan) -> Report:
    terms = plan.terms
    # trio has tasks of its own.
    before = trio.lowlevel.current_statistics().tasks_living
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
        witness, ledger, doorway = sandbox.witness(time_unit=terms.time_unit), LocalLedger(), Doorway(sandbox)
        opening = partial(
            open_session,
            sandbox.endpoint,
            connect=doorway.connect,
            key=key_of(terms, account),
            time_unit=terms.time_unit,
            request_timeout=terms.request_timeout,
            connect_timeout=terms.connect_timeout,
            drain_timeout=terms.drain_timeout,
            lifetime=terms.lifetime,
            # One for all sessions of the program: a session that is opened again keeps to what the one before used up.
            ledger=ledger,
        )
        # The observer is bound late: it needs the evidence, which needs the program.
        books = Books(witness, sandbox.balances() if terms.has_account else None)
        program = Program(lambda: opening(observer=observer), sandbox, witness, terms, books)
        began = sandbox.now() - trio.current_time() * 1000
        evidence = Evidence(plan, program, witness, began=began, secrets=secrets_of(account))
        observer = observing(evidence, sandbox)
        with logged(evidence.logged, evidence.lines):
            evidence.remains = await _play(plan, sandbox, program)
            evidence.open_charges = ledger.open_charges
        await trio.sleep(FAREWELL)
        # Half-open connections are noticed only after some time.
        evidence.remains.connections = sandbox.connections
        evidence.partings.extend(doorway.untrue)
    # Those of the sandbox have ended by now, also where it was half-open.
    evidence.remains.tasks = trio.lowlevel.current_statistics().tasks_living - before
    return report(evidence, sandbox)


async def _play(plan: Plan, sandbox: Sandbox, program: Program) -> Remains:
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
        # A pong may be on its way out at this very moment.
        await wait_all_tasks_blocked()
        remains = remains_of(program, sandbox)
        # One last call goes down with its connection, so that what was charged for both has to be settled.
        if not plan.is_calm:
            await trio.sleep(SILENCE)
            sandbox.inject(Disconnect(method="ping", executed=True))
            await program.do(Ask())
            await trio.sleep(LAST)
        program.leave()
    return remains


def remains_of(program: Program, sandbox: Sandbox) -> Remains:
    """What is there when all has come to rest."""
    session = program.session
    if session is None or session.connection is None:
        return Remains()
    ours = [limit for limit in (session.request_weight, *session.order_counts) if limit is not None]
    theirs = {_name_of(budget.limit): budget.limit.count or 0 for budget in sandbox.budgets}
    return Remains(
        in_flight=session.connection.in_flight,
        backlog=session.connection.backlog,
        unresolved=program.unresolved,
        used={_name_of(limit): (limit.count or 0, theirs.get(_name_of(limit), 0)) for limit in ours},
    )


def _name_of(limit: RateLimit) -> str:
    return f"{limit.rate_limit_type} of {limit.interval_num} {limit.interval}"


def secrets_of(account: SandboxAccount) -> dict[str, str]:
    """What must never be shown of an account's keys, by name."""
    keys = {credential.api_key for credential in account.credentials()}
    secrets = {f"API key that begins with {key[:6]}": key for key in keys}
    secrets["secret of the HMAC key"] = account.hmac_secret()
    secrets["private Ed25519 key"] = account.ed25519_pem().decode().splitlines()[1]
    secrets["private RSA key"] = RSA_PEM.splitlines()[1]
    return secrets


def key_of(terms: Terms, account: SandboxAccount) -> Key:
    """The key with which the program signs."""
    return {"ed25519": account.key, "hmac": account.hmac_key, "rsa": rsa_key()}[terms.key]


def observing(evidence: Evidence, sandbox: Sandbox) -> Callable[[Fact], None]:
    """An observer that keeps what tells whether the client kept its promises."""

    def observe(fact: Fact) -> None:
        evidence.facts.append(fact)
        if isinstance(fact, HoldBegan):
            evidence.holds.append((sandbox.now(), fact))
        # Only refusals can bring a hold; the text is read later, for these alone.
        elif isinstance(fact, MessageReceived) and '"status":4' in fact.text:
            evidence.refusals.append((sandbox.now(), fact.text))

    # Of all kinds, messages too: nothing that an observer can be told has a secret in it.
    observe.fact_kinds = FACTS  # type: ignore[attr-defined]
    return observe


class _Ears(logging.Handler):
    def __init__(self, failures: list[str], lines: list[str]) -> None:
        super().__init__()
        self.failures = failures
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            self.failures.append(record.getMessage())
        # The sandbox's own lines are not the client's.
        if not record.name.startswith("bintrio.sandbox"):
            self.lines.append(record.getMessage())


@contextmanager
def logged(failures: list[str], lines: list[str]) -> Generator[None]:
    """Keep what is logged, whatever its level: errors of client and sandbox, and every line of the client."""
    ears, logger = _Ears(failures, lines), logging.getLogger("bintrio")
    level, propagates = logger.level, logger.propagate
    logger.addHandler(ears)
    # Nobody else asked for so many lines.
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = propagates
        logger.setLevel(level)
        logger.removeHandler(ears)


def report(evidence: Evidence, sandbox: Sandbox) -> Report:
    """How the world went."""
    witness, program = evidence.witness, evidence.program
    struck = [call.fault for call in witness.calls], [attempt.fault for attempt in witness.attempts]
    return Report(
        plan=evidence.plan,
        untruths=untruths(evidence),
        seconds=trio.current_time(),
        calls=len(program.deeds),
        orders=len(sandbox.orders),
        events=len(witness.events),
        faults=Counter(kind for fault in chain(*struck) if fault is not None for kind in _kinds_of(fault)),
        blows=Counter(kind for blow in _played(evidence.plan) for kind in _kinds_of(blow)),
    )


def _played(plan: Plan) -> Iterator[msgspec.Struct]:
    """The blows of a world; instead of one that has a fault strike, the fault."""
    for act in (step.act for step in plan.steps):
        if isinstance(act, Blow):
            yield act.fault if isinstance(act, Fail) else act


def _kinds_of(what: msgspec.Struct) -> Iterator[str]:
    """What a blow or a fault is called, and the parts of it."""
    yield type(what).__name__
    for part in what.faults if isinstance(what, Together) else ():
        yield from _kinds_of(part)
