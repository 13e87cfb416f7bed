"""The stage of a drill: a workspace of its own, a real control process on it, a producer of log lines, and the story's clock.

Everything but the customers and the clock is real: lines land in the landing folder, the heartbeat of `jobs.tick` stores, judges, verifies
and tells, the flag server answers probes over HTTP, and each conversation asks the flag for its arm.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy.exc import DatabaseError

from controlplane.core.assignment import Exposure, Unit
from controlplane.core.model import Arm
from controlplane.core.policy import Policy, parse
from controlplane.settings import Settings, load, shipped_policy
from controlplane.simulation.incidents import APPROVER, AUTHOR, ON_CALL, Incident, StateLocked
from controlplane.simulation.lines import Behaviour, LogLines, severe_misrouting
from controlplane.store.flags import FlagReader
from controlplane.store.landing import LandingWriter
from controlplane.store.queries import load as load_sql
from controlplane.store.state import StateReader
from jobs import actions, evaluate, governing, incidents, ingest, notify, tick, verify
from jobs.control import Control, control_process
from jobs.deps import Deps
from jobs.drill_lock import hold
from jobs.drill_slack import SlackStandIn, slack_stand_in

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
LOCK_WAIT = (
    "0.05"  # seconds that a drill waits for a locked state database; ten in operation, and the same happens then
)
TORN = b'{"record":"interaction","interaction_id":"torn'
DELIVERY_STEP, DELIVERY_ROUNDS = timedelta(seconds=20), 15  # behind the story: what waits for its group is told


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not work until a moment of the story, and how it is mended. `down`: there is no control process meanwhile."""

    until: datetime
    mend: Callable[[], None]
    down: bool = False


