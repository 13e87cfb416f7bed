"""`controlplane review queue`: draw answers for people to look at, each with its reasons and its probability (`core.review_queue`).

Spans never overlap: each draw begins where the one before ended, so every answer is in at most one frame and has one probability. Reasons are
what the facts know at the time of the draw; who wants ratings to count among the failures draws with `lag_hours` of at least their maturity.
Answers that arrive in the facts after their span was drawn are in no frame.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import duckdb

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.review_queue import AUDIT, TARGETED, Design, Item, design, fraction, reasons_of
from controlplane.store.queries import load
from controlplane.store.state_append import LostRace
from controlplane.store.state_reviews import Draw
from controlplane.store.utc import to_aware, to_naive
from jobs.deps import Deps
from jobs.refused import Refused

DAY = timedelta(days=1)
DAILY = "0 6 * * *"  # UTC; on Mondays behind the topics, whose new ones are a reason
MACHINE = "controlplane"


def draw(
    deps: Deps,
    now: datetime,
    per_day: float,
    actor: str,
    audit_share: float = 0.5,
    double_share: float = 0.2,
    confidence: float = 0.5,
    lag_hours: float = 0.0,
    until: str | None = None,
) -> dict[str, Any]:
    """Draw from the answers since the last draw; the first draw goes back to the first answer and has at least one day's capacity.

    `per_day`: answers that people can read a day. `double_share` of the drawn ones are wanted from two people. Raises Refused where there is no
    new answer.
    """
    earlier = deps.state.review_draws()
    after = earlier[-1] if earlier else None
    since = None if after is None else after.until
    drifted, intents = drifted_answers(deps), drifted_intents(deps)
    with deps.warehouse.cursor() as cursor:
        first, end = _span(cursor, since, until, lag_hours, now)
        span = {"since": None if since is None else to_naive(since), "until": to_naive(end)}
        names = {"confidence": confidence, "drifted": drifted, "drifted_intents": intents}
        cursor.execute(load("reviews/frame_create"), span | names)
        sizes = {str(name): int(n) for name, n in cursor.execute(load("reviews/frame_sizes")).fetchall()}
        days = (end - (since or first)) / DAY
        capacity = per_day * (max(days, 1.0) if since is None else days)
        plan = design(sizes, capacity, audit_share)
        chances = {name: plan.probability(name) for name in sizes}
        parameters = {"strata": list(chances), "probabilities": list(chances.values())}
        rows = cursor.execute(load("reviews/frame_drawn"), parameters).fetchall()
    draw_id = f"draw-{sha256_text(canonical([str(since), str(end)]))[:12]}"
    items = [_item(row, draw_id, plan, double_share, now) for row in rows]
    asked = {"audit_share": audit_share, "double": double_share, "per_day": per_day, "lag_hours": lag_hours}
    said = _design_json(plan, sizes, chances, capacity, names | asked)
    made = Draw(draw_id, since, end, actor, now, sum(sizes.values()), said)
    try:
        deps.state.add_review_draw(made, items, None if after is None else after.draw_id)
    except LostRace as error:
        raise Refused(str(error)) from None
    return draw_json(made, items)


def daily(deps: Deps, now: datetime) -> str:
    """The scheduled draw: as the newest draw was asked for, from the answers since. Nothing until a person has drawn once: how much people can
    read is theirs to say."""
    earlier = deps.state.review_draws()
    settings = earlier[-1].design.get("settings", {}) if earlier else {}
    if "per_day" not in settings:
        return "nobody has asked for a review queue yet: controlplane review queue"
    per_day, share, double, confidence, lag = (
        float(settings[name]) for name in ("per_day", "audit_share", "double", "confidence", "lag_hours")
    )
    try:
        return str(draw(deps, now, per_day, MACHINE, share, double, confidence, lag)["draw_id"])
    except Refused as error:  # a day without answers
        return str(error)


def drifted_answers(deps: Deps) -> list[str]:
    """Ids of the answers in the new topics of the newest topic analysis."""
    rows = deps.state.artefacts("topics")
    if not rows or not rows[-1].path:
        return []
    new = {topic["topic_id"] for topic in rows[-1].summary["topics"] if topic["new"]}
    path = deps.home / rows[-1].path
    if not new or not path.is_file():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))["topics"]
    return sorted({key for topic in found if topic["topic_id"] in new for key in topic["members"]})


def drifted_intents(deps: Deps) -> list[str]:
    """Intents that the newest drift analysis saw for the first time."""
    rows = deps.state.artefacts("drift")
    if not rows:
        return []
    column = rows[-1].summary.get("columns", {}).get("intent_pred", {})
    return sorted(str(value) for value, _ in column.get("new_categories", ()) or ())


def draw_json(found: Draw, items: list[Item]) -> dict[str, Any]:
    """A draw as plain values, with how many items each reason drew."""
    by_reason = {reason: sum(reason in item.reasons for item in items) for reason in (AUDIT, *TARGETED)}
    return {
        "draw_id": found.draw_id,
        "since": None if found.since is None else found.since.isoformat(),
        "until": found.until.isoformat(),
        "frame": found.frame,
        "drawn": len(items),
        "double": sum(item.wanted == 2 for item in items),
        "by_reason": by_reason,
        **found.design,
    }


def draw_text(value: Mapping[str, Any]) -> str:
    """A draw for people."""
    lines = [
        f"{value['drawn']} of {value['frame']} answers drawn ({value['capacity']:.0f} can be read), {value['double']} for two people"
    ]
    lines += [f"  {reason:16} rate {value['rates'][reason]:7.2%}  drew {n}" for reason, n in value["by_reason"].items()]
    return "\n".join([*lines, "take some with: controlplane review take --reviewer NAME"])


def _span(
    cursor: duckdb.DuckDBPyConnection, since: datetime | None, until: str | None, lag_hours: float, now: datetime
) -> tuple[datetime, datetime]:
    """Time of the first answer, and the end: as asked, else just behind the newest answer, less the lag."""
    parameters = {"since": None if since is None else to_naive(since)}
    row = cursor.execute(load("reviews/frame_span"), parameters).fetchone()
    if row is None or row[0] is None:
        behind = "" if since is None else f" since the last draw ended ({since.isoformat()})"
        raise Refused(f"the assistant has answered nothing{behind}: ingest logs first")
    first, newest = to_aware(row[0]), to_aware(row[1])
    end = newest + timedelta(microseconds=1) - timedelta(hours=lag_hours)
    if until is not None:
        end = datetime.fromisoformat(until)
        if end > max(now, newest + timedelta(microseconds=1)):
            raise Refused(f"--until {until} lies in the future: answers that are yet to come cannot be drawn from")
    if end <= (since or first):
        raise Refused(
            f"no answer to draw from: the span would end at {end.isoformat()} and begins at {(since or first).isoformat()}"
        )
    return first, end


def _item(row: tuple[Any, ...], draw_id: str, plan: Design, double_share: float, now: datetime) -> Item:
    interaction, conversation, ts, intent, rollout, release, stratum, u = row
    reasons = [reason for reason in (AUDIT, *reasons_of(stratum)) if u < plan.rates[reason]]
    return Item(
        item_id=f"q-{sha256_text(str(interaction))[:12]}",
        draw_id=draw_id,
        interaction_id=str(interaction),
        conversation_id=str(conversation),
        rollout_id=rollout,
        release=release,
        intent_pred=intent,
        answered_at=to_aware(ts),
        stratum=str(stratum),
        reasons=tuple(reasons),
        probability=plan.probability(stratum),
        audit_rate=plan.rates[AUDIT],
        wanted=2 if fraction("double", str(interaction)) < double_share else 1,
        drawn_at=now,
    )


def _design_json(
    plan: Design, sizes: Mapping[str, int], chances: Mapping[str, float], capacity: float, settings: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "method": "Poisson sampling, one permanent random number an answer; probability = the largest rate of its reasons",
        "capacity": capacity,
        "expected": plan.expected,
        "rates": dict(plan.rates),
        "strata": {name: {"answers": sizes[name], "probability": chances[name]} for name in sizes},
        "settings": {key: len(value) if key == "drifted" else value for key, value in settings.items()},
    }
