"""The story that the demo tells: what happens when, in a simulated afternoon. Everything that happens goes through the real parts.

Customers write, logs land, jobs ingest, count, judge and decide; people who are named as simulated approve and repair. The
script only says *when a person does something* (a release is started, a bad change is deployed, an incident is resolved), never
what the logs hold or what is decided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from controlplane.core.blocks import spans
from controlplane.core.model import Rollout, RolloutState, Verdict
from controlplane.simulation.needs import Need
from controlplane.simulation.review import label_output
from controlplane.store.state_rows import IncidentRow
from jobs import actions, after_actions, evaluate, reviews, tick, triage
from jobs.demo_evaluation import OfflineEvaluation, first_cases, told, unasked
from jobs.deps import Deps
from jobs.evaluation_command import passed
from jobs.evaluation_run import Candidate

APPROVER = "Noor (simulated approver)"
AUTHOR = "Sam (simulated author)"
REVIEWER = "Rita (simulated reviewer)"
ON_CALL = "Kim (simulated on-call)"
ACTION_ITEMS = (
    ("knowledge", "Check every import of the knowledge base against the questions that customers ask most"),
    ("guardrail", "Let no answer out whose numbers are not in its sources"),
)

MINUTE = timedelta(minutes=1)
STEP = 2 * MINUTE  # one heartbeat of the control process every two minutes of the story
AFTER_CUT = timedelta(seconds=10)
BAD_CHANGE_AFTER = timedelta(minutes=6)  # into the 50 % stage
REPAIR_TAKES = timedelta(minutes=6)
LONGEST = timedelta(hours=8)
EXPECTED = timedelta(minutes=114)


class World(Protocol):
    """Customers and the two responders; see `controlplane.simulation`."""

    def advance(self, until: datetime) -> list[dict[str, object]]: ...

    def employee_need(self, conversation_id: str) -> Need | None: ...


class Landing(Protocol):
    """Durable before it returns."""

    def write(self, records: list[dict[str, object]]) -> object: ...

    def heartbeat(self, now: datetime) -> object: ...


@dataclass
class StoryClock:
    """The story's time; the control API reads it too."""

    now: datetime

    def __call__(self) -> datetime:
        """The current time of the story."""
        return self.now


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the story: its label, what it is made of, how it is put to work, and how it is evaluated before."""

    label: str
    artefacts: dict[str, str]
    deploy: Callable[[], None]
    candidate: Callable[[], Candidate]


@dataclass
class Story:
    """Runs the script. `healthy` leaves the bad change out."""

    deps: Deps
    world: World
    landing: Landing
    clock: StoryClock
    first: Release
    bad: Release
    fixed: Release
    offline: OfflineEvaluation
    healthy: bool = False
    progress: Callable[[str, float], None] = lambda _text, _part: None
    told: list[str] = field(default_factory=list)
    bad_at: datetime | None = None
    rolled_back_at: datetime | None = None
    on_rollback: Callable[[], None] = lambda: None
    _began: datetime = field(init=False)

    def run(self) -> None:
        """From the first release to the fixed one's canary, or (healthy) to full."""
        begin = self._began = self.clock.now
        self._say(self.offline.begin())
        self._evaluate(self.first)
        self._start(self.first)
        self._until(lambda r: r.state is not RolloutState.RUNNING or self._at_bad_change(r), begin)
        if not self.healthy and self._running() and self._evaluate(self.bad):
            self.bad.deploy()
            self.bad_at = self.clock.now
            actions.deploy(
                self.deps.state,
                self.deps.policy,
                f"knowledge base and answers of {self.bad.label}",
                AUTHOR,
                self.clock.now,
            )
            blind = ", ".join(unasked(first_cases()))
            self._say(
                f"bad change goes in: {self.bad.label}; its evaluation could not see it, with no question on {blind}"
            )
            self._until(lambda r: r.state is RolloutState.ROLLED_BACK, begin)
        if self._rolled_back():
            self._learn(self._repair())
            self._start(self.fixed)
            self._until(lambda r: r.phase != "internal" or r.state is not RolloutState.RUNNING, begin)
            self._for(9)
        elif self.healthy:
            self._until(lambda r: r.state is not RolloutState.RUNNING, begin)
            self._for(10)

    def step(self, length: timedelta = STEP) -> None:
        """Let the world live for `length`, land its records, and run one heartbeat of the control process."""
        now = self.clock.now + length
        self.landing.write(self.world.advance(now))
        self.landing.heartbeat(now)
        self.clock.now = now
        tick.run(self.deps, now)
        self._review()
        self._approve_if_certified()

    def _rollout(self) -> Rollout:
        found = self.deps.state.rollout()
        if found is None:
            raise RuntimeError("the story has no rollout")
        return found

    def _running(self) -> bool:
        return self._rollout().state in (RolloutState.RUNNING, RolloutState.COMPLETE)

    def _rolled_back(self) -> bool:
        return self._rollout().state is RolloutState.ROLLED_BACK

    def _at_bad_change(self, rollout: Rollout) -> bool:
        if self.healthy or rollout.share < 0.5 or rollout.phase != "ramp":
            return False
        return self.clock.now - rollout.stage_started_at >= BAD_CHANGE_AFTER

    def _start(self, release: Release) -> None:
        release.deploy()
        deps = self.deps
        actions.start_release(
            deps.state, deps.policy, release.label, release.artefacts, AUTHOR, APPROVER, self.clock.now
        )
        self._say(f"release {release.label} starts")

    def _until(self, reached: Callable[[Rollout], bool], begin: datetime) -> None:
        while not reached(self._rollout()) and self.clock.now - begin < LONGEST:
            self.step()
            self.progress(self._where(), (self.clock.now - begin) / EXPECTED)

    def _for(self, minutes: int) -> None:
        end = self.clock.now + minutes * MINUTE
        while self.clock.now < end:
            self.step()
            self.progress(self._where(), (self.clock.now - self._began) / EXPECTED)

    def _review(self) -> None:
        """A simulated reviewer labels what waits in the queue; the labels are the simulator's truth, not the release's opinion of itself."""
        rollout = self._rollout()
        if rollout.state is not RolloutState.RUNNING or not reviews.asks_for_review(self.deps.policy, rollout):
            return
        stage = spans(evaluate.stage_events(self.deps, rollout))[-1]
        for item in reviews.stage_queue(self.deps, rollout, stage):
            need = self.world.employee_need(item.conversation_id)
            if item.label is None and need is not None:
                label = label_output(need, item.answer, bool(item.escalated), item.workflow)
                note = f"the customer's need: {need.name}"
                reviews.give_label(self.deps.state, rollout, stage.version, item, label, note, REVIEWER, self.clock.now)

    def _approve_if_certified(self) -> None:
        rollout = self._rollout()
        if rollout.state is not RolloutState.RUNNING:
            return
        result = evaluate.gate(self.deps, rollout, self.clock.now, extra_approver=APPROVER)
        if result.verdict is Verdict.PASS and rollout.stage < len(self.deps.policy.stages) - 1:
            after = actions.promote(self.deps, APPROVER, "gate passed, evidence read", self.clock.now)
            self._say(f"promoted to {after.phase} at {after.share:.0%}")

    def _evaluate(self, release: Release) -> bool:
        """Whether it passed; what does not pass is not put to work."""
        self.progress(f"offline evaluation of {release.label}", (self.clock.now - self._began) / EXPECTED)
        row = self.offline.evaluate(release.candidate())
        self._say(told(row))
        return passed(row)

    def _learn(self, incident: IncidentRow) -> None:
        """What customers met joins the data set; the same artefacts would not be let in again, the fixed ones are."""
        self._say(self.offline.learn(incident))
        self._write_down(incident)
        self._move(incident.incident_id, "review", "the import went in unasked: its topics are in the data set now")
        self._evaluate(self.bad)
        deps, bad = self.deps, self.bad
        try:
            actions.start_release(deps.state, deps.policy, bad.label, bad.artefacts, AUTHOR, APPROVER, self.clock.now)
        except actions.Refused as refused:
            self._say(f"the same artefacts are refused: {refused}")
        else:
            raise RuntimeError("the release of the incident was let in again")
        self._evaluate(self.fixed)

    def _write_down(self, incident: IncidentRow) -> None:
        """What is to be done, with an owner and a time."""
        due = self.clock.now + timedelta(days=7)
        for kind, text in ACTION_ITEMS:
            found = (self.deps.state, incident.incident_id, kind, text, AUTHOR, due, ON_CALL, self.clock.now)
            after_actions.add(*found)
        self._say(f"{len(ACTION_ITEMS)} action items written down, due {due:%Y-%m-%d}")

    def _repair(self) -> IncidentRow:
        """The cut is verified within seconds; people find the cause and resolve the incident."""
        self.rolled_back_at = self.clock.now
        self._say(f"rolled back: {self._rollout().reason}")
        self.step(AFTER_CUT)
        rollout_id = self._rollout().rollout_id
        if self.deps.state.cut_verified_at(rollout_id) is not None:
            self._say("cut verified")
        self.on_rollback()
        incident = next(row for row in self.deps.state.incidents() if row.rollout_id == rollout_id)
        self.step(STEP - AFTER_CUT)
        for line in triage.run(self.deps, self.clock.now):
            self._say(f"triage: {line}")
        self._move(incident.incident_id, "acknowledge", "on it")
        self._for(round(REPAIR_TAKES / MINUTE))
        self._move(incident.incident_id, "resolve", "knowledge base restored, generator and service put back")
        return next(row for row in self.deps.state.incidents() if row.incident_id == incident.incident_id)

    def _move(self, incident_id: str, event: str, reason: str) -> None:
        actions.incident_event(self.deps.state, incident_id, event, ON_CALL, reason, self.clock.now)
        self._say(f"incident {event.removesuffix('e')}ed")

    def _where(self) -> str:
        rollout = self._rollout()
        return f"{self.clock.now:%H:%M} {rollout.release} {rollout.state} {rollout.phase} {rollout.share:.0%}"

    def _say(self, text: str) -> None:
        self.told.append(f"{self.clock.now:%Y-%m-%d %H:%M:%S}Z  {text}")
