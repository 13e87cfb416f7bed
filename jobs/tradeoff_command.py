"""`controlplane tradeoff`: reads the facts of a window, measures, asks the table, and says it with its numbers.

What is read is a plain dictionary of sums (`collect`), and everything said is a pure function of it and of the stated assumptions (`judge`), so
a recorded decision can be made again from the same window and compared, section by section.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from controlplane.analysis import tradeoff_measure as measure
from controlplane.analysis import tradeoff_savings as savings
from controlplane.analysis.tradeoff import Advice, Cost, Course, Latency, Satisfaction, advise
from controlplane.assistant.pricing import ModelPrice
from controlplane.core.estimates import Interval
from controlplane.core.metrics import METRICS
from controlplane.core.model import Rollout, RolloutState
from controlplane.core.policy import Policy
from controlplane.core.sampling import hallucination_triggers
from controlplane.core.triggers import latched
from controlplane.store.state import StateReader
from jobs.compose import workspace_settings
from jobs.facts_query import facts_query

MOST_BLOCKS = 5000
MONTH_DAYS = 30
Row = list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What the logs cannot say, in US dollars, hours and tokens. The defaults of `ASSUMED` are round figures without a source: set your own.

    `small_price`: fresh input, cached input and output per 1,000 tokens of the small model; None: `small_ratio` of the logged cost.
    """

    target_cost: float | None = None
    person_cost: float = 0.0
    slo_ms: int | None = None
    slow_limit: float | None = None
    alpha: float = 0.05
    cache_hours: float = 24.0
    small_model: str = ""
    small_price: tuple[float, float, float] | None = None
    small_ratio: float = 0.2
    labels_needed: int = 2000
    hosting_usd_month: float = 600.0
    gpu_usd_hour: float = 2.0
    gpu_tokens_second: float = 1500.0
    gpu_utilisation: float = 0.5


ASSUMED = {
    "small_ratio": "--small-ratio",
    "labels_needed": "--labels-needed",
    "hosting_usd_month": "--hosting-month",
    "gpu_usd_hour": "--gpu-hour",
    "gpu_tokens_second": "--gpu-tokens",
    "gpu_utilisation": "--gpu-utilisation",
}
EMPTY: Mapping[str, Sequence[Row]] = {"latency": ([0, 0, None],), "judged": ([0, 0],)}  # of a workspace without facts


