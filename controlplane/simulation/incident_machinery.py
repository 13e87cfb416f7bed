"""Incidents of the machinery itself: is the comparison one, who may do what, and what if a process, a disk or a copy fails."""

from __future__ import annotations

from controlplane.core.model import Arm, RolloutState
from controlplane.simulation.incidents import (
    AUTHOR,
    ApplyPolicy,
    Change,
    ConfirmMisrouting,
    Expect,
    Incident,
    Promote,
    Restart,
    RestoreFacts,
    SecondProcess,
    SetAside,
    StateFails,
    SwapArms,
)
from controlplane.simulation.lines import Crowd

GOOD = {"escalation_increase": "PASS", "csat_drop": "PASS"}
_ICC = ('kind = "two_sample"\nlimit = 0.03\n', 'kind = "two_sample"\nlimit = 0.03\nicc = 0.5\n')

_VALIDITY = (
    Incident(
        name="over_dispersion",
        injected="causes that hit a hundred customers of the assistant in a row, good and bad ones alike; its average is the menu's",
        expected="nothing, with the correlation inside a block in the policy; without it the noise would pass for harm",
        covers=("over_dispersion",),
        amended=(_ICC,),
        crowd=Crowd(per_minute=400.0),
        acts=(Change(at=0.5, to={"clump": 100}),),
        minutes=9.0,
        beat=240.0,
        expect=Expect(verdicts={"escalation_increase": "PASS"}),
    ),
    Incident(
        name="sample_ratio",
        injected="a quarter of the assistant's conversations is never logged",
        expected="the ramp is held: the arms do not get the customers that the share says",
        covers=("sample_ratio",),
        acts=(Change(at=3.0, to={"lost": 0.25}),),
        onset=3.0,
        minutes=9.0,
        beat=360.0,
        expect=Expect(
            state=RolloutState.HELD, decisions=(("hold", "sample_ratio"),), verdicts={"escalation_increase": "PASS"}
        ),
    ),
    Incident(
        name="aa_shadow",
        injected="another experiment makes half of the menu's customers ask for a person",
        expected="the ramp is held: the control arm disagrees with itself, so arms cannot be compared",
        covers=("aa_shadow",),
        acts=(Change(at=3.0, arms=(Arm.BASELINE,), to={"half_escalates": 0.5}),),
        onset=3.0,
        minutes=9.0,
        beat=360.0,
        expect=Expect(state=RolloutState.HELD, decisions=(("hold", "aa_shadow"),)),
    ),
    Incident(
        name="response_rate",
        injected="customers of the assistant rate half as often as before",
        expected="the ramp is held: who rates is no longer the same kind of customer in both arms",
        covers=("response_rate",),
        acts=(Change(at=3.0, to={"rated": 0.25}),),
        onset=3.0,
        minutes=13.0,
        beat=300.0,
        expect=Expect(state=RolloutState.HELD, decisions=(("hold", "response_rate"),)),
    ),
    Incident(
        name="swapped_arms",
        injected="from a minute on the log names the other arm",
        expected="the ramp is held with an example, before anything is decided from it",
        covers=("swapped_arms",),
        acts=(SwapArms(at=3.0),),
        onset=3.0,
        minutes=4.0,
        expect=Expect(state=RolloutState.HELD, decisions=(("hold", "swapped_arms"),), detected_within=1.0),
    ),
    Incident(
        name="unaccepted_judge",
        injected="ungrounded answers, by labels of a judge that the policy does not accept",
        expected="the ramp is held; only labels of people would roll back",
        covers=("judge",),
        amended=(("accepted = true", "accepted = false"),),
        acts=(Change(at=3.0, to={"ungrounded": 0.4}),),
        onset=3.0,
        minutes=8.0,
        beat=120.0,
        expect=Expect(state=RolloutState.HELD, decisions=(("hold", "hallucination_breach"),)),
    ),
    Incident(
        name="tripwire",
        injected="a person confirms one severe misrouting",
        expected="its category goes to people in both arms and execution is off, at once; the other subject goes on",
        covers=("tripwire",),
        crowd=Crowd(other_subject=0.4),
        acts=(ConfirmMisrouting(at=3.0, severity=1.0),),
        onset=3.0,
        minutes=5.0,
        expect=Expect(
            decisions=(("contain", "tripwire"),),
            execution=False,
            detected_within=1.0,
            ledger=("the category is contained",),
        ),
    ),
    Incident(
        name="override",
        injected="slow answers, while a person has set the latency objective aside for six minutes",
        expected="people are paged and nothing acts; when the override ends what was found counts again, and the ramp is held",
        covers=("override",),
        acts=(SetAside(at=2.0, trigger="latency_slo_breach", minutes=6.0), Change(at=2.0, to={"slow": 0.2})),
        onset=2.0,
        minutes=8.0,
        beat=240.0,
        expect=Expect(
            state=RolloutState.HELD,
            decisions=(("hold", "latency_slo_breach"),),
            detected_within=8.0,
            ledger=("it pages before it acts",),
        ),
    ),
    Incident(
        name="policy_change",
        injected="a tighter limit in the policy while the release runs, then a promotion",
        expected="the certificate begins again, so the promotion is refused; no evidence is lost or gained, the record says who and why",
        covers=("policy_change",),
        acts=(
            ApplyPolicy(at=7.0, old="limit = 0.25\nslo_ms", new="limit = 0.2\nslo_ms"),
            Promote(at=8.0, refused="certificate escalation"),
        ),
        minutes=12.0,
        beat=300.0,
        expect=Expect(verdicts=GOOD, ledger=("two policies in the ledger",)),
    ),
)