class Stage:
    """One drill under way. Times are minutes since `BEGIN`."""

    def __init__(self, incident: Incident, settings: Settings, told: TextIO, slack: SlackStandIn | None = None) -> None:
        self.incident, self.settings, self._told, self.slack = incident, settings, told, slack
        self.policy = policy_of(incident)
        self.now = BEGIN
        self.control: Control
        self._processes = ExitStack()
        self._silent_until: datetime | None = None
        self._lost_until: datetime | None = None
        self._copies: dict[float, Path] = {}
        self._fault: Fault | None = None
        self._slack_until: datetime | None = None
        self.failed_beats = 0
        self.handed_over = 0  # records that the landing folder was given
        self.never_logged = 0  # records that their producer lost
        self.beats: list[float] = []  # seconds that each heartbeat took
        self.problems: list[str] = []
        self.restarts = False
        self.lines = LogLines(incident.seed, BEGIN, incident.crowd, self._expose, self.policy.assignment.salt)
        self._landing = LandingWriter(settings.workspace.landing, SOURCE)

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

    def leave(self) -> None:
        """The end of the drill, however it comes: nothing that it started goes on."""
        if self._fault is not None:
            self._fault.mend()
        self._landing.close()
        self.close()

    @property
    def down(self) -> bool:
        """Whether there is no control process now."""
        return self._fault is not None and self._fault.down

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
        self.customers(minute)
        self.beat()

    def customers(self, minute: float) -> None:
        """Let customers write until `minute` and land it; no heartbeat looks yet."""
        until = BEGIN + timedelta(minutes=minute)
        records = self.lines.advance(until)
        self.now = until
        self._mend()
        self._hand_over(records, until)

    def _hand_over(self, records: Sequence[dict[str, Any]], now: datetime) -> None:
        if self._lost_until is not None and now <= self._lost_until:
            self.never_logged += len(records)
        elif self._silent_until is not None and now < self._silent_until:
            self.lines.hold_back(records, self._silent_until)
        else:
            self._lost_until = None
            self._say(records)
            self._landing.heartbeat(now)

    def _say(self, records: Sequence[dict[str, Any]]) -> None:
        """Hand records over; counted here, by who has them, and not by who takes them."""
        self._landing.write(records)
        self.handed_over += len(records)

    def _mend(self) -> None:
        if self._fault is not None and self.now >= self._fault.until:
            fault, self._fault = self._fault, None
            fault.mend()
            if not self.failed_beats:
                self.problems.append("no heartbeat met the failing database: nothing was tried")
            if fault.down:
                self.open()
        if self.slack is not None and self._slack_until is not None and self.now >= self._slack_until:
            self.slack.down, self._slack_until = False, None

    def beat(self) -> None:
        """One heartbeat of the control process; with `restarts` each of its steps by another process."""
        began = time.monotonic()
        if self._fault is not None:
            self._try_to_open() if self.down else self._beat_on_failing_state()
        elif not self.restarts:
            tick.run(self.deps, self.now)
        else:
            for step in (ingest.run, evaluate.run, verify.run, notify.run):
                step(self.deps, self.now)
                self.reopen()
        self.beats.append(time.monotonic() - began)

    def _beat_on_failing_state(self) -> None:
        """A heartbeat may fail with the database, and then must leave nothing behind."""
        before = self._written()
        try:
            tick.run(self.deps, self.now)
        except* DatabaseError:
            self.failed_beats += 1
            if self._written() != before:
                self.problems.append("a transaction that failed half-way left something behind")

    def _written(self) -> tuple[Any, ...]:
        state = self.deps.state
        return state.rollout(), len(state.ledger_rows()), len(state.audit_rows())

    def _try_to_open(self) -> None:
        try:
            self.open()
        except DatabaseError:
            self.failed_beats += 1
            return
        self.problems.append("a control process was started on a database that another process holds")
        self.close()

    def deliver_rest(self) -> None:
        """Behind the story: rounds of delivery until nothing waits, or for five minutes. What waits then is lost."""
        for _ in range(DELIVERY_ROUNDS):
            if not any(item.status in ("pending", "sending") for item in self.deps.state.outbox()):
                return
            self.now += DELIVERY_STEP
            notify.run(self.deps, self.now)

    def state_fails(self, until: float) -> None:
        """Let decisions fail half-way until that minute."""
        self._state_runs("drill/state_fails")
        self._fault = Fault(BEGIN + timedelta(minutes=until), lambda: self._state_runs("drill/state_mended"))

    def state_locked(self, until: float, *, whole: bool) -> None:
        """Let another process hold the state database until that minute; `whole`: while there is no control process."""
        if whole:
            self.close()
        mend = hold(self.settings.workspace.state, whole=whole)
        self._fault = Fault(BEGIN + timedelta(minutes=until), mend, whole)

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

    def slack_down(self, until: float) -> None:
        """Slack fails until that minute; at each refusal the stand-in notes who is served then."""
        if self.slack is None:
            raise ValueError(f"{self.incident.name} takes Slack down but does not tell people there: say slack = True")
        self.slack.down, self._slack_until = True, BEGIN + timedelta(minutes=until)

    def logs_lost(self, until: float) -> None:
        """The log agent dies in the middle of a line; another one starts at that minute and knows nothing of what was."""
        segment = max((self.settings.workspace.landing / SOURCE).iterdir())
        self._landing.close()
        with segment.open("ab") as file:
            file.write(TORN)
        self._landing = LandingWriter(self.settings.workspace.landing, SOURCE)
        self._lost_until = BEGIN + timedelta(minutes=until)

    def on_call(self, what: str) -> None:
        """The person on call does it to every incident that is not over."""
        for row in self.deps.state.incidents():
            if row.state not in ("resolved", "reviewed"):
                incidents.act(self.deps.state, row.incident_id, what, ON_CALL, "drill", self.now)

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
        self._say([severe_misrouting(newest, self.now, severity, REVIEWER)])

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
    with ExitStack() as stack:
        slack = stack.enter_context(slack_stand_in()) if incident.slack else None
        settings = load(str(home), env=_surroundings(incident, home, slack))
        settings.workspace.create("demo")
        told = stack.enter_context((home / "alerts.txt").open("w", encoding="utf-8"))
        found = Stage(incident, settings, told, slack)
        stack.callback(found.leave)
        found.open()
        found.start()
        if slack is not None:
            slack.witness = _served(settings.state_url)
        yield found


def _surroundings(incident: Incident, home: Path, slack: SlackStandIn | None) -> dict[str, str]:
    locks = any(isinstance(act, StateLocked) for act in incident.acts)
    url = {"CONTROLPLANE_STATE_URL": f"sqlite:///{home / 'state.sqlite'}?timeout={LOCK_WAIT}"} if locks else {}
    return SETTINGS | url | (slack.environment if slack is not None else {})


def _served(state_url: str) -> Callable[[], str]:
    """A witness from outside: the state of the rollout as any reader of the database sees it."""

    def look() -> str:
        with closing(StateReader(state_url)) as reader:
            rollout = reader.rollout()
        return "none" if rollout is None else str(rollout.state)

    return look
