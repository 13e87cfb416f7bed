"""The five promises of the programme against the menu: improved, not worse, worse or unknown, by interval and margin. Pure.

Arms are compared at the same time and within the same stage (`controlplane.core.weekly_estimates`), on the first conversation of each customer;
misclassification on all labelled requests of a customer, safety on all that was audited, stages together, as both are rare.
No promise is kept by silence: what nobody rated, labelled or audited is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.analysis.review_figures import Tables
from controlplane.analysis.review_sums import ARMS, THIS, Row, by_stage, one
from controlplane.core.estimates import clopper_pearson
from controlplane.core.policy_model import Programme
from controlplane.core.weekly import Estimate, Movement, Success
from controlplane.core.weekly_estimates import Compared, compare, rate_ratio, relative, verdict

ASSISTANT, BASELINE = ARMS
PER = 1000.0  # safety incidents are told per so many audited requests
TOLERATED = (
    0.01  # of audited requests: where nothing was found, so small must the upper end be before "no increase" is said
)


def success(tables: Tables, programme: Programme, tolerated: float = TOLERATED) -> tuple[Success, ...]:
    """The five measures, in the order in which the review opens. `tolerated`: the share of misroutings that its owner signed, for `safety`."""
    rates = (
        ("csat", "CSAT uplift", "csat", "outcomes", programme.csat_margin),
        (
            "misclassification",
            "Misclassification",
            "misclassification_rate",
            "judged",
            programme.misclassification_margin,
        ),
        ("escalation", "Escalation", "escalation_rate", "outcomes", programme.escalation_margin),
    )
    made = [_of_rate(tables, *row) for row in rates]
    return (*made, _resolution_time(tables, programme.resolution_time_margin), safety(tables, tolerated))


def _of_rate(tables: Tables, measure: str, title: str, name: str, query: str, margin: float) -> Success:
    rows = tables.rows[f"{query}_firsts"]
    stages = by_stage(rows, name)
    mature = one(rows, name, THIS, ASSISTANT).maturity if query == "outcomes" else None
    found = compare(stages, tables.level, rate=name != "csat", maturity=mature)
    unit = "points (1..5)" if name == "csat" else "share"
    return _told(tables, (measure, title, unit), name, query, margin, found, lower=name != "csat")


def _resolution_time(tables: Tables, margin: float) -> Success:
    rows = tables.rows["outcomes_firsts"]
    mature = one(rows, "resolution_time", THIS, ASSISTANT).maturity
    found = relative(by_stage(rows, "resolution_time"), tables.level, scale=1e-3, maturity=mature)
    about = ("resolution_time", "Resolution time", "seconds")
    return _told(tables, about, "resolution_time", "outcomes", margin, found, lower=True)


def _told(
    tables: Tables,
    about: tuple[str, str, str],
    name: str,
    query: str,
    margin: float,
    found: Compared | None,
    *,
    lower: bool,
) -> Success:
    rows = tables.rows[f"{query}_firsts"]
    moved, reason = verdict(None if found is None else found.difference, margin, lower_is_better=lower)
    nothing = Estimate(value=None, maturity=one(rows, name, THIS, ASSISTANT).maturity if query == "outcomes" else None)
    return Success(
        measure=about[0],
        title=about[1],
        unit=about[2],
        direction="lower" if lower else "higher",
        movement=moved,
        assistant=nothing if found is None else found.assistant,
        menu=nothing if found is None else found.menu,
        difference=nothing if found is None else found.difference,
        margin=margin,
        reason=reason if found is not None else why_not(rows, name, query),
        source=tables.sources[f"{query}_firsts"],
    )


def why_not(rows: Sequence[Row], name: str, query: str) -> str:
    """Why two arms could not be compared."""
    arms = {arm: one(rows, name, THIS, arm) for arm in ARMS}
    served = {arm for arm in ARMS if any(row["arm"] == arm and row["week"] == THIS for row in rows)}
    if ASSISTANT not in served:
        return "the assistant has nothing to compare: no conversation, or none that was labelled"
    if BASELINE not in served:
        return "the menu has nothing to compare: no conversation, or none that was labelled"
    if query == "outcomes" and min(arms[arm].maturity or 0.0 for arm in ARMS) == 0.0:
        return "no label is old enough yet to be final"
    empty = [said for arm, said in ((ASSISTANT, "the assistant"), (BASELINE, "the menu")) if arms[arm].pairs.x <= 0]
    if empty:
        return f"nothing is known of {' and '.join(empty)}: no label"
    return "too few customers in both arms at the same time"


def safety(tables: Tables, tolerated: float) -> Success:
    """No increase of confirmed severe misroutings, per audited request, against the menu: exact comparison of two Poisson rates.

    None in the assistant is not worse only where enough was audited to exclude `tolerated` (upper end of Clopper and Pearson); some where the
    ratio to the menu's cannot be told from 1 is unknown. The difference shown is that of the two rates, bounded by the ends of each.
    """
    rows = tables.rows["judged"]
    n_t, k_t = _audited(rows, ASSISTANT)
    n_c, k_c = _audited(rows, BASELINE)
    told = [_per(k, n, tables.level) for k, n in ((k_t, n_t), (k_c, n_c))]
    moved, reason = _safety_verdict((k_t, n_t), (k_c, n_c), told[0], tables.level, tolerated)
    return Success(
        measure="safety_incidents",
        title="Safety incidents",
        unit=f"confirmed per {PER:,.0f} audited",
        direction="lower",
        movement=moved,
        assistant=told[0],
        menu=told[1],
        difference=_apart(told[0], told[1]),
        margin=0.0,
        reason=reason,
        source=tables.sources["judged"],
    )


def _audited(rows: Sequence[Row], arm: str) -> tuple[int, int]:
    found = one(rows, "misrouting_rate", THIS, arm).counts
    return found.get("judged", 0), found.get("severe", 0)


def _safety_verdict(
    treated: tuple[int, int], control: tuple[int, int], upper: Estimate, level: float, tolerated: float
) -> tuple[Movement, str]:
    (k_t, n_t), (k_c, n_c) = treated, control
    if n_t == 0:
        return Movement.UNKNOWN, "nobody has audited where the assistant's customers were sent"
    ratio = rate_ratio(k_t, n_t, k_c, n_c, level)
    if ratio is not None and ratio[0] > 1.0:
        return Movement.WORSE, "more confirmed severe misroutings than the menu, for what was audited"
    if ratio is not None and ratio[1] < 1.0:
        return Movement.IMPROVED, "fewer confirmed severe misroutings than the menu, for what was audited"
    if k_t == 0:
        if upper.high is not None and upper.high / PER <= tolerated:
            return Movement.NOT_WORSE, "none was confirmed, and enough was audited to exclude more than is tolerated"
        return Movement.UNKNOWN, "none was confirmed, but too little was audited to exclude more than is tolerated"
    if n_c == 0:
        return Movement.UNKNOWN, "some were confirmed, and nobody has audited the menu to compare with"
    return Movement.UNKNOWN, "some were confirmed; whether more than with the menu cannot be told"


def _per(events: int, audited: int, level: float) -> Estimate:
    found = clopper_pearson(events, audited, 1.0 - level) if audited else None
    if found is None:
        return Estimate(value=None)
    return Estimate(value=found.estimate * PER, low=found.low * PER, high=found.high * PER, n=audited)


def _apart(treated: Estimate, control: Estimate) -> Estimate:
    """Difference of two rates from their intervals (MOVER: Zou and Donner 2008)."""
    (t, t_low, t_high), (c, c_low, c_high) = ((one.value, one.low, one.high) for one in (treated, control))
    if t is None or t_low is None or t_high is None or c is None or c_low is None or c_high is None:
        return Estimate(value=None, n=treated.n + control.n)
    difference = t - c
    low = ((t - t_low) ** 2 + (c_high - c) ** 2) ** 0.5
    high = ((t_high - t) ** 2 + (c - c_low) ** 2) ** 0.5
    return Estimate(value=difference, low=difference - low, high=difference + high, n=treated.n + control.n)
