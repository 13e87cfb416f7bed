"""Whatever fires, is overridden, resumed, promoted, restarted or given another policy, in any order: the machine only ever makes things safer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controlplane.core import overrides
from controlplane.core.judge import Situation, asks, decide
from controlplane.core.model import Action, MetricKind, Rollout, RolloutState
from controlplane.core.overrides import Override
from controlplane.core.policy import Policy, parse
from controlplane.core.policy_model import Overrides, Trigger
from controlplane.core.rollout import TRANSITIONS, ActorKind, Change, Event, IllegalTransition, apply, start
from controlplane.core.tripwire import Misrouting, category
from controlplane.settings import shipped_policy

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
PERSON, AUTOMATIC = ActorKind.PERSON, ActorKind.AUTOMATIC
GROWING = {Event.PROMOTE, Event.RESTART, Event.SUPERSEDE, Event.ENABLE_EXECUTION, Event.RELEASE_CATEGORY}


def trigger(name: str, metric: str, kind: MetricKind, action: Action) -> Trigger:
    return Trigger(name=name, metric=metric, kind=kind, limit=0.05, weight=0.2, action=action)


TRIGGERS = (
    trigger("compared", "escalation_rate", MetricKind.TWO_SAMPLE, Action.ROLLBACK),
    trigger("absolute", "api_error_rate", MetricKind.ONE_SAMPLE, Action.ROLLBACK),
    trigger("judged", "hallucination_rate", MetricKind.ONE_SAMPLE, Action.ROLLBACK),
    trigger("safety", "misrouting_rate", MetricKind.ONE_SAMPLE, Action.ROLLBACK),
    trigger("broken", "dependency_failure_rate", MetricKind.ONE_SAMPLE, Action.DISABLE_EXECUTION),
    trigger("slow", "slow_share", MetricKind.ONE_SAMPLE, Action.HOLD),
    trigger("dear", "timeout_rate", MetricKind.ONE_SAMPLE, Action.PAGE),
)
KEYS = [(item.name, segment) for item in TRIGGERS for segment in ("all", "retail")]
KEYS += [("sample_ratio", "all"), ("aa_shadow", "compared"), ("response_rate", "answers_less")]
FIRST = replace(parse(shipped_policy("default")), triggers=TRIGGERS)
OTHERS = (
    replace(FIRST, hash="b", overrides=Overrides(never=("slow",))),
    replace(FIRST, hash="c", judge=replace(FIRST.judge, accepted=True)),
    replace(FIRST, hash="d", assignment=replace(FIRST.assignment, salt="another")),
    replace(FIRST, hash="e", phases=FIRST.phases[1:]),
)


class Life(RuleBasedStateMachine):
    """People and evidence do as they like; every heartbeat decides until there is nothing more to decide."""

    @initialize()
    def begin(self) -> None:
        self.now, self.policy = T0, FIRST
        named = {"rollout_id": "r0", "release": "v0", "release_hash": "h0"}
        self.rollout = start(Change(Event.START, PERSON, "begin", T0, **named), FIRST)
        self.forget()
        self.overrides: list[Override] = []
        self.releases, self.known = 0, set[str]()

    def forget(self) -> None:
        """A new rollout has streams of its own."""
        self.latched: set[tuple[str, str]] = set()

    @rule(key=st.sampled_from(KEYS))
    def fire(self, key: tuple[str, str]) -> None:
        self.latched.add(key)

    @rule(hours=st.integers(0, 30))
    def wait(self, hours: int) -> None:
        self.now += hours * HOUR

    @rule(name=st.sampled_from([item.name for item in TRIGGERS]), hours=st.sampled_from([1, 5, 24, 25]))
    def override(self, name: str, hours: int) -> None:
        if overrides.problem(self.policy, name, "ana", hours) is None:
            assert name != "safety"
            key = f"o{len(self.overrides)}"
            end = self.now + hours * HOUR
            self.overrides.append(Override(key, self.rollout.rollout_id, name, "ana", "test", self.now, end))

    @rule(
        event=st.sampled_from(list(Event)),
        other=st.booleans(),
        policy=st.sampled_from(OTHERS),
        name=st.sampled_from(["", "fraud"]),
    )
    def person(self, event: Event, other: bool, policy: Policy, name: str) -> None:
        before = self.rollout
        self.releases += 1
        label = f"v{self.releases}" if other else before.release
        named = {"rollout_id": f"r{self.releases}", "release": label, "release_hash": f"h-{label}"}
        if not other:
            named["release_hash"] = before.release_hash
        change = Change(event, PERSON, f"a person says {event}", self.now, **named, policy=policy, categories=(name,))
        try:
            self.rollout = apply(before, change, self.policy)
        except IllegalTransition:
            return
        assert (before.state, event) in TRANSITIONS
        if event is Event.POLICY:
            self.policy = policy
        if event in (Event.RESTART, Event.SUPERSEDE):
            self.forget()
        if event is Event.RESUME:
            self.latched.clear()
        if event is Event.ENABLE_EXECUTION:
            self.latched = {key for key in self.latched if key[0] != "broken"}
        assert self.rollout.version == before.version + 1

    @precondition(lambda self: self.rollout.state is RolloutState.RUNNING)
    @rule()
    def bring_to_full(self) -> None:
        while self.rollout.state is RolloutState.RUNNING:
            self.rollout = apply(self.rollout, Change(Event.PROMOTE, PERSON, "certified", self.now), self.policy)
        assert self.rollout.state is RolloutState.COMPLETE

    @rule(
        fresh=st.sampled_from([True] * 7 + [False]),
        behind=st.sampled_from([""] * 7 + ["batch 7 is gone"]),
        swapped=st.sampled_from([""] * 7 + ["x serves y"]),
        confirmed=st.sampled_from([[], [], [], ["e1"], ["e2", "e3"]]),
    )
    def heartbeat(self, fresh: bool, behind: str, swapped: str, confirmed: list[str]) -> None:
        found = [Misrouting(key, "c", "fraud" if key == "e1" else None, 1.0, T0, "human:eve") for key in confirmed]
        for _ in range(6):
            situation = Situation(
                now=self.now,
                fresh=fresh,
                latched=frozenset(self.latched),
                muted=overrides.muted(self.policy, self.overrides, self.rollout.rollout_id, self.now),
                facts_behind=behind,
                swapped=swapped,
                tripped=tuple(item for item in found if item.evaluation_id not in self.known),
            )
            if not self.decides(situation):
                self.check_settled(situation)
                return
        raise AssertionError("the machine does not come to rest")

    def decides(self, situation: Situation) -> bool:
        before = self.rollout
        decision = decide(before, self.policy, (), situation)
        if decision is None:
            return False
        event = Event(decision.event)
        tripped = situation.tripped if event is Event.CONTAIN else ()
        change = Change(event, AUTOMATIC, decision.reason, self.now, categories=tuple(map(category, tripped)))
        after = self.rollout = apply(before, change, self.policy)  # never illegal
        self.known |= {item.evaluation_id for item in tripped}
        assert event not in GROWING
        assert after.version == before.version + 1
        assert after.share <= before.share
        assert (after.stage, after.release_hash, after.policy_hash) == (
            before.stage,
            before.release_hash,
            before.policy_hash,
        )
        assert after.execution_enabled <= before.execution_enabled
        assert set(after.contained) >= set(before.contained)
        if decision.trigger is not None:
            assert decision.trigger not in situation.muted
        return True

    def check_settled(self, situation: Situation) -> None:
        """At rest everything that was asked for is so."""
        row: Rollout = self.rollout
        wanted = {ask.action for ask in asks(self.policy, situation)}
        assert not situation.tripped
        if Action.ROLLBACK in wanted:
            assert row.state is RolloutState.ROLLED_BACK
        if Action.DISABLE_EXECUTION in wanted:
            assert not row.execution_enabled
        if Action.HOLD in wanted or not situation.fresh or situation.facts_behind or situation.swapped:
            assert row.state in (RolloutState.HELD, RolloutState.ROLLED_BACK)
        if ("safety", "all") in self.latched:
            assert row.state is RolloutState.ROLLED_BACK  # whatever was overridden, whatever the shadow says

    @precondition(lambda self: self.rollout.state is RolloutState.ROLLED_BACK)
    @rule(event=st.sampled_from(list(Event)))
    def nothing_but_a_person_restarts(self, event: Event) -> None:
        change = Change(event, AUTOMATIC, "by itself", self.now, "rx", "vx", "hx", FIRST, ("fraud",))
        try:
            after = apply(self.rollout, change, self.policy)
        except IllegalTransition:
            return
        assert (event, after.state, after.share) == (Event.CONTAIN, RolloutState.ROLLED_BACK, 0.0)

    @invariant()
    def the_row_makes_sense(self) -> None:
        row, stages = self.rollout, self.policy.stages
        assert row.policy_hash == self.policy.hash
        assert row.phase == stages[row.stage].phase
        if row.state is RolloutState.ROLLED_BACK:
            assert (row.share, row.execution_enabled) == (0.0, False)
        else:
            assert row.share == stages[row.stage].share
        if row.state is RolloutState.COMPLETE:
            assert row.stage == len(stages) - 1
        if row.stage == len(stages) - 1:
            assert row.state is not RolloutState.RUNNING


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
