"""The traps of rollout statistics: stories in which a common rule is wrong. Most must end without any action, with a verdict in words."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.core.model import Arm, RolloutState
from controlplane.simulation.incidents import (
    BOTH,
    Act,
    Change,
    Expect,
    Incident,
    Naive,
    Promote,
    Silence,
    StartWith,
)
from controlplane.simulation.lines import Crowd

_LATER = {
    "unhappy_answers_after": 10.0,
    "happy_answers_after": 150.0,
    "rated": 0.9,
    "ratings": (0.16, 0.14, 0.15, 0.25, 0.3),
}
_GOOD = {"escalation_increase": "PASS", "csat_drop": "PASS"}
_MEASURED = ("latency_ms", "timed_out", "escalated", "csat", "label", "intent_pred", "intent_true", "error_type")


def _ramp(*minutes: float) -> tuple[Act, ...]:
    return tuple(Promote(at=minute) for minute in minutes)


def _rising(levels: Sequence[float], every: float) -> tuple[Act, ...]:
    return tuple(Change(at=every * (i + 1), arms=BOTH, to={"escalates": level}) for i, level in enumerate(levels))


_RAMP = (
    Incident(
        name="delayed_ratings",
        injected="unhappy customers answer within seconds, happy ones after minutes, in both arms alike; 1 -> 5 -> 20 -> 50 %",
        expected="nothing: ratings are compared by when the conversation began, when they are mature; a rule on what comes in accuses the assistant",
        covers=("delayed_ratings",),
        policy="drill_ramp",
        crowd=Crowd(per_minute=160.0),
        acts=(Change(at=3.0, arms=BOTH, to=_LATER), *_ramp(3.0, 6.0, 9.0)),
        minutes=18.0,
        beat=180.0,
        naive=Naive.RATINGS_COMING_IN,
        expect=Expect(verdicts=_GOOD, naive_fires=True),
    ),
    Incident(
        name="delayed_worse_ratings",
        injected="the same delays in the same ramp, and the assistant's ratings are truly a point lower",
        expected="rollback by the ratings, when they are mature",
        covers=("delayed_ratings",),
        policy="drill_ramp",
        crowd=Crowd(per_minute=160.0),
        acts=(
            Change(at=3.0, arms=BOTH, to=_LATER),
            Change(at=3.0, to={"ratings": (0.4, 0.25, 0.15, 0.1, 0.1)}),
            *_ramp(3.0, 6.0, 9.0),
        ),
        onset=3.0,
        minutes=36.0,
        beat=180.0,
        naive=Naive.RATINGS_COMING_IN,
        expect=Expect(state=RolloutState.ROLLED_BACK, decisions=(("rollback", "csat_drop"),), execution=False),
    ),
    Incident(
        name="simpson",
        injected="escalations rise from 3 to 28 % in both arms alike while the share goes 1 -> 5 -> 20 -> 50 %",
        expected="nothing: blocks are compared minute by minute; totals over the ramp say that the assistant is far worse",
        covers=("simpson",),
        policy="drill_ramp",
        crowd=Crowd(per_minute=160.0),
        acts=(*_rising((0.03, 0.08, 0.16, 0.28, 0.28), 3.0), *_ramp(3.0, 6.0, 9.0)),
        minutes=15.0,
        beat=360.0,
        naive=Naive.ESCALATIONS_SO_FAR,
        expect=Expect(verdicts=_GOOD, naive_fires=True),
    ),
    Incident(
        name="step_in_block",
        injected="a promotion in the middle of a block",
        expected="the block is cut short at the step and none mixes two shares",
        covers=("step_in_block",),
        policy="drill_ramp",
        acts=_ramp(3.4, 6.65),
        minutes=10.0,
        beat=600.0,
        expect=Expect(verdicts={"escalation_increase": "PASS"}, ledger=("a block is cut short",)),
    ),
)

_COMPARISON = (
    Incident(
        name="repeat_customers",
        injected="twelve customers, all of them the assistant's, call again and again and always want a person",
        expected="nothing: a customer counts once per stage and week; counted by conversation the assistant is far worse",
        covers=("repeat_customers",),
        crowd=Crowd(regulars=12, regular_per_minute=40.0),
        minutes=9.0,
        beat=270.0,
        naive=Naive.ESCALATIONS_SO_FAR,
        expect=Expect(verdicts=_GOOD, naive_fires=True, ledger=("repeats are excluded",)),
    ),
    Incident(
        name="eligibility",
        injected="a third of the first messages must go to a person; the assistant is truly worse on the others",
        expected="rollback: who was excluded before the draw is in no arm; with them the menu would look worse than the assistant",
        covers=("eligibility",),
        crowd=Crowd(mandatory=0.33, per_minute=260.0),
        acts=(Change(at=3.0, to={"escalates": 0.36}),),
        onset=3.0,
        beat=180.0,
        naive=Naive.ESCALATIONS_SO_FAR,
        expect=Expect(
            state=RolloutState.ROLLED_BACK,
            decisions=(("rollback", "escalation_increase"),),
            execution=False,
            detected_within=6.0,
            naive_fires=False,
        ),
    ),
    Incident(
        name="common_incident",
        injected="an incident outside: escalations go from 12 to 45 % and ratings fall in both arms at once",
        expected="nothing: both arms suffer alike, so the assistant is not the cause",
        covers=("common_incident",),
        acts=(Change(at=3.0, arms=BOTH, to={"escalates": 0.45, "ratings": (0.3, 0.2, 0.2, 0.15, 0.15)}),),
        minutes=12.0,
        beat=270.0,
        expect=Expect(verdicts=_GOOD),
    ),
    Incident(
        name="no_control",
        injected="no line of the menu is heard of; the assistant escalates more than before",
        expected="no comparison, said so: NO_DATA and no weight spent; the ramp is held for the missing arm and nobody is promoted",
        covers=("no_control", "no_data"),
        acts=(
            Change(at=0.5, arms=(Arm.BASELINE,), to={"lost": 1.0}),
            Change(at=3.0, to={"escalates": 0.4}),
            Promote(at=9.0, refused="certificate escalation"),
        ),
        minutes=9.0,
        beat=180.0,
        expect=Expect(
            state=RolloutState.HELD,
            decisions=(("hold", "sample_ratio"),),
            verdicts={"escalation_increase": "NO_DATA", "csat_drop": "NO_DATA", "api_errors": "PASS"},
        ),
    ),
    Incident(
        name="one_arm",
        injected="no line of the assistant is heard of",
        expected="NO_DATA for everything it is judged by and no weight spent; the ramp is held and nobody is promoted",
        covers=("one_arm", "no_data"),
        acts=(Change(at=0.5, to={"lost": 1.0}), Promote(at=9.0, refused="certificate escalation")),
        minutes=9.0,
        beat=180.0,
        expect=Expect(
            state=RolloutState.HELD,
            decisions=(("hold", "sample_ratio"),),
            verdicts={"escalation_increase": "NO_DATA", "api_errors": "NO_DATA", "latency_collapse": "NO_DATA"},
        ),
    ),
    Incident(
        name="share_0",
        injected="a policy whose first stage has a share of 0",
        expected="refused before anything starts, with the key and the remedy",
        covers=("share_0",),
        acts=(
            StartWith(at=1.0, old="shares = [0.5, 0.8]", new="shares = [0.0, 0.5]", refused="are not rising shares"),
        ),
        minutes=1.0,
        expect=Expect(),
    ),
)

_DATA = (
    Incident(
        name="short_outage",
        injected="one bad minute: 14 % of the assistant's model calls fail",
        expected="workflows are switched off; the limit of a rollback is meant for a bad minute and holds",
        covers=("short_outage",),
        crowd=Crowd(per_minute=400.0),
        acts=(Change(at=3.0, to={"api_error": 0.14}), Change(at=4.0, to={"api_error": 0.003})),
        onset=3.0,
        minutes=6.0,
        beat=90.0,
        expect=Expect(
            decisions=(("disable_execution", "api_errors"),),
            execution=False,
            detected_within=2.0,
            verdicts={"api_collapse": "PASS"},
        ),
    ),
    Incident(
        name="metric_stops",
        injected="nobody logs how long an answer took any more; everything else is logged",
        expected="NO_DATA neither passes nor accuses: the ramp is held until it is back",
        covers=("metric_stops", "no_data"),
        acts=(Change(at=3.0, arms=BOTH, to={"nulls": ("latency_ms",)}),),
        minutes=9.0,
        beat=120.0,
        expect=Expect(
            state=RolloutState.HELD,
            decisions=(("hold", "silent_metric"),),
            verdicts={**_GOOD, "latency_collapse": "NO_DATA"},
        ),
    ),
    Incident(
        name="nulls",
        injected="every measured field of both arms is logged as NULL",
        expected="NO_DATA where nothing is known: the ramp is held, and nobody is accused",
        covers=("nulls", "no_data"),
        acts=(Change(at=0.5, arms=BOTH, to={"nulls": _MEASURED}),),
        minutes=9.0,
        beat=180.0,
        expect=Expect(
            state=RolloutState.HELD,
            decisions=(("hold", "silent_metric"),),
            verdicts={
                "latency_collapse": "NO_DATA",
                "timeout_collapse": "NO_DATA",
                "hallucination_breach": "NO_DATA",
                "safety_misrouting": "NO_DATA",
                "misclassification": "NO_DATA",
                "csat_drop": "NO_DATA",
            },
        ),
    ),
    Incident(
        name="clock_skew",
        injected="one conversation in five is stamped an hour ahead",
        expected="those rows go to quarantine with their reason; the others are judged as ever",
        covers=("clock_skew",),
        acts=(Change(at=1.0, arms=BOTH, to={"skewed": 0.2}),),
        minutes=9.0,
        beat=240.0,
        expect=Expect(verdicts=_GOOD, quarantined=frozenset({"future_time"})),
    ),
    Incident(
        name="late_duplicates",
        injected="a fifth of the conversations lands five minutes late, and half of all rows land twice",
        expected="rows are stored once; what comes behind its block is counted nowhere, in both arms alike",
        covers=("late_duplicates",),
        acts=(Change(at=1.0, arms=BOTH, to={"late": 0.2, "late_seconds": 300.0, "repeated": 0.5}),),
        minutes=11.0,
        beat=300.0,
        expect=Expect(verdicts=_GOOD, ledger=("late conversations are excluded",)),
    ),
    Incident(
        name="stale",
        injected="the producer falls silent for six minutes, then goes on",
        expected="the ramp is held while nobody knows, and released when data is fresh and shows no harm",
        covers=("stale",),
        acts=(Silence(at=3.0, until=9.0),),
        minutes=12.0,
        beat=300.0,
        expect=Expect(decisions=(("hold", "freshness"), ("resume", "freshness")), verdicts=_GOOD),
    ),
    Incident(
        name="biased_sampling",
        injected="somebody judges answers that customers complained about, all of them ungrounded",
        expected="nothing: only answers that were drawn at random count",
        covers=("biased_sampling",),
        crowd=Crowd(judged=0.4, complaints=0.5),
        acts=(Change(at=3.0, arms=BOTH, to={}),),
        minutes=9.0,
        beat=180.0,
        expect=Expect(verdicts={"hallucination_breach": "PASS"}),
    ),
)

TRAP_INCIDENTS = (*_RAMP, *_COMPARISON, *_DATA)
