"""The values of a policy: what a rollout may do, what must never happen, what must be shown, and how much may go wrong by chance.

Every field has its unit in its name or in the docstring. `controlplane.core.policy.parse` makes them from one TOML text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from controlplane.core.model import Action, MetricKind

JUDGED = "hallucination_rate"  # the metric that the judge labels


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a policy text. `severity`: an "error" must not be used; a "warning" can be run, and will disappoint."""

    line: int
    key: str
    message: str
    remedy: str
    severity: str = "error"

    def text(self, source: str) -> str:
        """`file:line: key: what is wrong; what to do`, warnings marked as such."""
        mark = "" if self.severity == "error" else f"{self.severity}: "
        return f"{source}:{self.line}: {self.key}: {mark}{self.message}; {self.remedy}"


class PolicyError(ValueError):
    """A policy text that must not be used; `problems` has every reason."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problem.text(source) for problem in problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The promise: a release within its limits is ever rolled back with at most this probability."""

    false_rollback: float = 0.01
    certificate: float = 0.05
    horizon_weeks: float = 10.0
    validity: float = 0.01  # shared by all validity checks; they only hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """How customers come to an arm. Eligibility and exclusions are decided before it, from the first message, the same way in both arms.

    `unit`: what is drawn; only customers are. Conversations whose intent or segment is excluded are served the baseline and never compared.
    """

    salt: str
    low_risk_intents: tuple[str, ...] = ()
    unit: str = "customer"
    exclude_intents: tuple[str, ...] = ()
    exclude_segments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Lateness allowed to producers, how old data may be, and how a cut is verified."""

    lateness_seconds: int = 30
    freshness_seconds: int = 300
    flag_max_age_seconds: int = 5
    client_poll_seconds: int = 5
    probes: int = 20
    segments: tuple[str, ...] = ()
    verify_seconds: int = 60  # a cut that is not verified by then pages, and is tried again until it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a release needs before it enters the first phase: a passing evaluation under registered criteria of that name (empty: any)."""

    required: bool = True
    criteria: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What people look at in the phases named: a stable sample of the answers, and what their labels must show before the gate opens.

    `share` of the assistant's answers is queued; the gate asks that `min_labelled` of them and `min_reviewed` of the queue are labelled, that
    the lower end of the share of correct ones (95 %, Clopper-Pearson) is at least `min_correct`, and that none is unsafe. No phases: nothing.
    """

    phases: tuple[str, ...] = ()
    share: float = 0.1
    min_labelled: int = 20
    min_reviewed: float = 0.8
    min_correct: float = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What stands on the other side: `menu`, or `accepted` (the release that was COMPLETE before this one; the menu while there is none).

    `compare_with`: who serves the control arm. `rollback_to`: who serves everybody after a rollback.
    """

    compare_with: str = "menu"
    rollback_to: str = "menu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """Checks of the comparison itself. They share `budget.validity` and can only hold the ramp, never roll back.

    `sample_ratio`: units fall on the arms as configured. `aa_shadow`: the control arm, split by another salt, shows no difference; an alarm
    blocks promotion and turns two-sample rollbacks into hold and page. `response_margin`: largest difference of the CSAT response rates, in
    either direction (0 = not watched). `swapped_arms`: synthetic customers are served the arm that is logged for them.
    """

    sample_ratio: bool = True
    aa_shadow: bool = True
    response_margin: float = 0.1
    swapped_arms: bool = True
    block_seconds: int = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Sampling of answers for the judge, and what the judge's labels are worth.

    All answers of a block are sampled at one rate, fixed before the block from the all-traffic evidence of the hallucination triggers:
    `sample_base`, or `sample_alert` while that evidence E is at least `sample_at_evidence`. `sensitivity`, `specificity`: of the judge against
    people; a trigger that counts the judge's labels tests the flag rate `p0 sens + (1 - p0)(1 - spec)`. `accepted`: whether labels of the
    judge alone may roll back; else such a trigger only holds.
    """

    sample_base: float = 0.05
    sample_alert: float = 1.0
    sample_at_evidence: float = 0.01
    sensitivity: float = 1.0
    specificity: float = 1.0
    accepted: bool = False

    def flag_rate(self, rate: float) -> float:
        """The share of answers that the judge flags while a share `rate` of them is bad: `p sens + (1 - p)(1 - spec)`."""
        return rate * self.sensitivity + (1.0 - rate) * (1.0 - self.specificity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """Rules of the decisions beside the triggers.

    `cooldown_minutes`: after an automatic hold, switch-off or rollback nobody grows or restarts before this has passed.
    `tripwire`: one confirmed severe misrouting sends its category to people at once. `backtest_required`: a policy starts a release only with a
    backtest that kept its promise.
    """

    cooldown_minutes: float = 0.0
    tripwire: bool = True
    backtest_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What people may set aside, with a reason and an expiry: `who` (empty: any person), for at most `max_hours`, but not the triggers in `never`.

    An overridden trigger pages instead of acting until the override ends; then what it has found counts again.
    """

    who: tuple[str, ...] = ()
    max_hours: float = 24.0
    never: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is expected of the eligible traffic, for lint and plan; 0 = not known. Measured figures of a workspace replace them in a plan.

    `per_minute`: units a minute, both arms. `rated_share`: of them with a rating. `audited_share`: of the treated whose route a person audits.
    """

    per_minute: float = 0.0
    rated_share: float = 0.2
    audited_share: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What counts as drift, what the present is compared with, and whom it reaches.

    `reference`: `accepted` (what the last accepted release saw and said before it was complete; the span before while there is none), `previous`
    (the span right before), `year` (the same span a year earlier), or the name of a registered window. `numeric`: Wasserstein distance in
    reference standard deviations; `categorical`: Jensen-Shannon distance, 0 to .8326; `missing`: rise of the share of missing values; each is
    drift only together with a test at family-wise level `alpha`. `alert_columns`: drift of these alerts at once (empty: of any column).
    """

    reference: str = "accepted"
    window_days: float = 28.0
    numeric: float = 0.1
    categorical: float = 0.1
    missing: float = 0.1
    alpha: float = 0.05
    min_rows: int = 30
    alert_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """What the programme promised, for the weekly review: how much worse still counts as "not worse", what it may cost, and who answers.

    Margins of the success measures against the menu: rating points, shares, and a share of the menu's resolution time. `level`: of the
    intervals that the verdicts rest on. `monthly_budget_usd`: 0 = none was set. `owners`: who signs a review; empty: any person.
    """

    csat_margin: float = 0.1
    misclassification_margin: float = 0.02
    escalation_margin: float = 0.02
    resolution_time_margin: float = 0.1
    level: float = 0.95
    monthly_budget_usd: float = 0.0
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidents:
    """What an incident asks of people before the next release, and how incidents are told apart.

    `review_before_restart`: incidents of the rollout must be reviewed, not only resolved. `learn_before_restart`: where an evaluation is required,
    its data must hold conversations of every incident that rolled back. `reopen_minutes`: the same cause that comes back so soon after a
    resolution reopens its incident. `serious_days`: a serious incident is reported to the authority within this time (EU AI Act, Art. 73: 15 days).
    """

    review_before_restart: bool = True
    learn_before_restart: bool = True
    reopen_minutes: float = 60.0
    serious_days: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A phase and its stages (shares of the eligible audience), with what its gate asks before each step out of a stage."""

    name: str
    audience: str
    shares: tuple[float, ...]
    min_minutes: float = 0.0
    min_treated: int = 0
    certificates: tuple[str, ...] = ()
    approvals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One thing that must not happen, how it is tested, and what follows when it fires."""

    name: str
    metric: str
    kind: MetricKind
    limit: float
    weight: float
    action: Action
    block_seconds: int = 60
    maturity_minutes: float = 0.0
    slo_ms: float | None = None
    cap_usd: float | None = None  # costly_share: what a first request may cost
    icc: float = 0.0  # intra-block correlation from an A/A period; above 0 counts are made effective and the guarantee is approximate
    by_segment: bool = True  # whether the policy's segments have streams of their own
    labels: str = "any"  # evaluation metrics: "any" label counts, or only those of a "person"

    @property
    def judged(self) -> bool:
        """Whether it counts labels of the judge, so that its limit is tested on the flag rate."""
        return self.metric == JUDGED and self.kind is MetricKind.ONE_SAMPLE and self.labels != "person"

    @property
    def maturity(self) -> timedelta:
        """How long after a conversation's start its label is final."""
        return timedelta(minutes=self.maturity_minutes)

    @property
    def lane(self) -> str:
        """Streams of one lane close together: the same block length and maturity."""
        return f"{self.block_seconds}s+{round(self.maturity_minutes * 60)}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What must be shown before growing: the treated arm is not worse than the control by `margin` or more."""

    name: str
    metric: str
    kind: MetricKind
    margin: float
    block_seconds: int = 60
    maturity_minutes: float = 0.0

    @property
    def lane(self) -> str:
        """As for triggers."""
        return f"{self.block_seconds}s+{round(self.maturity_minutes * 60)}s"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the rollout, flattened over the phases; `index` counts from 0."""

    index: int
    phase: str
    audience: str
    share: float


@dataclass(frozen=True, slots=True)
class Policy:
    """A validated policy; `hash` is the sha256 of the text it was read from."""

    name: str
    owner: str
    baseline: str
    budget: Budget
    assignment: Assignment
    watch: Watch
    evaluation: Evaluation
    review: Review
    serving: Serving
    validity: Validity
    judge: Judge
    decisions: Decisions
    overrides: Overrides
    traffic: Traffic
    phases: tuple[Phase, ...]
    triggers: tuple[Trigger, ...]
    certificates: tuple[Certificate, ...]
    text: str
    hash: str
    release: str = ""  # glob of the release names that the policy is for; empty: any
    drift: Drift = Drift()
    programme: Programme = Programme()
    incidents: Incidents = Incidents()

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages in order."""
        flat = [(phase, share) for phase in self.phases for share in phase.shares]
        return tuple(Stage(i, phase.name, phase.audience, share) for i, (phase, share) in enumerate(flat))

    def phase(self, name: str) -> Phase:
        """The phase of that name; KeyError names the ones there are."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(f"no phase '{name}' in policy '{self.name}': it has {', '.join(p.name for p in self.phases)}")

    def segments_of(self, trigger: Trigger) -> tuple[str, ...]:
        """The segments of a trigger's streams: "all", and the policy's segments where it watches them."""
        return ("all", *self.watch.segments) if trigger.by_segment else ("all",)

    def alpha(self, trigger: Trigger, segment: str) -> float:
        """Error budget of one stream: half of the trigger's share for all traffic, half for all its segments together."""
        share = self.budget.false_rollback * trigger.weight / 2
        return share if segment == "all" else share / len(self.watch.segments)
