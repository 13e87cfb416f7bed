"""What more of each key of a policy means: for protection, in words, and for evidence that is being gathered.

One rule per key; a test compares this table with the fields of the policy, so that a new key cannot be without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from controlplane.core.model import Action

ACTIONS = tuple(action.value for action in Action)
"""From mildest to strictest."""
AUDIENCES = ("employees", "low_risk", "eligible")
"""From narrowest to widest."""


class Effect(StrEnum):
    """What a change does to what a policy guarantees."""

    WEAKENS = "weakens"
    TIGHTENS = "tightens"
    NEUTRAL = "neutral"

    @property
    def opposite(self) -> Effect:
        return {Effect.WEAKENS: Effect.TIGHTENS, Effect.TIGHTENS: Effect.WEAKENS}.get(self, self)


class Evidence(StrEnum):
    """What a change does to the streams it touches."""

    KEEPS = "keeps"
    DRAWS = "draws"
    RESTARTS = "restarts"
    BEGINS = "begins"
    ENDS = "ends"

    @property
    def words(self) -> str:
        """For people."""
        return {
            Evidence.KEEPS: "evidence goes on",
            Evidence.DRAWS: "evidence goes on, with the weight of a policy change and never a lower threshold",
            Evidence.RESTARTS: "evidence begins again from nothing, with the weight of a policy change",
            Evidence.BEGINS: "evidence begins from nothing",
            Evidence.ENDS: "evidence is given up",
        }[self]


@dataclass(frozen=True, slots=True)
class Rule:
    """`more`: what a rise does (a larger number, true, an item more, later in `order`); a fall does the opposite. `mixed`: neither is more.

    `rises`, `falls`: the consequence in words. `exposure`: a ladder of shares, which has more when it exposes more anywhere. `unlimited`: the
    value that means "no limit" (0 for "not watched", empty for "anybody") and so is more than any other.
    """

    more: Effect
    rises: str
    falls: str
    evidence: Evidence = Evidence.KEEPS
    mixed: Effect = Effect.NEUTRAL
    order: tuple[str, ...] = ()
    exposure: bool = False
    unlimited: object = None

    def words(self, rises: bool | None) -> str:
        """The consequence of a rise, a fall or (None) of a change that is neither."""
        if rises is None:
            return self.rises if self.rises == self.falls else f"{self.rises}; or in part {self.falls}"
        return self.rises if rises else self.falls


_W, _T, _N = Effect.WEAKENS, Effect.TIGHTENS, Effect.NEUTRAL
_DRAWS, _RESTARTS = Evidence.DRAWS, Evidence.RESTARTS


def _same(words: str, evidence: Evidence = Evidence.KEEPS, effect: Effect = _N) -> Rule:
    """A change without a direction."""
    return Rule(_N, words, words, evidence, effect) if effect is _N else Rule(effect, words, words, evidence, effect)


_HEADS = {
    "name": _same("the policy has another name in the record"),
    "owner": _same("another person answers for the policy"),
    "baseline": _same("another system is named as the baseline", effect=_W),
    "release": _same("the policy is for other releases"),
}
_PROMISE = {
    "budget.false_rollback": Rule(
        _W,
        "harmless releases may be rolled back more often; harm is found sooner, though not by streams that already run",
        "harmless releases are rolled back less often; harm is found later",
        _DRAWS,
    ),
    "budget.certificate": Rule(
        _W,
        "a gate may be passed wrongly more often; less evidence is asked",
        "more evidence is asked before a gate is passed",
        _RESTARTS,
    ),
    "budget.horizon_weeks": Rule(
        _T,
        "the promise covers a longer rollout; each block gets less weight, harm is found a little later",
        "the promise covers a shorter rollout: blocks behind it get no weight",
        _DRAWS,
    ),
    "budget.validity": Rule(
        _T,
        "the comparison is held for less evidence against it",
        "a broken comparison is found later",
        _DRAWS,
    ),
}
_PEOPLE = {
    "assignment.salt": _same("all customers are drawn anew; a running rollout refuses it", effect=_W),
    "assignment.low_risk_intents": Rule(
        _W, "more intents are exposed in the canary", "fewer intents are exposed in the canary", mixed=_W
    ),
    "assignment.unit": _same("something else is drawn to an arm", effect=_W),
    "assignment.exclude_intents": Rule(
        _T, "more conversations keep the baseline, whatever the stage", "more conversations may be exposed", mixed=_W
    ),
    "assignment.exclude_segments": Rule(
        _T, "more customers keep the baseline, whatever the stage", "more customers may be exposed", mixed=_W
    ),
    "serving.compare_with": _same("the treated arm is compared with another system", _DRAWS, _W),
    "serving.rollback_to": _same("another system serves everybody after a rollback", effect=_W),
    "overrides.who": Rule(
        _W, "more people may override a trigger", "fewer people may override a trigger", mixed=_W, unlimited=()
    ),
    "overrides.max_hours": Rule(_W, "a trigger may be set aside for longer", "a trigger is set aside for less long"),
    "overrides.never": Rule(
        _T, "more triggers that nobody may set aside", "a trigger may be set aside that nobody might before", mixed=_W
    ),
    "traffic.per_minute": _same("forecasts expect other traffic; nothing else follows"),
    "traffic.rated_share": _same("forecasts expect another share of ratings; nothing else follows"),
    "traffic.audited_share": _same("forecasts expect another share of audits; nothing else follows"),
}
_WATCHING = {
    "watch.lateness_seconds": Rule(
        _N, "blocks close later and wait for more late rows", "blocks close sooner; more rows come too late to count"
    ),
    "watch.freshness_seconds": Rule(_W, "older data still lets the ramp grow", "data that is less old holds the ramp"),
    "watch.flag_max_age_seconds": Rule(
        _W, "clients trust an older flag: a cut takes longer", "clients fall back to the baseline sooner"
    ),
    "watch.client_poll_seconds": Rule(_W, "clients learn of a cut later", "clients learn of a cut sooner"),
    "watch.probes": Rule(_T, "more probes verify a cut", "fewer probes verify a cut"),
    "watch.segments": Rule(
        _T,
        "harm in more segments is seen; each segment's threshold rises",
        "harm in a segment that is left out is seen only in all traffic",
        _DRAWS,
        _W,
    ),
    "watch.verify_seconds": Rule(
        _W, "a cut that is not verified pages later", "a cut that is not verified pages sooner"
    ),
    "validity.sample_ratio": Rule(_T, "wrong splits hold the ramp", "wrong splits are not seen", _DRAWS),
    "validity.aa_shadow": Rule(
        _T, "noise between equal halves stops two-sample rollbacks", "a noisy comparison is not seen", _DRAWS
    ),
    "validity.response_margin": Rule(
        _W,
        "the arms may differ more in who rates",
        "the arms may differ less in who rates",
        _RESTARTS,
        unlimited=0.0,
    ),
    "validity.swapped_arms": Rule(_T, "swapped arms are probed for", "swapped arms are not probed for"),
    "validity.block_seconds": _same("validity checks read blocks of another length", _RESTARTS),
}
_SHOWING = {
    "evaluation.required": Rule(
        _T, "no release starts without a passing evaluation", "a release may start without an evaluation"
    ),
    "evaluation.criteria": Rule(
        _W, "any registered criteria will do", "one set of criteria must be met", mixed=_W, unlimited=""
    ),
    "review.phases": Rule(
        _T, "people look at answers in more phases", "people look at answers in fewer phases", mixed=_W
    ),
    "review.share": Rule(_T, "more answers are queued for people", "fewer answers are queued for people"),
    "review.min_labelled": Rule(_T, "more labels are asked", "fewer labels are asked"),
    "review.min_reviewed": Rule(_T, "more of the queue must be labelled", "less of the queue must be labelled"),
    "review.min_correct": Rule(_T, "more answers must be correct", "fewer answers must be correct"),
    "decisions.cooldown_minutes": Rule(
        _T, "longer pause after an automatic action", "growth may follow an automatic action sooner"
    ),
    "decisions.tripwire": Rule(
        _T, "one confirmed severe misrouting contains at once", "severe misrouting waits for the rate trigger"
    ),
    "decisions.backtest_required": Rule(
        _T, "a release starts only with a backtest that kept the promise", "a release may start without a backtest"
    ),
    "judge.sample_base": Rule(_T, "more answers are judged in quiet times", "fewer answers are judged in quiet times"),
    "judge.sample_alert": Rule(_T, "more answers are judged on suspicion", "fewer answers are judged on suspicion"),
    "judge.sample_at_evidence": Rule(_W, "suspicion raises the sampling later", "suspicion raises the sampling sooner"),
    "judge.sensitivity": _same("the flag rate that is tested is another", _RESTARTS),
    "judge.specificity": _same("the flag rate that is tested is another", _RESTARTS),
    "judge.accepted": _same("whether the judge's labels alone may roll back changes"),
}
_PHASES = {
    "phases.audience": Rule(_W, "a wider audience is exposed", "a narrower audience is exposed", order=AUDIENCES),
    "phases.shares": Rule(
        _W, "more customers are exposed in some step", "fewer customers are exposed a step", exposure=True
    ),
    "phases.min_minutes": Rule(_T, "the gate asks for more time", "the gate asks for less time"),
    "phases.min_treated": Rule(_T, "the gate asks for more customers", "the gate asks for fewer customers"),
    "phases.certificates": Rule(
        _T, "the gate asks for more certificates", "the gate asks for fewer certificates", mixed=_W
    ),
    "phases.approvals": Rule(_T, "the gate asks for more people", "the gate asks for fewer people"),
}
_TRIGGERS = {
    "triggers.metric": _same("something else is watched", _RESTARTS, _W),
    "triggers.kind": _same("it is tested in another way", _RESTARTS, _W),
    "triggers.limit": Rule(_W, "more harm is tolerated", "less harm is tolerated", _RESTARTS),
    "triggers.weight": Rule(
        _T,
        "a larger part of the error budget: this harm is found sooner, though not by streams that already run",
        "a smaller part of the error budget: this harm is found later",
        _DRAWS,
    ),
    "triggers.action": Rule(_T, "more follows when it fires", "less follows when it fires", order=ACTIONS),
    "triggers.block_seconds": _same("blocks of another length", _RESTARTS),
    "triggers.maturity_minutes": Rule(
        _T,
        "labels have longer to arrive; harm is found that much later",
        "labels are judged sooner: those that arrive later are lost, and arms that answer later look better",
        _RESTARTS,
    ),
    "triggers.cap_usd": Rule(_W, "dearer answers are fine", "dearer answers count as costly", _RESTARTS),
    "triggers.slo_ms": Rule(_W, "slower answers are fine", "slower answers count as slow", _RESTARTS),
    "triggers.icc": Rule(
        _W,
        "counts are worth less: harm is found later, fewer false alarms by bursts",
        "counts are worth more",
        _RESTARTS,
    ),
    "triggers.by_segment": Rule(
        _T, "segments have streams of their own", "harm in one segment is seen only in all traffic", _DRAWS
    ),
    "triggers.labels": _same("other labels count", _RESTARTS),
}
_CERTIFICATES = {
    "certificates.metric": _same("something else is shown", _RESTARTS, _W),
    "certificates.kind": _same("it is shown in another way", _RESTARTS, _W),
    "certificates.margin": Rule(_W, "a worse release can be certified", "more must be shown", _RESTARTS),
    "certificates.block_seconds": _same("blocks of another length", _RESTARTS),
    "certificates.maturity_minutes": Rule(
        _T, "labels have longer to arrive", "labels are judged sooner: those that arrive later are lost", _RESTARTS
    ),
}
_PRACTICES = {
    "drift.reference": _same("drift is measured against another time"),
    "drift.window_days": _same("drift is measured over other spans"),
    "drift.numeric": Rule(_W, "larger changes of numbers go untold", "smaller changes of numbers are told"),
    "drift.categorical": Rule(_W, "larger changes of shares go untold", "smaller changes of shares are told"),
    "drift.missing": Rule(_W, "more missing values go untold", "fewer missing values are told"),
    "drift.alpha": Rule(_T, "more columns are told, and more of them by chance", "fewer columns are told by chance"),
    "drift.min_rows": Rule(_W, "small windows stay unclear", "small windows are judged"),
    "drift.alert_columns": Rule(
        _T, "drift of more columns alerts", "drift of fewer columns alerts", mixed=_W, unlimited=()
    ),
    "programme.csat_margin": Rule(_W, "a lower CSAT counts as not worse", "a smaller loss of CSAT counts as worse"),
    "programme.misclassification_margin": Rule(
        _W, "more wrong intents count as not worse", "fewer wrong intents count as worse"
    ),
    "programme.escalation_margin": Rule(_W, "more escalations count as not worse", "fewer escalations count as worse"),
    "programme.resolution_time_margin": Rule(
        _W, "longer resolutions count as not worse", "a smaller delay counts as worse"
    ),
    "programme.level": Rule(
        _T, "verdicts of the review need more evidence", "verdicts of the review need less evidence"
    ),
    "programme.monthly_budget_usd": _same("the cost forecast is held against another budget"),
    "programme.owners": _same("other people sign the weekly review"),
    "incidents.review_before_restart": Rule(
        _T, "no restart before the incident is reviewed", "a restart may follow an incident that nobody has reviewed"
    ),
    "incidents.learn_before_restart": Rule(
        _T,
        "no restart before an evaluation has passed on the incident's conversations",
        "a restart may follow an evaluation that never saw the incident's conversations",
    ),
    "incidents.reopen_minutes": _same("a cause that comes back reopens its incident within another time"),
    "incidents.serious_days": Rule(_W, "a serious incident may be reported later", "a serious incident is due sooner"),
}
RULES: Mapping[str, Rule] = MappingProxyType(
    _HEADS | _PRACTICES | _PROMISE | _PEOPLE | _WATCHING | _SHOWING | _PHASES | _TRIGGERS | _CERTIFICATES
)
"""By `table.key`, heads by their own name."""
