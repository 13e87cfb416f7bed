"""The stage of a drill: a workspace of its own, a real control process on it, a producer of log lines, and the story's clock.

Everything but the customers and the clock is real: lines land in the landing folder, the heartbeat of `jobs.tick` stores, judges, verifies
and tells, the flag server answers probes over HTTP, and each conversation asks the flag for its arm.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from sqlalchemy.exc import DatabaseError

from controlplane.core.assignment import Exposure, Unit
from controlplane.core.model import Arm
from controlplane.core.policy import Policy, parse
from controlplane.settings import Settings, load, shipped_policy
from controlplane.simulation.incidents import APPROVER, AUTHOR, Incident
from controlplane.simulation.lines import Behaviour, LogLines, severe_misrouting
from controlplane.store.flags import FlagReader
from controlplane.store.landing import LandingWriter
from controlplane.store.queries import load as load_sql
from jobs import actions, evaluate, governing, ingest, notify, tick, verify
from jobs.control import Control, control_process
from jobs.deps import Deps

BEGIN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)  # a Monday; fixed, so that a drill gives the same times
SOURCE = "drill"
RELEASE, ARTEFACTS = "v1", {"model": "drill-model", "prompt": "drill-prompt"}
ANY_PORT = 0
CLIENT_POLL = timedelta(
    seconds=4
)  # clients re-read the flag within the policy's limit of 5 s: some are served the old arm behind a cut
REVIEWER = "human:Rita (simulated reviewer)"
SETTINGS: dict[
    str, str
] = {}  # a drill is not led by the surroundings: no Slack, no PostgreSQL, no policy of somebody's


class Stage:
    """One drill under way. Times are minutes since `BEGIN`."""

    def __init__(self, incident: Incident, settings: Settings, told: TextIO, landing: LandingWriter) -> None:
        self.incident, self.settings, self._told, self._landing = incident, settings, told, landing
        self.policy = policy_of(incident)
        self.now = BEGIN
        self.control: Control
        self._processes = ExitStack()
        self._silent_until: datetime | None = None
        self._copies: dict[float, Path] = {}
        self._fails_until: datetime | None = None
        self.failed_beats = 0
        self.problems: list[str] = []
        self.restarts = False
        self.lines = LogLines(incident.seed, BEGIN, incident.crowd, self._expose, self.policy.assignment.salt)

    @property
    def deps(self) -> Deps:
        """What the control process works with now."""
        return self.control.deps

    @property
    def minute(self) -> float:
        """Where the story is."""
        return (self.now - BEGIN) / timedelta(minutes=1)

    def clock(self) -> datetime:
        """The story's time."""
        return self.now

    def _expose(self, unit: Unit, moment: datetime) -> Exposure:
        return self._client.evaluate(unit, moment)

    # the control process

    def open(self) -> None:
        """Start the control process."""
        self.control = self._processes.enter_context(
            control_process(self.settings, self.policy, self.clock, ANY_PORT, self._told)
        )
        self._client = FlagReader(self.deps.state, reread=CLIENT_POLL)

    def close(self) -> None:
        """End it."""
        self._processes.close()

    def also_close(self, call: Callable[[], None]) -> None:
        """Call this when the control process ends."""
        self._processes.callback(call)

    def start(self) -> None:
        """The release goes in."""
        actions.start_release(
            self.deps.state, self.policy, RELEASE, ARTEFACTS, author=AUTHOR, actor=AUTHOR, now=self.now
        )

    # time

    def live(self, minute: float) -> None:
        """Let customers write until `minute`, land it, and run one heartbeat."""
        until = BEGIN + timedelta(minutes=minute)
        records = self.lines.advance(until)
        self.now = until
        if self._silent_until is None or until >= self._silent_until:
            self._landing.write(records)
            self._landing.heartbeat(until)
        else:
            self.lines.hold_back(records, self._silent_until)
        self.beat()

    def beat(self) -> None:
        """One heartbeat of the control process; with `restarts` each of its steps by another process."""
        if self._fails_until is not None:
            self._beat_on_failing_state(self._fails_until)
        elif not self.restarts:
            tick.run(self.deps, self.now)
        else:
            for step in (ingest.run, evaluate.run, verify.run, notify.run):
                step(self.deps, self.now)
                self.reopen()

    def _beat_on_failing_state(self, until: datetime) -> None:
        """A heartbeat may fail with the database, and then must leave nothing behind."""
        if self.now >= until:
            self._state_runs("drill/state_mended")
            self._fails_until = None
            if not self.failed_beats:
                self.problems.append("no heartbeat met the failing database: nothing was tried")
            tick.run(self.deps, self.now)
            return
        before = self.deps.state.rollout(), len(self.deps.state.ledger_rows()), len(self.deps.state.audit_rows())
        try:
            tick.run(self.deps, self.now)
        except DatabaseError:
            self.failed_beats += 1
            after = self.deps.state.rollout(), len(self.deps.state.ledger_rows()), len(self.deps.state.audit_rows())
            if after != before:
                self.problems.append("a transaction that failed half-way left something behind")

    def state_fails(self, until: float) -> None:
        """Let decisions fail half-way until that minute."""
        self._state_runs("drill/state_fails")
        self._fails_until = BEGIN + timedelta(minutes=until)

    def _state_runs(self, name: str) -> None:
        with closing(sqlite3.connect(self.settings.workspace.state)) as connection:
            connection.execute(load_sql(name))
            connection.commit()

    def reopen(self, between: Callable[[], None] = lambda: None) -> None:
        """Another control process takes over; `between` runs while there is none."""
        self.close()
        between()
        self.open()

    # acts

    def change(self, arms: tuple[Arm, ...], to: dict[str, object]) -> None:
        """The arms behave otherwise from now on."""
        for arm in arms:
            self.lines.arms[arm] = replace(self.lines.arms.get(arm, Behaviour()), **to)  # type: ignore[arg-type]

    def apply_policy(self, old: str, new: str) -> None:
        """Judge the running release by another policy."""
        before, self.policy = self.policy, amended(self.policy.text, ((old, new),), "changed.toml")
        governing.apply_policy(self.deps.state, before, self.policy, APPROVER, "drill", self.now)

    def set_aside(self, trigger: str, minutes: float) -> None:
        """A person overrides a trigger."""
        governing.add_override(self.deps.state, self.policy, trigger, minutes / 60, APPROVER, "drill", self.now)

    def confirm_misrouting(self, severity: float) -> None:
        """A person confirms a misrouting in the newest conversation of the assistant."""
        newest = self.lines.treated[-1].conversation
        self._landing.write([severe_misrouting(newest, self.now, severity, REVIEWER)])

    def silence(self, until: float) -> None:
        """The producer is not heard until that minute."""
        self._silent_until = BEGIN + timedelta(minutes=until)

    def copy_facts(self, minute: float) -> None:
        """Keep the facts as they are."""
        copy = self.settings.workspace.home / f"facts-at-{minute:g}.duckdb"

        def keep() -> None:
            shutil.copy2(self.settings.workspace.facts, copy)

        self.reopen(keep)
        self._copies[minute] = copy

    def restore_facts(self, minute: float) -> None:
        """Put that copy back; the state and what has landed stay."""
        facts = self.settings.workspace.facts

        def put_back() -> None:
            for path in facts.parent.glob(f"{facts.name}*"):
                path.unlink()
            shutil.copy2(self._copies[minute], facts)

        self.reopen(put_back)


def policy_of(incident: Incident) -> Policy:
    """The policy that an incident is judged by."""
    return amended(shipped_policy(incident.policy), incident.amended, f"{incident.policy}.toml")


def amended(text: str, changes: tuple[tuple[str, str], ...], source: str) -> Policy:
    """A policy text with parts replaced. Raises ValueError for a part that is not in it: a drill must not test nothing."""
    for old, new in changes:
        if old not in text:
            raise ValueError(f"{source} does not say {old!r}")
        text = text.replace(old, new, 1)
    return parse(text, source)


@contextmanager
def stage(incident: Incident, home: Path) -> Iterator[Stage]:
    """A stage in the folder `home`, which must not be there yet; the release is in. Everything is closed at the end."""
    settings = load(str(home), env=SETTINGS)
    settings.workspace.create("demo")
    with ExitStack() as stack:
        told = stack.enter_context((home / "alerts.txt").open("w", encoding="utf-8"))
        landing = stack.enter_context(LandingWriter(settings.workspace.landing, SOURCE))
        found = Stage(incident, settings, told, landing)
        stack.callback(found.close)
        found.open()
        found.start()
        yield found