@dataclass(frozen=True, slots=True)
class Question:
    """Which traffic is asked about, and how its numbers are made; all of it stands in the record."""

    since: datetime
    until: datetime
    rollout: str
    release: str
    span_seconds: int
    csat_maturity: int
    cost_maturity: int
    low_risk: tuple[str, ...]
    flag_limit: float | None
    assumptions: Assumptions = field(default_factory=Assumptions)
    logged_hours: float | None = None  # of the window, from the first to the newest record in it; None: all of it
    blocked: str = ""  # what spoke against growing in the rollout's state when it was asked; empty: nothing

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        times = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        return {**asdict(self), **times, "low_risk": list(self.low_risk)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Question:
        """The inverse of `to_dict`."""
        assumed = dict(plain["assumptions"])
        if assumed["small_price"] is not None:
            assumed["small_price"] = tuple(assumed["small_price"])
        times = {name: datetime.fromisoformat(plain[name]) for name in ("since", "until")}
        changed = {"low_risk": tuple(plain["low_risk"]), "assumptions": Assumptions(**assumed)}
        return cls(**{**plain, **times, **changed})


def question(
    policy: Policy, since: datetime, until: datetime, rollout: str, release: str, assumptions: Assumptions
) -> Question:
    """What the policy adds: block length and maturity of the ratings, the low-risk intents, the limit on flagged answers."""
    rated = [(t.block_seconds, t.maturity_minutes) for t in policy.triggers if t.metric == "csat"]
    rated += [(c.block_seconds, c.maturity_minutes) for c in policy.certificates if c.metric == "csat"]
    span, minutes = rated[0] if rated else (900, METRICS["csat"].maturity / timedelta(minutes=1))
    maturity = timedelta(minutes=minutes)
    while (until - since).total_seconds() > MOST_BLOCKS * span:
        span *= 2  # not to the second, or every look would lay other blocks over the same ratings
    flagged = [trigger.limit for trigger in hallucination_triggers(policy)]
    return Question(
        since=since,
        until=until,
        rollout=rollout,
        release=release,
        span_seconds=int(span),
        csat_maturity=int(maturity.total_seconds()),
        cost_maturity=int(min(maturity, METRICS["cost_per_resolved"].maturity).total_seconds()),
        low_risk=policy.assignment.low_risk_intents,
        flag_limit=min(flagged, default=None),
        assumptions=assumptions,
    )


def blocked(state: StateReader, rollout: Rollout | None) -> str:
    """What speaks against growing: a rollout that is held or rolled back, or streams that have fired and that nobody let go of."""
    if rollout is None:
        return ""
    if rollout.state in (RolloutState.HELD, RolloutState.ROLLED_BACK):
        return f"the rollout is {rollout.state}"
    fired = sorted({name for name, _ in latched(lane.state for lane in state.lanes(rollout.rollout_id).values())})
    return f"it has fired: {', '.join(fired)}" if fired else ""


def objective(policy: Policy) -> tuple[int | None, float | None]:
    """The latency objective in milliseconds and the share that may be slower: of the strictest trigger on slow requests."""
    found = [(t.limit, t.slo_ms) for t in policy.triggers if t.metric == "slow_share" and t.slo_ms is not None]
    limit, slo = min(found, default=(None, None))
    return (None if slo is None else int(slo)), limit


def collect(home: str | None, asked: Question, state: StateReader, as_of: datetime) -> dict[str, list[Row]]:
    """The sums that everything rests on, section by section; floats rounded to 12 digits, because their last ones depend on the order of adding."""
    names: dict[str, str | int | datetime] = {"rollout": asked.rollout, "release": asked.release}
    window = {"since": asked.since, "until": asked.until}
    own: dict[str, dict[str, str | int | datetime]] = {
        "csat_blocks": {"span": asked.span_seconds, "maturity": asked.csat_maturity},
        "latency": {"slo_ms": asked.assumptions.slo_ms or 0},
        "cost": {"maturity": asked.cost_maturity},
        "requests": {},
        "repeats": {"cache_seconds": round(asked.assumptions.cache_hours * 3600)},
        "hours": {},
        "judged": {},
    }
    there = workspace_settings(home, must_exist=True).workspace.facts.exists()
    found = {
        name: facts_query(home, f"tradeoff/{name}", names | window | more) if there else [*EMPTY.get(name, ())]
        for name, more in own.items()
    }
    found["labels"] = [["rows", _labelled_rows(state, as_of)]]
    return {name: [[_rounded(value) for value in row] for row in rows] for name, rows in found.items()}


def _labelled_rows(state: StateReader, as_of: datetime) -> int:
    """Rows of the newest version of each data set, and answers that reviewers have labelled, known by then."""
    newest = {item.name: item.rows for item in state.dataset_versions() if item.created_at <= as_of}
    rollout = state.rollout()
    labels = [] if rollout is None else state.review_labels(rollout.rollout_id)
    return sum(newest.values()) + len({label.interaction_id for label in labels if label.labelled_at <= as_of})


def _rounded(value: Any) -> Any:
    return float(f"{value:.12g}") if isinstance(value, float) else value


def judge(asked: Question, inputs: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Everything that is said, from what was read."""
    said = asked.assumptions
    blocks = inputs["csat_blocks"]
    rated = measure.satisfaction([row[2:7] for row in blocks], [row[7:12] for row in blocks], said.alpha)
    (requests, slow, p95) = inputs["latency"][0]
    fast = measure.latency(requests, slow, p95, said.slo_ms, said.slow_limit)
    arms = {row[0]: measure.ArmCost(*row[1:]) for row in inputs["cost"]}
    treated, control = (arms.get(name, measure.ArmCost()) for name in ("assistant", "baseline"))
    spent = measure.cost(treated, control, said.target_cost, said.person_cost)
    advice = advise(rated.verdict, fast.verdict, spent.verdict)
    if advice.course is Course.GROW and asked.blocked:
        advice = Advice(Course.HOLD, f"the three measurements would let it grow, but {asked.blocked}")
    return {
        "verdict": str(advice.course),
        "reason": advice.reason,
        "data": bool(treated.conversations or rated.treated or requests or inputs["requests"]),
        "satisfaction": plain(rated),
        "latency": plain(fast),
        "cost": plain(spent),
        "savings": [plain(item) for item in _savings(asked, inputs)],
        **_answers(asked, inputs, rated.verdict),
    }


def _savings(asked: Question, inputs: Mapping[str, Sequence[Row]]) -> list[savings.Saving]:
    from controlplane.assistant.routing_fit import shipped_routing

    said = asked.assumptions
    small = savings.Small(None if said.small_price is None else ModelPrice(*said.small_price), said.small_ratio)
    groups = [savings.Group(*row) for row in inputs["requests"]]
    return [
        *savings.cache_savings([savings.Repeats(*row) for row in inputs["repeats"]], said.cache_hours),
        savings.small_model_saving(groups, asked.low_risk, small),
        savings.hybrid_saving(groups, shipped_routing(), small),
    ]


def _answers(asked: Question, inputs: Mapping[str, Sequence[Row]], rated: Satisfaction) -> dict[str, Any]:
    said = asked.assumptions
    hours = [(int(h), int(tokens), int(priced), float(usd)) for h, _, tokens, priced, usd in inputs["hours"]]
    window = (asked.until - asked.since) / timedelta(hours=1)
    length = window if asked.logged_hours is None else asked.logged_hours
    gpu = savings.Gpu(said.gpu_usd_hour, said.gpu_tokens_second, said.gpu_utilisation)
    hardware = savings.own_hardware(hours, length, gpu)
    api_day = hardware.numbers.get("api_usd_day")
    judged, flagged = inputs["judged"][0]
    tuned = savings.fine_tune(
        labelled=inputs["labels"][0][1],
        needed=said.labels_needed,
        judged=judged,
        flagged=flagged,
        limit=asked.flag_limit,
        worse=None if rated is Satisfaction.UNKNOWN else rated is Satisfaction.DROP,
        hosting_month=said.hosting_usd_month,
        api_month=None if api_day is None else api_day * MONTH_DAYS,
    )
    return {"fine_tune": plain(tuned), "hardware": plain(hardware)}


def plain(value: Any) -> Any:
    """A finding as JSON holds it: an end that data cannot bound is null, floats to 12 digits."""
    if isinstance(value, Interval):
        return {"estimate": plain(value.estimate), "low": plain(value.low), "high": plain(value.high)}
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return _rounded(value) if isfinite(value) else None
    return str(value) if isinstance(value, Satisfaction | Latency | Cost) else value
