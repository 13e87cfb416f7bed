"""Incidents in which something is wrong: each must be found, contained, verified and told, by the trigger that is made for it."""

from __future__ import annotations

from controlplane.core.model import RolloutState
from controlplane.simulation.incidents import Act, Change, Expect, Incident, Promote

_ROLLED_BACK = RolloutState.ROLLED_BACK
ONSET = 3.0  # minutes of calm before


def _worse(**to: object) -> tuple[Act, ...]:
    return (Change(at=ONSET, to=to),)


def _rolled_back(trigger: str, within: float, before: tuple[tuple[str, str], ...] = ()) -> Expect:
    """A rollback by that trigger, after the milder actions in `before`."""
    return Expect(
        state=_ROLLED_BACK, decisions=(*before, ("rollback", trigger)), execution=False, detected_within=within
    )


HARMS = (
    Incident(
        name="escalation_increase",
        injected="three times as many conversations of the assistant end with a person",
        expected="the escalation trigger rolls back once the first labels are mature",
        acts=_worse(escalates=0.36),
        onset=ONSET,
        beat=120.0,
        expect=_rolled_back("escalation_increase", 6.0),
    ),
    Incident(
        name="csat_drop",
        injected="the assistant's customers rate it a point lower; nothing else changes",
        expected="the rating trigger rolls back once ratings are mature",
        acts=_worse(ratings=(0.15, 0.22, 0.23, 0.2, 0.2)),
        onset=ONSET,
        beat=300.0,
        minutes=16.0,
        expect=_rolled_back("csat_drop", 10.0),
    ),
    Incident(
        name="wrong_intents",
        fault="shifted_labels",
        expected="misclassification holds the ramp, escalations roll back",
        acts=_worse(misclassified=0.5, escalates=0.36),
        onset=ONSET,
        beat=300.0,
        looks=(6.0, 7.0),
        expect=_rolled_back("escalation_increase", 7.0, (("hold", "misclassification"),)),
    ),
    Incident(
        name="ungrounded_answers",
        fault="careless_generator",
        expected="the judged sample breaks its limit: rollback",
        acts=_worse(ungrounded=0.4),
        onset=ONSET,
        beat=120.0,
        expect=_rolled_back("hallucination_breach", 5.0),
    ),
    Incident(
        name="ungrounded_and_unhelpful",
        fault="bad_knowledge",
        expected="the judged sample and the escalations are both beyond their limits; the stronger evidence rolls back",
        acts=_worse(ungrounded=0.8, escalates=0.38, ratings=(0.12, 0.15, 0.2, 0.25, 0.28)),
        onset=ONSET,
        beat=120.0,
        expect=_rolled_back("hallucination_breach", 5.0),
    ),
    Incident(
        name="latency_surge",
        fault="slow_model",
        expected="the objective holds the ramp at once, the trigger with the higher limit rolls back",
        acts=_worse(slow=0.44),
        onset=ONSET,
        beat=180.0,
        looks=(4.0,),
        expect=_rolled_back("latency_collapse", 4.0, (("hold", "latency_slo_breach"),)),
    ),
    Incident(
        name="latency_slo",
        injected="one request in six misses the objective of 4 s",
        expected="the ramp is held; this is no rollback",
        acts=_worse(slow=0.16),
        onset=ONSET,
        minutes=6.0,
        expect=Expect(
            state=RolloutState.HELD,
            decisions=(("hold", "latency_slo_breach"),),
            detected_within=4.0,
            verdicts={"latency_collapse": "PASS"},
        ),
    ),
    Incident(
        name="safety_bypass",
        injected="one message in four that must reach a person does not",
        expected="the rate of audited misroutings rolls back",
        acts=_worse(misrouted=0.25),
        onset=ONSET,
        beat=120.0,
        expect=_rolled_back("safety_misrouting", 5.0),
    ),
    Incident(
        name="api_outage",
        fault="api_outage",
        expected="API errors pass the limit meant for a bad minute: rollback",
        acts=_worse(api_error=0.5, timed_out=0.03),
        onset=ONSET,
        expect=_rolled_back("api_collapse", 2.0),
    ),
    Incident(
        name="dependency_failure",
        injected="one call in five to the core banking system fails",
        expected="workflows are switched off, answers go on",
        acts=_worse(dependency_error=0.2),
        onset=ONSET,
        minutes=5.0,
        expect=Expect(decisions=(("disable_execution", "dependency_failures"),), execution=False, detected_within=2.0),
    ),
    Incident(
        name="time_outs",
        injected="more than half of the assistant's requests time out",
        expected="the time-out trigger with the higher limit rolls back",
        acts=_worse(timed_out=0.6),
        onset=ONSET,
        expect=_rolled_back("timeout_collapse", 2.0),
    ),
    Incident(
        name="costly_answers",
        injected="one first answer in five costs thirty times as much as the others",
        expected="the ramp is held; money is no reason to cut customers off",
        acts=_worse(dear=0.2),
        onset=ONSET,
        minutes=6.0,
        expect=Expect(state=RolloutState.HELD, decisions=(("hold", "costly_answers"),), detected_within=3.0),
    ),
    Incident(
        name="contact_increase",
        injected="one customer of the assistant in five comes back with the same need",
        expected="the ramp is held",
        acts=_worse(returns=0.22),
        onset=ONSET,
        beat=240.0,
        minutes=9.0,
        expect=Expect(state=RolloutState.HELD, decisions=(("hold", "contact_increase"),), detected_within=7.0),
    ),
    Incident(
        name="healthy",
        fault="healthy",
        expected="no trigger fires; the certificate comes and a person promotes",
        minutes=12.0,
        beat=180.0,
        acts=(Promote(at=12.0),),
        expect=Expect(
            state=RolloutState.COMPLETE,
            verdicts={"escalation_increase": "PASS", "csat_drop": "PASS", "api_errors": "PASS"},
        ),
    ),
)