_PROCESS = (
    Incident(
        name="process_dies",
        injected="harm, while the control process ends behind each step of each heartbeat and another one goes on",
        expected="the same rollback, once, with a whole record",
        covers=("kill",),
        acts=(Change(at=3.0, to={"escalates": 0.36}), Restart(at=5.0)),
        onset=3.0,
        beat=120.0,
        expect=Expect(
            state=RolloutState.ROLLED_BACK,
            decisions=(("rollback", "escalation_increase"),),
            execution=False,
            detected_within=6.0,
        ),
    ),
    Incident(
        name="two_processes",
        injected="a second control process; then the first is silent, the second takes over, and the first wakes up; then harm",
        expected="one writer at a time: the late one is fenced off, and one rollback is decided by the other",
        covers=("two_processes",),
        acts=(SecondProcess(at=1.0), Change(at=3.0, to={"escalates": 0.36})),
        onset=3.0,
        beat=120.0,
        expect=Expect(
            state=RolloutState.ROLLED_BACK,
            decisions=(("rollback", "escalation_increase"),),
            execution=False,
            detected_within=6.0,
        ),
    ),
    Incident(
        name="state_fails_half_way",
        injected="harm, and a full disk in the middle of the transaction that would roll back",
        expected="nothing of the decision is left behind; the next heartbeat decides, cuts and tells it whole",
        covers=("half_way",),
        acts=(Change(at=3.0, to={"escalates": 0.36}), StateFails(at=5.0, until=9.0)),
        onset=3.0,
        beat=120.0,
        expect=Expect(
            state=RolloutState.ROLLED_BACK,
            decisions=(("rollback", "escalation_increase"),),
            execution=False,
            detected_within=6.0,
        ),
    ),
    Incident(
        name="old_facts",
        injected="the facts are restored from a copy five minutes old; the landing folder is whole",
        expected="what has landed is stored again and no block is judged twice; the ramp is held until a person says that all is there",
        covers=("old_facts",),
        acts=(RestoreFacts(at=8.0, since=3.0),),
        minutes=10.0,
        beat=360.0,
        expect=Expect(state=RolloutState.HELD, decisions=(("hold", "facts_behind"),), verdicts=GOOD),
    ),
)

_GATES = (
    Incident(
        name="no_certificate",
        injected="a person wants the next stage before the evidence is there",
        expected="refused, with what is missing",
        covers=("no_certificate",),
        crowd=Crowd(per_minute=30.0),
        acts=(Promote(at=7.0, refused="certificate escalation"),),
        minutes=7.0,
        expect=Expect(),
    ),
    Incident(
        name="author_approves",
        injected="the author asks for the next stage; everything else is there",
        expected="refused: the author is no approver; somebody else's approval opens the gate",
        covers=("author_approves",),
        acts=(Promote(at=12.0, actor=AUTHOR, refused="not the author"), Promote(at=12.5)),
        minutes=12.5,
        beat=240.0,
        expect=Expect(state=RolloutState.COMPLETE),
    ),
)

MACHINERY = (*_VALIDITY, *_PROCESS, *_GATES)
